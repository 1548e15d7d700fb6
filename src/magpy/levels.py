"""Levels of torch.func and of forward differentiation that a graph has left open.

``vmap``, ``grad`` and the like open a level, call the function and close the level; in a
graph these are operations of their own.  If one in between raises, the level stays open.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

_functorch: Any = torch._C._functorch

_OPENERS = (
    _functorch._vmap_increment_nesting,
    _functorch._grad_increment_nesting,
    _functorch._jvp_increment_nesting,
)


def _closers() -> dict[Any, Callable[[], Any]]:
    kinds = _functorch.TransformType
    return {
        kinds.Vmap: _functorch._vmap_decrement_nesting,
        kinds.Grad: _functorch._grad_decrement_nesting,
        kinds.Jvp: _functorch._jvp_decrement_nesting,
    }


def step(target: Any) -> int:
    """Return by how much an operation changes the number of open levels."""
    if not isinstance(target, types.BuiltinFunctionType):
        return 0
    return 1 if target in _OPENERS else -1 if target in _closers().values() else 0


def depth() -> int:
    """Return how many levels of torch.func are open in this thread."""
    top = _functorch.peek_interpreter_stack()
    return 0 if top is None else int(top.level())


def _dual_depth() -> int:
    """Return how many levels of forward differentiation are open: torch allows one."""
    try:
        level = torch._C._enter_dual_level()
    except RuntimeError:
        return 1
    torch._C._exit_dual_level(level=level)
    return int(level)


def close(levels: int = 0, duals: int = 0, *, hooks: str | None = None) -> None:
    """Close what is open above `levels` and `duals`, and put back what transforms set.

    Args:
        levels: of torch.func, that shall stay open.
        duals: of forward differentiation, that shall stay open.
        hooks: why default hooks for saved tensors are not allowed; None if they are.
    """
    closers = _closers()
    while depth() > levels:
        closer = closers.get(_functorch.peek_interpreter_stack().key())
        if closer is None:
            return  # one that no graph opens
        closer()
    if levels == 0:
        _functorch.set_inplace_requires_grad_allowed(False)
    for level in range(_dual_depth() - 1, duals - 1, -1):
        torch._C._exit_dual_level(level=level)
    saved: Any = torch._C._autograd
    if saved._saved_tensors_hooks_get_disabled_error_message() != hooks:
        if hooks is None:
            saved._saved_tensors_hooks_enable()
        else:
            saved._saved_tensors_hooks_disable(hooks)


@contextmanager
def kept() -> Iterator[None]:
    """Close at the end of the block what it has left open."""
    levels, duals = depth(), _dual_depth()
    forward = torch._C._is_fwd_grad_enabled()
    hooks = torch._C._autograd._saved_tensors_hooks_get_disabled_error_message()
    try:
        yield
    finally:
        close(levels, duals, hooks=hooks)
        torch._C._set_fwd_grad_enabled(forward)
