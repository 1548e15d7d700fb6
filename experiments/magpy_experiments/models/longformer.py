"""Longformer-base, from transformers: random weights, attention in windows."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs, ids

DEFAULT_LENGTH = {False: 256, True: 12}
_BASE: dict[str, Any] = {
    "vocab_size": 50265, "max_position_embeddings": 4098, "type_vocab_size": 1,
    "layer_norm_eps": 1e-5, "attention_window": 512,
}  # fmt: skip
_SMALL: dict[str, Any] = {
    "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64,
    "attention_window": 8,
}  # fmt: skip


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import LongformerConfig, LongformerModel

    model: nn.Module = LongformerModel(LongformerConfig(**(_SMALL if small else _BASE)))
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, length: int | None = None
) -> Inputs:
    """Return words."""
    length = length or DEFAULT_LENGTH[small]
    return (), {"input_ids": ids(g, batch, length, 100 if small else 50265)}
