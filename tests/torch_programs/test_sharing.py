"""Programs whose tensors share memory, and calls in which they stop or start to."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== parameters_written_and_tied | eager
a = nn.Parameter(fixed(3))
b = nn.Parameter(fixed(3))
def f(x):
    with torch.no_grad():
        a.add_(x)
    return a * b
>>> t(3)
!!! b.data = a.data
!!! b.data = fixed(3)
!!! b = a

=== buffer_is_view_of_argument | eager
w = fixed(4)
def f(x):
    w[:2].add_(x.sum())
    return x * 2
>>> t(2)
>>> w[1:3]
>>> t(2)

=== written_state_swapped
class C: pass
c = C()
c.a, c.b = fixed(3), fixed(3) * 2
def f(x):
    c.a.add_(x)
    c.a, c.b = c.b, c.a
    return c.a + c.b
>>> t(3)
!!! c.b = c.b.clone()
??? c.b = c.a

=== list_with_itself_twice
def f(xs):
    xs[0].add_(1)
    return xs[1] * 2
>>> [t(3), t(3)]
>>> [t(3)] * 2

=== dict_values_alias | eager
def f(d):
    d["a"].mul_(2)
    return d["a"] + d["b"]
>>> {"a": t(3), "b": t(3)}
>>> (lambda x: {"a": x, "b": x[:]})(t(3))

=== expanded_input_read
def f(x):
    return x * 2, x.sum(0), x.stride()
>>> t(1, 3).expand(4, 3)
>>> t(4, 3)

=== expanded_input_written | eager
def f(x):
    try:
        x.add_(1)
    except RuntimeError as e:
        return "no"
    return x
>>> t(1, 3).expand(4, 3)
>>> t(4, 3)

=== offset_views
def f(a, b):
    a.add_(1)
    b.mul_(2)
    return a.sum() + b.sum()
>>> *t(10).split(5)
>>> *t(2, 5)
>>> t(5), t(5)

=== interleaved_views | eager
def f(a, b):
    a.add_(1)
    return a + b
>>> *(lambda x: (x[:, 0], x[:, 1]))(t(3, 2))
>>> t(3), t(3)

=== output_aliases_state
w = fixed(3, 3)
def f(x):
    w.add_(x)
    return w[0], w.t(), w
>>> t(3)
!!! w = torch.zeros(3, 3)

=== result_stored_and_returned
class C: pass
c = C()
def f(x):
    c.y = x * 2
    c.v = c.y[0]
    c.v.add_(5)
    return c.y, c.v, c.y
>>> t(3, 2)
!!! c.y = None

=== previous_result_is_input
class C: pass
c = C()
c.y = fixed(3)
def f(x):
    c.y.add_(x)
    c.y = c.y * 1
    return c.y
>>> t(3)
!!! c.y = torch.zeros(3)

=== previous_view_is_input
class C: pass
c = C()
c.y = fixed(4, 3)
def f(x):
    v = c.y[1:]
    c.y = torch.cat([v, x])
    c.last = v
    return c.last.sum() + c.y.sum()
>>> t(1, 3)
!!! c.y = torch.zeros(4, 3)

=== dropped_input_written_through_view
class C: pass
c = C()
c.y = fixed(3)
def f(x):
    v = c.y[1:]
    c.y = x * 2
    v.add_(1)
    return v
>>> t(3)
!!! c.y = torch.zeros(3)

=== dropped_inputs_and_writes
class C: pass
c = C()
c.y = fixed(3)
c.n = torch.zeros(3)
def f(x):
    c.n.add_(x)
    c.y = c.y * 0.5 + c.n
    z = (x + 1).relu_()
    del x
    return c.y + z
>>> t(3)
!!! c.n.zero_()

=== kv_cache
class Cache:
    def __init__(self):
        self.k = []
        self.v = []
    def update(self, k, v, layer):
        if len(self.k) <= layer:
            self.k.append(k)
            self.v.append(v)
        else:
            self.k[layer] = torch.cat([self.k[layer], k], dim=1)[:, -4:]
            self.v[layer] = torch.cat([self.v[layer], v], dim=1)[:, -4:]
        return self.k[layer], self.v[layer]
cache = Cache()
def f(x):
    for layer in range(2):
        k, v = cache.update(x * 2, x + 1, layer)
        x = F.scaled_dot_product_attention(x, k, v)
    return x
>>> t(1, 4, 3)
!!! cache.k.clear(); cache.v.clear()

=== ring_buffer
buf = torch.zeros(4, 2)
at = 0
def f(x):
    buf[at] = x
    return buf.mean(0)
>>> t(2)
!!! at = 1
!!! at = -1

=== written_then_rebound_name
def f(x):
    y = x
    y += 1
    y = y + 1
    y += 1
    return x, y
>>> t(3)

=== swap_of_columns
def f(x):
    x[:, [0, 1]] = x[:, [1, 0]]
    x[0], x[1] = x[1].clone(), x[0].clone()
    return x
>>> t(3, 3)

=== requires_grad_alias
w = nn.Parameter(fixed(3))
def f(x):
    v = w.view(3)
    d = w.detach()
    with torch.no_grad():
        d.mul_(0.5)
    return v.sum() * 0 + (w * x).sum(), d
>>> t(3)
!!! w.requires_grad_(False)

=== copy_between_inputs
def f(dst, src):
    dst.copy_(src)
    src.zero_()
    return dst
>>> t(3), t(3)
>>> t(3).double(), t(3)
>>> t(3), t(1)

=== set_item_of_self
def f(x):
    x[1:] = x[:-1]
    return x
>>> t(1)

=== zero_size_alias
def f(a, b):
    a.add_(1)
    return a.sum() + b
>>> torch.zeros(0), t(1)
>>> *[torch.zeros(0)] * 2
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sharing(case):
    check_torch(case)
