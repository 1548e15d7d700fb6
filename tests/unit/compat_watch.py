"""Watched calls, for the tests of `engine/compat/`.  Needs no torch."""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

testing = pytest.importorskip("magpy._engine_testing")

UNAVAILABLE = testing.watch_available()
needs_watch = pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))
PY311 = sys.version_info[:2] == (3, 11)
PY313 = sys.version_info >= (3, 13)
PY314 = sys.version_info >= (3, 14)


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
        # What a collection calls (hooks of other libraries) is no part of the call.
        collects = gc.isenabled()
        gc.disable()
        try:
            self.result = testing.watch(fn, args, self.log, want, on_instr, *stop)
        except BaseException as error:
            self.error = error
        finally:
            if collects:
                gc.enable()
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
    for i in range(n):
        yield i


def many_locals(n: int) -> Callable[[], int]:
    """A function of n locals: the later ones need EXTENDED_ARG."""
    lines = [f"    x{i} = {i + 1000}" for i in range(n)]
    source = "\n".join(["def f():", *lines, f"    return x{n - 1} + x0", ""])
    scope: dict[str, Any] = {}
    exec(source, scope)
    return scope["f"]
