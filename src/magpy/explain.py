"""What MagPy makes of one call, as data that prints well."""

from __future__ import annotations

import html
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from magpy import origins, picture
from magpy.counters import Stats
from magpy.errors import Unsupported
from magpy.places import short, stack_of

if TYPE_CHECKING:
    from torch.fx import GraphModule

_MAX_CALLS = 4  # at most three recordings until a program is stable, then a hit
_MAX_EAGER = 2  # the first call may differ (lazy initialisation); a second tells
_SHOWN = 12
_MARK = "  # "  # between a line of text and the place in the program


@dataclass
class Segment:
    """One recorded run, or a part of it between two breaks.

    Attributes:
        where: ``file:line`` where it begins; empty: with the call.
        ops: names of its tensor operations, in order.
        inputs: where the graph's inputs come from, in order.
        guards: what must hold for the run to be reused, as text.
        op_lines: the user's line that called each of them, ``model.py:12``; "" if unknown.
        guard_lines: the user's line that needed each guard, ``model.py:12``; "": none did.
        ambient: state of torch that must hold, as text.
        effects: what a replay changes and returns, as Python-like text.
        hits: how often it was reused.
        instructions: bytecode instructions that were watched.
        reused: is its graph one that was compiled for an equal one?
        spec: its graph as recorded, see :mod:`magpy.graph`; None if it has none.
    """

    where: str
    ops: list[str]
    inputs: list[str]
    guards: list[str]
    ambient: list[str]
    effects: list[str]
    hits: int
    instructions: int
    reused: bool = False
    op_lines: list[str] = field(default_factory=list)
    guard_lines: list[str] = field(default_factory=list)
    spec: Any = field(default=None, repr=False)

    def graph(self) -> GraphModule | None:
        """Build the graph as a module; None if there is no operation."""
        from magpy.graph import build

        return build(self.spec) if self.ops else None

    def picture(self) -> str:
        """Return the graph as SVG; "" if there is no operation."""
        return picture.svg(self.spec, self.ops, self.op_lines) if self.ops else ""

    def lines(self, part: str) -> list[str]:
        """Return a list of it as lines of text, with lines of the program behind."""
        places = {"ops": self.op_lines, "guards": self.guard_lines}.get(part, [])
        items: list[str] = getattr(self, part)
        places = places + [""] * (len(items) - len(places))
        pairs = zip(items, places, strict=True)
        return [f"{item}{_MARK}{at}" if at else item for item, at in pairs]


@dataclass(repr=False)
class Explanation:
    """Answer of ``magpy.explain(f)(*args)``; ``print`` it.

    Attributes:
        name: what was explained.
        segments: the recorded runs.
        breaks: why runs could not be recorded; each has reason, file, line and hint.
        stats: the counters after the calls.
        result: what the first call returned.
    """

    name: str
    segments: list[Segment]
    breaks: list[Unsupported]
    stats: Stats
    result: Any = field(default=None, repr=False)

    @property
    def graph_count(self) -> int:
        """How many recorded runs have a graph."""
        return sum(bool(segment.ops) for segment in self.segments)

    @property
    def op_count(self) -> int:
        """How many tensor operations all graphs have."""
        return sum(len(segment.ops) for segment in self.segments)

    @property
    def graph_break_count(self) -> int:
        """How many runs could not be recorded."""
        return len(self.breaks)

    # The names that torch._dynamo.explain uses.

    @property
    def graphs(self) -> list[GraphModule]:
        """The graphs of all recorded runs, as modules."""
        built = (segment.graph() for segment in self.segments)
        return [module for module in built if module is not None]

    @property
    def ops_per_graph(self) -> list[list[str]]:
        """The names of the operations, graph by graph."""
        return [segment.ops for segment in self.segments if segment.ops]

    @property
    def break_reasons(self) -> list[Unsupported]:
        """Why runs could not be recorded."""
        return self.breaks

    @property
    def out_guards(self) -> list[str]:
        """The guards of all recorded runs."""
        return self.guards

    @property
    def compile_times(self) -> dict[str, float]:
        """Seconds spent, by phase."""
        return self.stats["seconds"]

    @property
    def guards(self) -> list[str]:
        """The guards of all recorded runs."""
        return [guard for segment in self.segments for guard in segment.guards]

    def format(self, limit: int | None = _SHOWN) -> str:
        """Return the text that ``print`` shows.

        Args:
            limit: how many lines of each list; None for all.
        """
        blocks = self._blocks(limit)
        return "\n".join(line for title, body in blocks for line in (title, *body))

    def _blocks(self, limit: int | None) -> list[tuple[str, list[str]]]:
        """Return a title and its lines: of the whole, of each run, of each break."""
        s = self.stats
        heading = ", ".join(
            [
                _plural(self.graph_count, "graph"),
                _plural(self.op_count, "operation"),
                _plural(self.graph_break_count, "break"),
            ]
        )
        calls = (
            f"{_plural(s['calls'], 'call')}: {s['recordings']} recorded, "
            f"{s['hits']} replayed, {s['fallbacks']} eager"
        )
        lines = [f"  {calls}"]
        if s["reasons"]:
            counted = (f"{reason} ({n})" for reason, n in s["reasons"].items())
            lines.append(f"  eager because of: {', '.join(counted)}")
        lines += _excerpt("dynamic", s.get("dynamic", []), limit)
        blocks = [(f"{self.name}: {heading}", lines)]
        for number, segment in enumerate(self.segments, 1):
            title = (
                f"run {number}{segment.where and f' from {segment.where}'}: "
                f"{segment.instructions} instructions watched, "
                f"{_plural(segment.hits, 'hit')}"
            )
            if segment.reused:
                title += ", graph compiled for an equal one"
            lines = []
            for part in ("ops", "inputs", "guards", "ambient", "effects"):
                lines += _excerpt(part, segment.lines(part), limit)
            blocks.append((title, lines))
        for number, each in enumerate(self.breaks, 1):
            blocks.append((f"break {number}:", _indent(str(each).splitlines())))
        return blocks

    def __str__(self) -> str:
        """Return the text, in colour if ``print`` writes to a terminal that has some."""
        blocks = self._blocks(_SHOWN)
        return _coloured(blocks) if _wants_colour(sys.stdout) else self.format()

    __repr__ = __str__

    def to_dict(self) -> dict[str, Any]:
        """Return everything but `result` as data that JSON can hold."""
        runs = [
            {k: v for k, v in vars(segment).items() if k != "spec"}
            for segment in self.segments
        ]
        breaks = [
            {"reason": b.reason, "what": b.what, "file": b.file, "line": b.line}
            | {"hint": b.hint, "stack": [list(frame) for frame in b.stack]}
            for b in self.breaks
        ]
        return {"name": self.name, "stats": self.stats, "runs": runs, "breaks": breaks}

    def to_json(self, indent: int | None = 2) -> str:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, default=str)

    def _repr_html_(self) -> str:
        """What Jupyter shows: runs with their graphs, and breaks, folded."""
        (title, lines), *blocks = self._blocks(limit=None)
        parts = [f"<pre>{html.escape(chr(10).join([title, *lines]))}</pre>"]
        pictures = [segment.picture() for segment in self.segments]
        pictures += [""] * len(self.breaks)
        for (title, lines), drawn in zip(blocks, pictures, strict=True):
            parts.append(
                f"<details><summary><code>{html.escape(title)}</code></summary>"
                f'<div style="overflow:auto">{drawn}</div>'
                f"<pre>{html.escape(chr(10).join(lines))}</pre></details>"
            )
        return "".join(parts)


def _wants_colour(stream: Any) -> bool:
    """Is it a terminal with colours, and has the user not said NO_COLOR?"""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    isatty = getattr(stream, "isatty", None)
    return bool(isatty is not None and isatty())


def _coloured(blocks: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return titles in bold, those of breaks in red, and places in grey."""
    found = []
    for title, lines in blocks:
        colour = "1;31" if title.startswith("break ") else "1"
        found.append(f"\x1b[{colour}m{title}\x1b[0m")
        for line in lines:
            text, mark, place = line.partition(_MARK)
            found.append(f"{text}\x1b[2m{mark}{place}\x1b[0m" if mark else text)
    return "\n".join(found)


def _plural(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _indent(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _excerpt(title: str, items: Sequence[str], limit: int | None) -> list[str]:
    if not items:
        return []
    shown = list(items if limit is None else items[:limit])
    if len(shown) < len(items):
        shown.append(f"... {len(items) - len(shown)} more")
    return [f"  {title} ({len(items)}):", *(f"    {item}" for item in shown)]


def op_name(target: object) -> str:
    """Return the short name of an operation: ``linear``, ``Tensor.view``."""
    if isinstance(target, str):
        return f"Tensor.{target}"
    return str(getattr(target, "__name__", None) or type(target).__name__)


def segment(entry: Mapping[str, Any]) -> Segment:
    """Turn one of the engine's entries into data for people."""
    spec, rows = entry.get("graph"), entry.get("sites", ())
    known = origins.of(spec[3]) if spec else None
    count = len(spec[0]) if spec and known is not None else 0
    file, line = entry.get("resumes", ("", 0))
    return Segment(
        where=f"{file}:{line}" if file else "",
        ops=[op_name(op[0]) for op in spec[0]] if spec else [],
        inputs=list(entry.get("inputs", ())),
        guards=list(entry.get("guards", ())),
        ambient=list(entry.get("ambient", ())),
        effects=list(entry.get("effects", ())),
        hits=int(entry.get("hits", 0)),
        instructions=int(entry.get("instructions", 0)),
        reused=bool(entry.get("reused", False)),
        op_lines=[known.short(at) for at in range(count) if known is not None],
        guard_lines=[
            short(stack_of(row, rows)) for row in entry.get("guard_sites", ())
        ],
        spec=spec,
    )


def run(
    call: Callable[..., Any],
    snapshot: Callable[[], tuple[Stats, list[Any], list[Unsupported]]],
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Explanation:
    """Call until a recording is reused, then describe everything.

    Args:
        call: the compiled object.
        snapshot: answers its counters, entries and breaks.
        name: for the heading.
        args: positional arguments of the call.
        kwargs: keyword arguments of the call.
    """
    result = call(*args, **kwargs)
    for _ in range(_MAX_CALLS - 1):
        counted = snapshot()[0]
        if counted["hits"] or counted["fallbacks"] >= _MAX_EAGER:
            break
        call(*args, **kwargs)
    counted, entries, breaks = snapshot()
    return Explanation(name, [segment(e) for e in entries], breaks, counted, result)
