"""Numbers that change from call to call: what becomes a symbol, and what pins one."""

import math

import pytest

import magpy
from magpy._engine import CompiledFunction
from oracle import cases, check

CASES = cases(r"""
import math, json, operator, functools, dataclasses

class Box:
    def __init__(self, n=0):
        self.n = n

state = Box(1)
xs = [1, 2.5, 3]
d = {"n": 1, "f": 0.5}
N = 1

=== argument
def f(n):
    return n, [n], (n, (n, 1)), {"a": n}
>>> 3
>>> 4
>>> 5

=== float_argument
def f(x):
    return x, [x], -x, x + 1, x * 2, x / 3
>>> 0.5
>>> 1.5
>>> -0.0
>>> float("inf")

=== zero_one_negative
def f(n):
    return n + 1, n - 1, n * n, -n, abs(n), +n, ~n
>>> 7
>>> 0
>>> 1
>>> -1
>>> 255
>>> 256
>>> 257

=== big
def f(n):
    return n + 1, n * 3, n - 1
>>> 5
>>> 6
>>> 2**62
>>> 2**63 - 1
>>> 2**64
>>> -2**63
>>> 7

=== keywords_that_the_run_has_changed
def g(a, n=0, **kw):
    return n + 1, kw, a
def f(**kw):
    kw.pop("flag", None)
    kw["more"] = 2
    return g(1, **kw), g(2, **{**kw, "k": 3})
>>> n=3, flag=1, k=5
>>> n=4, flag=1, k=6
>>> n=5, flag=1, k=7

=== arguments_in_front_of_others
def g(*args, **kw):
    return args[0] + args[-1], args
def f(*args):
    return g(1, *args, 2), [0, *args], (*args, 1)
>>> 3, 0.5
>>> 4, 1.5
>>> 5, 2.5

=== methods_of_slices
class Takes:
    def __getitem__(self, s):
        return s.indices(9), s == slice(1, 3), repr(s)
def f(n):
    s = slice(n, 2 * n, None)
    return s.indices(5), Takes()[1:n], repr(s), str(s), s.__eq__(slice(1)), range(9)[s]
>>> 3
>>> 4
>>> 5

=== quotient_and_rest
def f(n, x):
    q, r = divmod(n, 7)
    return q, r, divmod(-n, 5), divmod(n, x), divmod(x, n)[1], divmod(2, 3)
>>> 30, 2.5
>>> 31, 1.25
>>> -32, 0.5
>>> 14, 3.0

=== powers_by_functions
def f(n, x):
    return pow(n, 2), pow(n, -1), pow(2, n, 5), pow(x, 2), pow(n, x), operator.pow(2, n)
>>> 3, 0.5
>>> 4, 1.5
>>> 5, 2.5

=== functions_of_operator
def f(n, x):
    o = operator
    some = [o.add(n, 1), o.iadd(n, x), o.sub(1, n), o.mul(n, n), o.floordiv(n, 2)]
    more = [o.mod(n, 3), o.truediv(n, 2), o.lshift(n, 2), o.rshift(n, 1), o.and_(n, 6)]
    last = [o.or_(n, 1), o.xor(n, 3), o.neg(x), o.pos(n), o.invert(n), o.abs(-n)]
    return some, more, last, o.lt(n, 100), o.eq(x, 0.25), o.ge(n, 2), o.ne(n, None)
>>> 3, 0.5
>>> 4, 1.5
>>> 70, 2.5

=== sums_of_what_was_made
def f(n, m, x):
    xs = [n, 2, m]
    return sum(xs), max(xs), min((n, m)), math.prod((n, m, 3)), sum([x, n]), max(x, 1.0), \
        sum([1, 2, n]), sum((True, n)), max([n]), sum([]), sum([n, m], 4)
>>> 3, 9, 0.5
>>> 8, 2, 1.5
>>> 5, 5, -2.5
>>> 0, 300, 2.5

=== slices
def f(n):
    s = slice(n), slice(-n, None), slice(1, n, None)
    return s, s[0].stop + 1, slice(n) == slice(n), [1, 2, 3, 4][s[0]], s[1].start
>>> 1
>>> 2
>>> 3

=== powers
def f(n):
    return n ** 2, 2 ** n, n ** 0.5
>>> 3
>>> 4
>>> 62
>>> 64
>>> -2
>>> 0

=== divisions
def f(n, m):
    return n // m, n % m, n / m, divmod(n, m)
>>> 7, 2
>>> 8, 3
>>> -7, 2
>>> 7, -2
>>> 0, 5

=== division_by_zero
def f(n, m):
    try:
        return n // m
    except ZeroDivisionError as e:
        return str(e)
>>> 7, 2
>>> 8, 3
>>> 7, 0
>>> 9, 4

=== shifts_and_bits
def f(n, m):
    return n << 2, n >> 1, n & m, n | m, n ^ m, n & True
>>> 7, 2
>>> 8, 3
>>> -7, 5
>>> 2**61, 1

=== float_arithmetic
def f(x, y):
    return x + y, x - y, x * y, x / y, x // y, x % y, x ** 2
>>> 1.5, 0.25
>>> 2.5, 0.3
>>> -1.5, 0.7
>>> 1e100, 1e-3

=== mixed_types
def f(n):
    return n + 0.5, n * 2, n + True, 1 - n
>>> 3
>>> 4
>>> 4.5
>>> True
>>> 5

=== nan
def f(x):
    return x, x == x, x < 1
>>> 0.5
>>> 1.5
>>> float("nan")

=== negative_zero
def f(x):
    return x, 0.0 + x, math.copysign(1.0, x)
>>> 0.5
>>> 1.5
>>> -0.0
>>> 0.0

=== compared
def f(n):
    if n > 5:
        return "big", n
    if n == 5:
        return "five"
    return "small", n
>>> 3
>>> 4
>>> 5
>>> 6
>>> 2**40

=== compared_with_float
def f(n, x):
    return n < x, n == x, n >= x, n != x
>>> 3, 2.5
>>> 4, 4.0
>>> 2**53 + 1, float(2**53)

=== truth
def f(n):
    return "yes" if n else "no", not n, bool(n)
>>> 3
>>> 4
>>> 0
>>> 5
>>> 0.0
>>> 0.5

=== and_or
def f(n, m):
    return n and m, n or m, n and m + 1
>>> 3, 4
>>> 5, 6
>>> 0, 7
>>> 8, 0

=== is_small
def f(n):
    return n is None, n is not None, n is True
>>> 3
>>> 4
>>> 5

=== is_the_same
def f(n):
    m = n
    return m is n
>>> 3
>>> 4
>>> 5

=== isinstance_of
def f(n):
    is_number = isinstance(n, (int, float))
    return isinstance(n, bool), isinstance(n, int), is_number, type(n), n + 1
>>> 3
>>> 4
>>> 5
>>> True

=== formatted
def f(n):
    old = "%d" % n, "{:>5}".format(n), "%s %s" % (n, n + 1)
    return f"{n}", str(n), repr(n), f"{n:04d}", old
>>> 3
>>> 4
>>> 5

=== formatted_deep
def f(n):
    return str([n, (n + 1,)]), f"{ {'a': n} }", repr(Box(n).n)
>>> 3
>>> 4
>>> 5

=== as_key
def f(n):
    made = {n: "n", (n, 1): "t"}
    made[n + 1] = 2
    return made, {n, n + 1}, n in made
>>> 3
>>> 4
>>> 5

=== external_key
table = {3: "three", 4: "four"}
def f(n):
    return table.get(n), n in table
>>> 3
>>> 4
>>> 5

=== as_index
def f(n):
    made = [10, 20, 30, 40]
    return made[n], xs[n], made[:n], made[n:], "abcd"[n]
>>> 0
>>> 1
>>> 2

=== ranges
def f(n):
    total = 0
    for i in range(n):
        total += i
    return total, list(range(n)), sum(range(n))
>>> 3
>>> 4
>>> 3

=== repeated
def f(n):
    return [0] * n, "ab" * n, (n,) * 2, [n] * 2
>>> 1
>>> 2
>>> 3

=== in_list
def f(n):
    made = [n, n + 1, 7]
    found = made.index(n + 1), n in made, made.count(7)
    return found, sorted(made), max(made), min(made), sum(made)
>>> 3
>>> 9
>>> 7
>>> 1

=== compared_deep
def f(n):
    return (n, 1) == (3, 1), [n] < [4], {"a": n} == {"a": 5}
>>> 3
>>> 4
>>> 5

=== json_text
def f(n):
    return json.dumps({"n": n, "l": [n, n + 1]})
>>> 3
>>> 4
>>> 5

=== functions_of_math
def f(x):
    return math.sqrt(x), math.exp(x), math.floor(x), math.ceil(x), math.log(x), math.sin(x)
>>> 0.5
>>> 1.5
>>> 2.25
>>> 4

=== sqrt_of_negative
def f(x):
    try:
        return math.sqrt(x)
    except ValueError as e:
        return str(e)
>>> 0.5
>>> 1.5
>>> -1.0

=== builtins_of_numbers
def f(n, x):
    rounded = round(x), round(x, 1)
    least = min(n, 4), max(n, 4), min(x, 0.5)
    return abs(n), int(x), float(n), least, rounded, pow(n, 2), divmod(n, 3)
>>> 3, 1.25
>>> 5, 2.75
>>> -3, -0.5
>>> 4, 0.5

=== min_of_mixed_types
def f(n):
    return min(n, 2.5), max(n, 2.5), min(n, 1, 7), max(1, n, 3)
>>> 3
>>> 4
>>> 1
>>> 2

=== min_behind_a_pinned_one
def f(n, m):
    least, most = xs[min(n, 2)], xs[max(m, 0)]
    return least, most, min(n, 2, 1, m), max(m, 0, 2, n), min(4, 3, n, m)
>>> 3, 0
>>> 4, -1
>>> 5, -2
>>> 6, -3
>>> 7, -9

=== min_of_equals
def f(n, m):
    return min(n, m), max(n, m)
>>> 3, 3
>>> 4, 4
>>> 4, 5
>>> 0.0, -0.0
>>> -0.0, 0.0

=== methods_of_numbers
def f(n):
    return n.bit_length(), n.real, n.__add__(1), n.to_bytes(2, "big")
>>> 3
>>> 4
>>> 5

=== counter
def f():
    state.n += 1
    return state.n
>>>
>>>
>>>

=== counter_read_twice
def f():
    a = state.n
    state.n = a + 1
    b = state.n
    state.n += 2
    return a, b, state.n
>>>
>>>
!!! state.n = 0
??? state.n = 2**63 - 2

=== counter_of_an_item
def f():
    d["n"] += 1
    return d["n"], d["f"] * 2
>>>
>>>
!!! d["f"] = 1.5
!!! d["n"] = 1.5

=== counter_of_a_global
def f():
    global N
    N += 1
    return N, N * 2
>>>
>>>
>>>

=== counter_in_a_cell
def make():
    count = 0
    def f():
        nonlocal count
        count += 1
        return count
    return f
f = make()
>>>
>>>
>>>

=== stored_deep
@dataclasses.dataclass
class Pair:
    a: int
    b: object
def f(n):
    state.last = (n, [n + 1, {"k": n}])
    state.pair = Pair(n, n * 2)
    return state.pair, state.last
>>> 3
>>> 4
>>> 5

=== appended
log = []
def f(n):
    log.append(n)
    log.append((n, n + 1))
    return log[-2]
>>> 3
>>> 4

=== through_functions
def g(a, b=2, *rest, **kw):
    return a + b, rest, kw
def f(n):
    return g(n), g(n, n + 1), g(n, 1, n, n, k=n), (lambda m: m * 2)(n)
>>> 3
>>> 4
>>> 5

=== through_callbacks
def f(n):
    keyed = sorted([3, 1, 2], key=lambda i: i * n)
    mapped = list(map(lambda i: i + n, [1, 2]))
    return keyed, mapped, functools.reduce(operator.add, [n, 1]), list(map(str, [n]))
>>> 3
>>> -4
>>> 5

=== through_generators
def gen(n):
    yield n
    yield n + 1
def f(n):
    return list(gen(n)), [i * 2 for i in gen(n)], sum(gen(n)), max(gen(n))
>>> 3
>>> 4
>>> 5

=== properties_and_special_methods
class V:
    def __init__(self, n):
        self.n = n
    @property
    def twice(self):
        return self.n * 2
    def __len__(self):
        return self.n
    def __bool__(self):
        return self.n > 3
    def __add__(self, other):
        return self.n + other
    def __index__(self):
        return self.n
    def __hash__(self):
        return self.n
    def __eq__(self, other):
        return self.n == other.n
    def __getitem__(self, i):
        return self.n + i
def f(n):
    v = V(n)
    picked = [0, 1, 2, 3, 4, 5, 6][v], v[n], {v: 1}[V(n)]
    return v.twice, len(v), bool(v), v + 1, picked, hash(v)
>>> 3
>>> 4
>>> 5

=== cached
@functools.lru_cache
def slow(n):
    return n * 2
def f(n):
    return slow(n), slow(n + 1)
>>> 3
>>> 4
>>> 5

=== raised
def f(n):
    try:
        if n > 4:
            raise ValueError(n)
        return n
    except ValueError as e:
        return e.args, str(e)
>>> 3
>>> 4
>>> 5
>>> 6

=== state_of_gauss
class Random:
    def __init__(self):
        self.gauss_next = None
    def gauss(self, mu):
        z, self.gauss_next = self.gauss_next, None
        if z is None:
            z = 0.25 + mu
            self.gauss_next = z * 2 + mu
        return mu + z
r = Random()
def f(mu):
    return r.gauss(mu)
>>> 0.5
>>> 1.5
>>> 2.5
>>> 3.5

=== defaults
def g(a, b=3):
    return a * b
def f(n):
    return g(n)
>>> 3
>>> 4
!!! g.__defaults__ = (4,)

=== loop_carried
def f(n, x):
    total = 0
    for i in range(3):
        total += n
        x = x * 2 + i
    return total, x
>>> 3, 0.5
>>> 4, 1.5
>>> 5, 2.5

=== unpacked
pair = (1, 2)
def f():
    a, b = pair
    c, (e, g) = [a, (b, 3)]
    return a + b, c, e, g
>>>
!!! pair = (3, 4)
!!! pair = (5, 6)
!!! pair = (5, 6.5)

=== iterated
def f():
    return [x * 2 for x in xs], sum(xs)
>>>
!!! xs[:] = [4, 2.5, 5]
!!! xs[:] = [6, 3.5, 7]

=== walrus_and_chains
def f(n):
    if 2 < (m := n + 1) <= 5:
        return m
    return -m
>>> 1
>>> 2
>>> 4
>>> 7

=== matched
def f(n):
    match n:
        case 3:
            return "three"
        case int(m) if m > 4:
            return m
        case [a, b]:
            return a
        case _:
            return "other", n
>>> 3
>>> 4
>>> 5
>>> 6

=== slices_made
def f(n):
    s = slice(n, n + 2)
    return s, [0, 1, 2, 3, 4, 5, 6, 7][s], s.start
>>> 1
>>> 2
>>> 3

=== star_arguments
def f(*args, **kw):
    return args, kw, sum(args)
>>> 1, 2
>>> 3, 4
>>> 5, 6
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_numbers(case):
    check(case)


def counted(f, *calls):
    """Return recordings of a function that is called once with each argument."""
    compiled = CompiledFunction(f)
    for args in calls:
        assert compiled(*args) == f(*args)
    stats = compiled.stats()
    assert stats["hits"] + stats["recordings"] == len(calls), stats
    return stats["recordings"]


def test_one_recording_for_all_numbers():
    assert counted(lambda n: n * 2 + 1, *[(i,) for i in range(3, 60)]) == 2
    assert counted(lambda x: x / 2, *[(i / 7,) for i in range(1, 60)]) == 2
    assert counted(lambda n, x: (n, x, [n]), *[(i, i / 2) for i in range(60)]) == 2


@pytest.mark.parametrize(
    "text",
    """divmod(n, 7); pow(n, 3); pow(2.5, n); slice(n, 1).start + 1; operator.sub(n, 1)
    operator.lt(n, 0); sum([n, 1, n]); max([n, 5]); min((n, 5)); math.prod([2, n])
    (lambda **kw: kw)(**{**d, "k": 1}); [*xs, n]; (lambda *a: a)(*xs)
    (all(d.get(k) is not None for k in "nm"), n); any(k in d for k in "xm") + n
    sum(d[k] > 0 for k in "nm") + n""".replace("\n", ";").split(";"),
)
def test_one_recording_for_all_values_of(text):
    space = {"operator": __import__("operator"), "math": __import__("math")}
    exec(
        f"d, xs = {{'n': 0, 'm': 0.5}}, [0, 1]\ndef f(n):\n    return {text.strip()}",
        space,
    )
    fast = magpy.compile(space["f"], backend="eager")
    for n in range(10, 40):
        space["d"].update(n=n, m=n / 8)
        space["xs"][:] = n, n + 1
        assert fast(n) == space["f"](n)
    assert magpy.stats(fast)["recordings"] == 2
    assert magpy.stats(fast)["fallbacks"] == 0


def test_a_branch_has_an_entry_for_each_way():
    calls = [(i,) for i in (1, 2, 3, 8, 9, 4, 10, 5)]
    assert counted(lambda n: n + 1 if n > 5 else n - 1, *calls) == 3


def test_a_counter_counts():
    class State:
        calls = 0

    def f(state):
        state.calls += 1
        return state.calls

    compiled, state = CompiledFunction(f), State()
    assert [compiled(state) for _ in range(100)] == list(range(1, 101))
    assert compiled.stats()["recordings"] <= 3
    assert state.calls == 100 and type(state.calls) is int


HANDED_OUT = cases(r"""
import collections, dataclasses, functools

class Box:
    def __init__(self, n=0):
        self.n = n

class Slots:
    __slots__ = ("n",)
    def __init__(self, n=0):
        self.n = n

class Counts:
    count = 0

@dataclasses.dataclass
class Data:
    n: int

class Error(Exception):
    pass

Pair = collections.namedtuple("Pair", "a b")
state, slots, xs, d = Box(), Slots(), [0, 1], {"n": 0}
last = collections.deque([0], maxlen=2)
N = 0

def leaves(value):
    # The numbers in what a program has made or changed.
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (range, slice)):
        value = [value.start, value.stop, value.step]
    if isinstance(value, BaseException):
        value = value.args
    if isinstance(value, (Box, Slots, Data)):
        value = [value.n]
    if callable(value):
        value = value()
    if isinstance(value, (list, tuple, set, collections.deque)):
        for item in value:
            yield from leaves(item)
    else:
        yield value

=== in_results
def f(n):
    made = Pair(n, n), Data(n), Box(n), Slots(n), slice(n, n), range(n, n + 2)
    return n, +n, n + 1, [n], {n}, {n: n}, made

=== in_state
def f(n):
    global N
    N = state.n = slots.n = xs[0] = d["n"] = n
    d[n] = n + 1
    last.append(n)
    Counts.count = n
    return lambda: (N, state, slots, xs, d, last, Counts.count)

=== in_functions
def f(n):
    m = n + 1
    def g(k=n, *, j=m):
        return n, k, j, m
    return g, functools.partial(max, n).args

=== in_exceptions
def f(n):
    try:
        raise Error(n, [n])
    except Error as error:
        return error

=== raised
def f(n):
    state.n = n
    raise Error(n)

=== behind_an_end
def f(n):
    made = [n]
    if n > 300 and n is xs[0]:
        return
    open("/dev/null").close()
    return made, n, n is 5, made[0] is n

=== kept_generator
def g(n):
    yield n
    yield n + 1
def f(n):
    it = g(n)
    return next(it), list(it)
""")


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("case", HANDED_OUT, ids=str)
def test_small_ints_that_a_recording_hands_out_are_the_small_ints(case, dynamic):
    pytest.importorskip("torch")  # what proves graphs stands there
    world = case.build()
    f = magpy.compile(world.fn, backend="eager", dynamic=dynamic)
    for n in (3, 4, 5, 6, 6, 255, 3):
        try:
            result = f(n)
        except world.state["Error"] as error:
            result = error
        found = list(world.state["leaves"]([result, world.state["state"]]))
        assert found
        for number in found:
            if type(number) is int and number <= 256:
                assert number is int(str(number)), (n, found)


def test_objects_of_a_caller_are_the_same_behind_an_end():
    pytest.importorskip("torch")  # what proves graphs stands there

    def f(x, y):
        held = [x]
        open("/dev/null").close()
        return x is y, x in held, held[0] is x

    for x in (1.5, float("nan"), 1000000):
        compiled = magpy.compile(f, backend="eager", dynamic=True)
        assert compiled(x, x) == f(x, x)


class Place:
    pass


PASSED_ON = {
    "returned": lambda x, y: x,
    "in a list": lambda x, y: [y, x][1],
    "positive": lambda x, y: +x,
    "int of an int, float of a float": lambda x, y: (
        int(x) if type(x) is int else float(x)
    ),
    "abs": lambda x, y: abs(x) if type(x) is int else x,
    "round": lambda x, y: round(x) if type(x) is int else x,
    "trunc": lambda x, y: math.trunc(x) if type(x) is int else x,
    "min": lambda x, y: min(x, y),
    "max": lambda x, y: max(y, x, y),
    "clamped": lambda x, y: max(min(x, y), x),
    "stored": lambda x, y: (setattr(PLACE, "v", y), setattr(PLACE, "v", x), PLACE.v)[2],
    "new": lambda x, y: x + 0,
    "new float": lambda x, y: abs(x + 0.0),
}
PLACE = Place()


@pytest.mark.not_under_verify("it counts hits")
@pytest.mark.parametrize("kind", [int, float])
@pytest.mark.parametrize("f", PASSED_ON.values(), ids=PASSED_ON)
def test_calls_pass_on_the_very_object(f, kind):
    fast = magpy.compile(f, backend="eager")
    for i in range(20):
        x, y = kind(10**6 + 2 * i), kind(2 * 10**6 - i)
        right, got = f(x, y), fast(x, y)
        assert got == right and type(got) is type(right)
        assert [got is x, got is y] == [right is x, right is y]
    assert magpy.stats(fast)["hits"] >= 16
