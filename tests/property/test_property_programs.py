"""Random programs without tensors, drawn by hypothesis: compiled equals eager.

The tables are those of the fuzzer (tests/fuzz).  Hypothesis takes the place of its random
generator, so what fails is made smaller choice by choice.  MAGPY_TEST_EXAMPLES sets how
many programs are drawn, MAGPY_TEST_PROFILE=search draws new ones each time.
"""

from __future__ import annotations

from collections import Counter

import fuzz_run
from fuzz_maker import Program, draw_program
from hypothesis import given, note
from hypothesis import strategies as st

counts: Counter[str] = Counter()


def programs(tensors: bool) -> st.SearchStrategy[Program]:
    """Programs of the fuzzer's tables."""
    choices = st.randoms(use_true_random=False)
    return choices.map(lambda draw: draw_program(draw, tensors))


def check(program: Program, counts: Counter[str]) -> None:
    """Run a program in both worlds, and count whether it hit."""
    note(str(program))
    outcome = fuzz_run.run(program)
    assert outcome.difference is None, outcome.difference
    counts["programs"] += 1
    counts["with hits"] += outcome.hits > 0


@given(programs(tensors=False))
def test_equal_to_eager(program):
    check(program, counts)


def test_that_hits_were_tested():
    """The test above proves little if everything stayed eager."""
    assert counts["with hits"] > counts["programs"] // 2, counts
