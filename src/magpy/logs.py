"""Named logs, switched on with ``MAGPY_LOGS="guards,+graph,-breaks"``.

Each artifact has the logger ``magpy.<artifact>``.  All are off by default.  ``name``
switches one on, ``+name`` with more detail (level DEBUG), ``-name`` off; ``all``
stands for every artifact.
"""

from __future__ import annotations

import logging
import sys

from magpy import notices, torch_logs
from magpy.config import config, nearest

ARTIFACTS = {
    "guards": "the guards of every recording",
    "graph": "the tensor operations of every compiled graph",
    "breaks": "why a call could not be recorded as a whole, with file and line",
    "recompiles": "which guard failed when a call is recorded again",
    "effects": "what a hit changes and returns",
    "verify": "hits that verify mode found to be wrong",
}

_OFF = logging.CRITICAL + 1
_root = logging.getLogger("magpy")
_root.addHandler(logging.NullHandler())
_handler: logging.Handler | None = None


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever sys.stderr is at that time, so that captures work."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def parse(spec: str) -> dict[str, int]:
    """Return the level of every artifact that `spec` names.

    Unknown names are warned about once, with the valid ones, and skipped.
    """
    levels: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in spec.split(","))):
        sign, name = (item[0], item[1:]) if item[0] in "+-" else ("", item)
        level = {"": logging.INFO, "+": logging.DEBUG, "-": _OFF}[sign]
        if name == "all":
            levels.update(dict.fromkeys(ARTIFACTS, level))
        elif name in ARTIFACTS:
            levels[name] = level
        else:
            notices.warn(
                f"MAGPY_LOGS: unknown artifact {name!r}; valid are "
                f"{', '.join(ARTIFACTS)} and all.{nearest(name, list(ARTIFACTS))}"
            )
    return levels


def set_logs(spec: str) -> None:
    """Switch on exactly the artifacts that `spec` names."""
    global _handler
    levels = parse(spec)
    for name in ARTIFACTS:
        logging.getLogger(f"magpy.{name}").setLevel(levels.get(name, _OFF))
    if levels and _handler is None:
        _handler = _StderrHandler()
        _handler.setFormatter(logging.Formatter("[%(name)s] %(message)s"))
        _root.addHandler(_handler)


def enabled(artifact: str, level: int = logging.INFO) -> bool:
    """Is `artifact` switched on, by us or by ``TORCH_LOGS``?"""
    ours = logging.getLogger(f"magpy.{artifact}").isEnabledFor(level)
    return ours or torch_logs.wants(artifact, level)


def write(artifact: str, message: str, level: int = logging.INFO) -> None:
    """Log `message` under `artifact`."""
    logging.getLogger(f"magpy.{artifact}").log(level, "%s", message)
    if torch_logs.wants(artifact, level):
        torch_logs.write(artifact, message, level)


def _follow_config() -> None:
    set_logs(config.logs)


_follow_config()
config.on_change("logs", _follow_config)
