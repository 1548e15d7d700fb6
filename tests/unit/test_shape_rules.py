"""Sizes by rules are those of eager, for other sizes and numbers, too."""

from __future__ import annotations

import operator

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from magpy.shapes import rules  # noqa: E402
from magpy.shapes.terms import evaluate  # noqa: E402


class Value:
    def __init__(self, index):
        self.index = index


class Number:
    def __init__(self, index):
        self.index = index


X, Y, Z, W, C = (Value(i) for i in range(5))
N = Number(0)
RESULT = [Value(-i) for i in range(1, 9)]


def tensors(a, b):
    """X [a, b, 6], Y [a, b, 6], Z [a, 6, b], W [8, 6], C [a, 3, b, b]."""
    shapes = ((a, b, 6), (a, b, 6), (a, 6, b), (8, 6), (a, 3, b, b))
    return [torch.rand(shape) for shape in shapes]


OPEN = [(0, 1), (0, 1), (0, 2), (), (0, 2, 3)]
LINE = torch.arange(3)

CASES = [
    (F.relu, X),
    ("softmax", X, -1),
    (torch.add, X, Y),
    (operator.mul, X, 2.5),
    (operator.add, X, N),
    ("masked_fill", X, Y, 0.5),
    (torch.where, X, Y, 0.0),
    (F.linear, X, W),
    (torch.matmul, X, Z),
    (operator.matmul, Z, X),
    ("matmul", W, Z),
    ("bmm", X, Z),
    ("transpose", X, 1, 2),
    ("permute", X, 2, 0, 1),
    ("permute", X, (2, 0, 1)),
    ("unsqueeze", X, -1),
    ("unsqueeze", X, 1),
    ("squeeze", X, 1),
    ("view", X, -1, 6),
    ("view", X, -1, 2, 3),
    ("reshape", X, (-1, 6)),
    ("expand", X, -1, -1, -1),
    ("flatten", X),
    ("flatten", C, 1),
    ("unflatten", X, -1, (2, -1)),
    ("repeat", X, 2, 1, N),
    (torch.cat, [X, Y], 1),
    (torch.cat, [X, Y, Y], -1),
    (torch.stack, [X, Y], 1),
    ("chunk", X, 3, -1),
    ("chunk", X, 4, -1),
    ("split", X, 4, 2),
    ("split", X, [1, 2, 3], 2),
    ("unbind", W, 0),
    ("narrow", X, 1, 0, N),
    ("select", X, 1, 0),
    (operator.getitem, X, 0),
    (operator.getitem, X, (slice(None), -1)),
    (operator.getitem, X, (..., slice(None, N))),
    (operator.getitem, X, (slice(None), slice(None, N))),
    (operator.getitem, X, (slice(1, None), None, ..., 0)),
    (operator.getitem, X, (slice(None), slice(None, -1), slice(None, None, 2))),
    (operator.getitem, X, (slice(-1, None), slice(-2, None))),
    (operator.getitem, X, (slice(N, None),)),
    (F.scaled_dot_product_attention, X, Y, Y),
    ("sum", X),
    ("sum", X, -1),
    ("mean", X, (0, 1), True),
    ("max", X),
    ("max", X, 1),
    ("argmax", X, -1),
    ("topk", X, 2),
    ("sort", X, -1),
    ("norm", X, 2, 1),
    (torch.zeros, N, 2),
    (torch.ones, (2, N)),
    (torch.full, (N, 2), 0.5),
    ("new_zeros", X, N, 3),
    (torch.arange, N),
    (torch.arange, 1, N),
    (torch.zeros_like, X),
    (F.pad, X, (1, 2, 0, N)),
    (F.max_pool2d, C, 2),
    (torch.max_pool2d, C, [3, 3], [2, 2], [1, 1], [1, 1], False),
    (F.avg_pool2d, C, 3, 1, 1),
    (F.adaptive_avg_pool2d, C, 1),
    ("expand_as", Y, X),
    (torch.einsum, "abc,abc->bc", X, Y),
    (torch.einsum, "abc,dc->abd", X, W),
    (torch.outer, Value(7), Value(7)),
]


def run(target, args, live, number):
    def real(arg):
        if isinstance(arg, Value):
            return torch.rand(number) if arg.index == 7 else live[arg.index]
        if isinstance(arg, Number):
            return number
        if isinstance(arg, (tuple, list)):
            return type(arg)(map(real, arg))
        if isinstance(arg, slice):
            return slice(*map(real, (arg.start, arg.stop, arg.step)))
        return arg

    args = list(map(real, args))
    if target == "masked_fill":
        args[1] = args[1] > 0.5
    if target is torch.where:
        args[0] = args[0] > 0.5
    if isinstance(target, str):
        return getattr(args[0], target)(*args[1:])
    return target(*args)


def shapes(got):
    if isinstance(got, torch.Tensor):
        return tuple(got.shape)
    return [tuple(x.shape) for x in got]


def book(a, b, n):
    made = rules.Book()
    made.define(0, ("VALUE", n))
    for i, x in enumerate(tensors(a, b)):
        made.input(i, x.shape, OPEN[i])
    made.sizes[7] = (0,)
    return made


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]}-{len(c)}")
def test_rules(case):
    target, *args = case
    made = book(4, 5, 3)
    want = run(target, args, tensors(4, 5), 3)
    tree = RESULT[0]
    if not isinstance(want, torch.Tensor):
        tree = tuple(RESULT[: len(want)])
    assert made.op(target, tuple(args), {}, tree)
    for a, b, n in ((4, 5, 3), (7, 9, 4), (3, 6, 2), (2, 11, 2)):
        live = tensors(a, b)

        def leaf(term, live=live, n=n):
            return n if term == 0 else live[term[1]].shape[term[2]]

        found = [
            tuple([evaluate(size, leaf) for size in made.sizes[v.index]])
            for v in (tree if isinstance(tree, tuple) else (tree,))
        ]
        got = shapes(run(target, args, live, n))
        assert found == (got if isinstance(got, list) else [got])


def test_factors_cancel():
    b, s = ("SIZE", 0, 0), ("SIZE", 0, 1)
    six, made = ("INT", 6), book(4, 5, 3)
    assert rules.quotient(made, [b, s, six], [rules.mul(b, s)]) == six
    assert rules.quotient(made, [b, s, six], [("INT", 2), s]) == ("MUL", ("INT", 3), b)
    with pytest.raises(rules.Unknown):
        rules.quotient(made, [b, six], [s])
    with pytest.raises(rules.Unknown):
        rules.quotient(made, [b, six], [("INT", 4)])


def test_factors_that_are_equal_now_cancel():
    b, s, n = ("SIZE", 0, 0), ("SIZE", 0, 1), 0
    assert rules.quotient(book(4, 5, 5), [b, s], [n]) == b
    assert rules.quotient(book(5, 4, 5), [b, s], [n]) == s
    with pytest.raises(rules.Unknown):
        rules.quotient(book(4, 5, 3), [b, s], [n])


def test_sums_stay_short():
    n = ("SIZE", 0, 0)
    assert rules.add(rules.add(("INT", 1), n), ("INT", 1)) == ("ADD", n, ("INT", 2))
    assert rules.sub(rules.add(n, ("INT", 1)), ("INT", 1)) == n
    assert rules.sub(rules.add(n, 3), 3) == n
    assert rules.sub(n, n) == ("INT", 0)


def test_what_has_no_rule_is_forgotten():
    made = book(4, 5, 3)
    assert made.op("sin", (X,), {}, RESULT[0])
    assert not made.op("t_", (RESULT[0],), {}, RESULT[0])
    assert -1 not in made.sizes
    assert not made.op("sin", (RESULT[0],), {}, RESULT[1])
    assert not made.op(torch.nonzero, (X,), {}, RESULT[1])
