"""The operations of the backend xla: torchax's table, and what it lacks or has wrong."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PACKAGES = ("jax", "torchax")


class Unfit(Exception):
    """JAX cannot compute what a graph does."""


def missing(device: str) -> str:
    """Return the command that installs what is not there, or ""."""
    found = all(importlib.util.find_spec(name) for name in PACKAGES)
    plugins = ("jax_cuda13_plugin", "jax_cuda12_plugin")
    if device == "cuda":
        found = found and any(importlib.util.find_spec(name) for name in plugins)
    jax = {"cpu": "jax", "cuda": "'jax[cuda13]'"}[device]
    return "" if found else f"pip install {jax} torchax"


@cache
def jax() -> Any:
    """Import JAX, with settings that must be there before it looks for devices."""
    import torch

    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("PJRT_NPROC", str(torch.get_num_threads()))
    import jax

    return jax


@cache
def _table() -> dict[Any, Any]:
    """Return torchax's table of operations: its rows have `func` and `needs_env`.

    The package itself is not imported.  It renames a device of torch, turns off a fast
    path of attention and changes settings of JAX; and it names overloads that newer
    versions of torch no longer have.
    """
    jax()
    logging_before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # of operations that are registered twice
    try:
        with _shells():
            from torchax.ops import jaten, ops_registry
    finally:
        logging.disable(logging_before)
    assert jaten
    table: dict[Any, Any] = ops_registry.all_aten_ops
    return table


@contextmanager
def _shells() -> Iterator[None]:
    """Put empty modules in the place of torchax and of its tensors."""
    if "torchax" in sys.modules:
        yield
        return
    spec = importlib.util.find_spec("torchax")
    assert spec is not None
    package, tensor = ModuleType("torchax"), ModuleType("torchax.tensor")
    package.__path__ = list(spec.submodule_search_locations or ())
    tensor.Tensor = type("Tensor", (), {})  # type: ignore[attr-defined]
    sys.modules |= {"torchax": package, "torchax.tensor": tensor}
    try:
        yield
    finally:
        for name in [*sys.modules]:
            if name.partition(".")[0] == "torchax":
                del sys.modules[name]


def _row(target: Any) -> Any:
    table = _table()
    return table.get(target) or table.get(target.overloadpacket)


@cache
def decompositions() -> dict[Any, Any]:
    """Return torch's: to core operations, and of all that the table does not have."""
    import torch
    from torch._decomp import core_aten_decompositions, decomposition_table

    found: dict[Any, Any] = dict(core_aten_decompositions())
    for target, body in decomposition_table.items():
        if isinstance(target, torch._ops.OpOverload) and _row(target) is None:
            found.setdefault(target, body)
    return found


def check(target: Any) -> None:
    """Can it be computed?

    Raises:
        Unfit: it cannot.
    """
    import torch

    if not isinstance(target, torch._ops.OpOverload):
        home = getattr(target, "__module__", "")
        if home in ("_operator", "math", "builtins", "torch"):
            return  # on sizes, or one of several results
        raise Unfit(f"an operation that is none of ATen's: {target}")
    if torch.Tag.nondeterministic_seeded in target.tags:
        raise Unfit(f"JAX draws other random numbers ({target})")
    if target in _own():
        return
    row = _row(target)
    if row is None or not row.is_jax_function:
        raise Unfit(f"torchax does not have {target}")
    if row.needs_env:
        raise Unfit(f"JAX draws other random numbers ({target})")


@cache
def _own() -> dict[Any, Callable[..., Any]]:
    """Operations that the table does not have: questions for numbers, and primitives."""
    import torch

    aten, prims = torch.ops.aten, torch.ops.prims
    return {
        aten.sym_size.int: lambda x, at: x.shape[at],
        aten.sym_numel.default: lambda x: x.size,
        prims.convert_element_type.default: lambda x, dtype: x.astype(dtype_of(dtype)),
        aten.convolution.default: _convolution,
        aten.convolution_backward.default: _convolution_backward,
        aten.max_pool2d_with_indices_backward.default: _max_pool2d_backward,
        aten.avg_pool2d_backward.default: _avg_pool2d_backward,
        aten._adaptive_avg_pool2d_backward.default: _adaptive_avg_pool2d_backward,
        aten.upsample_nearest2d_backward.default: _upsample_nearest2d_backward,
    }


def _convolution(x: Any, weight: Any, bias: Any, *how: Any) -> Any:
    """What torchax has, and transposed ones, which it gets wrong if there are groups."""
    import torch

    plain = _row(torch.ops.aten.convolution.default).func
    stride, padding, dilation, transposed, more, groups = how
    if not transposed:
        return plain(x, weight, bias, *how)
    each = zip(
        x.shape[2:], weight.shape[2:], stride, padding, dilation, more, strict=True
    )
    sizes = [(n - 1) * s - 2 * p + d * (k - 1) + 1 + o for n, k, s, p, d, o in each]
    shape = (x.shape[0], weight.shape[1] * groups, *sizes)
    nothing = [0] * len(sizes)

    def turned(y: Any) -> Any:
        return plain(y, weight, None, stride, padding, dilation, False, nothing, groups)

    y = jax().linear_transpose(turned, jax().ShapeDtypeStruct(shape, x.dtype))(x)[0]
    return y if bias is None else y + bias.reshape(-1, *[1] * len(sizes))


def _max_pool2d_backward(grad: Any, x: Any, *how: Any) -> Any:
    """Add to where the indices of the result say."""
    indices, jnp = how[-1], jax().numpy
    rows = jnp.zeros((x.size // (x.shape[-1] * x.shape[-2]), x.shape[-1] * x.shape[-2]))
    rows = rows.astype(grad.dtype)
    at = indices.reshape(len(rows), -1)
    lines = jnp.arange(len(rows))[:, None]
    return rows.at[lines, at].add(grad.reshape(len(rows), -1)).reshape(x.shape)


def _pulled_back(target: Any, grad: Any, given: Sequence[Any], *rest: Any) -> list[Any]:
    """Return the gradients of what an operation was given, as JAX derives them."""
    function = function_of(target)
    _, back = jax().vjp(lambda *xs: function(*xs, *rest), *given)
    return list(back(grad))


def _convolution_backward(
    grad: Any, x: Any, weight: Any, bias_sizes: Any, *rest: Any
) -> tuple[Any, ...]:
    import torch

    *how, wanted = rest
    target = torch.ops.aten.convolution.default
    found = _pulled_back(target, grad, (x, weight), None, *how)
    found.append(grad.sum(axis=(0, *range(2, grad.ndim))))
    return tuple(
        each if want else None for each, want in zip(found, wanted, strict=True)
    )


def _avg_pool2d_backward(grad: Any, x: Any, *how: Any) -> Any:
    import torch

    return _pulled_back(torch.ops.aten.avg_pool2d.default, grad, (x,), *how)[0]


def _adaptive_avg_pool2d_backward(grad: Any, x: Any) -> Any:
    import torch

    target = torch.ops.aten._adaptive_avg_pool2d.default
    return _pulled_back(target, grad, (x,), list(grad.shape[-2:]))[0]


def _upsample_nearest2d_backward(
    grad: Any, output_size: Any, input_size: Any, *scales: Any
) -> Any:
    import torch

    x = jax().numpy.zeros(input_size, grad.dtype)
    target = torch.ops.aten.upsample_nearest2d.default
    return _pulled_back(target, grad, (x,), list(output_size), *scales)[0]


def function_of(target: Any) -> Callable[..., Any]:
    """Return what computes an operation on arrays of JAX."""
    import torch

    function: Callable[..., Any] = target  # of Python's, on numbers
    if target in _own():
        function = _own()[target]
    elif isinstance(target, torch._ops.OpOverload):
        function = _row(target).func
    return function


def dtype_of(dtype: torch.dtype) -> Any:
    """Return what JAX calls it; the names are alike."""
    return jax().numpy.dtype(str(dtype).removeprefix("torch."))
