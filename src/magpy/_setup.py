"""Is the engine on, and does it know torch?  Decided at the first compile.

Only what cannot change in this process is kept.  Whether a call can be watched (no
profiler, no debugger, no other frame evaluator) is the engine's question at every call.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from magpy import notices
from magpy.config import config

#: Lowest torch that is tested, and the first one that is not supported.
TORCH_RANGE = ((2, 11), (3, 0))


@dataclass(frozen=True)
class Status:
    """Whether MagPy compiles in this process.

    Attributes:
        enabled: False means that every compiled object runs eager.
        reason: why not, in words; "" if enabled.
        final: False means that the next compile asks again.
    """

    enabled: bool
    reason: str
    final: bool = True


_status: Status | None = None  # final
_latest: Status | None = None


def torch_version() -> tuple[int, int] | None:
    """Return torch's (major, minor), or None if torch cannot be imported."""
    if "torch" not in sys.modules and importlib.util.find_spec("torch") is None:
        return None
    if sys.modules.get("torch", sys) is None:  # barred from being imported
        return None
    import torch

    match = re.match(r"(\d+)\.(\d+)", torch.__version__)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def engine() -> Any:
    """Return the C engine module.

    Raises:
        ImportError: it was not built for this interpreter.
    """
    return importlib.import_module("magpy._engine")


def status() -> Status:
    """Return the state of the engine; sets it up at the first call.

    If it stays off, one warning says why.
    """
    global _status, _latest
    if _status is not None:
        return _status
    with _uninterrupted():
        state = _latest = _start()
        if state.final:
            _status = state
    if not state.enabled:
        notices.warn(
            f"MagPy is off and everything runs eager: {state.reason}. "
            "`python -m magpy env` shows the details."
        )
    return state


def is_on() -> bool:
    """Is it known by now that compiling works?  Starts nothing."""
    known = _status or _latest
    return config.enabled and (known is None or known.enabled)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block.

    An interrupted import of torch cannot be made up for in the same process.
    """
    handler = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if not main or not callable(handler):
        yield
        return
    waiting: list[Any] = []
    signal.signal(signal.SIGINT, lambda *args: waiting.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if waiting:
            handler(*waiting[0])


def _start() -> Status:
    try:
        c_engine = engine()
    except ImportError as error:
        return Status(False, f"the C engine cannot be loaded ({error})")
    supported, reason = c_engine.supported()
    if not supported:
        return Status(False, f"{reason} (CPython {platform.python_version()})")
    try:
        _follow_switch(c_engine)
        return _start_torch(c_engine)
    except Exception as error:
        kind = type(error).__name__
        return Status(False, f"torch cannot be used ({kind}: {error})", final=False)


def _start_torch(c_engine: Any) -> Status:
    version = torch_version()
    if version is None:
        return Status(True, "", final=False)  # plain Python code only
    low, high = TORCH_RANGE
    if not low <= version < high:
        return Status(
            False,
            f"torch {version[0]}.{version[1]} is not supported, it must be at least "
            f"{low[0]}.{low[1]} and below {high[0]}.{high[1]}",
        )
    _teach_torch(c_engine)
    return Status(True, "")


def _follow_switch(c_engine: Any) -> None:
    """Let the knobs that the engine reads act on what is compiled already, too."""

    def switch() -> None:
        c_engine._set_enabled(config.enabled)
        c_engine._set_compiling(config.is_compiling)
        c_engine._set_flow(config.control_flow)

    switch()
    if not config.listens("enabled"):
        config.on_change("enabled", switch)
        config.on_change("is_compiling", switch)
        config.on_change("control_flow", switch)


def _teach_torch(c_engine: Any) -> None:
    """Hand the engine what it has to know about torch; see engine/run/record.h."""
    import torch

    from magpy import _effects, levels, regions
    from magpy import _torch_table as table

    _import_what_torch_puts_off()
    c_engine.setup_torch(
        ops=table.build(),
        op_aliases=table.aliases(),
        tensor_types=table.tensor_types(),
        constant_types=table.constant_types(),
        op_object_types=table.op_object_types(),
        op_flags=table.op_flags,
        op_effects=_effects.row,
        graph_object_type=torch._C._InferenceMode,
        close_levels=levels.close,
        script_function_type=torch.jit.ScriptFunction,
        generator_type=torch.Generator,
        script_object_type=torch._C.ScriptObject,
        skip_prefixes=table.skip_module_prefixes(),
        mask_dtypes=(torch.bool, torch.uint8),
        regions=regions,
    )


def _import_what_torch_puts_off() -> None:
    """Let torch import what its ``record_function`` and devices import when they first run.

    Every step of an optimizer runs the former; a recording ends at an import.
    """
    import torch.autograd.profiler
    import torch.utils._device  # by `with torch.device(...)`

    monitor = getattr(torch.autograd.profiler, "_maybe_cupti_monitor", None)
    if callable(monitor):
        monitor()
