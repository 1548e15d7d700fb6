"""A decoder as Llama's, from transformers: rotations, grouped heads, gated units."""

from __future__ import annotations

import torch
from torch import nn

from magpy_experiments.models import decoders
from magpy_experiments.models.arguments import Inputs


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import LlamaConfig, LlamaForCausalLM

    model: nn.Module = LlamaForCausalLM(LlamaConfig(**decoders.sizes(small)))
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return words."""
    return decoders.words(g, batch, small, training)
