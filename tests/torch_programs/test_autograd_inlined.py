"""Functions with a backward of their own where gradients are off: `forward` is part of the run."""

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

FUNCTIONS = cases(r"""
=== number_of_a_tensor_in_forward
class Quantize(torch.autograd.function.InplaceFunction):
    @classmethod
    def forward(cls, ctx, x, bits, low, high, inplace=False):
        ctx.inplace = inplace
        ctx.bits = bits
        if ctx.inplace:
            ctx.mark_dirty(x)
            output = x
        else:
            output = x.clone()
        scale = max((high - low) / (2.0**bits - 1), 1e-8)
        output.add_(-low).div_(scale).round_().mul_(scale).add_(low)
        return output
    @staticmethod
    def backward(ctx, grad):
        return grad, None, None, None, None
bits = 8
@torch.no_grad()
def f(x):
    y = Quantize.apply(x, bits, float(x.min()), float(x.max()))
    z = x * 2
    same = Quantize.apply(z, bits, float(z.min()), float(z.max()), True)
    return y, same is z, same
>>> t(3)
>>> t(2, 3)
!!! bits = 4

=== context_is_used
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, k):
        ctx.save_for_backward(x, w)
        ctx.set_materialize_grads(False)
        y, n = x * w + k, (x > 0).sum()
        ctx.mark_non_differentiable(n)
        ctx.k = k
        ctx.k += 1
        return y * ctx.k, n, ctx.k, ctx.needs_input_grad
    @staticmethod
    def backward(ctx, grad, _):
        return grad, None, None
w = nn.Parameter(fixed(3))
@torch.no_grad()
def f(x):
    out = G.apply(x, w, 2)
    return type(out), len(out), *out
>>> t(3)
!!! w.requires_grad_(False)

=== answers_with_arguments
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        return x, y * 2, y
    @staticmethod
    def backward(ctx, *grads):
        return grads[0], grads[1]
class H(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x
    @staticmethod
    def backward(ctx, grad):
        return grad
w = nn.Parameter(fixed(3))
@torch.no_grad()
def f(x):
    a, b, c = G.apply(x, w)
    d = H.apply(x)
    return a is x, c is w, d is x, a, b, c, d
>>> t(3)

=== answers_twice_with_one
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * 2
        return y, y, None, "a", [y]
    @staticmethod
    def backward(ctx, *grads):
        return grads[0]
@torch.no_grad()
def f(x):
    a, b, c, d, e = G.apply(x)
    return a is b, e[0] is a, a, b, c, d, e
>>> t(3)

=== one_in_another
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.k = 2
        return x * ctx.k
    @staticmethod
    def backward(ctx, grad):
        return grad
class H(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        y = G.apply(x) + k
        ctx.save_for_backward(y)
        return y
    @staticmethod
    def backward(ctx, grad):
        return grad, None
k = 1
@torch.no_grad()
def f(x):
    return H.apply(x, k), G.apply(H.apply(x, 3))
>>> t(3)
!!! k = 2

=== state_is_read_and_written
seen = []
total = fixed(3)
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        seen.append(x.shape)
        total.add_(x)
        return x * total
    @staticmethod
    def backward(ctx, grad):
        return grad
@torch.no_grad()
def f(x):
    return G.apply(x) + total
>>> t(3)
!!! seen.clear()
!!! total.zero_()

=== answers_with_a_tensor_that_required_gradients | eager
w = nn.Parameter(fixed(3))
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return w
    @staticmethod
    def backward(ctx, grad):
        return grad
@torch.no_grad()
def f(x):
    w.requires_grad_()
    return G.apply(x) is w, w.requires_grad
>>> t(3)

=== writes_to_its_argument
class A(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.add_(1)
        return x
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    y = x * 2
    with torch.no_grad():
        r = A.apply(y)
        s = A.apply(x)
    return r, s is x, r is y, s
>>> t(3)

=== forward_is_a_generator | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        yield x + 1
    @staticmethod
    def backward(ctx, grad):
        return grad
@torch.no_grad()
def f(x):
    return list(G.apply(x))
>>> t(3)

=== forward_raises
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        if k > 1:
            raise ValueError(k)
        return x * k
    @staticmethod
    def backward(ctx, grad):
        return grad, None
@torch.no_grad()
def f(x, k):
    try:
        return G.apply(x, k)
    except ValueError as e:
        return str(e)
>>> t(3), 1
>>> t(3), 2

=== gradients_on_again
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad * 7
w = nn.Parameter(fixed(3))
def f(x, on):
    with torch.set_grad_enabled(on):
        return G.apply(x * w)
>>> t(3), False
>>> t(3), True
""")


@pytest.mark.parametrize("case", FUNCTIONS, ids=str)
def test_functions(case):
    check_torch(case)


BREAKS = cases(r"""
=== decides_on_a_tensor
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        if x.sum() > 0:
            return x * 2
        return x - 1
    @staticmethod
    def backward(ctx, grad):
        return grad
@torch.no_grad()
def f(x):
    return G.apply(x + 1) + 1
>>> t(3)
>>> -t(3)
""")


@pytest.mark.parametrize("case", BREAKS, ids=str)
def test_breaks(case):
    check_torch(case, whole=False)


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        low = float(x.min())
        return (x - low) * 2

    @staticmethod
    def backward(ctx, grad):
        return grad


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compilers_get_its_operations(backend):
    fast = magpy.compile(lambda x: Double.apply(x) + 1, backend=backend)
    with torch.no_grad():
        for n in range(4):
            x = torch.arange(4.0) - n
            assert torch.equal(fast(x), Double.apply(x) + 1)
    assert magpy.stats(fast)["hits"] == 3
    assert magpy.stats(fast)["graphs"] == 1


class Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        x.data.add_(1)  # behind the counter of versions, which apply moves
        return x

    @staticmethod
    def backward(ctx, grad):
        return grad


def test_what_is_marked_as_written_counts_as_written():
    fast = magpy.compile(lambda x: Dirty.apply(x), backend="eager")
    for _ in range(4):
        w, x = torch.ones(2, requires_grad=True), torch.ones(2)
        y = w * x
        with torch.no_grad():
            assert fast(x) is x
        assert x._version == 1
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
