"""Where numbers come from, in which ones a call differs, and what is learned from it."""

from __future__ import annotations

import math
import random

import pytest
from guard_program import Program, eng, needs_torch

VALUE, SIZE, STRIDE, OFFSET, LENGTH = range(5)
DYNAMIC, STATIC = 1, 2


def place(p, reg, part=VALUE, n=0):
    return eng.guard_place(p.p, reg, part, n)


class Holder:
    def __init__(self, n):
        self.n = n


def reads(value, names=("xs",)):
    """xs[0] == value, after xs was found to be a list."""
    p = Program(*names)
    p.test("TYPE_IS", 0, list)
    item = p.load("LOAD_ITEM", 0, n=0)
    p.test("EQUALS", item, value)
    return p, item


def attribute(value):
    p = Program("self")
    p.test("TYPE_IS", 0, Holder)
    attrs = p.load("LOAD_DICT", 0)
    number = p.load("LOAD_KEY", attrs, "n")
    p.test("EQUALS", number, value)
    return p, number


# -- places ----------------------------------------------------------------------------


def test_two_recordings_agree_on_a_place_whatever_the_number_is():
    assert place(*reads(3)) == place(*reads(4))
    assert place(*attribute(3)) == place(*attribute(4.5))


def test_a_place_is_told_by_each_step_that_leads_there():
    p = Program("a", "b")
    first, second = (p.load("LOAD_ITEM", 0, n=n) for n in (0, 1))
    other = p.load("LOAD_ITEM", 1, n=0)
    deep = p.load("LOAD_ITEM", first, n=0)
    key = p.load("LOAD_KEY", 0, "k")
    same = p.load("LOAD_KEY", 0, "".join(["", "k"]))
    longer = p.load("LOAD_KEY", 0, "kk")
    number = p.load("LOAD_KEY", 0, 1)
    constants = [p.const([]), p.const([])]
    seen = [place(p, reg) for reg in (0, 1, first, second, other, deep, key, longer)]
    seen += [place(p, number), *(place(p, reg) for reg in constants)]
    assert len({*seen}) == len(seen)
    assert place(p, key) == place(p, same)


def test_the_parts_of_an_object_are_places_of_their_own():
    p = Program("x")
    parts = [(VALUE, 0), (OFFSET, 0), (LENGTH, 0)]
    parts += [(part, n) for part in (SIZE, STRIDE) for n in range(4)]
    assert len({place(p, 0, *part) for part in parts}) == len(parts)


# -- differences -----------------------------------------------------------------------


def differ(p, *args):
    return eng.guard_differ(p.p, args)


def test_numbers_alone_differ():
    p, item = reads(3, ("xs", "n", "y"))
    p.test("EQUALS", 1, 7)
    p.test("EQUALS", 2, 0.5)
    assert differ(p, [3], 7, 0.5) is None  # it does not differ at all
    assert differ(p, [4], 7, 0.5) == ([("xs[0]", 0, 0)], 0)
    assert differ(p, [4], 8, math.nan) == (
        [("xs[0]", 0, 0), ("n", 0, 0), ("y", 0, 0)],
        0,
    )


@pytest.mark.parametrize(
    "args",
    [
        ([True], 7, 0.5),  # a bool is no number
        ([3.0], 7, 0.5),  # of another type
        ([4], 7, "0.5"),
        ([4], None, 0.5),
        ((4,), 7, 0.5),  # it is found in something else
        ([], 7, 0.5),  # it is not there
        ([type("I", (int,), {})(4)], 7, 0.5),
    ],
    ids=str,
)
def test_more_than_numbers_differs(args):
    p, _ = reads(3, ("xs", "n", "y"))
    p.test("EQUALS", 1, 7)
    p.test("EQUALS", 2, 0.5)
    assert differ(p, *args) is None


def test_texts_are_no_numbers():
    p = Program("s").test("EQUALS", 0, "a")
    assert differ(p, "b") is None


def test_what_stands_behind_the_first_difference_is_seen():
    p, item = attribute(3)
    absent = p.test("NO_KEY", 1, "other")
    assert differ(p, Holder(4)) == ([("self.n", 0, 0)], 0)
    more = Holder(4)
    more.other = 1
    assert differ(absent, more) is None


def test_lengths_are_numbers():
    p = Program("xs").test("TYPE_IS", 0, list).test("LEN", 0, n=2)
    assert differ(p, [1, 2, 3]) == ([("len(xs)", 2, 3)], 0)
    assert differ(p, (1, 2, 3)) is None


@needs_torch
def test_sizes_of_tensors():
    import torch

    eng.tensor_init()
    x = torch.zeros(3, 5)
    p = Program("x").test("TENSOR", 0, x)
    assert differ(p, torch.zeros(3, 5)) is None
    assert differ(p, torch.zeros(3, 6)) == ([("x.shape[1]", 5, 6)], 0)
    assert differ(p, torch.zeros(4, 6)) == (
        [("x.shape[0]", 3, 4), ("x.shape[1]", 5, 6)],
        0,
    )
    assert differ(p, torch.zeros(6, 4).T) == (
        [
            ("x.shape[0]", 3, 4),
            ("x.shape[1]", 5, 6),
            ("x.stride(0)", 5, 1),
            ("x.stride(1)", 1, 4),
        ],
        0,
    )
    # Only where it lies differs.
    assert differ(p, torch.zeros(5, 3).T) == (
        [("x.stride(0)", 5, 1), ("x.stride(1)", 1, 3)],
        0,
    )
    for other in (
        torch.zeros(3, 6, dtype=torch.int64),
        torch.zeros(3, 6, device="meta"),
        torch.zeros(3, 6, requires_grad=True),
        torch.zeros(3, 6, 1),
        torch.nn.Parameter(torch.zeros(3, 6)),
        torch.zeros(3, 6).to_sparse(),
        torch.zeros(3, 6).numpy(),
        None,
    ):
        assert differ(p, other) is None


@needs_torch
def test_sizes_of_zero_and_one_are_not_learned_from():
    import torch

    eng.tensor_init()
    p = Program("x").test("TENSOR", 0, torch.zeros(3, 5))
    assert differ(p, torch.zeros(3, 1)) == ([], 1)
    assert differ(p, torch.zeros(0, 6)) == ([("x.shape[1]", 5, 6)], 1)


# -- marks -----------------------------------------------------------------------------


def test_marks_stay():
    random.seed(4)
    places = [random.getrandbits(64) for _ in range(3000)]
    # Places that stand at one slot of the table, too.
    places += [(k << 40) | 128 for k in range(300)]
    rows = [(place, DYNAMIC) for place in {*places}]
    assert eng.guard_marks(rows) == [(1, 0, DYNAMIC)] * len(rows)


def test_static_is_the_last_word():
    rows = [(1, DYNAMIC), (1, DYNAMIC), (1, STATIC), (1, STATIC), (1, DYNAMIC)]
    answers = [(1, 0, DYNAMIC), (0, DYNAMIC, DYNAMIC), (1, DYNAMIC, STATIC)]
    answers += [(0, STATIC, STATIC)] * 2
    assert eng.guard_marks(rows) == answers


# -- what a compiled function learns ---------------------------------------------------

engine = pytest.importorskip("magpy._engine")
needs_engine = pytest.mark.skipif(
    not engine.available()[0], reason=f"engine off: {engine.available()[1]}"
)
OFF, NEVER, AUTO, ALWAYS = range(4)


class Told(list):
    def __call__(self, kind, info):
        if kind == "dynamic":
            self.append([place for place, then, now in info["places"]])


def learn(fn, calls, numbers=AUTO):
    told = Told()
    fast = engine.CompiledFunction(fn, on_event=told, numbers=numbers)
    for args in calls:
        assert fast(*args) == fn(*args)
    return told


def numbers_of(a, b, xs):
    return [a, b, len(xs)]


@needs_engine
def test_what_changes_is_told_at_once():
    calls = [(1, 0.5, "ab"), (2, 1.5, "ab"), (3, 2.5, "ab"), (4, 2.5, "ab")]
    assert learn(numbers_of, calls)[:1] == [["a", "b"]]


@needs_engine
@pytest.mark.parametrize("numbers", [OFF, NEVER])
def test_nothing_is_learned_if_it_is_not_wanted(numbers):
    assert learn(numbers_of, [(1, 2.5, "a"), (2, 3.5, "a")], numbers) == []


@needs_engine
def test_nothing_is_learned_from_a_miss_that_has_other_reasons():
    calls = [(1, 0.5, "ab"), (2, None, "ab"), (True, 0.5, "ab"), (3, 0.5, [])]
    assert learn(numbers_of, calls) == []


@needs_engine
def test_a_number_is_learned_once():
    def pins(n):
        return [n] * n

    told = learn(pins, [(n,) for n in range(20)])
    assert told == [["n"]]


@needs_engine
def test_what_was_learned_is_forgotten_by_reset():
    told = Told()

    def f(n):
        return {n: n}

    fast = engine.CompiledFunction(f, on_event=told)
    for _ in range(2):
        for n in (5, 6):
            assert fast(n) == f(n)
        fast.reset()
    assert told == [["n"], ["n"]]


@needs_engine
def test_modes_are_checked():
    for mode in (-1, 4):
        with pytest.raises(ValueError, match="numbers"):
            engine.CompiledFunction(numbers_of, numbers=mode)
