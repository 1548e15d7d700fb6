"""New objects that lead back to themselves."""

import pytest

from oracle import cases, check

CASES = cases(r"""
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
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layouts(case):
    check(case)
