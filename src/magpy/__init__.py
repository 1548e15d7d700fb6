"""MagPy: a just-in-time front end for PyTorch that watches real Python run.

``magpy.compile(f)`` runs `f` once in CPython, as usual, and watches every instruction.
From what the call read, did and changed it derives guards, one graph of tensor operations
and a replay of the changes.  Later calls for which the guards hold run the graph, compiled
by a backend of your choice, and the replay, but not `f`.
"""

from __future__ import annotations

from magpy.api import (
    compile,
    disable,
    explain,
    list_backends,
    reset,
    stats,
    verify,
)
from magpy.config import config
from magpy.errors import (
    BackendError,
    MagpyError,
    MagpyWarning,
    Recompile,
    Unsupported,
    VerifyError,
)
from magpy.watch import watch

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "MagpyError",
    "MagpyWarning",
    "Recompile",
    "Unsupported",
    "VerifyError",
    "__version__",
    "compile",
    "config",
    "disable",
    "explain",
    "list_backends",
    "reset",
    "stats",
    "verify",
    "watch",
]
