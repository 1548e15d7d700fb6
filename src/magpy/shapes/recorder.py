"""Sizes of results, asked for while a run is being recorded.

Nothing is computed before the program reads a size.  A wrong answer would not be a wrong
result: the proof looks at each answer again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from magpy import seal
from magpy.shapes.rules import Sizes
from magpy.shapes.selections import Tried
from magpy.shapes.sizes import Known, Tracker, numbers_in, reason, values_in
from magpy.shapes.terms import Term
from magpy.shapes.world import Layout, World

#: sizes, strides, offset
Answer = tuple[Sizes, Sizes, Term]
#: sizes, None for each that depends on data; does none?
Selected = tuple[tuple[Term | None, ...], bool]


class Recorder:
    """Answers for one recording.

    The questions come with what there is so far:

    - `ops`: the operations;
    - `inputs`: for each: `Known` as a tuple, or the tensor, dynamic dims, sizes, strides,
      offset, links;
    - `numbers`: rows of the run's numbers, ``("VALUE", now)`` for those that are given;
    - `value`: the Value asked about.

    Attributes:
        why: why the last question had no answer.
    """

    def __init__(self) -> None:
        self.why = ""
        self._fakes = Tried(World())
        self._tracker = Tracker(self._fakes)
        self._inputs = self._numbers = self._ops = 0  # seen so far

    @staticmethod
    def known(x: Any) -> Known:
        """Return what questions need of an input, in place of the tensor."""
        return Known.of(x)

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

    # -- Tensors whose sizes depend on data --------------------------------------------

    def selected(
        self,
        ops: Sequence[Any],
        inputs: Sequence[Any],
        numbers: Sequence[Any],
        value: Any,
    ) -> Selected | None:
        """Return the sizes of a tensor, None for each that depends on data.

        And: is its metadata known altogether?
        """

        def find() -> Selected:
            self._fakes_of(ops, [value])
            return self._fakes.told(value.index)

        found: Selected | None = self._try(ops, inputs, numbers, find)
        return found

    def parts(
        self,
        ops: Sequence[Any],
        inputs: Sequence[Any],
        numbers: Sequence[Any],
        call: tuple[Any, Any, Any],
    ) -> int | None:
        """Return how many tensors an operation that is about to run answers with."""

        def find() -> int:
            self._fakes_of(ops, call[1:])
            with self._fakes.world.entered():
                return self._fakes.parts(*call)

        found: int | None = self._try(ops, inputs, numbers, find)
        return found

    def keeps(
        self,
        ops: Sequence[Any],
        inputs: Sequence[Any],
        numbers: Sequence[Any],
        call: tuple[Any, Any, Any],
    ) -> bool | None:
        """Does an operation always answer with its first operand?"""

        def find() -> bool:
            self._fakes_of(ops, call[1:])
            with self._fakes.world.entered():
                return self._fakes.keeps(*call)

        found: bool | None = self._try(ops, inputs, numbers, find)
        return found

    def _fakes_of(self, ops: Sequence[Any], tree: Any) -> None:
        with self._fakes.world.entered():
            self._tracker.need(numbers_in(tree))
            self._tracker.lead_to(ops, list(values_in(tree)))

    def _try(
        self,
        ops: Sequence[Any],
        inputs: Sequence[Any],
        numbers: Sequence[Any],
        find: Callable[[], Any],
    ) -> Any:
        """As `_answer`; a question without an answer does not spoil the next one."""

        def found() -> Any:
            self._read(ops, inputs, numbers)
            with seal.sealed():
                return find()

        before, self.why = self.why, ""
        answer = self._answer(found)
        self.why = before
        return answer

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
            known = Known(*x) if isinstance(x, tuple) else Known.of(x)
            tracker.input(i, known, Layout(dims, *rest) if dims else None)
        for k in range(self._numbers, len(numbers)):
            tracker.number(k, numbers[k])
        for at in range(self._ops, len(ops)):
            tracker.op(ops, at)
        self._inputs, self._numbers, self._ops = len(inputs), len(numbers), len(ops)
