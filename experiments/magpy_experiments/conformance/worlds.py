"""One module of Dynamo's tests in one world: `torch.compile` is the identity, or ours.

A process of :mod:`magpy_experiments.conformance.dynamo`.  Everything that a test does
with what was compiled is written down as an event: the results and arguments of a call,
the operands of an assertion and whether it holds.  A failed assertion does not
end the test, so that one about counted frames hides none about results.  What the events
say must depend on nothing but the program, so that those of two processes can be compared
as text.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import functools
import importlib
import inspect
import json
import os
import random
import re
import resource
import sys
import types
import unittest
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from magpy_experiments.conformance import cpython
from magpy_experiments.conformance.describe import describe, error_text
from magpy_experiments.conformance.dynamo import EXCLUDED, RUNS

_MEMORY = 8 << 30  # bytes of address space; a test that wants more gets a MemoryError
_MAX_STAND_INS = 40  # names that this torch lacks, per module


class _Now:
    """What the current test has done so far."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.failed = ""  # the first assertion that did not hold
        self.calls = 0
        self.times = 1  # calls of the target for one call of the test
        self.depth = 0  # compiled calls around us
        self.asserting = 0
        self.hits = 0
        self.recorded = False
        self.reason = ""


now = _Now()


def _note(text: str) -> None:
    now.events.append(text)


# -- what stands for torch.compile -----------------------------------------------------


def _call(target: Callable[..., Any], name: str, args: Any, kwargs: Any) -> Any:
    """Call what was compiled, as often as this pass wants, and write down the last."""
    if now.depth:  # part of a call that is written down
        return target(*args, **kwargs)
    now.calls += 1
    now.depth += 1
    before = _stats(target)
    try:
        for _ in range(now.times):
            result = target(*args, **kwargs)
    except BaseException as error:
        _note(f"call {name} raises | {error_text(error)}")
        raise
    finally:
        now.depth -= 1
        _count(before, _stats(target))
    _note(f"call {name} | {describe((result, args, kwargs))}")
    return result


def _stats(target: Any) -> Mapping[str, Any]:
    import magpy

    try:
        return magpy.stats(target)
    except TypeError:  # the program itself
        return {}


def _count(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    if not before:
        return
    now.hits += after["hits"] - before["hits"]
    now.recorded = now.recorded or after["graphs"] > 0 or after["hits"] > 0
    if after["reasons"] and not now.reason:
        now.reason = next(iter(after["reasons"]))


class _Proxy:
    """Stands for a compiled object that is no function: a module, mostly."""

    def __init__(self, target: Any, original: Any) -> None:
        object.__setattr__(self, "_proxy_target", target)
        object.__setattr__(self, "_proxy_original", original)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._proxy_original)

    def _stands_for(self) -> Any:
        return self._proxy_original

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = type(self._proxy_original).__qualname__
        return _call(self._proxy_target, name, args, kwargs)

    def __copy__(self) -> _Proxy:
        return _Proxy(copy.copy(self._proxy_target), copy.copy(self._proxy_original))

    def __deepcopy__(self, memo: dict[int, Any]) -> _Proxy:
        target = copy.deepcopy(self._proxy_target, memo)
        return _Proxy(target, copy.deepcopy(self._proxy_original, memo))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_proxy_"):  # of an instance in the making
            raise AttributeError(name)
        if name == "_orig_mod":
            return self._proxy_original
        return getattr(self._proxy_target, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._proxy_target, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._proxy_target, name)

    def __len__(self) -> int:
        return len(self._proxy_target)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._proxy_target)

    def __getitem__(self, key: Any) -> Any:
        return self._proxy_target[key]

    def __contains__(self, key: Any) -> bool:
        return key in self._proxy_target

    def __bool__(self) -> bool:
        return bool(self._proxy_target)


class World:
    """What `torch.compile` and its relatives do for the tests.

    Args:
        ours: they compile with MagPy; otherwise they return the program.
    """

    def __init__(self, ours: bool) -> None:
        self.ours = ours

    def compiled(self, model: Any) -> Any:
        """Return what stands for `torch.compile(model)`."""
        if isinstance(model, _Proxy):
            model = model._proxy_original
        if not callable(model):
            raise RuntimeError("torch.compile: not callable")
        if isinstance(model, type):
            return model
        target = self._target(model)
        if not isinstance(model, types.FunctionType | types.MethodType):
            return _Proxy(target, model)

        @functools.wraps(model)
        def call(*args: Any, **kwargs: Any) -> Any:
            return _call(target, model.__qualname__, args, kwargs)

        return call

    def _target(self, model: Any) -> Any:
        if not self.ours:
            return model
        import magpy

        return magpy.compile(model, backend="eager")

    def decorate(self, model: Any = None, *_: Any, **options: Any) -> Any:
        """`torch.compile`, with or without a model."""
        if model is None:
            return lambda model: self.decorate(model, **options)
        return model if options.get("disable") else self.compiled(model)

    def optimize(self, *_: Any, **options: Any) -> Any:
        """`torch._dynamo.optimize` and `optimize_assert`."""
        return lambda model: self.decorate(model, **options)

    def export(self, model: Any, *args: Any, **options: Any) -> Any:
        """`torch._dynamo.export`: what stands for the graph is the compiled program."""

        def make(*_: Any, **__: Any) -> _Exported:
            return _Exported(self.compiled(model), set())

        return make() if args else make

    def explain(self, model: Any, *_: Any, **__: Any) -> Any:
        """`torch._dynamo.explain`: the call, and nothing about graphs."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.compiled(model)(*args, **kwargs)
            return types.SimpleNamespace(graphs=[], graph_count=0, break_reasons=[])

        return call


class _Exported(NamedTuple):
    graph_module: Any
    guards: Any


def _replace(world: World, folder: Path) -> None:
    """Put the world in the place of torch's functions, for callers in the tests.

    What torch itself compiles (`torch.cond`, `flex_attention`) is compiled as ever: that
    is what the operation does in eager.
    """
    import torch
    import torch._dynamo
    import torch._dynamo.testing

    inner = {
        Path(module.__file__ or "").resolve()
        for module in (torch._dynamo.testing, sys.modules["torch.nn.modules.module"])
    }

    def from_tests(original: Any, ours: Any) -> Any:
        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            caller = Path(sys._getframe(1).f_code.co_filename).resolve()
            if caller.is_relative_to(folder) or caller in inner:
                return ours(*args, **kwargs)
            return original(*args, **kwargs)

        return call

    for place, name, ours in (
        (torch, "compile", world.decorate),
        (torch._dynamo, "optimize", world.optimize),
        (torch._dynamo, "optimize_assert", world.optimize),
        (torch._dynamo, "export", world.export),
        (torch._dynamo, "explain", world.explain),
    ):
        original = getattr(place, name)
        replacement = from_tests(original, ours)
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("torch"):
                for key, value in list(vars(module).items()):
                    if value is original:
                        setattr(module, key, replacement)
    _replace_same()


def _replace_same() -> None:
    import torch._dynamo.testing
    import torch._dynamo.utils

    original = torch._dynamo.utils.same

    @functools.wraps(original)
    def same(ref: Any, res: Any, *args: Any, **kwargs: Any) -> bool:
        result = bool(original(ref, res, *args, **kwargs))
        if not now.depth:
            _note(f"same {result} | {describe((ref, res))}")
        return result

    for module in (torch._dynamo.utils, torch._dynamo.testing):
        module.same = same


# -- assertions ------------------------------------------------------------------------


def _soften(folder: Path) -> None:
    """Make assertions write down what they see; one that fails lets the test go on."""
    import torch._dynamo.test_case
    import torch.testing._internal.common_utils

    seen = set()
    bases = torch._dynamo.test_case.TestCase.__mro__
    for cls in (*bases, unittest.TestCase):
        if cls in seen or cls is object:
            continue
        seen.add(cls)
        for name, method in list(vars(cls).items()):
            if name.startswith("assert") and isinstance(method, types.FunctionType):
                setattr(cls, name, _soft(method, name, folder))
    for name in ("_AssertRaisesContext", "_AssertWarnsContext"):
        context = getattr(unittest.case, name)
        context.__exit__ = _soft_exit(context.__exit__, folder)


def _soft(method: Any, name: str, folder: Path) -> Any:
    @functools.wraps(method)
    def check(self: Any, *args: Any, **kwargs: Any) -> Any:
        if now.asserting or now.depth:
            return method(self, *args, **kwargs)
        now.asserting += 1
        seen = "" if name.startswith("assertRaises") else describe(args[:2])
        try:
            result = method(self, *args, **kwargs)
        except self.failureException as error:
            result = None
            _fails(name, folder, error, seen)
        else:
            _note(f"{name} holds {_line(folder)} | {seen}")
        finally:
            now.asserting -= 1
        return result

    return check


def _soft_exit(method: Any, folder: Path) -> Any:
    @functools.wraps(method)
    def leave(self: Any, kind: Any, value: Any, trace: Any) -> Any:
        try:
            result = method(self, kind, value, trace)
        except self.test_case.failureException as error:
            if now.depth:
                raise
            _fails("context", folder, error, "" if kind is None else kind.__qualname__)
            return True
        name = "nothing" if kind is None else kind.__qualname__
        if not now.depth:
            _note(f"context {bool(result)} {_line(folder)} | {name}")
        return result

    return leave


def _fails(name: str, folder: Path, error: BaseException, seen: str) -> None:
    line = _line(folder)
    _note(f"{name} fails {line} | {seen}")
    if not now.failed:
        text = error_text(error).splitlines() or [""]
        now.failed = f"{line} {name}: {text[0][:200]}"


def _line(folder: Path) -> str:
    """Return the place in the tests that we are called from."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(folder):
            return f"{path.name}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


# -- loading ---------------------------------------------------------------------------


class _StandIn:
    """A helper of the tests that this torch does not have: who needs it is skipped."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __bool__(self) -> bool:
        return False

    def __call__(self, *args: Any, **_: Any) -> Any:
        if args and (inspect.isroutine(args[0]) or isinstance(args[0], type)):
            return unittest.skip(f"needs {self.__name__}, which torch lacks")(args[0])
        return self


def load(path: Path) -> tuple[types.ModuleType, list[str]]:
    """Import a test module; return it, and the names that had to be made up."""
    for folder in (path.parent.parent, path.parent):
        sys.path.insert(0, str(folder))
    missing: list[str] = []
    while True:
        try:
            return importlib.import_module(path.stem), missing
        except ImportError as error:
            found = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
            if found is None or len(missing) >= _MAX_STAND_INS:
                raise
            name, module = found.groups()
            if module not in sys.modules:
                raise
            missing.append(f"{module}.{name}")
            setattr(sys.modules[module], name, _StandIn(missing[-1]))


def _tests(module: types.ModuleType) -> Iterator[tuple[type[unittest.TestCase], str]]:
    """Yield the tests that the module itself defines."""
    for value in list(vars(module).values()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            if value.__module__ == module.__name__:
                for name in unittest.TestLoader().getTestCaseNames(value):
                    yield value, name


# -- running ---------------------------------------------------------------------------


def run_test(cls: type[unittest.TestCase], name: str, runs: int) -> dict[str, Any]:
    """Run one test: as it is, and with every compiled call made `runs` times.

    Returns:
        What is compared: outcome and events; and what is told: calls, hits, the first
        assertion that failed, a trace.
    """
    lines = {"outcome": "", "trace": "", "failed": "", "reason": ""}
    counts = {"calls": 0, "hits": 0}
    events: list[str] = []
    recorded = False
    for times in {1: None, runs: None}:
        global now
        now = _Now()
        now.times = times
        _seed()
        outcome = cpython.run_once(cls, name)
        text = outcome.text()
        events += [f"{times} calls each", *now.events, f"ends: {text}"]
        counts["calls"] += now.calls
        counts["hits"] += now.hits
        recorded = recorded or now.recorded
        lines["outcome"] = lines["outcome"] or text
        lines["trace"] = lines["trace"] or outcome.trace
        lines["failed"] = lines["failed"] or now.failed
        lines["reason"] = lines["reason"] or now.reason
        if "skip" in outcome.events:
            lines["trace"] = outcome.why_skipped
            break
    return {**lines, **counts, "events": events, "recorded": recorded}


def _seed() -> None:
    import torch

    random.seed(0)
    torch.manual_seed(0)
    with contextlib.suppress(ImportError):
        import numpy as np

        np.random.seed(0)


def _work(path: Path, world: str, log_path: str, runs: int) -> int:
    seen = {n["begin"] for n in cpython.read_lines(log_path) if "begin" in n}
    folder = path.parent
    with open(log_path, "a", encoding="utf-8") as log:

        def write(**line: Any) -> None:
            log.write(json.dumps(line) + "\n")
            log.flush()

        try:
            _replace(World(world == "magpy"), folder)
            _soften(folder)
            module, missing = load(path)
        except Exception as error:
            write(error=f"{type(error).__name__}: {error}")
            return 1
        tests = list(_tests(module))
        write(cases=len(tests), missing=missing)
        parent = os.getppid()
        for cls, name in tests:
            if os.getppid() != parent:
                return 1  # nobody waits for us any more
            key = f"{cls.__qualname__}.{name}"
            if key in seen:
                continue
            write(begin=key)
            reason = EXCLUDED.get(f"{path.stem}.{key}")
            if reason is not None:
                write(name=key, status="excluded", detail=reason)
            else:
                write(name=key, **run_test(cls, name, runs))
    return 0


def main() -> int:
    """Run one module of tests in this process."""
    parser = argparse.ArgumentParser(
        prog="python -m magpy_experiments.conformance.worlds"
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("world", choices=("eager", "magpy"))
    parser.add_argument("log", help="file for one JSON line per test")
    parser.add_argument("--runs", type=int, default=RUNS)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    return _work(args.file, args.world, args.log, args.runs)


if __name__ == "__main__":
    # one copy of this module: the tests' assertions must see the state of this run
    sys.exit(importlib.import_module("magpy_experiments.conformance.worlds").main())
