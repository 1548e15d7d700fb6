"""Wav2Vec2-base, from transformers: convolutions on sound, and a transformer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs

_SMALL: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 64, "conv_dim": (16, 16, 16), "conv_stride": (5, 2, 2),
    "conv_kernel": (10, 3, 3), "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}  # fmt: skip
#: Nothing is drawn in training, so that two models can be compared.
_PLAIN: dict[str, Any] = {
    "hidden_dropout": 0.0, "activation_dropout": 0.0, "attention_dropout": 0.0,
    "feat_proj_dropout": 0.0, "final_dropout": 0.0, "layerdrop": 0.0,
    "apply_spec_augment": False,
}  # fmt: skip


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    config = Wav2Vec2Config(vocab_size=32, **_PLAIN, **(_SMALL if small else {}))
    model: nn.Module = Wav2Vec2ForCTC(config)
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return two seconds of sound."""
    samples = 800 if small else 32000
    return (), {"input_values": torch.randn(batch, samples, generator=g)}
