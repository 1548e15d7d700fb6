"""Code that is no operation of torch: scripted functions, operators of torch.library."""

import importlib

import pytest

pytest.importorskip("torch")

import extension_ops as ops
import torch
from torch_worlds import check_torch, fullgraph_reason

import magpy
from oracle import cases, reasons, whole_hits

SCRIPTED = cases(r"""
=== function
@torch.jit.script
def g(x, n: int):
    y = torch.relu(x)
    if n > 2 and y.size(0) > 1:
        y = y * n
    return y
@torch.jit.script
def other(x, n: int):
    return x * n
k = 3
w = nn.Parameter(fixed(3))
def f(x):
    return g(x * w, k) + 1
>>> t(2, 3)
>>> t(1, 3)
!!! k = 1
!!! w.requires_grad_(False)
!!! g = other

=== results_that_follow_from_metadata
@torch.jit.script
def g(x, n: int):
    return x.size(0) * n, [x.sin(), x.cos()], x.dtype == torch.float32, x.dim()
def f(x):
    n, parts, single, dim = g(x, 2)
    return [p * n for p in parts], single, n + dim
>>> t(2, 3)
>>> t(3)

=== optional_and_lists
from typing import List, Optional
@torch.jit.script
def g(xs: List[torch.Tensor], bias: Optional[torch.Tensor] = None):
    y = torch.cat(xs).view(len(xs), -1)
    assert y.dim() == 2, f"not {y.dim()}"
    return y if bias is None else y + bias
bias = None
def f(x, y):
    return g([x, y], bias), g([x])
>>> t(3), t(3)
!!! bias = fixed(3)

=== answers_with_its_argument
@torch.jit.script
def g(x, again: bool):
    return x if again else x + 0
again = True
def f(x):
    y = g(x, again)
    return y is x, y * 2
>>> t(3)
!!! again = False

=== writes_its_argument
total = torch.zeros(3)
@torch.jit.script
def g(into, x):
    into.add_(x)
    return into * 2
def f(x):
    y = g(total, x)
    return y + total
>>> t(3)
!!! total.zero_()

=== writes_an_inference_tensor
around = torch.inference_mode
@torch.jit.script
def g(into, x):
    into.add_(x)
def f(x, y):
    g(x, y)
    return x * 2
>>> fresh(3), fresh(3)

=== calls_another
@torch.jit.script
def h(x):
    return x.tanh()
@torch.jit.script
def g(x):
    return h(x) * 2
def f(x):
    return g(x)
>>> t(3)

=== raises
@torch.jit.script
def g(x):
    if x.size(0) > 2:
        raise ValueError("long")
    return x * 2
def f(x):
    return g(x) + 1
>>> t(2)

=== traced
def g(x):
    return x.tanh() * 2
g = torch.jit.trace(g, torch.ones(3))
def f(x):
    return g(x) + 1
>>> t(3)

=== traced_with_a_tensor_inside | eager
c = torch.ones(3)
g = torch.jit.trace(lambda x: x.add(c), torch.ones(3))
def f(x):
    return g(x) + 1
>>> t(3)
!!! c.add_(1)

=== attention_of_deberta
@torch.jit.script
def expand(c2p_pos, query, relative_pos):
    return c2p_pos.expand([query.size(0), query.size(1), relative_pos.size(-1)])
@torch.jit.script
def buckets(relative_pos, bucket_size: int, max_position: int):
    sign = torch.sign(relative_pos)
    mid = bucket_size // 2
    near = (relative_pos < mid) & (relative_pos > -mid)
    abs_pos = torch.where(near, torch.tensor(mid - 1).type_as(relative_pos), torch.abs(relative_pos))
    log_pos = torch.ceil(torch.log(abs_pos / mid) / torch.log(torch.tensor((max_position - 1) / mid)) * (mid - 1)) + mid
    return torch.where(abs_pos <= mid, relative_pos.type_as(log_pos), log_pos * sign)
@torch.jit.script
def scale(query: torch.Tensor, factor: int):
    return torch.sqrt(torch.tensor(query.size(-1), dtype=torch.float) * factor)
@torch.jit.script
def positions(query, key):
    q = torch.arange(query.size(-2), dtype=torch.long, device=query.device)
    k = torch.arange(key.size(-2), dtype=torch.long, device=key.device)
    return (q[:, None] - k.view(1, -1)).unsqueeze(0)
w = nn.Parameter(fixed(8, 8))
def f(x):
    q, k = x @ w, x
    pos = buckets(positions(q, k), 8, 16).long()
    score = torch.bmm(q, k.transpose(-1, -2) / scale(q, 3))
    bias = torch.gather(score, 2, expand(pos.clamp(0, x.shape[1] - 1), q, pos))
    return (score + bias).softmax(-1) @ x
>>> t(2, 5, 8)

=== slice_by_a_scripted_size
@torch.jit.script
def span(query, key, most: int):
    return torch.tensor(min(max(query.size(-2), key.size(-2)), most))
w = fixed(8, 3)
def f(q, k):
    s = span(q, k, 3)
    return w[4 - s : 4 + s, :] * q.sum()
>>> t(2, 3), t(2, 3)
>>> t(1, 3), t(2, 3)
>>> t(9, 3), t(2, 3)

=== slice_by_a_scripted_value | eager
@torch.jit.script
def span(x, most: int):
    return x.sum().long() if most > 2 else torch.tensor(most)
w = fixed(8, 3)
def f(x):
    return w[: span(x, 3)]
>>> torch.ones(3)

=== asks_for_a_value | eager
@torch.jit.script
def g(x):
    if bool(x.sum() > 0):
        return x
    return x * 2
def f(x):
    return g(x) + 1
>>> t(3)

=== shape_depends_on_data | eager
@torch.jit.script
def g(x):
    return x[x > 0]
def f(x):
    return g(x).shape
>>> t(8)

=== prints | eager
@torch.jit.script
def g(x, n: int):
    if n > 5:
        print(n)
    return x * n
def f(x):
    return g(x, 2)
>>> t(3)

=== random | eager
@torch.jit.script
def g(x):
    return torch.dropout(x, 0.5, True)
def f(x):
    return g(x)
>>> t(3)

=== calls_python | eager
@torch.jit.ignore
def h(x: torch.Tensor) -> torch.Tensor:
    return x * 2
@torch.jit.script
def g(x):
    return h(x)
def f(x):
    return g(x)
>>> t(3)

=== module_has_state | eager
class M(nn.Module):
    def forward(self, x):
        return x * 2
m = torch.jit.script(M())
def f(x):
    return m(x)
>>> t(3)
""")

OPERATORS = cases(r"""
=== custom_op
from extension_ops import scaled
w = nn.Parameter(fixed(3))
k = 2.0
def f(x):
    return scaled(x * w, k) + 1, torch.ops.magpy_tests.scaled(x, 3.0), torch.ops.magpy_tests.scaled.default(x, k)
>>> t(3)
!!! k = 3.0
!!! w.requires_grad_(False)

=== several_results
from extension_ops import both
def f(x):
    a, b = both(x)
    return a * b, a
>>> t(3)

=== writes_an_argument
from extension_ops import bump_
total = torch.zeros(3)
def f(x):
    bump_(total, x)
    return total * 2
>>> t(3)
!!! total.zero_()

=== writes_an_inference_tensor
from extension_ops import bump_
around = torch.inference_mode
def f(x, y):
    bump_(x, y)
    return x * 2
>>> fresh(3), fresh(3)

=== writes_past_the_counter
import extension_ops
total = torch.zeros(3)
def f(x):
    torch.ops.magpy_tests.raw_(total, x)
    y = torch.zeros(3)
    torch.ops.magpy_tests.raw_.default(y, total)
    return y * 2
>>> t(3)
!!! total.zero_()

=== written_under_two_names | eager
import extension_ops
base = torch.zeros(3)
part = base[1:2]
def f(x):
    torch.ops.magpy_tests.raw_(base, x)
    return part * 2
>>> t(3)
!!! part = torch.ones(1)

=== aten_writes_an_inference_tensor
around = torch.inference_mode
def f(x, y):
    torch.ops.aten.add_.Tensor(x, y)
    torch.ops.aten.mul_(x, y)
    torch.ops.aten.add.out(x, y, out=y)
    return x * 2
>>> fresh(3), fresh(3)

=== number_from_data | eager
from extension_ops import count
def f(x):
    return x * count(x)
>>> t(3)

=== shape_by_the_fake
from extension_ops import scaled
def f(x):
    y = scaled(x, 2.0)
    a, b = y.chunk(2, -1)
    return y.shape, a * b, len(y), y.stride(), y.is_contiguous(), [r.sum() for r in y]
>>> t(3, 4)

=== shape_without_a_fake | eager
from extension_ops import both
def f(x):
    return both(x)[0].shape
>>> t(3)

=== shape_that_the_fake_leaves_open
from extension_ops import positive
def f(x):
    y = positive(x, 4)
    a, b = y.chunk(2, 1)
    return y.ndim, y.size(1), a * b
>>> t(3)
>>> -torch.ones(3)
>>> torch.tensor([1.0, -1.0, -1.0])

=== shape_that_the_fake_gets_wrong | eager
from extension_ops import liar
def f(x):
    y = liar(x)
    return y.shape, y.ndim, len(y), y + 1
>>> t(3)
>>> t(3, 2)

=== split_that_the_fake_gets_wrong | eager
from extension_ops import liar
def f(x):
    return [p.sum() for p in liar(x).chunk(4)], [p.sum() for p in liar(x).unbind(1)]
>>> t(4, 2)
>>> t(3, 3)

=== indexing_by_a_mask
def f(x, at):
    return torch.ops.aten.index.Tensor(x, [at]) * 2
>>> t(3), torch.tensor([True, False, True])
>>> t(3), torch.tensor([True, False, False])
""")


@pytest.mark.parametrize("case", SCRIPTED, ids=str)
def test_scripted(case):
    check_torch(case)


@pytest.mark.parametrize("case", OPERATORS, ids=str)
def test_operators(case):
    check_torch(case)


@torch.jit.script
def scripted(x, n: int):
    return torch.relu(x) * n


@pytest.mark.parametrize("op", [lambda x: scripted(x, 2), lambda x: ops.scaled(x, 2.0)])
def test_other_backends_take_the_operation(op):
    def f(x):
        return op(x) + 1

    fast = magpy.compile(f, backend="aot_eager")
    grads = []
    for each in (f, fast, fast, fast):
        x = torch.tensor([-1.0, 2.0], requires_grad=True)
        y = each(x)
        y.sum().backward()
        grads.append((y.tolist(), x.grad.tolist()))
    assert magpy.stats(fast)["hits"] == 2
    assert all(each == grads[0] for each in grads)


def test_a_body_may_not_depend_on_hidden_state(monkeypatch):
    """The contract of torch.library, which MagPy relies on: no guard, no recording."""
    fast = magpy.compile(lambda x: ops.stateful(x) + 1, backend="eager")
    for _ in range(3):
        fast(torch.ones(2))
    monkeypatch.setitem(ops.state, "factor", 2.0)
    assert fast(torch.ones(2)).tolist() == [3.0, 3.0]  # the graph runs the operator
    assert magpy.stats(fast)["recordings"] == 1


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (lambda x: (torch.manual_seed(0), x)[1], "side-effect"),
        (lambda x: x.cos() if torch.seed() else x, "side-effect"),
        (lambda x: x.cos() if torch.is_warn_always_enabled() else x, "side-effect"),
        (lambda x: ops.count(x), "host-read"),
    ],
)
@pytest.mark.parametrize("dynamo", [False, True])
def test_reasons(run, reason, dynamo):
    if dynamo:
        importlib.import_module("torch._dynamo")  # wraps and marks some functions

    def outcome(fn, number):
        torch.manual_seed(5)
        try:
            result = fn(torch.full((2,), float(number)))
        except Exception as error:
            result = type(error)
        if isinstance(result, torch.Tensor):
            result = result.tolist()
        return result, torch.initial_seed() == 5, torch.initial_seed() == 0

    fast = magpy.compile(run, backend="eager")
    with torch.random.fork_rng():
        assert fullgraph_reason(run, torch.ones(2)) == reason
        for number in range(4):
            assert outcome(fast, number) == outcome(run, number)
    assert reason in reasons(fast)
    assert whole_hits(fast) == 0
