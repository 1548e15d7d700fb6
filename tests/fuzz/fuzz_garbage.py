"""Garbage of others that the collector finds in the middle of a recording.

Its finalizers write only to what no program reads: eager and compiled calls see them at
different times.  What they must not do is become a part of the run.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

THRESHOLDS = (1, 2, 3, 7, 25)
died: list[str] = []
_kept: list[Any] = []


class Dies:
    """With a finalizer in Python."""

    def __del__(self) -> None:
        died.append("del")
        for _ in range(2):
            [[i] for i in range(3)]


class DiesInC:
    """With one in C."""

    __del__ = functools.partial(died.append, "C")


class Plain:
    """Weak references to it have callbacks."""


def _waits() -> Generator[None, Any, None]:
    me = yield
    try:
        yield me
    finally:
        died.append("generator")


def _generator() -> Any:
    waits = _waits()
    next(waits)
    waits.send(waits)
    return Plain()


def _weak() -> Any:
    c = Plain()
    _kept.append(weakref.ref(c, lambda r: died.append("weak")))
    return c


def _weak_in_c() -> Any:
    c = Plain()
    _kept.append(weakref.ref(c, died.append))
    return c


def _finalize() -> Any:
    c = Plain()
    weakref.finalize(c, died.append, "finalize")
    return c


_MAKERS: tuple[Callable[[], Any], ...] = (
    Dies, DiesInC, _generator, _weak, _weak_in_c, _finalize,
)  # fmt: skip


def litter(number: int) -> None:
    """Make cycles of some kinds."""
    for i, make in enumerate(_MAKERS):
        if (number >> i) & 1:
            thing = make()
            thing.me = thing


def notices(source: str) -> bool:
    """Can a program see when its own cycles die?"""
    return any(word in source for word in ("weakref", "__del__", "finally", "gc."))


@contextlib.contextmanager
def littered(number: int) -> Iterator[None]:
    """The block runs with garbage around, and the collector at any moment."""
    threshold = gc.get_threshold()
    litter(number % 63 + 1)
    gc.set_threshold(THRESHOLDS[number % len(THRESHOLDS)])
    gc.enable()
    try:
        yield
    finally:
        gc.disable()
        gc.set_threshold(*threshold)
        del died[:], _kept[:]
