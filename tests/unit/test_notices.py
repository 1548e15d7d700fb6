"""Nothing is silent: one warning, at the user's line, with the reason and what to do."""

import sys
import warnings

import pytest

pytest.importorskip("torch")

import torch

import magpy
from magpy import MagpyWarning
from magpy.backends import Settings, examples, mode_is_unused
from magpy.cli import selfcheck
from magpy.config import INT64_MAX, INT_MAX, Config

X = torch.ones(2)


def run(fn, calls):
    """Call with each tuple of arguments; answer the warnings and the results."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [fn(*args) for args in calls]  # the user's line
    mine = [each for each in caught if issubclass(each.category, MagpyWarning)]
    line = run.__code__.co_firstlineno + 4
    assert {(each.filename, each.lineno) for each in mine} <= {(__file__, line)}
    return [str(each.message) for each in mine], results


def only(texts, reason, *words):
    assert len(texts) == 1, texts
    assert texts[0].endswith(f"reason: {reason}")
    assert "Hint: " in texts[0]
    for word in words:
        assert word in texts[0]


def broken(gm, inputs):
    raise ValueError("backend says no")


def raises(gm, inputs):
    def compiled(*args):
        raise RuntimeError("no kernel")

    return compiled


def add(x):
    return x + 1


def test_a_backend_that_fails():
    fast = magpy.compile(add, backend=broken)
    texts, results = run(fast, [(X,)] * 5)
    only(texts, "backend-failed", "'broken'", "ValueError: backend says no", "eager")
    assert all(torch.equal(each, X + 1) for each in results)


def test_fullgraph_raises_what_the_backend_raises():
    fast = magpy.compile(add, backend=broken, fullgraph=True)
    assert torch.equal(fast(X), X + 1)
    for number in (1, 2, 3):
        with pytest.raises(magpy.BackendError, match="backend says no") as caught:
            fast(X)
        assert isinstance(caught.value.__cause__, ValueError)
        assert magpy.stats(fast)["reasons"] == {"compile-failed": number}
    assert run(fast, []) == ([], [])


def test_fullgraph_goes_on_when_the_backend_works_again():
    works = []

    def sometimes(gm, inputs):
        return gm.forward if works else broken(gm, inputs)

    fast = magpy.compile(add, backend=sometimes, fullgraph=True)
    fast(X)
    with pytest.raises(magpy.BackendError):
        fast(X)
    works.append(1)
    assert torch.equal(fast(X), X + 1)
    assert magpy.stats(fast)["hits"] == 1


def test_an_interrupt_of_the_backend_is_the_users():
    def interrupted(gm, inputs):
        raise KeyboardInterrupt

    fast = magpy.compile(add, backend=interrupted, fullgraph=True)
    fast(X)
    with pytest.raises(KeyboardInterrupt):
        fast(X)


def test_a_graph_that_raises():
    fast = magpy.compile(add, backend=raises)
    texts, results = run(fast, [(X,)] * 6)
    only(texts, "graph-raised", "'raises'", "RuntimeError: no kernel")
    assert all(torch.equal(each, X + 1) for each in results)


def test_a_graph_that_raises_behind_a_break():
    def f(x):
        y = x + 1
        if y.sum() > 0:
            return y * 2
        return y

    fast = magpy.compile(f, backend=raises)
    texts, results = run(fast, [(X,)] * 6)
    only(texts, "graph-raised", "RuntimeError: no kernel")
    assert all(torch.equal(each, X * 4) for each in results)


def test_a_graph_that_raises_as_eager_does():
    def f(x, i):
        return x[i], torch.linalg.cholesky(x)

    fast = magpy.compile(f, backend="eager")
    good, bad = torch.eye(2), -torch.eye(2)
    for matrix in (good, good):
        fast(matrix, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(4):
            with pytest.raises(torch.linalg.LinAlgError):
                fast(bad, 0)


def test_a_backend_that_answers_a_tensor():
    def bare(gm, inputs):
        return lambda *args: gm(*args)[0]

    fast = magpy.compile(add, backend=bare)
    texts, results = run(fast, [(X,)] * 5)
    only(texts, "bare-result", "'bare'", "tuple")
    assert all(torch.equal(each, X + 1) for each in results)
    assert magpy.stats(fast)["hits"] == 4
    two = magpy.compile(lambda x: (x + 1, x + 2), backend=bare)
    texts, results = run(two, [(X,)] * 4)
    only(texts, "graph-raised", "tuple or list of 2")


@pytest.mark.parametrize("make", [tuple, list])
def test_a_backend_that_answers_what_it_should(make):
    fast = magpy.compile(add, backend=lambda gm, inputs: lambda *a: make(gm(*a)))
    texts, _ = run(fast, [(X,)] * 5)
    assert texts == []
    assert magpy.stats(fast)["hits"] == 4


class Box:
    def __init__(self, v):
        self.v = v


def test_a_value_that_is_never_the_same():
    fast = magpy.compile(lambda x, o: (x + 1, o.v + "!"), backend="eager")
    texts, _ = run(fast, [(X, Box(str(i))) for i in range(60)])
    only(texts, "backoff", "o.v", "eager")
    fast.reset()
    texts, _ = run(fast, [(X, Box(str(i))) for i in range(60)])
    only(texts, "backoff")


def test_more_entries_than_fit():
    with magpy.config.patch(max_entries=2):
        fast = magpy.compile(add, backend="eager")
    kinds = (torch.int8, torch.int16, torch.int32, torch.int64, torch.half, torch.float)
    texts, _ = run(fast, [(torch.ones(1, dtype=kinds[i % 6]),) for i in range(30)])
    only(texts, "entry-limit", "max_entries")


def test_recordings_that_fail():
    with magpy.config.patch(segments=False):
        fast = magpy.compile(lambda x: [x][int(x.sum().item() > 9)], backend="eager")
    texts, _ = run(fast, [(X,)] * 20)
    only(texts, "host-read", f'File "{__file__}"', "x.sum().item()")


def test_a_program_that_raises_is_not_reported():
    def f(x):
        raise KeyError(x)

    fast = magpy.compile(f, backend="eager")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(20):
            with pytest.raises(KeyError):
                fast(X)


def test_what_works_is_silent():
    fast = magpy.compile(torch.nn.Linear(2, 2), backend="eager")
    assert run(fast, [(X,)] * 10)[0] == []


def test_the_users_line_is_not_torchs():
    net = torch.nn.Sequential(magpy.compile(torch.nn.Linear(2, 2), backend=broken))
    texts, _ = run(net, [(X,)] * 3)
    only(texts, "backend-failed")


def test_a_warning_that_is_an_error_does_not_reach_the_call():
    fast = magpy.compile(add, backend=broken)
    fast(X)
    seen = []
    hook, sys.unraisablehook = sys.unraisablehook, seen.append
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert torch.equal(fast(X), X + 1)
    finally:
        sys.unraisablehook = hook
    assert seen[0].exc_type is MagpyWarning


# -- modes -------------------------------------------------------------------------------


def plain(gm, inputs):
    return gm.forward


class Backend:
    def __call__(self, gm, inputs, *, mode=None):
        self.mode = mode
        return gm.forward


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "cudagraphs", plain])
def test_a_mode_where_there_is_none(backend):
    with pytest.warns(MagpyWarning, match="has no modes") as caught:
        fast = magpy.compile(add, backend=backend, mode="max-autotune")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    if backend != "cudagraphs":
        texts, _ = run(fast, [(X,)] * 4)
        assert texts == []
        assert magpy.stats(fast)["hits"] == 3


def test_a_mode_that_is_taken():
    mine, rest = Backend(), {}

    def open_ended(gm, inputs, **kwargs):
        rest.update(kwargs)
        return gm.forward

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        magpy.compile(add, backend="inductor", mode="max-autotune")
        magpy.compile(add, backend="eager", mode="default")
        for backend in (mine, open_ended):
            fast = magpy.compile(add, backend=backend, mode="fast")
            fast(X), fast(X)
    assert mine.mode == rest["mode"] == "fast"
    assert not mode_is_unused(dict, Settings(mode="x"))  # its signature is unknown


def test_a_named_backend_is_asked_when_it_is_found(monkeypatch):
    from torch._dynamo.backends import registry

    monkeypatch.setattr(registry, "lookup_backend", lambda name: plain)
    monkeypatch.setattr(
        magpy.backends.registry, "_entry_point_names", lambda: {"theirs"}
    )
    fast = magpy.compile(add, backend="theirs", mode="fast")
    texts, _ = run(fast, [(X,)] * 4)
    only(texts, "no-modes", "theirs", "'fast'")
    assert magpy.stats(fast)["hits"] == 3


def test_cuda_graphs_that_cannot_be():
    if torch.cuda.is_available():
        pytest.skip("they can")
    fast = magpy.compile(lambda x: x.sin() + 1, mode="reduce-overhead")
    texts, _ = run(fast, [(X,)] * 3)
    only(texts, "no-cuda-graph", "inductor")


# -- does a backend work here? -----------------------------------------------------------


def wrong(gm, inputs):
    return lambda *args: tuple(each * 2 for each in gm(*args))


@pytest.mark.parametrize(
    ("backend", "verdict"),
    [
        (plain, "ok"),
        (broken, "ValueError: backend says no"),
        (raises, "RuntimeError: no kernel"),
        (wrong, "wrong: its results are not eager's"),
        (lambda gm, inputs: None, "BackendError: "),
        ("eager", "ok"),
    ],
)
def test_the_self_check(backend, verdict):
    assert verdict in selfcheck.check(backend)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_self_check_on_a_gpu():
    modes = [mode for name, mode in selfcheck.candidates() if name == "inductor"]
    assert "reduce-overhead" in modes
    assert {mode: selfcheck.check("inductor", mode) for mode in modes} == dict.fromkeys(
        modes, "ok"
    )


# -- example values ----------------------------------------------------------------------


def test_example_values_are_there():
    seen, inputs_seen = {}, []

    def reads(gm, inputs):
        for node in gm.graph.nodes:
            if node.op != "output":
                seen[node.name] = node.meta["example_value"]
            if node.op == "placeholder":
                inputs_seen.append(tuple(node.meta["example_value"].shape))
        return gm.forward

    linear = torch.nn.Linear(2, 3)
    held = linear.weight
    fast = magpy.compile(lambda x: (linear(x).relu(), x.split(1)), backend=reads)
    x = torch.ones(2, 2)
    random = torch.get_rng_state()
    for _ in range(3):
        fast(x)
    assert torch.equal(torch.get_rng_state(), random)
    assert sorted(inputs_seen) == [(2, 2), (3,), (3, 2)]
    assert tuple(seen["relu"].shape) == (2, 3)
    assert [tuple(part.shape) for part in seen["split"]] == [(1, 2), (1, 2)]
    assert seen["relu"].requires_grad
    held.data = torch.zeros(3, 2)
    linear.weight = None
    del held
    torch.utils.swap_tensors(x, torch.zeros(2))  # nothing holds a weak reference to it


def test_example_values_end_where_nothing_can_be_said():
    from torch import fx

    def users(x):
        raise AssertionError("the program's code runs when it is called")

    graph = fx.Graph()
    x = graph.placeholder("x")
    a = graph.call_function(torch.add, (x, 1))
    b = graph.call_function(users, (a,))
    graph.output((b,))
    examples.annotate(fx.GraphModule(torch.nn.Module(), graph), [torch.ones(2)])
    assert tuple(a.meta["example_value"].shape) == (2,)
    assert "example_value" not in b.meta


# -- configuration -----------------------------------------------------------------------


def test_numbers_out_of_range_name_the_knob():
    for name, top in (("max_entries", INT_MAX), ("max_instructions", INT64_MAX)):
        for value in (0, -1, top + 1, 10**30):
            with pytest.raises(ValueError, match=f"config.{name} .*least 1 .*{top}"):
                setattr(magpy.config, name, value)
        with magpy.config.patch(**{name: top}):
            fast = magpy.compile(add, backend="eager")
            assert torch.equal(fast(X), X + 1)
    with pytest.raises(ValueError, match="every must be between 0 and"):
        magpy.verify(magpy.compile(add, backend="eager"), every=2**31)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MAGPY_LOG", "Did you mean 'MAGPY_LOGS'"),
        ("MAGPY_MAX_ENTRYS", "Did you mean 'MAGPY_MAX_ENTRIES'"),
        ("MAGPY_QQQ", "Valid are MAGPY_ENABLED"),
    ],
)
def test_a_misspelt_variable(monkeypatch, name, words):
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("MAGPY_TEST_EVERY", "1")
    with pytest.warns(MagpyWarning, match=words) as caught:
        Config()
    assert len(caught) == 1
    assert name in str(caught[0].message)


def test_a_number_out_of_range_in_a_variable(monkeypatch):
    monkeypatch.setenv("MAGPY_MAX_ENTRIES", "99999999999")
    with pytest.warns(
        MagpyWarning, match=r"MAGPY_MAX_ENTRIES=.*>= 1 and <= 2147483647"
    ):
        assert Config().max_entries == 64
