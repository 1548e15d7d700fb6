"""Watching, decoding, static stack depths and private layouts.  Needs no torch."""

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
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

testing = pytest.importorskip("magpy._engine_testing")

UNAVAILABLE = testing.watch_available()
needs_watch = pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))
PY311 = sys.version_info[:2] == (3, 11)


class Watched:
    """One watched call: its outcome and what the watcher was told."""

    def __init__(
        self,
        fn: Callable[..., Any],
        *args: Any,
        want: Callable[[types.CodeType], bool] | None = None,
        on_instr: Callable[[int], object] | None = None,
        stop: tuple[str, int] = ("", 0),
    ) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.result: Any = None
        self.error: BaseException | None = None
        try:
            self.result = testing.watch(fn, args, self.log, want, on_instr, *stop)
        except BaseException as error:
            self.error = error
        assert testing.watch_available() is None

    def rows(self, kind: str) -> list[tuple[Any, ...]]:
        return [row[1:] for row in self.log if row[0] == kind]

    def names(self) -> list[str]:
        return [row[0].co_name for row in self.rows("enter")]

    def ops(self, fn: Callable[..., Any]) -> list[str]:
        return [row[2] for row in self.rows("instr") if row[0] is fn.__code__]

    def indices(self, fn: Callable[..., Any]) -> list[int]:
        return [row[1] for row in self.rows("instr") if row[0] is fn.__code__]


def add(a: int, b: int) -> int:
    c = a + b
    return c


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def count(n: int) -> Iterator[int]:
    for i in range(n):  # noqa: UP028
        yield i


# -- Events --------------------------------------------------------------------------


@needs_watch
def test_small_function() -> None:
    w = Watched(add, 2, 3)
    assert w.result == 5
    assert w.rows("enter")[0][:3] == (add.__code__, True, add)
    assert w.rows("enter")[0][3] is Watched.__init__.__code__
    assert w.ops(add) == [
        "LOAD_FAST",
        "LOAD_FAST",
        "BINARY_OP",
        "STORE_FAST",
        "LOAD_FAST",
        "RETURN_VALUE",
    ]
    assert w.log[-1] == ("leave", True, True, 5)
    first_line = add.__code__.co_firstlineno
    assert [row[6] - first_line for row in w.rows("instr")] == [1, 1, 1, 1, 2, 2]
    # Column 7 is what stands on top of the stack before the instruction.
    assert [row[7] for row in w.rows("instr")] == [None, 2, 3, 5, None, 5]


@needs_watch
def test_nested_calls_and_callers() -> None:
    w = Watched(fib, 5)
    assert w.result == 5
    assert w.names() == ["fib"] * 15
    assert len(w.rows("leave")) == 15
    assert all(row[3] is fib.__code__ for row in w.rows("enter")[1:])


@needs_watch
def test_generator_resumes_are_not_fresh() -> None:
    def total(n: int) -> int:
        return sum(count(n))

    w = Watched(total, 2)
    assert w.result == 1
    entered = [(row[0].co_name, row[1]) for row in w.rows("enter")]
    assert entered == [
        ("total", True),
        ("count", True),
        ("count", False),
        ("count", False),
        ("count", False),
    ]
    results = [row[2] for row in w.rows("leave")]
    assert isinstance(results[0], types.GeneratorType)
    assert results[1:] == [0, 1, None, 1]


@needs_watch
def test_generator_survives_the_watch() -> None:
    def start() -> Iterator[int]:
        it = count(4)
        next(it)
        return it

    w = Watched(start)
    before = len(w.log)
    assert list(w.result) == [1, 2, 3]
    assert len(w.log) == before


@needs_watch
def test_generator_older_than_the_watch() -> None:
    it = count(3)
    next(it)
    w = Watched(lambda: list(it))
    assert w.result == [1, 2]
    assert [row[1] for row in w.rows("enter")] == [True, False, False, False]


@needs_watch
def test_throw_into_generator() -> None:
    def holder() -> Iterator[str]:
        try:
            yield "a"
        except KeyError:
            yield "b"

    def program() -> str:
        it = holder()
        next(it)
        return it.throw(KeyError("x"))

    w = Watched(program)
    assert w.result == "b"
    assert [(row[0].co_name, row[1]) for row in w.rows("enter")][-1] == (
        "holder",
        False,
    )
    assert "CHECK_EXC_MATCH" in w.ops(holder)


@needs_watch
def test_coroutines() -> None:
    async def inner(x: int) -> int:
        return x + 1

    async def outer() -> int:
        return await inner(1) + await inner(2)

    def program() -> int:
        coro = outer()
        try:
            coro.send(None)
        except StopIteration as stop:
            return stop.value
        return -1

    w = Watched(program)
    assert w.result == 5
    assert w.names().count("inner") == 4


@needs_watch
def test_exceptions_pass() -> None:
    def fail(x: int) -> None:
        raise ValueError(x)

    def guard() -> str:
        try:
            fail(7)
        except ValueError as error:
            return f"{error.args[0]}"
        return ""

    w = Watched(guard)
    assert w.result == "7"
    leaves = w.rows("leave")
    assert leaves[0][:2] == (True, False)
    assert isinstance(leaves[0][2], ValueError)
    w = Watched(fail, 8)
    assert isinstance(w.error, ValueError)
    frames = []
    tb = w.error.__traceback__
    while tb is not None:
        frames.append((tb.tb_frame.f_code.co_name, tb.tb_lineno))
        tb = tb.tb_next
    assert frames[-1] == ("fail", fail.__code__.co_firstlineno + 1)


@needs_watch
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, MemoryError])
def test_every_exit_restores(kind: type[BaseException]) -> None:
    def fail() -> None:
        raise kind

    w = Watched(fail)
    assert isinstance(w.error, kind)
    before = len(w.log)
    add(1, 2)
    assert len(w.log) == before
    assert sys.gettrace() is None


@needs_watch
def test_python_called_from_c() -> None:
    def key(x: int) -> int:
        return -x

    def program() -> list[int]:
        return sorted([1, 3, 2], key=key)

    w = Watched(program)
    assert w.result == [3, 2, 1]
    assert w.names() == ["program", "key", "key", "key"]
    assert w.ops(key).count("UNARY_NEGATIVE") == 3


@needs_watch
def test_skipped_frames_have_no_events() -> None:
    def inner(x: int) -> int:
        return x + 1

    def middle(x: int) -> int:
        y = inner(x)
        return y * 2

    def program() -> int:
        return middle(1) + 1

    w = Watched(program, want=lambda code: code is not middle.__code__)
    assert w.result == 5
    assert w.names() == ["program", "middle", "inner"]
    assert w.ops(middle) == []
    assert w.ops(inner)
    assert w.ops(program)[-1] == "RETURN_VALUE"
    assert [row[0] for row in w.rows("leave")] == [True, False, True]


@needs_watch
def test_same_code_watched_and_skipped() -> None:
    calls: list[bool] = []

    def want(code: types.CodeType) -> bool:
        if code is not add.__code__:
            return True
        calls.append(len(calls) % 2 == 0)
        return calls[-1]

    w = Watched(lambda: (add(1, 1), add(2, 2), add(3, 3), add(4, 4)), want=want)
    assert w.result == (2, 4, 6, 8)
    assert w.ops(add).count("BINARY_OP") == 2


def many_locals(n: int) -> Callable[[], int]:
    """A function of n locals: the later ones need EXTENDED_ARG."""
    lines = [f"    x{i} = {i + 1000}" for i in range(n)]
    source = "\n".join(["def f():", *lines, f"    return x{n - 1} + x0", ""])
    scope: dict[str, Any] = {}
    exec(source, scope)
    return scope["f"]


@needs_watch
def test_extended_arg_is_one_event() -> None:
    fn = many_locals(300)
    w = Watched(fn)
    assert w.result == 1299 + 1000
    assert w.ops(fn).count("STORE_FAST") == 300
    assert w.ops(fn).count("LOAD_CONST") == 300
    stored = [row[3] for row in w.rows("instr") if row[2] == "STORE_FAST"]
    assert stored == list(range(300))
    code = fn.__code__.co_code
    prefixed = [i for i in w.indices(fn) if code[2 * i] == dis.EXTENDED_ARG]
    assert len(prefixed) > 80
    table = testing.decode(fn.__code__)
    for i in prefixed:
        assert table[i] == table[i + 1]


@needs_watch
def test_extended_arg_jumps() -> None:
    body = "\n".join(f"        s += i * {k}" for k in range(200))
    source = f"def f(n):\n    s = 0\n    for i in range(n):\n{body}\n    return s\n"
    scope: dict[str, Any] = {}
    exec(source, scope)
    w = Watched(scope["f"], 3)
    assert w.result == 3 * sum(range(200))
    assert w.ops(scope["f"]).count("FOR_ITER") == 4


@needs_watch
def test_every_event_follows_from_the_last() -> None:
    """Within straight code the next event is at `next`, after jumps at next or target."""

    def program(n: int) -> int:
        s = 0
        while n > 0:
            n -= 1
            if n % 3 == 0 and n != 6 or n == 5:
                s += sum(x for x in range(n))
            else:
                s -= [k * 2 for k in range(n)][-1]
            for _ in ():
                s = 0
        return s

    w = Watched(program, 9)
    assert w.result == program(9)
    table = testing.decode(program.__code__)
    indices = w.indices(program)
    for a, b in zip(indices, indices[1:], strict=False):
        assert b in (table[a][4], table[a][5]), (a, b, table[a])


# -- Stop, pause, nesting ------------------------------------------------------------


@needs_watch
@pytest.mark.parametrize("kind", ["enter", "instr", "leave"])
@pytest.mark.parametrize("at", [0, 1, 5, 14])
def test_stop_in_the_middle(kind: str, at: int) -> None:
    w = Watched(fib, 6, stop=(kind, at))
    assert w.result == 8
    assert len(w.rows(kind)) == at + 1
    assert w.log[-1][0] == kind
    assert fib(6) == 8


@needs_watch
def test_stop_inside_a_generator_and_a_handler() -> None:
    def program() -> list[int]:
        out = []
        for x in count(3):
            try:
                if x == 1:
                    raise ValueError
                out.append(x)
            except ValueError:
                out.append(-1)
        return out

    total = len(Watched(program).rows("instr"))
    for at in range(total):
        w = Watched(program, stop=("instr", at))
        assert w.result == [0, -1, 2]
        assert len(w.rows("instr")) == at + 1


@needs_watch
def test_frame_flags_are_put_back() -> None:
    frames: list[Any] = []

    def program() -> int:
        frames.append(sys._getframe())
        return len(frames)

    for stop in (("", 0), ("instr", 3)):
        Watched(program, stop=stop)
        assert frames[-1].f_trace_lines
        assert not frames[-1].f_trace_opcodes


@needs_watch
def test_the_program_cannot_see_it() -> None:
    seen: list[Any] = []

    def program() -> None:
        seen.append(sys.gettrace())
        seen.append(sys.getprofile())

    Watched(program)
    assert seen == [None, None]


@needs_watch
def test_nested_watch_suspends_the_outer_one() -> None:
    inner_log: list[Any] = []

    def leaf() -> int:
        return 1

    def program() -> int:
        a = leaf()
        b = testing.watch(leaf, (), inner_log)
        return a + b + leaf()

    w = Watched(program)
    assert w.result == 3
    assert w.names() == ["program", "leaf", "leaf"]
    assert [row[0] for row in inner_log].count("enter") == 1
    assert w.ops(program)[-1] == "RETURN_VALUE"
    assert w.ops(leaf).count("RETURN_VALUE") + w.ops(leaf).count("RETURN_CONST") == 2


@needs_watch
def test_inner_stop_leaves_the_outer_watch() -> None:
    def program() -> int:
        return testing.watch(fib, (5,), [], None, None, "instr", 9) + fib(2)

    w = Watched(program)
    assert w.result == 6
    assert w.names() == ["program", "fib", "fib", "fib"]


@needs_watch
def test_python_in_a_callback_is_not_told() -> None:
    texts: list[Any] = []

    def on_instr(index: int) -> None:
        texts.append(json.dumps([index, fib(3)]))

    w = Watched(add, 1, 2, on_instr=on_instr)
    assert w.result == 3
    assert w.names() == ["add"]
    assert len(texts) == len(w.rows("instr"))


@needs_watch
def test_not_available_inside_a_callback() -> None:
    texts: list[Any] = []
    Watched(add, 1, 2, on_instr=lambda i: texts.append(testing.watch_available()))
    assert all("running" in text for text in texts)


@needs_watch
def test_finalizers_during_the_watch() -> None:
    class Loud:
        def __del__(self) -> None:
            fib(2)

    def program() -> int:
        x = Loud()
        del x
        return 3

    w = Watched(program)
    assert w.result == 3
    assert w.names() == ["program", "__del__", "fib", "fib", "fib"]


@needs_watch
def test_threads() -> None:
    """Other threads run the same code while this one is watched."""
    stop = threading.Event()
    results: list[int] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                results.append(fib(7))
        except BaseException as error:  # pragma: no cover
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for t in threads:
            t.start()
        for _ in range(20):
            w = Watched(fib, 7)
            assert w.result == 13
            assert w.names() == ["fib"] * 41
            assert len(w.rows("leave")) == 41
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        for t in threads:
            t.join()
    assert not errors
    assert set(results) == {13}


@needs_watch
def test_two_threads_watch_at_once() -> None:
    logs: dict[int, list[list[str]]] = {0: [], 1: []}

    def work(k: int) -> None:
        for _ in range(30):
            log: list[tuple[Any, ...]] = []
            assert testing.watch(fib, (6,), log) == 8
            logs[k].append([row[1].co_name for row in log if row[0] == "enter"])

    threads = [threading.Thread(target=work, args=(k,)) for k in logs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for runs in logs.values():
        assert runs == [["fib"] * 25] * 30


@needs_watch
def test_thread_started_by_the_program_is_not_told() -> None:
    def program() -> int:
        out: list[int] = []
        t = threading.Thread(target=lambda: out.append(fib(5)))
        t.start()
        t.join()
        return out[0]

    w = Watched(program, want=lambda code: code is program.__code__)
    assert w.result == 5
    assert "fib" not in w.names()


@needs_watch
def test_deep_recursion_is_lost_not_broken() -> None:
    def down(n: int) -> int:
        return 0 if n == 0 else 1 + down(n - 1)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(60_000)
    try:
        w = Watched(down, 50_000)
        assert w.result == 50_000
        assert w.log[-1] == ("lost", "Python frames are nested too deep")
    finally:
        sys.setrecursionlimit(limit)

    def forever(n: int) -> int:
        return forever(n + 1)

    w = Watched(forever, 0)
    assert isinstance(w.error, RecursionError)


@needs_watch
@pytest.mark.skipif(not PY311, reason="later versions have a slot of our own")
def test_another_tracer() -> None:
    calls: list[str] = []

    def tracer(frame: Any, event: str, arg: Any) -> Any:
        calls.append(event)
        return tracer

    sys.settrace(tracer)
    try:
        why = testing.watch_available()
    finally:
        sys.settrace(None)
    assert "trace function is active" in why

    def program() -> int:
        sys.settrace(tracer)
        try:
            return fib(3)
        finally:
            sys.settrace(None)

    calls.clear()
    w = Watched(program)
    assert w.result == 2
    assert w.log[-1][0] == "lost"
    assert calls.count("call") == 5
    sys.setprofile(lambda *a: None)
    try:
        why = testing.watch_available()
    finally:
        sys.setprofile(None)
    assert "profiler" in why


@needs_watch
@pytest.mark.skipif(PY311, reason="sys.monitoring is new in 3.12")
def test_all_tool_ids_taken() -> None:
    script = """
        import sys
        from magpy import _engine_testing as testing
        for i in range(6):
            sys.monitoring.use_tool_id(i, "other")
        print(testing.watch_available())
        sys.monitoring.free_tool_id(2)
        print(testing.watch_available(), sys.monitoring.get_tool(2))
    """
    out = run_script(script)
    assert out == "all tool ids of sys.monitoring are taken\nNone magpy\n"


def run_script(script: str) -> str:
    import magpy  # noqa: PLC0415

    path = repr(list(magpy.__path__))
    head = f"import sys, types\nm = types.ModuleType('magpy')\nm.__path__ = {path}\n"
    head += "sys.modules['magpy'] = m\n"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", head + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@needs_watch
def test_shutdown_with_cached_code() -> None:
    script = """
        from magpy import _engine_testing as testing
        def f():
            it = (i for i in range(3))
            next(it)
            return it
        def g():
            class A:
                def __del__(self):
                    f()
            return A()
        keep = [testing.watch(f, (), []), testing.watch(g, (), [])]
        testing.decode(f.__code__)
        print("done")
    """
    assert run_script(script) == "done\n"


@needs_watch
def test_no_references_leak() -> None:
    class Thing:
        pass

    def program(x: Thing) -> Thing:
        return [x, x][0]

    thing = Thing()
    ref = weakref.ref(thing)
    for _ in range(3):
        assert Watched(program, thing).result is thing
    before = sys.getrefcount(thing), sys.getrefcount(program.__code__)
    for _ in range(50):
        Watched(program, thing)
    assert (sys.getrefcount(thing), sys.getrefcount(program.__code__)) == before
    del thing
    gc.collect()
    assert ref() is None


@needs_watch
def test_code_dies_with_its_entry() -> None:
    for i in range(200):
        scope: dict[str, Any] = {}
        exec(f"def f(x):\n    return x + {i}", scope)
        assert Watched(scope["f"], 1).result == i + 1
    gc.collect()


@needs_watch
def test_speed_is_back_after_the_watch() -> None:
    """No event source stays on: neither of the two costs twice the time of the other."""
    import time  # noqa: PLC0415

    def best() -> float:
        times = []
        for _ in range(15):
            start = time.perf_counter()
            fib(14)
            times.append(time.perf_counter() - start)
        return min(times)

    best()
    before = best()
    Watched(fib, 8)
    Watched(fib, 8, stop=("instr", 50))
    assert best() < 2.5 * before + 1e-4


# -- Decoding ------------------------------------------------------------------------


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


def folded(op: str) -> str:
    op = op.replace("_NO_INTERRUPT", "")
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
            else:
                assert op == folded(ins.opname)
            if ins.opcode in dis.hasjrel:
                end_for = op == "FOR_ITER" and not PY311
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
                assert shown in (name, f"NULL + {name}", f"NULL|self + {name}")
                if op == "LOAD_GLOBAL":
                    assert flag == ins.arg & 1
            elif op == "LOAD_CONST":
                assert code.co_consts[arg] is ins.argval
            elif op == "COMPARE_OP":
                assert opcode.cmp_op[arg] == ins.argval
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
    if UNAVAILABLE is None:
        assert testing.dict_version(d) == testing.dict_version(d)


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
    code = "".join(path.read_text() for path in (root / "engine").glob("*.c"))
    defined = set(re.findall(r"^(\w+)\([^;]*?\)\n\{", code, re.MULTILINE))
    rows = {row["name"]: row["reads"] for row in engine.opcodes()}
    for name, reads in rows.items():
        first = reads.split()[0].rstrip(":,;")
        if first in ("nothing", "refused"):
            continue
        if first in ("as", "the") and reads.split()[1].rstrip(":,") in {*rows, "same"}:
            continue
        assert set(re.findall(r"`(\w+)`", reads)) & defined, name
