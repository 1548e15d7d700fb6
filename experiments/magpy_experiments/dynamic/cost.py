"""What symbols cost: a hit, and a recording, with and without them."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import magpy
from magpy_experiments.dynamic.sweeps import Decoder
from magpy_experiments.measure import interleaved, step

#: A model or function, and the arguments of a call of some size.
_Target = tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]]]


def _scaled() -> _Target:
    def scaled(x: Tensor, n: int) -> Tensor:
        return x[:, :n] * n

    return scaled, lambda k: (torch.ones(2, 16 + k), 4 + k)


def _mlp() -> _Target:
    parts = [nn.Linear(16, 16), nn.ReLU()] * 8
    return nn.Sequential(*parts).eval(), lambda k: (torch.ones(8 + k, 16),)


def _gpt() -> _Target:
    return Decoder(layers=4).eval(), lambda k: (
        torch.ones(2, 16 + k, dtype=torch.long),
    )


def _bert() -> _Target:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4}
    config = BertConfig(vocab_size=128, num_attention_heads=4, **sizes)
    model = BertModel(config).eval()
    return model, lambda k: (torch.ones(2, 16 + k, dtype=torch.long),)


TARGETS = {"slice and scale": _scaled, "MLP": _mlp, "GPT": _gpt, "BERT": _bert}


def _warm(target: Any, arguments: Any, dynamic: bool | None) -> Any:
    """Compile; with symbols, if dynamic is None: the call that is measured has them."""
    fast = magpy.compile(target, backend="eager", dynamic=dynamic)
    for k in (2, 4, 0, 0) if dynamic is None else (0, 0):
        fast(*arguments(k))
    return fast


def _recording(target: Any, arguments: Any, symbols: bool, rounds: int) -> float:
    """Median seconds of a recording."""
    spent = []
    for _ in range(rounds):
        fast = magpy.compile(
            target, backend="eager", dynamic=None if symbols else False
        )
        fast(*arguments(2))
        before = magpy.stats(fast)["seconds"]["record"]
        fast(*arguments(4))
        spent.append(magpy.stats(fast)["seconds"]["record"] - before)
    return float(statistics.median(spent))


def rows(rounds: int) -> list[dict[str, Any]]:
    """Measure each target."""
    found = []
    for name, make in TARGETS.items():
        torch.manual_seed(0)
        target, arguments = make()
        with torch.no_grad(), step(f"cost of symbols: {name}"):
            calls = {
                "static hit": _warm(target, arguments, False),
                "hit": _warm(target, arguments, None),
            }
            given = arguments(0)
            bound = {who: functools.partial(f, *given) for who, f in calls.items()}
            times = interleaved(bound, "cpu", rounds=rounds, inner=20)
            target(*given)  # what is made at a first call of torch's own is there
            row: dict[str, Any] = {"name": name, **times}
            row["static recording"] = _recording(target, arguments, False, 7)
            row["recording"] = _recording(target, arguments, True, 7)
            stats = magpy.stats(calls["hit"])
            row["symbols"] = len(stats["dynamic"])
        row["hit / static hit"] = row["hit"] / row["static hit"]
        row["recording / static recording"] = row["recording"] / row["static recording"]
        found.append(row)
    return found


def guards(rounds: int, inner: int = 2000) -> dict[str, float]:
    """Seconds of a hit that has no graph: of guards and gathering alone."""

    def counted(x: int, y: int, holder: dict[str, int]) -> list[int]:
        return [x + y, holder["n"] * 2, x // 3]

    holder = {"n": 5}
    static = magpy.compile(counted, dynamic=False, backend="eager")
    symbolic = magpy.compile(counted, dynamic=None, backend="eager")
    for fast in (static, symbolic):
        for n in (3, 4, 5, 5):
            holder["n"] = n
            fast(n, 7, holder)
    times = {}
    for name, fast in (("static", static), ("symbols", symbolic)):
        taken = []
        for _ in range(rounds):
            start = time.perf_counter()
            for _ in range(inner):
                fast(5, 7, holder)
            taken.append((time.perf_counter() - start) / inner)
        times[name] = statistics.median(taken)
    return times
