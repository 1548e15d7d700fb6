"""Do tables, pictures and pages agree with the data?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from magpy_experiments.reproduce import figures, plots
from magpy_experiments.reproduce.plan import FIGURES, Cell, Figure
from magpy_experiments.reproduce.results import Results

#: In a page, before a table: `<!-- reproduced: FOLDER FIGURE -->`.
_TABLE = re.compile(
    r"^<!-- reproduced: (?P<folder>\S+) (?P<figure>\w+) -->\n\n"
    r"(?P<text>.*?)^<!-- end -->$",
    re.MULTILINE | re.DOTALL,
)


def differences(results: Results, chosen: Sequence[Figure]) -> Iterator[str]:
    """Yield what is not as the data say, for each figure that was written."""
    for figure in chosen:
        shown = written(results, figure)
        stem = results.folder / figure.name
        table = stem.with_suffix(".md")
        if not table.exists():
            continue
        if table.read_text(encoding="utf-8") != figures.text(shown, results.cells):
            yield f"{table}: not the table of these results"
        mark = figures.digest(shown, results.cells).encode()
        for suffix in plots.SUFFIXES:
            picture = stem.with_suffix(suffix)
            if picture.exists() and mark not in picture.read_bytes():
                yield f"{picture}: not drawn from these results"


def written(results: Results, figure: Figure) -> Figure:
    """Return a figure with the models, systems and batches that have results."""
    cells = [c for c in _all_cells(figure) if c.key in results.cells]
    return figure.narrowed(
        [m for m in figure.models if any(c.model == m for c in cells)] or ["-"],
        list(dict.fromkeys(c.system for c in cells)) or ["-"],
        [b for b in figure.batches if any(c.batch == b for c in cells)] or [-1],
    )


def _all_cells(figure: Figure) -> Iterator[Cell]:
    from magpy_experiments.reproduce.systems import NAMES

    extra = [name for name in NAMES if name not in figure.systems]
    yield from figure.narrowed(systems=(*figure.systems, *extra)).cells()


def pages(root: Path, files: Sequence[Path]) -> Iterator[str]:
    """Yield tables in pages that are not those of the results that they name."""
    for file in files:
        for match in _TABLE.finditer(file.read_text(encoding="utf-8")):
            name, folder = match["figure"], root / match["folder"]
            if name not in FIGURES:
                yield f"{file}: no figure {name}"
                continue
            results = Results(folder, None)
            figure = written(results, FIGURES[name])
            if match["text"] != figures.text(figure, results.cells) + "\n":
                yield f"{file}: the table {name} is not that of {match['folder']}"
