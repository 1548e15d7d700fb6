"""Is the engine on, and does it know torch?  Decided once, at the first compile."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from magpy.config import config

#: Lowest torch that is tested, and the first one that is not supported.
TORCH_RANGE = ((2, 11), (3, 0))

_OURS = ("magpy", "magpy.backends", "magpy.cli")


@dataclass(frozen=True)
class Status:
    """Whether MagPy compiles in this process.

    Attributes:
        enabled: False means that every compiled object runs eager.
        reason: why not, in words; "" if enabled.
    """

    enabled: bool
    reason: str


_status: Status | None = None


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
    global _status
    if _status is None:
        _status = _start()
        if not _status.enabled:
            warnings.warn(
                f"MagPy is off and everything runs eager: {_status.reason}. "
                "`python -m magpy env` shows the details.",
                stacklevel=_user_level(),
            )
    return _status


def _user_level() -> int:
    """Return the stacklevel, for our caller, of the nearest frame outside MagPy."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__package__") in _OURS:
        frame = frame.f_back
        level += 1
    return level


def _start() -> Status:
    try:
        c_engine = engine()
    except ImportError as error:
        return Status(False, f"the C engine cannot be loaded ({error})")
    _follow_switch(c_engine)
    available, reason = c_engine.available()
    if not available:
        return Status(False, f"{reason} (CPython {platform.python_version()})")
    version = torch_version()
    if version is None:
        return Status(True, "")  # plain Python code only
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

    switch()
    config.on_change("enabled", switch)
    config.on_change("is_compiling", switch)


def _teach_torch(c_engine: Any) -> None:
    """Hand the engine what it has to know about torch; see engine/record.h."""
    import torch

    from magpy import _torch_table as table

    c_engine.setup_torch(
        ops=table.build(),
        op_aliases=table.aliases(),
        tensor_types=table.tensor_types(),
        constant_types=table.constant_types(),
        op_object_types=table.op_object_types(),
        op_flags=table.op_flags,
        graph_object_type=torch._C._InferenceMode,
        script_function_type=torch.jit.ScriptFunction,
        skip_prefixes=table.skip_module_prefixes(),
        mask_dtypes=(torch.bool, torch.uint8),
    )
