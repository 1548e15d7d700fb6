"""Are two worlds alike?  A fast walk over both at once.

The oracle's description is the judge; this one only says "surely alike" or "ask the
oracle", so every doubt is answered with False.  It keeps a bijection between the mutable
objects of the two worlds, which is what sharing of objects means.
"""

from __future__ import annotations

import builtins
import collections
import enum
import functools
import operator
import sys
import types
import weakref
from typing import Any

import oracle

SCALARS = frozenset(oracle.SCALARS) - {float, complex}
CONTAINERS = (list, tuple, dict, set, frozenset, collections.deque)
_BASES = (int, float, complex, str, bytes, bytearray)

Parts = tuple[Any, list[Any]]  # what must be equal, and what must be alike


def _mapping(value: Any) -> Parts:
    ordered = issubclass(type(value), collections.OrderedDict)
    keys = list((collections.OrderedDict if ordered else dict).__iter__(value))
    return len(keys), keys + [dict.__getitem__(value, k) for k in keys]


def _content(value: Any, kind: type) -> Parts | None:
    if issubclass(kind, dict):
        tag, found = _mapping(value)
        if issubclass(kind, collections.defaultdict):
            found.append(value.default_factory)
        return tag, found
    for base in (list, tuple, collections.deque):
        if issubclass(kind, base):
            found = list(base.__iter__(value))
            return (len(found), getattr(value, "maxlen", None)), found
    if issubclass(kind, (set, frozenset)):
        base = set if issubclass(kind, set) else frozenset
        members = list(base.__iter__(value))
        if not all(type(m) in SCALARS for m in members):
            return None
        return {(type(m), m) for m in members}, []
    if kind is oracle.CACHE:
        found = oracle.cache_entries(value)
        return len(found), found
    for base in _BASES:
        if issubclass(kind, base):
            return base.__repr__(value), []
    if issubclass(kind, BaseException):
        found = [value.args, value.__cause__, value.__context__]
        return value.__suppress_context__, found
    return oracle.hidden_state(value, kind) or (), []


def _function(f: types.FunctionType) -> Parts:
    code = f.__code__
    tag = (f.__qualname__, code.co_qualname, code.co_firstlineno)
    return tag, [f.__defaults__, f.__kwdefaults__, f.__closure__, f.__dict__ or None]


def _class(cls: type) -> Parts:
    own = type.__getattribute__(cls, "__dict__")
    shown = {
        name: value
        for name, value in own.items()
        if name not in oracle.CLASS_NOISE and type(value) not in oracle.NAMED
    }
    tag = (cls.__qualname__, *shown)
    return tag, [*shown.values(), *cls.__bases__]


def _cell(value: types.CellType) -> Parts:
    try:
        return True, [value.cell_contents]
    except ValueError:
        return False, []


SPECIAL: dict[type, Any] = {
    types.FunctionType: _function,
    types.CellType: _cell,
    types.MethodType: lambda v: ((), [v.__func__, v.__self__]),
    types.BuiltinFunctionType: lambda v: (v.__qualname__, [v.__self__]),
    functools.partial: lambda v: ((), [v.func, *v.args, v.keywords]),
    staticmethod: lambda v: ((), [v.__func__]),
    classmethod: lambda v: ((), [v.__func__]),
    property: lambda v: ((), [v.fget, v.fset, v.fdel]),
    slice: lambda v: ((), [v.start, v.stop, v.step]),
    float: lambda v: (v.hex(), []),
    complex: lambda v: (repr(v), []),
    types.CodeType: lambda v: ((v.co_qualname, v.co_firstlineno), []),
}
SPECIAL |= {kind: lambda v: (v.__qualname__, []) for kind in oracle.NAMED}
SPECIAL |= {
    kind: lambda v: (operator.length_hint(v, -1), []) for kind in oracle.ITERATORS
}


def parts(value: Any) -> Parts | None:
    """Take an object apart as the oracle's description does; None: ask the oracle."""
    kind = type(value)
    special = SPECIAL.get(kind)
    if special is not None:
        return special(value)
    if issubclass(kind, types.ModuleType):
        return _mapping(vars(value))
    if issubclass(kind, type):
        return _class(value)
    if issubclass(kind, weakref.ref):
        return (), [value()]
    if issubclass(kind, enum.Enum):
        return value._name_, [kind]
    if str(kind.__module__).partition(".")[0] in ("torch", "numpy"):
        return None
    content = _content(value, kind)
    if content is None:
        return None
    attributes = oracle._attributes(value)
    names = tuple(name for name, _ in attributes)
    found = [kind, *content[1], *(v for _, v in attributes)]
    return (content[0], names), found


def _differ(a: Any, b: Any, there: dict[int, Any], back: dict[int, Any]) -> bool:
    """Do the two mean different objects, as far as identity goes?"""
    known, other = there.get(id(a)), back.get(id(b))
    if (known is None or known is b) and (other is None or other is a):
        return False
    return not oracle._is_plain(a)


def alike(a: Any, b: Any) -> bool:
    """Are the object graphs below a and b surely the same?"""
    there: dict[int, Any] = {}
    back: dict[int, Any] = {}
    kept: list[Any] = []  # so that no address is used twice
    stack = [(a, b)]
    while stack:
        a, b = stack.pop()
        kind = type(a)
        if kind in SCALARS:
            if kind is not type(b) or a != b:
                return False
            continue
        if there.get(id(a)) is b and back.get(id(b)) is a:
            continue
        if kind is not float and kind is not complex and _differ(a, b, there, back):
            return False
        there[id(a)], back[id(b)] = b, a
        kept += (a, b)
        if a is b:
            continue
        if (kind is not type(b)) and kind.__module__ in sys.modules:
            return False  # a class that is no program's
        if a is builtins.__dict__ or b is builtins.__dict__:
            return False
        left, right = parts(a), parts(b)
        if left is None or right is None or left[0] != right[0]:
            return False
        if len(left[1]) != len(right[1]):
            return False
        stack += zip(left[1], right[1])
    return True
