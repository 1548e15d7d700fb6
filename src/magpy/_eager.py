"""What ``magpy.compile`` answers where nothing can be compiled: it calls through."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from magpy.counters import COUNTERS

_OWN = frozenset(
    {
        "__class__",
        "__copy__",
        "__deepcopy__",
        "__get__",
        "__reduce__",
        "__reduce_ex__",
        "__wrapped__",
        "entries",
        "reset",
        "set_verify",
        "stats",
    }
)


class EagerFunction:
    """Calls `fn` and counts; the interface of the engine's CompiledFunction.

    Args:
        fn: what is called.
        reason: id under which its calls are counted.
        again: asked before every call for a compiled function to call from then on;
            None while there is none.
        on_copy: as of the engine's object.
    """

    __slots__ = (
        "__weakref__",
        "__wrapped__",
        "_again",
        "_better",
        "_calls",
        "_on_copy",
        "_reason",
    )

    def __init__(
        self,
        fn: Callable[..., Any],
        reason: str,
        again: Callable[[], Any] | None = None,
        on_copy: Callable[[Any, str, Any], Any] | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "__wrapped__", fn)
        put(self, "_reason", reason)
        put(self, "_again", again)
        put(self, "_on_copy", on_copy)
        put(self, "_better", None)
        put(self, "_calls", 0)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        get, put = object.__getattribute__, object.__setattr__
        again = get(self, "_again")
        if again is not None:
            better = again()
            if better is not None:
                put(self, "_better", better)
                put(self, "_again", None)
        better = get(self, "_better")
        if better is not None:
            return better(*args, **kwargs)
        put(self, "_calls", get(self, "_calls") + 1)
        return get(self, "__wrapped__")(*args, **kwargs)

    def __get__(self, obj: object, owner: type | None = None) -> Any:
        wrapped = object.__getattribute__(self, "__wrapped__")
        if obj is None or not isinstance(wrapped, types.FunctionType):
            return self
        return types.MethodType(self, obj)

    # Attributes are those of what it stands for.

    def __getattribute__(self, name: str) -> Any:
        if name in _OWN:
            return object.__getattribute__(self, name)
        return getattr(object.__getattribute__(self, "__wrapped__"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "__wrapped__"), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "__wrapped__"), name)

    def __repr__(self) -> str:
        return f"<compiled {object.__getattribute__(self, '__wrapped__')!r}, eager>"

    def __copy__(self) -> Any:
        return _copied(self, "copy", None)

    def __deepcopy__(self, memo: Any) -> Any:
        return _copied(self, "deepcopy", memo)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _copied(self, "pickle", None)

    def stats(self) -> dict[str, Any]:
        """Return counters; every call is a fallback, until there is something better."""
        get = object.__getattribute__
        calls, reason, better = get(self, "_calls"), get(self, "_reason"), None
        if get(self, "_better") is not None:
            better = get(self, "_better").stats()
        counted: dict[str, Any] = {**dict.fromkeys(COUNTERS, 0), **(better or {})}
        counted["calls"] += calls
        counted["fallbacks"] += calls
        counted["reasons"] = dict(counted.get("reasons", {}))
        counted["places"] = list(counted.get("places", ()))
        counted.setdefault("breaks", {})
        counted.setdefault("seconds", {"record": 0.0, "compile": 0.0})
        if calls:
            counted["reasons"][reason] = counted["reasons"].get(reason, 0) + calls
            counted["places"].append(
                {
                    "reason": reason,
                    "detail": None,
                    "file": None,
                    "line": 0,
                    "count": calls,
                }
            )
        return counted

    def entries(self) -> list[dict[str, Any]]:
        """Return what was recorded: nothing, until there is something better."""
        better = object.__getattribute__(self, "_better")
        return [] if better is None else list(better.entries())

    def reset(self) -> None:
        """Forget the counters."""
        object.__setattr__(self, "_calls", 0)
        better = object.__getattribute__(self, "_better")
        if better is not None:
            better.reset()

    def set_verify(self, every: int, verifier: Any = None) -> None:
        """Pass it on, if there is anything that can be verified."""
        better = object.__getattribute__(self, "_better")
        if better is not None:
            better.set_verify(every, verifier)


def _copied(eager: EagerFunction, how: str, memo: Any) -> Any:
    on_copy = object.__getattribute__(eager, "_on_copy")
    if on_copy is not None:
        return on_copy(eager, how, memo)
    return eager if how != "pickle" else eager.__wrapped__.__qualname__
