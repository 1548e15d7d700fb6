"""Floats as compilers take them: tensors without dimensions.

To make such a tensor costs as much as the rest of a small hit.  Where nothing outlives a
run, its tensors are used again: their memory is an array of Python's, which a float is
written to at once.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from typing import Any

import torch

#: Writes a float, and is the tensor that has it.
_Cell = tuple[Any, torch.Tensor]


def made(value: float) -> torch.Tensor:
    """Return a new tensor for a float."""
    return torch.scalar_tensor(value, dtype=torch.float64, device=torch.device("cpu"))


def _cell() -> _Cell:
    memory = array.array("d", [0.0])
    return memory, torch.frombuffer(memory, dtype=torch.float64)[0]


class Reused:
    """Runs a graph, with tensors for some of its inputs.

    R: a run may leave nothing behind that holds an input: no graph of autograd.  The first
    run shows whether a result shares its memory.  Runs in other threads, or within each
    other, have tensors of their own.

    Args:
        run: the graph; takes a list.
        floats: which of its inputs are floats.
    """

    def __init__(self, run: Callable[..., Any], floats: Sequence[int]) -> None:
        self._run, self._floats = run, tuple(floats)
        self._free: list[list[_Cell]] = []
        self._tried = self._kept = False

    def __call__(self, inputs: list[Any]) -> Any:
        """Run it; floats in `inputs` give way to tensors."""
        if self._kept:
            for i in self._floats:
                inputs[i] = made(inputs[i])
            return self._run(inputs)
        try:
            cells = self._free.pop()
        except IndexError:
            cells = [_cell() for _ in self._floats]
        for i, (memory, tensor) in zip(self._floats, cells, strict=True):
            memory[0] = inputs[i]
            inputs[i] = tensor
        results = self._run(inputs)
        if not self._tried:
            self._kept = _shares(results, cells)
            self._tried = True
        if not self._kept:
            self._free.append(cells)
        return results


def _shares(results: Any, cells: Sequence[_Cell]) -> bool:
    ours = {tensor.data_ptr() for _, tensor in cells}
    return any(
        x.layout is torch.strided and x.untyped_storage().data_ptr() in ours
        for x in results
        if isinstance(x, torch.Tensor)
    )
