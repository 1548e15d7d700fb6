"""What runs add up to: classes of projects, what they have in common, ranked reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from magpy_experiments.parity.results import CLASSES, EAGER_RANDOM, Case, Project

#: Table 3 of the paper: static projects, and how many of them failed.
PAPER = {"magpy": (1191, 79), "dynamo": (1191, 272), "torchscript": (1191, 769)}

BAD = ("timeout", "error", "wrong", "crash")
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
        return any(self.case_classes(self.counted)[status] for status in BAD)

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
    if case.status in BAD:
        text = general(case.detail)
        keys.setdefault((case.status, case.status, text[:120]), case.name)
    return keys


def general(detail: str) -> str:
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
        draws: tested ones, not random, that draw numbers from Python's or numpy's
            generators.
    """

    failed: dict[str, str]
    untested: list[str]
    tested: list[str]
    counted: dict[str, set[int]]
    random: dict[str, str]
    host: set[str]
    draws: set[str]

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
            "static, no host reads or draws": [
                n for n in static if n not in self.host | self.draws
            ],
        }
        if excluded:
            found["static, without --exclude"] = [
                n for n in static if n not in excluded
            ]
        return found


def populate(runs: Mapping[str, Mapping[str, Project]]) -> Population:
    """Find out what the runs have in common."""
    names = sorted(set.intersection(*(set(run) for run in runs.values())))
    result = Population({}, [], [], {}, {}, set(), set())
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
                continue
            if any(case.dynamic for case in cases):
                result.host.add(name)
            if any(case.draws for case in cases):
                result.draws.add(name)
    return result
