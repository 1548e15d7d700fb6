"""Layouts of new objects: what a call can return or store."""

import pytest

from oracle import cases, check

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
