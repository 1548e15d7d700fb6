"""Thousands of recordings, hits, misses, aborts and deletions: nothing piles up.

Counts objects of the collector and allocated blocks; under a debug build of CPython also
every reference (`make refleak` runs this file under one where it is installed).  Needs no
torch.
"""

from __future__ import annotations

import gc
import os
import sys
import weakref

import pytest

from oracle import engine_compile

CYCLES = int(os.environ.get("MAGPY_TEST_CYCLES", "400"))  # of each program
ROUNDS = 4
WARM_UP = 300


class Node:
    """State of a program: attributes, containers, a reference cycle."""

    def __init__(self) -> None:
        self.n = 1
        self.items = [1, 2, 3]
        self.table = {"a": 1}
        self.me = self


class Slotted:
    __slots__ = ("__weakref__", "x")

    def __init__(self, x):
        self.x = x


def writes(node, x):
    node.total = node.n + x
    node.items[1:] = [x, (x, node.total)]
    node.table["b"] = {x}
    node.table.pop("a", None)

    def later(k=x):
        return k, node

    return {"o": [node.items, later], "s": Slotted([x])}


def generates(node, x):
    def go(n):
        for i in range(n):
            yield i, [x]

    it = go(5)
    return [next(it), next(it)], list(go(2)), sorted(node.table, key=len)


def leaves_generator(node, x):
    def go():
        yield node
        yield x

    it = go()
    next(it)
    return it


def raises(node, x):
    try:
        node.table["missing"]
    except KeyError as error:
        node.seen = str(error)
    with pytest.raises(ValueError, match="x"):
        raise ValueError("x")
    raise LookupError(x)


def opaque(node, x):
    return memoryview(b"abc").tolist(), node.n, x


def context(node, x):
    class Local:
        value = [x]

    return Local


def call(fast, *args):
    try:
        return fast(*args)
    except LookupError:
        return None


def record_hit_delete(fn):
    fast, node = engine_compile(fn), Node()
    for x in (1, 1, 2, 1, 1):
        call(fast, node, x)
    return fast, node


def misses_and_evictions(fn):
    from magpy._engine import CompiledFunction

    fast, node = CompiledFunction(fn, max_entries=2), Node()
    for x in range(12):
        node.n = x % 5
        call(fast, node, x)
    fast.reset()
    call(fast, node, 1)
    return fast, node


def described(fn):
    events: list = []
    from magpy._engine import CompiledFunction

    fast = CompiledFunction(fn, on_event=lambda kind, info: events.append((kind, info)))
    node = Node()
    for x in (1, 1, 2):
        call(fast, node, x)
    repr(fast), fast.stats(), fast.entries()
    return fast, node


def in_a_cycle(fn):
    fast, node = record_hit_delete(fn)
    node.fast = fast
    fast.node = node
    return fast, node


PROGRAMS = [writes, generates, leaves_generator, raises, opaque, context]
LIVES = [record_hit_delete, misses_and_evictions, described, in_a_cycle]


def counts() -> list[int]:
    gc.collect()
    gc.collect()
    total = getattr(sys, "gettotalrefcount", lambda: 0)
    return [len(gc.get_objects()), sys.getallocatedblocks(), total()]


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("fn", PROGRAMS)
def test_nothing_piles_up(fn, life):
    cycles = max(10, CYCLES // len(LIVES) // ROUNDS)
    seen = []
    for _ in range(WARM_UP):  # free lists and caches of the interpreter fill up
        life(fn)
    for _ in range(ROUNDS):
        for _ in range(cycles):
            life(fn)
        seen.append(counts())
    growth = [
        min(b - a for a, b in zip(column[:-1], column[1:], strict=True))
        for column in zip(*seen, strict=True)
    ]
    assert all(g < cycles // 2 for g in growth), (growth, seen)


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("fn", PROGRAMS)
def test_everything_dies(fn, life):
    def program(node, x, fn=fn):
        return fn(node, x)

    fast, node = life(program)
    refs = [weakref.ref(fast), weakref.ref(node), weakref.ref(program)]
    del fast, node, program
    gc.collect()
    assert [ref() for ref in refs] == [None] * 3


def test_arguments_die_while_the_compiled_function_lives():
    fast = engine_compile(writes)
    refs = []
    for x in (1, 1, 2, 2, 1):
        node = Node()
        out = fast(node, x)
        refs += [weakref.ref(node), weakref.ref(out["s"])]
    del node, out
    gc.collect()
    assert [ref() for ref in refs] == [None] * 10


def test_aborted_recordings_keep_no_argument():
    fast = engine_compile(opaque)
    node = Node()
    ref = weakref.ref(node)
    fast(node, 1)
    node.me = None
    del node
    assert ref() is None
