"""How long the parts of a hit take that run before the graph."""

from __future__ import annotations

import sys

import pytest

from magpy._engine import CompiledFunction

LIMIT = 3


def program(x, *rest, scale=1, **more):
    return x * scale + LIMIT, rest, more


def test_parts_of_a_search():
    fast = CompiledFunction(program)
    fast(2, 3, scale=4, other=5)
    before = fast.stats()
    parts = fast.search_seconds(50, (2, 3), {"scale": 4, "other": 5})
    assert len(parts) == 3
    assert 0 < parts[0] < 0.01
    assert sum(parts) < 0.01
    assert fast.stats() == before  # it was no call
    assert fast(2, 3, scale=4, other=5) == program(2, 3, scale=4, other=5)
    assert fast.stats()["hits"] == before["hits"] + 1


def test_no_entry_answers():
    fast = CompiledFunction(program)
    assert fast.search_seconds(3, (2,), {}) is None
    fast(2)
    assert fast.search_seconds(3, ([],), {}) is None
    assert fast.search_seconds(3, (), {}) is None  # the arguments do not fit


def test_wrong_arguments():
    fast = CompiledFunction(program)
    with pytest.raises(ValueError, match="n must be at least 1"):
        fast.search_seconds(0, (), {})
    with pytest.raises(TypeError):
        fast.search_seconds(1, [], {})


def test_forgotten_on_the_way():
    """The dict of keywords goes at the end of each turn, and takes Python code with it."""
    ran = []

    class Forgets:
        def __del__(self):
            fast.reset()
            ran.append(fast.search_seconds(1, (2,), {}))

    fast = CompiledFunction(lambda *args: args[0])
    fast(2, 3)
    assert fast.search_seconds(1, (2, 3), {}) is not None
    forgets = [Forgets()]
    fast(2, 4)
    del forgets[0]
    assert ran == [None]
    assert fast.search_seconds(5, (2, 3), {}) is None


def test_nothing_is_kept():
    argument = type("Argument", (), {"__mul__": lambda self, by: by})()
    fast = CompiledFunction(program)
    fast(argument, key=argument)
    count = sys.getrefcount(argument)
    for _ in range(5):
        assert fast.search_seconds(20, (argument,), {"key": argument}) is not None
    assert sys.getrefcount(argument) == count
