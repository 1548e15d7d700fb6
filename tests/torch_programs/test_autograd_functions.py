"""Functions with a backward of their own (`torch.autograd.Function`)."""

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

FUNCTIONS = cases(r"""
=== forward_is_a_class_method
class G(torch.autograd.Function):
    scale = 2.0
    @classmethod
    def forward(cls, ctx, x, k=3):
        ctx.k = k
        return x.clamp(0) * k + cls.scale
    @classmethod
    def backward(cls, ctx, grad):
        return grad * ctx.k, None
def f(x):
    return G.apply(x) + G.apply(x * 2, 4)
>>> t(3)
!!! G.scale = 5.0

=== forward_and_backward
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.save_for_backward(x)
        ctx.k = k
        return x * k + x.size(0)
    @staticmethod
    def backward(ctx, grad):
        x, = ctx.saved_tensors
        return grad * ctx.k * x.cos(), None
w = nn.Parameter(fixed(3))
k = 2.0
def f(x):
    return G.apply(x * w, k) + 1
>>> t(3)
>>> t(2, 3)
!!! k = 3.0
!!! w.requires_grad_(False)

=== reads_of_forward_are_guarded
scale, sign = 2.0, [1.0]
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        if sign[0] > 0:
            return x * scale
        return torch.cat([x, x])
    @staticmethod
    def backward(ctx, grad):
        return grad * scale
w = nn.Parameter(fixed(3))
def f(x):
    y = G.apply(x * w)
    return y, y.shape
>>> t(3)
!!! scale = 5.0
!!! w.requires_grad_(False)
!!! sign[0] = -1.0

=== backward_reads_what_it_finds
scale = 2.0
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad * scale
w = nn.Parameter(fixed(3))
def f(x):
    return G.apply(w) + x
>>> t(3)
!!! scale = 5.0

=== setup_context
class G(torch.autograd.Function):
    @staticmethod
    def forward(x, k=2.0):
        return x * k, x.sin()
    @staticmethod
    def setup_context(ctx, inputs, output):
        x, ctx.k = inputs
        ctx.save_for_backward(x, output[1])
        ctx.set_materialize_grads(False)
    @staticmethod
    def backward(ctx, a, b):
        x, s = ctx.saved_tensors
        return (a * ctx.k if a is not None else 0) + x * s, None
w = nn.Parameter(fixed(3))
def f(x):
    a, b = G.apply(x * w)
    return a * b, G.apply(w, 3.0)[0]
>>> t(3)

=== dirty_and_not_differentiable
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, y):
        y.add_(x)
        ctx.mark_dirty(y)
        m = x > 0
        ctx.mark_non_differentiable(m)
        ctx.save_for_backward(m)
        return y, m, None
    @staticmethod
    def backward(ctx, a, b, c):
        return a * ctx.saved_tensors[0], a
w = nn.Parameter(fixed(3))
def f(x, y):
    z = y * 2
    r, m, none = G.apply(x * w, z)
    return r is z, z + 1, m, none
>>> t(3), t(3)

=== writes_an_input_of_the_graph
total = torch.zeros(3)
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, into, x):
        ctx.mark_dirty(into)
        into.add_(x)
        return into
    @staticmethod
    def backward(ctx, a):
        return a, a
def f(x):
    with torch.no_grad():
        y = G.apply(total, x)
    return y is total, total * 2
>>> t(3)
!!! total.zero_()

=== answers_with_its_argument
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x
    @staticmethod
    def backward(ctx, grad):
        return -grad
w = nn.Parameter(fixed(3))
def f(x):
    y = G.apply(w)
    z = G.apply(x)
    return y is w, z is x, y * z, y, z
>>> t(3)
!!! w.requires_grad_(False)

=== without_gradients
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad
w = nn.Parameter(fixed(3))
apply = G.apply
@torch.no_grad()
def f(x):
    return apply(x * w).requires_grad, apply(w)
>>> t(3)

=== other_class_later
def make(k):
    class G(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * k
        @staticmethod
        def backward(ctx, grad):
            return grad * k
    return G
G = make(2)
w = nn.Parameter(fixed(3))
def f(x):
    return G.apply(x * w)
>>> t(3)
!!! G = make(3)
!!! G.forward = staticmethod(lambda ctx, x: x - 1)

=== random_forward
class Noise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        n = torch.rand_like(x)
        ctx.save_for_backward(n)
        return x * n
    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]
w = nn.Parameter(fixed(3))
def f(x):
    return Noise.apply(x * w) + torch.rand(3)
>>> t(3)

=== number_from_constants | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * torch.rand([])
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return x * G.apply(torch.tensor(2.0)).item()
>>> t(3)

=== forward_writes_state | eager
seen = []
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        seen.append(1)
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return G.apply(x)
>>> t(3)

=== state_written_before | eager
class S: k = 1
s = S()
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * s.k
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x, k):
    s.k = k
    return G.apply(x)
>>> t(3), 2
>>> t(3), 5

=== state_written_afterwards
class S: k = 1
s = S()
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * s.k
    @staticmethod
    def backward(ctx, grad):
        return grad * s.k
w = nn.Parameter(fixed(3))
def f(x):
    y = G.apply(x * w)
    s.k = 3 - s.k
    return y
>>> t(3)
>>> t(3)

=== keeps_a_list | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, kept):
        ctx.kept = kept
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad * len(ctx.kept), None
w = nn.Parameter(fixed(3))
def f(x):
    kept = [1]
    y = G.apply(x * w, kept)
    kept.append(2)
    return y
>>> t(3)

=== takes_lists
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, low_high, more):
        ctx.low_high = low_high
        return x.clamp(*low_high) + len(more) + more[0][1]
    @staticmethod
    def backward(ctx, grad):
        return grad, None, None
limits = [-0.5, 0.5]
w = nn.Parameter(fixed(3))
def f(x):
    with torch.no_grad():
        return G.apply(x * w, limits, [(1, 2), [x, [3]]])
>>> t(3)
!!! limits[0] = 0.1
!!! limits.append(2); limits.pop(0)

=== asks_which_list_it_takes | eager
limits = [1]
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, given):
        return x * (2 if given is limits else 3)
    @staticmethod
    def backward(ctx, grad):
        return grad, None
def f(x):
    with torch.no_grad():
        return G.apply(x, limits)
>>> t(3)

=== behind_writes_that_it_does_not_look_at
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.k = k
        return x * k + C.low
    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.k, None
class C:
    low = 1
class M:
    n = 0
m, log = M(), []
w = nn.Parameter(fixed(3))
def f(x):
    m.n = len(x)
    log.append(m.n)
    M.seen = log
    y = G.apply(x * w, m.n)
    log.append(0)
    return y, m.n
>>> t(3)
!!! C.low = 2

=== behind_a_write_that_it_looks_at | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * state["k"]
    @staticmethod
    def backward(ctx, grad):
        return grad
state = {"k": 1}
def f(x):
    state["k"] = 2
    y = G.apply(x)
    state["k"] = 1
    return y
>>> t(3)

=== behind_a_write_to_a_class_that_it_looks_at | eager
class C:
    k = 1
c = C()
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * c.k
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    C.k += 1
    y = G.apply(x)
    C.k -= 1
    return y
>>> t(3)

=== behind_a_global_that_it_looks_at | eager
k = 1
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * k
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    global k
    k = 2
    y = G.apply(x)
    k = 1
    return y
>>> t(3)

=== takes_a_tensor_from_elsewhere | eager
c = torch.ones(3)
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * c
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return G.apply(x)
>>> t(3)

=== leaks_a_tensor | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        G.last = x * 2
        return x * 3
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return G.apply(x) + G.last
>>> t(3)

=== takes_an_input_from_elsewhere | eager
c = torch.ones(3)
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * c
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    y = x + c
    return y, G.apply(x)
>>> t(3)
!!! c = torch.zeros(3)

=== helpers_and_decorators
def helper(x, k):
    return sum([x * i for i in range(k)])
class G(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu")
    def forward(ctx, x, k):
        with torch.no_grad():
            y = helper(x, k)
        ctx.shape = tuple(x.shape)
        ctx.saved = [s for s in x.shape]
        return y.round()
    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx, grad):
        return grad.expand(ctx.shape) * len(ctx.saved), None
w = nn.Parameter(fixed(3))
n = 3
def f(x):
    return G.apply(x * w, n).sum() + w
>>> t(2, 3)
!!! n = 2
!!! helper = lambda x, k: x * k

=== forward_is_no_static_method
class G(torch.autograd.Function):
    def forward(ctx, x):
        return x * 2
    def backward(ctx, grad):
        return grad * 3
w = nn.Parameter(fixed(3))
def f(x):
    return G.apply(x * w)
>>> t(3)

=== forward_prints | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * 2
        print("forward", y.shape)
        return y
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return G.apply(x)
>>> t(3)

=== forward_reads_a_value | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2 if x.sum() > 0 else x
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return G.apply(x)
>>> t(3)

=== selection_in_forward | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x[x > 0]
    @staticmethod
    def backward(ctx, grad):
        return None
def f(x):
    return G.apply(x).shape
>>> t(8)
>>> t(8)

=== straight_through_in_a_module
class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, step):
        return torch.round(x / step) * step
    @staticmethod
    def backward(ctx, grad):
        return grad, None
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 4)
        self.b = nn.BatchNorm1d(4)
        self.step = 0.25
    def forward(self, x):
        return Round.apply(self.b(Round.apply(self.a(x), self.step)), self.step)
m = M()
def f(x):
    return m(x)
>>> t(5, 3)
!!! m.step = 0.5
!!! m.eval()

=== in_a_loop_with_autocast
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w
    @staticmethod
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return (grad.to(w.dtype) @ w.t()).to(x.dtype), (x.to(grad.dtype).t() @ grad).to(w.dtype)
w = nn.Parameter(fixed(3, 3))
def f(x):
    with torch.autocast("cpu", torch.bfloat16):
        for _ in range(3):
            x = G.apply(x, w)
    return x
>>> t(3, 3)

=== one_in_another | eager
class H(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return H.apply(x) * 2
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return G.apply(x)
>>> t(3)

=== through_map | eager
class H(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return list(map(H.apply, [x, x]))
>>> t(3)

=== forward_raises
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        if x.size(0) > 3:
            raise ValueError("long")
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    return G.apply(x) + 1
>>> t(3)

=== forward_raises_and_is_caught | eager
class G(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        if x.size(0) > 2:
            raise ValueError("long")
        return x * 2
    @staticmethod
    def backward(ctx, grad):
        return grad
def f(x):
    try:
        return G.apply(x) + 1
    except ValueError:
        return x
>>> t(3)
""")


@pytest.mark.parametrize("case", FUNCTIONS, ids=str)
def test_functions(case):
    check_torch(case)


class Scaled(torch.autograd.Function):
    """Its backward reads Python state when it runs."""

    factor = 3.0

    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * Scaled.factor


@pytest.fixture
def counted():
    """A backend that counts what it compiles, and runs it as it is."""

    def backend(graph, inputs):
        backend.compiled += 1
        return graph.forward

    backend.compiled = 0
    return backend


def test_compilers_do_not_see_a_backward_that_runs_later(counted, monkeypatch):
    def f(x):
        return Scaled.apply(x) + 1

    fast = magpy.compile(f, backend=counted)
    for factor in (3.0, 3.0, 3.0, 5.0):
        monkeypatch.setattr(Scaled, "factor", factor)
        x = torch.ones(2, requires_grad=True)
        fast(x).sum().backward()
        assert x.grad.tolist() == [factor, factor]
    assert magpy.stats(fast)["hits"] >= 2
    assert counted.compiled == 0
    with torch.no_grad():
        for _ in range(3):
            assert fast(x).tolist() == [3.0, 3.0]
    assert counted.compiled == 1
