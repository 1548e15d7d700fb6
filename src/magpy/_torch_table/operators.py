"""Operator objects, `torch.ops.aten.add`: judged when they are first called."""

from __future__ import annotations

from typing import Any

import torch

from magpy._torch_table.flags import OpFlag
from magpy._torch_table.names import operator_named
from magpy._torch_table.script import script_flags


def op_object_types() -> tuple[type, ...]:
    """Classes whose instances are operators (`torch.ops.aten.add`); see op_flags."""
    return (
        torch._ops.OpOverload,
        torch._ops.OpOverloadPacket,
        torch.jit.ScriptFunction,
    )


#: Operators of torch itself that have no fake, and whose shapes follow from shapes.
_FIXED = ("quantized", "quantized_decomposed", "mkldnn", "sparse")


def _overload_flags(op: Any) -> OpFlag:
    tags = set(op.tags)
    answers = [str(r.type) for r in op._schema.returns]
    if torch.Tag.data_dependent_output in tags:
        return OpFlag.HOST_READ
    if op.namespace == "profiler":
        return OpFlag.LABEL
    if op.namespace not in ("aten", "prims"):
        writes = OpFlag.WRITES if op._schema.is_mutable else OpFlag(0)
        if op.namespace in _FIXED:
            return OpFlag.CALL | OpFlag.TRUSTED | writes
        return OpFlag.CALL | OpFlag.DYNAMIC | OpFlag.TRUSTED | writes
    if torch.Tag.dynamic_output_shape in tags:
        return OpFlag.CALL | OpFlag.DYNAMIC
    if answers and not any("Tensor" in a for a in answers):
        return OpFlag.METADATA
    return OpFlag.CALL


def op_flags(op: Any) -> OpFlag:
    """Flags of one operator object: the strictest of its overloads, and of its name."""
    if isinstance(op, torch.jit.ScriptFunction):
        return script_flags(op)
    if isinstance(op, torch._ops.OpOverload):
        overloads: list[Any] = [op]
        name = op._schema.name.split("::")[-1]
    else:
        overloads = [getattr(op, o) for o in op.overloads()]
        name = op.__name__
    named = operator_named(name)
    if named is OpFlag.REFUSE or not overloads:
        return OpFlag.REFUSE
    flags = _strictest([_overload_flags(o) for o in overloads])
    if flags & (OpFlag.TRUSTED | OpFlag.PURE):
        return flags
    if flags is OpFlag.CALL and named is not None and OpFlag.DYNAMIC in named:
        flags = named
    # Overloads with out= are told by that keyword, like functions.
    if flags & OpFlag.CALL and all(o._schema.is_mutable for o in overloads):
        flags |= OpFlag.WRITES
    return flags


def _strictest(flags: list[OpFlag]) -> OpFlag:
    """What holds for each of several overloads."""
    if OpFlag.HOST_READ in flags:
        return OpFlag.HOST_READ
    if any(f & OpFlag.TRUSTED for f in flags):
        found = OpFlag(0)
        for f in flags:
            found |= f
        return found
    for flag in (OpFlag.CALL | OpFlag.DYNAMIC, OpFlag.CALL, OpFlag.PURE):
        if flag in flags:
            return flag
    return OpFlag.METADATA
