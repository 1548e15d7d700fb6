"""A process that runs one test file of the original, in eager mode or with MagPy.

    python -m magpy_experiments.conformance.original_world FILE eager|magpy OUT

It appends a JSON line per test to OUT; tests that have one are not run again.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import random
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import magpy
from magpy_experiments.conformance.cpython import append_line, read_lines

_SEED = 20240710
_TOLERANCE = 1e-3  # the original's
_DETAIL = 1500

HIT, MISS, ALL_MISS = 1, 2, 3


class World:
    """What the tests of one file see of the original.

    Args:
        compiles: with MagPy; otherwise everything runs in eager mode.
    """

    def __init__(self, compiles: bool) -> None:
        self.compiles = compiles
        self.dynamic = False
        self.begin()

    def begin(self) -> None:
        """A test begins."""
        self.dynamic = False
        self.calls = self.recorded = self.hits = 0
        self.missed: list[str] = []
        self.reasons: list[str] = []

    def compile(self, model: Any) -> Any:
        """``frontend.compile.compile``."""
        if not self.compiles:
            return model
        dynamic = True if self.dynamic else None
        return magpy.compile(model, backend="eager", dynamic=dynamic)

    @contextlib.contextmanager
    def enable_dyn_shape(self) -> Iterator[None]:
        """``frontend.utils``: sizes of what is compiled here may change."""
        self.dynamic = True
        try:
            yield
        finally:
            self.dynamic = False

    def mark_dynamic(self, value: Any, kind: Any) -> None:
        """``frontend.dynamic``: a number that the test compiles for may change."""
        self.dynamic = True

    def run(self, compiled: Any, logs: Any, args: Any, kwargs: Any) -> Any:
        """Call, and note whether the call was the hit that the test expects."""
        import torch

        before: Mapping[str, Any] = magpy.stats(compiled) if self.compiles else {}
        with torch.no_grad():
            result = compiled(*args, **kwargs)
        if not self.compiles:
            return result
        after = magpy.stats(compiled)
        self.calls += 1
        self.recorded += after["recordings"] - before["recordings"]
        expected = all(log == HIT for log in logs)
        hit = after["hits"] > before["hits"]
        self.hits += hit
        for key in ("reasons", "breaks"):
            for reason, n in after[key].items():
                if n > before[key].get(reason, 0):
                    self.reasons.append(reason)
        if expected and not hit:
            again = after["recordings"] > before["recordings"]
            why = "recorded again" if again else _places(after)
            self.missed.append(f"call {self.calls} is no hit: {why}")
        return result

    # ``common.checker``

    def run_and_check(
        self,
        compiled: Any,
        logs: Any,
        size: int,
        caplog: Any,
        expected: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        assert_equal(expected, self.run(compiled, logs, args, kwargs))

    def run_and_check_cache(
        self,
        compiled: Any,
        logs: Any,
        size: int,
        caplog: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self.run(compiled, logs, args, kwargs)


def _places(counted: Mapping[str, Any]) -> str:
    """Word why calls ran in eager mode."""
    places = [place for place in counted["places"] if place["count"]]
    return "; ".join(
        f"{place['reason']} ({place['detail']}, {place['file']}:{place['line']})"
        for place in places
    )


def assert_equal(expected: Any, found: Any) -> None:
    """Compare as the original does: exact types, numbers within a tolerance.

    Raises:
        AssertionError: they differ.
    """
    import torch

    assert type(expected) is type(found), f"{type(expected)} != {type(found)}"
    if isinstance(expected, torch.Tensor):
        torch.testing.assert_close(
            found, expected, rtol=_TOLERANCE, atol=_TOLERANCE, check_stride=False
        )
    elif isinstance(expected, float):
        assert abs(expected - found) <= _TOLERANCE * (1 + abs(expected))
    elif isinstance(expected, dict):
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert_equal(value, found[key])
    elif isinstance(expected, (set, str)):
        assert len(expected) == len(found)
    elif isinstance(expected, Iterable):
        ours, theirs = list(found), list(expected)  # it may be a generator
        assert len(ours) == len(theirs), f"{len(theirs)} items != {len(ours)}"
        for one, other in zip(theirs, ours, strict=True):
            assert_equal(one, other)
    else:
        assert expected == found, f"{expected!r} != {found!r}"


# -- The modules of the original ---------------------------------------------------------


@contextlib.contextmanager
def _nothing(*args: Any, **kwargs: Any) -> Iterator[None]:
    """A switch of the original that this engine does not need."""
    yield


def _ignored(*args: Any, **kwargs: Any) -> int:
    """A call that names a place in the bytecode of CPython 3.9."""
    return 0


def stand_ins(world: World) -> dict[str, types.ModuleType]:
    """Return the modules that the tests import from the original, by name."""
    names: dict[str, dict[str, Any]] = {
        "frontend": {},
        "frontend.compile": {"compile": world.compile, "reset": magpy.reset},
        "frontend.c_api": {"get_next_frame_id": _ignored},
        "frontend.utils": {
            "SetConfig": _nothing,
            "add_force_graph_break": _ignored,
            "enable_dyn_shape": world.enable_dyn_shape,
        },
        "frontend.dynamic": {
            "DynamicControlFlow": _ignored,
            "add_branch_rewrite_pc": _ignored,
            "ScalarWithUnknownValue": _ignored,
            "mark_dynamic": world.mark_dynamic,
            "mark_dynamic_pc": _ignored,
        },
        "frontend.control_flow": {"if_stmt": _if_stmt},
        "common": {},
        "common.checker": {
            "ALL_MISS": ALL_MISS,
            "HIT": HIT,
            "MISS": MISS,
            "assert_equal": assert_equal,
            "run_and_check": world.run_and_check,
            "run_and_check_cache": world.run_and_check_cache,
        },
    }
    modules = {}
    for name, contents in names.items():
        module = modules[name] = types.ModuleType(name)
        module.__dict__.update(contents)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(modules[parent], last, module)
    return modules


def _if_stmt(
    condition: Any, if_true: Callable[[], Any], if_false: Callable[[], Any], *rest: Any
) -> Any:
    return if_true() if condition else if_false()


# -- What the tests expect of the machine --------------------------------------------------

# Names that newer libraries have dropped; the models import them, and do not need them.
_DROPPED = {
    "transformers.pytorch_utils": (
        "find_pruneable_heads_and_indices",
        "prune_linear_layer",
        "softmax_backward_data",
    ),
}


def _fill_in() -> None:
    """Put back what the tests import and do not use."""
    for name, dropped in _DROPPED.items():
        module = importlib.import_module(name)
        for each in dropped:
            if not hasattr(module, each):
                setattr(module, each, _ignored)
    if importlib.util.find_spec("torchvision") is None:
        vision = types.ModuleType("torchvision")
        vision.transforms = types.ModuleType("torchvision.transforms")  # type: ignore[attr-defined]
        sys.modules["torchvision"] = vision
        sys.modules["torchvision.transforms"] = vision.transforms


def _config_of(name: str, **kwargs: Any) -> Any:
    """``AutoConfig.from_pretrained`` without a network: the defaults of that kind."""
    from transformers import CONFIG_MAPPING, AutoConfig

    kinds = [kind for kind in CONFIG_MAPPING if kind in name.lower()]
    return AutoConfig.for_model(max(kinds, key=len), **kwargs)


def _on_this_machine(source: str) -> str:
    """Without a GPU the tests use the CPU."""
    import torch

    if torch.cuda.is_available():
        return source
    for old, new in (('"cuda', '"cpu'), ("'cuda", "'cpu"), (".cuda(", ".cpu(")):
        source = source.replace(old, new)
    return source


# -- Tests -------------------------------------------------------------------------------


def _load(path: Path) -> types.ModuleType:
    import transformers

    _fill_in()
    transformers.AutoConfig.from_pretrained = _config_of
    sys.path.insert(0, str(path.parent))
    module = types.ModuleType(path.stem)
    module.__file__ = str(path)
    sys.modules[path.stem] = module
    source = _on_this_machine(path.read_text(encoding="utf-8"))
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def _tests(module: types.ModuleType) -> dict[str, Callable[..., Any]]:
    return {
        name: value
        for name, value in vars(module).items()
        if name.startswith("test_") and inspect.isfunction(value)
    }


def _seed() -> None:
    import torch

    random.seed(_SEED)
    torch.manual_seed(_SEED)


def _run(test: Callable[..., Any], world: World) -> dict[str, Any]:
    world.begin()
    _seed()
    line: dict[str, Any] = {"outcome": "passed"}
    try:
        test(*[None for _ in inspect.signature(test).parameters])  # caplog
    except Exception as error:
        line["outcome"] = type(error).__name__
        line["detail"] = "".join(traceback.format_exception(error))[-_DETAIL:]
    for name in ("calls", "recorded", "hits", "missed", "reasons"):
        line[name] = getattr(world, name)
    return line


def main(argv: list[str]) -> int:
    """Run the tests of a file."""
    path, kind, out = Path(argv[0]), argv[1], argv[2]
    world = World(compiles=kind == "magpy")
    sys.modules.update(stand_ins(world))
    try:
        tests = _tests(_load(path))
    except Exception as error:
        append_line(out, {"error": f"{type(error).__name__}: {error}"})
        return 1
    done = {line["name"] for line in read_lines(out) if "name" in line}
    append_line(out, {"total": len(tests)})
    for name, test in tests.items():
        if name not in done:
            append_line(out, {"begin": name})
            append_line(out, {"name": name, **_run(test, world)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
