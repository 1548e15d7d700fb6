"""Run a checkout of ParityBench as the MagPy paper does, for one or several compilers.

DIR holds generated/test_*.py.  Every module of every file is built, run in eager mode
twice, then compiled and called until two hits, and compared at each call.  Results are
kept in a file, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import magpy
from magpy_experiments.parity import report
from magpy_experiments.parity.results import COMPILERS, Project, Settings, project_name
from magpy_experiments.parity.schedule import (
    ParityError,
    Results,
    Tell,
    find_files,
    read,
    run_all,
    select,
)
from magpy_experiments.parity.summary import Summary, populate


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("--root", type=Path, metavar="DIR", help="the checkout")
    add("--compiler", default="magpy", metavar="NAMES",
        help=f"one or several of {', '.join(COMPILERS)}, separated by commas")  # fmt: skip
    add("--backend", default="eager", choices=("eager", "inductor"))
    add("--device", default="cpu", choices=("cpu", "cuda"))
    add("--jobs", type=int, default=1, metavar="N", help="files at a time")
    add("--grad", action="store_true", help="call with gradients, not under no_grad")
    add(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds per case; more for the compiled part of slow ones",
    )
    add("--memory", type=float, default=6.0, metavar="GIB",
        help="address space of a process on the CPU; 0: no limit")  # fmt: skip
    add("--only", default="", metavar="TEXT", help="projects with this in their name")
    add("--sample", type=int, default=0, metavar="N", help="N projects, evenly spread")
    add("--limit", type=int, default=0, metavar="N", help="the first N of those")
    add("--results", type=Path, default=Path("build/parity"), metavar="DIR",
        help="folder of the files of results (default: build/parity)")  # fmt: skip
    add("--fresh", action="store_true", help="forget earlier results")
    add("--report", action="store_true", help="run nothing, report earlier results")
    add("--exclude", type=Path, metavar="FILE",
        help="report also without the projects that it names, one a line")  # fmt: skip
    add("--reasons", type=int, default=15, metavar="N", help="reasons to show")
    add("--json", type=Path, metavar="FILE", help="write a summary there")
    add("--plot", type=Path, metavar="FILE", help="draw the table as SVG or PNG")


def run(args: argparse.Namespace) -> int:
    """Run the files, then print the report.

    Returns:
        0 if no case is wrong, crashes, raises or takes too long, else 1; 2 for a wrong
        usage.
    """
    compilers = args.compiler.split(",")
    text = _check(args, compilers)
    if text:
        print(f"magpy parity: {text}", file=sys.stderr)
        return 2
    files = select(
        find_files(args.root) if args.root else [],
        only=args.only,
        sample=args.sample,
        limit=args.limit,
    )
    runs: dict[str, dict[str, Any]] = {}
    projects: dict[str, dict[str, Project]] = {}
    for compiler in dict.fromkeys(compilers):
        runs[compiler], found = _one_run(compiler, files, args)
        wanted = {project_name(file.name) for file in files} if files else set(found)
        projects[compiler] = {k: v for k, v in found.items() if k in wanted}
    return _report(runs, projects, args)


def _check(args: argparse.Namespace, compilers: Sequence[str]) -> str:
    """Return what is wrong with the arguments, or ""."""
    unknown = [name for name in compilers if name not in COMPILERS]
    if unknown:
        return f"no compiler {unknown[0]!r}; there are {', '.join(COMPILERS)}"
    if args.jobs < 1 or args.timeout <= 0:
        return "--jobs and --timeout must be positive"
    if min(args.sample, args.limit, args.memory, args.reasons) < 0:
        return "--sample, --limit, --memory and --reasons must not be negative"
    if args.root is None and not args.report:
        return "--root is needed, or --report"
    return ""


def _one_run(
    compiler: str, files: Sequence[Path], args: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Project]]:
    """Return a compiler's results, those that were missing having been made."""
    path = args.results / f"{compiler}-{args.backend}-{args.device}.jsonl"
    if args.report:
        return read(path)
    settings = Settings(
        compiler, args.backend, args.device, args.grad, args.timeout, args.memory
    )
    results = Results(path, {**vars(settings), **_versions()}, fresh=args.fresh)
    todo = [f for f in files if project_name(f.name) not in results.projects]
    with _progress(compiler, len(files), len(files) - len(todo)) as tell:
        try:
            run_all(todo, settings, results, jobs=args.jobs, tell=tell)
        except KeyboardInterrupt:
            raise ParityError("stopped; the same command goes on from there") from None
    return results.run, results.projects


def _versions() -> dict[str, str]:
    try:
        torch = version("torch")
    except PackageNotFoundError:
        raise ParityError("torch is not installed") from None
    return {
        "magpy": magpy.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch,
    }


# -- progress --------------------------------------------------------------------------


@contextmanager
def _progress(compiler: str, total: int, done: int) -> Iterator[Tell]:
    """Show on stderr how far a run is: a bar on a terminal, else a line now and then."""
    if sys.stderr.isatty():
        try:
            from rich.console import Console
            from rich.progress import MofNCompleteColumn, Progress
        except ImportError:
            pass
        else:
            columns = (*Progress.get_default_columns(), MofNCompleteColumn())
            console = Console(stderr=True)
            with Progress(*columns, console=console, transient=True) as bar:
                task = bar.add_task(compiler, total=total, completed=done)
                yield lambda project: bar.advance(task)
            return
    count = done

    def line(project: Project) -> None:
        nonlocal count
        count += 1
        if count == total or count % 100 == 0:
            print(f"... {compiler}: {count} of {total}", file=sys.stderr, flush=True)

    yield line


# -- report ----------------------------------------------------------------------------


def _report(
    runs: dict[str, dict[str, Any]],
    projects: dict[str, dict[str, Project]],
    args: argparse.Namespace,
) -> int:
    population = populate(projects)
    names = population.tested
    sets = population.sets(_excluded(args.exclude))
    summaries = {
        compiler: Summary(found, population.counted)
        for compiler, found in projects.items()
    }
    print(report.format_population(population))
    print(report.format_cases(summaries, names))
    print(report.format_projects(summaries, sets))
    for compiler, summary in summaries.items():
        ranked = summary.reasons(names)
        if ranked:
            print(f"{compiler}: reasons")
            print(report.format_reasons(ranked, args.reasons))
    for compiler, summary in summaries.items():
        text = report.format_bad(summary, names, args.reasons)
        if text:
            print(f"{compiler}: failures")
            print(text)
    text = report.format_eager(next(iter(projects.values())), args.reasons)
    if text:
        print("not run in eager mode")
        print(text)
    if args.plot is not None:
        from magpy_experiments.parity import plot

        plot.draw(args.plot, summaries, sets)
        print(f"drawn to {args.plot}", file=sys.stderr)
    if args.json is not None:
        data = report.to_json(runs, summaries, population, sets)
        args.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        print(f"written to {args.json}", file=sys.stderr)
    return 1 if any(summary.failed for summary in summaries.values()) else 0


def _excluded(path: Path | None) -> set[str]:
    if path is None:
        return set()
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ParityError(f"--exclude: {error}") from None
    names = (Path(line.strip()).name for line in lines)
    return {project_name(name) for name in names if name}
