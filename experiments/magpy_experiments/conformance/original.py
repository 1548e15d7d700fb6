"""The tests of the original MagPy under this engine.

They are read from a checkout of its repository, which is not ours and not shipped.  Each
test file runs in two processes, one in eager mode and one with MagPy, in which the modules
that it imports from the original are stand-ins (``original_world.py``).  What a test
asserts about results must hold; a call that the original answers from its cache must be a
hit.  How many graphs and misses the original counts is its own affair: it has one for each
frame that is entered.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from magpy_experiments.conformance.cpython import (
    Case,
    ConformanceError,
    Report,
    append_line,
    read_lines,
    run_process,
)

#: Files that are not run, with the reason.
EXCLUDED = {
    "test_end_of_control_flow": "is about the bytecode analysis of the original",
    "test_int_cache": "is about a patched CPython",
    "test_random_key": "is about how the original numbers what it draws",
    "test_stack_effect": "is about the stack of CPython 3.9",
}


def find_tests(root: Path) -> Path:
    """Return the folder of the tests.

    Args:
        root: a checkout of the original, or the folder itself.

    Raises:
        ConformanceError: there are none.
    """
    for folder in (root / "test", root):
        if (folder / "common" / "checker.py").is_file():
            return folder.resolve()
    raise ConformanceError(f"there are no tests of the original in {root}/test")


def modules_of(folder: Path) -> list[str]:
    """Return the names of the test files that are run."""
    names = sorted(path.stem for path in folder.glob("test_*.py"))
    return [name for name in names if name not in EXCLUDED]


def check_module(
    module: str,
    folder: Path,
    *,
    timeout: float = 120.0,
    runs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a test file in processes of its own.

    Args:
        module: its name without ".py".
        folder: where it lies; see :func:`find_tests`.
        timeout: seconds that one test may take.
        runs: not used; a test says itself how often it calls.
        progress: told how many tests are done, of how many.

    Returns:
        What became of every test; ``error`` if the file could not be loaded.
    """
    report = Report(module)
    if not (folder / f"{module}.py").is_file():
        report.error = f"there is no {module}.py"
        return report
    start = time.monotonic()
    worlds = []
    for world in ("eager", "magpy"):
        lines, report.error = _run_world(module, folder, world, timeout, progress)
        if report.error:
            return report
        worlds.append(lines)
    plain, ours = worlds
    report.cases = [judge(name, plain[name], ours.get(name, {})) for name in plain]
    report.seconds = time.monotonic() - start
    return report


def _run_world(
    module: str,
    folder: Path,
    world: str,
    timeout: float,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, dict[str, Any]], str]:
    with tempfile.TemporaryDirectory(prefix="magpy-conformance-") as work:
        path = str(Path(work) / "tests.jsonl")
        Path(path).touch()
        command = [
            *(sys.executable, "-X", "faulthandler"),
            *("-m", "magpy_experiments.conformance.original_world"),
            *(str(folder / f"{module}.py"), world, path),
        ]
        while True:
            end, tail = run_process(command, work, path, timeout, progress)
            lines = read_lines(path)
            if end == "":
                break
            if not lines or "begin" not in lines[-1]:
                return {}, f"{end}\n{tail}"
            status = "hang" if end == "hang" else "crash"
            line = {"name": lines[-1]["begin"], "status": status, "detail": tail}
            append_line(path, line)
        error = next((line["error"] for line in lines if "error" in line), "")
        return {line["name"]: line for line in lines if "name" in line}, error


def judge(name: str, plain: Mapping[str, Any], ours: Mapping[str, Any]) -> Case:
    """Compare what became of a test in eager mode and under MagPy.

    Args:
        name: of the test.
        plain: the line that the worker wrote for it in eager mode.
        ours: the same under MagPy.

    Returns:
        Status "same"; "fewer hits" (results hold, but not every call that should hit
        does); "different"; "crash" or "hang"; "not run" (it fails in eager mode, too).
    """
    case = Case(name, "same", called=bool(ours.get("calls")))
    case.plain = plain.get("outcome", plain.get("status", ""))
    case.compiled = [ours.get("outcome", ours.get("status", ""))]
    case.recorded = ours.get("recorded", 0) > 0
    case.hits = ours.get("hits", 0)
    case.reason = ", ".join(ours.get("reasons", ()))
    if plain.get("outcome") != "passed":
        case.status = "not run"
        case.detail = f"in eager mode: {case.plain} {plain.get('detail', '')}"
    elif ours.get("outcome") != "passed":
        case.status = ours.get("status", "different")
        case.detail = ours.get("detail", "")
    elif ours["missed"]:
        case.status = "fewer hits"
        case.detail = "\n".join(ours["missed"])
    return case
