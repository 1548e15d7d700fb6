"""Operators with bodies in Python (`torch.cond`), and branches that become them."""

import dataclasses

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

OPERATORS = cases(r"""
# (TorchDynamo, which runs these in eager mode, refuses globals of a program without a
# module, so bodies close over what they use.)
from torch._higher_order_ops import map as _m, scan, while_loop
hmap = getattr(_m, "map", _m)

=== cond_with_either_outcome
def f(x):
    return torch.cond(x.sum() > 0, lambda a: a * 2, lambda a: a - 1, (x,)) + 1
>>> t(3)
>>> -t(3)

=== bodies_use_tensors_that_they_are_not_given
w = fixed(3).requires_grad_()
b = fixed(3)
def f(x):
    k, v, u = x + 1, w, b
    return torch.cond(x.sum() > 0, lambda a: a * v + k, lambda a: a - u * k, (x,))
>>> t(3)
>>> -t(3)
!!! w.data.add_(1)
!!! b = fixed(3) * 2

=== what_bodies_read_is_guarded
class C:
    scale = 2.0
c = C()
steps = [1, 2]
def f(x):
    d, all = c, steps
    def right(a):
        for s in all:
            a = a * s + d.scale
        return a
    def wrong(a):
        return a - len(all) * d.scale
    return torch.cond(x.sum() > 0, right, wrong, (x,))
>>> t(3)
>>> -t(3)
!!! c.scale = 3.0
!!! steps.append(3)

=== bodies_are_modules_and_methods
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(fixed(3))
        self.inner = nn.Linear(3, 3)
        for p in self.inner.parameters():
            p.data.fill_(0.5)
    def up(self, x):
        return self.inner(x) * self.w
    def down(self, x):
        return x - self.w
    def forward(self, x):
        return torch.cond(x.sum() > 0, self.up, self.down, (x,))
m = M()
def f(x):
    return m(x) + torch.cond(x.sum() > 1, m.inner, m.down, (x,))
>>> t(2, 3)
>>> -t(2, 3)
!!! m.w.data.mul_(2)

=== bodies_with_handlers_and_generators
def f(x):
    def right(a):
        d = {}
        try:
            k = d["a"]
        except KeyError:
            k = 3
        return a * k + sum(i for i in range(4))
    return torch.cond(x.sum() > 0, right, lambda a: a - 1, (x,))
>>> t(3).abs()
>>> -t(3).abs()

=== several_results_and_operands
def f(x, y):
    a, (b, c) = torch.cond(
        (x > y).all(),
        lambda p, q: (p + q, [p * 2, q * 3]),
        lambda p, q: (p - q, [q * 2, p * 3]),
        (x, y),
    )
    return a, c, b
>>> t(3), t(3) - 1
>>> t(3) - 1, t(3)

=== nested
def f(x):
    cond = torch.cond
    def outer(a):
        return cond(a.max() > 2, lambda p: p * 2, lambda p: p * 3, (a,)) + 1
    return torch.cond(x.sum() > 0, outer, lambda a: a - 1, (x,))
>>> t(3)
>>> t(3) * 4
>>> -t(3)

=== one_after_the_other_in_a_loop
def f(x):
    for i in range(3):
        x = torch.cond(x.sum() > i, lambda a: a * 0.5, lambda a: a + 1, (x,))
    return x
>>> t(3)
>>> -t(3)

=== writes_inside_to_tensors_of_its_own
def f(x):
    def body(a):
        b = a.clone()
        b.add_(1)
        b[0] = 5
        return b
    return torch.cond(x.sum() > 0, body, lambda a: a * 2, (x,))
>>> t(3)
>>> -t(3)

=== random_numbers_inside
def f(x):
    rand = torch.rand_like
    return torch.cond(x.sum() > 0, lambda a: a + rand(a), lambda a: a * 2, (x,)), torch.rand(2)
>>> t(3)
>>> -t(3)

=== loop_with_a_condition
def f(x):
    i = torch.zeros((), dtype=torch.int64)
    n, y = while_loop(lambda i, a: a.sum() < 20, lambda i, a: (i + 1, a * 2), (i, x))
    return n, y + 1
>>> t(3) + 1
>>> t(3) + 5
>>> t(3) + 50

=== loop_over_rows
w = fixed(3)
def f(x):
    v = w
    return hmap(lambda row: row * v + 1, x)
>>> t(4, 3)
>>> t(4, 3) * 2
!!! w = fixed(3) + 1

=== scan_of_rows
def f(x):
    c, ys = scan(lambda c, v: (c + v, c * v), torch.zeros(3), x)
    return c, ys
>>> t(4, 3)
>>> t(4, 3) * 2

=== exception_of_the_operator | eager
def f(x):
    try:
        return torch.cond(x.sum() > 0, lambda a: a, lambda a: a + 1, (x,))
    except Exception as e:
        return type(e).__name__
>>> t(3)

=== effect_in_a_body_is_refused_by_torch | eager
log = []
def f(x):
    l = log
    try:
        return torch.cond(x.sum() > 0, lambda a: l.append(1) or a * 2, lambda a: a + 1, (x,))
    except Exception as e:
        return type(e).__name__, len(l)
>>> t(3)
""")


@pytest.mark.parametrize("case", OPERATORS, ids=lambda case: case.name)
def test_operators(case):
    check_torch(case)


@magpy.disable
def unwatched(a):
    return a * 3


def _reasons(fast):
    return magpy.stats(fast)["breaks"]


def _scanned(x):
    from torch._higher_order_ops import scan

    return scan(lambda c, v: (c + v, c * v), torch.zeros(3), x, dim=1)[1] + 1


def _disabled(x):
    return torch.cond(x.sum() > 0, unwatched, lambda a: a * 2, (x,)) + 1


def _other_mode(x):
    def body(a):
        with torch.no_grad():
            b = a * 2
        return b + a

    return torch.cond(x.sum() > 0, body, lambda a: a * 2, (x,)) + 1


@pytest.mark.parametrize(
    ("f", "x", "what"),
    [
        (_scanned, torch.ones(3, 4), "another dimension"),
        (_disabled, torch.ones(3), "disabled: "),
        (_other_mode, torch.ones(3), ""),
    ],
)
def test_a_call_that_cannot_be_an_operation_is_a_break(f, x, what):
    fast = magpy.compile(f, backend="eager")
    for _ in range(5):
        assert torch.equal(fast(x), f(x))
        assert torch.equal(fast(-x), f(-x))
    assert _reasons(fast).get("control-flow", 0) > 0
    assert magpy.stats(fast)["partial_hits"] > 0
    places = [p for p in magpy.stats(fast)["places"] if p["reason"] == "control-flow"]
    assert what in places[0]["detail"]


def test_a_body_that_cannot_be_recorded_leaves_no_trace():
    """Its frames end at once: no handler of the program runs."""
    seen = []

    def body(a):
        try:
            return unwatched(a)
        except BaseException as error:  # (of the recorder)
            seen.append(error)
            raise
        finally:
            a = a + 1

    def f(x):
        y = torch.cond(x.sum() > 0, body, lambda a: a * 2, (x,))
        return y + 1

    def caller(x):
        try:
            return f(x)
        finally:
            pass

    fast = magpy.compile(caller, backend="eager")
    state = torch.get_rng_state()
    for sign in (1, -1, 1, 1, -1):
        x = sign * torch.ones(3)
        assert torch.equal(fast(x), caller(x))
    assert seen == []
    assert torch.equal(state, torch.get_rng_state())


def test_the_graph_has_the_operator_with_graphs_as_arguments():
    seen = []

    def backend(module, inputs):
        seen.append(module)
        return module.forward

    def f(x):
        return torch.cond(x.sum() > 0, lambda a: a * 2, lambda a: a - 1, (x,))

    fast = magpy.compile(f, backend=backend)
    for x in (torch.ones(3), -torch.ones(3), torch.ones(3)):
        assert torch.equal(fast(x), f(x))
    (node,) = [
        n for n in seen[0].graph.nodes if n.target is torch.ops.higher_order.cond
    ]
    bodies = [getattr(seen[0], arg.target) for arg in node.args[1:3]]
    assert all(isinstance(body, torch.fx.GraphModule) for body in bodies)


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_gradients_of_compiled_operators(backend):
    w = torch.ones(3, requires_grad=True)

    def f(x):
        return torch.cond(x.sum() > 0, lambda a: a * w, lambda a: a.sin() * w, (x,)) + w

    fast = magpy.compile(f, backend=backend)
    for sign in (1, -1, 1, -1):
        grads = []
        for call in (f, fast):
            x = (sign * torch.ones(3)).requires_grad_()
            call(x).sum().backward()
            grads.append((x.grad, w.grad))
            w.grad = None
        for ours, theirs in zip(*grads, strict=True):
            torch.testing.assert_close(ours, theirs)
    assert magpy.stats(fast)["hits"] == 3


# -- Branches of the program -----------------------------------------------------------

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


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_branches_that_break(case, flow):
    check_torch(dataclasses.replace(case, hit=False))
