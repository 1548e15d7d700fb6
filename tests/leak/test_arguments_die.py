"""Guards do not keep alive what the program lets go of; its entries go with it."""

import collections
import functools
import gc
import sys
import time
import types
import weakref

import pytest

import magpy
from magpy import _engine

if not _engine.available()[0]:
    pytest.skip(f"engine off: {_engine.available()[1]}", allow_module_level=True)

eager = functools.partial(magpy.compile, backend="eager")


class Key:
    pass


def calls(x, g):
    return g(x)


def only_passes(x, g):
    return x + 1, g is None


def looks_up(x, pair):
    key, table = pair
    return table[key] + x


def walks(x, table):
    return [x for _ in table]


def misses(x, pair):
    return pair[0] in pair[1]


def asks(x, g):
    return isinstance(x, g), issubclass(g, int), g.limit


def removes(x, pair):
    return pair[1].pop(pair[0]) + x


def function():
    def g(x):
        return x + 1

    return g, [g]


def closure():
    held, other = Key(), Key()
    held.v = 3

    def g(x):
        return x + held.v

    def unread(x):
        return other and g(x)

    return unread, [g, unread, held, other]


def partial():
    def g(a, x):
        return a + x

    whole = functools.partial(g, 3)
    return whole, [g, whole]


class Called:
    def __call__(self, x):
        return x + 1


def instance():
    own = Called()
    return own, [own]


def method():
    own = Key()
    return types.MethodType(lambda self, x: x + 1, own), [own]


def pair():
    key = Key()
    return (key, {key: 3}), [key]


def pair_without():
    key = Key()
    return (key, {Key(): 3}), [key]


def table():
    key = Key()
    return {key: 3, Key(): 4}, [key]


def cls():
    class Own:
        limit = 3

    return Own, [Own]


def c_method():
    own = collections.deque([1, 2])
    count = own.count
    return count, [own, count]


def code():
    own = compile("1", "<code>", "eval")
    return own, [own]


def alias():
    own = list[int]
    return own, [own]


PROGRAMS = [
    (calls, function),
    (calls, closure),
    (calls, partial),
    (calls, instance),
    (calls, method),
    (only_passes, function),
    (only_passes, cls),
    (only_passes, c_method),
    (only_passes, code),
    (only_passes, alias),
    (looks_up, pair),
    (misses, pair_without),
    (walks, table),
    (asks, cls),
    (removes, pair),
]


def ids(value):
    return value.__name__


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(("fn", "make"), PROGRAMS, ids=ids)
def test_they_die_when_eager_lets_them_die(fn, make, n):
    fast = eager(fn)
    argument, watched = make()
    refs = [weakref.ref(each) for each in watched]
    for _ in range(n):
        if fn is removes and n > 1:
            argument[1][argument[0]] = 3
        assert fast(1, argument) is not None
    assert fast.stats()["reasons"] == {}
    is_class = make is cls
    del argument, watched
    if is_class:
        gc.collect()
    assert [ref() for ref in refs] == [None] * len(refs)
    fast.entries(), repr(fast)  # describing looks at nothing that has died
    gc.collect()


@pytest.mark.parametrize(("fn", "make"), PROGRAMS, ids=ids)
def test_the_entries_go_too_and_others_come(fn, make):
    with magpy.config.patch(max_entries=4):
        fast = eager(fn)
    for _ in range(8):
        argument, _ = make()
        for _ in range(3):
            if fn is removes:
                argument[1][argument[0]] = 3
            right = fn(1, argument)
            if fn is removes:
                argument[1][argument[0]] = 3
            assert fast(1, argument) == right
        del argument, _
        gc.collect()
    assert set(fast.stats()["reasons"]) <= {"backoff: g", "backoff"}
    assert len(fast.entries()) <= 2
    assert fast.stats()["hits"] >= 6


def test_an_address_that_is_used_again():
    fast = eager(calls)
    seen = set()
    for i in range(300):

        def g(x, i=i):
            return x + i

        assert fast(1, g) == 1 + i
        seen.add(id(g))
        del g
    assert len(seen) < 300  # else nothing has been tested

    def make(value):
        return lambda x: x + value

    for i in range(300):
        assert fast(1, make(i)) == 1 + i
        assert fast(2, make(-i)) == 2 - i


def test_keys_at_one_address():
    fast = eager(looks_up)
    for i in range(300):
        key = Key()
        assert fast(1, (key, {key: i})) == 1 + i
        del key


def test_a_class_with_other_bases():
    fast = eager(asks)

    class A:
        limit = 1

    class B(int):
        limit = 2

    class C(A):
        pass

    class D(B):
        pass

    for bases in ((A,), (A, Key), (A,), (Key, A)) * 5:
        C.__bases__ = bases
        assert fast(1, C) == asks(1, C)
    assert fast(1, D) == asks(1, D) == (False, True, 2)


def test_what_weakref_finds_may_outlive_us():
    def g(x):
        return x + 1

    fast = eager(calls)
    fast(1, g)
    fast(1, g)
    found = weakref.getweakrefs(g)
    del fast
    gc.collect()
    del g
    assert all(ref() is None for ref in found)


def test_everything_in_one_cycle():
    def g(x):
        return x + 1

    fast = eager(calls)
    g.fast = fast
    assert [fast(1, g) for _ in range(3)] == [2, 2, 2]
    refs = [weakref.ref(g), weakref.ref(fast)]
    del fast, g
    gc.collect()
    assert [ref() for ref in refs] == [None, None]


def test_a_finalizer_calls_what_goes_with_it():
    answers = []

    class Last:
        def __del__(self):
            answers.append(self.fast(1, self.g))

    def g(x):
        return x + 1

    fast = eager(calls)
    last = Last()
    last.fast, last.g = fast, g
    g.last = last
    fast(1, g), fast(1, g)
    del fast, g, last
    gc.collect()
    assert answers == [2]


def test_they_die_in_the_middle_of_a_call():
    fast = eager(removes)
    for i in range(20):
        key = Key()
        table = {key: i}
        pair = (key, table)
        ref = weakref.ref(key)
        del key
        assert fast(1, pair) == 1 + i
        del pair
        assert ref() is None


def test_functions_of_the_program_stay_with_their_entries():
    fast = eager(calls)
    for _ in range(3):
        fast(1, abs)
        fast(1, plus)
        fast(2, plus)
    assert fast.stats()["recordings"] == 3
    before = sys.getrefcount(plus)
    fast.reset()
    assert sys.getrefcount(plus) == before


def plus(x):
    return x + 1


def test_entries_behind_a_break():
    def f(x, g, log):
        y = g(x)
        log.append(time.time() > 0)
        return y + g(x)

    fast = eager(f)
    for i in range(40):

        def g(x, i=i):
            return x + i

        log = []
        assert fast(1, g, log) == fast(1, g, log) == 2 + 2 * i
        assert log == [True, True]
        ref = weakref.ref(g)
        del g
        assert ref() is None


class Holder:
    value = None


class Under(Holder):
    def held(self):
        return super().value.v


class Meta(type):
    pass


class Descriptor:
    def __get__(self, obj, kind):
        return 3


READS = {
    "instance": lambda: Holder().value.v,
    "class": lambda: Holder.value.v,
    "subclass": lambda: Under.value.v,
    "super": lambda: Under().held(),
    "returned": lambda: (Holder.value, Holder.value.v)[1],
    "stored": lambda: {"kept": Holder.value}["kept"].v,
    "descriptor": lambda: Holder().value,
    "compared": lambda: 3 if Holder.value is not None else 0,
}


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("read", READS)
def test_what_a_class_had_dies_when_it_is_replaced(read, n):
    make = Descriptor if read == "descriptor" else Key
    fast = eager(READS[read])
    for _ in range(5):
        Holder.value = made = make()
        made.v = 3
        ref = weakref.ref(made)
        del made
        assert [fast() for _ in range(n)] == [3] * n
        assert fast.stats()["reasons"] == {}
        Holder.value = None
        assert ref() is None
    assert len(fast.entries()) <= 1
    assert fast.stats()["hits"] == 5 * (n - 1)


class Places:
    """What a run reaches without an argument."""

    def ask(self):
        return 3


def owner(held):
    def give():
        return held.v

    return give


def placed(how):
    """(read, put): put(x) places an object, or a function that owns it."""
    place, cell = Places(), None
    table: dict = {}

    def in_cell():
        return 3 if cell is not None else 0

    def put_cell(x):
        nonlocal cell
        cell = x

    reads = {
        "called": (lambda: place.f(), lambda x: setattr(place, "f", owner(x))),
        "compared": (
            lambda: 3 if place.f else 0,
            lambda x: setattr(place, "f", owner(x)),
        ),
        "identity": (
            lambda: 3 if place.f is not None else 0,
            lambda x: setattr(place, "f", x),
        ),
        "cell": (in_cell, put_cell),
        "function in a cell": (in_cell, lambda x: put_cell(owner(x))),
        "item": (lambda: table["f"](), lambda x: table.update(f=owner(x))),
        "key": (
            lambda: [table[k] for k in table][0],
            lambda x: (table.clear(), table.update({x: 3})),
        ),
        "method": (
            lambda: place.ask(),
            lambda x: setattr(Places, "ask", method_with(x)),
        ),
        "passed on": (lambda: [place.f][0](), lambda x: setattr(place, "f", owner(x))),
        "returned": (
            lambda: (place.f, place.f())[1],
            lambda x: setattr(place, "f", owner(x)),
        ),
        "behind a break": (
            lambda: (time.time(), place.f())[1],
            lambda x: setattr(place, "f", owner(x)),
        ),
        "partial": (
            lambda: place.f(),
            lambda x: setattr(place, "f", functools.partial(owner(x))),
        ),
    }
    return reads[how]


def method_with(held):
    return lambda self: held.v


PLACES = [
    "called",
    "compared",
    "identity",
    "cell",
    "function in a cell",
    "item",
    "key",
    "method",
    "passed on",
    "returned",
    "behind a break",
    "partial",
]


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("how", PLACES)
def test_what_a_place_had_dies_when_it_is_replaced(how, n):
    read, put = placed(how)
    fast = eager(read)
    for i in range(1, 6):
        made = Key()
        made.v = 3
        ref = weakref.ref(made)
        put(made)
        del made
        assert [fast() for _ in range(n)] == [3] * n, i
        made = Key()
        made.v = 3
        put(made)
        assert ref() is None
        del made
    assert fast.stats()["reasons"] == {}
    assert fast.stats()["hits"] >= 5 * (n - 1)
