"""Tensor programs beside eager: results, memory, gradients, random numbers, modes.

A case is a program of a text table (see `oracle.cases`).  In both worlds each call starts
from the same seed; after it the outputs that require gradients are differentiated, and
the random generator and torch's modes are compared together with everything that the
oracle compares.  With the eager backend all of it is bitwise; ``--backend inductor`` asks
for the same within a tolerance.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import torch

import magpy
from oracle import TOLERANCE, Case, Pair, World, evaluated, executed, torch_compile

#: In front of every program.  `t(2, 3)` is a new tensor at each call, the same ones in
#: both worlds; `fixed(2, 3)` is always the same, `fresh(2, 3)` an inference tensor.  If the
#: program defines `around`, calls are made inside the context manager that it makes.
PRELUDE = """
import torch
import torch.nn.functional as F
from torch import nn
_numbers = torch.Generator().manual_seed(0)
def t(*shape):
    return torch.randn(*shape, generator=_numbers)
def fixed(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))
def fresh(*shape):
    with torch.inference_mode():
        return t(*shape)
torch.manual_seed(0)
"""


def _tensors(value: Any, found: list[torch.Tensor], seen: set[int]) -> None:
    """Every tensor in a result, in a fixed order; runs no code of the program."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, dict):
        for item in dict.values(value):
            _tensors(item, found, seen)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _tensors(item, found, seen)
    elif not isinstance(value, (type, BaseException, torch.nn.Module)):
        _tensors(getattr(value, "__dict__", {}), found, seen)


def differentiate(result: Any, first: int = 0, step: int = 1) -> str:
    """Backward through outputs, those at `first`, `first + step`... if there are enough.

    Leaves receive their gradients.
    """
    found: list[torch.Tensor] = []
    _tensors(result, found, set())
    found = found[first % max(len(found), 1) :: step]
    with torch.enable_grad(), torch.inference_mode(False):
        losses = []
        for t in found:
            if t.requires_grad and not t.is_leaf:
                real = torch.view_as_real(t.resolve_conj()) if t.is_complex() else t
                losses.append((real * (len(losses) + 1)).sin().sum())
        if not losses:
            return "none"
        try:
            torch.autograd.backward(losses)
        except RuntimeError as error:
            return f"raised {str(error)[:60]}"
    return f"{len(losses)} outputs"


def _modes() -> str:
    rng = hashlib.sha1(torch.get_rng_state().numpy().tobytes()).hexdigest()
    return (
        f"rng {rng} grad {torch.is_grad_enabled()}"
        f" inference {torch.is_inference_mode_enabled()}"
        f" autocast {torch.is_autocast_enabled('cpu')}"
        f" {torch.get_autocast_dtype('cpu')} default {torch.get_default_dtype()}"
        f" deterministic {torch.are_deterministic_algorithms_enabled()}"
    )


class TorchWorld(World):
    """A world whose calls are seeded, and differentiated afterwards."""

    number = 0

    def call(self, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.number += 1
        torch.manual_seed(self.number)
        around = self.state.get("around", contextlib.nullcontext)
        with around():
            super().call(fn, args, kwargs)
        outcome = self.seen[-1][0]
        modes = _modes()
        self.seen[-1] = (*self.seen[-1], modes, differentiate(outcome[1]))


def _level(number: int) -> None:
    """What two worlds share, so that both make the same modules and the same hooks."""
    torch.manual_seed(number)
    torch.utils.hooks.RemovableHandle.next_id = 1000 * number


class TorchPair(Pair):
    def change(self, label: str, action: Callable[[World], Any]) -> None:
        number = len(self.steps) + 1

        def leveled(world: World) -> None:
            _level(number)
            action(world)

        super().change(label, leveled)


def _build(case: Case) -> TorchWorld:
    _level(0)
    world = dataclasses.replace(case, source=PRELUDE + case.source).build()
    return TorchWorld(world.fn, world.state)


@contextlib.contextmanager
def _modes_restored():
    """A program may leave torch in another mode."""
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    deterministic = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        torch.use_deterministic_algorithms(deterministic)


def fullgraph_reason(fn: Callable[..., Any], *args: Any) -> str:
    """The reason that a call under ``fullgraph=True`` raises."""
    with pytest.raises(magpy.Unsupported) as caught:
        magpy.compile(fn, backend="eager", fullgraph=True)(*args)
    return caught.value.reason


@_modes_restored()
def check_torch(case: Case, *, whole: bool = True) -> Pair:
    """Run a case: until stable, two hits, then each change and again.

    whole: hits must answer whole calls.
    """
    pair = TorchPair(
        lambda: _build(case),
        torch_compile,
        magpy.stats,
        keep=4,
        tolerance=TOLERANCE,
        whole=whole,
    )
    calls = [(text, evaluated(text)) for text in case.calls]

    def round_of_calls(hit: bool, hits: int) -> None:
        if hit:
            return pair.stable(calls, hits)
        for _ in range(3):
            for label, inputs in calls:
                pair.call(label, inputs)
        return None

    round_of_calls(case.hit, 2)
    for statement, hit in case.changes:
        pair.change(statement, executed(statement))
        round_of_calls(case.hit and hit, 1)
    return pair
