"""Where a measuring process begins; imports torch only there, not in the command."""

from __future__ import annotations

from typing import Any


def live(cell: Any, settings: Any, answer: str, log: str, ready: Any, go: Any) -> None:
    """See child.live."""
    from magpy_experiments.reproduce import child

    child.live(cell, settings, answer, log, ready, go)
