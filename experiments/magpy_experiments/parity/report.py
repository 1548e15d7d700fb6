"""The report: tables, ranked reasons, failures one by one; also as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from magpy_experiments.parity.results import CLASSES, Case, Project
from magpy_experiments.parity.summary import (
    BAD,
    PAPER,
    Population,
    Ranked,
    Summary,
    general,
)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines; the first column is flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip() + "\n")
    return "".join(lines)


def format_population(population: Population) -> str:
    """Return how many projects there are of which kind."""
    p = population
    total = len(p.failed) + len(p.untested) + len(p.tested)
    static = len(p.tested) - len(p.random)
    return (
        f"{total} projects: {len(p.failed)} do not load, {len(p.untested)} have no case "
        f"that runs in eager mode, {len(p.tested)} remain\n"
        f"{len(p.random)} of them are random in eager mode, {static} are static, "
        f"{static - len(p.host)} static without a host read, "
        f"{static - len(p.host | p.draws)} without a draw, too\n"
        "(the paper: 2000 projects, 579 untested, 1421 remain, 230 dynamic, 1191 static)\n"
    )


def format_cases(summaries: Mapping[str, Summary], names: Sequence[str]) -> str:
    """Return a table of cases, a row per compiler."""
    rows = [["cases", "total", *CLASSES, "breaks/case"]]
    for compiler, summary in summaries.items():
        classes = summary.case_classes(names)
        counts = [str(classes[c]) for c in CLASSES]
        rows.append(
            [compiler, str(classes.total()), *counts, f"{summary.breaks(names):.3f}"]
        )
    return table(rows)


def format_projects(
    summaries: Mapping[str, Summary], sets: Mapping[str, Sequence[str]]
) -> str:
    """Return a table of projects: a row per compiler and set, and the paper's row."""
    rows = [["projects", "total", *CLASSES, "failed", "rate"]]
    for compiler, summary in summaries.items():
        for title, names in sets.items():
            classes = summary.classes(names)
            total, failed = len(names), len(names) - classes["one graph"]
            counts = [str(classes[c]) for c in CLASSES]
            rows.append([f"{compiler}, {title}", str(total), *counts, str(failed),
                         percent(failed, total)])  # fmt: skip
        if compiler in PAPER:
            total, failed = PAPER[compiler]
            blanks = ["" for _ in CLASSES[1:]]
            rows.append([f"{compiler}, static, in the paper", str(total),
                         str(total - failed), *blanks, str(failed),
                         percent(failed, total)])  # fmt: skip
    return table(rows)


def percent(part: int, total: int) -> str:
    """Return ``"6.6 %"``, or ``"-"`` of nothing."""
    return f"{100 * part / total:.1f} %" if total else "-"


def format_reasons(ranked: Sequence[Ranked], limit: int) -> str:
    """Return a list of reasons, the most frequent first."""
    lines = []
    for row in ranked[:limit]:
        detail = f": {row.detail}" if row.detail and row.detail != row.id else ""
        lines.append(
            f"{row.cases:6} cases {len(row.projects):5} projects  "
            f"{row.kind} {row.id if row.id != row.kind else ''}{detail}".rstrip()
            + f"\n{'':30}{row.example} ({min(row.projects)})\n"
        )
    if len(ranked) > limit:
        lines.append(f"{'':6} ... {len(ranked) - limit} more\n")
    return "".join(lines)


def format_bad(summary: Summary, names: Sequence[str], limit: int) -> str:
    """Return what went wrong, case by case.

    Args:
        summary: of one compiler.
        names: of projects.
        limit: how many to show of each class.
    """
    found: dict[str, list[tuple[str, Case]]] = {}
    for name in names:
        for case in summary.cases(name):
            title = "suspect" if case.suspect else case.status
            if title in (*BAD, "suspect"):
                found.setdefault(title, []).append((name, case))
    lines = []
    for title, cases in sorted(found.items()):
        for name, case in cases[:limit]:
            first, *more = case.detail.splitlines() or [""]
            lines.append(f"{title}: {name} [{case.index}] {case.name}: {first}\n")
            lines += [f"    {line}\n" for line in more if title in ("crash", "timeout")]
        if len(cases) > limit:
            lines.append(f"{title}: ... {len(cases) - limit} more\n")
    return "".join(lines)


def format_eager(projects: Mapping[str, Project], limit: int) -> str:
    """Return why files do not load and cases do not run in eager mode, ranked."""
    files = Counter(
        f"load: {project.error}" for project in projects.values() if project.error
    )
    cases = Counter(
        f"run: {general(case.detail)}"
        for project in projects.values()
        for case in project.cases
        if not case.runs
    )
    ranked = (files + cases).most_common(limit)
    return "".join(f"{count:6}  {text[:150]}\n" for text, count in ranked)


def to_json(
    runs: Mapping[str, dict[str, Any]],
    summaries: Mapping[str, Summary],
    population: Population,
    sets: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Return all of it as plain data."""
    names = population.tested
    return {
        "runs": dict(runs),
        "population": {
            "failed": population.failed,
            "untested": population.untested,
            "tested": len(names),
            "random": population.random,
            "host_read": sorted(population.host),
            "draws": sorted(population.draws),
        },
        "compilers": {
            compiler: {
                "cases": dict(summary.case_classes(names)),
                "breaks_per_case": round(summary.breaks(names), 4),
                "projects": {
                    title: {
                        "total": len(chosen),
                        **summary.classes(chosen),
                    }
                    for title, chosen in sets.items()
                },
                "paper": PAPER.get(compiler),
                "reasons": [
                    {**vars(row), "projects": sorted(row.projects)}
                    for row in summary.reasons(names)
                ],
                "class_of": {name: summary.project_class(name) for name in names},
                "bad": format_bad(summary, names, len(names) * 1000).splitlines(),
            }
            for compiler, summary in summaries.items()
        },
    }
