"""Classes, functions and modules of the program that are named like those of others.

Nothing is recognised by its name: a class called `zip` is a class of the program's.
"""

from __future__ import annotations

import pytest

from oracle import cases, check

#: As type(x).__name__ can be set; C types have such names, dots included.
NAMES = """
    zip enumerate filter map reversed list_iterator dict_values dict_items itertools.chain
    itertools.starmap itertools.product functools.partial functools._lru_cache_wrapper
    functools.KeyWrapper operator.itemgetter operator.attrgetter operator.methodcaller
    _collections._tuplegetter collections._tuplegetter collections.deque
    collections.OrderedDict collections.defaultdict types.SimpleNamespace
    types.GenericAlias types.UnionType _json.Encoder _json.Scanner re.Pattern
    _thread.RLock method-wrapper staticmethod EnumMeta EnumType
    numpy.ndarray numpy.ufunc numpy.dtype numpy.dtype[float32] numpy.flatiter
    numpy.datetime64 numpy.random.Generator numpy._ArrayFunctionDispatcher
    torch.dtype torch.Size torch.device torch.memory_format
""".split()

#: Each with the name of the class in NAME.
PROGRAMS = """
=== pairs_or_keys
class K:
    def __init__(self, xs): self.xs = xs
    def __iter__(self): return iter(self.xs)
    def __getitem__(self, k): return 5
K.__name__ = NAME
z = K([("a", 1)])
def f():
    return dict(z)
>>>
!!! z.xs.append(("b", 2))
!!! K.keys = lambda self: ["k"]

=== called
class K:
    def __call__(self, x): return self.n + x
    func, args, keywords, __wrapped__ = len, (), {}, len
K.__name__ = NAME
k = K()
k.n = 1
def f(x):
    return k(x)
>>> 2
!!! k.n = 5
!!! K.__call__ = lambda self, x: self.n * x

=== callback
class K:
    def __call__(self, x): return -self.n * x
    func, args, keywords, __wrapped__ = len, (), {}, len
K.__name__ = NAME
k = K()
k.n = 1
def f(xs):
    return list(map(k, xs)), sorted(xs, key=k), max(xs, key=k)
>>> [1, 3, 2]
!!! k.n = -1

=== walked
class K:
    def __init__(self, xs): self.xs = xs
    def __iter__(self): return iter(self.xs)
    def __len__(self): return len(self.xs)
K.__name__ = NAME
k = K([3, 1])
def f():
    return list(k), sorted(k), sum(k), max(k), tuple(zip(k, k)), [x for x in k]
>>>
!!! k.xs[0] = 7
!!! k.xs = [1, 2, 5]

=== descriptor
class K:
    def __get__(self, obj, cls): return len(obj) + self.n
    def __reduce__(self): raise ValueError
K.__name__ = NAME
k = K()
k.n = 2
class T(tuple):
    x = k
t = T((1, 2))
def f():
    return t.x
>>>
!!! k.n = 3
!!! K.__get__ = lambda self, obj, cls: obj[0]

=== attributes
class K:
    func, args, __args__, __origin__, maxlen, dtype = 1, 2, 3, 4, 5, 6
K.__name__ = NAME
k = K()
def f():
    return k.func, k.args, k.__args__, k.__origin__, k.maxlen, k.dtype
>>>
!!! k.func = 9
!!! k.args, k.__args__, k.maxlen = 7, 8, 9
!!! K.dtype = property(lambda self: self.args)

=== compared
class K:
    def __init__(self, n): self.n = n
    def __eq__(self, other): return self.n == other.n
    def __add__(self, other): return self.n + other
    def __bool__(self): return self.n > 1
    def __hash__(self): return 3
    def __repr__(self): return str(self.n)
K.__name__ = NAME
a, b = K(1), K(1)
def f():
    return a == b, a + 1, bool(a), repr(a), f"{b}"
>>>
!!! b.n = 2
!!! a.n = 2

=== metaclass
class M(type):
    def __call__(cls, *args): return cls.n, args
    def __instancecheck__(cls, obj): return cls.n > 1
M.__name__ = NAME
class K(metaclass=M):
    n = 1
def f(x):
    return K(x), isinstance(x, K)
>>> 3
!!! K.n = 2

=== locked | eager
class K:
    n = 0
    def __enter__(self): self.n += 1
    def __exit__(self, *why): self.n += 10
    def acquire(self): self.n += 100
K.__name__ = NAME
k = K()
def f():
    with k:
        k.acquire()
    return k.n
>>>
!!! k.n = 5
"""

CASES = [
    case
    for name in NAMES
    for case in cases(
        PROGRAMS.replace("NAME", repr(name)).replace("=== ", f"=== {name}_")
    )
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_names(case):
    check(case)


MODULES = cases("""
=== module_named_copy | eager
__name__ = "copy"
def f(a, b):
    return a is b, a == b
>>> 1.5, float("1.5")
>>> (lambda x: (x, x))(float("1.5"))[0], 1.5

=== module_named_functools | eager
import threading
__name__ = "functools"
lock = threading.RLock()
seen = []
def f():
    with lock:
        seen.append(lock._is_owned())
    return seen
>>>
!!! seen.clear()

=== module_named_typing | eager
import functools
__name__ = "typing"
n = [1]
@functools.lru_cache
def g(x):
    n.append(x)
    return len(n)
def f(x):
    return g(x)
>>> 1
>>> 2

=== module_named_abc
__name__ = "abc"
n, seen = [1], {}
class M(type):
    def __instancecheck__(cls, obj):
        seen["obj"] = obj
        return n[0] > 3
class K(metaclass=M): pass
def f(x):
    return isinstance(x, K), dict(seen)
>>> 1
>>> "a"
!!! n[0] = 4
""")


@pytest.mark.parametrize("case", MODULES, ids=str)
def test_modules(case):
    check(case)
