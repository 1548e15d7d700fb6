"""The table as a picture: a stacked bar of project classes per compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from magpy_experiments.parity.report import percent
from magpy_experiments.parity.results import CLASSES
from magpy_experiments.parity.schedule import ParityError
from magpy_experiments.parity.summary import PAPER, Summary

_COLOURS = dict(
    zip(
        CLASSES,
        ("#2a9d5c", "#9fd356", "#e9c46a", "#b8a1cf", "#f08a4b", "#d1495b", "#5c0a1f"),
        strict=True,
    )
)
_PAPER_COLOURS = {"one graph": "#8fcbaa", "failed": "#d9d9d9"}


def draw(
    path: Path, summaries: Mapping[str, Summary], sets: Mapping[str, Sequence[str]]
) -> None:
    """Draw the shares of all classes among the static projects without host reads.

    Args:
        path: the picture; its suffix says of which kind.
        summaries: of each compiler.
        sets: projects; "static, no host reads", nearest to the paper's, is drawn.

    Raises:
        ParityError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ParityError(
            "--plot needs matplotlib, which is not installed: pip install matplotlib"
        ) from None
    names = sets["static, no host reads"]
    bars = _bars(summaries, names)
    figure = Figure(figsize=(8, 0.9 + 0.45 * len(bars)), layout="constrained")
    axes = figure.subplots()
    for row, (_, shares) in enumerate(bars):
        left = 0.0
        for title, share, colour in shares:
            axes.barh(row, share, left=left, color=colour, label=title)
            if share >= 4:
                axes.text(
                    left + share / 2, row, f"{share:.1f}", ha="center", va="center"
                )
            left += share
    axes.set_yticks(range(len(bars)), [title for title, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel(
        f"% of static projects without host reads (n = {len(names)}; worst case of each)"
    )
    axes.spines[["top", "right", "left"]].set_visible(False)
    handles, titles = axes.get_legend_handles_labels()
    unique = dict(zip(titles, handles, strict=True))
    figure.legend(unique.values(), unique.keys(), loc="outside upper center", ncols=5,
                  frameon=False)  # fmt: skip
    figure.savefig(path)


_Share = tuple[str, float, str]


def _bars(
    summaries: Mapping[str, Summary], names: Sequence[str]
) -> list[tuple[str, list[_Share]]]:
    bars: list[tuple[str, list[_Share]]] = []
    for compiler, summary in summaries.items():
        classes = summary.classes(names)
        shares = [
            (title, 100 * classes[title] / max(len(names), 1), _COLOURS[title])
            for title in CLASSES
            if classes[title]
        ]
        failed = len(names) - classes["one graph"]
        bars.append((f"{compiler} ({percent(failed, len(names))} failed)", shares))
        if compiler in PAPER:
            bars.append(_paper_bar(compiler))
    return bars


def _paper_bar(compiler: str) -> tuple[str, list[_Share]]:
    total, failed = PAPER[compiler]
    share = 100 * failed / total
    return f"{compiler}, the paper ({share:.1f} % failed)", [
        ("one graph (the paper)", 100 - share, _PAPER_COLOURS["one graph"]),
        ("failed (the paper)", share, _PAPER_COLOURS["failed"]),
    ]
