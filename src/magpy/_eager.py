"""What ``magpy.compile`` answers where nothing can be compiled: it calls through."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any


class EagerFunction:
    """Calls `fn` and counts; the interface of the engine's CompiledFunction.

    Args:
        fn: what is called.
        reason: id under which its calls are counted.
    """

    def __init__(self, fn: Callable[..., Any], reason: str) -> None:
        functools.update_wrapper(self, fn)
        self.__wrapped__ = fn
        self._reason = reason
        self._calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._calls += 1
        return self.__wrapped__(*args, **kwargs)

    def __get__(self, obj: object, owner: type | None = None) -> Any:
        return self if obj is None else types.MethodType(self, obj)

    def stats(self) -> dict[str, Any]:
        """Return counters; every call is a fallback."""
        reasons = {self._reason: self._calls} if self._calls else {}
        return {
            "calls": self._calls,
            "fallbacks": self._calls,
            "reasons": reasons,
            "seconds": {"record": 0.0, "compile": 0.0},
        }

    def entries(self) -> list[dict[str, Any]]:
        """Return an empty list: nothing is ever recorded."""
        return []

    def reset(self) -> None:
        """Forget the counters."""
        self._calls = 0
