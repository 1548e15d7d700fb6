"""Differential fuzzing: random programs, eager beside compiled.

    python -m tests.fuzz -n 20000 --seed 0 --jobs 2     (make fuzz N=... SEED=... JOBS=...)
    python -m tests.fuzz --seed 0 --only 4711           one program of a run, shown
    python -m tests.fuzz --replay FILE                  a program as text
    python -m tests.fuzz -n 5000 --verify               every hit against the real call
    python -m tests.fuzz -n 500 --backend inductor      programs with tensors, compiled
    python -m tests.fuzz -n 500 --control-flow          programs with branches on tensors

Programs run in children, which may crash or hang.  Every difference is made small and
printed as a program for tests/fuzz/regressions, and kept in a folder (--out); the exit
status is 1 if there was one.  Without a terminal, progress is a line each ten seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import multiprocessing as mp
import multiprocessing.connection as connection
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import fuzz_maker  # noqa: E402
import fuzz_run  # noqa: E402
import fuzz_shrink  # noqa: E402
from fuzz_maker import Program, make, parse  # noqa: E402

import oracle  # noqa: E402
from magpy import _engine  # noqa: E402

CHUNK = 50
HANG_SECONDS = 120
COMPILING_HANG_SECONDS = 600
PROGRESS_SECONDS = 10
FUZZING_SHARE = 0.7  # of --limit; the rest is for making failures small
# A function's dict is loaded by LOAD_DICT, a type is tested by TYPE_IS.
NEVER_EMITTED = ("LOAD_FIELD FUNC_DICT", "LOAD_FIELD TYPE")
TENSOR_KINDS = ("TENSOR", "APART", "ALONE", "LEAF", "NO_DICT")
HAVE_TORCH = importlib.util.find_spec("torch") is not None


@dataclass
class Summary:
    """What a whole run showed."""

    programs: int = 0
    counted: int = 0
    calls: int = 0
    hits: int = 0
    broken: int = 0  # programs with breaks
    behind: int = 0  # programs with hits of segments behind a break
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    eager: Counter[str] = field(default_factory=Counter)  # programs without a hit
    failed: list[tuple[int, str]] = field(default_factory=list)

    def add(self, number: int, outcome: fuzz_run.Outcome) -> None:
        self.programs += 1
        self.counted += outcome.hits > 0
        self.calls += outcome.calls
        self.hits += outcome.hits
        self.broken += outcome.breaks > 0
        self.behind += outcome.behind > 0
        self.kinds.update(outcome.kinds.keys())
        self.reasons.update(outcome.reasons.keys())
        if not outcome.hits:
            self.eager[_main_reason(outcome)] += 1
        if outcome.difference is not None:
            self.failed.append((number, outcome.difference))


def _main_reason(outcome: fuzz_run.Outcome) -> str:
    """What kept a program eager most often."""
    ranked = [reason.partition(": ")[0] for reason, _ in outcome.reasons.most_common()]
    causes = [r for r in ranked if r != "backoff"]  # that one is a consequence
    return (causes or ["guards never held"])[0]


def need_torch() -> None:
    """Load torch once; children that are forked later share it."""
    import torch

    torch.set_num_threads(1)


def work(pipe: connection.Connection, seed: int, tensors: bool) -> None:
    """A child: run the chunks that arrive, answer per program."""
    gc.freeze()
    while (chunk := pipe.recv()) is not None:
        for number in chunk:
            pipe.send(("start", number))
            program = make(seed, number, tensors)
            alone = fuzz_maker.control_flow or oracle.BACKEND != "eager"
            skipped = alone and not program.torch
            outcome = fuzz_run.Outcome() if skipped else fuzz_run.run(program)
            pipe.send(("done", outcome))
        gc.collect()
        pipe.send(("idle", None))


def ends_in_eager(program: Program, seconds: float) -> bool:
    """Does it end without us?  No signal stops a loop of C code, so it gets a process."""
    process = mp.get_context("fork").Process(
        target=fuzz_run.run_plain, args=(program,), daemon=True
    )
    process.start()
    process.join(seconds)
    ended = process.exitcode == 0
    process.kill()
    process.join()
    return ended


@dataclass
class Child:
    """A worker process and what it is doing."""

    process: Any
    pipe: Any
    chunk: list[int] = field(default_factory=list)
    number: int | None = None
    since: float = 0.0


class Fuzzer:
    """Hands chunks to children, replaces those that die, collects what they say."""

    def __init__(self, args: argparse.Namespace, tick: Any) -> None:
        self.args = args
        self.tick = tick
        self.todo = [
            list(range(at, min(at + CHUNK, args.first + args.n)))
            for at in range(args.first, args.first + args.n, CHUNK)
        ][::-1]
        self.summary = Summary()
        self.end = time.monotonic() + (args.limit or 1e9) * FUZZING_SHARE
        self.children: list[Child] = []
        eager = oracle.BACKEND == "eager"
        self.patience = HANG_SECONDS if eager else COMPILING_HANG_SECONDS

    def start(self) -> None:
        context = mp.get_context("fork")
        ours, theirs = context.Pipe()
        arguments = (theirs, self.args.seed, self.args.tensors)
        process = context.Process(target=work, args=arguments, daemon=True)
        process.start()
        theirs.close()
        child = Child(process, ours, since=time.monotonic())
        self.children.append(child)
        self.feed(child)

    def feed(self, child: Child) -> None:
        if time.monotonic() > self.end:
            self.todo.clear()
        child.chunk = self.todo.pop() if self.todo else []
        child.pipe.send(child.chunk or None)
        if not child.chunk:
            child.process.join()
            self.children.remove(child)

    def lost(self, child: Child, why: str) -> None:
        """A child died or hangs: its program is to blame, the others go on."""
        child.process.kill()
        child.process.join()
        self.children.remove(child)
        number = child.chunk[0] if child.number is None else child.number
        outcome = fuzz_run.Outcome(difference=f"{why} {child.process.exitcode}")
        program = make(self.args.seed, number, self.args.tensors)
        if not ends_in_eager(program, 2 * fuzz_run.SECONDS):
            outcome = fuzz_run.Outcome(reasons=Counter({"broken: does not end": 1}))
        self.summary.add(number, outcome)
        self.tick(self.summary)
        rest = [n for n in child.chunk if n > number]
        if rest:
            self.todo.append(rest)
        self.start()

    def hear(self, child: Child) -> None:
        said = None
        with contextlib.suppress(EOFError, ConnectionResetError):
            said = child.pipe.recv()
        if (
            said is None
        ):  # (not in a handler: the next child would inherit its exception)
            return self.lost(child, "crashed:")
        word, what = said
        child.since = time.monotonic()
        if word == "start":
            child.number = what
        elif word == "done":
            self.summary.add(child.number, what)
            self.tick(self.summary)
        else:
            self.feed(child)

    def run(self) -> Summary:
        for _ in range(min(self.args.jobs, len(self.todo))):
            self.start()
        while self.children:
            ready = connection.wait([c.pipe for c in self.children], timeout=5)
            for child in [c for c in self.children if c.pipe in ready]:
                self.hear(child)
            for child in list(self.children):
                if time.monotonic() - child.since > self.patience:
                    self.lost(child, "hangs:")
        return self.summary


def bar(total: int) -> tuple[Any, Any]:
    """A bar for a terminal: (context manager, tick)."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("fuzz"), BarColumn(), MofNCompleteColumn())
    shown = Progress(*columns, TimeRemainingColumn(), transient=True)
    task = shown.add_task("fuzz", total=total)
    return shown, lambda summary: shown.advance(task)


def lines(total: int) -> tuple[Any, Any]:
    """The same for a file or a pipe: a line from time to time."""
    start = last = time.monotonic()

    def tick(summary: Summary) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            last = now
            done = f"{summary.programs} of {total}, {summary.counted} with a hit"
            found = f"{len(summary.failed)} differences"
            print(f"{done}, {found}, {now - start:.0f} s", flush=True)

    return contextlib.nullcontext(), tick


def progress(total: int) -> tuple[Any, Any]:
    """Whatever fits standard output; (context manager, tick)."""
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        return bar(total)
    return lines(total)


def all_kinds() -> list[str]:
    """Every guard, field and effect kind that the engine has."""
    guards = [row["id"] for row in _engine.guard_kinds() if row["id"] != "LOAD_FIELD"]
    fields = [f"LOAD_FIELD {row['id']}" for row in _engine.field_kinds()]
    return guards + fields + [row["id"] for row in _engine.effect_kinds()]


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def report(summary: Summary, seconds: float, tensors: bool) -> None:
    """Print the summary of a run."""
    s = summary
    share = s.counted / max(s.programs, 1)
    print(
        f"{s.programs} programs, {s.counted} with a hit ({share:.0%}), {s.calls} calls,"
        f" {s.hits} hits, {len(s.failed)} differences, {seconds:.0f} s"
    )
    print(f"programs with breaks: {s.broken}, with hits behind breaks: {s.behind}")
    kinds = [k for k in all_kinds() if k not in NEVER_EMITTED]
    kinds = [k for k in kinds if tensors or k not in TENSOR_KINDS]
    missing = [kind for kind in kinds if not s.kinds[kind]]
    print(f"kinds in entries that hit: {len(kinds) - len(missing)} of {len(kinds)}")
    if missing:
        print("  missing:", ", ".join(missing))
    rare = [f"{k} {s.kinds[k]}" for k in kinds if 0 < s.kinds[k] < 5]
    if rare:
        print("  rare:", ", ".join(rare))
    print(f"programs without a hit, by main reason: {_listed(s.eager)}")
    ranked: Counter[str] = Counter()
    for reason, count in s.reasons.items():
        ranked[reason.partition(":")[0]] += count
    print("eager runs, programs by reason:")
    for reason, count in ranked.most_common():
        details = [r for r in s.reasons.most_common() if r[0].startswith(reason + ":")]
        shown = ", ".join(f"{d.partition(': ')[2]} ({n})" for d, n in details[:4] if n)
        print(f"  {count:6} {reason}: {shown}"[:150])


def keep(program: Program, number: int, args: argparse.Namespace) -> None:
    """Write a failing program into the folder for them."""
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        file = args.out / f"seed{args.seed}_{number}.txt"
        file.write_text(str(program), encoding="utf-8")


def show_failures(summary: Summary, args: argparse.Namespace, start: float) -> None:
    """Make each difference small, print it, and keep it as a file."""
    drawn = [make(args.seed, number, args.tensors) for number, _ in summary.failed]
    for program, (number, _) in zip(drawn, summary.failed, strict=True):
        keep(program, number, args)
    end = start + (args.limit or 1e9)
    shown = min(args.show, len(drawn))
    for at, program in enumerate(drawn[:shown]):
        number, difference = summary.failed[at]
        print(f"\n== program {number} of seed {args.seed}: {difference[:80]}")
        left = (end - time.monotonic()) / (shown - at)
        small = fuzz_shrink.shrink(program, max(0, min(args.shrink, left)))
        print(small, flush=True)
        keep(small, number, args)


def run_one(program: Program, args: argparse.Namespace) -> int:
    """Run one program in this process and say what happened."""
    if program.torch:
        need_torch()
    if args.verbose:
        print(program)
    outcome = fuzz_run.run(program)
    print(f"{outcome.calls} calls, {outcome.hits} hits", dict(outcome.reasons))
    if outcome.difference is not None:
        print(outcome.difference)
    if args.shrink and outcome.difference is not None:
        print(fuzz_shrink.shrink(program, args.shrink))
    return outcome.difference is not None


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("-n", type=int, default=2000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", type=int, help="one program of the seed")
    parser.add_argument("--replay", type=Path, help="a program as text")
    parser.add_argument("--shrink", type=float, default=60, help="seconds per failure")
    parser.add_argument("--show", type=int, default=10, help="failures to print")
    parser.add_argument("--out", type=Path, help="folder for failing programs")
    parser.add_argument("--limit", type=float, help="seconds for the whole run")
    parser.add_argument(
        "--verify", action="store_true", help="verify every hit against the real call"
    )
    parser.add_argument(
        "--backend", help="of programs with tensors, all others are left out"
    )
    parser.add_argument(
        "--control-flow", action="store_true", help="branches on tensors, in the graph"
    )
    parser.add_argument("--verbose", action="store_true", help="print the program")
    parser.add_argument(
        "--no-tensors", dest="tensors", action="store_false", default=HAVE_TORCH
    )
    return parser.parse_args()


def main() -> int:
    """Run the command line; the exit status says whether all was equal."""
    args = arguments()
    oracle.VERIFY = oracle.VERIFY or args.verify
    if args.backend:
        oracle.BACKEND, oracle.TOLERANCE = args.backend, oracle.COMPILED_TOLERANCE
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    if args.control_flow:
        fuzz_maker.control_flow = True
        importlib.import_module("magpy").config.control_flow = True
    if args.replay is not None:
        return run_one(parse(args.replay.read_text(encoding="utf-8")), args)
    if args.only is not None:
        return run_one(make(args.seed, args.only, args.tensors), args)
    if args.tensors:
        need_torch()
    start = time.monotonic()
    shown, tick = progress(args.n)
    with shown:
        summary = Fuzzer(args, tick).run()
    report(summary, time.monotonic() - start, args.tensors)
    show_failures(summary, args, start)
    return bool(summary.failed)


if __name__ == "__main__":
    sys.exit(main())
