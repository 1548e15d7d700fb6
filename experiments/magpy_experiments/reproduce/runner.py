"""A process for each cell; it has a limit of time and may die.

Several may get ready together, which is to compile and to compare.  Each then waits until
all are ready, and they are timed one after the other, so that nothing runs beside what is
timed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from magpy_experiments.reproduce import entry, systems
from magpy_experiments.reproduce.plan import Cell, Settings
from magpy_experiments.reproduce.results import Results

#: Told about each cell that is done, and whether it was measured just now.
Tell = Callable[[Cell, dict[str, Any], bool], None]

_CHILD = "magpy_experiments.reproduce.child"
#: What times its first calls has nothing beside it from the beginning.
_ALONE = ("parts",)
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
    jobs: int = 1,
) -> None:
    """Measure the cells that have no results yet.

    Args:
        cells: which; equal ones are measured once.
        settings: how.
        results: where they go.
        timeout: seconds that one may take.
        again: also those that failed before.
        tell: told about every cell.
        jobs: processes that get ready together.
    """
    # Measuring processes end at once; what they leave behind is nobody's business.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # asking must not start CUDA
    os.environ["PYTHONWARNINGS"] = (
        "ignore::UserWarning:multiprocessing.resource_tracker"
    )
    if jobs > 1:  # they share the cores; each has a pool of compilers otherwise
        threads = max(1, len(os.sched_getaffinity(0)) // jobs)
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(threads))
        if settings.device == "cuda":
            os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_CHILD])
    waiting: list[Cell] = []

    def done(cell: Cell, measured: dict[str, Any]) -> None:
        results.add(cell.key, measured)
        tell(cell, results.cells[cell.key], True)

    def measure() -> None:
        found = run_together(context, waiting, settings, timeout)
        for cell, measured in zip(waiting, found, strict=True):
            done(cell, measured)
        waiting.clear()

    for cell in dict.fromkeys(cells):
        known = results.cells.get(cell.key)
        if known is not None and not (again and known["status"] in FAILED):
            tell(cell, known, False)
            continue
        reason = _missing(cell, settings)
        if reason:
            done(cell, {"status": "unavailable", "reason": reason})
            continue
        if waiting and cell.kind in _ALONE:
            measure()
        waiting.append(cell)
        if len(waiting) == jobs or cell.kind in _ALONE:
            measure()
    measure()


def _missing(cell: Cell, settings: Settings) -> str:
    from magpy_experiments.models import MODELS

    package = MODELS[cell.model].missing
    if package:
        return f"pip install {package}"
    return systems.unavailable(cell.system, settings.device)


def run_together(
    context: Any,
    cells: Iterable[Cell],
    settings: Settings,
    timeout: float,
    live: Callable[..., None] = entry.live,
) -> list[dict[str, Any]]:
    """Measure cells, each in a process of its own; no two are timed at once.

    Args:
        context: makes processes.
        cells: what to measure.
        settings: how.
        timeout: seconds that each may take.
        live: what a process does.

    Returns:
        What came of each.
    """
    running: list[_Measurement] = []
    try:
        for cell in cells:
            running.append(_Measurement(context, cell, settings, timeout, live))
        while any([each.gets_ready() for each in running]):  # (a list: asks them all)
            time.sleep(0.05)
        found = [each.finish() for each in running]
    finally:
        for each in running:
            each.stop()
    together = {"together": len(running)} if len(running) > 1 else {}
    return [{**measured, **together} for measured in found]


class _Measurement:
    """A cell that is being measured in a process of its own."""

    def __init__(
        self,
        context: Any,
        cell: Cell,
        settings: Settings,
        timeout: float,
        live: Callable[..., None],
    ) -> None:
        self._timeout, self._start = timeout, time.monotonic()
        self._used = 0.0
        self._ready, self._go = context.Event(), context.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="magpy-reproduce-")
        self._answer, self._log = (
            Path(self._folder.name, name) for name in ("answer", "log")
        )
        paths = str(self._answer), str(self._log)
        self._process = context.Process(
            target=live, args=(cell, settings, *paths, self._ready, self._go)
        )
        self._process.start()

    def gets_ready(self) -> bool:
        """Return whether it is neither ready to be timed, nor over, nor out of time."""
        if self._ready.is_set() or not self._process.is_alive():
            return False
        self._used = time.monotonic() - self._start
        return self._used < self._timeout

    def finish(self) -> dict[str, Any]:
        """Let it be timed, and return what came of it."""
        try:
            self._go.set()
            self._process.join(max(0.0, self._timeout - self._used))
            if self._process.is_alive():
                reason = f"more than {self._timeout:g} s"
                return {"status": "timeout", "reason": reason}
            if self._answer.exists():
                text = self._answer.read_text("utf-8")
                measured: dict[str, Any] = json.loads(text)
                return measured
            reason = _death(self._process.exitcode, self._log)
            return {"status": "crash", "reason": reason}
        finally:
            self.stop()

    def stop(self) -> None:
        """End it, whatever it does; nothing if it has ended."""
        _stop(self._process)
        self._process.join()
        self._folder.cleanup()


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
