"""Branches on tensors that become operations of the graph (`control_flow=True`)."""

import dataclasses
import subprocess
import sys
import textwrap
import warnings

import pytest

pytest.importorskip("torch")

import torch
from torch.utils.checkpoint import checkpoint
from torch_worlds import check_torch

import magpy
from oracle import cases

BRANCHES = cases(r"""
=== arms_set_variables
w = fixed(3).requires_grad_()
def f(x):
    y = x + 1
    if x.sum() > 0:
        z = y * w
    else:
        z = y.sin() - w
    return z + y
>>> t(3).abs()
>>> -t(3).abs()
!!! w.data.add_(1)

=== several_results_and_temporaries
def f(x):
    if x.sum() > 0:
        a = x * 2
        b = a.cos()
        c = b.sum()
    else:
        b = x - 1
        k = b * b
        c = k.mean()
    return b, c * 2
>>> t(3).abs()
>>> -t(3).abs()

=== arms_read_state
class C:
    scale = 2.0
c = C()
steps = [1, 2]
names = {"a": 3.0}
def helper(a, k=1):
    return a * k + names["a"]
def f(x):
    if x.sum() > 0:
        y = helper(x, c.scale)
    else:
        y = x
        for s in steps:
            y = y - s
    return y * 1
>>> t(3).abs()
>>> -t(3).abs()
!!! c.scale = 3.0
!!! steps.append(4)
!!! names["a"] = 1.0

=== nested_and_elif
def f(x):
    y = x * 1
    if x.sum() > 0:
        if x.max() > 2:
            y = x * 2
        else:
            y = x * 3
    elif x.sum() > -3:
        y = x - 1
    else:
        y = x.exp()
    return y + 1
>>> t(3).abs() + 3
>>> t(3).abs() / 100
>>> -t(3).abs() / 100
>>> -t(3).abs() - 3

=== both_return
def f(x):
    y = x + 1
    if x.sum() > 0:
        return y * 2
    return (y - 1).relu()
>>> t(3).abs()
>>> -t(3).abs()

=== early_return_in_a_called_function
def g(x):
    if x.sum() > 0:
        return x * 2
    return x - 1
def f(x):
    return g(x) + g(x - 1)
>>> t(3).abs()
>>> -t(3).abs()

=== expressions
def f(x):
    y = torch.cat([x, x * 2 if x.sum() > 0 else x - 1, x.sin() if not x.max() > 0 else x.cos()])
    return y
>>> t(3).abs()
>>> -t(3).abs()

=== in_a_loop_with_continue
layers = [nn.Linear(3, 3) for _ in range(3)]
for l in layers:
    for p in l.parameters():
        p.data.fill_(0.25)
def f(x, policy):
    y = layers[0](x)
    n = 0
    for i, l in enumerate(layers):
        n += 1
        if policy[i] == 0:
            continue
        y = y + l(y)
    return y * n
>>> t(2, 3), torch.tensor([1, 0, 1])
>>> t(2, 3), torch.tensor([0, 0, 0])
>>> t(2, 3), torch.tensor([0, 1, 1])

=== modules_and_comprehensions_in_arms
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.scale = 2.0
        for p in self.parameters():
            p.data.fill_(0.5)
    def forward(self, x):
        if x.mean() > 0:
            parts = [self.a(x) * k for k in range(3)]
            out = torch.stack(parts).sum(0)
        else:
            out = self.a(x) * self.scale
        return out
m = M()
def f(x):
    return m(x)
>>> t(2, 3).abs()
>>> -t(2, 3).abs()
!!! m.scale = 4.0

=== writes_to_tensors_of_the_arm
def f(x):
    if x.sum() > 0:
        y = x.clone()
        y.add_(1)
        y[0] = 2
    else:
        y = torch.zeros(3)
        y += x
    return y * 2
>>> t(3).abs()
>>> -t(3).abs()

=== integers_and_other_conditions
def f(x, n):
    if n:
        y = x + 1
    else:
        y = x * 2
    if not (x > 0).all():
        y = y - 1
    else:
        y = y.abs()
    return y
>>> t(3), torch.tensor(2)
>>> t(3).abs(), torch.tensor([[0]])

=== equal_numbers_in_both
def f(x):
    k = 1
    if x.sum() > 0:
        y = x * 2
        k += 1
        name = "a"
    else:
        y = x - 2
        k = 2
        name = "a"
    return y * k, name
>>> t(3).abs()
>>> -t(3).abs()

=== random_numbers_in_arms
def f(x):
    if x.sum() > 0:
        y = x + torch.rand(3)
    else:
        y = F.dropout(x, 0.5)
    return y + torch.rand(3)
>>> t(3).abs()
>>> -t(3).abs()

=== the_same_tensor_in_two_variables
def f(x):
    if x.sum() > 0:
        a = b = x * 2
    else:
        a = b = x - 2
    return a, b
>>> t(3).abs()
>>> -t(3).abs()
""")

# What cannot be an operation of the graph: results are right, and the call breaks.
BROKEN = cases(r"""
=== a_result_that_is_an_argument
def f(x):
    if x.sum() > 0:
        x = x * 2
    return x
>>> t(3).abs()
>>> -t(3).abs()

=== a_result_that_is_a_view
def f(x):
    if x.sum() > 0:
        y = x[:2]
    else:
        y = x[1:] * 2
    return y
>>> t(3).abs()
>>> -t(3).abs()

=== a_tensor_that_somebody_else_has
def f(x):
    y = x * 2
    z = y
    if x.sum() > 0:
        y = y + 1
    z.add_(1)
    return y, z
>>> t(3).abs()
>>> -t(3).abs()

=== a_tensor_in_a_list
def f(x):
    y = x * 2
    ys = [y]
    if x.sum() > 0:
        y = y + 1
    y.add_(1)
    return y, ys
>>> t(3).abs()
>>> -t(3).abs()

=== other_shapes_and_types
def f(x):
    if x.sum() > 0:
        y = x * 2
    else:
        y = torch.zeros(4)
    if x.sum() > 1:
        z = x.double()
    else:
        z = x + 1
    return y, z
>>> t(3).abs() + 1
>>> -t(3).abs()

=== numbers_that_differ
def f(x):
    if x.sum() > 0:
        k = 2
    else:
        k = 3
    return x * k, k
>>> t(3).abs()
>>> -t(3).abs()

=== a_variable_of_one_arm
def f(x):
    if x.sum() > 0:
        y = x * 2
    try:
        return y
    except UnboundLocalError:
        return "none"
>>> t(3).abs()
>>> -t(3).abs()

=== effects_in_arms
class C:
    n = 0
c = C()
log, table = [], {}
def f(x):
    if x.sum() > 0:
        c.n += 1
        y = x * 2
    else:
        log.append(x.sum())
        y = x - 1
    if x.sum() > 1:
        table["a"] = y
    return y + 1
>>> t(3).abs() + 1
>>> -t(3).abs()

=== effects_on_what_the_run_made
def f(x):
    seen, table = [], {}
    it = iter([1, 2, 3])
    if x.sum() > 0:
        seen.append(1)
        y = x * 2
    else:
        table["k"] = 3
        y = x - next(it)
    return y + 1, seen, table, list(it)
>>> t(3).abs()
>>> -t(3).abs()

=== effects_in_cells_and_attributes
class C:
    pass
def f(x):
    c = C()
    n = 0
    def more():
        nonlocal n
        n += 1
        c.k = n
        return n
    if x.sum() > 0:
        y = x * more()
    else:
        n = 5
        y = x - 1
    return y, n, c.__dict__
>>> t(3).abs()
>>> -t(3).abs()

=== writes_to_tensors_from_before
b = fixed(3)
def f(x):
    y = x * 1
    if x.sum() > 0:
        y.add_(1)
    else:
        b.mul_(2)
    return y, b + 1
>>> t(3).abs()
>>> -t(3).abs()

=== an_exception_in_an_arm
def f(x):
    y = x + 1
    try:
        if x.sum() > 0:
            raise ValueError("positive")
        else:
            y = y * 2
    except ValueError as e:
        y = y - 1
    return y
>>> t(3).abs()
>>> -t(3).abs()

=== print_in_an_arm
import io, contextlib
def f(x):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if x.sum() > 0:
            print("yes")
            y = x * 2
        else:
            y = x - 1
    return y, out.getvalue()
>>> t(3).abs()
>>> -t(3).abs()

=== modes_in_an_arm
def f(x):
    if x.sum() > 0:
        with torch.no_grad():
            y = x * 2
    else:
        y = x - 1
    return y + 1, torch.is_grad_enabled()
>>> t(3).abs()
>>> -t(3).abs()

=== a_leaf_that_requires_gradients
def f(x):
    if x.sum() > 0:
        y = torch.zeros(3, requires_grad=True)
    else:
        y = torch.ones(3, requires_grad=True)
    return y.is_leaf, y
>>> t(3).abs()
>>> -t(3).abs()

=== a_break_in_an_arm
def f(x):
    if x.sum() > 0:
        y = x * x.sum().item()
    else:
        y = x - 1
    return y + 1
>>> t(3).abs()
>>> -t(3).abs()

=== locals_behind_a_branch
def f(x):
    if x.sum() > 0:
        k = 2
        y = x * k
    else:
        k = 3
        y = x - k
    found = dict(locals())
    found.pop("x")
    return found
>>> t(3).abs()
>>> -t(3).abs()

=== loops_that_a_tensor_decides
def f(x):
    n = 0
    while x.sum() < 10:
        x = x + 1
        n += 1
    return x, n
>>> t(3).abs()
>>> t(3) + 10

=== recursion_that_a_tensor_decides
def g(x, depth):
    if x.sum() > 0:
        return g(x - 1, depth + 1)
    return x * depth
def f(x):
    return g(x, 0)
>>> t(3).abs() + 1
>>> -t(3).abs()

=== iterators_of_others
def f(x):
    it = iter([x, x + 1, x + 2])
    for v in it:
        if v.sum() > 0:
            y = v * 2
            break
        y = v
    return y, list(it)
>>> t(3).abs()
>>> -t(3).abs()

=== objects_that_c_code_has_made
import json
def f(x):
    d = json.loads('{"a": [1, 2]}')
    if x.sum() > 0:
        d["a"].append(3)
        y = x * 2
    else:
        y = x - 1
    return y, d
>>> t(3).abs()
>>> -t(3).abs()

=== a_generator_that_was_begun
def f(x):
    g = (v for v in [1, 2, 3])
    if x.sum() > 0:
        y = x * next(g)
    else:
        y = x - sum(g)
    return y, list(g)
>>> t(3).abs()
>>> -t(3).abs()

=== operations_that_nobody_reads
table = torch.arange(5.0)
def f(x):
    if x.sum() > 0:
        torch.rand(3)
    if x.sum() < 0:
        z = table[x.abs().long()]
    return x + torch.rand(3)
>>> t(3).abs()
>>> -t(3).abs()
>>> -t(3).abs() - 9

=== variables_that_only_a_handler_reads
def g():
    raise ValueError
def f(x):
    if x.sum() > 0:
        k = 1
    else:
        k = 2
    try:
        g()
    except ValueError:
        return x * k
    return x
>>> t(3).abs()
>>> -t(3).abs()

=== a_variable_that_is_deleted_and_may_not_be_set
def f(x):
    if x.sum() > 0:
        k = 1
    try:
        del k
    except UnboundLocalError:
        return "none", x + 1
    return "ok", x + 1
>>> t(3).abs()
>>> -t(3).abs()

=== a_variable_that_is_dead_and_a_break_later
def f(x):
    if x.sum() > 0:
        k = x + 1
        y = k * 2
    else:
        y = x - 1
    n = float(y.sum())
    return y * n, n
>>> t(3).abs()
>>> -t(3).abs()
""")


@pytest.fixture
def flow():
    with magpy.config.patch(control_flow=True):
        yield


@pytest.mark.parametrize("case", BRANCHES, ids=lambda case: case.name)
def test_branches_are_in_the_graph(case, flow):
    check_torch(case)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("first", [1.0, -1.0])
def test_what_the_other_arm_writes_is_put_back(backend, first):
    seen = []

    def f(x):
        b = torch.zeros(3)
        seen.append(b)
        if x.sum() > 0:
            b.add_(1)
            y = b * x
        else:
            y = b - x
        return y, b

    fast = magpy.compile(f, backend=backend, control_flow=True)
    for sign in (1, -1, 1, -1):
        x = torch.full((3,), first * sign)
        (y, b), (right, written) = fast(x), f(x)
        assert torch.equal(y, right)
        assert torch.equal(b, written)
        if backend == "eager":
            assert b._version == written._version
        assert seen[-2] is b
        del b, written
        seen.clear()
    assert magpy.stats(fast)["hits"] == 3
    assert magpy.stats(fast)["graphs"] == 1


def test_a_write_with_gradients_is_a_break(flow):
    def f(x):
        b = torch.zeros(3)
        y = b + 1
        if x.sum() > 0:
            b[0] = x[0]
            y = y * x
        else:
            y = y - x
        return y, b

    fast = magpy.compile(f, backend="eager")
    for sign in (1, -1, 1, -1):
        x = torch.full((3,), float(sign), requires_grad=True)
        (y, b), (right, written) = fast(x), f(x)
        assert torch.equal(y, right)
        assert torch.equal(b, written)
        assert b.requires_grad == written.requires_grad
    assert magpy.stats(fast)["breaks"]["control-flow"] > 0


def test_a_model_that_asks_is_compiling_is_tried_so(flow):
    """As without control flow: what breaks for a value may be left out then."""

    def f(x):
        k = 1
        if not torch.compiler.is_compiling() and bool((x > 0).all()):
            k = 2
        return x * k if k == 1 else x + x

    fast = magpy.compile(f, backend="eager")
    for _ in range(5):
        assert torch.equal(fast(-torch.ones(3)), f(-torch.ones(3)))
    assert magpy.stats(fast)["partial_hits"] == 0
    assert magpy.stats(fast)["hits"] >= 3


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_branches_that_break(case, flow):
    check_torch(dataclasses.replace(case, hit=False))


# -- What the arm that is not taken must not show --------------------------------------


def _told(f, x):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        result = f(x)
    return result, [str(each.message) for each in shown]


@pytest.mark.parametrize("first", [1.0, -1.0])
def test_an_arm_that_is_not_taken_does_not_warn(flow, first):
    def f(x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = torch.range(0, 2) + x  # deprecated
        return y

    fast = magpy.compile(f, backend="eager")
    for sign in (1, -1, 1, -1):
        x = torch.full((3,), first * sign)
        (right, ours), (expected, theirs) = _told(fast, x), _told(f, x)
        assert torch.equal(right, expected)
        assert ours == theirs
    assert not any(type(each[1]).__name__ == "Ears" for each in warnings.filters)
    assert not torch.is_warn_always_enabled()


def test_a_warning_of_torch_that_comes_once_comes_where_it_is_due():
    program = textwrap.dedent("""
        import sys, torch, warnings, magpy
        def f(x):
            if x.sum() > 0:
                y = x * 2
            else:
                y = torch.ones(3, 2)[:, 0].T + x
            return y
        fast = magpy.compile(f, backend="eager", control_flow=True)
        for x in (torch.ones(3), -torch.ones(3)):
            with warnings.catch_warnings(record=True) as shown:
                fast(x)
            print(len(shown))
    """)
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert found.stdout.split() == ["0", "1"], found.stderr


def test_an_operator_in_python_runs_only_in_the_arm_that_is_taken(flow):
    ran = []

    @torch.library.custom_op("magpy_tests::notes", mutates_args=())
    def notes(x: torch.Tensor) -> torch.Tensor:
        ran.append(1)
        return x + 1

    def f(x):
        if x.sum() > 0:
            y = x * 2
        else:
            y = torch.ops.magpy_tests.notes(x)
        return y

    fast = magpy.compile(f, backend="eager")
    for x, runs in ((torch.ones(3), 0), (-torch.ones(3), 1), (torch.ones(3), 0)):
        ran.clear()
        assert torch.equal(fast(x), x * 2 if x[0] > 0 else x + 1)
        assert len(ran) == runs
    assert magpy.stats(fast)["reasons"] == {"control-flow": 1}


@pytest.mark.parametrize("operator", ["checkpoint", "cond"])
def test_bodies_of_operators_run_only_in_the_arm_that_is_taken(flow, operator):
    counted, ran = torch.zeros(()), []

    def writes(x):
        counted.add_(1)
        return x.sin() * 2

    def tells(x):
        ran.append(1)
        return x.cos() * 2

    def f(x):
        if x.sum() > 0:
            y = x * 2
        elif operator == "checkpoint":
            y = checkpoint(writes, x, use_reentrant=False)
        else:
            y = torch.cond(x.sum() > 1, writes, tells, (x,))
        return y

    fast = magpy.compile(f, backend="eager")
    for x in (torch.ones(3), torch.ones(3), torch.ones(3)):
        assert torch.equal(fast(x), x * 2)
        assert (counted.item(), ran) == (0, [])
