"""What torch's own logging shows of MagPy: ``TORCH_LOGS``, ``TORCH_TRACE``, counters.

``TORCH_LOGS="magpy"`` (or ``+magpy``) switches all our logs on; torch's artifacts
``graph_code``, ``graph_breaks``, ``recompiles`` and ``guards`` show ours besides those of
TorchDynamo.  ``TORCH_TRACE=DIR`` gets the records that ``tlparse`` renders.

Nothing is imported here: torch has loaded its logging, or nobody has asked it for logs.
"""

from __future__ import annotations

import itertools
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from magpy.places import Frame, source_line

#: our logs -> torch's artifacts
_ARTIFACTS = {
    "graph": "graph_code",
    "breaks": "graph_breaks",
    "recompiles": "recompiles",
    "guards": "guards",
}
_OURS = "magpy"
_UNDER_TORCH = "torch.magpy"  # where torch's handler sees an artifact's logger
_numbers = itertools.count(10_000)  # of compiled objects; TorchDynamo counts from 0


def _logging() -> Any:
    return sys.modules.get("torch._logging._internal")


def _level() -> int | None:
    """Return the level that ``TORCH_LOGS="magpy"`` asks for."""
    internal = _logging()
    levels = getattr(getattr(internal, "log_state", None), "log_qname_to_level", {})
    level: int | None = levels.get(_OURS)
    return level


def _artifact(name: str) -> str | None:
    """Return torch's artifact for a log of ours, if it is switched on."""
    artifact = _ARTIFACTS.get(name)
    state = getattr(_logging(), "log_state", None)
    if artifact is None or state is None or not state.is_artifact_enabled(artifact):
        return None
    return artifact


def wants(name: str, level: int) -> bool:
    """Does torch's logging show this log of ours?"""
    asked = _level()
    if asked is not None and level >= asked:
        return True
    return level >= logging.INFO and _artifact(name) is not None


def write(name: str, message: str, level: int) -> None:
    """Show a message of ours where torch's logging wants it."""
    asked = _level()
    if asked is not None and level >= asked:
        logging.getLogger(_OURS).log(level, "[%s] %s", name, message)
    artifact = _artifact(name)
    if artifact is not None and level >= logging.INFO:
        logger = _logging().getArtifactLogger(_UNDER_TORCH, artifact)
        logger.debug("%s", message)


# -- TORCH_TRACE -----------------------------------------------------------------------


def traces() -> bool:
    """Is a structured trace written?"""
    internal = _logging()
    handler = getattr(internal, "LOG_TRACE_HANDLER", None)
    # Without TORCH_TRACE it is there, but has nowhere to write to.
    if getattr(handler, "root_dir", None) is None:
        return False
    return handler in internal.trace_log.handlers


class Compilation:
    """The numbers that a trace calls one compiled object by."""

    def __init__(self) -> None:
        self._object = next(_numbers)
        self._graphs = 0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let all that torch traces in the block belong to one more graph of it."""
        if not traces():
            yield
            return
        from torch._guards import CompileContext, compile_context

        number = self._next()
        self._graphs += 1
        with compile_context(CompileContext(number)):
            yield

    def artifact(self, name: str, text: str) -> None:
        """Trace a text under its next graph: a run is told before its graph is compiled."""
        if not traces():
            return
        _record(
            "artifact",
            {"name": name, "encoding": "string"},
            lambda: text,
            compile_id=self._next(),
            expect_trace_id=False,
        )

    def _next(self) -> Any:
        from torch._guards import CompileId

        return CompileId(frame_id=self._object, frame_compile_id=self._graphs)


def _record(
    name: str, data: Any, payload: Callable[[], Any] = lambda: None, **more: Any
) -> None:
    def encodable() -> Any:
        found = payload()
        if isinstance(found, str):  # torch encodes it, and names may be anything
            found = found.encode(errors="backslashreplace").decode()
        return found

    _logging().trace_structured(name, lambda: data, payload_fn=encodable, **more)


def trace_graph(module: Any, inputs: Sequence[Any], stack: Sequence[Frame]) -> None:
    """Trace a graph that is about to be compiled, as TorchDynamo does with its own."""
    from torch._logging import structured

    rows = [
        traceback.FrameSummary(f, n, name, lookup_line=False, line=source_line(f, n))
        for f, n, name in stack
    ]
    _record("dynamo_start", {"stack": structured.from_traceback(rows)})
    names = [node.name for node in module.graph.nodes if node.op == "placeholder"]
    sizes = {
        name: list(map(str, x.shape))
        for name, x in zip(names, inputs, strict=False)
        if hasattr(x, "shape")
    }
    _record("dynamo_output_graph", {"sizes": sizes}, lambda: readable(module))


def readable(module: Any) -> str:
    """Return a graph's code with shapes, devices and the lines of the user."""
    text: str = module.print_readable(
        print_output=False, include_stride=True, include_device=True
    )
    return text


# -- Counters --------------------------------------------------------------------------


def count(**more: dict[str, int]) -> None:
    """Add to ``torch._dynamo.utils.counters``, if anybody can read them."""
    utils = sys.modules.get("torch._dynamo.utils")
    counters = getattr(utils, "counters", None)
    if counters is None:
        return
    for group, numbers in more.items():
        for key, number in numbers.items():
            counters[group][key] += number
