"""Graphs with branches that compilers get piece by piece (`magpy.pieces`)."""

import copy
import shutil
import threading
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import magpy
from magpy import graph, logs, pieces, regions

needs_inductor = pytest.mark.skipif(
    shutil.which("g++") is None, reason="no C++ compiler"
)
BACKENDS = ["aot_eager", pytest.param("inductor", marks=needs_inductor)]


@pytest.fixture(autouse=True)
def flow():
    with magpy.config.patch(control_flow=True):
        yield


class Counting:
    """A backend that counts the operations of each graph that it gets."""

    def __init__(self):
        self.sizes = []

    def __call__(self, gm, example_inputs):
        nodes = [n for n in gm.graph.nodes if n.op in ("call_function", "call_method")]
        self.sizes.append(len(nodes))
        return gm.forward


def counts(fast):
    found = magpy.stats(fast)
    return found["graphs"], found["hits"], found["graph_breaks"]


class Arms(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.left = nn.Conv2d(4, 4, 1)
        self.right = nn.Conv2d(4, 4, 1)

    def forward(self, x, keep):
        y = self.first(x).relu()
        if keep.sum() > 0:
            y = self.left(y).relu() + y
        else:
            y = self.right(y) * y
        return y.mean((2, 3)) * 2


def small_arms(seed=0):
    torch.manual_seed(seed)
    return Arms()


@pytest.mark.parametrize("backend", BACKENDS)
def test_convolutions_in_arms_are_those_of_eager(backend, monkeypatch):
    told = []
    monkeypatch.setattr(logs, "write", lambda kind, text, *_: told.append((kind, text)))
    model = small_arms().eval()
    fast = magpy.compile(model, backend=backend)
    with torch.no_grad():
        for keep in (1, 0, 1, 0, 1):
            x, k = torch.randn(2, 3, 6, 6), torch.tensor([keep])
            torch.testing.assert_close(fast(x, k), model(x, k))
    assert counts(fast) == (1, 4, 0)
    assert not any(kind == "breaks" for kind, _ in told)  # nothing runs as recorded


@needs_inductor
def test_convolutions_around_torch_cond(monkeypatch):
    """Inductor gives its graphs tensors with channels last, unless it is told not to."""
    told = []
    monkeypatch.setattr(logs, "write", lambda kind, text, *_: told.append((kind, text)))
    torch.manual_seed(0)
    first, inner = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

    def f(x, keep):
        y = torch.relu(first(x))
        for k in range(2):
            y = torch.cond(
                keep.sum() > k, lambda a: torch.relu(a + inner(a)), torch.sin, (y,)
            )
        return y.mean((2, 3)) + 1

    fast = magpy.compile(f, backend="inductor")
    with torch.no_grad():
        for keep in (1, 0, 2, 1):
            x, k = torch.randn(2, 3, 32, 32), torch.tensor([keep])
            torch.testing.assert_close(fast(x, k), f(x, k))
    assert counts(fast) == (1, 3, 0)
    assert not any(kind == "breaks" for kind, _ in told)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_those_of_the_arm_that_was_taken(backend):
    model, other = small_arms(), small_arms()
    fast = magpy.compile(model, backend=backend)
    for keep in (1, 0, 1, 1, 0):
        torch.manual_seed(keep)
        k = torch.tensor([keep])
        given = [torch.randn(2, 3, 6, 6, requires_grad=True) for _ in range(2)]
        given[1].data.copy_(given[0].data)
        for run, x in zip((fast, other), given, strict=True):
            run.zero_grad()
            run(x, k).square().sum().backward()
        torch.testing.assert_close(given[0].grad, given[1].grad)
        pairs = zip(model.named_parameters(), other.parameters(), strict=True)
        for (name, ours), theirs in pairs:
            assert (ours.grad is None) == (theirs.grad is None), name
            if theirs.grad is not None:
                torch.testing.assert_close(ours.grad, theirs.grad)
    assert counts(fast) == (1, 4, 0)


def test_a_piece_is_compiled_when_it_runs_first():
    backend = Counting()
    model = small_arms()
    fast = magpy.compile(model, backend=backend)
    calls = []
    for keep in (1, 1, 1, 0, 0):
        fast(torch.randn(2, 3, 6, 6), torch.tensor([keep])).sum().backward()
        calls.append(len(backend.sizes))
    # The first call is recorded; what follows are the begin, one arm and the end.
    assert calls == [0, 3, 3, 4, 4]


def test_nests_may_be_deep():
    backend = Counting()

    def f(x):
        n = 0
        y = x * 1
        while bool((y.relu() + 1).sum() < 10) and n < 12:
            y = (y + 1) * 1
            n += 1
        return y * 2

    fast = magpy.compile(f, backend=backend)
    for k in (0, 5, 2, -9, 0):
        x = torch.full((3,), float(k))
        assert torch.equal(fast(x), f(x))
    assert counts(fast) == (1, 4, 0)
    assert sum(backend.sizes) > 12


def test_writes_in_arms():
    def f(x):
        b = torch.zeros(4, 3)
        y = x * 2
        for k in range(4):
            if y.sum() > k:
                b[k] = y
                y = y - b[k] / 2
            else:
                b[k].sub_(1)
        return y, b

    for backend in ("aot_eager", Counting()):
        fast = magpy.compile(f, backend=backend)
        with torch.no_grad():
            for k in (1, 0, 3, -1, 1):
                x = torch.full((3,), float(k))
                for ours, theirs in zip(fast(x), f(x), strict=True):
                    assert torch.equal(ours, theirs)


def test_a_piece_that_a_backend_fails_on_runs_as_recorded():
    def backend(gm, example_inputs):
        if any(n.target is torch.sin for n in gm.graph.nodes):
            raise ValueError("no sines")
        return gm.forward

    def f(x):
        y = (x + 1) * 2
        for _ in range(5):
            if y.sum() > 0:
                y = torch.sin(y) + 1
            else:
                y = y * y - 1
        return y

    fast = magpy.compile(f, backend=backend)
    for k in (1, -1, -9, 1, 5):
        x = torch.full((3,), float(k), requires_grad=True)
        assert torch.equal(fast(x), f(x))
    assert counts(fast) == (1, 4, 0)


def test_an_interrupt_in_a_compile_is_the_callers():
    interrupts = [True]

    def backend(gm, example_inputs):
        if interrupts:
            raise KeyboardInterrupt
        return gm.forward

    model = small_arms()
    fast = magpy.compile(model, backend=backend)
    x, k = torch.randn(2, 3, 6, 6), torch.tensor([1])
    wanted = fast(x, k)
    with pytest.raises(KeyboardInterrupt):
        fast(x, k)
    interrupts.clear()
    for _ in range(2):
        assert torch.equal(fast(x, k), wanted)


def test_switched_gradients_around_a_branch():
    weight = torch.ones(3, requires_grad=True)

    def f(x):
        with torch.no_grad():
            y = x * weight + 1
        if y.sum() > 0:
            y = y * weight + 1
        else:
            y = y - weight * 2
        return y

    fast = magpy.compile(f, backend="aot_eager")
    for sign in (1, -9, 1, -9):
        x = torch.full((3,), float(sign))
        ours, theirs = fast(x), f(x)
        assert torch.equal(ours, theirs)
        assert ours.requires_grad == theirs.requires_grad
    assert counts(fast) == (1, 3, 0)


@pytest.mark.parametrize("operator", [False, True])
def test_inference_mode_around_a_branch_is_left(operator):
    def f(x):
        with torch.inference_mode():
            y = x * 2
            if operator:
                t = torch.cond(y.sum() > 0, lambda a: a + 1, lambda a: a.sin(), (y,))
            elif y.sum() > 0:
                t = y + 1
            else:
                t = y.sin()
            t = t * 2
        return t.clone()

    fast = magpy.compile(f, backend="aot_eager")
    for sign in (1, -1, 1, -1):
        x = torch.full((3,), float(sign))
        assert torch.equal(fast(x), f(x))
        assert not torch.is_inference_mode_enabled()
    assert magpy.stats(fast)["hits"] == 3


def test_threads_compile_a_piece_once():
    backend = Counting()
    model = small_arms()
    fast = magpy.compile(model, backend=backend)
    x, k = torch.randn(2, 3, 6, 6), torch.tensor([1])
    wanted = fast(x, k)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fast(x, k))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(each, wanted) for each in found)
    assert len(found) == 2
    assert len(backend.sizes) == 3


class Value:
    def __init__(self, index):
        self.index = index


def test_a_piece_may_run_while_it_is_compiled():
    a, b = Value(0), Value(1)
    found = []

    def make(spec, inputs):
        if not found:  # as a finalizer would that calls the program
            found.extend(piece(*inputs))
        return (lambda x: (x + 1,)), False, None

    ops = [(torch.add, (a, 1), {}, b)]
    piece = pieces.Piece((ops, 1, (1,), {}), frozenset(), frozenset(), make)
    x = torch.ones(2)
    assert torch.equal(piece(x)[0], found[0])
    assert torch.equal(piece(x)[0], x + 1)


def test_other_inputs_than_those_compiled_for_run_as_recorded():
    a, b, c = map(Value, range(3))
    ops = [(torch.add, (a, 1), {}, b), (torch.mul, (b, 2), {}, c)]
    made = []

    def make(spec, inputs):
        made.append([x.stride() for x in inputs])
        return (lambda x: (torch.zeros(()),)), False, None

    piece = pieces.Piece((ops, 1, (2,), {}), frozenset(), frozenset(), make)
    assert piece(torch.ones(2, 3))[0].shape == ()
    assert torch.equal(piece(torch.ones(3, 2).t())[0], torch.full((2, 3), 4.0))
    assert piece(torch.ones(2, 3))[0].shape == ()
    assert made == [[(3, 1)]]
    sure = pieces.Piece((ops, 1, (2,), {}), frozenset({0}), frozenset(), make)
    assert sure(torch.ones(2, 3))[0].shape == ()


def test_what_a_piece_writes_to_is_found():
    a, b, c, d = map(Value, range(4))
    ops = [
        ("view", (a, 6), {}, b),
        ("add_", (b, 1), {}, d),
        (torch.mul, (b, c), {}, Value(4)),
    ]
    seen = {}

    def make(spec, inputs):
        seen.update(spec[3])
        return graph.build(spec).forward, False, None

    spec = regions.spec_of([a, c], ops, (Value(4),))
    x = torch.ones(2, 3)
    pieces.Piece(spec, frozenset(), frozenset(), make)(x, torch.ones(6))
    assert seen["mutated"] == (0,)
    assert seen["written"] == (1,)
    assert torch.equal(x, torch.full((2, 3), 2.0))


class Kept(nn.Module):
    """Batch norm, whose kernel writes its statistics without raising their versions."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(3, 3), nn.BatchNorm1d(3)

    def forward(self, x, keep):
        y = self.norm(self.first(x)).relu() * 2
        if keep > 0:
            y = self.first(y).sin() * 2
        else:
            y = (y * 2).cos()
        return y * 2 + 1


def test_statistics_are_kept_once():
    torch.manual_seed(0)
    model = Kept()
    other = copy.deepcopy(model)
    fast = magpy.compile(model, backend="aot_eager")
    for keep in (1, 0, 1, 0, 1):
        x = torch.randn(4, 3)
        for run in (fast, other):
            run(x, torch.tensor(keep)).sum().backward()
        for ours, theirs in zip(model.buffers(), other.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs)
    assert counts(fast) == (1, 4, 0)


@pytest.mark.parametrize("trains", [True, False])
def test_a_piece_is_told_of_statistics_that_its_kernels_write(trains):
    x, mean, var, y = map(Value, range(4))
    ops = [
        (F.batch_norm, (x, mean, var), {"training": trains}, y),
        (torch.sin, (y,), {}, Value(4)),
    ]
    spec = regions.spec_of([x, mean, var], ops, (Value(4),))
    given = torch.randn(4, 3), torch.zeros(3), torch.ones(3)
    seen = []

    def make(spec, inputs):
        seen.append(spec[3].get("mutated", ()))
        return graph.build(spec).forward, False, None

    for changed in ((), (0, 1)):
        piece = pieces.Piece(spec, frozenset(), frozenset(changed), make)
        piece(*given)
    assert seen == ([(1, 2), (0, 1, 2)] if trains else [(), (0, 1)])


def test_nobody_hears_what_a_compiler_warns_of_while_a_piece_is_compiled():
    def backend(gm, example_inputs):
        warnings.warn("of the compiler", stacklevel=1)
        return gm.forward

    fast = magpy.compile(small_arms(), backend=backend)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for keep in (1, 1, 0, 1, 0):
            fast(torch.randn(2, 3, 6, 6), torch.tensor([keep])).sum().backward()
    assert not [w for w in heard if "of the compiler" in str(w.message)]
    assert counts(fast) == (1, 4, 0)


def test_arms_that_use_tensors_which_share_memory():
    def f(x, keep):
        y = x * 2 + 1
        a, b = y.t(), y[:, 1:]
        if keep > 0:
            r = (a * 2).sum(0) + 1
        else:
            r = (b * 3).sum(1) - 1
        a.add_(1)
        b.mul_(2)
        return a * 2 + 1, r * 2, y

    fast = magpy.compile(f, backend="aot_eager")
    for keep in (1, 0, 1, 0):
        x, k = torch.randn(2, 3), torch.tensor(keep)
        for ours, theirs in zip(fast(x, k), f(x, k), strict=True):
            torch.testing.assert_close(ours, theirs)
    assert counts(fast) == (1, 3, 0)
