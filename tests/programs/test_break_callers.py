"""Breaks below C code that runs a method: they do not move out of it."""

from __future__ import annotations

import pytest

from oracle import cases, check

# `op` is a C function that nobody has a row for; it answers 1.
CASES = cases("""
import ctypes, functools, gc, sys, weakref
op = ctypes.pythonapi.Py_IsInitialized

=== property_is_read
class A:
    def __init__(self, x): self.x = x
    @property
    def twice(self):
        y = [self.x]
        op()
        return y * 2
a = A(1)
def f(x):
    return [x], a.twice, A(x).twice
>>> 1
>>> 2
!!! a.x = 5

=== property_of_a_class_with_getattr
class A:
    def __getattr__(self, name): return "other", name
    @property
    def whole(self):
        op()
        return 1
    @property
    def missing(self):
        op()
        raise AttributeError("missing")
    @property
    def wrong(self):
        op()
        raise KeyError("wrong")
def f(x):
    a = A()
    try:
        return a.whole, a.missing, a.wrong
    except KeyError as e:
        return x, e.args, a.whole
>>> 1

=== property_raises_and_nothing_else_answers
class A:
    @property
    def missing(self):
        op()
        raise AttributeError("missing")
def f(x):
    try:
        return A().missing
    except AttributeError as e:
        return x, e.args
>>> 1

=== property_and_getattr_raise
class A:
    def __getattr__(self, name): raise AttributeError(name)
    @property
    def missing(self):
        op()
        raise AttributeError("missing")
def f(x):
    a = A()
    try:
        return a.missing
    except AttributeError as e:
        return x, e.args, e.__context__
>>> 1

=== property_is_set
class A:
    @property
    def x(self): return self.kept
    @x.setter
    def x(self, value):
        value = [value, op()]
        self.kept = value
def f(x):
    a = A()
    a.x = x
    return a.x, a
>>> 1
>>> [2]

=== setattr_in_python
class A:
    def __setattr__(self, name, value):
        op()
        object.__setattr__(self, name, (value, op()))
def f(x):
    a = A()
    a.y = x
    return a.y, a
>>> 1

=== items
class A:
    def __init__(self): self.d = {}
    def __getitem__(self, k):
        op()
        return [self.d[k]]
    def __setitem__(self, k, v):
        op()
        self.d[k] = v, op()
    def __delitem__(self, k):
        op()
        del self.d[k]
def f(x):
    a = A()
    a["k"] = x
    y = a["k"]
    a["l"] = a["k"] + y
    del a["k"]
    try:
        a["k"]
    except KeyError as e:
        return x, y, a, e.args
>>> 1

=== items_of_a_subclass_of_dict
class D(dict):
    def __getitem__(self, k):
        op()
        return super().__getitem__(k), op()
def f(x):
    d = D(a=x)
    return d["a"], d
>>> 1

=== unary
class A:
    def __neg__(self): return [op()]
    def __pos__(self): return (op(),)
    def __invert__(self): return {op()}
def f(x):
    a = A()
    return [x], -a, +a, ~a
>>> 1

=== partial
def g(a, b, *c, k=1):
    y = [a, b]
    op()
    return y, c, k
p = functools.partial(g, 1)
q = functools.partial(p, 2, k=3)
class A:
    def m(self, x):
        op()
        return self, x
def f(x):
    r = functools.partial(A().m, x)
    return p(x), q(x), q(x, k=x), r()[1]
>>> 4

=== nested
class A:
    def __init__(self, x): self.x = x
    def __getitem__(self, k):
        return [k, self.deep, op()]
    @property
    def deep(self):
        return -self
    def __neg__(self):
        y = [self.x]
        op()
        return y + [sys._getframe(i).f_code.co_name for i in range(4)]
def f(x):
    return [x], A(x)["k"]
>>> 1

=== in_a_loop
class A:
    def __init__(self): self.n = 0
    @property
    def next(self):
        self.n += op()
        return [self.n]
def f(n):
    a, out = A(), []
    for i in range(n):
        out.append((i, a.next))
    return out, a
>>> 4
>>> 7

=== the_object_dies_when_it_dies
class A:
    @property
    def ref(self):
        op()
        return weakref.ref(self)
    def __getitem__(self, k):
        op()
        return weakref.ref(self)
def f(x):
    a, b = A().ref, A()[1]
    return x, a() is None, b() is None
>>> 1

=== operators_that_answer_what_they_may_not
class A:
    def __add__(self, o): return op(), o
    def __radd__(self, o): return o, op()
    def __lt__(self, o): return [op()]
    def __contains__(self, o): return [op()]
    def __bool__(self): return bool(op())
    def __len__(self): return op()
def f(x):
    a = A()
    return a + x, x + a, a < x, x in a, not a, len(a), 1 if a else 2
>>> 1
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaks_below_c_code(case):
    check(case, whole=False)
