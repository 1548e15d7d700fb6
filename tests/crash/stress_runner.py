"""Run the programs of tests/programs while something else interrupts them.

    python stress_runner.py STRESS EVERY FIRST

Each call of a compiled function is made under the stress; the oracle compares it with
eager, undisturbed.  A hit is not asked for: a recording may end for the stress.
"""

from __future__ import annotations

import cProfile
import dataclasses
import gc
import importlib
import itertools
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "programs")]

from oracle import Case, check, engine_compile  # noqa: E402

DELAYS = (2e-6, 1e-5, 3e-5, 1e-4)
ticks = 0
chance = random.Random(1)


def tracer(frame, event, arg):
    return tracer


def profiler(frame, event, arg):
    pass


def work(n: int) -> list:
    made = [n, {"k": n}]
    made[1]["j"] = sorted([3, 1, n])
    return made


inner = engine_compile(work)


def look() -> None:
    """As a sampling profiler does.  (f_locals would keep the program's objects alive.)"""
    frame: Any = sys._getframe()
    while frame is not None:
        _ = frame.f_code, frame.f_lineno, frame.f_lasti, frame.f_trace_opcodes
        frame = frame.f_back


HANDLERS: dict[str, Callable[[], Any]] = {
    "signal": lambda: None,
    "compiled": lambda: inner(ticks % 3),
    "reset": lambda: inner.reset(),
    "trace": lambda: sys.settrace(None if sys.gettrace() else tracer),
    "profile": lambda: sys.setprofile(None if sys.getprofile() else profiler),
    "look": look,
    "collect": lambda: gc.collect(0),
}


class Garbage:
    """A cycle whose finalizer runs Python and a compiled function."""

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        global ticks
        ticks += 1
        inner(ticks % 3)


@contextmanager
def signals(handler: Callable[[], Any]) -> Iterator[None]:
    """The handler is Python code inside the watched run; it is none of the program's."""

    def on_alarm(signum, frame):
        global ticks
        ticks += 1
        work(ticks)
        handler()
        if armed:
            signal.setitimer(signal.ITIMER_REAL, chance.choice(DELAYS))

    armed = True
    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, chance.choice(DELAYS))
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.settrace(None)
        sys.setprofile(None)


@contextmanager
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(1)
    for _ in range(50):
        Garbage()
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def tool(name: str) -> Iterator[None]:
    """A debugger or profiler that was there first."""
    sys.settrace(tracer if name == "settrace" else None)
    sys.setprofile(profiler if name == "setprofile" else None)
    try:
        yield
    finally:
        sys.settrace(None)
        sys.setprofile(None)


def stress(name: str) -> Any:
    if name in HANDLERS:
        return signals(HANDLERS[name])
    if name == "cProfile":
        return cProfile.Profile()
    return collector() if name == "garbage" else tool(name)


class Stressed:
    def __init__(self, name: str, fn: Callable[..., Any]) -> None:
        self.name = name
        self.fast = engine_compile(fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with stress(self.name):
            return self.fast(*args, **kwargs)


def programs() -> Iterator[Case]:
    for path in sorted((TESTS / "programs").glob("test_*.py")):
        if path.stem in ("test_tensors", "test_warnings"):
            continue  # (filters are the process's: two worlds would share them)
        for table in vars(importlib.import_module(path.stem)).values():
            if isinstance(table, list):
                yield from (case for case in table if isinstance(case, Case))


def main(name: str, every: int, first: int) -> None:
    count = hits = 0
    for case in itertools.islice(programs(), first, None, every):
        try:
            pair = check(
                dataclasses.replace(case, hit=False),
                lambda fn: Stressed(name, fn),
                lambda stressed: stressed.fast.stats(),
            )
        except BaseException as error:
            error.add_note(f"in {case.name}:\n{case.source}")
            raise
        count += 1
        hits += pair.stats()["hits"]
    print(f"{name}: {count} programs, {hits} hits, {ticks} ticks", file=sys.stderr)
    assert count > 10
    if name in HANDLERS or name == "garbage":
        assert ticks > 100 and hits > 10, "no stress, or nothing but eager"
    print("ok")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
