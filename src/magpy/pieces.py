"""Graphs with branches, for compilers that get none: piece by piece.

A graph is cut where a tensor decides how it goes on.  The straight parts between, in
the arms too, are graphs of their own, and what runs them takes the arm that the tensor
says (:func:`magpy.regions.choose`).  So an arm that is not taken has no part in the
gradients, as in eager mode, and nests may be as deep as they like.

A *piece* is compiled when it runs first, with what it is given then: arms that are never
taken cost nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses import FakeTensorMode

from magpy import _torch_table, graph, policy, regions
from magpy._effects import effects_of
from magpy.backends import examples

if TYPE_CHECKING:
    from magpy.backends.base import Backend
    from magpy.graph import Spec

Operation = tuple[Any, Any, Any, Any]
#: What compiles a graph for inputs: answers a callable, whether that takes them in one
#: list, and what must live as long as it does.
Make = Callable[["Spec", Sequence[Any]], tuple[Callable[..., Any], bool, object]]

#: A piece with fewer operations runs as recorded: a compiled one costs as much.
_FEWEST = 2


class Piece:
    """A straight part of a graph.

    Args:
        spec: what it computes.
        fixed: the positions of inputs of which guards say what they are.
        changed: those of inputs that the graph writes to, somewhere.
        make: compiles it for inputs; what it raises is not seen.
    """

    def __init__(
        self,
        spec: Spec,
        fixed: frozenset[int],
        changed: frozenset[int],
        make: Make,
    ) -> None:
        self.spec = spec
        self._changed = changed
        self._make = make
        self._asked = [i for i in range(spec[1]) if i not in fixed]
        self._lock = threading.Lock()
        self._run: Callable[..., Any] | None = None
        self._boxed = False
        self._made: object = None
        self._kinds: list[Any] = []
        self._recorded: Callable[..., Any] | None = None

    def __call__(self, *given: Any) -> Any:
        """Run it, compiled if it is right for what it is given."""
        run = self._run or self._compiled(given)
        if run is None or [_kind(given[i]) for i in self._asked] != self._kinds:
            return self._as_recorded()(*given)
        return run(list(given)) if self._boxed else run(*given)

    def _compiled(self, given: Sequence[Any]) -> Callable[..., Any] | None:
        """Return what is compiled; None while that is under way."""
        # R: nobody waits: a finalizer may come here while this very thread compiles.
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._run is None:
                self._kinds = [_kind(given[i]) for i in self._asked]
                # The program has none of the warnings, but for those of the run.
                end = regions.begin_hush()
                try:
                    self.spec[3].update(_writes(self.spec, self._changed, given))
                    run, self._boxed, self._made = self._make(self.spec, given)
                finally:
                    end()
                self._run = run
            return self._run
        finally:
            self._lock.release()

    def _as_recorded(self) -> Callable[..., Any]:
        if self._recorded is None:
            self._recorded = graph.build(self.spec).forward
        return self._recorded


def _kind(x: torch.Tensor) -> Any:
    """Return what a compiler may have relied on."""
    return x.shape, x.stride(), x.storage_offset(), x.dtype, x.device, x.requires_grad


def takes(backend: Backend, spec: Spec, inputs: Sequence[Any]) -> bool:
    """May a backend have the graph in one, as far as its branches go?

    With gradients, ``torch.cond`` has zeros where the arm that was not taken has none.
    """
    found = [op[0].depth for op in graph.operations(spec) if _is_branch(op[0])]
    if not found:
        return True
    asks = any(isinstance(x, torch.Tensor) and x.requires_grad for x in inputs)
    trains = asks and policy.enables_grad(spec)
    return backend.branches and max(found) <= policy.DEEPEST and not trains


def refuses(spec: Spec) -> str:
    """Return why a graph with branches cannot be cut at them, "" if it can."""
    ops, _, _, notes = spec
    if any(map(notes.get, ("numbers", "dynamic", "selects", "late"))):
        return "it has branches, and sizes or numbers that vary"
    if _is_branch_inside(ops):
        return "it has branches inside of an operator"
    grad = now = torch.is_grad_enabled()
    for target, args, *_ in ops:
        if target is torch._C._set_grad_enabled:
            now = args[0]
        elif target in ("__enter__", "__exit__") or _torch_table.sets_state(target):
            return "it has branches, and sets modes of torch"
        elif _is_branch(target) and now is not grad:
            return "it has branches where gradients are switched"
    return ""


def _is_branch(target: Any) -> bool:
    return graph.is_region(target) and target.kind == "branch"


def _is_branch_inside(ops: Iterable[Operation]) -> bool:
    for target, *_ in ops:
        if _is_branch(target):
            if any(_is_branch_inside(spec[0]) for spec in target.specs):
                return True
        elif graph.is_region(target):
            inner = (op[0] for spec in target.specs for op in graph.operations(spec))
            if any(map(_is_branch, inner)):
                return True
    return False


def cut(spec: Spec, make: Make) -> Spec:
    """Return a graph of pieces that computes the same.

    Args:
        spec: a graph that :func:`refuses` nothing of.
        make: compiles a piece for its first inputs.
    """
    changed = frozenset(spec[3].get("mutated", ()))
    return _Cutter(spec, frozenset(range(spec[1])), changed, make).cut()


class _Cutter:
    """Cuts one graph, or one arm.

    Args:
        spec: the graph.
        fixed: the Values of which guards say what they are: shape, memory, gradients.
        changed: inputs of the whole graph that it writes to.
        make: see :func:`cut`.
    """

    def __init__(
        self,
        spec: Spec,
        fixed: frozenset[int],
        changed: frozenset[int],
        make: Make,
    ) -> None:
        self._ops, self._n_inputs, self._outputs, self._notes = spec
        self._fixed, self._changed, self._make = fixed, changed, make
        self._last = {
            at: len(self._ops) for at in self._outputs
        }  # where it is used last
        for at, op in enumerate(self._ops):
            for value in regions.values_in(op[1:3]):
                self._last[value.index] = max(at, self._last.get(value.index, at))

    def cut(self) -> Spec:
        """Return the graph of pieces."""
        ops: list[Operation] = []
        begin = 0
        for at, (target, args, kwargs, result) in enumerate(self._ops):
            if not _is_branch(target):
                continue
            ops += self._piece(begin, at)
            ops.append((self._choice(target, args), args, kwargs, result))
            begin = at + 1
        ops += self._piece(begin, len(self._ops))
        notes = {k: v for k, v in self._notes.items() if k != "sites"}  # they moved
        return ops, self._n_inputs, self._outputs, notes

    def _choice(self, branch: Any, args: Sequence[Any]) -> Any:
        """Return the branch, its arms cut as well."""
        given = [value.index for value in regions.values_in(args)][1:]
        fixed, changed = _places(given, self._fixed), _places(given, self._changed)
        specs = [_Cutter(arm, fixed, changed, self._make).cut() for arm in branch.specs]
        return regions.Region("choice", specs, branch.counts, branch.tree)

    def _piece(self, begin: int, end: int) -> list[Operation]:
        """Return what stands for the operations from one position up to another."""
        ops = self._ops[begin:end]
        if len(ops) < _FEWEST:
            return list(ops)
        made: dict[int, Any] = {}
        used: dict[int, Any] = {}
        for _, args, kwargs, result in ops:
            for value in regions.values_in((args, kwargs)):
                if value.index not in made:
                    used[value.index] = value
            made |= {value.index: value for value in regions.values_in(result)}
        results = tuple([made[i] for i in made if self._last.get(i, -1) >= end])
        params = list(used.values())
        body = regions.spec_of(params, ops, results)
        fixed, changed = _places(used, self._fixed), _places(used, self._changed)
        piece = Piece(body, fixed, changed, self._make)
        return [(piece, tuple(params), {}, results)]


def _places(indices: Iterable[int], wanted: frozenset[int]) -> frozenset[int]:
    return frozenset(i for i, index in enumerate(indices) if index in wanted)


def _writes(
    spec: Spec, changed: Iterable[int], given: Sequence[torch.Tensor]
) -> dict[str, tuple[int, ...]]:
    """Return the notes of a piece: which inputs it writes to, and where it is done.

    Writes raise the version of what they write to, and of all that is a view of it;
    kernels that keep statistics do not.

    Args:
        spec: the piece.
        changed: inputs that it writes to if it writes to anything that it is given.
        given: the inputs.
    """
    writing = [at for at, op in enumerate(spec[0]) if _may_write(op)]
    if not writing:
        return {}
    told = {i for at in writing for i in _told(spec[0][at]) if i < spec[1]}
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            fakes = [examples.like(x) for x in given]
            before = [fake._version for fake in fakes]
            graph.build(spec).forward(*fakes)
            after = [fake._version for fake in fakes]
        found = [i for i in range(spec[1]) if before[i] != after[i]]
    except Exception:  # no kernel for fakes: any of them
        found = list(range(spec[1]))
    memory = [x.untyped_storage()._cdata for x in given]
    written = {memory[i] for i in {*found, *told, *changed}}
    places = tuple([i for i, each in enumerate(memory) if each in written])
    return {"mutated": places, "written": (writing[-1],) * len(places)}


def _told(op: Operation) -> Iterator[int]:
    """Return the numbers of the values that an operation is known to write to."""
    target, args, kwargs, _ = op
    for write in [] if graph.is_region(target) else effects_of(target).writes:
        if write.unless is not None:
            position, name, default = write.unless
            if _argument(args, kwargs, position, name, default) in (False, None):
                continue
        for position, name in write.arguments:
            for value in regions.values_in(_argument(args, kwargs, position, name)):
                yield value.index


def _argument(
    args: Sequence[Any], kwargs: Any, position: int, name: str, default: Any = None
) -> Any:
    return kwargs.get(name, args[position] if position < len(args) else default)


def _may_write(op: Operation) -> bool:
    inside: Iterator[Operation] = graph.operations(([op], 0, (), {}))
    return any(
        "out" in kwargs or effects_of(target).writes
        for target, _, kwargs, _ in inside
        if not graph.is_region(target)
    )
