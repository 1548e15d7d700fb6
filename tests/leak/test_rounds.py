"""Every program of tests/programs, round after round: each ends where it began.

A round builds the program's namespace, records, hits, misses after its changes of state,
describes the entries and drops everything.  Under a debug build of CPython no reference
may be left by any round (`make refleak`); elsewhere allocated blocks are counted, which
caches and free lists of CPython blur: those level off, or grow in eager as well.
"""

from __future__ import annotations

import array
import gc
import importlib
import os
import sys
from pathlib import Path

import pytest

from oracle import Case, engine_compile, evaluated, executed

ROUNDS = 10
WARM = 4
ATTEMPTS = 10  # of ROUNDS rounds each, until the blocks have levelled off
PROGRAMS = Path(__file__).parents[1] / "programs"
EVERY = int(os.environ.get("MAGPY_TEST_EVERY", "8"))  # take each so many-th program
count_refs = getattr(sys, "gettotalrefcount", lambda: 0)


def all_cases() -> list[Case]:
    found = []
    for path in sorted(PROGRAMS.glob("test_*.py")):
        if path.stem in ("test_tensors", "test_warnings"):
            continue  # (filters are the process's: rounds would share them)
        sys.path.insert(0, str(PROGRAMS))
        try:
            module = importlib.import_module(path.stem)
        finally:
            sys.path.remove(str(PROGRAMS))
        for table in vars(module).values():
            if isinstance(table, list):
                found += [case for case in table if isinstance(case, Case)]
    return found


CASES = all_cases()


@pytest.fixture(autouse=True)
def _quiet_heap():
    """What others have made is not looked through at each collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def run_round(case: Case, eager: bool = False) -> None:
    world = case.build()
    fast = world.fn if eager else engine_compile(world.fn)
    for statement in (None, None, None, *case.changes):
        if statement is not None:
            executed(statement[0])(world)
        for text in case.calls:
            world.call(fast, *evaluated(text)(world))
    if not eager:
        fast.entries(), fast.stats()


def growth(case: Case, eager: bool = False) -> tuple[list[int], int]:
    """References that each round left, and blocks that all of them left."""
    seen = array.array("q", [0]) * (ROUNDS + 1)  # holds no objects
    blocks = 0
    for i in range(ROUNDS + 1):
        run_round(case, eager)
        sys._clear_type_cache()  # it holds names of attributes
        gc.collect()
        seen[i] = count_refs()
        blocks = blocks if i else sys.getallocatedblocks()
    blocks = sys.getallocatedblocks() - blocks
    return [b - a for a, b in zip(seen[:-1], seen[1:], strict=True)], blocks


@pytest.mark.parametrize("case", CASES[::EVERY], ids=str)
def test_rounds_leave_nothing(case):
    for _ in range(WARM):
        run_round(case)
    seen = []
    for _ in range(ATTEMPTS):
        refs, blocks = growth(case)
        seen.append((refs, blocks))
        if not any(refs) and (blocks < ROUNDS or blocks <= growth(case, True)[1]):
            return
    raise AssertionError(f"references per round, blocks: {seen}")


def test_a_leak_is_seen():
    """The measure itself: a round that keeps one list is told from one that does not."""
    case = Case("leaks", "def f(x):\n    return [x]\n", ("1",))
    kept, run = [], run_round

    def leaky(one, eager=False):
        run(one, eager)
        if not eager:
            kept.append([one])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[__name__], "run_round", leaky)
        with pytest.raises(AssertionError, match="references per round"):
            test_rounds_leave_nothing(case)
