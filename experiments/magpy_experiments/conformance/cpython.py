"""CPython's own tests under the engine: each case must end as it ends in plain CPython.

A process per test module runs each case plain, then compiled, then plain again, with
fixtures around every run.  It appends one JSON line per case to a file, so that the
process that started it knows which case killed it, and goes on behind that one.
"""

from __future__ import annotations

import argparse
import contextlib
import doctest
import functools
import importlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from magpy.errors import MagpyError

#: What is run when no module is named.
MODULES = (
    "test_abc",
    "test_array",
    "test_augassign",
    "test_binop",
    "test_bisect",
    "test_bool",
    "test_builtin",
    "test_class",
    "test_collections",
    "test_compare",
    "test_contains",
    "test_contextlib",
    "test_copy",
    "test_dataclasses",
    "test_decimal",
    "test_decorators",
    "test_defaultdict",
    "test_deque",
    "test_descr",
    "test_dict",
    "test_dictcomps",
    "test_dictviews",
    "test_enum",
    "test_enumerate",
    "test_except_star",
    "test_exceptions",
    "test_fractions",
    "test_fstring",
    "test_funcattrs",
    "test_functools",
    "test_generators",
    "test_global",
    "test_grammar",
    "test_heapq",
    "test_index",
    "test_isinstance",
    "test_iter",
    "test_itertools",
    "test_keywordonlyarg",
    "test_list",
    "test_listcomps",
    "test_memoryview",
    "test_named_expressions",
    "test_operator",
    "test_ordered_dict",
    "test_patma",
    "test_positional_only_arg",
    "test_property",
    "test_raise",
    "test_random",
    "test_range",
    "test_re",
    "test_reprlib",
    "test_richcmp",
    "test_scope",
    "test_set",
    "test_slice",
    "test_statistics",
    "test_struct",
    "test_subclassinit",
    "test_super",
    "test_tuple",
    "test_types",
    "test_typing",
    "test_unpack",
    "test_userdict",
    "test_userlist",
    "test_weakref",
    "test_weakset",
    "test_with",
    "test_yield_from",
)

#: Cases that are not run, with the reason: they test what watching or
#: rebuilding must touch.
EXCLUDED: dict[str, str] = {
    "test_dict.DictTest.test_splittable_popitem": (
        "asks how many bytes an instance's dict takes; a rebuilt one shares no keys"
    ),
}

#: Runs of the compiled function: the first one records, the others may hit.
RUNS = 3

_POLL_SECONDS = 0.05


class ConformanceError(MagpyError):
    """The command cannot be carried out: no such tests."""


# -- what is reported ------------------------------------------------------------------


@dataclass
class Case:
    """What became of one test method.

    Attributes:
        name: class and method.
        status: "same", "different", "crash", "hang", "unstable" (plain runs disagree) or
            "excluded".
        called: its function ran at all; a skipped one does not.
        recorded: its first call made a plan.
        reason: why not, as in the list of reasons; "" if recorded.
        detail: more about `reason` or about what went wrong.
    """

    name: str
    status: str
    plain: str = ""
    compiled: list[str] = field(default_factory=list)
    called: bool = False
    recorded: bool = False
    hits: int = 0
    reason: str = ""
    detail: str = ""


@dataclass
class Report:
    """All cases of one test module."""

    module: str
    cases: list[Case] = field(default_factory=list)
    seconds: float = 0.0
    error: str = ""  # the module could not be loaded

    def count(self, *statuses: str) -> int:
        """Return how many cases have one of these statuses."""
        return sum(case.status in statuses for case in self.cases)

    @property
    def called(self) -> int:
        """How many cases ran their function."""
        return sum(case.called for case in self.cases)

    @property
    def recorded(self) -> int:
        """How many cases got a plan at their first call."""
        return sum(case.recorded for case in self.cases)

    @property
    def hits(self) -> int:
        """How many calls were answered by a plan."""
        return sum(case.hits for case in self.cases)

    @property
    def bad(self) -> list[Case]:
        """The cases that did not end as they do in plain CPython."""
        return [c for c in self.cases if c.status in ("different", "crash", "hang")]

    def reasons(self) -> Counter[str]:
        """Return how often each reason kept a case eager."""
        return Counter(c.reason for c in self.cases if c.called and c.reason)


# -- one case, in the process of its module --------------------------------------------


class _Outcome(unittest.TestResult):
    """Notes how a test ended: kinds of events, with types of exceptions."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []
        self.trace = ""
        self.why_skipped = ""

    def _note(self, kind: str, error: Any = None) -> None:
        if error is not None:
            kind += " " + error[0].__qualname__
            if not self.trace:
                with contextlib.suppress(Exception):  # formats values of the test's own
                    self.trace = "".join(traceback.format_exception(*error, limit=-6))
        self.events.append(kind)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._note("pass")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._note("fail", err)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._note("error", err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._note("skip")
        self.why_skipped = reason

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._note("expected failure", err)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._note("unexpected success")

    def addSubTest(
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any
    ) -> None:
        if err is not None:
            self._note("subtest", err)

    def text(self) -> str:
        return ", ".join(self.events) or "nothing"


def run_once(
    cls: type[unittest.TestCase], name: str, *, purge: bool = False
) -> _Outcome:
    """Run one case with the fixtures of its class and module.

    Args:
        cls: its class.
        name: its method.
        purge: forget compiled patterns before: one that is known warns no more.
    """
    if purge:
        re.purge()
    outcome = _Outcome()
    unittest.TestSuite([cls(name)]).run(outcome)
    return outcome


@contextlib.contextmanager
def _replaced(cls: type, name: str, value: object) -> Iterator[None]:
    """Let `value` be the method of the class, as if the author had decorated it."""
    own = vars(cls).get(name)
    setattr(cls, name, value)
    try:
        yield
    finally:
        if own is None:
            delattr(cls, name)
        else:
            setattr(cls, name, own)


def check_case(cls: type[unittest.TestCase], name: str, runs: int = RUNS) -> Case:
    """Run a case plain and compiled, and compare how the runs ended.

    Args:
        cls: its class.
        name: its method.
        runs: how often the compiled function is called.

    Returns:
        The comparison; "different" also if a plain run ends in another way afterwards,
        because then a compiled one has left another state behind.
    """
    case = Case(f"{cls.__qualname__}.{name}", "same")
    case.plain = run_once(cls, name).text()
    for purge in (False, True):
        run = functools.partial(run_once, cls, name, purge=purge)
        if run().text() == case.plain:  # it repeats itself
            break
    else:
        case.status = "unstable"
        return case
    trace = _run_compiled(cls, name, runs, case, run)
    after = run()
    if any(text != case.plain for text in case.compiled):
        case.status, case.detail = "different", trace
    elif after.text() != case.plain:
        case.status = "different"
        case.detail = f"afterwards: {after.text()}\n{after.trace}"
    return case


def _run_compiled(
    cls: type[unittest.TestCase],
    name: str,
    runs: int,
    case: Case,
    run: Callable[[], _Outcome],
) -> str:
    """Fill in what the compiled runs did; return the first trace that differs."""
    import magpy

    trace = ""
    compiled = magpy.compile(getattr(cls, name), backend="eager")
    with _replaced(cls, name, compiled):
        for number in range(runs):
            outcome = run()
            case.compiled.append(outcome.text())
            if case.compiled[-1] != case.plain and not trace:
                trace = outcome.trace
            if number == 0:
                _note_recording(case, compiled)
    case.hits = magpy.stats(compiled)["hits"]
    return trace


def _note_recording(case: Case, compiled: Any) -> None:
    import magpy

    stats = magpy.stats(compiled)
    case.called = stats["calls"] > 0
    case.recorded = case.called and bool(compiled.entries())
    if case.called and not case.recorded:
        place = next(iter(stats["places"]), None)
        case.reason = place["reason"] if place else "unknown"
        if place:
            where = f"{Path(place['file'] or '').name}:{place['line']}"
            case.detail = f"{place['detail'] or ''} ({where})"


# -- all cases of a module, in its process -------------------------------------------


def _flatten(suite: Iterable[Any]) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _flatten(test)
        elif isinstance(test, unittest.TestCase):
            yield test


def _load(module: str) -> list[unittest.TestCase]:
    """Return the cases of a module that are methods; doctests are none."""
    found = importlib.import_module(module)
    loader = unittest.TestLoader()
    if hasattr(found, "__path__") and not hasattr(found, "load_tests"):
        names = _parts(found)
        modules = [found, *map(importlib.import_module, names)]
    else:
        modules = [found]
    tests: dict[str, unittest.TestCase] = {}
    for part in modules:
        for test in _flatten(loader.loadTestsFromModule(part)):
            name = test.id().rpartition(".")[2]
            if isinstance(test, doctest.DocTestCase):
                continue
            if isinstance(getattr(type(test), name, None), _FUNCTION):
                tests.setdefault(test.id(), test)
    return list(tests.values())


def _parts(package: Any) -> list[str]:
    folder = Path(package.__path__[0])
    return [f"{package.__name__}.{p.stem}" for p in sorted(folder.glob("test_*.py"))]


def _silence_torch() -> None:
    """The tests need none, and importing it takes longer than most of them."""
    if "torch" not in sys.modules:
        sys.modules["torch"] = None  # type: ignore[assignment]


_FUNCTION = type(_load)


def _work(module: str, path: str, runs: int) -> int:
    """Check all cases that `path` does not know yet and append them to it."""
    _silence_torch()
    with contextlib.suppress(ImportError):
        support = importlib.import_module("test.support")
        vars(support)["use_resources"] = []  # nothing slow, no network
    seen = {line["begin"] for line in read_lines(path) if "begin" in line}
    with open(path, "a", encoding="utf-8") as log:

        def write(**line: Any) -> None:
            log.write(json.dumps(line) + "\n")
            log.flush()

        try:
            tests = _load(module)
        except Exception as error:
            write(error=f"{type(error).__name__}: {error}")
            return 1
        write(cases=len(tests))
        parent = os.getppid()
        for test in tests:
            if os.getppid() != parent:
                return 1  # nobody waits for us any more
            if test.id() in seen:
                continue
            write(begin=test.id())
            write(**_check(test, module, runs))
    return 0


def _check(test: unittest.TestCase, module: str, runs: int) -> dict[str, Any]:
    name = test.id().rpartition(".")[2]
    cls = type(test)
    key = f"{module.removeprefix('test.')}.{cls.__qualname__}.{name}"
    if key in EXCLUDED:
        return vars(Case(key.partition(".")[2], "excluded", detail=EXCLUDED[key]))
    return vars(check_case(cls, name, runs))


def read_lines(path: str) -> list[dict[str, Any]]:
    """Return the whole lines so far; the last one may still be in the making."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]


# -- modules, from the process of the command --------------------------------------------


def full_name(module: str) -> str:
    """Return the importable name of a test module.

    Args:
        module: of CPython's test package ("test_dict"), or any other one.

    Raises:
        ConformanceError: there is none, or this interpreter comes without its tests.
    """
    if module.startswith("test.") or module not in MODULES and _exists(module):
        return module
    if not _exists("test.support"):
        raise ConformanceError(
            "this interpreter has no `test` package; distributions split it off "
            "(libpython3-testsuite, python3-test), a build from source has it"
        )
    name = f"test.{module}"
    if not _exists(name):
        raise ConformanceError(f"there is no test module {module!r}")
    return name


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package it would be in
        return False


def check_module(
    module: str,
    *,
    timeout: float = 120.0,
    runs: int = RUNS,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check a test module in processes of its own.

    Args:
        module: as :func:`full_name` takes it.
        timeout: seconds that one case may take, all its runs together.
        runs: how often each compiled function is called.
        progress: told how many cases are done, of how many.

    Returns:
        What became of every case; one that killed or hung the process among them.
    """
    report = Report(module)
    name = full_name(module)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="magpy-conformance-") as folder:
        path = str(Path(folder) / "cases.jsonl")
        Path(path).touch()
        while True:
            command = [sys.executable, "-X", "faulthandler", "-m", __name__]
            command += [name, path, "--runs", str(runs)]
            end, tail = run_process(command, folder, path, timeout, progress)
            if not _note_end(path, end, tail):
                break
        _collect(report, read_lines(path))
    report.seconds = time.monotonic() - start
    return report


def _note_end(path: str, end: str, tail: str) -> bool:
    """If the process died in a case, write that down; is there more to do?"""
    lines = read_lines(path)
    if end == "" or not lines:
        if end:
            append_line(path, {"error": f"{end}\n{tail}"})
        return False
    if "begin" not in lines[-1]:  # died between cases: nothing to skip
        append_line(path, {"error": f"{end} after the last case\n{tail}"})
        return False
    name = ".".join(lines[-1]["begin"].split(".")[-2:])
    status = "hang" if end == "hang" else "crash"
    append_line(path, vars(Case(name, status, called=True, detail=f"{end}\n{tail}")))
    return True


def append_line(path: str, line: dict[str, Any]) -> None:
    """Append a line in place of the process that died, perhaps within one."""
    whole = Path(path).read_text(encoding="utf-8", errors="replace")
    whole = whole[: whole.rfind("\n") + 1]  # a line cut short by the end is dropped
    Path(path).write_text(whole + json.dumps(line) + "\n", encoding="utf-8")


def _collect(report: Report, lines: list[dict[str, Any]]) -> None:
    for line in lines:
        if "status" in line:
            report.cases.append(Case(**line))
        elif "error" in line:
            report.error = line["error"]


def run_process(
    command: Sequence[str],
    folder: str,
    path: str,
    timeout: float,
    progress: Callable[[int, int], None] | None,
) -> tuple[str, str]:
    """Run the process of a module to its end.

    Args:
        command: what to run.
        folder: where it works.
        path: the file to which it appends a line per case.
        timeout: seconds without a new line after which it hangs.
        progress: told how many cases are done, of how many.

    Returns:
        How it ended ("" if well, "hang", or its exit status), and the end of what it
        wrote to stderr.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # so that what a test started dies with it
        )
        try:
            hung = not _watch(process, path, timeout, progress)
        finally:
            _kill(process)
        status = process.wait()
        if hung:
            return "hang", _tail(errors)
        known = status in (0, 1) and "begin" not in (read_lines(path) or [{}])[-1]
        return "" if known else f"exit status {status}", _tail(errors)


def _environment() -> dict[str, str]:
    """The process works elsewhere, so the import path must be absolute."""
    paths = os.pathsep.join(os.path.abspath(entry or os.curdir) for entry in sys.path)
    return {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}


def _watch(
    process: subprocess.Popen[bytes],
    path: str,
    timeout: float,
    progress: Callable[[int, int], None] | None,
) -> bool:
    """Wait for the process; False if it made no progress for too long."""
    size = -1
    last = time.monotonic()
    while process.poll() is None:
        now = os.path.getsize(path)
        if now != size:
            size, last = now, time.monotonic()
            if progress is not None:
                lines = read_lines(path)
                total = next((n["cases"] for n in lines if "cases" in n), 0)
                begun = sum("begin" in line for line in lines)
                progress(begun - ("begin" in lines[-1]) if lines else 0, total)
        elif time.monotonic() - last > timeout:
            process.send_signal(signal.SIGABRT)  # faulthandler shows where it is
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _tail(errors: IO[bytes], limit: int = 3000) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - limit))
    return errors.read().decode("utf-8", "replace")


def main() -> int:
    """Check one module in this process; see :func:`check_module`."""
    parser = argparse.ArgumentParser(
        prog="python -m magpy_experiments.conformance.cpython"
    )
    parser.add_argument("module")
    parser.add_argument("path", help="file for one JSON line per case")
    parser.add_argument("--runs", type=int, default=RUNS)
    args = parser.parse_args()
    return _work(args.module, args.path, args.runs)


if __name__ == "__main__":
    sys.exit(main())
