"""Effect programs as text."""

from __future__ import annotations

import collections
import contextvars
from pathlib import Path
from typing import Any

import pytest
from effect_program import (
    MyList,
    Plain,
    Point,
    Program,
    Slotted,
    Watched,
    holder,
    testing,
)

VAR = contextvars.ContextVar("VAR")

# -- Text ----------------------------------------------------------------------------


def test_text_inlines_what_is_used_once() -> None:
    program = Program({}, {}, graph=(1, 2))
    inner = program.emit("LIST", 2, program.const(1.5))
    shared = program.emit("LIST", 3)
    pair = program.emit("TUPLE", inner, shared)
    single = program.emit("TUPLE", shared)
    program.emit("DICT_SET", a=0, b=pair, obj="k'")
    program.emit("DICT_DEL", 3, a=0)
    program.emit("ATTRS_SET", a=1, b=single, obj="hidden")
    program.emit("ATTRS_DEL", a=0, obj="x")
    program.returns(shared)
    assert program.text("self.cache", "self.__dict__") == [
        "r1 = [graph[1]]",
        'self.cache["k\'"] = ([graph[0], 1.5], r1)',
        "self.cache.pop(graph[1], None)",
        "self.hidden = (r1,)",
        "del self.cache['x']",
        "return r1",
    ]


def test_text_of_builders() -> None:
    program = Program()
    c = program.const
    cell = program.emit("CELL")
    name = c("f")
    closure = program.emit("TUPLE", cell)
    code = test_text_of_builders.__code__
    fn = program.emit(
        "FUNCTION",
        *(c({}), name, name, -1, -1, closure, -1, -1, -1, c("Doc."), -1),
        obj=code,
    )
    instance = program.emit("INSTANCE", obj=Slotted)
    program.emit("FILL_SLOT", a=instance, b=c(None), obj=Slotted.x)
    program.emit("FILL_CELL", a=cell, b=instance)
    ordered = collections.OrderedDict
    out = program.emit(
        "LIST",
        fn,
        program.emit("SET", c(1), c(2)),
        program.emit("FROZENSET"),
        program.emit("DICT", c("a"), c(1), c("b"), c((1, ("x",)))),
        program.emit("DICT_LIKE", c("a"), c(b"1"), obj=ordered),
        program.emit("DICT_LIKE", obj=collections.defaultdict, a=c(list)),
        program.emit("LIST_LIKE", c(1), obj=MyList),
        program.emit("STRUCT", c(1), c(2), obj=Point),
        program.emit("SLICE", c(1), c(2), c(...)),
        program.emit("METHOD", a=c(holder), b=instance),
        program.emit("CELL", a=c(len)),
        c(Watched(lambda: None)),
        c(holder),
    )
    program.returns(out)
    here = Plain.__module__
    assert program.text() == [
        "r1 = cell()",
        f"r2 = new {here}.Slotted()",
        "r2.x = None",
        "r1.cell_contents = r2",
        (
            "return [function(test_text_of_builders, closure=(r1,), doc='Doc.'), "
            "set([1, 2]), frozenset([]), {'a': 1, 'b': (1, ('x',))}, "
            "new collections.OrderedDict() {'a': b'1'}, "
            "new collections.defaultdict(list) {}, "
            f"new {here}.MyList() [1], {here}.Point(1, 2), slice(1, 2, Ellipsis), "
            f"{here}.holder.__get__(r2), cell(len), <{here}.Watched object>, "
            f"{here}.holder]"
        ),
    ]


def test_text_of_writes() -> None:
    program = Program(*range(6))
    one = program.const(1)
    cyclic = program.emit("LIST")
    program.emit("FILL_LIST", cyclic, a=cyclic)
    mapping = program.emit("DICT")
    program.emit("FILL_DICT", one, mapping, a=mapping)
    instance = program.emit("INSTANCE", obj=Plain)
    program.emit("FILL_ATTRS", program.const("x"), one, a=instance)
    program.emit("SLOT_SET", a=0, b=one, obj=Slotted.x)
    program.emit("SLOT_DEL", a=0, obj=Slotted.x)
    program.emit("CELL_SET", a=1, b=one)
    program.emit("CELL_DEL", a=1)
    program.emit("TYPE_SET", a=2, b=one, obj="attr")
    program.emit("TYPE_DEL", a=2, obj="attr")
    program.emit("LIST_APPEND", a=3, b=one)
    program.emit("LIST_ASSIGN", one, one, a=3)
    program.emit("SET_ASSIGN", one, a=4)
    program.emit("SET_CHANGE", one, a=4, obj=b"0+")
    program.emit("DICT_ASSIGN", one, one, a=5)
    program.emit("DEQUE_ASSIGN", a=5)
    program.emit("BYTES_ASSIGN", a=5, b=one)
    program.emit("ADVANCE", a=5)
    program.emit("MEMO_SET", a=5, b=one, obj=10)
    program.emit("CACHED_MISS", a=5)
    program.emit("CACHED_FILL", a=5, b=one, obj=(1, "k"))
    program.emit("CACHED_HIT", a=5, obj=3)
    program.emit("WRITE", a=5, obj="text\n")
    program.emit("WRITE_TEXT", a=5, b=one)
    program.emit("FLUSH", a=5)
    program.emit("CONTEXT_RESET", a=5, obj=VAR)
    program.emit("WARN", a=5, obj=(UserWarning, "text", "file", 3, "module", {}))
    program.emit(
        "WARN_TEXT", a=5, b=one, obj=(UserWarning, None, "file", 3, "module", {})
    )
    program.emit("FILTERS", a=5)
    assert program.text(*"stuvwx") == [
        "r1 = []",
        "r1.extend([r1])",
        "r2 = {}",
        "r2.update({1: r2})",
        "r3 = new effect_program.Plain()",
        "r3.__dict__.update({'x': 1})",
        "s.x = 1",
        "del s.x",
        "t.cell_contents = 1",
        "del t.cell_contents",
        "u.attr = 1",
        "del u.attr",
        "v.append(1)",
        "v[:] = [1, 1]",
        "w <- set([1])",
        "w <- b'0+'(1)",
        "x <- {1: 1}",
        "x <- deque([])",
        "x[:] = 1",
        "next(x, None)",
        "x[10] = 1 if all still holds",
        "x misses",
        "x keeps 1 for (1, 'k')",
        "x hits at 3",
        "x.write('text\\n')",
        "x.write(1)",
        "x.flush()",
        "<_contextvars.ContextVar object>.reset(x)",
        "x(UserWarning, 'text', 'file', 3, 'module', <dict object>)",
        "x(UserWarning, None, 'file', 3, 'module', <dict object>)(1)",
        "x()",
    ]


def test_text_never_asks_user_objects() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> Any:
            raise AssertionError("metaclass ran")

        def __repr__(cls) -> str:
            raise AssertionError("repr ran")

    class Loud(str, metaclass=Meta):
        def __repr__(self) -> str:
            raise AssertionError("repr ran")

    program = Program()
    out = program.emit("TUPLE", program.const(Loud("x")), program.const(Loud))
    where = "test_text_never_asks_user_objects.<locals>.Loud"
    assert program.returns(out).text() == [
        f"return (<{__name__}.{where} object>, {__name__}.{where})"
    ]


def test_text_of_deep_nesting_does_not_crash() -> None:
    program = Program()
    register = program.emit("TUPLE")
    for _ in range(100_000):
        register = program.emit("TUPLE", register)
    program.returns(register)
    with pytest.raises(RecursionError):
        program.text()
    value, depth = program.run(), 0
    while value:
        value, depth = value[0], depth + 1
    assert depth == 100_000


def test_text_needs_a_name_for_every_source() -> None:
    program = Program(1, 2).returns(1)
    for names in ([], ["x"], ["x", 2], "xy"):
        with pytest.raises(SystemError):
            testing.replay_text(program.handle, names)


def test_every_row_has_a_test() -> None:
    folder = Path(__file__).parent
    files = [folder / "test_effect.py", *folder.glob("test_effect_*.py")]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [kind for kind in testing.replay_kinds() if f'"{kind}"' not in source] == []
