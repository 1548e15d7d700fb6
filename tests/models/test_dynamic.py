"""Programs whose sizes and numbers change: as many graphs as `bench dynamic` allows, no
eager calls, and the results of eager, down to the bit."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from magpy_experiments.dynamic import report  # noqa: E402
from magpy_experiments.dynamic.case import Ours, bar, measure  # noqa: E402

#: What is over the bar yet, and why.
OPEN = {
    "encoder, 20 shapes": "the first call breaks at bool(mask.all())",
    "generate gpt2 greedy": "the first call breaks at bool(mask.all())",
    "generate gpt2 assisted": "a token of a context variable is used twice",
    "generate gpt_neox assisted": "one kind of call more",
    "generate t5 assisted": "one kind of call more",
    "generate bart greedy": "a size is pinned",
    "generate bart assisted": "a size is pinned",
}
CASES = [
    case
    for case in report.cases(quick=True)
    if "generate" not in case.name or case.name.endswith(("greedy", "assisted"))
]


def marked(case):
    why = OPEN.get(case.name)
    return [] if why is None else [pytest.mark.xfail(reason=why, strict=False)]


@pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=marked(c)) for c in CASES]
)
def test_bar(case):
    counted = measure(case, lambda: Ours("eager"), tolerance=0.0)
    assert counted.calls > 1
    assert not bar(case, counted), (bar(case, counted), counted)


def test_what_is_open_is_a_case():
    assert set(OPEN) <= {case.name for case in CASES}
