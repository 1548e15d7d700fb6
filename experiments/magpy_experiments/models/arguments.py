"""What the modules of models share: the arguments of a call, and words."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

#: Positional arguments, and those by keyword.
Inputs: TypeAlias = tuple[tuple[Tensor, ...], dict[str, Any]]


def ids(g: torch.Generator, batch: int, length: int, vocab: int) -> Tensor:
    """Return words, none of them special."""
    return torch.randint(5, vocab - 5, (batch, length), generator=g)
