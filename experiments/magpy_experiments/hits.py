"""What a hit costs more than the graph alone, which does nothing here.

Rows: one addition, twenty tensors, models with many parameters, sizes that take turns.
Both compilers get a backend whose callable returns results that were made before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import magpy
from magpy_experiments.measure import interleaved, step

_TURNS = 65


class Remembering:
    """A backend whose callables do nothing but return what the graph gave at first."""

    def __init__(self) -> None:
        self.last: Callable[[], Any] | None = None

    def __call__(self, module: Any, inputs: Sequence[Any]) -> Callable[..., Any]:
        given = module(*inputs)
        results = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        kept = list(inputs)

        def remembered(*args: Any) -> tuple[Any, ...]:
            return results

        self.last = partial(remembered, *kept)
        return remembered


def _one(x: Any) -> Any:
    return x + 1


def _twenty(*tensors: Any) -> Any:
    total = tensors[0]
    for tensor in tensors[1:]:
        total = total + tensor
    return total


def _bert(device: str) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    import torch
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig(hidden_size=48, intermediate_size=64)).eval()
    ids = torch.randint(0, 1000, (1, 8), device=device)
    return model.to(device), (ids,), {"attention_mask": torch.ones_like(ids)}


def _llama(device: str) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    import torch
    from transformers import LlamaConfig, LlamaModel

    config = LlamaConfig(
        num_hidden_layers=36,
        hidden_size=16,
        intermediate_size=32,
        num_attention_heads=2,
        num_key_value_heads=2,
        vocab_size=100,
    )
    ids = torch.randint(0, 100, (1, 8), device=device)
    return LlamaModel(config).eval().to(device), (ids,), {"use_cache": False}


def _programs(device: str, quick: bool) -> dict[str, Any]:
    import torch

    x = torch.ones(4, device=device)
    programs: dict[str, Any] = {
        "one addition": (_one, (x,), {}),
        "20 tensors": (_twenty, tuple(x + i for i in range(20)), {}),
    }
    if not quick:
        programs["BERT, 12 layers"] = _bert(device)
        programs["Llama, 36 layers"] = _llama(device)
    return programs


def _row(
    name: str, program: Any, device: str, rounds: int, inner: int
) -> dict[str, Any]:
    import torch

    function, args, kwargs = program
    calls: dict[str, Callable[[], Any]] = {}
    with step(f"hits {name}: compiling"):
        for who, compile_with in (
            ("torch.compile", torch.compile),
            ("magpy", magpy.compile),
        ):
            torch.compiler.reset()
            backend = Remembering()
            fast = compile_with(function, backend=backend)
            calls[who] = partial(fast, *args, **kwargs)
            for _ in range(5):
                calls[who]()
    if backend.last is not None:
        calls["graph"] = backend.last
    with step(f"hits {name}: measuring"):
        times = interleaved(calls, device, rounds=rounds, inner=inner)
    row: dict[str, Any] = {"name": name, **times}
    for who in ("magpy", "torch.compile") if "graph" in times else ():
        row[f"{who} - graph"] = times[who] - times["graph"]
    return row


def _turns(device: str, rounds: int) -> dict[str, Any]:
    """A call of sizes in rotation, and one of the same size all the time."""
    import torch

    fast = magpy.compile(
        _one, backend=Remembering(), dynamic=False, recompile_limit=100
    )
    xs = [torch.ones(n + 2, device=device) for n in range(_TURNS)]
    for x in xs:
        for _ in range(3):
            fast(x)

    def rotation() -> None:
        for x in xs:
            fast(x)

    def same() -> None:
        for _ in xs:
            fast(xs[0])

    calls = {"rotation": rotation, "one size": same}
    times = interleaved(calls, device, rounds=rounds, inner=10)
    row: dict[str, Any] = {"name": f"{_TURNS} sizes in rotation"}
    row.update({key: taken / _TURNS for key, taken in times.items()})
    row["rotation / one size"] = times["rotation"] / times["one size"]
    return row


def rows(device: str, quick: bool) -> list[dict[str, Any]]:
    """Measure; what stands in the table of ``python -m magpy bench hits``."""
    rounds = 10 if quick else 60
    measured = [
        _row(name, program, device, rounds, 20 if "layers" in name else 500)
        for name, program in _programs(device, quick).items()
    ]
    return [*measured, _turns(device, rounds)]
