"""Small tensor programs, backend eager: bitwise equal, with sharing and metadata."""

import pytest

from oracle import TOLERANCE, cases, check, torch_compile

CASES = cases(r"""
=== add
import torch
def f(a, b):
    return a + b
>>> torch.ones(2, 3), torch.arange(3.0)
>>> torch.ones(3, 3), torch.arange(3.0)

=== scalar_operands
import torch
def f(a, k):
    return a + k, k - a, a * 2.5, 1 / a, a ** 2, -a, a // 2, a % 3
>>> torch.arange(1.0, 5.0), 2
>>> torch.arange(1.0, 5.0), 2.0

=== comparisons_stay_tensors
import torch
def f(a, b):
    return a < b, a == b, (a > 0) & (b > 0), ~(a > b), torch.where(a > b, a, b)
>>> torch.arange(3.0), torch.ones(3)

=== functional
import torch
import torch.nn.functional as F
def f(a, w):
    return (
        F.relu(a) + 1, F.linear(a, w), F.softmax(a, dim=-1), F.gelu(a),
        F.layer_norm(a, (3,))
    )
>>> torch.randn(2, 3, generator=torch.Generator().manual_seed(1)), torch.ones(4, 3)

=== methods_and_keywords
import torch
def f(a):
    return (
        a.sum(dim=0, keepdim=True), a.mean(), a.max(dim=1), a.view(3, 2),
        a.permute(1, 0)
    )
>>> torch.arange(6.0).view(2, 3)

=== return_types
import torch
def f(a):
    r = a.max(1)
    values, indices = a.sort(dim=-1)
    return r, r.values, r.indices is r[1], values, indices, torch.topk(a, 2)
>>> torch.tensor([[3.0, 1.0, 2.0], [1.0, 5.0, 0.0]])

=== subscripts
import torch
def f(a, i):
    return (
        a[0], a[i], a[None], a[..., 1], a[:, 1:], a[::2, -1], a[0, 1:3], a[(1, 2)],
        a[-1][None, :]
    )
>>> torch.arange(12.0).view(3, 4), 1

=== subscript_by_tensor
import torch
def f(a, i):
    return a[i], a[:, i], torch.index_select(a, 0, i), a.gather(1, i[None].expand(3, 2))
>>> torch.arange(12.0).view(3, 4), torch.tensor([0, 2])

=== set_item
import torch
def f(a):
    b = a.clone()
    b[0] = 1.0
    b[1, 2] = a[0, 0]
    b[:, -1] += 5
    for i in range(3):
        b[i, i] = -1
    return b
>>> torch.arange(12.0).view(3, 4)

=== in_place_on_argument
import torch
def f(a):
    a += 1
    a.mul_(2)
    return a
>>> torch.arange(3.0)

=== in_place_through_view
import torch
def f(a):
    v = a.view(-1)
    v[0] = 9
    a[1].add_(1)
    return v
>>> torch.zeros(2, 2)

=== in_place_on_global
import torch
total = torch.zeros(3)
def f(a):
    total.add_(a)
    return total * 2
>>> torch.ones(3)
!!! total.zero_()
!!! total = torch.ones(3)

=== in_place_not_contiguous
import torch
def f(a):
    a.add_(1)
    return a.t()
>>> torch.zeros(2, 3).t()
>>> torch.zeros(4, 3)[::2]

=== in_place_relu_result_is_argument
import torch
def f(a):
    b = torch.relu_(a)
    return b, a is b
>>> torch.tensor([-1.0, 1.0])

=== view_of_argument_returned
import torch
def f(a):
    return a.view(-1), a[0], a.t(), a.detach()
>>> torch.zeros(2, 3)

=== contiguous_is_identity
import torch
def f(a):
    b = a.contiguous()
    return b, b is a, a.to(torch.float32) is a, a.reshape(a.shape) is a
>>> torch.zeros(2, 3)
>>> torch.zeros(3, 2).t()

=== same_tensor_in_two_slots
import torch
def f(a):
    b = a + 1
    return [b, b, (b, a)], {"k": b}
>>> torch.zeros(2)

=== tensor_containers
import torch
x, y = torch.zeros(2), torch.ones(2)
def f(d, xs):
    d["new"] = xs[0] + d["a"]
    xs.append(d["new"])
    xs[0] = d["a"]
    return d, xs
>>> {"a": torch.ones(2)}, [x, y]

=== only_reference_to_an_input_dropped | eager
import torch
def f(xs):
    xs[0] = xs[0] + 1
    return xs
>>> [torch.zeros(2)]

=== tensor_lists_built_in_loops
import torch
def f(a, n):
    xs = [a]
    for i in range(n):
        xs.append(xs[-1] * (i + 1))
    return torch.stack(xs), torch.cat([x.view(1, -1) for x in xs]), sum(xs)
>>> torch.arange(3.0), 3

=== comprehensions_over_tensors
import torch
def f(xs):
    ys = [x + 1 for x in xs]
    return {str(i): y for i, y in enumerate(ys)}, tuple(y * 2 for y in ys), sum(ys)
>>> [torch.zeros(2), torch.ones(2)]

=== map_of_a_torch_function | eager
import torch
def f(xs):
    return [*map(torch.neg, xs)], list(map(torch.add, xs, xs))
>>> [torch.zeros(2), torch.ones(2)]

=== iteration_over_a_tensor
import torch
def f(a):
    total = 0
    for i, row in enumerate(a):
        total = total + row * i
    x, y = a
    return total, x, y, len(a)
>>> torch.arange(4.0).view(2, 2)

=== metadata
import torch
def f(a):
    return (a.shape, a.size(), a.size(0), a.dtype, a.device, a.ndim, a.dim(),
            a.numel(), a.stride(),
            a.is_contiguous(), a.requires_grad, a.is_cuda, len(a.shape),
            a.is_floating_point(), a.layout)
>>> torch.zeros(2, 3)
>>> torch.zeros(2, 3, dtype=torch.int64)

=== shape_arithmetic
import torch
def f(a):
    b, c = a.shape
    return (
        a.view(b * c), a.reshape(c, -1), torch.zeros(b, c + 1), a.new_ones(a.size(1)),
        a.expand(2, *a.shape)
    )
>>> torch.zeros(2, 3)
>>> torch.zeros(4, 3)

=== shape_branches
import torch
def f(a):
    if a.shape[0] > 2:
        return a.sum()
    elif a.dim() == 1:
        return a * 2
    return a
>>> torch.zeros(3)
>>> torch.zeros(2)
>>> torch.zeros(1, 2)

=== dtype_branches
import torch
def f(a):
    if a.dtype == torch.float16 or a.dtype is torch.bfloat16:
        a = a.float()
    return (
        a / torch.finfo(a.dtype).max, a.to(torch.float64), a.type(torch.int32),
        a.half().dtype
    )
>>> torch.ones(2)
>>> torch.ones(2, dtype=torch.bfloat16)

=== factories
import torch
def f(n):
    return (torch.zeros(n), torch.ones(n, 2), torch.arange(n), torch.eye(n),
            torch.full((n,), 2.5),
            torch.tensor([1.0, n]), torch.linspace(0, 1, n), torch.empty(0),
            torch.zeros(2, dtype=torch.bool))
>>> 3

=== factory_not_shared_between_hits
import torch
def f():
    return torch.zeros(2)
>>>
>>>

=== module_constant_tensor
import torch
c = torch.tensor([1.0, 2.0])
def f(a):
    return a * c
>>> torch.ones(2)
!!! c = torch.tensor([3.0, 4.0])
!!! c.add_(1)
!!! c = torch.tensor(5.0)

=== attribute_tensors
import torch
class C:
    pass
o = C()
o.t = torch.ones(2)
def f(a):
    before = o.t
    o.t = before + a
    o.list = [before, o.t]
    return before
>>> torch.ones(2)
!!! o.t = torch.zeros(2)
!!! o.t = torch.zeros(1)

=== argument_stored_on_object
import torch
class C:
    pass
o = C()
def f(a):
    o.kept = a
    o.twice = [a, a]
    return a + 1
>>> torch.ones(2)

=== aliased_arguments
import torch
def f(a, b):
    return a + b, a is b
x = torch.ones(2)
>>> x, x
>>> torch.ones(2), torch.ones(2)

=== aliased_and_written
import torch
def f(a, b):
    a.add_(1)
    return b * 2
x = torch.ones(2)
>>> torch.ones(2), torch.ones(2)

=== aliased_only_later | eager
import torch
def f(a, b):
    a.add_(1)
    return b * 2
x = torch.ones(4)
>>> torch.ones(2), torch.ones(2)
>>> x[:2], x[1:3]
>>> x, x

=== requires_grad_changes
import torch
def f(a):
    return a * 2, a.requires_grad
>>> torch.ones(2)
>>> torch.ones(2, requires_grad=True)
>>> torch.nn.Parameter(torch.ones(2))

=== strides_change
import torch
def f(a):
    return a + 1, a.is_contiguous()
>>> torch.zeros(2, 3)
>>> torch.zeros(3, 2).t()
>>> torch.zeros(2, 6)[:, ::2]

=== no_grad_inside
import torch
def f(a):
    with torch.no_grad():
        b = a * 2
        inside = torch.is_grad_enabled()
    c = a * 3
    return b, c, inside, torch.is_grad_enabled()
>>> torch.ones(2, requires_grad=True)

=== enable_grad_inside
import torch
def f(a):
    with torch.no_grad():
        with torch.enable_grad():
            b = a * 2
        with torch.set_grad_enabled(False):
            c = a * 2
    return b, c
>>> torch.ones(2, requires_grad=True)

=== no_grad_decorator
import torch
@torch.no_grad()
def g(a):
    return a * 2
def f(a):
    return g(a), a * 3
>>> torch.ones(2, requires_grad=True)

=== inference_mode_inside
import torch
def f(a):
    with torch.inference_mode():
        b = a * 2
    return b.is_inference(), b
>>> torch.ones(2)

=== autocast_inside
import torch
def f(a, b):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        c = a @ b
    return c, a @ b
>>> torch.ones(2, 2), torch.ones(2, 2)

=== detach
import torch
def f(a):
    b = a.detach()
    return b * 2, b.requires_grad, b is a
>>> torch.ones(2, requires_grad=True)
>>> torch.ones(2)

=== data_attribute
import torch
def f(a):
    with torch.no_grad():
        return a.data + 1, a.data.requires_grad, a.data.type(a.dtype)
>>> torch.ones(2)

=== data_attribute_with_grad | eager
import torch
def f(a):
    return a.data + 1, a * 2
>>> torch.ones(2, requires_grad=True)

=== float_of_a_tensor | eager
import torch
def f(a):
    return float(a.sum()) + 1, a.sum().item(), int(a[0])
>>> torch.ones(2)

=== branch_on_a_tensor | eager
import torch
def f(a):
    if a.sum() > 0:
        return a + 1
    return a - 1
>>> torch.ones(2)
>>> -torch.ones(2)

=== host_reads | eager
import torch
def f(a):
    return (
        a.tolist(), torch.equal(a, a), bool((a > 0).all()), a.numpy().sum(),
        f"{a.sum()}"
    )
>>> torch.ones(2)

=== data_dependent_shapes | eager
import torch
def f(a):
    return a[a > 1], torch.nonzero(a), a.masked_select(a > 1).shape[0], torch.unique(a)
>>> torch.arange(4.0)
>>> torch.arange(6.0)

=== printed | eager
import torch, io
out = io.StringIO()
def f(a):
    print(a, file=out)
    return a + 1
>>> torch.ones(2)

=== random_numbers
import torch
def f(a):
    return torch.rand(2), torch.randn_like(a), torch.nn.functional.dropout(a, 0.5)
>>> (torch.manual_seed(3), torch.ones(2))[1]
>>> (torch.manual_seed(4), torch.ones(2))[1]

=== seed_set_inside | eager
import torch
def f(a):
    torch.manual_seed(3)
    return torch.rand(2)
>>> torch.ones(2)

=== numpy_on_sizes
import numpy as np
import torch
import torch.nn.functional as F
def f(a, k):
    p = int(np.floor((k - 1) / 2))
    return F.pad(a, (p, p)), np.prod([2, 3]).item(), int(np.ceil(2.5))
>>> torch.ones(2), 5

=== from_numpy | eager
import numpy as np
import torch
def f(x):
    return torch.from_numpy(x) + 1, torch.tensor(x), torch.as_tensor(x)
>>> np.array([1.0, 2.0])
>>> np.array([3.0, 4.0])

=== operation_that_raises | eager
import torch
def f(a, b):
    return a @ b
>>> torch.ones(2, 3), torch.ones(2, 3)

=== operation_that_raises_and_is_caught | eager
import torch
log = []
def f(a, b):
    try:
        return a @ b
    except RuntimeError:
        log.append("shape")
        return a + 1
>>> torch.ones(2, 3), torch.ones(2, 3)
>>> torch.ones(2, 2), torch.ones(2, 2)

=== module_called
import torch
torch.manual_seed(0)
m = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
def f(a):
    return m(a)
>>> torch.ones(2, 3)
!!! m[0].weight.data.mul_(2)
!!! m[1] = torch.nn.Tanh()
!!! m.append(torch.nn.ReLU())
!!! m[0].bias = None

=== module_containers
import torch
torch.manual_seed(0)
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(3))
        self.heads = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 1)})
        self.heads["b"] = torch.nn.Identity()
        self.scales = torch.nn.ParameterList([torch.nn.Parameter(torch.ones(2))])
        self.register_buffer("steps", torch.zeros(()))
    def forward(self, x):
        self.steps += 1
        for i, layer in enumerate(self.layers):
            x = layer(x) * self.scales[0]
        return {k: head(x) for k, head in self.heads.items()}, len(self.layers)
net = Net().eval()
def f(a):
    return net(a)
>>> torch.ones(1, 2)
!!! net.layers.append(torch.nn.Identity())
!!! net.heads["c"] = torch.nn.Identity()
!!! net.steps.zero_()
!!! net.scales[0] = torch.nn.Parameter(torch.zeros(2))

=== module_hooks
import torch
torch.manual_seed(0)
m = torch.nn.Linear(2, 2)
def f(a):
    return m(a)
>>> torch.ones(1, 2)
!!! m._forward_hooks[1] = lambda mod, args, out: out * 2
!!! m._forward_hooks.clear()
!!! m._forward_pre_hooks[2] = lambda mod, args: (args[0] + 1,)

=== module_batch_norm_training
import torch
m = torch.nn.BatchNorm1d(3).train()
def f(a):
    return m(a)
>>> torch.arange(6.0).view(2, 3)
!!! m.eval()
!!! m.momentum = 0.5; m.train()

=== named_children
import torch
torch.manual_seed(0)
m = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
def f(x):
    for name, child in m.named_children():
        x = child(x)
    return x, [n for n, _ in m.named_modules()], len(m)
>>> torch.ones(1, 2)
!!! torch.manual_seed(1); m.add_module("x", torch.nn.Linear(2, 1))

=== parameters_iterated
import torch
torch.manual_seed(0)
m = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
def f():
    shapes = [p.shape for p in m.parameters()]
    return len(list(m.parameters())), shapes, next(m.parameters())
!!! torch.manual_seed(1); m.add_module("x", torch.nn.Linear(2, 1))

=== dropout_and_training_flag
import torch
m = torch.nn.Dropout(0.5).eval()
def f(a):
    return m(a), m.training
>>> (torch.manual_seed(3), torch.ones(4))[1]
!!! m.train()
!!! m.p = 0.1
!!! m.eval()

=== autograd_function | eager
import torch
class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g * 2
def f(a):
    return Twice.apply(a) + 1
>>> torch.ones(2)

=== einsum_and_matmul
import torch
def f(a, b):
    return (
        torch.einsum("ij,jk->ik", a, b), a @ b, torch.matmul(a, b),
        torch.bmm(a[None], b[None]), a.mm(b).T
    )
>>> torch.arange(6.0).view(2, 3), torch.arange(6.0).view(3, 2)

=== attention
import torch
import torch.nn.functional as F
def f(q, k, v, mask):
    w = (q @ k.transpose(-2, -1)) / q.shape[-1] ** 0.5
    w = w.masked_fill(mask == 0, float("-inf")).softmax(-1)
    return w @ v, F.scaled_dot_product_attention(q, k, v)
>>> *[torch.arange(12.0).view(1, 1, 3, 4)] * 3, torch.tril(torch.ones(3, 3))

=== split_chunk_unbind
import torch
def f(a):
    x, y = a.chunk(2, dim=-1)
    p, q, r = torch.split(a, [1, 2, 1], dim=1)
    return x * y, p, q, r, torch.unbind(a), [t.sum() for t in a.split(1)]
>>> torch.arange(8.0).view(2, 4)

=== out_argument
import torch
def f(a, out):
    torch.add(a, 1, out=out)
    return out
>>> torch.ones(2), torch.zeros(2)

=== device_and_dtype_objects
import torch
def f(a):
    device = torch.device("cpu")
    return (
        a.to(device), device, a.to(device=a.device, dtype=torch.int32),
        torch.zeros(1, device=a.device), device.type
    )
>>> torch.ones(2)

=== default_dtype_guarded
import torch
def f():
    return torch.zeros(2), torch.get_default_dtype()
>>>

=== grad_mode_guarded
import torch
mode = True
def f(a):
    return a * 2
>>> torch.ones(2, requires_grad=True)
!!! torch.set_grad_enabled(False)
!!! torch.set_grad_enabled(True)

=== tensor_attributes
import torch
def f(a):
    return a.T, a.mT, a.real, a.shape[-1], a.itemsize
>>> torch.ones(2, 3)

=== grad_attributes | eager
import torch
def f(a):
    return a.grad, a.grad_fn, a.retains_grad
>>> torch.ones(2, 3)

=== tensor_identity
import torch
def f(a, xs):
    return xs[0] is a, [x is a for x in xs]
x = torch.ones(2)
>>> x, [x, torch.ones(2)]

=== tensor_as_dict_key | eager
import torch
def f(a):
    return {a: 1}[a], a in {a}
>>> torch.ones(2)

=== none_and_optional_tensors
import torch
def f(a, mask=None, bias=None):
    if mask is not None:
        a = a * mask
    return a + bias if bias is not None else a
>>> torch.ones(2)
>>> torch.ones(2), torch.zeros(2)
>>> torch.ones(2), None, torch.ones(2)

=== generator_of_tensors
import torch
def gen(a, n):
    for i in range(n):
        a = a + i
        yield a
def f(a):
    return list(gen(a, 3)), torch.stack(tuple(gen(a, 2)))
>>> torch.ones(2)

=== sum_over_a_generator_of_tensors | eager
import torch
def f(xs):
    return sum(x * 2 for x in xs), sum((x for x in xs), torch.ones(2))
>>> [torch.zeros(2), torch.ones(2)]

=== dataclass_of_tensors
import torch
from dataclasses import dataclass
@dataclass
class Out:
    a: torch.Tensor
    b: list = None
def f(a):
    o = Out(a + 1)
    o.b = [o.a, a]
    return o
>>> torch.ones(2)

=== namedtuple_of_tensors | eager
import torch
from collections import namedtuple
S = namedtuple("S", "h c")
def f(s):
    return S(s.h + 1, s.c * 2), s._replace(c=s.h)
>>> S(torch.ones(2), torch.zeros(2))

=== bitwise_special_values
import torch
def f(a):
    return a * 0, a / 0, torch.nan_to_num(a), a.clamp(-1, 1), torch.isnan(a)
>>> torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])

=== zero_dim_and_empty
import torch
def f(a, b):
    return a + b, b.sum(), a.view(1), torch.cat([b, b])
>>> torch.tensor(2.0), torch.empty(0)

=== integer_tensors
import torch
def f(a):
    return (
        a // 2, a % 3, a << 1, a & 3, a.float().mean(), torch.cumsum(a, 0), a.bool(),
        torch.bincount(a)
    )
>>> torch.tensor([1, 2, 3])

=== embedding_and_scatter
import torch
import torch.nn.functional as F
def f(i, w):
    e = F.embedding(i, w)
    z = torch.zeros_like(w).scatter_add_(0, i.view(-1, 1).expand(-1, 2), e.view(-1, 2))
    return e, z, F.one_hot(i, 4)
>>> torch.tensor([0, 3, 1]), torch.arange(8.0).view(4, 2)

=== dynamic_result_kept_in_graph | eager
import torch
def f(a):
    return torch.nonzero(a).sum()
>>> torch.tensor([0.0, 1.0])
""")


def stats(compiled):
    import magpy

    return magpy.stats(compiled)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tensors(case):
    import torch

    before = torch.is_grad_enabled()
    try:
        check(case, torch_compile, stats, tolerance=TOLERANCE)
    finally:
        torch.set_grad_enabled(before)
