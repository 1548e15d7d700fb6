"""Near the recursion limit there is no room for a compiler: elsewhere there is."""

from __future__ import annotations

import inspect
import sys

import pytest
import torch

import magpy


def whole(x: torch.Tensor, room: int) -> torch.Tensor:
    return x * room + 1


def broken(x: torch.Tensor, room: int) -> torch.Tensor:
    y = x * room + 1
    if y.sum().item() > 100:
        y = y + 1
    return y * 3


@pytest.mark.parametrize("body", [whole, broken])
@pytest.mark.parametrize("room", [16, 20, 22])
def test_first_hit_near_the_recursion_limit(body, room):
    fast, x = magpy.compile(body, backend="eager"), torch.ones(2)
    fast(x, room)  # (an equal graph would be there already)

    def deep(n: int) -> torch.Tensor:
        return fast(x, room) if n == 0 else deep(n - 1)

    answer = deep(sys.getrecursionlimit() - len(inspect.stack()) - room)
    assert torch.equal(answer, body(x, room))
    assert magpy.stats(fast)["reasons"] == {"compile-failed": 1}
    for _ in range(4):
        assert torch.equal(fast(x, room), body(x, room))
    assert magpy.stats(fast)["hits"] >= 4
    assert magpy.stats(fast)["reasons"] == {"compile-failed": 1}
