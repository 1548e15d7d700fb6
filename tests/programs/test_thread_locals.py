"""What threads keep to themselves: `threading.local`, read and written in runs and hits."""

from __future__ import annotations

import sys
import threading

import pytest

from oracle import cases, check, engine_compile

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="where 3.13 keeps them is not known: they break"
)

HEAD = """
import threading
seen = []
class Stack(threading.local):
    kind = "stack"
    def __init__(self, first=0): self.items = [first]
    def push(self, k): self.items.append(k)
    @property
    def top(self): return self.items[-1]
tl = threading.local()
tl.x = 1
st = Stack(5)
"""

PROGRAMS = """
=== reads
def f(): return tl.x
!!! tl.x = [2]
!!! tl = threading.local(); tl.x = 3

=== absence
def f(): return getattr(tl, "y", None), hasattr(tl, "x")
!!! tl.y = 4
!!! del tl.x

=== writes
def f(k):
    tl.x = k
    tl.new = [k]
    return tl.x, tl.new
>>> 1
!!! seen.append(sorted(tl.__dict__)); tl.new.append(5)
>>> 2
!!! seen.append((tl.x, tl.new))

=== deleted
def f():
    tl.x = 1
    tl.y = 2
    del tl.x
    return hasattr(tl, "x")
!!! seen.append(sorted(vars(tl).items()))

=== depth
def f(k):
    depth = getattr(tl, "depth", 0)
    tl.depth = depth + 1
    try: return k + tl.depth
    finally: tl.depth = depth
>>> 1
!!! seen.append(tl.depth)
>>> 2
!!! tl.depth = 3

=== subclass
def f(k):
    st.push(k)
    top = st.top
    st.items.pop()
    return top, st.kind, st.items
>>> 1
!!! st.items.append(7)
>>> 2
!!! Stack.kind = "other"
!!! st.kind = "own"
!!! Stack.top = 3

=== its_dict
def f():
    tl.__dict__["x"] = 2
    return len(vars(tl)), tl.x
!!! tl.z = 3
!!! seen.append(tl.x)

=== two_of_them
def f(a, b):
    a.x = 5
    return getattr(b, "x", 0)
>>> tl, threading.local()
!!! tl.x = 2
>>> tl, tl

=== written_and_read_as_a_dict
def f(a, d):
    a.x = 5
    return d["x"]
>>> tl, {"x": 1}
>>> tl, tl.__dict__
"""


@pytest.mark.parametrize("case", cases(HEAD + PROGRAMS), ids=str)
def test_thread_locals(case):
    check(case, engine_compile)


def test_each_thread_has_its_own():
    local = threading.local()

    def bump(k):
        local.n = getattr(local, "n", 0) + k
        return local.n

    fast = engine_compile(bump)
    assert [fast(1) for _ in range(4)] == [1, 2, 3, 4]
    answers: list[list[int]] = []

    def work(k):
        answers.append([fast(k) for _ in range(4)])

    for k in (10, 100):
        thread = threading.Thread(target=work, args=(k,))
        thread.start()
        thread.join()
    assert answers == [[10, 20, 30, 40], [100, 200, 300, 400]]
    assert fast(1) == local.n == 5


def test_a_constructor_runs_once_in_each_thread():
    made: list[str] = []

    class Own(threading.local):
        def __init__(self):
            made.append(threading.current_thread().name)
            self.items = [1]

    own = Own()
    fast = engine_compile(lambda: own.items)
    assert [fast() for _ in range(3)] == [[1]] * 3
    answers: list[list[int]] = []
    thread = threading.Thread(target=lambda: answers.extend(fast() for _ in range(3)))
    thread.start()
    thread.join()
    assert answers == [[1]] * 3
    assert answers[0] is not own.items
    assert len(made) == 2
