"""torch.utils.checkpoint inside a compiled module: a region of the graph."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch.utils.checkpoint import checkpoint, checkpoint_sequential  # noqa: E402

import magpy  # noqa: E402


class Block(torch.nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.up, self.down = torch.nn.Linear(4, 8), torch.nn.Linear(8, 4)
        self.drop = torch.nn.Dropout(drop)

    def forward(self, x, scale=None, extra=None):
        y = torch.nn.functional.gelu(self.up(x))
        y = y if extra is None else y * extra[0].sum()
        y = self.drop(self.down(y)) + x
        return y if scale is None else y * scale


class Counting(Block):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x)


class Shaped(Block):
    """Tuples of torch's own among arguments and results of operations."""

    def forward(self, x):
        y = torch.nn.functional.layer_norm(x, self.up.weight.shape[1:])
        best = torch.max(y, -1, keepdim=True)
        return super().forward(y.flatten().view(x.size()) + best.values)


class Nested(Block):
    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False) * 2


def bound(block):
    return lambda x: (block(x), x.sin())


HOW = {
    "module": lambda b, x: checkpoint(b, x, use_reentrant=False),
    "method": lambda b, x: checkpoint(
        b.__call__, x, None, (x,), use_reentrant=False, early_stop=False
    ),
    "number": lambda b, x: checkpoint(b, x, 2.0, use_reentrant=False),
    "tuple": lambda b, x: checkpoint(bound(b), x, use_reentrant=False)[0],
    "random": lambda b, x: checkpoint(
        b, x, use_reentrant=False, preserve_rng_state=False
    ),
}
BREAKS = {
    "keywords": lambda b, x: checkpoint(b, x, scale=2.0, use_reentrant=False),
    "reentrant": lambda b, x: checkpoint(b, x, use_reentrant=True),
}


class Net(torch.nn.Module):
    def __init__(self, how, cls=Block, drop=0.0):
        super().__init__()
        self.blocks = torch.nn.ModuleList([cls(drop) for _ in range(2)])
        self.how = how

    def forward(self, x):
        for layer in self.blocks:
            x = self.how(layer, x)
        return x.tanh()


class Late(Net):
    """In the backward pass the functions see the last block, in eager mode too."""

    def forward(self, x):
        for layer in self.blocks:
            x = checkpoint(lambda u: layer(u), x, use_reentrant=False)
        return x.tanh()


def compare(net, backend, calls=4):
    model = copy.deepcopy(net)
    fast = magpy.compile(model, backend=backend)
    for i in range(calls):
        found = []
        for run in (net, fast):
            torch.manual_seed(i)
            x = torch.randn(3, 4, requires_grad=True)
            y = run(x)
            y.sum().backward()
            found.append([y, x.grad, *(p.grad for p in run.parameters())])
            run.zero_grad()
        for want, got in zip(*found, strict=True):
            assert torch.allclose(want, got, atol=1e-6)
    return model, magpy.stats(fast)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("drop", [0.0, 0.3])
@pytest.mark.parametrize("how", HOW)
def test_one_graph(how, drop, backend):
    if how == "random" and drop:
        pytest.skip("eager mode has other random numbers in the backward pass")
    _, stats = compare(Net(HOW[how], drop=drop), backend)
    assert stats["hits"] == 3 and stats["graph_breaks"] == 0


@pytest.mark.parametrize("how", BREAKS)
def test_what_breaks(how):
    _, stats = compare(Net(BREAKS[how]), "eager")
    assert set(stats["breaks"]) <= {"control-flow", "grad-later"} and stats["breaks"]


def test_nested_and_sequential():
    _, stats = compare(Net(HOW["module"], Nested, 0.3), "eager")
    assert stats["graph_breaks"] == 0 and stats["hits"] == 3

    class Sequential(Net):
        def forward(self, x):
            return checkpoint_sequential(self.blocks, 2, x, use_reentrant=False)

    _, stats = compare(Sequential(None), "aot_eager")
    assert stats["graph_breaks"] == 0 and stats["hits"] == 3


def test_sizes_and_named_results():
    _, stats = compare(Net(HOW["module"], Shaped), "aot_eager")
    assert stats["graph_breaks"] == 0 and stats["hits"] == 3


def test_effects_happen_twice():
    net = Net(HOW["module"], Counting)
    model, stats = compare(net, "eager")
    assert [b.calls for b in model.blocks] == [b.calls for b in net.blocks] == [8, 8]
    assert stats["graph_breaks"] > 0


def test_variables_that_change():
    _, stats = compare(Late(None), "eager")
    assert "control-flow" in stats["breaks"]


def test_a_checkpoint_around():
    net = Net(HOW["module"], drop=0.3)
    model = copy.deepcopy(net)
    fast = magpy.compile(model, backend="eager")
    for i in range(4):
        found = []
        for run in (net, fast):
            torch.manual_seed(i)
            x = torch.randn(3, 4, requires_grad=True)
            checkpoint(run, x, use_reentrant=False).sum().backward()
            found.append([x.grad, *(p.grad for p in run.parameters())])
            run.zero_grad()
        for want, got in zip(*found, strict=True):
            assert torch.equal(want, got)
