"""Run the workloads under each compiler; a table of what was counted."""

from __future__ import annotations

import dataclasses
import gc
import logging
import warnings
from collections.abc import Iterable
from typing import Any

from magpy_experiments.dynamic import generate, sweeps
from magpy_experiments.dynamic.case import Case, bar, compilers, measure
from magpy_experiments.measure import step

#: How far what a compiler makes may be from eager, which it need not repeat to the bit.
_TOLERANCES = {"eager": 0.0, "aot_eager": 1e-5}
_COMPILED_TOLERANCE = 1e-3


def cases(quick: bool) -> list[Case]:
    """Return all workloads."""
    generated = generate.cases(12) if quick else generate.cases()
    return sweeps.cases(quick) + generated


def run(chosen: Iterable[Case], backend: str, alone: bool) -> list[dict[str, Any]]:
    """Measure the cases.

    Args:
        chosen: which ones.
        backend: of both compilers.
        alone: without torch.compile.
    """
    tolerance = _TOLERANCES.get(backend, _COMPILED_TOLERANCE)
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    rows = []
    for case in chosen:
        row: dict[str, Any] = {"name": case.name}
        for who, make in compilers(backend).items():
            if alone and who != "magpy":
                continue
            with step(f"{case.name}: {who}"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                counted = measure(case, make, tolerance)
            row[who] = dataclasses.asdict(counted)
            if who == "magpy":
                row["over the bar"] = bar(case, counted)
            gc.collect()
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a table: graphs, recordings, eager calls, wrong results."""
    width = max((len(row["name"]) for row in rows), default=0)
    head = "graphs recorded eager wrong"
    lines = [f"{'':{width}}  calls  {'magpy: ' + head:>34}  {'torch.compile: ' + head}"]
    for row in rows:
        text = f"{row['name']:{width}}  {row['magpy']['calls']:>5}  "
        for who in ("magpy", "torch.compile"):
            if who in row:
                counts = (row[who][key] for key in ("graphs", "recordings"))
                text += "".join(f"{n:>9}" for n in counts)
                text += f"{row[who]['eager']:>8}{row[who]['wrong']:>8}  "
        lines.append(
            text + ("OVER: " + row["over the bar"]) * bool(row["over the bar"])
        )
    return lines
