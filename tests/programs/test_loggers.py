"""Loggers that say nothing: what they keep of their answers is an effect."""

import logging

import pytest

from magpy._engine import CompiledFunction
from oracle import Case, cases, check

HEAD = """
import logging
class Manager: disable = 0
log = logging.Logger("a", logging.WARNING)
log.manager = Manager()
sub = logging.Logger("a.b")
sub.manager, sub.parent = log.manager, log
"""

# What is kept is seen in the caches, and by levels that are changed past setLevel().
PROGRAMS = """
=== one_level
def f(n):
    return sub.isEnabledFor(n)
>>> 20
>>> 40
!!! sub._cache.clear()
!!! log.level = 50
!!! sub._cache.clear()
!!! log.level = 10
!!! sub._cache.clear()

=== order_and_reads
def f(n):
    sub.isEnabledFor(10)
    return sub.isEnabledFor(n), log.isEnabledFor(20), list(sub._cache), log._cache
>>> 40
!!! sub._cache.clear()
!!! log.level = 50
!!! sub._cache.clear(); log._cache.clear()
!!! log.level = 0; log.parent = None
!!! sub._cache.clear()
!!! sub._cache[10] = True; sub.propagate = False
!!! log.manager.disable = 40
!!! log._cache.clear(); sub._cache.clear()

=== behind_a_break
import time
def f(n):
    first = sub.isEnabledFor(n)
    time.time()
    return first, sub.isEnabledFor(n + 1), log.isEnabledFor(n)
>>> 20
!!! sub._cache.clear()
!!! log._cache.clear()
!!! log.level = 50
!!! sub._cache.clear(); log._cache.clear()

=== cleared_and_written_by_the_program
def f(n):
    sub._cache[n + 2] = 1
    first = sub.isEnabledFor(n)
    sub._cache.clear()
    return first, sub.isEnabledFor(n), sub.isEnabledFor(n + 1), sub.isEnabledFor(n + 2)
>>> 20
!!! log.level = 50
!!! sub._cache.clear()
"""


@pytest.mark.parametrize("case", cases(HEAD + PROGRAMS), ids=str)
def test_keeps(case: Case) -> None:
    check(case, whole=case.name != "behind_a_break")


class Asking(logging.Logger):
    asked = 0
    seen: dict[int, bool]

    def getEffectiveLevel(self):
        self.asked += 1
        self.seen[5] = True
        return super().getEffectiveLevel()


@pytest.fixture
def logger():
    made = logging.Logger("of a test", logging.WARNING)
    made.manager = logging.Manager(logging.RootLogger(logging.WARNING))
    return made


def test_answers_that_are_not_known_yet(logger):
    def f(n):
        logger.debug("no %s", n)
        return logger.isEnabledFor(logging.ERROR), logger.isEnabledFor(logging.INFO)

    fast = CompiledFunction(f)
    for i in range(8):
        if i in (3, 6):
            logger._cache.clear()
        assert fast(1) == (True, False)
    stats = fast.stats()
    assert stats["fallbacks"] == 0 and stats["graph_breaks"] == 0
    assert stats["recordings"] == 2 and stats["hits"] == 6
    logger.setLevel(logging.CRITICAL)
    logger._cache.clear()  # as setLevel() does for loggers of a manager
    assert fast(1) == (False, False) == f(1)


def test_hits_keep_what_they_found(logger):
    def f():
        return logger.isEnabledFor(logging.ERROR), logger.isEnabledFor(logging.INFO)

    fast = CompiledFunction(f)
    for _ in range(4):
        logger._cache.clear()
        assert fast() == (True, False)
        assert list(logger._cache.items()) == [(40, True), (20, False)]
    assert fast.stats()["hits"] == 3


def test_what_else_is_written_under_the_lock_counts():
    logger = Asking("of a test", logging.WARNING)
    logger.seen = {}
    logger.manager = logging.Manager(logging.RootLogger(logging.WARNING))

    def f():
        return logger.isEnabledFor(logging.INFO)

    fast = CompiledFunction(f)
    for i in range(1, 5):
        logger._cache.clear()
        logger.seen.clear()
        assert fast() is False and logger.asked == i and logger.seen == {5: True}
