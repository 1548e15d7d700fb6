"""An object that has no __dict__ yet gets none by being looked at.

`__reduce__` of exceptions, partials and other C types shows whether there is one, an empty
one included.  Stores and `o.__dict__` make it, as they do in eager.
"""

from __future__ import annotations

import functools

import pytest

from oracle import Case, cases, check, engine_compile

#: Expressions that make an object whose dict comes with the first need for it.
LATE = {
    "exception": "ValueError(1)",
    "exception_class": "Mine(1)",
    "group": "ExceptionGroup('a', [ValueError(1)])",
    "partial": "functools.partial(int, '7')",
    "partial_class": "Part(int, '7')",
}
HEAD = """import copy, functools, pickle, signal
class Mine(ValueError):
    kind = 1
class Part(functools.partial):
    kind = 1
def odd():
    signal.raise_signal(signal.SIGWINCH)
"""
#: What is done with it; `o` has no dict before.
USES = {
    "reduce": "r = o.__reduce__()",
    "read": "r = getattr(o, 'missing', 0), o.__reduce__()",
    "hasattr": "r = hasattr(o, 'missing'), o.__reduce__()",
    "class_attribute": "r = type(o).__name__, o.__doc__ is None, o.__reduce__()",
    "reduce_behind_a_break": "odd(); r = o.__reduce__()",
    "read_behind_a_break": "odd(); r = hasattr(o, 'missing'), o.__reduce__()",
    "read_before_a_break": "r = hasattr(o, 'missing'); odd(); r = r, o.__reduce__()",
    "call_of_a_function": "r = (lambda v: 3)(o), o.__reduce__()",
    "store": "o.x = 1; r = o.__reduce__()",
    "store_and_del": "o.x = 1; del o.x; r = o.__reduce__()",
    "dict": "r = o.__dict__, o.__reduce__()",
    "vars": "r = vars(o); r = r, o.__reduce__()",
}


def programs() -> list[Case]:
    return [
        Case(
            f"{where}-{kind}-{use}",
            f"{HEAD}def f({'o' if where == 'given' else ''}):\n"
            + ("" if where == "given" else f"    o = {made}\n")
            + f"    {statement}\n    return repr(r), o\n",
            (made if where == "given" else "",),
            hit=False,  # (a copy protocol in C may be a break)
        )
        for where in ("given", "made")
        for kind, made in LATE.items()
        for use, statement in USES.items()
    ]


@pytest.mark.parametrize("case", programs(), ids=str)
def test_none_is_made(case):
    check(case)


CASES = cases("""
=== read_of_a_given_exception
def f(e):
    return hasattr(e, "x"), getattr(e, "__notes__", None)
>>> ValueError(1)
>>> ValueError(2)

=== given_one_has_it_now
def f(e):
    return getattr(e, "x", None)
e = ValueError(1)
>>> e
!!! e.x = 3
!!! e.x = 4
!!! del e.x

=== store_in_a_given_exception
def f(e):
    e.x = 3
    return e.x
>>> ValueError(1)

=== note_on_a_given_exception | eager
def f(e):
    e.add_note("here")
    return e
>>> ValueError(1)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_hits(case):
    check(case)


def test_hits_make_none_and_a_store_makes_one():
    def read(e):
        return getattr(e, "x", None)

    def write(e):
        e.x = 3

    reading, writing = engine_compile(read), engine_compile(write)
    for _ in range(4):
        e, p = ValueError(1), functools.partial(int)
        assert reading(e) is reading(p) is None
        assert e.__reduce__() == (ValueError, (1,)) and p.__reduce__()[2][3] is None
        writing(e)
        assert e.__reduce__() == (ValueError, (1,), {"x": 3})
        assert reading(e) == 3
    assert reading.stats()["hits"] >= 8 and writing.stats()["hits"] == 3


def test_a_hit_that_finds_none_where_there_was_one_misses():
    compiled = engine_compile(lambda e: e.x if hasattr(e, "x") else 0)
    for _ in range(3):
        has = ValueError(1)
        has.x = 5
        assert compiled(has) == 5
        has_not = ValueError(1)
        assert compiled(has_not) == 0 and has_not.__reduce__() == (ValueError, (1,))


def test_an_empty_one_is_made_again():
    def stored(kind):
        e = kind(int)
        e.x = 1
        del e.x
        return e

    def asked(kind):
        e = kind(int)
        e.__dict__
        return e

    for f in (stored, asked):
        for kind in (ValueError, functools.partial):
            compiled = engine_compile(f)
            for _ in range(3):
                assert compiled(kind).__reduce__() == f(kind).__reduce__()
            assert compiled.stats()["hits"] == 2


def one_dict(o, other):
    other.x = 1
    return hasattr(o, "x")


def one_dict_asked_twice(o, other):
    before = hasattr(o, "x")
    other.x = 1
    return before, hasattr(o, "x")


def one_dict_cleared(o, other):
    other.__dict__.update(x=2)
    return getattr(o, "x", 3)


@pytest.mark.parametrize("f", [one_dict, one_dict_asked_twice, one_dict_cleared])
@pytest.mark.parametrize("make", LATE.values(), ids=LATE)
def test_a_dict_that_became_that_of_a_written_object(f, make):
    class Other:
        pass

    space: dict[str, object] = {}
    exec(HEAD, space)

    def call(f, same):
        o, other = eval(make, space), Other()
        if same:
            o.__dict__ = other.__dict__
        return f(o, other)

    compiled = engine_compile(f)
    for same in (False, False, True, True, False):
        assert call(compiled, same) == call(f, same)
    assert compiled.stats()["hits"] >= 2
