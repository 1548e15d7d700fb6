"""What can be called, and callables that change between calls."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== partials_that_c_calls
from functools import partial, reduce
class C:
    k = 3
    def m(self, y, x): return x * y % self.k
def helper(x, y=2, *rest): return x * y % 7
known = [helper, C.m]
c = C()
one, two, three = partial(helper), partial(c.m, 2), partial(partial(helper, y=3))
def f(xs):
    return (
        [g(xs[0], 1) for g in known[:1]], C().m(1, 2), c.m(1, 2), sorted(xs, key=one),
        list(map(two, xs)), [*filter(three, xs)], reduce(one, xs),
    )
>>> [2, 3, 7]
!!! one = partial(helper, 5)
!!! two = partial(c.m, 4)
!!! c.k = 4
!!! three = partial(partial(helper, y=7))
!!! one.__setstate__((helper, (9,), {}, {}))

=== decorator
def double(g):
    def inner(*a, **k):
        return g(*a, **k) * 2
    return inner
@double
def g(x):
    return x + 1
def f(x):
    return g(x)
>>> 1
!!! g.__closure__[0].cell_contents = lambda x: -x

=== decorated_target
def tag(name):
    def wrap(g):
        def inner(x):
            return name, g(x)
        return inner
    return wrap
@tag("t")
def f(x):
    return x
>>> 1

=== wrapped_target
import functools
def logged(g):
    @functools.wraps(g)
    def inner(*args, **kw):
        inner.calls = args
        return g(*args, **kw)
    return inner
@logged
def f(a, b=2):
    return a, b
>>> 1
>>> 1, b=5

=== partial_target | eager | of p
import functools
def g(a, b):
    return a, b
p = functools.partial(g, 5)
>>> 1
>>> b=2

=== callable_class_instance
class Scale:
    def __init__(self, k):
        self.k = k
    def __call__(self, x):
        return x * self.k
s = Scale(2)
def f(x):
    return s(x)
>>> 3
!!! s.k = 5
!!! s = Scale(7)
!!! Scale.__call__ = lambda self, x: -x

=== callable_in_attribute
class C:
    pass
c = C()
c.fn = lambda x: x + 1
def f(x):
    return c.fn(x)
>>> 1
!!! c.fn = lambda x: x + 2
!!! c.fn = abs
!!! c.fn = str

=== callable_in_dict
acts = {"inc": lambda x: x + 1, "neg": lambda x: -x}
def f(name, x):
    return acts[name](x)
>>> "inc", 1
>>> "neg", 1
!!! acts["inc"] = lambda x: x + 100

=== callables_in_list
steps = [lambda x: x + 1, lambda x: x * 2]
def f(x):
    for g in steps:
        x = g(x)
    return x
>>> 3
!!! steps.reverse()
!!! steps.append(lambda x: -x)

=== method_taken_then_called
class C:
    n = 1
    def m(self, x):
        return self.n + x
c = C()
def f(x):
    g = c.m
    return g(x), C.m(c, x), [c.m][0](x)
>>> 1
!!! c.n = 5

=== method_of_other_instance
class C:
    def __init__(self, n):
        self.n = n
    def m(self):
        return self.n
a, b = C(1), C(2)
a.m = b.m
def f():
    return a.m(), a.m.__self__ is b
!!! b.n = 20
!!! del a.m

=== function_as_class_attribute
def g(self, x):
    return self, x
class C:
    m = g
    s = staticmethod(g)
    l = len
c = C()
def f(x):
    return c.m(x)[1], C.s(1, x), c.l([1, 2])
>>> 5

=== method_assigned_to_instance
import types
class C:
    n = 1
c = C()
c.m = types.MethodType(lambda self, x: self.n + x, c)
def f(x):
    return c.m(x)
>>> 1
!!! C.n = 2

=== code_changed
def g(x):
    return x + 1
def h(x):
    return x - 1
def f(x):
    return g(x)
>>> 1
!!! g.__code__ = h.__code__

=== defaults_changed
def g(x, y=1, *, z=2):
    return x, y, z
def f(x):
    return g(x)
>>> 1
!!! g.__defaults__ = (10,)
!!! g.__kwdefaults__ = {"z": 20}
!!! g.__kwdefaults__.update(z=21)
!!! g.__defaults__ = ([1],)
!!! g.__defaults__[0].append(2)

=== closure_changed_in_callee
def make(n):
    def g(x):
        return x + n
    return g
g = make(1)
def f(x):
    return g(x)
>>> 1
!!! g.__closure__[0].cell_contents = 10

=== same_code_other_closure
def make(n):
    def g(x):
        return x + n
    return g
a, b = make(1), make(2)
def f(g, x):
    return g(x)
>>> a, 5
>>> b, 5
!!! a.__closure__[0].cell_contents = 100

=== globals_of_callee_in_other_module
import types
other = types.ModuleType("other")
exec("k = 3\ndef g(x): return x * k", other.__dict__)
k = 1000
def f(x):
    return other.g(x)
>>> 2
!!! other.k = 4
!!! k = 5

=== callback_argument
def apply(g, xs):
    return [g(x) for x in xs]
def f(xs):
    n = len(xs)
    return apply(lambda x: x + n, xs)
>>> [1, 2]

=== visitor
class V:
    def __init__(self):
        self.seen = []
    def visit(self, node):
        return getattr(self, "visit_" + type(node).__name__)(node)
    def visit_int(self, n):
        self.seen.append(n)
        return n
    def visit_list(self, xs):
        return [self.visit(x) for x in xs]
def f(v, t):
    return v.visit(t), v
>>> V(), [1, [2, 3]]

=== call_with_hooks
class M:
    def __init__(self):
        self.pre = {}
        self.post = {}
    def forward(self, x):
        return x + 1
    def __call__(self, x):
        for h in self.pre.values():
            r = h(self, x)
            if r is not None:
                x = r
        y = self.forward(x)
        for h in self.post.values():
            h(self, x, y)
        return y
m = M()
log = []
def f(x):
    return m(x)
>>> 1
!!! m.pre[0] = lambda mod, x: x * 10
!!! m.post[0] = lambda mod, x, y: log.append((x, y))
!!! m.pre.clear()

=== init_subclass_and_class_getitem
class Base:
    kinds = []
    def __init_subclass__(cls, **kw):
        Base.kinds.append(cls.__name__)
    def __class_getitem__(cls, k):
        return (cls, k)
class A(Base):
    pass
def f():
    return Base.kinds, A[3]
!!! Base.kinds.append("x")

=== generic_alias | eager
def f():
    return list[int], dict[str, int].__args__, isinstance([], list)

=== constructor_variants
class P:
    def __init__(self, x=0, *rest, y=1, **kw):
        self.x, self.rest, self.y, self.kw = x, rest, y, kw
    @classmethod
    def make(cls, v):
        return cls(v, y=v)
class Q(P):
    pass
def f(v):
    return P(), P(1, 2, y=v, z=3), Q.make(v), type(Q.make(v)) is Q
>>> 5

=== callable_returned_by_callable
class Curry:
    def __init__(self, *a):
        self.a = a
    def __call__(self, x):
        return Curry(*self.a, x)
def f(x):
    return Curry()(x)(x + 1)(x + 2).a
>>> 1

=== getattr_method_call
class C:
    def a(self, x):
        return x + 1
    def b(self, x):
        return x + 2
c = C()
name = "a"
def f(x):
    return getattr(c, name)(x)
>>> 1
!!! name = "b"
!!! C.b = lambda self, x: 0

=== closure_over_self
class C:
    def __init__(self):
        self.n = 3
    def run(self, xs):
        def shape(x):
            return x * self.n
        def project(x, g):
            return [shape(x), g(x)]
        return [project(x, shape) for x in xs]
c = C()
def f(xs):
    return c.run(xs)
>>> [1, 2]
!!! c.n = 4

=== property_object_called
class C:
    @property
    def fn(self):
        return lambda x: x + self.k
c = C()
c.k = 1
def f(x):
    return c.fn(x)
>>> 1
!!! c.k = 2

=== type_three_arguments | eager
def f(n):
    T = type("T", (), {"n": n})
    return T().n, T.__name__
>>> 1

=== wrapper_descriptor_calls
def f(xs):
    return (
        list.__len__(xs), int.__add__(1, 2), str.upper("a"), dict.get({"a": 1}, "a"),
        xs.__getitem__(0)
    )
>>> [1, 2]

=== object_methods
class C:
    pass
def f(c):
    object.__setattr__(c, "x", 1)
    return (
        object.__getattribute__(c, "x"), c.__class__, c.__eq__(c),
        C.__new__(C).__dict__
    )
>>> C()

=== compiled_recursion_through_self
class Tree:
    def __init__(self, v, *kids):
        self.v = v
        self.kids = kids
    def total(self):
        return self.v + sum(k.total() for k in self.kids)
t = Tree(1, Tree(2), Tree(3, Tree(4)))
def f():
    return t.total()
!!! t.kids[1].kids[0].v = 40
!!! t.kids = ()
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_callables(case):
    check(case)
