"""Operators of `torch.library` for `test_extensions.py`: registered once per process."""

from __future__ import annotations

import torch

#: What a body of an operator reads and writes; the tests change it.
state = {"factor": 1.0}


@torch.library.custom_op("magpy_tests::scaled", mutates_args=())
def scaled(x: torch.Tensor, k: float) -> torch.Tensor:
    """Multiply; has a gradient of its own."""
    return x * k


def _setup(ctx, inputs, output):
    ctx.k = inputs[1]


def _backward(ctx, grad):
    return grad * ctx.k * 2, None  # not the true one: it shows that it is used


scaled.register_autograd(_backward, setup_context=_setup)


@scaled.register_fake
def _(x, k):
    return torch.empty_like(x)


@torch.library.custom_op("magpy_tests::both", mutates_args=())
def both(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Answer with two tensors."""
    return x.sin(), x.cos()


@torch.library.custom_op("magpy_tests::count", mutates_args=())
def count(x: torch.Tensor) -> int:
    """Answer with a number that depends on data."""
    return int((x > 0).sum())


@torch.library.custom_op("magpy_tests::bump_", mutates_args={"x"})
def bump_(x: torch.Tensor, y: torch.Tensor) -> None:
    """Write to its first argument; torch counts that."""
    x.add_(y)


@torch.library.custom_op("magpy_tests::stateful", mutates_args=())
def stateful(x: torch.Tensor) -> torch.Tensor:
    """Read Python state, which its contract forbids."""
    return x * state["factor"]


_library = torch.library.Library("magpy_tests", "FRAGMENT")
_library.define("raw_(Tensor(a!) x, Tensor y) -> ()")


def _raw(x: torch.Tensor, y: torch.Tensor) -> None:
    """Write as a foreign kernel does, past torch's counter."""
    x.numpy()[...] += y.numpy()


_library.impl("raw_", _raw, "CPU")


@torch.library.custom_op("magpy_tests::positive", mutates_args=())
def positive(x: torch.Tensor, k: int) -> torch.Tensor:
    """Answer with as many rows as there are positive numbers."""
    return x[x > 0][:, None].repeat(1, k)


@positive.register_fake
def _(x, k):
    return x.new_empty(torch.library.get_ctx().new_dynamic_size(), k)


@torch.library.custom_op("magpy_tests::liar", mutates_args=())
def liar(x: torch.Tensor) -> torch.Tensor:
    """Its fake says something else."""
    return x.clone()


@liar.register_fake
def _(x):
    return x.new_empty(x.shape[0] + 1, 2)
