"""How a recorded graph with numbers is compiled: with symbols, or with constants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from magpy import graph, late
from magpy.shapes import proof
from magpy.shapes.selections import Tried, unfit
from magpy.shapes.sizes import reason
from magpy.shapes.terms import Term, pin
from magpy.shapes.world import Live, World

if TYPE_CHECKING:
    from magpy.backends.base import Backend
    from magpy.graph import Spec


@dataclass
class Case:
    """What a graph becomes for one call.

    Attributes:
        spec: the graph; without numbers if they are constants.
        guards: what must hold.
        why: why they are constants, "" if they are not.
        fits: do the guards hold for this call?
        live: what a compiler works with; None if nothing varies, or nothing is compiled.
        refused: why no compiler may have it, "" if one may.
    """

    spec: Spec
    guards: list[Term] = field(default_factory=list)
    why: str = ""
    fits: bool = True
    live: Live | None = None
    refused: str = ""

    def all_guards(self) -> list[Term]:
        """Return what must hold, with what the compiler has added by now.

        Raises:
            UntranslatableError: one cannot be told.
        """
        added = self.live.guards() if self.live is not None else []
        return list(dict.fromkeys(self.guards + added))

    def after(self, error: Exception, spec: Spec, inputs: Sequence[Any]) -> Case:
        """Return the case to try after a compiler has raised.

        Raises:
            Exception: the error, if there is none.
        """
        from magpy._engine import raised_by_signal

        if self.live is None or raised_by_signal(error):
            raise error
        floats = _refused_floats(error, self.live)
        if floats:
            return self._without(floats, inputs)
        if not self.live.dims and not self.live.numbers:
            return Case(self.spec, self.guards, self.why)  # without symbols of data
        return static(spec, inputs, reason(error), self.guards)

    def _without(self, floats: Iterable[int], inputs: Sequence[Any]) -> Case:
        """Return the case in which some floats are constants."""
        ops, n_inputs, outputs, notes = self.spec
        rows, guards = dict(notes["numbers"]), list(self.guards)
        for k in floats:
            value = inputs[rows[k][1]]
            rows[k] = ("FLOAT", value)
            guards.append(pin(k, value))
        rest = ops, n_inputs, outputs, {**notes, "numbers": rows}
        return Case(rest, guards, live=_live(rest, inputs))


def _refused_floats(error: BaseException, live: Live) -> list[int]:
    """Return the floats of which AOTAutograd can make no tensors, if it says so.

    It puts their names into a state of the process.
    """
    from torch._dynamo import exc
    from torch._dynamo.symbolic_convert import TensorifyState

    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, exc.TensorifyScalarRestartAnalysis):
        seen = seen.__cause__ or seen.__context__
    if seen is None:
        return []
    names = [str(s) for s in live.terms if TensorifyState.should_specialize(str(s))]
    TensorifyState.clear()
    return [k for s, k in live.terms.items() if str(s) in names and isinstance(k, int)]


def of(spec: Spec, inputs: Sequence[Any], backend: Backend) -> Case:
    """Return how `backend` is to compile the graph for these inputs."""
    if not proof.varies(spec):
        return _of_data(Case(spec), inputs, backend)
    proven = proof.prove(spec, inputs)
    if not proof.holds(proven.guards, spec, inputs):
        return Case(spec, proven.guards, proven.why, fits=False)
    if proven.why:
        case = Case(without_numbers(spec, inputs), proven.guards, proven.why)
        return _of_data(case, inputs, backend)
    if not backend.dynamic:
        return static(spec, inputs, f"backend {backend.name!r} takes no symbols")
    if backend.as_recorded:
        return Case(spec, proven.guards)
    live = _live(spec, inputs)
    case = Case(spec, proven.guards, live=live, refused=_unfit(spec, inputs))
    if backend.cuda_graphs:  # its inputs may not be on the CPU
        floats = [live.numbers[i] for i, kind in live.kinds.items() if kind is float]
        return case._without(floats, inputs) if floats else case
    return case


def _depends_on_data(spec: Spec) -> bool:
    """Has it sizes or numbers that are known only when it runs?"""
    notes = spec[3]
    return not notes.get("odd") and bool(notes.get("selects") or late.entries(spec))


def _of_data(case: Case, inputs: Sequence[Any], backend: Backend) -> Case:
    """Return a case without numbers, with symbols for sizes that depend on data."""
    if _depends_on_data(case.spec) and backend.dynamic and not backend.as_recorded:
        case.refused = _unfit(case.spec, inputs)
        case.live = None if case.refused else _live(case.spec, inputs)
    return case


def _unfit(spec: Spec, inputs: Sequence[Any]) -> str:
    """Return why no compiler may have a graph some of whose sizes depend on data."""
    from magpy._engine import raised_by_signal

    ops, _, _, notes = spec
    if not _depends_on_data(spec):
        return ""
    world = World()
    run = Tried(world)
    try:
        proof.enter(spec, inputs, run)
        with world.entered():
            return unfit(run, ops)
    except Exception as error:
        if raised_by_signal(error):
            raise
        return reason(error)


def static(
    spec: Spec, inputs: Sequence[Any], why: str, guards: Sequence[Term] = ()
) -> Case:
    """Return the case in which all numbers are what they are in this call."""
    rows = spec[3].get("numbers") or {}
    pinned = list(guards)
    for i, layout in proof.layouts(spec).items():
        x = inputs[i]
        pinned += [pin(("SIZE", i, d), x.size(d)) for d in layout.dims]
        pinned += [pin(("STRIDE", i, d), s) for d, s in enumerate(x.stride())]
    for k, row in rows.items():
        if row[0] == "INPUT":
            pinned.append(pin(k, inputs[row[1]]))
        elif row[0] == "OFFSET":
            pinned.append(pin(row, inputs[row[1]].storage_offset()))
    plain = without_numbers(spec, inputs)
    live = _live(plain, inputs) if _depends_on_data(plain) else None
    return Case(plain, pinned, why, live=live)


def _live(spec: Spec, inputs: Sequence[Any]) -> Live:
    dims = {i: layout.dims for i, layout in proof.layouts(spec).items()}
    rows = spec[3].get("numbers") or {}
    numbers = {row[1]: k for k, row in rows.items() if row[0] == "INPUT"}
    kinds = {i: type(x) for i, x in enumerate(inputs) if type(x) in (int, float)}
    return Live(dims, numbers, kinds, _depends_on_data(spec))


def without_numbers(spec: Spec, inputs: Sequence[Any]) -> Spec:
    """Return the graph with constants for its numbers, what they are for these inputs."""
    ops, n_inputs, outputs, notes = spec
    values = proof.live_values(notes.get("numbers") or {}, inputs)
    rest = {k: v for k, v in notes.items() if k not in ("numbers", "dynamic", "sizes")}
    plain = [
        (target, _filled(args, values), _filled(kwargs, values), result)
        for target, args, kwargs, result in ops
    ]
    return plain, n_inputs, outputs, rest


def _filled(obj: Any, values: dict[int, float]) -> Any:
    kind = type(obj)
    if graph.is_number(obj):
        return values[obj.index]
    if kind is torch.Size or kind is tuple:
        return kind([_filled(item, values) for item in obj])
    if kind is list:
        return [_filled(item, values) for item in obj]
    if kind is dict:
        return {key: _filled(value, values) for key, value in obj.items()}
    if kind is slice:
        return slice(*[_filled(p, values) for p in (obj.start, obj.stop, obj.step)])
    if isinstance(obj, tuple) and hasattr(kind, "_fields"):
        return tuple.__new__(kind, [_filled(item, values) for item in obj])
    return obj
