"""Selections: tensors whose sizes depend on data, and what is known of them all the same."""

import shutil

import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch_worlds import check_torch

import magpy
from oracle import cases

CASES = cases(r"""
def masks(i):
    return [torch.arange(6) % 3 > 0, torch.zeros(6) > 1, torch.ones(6) > 0, torch.arange(6) == 2, torch.arange(6) < 3][i]

=== rows
def f(x, m):
    y = x[m]
    return y.ndim, y.size(1), y.dim(), y.view(-1, y.size(1) // 2), y.sum(0).shape
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(2)
>>> t(6, 4), masks(3)

=== parts_of_rows
def f(x, m):
    a, b = x[m].chunk(2, dim=-1)
    c, d = x[m].split([1, 3], dim=1)
    return a * b, c + d, [p.sum() for p in x[m].unbind(1)], [len(p) for p in x[m].T.chunk(2)]
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(2)

=== columns
def f(x, m):
    y = x[:, m]
    return len(y), [row.sum() for row in y], y.size(0)
>>> t(3, 6), masks(0)
>>> t(3, 6), masks(1)
>>> t(3, 6), masks(3)

=== places
def f(x):
    r, c = torch.where(x > 0)
    i = (x > 0).nonzero()
    a, b = i.unbind(1)
    return x[r, c], i.size(1), x[a, b] - x[r, c], [p for p in i.t()], i.ndim
>>> t(3, 4)
>>> -torch.ones(3, 4)
>>> torch.eye(3, 4) - 0.5

=== one_place | eager
def f(x):
    r, = torch.where(x > 0)
    y = r.squeeze(0)
    return y.ndim, y
>>> torch.tensor([1.0, -1.0, 1.0])
>>> torch.tensor([1.0, -1.0, -1.0])
>>> torch.tensor([-1.0, -1.0, -1.0])

=== squeezed | eager
def f(x, m):
    y = x[m].squeeze()
    return y.ndim, y.dim(), y * 2
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(1)

=== parts_by_data | eager
def f(x, m):
    return [p.sum() for p in x[m].split(2)], [r.sum() for r in x[m]], x[m].chunk(3)
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(2)

=== one_row_is_contiguous | eager
def f(x, m):
    y = x[m].t()
    z = y.contiguous()
    z += 1
    return y, z, y is z, z.is_contiguous()
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)

=== more_rows_are_copied | eager
def f(x, m):
    y = x[m].t()
    z = y.contiguous()
    z += 1
    return y, z, y is z, {y: 1}.get(z), [y].count(z) if y is z else 0
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(1)

=== copied_or_not
def f(x, m):
    y = x[m].t()
    z = y.contiguous()
    z += 1
    return y, z, z.ndim, z.size(0)
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(1)

=== copy_of_rows
def f(x, m):
    y = x[m]
    z = y.contiguous()
    z += 1
    return y, z, y is z
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(1)

=== stride_by_data | eager
def f(x, m):
    y = x[m].t().select(1, 0)
    return y.shape, y.stride(), y.is_contiguous(), y
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(2)

=== all_of_it
def f(x, m):
    return x[m].shape, x[m].numel(), len(x[m]), x[m].size()
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(1)

=== number_of_rows
def f(x, m):
    y = x[m]
    n, d = y.shape
    kept = {"n": n, "next": n + 1, "all": [y.shape, len(y)]}
    return n * d, kept, y.sum() / max(n, 1), torch.zeros(n, 2), torch.arange(n), x[:n], y.reshape(n, 2, 2)
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(2)

=== number_of_rows_is_kept
class Holder:
    count = 0
h = Holder()
seen = []
def f(x, m):
    y = x[m]
    h.count += y.shape[0]
    h.last = y.shape
    seen.append(y.numel())
    x.add_(y.size(0))
    return y.size(-2), y.dim()
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(3)
!!! h.count = 5

=== shapes_of_such_sizes
def f(x, m):
    n = x[m].shape[0]
    a, b = torch.ones(n, 6).chunk(2, 1)
    z = x.new_zeros(n, 3, 2)
    return a - b, z.ndim, z.shape[1:], z.size(1), z.transpose(0, 1).shape[0], torch.zeros(x[m].shape).size(1)
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(3)

=== parts_of_such_sizes
def f(x, m):
    n = int(m.sum())
    a, b = x.split([n, 6 - n])
    return a.sum(), b, a.size(1), b.shape
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(2)
>>> t(6, 4), masks(3)

=== rows_decide | eager
def f(x, m):
    y = x[m]
    if y.shape[0] == 0:
        return x
    return y * 2 if len(y) > 2 else [r for r in y], y.shape == x.shape
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(3)
>>> t(6, 4), masks(2)

=== texts_of_rows | eager
def f(x, m):
    return f"{x[m].shape} {len(x[m])}", repr(x[m].size()), {x[m].shape: 1}, range(len(x[m])), [1] * x[m].size(0)
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)

=== written
def f(x, m):
    y = x.clone()
    y[m] = 0
    y[m] += x[m].chunk(2, 1)[0].sum(1, keepdim=True)
    z = y[m]
    a, b = z.chunk(2, 1)
    a.mul_(2)
    b.add_(a)
    x.index_add_(0, torch.where(m)[0], z)
    return y, z
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(3)

=== two_selections
def f(x, m, k):
    y = x[m] * x[k]
    a, b = y.chunk(2, 1)
    return a - b, y.size(1)
>>> t(6, 4), masks(0), masks(0)
>>> t(6, 4), masks(2), masks(3)
>>> t(6, 4), masks(3), masks(4)
>>> t(6, 4), masks(1), masks(3)

=== weights_of_rows
def f(x, w, m):
    y = F.silu(F.linear(x[m], w))
    a, b = y.chunk(2, -1)
    p, i = y.softmax(-1).topk(2, -1)
    return (a * b).sum(), p, i, p.size(-1), i.ndim
>>> t(6, 4).requires_grad_(), t(8, 4).requires_grad_(), masks(0)
>>> t(6, 4).requires_grad_(), t(8, 4).requires_grad_(), masks(1)
>>> t(6, 4).requires_grad_(), t(8, 4).requires_grad_(), masks(3)
>>> t(6, 4).requires_grad_(), t(8, 4).requires_grad_(), masks(2)

=== distinct
def f(x):
    u, at, n = torch.unique((x * 2).long(), return_inverse=True, return_counts=True)
    return u[at], at.shape, at.size(0), n.sum(), u.ndim
>>> t(3, 4)
>>> torch.ones(3, 4)
>>> t(3, 4)

=== repeated
def f(x, m):
    y = x.repeat_interleave(m.long() * 2, dim=0)
    a, b = y.split(2, dim=1)
    return a @ b.T, y.size(1), torch.bincount(m.long(), minlength=3)
>>> t(6, 4), masks(0)
>>> t(6, 4), masks(1)
>>> t(6, 4), masks(3)

=== sizes_that_vary
def f(x, m):
    y = x[m]
    a, b = y.chunk(2, -1)
    return a * b, y.size(1) * 2, y.sum(0).shape, y.view(-1, y.size(1) // 2, 2)
>>> t(6, 4), masks(0)
>>> t(6, 8), masks(1)
>>> t(6, 12), masks(3)
>>> t(6, 6), masks(2)
""")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_selections(case):
    check_torch(case)


# -- One graph -------------------------------------------------------------------------

MASKS = [
    torch.arange(6) % 3 > 0,
    torch.zeros(6) > 1,
    torch.ones(6) > 0,
    torch.arange(6) == 2,
    torch.arange(6) < 3,
]
WEIGHTS = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


def experts(x, m):
    """Every expert runs on what was routed to it, as in models of Hugging Face."""
    out = torch.zeros_like(x)
    share, chosen = (x @ WEIGHTS[:, :3]).softmax(-1).topk(2, -1)
    for i in range(3):
        rows, which = torch.where((chosen == i) & m[:, None])
        a, b = F.linear(x[rows], WEIGHTS.T).chunk(2, -1)
        out.index_add_(0, rows, F.silu(a) * b * share[rows, which, None])
    return out


def gated(x, m):
    a, b = (x[m] @ WEIGHTS).chunk(2, -1)
    return torch.zeros_like(x).masked_scatter(m[:, None], a * b)


def columns(x, m):
    return torch.stack([c.sum() for c in x[m].unbind(1)]) + x[m].T.size(0)


def pairs(x, m):
    r, c = (x > 0).nonzero().unbind(1)
    y = x[r, c]
    return torch.zeros(4).scatter_add(0, c, y).view(2, -1) + y.ndim


def reduced(x, m):
    y = torch.masked_select(x, m[:, None])
    z = x[m].mean(0)
    return y.sum(), z.nan_to_num().view(z.shape[0] // 2, -1)


def counted(x, m):
    u, at = torch.unique((x * 2).long(), return_inverse=True)
    return u[at].view(at.size(0), -1), torch.bincount(at.flatten(), minlength=2)[:2]


def repeated(x, m):
    y = x.repeat_interleave(m.long() + 1, 0)
    return y.split([1, y.size(1) - 1], 1)[1].sum(0)


def mean_of_rows(x, m):
    y = x[m]
    n = y.shape[0]
    return (y.sum(0) / (n + 1)), torch.arange(n) * 2, y.new_zeros(n, 4).chunk(2, 1)[0]


PROGRAMS = [experts, gated, columns, pairs, reduced, counted, repeated, mean_of_rows]


def calls():
    numbers = torch.Generator().manual_seed(1)
    for m in MASKS + MASKS[::-1]:
        yield torch.randn(6, 4, generator=numbers), m


def assert_one_graph(compiled):
    stats = magpy.stats(compiled)
    wanted = {"recordings": 1, "graphs": 1, "graph_breaks": 0, "fallbacks": 0}
    assert {name: stats[name] for name in wanted} == wanted, stats["breaks"]


def assert_same(f, compiled, tolerance=0.0, grad=False):
    """Both worlds agree for every mask; with `grad`, in their gradients, too."""
    close = {"rtol": tolerance, "atol": tolerance}
    for x, m in calls():
        given, also = x.clone().requires_grad_(grad), x.clone().requires_grad_(grad)
        expected, found = f(given, m), compiled(also, m)
        torch.testing.assert_close(found, expected, **close)
        for y, z in zip(_list(expected), _list(found), strict=True):
            assert y.requires_grad == z.requires_grad
            assert y.stride() == z.stride()
            if y.requires_grad:
                y.sin().sum().backward(retain_graph=True)
                z.sin().sum().backward(retain_graph=True)
        torch.testing.assert_close(also.grad, given.grad, **close)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_one_graph(f, grad):
    compiled = magpy.compile(f, backend="eager")
    assert_same(f, compiled, grad=grad)
    assert_one_graph(compiled)


def notes(capsys, f, backend, **options):
    """Return what is said of the graph that a backend gets."""
    magpy.config.logs = "breaks"
    try:
        compiled = magpy.compile(f, backend=backend)
        assert_same(f, compiled, 1e-5, **options)
    finally:
        magpy.config.logs = ""
    assert_one_graph(compiled)
    return capsys.readouterr().err


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_compiled(f, grad, capsys):
    assert "as recorded" not in notes(capsys, f, "aot_eager", grad=grad)


@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor has no C++ compiler")
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("f", [experts, pairs], ids=lambda f: f.__name__)
def test_compiled_by_inductor(f, grad, capsys):
    assert "as recorded" not in notes(capsys, f, "inductor", grad=grad)


def copies_or_not(x, m):
    y = x[m].t()
    z = y.contiguous()
    z += 1
    return z, y * 2


def largest(x, m):
    return x.repeat_interleave(m.long() + 1, 0).amax(0)


@pytest.mark.parametrize(
    ("f", "why"),
    [
        (copies_or_not, "it depends on data whether contiguous makes a copy"),
        (largest, "amax raises for some numbers of rows"),
    ],
)
def test_runs_as_recorded(f, why, capsys):
    assert why in notes(capsys, f, "aot_eager")


def raises_without_rows(x, m):
    values, _ = x[m].max(0)
    return values.shape, values + 1


def joins_empty(x, m):
    y = torch.cat([x[:, 0][m], torch.ones(2, 3)])
    return y.ndim, y


def adds_others(x, m):
    return x[m] + x[:, :1][m.flip(0) & (x[:, 0] > 0)]


def adds_three(x, m):
    return x[m] + torch.ones(3, 4), x[m] * 2


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
@pytest.mark.parametrize(
    "f", [raises_without_rows, joins_empty, adds_others, adds_three]
)
def test_raises_where_eager_raises(f, backend):
    if backend == "inductor" and (shutil.which("g++") is None or f is joins_empty):
        pytest.skip("Inductor has no C++ compiler, or nothing to compile")
    compiled = magpy.compile(f, backend=backend)
    for x, m in calls():
        expected, found = [_outcome(g, x, m) for g in (f, compiled)]
        assert [str(x) for x in found] == [str(x) for x in expected]


def _outcome(f, x, m):
    try:
        return list(_list(f(x, m)))
    except (RuntimeError, IndexError) as error:
        return [type(error).__name__, str(error)]


def _list(result):
    return [result] if isinstance(result, torch.Tensor) else result
