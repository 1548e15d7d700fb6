"""Run one program eager and compiled; what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import hashlib
import importlib
import io
import linecache
import random
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fuzz_copies
from fuzz_garbage import littered, notices
from fuzz_maker import Program

import oracle
from magpy import _engine
from oracle import Case, Pair, World, engine_compile, evaluated, executed


class TooLong(BaseException):
    """No exception that a program catches."""


def _too_long(number: int, frame: Any) -> None:
    raise TooLong


@dataclass
class Outcome:
    """What a run showed; `difference` is None if all was equal to eager."""

    difference: str | None = None
    calls: int = 0
    hits: int = 0
    breaks: int = 0  # places where segments ended
    behind: int = 0  # hits of segments that do not begin a call
    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)


SECONDS = 20  # for one program
COMPILING_SECONDS = 400  # the same, with a backend that compiles
BESIDE = 4  # each fourth program with tensors comes after a torch.compile
LITTERS = 3  # in a third of the programs that cannot notice it, there is garbage around
HANDLING = 5  # each fifth call is made in the handler of an exception
EAGER_TRIALS = 12  # runs of a program beside itself, to see whether it is stable


class DrawnPair(Pair):
    """A pair of worlds of a drawn program: addresses in texts are nobody's fault."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rules = dataclasses.replace(self.rules, addresses=False)


class PrintingWorld(World):
    """A world whose calls leave what they print; some callers handle an exception."""

    handles = 0
    litters = False  # others leave garbage, and the collector runs

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict) -> None:
        if not self.litters:
            return self.call_quietly(fn, args, kwargs)
        with littered(self.handles):
            self.call_quietly(fn, args, kwargs)

    def call_quietly(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict
    ) -> None:
        printed, warned = io.StringIO(), io.StringIO()
        call = super().call
        fn, frames = _told(fn, self.state.get("__name__"))
        self.handles += 1
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(warned):
            if self.handles % HANDLING:
                call(fn, args, kwargs)
            else:
                try:
                    raise LookupError("of the caller")
                except LookupError:
                    call(fn, args, kwargs)
        self.seen[-1] = (*self.seen[-1], printed.getvalue(), tuple(frames))
        if "torch" not in self.state:
            self.seen[-1] = (*self.seen[-1], warned.getvalue())
        elif oracle.BACKEND != "eager":  # a backward pass, through some of the results
            grads = _worlds().differentiate(self.seen[-1][0][1], self.handles % 3, 2)
            self.seen[-1] = (*self.seen[-1], grads)
        else:  # as many random numbers were drawn
            self.seen[-1] = (*self.seen[-1], _drawn())
        # torch warns once per process: in one of the worlds
        self.state.pop("__warningregistry__", None)


def _worlds() -> Any:
    """Import what only programs with tensors need."""
    folder = str(Path(oracle.__file__).parent / "torch_programs")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module("torch_worlds")


def _drawn() -> str:
    state = sys.modules["torch"].get_rng_state()
    return hashlib.sha1(state.numpy().tobytes()).hexdigest()


def _told(fn: Callable[..., Any], name: Any) -> tuple[Callable[..., Any], list[Any]]:
    """Call `fn`, and note where in the program an exception has come from."""
    frames: list[Any] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except Exception as error:
            trace = error.__traceback__
            while trace is not None:
                if trace.tb_frame.f_globals.get("__name__") == name:
                    code = trace.tb_frame.f_code
                    frames.append(code.co_name)
                trace = trace.tb_next
            raise

    return call, frames


def _build(program: Program) -> World:
    random.seed(0)
    _seed(program, 0)
    world = Case("drawn", program.source, ()).build()
    made = PrintingWorld(world.fn, world.state)
    made.litters = len(program.source) % LITTERS == 0 and not notices(program.source)
    return made


@functools.lru_cache
def _compile_beside() -> None:
    """Leave in this process what TorchDynamo leaves."""
    import torch

    torch.compile(torch.nn.Linear(2, 2), backend="eager")(torch.ones(1, 2))


def _wrap(program: Program) -> tuple[Callable[..., Any], Callable[..., Any]]:
    if not program.torch:
        return engine_compile, lambda compiled: compiled.stats()
    import magpy

    if len(program.source) % BESIDE == 0:
        _compile_beside()

    def compiled(fn: Callable[..., Any]) -> Any:
        made = oracle.torch_compile(fn)
        return magpy.verify(made, every=1) if oracle.VERIFY else made

    return compiled, magpy.stats


def _seed(program: Program, number: int) -> None:
    """What two worlds share must be the same before each of their steps."""
    if program.torch:
        torch = sys.modules["torch"]
        torch.manual_seed(number)
        torch.utils.hooks.RemovableHandle.next_id = 1000 * number


def _change(pair: Pair, program: Program, text: str) -> None:
    """The caller's change, in both worlds; it may fail, but then in both."""
    answers = []
    action = executed(text)
    for world in (pair.eager, pair.fast):
        _seed(program, len(pair.steps))
        fuzz_copies.active = world is pair.fast and not isinstance(pair.compiled, Plain)
        try:
            action(world)
            answers.append("done")
        except Exception as error:
            answers.append(f"{type(error).__name__}: {error}")
    pair.steps.append(f"change: {text}")
    assert answers[0] == answers[1], f"a change went: {answers}\n{pair.history()}"


def _call(pair: Pair, program: Program, text: str) -> bool:
    number = len(pair.steps)
    inputs = evaluated(text)

    def seeded(world: World) -> tuple[tuple[Any, ...], dict]:
        _seed(program, number)
        return inputs(world)

    return pair.call(text, seeded)


def _kinds(compiled: Any) -> Counter[str]:
    counts: Counter[str] = Counter()
    for kinds in _engine.entry_kinds(compiled):
        counts.update(kinds)
    return counts


def _finish(pair: Pair, outcome: Outcome) -> None:
    signal.alarm(0)
    for place in pair.stats()["places"]:
        detail = place["detail"] or ""
        outcome.reasons[f"{place['reason']}: {detail}"] += place["count"]
    if not isinstance(pair.compiled, Plain):
        outcome.kinds = _kinds(pair.compiled)
        outcome.breaks = pair.stats().get("graph_breaks", 0)
        if outcome.breaks:
            every = sum(entry["hits"] for entry in pair.compiled.entries())
            outcome.behind = max(0, every - pair.stats()["hits"])


def run(program: Program) -> Outcome:
    """Run all steps until the first difference."""
    linecache.clearcache()
    with _undisturbed(program):
        outcome = _run(program, *_wrap(program))
        if outcome.difference is not None and _is_unstable(program):
            return Outcome(reasons=Counter({"broken: differs from itself in eager": 1}))
    return outcome


class Plain:
    """A function that counts its calls: what is compiled by nobody."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = fn
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self.fn(*args, **kwargs)

    def stats(self) -> dict[str, Any]:
        return {"calls": self.calls, "hits": 0, "places": []}


def run_plain(program: Program) -> None:
    """Run it in two eager worlds, in a process of its own, which fails if it is too long."""
    with _undisturbed(program):
        outcome = _run(program, Plain, Plain.stats)
    sys.exit(1 if "broken: too long" in outcome.reasons else 0)


def _is_unstable(program: Program) -> bool:
    """Do two eager worlds differ?  Then what it computes depends on addresses: the text
    of an object, the order of a set of objects."""
    for number in range(EAGER_TRIALS):
        space = [bytearray(k % 97 * 16 + 32) for k in range(13 * number)]
        if _run(program, Plain, Plain.stats).difference is not None:
            return True
        del space
    return False


def _run(
    program: Program,
    wrap: Callable[[Callable[..., Any]], Any],
    stats: Callable[[Any], dict[str, Any]],
) -> Outcome:
    outcome = Outcome()
    try:
        limit = oracle.TOLERANCE if program.torch else None
        pair = DrawnPair(lambda: _build(program), wrap, stats, keep=4, tolerance=limit)
    except Exception as error:  # the program itself is broken: counts as nothing
        outcome.reasons[f"broken: {type(error).__name__}: {error}"] += 1
        return outcome
    try:
        for kind, text in program.steps:
            if kind == "change":
                _change(pair, program, text)
                continue
            outcome.calls += 1
            outcome.hits += _call(pair, program, text)
    except AssertionError as error:
        outcome.difference = str(error)
    except TooLong:  # an endless loop of the program's own
        outcome.reasons["broken: too long"] += 1
    except Exception as error:  # arguments that a change has made impossible
        outcome.reasons[f"broken: {type(error).__name__}: {error}"] += 1
    _finish(pair, outcome)
    return outcome


@contextlib.contextmanager
def _undisturbed(program: Program) -> Iterator[None]:
    """Modes are put back; cycles die between programs only, in both worlds alike."""
    gc.disable()
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS if oracle.BACKEND == "eager" else COMPILING_SECONDS)
    torch = sys.modules.get("torch")
    grad = torch is None or torch.is_grad_enabled()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
        if torch is not None:
            torch.set_grad_enabled(grad)
