"""A workload whose sizes and numbers change from call to call, and how it is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

#: Makes something compiled of a function or module; eager: what it is given.
Compile = Callable[[Any], Any]
#: Builds a workload anew, and yields the result of one call after the other.
Run = Callable[[Compile], Iterator[Any]]


@dataclass(frozen=True)
class Case:
    """One workload.

    Attributes:
        name: of the row.
        run: the workload.
        most: how many graphs there may be: the bar.
        eager: how many calls may stay eager.
        numbers: recordings are counted for the bar, in place of graphs.
    """

    name: str
    run: Run
    most: int
    eager: int = 0
    numbers: bool = False


@dataclass
class Counted:
    """What one compiler has made of a workload."""

    graphs: int = 0
    recordings: int = 0
    eager: int = 0
    calls: int = 0
    wrong: int = 0  # results that are not those of eager
    seconds: float = 0.0
    why: list[str] = field(default_factory=list)  # reasons of eager calls and breaks


class Ours:
    """Compiles with MagPy, and counts."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.made: list[Any] = []

    def __call__(self, target: Any) -> Any:
        import magpy

        made = magpy.compile(target, backend=self.backend)
        self.made.append(made)
        return made

    def count(self, counted: Counted) -> None:
        """Add up the objects that were made."""
        import magpy

        for made in self.made:
            stats = magpy.stats(made)
            counted.graphs += stats["graphs"]
            counted.recordings += stats["recordings"]
            counted.eager += stats["fallbacks"]
            counted.calls += stats["calls"]
            counted.why += [f"{why} x{n}" for why, n in stats["reasons"].items()]
            counted.why += [f"break: {why} x{n}" for why, n in stats["breaks"].items()]


class Theirs:
    """Compiles with torch.compile, and counts what its backend sees."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.graphs = 0
        self.calls = 0
        self.ran = 0  # calls that have run, or made, a graph
        self._runs = False

    def __call__(self, target: Any) -> Any:
        torch.compiler.reset()
        from torch._dynamo.backends.registry import lookup_backend

        lower = lookup_backend(self.backend)

        def backend(module: Any, inputs: Any, **options: Any) -> Any:
            self.graphs += 1
            self._runs = True
            inner = lower(module, inputs, **options)

            def run(*args: Any) -> Any:
                self._runs = True
                return inner(*args)

            return run

        compiled = torch.compile(target, backend=backend)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            self._runs = False
            try:
                return compiled(*args, **kwargs)
            finally:
                self.ran += self._runs

        return call

    def count(self, counted: Counted) -> None:
        """Add up what was seen."""
        counted.graphs += self.graphs
        counted.recordings += self.graphs
        counted.calls += self.calls
        counted.eager += self.calls - self.ran


def compilers(backend: str) -> dict[str, Callable[[], Any]]:
    """Return a maker of each compiler that is compared."""
    return {"magpy": lambda: Ours(backend), "torch.compile": lambda: Theirs(backend)}


def same(ours: Any, theirs: Any, tolerance: float) -> bool:
    """Are two results equal, down to the bits, or within a tolerance of their size?"""
    if isinstance(theirs, torch.Tensor):
        if not isinstance(ours, torch.Tensor) or ours.shape != theirs.shape:
            return False
        if tolerance == 0.0 or not theirs.is_floating_point():
            return bool(ours.dtype == theirs.dtype and torch.equal(ours, theirs))
        return bool(torch.allclose(ours, theirs, rtol=tolerance, atol=tolerance))
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(
            same(a, b, tolerance) for a, b in zip(ours, theirs, strict=True)
        )
    if isinstance(theirs, float) and tolerance:
        return bool(abs(ours - theirs) <= tolerance * (1 + abs(theirs)))
    return bool(type(ours) is type(theirs) and ours == theirs)


def measure(case: Case, make: Callable[[], Any], tolerance: float) -> Counted:
    """Run a workload eager and compiled, in turn.

    Args:
        case: the workload.
        make: makes the compiler.
        tolerance: how far a result may be from eager; 0: not at all.
    """
    import time

    counted = Counted()
    compiler = make()
    torch.manual_seed(0)
    expected = list(case.run(lambda target: target))
    torch.manual_seed(0)
    start = time.perf_counter()
    results = list(case.run(compiler))
    counted.seconds = time.perf_counter() - start
    pairs = zip(results, expected, strict=True)
    counted.wrong = sum(not same(ours, theirs, tolerance) for ours, theirs in pairs)
    compiler.count(counted)
    return counted


def bar(case: Case, counted: Counted) -> str:
    """Return what is over the bar, or an empty text."""
    made = counted.recordings if case.numbers else counted.graphs
    what = "recordings" if case.numbers else "graphs"
    over = []
    if made > case.most:
        over.append(f"{made} {what}, at most {case.most}")
    if counted.eager > case.eager:
        over.append(f"{counted.eager} eager calls, at most {case.eager}")
    if counted.wrong:
        over.append(f"{counted.wrong} results differ from eager")
    return "; ".join(over)
