"""Graphs with numbers through each backend: like eager wherever the guards hold."""

from __future__ import annotations

import copy
import operator
import shutil
import signal
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from test_shapes import HALF, N, V, spec  # noqa: E402

from magpy import backends, graph  # noqa: E402
from magpy._session import Session  # noqa: E402
from magpy.shapes import case as cases  # noqa: E402
from magpy.shapes import proof  # noqa: E402

BACKENDS = ["eager", "aot_eager", "mine", "inductor"]


def mine(gm, examples):
    """As TorchDynamo calls one: live tensors, symbols for ints, tensors for floats."""
    mine.examples = examples
    return gm.forward


def session(name):
    if name == "inductor" and shutil.which("g++") is None:
        pytest.skip("Inductor has no C++ compiler")
    backend = backends.resolve(mine if name == "mine" else name, backends.Settings())
    return Session("f", backend, fullgraph=False)


def copied(inputs):
    return [
        x.detach().clone().requires_grad_(x.requires_grad)
        if isinstance(x, torch.Tensor)
        else x
        for x in inputs
    ]


class Made:
    """A compiled spec, beside the recorded operations."""

    def __init__(self, name, made, inputs):
        self.spec = made
        answer = session(name).compile(made, inputs)
        self.run, self.boxed, self.undo, self.guards, self.why = answer[:5]
        self.recorded = graph.build(made).forward

    def fits(self, inputs):
        return proof.holds(self.guards, self.spec, inputs)

    def results(self, inputs):
        return self.run(list(inputs)) if self.boxed else self.run(*inputs)

    def agrees(self, inputs):
        """Does it fit, and then compute what eager does, gradients and writes as well?"""
        if not self.fits(inputs):
            return False
        ours, theirs = copied(inputs), copied(inputs)
        got, want = self.results(ours), self.recorded(*theirs)
        for a, b in zip(got, want, strict=True):
            torch.testing.assert_close(a, b)
            assert a.stride() == b.stride()
            assert not a.__dict__
            if b.requires_grad:
                weights = torch.rand(b.shape)
                a.backward(weights, retain_graph=True)
                b.backward(weights, retain_graph=True)
        for a, b in zip(ours, theirs, strict=True):
            if isinstance(a, torch.Tensor):
                assert not a.__dict__
                torch.testing.assert_close(a, b)
                torch.testing.assert_close(a.grad, b.grad)
        return True


def rows(n):
    return torch.randn(n, 4)


@pytest.mark.parametrize("name", BACKENDS)
def test_sizes_ints_and_floats(name):
    ops = [
        (F.linear, (V[0], V[1]), {}, V[4]),
        ("view", (V[4], N[2], 2, 3), {}, V[5]),
        ("mul", (V[5], N[3]), {}, V[6]),
        (operator.add, (V[6], N[4]), {}, V[7]),
    ]
    numbers = {**HALF, 3: ("INPUT", 2, 0.5), 4: ("INPUT", 3, 7)}
    w = torch.randn(3, 4)
    here = [rows(6), w, 0.5, 7]
    made = Made(name, spec(ops, here, (7,), {0: (0,)}, numbers), here)
    assert made.why == ""
    with torch.no_grad():
        assert made.agrees(here)
        assert made.agrees([rows(8), w, 0.25, 3])
        assert made.agrees([rows(40), w, -1e-3, -1])
    assert not made.fits([rows(7), w, 0.5, 7])


@pytest.mark.parametrize("name", BACKENDS)
def test_training(name):
    ops = [
        (F.linear, (V[0], V[1], V[2]), {}, V[4]),
        ("mul", (V[4], N[0]), {}, V[5]),
        (F.gelu, (V[5],), {}, V[6]),
        ("sum", (V[6],), {}, V[7]),
        ("div", (V[7], N[1]), {}, V[8]),
    ]
    numbers = {0: ("INPUT", 3, 0.5), 1: ("SIZE", 0, 0)}
    w = torch.nn.Parameter(torch.randn(3, 4))
    b = torch.randn(3, requires_grad=True)
    here = [rows(5), w, b, 0.5]
    made = Made(name, spec(ops, here, (6, 8), {0: (0,)}, numbers), here)
    assert made.why == ""
    assert made.agrees(here)
    assert made.agrees([rows(9), w, b, 0.25])
    assert made.agrees([rows(3), w, b, 2.0])
    x, *rest = given = [rows(3), w, b, 2.0]
    made.results(given)[1].backward()
    assert not any(getattr(each, "__dict__", None) for each in (x, *rest))
    loss = made.results([rows(7), w, b, 0.5])[1]
    (grad,) = torch.autograd.grad(loss, w, create_graph=True)
    grad.square().sum().backward()


@pytest.mark.parametrize("name", ["eager", "aot_eager", "inductor"])
def test_writes(name):
    ops = [
        (operator.setitem, (V[0], (slice(None), slice(None, N[0])), V[1]), {}, None),
        ("mul_", (V[0], N[1]), {}, V[0]),
    ]

    def given(n, k, f):
        return [torch.zeros(2, n), torch.randn(2, k), k, f]

    here = given(8, 3, 0.5)
    numbers = {0: ("INPUT", 2, 3), 1: ("INPUT", 3, 0.5)}
    written = spec(ops, here, (0,), {0: (1,), 1: (1,)}, numbers)
    written[3].update(mutated=(0,), written=(0,))
    made = Made(name, written, here)
    assert made.why == ""
    with torch.no_grad():
        assert made.agrees(given(9, 4, 0.25))
        assert made.agrees(given(5, 2, 2.0))


@pytest.mark.parametrize("name", ["aot_eager", "inductor"])
def test_autocast_and_dropout(name):
    ops = [
        (F.linear, (V[0], V[1]), {}, V[2]),
        (F.dropout, (V[2], 0.5, True), {}, V[3]),
        ("float", (V[3],), {}, V[4]),
    ]
    w = torch.randn(3, 4)
    here = [rows(5), w]
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        made = Made(name, spec(ops, here, (2, 4), {0: (0,)}), here)
        for n in (5, 64, 9):
            assert made.fits([rows(n), w])
            before, after = made.results([rows(n), w])
            assert before.dtype is torch.bfloat16
            assert before.shape == after.shape == (n, 3)
            kept = after != 0
            torch.testing.assert_close(after[kept], (before.float() * 2)[kept])


@pytest.mark.parametrize("name", ["eager", "aot_eager"])
def test_a_size_that_depends_on_data(name):
    ops = [("nonzero", (V[0],), {}, V[2]), ("sum", (V[2],), {}, V[3])]
    made = Made(name, spec(ops, [rows(5)], (3,), {0: (0,)}), [rows(5)])
    assert made.why == ""
    assert made.agrees([rows(7)])


def test_what_dynamos_backends_are_given():
    ops = [("mul", (V[0], N[0]), {}, V[3]), ("add", (V[3], N[1]), {}, V[4])]
    numbers = {0: ("INPUT", 1, 0.5), 1: ("INPUT", 2, 3)}
    here = [rows(5), 0.5, 3]
    made = Made("mine", spec(ops, here, (4,), {0: (0,)}, numbers), here)
    x, f, n = mine.examples
    assert x is here[0]
    assert (f.dtype, f.shape, f.item()) == (torch.float64, (), 0.5)
    assert isinstance(n, torch.SymInt)
    with torch.no_grad():
        assert made.agrees([rows(6), 1.5, 4])


@pytest.mark.parametrize("float_", [float("inf"), float("nan"), -0.0])
def test_floats_out_of_the_ordinary(float_):
    ops = [("mul", (V[0], N[0]), {}, V[2])]
    here = [rows(5), float_]
    made = Made("aot_eager", spec(ops, here, (2,), {}, {0: ("INPUT", 1, float_)}), here)
    with torch.no_grad():
        torch.testing.assert_close(
            made.results(here)[0], here[0] * float_, equal_nan=True
        )


def test_a_backend_without_symbols_gets_constants():
    ops = [("mul", (V[0], N[0]), {}, V[2])]
    here = [rows(5), 0.5]
    made = spec(ops, here, (2,), {0: (0,)}, {0: ("INPUT", 1, 0.5)})
    static = session("aot_eager")
    static.backend = replace(static.backend, dynamic=False)
    run, _, _, guards, why = static.compile(made, [rows(7), 0.25])[:5]
    assert "takes no symbols" in why
    x = rows(7)
    assert torch.equal(run(x, 0.25)[0], x * 0.25)
    assert proof.holds(guards, made, [rows(7), 0.25])
    assert not proof.holds(guards, made, [rows(7), 0.5])
    assert not proof.holds(guards, made, [rows(5), 0.25])


def test_cuda_graphs_have_no_floats():
    ops = [("mul", (V[0], N[0]), {}, V[3]), ("add", (V[3], N[1]), {}, V[4])]
    here = [rows(5), 0.5, 3]
    numbers = {0: ("INPUT", 1, 0.5), 1: ("INPUT", 2, 3)}
    made = spec(ops, here, (4,), {0: (0,)}, numbers)
    graphed = replace(session("aot_eager").backend, cuda_graphs=True)
    case = cases.of(made, here, graphed)
    assert ("SAME", 0, ("FLOAT", 0.5)) in case.guards
    assert case.live.numbers == {2: 1}


def test_a_backend_that_refuses_symbols_gets_constants():
    def picky(gm, examples):
        if any(isinstance(x, torch.SymInt) for x in examples):
            raise ValueError("no symbols, please")
        return gm.forward

    ops = [("mul", (V[0], N[0]), {}, V[2])]
    here = [rows(5), 3]
    made = spec(ops, here, (2,), {0: (0,)}, {0: ("INPUT", 1, 3)})
    backend = backends.resolve(picky, backends.Settings())
    picked = Session("f", backend, fullgraph=False).compile(made, here)
    run, _, _, guards, why = picked[:5]
    assert "no symbols, please" in why
    assert torch.equal(run(*here)[0], here[0] * 3)
    assert not proof.holds(guards, made, [rows(5), 4])


def test_what_a_signal_raises_is_no_refusal():
    seen = []

    def interrupted(gm, examples):
        seen.append(gm)
        if len(seen) == 1:
            signal.raise_signal(signal.SIGINT)
        return gm.forward

    def alarm(signum, frame):
        raise TimeoutError("the program's")

    ops = [("mul", (V[0], N[0]), {}, V[2])]
    here = [rows(5), 3]
    made = spec(ops, here, (2,), {0: (0,)}, {0: ("INPUT", 1, 3)})
    backend = backends.resolve(interrupted, backends.Settings())
    before = signal.signal(signal.SIGINT, alarm)
    try:
        with pytest.raises(TimeoutError):
            Session("f", backend, fullgraph=False).compile(made, here)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_call_that_is_another_case_is_not_compiled():
    ops = [("add", (V[0], V[1]), {}, V[2])]
    here = [rows(5), rows(5)]
    made = spec(ops, here, (2,), {0: (0,), 1: (0,)})
    compiled = session("eager").compile(copy.copy(made), [rows(5), rows(7)])
    assert compiled[0] is None
    assert ("EQ", ("SIZE", 0, 0), ("SIZE", 1, 0)) in compiled[3]
