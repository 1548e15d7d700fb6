"""Layouts of new objects that stay eager, and why."""

import pytest

from oracle import cases, check, engine_compile

# What stays eager, and what the user is told.
REFUSED = cases(r"""
=== exception_with_cause | eager
def f(x):
    e = ValueError("bad")
    e.__cause__ = KeyError(x)
    return e
>>> 1

=== exception_raised | eager
def f(x):
    try:
        raise ValueError(x)
    except ValueError as e:
        return e
>>> 1

=== exception_raised_and_stored | eager
class C:
    pass
c = C()
def f(x):
    try:
        raise KeyError(x)
    except KeyError as e:
        c.error = e
>>> 1

=== exception_with_members | eager
def f(x):
    return OSError(2, "no")
>>> 1

=== stop_iteration | eager
def f(x):
    return StopIteration(x)
>>> 1

=== exception_group | eager
def f(x):
    return ExceptionGroup("m", [ValueError(x)])
>>> 1

=== property_object | eager
def g(s):
    return 1
def f(x):
    return property(g)
>>> 1

=== staticmethod_object | eager
def g(s):
    return 1
def f(x):
    return staticmethod(g)
>>> 1

=== classmethod_object | eager
def g(s):
    return 1
def f(x):
    return classmethod(g)
>>> 1

=== weakref_with_callback | eager
import weakref
class C:
    pass
c = C()
def seen(r):
    pass
def f(x):
    return weakref.ref(c, seen)
>>> 1

=== generator | eager
def f(x):
    return (y for y in [x])
>>> 1

=== dict_view | eager
def f(x):
    d = {"a": x}
    return d.keys()
>>> 1

=== itemgetter | eager
import operator
def f(x):
    return operator.itemgetter(x)
>>> 1

=== super_object | eager
class A:
    def g(self):
        return super()
def f(x):
    return A().g()
>>> 1

=== object_and_its_dict | eager
class C:
    pass
def f(x):
    c = C()
    c.a = x
    return c, c.__dict__
>>> 1

=== dict_and_its_object | eager
class C:
    pass
def f(x):
    c = C()
    c.a = x
    return c.__dict__, c
>>> 1

=== namespace_and_its_dict | eager
import types
def f(x):
    n = types.SimpleNamespace(a=x)
    return n, n.__dict__
>>> 1

=== key_with_own_hash | eager
log = []
class K:
    def __hash__(self):
        log.append(1)
        return 5
    def __eq__(self, other):
        return self is other
def f(x):
    d = {}
    d[K()] = x
    return d
>>> 1

=== set_of_own_hash | eager
from dataclasses import dataclass
@dataclass(frozen=True)
class K:
    n: int
def f(x):
    s = set()
    s.add(K(x))
    return s
>>> 1

=== partial_of_external_partial | eager
import functools
def g(*args):
    return args
p = functools.partial(g, 1)
def f(x):
    return functools.partial(p, x)()
>>> 1
!!! p = functools.partial(g, 2)

=== array_read | eager
import array
a = array.array("i", [1, 2])
def f(x):
    return list(a)
>>> 1
!!! a[0] = 7

=== array_summed | eager
import array
class A(array.array):
    pass
a = A("i", [1, 2])
def f(x):
    return sum(a)
>>> 1
!!! a[0] = 7

=== raised_again | eager
error = ValueError("x")
def f(x):
    try:
        raise error
    except ValueError as e:
        return e is error
>>> 1

=== attribute_name_of_a_subclass | eager
class S(str):
    pass
class C:
    pass
def f(x):
    c = C()
    c.__dict__[S("k")] = x
    return c
>>> 1

=== attribute_name_that_is_no_text | eager
class C:
    pass
def f(x):
    c = C()
    c.__dict__[5] = x
    return c
>>> 1

=== array_made | eager
import array
def f(x):
    return array.array("i", [x])
>>> 1

=== date_made | eager
import datetime
def f(x):
    return datetime.timedelta(days=x)
>>> 1

=== decimal_made | eager
from decimal import Decimal
def f(x):
    return Decimal(x)
>>> 1
""")

WHY = {
    "exception_with_cause": "output: a new ValueError with a cause",
    "exception_raised": "output: a ValueError that was raised",
    "exception_raised_and_stored": "output: a KeyError that was raised",
    "exception_with_members": "output: a new FileNotFoundError",
    "stop_iteration": "output: a new StopIteration",
    "exception_group": "output: a new ExceptionGroup",
    "property_object": "output: a new property",
    "staticmethod_object": "output: a new staticmethod",
    "classmethod_object": "output: a new classmethod",
    "weakref_with_callback": "output: a new weakref.ReferenceType",
    "generator": "output: a new generator",
    "dict_view": "output: a new dict_keys",
    "itemgetter": "output: a new operator.itemgetter",
    "super_object": "output: a new super",
    "object_and_its_dict": "output: a new object and its __dict__",
    "dict_and_its_object": "output: a new C and its __dict__",
    "namespace_and_its_dict": "output: a new object and its __dict__",
    "key_with_own_hash": "user-hash: a new dict holds a key of type K",
    "set_of_own_hash": "user-hash: a new set holds a key of type K",
    "partial_of_external_partial": "opaque-type: a partial of an external",
    "array_read": "opaque-type: an argument of type array.array",
    "array_summed": "opaque-type: ",
    "raised_again": "mutation: an external ValueError is raised",
    "attribute_name_of_a_subclass": "output: a new C with a S in its __dict__",
    "attribute_name_that_is_no_text": "output: a new C with a int in its __dict__",
    "array_made": "opaque-call: class array.array",
    "date_made": "output: a new datetime.timedelta",
    "decimal_made": "opaque-call: class decimal.Decimal",
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refused(case):
    """Equal to eager, with a reason that names the type."""
    check(case)
    world = case.build()
    fast = engine_compile(world.fn)
    fast(1)
    place = fast.stats()["places"][0]
    assert f"{place['reason']}: {place['detail']}".startswith(WHY[case.name])
