"""State in every place where Python keeps some, read, changed by the caller, and written.

One program or more for each item of the list in docs/internals/soundness-list.md that no
program of a neighbour shows by itself.
"""

import traceback

import pytest

from oracle import cases, check, engine_compile

CASES = cases(r"""
=== metaclass_attribute_appears
class M(type):
    pass
class C(metaclass=M):
    x = 1
def f():
    return C.x, getattr(C, "y", 0)
!!! M.y = 5
!!! M.x = property(lambda cls: 77)
!!! del M.x
!!! C.y = 6

=== metaclass_call_replaced
class M(type):
    pass
class C(metaclass=M):
    def __init__(self, n):
        self.n = n
def f(x):
    return C(x).n
>>> 3
!!! M.__call__ = lambda cls, n: type("Q", (), {"n": 99})

=== getattr_appears
class C:
    pass
c = C()
def f():
    return getattr(c, "x", 1)
!!! C.__getattr__ = lambda self, n: 5
!!! C.__getattribute__ = lambda self, n: 6
??? del C.__getattribute__
!!! del C.__getattr__

=== missing_replaced
class D(dict):
    def __missing__(self, k):
        return k * 2
d = D()
def f(x):
    return d[x]
>>> 3
!!! D.__missing__ = lambda self, k: "m"
??? d[3] = 5
!!! del d[3]

=== dict_mutated_from_outside
class C:
    pass
c = C()
c.a = 1
def f():
    return c.a, hasattr(c, "b"), list(vars(c))
!!! vars(c)["a"] = 2
!!! vars(c)["b"] = 2
!!! vars(c).clear(); c.b = 1; c.a = 0
!!! object.__setattr__(c, "a", 7)
!!! c.__dict__.update(a=8)

=== default_argument_mutated_inside | eager
def f(x, seen=[]):
    seen.append(x)
    return len(seen), seen
>>> 1
!!! f.__defaults__[0].clear()
!!! f.__defaults__ = ([9],)

=== function_globals_mutated
def g():
    return K
K = 1
def f():
    return g()
!!! g.__globals__["K"] = 2
!!! globals().update(K=3)

=== closure_cell_shared_and_set_from_outside
def make():
    n = 0
    def put(v):
        nonlocal n
        n = v
    def get():
        return n
    return put, get
put, get = make()
def f(v):
    old = get()
    put(v)
    return old * 0, get()
>>> 3
!!! get.__closure__[0].cell_contents = 10
!!! put = lambda v: None

=== two_inputs_that_stop_being_one
def f(a, b):
    a.append(1)
    return len(b), a is b
>>> [1], [2]
>>> *[[1]] * 2

=== one_object_by_two_paths
class C: pass
r = C(); r.a = r.b = C(); r.a.v = 1
def f(x):
    r.a.v = x
    return r.b.v
>>> 3
!!! r.b = C(); r.b.v = 5
!!! r.a = r.b

=== counters_and_orders
import collections
c = collections.Counter("abca")
d = collections.defaultdict(list, {"x": [1]})
def f():
    return c.most_common(1), list(d), d["x"], c["zz"]
!!! c["b"] += 5
!!! d["x"].append(2)
!!! d["a"]

=== iteration_order_of_kwargs
def f(**kw):
    return list(kw), kw
>>> a=1, b=2
>>> b=2, a=1

=== enum_identity_and_value
import enum
class E(enum.Enum):
    A = 1
    B = 2
class C: pass
c = C(); c.e = E.A
def f():
    return c.e is E.A, c.e == E.B, c.e.value, {E.A: 1, E.B: 2}[c.e]
!!! c.e = E.B

=== int_enum_and_int
import enum
class E(enum.IntEnum):
    A = 1
class C: pass
c = C(); c.e = E.A
def f():
    return c.e, c.e == 1, c.e + 1, type(c.e).__name__, [5, 6][c.e]
!!! c.e = 1
!!! c.e = True

=== negative_zero_in_places
class C: pass
c = C(); c.z = 0.0
def f():
    return c.z, str(c.z), 1 if c.z else 2, [c.z], -c.z, complex(0, c.z)
!!! c.z = -0.0
!!! c.z = 0

=== key_objects_and_order_kept
class K:
    pass
a, b = K(), K()
d = {a: 1}
def f():
    d[b] = 2
    d[a] = 3
    return list(d)
!!! d.clear()
!!! d.clear(); d[b] = 0; d[a] = 0

=== written_key_keeps_its_object
d = {1: "a"}
def f():
    d[True] = "b"
    d[1.0] = "c"
    return list(d), [type(k).__name__ for k in d]
!!! d.clear()
!!! d.clear(); d[1.0] = 0

=== nested_writes_through_aliases
inner = []
a = {"x": inner}
b = [inner, inner]
def f(v):
    a["x"].append(v)
    b[0].append(v + 1)
    return b[1] is inner
>>> 1
!!! b[0] = []
!!! b[1] = b[0]
!!! inner = b[0]

=== class_attribute_written_seen_by_instances
class C:
    n = 0
c, d = C(), C()
def f(x):
    C.n = x
    return c.n, d.n
>>> 1
!!! c.n = 5
!!! C.n = 9
!!! del c.n

=== attribute_deleted_seen_by_alias
class C: pass
c = C(); c.x = 1
other = [c]
def f():
    c.x = 2
    y = other[0].x
    del c.x
    return y, hasattr(other[0], "x")
!!! other[0] = C(); other[0].x = 4
!!! other[0] = c

=== object_created_and_attached
class N:
    def __init__(self, up):
        self.up = up
        self.kids = []
root = N(None)
def f(v):
    n = N(root)
    n.v = v
    root.kids.append(n)
    root.last = n
    return n
>>> 1
!!! root.kids.clear()
!!! root = N(root)

=== user_container_written
class Box:
    def __init__(self):
        self.d = {}
    def __setitem__(self, k, v):
        self.d[k] = (v, len(self.d))
    def __getitem__(self, k):
        return self.d[k]
    def __delitem__(self, k):
        del self.d[k]
    def __iadd__(self, other):
        self.d["+"] = other
        return self
    def __contains__(self, k):
        return k in self.d
box = Box()
def f(x):
    global box
    box["a"] = x
    box["b"] = box["a"]
    del box["a"]
    box += 3
    return "a" in box, box["b"]
>>> 1
!!! box.d.clear()
!!! Box.__setitem__ = lambda self, k, v: self.d.__setitem__(k, v)

=== raises_after_writes | eager
log = []
class C: pass
c = C(); c.n = 0
def f(x):
    log.append(x)
    c.n += 1
    if x < 0:
        raise ValueError("bad", x)
    log.pop()
    return c.n
>>> 1
>>> -1
!!! log.clear()

=== raises_own_class | eager
class Oops(Exception):
    def __init__(self, n):
        super().__init__(n)
        self.n = n
def g(x):
    raise Oops(x)
def f(x):
    try:
        g(x)
    except Oops as e:
        raise RuntimeError("outer") from e
>>> 1

=== type_setattr_on_metaclass_class
class M(type):
    def __setattr__(cls, k, v):
        type.__setattr__(cls, k, ("m", v))
class C(metaclass=M): pass
def f(v):
    C.x = v
    type.__setattr__(C, "y", v)
    return C.x, C.y
>>> 1
!!! C.x = 4

=== slots_of_two_classes
class A:
    __slots__ = ("v",)
class B(A):
    __slots__ = ("w",)
b = B(); b.v = 1
def f(x):
    b.w = x
    r = b.v, b.w
    del b.w
    return r, hasattr(b, "w")
>>> 1
!!! b.v = 2
!!! B.v = 7
!!! del B.v

=== module_attribute_deleted
import types
m = types.ModuleType("m")
m.a = 1
def f():
    m.b = 2
    del m.a
    m.a = 3
    return list(vars(m))[-2:]
!!! m.c = 1
!!! m.a = 5

=== mappingproxy_of_a_class | eager
class C:
    a = 1
def f():
    return C.__dict__["a"], "b" in C.__dict__, C.__dict__.get("b", 0)
!!! C.a = 2
!!! C.b = 2
!!! del C.b

=== value_out_of_a_frame | eager
def f(x):
    y = [x]
    try:
        raise ValueError(y)
    except ValueError as e:
        return e.__traceback__.tb_frame.f_locals["y"], locals()["y"] is y
>>> 1
>>> 2

=== objects_that_the_collector_knows | eager
import gc
class K: pass
k = K()
k.v = 1
def f():
    return [o.v for o in gc.get_objects() if o is k]
!!! k.v = 2

=== made_by_a_finalizer | eager
box = []
class K: pass
class D:
    def __del__(self):
        box.append(K())
def f():
    d = D()
    del d
    return box[-1], len(box)
!!! box.clear()

=== finalizer_of_an_external_object | eager
log = []
class D:
    def __del__(self):
        log.append(len(log))
class C: pass
c = C(); c.d = D()
def f():
    c.d = D()
    return len(log)
!!! log.clear()

=== weak_reference_dies_in_the_run | eager
import weakref
class K: pass
def f():
    k = K()
    r = weakref.ref(k)
    a = r() is k
    del k
    return a, r() is None

=== class_attribute_is_another_objects
class S: pass
class K: pass
class C: pass
S.A, S.B = K(), K()
c = C(); c.e = S.A
def f():
    return c.e is S.A, c.e is S.B
!!! c.e = S.B
!!! c.e = S.A
!!! c.e = K()
!!! S.A = c.e

=== order_const_pair
class S: pass
class K: pass
S.A, S.B, S.D = K(), K(), K()
class C: pass
c = C(); c.e = S.A; c.g = S.B; c.h = [S.D]
def f():
    return c.e is S.A, c.g is S.A, c.h[0] is S.B, c.e is c.g, c.h[0] is c.g
!!! c.e = S.B
!!! c.g = S.B
!!! c.h[0] = S.B
!!! c.e = c.g = S.A
!!! S.B = c.e
!!! c.h = [K()]

=== order_two_dicts
a, b = {"x": [1]}, {"x": [1]}
z = [1]
def f(v):
    a["x"].append(v)
    r = b["x"] is a["x"], b["x"] is z, a["x"] is z
    a["x"].pop()
    return r, len(b["x"])
>>> 1
!!! b["x"] = a["x"]
!!! b["x"] = z
!!! a["x"] = z
!!! b["x"] = [1]

=== module_and_globals
import sys, types
m = types.ModuleType("m"); m.xs = [1]
xs = m.xs
def f(v):
    xs.append(v)
    n = len(m.xs)
    xs.pop()
    return n
>>> 4
!!! m.xs = [1, 2, 3]
!!! xs = m.xs

=== default_is_also_global
g = [1]
def h(x=g):
    x.append(0)
    n = len(g)
    x.pop()
    return n
def f():
    return h()
!!! g = [1, 2]
!!! h.__defaults__ = (g,)

=== method_of_class_replaced_by_instance_attr
class C:
    def m(self): return 1
c = C()
def f():
    return c.m()
!!! c.m = lambda: 2
!!! del c.m
!!! C.m = property(lambda self: lambda: 3)
!!! c.__dict__["m"] = lambda: 4

=== descriptor_becomes_data
class D:
    def __get__(self, o, t): return 1
class C: d = D()
c = C(); c.__dict__["d"] = 5
def f():
    return c.d
!!! D.__set__ = lambda self, o, v: None
!!! del D.__set__
!!! D.__delete__ = lambda self, o: None

=== eq_added_to_key_type | eager
class K: pass
k = K()
d = {k: 1}
def f():
    return d[k], k in [K()]
!!! K.__eq__ = lambda a, b: True
??? del K.__eq__

=== len_and_bool_added
class K: pass
k = K()
def f():
    return bool(k), not k, 1 if k else 2
!!! K.__len__ = lambda self: 0
!!! K.__bool__ = lambda self: True

=== bases_mutated
class A: x = 1
class B: x = 2
class C(A): pass
c = C()
def f():
    return c.x, isinstance(c, B), issubclass(C, A), C.__mro__[1].__name__
!!! C.__bases__ = (B,)
!!! C.__bases__ = (A, B)

=== class_of_instance_changes
class A:
    def m(self): return 1
class B:
    def m(self): return 2
c = A()
def f():
    return c.m(), type(c).__name__
!!! c.__class__ = B
!!! c.__class__ = A

=== str_keys_interning
d = {"ab": 1}
def f(k):
    return d.get(k), k in d
>>> "ab"
>>> "".join(["a", "b"])
>>> "zz"
!!! d["zz"] = 2

=== kwonly_defaults_replaced
def g(*, k=1): return k
def f():
    return g()
!!! g.__kwdefaults__ = {"k": 2}
!!! g.__kwdefaults__["k"] = 3
!!! g.__kwdefaults__ = None; g = lambda k=7: k

=== set_of_enum_and_order
import enum
class E(enum.Enum):
    A = 1
    B = 2
s = [E.A]
def f():
    return E.A in {E.A, E.B}, s[0] in {E.A: 1}, {s[0]: 1}.get(E.A), len({E.A, s[0]})
!!! s[0] = E.B
!!! s[0] = E.A

=== int_enum_as_keys
import enum
class E(enum.IntEnum):
    A = 1
s = [E.A, 1]
def f():
    return {E.A: 1}.get(s[1]), {1: 5}[s[0]], len({s[0], s[1]}), {s[0]: 0, s[1]: 1}
!!! s[1] = True
!!! s[1] = 2
!!! s[0] = 1

=== flag_keys
import enum
class E(enum.Flag):
    A = 1
    B = 2
s = [E.A]
def f():
    return {E.A: 1, E.A | E.B: 2}.get(s[0] | E.B), {s[0]: 4}
!!! s[0] = E.B

=== user_hash_keys | eager
class K:
    def __init__(self, n): self.n = n
    def __hash__(self): return self.n
    def __eq__(self, o): return self.n == o.n
a, b = K(1), K(1)
def f():
    return len({a: 1, b: 2}), len({a, b}), {a: 1}.get(b)
!!! b.n = 2
!!! b.n = 1

=== enum_with_own_hash | eager
import enum
class E(enum.Enum):
    A = 1
    B = 2
    def __hash__(self): return H
    def __eq__(self, o): return H == 1
H = 1
def f():
    return len({E.A: 1, E.B: 2}), len({E.A, E.B}), {E.A: 3}.get(E.B)
!!! H = 2

=== descriptor_of_the_metaclass
class D:
    def __get__(self, o, t): return 1
class M(type):
    d = D()
class C(metaclass=M):
    d = 5
def f():
    return C.d
!!! D.__set__ = lambda self, o, v: None
!!! del D.__set__
!!! D.__delete__ = lambda self, o: None

=== default_that_becomes_a_descriptor
class D: pass
class C:
    x = D()
c = C()
def f(v):
    c.x = v
    return c.__dict__.get("x"), c.x
>>> 3
!!! D.__set__ = lambda self, o, v: o.__dict__.update(x=("set", v))
!!! del D.__set__
!!! D.__get__ = lambda self, o, t: 8

=== class_attr_descr_class_changes
class D:
    pass
class E:
    def __get__(self, o, t): return "E"
    def __set__(self, o, v): o.__dict__["x"] = ("E", v)
class C: pass
C.x = D()
c = C()
def f(v):
    c.x = v
    return c.__dict__.get("x"), c.x
>>> 3
!!! type.__getattribute__(C, "__dict__")["x"].__class__ = E
!!! type.__getattribute__(C, "__dict__")["x"].__class__ = D

=== found_in_dict_descr_class_changes
class D:
    pass
class E:
    def __get__(self, o, t): return "E"
    def __set__(self, o, v): pass
class C: pass
C.x = D()
c = C(); c.__dict__["x"] = 4
def f():
    return c.x
!!! type.__getattribute__(C, "__dict__")["x"].__class__ = E
!!! type.__getattribute__(C, "__dict__")["x"].__class__ = D

=== property_fget_state | eager
class P(property): pass
class C:
    @P
    def x(self): return 1
c = C(); c.__dict__["x"] = 5
def f():
    return c.x
!!! C.x = 3
!!! C.x = property(lambda self: 9)

=== cached_property_invalidation
import functools
class C:
    @functools.cached_property
    def x(self): return V
V = 1
c = C()
def f():
    r = c.x
    return r
!!! V = 2
!!! del c.__dict__["x"]
!!! C.x = functools.cached_property(lambda self: 8); C.x.__set_name__(C, "x")

=== super_getattr_instance_dict
class A:
    x = 1
class B(A):
    def get(self): return super().x, self.x
b = B()
def f():
    return b.get()
!!! b.x = 2
!!! B.x = 3
!!! A.x = property(lambda self: 4)
!!! del B.x

=== staticmethod_classmethod_swap
class C:
    @staticmethod
    def m(*a): return len(a)
c = C()
def f():
    return c.m(), C.m()
!!! C.m = classmethod(lambda *a: len(a) + 10)
!!! C.m = lambda *a: len(a) + 20
!!! c.m = lambda *a: 99

=== iter_and_contains_protocol | eager
class S:
    def __getitem__(self, i):
        if i >= N: raise IndexError
        return i
N = 2
s = S()
def f():
    return list(s), 1 in s, [x for x in s], 5 in s
!!! N = 3
!!! S.__contains__ = lambda self, x: True
!!! S.__iter__ = lambda self: iter([7])
!!! del S.__contains__

=== context_manager_replaced
class M:
    def __enter__(self): return 1
    def __exit__(self, *a): return False
m = M()
def f():
    with m as v:
        r = v
    return r
!!! M.__enter__ = lambda self: 2
!!! m.__enter__ = lambda: 3
!!! M.__exit__ = lambda self, *a: True

=== class_dunder_on_instance_ignored
class C:
    def __len__(self): return 1
c = C()
def f():
    return len(c), bool(c)
!!! c.__len__ = lambda: 5
!!! C.__len__ = lambda self: 0

=== str_format_spec_attr
class C:
    def __format__(self, s): return s + F
F = "1"
c = C()
def f():
    return f"{c:x}", format(c, "y"), "{:z}".format(c)
!!! F = "2"
!!! C.__format__ = lambda self, s: "n"

=== ne_falls_back_to_eq | eager
class C:
    def __init__(self, v): self.v = v
    def __eq__(self, o): return self.v == o.v
a, b = C(1), C(1)
def f():
    return a != b, a == b
!!! b.v = 2
!!! C.__ne__ = lambda self, o: "ne"
!!! C.__eq__ = lambda self, o: NotImplemented

=== index_slots | eager
class I:
    def __index__(self): return V
V = 1
i = I()
def f():
    return [1, 2, 3][i], [1, 2, 3][i:], "ab"[i], range(i), bytes(i)
!!! V = 0
!!! I.__index__ = lambda self: 2 - 1

=== reversed_ops_subclass_priority
class A:
    def __add__(self, o): return "A"
class B(A):
    def __radd__(self, o): return "B"
a, b = A(), B()
def f():
    return a + b, b + a
!!! B.__radd__ = lambda self, o: "BB"
!!! del B.__radd__
!!! B.__radd__ = lambda self, o: NotImplemented
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_places(case):
    check(case)


RAISES = """
log = []
def inner(x):
    log.append(x)
    if x < 0:
        raise ValueError("bad", x)
    return x
def f(x):
    return [inner(x), inner(-x)]
def g(x):
    try:
        return inner(x)
    except ValueError as error:
        raise RuntimeError("outer") from error
def h(x):
    return x.missing
"""


def _frames(error: BaseException) -> list[tuple[str, int | None]]:
    """Functions and lines of a traceback, below the test's own frame."""
    found = traceback.extract_tb(error.__traceback__)
    return [(frame.name, frame.lineno) for frame in found[1:]]


@pytest.mark.parametrize(("name", "args"), [("f", (1,)), ("g", (-1,)), ("h", (1,))])
def test_tracebacks_are_the_programs_own(name, args):
    """The exception has the same frames, lines, cause and context as in eager."""
    seen = []
    for wrap in (lambda fn: fn, engine_compile):
        space: dict = {}
        exec(RAISES, space)
        fn = wrap(space[name])
        told = []
        for _ in range(4):
            with pytest.raises(Exception) as caught:
                fn(*args)
            error, links = caught.value, []
            while error is not None:
                links.append((type(error), error.args, _frames(error)))
                error = error.__cause__ or error.__context__
            told.append(links)
        seen.append((told, space["log"]))
    assert seen[0] == seen[1]
    assert seen[0][0][0][0][2]  # there are frames to compare
