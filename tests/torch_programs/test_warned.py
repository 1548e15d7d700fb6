"""Warnings around operations, and those of torch's own Python code."""

import contextlib
import io
import sys
import time
import warnings

import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch_worlds import check_torch

import magpy
from oracle import cases

pytestmark = pytest.mark.usefixtures("own_warnings")

CASES = cases(r"""
=== pooling_with_warnings_ignored
import warnings
class SPP(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 2, 1)
        self.pools = nn.ModuleList([nn.MaxPool2d(k, 1, k // 2) for k in (3, 5)])
    def forward(self, x):
        x = self.first(x)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.cat([x] + [m(x) for m in self.pools], 1)
f = SPP()
>>> t(1, 2, 6, 6)
!!! f.pools[0].kernel_size = 1; f.pools[0].padding = 0

=== buffers_are_written_while_they_are_ignored
import warnings
norm = nn.BatchNorm1d(3)
def f(x):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        y = F.dropout(norm(x), 0.0)
    return y, norm.running_mean
>>> t(2, 3)
!!! norm.eval()

=== legacy_arguments
import warnings
def f(x, y):
    return F.l1_loss(x, y, size_average=True), F.mse_loss(x, y, reduce=False)
>>> t(3), t(3) + 1
!!! warnings.simplefilter("ignore")

=== instance_norm_of_another_size
norm = nn.InstanceNorm2d(5)
def f(x):
    return norm(x)
>>> t(1, 3, 4, 4)

=== implicit_dimension
soft = nn.Softmax()
def f(x):
    return soft(x), F.log_softmax(x)
>>> t(3, 4)

=== in_a_forward_that_the_graph_runs_again | eager
import warnings
class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        warnings.warn("inside")
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g * 2
def f(x):
    return Double.apply(x) + 1
>>> t(2)
>>> t(2).requires_grad_()

=== warned_by_shape
import warnings
def f(x):
    if x.shape[0] > 2:
        warnings.warn(f"{x.shape[0]} rows, {tuple(x.shape)}", RuntimeWarning)
    return x * 2
>>> t(2)
>>> t(3)
>>> t(4)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_program(case):
    with contextlib.redirect_stderr(io.StringIO()):
        check_torch(case)


def shown(fn, *args):
    with contextlib.redirect_stderr(io.StringIO()) as file:
        fn(*args)
    return file.getvalue()


@pytest.mark.parametrize("action", ["default", "always", "module"])
def test_torch_warns_for_its_place(action, monkeypatch):
    """As often as in eager mode: once for a place, or each time."""

    def f(x):
        return torch.nn.functional.l1_loss(x, x, size_average=True)

    def run(fn):
        module = sys.modules["torch.nn._reduction"]
        monkeypatch.setattr(module, "__warningregistry__", {}, raising=False)
        warnings.filters[:] = []  # type: ignore[index]
        warnings.simplefilter(action)
        texts = [shown(fn, torch.ones(2)) for _ in range(4)]
        warnings.simplefilter("ignore")
        return texts, shown(fn, torch.ones(2))

    fast = magpy.compile(f, backend="eager")
    assert run(fast) == run(f)
    assert magpy.stats(fast)["graph_breaks"] == 0
    assert magpy.stats(fast)["hits"] >= 3


def test_a_log_gets_what_operations_warn_of():
    def f(x):
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter("always")
            y = x.T
        return y, len(log), [str(w.message)[:10] for w in log]

    fast = magpy.compile(f, backend="eager")
    always, x = torch.is_warn_always_enabled(), torch.ones(2, 2, 2)
    torch.set_warn_always(True)
    try:
        for _ in range(4):
            with contextlib.redirect_stderr(io.StringIO()) as file:
                assert fast(x)[1:] == (1, f(x)[2])
            assert file.getvalue() == ""
    finally:
        torch.set_warn_always(always)


def test_a_graph_that_raises_leaves_the_filters_alone():
    def f(x, i):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.nn.functional.embedding(i, x)

    fast = magpy.compile(f, backend="eager")
    x, good, bad = torch.ones(2, 2), torch.tensor([0]), torch.tensor([7])
    for _ in range(3):
        fast(x, good)
    assert magpy.stats(fast)["hits"] == 2
    before = warnings.filters
    with pytest.raises(IndexError):
        fast(x, bad)
    assert warnings.filters is before and warnings.filters == []


def hidden(x, running):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        running.add_(1)
        return torch.nn.functional.l1_loss(x.T, x * 0, size_average=True) + torch.rand(
            ()
        )


def shown_although_ignored_outside(x, running):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        running.add_(1)
        return x.T + torch.rand(())


def an_error(x, running):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return x.T + running.add_(1)
        except UserWarning as warning:
            return type(warning)


def silent(x, running):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return torch.nn.functional.l1_loss(x, x * 0) + running.add_(1) + torch.rand(())


@pytest.mark.parametrize("outside", ["always", "ignore", "error"])
@pytest.mark.parametrize(
    "f", [hidden, shown_although_ignored_outside, an_error, silent]
)
def test_operations_warn_under_the_filters_of_the_program(f, outside):
    def run(fn, running, number):
        torch.manual_seed(number)
        with warnings.catch_warnings():
            warnings.simplefilter(outside)
            warnings.simplefilter("ignore", magpy.MagpyWarning)
            with contextlib.redirect_stderr(io.StringIO()) as file:
                answer = fn(torch.full((2, 2, 2), float(number)), running)
        return str(answer), running.tolist(), file.getvalue(), torch.rand(1).item()

    always, fast = torch.is_warn_always_enabled(), magpy.compile(f, backend="eager")
    ours, theirs = torch.zeros(2), torch.zeros(2)
    torch.set_warn_always(True)
    try:
        for number in range(8):
            assert run(fast, ours, number) == run(f, theirs, number)
    finally:
        torch.set_warn_always(always)
    assert magpy.stats(fast)["hits"] >= (7 if f is silent else 2), magpy.stats(fast)


STRICT = """
log = []

def f(x, y):
    log.append("began")
    y.mul_(2)
    {}
    log.append("ended")
    return z + torch.rand(())
"""

WARNS = {
    "in Python": "z = F.l1_loss(x, y, reduce=True)",
    "after another": "z = F.l1_loss(x, y, reduce=True) + (F.l1_loss(x, x, size_average=True) + y)",
    "broadcast": "z = F.mse_loss(x, y[:1]) + y",
    "behind a break": "print(end=''); time.time(); y.add_(1); z = F.l1_loss(x, y, reduce=True)",
    "handled": "z = 0\n    try:\n        y.add_(1); z = F.l1_loss(x, y, reduce=True)\n"
    "    except UserWarning:\n        log.append('caught')",
    "finally": "z = 0\n    try:\n        y.add_(1); z = F.l1_loss(x, y, reduce=True)\n"
    "    finally:\n        log.append('end')",
}


@pytest.mark.parametrize("body", WARNS)
def test_the_caller_lets_warnings_raise(body):
    """Whatever the filters were in the recording, the exception is the program's own."""
    worlds = [{"torch": torch, "F": F, "time": time} for _ in range(2)]
    for world in worlds:
        exec(STRICT.format(WARNS[body]), world)
    fast = magpy.compile(worlds[1]["f"], backend="eager")
    for strict in (0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 0):
        seen = []
        for world, f in zip(worlds, (worlds[0]["f"], fast), strict=True):
            torch.manual_seed(0)
            x, y = torch.ones(2, 3), torch.arange(6.0).reshape(2, 3)
            world["log"].clear()
            with warnings.catch_warnings(record=True) as shown:
                warnings.simplefilter("always")
                if strict:
                    warnings.filterwarnings("error", category=UserWarning)
                try:
                    end = repr(f(x, y))
                except UserWarning as error:
                    end = (
                        str(error),
                        error.__traceback__.tb_next.tb_frame.f_code.co_name,
                    )
            texts = [str(w.message) for w in shown]
            state = list(world["log"]), repr(y), y._version, torch.rand(2).tolist()
            seen.append((end, texts, state))
        assert seen[0] == seen[1]
    assert magpy.stats(fast)["hits"] >= 3


CHANGED = """
def f(x, y):
    {}
    return x * 3

def warned(z):
    with warnings.catch_warnings():
        warnings.simplefilter(why)
        return F.l1_loss(z, z * 0, size_average=True)
"""

UNDONE = {
    "history": "y.copy_(x + warned(x))",
    "history before": "y.copy_(x); y.mul_(warned(x))",
    "data": "warned(x); y.data = x.detach() * 2",
    "grad": "y.requires_grad_(); y.grad = torch.ones(2, 3); warned(x)",
    "another shape": "torch.add(warned(x.detach()), torch.ones(4), out=y)",
    "large": "big.mul_(2); warned(x); big.add_(1)",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("body", UNDONE)
def test_a_warning_under_filters_of_the_program_and_what_cannot_be_undone(body):
    """No exception but the program's own, and nothing is written twice."""
    worlds = [{"torch": torch, "F": F, "warnings": warnings} for _ in range(2)]
    for world in worlds:
        exec(CHANGED.format(UNDONE[body]), world)
    fast = magpy.compile(worlds[1]["f"], backend="eager")
    for why in ("ignore", "ignore", "ignore", "ignore", "error", "always", "ignore"):
        seen = []
        for world, f in zip(worlds, (worlds[0]["f"], fast), strict=True):
            world.update(why=why, big=torch.ones(5 << 20))
            x, y = torch.ones(2, 3, requires_grad=True), torch.zeros(2, 3)
            try:
                end = repr(f(x, y))
            except Exception as error:
                end = type(error), str(error)
            sums = world["big"].sum().item(), y._version
            seen.append((end, repr(y), y.requires_grad, repr(y.detach()), sums))
        assert seen[0] == seen[1]
