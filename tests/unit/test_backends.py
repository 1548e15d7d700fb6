"""Backends: look-up, our own ones, and Inductor's short cut."""

from __future__ import annotations

import operator
import shutil
import weakref

import pytest

import magpy
from magpy import backends, graph
from magpy.backends import Settings, registry
from magpy.config import config
from magpy.errors import BackendError

torch = pytest.importorskip("torch")
F = torch.nn.functional


class Value:
    def __init__(self, index):
        self.index = index


V = [Value(i) for i in range(10)]


def build(ops, n_inputs, outputs):
    return graph.build((ops, n_inputs, outputs, {}), value_type=Value)


def call(executable, inputs):
    run, boxed = executable
    return run(list(inputs)) if boxed else run(*inputs)


@pytest.fixture
def inductor():
    if shutil.which("g++") is None:
        pytest.skip("Inductor has no C++ compiler")
    return backends.resolve("inductor", Settings())


def test_names():
    names = backends.list_backends()
    assert {"eager", "inductor"} <= set(names)
    assert names == sorted(names)
    with pytest.raises(ValueError, match="valid are .*eager.* Did you mean 'eager'"):
        backends.resolve("eagr", Settings())


def test_torch_backend_by_name():
    backend = backends.resolve("aot_eager", Settings())
    x = torch.randn(3)
    executable = backend.compile(build([("sin", (V[0],), {}, V[1])], 1, (1,)), [x], ())
    assert torch.equal(call(executable, [x])[0], x.sin())


def test_callable_backend_gets_inputs_and_settings():
    seen = {}

    def mine(gm, example_inputs, **kwargs):
        seen.update(kwargs, inputs=example_inputs)
        return gm.forward

    backend = backends.resolve(mine, Settings("fast", {"k": 1}))
    x = torch.ones(2)
    run, boxed = backend.compile(build([], 1, (0,)), [x], ())
    assert backend.name == "mine"
    assert not boxed
    assert run(x)[0] is x
    assert seen["inputs"][0] is x
    assert (seen["mode"], seen["options"]) == ("fast", {"k": 1})


def test_backend_that_runs_the_graph_leaves_inputs_alone():
    def greedy(gm, example_inputs):
        gm(*example_inputs)
        return gm.forward

    x, y = torch.zeros(2), torch.ones(2, requires_grad=True)
    gm = build([("add_", (V[0], V[1]), {}, V[0])], 2, (0,))
    backend = backends.resolve(greedy, Settings())
    with torch.no_grad():
        executable = backend.compile(gm, [x, y], (0,))
        assert x.sum() == 0
        call(executable, [x, y])
    assert x.sum() == 2


def test_backend_must_return_a_callable():
    backend = backends.resolve(lambda gm, inputs: 3, Settings())
    with pytest.raises(BackendError, match="must return a callable, not int"):
        backend.compile(build([], 1, (0,)), [torch.ones(1)], ())


def test_entry_points_are_known(monkeypatch):
    point = type("P", (), {"name": "plugin"})
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert backends.resolve("plugin", Settings()).name == "plugin"


def test_eager_is_bitwise_equal():
    torch.manual_seed(0)
    x, w, b = torch.randn(5, 7), torch.randn(3, 7), torch.randn(3)
    ops = [
        (F.linear, (V[0], V[1], V[2]), {}, V[3]),
        (F.gelu, (V[3],), {}, V[4]),
        (F.softmax, (V[4], -1), {}, V[5]),
    ]
    backend = backends.resolve("eager", Settings(mode="default"))
    executable = backend.compile(build(ops, 3, (5,)), [x, w, b], ())
    expected = F.softmax(F.gelu(F.linear(x, w, b)), -1)
    assert torch.equal(call(executable, [x, w, b])[0], expected)


def test_a_function_called_eager_is_not_our_backend():
    def eager(gm, inputs):
        return lambda *args: tuple(out * (1 + 2e-7) for out in gm(*args))

    ours = backends.resolve("eager", Settings())
    theirs = backends.resolve(eager, Settings())
    assert theirs.name == ours.name
    assert (ours.exact, ours.as_recorded) == (True, True)
    assert (theirs.exact, theirs.as_recorded) == (False, False)
    # Eager itself may not round differently; somebody's compiler may.
    compiled = magpy.compile(lambda x: x.sin() + 1, backend=eager)
    x = torch.linspace(-1, 1, 9)
    expected = [compiled(x) for _ in range(3)][0]
    magpy.verify(compiled, every=1)
    assert torch.equal(compiled(x), expected)
    assert magpy.stats(compiled)["verified"] == 1


def test_inductor_settings_are_checked():
    resolve = backends.resolve
    assert resolve("inductor", Settings("max-autotune-no-cudagraphs")).name
    assert resolve("inductor", Settings(options={"max-autotune": False})).name
    with pytest.raises(ValueError, match="unknown mode 'fast'"):
        resolve("inductor", Settings("fast"))
    with pytest.raises(ValueError, match="Did you mean 'max_autotune'"):
        resolve("inductor", Settings(options={"max_autotun": True}))
    with pytest.raises(TypeError, match="'max_autotune'.* must be bool, not int"):
        resolve("inductor", Settings(options={"max_autotune": 1}))


def test_inductor_calls_plain_inference_directly(inductor):
    x = torch.randn(4, 8)
    ops = [("mul", (V[0], 2), {}, V[1]), (torch.max, (V[1], 1), {}, (V[2], V[3]))]
    executable = inductor.compile(build(ops, 1, (1, 2, 3)), [x], ())
    assert executable[1]
    assert "Runner" in str(executable[0])
    values = call(executable, [x])
    assert torch.equal(values[0], x * 2)
    assert torch.equal(values[2], (x * 2).max(1).indices)


def test_inductor_training_graph_has_gradients(inductor):
    x = torch.randn(4, requires_grad=True)
    executable = inductor.compile(build([("sin", (V[0],), {}, V[1])], 1, (1,)), [x], ())
    assert not executable[1]
    call(executable, [x])[0].sum().backward()
    assert torch.allclose(x.grad, x.detach().cos())


def test_inductor_without_grad_mode_is_direct(inductor):
    x = torch.randn(4, requires_grad=True)
    with torch.no_grad():
        executable = inductor.compile(
            build([("cos", (V[0],), {}, V[1])], 1, (1,)), [x], ()
        )
        assert executable[1]
        assert not call(executable, [x])[0].requires_grad


@pytest.mark.parametrize(
    ("ops", "outputs"),
    [
        ([("add_", (V[0], 1), {}, V[0])], (0,)),
        ([(operator.setitem, (V[0], 0, 5.0), {}, None)], (0,)),
        ([("view", (V[0], -1), {}, V[1])], (1,)),
        ([("mul", (V[0], 2), {}, V[1])], (1, 0)),
    ],
    ids=["in-place", "setitem", "view-of-input", "input-returned"],
)
def test_inductor_wraps_what_needs_it(inductor, ops, outputs):
    ours, theirs = torch.ones(2, 3), torch.ones(2, 3)
    executable = inductor.compile(build(ops, 1, outputs), [ours], ())
    assert not executable[1]
    assert torch.equal(ours, torch.ones(2, 3))
    result, expected = call(executable, [ours]), build(ops, 1, outputs)(theirs)
    assert torch.equal(ours, theirs)
    for got, want in zip(result, expected, strict=True):
        assert torch.equal(got, want)
        assert (got.data_ptr() == ours.data_ptr()) is (
            want.data_ptr() == theirs.data_ptr()
        )


def test_inductor_direct_shares_memory_like_eager(inductor):
    ops = [("add", (V[0], 1), {}, V[1]), ("t", (V[1],), {}, V[2])]
    executable = inductor.compile(build(ops, 1, (1, 2)), [torch.ones(2, 3)], ())
    first, second = call(executable, [torch.ones(2, 3)])
    assert first.data_ptr() == second.data_ptr()
    assert second.stride() == (1, 3)


def test_inductor_under_autocast_and_by_knob_is_wrapped(inductor):
    x, w = torch.randn(2, 3), torch.randn(4, 3)
    gm = build([(F.linear, (V[0], V[1]), {}, V[2])], 2, (2,))
    with torch.autocast("cpu", torch.bfloat16):
        executable = inductor.compile(gm, [x, w], ())
        assert not executable[1]
        assert call(executable, [x, w])[0].dtype is torch.bfloat16
    with config.patch(inductor_direct=False):
        gm = build([(F.linear, (V[0], V[1]), {}, V[2])], 2, (2,))
        assert not inductor.compile(gm, [x, w], ())[1]


class Partitioned:
    """As Inductor's compiled graphs: the code in partitions goes when the graph dies."""

    def __init__(self):
        parts = self.parts = [lambda inputs: [inputs[0] + 1]]
        self.current_callable = lambda inputs: parts[0](inputs)
        self.compiled_fn_runner = object()

    def __del__(self):
        self.parts.clear()


def test_code_in_partitions_lives_as_long_as_its_entry_point():
    from magpy.backends.inductor import _owned_entry

    code = Partitioned()
    alive = weakref.ref(code)
    entry = _owned_entry(code)
    del code
    assert entry([1]) == [2]
    del entry
    assert alive() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("mode", ["reduce-overhead", "max-autotune"])
def test_modes_with_cuda_graphs(mode):
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.GELU()).cuda().eval()
    fast = magpy.compile(model, mode=mode)
    with torch.no_grad():
        for _ in range(6):
            x = torch.randn(8, 64, device="cuda")
            torch.testing.assert_close(fast(x).clone(), model(x))
    counts = magpy.stats(fast)
    assert counts["hits"] == 5
    assert counts["reasons"] == {}
