"""The oracle of every test: a program run eager beside the same program compiled.

A program lives in two *worlds* that were built alike and share no mutable state.  Each
step (a call, or a change of state by the caller) is made in both.  After a call all that
Python can reach in the two worlds (results so far, arguments, state) is compared by
`magpy.compare`: values, types, order of keys, exceptions, side effects, and the sharing of
objects between outputs, inputs and state.
"""

from __future__ import annotations

import functools
import linecache
import os
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from magpy.compare import Comparison, Numbers, Rules

MAX_RECORDINGS = 3  # of one call pattern, until it is stable
VERIFY = os.environ.get("MAGPY_VERIFY", "0") != "0"  # hits prove themselves (--verify)
BACKEND = os.environ.get("MAGPY_TEST_BACKEND", "eager")  # of programs with tensors
COMPILED_TOLERANCE = 5e-3  # what is wrong is further off
TOLERANCE = None if BACKEND == "eager" else COMPILED_TOLERANCE  # None: bitwise
HALF_TOLERANCE = 10  # times that of other numbers


def rules(tolerance: float | None) -> Rules:
    """What must be equal: everything, but numbers of tensors within a tolerance."""
    if tolerance is None:
        return Rules()
    half = dict.fromkeys(("float16", "bfloat16"), tolerance * HALF_TOLERANCE)
    return Rules(numbers=Numbers.CLOSE, tolerance=tolerance, tolerances=half)


# -- Worlds and steps -----------------------------------------------------------------


@dataclass
class World:
    fn: Callable[..., Any]
    state: Any = None  # whatever the program can reach and the test wants compared
    view: Callable[[Any], Any] = lambda state: state  # the part of it to compare
    seen: list[Any] = field(default_factory=list)  # results and arguments so far

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict) -> None:
        try:
            outcome = ("returned", fn(*args, **kwargs))
        except Exception as error:
            outcome = ("raised", _without_tracebacks(error))
        self.seen.append((outcome, args, kwargs))

    def reached(self) -> dict[str, Any]:
        """What is compared, by name."""
        calls = {f"call {i}": list(record) for i, record in enumerate(self.seen)}
        return {**calls, "state": self.view(self.state)}


def _without_tracebacks(error: BaseException) -> BaseException:
    """A kept traceback would keep every frame's objects alive."""
    link: BaseException | None = error
    visited = set()
    while link is not None and id(link) not in visited:
        visited.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class Pair:
    """The same program eager and compiled; every step compares them.

    build()  makes a World; called twice, it must build two that are alike
    wrap(fn) compiles; stats(compiled) answers with the counters
    keep     how many calls stay compared: sharing between the results of several
             calls is seen only while they are
    whole    hits must answer whole calls: no run may break
    """

    def __init__(
        self,
        build: Callable[[], World],
        wrap: Callable[[Callable[..., Any]], Any],
        stats: Callable[[Any], dict[str, Any]],
        keep: int = 6,
        tolerance: float | None = None,
        whole: bool = True,
    ) -> None:
        self.eager = build()
        self.fast = build()
        self.compiled = wrap(self.fast.fn)
        self.stats = lambda: stats(self.compiled)
        self.keep = keep
        self.rules = rules(tolerance)
        self.whole = whole
        self.steps: list[str] = []

    def change(self, label: str, action: Callable[[World], Any]) -> None:
        self.steps.append(f"change: {label}")
        action(self.eager)
        action(self.fast)

    def call(
        self, label: str, inputs: Callable[[World], tuple[tuple[Any, ...], dict]]
    ) -> bool:
        """One call in each world; was the compiled one a hit?"""
        self.steps.append(f"call: {label}")
        before = self.stats()
        for world, fn in ((self.eager, self.eager.fn), (self.fast, self.compiled)):
            world.call(fn, *inputs(world))
            del world.seen[: -self.keep]
        after = self.stats()
        self.compare()
        assert not after.get("diverged"), f"verify mode\n{self.history()}"
        assert after["calls"] == before["calls"] + 1, f"calls not counted: {after}"
        hit = after["hits"] - before["hits"]
        if VERIFY:  # data may end the second recording where it did not end the first
            hit = max(hit, after.get("verified", 0) - before.get("verified", 0))
        assert hit in (0, 1), f"{hit} hits counted for one call"
        self.steps[-1] += " (hit)" if hit else ""
        return bool(hit)

    def compare(self) -> None:
        comparison = Comparison(self.rules)
        ours = self.fast.reached()
        for name, theirs in self.eager.reached().items():
            found = comparison.difference(theirs, ours[name], name)
            if found is not None:
                raise AssertionError(f"differs from eager\n{self.history()}\n{found}")

    def stable(
        self,
        calls: Sequence[tuple[str, Callable[[World], tuple[tuple[Any, ...], dict]]]],
        hits: int = 2,
    ) -> None:
        """Passes over `calls` until `hits` in a row hit; few may record before that."""
        recording = hit = 0
        broken = 0
        while hit < hits:
            broken = broken if hit else self.stats()["partial_hits"]
            if all([self.call(label, inputs) for label, inputs in calls]):
                hit += 1
                continue
            hit = 0
            recording += 1
            assert recording <= MAX_RECORDINGS, f"not stable\n{self.history()}"
        if self.whole:
            assert self.stats()["partial_hits"] == broken, f"broken\n{self.history()}"

    def history(self) -> str:
        return "\n".join([*self.steps, f"stats: {self.stats()}"])


# -- Programs as text -----------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A program of a text table; see `cases`."""

    name: str
    source: str
    calls: tuple[str, ...]
    changes: tuple[tuple[str, bool], ...] = ()  # statement, is a hit required after it?
    hit: bool = True
    target: str = "f"

    def __str__(self) -> str:
        return self.name

    def build(self) -> World:
        """Run the program in a namespace of its own."""
        file = f"<program {self.name}>"
        lines = self.source.splitlines(keepends=True)
        linecache.cache[file] = (len(self.source), None, lines, file)
        space: dict[str, Any] = {"__name__": "program"}
        exec(_compiled(self.source, file), space)
        return World(eval(self.target, space), space)


@functools.lru_cache(maxsize=16)
def _compiled(source: str, file: str) -> types.CodeType:
    return compile(source, file, "exec", dont_inherit=True)  # both worlds share it


def _pack(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def evaluated(text: str) -> Callable[[World], tuple[tuple[Any, ...], dict]]:
    def evaluate(world: World) -> tuple[tuple[Any, ...], dict]:
        return eval(f"pack({text})", world.state, {"pack": _pack})

    return evaluate


def executed(statement: str) -> Callable[[World], Any]:
    return lambda world: exec(statement, world.state)


def cases(table: str) -> list[Case]:
    """Parse a table of programs.

    What stands before the first one is in front of each of them.
    === name         starts a program; its function `f` is compiled, and must hit
    === name | of x  the expression x is compiled instead
    === name | eager a hit is not required
    >>> arguments    a call; evaluated anew for each one
    !!! statement    the caller changes state; all calls run again
    ??? statement    the same, but a hit is not required after it
    """
    found = []
    prelude, *blocks = re.split(r"^=== ", table, flags=re.MULTILINE)
    prelude = prelude.strip() + "\n" if prelude.strip() else ""
    for block in blocks:
        head, *lines = block.splitlines()
        name, *flags = head.split(" | ")
        calls, changes, source = [], [], []
        for line in lines:
            mark, rest = line[:3], line[3:].strip()
            if mark == ">>>":
                calls.append(rest)
            elif mark in ("!!!", "???"):
                changes.append((rest, mark == "!!!"))
            else:
                source.append(line)
        found.append(
            Case(
                name,
                prelude + "\n".join(source).strip() + "\n",
                tuple(calls or [""]),
                tuple(changes),
                hit="eager" not in flags,
                target=next((x[3:] for x in flags if x.startswith("of ")), "f"),
            )
        )
    assert len({case.name for case in found}) == len(found), "two programs, one name"
    return found


class Reports:
    """A verifier for programs without tensors: divergences end the test."""

    def report(self, info: dict[str, Any]) -> Exception:
        return AssertionError(f"verify mode: {info}")

    def raised(self, notes: object) -> bool:
        return False


def engine_compile(fn: Callable[..., Any], **options: Any) -> Any:
    """Compile with the bare engine: no torch, no graphs."""
    from magpy._engine import CompiledFunction

    compiled = CompiledFunction(fn, **options)
    if VERIFY:
        compiled.set_verify(1, Reports())
    return compiled


def torch_compile(fn: Callable[..., Any], **options: Any) -> Any:
    """Compile with the backend of this test run (``--backend``).

    Inductor is asked for eager's random numbers and roundings.
    """
    import magpy

    if BACKEND == "inductor":
        options["options"] = {"fallback_random": True, "emulate_precision_casts": True}
    return magpy.compile(fn, backend=BACKEND, **options)


def reasons(compiled: Any) -> set[str]:
    """Why calls were not recorded, as a whole or up to a break."""
    counted = compiled.stats()
    return {*counted["breaks"], *counted["reasons"]}


def whole_hits(compiled: Any) -> int:
    """Hits that answered a whole call."""
    counted = compiled.stats()
    return counted["hits"] - counted["partial_hits"]


def check(
    case: Case,
    wrap: Callable[[Callable[..., Any]], Any] = engine_compile,
    stats: Callable[[Any], dict[str, Any]] = lambda compiled: compiled.stats(),
    whole: bool = True,
    tolerance: float | None = None,
) -> Pair:
    """Run a case: until stable, two hits, then each change and again."""
    pair = Pair(case.build, wrap, stats, whole=whole, tolerance=tolerance)
    calls = [(text, evaluated(text)) for text in case.calls]

    def round_of_calls(hit: bool, hits: int) -> None:
        if hit:
            return pair.stable(calls, hits)
        for _ in range(3):
            for label, inputs in calls:
                pair.call(label, inputs)

    round_of_calls(case.hit, 2)
    for statement, hit in case.changes:
        pair.change(statement, executed(statement))
        round_of_calls(case.hit and hit, 1)
    return pair
