"""`t.grad` inside the run: read, written in place, set."""

import copy

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

CASES = cases(r"""
p = torch.nn.Parameter(fixed(3))
q = torch.nn.Parameter(fixed(3) + 1)
both = [p, q]

def back(by):
    (p * by).sum().backward()

=== read
def f(x):
    return [x * r.grad for r in both if r.grad is not None], p.grad is None
>>> t(3)
!!! back(2)
!!! back(3)
!!! q.grad = fixed(3)
!!! p.grad = None
??? p.grad = torch.zeros(3, dtype=torch.float64).float()
??? p, both[0] = q, q

=== written_in_place
back(2)
def f(x):
    for r in both:
        if r.grad is not None:
            r.grad.mul_(0.5)
    return p.grad.norm() + x
>>> t(3)
!!! back(3)
!!! q.grad = fixed(3)

=== a_step
back(2)
def f(x):
    with torch.no_grad():
        for r in both:
            if r.grad is not None:
                r.add_(r.grad, alpha=-0.1)
    return x + 1
>>> t(3)
!!! back(3)
!!! p.requires_grad_(False)

=== set_to_none
def f(x):
    y = x if p.grad is None else x + p.grad
    p.grad = None
    return y
>>> t(3)
??? back(3)

=== set_to_a_tensor
def f(x):
    p.grad = x * 2
    return x + 1
>>> t(3)
!!! back(3)

=== one_grad_for_two
shared = fixed(3)
p.grad, q.grad = shared, shared
def f(x):
    p.grad.add_(x)
    return q.grad * 1, p.grad is q.grad
>>> t(3)
??? q.grad = fixed(3)

=== no_grad_of_inputs
def f(x):
    return x.grad, x + 1
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES)
def test_grad(case):
    check_torch(case)


BREAKS = cases(r"""
p = torch.nn.Parameter(fixed(3))

=== read_after_it_was_set
def f(x):
    p.grad = x * 2
    return p.grad + 1
>>> t(3)

=== of_a_result
def f(x):
    y = p * x
    y.retain_grad()
    return y.grad
>>> t(3)
""")


@pytest.mark.parametrize("case", BREAKS)
def test_grad_breaks(case):
    check_torch(case, whole=False)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_an_input_that_is_no_leaf_any_more():
    def f(x, box):
        return x + (0 if box[0].grad is None else 1)

    fast, leaf = magpy.compile(f, backend="eager"), torch.ones(2, requires_grad=True)
    for box in ([leaf], [leaf], [leaf * 2], [leaf], [leaf * 3]):
        assert torch.equal(fast(leaf, box), f(leaf, box))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_gradients_are_clipped_and_dropped(backend):
    def build():
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))

        def clip(limit):
            grads = [p.grad for p in net.parameters() if p.grad is not None]
            norm = torch.stack([g.norm() for g in grads]).norm()
            scale = (limit / (norm + 1e-6)).clamp(max=1.0)
            for g in grads:
                g.mul_(scale)
            return norm

        def drop():
            for p in net.parameters():
                p.grad = None

        return net, clip, drop

    def run(wrap):
        net, clip, drop = build()
        clip, drop = wrap(clip), wrap(drop)
        seen = []
        for n in range(5):
            net(torch.ones(2, 3) * n).square().sum().backward()
            seen += [
                clip(torch.tensor(0.5)),
                *[p.grad.clone() for p in net.parameters()],
            ]
            drop()
            seen.append([p.grad for p in net.parameters()])
        return seen, clip, drop

    want, *_ = run(lambda f: f)
    got, *compiled = run(lambda f: magpy.compile(f, backend=backend))
    torch.testing.assert_close(copy.deepcopy(got), copy.deepcopy(want))
    for each in compiled:
        assert magpy.stats(each)["hits"] >= 3, magpy.stats(each)
