"""Prove that a recorded graph is the graph for other numbers, too.

It runs on fake tensors with symbols for sizes and numbers.  What torch asks of a symbol on
the way becomes a guard; where it asks for more than a guard can tell, there is no proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch._dispatch.python import enable_python_dispatcher

from magpy import graph
from magpy.shapes.terms import Term, UntranslatableError, evaluate, pin
from magpy.shapes.world import Layout, World

if TYPE_CHECKING:
    from magpy.graph import Spec

# Code of these packages may run on fakes; the program's may not.
_PACKAGES = ("torch", "_operator", "operator", "builtins", "math")


class Run:
    """Runs recorded operations on fakes, in order.

    Attributes:
        values: what the Values are, by index.
        numbers: what the Numbers are.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.values: dict[int, Any] = {}
        self.numbers: dict[int, Any] = {}

    def number(self, index: int, row: tuple[Any, ...], value: float | None) -> None:
        """Define a number by its row; `value` is that of one that is given."""
        name, *operands = row
        if name in ("INT", "FLOAT"):
            self.numbers[index] = operands[0]
        elif value is not None:
            self.numbers[index] = self.world.number(value, index)
        elif name == "SIZE":
            self.numbers[index] = self.values[operands[0]].size(operands[1])
        elif name == "STRIDE":
            self.numbers[index] = self.values[operands[0]].stride(operands[1])
        elif name == "OFFSET":
            self.numbers[index] = self.values[operands[0]].storage_offset()
        else:
            args = [self.numbers[at] for at in operands]
            self.numbers[index] = graph.arithmetic(name)(*args)

    def op(self, target: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Run one operation."""
        got: Any = None
        for call in graph.as_called(target, args, kwargs):
            target, args, kwargs = call
            if not is_torchs(target):
                raise NotImplementedError(f"{target} is not torch's")
            args = [got if arg is graph.PREVIOUS else self._of(arg) for arg in args]
            kwargs = {key: self._of(arg) for key, arg in kwargs.items()}
            if type(target) is str:
                got = getattr(args[0], target)(*args[1:], **kwargs)
            else:
                got = target(*args, **kwargs)
        self._bind(result, got)

    def _of(self, obj: Any) -> Any:
        kind = type(obj)
        if graph.is_value(obj):
            return self.values[obj.index]
        if graph.is_number(obj):
            return self.numbers[obj.index]
        if kind is tuple or kind is torch.Size:
            return tuple([self._of(item) for item in obj])
        if kind is list:
            return [self._of(item) for item in obj]
        if kind is dict:
            return {key: self._of(value) for key, value in obj.items()}
        if kind is slice:
            parts = (obj.start, obj.stop, obj.step)
            return slice(*[self._of(part) for part in parts])
        if isinstance(obj, tuple) and hasattr(kind, "_fields"):
            return tuple.__new__(kind, [self._of(item) for item in obj])
        return obj

    def _bind(self, tree: Any, got: Any) -> None:
        if graph.is_value(tree):
            self.values[tree.index] = got
        elif isinstance(tree, (tuple, list)):
            if len(tree) != len(got):
                raise NotImplementedError("another number of results")
            for part, item in zip(tree, got, strict=True):
                self._bind(part, item)
        elif isinstance(tree, dict):
            for key, part in tree.items():
                self._bind(part, got[key])


def is_torchs(target: Any) -> bool:
    """Is it an operation of torch's, or one with a kernel for fakes?"""
    if isinstance(target, str):
        return True
    owner = getattr(target, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
        return False
    if isinstance(target, torch.jit.ScriptFunction):
        return False
    module = str(getattr(target, "__module__", None) or "torch")
    return module.partition(".")[0] in _PACKAGES


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
    world = World()
    run = Run(world)
    try:
        given = layouts(spec)
        for i, x in enumerate(inputs):
            if isinstance(x, torch.Tensor):
                run.values[i] = world.fake(x, given.get(i), i)
        with world.mode, enable_python_dispatcher(), torch.no_grad():
            for k, row in sorted((notes.get("numbers") or {}).items()):
                run.number(k, row, row[2] if row[0] == "INPUT" else None)
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


def _answered(answers: Any, run: Run) -> list[Term]:
    """Check what the recording was told of sizes, by the same or by simpler means."""
    guards: list[Term] = []
    for index, terms in answers:
        sizes = run.values[index].shape
        if len(sizes) != len(terms):
            raise NotImplementedError("another number of dimensions")
        for size, term in zip(sizes, terms, strict=True):
            found = run.world.term(size)
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


def reason(error: BaseException) -> str:
    """Word why there is no proof."""
    if isinstance(error, UntranslatableError):
        return f"torch has a condition that guards cannot tell: {error}"
    text = str(error).strip().splitlines()
    return f"its shapes raise {type(error).__name__}: {text[0] if text else ''}"


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
