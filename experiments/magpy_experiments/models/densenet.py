"""DenseNet-121: star arguments, a factory of closures, children by name, a growing list."""

from __future__ import annotations

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs
from magpy_experiments.models.zoo import DenseNet


def build(small: bool) -> nn.Module:
    """Return the network with random weights."""
    if small:
        return DenseNet(4, (2, 3, 3, 2), 8, 10)
    return DenseNet(32, (6, 12, 24, 16), 64, 1000)


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return a batch of images."""
    size = 32 if small else 224
    return (torch.randn(batch, 3, size, size, generator=g),), {}
