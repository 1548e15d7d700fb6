"""Models of the demo and the benchmarks: random weights, nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (ResNet-18 and -34)."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(c_in, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            x = self.downsample(x)
        out += x
        result: Tensor = self.relu(out)
        return result


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut (ResNet-50 and deeper)."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        c_out = width * self.expansion
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(c_in, c_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Run the block."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.downsample is not None:
            x = self.downsample(x)
        out += x
        result: Tensor = self.relu(out)
        return result


def _shortcut(c_in: int, c_out: int, stride: int) -> nn.Module | None:
    if stride == 1 and c_in == c_out:
        return None
    conv = nn.Conv2d(c_in, c_out, 1, stride, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class ResNet(nn.Module):
    """Residual network in the style of torchvision's."""

    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(
        self, block: type[BasicBlock | Bottleneck], depths: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        c_in = 64
        for number, depth in enumerate(depths, 1):
            width = 32 * 2**number
            blocks: list[nn.Module] = []
            for index in range(depth):
                stride = 2 if index == 0 and number > 1 else 1
                blocks.append(block(c_in, width, stride))
                c_in = width * block.expansion
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(c_in, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of a batch of images."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = torch.flatten(self.avgpool(x), 1)
        logits: Tensor = self.fc(x)
        return logits


class Add(nn.Module):
    """The smallest module with a parameter: one addition."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        """Add the bias."""
        return x + self.bias


#: A model in eval mode and the arguments of one call.
Workload = tuple[nn.Module, tuple[Any, ...]]


def resnet18(device: str) -> Workload:
    """ResNet-18 on one 224x224 image."""
    return _images(ResNet(BasicBlock, (2, 2, 2, 2)), device)


def resnet101(device: str) -> Workload:
    """ResNet-101 on one 224x224 image."""
    return _images(ResNet(Bottleneck, (3, 4, 23, 3)), device)


def _images(model: nn.Module, device: str) -> Workload:
    return model.eval().to(device), (torch.randn(1, 3, 224, 224, device=device),)


def bert_small(device: str) -> Workload:
    """BERT with 4 layers of width 256 on 64 tokens."""
    return _bert(device, width=256, layers=4, tokens=64)


def bert_base(device: str) -> Workload:
    """BERT-base on 128 tokens."""
    return _bert(device, width=768, layers=12, tokens=128)


def _bert(device: str, *, width: int, layers: int, tokens: int) -> Workload:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        hidden_size=width,
        num_hidden_layers=layers,
    )
    model: nn.Module = BertModel(config)
    ids = torch.randint(0, config.vocab_size, (1, tokens), device=device)
    return model.eval().to(device), (ids,)


def add(device: str) -> Workload:
    """One addition of eight numbers."""
    return Add().eval().to(device), (torch.randn(8, device=device),)


def first_tensor(result: Any) -> Tensor:
    """Return the first tensor of a model's result."""
    while not isinstance(result, Tensor):
        result = next(iter(result.values() if hasattr(result, "values") else result))
    return result


WORKLOADS: dict[str, Callable[[str], Workload]] = {
    "bert-small": bert_small,
    "bert-base": bert_base,
    "resnet18": resnet18,
    "resnet101": resnet101,
    "add": add,
}
