"""Hooks of tensors, parameters and modules that a call sets, or finds set."""

import pytest

torch = pytest.importorskip("torch")

from torch_worlds import check_torch  # noqa: E402

import magpy  # noqa: E402
from oracle import cases, reasons, whole_hits  # noqa: E402

CASES = cases(r"""
=== function
seen = []
def keep(g): seen.append(g.clone())
def f(x):
    y = x * 2
    y.register_hook(keep)
    return (y * 3).sum()
>>> t(3).requires_grad_()

=== function_that_changes
scale = 2.0
def f(x):
    y = x * 2
    y.register_hook(lambda g: g * scale)
    return (y * 3).sum(), y
>>> t(3).requires_grad_()
!!! scale = 3.0

=== closure_over_the_run
def f(x, k):
    y = x.sin()
    z = y * k
    def hook(g):
        return g * z.detach() + k
    y.register_hook(hook)
    return z.sum()
>>> t(3).requires_grad_(), 2.0
>>> t(3).requires_grad_(), 2.0

=== bound_method
class Log:
    def __init__(self): self.norms = []
    def keep(self, g): self.norms.append(g.norm())
log = Log()
def f(x):
    y = x * 2
    y.register_hook(log.keep)
    return y.sum()
>>> t(3).requires_grad_()
!!! log = Log()

=== order_of_several
def f(x):
    y = x * 2
    y.register_hook(lambda g: g + 1)
    y.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g - 1)
    y.register_hook(lambda g: g + 3)
    return (y * 3).sum()
>>> t(3).requires_grad_()

=== of_an_argument
def f(x):
    x.register_hook(lambda g: g * 2)
    return (x * 3).sum()
>>> t(3).requires_grad_()
>>> t(3).requires_grad_() * 1

=== of_a_tensor_that_dies
seen = []
def half(x):
    y = x * 2
    y.register_hook(lambda g: seen.append(g.clone()))
    return y.exp()
def f(x):
    return half(x).sum()
>>> t(3).requires_grad_()

=== retained
def f(x):
    y = x * 2
    y.retain_grad()
    z = y.exp()
    z.retain_grad()
    return z.sum(), y, z
>>> t(3).requires_grad_()

=== retained_and_hooked
def f(x):
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 5)
    return y.exp().sum(), y
>>> t(3).requires_grad_()

=== post_accumulate
w = nn.Parameter(fixed(3))
seen = []
def keep(p): seen.append(p.grad.clone())
def f(x, often):
    if often:
        w.register_post_accumulate_grad_hook(keep)
    return (x * w).sum()
>>> t(3), True
>>> t(3), False

=== without_gradients | eager
def f(x):
    y = x * 2
    try:
        y.register_hook(print)
    except RuntimeError as e:
        return str(e)
>>> t(3)

=== written_later | eager
def f(x):
    y = x * 2
    y.register_hook(lambda g: g * 3)
    y.add_(1)
    return y * x
>>> t(3).requires_grad_()

=== view_written_later | eager
def f(x):
    y = x * 2
    y.register_hook(lambda g: g * 3)
    y[0].mul_(2)
    return y * x
>>> t(3).requires_grad_()

=== node
def f(x):
    y = x.exp()
    y.grad_fn.register_hook(lambda gi, go: (gi[0] * 2,))
    y.grad_fn.register_prehook(lambda go: (go[0] + 1,))
    return y.sum(), y.grad_fn.name(), y.grad_fn is y.grad_fn
>>> t(3).requires_grad_()

=== node_that_is_told_more_of | eager
def f(x):
    y = x.exp()
    return y * 2, len(y.grad_fn.next_functions)
>>> t(3).requires_grad_()

=== module_hooks
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 3)
    def forward(self, x):
        return self.b(self.a(x).relu())
torch.manual_seed(0)
model = Model()
seen = []
def full(m, gi, go):
    seen.append([g.clone() for g in (*gi, *go) if g is not None])
    return tuple(None if g is None else g * 2 for g in gi)
def pre(m, go):
    return tuple(g + 1 for g in go)
model.a.register_full_backward_hook(full)
model.b.register_full_backward_pre_hook(pre)
model.register_full_backward_hook(full)
model.b.register_forward_hook(lambda m, i, o: o * 2)
model.a.register_forward_pre_hook(lambda m, i: (i[0] + 1,))
model.a.weight.register_hook(lambda g: g * 3)
def f(x):
    return model(x)
>>> t(2, 3).requires_grad_()
>>> t(2, 3)
!!! model.a.register_full_backward_hook(full)
!!! model.a._backward_hooks.clear()

=== module_hook_of_several_inputs
class Pair(nn.Module):
    def forward(self, x, n, y=None): return x * n, y.exp()
pair = Pair()
seen = []
pair.register_full_backward_hook(lambda m, gi, go: seen.append((len(gi), [None if g is None else g.clone() for g in (*gi, *go)])))
def f(x, y):
    a, b = pair(x, 3, y=y)
    return a + b
>>> t(3).requires_grad_(), t(3)

=== module_hook_set_in_the_call
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 4)
    def forward(self, x): return self.a(x)
torch.manual_seed(0)
model = Model()
def f(x):
    y = model(x)
    y.register_hook(lambda g: g * 2)
    return y.tanh()
>>> t(2, 3)

=== behind_a_break
seen = []
def f(x):
    y = x * 2
    y.register_hook(lambda g: g * 3)
    if y.sum() > 0:
        y = y.exp()
    y.register_hook(lambda g: seen.append(g.clone()))
    return y.sum()
>>> torch.ones(3).requires_grad_()

=== removed_in_the_call
def f(x):
    y = x * 2
    h = y.register_hook(lambda g: g * 3)
    z = y.exp()
    h.remove()
    return z.sum()
>>> t(3).requires_grad_()

=== differentiated_in_the_call
seen = []
def f(x):
    y = x * 2
    y.register_hook(lambda g: seen.append(g.clone()))
    y.sum().backward()
    return y.detach() + 1
>>> t(3).requires_grad_()

=== hook_that_holds_its_handle
def f(x):
    y = x * 2
    def hook(g):
        handle.remove()
        return g * 3
    handle = y.register_hook(hook)
    return y.sum()
>>> t(3).requires_grad_()

=== hooks_that_hold_each_other
def f(x):
    y = x * 2
    handles = []
    handles.append(y.register_hook(lambda g: g * len(handles)))
    handles.append(y.register_hook(lambda g: g + len(handles)))
    return y.sum()
>>> t(3).requires_grad_()
""")

#: Calls that break, with the reason.
BREAKS = {
    "behind_a_break": "host-read",
    "removed_in_the_call": "tensor-state",
    "differentiated_in_the_call": "side-effect",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_eager_does(case):
    pair = check_torch(case, whole=case.hit and case.name not in BREAKS)
    if case.name in BREAKS:
        assert reasons(pair.compiled) == {BREAKS[case.name]}
    elif case.hit:
        assert whole_hits(pair.compiled) > 0


def once(backend):
    """Hooks inside and on inputs, differentiated: gradients and what the hooks saw."""
    seen = []

    def step(x, w):
        y = (x * w).sin()
        y.register_hook(lambda g: seen.append(g.clone()) or g * 2)
        w.register_hook(lambda g: g + 1)
        return (y * y).sum()

    run = magpy.compile(step, backend=backend) if backend else step
    torch.manual_seed(0)
    results = []
    for _ in range(4):
        x, w = torch.randn(5), torch.randn(5, requires_grad=True)
        run(x, w).backward()
        results.append(w.grad)
    if backend:
        assert magpy.stats(run)["hits"] == 3 and not magpy.stats(run)["breaks"]
    return results + seen


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compilers_do_not_get_tensors_with_hooks(backend):
    for got, want in zip(once(backend), once(None), strict=True):
        assert torch.allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("of_input", [True, False])
def test_hooks_on_inputs_alone_are_for_compilers(of_input):
    asked = []

    def backend(graph, inputs):
        asked.append(graph)
        return graph.forward

    def step(x):
        y = x if of_input else x * 1
        y.register_hook(lambda g: g * 3)
        return (y * 2).sum()

    fast = magpy.compile(step, backend=backend)
    for _ in range(3):
        x = torch.randn(3, requires_grad=True)
        fast(x).backward()
        assert torch.equal(x.grad, torch.full((3,), 6.0))
    assert whole_hits(fast) == 2
    assert len(asked) == of_input


def test_handles_are_those_of_the_hit():
    handles = []

    def step(x):
        y = x * 2
        handles.append(y.register_hook(lambda g: g * 3))
        return y.sum()

    fast = magpy.compile(step, backend="eager")
    for wanted in (6.0, 6.0, 6.0):
        x = torch.randn(3, requires_grad=True)
        fast(x).backward()
        assert torch.equal(x.grad, torch.full((3,), wanted))
    x = torch.randn(3, requires_grad=True)
    y = fast(x)
    handles.pop().remove()
    y.backward()
    assert torch.equal(x.grad, torch.full((3,), 2.0))
    assert len({h.id for h in handles}) == 3
    assert magpy.stats(fast)["hits"] == 3
