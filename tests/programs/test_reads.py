"""What C code reads of state: views, order, absence, numbers, classes, functions."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== mappingproxy | eager
import types
class C:
    x = 1
d = {"a": 1, "b": [2]}
p = types.MappingProxyType(d)
def f():
    return (
        p["a"], list(p), len(p), p.get("z"), "q" in p, dict(p), list(p.items()),
        p == {"a": 1}, C.__dict__["x"],
    )
!!! d["a"] = 5
!!! d["q"] = 5
!!! d["b"].append(1)
!!! C.x = 3

=== dictviews
d = {"a": 1, "b": [2]}
def f():
    return (
        list(d.keys()), list(d.values())[1], list(d.items()), "a" in d.keys(),
        d.keys() & {"a", "z"}, len(d.values()), d.keys() == {"a", "b"},
    )
!!! d["a"] = 5
!!! d["q"] = 5
!!! del d["a"]
!!! d["b"].append(4)

=== external_view | eager
d = {"a": 1, "b": [2]}
class S: pass
s = S(); s.v = d.keys(); s.w = d.values()
def f():
    return list(s.v), len(s.v), "q" in s.v, [x for x in s.w]
!!! d["q"] = 5
!!! d["a"] = 7

=== external_view_nested | eager
d = {"a": 1, "b": 2}
import itertools
s = [d.keys(), d.values()]
def f():
    return (
        list(itertools.chain.from_iterable(s)), list(map(list, s)), f"{s}",
        sorted(s[0]),
    )
!!! d["q"] = 5
!!! d["a"] = 7

=== external_view_eq | eager
d = {"a": 1, "b": 2}
s = [d.keys()]
def f():
    return s == [{"a", "b"}], s[0] == {"a", "b"}, s[0] >= {"a"}, str(s[0])
!!! d["q"] = 5

=== dict_order
d = {"a": 1, "b": 2}
def f():
    return (
        list(d), next(iter(d)), next(reversed(d)), d == {"b": 2, "a": 1},
        d.popitem if False else 1, [*d], {**d},
    )
!!! d["a"] = d.pop("a")

=== odict_order
from collections import OrderedDict
d = OrderedDict(a=1, b=2)
def f():
    return list(d), next(iter(d)), d == OrderedDict(b=2, a=1), [k for k in d.items()]
!!! d.move_to_end("a")
!!! d.move_to_end("a")

=== odict_eq
from collections import OrderedDict
d = OrderedDict(a=1, b=2)
e = OrderedDict(a=1, b=2)
def f():
    return d == e, [d] == [e], dict(d) == dict(e), repr(d)
!!! d.move_to_end("a")
!!! e.move_to_end("a")

=== set_order
s = {8, 16}
def f():
    return list(s), sorted(s), next(iter(s)), [x for x in s], s == {16, 8}, repr(s)
!!! s.clear(); s.add(16); s.add(8)
!!! s.add(24); s.discard(24)
!!! s.clear(); s.update([0, 16, 8]); s.discard(0)

=== set_order_str
s = set()
[s.add(i) for i in range(100)]
[s.discard(i) for i in range(98)]
def f():
    return list(s), tuple(s), [x for x in s]
!!! s.clear(); s.add(99); s.add(98)
!!! s.clear(); s.add(98); s.add(99)

=== frozenset_order
class S: pass
o = S(); o.s = frozenset([8, 16])
def f():
    return list(o.s), repr(o.s), tuple(o.s)
!!! o.s = frozenset([16, 8])

=== absence
class C: pass
c = C(); d = {}
def f():
    return hasattr(c, "x"), getattr(c, "x", 3), "x" in d, d.get("x", 4)
!!! c.x = 1
!!! d["x"] = 1
!!! del c.x
!!! C.x = 9

=== keyerror
d = {}
def f():
    try:
        return d["x"]
    except KeyError as e:
        return e.args
!!! d["x"] = 1
!!! del d["x"]

=== attrerror
class C: pass
c = C()
def f():
    try:
        return c.x
    except AttributeError as e:
        return e.args, e.name
!!! c.x = 1
!!! del c.x

=== boolint
class C: pass
c = C(); c.x = 1
def f():
    return c.x, c.x is True, type(c.x), [c.x], {c.x: 1}
!!! c.x = True
!!! c.x = 1.0
!!! c.x = 0
!!! c.x = False
!!! c.x = 0.0
!!! c.x = -0.0
!!! c.x = 2**100
!!! c.x = 2**100 + 1
!!! c.x = -(2**100)
!!! c.x = 1+0j
!!! c.x = complex(0, -0.0)
!!! c.x = complex(-0.0, 0.0)
??? c.x = float("nan")

=== boolint_items
xs = [1, (1, 2.0), {1: 0.0}, {1}]
def f():
    return list(xs), xs[1], dict(xs[2]), sorted(xs[3])
!!! xs[0] = True
!!! xs[1] = (True, 2.0)
!!! xs[1] = (1, 2)
!!! xs[2] = {True: 0.0}
!!! xs[2] = {1: -0.0}
!!! xs[3] = {True}
!!! xs[3] = {1.0}

=== boolint_keys
d = {1: "a"}
def f():
    return list(d), d.get(1), d.get(True), 1 in d, repr(d)
!!! d.clear(); d[True] = "a"
!!! d.clear(); d[1.0] = "a"

=== tuplekeys
d = {(1, 0.0): "a"}
def f():
    return list(d), repr(d)
!!! d.clear(); d[(True, 0.0)] = "a"
!!! d.clear(); d[(1, -0.0)] = "a"

=== strsub | eager
class S(str):
    pass
class C: pass
c = C(); c.x = S("a"); d = {"a": 1}
def f():
    return (
        c.x, d.get(c.x), c.x == "a", c.x + "b", len(c.x), type(c.x).__name__,
        c.x.upper(),
    )
!!! c.x = S("b")
!!! c.x = "a"
!!! d["a"] = 2

=== strsub_attr
class S(str):
    pass
class C: pass
c = C(); c.x = S("a"); c.x.extra = 3
def f():
    return c.x.extra, "%s" % c.x
!!! c.x.extra = 4

=== strsub_eq | eager
class S(str):
    def __eq__(self, o): return FLAG
    __hash__ = str.__hash__
FLAG = True
class C: pass
c = C(); c.x = S("a"); d = {"a": 1}
def f():
    return c.x == "q", d.get(c.x), c.x in ["z"], ["z"].count(c.x)
!!! FLAG = False

=== strsub_str
class S(str):
    def __str__(self): return "X" + FLAG
FLAG = "1"
class C: pass
c = C(); c.x = S("a")
def f():
    return f"{c.x}", str(c.x), "%s" % c.x, "".join([c.x]), "{}".format(c.x)
!!! FLAG = "2"

=== intsub
class I(int):
    def __index__(self): return FLAG
    def __int__(self): return FLAG
FLAG = 1
class C: pass
c = C(); c.x = I(0)
def f():
    return [5, 6, 7][c.x], int(c.x), range(c.x), float(c.x), bool(c.x), c.x + 1
!!! FLAG = 2

=== floatobj | eager
class I:
    def __float__(self): return FLAG
    def __index__(self): return 1
FLAG = 1.5
import math
c = I()
def f():
    return (
        math.floor(c) if 0 else float(c), math.sqrt(c), [1, 2][c], "abc"[c],
        round(float(c)), math.isclose(c, 1.5),
    )
!!! FLAG = 2.5

=== enums | eager
import enum
class E(enum.Enum):
    A = 1
    B = [1]
class F(enum.IntFlag):
    X = 1
    Y = 2
class C: pass
c = C(); c.e = E.A; c.f = F.X
def f():
    return (
        c.e, c.e.value, c.e.name, c.e is E.A, c.f | F.Y, c.f & F.X, E(1), E["A"],
        list(E), c.f in F.X, {c.e: 1}[E.A] if c.e is E.A else 0,
    )
!!! c.e = E.B
!!! c.f = F.Y
!!! E.B.value.append(3)

=== enum_attr
import enum
class E(enum.Enum):
    A = 1
    def tag(self): return (self.value, X)
X = 1
def f():
    return E.A.tag(), E.A.value
!!! X = 2
!!! E.A._value_ = 7

=== missing
class D(dict):
    def __missing__(self, k): return X + k
X = 1
d = D(a=1)
def f():
    return d[5], d.get(5), d["a"], operator_getitem(d, 6)
from operator import getitem as operator_getitem
!!! X = 2
??? d[5] = 100

=== class_getitem | eager
class C:
    def __class_getitem__(cls, k): return (X, k)
X = 1
def f():
    return C[3], list[int], dict[str, int], tuple[int, ...]
!!! X = 2
!!! C.__class_getitem__ = classmethod(lambda cls, k: 9)

=== meta_getitem | eager
class M(type):
    def __getitem__(cls, k): return X
    def __len__(cls): return X
    def __iter__(cls): return iter([X])
    def __contains__(cls, k): return X == k
    def __bool__(cls): return X > 1
    def __call__(cls): return X
    def __getattr__(cls, n): return X
    attr = 5
    @property
    def prop(cls): return X
X = 1
class C(metaclass=M): pass
def f():
    return (
        C[0], len(C), list(C), 1 in C, bool(C), C(), C.zzz, C.attr, C.prop,
        C.__name__,
    )
!!! X = 2
!!! M.attr = 6
!!! C.attr = 7
!!! C.zzz = 7
!!! C.__name__ = "D"

=== type_setattr
class C: x = 1
class D(C): pass
d = D()
def f():
    return d.x, D.x, C.x
!!! type.__setattr__(C, "x", 2)
!!! type.__setattr__(D, "x", 3)
!!! type.__delattr__(D, "x")
!!! D.__bases__ = (type("E", (), {"x": 9}),)
??? d.__class__ = type("Q", (), {"x": 99})

=== dict_replaced
class C: pass
c = C(); c.x = 1
def f():
    return c.x, vars(c), c.__dict__.get("y"), hasattr(c, "y")
!!! c.__dict__ = {"x": 2}
!!! c.__dict__ = {"x": 2, "y": 3}
!!! c.__dict__["x"] = 4

=== dict_shared
class C: pass
a = C(); b = C(); a.x = 1
b.__dict__ = a.__dict__
def f(v):
    a.x = v
    return b.x, a.x, a.__dict__ is b.__dict__
>>> 1
>>> 2
!!! b.__dict__ = {"x": 7}
!!! b.__dict__ = a.__dict__

=== dict_shared_split
class C: pass
a = C(); b = C(); a.x = 1; b.x = 2
def f(v):
    a.x = v
    return b.x
>>> 1
>>> 5
!!! b.__dict__ = a.__dict__

=== dict_sub
class D(dict): pass
class C: pass
c = C(); c.__dict__ = D(x=1)
def f():
    return c.x, hasattr(c, "y")
!!! c.y = 2
!!! c.__dict__["x"] = 5

=== module_getattr
import types
m = types.ModuleType("m")
m.X = 1
def ga(name):
    if name == "zz": return V
    raise AttributeError(name)
m.__getattr__ = ga
V = 3
def f():
    return m.X, m.zz, hasattr(m, "qq"), getattr(m, "qq", 9)
!!! V = 4
!!! m.zz = 5
!!! m.qq = 5
!!! del m.__getattr__; m.__getattr__ = lambda n: 77

=== module_attr_absent
import types
m = types.ModuleType("m")
def f():
    return hasattr(m, "qq"), m.__dict__.get("qq")
!!! m.qq = 5
!!! m.__getattr__ = lambda n: 77
!!! del m.qq

=== module_class
import types
class M(types.ModuleType):
    @property
    def p(self): return V
V = 1
m = types.ModuleType("m"); m.__class__ = M
def f():
    return m.p
!!! V = 2
!!! m.__class__ = types.ModuleType; m.p = 8

=== func_code
def g(x, y=1, *, z=2): return (x, y, z)
def f():
    return g(0)
!!! g.__defaults__ = (5,)
!!! g.__kwdefaults__ = {"z": 7}
!!! g.__kwdefaults__["z"] = 8
!!! g.__code__ = (lambda x, y=1, *, z=2: (z, y, x)).__code__
!!! g.__defaults__ = ([1],)
!!! g.__defaults__[0].append(2)

=== func_globals
import types
space = {"K": 1, "__builtins__": __builtins__}
g = types.FunctionType((lambda: K).__code__, space)
def f():
    return g(), len(g.__globals__) > 0
!!! space["K"] = 2
!!! space["len"] = 3
!!! g = types.FunctionType(g.__code__, {"K": 9, "__builtins__": __builtins__})

=== func_attrs
def g(): return 1
g.tag = [1]
def f():
    return (
        g.tag, g.__name__, g.__doc__,
        g.__wrapped__ if hasattr(g, "__wrapped__") else 0, g.__defaults__, g.__dict__,
    )
!!! g.tag.append(2)
!!! g.__name__ = "h"
!!! g.__doc__ = "h"
!!! g.__wrapped__ = 3
!!! g.__defaults__ = (1,)
!!! g.__dict__ = {"tag": 5}

=== cell_content | eager
def make(v):
    def g(): return v
    return g
g = make(1)
def f():
    return g(), g.__closure__[0].cell_contents
!!! g.__closure__[0].cell_contents = 5
!!! g = make(8)

=== cell_empty
def make():
    def g():
        return v
    if 0: v = 1
    return g
g = make()
def f():
    try:
        return g()
    except NameError as e:
        return str(e)
!!! g.__closure__[0].cell_contents = 5
!!! del g.__closure__[0].cell_contents

=== slots
class C:
    __slots__ = ("a", "b")
c = C(); c.a = 1
def f():
    return c.a, hasattr(c, "b"), getattr(c, "b", 2)
!!! c.b = 3
!!! del c.a; c.a = 9
!!! del c.b

=== property_code
class C:
    @property
    def p(self): return self._p
c = C(); c._p = 1
def f():
    return c.p
!!! c._p = 2
!!! C.p = property(lambda self: 77)
!!! C.p = 5
!!! c.__dict__["p"] = 8

=== descr_change
class D:
    def __get__(self, o, t): return (V, o is None)
class C: d = D()
V = 1
c = C()
def f():
    return c.d, C.d
!!! V = 2
!!! D.__get__ = lambda self, o, t: 5
!!! c.d = 3
!!! D.__set__ = lambda self, o, v: None

=== partial_state
import functools
def g(*a, **k): return a, k
p = functools.partial(g, 1, z=[2])
def f():
    return p(5), p.args, p.keywords, p.func is g
!!! p.keywords["z"].append(3)
!!! p.keywords["w"] = 3
!!! p.__setstate__((g, (9,), {}, None))

=== methodbound
class C:
    def __init__(self, n): self.n = n
    def m(self): return self.n
class B: pass
b = B(); b.m = C(1).m
def f():
    return b.m(), b.m.__self__.n, b.m.__func__ is C.m
!!! b.m = C(2).m
!!! b.m.__self__.n = 4

=== builtin_bound | eager
class B: pass
b = B(); xs = [1]; b.m = xs.count; b.g = {"a": 1}.get
def f():
    return b.m(1), b.g("a"), list(map(b.g, ["a", "b"]))
!!! xs.append(1)
!!! b.m = [].count

=== range_slice | eager
class B: pass
b = B(); b.r = range(3); b.s = slice(0, [2][0]);
def f():
    return list(b.r), len(b.r), 2 in b.r, [1, 2, 3][b.s], b.s.stop
!!! b.r = range(4)
!!! b.s = slice(1, 3)

=== instance_class
class A:
    def m(self): return "A"
class B2:
    def m(self): return "B"
o = A()
def f():
    return o.m(), type(o) is A, isinstance(o, A), o.__class__.__name__
!!! o.__class__ = B2
!!! o.__class__ = A

=== isinstance_hook
class M(type):
    def __instancecheck__(cls, o): return V
class A(metaclass=M): pass
V = True
def f():
    return isinstance(3, A), isinstance(3, (str, A)), isinstance(A, A)
!!! V = False

=== abc_register
import abc
class A(abc.ABC): pass
class B(A): pass
class C: pass
c = C()
def f():
    return isinstance(c, A), issubclass(C, A)
!!! c.x = 1

=== bases
class A: x = 1
class B: x = 2
class C(A): pass
c = C()
def f():
    return c.x, C.__mro__[1].__name__, C.__bases__, issubclass(C, B), super(C, c).x
!!! C.__bases__ = (B,)

=== eq_objs
class P:
    def __init__(self, v): self.v = v
    def __eq__(self, o): return self.v == o.v
    def __lt__(self, o): return self.v < o.v
    def __hash__(self): return hash(self.v)
a = [P(1), P(2)]; b = [P(1), P(2)]
def f():
    return a == b, a[0] in b, sorted(a)[0].v, max(a).v, a.index(P(2)), a < b
!!! a[0].v = 5
!!! b[1].v = 7

=== bytes_ba
class B: pass
b = B(); b.ba = bytearray(b"ab"); b.by = b"ab"
def f():
    return b.by[0], b.by + b"c", b.by == b"ab"
!!! b.by = b"xy"

=== bytearray_read
ba = bytearray(b"ab"); box = [ba]
def f():
    return box == [bytearray(b"ab")], f"{box}", bytes(ba), list(ba), ba[0]
!!! ba[0] = 65

=== array_read | eager
import array
ba = array.array("i", [1, 2]); box = [ba]
def f():
    return sum(ba), box == [array.array("i", [1, 2])]
!!! ba[0] = 65

=== counterlib
from collections import Counter, ChainMap, defaultdict, UserDict, UserList
c = Counter("aab")
cm = ChainMap({"a": 1}, {"b": [2]})
u = UserDict(a=1)
ul = UserList([[1], [2]])
def f():
    return (
        c["a"], c["z"], cm["b"], "q" in cm, u["a"], list(u), ul[0], len(ul), list(ul),
        sum(ul, []), c.most_common(1),
    )
!!! c["a"] = 0
!!! cm["q"] = 2
!!! cm.maps[1]["b"].append(3)
!!! u["z"] = 1
!!! ul.data[0].append(4)

=== namedtuples
import typing, collections
P = collections.namedtuple("P", "x y")
p = P([1], 2); box = [p]
def f():
    return (
        p.x, p._asdict(), p == ([1], 2), p._replace(y=3), P._fields, sum([p], ()),
        dict([p]) if 0 else 0, list(zip(*box)),
    )
!!! p.x.append(3)
!!! box[0] = P([1], 5)

=== dataclasses | eager
import dataclasses
@dataclasses.dataclass
class A:
    x: list
    y: int = 1
a = A([1])
def f():
    return (
        dataclasses.astuple(a), dataclasses.asdict(a), a == A([1]), repr(a),
        dataclasses.replace(a, y=2), [q.name for q in dataclasses.fields(a)],
    )
!!! a.x.append(3)
!!! a.y = 3

=== hashnested
class S: pass
s = S(); s.t = (1, ("a", 2.5), None)
def f():
    return {s.t: 1}, {s.t} == {(1, ("a", 2.5), None)}
!!! s.t = (1, ("a", 3.5), None)

=== getattr_dyn
class S:
    def __getattr__(self, n): return (n, V)
s = S(); V = 1; name = "q"
def f():
    return getattr(s, name), s.zz, hasattr(s, "x")
!!! V = 2
!!! name = "r"
!!! s.zz = 5
!!! S.zz = 6

=== getattribute
class S:
    def __getattribute__(self, n): return (n, V)
s = S(); V = 1
def f():
    return s.a, s.__dict__, s.__class__
!!! V = 2
??? del S.__getattribute__

=== contextlib
import contextlib
@contextlib.contextmanager
def cm():
    st.append(V)
    yield V
    st.pop()
st = []; V = 1
def f():
    with cm() as v:
        return v, len(st)
!!! V = 2

=== cached_prop
import functools
class C:
    n = 1
    @functools.cached_property
    def p(self): return [self.n]
c = C()
def f():
    return c.p
??? c.p.append(3)
??? del c.__dict__["p"]; c.n = 5

=== singledispatch
import functools
@functools.singledispatch
def g(x): return "o"
@g.register
def _(x: int): return "i"
def f(x):
    return g(x)
>>> 1
>>> "a"
??? g.register(str, lambda x: "s")

=== what_is_looked_for_changes
rows = [[1, 2], (3,), []]
tree = {"k": [1], "t": ([3],)}
def f():
    k, t = tree["k"], tree["t"]
    return k in rows, k in tuple(rows), t in rows, rows.count(k)
>>>
!!! tree["k"].append(2)
!!! tree["k"] = rows[0]
!!! tree["k"] = ()
!!! tree["k"] = rows[2]
!!! rows[1] = ([3],)
!!! tree["t"][0].append(1)

=== keyword_default_comes_back
def g(*, p=1, q=1): return q
def f():
    try:
        return g()
    except TypeError:
        return "p"
>>>
!!! g.__kwdefaults__.pop("p")
!!! g.__kwdefaults__["p"] = 5

=== unequal_asks_equal
class K: pass
k = K()
def f(a, k):
    return a != k, k != a, k != None
>>> 5, k
!!! K.__eq__ = lambda self, o: True
!!! K.__eq__ = lambda self, o: False
!!! del K.__eq__
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_reads(case):
    check(case)
