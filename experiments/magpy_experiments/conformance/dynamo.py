"""TorchDynamo's own tests under the engine: what they compare with eager must hold.

The tests are not ours and are not shipped: they are read from a checkout of torch.  Each
test module runs in three processes.  In two of them `torch.compile` and its relatives
return the program as it is, so that a test says what eager does; in the third they compile
with MagPy.  What a test sees (results of compiled calls, the operands of its assertions,
whether they hold) is written down as events (``worlds.py``), and the events of
MagPy must be those of eager.  An assertion that fails in eager too is about Dynamo:
counted frames, guards, graphs, refusals.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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

#: What is run when no module is named.
MODULES = (
    "test_misc",
    "test_functions",
    "test_modules",
    "test_repros",
    "test_higher_order_ops",
    "test_generator",
    "test_dicts",
    "test_sets",
    "test_ctx_manager",
    "test_exceptions",
    "test_export",
)

#: Tests that are not run, with the reason.
EXCLUDED: dict[str, str] = {
    "test_misc.MiscTests.test_iterator_limit": "never ends in eager",
    "test_decorators.DecoratorTests.test_set_stance_fail_on_recompile": (
        "asks for an error where nothing was recorded; eager has none"
    ),
    "test_misc.MiscTests.test_backend_match_guard_multi_threads": (
        "its threads end in any order"
    ),
    "test_misc.MiscTests.test_inplace_view_on_graph_input": (
        "compares memory that nobody has filled"
    ),
    "test_misc.MiscTests.test_numpy_torch_operators": (
        "draws numbers in the order of a set of functions"
    ),
}

#: Calls of each compiled function where a test makes one, in the second of two passes.
RUNS = 3

_WORLDS = ("eager", "eager", "magpy")
_SHOWN = 6  # events shown around a difference

_Lines = dict[str, dict[str, Any]]


def find_tests(root: Path) -> Path:
    """Return the folder of Dynamo's tests.

    Args:
        root: a checkout of torch, or the folder itself.

    Raises:
        ConformanceError: there are none.
    """
    for folder in (root / "test" / "dynamo", root):
        if any(folder.glob("test_*.py")):
            return folder.resolve()
    raise ConformanceError(f"there are no tests in {root}/test/dynamo")


def modules_of(folder: Path) -> list[str]:
    """Return which of :data:`MODULES` this version of torch has."""
    return [name for name in MODULES if (folder / f"{name}.py").is_file()]


def check_module(
    module: str,
    folder: Path,
    *,
    timeout: float = 120.0,
    runs: int = RUNS,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a test module in processes of its own.

    Args:
        module: its name without ".py".
        folder: where it lies; see :func:`find_tests`.
        timeout: seconds that one test may take.
        runs: how often a compiled function is called for one call of a test.
        progress: told how many tests are done, of how many, all worlds together.

    Returns:
        What became of every test; ``error`` if there is no such module.
    """
    report = Report(module)
    if not (folder / f"{module}.py").is_file():
        report.error = f"there is no {module}.py"
        return report
    start = time.monotonic()
    worlds: list[_Lines] = []
    for number, world in enumerate(_WORLDS):

        def tell(done: int, total: int, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(_WORLDS) * total)

        command = [
            *(sys.executable, "-X", "faulthandler"),
            *("-m", "magpy_experiments.conformance.worlds"),
            *(str(folder / f"{module}.py"), world),
        ]
        lines, report.error = _run_world(command, timeout, runs, tell)
        worlds.append(lines)
        if report.error:
            return report
    for name in worlds[0]:
        first, second, ours = (lines.get(name, {}) for lines in worlds)
        report.cases.append(judge(name, first, second, ours))
    report.seconds = time.monotonic() - start
    return report


def _run_world(
    command: Sequence[str], timeout: float, runs: int, progress: Callable[..., None]
) -> tuple[_Lines, str]:
    """Run all tests in one world; return what each did, and why none could run."""
    with tempfile.TemporaryDirectory(prefix="magpy-conformance-") as folder:
        path = str(Path(folder) / "tests.jsonl")
        Path(path).touch()
        whole = [*command, path, "--runs", str(runs)]
        while True:
            end, tail = run_process(whole, folder, path, timeout, progress)
            lines = read_lines(path)
            if end == "":
                break
            if not lines or "begin" not in lines[-1]:
                return {}, f"{end}\n{tail}"
            status = "hang" if end == "hang" else "crash"
            name = lines[-1]["begin"]
            append_line(path, {"name": name, "status": status, "detail": tail})
        error = next((line["error"] for line in lines if "error" in line), "")
        return {line["name"]: line for line in lines if "name" in line}, error


# -- one test --------------------------------------------------------------------------


def judge(
    name: str,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    ours: Mapping[str, Any],
) -> Case:
    """Compare what a test saw in eager, in eager again, and under MagPy.

    Args:
        name: class and method.
        first: the line that the worker wrote for it in eager.
        second: the same of the other process in eager.
        ours: the same under MagPy.

    Returns:
        Status "same"; "internal" (same, but it also asserts what does not hold in eager);
        "different"; "crash" or "hang" (under MagPy only); "not run" (skipped, raises in
        eager, or compiles nothing); "unstable" (eager disagrees with itself); "excluded".
    """
    case = Case(name, "same", called=bool(ours.get("calls")))
    case.hits = ours.get("hits", 0)
    case.recorded = bool(ours.get("recorded"))
    case.plain = first.get("outcome", first.get("status", ""))
    case.compiled = [ours.get("outcome", ours.get("status", ""))]
    if case.called and not case.recorded:
        case.reason = ours.get("reason", "")
    if first.get("status") == "excluded":
        case.status, case.detail = "excluded", first["detail"]
    elif "events" not in first:
        case.status, case.detail = "not run", f"in eager: {case.plain}"
    elif "events" not in ours:
        case.status = ours.get("status", "crash")
        case.detail = ours.get("detail", "")
    else:
        _judge_events(case, first, second, ours)
    return case


def _judge_events(
    case: Case,
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    ours: Mapping[str, Any],
) -> None:
    eager, ours_ = first["events"], ours["events"]
    difference = _first_difference(eager, second.get("events", []), ours_)
    if difference is not None:
        case.status, case.detail = "different", _show(eager, ours_, difference)
        if len(second.get("events", [])) != len(eager):
            case.status = "unstable"
        elif ours.get("trace"):
            case.detail += f"\n{ours['trace']}"
    elif not first["calls"]:
        case.status = "not run"
        case.detail = first["trace"].strip() or f"compiles nothing: {case.plain}"
    elif first["failed"] or case.plain != "pass":
        case.status = "internal"
        case.detail = first["failed"] or first["trace"].strip()


def _first_difference(
    eager: Sequence[str], again: Sequence[str], ours: Sequence[str]
) -> int | None:
    """Return the first event that is not eager's; one that eager repeats otherwise is
    compared without its operands."""
    for number in range(max(len(eager), len(ours))):
        if number >= len(eager) or number >= len(ours):
            return number
        stable = number < len(again) and again[number] == eager[number]
        left, right = eager[number], ours[number]
        if not stable:
            left, right = left.partition(" | ")[0], right.partition(" | ")[0]
        if left != right:
            return number
    return None


def _show(eager: Sequence[str], ours: Sequence[str], number: int) -> str:
    def line(events: Sequence[str]) -> str:
        return events[number] if number < len(events) else "nothing more"

    before = eager[max(0, number - _SHOWN) : number]
    return "\n".join(
        [*before, f"eager: {line(eager)}", f"magpy: {line(ours)}"],
    )
