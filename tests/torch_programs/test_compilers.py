"""Graphs that compilers get wrong or refuse run as recorded; a sample of all programs.

`make test-inductor` runs all programs with tensors that way.
"""

from __future__ import annotations

import shutil

import pytest
import test_memory
import test_modes
import test_modules
import test_operations
import torch
import torch_worlds

import magpy
import oracle
from magpy.backends import check
from magpy.config import config

needs_inductor = pytest.mark.skipif(
    shutil.which("g++") is None, reason="no C++ compiler"
)
BACKENDS = ["aot_eager", pytest.param("inductor", marks=needs_inductor)]


def rows(number):
    return torch.arange(24.0).reshape(8, 3)[number % 3 + 1 : number % 3 + 3]


def chunk(x):
    torch.unsafe_chunk(x, 2)[0].add_(1)
    return x * 1


def split(x):
    torch.ops.aten.unsafe_split.Tensor(x, 1)[0].mul_(5)
    return x + 0


PROGRAMS = {
    "unsafe-chunk": chunk,
    "unsafe-chunk-result": lambda x: x.unsafe_chunk(2)[0].add_(1),
    "unsafe-split": split,
    "as-strided": lambda x: x.as_strided((2,), (1,), 0) + 1,
    "as-strided-function": lambda x: torch.as_strided(x, (2,), (1,)) + 1,
    "as-strided-operator": lambda x: torch.ops.aten.as_strided(x, (2,), (1,), 0) * 2,
    "offset": lambda x: x + x.storage_offset(),
    "out-with-strides": lambda x: torch.add(x, 1, out=torch.empty(3, 2).t()),
    "empty-strided": lambda x: torch.empty_strided((2, 3), (1, 2)).copy_(x),
    "leaf": lambda x: torch.ones(3, requires_grad=True) * x,
    "leaf-returned": lambda x: (torch.zeros(2, requires_grad=True), x * 2),
    "shape-of-data": lambda x: x[x > 4] * 2,
    "nonzero": lambda x: (x > 4).nonzero(),
    "chain-of-views": lambda x: x.swapaxes_(0, 1).fill_diagonal_(0),
    "written-input": lambda x: (x.mul_(2), x[0].add_(1), x.sum()),
}


def facts(value):
    if isinstance(value, (tuple, list)):
        return [fact for item in value for fact in facts(item)]
    same = (
        value.shape,
        value.stride(),
        value.dtype,
        value.requires_grad,
        value.is_leaf,
    )
    return [(*same, [round(number, 3) for number in value.flatten().tolist()])]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_equal_to_eager(name, backend):
    f = PROGRAMS[name]
    compiled = magpy.compile(f, backend=backend)
    for number in range(5):
        theirs, ours = rows(number).clone()[:], rows(number).clone()[:]
        if name.startswith(("as-strided", "offset")):
            theirs, ours = rows(number), rows(number)
        assert facts([f(theirs), theirs]) == facts([compiled(ours), ours]), number
    assert magpy.stats(compiled)["hits"] >= 3


ALL = [
    case
    for home in (test_memory, test_modes, test_modules, test_operations)
    for case in home.CASES
]


def check_with(backend, case, monkeypatch):
    monkeypatch.setattr(oracle, "BACKEND", backend)
    monkeypatch.setattr(torch_worlds, "TOLERANCE", oracle.COMPILED_TOLERANCE)
    torch_worlds.check_torch(case)


@pytest.mark.parametrize("case", ALL[::12], ids=str)
def test_sample(case, monkeypatch):
    check_with("aot_eager", case, monkeypatch)


@needs_inductor
@pytest.mark.parametrize("case", ALL[6::100], ids=str)
def test_sample_with_inductor(case, monkeypatch):
    check_with("inductor", case, monkeypatch)


def test_inference_mode_inside_a_training_graph():
    def f(x):
        with torch.inference_mode():
            y = x.detach() * 2
        return x.sin() + y.clone().sum(), y

    compiled = magpy.compile(f, backend="aot_eager")
    for _ in range(4):
        x = torch.ones(3, requires_grad=True)
        result, inside = compiled(x)
        result.sum().backward()
        assert torch.allclose(x.grad, torch.ones(3).cos())
        assert inside.is_inference()
        assert torch.equal(torch.ones(2) + 1, torch.full((2,), 2.0))


def test_a_compile_that_would_fail_in_inference_mode_leaves_nothing():
    def f(x):
        with torch.inference_mode():
            selected = x[x > 0]
        return selected, x + 1

    compiled = magpy.compile(f, backend="aot_eager")
    for _ in range(3):
        assert torch.equal(compiled(torch.ones(2))[1], torch.full((2,), 2.0))
    assert magpy.stats(compiled)["hits"] == 2
    assert not torch.is_inference_mode_enabled()
    assert torch.equal(torch.arange(3) + 1, torch.tensor([1, 2, 3]))
    x = torch.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    assert torch.equal(x.grad, torch.full((2,), 2.0))


class Value:
    def __init__(self, index):
        self.index = index


V = [Value(i) for i in range(4)]


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (lambda x: (x + 1,), ""),
        (lambda x: (x + 1.00001,), ""),
        (lambda x: (x + 3,), "the numbers of result 0"),
        (lambda x: (1 - x,), "the numbers of result 0"),
        (lambda x: (x[:1] + 1,), "the shape of result 0"),
        (lambda x: ((x + 1).double(),), "the dtype of result 0"),
        (lambda x: ((x + 1).t().contiguous().t(),), "the strides of result 0"),
        (lambda x: (x.requires_grad_() + 1,), "the requires_grad of result 0"),
        (lambda x: (x.add_(1),), "which results share memory"),
        (lambda x: (x + 1, x), "the number of results"),
        (lambda x: ((x + 1) / 0,), "the numbers of result 0"),
        (lambda x: (x[100],), "it raises IndexError"),
    ],
    ids=map(str, range(12)),
)
def test_what_counts_as_a_difference(wrong, what):
    spec = ([("add", (V[0], 1), {}, V[1])], 1, (1,), {"mutated": ()})
    x = torch.arange(1.0, 7.0).reshape(2, 3)
    found = check.difference(spec, lambda x: (x + 1,), (wrong, False), [x])
    assert found == what
    assert torch.equal(x, torch.arange(1.0, 7.0).reshape(2, 3))


@pytest.mark.parametrize(
    "op",
    [
        (torch.rand, (3,), {}, V[0]),
        (torch.nn.functional.dropout, (V[0], 0.5, True), {}, V[0]),
        (torch.empty, (3,), {}, V[0]),
    ],
    ids=["rand", "dropout", "empty"],
)
def test_random_numbers_are_no_difference(op):
    spec = ([op], 0, (0,), {"mutated": ()})
    ones = torch.ones(3)
    found = check.difference(spec, lambda: (ones,), (lambda: (-ones,), False), [])
    assert found == ""
    found = check.difference(spec, lambda: (ones,), (lambda: (ones[:2],), False), [])
    assert found == "the shape of result 0"


def test_what_comes_of_memory_that_nobody_has_set_is_no_difference():
    ones = torch.ones(3)
    ops = [
        (torch.empty, (3,), {}, V[1]),
        (torch.add, (V[0], 1), {"out": V[1]}, V[1]),
        (torch.mul, (V[0], 2), {}, V[2]),
    ]
    spec = (ops, 1, (1, 2), {"mutated": ()})

    def found(first, second):
        other = (lambda x: (first.clone(), second.clone()), False)
        return check.difference(spec, lambda x: (x + 1, x * 2), other, [ones])

    assert found(ones * 2, ones * 2) == found(ones, ones * 2) == ""
    assert found(ones * 2, ones) == "the numbers of result 1"
    ops[2] = ("add_", (V[0], V[1]), {}, V[0])  # nobody knows what shares its memory
    ops.append((torch.mul, (V[0], 2), {}, V[2]))
    assert found(ones * 2, ones) == ""


@needs_inductor
def test_random_numbers_in_order_although_one_is_for_nothing():
    """Inductor sorts operations, and loses the order where a result is not used."""

    def noisy(x):
        y = torch.nn.functional.dropout(x, 0.5)[order]
        return y + torch.linalg.cholesky(torch.eye(64))

    def f(x):
        results = [torch.softmax(noisy(noisy(x)), 1)]
        torch.bernoulli(x / 8)
        results.append(torch.softmax(noisy(noisy(x)), 1))
        return torch.stack(results)

    x, order = torch.ones(64, 64), torch.arange(64).flip(0)
    compiled = magpy.compile(f, options={"fallback_random": True})
    with config.patch(check_compiled=False):
        for number in range(4):
            torch.manual_seed(number)
            expected = f(x)
            torch.manual_seed(number)
            assert torch.allclose(compiled(x), expected)
    assert magpy.stats(compiled)["hits"] == 3


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda x: (x + 1, x + 1), "which results share memory"),
        (lambda x: (y := x + 1, y.detach()), ""),
        (lambda x: (x + 1,) * 2, "which results are one tensor"),
    ],
    ids=["apart", "alias", "one"],
)
def test_which_results_are_one(other, what):
    ops = [("add", (V[0], 1), {}, V[1]), ("detach", (V[1],), {}, V[2])]
    spec = (ops, 1, (1, 2), {"mutated": ()})

    def recorded(x):
        y = x + 1
        return y, y.detach()

    found = check.difference(spec, recorded, (other, False), [torch.ones(3)])
    assert found == what


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: (torch.rand(4),), ""),
        (lambda: (torch.rand(5)[:4],), "how often it draws a random number"),
        (lambda: (torch.rand(4).flip(0),), "the numbers of result 0"),
    ],
    ids=["same", "more", "order"],
)
def test_what_is_drawn_where_it_is_to_be_alike(other, what):
    spec = ([(torch.rand, (4,), {}, V[0])], 0, (0,), {"mutated": ()})
    torch.manual_seed(3)
    found = check.difference(spec, lambda: (torch.rand(4),), (other, False), [], True)
    assert found == what
    torch.manual_seed(3)
    assert check.difference(spec, lambda: (torch.rand(4),), (other, False), []) == ""


@pytest.mark.not_under_verify("the backend is wrong")
@pytest.mark.parametrize(("p", "random"), [(0.5, True), (0.0, False)])
def test_what_draws_is_compiled(monkeypatch, p, random):
    made = []

    def noisy(gm, inputs):
        made.append(gm)
        return lambda *args: (gm(*args)[0] * 0 + len(made),)

    noisy._tags = ()

    from torch._dynamo.backends import registry

    monkeypatch.setitem(registry._BACKENDS, "noisy", None)
    monkeypatch.setitem(registry._COMPILER_FNS, "noisy", noisy)
    compiled = magpy.compile(
        lambda x: torch.nn.functional.dropout(x, p, True), backend="noisy"
    )
    x = torch.full((64,), 5.0)
    results = [compiled(x) for _ in range(3)]
    assert all(torch.equal(r, torch.ones(64)) for r in results[1:]) is random


@pytest.mark.not_under_verify("the backend is wrong")
def test_a_graph_that_differs_runs_as_recorded(monkeypatch):
    made = []

    def broken(gm, inputs):
        made.append(gm)
        return lambda *args: tuple(r * 2 for r in gm(*args))

    broken._tags = ()  # as of a backend that has been registered

    from torch._dynamo.backends import registry

    monkeypatch.setitem(registry._BACKENDS, "broken", None)
    monkeypatch.setitem(registry._COMPILER_FNS, "broken", broken)
    x = torch.ones(3)
    compiled = magpy.compile(lambda x: x + 1, backend="broken")
    assert [compiled(x).sum().item() for _ in range(3)] == [6, 6, 6]
    assert len(made) == 1
    with config.patch(check_compiled=False):
        trusting = magpy.compile(lambda x: x + 1, backend="broken")
        assert [trusting(x).sum().item() for _ in range(3)] == [6, 12, 12]


def test_a_graph_that_only_raises_when_compiled():
    """AOTAutograd compiles the gradients of an LSTM to something that raises."""
    net = torch.nn.LSTM(4, 5)
    compiled = magpy.compile(net, backend="aot_eager")
    for _ in range(4):
        compiled(torch.ones(2, 3, 4))[0].sum().backward()
    assert magpy.stats(compiled)["hits"] == 3


def test_backends_of_the_program_are_not_run_twice():
    runs = []

    def mine(gm, inputs):
        def run(*args):
            runs.append(1)
            return gm(*args)

        return run

    compiled = magpy.compile(lambda x: x + 1, backend=mine)
    for _ in range(3):
        compiled(torch.ones(2))
    assert len(runs) == 2


@pytest.mark.not_under_verify("a dry run calls them, too")
def test_operators_of_the_program_run_once_a_call():
    calls = []

    @torch.library.custom_op("magpy_tests::counted", mutates_args=())
    def counted(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return x * 2

    counted.register_fake(torch.empty_like)
    compiled = magpy.compile(lambda x: counted(x) + 1, backend="aot_eager")
    for number in range(4):
        assert torch.equal(compiled(torch.ones(2)), torch.full((2,), 3.0))
        assert len(calls) == number + 1


@torch.jit.script
def scripted(x, y: int):
    return torch.sqrt(torch.sigmoid(x * 2 + y) * x.size(-1))


def test_scripted_functions_are_traced_without_kernels_of_their_fuser():
    # On a GPU the second call runs a fused kernel, which fake tensors have no memory for.
    asked = []

    def backend(gm, inputs):
        asked.append(torch._C._get_graph_executor_optimize())
        return gm.forward

    compiled = magpy.compile(lambda x: scripted(x, 3) + 1, backend=backend)
    x = torch.rand(4, 4)
    for _ in range(3):
        assert torch.equal(compiled(x), scripted(x, 3) + 1)
    assert asked == [False]
    assert torch._C._get_graph_executor_optimize()


@torch.jit.script
def with_defaults(x, y: int = 2, z: float = 1.0, w: torch.Tensor | None = None):
    if w is not None:
        x = x + w
    return scripted(x, y) * z


@torch.jit.script
def reshaped(x, sizes: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    return x.reshape(sizes), x + 1


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_scripted_functions_that_have_run(backend):
    def f(x):
        return (
            with_defaults(x),
            with_defaults(x, 3, w=x),
            with_defaults(x, z=2),
            *reshaped(x, [16]),
            *reshaped(x, [2, 8]),
        )

    x = torch.rand(4, 4)
    for _ in range(3):
        f(x)
    compiled = magpy.compile(f, backend=backend)
    for _ in range(3):
        for got, expected in zip(compiled(x), f(x), strict=True):
            torch.testing.assert_close(got, expected)
    assert magpy.stats(compiled)["hits"] == 2


def test_views_without_history_stay_without():
    weight = torch.nn.Parameter(torch.ones(3))

    @torch.no_grad()
    def f(x):
        return weight.view(3)

    compiled = magpy.compile(f, backend="aot_eager")
    for _ in range(4):
        view = compiled(torch.ones(3))
        assert view.is_leaf
        assert view.grad_fn is None
