"""Tables of numbers: what CPython computes, or a miss."""

from __future__ import annotations

import math
import operator
import sys

import pytest
from guard_program import Program, eng, needs_torch

BIG = 2**63 - 1
SMALL = -(2**63)
NAN, INF = float("nan"), float("inf")


def number(op, *values):
    """The value of one operation over sources, "miss" or "none"."""
    rows = [("VALUE", i, -1, int(type(v) is float)) for i, v in enumerate(values)]
    flag = int(op == "POW" and all(type(v) is int for v in values) and values[1] < 0)
    rows.append((op, 0, 1 if len(values) > 1 else -1, flag))
    return eng.number_eval(tuple(rows), values)[0][-1]


def same(a, b):
    return type(a) is type(b) and (a == b or a != a) and str(a) == str(b)


#: operation, operands, what comes out: CPython's result is compared where it has one.
EDGES = [
    ("ADD", (BIG, 1), "miss"),
    ("ADD", (BIG, 0), BIG),
    ("ADD", (BIG, 1.0), BIG + 1.0),
    ("ADD", (2**53 + 1, 0.0), float(2**53)),
    ("ADD", (-0.0, 0), 0.0),
    ("SUB", (SMALL, 1), "miss"),
    ("SUB", (0, SMALL), "miss"),
    ("MUL", (2**32, 2**31), "miss"),
    ("MUL", (SMALL, -1), "miss"),
    ("MUL", (-0.0, 5), -0.0),
    ("FLOORDIV", (SMALL, -1), "miss"),
    ("FLOORDIV", (SMALL, 1), SMALL),
    ("FLOORDIV", (-7, 2), -4),
    ("FLOORDIV", (7, -2), -4),
    ("FLOORDIV", (1, 0), "miss"),
    ("FLOORDIV", (1.0, 0.0), "miss"),
    ("FLOORDIV", (1.0, -0.0), "miss"),
    ("FLOORDIV", (-1.0, INF), -1.0),
    ("FLOORDIV", (INF, 1.0), NAN),
    ("FLOORDIV", (1.0, 0.1), 9.0),
    ("FLOORDIV", (-0.0, 3), -0.0),
    ("MOD", (SMALL, -1), 0),
    ("MOD", (-7, 3), 2),
    ("MOD", (7, -3), -2),
    ("MOD", (-7, -3), -1),
    ("MOD", (7, 0), "miss"),
    ("MOD", (-1e-20, 3.0), 3.0),
    ("MOD", (-0.0, 3.0), 0.0),
    ("MOD", (3.0, -INF), -INF),
    ("TRUEDIV", (1, 0), "miss"),
    ("TRUEDIV", (0.0, 0), "miss"),
    ("TRUEDIV", (BIG, 3), BIG / 3),
    ("TRUEDIV", (2**53 + 1, 2**53 + 3), (2**53 + 1) / (2**53 + 3)),
    ("TRUEDIV", (-0.0, 2), -0.0),
    ("POW", (2, 62), 2**62),
    ("POW", (2, 63), "miss"),
    ("POW", (-2, 63), SMALL),
    ("POW", (0, 0), 1),
    ("POW", (3, -2), 3**-2),
    ("POW", (0, -1), "miss"),
    ("POW", (-8.0, 0.5), "miss"),  # complex
    ("POW", (10.0, 400), "miss"),  # OverflowError
    ("POW", (0.0, -1.0), "miss"),
    ("POW", (1.0, NAN), 1.0),
    ("POW", (-0.0, 3), -0.0),
    ("POW", (1, 10**18), 1),
    ("POW", (-1, 10**18 + 1), -1),
    ("NEG", (SMALL,), "miss"),
    ("NEG", (0.0,), -0.0),
    ("BIT_LENGTH", (SMALL,), 64),
    ("BIT_LENGTH", (0,), 0),
    ("BIT_LENGTH", (-8,), 4),
    ("ISNAN", (NAN,), 1),
    ("ISINF", (-INF,), 1),
    ("ISFINITE", (SMALL,), 1),
    ("IS_INTEGER", (INF,), 0),
    ("IS_INTEGER", (-0.0,), 1),
    ("ABS", (SMALL,), "miss"),
    ("ABS", (-0.0,), 0.0),
    ("INVERT", (SMALL,), BIG),
    ("INVERT", (1.0,), "none"),
    ("LSHIFT", (1, 62), 2**62),
    ("LSHIFT", (1, 63), "miss"),
    ("LSHIFT", (-1, 63), "miss"),  # it fits, and is not worth a case
    ("LSHIFT", (0, 10**9), 0),
    ("LSHIFT", (0, -1), "miss"),
    ("LSHIFT", (3, 62), "miss"),
    ("RSHIFT", (-1, 100), -1),
    ("RSHIFT", (-5, 1), -3),
    ("RSHIFT", (5, 64), 0),
    ("RSHIFT", (5, -1), "miss"),
    ("AND", (-1, 5), 5),
    ("OR", (1.0, 1), "none"),
    ("MIN", (1, 1.5), "none"),
    ("MIN", (0.0, -0.0), 0.0),
    ("MIN", (NAN, 1.0), NAN),
    ("MIN", (1.0, NAN), 1.0),
    ("MAX", (-0.0, 0.0), -0.0),
    ("TO_INT", (-2.9,), -2),
    ("TO_INT", (NAN,), "miss"),
    ("TO_INT", (INF,), "miss"),
    ("TO_INT", (2.0**63,), "miss"),
    ("TO_INT", (-(2.0**63),), SMALL),
    ("FLOOR", (-0.5,), -1),
    ("FLOOR", (-(2.0**63),), SMALL),
    ("CEIL", (-0.5,), 0),
    ("CEIL", (2.0**51 + 0.5,), 2**51 + 1),
    ("ROUND", (0.5,), 0),
    ("ROUND", (1.5,), 2),
    ("ROUND", (2.5,), 2),
    ("ROUND", (-0.5,), 0),
    ("ROUND", (7,), 7),
    ("ROUND", (1e300,), "miss"),
    ("ROUND_TO", (2.675, 2), 2.67),
    ("ROUND_TO", (1250, -2), 1200),
    ("ROUND_TO", (1.5, 1.0), "none"),
    ("TO_FLOAT", (BIG,), float(BIG)),
    ("SQRT", (-1.0,), "miss"),
    ("SQRT", (-0.0,), -0.0),
    ("SQRT", (2,), math.sqrt(2)),
    ("LOG", (0,), "miss"),
    ("EXP", (1000.0,), "miss"),
    ("ISQRT", (-1,), "miss"),
    ("GCD", (SMALL, SMALL), "miss"),
    ("NOT", (NAN,), 0),
    ("NOT", (-0.0,), 1),
    ("SAME", (0.0, -0.0), 0),
    ("SAME", (NAN, NAN), 1),
    ("SAME", (1, 1.0), 0),
    ("EQ", (2**53 + 1, float(2**53)), 0),
    ("LT", (float(2**53), 2**53 + 1), 1),
    ("EQ", (2**53, float(2**53)), 1),
    ("LT", (BIG, 2.0**63), 1),
    ("GE", (SMALL, -(2.0**63)), 1),
    ("LT", (1, 1.5), 1),
    ("GT", (-1, -1.5), 1),
    ("EQ", (NAN, NAN), 0),
    ("NE", (NAN, 1), 1),
    ("LE", (5, NAN), 0),
    ("GT", (5, -INF), 1),
    ("EQ", (0, -0.0), 1),
]


@pytest.mark.parametrize(("op", "values", "want"), EDGES)
def test_edges(op, values, want):
    assert same(number(op, *values), want)


def test_operators_of_cpython_agree():
    functions = {
        "ADD": operator.add,
        "SUB": operator.sub,
        "MUL": operator.mul,
        "FLOORDIV": operator.floordiv,
        "MOD": operator.mod,
        "TRUEDIV": operator.truediv,
        "POW": operator.pow,
        "NEG": operator.neg,
        "ABS": abs,
        "INVERT": operator.invert,
        "RSHIFT": operator.rshift,
        "MIN": min,
        "MAX": max,
        "TO_INT": int,
        "TO_FLOAT": float,
        "FLOOR": math.floor,
        "CEIL": math.ceil,
        "ROUND": round,
        "ROUND_TO": round,
        "SQRT": math.sqrt,
    }
    for op, values, want in EDGES:
        if want not in ("miss", "none") and op in functions:
            assert same(functions[op](*values), want), (op, values)


def test_a_source_is_of_the_type_that_it_had():
    for value in (True, 2**63, -(2**63) - 1, 1.0, "1", None):
        assert eng.number_eval((("VALUE", 0, -1, 0),), (value,))[0] == ["miss"]
    for value in (1, True, "1.0"):
        assert eng.number_eval((("VALUE", 0, -1, 1),), (value,))[0] == ["miss"]

    class Int(int):
        pass

    assert eng.number_eval((("VALUE", 0, -1, 0),), (Int(1),))[0] == ["miss"]


def test_length():
    for value in ([1, 2], (1, 2), {1: 1, 2: 2}, {1, 2}, "ab", b"ab"):
        assert eng.number_eval((("LENGTH", 0, -1, 0),), (value,))[0] == [2]
    assert eng.number_eval((("LENGTH", 0, -1, 0),), (object(),))[0] == ["miss"]


def test_the_same_number_is_there_once():
    rows = (
        ("VALUE", 0, -1, 0),
        ("INT", -1, -1, 2),
        ("MUL", 0, 1, 0),
        ("INT", -1, -1, 2),
        ("MUL", 0, 1, 0),
        ("FLOAT", -1, -1, 0.0),
        ("FLOAT", -1, -1, -0.0),
        ("FLOAT", -1, -1, 0.0),
    )
    _, indices, _ = eng.number_eval(rows, (1,))
    assert indices == [0, 1, 2, 1, 2, 3, 4, 3]
    many = tuple(("INT", -1, -1, i % 1000) for i in range(3000))
    values, indices, _ = eng.number_eval(many, ())
    assert indices == [i % 1000 for i in range(3000)] == values


def test_what_comes_after_a_miss_is_missing():
    rows = (
        ("VALUE", 0, -1, 0),
        ("INT", -1, -1, 0),
        ("MOD", 0, 1, 0),
        ("NEG", 0, -1, 0),
    )
    assert eng.number_eval(rows, (5,))[0] == [5, 0, "miss", "miss"]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([("ADD", 0, 1, 0), ("INT", -1, -1, -2), ("MUL", 2, 3, 0)], "(r0 + r1) * (-2)"),
        ([("INT", -1, -1, 2), ("LE", 2, 0, 0)], "2 <= r0"),
        ([("EQ", 0, 1, 0), ("NOT", 2, -1, 0)], "r0 != r1"),
        ([("LT", 0, 1, 0), ("NOT", 2, -1, 0), ("NOT", 3, -1, 0)], "r0 < r1"),
        ([("ADD", 0, 1, 0), ("NOT", 2, -1, 0)], "not (r0 + r1)"),
        (
            [("TO_FLOAT", 0, -1, 0), ("LT", 2, 1, 0), ("NOT", 3, -1, 0)],
            "not (float(r0) < r1)",
        ),
        ([("ADD", 0, 1, 0), ("MIN", 2, 0, 0)], "min(r0 + r1, r0)"),
        ([("TO_FLOAT", 0, -1, 0), ("EXP", 2, -1, 0)], "math.exp(float(r0))"),
        ([("FLOAT", -1, -1, 0.5), ("LT", 2, 0, 0)], "0.5 < r0"),
        ([("SIZE", 0, -1, 1)], "r0.shape[1]"),
        ([("LENGTH", 0, -1, 0)], "len(r0)"),
    ],
)
def test_texts(rows, text):
    sources = [("VALUE", 0, -1, 0), ("VALUE", 1, -1, 0)]
    assert eng.number_eval((*sources, *rows), (1, 2))[2] == text


def test_deep_texts_are_cut():
    rows = [("VALUE", 0, -1, 0)] + [("NEG", i, -1, 0) for i in range(100)]
    text = eng.number_eval(tuple(rows), (1,))[2]
    assert "..." in text
    assert len(text) < 100


def test_functions_are_known_by_address():
    calls = {
        (math.exp, 1): "EXP",
        (math.log, 1): "LOG",
        (math.log, 2): "LOG_TO",
        (min, 2): "MIN",
        (int, 1): "TO_INT",
        (round, 1): "ROUND",
        (round, 2): "ROUND_TO",
        (abs, 1): "ABS",
        (math.floor, 1): "FLOOR",
    }
    for (function, count), row in calls.items():
        assert eng.number_of_call(function, count) == row
    for function, count in ((min, 3), (len, 1), (lambda x: x, 1), (int, 2)):
        assert eng.number_of_call(function, count) is None


@needs_torch
@pytest.mark.parametrize("shim", [True, False])
def test_sizes_and_strides(shim):
    import torch

    eng.tensor_init()
    before = eng.tensor_use_shim(shim)
    try:
        tensors = [
            torch.zeros(2, 3),
            torch.zeros(4, 5).t()[1:],
            torch.zeros(1, 2, 3, 4, 5, 6)[..., 2:],
            torch.zeros(0, 3),
            torch.zeros(3).expand(2, 3),
            torch.zeros(2, 2, dtype=torch.complex64).conj(),
            torch.nn.Parameter(torch.zeros(2, 7)),
        ]
        for x in tensors:
            for dim in range(x.dim()):
                rows = (
                    ("SIZE", 0, -1, dim),
                    ("STRIDE", 0, -1, dim),
                    ("OFFSET", 0, -1, 0),
                )
                want = [x.size(dim), x.stride(dim), x.storage_offset()]
                assert eng.number_eval(rows, (x,))[0] == want
            for op in ("SIZE", "STRIDE"):
                for dim in (x.dim(), -1):
                    assert eng.number_eval(((op, 0, -1, dim),), (x,))[0] == ["miss"]
        for other in (3, None, torch.Size((2, 2))):
            assert eng.number_eval((("STRIDE", 0, -1, 0),), (other,))[0] == ["miss"]
    finally:
        eng.tensor_use_shim(before)


# -- In guard programs ---------------------------------------------------------------


def program(*names, swap=False, less=False, other=False):
    """n + len(x) == 5, and n < 9 unless `less`; loads and numbers in another order."""
    p = Program(*names)
    n, x = names.index("n"), names.index("x")
    if swap:
        p.number(7)
    nine = p.number(9) if swap else None
    length = p.number("LENGTH", x) if swap else None
    value = p.number("VALUE", n)
    length = p.number("LENGTH", x) if length is None else length
    total = p.number("ADD", *((length, value) if other else (value, length)))
    p.holds("EQ", total, p.number(5))
    if not less:
        p.holds("LT", value, p.number(9) if nine is None else nine)
    return p


def uncovered(old, fresh):
    return eng.guard_uncovered(old.p, fresh.p)


def test_programs_are_compared_by_what_numbers_mean():
    old, fresh = program("n", "x"), program("n", "x", swap=True)
    at, numbers = uncovered(old, fresh)
    assert at == -1
    # 7 is no number of the old one; 9, len(x), n, n + len(x), 5, ==, <
    assert numbers == [-1, 5, 1, 0, 2, 3, 4, 6]
    assert uncovered(fresh, old)[0] == -1


def test_a_missing_test_of_a_number_is_uncovered():
    old, fresh = program("n", "x", less=True), program("n", "x")
    assert uncovered(old, fresh)[0] == len(fresh.rows) - len(fresh.numbers) - 1
    assert uncovered(fresh, old)[0] == -1
    assert uncovered(program("n", "x", other=True), old)[0] >= 0


def test_a_source_is_told_by_its_register():
    old = Program("a", "b")
    old.holds("GT", old.number("VALUE", 0), old.number(1))
    fresh = Program("a", "b")
    fresh.holds("GT", fresh.number("VALUE", 1), fresh.number(1))
    assert uncovered(old, fresh) == (2, [-1, 1, -1])
    kind = Program("a", "b")
    kind.holds("GT", kind.number("VALUE", 0, n=1), kind.number(1))
    assert uncovered(old, kind) == (2, [-1, 1, -1])


def test_a_check_computes_a_number_once_it_is_needed():
    """A register that is not loaded yet is not looked at."""
    p = Program("x")
    n = p.number("VALUE", 0)
    p.holds("GE", n, p.number(0))
    item = p.load("LOAD_ITEM", 0, n=0)
    m = p.number("VALUE", item)
    p.holds("GE", m, p.number(0))
    assert not p([1])
    assert p.failed == 1


def test_checks_allocate_nothing():
    p = Program("n", "x")
    n, x = p.number("VALUE", 0), p.number("VALUE", 1, n=1)
    p.holds("LT", p.number("ADD", n, p.number(1)), p.number("EXP", x))
    assert p(1, 2.0)
    before = sys.getallocatedblocks()
    for _ in range(100):
        p(1, 2.0)
        p(1, 1e9)  # OverflowError
    assert sys.getallocatedblocks() - before < 20


def test_lines_name_numbers_as_users_write_them():
    p = Program("n", "x")
    n, length = p.number("VALUE", 0), p.number("LENGTH", 1)
    p.holds("LE", p.number(2), n)
    p.holds("EQ", n, length)
    assert p.text == ["2 <= n", "n == len(x)"]
    assert p.miss(1, "a") == "2 <= n; found: n is 1"
    assert p.miss(3, "a") == "n == len(x); found: n is 3, len(x) is 1"
    assert p.miss(3.0, "a") == "2 <= n; found: n cannot be computed"
    assert p.source(0) == "n"


def extended(*terms):
    """Over number 0, n; input 1 of the graph is x, input 0 is number 0."""
    p = Program("n", "x")
    p.number("VALUE", 0)
    eng.guard_extend(p.p, [*terms], (~0, 1))
    return p


def test_terms_of_a_backend():
    p = extended(
        ("LE", ("INT", 2), 0),
        ("EQ", ("MOD", ("MUL", 0, ("INT", 3)), ("INT", 2)), ("INT", 0)),
        ("LE", ("INT", 2), 0),
        ("NOT", ("GT", ("TO_FLOAT", 0), ("FLOAT", 8.5))),
    )
    assert p.text == ["2 <= n", "((n * 3) % 2) == 0", "not (float(n) > 8.5)"]
    assert [n for n in range(12) if p(n, None)] == [2, 4, 6, 8]


@needs_torch
def test_terms_over_sizes_of_inputs():
    import torch

    eng.tensor_init()
    p = extended(
        ("LT", ("SIZE", 1, 0), ("SIZE", 1, 1)),
        ("EQ", ("STRIDE", 1, 0), ("SIZE", 1, 1)),
        ("EQ", ("OFFSET", 1), ("INT", 0)),
    )
    assert p.text == [
        "x.shape[0] < x.shape[1]",
        "x.stride(0) == x.shape[1]",
        "x.storage_offset() == 0",
    ]
    assert p(1, torch.ones(2, 3))
    assert not p(1, torch.ones(3, 3))
    assert not p(1, torch.ones(2, 4)[:, :3])
    assert not p(1, torch.ones(3, 3)[1:])
    assert not p(1, torch.ones(2))
    assert not p(1, 3)


@pytest.mark.parametrize(
    "term",
    [
        -1,
        100,
        2**70,
        None,
        True,
        (),
        ("ADD",),
        ("ADD", 0),
        ("ADD", 0, 0, 0),
        ("NOTHING", 0, 0),
        (1, 0, 0),
        ("INT", 2**70),
        ("INT", 1.0),
        ("FLOAT", 1),
        ("INT", True),
        ("SIZE", 0, 0),
        ("SIZE", 2, 0),
        ("SIZE", 1, -1),
        ("SIZE", 1),
        ("VALUE", 1, 0),
        ("LSHIFT", 0, ("FLOAT", 1.0)),
        ("NEG", ("NEG", "x")),
    ],
)
def test_wrong_terms_are_refused(term):
    with pytest.raises((TypeError, OverflowError)):
        extended(("LE", ("INT", 2), 0), term)


def test_deep_terms_do_not_crash():
    term = 0
    for _ in range(100_000):
        term = ("NEG", term)
    with pytest.raises(RecursionError):
        extended(term)
    while term != 0:
        term = term[1]


def test_a_program_that_was_checked_can_be_extended():
    p = Program("n")
    n = p.number("VALUE", 0)
    p.number("FLOORDIV", p.number(8), n)
    assert p(5)
    assert not p(0)
    eng.guard_extend(p.p, [("LT", n, ("INT", 3))], ())
    assert not p(5)
    assert p(2)
    assert p.values((2,), n) == [2]


def test_what_cannot_be_computed_is_named():
    p = Program("n", "m")
    n, m = p.number("VALUE", 0), p.number("VALUE", 1)
    p.number("ADD", p.number("FLOORDIV", n, m), n)
    line = "(n // m) + n: int64; found: n // m cannot be computed: n is 7, m is 0"
    assert p.miss(7, 0) == line


def test_one_number_is_asked_for_once():
    p = Program("n", "m")
    n, m = p.number("VALUE", 0), p.number("VALUE", 1)
    for _ in range(3):
        p.test("HOLDS", n=p.number("LT", n, m))
        eng.guard_extend(p.p, [("NOT", ("GE", n, m)), ("LT", n, m)], ())
    assert p.text == ["n < m"] * 3  # rows say so; mp_guards_hold does not repeat itself
    assert p(1, 2)
    assert not p(2, 2)


@needs_torch
def test_open_sizes_of_a_tensor():
    import torch

    eng.tensor_init()
    p = Program("x", "y").test("TENSOR", 0, torch.ones(4, 5), n=0b11)
    p.holds("EQ", p.number("SIZE", 0, n=1), p.number("SIZE", 1, n=0))
    assert p.text == [
        "x: f32[*, *] cpu, 2 <= x.shape[0], 2 <= x.shape[1]",
        "x.shape[1] == y.shape[0]",
    ]
    assert p(torch.ones(7, 3), torch.ones(3))
    assert not p(torch.ones(7, 3), torch.ones(4))
    assert not p(torch.ones(7, 1), torch.ones(1))
    found = "x.shape[1] is 3, y.shape[0] is 4"
    miss = p.miss(torch.ones(7, 3), torch.ones(4))
    assert miss == f"x.shape[1] == y.shape[0]; found: {found}"


def test_two_bounds_are_one_line():
    p = Program("n", "m")
    n, m = p.number("VALUE", 0), p.number("VALUE", 1)
    p.holds("LE", p.number(2), n)
    p.holds("NE", m, p.number(3))
    p.holds("LT", n, p.number(512))
    p.holds("GT", p.number(7), m)
    p.holds("GE", m, p.number(-1))
    p.holds("GE", m, p.number(0))
    p.holds("LT", n, m)
    assert p.text == ["2 <= n < 512", "m != 3", "-1 <= m < 7", "m >= 0", "n < m"]
    assert p.miss(2, 9) == "7 > m; found: m is 9"
