"""Sizes and numbers that change, through compilers: one graph, results as in eager."""

from __future__ import annotations

import shutil

import pytest

import magpy

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional

BACKENDS = ["aot_eager", "inductor"]


@pytest.fixture(params=BACKENDS)
def backend(request):
    if request.param == "inductor" and shutil.which("g++") is None:
        pytest.skip("Inductor has no C++ compiler")
    return request.param


def counts(fast):
    stats = magpy.stats(fast)
    return stats["recordings"], stats["hits"], stats["reasons"]


def test_sizes_floats_and_ints(backend):
    weight = torch.randn(4, 4)

    def f(x, scale, steps):
        n = x.shape[0]
        y = F.linear(x, weight).view(n, 2, 2)
        return (y * scale).reshape(n, -1) + n * steps

    fast = magpy.compile(f, backend=backend)
    with torch.no_grad():
        for n, scale, steps in ((5, 0.5, 1), (6, 0.25, 2), (9, 3.5, 30), (40, -1.0, 0)):
            x = torch.randn(n, 4)
            torch.testing.assert_close(fast(x, scale, steps), f(x, scale, steps))
    assert counts(fast) == (2, 2, {})


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.both = nn.LayerNorm(8), nn.Linear(8, 24)
        self.out = nn.Linear(8, 8)

    def forward(self, x):
        b, t, c = x.size()
        q, k, v = self.both(self.norm(x)).split(c, dim=2)
        q, k, v = (y.view(b, t, 2, c // 2).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.out(y.transpose(1, 2).reshape(b, t, c))


def test_training_at_many_lengths(backend):
    ours = Attention()
    fast = magpy.compile(ours, backend=backend)
    for b, t in ((2, 5), (3, 7), (4, 6), (2, 11)):
        x = torch.randn(b, t, 8)
        grads = []
        for model in (fast, ours):
            ours.zero_grad()
            result = model(x)
            result.square().mean().backward()
            grads.append([result, *[p.grad.clone() for p in ours.parameters()]])
        for got, want in zip(*grads, strict=True):
            torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)
        assert not vars(grads[0][0])
    assert counts(fast) == (2, 2, {})


def test_a_backend_that_takes_no_symbols():
    def picky(gm, examples):
        if any(isinstance(x, torch.SymInt) for x in examples):
            raise ValueError("no symbols, please")
        return gm.forward

    def f(x, n):
        return x * n

    fast = magpy.compile(f, backend=picky)
    x = torch.randn(3)
    for n in (3, 4, 5, 5, 5):
        assert torch.equal(fast(x, n), x * n)
    assert magpy.stats(fast)["hits"] >= 1


def test_a_call_that_the_guards_of_the_graph_refuse():
    """Equal sizes by accident while recording, others in the call that compiles."""

    def f(x, y):
        return torch.cat([x, y], 1)

    fast = magpy.compile(f, backend="eager")
    for n in (2, 3):
        x = torch.randn(n, 4)
        assert torch.equal(fast(x, x + 1), f(x, x + 1))
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        fast(torch.randn(4, 4), torch.randn(5, 4))
    x = torch.randn(6, 4)
    assert torch.equal(fast(x, x + 1), f(x, x + 1))
    assert magpy.stats(fast)["hits"] == 1


def test_tensors_of_floats_are_used_again():
    from magpy.shapes import floats

    seen = []

    def run(inputs):
        x, a = inputs
        seen.append(a)
        if len(seen) % 2:
            assert reused([x, a.item() + 1]) == [x + a + 1]  # one run within another
        return [x + a]

    reused = floats.Reused(run, [1])
    for value in (0.5, 1.5, float("inf"), -0.0):
        assert reused([torch.tensor(2.0), value]) == [2.0 + value]
    assert len({id(a) for a in seen}) == 2
    assert all(a.dtype == torch.float64 and a.dim() == 0 for a in seen)


def test_tensors_of_floats_that_a_result_holds_are_new():
    from magpy.shapes import floats

    reused = floats.Reused(lambda inputs: [inputs[0].view(1), None], [0])
    results = [reused([float(n)])[0] for n in range(5)]
    assert torch.cat(results).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_floats_of_a_graph_that_is_differentiated(backend):
    w = torch.randn(3, requires_grad=True)

    def f(x, a):
        return (w * a * x).sum() * a

    fast = magpy.compile(f, backend=backend)
    x = torch.randn(3)
    for values in ((0.5, 1.5), (2.5, 3.5), (4.5, 5.5)):
        losses = [fast(x, a) for a in values]  # both, before the backward of one
        want = [f(x, a) for a in values]
        for loss, good in zip(losses, want, strict=True):
            (got,) = torch.autograd.grad(loss, w)
            (grad,) = torch.autograd.grad(good, w)
            torch.testing.assert_close((loss, got), (good, grad))
    assert magpy.stats(fast)["recordings"] == 2
