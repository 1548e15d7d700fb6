"""The original MagPy as a baseline: in a Python of its own, from a checkout of its own.

Where both are is told by the environment, because processes that measure are forked from
one that knows nothing of the command line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magpy_experiments.reproduce.plan import Cell, Settings

#: Run in that Python; importing it here would import torch.
_FRONT = Path(__file__).with_name("front.py")
_CHECKOUT, _PYTHON = "REPRODUCE_ORIGINAL", "REPRODUCE_ORIGINAL_PYTHON"


def announce(checkout: Path, python: Path | None) -> None:
    """Say where it is.

    Args:
        checkout: of its repository, built.
        python: in which it was built; None: python3.9 of the path.
    """
    os.environ[_CHECKOUT] = str(checkout.absolute())
    # Not resolved: a link is what makes a virtual environment.
    os.environ[_PYTHON] = str(python.absolute()) if python else "python3.9"


def unavailable(device: str) -> str:
    """Return why it cannot be measured, and what to do, or ""."""
    if device != "cpu":
        return "measured on the CPU only"
    folder = os.environ.get(_CHECKOUT, "")
    if not folder:
        return "reproduce original --original DIR --original-python PYTHON"
    if not any(Path(folder, "frontend").glob("c_api*.so")):
        return f"cd {folder} && PYTHON setup.py build_ext --inplace"
    return ""


def measure(cell: Cell, settings: Settings, tolerance: float) -> dict[str, Any]:
    """Let it measure a cell.

    Args:
        cell: of a system "original-...".
        settings: how.
        tolerance: of numbers, for backends that round otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="magpy-original-") as folder:
        answer = Path(folder, "answer")
        task = {
            "original": os.environ[_CHECKOUT],
            "package": str(Path(__file__).resolve().parent.parent),
            "model": cell.model,
            "backend": cell.system.partition("-")[2],
            "batch": cell.batch,
            "small": settings.small,
            "seed": settings.seed,
            "rounds": settings.rounds,
            "budget": settings.budget,
            "threads": settings.threads,
            "tolerance": tolerance,
            "answer": str(answer),
        }
        command = [os.environ[_PYTHON], str(_FRONT), json.dumps(task)]
        ours = ("PYTHONPATH", "PYTHONHOME", "LD_PRELOAD")
        environment = {k: v for k, v in os.environ.items() if k not in ours}
        done = subprocess.run(
            command, cwd=folder, env=environment, stdout=sys.stderr, check=False
        )
        if answer.exists():
            measured: dict[str, Any] = json.loads(answer.read_text("utf-8"))
            return measured
        return {"status": "crash", "reason": f"exit code {done.returncode}"}
