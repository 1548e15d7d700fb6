"""Attributes: instance dicts, classes, slots, descriptors, look-up hooks, super."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== instance_read
class C:
    pass
obj = C()
obj.n = 1
def f():
    return obj.n + 1
!!! obj.n = 2
!!! obj.n = 2.0
!!! obj.__dict__["n"] = 7
!!! obj.__dict__ = {"n": 8}

=== instance_read_argument
class C:
    def __init__(self, n):
        self.n = n
def f(o):
    return o.n + 1
>>> C(1)
>>> C(2)

=== instance_written
class C:
    pass
obj = C()
def f(x):
    obj.last = x
    return obj
>>> 1
>>> [2]
!!! obj.last = None

=== instance_read_then_written
class C:
    pass
obj = C()
obj.n = 0
def f():
    obj.n = (obj.n + 1) % 2
    return obj.n
>>>
>>>

=== instance_two_writes_last_wins
class C:
    pass
obj = C()
def f(x):
    obj.a = x
    obj.b = obj.a
    obj.a = [x]
    return obj.a, obj.b
>>> 5

=== instance_deleted
class C:
    pass
def f(o):
    del o.n
    return hasattr(o, "n"), o
>>> (o := C(), setattr(o, "n", 1))[0]

=== instance_delete_and_set_again_moves_key
class C:
    def __init__(self):
        self.a = 1
        self.b = 2
def f(o):
    a = o.a
    del o.a
    o.a = a
    return list(vars(o))
>>> C()

=== delete_missing
class C:
    pass
obj = C()
def f():
    try:
        del obj.n
    except AttributeError:
        return "none"
    return "gone"

=== missing_attribute
class C:
    pass
obj = C()
def f():
    try:
        return obj.n
    except AttributeError:
        return -1
!!! obj.n = 3
!!! del obj.n
!!! C.n = 4

=== missing_attribute_raises | eager
class C:
    pass
obj = C()
def f():
    return obj.n

=== class_attribute
class C:
    n = 1
obj = C()
def f():
    return obj.n
!!! C.n = 2
!!! obj.n = 3
!!! del obj.n

=== class_attribute_inherited
class A:
    n = 1
class B(A):
    pass
obj = B()
def f():
    return obj.n, B.n
!!! A.n = 2
!!! B.n = 3
!!! del B.n
!!! B.__bases__ = (type("Z", (), {"n": 9}),)

=== class_attribute_written
class C:
    last = None
def f(x):
    C.last = x
    return C().last
>>> 1
>>> 2

=== class_attribute_mutable
class C:
    seen = []
def f(x):
    C.seen.append(x)
    return x
>>> 1

=== class_changed
class A:
    def who(self):
        return "A"
class B:
    def who(self):
        return "B"
obj = A()
def f():
    return obj.who(), type(obj).__name__
!!! obj.__class__ = B

=== class_of_argument
class A:
    k = 1
class B(A):
    k = 2
def f(o):
    return o.k, isinstance(o, B)
>>> A()
>>> B()

=== method_replaced_on_class
class C:
    def m(self):
        return 1
obj = C()
def f():
    return obj.m()
!!! C.m = lambda self: 2
!!! obj.m = lambda: 3
!!! del obj.m

=== method_code_replaced
class C:
    def m(self):
        return 1
def other(self):
    return 2
obj = C()
def f():
    return obj.m()
!!! C.m.__code__ = other.__code__

=== method_default_changed
class C:
    def m(self, n=1):
        return n
obj = C()
def f():
    return obj.m()
!!! C.m.__defaults__ = (5,)

=== slots
class P:
    __slots__ = ("x", "y")
    def __init__(self, x, y):
        self.x = x
        self.y = y
p = P(1, [2])
def f():
    return p.x, p.y
!!! p.x = 10
!!! p.y.append(3)
!!! p.y = []

=== slots_written
class P:
    __slots__ = ("x",)
p = P()
def f(v):
    p.x = v
    return p.x, p
>>> 1
>>> [2]

=== slots_empty
class P:
    __slots__ = ("x",)
p = P()
def f():
    return hasattr(p, "x")
!!! p.x = 1
!!! del p.x

=== slots_deleted
class P:
    __slots__ = ("x",)
    def __init__(self):
        self.x = 5
def f(o):
    x = o.x
    del o.x
    return x, o
>>> P()

=== slots_and_dict
class A:
    __slots__ = ("x",)
class B(A):
    pass
def f(v):
    b = B()
    b.x = v
    b.y = [v]
    return b
>>> 1

=== property_read
class C:
    def __init__(self):
        self.raw = 2
    @property
    def double(self):
        return self.raw * 2
obj = C()
def f():
    return obj.double
!!! obj.raw = 5
!!! C.double = property(lambda self: -1)

=== property_written
class C:
    raw = 0
    @property
    def v(self):
        return self.raw
    @v.setter
    def v(self, x):
        self.raw = x + 1
    @v.deleter
    def v(self):
        self.raw = -1
def f(o, x):
    o.v = x
    a = o.v
    del o.v
    return a, o.v, o
>>> C(), 4

=== property_that_caches
class C:
    def __init__(self):
        self._big = None
    @property
    def big(self):
        if self._big is None:
            self._big = [1, 2, 3]
        return self._big
obj = C()
def f():
    return obj.big, len(obj.big)
!!! obj._big = None

=== property_without_setter
class C:
    @property
    def v(self):
        return 1
obj = C()
def f():
    try:
        obj.v = 2
    except AttributeError:
        return "read-only"

=== property_that_raises
class C:
    @property
    def v(self):
        raise AttributeError("inner")
    def __getattr__(self, name):
        return "fallback " + name
obj = C()
def f():
    return obj.v

=== cached_property
import functools
class C:
    @functools.cached_property
    def v(self):
        return [1]
obj = C()
def f():
    return obj.v, obj.v is obj.v
!!! del obj.v

=== getattr_hook
class C:
    def __init__(self):
        self.data = {"a": 1}
    def __getattr__(self, name):
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(name) from None
obj = C()
def f():
    return obj.a, hasattr(obj, "b")
!!! obj.data["a"] = 2
!!! obj.data["b"] = 3
!!! obj.a = 4

=== getattribute_hook
class C:
    def __init__(self):
        self.n = 1
    def __getattribute__(self, name):
        v = object.__getattribute__(self, name)
        return v + 100 if name == "n" else v
obj = C()
def f():
    return obj.n
!!! obj.n = 5

=== setattr_hook
class C:
    def __setattr__(self, name, value):
        object.__setattr__(self, name, [value])
def f(o, v):
    o.x = v
    return o.x, o
>>> C(), 3

=== only_one_hook
class Stores:
    def __init__(self): self.made = 1
    def __setattr__(self, name, value): object.__setattr__(self, name.lower(), value)
class Drops:
    def __delattr__(self, name): object.__delattr__(self, name.lower())
a, b = Stores(), Drops()
def f(x):
    a.Size = x
    setattr(a, "Other", x + 1)
    del a.size
    b.kept, b.gone = x, x
    del b.GONE
    return vars(a), vars(b)
>>> 1
!!! a.made = 5
!!! b.more = 2

=== setattr_hook_dict
class C:
    def __setattr__(self, name, value):
        self.__dict__[name] = value * 2
def f(o, v):
    o.x = v
    return o.x, o
>>> C(), 3

=== delattr_hook
class C:
    log = ()
    def __delattr__(self, name):
        C.log = (name,)
def f(o):
    del o.anything
    return C.log
>>> C()

=== nn_module_like_registry
class Module:
    def __init__(self):
        object.__setattr__(self, "_parts", {})
    def __getattr__(self, name):
        parts = self.__dict__["_parts"]
        if name in parts:
            return parts[name]
        raise AttributeError(name)
    def __setattr__(self, name, value):
        if isinstance(value, Module):
            self._parts[name] = value
        else:
            object.__setattr__(self, name, value)
    def __call__(self, x):
        return self.forward(x)
class Add(Module):
    def __init__(self, n):
        super().__init__()
        self.n = n
    def forward(self, x):
        return x + self.n
class Net(Module):
    def __init__(self):
        super().__init__()
        self.a = Add(1)
        self.b = Add(10)
    def forward(self, x):
        return self.b(self.a(x))
net = Net()
def f(x):
    return net(x)
>>> 5
!!! net.a = Add(2)
!!! net.b.n = 20
!!! net._parts["a"] = Add(3)
!!! net.a = 1 and Add(4); net.forward = lambda x: -x
!!! Module.__call__ = lambda self, x: self.forward(x) + 1000

=== data_descriptor
class Field:
    def __set_name__(self, owner, name):
        self.name = "_" + name
    def __get__(self, obj, owner=None):
        return self if obj is None else getattr(obj, self.name, 0)
    def __set__(self, obj, value):
        setattr(obj, self.name, value + 1)
class C:
    n = Field()
def f(o, v):
    before = o.n
    o.n = v
    return before, o.n, o
>>> C(), 4

=== non_data_descriptor
class Const:
    def __init__(self, v):
        self.v = v
    def __get__(self, obj, owner=None):
        return self.v
class C:
    n = Const(3)
obj = C()
def f():
    return obj.n, C.n
!!! obj.n = 4
!!! del obj.n; C.__dict__["n"].v = 8

=== super_chain
class A:
    def m(self, x):
        return x + 1
class B(A):
    def m(self, x):
        return super().m(x) * 2
class C(B):
    def m(self, x):
        return super().m(x) - 3
obj = C()
def f(x):
    return obj.m(x)
>>> 5
!!! A.m = lambda self, x: x
!!! del B.m

=== super_diamond
class A:
    def m(self):
        return ["A"]
class B(A):
    def m(self):
        return ["B"] + super().m()
class C(A):
    def m(self):
        return ["C"] + super().m()
class D(B, C):
    def m(self):
        return ["D"] + super().m()
obj = D()
def f():
    return obj.m()
!!! C.m = lambda self: ["new"]

=== super_two_arguments
class A:
    n = 1
    def m(self):
        return self.n
class B(A):
    n = 2
    def m(self):
        return -1
obj = B()
def f():
    return super(B, obj).m()
!!! obj.n = 3

=== super_attribute_and_init
class A:
    def __init__(self, n):
        self.n = n
class B(A):
    def __init__(self, n):
        super().__init__(n + 1)
        self.m = n
def f(x):
    return B(x)
>>> 1

=== metaclass_attribute
class Meta(type):
    level = 1
    @property
    def twice(cls):
        return cls.level * 2
class C(metaclass=Meta):
    pass
def f():
    return C.level, C.twice
!!! Meta.level = 2
!!! C.level = 5

=== metaclass_call
class Meta(type):
    def __call__(cls, x):
        o = super().__call__()
        o.x = x
        return o
class C(metaclass=Meta):
    pass
def f(x):
    return C(x)
>>> 1

=== classmethod_and_staticmethod
class C:
    n = 1
    @classmethod
    def a(cls, x):
        return cls.n + x
    @staticmethod
    def b(x):
        return x * 2
obj = C()
def f(x):
    return obj.a(x), C.a(x), obj.b(x), C.b(x)
>>> 3
!!! C.n = 2
!!! C.b = staticmethod(lambda x: 0)

=== dict_access
class C:
    pass
obj = C()
obj.a = 1
def f():
    return obj.__dict__["a"], "b" in obj.__dict__, len(obj.__dict__)
!!! obj.a = 2
!!! obj.b = 3

=== dict_written_read_by_attribute
class C:
    pass
def f(o, x):
    o.__dict__["a"] = x
    y = o.a
    o.b = [y]
    return o.__dict__["b"], o
>>> C(), 1

=== dict_update
class C:
    pass
def f(o, d):
    o.__dict__.update(d)
    return o.a + o.b
>>> C(), {"a": 1, "b": 2}

=== dict_replaced_inside | eager
class C:
    pass
def f(o, d):
    o.__dict__ = d
    return o.a, o
>>> C(), {"a": 1}

=== vars_of_object
class C:
    def __init__(self):
        self.a = 1
        self.b = 2
obj = C()
def f():
    return {k: v * 2 for k, v in vars(obj).items()}
!!! obj.a = 5
!!! obj.c = 6
!!! del obj.a; obj.a = 5

=== getattr_by_name
class C:
    a = 1
    b = 2
obj = C()
def f(name):
    return getattr(obj, name), getattr(obj, name + "x", None)
>>> "a"
>>> "b"
!!! obj.a = 10
!!! obj.ax = 11

=== setattr_by_name
class C:
    pass
def f(o, name, v):
    setattr(o, name, v)
    return getattr(o, name), o
>>> C(), "x", [1]
>>> C(), "y", 2

=== delattr_by_name
class C:
    def __init__(self):
        self.x = 1
def f(o):
    delattr(o, "x")
    return hasattr(o, "x"), o
>>> C()

=== hasattr_learns_absence
class C:
    pass
obj = C()
def f():
    if hasattr(obj, "bias"):
        return obj.bias
    return "none"
!!! obj.bias = 1
!!! del obj.bias

=== attribute_is_none
class C:
    pass
obj = C()
obj.bn = None
def f(x):
    if obj.bn is not None:
        x = obj.bn(x)
    return x
>>> 1
!!! obj.bn = lambda x: -x
!!! obj.bn = None

=== attribute_chain
class C:
    pass
a = C()
a.b = C()
a.b.c = C()
a.b.c.n = 1
def f():
    return a.b.c.n
!!! a.b.c.n = 2
!!! a.b = C(); a.b.c = C(); a.b.c.n = 3

=== sibling_objects_swapped
class C:
    def __init__(self, n):
        self.n = n
class Pair:
    pass
p = Pair()
p.x, p.y = C(1), C(2)
def f():
    return p.x.n - p.y.n, p.x is p.y
!!! p.x, p.y = p.y, p.x
!!! p.x = p.y

=== int_becomes_bool
class C:
    pass
obj = C()
obj.flag = 1
def f():
    return obj.flag, obj.flag is True
!!! obj.flag = True
!!! obj.flag = 1.0
!!! obj.flag = 1

=== list_of_modules_by_name
class Layer:
    def __init__(self, n):
        self.n = n
    def __call__(self, x):
        return x + self.n
class Net:
    def __init__(self):
        self.names = []
        for i in range(3):
            setattr(self, f"layer{i}", Layer(i))
            self.names.append(f"layer{i}")
    def run(self, x):
        for name in self.names:
            x = getattr(self, name)(x)
        return x
net = Net()
def f(x):
    return net.run(x)
>>> 1
!!! net.names.pop()
!!! net.layer0 = Layer(100)
!!! net.layer1.n = 50

=== instance_without_attributes_reread
class C:
    def __init__(self):
        self.a = 1
        self.b = 2
def f(o):
    for name in list(o.__dict__):
        if name == "a":
            del o.__dict__[name]
    return o
>>> C()

=== type_attributes
class C:
    "doc"
obj = C()
def f():
    return type(obj).__name__, obj.__class__ is C, C.__doc__, C.__mro__[1], C.__bases__
!!! C.__name__ = "D"

=== bound_method_stored
class C:
    def __init__(self, n):
        self.n = n
        self.fn = self.m
    def m(self):
        return self.n
obj = C(1)
def f():
    return obj.fn()
!!! obj.n = 2
!!! obj.fn = C(7).m

=== bound_method_identity
class C:
    def m(self):
        return 1
obj = C()
def f():
    a = obj.m
    b = obj.m
    return a == b, a is b, a.__self__ is obj, a.__func__ is C.m

=== missing_attribute_of_a_module_is_deleted
import types
mod = types.ModuleType("mod")
def f():
    try:
        del mod.zz
    except AttributeError as e:
        return e.args
>>>
!!! mod.__class__ = type("M", (types.ModuleType,), {})
!!! mod.zz = 1
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_attributes(case):
    check(case)
