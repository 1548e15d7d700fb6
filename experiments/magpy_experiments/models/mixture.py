"""A mixture of experts as Mixtral, from transformers: two of eight experts per word."""

from __future__ import annotations

import torch
from torch import nn

from magpy_experiments.models import decoders
from magpy_experiments.models.arguments import Inputs


def build(small: bool) -> nn.Module:
    """Return the model."""
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = decoders.sizes(small)
    if not small:
        sizes |= {"num_hidden_layers": 4, "hidden_size": 512, "intermediate_size": 1408}
    config = MixtralConfig(num_local_experts=8, num_experts_per_tok=2, **sizes)
    model: nn.Module = MixtralForCausalLM(config)
    return model


def inputs(
    g: torch.Generator, batch: int, small: bool, training: bool = False
) -> Inputs:
    """Return words."""
    return decoders.words(g, batch, small, training)
