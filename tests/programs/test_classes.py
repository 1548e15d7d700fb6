"""Classes that the run makes: `class` statements, calls of type, metaclasses, hooks."""

import gc
import weakref

import pytest

from oracle import cases, check, engine_compile

CASES = cases(r"""
=== subclasses_of_a_class
class A: pass
class B(A): name = "b"
def f(x):
    found = A.__subclasses__()
    names = []
    while found:
        c = found.pop()
        found += c.__subclasses__()
        names.append(c.name)
    return names, x
>>> 1
!!! class C(B): name = "c"
!!! C.name = "other"
!!! class D(A): name = "d"

=== subclasses_as_a_function
class A: pass
class B(A): pass
def f(): return type.__subclasses__(A) == [B], A.__subclasses__()
>>>
!!! class C(A): pass

=== properties_of_a_subclass
class P(property):
    def __init__(self, *args, tag):
        super().__init__(*args)
        self.tag = tag
def put(self, x): self.x = x
class C:
    x = 1
    p = P(lambda self: self.x + 1, put, tag="t")
    q = P(None, tag="u")
c = C()
def f(x):
    c.p = x
    try:
        c.q
    except AttributeError as e:
        return c.p, C.p.tag, str(e)
>>> 1
!!! C.p.tag = "v"
!!! C.p = P(lambda self: -self.x, put, tag="w")
!!! P.__get__ = lambda self, obj, cls=None: "got" if obj else self
!!! del P.__get__

=== metaclasses_that_make_instances
made = []
class Counted(type):
    def __call__(cls, *args, **kwargs):
        obj = super().__call__(*args, **kwargs)
        made.append(cls.__name__)
        return obj
class Plain(type):
    def __call__(cls, *args):
        return type.__call__(cls, *args)
class Single(type):
    kept = {}
    def __call__(cls, *args):
        if cls not in cls.kept:
            cls.kept[cls] = super(Single, cls).__call__(*args)
        return cls.kept[cls]
class A(metaclass=Counted):
    def __init__(self, a, b=2): self.a, self.b = a, b
class B(metaclass=Plain):
    def __new__(cls, a):
        self = super().__new__(cls)
        self.a = a
        return self
class C(metaclass=Single):
    def __init__(self, a): self.a = a
def f(x):
    a, b, c = A(x, b=x), B(x), C(x)
    return a.a, a.b, b.a, c is C(x), c.a, type.__call__(A, x).a, len(made)
>>> 1
!!! Single.kept.clear()
!!! A.__init__ = lambda self, a, b=0: setattr(self, "a", 5) or setattr(self, "b", b)
!!! Counted.__call__ = lambda cls, *args, **kwargs: type.__call__(cls, 7)
!!! Plain.__call__ = lambda cls, a: C(3)

=== methods_of_c_types_that_are_bound
plain = object.__setattr__.__get__
class Frozen:
    __slots__ = ("a", "b")
    def __init__(self, a, b):
        put = plain(self)
        put("a", a)
        object.__setattr__.__get__(self)("b", b)
    def __setattr__(self, name, value): raise TypeError(name)
def f(x, items):
    frozen = Frozen(x, 2)
    list.append.__get__(items)(x)
    return frozen.a, frozen.b, items, str.upper.__get__("a")(), frozen
>>> 1, [3]
!!! plain = lambda obj: lambda name, value: object.__setattr__(obj, name, 0)
!!! class Frozen: __init__ = lambda self, a, b: None; a = b = 4

=== properties_made_in_a_run
class Lazy:
    def __init__(self, wrapped): self.wrapped = wrapped
    def __get__(self, obj, cls=None):
        return Both(self.wrapped) if obj is None else self.wrapped(obj)
class Both(Lazy, property):
    def __init__(self, wrapped): property.__init__(self, wrapped)
class C:
    @Lazy
    def value(self):
        "doc"
        return self.x
def f(x):
    c = C()
    c.x = x
    p, q = C.value, property(C)
    return c.value, isinstance(p, property), isinstance(p, Lazy), p.fget(c), q.fget is C
>>> 1
!!! C.__dict__["value"].wrapped = lambda self: -self.x

=== class_statement
def f(x):
    class A:
        y: int = 2
        z = y + 1
        def __init__(self, v):
            self.v = v
        def get(self):
            return self.v + self.z
    return A(x).get(), A.y, A.__name__, A.__qualname__, A.__module__
>>> 1
>>> 2.5

=== class_body_reads_a_global
scale = 3
def f(x):
    class A:
        y = scale * 2
    return A.y + x
>>> 1
!!! scale = 4

=== class_body_name_hides_a_global
scale = 3
def f(x):
    class A:
        first = scale
        scale = 5
        second = scale
        del scale
        third = scale
    return A.first, A.second, A.third, x
>>> 1
!!! scale = 4

=== class_body_reads_a_cell
def make(n):
    def f(x):
        k = x
        class A:
            y = n + k
            m = 7
            z = y * 2
        return A.y, A.z, A.m
    return f
f = make(2)
>>> 1
!!! f = f
!!! f.__closure__[0].cell_contents = 5

=== class_body_writes_a_global
count = 0
def f(x):
    class A:
        global count
        count = x
    return count
>>> 1
>>> 2

=== base_that_existed
class Base:
    tag = 1
    def hi(self):
        return self.tag
def f():
    class A(Base):
        def hi(self):
            return super().hi() + 1
    return A().hi(), A.tag, isinstance(A(), Base), issubclass(A, Base)
!!! Base.tag = 5
!!! Base.hi = lambda self: 100

=== base_gets_an_attribute_later
class Base:
    pass
def f():
    class A(Base):
        pass
    return getattr(A, "x", None), getattr(A(), "x", None), hasattr(A, "__len__")
!!! Base.x = 1
!!! Base.__len__ = lambda self: 3

=== first_of_two_bases_gets_the_method
class P:
    pass
class Q:
    def get(self):
        return "Q"
def f():
    class A(P, Q):
        pass
    return A().get(), A.get(A())
!!! P.get = lambda self: "P"

=== super_behind_two_bases
class P:
    pass
class Q:
    def get(self):
        return "Q"
def f():
    class A(P, Q):
        def get(self):
            return "A" + super().get()
    return A().get()
!!! P.get = lambda self: "P"
!!! Q.get = lambda self: "other"

=== bases_of_the_base_change
class P:
    x = 1
class Q:
    x = 2
class Base(P):
    pass
def f():
    class A(Base):
        pass
    return A.x, A().x
!!! Base.__bases__ = (Q,)

=== hook_of_the_base
class Base:
    def __init_subclass__(cls, v=0):
        cls.v = v * scale
scale = 2
def f(x):
    class A(Base, v=x):
        pass
    return A.v
>>> 3
!!! scale = 4
!!! Base.__init_subclass__ = classmethod(lambda cls, v: setattr(cls, "v", -v))

=== hook_that_appears
class Base:
    pass
def f():
    class A(Base):
        x = 1
    return A.x
!!! Base.__init_subclass__ = classmethod(lambda cls: setattr(cls, "x", 9))

=== hook_that_keeps_the_class | eager
kept = []
class Base:
    def __init_subclass__(cls):
        kept.append(cls.__name__)
        kept.append(cls)
def f():
    class A(Base):
        pass
    return len(kept)

=== hook_that_keeps_the_name
kept = []
class Base:
    def __init_subclass__(cls):
        kept[:] = [cls.__name__]
def f():
    class A(Base):
        pass
    return kept[0]

=== set_name
class Named:
    def __set_name__(self, owner, name):
        self.name = owner.__name__ + "." + name
    def __get__(self, obj, cls=None):
        return self.name, obj is None
def f():
    class A:
        d = Named()
        e = property(lambda self: 3)
    return A.d, A().d, A().e
!!! Named.__set_name__ = lambda self, owner, name: setattr(self, "name", name * 2)

=== set_name_writes_outside
order = []
class Named:
    def __set_name__(self, owner, name):
        order.append(name)
def f():
    del order[:]
    class A:
        p = Named()
        q = Named()
    return list(order)

=== metaclass
class Meta(type):
    def __new__(mcs, name, bases, names, **kw):
        names["extra"] = 5
        return super().__new__(mcs, name, bases, names)
    def __init__(cls, name, bases, names, k=0):
        cls.k = k
        super().__init__(name, bases, names)
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.by_meta = cls.k
        return made
def f(x):
    class A(metaclass=Meta, k=x):
        pass
    return A.extra, A.k, A().by_meta, type(A).__name__
>>> 3
!!! Meta.__call__ = lambda cls, *a: type("Other", (), {"by_meta": 8})()

=== metaclass_of_a_base
weight = 1
class Meta(type):
    def __init__(cls, *args):
        cls.counted = weight
class Base(metaclass=Meta):
    pass
def f():
    class A(Base):
        pass
    return A.counted, type(A) is Meta
!!! weight = 2
!!! Meta.__init__ = lambda cls, *args: setattr(cls, "counted", "none")

=== metaclass_prepares_the_names
class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases):
        return {"given": start}
start = 1
def f():
    class A(metaclass=Meta):
        more = given + 1
    return A.given, A.more
!!! start = 5

=== metaclass_answers_with_something_else
class Meta(type):
    def __new__(mcs, name, bases, names):
        return (name, len(bases))
def f():
    class A(metaclass=Meta):
        pass
    return A

=== metaclass_conflict
class M(type):
    pass
class N(type):
    pass
class P(metaclass=M):
    pass
class Q(metaclass=N):
    pass
def f():
    try:
        class A(P, Q):
            pass
    except TypeError as error:
        return str(error)[:18]

=== call_of_type
class Base:
    y = 1
def f(x):
    A = type("A", (Base,), {"x": x, "get": lambda self: (self.x, self.y)})
    return A().get(), A.__name__, A.__bases__ == (Base,)
>>> 1
!!! Base.y = 2

=== call_of_type_on_external_names
names = {"x": 1}
def f():
    return type("A", (), names).x
!!! names["x"] = 2
!!! names["x"] = [3]

=== names_that_are_no_strings | eager
class Key:
    def __hash__(self):
        return hash("x")
    def __eq__(self, other):
        seen.append(type(other).__name__)
        return False
seen = []
def f():
    A = type("A", (), {Key(): 1})
    return hasattr(A, "x"), len(seen)

=== slots_and_descriptors
def f(x):
    class A:
        __slots__ = ("q", "r")
        @property
        def w(self):
            return self.q
        @w.setter
        def w(self, v):
            self.q = v * 2
        @staticmethod
        def s(v):
            return v
        @classmethod
        def c(cls):
            return cls.__name__
    a = A()
    a.w = x
    return a.w, A.s(3), a.s(4), A.c(), a.c(), hasattr(a, "r")
>>> 2

=== slots_in_an_external_list
slots = ["q", "r"]
def f():
    class A:
        __slots__ = slots
    return hasattr(A, "q"), hasattr(A, "s")
!!! slots[0] = "s"
!!! slots.append("q")

=== metaclass_of_a_base_is_replaced
class Meta(type):
    def __init__(cls, *args):
        cls.by = "Meta"
class Other(Meta):
    def __init__(cls, *args):
        cls.by = "Other"
class Base(metaclass=Meta):
    pass
def f():
    class A(Base):
        pass
    return A.by, A().by
!!! Base.__class__ = Other

=== classes_made_by_c_code | eager
def f():
    return next(map(type, ["A"], [()], [{}]))

=== classes_made_by_starmap | eager
import itertools
def f():
    return [*itertools.starmap(type, [("A", (), {})])]

=== type_of_each | eager
def f(*args):
    return list(map(type, args))
>>> 1, "a", None

=== special_methods
def f():
    class A:
        def __eq__(self, other):
            return other == 1
        def __add__(self, other):
            return other + 3
        def __len__(self):
            return 2
        def __bool__(self):
            return False
        def __getitem__(self, i):
            return -i
        def __iter__(self):
            return iter((1, 2))
        def __enter__(self):
            return self
        def __exit__(self, *error):
            return True
        def __call__(self, x):
            return x
        def __getattr__(self, name):
            return name
    a = A()
    with a as b:
        raise ValueError
    return a == 1, a + 1, len(a), bool(a), a[3], [*a], a(5), a.other, a is b

=== exception_class
def f(x):
    class Oops(ValueError):
        def __str__(self):
            return "oops " + str(self.args[0])
    try:
        if x:
            raise Oops(x)
    except ValueError as error:
        return str(error), isinstance(error, Oops)
>>> 0
>>> 7

=== subclass_of_a_new_class
def f():
    class A:
        def get(self):
            return [type(self).__name__]
    class B(A):
        def get(self):
            return super().get() + [__class__ is B]
    class C(B):
        pass
    return C().get(), C.__mro__[1] is B, issubclass(C, A)

=== subclass_of_a_container
def f(x):
    class L(list):
        def total(self):
            return sum(self)
    class D(dict):
        def __missing__(self, key):
            return key * 2
    a = L([x, 2])
    a.append(3)
    return a.total(), len(a), D(k=1)["k"], D()["no"]
>>> 1

=== attributes_set_later
def f(x):
    class A:
        pass
    A.x = x
    A.get = lambda self: self.x
    del A.x
    A.x = x + 1
    return A().get(), "x" in A.__dict__
>>> 1

=== private_names_and_annotations
def f():
    class A:
        __x = 1
        y: "text" = 2
        z: float
        def get(self):
            return self.__x
    return A().get(), A._A__x, A.__annotations__

=== raises_in_the_body
def f(x):
    try:
        class A:
            y = 1 // x
    except ZeroDivisionError:
        return "no"
    return A.y
>>> 1
>>> 0

=== function_of_a_body_escapes
def f(x):
    class A:
        def get(self):
            return x
    return A.get
>>> 1

=== new_class_is_returned | eager
def f():
    class A:
        x = 1
    return A

=== new_instance_is_returned | eager
def f(x):
    class A:
        pass
    a = A()
    a.x = x
    return a
>>> 1

=== new_instance_is_stored | eager
kept = []
def f(x):
    class A(int):
        pass
    kept[:] = [A(x)]
    return kept[0] + 1
>>> 1

=== new_class_in_a_closure | eager
def f():
    class A:
        def me(self):
            return __class__.__name__
    return A.me

=== new_class_as_a_key | eager
kept = {}
def f():
    class A:
        pass
    kept[A] = 1
    return len(kept)

=== same_class_is_another_one_each_time | eager
kept = []
def f():
    class A:
        pass
    kept.append(A)
    return all(c is not A for c in kept[:-1])

=== iteration_over_an_enum
import enum
class Color(enum.Enum):
    red = 1
    blue = 2
def f():
    return list(Color), [c.value for c in Color], len(Color)

=== match_args_that_are_no_strings
class A:
    __match_args__ = (None,)
def f():
    try:
        match A():
            case A(x):
                return x
    except TypeError as error:
        return type(error).__name__

=== exceptions_under_test
import unittest
case = unittest.TestCase()
def f(x):
    with case.assertRaises(ValueError) as caught:
        raise ValueError(x)
    return str(caught.exception)
>>> 1
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_classes(case):
    check(case)


def test_a_class_that_the_run_drops_is_garbage():
    """A hit never makes it; eager mode leaves it to the next collection."""

    class Base:
        refs: list[weakref.ref] = []

    def f(x):
        class C(Base):
            value = x

        return C.value + 1

    def g(x):
        Base.refs.append(weakref.ref(type("C", (Base,), {"value": x})))
        return x + 1

    for function in (f, g):
        fast = engine_compile(function)
        for number in range(6):
            for each in (function, fast):
                assert each(1) == 2
                gc.collect()
                assert Base.__subclasses__() == [], number
        assert fast.stats()["hits"] >= 4 or function is g
    assert len(Base.refs) == 12 and not any(ref() for ref in Base.refs)
