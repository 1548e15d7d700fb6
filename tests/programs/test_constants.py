"""Constants whose identity shows: NaN, and values that are equal but not the same."""

import copy

import pytest

from oracle import cases, check, engine_compile

CASES = cases(r"""
=== nan_in_list | eager
nan = float("nan")
def f(xs):
    return xs[0] in [xs[1]], xs[0] in (xs[1],)
>>> [nan, nan]
>>> [float("nan"), float("nan")]

=== nan_in_external | eager
nan = float("nan")
def f(xs, ys):
    return ys[0] in xs
>>> [nan, 1], [nan]
>>> [float("nan"), 1], [float("nan")]

=== nan_equal_lists | eager
nan = float("nan")
def f(xs, ys):
    return xs == ys, xs != ys, xs < ys
>>> [nan, 1], [nan, 1]
>>> [float("nan"), 1], [float("nan"), 1]

=== nan_equal_tuples | eager
nan = float("nan")
def f(a, b):
    return a == b
>>> (nan, 1), (nan, 1)
>>> (float("nan"), 1), (float("nan"), 1)

=== nan_equal_dicts | eager
nan = float("nan")
def f(a, b):
    return a == b
>>> {1: nan}, {1: nan}
>>> {1: float("nan")}, {1: float("nan")}

=== nan_methods | eager
nan = float("nan")
def f(xs, y):
    try:
        return xs.index(y), xs.count(y)
    except ValueError:
        return xs.count(y)
>>> [nan, 1], nan
>>> [float("nan"), 1], float("nan")

=== nan_remove | eager
nan = float("nan")
def f(xs, y):
    try:
        xs.remove(y)
    except ValueError:
        return 9
    return len(xs)
>>> [nan, 1], nan
>>> [float("nan"), 1], float("nan")

=== nan_set | eager
nan = float("nan")
def f(x, y):
    return len({x, y}), len({x: 1, y: 2}), x in {y}, x in {y: 1}
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_key | eager
nan = float("nan")
d = {nan: 1}
def f(x):
    return d.get(x), x in d
>>> nan
>>> float("nan")

=== nan_set_external | eager
nan = float("nan")
d = {nan}
def f(x):
    return x in d
>>> nan
>>> float("nan")

=== nan_is | eager
nan = float("nan")
def f(x, y):
    return x is y
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_tuple_of | eager
nan = float("nan")
def f(x, y):
    return (x,) == (y,), [x] == [y], (x, 1) in [(y, 1)], (1, (x,)) == (1, (y,))
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_hash | eager
nan = float("nan")
def f(x, y):
    return hash(x) == hash(y), id(x) == id(y)
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_deque | eager
from collections import deque
nan = float("nan")
def f(x, y):
    return x in deque([y]), deque([x]) == deque([y])
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_complex | eager
nan = complex(float("nan"), 1)
def f(x, y):
    return x in [y], len({x, y})
>>> nan, nan
>>> complex(float("nan"), 1), complex(float("nan"), 1)

=== nan_const_tuple | eager
nan = float("nan")
def f(x, y):
    return x in [y], {x: 1}.get(y)
>>> (nan, 1), (nan, 1)
>>> (float("nan"), 1), (float("nan"), 1)

=== nan_operator | eager
import operator
nan = float("nan")
def f(x, y):
    return operator.contains([x], y), operator.countOf([x], y), operator.eq([x], [y])
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_match | eager
nan = float("nan")
class C:
    a = nan
def f(x, y):
    match [x]:
        case [C.a]:
            return 1
    return 2
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_max | eager
nan = float("nan")
def f(x, y):
    return max(x, 1), max(1, x), min([x, 2]), sorted([3, x, 1]), sum([x, 1]), x != x
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_computed | eager
def f(x):
    y = x - x
    return y in [y], y in [x - x], [y] == [y], [y] == [x - x]
>>> float("inf")
>>> 1.0

=== nan_counter | eager
from collections import Counter
nan = float("nan")
def f(x, y):
    return len(Counter([x, y])), len(dict.fromkeys([x, y])), len(set([x, y]))
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_argmethods | eager
nan = float("nan")
class C: pass
c = C()
c.s = (nan, nan)
def f(x):
    return c.s.count(x), x in c.s
>>> nan
>>> float("nan")

=== nan_dataclass | eager
from dataclasses import dataclass
nan = float("nan")
@dataclass
class P:
    x: float
def f(x, y):
    return P(x) == P(y)
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_arithmetic
import math
nan = float("nan")
def f(x):
    return x + 1, x != x, math.isnan(x), x < 1, min(x, 1.0), [x][0], (x, 2)
>>> nan
>>> float("nan")

=== nan_in_an_array | eager
import collections
nan = float("nan")
d = collections.OrderedDict([(nan, 1)])
s = {nan}
def f(x):
    return list(d), d == {x: 1}, s == {x}, x in s, list(s)
>>> nan
>>> float("nan")

=== identity_of_equal_floats | eager
def f(x, y):
    return x is y
>>> *[1.5] * 2
>>> *(float("1.5"), float("1.5"))

=== identity_of_equal_big_ints | eager
def f(x, y):
    return x is y, x is not y
>>> *[10**30] * 2
>>> *(10**30, int("1" + "0" * 30))

=== identity_of_equal_texts | eager
def f(x, y):
    return x is y
>>> *["ab cd"] * 2
>>> *("ab cd", " ".join(["ab", "cd"]))

=== identity_of_equal_ranges | eager
def f(x, y):
    return x is y, x == y
>>> *[range(3)] * 2
>>> *(range(3), range(3))

=== identity_through_operator | eager
import operator
def f(x, y):
    return operator.is_(x, y), operator.is_not(x, y)
>>> *[1.5] * 2
>>> *(float("1.5"), float("1.5"))

=== nan_out_of_iterators | eager
import itertools
nan = float("nan")
def g(x):
    yield x
def f(x, y):
    return (
        y in g(x), y in iter([x]), set(g(x)) == {y}, len(set([*g(x), y])),
        y in map(float, [x]), [*zip([x])] == [(y,)], dict(zip([x], [1])).get(y),
        len(list(itertools.groupby([x, y]))), tuple([x]).index(x),
    )
>>> nan, nan
>>> float("nan"), float("nan")

=== nan_in_containers_of_the_run | eager
nan = float("nan")
def f(x, **kw):
    xs, d = [], {}
    xs.append(x)
    d["a"] = x
    return kw["y"] in xs, d == kw, kw["y"] in d.values(), list(kw.values()).count(x)
>>> nan, y=nan, a=nan
>>> float("nan"), y=float("nan"), a=float("nan")

=== identity_of_singletons
import enum
class E(enum.Enum):
    A = 1
def f(x, y):
    return x is y, x is None, x is not True, x is 7 if 0 else x is y
>>> None, None
>>> True, True
>>> True, False
>>> 7, 7
>>> ..., ...
>>> E.A, E.A
>>> 1.5, 2.5
>>> "a b", "c d"
>>> int, int

=== identity_of_tuples
def f(x, y):
    return x is y, x == y
>>> *[(1, 2.5)] * 2
>>> *[(n, 2.5) for n in (1, 1)]
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_constants(case):
    check(case)


@pytest.mark.parametrize(
    ("f", "make"),
    [
        (lambda x: x.__hash__(), lambda: float("nan")),
        (lambda x: x.__hash__(), lambda: complex("nan")),
        (lambda x: float.__hash__(x), lambda: float("nan")),
        (lambda x: (x,).__hash__(), lambda: float("nan")),
        (lambda x: object.__hash__(x), lambda: (1, 2, len("abc"))),
        (lambda x: object.__hash__(x), lambda: float("1.5")),
        (lambda x: object.__repr__(x), lambda: float("1.5")),
        (lambda x: object.__repr__(x), lambda: "".join(["a", "b"])),
    ],
)
def test_addresses_of_values(f, make):
    fast = engine_compile(f)
    kept = [make() for _ in range(6)]
    assert [fast(x) for x in kept] == [f(x) for x in kept]


def test_hashes_of_values_of_numpy():
    np = pytest.importorskip("numpy")

    def f(x):
        return x.__hash__()

    for tp in (np.float32, np.float64, np.complex64):
        fast = engine_compile(f)
        kept = [tp("nan") for _ in range(6)]
        assert [fast(x) for x in kept] == [f(x) for x in kept]


@pytest.mark.parametrize(
    "body", ["id(x) == id(y)", "len({id(x), id(y)})", "[id(x), id(y)].index(id(y))"]
)
def test_ids_of_equal_constants(body):
    names = {}
    exec(f"def f(x, y):\n    return {body}", names)
    fast = engine_compile(names["f"])
    a, b = float("1.5"), float("1.5")
    for pair in ((a, a), (a, b), (a, a), (b, a), (b, b), (a, 2.5), (a, 2.5)):
        assert fast(*pair) == names["f"](*pair)


def test_ids_of_other_constants_are_told_apart():
    names = {}
    exec("def f(x, y):\n    return id(x) == id(y), id(3) != 3", names)
    fast = engine_compile(names["f"])
    for _ in range(3):
        assert fast(1.5, "text") == (False, True)
    assert fast.stats()["hits"] == 2


def test_copies_by_functions_of_the_program(monkeypatch):
    """copy.deepcopy makes the same constant of one, unless its table says else."""
    kept = {}

    def new(x, memo):
        return "".join([x[:1], x[1:]])

    def same(x, memo):
        return kept.setdefault(x, x)

    names = {"copy": copy}
    exec("def f(t):\n    u = copy.deepcopy(t)\n    return u is t, u", names)
    fast = engine_compile(names["f"])
    text = "".join(["te", "xt"])
    values = ((text, 1), (text, (text,)), ["a", 2.5, (text,)])
    for function in (None, None, None, new, new, same, same, new, None, None):
        with monkeypatch.context() as patch:
            if function is not None:
                patch.setitem(copy._deepcopy_dispatch, str, function)
            for value in values:
                assert fast(value) == names["f"](value)
    assert fast.stats()["hits"] >= 6
