"""Effect programs as the tests write them, and classes whose methods must not run."""

from __future__ import annotations

import collections
import functools
import types
from typing import Any, NamedTuple

import pytest

testing = pytest.importorskip("magpy._engine_testing")

MISSING = object()


class Program:
    """Builds a replay program op by op; remembers its sources and graph outputs."""

    def __init__(self, *sources: Any, graph: tuple[Any, ...] = ()) -> None:
        self.sources = sources
        self.graph = graph
        self.handle = testing.replay_new(len(sources), len(graph), [])

    def emit(
        self,
        kind: str,
        *items: int,
        a: int = -1,
        b: int = -1,
        obj: Any = MISSING,
    ) -> int:
        op = (kind, a, b, items) if obj is MISSING else (kind, a, b, items, obj)
        return testing.replay_emit(self.handle, op)

    def const(self, value: Any) -> int:
        return self.emit("CONST", obj=value)

    def returns(self, register: int) -> Program:
        self.emit("RETURN", a=register)
        return self

    def run(self, times: int = 1, holds: bool = True) -> Any:
        return testing.replay_run(self.handle, self.sources, self.graph, times, holds)

    def text(self, *names: str) -> list[str]:
        return testing.replay_text(self.handle, list(names))


def build(kind: str, *values: Any, a: Any = MISSING, **kw: Any) -> Any:
    """Run one builder over constants."""
    program = Program()
    items = [program.const(value) for value in values]
    if a is not MISSING:
        kw["a"] = program.const(a)
    return program.returns(program.emit(kind, *items, **kw)).run()


class Forbidden:
    """Anything that user code could notice while it is rebuilt raises."""

    def __new__(cls, *args: Any, **kw: Any) -> Any:
        raise AssertionError("__new__ ran")

    def __init__(self, *args: Any, **kw: Any) -> None:
        raise AssertionError("__init__ ran")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AssertionError("__setattr__ ran")


class Plain(Forbidden):
    pass


class Slotted(Forbidden):
    __slots__ = ("x", "y")


class Covered(Forbidden):
    @property
    def x(self) -> int:
        return 42

    @x.setter
    def x(self, value: int) -> None:
        raise AssertionError("property ran")


class Point(NamedTuple):
    x: int
    y: int


class MyDict(Forbidden, dict):
    def __setitem__(self, key: Any, value: Any) -> None:
        raise AssertionError("__setitem__ ran")

    __getitem__ = get = clear = update = __iter__ = __len__ = keys = __setitem__  # type: ignore


class MyODict(Forbidden, collections.OrderedDict):
    __setitem__ = __delitem__ = clear = update = __iter__ = MyDict.__setitem__  # type: ignore


class MyDefault(Forbidden, collections.defaultdict):
    __setitem__ = MyDict.__setitem__  # type: ignore


class MyList(Forbidden, list):
    append = extend = __setitem__ = __iter__ = __len__ = MyDict.__setitem__  # type: ignore


class MySet(Forbidden, set):
    add = update = clear = MyDict.__setitem__  # type: ignore


class MyFrozen(Forbidden, frozenset):
    pass


class MyDeque(Forbidden, collections.deque):
    append = extend = clear = __len__ = __getitem__ = MyDict.__setitem__  # type: ignore


class MyPartial(Forbidden, functools.partial):
    pass


class MyError(Forbidden, KeyError):
    pass


class MyNamespace(Forbidden, types.SimpleNamespace):
    pass


class MyStr(Forbidden, str):
    __hash__ = __eq__ = __str__ = MyDict.__setitem__  # type: ignore


class MyInt(Forbidden, int):
    __int__ = __index__ = MyDict.__setitem__  # type: ignore


class MyFloat(Forbidden, float):
    __float__ = MyDict.__setitem__  # type: ignore


class MyBytes(Forbidden, bytes):
    __bytes__ = MyDict.__setitem__  # type: ignore


class MyComplex(Forbidden, complex):
    __complex__ = MyDict.__setitem__  # type: ignore


class Watched:
    """Calls back when it dies."""

    def __init__(self, callback: Any) -> None:
        self.callback = callback

    def __del__(self) -> None:
        self.callback()


# -- Failures ------------------------------------------------------------------------


class Unhashable:
    """Stands for an allocation that fails: using it as a key raises."""

    def __hash__(self) -> int:
        raise MemoryError


# -- Release of what was replaced ----------------------------------------------------


def holder(kind: str, old: Any) -> tuple[Any, dict[str, Any]]:
    """A container that holds old, and the write that replaces it."""
    if kind == "DICT_SET":
        return {"k": old}, {"obj": "k"}
    if kind == "DICT_DEL":
        return {"k": old}, {"obj": "k"}
    if kind == "ATTRS_SET":
        return {"k": old}, {"obj": "k"}
    if kind == "SLOT_SET":
        value = build("INSTANCE", obj=Slotted)
        Slotted.x.__set__(value, old)
        return value, {"obj": Slotted.x}
    if kind == "CELL_SET":
        return types.CellType(old), {}
    if kind == "TYPE_SET":
        return type("Fresh", (), {"k": old}), {"obj": "k"}
    if kind == "LIST_ASSIGN":
        return [old], {}
    if kind == "SET_ASSIGN":
        return {old}, {}
    if kind == "DICT_ASSIGN":
        return {"k": old}, {}
    return collections.deque([old]), {}
