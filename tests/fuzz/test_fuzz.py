"""Random programs of a fixed seed, and the small ones that once went wrong."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import fuzz_run
import fuzz_shrink
import pytest
from fuzz_maker import Program, make, parse

REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.txt"))
HAVE_TORCH = importlib.util.find_spec("torch") is not None
PLAIN, TENSORS = 250, 40

counts: Counter[str] = Counter()


def check(program: Program) -> fuzz_run.Outcome:
    if program.torch:
        pytest.importorskip("torch")
    outcome = fuzz_run.run(program)
    assert outcome.difference is None, f"{program}\n{outcome.difference}"
    return outcome


@pytest.mark.parametrize("file", REGRESSIONS, ids=lambda file: file.stem)
def test_regression(file):
    check(parse(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("block", range(10))
def test_plain_programs(block):
    for number in range(block, PLAIN, 10):
        counts["programs"] += 1
        counts["counted"] += check(make(1, number, tensors=False)).hits > 0


@pytest.mark.skipif(not HAVE_TORCH, reason="needs torch")
def test_tensor_programs():
    drawn = [p for n in range(TENSORS * 7) if (p := make(2, n)).torch][:TENSORS]
    hits = [check(program).hits > 0 for program in drawn]
    assert sum(hits) > len(drawn) // 3, hits


def test_that_hits_were_tested():
    """The programs above prove little if everything stayed eager."""
    assert counts["counted"] > counts["programs"] * 2 // 3, counts


def test_numbers_vary_in_a_third_of_the_programs():
    drawn = [make(3, number) for number in range(300)]
    assert sum(program.varied for program in drawn) >= 100
    sized = [
        p
        for n in range(600)
        if (p := make(4, n)).torch and "rows, cols = 2, 3" in p.source
    ]
    changed = [
        {text for _, text in p.steps if text[:4] in ("rows", "cols")} for p in sized
    ]
    assert sum(len(sizes) > 2 for sizes in changed) > len(sized) // 2 > 3


def test_program_text_is_read_back():
    program = make(1, 3, tensors=False)
    again = parse(str(program))
    assert again.steps == program.steps
    assert again.source.strip() == program.source.strip()
    assert str(make(1, 3, tensors=False)) == str(program)


def test_shrinking_keeps_what_matters():
    source = "x = 1\ny = [2, 3]\ndef f(a):\n    if a:\n        return y[0] + a\n"
    program = Program(source, (("call", "1"), ("change", "x = 2"), ("call", "2")))

    def judge(trial: Program) -> str:
        return "differs" if "y[0]" in trial.source and trial.steps else "equal"

    small = fuzz_shrink.shrink(program, 10, judge)
    assert "x = 1" not in small.source
    assert "y[0]" in small.source
    assert len(small.steps) == 1


def test_difference_is_found(monkeypatch):
    """A compiler that answers with the first result again."""

    class Stale:
        def __init__(self, fn):
            self.fn, self.calls = fn, 0

        def __call__(self, *args, **kwargs):
            self.calls += 1
            if self.calls == 1:
                self.first = self.fn(*args, **kwargs)
            return self.first

    def wrap(program):
        return Stale, lambda c: {"calls": c.calls, "hits": 0, "places": []}

    monkeypatch.setattr(fuzz_run, "_wrap", wrap)
    monkeypatch.setattr(fuzz_run, "_kinds", lambda compiled: Counter())
    steps = (("call", ""), ("change", "g = 2"), ("call", ""))
    program = Program("g = 1\ndef f():\n    return [g]\n", steps)
    assert "differs from eager" in (fuzz_run.run(program).difference or "")


@pytest.mark.parametrize("loop", ["sum(itertools.repeat(1))", "exec('while 1: pass')"])
def test_a_program_without_an_end_is_known(loop):
    from fuzz import __main__ as fuzz

    source = f"import itertools\ndef f():\n    return {loop}\n"
    assert not fuzz.ends_in_eager(Program(source, (("call", ""),)), 1)
    assert fuzz.ends_in_eager(Program("def f():\n    return 1\n", (("call", ""),)), 60)
