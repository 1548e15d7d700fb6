"""Prove that a recorded graph is the graph for other numbers, too.

What the program saw of its tensors besides numbers (how many dimensions, how many results)
and what it was told of sizes must be the same, and nothing may raise that did not.  So it
runs on fake tensors with symbols for sizes and numbers.  What torch asks of a symbol on the
way becomes a guard; where it asks for more than a guard can tell, there is no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from magpy import graph
from magpy.shapes.sizes import Run, reason
from magpy.shapes.terms import Term, UntranslatableError, evaluate, pin
from magpy.shapes.world import Layout, World

if TYPE_CHECKING:
    from magpy.graph import Spec


@dataclass
class Proof:
    """What a graph is good for.

    Attributes:
        guards: what must hold.
        why: why the numbers must be what they were, "" if they may vary.
    """

    guards: list[Term] = field(default_factory=list)
    why: str = ""


def varies(spec: Spec) -> bool:
    """Has the graph anything that varies?"""
    return bool(spec[3].get("numbers") or spec[3].get("dynamic"))


def layouts(spec: Spec) -> dict[int, Layout]:
    """Return the recorded layouts of inputs that have symbols for sizes."""
    return {i: Layout(*row) for i, row in (spec[3].get("dynamic") or {}).items()}


def prove(spec: Spec, inputs: Sequence[Any]) -> Proof:
    """Run the graph on fakes, and say what that has assumed.

    Args:
        spec: the recorded graph, with what its inputs were then.
        inputs: those of the call that it is compiled for, which may have other sizes.
    """
    ops, _, _, notes = spec
    if notes.get("odd"):
        return Proof(pins(spec), "no fake stands for a tensor that is not dense")
    world = World()
    run = Run(world)
    try:
        enter(spec, inputs, run)
        with world.entered():
            for op in ops:
                run.op(*op)
            answered = _answered(notes.get("sizes", ()), run)
        guards = world.guards() + answered
        _check(guards, spec)
        return Proof(guards)
    except Exception as error:
        from magpy._engine import raised_by_signal

        if raised_by_signal(error):
            raise
        return Proof(pins(spec), reason(error))


def enter(spec: Spec, inputs: Sequence[Any], run: Run) -> None:
    """Give a run the inputs and numbers of a graph."""
    known = layouts(spec)
    for i, x in enumerate(inputs):
        if isinstance(x, torch.Tensor):
            run.values[i] = run.world.fake(x, known.get(i), i)
    with run.world.entered():
        for k, row in sorted((spec[3].get("numbers") or {}).items()):
            run.number(k, row, row[2] if row[0] == "INPUT" else None)


def _answered(answers: Any, run: Run) -> list[Term]:
    """Check what the recording was told of sizes and strides."""
    guards: list[Term] = []
    for index, terms, strides in answers:
        x = run.values[index]
        if x.dim() != len(terms):
            raise NotImplementedError("another number of dimensions")
        numbers = [*zip(x.size(), terms, strict=True)]
        numbers += zip(x.stride(), strides or (), strict=strides is not None)
        for number, term in numbers:
            if term is None:  # it depends on data
                continue
            found = run.world.term(number)
            if found != term:
                guards.append(("EQ", term, found))
    return guards


def _check(guards: Sequence[Term], spec: Spec) -> None:
    """Did what must hold hold while the run was recorded?"""
    known, values = layouts(spec), recorded_values(spec)

    def leaf(term: Any) -> Any:
        return values[term] if isinstance(term, int) else known[term[1]].value(term)

    for guard in guards:
        if not evaluate(guard, leaf):
            raise UntranslatableError(f"{guard} did not hold")


# -- Everything as it was --------------------------------------------------------------


def pins(spec: Spec) -> list[Term]:
    """Return the guards that all numbers are what they were while recording."""
    notes = spec[3]
    guards: list[Term] = []
    for i, layout in layouts(spec).items():
        guards += [pin(("SIZE", i, d), layout.sizes[d]) for d in layout.dims]
        guards += [pin(("STRIDE", i, d), s) for d, s in enumerate(layout.strides)]
    for k, row in (notes.get("numbers") or {}).items():
        if row[0] == "INPUT":
            guards.append(pin(k, row[2]))
        elif row[0] == "OFFSET":
            guards.append(pin(row, layouts(spec)[row[1]].value(row)))
    return guards


def recorded_values(spec: Spec) -> dict[int, float]:
    """Return what the numbers were while recording."""
    known = layouts(spec)
    values: dict[int, float] = {}
    for k, row in sorted((spec[3].get("numbers") or {}).items()):
        name, *operands = row
        if name in ("INT", "FLOAT"):
            values[k] = operands[0]
        elif name == "INPUT":
            values[k] = operands[1]
        elif name in ("SIZE", "STRIDE", "OFFSET"):
            values[k] = known[operands[0]].value(row)
        else:
            values[k] = graph.arithmetic(name)(*[values[at] for at in operands])
    return values


# -- The call that the graph is compiled for -------------------------------------------


def live_values(rows: Mapping[int, Any], inputs: Sequence[Any]) -> dict[int, float]:
    """Return what the numbers are for these inputs."""
    values: dict[int, float] = {}
    for k, row in sorted(rows.items()):
        name, *operands = row
        if name in ("INT", "FLOAT"):
            values[k] = operands[0]
        elif name == "INPUT":
            values[k] = inputs[operands[0]]
        elif name in ("SIZE", "STRIDE", "OFFSET"):
            values[k] = _of_tensor(row, inputs)
        else:
            values[k] = graph.arithmetic(name)(*[values[at] for at in operands])
    return values


def _of_tensor(term: Any, inputs: Sequence[Any]) -> int:
    name, i, *index = term
    reads: Mapping[str, Callable[..., int]] = {
        "SIZE": torch.Tensor.size,
        "STRIDE": torch.Tensor.stride,
        "OFFSET": torch.Tensor.storage_offset,
    }
    return reads[name](inputs[i], *index)


def holds(guards: Sequence[Term], spec: Spec, inputs: Sequence[Any]) -> bool:
    """Do the guards hold for these inputs?"""
    values = live_values(spec[3].get("numbers") or {}, inputs)

    def leaf(term: Any) -> Any:
        return values[term] if isinstance(term, int) else _of_tensor(term, inputs)

    try:
        return all(evaluate(guard, leaf) for guard in guards)
    except (ArithmeticError, ValueError):
        return False
