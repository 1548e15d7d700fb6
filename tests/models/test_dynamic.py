"""Programs whose sizes and numbers change: as many graphs as `bench dynamic` allows, no
eager calls, and the results of eager, down to the bit."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from magpy_experiments.dynamic import report  # noqa: E402
from magpy_experiments.dynamic.case import Ours, bar, measure  # noqa: E402

CASES = [
    case
    for case in report.cases(quick=True)
    if "generate" not in case.name or case.name.endswith(("greedy", "assisted"))
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bar(case):
    counted = measure(case, lambda: Ours("eager"), tolerance=0.0)
    assert counted.calls > 1
    assert not bar(case, counted), (bar(case, counted), counted)
