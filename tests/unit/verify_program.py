"""Functions compiled and verified by the bare engine; divergences are noted."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("magpy._engine_testing")

from magpy._engine import CompiledFunction

SPACE: dict[str, Any] = {"__name__": "program"}


class Reports:
    """Notes divergences; asks for no exception unless it is told to."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.error: BaseException | None = None

    def report(self, info: dict[str, Any]) -> BaseException | None:
        self.found.append(info)
        return self.error

    @property
    def parts(self) -> list[str]:
        return [info["part"] for info in self.found]


def verified(fn: Any, every: int = 1, **options: Any) -> tuple[Any, Reports]:
    """Compile with the bare engine and verify."""
    reports = Reports()
    compiled = CompiledFunction(fn, **options)
    compiled.set_verify(every, reports)
    return compiled, reports


def counts(compiled: Any) -> dict[str, int]:
    names = ("calls", "hits", "recordings", "verified", "diverged", "fallbacks")
    return {name: compiled.stats()[name] for name in names}
