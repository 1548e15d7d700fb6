"""Built-in functions and the standard library on Python state."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== weak_references_to_functions_and_classes | eager
import gc, weakref
def g(): return 1
class C: pass
a, b = weakref.ref(g), weakref.ref(C)
def f():
    return [r() is None for r in (a, b)]
>>>
!!! del g; del C; gc.collect()

=== type_hints_made_at_run_time
from typing import Any, Callable, Dict, List, Optional, Tuple, Union, cast
def f(x):
    def g(y: Optional[List[int]], z: Callable[[int], Any]) -> Dict[str, Tuple[int, ...]]:
        return cast(Union[int, Tuple[int, str]], y)
    return g(x, None), List[Union[int, None]] is List[Optional[int]]
>>> 1
>>> "a"

=== type_hints_of_what_the_call_made | eager
from typing import Annotated, Callable, Dict, Generic, List, NewType, Optional
from typing import ParamSpec, TypeVar
def f(x):
    T, P, N = TypeVar("T"), ParamSpec("P"), NewType("N", int)
    note = [x]
    class C(Generic[T]):
        pass
    class D(Callable[P, T]):
        pass
    class E(Dict[str, T]):
        pass
    return [
        List[T].__args__[0] is T, C.__parameters__[0] is T, D.__parameters__ == (P, T),
        E.__orig_bases__[0].__args__[1] is T,
        Optional[List[N]].__args__[0].__args__[0] is N,
        List[C].__args__[0] is C, Annotated[int, note].__metadata__[0] is note,
    ]
>>> 1

=== isinstance_issubclass
class A:
    pass
class B(A):
    pass
def f(x):
    return (
        isinstance(x, A), isinstance(x, (int, str)), isinstance(x, int | None),
        issubclass(type(x), A), isinstance(x, B)
    )
>>> A()
>>> B()
>>> 1
>>> True
>>> None

=== isinstance_abc
from collections.abc import Sequence, Mapping, Callable, Iterable
def f(x):
    return isinstance(x, Sequence), isinstance(x, Mapping), isinstance(x, Iterable)
>>> [1]
>>> {}
>>> 1
>>> "s"

=== registered_with_an_abc
import abc, collections.abc as cabc
class A(abc.ABC): pass
class B(A): pass
class Some: pass
class Other(Some): pass
some, other = Some(), Other()
def f(x):
    return (isinstance(x, A), isinstance(x, (int, (B, A))), issubclass(type(x), A),
            isinstance(x, cabc.Sequence), issubclass(type(x), (str, (A, B))))
>>> some
>>> other
!!! A.register(Other)
!!! B.register(Some)
!!! cabc.Sequence.register(Other)

=== hook_of_an_abc | eager
import abc
class A(abc.ABC):
    @classmethod
    def __subclasshook__(cls, other):
        return hasattr(other, "quack") or NotImplemented
class Duck:
    quack = 1
class Some: pass
some = Some()
def f(x):
    return isinstance(x, A), issubclass(type(x), A)
>>> some
>>> Duck()
!!! Some.quack = 1
!!! A.register(Some)

=== isinstance_hook
class Meta(type):
    def __instancecheck__(cls, o):
        return o == 5
class A(metaclass=Meta):
    pass
def f(x):
    return isinstance(x, A)
>>> 5
>>> 6

=== len_sum_any_all
def f(xs):
    return len(xs), sum(xs), sum(xs, 10), any(xs), all(xs), any(x > 2 for x in xs)
>>> [1, 2, 3]
>>> []
>>> (0, 1.5)

=== min_max
def f(a, b, xs):
    return min(a, b), max(a, b), min(xs), max(xs, key=lambda x: -x), max([], default=7)
>>> 1, 2, [3, 1, 2]
>>> 2.5, 1, (1,)

=== sorted_with_key
def f(xs):
    return sorted(xs), sorted(xs, reverse=True), sorted(xs, key=lambda x: (x % 2, x))
>>> [3, 1, 2]
>>> []

=== sorted_objects | eager
import operator
class C:
    def __init__(self, n):
        self.n = n
xs = [C(2), C(1)]
def f():
    a = sorted(xs, key=lambda c: c.n)
    b = sorted(xs, key=operator.attrgetter("n"))
    return a, a[0] is b[0], [c.n for c in b]
!!! xs[0].n = 0
!!! xs.append(C(-1))

=== sorted_dict_items | eager
d = {"b": 1, "a": 2}
def f():
    return sorted(d), sorted(d.items(), key=lambda kv: kv[1]), sorted(d, key=d.get)
!!! d["c"] = 0
!!! d["a"] = -1

=== zip_variants
def f(a, b):
    return (
        list(zip(a, b)), list(zip(a)), dict(zip(a, b)), [x + y for x, y in zip(a, b)],
        list(zip(*[a, b]))
    )
>>> [1, 2], [3, 4]
>>> [1], [2, 3]

=== zip_strict
def f(a, b):
    try:
        return list(zip(a, b, strict=True))
    except ValueError:
        return "length"
>>> [1], [2]
>>> [1], [2, 3]

=== map_filter
k = 3
def f(xs):
    return list(map(lambda x: x * k, xs)), list(filter(None, xs)), list(
        filter(lambda x: x > 1, xs)), list(map(str, xs)), list(map(max, xs, xs))
>>> [0, 1, 2]
!!! k = 4

=== enumerate_reversed_range
def f(xs):
    return (
        list(enumerate(xs, 5)), list(reversed(xs)),
        [i for i in range(len(xs) - 1, -1, -1)]
    )
>>> [1, 2, 3]
>>> ()

=== range_operations
def f(n):
    r = range(1, n, 2)
    return (
        len(r), r[1], r[-1], 3 in r, list(r[1:]), r.start, r.stop, r == range(1, n, 2),
        sum(r)
    )
>>> 9

=== iter_next
def f(xs):
    it = iter(xs)
    return next(it), next(it, "d"), next(it, "d"), list(it)
>>> [1]
>>> [1, 2, 3, 4]

=== iter_sentinel
def f(n):
    values = [1, 2, 3, n, 4]
    def take():
        return values.pop(0)
    return list(iter(take, n))
>>> 3
>>> 9

=== numbers
def f(a, b):
    return (
        abs(-a), round(a / b, 2), divmod(a, b), pow(a, b), pow(a, b, 7), a // b, a % b,
        -a // b
    )
>>> 7, 2
>>> 10**20, 3

=== number_operators
def f(a, b):
    return (
        a + b, a - b, a * b, a / b, a ** b, a << b, a >> b, a & b, a | b, a ^ b, ~int(a),
        -a, +a
    )
>>> 13, 3
>>> True, 2

=== float_operators
def f(a, b):
    return (
        a + b, a * b, a // b, a % b, a ** b, -a, a < b, a == b, round(a), int(a),
        a.is_integer()
    )
>>> 2.5, -1.5
>>> -0.0, 0.5

=== zero_division
def f(a, b):
    out = []
    for op in (lambda: a / b, lambda: a // b, lambda: a % b):
        try:
            out.append(op())
        except ZeroDivisionError as e:
            out.append(str(e))
    return out
>>> 1, 0
>>> 1.0, 0.0
>>> 4, 2

=== conversions
def f(x):
    return int(x), float(x), str(x), bool(x), complex(x), repr(x), hash(x) == hash(x)
>>> 3
>>> 2.5
>>> True
>>> -0.0

=== string_conversions
def f(s):
    out = [list(s), tuple(s), s.encode(), len(s)]
    try:
        out.append(int(s))
    except ValueError as e:
        out.append(e.args)
    return out
>>> "12"
>>> "ab"
>>> ""

=== base_conversions
def f(n):
    return (
        hex(n), bin(n), oct(n), chr(n), ord("a"), int("ff", 16), format(n, "08b"),
        n.to_bytes(2, "big")
    )
>>> 97

=== string_methods
def f(s):
    return (s.upper(), s.split(","), s.strip(), s.replace("a", "b"), s.startswith("a"),
            s.find("b"), s.title(), s.partition(","), s[::-1], s * 2, s.isdigit(),
            s.zfill(8),
            "-".join(s), s.count("a"), s.rsplit(",", 1), s.removeprefix("a"), "a" in s,
            s < "b",
            s.center(9, "*"), s.casefold(), s.splitlines(), s.rpartition(","),
            s.encode("utf8"))
>>> "a,b ,c"
>>> ""

=== string_formatting
def f(a, b, s):
    return (f"{a}-{b:.3f}-{s!r:>8}", "{} {x} {}".format(a, b, x=s),
            "%d %s %5.2f" % (a, s, b),
            f"{s:>{abs(a)}}", f"{s=}", "{0[1]} {1.real}".format(s, a),
            f"{a:,} {b:e} {a:#x} {a!s}")
>>> 5, 2.25, "xy"
>>> -1, 1e300, "ab"

=== format_user_object
class C:
    def __format__(self, spec):
        return "fmt:" + spec
    def __str__(self):
        return "str"
def f(c):
    return f"{c:abc}", f"{c!s}", format(c, "z"), "{:q}".format(c), str(c)
>>> C()

=== string_building_loop
def f(n):
    s = ""
    for i in range(n):
        s += f"layer{i},"
    return s.rstrip(","), s
>>> 4

=== bytes_methods
def f(b):
    return (
        b[0], b[1:], b.hex(), b.decode(), b + b"x", b.split(b","), bytes([1, 2]),
        b in b"xabcx"
    )
>>> b"a,b"

=== math_functions
import math
def f(x):
    return (math.sqrt(x), math.floor(x), math.ceil(x), math.log(x), math.log2(x),
            math.exp(-x),
            math.isnan(x), math.pi * x, math.pow(x, 2), math.prod([x, 2]),
            math.gcd(12, 18),
            math.isclose(x, x + 1e-12), math.inf > x, math.fsum([x] * 3), math.trunc(x),
            math.hypot(3, 4), math.copysign(1, -x), math.comb(5, 2), math.sin(x))
>>> 2.5
>>> 4

=== math_error
import math
def f(x):
    try:
        return math.sqrt(x)
    except ValueError as e:
        return e.args
>>> 4
>>> -1

=== operator_module
import operator
def f(a, b):
    return (operator.add(a, b), operator.mul(a, b), operator.lt(a, b),
            operator.itemgetter(1)([a, b]),
            operator.attrgetter("real")(a), operator.methodcaller("bit_length")(a),
            operator.index(a),
            operator.truth(a), operator.not_(a), operator.contains([a], b),
            operator.getitem([a, b], 0))
>>> 3, 4

=== functools_partial
import functools
def g(a, b, c=0):
    return a, b, c
p = functools.partial(g, 1, c=5)
def f(x):
    return p(x), p(x, c=6), functools.partial(g, x)(2)
>>> 7
!!! p = functools.partial(g, 2)
!!! g.__code__ = (lambda a, b, c=0: "new").__code__

=== functools_partial_of_method
import functools
class C:
    n = 1
    def m(self, a):
        return self.n + a
c = C()
p = functools.partial(c.m, 10)
def f():
    return p()
!!! c.n = 5
!!! C.m = lambda self, a: -a

=== functools_reduce
import functools, operator
def f(xs):
    return (
        functools.reduce(lambda a, b: a * 2 + b, xs),
        functools.reduce(operator.add, xs, 100)
    )
>>> [1, 2, 3]

=== functools_wraps_and_lru_cache
import functools
@functools.lru_cache(maxsize=None)
def g(x):
    return [x]
def f(x):
    return g(x), g(x) is g(x)
>>> 1

=== functools_singledispatch
import functools
@functools.singledispatch
def g(x):
    return "other"
@g.register
def _(x: int):
    return "int"
def f(x):
    return g(x)
>>> 1
>>> "a"

=== singledispatch_of_methods_and_classes
import functools
class Base: pass
class Sub(Base): pass
class Ops:
    @functools.singledispatchmethod
    def run(self, x): return "other"
    @run.register
    def _(self, x: int): return x + 1
    @run.register(Base)
    def _(self, x): return "base"
@functools.singledispatch
def g(x): return [x]
@g.register(list)
def _(x): return x[::-1]
ops = Ops()
def f(x):
    return ops.run(x), ops.run(Sub()), g(x), g([x, 2]), g(Sub)
>>> 1
!!! g.register(int, lambda x: -x)

=== signatures_bind_arguments
import functools, inspect
def checked(fn):
    signature = inspect.signature(fn)
    @functools.wraps(fn)
    def call(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if not isinstance(value, fn.__annotations__.get(name, object)):
                raise TypeError(name)
        return fn(*bound.args, **bound.kwargs)
    return call
@checked
def g(x: int, n: int = 2, *rest, k: str = "k"):
    return x * n, rest, k
def f(x):
    try:
        return g(x), g(x, 3, 4, k="z"), list(inspect.signature(g).parameters)
    except TypeError as error:
        return str(error)
>>> 1
>>> "a"

=== functools_total_ordering
import functools
@functools.total_ordering
class V:
    def __init__(self, n):
        self.n = n
    def __eq__(self, o):
        return self.n == o.n
    def __lt__(self, o):
        return self.n < o.n
def f(a, b):
    return a <= b, a > b, a >= b
>>> V(1), V(2)

=== functools_cmp_to_key | eager
import functools
def f(xs):
    return sorted(xs, key=functools.cmp_to_key(lambda a, b: b - a))
>>> [1, 3, 2]

=== itertools_basic
import itertools
def f(a, b):
    return (list(itertools.chain(a, b)), list(itertools.product(a, b)),
            list(itertools.islice(a, 1)),
            list(itertools.zip_longest(a, b)), list(itertools.repeat(1, 3)),
            list(itertools.accumulate(a)), list(itertools.chain.from_iterable([a, b])),
            list(itertools.combinations(a, 2)), list(itertools.permutations(a)),
            list(itertools.starmap(max, zip(a, b))), list(itertools.takewhile(bool, a)),
            list(itertools.compress(a, b)), list(itertools.pairwise(a)))
>>> [1, 2], [3, 4, 5]

=== itertools_callbacks
import itertools
def f(xs):
    return ([(k, list(g)) for k, g in itertools.groupby(xs, key=lambda x: x // 2)],
            list(itertools.accumulate(xs, lambda a, b: a * b)),
            list(itertools.filterfalse(lambda x: x % 2, xs)),
            list(itertools.dropwhile(lambda x: x < 2, xs)))
>>> [1, 2, 3, 4]

=== itertools_count_and_cycle
import itertools
def f(n):
    c = itertools.count(n, 2)
    y = itertools.cycle("ab")
    return (
        next(c), next(c), [next(y) for _ in range(3)],
        list(zip(itertools.count(), "xy"))
    )
>>> 5

=== itertools_over_state
import itertools
xs, ys = [1, 2], [3]
def f():
    return [x * 10 for x in itertools.chain(xs, ys)]
!!! ys.append(4)
!!! xs[0] = 9

=== collections_inside
from collections import OrderedDict, deque, Counter, defaultdict
def f(xs):
    d = OrderedDict((str(x), x) for x in xs)
    q = deque(maxlen=2)
    g = defaultdict(list)
    for x in xs:
        q.append(x)
        g[x % 2].append(x)
    return d, q, dict(g), Counter(xs)[1], list(d.items())[0]
>>> [1, 2, 3]

=== copy_shallow
import copy
data = {"a": [1]}
def f():
    c = copy.copy(data)
    c["b"] = 2
    return c, c["a"] is data["a"], copy.copy((1, 2)), copy.copy([data])
!!! data["z"] = 1

=== copy_deep
import copy
data = {"a": [1, (2, [3])]}
def f():
    c = copy.deepcopy(data)
    c["a"].append(5)
    return c
!!! data["a"][0] = 9

=== copy_of_instance | eager
import copy
class C:
    def __init__(self):
        self.xs = [1]
c = C()
def f():
    d = copy.copy(c)
    d.n = 1
    return d, d.xs is c.xs
!!! c.n = 5

=== copy_deep_of_instance | eager
import copy
class C:
    def __init__(self):
        self.xs = [1]
        self.me = self
c = C()
def f():
    d = copy.deepcopy(c)
    return d, d.me is d, d.xs is c.xs
!!! c.xs.append(5)

=== type_identity
def f(a, b):
    return type(a), type(a) is type(b), type(a).__name__
>>> 1, 2
>>> [1], (1,)

=== id_of_object | eager
def f(a):
    return id(a) == id(a), {id(a): 1}[id(a)]
>>> [1]

=== hash_of_values
def f(a, b):
    return hash(a) == hash(b), hash((a, b)) == hash((b, a)), {a: 1}.get(b)
>>> 1, 1.0
>>> "a", "b"

=== callable_dir_vars
class C:
    n = 1
    def m(self):
        pass
def f(c):
    return callable(c), callable(c.m), callable(f), vars(c)
>>> C()

=== eval_exec | eager
def f(x):
    scope = {"x": x}
    exec("y = x + 1", scope)
    return eval("y * 2", scope)
>>> 3

=== namespaces_that_are_no_dicts | eager
answers = {"k": 1}
class Names(dict):
    def __getitem__(self, name):
        return answers[name]
code = compile("y = k", "<names>", "exec")
def f(builtins):
    space = {"__builtins__": builtins}
    try:
        exec(code, space)
    except TypeError as error:
        return str(error)
    return space["y"]
>>> Names()
>>> 123
!!! answers["k"] = 5

=== keywords_that_are_no_texts | eager
import functools
def g(**kw): return kw
def f(kw):
    found = []
    made = functools.partial(g), type("T", (), {})
    for call in (str, int, g, sorted, functools.partial, dict, *made):
        try:
            found.append(call("1", **kw))
        except TypeError as error:
            found.append(str(error).split(" ")[-1])
    return found
>>> {b"foo": 1}
>>> {1: 1, "x": 2}

=== instances_of_classes_of_c_callables | eager
import functools, operator, types, weakref
class P(functools.partial): pass
class S(staticmethod): pass
class R(weakref.ref): pass
class G(types.GenericAlias): pass
class O: pass
kept = O()
p, s, r, g = P(max, 1), S(len), R(kept), G(list, int)
def f(x):
    found = [p(x), s([x]), r() is kept, g((x,)), operator.call(p, x)]
    for kind in (type(p), type(g)):
        try:
            found.append(type(kind()))
        except TypeError as error:
            found.append(str(error))
    return found
>>> 1
>>> 2

=== print_output | eager
import io
out = io.StringIO()
def f(x):
    print("value", x, file=out)
    return out.getvalue()
>>> 1

=== open_file | eager
def f():
    with open("/dev/null") as h:
        return h.read()

=== random_state | eager
import random
rng = random.Random(5)
def f():
    return rng.random(), rng.randint(1, 6), rng.choice("abc")

=== time_is_not_constant | eager
import time
def f():
    a = time.perf_counter()
    return time.perf_counter() >= a

=== environment | eager
import os
os.environ["MAGPY_PROGRAM"] = "1"
def f():
    return os.environ.get("MAGPY_PROGRAM")
!!! os.environ["MAGPY_PROGRAM"] = "2"
!!! os.environ.pop("MAGPY_PROGRAM", None)

=== warnings_warn | eager
import warnings
def f():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.warn("careful")
    globals().pop("__warningregistry__", None)
    return len(seen)

=== logging_disabled
import logging
log = logging.getLogger("magpy.program")
log.setLevel(logging.ERROR)
def f(x):
    log.debug("value %s", x)
    if log.isEnabledFor(logging.INFO):
        x += 100
    return x
>>> 1
!!! log.setLevel(logging.INFO)

=== regular_expressions | eager
import re
pattern = re.compile(r"(\d+)-(\w+)")
def f(s):
    m = pattern.match(s)
    return m.groups() if m else None
>>> "12-ab"
>>> "zz"

=== json_round_trip | eager
import json
def f(d):
    return json.loads(json.dumps(d))
>>> {"a": [1, None, "x"]}

=== inspect_signature | eager
import inspect
def g(a, b=2, *c, d, **e):
    pass
def f():
    return (
        list(inspect.signature(g).parameters), inspect.isfunction(g),
        inspect.isclass(int)
    )

=== typing_helpers
from typing import cast, TYPE_CHECKING, Optional
def f(x):
    y: Optional[int] = cast(int, x)
    return y, TYPE_CHECKING
>>> 1

=== enum_iteration
import enum
class E(enum.Enum):
    A = 1
    B = 2
    ALIAS = 1
    @property
    def twice(self):
        return self.value * 2
def f():
    return (
        [e.name for e in E], E.A.twice, E.ALIAS is E.A, E("1" and 2).name, len(E),
        E.B in E
    )

=== string_enum_compared
import enum
class Act(str, enum.Enum):
    GELU = "gelu"
    RELU = "relu"
def f(a):
    return a == "gelu", a is Act.GELU, {"gelu": 1, "relu": 2}[a], a.value
>>> Act.GELU
>>> Act.RELU

=== abc_class
import abc
class Base(abc.ABC):
    @abc.abstractmethod
    def m(self):
        ...
class C(Base):
    def m(self):
        return 1
def f():
    try:
        Base()
    except TypeError:
        return C().m()

=== fractions_and_decimals | eager
from fractions import Fraction
from decimal import Decimal
def f(x):
    return Fraction(x, 3) + 1, str(Decimal("1.10") * x)
>>> 2

=== heapq_bisect
import heapq, bisect
def f(xs):
    h = list(xs)
    heapq.heapify(h)
    heapq.heappush(h, 0)
    s = sorted(xs)
    bisect.insort(s, 2)
    return heapq.heappop(h), bisect.bisect(s, 2), s
>>> [3, 1, 2]

=== weak_dictionaries
import weakref
class C:
    pass
c = C()
d = weakref.WeakKeyDictionary({c: 1})
def f():
    return d[c], len(d)
!!! d[c] = 2

=== threading_lock | eager
import threading
lock = threading.Lock()
def f(x):
    with lock:
        return x + 1
>>> 1

=== sys_intern_and_version
import sys
def f():
    return sys.version_info >= (3, 8), sys.maxsize > 2**32, sys.byteorder

=== slice_indices
def f(n):
    return slice(1, 10, 2).indices(n), [1, 2, 3][slice(-2, None)], slice(1) == slice(1)
>>> 5

=== int_methods
def f(n):
    return (
        n.bit_length(), n.bit_count(), (n).conjugate(), n.real,
        int.from_bytes(b"\1\2", "big"), n.numerator
    )
>>> 300
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_library(case):
    check(case)
