"""Leaves of the autograd graph, parameters that change hands, and prints beside graphs."""

import sys

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases, reasons, whole_hits

CASES = cases(r"""
=== leaf_of_an_input
w = nn.Parameter(fixed(3))
def f(x):
    return x.is_leaf, w.is_leaf, x.grad_fn is None, w.grad_fn is None, x * w
>>> t(3)
>>> t(3).requires_grad_()
!!! w = nn.Parameter(fixed(3), requires_grad=False)
??? w = nn.Parameter(fixed(3), requires_grad=False); w.mul_(t(3).requires_grad_())

=== inner_node_as_input
def f(x):
    return x.is_leaf, x + 1
>>> t(3).requires_grad_() * 2

=== leaf_of_a_result
w = nn.Parameter(fixed(3))
def f(x):
    y = x * w
    with torch.no_grad():
        z = x * w
    return y.is_leaf, y.detach().is_leaf, z.is_leaf, z.grad_fn, (x + 1).is_leaf
>>> t(3)
>>> t(3).requires_grad_()
!!! w.requires_grad_(False)

=== leaf_after_a_write | eager
w = nn.Parameter(fixed(3))
def f(x):
    x.mul_(w)
    return x.is_leaf
>>> t(3)

=== grad_fn_of_a_result
w = nn.Parameter(fixed(3))
def f(x):
    return (x * w).grad_fn is None
>>> t(3)

=== view_of_a_written_base | eager
w = nn.Parameter(fixed(3))
base = torch.ones(3)
view = base[:2]
base.mul_(w)
def f(x):
    return view.is_leaf, x
>>> t(3)

=== gradient_and_version | eager
def f(x):
    return x.grad is None, x + 1
>>> t(3)

=== version | eager
def f(x):
    return x._version
>>> t(3)

=== weight_tying | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)
    def forward(self, x):
        self.a.weight = self.b.weight
        return self.a(x) + self.b(x)
m = M()
>>> t(2, 3)
!!! m.a = nn.Linear(3, 3)
!!! m.b.weight = nn.Parameter(fixed(3, 3))
!!! m.b.weight.requires_grad_(False)

=== parameter_to_none | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(fixed(3))
        self.kept = [self.w]
    def forward(self, x):
        self.w = None
        y = x if self.w is None else x * self.w
        self.w = self.kept[0]
        return y + self.w
m = M()
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_program(case):
    check_torch(case)


def test_prints_beside_a_graph(capsys):
    def step(x):
        y = x * 2
        print("shape", y.shape, y.dtype, y.device, y.requires_grad)
        with torch.no_grad():
            print("inside", list(y.shape), file=sys.stderr)
        return y

    fast = magpy.compile(step, backend="eager")
    x = torch.ones(2)
    for _ in range(3):
        assert torch.equal(fast(x), x * 2)
        out, err = capsys.readouterr()
        assert out == "shape torch.Size([2]) torch.float32 cpu False\n"
        assert err == "inside [2]\n"
    assert magpy.stats(fast)["hits"] == 2


def test_a_printed_tensor_is_read_in_every_call(capsys):
    def step(x):
        print(x)
        return x + 1

    fast = magpy.compile(step, backend="eager")
    for value in range(4):
        assert fast(torch.full((1,), float(value))).item() == value + 1
        assert capsys.readouterr().out == f"tensor([{value}.])\n"
    assert reasons(fast) == set()
    assert whole_hits(fast) == 3


@pytest.mark.not_under_verify("the backend is wrong")
def test_a_graph_that_raises_prints_once(capsys):
    """The graph runs before the effects, and the call that runs in its place prints."""

    def backend(graph, inputs):
        def run(*args):
            raise RuntimeError("broken")

        return run

    def step(x):
        print("before")
        y = x + 1
        print("after")
        return y

    fast = magpy.compile(step, backend=backend)
    for _ in range(3):
        assert fast(torch.zeros(1)).item() == 1
        assert capsys.readouterr().out == "before\nafter\n"


def test_verified_hits_print_once(capsys):
    def step(x):
        print("value", x.shape)
        return x + 1

    fast = magpy.verify(magpy.compile(step, backend="eager"), every=1)
    for _ in range(4):
        fast(torch.zeros(1))
        assert capsys.readouterr().out == "value torch.Size([1])\n"
    assert magpy.stats(fast)["verified"] >= 1
    assert magpy.stats(fast)["diverged"] == 0
