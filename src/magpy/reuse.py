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
import weakref
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from magpy import _engine
from magpy.backends import cuda_graphs
from magpy.config import config
from magpy.graph import is_number, is_value
from magpy.lookups import Doubtful, Same, called, names

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
# Texts for people.
_NO_CONTENT = frozenset({"input_names", "sites"})
_CONFIGS = ("torch._functorch.config", "torch._inductor.config", "torch._dynamo.config")
#: types of settings that are compared by value
_PLAIN = frozenset({int, bool, str, float, type(None), dict, list, set, tuple})
_KNOBS = ("inductor_direct", "size_asserts", "check_compiled")


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
        if not isinstance(error, Doubtful) and _engine.raised_by_signal(error):
            raise
        return None
    return tuple(key)


def _is_in_parts(spec: Spec) -> bool:
    """Is the compiled graph only a part of what runs it?"""
    return bool(spec[3].get("late") or spec[3].get("filtered"))


# -- What a graph computes -------------------------------------------------------------


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
            target = called(target)
            put(target)
        if target not in seen:
            seen.add(target)
            put(names.of(target))
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
        put(Same(obj))


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
            put(repr(value) if type(value) in _PLAIN else Same(value))
