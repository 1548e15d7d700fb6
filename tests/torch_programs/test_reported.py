"""Programs like those of public reports about compilers, recorded and compiled.

Each runs with the eager backend and with AOTAutograd; `--backend inductor` takes the one that
it names.
"""

from __future__ import annotations

import pytest
import torch_worlds

import oracle
from oracle import cases

CASES = cases(r"""
=== input_written_and_returned
def f(x):
    x.add_(1)
    x[0].mul_(2)
    return x.sum(), x
>>> t(3, 4)

=== temporary_written_through_views
def f(x):
    y = x * 1
    y[0].add_(1)
    y.view(-1)[2:5].mul_(3)
    return y, F.relu(y * 2, inplace=True)
>>> t(3, 4).requires_grad_()

=== promotion
def f(x):
    return (
        x.int() + 1.5, x.half() + x.double(), (x > 0) + 1, x.long() // 2, x.long() / 2,
        x.long() % 3, -7 // 2 + x.long(), torch.where(x > 0, x, 0.0),
    )
>>> t(3, 4)

=== division_of_integers
def f(x):
    return (
        x // 2, x % 3, torch.div(x, 2, rounding_mode="trunc"),
        torch.div(x, -3, rounding_mode="floor"), torch.remainder(x, -2),
        torch.fmod(x, -2), x >> 1, x << 2, x & 3, ~x,
    )
>>> torch.arange(-6, 6)
>>> torch.tensor([0, 1, 255], dtype=torch.uint8)

=== complex_numbers
def f(x):
    z = x * 1j
    return torch.view_as_real(z), (x * (1 + 2j)).abs(), torch.fft.fft(x), z.conj(), z.imag
>>> t(3, 4).requires_grad_()

=== expanded_input
def f(x):
    return x * 2, x.sum(0), x.contiguous(), x.exp()
>>> t(1, 4).expand(3, 4)
>>> t(1, 4).requires_grad_().expand(3, 4)

=== strided_input
def f(x):
    return x + 1, x[::2], x.flip(0), x.clone(), x.reshape(-1)
>>> t(6, 8)[::2, 1::2]

=== empty_and_zero_dimensional
def f(x, y):
    return x + 1, x.sum(), x.sum(0), x.prod(), torch.cat([x, x]), y.expand(3), x + y
>>> torch.empty(0, 4, requires_grad=True), torch.tensor(2.5)
>>> torch.empty(0, 4), torch.tensor(2.5, dtype=torch.float64, requires_grad=True)

=== out_arguments
def f(x, o):
    return torch.add(x, 1, out=o), torch.mul(x, 2, out=torch.empty(0)), o + 1
>>> t(3, 4), torch.zeros(3, 4)

=== detached_parts
def f(x):
    return x.detach() * 2, x * x.detach(), (x * 2).detach().add_(1)
>>> t(3, 4).requires_grad_()

=== outputs_that_share_memory
def f(x):
    y = x * 2
    return y, y.t(), y[0], y, [y]
>>> t(3, 4).requires_grad_()
>>> t(3, 4)

=== views_of_inputs
def f(x):
    return x.view(-1)[2:5], x[1], x.t(), x
>>> t(3, 4).requires_grad_()

=== grad_modes_inside
def f(x):
    with torch.no_grad():
        y = x * 2
    with torch.enable_grad():
        z = x * 3
    return y, z, y * x
>>> t(3, 4).requires_grad_()
!!! around = torch.no_grad

=== nan_and_infinity
def f(x):
    return x / 0, 0 * (x / 0), torch.nan_to_num(x / 0), x.log(), torch.maximum(x, x / 0 * 0)
>>> t(3, 4)

=== masks
def f(x):
    y = x * 1
    y[y > 0] = 0.0
    return x.masked_fill(x > 0, -1), y, x * (x > 0)
>>> t(3, 4).requires_grad_()

=== channels_last
def f(x):
    return x * 2, F.relu(x), x.mean(1), F.avg_pool2d(x, 2), x.permute(0, 2, 3, 1)
>>> t(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()

=== tied_weights | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(6, 4)
        self.o = nn.Linear(4, 6, bias=False)
        self.o.weight = self.e.weight
    def forward(self, k):
        return self.o(self.e(k).tanh())
m = M()
>>> torch.tensor([[0, 1], [2, 5]])
!!! m.o.weight = nn.Parameter(m.e.weight.detach().clone())

=== shared_buffers | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        shared = torch.zeros(4)
        self.a, self.b = nn.Module(), nn.Module()
        self.a.register_buffer("seen", shared)
        self.b.register_buffer("seen", shared)
        self.lin = nn.Linear(4, 4)
    def forward(self, x):
        y = self.lin(x)
        self.a.seen.add_(1)
        return y + self.b.seen
m = M()
>>> t(3, 4)

=== moving_average | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.register_buffer("mean", torch.zeros(4))
    def forward(self, x):
        y = self.lin(x)
        with torch.no_grad():
            self.mean.lerp_(y.mean(0), 0.1)
        return y - y.mean(0)
m = M()
>>> t(3, 4)

=== average_read_and_written | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(4, 4)
        self.register_buffer("mean", torch.ones(4))
    def forward(self, x):
        y = torch.sin(self.lin(x) * self.mean.clone())
        self.mean.mul_(0.9).add_(y.detach().mean(0) * 0.1)
        return y
m = M()
>>> t(3, 4)

=== norms_in_training | of m
m = nn.Sequential(nn.Conv1d(3, 4, 2), nn.BatchNorm1d(4), nn.ReLU(True), nn.GroupNorm(2, 4))
>>> t(2, 3, 5)
!!! m.eval()
!!! m.train()
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_recorded(case):
    torch_worlds.check_torch(case)


@pytest.mark.skipif(oracle.BACKEND != "eager", reason="the other test has a backend")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiled(case, monkeypatch):
    monkeypatch.setattr(oracle, "BACKEND", "aot_eager")
    monkeypatch.setattr(torch_worlds, "TOLERANCE", oracle.COMPILED_TOLERANCE)
    torch_worlds.check_torch(case)
