"""Loops with branches on tensors, and writes in arms (`control_flow=True`)."""

import textwrap

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from magpy import regions
from oracle import cases

LOOPS = cases(r"""
=== a_loop_that_python_bounds
def f(x):
    buffer = torch.zeros(4, 3)
    step, going = 0, True
    while going:
        x = x * 0.5
        buffer[step] = x
        step += 1
        going = bool(x.sum() > 1) and step < 4
    return buffer, x
>>> t(3).abs() * 9
>>> -t(3).abs()
>>> t(3).abs()

=== bool_of_a_tensor
def f(x):
    if bool(x.sum() > 0):
        y = x * 2
    else:
        y = x * 3
    done = bool((y > 4).all())
    if done:
        z = y + 1
    else:
        z = y - 1
    return z * 2
>>> t(3).abs() * 9
>>> -t(3).abs()
>>> t(3).abs()

=== writes_to_what_the_run_has_made
def f(x):
    buffer = torch.zeros(4)
    if x.sum() > 0:
        buffer[1:2].copy_(x[:1])
        y = x + 1
    else:
        buffer.add_(1)
        y = x * 3
    if x.sum() > 1:
        buffer.mul_(2)
    return buffer, y
>>> t(3).abs()
>>> -t(3).abs()

=== writes_in_nested_arms
def f(x):
    a, b = torch.zeros(3), torch.ones(3)
    if x.sum() > 0:
        a.add_(1)
        if x.sum() > 2:
            b.copy_(x)
        else:
            b.mul_(3)
            a.sub_(b)
    else:
        c = a + 1
        if x.sum() < -2:
            c.add_(2)
            b.add_(c)
    return a, b
>>> t(3).abs()
>>> -t(3).abs()
>>> t(3).abs() * 9
>>> -t(3).abs() * 9

=== loops_that_are_left
layers = [nn.Linear(3, 3) for _ in range(4)]
for l in layers:
    for p in l.parameters():
        p.data.fill_(0.3)
def first(y):
    for i, l in enumerate(layers):
        y = l(y)
        if y.sum() > 1:
            break
        y = y + i
    else:
        y = y - 1
    return y * 2
def second(y):
    for a, b in zip(reversed(layers), range(1, 6, 2)):
        for k in (1, 2):
            y = y + b
            if y.sum() > 6:
                break
        else:
            y = y * 2
            continue
        y = y - 3
        if y.sum() > 0:
            break
    return y * 2
def f(x):
    return first(x * 1), second(x - 1)
>>> t(3).abs()
>>> -t(3).abs() * 9
>>> t(3).abs() * 9
>>> t(3)
!!! layers.append(nn.Linear(3, 3))
!!! layers.pop(0)

=== returns_in_a_loop
def g(y):
    for k in range(4):
        if y.sum() > 5:
            return y * 3
        y = y * 2 + k
    return y + 1
def f(x):
    return g(x * 1) + g(x - 1)
>>> t(3).abs()
>>> -t(3).abs() * 9
>>> t(3).abs() * 9

=== returns_of_constants
def put(b, x):
    if x.sum() > 0:
        b.add_(x)
        return
    b.sub_(1)
def two(y):
    if y.sum() > 0:
        return 2
    return 2
def f(x):
    b = torch.zeros(3)
    put(b, x)
    put(b, x - 2)
    return b * two(x)
>>> t(3).abs()
>>> -t(3).abs()
>>> t(3).abs() * 9

=== a_test_that_falls_through
def f(x):
    n = 0
    y = x * 1
    while bool(y.sum() < 10) and n < 5:
        y = y + 1
        n += 1
    return y * 2
>>> t(3).abs()
>>> -t(3).abs()
>>> t(3).abs() + 9
""")


@pytest.fixture
def flow():
    with magpy.config.patch(control_flow=True):
        yield


@pytest.mark.parametrize("case", LOOPS, ids=lambda case: case.name)
def test_loops_and_writes_are_in_the_graph(case, flow):
    check_torch(case)


@pytest.mark.parametrize(
    "make",
    [
        lambda: iter([1, 2, 3, 4]),
        lambda: iter((1, 2, 3)),
        lambda: iter(range(2, 9, 2)),
        lambda: reversed([1, 2, 3]),
        lambda: enumerate([1, 2, 3], 5),
        lambda: zip([1, 2, 3, 4], (7, 8, 9), strict=True),
        lambda: enumerate(zip([1, 2, 3], range(5))),
    ],
)
def test_copies_of_iterators_give_what_is_left(make):
    def rest(iterator):
        found = []
        try:
            found.extend(iterator)
        except ValueError as error:
            found.append(str(error))
        return found

    for taken in range(6):
        iterator = make()
        for _ in range(min(taken, 3)):
            next(iterator, None)
        copy = regions.copied_iterator(iterator)
        assert rest(copy) == rest(iterator)


def test_iterators_that_others_have_are_not_copied():
    inner = iter([1, 2])
    assert regions.copied_iterator(enumerate(inner)) is None
    assert regions.copied_iterator(zip([1], inner)) is None
    assert regions.copied_iterator(iter({})) is None


@pytest.mark.parametrize(
    "made", ["it = iter([1, 2, 3, 4])", "it = (k for k in (1, 2))"]
)
def test_loops_over_what_others_see_are_breaks(flow, made):
    space = {"torch": torch}
    exec(
        textwrap.dedent(f"""
        def f(x):
            y = x * 1
            {made}
            for k in it:
                if y.sum() > 4:
                    break
                y = y + k
            return y * (1 + sum(it))
        """),
        space,
    )
    f = space["f"]
    fast = magpy.compile(f, backend="eager")
    for k in (0, 5, 1, -3, 0):
        x = torch.full((3,), float(k))
        assert torch.equal(fast(x), f(x))
    assert magpy.stats(fast)["breaks"]["control-flow"] > 0


def test_loops_that_nothing_bounds_are_breaks(flow):
    def f(x):
        y = x * 1
        while y.sum() < 1000:
            y = y + 1
        return y

    fast = magpy.compile(f, backend="eager")
    for k in (1, 990, 3):
        x = torch.full((1,), float(k))
        assert torch.equal(fast(x), f(x))
    assert magpy.stats(fast)["reasons"] == {"control-flow": 1}


def test_an_arm_that_would_never_end_is_a_break(flow):
    def f(x, n):
        y = x * 1
        if x.sum() > 0:
            y = y + 1
        else:
            while n != 0:
                n -= 1
            y = y - 1
        return y

    fast = magpy.compile(f, backend="eager")
    for _ in range(3):
        assert torch.equal(fast(torch.ones(3), -1), torch.full((3,), 2.0))
        assert torch.equal(fast(-torch.ones(3), 3), torch.full((3,), -2.0))
    assert magpy.stats(fast)["breaks"]["control-flow"] > 0
