"""The rows of the table, built from names.py and the namespaces of torch."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import torch

from magpy._torch_table import names
from magpy._torch_table.flags import OpFlag
from magpy._torch_table.kinds import legacy_constructors, tensor_makers
from magpy._torch_table.names import named


def _returns_tensors(name: str) -> bool:
    """Does torch say that the operator `aten::name` answers with tensors only?"""
    schemas = torch._C._jit_get_schemas_for_operator(f"aten::{name}")
    answers = [str(r.type) for schema in schemas for r in schema.returns]
    if not schemas or any(a not in ("Tensor", "List[Tensor]") for a in answers):
        return False
    return bool(answers) or name.endswith("_")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def _is_operation(name: str) -> bool:
    """Is it public, or private but listed and confirmed by torch?"""
    if _is_private(name):
        return name.startswith(names.PRIVATE_CALL) and _returns_tensors(name)
    return True


def _operator(name: str) -> OpFlag | None:
    """A builtin of torch's operator namespaces."""
    if name.startswith("__"):
        return None
    return named(name) or (OpFlag.CALL if _is_operation(name) else None)


# -- Namespaces ------------------------------------------------------------------------

Table = dict[Callable[..., Any], int]


def _is_builtin(obj: object) -> bool:
    return isinstance(obj, types.BuiltinFunctionType)


def _add_operators(table: Table) -> None:
    """The builtins that code generation makes: one namespace per C module."""
    core = torch._C
    spaces = (core._VariableFunctions, core._nn, core._linalg, core._fft, core._special)
    for space in spaces:
        for name in dir(space):
            obj = getattr(space, name)
            flag = _operator(name) if _is_builtin(obj) else None
            if name in names.SAME_CODE:
                continue
            if flag is not None:
                table[obj] = int(flag)
    table[torch.where] = int(OpFlag.LONE)


def _functions(module: types.ModuleType) -> Iterable[tuple[str, types.FunctionType]]:
    for name, obj in vars(module).items():
        if isinstance(obj, types.FunctionType) and obj.__module__ == module.__name__:
            yield name, obj


def _add_functions(table: Table, module: types.ModuleType) -> None:
    """Python functions that are operations as a whole; private helpers are watched."""
    for name, obj in _functions(module):
        if _is_private(name):
            table[obj] = int(OpFlag.INLINE)
        else:
            table[obj] = int(named(name) or OpFlag.CALL)


def _add_listed(table: Table, module: types.ModuleType) -> None:
    """Functions of a namespace for which only the lists count."""
    for name, obj in vars(module).items():
        if isinstance(obj, (types.FunctionType, types.BuiltinFunctionType)):
            flag = named(name)
            if flag is not None and obj not in table:
                table[obj] = int(flag)


def _tensor_flag(name: str, obj: object) -> OpFlag | None:
    flag = names.TENSOR_METHODS.get(name) or named(name)
    if flag is not None:
        return flag
    if isinstance(obj, types.GetSetDescriptorType):
        return OpFlag.CALL if name in names.TENSOR_ATTRS else None
    if isinstance(obj, types.FunctionType):
        return OpFlag.CALL if not _is_private(name) else None
    if isinstance(obj, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        return OpFlag.CALL if _is_operation(name) else None
    return None


def _add_methods(table: Table) -> None:
    """What attribute look-ups on tensors find: descriptors and functions."""
    for cls in (torch._C.TensorBase, torch.Tensor):
        for name, obj in vars(cls).items():
            if isinstance(obj, (staticmethod, classmethod)):
                obj = getattr(cls, name)
            flag = _tensor_flag(name, obj)
            if flag is not None and (callable(obj) or hasattr(obj, "__get__")):
                table[obj] = int(flag)


def _add_nodes(table: Table) -> None:
    """Methods of the nodes of autograd's graph: each class in C has its own."""
    kinds: list[Any] = [torch._C._FunctionBase, *vars(torch._C._functions).values()]
    for kind in kinds:
        if isinstance(kind, type(torch._C._FunctionBase)):
            table[kind.name] = int(OpFlag.NODE)
            table[kind.register_hook] = table[kind.register_prehook] = int(OpFlag.HOOKS)


def _module(path: str) -> object:
    """A module that is loaded already (torch loads some of its own when they are first
    looked at, which takes seconds); None if it is not."""
    if path in sys.modules:
        return sys.modules[path]
    found: object = torch
    for part in path.split(".")[1:]:
        found = vars(found).get(part) if isinstance(found, types.ModuleType) else None
    return found


def _add_at(table: Table, text: str, flag: OpFlag) -> None:
    for line in text.strip().splitlines():
        path, listed = line.split(":")
        module = _module(path)
        for name in listed.split():
            obj: Any = module
            for part in name.split("."):
                obj = getattr(obj, part, None)
            if callable(obj):
                table[obj] = int(flag)


def _inference_modes() -> Iterable[Any]:
    """Enter and leave inference mode: bound by pybind11, the C functions are inside."""
    for method in ("__enter__", "__exit__"):
        yield vars(torch._C._InferenceMode)[method].__func__


def _higher_order() -> Iterable[Any]:
    """Operators that call Python functions (magpy/regions.py)."""
    yield torch.cond
    operators: Any = _module("torch._higher_order_ops")
    for name in ("while_loop", "map", "scan"):
        found = getattr(operators, name, None)
        if isinstance(found, types.ModuleType):
            found = getattr(found, name, None)
        if isinstance(found, types.FunctionType):
            yield found


def sets_state(target: Any) -> bool:
    """Does a callable do nothing but set what torch/ambient.def guards?"""
    table: Table = dict.fromkeys(_inference_modes(), 0)
    for text in (names.SETS_STATE_AT, names.OPENS_AT, names.CLOSES_AT):
        _add_at(table, text, OpFlag.SETS_STATE)
    return target in table


def wrappers() -> tuple[Any, ...]:
    """Return the functions that give tensors to levels of torch.func, or take them."""
    table: Table = {}
    for text in (names.LEVELED_AT, names.WRAPPED_AT):
        _add_at(table, text, OpFlag.CALL)
    return tuple(table)


def build() -> Table:
    """Every known torch callable and its flags."""
    table: Table = {}
    _add_operators(table)
    _add_methods(table)
    _add_nodes(table)
    _add_functions(table, torch.functional)
    _add_functions(table, torch.nn.functional)
    table.update((f, int(OpFlag.INLINE)) for _, f in _functions(torch.nn.init))
    table[torch.autograd.Variable] = int(OpFlag.CALL)
    table.update((cls, int(OpFlag.CALL)) for cls in tensor_makers())
    table.update((cls, int(OpFlag.LISTED)) for cls in legacy_constructors())
    for low_rank in (torch.svd_lowrank, torch.pca_lowrank):
        table[low_rank] = int(OpFlag.CALL)
    _add_listed(table, torch)
    _add_listed(table, torch.random)
    table.update((f, int(OpFlag.SETS_STATE)) for f in _inference_modes())
    function = torch.autograd.Function
    apply = vars(function)["apply"]  # a class method; of C code since torch 2.14
    table[getattr(apply, "__func__", apply)] = int(OpFlag.APPLY)
    for note in names.CONTEXT_NOTES:
        table[getattr(function, note)] = int(OpFlag.NOTE)
    table.update((f, int(OpFlag.HIGHER)) for f in _higher_order())
    for text, flag in (
        (names.AMBIENT_AT, OpFlag.AMBIENT),
        (names.COMPILING_AT, OpFlag.COMPILING),
        (names.SETS_STATE_AT, OpFlag.SETS_STATE),
        (names.PURE_AT, OpFlag.PURE),
        (names.GROUPS_AT, OpFlag.GROUPS),
        (names.ASKS_AT, OpFlag.ASKS),
        (names.INLINE_AT, OpFlag.INLINE),
        (names.REFUSE_AT, OpFlag.REFUSE),
        (names.CALL_AT, OpFlag.CALL),
        (names.OPENS_AT, OpFlag.SETS_STATE | OpFlag.OPENS),
        (names.CLOSES_AT, OpFlag.SETS_STATE | OpFlag.CLOSES),
        (names.LEVELED_AT, OpFlag.CALL),
        (names.WRAPPED_AT, OpFlag.CALL | OpFlag.STATE),
        (names.LEVELS_KNOWN_AT, OpFlag.METADATA),
        (names.LOADS_AT, OpFlag.PURE | OpFlag.TRUSTED),
        (names.LATER_INLINE_AT, OpFlag.LATER_INLINE),
    ):
        _add_at(table, text, flag)
    return table


def aliases() -> tuple[tuple[Any, int], ...]:
    """Rows that a dict cannot hold: their callables compare equal to another one's."""
    space = torch._C._VariableFunctions
    return tuple(
        (getattr(space, name), int(OpFlag.CALL))
        for name in names.SAME_CODE
        if hasattr(space, name)
    )
