"""ResNet-18 with simulated 8-bit weights and activations.

Ranges become Python floats in each call (``float(w.min())``), an autograd function keeps
what it was given on its context and works in place.  Ranges of activations are calibrated
when the model is built, so that its results mean something.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magpy_experiments.models.arguments import Inputs

CALIBRATION = 4  # batches of 8 images


class UniformQuantize(torch.autograd.function.InplaceFunction):
    """Round to so many steps between two numbers; gradients go straight through."""

    @classmethod
    def forward(
        cls,
        ctx: Any,
        x: Tensor,
        num_bits: int,
        min_value: float,
        max_value: float,
        stochastic: bool = False,
        inplace: bool = False,
    ) -> Tensor:
        ctx.inplace = inplace
        ctx.num_bits = num_bits
        ctx.min_value = min_value
        ctx.max_value = max_value
        if ctx.inplace:
            ctx.mark_dirty(x)
            output = x
        else:
            output = x.clone()
        qmin = 0.0
        qmax = qmin + 2.0**num_bits - 1.0
        scale = (max_value - min_value) / (qmax - qmin)
        scale = max(scale, 1e-8)
        output.add_(-min_value).div_(scale).add_(qmin)
        if stochastic:
            noise = output.new(output.shape).uniform_(-0.5, 0.5)
            output.add_(noise)
        output.clamp_(qmin, qmax).round_()
        output.add_(-qmin).mul_(scale).add_(min_value)
        return output

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Any:
        return grad_output, None, None, None, None, None


def quantize(
    x: Tensor, num_bits: int, min_value: float, max_value: float, inplace: bool = False
) -> Tensor:
    """Return `x` rounded."""
    result: Tensor = UniformQuantize.apply(
        x, num_bits, min_value, max_value, False, inplace
    )
    return result


class QuantMeasure(nn.Module):
    """Quantises by a range that training keeps up to date."""

    def __init__(self, num_bits: int = 8, momentum: float = 0.1) -> None:
        super().__init__()
        self.register_buffer("running_min", torch.zeros(1))
        self.register_buffer("running_max", torch.zeros(1))
        self.momentum = momentum
        self.num_bits = num_bits

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            flat = x.detach().reshape(x.size(0), -1)
            min_value = flat.min(-1)[0].mean()
            max_value = flat.max(-1)[0].mean()
            self.running_min.mul_(1 - self.momentum).add_(min_value * self.momentum)
            self.running_max.mul_(1 - self.momentum).add_(max_value * self.momentum)
        else:
            min_value = self.running_min
            max_value = self.running_max
        return quantize(x, self.num_bits, float(min_value), float(max_value))


class QConv2d(nn.Conv2d):
    """Convolution of quantised numbers with quantised weights."""

    def __init__(self, *args: Any, num_bits: int = 8, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.num_bits = num_bits
        self.quantize_input = QuantMeasure(num_bits)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quantize_input(x)
        weight = quantize(
            self.weight,
            self.num_bits,
            float(self.weight.min()),
            float(self.weight.max()),
        )
        bias = self.bias
        if bias is not None:
            bias = quantize(bias, self.num_bits, float(bias.min()), float(bias.max()))
        return F.conv2d(x, weight, bias, self.stride, self.padding)


class QLinear(nn.Linear):
    """The same for a linear layer."""

    def __init__(self, *args: Any, num_bits: int = 8, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.num_bits = num_bits
        self.quantize_input = QuantMeasure(num_bits)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quantize_input(x)
        weight = quantize(
            self.weight,
            self.num_bits,
            float(self.weight.min()),
            float(self.weight.max()),
        )
        bias = self.bias
        if bias is not None:
            bias = quantize(bias, self.num_bits, float(bias.min()), float(bias.max()))
        return F.linear(x, weight, bias)


class BasicBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, cin: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = QConv2d(cin, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = QConv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride != 1 or cin != width:
            self.downsample = nn.Sequential(
                QConv2d(cin, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            residual = self.downsample(x)
        out += residual
        return self.relu(out)


class QuantizedResNet(nn.Module):
    """The network; all layers but batch norms are quantised."""

    def __init__(self, width: int, depths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.conv1 = QConv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = width
        for i, depth in enumerate(depths):
            blocks = []
            for j in range(depth):
                stride = 2 if i and not j else 1
                blocks.append(BasicBlock(channels, width * 2**i, stride))
                channels = width * 2**i
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = QLinear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.avgpool(x).view(x.size(0), -1)
        return self.fc(x)


def build(small: bool) -> nn.Module:
    """Return the network with random weights and calibrated ranges."""
    model = QuantizedResNet(8 if small else 64, (1, 1, 1, 1) if small else (2, 2, 2, 2),
                            10 if small else 1000)  # fmt: skip
    g = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, QuantMeasure):
            module.momentum = 1.0  # the first batch sets the range
    model.train()
    with torch.no_grad():
        for _ in range(CALIBRATION):
            model(*inputs(g, 8, small)[0])
            for module in model.modules():
                if isinstance(module, QuantMeasure):
                    module.momentum = 0.1
    return model


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return a batch of images."""
    size = 32 if small else 224
    return (torch.randn(batch, 3, size, size, generator=g),), {}
