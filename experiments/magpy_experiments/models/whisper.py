"""Whisper-base, from transformers: speech to words, encoder and decoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from magpy_experiments.models.arguments import Inputs, ids

_BASE: dict[str, Any] = {
    "d_model": 512, "encoder_layers": 6, "decoder_layers": 6,
    "encoder_attention_heads": 8, "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048, "vocab_size": 51865,
}  # fmt: skip
_SMALL: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "vocab_size": 100,
    "num_mel_bins": 8, "max_source_positions": 32, "max_target_positions": 32,
    "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3,
    "decoder_start_token_id": 4,
}  # fmt: skip


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    sizes = {**(_SMALL if small else _BASE), "dropout": 0.0, "use_cache": False}
    model: nn.Module = WhisperForConditionalGeneration(WhisperConfig(**sizes))
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return spectra, and the words so far."""
    bins, frames, length, vocab = (8, 64, 8, 100) if small else (80, 3000, 64, 51865)
    words = ids(g, batch, length, vocab)
    kwargs = {
        "input_features": torch.randn(batch, bins, frames, generator=g),
        "decoder_input_ids": words,
    }
    if training:
        kwargs["labels"] = words.clone()
    return (), kwargs
