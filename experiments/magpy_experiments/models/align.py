"""ALIGN: a BERT beside an EfficientNet-B7, from transformers: random weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs, ids

_SMALL_TEXT: dict[str, Any] = {
    "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64,
}  # fmt: skip
_SMALL_VISION: dict[str, Any] = {
    "image_size": 32, "width_coefficient": 0.25, "depth_coefficient": 0.2,
    "hidden_dim": 32, "initializer_range": 0.3,
}  # fmt: skip


def build(small: bool) -> nn.Module:
    """Return the model; the defaults of its configurations are ALIGN-base."""
    from transformers import AlignConfig, AlignModel

    text: dict[str, Any] = {"attn_implementation": "eager"}
    config = AlignConfig(
        text_config={**text, **(_SMALL_TEXT if small else {})},
        vision_config=_SMALL_VISION if small else {},
        projection_dim=80 if small else 640,
        return_dict=False,
    )
    model: nn.Module = AlignModel(config)
    return model


def inputs(g: torch.Generator, batch: int, small: bool) -> Inputs:
    """Return as many texts as images."""
    words = ids(g, batch, 12 if small else 64, 100 if small else 30522)
    size = 32 if small else 289
    images = torch.randn(batch, 3, size, size, generator=g)
    return (), {
        "input_ids": words,
        "attention_mask": torch.ones_like(words),
        "pixel_values": images,
    }
