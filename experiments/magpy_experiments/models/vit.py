"""ViT-base, from transformers: pictures in pieces of 16 by 16."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs

_SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "image_size": 32, "patch_size": 8,
}  # fmt: skip


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(num_labels=10, **(_SMALL if small else {}))
    model: nn.Module = ViTForImageClassification(config)
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return pictures, and what they show when there is training."""
    side = 32 if small else 224
    kwargs = {"pixel_values": torch.randn(batch, 3, side, side, generator=g)}
    if training:
        kwargs["labels"] = torch.randint(10, (batch,), generator=g)
    return (), kwargs
