"""Errors by which a compiler says that a graph is none for it.

A result whose shape depends on numbers, an operation that it knows nothing about: that is
no failure, the graph then runs as recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from magpy import seal
from magpy.backends.base import Refused

if TYPE_CHECKING:
    from magpy.graph import Spec

_ENTERS = ("__enter__", "__exit__")
# The text is all that tells these from other errors.
_TEXTS = {
    "encountered a mutation on a view chain": "it writes through a chain of views",
    "There was no fake impl registered": "an operator has no fake implementation",
    "might be aliasing the input or the output": "arms use tensors that share memory",
    "attempting to assign a gradient": "an input has a gradient of another kind",
}


def foreseen(
    spec: Spec, build: Callable[[Spec], Callable[..., Any]], inputs: Sequence[Any]
) -> str:
    """Return why a graph that turns inference mode on will be refused, "" if it is not.

    R: no compiler may raise inside that mode: the object that leaves it dies too late, and
    puts back what the compiler had set up.  So shapes are worked out without it before.
    """
    import torch

    ops, n_inputs, outputs, notes = spec
    mode = torch._C._InferenceMode
    if all(target is not mode for target, *_ in ops):
        return ""
    plain = [op for op in ops if op[0] is not mode and op[0] not in _ENTERS]
    try:
        run = build((plain, n_inputs, outputs, notes))
        with seal.sealed(), seal.tracing() as context, torch.no_grad():
            with context.fake_mode:
                fake = context.fake_mode.from_tensor
                run(*[fake(x) if isinstance(x, torch.Tensor) else x for x in inputs])
    except Exception as error:
        return reason_in(error) or f"its shapes raise {type(error).__name__}"
    return ""


def reason_in(error: BaseException | None) -> str:
    """Return what the compiler refused, "" if it just failed."""
    from torch._subclasses import fake_tensor

    kinds = (
        fake_tensor.DynamicOutputShapeException,
        fake_tensor.DataDependentOutputException,
        fake_tensor.UnsupportedOperatorException,
    )
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, Refused):
            return str(error)
        if isinstance(error, kinds):
            return f"no compiler knows the shape or value of {error.func}"
        if isinstance(error, RuntimeError):
            for text, why in _TEXTS.items():
                if text in str(error):
                    return why
        error = error.__cause__ or error.__context__
    return ""
