"""``MAGPY_TRACE=DIR``: what happened in this process, one JSON record a line.

``python -m magpy report DIR`` makes a page of them.  Records are written while things
happen, so that a process that dies leaves what led to it; what was counted comes last.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from magpy import notices, records
from magpy.config import config
from magpy.explain import segment

_TEXTS = ("stopped", "static", "compile_failed", "graph_raised")


class Tracer:
    """Writes the records of one process to a file of its own.

    Args:
        directory: where; it is made if needed.
        living: answers the sessions of all compiled objects.
    """

    def __init__(self, directory: str, living: Callable[[], Iterable[Any]]) -> None:
        os.makedirs(directory, exist_ok=True)
        self.directory = directory
        self._living = living
        self._told: weakref.WeakKeyDictionary[Any, set[Any]]
        self._told = weakref.WeakKeyDictionary()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        path = os.path.join(self.directory, f"magpy-{self._pid}.jsonl")
        self._file = open(path, "a", encoding="utf-8")
        self.write("start", "", argv=sys.argv, pid=self._pid)

    def write(self, kind: str, name: str, **more: Any) -> None:
        """Append one record."""
        if self._pid != os.getpid() and not self._file.closed:  # it has forked
            self._begin()
        record = {"kind": kind, "name": name, "time": time.time(), **more}
        self._file.write(json.dumps(record, default=str) + "\n")
        self._file.flush()

    def __call__(self, kind: str, session: Any, what: Any) -> None:
        """Take in an event; an OSError ends the tracing, not the program."""
        try:
            self._take(kind, session, what)
        except OSError as error:
            self.close()
            notices.warn(f"MAGPY_TRACE={self.directory}: {error}; nothing is traced")

    def _take(self, kind: str, session: Any, what: Any) -> None:
        if kind == "record":
            self._runs(session)
        elif kind in ("recompile", "break"):
            stack = [list(frame) for frame in what.stack]
            self.write(kind, session.name, text=str(what), stack=stack)
        elif kind == "compile":
            backend = session.backend.name
            self.write(kind, session.name, seconds=what["seconds"], backend=backend)
        elif kind == "dynamic":
            places = [str(row[0]) for row in what["places"]]
            self.write(kind, session.name, text=", ".join(places))
        elif kind in _TEXTS:
            text = what.get("what") or what.get("why") or what.get("exception")
            self.write(kind, session.name, text=f"{kind.replace('_', ' ')}: {text}")

    def _runs(self, session: Any) -> None:
        """Write the runs that are new."""
        told = self._told.setdefault(session, set())
        for entry in session.entries():
            run = segment(entry)
            key = run.where, entry["id"]
            if key in told:
                continue
            told.add(key)
            data = {k: v for k, v in vars(run).items() if k not in ("spec", "hits")}
            self.write("run", session.name, id=entry["id"], **data, svg=run.picture())

    def end(self) -> None:
        """Write what was counted, and close the file."""
        for session in self._living():
            self._runs(session)
            hits = [[segment(e).where, e["id"], e["hits"]] for e in session.entries()]
            self.write("end", session.name, stats=session.stats(), hits=hits)
        self.close()

    def close(self) -> None:
        """Listen no more."""
        records.unlisten(self)
        with contextlib.suppress(OSError):  # what could not be written is lost
            self._file.close()


_tracer: list[Tracer] = []
_living: list[Callable[[], Iterable[Any]]] = []


def prepare(living: Callable[[], Iterable[Any]]) -> None:
    """Say what answers the sessions of all compiled objects; trace if it is wanted."""
    _living.append(living)
    config.on_change("trace", _follow_config)
    atexit.register(_end)
    _follow_config()


def _follow_config() -> None:
    if _tracer and _tracer[0].directory == config.trace:
        return
    _end()
    if not config.trace:
        return
    try:
        _tracer.append(Tracer(config.trace, _living[0]))
    except OSError as error:
        notices.warn(f"MAGPY_TRACE={config.trace}: {error}; nothing is traced")
        return
    records.listen(_tracer[0])


def _end() -> None:
    while _tracer:
        tracer = _tracer.pop()
        try:
            tracer.end()
        except (OSError, ValueError):  # the disk is full; it has been closed
            tracer.close()
