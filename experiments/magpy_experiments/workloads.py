"""Models of published sizes, for the demo and the benchmarks: random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from magpy_experiments.models.zoo import BasicBlock, Bottleneck, ResNet


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
    return _images(ResNet(BasicBlock, [2, 2, 2, 2], 64, 1000), device)


def resnet101(device: str) -> Workload:
    """ResNet-101 on one 224x224 image."""
    return _images(ResNet(Bottleneck, [3, 4, 23, 3], 64, 1000), device)


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
