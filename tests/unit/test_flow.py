"""Where branches of a function meet, on the bytecode of whatever Python runs this."""

from __future__ import annotations

import dis

import pytest

from magpy.flow import branch_shape, is_tested


def lines_of(function, units):
    """The lines, counted from `def`, of the code units that are marked."""
    first = function.__code__.co_firstlineno
    return {
        each.positions.lineno - first
        for each in dis.get_instructions(function)
        if each.offset // 2 < len(units) and units[each.offset // 2]
    }


def asks_of(function):
    """Code units that ask a tensor for its truth, in order of the function."""
    code, found = function.__code__, []
    for each in dis.get_instructions(function):
        unit = each.offset // 2
        jumps = each.opname.startswith(("POP_JUMP", "JUMP_IF"))
        after = found and any(is_tested(code, u) for u in found[-1:])
        if is_tested(code, unit) or (jumps and not after):
            found.append(unit)
    return found


def short_end(x):
    if x:
        y = x * 2
    else:
        y = x - 2
    return y + 1


def pair_of_variables(x):
    if x > 0:
        a, b = x, x + 1
    else:
        b, a = x, x - 1
    return b, a


def with_handler(x, kept):
    try:
        if x:
            y = x.a
        else:
            y = x.b
        z = y.c
    except ValueError:
        return kept
    return z


@pytest.mark.parametrize(
    ("function", "line", "live"),
    [
        (short_end, 5, {"y"}),
        (pair_of_variables, 5, {"a", "b"}),
        (with_handler, 6, {"y", "kept"}),
    ],
)
def test_arms_meet(function, line, live):
    shape = branch_shape(function.__code__, asks_of(function)[0])
    assert not isinstance(shape, str), shape
    no, yes, meets, needed = shape
    assert lines_of(function, meets) == {line}
    names = function.__code__.co_varnames
    assert {name for name, is_live in zip(names, needed) if is_live} == live
    assert (no == yes) == is_tested(function.__code__, asks_of(function)[0])


def variable_between(x):
    ok = bool(x)
    if ok:
        return x + 1
    return x


def and_between(x, n):
    going = bool(x) and n < 4
    if going:
        x = x * 2
    return x


def is_kept(x):
    ok = bool(x)
    return ok


@pytest.mark.parametrize(
    ("function", "tested"),
    [(variable_between, True), (and_between, True), (is_kept, False)],
)
def test_calls_whose_answer_is_tested(function, tested):
    calls = [
        each.offset // 2
        for each in dis.get_instructions(function)
        if each.opname == "CALL"
    ]
    assert is_tested(function.__code__, calls[0]) is tested


def test_arms_do_not_meet_before_the_answer_is_read():
    def reads(x, n):
        going = bool(x) and n < 4
        if going:
            x = x * 2
        x = x + 1
        return x, going

    found = list(dis.get_instructions(reads))
    call = next(each.offset // 2 for each in found if each.opname == "CALL")
    shape = branch_shape(reads.__code__, call)
    assert not isinstance(shape, str), shape
    places = {e.opname for e in found if shape[2] and shape[2][e.offset // 2]}
    assert places <= {"RETURN_VALUE"}
