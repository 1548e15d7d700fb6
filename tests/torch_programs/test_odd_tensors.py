"""Tensors that are not dense: sparse, quantised, nested ones, and subclasses of Tensor."""

import warnings

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

with warnings.catch_warnings():  # torch warns of these once in a process
    warnings.simplefilter("ignore")
    torch.eye(2).to_sparse_csr()
    torch.sparse_coo_tensor(torch.tensor([[0]]), torch.ones(1), (2,)).to_dense()
    torch.nested.nested_tensor([torch.ones(2)])
    torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)

WRAPPER = '''
class Scaled(torch.Tensor):
    """By its own word two tensors and some constants."""
    @staticmethod
    def __new__(cls, data, scale, how="mul"):
        return torch.Tensor._make_wrapper_subclass(cls, data.shape, dtype=data.dtype)
    def __init__(self, data, scale, how="mul"):
        self.data_, self.scale, self.how = data, scale, how
    def __tensor_flatten__(self):
        return ["data_", "scale"], self.how
    @staticmethod
    def __tensor_unflatten__(inner, how, size, stride):
        return Scaled(inner["data_"], inner["scale"], how)
    def dense(self):
        if self.how == "rows":
            return self.data_[:1] * self.scale
        return self.data_ * self.scale
    @classmethod
    def __torch_dispatch__(cls, func, types, args, kwargs=None):
        args = [a.dense() if isinstance(a, cls) else a for a in args]
        return func(*args, **(kwargs or {}))
def scaled(*shape, how="mul"):
    return Scaled(fixed(*shape), torch.tensor(2.0), how)
'''

CASES = cases(
    WRAPPER
    + r"""
=== sparse_times_dense
a = torch.eye(4).to_sparse()
def f(x):
    return torch.sparse.mm(a, x) @ x
>>> t(4, 4)
!!! a = (torch.eye(4) * 3).to_sparse()
!!! a = torch.ones(4, 4).to_sparse()
!!! a = torch.eye(4)

=== csr_in_a_layer
a = torch.eye(4).to_sparse_csr()
m = nn.Linear(3, 3)
def f(x):
    return torch.relu(a @ m(x))
>>> t(4, 3)
!!! a = torch.eye(4).to_sparse_csc()
!!! m = nn.Linear(3, 2)

=== sparse_size_is_guarded
a = torch.eye(4).to_sparse()
def f():
    return a.shape[0], a.layout, a.is_sparse, torch.sparse.sum(a)
>>>
!!! a = torch.eye(5).to_sparse()

=== sparse_made_here
def f(x):
    s = x.to_sparse()
    return torch.sparse.mm(s, x).sum(), s.coalesce().values().sum()
>>> t(4, 4)
>>> torch.eye(4)

=== elements_of_a_sparse_tensor
def f(i, v):
    s = torch.sparse_coo_tensor(i, v, (4, 4))
    return s.to_dense() + 1
>>> torch.tensor([[0, 1], [2, 3]]), t(2)
>>> torch.tensor([[0, 1, 2], [2, 3, 1]]), t(3)

=== sparse_gradient
a = torch.eye(4).to_sparse()
w = nn.Parameter(t(4, 4))
def f(x):
    return torch.sparse.mm(a, x @ w)
>>> t(4, 4)

=== quantised
def f(x, scale):
    q = torch.quantize_per_tensor(x, scale, 3, torch.quint8)
    return q.dequantize() + 1, q.int_repr().sum()
>>> t(4, 4), 0.1
>>> t(4, 4), 0.2

=== quantised_from_outside
q = torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
def f(x):
    return x + q.dequantize()
>>> t(2, 2)
!!! q = torch.quantize_per_tensor(torch.ones(2, 2), 0.3, 2, torch.qint8)
!!! q = torch.quantize_per_tensor(torch.ones(1, 2), 0.1, 0, torch.quint8)

=== dynamic_quantised_linear
m = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), {nn.Linear})
def f(x):
    return m(x) + 1
>>> t(2, 4)
!!! m = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 5)), {nn.Linear})

=== wrapper_as_a_weight
w = scaled(3, 4)
def f(x):
    return F.linear(x, w).relu(), w.shape[0]
>>> t(2, 4)
!!! w.scale = torch.tensor(3.0)
!!! w.data_.mul_(2)
!!! w.how = "rows"
!!! w = scaled(5, 4)
!!! w = fixed(3, 4)

=== wrapper_in_a_module
m = nn.Linear(4, 3)
del m.weight
m.weight = scaled(3, 4)
def f(x):
    return m(x) * 2
>>> t(2, 4)
!!! m.weight.scale = torch.tensor(0.5)
!!! m.weight = nn.Parameter(fixed(3, 4))

=== wrapper_as_an_argument
def f(x, w):
    return x @ w
>>> t(2, 4), scaled(4, 3)
>>> t(2, 4), scaled(4, 2)
>>> t(2, 2), scaled(2, 2, how="rows").dense().expand(2, 2)

=== wrapper_with_gradients
w = scaled(3, 4)
b = nn.Parameter(t(3))
def f(x):
    return F.linear(x, w, b)
>>> t(2, 4)
>>> t(2, 4).requires_grad_()

=== wrapper_with_a_list_in_it
w = scaled(3, 4)
w.blocks = [1, {"a": (2, 3)}]
def f(x):
    return F.linear(x, w)
>>> t(2, 4)
!!! w.blocks[1]["a"] = (2, 4)
!!! w.blocks.append(4)

=== wrapper_of_a_wrapper
w = Scaled(scaled(3, 4).dense(), torch.tensor(2.0))
w2 = Scaled(w.data_, w.scale)
def f(x):
    return F.linear(x, w) + F.linear(x, w2)
>>> t(2, 4)
!!! w2.scale = torch.tensor(1.0)

=== attributes_of_a_wrapper
w = scaled(3, 4)
def f(x):
    return x * w.scale + w.data_.sum(), w.how
>>> t(2, 4)
!!! w.how = "rows"
!!! w.data_ = fixed(2, 2)

=== plain_subclass
class Named(torch.Tensor):
    pass
def f(x):
    y = (x + 1).relu()
    return y.sum(), type(y) is Named, isinstance(y, torch.Tensor), y.shape[0]
>>> t(2, 4).as_subclass(Named)
>>> t(3, 4).as_subclass(Named)
>>> t(3, 4)

=== plain_subclass_beside_tensors
class Named(torch.Tensor):
    pass
w = t(4, 4).as_subclass(Named)
def f(x):
    return type(x @ w) is Named, (x @ w).as_subclass(torch.Tensor)
>>> t(2, 4)
!!! w = t(4, 4)

=== class_is_changed
class Named(torch.Tensor):
    pass
x = t(3).as_subclass(Named)
def f():
    return (x * 2).as_subclass(torch.Tensor)
>>>
??? Named.__torch_function__ = torch._C._disabled_torch_function_impl
""",
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_program(case):
    check_torch(case)


BREAKS = cases(r"""
=== how_many_elements | eager
def f(x):
    s = x.to_sparse()
    return s.values().shape[0] * 2, s._nnz()
>>> torch.eye(3)
>>> torch.ones(3, 3)

=== write_to_a_sparse_tensor | eager
a = torch.eye(3).to_sparse()
def f(x):
    a.mul_(2)
    return torch.sparse.mm(a, x)
>>> t(3, 3)

=== scale_of_a_quantised_tensor | eager
q = torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
def f(x):
    return x * q.q_scale()
>>> t(2, 2)
!!! q = torch.quantize_per_tensor(torch.ones(2, 2), 0.3, 2, torch.qint8)

=== functions_of_a_subclass | eager
class Logged(torch.Tensor):
    log = []
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.log.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})
def f(x):
    y = (x + 1).relu()
    return y.as_subclass(torch.Tensor), len(Logged.log)
>>> t(2, 4).as_subclass(Logged)

=== dispatch_of_a_subclass | eager
class Counted(torch.Tensor):
    calls = 0
    @classmethod
    def __torch_dispatch__(cls, func, types, args, kwargs=None):
        cls.calls += 1
        return super().__torch_dispatch__(func, types, args, kwargs or {})
def f(x):
    y = x + 1
    return y.as_subclass(torch.Tensor), Counted.calls > 0
>>> t(2).as_subclass(Counted)
""")


@pytest.mark.parametrize("case", BREAKS, ids=str)
def test_break(case):
    check_torch(case, whole=False)


def ragged(*lengths):
    parts = [torch.arange(n * 2.0).view(n, 2) for n in lengths]
    return torch.nested.nested_tensor(parts, layout=torch.jagged)


def test_jagged_of_other_lengths_hit():
    m = torch.nn.Linear(2, 3)

    def f(n):
        return torch.relu(m(n)) * 2

    fast = magpy.compile(f, backend="eager")
    for lengths in (3, 2), (1, 4), (5, 5, 2), (2, 2):
        n = ragged(*lengths)
        for got, want in zip(fast(n).unbind(), f(n).unbind(), strict=True):
            assert torch.equal(got, want)
    s = magpy.stats(fast)
    assert (s["recordings"], s["hits"], s["graph_breaks"]) == (1, 3, 0)


def test_jagged_made_inside():
    m = torch.nn.Linear(2, 3)

    def f(values, offsets):
        n = torch.nested.nested_tensor_from_jagged(values, offsets)
        return m(n).values().sum(0)

    fast = magpy.compile(f, backend="eager")
    for offsets in (0, 3, 8), (0, 8, 8), (0, 1, 8):
        values = torch.randn(8, 2)
        assert torch.equal(
            fast(values, torch.tensor(offsets)), f(values, torch.tensor(offsets))
        )
    assert magpy.stats(fast)["hits"] > 0


def test_rows_of_a_jagged_tensor_are_not_constant():
    def f(n):
        return (n * 2).values().shape[0]

    fast = magpy.compile(f, backend="eager")
    for lengths in (3, 2), (1, 4), (5, 5):
        assert fast(ragged(*lengths)) == sum(lengths)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_runs_as_recorded(backend):
    """Compilers get no graph with such a tensor; the result is eager's."""
    a = torch.eye(3).to_sparse()

    def f(x):
        return torch.sparse.mm(a, x).relu()

    fast = magpy.compile(f, backend=backend)
    for _ in range(3):
        x = torch.randn(3, 3)
        assert torch.equal(fast(x), f(x))
    assert magpy.stats(fast)["hits"] == 2


def test_sizes_beside_them_are_pinned():
    a = torch.eye(4).to_sparse()

    def f(x):
        return torch.sparse.mm(a, x).sum(), x.shape[1] * 2

    fast = magpy.compile(f, backend="eager")
    for n in (2, 3, 4, 5, 6, 6, 2):
        x = torch.randn(4, n)
        got, want = fast(x), f(x)
        assert torch.equal(got[0], want[0]) and got[1] == want[1]


def test_coalesced_or_not_is_guarded():
    def f(s):
        c = s.coalesce()
        return c, c is s, c._values()

    fast = magpy.compile(f, backend="eager")
    for k in (1, 2, 0, 2, 1, 1, 2, 0):
        here, there = (
            torch.sparse_coo_tensor([[0] * k, [0] * k], [1.0] * k, (2, 2))
            for _ in range(2)
        )
        got, want = fast(here), f(there)
        assert got[1] is want[1]
        assert torch.equal(got[2], want[2])
    assert magpy.stats(fast)["fallbacks"] == 0


def test_rows_do_not_become_columns_at_their_address():
    crow, col, v = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2]), torch.ones(3)

    def f(held):
        return torch.ones(2) + (1 if held[0].layout is torch.sparse_csr else 2)

    fast = magpy.compile(f, backend="eager")
    held = [None]
    for i in range(60):
        make = torch.sparse_csr_tensor if i % 5 else torch.sparse_csc_tensor
        held[0] = None
        held[0] = make(crow, col, v, size=(3, 3))
        assert torch.equal(fast(held), f(held))


def test_sparse_inputs_that_are_written():
    def f(s):
        v = s._values()
        v.add_(1)
        return s * 1

    fast = magpy.compile(f, backend="eager")
    for _ in range(4):
        here, there = torch.eye(2).to_sparse(), torch.eye(2).to_sparse()
        assert torch.equal(fast(here).to_dense(), f(there).to_dense())
        assert torch.equal(here.to_dense(), there.to_dense())
    assert "compile-failed" not in magpy.stats(fast)["reasons"]
