"""What operations take and give: odd constants, spellings of a call, kinds of results."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== dropout_in_a_try_block
training = False
def f(x):
    try:
        y = F.dropout(x, 0.5, training)
        z = F.dropout(y, training=training) + F.alpha_dropout(x, 0.3, training)
        z = F.normalize(z, dim=0)
        return torch.dropout(z, 0.5, False) + torch.feature_dropout(z, p=0.5, train=False)
    except ValueError:
        return x
>>> t(3)

=== odd_numbers
def f(x):
    a = torch.full((2,), float("nan")) + torch.full((2,), float("inf")) * x
    b = x * -0.0, x + float("-inf"), torch.full((2,), -0.0), x * 1e-45
    c = x * complex(-0.0, 1.0), x * complex("nan"), torch.tensor(2**62), x.clamp(min=-1.5)
    return a, b, c, x.nan_to_num(nan=float("inf")), torch.tensor([True, 2, 3.5])
>>> t(2)

=== legacy_constructors
from torch.autograd import Variable
def f(x):
    n, m = torch.LongTensor(2, 3).zero_(), torch.Tensor(x.shape).fill_(2)
    a = Variable(x * 2), torch.FloatTensor([0.1, 0.2, 0.3]) * x, torch.Tensor([[1, 2, 3]])
    b = torch.ByteTensor([[1], [0]]), torch.DoubleTensor([]), torch.Tensor(), torch.FloatTensor(x)
    return a, b, n, m, x.type(torch.DoubleTensor), x.type() == "torch.FloatTensor", m.type_as(n)
>>> t(3)

=== new_of_a_size
def f(x):
    return x.new(x.size()).fill_(1) + x, x.new(2, 3).shape, x.new([1, 2]), x.new(x.shape[:1]).shape
>>> t(3, 4)

=== requires_grad_is_what_it_was
def f(x):
    y = x * 2
    x.requires_grad = y.requires_grad = False
    return x + y, torch.spmm(x, y)
>>> t(2, 2)

=== constants_that_the_module_shares
class Pad:
    padding = (1, 0, 1, 0)
pad = Pad()
def f(x):
    y = F.pad(x, (1, 0, 1, 0))
    return F.pad(y, pad.padding), pad.padding is Pad.padding, pad.padding, (1, 0, 1, 0)
>>> t(2, 2)
!!! pad.padding = (2, 0, 0, 0)
!!! pad.padding = tuple([1, 0, 1, 0])

=== index_is_a_slice_of_the_callers
part, pair = slice(0, 1), [slice(None), slice(1, None)]
def f(x):
    return x[part], x[:, part], x[pair[0], pair[1]]
>>> t(3, 3)
!!! part = slice(1, 3)
!!! pair[1] = slice(0, 2)
!!! part = slice(1.0, None) if 0 else slice(None, None, 2)

=== odd_indices
def f(x):
    return (x[..., None], x[None, :, 1:], x[-1], x[:, ::2], x[[0, 1]], x[[True, False, True]],
            x[torch.tensor([0, 2])], x[0, 1], x[(0,)], x[()], x[:, None, [0, 1]], x[True], x[1:1],
            x[slice(None), slice(0, 10**30)], x[torch.tensor(1)])
>>> t(3, 4)

=== numpy_indices
import numpy as np
def f(x):
    return x[np.array([0, 2])], x[np.int64(1)], x[np.array([True, False, True])]
>>> t(3, 4)

=== strings_and_enums
def f(x):
    return (F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
            torch.einsum("b c h w -> b h w c", x), F.gelu(x, approximate="tanh"),
            x.to(memory_format=torch.channels_last), x.to("cpu", torch.float64, copy=True),
            torch.zeros(2, dtype=torch.int8, layout=torch.strided, pin_memory=False),
            x.sum(dim=(1, 2), keepdim=True, dtype=torch.float64), F.pad(x, (1, 1, 1, 1), mode="reflect"))
>>> t(1, 2, 4, 4)

=== spellings
def f(x, y):
    return (x.add(y), torch.add(x, y), torch.Tensor.add(x, y), x.__add__(y), torch.add(input=x, other=y),
            x.add(y, alpha=2), torch.ops.aten.add(x, y), x.sub(other=y), 1 - x, 2 ** x, x @ y, -x, +x, abs(x),
            divmod(x, 2.0) if 0 else 0, x.__rsub__(1), x.round(), ~(x > 0), (x > 0) & (y > 0), (x > 0) ^ (y > 0))
>>> t(2, 2), t(2, 2)

=== properties
def f(x):
    return x.T, x.mT, x.real, x.H, x.shape, x.ndim, x.dtype, x.device, x.is_cuda, x.requires_grad, x.itemsize, x.nbytes, x.layout
>>> t(2, 3)

=== integers_in_and_out
def f(x, n):
    return x // n, x % n, x >> 1, x & 3, x.float() / n, x.bitwise_not(), x.cumsum(0), x.sum(), x.argmax()
>>> torch.tensor([5, 6, 7]), 2
>>> torch.tensor([5, 6, 7], dtype=torch.int32), 3

=== constants_made
def f(x):
    a = torch.arange(x.shape[0], dtype=x.dtype, device=x.device)
    b = torch.eye(2), torch.linspace(0, 1, 3), torch.tril(torch.ones(2, 2)), torch.zeros_like(x)
    c = x.new_tensor([1, 2]), x.new_full((2,), 3.0), torch.as_tensor([1.0, 2.0]), torch.empty(0)
    return a, b, c, torch.tensor(x.shape), torch.tensor([[1, 2], [3, 4]])[0]
>>> t(3, 2)

=== constant_through_numpy | eager
def f(x):
    k = torch.tensor(3.0)
    k.numpy()[...] = 7
    return k + x
>>> t(3)

=== constant_pointer | eager
def f(x):
    k = torch.tensor(3.0)
    return (k.data_ptr() == 5, k + x)
>>> t(3)

=== torch_where_and_masks
def f(x, m):
    return (torch.where(m, x, 0.0), x.masked_fill(m, -1e9), x.masked_fill(~m, float("-inf")).softmax(-1),
            torch.where(m.any(), x, -x), (x * m).sum(), m.all(), torch.isnan(x), x.clamp(0, 1))
>>> t(3), torch.tensor([True, False, True])

=== sdpa
def f(q, k, v):
    a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    b = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.ones(3, 3).tril().bool(), dropout_p=0.5)
    return a, b
>>> t(1, 2, 3, 4), t(1, 2, 3, 4), t(1, 2, 3, 4)

=== fft_linalg_special
def f(x):
    return (torch.fft.rfft(x), torch.fft.ifft(x.to(torch.complex64)), torch.linalg.norm(x), torch.linalg.inv(x @ x.T + torch.eye(3)),
            torch.special.expit(x), torch.linalg.svd(x).S, torch.logsumexp(x, 1), torch.cdist(x, x))
>>> t(3, 3)

=== results_in_lists
def f(xs):
    return torch._foreach_add(xs, 1), torch.broadcast_tensors(*xs), torch.atleast_2d(*xs), torch.stack(xs).unbind(), torch.cat(xs).split([1, 5])
>>> [t(3), t(3)]

=== inplace_spellings
def f(x, y):
    x.add_(y)
    torch.Tensor.mul_(x, 2)
    torch.relu_(x)
    F.relu(x, inplace=True)
    F.leaky_relu_(x)
    x.__iadd__(y)
    x.clamp_(max=3).sub_(1)
    torch.neg(x, out=y)
    x.copy_(y)
    torch.nn.init.constant_(y, 3.0)
    x.data if 0 else None
    x.swapaxes_(0, 1)
    x.fill_diagonal_(0)
    return x
>>> t(2, 2), t(2, 2)

=== init_functions | eager
def f(x):
    nn.init.xavier_uniform_(x)
    nn.init.zeros_(x[0])
    return x
>>> t(2, 2)

=== clip_and_norms
ps = [nn.Parameter(fixed(3)), nn.Parameter(fixed(2))]
def f(x):
    total = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(p) for p in ps]))
    return x / (total + 1e-6), torch.nn.utils.parameters_to_vector(ps)
>>> t(3)

=== mutable_argument_reused
def f(x):
    shape = [2, 3]
    y = x.view(shape)
    shape[0] = 3
    shape[1] = 2
    z = x.view(shape)
    idx = [0, 1]
    a = y[idx]
    idx.append(1)
    return y, z, a, y[idx]
>>> t(6)

=== same_shape_other_dtype
def f(x):
    return x * 2 if x.is_floating_point() else x + 1
>>> t(3)
>>> torch.tensor([1, 2, 3])
>>> torch.tensor([True, False, True])
>>> t(3).to(torch.bfloat16)

=== empty_is_not_compared
def f(x):
    y = torch.empty_like(x)
    y.copy_(x)
    z = torch.empty(2, 2).zero_()
    return y, z, x.new_empty(3).fill_(1)
>>> t(3)

=== view_dtype_and_bits
def f(x):
    return x.view(torch.int32), x.view(torch.uint8), torch.view_as_complex(x.view(-1, 2)), x.element_size()
>>> t(4)

=== as_strided_and_unfold
def f(x):
    return x.as_strided((2, 2), (1, 2)), x.unfold(0, 2, 1), x.diagonal(), x.movedim(0, 1), x.expand(2, -1, -1), x.flatten()
>>> t(3, 3)

=== operator_objects
def f(x):
    return torch.ops.aten.relu.default(x), torch.ops.aten.split.Tensor(x, 1)
>>> t(3)

=== profiler_ranges | eager
def f(x):
    with torch.profiler.record_function("part"):
        y = x * 2
    return y
>>> t(3)

=== distributions
from torch.distributions import Normal
def f(x):
    d = Normal(x, torch.ones_like(x), validate_args=False)
    return d.rsample(), d.log_prob(x), d.entropy()
>>> t(3)

=== torch_tensor_legacy | eager
def f(x):
    return torch.FloatTensor([1, 2]) + x, torch.Tensor(2).zero_(), x.new(2).zero_()
>>> t(2)

=== module_getattr_torch
def f(x):
    return torch.pi * x, torch.inf * x, torch.e, torch.float32, torch.strided
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operations(case):
    check_torch(case)
