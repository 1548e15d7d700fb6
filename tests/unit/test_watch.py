"""Watching: events, stop and pause, nesting, threads.  Needs no torch."""

from __future__ import annotations

import dis
import gc
import json
import os
import subprocess
import sys
import textwrap
import threading
import types
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from compat_watch import (
    PY311,
    PY313,
    Watched,
    add,
    count,
    fib,
    many_locals,
    needs_watch,
    testing,
)

# -- Events --------------------------------------------------------------------------


@needs_watch
def test_small_function() -> None:
    w = Watched(add, 2, 3)
    assert w.result == 5
    assert w.rows("enter")[0][:3] == (add.__code__, True, add)
    assert w.rows("enter")[0][3] is Watched.__init__.__code__
    loads = ["LOAD_FAST_LOAD_FAST"] if PY313 else ["LOAD_FAST", "LOAD_FAST"]
    assert w.ops(add) == [
        *loads,
        "BINARY_OP",
        "STORE_FAST",
        "LOAD_FAST",
        "RETURN_VALUE",
    ]
    assert w.log[-1] == ("leave", True, True, 5)
    first_line = add.__code__.co_firstlineno
    lines = [row[6] - first_line for row in w.rows("instr")]
    assert lines == [1] * len(loads) + [1, 1, 2, 2]
    # Column 7 is what stands on top of the stack before the instruction.
    tops = [row[7] for row in w.rows("instr")]
    assert tops == [None, 2][: len(loads)] + [3, 5, None, 5]


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


DEEP = """
import sys
from compat_watch import Watched

def down(n):
    return 0 if n == 0 else 1 + down(n - 1)

limit = sys.getrecursionlimit()
sys.setrecursionlimit(60_000)
w = Watched(down, 50_000)
assert w.result == 50_000
assert w.log[-1] == ("lost", "Python frames are nested too deep")
sys.setrecursionlimit(limit)

def forever(n):
    return forever(n + 1)

assert isinstance(Watched(forever, 0).error, RecursionError)
"""


@needs_watch
def test_deep_recursion_is_lost_not_broken() -> None:
    # In a process of its own: where TorchDynamo has been at work, each of these calls
    # takes some of the C stack.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = [sys.executable, "-c", DEEP]
    done = subprocess.run(run, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


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
    import magpy

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
    import time

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
