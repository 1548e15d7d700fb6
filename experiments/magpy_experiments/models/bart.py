"""BART-base, from transformers: random weights, encoder and decoder, with caches."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs, ids

DEFAULT_LENGTH = {False: 256, True: 12}
_BASE: dict[str, Any] = {
    "d_model": 768, "encoder_layers": 6, "decoder_layers": 6,
    "encoder_attention_heads": 12, "decoder_attention_heads": 12,
    "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072, "attn_implementation": "eager",
}  # fmt: skip
_SMALL: dict[str, Any] = {
    "vocab_size": 100, "d_model": 32, "max_position_embeddings": 64,
    "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64,
    "decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 64,
    "attn_implementation": "eager",
}  # fmt: skip


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import BartConfig, BartModel

    model: nn.Module = BartModel(BartConfig(**(_SMALL if small else _BASE)))
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, length: int | None = None
) -> Inputs:
    """Return words and a mask of ones."""
    length = length or DEFAULT_LENGTH[small]
    words = ids(g, batch, length, 100 if small else 50265)
    return (), {"input_ids": words, "attention_mask": torch.ones_like(words)}
