"""What C code does with a number that changes from call to call: every use of one is right.

Each expression is a function of a number, called with several of them: those that are
recorded, those that hit, and those that are of another type or do not fit into 64 bits.
"""

# ruff: noqa: F401  (the expressions use them)

import array
import bisect
import collections
import contextlib
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import heapq
import io
import itertools
import json
import math
import operator
import random
import re
import statistics
import string
import struct
import sys
import textwrap
import typing
import weakref

import pytest

from oracle import cases, check, engine_compile

NT = collections.namedtuple("NT", "a b")


class E(enum.IntEnum):
    A = 3
    B = 4
    C = 5


@dataclasses.dataclass(order=True)
class D:
    a: int
    b: int = 2


@dataclasses.dataclass(frozen=True)
class F:
    a: int


class L(list):
    pass


class P:
    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n


class Holder:
    pass


glob = {"n": 1, 3: "three", 4: "four"}
ext = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
holder = Holder()

EXPRESSIONS = r"""
print(n)
print([n], (n, 1), sep="-")
json.dumps([n, {"a": n}])
json.dumps({n: n})
copy.copy([n, [n]])
copy.deepcopy([n, [n]])
operator.itemgetter(n)(ext)
operator.itemgetter(0)([n])
operator.add(n, 2)
functools.partial(lambda a, b: a * b, n)(2)
functools.partial(max, n)(2)
list(itertools.islice(ext, n))
list(itertools.chain([n], [n + 1]))
list(itertools.accumulate([n, n + 1]))
list(itertools.repeat(n, 2))
list(enumerate([n], n))
list(zip([n], [n + 1]))
[*range(n)]
dict([(n, 1), (n + 1, 2)])
dict.fromkeys([n], n)
collections.Counter([n, n, 1])
collections.OrderedDict([(n, 1)])
collections.deque([n, 1], n)
collections.deque([n]).index(n)
NT(n, n + 1).a + NT(n, 2)[1]
NT(n, 2)._replace(a=n + 5)
NT(n, 2) == NT(4, 2)
D(n) == D(4)
D(n) < D(5, 1)
dataclasses.asdict(D(n))
dataclasses.replace(D(n), b=n)
hash(F(n))
{F(n): 1}[F(n)]
E(n)
E.A == n
n in E._value2member_map_
re.sub("a", str(n), "banana", count=n)
re.match("a" * n, "aaaaaaaa") is None
datetime.timedelta(days=n)
datetime.date(2020, 1, n)
math.factorial(n)
math.comb(n, 2)
math.gcd(n, 6)
math.isclose(n, 4)
math.hypot(n, 2)
math.pi * n
math.fsum([n, 0.5])
math.prod([n, 2])
struct.pack("i", n)
array.array("i", [n])
bytes([n])
bytes(n)
bytearray(n)
chr(n + 60)
hex(n)
oct(n)
int(str(n))
int("1" * n)
float("1") + n
complex(n, 1)
n + 1j
n * "a"
"a" * n
[1] * n
(1,) * n + (n,)
"abc".ljust(n) + "abcdefghijkl"[n]
"x".join(map(str, [n, n]))
"%s %d %5.2f" % (n, n, n)
"{} {:d} {!r}".format(n, n, n)
f"{n!r} {n:>{n}}"
str([n, {"k": (n,)}])
repr(D(n))
repr(NT(n, 1))
textwrap.shorten("hello world foo bar", n + 5)
round(1.23456, n)
round(n, -1)
divmod(n, 2)
pow(n, 2, 5)
sum([n, 2.5])
sum((i for i in [n, 1]), n)
min([n, 4])
max(n, 4, key=lambda v: -v)
sorted([n, 1, 7], reverse=True)
any([n - 3, 0])
all([n - 3, 1])
n in [3, 4]
n in (3, 4)
n in {3, 4}
n in {3: 1}
n in range(5)
range(n)[-1]
range(n) == range(4)
len(range(n))
slice(n).indices(5)
ext[n], ext[-n], ext[:n], ext[::n]
ext.index(n)
ext.count(n)
glob.get(n, n + 1)
glob.get("zz", n)
glob[n] if n in glob else None
[i for i in ext if i > n]
[i for i in ext if i is n]
n is ext[n - 1]
n == True, n is True
isinstance(n, E)
isinstance(n, typing.SupportsInt)
issubclass(type(n), int)
callable(n)
id(n) == id(n)
hash(n)
n.__class__
n.__add__(2)
n.__eq__(4)
int.__mul__(n, 2)
n.bit_length()
n.conjugate()
n.numerator
getattr(n, "real")
hasattr(n, "foo")
setattr(holder, "z", n)
(holder.xs.append(n), holder.xs[-1])
(holder.xs.insert(0, n), holder.xs[0])
(holder.xs.extend([n, n]), len(holder.xs))
(holder.d.update(k=n), holder.d["k"])
(holder.d.setdefault("q", n), holder.d["q"])
(holder.d.__setitem__("w", n), holder.d.pop("w"))
holder.__dict__.get("z")
vars(P(n).__class__).get("n") is None, P(n).n
L([n, 1]) + [n]
L([n]) == [4]
bisect.bisect([1, 3, 5, 7], n)
heapq.nsmallest(2, [n, 3, 9])
statistics.mean([n, 2])
fractions.Fraction(n, 3)
decimal.Decimal(n)
string.Template("$a").substitute(a=n)
functools.reduce(lambda a, b: a * b, [n, 2, 3])
list(map(lambda a: a + n, [1, 2]))
list(map(operator.add, [n], [n]))
list(filter(lambda a: a > n, ext))
list(filter(None, [n - 3, 1]))
list(reversed([n, 1]))
tuple(sorted({n, 2}))
frozenset([n])
memoryview(b"abcdefgh")[n]
eval("n + 1", {"n": n})
(lambda m=n: m + 1)()
[(yield_ := n), yield_ + 1]
ext.__getitem__(n)
list.__len__([n])
weakref.ref(ext.__class__) is None, n
random.Random(n).random()
datetime.datetime(2020, 1, 1) + datetime.timedelta(n)
sys.intern("a") * n
~n & 7
n << 3 >> 1
-n // 2 % 3
n / 4 == 1.0
n > 3 and n < 6 or n
1 < n < 5
{"a": n} == {"a": 4}
[n, [n]] == [4, [4]]
(n,) < (4,)
{n} | {4}
{n} & {4}
not n - 3
0 if n - 4 else 1
int(n * 0.7) + round(n * 0.7, 1)
float(n).is_integer()
float(n).hex()
(n + 0.5).as_integer_ratio()
n.to_bytes(2, "little")
int.from_bytes(b"a", "big") + n
max(n, 4.0)
min(4.0, n)
max(n, 3.5)
abs(n - 5), abs(n - 4.5)
n ** -1, n ** 0.5, 2 ** n, (-2) ** n
n % -3, -n % 3, n // -2
n / 2 + n // 2
(n == 4) + n
(n > 3) * n
True + n
n & (n > 3)
sum(1 for i in range(n))
"abc"[n % 3]
[k for k in {n: 1, 2: 2}]
dict(zip(["a"], [n]))
{**{"a": n}}
[*[n], *(n,)]
(lambda *a: a)(*[n, 1])
(lambda **k: k)(**{"a": n})
(lambda a, b: a + b)(*(n, 2))
next(iter([n]))
list(iter([n, 2]))
[a + b for a, b in [(n, 1), (2, n)]]
contextlib.nullcontext(n).enter_result
functools.lru_cache(lambda a: a)(n)
"""

NUMBERS = (3, 4, 5, 6, 4, 7, 0, 1, -2, 8, 4.0, True, 2**63 - 1, 2**64)
#: what takes too long, or too much memory, with a large number
GROWS = re.compile(
    r"\[1\]|\(1,\)|\"a\"|range|bytes|str|<<|ljust|factorial|>\{n\}|\"1\"|2 \*\*|deque|comb"
    r"|Template|repeat"
)


def outcome(function, number):
    """Return result, output and state after a call."""
    holder.__dict__.clear()
    holder.xs, holder.d = [0], {}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            result = repr(function(number))
        except Exception as error:
            result = repr(error)
    return re.sub("at 0x[0-9a-f]+", "at", result), output.getvalue(), repr(vars(holder))


@pytest.mark.parametrize("expression", EXPRESSIONS.strip().split("\n"))
def test_numbers_in_c_code(expression):
    space = dict(globals())
    exec(f"def f(n):\n return {expression}", space)
    compiled = engine_compile(space["f"])
    for number in NUMBERS:
        if abs(number) < 100 or not GROWS.search(expression):
            assert outcome(compiled, number) == outcome(space["f"], number), number


#: A tuple, so that tests/crash leaves it out: equal constants on the two sides of a break
#: are trusted to be one object (docs/internals/soundness.md).
CHOSEN = tuple(
    cases(r"""
=== which_one_it_is | eager
def f(n, m):
    return min(n, m) is n, max(n, m) is m
>>> 10 ** 20, 10 ** 19
>>> 10 ** 20, 10 ** 21
>>> 2.5, 2.5
>>> 2.5, 3.5
""")
)


@pytest.mark.parametrize("case", CHOSEN, ids=str)
def test_min_and_max_answer_with_an_operand(case):
    check(case)
