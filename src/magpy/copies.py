"""Copies and pickles of compiled functions: what eager makes of the callable, compiled.

A copy of a function is the function; a copy of a bound method is bound to the copy of
its object.  So a compiled function is its own copy, too, and anything else is compiled
again around the copy of what it wraps, with the same options.
"""

from __future__ import annotations

import copy
import sys
from types import MethodType
from typing import Any


def make(compiled: Any, how: str, memo: Any, options: Any) -> Any:
    """Answer ``__copy__``, ``__deepcopy__`` or ``__reduce__`` of a compiled function.

    Args:
        compiled: the engine's object, or its eager stand-in.
        how: "copy", "deepcopy" or "pickle".
        memo: of ``copy.deepcopy``.
        options: with which it was compiled; ``options.compile(model)`` does so again.
    """
    if how == "copy":
        return _copy(compiled, options)
    if how == "deepcopy":
        return _deepcopy(compiled, memo, options)
    return _reduce(compiled, options)


def _compiled(model: Any, options: Any) -> Any:
    return options.compile(model)


def _copy(compiled: Any, options: Any) -> Any:
    original = compiled.__wrapped__
    if isinstance(original, MethodType):
        return compiled  # bound methods are compared, not told apart
    twin = copy.copy(original)
    return compiled if twin is original else _compiled(twin, options)


def _deepcopy(compiled: Any, memo: dict[int, Any], options: Any) -> Any:
    original = compiled.__wrapped__
    twin = copy.deepcopy(original, memo)
    if twin is original or (isinstance(original, MethodType) and twin == original):
        return compiled
    known = memo.get(id(compiled))  # made on the way, if it can be reached from itself
    return _compiled(twin, options) if known is None else known


def _named(obj: Any) -> Any:
    """Return what the module of `obj` has under the name of `obj`."""
    found = sys.modules.get(getattr(obj, "__module__", None) or "")
    for part in str(getattr(obj, "__qualname__", "")).split("."):
        found = getattr(found, part, None)
    return found


def _reduce(compiled: Any, options: Any) -> Any:
    original = compiled.__wrapped__
    named = _named(original)
    if named is compiled:
        return original.__qualname__  # as functions are pickled
    # Another compiled object may stand where the function would be looked for.
    behind = getattr(type(named), "__wrapped__", None) is not None and (
        getattr(named, "__wrapped__", None) is original
    )
    return _compiled, (named if behind else original, options)
