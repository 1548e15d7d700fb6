"""Programs whose sizes and numbers change: two recordings, then hits, as eager."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

import magpy
from magpy.compare import Comparison


def in_place(x: Any, y: Any) -> Any:
    out = x + 1
    out += y
    return out


def written_into(x: Any, y: Any) -> Any:
    out = torch.empty_like(x)
    torch.add(x, y, out=out)
    return out.mul_(x.shape[0])


def pieces(x: Any) -> Any:
    q, k, v = x.split(4, dim=2)
    return q @ k.transpose(1, 2) @ v


def heads(x: Any) -> Any:
    b, t, c = x.shape
    q, k = x.chunk(2, dim=-1)
    q, k = (a.view(b, t, 2, c // 4).transpose(1, 2) for a in (q, k))
    return (q @ k.transpose(-2, -1)).softmax(-1)


def shape_of_a_result(x: Any) -> Any:
    q = x * 2
    shape = (*q.shape[:-1], -1, 2)
    return q.view(shape), torch.arange(torch.cat([x, x], dim=1).shape[1])


class Cache:
    """As of a decoder: what it held before dies when it grows."""

    def __init__(self) -> None:
        self.k = torch.zeros(1, 2, 1, 4)
        self.n = 0

    def grow(self, x: Any) -> Any:
        self.k = torch.cat([self.k, x], dim=2)
        self.n = self.k.shape[2]
        return self.k


def attend(cache: Cache, x: Any) -> Any:
    k = cache.grow(x)
    weights = x @ k.transpose(-2, -1)
    return torch.where(torch.arange(k.shape[2]) < cache.n, weights, 0.0)


def rows(n: int) -> tuple[Any, ...]:
    return torch.arange(3.0 * n).view(n, 3), torch.ones(n, 3)


def words(n: int) -> tuple[Any, ...]:
    return (torch.arange(24.0 * n).view(2, n, 12) / 9,)


PROGRAMS: list[tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]]]] = [
    (in_place, rows),
    (written_into, rows),
    (pieces, words),
    (heads, words),
    (shape_of_a_result, words),
]


@pytest.mark.not_under_verify("counts recordings")
@pytest.mark.parametrize(("program", "given"), PROGRAMS, ids=lambda o: o.__name__)
def test_sizes_that_change(program: Any, given: Any) -> None:
    fast = magpy.compile(program, backend="eager")
    for n in (2, 3, 4, 7, 5, 2, 9):
        ours, theirs = given(n), copy.deepcopy(given(n))
        difference = Comparison().difference(program(*theirs), fast(*ours))
        assert difference is None
        assert Comparison().difference(theirs, ours) is None
    stats = magpy.stats(fast)
    assert stats["recordings"] == 2
    assert stats["hits"] == 5


def test_pieces_of_a_size_that_changes() -> None:
    """How many there are follows from the size: a guard on it."""

    def program(x: Any) -> Any:
        return [piece.sum() for piece in x.chunk(3)], len(x.split(2)), x[:0].unbind(0)

    fast = magpy.compile(program, backend="eager")
    for n in (6, 7, 8, 9, 4, 3, 2, 5, 12, 7):
        x = torch.arange(2.0 * n).view(n, 2)
        assert Comparison().difference(program(x), fast(x)) is None


@pytest.mark.not_under_verify("counts recordings")
def test_a_cache_that_grows() -> None:
    fast = magpy.compile(attend, backend="eager")
    ours, theirs = Cache(), Cache()
    for i in range(12):
        x = torch.arange(8.0).view(1, 2, 1, 4) + i
        assert Comparison().difference(attend(theirs, x), fast(ours, x)) is None
        assert ours.n == theirs.n == i + 2
        assert torch.equal(ours.k, theirs.k)
    stats = magpy.stats(fast)
    assert stats["recordings"] <= 3  # a size of 1 is a case of its own
    assert stats["hits"] >= 9


@pytest.mark.not_under_verify("counts recordings")
def test_a_number_among_constants() -> None:
    """Each answer of `in` is a path of its own; what is no number decides nothing."""

    def program(x: Any, n: int) -> Any:
        return n in (3, 4.0, None, "a"), n == None, n != "a", x * n  # noqa: E711

    fast = magpy.compile(program, backend="eager")
    x = torch.arange(3.0)
    for n, recordings in (
        (7, 1),
        (8, 2),
        (9, 2),
        (3, 3),
        (12, 3),
        (4, 4),
        (3, 4),
        (5, 4),
    ):
        assert Comparison().difference(program(x, n), fast(x, n)) is None
        assert magpy.stats(fast)["recordings"] == recordings, n
    (among,) = [e for e in fast.entries() if "n == 3" in e["guards"]]
    assert "n != 4.0" not in among["guards"]


def test_numbers_that_are_summed_with_tensors() -> None:
    def both(x: Any, n: int) -> Any:
        yield x
        yield n

    def program(x: Any, n: int) -> Any:
        return sum(both(x, n)), sum([x, n]), sum((x * k for k in (1, 2)), n)

    fast = magpy.compile(program, backend="eager")
    x = torch.arange(3.0)
    for n in (2, 3, 4, 5, 2):
        assert Comparison().difference(program(x, n), fast(x, n)) is None


def test_a_run_that_breaks_has_its_own_numbers_again() -> None:
    """Plain CPython goes on behind a break: small ints are one object each."""

    def program(x: Any, n: int) -> Any:
        return id(n) == id(five), n is five, x * n

    five = 5
    fast = magpy.compile(program, backend="eager")
    x = torch.arange(3.0)
    for n in (2, 3, 4, 5, 6, 5, 5, 6):
        assert Comparison().difference(program(x, n), fast(x, n)) is None
