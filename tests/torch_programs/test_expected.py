"""Tests of tensors that hold in all runs but those that raise: `assert t.all()`."""

import pytest

torch = pytest.importorskip("torch")

from torch_worlds import check_torch  # noqa: E402

import magpy  # noqa: E402
from oracle import cases, reasons, whole_hits  # noqa: E402

#: `limit` decides; while it is low, calls raise, and no hit is asked for.
CASES = cases(r"""
limit = torch.tensor(1000.0)

=== asserted
def f(x):
    y = x * 2
    assert (y < limit).all(), "too large"
    return y + 1
>>> t(3)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== asserted_with_a_text
def f(x):
    assert x.sum() < limit, f"sum is {x.sum().item():.1f} of {x.shape}"
    return x + 1
>>> t(3)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== raised
def f(x):
    if not torch.isfinite(x + limit).all():
        raise ValueError(f"not finite: {tuple(x.shape)}")
    return x.exp()
>>> t(3)
??? limit.fill_(float("inf"))
!!! limit.fill_(1000.0)

=== raised_if_any
def f(x):
    if (x > limit).any() or x.numel() > 100:
        raise ValueError("large")
    return x.exp()
>>> t(3)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== raised_in_the_other_arm
def f(x):
    if (x < limit).all():
        y = x * 2
    else:
        raise ValueError("large")
    return y
>>> t(3)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== what_was_done_before_stays
log = []
class Count: n = 0
count = Count()
def f(x, buf):
    count.n += 1
    log.append(x.shape[0])
    buf.add_(1)
    y = x * torch.rand(3)
    assert (x < limit).all()
    log.append("after")
    buf.mul_(2)
    return y + buf
>>> t(3), torch.ones(3)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== caught_by_the_function
def f(x):
    try:
        assert (x < limit).all()
        y = x * 2
    except AssertionError:
        y = x * 3
    finally:
        z = x + 1
    return y + z
>>> t(3)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== in_a_callee_and_a_loop
def check(x):
    for part in x:
        assert (part < limit).all(), "part"
    return x
class Layer(nn.Module):
    def forward(self, x): return check(x) * 2
layer = Layer()
def f(x): return layer(x) + 1
>>> t(3, 2)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== in_a_generator
def parts(x):
    for part in x:
        assert (part < limit).all()
        yield part * 2
def f(x): return torch.stack([*parts(x)])
>>> t(3, 2)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== with_gradients
w = nn.Parameter(fixed(3))
def f(x):
    y = (x * w).exp()
    assert (y < limit).all()
    return y.log()
>>> t(3)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== several
def f(x, i):
    assert (i >= 0).all() and (i < len(x)).all()
    y = x[i]
    assert not (y > limit).any(), y.shape
    return y * 2
>>> t(3), torch.tensor([0, 2])
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== in_torch_assert
def f(x):
    torch._assert((x < limit).all(), "large")
    return x * 2
>>> t(3)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== of_another_length
def f(x):
    assert x[x > 0].sum() < limit
    return x * 2
>>> t(3)
>>> t(5)
??? limit.fill_(-1000.0)
!!! limit.fill_(1000.0)

=== that_raises | eager
def f(x):
    if x.sum() < limit:
        raise ValueError("small")
    return x + 1
>>> t(3)

=== not_of_one_element | eager
def f(x):
    assert x < 10
    return x + 1
>>> t(3)

=== that_goes_on_otherwise
def f(x):
    if x.sum() < limit:
        x = x * 2
    return x + 1
>>> t(3)
!!! limit.fill_(-1000.0)
""")

BREAKS = {"that_goes_on_otherwise": "host-read"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_eager_does(case):
    pair = check_torch(case, whole=case.hit and case.name not in BREAKS)
    if case.name in BREAKS:
        assert reasons(pair.compiled) == {BREAKS[case.name]}


def checked(x, buf, done):  # (pytest rewrites `assert` here)
    buf.add_(1)
    done.append("before")
    y = (x * 2).sin()
    if not (y < 2).all():
        raise ValueError("large")
    done.append("after")
    return y * buf


@pytest.mark.not_under_verify("a verified call is the program's own")
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_one_graph_that_raises_where_eager_does(backend):
    done = []
    fast = magpy.compile(checked, backend=backend)
    for _ in range(4):
        x, buf = torch.randn(3), torch.zeros(3)
        assert torch.allclose(fast(x, buf, done), (x * 2).sin())
        assert buf.tolist() == [1.0] * 3
    bad, buf = torch.tensor([1.0, float("nan"), 2.0]), torch.zeros(3)
    with pytest.raises(ValueError, match="large") as raised:
        fast(bad, buf, done)
    assert raised.traceback[-1].name == "checked"
    assert buf.tolist() == [1.0] * 3
    assert done == ["before", "after"] * 4 + ["before"]
    x, buf = torch.randn(3), torch.zeros(3)
    assert torch.allclose(fast(x, buf, done), (x * 2).sin())
    assert reasons(fast) == {"graph-raised"}
    assert whole_hits(fast) == 4
    assert len(fast.entries()) == 1


@pytest.mark.not_under_verify("a verified call is the program's own")
def test_a_program_that_often_raises_keeps_its_entry():
    fast = magpy.compile(checked, backend="eager")
    fast(torch.ones(3), torch.ones(3), [])
    for _ in range(10):
        with pytest.raises(ValueError, match="large"):
            fast(torch.full((3,), float("nan")), torch.ones(3), [])
    assert fast(torch.zeros(3), torch.ones(3), []).tolist() == [0.0] * 3
    assert whole_hits(fast) == 1
