"""Sizes of results, asked for while a run is being recorded.

Nothing is computed before the program reads a size; then only what leads to it runs on
fakes.  A wrong answer would not be a wrong result: the proof looks at each answer again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch._dispatch.python import enable_python_dispatcher

from magpy import graph, seal
from magpy.shapes import proof, rules
from magpy.shapes.terms import Term
from magpy.shapes.world import Layout, World

Sizes = tuple[Term, ...]
#: sizes, strides, offset
Answer = tuple[Sizes, Sizes, Term]

# They change what a tensor is; what was asked about it before is no longer true.
_RESTATE = frozenset({"resize_", "resize_as_", "set_", "requires_grad_"})


class Recorder:
    """Answers for one recording.

    Attributes:
        why: why the last question had no answer.
    """

    def __init__(self) -> None:
        self.why = ""
        self._book = rules.Book()
        self._seen = [0, 0, 0]  # inputs, numbers, operations in the book
        self._run = proof.Run(World())
        self._known_inputs = self._known_numbers = self._known_ops = 0
        self._definers: dict[int, list[int]] = {}  # of a Value: operations, in order
        self._done: set[int] = set()

    def sizes(
        self,
        ops: Sequence[Any],
        inputs: Sequence[Any],
        numbers: Sequence[Any],
        value: Any,
    ) -> Sizes | None:
        """Return the sizes of a tensor, by rules if there are some; None: nobody knows.

        The caller has the tensor, and sees whether the terms have the right values.
        """
        self._read(ops, inputs, numbers)
        found = self._book.sizes.get(value.index)
        if found is None:
            answer = self.ask(ops, inputs, numbers, value)
            if answer is not None:
                found = self._book.sizes[value.index] = answer[0]
        return found

    def _read(
        self, ops: Sequence[Any], inputs: Sequence[Any], numbers: Sequence[Any]
    ) -> None:
        """Apply rules to what is new."""
        book = self._book
        for i in range(self._seen[0], len(inputs)):
            live, *row = inputs[i]
            book.input(i, live, tuple(row))
        for k in range(self._seen[1], len(numbers)):
            book.define(k, numbers[k])
        for at in range(self._seen[2], len(ops)):
            book.op(*ops[at])
        self._seen = [len(inputs), len(numbers), len(ops)]

    def ask(
        self,
        ops: Sequence[Any],
        inputs: Sequence[Any],
        numbers: Sequence[Any],
        value: Any,
    ) -> Answer | None:
        """Return sizes, strides and offset of a tensor; None: nobody knows.

        Args:
            ops: the operations so far.
            inputs: for each input: tensor, dynamic dims, sizes, strides, offset, links.
            numbers: rows of the run's numbers, ``("VALUE", now)`` for those that are given.
            value: the Value asked about.
        """
        if self.why:
            return None
        try:
            with seal.sealed(), self._run.world.mode, torch.no_grad():
                with enable_python_dispatcher():
                    self._take(ops, inputs, numbers)
                    self._lead_to(ops, [value.index])
                return self._answer(self._run.values[value.index])
        except Exception as error:
            from magpy._engine import raised_by_signal

            if raised_by_signal(error):
                raise
            self.why = proof.reason(error)
            return None

    def _answer(self, x: torch.Tensor) -> Answer:
        term = self._run.world.term
        return (
            tuple(map(term, x.size())),
            tuple(map(term, x.stride())),
            term(x.storage_offset()),
        )

    # -- what has happened since the last question ----------------------------------------

    def _take(
        self, ops: Sequence[Any], inputs: Sequence[Any], numbers: Sequence[Any]
    ) -> None:
        for i in range(self._known_inputs, len(inputs)):
            live, dims, *rest = inputs[i]
            layout = Layout(dims, *rest) if dims else None
            self._run.values[i] = self._run.world.fake(live, layout, i)
        for k in range(self._known_numbers, len(numbers)):
            row = numbers[k]
            self._run.number(k, row, row[1] if row[0] == "VALUE" else None)
        for at in range(self._known_ops, len(ops)):
            target, _, _, result = ops[at]
            if target is setattr or target in _RESTATE:
                raise NotImplementedError(f"{target} changes what a tensor is")
            for index in _values(result):
                self._definers.setdefault(index, []).append(at)
        self._known_inputs, self._known_numbers = len(inputs), len(numbers)
        self._known_ops = len(ops)

    def _lead_to(self, ops: Sequence[Any], wanted: list[int]) -> None:
        """Run the operations that a Value needs, in order, each once."""
        needed: set[int] = set()
        seen = set(wanted)
        todo = list(wanted)
        while todo:
            for at in self._definers.get(todo.pop(), ()):
                if at in needed or at in self._done:
                    continue
                needed.add(at)
                _, args, kwargs, result = ops[at]
                for index in _values((args, kwargs, result)):
                    if index not in seen:
                        seen.add(index)
                        todo.append(index)
        for at in sorted(needed):
            self._run.op(*ops[at])
            self._done.add(at)


def _values(tree: Any) -> Iterator[int]:
    if graph.is_value(tree):
        yield tree.index
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            yield from _values(item)
    elif isinstance(tree, dict):
        yield from _values(list(tree.values()))
    elif type(tree) is slice:
        yield from _values((tree.start, tree.stop, tree.step))
