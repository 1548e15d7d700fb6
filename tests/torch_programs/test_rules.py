"""The rules of docs/internals/soundness.md that need tensors: a program for each."""

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch, fullgraph_reason

import magpy
from oracle import Case, cases, reasons, whole_hits

CASES = cases(r"""
=== grad_fn_is_not_asked_for | eager
pool = torch.arange(12.0).reshape(2, 6)
right = pool[:, 3:]
par = nn.Parameter(torch.ones(2, 3))
def f(x):
    right[:] = par
    pool.mul_(0.5)  # raises as long as nobody has asked pool for its grad_fn
>>> t(3)

=== the_run_sees_no_mode
import torch.overrides
def f(x):
    before = torch._C._len_torch_function_stack()
    y = (x * 2).relu()
    return (
        y, before, torch._C._len_torch_function_stack(),
        torch.overrides.has_torch_function((x, y)),
        torch.overrides.is_tensor_method_or_property(torch.Tensor.add),
    )
>>> t(3)

=== fast_path_of_the_transformer_encoder | of m
m = nn.TransformerEncoder(
    nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2
).eval().requires_grad_(False)
>>> t(2, 3, 8)
!!! m.train()
!!! m.eval()

=== answers_at_known_addresses
def f(x):
    y = x * 2
    return (
        x.contiguous() is x, F.dropout(x, 0.5, False) is x, y.to(y.dtype) is y,
        y.add_(1) is y, x.contiguous(), F.dropout(y, 0.5, False), y,
        torch.Tensor.detach(x) is x, x.view(-1) is x,
    )
>>> t(3)

=== answer_at_a_known_address_that_writes
def f(x):
    y = F.relu(x, inplace=True)
    z = torch.add(x, 1, out=x)
    return y is x, z is x, y
>>> t(3)

=== half_without_a_store | of m
m = nn.Linear(3, 3)
>>> t(2, 3).to(next(m.parameters()).dtype)
!!! m.half()
!!! m.float()
!!! m.weight.data = m.weight.data.double(); m.bias.data = m.bias.data.double()

=== strides_without_a_store
w = fixed(3, 3)
def f(x):
    return x @ w, w.stride(), w.is_contiguous()
>>> t(2, 3)
!!! w.t_()
!!! w.resize_(3, 2)
!!! w.requires_grad_(True)

=== address_of_a_freed_tensor
def f(x):
    out = []
    for i in range(20):
        y = x + i
        out.append((y * 2).sum())
        del y
    return out
>>> t(64)

=== frames_below_operations | eager
from torch.utils.checkpoint import checkpoint
scale = 2.0
def g(x):
    return x.sin() * scale
def f(x):
    return checkpoint(g, x, use_reentrant=False), torch.vmap(g)(x)
>>> t(2, 3).requires_grad_()
!!! scale = 3.0

=== hooks_run_later
log = []
def f(x):
    y = x * 2
    y.register_hook(lambda g: log.append(float(g.sum())))
    return y.sum()
>>> t(3).requires_grad_()

=== data_dependent_shapes_propagate | eager
def f(x):
    a = x[x > 0]
    b = a * 2
    c = torch.cat([b, b])
    return c.shape[0], len(c.view(-1))
>>> torch.tensor([1.0, -1.0, 2.0])
>>> torch.tensor([1.0, 1.0, 2.0])
>>> torch.tensor([-1.0, -1.0, -2.0])

=== values_are_read_by_name | eager
def f(x, y):
    return torch.equal(x, y), x.tolist(), torch.is_nonzero(x[0]), torch.allclose(x, y)
>>> torch.ones(2), torch.ones(2)
>>> torch.ones(2), torch.zeros(2)

=== metadata_is_no_value
def f(x, y):
    return (
        torch.is_tensor(x), x.numel(), x.is_floating_point(), torch.is_complex(y),
        x.size(-1), torch.result_type(x, y), torch.broadcast_shapes(x.shape, y.shape),
    )
>>> t(2, 3), t(3)
>>> t(2, 3), torch.ones(3, dtype=torch.int64)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rules(case):
    check_torch(case)


def graph_names(fn) -> list[str]:
    return [str(op[0]) for entry in fn.entries() for op in entry["graph"][0]]


def test_the_encoder_takes_its_fast_path():
    """With a mode on torch's stack, modules take their slow path, in other numbers."""
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    layer.eval().requires_grad_(False)
    fast = magpy.compile(layer.forward, backend="eager")
    x = torch.randn(2, 3, 8)
    for _ in range(3):
        assert torch.equal(fast(x), layer(x))
    assert magpy.stats(fast)["hits"] == 2
    assert "_transformer_encoder_layer_fwd" in " ".join(graph_names(fast))


def test_known_addresses_are_logged_only_if_written():
    def f(x):
        y = x.contiguous()
        z = torch.nn.functional.dropout(y, 0.5, False)
        return z.mul_(2)

    fast = magpy.compile(f, backend="eager")
    for _ in range(3):
        x = torch.ones(3)
        assert fast(x) is x and x.tolist() == [2.0] * 3
    assert magpy.stats(fast)["hits"] == 2
    assert graph_names(fast) == ["mul_"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("(torch.manual_seed(3), x * 2)[1]", "side-effect"),
        ("x.detach().clone().apply_(lambda v: v + 1)", "side-effect"),
        ("(lambda y: (y.register_hook(hook=print), y)[1])(x * 2)", "side-effect"),
        ("x.tolist()", "host-read"),
        ("torch.equal(x, x)", "host-read"),
        ("x[x > 0].split(1)", "dynamic-shape"),
        ("torch.nonzero(x).squeeze().ndim", "dynamic-shape"),
    ],
)
def test_reasons_of_the_rules(source, reason):
    program = f"def f(x):\n    return {source}\n"
    case = Case(reason, program, ("t(3).requires_grad_()",) * 2, hit=False)
    pair = check_torch(case)  # six calls, each with data of its own
    assert whole_hits(pair.compiled) == 0
    assert reason in reasons(pair.compiled), pair.stats()
    x = torch.ones(3, requires_grad=True)
    assert fullgraph_reason(pair.eager.fn, x) == reason


def test_a_graph_that_raises_has_committed_nothing():
    """Modes are as they were, effects are not made, and eager raises what it raises."""
    log: list = []

    def f(x, i):
        log.append("before")
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            y = x[i]
            log.append("after")
        return y

    fast = magpy.compile(f, backend="eager")
    x = torch.arange(3.0)
    for _ in range(3):
        assert torch.equal(fast(x, torch.tensor([1])), x[[1]])
    assert magpy.stats(fast)["hits"] == 2
    log.clear()
    for _ in range(2):
        with pytest.raises(IndexError):
            fast(x, torch.tensor([7]))
    assert log == ["before"] * 2
    assert torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    assert torch.equal(fast(x, torch.tensor([2])), x[[2]])
