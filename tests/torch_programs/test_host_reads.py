"""Values of tensors that reach Python: constants, comparisons, C code that looks."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== branch_on_tensor | eager
def f(x):
    return x + 1 if x.sum() > 0 else x - 1
>>> torch.ones(3)
>>> -torch.ones(3)

=== item | eager
def f(x):
    return x.item() + 1
>>> torch.tensor(1.0)
>>> torch.tensor(2.0)

=== tuples_compared | eager
def f(x, y):
    return x + 1 if (x, 0) == (y, 0) else x - 1
>>> torch.tensor(1.0), torch.tensor(1.0)
>>> torch.tensor(1.0), torch.tensor(2.0)

=== lists_compared | eager
def f(x, y):
    return [x] == [y], [x] != [y], {"a": x} == {"a": y}
>>> torch.tensor(1.0), torch.tensor(1.0)
>>> torch.tensor(1.0), torch.tensor(2.0)

=== tuples_ordered | eager
def f(x, y):
    return (x, 0) < (y, 0)
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)

=== dataclasses_compared | eager
from dataclasses import dataclass
@dataclass
class P:
    t: object
def f(x, y):
    return P(x) == P(y)
>>> torch.tensor(1.0), torch.tensor(1.0)
>>> torch.tensor(1.0), torch.tensor(2.0)

=== in_list | eager
def f(x, y):
    return x in [y, y], y in (x,)
>>> torch.tensor(1.0), torch.tensor(1.0)
>>> torch.tensor(1.0), torch.tensor(2.0)

=== number_in_values | eager
def f(x):
    return 1 in {"a": x}.values()
>>> torch.tensor(1.0)
>>> torch.tensor(2.0)

=== max_of_tensors | eager
def f(x, y):
    return max(x, y), min([x, y])
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)

=== sorted_tensors | eager
def f(x, y):
    return sorted([x, y])
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)

=== max_of_values | eager
def f(x, y):
    return max({"a": x, "b": y}.values())
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)

=== max_of_iterator | eager
def f(x, y):
    return max(iter([x, y])), min(reversed((x, y)))
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)

=== sorted_zip | eager
def f(x, y):
    return [n for _, n in sorted(zip([x, y], "ab"))]
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)

=== sorted_enumerate_of_chain | eager
import itertools
def f(x, y):
    return max(itertools.chain([x], [y])), min(enumerate([x, y]))
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)

=== any_of_iterator | eager
def f(x, y):
    return any(iter([x, y])), all({"a": x}.values())
>>> torch.tensor(0.0), torch.tensor(0.0)
>>> torch.tensor(1.0), torch.tensor(0.0)

=== deque_of_tensors | eager
import collections
def f(x, y):
    d = collections.deque([x, y])
    return max(d), any(d), d == collections.deque([x, x]), sorted(iter(d))[0]
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(3.0)

=== any_of_generator | eager
def f(xs):
    return any(x.sum() > 0 for x in xs)
>>> [-torch.ones(2), torch.ones(2)]
>>> [-torch.ones(2), -torch.ones(2)]

=== all_of_comprehension | eager
def f(xs):
    return all([x.sum() > 0 for x in xs])
>>> [torch.ones(2), torch.ones(2)]
>>> [torch.ones(2), -torch.ones(2)]

=== max_of_generator | eager
def f(xs):
    return max(x.sum() for x in xs)
>>> [torch.ones(2), torch.zeros(2)]
>>> [torch.zeros(2), torch.ones(2)]

=== key_function | eager
def f(x):
    return sorted(range(3), key=lambda i: x[i]), max(range(3), key=x.__getitem__)
>>> torch.tensor([3.0, 1.0, 2.0])
>>> torch.tensor([1.0, 2.0, 3.0])

=== key_function_max | eager
def f(x):
    return max(range(3), key=lambda i: x[i])
>>> torch.tensor([3.0, 1.0, 2.0])
>>> torch.tensor([1.0, 2.0, 3.0])

=== list_sort_key | eager
def f(x):
    order = [0, 1, 2]
    order.sort(key=lambda i: x[i])
    return order
>>> torch.tensor([3.0, 1.0, 2.0])
>>> torch.tensor([1.0, 2.0, 3.0])

=== filter_by_tensor | eager
def f(x):
    return list(filter(lambda i: x[i] > 0, range(3)))
>>> torch.tensor([3.0, -1.0, 2.0])
>>> torch.tensor([-1.0, 2.0, 3.0])

=== filter_lazily | eager
def f(x):
    picked = filter(lambda i: x[i] > 0, range(3))
    return [i * 2 for i in picked]
>>> torch.tensor([3.0, -1.0, 2.0])
>>> torch.tensor([-1.0, 2.0, 3.0])

=== filter_none | eager
def f(x):
    return list(filter(None, (x[i] > 0 for i in range(3))))
>>> torch.tensor([3.0, -1.0, 2.0])
>>> torch.tensor([-1.0, -2.0, -3.0])

=== filter_none_lazily | eager
def f(x):
    n = 0
    for _ in filter(None, (x[i] > 0 for i in range(3))):
        n += 1
    return n
>>> torch.tensor([3.0, -1.0, 2.0])
>>> torch.tensor([-1.0, -2.0, -3.0])

=== takewhile | eager
import itertools
def f(x):
    return [i for i in itertools.takewhile(lambda i: x[i] > 0, range(3))]
>>> torch.tensor([3.0, -1.0, 2.0])
>>> torch.tensor([1.0, 2.0, -3.0])

=== map_bool | eager
def f(xs):
    return list(map(bool, xs)), list(map(float, xs))
>>> [torch.tensor(1.0), torch.tensor(0.0)]
>>> [torch.tensor(0.0), torch.tensor(1.0)]

=== map_item | eager
def f(xs):
    return list(map(torch.Tensor.item, xs)), list(map(torch.is_nonzero, xs))
>>> [torch.tensor(1.0), torch.tensor(0.0)]
>>> [torch.tensor(0.0), torch.tensor(1.0)]

=== map_bool_generator | eager
def f(xs):
    return list(map(bool, (x > 0 for x in xs)))
>>> [torch.tensor(1.0), torch.tensor(0.0)]
>>> [torch.tensor(0.0), torch.tensor(1.0)]

=== own_eq_answers_tensor | eager
class P:
    def __init__(self, t):
        self.t = t
    def __eq__(self, other):
        return self.t == other.t
def f(x, y):
    return P(x) in [P(y)], [P(x)] == [P(y)]
>>> torch.tensor(1.0), torch.tensor(1.0)
>>> torch.tensor(1.0), torch.tensor(2.0)

=== own_eq_is_a_tensor
class P:
    def __init__(self, t):
        self.t = t
    def __eq__(self, other):
        return self.t == other.t
    def __len__(self):
        return 3
def f(x, y):
    return P(x) == P(y), len(P(x))
>>> torch.tensor(1.0), torch.tensor(1.0)
>>> torch.tensor(1.0), torch.tensor(2.0)

=== own_contains_answers_tensor | eager
class P:
    def __init__(self, t):
        self.t = t
    def __contains__(self, other):
        return (self.t == other).any()
def f(x):
    return 1 in P(x)
>>> torch.tensor([1.0, 2.0])
>>> torch.tensor([3.0, 2.0])

=== own_lt_sorted | eager
class P:
    def __init__(self, t):
        self.t = t
    def __lt__(self, other):
        return self.t < other.t
def f(x, y):
    return [p.t for p in sorted([P(x), P(y)])]
>>> torch.tensor(1.0), torch.tensor(2.0)
>>> torch.tensor(3.0), torch.tensor(2.0)

=== own_bool | eager
class P:
    def __init__(self, t):
        self.t = t
    def __bool__(self):
        return bool(self.t)
def f(x):
    return 1 if P(x) else 2
>>> torch.tensor(1.0)
>>> torch.tensor(0.0)

=== index_of_list | eager
def f(xs, i):
    return xs[i]
>>> [1, 2], torch.tensor(0)
>>> [1, 2], torch.tensor(1)

=== range_of_tensor | eager
def f(x, n):
    for _ in range(n):
        x = x + 1
    return x
>>> t(2), torch.tensor(1)
>>> t(2), torch.tensor(2)

=== slice_bounds | eager
def f(x, n):
    return x[:n], x[n:]
>>> t(4), torch.tensor(1)
>>> t(4), torch.tensor(2)

=== format_tensor | eager
def f(x):
    return f"{x}", str(x), "%s" % x
>>> torch.tensor(1.0)
>>> torch.tensor(2.0)

=== math_of_tensor | eager
import math
def f(x):
    return math.sqrt(x), round(x, 1), int(x), float(x)
>>> torch.tensor(1.25)
>>> torch.tensor(2.25)

=== numpy_of_tensor | eager
import numpy as np
def f(x):
    return float(np.sum(x.numpy())), np.asarray(x)
>>> t(3)

=== constant_read
def f(x):
    k = torch.tensor(3)
    return x[:, : k.item()] if k > 2 else x
>>> t(2, 5)

=== constant_from_state
n = 3
def f(x):
    k = torch.tensor(n) + 1
    return x * k.item(), bool(k > 3)
>>> t(2)
!!! n = 5
!!! n = 1.5

=== constant_changed_in_place | eager
def f(x):
    k = torch.tensor(3.0)
    k.add_(x.sum())
    return k.item()
>>> torch.ones(2)
>>> torch.zeros(2)

=== constant_changed_through_view | eager
def f(x):
    k = torch.tensor(3.0)
    k.view(1)[0] = x[0]
    return k.item()
>>> torch.ones(2)
>>> torch.zeros(2)

=== constant_changed_through_data | eager
@torch.no_grad()
def f(x):
    k = torch.tensor(3.0)
    k.data.copy_(x[0])
    return k.item()
>>> torch.ones(2)
>>> torch.zeros(2)

=== constant_changed_by_out | eager
def f(x):
    k = torch.tensor(3.0)
    torch.sum(x, dim=(0,), out=k)
    return k.item()
>>> torch.ones(2)
>>> torch.zeros(2)

=== constant_changed_in_inference | eager
@torch.inference_mode()
def f(x):
    k = torch.tensor(3.0)
    k.fill_(x[0])
    return k.item()
>>> torch.ones(2)
>>> torch.zeros(2)

=== inference_around | eager
def g(x):
    k = torch.tensor(3.0)
    k[...] = x[0]
    return k.item()
def f(x):
    return g(x)
>>> torch.ones(2)
>>> torch.zeros(2)

=== constant_of_random | eager
def f():
    return torch.rand(()).item(), torch.randint(9, ()).item()

=== constant_of_binomial | eager
def f():
    return torch.binomial(torch.tensor(100.0), torch.tensor(0.5)).item()

=== constant_of_gamma | eager
def f():
    return torch._standard_gamma(torch.tensor(2.0)).item()

=== constant_of_normal | eager
def f():
    a = torch.tensor(0.0).normal_().item()
    b = torch.tensor(0.0).log_normal_().item()
    c = torch.poisson(torch.tensor(40.0)).item()
    d = torch.tensor(0.0).cauchy_().item()
    return a, b, c, d

=== constant_of_distribution | eager
from torch.distributions import Normal, Beta, Bernoulli
def f():
    return Normal(0.0, 1.0).sample().item()

=== constant_of_beta | eager
from torch.distributions import Beta
def f():
    return Beta(2.0, 3.0).sample().item()

=== constant_is_new_each_time
def f(x):
    k = torch.tensor([1.0, 2.0])
    return k, k + x
>>> t(2)

=== constant_escapes_and_changes
def f(x):
    k = torch.tensor(3.0)
    n = k.item()
    return k, n, x * k
>>> t(2)

=== constant_changed_by_caller | eager
k = torch.tensor(3.0)
def f(x):
    return x * k.item()
>>> t(2)
!!! k.add_(1)

=== tensor_of_list_state
values = [1, 2, 3]
def f(x):
    return x + torch.tensor(values)
>>> t(3)
!!! values[1] = 7
!!! values[1] = 7.5
!!! values.append(1); values.pop(0)

=== tensor_of_nested_list
rows = [[1.0, 2.0], [3.0, 4.0]]
def f(x):
    return x @ torch.tensor(rows)
>>> t(2, 2)
!!! rows[1][0] = 9.0

=== tensor_of_tensors | eager
def f(x):
    return torch.tensor([x[0], 1.0])
>>> torch.ones(2)
>>> torch.zeros(2)

=== size_from_tensor | eager
def f(n):
    return torch.zeros(int(n)), torch.ones(n), torch.arange(n)
>>> torch.tensor(2)
>>> torch.tensor(3)

=== nonzero_shape | eager
def f(x):
    i = x.nonzero()
    return i.shape[0], len(x[x > 0])
>>> torch.tensor([1.0, 0.0, 2.0])
>>> torch.tensor([0.0, 0.0, 2.0])

=== nonzero_flows
def f(x):
    i = x.nonzero()
    return i + 1, x[x > 0] * 2, torch.masked_select(x, x > 0).sum()
>>> torch.tensor([1.0, 0.0, 2.0])
>>> torch.tensor([0.0, 0.0, 2.0])

=== where_flows
def f(x):
    (i,) = torch.where(x > 0)
    return x[i].sum()
>>> torch.tensor([1.0, 0.0, 2.0])
>>> torch.tensor([0.0, 0.0, 2.0])

=== unique_flows
def f(x):
    u, c = torch.unique(x, return_counts=True)
    return u, c
>>> torch.tensor([1, 0, 1])
>>> torch.tensor([0, 0, 0])

=== dynamic_contiguous
def f(x, m):
    y = x[m].t().contiguous()
    return y
>>> t(3, 4), torch.tensor([True, False, False])
>>> t(3, 4), torch.tensor([True, True, False])

=== dynamic_contiguous_other_way
def f(x, m):
    y = x[m].t()
    return y, y.contiguous()
>>> t(3, 4), torch.tensor([True, True, False])
>>> t(3, 4), torch.tensor([True, False, False])

=== dynamic_then_observed | eager
def f(x, m):
    y = x[m]
    return y.reshape(-1), y.size(0), y.numel()
>>> t(3, 4), torch.tensor([True, False, False])
>>> t(3, 4), torch.tensor([True, True, False])

=== dynamic_iterated | eager
def f(x, m):
    return [r * 2 for r in x[m]], x[m].tolist()
>>> t(3, 4), torch.tensor([True, False, False])
>>> t(3, 4), torch.tensor([True, True, False])

=== dynamic_unpacked | eager
def f(x, m):
    a, *b = x[m].unbind()
    return a, len(b)
>>> t(3, 4), torch.tensor([True, False, False])
>>> t(3, 4), torch.tensor([True, True, False])

=== dynamic_split | eager
def f(x, m):
    return list(x[m].split(1)), torch.chunk(x[m], 2)
>>> t(3, 4), torch.tensor([True, False, False])
>>> t(3, 4), torch.tensor([True, True, False])

=== dynamic_zip | eager
def f(x, m):
    return [a for a, _ in zip(x[m], x)], [*x[m]]
>>> t(3, 4), torch.tensor([True, False, False])
>>> t(3, 4), torch.tensor([True, True, False])

=== dynamic_isinstance
def f(x, m):
    y = x[m]
    return y if isinstance(y, torch.Tensor) and y.dtype == torch.float32 else None
>>> t(3), torch.tensor([True, False, False])
>>> t(3), torch.tensor([True, True, False])

=== repeat_interleave
def f(x):
    return x.repeat_interleave(2), F.one_hot(torch.tensor([1, 0]), 3)
>>> t(3)

=== repeat_interleave_tensor
def f(x, r):
    return x.repeat_interleave(r)
>>> t(3), torch.tensor([1, 2, 0])
>>> t(3), torch.tensor([1, 1, 1])

=== one_hot_open | eager
def f(i):
    return F.one_hot(i), F.one_hot(i).shape
>>> torch.tensor([1, 0])
>>> torch.tensor([1, 2])

=== compare_with_none
def f(x, m):
    if m == None:
        return x
    if m != None and x is not None:
        return x * m
>>> t(2), t(2)
>>> t(2), None

=== equal | eager
def f(x, y):
    return torch.equal(x, y), torch.allclose(x, y), x.equal(y)
>>> torch.ones(2), torch.ones(2)
>>> torch.ones(2), torch.zeros(2)

=== inplace_error_with_finally | eager
def f(x, i):
    x.mul_(2)
    try:
        y = x.index_select(0, i)
    finally:
        x.add_(1)
    return y
>>> t(3), torch.tensor([1])
>>> t(3), torch.tensor([7])
>>> t(3), torch.tensor([0])

=== inplace_error_in_handler
def f(x, i):
    x.add_(1)
    try:
        return x[i]
    except IndexError:
        return x * 0
>>> t(3), torch.tensor([1])
>>> t(3), torch.tensor([2])

=== error_in_handler
def f(x, i):
    try:
        return x[i]
    except IndexError:
        return x * 0
>>> t(3), torch.tensor([1])
!!! pass
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_host_reads(case):
    check_torch(case)
