"""Run the tests of CPython, TorchDynamo or the original MagPy, and compare what they see.

Every test method of MODULE... (all listed ones by default) runs plain, then compiled a few
times, then plain again, in one process per module.  A case that ends otherwise than in
plain CPython is an error of MagPy.  Needs the `test` package of the interpreter.

With --torch, the tests are those of TorchDynamo in a checkout of torch: results, arguments
and assertions must be those of eager.  "internal" tests also assert what does not hold in
eager (frame counts, guards, refusals).

With --original, the tests are those of the original MagPy in a checkout of its repository:
what they assert about results must hold, and "fewer hits" are tests in which a call is no
hit that the original answers from its cache.  Without a GPU they run on the CPU, with
models of the default configurations.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from magpy_experiments.conformance import dynamo, original
from magpy_experiments.conformance.cpython import (
    MODULES,
    RUNS,
    Report,
    check_module,
    full_name,
)

#: Heading of a column, and the statuses that it counts.
_COLUMNS = {
    "same": ("same",),
    "different": ("different",),
    "crash": ("crash", "hang"),
    "other": ("unstable", "excluded"),
}
_TORCH_COLUMNS = {
    "same": ("same",),
    "internal": ("internal",),
    "different": ("different",),
    "crash": ("crash", "hang"),
    "not run": ("not run",),
    "other": ("unstable", "excluded"),
}
_ORIGINAL_COLUMNS = {
    "same": ("same",),
    "fewer hits": ("fewer hits",),
    "different": ("different",),
    "crash": ("crash", "hang"),
    "not run": ("not run",),
}
_TOP = 3  # reasons shown per module


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="test_dict, for example"
    )
    parser.add_argument(
        "--torch", type=Path, metavar="DIR", help="a checkout of torch: Dynamo's tests"
    )
    parser.add_argument(
        "--original", type=Path, metavar="DIR", help="a checkout of the original MagPy"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write results there")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument(
        "--timeout", type=float, default=120.0, metavar="S", help="seconds per case"
    )
    parser.add_argument(
        "--runs", type=int, default=RUNS, metavar="N", help="compiled calls per case"
    )


def run(args: argparse.Namespace) -> int:
    """Run the modules; print a table and what went wrong.

    Returns:
        0 if every case ended as in plain CPython, else 1; 2 for a wrong usage.
    """
    if args.jobs < 1 or args.runs < 1 or args.timeout <= 0:
        print(
            "magpy conformance: --jobs, --runs and --timeout must be positive",
            file=sys.stderr,
        )
        return 2
    if args.torch is not None and args.original is not None:
        print("magpy conformance: --torch or --original, not both", file=sys.stderr)
        return 2
    columns = _COLUMNS
    if args.torch is not None or args.original is not None:
        columns = _TORCH_COLUMNS if args.original is None else _ORIGINAL_COLUMNS
    modules, check = _what_to_run(args)
    reports = _check_all(modules, args, check)
    _print_table(reports, columns)
    _print_bad(reports)
    if args.json is not None:
        args.json.write_text(json.dumps(to_json(reports), indent=1) + "\n")
        print(f"written to {args.json}", file=sys.stderr)
    return 1 if any(report.bad or report.error for report in reports) else 0


def _what_to_run(
    args: argparse.Namespace,
) -> tuple[Sequence[str], Callable[..., Report]]:
    if args.torch is not None:
        folder = dynamo.find_tests(args.torch)
        check = functools.partial(dynamo.check_module, folder=folder)
        return args.modules or dynamo.modules_of(folder), check
    if args.original is not None:
        folder = original.find_tests(args.original)
        check = functools.partial(original.check_module, folder=folder)
        return args.modules or original.modules_of(folder), check
    for module in args.modules or MODULES:
        full_name(module)  # says what is missing before anything runs
    return args.modules or MODULES, check_module


def to_json(reports: Sequence[Report]) -> dict[str, Any]:
    """Return the reports as plain data."""
    from magpy.cli.env import collect

    environment = collect()
    return {
        "environment": {
            key: environment[key] for key in ("magpy", "python", "platform", "engine")
        },
        "total": _summary(_total(reports)),
        "modules": [
            {
                **_summary(report),
                "error": report.error,
                "details": [vars(case) for case in report.cases],
            }
            for report in reports
        ],
    }


def _summary(report: Report) -> dict[str, Any]:
    return {
        "module": report.module,
        "cases": len(report.cases),
        "same": report.count("same"),
        "internal": report.count("internal"),
        "fewer hits": report.count("fewer hits"),
        "different": report.count("different"),
        "crash": report.count("crash", "hang"),
        "not run": report.count("not run"),
        "unstable": report.count("unstable"),
        "excluded": report.count("excluded"),
        "called": report.called,
        "recorded": report.recorded,
        "hits": report.hits,
        "seconds": round(report.seconds, 2),
        "reasons": dict(report.reasons().most_common()),
    }


def _total(reports: Sequence[Report]) -> Report:
    total = Report("total", seconds=sum(report.seconds for report in reports))
    for report in reports:
        total.cases += report.cases
    return total


# -- running ---------------------------------------------------------------------------


def _check_all(
    modules: Sequence[str], args: argparse.Namespace, check_one: Callable[..., Report]
) -> list[Report]:
    done: dict[str, Report] = {}
    with _progress(modules) as tell, ThreadPoolExecutor(args.jobs) as pool:

        def check(module: str) -> Report:
            return check_one(
                module,
                timeout=args.timeout,
                runs=args.runs,
                progress=lambda n, total: tell(module, n, total, None),
            )

        futures = {pool.submit(check, module): module for module in modules}
        for future in as_completed(futures):
            report = future.result()
            done[futures[future]] = report
            tell(report.module, len(report.cases), len(report.cases), report)
    return [done[module] for module in modules]


_Tell = Callable[[str, int, int, Report | None], None]


@contextmanager
def _progress(modules: Sequence[str]) -> Iterator[_Tell]:
    """Show on stderr how far all is: a bar on a terminal, else a line per module."""
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import Progress
        except ImportError:
            pass
        else:
            with Progress(console=Console(stderr=True), transient=True) as progress:
                yield _bar(progress, modules)
            return

    def line(module: str, done: int, total: int, report: Report | None) -> None:
        if report is not None:
            print(
                f"... {module}: {done} cases, {len(report.bad)} differ, "
                f"{report.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    yield line


def _bar(progress: Any, modules: Sequence[str]) -> _Tell:
    whole = progress.add_task("modules", total=len(modules))
    tasks: dict[str, Any] = {}

    def tell(module: str, done: int, total: int, report: Report | None) -> None:
        if module not in tasks:
            tasks[module] = progress.add_task(module, total=None)
        if report is None:
            progress.update(tasks[module], completed=done, total=total or None)
            return
        progress.remove_task(tasks[module])
        progress.advance(whole)

    return tell


# -- printing --------------------------------------------------------------------------


def _share(report: Report) -> str:
    if not report.called:
        return "-"
    return f"{report.recorded} ({100 * report.recorded // report.called} %)"


def _row(report: Report, columns: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    top = report.reasons().most_common(_TOP)
    return (
        report.module,
        str(len(report.cases)),
        *(str(report.count(*statuses)) for statuses in columns.values()),
        _share(report),
        str(report.hits),
        report.error.splitlines()[0] if report.error else _reasons_text(top),
    )


def _reasons_text(top: list[tuple[str, int]]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in top)


def _print_table(
    reports: Sequence[Report], columns: Mapping[str, tuple[str, ...]]
) -> None:
    rows = [("module", "cases", *columns, "recorded", "hits", "top reasons")]
    shown = [*reports, _total(reports)] if len(reports) > 1 else reports
    rows += [_row(report, columns) for report in shown]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True)]
        print("  ".join([*cells, row[-1]]).rstrip())


def _print_bad(reports: Sequence[Report]) -> None:
    for report in reports:
        if report.error:
            print(f"\n{report.module}: {report.error.strip()}")
        for case in report.bad:
            print(f"\n{report.module} {case.name}: {case.status}")
            if case.compiled:
                print(f"  plain: {case.plain}")
                runs = Counter(case.compiled)
                print("  compiled: " + "; ".join(f"{n} x {t}" for t, n in runs.items()))
            print("".join(f"  {line}\n" for line in case.detail.splitlines()), end="")
        for case in report.cases:
            if case.status in ("excluded", "unstable", "fewer hits"):
                words = case.detail or "plain runs disagree"
                print(f"\n{report.module} {case.name}: {case.status}: {words}")
