"""Timing and progress for the command line."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


def synchronize(device: str) -> None:
    """Wait until `device` has done all its work."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def once(function: Callable[[], object], device: str) -> float:
    """Return the seconds that one call takes."""
    synchronize(device)
    start = time.perf_counter()
    function()
    synchronize(device)
    return time.perf_counter() - start


def interleaved(
    functions: Mapping[str, Callable[[], object]],
    device: str,
    *,
    rounds: int,
    inner: int = 1,
) -> dict[str, float]:
    """Return the median seconds per call of each function.

    The functions take turns, so that a slow moment of the machine hits all alike.

    Args:
        functions: what to measure, by name.
        device: waited for around each measurement.
        rounds: how many measurements of each.
        inner: how many calls one measurement consists of.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            repeated = range(inner)
            synchronize(device)
            start = time.perf_counter()
            for _ in repeated:
                function()
            synchronize(device)
            times[name].append((time.perf_counter() - start) / inner)
    return {name: statistics.median(taken) for name, taken in times.items()}


def duration(seconds: float) -> str:
    """Return seconds in a unit that reads well: ``12.3 us``."""
    for limit, factor, unit in ((1e-3, 1e6, "us"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


@contextmanager
def step(text: str) -> Iterator[None]:
    """Show on stderr what is being done: a spinner on a terminal, else a line."""
    if sys.stderr.isatty():
        try:
            from rich.console import Console
        except ImportError:
            pass
        else:
            with Console(stderr=True).status(text):
                yield
            return
    print(f"... {text}", file=sys.stderr, flush=True)
    yield
