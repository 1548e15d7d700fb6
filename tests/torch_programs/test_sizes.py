"""Sizes and numbers that change from call to call, in programs with tensors."""

import functools
import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

CASES = cases(r"""
class Cache:
    def __init__(self):
        self.keys = None
        self.length = 0

=== number_argument
def f(x, n):
    return x * n + n
>>> t(3), 3
>>> t(3), 4
>>> t(3), -1
>>> t(3), 0

=== float_argument
def f(x, a):
    return x * a, torch.add(x, x, alpha=a), x + a * 2
>>> t(3), 0.5
>>> t(3), 1.5
>>> t(3), -2.5

=== slices
def f(x, n):
    return x[:, :n] + x.shape[0], x[n:], x[n], x[..., -n]
>>> t(4, 5), 2
>>> t(5, 5), 3
>>> t(6, 5), 2

=== shape_of_an_input
def f(x):
    return x.shape, x.size(), x.size(0), x.size(-1), len(x), x.numel(), x.ndim, x.dim()
>>> t(4, 5)
>>> t(5, 5)
>>> t(6, 7)
>>> t(2, 3)

=== sizes_of_zero_and_one
def f(x):
    return x + x.shape[0], x.sum(0)
>>> t(4, 5)
>>> t(5, 5)
>>> t(1, 5)
>>> t(0, 5)
>>> t(7, 5)

=== shape_of_a_result
def f(x):
    y = torch.cat([x, x]).relu()
    return y.view(y.shape[0] // 2, -1), y.shape[0] * 2, y.numel(), y.size()
>>> t(4, 5)
>>> t(5, 5)
>>> t(6, 5)

=== view_and_reshape
def f(x):
    b, s, h = x.shape
    y = x.view(b, s, 2, h // 2).transpose(1, 2)
    return y.reshape(b * 2, s, -1), y.expand(b, 2, s, h // 2)
>>> t(2, 3, 4)
>>> t(3, 3, 4)
>>> t(4, 5, 4)
>>> t(5, 7, 4)

=== factories
def f(x, n):
    return torch.zeros(n, x.shape[0]), torch.arange(n), torch.ones((n, 2)), x.new_full((n,), 2.0), torch.full((2,), n)
>>> t(4, 5), 3
>>> t(5, 5), 4
>>> t(6, 5), 5

=== unrolled
def f(x):
    total = 0
    for i in range(x.shape[0]):
        total = total + x[i] * i
    return total
>>> t(3, 2)
>>> t(4, 2)
>>> t(3, 2)

=== rows
def f(x):
    a = 0
    for row in x:
        a = a + row
    return a, [y * 2 for y in x.unbind(0)], x.chunk(2), x.split(2)
>>> t(3, 2)
>>> t(4, 2)
>>> t(5, 2)

=== branch_on_a_size
def f(x):
    if x.shape[0] > 4:
        return x * 2
    return x.sum(0)
>>> t(3, 2)
>>> t(4, 2)
>>> t(5, 2)
>>> t(6, 2)

=== equal_sizes_that_part
def f(x, y):
    if x.shape[0] == y.shape[0]:
        return x + y
    return x.sum() + y.sum()
>>> t(3), t(3)
>>> t(4), t(4)
>>> t(4), t(5)
>>> t(6), t(6)
>>> t(2), t(5)

=== broadcast
def f(x, y):
    return x + y, x * y.shape[0]
>>> t(3, 4), t(4)
>>> t(5, 4), t(4)
>>> t(6, 7), t(7)
>>> t(6, 7), t(1)

=== layouts
def f(x):
    return x.contiguous(), x.t() + 1, x.stride(), x.is_contiguous()
>>> t(3, 4)
>>> t(5, 4)
>>> t(4, 5).t()
>>> t(6, 7).t()
>>> t(8, 7)[:, :3]

=== expanded_input
def f(x):
    return x + 1, x.shape[0], x.stride()
>>> t(1, 4).expand(3, 4)
>>> t(1, 4).expand(5, 4)
>>> t(1, 4).expand(6, 4)

=== growing_cache
cache = Cache()
def f(x):
    cache.keys = x if cache.keys is None else torch.cat([cache.keys, x])
    cache.length += x.shape[0]
    return cache.keys.sum(0), cache.length
>>> t(2, 3)
>>> t(2, 3)
>>> t(2, 3)

=== step_counter
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.steps = 0
        self.lin = nn.Linear(3, 2)
    def forward(self, x):
        self.steps += 1
        return self.lin(x) * self.steps
torch.manual_seed(0)
m = M()
def f(x):
    return m(x)
>>> fixed(2, 3)
>>> fixed(2, 3)
>>> fixed(4, 3)

=== numbers_in_a_tensor
def f(x, n):
    k = torch.tensor(n)
    return x * k, k.item() + 1
>>> t(2), 3
>>> t(2), 4
>>> t(2), 5

=== dropout_probability
def f(x, p):
    return F.dropout(x, p, True)
>>> t(4), 0.5
>>> t(4), 0.25
>>> t(4), 0.0
>>> t(4), 0.1

=== sizes_stored
kept = []
def f(x):
    kept.append(x.shape)
    kept.append((x.shape[0], [x.shape[1] + 1]))
    return {"shape": tuple(x.shape), "rest": x.shape[1:], "all": [*x.shape], "sum": x.shape + (1,)}
>>> t(3, 2)
>>> t(4, 2)
>>> t(5, 2)

=== sizes_looked_at
def f(x):
    return str(x.shape), f"{x.shape[0]}", x.shape == (3, 2), {x.shape: 1}, x.shape.numel(), hash(x.shape), max(x.shape), 3 in x.shape
>>> t(3, 2)
>>> t(4, 2)
>>> t(3, 2)

=== items
def f(x, n):
    x = x.clone()
    x[n] = 1.0
    x[:n] = n
    x[n, 0] += n
    return x
>>> t(5, 2), 1
>>> t(5, 2), 2
>>> t(6, 2), 3

=== gradients
def f(x, n):
    y = (x * n).view(x.shape[0] // 2, -1)
    return y.sum() * x.shape[0]
>>> t(4, 3).requires_grad_(), 2
>>> t(6, 3).requires_grad_(), 3
>>> t(8, 3).requires_grad_(), 4

=== pooled_to_a_size
def f(x, n):
    return F.interpolate(x, size=(n, n)), F.pad(x, (n, 1)), F.adaptive_avg_pool2d(x, n)
>>> t(1, 1, 4, 4), 2
>>> t(1, 1, 4, 4), 3
>>> t(1, 1, 4, 6), 5

=== raises_behind_a_view | eager
def f(x, n):
    v = x[n:]
    x.view(-1)[:n] = n
    return x, v, v.stride()
>>> t(4, 5), 1
>>> t(5, 5), 2
>>> t(6, 7), 3
>>> t(5, 7).t(), 2

=== type_of_another
def f(x, y):
    z = (x + 1).type_as(y)
    return z.sum(0) * z.shape[0], z.to(y).ndim
>>> t(4, 2), t(4, 2)
>>> t(5, 2), t(5, 2)
>>> t(6, 2), t(6, 2)

=== strides
def f(x, y):
    z = torch.as_strided(x, x.shape, x.stride()) + x.stride(0) + x.stride(dim=-1)
    return z, x.stride(), y.stride(), x.is_contiguous(), y.is_contiguous(), x.mT.stride()
>>> t(2, 1, 4, 3), t(4, 2).t()
>>> t(2, 1, 5, 3), t(5, 2).t()
>>> t(2, 1, 6, 3), t(6, 2).t()
>>> t(3, 1, 7, 3), t(7, 2).t()
>>> t(4, 1, 7, 3), t(7, 3)
>>> t(3, 1, 7, 5)[..., :3], t(7, 2)
>>> t(4, 1, 9, 5)[..., :3], t(2, 8)
>>> t(3, 3, 7, 5)[:, :1, :, :3], t(1, 2)

=== parts_that_are_the_whole
def f(x):
    return x + 1 if x.is_contiguous() else x * 2, x.stride()
>>> t(3, 8)[:, :5]
>>> t(3, 8)[:, :6]
>>> t(3, 8)[:, :8]
>>> t(4, 8)[:, :8]
>>> t(4, 9)[:, :8]

=== data_dependent
def f(x, n):
    return x[x > 0] * n
>>> t(4), 2
>>> t(5), 3
>>> t(6), 4
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sizes(case):
    check_torch(case)


def recordings(f, *calls):
    """Return recordings of a function that is called once with each argument."""
    compiled = magpy.compile(f, backend="eager")
    for args in calls:
        assert torch.equal(compiled(*args), f(*args))
    stats = magpy.stats(compiled)
    assert stats["hits"] + stats["recordings"] == len(calls), stats
    return stats["recordings"]


def test_one_graph_for_all_sizes():
    calls = [(torch.randn(n, 6),) for n in range(2, 40)]
    assert recordings(lambda x: x.view(x.shape[0] * 2, 3).sum(1), *calls) == 2
    assert recordings(lambda x: x * 2 + x.shape[0], *calls) == 2


def test_strides_of_inputs_pin_nothing():
    calls = [(torch.randn(n, 6, 2),) for n in range(2, 20)]
    assert recordings(lambda x: x * x.stride(0) + x.is_contiguous(), *calls) == 2
    calls = [(torch.randn(3, n, 2),) for n in range(2, 20)]
    assert recordings(lambda x: x * x.stride(0) + x.is_contiguous(), *calls) == 2
    calls = [(torch.randn(3, 20, 2)[:, :n],) for n in range(2, 20)]
    assert recordings(lambda x: x * x.stride(0) + x.stride()[1], *calls) == 2


def test_one_graph_for_all_numbers():
    x = torch.randn(4)
    assert recordings(lambda x, n: x * n, *[(x, n) for n in range(3, 40)]) == 2
    assert recordings(lambda x, a: x * a, *[(x, n / 9) for n in range(3, 40)]) == 2


def test_a_cached_function_of_an_object_and_sizes():
    """A static entry for one size; when sizes vary, a break serves all."""

    class Recipe:
        pass

    recipe = Recipe()

    @functools.lru_cache(16)
    def halves(recipe, shape):
        return shape[0] // 2, shape[1]

    def f(x):
        h, w = halves(recipe, tuple(x.shape))
        return x[:h].sum() * w

    fast = magpy.compile(f, backend="eager")
    for n in (4, 4, 4, 6, 8, 10, 4, 6):
        x = torch.randn(n, 3)
        assert torch.equal(fast(x), f(x))
    stats = magpy.stats(fast)
    assert (stats["recordings"], stats["hits"]) == (3, 5)
    fast = magpy.compile(f, backend="eager")
    for _ in range(3):
        x = torch.randn(4, 3)
        assert torch.equal(fast(x), f(x))
    stats = magpy.stats(fast)
    assert (stats["graph_breaks"], stats["hits"]) == (0, 2)


def test_a_dict_that_grows_by_numbers():
    """Of the first four each is a recording; one with a break at the store serves the rest."""
    seen: dict[int, torch.Tensor] = {}

    class Steps:
        step = 0

    state = Steps()

    def f(x):
        state.step += 1
        seen[state.step] = x.sum()
        return x * 2

    fast = magpy.compile(f, backend="eager")
    x = torch.randn(3)
    for n in range(1, 21):
        assert torch.equal(fast(x), x * 2)
        assert list(seen) == list(range(1, n + 1))
        assert seen[n] == x.sum()
    stats = magpy.stats(fast)
    assert stats["recordings"] <= 5
    assert stats["hits"] >= 15
    seen.clear()
    assert torch.equal(fast(x), x * 2)
    assert list(seen) == [21]


def test_a_dict_with_few_numbers_is_whole():
    kept = {0: None, 1: None}

    def f(x, k):
        kept[k] = x.sum()
        return x + k

    fast = magpy.compile(f, backend="eager")
    x = torch.randn(3)
    for k in (0, 1, 0, 1, 0, 1, 1):
        assert torch.equal(fast(x, k), x + k)
        assert kept[k] == x.sum()
    stats = magpy.stats(fast)
    assert (stats["graph_breaks"], stats["hits"]) == (0, 5)


def test_a_cached_function_of_an_object_and_new_sizes():
    """Each call has sizes of its own: a few recordings, and then hits."""

    class Recipe:
        pass

    recipe = Recipe()

    @functools.lru_cache(64)
    def halves(recipe, shape):
        return shape[0] // 2, shape[1]

    def f(x):
        h, w = halves(recipe, tuple(x.shape))
        return x[:h].sum() * w

    fast = magpy.compile(f, backend="eager")
    for n in range(4, 20):
        x = torch.randn(n, 3)
        assert torch.equal(fast(x), x[: n // 2].sum() * 3)  # (f would fill the cache)
    stats = magpy.stats(fast)
    assert (stats["recordings"], stats["hits"]) == (4, 12)


def test_sizes_that_vary_import_no_compiler():
    """Some of them register with an ABC: recordings that asked one would be of no use."""
    program = """
    import sys
    import torch
    import magpy

    compiled = magpy.compile(lambda x: x * x.shape[0], backend="eager")
    for n in range(2, 7):
        assert compiled(torch.ones(n))[0] == n
    stats = magpy.stats(compiled)
    print(stats["recordings"], stats["hits"], "torch.export._trace" in sys.modules)
    """
    run = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.stdout == "2 3 False\n", done.stderr
