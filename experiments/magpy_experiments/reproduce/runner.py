"""Processes, one after the other; each has a limit of time and may die."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from magpy_experiments.reproduce import entry, systems
from magpy_experiments.reproduce.plan import Cell, Settings
from magpy_experiments.reproduce.results import Results

#: Told about each cell that is done, and whether it was measured just now.
Tell = Callable[[Cell, dict[str, Any], bool], None]

_CHILD = "magpy_experiments.reproduce.child"
#: What another try may change.
FAILED = ("error", "crash", "timeout", "wrong", "unavailable")


def run_cells(
    cells: Sequence[Cell],
    settings: Settings,
    results: Results,
    *,
    timeout: float,
    again: bool,
    tell: Tell,
) -> None:
    """Measure the cells that have no results yet.

    Args:
        cells: which; equal ones are measured once.
        settings: how.
        results: where they go.
        timeout: seconds that one may take.
        again: also those that failed before.
        tell: told about every cell.
    """
    # Measuring processes end at once; what they leave behind is nobody's business.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # asking must not start CUDA
    os.environ["PYTHONWARNINGS"] = (
        "ignore::UserWarning:multiprocessing.resource_tracker"
    )
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_CHILD])
    for cell in dict.fromkeys(cells):
        known = results.cells.get(cell.key)
        if known is not None and not (again and known["status"] in FAILED):
            tell(cell, known, False)
            continue
        reason = _missing(cell, settings)
        if reason:
            measured = {"status": "unavailable", "reason": reason}
        else:
            measured = run_one(context, cell, settings, timeout)
        results.add(cell.key, measured)
        tell(cell, results.cells[cell.key], True)


def _missing(cell: Cell, settings: Settings) -> str:
    from magpy_experiments.models import MODELS

    package = MODELS[cell.model].missing
    if package:
        return f"pip install {package}"
    return systems.unavailable(cell.system, settings.device)


def run_one(
    context: Any,
    cell: Cell,
    settings: Settings,
    timeout: float,
    live: Callable[..., None] = entry.live,
) -> dict[str, Any]:
    """Measure a cell in a process of its own.

    Args:
        context: makes processes.
        cell: what to measure.
        settings: how.
        timeout: seconds that it may take.
        live: what the process does.
    """
    with tempfile.TemporaryDirectory(prefix="magpy-reproduce-") as folder:
        answer, log = Path(folder, "answer"), Path(folder, "log")
        process = context.Process(
            target=live, args=(cell, settings, str(answer), str(log))
        )
        process.start()
        try:
            process.join(timeout)
            if process.is_alive():
                return {"status": "timeout", "reason": f"more than {timeout:g} s"}
            if answer.exists():
                measured: dict[str, Any] = json.loads(answer.read_text("utf-8"))
                return measured
            return {"status": "crash", "reason": _death(process.exitcode, log)}
        finally:
            _stop(process)
            process.join()


def _stop(process: Any) -> None:
    """End a process and what it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()  # it has no group of its own yet


def _death(code: int | None, log: Path) -> str:
    words = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    said = [line.strip() for line in words if line.strip()]
    where = next((line for line in said if line.startswith("Fatal")), "")
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    if code is not None and code < 0:
        how = signal.Signals(-code).name
    return ": ".join(filter(None, (how, where or (said[-1] if said else ""))))[:300]
