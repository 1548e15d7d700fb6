"""Writes of effect programs, and what fails before any is made."""

from __future__ import annotations

import collections
import contextlib
import contextvars
import datetime
import functools
import gc
import inspect
import io
import os
import sys
import time
import types
import warnings
import weakref
from typing import Any

import pytest
from effect_program import (
    MISSING,
    Covered,
    MyDeque,
    MyDict,
    MyList,
    MyODict,
    MySet,
    Plain,
    Point,
    Program,
    Slotted,
    Unhashable,
    build,
    testing,
)

# -- Writes --------------------------------------------------------------------------


def apply(
    target: Any, kind: str, *values: Any, b: Any = MISSING, obj: Any = MISSING
) -> None:
    """Run one write on target."""
    program = Program(target)
    items = [program.const(value) for value in values]
    right = -1 if b is MISSING else program.const(b)
    program.emit(kind, *items, a=0, b=right, obj=obj)
    assert program.run() is None


@pytest.mark.parametrize("cls", [dict, MyDict, collections.OrderedDict, MyODict])
def test_dict_set_and_del(cls: type) -> None:
    target = build("DICT_LIKE", "a", 1, "b", 2, obj=cls)
    apply(target, "DICT_SET", obj="c", b=3)
    apply(target, "DICT_SET", obj="a", b=4)
    apply(target, "DICT_DEL", obj="b")
    apply(target, "DICT_DEL", obj="absent")
    base = collections.OrderedDict if issubclass(cls, collections.OrderedDict) else dict
    assert list(base.items(target)) == [("a", 4), ("c", 3)]


def test_dict_set_with_a_key_register() -> None:
    key, target = Point(1, 2), {}
    program = Program(target, key)
    value = program.const(3)
    program.emit("DICT_SET", 1, a=0, b=value)
    program.run()
    assert next(iter(target)) is key
    program = Program(target, key)
    program.emit("DICT_DEL", 1, a=0)
    program.run()
    assert target == {}


def test_dict_set_does_not_ask_default_factory() -> None:
    target = collections.defaultdict(lambda: pytest.fail("factory ran"))
    apply(target, "DICT_SET", obj="a", b=1)
    assert target == {"a": 1}


def test_attrs_set_and_del() -> None:
    value = build("INSTANCE", obj=Covered)
    apply(vars(value), "ATTRS_SET", obj="x", b=1)
    apply(vars(value), "ATTRS_SET", obj="z", b=2)
    assert vars(value) == {"x": 1, "z": 2} and value.z == 2
    apply(vars(value), "ATTRS_DEL", obj="z")
    apply(vars(value), "ATTRS_DEL", obj="z")
    assert vars(value) == {"x": 1}


def test_attrs_set_on_a_module_is_seen_by_its_code() -> None:
    module = types.ModuleType("m")
    exec("x = 1\ndef read(): return x", vars(module))
    for _ in range(100):
        module.read()
    apply(vars(module), "ATTRS_SET", obj="x", b=2)
    assert module.read() == 2


def test_slot_set_and_del() -> None:
    value = build("INSTANCE", obj=Slotted)
    apply(value, "SLOT_SET", obj=Slotted.y, b=1)
    assert value.y == 1
    apply(value, "SLOT_DEL", obj=Slotted.y)
    apply(value, "SLOT_DEL", obj=Slotted.y)
    assert not hasattr(value, "y")


def test_cell_set_and_del() -> None:
    cell = types.CellType(1)
    apply(cell, "CELL_SET", b=2)
    assert cell.cell_contents == 2
    apply(cell, "CELL_DEL")
    apply(cell, "CELL_DEL")
    assert cell == types.CellType()


def test_type_set_and_del() -> None:
    class Meta(type):
        def __setattr__(cls, name: str, value: Any) -> None:
            raise AssertionError("metaclass __setattr__ ran")

        __delattr__ = __setattr__  # type: ignore

        @property
        def guarded(cls) -> int:
            return 1

        @guarded.setter
        def guarded(cls, value: int) -> None:
            raise AssertionError("metaclass property ran")

    class Base(metaclass=Meta):
        def __call__(self) -> int:
            return self.x

        x = 1

    class Sub(Base):
        pass

    sub = Sub()
    assert [sub() for _ in range(100)] == [1] * 100
    apply(Base, "TYPE_SET", obj="x", b=2)
    apply(Base, "TYPE_SET", obj="__len__", b=lambda self: 7)
    assert sub() == 2 and len(sub) == 7
    apply(Base, "TYPE_DEL", obj="__len__")
    apply(Base, "TYPE_DEL", obj="__len__")
    with pytest.raises(TypeError):
        len(sub)
    for cls, name in ((Base, "guarded"), (int, "x")):
        with pytest.raises(TypeError, match="cannot replay"):
            apply(cls, "TYPE_SET", obj=name, b=1)


@pytest.mark.parametrize("cls", [list, MyList])
def test_list_append_and_assign(cls: type) -> None:
    target = build("LIST_LIKE", 1, 2, obj=cls)
    apply(target, "LIST_APPEND", b=3)
    assert list(list.__iter__(target)) == [1, 2, 3]
    apply(target, "LIST_ASSIGN", *range(20))
    assert list(list.__iter__(target)) == list(range(20))
    apply(target, "LIST_ASSIGN")
    assert list.__len__(target) == 0
    list.append(target, 1)
    assert list(list.__iter__(target)) == [1]


@pytest.mark.parametrize("cls", [set, MySet])
@pytest.mark.parametrize("before", [0, 3, 100])
@pytest.mark.parametrize("after", [0, 3, 100])
def test_set_assign(cls: type, before: int, after: int) -> None:
    target = build("LIST_LIKE", *range(before), obj=cls)
    apply(target, "SET_ASSIGN", *range(50, 50 + after))
    assert sorted(set.__iter__(target)) == list(range(50, 50 + after))
    set.add(target, -1)
    assert set.__contains__(target, -1) and set.__len__(target) == after + 1


@pytest.mark.parametrize(
    "cls",
    [dict, MyDict, collections.OrderedDict, MyODict, collections.defaultdict],
)
def test_dict_assign(cls: type) -> None:
    target = build("DICT_LIKE", *range(40), obj=cls)
    apply(target, "DICT_ASSIGN", "z", 1, 0, 2, "a", 3)
    base = collections.OrderedDict if issubclass(cls, collections.OrderedDict) else dict
    assert list(base.items(target)) == [("z", 1), (0, 2), ("a", 3)]
    assert list(dict.keys(target)) == ["z", 0, "a"]
    apply(target, "DICT_ASSIGN")
    assert dict.__len__(target) == 0
    dict.__setitem__(target, 1, 2) if base is dict else base.__setitem__(target, 1, 2)
    assert list(base.items(target)) == [(1, 2)]


def test_dict_assign_on_the_dict_of_an_instance() -> None:
    class Thing:
        pass

    thing, other = Thing(), Thing()
    thing.x, other.x = 1, 2
    apply(vars(thing), "DICT_ASSIGN", "y", 3, "x", 4)
    assert list(vars(thing).items()) == [("y", 3), ("x", 4)]
    assert (thing.y, other.x) == (3, 2)


@pytest.mark.parametrize("cls", [collections.deque, MyDeque])
def test_deque_assign(cls: type) -> None:
    target = build("LIST_LIKE", *range(200), obj=cls, a=100)
    apply(target, "DEQUE_ASSIGN", *range(5))
    assert list(collections.deque.__iter__(target)) == list(range(5))
    assert target.maxlen == 100


@pytest.mark.parametrize("items", [(), (1,), (1, 2)])
def test_iterators_over_a_deque_notice(items: tuple[int, ...]) -> None:
    target = collections.deque(items)
    before = iter(target)
    apply(target, "DEQUE_ITEMS", *items)
    assert list(before) == list(items)
    before = iter(target)
    apply(target, "DEQUE_ASSIGN", *items)
    with pytest.raises(RuntimeError, match="mutated"):
        next(before)
    assert list(target) == list(items)


@pytest.mark.parametrize("after", [b"", b"ab", b"c" * 1000])
def test_bytes_assign(after: bytes) -> None:
    target = bytearray(b"ab")
    program = Program(target)
    program.emit("BYTES_ASSIGN", a=0, b=program.const(after))
    program.run(2)
    assert target == after


def test_bytes_assign_where_memory_is_shared() -> None:
    target, log = bytearray(b"ab"), []
    view = memoryview(target)
    for after, error in ((b"cd", None), (b"c", BufferError), ("cd", TypeError)):
        program = Program(target, log)
        value = program.const(after)
        program.emit("LIST_APPEND", a=1, b=1)
        program.emit("BYTES_ASSIGN", a=0, b=value)
        if error is None:
            program.run()
            continue
        with pytest.raises(error):
            program.run()
    assert bytes(view) == b"cd"
    assert len(log) == 1


@pytest.mark.parametrize(
    "items", [[1, 2], (1, 2), {1: 3, 2: 4}, {3: 1, 4: 2}.values(), range(1, 3)]
)
def test_advance(items: Any) -> None:
    it = iter(items)
    program = Program(it)
    program.emit("ADVANCE", a=0)
    program.run()
    assert next(it) == 2
    program.run()  # exhausted, and stays so
    program.run()
    assert list(it) == []


def test_what_an_exhausted_iterator_went_through_dies_after_the_writes() -> None:
    class Watched(list):
        def __del__(self) -> None:
            seen.append(list(log))

    log: list[Any] = []
    seen: list[Any] = []
    program = Program(list.__iter__(Watched()), log)
    one = program.const(1)
    program.emit("ADVANCE", a=0)
    program.emit("LIST_APPEND", a=1, b=one)
    program.run()
    assert seen == [[1]]


def test_write_and_flush() -> None:
    below = io.BytesIO()
    program = Program(io.StringIO(), io.TextIOWrapper(below, "utf-8"))
    for text, at in (("a", 0), ("é", 1), ("b", 0)):
        program.emit("WRITE", a=at, obj=text)
    program.run()
    assert program.sources[0].getvalue() == "ab"
    assert below.getvalue() == b""
    program.emit("FLUSH", a=1)
    program.run()
    assert below.getvalue() == "éé".encode()
    for value in ("late", 1):
        late = Program(io.StringIO())
        text = late.const(value)
        late.emit("WRITE_TEXT", a=0, b=text)
        with (
            contextlib.nullcontext() if value == "late" else pytest.raises(SystemError)
        ):
            late.run()
        assert late.sources[0].getvalue() == ("late" if value == "late" else "")


def test_contexts() -> None:
    var = contextvars.ContextVar("var", default=0)
    program = Program()
    token = program.emit("CONTEXT_SET", a=program.const(5), obj=var)
    used = program.emit("TOKEN", obj=var)
    made = program.returns(program.emit("TUPLE", token, used)).run()
    assert var.get() == 5 and [t.var for t in made] == [var, var]
    with pytest.raises(RuntimeError):
        var.reset(made[1])
    back = Program(made[0])
    back.emit("CONTEXT_RESET", a=0, obj=var)
    back.run()
    assert var.get() == 0
    with pytest.raises(TypeError):
        back.run()  # used


def test_contexts_are_as_before_if_the_building_fails() -> None:
    var = contextvars.ContextVar("var", default=0)
    program = Program(1, [])
    program.emit("CONTEXT_SET", a=program.const(5), obj=var)
    program.emit("CONTEXT_SET", a=program.const(6), obj=var)
    program.emit("DICT_SET", a=1, b=0, obj="k")  # a list
    with pytest.raises(TypeError):
        program.run()
    assert var.get() == 0
    program = Program([])
    program.emit("CONTEXT_SET", a=program.const(5), obj=var)
    program.emit("SET", 0)
    with pytest.raises(TypeError):
        program.returns(0).run()
    assert var.get() == 0


class _Handle:
    """As torch's methods that set a hook answer."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self.hooks, self.hook = hooks, hook
        hooks.append(hook)

    def remove(self) -> None:
        self.hooks.remove(self.hook)


def test_hooks_are_set_in_order() -> None:
    hooks: list[Any] = []
    program = Program(hooks, "later", "first")
    first = program.emit("HOOK", 0, 2, obj=_Handle)
    later = program.emit("HOOK", 0, 1, obj=_Handle)
    silent = program.emit("HOOK", 0, obj=list.reverse)
    made = program.returns(program.emit("TUPLE", later, first, silent)).run()
    assert hooks == ["later", "first"]
    assert [made[0].hook, made[1].hook, made[2]] == ["later", "first", None]
    with pytest.raises(SystemError, match="ill-formed"):
        program.emit("HOOK", obj=_Handle)


def test_nodes_of_gradients_are_asked_for() -> None:
    program = Program(types.SimpleNamespace(grad_fn="node"))
    made = program.emit("GRAD_FN", a=0)
    program.returns(made)
    assert program.text("t") == ["return t.grad_fn"]
    assert program.run() == "node"
    program = Program(1)  # has none
    with pytest.raises(AttributeError):
        program.returns(program.emit("GRAD_FN", a=0)).run()


def test_hooks_are_taken_back_if_the_building_fails() -> None:
    hooks: list[Any] = ["before"]
    program = Program(hooks, "hook", [])
    program.emit("HOOK", 0, 1, obj=_Handle)
    program.emit("SET", 2)  # a list does not hash
    with pytest.raises(TypeError):
        program.returns(0).run()
    assert hooks == ["before"]
    program = Program(hooks, "hook", [])
    program.emit("HOOK", 0, 1, obj=_Handle)
    program.emit("DICT_SET", a=2, b=0, obj="k")  # a list
    with pytest.raises(TypeError):
        program.returns(0).run()
    assert hooks == ["before"]


@pytest.mark.usefixtures("own_warnings")
def test_warn_asks_the_registry_and_the_filters_of_that_moment(monkeypatch) -> None:
    names: dict[str, Any] = {}
    told = (UserWarning, "text", "file", 3, "module", names)
    program = Program(warnings.warn, warnings._filters_mutated)  # type: ignore[attr-defined]
    program.emit("WARN", a=0, obj=told)
    shown = []
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    for _ in range(2):
        program.run()
        shown.append(sys.stderr.getvalue())  # type: ignore[attr-defined]
    assert shown == ["file:3: UserWarning: text\n"] * 2, "once for a place"
    assert names["__warningregistry__"][("text", UserWarning, 3)]
    late = Program(warnings.warn)
    late.emit("WARN_TEXT", a=0, b=late.const("late"), obj=(*told[:1], None, *told[2:]))
    late.run()
    assert sys.stderr.getvalue() == shown[-1] + "file:3: UserWarning: late\n"  # type: ignore[attr-defined]
    sys.stderr.truncate(len(shown[-1]))  # type: ignore[union-attr]
    sys.stderr.seek(len(shown[-1]))
    program.emit("FILTERS", a=1)
    for _ in range(2):
        program.run()
        shown.append(sys.stderr.getvalue())  # type: ignore[attr-defined]
    assert shown[2:] == [shown[0], shown[0] * 2], "forgotten behind each warning"
    warnings.filters.insert(0, ("error", None, UserWarning, None, 0))  # type: ignore[attr-defined]
    with pytest.raises(UserWarning, match="text"):
        program.run()


def tuples() -> list[Any]:
    """One object of each class that extends tuple, as far as this process has any."""
    found: dict[type, Any] = {}
    known = [
        time.gmtime(0), os.times(), os.uname(), os.terminal_size((1, 2)),
        os.statvfs("/"), os.stat("/"), sys.version_info, sys.flags, sys.float_info,
        sys.int_info, sys.hash_info, sys.thread_info, sys.get_asyncgen_hooks(),
        datetime.date(2024, 5, 6).isocalendar(), inspect.getfullargspec(tuples),
    ]  # fmt: skip
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        known += [torch.Size([1, 300]), torch.ones(2, 2).max(0), torch.ones(2).sort()]
    for o in [*known, *gc.get_objects()]:
        if issubclass(type(o), tuple) and type(o) is not tuple:
            found.setdefault(type(o), o)
    return list(found.values())


def test_tuples_are_made_as_they_are_or_refused() -> None:
    made = 0
    for o in tuples():
        kind, program = type(o), Program()
        items = [program.const(item) for item in tuple.__iter__(o)]
        try:
            program.returns(program.emit("STRUCT", *items, obj=kind))
        except TypeError:
            continue  # no such layout, or nobody can make one
        again = program.run()
        assert type(again) is kind
        both = zip(tuple.__iter__(o), tuple.__iter__(again), strict=True)
        assert all(x is y or (type(x) in (int, str) and x == y) for x, y in both)
        made += 1
    assert made >= 10


def test_what_is_kept_for_later_is_left_out_if_guards_fail() -> None:
    target: dict[Any, Any] = {}
    program = Program(target, True)
    program.emit("MEMO_SET", a=0, b=1, obj=10)
    program.emit("DICT_SET", a=0, b=1, obj=20)
    program.run(holds=False)
    assert target == {20: True}
    program.run()
    assert list(target.items()) == [(20, True), (10, True)]


def test_caches_count_and_keep() -> None:
    bounded, unbounded = functools.lru_cache(2)(abs), functools.lru_cache(None)(abs)
    for cache in (bounded, unbounded):
        cache(1)
        program = Program(cache, answer := [2])
        program.emit("CACHED_MISS", a=0)
        program.emit("CACHED_FILL", a=0, b=1, obj=(2, "k"))
        program.emit("CACHED_HIT", a=0, obj=1)
        program.emit("CACHED_HIT", a=0, obj=1)
        program.run()
        assert cache.cache_info()[:2] == (2, 2)
        assert cache(2, "k") is answer
        assert cache(1) == 1
        assert cache.cache_info()[:2] == (4, 2)
    program = Program(bounded, [3])
    program.emit("CACHED_FILL", a=0, b=1, obj=(2, "k"))
    program.run()
    assert bounded(2, "k") == [2]  # what is there stays
    assert bounded(1) == 1
    assert bounded.cache_info() == (6, 2, 2, 2)
    bounded(3)  # throws out what was not asked for longest
    assert bounded(1) == 1
    assert bounded.cache_info()[:2] == (7, 3)
    with pytest.raises(TypeError):
        bounded(2, "k")
    kept = weakref.ref(held := type("Held", (), {})())
    program = Program(unbounded, held)
    program.emit("CACHED_FILL", a=0, b=1, obj="k")
    program.run()
    del program, held
    assert kept() is unbounded("k")
    unbounded.cache_clear()
    gc.collect()
    assert kept() is None
    for obj in (MISSING, [], {}):
        with pytest.raises(SystemError):
            Program(unbounded).emit("CACHED_HIT", a=0, obj=obj)


def test_a_warning_is_told_whole() -> None:
    program = Program(warnings.warn)
    good = (UserWarning, "text", "file", 3, "module", {})
    for i, bad in enumerate([1, 2, 3, "4", None, None]):
        with pytest.raises(SystemError):
            program.emit("WARN", a=0, obj=(*good[:i], bad, *good[i + 1 :]))
    with pytest.raises(SystemError):
        program.emit("WARN", a=0, obj=good[:5])


def test_a_file_may_raise() -> None:
    """All other writes are done by then; what comes after in a file is not written."""
    log: list[Any] = []
    program = Program(log, io.TextIOWrapper(io.BytesIO(), "ascii"))
    program.emit("LIST_APPEND", a=0, b=0)
    program.emit("WRITE", a=1, obj="é")
    program.emit("LIST_APPEND", a=0, b=0)
    with pytest.raises(UnicodeEncodeError):
        program.run()
    assert log == [log, log]


def test_writes_happen_in_order() -> None:
    target: list[Any] = []
    program = Program(target)
    one, two, three = (program.const(i) for i in (1, 2, 3))
    program.emit("LIST_APPEND", a=0, b=one)
    program.emit("LIST_ASSIGN", two, two, a=0)
    program.emit("LIST_APPEND", a=0, b=three)
    program.run()
    assert target == [2, 2, 3]


def test_a_write_may_store_what_another_write_changes() -> None:
    first: list[Any] = []
    second: dict[str, Any] = {}
    program = Program(first, second)
    program.emit("LIST_ASSIGN", 1, 0, a=0)
    program.emit("DICT_SET", a=1, b=0, obj="first")
    program.run()
    assert first[0] is second and first[1] is first and second["first"] is first


def test_a_failing_builder_commits_nothing() -> None:
    target: list[Any] = [1]
    program = Program(target, Unhashable())
    program.emit("LIST", 0)
    program.emit("SET", 1)
    program.emit("LIST_APPEND", a=0, b=0)
    with pytest.raises(MemoryError):
        program.run()
    assert target == [1]


@pytest.mark.parametrize("kind", ["SET_ASSIGN", "DICT_ASSIGN"])
def test_failing_to_stage_commits_nothing(kind: str) -> None:
    first, target = [1], {0} if kind == "SET_ASSIGN" else {0: 0}
    before = type(target)(target)
    program = Program(first, target, Unhashable())
    program.emit("LIST_APPEND", a=0, b=0)
    program.emit(kind, 2, 2, a=1)
    with pytest.raises(MemoryError):
        program.run()
    assert first == [1] and target == before


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        ("DICT_SET", "k"),
        ("MEMO_SET", "k"),
        ("ATTRS_SET", "k"),
        ("SLOT_SET", Slotted.x),
        ("CELL_SET", MISSING),
        ("TYPE_SET", "k"),
        ("LIST_APPEND", MISSING),
        ("LIST_ASSIGN", MISSING),
        ("SET_ASSIGN", MISSING),
        ("DICT_ASSIGN", MISSING),
        ("DEQUE_ASSIGN", MISSING),
        ("DEQUE_ITEMS", MISSING),
        ("BYTES_ASSIGN", MISSING),
        ("ADVANCE", MISSING),
        ("CACHED_HIT", 1),
        ("CACHED_MISS", MISSING),
        ("CACHED_FILL", 1),
        ("WRITE", "text"),
        ("FLUSH", MISSING),
        ("CONTEXT_RESET", contextvars.ContextVar("var")),
        ("WARN", (UserWarning, "text", "file", 3, "module", {})),
        ("FILTERS", MISSING),
        ("FILL_LIST", MISSING),
        ("FILL_DICT", MISSING),
        ("FILL_ATTRS", "attrs"),
        ("FILL_SLOT", Slotted.x),
        ("FILL_CELL", MISSING),
    ],
)
def test_a_target_of_another_type_commits_nothing(kind: str, obj: Any) -> None:
    first: list[Any] = []
    program = Program(first, 5)
    if kind.startswith("FILL"):
        items = []
        if obj == "attrs":
            items, obj = [program.const("x"), 0], MISSING
        program.emit(kind, *items, a=1, b=0, obj=obj)
    program.emit("LIST_APPEND", a=0, b=0)
    if not kind.startswith("FILL"):
        program.emit(kind, a=1, b=0, obj=obj)
    with pytest.raises((TypeError, AttributeError)):
        program.run()
    assert first == []


@pytest.mark.parametrize(
    ("kind", "items", "kw"),
    [
        ("NO_SUCH", [], {}),
        ("CONST", [], {}),
        ("TUPLE", [5], {}),
        ("TUPLE", [-1], {}),
        ("TUPLE", [0], {"obj": 1}),
        ("DICT", [0], {}),
        ("SLICE", [0, 0], {}),
        ("CELL", [0], {}),
        ("CELL", [], {"a": 9}),
        ("METHOD", [], {"a": 0}),
        ("INSTANCE", [], {"obj": 1}),
        ("FUNCTION", [0] * 11, {"obj": 1}),
        ("FILL_LIST", [0], {}),
        ("SLOT_SET", [], {"a": 0, "b": 0, "obj": "x"}),
        ("SLOT_SET", [], {"a": 0, "b": 0, "obj": Covered.x}),
        ("ATTRS_SET", [], {"a": 0, "b": 0, "obj": 1}),
        ("DICT_SET", [], {"a": 0, "b": 0}),
        ("DICT_SET", [0], {"a": 0, "b": 0, "obj": "k"}),
        ("DICT_SET", [], {"a": 0, "obj": "k"}),
        ("RETURN", [], {}),
    ],
)
def test_ill_formed_ops_are_refused(kind: str, items: list[int], kw: Any) -> None:
    program = Program([])
    before = testing.replay_info(program.handle)
    with pytest.raises(SystemError, match="ill-formed"):
        program.emit(kind, *items, **kw)
    assert testing.replay_info(program.handle)["n_ops"] == before["n_ops"]


def test_builders_may_not_follow_writes() -> None:
    program = Program([])
    program.emit("LIST_APPEND", a=0, b=0)
    with pytest.raises(SystemError, match="ill-formed"):
        program.emit("LIST")


def test_counters() -> None:
    program = Program([], graph=(1,))
    program.emit("LIST", 1)
    program.emit("FILL_LIST", 1, a=2)
    program.emit("LIST_ASSIGN", 2, a=0)
    program.returns(2)
    expected = {"n_ops": 4, "n_regs": 4, "n_commit": 2, "result": 2}
    assert testing.replay_info(program.handle) == expected


@pytest.mark.parametrize("kind", ["builders", "writes"])
def test_out_of_memory_anywhere_before_the_commit(kind: str) -> None:
    memory = pytest.importorskip("_testcapi")
    target: list[Any] = []
    program = Program(target)
    one = program.const(1)
    items = [program.emit("LIST", one, one) for _ in range(90)]
    instance = program.emit("INSTANCE", obj=Plain)
    program.emit("FILL_ATTRS", program.const("x"), items[0], a=instance)
    program.emit("DICT_LIKE", one, one, obj=collections.OrderedDict)
    out = program.emit("TUPLE", *items)
    if kind == "writes":
        program.emit("LIST_ASSIGN", *items, a=0)
    program.returns(out)
    failures = 0
    for start in range(1000):
        memory.set_nomemory(start, start + 1)
        try:
            program.run()
        except MemoryError:
            failures += 1
        else:
            break
        finally:
            memory.remove_mem_hooks()
        assert target == []
    assert failures > 3
