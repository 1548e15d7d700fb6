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
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from magpy._effects import Parameter, effects_of

if TYPE_CHECKING:
    from magpy.graph import Spec

#: What the engine does around a graph (`mp_undo_flags` in engine/cache.h).
SAVES, TAKES_INPUTS, MAY_RAISE, CHANGES, CAUGHT = 1, 2, 4, 8, 16

#: Larger inputs are not copied for a graph that seldom raises.  engine/oplog_writes.c
#: has the same number.
LIMIT = 16 << 20

Operation = tuple[Any, Any, Any, Any]
#: save, restore, flags
Undo = tuple[Callable[..., Any], Callable[..., bool], int]

_INDEXES = (operator.getitem, operator.setitem)
_PLAIN = (int, type(None), type(Ellipsis))


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
    return type(key) in _PLAIN


def may_raise(op: Operation) -> bool:
    """May it raise for the values of its tensors?"""
    target, args, kwargs, _ = op
    found = effects_of(target)
    if target in _INDEXES:
        return not _is_plain_index(args[1])
    if found.divides:
        divisor = _given(op, (1, "other", None))
        return type(divisor) not in (int, float) or divisor == 0
    return found.raises or "rounding_mode" in kwargs


# -- Saving and putting back -----------------------------------------------------------


def _generators() -> Iterator[torch.Generator]:
    yield torch.default_generator
    # What is captured runs later, and raises then or not at all.
    if torch.cuda.is_initialized() and not torch.cuda.is_current_stream_capturing():
        yield from torch.cuda.default_generators


class _Saved:
    """One input that the graph may write, as it is before."""

    __slots__ = ("_copy", "_grad_fn", "_layout", "_version", "tensor")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self._copy = tensor.detach().clone()
        self._version = None if tensor.is_inference() else tensor._version
        self._grad_fn = tensor.grad_fn  # keeps its address
        self._layout = self._now()

    def _now(self) -> tuple[Any, ...]:
        tensor = self.tensor
        layout = tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
        return *layout, tensor.requires_grad, id(tensor.grad_fn)

    def can_restore(self) -> bool:
        """Has the graph changed nothing but values?"""
        return self._now() == self._layout

    def restore(self) -> None:
        tensor = self.tensor
        with torch.inference_mode(self._version is None), torch.no_grad():
            tensor.copy_(self._copy)
        if self._version is not None:
            set_version = torch._C._autograd._unsafe_set_version_counter
            set_version((tensor,), (self._version,))


Token = tuple[list[tuple[torch.Generator, torch.Tensor]], list[_Saved], bool]


class Transaction:
    """What one graph changes, and which part of it is saved at each run.

    Args:
        spec: the graph.
        inputs: live inputs, for their sizes.
        in_order: it runs as recorded, operation by operation; else it may do anything
            before it raises.
    """

    def __init__(
        self, spec: Spec, inputs: Sequence[torch.Tensor], *, in_order: bool
    ) -> None:
        ops, _, _, notes = spec
        self.caught = caught = bool(notes.get("caught", False))
        raising = [at for at, op in enumerate(ops) if caught or may_raise(op)]
        drawing = [at for at, op in enumerate(ops) if draws(op)]
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
        size = sum(inputs[n].nbytes for n in saved)
        #: too large: then a graph that has raised is not run again
        self.too_large = size > LIMIT and not caught
        self.saves = () if self.too_large else tuple(saved)
        self.complete = self.saves_states == self.draws and set(self.saves) == set(
            self.writes
        )
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
        if self.saves_states or self.saves:
            flags |= SAVES
        if self.writes:
            flags |= TAKES_INPUTS
        if self.writes or self.draws:
            flags |= CHANGES
        if not flags:
            return None
        return self.save, self.restore, flags

    def save(self, first: bool, *inputs: torch.Tensor) -> Token:
        """Copy what the graph may change before it raises; at its first run, anything."""
        states = self.draws if first else self.saves_states
        kept = [(g, g.get_state()) for g in _generators()] if states else []
        return (
            kept,
            [_Saved(inputs[n]) for n in (self.writes if first else self.saves)],
            first or self.complete,
        )

    def restore(self, token: Token | None, error: BaseException) -> bool:
        """Put everything back as it was before the graph.

        Returns:
            False if that cannot be done; then nothing has been touched.
        """
        states, saved, complete = (
            token if token is not None else ([], [], self.complete)
        )
        if not complete and not self._was_expected(error):
            return False
        if not all(each.can_restore() for each in saved):
            return False
        for generator, state in states:
            generator.set_state(state)
        for each in saved:
            each.restore()
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
