"""MagPy: a just-in-time front end for PyTorch that watches real Python run.

``magpy.compile(f)`` runs `f` once as it is, in CPython, and watches every instruction.
From what the run read, did and changed it derives guards, one graph of tensor
operations and a replay of the changes; later calls for which the guards hold execute
the graph, compiled by a backend of your choice, and nothing else.
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
    Unsupported,
    VerifyError,
)

__version__ = "0.1.0"

__all__ = [
    "BackendError",
    "MagpyError",
    "MagpyWarning",
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
]
