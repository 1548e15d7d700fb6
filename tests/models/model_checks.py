"""What every model must pass: one graph, equal to eager, right after state changes.

The compiled and the eager model are built alike and get equal inputs; after every call
the oracle compares outputs, all parameters and buffers, and what the model stored on
itself.  The backend is the eager one with a counter, so results are bitwise equal, or that
of ``--backend``.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

import magpy
from magpy_experiments.models import zoo as models
from magpy_experiments.models.zoo import Spec
from oracle import BACKEND, TOLERANCE, Pair, World, torch_compile

Inputs = Callable[[World], tuple[tuple[Any, ...], dict[str, Any]]]


class CountingBackend:
    """Runs graphs as they are and remembers them."""

    def __init__(self) -> None:
        self.graphs: list[Any] = []

    def __call__(self, gm: Any, example_inputs: Any) -> Callable[..., Any]:
        self.graphs.append(gm)
        return gm.forward


def model_view(model: nn.Module) -> list[Any]:
    """All that the modules hold but their many empty tables and global hook numbers."""

    def shown(name: str, value: Any) -> Any:
        hooks = name.endswith("_hooks") and isinstance(value, dict)
        return list(value.values()) if hooks else value

    return [
        [
            name,
            {
                key: shown(key, value)
                for key, value in vars(module).items()
                if key != "_modules" and not (isinstance(value, dict) and not value)
            },
        ]
        for name, module in model.named_modules()
    ]


def _entries(compiled: Any) -> list[dict[str, Any]]:
    """The engine's entries of a compiled module."""
    found: list[dict[str, Any]] = compiled.__call__.entries()
    return found


class ModelPair(Pair):
    def __init__(self, spec: Spec, **kwargs: Any) -> None:
        self.spec = spec
        self.kwargs = kwargs
        self.backend = CountingBackend()
        self.seed = 0
        self.original = spec.module()
        super().__init__(
            self.build,
            self.compile,
            magpy.stats,
            keep=2,
            tolerance=TOLERANCE,
        )

    def compile(self, model: nn.Module) -> Any:
        if BACKEND != "eager":
            return torch_compile(model)
        return magpy.compile(model, backend=self.backend)

    def build(self) -> World:
        model = copy.deepcopy(self.original)
        return World(model, model, model_view)

    def new_inputs(self) -> tuple[str, Inputs]:
        """Equal tensors for both worlds, and other ones at each call."""

        def inputs(world: World) -> tuple[tuple[Any, ...], dict[str, Any]]:
            if world is self.eager:
                self.seed += 1
            torch.manual_seed(self.seed)  # of what dropout will draw
            args, kwargs = self.spec.inputs(self.seed)
            return args, {**kwargs, **self.kwargs}

        return "new inputs", inputs

    def settle(self, hits: int = 1) -> None:
        self.stable([self.new_inputs()], hits)

    def assert_no_fallback(self) -> None:
        """Only the first call may break, where a run that is told more is whole."""
        stats = self.stats()
        told = any(e["is_compiling"] for e in _entries(self.compiled))
        assert stats["fallbacks"] <= told, self.history()
        assert told or stats["graph_breaks"] == 0, self.history()


def check_one_graph(spec: Spec, fallbacks: bool = False, **kwargs: Any) -> None:
    """One graph serves all calls once the model is stable."""
    pair = ModelPair(spec, **kwargs)
    pair.settle(hits=2)
    if not fallbacks:
        pair.assert_no_fallback()
    stats, entries = magpy.stats(pair.compiled), _entries(pair.compiled)
    told = [e for e in entries if e["is_compiling"]]
    if told:  # the first call broke: what is left of it must not answer
        made = sum(e["graph"] is not None for e in told) + stats["partial_hits"]
    else:
        made = stats["graphs"]
    assert made == 1, f"{made} graphs\n{pair.history()}"


# -- Changes of state -----------------------------------------------------------------


def _holders(model: nn.Module) -> list[str]:
    """Names of the modules that hold parameters themselves."""
    return [
        name for name, module in model.named_modules() if name and module._parameters
    ]


def scale_parameter_in_place(model: nn.Module) -> None:
    module = model.get_submodule(_holders(model)[0])
    with torch.no_grad():
        next(module.parameters()).mul_(1.5)


def replace_parameter(model: nn.Module) -> None:
    module = model.get_submodule(_holders(model)[0])
    name, old = next(module.named_parameters())
    setattr(module, name, nn.Parameter(old.detach() * 0.5))


def replace_submodule(model: nn.Module) -> None:
    """The last module with parameters becomes another one of the same shape."""
    parent_name, _, child = _holders(model)[-1].rpartition(".")
    parent = model.get_submodule(parent_name)
    new = copy.deepcopy(parent._modules[child])
    with torch.no_grad():
        for parameter in new.parameters(recurse=False):
            parameter.mul_(0.8).add_(0.01)
    setattr(parent, child, new)


def change_attribute(model: nn.Module) -> None:
    """The first number that forward reads and shapes do not depend on, or a bias."""
    for module in model.modules():
        for name in ("eps", "variance_epsilon", "scale"):
            if isinstance(vars(module).get(name), float):
                setattr(module, name, getattr(module, name) * 1000)
                return
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.bias is not None:
            module.bias = None
            return
    raise LookupError("nothing to change")


def flip_training(model: nn.Module) -> None:
    model.train(not model.training)


def flip_one_training_flag(model: nn.Module) -> None:
    """Of a single leaf, as frozen batch norms do."""
    leaf = [m for m in model.modules() if not list(m.children())][-1]
    leaf.training = not leaf.training


CHANGES = [
    scale_parameter_in_place,
    replace_parameter,
    replace_submodule,
    change_attribute,
    flip_training,
    flip_training,
    flip_one_training_flag,
]


def check_changes(spec: Spec, eager_in_training: bool = False) -> None:
    """eager_in_training: its training path reads tensor values, so it cannot hit."""
    pair = ModelPair(spec)
    pair.settle()
    for change in CHANGES:
        pair.change(change.__name__, lambda world, change=change: change(world.fn))
        if eager_in_training and pair.eager.fn.training:
            pair.call(*pair.new_inputs())
        else:
            pair.settle()
    if spec.uses_global:
        with changed_global(spec.uses_global, 0.5):
            pair.steps.append(f"change: {spec.uses_global}")
            pair.settle()
        pair.steps.append(f"restored: {spec.uses_global}")
        pair.settle()
    if not eager_in_training:
        pair.assert_no_fallback()


@contextlib.contextmanager
def changed_global(name: str, value: float) -> Iterator[None]:
    before = getattr(models, name)
    setattr(models, name, value)
    try:
        yield
    finally:
        setattr(models, name, before)


# -- Gradients ------------------------------------------------------------------------


def _loss(outcome: tuple[str, Any]) -> torch.Tensor:
    kind, result = outcome
    assert kind == "returned", result
    leaves = torch.utils._pytree.tree_leaves(result)
    if isinstance(result, dict):  # ModelOutput is a dict that pytree may not know
        leaves = torch.utils._pytree.tree_leaves(dict(result))
    floats = [t for t in leaves if isinstance(t, torch.Tensor) and t.requires_grad]
    assert floats, "no output needs a gradient"
    return sum((t * t).mean() for t in floats)


def check_gradients(spec: Spec) -> None:
    """Grad mode on: hits give outputs that backward goes through as in eager."""
    pair = ModelPair(spec)
    for step in range(5):
        hit = pair.call(*pair.new_inputs())
        assert hit or step < 3, pair.history()
        for world in (pair.eager, pair.fast):
            world.fn.zero_grad(set_to_none=True)
            _loss(world.seen[-1][0]).backward()
        pair.compare()  # describes every parameter's .grad
    pair.assert_no_fallback()
