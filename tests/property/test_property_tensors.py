"""Random programs with tensors, drawn by hypothesis from the tables of the fuzzer."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from test_property_programs import check, programs

counts: Counter[str] = Counter()


@settings(max_examples=max(settings().max_examples // 6, 20))
@given(programs(tensors=True))
def test_equal_to_eager(program):
    check(program, counts)


def test_that_hits_were_tested():
    assert counts["with hits"] > counts["programs"] // 3, counts
