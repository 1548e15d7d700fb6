"""A callable or class from outside is told by what it holds, not by its type alone."""

from __future__ import annotations

import pytest

from oracle import cases, check

CASES = cases("""
=== staticmethods_as_arguments
a, b = staticmethod(lambda x: x + 1), staticmethod(lambda x: x * 5)
def f(g):
    return g(2)
>>> a
>>> b

=== staticmethod_filled_anew
s = staticmethod(lambda x: x + 1)
class C:
    m = s
def f(x):
    return s(x), C.m(x), C().m(x)
>>> 2
!!! s.__init__(lambda x: x * 7)

=== new_filled_anew
class C:
    def __new__(cls, v):
        made = object.__new__(cls)
        made.v = v
        return made
def other(cls, v):
    made = object.__new__(cls)
    made.v = v * 10
    return made
def f(x):
    return C(x).v
>>> 2
!!! vars(C)["__new__"].__init__(other)

=== class_getitem_filled_anew
class C:
    @classmethod
    def __class_getitem__(cls, k):
        return cls, k + 1
def f(x):
    return C[x]
>>> 2
!!! vars(C)["__class_getitem__"].__init__(lambda cls, k: (cls, k * 7))

=== init_subclass_filled_anew
class C:
    @classmethod
    def __init_subclass__(cls):
        cls.v = 1
def f(x):
    class D(C):
        pass
    return D.v + x
>>> 2
!!! vars(C)["__init_subclass__"].__init__(lambda cls: setattr(cls, "v", 7))

=== prepare_filled_anew
class M(type):
    @classmethod
    def __prepare__(meta, name, bases):
        return {"v": 1}
def f(x):
    class D(metaclass=M):
        pass
    return D.v + x
>>> 2
!!! vars(M)["__prepare__"].__init__(lambda meta, name, bases: {"v": 7})

=== subclasses_of_methods_filled_anew
class S(staticmethod): pass
class M(classmethod): pass
class C:
    s = S(lambda x: x + 1)
    m = M(lambda cls, x: (cls, x + 1))
def f(x):
    return C.s(x), C.m(x)
>>> 2
!!! vars(C)["s"].__init__(lambda x: x * 7)
!!! vars(C)["m"].__init__(lambda cls, x: (cls, x * 7))

=== property_filled_anew
p = property(lambda self: 1, lambda self, v: self.__dict__.update(v=v))
class C:
    v = p
c = C()
def f():
    c.v = 3
    return c.v, dict(vars(c))
>>>
!!! p.__init__(lambda self: 2, lambda self, v: self.__dict__.update(w=v))

=== property_with_another_deleter
p = property(None, None, lambda self: self.__dict__.update(v=1))
class C:
    x = p
c = C()
def f():
    del c.x
    return dict(vars(c)), C.__dict__["x"].fdel
>>>
!!! p.__init__(None, None, lambda self: self.__dict__.update(w=2))

=== property_delete_called
p = property(None, None, lambda self: self.__dict__.update(v=1))
class C: pass
c = C()
def f():
    property.__delete__(p, c)
    return dict(vars(c))
>>>
!!! p.__init__(None, None, lambda self: self.__dict__.update(w=2))

=== compiled_functions_as_arguments
from magpy._engine import CompiledFunction
a, b = CompiledFunction(lambda x: x + 1), CompiledFunction(lambda x: x * 5)
class Box: pass
box, part = Box(), {}
def f(g):
    box.g = g
    part["g"] = g
    return g(2), box.g(3), part["g"](4), [g][0](5)
>>> a
>>> b

=== compiled_attribute_item_submodule
from magpy._engine import CompiledFunction
class Box: pass
box = Box()
box.inner = Box()
box.g = box.inner.g = CompiledFunction(lambda x: x + 1)
calls = [box.g]
def f(x):
    return box.g(x), box.inner.g(x), calls[0](x)
>>> 2
!!! box.g = CompiledFunction(lambda x: x * 5)
!!! box.inner.g = CompiledFunction(lambda x: x * 6)
!!! calls[0] = box.g

=== compiled_in_a_partial
import functools
from magpy._engine import CompiledFunction
a = functools.partial(CompiledFunction(lambda x, y: x + y), 1)
b = functools.partial(CompiledFunction(lambda x, y: x * y), 1)
def f(g):
    return g(2), list(map(g, [1, 2]))
>>> a
>>> b

=== one_original_in_two_compiled_functions
from magpy._engine import CompiledFunction
def g(x): return x + 1
a, b = CompiledFunction(g), CompiledFunction(g)
def f(h):
    return h(2)
>>> a
>>> b

=== unions
a, b, c = int | str, float | str, int | None
def f(x, T):
    return isinstance(x, T), issubclass(type(x), T)
>>> 1, a
>>> 1, b
>>> 1.0, c
>>> None, c

=== nested_classes
a, b = bytes | int, bytes | float
def f(x, T):
    return isinstance(x, T), issubclass(type(x), T)
>>> 1, ((int,), str)
>>> 1, ((float,), str)
>>> 1, (str, (bytes, (float, (int,))))
>>> 1, (str, (bytes, (float, (list,))))
>>> 1, (str, (a,))
>>> 1, (str, (b,))

=== nested_classes_rebound
T = ((int,), str)
U = int | str
def f(x):
    return isinstance(x, T), isinstance(x, U), isinstance(x, (U, bytes))
>>> 1
>>> 1.5
!!! T = ((float,), str)
!!! U = float | str

=== union_made_in_the_run
A = int
def f(x):
    U = A | str
    return isinstance(x, U), isinstance(x, (list, U))
>>> 1
!!! A = float

=== deep_tuple_of_classes | eager
T = int
for _ in range(40): T = (T,)
def f(x):
    return isinstance(x, T)
>>> 1

=== class_that_is_none | eager
class Fake:
    __bases__ = ()
fake = Fake()
def f(x):
    return isinstance(x, fake)
>>> 1
!!! fake.__bases__ = (int,)

=== caches_rebound
import functools
a, b = functools.lru_cache(lambda x: x + 1), functools.lru_cache(lambda x: x * 5)
def f(g):
    return g(2)
>>> a
>>> b

=== keys_by_value
import datetime
a, b = datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)
def f(k):
    return {datetime.date(2020, 1, 1): 1}.get(k), k in [datetime.date(2020, 1, 1)]
>>> a
>>> b

=== decimal_keys | eager
import decimal
def f(k):
    return {1: 2, 3: 4}.get(k), {k: 1}.get(1), len({k, 1})
>>> decimal.Decimal(1)
>>> decimal.Decimal(2)

=== methods_as_keys | eager
class C:
    def m(self): pass
c, d = C(), C()
x, y = c.m, d.m
def f(k):
    return {c.m: 1}.get(k), k == c.m
>>> x
>>> y
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_told(case):
    check(case)
