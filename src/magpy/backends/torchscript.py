"""Backend ``torchscript``: the graph traced, and run by TorchScript's executor.

What is traced is straight-line code whose shapes are guarded, so no path is left out.
Parameters stay inputs of it, they are not frozen into constants: a write to a parameter
counts in the next call.

R: a tracer makes a constant of each tensor whose origin it has not seen (``x.data``,
``torch.tensor(1)``), and of each number that Python asks a tensor for.  The results of all
operations of the graph are looked up while it is traced, and such a graph is refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from magpy import seal
from magpy.backends.base import Backend, Executable, Refused, Settings

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule


def make(settings: Settings) -> Backend:
    """Return the backend; a mode means nothing here (compile says so).

    Raises:
        ValueError: options were given, the backend has none.
    """
    settings.allow_no_options("torchscript")
    key = settings.key("torchscript")
    return Backend("torchscript", _compile, checked=True, dynamic=False, key=key)


def _compile(
    gm: GraphModule, inputs: Sequence[Any], mutated: Sequence[int], live: object = None
) -> Executable:
    examples = list(inputs)
    for at in mutated:  # tracing runs the graph
        copy = inputs[at].detach().clone()
        examples[at] = copy.requires_grad_(inputs[at].requires_grad)
    with seal.tracing():
        return trace(gm, examples), False


def trace(gm: GraphModule, inputs: Sequence[torch.Tensor]) -> Callable[..., Any]:
    """Return what runs a graph in TorchScript; usable as a backend of TorchDynamo.

    Not ``torch.jit.trace``: what that makes stays for ever in a table of torch's.

    Args:
        gm: it answers a tuple or list of tensors.
        inputs: of a call, which is made.

    Raises:
        Refused: a trace would not compute what the graph does.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func == torch.Tensor.data.__get__ and not torch.is_grad_enabled():
                func = torch.Tensor.detach  # the same, and traced
            result = func(*args, **(kwargs or {}))
            _check_traced(func, result)
            return result

    if not all(isinstance(x, torch.Tensor) for x in inputs):
        raise Refused("a trace takes tensors alone")

    def run(*args: torch.Tensor) -> tuple[Any, ...]:
        with Watch():
            return tuple(gm.forward(*args))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        graph, _ = torch._C._create_graph_by_tracing(
            run, tuple(inputs), _no_name, False, False, None, []
        )
        traced: Callable[..., Any] = torch._C._create_function_from_graph(
            "forward", graph
        )
    _check_warnings(caught)
    return traced


def _check_traced(func: Any, result: Any) -> None:
    """Has the tracer seen where the tensors that an operation answers come from?"""
    import torch

    for each in result if isinstance(result, (tuple, list)) else (result,):
        if isinstance(each, torch.Tensor):
            value = torch._C._get_value_trace(each)
            if value.node().kind() == "prim::Constant":
                name = getattr(func, "__name__", "") or func
                raise Refused(f"TorchScript does not see what {name} answers")


def _check_warnings(caught: Sequence[warnings.WarningMessage]) -> None:
    """Did code of torch ask a tensor for a number, or for a tensor of its own?"""
    from torch.jit import TracerWarning

    for each in caught:
        if issubclass(each.category, TracerWarning):
            first = str(each.message).partition(". ")[0]
            raise Refused(f"TorchScript warns: {first}")


def _no_name(value: object) -> str:
    """How a variable is called in the program: nobody asks."""
    return ""
