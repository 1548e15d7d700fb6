"""Torch's state in every place where a program can read or write it.

One program or more for each item of the list in docs/internals/soundness-list.md that no
program of a neighbour shows by itself.
"""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== dtype_device_layout_objects
class C: pass
c = C(); c.dtype = torch.float32; c.device = torch.device("cpu"); c.layout = torch.strided
c.size = torch.Size([2, 3]); c.fmt = torch.contiguous_format
def f(x):
    y = x.to(c.dtype).to(c.device)
    return (y, torch.zeros(c.size, layout=c.layout), c.size[0] * 2, c.dtype is torch.float32,
            c.device.type, y.clone(memory_format=c.fmt), x.dtype == c.dtype)
>>> t(2, 3)
!!! c.dtype = torch.float64
!!! c.size = torch.Size([3, 2])
!!! c.size = (3, 2)
!!! c.device = torch.device("cpu"); c.dtype = torch.float16
!!! c.fmt = torch.preserve_format

=== default_device_changes | eager
import contextlib
on = False
@contextlib.contextmanager
def around():
    if on:
        torch.set_default_device("cpu")
    try:
        yield
    finally:
        if on:
            torch.set_default_device(None)
def f(x):
    return x + torch.ones(3)
>>> t(3)
!!! on = True
!!! on = False

=== backend_flags | eager
import contextlib
flag = False
@contextlib.contextmanager
def around():
    with torch.backends.mkldnn.flags(enabled=not flag):
        yield
def f(x):
    return x @ x, torch.backends.mkldnn.enabled
>>> t(3, 3)
!!! flag = True
!!! flag = False

=== grad_mode_around
import contextlib
on = True
around = lambda: torch.set_grad_enabled(on)
w = nn.Parameter(fixed(3))
def f(x):
    return x * w, torch.is_grad_enabled()
>>> t(3)
!!! on = False
!!! on = True

=== global_pre_and_backward_hooks | eager | of m
import contextlib
import torch.nn.modules.module as mm
m = nn.Linear(3, 3)
seen = []
kind = ""
@contextlib.contextmanager
def around():
    if kind == "pre":
        h = mm.register_module_forward_pre_hook(lambda mod, a: (a[0] + 1,))
    elif kind == "backward":
        h = mm.register_module_full_backward_hook(lambda mod, gi, go: seen.append(len(go)))
    else:
        h = contextlib.nullcontext()
    try:
        yield
    finally:
        if kind:
            h.remove()
>>> t(2, 3).requires_grad_()
!!! kind = "pre"
!!! kind = ""
!!! kind = "backward"
!!! kind = ""

=== backward_pre_hook | eager | of m
m = nn.Linear(3, 3)
seen = []
>>> t(2, 3).requires_grad_()
!!! h = m.register_full_backward_pre_hook(lambda mod, go: seen.append(len(go)))
!!! h.remove(); h = None

=== requires_grad_of_input_and_state
w = fixed(3)
def f(x):
    y = x * w
    return y, y.requires_grad, w.requires_grad, x.is_leaf
>>> t(3)
>>> t(3).requires_grad_()
!!! w.requires_grad_(True)
!!! w.requires_grad_(False)

=== grad_is_read | eager
w = nn.Parameter(fixed(3))
def f(x):
    g = w.grad
    return x * 2 if g is None else x + g
>>> t(3)
!!! w.grad = fixed(3)
!!! w.grad = fixed(3) * 2
!!! w.grad = None

=== tensor_attribute_of_the_user
w = fixed(3)
def f(x):
    return x * getattr(w, "scale", 1), hasattr(x, "tag")
>>> t(3)
!!! w.scale = 3
!!! w.scale = 4
!!! del w.scale

=== tensor_becomes_a_subclass | eager
class T(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        out = super().__torch_function__(func, types, args, kwargs or {})
        return out
w = fixed(3)
def f(x):
    return x * w, type(w).__name__
>>> t(3)
!!! w = w.as_subclass(T)
!!! w = fixed(3)
!!! w = nn.Parameter(fixed(3))

=== buffer_registered_replaced_and_deleted
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("b", fixed(3))
    def forward(self, x):
        self.register_buffer("n", x * 2)
        self.b = self.b * 0 + x
        del self.n
        return self.b, list(self._buffers)
m = M()
def f(x):
    return m(x)
>>> t(3)
!!! m.b = fixed(3)
!!! m.register_buffer("c", fixed(2))

=== writes_seen_by_another_alias | eager
w = fixed(4)
class C: pass
c = C(); c.v = w[1:3]
def f(x):
    w.add_(x)
    return c.v * 1
>>> t(4)
!!! c.v = fixed(2)
!!! c.v = w[2:]

=== inputs_are_or_stop_being_one
def f(a, b):
    a.add_(1)
    return a + b, a is b
>>> t(3), t(3)
>>> *[t(3)] * 2

=== overlapping_storage | eager
def f(a, b):
    a.mul_(2)
    return a.sum() + b.sum()
>>> *(lambda x: (x[:3], x[3:]))(t(6))
>>> *(lambda x: (x[:3], x[2:5]))(t(6))
>>> t(3), t(3)

=== deterministic_and_default_dtype_read
def f(x):
    return x.sum(), torch.get_default_dtype(), torch.are_deterministic_algorithms_enabled()
>>> t(3)
!!! torch.set_default_dtype(torch.float64)
!!! torch.use_deterministic_algorithms(True)
!!! torch.set_default_dtype(torch.float32); torch.use_deterministic_algorithms(False)

=== tensor_nan_in_list | eager
nan = float("nan")
def f(x):
    return torch.tensor([1.0, nan]) + x, torch.full((2,), nan), x.nan_to_num(nan=1.0), nan in [1.0]
>>> t(2)

=== nan_fill_is_recorded
def f(x):
    return x.masked_fill(x > 0, float("nan")), F.pad(x, (1, 1), value=float("nan")), torch.full_like(x, float("nan"))
>>> t(2)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tensor_places(case):
    check_torch(case)
