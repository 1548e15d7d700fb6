"""Do two results have the same gradients?  For trials (``magpy/trial.py``).

The backward passes of both are run, for what they flow to: leaves, and what the calls were
given.  Nobody may notice: if code of Python would run, nothing is compared, and so the
results do not agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from magpy.compare import Comparison

#: Graphs of more nodes are not compared.
_LIMIT = 100_000


class _History:
    """The autograd graph behind some tensors, down to what was there before."""

    def __init__(self, roots: list[torch.Tensor], given: list[torch.Tensor]) -> None:
        self.leaves: dict[int, torch.Tensor] = {}
        self.refused = ""
        ends = {t.grad_fn: t for t in given if t.grad_fn is not None}
        for t in roots:
            if t.grad_fn is None:
                self._reach(t)
        todo = [t.grad_fn for t in roots if t.grad_fn is not None]
        seen = set(todo)
        while todo and not self.refused:
            node = todo.pop()
            if node in ends:
                self._reach(ends[node])
                continue
            self._look_at(node)
            below = {n for n, _ in node.next_functions if n is not None} - seen
            seen |= below
            todo += below
            if len(seen) > _LIMIT:
                self.refused = "too many operations with gradients"

    def _reach(self, tensor: torch.Tensor) -> None:
        self.leaves[id(tensor)] = tensor
        if tensor._backward_hooks:
            self.refused = "a hook for gradients"

    def _look_at(self, node: Any) -> None:
        if isinstance(node, torch._C._FunctionBase):
            self.refused = "gradients that Python code computes"
        elif hasattr(node, "variable"):
            self._reach(node.variable)
        else:
            saved = (getattr(node, n) for n in dir(node) if n.startswith("_raw_saved_"))
            if any(map(_has_hook, saved)):
                self.refused = "hooks for saved tensors"


def _has_hook(saved: Any) -> bool:
    if isinstance(saved, (tuple, list)):
        return any(map(_has_hook, saved))
    return getattr(saved, "unpack_hook", None) is not None


def _weights(tensor: torch.Tensor) -> torch.Tensor:
    """Some gradient of it, which no sum is blind for; draws no random numbers."""
    count = torch.arange(tensor.numel(), device=tensor.device, dtype=torch.float64)
    return (count + 1).cos().reshape(tensor.shape).to(tensor.dtype)


def _gradients(
    roots: list[torch.Tensor], leaves: Iterable[torch.Tensor]
) -> list[torch.Tensor | None]:
    found = torch.autograd.grad(
        roots,
        list(leaves),
        [_weights(t) for t in roots],
        retain_graph=True,
        allow_unused=True,
    )
    return list(found)


def _is_close(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Within the tolerance of the dtype, of each entry or of the largest one."""
    from magpy.verify import CLOSE

    comparison = Comparison(CLOSE)
    with torch.no_grad():
        if comparison.values(b, a) is None:
            return True
        largest = b.abs().max()
        finite = bool(torch.isfinite(largest) & (largest > 0))
        return finite and comparison.values(b / largest, a / largest) is None


def difference(
    pairs: list[tuple[torch.Tensor, torch.Tensor]], given: list[torch.Tensor]
) -> str | None:
    """Return in what the gradients of pairs of results differ, None if they agree.

    Args:
        pairs: tensors of the one result and of the other, alike otherwise.
        given: tensors that both calls could reach.
    """
    pairs = [(a, b) for a, b in pairs if a.requires_grad]
    if not pairs:
        return None
    ours, theirs = ([p[i] for p in pairs] for i in (0, 1))
    histories = [_History(roots, given) for roots in (ours, theirs)]
    for history in histories:
        if history.refused:
            return f"gradients: {history.refused}, which cannot be compared"
    mine, other = (h.leaves for h in histories)
    if set(mine) != set(other):
        return "gradients: of other tensors"
    rows = zip(
        _gradients(ours, other.values()),
        _gradients(theirs, other.values()),
        strict=True,
    )
    for at, (a, b) in enumerate(rows):
        if (a is None) != (b is None):
            return f"gradients: of tensor {at} in one result only"
        if a is not None and b is not None and not _is_close(a, b):
            return f"gradients: other values for tensor {at}"
    return None
