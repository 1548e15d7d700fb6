"""Which object is which: hash tables, comparisons and id() tell without saying so."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

BOTH = """
>>> *pair(), 0
>>> *same(), 0
"""

OBJECTS = """
class C:
    pass
def pair():
    return C(), C()
def same():
    c = C()
    return c, c
"""

TENSORS = """
def pair():
    return t(2), t(2)
def same():
    return (t(2),) * 2
"""

EXPRESSIONS = {
    "in_set": "x in {y}",
    "in_set_comprehension": "x in {e for e in (y,)}",
    "in_dict": "x in {y: 1}, {y: 1}.get(x), {e: 2 for e in [y]}.pop(x, 3)",
    "size_of_set": "len({x, y}), len(set([x, y])), len(frozenset((x, y)))",
    "size_of_dict": "len({x: 1, y: 2}), len(dict.fromkeys([x, y])), len(dict([(x, 1), (y, 2)]))",
    "set_of_generator": "len(set(e for e in (x, y))), len({*(x, y)})",
    "set_methods": "len({x}.union([y])), {x}.isdisjoint({y}), {x} == {y}, len({x} | {y})",
    "ids": "id(x) == id(y), len({id(x), id(y)}), id(x) in {id(y): 1}",
    "is_operator": "x is y, x is not y",
    "defaults": "len(collections.Counter([x, y])), len(collections.OrderedDict([(x, 1), (y, 2)]))",
}

ONLY_OBJECTS = {
    "in_list": "x in [y], x in (y,), [y, x].index(x), [y, x].count(x)",
    "equal_lists": "[x] == [y], (x, 1) == (y, 1), {'a': x} == {'a': y}, [[x]] != [[y]]",
    "in_deque": "x in collections.deque([y])",
    "removed": "(lambda l: (l.remove(x), len(l)))([y, x, x])",
    "operator_module": "operator.eq(x, y), operator.is_(x, y), operator.contains([y], x)",
    "key_of_tuple": "{(y, 1): 1}.get((x, 1)), (x, 0) in {(y, 0)}",
}


def _program(name, prelude, expression, hit):
    return (
        f"=== {name}{hit}\nimport collections, operator\n{prelude.strip()}\n"
        f"def f(x, y, z):\n    return {expression}\n{BOTH.strip()}\n\n"
    )


TABLE = "".join(
    _program(f"objects_{name}", OBJECTS, text, " | eager" if name == "ids" else "")
    for name, text in {**EXPRESSIONS, **ONLY_OBJECTS}.items()
) + "".join(
    _program(f"tensors_{name}", TENSORS, text, " | eager")
    for name, text in EXPRESSIONS.items()
)

KEYS = r"""
=== key_of_external_dict
class C:
    pass
keys = [C(), C(), C()]
d = {keys[0]: 1, keys[1]: 2}
def f(i):
    return d.get(keys[i]), keys[i] in d
>>> 0
>>> 1
>>> 2
!!! d[keys[2]] = 5
!!! d.clear()

=== key_is_argument | eager
class C:
    pass
a, b = C(), C()
d = {a: 1}
def f(k):
    d[k] = d.get(k, 0) + 1
    return len(d)
>>> a
>>> b

=== new_key | eager
class C:
    pass
d = {}
def f():
    d[C()] = 1
    return len(d)

=== tuple_key_is_argument | eager
class C:
    pass
a, b = C(), C()
d = {(a, 1): 1}
def f(k):
    d.setdefault((k, 1), []) if 0 else None
    d[k, 1] = 3
    return (k, 1) in d, len(d)
>>> a
>>> b

=== keys_are_iterated
class C:
    def __init__(self):
        self.n = 0
d = {C(): 1, C(): 2}
def f(x):
    for k, v in d.items():
        k.n = k.n * 0 + v
    for k in d:
        k.m = x
    return list(d)
>>> t(2)
!!! d[C()] = 3
!!! d.pop(next(iter(d)))

=== parameters_in_a_set
m = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
def f(x):
    seen = set()
    total = 0
    for p in m.parameters():
        if p not in seen:
            seen.add(p)
            total = total + p.sum()
    return m(x) * total, len(seen)
>>> t(2, 2)
!!! m[0].weight = m[1].weight
!!! m[0].weight = nn.Parameter(torch.ones(2, 2))

=== parameter_as_key | eager
w = nn.Parameter(fixed(2))
d = {w: 3}
def f(x):
    return x * d[w]
>>> t(2)
!!! d[w] = 4

=== hash_of_tensor | eager
def f(x):
    return hash(x) == id(x), x.__hash__() == id(x), hash((x, 1)) != 0
>>> t(2)
"""


@pytest.mark.parametrize("case", cases(TABLE + KEYS), ids=str)
def test_identity(case):
    check_torch(case)
