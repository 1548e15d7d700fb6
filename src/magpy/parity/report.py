"""Classes of projects, tables and ranked reasons, of one run or of several compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from magpy.parity.results import CLASSES, EAGER_RANDOM, Case, Project

#: Table 3 of the paper: static projects, and how many of them failed.
PAPER = {"magpy": (1191, 79), "dynamo": (1191, 272), "torchscript": (1191, 769)}

_BAD = ("timeout", "error", "wrong", "crash")
_NUMBER = re.compile(r"0x[0-9a-f]+|\b\d+\b")


@dataclass
class Ranked:
    """A reason, and how much is due to it."""

    kind: str
    id: str
    detail: str
    cases: int = 0
    projects: set[str] = field(default_factory=set)
    example: str = ""


class Summary:
    """One compiler's results on the projects and cases that count.

    Args:
        projects: what is looked at, by name.
        counted: the cases that count, by project: those that ran in eager mode.
    """

    def __init__(
        self, projects: Mapping[str, Project], counted: Mapping[str, Collection[int]]
    ) -> None:
        self.projects = projects
        self.counted = counted

    def cases(self, name: str) -> list[Case]:
        """Return the cases of a project that count."""
        wanted = self.counted[name]
        return [case for case in self.projects[name].cases if case.index in wanted]

    def all_cases(self, names: Iterable[str]) -> list[Case]:
        """Return the cases that count of some projects."""
        return [case for name in names for case in self.cases(name)]

    def project_class(self, name: str) -> str:
        """Return the worst class of a project's cases."""
        return max((case.status for case in self.cases(name)), key=CLASSES.index)

    def classes(self, names: Iterable[str]) -> Counter[str]:
        """Return how many projects have which class."""
        return Counter(map(self.project_class, names))

    def case_classes(self, names: Iterable[str]) -> Counter[str]:
        """Return how many cases have which class."""
        return Counter(case.status for case in self.all_cases(names))

    @property
    def failed(self) -> bool:
        """Whether a case is wrong, crashes, raises or takes too long."""
        return any(self.case_classes(self.counted)[status] for status in _BAD)

    def breaks(self, names: Iterable[str]) -> float:
        """Return the number of breaks per case."""
        cases = self.all_cases(names)
        return sum(case.breaks for case in cases) / len(cases) if cases else 0.0

    def reasons(self, names: Iterable[str]) -> list[Ranked]:
        """Return the reasons of breaks and fallbacks, most cases first."""
        ranked: dict[tuple[str, str, str], Ranked] = {}
        for name in names:
            for case in self.cases(name):
                for key, reason in _keys(case).items():
                    row = ranked.setdefault(key, Ranked(*key))
                    row.cases += 1
                    row.projects.add(name)
                    row.example = row.example or reason
        return sorted(ranked.values(), key=lambda r: (-r.cases, r.id, r.detail))


def _keys(case: Case) -> dict[tuple[str, str, str], str]:
    """Return the different reasons of a case, each with a place."""
    keys: dict[tuple[str, str, str], str] = {}
    for reason in case.reasons:
        keys.setdefault((reason.kind, reason.id, reason.detail), reason.place)
    if case.status in _BAD:
        text = _general(case.detail)
        keys.setdefault((case.status, case.status, text[:120]), case.name)
    return keys


def _general(detail: str) -> str:
    """Return the first line without what differs from case to case."""
    return _NUMBER.sub("N", re.sub(r"^call \d+: ", "", detail.partition("\n")[0]))


# -- which projects are compared -------------------------------------------------------


@dataclass
class Population:
    """The projects that all compared runs have, and what becomes of them.

    Attributes:
        failed: could not be loaded by one of the runs at least, with the reason.
        untested: no case of theirs runs in eager mode.
        tested: all others; `counted` has their cases.
        random: tested ones with a case that eager mode does not repeat, and how.
        host: tested ones, not random, where a compiler met a value of a tensor.
    """

    failed: dict[str, str]
    untested: list[str]
    tested: list[str]
    counted: dict[str, set[int]]
    random: dict[str, str]
    host: set[str]

    def sets(self, excluded: Collection[str] = ()) -> dict[str, list[str]]:
        """Return the sets that tables are about.

        Args:
            excluded: projects of a list of the user's.
        """
        static = [name for name in self.tested if name not in self.random]
        found = {
            "all": self.tested,
            "static": static,
            "static, no host reads": [n for n in static if n not in self.host],
        }
        if excluded:
            found["static, without --exclude"] = [
                n for n in static if n not in excluded
            ]
        return found


def populate(runs: Mapping[str, Mapping[str, Project]]) -> Population:
    """Find out what the runs have in common."""
    names = sorted(set.intersection(*(set(run) for run in runs.values())))
    result = Population({}, [], [], {}, {}, set())
    for name in names:
        projects = [run[name] for run in runs.values()]
        error = next((p.error for p in projects if p.error and not p.cases), "")
        counted = set.intersection(
            *({c.index for c in p.cases if c.runs} for p in projects)
        )
        if error:
            result.failed[name] = error
        elif not counted:
            result.untested.append(name)
        else:
            result.tested.append(name)
            result.counted[name] = counted
            cases = [c for p in projects for c in p.cases if c.index in counted]
            random = [c.detail for c in cases if c.eager == EAGER_RANDOM]
            if random:
                result.random[name] = random[0]
            elif any(case.dynamic for case in cases):
                result.host.add(name)
    return result


# -- text ------------------------------------------------------------------------------


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
        f"{static - len(p.host)} static without a host read\n"
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
            if title in (*_BAD, "suspect"):
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
        f"load: {project.error}"
        for project in projects.values()
        if project.error and not project.cases
    )
    cases = Counter(
        f"run: {_general(case.detail)}"
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
