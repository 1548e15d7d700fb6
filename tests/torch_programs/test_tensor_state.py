"""What a program changes of a tensor besides its memory: data, requires_grad, its class."""

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch_worlds import check_torch, fullgraph_reason

import magpy
from oracle import cases, whole_hits

CASES = cases(r"""
=== parameter_of_a_result
def f(x):
    p = nn.Parameter(x * 2)
    return p, p * x, p.requires_grad, p.is_leaf, p.grad_fn, type(p), isinstance(p, nn.Parameter)
>>> t(3)
>>> t(3).requires_grad_()

=== parameter_of_an_input
w = fixed(3)
def f(x):
    p = nn.Parameter(w, requires_grad=False)
    return (x + p).sin()
>>> t(3)
!!! w = nn.Parameter(fixed(3))
!!! w = torch.ones(2, 3)

=== parameter_shares_memory
def f(x):
    p = nn.Parameter(x, False)
    p.mul_(2)
    return p, x + 1
>>> t(3)

=== parameter_in_no_grad
@torch.no_grad()
def f(x):
    p = nn.Parameter(x + 1)
    q = p * 2
    p.add_(1)
    return p, q, p.requires_grad, q.requires_grad
>>> t(3)

=== parameter_keywords
def f(x):
    a, b = nn.Parameter(data=x.clone(), requires_grad=True), nn.Parameter()
    return a, b, a.sum() + b.sum()
>>> t(3)

=== parameter_of_integers
def f(x):
    return nn.Parameter(x > 0, requires_grad=False), nn.Parameter(x.long(), False)
>>> t(3)

=== parameter_of_integers_raises | eager
def f(x):
    return nn.Parameter(x.long())
>>> t(3)

=== parameter_made_inside | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(fixed(3))
    def forward(self, x):
        self.w = nn.Parameter(x * 2)
        return self.w + 1
m = M()
>>> t(3)
!!! m.w.requires_grad_(False)
!!! m.w = nn.Parameter(torch.ones(2))

=== parameter_registered | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)
    def forward(self, x):
        self.lin.register_parameter("extra", nn.Parameter(x.sum(0)))
        self.lin.weight = nn.Parameter(self.lin.weight.detach() * 0.5)
        return self.lin(x) * self.lin.extra, list(self.lin._parameters)
m = M()
>>> t(2, 3)

=== parameter_list
def f(x):
    ps = nn.ParameterList([nn.Parameter(x), nn.Parameter(x * 2)])
    return [p * i for i, p in enumerate(ps)]
>>> t(3)

=== parameter_of_a_subclass | eager
class P(nn.Parameter):
    pass
def f(x):
    return P(x) + 1
>>> t(3)

=== parameter_through_map | eager
def f(x):
    return list(map(nn.Parameter, [x, x + 1]))
>>> t(3)

=== requires_grad_of_a_result
def f(x):
    out = torch.zeros_like(x)
    out.requires_grad = True
    y = out * x
    return out, y, out.requires_grad, out.is_leaf, y.requires_grad
>>> t(3)
>>> t(3).requires_grad_()

=== requires_grad_method
def f(x):
    h = torch.zeros(3).requires_grad_()
    g = torch.ones(3).requires_grad_(requires_grad=True)
    y = h.requires_grad_(False) + x
    return y * g, h, g
>>> t(3)

=== requires_grad_of_an_input
def f(x):
    x.requires_grad_()
    y = x * 2
    return y, x.requires_grad, y.requires_grad
>>> t(3)
>>> t(3).requires_grad_()

=== requires_grad_off_and_on
def f(x):
    x.requires_grad = False
    a = x * 2
    x.requires_grad = True
    return a, x * a
>>> t(3)
>>> t(3).requires_grad_()

=== requires_grad_of_state
w = fixed(3)
def f(x):
    a = w * x
    w.requires_grad_(not w.requires_grad)
    return a, w * x
>>> t(3)
>>> w

=== requires_grad_of_one_under_two_names
def f(x, y):
    x.requires_grad = True
    return y.requires_grad, x + y, y * 2
>>> t(3), t(3)
>>> *[t(3)] * 2

=== requires_grad_of_one_under_two_names_without_memory
def f(x, y):
    x.requires_grad = True
    return y.requires_grad
>>> t(0), t(0)
>>> *[t(0)] * 2

=== requires_grad_method_of_one_under_two_names
def f(x, y):
    x.requires_grad_()
    return y.requires_grad
>>> t(0), t(0)
>>> *[t(0)] * 2

=== requires_grad_of_a_view
w, h = fixed(2, 3), fixed(2, 3)
def f(x):
    h.requires_grad_()
    found = w.requires_grad, w.is_leaf, w * x
    h.requires_grad_(False)
    return found
>>> t(2, 3)
!!! w = fixed(2, 3)
??? w = h.view(2, 3)
??? w = h[0]
!!! w = fixed(2, 3)

=== requires_grad_of_sisters
rows = [fixed(2, 3), fixed(2, 3)]
p = fixed(2, 3).requires_grad_()
def f(x):
    rows[0].mul_(p * x)
    return rows[1].requires_grad, rows[1].is_leaf, (rows[1] + 1).requires_grad
>>> fixed(2, 3)
!!! rows = [fixed(2, 3), fixed(2, 3)]
??? h = torch.ones(2, 2, 3); rows = [h[0], h[1]]
??? rows = [fixed(2, 3)] * 2
!!! rows = [fixed(2, 3), fixed(2, 3)]

=== grad_begins_through_a_view_of_the_run
w, u = fixed(2, 3), fixed(2, 3)
p = fixed(2, 3).requires_grad_()
def f(x):
    w.view(-1)[1:].copy_(p.view(-1)[1:])
    return u.requires_grad, u.grad_fn is None, x * 2
>>> fixed(2, 3)
!!! w = fixed(2, 3)
??? u = fixed(2, 3); w = u.view(2, 3)
??? w = fixed(2, 3); u = w.view(2, 3)

=== requires_grad_of_a_module | of m
m = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
def _forward(x, forward=m.forward):
    m[0].requires_grad_(False)
    y = forward(x)
    m[0].requires_grad_(True)
    return y
m.forward = _forward
>>> t(2, 3)
!!! m[0].requires_grad_(False)

=== requires_grad_under_no_grad
@torch.no_grad()
def f(x):
    y = x * 2
    y.requires_grad = True
    return y, y + 1, (y + 1).requires_grad
>>> t(3)

=== requires_grad_of_an_inner_node | eager
def f(x):
    y = x * 2
    y.requires_grad = False
    return y
>>> t(3).requires_grad_()

=== requires_grad_of_integers | eager
def f(x):
    y = x.long()
    y.requires_grad = True
    return y
>>> t(3)

=== requires_grad_in_a_handler | eager
w = fixed(3)
def f(x):
    try:
        w.requires_grad_()
        return w * x
    except RuntimeError:
        return w.requires_grad
>>> t(3)
>>> t(2)
!!! w.requires_grad_(False)

=== data_of_state
u = fixed(3)
@torch.no_grad()
def f(x):
    u.data = u.data * x
    return u + 1
>>> t(3)
>>> u
!!! u = nn.Parameter(torch.ones(3))
!!! u.data = torch.ones(3).double()

=== data_multiplied | of m
class M(nn.Conv1d):
    def __init__(self):
        super().__init__(1, 1, 3)
        self.register_buffer("mask", torch.tensor([[[1.0, 1.0, 0.0]]]))
    def forward(self, x):
        self.weight.data *= self.mask
        return super().forward(x)
m = M()
def around():
    return torch.no_grad()
>>> t(1, 1, 5)
!!! m.weight.data = torch.ones(1, 1, 3)

=== data_of_a_result
def f(x):
    y = x * 2
    z = y.view(-1)
    y.data = x + 1
    y.add_(1)
    return y, z, x, y.shape
>>> t(3)

=== data_of_another
w, v = fixed(3), fixed(3)
@torch.no_grad()
def f(x):
    w.data = v
    return w + x, v + x
>>> t(3)

=== data_of_another_written_later | eager
w, v = fixed(3), fixed(3)
@torch.no_grad()
def f(x):
    w.data = v.data
    w.add_(1)
    return w + x, v + x
>>> t(3)

=== data_of_a_viewed_tensor
w = fixed(3)
view = w[:2]
@torch.no_grad()
def f(x):
    w.data = x * 2
    return w + 1, view + 1
>>> t(3)

=== data_with_another_shape
def f(x, y):
    x.data = torch.cat([y, y])
    return x.shape, x.sum(), x * 2
>>> t(3), t(3)
>>> t(3), t(4)

=== data_with_another_dtype
w = fixed(3)
def f(x):
    w.data = x.double()
    return w.dtype, w * 2
>>> t(3)
!!! w.data = torch.ones(2)

=== data_of_one_under_two_names
def f(x, y):
    x.data = torch.ones(5)
    return y.shape, y * 2
>>> t(3), t(3)
>>> *[t(3)] * 2

=== data_with_gradients
w = nn.Parameter(fixed(3))
def f(x):
    y = w * x
    w.data = x * 3
    return y, w * x
>>> t(3)

=== data_is_itself
w = nn.Parameter(fixed(3))
def f(x):
    w.data = w
    return w * x
>>> t(3)

=== data_of_a_data_dependent_shape | eager
w = fixed(3)
def f(x):
    w.data = x[x > 0]
    return w.shape
>>> t(6)
>>> t(6)

=== data_of_what_is_no_tensor | eager
w = fixed(3)
def f(x):
    w.data = 5
    return x
>>> t(3)

=== data_by_setattr
w = fixed(3)
def f(x):
    setattr(w, "data", x * 2)
    object.__setattr__(w, "requires_grad", True)
    return w * x
>>> t(3)
!!! w.requires_grad_(False)

=== spectral_norm | of m
class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.u = nn.Parameter(fixed(2), requires_grad=False)
        self.v = nn.Parameter(fixed(3), requires_grad=False)
        self.w = nn.Parameter(fixed(2, 3))
    def forward(self, x):
        for _ in range(2):
            v = torch.mv(self.w.view(2, -1).data.t(), self.u.data)
            self.v.data = v / (v.norm() + 1e-12)
            u = torch.mv(self.w.view(2, -1).data, self.v.data)
            self.u.data = u / (u.norm() + 1e-12)
        sigma = self.u.dot(self.w.view(2, -1).mv(self.v))
        return x @ (self.w / sigma)
m = Norm()
def around():
    return torch.no_grad()
>>> t(4, 2)
!!! m.w.data = torch.ones(2, 3)

=== half_inside | eager | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(3, 3)
    def forward(self, x):
        return self.lin.double()(x.double()), self.lin.float()(x)
m = M()
>>> t(2, 3)

=== resized
def f(x):
    a = x.new().resize_as_(x).fill_(0)
    b = x.new().resize_((x.size(0), 2)).fill_(1)
    c = x.clone().resize_(2, 3)
    return a, b + 1, b.shape, c
>>> t(2, 3)
>>> t(3, 2)

=== resized_input
def f(x, y):
    y.resize_(1, 2)
    return x.shape, y + 1, x
>>> t(2, 2), t(2, 2)
>>> *[t(2, 2)] * 2

=== resized_by_a_tensor | eager
def f(x, n):
    return x.clone().resize_(n, 1).shape
>>> t(3), torch.tensor(2)
>>> t(3), torch.tensor(3)

=== resized_where_it_requires_grad | eager
def f(x):
    return x.resize_(1)
>>> t(3).requires_grad_()

=== sparse_functions_of_dense_tensors
def f(x, y):
    return torch.sparse.mm(x, y) + 1, torch.sparse.addmm(y, x, y)
>>> t(3, 3), t(3, 3)
>>> t(3, 3).requires_grad_(), t(3, 3)

=== sparse_functions_of_sparse_tensors | eager
def f(x, y):
    return torch.sparse.mm(x, y) + 1
>>> t(3, 3).to_sparse(), t(3, 3)
>>> t(3, 3), t(3, 3)

=== sparse_functions_of_a_sparse_result
def f(x, y):
    return torch.sparse.mm(x.to_sparse(), y) + 1
>>> t(3, 3), t(3, 3)
>>> torch.eye(3), t(3, 3)

=== buffer_made_inside | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.b = nn.Buffer(fixed(3))
    def forward(self, x):
        self.b = nn.Buffer(x * 2)
        self.c = nn.Buffer(x, persistent=False)
        return self.b + 1, list(self._buffers), list(self._non_persistent_buffers_set)
m = M()
>>> t(3)

=== uninitialized_parameter_replaced | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = nn.UninitializedParameter()
    def forward(self, x):
        self.p = nn.Parameter(torch.zeros(3))
        return x + 1
m = M()
>>> t(3)
!!! m.p = nn.UninitializedParameter()
!!! del m.p

=== subclass_passed_by
class T(torch.Tensor):
    pass
d = {"a": torch.ones(3).as_subclass(T)}
def f(x):
    return d.get("a") is not None if False else x + 1, len(d)
>>> t(3)

=== subclass_used | eager
class T(torch.Tensor):
    pass
d = {"a": torch.ones(3).as_subclass(T), "b": torch.ones(3)}
def f(x):
    y = x + 1
    a = d["a"]
    d["b"] = a
    return y, d["a"], [a], x * a, bool((a == 1).all()), a.shape, a[0]
>>> t(3)
!!! d["a"] = torch.ones(3)
!!! d["a"] = torch.zeros(3).as_subclass(T)

=== subclass_in_a_call | eager
class T(torch.Tensor):
    pass
d = {"a": torch.ones(3).as_subclass(T)}
def g(a, x):
    return a is None, x
def f(x):
    got = [any(d.values()), isinstance(d["a"], T), type(d["a"]), d["a"] is None]
    got.append(list(map(torch.relu, d.values())))
    d["a"].tag = 1
    d["a"].mul_(2)
    if d["a"].sum() > 100:
        x = x * 2
    return got, g(d["a"], x), len(d["a"]), d["a"].tag
>>> t(3)
!!! d["a"].fill_(1000)

=== subclass_returned | eager
class T(torch.Tensor):
    pass
d = {"a": torch.ones(3).as_subclass(T)}
def f(x):
    y = x * 2
    return d["a"], y
>>> t(3)
!!! d["a"] = torch.zeros(2).as_subclass(T)

=== subclass_local_over_a_break | eager
class T(torch.Tensor):
    pass
d = {"a": torch.ones(3).as_subclass(T)}
def f(x):
    a = d["a"]
    y = x * 2
    k = int(x.sum() * 0)
    return y + k, a
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_program(case):
    check_torch(case)


def test_a_hit_leaves_the_storage_of_the_other():
    w, v = nn.Parameter(torch.zeros(3)), torch.ones(3)

    @torch.no_grad()
    def step(x):
        w.data = v
        return w + x

    fast = magpy.compile(step, backend="eager")
    for _ in range(3):
        w.data = torch.zeros(3)
        assert fast(torch.ones(3)).tolist() == [2.0] * 3
        assert w.data_ptr() == v.data_ptr()
        assert w.requires_grad
    assert whole_hits(fast) == 2


def _makes_parameter(x):
    return nn.Parameter(x * 2)


def _sets_requires_grad(x):
    y = x * 2
    y.requires_grad = True
    return y


def _sets_data(x):
    y = x * 2
    y.data = x + 1
    return y


@pytest.mark.parametrize(
    "step",
    [_makes_parameter, _sets_requires_grad, _sets_data],
    ids=lambda f: f.__name__,
)
def test_compilers_do_not_get_the_graph(step):
    """They keep no class, and no state of autograd."""
    asked = []

    def backend(graph, inputs):
        asked.append(graph)
        return graph.forward

    fast = magpy.compile(step, backend=backend)
    for _ in range(3):
        x = torch.randn(3)
        ours, theirs = fast(x), step(x)
        assert type(ours) is type(theirs)
        assert (ours.requires_grad, ours.is_leaf) == (theirs.requires_grad, True)
        assert torch.equal(ours, theirs)
    assert whole_hits(fast) == 2
    assert not asked


_PE = torch.arange(3.0)


def _adds_parameter(x):
    return x + nn.Parameter(_PE, requires_grad=False)


def _adds_parameter_in_no_grad(x):
    with torch.no_grad():
        return x + nn.Parameter(_PE)


def _writes_parameter(x):
    nn.Parameter(_PE, False).add_(1)
    return x + _PE


@pytest.mark.parametrize(
    ("step", "compiles"),
    [
        (_adds_parameter, True),
        (_writes_parameter, True),
        (_adds_parameter_in_no_grad, False),  # gradients are on around it
        (lambda x: x + nn.Parameter(_PE), False),
    ],
    ids=["no-gradient", "written", "inside", "gradient"],
)
def test_compilers_get_parameters_that_stay_inside(step, compiles):
    asked = []

    def backend(graph, inputs):
        asked.append(graph)
        return graph.forward

    _PE.copy_(torch.arange(3.0))
    fast = magpy.compile(step, backend=backend)
    for number in range(1, 4):
        ours = fast(torch.ones(3))
        written = number if step is _writes_parameter else 0
        assert ours.tolist() == [1 + written, 2 + written, 3 + written]
        assert ours.requires_grad == (step.__name__ == "<lambda>" and not compiles)
    assert whole_hits(fast) == 2
    assert len(asked) == compiles
    with torch.no_grad():
        for _ in range(2):
            assert not fast(torch.ones(3)).requires_grad
    assert len(asked) == compiles + 1


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("del x.grad", "tensor-state"),
        ("x.retain_grad()", "side-effect"),
    ],
)
def test_reasons(statement, reason):
    space = {}
    exec(f"def step(x):\n    {statement}\n    return x + 1", space)
    assert fullgraph_reason(space["step"], torch.ones(3, requires_grad=True)) == reason
