"""Public verbs, knobs, logs and messages, with a stand-in engine.

The stand-in has the interface of engine/call/dispatch.h and does what each test tells it.
"""

from __future__ import annotations

import copy
import gc
import inspect
import logging
import pickle
import types
import warnings
from importlib.util import find_spec

import pytest

import magpy
from magpy import _setup, api, logs
from magpy._session import Session
from magpy.backends import Backend, Settings
from magpy.config import Config, config
from magpy.errors import Unsupported

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")


class FakeCompiled:
    """A CompiledFunction that only calls through and keeps its arguments."""

    def __init__(self, fn, wrapped=None, **keywords):
        if isinstance(fn, types.BuiltinFunctionType):
            raise TypeError("ends in no Python function")
        self.__wrapped__ = wrapped or fn
        self.keywords = keywords
        self.calls = self.resets = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.__wrapped__(*args, **kwargs)

    def __get__(self, obj, owner=None):
        return self if obj is None else types.MethodType(self, obj)

    def stats(self):
        return {"calls": self.calls, "recordings": min(self.calls, 1)}

    def entries(self):
        return [{"id": 1, "guards": ["x is 1"], "effects": ["return 2"], "ambient": []}]

    def reset(self):
        self.resets += 1

    def set_verify(self, every, verifier=None):
        pass

    def event(self, event, **info):
        self.keywords["on_event"](event, info)


ABORT = {
    "reason": "host-read",
    "what": "Python asked for the value of a tensor",
    "detail": "bool",
    "file": __file__,
    "line": 1,
    "hint": "use torch.where",
    "kind": "fundamental",
}


@pytest.fixture
def engine(monkeypatch):
    fake = types.SimpleNamespace(CompiledFunction=FakeCompiled, Value=object)
    monkeypatch.setattr(_setup, "_status", _setup.Status(True, ""))
    monkeypatch.setattr(_setup, "engine", lambda: fake)
    return fake


@pytest.fixture
def log(caplog):
    def switch(spec):
        config.logs = spec
        caplog.set_level(logging.NOTSET)
        return caplog

    yield switch
    config.logs = ""


def double(x):
    return 2 * x


class Doubler:
    def run(self, x):
        return 2 * x

    @magpy.disable
    def plain(self, x):
        return x


# -- compile ---------------------------------------------------------------------------


def test_function(engine):
    compiled = magpy.compile(double)
    assert compiled(3) == 6
    assert compiled.__wrapped__ is double
    assert magpy.stats(compiled)["calls"] == 1


def test_decorator_without_and_with_arguments(engine):
    @magpy.compile
    def f(x):
        return x + 1

    @magpy.compile(backend="eager", fullgraph=True)
    def g(x):
        return x + 1

    assert (f(1), g(1)) == (2, 2)
    assert g.keywords["fullgraph"] is True
    assert f.keywords["fullgraph"] is False


def test_decorated_method_and_bound_method(engine):
    class C:
        k = 2

        @magpy.compile
        def f(self, x):
            return self.k * x

    assert C().f(3) == 6
    assert magpy.stats(C().f)["calls"] == 1
    bound = magpy.compile(Doubler().run)
    assert bound(4) == 8


def test_knobs_reach_the_engine(engine):
    with config.patch(max_entries=3, max_instructions=10):
        compiled = magpy.compile(double)
    assert compiled.keywords["max_entries"] == 3
    assert compiled.keywords["max_instructions"] == 10


def test_disable_flag_returns_the_model(engine):
    assert magpy.compile(double, disable=True) is double
    assert magpy.compile(disable=True)(double) is double


def test_compiling_compiled_starts_from_the_original(engine):
    first = magpy.compile(double)
    second = magpy.compile(first, fullgraph=True)
    assert second.__wrapped__ is double
    assert second.keywords["fullgraph"] is True


def test_callable_without_python_code_gets_a_frame(engine):
    compiled = magpy.compile(len)
    assert compiled([1, 2]) == 2
    assert compiled.__wrapped__ is len
    assert magpy.compile(compiled).__wrapped__ is len


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"fullgraph": 1}, TypeError, "fullgraph must be True or False"),
        ({"disable": None}, TypeError, "disable must be True or False"),
        ({"dynamic": 1}, TypeError, "dynamic must be None, True or False, not int: 1"),
        ({"dynamic": "no"}, TypeError, "dynamic must be None, True or False"),
        ({"mode": 3}, TypeError, "mode must be a string"),
        ({"name": 3}, TypeError, "name must be a string"),
        ({"options": [1]}, TypeError, "options must be a dict"),
        ({"backend": 3}, TypeError, "backend must be a name or a callable"),
        ({"mode": "default", "options": {"a": 1}}, ValueError, "either mode or opt"),
        ({"mode": "max-autotun"}, ValueError, "Did you mean 'max-autotune'"),
        ({"backend": "eager", "options": {"a": 1}}, ValueError, "has no options"),
    ],
)
def test_wrong_arguments(engine, kwargs, error, words):
    with pytest.raises(error, match=words):
        magpy.compile(double, **kwargs)


def test_wrong_models(engine):
    with pytest.raises(TypeError, match="Doubler is a class; pass an instance"):
        magpy.compile(Doubler)
    with pytest.raises(TypeError, match="needs a function"):
        magpy.compile(3)
    with pytest.raises(TypeError, match="does not come from magpy.compile"):
        magpy.stats(double)


# -- the engine is off -----------------------------------------------------------------


@pytest.fixture
def engine_off(monkeypatch):
    monkeypatch.setattr(_setup, "_status", None)
    monkeypatch.setattr(
        _setup, "_start", lambda: _setup.Status(False, "unknown CPython")
    )


def test_engine_off_warns_once_and_runs_eager(engine_off):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compiled = magpy.compile(double)
        magpy.compile(double)
    assert len(caught) == 1
    assert "MagPy is off" in str(caught[0].message)
    assert "unknown CPython" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert compiled(2) == 4
    counted = magpy.stats(compiled)
    assert counted["fallbacks"] == counted["calls"] == 1
    assert counted["reasons"] == {"engine-off": 1}
    assert compiled.__name__ == "double"


@pytest.mark.filterwarnings("ignore:MagPy is off")
def test_engine_off_and_fullgraph(engine_off):
    with pytest.raises(Unsupported, match="MagPy is off") as caught:
        magpy.compile(double, fullgraph=True)
    assert caught.value.reason == "engine-off"


def test_switched_off_by_knob(engine):
    with config.patch(enabled=False):
        compiled = magpy.compile(double, fullgraph=True)
        assert compiled(1) == 2
        assert magpy.stats(compiled)["reasons"] == {"config": 1}
    assert [compiled(1), compiled(1)] == [2, 2]  # on again
    counted = magpy.stats(compiled)
    assert counted["reasons"] == {"config": 1}
    assert (counted["calls"], counted["recordings"]) == (3, 1)
    assert compiled.entries()
    compiled.reset()
    assert magpy.stats(compiled)["reasons"] == {}


@needs_torch
def test_torch_version_gate(monkeypatch):
    available = types.SimpleNamespace(
        supported=lambda: (True, None),
        _set_enabled=lambda on: None,
        _set_compiling=lambda on: None,
        _set_flow=lambda on: None,
    )
    monkeypatch.setattr(_setup, "engine", lambda: available)
    monkeypatch.setattr(_setup, "torch_version", lambda: (2, 4))
    state = _setup._start()
    assert not state.enabled
    assert "torch 2.4 is not supported" in state.reason


# -- events ----------------------------------------------------------------------------


def test_abort_is_logged_and_kept(engine, log):
    caplog = log("breaks")
    compiled = magpy.compile(double)
    compiled.event("abort", **ABORT)
    compiled.event("abort", **ABORT)
    text = caplog.records[0].getMessage()
    assert text.splitlines() == [
        "double: Python asked for the value of a tensor: bool",
        f'  File "{__file__}", line 1',
        '    """Public verbs, knobs, logs and messages, with a stand-in engine.',
        "  Hint: use torch.where",
        "  reason: host-read",
    ]
    session = api._sessions[compiled]
    assert [each.reason for each in session.breaks] == ["host-read"]


def test_fullgraph_exception(engine):
    compiled = magpy.compile(double, fullgraph=True, name="step")
    error = compiled.keywords["on_abort"](ABORT)
    assert isinstance(error, Unsupported)
    assert (error.reason, error.file, error.line) == ("host-read", __file__, 1)
    assert error.source_line.startswith('"""Public verbs')
    assert error.hint == "use torch.where"
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)


def test_record_and_miss_are_logged(engine, log):
    caplog = log("guards,effects,recompiles")
    compiled = magpy.compile(double)
    compiled.event("record", entry=1, seconds=0.1, instructions=5)
    compiled.event(
        "miss", entry=1, source="x", guard="x == 1", difference="size 2, not 3"
    )
    guards, effects, miss = [record.getMessage() for record in caplog.records]
    assert guards == "double, entry 1:\n  x is 1"
    assert effects == "double, entry 1:\n  return 2"
    assert miss == (
        "double: recorded again because of x: entry 1 needs x == 1 "
        "(found: size 2, not 3)"
    )


def test_compile_failure_warns(engine):
    compiled = magpy.compile(double, backend="eager")
    error = RuntimeError("no such kernel\nsecond line")
    with pytest.warns(RuntimeWarning, match="no such kernel") as caught:
        compiled.event("compile_failed", entry=1, exception=error)
    assert "second line" not in str(caught[0].message)
    assert "MAGPY_VERBOSE_ERRORS" in str(caught[0].message)
    with config.patch(verbose_errors=True), pytest.warns(match="second line"):
        compiled.event("compile_failed", entry=1, exception=error)


def test_graph_raised_is_logged(engine, log):
    caplog = log("breaks")
    magpy.compile(double).event(
        "graph_raised", entry=1, exception=ValueError("bad"), rerun=True
    )
    assert "the graph raised ValueError: bad" in caplog.records[0].getMessage()


# -- the other verbs -------------------------------------------------------------------


def test_stats_have_every_key(engine):
    counted = magpy.stats(magpy.compile(double))
    assert set(counted) == {
        "calls", "hits", "recordings", "graphs", "reused", "graph_breaks",
        "fallbacks",
        "partial_hits", "verified", "diverged", "reasons", "places", "breaks",
        "seconds", "dynamic",
    }  # fmt: skip


def test_reset_reaches_live_objects_only(engine):
    kept, dropped = magpy.compile(double), magpy.compile(double)
    del dropped
    gc.collect()
    magpy.reset()
    assert kept.resets == 1


def test_sessions_die_with_their_objects(engine):
    before = len(api._sessions)
    compiled = magpy.compile(double)
    assert len(api._sessions) == before + 1
    del compiled
    gc.collect()
    assert len(api._sessions) == before


def test_disable_marks_the_function():
    assert Doubler.plain._magpy_disable is True
    assert magpy.disable()(double) is double
    del double._magpy_disable
    one = Doubler()
    assert magpy.disable(one.run) == one.run
    assert one._magpy_disable == (Doubler.run,)
    assert not hasattr(Doubler.run, "_magpy_disable")
    with pytest.raises(TypeError, match="cannot mark"):
        magpy.disable(len)
    with pytest.raises(TypeError, match="needs a callable"):
        magpy.disable(3)
    with pytest.raises(ValueError, match="recursive"):
        magpy.disable(double, recursive=False)


def test_explain_prints(engine):
    explanation = magpy.explain(double)(4)
    assert explanation.result == 8
    assert explanation.guards == ["x is 1"]
    text = str(explanation)
    assert text.startswith("double: 0 graphs, 0 operations, 0 breaks\n")
    assert "effects (1):\n    return 2" in text


def test_signature_of_verbs():
    parameters = inspect.signature(magpy.compile).parameters
    assert list(parameters) == [
        "model", "fullgraph", "dynamic", "backend", "mode", "options", "name",
        "disable", "recompile_limit", "isolate_recompiles", "shapes_spec", "control_flow",
    ]  # fmt: skip
    assert set(magpy.__all__) <= set(dir(magpy))


# -- knobs and logs --------------------------------------------------------------------


def test_knobs():
    assert config.max_entries == 64
    with config.patch(max_entries=2):
        assert config.max_entries == 2
    assert config.max_entries == 64
    with pytest.raises(TypeError, match="must be int, not bool"):
        config.max_entries = True
    with pytest.raises(ValueError, match="at least 1"):
        config.max_entries = 0
    with pytest.raises(AttributeError, match="Did you mean 'max_entries'"):
        config.max_entrys = 3
    with pytest.raises(AttributeError, match="has no knob"):
        _ = config.nothing_like_it
    with pytest.raises(TypeError), config.patch(max_entries=5, enabled=3):
        pass
    assert config.max_entries == 64


def test_knobs_from_the_environment(monkeypatch):
    monkeypatch.setenv("MAGPY_MAX_ENTRIES", "7")
    monkeypatch.setenv("MAGPY_ENABLED", "off")
    fresh = Config()
    assert fresh.max_entries == 7
    assert fresh.enabled is False


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("MAGPY_MAX_ENTRIES", "many", "an integer >= 1"),
        ("MAGPY_MAX_ENTRIES", "0", "an integer >= 1"),
        ("MAGPY_ENABLED", "maybe", "1, true, yes, on, 0, false, no, off"),
    ],
)
def test_bad_environment_warns(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    with pytest.warns(UserWarning, match=words):
        fresh = Config()
    assert fresh.max_entries == 64


def test_log_specs():
    assert logs.parse("guards, +graph,-breaks") == {
        "guards": logging.INFO,
        "graph": logging.DEBUG,
        "breaks": logging.CRITICAL + 1,
    }
    assert set(logs.parse("all")) == set(logs.ARTIFACTS)
    with pytest.warns(UserWarning, match="valid are guards, .* mean 'guards'"):
        assert logs.parse("guard") == {}
    assert not logs.enabled("guards")


# -- modules ---------------------------------------------------------------------------


@pytest.fixture
def net(engine):
    torch = pytest.importorskip("torch")

    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


class Frozen:
    """Mixed into a module class: overrides what a compiled module must honour."""

    kind = "frozen"

    def train(self, mode=True):
        return super().train(False)

    def generate(self, n):
        return n + 1

    def me(self):
        return self


def test_module_call_and_state(net):
    import torch

    compiled = magpy.compile(net)
    assert isinstance(compiled, torch.nn.Module)
    x = torch.randn(4, 3)
    assert compiled(x).shape == (4, 2)
    assert magpy.stats(compiled)["calls"] == 1
    assert vars(compiled) is vars(net)
    assert list(compiled.state_dict()) == list(net.state_dict())
    assert next(compiled.parameters()) is next(net.parameters())
    assert repr(compiled) == repr(net)
    assert inspect.signature(compiled) == inspect.signature(net.forward)
    assert "weight" in dir(compiled[0])


def test_module_methods_act_on_shared_state_and_chain(net):
    import torch

    compiled = magpy.compile(net)
    assert compiled.eval() is compiled
    assert net.training is False
    assert compiled.train() is compiled
    assert compiled.half() is compiled
    assert net[0].weight.dtype is torch.float16
    assert compiled.to(torch.float32) is compiled
    compiled.load_state_dict(net.state_dict())
    compiled.extra = 5
    assert net.extra == 5
    del compiled.extra
    assert not hasattr(net, "extra")
    compiled.training = False
    assert net.training is False


def test_module_container_protocol(net):
    import torch

    compiled = magpy.compile(net)
    assert len(compiled) == 2
    assert compiled[0] is net[0]
    assert list(compiled) == list(net)
    compiled += torch.nn.Sequential(torch.nn.ReLU())
    assert len(net) == 3
    assert type(compiled) is not torch.nn.Sequential
    with pytest.raises(TypeError):
        len(magpy.compile(torch.nn.Linear(1, 1)))


def test_module_overrides_and_unknown_attributes(engine):
    torch = pytest.importorskip("torch")
    kind = type("FrozenNet", (Frozen, torch.nn.Linear), {})
    net = kind(2, 2)
    compiled = magpy.compile(net)
    compiled.train()
    assert net.training is False
    assert compiled.generate(1) == 2
    assert compiled.kind == "frozen"
    assert compiled.me() is compiled
    assert compiled.in_features == 2
    with pytest.raises(AttributeError, match="FrozenNet.*nothing"):
        _ = compiled.nothing


def test_module_hooks_are_shared(net):
    import torch

    compiled = magpy.compile(net)
    seen = []
    handle = compiled.register_forward_hook(lambda *_: seen.append(1))
    compiled(torch.randn(4, 3))
    handle.remove()
    compiled(torch.randn(4, 3))
    assert seen == [1]


def test_module_as_child(net):
    import torch

    parent = torch.nn.ModuleDict({"net": magpy.compile(net)})
    assert "net.0.weight" in parent.state_dict()
    parent.double()
    assert net[0].weight.dtype is torch.float64
    assert "net.0" in dict(parent.named_modules())


def test_module_forward_attribute(net):
    import torch

    compiled = magpy.compile(net)
    x = torch.randn(4, 3)
    for _ in range(3):
        assert torch.equal(compiled.eval().forward(x), net(x))
    assert magpy.stats(compiled.forward)["calls"] == 3
    compiled.forward = lambda x: "mine"
    assert net(x) == "mine"
    del compiled.forward
    assert net(x).shape == (4, 2)


def test_module_copy_and_pickle(net):
    import torch

    compiled = magpy.compile(net.eval(), backend="eager", name="net")
    x = torch.randn(4, 3)
    for twin in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        assert type(twin) is type(compiled)
        assert twin[0].weight is not net[0].weight
        assert torch.equal(twin(x), net(x))
        assert twin._magpy_options == compiled._magpy_options
        assert magpy.stats(twin)["calls"] == 1
    shallow = copy.copy(compiled)
    assert shallow[0] is net[0]


def test_module_recompiled_from_the_original(net):
    compiled = magpy.compile(magpy.compile(net), fullgraph=True)
    assert compiled._magpy_original is net


def test_module_dies_with_its_last_reference(net):
    import weakref

    compiled = magpy.compile(net)
    gone = weakref.ref(compiled)
    del compiled
    gc.collect()
    assert gone() is None


def test_module_class_and_disable(engine):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="Linear is a class"):
        magpy.compile(torch.nn.Linear)

    class Net(torch.nn.Module):
        def forward(self, x):
            return x

    net = Net()
    assert magpy.disable(net) is net
    assert net._magpy_disable == (Net.forward,)
    assert not hasattr(Net.forward, "_magpy_disable")


# -- the compiler callback -------------------------------------------------------------


@needs_torch
def test_session_compiles_sealed(log):
    import random

    import torch

    caplog = log("graph")

    def noisy(gm, inputs, mutated, world):
        torch.manual_seed(5)
        random.seed(5)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        return gm.forward, False

    session = Session("f", Backend("noisy", noisy), fullgraph=False)
    state, python_state = torch.get_rng_state(), random.getstate()
    run, boxed, *_ = session.compile(([], 1, (0,), {}), [torch.ones(2)])
    assert not boxed
    assert torch.equal(run(torch.ones(2))[0], torch.ones(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert random.getstate() == python_state
    assert torch.is_grad_enabled()
    assert torch.get_default_dtype() is torch.float32
    assert "f: 0 operations" in caplog.records[0].getMessage()


def test_settings_default():
    assert Settings().mode is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "eager" in magpy.list_backends()
