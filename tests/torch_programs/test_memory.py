"""Views, in-place writes, aliases among inputs, outputs and state."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== add_to_row
def f(x):
    x[0].add_(1)
    return x * 2
>>> t(3, 4)

=== fill_through_view
def f(x):
    x.view(-1).fill_(3)
    return x + 1
>>> t(3, 4)

=== view_written_after_read
def f(x):
    y = x * 2
    v = x.view(-1)
    v[1:3] = 7
    return y, x.sum(), v
>>> t(3, 4)

=== mask_assignment
def f(x):
    x[x > 0] = -1.0
    return x
>>> t(3, 4)

=== mask_assignment_tensor
def f(x, m, v):
    x[m] = v
    return x.clone()
>>> t(4), torch.tensor([True, False, True, False]), torch.tensor(5.)

=== setitem_int
def f(x):
    x[0] = 1
    return x
>>> t(3, 4)

=== setitem_slices
def f(x, y):
    x[1:, :2] = y
    x[..., -1] = y.sum()
    x[None, 0] = 0
    return x
>>> t(3, 4), t(2, 2)

=== setitem_result_used
def f(x):
    y = torch.zeros_like(x)
    y[0] = x[1]
    y[:, 1] = 5
    return y
>>> t(3, 4)

=== out_argument
def f(a, b, o):
    r = torch.add(a, b, out=o)
    return r, o * 2
>>> t(3), t(3), torch.zeros(3)

=== out_argument_fresh
def f(a, b):
    o = torch.empty(3)
    torch.mul(a, b, out=o)
    return o
>>> t(3), t(3)

=== out_is_input
def f(a, b):
    torch.add(a, b, out=a)
    return a * 2
>>> t(3), t(3)

=== out_resized
def f(a):
    o = torch.empty(0)
    torch.add(a, 1, out=o)
    return o, o.shape
>>> t(3)

=== input_returned
def f(x):
    return x
>>> t(3)

=== input_returned_mutated
def f(x):
    x.mul_(2)
    return x
>>> t(3)

=== output_twice
def f(x):
    y = x + 1
    return y, [y, y.view(-1)], {"y": y}
>>> t(3)

=== output_view_of_input
def f(x):
    return x[1:], x.t(), x.view(-1), x
>>> t(3, 4)

=== outputs_share_memory
def f(x):
    y = x.exp()
    return y[0], y[1:], y.reshape(-1)
>>> t(3, 4)

=== same_tensor_twice
def f(a, b):
    a.add_(1)
    return a + b
>>> t(3), t(3)
>>> *[t(3)] * 2

=== same_tensor_returned
def f(a, b):
    return a * 2, a is b, [a, b]
>>> t(3), t(3)
>>> *[t(3)] * 2

=== view_of_other_input | eager
def f(a, b):
    a.add_(1)
    return a.sum() + b
>>> (lambda x: (x, x[0]))(t(3))[0], t(1)
>>> *(lambda x: (x, x[:2]))(t(3))
>>> t(3), t(2)
>>> *(lambda x: (x[:2], x[1:]))(t(3))

=== alias_appears_later | eager
def f(a, b):
    a.add_(b.sum())
    return a * b
>>> t(3), t(3)
>>> *(lambda x: (x, x.view(3)))(t(3))
>>> *(lambda x: (x, x.clone()))(t(3))

=== state_is_view_of_input | eager
w = fixed(4)
def f(x):
    x.add_(1)
    return w + 1
>>> t(4)
>>> w[:]
>>> w

=== mutated_twice_interleaved
def f(x):
    a = x * 1
    x.add_(1)
    b = x * 1
    x.add_(1)
    return a, b, x * 1
>>> t(3)

=== detach_aliases
def f(x):
    y = x.detach()
    y.mul_(2)
    return x + 1, y
>>> t(3)

=== detach_of_parameter
w = nn.Parameter(fixed(3))
def f(x):
    with torch.no_grad():
        w.detach().add_(1)
    return (w * x).sum(), w.detach()
>>> t(3)

=== data_aliases | eager
def f(x):
    x.data.mul_(2)
    return x + 1
>>> t(3)

=== data_aliases_no_grad
@torch.no_grad()
def f(x, y):
    x.data.mul_(2)
    return x + y
>>> t(3), t(3)
>>> *[t(3)] * 2

=== data_of_parameter_in_no_grad
w = nn.Parameter(fixed(3))
def f(x):
    with torch.no_grad():
        w.data.add_(1)
    return w * x
>>> t(3)
!!! w.data = fixed(3) * 2
!!! w.requires_grad_(False)
!!! w.data = w.data.double()

=== data_written_before_an_operation_that_may_raise
w = fixed(3)
@torch.no_grad()
def f(i):
    w.data.add_(1)
    return w[i]
>>> torch.tensor([0])

=== inplace_operators
def f(x, y):
    x += y
    x *= 2
    y -= x
    x[0] += 1
    x[1] /= 2
    return x, y
>>> t(3), t(3)

=== inplace_on_temporary
def f(x):
    y = x + 1
    y.relu_().add_(2)
    y[0] = 0
    return y
>>> t(3)

=== inplace_on_branch_of_views
def f(x):
    y = x.clone()
    a, b = y.chunk(2)
    a.add_(b)
    b.copy_(a)
    return y, a
>>> t(4)

=== transpose_inplace
def f(x):
    y = x.clone()
    y.t_()
    y.unsqueeze_(0)
    return y, y.shape, y.stride()
>>> t(2, 3)

=== metadata_of_input_changes | eager
def f(x):
    x.unsqueeze_(0)
    return x.shape, x * 2
>>> t(2, 3)

=== strided_inputs
def f(x):
    return x.contiguous(), x + 1, x.is_contiguous(), x.stride()
>>> t(3, 4)
>>> t(4, 3).t()
>>> t(1, 4).expand(3, 4)
>>> t(3, 8)[:, ::2]

=== contiguous_is_self
def f(x):
    y = x.contiguous()
    return y is x, y
>>> t(3, 4)
>>> t(4, 3).t()

=== channels_last
conv = nn.Conv2d(3, 4, 3)
def f(x):
    y = conv(x)
    return y, y.is_contiguous(memory_format=torch.channels_last), y.stride()
>>> t(2, 3, 8, 8)
>>> t(2, 3, 8, 8).to(memory_format=torch.channels_last)

=== expand_then_write
def f(x):
    y = x.expand(3, 4).clone()
    y[1] += 1
    return y, x.expand(3, 4)
>>> t(1, 4)

=== zero_size
def f(x):
    return x.sum(), x + 1, torch.cat([x, torch.ones(2, 3)]), x.shape
>>> torch.zeros(0, 3)
>>> t(2, 3)

=== zero_dim
def f(x):
    y = x + 1
    y += x
    return y, y.dim(), [x]
>>> torch.tensor(1.5)
>>> torch.tensor(2, dtype=torch.int64)
>>> torch.tensor(2.5, dtype=torch.float64)

=== same_storage_different_views
def f(a, b):
    return a + b, a - b
>>> *(lambda x: (x[:2], x[2:]))(t(4))
>>> *(lambda x: (x[:2], x[:2]))(t(4))

=== halves_written
def f(a, b):
    a.mul_(2)
    b.add_(a)
    return a, b
>>> *(lambda x: (x[:2], x[2:]))(t(4))

=== copy_from_alias
def f(x):
    x.copy_(x.flip(0))
    return x
>>> t(4)

=== foreach
def f(xs, ys):
    torch._foreach_add_(xs, ys)
    torch._foreach_mul_(xs, 2.0)
    return torch._foreach_neg(xs)
>>> [t(3), t(2)], [t(3), t(2)]

=== scatter_and_index
def f(x, i):
    x.index_add_(0, i, torch.ones(2, 3))
    x.scatter_(1, torch.zeros(4, 1, dtype=torch.int64), 5.0)
    y = x.index_fill(0, i, -1)
    x.index_put_((i,), torch.tensor(9.0))
    return x, y, x.gather(1, torch.ones(4, 1, dtype=torch.int64))
>>> t(4, 3), torch.tensor([0, 2])

=== bool_tensor_mutation
def f(m):
    m |= torch.tensor([True, False, False])
    m.logical_not_()
    return ~m
>>> torch.tensor([False, True, False])

=== write_then_view_returned
def f(x):
    v = x[0]
    x.add_(1)
    return v
>>> t(2, 3)

=== closure_buffer_accumulates
total = torch.zeros(3)
def f(x):
    total.add_(x)
    return total
>>> t(3)
!!! total.zero_()
!!! total = torch.ones(3)
!!! total = torch.ones(3, dtype=torch.float64)

=== swap_in_place
def f(a, b):
    tmp = a.clone()
    a.copy_(b)
    b.copy_(tmp)
>>> t(3), t(3)

=== unbind_and_write
def f(x):
    for i, row in enumerate(x.clone().unbind()):
        row.add_(i)
    rows = x.unbind()
    for i, row in enumerate(rows):
        row.mul_(i)
    return rows
>>> t(3, 2)

=== iterate_tensor
def f(x):
    out = []
    for row in x:
        row.add_(1)
        out.append(row)
    return torch.stack(out), x
>>> t(3, 2)

=== map_mutates | eager
def f(xs):
    for _ in map(torch.Tensor.zero_, xs):
        pass
    return xs[0] + 1
>>> [t(3), t(3)]

=== map_mutates_list | eager
def f(xs):
    return list(map(torch.Tensor.relu_, xs))
>>> [t(3), t(3)]

=== reduce_mutates | eager
import functools, operator
def f(xs):
    r = functools.reduce(operator.iadd, xs)
    return r, xs[0] * 2
>>> [t(3), t(3), t(3)]

=== bound_method_mutates
def f(x, y):
    add = x.add_
    for m in (add, x.mul_):
        m(y)
    return x
>>> t(3), t(3)

=== unpack_rows
def f(x):
    a, b = x
    (c, *d) = x + 1
    return a * b, c, d
>>> t(2, 3)

=== setattr_out_of_graph
class C: pass
c = C()
def f(x):
    c.last = x
    c.view = x[0]
    c.new = x + 1
    return c.new
>>> t(2, 3)
!!! c = C()
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_memory(case):
    check_torch(case)
