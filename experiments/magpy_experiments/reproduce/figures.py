"""From cells to tables."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from magpy_experiments.measure import duration
from magpy_experiments.reproduce.plan import Cell, Figure
from magpy_experiments.reproduce.systems import FRONTS, title

Measured = Mapping[str, Any]

#: What stands in a table for a cell without a number.
MARKS = {
    "wrong": "wrong",
    "error": "error",
    "crash": "crash",
    "timeout": "timeout",
    "unavailable": "n/a",
}
_FIRST = ("eager run", "recording", "capture", "graph building", "backend")
_CACHED = (
    "graphs", "guards", "inputs", "effects, outputs", "guards, inputs, effects, outputs"
)  # fmt: skip


@dataclass
class Table:
    """A table of texts, and notes on its cells."""

    title: str
    head: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> str:
        """Return the number of a note; equal texts are one note."""
        if text not in self.notes:
            self.notes.append(text)
        return f"[{self.notes.index(text) + 1}]"

    def markdown(self) -> str:
        """Return it as Markdown that reads well as it is."""
        widths = [
            max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)
        ]

        def line(cells: Sequence[str]) -> str:
            padded = [
                cell.ljust(width) if at == 0 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            return f"| {' | '.join(padded)} |"

        rule = "| " + " | ".join(
            "-" * width if at == 0 else "-" * (width - 1) + ":"
            for at, width in enumerate(widths)
        )
        lines = [f"**{self.title}**", "", line(self.head), f"{rule} |"]
        lines += map(line, self.rows)
        lines += ["", *(f"[{n}] {text}  " for n, text in enumerate(self.notes, 1))]
        return "\n".join(lines).rstrip() + "\n"


def is_number(measured: Measured | None) -> bool:
    """Was the cell measured, with eager's numbers?"""
    return measured is not None and measured["status"] in ("ok", "differs")


def speed(measured: Measured) -> float:
    """How much faster than eager in the same process."""
    eager: float = measured["eager"]["median"]
    return eager / float(measured["system"]["median"])


def data(figure: Figure, cells: Mapping[str, Measured]) -> dict[str, Any]:
    """Return what a figure shows, as plain data."""
    shown = {cell.key: dict(cells[cell.key]) for cell in figure.cells()
             if cell.key in cells}  # fmt: skip
    return {"figure": figure.name, "title": figure.title, "cells": shown}


def digest(figure: Figure, cells: Mapping[str, Measured]) -> str:
    """Return what tells whether a picture was drawn from these cells."""
    text = json.dumps(data(figure, cells), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def tables(figure: Figure, cells: Mapping[str, Measured]) -> list[Table]:
    """Return the tables of a figure."""
    if figure.kind == "parts":
        return [*_parts(figure, cells)]
    if figure.kind == "front":
        return [*_grids(figure, cells), *_fronts(figure, cells)]
    return [*_grids(figure, cells)]


def text(figure: Figure, cells: Mapping[str, Measured]) -> str:
    """Return the tables of a figure, one below the other."""
    return "\n".join(table.markdown() for table in tables(figure, cells))


# -- a row per system, a column per model ----------------------------------------------


def _grids(figure: Figure, cells: Mapping[str, Measured]) -> Iterator[Table]:
    for vary in figure.vary:
        for batch in figure.batches:
            models = [
                cell.model for cell in figure.cells()
                if (cell.vary, cell.batch) == (vary, batch)
            ]  # fmt: skip
            models = list(dict.fromkeys(models))
            if models:
                yield _grid(figure, cells, vary, batch, models)


def _grid(
    figure: Figure,
    cells: Mapping[str, Measured],
    vary: str,
    batch: int,
    models: Sequence[str],
) -> Table:
    where = f", {vary} varies" if vary else f", batch {batch}"
    counted = figure.kind == "graphs"
    what = "" if counted else "; ms per call (how many times as fast as eager)"
    table = Table(f"{figure.title}{where}{what}", ["", *models])
    if not counted:
        table.head.append("geometric mean")
    for system in figure.systems:
        found = [
            cells.get(Cell(figure.kind, model, system, batch, vary).key)
            for model in models
        ]
        if not any(found):
            continue
        row = [title(system), *(_cell(table, each) for each in found)]
        if not counted:
            row.append(_mean([speed(m) for m in found if m and is_number(m)]))
        table.rows.append(row)
    for line in _rivals(figure, cells, vary, batch, models):
        table.rows.append(line)
    return table


def _cell(table: Table, measured: Measured | None) -> str:
    if measured is None:
        return ""
    if not is_number(measured):
        mark = MARKS[measured["status"]]
        return f"{mark} {table.note(measured['reason'])}"
    extra = ""
    if measured["status"] == "differs":
        extra = " " + table.note(f"numbers are eager's, but {measured['reason']}")
    for why in measured.get("stats", {}).get("as recorded", ()):
        extra += " " + table.note(why)
    if "graphs" in measured and "system" not in measured:
        return f"{measured['graphs']}{extra}"
    median = 1e3 * measured["system"]["median"]
    return f"{median:.3g} ({speed(measured):.2f}){extra}"


def _mean(speeds: Sequence[float]) -> str:
    if not speeds:
        return ""
    return f"{statistics.geometric_mean(speeds):.2f} of {len(speeds)}"


def _rivals(
    figure: Figure,
    cells: Mapping[str, Measured],
    vary: str,
    batch: int,
    models: Sequence[str],
) -> Iterator[list[str]]:
    """MagPy against TorchDynamo with each backend that both have."""
    if figure.kind == "graphs":
        return
    for system in figure.systems:
        front, _, backend = system.partition("-")
        if front != FRONTS[0]:
            continue
        ratios = []
        line = [f"MagPy : TorchDynamo, {title(f'magpy-{backend}').partition('-')[2]}"]
        for model in models:
            pair = [
                cells.get(
                    Cell(figure.kind, model, f"{each}-{backend}", batch, vary).key
                )
                for each in FRONTS
            ]
            if all(map(is_number, pair)):
                ours, theirs = (each["system"]["median"] for each in pair if each)
                ratios.append(theirs / ours)
                line.append(f"{theirs / ours:.2f}")
            else:
                line.append("")
        if ratios:
            yield [*line, _mean(ratios)]


# -- parts of a call -------------------------------------------------------------------


def _parts(figure: Figure, cells: Mapping[str, Measured]) -> Iterator[Table]:
    for which, parts in (("first run", _FIRST), ("cached run", _CACHED)):
        table = Table(f"{figure.title}: {which}", ["", *parts, "call"])
        for model in figure.models:
            for system in figure.systems:
                found = cells.get(Cell(figure.kind, model, system).key)
                if found is None:
                    continue
                row = [f"{model}, {title(system)}"]
                if is_number(found):
                    row += _durations(found, which, parts)
                else:
                    mark = f"{MARKS[found['status']]} {table.note(found['reason'])}"
                    row += [mark, *[""] * len(parts)]
                table.rows.append(row)
        yield table


def _durations(measured: Measured, which: str, parts: Sequence[str]) -> list[str]:
    taken = measured[which]
    row = [duration(taken[part]) if part in taken else "" for part in parts]
    if which == "first run":
        whole = sum(measured["first"][:2])  # MagPy compiles in the second call
    else:
        whole = measured["system"]["median"]
    return [*row, duration(whole)]


# -- front ends ------------------------------------------------------------------------


def _fronts(figure: Figure, cells: Mapping[str, Measured]) -> Iterator[Table]:
    whats: dict[str, Callable[[Measured], str]] = {
        "capture, without the backend": lambda m: duration(max(m["capture"], 0.0)),
        "a call, without its graphs": lambda m: duration(m["overhead"]["median"]),
        "graphs that a call runs": lambda m: f"{m['graphs']}",
    }
    for what, word in whats.items():
        table = Table(f"{figure.title}: {what}", ["", *figure.models])
        for system in figure.systems:
            found = [cells.get(Cell(figure.kind, m, system).key) for m in figure.models]
            if any(found):
                words = [word(m) if is_number(m) and m else "" for m in found]
                table.rows.append([title(system), *words])
        yield table
