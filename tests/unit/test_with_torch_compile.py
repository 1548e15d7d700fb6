"""torch.compile inside and around compiled functions, and a compile without memory.

Not among the torch programs: once imported, TorchDynamo patches nn.Module.__init__ for
good.
"""

import copy
import sys

import pytest

pytest.importorskip("torch")

import torch

import magpy
from oracle import VERIFY, reasons, whole_hits


def inner(x):
    return (x * 2).relu() + 1


def same(fn, reference, rounds=4):
    for _ in range(rounds):
        x = torch.randn(2, 3)
        assert torch.equal(fn(x), reference(x))


@pytest.fixture(autouse=True)
def fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_torch_compiled_function_inside():
    ours = torch.compile(inner, backend="eager")
    fast = magpy.compile(lambda x: ours(x) + 3, backend="eager")
    same(fast, lambda x: inner(x) + 3)
    assert "opaque-call" in reasons(fast)
    assert whole_hits(fast) == 0
    whole = magpy.compile(lambda x: ours(x) + 3, backend="eager", fullgraph=True)
    with pytest.raises(magpy.Unsupported) as caught:
        whole(torch.randn(2, 3))
    assert caught.value.reason == "opaque-call"


def test_torch_compiled_function_itself():
    fast = magpy.compile(torch.compile(inner, backend="eager"), backend="eager")
    same(fast, inner)


def test_torch_compiled_module_inside():
    plain, module = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    module.load_state_dict(plain.state_dict())
    module.compile(backend="eager")
    fast = magpy.compile(lambda x: module(x) * 2, backend="eager")
    same(fast, lambda x: plain(x) * 2)


def test_torch_compile_around():
    fast = magpy.compile(inner, backend="eager")
    same(fast, inner)  # before dynamo's frame evaluator stands above ours
    same(torch.compile(lambda x: fast(x) + 3, backend="eager"), lambda x: inner(x) + 3)
    same(torch.compile(fast, backend="eager"), inner)
    counted = magpy.stats(fast)  # not of the calls that TorchDynamo has traced
    assert counted["hits"] >= 3 or (VERIFY and counted["verified"] >= 3)


# -- runs that make modules ----------------------------------------------------------------


class Sliced(torch.nn.Module):
    """A slice of a ModuleList is a module; it dies in the loop."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(3, 3) for _ in range(3))

    def forward(self, x):
        for layer in self.layers[:2]:
            x = layer(x).relu()
        return x * 2


class Made(torch.nn.Module):
    def forward(self, x):
        self.last = torch.nn.Identity()
        parts = torch.nn.ModuleDict({"act": torch.nn.ReLU(), "id": self.last})
        kept = torch.nn.Sequential(parts["act"], torch.nn.Flatten())
        return kept(x) * 2, parts


def whole(model, calls=4):
    fast = magpy.compile(model, backend="eager")
    for _ in range(calls):
        x = torch.randn(2, 3)
        ours, last = fast(x), getattr(model, "last", None)
        theirs = model(x)
        if isinstance(ours, tuple):
            assert repr(ours[1]) == repr(theirs[1])
            assert last is ours[1]["id"]
            assert fast.last is theirs[1]["id"]
            ours, theirs = ours[0], theirs[0]
        assert torch.equal(ours, theirs)
    return fast


@pytest.mark.parametrize("kind", [Sliced, Made])
def test_models_that_make_modules(kind):
    """Before, after and around torch.compile: one graph, one recording more at most."""
    if VERIFY:
        pytest.skip("hits are counted")
    before = whole(kind())
    counted = magpy.stats(before)
    model = kind()
    theirs = torch.compile(model, backend="eager")
    x = torch.randn(2, 3)
    first = theirs(x)
    if kind is Sliced:
        assert torch.equal(first, model(x))
    after = whole(kind())
    same_model = whole(model)
    torch._dynamo.reset()
    again = whole(kind())
    for fast in (before, after, same_model, again):
        s = magpy.stats(fast)
        assert not s["reasons"], s
        assert not s["breaks"], s
        assert s["graphs"] == 1
        assert (s["hits"], s["recordings"]) == (counted["hits"], counted["recordings"])
    more = magpy.stats(before)["recordings"]
    for _ in range(4):
        x = torch.randn(2, 3)
        before(x)
    s = magpy.stats(before)
    assert s["recordings"] <= more + 1
    assert not s["reasons"], s
    assert not s["breaks"], s


def test_modules_that_hits_make():
    """They are not in TorchDynamo's list of modules, which compiles them like any other."""
    torch.compile(torch.nn.Linear(2, 2), backend="eager")(torch.ones(1, 2))

    def make(width):
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.ReLU())

    fast = magpy.compile(make, backend="eager")
    for _ in range(4):
        plain, module = make(3), fast(3)
        theirs = torch.compile(module, backend="eager")
        for scale in (1.0, 2.0):
            with torch.no_grad():
                module[0].weight.mul_(scale)
                plain[0].weight.mul_(scale)
            same(theirs, plain, rounds=2)
        module[1] = torch.nn.Tanh()
        plain[1] = torch.nn.Tanh()
        same(theirs, plain, rounds=2)
    assert magpy.stats(fast)["hits"] >= 2, magpy.stats(fast)


def refused(pred, x):
    """TorchDynamo compiles it, and refuses: it leaves its evaluator behind."""
    return torch.cond(pred, lambda x: x, torch.sin, [x])


def refuse(fn):
    with pytest.raises(Exception, match="captured completely"):
        fn(torch.tensor(True), torch.ones(2))


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("below", [False, True])
def test_frame_evaluator_that_stays(before, below):
    """Dynamo's evaluator is below ours, above it, or both."""
    if before:
        refuse(refused)
    if below:
        refuse(magpy.compile(refused, backend="eager"))
    for _ in range(2):
        refuse(refused)
        fast = magpy.compile(inner, backend="eager")
        same(fast, inner)
        assert magpy.stats(fast)["hits"] == 3
        ours = torch.compile(inner, backend="eager")
        same(magpy.compile(lambda x, ours=ours: ours(x), backend="eager"), inner)


def test_first_call_below_torch_compile():
    fast = magpy.compile(inner, backend="eager")
    around = torch.compile(lambda x: fast(x) + 3, backend="eager")
    same(around, lambda x: inner(x) + 3)
    same(fast, inner)
    fresh = magpy.compile(inner, backend="eager")
    same(fresh, inner)
    assert magpy.stats(fresh)["hits"] == 3


def test_torch_compile_around_module():
    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = magpy.compile(linear, backend="eager")

        def forward(self, x):
            return self.inner(x) * 2

    linear = torch.nn.Linear(3, 3)
    same(torch.compile(Outer(), backend="eager"), lambda x: linear(x) * 2)


# -- tracers -----------------------------------------------------------------------------


ROW = torch.ones(1, 2)


def compiled(model):
    return magpy.compile(model, backend="eager")


class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)
        self.register_buffer("b", torch.ones(2))

    def forward(self, x, scale: float = 2.0):
        return self.linear(x).relu() * scale + self.b


TRACERS = {
    "symbolic_trace": torch.fx.symbolic_trace,
    "export": lambda m: torch.export.export(m, (ROW,), strict=False).module(),
    "export strict": lambda m: torch.export.export(m, (ROW,), strict=True).module(),
    "jit.trace": lambda m: torch.jit.trace(m, (ROW,)),
}


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("place", ["whole", "child", "in place"])
def test_tracers_see_the_original(tracer, place):
    inner = Scaled()
    twin = copy.deepcopy(inner)
    if place == "whole":
        face, right = compiled(inner), twin
    elif place == "child":
        face = torch.nn.Sequential(compiled(inner), torch.nn.Tanh())
        right = torch.nn.Sequential(twin, torch.nn.Tanh())
    else:
        inner.forward = compiled(inner.forward)
        face, right = inner, twin
    traced, expected = TRACERS[tracer](face), TRACERS[tracer](right)
    x = torch.randn(1, 2)
    assert torch.equal(traced(x), right(x))
    assert list(traced.state_dict()) == list(expected.state_dict())
    if tracer == "symbolic_trace":
        assert traced.code == expected.code


def test_torch_compile_of_one_graph_around_functions():
    """TorchDynamo traces the original, as it does inside of torch.compile."""
    fast, slow = compiled(inner), torch.compile(inner, backend="eager")
    for f in (fast, slow, Scaled().forward, compiled(Scaled().forward)):
        whole = torch.compile(lambda x, f=f: f(x) * 2, backend="eager", fullgraph=True)
        assert torch.equal(whole(ROW), f(ROW) * 2)
    assert torch.equal(fast(ROW), inner(ROW))


# -- memory ------------------------------------------------------------------------------


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="3.12 itself crashes in inspect without memory"
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_compile_without_memory():
    memory = pytest.importorskip("_testcapi")

    def f(x, d):
        y = (x * 2).relu() + 1
        d["n"] = y
        return [y, 3]

    def right(answer, x, d):
        return torch.equal(answer[0], x * 2 + 1) and d["n"] is answer[0]

    failed = 0
    for first in range(1, 6000, 211):
        # (torch's fake tensors, which other backends are given, crash without memory)
        fast = magpy.compile(f, backend="eager")
        x = torch.ones(3)
        assert right(fast(x, d := {}), x, d)
        memory.set_nomemory(first, first + 1)
        answer = None
        try:
            answer = fast(x, d := {})  # compiles
        except MemoryError:
            pass
        finally:
            memory.remove_mem_hooks()
        assert d == {} if answer is None else right(answer, x, d)
        failed += "compile-failed" in magpy.stats(fast)["reasons"]
        for _ in range(2):
            assert right(fast(x, d := {}), x, d)
    assert failed > 3


def test_a_function_is_disabled_in_the_run():
    def inner(x):
        return x + 1

    def f(x):
        y = x * 2
        kept_off = torch.compiler.disable(inner)
        return kept_off(y) * 3

    fast = magpy.compile(f, backend="eager")
    x = torch.ones(3)
    for _ in range(5):
        assert torch.equal(fast(x), f(x))
    stats = magpy.stats(fast)
    assert (stats["hits"], stats["fallbacks"], stats["graphs"]) == (4, 0, 2)
