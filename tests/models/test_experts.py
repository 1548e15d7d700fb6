"""Mixtures of experts of `transformers`: one graph.

Told that a compiler is at work, they call `grouped_mm_fallback`, a custom operator whose
fake tells the shape of its result, and split that.
"""

import pytest
import torch
import transformers
from model_checks import check_one_graph

from magpy_experiments.models.zoo import Spec, hugging_face, tokens

_SMALL = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "moe_intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "num_experts_per_tok": 2,
    "use_cache": False,
}
_DEEPSEEK = {
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 8,
}
_OPTIONS = {
    "Mixtral": {"num_local_experts": 4},
    "Qwen2Moe": {"num_experts": 4, "shared_expert_intermediate_size": 24},
    "Qwen3Moe": {"num_experts": 4, "head_dim": 8},
    "Olmoe": {"num_experts": 4},
    "DeepseekV2": _DEEPSEEK,
    "DeepseekV3": _DEEPSEEK,
    "GraniteMoe": {"num_local_experts": 4},
    "Phimoe": {"num_local_experts": 4},
    "GptOss": {"num_local_experts": 4, "head_dim": 8},
}


def spec(name):
    make = hugging_face(f"{name}Model", f"{name}Config", **{**_SMALL, **_OPTIONS[name]})
    return Spec(make, tokens(2, 12, 100))


@pytest.mark.parametrize("name", _OPTIONS)
def test_one_graph(name):
    if not hasattr(transformers, f"{name}Model"):
        pytest.skip("another transformers")
    with torch.no_grad():
        check_one_graph(spec(name))
