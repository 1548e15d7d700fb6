"""CUDA graphs on a GPU: replayed, equal to eager, and never in the caller's way."""

from __future__ import annotations

import warnings

import pytest
import torch

import magpy

if not torch.cuda.is_available():
    pytest.skip("needs a GPU", allow_module_level=True)

WAYS = [
    {"backend": "cudagraphs"},
    {"mode": "reduce-overhead"},
    {"mode": "max-autotune"},
]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: next(iter(way.values())))


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", magpy.MagpyWarning)
        yield


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(8, 8), torch.nn.GELU(), torch.nn.Linear(8, 8)
    ).cuda()


def launches(f):
    """Return how many CUDA graphs a call launches."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        f()
        torch.cuda.synchronize()
    return sum(e.count for e in seen.key_averages() if "GraphLaunch" in e.key)


@ways
def test_inference_keeps_a_hundred_results(way):
    m = model()
    fast = magpy.compile(m, **way)
    with torch.no_grad():
        xs = [torch.randn(4, 8, device="cuda") for _ in range(100)]
        kept = [fast(x) for x in xs]
        for x, y in zip(xs, kept, strict=True):
            torch.testing.assert_close(y, m(x), rtol=1e-3, atol=1e-4)
        assert magpy.stats(fast)["hits"] == 99


@ways
def test_a_graph_is_launched(way):
    fast = magpy.compile(lambda x: (x.sin() + 1).cos(), **way)
    x = torch.randn(64, device="cuda")
    for _ in range(3):
        fast(x)
    assert launches(lambda: fast(x)) in (0, 1)  # 0: the engine pauses under a profiler
    torch.testing.assert_close(fast(x), (x.sin() + 1).cos())


@ways
def test_results_are_the_next_inputs(way):
    fast = magpy.compile(lambda h: torch.tanh(h * 1.5), **way)
    h = g = torch.linspace(-1, 1, 16, device="cuda")
    for _ in range(20):
        h, g = fast(h), torch.tanh(g * 1.5)
        torch.testing.assert_close(h, g)


@ways
def test_caches_are_written_in_place(way):
    def step(cache, at, x):
        cache.index_copy_(0, at, x)
        return cache.sum(0)

    fast = magpy.compile(step, **way)
    ours = torch.zeros(16, 4, device="cuda")
    theirs = torch.zeros(16, 4, device="cuda")
    for i in range(16):
        at = torch.tensor([i], device="cuda")
        x = torch.full((1, 4), float(i), device="cuda")
        torch.testing.assert_close(fast(ours, at, x), step(theirs, at, x))
        torch.testing.assert_close(ours, theirs)


@ways
def test_parameters_are_updated_and_replaced(way):
    m = model()
    fast = magpy.compile(m, **way)
    x = torch.randn(4, 8, device="cuda")
    with torch.no_grad():
        for i in range(8):
            torch.testing.assert_close(fast(x), m(x), rtol=1e-3, atol=1e-4)
            if i % 3 == 2:
                m[0].weight.data = torch.randn_like(m[0].weight)
            else:
                m[0].weight.mul_(0.5)


def test_dropout_draws_what_eager_draws():
    def f(x):
        return torch.nn.functional.dropout(x, 0.5)

    fast = magpy.compile(f, backend="cudagraphs")
    x = torch.ones(1000, device="cuda")
    torch.manual_seed(3)
    ours = [fast(x) for _ in range(6)]
    torch.manual_seed(3)
    theirs = [f(x) for _ in range(6)]
    for left, right in zip(ours, theirs, strict=True):
        assert torch.equal(left, right)


@ways
def test_two_streams(way):
    fast = magpy.compile(lambda x: x * 2 + 1, **way)
    x = torch.arange(1024.0, device="cuda")
    for _ in range(3):
        fast(x)
    other = torch.cuda.Stream()
    for i in range(20):
        other.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(other):
            y = fast(x + i)
        z = fast(x - i)
        torch.cuda.synchronize()
        assert torch.equal(y, (x + i) * 2 + 1) and torch.equal(z, (x - i) * 2 + 1)


@ways
def test_training(way):
    def run(f):
        m = model()
        g = magpy.compile(m, **way) if f else m
        optimizer = torch.optim.SGD(m.parameters(), lr=0.1)
        torch.manual_seed(1)
        losses = []
        for _ in range(12):
            x = torch.randn(4, 8, device="cuda")
            loss = g(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss)
        return [loss.item() for loss in losses], [p.detach() for p in m.parameters()]

    (ours, weights), (theirs, wanted) = run(True), run(False)
    assert ours == pytest.approx(theirs, rel=1e-3)
    for left, right in zip(weights, wanted, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-4)


def test_training_results_are_kept():
    m = model()
    fast = magpy.compile(m, mode="reduce-overhead")
    kept = [(x, fast(x)) for x in torch.randn(20, 4, 8, device="cuda")]
    for x, y in kept:
        torch.testing.assert_close(y, m(x), rtol=1e-3, atol=1e-4)


@ways
def test_work_on_the_cpu_is_told(way):
    fast = magpy.compile(lambda x: x + torch.arange(3.0).sum(), **way)
    x = torch.zeros(2, device="cuda")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", magpy.MagpyWarning)
        for _ in range(4):
            assert fast(x).tolist() == [3.0, 3.0]
    assert len(caught) <= 1
