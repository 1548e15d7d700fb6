"""docs/migration.md, row by row."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import magpy

torch = pytest.importorskip("torch")

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
ROWS: dict[str, Callable[[], None]] = {}
MODES = ["default", "lite"]
X = torch.ones(3)


def row(*texts: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """The test of the row of the page that begins like this."""

    def add(test: Callable[[], None]) -> Callable[[], None]:
        assert ", ".join(texts) not in ROWS
        ROWS[", ".join(texts)] = test
        return test

    return add


def double(x: Any) -> Any:
    return x * 2 + 1


class Doubled(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, input: Any) -> Any:
        return self.layer(input) * 2


def hits(compiled: Any, *args: Any) -> dict[str, Any]:
    """Three calls: recorded, and two hits."""
    for _ in range(3):
        compiled(*args)
    counted = magpy.stats(compiled)
    assert (counted["hits"], counted["fallbacks"]) == (2, 0), counted
    return counted


@pytest.fixture(autouse=True)
def as_it_was() -> Any:
    yield
    if hasattr(torch.compiler, "set_default_backend"):
        torch.compiler.set_default_backend(None)
    torch.compiler.set_stance("default")


# -- Arguments -------------------------------------------------------------------------


@row("backend=None")
def _backend_none() -> None:
    if hasattr(torch.compiler, "set_default_backend"):
        seen = []
        torch.compiler.set_default_backend(lambda gm, inputs: seen.append(gm) or gm)
        hits(magpy.compile(double, backend=None), X)
        assert len(seen) == 1
    else:
        assert hits(magpy.compile(double), X)["graphs"] == 1


@row('backend="aot_eager"')
def _backend_of_dynamo() -> None:
    hits(magpy.compile(double, backend="aot_eager"), X)


@row('mode="lite"')
def _modes() -> None:
    from torch._inductor import list_mode_options

    for mode in MODES:
        if mode in list_mode_options():
            hits(magpy.compile(double, mode=mode), X)
        else:
            with pytest.raises(ValueError, match="unknown mode"):
                magpy.compile(double, mode=mode)


@row("options={...}")
def _options() -> None:
    hits(magpy.compile(double, options={"epilogue_fusion": False}), X)
    with pytest.raises(ValueError, match="Did you mean 'epilogue_fusion'"):
        magpy.compile(double, options={"epilog_fusion": False})


@row('options={"guard_filter_fn": f}')
def _guard_filter() -> None:
    given = {"guard_filter_fn": lambda guards: [False for _ in guards]}
    with pytest.warns(magpy.MagpyWarning, match="all guards"):
        compiled = magpy.compile(double, backend="eager", options=given)
    hits(compiled, X)
    assert "guard_filter_fn" in given
    assert torch.equal(compiled(X.double()), double(X.double()))


@row("fullgraph=True")
def _fullgraph() -> None:
    def f(x: Any) -> Any:
        return x + 1 if x.sum() > 0 else x - 1

    with pytest.raises(RuntimeError, match="host-read") as caught:
        magpy.compile(f, backend="eager", fullgraph=True)(X)
    assert isinstance(caught.value, magpy.Unsupported)
    assert caught.value.source_line == "return x + 1 if x.sum() > 0 else x - 1"
    assert caught.value.hint


@row("dynamic=True")
def _dynamic() -> None:
    compiled = magpy.compile(double, backend="eager", dynamic=True)
    for n in range(2, 6):
        compiled(torch.ones(n))
    assert magpy.stats(compiled)["recordings"] == 1


@row("recompile_limit=8")
def _limit() -> None:
    compiled = magpy.compile(double, backend="eager", recompile_limit=1)
    compiled(X)
    with pytest.warns(magpy.MagpyWarning, match="entry-limit"):
        assert torch.equal(compiled(X.double()), double(X.double()))
    assert magpy.stats(compiled)["reasons"] == {"entry-limit": 1}
    for wrong, error in ((0, ValueError), (True, TypeError), ("8", TypeError)):
        with pytest.raises(error, match="recompile_limit"):
            magpy.compile(double, recompile_limit=wrong)


@row("isolate_recompiles=True")
def _isolate() -> None:
    first, second = (
        magpy.compile(double, backend="eager", isolate_recompiles=given)
        for given in (True, False)
    )
    hits(first, X)
    assert magpy.stats(second)["recordings"] == 0
    hits(second, X)
    with pytest.raises(TypeError, match="isolate_recompiles"):
        magpy.compile(double, isolate_recompiles=1)


@row("shapes_spec=...")
def _shapes_spec() -> None:
    with pytest.raises(ValueError, match="mark_dynamic"):
        magpy.compile(double, shapes_spec={"x": None})


@row("disable=True")
def _disable() -> None:
    assert magpy.compile(double, disable=True) is double


AS_BACKEND = """
import torch
from magpy.backends import dynamo
torch.compile(lambda x: x + 1, backend=dynamo.magpy)(torch.ones(2))
"""


@row("backend=CompileCounter() of torch._dynamo.testing")
def _counting_backend() -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    hits(magpy.compile(double, backend=counter), X)
    assert (counter.frame_count, counter.op_count) == (1, 2)


@row('torch.compile(m, backend="magpy")')
def _as_backend() -> None:
    # In a process of its own: TorchDynamo's hook stays where its backend has raised.
    run = [sys.executable, "-c", AS_BACKEND]
    out = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "write magpy.compile(model)" in out.stderr
    with pytest.raises(ValueError, match="MagPy captures the graph"):
        magpy.compile(double, backend="magpy")
    assert "magpy" not in magpy.list_backends()


@row("m.compile()")
def _in_place() -> None:
    model = Doubled()
    expected = model(X)
    model.forward = magpy.compile(model.forward, backend="eager")
    for _ in range(3):
        assert torch.equal(model(X), expected)
    assert magpy.stats(model.forward)["hits"] == 2


@row("torch.compile(torch.sin)", "torch.compile(functools.partial(f, 1))")
def _callables() -> None:
    hits(magpy.compile(torch.sin, backend="eager"), X)
    hits(magpy.compile(functools.partial(torch.add, X), backend="eager"), X)


@row("torch.export.export(...).module()")
def _exported() -> None:
    model = torch.export.export(Doubled(), (X,)).module()
    compiled = magpy.compile(model, backend="eager")
    for _ in range(6):
        assert torch.equal(compiled(X), model(X))
    assert magpy.stats(compiled)["hits"] >= 2


# -- What a compiled object is -----------------------------------------------------------


@row("inspect.signature(compiled)")
def _signature() -> None:
    assert list(inspect.signature(magpy.compile(double)).parameters) == ["x"]
    compiled = magpy.compile(Doubled())
    for forward in (compiled.forward, type(compiled).forward):
        assert "input" in inspect.signature(forward).parameters


@row("inspect.isfunction(compiled)")
def _is_function() -> None:
    compiled = magpy.compile(double)
    assert not inspect.isfunction(compiled)
    assert compiled.__name__ == "double"
    assert compiled.__code__ is double.__code__


@row("copy.deepcopy(compiled)", "pickle.dumps(compiled)")
def _copies() -> None:
    compiled = magpy.compile(Doubled(), backend="eager")
    hits(compiled, X)
    for other in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        with torch.no_grad():
            other.layer.weight.zero_()
            other.layer.bias.zero_()
        assert torch.equal(other(X), torch.zeros(3))
        hits(magpy.compile(other, backend="eager"), X)
    assert not torch.equal(compiled(X), torch.zeros(3))


@row("compiled.state_dict()")
def _state_dict() -> None:
    assert list(magpy.compile(Doubled()).state_dict()) == ["layer.weight", "layer.bias"]


# -- Switches and marks ------------------------------------------------------------------

OFF = """
import json, torch, magpy
f = magpy.compile(lambda x: x + 1, backend="eager")
[f(torch.ones(2)) for _ in range(3)]
print(json.dumps(magpy.stats(f)["reasons"]))
"""


@row("TORCH_COMPILE_DISABLE=1")
def _disabled_by_the_environment() -> None:
    env = {**os.environ, "TORCH_COMPILE_DISABLE": "1"}
    run = [sys.executable, "-c", OFF]
    out = subprocess.run(run, env=env, capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == {"config": 3}


@row('torch.compiler.set_stance("force_eager")')
def _force_eager() -> None:
    compiled = magpy.compile(double, backend="eager")
    with torch.compiler.set_stance("force_eager"):
        compiled(X)
    assert magpy.stats(compiled)["reasons"] == {"stance": 1}
    for _ in range(3):
        compiled(X)
    with torch.compiler.set_stance("force_eager"):
        assert torch.equal(compiled(X), double(X))
    counted = magpy.stats(compiled)
    assert (counted["hits"], counted["reasons"]) == (2, {"stance": 2})


@row('torch.compiler.set_stance("eager_on_recompile")')
def _eager_on_recompile() -> None:
    compiled = magpy.compile(double, backend="eager")
    compiled(X)
    with torch.compiler.set_stance("eager_on_recompile"):
        compiled(X)
        assert torch.equal(compiled(X.double()), double(X.double()))
    counted = magpy.stats(compiled)
    assert (counted["hits"], counted["recordings"]) == (1, 1)
    assert counted["reasons"] == {"stance": 1}


@row('torch.compiler.set_stance("fail_on_recompile")')
def _fail_on_recompile() -> None:
    compiled = magpy.compile(double, backend="eager")
    compiled(X)
    with torch.compiler.set_stance("fail_on_recompile"):
        compiled(X)
        with pytest.raises(RuntimeError, match="fail_on_recompile"):
            compiled(X.double())
    assert torch.equal(compiled(X.double()), double(X.double()))
    counted = magpy.stats(compiled)
    assert counted["calls"] == 4
    assert (counted["hits"], counted["recordings"]) == (1, 2)

    log: list[int] = []

    def broken(x: Any) -> Any:
        y = x * 2
        log.append(1 if y.sum() > 0 else 0)
        return y + 1

    compiled = magpy.compile(broken, backend="eager")
    compiled(X)
    with torch.compiler.set_stance("fail_on_recompile"):
        assert torch.equal(compiled(-X), -X * 2 + 1)
    assert log == [1, 0]


@row('torch.compiler.set_stance("eager_then_compile")')
def _eager_then_compile() -> None:
    for stance in ("eager_then_compile", "aot_eager_then_compile"):
        compiled = magpy.compile(double, backend="eager")
        with torch.compiler.set_stance(stance):
            for _ in range(3):
                compiled(X)
        counted = magpy.stats(compiled)
        assert (counted["hits"], counted["recordings"]) == (1, 1)


@row("torch.compiler.set_stance(skip_guard_eval_unsafe=True)")
def _all_guards_are_checked() -> None:
    state = {"n": 4}
    compiled = magpy.compile(lambda x: x * state["n"], backend="eager")
    hits(compiled, X)
    with torch.compiler.set_stance(skip_guard_eval_unsafe=True):
        state["n"] = 5
        assert torch.equal(compiled(X), X * 5)


@row('torch.compiler.set_stance(force_backend="eager")')
def _backend_stays() -> None:
    seen = []

    def backend(gm: Any, inputs: Any) -> Any:
        seen.append(gm)
        return gm.forward

    with torch.compiler.set_stance(force_backend="eager"):
        hits(magpy.compile(double, backend=backend), X)
    assert len(seen) == 1


@row("torch.compiler.reset(), torch._dynamo.reset()")
def _reset() -> None:
    compiled = magpy.compile(double, backend="eager")
    compiled(X)
    torch.compiler.reset()
    torch._dynamo.reset()
    compiled(X)
    assert magpy.stats(compiled)["hits"] == 1
    magpy.reset()
    compiled(X)
    assert magpy.stats(compiled)["recordings"] == 1
    assert magpy.stats(compiled)["hits"] == 0


def _breaks_once(disabled: Callable[[Any], Any]) -> None:
    def f(x: Any) -> Any:
        return disabled(x + 1) * 2

    compiled = magpy.compile(f, backend="eager")
    assert hits(compiled, X)["breaks"] == {"disabled": 1}
    assert torch.equal(compiled(X), f(X))


@row("@torch.compiler.disable")
def _disabled() -> None:
    _breaks_once(torch.compiler.disable(lambda x: x + 3))
    _breaks_once(magpy.disable(lambda x: x + 3))


@row("@torch.compiler.disable(recursive=False)")
def _disabled_alone() -> None:
    _breaks_once(torch.compiler.disable(recursive=False)(lambda x: x + 3))


@row('@torch.compiler.disable(reason="...")')
def _disabled_with_a_reason() -> None:
    _breaks_once(torch.compiler.disable(lambda x: x + 3, reason="it is odd"))


@row("torch._dynamo.error_on_graph_break(True)")
def _error_on_break() -> None:
    disabled = torch.compiler.disable(lambda x: x + 3)
    with torch._dynamo.error_on_graph_break(True):
        _breaks_once(disabled)


@row("torch._dynamo.graph_break()")
def _graph_break() -> None:
    def f(x: Any) -> Any:
        x = x + 1
        torch._dynamo.graph_break()
        return x * 2

    assert hits(magpy.compile(f, backend="eager"), X)["graph_breaks"] == 0


@row("@torch.compiler.allow_in_graph", "nested_compile_region")
def _regions() -> None:
    for mark in (torch.compiler.allow_in_graph, torch.compiler.nested_compile_region):
        marked = mark(lambda x: x + 1)
        compiled = magpy.compile(lambda x, g=marked: g(x) * 2, backend="eager")
        assert hits(compiled, X)["graphs"] == 1


@row("@torch.compiler.assume_constant_result")
def _assumed_constant() -> None:
    state = {"n": 4}
    constant = torch.compiler.assume_constant_result(lambda: state["n"])
    compiled = magpy.compile(lambda x: x * constant(), backend="eager")
    hits(compiled, X)
    state["n"] = 5
    assert torch.equal(compiled(X), X * 5)


@row("@torch.compiler.substitute_in_graph(f)")
def _substituted() -> None:
    original = _to_be_substituted
    torch.compiler.substitute_in_graph(original)(lambda x: x * 100)
    compiled = magpy.compile(lambda x: original(x) + 1, backend="eager")
    assert hits(compiled, X)["graphs"] == 1
    assert torch.equal(compiled(X), X * 2 + 1)


def _to_be_substituted(x: Any) -> Any:
    return x * 2


@row("torch.compiler.is_dynamo_compiling(), is_exporting()")
def _other_questions() -> None:
    def f(x: Any) -> Any:
        asked = torch.compiler.is_dynamo_compiling(), torch.compiler.is_exporting()
        return x + sum(asked)

    compiled = magpy.compile(f, backend="eager")
    hits(compiled, X)
    assert torch.equal(compiled(X), X)


@row("torch.compiler.is_compiling()")
def _is_compiling() -> None:
    compiled = magpy.compile(
        lambda x: x + int(torch.compiler.is_compiling()), backend="eager"
    )
    hits(compiled, X)
    assert torch.equal(compiled(X), X)


@row("torch.compiler.cudagraph_mark_step_begin()")
def _mark_step() -> None:
    compiled = magpy.compile(double, backend="eager")
    kept = []
    for n in range(3):
        torch.compiler.cudagraph_mark_step_begin()
        kept.append(compiled(X * n))
    assert [each[0].item() for each in kept] == [1, 3, 5]


@row("torch._dynamo.mark_dynamic(x, 0)")
def _marks() -> None:
    compiled = magpy.compile(double, backend="eager", dynamic=False)
    for n in range(2, 6):
        x = torch.ones(n)
        torch._dynamo.mark_dynamic(x, 0)
        compiled(x)
    assert magpy.stats(compiled)["recordings"] == 1


# -- Looking inside ----------------------------------------------------------------------


@row("torch._dynamo.explain(f)(x)")
def _explain() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        if y.sum() > 0:
            y = y + 1
        return y

    found = magpy.explain(f)(X)
    theirs = torch._dynamo.explain(f)(X)
    torch._dynamo.reset()
    for name in vars(theirs):
        assert hasattr(found, name), name
    assert found.graph_count == len(found.graphs) == 2
    assert found.ops_per_graph[0][0] == "mul"
    assert found.op_count == sum(map(len, found.ops_per_graph))
    assert torch.equal(found.graphs[0](X)[0], X * 2)
    assert [each.reason for each in found.break_reasons] == ["host-read"]
    assert found.out_guards == found.guards
    assert found.compile_times["record"] > 0
    page = found._repr_html_()
    assert page.count("<details>") == len(found.segments) + 1
    assert "&gt;" in page
    tags = set(re.findall(r"<(\w+)", page))
    assert tags == {*"pre details summary code div svg g title rect text line".split()}
    assert json.loads(json.dumps(found.to_dict()))["breaks"][0]["reason"] == "host-read"


@row("torch._dynamo.utils.counters")
def _counters() -> None:
    before = magpy.stats()
    first, second = (magpy.compile(double, backend="eager") for _ in range(2))
    hits(first, X)
    hits(second, X)
    after = magpy.stats()
    assert after.keys() == magpy.stats(first).keys()
    assert after["hits"] - before["hits"] == 4
    assert after["recordings"] - before["recordings"] == 2

    from torch._dynamo.utils import counters

    counters.clear()
    hits(magpy.compile(lambda x: x - 3, backend="eager"), X)
    assert dict(counters["stats"]) == {"unique_graphs": 1, "calls_captured": 1}
    counters.clear()


def _told(variable: str, value: str) -> str:
    env = {**os.environ, variable: value}
    code = OFF.replace("print", "f(torch.ones(2).double()); print")
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env=env, capture_output=True, text=True, check=True)
    return done.stderr


@row('TORCH_LOGS="recompiles,graph_breaks"')
def _logs() -> None:
    assert "[__recompiles]" in _told("TORCH_LOGS", "recompiles")
    assert "[magpy.recompiles]" in _told("MAGPY_LOGS", "recompiles")


@row("TORCH_TRACE=DIR", "tlparse")
def _traces() -> None:  # test_shown.py reads both
    with tempfile.TemporaryDirectory() as folder:
        _told("TORCH_TRACE", folder)
        (log,) = Path(folder).glob("*.log")
        assert "dynamo_output_graph" in log.read_text()


@row("torch._dynamo.config.recompile_limit")
def _limit_of_torch() -> None:
    compiled = magpy.compile(double, backend="eager", dynamic=False)
    with torch._dynamo.config.patch(recompile_limit=1):
        for n in range(2, 5):
            compiled(torch.ones(n))
    assert magpy.stats(compiled)["recordings"] == 3
    with magpy.config.patch(max_entries=1):
        compiled = magpy.compile(double, backend="eager", dynamic=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in range(2, 5):
            compiled(torch.ones(n))
    assert magpy.stats(compiled)["recordings"] == 1


@row("torch._dynamo.config.suppress_errors")
def _errors() -> None:
    def failing(gm: Any, inputs: Any) -> Any:
        raise ValueError("no")

    compiled = magpy.compile(double, backend=failing)
    compiled(X)
    with pytest.warns(magpy.MagpyWarning, match="no"):
        assert torch.equal(compiled(X), double(X))


# -- The page ------------------------------------------------------------------------------


def test_every_row_of_the_page_has_a_test() -> None:
    page = PAGE.read_text()
    firsts = re.findall(r"^\| (`.*?) \| ", page, re.MULTILINE)
    assert [first.replace("`", "") for first in firsts] == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_row(name: str) -> None:
    ROWS[name]()
