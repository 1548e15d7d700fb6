"""Containers: writes of programs, reads, order, iteration."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== global_list_appended_blind
log = []
def f(x):
    log.append(x)
    return x
>>> 1
!!! log.append(5)
!!! log.clear()
!!! log = []

=== global_list_appended_and_measured | eager
log = []
def f(x):
    log.append(x)
    return len(log)
>>> 1
??? log.clear()

=== bounded_history
log = [0, 0]
def f(x):
    log.append(x)
    del log[0]
    return log[-1]
>>> 1

=== dict_counter | eager
counts = {}
def f(k):
    counts[k] = counts.get(k, 0) + 1
    return counts[k]
>>> "a"
>>> "b"

=== dict_cache_filled_once
cache = {}
def f(k):
    if k not in cache:
        cache[k] = [k]
    return cache[k]
>>> "a"
>>> "b"
!!! cache.clear()
!!! cache["a"] = [7]
!!! del cache["b"]

=== dict_cache_try
cache = {}
def f(k):
    try:
        return cache[k]
    except KeyError:
        cache[k] = [k]
        return cache[k]
>>> 1
>>> (1, 2)
!!! cache.pop(1)

=== list_items_read
xs = [1, [2, 3], "a"]
def f():
    return xs[0], xs[1][1], xs[-1]
!!! xs[0] = 10
!!! xs[1][1] = 30
!!! xs.append(4)
??? xs.insert(0, 0)

=== one_item_read_others_free
xs = [1, 2, 3]
def f():
    return xs[1]
!!! xs[0] = 50
!!! xs[1] = 20

=== length_read
xs = [1, 2]
def f():
    return len(xs)
!!! xs[0] = 5
!!! xs.append(3)
!!! xs = (1, 2)

=== truth_read
xs = []
d = {}
s = set()
def f():
    return bool(xs), not d, 1 if s else 2
!!! xs.append(1)
!!! d["k"] = 1
!!! s.add(1)
!!! xs.append(2)

=== truth_of_user_objects
class A:
    def __bool__(self):
        return self.n > 0
class B:
    def __len__(self):
        return self.n
a, b = A(), B()
a.n = b.n = 1
def f():
    return (1 if a else 2), (not b), len(b)
!!! a.n = 0
!!! b.n = 0

=== dict_read
d = {"a": 1, "b": [2]}
def f():
    return d["a"], d["b"][0], d.get("c"), d.get("c", 5), "a" in d, "c" in d
!!! d["a"] = 10
!!! d["c"] = 3
!!! d["b"] = [20]
!!! del d["c"]
!!! d = dict(d)

=== dict_key_missing | eager
d = {}
def f(k):
    return d[k]
>>> "a"
??? d["a"] = 1

=== dict_iterated
d = {"a": 1, "b": 2}
def f():
    return list(d), [k + "!" for k in d], sum(d.values()), dict(d.items())
!!! d["a"] = 5
!!! d["c"] = 3
!!! d["a"] = d.pop("a")
!!! d.clear()

=== dict_order_changed
d = {"a": 1, "b": 2}
def f():
    out = []
    for k, v in d.items():
        out.append((k, v))
    return out
!!! d = {"b": 2, "a": 1}
!!! d["b"] = d.pop("b")

=== ordered_dict_order
from collections import OrderedDict
d = OrderedDict(a=1, b=2, c=3)
def f():
    return list(d), next(iter(d)), list(d.values()), list(reversed(d))
!!! d.move_to_end("a")
!!! d["b"] = 20
!!! d.move_to_end("c", last=False)

=== dict_views
d = {"a": 1}
def f():
    return "a" in d.keys(), ("a", 1) in d.items(), 1 in d.values(), len(d.items())
!!! d["a"] = 2
!!! d["b"] = 1

=== dict_compared
d = {"a": [1]}
def f(e):
    return d == e, d != e, d is e
>>> {"a": [1]}
>>> {"a": [2]}
!!! d["a"].append(2)
!!! d["b"] = 1

=== dict_of_dicts
cfg = {"opt": {"lr": 1, "name": "sgd"}}
def f():
    return cfg["opt"]["lr"], [v for v in cfg["opt"].values()]
!!! cfg["opt"]["lr"] = 2
!!! cfg["opt"] = {"lr": 3, "name": "x"}

=== int_float_bool_keys
d = {1: "int", "1": "str", 2.5: "float", None: "none", (1, "a"): "tuple"}
def f():
    return d[1], d[True], d[1.0], d["1"], d[2.5], d[None], d[(1, "a")]
!!! d[1] = "new"
!!! d[(1, "a")] = "t2"

=== object_keys
class K:
    pass
k = K()
d = {k: 1}
def f():
    return d[k], k in d, K() in d
!!! d[k] = 2
!!! del d[k]; d[k] = 5

=== class_and_function_keys
def g():
    pass
d = {int: "int", g: "g"}
def f(x):
    return d[type(x)], d[g]
>>> 1
!!! d[int] = "INT"

=== keys_with_own_hash | eager
class K:
    def __init__(self, n):
        self.n = n
    def __hash__(self):
        return 7
    def __eq__(self, other):
        return self.n == other.n
d = {K(1): "one", K(2): "two"}
def f(n):
    return d[K(n)], K(3) in d
>>> 1
>>> 2

=== enum_keys
import enum
class E(enum.Enum):
    A = 1
    B = 2
d = {E.A: "a", E.B: "b"}
def f(e):
    return d[e], e in d
>>> E.A
>>> E.B
!!! d[E.A] = "new"

=== membership
xs = [1, 2, "a"]
t = (1, 2)
s = {1, 2}
fs = frozenset("ab")
def f(v):
    return v in xs, v in t, v in s, v in fs, v not in xs
>>> 1
>>> "a"
>>> 9
!!! xs.append(9)
!!! s.add(9)
!!! xs.remove(1)

=== membership_by_identity_and_eq
class A:
    pass
a, b = A(), A()
xs = [a]
def f():
    return a in xs, b in xs, xs.index(a), xs.count(b)
!!! xs.append(b)

=== membership_user_contains
class C:
    def __init__(self):
        self.items = [1, 2]
    def __contains__(self, v):
        return v in self.items
c = C()
def f(v):
    return v in c, v not in c
>>> 1
>>> 3
!!! c.items.append(3)

=== set_iterated
s = {3, 1, 2}
def f():
    return sorted(s), sum(s), len(s), max(s)
!!! s.add(4)
!!! s.discard(1)

=== set_members
class Key:
    pass
k = Key()
s = {("a", 1), ("b", (2, None)), 3, "x", k}
def f(x):
    return (x, 1) in s, ("b", (2, None)) in s, k in s, x not in s, (x,) in s
>>> "a"
!!! s.add("y"); s.add(("z", 9))
>>> "a"
!!! s.remove(("a", 1))
!!! s.discard(k)
!!! s.add("a")
!!! s = frozenset([("a", 1.0), ("a", 1)])

=== set_members_and_changes
s = {"a", 3}
def f(x):
    was = x in s
    s.add(x)
    s.discard(3)
    return was, x in s, 3 in s, "a" in s
>>> 5
>>> "a"
!!! s.add(3)
>>> 5
!!! s.clear()

=== set_operations
a = {1, 2, 3}
def f(b):
    return a & b, a | b, a - b, a ^ b, a <= b, a == b, a.isdisjoint(b)
>>> {2, 3, 4}
>>> {1, 2, 3}
!!! a.add(4)

=== set_of_objects | eager
class A:
    pass
a, b = A(), A()
s = {a}
def f():
    return a in s, b in s, len(s)
!!! s.add(b)
!!! s.remove(a)

=== deque_read
from collections import deque
q = deque([1, 2, 3], maxlen=5)
def f():
    return q[0], q[-1], len(q), list(q), 2 in q, q.maxlen
!!! q.append(4)
!!! q[0] = 9
!!! q.popleft()

=== defaultdict_read
from collections import defaultdict
d = defaultdict(int, a=1)
def f():
    return d["a"], "b" in d, len(d)
!!! d["a"] = 2
!!! d["b"]

=== defaultdict_inserts
from collections import defaultdict
def f(d):
    d["x"] += 1
    d["y"] += 2
    d["x"] += 3
    return d
>>> defaultdict(int)

=== defaultdict_user_factory
from collections import defaultdict
class Box:
    def __init__(self):
        self.n = 0
def f(d):
    d["x"].n = 5
    return d["x"], d
>>> defaultdict(Box)

=== counter
from collections import Counter
def f(s):
    c = Counter(s)
    return c["a"], c["zz"], sorted(c.items()), c.most_common(1)
>>> "abca"

=== chain_map
from collections import ChainMap
base = {"a": 1}
def f():
    m = ChainMap({"b": 2}, base)
    return m["a"], m["b"], "c" in m
!!! base["a"] = 5
!!! base["c"] = 5

=== nested_piece_mutated
data = {"rows": [[1, 2], [3, 4]]}
def f():
    row = data["rows"][0]
    row[0], row[1] = row[1], row[0]
    return data["rows"][0][0]
!!! data["rows"].reverse()
!!! data["rows"][0] = [5, 6]

=== list_slices
xs = [1, 2, 3, 4, 5]
def f(a, b):
    return xs[a:b], xs[::2], xs[::-1], xs[-2:], xs[:]
>>> 1, 3
>>> None, -1
!!! xs[2] = 30
!!! xs.pop()

=== tuple_reads
t = (1, (2, [3]), "x")
def f():
    return t[0], t[1][1][0], t[::-1][0], len(t), t + (4,), t * 2
!!! t[1][1][0] = 30
!!! t = (1, (2, [3]))

=== list_arithmetic
xs = [1, 2]
def f(ys):
    return xs + ys, ys * 2, [0] * 3 + xs
>>> [3]
>>> []
!!! xs.append(9)

=== list_compared
xs = [1, [2]]
def f(ys):
    return xs == ys, xs < ys, xs is ys
>>> [1, [2]]
>>> [1, [3]]
!!! xs[1][0] = 3

=== in_place_add_keeps_identity
xs = [1]
ys = xs
def f():
    global xs
    xs += [2]
    xs.pop()
    return xs is ys
!!! ys = [1]

=== in_place_add_returns_other
def f(a, b):
    a += b
    return b
>>> [1], [2]
>>> (1,), (2,)
>>> 1, 2

=== unpacking
def f(xs):
    a, b, *c = xs
    (d, e), g = [(1, 2), 3]
    *h, i = xs
    return a, b, c, d, e, g, h, i
>>> [1, 2, 3, 4]
>>> (1, 2)
>>> "abc"

=== unpacking_dict_and_set
def f(d):
    a, b = d
    (k, v), = d.items() if len(d) == 1 else [(1, 2)]
    return a, b, k, v
>>> {"x": 1, "y": 2}

=== unpacking_wrong_length
def f(xs):
    try:
        a, b = xs
    except ValueError as e:
        return e.args
    return a + b
>>> [1, 2]
>>> [1]
>>> [1, 2, 3]

=== displays_with_stars
def f(xs, d):
    return [0, *xs, *xs], (*xs, 9), {*xs, 5}, {"z": 0, **d, "a": 1}
>>> [1, 2], {"a": 5, "b": 6}

=== list_comprehension
k = 2
def f(xs):
    return [x * k for x in xs if x % 2], [(a, b) for a in xs for b in xs if a < b]
>>> [1, 2, 3]
!!! k = 3

=== dict_and_set_comprehension
def f(xs):
    return {x: x * x for x in xs}, {x % 2 for x in xs}, {v: k for k, v in enumerate(xs)}
>>> [3, 1, 2]

=== generator_expression
def f(xs):
    return tuple(x + 1 for x in xs), sum(x for x in xs), any(x > 2 for x in xs), list(
        y for x in xs for y in (x, -x))
>>> [1, 2, 3]
>>> []

=== nested_comprehension_scopes
def f(n):
    return (
        [[i * j for j in range(i)] for i in range(n)],
        [x for x in (y for y in range(n))]
    )
>>> 4

=== comprehension_over_objects
class C:
    def __init__(self, n):
        self.n = n
xs = [C(1), C(2)]
def f():
    return [o.n for o in xs], {o.n: o for o in xs}
!!! xs[0].n = 5
!!! xs.append(C(9))

=== comprehension_with_walrus
def f(xs):
    r = [y for x in xs if (y := x * 2) > 2]
    return r, y
>>> [1, 2, 3]

=== external_iterator_advanced | eager
it = iter([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
def f():
    return next(it)

=== local_iterator_advanced
def f(xs):
    it = iter(xs)
    a = next(it)
    b = [x for x in it]
    return a, b, next(it, "end")
>>> [1, 2, 3]

=== user_sequence
class Seq:
    def __init__(self, items):
        self.items = items
    def __len__(self):
        return len(self.items)
    def __getitem__(self, i):
        return self.items[i]
s = Seq([1, 2, 3])
def f():
    return len(s), s[1], list(s), [x for x in s], s[0:2]
!!! s.items[1] = 20
!!! s.items.append(4)

=== user_sequence_searched | eager
class Seq:
    def __getitem__(self, i):
        return [1, 2, 3][i]
s = Seq()
def f():
    return 2 in s, 9 in s, max(s), tuple(reversed([*s]))

=== user_iterable
class It:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        return iter(range(self.n))
i = It(3)
def f():
    return list(i), sum(i), [x for x in i], tuple(i)
!!! i.n = 4

=== user_iterator
class Count:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        return self
    def __next__(self):
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        return self.n
def f(n):
    return [x for x in Count(n)], list(Count(n))
>>> 3

=== user_mapping
class M:
    def __init__(self):
        self.d = {"a": 1}
    def __getitem__(self, k):
        return self.d[k]
    def __setitem__(self, k, v):
        self.d[k] = v
    def __delitem__(self, k):
        del self.d[k]
    def keys(self):
        return self.d.keys()
def f(m):
    m["b"] = 2
    del m["a"]
    return m["b"], list(m.keys()), m
>>> M()

=== user_mapping_converted | eager
class M:
    def keys(self):
        return ["a", "b"]
    def __getitem__(self, k):
        return k * 2
def g(**kw):
    return kw
def f(m):
    return dict(m), {**m}, g(**m)
>>> M()

=== list_subclass
class L(list):
    def total(self):
        return sum(self)
xs = L([1, 2])
def f():
    return xs.total(), xs[0], len(xs), [x for x in xs]
!!! xs.append(3)
!!! xs.extra = 1

=== list_subclass_overriding
class L(list):
    def __getitem__(self, i):
        return list.__getitem__(self, i) * 10
    def append(self, v):
        super().append(v + 1)
def f(xs):
    xs.append(5)
    return xs[0], xs[-1], xs
>>> L([1])

=== dict_subclass
class D(dict):
    def __getattr__(self, name):
        return self[name]
d = D(a=1)
def f():
    return d.a, d["a"], d.get("zz"), "zz" in d
!!! d["a"] = 2
!!! d["zz"] = 3

=== dict_subclass_missing | eager
class D(dict):
    def __missing__(self, key):
        return key + "?"
d = D(a=1)
def f():
    return d["a"], d["zz"], d.get("zz"), "zz" in d
!!! d["zz"] = 3

=== mutated_while_iterated
def f(xs):
    out = []
    for x in xs:
        out.append(x)
        if x < 3:
            xs.append(x + 10)
        if len(xs) > 6:
            break
    return out, xs
>>> [1, 2, 3]

=== dict_changed_while_iterated | eager
def f(d):
    for k in d:
        d[k + "x"] = 1
>>> {"a": 1}

=== copy_then_mutate
xs = [1, [2]]
def f():
    a = list(xs)
    b = xs[:]
    c = xs.copy()
    a.append(3)
    b[0] = 9
    c[1].append(4)
    c[1].pop()
    return a, b, c, a[1] is xs[1]
!!! xs[0] = 5

=== list_item_types_change
xs = [1, 2]
def f():
    return xs[0] + xs[1]
!!! xs[0] = 1.5
!!! xs[0] = True
!!! xs[:] = ["a", "b"]

=== state_list_slots_assigned
state = [[0], [0]]
def f(i, v):
    state[i] = [v]
    return state[i]
>>> 0, 1
>>> 1, 2

=== list_swapped_objects
class C:
    def __init__(self, n):
        self.n = n
xs = [C(1), C(2)]
def f():
    return xs[0].n * 10 + xs[1].n
!!! xs.reverse()
!!! xs[1] = xs[0]

=== memoryview_and_bytearray
b = bytearray(b"abc")
def f():
    return b[0], len(b), bytes(b)
!!! b[0] = 100
!!! b.append(1)

=== array_module | eager
import array
a = array.array("i", [1, 2])
def f():
    return a[0] + a[1], len(a)
!!! a[0] = 10

=== mapping_proxy
import types
d = {"a": 1}
p = types.MappingProxyType(d)
def f():
    return p["a"], "b" in p, dict(p)
!!! d["a"] = 2
!!! d["b"] = 3
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_containers(case):
    check(case)
