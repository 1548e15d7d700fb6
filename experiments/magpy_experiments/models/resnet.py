"""ResNet-101 on images: no awkward feature, the control."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from magpy_experiments.models.arguments import Inputs
from magpy_experiments.models.zoo import Bottleneck, ResNet


class PlainResNet(ResNet):
    """Without the constant that tests of the toy model change."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def build(small: bool) -> nn.Module:
    """Return the network with random weights."""
    if small:
        return PlainResNet(Bottleneck, [1, 2, 2, 1], 8, 10)
    return PlainResNet(Bottleneck, [3, 4, 23, 3], 64, 1000)


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return a batch of images with numbers around a half."""
    size = 32 if small else 224
    return (torch.randn(batch, 3, size, size, generator=g) * 0.25 + 0.5,), {}
