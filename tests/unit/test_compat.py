"""Decoding, static stack depths and private layouts.  Needs no torch."""

from __future__ import annotations

import asyncio
import contextlib
import dis
import gc
import json
import opcode
import random
import re
import subprocess
import sys
import textwrap
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from compat_watch import (
    PY311,
    PY313,
    PY314,
    UNAVAILABLE,
    add,
    many_locals,
    needs_watch,
    testing,
)

# -- Decoding ------------------------------------------------------------------------

#: What the recorder does not know: it aborts there.  (Statements of modules and of
#: coroutines, and what the interpreter adds for itself.)
UNKNOWN = {"CACHE", "EXTENDED_ARG", "RESERVED", "EXIT_INIT_CHECK", "ENTER_EXECUTOR"}


@needs_watch
def test_every_opcode_of_this_version_is_decoded() -> None:
    """By CPython's own table: a new instruction must not pass unseen."""
    special = getattr(opcode, "_specialized_opmap", {})
    for name, number in opcode.opmap.items():
        if number > 255 or name in special or name.startswith("INSTRUMENTED_"):
            continue
        known = "UNKNOWN" if name in UNKNOWN else folded(name)
        assert testing.canonical(number) == known


def all_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from all_codes(const)


def library_codes() -> list[types.CodeType]:
    modules = [
        json.decoder,
        re._parser,
        dis,
        textwrap,
        contextlib,
        random,
        asyncio.streams,
    ]
    codes: list[types.CodeType] = []
    for module in [*modules, subprocess, threading, types]:
        with open(module.__file__, encoding="utf-8") as file:
            codes += all_codes(compile(file.read(), module.__file__, "exec"))
    return codes


#: Instructions that are decoded as others, with the same parts in other places.
SAME = {
    "LOAD_FAST_BORROW": "LOAD_FAST",
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": "LOAD_FAST_LOAD_FAST",
    "NOT_TAKEN": "NOP",
    "POP_ITER": "POP_TOP",
    "CALL_KW": "CALL",
    "FORMAT_SIMPLE": "FORMAT_VALUE",
    "FORMAT_WITH_SPEC": "FORMAT_VALUE",
    "CONVERT_VALUE": "FORMAT_VALUE",
}


def folded(op: str) -> str:
    op = SAME.get(op, op.replace("_NO_INTERRUPT", ""))
    return re.sub("^POP_JUMP_(FORWARD|BACKWARD)_", "POP_JUMP_", op)


@needs_watch
def test_decoding_agrees_with_dis() -> None:
    n = 0
    for code in library_codes():
        table = testing.decode(code)
        for ins in dis.get_instructions(code):
            if ins.opname == "EXTENDED_ARG":
                continue
            n += 1
            op, arg, flag, _, following, target, _ = table[ins.offset // 2]
            if op == "LOAD_METHOD" and ins.opname == "LOAD_ATTR":
                assert ins.arg == 2 * arg + 1
            elif op == "LOAD_CLOSURE" and PY313:
                assert ins.opname in ("LOAD_FAST", "LOAD_FAST_BORROW")
                assert ins.argval in code.co_cellvars + code.co_freevars
            elif op == "BINARY_SUBSCR" and PY314:
                assert (ins.opname, ins.argrepr) == ("BINARY_OP", "[]")
            else:
                assert op == folded(ins.opname)
            if op.count("_FAST") == 2:
                names = tuple(code.co_varnames[i] for i in (arg, flag))
                assert names == ins.argval
            if ins.opname.startswith("CALL"):
                assert flag == (ins.opname == "CALL_KW")
            if ins.opcode in dis.hasjrel and op != "END_ASYNC_FOR":
                skipped = 0 if PY311 else 2 if PY313 and not PY314 else 1
                end_for = (op == "FOR_ITER") * skipped
                assert target == ins.argval // 2 + end_for
            else:
                assert target == -1
            if op in (
                "LOAD_GLOBAL",
                "LOAD_NAME",
                "STORE_ATTR",
                "LOAD_ATTR",
                "LOAD_METHOD",
            ):
                name = code.co_names[arg]
                shown = ins.argval
                forms = (f"NULL + {name}", f"NULL|self + {name}", f"{name} + NULL")
                assert shown in (name, *forms, f"{name} + NULL|self")
                if op == "LOAD_GLOBAL":
                    assert flag == ins.arg & 1
            elif op == "LOAD_CONST":
                assert code.co_consts[arg] is ins.argval
            elif op == "COMPARE_OP":
                assert opcode.cmp_op[arg] == ins.argval
                assert flag == ins.argrepr.startswith("bool(")  # from 3.13 on
            assert following > ins.offset // 2
    assert n > 20_000


@needs_watch
def test_every_reachable_instruction_has_a_depth() -> None:
    """Depths stay within the stack that the compiler reserved; handlers are marked."""
    handlers = 0
    for code in library_codes():
        table = testing.decode(code)
        assert table[0][3] == 0
        assert all(-1 <= row[3] <= code.co_stacksize for row in table)
        starts = {entry.target // 2 for entry in dis._parse_exception_table(code)}
        assert {i for i, row in enumerate(table) if row[6]} == starts
        handlers += len(starts)
        for i, row in enumerate(table):
            if row[0] == "RETURN_VALUE" and row[3] >= 0:
                assert row[3] >= 1, (code, i)
    assert handlers > 100


def workload() -> None:
    """Library code of many kinds: closures, handlers, generators, with, match, async."""
    data = {"a": [1, 2.5, None, True, {"b": "c"}], "d": "text" * 5}
    assert json.loads(json.dumps(data, indent=2)) == data
    re.compile(r"(?P<x>a+|b*)(c|d){2,3}?[^e-g]\w+", re.I | re.X).match("aacdxx")
    textwrap.fill("some words to be wrapped " * 10, width=30)
    random.Random(3).sample(range(100), 10)
    list(dis.get_instructions(many_locals(260)))
    match data:
        case {"a": [1, *rest], "d": str(text)} if rest:
            data["e"] = text
        case _:
            raise AssertionError
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(KeyError))
            stack.callback(lambda: None)
            raise KeyError(1)
    finally:
        data.clear()
    try:
        raise ExceptionGroup("g", [ValueError(1), KeyError(2)])
    except* ValueError as group:
        data["v"] = group.exceptions
    except* KeyError:
        pass

    async def numbers() -> Any:
        for i in range(3):
            await asyncio.sleep(0)
            yield i

    async def main() -> int:
        async with asyncio.Lock():
            return sum([i async for i in numbers()])

    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(main()) == 3
    finally:
        loop.close()
    source = "def f(x, *a, y=1, **k):\n  class A: z = x\n  return lambda: (A, y)"
    compile(source, "f", "exec")


@needs_watch
def test_depths_are_those_of_the_interpreter() -> None:
    events, saved, tops, bad = testing.check_depths(workload)
    assert bad == []
    assert events > 20_000
    assert (
        tops > 2_000
    )  # what LOAD_FAST and LOAD_CONST pushed was found where it must be
    if PY311:
        assert saved == events  # 3.11 saves its stack pointer in trace events


@needs_watch
def test_local_kinds() -> None:
    def outer(a: int, b: int) -> Any:
        c = a

        def inner(d: int) -> int:
            return b + c + d

        return inner

    kinds = dict(
        zip(
            outer.__code__.co_varnames + outer.__code__.co_cellvars[1:],
            testing.local_kinds(outer.__code__),
            strict=False,
        )
    )
    assert kinds["a"] == 0x20
    assert kinds["b"] == 0x20 | 0x40
    assert testing.local_kinds(outer(1, 2).__code__) == [0x20, 0x80, 0x80]


# -- Layouts -------------------------------------------------------------------------


def test_instance_dict() -> None:
    class Plain:
        pass

    class Slots:
        __slots__ = ("a",)

    o = Plain()
    assert testing.instance_dict(o) == {}
    o.x = 1  # type: ignore[attr-defined]
    assert testing.instance_dict(o) is o.__dict__
    assert testing.instance_dict(Slots()) is None
    assert testing.instance_dict(3) is None
    assert testing.instance_dict(json) is json.__dict__
    assert add.__dict__ is testing.instance_dict(add)
    late = ValueError(1)  # its __reduce__ shows a dict
    assert testing.instance_dict(late) is None
    assert late.__reduce__() == (ValueError, (1,))


def test_dict_version_changes() -> None:
    d: dict[Any, Any] = {"a": 1}
    changes = [
        lambda: d.update(b=2),
        lambda: d.__setitem__("a", 3),
        lambda: d.pop("b"),
        d.clear,
    ]
    for change in changes:
        before = testing.dict_version(d)
        change()
        assert testing.dict_version(d) != before
    if UNAVAILABLE is None and not PY314:
        assert testing.dict_version(d) == testing.dict_version(d)


@pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))
@pytest.mark.parametrize("keys", [("a", "b"), (1, "b")])
def test_values_that_are_exchanged_change_the_version(keys: tuple[Any, ...]) -> None:
    old, new = 10**20, 10**20 + 0 * len(keys)
    d: dict[Any, Any] = {keys[0]: old, keys[1]: 1}
    seen = {testing.dict_version(d)}
    for was, now in [(old, new), (new, old), (old, new)]:
        testing.swap_held(d, was, now)
        assert d[keys[0]] is now
        seen.add(testing.dict_version(d))
        other = {"n": len(seen)}
        assert testing.dict_version(other) not in seen
    assert len(seen) == 4
    testing.swap_held(d, object(), None)  # holds nothing of it
    assert testing.dict_version(d) in seen or PY314  # (which has no versions)


def test_versions_of_dicts_never_come_back() -> None:
    """Guards take a dict of a known version for the same dict with the same content."""
    if UNAVAILABLE is not None:
        pytest.skip(UNAVAILABLE)

    class Plain:
        pass

    o = Plain()
    changes: list[Callable[[dict[Any, Any]], object]] = [
        lambda d: None,
        lambda d: d.__setitem__("a", 1),
        lambda d: d.__setitem__("a", 2),
        lambda d: d.setdefault("b", 3),
        lambda d: d.update(c=4),
        lambda d: d.__ior__({"e": 5}),
        lambda d: d.pop("c"),
        lambda d: d.popitem(),
        lambda d: d.__delitem__("a"),
        lambda d: d.clear(),
        lambda d: d.__init__(f=6),  # type: ignore[misc]
    ]
    makers: list[Callable[[], dict[Any, Any]]] = [
        dict, Plain().__dict__.copy, lambda: vars(o), lambda: {"a": 0}.copy(),
        lambda: dict.fromkeys("ab"), lambda: {"a": 0}, lambda: {k: k for k in "ab"},
    ]  # fmt: skip
    states: dict[int, tuple[object, str]] = {}
    for i in range(100):  # what is freed is used again, at the same addresses
        for make in makers:
            d = make()
            which = "o" if d is vars(o) else (i, make)
            for change in changes:
                change(d)
                state = (which, repr(d))
                assert states.setdefault(testing.dict_version(d), state) == state
    assert len(states) > 100 * len(makers) * (len(changes) - 3)


def test_versions_of_types_never_come_back() -> None:
    seen = 0
    kept = type("Kept", (), {"x": 0})
    for i in range(300):  # what is freed is used again, at the same addresses
        made = type(f"Made{i % 3}", (kept,), {"y": i})
        for change in (
            lambda: None,
            lambda: setattr(made, "y", 1),
            lambda: setattr(kept, "x", i),
            lambda: setattr(made, "__bases__", (type("Base", (kept,), {}),)),
            lambda: delattr(made, "y"),
            sys._clear_type_cache,
        ):
            change()
            version = testing.type_lookup(made, "x")[1]
            assert version > seen or change is sys._clear_type_cache
            assert version >= seen
            seen = version
        made = None
        if i % 50 == 0:
            gc.collect()


def test_dict_lookups() -> None:
    class Odd(str):
        pass

    value = object()
    assert testing.dict_find({"a": value}, "a") is value
    assert testing.dict_find({"a": value}, "b") is None
    assert testing.dict_find({1: value}, 1) is value
    assert testing.dict_keys_are_str({"a": 1})
    assert testing.dict_keys_are_str({})
    assert not testing.dict_keys_are_str({1: 1})
    assert not testing.dict_keys_are_str({Odd("a"): 1})


def test_type_lookup() -> None:
    class Base:
        x = 1

    class Child(Base):
        pass

    assert testing.type_lookup(Child, "x")[0] == 1
    version = testing.type_lookup(Child, "x")[1]
    assert version == testing.type_lookup(Child, "y")[1]
    Base.x = 2
    value, version_after = testing.type_lookup(Child, "x")
    assert value == 2
    assert version_after != version


def test_taking_and_restoring_an_exception() -> None:
    def fail() -> None:
        try:
            {}["missing"]
        except KeyError as error:
            raise RuntimeError("x") from error

    def lazy() -> None:
        int("x")

    with pytest.raises(RuntimeError) as caught:
        testing.reraise(fail)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.traceback[-1].name == "fail"
    with pytest.raises(ValueError, match="invalid literal"):
        testing.reraise(lazy)


def test_every_opcode_says_what_it_reads():
    """An answer for each, and who guards it: a function that exists."""
    engine = pytest.importorskip("magpy._engine")
    root = Path(__file__).parents[2]
    code = "".join(path.read_text() for path in (root / "engine").rglob("*.c"))
    defined = set(re.findall(r"^(\w+)\([^;]*?\)\n\{", code, re.MULTILINE))
    rows = {row["name"]: row["reads"] for row in engine.opcodes()}
    for name, reads in rows.items():
        first = reads.split()[0].rstrip(":,;")
        if first in ("nothing", "refused"):
            continue
        if first in ("as", "the") and reads.split()[1].rstrip(":,") in {*rows, "same"}:
            continue
        assert set(re.findall(r"`(\w+)`", reads)) & defined, name
