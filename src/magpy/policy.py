"""Which graphs a compiler may have, and in which form.

A spec is that of :mod:`magpy.graph`.  What no compiler may have runs as recorded.
"""

from __future__ import annotations

import functools
import os
import sys
import types
from typing import Any

import torch
from torch._functorch import eager_transforms

from magpy import levels
from magpy._torch_table import tensor_makers
from magpy._transaction import draws
from magpy.graph import Spec, is_region, is_value, operations

# What changes a tensor besides its memory.
_STATE_METHODS = frozenset({"requires_grad_", "resize_", "resize_as_"})
_C_CALLABLES = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)
# What compilers get wrong: these look at memory beyond what the tensor shows, or make
# views that autograd and functionalization take for copies.
_BY_MEMORY = frozenset(
    "as_strided as_strided_ as_strided_copy as_strided_scatter"
    " unsafe_chunk unsafe_split unsafe_split_with_sizes".split()
)


def without_parameters(spec: Spec) -> Spec:
    """Return the graph with ``detach`` for each Parameter that nobody can tell from it.

    It does not leave the graph, and no gradient asks for it: ``x + Parameter(pe, False)``.
    """
    makers, grad = tensor_makers(), enables_grad(spec)
    ops, n_inputs, outputs, notes = spec
    plain = []
    for op in ops:
        target, args, kwargs, result = op
        if target in makers and is_value(result) and result.index not in outputs:
            given = dict(zip(("data", "requires_grad"), args, strict=False)) | kwargs
            asks = target is not makers[0] or given.get("requires_grad") is not False
            if "data" in given and not (grad and asks):
                op = ("detach", (given["data"],), {}, result)
        plain.append(op)
    return plain, n_inputs, outputs, notes


#: How deep branches may be nested in a graph that a compiler gets: it traces each level
#: anew for those around it.
DEEPEST = 3


def runs_as_recorded(spec: Spec) -> tuple[str, str]:
    """Return why no compiler may have the graph, and the name of that reason.

    Compilers keep neither the class of a tensor nor what a graph does to a tensor
    besides writing its memory.

    Returns:
        Two empty texts if one may.
    """
    if spec[3].get("odd"):
        return "it takes or makes tensors that are not dense", "tensor-subclass"
    if spec[3].get("tapped"):
        return "it sets hooks on tensors that it makes", "hooks"
    if (
        torch._C._len_torch_function_stack()
        and torch.get_default_device().type == "meta"
    ):
        return "the default device is meta, also for what compilers make", "memory"
    if _breaks_a_block(spec):
        return "a block with a default device begins or ends outside of it", "memory"
    makers = tensor_makers()
    outside = _outside_of_levels(spec)
    for at, (target, args, kwargs, _) in enumerate(operations(spec)):
        if any(isinstance(v, torch.Generator) for v in (*args, *kwargs.values())):
            return "it draws from a generator of the program", "generator"
        if kwargs.get("requires_grad") is True:
            return "it makes a leaf that requires gradients", "tensor-state"
        if _goes_by_memory(target):
            return f"compilers do not follow the memory behind {target}", "memory"
        if is_replaced(target):
            return (
                f"{target.__name__} was replaced, and compilers look it up",
                "replaced",
            )
        if target in makers:
            return f"it makes a {target.__name__}", "tensor-state"
        if target is setattr:
            return f"it sets the attribute {args[1]} of a tensor", "tensor-state"
        if target is eager_transforms._set_tensor_requires_grad and at in outside:
            return "it makes a leaf that requires gradients", "tensor-state"
        if is_region(target) and target.depth > DEEPEST and target.kind != "branch":
            return "its branches are nested too deeply for a compiler", "control-flow"
        if is_region(target) and target.kind == "checkpoint" and _body_draws(target):
            return "a checkpoint in it draws random numbers", "gradients"
        if type(target) is str and target in _STATE_METHODS:
            return f"it calls {target} of a tensor", "tensor-state"
    # R: no compiler may raise inside that mode (backends/refusals.py), and for operators
    # with graphs inside nobody can tell before.
    if any(is_region(op[0]) for op in spec[0]) and any(
        target is torch._C._InferenceMode for target, *_ in spec[0]
    ):
        return "an operator in it has graphs inside, in inference mode", "control-flow"
    later = _later_python(spec)
    if not later:
        return "", ""
    return f"{later}.backward is Python code that runs later", "grad-later"


def _breaks_a_block(spec: Spec) -> bool:
    """Is there a `with torch.device(...)` of which the graph has one end only?"""
    depth = 0
    for target, *_ in operations(spec):
        depth += (target is torch.device.__enter__) - (target is torch.device.__exit__)
        if depth < 0:
            return True
    return depth > 0


def _body_draws(region: Any) -> bool:
    return any(draws(op) for spec in region.specs for op in operations(spec))


def _outside_of_levels(spec: Spec) -> frozenset[int]:
    """Return the positions of the operations that no transform of torch.func is at."""
    depth, outside = 0, []
    for at, (target, *_) in enumerate(operations(spec)):
        depth += levels.step(target)
        if depth == 0:
            outside.append(at)
    return frozenset(outside)


def _goes_by_memory(target: Any) -> bool:
    if isinstance(target, str):
        return target in _BY_MEMORY
    if isinstance(target, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        namespace, _, name = str(target).partition(".")
        return namespace == "aten" and name.partition(".")[0] in _BY_MEMORY
    return target in _functions_by_memory()


@functools.cache
def _functions_by_memory() -> frozenset[Any]:
    return frozenset(
        getattr(home, name)
        for home in (torch, torch.Tensor)
        for name in _BY_MEMORY
        if hasattr(home, name)
    )


def is_replaced(target: Any) -> bool:
    """Has the program put something else where this function of torch is found?

    Where a torch-function mode is active, as in AOTAutograd, torch's functions call what
    is found there in their own place.
    """
    name = getattr(target, "__name__", None)
    if isinstance(target, types.FunctionType):
        homes = [sys.modules.get(target.__module__), torch.Tensor]
    elif type(target) in (types.MethodDescriptorType, types.WrapperDescriptorType):
        homes = [torch.Tensor]
    else:
        return False
    found = [getattr(home, name, None) for home in homes if isinstance(name, str)]
    return any(
        each is not None and each is not target and not _is_own(each) for each in found
    )


def _is_own(function: Any) -> bool:
    """Is it one of torch's, C or Python?"""
    code = getattr(function, "__code__", None)
    if code is None:
        return type(function) in _C_CALLABLES
    file: str = code.co_filename
    return file.startswith(_torch_home())


@functools.cache
def _torch_home() -> str:
    return os.path.join(os.path.dirname(torch.__file__), "")


def _later_python(spec: Spec) -> str:
    """Return the name of an autograd.Function whose backward runs later, "" if none.

    Its Python code reads what it finds then.  A compiler would trace it now, and keep
    the answers.
    """
    for target, *_ in operations(spec):
        owner = getattr(target, "__self__", None)
        if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
            return owner.__name__ if enables_grad(spec) else ""
    return ""


def enables_grad(spec: Spec) -> bool:
    """Are gradients on anywhere in the graph?"""
    setter = torch._C._set_grad_enabled
    return torch.is_grad_enabled() or any(
        target is setter and args == (True,) for target, args, *_ in operations(spec)
    )
