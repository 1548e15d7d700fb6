"""Backend ``torchscript``: what it traces is what the program does, call after call."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

import magpy
from magpy import backends
from magpy.backends import Settings
from magpy.compare import Comparison, Numbers, Rules

pytestmark = pytest.mark.not_under_verify("numbers are not those of eager, bit by bit")

CLOSE = Rules(numbers=Numbers.CLOSE, tolerance=1e-5, memory=False, offsets=False)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.norm = torch.nn.BatchNorm1d(4)

    def forward(self, x):
        self.seen = self.norm(self.linear(x)).relu_()
        return {"y": self.seen + 1, "x": x}


PROGRAMS = {
    "promotion": lambda x: (x.long() * 0.5, x.long() + 1, 2**x, x.int() / 3),
    "in_place": lambda x: x.add_(1).sum(),
    "same_and_views": lambda x: (x, x.view(-1), x.T),
    "sizes": lambda x: x.view(x.size(0), -1, 1).expand(-1, -1, x.shape[0]),
    "dtypes": lambda x: x.to(torch.float64) * 1.5 + x.new_zeros(3, 4),
    "out": lambda x: torch.add(x, 1, out=torch.empty(3, 4)),
    "filled": lambda x: x.clone().masked_fill_(x > 0, float("-inf")),
    "dropout": lambda x: torch.nn.functional.dropout(x, 0.5),
    "lists": lambda x: x[[0, 2]][:, torch.arange(2)],
    "data": lambda x: (x.data > 0, x.data.sum() > 0),
    "new_tensor": lambda x: x.new_tensor(1.5).add_(x.sum()),
    "pieces": lambda x: x.data * 2 if x.sum() > 0 else x - 1,
}


def check(program, compiled, state=None, changes=()):
    for step in range(6):
        for change in changes if step == 3 else ():
            change()
        x = torch.randn(3, 4, generator=torch.Generator().manual_seed(step)) * 3
        y = x.clone()
        torch.manual_seed(step)
        expected = program(x), x, state
        torch.manual_seed(step)
        actual = compiled(y), y, state
        assert Comparison(CLOSE).difference(expected, actual) is None
    assert magpy.stats(compiled)["hits"] >= 3


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_like_eager(name, grad):
    with torch.set_grad_enabled(grad):
        check(PROGRAMS[name], magpy.compile(PROGRAMS[name], backend="torchscript"))


@torch.no_grad()
def test_writes_to_parameters_count():
    torch.manual_seed(0)
    eager, module = Net().eval(), Net().eval()
    module.load_state_dict(eager.state_dict())
    compiled = magpy.compile(module, backend="torchscript")

    def change():
        for net in (eager, module):
            net.linear.weight.mul_(2)
            net.norm.running_var.add_(1)

    check(eager, compiled, changes=[change])
    torch.testing.assert_close(eager.seen, module.seen)
    assert magpy.stats(compiled)["graphs"] == 1


def test_gradients():
    torch.manual_seed(0)
    eager, module = Net().eval(), Net().eval()
    module.load_state_dict(eager.state_dict())
    compiled = magpy.compile(module, backend="torchscript")
    for step in range(4):
        x = torch.randn(3, 4, generator=torch.Generator().manual_seed(step))
        for net in (eager, compiled):
            net(x)["y"].square().sum().backward()
    for one, other in zip(eager.parameters(), module.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    assert magpy.stats(compiled)["hits"] >= 2


@torch.no_grad()
def test_sizes_and_numbers_are_constants():
    """A trace would keep those that it has seen."""

    def program(x, n):
        return x.reshape(-1, x.shape[0]) * n + n

    compiled = magpy.compile(program, backend="torchscript")
    for step in range(12):
        x, n = torch.randn(2 + step % 3, 6), 1 + step % 2
        assert torch.equal(program(x, n), compiled(x, n))
    assert magpy.stats(compiled)["hits"] >= 3


#: What a tracer makes a constant of; such a graph runs as recorded.
LOST = {
    "tensor_of_a_number": lambda x: torch.tensor(2.0).add_(x.sum()),
    "as_tensor": lambda x: torch.as_tensor(1.5) + x,
}


@pytest.mark.parametrize("name", LOST)
def test_nothing_becomes_a_constant(name, caplog):
    magpy.config.logs = "breaks"
    try:
        with torch.no_grad(), caplog.at_level("INFO", "magpy.breaks"):
            check(LOST[name], magpy.compile(LOST[name], backend="torchscript"))
    finally:
        magpy.config.logs = ""
    assert "runs as recorded" in caplog.text


def test_it_has_no_options():
    with pytest.raises(ValueError, match="has no options"):
        backends.resolve("torchscript", Settings(options={"freeze": True}))


@torch.no_grad()
def test_graphs_are_freed():
    x, weight = torch.ones(3, 4), torch.ones(3, 4)
    compiled = magpy.compile(lambda x: x * weight + 1, backend="torchscript")
    for _ in range(4):
        compiled(x)
    (entry,) = compiled.entries()
    graph = weakref.ref(entry["callable"])
    del entry
    magpy.reset()
    gc.collect()
    assert graph() is None
