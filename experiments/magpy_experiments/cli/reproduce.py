"""Reproduce figures and tables of the paper on the systems that are installed.

FIGURE is fig1, fig15, fig16, fig17, fig18, table2, table3, today, today-training,
original or all.  Each measurement has a
process of its own; what is there is not measured again.  Results, tables and pictures go
to DIR/DEVICE or DIR/DEVICE-small.  table3 is `magpy parity` with --root.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from magpy.config import nearest
from magpy_experiments.models import MODELS
from magpy_experiments.reproduce import check, figures, original, systems
from magpy_experiments.reproduce.plan import FIGURES, NAMES, Cell, Figure, Settings
from magpy_experiments.reproduce.results import ReproduceError, Results

#: What of ours is a bug.
_BAD = ("wrong", "error", "crash")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add("figures", nargs="+", choices=(*NAMES, "all"), metavar="FIGURE")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--small", action="store_true", help="small models and few calls")
    add("--models", default="", metavar="A,B", help="only these")
    add("--systems", default="", metavar="A,B", help="these instead of the figure's")
    add("--bs", default="", metavar="1,16", help="only these batch sizes")
    add(
        "--rounds", type=int, default=0, metavar="N", help="timed calls (100; small 20)"
    )
    add("--budget", type=float, default=0.0, metavar="S",
        help="seconds that the timed calls of a cell may take (20; small 3)")  # fmt: skip
    add("--threads", type=int, default=0, metavar="N", help="of torch on the CPU")
    add("--timeout", type=float, default=600.0, metavar="S", help="seconds per cell")
    add("--results", type=Path, default=Path("build/reproduce"), metavar="DIR")
    add("--fresh", action="store_true", help="forget earlier results")
    add("--again", action="store_true", help="measure cells that failed once more")
    add("--no-plots", action="store_true", help="tables only")
    add("--check", action="store_true",
        help="measure nothing: do tables, plots, pages agree with the data?")  # fmt: skip
    add("--root", type=Path, metavar="DIR", help="table3: a checkout of ParityBench")
    add("--jobs", type=int, default=1, metavar="N",
        help="cells that get ready together; table3: processes")  # fmt: skip
    add("--original", type=Path, metavar="DIR",
        help="original: a built checkout of the original MagPy")  # fmt: skip
    add("--original-python", type=Path, metavar="PYTHON",
        help="the CPython 3.9 in which it was built")  # fmt: skip
    add("--sample", type=int, default=0, metavar="N", help="table3: N projects")


def run(args: argparse.Namespace) -> int:
    """Measure, print tables and write files.

    Returns:
        0; 1 if MagPy is wrong, raises or crashes in a cell, or if --check finds a
        difference; 2 for a wrong usage.
    """
    problem = _usage(args)
    if problem:
        print(f"magpy reproduce: {problem}", file=sys.stderr)
        return 2
    everything = [name for name in NAMES if name != "original" or args.original]
    names = list(dict.fromkeys(everything if "all" in args.figures else args.figures))
    if args.original:
        original.announce(args.original, args.original_python)
    models, these, batches = (
        _list(text) for text in (args.models, args.systems, args.bs)
    )
    chosen = [
        FIGURES[name].narrowed(models, these, [int(batch) for batch in batches])
        for name in names
        if name in FIGURES
    ]
    folder = args.results / (f"{args.device}-small" if args.small else args.device)
    if args.check:
        return _check(folder, chosen)
    code = _measure(args, folder, chosen) if chosen else 0
    if "table3" in names:
        code = max(code, _table3(args, folder, asked="table3" in args.figures))
    return code


def _list(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _usage(args: argparse.Namespace) -> str:
    for kind, words, known in (
        ("model", _list(args.models), tuple(MODELS)),
        ("system", _list(args.systems), systems.NAMES),
    ):
        for word in words:
            if word not in known:
                return f"no {kind} {word!r}.{nearest(word, known)}"
    if not all(word.isdigit() and int(word) for word in _list(args.bs)):
        return "--bs takes numbers, 1,16"
    if (
        min(args.rounds, args.budget, args.threads) < 0
        or min(args.timeout, args.jobs) <= 0
    ):
        return "--rounds, --budget, --threads, --timeout and --jobs must be positive"
    return ""


def _settings(args: argparse.Namespace) -> Settings:
    return Settings(
        device=args.device,
        small=args.small,
        rounds=args.rounds or (20 if args.small else 100),
        budget=args.budget or (3.0 if args.small else 20.0),
        threads=args.threads,
    )


# -- measuring -------------------------------------------------------------------------


def _measure(args: argparse.Namespace, folder: Path, chosen: Sequence[Figure]) -> int:
    from magpy_experiments.reproduce import results as kept
    from magpy_experiments.reproduce import runner

    settings = _settings(args)
    results = Results(folder, kept.environment(settings), fresh=args.fresh)
    cells = list(dict.fromkeys(c for figure in chosen for c in figure.cells()))
    with _progress(len(cells)) as tell:
        try:
            runner.run_cells(
                cells, settings, results,
                timeout=args.timeout, again=args.again, tell=tell, jobs=args.jobs,
            )  # fmt: skip
        except KeyboardInterrupt:
            raise ReproduceError("stopped; the same command goes on there") from None
    for figure in chosen:
        _write(figure, results, plots=not args.no_plots)
    print(f"written to {folder}", file=sys.stderr)
    ours = [results.cells[c.key] for c in cells if c.system.startswith("magpy-")]
    return 1 if any(measured["status"] in _BAD for measured in ours) else 0


def _write(figure: Figure, results: Results, *, plots: bool) -> None:
    """Write table, data and pictures of all that there is of a figure; print the table."""
    print(figures.text(figure, results.cells))
    whole = check.written(results, FIGURES[figure.name])
    stem = results.folder / figure.name
    text = figures.text(whole, results.cells)
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    data = {"about": results.about, **figures.data(whole, results.cells)}
    stem.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    if plots:
        from magpy_experiments.reproduce import plots as pictures

        pictures.draw(whole, results.cells, stem)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Show on stderr how far it is: a line per cell that is measured."""
    done: Counter[str] = Counter()

    def tell(cell: Cell, measured: dict[str, Any], new: bool) -> None:
        done["all"] += 1
        if new:
            print(
                f"... {done['all']}/{total} {cell.key}: {_line(measured)}",
                file=sys.stderr,
                flush=True,
            )

    yield tell


def _line(measured: dict[str, Any]) -> str:
    status = measured["status"]
    if figures.is_number(measured) and "system" in measured:
        median = 1e3 * measured["system"]["median"]
        words = f"{median:.3g} ms"
        if "eager" in measured:
            words += f", {figures.speed(measured):.2f} times as fast as eager"
        return f"{words} ({measured['wall']:.0f} s)"
    if figures.is_number(measured):
        return f"{measured['graphs']} graphs"
    return f"{status}: {measured['reason']}"


def _table3(args: argparse.Namespace, folder: Path, *, asked: bool) -> int:
    """Hand over to `magpy parity`."""
    if args.root is None:
        print(
            "table3 needs projects: git clone "
            "https://github.com/jansel/pytorch-jit-paritybench, then --root",
            file=sys.stderr,
        )
        return 2 if asked else 0
    from magpy_experiments.cli import parity

    parser = argparse.ArgumentParser()
    parity.prepare_parser(parser)
    folder.mkdir(parents=True, exist_ok=True)
    words = [
        "--root", str(args.root), "--device", args.device, "--jobs", str(args.jobs),
        "--compiler", "magpy,dynamo,torchscript", "--results", str(folder / "table3"),
        "--json", str(folder / "table3.json"), "--sample", str(args.sample),
    ]  # fmt: skip
    if not args.no_plots:
        words += ["--plot", str(folder / "table3.svg")]
    if args.fresh:
        words.append("--fresh")
    return parity.run(parser.parse_args(words))


# -- checking --------------------------------------------------------------------------


def _check(folder: Path, chosen: Sequence[Figure]) -> int:
    results = Results(folder, None)
    whole = [FIGURES[figure.name] for figure in chosen]
    found = list(check.differences(results, whole))
    here = Path.cwd()
    files = [f for f in (here / "README.md", *sorted(here.glob("docs/**/*.md")))
             if f.exists()]  # fmt: skip
    found += check.pages(here, files)
    for line in found:
        print(line)
    if not found:
        print(f"{folder}: tables, plots and pages agree with the results")
    return 1 if found else 0
