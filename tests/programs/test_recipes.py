"""Results of C types: a recipe makes them again as they are, or the call breaks.

Every method of every value type that needs no argument is called by a compiled function,
and what it answers is compared: type, text, and the fields that have a name only."""

from __future__ import annotations

import collections
import datetime
import fractions
import re
import sys
import time
import types
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from oracle import engine_compile

ZONE = datetime.timezone(datetime.timedelta(hours=2), "XX")
SAMPLES: list[Any] = [
    datetime.date(2024, 5, 6),
    datetime.datetime(2024, 1, 2, 3, 4, tzinfo=ZONE),
    datetime.datetime(300, 1, 1),
    datetime.time(1, 2, 3, tzinfo=ZONE),
    datetime.timedelta(days=3, seconds=5),
    ZONE,
    12345678901234567890,
    2.5,
    2j,
    "a b",
    b"a b",
    bytearray(b"ab"),
    (1, [2]),
    [1, (2,)],
    {"a": [1]},
    {1},
    frozenset([1]),
    range(2, 900, 3),
    slice(1, 2),
    collections.OrderedDict(a=1),
    collections.deque([1], 3),
    collections.Counter("abca"),
    types.MappingProxyType({"a": 1}),
    types.SimpleNamespace(a=1),
    time.gmtime(0),
    sys.version_info,
    sys.float_info,
    sys.hash_info,
    re.compile("a(?P<n>b)"),
    fractions.Fraction(1, 3),
    uuid.UUID(int=5),
]
# What answers with another object at each call, or never comes back.
NOT_ASKED = {"__dir__", "__subclasses__", "__init_subclass__", "__class__", "__hash__"}


def methods() -> Iterator[Any]:
    for sample in SAMPLES:
        for name in sorted(dir(type(sample))):
            if name not in NOT_ASKED and callable(getattr(type(sample), name)):
                yield pytest.param(sample, name, id=f"{type(sample).__name__}.{name}")


def fields(value: Any) -> list[Any]:
    """All of a struct sequence, and the items of any other container."""
    kind = type(value)
    if issubclass(kind, tuple) and hasattr(kind, "n_fields"):
        named = [n for n in dir(kind) if isinstance(getattr(kind, n), MEMBER)]
        return [getattr(value, n) for n in named]
    if issubclass(kind, (tuple, list, collections.deque)):
        return list(value)
    return list(value.items()) if issubclass(kind, dict) else []


MEMBER = types.MemberDescriptorType


def told(value: Any, depth: int = 0) -> Any:
    inside = [told(v, depth + 1) for v in fields(value)] if depth < 3 else None
    text = re.sub(" at 0x[0-9a-f]+", "", repr(value))
    return type(value), text, inside


def answer(call: Any, make: Any) -> Any:
    try:
        return told(call(make()))
    except TypeError:
        return TypeError  # (CPython names the method in its own ways)
    except Exception as error:  # whatever it is, eager raises the same
        return type(error), str(error)


@pytest.mark.parametrize(("sample", "name"), list(methods()))
def test_results_of_methods(sample: Any, name: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def f(x):\n    return x.{name}()\n", space)
    make = (lambda: sample.copy()) if hasattr(sample, "copy") else (lambda: sample)
    if answer(space["f"], make) != answer(space["f"], make):
        pytest.skip("another answer at each call")
    fast = engine_compile(space["f"])
    for _ in range(3):
        assert answer(fast, make) == answer(space["f"], make)


def test_what_takes_its_fields_one_by_one_is_a_recipe() -> None:
    day = datetime.date(2024, 5, 6)

    def f(out: list[Any]) -> Any:
        out.append(day.timetuple())
        week = day.isocalendar()
        # From 3.13 on its class is no static type: it is read, not returned.
        return week if sys.version_info < (3, 13) else week[2], [week[1]]

    fast = engine_compile(f)
    for _ in range(3):
        ours: list[Any] = []
        theirs: list[Any] = []
        assert told(fast(ours)) == told(f(theirs))
        assert told(ours) == told(theirs)
    assert fast.stats()["hits"] == 2
    assert fast.stats()["graph_breaks"] == 0
