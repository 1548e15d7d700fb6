"""Writes: every mutator of containers, attributes, globals, functions and classes."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== set_mut
s = {1, 2, 3}
def f(x):
    global s
    s.add(x)
    s.discard(1)
    s.update([7, 8])
    s.difference_update([8])
    s.add(99)
    s.intersection_update([1, 2,3,5,7])
    s.symmetric_difference_update({3})
    s.remove(2)
    s |= {1, 2}
    s.add(3)
    s.discard(7)
    s.discard(x)
    return sorted(s)
>>> 5

=== set_pop
s = {1}
def f(x):
    s.pop()
    s.clear()
    s.add(1)
    s.__init__([1])
    return s
>>> 5

=== set_ops_inplace
s = {1, 2, 3}
def f(x):
    global s
    s &= {1, 2, 3, 4}
    s ^= {9}
    s -= {9}
    return s
>>> 5

=== list_mut
l = [3, 1, 2]
def f(x):
    global l
    l.append(x)
    l.extend([x, 7])
    l.insert(1, 9)
    l.remove(9)
    l.pop()
    l.pop()
    l.pop(0)
    l.reverse()
    l.sort()
    l[0:1] = [3, 1]
    l *= 1
    l += [5]
    del l[-1]
    l.sort(key=lambda v: -v)
    l[:] = [3, 1, 2]
    return l.copy()
>>> 5

=== list_step
l = [3, 1, 2, 4]
def f(x):
    l[::2] = [x, x]
    l[1] = [x]
    del l[::2]
    l.extend(l)
    l.__init__([3, 1, 2, 4])
    return l
>>> 5

=== dict_mut
d = {"a": 1, "b": 2}
def f(x):
    global d
    d.update(c=x)
    d.setdefault("q", []).append(x)
    d.pop("q")
    d.popitem()
    d["z"] = 1
    del d["z"]
    d |= {"k": x}
    del d["k"]
    d.clear()
    d.update({"a": 1, "b": 2})
    d.update([("w", 1)])
    d.pop("w", None)
    return list(d)
>>> 5

=== odict_mut
from collections import OrderedDict
d = OrderedDict(a=1, b=2)
def f(x):
    global d
    d.update(c=x)
    d.move_to_end("a")
    d.move_to_end("b", last=False)
    d.popitem(last=False)
    d["b"] = 2
    d.pop("c")
    d.move_to_end("b")
    d.setdefault("e", 1)
    del d["e"]
    d |= {"k": 1}
    d.popitem()
    return list(d.items()), list(reversed(d))
>>> 5

=== deque_mut
from collections import deque
d = deque([1, 2, 3])
def f(x):
    global d
    d.rotate(1)
    d.rotate(-1)
    d.extend([x])
    d.extendleft([0])
    d.popleft()
    d.pop()
    d.insert(1, 9)
    d.remove(9)
    d.reverse()
    d.reverse()
    d[0] = 1
    d += [1]
    d.pop()
    del d[0]
    d.appendleft(1)
    return list(d)
>>> 5

=== deque_item
from collections import deque
d = deque([1, 2, 3])
def f(x):
    d[0] = x
    d[-1] = [x]
    return d[1]
>>> 5

=== deque_del
from collections import deque
d = deque([1, 2, 3])
def f(x):
    del d[0]
    d.appendleft(1)
>>> 5

=== deque_iadd
from collections import deque
d = deque([1, 2, 3], 3)
def f(x):
    global d
    d += [x]
    d.extend([1, 2, 3])
>>> 5

=== counter_mut
from collections import Counter
c = Counter(a=1)
def f(x):
    global c
    c.update("ab")
    c.subtract("ab")
    c["z"] += 1
    del c["z"]
    c["b"]
    c += Counter()
    return c.most_common()
>>> 5

=== counter_upd
from collections import Counter
c = Counter(a=1)
def f(x):
    c.update("ab")
    c.subtract(c)
    c.clear()
    c["a"] = 1
    return c
>>> 5

=== dd_missing
from collections import defaultdict
d = defaultdict(list)
def f(x):
    d[x].append(1)
    return d[x]
>>> 1
>>> 2

=== dd_missing2
from collections import defaultdict
d = defaultdict(int)
def f(x):
    d[x] += 1
    d.pop(x)
    return len(d), d.get(x)
>>> 5

=== chainmap_ext
from collections import ChainMap
m = ChainMap({}, {"x": 1})
def f(v):
    m["z"] = [v]
    return m["x"], "z" in m, len(m)
>>> 1

=== list_sub_ext
class L(list):
    pass
l = L([1])
l.tag = 1
def f(x):
    l.append(x)
    l.tag = [l.pop()]
    return l
>>> 1

=== dict_sub_ext
class D(dict):
    pass
d = D(a=1)
def f(x):
    d[x] = [x]
    d.tag = x
    return d
>>> 1

=== set_deque_sub
from collections import deque
class S(set):
    pass
class Q(deque):
    pass
s = S([1])
q = Q([1], 4)
def f(x):
    s.add(x)
    s.tag = x
    q.append(x)
    q.tag = [x]
    q.appendleft(0)
    r = len(q)
    q.pop()
    q.popleft()
    return r
>>> 5

=== nested_shared
a = []
d = {"x": a, "y": [a]}
def f(x):
    d["y"][0].append(x)
    n = len(a)
    d["x"].clear()
    return n, d["x"] is a
>>> 5

=== write_cycle
d = {}
l = []
def f(v):
    d["l"] = l
    d["d"] = d
    l.append(d)
    l.pop()
    return d
>>> 1

=== order_keep
d = {"a": 1, "b": 2, "c": 3}
def f(v):
    d["a"] = v
    del d["b"]
    d["b"] = v
    return list(d)
>>> 1

=== dict_view_write
d = {"a": 1}
def f(v):
    for k in list(d):
        d[k] = [v]
    for k, x in d.items():
        x.append(k)
    return d
>>> 1

=== del_attr
class C:
    pass
c = C()
c.x = 1
def f(v):
    del c.x
    r = hasattr(c, "x")
    c.x = v
    c.__dict__["y"] = [v]
    delattr(c, "y")
    return r
>>> 5

=== del_global
g = 1
def f(v):
    global g, h
    h = v
    del h
    r = "h" in globals()
    g = [v]
    return r
>>> 5

=== del_item
d = {"a": 1, "b": 2}
def f(v):
    x = d["a"]
    del d["a"]
    d["a"] = x
    return list(d)
>>> 5

=== class_attr
class M(type):
    pass
class C(metaclass=M):
    n = 0
def f(v):
    C.n = v
    C.m = [v]
    del C.m
    setattr(C, "k", lambda self: v)
    return C().k(), C.n
>>> 5

=== module_attr
import types
m = types.ModuleType("m")
def f(v):
    m.x = [v]
    m.y = 1
    del m.y
    return m.x
>>> 5

=== func_attr
def g(a=1):
    return a
def f(v):
    g.tag = [v]
    g.__dict__["q"] = v
    del g.q
    return g.tag
>>> 5

=== func_kwdefaults_item
def g(*, a=1):
    return a
def f(v):
    g.__kwdefaults__["a"] = v
    return g()
>>> 5

=== slot_write
class C:
    __slots__ = ("a", "b")
c = C()
c.a = 1
def f(v):
    c.a = [v]
    c.b = v
    del c.b
    return c.a
>>> 1

=== prop_setter
log = []
class C:
    @property
    def x(self):
        return self._x
    @x.setter
    def x(self, v):
        log.append(v)
        self._x = [v]
c = C()
def f(v):
    c.x = v
    return c.x
>>> 1

=== user_container
class Box:
    def __init__(self):
        self.d = {}
        self.l = []
    def __setitem__(self, k, v):
        self.d[k] = v
        self.l.append(k)
    def __getitem__(self, k):
        return self.d[k]
    def __delitem__(self, k):
        del self.d[k]
        self.l.remove(k)
    def __iadd__(self, v):
        self.l.append(v)
        return self
    def __len__(self):
        return len(self.l)
b = Box()
def f(v):
    global b
    b["k"] = [v]
    x = b["k"]
    del b["k"]
    b += 1
    b.l.pop()
    return x, len(b)
>>> 1

=== nonlocal_cell
def make():
    n = [0]
    m = 0
    def inner(v):
        nonlocal m
        m = [v]
        n[0] = v
        return m
    return inner
inner = make()
def f(v):
    return inner(v)
>>> 1

=== ext_partial_attr
import functools
def g(a):
    return a
p = functools.partial(g, 1)
def f(v):
    p.tag = [v]
    return p(), p.tag
>>> 5

=== ext_ns
import types
n = types.SimpleNamespace(a=1)
def f(v):
    n.b = [v]
    n.a = v
    del n.b
    return n.a, vars(n)
>>> 5
!!! n.a = 9; n.c = 3

=== func_defaults | eager
def g(a=1):
    return a
def f(v):
    g.__defaults__ = (v,)
    return g()
>>> 5

=== func_kwdefaults | eager
def g(*, a=1):
    return a
def f(v):
    g.__kwdefaults__ = {"a": v}
    return g()
>>> 5

=== func_code | eager
def g():
    return 1
def h():
    return 2
def f(v):
    g.__code__ = h.__code__
    return g()
>>> 5

=== func_name | eager
def g():
    return 1
def f(v):
    g.__name__ = "q"
    g.__doc__ = "d"
    g.__annotations__["x"] = int
    return g.__name__, g.__doc__
>>> 5

=== inst_class | eager
class A:
    def m(self):
        return "A"
class B(A):
    def m(self):
        return "B"
o = A()
def f(v):
    o.__class__ = B
    return o.m()
>>> 5

=== inst_dict_replace | eager
class A:
    pass
o = A()
o.x = 1
def f(v):
    o.__dict__ = {"x": v}
    return o.x
>>> 5

=== exc_ext_write | eager
e = ValueError(1)
def f(v):
    e.args = (v,)
    e.tag = v
    return e
>>> 5

=== ba_iadd | eager
b = bytearray(b"a")
def f(v):
    global b
    b += b"x"
>>> 5

=== ba_iadd2 | eager
class C:
    pass
c = C()
c.b = bytearray(b"a")
def f(v):
    c.b += b"x"
    c.b[0] = 3
>>> 5

=== ba_store | eager
b = bytearray(b"abc")
def f(v):
    b[0] = v
    b[1:2] = b"zz"
    del b[0]
>>> 5
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_writes(case):
    check(case)
