"""Operators with bodies in Python: `torch.cond` and the like."""

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
        (_other_mode, torch.ones(3), "a mode of torch is set in a body"),
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
