"""What the code of torch's functions finds under the names that it uses.

A compiled graph calls torch's functions, and these look up others in their modules and on
the classes of tensors.  The program may put something else there (graph/names.c of the
engine guards these look-ups for each entry).  Whoever finds a compiled graph again, in this
process or in a cache on a disk, must know that they still lead where they led.
"""

from __future__ import annotations

import hashlib
import os
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from magpy import _engine

#: values that name torch's own callables; another object is another callable
_CALLABLES = frozenset(
    {types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType}
    | {types.WrapperDescriptorType, types.GetSetDescriptorType, type}
    | {torch._ops.OpOverload, torch._ops.OpOverloadPacket}
)
_HOME = os.path.join(os.path.dirname(torch.__file__), "")
_STDLIB = os.path.join(os.path.dirname(os.__file__), "")
_HOMES = ("torch", "_operator", "operator", "builtins", "")


class Doubtful(Exception):
    """It cannot be told whether two such graphs are the same."""


class Same:
    """An object that is equal to itself alone, whatever its class says."""

    __slots__ = ("_hash", "obj")

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self._hash = id(obj)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.obj is self.obj


def called(target: Any) -> Any:
    """Return what stands for a callable, if it is torch's own."""
    kind = type(target)
    if kind not in _CALLABLES:
        raise Doubtful
    if kind in (torch._ops.OpOverload, torch._ops.OpOverloadPacket):
        name = getattr(target, "_qualified_op_name", None) or target.name()
        if not str(name).startswith(("aten::", "prims::")):
            raise Doubtful
        return Same(target)
    home = str(getattr(target, "__module__", None) or "")
    owner = getattr(target, "__self__", None)
    if isinstance(owner, type):
        home = owner.__module__  # `torch.add`, which is a method of a class
    if home.partition(".")[0] not in _HOMES:
        raise Doubtful
    return Same(target)


_Place = tuple[Any, str]  # something with `get`, and a name in it


class _Names:
    """What the code of torch's functions finds under the names that it uses.

    The program may put something else there (graph/names.c of the engine): then what was
    compiled before is not the same.  A callable has one token as long as all of its names
    lead where they led, and another one after that.
    """

    _DEPTH = 4
    _MOST = 5000  # names; more is none of torch's operations

    def __init__(self) -> None:
        self._known: dict[Any, tuple[Same, list[tuple[Any, str, Any]]]] = {}

    def of(self, target: Any) -> Same:
        """Return the token of a callable, or of the name of a method."""
        known = self._known.get(target)
        if known is not None and all(d.get(n) is v for d, n, v in known[1]):
            return known[0]
        found = [(space, name, space.get(name)) for space, name in _places(target)]
        if len(found) > self._MOST:
            raise Doubtful
        token = Same(object())
        self._known[target] = token, found
        return token


def _places(target: Any) -> Iterator[_Place]:
    if type(target) is str:
        yield from _methods((target,))
        return
    function = target.obj
    name = getattr(function, "__name__", None)
    if isinstance(name, str):
        yield from _methods((name, *_specials(name)))
        home = sys.modules.get(getattr(function, "__module__", None) or "")
        if home is not None:
            yield home.__dict__, name
    if type(function) is types.FunctionType:
        yield from _Function(function).places()


def _methods(names: Sequence[str]) -> Iterator[_Place]:
    for cls in torch.nn.Parameter.__mro__[:-1]:
        space: Any = cls.__dict__
        for name in names:
            yield space, name


def _specials(name: str) -> Iterator[str]:
    """Yield names of the special methods behind a function of `operator`."""
    plain = name.rstrip("_")
    for side in ("", "r"):
        yield f"__{side}{plain}__"
        yield f"__{side}{plain.removeprefix('i')}__"


class _Function:
    """A function of torch, and those of its module that it calls."""

    def __init__(self, function: Any) -> None:
        self._root = function
        self._space = function.__globals__
        self._seen: set[tuple[int, int]] = set()

    def places(self) -> Iterator[_Place]:
        """Yield all places where their code looks."""
        return self._of(self._root, _Names._DEPTH)

    def _of(self, function: Any, depth: int) -> Iterator[_Place]:
        if depth == 0 or not self._is_new(function, ()):
            return
        yield _Parts(function), ""
        names = function.__code__.co_names
        yield from _methods(names)
        yield from self._found(self._space, names, depth)
        for cell in function.__closure__ or ():
            try:
                inner = cell.cell_contents
            except ValueError:
                continue
            if type(inner) is types.FunctionType:
                yield from self._of(inner, depth - 1)

    def _found(
        self, space: dict[str, Any], names: tuple[str, ...], depth: int
    ) -> Iterator[_Place]:
        if not self._is_new(space, names):
            return
        for name in names:
            value = space.get(name)
            yield space, name
            if type(value) is types.ModuleType:
                if depth > 0 and value.__name__.partition(".")[0] == "torch":
                    yield from self._found(value.__dict__, names, depth - 1)
            elif type(value) is types.FunctionType:
                if value.__globals__ is self._space:
                    yield from self._of(value, depth - 1)
                else:  # of another module: what it is made of, not what it calls
                    yield _Parts(value), ""

    def _is_new(self, where: Any, names: tuple[str, ...]) -> bool:
        key = id(where), id(names)
        new = key not in self._seen
        self._seen.add(key)
        return new


class _Parts:
    """Code and defaults of a function: one object as long as they are the same."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._last: tuple[Any, ...] = ()

    def get(self, _: str) -> Any:
        """Return that object."""
        f = self._function
        now = f.__code__, f.__defaults__, f.__kwdefaults__
        if not self._last or any(
            a is not b for a, b in zip(self._last, now, strict=True)
        ):
            self._last = now
        return self._last


names = _Names()


def digest(gm: Any) -> str:
    """Return a text for what torch's caches do not see of a graph: the same in any process.

    Returns:
        The state around, and what torch's functions in the graph find by name.  Empty if
        that is not torch's own.
    """
    state = _engine.ambient_state()
    hashed = hashlib.sha256(repr(state).encode())
    ops = ("call_function", "call_method")
    targets = {node.target for node in gm.graph.nodes if node.op in ops}
    texts: set[str] = set()
    try:
        for target in targets:
            key = target if type(target) is str else called(target)
            texts.update(_description(space, name) for space, name in _places(key))
    except Doubtful:
        return ""
    for text in sorted(texts):
        hashed.update(text.encode())
    return hashed.hexdigest() if state is not None else ""


def _description(space: Any, name: str) -> str:
    """Say what stands under a name, if it is torch's or Python's."""
    value = space.get(name)
    kind = type(value)
    if kind is tuple and isinstance(space, _Parts):
        return f"{_torchs(value[0])} {value[1:]!r}"
    if kind is types.FunctionType:
        return f"{name} {_torchs(value.__code__)}"
    if kind in _CALLABLES or kind is types.ModuleType:
        return f"{name} {kind.__name__} {getattr(value, '__qualname__', '')}"
    return name


def _torchs(code: types.CodeType) -> str:
    if not code.co_filename.startswith((_HOME, _STDLIB)):
        raise Doubtful
    return f"{code.co_filename.removeprefix(_HOME)}:{code.co_firstlineno}"
