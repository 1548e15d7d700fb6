"""Comparing object graphs: every kind of difference is found, and no code runs.

Needs no torch; `test_compare_torch.py` has the tensors.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import functools
import gc
import itertools
import operator
import random
import sys
import types
import weakref
from array import array
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

# Tests of whatever needs no torch ask for the engine's test module, which this does not.
pytest.importorskip("magpy._engine_testing")

from magpy.compare import Comparison, Rules

NAN = float("nan")


class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Named(list):
    pass


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Count(int):
    pass


class Table(dict):
    pass


class Fault(KeyError):
    pass


Pair = collections.namedtuple("Pair", "a b")


def read(source: str) -> dict[str, Any]:
    """Run a program in a namespace of its own."""
    space: dict[str, Any] = {"__name__": "program"}
    exec(compile(source, "<program>", "exec", dont_inherit=True), space)
    return space


def function(source: str) -> Any:
    return read(f"k = [0]\ndef make(v):\n    return {source}")["make"]([1])


def cached(size: int | None, *keys: Any) -> Any:
    cache = functools.lru_cache(size)(abs)
    for key in keys:
        cache(key)
    return cache


def attribute(obj: Any, **values: Any) -> Any:
    vars(obj).update(values)
    return obj


def random_after(draws: int) -> random.Random:
    made = random.Random(1)
    for _ in range(draws):
        made.random()
    return made


def advanced(iterator: Any, steps: int = 1) -> Any:
    for _ in range(steps):
        next(iterator)
    return iterator


def chained(cause: Any, context: Any) -> BaseException:
    error = ValueError("x")
    error.__cause__, error.__context__ = cause, context
    return error


#: Alike, made twice; and one that differs from it.
MADE = {
    "int": lambda v: (7, 8)[v],
    "bool and int": lambda v: (True, 1)[v],
    "float and int": lambda v: (1.0, 1)[v],
    "zeros": lambda v: (0.0, -0.0)[v],
    "nan": lambda v: (NAN, 1.0)[v],
    "complex": lambda v: (complex(0, NAN), complex(-0.0, NAN))[v],
    "str": lambda v: ("a", "b")[v],
    "bytes": lambda v: (b"a", b"b")[v],
    "bytearray": lambda v: bytearray((b"a", b"b")[v]),
    "range": lambda v: (range(0, 3, 2), range(0, 4, 2))[v],
    "none": lambda v: (None, ...)[v],
    "list": lambda v: [[1, 2], [1, 3]][v],
    "length": lambda v: [[1, 2], [1]][v],
    "list and tuple": lambda v: ([1], (1,))[v],
    "nested": lambda v: [[[[v]]]],
    "tuple": lambda v: (1, [v]),
    "namedtuple": lambda v: Pair(1, v),
    "subclass": lambda v: (Named([1]), [1])[v],
    "subclass with attribute": lambda v: attribute(Named([1]), tag=v),
    "dict": lambda v: {"a": v},
    "dict key": lambda v: {"ab"[v]: 1},
    "dict order": lambda v: ({1: 2, 3: 4}, {3: 4, 1: 2})[v],
    "dict key type": lambda v: ({1: 2}, {True: 2})[v],
    "ordered": lambda v: collections.OrderedDict([(v, 1), (1 - v, 1)]),
    "default": lambda v: collections.defaultdict((list, set)[v]),
    "counter and dict": lambda v: (collections.Counter("a"), {"a": 1})[v],
    "deque": lambda v: collections.deque([v]),
    "deque maxlen": lambda v: collections.deque([1], 2 + v),
    "set": lambda v: {1, 2 + v},
    "set member type": lambda v: ({1}, {True})[v],
    "set size": lambda v: ({1}, {1, 2})[v],
    "set of objects": lambda v: {Holder(1), Holder(2 + v)},
    "frozenset": lambda v: frozenset([1, (2, v)]),
    "int subclass": lambda v: Count(v),
    "instance": lambda v: Holder(v),
    "instance type": lambda v: (Holder(1), Slotted(1))[v],
    "other attribute": lambda v: attribute(Holder(1), **{"ab"[v]: 1}),
    "attribute that is no text": lambda v: attribute_of_number(v),
    "slot": lambda v: Slotted(v),
    "slot unset": lambda v: unset() if v else Slotted(1),
    "dict subclass as dict": lambda v: with_dict(Table(a=v)),
    "enum": lambda v: (Color.RED, Color.BLUE)[v],
    "method": lambda v: Holder([1, 2][v]).__init__,
    "builtin method": lambda v: [v].append,
    "builtin": lambda v: (len, print)[v],
    "class": lambda v: (int, float)[v],
    "class made anew": lambda v: read(f"class C: x = {v}")["C"],
    "class name": lambda v: read(f"class {'CD'[v]}: pass")["CD"[v]],
    "bases": lambda v: read(f"class B: pass\nclass C({('B', 'list')[v]}): pass")["C"],
    "function": lambda v: function("lambda: v[0]" if v else "lambda: k[0]"),
    "default of a function": lambda v: read(f"def f(a={v}): pass")["f"],
    "closure": lambda v: read("def m(v): return lambda: v")["m"](v),
    "attribute of a function": lambda v: attribute(function("lambda: 1"), tag=v),
    "partial": lambda v: functools.partial(abs, v),
    "cache": lambda v: cached(4, v),
    "cache that grows": lambda v: cached(None, v),
    "property": lambda v: property((None, len)[v]),
    "static method": lambda v: staticmethod((len, abs)[v]),
    "slice": lambda v: slice(1, v),
    "cell": lambda v: types.CellType(v),
    "empty cell": lambda v: types.CellType() if v else types.CellType(0),
    "weak reference": lambda v: weakref.ref((int, float)[v]),
    "exception": lambda v: ValueError(v),
    "exception type": lambda v: (ValueError(1), KeyError(1))[v],
    "exception of a program": lambda v: attribute(Fault(1), tag=v),
    "cause": lambda v: chained(KeyError(v), None),
    "context": lambda v: chained(None, KeyError(v)),
    "field of an exception": lambda v: StopIteration(v),
    "name of an exception": lambda v: AttributeError("x", name="ab"[v]),
    "module": lambda v: attribute(types.ModuleType("m"), x=v),
    "namespace": lambda v: types.SimpleNamespace(x=v),
    "iterator": lambda v: advanced(iter([1, 2, 3]), v),
    "count": lambda v: advanced(itertools.count(), v),
    "getter": lambda v: operator.itemgetter(v),
    "array": lambda v: array("i", [v]),
    "array type": lambda v: array("il"[v], [1]),
    "random": lambda v: random_after(v),
    "file": lambda v: StringIO("ab"[v]),
    "place in a file": lambda v: advanced(StringIO("a\nb"), v),
    "date": lambda v: datetime.date(2026, 1, 1 + v),
    "delta": lambda v: datetime.timedelta(v),
    "decimal": lambda v: decimal.Decimal(v),
}


def attribute_of_number(value: int) -> Any:
    made = Holder(1)
    vars(made)[5] = value  # type: ignore[index]
    return made


def unset() -> Any:
    made = Slotted(1)
    del made.value
    return made


def with_dict(own: dict[str, Any]) -> Any:
    made = Holder(1)
    made.__dict__ = own
    return made


def difference(theirs: Any, ours: Any, rules: Rules | None = None) -> str | None:
    return Comparison(rules).difference(theirs, ours, "x")


@pytest.mark.parametrize("name", MADE)
def test_kinds(name: str) -> None:
    make = MADE[name]
    assert difference(make(0), make(0)) is None
    assert difference(make(1), make(1)) is None
    for theirs, ours in ((0, 1), (1, 0)):
        found = difference([make(theirs)], [make(ours)])
        assert found is not None
        assert found.startswith("x[0]")


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        ([1, 2], [1, 3], "x[1]: 3 instead of 2"),
        ({"a": [0]}, {"a": [1]}, "x['a'][0]: 1 instead of 0"),
        (Holder(Slotted(1)), Holder(Slotted(2)), "x.value.value: 2 instead of 1"),
        ([1], (1,), "x: type tuple instead of list"),
        ([1], [1, 2], "x: items: 2 instead of 1"),
        ({1}, {2}, "x: members"),
        (int, float, "x: float instead of int"),
        (Holder(1), attribute(Holder(1), b=2), "x: has only on one side: b"),
        (ValueError(1), ValueError(2), "x.args[0]: 2 instead of 1"),
    ],
)
def test_words(theirs: Any, ours: Any, words: str) -> None:
    assert str(difference(theirs, ours)).startswith(words)


def test_identity() -> None:
    a, b, c = [1], [1], [1]
    words = "x[1]: not the same object as in eager mode"
    assert difference([a, a], [b, b]) is None
    assert difference([a, a], [b, c]) == words
    assert difference([a, b], [c, c]) == words
    copies = replace(Rules(), copies=(list,))
    assert difference([a, a], [b, c], copies) is None
    # Values that are nothing but themselves have no identity.
    first, second = (1, "a"), tuple([1, "a"])
    assert difference([first, first], [first, second]) is None
    holding = ([],)
    assert difference([holding] * 2, [([],), ([],)]) == words


def test_identity_within_an_object_that_both_graphs_hold() -> None:
    inner = [1]
    shared = [inner]
    assert difference([shared, inner], [shared, inner]) is None
    assert difference([shared, inner], [shared, [1]]) is not None


def test_pairs_known_before() -> None:
    given, other = [1], [1]
    comparison = Comparison()
    assert comparison.pair(given, given)
    assert comparison.difference([given], [given]) is None
    assert comparison.difference([given], [other]) is not None


def test_cycles_and_depth() -> None:
    def knot(value: int) -> list[Any]:
        made: list[Any] = [value]
        made.append(made)
        return made

    assert difference(knot(1), knot(1)) is None
    assert difference(knot(1), knot(2)) == "x[0]: 2 instead of 1"

    def deep(value: int) -> list[Any]:
        made: list[Any] = [value]
        for _ in range(100_000):
            made = [made]
        return made

    assert difference(deep(1), deep(1)) is None
    assert difference(deep(1), deep(2)) is not None


def test_members_of_sets_are_paired_by_what_is_known_elsewhere() -> None:
    a, b, c, d = (Holder(1) for _ in range(4))
    assert difference([{a, b}, a, b], [{c, d}, c, d]) is None
    assert difference([{a, b}, a, b], [{c, d}, d, c]) is None
    assert difference([{a}, a, b], [{c}, c, d]) is None
    assert difference([{a}, a, b], [{c}, d, c]) is not None
    assert difference([{a}, {a}], [{c}, {d}]) is not None


def test_two_runs_of_a_program_have_two_classes() -> None:
    source = "class A: pass\nclass B: pass\na, b = A(), A()\n"
    left, right = read(source), read(source)
    names = ("a", "b", "A")
    assert difference([left[n] for n in names], [right[n] for n in names]) is None
    right["b"].__class__ = right["B"]
    assert difference([left[n] for n in names], [right[n] for n in names]) is not None
    right["B"].__name__ = right["B"].__qualname__ = "A"
    assert difference([left[n] for n in names], [right[n] for n in names]) is not None


def test_what_modules_hold_is_itself() -> None:
    copied = types.FunctionType(read.__code__, {}, "read")
    copied.__module__ = __name__
    assert difference(copied, read) is not None
    assert difference(sys, types) == "x: types instead of sys"


def test_rules() -> None:
    texts = ("<a at 0x7f00aa>", "<a at 0x7f00bb>")
    assert difference(*texts) is not None
    assert difference(*texts, Rules(addresses=False)) is None
    assert difference({texts[0]}, {texts[1]}, Rules(addresses=False)) is None
    assert difference(1.0, 1.001, Rules(tolerance=0.01)) is not None
    assert difference(1.0, 1.001, Rules(tolerance=0.01, floats=True)) is None
    assert difference(1.0, 1.1, Rules(tolerance=0.01, floats=True)) is not None
    assert difference(len, print, Rules(opaque=(types.BuiltinFunctionType,))) is None
    left, right = (attribute(Holder(1), _own=v) for v in (1, 2))
    assert difference(left, right) is not None
    assert difference(left, right, Rules(ignored=("_own",))) is None


def test_what_cannot_be_seen() -> None:
    known = Rules(known_only=True)
    for made in (Holder([1]), [{"a": (1,)}], Named([1]), slice(1)):
        assert difference(made, made, known) is None
    assert difference(Holder(1), Holder(1), known) is None
    for make in (
        lambda: iter([1]),
        lambda: Slotted(1),
        StringIO,
        lambda: ValueError(1),
    ):
        one = make()
        assert difference(one, one, known) is None
        assert "cannot be compared" in str(difference(make(), make(), known))


def test_no_code_runs() -> None:
    ran: list[str] = []

    def boom(name: str) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            ran.append(name)
            raise AssertionError(name)

        return run

    names = (
        "__eq__ __ne__ __lt__ __len__ __bool__ __iter__ __getitem__ __contains__ "
        "__getattribute__ __getattr__ __repr__ __str__ __format__ __reduce__ "
        "__reduce_ex__ __instancecheck__ __length_hint__ __get__ keys items values"
    ).split()
    methods = {name: boom(name) for name in names}

    def graph(value: int) -> list[Any]:
        made: list[Any] = []
        for base in (object, list, dict, set, tuple, int, str, KeyError, weakref.ref):
            space = {**methods, "__hash__": object.__hash__}
            cls = type("Hostile", (base,), space)
            made.append(cls(Holder) if base is weakref.ref else cls())
        key = type("Key", (), {**methods, "__hash__": object.__hash__})()
        made += [{key: 1}, {key}, functools.partial(len, key), operator.itemgetter(key)]
        object.__setattr__(made[0], "value", value)
        return made

    assert difference(graph(1), graph(1)) is None
    assert difference(graph(1), graph(2)) == "x[0].value: 2 instead of 1"
    assert ran == []


def test_nothing_is_kept() -> None:
    class Local:
        pass

    dead = weakref.ref(Local)
    assert difference(Local(), Local()) is None
    del Local
    gc.collect()
    assert dead() is None
