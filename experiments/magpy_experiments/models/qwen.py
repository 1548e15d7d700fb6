"""A decoder as Qwen 3's, from transformers: norms of queries and keys."""

from __future__ import annotations

import torch
from torch import nn

from magpy_experiments.models import decoders
from magpy_experiments.models.arguments import Inputs


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    head = 8 if small else 128
    config = Qwen3Config(head_dim=head, **decoders.sizes(small))
    model: nn.Module = Qwen3ForCausalLM(config)
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return words."""
    return decoders.words(g, batch, small, training)
