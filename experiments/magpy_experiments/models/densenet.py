"""DenseNet-121: star arguments, a factory of closures, children by name, a growing list."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magpy_experiments.models.arguments import Inputs
from magpy_experiments.models.zoo import DenseNet


class PlainDenseNet(DenseNet):
    """Without the constant that tests of the toy model change."""

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        out = F.relu(features, inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1)).view(features.size(0), -1)
        return self.classifier(out)


def build(small: bool) -> nn.Module:
    """Return the network with random weights."""
    if small:
        return PlainDenseNet(4, (2, 3, 3, 2), 8, 10)
    return PlainDenseNet(32, (6, 12, 24, 16), 64, 1000)


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return a batch of images."""
    size = 32 if small else 224
    return (torch.randn(batch, 3, size, size, generator=g),), {}
