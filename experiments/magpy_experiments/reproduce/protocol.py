"""What is measured of a cell, in the same steps for every system.

A model is built from a seed and copied; one is eager's, the other is given to the system.
Both get equal arguments, new ones for each call that is compared: results, arguments and
all that the module keeps must be eager's.  Then come warm-up and timed calls, in which the
system and eager take turns, each call between two synchronisations of the device.  All of
it runs under ``no_grad``, in eval mode, in float32 without TF32.
"""

from __future__ import annotations

import copy
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy
import torch

from magpy.compare import Comparison
from magpy_experiments.measure import synchronize
from magpy_experiments.models import MODELS
from magpy_experiments.parity.case import CLOSE, EXACT
from magpy_experiments.reproduce import front, original, systems
from magpy_experiments.reproduce.plan import Cell, Settings

#: Relative and absolute, as in the paper; backends that run the same kernels are exact.
TOLERANCE = 5e-3
#: Names with two underscores are what compilers leave on a module for themselves.
_EXACT = replace(EXACT, ignored=(*EXACT.ignored, "__"))
_CLOSE = replace(CLOSE, ignored=_EXACT.ignored, tolerance=TOLERANCE)
_COMPARED = 3  # calls, before anything is timed
_SEARCHES = 200  # for an entry, to time it; seven times
_WARM = 10  # calls at least, or as long as a fifth of the budget


Measured = dict[str, Any]


class _Differs(Exception):
    """A result is not eager's."""


@dataclass
class _Pair:
    """A model in eager mode and as a system has compiled it."""

    cell: Cell
    settings: Settings
    eager: torch.nn.Module
    module: torch.nn.Module
    alone: Callable[[], None]  # waits until nothing else runs
    prepared: systems.Prepared | None = None
    note: str = ""  # the numbers are eager's, but something else is not

    def inputs(self, seed: int, **sizes: Any) -> Any:
        """Return new arguments on the device."""
        model = MODELS[self.cell.model]
        sizes.setdefault("batch", self.cell.batch)
        args, kwargs = model.inputs(
            small=self.settings.small, seed=self.settings.seed + seed, **sizes
        )
        device = self.settings.device
        return (
            tuple(_on(device, x) for x in args),
            {name: _on(device, x) for name, x in kwargs.items()},
        )

    def compile(self, inputs: Any, **more: Any) -> None:
        """Let the system compile the module."""
        args, kwargs = inputs
        if self.cell.kind == "control":
            more.setdefault("control_flow", True)
        self.prepared = systems.prepare(
            self.cell.system, self.module, args, kwargs, **more
        )

    def call(self, inputs: Any) -> Any:
        """Call what the system has made."""
        assert self.prepared is not None
        args, kwargs = inputs
        return self.prepared.call(*args, **kwargs)

    def call_eager(self, inputs: Any) -> Any:
        """Call the module of eager mode."""
        args, kwargs = inputs
        return self.eager(*args, **kwargs)

    def compare(self, seed: int, call: Callable[[Any], Any] | None = None) -> None:
        """Make a call twice, with equal arguments.

        Raises:
            _Differs: numbers in its result or its arguments differ.
        """
        theirs, ours = self.inputs(seed), self.inputs(seed)
        self.check(self.call_eager(theirs), theirs, (call or self.call)(ours), ours)

    def check(self, expected: Any, theirs: Any, actual: Any, ours: Any) -> None:
        """Compare what two calls answered and left behind."""
        exact = systems.parts(self.cell.system)[1] == "eager"
        rules = _EXACT if exact else _CLOSE
        comparison = Comparison(rules)
        text = comparison.difference((expected, *theirs), (actual, *ours), "call")
        text = text or comparison.difference(self.eager, self.module, "module")
        if text is None:
            return
        leaves = [
            [x for x in _leaves(each) if isinstance(x, torch.Tensor)]
            for each in ((expected, theirs), (actual, ours))
        ]
        numbers = Comparison(rules).difference(leaves[0], leaves[1], "result")
        if numbers:
            raise _Differs(numbers)
        self.note = self.note or text

    def finished(self, measured: Measured) -> Measured:
        """Add what the system counted."""
        assert self.prepared is not None
        status = "differs" if self.note else "ok"
        stats = self.prepared.stats()
        if stats.get("hits") == 0:
            return {"status": "error", "reason": f"no hits: {stats['reasons']}"}
        measured = {**measured, "stats": stats, "memory": _memory(self.settings)}
        return {"status": status, "reason": self.note, **measured}


def _on(device: str, x: Any) -> Any:
    return x.to(device) if isinstance(x, torch.Tensor) else x


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    if isinstance(tree, (tuple, list)):
        for each in tree:
            yield from _leaves(each)
    else:
        yield tree


def _memory(settings: Settings) -> int:
    """Bytes at the most."""
    if settings.device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(cell: Cell, settings: Settings, alone: Callable[[], None]) -> Measured:
    """Measure one cell.

    Args:
        cell: what to measure.
        settings: how.
        alone: called before anything is timed but the first calls; waits until no other
            cell is at work.

    Returns:
        Its status ("ok", "differs" or "wrong") with the reason, and numbers in seconds.

    Raises:
        Exception: whatever the system raises.
    """
    set_up(settings)
    if cell.system in systems.ORIGINAL:
        alone()
        return original.measure(cell, settings, TOLERANCE)
    kinds: dict[str, Callable[[_Pair], Measured]] = {
        "end-to-end": _end_to_end,
        "parts": _parts,
        "dynamic": _dynamic,
        "control": _control,
        "graphs": _graphs,
        "training": _training,
        "front": _front,
    }
    model = MODELS[cell.model]
    eager = model.build(small=settings.small, seed=settings.seed).to(settings.device)
    pair = _Pair(cell, settings, eager, copy.deepcopy(eager), alone)
    with torch.no_grad():
        try:
            return kinds[cell.kind](pair)
        except _Differs as error:
            return {"status": "wrong", "reason": str(error)}


def set_up(settings: Settings) -> None:
    """Set seeds, and switches that change numbers."""
    random.seed(settings.seed)
    numpy.random.seed(settings.seed)
    torch.manual_seed(settings.seed)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.device == "cpu":
        from torch._inductor import config

        config.compile_threads = 1  # no pool of processes for each cell


# -- end to end ------------------------------------------------------------------------


def _end_to_end(pair: _Pair) -> Measured:
    first = _first_calls(pair)
    inputs = pair.inputs(0)
    calls = {
        "system": lambda: pair.call(inputs),
        "eager": lambda: pair.call_eager(inputs),
    }
    pair.alone()
    _warm(calls["system"], pair.settings)
    times = take_turns(calls, pair.settings)
    pair.compare(_COMPARED)
    return pair.finished({"first": first, **_summaries(times)})


def _first_calls(pair: _Pair) -> list[float]:
    """Compile and compare; return the seconds of the first calls, compiling included."""
    device = pair.settings.device
    seconds = []

    def call(inputs: Any) -> Any:
        synchronize(device)
        start = time.perf_counter()
        if pair.prepared is None:
            pair.compile(inputs)
        result = pair.call(inputs)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
        return result

    for seed in range(_COMPARED):
        pair.compare(seed, call)
    return seconds


def _warm(call: Callable[[], Any], settings: Settings) -> None:
    """Call until nothing is compiled any more; CUDA graphs and fusers come late."""
    end = time.perf_counter() + settings.budget / 5
    for _ in range(_WARM):
        call()
        if time.perf_counter() > end:
            break
    synchronize(settings.device)


def take_turns(
    calls: dict[str, Callable[[], Any]], settings: Settings
) -> dict[str, list[float]]:
    """Return the seconds of each call of each function, in turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + settings.budget
    for number in range(settings.rounds):
        if number >= 3 and time.perf_counter() > end:
            break
        for name, call in calls.items():
            synchronize(settings.device)
            start = time.perf_counter()
            call()
            synchronize(settings.device)
            times[name].append(time.perf_counter() - start)
    return times


def _summaries(times: dict[str, list[float]]) -> Measured:
    return {name: summary(taken) for name, taken in times.items()}


def summary(taken: Sequence[float]) -> dict[str, Any]:
    """Return median, quartiles and number of some durations."""
    low, middle, high = (
        statistics.quantiles(taken, n=4) if len(taken) > 1 else list(taken) * 3
    )
    return {"median": middle, "low": low, "high": high, "count": len(taken)}


# -- parts of the first and of a cached call -------------------------------------------


class Spy:
    """Sees what Inductor compiles, whoever calls it: how long it takes, and the graphs.

    Attributes:
        seconds: spent in Inductor.
        runs: graphs of the latest call, with their arguments, while `looks` is on.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.looks = False
        self.runs: list[Callable[[], Any]] = []
        self._depth = 0

    @contextmanager
    def watching(self, front: str) -> Iterator[None]:
        """Put the spy between a front end and Inductor."""
        from torch._inductor import compile_fx

        from magpy.backends import registry

        module: Any = compile_fx
        real, own = module.compile_fx, registry._OWN["inductor"]

        def timed(*args: Any, **kwargs: Any) -> Any:
            start, self._depth = time.perf_counter(), self._depth + 1
            try:
                made = real(*args, **kwargs)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - start
            outermost = not self._depth and front == "dynamo"
            return self._wrapped(made) if outermost else made

        def make(settings: Any) -> Any:
            backend = own.make(settings)

            def compile_graph(*args: Any) -> Any:
                run, boxed = backend.compile(*args)
                return self._wrapped(run), boxed

            return replace(backend, compile=compile_graph)

        module.compile_fx = timed
        registry._OWN["inductor"] = own._replace(make=make)
        try:
            yield
        finally:
            module.compile_fx, registry._OWN["inductor"] = real, own

    def _wrapped(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if self.looks:  # what takes a list may clear it
                kept = [list(x) if type(x) is list else x for x in args]
                self.runs.append(
                    lambda: run(*(list(x) if type(x) is list else x for x in kept))
                )
            return run(*args)

        if getattr(run, "_boxed_call", False):
            call._boxed_call = True  # type: ignore[attr-defined]
        return call


def _parts(pair: _Pair) -> Measured:
    """Time the first calls with all imports done and no caches; then cached ones."""
    from torch._inductor import config

    config.force_disable_caches = True
    _import_compiler(pair)
    inputs = pair.inputs(0)
    for _ in range(_COMPARED):
        pair.call_eager(inputs)
    eager = take_turns({"eager": lambda: pair.call_eager(inputs)},
                       replace(pair.settings, rounds=10))["eager"]  # fmt: skip
    spy, front = Spy(), systems.parts(pair.cell.system)[0]
    with spy.watching(front):
        first = _first_calls(pair)
    assert pair.prepared is not None
    stats = pair.prepared.stats()
    run = statistics.median(eager)
    first_run = {"eager run": run, "backend": spy.seconds}
    if front == "magpy":
        first_run["recording"] = stats["seconds"]["record"] - run * stats["recordings"]
        first_run["graph building"] = stats["seconds"]["compile"] - spy.seconds
    else:
        first_run["capture"] = first[0] - spy.seconds - run
    _warm(lambda: pair.call(inputs), pair.settings)
    spy.looks = True
    pair.call(inputs)
    spy.looks = False
    calls = {
        "system": lambda: pair.call(inputs),
        "graphs": lambda: [graph() for graph in spy.runs],
    }
    times = _summaries(take_turns(calls, pair.settings))
    call, graphs = times["system"]["median"], times["graphs"]["median"]
    cached = {"graphs": graphs, **_before_and_after(pair, inputs, call - graphs)}
    measured = {"first": first, "first run": first_run, "cached run": cached, **times}
    return pair.finished({**measured, "graphs run": len(spy.runs)})


def _before_and_after(pair: _Pair, inputs: Any, seconds: float) -> dict[str, float]:
    """Tell apart what MagPy does around its only graph, in so many seconds."""
    assert pair.prepared is not None
    whole = {"guards, inputs, effects, outputs": seconds}
    if systems.parts(pair.cell.system)[0] != "magpy":
        return whole
    from magpy.module import compiled_function

    compiled: Any = pair.prepared.call
    function = compiled_function(compiled)
    if pair.prepared.stats()["partial_hits"]:
        return whole
    turns = [function.search_seconds(_SEARCHES, *inputs) for _ in range(7)]
    if None in turns:
        return whole
    bind, guards, gather = map(statistics.median, zip(*turns, strict=True))
    rest = seconds - bind - guards - gather
    return {"guards": bind + guards, "inputs": gather, "effects, outputs": rest}


def _import_compiler(pair: _Pair) -> None:
    """Compile something else, so that no import is counted."""
    x = torch.ones(4, device=pair.settings.device)
    tiny = torch.nn.ReLU()
    prepared = systems.prepare(pair.cell.system, tiny, (x,), {})
    for _ in range(3):
        prepared.call(x)


# -- sizes that change -----------------------------------------------------------------


def sizes_of(vary: str, small: bool) -> tuple[dict[str, int], list[dict[str, int]]]:
    """Return the sizes of the first call, and those of the calls that follow."""
    if vary == "batch":
        return {"batch": 5}, [{"batch": n} for n in range(2, 9 if small else 17)]
    if small:
        lengths, first, batch = range(8, 41, 4), 20, 2
    else:
        lengths, first, batch = range(32, 257, 16), 80, 8
    return (
        {"batch": batch, "length": first},
        [{"batch": batch, "length": n} for n in lengths],
    )


def _dynamic(pair: _Pair) -> Measured:
    """Rounds over all sizes: some to warm up, then timed ones."""
    settings = pair.settings
    first, sizes = sizes_of(pair.cell.vary, settings.small)
    start = time.perf_counter()
    for seed, each in enumerate((first, *sizes)):
        theirs, ours = pair.inputs(seed, **each), pair.inputs(seed, **each)
        if pair.prepared is None:
            pair.compile(ours, dynamic=True)
        pair.check(pair.call_eager(theirs), theirs, pair.call(ours), ours)
    pool = [pair.inputs(seed, **each) for seed, each in enumerate(sizes)]
    for _ in range(2):
        for inputs in pool:
            pair.call(inputs)
    synchronize(settings.device)
    warm = time.perf_counter() - start
    pair.alone()
    times: dict[str, list[float]] = {"system": [], "eager": []}
    end = time.perf_counter() + settings.budget
    for number in range(max(1, settings.rounds // len(pool))):
        if number and time.perf_counter() > end:
            break
        for inputs in pool:
            turn = take_turns(_calls(pair, inputs), replace(settings, rounds=1))
            for name, taken in turn.items():
                times[name] += taken
    return pair.finished({"first": [warm], **_summaries(times), "sizes": len(pool)})


def _calls(pair: _Pair, inputs: Any) -> dict[str, Callable[[], Any]]:
    return {
        "system": lambda: pair.call(inputs),
        "eager": lambda: pair.call_eager(inputs),
    }


# -- control flow ----------------------------------------------------------------------


def _control(pair: _Pair) -> Measured:
    """Other inputs in each call; each was met before it is timed."""
    settings = pair.settings
    first = _first_calls(pair)
    count = max(3, min(settings.rounds, 20 if settings.small else 100))
    pool = [pair.inputs(seed) for seed in range(count)]
    end = time.perf_counter() + 3 * settings.budget
    met = 0
    for seed, inputs in enumerate(pool):
        if met >= 3 and time.perf_counter() > end:
            break
        theirs = pair.inputs(seed)
        pair.check(pair.call_eager(theirs), theirs, pair.call(inputs), inputs)
        met += 1
    pool = [pair.inputs(seed) for seed in range(met)]
    pair.alone()
    for inputs in pool[: _WARM * 2]:
        pair.call(inputs)
    times: dict[str, list[float]] = {"system": [], "eager": []}
    end = time.perf_counter() + settings.budget
    for number, inputs in enumerate(pool):
        if number >= 3 and time.perf_counter() > end:
            break
        turn = take_turns(_calls(pair, inputs), replace(settings, rounds=1))
        for name, taken in turn.items():
            times[name] += taken
    return pair.finished({"first": first, **_summaries(times), "inputs": met})


# -- graphs ----------------------------------------------------------------------------


def _graphs(pair: _Pair) -> Measured:
    """Count the graphs that run in one call, when all is compiled."""
    ran = [0]

    def counting(gm: Any, example_inputs: Any) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            ran[0] += 1
            return gm.forward(*args)

        return run

    front = systems.parts(pair.cell.system)[0]
    counts = front in systems.FRONTS
    inputs = pair.inputs(0)
    pair.compile(inputs, **({"backend": counting} if counts else {}))
    for seed in range(2 * _COMPARED):
        ran[0] = 0
        pair.compare(seed)
    return pair.finished({"graphs": ran[0] if counts else 1})


# -- training --------------------------------------------------------------------------


def _training(pair: _Pair) -> Measured:
    """Steps: the forward run is the system's, with the gradient that comes of it.

    Losses, gradients and what the step makes of parameters must be eager's.
    """
    with torch.enable_grad():
        return _steps(pair)


def _steps(pair: _Pair) -> Measured:
    settings = pair.settings
    takers = {}
    for module in (pair.eager, pair.module):
        module.train()
        takers[module] = torch.optim.SGD(module.parameters(), lr=1e-3)

    def step(module: torch.nn.Module, inputs: Any) -> torch.Tensor:
        takers[module].zero_grad()
        call = pair.call_eager if module is pair.eager else pair.call
        loss = _loss(call(inputs))
        loss.backward()
        takers[module].step()
        return loss.detach()

    def compare(seed: int) -> float:
        made = []
        for module in (pair.eager, pair.module):
            inputs = pair.inputs(seed, training=True)
            if pair.prepared is None and module is pair.module:
                pair.compile(inputs)
            torch.manual_seed(settings.seed + seed)  # some draw what they never use
            synchronize(settings.device)
            start = time.perf_counter()
            loss = step(module, inputs)
            synchronize(settings.device)
            seconds = time.perf_counter() - start
            made.append(([loss, *_gradients(module)], inputs))
        pair.check(*made[0], *made[1])
        return seconds

    first = [compare(seed) for seed in range(_COMPARED)]
    inputs = pair.inputs(0, training=True)
    calls = {
        "system": lambda: step(pair.module, inputs),
        "eager": lambda: step(pair.eager, inputs),
    }
    pair.alone()
    _warm(calls["system"], settings)
    times = take_turns(calls, settings)
    # Both have gone on, the system further; what one step does is compared.
    pair.module.load_state_dict(pair.eager.state_dict())
    compare(_COMPARED)
    return pair.finished({"first": first, **_summaries(times)})


def _loss(result: Any) -> torch.Tensor:
    """Return the loss of a result, or the mean square of its numbers."""
    loss = getattr(result, "loss", None)
    if loss is None:
        tensors = [x for x in _leaves(result) if isinstance(x, torch.Tensor)]
        loss = torch.stack([x.float().square().mean() for x in tensors]).sum()
    found: torch.Tensor = loss
    return found


def _gradients(module: torch.nn.Module) -> list[torch.Tensor | None]:
    return [each.grad for each in module.parameters()]


# -- front ends ------------------------------------------------------------------------


def _front(pair: _Pair) -> Measured:
    """Costs of a front end, with a backend that takes the time of its own."""
    timer = front.Timer(systems.parts(pair.cell.system)[1])
    pool = [pair.inputs(seed) for seed in range(front.FIRST)]
    pair.compile(pool[0], backend=timer)
    pair.alone()
    found = front.costs(
        timer,
        lambda seed: pair.call(pool[seed]),
        lambda seed: pair.call_eager(pool[seed]),
        pair.compare,
        pair.settings.rounds,
        pair.settings.budget,
    )
    return pair.finished(found)
