"""From the engine's operator log to an FX graph."""

from __future__ import annotations

import math
import operator
from collections import namedtuple
from functools import partial

import pytest

import magpy
from magpy import graph

torch = pytest.importorskip("torch")
F = torch.nn.functional
Pair = namedtuple("Pair", "first second")


class Value:
    """As the engine's: a leaf that stands for a tensor."""

    def __init__(self, index):
        self.index = index


V = [Value(i) for i in range(10)]


def build(ops, n_inputs, outputs, **notes):
    return graph.build((ops, n_inputs, outputs, notes), value_type=Value)


def test_functions_and_methods():
    ops = [
        (F.linear, (V[0], V[1]), {}, V[2]),
        ("mul", (V[2], 2), {}, V[3]),
        (torch.sum, (V[3],), {"dim": 0}, V[4]),
    ]
    gm = build(ops, 2, (4, 2), input_names=("x", "self.layers[0].weight"))
    x, w = torch.randn(3, 4), torch.randn(2, 4)
    y = F.linear(x, w)
    result = gm(x, w)
    assert isinstance(result, tuple)
    assert torch.equal(result[0], (y * 2).sum(0))
    assert torch.equal(result[1], y)
    names = [n.name for n in gm.graph.nodes if n.op == "placeholder"]
    assert names == ["l_x_", "l_self_layers_0_weight_"]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("self.layers[0].weight", "self_layers_0_weight"),
        ("0", "arg_0"),
        ("[]", "arg"),
        ("args['größe']", "args_größe"),
    ],
)
def test_placeholder_names(source, name):
    assert graph.placeholder_name(source) == name
    assert graph.input_name(source) == f"l_{name}_".lower()
    assert name.isidentifier()


def test_equal_names_stay_apart():
    gm = build([(torch.add, (V[0], V[1]), {}, V[2])], 2, (2,), input_names=("a", "a"))
    assert torch.equal(gm(torch.ones(1), torch.ones(1))[0], torch.full((1,), 2.0))


def test_names_do_not_hide_what_the_code_uses():
    def scale(x, k):
        return x * k

    module = scale.__module__.replace(".", "_")
    names = ("self", "torch", "slice", "class", f"{module}_scale", "device")
    ops = [
        (scale, (V[0], 2), {}, V[6]),
        (torch.add, (V[6], V[1]), {}, V[7]),
        (operator.getitem, (V[7], slice(0, 1)), {}, V[8]),
    ]
    gm = build(ops, 6, (8,), input_names=names)
    inputs = [torch.full((2,), float(i)) for i in range(1, 7)]
    assert gm(*inputs)[0].item() == 4
    args = [n.target for n in gm.graph.nodes if n.op == "placeholder"]
    assert len(set(args)) == 6
    sources = [n.meta["magpy_source"] for n in gm.graph.nodes if n.op == "placeholder"]
    assert tuple(sources) == names


def test_nested_arguments():
    ops = [
        (torch.cat, ([V[0], V[1]],), {"dim": 0}, V[2]),
        (operator.getitem, (V[2], (slice(1, None), slice(None, 2))), {}, V[3]),
        ("reshape", (V[3], torch.Size([2, 3])), {}, V[4]),
    ]
    gm = build(ops, 2, (4,))
    a, b = torch.randn(2, 3), torch.randn(2, 3)
    expected = torch.cat([a, b])[1:, :2].reshape(2, 3)
    assert torch.equal(gm(a, b)[0], expected)


def test_values_inside_slices_and_dicts():
    def gather(items, index):
        return items["x"][index]

    ops = [(gather, ({"x": V[0]}, (slice(None), V[1])), {}, V[2])]
    gm = build(ops, 2, (2,))
    x, i = torch.randn(3, 4), torch.tensor([0, 2])
    assert torch.equal(gm(x, i)[0], x[:, i])


def test_results_with_structure():
    ops = [
        (torch.max, (V[0], 1), {}, (V[1], V[2])),
        ("split", (V[0], 1), {}, [V[3], V[4]]),
        (Pair, (V[3], V[4]), {}, Pair(V[5], (V[6]))),
    ]
    gm = build(ops, 1, (1, 2, 4, 5))
    x = torch.randn(2, 3)
    value, index, second, first = gm(x)
    assert torch.equal(value, x.max(1).values)
    assert torch.equal(index, x.max(1).indices)
    assert torch.equal(second, x[1:])
    assert torch.equal(first, x[:1])


def test_unused_parts_of_a_result_make_no_nodes():
    gm = build([("max", (V[0], 1), {}, (None, V[1]))], 1, (1,))
    items = [n for n in gm.graph.nodes if n.target is operator.getitem]
    assert [n.args[1] for n in items] == [1]


def test_mutation_keeps_order():
    ops = [
        ("mul", (V[0], 1), {}, V[1]),
        ("add_", (V[1], 1), {}, V[1]),
        (operator.setitem, (V[1], 0, 7.0), {}, None),
        ("mul", (V[1], 2), {}, V[2]),
    ]
    gm = build(ops, 1, (2,))
    gm.graph.eliminate_dead_code()
    gm.recompile()
    assert torch.equal(gm(torch.zeros(2))[0], torch.tensor([14.0, 2.0]))


def test_state_changes_survive_dead_code_elimination():
    ops = [
        (torch._C._set_grad_enabled, (False,), {}, None),
        ("mul", (V[0], 2), {}, V[1]),
        (torch._C._set_grad_enabled, (True,), {}, None),
    ]
    gm = build(ops, 1, (1,))
    gm.graph.eliminate_dead_code()
    gm.recompile()
    assert len([n for n in gm.graph.nodes if n.op == "call_function"]) == 2
    assert not gm(torch.ones(1, requires_grad=True))[0].requires_grad


def test_custom_function_without_result_survives():
    seen = []

    def note(x):
        seen.append(x.sum().item())

    gm = build([(note, (V[0],), {}, None)], 1, (0,))
    gm.graph.eliminate_dead_code()
    gm.recompile()
    gm(torch.ones(3))
    assert seen == [3.0]


@pytest.mark.parametrize(
    "constant",
    [
        1,
        True,
        None,
        0.1,
        -0.0,
        math.inf,
        1e300,
        "text",
        b"bytes",
        2 + 3j,
        complex(math.nan, math.inf),
        ...,
        torch.float16,
        torch.device("cpu"),
        torch.contiguous_format,
        torch.strided,
        range(3),
        frozenset([1]),
        Pair(1, 2),
        int,
        len,
        [1, (2, {"k": slice(0, 3)})],
    ],
    ids=repr,
)
def test_constants(constant):
    got = []

    def take(x, value):
        got.append(value)
        return x

    build([(take, (V[0], constant), {}, V[0])], 1, (0,))(torch.ones(1))
    assert type(got[0]) in (type(constant), tuple)
    assert repr(got[0]) == repr(constant)


def test_nan_constant():
    gm = build([("add", (V[0], math.nan), {}, V[1])], 1, (1,))
    assert torch.isnan(gm(torch.ones(1))[0]).all()


def test_odd_constant_is_shared():
    generator = torch.Generator()
    got = []

    def take(x, value):
        got.append(value)
        return x

    ops = [(take, (V[0], generator), {}, V[0]), (take, (V[0], generator), {}, V[0])]
    gm = build(ops, 1, (0,))
    gm(torch.ones(1))
    assert got[0] is got[1] is generator


def test_callables_that_source_code_cannot_name():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, g):
            return 2 * g

    class Callable:
        def __call__(self, x):
            return x + 1

    ops = [
        (Double.apply, (V[0],), {}, V[1]),
        (Callable(), (V[1],), {}, V[2]),
        (partial(torch.mul, other=3), (V[2],), {}, V[3]),
        ((lambda x: x - 1), (V[3],), {}, V[4]),
        (torch.ops.aten.relu.default, (V[4],), {}, V[5]),
        (torch.Tensor.add, (V[5], 1), {}, V[6]),
    ]
    gm = build(ops, 1, (6,))
    assert torch.equal(gm(torch.ones(2))[0], torch.full((2,), 9.0))


def test_two_callables_of_one_name():
    def make(k):
        def f(x):
            return x + k

        return f

    ops = [(make(1), (V[0],), {}, V[1]), (make(10), (V[1],), {}, V[2])]
    assert build(ops, 1, (2,))(torch.zeros(1))[0].item() == 11


def test_output_twice_and_input_returned():
    gm = build([], 1, (0, 0))
    x = torch.ones(1)
    first, second = gm(x)
    assert first is second is x


def test_undefined_value():
    with pytest.raises(KeyError):
        build([("add", (V[3], 1), {}, V[1])], 1, (1,))


def test_values_are_recognised_by_name_without_a_type():
    gm = graph.build(([("add", (V[0], 1), {}, V[1])], 1, (1,), {}))
    assert gm(torch.zeros(1))[0].item() == 1


def test_inputs_whose_names_differ_in_case_only():
    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w_B, self.w_b, self.W_B = (
                torch.nn.Parameter(torch.full((2,), value)) for value in (1.0, 2.0, 3.0)
            )

        def forward(self, x):
            return self.w_B * 100 + self.w_b * 10 + self.W_B + x

    fast = magpy.compile(Both(), backend="eager")
    for _ in range(3):
        assert fast(torch.zeros(2)).tolist() == [123, 123]
    assert magpy.stats(fast)["hits"] == 2
