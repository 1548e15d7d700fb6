"""Grad modes, autocast, inference mode, default dtype, random numbers, autograd."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== labels_for_the_profiler
from torch.autograd.profiler import record_function
w = nn.Parameter(fixed(3))
def part(x):
    with record_function("part"):
        return x * w
def f(x):
    with record_function("all"):
        y = part(x) + 1
    return y
>>> t(3)
>>> t(2, 3)
!!! w.requires_grad_(False)

=== no_grad_inside
w = nn.Parameter(fixed(3))
def f(x):
    with torch.no_grad():
        a = w * x
    b = w + x
    return a, b, a.requires_grad, b.requires_grad
>>> t(3)

=== no_grad_decorator
w = nn.Parameter(fixed(3))
@torch.no_grad()
def g(x):
    return w * x
def f(x):
    return g(x) + w
>>> t(3)

=== no_grad_decorates_the_function
w = nn.Parameter(fixed(3))
@torch.no_grad()
def f(x):
    return w * x
>>> t(3)

=== no_grad_around | eager
w = nn.Parameter(fixed(3))
def f(x):
    return w * x, torch.is_grad_enabled()
>>> t(3)
!!! f = f; torch.set_grad_enabled(False)
!!! torch.set_grad_enabled(True)

=== enable_grad_inside_no_grad
w = nn.Parameter(fixed(3))
@torch.no_grad()
def f(x):
    a = w * x
    with torch.enable_grad():
        b = w * x
    return a, b, torch.is_grad_enabled()
>>> t(3)

=== set_grad_enabled_context
w = nn.Parameter(fixed(3))
train = True
def f(x):
    with torch.set_grad_enabled(train):
        a = w * x
    return a
>>> t(3)
!!! train = False
!!! w.requires_grad_(False)

=== set_grad_enabled_stays | eager
w = nn.Parameter(fixed(3))
def f(x):
    torch.set_grad_enabled(False)
    return w * x
>>> t(3)
??? torch.set_grad_enabled(True)

=== inference_mode_decorator
w = nn.Parameter(fixed(3))
@torch.inference_mode()
def f(x):
    return w * x
>>> t(3)

=== inference_mode_inside
w = nn.Parameter(fixed(3))
def f(x):
    with torch.inference_mode():
        a = w * x
        a[0] = 1
        a += 1
    return a, a.is_inference(), w + x
>>> t(3)

=== inference_tensors_in
def inferred(*s):
    with torch.inference_mode():
        return t(*s)
def f(x, y):
    return x * y + 1
>>> inferred(3), t(3)

=== inference_around
around = torch.inference_mode
def f(x, y):
    x[0] = 1
    x.add_(y)
    y += x
    torch.mul(x, y, out=y)
    F.relu(x, inplace=True)
    v = x[1:]
    v.zero_()
    return x * 2, y, v
>>> fresh(3), fresh(3)

=== inference_constant | eager
around = torch.inference_mode
def f(x):
    k = torch.tensor(3.0)
    k[...] = x[0]
    j = torch.tensor(1.0)
    j.fill_(x[1])
    return k.item(), j.item()
>>> fresh(3)

=== inference_aliased | eager
around = torch.inference_mode
def f(x, y):
    x.add_(1)
    return y * 2
>>> fresh(3), fresh(3)
>>> *[fresh(3)] * 2
>>> *(lambda x: (x, x[:2]))(fresh(3))

=== no_grad_in_loop
w = nn.Parameter(fixed(3))
def f(x):
    for i in range(4):
        with torch.set_grad_enabled(i == 3):
            x = w * x
    return x
>>> t(3)

=== autocast_inside
w = nn.Parameter(fixed(3, 3))
def f(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        a = x @ w
        with torch.autocast("cpu", enabled=False):
            b = x @ w
    return a, b, x @ w
>>> t(2, 3)

=== autocast_decorator
w = nn.Parameter(fixed(3, 3))
@torch.autocast("cpu", dtype=torch.bfloat16)
def f(x):
    return x @ w, F.linear(x, w).softmax(-1)
>>> t(2, 3)

=== autocast_around
around = lambda: torch.autocast("cpu", dtype=torch.bfloat16, enabled=on)
on = True
w = nn.Parameter(fixed(3, 3))
def f(x):
    return x @ w
>>> t(2, 3)
!!! on = False
!!! on = True

=== autocast_with_no_grad_then_grad
w = nn.Parameter(fixed(3, 3))
def f(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            a = x @ w
        b = x @ w
    return a, b
>>> t(2, 3)

=== default_dtype_inside | eager
def f():
    torch.set_default_dtype(torch.float64)
    x = torch.ones(2)
    torch.set_default_dtype(torch.float32)
    return x

=== default_dtype_changes
def f(x):
    return x + torch.ones(3), torch.tensor(1.5)
>>> t(3)
!!! torch.set_default_dtype(torch.float64)
!!! torch.set_default_dtype(torch.float32)

=== default_device_context
def f(x):
    with torch.device("cpu"):
        return x + torch.ones(3)
>>> t(3)

=== default_device_in_default_device
d = "meta"
def f(x):
    with torch.device(d):
        a = torch.ones(3), torch.get_default_device()
        with torch.device("cpu"):
            b = torch.ones(3)
        c = torch.empty(2, 3)
    return x + b, a[0].device, a[1], c.device, torch.get_default_device()
>>> t(3)
!!! d = "cpu"

=== default_device_around
from contextlib import nullcontext
around = nullcontext
def f(x):
    e = F.one_hot(x.long() * 0, 2).sum() + torch.arange(3)
    return x.shape, x.dtype, torch.zeros(2).device, torch.zeros(2).new_ones(2), e.device
>>> t(3)
!!! around = lambda: torch.device("cpu")
!!! around = lambda: torch.device("meta")
!!! around = nullcontext

=== default_device_of_the_process
w = fixed(3)
def f(n):
    return w * torch.ones(3, device="cpu"), torch.empty(n).device, torch.get_default_device()
>>> 2
!!! torch.set_default_device("cpu")
!!! torch.set_default_device("meta")
!!! torch.set_default_device(None)

=== default_device_and_a_break | eager
def f(x):
    with torch.device("meta"):
        a = torch.ones(3)
        if x.abs().sum().item() > 0:
            b = torch.zeros(3)
        c = torch.ones(2)
    return x + 1, a.device, b.device, c.device, torch.ones(2).device
>>> t(3)

=== default_device_of_a_block_that_raises
def f(x, i):
    try:
        with torch.device("meta"):
            y = torch.ones(3)
            if i:
                raise ValueError
    except ValueError:
        y = x
    return y.device, torch.ones(2).device, x + 1
>>> t(3), True
>>> t(3), False

=== graph_that_raises_under_a_default_device | eager
def f(x):
    with torch.device("cpu"):
        return torch.linalg.cholesky(x) + torch.ones(3)
def around():
    import contextlib
    return contextlib.suppress(RuntimeError)
>>> torch.eye(3)
>>> -torch.eye(3)
>>> torch.eye(3)

=== manual_seed_inside | eager
def f(x):
    torch.manual_seed(3)
    return x + torch.rand(3)
>>> t(3)

=== random_ops
def f(x):
    a = torch.rand(3) + torch.randn_like(x)
    b = torch.randperm(4), torch.randint(0, 9, (2,)), torch.bernoulli(torch.full((3,), 0.5))
    x.normal_()
    return a, b, torch.multinomial(torch.ones(4), 2), x.uniform_(), torch.normal(0.0, 1.0, (2,))
>>> t(3)

=== random_then_raises | eager
def f(x, i):
    try:
        return (x + torch.rand(3))[i]
    except IndexError:
        return torch.rand(2)
>>> t(3), torch.tensor([1])
>>> t(3), torch.tensor([1])
>>> t(3), torch.tensor([7])

=== generator_argument | eager
def f(g):
    return torch.rand(3, generator=g)
>>> torch.Generator().manual_seed(3)

=== dropout_functional
def f(x):
    return F.dropout(x, 0.5), F.dropout(x, 0.5, training=False), F.alpha_dropout(x, 0.3, True)
>>> t(4, 4)

=== dropout_module
drop = nn.Dropout(0.5)
def f(x):
    return drop(x) * 2
>>> t(4, 4)
!!! drop.eval()
!!! drop.train()
!!! drop.p = 0.1
!!! drop.p = 0.0

=== dropout_inplace
def f(x):
    y = x * 1
    F.dropout(y, 0.5, True, True)
    return y
>>> t(4, 4)

=== backward_of_inputs
def f(x):
    return (x * x).sum(), x.exp()
>>> t(3).requires_grad_()
>>> t(3)

=== parameter_frozen
w = nn.Parameter(fixed(3))
def f(x):
    return w * x
>>> t(3)
!!! w.requires_grad_(False)
!!! w.requires_grad_(True)
!!! w.data = fixed(3) * 2
!!! w = nn.Parameter(fixed(3).double())
!!! w.grad = None

=== parameter_stepped
w = nn.Parameter(fixed(3))
opt = torch.optim.SGD([w], lr=0.1)
def f(x):
    return (w * x).sum()
>>> t(3)
!!! opt.step()
!!! opt.zero_grad()

=== backward_inside | eager
w = nn.Parameter(fixed(3))
def f(x):
    loss = (w * x).sum()
    loss.backward()
    return w.grad.clone()
>>> t(3)

=== autograd_grad | eager
w = nn.Parameter(fixed(3))
def f(x):
    (g,) = torch.autograd.grad((w * x).sum(), w, create_graph=True)
    return g
>>> t(3)

=== grad_attribute | eager
w = nn.Parameter(fixed(3))
def f(x):
    return w.grad, x.grad_fn, x.is_leaf
>>> t(3)
!!! w.grad = fixed(3)

=== custom_function | eager
class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g * 3
def f(x):
    return Double.apply(x)
>>> t(3).requires_grad_()

=== hook_on_tensor
seen = []
def f(x):
    y = x * 2
    y.register_hook(lambda g: g * 5)
    return y
>>> t(3).requires_grad_()

=== hook_on_parameter
seen = []
w = nn.Parameter(fixed(3))
w.register_hook(lambda g: seen.append(g.clone()) or g * 2)
def f(x):
    return w * x
>>> t(3)

=== detach_stops_gradient
w = nn.Parameter(fixed(3))
def f(x):
    a = w * x
    return a.detach() * w, a.detach_() if False else a
>>> t(3)

=== requires_grad_inside | eager
def f(x):
    y = (x * 2).detach().requires_grad_()
    return y * 3
>>> t(3)

=== requires_grad_set | eager
def f(x):
    x.requires_grad = True
    return x * 2
>>> t(3)

=== leaf_written_in_grad_mode | eager
w = nn.Parameter(fixed(3))
def f(x):
    try:
        w.add_(1)
    except RuntimeError as error:
        return str(error), w * x
    return x
>>> t(3)

=== non_leaf_then_leaf
def f(x):
    x.mul_(2)
    return x.sum()
>>> t(3).requires_grad_() * 1

=== inplace_on_view_with_grad
w = nn.Parameter(fixed(2, 3))
def f(x):
    y = w * 1
    y[0].mul_(x)
    y[1] = x
    return y
>>> t(3)

=== checkpoint | eager
from torch.utils.checkpoint import checkpoint
w = nn.Parameter(fixed(3))
def g(x):
    return (w * x).sin()
def f(x):
    return checkpoint(g, x, use_reentrant=False)
>>> t(3).requires_grad_()

=== checkpoint_no_grad | eager
from torch.utils.checkpoint import checkpoint
w = nn.Parameter(fixed(3))
def g(x):
    return (w * x).sin()
@torch.no_grad()
def f(x):
    return checkpoint(g, x, use_reentrant=False)
>>> t(3)

=== vmap | eager
def f(x):
    return torch.vmap(lambda r: r.sum())(x), torch.func.grad(lambda r: r.sin().sum())(x)
>>> t(2, 3)

=== complex_numbers
def f(x):
    c = torch.complex(x, x + 1)
    d = c.conj()
    return d, d.imag, c.abs(), torch.view_as_real(c), d * c, d.is_conj()
>>> t(3)

=== conj_inputs
def f(c):
    return c * 2, c.is_conj(), c.resolve_conj(), c.imag, c.conj().imag
>>> torch.complex(t(3), t(3))
>>> torch.complex(t(3), t(3)).conj()

=== sparse_input | eager
def f(x):
    return x * 2, x.is_sparse
>>> torch.eye(3).to_sparse()
>>> torch.eye(3)

=== sparse_inside | eager
def f(x):
    return (x.to_sparse() * 2).to_dense()
>>> torch.eye(3)

=== subclass_input | eager
class T(torch.Tensor):
    pass
def f(x):
    return x * 2
>>> t(3).as_subclass(T)
>>> t(3)

=== subclass_made_inside | eager
class T(torch.Tensor):
    pass
def f(x):
    return (x * 2).as_subclass(T) + 1
>>> t(3)

=== parameter_as_input
def f(x):
    return x * 2, isinstance(x, nn.Parameter), type(x).__name__
>>> nn.Parameter(t(3))
>>> t(3)

=== parameter_made_inside | eager
def f(x):
    p = nn.Parameter(x * 2)
    return p
>>> t(3)

=== dtypes
def f(x):
    return x.to(torch.float64), x.half(), x.type(torch.int32), x.type(), x.bool(), x.dtype
>>> t(3)
>>> t(3).double()
>>> torch.tensor([1, 2])

=== dtype_argument
def f(x, d, dev):
    return x.to(d), torch.zeros(2, dtype=d, device=dev), torch.ones(2, device="cpu")
>>> t(3), torch.float64, torch.device("cpu")
>>> t(3), torch.int32, torch.device("cpu")

=== promotion
def f(x, n):
    return x + n, x * 2.0, n - x, x / 3, x // 2, x ** n
>>> t(3).abs(), 2
>>> t(3).abs(), 2.5
>>> torch.tensor([1, 2]), 2

=== special_numbers
def f(x, n):
    return x * n, n
>>> t(3), float("nan")
>>> t(3), -0.0
>>> t(3), 0.0
>>> t(3), float("inf")

=== int_bool_float
def f(x, n):
    return x * n, type(n).__name__
>>> t(3), 1
>>> t(3), True
>>> t(3), 1.0

=== numpy_scalars
import numpy as np
def f(x, n):
    return x * n, n.__class__
>>> t(3), np.float64(2.5)
>>> t(3), np.float32(2.5)
>>> t(3), np.int64(2)
>>> t(3), 2.5

=== deterministic_flag
def f(x):
    return torch.zeros(3).index_add_(0, torch.tensor([0, 1, 0]), x)
>>> t(3)
!!! torch.use_deterministic_algorithms(True)
!!! torch.use_deterministic_algorithms(False)

=== saved_tensor_hooks | eager
w = nn.Parameter(fixed(3))
seen = []
def f(x):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t):
        return (w * x).sum()
>>> t(3)

=== function_mode_around | eager
from torch.overrides import TorchFunctionMode
class Mode(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {})) + 1 if func is torch.add else func(*args, **(kwargs or {}))
on = False
import contextlib
around = lambda: Mode() if on else contextlib.nullcontext()
def f(x):
    return torch.add(x, x)
>>> t(3)
!!! on = True
!!! on = False

=== error_in_no_grad | eager
w = nn.Parameter(fixed(3))
def f(x, i):
    with torch.no_grad():
        return (x * w)[i], torch.is_grad_enabled()
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(7)
>>> t(3), torch.tensor(1)

=== error_in_autocast | eager
w = nn.Parameter(fixed(3, 3))
def f(x, i):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return (x @ w)[i], (x @ w).sum()
>>> t(3, 3), torch.tensor(1)
>>> t(3, 3), torch.tensor(1)
>>> t(3, 3), torch.tensor(7)
>>> t(3, 3), torch.tensor(1)

=== error_in_inference_mode | eager
w = nn.Parameter(fixed(3))
def f(x, i):
    with torch.inference_mode():
        return (x * w)[i]
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(7)
>>> t(3), torch.tensor(1)

=== error_after_write | eager
w = torch.zeros(3)
def f(x, i):
    w.add_(1)
    with torch.no_grad():
        return x[i] + w
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(7)
>>> t(3), torch.tensor(1)

=== write_that_fails_in_handler | eager
def f(x, i):
    try:
        x[i] = 1
    except IndexError:
        x = x * 0
    return x
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(7)

=== caught_further_out | eager
def g(x, i):
    with torch.no_grad():
        return x.index_select(0, i)
def f(x, i):
    x.mul_(2)
    for _ in range(2):
        try:
            y = [g(x, i) for _ in range(2)]
        except IndexError:
            x.add_(1)
            raise
    return y
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(7)

=== with_after_write
w = torch.zeros(3)
def f(x):
    w.add_(x)
    with torch.no_grad():
        y = x * w
        with torch.autocast("cpu"):
            z = y @ x
    for _ in (i for i in range(2)):
        z = z + 1
    return [z * k for k in range(2)]
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_modes(case):
    check_torch(case)
