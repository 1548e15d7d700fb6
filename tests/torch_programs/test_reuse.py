"""Recordings that computed the same graph share what a backend has made of it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.nn import functional

import magpy

COUNT = 40


class Block(torch.nn.Module):
    def __init__(self, scale: float = 0.5) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(6, 6)
        self.norm = torch.nn.LayerNorm(6)
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.scale * self.norm(torch.relu(self.linear(x)))


class Counting:
    """A backend that counts what it compiles."""

    def __init__(self, name: str = "eager") -> None:
        self.name = name
        self.graphs: list[Any] = []

    def __call__(self, gm: Any, inputs: Any) -> Any:
        from torch._dynamo.backends.registry import lookup_backend

        self.graphs.append(weakref.ref(gm))
        return (
            gm.forward
            if self.name == "eager"
            else lookup_backend(self.name)(gm, inputs)
        )

    def __len__(self) -> int:
        return len(self.graphs)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["eager", "aot_eager", "inductor"])
def test_instances_of_a_block(name: str, training: bool) -> None:
    torch.manual_seed(0)
    backend = Counting(name)
    blocks = [Block() for _ in range(COUNT)]
    compiled = [magpy.compile(block, backend=backend) for block in blocks]
    for block, fast in zip(blocks, compiled, strict=True):
        for _ in range(2):
            x = torch.randn(3, 6, requires_grad=training)
            with torch.set_grad_enabled(training):
                got, wanted = fast(x), block(x)
            assert torch.allclose(got, wanted, atol=1e-5)
            if not training:
                continue
            asked = [x, *block.parameters()]
            theirs = torch.autograd.grad(wanted.sum(), asked)
            for a, b in zip(torch.autograd.grad(got.sum(), asked), theirs, strict=True):
                assert torch.allclose(a, b, atol=1e-4)
    assert len(backend) == 1
    assert [magpy.stats(fast)["reused"] for fast in compiled] == [0] + [1] * (COUNT - 1)
    with torch.no_grad():  # each has its own parameters
        blocks[1].linear.bias.add_(1)
        blocks[2].linear.weight = torch.nn.Parameter(torch.ones(6, 6))
    x = torch.randn(3, 6)
    for block, fast in zip(blocks[:4], compiled, strict=False):
        assert torch.allclose(fast(x), block(x), atol=1e-5)


@pytest.mark.parametrize("name", ["eager", "aot_eager", "inductor"])
def test_named_backends_share(name: str) -> None:
    first, second = (magpy.compile(Block(), backend=name) for _ in range(2))
    x = torch.randn(2, 6)
    for fast in (first, second):
        fast(x), fast(x)
    assert magpy.stats(second)["reused"] == 1
    if name == "eager":  # explain compiles anew, with that
        assert "an equal one" in str(magpy.explain(second)(x))


def test_entries_of_one_function() -> None:
    backend = Counting()

    @magpy.compile(backend=backend)
    def step(x: torch.Tensor, who: str, loud: bool) -> Any:
        if loud and who == "nobody":
            return None
        return {"who": len(who), "x": x.sin()}

    x = torch.ones(3)
    for who, loud in (("a", False), ("bb", True), ("ccc", True)):
        for _ in range(2):
            assert step(x, who, loud)["who"] == len(who)
    assert len(backend) == 1
    counted = magpy.stats(step)
    assert counted["recordings"] >= 2
    assert counted["reused"] == counted["recordings"] - 1


# -- What tells graphs apart -----------------------------------------------------------


@contextmanager
def setting(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


ONE = torch.arange(6.0).reshape(2, 3)
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "type of a constant": (lambda x: x * 1, lambda x: x * 1.0),
    "bool": (lambda x: x.int() * 1, lambda x: x.int() * True),
    "sign of zero": (lambda x: 1 / (x * 0.0), lambda x: 1 / (x * -0.0)),
    "operation": (lambda x: x.sin(), lambda x: x.cos()),
    "method": (lambda x: x.sin(), torch.sin),
    "argument": (lambda x: x.sum(0), lambda x: x.sum(1)),
    "keyword": (lambda x: x.sum(dim=0), lambda x: x.sum(dim=0, keepdim=True)),
    "which value": (lambda x: x - x.sin(), lambda x: x.sin() - x),
    "which result": (lambda x: x.max(0).values, lambda x: x.max(0).indices),
    "order": (lambda x: (x.sin(), x.cos()), lambda x: (x.cos(), x.sin())),
    "dtype": (lambda x: x.to(torch.float64), lambda x: x.to(torch.float16)),
    "slice": (lambda x: x[:1], lambda x: x[1:]),
    "list": (lambda x: x[[0]], lambda x: x[[1]]),
    "written": (lambda x: x.clone().add_(1), lambda x: x.clone().add(1)),
}


@pytest.mark.parametrize("what", FUNCTIONS)
def test_functions_that_differ(what: str) -> None:
    backend = Counting()
    pair = FUNCTIONS[what]
    compiled = [magpy.compile(function, backend=backend) for function in pair]
    for function, fast in zip(pair, compiled, strict=True):
        wanted, got = function(ONE), (fast(ONE), fast(ONE))[1]
        for a, b in zip(got, wanted, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
    assert sum(magpy.stats(fast)["reused"] for fast in compiled) == 0


SURROUNDINGS: dict[str, Callable[[], Any]] = {
    "no grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "default dtype": lambda: default_dtype(torch.float64),
    "deterministic": lambda: deterministic(),
    "inductor's settings": lambda: inductor_setting(),
    "check_compiled": lambda: magpy.config.patch(check_compiled=False),
}


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


def inductor_setting() -> Any:
    import torch._inductor.config

    return torch._inductor.config.patch(epilogue_fusion=False)


@pytest.mark.parametrize("what", SURROUNDINGS)
def test_surroundings_that_differ(what: str) -> None:
    backend = Counting("aot_eager")
    kept = []
    for surroundings in (nullcontext, SURROUNDINGS[what], nullcontext):
        fast = magpy.compile(Block(), backend=backend)
        kept.append(fast)
        with surroundings():
            x = torch.ones(2, 6, dtype=torch.float32)
            fast(x), fast(x)
    counts = [magpy.stats(fast)["reused"] for fast in kept]
    assert counts in ([0, 0, 1], [0, 0, 0]), counts  # (one that ran eager has no graph)
    assert counts[1] == 0


INPUTS: dict[str, Callable[[], torch.Tensor]] = {
    "size": lambda: torch.ones(3, 3),
    "strides": lambda: torch.ones(3, 2).t(),
    "dtype": lambda: torch.ones(2, 3, dtype=torch.float64),
    "gradients": lambda: torch.ones(2, 3, requires_grad=True),
    "class": lambda: torch.nn.Parameter(torch.ones(2, 3), requires_grad=False),
    "inference": lambda: inference(),
    "offset": lambda: torch.ones(8)[2:].reshape(2, 3),
    "layout": lambda: torch.ones(2, 3).to_sparse(),
    "conjugate": lambda: torch.ones(2, 3, dtype=torch.complex64).conj(),
}


def inference() -> torch.Tensor:
    with torch.inference_mode():
        return torch.ones(2, 3)


@pytest.mark.parametrize("what", INPUTS)
def test_inputs_that_differ(what: str) -> None:
    backend = Counting()
    kept = []
    for x in (torch.ones(2, 3), INPUTS[what](), torch.ones(2, 3)):
        fast = magpy.compile(lambda x: x + x, backend=backend)
        kept.append(fast)
        fast(x)
        assert (fast(x).to_dense() == (x + x).to_dense()).all()
    counts = [magpy.stats(fast)["reused"] for fast in kept]
    assert counts == [0, 0, 1], counts


def test_inputs_that_share_memory() -> None:
    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x.add_(1)
        return y * 2

    backend = Counting("aot_eager")
    kept = []
    for shared in (False, True):
        for _ in range(3):
            base = torch.zeros(4)
            x, y = (base[:2], base[:2]) if shared else (base[:2], torch.zeros(2))
            fast = magpy.compile(step, backend=backend)
            kept.append(fast)
            fast(x, y)
            assert torch.equal(fast(x, y), torch.full((2,), 4.0 if shared else 0.0))


def test_backends_that_differ() -> None:
    first, second = Counting(), Counting()
    kept = [magpy.compile(Block(), backend=b) for b in (first, second, "eager")]
    options = {"epilogue_fusion": False}
    kept += [magpy.compile(Block(), options=o) for o in ({}, options, options)]
    x = torch.randn(2, 6)
    for fast in kept:
        fast(x), fast(x)
    assert [magpy.stats(fast)["reused"] for fast in kept] == [0, 0, 0, 0, 0, 1]
    assert len(first) == len(second) == 1


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_names_that_lead_elsewhere(backend: str) -> None:
    def scaled(x: torch.Tensor) -> torch.Tensor:
        return functional.normalize(x, dim=0)

    def bigger(self: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return norm(self, *args, **kwargs) * 2

    norm = torch.Tensor.norm
    x = torch.arange(1.0, 4.0)
    kept = [magpy.compile(scaled, backend=backend) for _ in range(3)]
    kept[0](x), kept[0](x)
    with setting(torch.Tensor, "norm", bigger):
        wanted = scaled(x)
        assert torch.equal(kept[1](x), wanted)
        assert torch.equal(kept[1](x), wanted)
    assert magpy.stats(kept[1])["reused"] == 0
    assert not torch.equal(kept[2](x), wanted)
    assert torch.allclose(kept[2](x), scaled(x))


def test_code_that_is_replaced() -> None:
    def other(input: Any, inplace: bool = False) -> Any:
        return input + 1

    def step(x: torch.Tensor) -> torch.Tensor:
        return functional.relu6(x)

    x = torch.arange(-1.0, 9.0)
    kept = [magpy.compile(step, backend="eager") for _ in range(2)]
    kept[0](x), kept[0](x)
    before = functional.relu6.__code__
    functional.relu6.__code__ = other.__code__
    try:
        for _ in range(3):
            assert torch.equal(kept[1](x), x + 1)
        assert magpy.stats(kept[1])["reused"] == 0
    finally:
        functional.relu6.__code__ = before
    assert torch.equal(kept[0](x), x.clamp(0, 6))


# -- What is not shared ----------------------------------------------------------------


def test_operators_of_others() -> None:
    @torch.library.custom_op("magpy_reuse::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    twice.register_fake(torch.empty_like)
    backend = Counting()
    kept = [magpy.compile(lambda x: twice(x) + 1, backend=backend) for _ in range(2)]
    for fast in kept:
        for _ in range(2):
            assert torch.equal(fast(ONE), ONE * 2 + 1)
    assert len(backend) == 2


class Double(torch.autograd.Function):
    factor = 2

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * Double.factor

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        return grad * Double.factor


def test_autograd_functions() -> None:
    kept = [magpy.compile(lambda x: Double.apply(x) + 1, backend="eager") for _ in "ab"]
    for factor, fast in zip((2, 3), kept, strict=True):
        Double.factor = factor
        for _ in range(2):
            assert torch.equal(fast(ONE), ONE * factor + 1)
        assert magpy.stats(fast)["reused"] == 0
    Double.factor = 2


# -- Life ------------------------------------------------------------------------------


def test_it_dies_with_its_last_user() -> None:
    backend = Counting()
    first, second = (magpy.compile(Block(), backend=backend) for _ in range(2))
    x = torch.randn(2, 6)
    for fast in (first, second):
        fast(x), fast(x)
    [graph] = backend.graphs
    block = weakref.ref(first._orig_mod if hasattr(first, "_orig_mod") else first)
    del first, fast
    gc.collect()
    assert block() is None  # nothing of the one that it was made for is kept
    assert graph() is not None
    second(x)
    magpy.reset()
    gc.collect()
    assert graph() is None
    second(x), second(x)
    assert len(backend) == 2


def test_a_graph_that_raises_is_given_up_alone() -> None:
    calls = []

    def backend(gm: Any, inputs: Any) -> Any:
        def run(*given: Any) -> Any:
            calls.append(len(calls))
            if bad:
                raise RuntimeError("no")
            return gm.forward(*given)

        return run

    bad = False
    first, second = (magpy.compile(Block(), backend=backend) for _ in range(2))
    x = torch.randn(2, 6)
    for fast in (first, second):
        fast(x), fast(x)
    bad = True
    with pytest.warns(magpy.MagpyWarning, match="graph-raised"):
        first(x)
    for _ in range(4):
        first(x)
    bad = False
    count = len(calls)
    second(x)
    assert len(calls) == count + 1


# -- Sizes and numbers that vary -------------------------------------------------------


@pytest.mark.parametrize("name", ["eager", "aot_eager"])
def test_symbols(name: str) -> None:
    backend = Counting(name)
    kept = [magpy.compile(Block(), backend=backend, dynamic=True) for _ in range(3)]
    for fast in kept:
        for n in (4, 4, 5, 7):
            x = torch.randn(n, 6)
            assert torch.allclose(fast(x), fast._orig_mod(x), atol=1e-6)
    assert len(backend) == 1
    assert [magpy.stats(fast)["reused"] for fast in kept] == [0, 1, 1]


def test_symbols_with_guards() -> None:
    """A graph for some sizes is not taken for others."""

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x.view(x.shape[0] // 2, -1) + y

    backend = Counting("aot_eager")
    kept = [magpy.compile(step, backend=backend, dynamic=True) for _ in range(3)]
    for fast, start in zip(kept, (4, 8, 6), strict=True):
        for n in (start, start, start + 2):
            x, y = torch.randn(n, 3), torch.randn(n // 2, 6)
            assert torch.equal(fast(x, y), step(x, y))


def test_numbers() -> None:
    backend = Counting("aot_eager")
    kept = [
        magpy.compile(lambda x, k: x * k, backend=backend, dynamic=True) for _ in "ab"
    ]
    for fast, first in zip(kept, (0.5, 3.5), strict=True):
        for k in (first, first + 1, first + 2):
            assert torch.equal(fast(ONE, k), ONE * k)
    assert len(backend) == 1
