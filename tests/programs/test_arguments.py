"""How arguments reach a program: binding, defaults, stars, and the guards they need."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== positional
def f(a, b):
    return a - b
>>> 5, 3
>>> 3, 5

=== keyword
def f(a, b):
    return a - b
>>> a=5, b=3
>>> b=5, a=3
>>> 5, b=3

=== default
def f(a, b=2, *, c=3):
    return a, b, c
>>> 1
>>> 1, 5
>>> 1, c=7
!!! f.__defaults__ = (20,)
!!! f.__kwdefaults__ = {"c": 30}
!!! f.__kwdefaults__["c"] = 31

=== default_mutated
box = [1, 2]
def f(a, b=box):
    return a + len(b) + b[0]
>>> 1
!!! box.append(3)
!!! box[0] = 9

=== default_of_callee_mutated
def g(a, b=[1]):
    return a + b[-1]
def f(a):
    return g(a)
>>> 1
!!! g.__defaults__[0].append(7)
!!! g.__defaults__ = ([50],)

=== default_written
def f(a, memo={}):
    memo[a] = a + 1
    return memo
>>> 1
>>> 2

=== keyword_only_of_callee
def g(*, k=1):
    return k * 2
def f():
    return g()
!!! g.__kwdefaults__ = {"k": 5}
!!! g.__kwdefaults__["k"] = 6

=== var_positional
def f(*args):
    return len(args), sum(args), args
>>> 1, 2, 3
>>>
>>> 4

=== var_keyword
def f(**kw):
    return sorted(kw), kw
>>> a=1, b=2
>>> b=2, a=1
>>>

=== all_kinds
def f(a, /, b, c=3, *rest, d, e=5, **more):
    return a, b, c, rest, d, e, more
>>> 1, 2, d=4
>>> 1, 2, 3, 4, 5, d=6, e=7, z=8
>>> 1, b=2, d=4, a=9

=== missing_argument | eager
def f(a, b):
    return a
>>> 1

=== unexpected_keyword | eager
def f(a):
    return a
>>> 1, z=2

=== forwarded_stars
def g(a, b, c=0, **kw):
    return a + b * c, kw
def f(*args, **kw):
    return g(*args, **kw)
>>> 1, 2
>>> 1, 2, c=3
>>> 1, b=2, c=3, d=4

=== stars_with_extra
def g(*args, **kw):
    return args, kw
def f(xs, d):
    return g(0, *xs, 9, *xs, k=1, **d)
>>> [1, 2], {"a": 3}
>>> (), {}

=== kwargs_updated
def g(x, alpha=1):
    return x * alpha
def f(x, **kw):
    kw.update(alpha=x + 1)
    return g(x, **kw)
>>> 2
>>> 2, alpha=5

=== kwargs_popped
def f(x, **kw):
    scale = kw.pop("scale", 10)
    return x * scale, kw
>>> 2
>>> 2, scale=3, other=4

=== kwargs_are_a_copy
def f(**kw):
    kw["new"] = 1
    return kw
d = {"a": 1}
>>> **d

=== args_is_a_new_tuple
xs = [1, [2]]
def f(*args):
    return args, args[1]
>>> *xs

=== same_object_twice
def f(a, b):
    return a is b, a == b
x = [1]
>>> x, x
>>> [1], [1]

=== argument_returned
def f(a):
    return a
>>> [1, 2]
>>> {"k": [1]}
>>> (1, [2])
>>> None

=== argument_stored
kept = []
def f(a):
    kept.append(a)
    return a[0]
>>> [5]

=== argument_deleted
def f(a, b):
    del a
    try:
        return a
    except UnboundLocalError:
        return b
>>> 1, 2

=== argument_rebound
def f(a, b=None):
    if b is None:
        b = a
    a = [b, a]
    return a, b
>>> [1]
>>> [1], [2]

=== method_arguments | of obj.run
class C:
    def run(self, a, b=3, *args, k=4, **kw):
        return self, a, b, args, k, kw
obj = C()
>>> 1
>>> 1, 2, 3, k=5, z=6

=== classmethod_target | of C.run
class C:
    n = 5
    @classmethod
    def run(cls, a):
        return cls.n + a
>>> 1
!!! C.n = 6

=== staticmethod_target | of C.run
class C:
    @staticmethod
    def run(a):
        return a + 1
>>> 1

=== callable_instance_target | of obj.__call__
class C:
    def __init__(self):
        self.n = 1
    def __call__(self, a):
        return self.n + a
obj = C()
>>> 1
!!! obj.n = 2

=== lambda_target
f = lambda a, b=2: (a, b)
>>> 1
>>> 1, 3

=== type_of_argument_changes
def f(a):
    return a + a
>>> 1
>>> 1.0
>>> True
>>> "x"
>>> [1]
>>> (1,)

=== bool_is_not_int
def f(a):
    return a, a is True, type(a)
>>> 1
>>> True
>>> 0
>>> False
>>> 1.0

=== zero_and_minus_zero
import math
def f(a):
    return math.copysign(1.0, a), a
>>> 0.0
>>> -0.0

=== nan_argument
def f(a):
    return a != a, a
>>> float("nan")
>>> 1.5

=== infinities
def f(a):
    return a > 0, a - a
>>> float("inf")
>>> float("-inf")

=== big_int
def f(a):
    return a + 1, a % 7, a.bit_length()
>>> 10**40
>>> -(2**200)

=== strings_with_quotes
def f(s):
    return s + "'", len(s)
>>> "it's"
>>> 'say "hi" \\ \n'
>>> "\0 ü 字"

=== bytes_argument
def f(b):
    return b[0], b + b"x", b.hex()
>>> b"abc"

=== complex_argument
def f(z):
    return z * z, z.real, z.conjugate()
>>> 1 + 2j
>>> complex(0.0, -0.0)

=== str_subclass | eager
class Name(str):
    pass
def f(s):
    return s + "!", type(s).__name__, s
>>> Name("a")
>>> "a"

=== int_subclass | eager
class Count(int):
    pass
def f(n):
    return n + 1, isinstance(n, Count), n
>>> Count(3)
>>> 3

=== enum_argument
import enum
class Color(enum.Enum):
    RED = 1
    BLUE = 2
def f(c):
    if c is Color.RED:
        return "red"
    return c.name, c.value
>>> Color.RED
>>> Color.BLUE

=== int_enum_argument
import enum
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2
def f(level, n):
    return level + n, level == n, level
>>> Level.LOW, 1
>>> Level.HIGH, 1
>>> 2, 1

=== ellipsis_and_notimplemented
def f(a):
    return a is ..., a is NotImplemented
>>> ...
>>> NotImplemented
>>> None

=== class_as_argument
class A:
    n = 1
class B:
    n = 2
def f(cls):
    return cls.n, cls
>>> A
>>> B
!!! A.n = 5

=== function_as_argument
def inc(x):
    return x + 1
def dec(x):
    return x - 1
triple = lambda x: x * 3
def f(g, x):
    return g(x)
>>> inc, 1
>>> dec, 1
>>> triple, 1

=== function_made_anew_as_argument | eager
def f(g, x):
    return g(x)
>>> lambda x: x * 3, 1

=== builtin_as_argument
def f(g, xs):
    return g(xs)
>>> len, [1, 2]
>>> sum, [1, 2]
>>> max, [1, 2]

=== module_as_argument
import math, cmath
def f(m):
    return m.sqrt(4)
>>> math
>>> cmath

=== range_and_slice_arguments
def f(r, s):
    return list(r), r[1], [1, 2, 3, 4][s]
>>> range(3), slice(1, 3)
>>> range(1, 9, 2), slice(None, None, -1)

=== many_calls_many_entries
def f(n):
    return n * n
>>> 0
>>> 1
>>> 2
>>> 3
>>> 4
>>> 5
>>> 6
>>> 7
>>> 8
>>> 9
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_arguments(case):
    check(case)
