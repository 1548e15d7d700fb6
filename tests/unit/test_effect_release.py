"""References of effect programs: what writes let go of, what runs keep."""

from __future__ import annotations

import collections
import gc
import sys
import time
import types
import weakref
from typing import Any

import pytest
from effect_program import (
    MyDefault,
    MyDeque,
    MyODict,
    MySet,
    Plain,
    Point,
    Program,
    Slotted,
    Unhashable,
    Watched,
    build,
    holder,
    testing,
)

REPLACERS = [
    "DICT_SET",
    "DICT_DEL",
    "ATTRS_SET",
    "SLOT_SET",
    "CELL_SET",
    "TYPE_SET",
    "LIST_ASSIGN",
    "SET_ASSIGN",
    "DICT_ASSIGN",
    "DEQUE_ASSIGN",
]


@pytest.mark.parametrize("kind", REPLACERS)
def test_old_values_are_released_after_all_commits(kind: str) -> None:
    last: list[Any] = []
    seen: list[Any] = []
    target, kw = holder(kind, Watched(lambda: seen.append(list(last))))
    program = Program(target, last)
    value = program.const(1)
    b = value if kind.endswith("_SET") else -1
    program.emit(kind, a=0, b=b, **kw)
    program.emit("LIST_APPEND", a=1, b=value)
    program.run()
    assert seen == [[1]]


@pytest.mark.parametrize(
    "kind", ["LIST_ASSIGN", "SET_ASSIGN", "DICT_ASSIGN", "DEQUE_ASSIGN"]
)
def test_a_released_value_may_change_the_container(kind: str) -> None:
    target: Any = None
    olds = [Watched(lambda: target.clear()) for _ in range(5)]
    if kind == "DICT_ASSIGN":
        target = {i: old for i, old in enumerate(olds)}
    else:
        make = {
            "LIST_ASSIGN": list,
            "SET_ASSIGN": set,
            "DEQUE_ASSIGN": collections.deque,
        }
        target = make[kind](olds)
    del olds
    program = Program(target)
    one = program.const(1)
    program.emit(kind, one, one, a=0)
    program.returns(0)
    result = program.run()
    assert result is target and len(target) == 0


def test_a_released_value_may_raise() -> None:
    def fail() -> None:
        raise ValueError("in __del__")

    target = [Watched(fail)]
    raised: list[Any] = []
    program = Program(target)
    program.emit("LIST_ASSIGN", a=0)
    hook, sys.unraisablehook = (
        sys.unraisablehook,
        lambda info: raised.append(info.exc_type),
    )
    try:
        assert program.run() is None
    finally:
        sys.unraisablehook = hook
    assert target == [] and raised == [ValueError]


def test_many_old_values() -> None:
    died: list[int] = []
    target = {i: Watched(lambda: died.append(len(target))) for i in range(500)}
    program = Program(target)
    one = program.const(1)
    for i in range(100):
        program.emit("DICT_SET", a=0, b=one, obj=i)
    program.emit("DICT_ASSIGN", one, one, a=0)
    program.run()
    assert died == [1] * 500


# -- References ----------------------------------------------------------------------


def test_runs_leave_no_references() -> None:
    class Factory(list):
        pass  # list itself is used by everybody

    tensor, source, old = object(), Plain.__mro__, object()
    target: dict[str, Any] = {"k": old}
    items, members, order = [old], {old}, collections.OrderedDict(k=old)
    deque, cell = collections.deque([old]), types.CellType(old)
    instance = build("INSTANCE", obj=Slotted)
    key = Point(1, 2)
    cls = type("Fresh", (), {})
    program = Program(
        target,
        items,
        members,
        order,
        deque,
        cell,
        instance,
        cls,
        source,
        graph=(tensor,),
    )
    t = 9
    const = program.const(key)
    made = program.emit("LIST", t, const)
    program.emit("FILL_LIST", t, a=made)
    fresh = program.emit("INSTANCE", obj=Plain)
    program.emit("FILL_ATTRS", program.const("x"), t, program.const("y"), made, a=fresh)
    slotted = program.emit("INSTANCE", obj=Slotted)
    program.emit("FILL_SLOT", a=slotted, b=t, obj=Slotted.x)
    out = [
        fresh,
        slotted,
        program.emit("STRUCT", t, t, obj=Point),
        program.emit("STRUCT", *[t] * 11, obj=time.struct_time),
        program.emit("DICT", const, t),
        program.emit("SET", const, t),
        program.emit("FROZENSET", t),
        program.emit("SLICE", t, t, t),
        program.emit("CELL", a=t),
        program.emit("DICT_LIKE", const, t, obj=MyODict),
        program.emit("DICT_LIKE", const, t, obj=MyDefault, a=program.const(Factory)),
        program.emit("LIST_LIKE", const, t, obj=MyDeque, a=program.const(4)),
        program.emit("LIST_LIKE", const, t, obj=MySet),
    ]
    result = program.emit("TUPLE", *out)
    program.emit("DICT_SET", a=0, b=t, obj="k")
    program.emit("DICT_SET", t, a=0, b=t)
    program.emit("DICT_DEL", t, a=0)
    program.emit("ATTRS_SET", a=0, b=t, obj="attr")
    program.emit("LIST_ASSIGN", t, const, a=1)
    program.emit("LIST_APPEND", a=1, b=t)
    program.emit("SET_ASSIGN", t, a=2)
    program.emit("DICT_ASSIGN", const, t, a=3)
    program.emit("DICT_ASSIGN", const, t, a=0)
    program.emit("DEQUE_ASSIGN", t, t, a=4)
    program.emit("CELL_SET", a=5, b=t)
    program.emit("SLOT_SET", a=6, b=t, obj=Slotted.x)
    program.emit("TYPE_SET", a=7, b=t, obj="k")
    program.returns(result)
    watched = [
        tensor,
        source,
        old,
        key,
        Plain,
        Slotted,
        Point,
        MyODict,
        MyDefault,
        Factory,
    ]
    program.run(3)
    gc.collect()
    before = [sys.getrefcount(o) for o in watched]
    objects = len(gc.get_objects())
    program.run(1000)
    gc.collect()
    assert [sys.getrefcount(o) for o in watched] == before
    assert len(gc.get_objects()) - objects < 20  # (others may let go of some)


def test_a_failing_run_leaves_no_references() -> None:
    tensor, bad = object(), Unhashable()
    program = Program([], bad, graph=(tensor,))
    program.emit("LIST", 2, 1)
    program.emit("SET", 2, 1)
    before = sys.getrefcount(tensor), sys.getrefcount(bad)
    for _ in range(100):
        with pytest.raises(MemoryError):
            program.run()
    assert (sys.getrefcount(tensor), sys.getrefcount(bad)) == before


def test_the_program_owns_its_constants() -> None:
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    program = Program()
    program.const(thing)
    program.emit("INSTANCE", obj=Thing)
    owned = testing.replay_visit(program.handle)
    assert owned[0] is thing and owned[1] is Thing and len(owned) == 2
    del thing, owned
    assert gone() is not None
    del program
    assert gone() is None
