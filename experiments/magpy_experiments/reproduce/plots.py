"""From tables to pictures: bars beside each other, told apart in print as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magpy_experiments.reproduce import figures
from magpy_experiments.reproduce.figures import Measured, is_number
from magpy_experiments.reproduce.plan import Cell, Figure
from magpy_experiments.reproduce.results import ReproduceError
from magpy_experiments.reproduce.systems import parts, title

SUFFIXES = (".png", ".svg")
_FRONTS = {"magpy": "#2a7f62", "dynamo": "#e09f3e", "eager": "#8d99ae"}
_OTHERS = ("#5e548e", "#9f86c0", "#be95c4", "#335c67", "#9e2a2b")
_HATCHES = {
    "inductor": "", "reduce-overhead": "///", "torchscript": "...", "xla": "xxx",
    "onnxruntime": "\\\\\\", "tensorrt": "++", "cudagraphs": "oo",
}  # fmt: skip
_PART_COLOURS = {
    "eager run": "#8d99ae", "recording": "#2a7f62", "capture": "#e09f3e",
    "graph building": "#8fcbaa", "backend": "#335c67", "graphs": "#335c67",
    "guards": "#2a7f62", "inputs": "#8fcbaa", "effects, outputs": "#5e548e",
    "guards, inputs, effects, outputs": "#e09f3e",
}  # fmt: skip


def draw(figure: Figure, cells: Mapping[str, Measured], stem: Path) -> list[Path]:
    """Draw a figure as PNG and SVG; nothing if there is nothing to draw.

    Args:
        figure: what.
        cells: measured ones, by key.
        stem: the files without their suffixes.

    Raises:
        ReproduceError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure as Picture
    except ImportError:
        raise ReproduceError(
            "plots need matplotlib: pip install matplotlib, or pass --no-plots"
        ) from None
    matplotlib.rcParams.update({"svg.hashsalt": "magpy", "svg.fonttype": "none",
                                "hatch.linewidth": 0.5, "font.size": 8})  # fmt: skip
    picture = Picture(layout="constrained")
    drawn = (_stacks if figure.kind == "parts" else _bars)(picture, figure, cells)
    if not drawn:
        return []
    mark = figures.digest(figure, cells)
    files = [stem.with_suffix(suffix) for suffix in SUFFIXES]
    for file in files:
        metadata: dict[str, Any] = {"Description": f"data {mark}"}
        if file.suffix == ".svg":
            metadata["Date"] = None
        picture.savefig(file, dpi=200, metadata=metadata)
    return files


def _look(system: str, others: dict[str, str]) -> dict[str, Any]:
    front, backend = parts(system)
    if front not in _FRONTS:
        colour = others.setdefault(system, _OTHERS[len(others) % len(_OTHERS)])
    else:
        colour = _FRONTS[front]
    return {"color": colour, "hatch": _HATCHES.get(backend, ""), "edgecolor": "white",
            "linewidth": 0.5}  # fmt: skip


def _bars(picture: Any, figure: Figure, cells: Mapping[str, Measured]) -> bool:
    """A panel per model, a group per batch size, a bar per system."""
    rows = [
        (vary, batch, [c.model for c in figure.cells()
                       if (c.vary, c.batch) == (vary, batch)
                       and c.system == figure.systems[0]])
        for vary in figure.vary
        for batch in figure.batches
    ]  # fmt: skip
    rows = [row for row in rows if row[2]]
    systems = [
        system for system in figure.systems
        if any(is_number(cells.get(c.key)) for c in figure.cells() if c.system == system)
    ]  # fmt: skip
    if not rows or not systems:
        return False
    width = max(len(models) for _, _, models in rows)
    picture.set_size_inches(1.6 * width + 1, 1.9 * len(rows) + 0.6)
    panels = picture.subplots(len(rows), width, squeeze=False)
    others: dict[str, str] = {}
    looks = {system: _look(system, others) for system in systems}
    for line, (vary, batch, models) in zip(panels, rows, strict=True):
        for axes in line[len(models) :]:
            axes.set_visible(False)
        for axes, model in zip(line, models, strict=False):
            for at, system in enumerate(systems):
                found = cells.get(Cell(figure.kind, model, system, batch, vary).key)
                _bar(axes, at, found, figure, looks[system], title(system))
            axes.set_title(f"{model}, {vary or f'batch {batch}'}")
            axes.set_xticks([])
            axes.spines[["top", "right"]].set_visible(False)
        line[0].set_ylabel("graphs" if figure.kind == "graphs" else "ms per call")
    _legend(picture, panels)
    return True


def _legend(picture: Any, panels: Any) -> None:
    """One for all panels, above them."""
    handles: dict[str, Any] = {}
    for axes in panels.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    picture.legend(handles.values(), handles.keys(), loc="outside upper center",
                   ncols=min(len(handles), 6), frameon=False)  # fmt: skip


def _bar(
    axes: Any,
    at: int,
    measured: Measured | None,
    figure: Figure,
    look: dict[str, Any],
    label: str,
) -> None:
    if measured is None:
        return
    if not is_number(measured):
        mark = figures.MARKS[measured["status"]]
        axes.text(at, 0, f" {mark}", rotation=90, ha="center", va="bottom",
                  fontsize=6, color="#9e2a2b")  # fmt: skip
        axes.bar(at, 0)
        return
    if figure.kind == "graphs":
        axes.bar(at, measured["graphs"], label=label, **look)
        return
    system = measured["system"]
    low, high = system["median"] - system["low"], system["high"] - system["median"]
    axes.bar(at, 1e3 * system["median"], label=label,
             yerr=[[1e3 * max(low, 0)], [1e3 * max(high, 0)]],
             error_kw={"linewidth": 0.6, "capsize": 1}, **look)  # fmt: skip


def _stacks(picture: Any, figure: Figure, cells: Mapping[str, Measured]) -> bool:
    """Stacked bars: the first run above, a cached one below."""
    shown = [
        (model, system, found)
        for model in figure.models
        for system in figure.systems
        if is_number(found := cells.get(Cell(figure.kind, model, system).key)) and found
    ]
    if not shown:
        return False
    picture.set_size_inches(0.55 * len(shown) + 2, 5.5)
    panels = picture.subplots(2, 1)
    for axes, which, scale, unit in zip(
        panels, ("first run", "cached run"), (1.0, 1e3), ("s", "ms"), strict=True
    ):
        for at, (_, _, found) in enumerate(shown):
            _stack(axes, at, found[which], scale)
        axes.set_ylabel(f"{which}, {unit}")
        names = [f"{model}\n{title(s).partition('-')[0]}" for model, s, _ in shown]
        axes.set_xticks(range(len(shown)), names, rotation=90)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.01)
    _legend(picture, panels)
    return True


def _stack(axes: Any, at: int, taken: Mapping[str, float], scale: float) -> None:
    bottom = 0.0
    order: Sequence[str] = [part for part in _PART_COLOURS if part in taken]
    for part in order:
        height = scale * max(taken[part], 0.0)
        axes.bar(at, height, bottom=bottom, color=_PART_COLOURS[part], label=part)
        bottom += height
