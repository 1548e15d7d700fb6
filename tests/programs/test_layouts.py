"""Layouts of new objects: what a call can return or store, and what stays eager."""

import pytest

from oracle import cases, check, engine_compile

CASES = cases(r"""
=== partial_ret
import functools
def g(a, b, c=0):
    return a, b, c
def f(x):
    p = functools.partial(g, x, c=[x])
    q = functools.partial(p, 3)
    return p, q, p
>>> 1

=== partial_attr
import functools
def g(a):
    return a
class H:
    pass
h = H()
def f(x):
    p = functools.partial(g, x)
    p.tag = [x]
    h.p = p
    return p
>>> 1

=== partial_parts_alias
import functools
def g(*a, **k):
    return a
def f(x):
    p = functools.partial(g, [x], k=x)
    return p, p.keywords, p.args
>>> 1

=== partialmethod
import functools
def g(self, a):
    return a
def f(v):
    return functools.partialmethod(g, v)
>>> 1

=== bound_c
def f(x):
    a = [x]
    return a.append, a, ",".join, {}.get
>>> 1

=== bound_c_ext
xs = [1]
def f():
    return xs.append

=== bound_ext_dict
d = {}
def f(v):
    g = d.get
    d["k"] = v
    return g, d.__getitem__, d.__class__
>>> 1

=== stored_bound
class C:
    pass
c = C()
def f(v):
    c.log = []
    c.add = c.log.append
    c.add(v)
    return c
>>> 1

=== method_wrapper
def f(x):
    a = [x]
    return a.__len__
>>> 1

=== exc
def f(x):
    e = ValueError("bad", x)
    return e
>>> [1]

=== exc_attr
class E(Exception):
    def __init__(self, a, b):
        super().__init__(a)
        self.b = b
def f(x):
    e = E(1, x)
    e.c = [x]
    return e, e.args
>>> [1]

=== exc_args_alias
def f(x):
    p = ValueError([x])
    return p, p.args, p.args[0]
>>> 1

=== exc_caught
def f(x):
    try:
        raise ValueError(x)
    except ValueError as e:
        return e.args
>>> 1

=== exc_slots
class E(KeyError):
    __slots__ = ("q",)
def f(v):
    e = E(v)
    e.q = [v]
    return e
>>> 1

=== exc_notes
def f(v):
    e = ValueError(v)
    e.add_note("n")
    return e
>>> 1

=== exc_with_tb_none
def f(v):
    e = ValueError(v).with_traceback(None)
    return e
>>> 1

=== exc_own_new
log = []
class E(Exception):
    def __new__(cls, a):
        log.append("new")
        return super().__new__(cls, a, 2)
    def __init__(self, a):
        log.append("init")
        self.a = a
    def __setattr__(self, k, v):
        log.append(k)
        super().__setattr__(k, v)
def f(v):
    return E([v])
>>> 1

=== attr_exc_store
class C:
    pass
c = C()
def f(v):
    try:
        raise KeyError(v)
    except KeyError as e:
        c.err = str(e)
        c.kind = type(e)
    return c.kind
>>> 1

=== str_sub
class S(str):
    pass
def f(x):
    s = S("abc" + x)
    s.tag = [x]
    return s, s.tag
>>> "q"

=== str_sub_new
log = []
class S(str):
    def __new__(cls, v, t):
        o = super().__new__(cls, v)
        o.t = t
        log.append(1)
        return o
    def __init__(self, v, t):
        log.append(2)
def f(x):
    return S("a", x)
>>> [1]

=== str_sub_hash
log = []
class S(str):
    def __hash__(self):
        log.append(1)
        return 5
    __eq__ = str.__eq__
def f(v):
    s = S("a")
    return s
>>> 1

=== str_sub_slots
class S(str):
    __slots__ = ()
class I(int):
    def __str__(self):
        return "x"
def f(v):
    return S("a"), I(5), [I(2**70)], I(-1)
>>> 1

=== str_sub_kind
class S(str):
    pass
def f(v):
    return S("é"), S("日本"), S("\U0001F600"), S(""), S("a\0b")
>>> 1

=== int_sub
class I(int):
    pass
class F(float):
    pass
class B(bytes):
    pass
class C(complex):
    pass
def f(x):
    return I(x), F(x), C(x), B(b"ab"), I(x) + 1
>>> 3

=== float_sub
class F(float):
    pass
class C(complex):
    pass
class B(bytes):
    pass
def f(v):
    return F("nan"), F("-0.0"), C(-0.0, -0.0), F("inf"), B(), B(b"a\0")
>>> 1

=== mproxy
import types
def f(x):
    d = {"a": [x]}
    return types.MappingProxyType(d), d
>>> 1

=== mp_user
import types
class M(dict):
    pass
def f(v):
    m = M(a=v)
    return types.MappingProxyType(m), m
>>> 1

=== mp_ext
import types
d = {"a": 1}
def f(v):
    d["b"] = v
    return types.MappingProxyType(d)
>>> 1

=== simplens
import types
def f(x):
    n = types.SimpleNamespace(a=[x], b=x)
    n.c = n.a
    return n, n.a
>>> 1

=== ns_sub
import types
class N(types.SimpleNamespace):
    def __init__(self, **k):
        super().__init__(**k)
        self.extra = []
def f(v):
    return N(a=v), N(b=[v])
>>> 1

=== methodtype
import types
class C:
    pass
def g(self, y):
    return self, y
def f(x):
    c = C()
    m = types.MethodType(g, c)
    c.m = m
    return m, c
>>> 1

=== bytearray_ret
def f(v):
    b = bytearray(b"abc")
    b.append(v)
    return b, b
>>> 65

=== ba_fresh
def f(v):
    b = bytearray(b"abc")
    b[0] = v
    b[1:2] = b"zz"
    del b[0]
    b += b"x"
    b.extend([1, 2])
    c = b.copy()
    c.reverse()
    made = bytearray(3), bytearray([1]), bytearray("x", "utf8"), bytearray()
    facts = b[0], len(b), b.decode("latin1"), b.find(b"z"), b == c, list(b)
    return b, c, bytes(b), b + c, made, facts
>>> 5

=== counter
from collections import Counter
c = Counter()
def f(xs):
    d = Counter(xs)
    c.update(xs)
    c.clear()
    c["z"] += 1
    return d, c["nope"]
>>> "abca"

=== counter_ops
from collections import Counter
def f(xs):
    d = Counter(xs)
    top = d.most_common(1)
    return d + Counter("ab"), top, d - Counter("a"), d.total(), list(d.elements())
>>> "abca"

=== chainmap
from collections import ChainMap
a = {"x": 1}
def f(v):
    m = ChainMap({"k": [v]}, a)
    m["z"] = v
    return m, m["x"]
>>> 1

=== userdict
from collections import UserDict, UserList
u = UserDict(a=1)
l = UserList([1])
def f(v):
    u["k"] = [v]
    l.append(v)
    return UserDict({"q": v}), UserList([v]), len(u)
>>> 1

=== dd_sub
from collections import defaultdict
class D(defaultdict):
    pass
class Q(__import__("collections").deque):
    pass
def f(x):
    d = D(list)
    d.tag = 1
    q = Q([1], 3)
    q.tag = [x]
    d["a"].append(q)
    return d, q
>>> 1

=== odict_attr
from collections import OrderedDict
def f(x):
    o = OrderedDict(a=1)
    o.tag = x
    return o
>>> 1

=== odict_iter_override
from collections import OrderedDict, deque
log = []
class O(OrderedDict):
    def __iter__(self):
        log.append("iter")
        return iter(["a"])
class Q(deque):
    def __iter__(self):
        log.append("qiter")
        return iter([])
def f(x):
    o = O()
    o["a"] = 1
    o["b"] = x
    q = Q()
    q.append(x)
    return o, q
>>> 1

=== dd_factory_override
from collections import defaultdict
log = []
class D(defaultdict):
    @property
    def default_factory(self):
        log.append(1)
        return int
def f(x):
    d = D(list)
    d["x"] = x
    return d
>>> 1

=== frozen_dc
from dataclasses import dataclass
@dataclass(frozen=True)
class D:
    a: int
    b: list
def f(v):
    return D(v, [v])
>>> 5

=== slots_dc
from dataclasses import dataclass
log = []
@dataclass(slots=True)
class D:
    a: int
    b: list
    def __post_init__(self):
        log.append(self.a)
def f(v):
    return D(v, [v])
>>> 5

=== nt_sub
from collections import namedtuple
class P(namedtuple("P", "x y")):
    def __new__(cls, x):
        return super().__new__(cls, x, [x])
class Q(namedtuple("Q", "x y")):
    __slots__ = ()
def f(v):
    return P(v), Q(v, 2)
>>> 5

=== key_nt
from collections import namedtuple
P = namedtuple("P", "x y")
class S(str):
    pass
def f(x):
    d = {P(x, 1): 1, (x, "a"): 2, frozenset([x]): 3, S("q"): 4}
    return d, {P(x, 2), frozenset([1])}
>>> 1

=== objectnew
def f(x):
    return object(), [object()]
>>> 1

=== enum_key
import enum
class E(enum.Enum):
    A = 1
    B = 2
d = {}
def f(v):
    d[E.A] = v
    return {E.A: v}, {E.B}, E.A in d
>>> 1

=== intflag
import enum
class P(enum.IntFlag):
    A = 1
    B = 2
    C = 4
def f(v):
    return P.A | P.C, P(3), P.A | 8
>>> 1

=== inst_dict_only
class C:
    pass
def f(x):
    c = C()
    c.a = x
    return c.__dict__, vars(c)
>>> 1

=== func_dict_alias
def f(x):
    def g():
        pass
    g.a = x
    return g, g.__dict__
>>> 1

=== fraction
from fractions import Fraction
def f(v):
    return Fraction(v, 3)
>>> 5

=== cyc_tuple
def f():
    a = []
    t = (a, 1)
    a.append(t)
    return t

=== cyc_tuple2
def f():
    a = []
    t = (a, 1)
    a.append(t)
    return a

=== cyc_many
import functools, types
class C:
    pass
def g(*a):
    return a
def f(x):
    c = C()
    c.p = functools.partial(g, c, k=c)
    c.p.owner = c
    c.m = types.MethodType(g, c)
    c.d = {"c": c, c: [c]}
    c.s = {c, (c, 1)}
    c.t = (c, c.d)
    c.e = ValueError(c)
    c.e.c = c
    c.n = types.SimpleNamespace(c=c)
    c.ap = c.d.get
    c.mp = types.MappingProxyType(c.d)
    c.fs = frozenset([c])
    c.l = [c.m, c.p]
    return c.m, c
>>> 1

=== cyc_func
def f(x):
    def g():
        return h
    def h():
        return g
    g.h = h
    return {"g": g}
>>> 1

=== cyc_ext_store
box = {}
class C:
    pass
def f(x):
    c = C()
    c.me = c
    box["c"] = c
    box["l"] = l = [c]
    l.append(l)
    return c
>>> 1

=== cyc_self_slot
class C:
    __slots__ = ("a", "b")
def f(x):
    c = C()
    c.a = (c,)
    c.b = {c: c}
    return c
>>> 1

=== cyc_odict
from collections import OrderedDict, defaultdict, deque
class D(dict):
    pass
def f(x):
    o = OrderedDict()
    o["z"] = o
    o["a"] = 1
    o.tag = o
    d = defaultdict(list)
    d["d"] = d
    q = deque([1], 5)
    q.append(q)
    e = D()
    e.e = e
    e["k"] = e
    return o, d, q, e
>>> 1

=== tensor_like_default_hash
class K:
    pass
k = K()
d = {}
def f(v):
    n = K()
    d[k] = v
    e = {n: k, k: n}
    d["n"] = e
    return e
>>> 1

=== partial_of_bound
import functools
class C:
    def m(self, x):
        return self, x
c = C()
def f(v):
    return functools.partial(c.m, v), functools.partial([].append, v)
>>> 1

=== partial_state
import functools
def g(*a, **k):
    return a, k
kw = {"a": 1}
def f(v):
    p = functools.partial(g)
    p.__setstate__((g, (v,), kw, None))
    return p, p.keywords is kw
>>> 1

=== exc_args_set
def f(v):
    e = ValueError(1)
    e.args = (v, [v])
    return e
>>> 1

=== exc_user_init_args
class E(Exception):
    def __init__(self, m, *, code):
        self.code = code
        super().__init__(m)
def f(v):
    try:
        raise E("x", code=[v])
    except E as e:
        return e.code, str(e), e.args, repr(e)
>>> 1

=== exc_in_list_of_ext
errs = []
class E(Exception):
    pass
def f(v):
    e = E(v)
    errs.append(e)
    errs.pop()
    errs.append(E([v]))
    errs.clear()
    return e
>>> 1

=== weakref_fresh_kept
import weakref
class C:
    pass
def f(v):
    c = C()
    c.r = weakref.ref(c)
    return c, c.r() is c
>>> 1

=== ba_in_ext
box = {}
def f(v):
    b = bytearray(3)
    box["b"] = b
    b[0] = v
    return b
>>> 1

=== tuple_sub_cyc
class T(tuple):
    pass
def f(v):
    l = []
    t = T([l, v])
    l.append(t)
    t.me = t
    return t
>>> 1

=== frozenset_sub_cyc
class T(frozenset):
    pass
class C:
    pass
def f(v):
    c = C()
    t = T([c])
    c.t = t
    t.me = t
    return t
>>> 1

=== deque_cyc_max
from collections import deque
class Q(deque):
    pass
def f(v):
    q = Q(maxlen=2)
    q.append(q)
    q.append(1)
    q.t = (q,)
    return q
>>> 1

=== dd_cyc
from collections import defaultdict
def f(v):
    d = defaultdict(lambda: d)
    d["x"] = d
    return d
>>> 1

=== str_sub_cyc
class S(str):
    pass
def f(v):
    s = S("a")
    s.me = s
    return {s: s, "b": [s]}
>>> 1

=== exc_cyc
def f(v):
    l = []
    e = ValueError(l)
    l.append(e)
    return e
>>> 1

=== partial_cyc
import functools
def f(v):
    l = []
    p = functools.partial(print, l, k=l)
    l.append(p)
    p.p = p
    return p
>>> 1

=== mp_cyc
import types
def f(v):
    d = {}
    p = types.MappingProxyType(d)
    d["p"] = p
    return p
>>> 1

=== method_cyc
class C:
    def m(self):
        return 1
def f(v):
    c = C()
    c.m2 = c.m
    return c.m2
>>> 1

=== bound_cyc
def f(v):
    l = []
    l.append(l.append)
    return l
>>> 1

=== slice_cyc
def f(v):
    l = []
    l.append(slice(l, v))
    return l
>>> 1

=== cell_cyc
def f(v):
    fs = {}
    def g(n):
        return fs
    fs["g"] = g
    g.fs = fs
    g.__kwdefaults__ = None
    return g
>>> 1

=== kwdef_cyc
def f(v):
    d = {}
    def g(a=d, *, b=d):
        return a
    d["g"] = g
    return g
>>> 1

=== deep_cycle
class N:
    pass
def f(v):
    first = last = N()
    for i in range(400):
        n = N()
        n.prev = last
        last.next = n
        last = n
    first.prev = last
    return first
>>> 1

=== mutual_ext
class C:
    pass
root = C()
def f(v):
    a, b = C(), C()
    a.b, b.a = b, a
    root.a = a
    root.list = [a, b, root]
    return root.list
>>> 1

=== ordered_sub_attrs
from collections import OrderedDict
class O(OrderedDict):
    def __init__(self, *a):
        super().__init__(*a)
        self.meta = {}
def f(v):
    o = O([("b", 1), ("a", v)])
    o.meta["x"] = o
    o.move_to_end("b")
    return o
>>> 1
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layouts(case):
    check(case)


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
