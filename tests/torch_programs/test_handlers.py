"""Operations that may raise, in blocks that pass an exception on or end it.

An input of more than 16 MiB is never put back, so where a graph that writes to one is
recorded at all, no handler of the program has to run after it.
"""

import contextlib

import pytest

pytest.importorskip("torch")

import torch

import magpy

LARGE = 5 << 20
pytestmark = pytest.mark.not_under_verify("the real call is made at once")


@contextlib.contextmanager
def plain():
    yield


@contextlib.contextmanager
def restoring():
    try:
        yield
    finally:
        LOG.append("restored")


@contextlib.contextmanager
def ending():
    try:
        yield
    except RuntimeError:
        LOG.append("ended")


class Quiet:
    """A manager of the program."""

    def __init__(self, answer):
        self.answer = answer

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        LOG.append("left")


class Answers(Quiet):
    def __exit__(self, *exc):
        return self.answer


class AnswersOrNone(Quiet):
    def __exit__(self, *exc):
        return self.answer or None


LOG: list[str] = []


def writes(x, a):
    x.add_(1)
    return torch.linalg.cholesky(a)


def in_finally(x, a):
    try:
        return writes(x, a)
    finally:
        LOG.append("finally")


def reraises(x, a):
    try:
        return writes(x, a)
    except RuntimeError as e:
        LOG.append(type(e).__name__)
        raise


def another_class(x, a):
    try:
        return writes(x, a)
    except (KeyError, AttributeError):
        return x


def nested(x, a):
    try:
        try:
            return writes(x, a)
        except ImportError:
            return None
    finally:
        LOG.append("outer")


def with_plain(x, a):
    with plain():
        return writes(x, a)


def with_restoring(x, a):
    with restoring(), contextlib.nullcontext():
        return writes(x, a)


def with_quiet(x, a):
    with Quiet(False):
        return writes(x, a)


def ends(x, a):
    try:
        return writes(x, a)
    except RuntimeError:
        return x


def converts(x, a):
    try:
        return writes(x, a)
    except RuntimeError as e:
        raise ValueError("other") from e


def reraises_sometimes(x, a):
    try:
        return writes(x, a)
    except RuntimeError:
        if len(LOG) > 100:
            raise
        return x


def returns_in_finally(x, a):
    try:
        return writes(x, a)
    finally:
        if len(LOG) < 100:
            return x


def base_class(x, a):
    try:
        return writes(x, a)
    except LookupError:
        return x + 1
    except Exception:
        return x


def ends_outside(x, a):
    try:
        return in_finally(x, a)
    except RuntimeError:
        return x


def with_ending(x, a):
    with ending():
        return writes(x, a)


def with_answer(x, a):
    with Answers(True):
        return writes(x, a)


def with_answer_or_none(x, a):
    with AnswersOrNone(True):
        return writes(x, a)


def with_suppress(x, a):
    with contextlib.suppress(RuntimeError):
        return writes(x, a)


def with_stack(x, a):
    with contextlib.ExitStack() as stack:
        stack.enter_context(Answers(True))
        return writes(x, a)


PASS_ON = [
    in_finally,
    reraises,
    another_class,
    nested,
    with_plain,
    with_restoring,
    with_quiet,
]
END = [
    ends,
    converts,
    reraises_sometimes,
    returns_in_finally,
    base_class,
    ends_outside,
    with_ending,
    with_answer,
    with_answer_or_none,
    with_suppress,
    with_stack,
]


def _run(f, x, a):
    LOG.clear()
    try:
        result = f(x, a)
    except Exception as e:
        result = type(e)
    same = "x" if result is x else result
    return same, list(LOG), x[:2].tolist(), x._version


def _compare(f, size, calls):
    """Run `calls` in both worlds; the last ones give a matrix that raises."""
    fast = magpy.compile(f, backend="eager")
    ours, theirs = torch.zeros(size), torch.zeros(size)
    for n, good in enumerate(calls):
        a = torch.eye(2) * (n + 1) if good else -torch.eye(2)
        got, want = _run(fast, ours, a), _run(f, theirs, a)
        assert str(got) == str(want), n
    return magpy.stats(fast)


@pytest.mark.parametrize("f", PASS_ON, ids=lambda f: f.__name__)
def test_what_passes_an_exception_on_needs_no_copy(f):
    stats = _compare(f, LARGE, [True] * 4)
    assert (stats["hits"], stats["graph_breaks"], stats["fallbacks"]) == (3, 0, 0)


@pytest.mark.parametrize("f", PASS_ON + END, ids=lambda f: f.__name__)
def test_handlers_of_a_graph_that_can_be_undone_run(f):
    stats = _compare(f, 2, [True, True, True, False, True])
    assert stats["graph_breaks"] == 0
    assert stats["hits"] >= 3


@pytest.mark.parametrize("f", END, ids=lambda f: f.__name__)
def test_what_ends_an_exception_ends_that_of_a_graph(f):
    stats = _compare(f, LARGE, [True, True, True, False, True])
    assert "mutation" in {**stats["reasons"], **stats["breaks"]}


@pytest.mark.parametrize("f", PASS_ON, ids=lambda f: f.__name__)
def test_what_was_raised_reaches_the_caller(f):
    fast = magpy.compile(f, backend="eager")
    x = torch.zeros(LARGE)
    for _ in range(3):
        fast(x, torch.eye(2))
    with pytest.raises(RuntimeError, match="cholesky"):
        fast(x, -torch.eye(2))
    assert float(x[0]) == 4


@pytest.mark.parametrize("depth", [0, 1])
def test_operations_of_the_program_may_raise_anything(depth):
    """The history of a written input cannot be put back, so the handler must run."""
    w = torch.ones(3, requires_grad=True)

    def refuses(a):
        if a.trace() < 0:
            raise KeyError("negative")
        return a * 2

    def work(a):
        return torch.ops.of_handlers.refuses(a)

    def f(x, a):
        x.mul_(w)
        y = None
        try:
            y = work(a) if depth else torch.ops.of_handlers.refuses(a)
            x.add_(2)
        except KeyError:
            x.mul_(5)
        return x + 1, y

    with torch.library._scoped_library("of_handlers", "DEF") as lib:
        lib.define("refuses(Tensor a) -> Tensor")
        lib.impl("refuses", refuses, "CPU")
        lib.impl("refuses", torch.empty_like, "Meta")
        fast = magpy.compile(f, backend="eager")
        for good in (True, True, False, True, False):  # the first hit saves most
            a = torch.eye(2) if good else -torch.eye(2)
            ours, theirs = torch.ones(3), torch.ones(3)
            assert str(fast(ours, a)) == str(f(theirs, a))
            assert torch.equal(ours, theirs)


def test_what_does_not_raise_for_its_values_needs_no_copy():
    def f(x):
        try:
            x.mul_(2)
            return x[:2] + 1
        except RuntimeError as e:
            raise ValueError("other") from e

    fast, x = magpy.compile(f, backend="eager"), torch.ones(LARGE)
    for n in range(4):
        assert fast(x).tolist() == [2.0 ** (n + 1) + 1] * 2
    stats = magpy.stats(fast)
    assert (stats["hits"], stats["graph_breaks"], stats["fallbacks"]) == (3, 0, 0)
