"""Writes: every mutator of containers, attributes, globals, functions and classes."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== the_end_of_a_list_that_grows
log, deep = [0], [[1], [2]]
def f(x):
    log.append(x)
    log.append([x])
    deep.append(log)
    a, b = log[-2], deep[-3]
    log[-1].append(b)
    return a, b, log[-1], deep[-1] is log, deep[-2]
>>> 1
>>> 2
!!! log.append(5)
!!! deep[-2] = [7]
!!! del log[:], deep[1:]

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

=== set_pop | eager
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

=== class_of_a_new_object
class A:
    def m(self): return "a", self.x
class B(A):
    def m(self): return "b", self.x
def f(v):
    o = A()
    o.x = v
    first = o.m()
    o.__class__ = B
    return first, o.m(), type(o) is B, isinstance(o, B), o
>>> 5
!!! B.m = lambda self: 1

=== class_of_a_new_object_is_wrong
class A: pass
def f(v):
    try:
        A().__class__ = int
    except TypeError as e:
        return str(e)
>>> 5

=== class_with_del | eager
class A: pass
class B:
    seen = []
    def __del__(self): self.seen.append(1)
def f(v):
    o = A()
    o.__class__ = B
    del o
    return len(B.seen)
>>> 5

=== class_of_an_object | eager
class A: pass
class B: pass
o = A()
def f(v):
    o.__class__ = B
>>> 5

=== dict_of_an_object | eager
class A: pass
o = A()
def f(v):
    o.__dict__ = {"x": v}
>>> 5

=== dict_shared_by_two_new_objects | eager
class A: pass
def f(v):
    a, b = A(), A()
    b.__dict__ = a.__dict__
    a.x = v
    return a, b
>>> 5

=== defaults_of_a_function | eager
def g(a=1, *, b=2): return a, b
def f(v):
    g.__defaults__ = (v,)
    g.__kwdefaults__ = {"b": v}
    return g()
>>> 5

=== attributes_of_a_function
def g(a=1, *, b=2): return a, b
def f(v):
    g.tag = v
    g.__dict__["other"] = v
    g.__doc__ = "text"
    g.__kwdefaults__["b"] = v
    return g()
>>> 5

=== ba_iadd
b = bytearray(b"a")
def f(v):
    global b
    b[:] = b"a"
    b += b"x"
>>> 5

=== ba_iadd2
class C:
    pass
c = C()
c.b = bytearray(b"a")
def f(v):
    c.b += b"x"
    c.b[0] = 3
    del c.b[1:]
>>> 5

=== ba_store
b = bytearray(b"abc")
def f(v):
    b[0] = v
    b[1:2] = b"zz"
    del b[0]
>>> 5
!!! b.clear(); b.extend(b"wxyz")

=== ba_methods
b = bytearray(b"abcabc")
def f(v):
    b.append(v); b.extend([1, 2]); b.insert(0, 7); b.remove(7); b.reverse()
    b.extend(i for i in range(3)); b.__setitem__(0, 3); b.__delitem__(1)
    last = b.pop(), b.pop(0)
    b[:] = b[:2]
    return last, len(b), b.count(b"a"), bytes(b), b"%b" % b
>>> 5
!!! b[:] = b"abcabc"

=== ba_reads
b = bytearray(b"abc")
def f(v):
    return (len(b), bool(b), b[0], b[-1], b[::2], list(b), 97 in b, b"bc" in b,
            [c for c in b], b == b"abc", b < bytearray(b"b"), b + b"x", b.decode(),
            b.hex(), sum(b),
            b.find(b"c"), tuple(b), max(b), f"{b}", str(b), b.startswith(b"ab"), sorted(b))
>>> 5
!!! b[0] = 100
!!! b.append(1)

=== ba_length_only
b = bytearray(b"abc")
def f(v):
    return len(b) if b else "none"
>>> 5
!!! b[0] = 100
!!! b.clear()

=== ba_two_names
a = bytearray(b"abc"); b = bytearray(b"abc")
def f(v):
    a[0] = v
    return bytes(b)
>>> 5
!!! b = a
!!! b = bytearray(b"abc")

=== ba_index_of_the_program
class I:
    def __index__(self): return 65
b = bytearray(b"abc")
i = I()
def f(v):
    b[0] = i
    b.append(i)
    del b[-1]
>>> 5
!!! I.__index__ = lambda self: 66

=== ba_wrong
b = bytearray(b"abc")
def f(v):
    try:
        b.append(v)
    except ValueError as e:
        return str(e)
>>> 300

=== ba_shared | eager
b = bytearray(b"abc")
m = memoryview(b)
def f(v):
    return b[0]
>>> 5
!!! m[0] = 70

=== ba_of_a_class | eager
class B(bytearray):
    pass
b = B(b"abc")
def f(v):
    b.append(v)
    return b[0]
>>> 5

=== ba_iterator_goes_on
b = bytearray(b"abc")
def f(v):
    found = []
    for c in b:
        found.append(c)
        if len(b) < 6:
            b.append(c + 1)
    return found
>>> 5
!!! b[:] = b"xy"

=== set_pop_of_several | eager
st = {1, 2}
def f(v):
    st.pop()  # which member depends on how far earlier pops went
    st.add(1)
>>> 5

=== set_pop_of_one | eager
st = {1}
def f(v):
    x = st.pop()  # the set remembers how far it got
    st.add(v)
    return x
>>> 1

=== set_pop_of_a_new_set
def f(v):
    st = {1, v}
    return st.pop(), st
>>> 1
>>> 2

=== attribute_of_an_immutable_class | eager
import types
kinds = [types.ModuleType, int]
def f(v):
    out = []
    for kind in kinds:
        try:
            del kind.zz
        except (TypeError, AttributeError) as e:
            out.append(type(e))
        try:
            kind.zz = 1
        except TypeError:
            out.append(2)
    return out
>>> 1

=== insort_without_a_list | eager
import bisect
xs = (1, 2)
def f(v):
    try:
        bisect.insort(xs, v)
    except AttributeError as e:
        return str(e)
>>> 5

=== init_of_a_deque_again | eager
import collections
def f(d):
    d.__init__([1, 2, 3, 4], 2)
    return d
>>> collections.deque([1, 2, 3], 5)
>>> collections.deque([1, 2, 3])
>>> collections.deque([1], 2)

=== init_of_a_deque_without_bound | eager
import collections
class D(collections.deque): pass
def f(d):
    collections.deque.__init__(d, [1, 2, 3])
    return d
>>> collections.deque([1, 2, 3], 2)
>>> D([1, 2, 3], 2)

=== init_of_a_new_deque
import collections
class D(collections.deque):
    def __init__(self, xs, n):
        super().__init__(xs, n)
def f(n):
    d = D([1, 2, 3], n)
    d.__init__([4, 5, 6], 1)
    return d
>>> 2

=== init_of_descriptors_again | eager
def a(*x): return 1
def b(*x): return 2
def f(p):
    p.__init__(b)
    return p.__get__(1)
>>> property(a)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_writes(case):
    check(case)
