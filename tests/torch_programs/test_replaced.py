"""Functions of torch that the program replaces: a hit calls what the recorded call called."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import magpy

BACKENDS = ["eager", "aot_eager"]
SOFTMAX, RELU, SPLIT = F.softmax, torch.Tensor.relu, torch.Tensor.split
X = torch.arange(6.0).reshape(2, 3)
LINEAR, NORM = torch.nn.Linear(3, 3), torch.nn.LayerNorm(3)
ATTENTION = torch.nn.MultiheadAttention(4, 2, batch_first=True)
QUERY = torch.arange(24.0).reshape(2, 3, 4).sin()


def times(factor):
    return lambda old: lambda *args, **kwargs: old(*args, **kwargs) * factor


def wrapped(old):
    return functools.wraps(old)(lambda *args, **kwargs: old(*args, **kwargs) * 2)


def attend(weights):
    return lambda q: ATTENTION(q, q, q, need_weights=weights)[0]


def doubled(q, k, v, w, b=None):
    """Code in the place of that of `_in_projection_packed`, with its globals."""
    size = q.size(-1)
    whole = linear(q, w, b) * 2  # type: ignore[name-defined]  # noqa: F821
    return whole.unflatten(-1, (3, size)).movedim(-2, 0).contiguous().unbind(0)


class Two(type):
    """In the place of `float`: all are of that class, and each text says 2."""

    def __instancecheck__(cls, value):
        return True

    def __call__(cls, text):
        return 2.0


def pair_of(n):
    """Code with the one cell that `_pair` has."""
    return (lambda size: (size + n,) * n).__code__


#: what is compiled, where something is replaced, its name, by what
CASES = {
    "function": (lambda x: F.softmax(x, -1), F, "softmax", times(7)),
    "function-kept": (lambda x: SOFTMAX(x, -1), F, "softmax", times(7)),
    "function-wrapped": (lambda x: F.dropout(x, 0.0), F, "dropout", wrapped),
    "function-dispatched": (lambda x: F.max_pool1d(x, 2), F, "max_pool1d", times(3)),
    "function-partial": (
        lambda x: F.leaky_relu(x - 3),
        F,
        "leaky_relu",
        lambda old: functools.partial(old, negative_slope=0.5),
    ),
    "function-another": (lambda x: F.elu(x - 3), F, "elu", lambda old: F.selu),
    "function-in-C": (LINEAR.forward, F, "linear", times(3)),
    "torch": (lambda x: torch.relu(x), torch, "relu", times(5)),
    "method": (lambda x: x.relu(), torch.Tensor, "relu", times(5)),
    "method-kept": (lambda x: RELU(x), torch.Tensor, "relu", times(5)),
    "method-another": (
        lambda x: x.sin(),
        torch.Tensor,
        "sin",
        lambda old: torch.Tensor.cos,
    ),
    "method-in-Python": (
        lambda x: x.split(1)[0],
        torch.Tensor,
        "split",
        lambda old: lambda *args: [t * 3 for t in old(*args)],
    ),
    "property": (
        lambda x: x.T,
        torch.Tensor,
        "T",
        lambda old: property(lambda t: t.t() * 2),
    ),
    "add": (lambda x: x + 1, torch.Tensor, "__add__", times(5)),
    "add-reversed": (lambda x: 1 + x, torch.Tensor, "__radd__", times(5)),
    "matmul": (lambda x: x @ x.T, torch.Tensor, "__matmul__", times(5)),
    "neg": (lambda x: -x, torch.Tensor, "__neg__", times(5)),
    "abs": (lambda x: abs(x), torch.Tensor, "__abs__", times(5)),
    "getitem": (lambda x: x[0], torch.Tensor, "__getitem__", times(5)),
    "less": (
        lambda x: (2 > x).float(),
        torch.Tensor,
        "__lt__",
        lambda old: lambda a, b: ~old(a, b),
    ),
    "inside-a-function": (attend(False), F, "scaled_dot_product_attention", times(3)),
    "inside-another": (attend(True), F, "linear", times(3)),
    "inside-a-method": (lambda x: F.softmax(x, -1), torch.Tensor, "softmax", times(3)),
    "inside-by-a-partial": (
        lambda x: F.relu(x),
        torch,
        "relu",
        lambda old: functools.partial(torch.clamp, min=2.5),
    ),
    "inside-a-module-of-modules": (
        lambda x: F.silu(x),
        torch._C._nn,
        "silu",
        lambda old: functools.partial(torch.add, other=4),
    ),
    "inside-of-both-ways": (
        lambda x: F.max_pool1d(x, 2)[0],
        torch,
        "max_pool1d",
        lambda old: torch.max_pool1d_with_indices,
    ),
    "inside-by-a-method": (
        lambda x: F.softmax(x, -1),
        torch.Tensor,
        "softmax",
        lambda old: functools.partialmethod(torch.Tensor.add, alpha=3),
    ),
    "method-in-Python-kept": (
        lambda x: SPLIT(x, 1)[0],
        torch.Tensor,
        "split",
        times(3),
    ),
    "inside-of-torch": (lambda x: NORM(x), torch, "layer_norm", times(3)),
    "inside-from-another-module": (
        lambda x: F.lp_pool2d(x[None], 2.0, 2),
        F,
        "_pair",
        lambda old: lambda n: (3, 3),
    ),
    "inside-the-code-of-another-module": (
        lambda x: F.lp_pool2d(x[None], 2.0, 2),
        F._pair,
        "__code__",
        lambda old: pair_of(5),
    ),
    "inside-the-code": (
        attend(True),
        F._in_projection_packed,
        "__code__",
        lambda old: doubled.__code__,
    ),
    "inside-a-name-of-builtins": (
        lambda x: F.lp_pool2d(x[None], 2.0, 2),
        F,
        "float",
        lambda old: Two("Two", (), {}),
    ),
    "inside-numpy": (
        lambda x: x * float(np.mean(np.array([1.0, 2.0]))),
        np._core._methods,
        "umr_sum",
        times(3),
    ),
    "inside-numpy-a-constant": (
        lambda x: x * float(np.prod(np.array([1.0, 2.0]))),
        np._core.fromnumeric,
        "_wrapreduction",
        times(3),
    ),
    "inside-numpy-another-module": (
        lambda x: x * float(np.linalg.norm(np.array([3.0, 4.0]))),
        np.linalg._linalg,
        "sqrt",
        times(3),
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_replaced(case, backend, monkeypatch):
    f, home, name, make = CASES[case]
    x = (
        QUERY
        if case in ("inside-a-function", "inside-another", "inside-the-code")
        else X
    )
    compiled = magpy.compile(f, backend=backend)
    late = magpy.compile(lambda x: f(x), backend=backend)

    def check(fn):
        for _ in range(3):
            assert torch.allclose(fn(x), f(x), atol=1e-5)

    check(compiled)
    assert magpy.stats(compiled)["hits"] == 2
    replacement = make(getattr(home, name, None))
    with monkeypatch.context() as patch:
        patch.setattr(home, name, replacement, raising=False)
        check(compiled)
        check(late)
    check(compiled)
    check(late)
    with monkeypatch.context() as patch:
        patch.setattr(home, name, replacement, raising=False)
        check(compiled)
    assert magpy.stats(compiled)["hits"] > 4


def test_replaced_before_magpy_is_imported():
    program = """
    import torch, torch.nn.functional as F

    def replace(home, name, factor):
        old = getattr(home, name)
        setattr(home, name, lambda *a, **k: old(*a, **k) * factor)
        return old

    soft, relu = replace(F, "softmax", 7), replace(torch.Tensor, "relu", 5)
    replace(F, "linear", 2), replace(torch.Tensor, "__add__", 3)
    replace(torch, "layer_norm", 2)
    import magpy

    x = torch.arange(6.0).reshape(2, 3)
    linear, norm = torch.nn.Linear(3, 3), torch.nn.LayerNorm(3)
    for f in (
        lambda x: F.softmax(x, -1),
        lambda x: soft(x, -1),
        lambda x: x.relu(),
        lambda x: relu(x),
        lambda x: linear(x),
        lambda x: norm(x),
        lambda x: x + 1,
    ):
        for backend in ("eager", "aot_eager"):
            compiled = magpy.compile(f, backend=backend)
            for _ in range(3):
                assert torch.allclose(f(x), compiled(x), atol=1e-5)
    print("equal")
    """
    run = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stderr


def test_generated_code_names_what_was_called(monkeypatch):
    compiled = magpy.compile(lambda x: SOFTMAX(x, -1), backend="eager")
    expected = compiled(X)
    assert torch.equal(compiled(X), expected)
    spec = compiled.entries()[0]["graph"]
    assert "softmax" in str(spec)
    monkeypatch.setattr(F, "softmax", lambda x, dim: x * 0)
    assert torch.equal(compiled(X), expected)
