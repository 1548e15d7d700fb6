"""What happens to compiled objects, told to those who listen.

Nobody listens by default, and nothing happens on a hit: the engine reports recordings,
misses, breaks and compilations only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: kind of event, session of the compiled object, what it is about
Listener = Callable[[str, Any, Any], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Tell `listener` of all events from now on."""
    _listeners.append(listener)


def unlisten(listener: Listener) -> None:
    """Stop telling it; no error if it is told nothing."""
    if listener in _listeners:
        _listeners.remove(listener)


def emit(kind: str, session: Any, what: Any) -> None:
    """Tell everybody: ``recompile`` and ``break`` come with the object that words it."""
    for listener in list(_listeners):
        listener(kind, session, what)
