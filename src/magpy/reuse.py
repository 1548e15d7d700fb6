"""One compiled graph for every recording that computed the same.

Two recordings compute the same graph if operations, what is known of the inputs, and the
state of torch around them are the same: another instance of a block, another user, a flag
that changed no operation.  Parameters are inputs of the graph, so they do not matter.

What a backend has made is found again by a *key*: a flat tuple that says all of this.
Constants of plain types are compared by value, to the bit; everything else by identity, and
the key owns it.  Where it cannot be told what a compiler may have looked at (operators of
somebody else, graphs inside of graphs, a state that is refused), there is no key, and the
graph is compiled for that recording alone.

R: what is shared lives as long as a recording that uses it, no longer: the table is weak.
"""

from __future__ import annotations

import struct
import sys
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from magpy import _engine
from magpy.backends import cuda_graphs
from magpy.config import config
from magpy.graph import is_number, is_value

if TYPE_CHECKING:
    from magpy._transaction import Undo
    from magpy.backends.base import Backend
    from magpy.graph import Spec
    from magpy.shapes import Term

Key = tuple[Any, ...]

#: compared by value; equal ones of one type are the same to every operation
_BY_VALUE = frozenset(
    {int, bool, str, bytes, type(None), type(...), torch.dtype, torch.device}
    | {torch.layout, torch.memory_format}
)
_ARE_TREES = frozenset({tuple, list, torch.Size})
#: values that name torch's own callables; another object is another callable
_CALLABLES = frozenset(
    {types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType}
    | {types.WrapperDescriptorType, types.GetSetDescriptorType, type}
    | {torch._ops.OpOverload, torch._ops.OpOverloadPacket}
)
_HOMES = ("torch", "_operator", "operator", "builtins", "")
# Texts for people.
_NO_CONTENT = frozenset({"input_names"})
_CONFIGS = ("torch._functorch.config", "torch._inductor.config", "torch._dynamo.config")
#: types of settings that are compared by value
_PLAIN = frozenset({int, bool, str, float, type(None), dict, list, set, tuple})
_KNOBS = ("inductor_direct", "size_asserts", "check_compiled")


class _Doubtful(Exception):
    """It cannot be told whether two such graphs are the same."""


@dataclass(frozen=True, eq=False)
class Made:
    """What a backend has made of a graph, and what belongs to it.

    Attributes:
        run: takes the inputs.
        boxed: in one list.
        undo: how to undo a run that raises.
        guards: what must hold of the numbers of the graph.
        why: why numbers that could vary are constants, "" if they are not.
        name: of the object that it was made for.
        told: what was said of it when it was made.
    """

    run: Callable[..., Any]
    boxed: bool
    undo: Undo | None
    guards: list[Term]
    why: str
    name: str
    told: str

    def answer(self) -> tuple[Any, bool, Undo | None, list[Term], str]:
        """Return what one more recording gets: CUDA graphs of its own."""
        run = self.run
        if isinstance(run, cuda_graphs.Graphed):
            run = run.another()
        return run, self.boxed, self.undo, self.guards, self.why


_table: weakref.WeakValueDictionary[Key, Made] = weakref.WeakValueDictionary()


def find(key: Key | None, spec: Spec, inputs: Sequence[Any]) -> Made | None:
    """Return what was made of such a graph, if it is good for these inputs."""
    made = _table.get(key) if key is not None else None
    if made is not None and made.guards:
        from magpy.shapes import proof

        return made if proof.holds(made.guards, spec, inputs) else None
    return made


def keep(key: Key | None, made: Made) -> None:
    """Let others find it, as long as somebody has it."""
    if key is not None:
        _table[key] = made


def key_of(backend: Backend, spec: Spec, inputs: Sequence[Any]) -> Key | None:
    """Return what a graph and its surroundings are; None: it is not shared."""
    if backend.key is None or (backend.cuda_graphs and _is_in_parts(spec)):
        return None
    try:
        ambient = _engine.ambient_state()
        if ambient is None:
            return None
        key: list[Any] = [ambient, *(getattr(config, name) for name in _KNOBS)]
        _tree(backend.key, key.append)
        if not backend.as_recorded:
            _configs(key.append)
        _spec(spec, key.append)
        _inputs(spec, inputs, key.append)
    except Exception as error:
        if not isinstance(error, _Doubtful) and _engine.raised_by_signal(error):
            raise
        return None
    return tuple(key)


def _is_in_parts(spec: Spec) -> bool:
    """Is the compiled graph only a part of what runs it?"""
    return bool(spec[3].get("late") or spec[3].get("filtered"))


# -- What a graph computes -------------------------------------------------------------


class _Same:
    """An object that is equal to itself alone, whatever its class says."""

    __slots__ = ("_hash", "obj")

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self._hash = id(obj)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return type(other) is _Same and other.obj is self.obj


def _spec(spec: Spec, put: Callable[[Any], None]) -> None:
    ops, n_inputs, outputs, notes = spec
    put(n_inputs)
    put(outputs)
    put(len(ops))
    seen: set[Any] = set()
    for target, args, kwargs, result in ops:
        if type(target) is str:
            put(target)
        else:
            target = _called(target)
            put(target)
        if target not in seen:
            seen.add(target)
            put(_names.of(target))
        _tree(args, put)
        _tree(kwargs, put)
        _tree(result, put)
    for name in sorted(notes.keys() - _NO_CONTENT):
        put(name)
        _tree(_ABSTRACT.get(name, _as_it_is)(notes[name]), put)


def _as_it_is(note: Any) -> Any:
    return note


def _numbers(rows: dict[int, Any]) -> dict[int, Any]:
    """Return what the numbers are made of, without what those were that vary."""
    return {
        k: (*row[:2], type(row[2]).__name__) if row[0] == "INPUT" else row
        for k, row in rows.items()
    }


def _layouts(rows: dict[int, Any]) -> dict[int, Any]:
    """Return what is known of sizes and strides, without those that vary."""
    return {i: _layout(*row) for i, row in rows.items()}


def _layout(
    dims: Any, sizes: Any, strides: Any, offset: int = 0, links: Any = ()
) -> tuple[Any, ...]:
    sizes = tuple([-1 if d in dims else n for d, n in enumerate(sizes)])
    if links:
        pairs = zip(strides, links, strict=True)
        strides = tuple([n if link == _FIXED else -1 for n, link in pairs])
    return dims, sizes, strides, offset, links


_FIXED = -1  # MP_STRIDE_FIXED of engine/torch/tensor.h
# Guards tell for which values a graph is right; see `find`.
_ABSTRACT = {"numbers": _numbers, "dynamic": _layouts}


def _called(target: Any) -> Any:
    """Return what stands for a callable, if it is torch's own."""
    kind = type(target)
    if kind not in _CALLABLES:
        raise _Doubtful
    if kind in (torch._ops.OpOverload, torch._ops.OpOverloadPacket):
        name = getattr(target, "_qualified_op_name", None) or target.name()
        if not str(name).startswith(("aten::", "prims::")):
            raise _Doubtful
        return _Same(target)
    home = str(getattr(target, "__module__", None) or "")
    owner = getattr(target, "__self__", None)
    if isinstance(owner, type):
        home = owner.__module__  # `torch.add`, which is a method of a class
    if home.partition(".")[0] not in _HOMES:
        raise _Doubtful
    return _Same(target)


def _tree(obj: Any, put: Callable[[Any], None]) -> None:
    """Put the parts of a tree one after another, each behind its type."""
    kind = type(obj)
    put(kind)
    if kind in _BY_VALUE:
        put(obj)
    elif kind in _ARE_TREES:
        put(len(obj))
        for item in obj:
            _tree(item, put)
    elif is_value(obj) or is_number(obj):
        put(obj.index)
    elif kind is dict:
        put(len(obj))
        for name, item in obj.items():
            _tree(name, put)
            _tree(item, put)
    elif kind is slice:
        for item in (obj.start, obj.stop, obj.step):
            _tree(item, put)
    elif kind is float:
        put(struct.pack("d", obj))
    elif kind is complex:
        put(struct.pack("dd", obj.real, obj.imag))
    elif isinstance(obj, tuple) and hasattr(kind, "_fields"):
        put(len(obj))
        for item in obj:
            _tree(item, put)
    else:
        put(_Same(obj))


# -- What is known of its inputs -------------------------------------------------------


def _inputs(spec: Spec, inputs: Sequence[Any], put: Callable[[Any], None]) -> None:
    """Put what the guards of a recording check, and what compilers ask besides.

    Which inputs share memory: compilers that write see to it.
    """
    open_dims = {i: row[0] for i, row in (spec[3].get("dynamic") or {}).items()}
    first: dict[int, int] = {}
    for i, x in enumerate(inputs):
        kind = type(x)
        put(kind)
        if not isinstance(x, torch.Tensor):
            continue  # a number, which is an input of the graph
        put(x.dtype)
        put(x.device)
        put(x.layout)
        put(torch._C._dispatch_keys(x).raw_repr())
        dims = open_dims.get(i)
        if dims is None:
            put(tuple(x.shape))
        else:  # guards tell for which sizes, and strides, it is right
            put(tuple([-1 if d in dims else n for d, n in enumerate(x.shape)]))
        if x.layout is not torch.strided:
            continue
        if dims is None:
            put(x.stride())
            put(x.storage_offset())
        place = x.untyped_storage()._cdata
        put((first.setdefault(place, i), x.requires_grad, x.is_leaf, x._is_view()))


# -- What compilers find by name -------------------------------------------------------

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
        self._known: dict[Any, tuple[_Same, list[tuple[Any, str, Any]]]] = {}

    def of(self, target: Any) -> _Same:
        """Return the token of a callable, or of the name of a method."""
        known = self._known.get(target)
        if known is not None and all(d.get(n) is v for d, n, v in known[1]):
            return known[0]
        found = [(space, name, space.get(name)) for space, name in _places(target)]
        if len(found) > self._MOST:
            raise _Doubtful
        token = _Same(object())
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


_names = _Names()


# -- Settings of torch's compilers -----------------------------------------------------


def _configs(put: Callable[[Any], None]) -> None:
    """Put the settings that are not what they are by default."""
    from torch.utils import _config_module

    unset: Any = _config_module._UNSET_SENTINEL
    for name in _CONFIGS:
        put(name)
        module: Any = sys.modules.get(name)
        for option, entry in module._config.items() if module is not None else ():
            value = entry.user_override
            if isinstance(value, ContextVar):
                value = value.get()
            if value is unset or value is entry.default:
                continue
            if type(value) in _PLAIN and value == entry.default:
                continue
            put(option)
            put(type(value))
            put(repr(value) if type(value) in _PLAIN else _Same(value))
