"""Loggers that say nothing: what they keep of their own answers is no effect."""

import logging

import pytest

from magpy._engine import CompiledFunction


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
