"""Text generation of transformers with a cache that grows: ten architectures, four ways."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from magpy_experiments.dynamic.case import Case, Compile

_SMALL: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}


def _decoder(name: str, **more: Any) -> Any:
    import transformers

    config = getattr(transformers, f"{name}Config")(**{**_SMALL, **more})
    return getattr(transformers, f"{name}ForCausalLM")(config)


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
    tokens = {"bos_token_id": 1, "eos_token_id": None, "pad_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=128, **sizes, **tokens))


def _t5() -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    tokens = {"decoder_start_token_id": 0, "eos_token_id": None, "pad_token_id": 0}
    return T5ForConditionalGeneration(T5Config(vocab_size=128, **sizes, **tokens))


def _seq2seq(name: str, head: str, **more: Any) -> Any:
    import transformers

    sizes = {
        "vocab_size": 128,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": None,
        "decoder_start_token_id": 2,
    }
    config = getattr(transformers, f"{name}Config")(**{**sizes, **more})
    return getattr(transformers, head)(config)


def _bart() -> Any:
    more = {"max_position_embeddings": 256, "forced_eos_token_id": None}
    return _seq2seq("Bart", "BartForConditionalGeneration", **more)


def _whisper() -> Any:
    more = {
        "num_mel_bins": 16,
        "max_source_positions": 32,
        "max_target_positions": 256,
        "suppress_tokens": None,
        "begin_suppress_tokens": None,
    }
    return _seq2seq("Whisper", "WhisperForConditionalGeneration", **more)


ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "llama": lambda: _decoder("Llama"),
    "gpt2": _gpt2,
    "qwen2": lambda: _decoder("Qwen2"),
    "gemma": lambda: _decoder("Gemma", head_dim=8),
    "mistral": lambda: _decoder("Mistral", sliding_window=None),
    "phi": lambda: _decoder("Phi"),
    "gpt_neox": lambda: _decoder("GPTNeoX"),
    "t5": _t5,
    "bart": _bart,
    "whisper": _whisper,
}

#: Kinds of calls, the prompt and one token more: of each, the first may stay eager.
_KINDS = 2

WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "sampling": {"do_sample": True, "top_k": 20, "temperature": 0.8},
    "beam": {"do_sample": False, "num_beams": 3},
    "assisted": {"do_sample": False, "prompt_lookup_num_tokens": 3},
}


def _inputs(name: str, model: Any, number: int) -> dict[str, Any]:
    if name == "whisper":
        return {"input_features": torch.randn(1, 16, 64)}
    length = 5 + 2 * number
    ids = torch.randint(3, model.config.vocab_size, (1, length))
    # A prompt that repeats itself, so that looking tokens up in it finds some.
    return {"input_ids": torch.cat([ids, ids], dim=1)}


def _generate(
    name: str, way: str, tokens: int, prompts: int, compile_: Compile
) -> Iterator[Any]:
    torch.manual_seed(1)
    model = ARCHITECTURES[name]().eval()
    model.forward = compile_(model.forward)
    with torch.no_grad():
        for number in range(prompts):
            inputs = _inputs(name, model, number)
            limits = {"max_new_tokens": tokens}
            yield model.generate(**inputs, **limits, **WAYS[way])


def cases(tokens: int = 48, prompts: int = 1) -> list[Case]:
    """Return a case for each architecture and way that it can go."""
    found = []
    for name in ARCHITECTURES:
        for way in WAYS:
            if way == "assisted" and name == "whisper":
                continue  # there is no prompt to look tokens up in
            run = functools.partial(_generate, name, way, tokens, prompts)
            found.append(Case(f"generate {name} {way}", run, most=4, eager=_KINDS))
    return found
