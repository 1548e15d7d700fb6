"""DeBERTa-base, from transformers: random weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs, ids

DEFAULT_LENGTH = {False: 256, True: 16}
_BASE: dict[str, Any] = {
    "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "intermediate_size": 3072, "type_vocab_size": 0,
    "max_position_embeddings": 512, "relative_attention": True, "layer_norm_eps": 1e-7,
    "max_relative_positions": -1, "position_biased_input": False,
    "pos_att_type": ["c2p", "p2c"], "return_dict": False,
}  # fmt: skip
_SMALL = {
    **_BASE, "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 64,
}  # fmt: skip


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import DebertaConfig, DebertaModel

    model: nn.Module = DebertaModel(DebertaConfig(**(_SMALL if small else _BASE)))
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, length: int | None = None
) -> Inputs:
    """Return words, a mask of ones and types of zeros."""
    length = length or DEFAULT_LENGTH[small]
    words = ids(g, batch, length, 100 if small else 50265)
    return (), {
        "input_ids": words,
        "attention_mask": torch.ones_like(words),
        "token_type_ids": torch.zeros_like(words),
    }
