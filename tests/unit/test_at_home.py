"""What libraries ask of a model that `torch.compile` may have made."""

import copy
import functools
import inspect
import pickle
import sys
import types

import pytest

pytest.importorskip("torch")

import torch

import magpy
from magpy.module import CompiledModule

eager = functools.partial(magpy.compile, backend="eager")


class Net(torch.nn.Module):
    def __init__(self, value=1.0):
        super().__init__()
        self.w = torch.nn.Parameter(torch.full((2,), value))

    def forward(self, x, scale=1.0):
        return x * self.w * scale

    def training_step(self, batch, index):
        return self(batch).sum() + index


class Longer(Net):
    def __len__(self):
        return 7


X = torch.ones(2)


def test_the_class_is_that_of_the_original():
    net = Net()
    model = eager(net)
    assert isinstance(model, Net)
    assert isinstance(model, CompiledModule)
    assert not isinstance(model, torch.nn.Linear)
    assert model.__class__ is Net
    assert type(copy.deepcopy(model)) is type(model)
    net.__class__ = Longer
    assert isinstance(model, Longer)
    assert inspect.signature(type(model).forward) == inspect.signature(Net.forward)


def test_a_run_asks_for_the_class():
    parts = [eager(Net()), eager(torch.nn.Linear(2, 2)), torch.nn.ReLU()]

    def count(x):
        nets = sum(isinstance(part, Net) for part in parts)
        kinds = [part.__class__.__name__ for part in parts]
        return x + nets, kinds, hasattr(parts[0], "_orig_mod")

    fast = eager(count)
    for _ in range(4):
        assert str(fast(X)) == str(count(X))
    assert magpy.stats(fast)["hits"] == 3
    parts[1]._magpy_original.__class__ = Net
    assert str(fast(X)) == str(count(X))
    parts[2].__class__ = Net
    assert str(fast(X)) == str(count(X))


def test_the_original_is_taken_out_and_put_back():
    net = Net()
    model = eager(net)
    assert model._orig_mod is net
    model(X)
    model._orig_mod = model._orig_mod
    model(X)
    assert magpy.stats(model)["calls"] == 2
    model._orig_mod = Longer(3.0)
    assert torch.equal(model(X), X * 3)
    assert len(model) == 7
    assert isinstance(model, Longer)
    assert "_orig_mod" not in dict(model.named_modules())
    assert list(model.state_dict()) == ["w"]


@pytest.fixture
def lightning(monkeypatch):
    """A library with a class whose modules a trainer compiles step by step."""
    import torch._dynamo.eval_frame

    class LightningModule(torch.nn.Module):
        made: list[type] = []

        def __init_subclass__(cls):
            cls.made.append(cls)

    home = types.ModuleType("lightning.pytorch")
    home.LightningModule = LightningModule  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lightning.pytorch", home)
    return LightningModule


def test_a_trainer_compiles_the_steps(lightning):
    from torch._dynamo import OptimizedModule

    class Lit(Net, lightning):
        pass

    net = Lit()
    model = eager(net)
    assert isinstance(model, OptimizedModule)
    assert isinstance(model, Lit)
    assert isinstance(model, lightning)
    assert model.__class__ is model.__class__
    assert model.__class__.__name__ == "Lit"
    assert type(model.__class__()) is Lit
    assert lightning.made == [Lit]
    # as Lightning's `from_compiled`
    original = model._orig_mod
    assert original is net
    original.forward = model.dynamo_ctx(original.forward)
    original.training_step = model.dynamo_ctx(original.training_step)
    for n in range(4):
        assert original.training_step(X, 1).item() == 3, n
    assert magpy.stats(original.training_step)["hits"] == 3


def test_other_modules_are_no_modules_of_torch_compile(lightning):
    from torch._dynamo import OptimizedModule

    model = eager(Net())
    assert not isinstance(model, OptimizedModule)
    assert model.__class__ is Net


def test_a_model_is_pickled_as_before():
    model = eager(Net(2.0))
    twin = pickle.loads(pickle.dumps(model))
    assert isinstance(twin, Net)
    assert torch.equal(twin(X), model(X))


class Hooks:
    def step(self, batch, batch_idx):
        """Say what a step does."""
        return batch


def test_a_run_looks_at_a_compiled_function():
    hooks = Hooks()
    hooks.step = eager(hooks.step)  # type: ignore[method-assign]

    def look(x):
        step = hooks.step
        names = inspect.getfullargspec(step.__wrapped__).args
        asked = [callable(step), hasattr(step, "__wrapped__"), step.__self__ is hooks]
        return x + len(names), names, asked, step.__name__, step.__doc__

    fast = eager(look)
    for _ in range(4):
        assert str(fast(X)) == str(look(X))
    assert (magpy.stats(fast)["hits"], magpy.stats(fast)["graph_breaks"]) == (3, 0)
    hooks.step = eager(Hooks().step)  # type: ignore[method-assign]
    assert str(fast(X)) == str(look(X))


def test_a_run_asks_a_compiled_function_for_its_counters():
    plain = eager(lambda x: x + 1)

    def look(x):
        return plain.stats()["calls"], plain(x)

    fast = eager(look)
    for n in range(4):
        plain(X)
        assert fast(X)[0] == n + 1
    assert magpy.stats(fast)["breaks"] == {"opaque-type": 1}
