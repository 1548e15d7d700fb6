"""Calls that break and go on: before an instruction that cannot be recorded, behind it."""

from __future__ import annotations

import pytest

from oracle import cases, check

# `op` is a C function that nobody has a row for; it answers 1.
CASES = cases("""
import ctypes
op = ctypes.pythonapi.Py_IsInitialized

=== straight
def f(a, b):
    l = [a, b]
    l.append(op())
    return l, a + 1
>>> 1, [2]
>>> 2, (3,)

=== half_built_call
def g(*args, k=0, **kw): return args, k, kw
def f(a):
    return g(a, op(), [a], k=op() + a, z=op())
>>> 1

=== keyword_call_of_the_opaque_function
import functools
h = functools.partial(op)
def f(a):
    return h(*[], **{}), a
>>> 1

=== in_a_loop
def f(n):
    out = []
    for i in range(n):
        out.append((i, op()))
        out.append(i * 2)
    return out
>>> 5
>>> 0

=== functions_that_a_gap_has_made
import functools, gc, weakref
def wrap(f):
    op()
    def wrapper(*args): return f(*args)
    return wrapper
def made(f):
    return wrap(f) if op() else None
def g(x): return x
def f(x):
    w = functools.reduce(lambda a, b: wrap(a), [g, 1, 2])
    v = made(w)
    refs = [weakref.ref(w), weakref.ref(v)]
    out = []
    for r in refs:
        op()
        out.append(r() is None)
    out.append(v(x))
    del v, w
    gc.collect()
    for r in refs:
        out.append(r() is None)
    return out
>>> 1

=== dict_iterators_over_dicts_that_are_filled_late
class Node: pass
def each(node, d):
    node.me, node.d, node.seen = node, d, []
    for k, v in d.items():
        node.seen.append((k, v, op()))
    for v in d.values():
        node.seen.append((v, op()))
    for k in d:
        op()
        node.seen.append(k)
        if len(node.seen) == 8:
            return node, iter(d)
def f(x):
    n = Node()
    return each(n, {1: [x], "a": n, (2, 3): x})
>>> 1
>>> [2]

=== builtins_and_classes_that_a_gap_has_found
class C: pass
class D(C): pass
def found(x):
    return (len if op() else x), (D if op() else x)
def f(x):
    n, c = found(x)
    op()
    a = n(x), c(), isinstance(c(), C), n is len
    for name in ("append", "pop"):
        m = getattr(x, name) if op() else None
        op()
        m(1) if name == "append" else m()
    return a, x
>>> [1, 2]

=== loops_over_what_is_outside
items = [[1], [2], [3]]
more = {"a": [4], 5: [6]}
def f(n):
    out = []
    for x in items:
        out.append((op(), x))
        x.append(n)
    for k in more:
        out.append((op(), k))
    for v in more.values():
        op()
        v.append(out)
    for t in tuple(items):
        out.append(op() + t[0])
    for i in range(3, n):
        op()
    else:
        out.append(i)
    return out
>>> 5
!!! items.append([7]); more["b"] = []
!!! del items[:2]; more.clear()
!!! items.clear()

=== loops_that_change_what_they_go_through
items, more = [1, 2, 3], {1: 2, 3: 4}
def f(a):
    out = []
    for x in items:
        op()
        out.append(x)
        if len(items) < 6:
            items.append(x + a)
        elif x == a:
            items.remove(a)
    try:
        for k in more:
            op()
            more[len(more) + 5] = a
    except RuntimeError as e:
        out.append(str(e))
    for i, k in enumerate(list(more)):
        op()
        if i:
            del more[k]
    return out
>>> 1
>>> 1
>>> 2

=== one_iterator_under_two_names
def f(a, b):
    out = []
    for x in a:
        out.append(x)
        out.append(op())
        for y in b:
            out.append((y, op()))
            break
    return out
i = iter([1, 2, 3, 4])
>>> iter([1, 2, 3]), iter([4, 5])
>>> i, i
>>> iter(range(4)), iter(range(2, 300, 150))
>>> iter({1: 2}.values()), iter({3: 4})

=== while_loop_with_continue
def f(n):
    i, out = 0, []
    while True:
        i += op()
        if i % 2:
            continue
        if i > n:
            break
        out.append(i)
    else:
        out.append("else")
    return out
>>> 6

=== nested_loops_over_lists
def f(rows):
    out = {}
    for a, row in enumerate(rows):
        for b, x in zip(row, "abc"):
            out[a, b] = x, op()
    return out
>>> [[1, 2], [3]]

=== in_with
log = []
class W:
    def __enter__(self):
        log.append("in"); op()
        return self
    def __exit__(self, *a):
        log.append(a[0]); op()
        return a[0] is KeyError
def f(x):
    with W() as w:
        y = x + op()
        if y == 3:
            raise KeyError(y)
        return y, type(w)
    return "swallowed"
>>> 1
>>> 2

=== in_try
log = []
def f(x):
    try:
        log.append(op())
        if x:
            raise ValueError(x)
        return op() + 1
    except ValueError as e:
        log.append(op())
        return e.args
    finally:
        log.append("finally")
        op()
        log.append("end")
>>> 0
>>> 1

=== the_opaque_call_raises
import array
log = []
def f(t):
    log.append("before")
    try:
        a = array.array(t, [1])
        log.append("made")
    except ValueError as e:
        log.append(str(e))
        op()
    log.append("after")
    return len(log)
>>> "i"
>>> "no such type"
!!! log.clear()

=== the_opaque_call_raises_out
import array
def g(t):
    x = [t]
    return array.array(t, x)
def f(t):
    y = {t: 1}
    return g(t), y
>>> "no such type"

=== callees
def h(x, y=2):
    z = op()
    return x + y + z
def g(x):
    a = h(x)
    return a, h(x, y=a)
def f(x):
    b = g(x)
    return b, g(x + 1), op()
>>> 1

=== methods_and_constructors
class A:
    def __init__(self, k):
        self.k = k
        self.z = op()
        self.e = [k]
    def m(self, q):
        return self.k + op() + q
    def __call__(self, q):
        r = self.m(q)
        return r, op()
def f(x):
    a = A(x)
    return a, a(1), a.m(2)
>>> 1
>>> 2

=== recursion
def g(n):
    if n == 0:
        return [op()]
    return g(n - 1) + [n, op()]
def f(n):
    return g(n)
>>> 3

=== closures_and_cells
def f(x):
    n = [x]
    def add(k):
        nonlocal x
        x += k + op()
        n.append(x)
        return lambda: (x, n)
    r = add(1)
    op()
    r2 = add(2)
    return r(), r2(), x
>>> 1

=== comprehension
def f(n):
    return [op() + i for i in range(n)], {i: op() for i in range(n)}
>>> 3

=== generator_with_a_break
def g(n):
    for i in range(n):
        yield op() + i
def f(n):
    return list(g(n)), sum(g(n))
>>> 3

=== below_c_code
def key(x):
    op()
    return -x
class V:
    def __init__(self, v): self.v = v
    def __lt__(self, o):
        op()
        return self.v < o.v
    def __add__(self, o):
        return self.v + o.v + op()
def f(l):
    a = sorted(l, key=key), list(map(key, l))
    return a, V(1) < V(2), V(1) + V(2), max(l, key=key)
>>> [1, 3, 2]

=== property_and_getattr
class P:
    @property
    def p(self): return [op()]
    def __getattr__(self, name): return name, op()
def f():
    return P().p, P().other
>>>

=== writes_before_and_after
class Box: pass
box, log, d = Box(), [], {}
box.n = 0
def f(x):
    box.n = 1
    log.append(x)
    d[x] = op()
    box.n += d[x]
    log.append(box.n)
    del d[x]
    box.new = op(), [x]
    return box.n
>>> 1
>>> 2
!!! box.n = 5
!!! log.clear()

=== writes_seen_by_the_opaque_call
import _bisect, array
arr = array.array("i", [1, 2])
xs = [1, 5]
def f(x):
    xs.append(x)
    arr.append(len(xs))
    xs.pop()
    return arr.tolist()
>>> 3
>>> 4

=== aliases_across_a_break
xs = [1]
def f(a, b):
    c = xs
    op()
    c.append(a is b)
    return a is b, c is xs, a is c
>>> [1], [1]
>>> *[[1]] * 2
>>> xs, xs

=== fresh_object_shared_across_a_break
def f(x):
    inner = [x]
    a, b = {"i": inner}, (inner, inner)
    op()
    inner.append(op())
    return a, b, inner
>>> 1

=== a_number_that_changes
import array
arr = array.array("i", [0])
def f(x):
    arr[0] += 1
    n = arr[0]
    m = [n, x]
    y = n % 2
    if y:
        m.append("odd")
    return m
>>> 1
>>> 2

=== locals_unset_and_deleted
def f(x):
    if x:
        y = op()
    else:
        z = 3
    del x
    op()
    try:
        return y, locals()
    except UnboundLocalError as e:
        return e.args, locals()
>>> 1
>>> 0

=== state_changes_in_the_break
import ctypes
cfg = {"k": 1}
class Mut:
    def __call__(self): cfg["k"] += 1
def f():
    a = cfg["k"]
    op()
    b = cfg["k"]
    return a, b
>>>
!!! cfg["k"] = 7
!!! cfg["j"] = 1

=== loop_over_what_grows
def f(l):
    out = []
    for x in l:
        out.append(x)
        op()
        if len(l) < 5:
            l.append(x + 1)
    return out
>>> [1]

=== dict_loop
def f(d):
    out = []
    for k, v in d.items():
        out.append((k, v, op()))
    for k in sorted(d):
        op()
        out.append(k)
    return out
>>> {"a": 1, "b": 2}

=== dict_iterators_half_way
def f(d, e):
    out, new = [], {"p": 1, "q": 2, 3: 4}
    del new["p"]
    new["p"] = 5
    for k in d:
        d[k] = d[k] + op()
        out.append(k)
    for i, (v, w) in enumerate(zip(d.values(), new.items())):
        out.append((i, v, w, op()))
    for k in e:
        if k == "x":
            del e["x"]
            e["y"] = op()
            break
    it = iter(e.items())
    out.append(next(it))
    op()
    return out, list(it), list(it), op()
>>> {"a": 1, "b": 2}, {"x": 1, "z": 2}
>>> {"a": 1, "b": 2}, {"z": 1, "x": 2, "w": 3}

=== dict_that_grows_under_its_iterator
def f(d):
    out = []
    try:
        for k in d:
            out.append(k)
            d[k + "x"] = op()
    except RuntimeError as e:
        return out, e.args
>>> {"a": 1}

=== attributes_that_c_code_sets
import threading, weakref
class Node:
    size = 3
class Hooked:
    def __init__(self): vars(self)["seen"] = []
    class Hook:
        def __call__(self, name, value): seen.append((name, value))
    __setattr__ = Hook()
seen = []
node, local, hooked = Node(), threading.local(), Hooked()
p = weakref.proxy(node)
def f(x):
    p.size = x
    q = weakref.proxy(node)
    q.other = [x]
    local.x = x
    hooked.x = x
    op()
    del q.other, local.x
    return node.size, p.size, hasattr(local, "x"), list(seen), hasattr(node, "other")
>>> 4
!!! node.size = 5
!!! seen.clear()

=== texts_of_what_holds_functions
import collections
def f(x):
    def made(): return x
    d, q, s = collections.defaultdict(made), collections.deque([made]), {made}
    d[1]
    a = repr(d) == "defaultdict(%s, {1: %r})" % (repr(made), x)
    op()
    return a, repr(q) == "deque([%s])" % repr(made), repr(s) == "{%s}" % repr(made)
>>> 1

=== iterator_of_a_deque_whose_items_change
import collections
d = collections.deque([1, 2, 3])
def f(x):
    it, out = iter(d), []
    op()
    for i in range(len(d)):
        d[i] = (i, x)
    op()
    out.extend(it)
    try:
        it = iter(d)
        op()
        d.append(d.popleft())
        d.append(0)
        return out, list(it)
    except RuntimeError as e:
        d.pop()
        return out, e.args
>>> 1
>>> 2

=== class_of_the_call_dies
import gc, weakref
def f(x):
    class A:
        table = {}
    A.table[A] = x
    ref = weakref.ref(A)
    op()
    del A
    gc.collect()
    return ref() is None
>>> 1

=== star_and_unpacking
def f(l):
    a, *b = l
    op()
    return [*b, a, *(op() for _ in b)], {**{"k": op()}, "a": a}
>>> [1, 2, 3]

=== tuple_display_around_a_number_that_changes
import array
arr = array.array("i", [0])
def count():
    arr[0] += 1
    return [arr[0]]
def f(x):
    return (x, *count(), *[arr[0], op()]), [*count(), op(), x], {*count(), op()}
>>> 1

=== assertion_and_chained_exception
def f(x):
    try:
        op()
        assert x, [x]
    except AssertionError as e:
        op()
        raise KeyError(x) from e
    return x
>>> 1
>>> 0

=== many_arguments_and_defaults
def g(a, b=[1], /, c=2, *rest, d, e=4, **kw):
    op()
    return a, b, c, rest, d, e, kw
def f(x):
    return g(x, d=op()), g(x, [2], 3, 4, 5, d=6, e=7, z=8)
>>> 1
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_breaks(case):
    pair = check(case, whole=False)
    assert pair.stats()["calls"] > 0
