"""Default hooks for saved tensors around a compiled module: checkpoint, save_on_cpu."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch.utils.checkpoint import checkpoint  # noqa: E402

import magpy  # noqa: E402


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = torch.nn.Linear(4, 8), torch.nn.Linear(8, 4)
        self.drop = torch.nn.Dropout(0.3)

    def forward(self, x):
        y = torch.nn.functional.gelu(self.up(x))
        y.exp()  # what nobody uses is saved, too
        return self.drop(self.down(y)) + x


class Counting(Block):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Normed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.norm = torch.nn.BatchNorm1d(4)

    def forward(self, x):
        return self.last(self.norm(self.first(x)).relu()).tanh()


class Catching(Block):
    def forward(self, x):
        try:
            return super().forward(x)
        except Exception as error:
            self.seen = type(error).__name__
            raise


def on_cpu(run, x):
    with torch.autograd.graph.save_on_cpu():
        return run(x)


def own_hooks(run, x):
    seen = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: (seen.append(tuple(t.shape)), t)[1], lambda t: t
    ):
        y = run(x)
    return y + len(seen)


AROUND = {
    "checkpoint": lambda run, x: checkpoint(run, x, use_reentrant=False),
    "whole": lambda run, x: checkpoint(run, x, use_reentrant=False, early_stop=False),
    "reentrant": lambda run, x: checkpoint(run, x, use_reentrant=True),
    "nested": lambda run, x: checkpoint(
        lambda u: checkpoint(run, u, use_reentrant=False) * 2, x, use_reentrant=False
    ),
    "save_on_cpu": on_cpu,
    "own": own_hooks,
}


def step(run, around, number):
    torch.manual_seed(number)
    x = torch.randn(3, 4, requires_grad=True)
    y = around(run, x)
    y.sum().backward()
    return y.detach(), x.grad, torch.rand(1)


@pytest.mark.not_under_verify("verify mode leaves calls with hooks alone")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("cls", [Block, Counting, Normed, Catching])
def test_hooks_around(cls, around, backend):
    plain = cls()
    model = copy.deepcopy(plain)
    fast = magpy.compile(model, backend=backend)
    for i in range(5):
        wanted = step(plain, AROUND[around], i)
        for got, want in zip(step(fast, AROUND[around], i), wanted, strict=True):
            assert torch.allclose(got, want, atol=1e-6)
        for p, q in zip(plain.parameters(), model.parameters(), strict=True):
            assert torch.allclose(p.grad, q.grad, atol=1e-6)
        for p, q in zip(plain.buffers(), model.buffers(), strict=True):
            assert torch.equal(p, q)
        for name in ("calls", "seen"):
            assert getattr(plain, name, 0) == getattr(model, name, 0)
    stats = magpy.stats(fast)
    if around == "own":
        assert stats["hits"] == 0 and set(stats["reasons"]) == {"ambient"}
    elif cls in (Block, Normed):
        assert stats["hits"] >= 4


def test_hooks_come_and_go():
    plain = Block().eval()
    fast = magpy.compile(copy.deepcopy(plain), backend="aot_eager")
    for i, around in enumerate(["none", "save_on_cpu"] * 4):
        run = AROUND.get(around, lambda f, x: f(x))
        wanted = step(plain, run, i)
        for got, want in zip(step(fast, run, i), wanted, strict=True):
            assert torch.allclose(got, want, atol=1e-6)
    assert magpy.stats(fast)["recordings"] == 2
