"""What C code takes out of objects of C types that nobody can guard.

Whatever an object from outside hands out through an iterator, items by number or its
memory, a change of it must be seen; an object of a type without a row is opaque.
"""

from __future__ import annotations

import importlib.util

import pytest

from oracle import cases, check

#: How to make an object, and how its content changes.
OBJECTS = {
    "ctypes_array": ("(__import__('ctypes').c_int * 3)(1, 2, 3)", "o[0] = 9"),
    "ctypes_chars": (
        "(__import__('ctypes').c_char * 3)(b'a', b'b', b'c')",
        "o[0] = b'z'",
    ),
    "array": ("__import__('array').array('B', [1, 2, 3])", "o[0] = 9"),
    "memoryview": ("memoryview(bytearray(b'abc'))", "o[0] = 99"),
    "bytearray": ("bytearray(b'abc')", "o[0] = 99"),
    "mmap": ("__import__('mmap').mmap(-1, 3)", "o[0] = 99"),
    "element": (
        "__import__('xml.etree.ElementTree').etree.ElementTree.fromstring('<a><b/></a>')",
        "o.append(o[0])",
    ),
    "stream": (
        "__import__('io').BytesIO(b'abc')",
        "o.seek(0); o.write(b'z'); o.seek(0)",
    ),
}
if importlib.util.find_spec("numpy") is not None:
    OBJECTS["numpy"] = ("__import__('numpy').array([1, 2, 3], 'u1')", "o[0] = 9")
    OBJECTS["masked"] = ("__import__('numpy').ma.array([1, 2, 3])", "o[0] = 9")

#: C code that takes the items, or the bytes; a result without addresses.
USES = """
    [t(x) for x in list(o)]; len(tuple(o)), t(tuple(o)[0]); t(list(zip(o, "ab"))[0][0])
    len(set(map(t, o))); [t(x) for x in [*o]]; list(map(t, o)); t(max(map(t, o)))
    (l := [], l.extend(o), [t(x) for x in l])[-1]
    (l := [0], operator.iadd(l, o), [t(x) for x in l])[-1]
    (l := [0] * 3, l.__setitem__(slice(None), o), [t(x) for x in l])[-1]
    [t(x) for x in dict.fromkeys(o)]; [t(x) for _, x in enumerate(o)]
    [t(x) for x in reversed(o)]; t(next(iter(o))); len(o); bool(o); t(o[0])
    [t(x) for x in collections.deque(o)]; [t(x) for x in itertools.islice(o, 2)]
    [t(x) for x in itertools.chain.from_iterable([o])]; sorted(map(t, o))
    (d := {}, d.update(enumerate(o)), t(d[0]))[-1]; bytes(o); bytearray(o); t(sum(o));
    1 in o
    (b := bytearray(3), b.__setitem__(slice(None), o), bytes(b))[-1]; b"".join([o, o])
    (b := bytearray(), b.extend(o), bytes(b))[-1]; b"xyabc".find(o);
    int.from_bytes(o, "big")
    struct.unpack("3B", o); t(operator.itemgetter(0)(o)); (lambda a, *b: t(a))(*o)
    (s := set(), s.update(map(t, o)), sorted(s))[-1]; heapq.nsmallest(1, map(t, o))
    [t(x) for x in [*map(lambda v: v, o)]]; operator.countOf(o, 9); math.fsum(o)
    bytes(memoryview(o)); o == [1]; str(o)[:3]; f"{o!r:.3}"; [t(x) for x in filter(None, o)]
"""


def external():
    uses = [u.strip() for line in USES.strip().splitlines() for u in split(line)]
    for kind, (make, change) in OBJECTS.items():
        for i, use in enumerate(uses):
            yield from cases(
                f"=== {kind}_{i} | eager\n"
                "import collections, heapq, itertools, math, operator, struct\n"
                "def t(x): return str(getattr(x, 'tag', x))\n"
                f"o = {make}\n"
                f"def f():\n    try:\n        return {use}\n"
                "    except TypeError as e:\n        return str(type(e))\n"
                f">>>\n!!! {change}\n"
            )


def split(line: str) -> list[str]:
    """At the semicolons."""
    return [part for part in line.split(";") if part.strip()]


@pytest.mark.parametrize("case", list(external()), ids=str)
def test_external(case):
    check(case)


#: What a new object holds is external all the same.
HELD = cases("""
=== text_of_an_exception
def f(l):
    return str(ValueError(l)), repr(KeyError(l, 1)), f"{OSError(l)}"
x = [[1, 2]]
>>> x
!!! x[0][0] = 5
!!! x[0].append(6)

=== text_of_an_exception_group
def f(l):
    return repr(ExceptionGroup("a", [ValueError(l)]).exceptions)
x = [[1, 2]]
>>> x
!!! x[0][0] = 5

=== state_of_an_exception
def f(l):
    return repr(ValueError(l).__reduce__()), ValueError(1).__reduce__()
x = [[1, 2]]
>>> x
!!! x[0][0] = 5

=== arguments_set_later
def f(l):
    e = ValueError()
    e.args = (l,)
    return str(e)
x = [[1, 2]]
>>> x
!!! x[0][0] = 5

=== class_of_text
class S(str): pass
class N(str):
    def __new__(cls, v): return str.__new__(cls, v)
def f(l):
    return S(l), N(l)
x = [[1, 2]]
>>> x
>>> 3
!!! x[0][0] = 5

=== text_of_a_partial
import functools
def f(l):
    return repr(functools.partial(min, l, key=l))
x = [[1, 2]]
>>> x
!!! x[0][0] = 5

=== text_of_a_method | eager
import types
def f(l):
    return repr(types.MethodType(len, l))
x = [[1, 2]]
>>> x
!!! x[0][0] = 5

=== namespace_filled_later | eager
import types
def f(l):
    n = types.SimpleNamespace()
    n.a = l
    return repr(n), n == types.SimpleNamespace(a=[[1, 2]])
x = [[1, 2]]
>>> x
!!! x[0][0] = 5

=== constructor_in_c | eager
import queue
class C:
    __init__ = queue.SimpleQueue().put
def f(x):
    return type(C()).__name__
>>> 1

=== text_with_a_class_of_its_own
class S(str):
    def __repr__(self): return "mine"
class V:
    def __str__(self): return str(self.n)
v = V()
v.n = 1
def f():
    return repr(S(v)), len(S(v)), S(v) + "!"
>>>
!!! v.n = 22
""")


@pytest.mark.parametrize("case", HELD, ids=str)
def test_held(case):
    check(case)
