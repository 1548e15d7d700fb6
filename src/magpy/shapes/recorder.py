"""Sizes of results, asked for while a run is being recorded.

Nothing is computed before the program reads a size.  A wrong answer would not be a wrong
result: the proof looks at each answer again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magpy import seal
from magpy.shapes.rules import Sizes
from magpy.shapes.sizes import Known, Tracker, reason
from magpy.shapes.terms import Term
from magpy.shapes.world import Layout

#: sizes, strides, offset
Answer = tuple[Sizes, Sizes, Term]


class Recorder:
    """Answers for one recording.

    The questions come with what there is so far:

    - `ops`: the operations;
    - `inputs`: for each: tensor, dynamic dims, sizes, strides, offset, links;
    - `numbers`: rows of the run's numbers, ``("VALUE", now)`` for those that are given;
    - `value`: the Value asked about.

    Attributes:
        why: why the last question had no answer.
    """

    def __init__(self) -> None:
        self.why = ""
        self._tracker = Tracker()
        self._inputs = self._numbers = self._ops = 0  # seen so far

    @staticmethod
    def known(x: Any) -> Known:
        """Return what questions need of an input, in place of the tensor."""
        return Known(x)

    def sizes(
        self,
        ops: Sequence[Any],
        inputs: Sequence[Any],
        numbers: Sequence[Any],
        value: Any,
    ) -> Sizes | None:
        """Return the sizes of a tensor; None: nobody knows.

        The caller has the tensor, and sees whether the terms have the right values.
        """

        def find() -> Sizes:
            self._read(ops, inputs, numbers)
            known = self._tracker.book.sizes
            if value.index not in known:
                with seal.sealed():
                    self._tracker.run(ops, [value.index])
            return known[value.index]

        found: Sizes | None = self._answer(find)
        return found

    def ask(
        self,
        ops: Sequence[Any],
        inputs: Sequence[Any],
        numbers: Sequence[Any],
        value: Any,
    ) -> Answer | None:
        """Return sizes, strides and offset of a tensor, by fakes; None: nobody knows."""

        def find() -> Answer:
            self._read(ops, inputs, numbers)
            with seal.sealed():
                self._tracker.run(ops, [value.index])
            fakes = self._tracker.fakes
            x, term = fakes.values[value.index], fakes.world.term
            sizes, strides = tuple(map(term, x.size())), tuple(map(term, x.stride()))
            return sizes, strides, term(x.storage_offset())

        found: Answer | None = self._answer(find)
        return found

    def _answer(self, find: Callable[[], Any]) -> Any:
        if self.why:
            return None
        try:
            return find()
        except Exception as error:
            from magpy._engine import raised_by_signal

            if raised_by_signal(error):
                raise
            self.why = reason(error)
            return None

    def _read(
        self, ops: Sequence[Any], inputs: Sequence[Any], numbers: Sequence[Any]
    ) -> None:
        """Take what is new."""
        tracker = self._tracker
        for i in range(self._inputs, len(inputs)):
            x, dims, *rest = inputs[i]
            known = x if isinstance(x, Known) else Known(x)
            tracker.input(i, known, Layout(dims, *rest) if dims else None)
        for k in range(self._numbers, len(numbers)):
            tracker.number(k, numbers[k])
        for at in range(self._ops, len(ops)):
            tracker.op(ops, at)
        self._inputs, self._numbers, self._ops = len(inputs), len(numbers), len(ops)
