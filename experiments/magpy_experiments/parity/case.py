"""One module of a project: eager mode twice, then compiled, and compared.

Runs in a child process of its own (see server.py).  Every call gets arguments made anew
from the same seed, and starts with the same state of all random number generators.
"""

from __future__ import annotations

import copy
import random
import sys
import time
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import torch

from magpy.compare import Comparison, Numbers, Rules
from magpy_experiments.parity import stubs
from magpy_experiments.parity.compilers import Compiler
from magpy_experiments.parity.results import EAGER_OK, EAGER_RANDOM, Case

_SEED = 1337
_EAGER_CALLS = 2  # of each of the two eager runs that must agree


#: What eager mode repeats.  Of functions, classes and modules only the type counts:
#: compilers put others in their place.
EXACT = Rules(
    numbers=Numbers.EQUAL,
    memory=False,
    offsets=False,
    copies=(tuple, frozenset),
    opaque=(
        type, types.FunctionType, types.BuiltinFunctionType, types.MethodType,
        types.ModuleType, types.GeneratorType,
    ),
    ignored=("_magpy", "_dynamo", "_is_torch_compile", "_compiled_call_impl"),
)  # fmt: skip
CLOSE = replace(
    EXACT,
    numbers=Numbers.CLOSE,
    tolerance=1e-3,
    tolerances={"float16": 1e-2, "bfloat16": 2e-2},
    floats=True,
    strides=False,
)


class _EagerError(Exception):
    """The case does not run in eager mode."""


def load(path: Path) -> list[Any]:
    """Import a file and return its cases.

    Raises:
        Exception: whatever importing the file raises.
    """
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    sys.modules[path.stem] = module
    sys.modules[stubs.HELPERS] = stubs.make_helpers()
    sys.meta_path.append(stubs.StubFinder(path.parent))
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    with stubs.importing():
        exec(code, vars(module))
    return list(getattr(module, "TESTCASES", ()))


class Bench:
    """Runs the cases of a file for one compiler.

    Args:
        compiler: what is measured.
        device: where modules and arguments are moved to.
        grad: call with gradients enabled.
        tell: told what eager mode makes of a case, when that is known.
    """

    def __init__(
        self,
        compiler: Compiler,
        device: str,
        *,
        grad: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._compiler = compiler
        self._device = torch.device(device)
        self._grad = grad
        self._tell = tell
        self._milliseconds = 0.0  # of the latest call
        self._drew = False  # did the latest call draw random numbers of the host?

    def run(self, index: int, entry: Any) -> Case | None:
        """Run a case.

        Args:
            index: its position.
            entry: class, and functions that make the arguments of its constructor and
                of a call.

        Returns:
            What became of it; None if its class has no forward.
        """
        kind, init, forward = entry[0], entry[1], entry[2]
        if kind.forward is torch.nn.Module.forward:
            return None
        case = Case(index, kind.__name__)
        self._init, self._kind, self._forward = init, kind, forward
        try:
            self._base = self._guard(self._build)
            self._check_eager(case)
        except _EagerError as error:
            case.detail = str(error)
            return case
        self._tell(case.eager)
        self._compiled_part(case)
        return case

    # -- what is called ----------------------------------------------------------------

    def _build(self) -> torch.nn.Module:
        _seed()
        args, kwargs = self._init()
        module: torch.nn.Module = self._kind(*args, **kwargs)
        try:
            module.eval()
            module.to(self._device)
        except Exception:  # as the checkout's own runner: then as it is
            pass
        return module

    def _copy(self) -> torch.nn.Module:
        try:
            return copy.deepcopy(self._base)
        except Exception:
            return self._build()

    def _arguments(self) -> tuple[list[Any], dict[str, Any]]:
        _seed()
        args, kwargs = self._forward()
        return _move(list(args), self._device), _move(dict(kwargs), self._device)

    def _call(self, function: Callable[..., Any], arguments: Any) -> Any:
        args, kwargs = arguments
        _seed()
        before = _host_random_state()
        start = time.perf_counter()
        with torch.set_grad_enabled(self._grad):
            result = function(*args, **kwargs)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        self._milliseconds = 1e3 * (time.perf_counter() - start)
        self._drew = _host_random_state() != before
        return result

    def _guard(self, step: Callable[..., Any], *args: Any) -> Any:
        try:
            return step(*args)
        except (Exception, SystemExit) as error:
            raise _EagerError(describe(error)) from None

    # -- eager -------------------------------------------------------------------------

    def _check_eager(self, case: Case) -> None:
        first, second = self._guard(self._copy), self._guard(self._copy)
        text = ""
        for number in range(_EAGER_CALLS):
            one = self._guard(self._step, first, first)
            if number == 0:
                case.eager_ms = self._milliseconds
            case.draws = case.draws or self._drew
            other = self._guard(self._step, second, second)
            text = text or _difference(Comparison(EXACT), one, other)
        case.eager = EAGER_RANDOM if text else EAGER_OK
        case.detail = f"in eager mode, {text}" if text else ""

    def _step(self, function: Any, module: Any) -> dict[str, Any]:
        """Call once; return all that the call can have changed."""
        arguments = self._arguments()
        result = self._call(function, arguments)
        return {"arguments": arguments, "module": module, "result": result}

    # -- compiled ----------------------------------------------------------------------

    def _compiled_part(self, case: Case) -> None:
        compiler = self._compiler
        eager, module = self._copy(), self._copy()
        status = ""
        try:
            compiled = compiler.compile(module)
            for number in range(compiler.calls):
                expected = self._guard(self._step, eager, eager)
                case.calls = number + 1
                actual = self._step(compiled, module)
                if number == 0:
                    case.compiled_ms = self._milliseconds
                if self._differs(case, expected, actual):
                    status = "wrong"
                    break
                if compiler.enough():
                    break
        except _EagerError as error:
            case.eager = EAGER_RANDOM
            case.detail = f"in eager mode, call {case.calls + 1}: {error}"
        except (Exception, SystemExit) as error:
            if compiler.retry():
                self._compiled_part(case)
                return
            status = "error"
            case.detail = f"call {case.calls}: {describe(error)}"
        outcome = compiler.outcome()
        case.status = status or outcome.status
        case.graphs, case.breaks = outcome.graphs, outcome.breaks
        case.dynamic, case.reasons = outcome.dynamic, outcome.reasons

    def _differs(self, case: Case, expected: Any, actual: Any) -> bool:
        """Whether a call differs from eager's, and eager not from itself."""
        compiler = self._compiler
        if case.eager == EAGER_RANDOM:
            return False
        rules = EXACT if compiler.exact else CLOSE
        if not compiler.identity:
            rules = replace(rules, copies=(object,))
        comparison = Comparison(rules)
        left = {**expected, "module": compiler.state(expected["module"], False)}
        right = {**actual, "module": compiler.state(actual["module"], True)}
        text = _difference(comparison, left, right)
        if not text:
            return False
        case.detail = f"call {case.calls}: {text}"
        again = self._copy()
        for _ in range(case.calls):
            repeated = self._guard(self._step, again, again)
        if _difference(Comparison(EXACT), expected, repeated):
            case.eager = EAGER_RANDOM
            case.suspect = True
            return False
        return True


def describe(error: BaseException) -> str:
    """Return type and first line of an exception."""
    text = str(error).strip() if not isinstance(error, KeyError) else repr(error)
    lines = text.splitlines()
    name = type(error).__name__
    return f"{name}: {lines[0][:200]}" if lines else name


def _difference(comparison: Comparison, left: Any, right: Any) -> str:
    for path in left:
        text: str | None
        try:
            text = comparison.difference(left[path], right[path], path)
        except Exception as error:
            text = f"{path}: cannot be compared: {describe(error)}"
        if text:
            return text
    return ""


def _seed() -> None:
    random.seed(_SEED)
    numpy.random.seed(_SEED)
    torch.manual_seed(_SEED)


def _host_random_state() -> object:
    """Return a text that differs once a number was drawn in Python or numpy."""
    return repr((random.getstate(), numpy.random.get_state()))


def _move(value: Any, device: torch.device) -> Any:
    """Return arguments with their tensors on the device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if type(value) in (list, tuple):
        return type(value)(_move(item, device) for item in value)
    if type(value) is dict:
        return {key: _move(item, device) for key, item in value.items()}
    return value
