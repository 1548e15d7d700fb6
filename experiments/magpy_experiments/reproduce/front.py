"""What a front end costs: measured alike for ours, TorchDynamo and the original MagPy.

A script for CPython 3.9 and torch 2.0.1, in which the original lives, and a module of this
package.  As a script it gets one argument, see ``original.py``, and imports the original
and the models of this package from where they lie.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import logging
import platform
import statistics
import sys
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

FIRST = 3  # calls that are compared and in which all is compiled


class Timer:
    """A backend that knows how long it compiles and how long its graphs run.

    Attributes:
        compiling: seconds spent in the compiler.
        running: seconds spent in graphs.
        runs: of graphs.

    Args:
        name: "eager" or "inductor".
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.compiling = self.running = 0.0
        self.runs = 0

    def __call__(self, gm: Any, inputs: Any) -> Callable[..., Any]:
        """Be a backend as TorchDynamo takes them."""
        start = time.perf_counter()
        run = gm.forward
        if self._name == "inductor":
            from torch._inductor.compile_fx import compile_fx

            run = compile_fx(gm, inputs)
        self.compiling += time.perf_counter() - start

        def timed(*args: Any) -> Any:
            begin = time.perf_counter()
            try:
                return run(*args)
            finally:
                self.running += time.perf_counter() - begin
                self.runs += 1

        return timed


def costs(
    timer: Timer,
    system: Callable[[int], Any],
    eager: Callable[[int], Any],
    check: Callable[[int], None],
    rounds: int,
    budget: float,
) -> dict[str, Any]:
    """Measure; a call is given the seed of its inputs, which were made before.

    Args:
        timer: the backend of the system.
        system: makes a call.
        eager: likewise.
        check: makes both with new inputs, and compares them.
        rounds: calls that are timed.
        budget: seconds that they may take.
    """
    for _ in range(FIRST):
        eager(0)
    plain = statistics.median(_seconds(eager) for _ in range(FIRST))
    first = []
    for seed in range(FIRST):
        first.append(_seconds(system, seed))
    capture = sum(first) - timer.compiling - FIRST * plain
    for seed in range(FIRST):
        check(seed)
    for _ in range(FIRST):
        system(0)
    times: dict[str, list[float]] = {"system": [], "eager": [], "overhead": []}
    end = time.perf_counter() + budget
    for number in range(rounds):
        if number >= 3 and time.perf_counter() > end:
            break
        timer.running, timer.runs = 0.0, 0
        taken = _seconds(system)
        times["system"].append(taken)
        times["overhead"].append(taken - timer.running)
        times["eager"].append(_seconds(eager))
    found: dict[str, Any] = {name: _summary(taken) for name, taken in times.items()}
    found.update(first=first, capture=capture, graphs=timer.runs)
    found["backend"] = timer.compiling
    check(FIRST)
    return found


def _seconds(call: Callable[[int], Any], seed: int = 0) -> float:
    start = time.perf_counter()
    call(seed)
    return time.perf_counter() - start


def _summary(taken: Sequence[float]) -> dict[str, Any]:
    low, middle, high = (
        statistics.quantiles(taken, n=4) if len(taken) > 1 else list(taken) * 3
    )
    return {"median": middle, "low": low, "high": high, "count": len(taken)}


# -- as a script: the original ---------------------------------------------------------


class _Models(importlib.abc.Loader):
    """Loads the models of this package in an older Python.

    ``zip`` has no `strict` there, and nothing else of what they use is missing.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def exec_module(self, module: ModuleType) -> None:
        """Run its source."""
        text = Path(self._path).read_text(encoding="utf-8").replace(", strict=True", "")
        exec(compile(text, self._path, "exec"), module.__dict__)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find modules of this package by their files."""
        first, _, rest = name.partition(".")
        if first != "magpy_experiments":
            return None
        file = self._root.joinpath(*rest.split(".")) if rest else self._root
        package = file.is_dir()
        source = str(file / "__init__.py" if package else file.with_suffix(".py"))
        return importlib.util.spec_from_file_location(
            name, source, loader=_Models(source),
            submodule_search_locations=[str(file)] if package else None,
        )  # fmt: skip


def _leaves(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for each in tree.values():
            yield from _leaves(each)
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            yield from _leaves(each)


def _state(module: torch.nn.Module) -> Iterator[torch.Tensor]:
    for each in module.modules():
        for name, value in sorted(vars(each).items()):
            if name != "_modules":
                yield from _leaves(value)


class _Differs(Exception):
    """A number is not eager's."""


def _compare(what: str, ours: Iterator[Any], theirs: Iterator[Any], tol: float) -> None:
    left, right = list(ours), list(theirs)
    if len(left) != len(right):
        raise _Differs(f"{what}: {len(left)} tensors instead of {len(right)}")
    for at, (x, y) in enumerate(zip(left, right)):  # noqa: B905  # Python 3.9
        if x.shape != y.shape or not torch.allclose(x, y, atol=tol, rtol=tol):
            raise _Differs(f"{what}: tensor {at}")


def _measure(task: dict[str, Any]) -> dict[str, Any]:
    """Measure the original with one model."""
    if not hasattr(typing, "TypeAlias"):
        typing.TypeAlias = typing.Any  # type: ignore[assignment]
    sys.meta_path.insert(0, _Finder(task["package"]))
    sys.path.insert(0, task["original"])
    torch.set_num_threads(task["threads"] or torch.get_num_threads())
    from frontend.compile import compile as compile_with_original
    from frontend.config import set_config

    from magpy_experiments.models import MODELS

    logging.getLogger().setLevel(logging.ERROR)
    timer = Timer(task["backend"])
    set_config("backend", timer)
    set_config("debug", False)
    model = MODELS[task["model"]]
    sizes = {"small": task["small"], "seed": task["seed"]}
    eager, module = model.build(**sizes), model.build(**sizes)
    compiled = compile_with_original(module)
    pool = [
        model.inputs(task["batch"], small=task["small"], seed=task["seed"] + seed)
        for seed in range(FIRST + 1)
    ]
    tolerance = 0.0 if task["backend"] == "eager" else task["tolerance"]

    def call(function: Callable[..., Any]) -> Callable[[int], Any]:
        return lambda seed: function(*pool[seed][0], **pool[seed][1])

    def check(seed: int) -> None:
        theirs, ours = call(eager)(seed), call(compiled)(seed)
        _compare("result", _leaves(ours), _leaves(theirs), tolerance)
        _compare("module", _state(module), _state(eager), tolerance)

    with torch.no_grad():
        found = costs(
            timer, call(compiled), call(eager), check, task["rounds"], task["budget"]
        )
    return {"status": "ok", "reason": "", **found}


def main() -> None:
    """Be the script."""
    task = json.loads(sys.argv[1])
    try:
        measured = _measure(task)
    except _Differs as error:
        measured = {"status": "wrong", "reason": str(error)}
    except BaseException as error:
        import traceback

        traceback.print_exc()
        text = " ".join(str(error).split())[:240]
        measured = {"status": "error", "reason": f"{type(error).__name__}: {text}"}
    measured["versions"] = {
        "python": platform.python_version(), "torch": torch.__version__
    }  # fmt: skip
    Path(task["answer"]).write_text(json.dumps(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
