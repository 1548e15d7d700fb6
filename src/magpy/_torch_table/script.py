"""Scripted functions: judged by their code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from magpy._torch_table.flags import OpFlag
from magpy._torch_table.names import operator_named, words

# Instructions that keep to the values they are given.
_SCRIPT_PRIM = words(
    """
    Constant ListConstruct ListUnpack TupleConstruct TupleUnpack TupleIndex
    DictConstruct If Loop NumToTensor device dtype layout is_cuda requires_grad
    unchecked_cast unchecked_unwrap_optional Uninitialized RaiseException min max abs
    isinstance
    """
)

# Operators that only TorchScript has, on numbers, strings and lists of them.
_SCRIPT_PLAIN = words(
    """
    add sub mul div floordiv remainder fmod neg pow eq ne lt le gt ge floor ceil round
    sqrt exp log log2 log10 sin cos tan tanh __and__ __or__ __xor__ __not__ __is__
    __isnot__ __contains__ __getitem__ __range_length __derive_index Int Float Bool str
    format len append extend insert pop slice copy list keys values items get _set_item
    index count reverse tensor
    """
)

# The same on tensors and lists of them: they move references or read metadata.
_SCRIPT_MOVES = words(
    """
    size stride dim len __getitem__ append extend insert pop slice copy list keys values
    items get _set_item reverse to
    """
)


def _script_nodes(block: Any) -> Iterable[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _script_nodes(inner)


# What looks at the metadata of a tensor alone.
_SCRIPT_METADATA = frozenset(
    f"aten::{name}" for name in ("size", "dim", "numel", "len", "is_floating_point")
) | frozenset(
    f"prim::{name}" for name in ("device", "dtype", "layout", "is_cuda", "Constant")
)


def _script_reads_metadata(graph: Any) -> bool:
    """Do the answers follow from the metadata of the arguments alone?"""
    values = {v.debugName() for v in graph.inputs() if "Tensor" in str(v.type())}
    for node in _script_nodes(graph):
        if node.kind() in _SCRIPT_METADATA:
            continue
        branches = any(True for _ in node.blocks())
        if branches or any(v.debugName() in values for v in node.inputs()):
            values |= {v.debugName() for v in node.outputs()}
            values |= {v.debugName() for b in node.blocks() for v in b.inputs()}
    return not any(v.debugName() in values for v in graph.outputs())


def _is_dispatched(schema: Any) -> bool:
    """Is it an operator of torch, and not one that only TorchScript has?"""
    try:
        torch._C._dispatch_find_schema_or_throw(schema.name, schema.overload_name)
    except RuntimeError:
        return False
    return True


def _script_operator(node: Any) -> OpFlag | None:
    """One operator of a scripted function; None if it is not known to be harmless."""
    name = node.kind().removeprefix("aten::")
    schema = torch._C.parse_schema(node.schema())
    if not _is_dispatched(schema):
        kinds = [str(v.type()) for v in node.inputs()]
        has_tensor = any("Tensor" in kind for kind in kinds)
        if has_tensor and name in ("__is__", "__isnot__"):
            return OpFlag(0) if "NoneType" in kinds else None
        known = _SCRIPT_MOVES if has_tensor else _SCRIPT_PLAIN
        reads = has_tensor and name in ("Int", "Float", "Bool", "Complex", "tolist")
        if reads or name.endswith("Implicit"):
            return OpFlag.HOST_READ
        return OpFlag(0) if name in known else None
    found = torch._C._get_operation_overload(schema.name, schema.overload_name)
    named, tags = operator_named(name) or OpFlag(0), set(found[2] if found else ())
    if named is OpFlag.HOST_READ or torch.Tag.data_dependent_output in tags:
        return OpFlag.HOST_READ
    if named is OpFlag.REFUSE or torch.Tag.nondeterministic_seeded in tags:
        return OpFlag.REFUSE
    dynamic = named in (OpFlag.CALL | OpFlag.DYNAMIC, OpFlag.COUNTED)
    if name == "where" and len(schema.arguments) == 1:
        dynamic = True
    flag = OpFlag.WRITES if schema.is_mutable else OpFlag(0)
    if dynamic or torch.Tag.dynamic_output_shape in tags:
        flag |= OpFlag.DYNAMIC
    return flag


def script_flags(function: Any) -> OpFlag:
    """Judge a scripted function by its code: 0 stands for opaque.

    It sees its arguments only.  What is left are output, random numbers, calls of
    Python, and control flow that depends on what tensors hold.
    """
    found, numbers = OpFlag(0), False
    for node in _script_nodes(function.inlined_graph):
        kind = node.kind()
        if kind == "prim::Constant" and node.hasAttribute("value"):
            # A tensor that tracing captured is state of the function; not a number.
            held = node.kindOf("value")
            if held in ("ts", "ival") or (held == "t" and node.t("value").dim() > 0):
                return OpFlag(0)
            numbers = numbers or held == "t"
        elif kind == "prim::Print":
            return OpFlag.REFUSE
        elif kind.startswith("aten::"):
            flag = _script_operator(node)
            if flag is None or flag in (OpFlag.HOST_READ, OpFlag.REFUSE):
                return flag or OpFlag(0)
            found |= flag
        elif kind.removeprefix("prim::") not in _SCRIPT_PRIM:
            return OpFlag(0)
    if numbers and OpFlag.WRITES in found:
        return OpFlag(0)
    if found:
        return OpFlag.CALL | found
    sized = _script_reads_metadata(function.inlined_graph)
    return OpFlag.SIZED if sized else OpFlag.EITHER
