"""A graph that raises half way has changed nothing: what that takes.

A hit runs the whole graph before any effect on Python state.  If the graph raises, the
original runs from the start, so that exception, traceback and handlers are the program's
own.  For that, random number generators and tensors that the graph has written must be
as they were when it began.

What may have to be put back is saved before the graph runs, but only if the graph has an
operation that may raise for the values of its tensors (a few do: factorisations, what is
indexed by tensors), and only what the operations up to the last of these change.  The
first run of a graph saves everything, since that is where a backend fails.
"""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from magpy._effects import Parameter, effects_of
from magpy.graph import is_number, is_value
from magpy.late import leaves

if TYPE_CHECKING:
    from magpy.graph import Spec

#: What the engine does around a graph (`mp_undo_flags` in engine/call/cache.h).
SAVES, TAKES_INPUTS, MAY_RAISE, CHANGES, CAUGHT, WARNS = 1, 2, 4, 8, 16, 32

#: How `save` is asked (`transaction_save` in engine/call/transaction.c).
FIRST, STRICT = 1, 2

#: Larger inputs are not copied for a graph that seldom raises.  engine/graph/writes.c
#: has the same number.
LIMIT = 16 << 20

# Copies of no more than that stay for the next run.
_KEPT = 1 << 20
_IDLE = 2

Operation = tuple[Any, Any, Any, Any]
#: save, restore, flags
Undo = tuple[Callable[..., Any], Callable[..., bool], int]

_INDEXES = (operator.getitem, operator.setitem)
_PLAIN = (int, type(None), type(Ellipsis))  # numbers that vary, too: guards bound them


# -- What an operation of a graph may do -----------------------------------------------


def _given(op: Operation, parameter: Parameter) -> Any:
    """Return the value of a parameter in one call."""
    at, name, default = parameter
    _, args, kwargs, _ = op
    return kwargs[name] if name in kwargs else args[at] if at < len(args) else default


def _is_zero(value: Any) -> bool:
    return value is False or (type(value) in (int, float) and value == 0)


def draws(op: Operation) -> bool:
    """May it move a random number generator?"""
    found = effects_of(op[0])
    return found.draws and not any(_is_zero(_given(op, q)) for q in found.quiet)


def _is_plain_index(key: Any) -> bool:
    """Does it hold numbers only, which the recorded call has shown to be in range?"""
    if isinstance(key, tuple):
        return all(map(_is_plain_index, key))
    if isinstance(key, slice):
        return all(map(_is_plain_index, (key.start, key.stop, key.step)))
    return type(key) in _PLAIN or is_number(key)


def may_raise(op: Operation, late: Collection[int] = ()) -> bool:
    """May it raise for the values of its tensors?

    Args:
        op: the operation.
        late: the Values that are numbers; it may raise for any of them, too.
    """
    target, args, kwargs, _ = op
    if late and any(index in late for index in leaves((args, kwargs), is_value)):
        return True
    found = effects_of(target)
    if target in _INDEXES:
        return not _is_plain_index(args[1])
    if found.divides:
        divisor = _given(op, (1, "other", None))
        return type(divisor) not in (int, float) or divisor == 0
    return found.raises or "rounding_mode" in kwargs


# -- Saving and putting back -----------------------------------------------------------


def generators(ops: Iterable[Operation] = ()) -> Iterator[torch.Generator]:
    """Walk through the default generators of all devices in use, and those of `ops`."""
    given = [v for _, args, kwargs, _ in ops for v in (*args, *kwargs.values())]
    yield from {id(v): v for v in given if isinstance(v, torch.Generator)}.values()
    yield torch.default_generator
    # What is captured runs later, and raises then or not at all.
    if torch.cuda.is_initialized() and not torch.cuda.is_current_stream_capturing():
        yield from torch.cuda.default_generators


def _is_shaped_as(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and bool(one.dtype == other.dtype)


def _size_of(tensor: torch.Tensor) -> int:
    """Return bytes; more than the limit for what is not strided, which nobody copies."""
    strided = tensor.layout is torch.strided
    return tensor.nbytes if strided else LIMIT + 1


class _State:
    """What an input was, other than what it held: memory, shape, and its gradient."""

    __slots__ = ("_alias", "_bytes", "_grad", "_requires_grad", "_tensor")

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor, self._requires_grad = tensor, tensor.requires_grad
        self._grad = tensor._grad
        self._alias = tensor.detach()
        self._bytes = tensor.untyped_storage().nbytes()

    def restore(self) -> None:
        tensor, alias = self._tensor, self._alias
        if tensor.requires_grad and not self._requires_grad:
            tensor.requires_grad_(requires_grad=False)
        if tensor._grad is not self._grad:
            if self._grad is not None:  # resize_ has kept one of another shape
                tensor.data = self._grad.detach()
            tensor.grad = self._grad
        storage = alias.untyped_storage()
        if storage.nbytes() != self._bytes:
            storage.resize_(self._bytes)
        if not (
            _is_shaped_as(tensor, alias)
            and tensor.untyped_storage()._cdata == storage._cdata
            and tensor.storage_offset() == alias.storage_offset()
            and tensor.stride() == alias.stride()
        ):
            tensor.data = alias
        if self._requires_grad and not tensor.requires_grad:
            tensor.requires_grad_()


class _Inputs:
    """Copies of inputs as they were, with their version counters."""

    __slots__ = ("_copies", "_states", "_tensors", "_versions")

    def __init__(
        self,
        tensors: list[torch.Tensor],
        copies: list[torch.Tensor],
        restated: Collection[torch.Tensor] = (),
    ) -> None:
        self._tensors, self._copies = tensors, copies
        # Inference tensors have none.
        self._versions = [None if t.is_inference() else t._version for t in tensors]
        self._states = {id(t): _State(t) for t in restated}

    def can_restore(self) -> bool:
        """Has the graph changed nothing but values?  Guards fix what they were before."""
        return all(
            (id(now) in self._states or _is_shaped_as(now, then))
            and not (torch.is_grad_enabled() and now.requires_grad and now.grad_fn)
            for now, then in zip(self._tensors, self._copies, strict=True)
        )

    def restore(self) -> None:
        for state in self._states.values():
            state.restore()
        parts = zip(self._tensors, self._copies, self._versions, strict=True)
        for tensor, copy, version in parts:
            with torch.inference_mode(version is None), torch.no_grad():
                tensor.copy_(copy)
            if version is not None:
                set_version = torch._C._autograd._unsafe_set_version_counter
                set_version((tensor,), (version,))


Token = tuple[list[tuple[torch.Generator, torch.Tensor]], _Inputs, bool]


def forget(message: Any) -> None:
    """Let a warning be given again: it was registered as given, and then dropped."""
    text, category = str(message.message), message.category
    registries = [getattr(warnings, "onceregistry", None)]
    for module in list(sys.modules.values()):
        space = getattr(module, "__dict__", {})
        if space.get("__file__") == message.filename:
            registries.append(space.get("__warningregistry__"))
    for registry in registries:
        for key in ((text, category), (text, category, message.lineno)):
            if type(registry) is dict:
                registry.pop(key, None)


class Transaction:
    """What one graph changes, and which part of it is saved at each run.

    Args:
        spec: the graph.
        inputs: live inputs, for their sizes.
        in_order: it runs as recorded, operation by operation; else it may do anything
            before it raises.
    """

    def __init__(self, spec: Spec, inputs: Sequence[Any], *, in_order: bool) -> None:
        ops, _, _, notes = spec
        self.caught = caught = bool(notes.get("caught", False))
        filtered = bool(notes.get("filtered", False))
        any_may = caught or filtered
        late = notes.get("late") or {}
        read = {ops[at][3].index for at in late if is_value(ops[at][3])}
        raising = [
            at
            for at, op in enumerate(ops)
            if any_may or (late[at][0] if at in late else may_raise(op, read))
        ]
        drawing = [at for at, op in enumerate(ops) if at not in late and draws(op)]
        self._drawing = [ops[at] for at in drawing]
        written = dict(
            zip(notes.get("mutated", ()), notes.get("written", ()), strict=True)
        )
        #: the last operation that may raise
        self.last = max(raising, default=-1)
        self.in_order = in_order
        self.draws = bool(drawing)
        self.writes = tuple(written)
        self.saves_states = bool(drawing) and (not in_order or drawing[0] <= self.last)
        saved = [
            n
            for n, at in written.items()
            if raising and (not in_order or at <= self.last)
        ]
        size = sum(_size_of(inputs[n]) for n in saved)
        self._size = sum(_size_of(inputs[n]) for n in written)
        #: too large: then a graph that has raised is not run again
        self.too_large = size > LIMIT and not notes.get("ended", False)
        self.saves = () if self.too_large else tuple(saved)
        self.complete = self.saves_states == self.draws and set(self.saves) == set(
            self.writes
        )
        #: the inputs of which it changes more than what they hold
        self._restated = frozenset(notes.get("restated", ()))
        #: the program has other filters of warnings there: it must not warn
        self.warns = filtered and self.complete
        self._asks = any(inputs[n].requires_grad for n in self.writes)
        self._buffers: list[torch.Tensor] | None = None
        self._keeps = size <= _KEPT
        self._code: Any = None
        self._lines: dict[int, int] = {}

    def follows(self, code: Any, lines: dict[int, int]) -> None:
        """Tell which code the graph runs as, and which operation stands in which line."""
        self._code, self._lines = code, lines

    def undo(self) -> Undo | None:
        """Return what the engine needs; None if there is never anything to put back."""
        flags = MAY_RAISE if self.last >= 0 else 0
        if self.caught:
            flags |= CAUGHT
        if self.warns:
            flags |= WARNS
        if self.saves_states or self.saves:
            flags |= SAVES
        if self.writes:
            flags |= TAKES_INPUTS
        if self.writes or self.draws:
            flags |= CHANGES
        if not flags:
            return None
        return self.save, self.restore, flags

    def audible(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Return what does the same, and shows each warning, whatever the filters are."""
        if not self.warns:
            return run

        def call(*inputs: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                return run(*inputs)

        return call

    def save(self, how: int, *inputs: torch.Tensor) -> Token:
        """Copy what the graph may change before it raises.

        Args:
            how: at its first run (1), and where warnings raise (2), that is anything.
            inputs: of the graph.
        """
        first = how == FIRST or (how == STRICT and self._size <= LIMIT)
        states = self.draws if first else self.saves_states
        drawing = generators(self._drawing) if states else ()
        kept = [(g, g.get_state()) for g in drawing]
        written = self.writes if first else self.saves
        tensors = [inputs[n] for n in written]
        copies = self._copied(tensors, first) if tensors else []
        restated = [inputs[n] for n in written if n in self._restated]
        return kept, _Inputs(tensors, copies, restated), first or self.complete

    def _copied(self, tensors: list[torch.Tensor], first: bool) -> list[torch.Tensor]:
        """Copy tensors, into the same memory each time unless it is in use."""
        plain = [t.detach() for t in tensors] if self._asks else tensors
        if first or not self._keeps:
            return [t.clone() for t in plain]
        kept = self._buffers
        # One reference is ours, one the call's: no run in progress needs them.  (From 3.14
        # on a local variable does not count where it is passed.)
        idle = kept is not None and sys.getrefcount(self._buffers) <= _IDLE + 1
        if kept is not None and idle and all(map(_is_shaped_as, kept, plain)):
            torch._foreach_copy_(kept, plain)
        else:
            kept = self._buffers = [t.clone() for t in plain]
        return kept

    def restore(
        self, token: Token | None, error: BaseException, messages: list[Any] | None
    ) -> bool:
        """Put everything back as it was before the graph.

        Args:
            token: what `save` has answered, if it was called.
            error: what the graph has raised.
            messages: the warnings that it gave, which nobody has seen.

        Returns:
            False if that cannot be done; then nothing has been touched.
        """
        nothing: Token = [], _Inputs([], []), self.complete
        states, saved, complete = nothing if token is None else token
        if not (complete or self._was_expected(error)):
            return False
        if not saved.can_restore():
            return False
        for generator, state in states:
            generator.set_state(state)
        saved.restore()
        for message in messages or ():
            forget(message)
        return True

    def _was_expected(self, error: BaseException) -> bool:
        """Has an operation raised up to which everything is saved?"""
        if not self.in_order or self.too_large or self._code is None:
            return False
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code is not self._code:
            trace = trace.tb_next
        at = self._lines.get(trace.tb_lineno) if trace is not None else None
        return at is not None and at <= self.last
