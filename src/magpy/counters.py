"""What is counted of compiled objects."""

from __future__ import annotations

from typing import Any, TypedDict

#: Every number that ``stats`` counts.
COUNTERS = (
    "calls",
    "hits",
    "recordings",
    "graphs",
    "reused",
    "graph_breaks",
    "fallbacks",
    "partial_hits",
    "verified",
    "diverged",
)


class Place(TypedDict):
    """Calls that ran eager for one reason, at one line."""

    reason: str
    detail: str | None
    file: str | None
    line: int
    count: int


class Stats(TypedDict):
    """The counters of a compiled object, or the sums over several, see magpy.stats."""

    calls: int
    hits: int
    recordings: int
    graphs: int
    reused: int
    graph_breaks: int
    fallbacks: int
    partial_hits: int
    verified: int
    diverged: int
    reasons: dict[str, int]
    breaks: dict[str, int]
    places: list[Place]
    seconds: dict[str, float]
    dynamic: list[str]


def in_order(counted: dict[str, Any], dynamic: list[str]) -> Stats:
    """Return what the engine counted, complete and in one order."""
    counted = dict(counted)
    result: dict[str, Any] = {key: counted.pop(key, 0) for key in COUNTERS}
    for key in ("reasons", "breaks"):
        result[key] = dict(counted.pop(key, {}))
    result["places"] = list(counted.pop("places", ()))
    result["seconds"] = {"record": 0.0, "compile": 0.0, **counted.pop("seconds", {})}
    result["dynamic"] = dynamic
    result.update(counted)
    return result  # type: ignore[return-value]


def summed(counted: list[Stats]) -> Stats:
    """Add numbers, dicts of numbers and lists, key by key."""
    total: dict[str, Any] = dict(in_order({}, []))
    for each in counted:
        for key, value in each.items():
            if isinstance(value, dict):
                mine = total.setdefault(key, {})
                for name, n in value.items():
                    mine[name] = mine.get(name, 0) + n
            else:
                total[key] = total[key] + value if key in total else value
    return total  # type: ignore[return-value]
