"""The oracle itself: it must notice every kind of wrong answer."""

import copy

import pytest

from oracle import cases, check


class Broken:
    """A compiler with one defect; counts calls and hits as the engine does."""

    def __init__(self, fn, defect):
        self.fn = fn
        self.defect = defect
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls == 1:
            self.first = self.fn(*args, **kwargs)
            return self.first
        return self.defect(self, args, kwargs)

    def stats(self):
        hits = max(self.calls - 1, 0)
        return {"calls": self.calls, "hits": hits, "partial_hits": 0}


def right(self, args, kwargs):
    return self.fn(*args, **kwargs)


def stale(self, args, kwargs):
    return self.first


def copied_result(self, args, kwargs):
    return copy.deepcopy(self.fn(*args, **kwargs))


def no_effects(self, args, kwargs):
    saved = {k: copy.copy(v) for k, v in self.fn.__globals__.items()}
    result = self.fn(*copy.deepcopy(args), **kwargs)
    self.fn.__globals__.update(saved)
    return result


def other_type(self, args, kwargs):
    result = self.fn(*args, **kwargs)
    return True if result == 1 and type(result) is int else result


def reordered(self, args, kwargs):
    result = self.fn(*args, **kwargs)
    return dict(reversed(result.items())) if isinstance(result, dict) else result


def raises(self, args, kwargs):
    raise RuntimeError("defect")


PROGRAMS = """
=== state
xs = [1]
def f(a):
    xs[0] = a
    return xs, [xs]
>>> 1
!!! xs = [5]

=== number
n = 1
def f():
    return n
!!! n = 2

=== mapping
def f(d):
    return {**d, "z": 1}
>>> {"a": 1, "b": 2}

=== shared
def f(a):
    return a, [a]
>>> [1]
"""


@pytest.mark.parametrize("case", cases(PROGRAMS), ids=str)
def test_accepts_what_is_right(case):
    check(case, lambda fn: Broken(fn, right))


@pytest.mark.parametrize(
    ("program", "defect"),
    [
        ("state", stale),
        ("state", no_effects),
        ("state", copied_result),
        ("state", raises),
        ("number", stale),
        ("number", other_type),
        ("mapping", reordered),
        ("shared", copied_result),
        ("shared", stale),
    ],
)
def test_notices(program, defect):
    case = next(c for c in cases(PROGRAMS) if c.name == program)
    with pytest.raises(AssertionError, match="differs from eager"):
        check(case, lambda fn: Broken(fn, defect))


def test_notices_missing_hits():
    class NeverHits(Broken):
        def stats(self):
            return {"calls": self.calls, "hits": 0, "partial_hits": 0}

    case = cases(PROGRAMS)[0]
    with pytest.raises(AssertionError, match="not stable"):
        check(case, lambda fn: NeverHits(fn, right))


def test_notices_breaks():
    class Breaks(Broken):
        def stats(self):
            return super().stats() | {"partial_hits": self.calls}

    case = cases(PROGRAMS)[0]
    with pytest.raises(AssertionError, match="^broken"):
        check(case, lambda fn: Breaks(fn, right))
    check(case, lambda fn: Breaks(fn, right), whole=False)
