"""Verify mode on tensors: what the dry run leaves behind (nothing), what it finds."""

from __future__ import annotations

import gc
import sys
import warnings
import weakref

import pytest

import magpy
from magpy.module import compiled_function
from magpy.verify import Verifier, _cloned

torch = pytest.importorskip("torch")


def off_by(amount):
    """A backend whose results are wrong."""

    def compile_graph(module, inputs):
        return lambda *args: tuple(out + amount for out in module(*args))

    return compile_graph


def counts(compiled):
    stats = magpy.stats(compiled)
    return {name: stats[name] for name in ("calls", "hits", "verified", "diverged")}


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.drop = torch.nn.Dropout(0.5)
        self.last = torch.nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.drop(self.norm(self.first(x)).relu()))


class Recurrent(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = torch.nn.GRUCell(3, 5)
        self.register_buffer("steps", torch.zeros(()))
        self.memory = []

    def forward(self, x):
        hidden = x.new_zeros(x.shape[0], 5)
        for _ in range(2):
            hidden = self.cell(x, hidden)
        self.steps += 1
        self.memory = [hidden.detach()]
        return {"hidden": hidden, "steps": self.steps}


@pytest.mark.parametrize(("make", "shape"), [(Net, (3, 4)), (Recurrent, (2, 3))])
def test_models_are_silent_and_as_eager(make, shape):
    torch.manual_seed(0)
    eager = make()
    torch.manual_seed(0)
    fast = magpy.verify(magpy.compile(make(), backend="eager"))
    x = torch.randn(shape)
    for seed in range(5):
        results = []
        for model in (eager, fast):
            torch.manual_seed(seed)
            out = model(x)
            out = out if isinstance(out, torch.Tensor) else out["hidden"]
            out.sum().backward()
            results.append((out, torch.get_rng_state()))
        assert torch.equal(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])
    assert eager.state_dict().keys() == fast.state_dict().keys()
    for name, value in eager.state_dict().items():
        assert torch.equal(value, fast.state_dict()[name]), name
    for ours, theirs in zip(fast.parameters(), eager.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    assert counts(fast)["verified"] >= 2
    assert counts(fast)["diverged"] == 0


def test_a_wrong_backend_raises_after_the_real_call():
    log = []

    def f(x):
        log.append(1)
        return x * 2

    fast = magpy.verify(magpy.compile(f, backend=off_by(1.0), name="wrong"))
    fast(torch.ones(2))
    with pytest.raises(magpy.VerifyError, match="wrong: entry 1 is wrong") as caught:
        fast(torch.ones(2))
    assert caught.value.part == "graph"
    assert caught.value.entry == 1
    assert caught.value.file == __file__
    assert caught.value.line == f.__code__.co_firstlineno
    assert len(log) == 2
    assert torch.equal(fast(torch.ones(2)), torch.full((2,), 2.0))
    assert magpy.stats(fast)["reasons"] == {"diverged": 1}
    assert len(log) == 3


def test_a_warning_comes_once_and_the_program_goes_on_right():
    fast = magpy.compile(lambda x: x * 2, backend=off_by(1.0))
    magpy.verify(fast, raise_on_divergence=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(4):
            assert torch.equal(fast(torch.ones(2)), torch.full((2,), 2.0))
        for _ in range(3):
            assert torch.equal(fast(torch.ones(3)), torch.full((3,), 2.0))
    assert len([w for w in caught if "diverged" in str(w.message)]) == 1
    assert counts(fast) == {"calls": 7, "hits": 2, "verified": 2, "diverged": 2}


def test_results_within_tolerance_are_the_same_unless_the_backend_is_exact():
    near = magpy.verify(magpy.compile(lambda x: x * 2, backend=off_by(1e-6)))
    far = magpy.verify(magpy.compile(lambda x: x * 2, backend=off_by(1e-2)))
    for fast in (near, far):
        fast(torch.ones(2))
    near(torch.ones(2))
    with pytest.raises(magpy.VerifyError, match="2 of 2 values differ"):
        far(torch.ones(2))


def test_every_counts_hits():
    fast = magpy.verify(magpy.compile(lambda x: x + 1, backend="eager"), every=3)
    for _ in range(10):
        fast(torch.ones(2))
    assert counts(fast) == {"calls": 10, "hits": 9, "verified": 3, "diverged": 0}
    magpy.verify(fast, every=0)
    for _ in range(10):
        fast(torch.ones(2))
    assert counts(fast)["verified"] == 3


def test_the_knob_acts_on_what_is_compiled_and_what_will_be():
    with magpy.config.patch(verify_every=0):
        before = magpy.compile(lambda x: x + 1, backend="eager")
        with magpy.config.patch(verify_every=1):
            after = magpy.compile(lambda x: x + 1, backend="eager")
            for fast in (before, after):
                fast(torch.ones(2))
                fast(torch.ones(2))
                assert counts(fast)["verified"] == 1
        for fast in (before, after):
            fast(torch.ones(2))
            assert counts(fast)["verified"] == 1


def test_arguments_are_checked():
    fast = magpy.compile(lambda x: x + 1, backend="eager")
    with pytest.raises(ValueError, match="between 0 and"):
        magpy.verify(fast, every=-1)
    with pytest.raises(TypeError, match="every must be an int"):
        magpy.verify(fast, every=True)
    with pytest.raises(TypeError, match="raise_on_divergence"):
        magpy.verify(fast, raise_on_divergence=1)
    with pytest.raises(TypeError, match=r"does not come from magpy\.compile"):
        magpy.verify(len)


def test_a_graph_that_writes_is_written_once():
    state = torch.zeros(3)

    def f(x):
        state.add_(x)
        return state * 2

    fast = magpy.verify(magpy.compile(f, backend="eager"))
    for count in range(1, 5):
        assert torch.equal(fast(torch.ones(3)), torch.full((3,), 2.0 * count))
        assert torch.equal(state, torch.full((3,), float(count)))
    assert counts(fast) == {"calls": 4, "hits": 3, "verified": 3, "diverged": 0}


def test_a_written_input_must_want_gradients_as_eager_leaves_it():
    def compile_graph(module, inputs):
        def run(*args):
            results = module(*args)
            for each in args:
                each.requires_grad_(each.is_floating_point())
            return results

        return run

    def step(x):
        return x.add_(1)

    fast = magpy.verify(magpy.compile(step, backend=compile_graph), every=1)
    fast(torch.zeros(2))
    with pytest.raises(magpy.VerifyError, match="requires_grad is True"):
        fast(torch.zeros(2))


def test_random_numbers_are_drawn_once():
    generator = torch.Generator().manual_seed(7)

    def f(x):
        return x + torch.randn(3), torch.rand(2, generator=generator)

    fast = magpy.verify(magpy.compile(f, backend="eager"))
    found = []
    for fn in (f, fast):
        torch.manual_seed(0)
        generator.manual_seed(7)
        found.append([fn(torch.ones(3)) for _ in range(4)])
    for ours, theirs in zip(*found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert counts(fast)["diverged"] == 0


def test_a_graph_that_raises_where_the_call_raises_is_right():
    def f(x, i):
        return x[i]

    fast = magpy.verify(magpy.compile(f, backend="eager"))
    x = torch.arange(3.0)
    fast(x, torch.tensor([0]))
    fast(x, torch.tensor([1]))
    with pytest.raises(IndexError):
        fast(x, torch.tensor([9]))
    assert counts(fast)["diverged"] == 0
    assert torch.equal(fast(x, torch.tensor([2])), torch.tensor([2.0]))
    stats = magpy.stats(fast)
    assert stats["calls"] == stats["hits"] + stats["fallbacks"] + 1


def test_a_graph_that_raises_alone_is_wrong():
    def broken(module, inputs):
        def run(*args):
            raise RuntimeError("no")

        return run

    fast = magpy.verify(magpy.compile(lambda x: x * 2, backend=broken))
    fast(torch.ones(2))
    with pytest.raises(magpy.VerifyError, match="the graph raised RuntimeError: no"):
        fast(torch.ones(2))
    assert torch.equal(fast(torch.ones(2)), torch.full((2,), 2.0))


def test_the_dry_run_keeps_no_activations():
    def f(x):
        return x.exp().sin()

    kept = []

    class Watching(Verifier):
        def run(self, *args):
            dry = super().run(*args)
            kept.append([t.grad_fn for t in dry.outputs])
            return dry

    fast = magpy.compile(f, backend="eager")
    fast.set_verify(1, Watching("f", exact=True, raises=True))
    x = torch.ones(4, requires_grad=True)
    for _ in range(3):
        fast(x).sum().backward()
    assert kept == [[None], [None]]
    result = fast(x)
    gone = weakref.ref(result)
    del result
    gc.collect()
    assert gone() is None


def test_clones_share_memory_as_the_inputs_do():
    base = torch.arange(8.0)
    parts = [base[:4], base[4:], torch.ones(2, requires_grad=True)]
    clones = _cloned(parts, (0, 1, 2))
    assert clones[0].untyped_storage().data_ptr() == (
        clones[1].untyped_storage().data_ptr()
    )
    assert clones[0].untyped_storage().data_ptr() != base.untyped_storage().data_ptr()
    assert clones[1].storage_offset() == 4
    assert torch.equal(clones[1], parts[1])
    assert clones[2].requires_grad
    assert clones[2].is_leaf
    with torch.no_grad():
        clones[2].zero_()
    assert torch.equal(parts[2], torch.ones(2))


def test_a_clone_is_as_its_input():
    leaf = torch.ones(2, 3, requires_grad=True)
    inputs = [
        (leaf * 2).t(),
        torch.nn.Parameter(torch.ones(2)),
        torch.ones(4)[::2],
        torch.ones(2, dtype=torch.complex64).conj(),
    ]
    with torch.inference_mode():
        inputs.append(torch.ones(2))
    for at, clone in _cloned(inputs, range(len(inputs))).items():
        t = inputs[at]
        assert type(clone) is type(t)
        assert torch.equal(clone, t)
        assert clone.requires_grad == t.requires_grad
        assert clone.is_leaf == t.is_leaf
        assert clone.is_inference() == t.is_inference()
        assert clone.shape == t.shape
        if not t.is_conj():
            assert clone.stride() == t.stride()


def test_a_failing_verifier_changes_nothing(monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: unraisable.append(info))

    class Broken(Verifier):
        def run(self, *args):
            raise RuntimeError("verifier")

    fast = magpy.compile(lambda x: x * 2, backend="eager")
    fast.set_verify(1, Broken("f", exact=True, raises=True))
    fast(torch.ones(2))
    assert torch.equal(fast(torch.ones(2)), torch.full((2,), 2.0))
    assert [str(info.exc_value) for info in unraisable] == ["verifier"]
    assert counts(fast) == {"calls": 2, "hits": 1, "verified": 0, "diverged": 0}


# -- Calls that break ------------------------------------------------------------------


class Sampler(torch.nn.Module):
    """Reads its data between layers, writes to state, draws random numbers."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 4)
        self.last = torch.nn.Linear(4, 4)
        self.register_buffer("steps", torch.zeros(()))
        self.norms = []

    def forward(self, x):
        x = self.first(x).relu()
        self.norms.append(torch.equal(x, x) and float(x.norm().item()))
        self.steps += 1
        for _ in range(3):
            x = torch.nn.functional.dropout(self.last(x), 0.5)
            self.norms.append(torch.equal(x, x) and x.detach().sum().item())
        with torch.no_grad():
            self.norms.append(x.mean().item())
            self.steps += x.shape[0]
        return x * self.steps


def test_a_broken_model_is_silent_and_as_eager():
    torch.manual_seed(0)
    eager = Sampler()
    torch.manual_seed(0)
    fast = magpy.verify(magpy.compile(Sampler(), backend="eager"))
    x = torch.randn(2, 4)
    for seed in range(6):
        results = []
        for model in (eager, fast):
            torch.manual_seed(seed)
            out = model(x)
            out.sum().backward()
            results.append((out, torch.get_rng_state()))
        assert torch.equal(results[0][0], results[1][0])
        assert torch.equal(results[0][1], results[1][1])
    assert eager.norms == fast.norms
    assert torch.equal(eager.steps, fast.steps)
    for ours, theirs in zip(fast.parameters(), eager.parameters(), strict=True):
        assert torch.equal(ours.grad, theirs.grad)
    assert counts(fast)["verified"] >= 4
    assert counts(fast)["diverged"] == 0
    entries = compiled_function(fast).entries()
    assert len(entries) > 2
    # What answers segments of a recording is verified, too: it is compiled for that.
    assert sum(entry["hits"] for entry in entries) > 2 * counts(fast)["hits"]
    assert all(entry["state"] == "ready" for entry in entries if entry["hits"])


def test_a_wrong_graph_behind_a_break():
    log = []

    def f(x):
        y = x * 2
        log.append(torch.equal(y, x))
        z = y + 1
        log.append(torch.equal(z, z))
        return z * 3

    graphs = []

    def backend(module, inputs):
        graphs.append(module)
        wrong = 1.0 if len(graphs) == 2 else 0.0
        return lambda *args: tuple(out + wrong for out in module(*args))

    fast = magpy.verify(magpy.compile(f, backend=backend))
    fast(torch.ones(2))
    with pytest.raises(magpy.VerifyError, match="2 of 2 values differ") as caught:
        fast(torch.ones(2))
    assert caught.value.part == "graph"
    for _ in range(3):
        assert torch.equal(fast(torch.ones(2)), torch.full((2,), 9.0))
    assert log == [False, True] * 5
    assert counts(fast) == {"calls": 5, "hits": 4, "verified": 4, "diverged": 1}
    states = [entry["state"] for entry in fast.entries()]
    assert states.count("diverged") == 1


def test_written_inputs_are_compared_at_the_break():
    state = torch.zeros(3)

    def f(x):
        state.add_(x)
        total = state.sum().item()
        state.mul_(2)
        return total, state.sum().item()

    fast = magpy.verify(magpy.compile(f, backend="eager"))
    expected = torch.zeros(3)
    for _ in range(5):
        expected.add_(1)
        totals = [expected.sum().item()]
        expected.mul_(2)
        totals.append(expected.sum().item())
        assert list(fast(torch.ones(3))) == totals
        assert torch.equal(state, expected)
    assert counts(fast) == {"calls": 5, "hits": 4, "verified": 4, "diverged": 0}


def test_tensors_of_a_segment_die_as_in_eager():
    alive = []

    def f(x):
        y = x.exp()
        y.sum().item()
        alive.append(weakref.ref(y))
        y = y.sum()
        alive[-1]().item() if alive[-1]() is not None else y.item()
        return alive[-1]() is None

    fast = magpy.verify(magpy.compile(f, backend="eager"))
    for _ in range(4):
        assert f(torch.ones(3)) is True
        assert fast(torch.ones(3)) is True
    assert counts(fast)["diverged"] == 0


def test_a_failing_verifier_behind_a_break_changes_nothing(monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: unraisable.append(info))
    runs = []

    class Broken(Verifier):
        def run(self, *args):
            runs.append(1)
            if len(runs) == 2:
                raise RuntimeError("verifier")
            return super().run(*args)

    def f(x):
        y = x * 2
        y.sum().item()
        return y + 1

    fast = magpy.compile(f, backend="eager")
    fast.set_verify(1, Broken("f", exact=True, raises=True))
    for _ in range(4):
        assert torch.equal(fast(torch.ones(2)), torch.full((2,), 3.0))
    assert [str(info.exc_value) for info in unraisable] == ["verifier"]
    assert counts(fast)["diverged"] == 0
