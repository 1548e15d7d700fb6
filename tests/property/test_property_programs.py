"""Random programs without tensors: compiled equals eager, call after call.

MAGPY_TEST_EXAMPLES sets how many, MAGPY_TEST_PROFILE=search draws new ones each time.
"""

from __future__ import annotations

import gc
import linecache
from collections import Counter

from hypothesis import given, note
from program_maker import programs

from oracle import Pair, engine_compile, evaluated, executed

counts: Counter[str] = Counter()


@given(programs())
def test_equal_to_eager(drawn):
    case, script = drawn
    gc.collect(1)
    linecache.clearcache()
    note(case.source)
    pair = Pair(case.build, engine_compile, lambda compiled: compiled.stats())
    for kind, text in script:
        if kind == "change":
            pair.change(text, executed(text))
        else:
            counts["calls"] += 1
            counts["hits"] += pair.call(text, evaluated(text))


def test_that_hits_were_tested():
    """The suite above proves little if everything stayed eager."""
    assert counts["hits"] > counts["calls"] // 10, counts
