"""A second process finds what the first has compiled in torch's caches on the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import magpy

PROGRAM = """
import json, sys
import torch
from torch._dynamo.utils import counters
import magpy

train = sys.argv[1] == "1"

def step(x, w):
    y = torch.nn.functional.normalize(x @ w, dim=0)
    return y + torch.ones(3).relu().view(1, 3)

torch.manual_seed(0)
x, w = torch.randn(4, 3), torch.randn(3, 3).requires_grad_(train)
fast = magpy.compile(step)
with torch.set_grad_enabled(train):
    answers = [fast(x, w) for _ in range(3)]
    wanted = step(x, w)
grads = [torch.autograd.grad(y.sum(), [w])[0] for y in (answers[2], wanted) if train]
print(json.dumps({
    "close": torch.allclose(answers[2], wanted, atol=1e-5),
    "grads": not train or torch.allclose(*grads, atol=1e-5),
    "hits": magpy.stats(fast)["hits"],
    "boxed": type(fast.entries()[0]["callable"]).__name__,
    **{k: v for part in ("inductor", "aot_autograd") for k, v in counters[part].items()},
}))
"""


def run(cache: Path, train: bool) -> dict[str, Any]:
    env = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache)}
    command = [sys.executable, "-c", PROGRAM, str(int(train))]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["close"], result
    assert result["grads"], result
    assert result["hits"] == 2
    return result


@pytest.mark.parametrize("train", [False, True])
def test_the_second_process_compiles_nothing(tmp_path: Path, train: bool) -> None:
    first, second = (run(tmp_path, train) for _ in range(2))
    assert first["fxgraph_cache_miss"] == first.get("autograd_cache_saved", 0) + train
    assert "fxgraph_cache_bypass" not in first
    assert second["autograd_cache_hit"] == 1
    assert second["fxgraph_cache_hit"] == 1 + train
    assert "fxgraph_cache_miss" not in second
    assert first["boxed"] == second["boxed"]  # a hit costs the same


def test_what_else_a_graph_depends_on() -> None:
    """A digest is a part of the keys: of state, and of what names lead to."""
    import torch

    from magpy import lookups

    def step(x: Any) -> Any:
        return torch.nn.functional.normalize(x, dim=0).relu()

    def double(self: Any, *args: Any, **kwargs: Any) -> Any:
        return norm(self, *args, **kwargs) * 2

    fast = magpy.compile(step, backend="eager")
    x = torch.ones(3)
    fast(x), fast(x)
    module = magpy.explain(fast)(x).graphs[0]
    before = lookups.digest(module)
    assert before == lookups.digest(module) != ""
    norm = torch.Tensor.norm
    torch.Tensor.norm = double
    try:
        assert lookups.digest(module) == ""  # code of the program: no cache
        torch.Tensor.norm = torch.Tensor.sum
        assert lookups.digest(module) not in ("", before)
    finally:
        torch.Tensor.norm = norm
    torch.set_default_dtype(torch.float64)
    try:
        assert lookups.digest(module) not in ("", before)
    finally:
        torch.set_default_dtype(torch.float32)
    assert lookups.digest(module) == before
