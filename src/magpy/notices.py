"""Warnings of MagPy: at the line of the user's code that led to them."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from magpy.errors import MagpyWarning

# Frames of these packages are not the user's.
_NOT_USERS = (
    "magpy",
    "torch",
    "importlib",
    "_frozen_importlib",
    "contextlib",
    "functools",
)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _users_frame() -> FrameType | None:
    """Return the nearest frame of the user's, or at least one outside MagPy."""
    frame: FrameType | None = sys._getframe(1)
    outside = None
    while frame is not None:
        package = _package(frame)
        if package not in _NOT_USERS:
            return frame
        if outside is None and package != "magpy":
            outside = frame
        frame = frame.f_back
    return outside


def warn(text: str) -> None:
    """Warn once for each text and line (Python's default)."""
    frame = _users_frame()
    if frame is None:  # no Python code above, in a thread of C for example
        warnings.warn(text, MagpyWarning, stacklevel=1)
        return
    warnings.warn_explicit(
        text,
        MagpyWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )
