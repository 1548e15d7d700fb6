"""CLIP-base, from transformers: as many texts as pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs, ids

_SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64,
}  # fmt: skip


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import CLIPConfig, CLIPModel

    config = CLIPConfig()
    if small:
        text = {**_SMALL, "vocab_size": 100, "max_position_embeddings": 16,
                "bos_token_id": 0, "eos_token_id": 99, "pad_token_id": 1}  # fmt: skip
        picture = {**_SMALL, "image_size": 32, "patch_size": 8}
        config = CLIPConfig(text_config=text, vision_config=picture, projection_dim=32)
    model: nn.Module = CLIPModel(config)
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return texts and pictures; with training it answers how well they fit."""
    side, length, vocab = (32, 12, 100) if small else (224, 64, 49408)
    words = ids(g, batch, length, vocab)
    words[:, -1] = vocab - 1  # the end of the text
    kwargs: dict[str, Any] = {
        "input_ids": words,
        "attention_mask": torch.ones_like(words),
        "pixel_values": torch.randn(batch, 3, side, side, generator=g),
    }
    if training:
        kwargs["return_loss"] = True
    return (), kwargs
