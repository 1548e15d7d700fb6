"""Attributes that a program gives to tensors."""

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases, whole_hits

CASES = cases(r"""
=== attribute_of_a_result
def f(x):
    y = x * 2
    y.stop_gradient = True
    y.note = [1, x]
    return y, y.stop_gradient, y.note
>>> t(3)

=== attribute_of_what_dies
def f(x):
    y = x * 2
    y.stop_gradient = True
    return y + x
>>> t(3)

=== attribute_of_an_argument
def f(x):
    x.grid = None
    x.tag = "seen"
    return x, x.tag
>>> t(3)
??? x = t(3)
!!! x.tag = "before"

=== attribute_of_state
w = fixed(3)
def f(x):
    w.calls = getattr(w, "calls", 0)
    w.last = x * 2
    return w.last + 1, hasattr(w, "other")
>>> t(3)
!!! w.calls = 4
!!! w.other = 1
!!! del w.last

=== attribute_read
w = fixed(3)
w.scale, w.box = 2.0, [1, 2]
def f(x):
    return x * w.scale + w.box[0], w.box
>>> t(3)
!!! w.scale = 3.0
!!! w.box.append(4)
!!! w.box = [5]
??? del w.box

=== attribute_of_a_parameter | of m
m = nn.Linear(3, 3)
m.weight.scale = 2
def _forward(x, forward=m.forward):
    m.bias.used = m.weight.scale
    return forward(x) * m.weight.scale
m.forward = _forward
>>> t(2, 3)
!!! m.weight.scale = 3
!!! m.bias = nn.Parameter(torch.ones(3))

=== attribute_replaced
w = fixed(3)
w.box = [1]
def f(x):
    old = w.box
    w.box = [2]
    return old, w.box, x
>>> t(3)
!!! w.box = old_box = [7]

=== attribute_deleted
w = fixed(3)
def f(x):
    w.a, w.b = 1, 2
    y = x + 1
    y.a, y.b, y.c = 1, 2, 3
    del w.a, y.b
    w.c = 3
    return hasattr(w, "a"), hasattr(y, "b"), y
>>> t(3)

=== attribute_that_is_not_there | eager
w = fixed(3)
def f(x):
    del w.a
    return x
>>> t(3)
!!! w.a = 1

=== attribute_of_one_under_two_names
def f(x, y):
    x.tag = 1
    return hasattr(y, "tag"), x + y
>>> t(3), t(3)
>>> *[t(3)] * 2

=== attribute_of_one_under_two_names_read_before
def f(x, y):
    old = hasattr(y, "tag")
    x.tag = 1
    y.tag = 2
    return old, x.tag
>>> t(3), t(3)
>>> *[t(3)] * 2

=== dict_of_a_written_object
class Other: pass
x, other = t(3), Other()
def f():
    other.tag = 1
    return hasattr(x, "tag"), x + 1
>>>
!!! del other.tag; x.__dict__ = other.__dict__
!!! x = t(3)

=== attribute_that_is_the_tensor
def f(x):
    y, z = x * 2, x + 1
    y.me = y
    y.other, z.other = z, y
    box = [y]
    z.box = box
    return y, box
>>> t(3)

=== attribute_holds_an_object
class Box:
    pass
def f(x):
    b = Box()
    b.t = x * 2
    b.t.owner = b
    b.u = [x + 1]
    b.u[0].owners = {"first": b}
    return b.u
>>> t(3)

=== attribute_of_an_alias
def f(x):
    y = x.detach()
    y.a = 1
    z = y.contiguous()
    z.b = 2
    return y, hasattr(x, "a")
>>> t(3)

=== attribute_of_a_parameter_made_inside | of m
class M(nn.Module):
    def forward(self, x):
        self.w = nn.Parameter(x * 2)
        self.w.is_norm = True
        self.w.requires_grad = False
        return self.w.is_norm, self.w * 2
m = M()
>>> t(3)

=== attribute_hides_a_method
def f(x):
    y = x * 2
    y.sum = lambda: 5
    return y.sum(), y.mean()
>>> t(3)

=== attribute_that_is_called
w = fixed(3)
w.act = torch.relu
def f(x):
    return w.act(x), w + 1
>>> t(3)
!!! w.act = torch.tanh

=== attribute_dict_of_a_result | eager
def f(x):
    y = x * 2
    y.__dict__["a"] = 1
    vars(y)["b"] = 2
    return y
>>> t(3)

=== attribute_dict_of_state
w = fixed(3)
w.a = 1
def f(x):
    w.b = 2
    names = list(w.__dict__)
    vars(w)["c"] = 3
    return names, w.c, x
>>> t(3)
!!! w.d = 4

=== attribute_that_torch_has | eager
def f(x):
    x.grad = torch.ones(3)
    return x
>>> t(3)

=== attribute_in_a_function
class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = x * 2
        y.tag = 1
        return y
    @staticmethod
    def backward(ctx, g):
        return g * 2
def f(x):
    return Double.apply(x), Double.apply(x).sum()
>>> t(3)
>>> t(3).requires_grad_()

=== attribute_over_a_break | eager
def f(x, d):
    y = x * 2
    y.tag = [1]
    k = int(d.sum() * 0)
    y.tag.append(k)
    y.late = x
    return y
>>> t(3), t(3)

=== attribute_by_setattr
w = fixed(3)
def f(x, name):
    setattr(w, name, 1)
    y = x + 1
    object.__setattr__(y, name, 2)
    return getattr(w, name), getattr(y, name), y
>>> t(3), "tag"
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_program(case):
    check_torch(case)


def test_a_setattr_of_the_class_runs(monkeypatch):
    seen = []

    def own(self, name, value):
        seen.append(name)
        object.__setattr__(self, name, value)

    def step(x):
        y = x * 2
        y.tag = 1
        y.data = x + 1
        return y

    fast = magpy.compile(step, backend="eager")
    for _ in range(3):
        assert fast(torch.ones(2)).tag == 1
    assert whole_hits(fast) == 2
    monkeypatch.setattr(torch.Tensor, "__setattr__", own)
    for number in range(1, 4):
        y = fast(torch.ones(2))
        assert (y.tolist(), y.tag) == ([2.0, 2.0], 1)
        assert seen == ["tag", "data"] * number
    assert whole_hits(fast) == 4


def test_a_property_of_the_class_stands_before_attributes(monkeypatch):
    def step(x):
        y = x * 2
        y.tag = 1
        return y, x.shape

    fast = magpy.compile(step, backend="eager")
    for _ in range(2):
        assert vars(fast(torch.ones(2))[0]) == {"tag": 1}
    stored = []
    tag = property(lambda self: 0, lambda self, value: stored.append(value))
    monkeypatch.setattr(torch.Tensor, "tag", tag, raising=False)
    for number in range(1, 4):
        assert vars(fast(torch.ones(2))[0]) == {}
        assert stored == [1] * number


def test_attributes_of_inputs_do_not_keep_them():
    import gc
    import weakref

    def step(x):
        x.tag = [1]
        y = x * 2
        y.source = x
        return y

    fast = magpy.compile(step, backend="eager")
    for _ in range(4):
        x = torch.ones(2)
        y = fast(x)
        assert y.source is x
        dead = weakref.ref(x), weakref.ref(y)
        del x, y
        gc.collect()
        assert [ref() for ref in dead] == [None, None]
