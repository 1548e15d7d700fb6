"""Objects that die in a hit alone, and whose finalizer sees what the call does after that.

A hit lets go of what its writes replace after the last of them, so it is none if anything
runs then (call/quiet.c).  Objects that have another holder are no reason.
"""

import pytest

from oracle import cases, check

CASES = cases("""
import collections, ctypes, weakref
op = ctypes.pythonapi.Py_IsInitialized
log, out = [], []
class D:
    def __del__(self):
        log.append(list(out))
        state["n"] = state.get("n", 0) + 1
class Box:
    v = None
class Slots:
    __slots__ = ("v",)
box, state, d = Box(), {}, {}
def note(ref=None):
    log.append(list(out))
def gen():
    try:
        yield 1
    finally:
        note()

=== attribute
def f():
    box.v = None
    out.append(1)
    return len(out)
!!! box.v = 1
??? box.v = D()
!!! box.v = 2

=== attribute_deleted
def f():
    if hasattr(box, "v"):
        box.v = None
    out.append(state.get("n"))
??? box.v = D()

=== nested
def f():
    box.v = None
    out.append(1)
??? box.v = [({"a": D()},)]
!!! box.v = [1]
??? box.v = [D()] * 3

=== key
def f():
    d["k"] = None
    out.append(1)
??? d["k"] = D()

=== slot
box = Slots()
def f():
    box.v = None
    out.append(1)
??? box.v = D()

=== cell
def make():
    v = None
    def f():
        nonlocal v
        v = None
        out.append(1)
    def put(x):
        nonlocal v
        v = x
    return f, put
f, put = make()
??? put(D())

=== global_name
v = None
def f():
    global v
    v = None
    out.append(1)
??? global v; v = D()

=== class_attribute
def f():
    Box.v = None
    out.append(1)
??? Box.v = D()

=== items_of_items
l = [[1], [2]]
def f():
    l.clear()
    out.append(1)
!!! l.append([3]); l.append([4])
!!! l.append([3]); l.append([4])
??? l.append([D()]); l.append([4])

=== callback
def f():
    box.v = None
    out.append(1)
??? box.v = Box(); box.r = weakref.ref(box.v, note)

=== generator
def f():
    box.v = None
    out.append(1)
??? box.v = gen(); next(box.v)

=== two_names
box2 = Box()
def f():
    box.v = None
    box2.v = None
    out.append(1)
??? box.v = box2.v = D()

=== moved
box2 = Box()
def f():
    box2.v = box.v
    box.v = None
    out.append(1)
!!! box.v = 1

=== held
def f():
    box.v = None
    out.append(1)
!!! box.v = state["d"] = D()

=== held_by_what_dies
class Pair: pass
def f():
    box.v = None
    out.append(1)
!!! box.v = Pair(); box.v.d = box.v.e = 1
??? box.v = Pair(); box.v.d = box.v.e = D()

=== order_changes
l = [D(), [D()], D()]
def f():
    l.reverse()
    out.append(1)
!!! l[1][0] = D()

=== members
s = {1}
def f():
    s.clear()
    out.append(1)
!!! s.add(1)
??? s.add(D())

=== ordered
o = collections.OrderedDict(a=1, b=[D()])
def f():
    o.move_to_end("a")
    o.move_to_end("b")
    out.append(1)
!!! o["b"][0] = D()

=== deque
q = collections.deque([[1], [2]])
def f():
    q.popleft()
    q.append([3])
    out.append(1)
!!! q[0].append(1)
??? q[0].append(D())
!!! q[0].append(1)

=== exhausted
it = iter([1])
def f():
    for x in it:
        out.append(x)
    out.append(2)
!!! it = iter([1])
??? it = iter([D()])

=== local_behind_a_break
made = [[0] for _ in range(99)]
def f():
    v = op(), made.pop()
    out.append(op())
    v = None
    out.append(2)
    return v
!!! made.append([1])
!!! made.append([1])
??? made.append([D()])
!!! made.append([1])

=== local_behind_a_break_is_kept
made = [[0] for _ in range(99)]
def f():
    v = op(), made.pop()
    out.append(op())
    w, v = v, None
    out.append(2)
    op()
    return w
!!! made.append([1])
!!! made.append([D()])

=== dies_at_the_end_behind_a_break
made = [[0] for _ in range(99)]
def f():
    v = op(), made.pop()
    w = [op()]
    w = None
    out.append(2)
    return v[0]
!!! made.append([1])
!!! made.append([D()])

=== dies_in_a_frame_behind_a_break
made = [[0] for _ in range(99)]
def g():
    v = op(), made.pop()
    return op()
def f():
    out.append(g())
    out.append(2)
!!! made.append([1])
!!! made.append([1])
??? made.append([D()])
!!! made.append([1])

=== much
def f():
    box.v = None
    out.append(1)
!!! box.v = [[[i] for i in range(300)]] * 2
??? box.v = [[[i] for i in range(300)] + [D()]] * 2

=== deep
def nest(x):
    for _ in range(500):
        x = [x]
    return x
def f():
    box.v = None
    out.append(1)
??? box.v = nest(1)
??? box.v = nest(D())
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_finalizers(case):
    check(case, whole="break" not in case.name)
