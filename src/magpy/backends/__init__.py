"""Backends: what turns a graph into something that runs.

A backend is anything that ``torch.compile`` takes as one: a callable
``(graph_module, example_inputs) -> callable``, or the name of one.  See
:mod:`magpy.backends.base`.
"""

from __future__ import annotations

from magpy.backends.base import Backend, Executable, Settings
from magpy.backends.registry import (
    list_backends,
    mode_is_unused,
    no_mode_text,
    resolve,
)

__all__ = [
    "Backend",
    "Executable",
    "Settings",
    "list_backends",
    "mode_is_unused",
    "no_mode_text",
    "resolve",
]
