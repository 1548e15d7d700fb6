"""What decoders of words have in common: sizes, and the arguments of a call."""

from __future__ import annotations

from typing import Any

import torch

from magpy_experiments.models.arguments import Inputs, ids

_FULL: dict[str, Any] = {
    "vocab_size": 32000, "hidden_size": 1024, "intermediate_size": 2816,
    "num_hidden_layers": 8, "num_attention_heads": 16, "num_key_value_heads": 8,
    "max_position_embeddings": 1024,
}  # fmt: skip
_SMALL: dict[str, Any] = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}  # fmt: skip
LENGTH = {False: 256, True: 16}


def sizes(small: bool) -> dict[str, Any]:
    """Return options of a configuration of transformers."""
    return {**(_SMALL if small else _FULL), "use_cache": False}


def words(g: torch.Generator, batch: int, small: bool, training: bool) -> Inputs:
    """Return words, and their labels when there is training."""
    made = ids(g, batch, LENGTH[small], sizes(small)["vocab_size"])
    kwargs = {"input_ids": made, "attention_mask": torch.ones_like(made)}
    if training:
        kwargs["labels"] = made.clone()
    return (), kwargs
