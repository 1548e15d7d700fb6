"""Classes of torch that the recorder knows, and modules whose frames it need not watch."""

from __future__ import annotations

import sys

import torch


def tensor_types() -> tuple[type, ...]:
    """The classes of tensors that graphs take as they are (exact types)."""
    return (torch.Tensor, torch.nn.Parameter)


def tensor_makers() -> tuple[type, ...]:
    """Classes that make a tensor of another one, in its memory."""
    buffer = getattr(torch.nn, "Buffer", None)  # since torch 2.5
    return (torch.nn.Parameter,) if buffer is None else (torch.nn.Parameter, buffer)


def legacy_constructors() -> tuple[type, ...]:
    """Classes that make a new tensor of sizes or of a sequence: `torch.FloatTensor`."""
    return (torch.Tensor, *torch._tensor_classes)


def constant_types() -> tuple[type, ...]:
    """Immutable scalars of torch: their values are constants."""
    return (
        type(torch.FloatTensor),
        torch.dtype,
        torch.device,
        torch.layout,
        torch.memory_format,
        torch.Size,
        torch.qscheme,
        torch.finfo,
        torch.iinfo,
        *_numpy_scalars(),
    )


def _numpy_scalars() -> tuple[type, ...]:
    """Numbers of numpy, if the program has loaded it (torch does, where it is there)."""
    numpy = sys.modules.get("numpy")
    names = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32"
    found = [getattr(numpy, n, None) for n in (*names.split(), "float64")]
    return tuple(t for t in found if isinstance(t, type))


def skip_module_prefixes() -> tuple[str, ...]:
    """Modules whose Python frames may run unwatched below a logged operation: a frame
    fits if its module is one of these or lies inside one."""
    return (
        "torch",
        "numpy",
        "opt_einsum",
        *sorted(sys.stdlib_module_names - {"__main__"}),
    )
