"""BERT-base's encoder on embeddings, from transformers: random weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs

DEFAULT_LENGTH = {False: 256, True: 16}


def build(small: bool) -> nn.Module:
    """Return the encoder; attention is written out, as in the paper's version."""
    from transformers import BertConfig, BertModel

    options: dict[str, Any] = {"attn_implementation": "eager"}
    if small:
        options |= {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 64, "vocab_size": 100,
        }  # fmt: skip
    model: nn.Module = BertModel(BertConfig(**options), add_pooling_layer=False)
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, length: int | None = None
) -> Inputs:
    """Return embeddings, as the paper's benchmark does."""
    length = length or DEFAULT_LENGTH[small]
    size = 32 if small else 768
    return (), {"inputs_embeds": torch.randn(batch, length, size, generator=g)}
