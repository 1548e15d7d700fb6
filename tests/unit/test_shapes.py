"""Graphs with numbers: what must hold so that they fit other sizes, and no more."""

from __future__ import annotations

import functools
import operator

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

import magpy  # noqa: E402
from magpy import graph  # noqa: E402
from magpy.shapes import proof  # noqa: E402
from magpy.shapes.recorder import Recorder  # noqa: E402
from magpy.shapes.sizes import Run  # noqa: E402
from magpy.shapes.world import World  # noqa: E402


class Value:
    def __init__(self, index):
        self.index = index


class Number:
    def __init__(self, index):
        self.index = index


V = [Value(i) for i in range(30)]
N = [Number(i) for i in range(30)]


def layout(x, dims):
    return dims, tuple(x.shape), x.stride(), x.storage_offset()


def spec(ops, inputs, outputs, dims, numbers=None, sizes=()):
    """A spec of these inputs; dims: the dynamic ones of each tensor."""
    dynamic = {i: layout(inputs[i], d) for i, d in dims.items()}
    notes = {
        "numbers": numbers or {},
        "dynamic": dynamic,
        "sizes": [(*told, None)[:3] for told in sizes],
    }
    return ops, len(inputs), outputs, notes


def fits(made, inputs, *others):
    """For which of the others is it the same graph?  It must answer as eager does."""
    proven = proof.prove(made, inputs)
    assert proven.why == ""
    assert proof.holds(proven.guards, made, inputs)
    run = graph.build(made).forward
    found = []
    for other in others:
        if proof.holds(proven.guards, made, other):
            run(*other)
            found.append(other)
    return found


def rows(*sizes):
    return [[torch.randn(n, 4)] for n in sizes]


def sizes_of(inputs):
    return [x.shape[0] if isinstance(x, torch.Tensor) else x for x in inputs]


HALF = {0: ("SIZE", 0, 0), 1: ("INT", 2), 2: ("FLOORDIV", 0, 1)}


def test_a_batch_may_be_any():
    x, w = torch.randn(5, 4), torch.randn(3, 4)
    ops = [(F.linear, (V[0], V[1]), {}, V[2]), (F.relu, (V[2],), {}, V[3])]
    made = spec(ops, [x, w], (3,), {0: (0,)})
    assert proof.prove(made, [x, w]).guards == [("LE", ("INT", 2), ("SIZE", 0, 0))]


def test_halves_of_a_size():
    ops = [("view", (V[0], N[2], 2, 4), {}, V[1])]
    made = spec(ops, *rows(6), (1,), {0: (0,)}, HALF)
    found = fits(made, *rows(6), *rows(2, 3, 4, 5, 6, 7, 8, 40))
    assert [sizes_of(x)[0] for x in found] == [2, 4, 6, 8, 40]


def two(*sizes):
    return [[torch.randn(a, 4), torch.randn(b, 4)] for a, b in sizes]


def test_equal_sizes_are_apart_until_they_must_agree():
    ops = [("sum", (V[0], 0), {}, V[2]), ("sum", (V[1], 0), {}, V[3])]
    here, *others = two((5, 5), (3, 4), (6, 6))
    made = spec(ops, here, (2, 3), {0: (0,), 1: (0,)})
    assert len(fits(made, here, *others)) == 2
    made = spec([("add", (V[0], V[1]), {}, V[2])], here, (2,), {0: (0,), 1: (0,)})
    assert [sizes_of(x) for x in fits(made, here, *others)] == [[6, 6]]


def test_cat_of_two():
    ops = [(torch.cat, ([V[0], V[1]],), {}, V[2])]
    here, *others = two((5, 6), (3, 4), (6, 6))
    made = spec(ops, here, (2,), {0: (0,), 1: (0,)})
    assert fits(made, here, *others) == others


def test_products_need_the_size_in_the_middle():
    ops = [(torch.matmul, (V[0], V[1]), {}, V[2])]
    here = [torch.randn(3, 4), torch.randn(4, 5)]
    good = [torch.randn(2, 7), torch.randn(7, 9)]
    bad = [torch.randn(2, 7), torch.randn(8, 9)]
    made = spec(ops, here, (2,), {0: (0, 1), 1: (0, 1)})
    assert fits(made, here, good, bad) == [good]


def test_numbers_as_sizes():
    numbers = {0: ("INPUT", 0, 7)}
    ops = [
        (torch.arange, (N[0],), {}, V[2]),
        (torch.zeros, ((N[0], 2),), {}, V[3]),
    ]
    made = spec(ops, [7, 0], (2, 3), {}, numbers)
    assert fits(made, [7, 0], [3, 0], [-1, 0]) == [[3, 0]]
    ops = [("expand", (V[0], N[0], 4), {}, V[2])]
    here, *others = [[torch.randn(1, 4), n] for n in (7, 3, 5)]
    made = spec(ops, here, (2,), {}, {0: ("INPUT", 1, 7)})
    assert fits(made, here, *others) == others


def test_slices_up_to_a_number():
    ops = [(operator.getitem, (V[0], slice(None, N[0])), {}, V[2])]
    here, *others = [[torch.randn(6, 4), n] for n in (3, 4, 6)]
    made = spec(ops, here, (2,), {0: (0,)}, {0: ("INPUT", 1, 3)})
    assert fits(made, here, *others) == others


@pytest.mark.parametrize(
    "key",
    [
        (N[0],),
        (slice(None), N[0]),
        (..., N[0]),
        (N[0], 1),
        (0, N[0], None, N[0]),
        (N[0], ..., None, N[0], slice(1)),
        (None, N[0], slice(1, None), ..., N[0]),
    ],
)
def test_numbers_select(key):
    x = torch.randn(5, 6, 7, 8)

    def filled(n):
        return tuple(n if k is N[0] else k for k in key)

    ops = [
        (operator.getitem, (V[0], key), {}, V[2]),
        ("clone", (V[0],), {}, V[3]),
        (operator.setitem, (V[3], key, 1.5), {}, None),
    ]
    made = spec(ops, [x, 3], (2, 3), {0: (0, 1, 2, 3)}, {0: ("INPUT", 1, 3)})
    assert fits(made, [x, 3], [x, 2], [x, 9], [torch.randn(4, 4, 4, 4), 1])
    run = graph.build(made).forward
    for n in (3, 2, 0):
        want = x.clone()
        want[filled(n)] = 1.5
        got = run(x, n)
        assert torch.equal(got[0], x[filled(n)])
        assert got[0].stride() == x[filled(n)].stride()
        assert torch.equal(got[1], want)


def test_floats_and_ints_in_arithmetic():
    ops = [
        ("mul", (V[0], N[0]), {}, V[3]),
        ("add", (V[3], V[0]), {"alpha": N[1]}, V[4]),
    ]
    numbers = {0: ("INPUT", 1, 0.5), 1: ("INPUT", 2, 3)}
    here, *others = [[torch.randn(3, 4), a, b] for a, b in ((0.5, 3), (2.5, -7))]
    made = spec(ops, here, (4,), {}, numbers)
    assert fits(made, here, *others) == others


def test_a_float_that_torch_reads_is_a_constant():
    ops = [(F.interpolate, (V[0],), {"scale_factor": N[0]}, V[2])]
    here, *others = [[torch.randn(3, 4, 8), p] for p in (0.5, 0.25)]
    made = spec(ops, here, (2,), {0: (0,)}, {0: ("INPUT", 1, 0.5)})
    assert fits(made, here, *others, [torch.randn(7, 4, 8), 0.5])[0][1] == 0.5


@pytest.mark.parametrize(
    "ops",
    [
        [(F.dropout, (V[0], N[0], True), {}, V[2])],
        [(F.layer_norm, (V[0], (4,)), {"eps": N[0]}, V[2])],
        [(torch.nan_to_num, (V[0], N[0]), {}, V[2])],
        [("uniform_", (V[0], 0.0, N[0]), {}, V[2])],
        [(torch.tensor, ([N[0], 1],), {}, V[2])],
    ],
    ids=lambda ops: getattr(ops[0][0], "__name__", ops[0][0]),
)
def test_a_float_that_only_values_depend_on_varies(ops):
    here, *others = [[torch.randn(3, 4), p] for p in (0.5, 0.25, 0.75)]
    made = spec(ops, here, (2,), {0: (0,)}, {0: ("INPUT", 1, 0.5)})
    assert fits(made, here, *others) == others


def test_dropout_with_zero_answers_with_its_argument():
    ops = [(F.dropout, (V[0], N[0], True), {}, V[2])]
    here, nothing, more = [[torch.randn(3, 4), p] for p in (0.5, 0.0, 1.0)]
    made = spec(ops, here, (2,), {0: (0,)}, {0: ("INPUT", 1, 0.5)})
    assert fits(made, here, nothing, more) == [more]


def test_strides_that_the_recording_was_told():
    ops = [("transpose", (V[0], 0, 1), {}, V[1])]
    here, more = rows(3, 7)
    terms = (("INT", 4), ("SIZE", 0, 0)), (("INT", 1), ("INT", 4))
    made = spec(ops, here, (1,), {0: (0,)}, sizes=[(1, *terms)])
    assert fits(made, here, more) == [more]
    wrong = terms[0], (("INT", 1), ("ADD", ("SIZE", 0, 0), ("INT", 1)))
    made = spec(ops, here, (1,), {0: (0,)}, sizes=[(1, *wrong)])
    assert fits(made, here, more) == []


def test_attention():
    ops = [
        ("size", (V[0], 1), {}, V[9]),
        (F.scaled_dot_product_attention, (V[0], V[1], V[1]), {}, V[3]),
        ("transpose", (V[3], 1, 2), {}, V[4]),
        ("reshape", (V[4], N[0], N[1], -1), {}, V[5]),
    ][1:]
    here = [torch.randn(2, 3, 5, 8), torch.randn(2, 3, 6, 8)]
    good = [torch.randn(4, 3, 9, 8), torch.randn(4, 3, 7, 8)]
    bad = [torch.randn(4, 3, 9, 8), torch.randn(3, 3, 7, 8)]
    numbers = {0: ("SIZE", 0, 0), 1: ("SIZE", 0, 2)}
    made = spec(ops, here, (5,), {0: (0, 2), 1: (0, 2)}, numbers)
    assert fits(made, here, good, bad) == [good]


@pytest.mark.skipif(
    not hasattr(torch.nn.functional, "grouped_mm"), reason="a later torch has it"
)
def test_groups_of_products():
    weight = torch.randn(3, 10, 8).transpose(1, 2)  # (10 floats are padded to 12)
    ends = torch.tensor([1, 3, 4], dtype=torch.int32)

    def f(x, y):
        found = torch.nn.functional.grouped_mm(x, weight, offs=ends)
        return found, found.stride(), y.view(y.shape[0] * 2)

    fast = magpy.compile(f, backend="eager")
    x = torch.randn(4, 8)
    for n in (2, 3, 4, 5, 6):
        y = torch.randn(n, 2)
        for want, got in zip(f(x, y), fast(x, y), strict=True):
            assert type(want) is type(got)
            same = want == got
            assert same if type(want) is tuple else same.all()
    assert magpy.stats(fast)["recordings"] == 2


def test_images():
    conv, norm = torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.BatchNorm2d(8)
    state = [conv.weight, conv.bias, norm.running_mean, norm.running_var]
    state += [norm.weight, norm.bias]
    state = [x.detach() for x in state]
    ops = [
        (torch.conv2d, (V[0], V[1], V[2], [2, 2], [1, 1]), {}, V[7]),
        (F.batch_norm, (V[7], V[3], V[4], V[5], V[6]), {"training": True}, V[8]),
        (F.max_pool2d, (V[8], 2), {}, V[9]),
        (F.interpolate, (V[9],), {"scale_factor": 1.5}, V[10]),
        (F.adaptive_avg_pool2d, (V[10], 1), {}, V[11]),
        ("flatten", (V[11], 1), {}, V[12]),
    ]
    here, *others = [
        [torch.randn(b, 3, h, w), *state] for b, h, w in ((2, 17, 19), (4, 24, 30))
    ]
    made = spec(ops, here, (12,), {0: (0, 2, 3)})
    assert fits(made, here, *others) == others


def test_pieces_are_as_many_as_they_were():
    ops = [("chunk", (V[0], 3), {}, (V[1], V[2], V[3]))]
    made = spec(ops, *rows(6), (1, 2, 3), {0: (0,)})
    found = fits(made, *rows(6), *rows(2, 4, 5, 7, 9))
    assert [sizes_of(x)[0] for x in found] == [5, 7, 9]


def test_dimensions_that_go_at_size_one():
    ops = [("narrow", (V[0], 0, 0, N[0]), {}, V[2]), ("squeeze", (V[2],), {}, V[3])]
    here, *others = [[torch.randn(9, 4), n] for n in (3, 1, 5)]
    made = spec(ops, here, (3,), {}, {0: ("INPUT", 1, 3)})
    assert [x[1] for x in fits(made, here, *others)] == [5]


def test_strides_follow_sizes():
    x = torch.randn(3, 5)
    made = spec([("view", (V[0], -1), {}, V[1])], [x], (1,), {0: (0, 1)})
    assert len(fits(made, [x], [torch.randn(4, 7)])) == 1
    assert fits(made, [x], [torch.randn(4, 7)[:, :6]], [torch.randn(4, 7).t()]) == []


def test_what_the_recording_was_told_is_proven():
    ops = [(torch.cat, ([V[0], V[1]],), {}, V[2])]
    here, *others = two((5, 6), (3, 4), (6, 6))
    numbers = {0: ("SIZE", 0, 0), 1: ("SIZE", 1, 0)}
    told = [(2, (("ADD", 0, 1), ("INT", 4)))]
    made = spec(ops, here, (2,), {0: (0,), 1: (0,)}, numbers, told)
    assert fits(made, here, *others) == others
    wrong = [(2, (("ADD", 0, ("INT", 6)), ("INT", 4)))]
    made = spec(ops, here, (2,), {0: (0,), 1: (0,)}, numbers, wrong)
    assert [sizes_of(x) for x in fits(made, here, *others)] == [[6, 6]]


@pytest.mark.parametrize("what", ["unknown", "raises", "told"])
def test_without_a_proof_everything_is_as_it_was(what):
    x = torch.randn(6, 4)

    def mine(x):
        return x + 1

    ops = {
        "unknown": [(mine, (V[0],), {}, V[2])],
        "raises": [("view", (V[0], -1, 24), {}, V[2]), ("item", (V[2],), {}, V[3])],
        "told": [("add", (V[0], 1), {}, V[2])],
    }[what]
    told = [(2, (("INT", 7), ("INT", 4)))] if what == "told" else []
    numbers = {0: ("INPUT", 1, 0.5)}
    made = spec(ops, [x, 0.5], (2,), {0: (0,)}, numbers, told)
    proven = proof.prove(made, [x, 0.5])
    assert proven.why
    assert proof.holds(proven.guards, made, [torch.randn(6, 4), 0.5])
    assert not proof.holds(proven.guards, made, [torch.randn(5, 4), 0.5])
    assert not proof.holds(proven.guards, made, [x, 0.25])


SUMMANDS = ("SIZE", 0, 0), ("SIZE", 1, 0)


def test_sizes_of_results_while_recording():
    x, y = torch.randn(5, 4), torch.randn(6, 4)
    ops = []
    inputs = [(x, *layout(x, (0,))), (y, *layout(y, (0,)))]
    numbers = [("SIZE", 0, 0), ("VALUE", 3), ("INT", 2), ("MUL", 1, 2)]
    ask = Recorder().ask
    assert ask(ops, inputs, numbers, V[1]) == (
        (("SIZE", 1, 0), ("INT", 4)),
        (("INT", 4), ("INT", 1)),
        ("INT", 0),
    )
    out = [Value(-i) for i in range(1, 5)]
    ops.append((torch.cat, ([V[0], V[1]],), {}, out[0]))
    ops.append((torch.arange, (N[3],), {}, out[1]))
    sizes = ask(ops, inputs, numbers, out[0])[0]
    assert sizes[0] in (("ADD", *both) for both in (SUMMANDS, SUMMANDS[::-1]))
    ops.append(("outer", (out[1], out[1]), {}, out[2]))
    ops.append(("t_", (V[0],), {}, V[0]))
    sizes, strides, _ = ask(ops, inputs, numbers, out[2])
    assert sizes == (("MUL", ("INT", 2), 1),) * 2
    assert strides[1] == ("INT", 1)
    assert ask(ops, inputs, numbers, V[0])[0] == (("INT", 4), ("SIZE", 0, 0))


def test_sizes_by_rules_and_then_by_fakes():
    x = torch.randn(6, 4)
    inputs, numbers = [(x, *layout(x, (0,)))], [("SIZE", 0, 0)]
    out = [Value(-i) for i in range(1, 5)]
    recorder = Recorder()
    ops = [(torch.relu, (V[0],), {}, out[0])]
    assert recorder.sizes(ops, inputs, numbers, out[0]) == (("SIZE", 0, 0), ("INT", 4))
    assert not recorder._tracker.fakes.values
    ops.append(("tile", (out[0], (2, 1)), {}, out[1]))  # no rule
    ops.append((torch.add, (out[1], 1), {}, out[2]))
    twice = ("MUL", ("INT", 2), ("SIZE", 0, 0))
    assert recorder.sizes(ops, inputs, numbers, out[2]) == (twice, ("INT", 4))
    ops.append((torch.relu, (out[2],), {}, out[3]))
    assert recorder.sizes(ops, inputs, numbers, out[3]) == (twice, ("INT", 4))


@pytest.mark.parametrize("result", [None, "same"])
def test_sizes_that_change_in_place(result):
    x = torch.randn(5, 4)
    recorder = Recorder()
    ask = functools.partial(recorder.sizes, inputs=[(x, *layout(x, (0,)))], numbers=[])
    y = Value(-1)
    ops = [(torch.relu, (V[0],), {}, y)]
    assert ask(ops, value=y) == (("SIZE", 0, 0), ("INT", 4))
    ops.append(("t_", (y,), {}, result and y))
    assert ask(ops, value=y) == (("INT", 4), ("SIZE", 0, 0))
    ops.append(("unsqueeze_", (y, 0), {}, result and y))
    ops.append((torch.relu, (y,), {}, Value(-2)))
    want = ("INT", 1), ("INT", 4), ("SIZE", 0, 0)
    assert ask(ops, value=Value(-2)) == ask(ops, value=y) == want


def test_one_fake_for_many_values():
    x, w, v = torch.randn(5, 4), torch.randn(4, 4), torch.randn(4, 4)
    ops = [
        (F.linear, (V[0], V[1]), {}, V[3]),
        (F.linear, (V[0], V[2]), {}, V[4]),
        ("t_", (V[4],), {}, V[4]),
        ("add", (V[3], 1.0), {}, V[5]),
        ("add", (V[3], 1), {}, V[6]),
        (torch._C._set_grad_enabled, (True,), {}, None),
        ("add", (V[3], 1), {}, V[7]),
        ("nonzero", (V[3],), {}, V[8]),
        ("nonzero", (V[3],), {}, V[9]),
    ]
    made = spec(ops, [x, w, v], (7,), {0: (0,)})
    run = Run(World())
    for i, given in enumerate((x, w, v)):
        run.values[i] = run.world.fake(given, proof.layouts(made).get(i), i)
    with run.world.entered():
        for op in ops[:2]:
            run.op(*op)
        assert run.values[1] is run.values[2]
        assert run.values[3] is run.values[4]
        for op in ops[2:]:
            run.op(*op)
    values = run.values
    assert [str(n) for n in values[3].shape] == [str(n) for n in values[4].shape[::-1]]
    assert values[3] is values[5] is values[6] is values[7]  # alike
    assert values[8] is not values[9]


def test_no_answer_is_none():
    recorder = Recorder()
    x = torch.randn(5, 4)
    ops = [(lambda x: x, (V[0],), {}, Value(-1))]
    given = [(x, *layout(x, (0,)))]
    assert recorder.sizes(ops, given, [], Value(-1)) is None
    assert recorder.ask(ops, [(x, *layout(x, (0,)))], [], Value(-1)) is None
    assert "is not torch's" in recorder.why
