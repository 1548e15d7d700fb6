"""Was this call a hit?  ``with magpy.watch() as w: fast(x)``, then ``w.hit``."""

from __future__ import annotations

import weakref
from typing import Any

from magpy import api, records
from magpy.errors import Recompile, Unsupported

_COUNTED = ("calls", "hits", "recordings", "fallbacks")
_NONE = (0, 0, 0, 0)


#: what was counted, object by object
_Counts = weakref.WeakKeyDictionary[Any, tuple[int, ...]]


class Watch:
    """What compiled objects do in a ``with`` block; ``print`` it.

    Reading it inside the block tells of the block so far.

    Attributes:
        recompiles: why calls were recorded again, in order.
        breaks: why runs could not be recorded, the first time that it happened.
    """

    def __init__(self, compiled: Any = None) -> None:
        self.recompiles: list[Recompile] = []
        self.breaks: list[Unsupported] = []
        self._compiled = compiled
        self._session = None if compiled is None else api.session_of(compiled)
        self._before: _Counts = self._now()
        self._ended: tuple[int, ...] | None = None

    def __enter__(self) -> Watch:
        self._before, self._ended = self._now(), None
        records.listen(self._on_record)
        return self

    def __exit__(self, *exc: object) -> None:
        records.unlisten(self._on_record)
        self._ended = self._counts()

    def _now(self) -> _Counts:
        found: _Counts = weakref.WeakKeyDictionary()
        for function in api.compiled_functions(self._compiled):
            counted = function.stats()
            found[function] = tuple(counted.get(key, 0) for key in _COUNTED)
        return found

    def _on_record(self, kind: str, session: Any, what: Any) -> None:
        if self._session is not None and session is not self._session:
            return
        if kind == "recompile":
            self.recompiles.append(what)
        elif kind == "break":
            self.breaks.append(what)

    def _counts(self) -> tuple[int, ...]:
        total = list(_NONE)
        for function, counted in self._now().items():
            before = self._before.get(function, _NONE)
            total = [t + n - b for t, n, b in zip(total, counted, before, strict=True)]
        return tuple(total)

    def _count(self, key: str) -> int:
        counts = self._counts() if self._ended is None else self._ended
        return counts[_COUNTED.index(key)]

    @property
    def calls(self) -> int:
        """Calls of compiled objects."""
        return self._count("calls")

    @property
    def hits(self) -> int:
        """Calls that a recording answered."""
        return self._count("hits")

    @property
    def recordings(self) -> int:
        """Runs that were recorded."""
        return self._count("recordings")

    @property
    def fallbacks(self) -> int:
        """Calls that ran eager."""
        return self._count("fallbacks")

    @property
    def hit(self) -> bool:
        """Were there calls, and did recordings answer all of them, in full?"""
        return 0 < self.calls == self.hits and self.recordings == 0

    def __str__(self) -> str:
        counts = ", ".join(f"{self._count(key)} {key}" for key in _COUNTED)
        told = [str(each) for each in (*self.recompiles, *self.breaks)]
        return "\n".join([f"{'hit' if self.hit else 'no hit'}: {counts}", *told])


def watch(compiled: Any = None) -> Watch:
    """Watch compiled objects for the length of a ``with`` block.

    Args:
        compiled: comes from :func:`magpy.compile`; None: all that are alive.

    Returns:
        A context manager; its `hit` says whether recordings answered all calls.

    Raises:
        TypeError: `compiled` does not come from :func:`magpy.compile`.
    """
    return Watch(compiled)
