"""What functools caches: `lru_cache` with its counters and its order, `cached_property`.

A cache is state.  A hit in it is a read and counts; a miss runs the function and keeps the
answer.  The oracle sees keys, answers, their order, and the counters."""

from __future__ import annotations

import ctypes
import functools
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from oracle import Case, cases, check, engine_compile

HEAD = "import functools\nlog = []\n"

PROGRAMS = """
=== answers_of_before
CFG = {"scale": 2}
@functools.lru_cache
def scale():
    return CFG["scale"]
scale()
def f():
    return scale()
!!! CFG["scale"] = 5; scale.cache_clear()
!!! CFG["scale"] = 6
!!! scale()

=== misses_write
@functools.lru_cache(None)
def k(n):
    log.append(n)
    return n + 1
def f(n):
    return k(n)
>>> 1
>>> 2
!!! k.cache_clear()
!!! k(2)

=== methods_of_objects
class Box:
    def __init__(self, by): self.by = by
    @functools.lru_cache(maxsize=4)
    def times(self, n):
        log.append(n)
        return self.by * n
    def __len__(self): return 1
a, b = Box(2), Box(3)
box = a
def f(n):
    return box.times(n), Box.times(b, n)
>>> 1
!!! a.by = 5
!!! a.by = 7; Box.times.cache_clear()
??? box = b
??? box = Box(9)

=== answers_are_objects
@functools.lru_cache(maxsize=None)
def k(n):
    log.append(n)
    return [n, {"n": n}]
def f(n):
    first = k(n)
    first[1]["n"] = n + 1
    return first, k(n) is first, k(n)[1]
>>> 1
>>> 2
!!! k(1).append(3)
!!! k.cache_clear()

=== answers_are_kept_by_others
class Box:
    pass
box = Box()
@functools.lru_cache
def k(n):
    box.last = [n]
    return box.last
def f(n):
    return k(n) is box.last
>>> 1
!!! box.last = None
!!! k.cache_clear()
!!! k(7)

=== order_of_a_cache_with_a_bound
@functools.lru_cache(maxsize=3)
def k(n):
    log.append(n)
    return n
k(1), k(2), k(3)
def f(n):
    return k(1), k(n)
>>> 2
>>> 3
!!! k.cache_clear(); k(2); k(1); k(3)
!!! k(1); k(2); k(3)
??? k(4)
??? k(5), k(6)

=== full | of g
@functools.lru_cache(maxsize=1)
def k(n):
    log.append(n)
    return n
def g(n):
    return k(n)
>>> 1
??? k(2)

=== filled_within | of g
@functools.lru_cache(maxsize=4)
def k(n):
    log.append(n)
    return 1 if n < 1 else k(n - 1) + n
def g(n):
    return k(n), k(0)
>>> 3
>>> 2
!!! k.cache_clear(); k(0)
!!! k.cache_clear()

=== too_many_within | eager
@functools.lru_cache(maxsize=2)
def k(n):
    log.append(n)
    return 1 if n < 1 else k(n - 1) + n
def f(n):
    return k(n), k(0), k(n)
>>> 3
>>> 1
!!! k.cache_clear()

=== recursion
@functools.lru_cache(None)
def fib(n):
    log.append(n)
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def f(n):
    return fib(n)
>>> 6
>>> 4
!!! fib.cache_clear()
!!! fib.cache_clear(); fib(3)

=== keeps_nothing
@functools.lru_cache(maxsize=0)
def k(n):
    log.append(n)
    return [n]
def f(n):
    return k(n) is k(n)
>>> 1
!!! log.clear()

=== raises
@functools.lru_cache
def k(n):
    log.append(n)
    return 1 // n
def f(n):
    try:
        return k(n)
    except ZeroDivisionError:
        return "raised"
>>> 0
>>> 1
!!! k.cache_clear()

=== keys_with_keywords
@functools.lru_cache(None)
def k(a, b=1, **more):
    log.append((a, b, *more))
    return len(log)
p = functools.partial(k, x=1, y=2)
def f(a):
    return k(a), k(a=a), k(a, 1), k(a, b=1), k(b=1, a=a), p(a), p(a, x=3), p(a, z=1)
>>> 1
>>> "a"
!!! k.cache_clear()
!!! p(1, x=3)

=== keys_with_types
@functools.lru_cache(typed=True)
def k(*args, **more):
    log.append(args)
    return args, more
def f(a):
    return k(a), k(a, a), k(a, x=a), k(1), k(1.0), k((1,)), k((1.0,))
>>> 1
>>> 1.0
>>> True
!!! k.cache_clear()

=== keys_without_types
@functools.lru_cache
def k(*args):
    log.append(args)
    return args
def f(a):
    return k(a), k((a, "b")), k(None), k("a"), k(int)
>>> 1
>>> 1.0
>>> True
!!! k.cache_clear()
!!! k.cache_clear(); k(True)

=== keys_that_equal_others | eager
class One:
    def __eq__(self, other):
        log.append("compared")
        return other == 1
    def __hash__(self):
        return hash(1)
@functools.lru_cache(None)
def k(n):
    return [n]
k(One())
def f(n):
    return k(n), k(2)
>>> 1
!!! k.cache_clear()

=== caches_of_c_functions
k = functools.lru_cache(len)
k("abc")
def f(s):
    return k(s)
>>> "abc"
??? k.cache_clear()

=== another_cache
def make(add):
    return functools.lru_cache(None)(lambda n: [n + add])
one, two = make(1), make(2)
class Holder:
    pass
h = Holder()
h.k = one
one(1), two(1)
def f():
    return h.k(1)
!!! h.k = two
!!! h.k = make(3)
!!! h.k = one

=== caches_of_classes
@functools.lru_cache(None)
class A:
    def __init__(self, n):
        self.n = n
A(1)
def f(n):
    return A(n).n
>>> 1
??? A(1).n = 3

=== caches_behind_caches
@functools.lru_cache
@functools.lru_cache(None)
def k(n):
    log.append(n)
    return [n]
k(1)
def f(n):
    return k(n)
>>> 1
??? k.__wrapped__.cache_clear()
??? k.cache_clear()

=== changed_while_it_runs
@functools.lru_cache(None)
def k(n):
    log.append(n)
    if n == 1 and len(log) < 2:
        k(1)
    return [n]
def f(n):
    return k(n)
>>> 1
>>> 2
??? k.cache_clear(); log.clear()
"""

BREAKING = """
=== room_of_a_cache_with_a_bound
@functools.lru_cache(maxsize=2)
def k(n):
    log.append(n)
    return n
def f(n, others):
    k.cache_clear()
    for i in others:
        k(i)
    return k(n)
>>> 1, []
>>> 1, [5]
>>> 1, [5, 6]

=== counters_are_read
@functools.lru_cache
def k(n):
    return n
def f(n):
    k(n)
    before = k.cache_info()
    k(n), k(n)
    return before, tuple(k.cache_info()), k.cache_parameters()
>>> 1
>>> 2
!!! k.cache_clear()

=== cleared_by_the_run
@functools.lru_cache(None)
def k(n):
    log.append(n)
    return [n]
def f(n):
    a = k(n)
    k.cache_clear()
    return a is k(n), k(n)
>>> 1
!!! k(2)

=== called_by_c_code
@functools.lru_cache(None)
def k(n):
    log.append(n)
    return -n
def f(ns):
    return sorted(ns, key=k), list(map(k, ns)), functools.reduce(max, map(k, ns))
>>> [1, 3, 2]
!!! k.cache_clear()

=== methods_and_properties
class A:
    n = 1
    @functools.lru_cache(None)
    def k(self, n):
        log.append(n)
        return [n]
    @property
    @functools.lru_cache(None)
    def p(self):
        return [self.n]
    @staticmethod
    @functools.lru_cache
    def s(n):
        return [n]
    @classmethod
    @functools.lru_cache
    def c(cls, n):
        log.append(cls.__name__)
        return [n]
    @functools.cached_property
    def size(self):
        log.append("size")
        return [self.n]
a = A()
def f(n):
    return a.k(n), a.p, a.s(n), a.c(n), a.size
>>> 1
>>> 2
!!! a = A()
!!! A.k.cache_clear(); A.c.cache_clear()
!!! a.n = 2; del a.size
"""


def with_head(programs: str) -> list[Case]:
    return cases(HEAD + programs)


CASES = with_head(PROGRAMS)
BREAKS = with_head(BREAKING)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_caches(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", BREAKS, ids=str)
def test_caches_that_break(case: Case) -> None:
    check(case, whole=False)


def test_what_a_cache_keeps_dies_with_it() -> None:
    class Thing:
        pass

    @functools.lru_cache(maxsize=8)
    def make(n: int) -> Thing:
        return Thing()

    def f(n: int) -> Thing:
        return make(n)

    fast = engine_compile(f)
    for _ in range(3):
        things = [weakref.ref(fast(n)) for n in (1, 1, 2, 2, 1)]
        assert things[0]() is things[1]() is make(1)
        make.cache_clear()
        gc.collect()
        assert [thing() for thing in things] == [None] * 5
    assert fast.stats()["hits"] >= 5


def test_a_hit_waits_for_a_lock() -> None:
    """It does what eager does where another thread has the lock of a cached_property."""

    class A:
        @functools.cached_property
        def size(self) -> list[int]:
            return [1]

    def f(a: A) -> list[int]:
        return a.size

    fast = engine_compile(f)
    lock = getattr(vars(A)["size"], "lock", None)
    if lock is None:
        pytest.skip("cached_property takes no lock from 3.12 on")
    for _ in range(3):
        assert fast(A()) == [1]
    assert fast.stats()["hits"] == 2
    with lock:
        assert fast(A()) == [1]
        assert fast.stats()["hits"] == 3  # the lock is its own
        seen: list[object] = []
        given = A()
        thread = threading.Thread(target=lambda: seen.append(fast(given)))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        given.__dict__["size"] = [2]
    thread.join(10)
    assert seen == [[2]]
    assert fast(A()) == [1]
    assert fast.stats()["hits"] == 4


def test_what_logging_writes_under_its_lock_is_written_by_a_hit() -> None:
    log = logging.Logger("magpy.test.locks")

    def f() -> bool:
        return log.isEnabledFor(logging.INFO)

    fast = engine_compile(f)
    for level in (logging.WARNING, logging.INFO):
        log.setLevel(level)
        for _ in range(2):
            log._cache.clear()  # type: ignore[attr-defined]
            assert fast() is (level == logging.INFO)
    for _ in range(4):
        assert fast()
    stats = fast.stats()
    assert stats["hits"] >= 2 and stats["fallbacks"] == 0
    log._cache.clear()  # type: ignore[attr-defined]
    assert fast()
    assert fast.stats()["hits"] == stats["hits"] + 1
    assert log._cache == {logging.INFO: True}  # type: ignore[attr-defined]
    log._cache.clear()  # type: ignore[attr-defined]
    log.setLevel(logging.WARNING)
    assert not fast()


def test_a_cache_is_filled_where_its_layout_is_known() -> None:
    """Hits without a frame, and with one, in both kinds of table."""
    for size in (None, 4):
        log: list[int] = []

        def run(n: int, log: list[int] = log) -> int:
            log.append(n)
            return n

        cached: Callable[..., Any] = functools.lru_cache(size)(run)

        def f(n: int, cached: Callable[..., Any] = cached) -> int:
            result: int = cached(n)
            return result

        fast = engine_compile(f)
        for _ in range(4):
            cached.cache_clear()  # type: ignore[attr-defined]
            assert [fast(1), fast(1), fast(1)] == [1, 1, 1]
        info = cached.cache_info()  # type: ignore[attr-defined]
        assert (info.hits, info.misses, log) == (2, 1, [1] * 4)
        assert (fast.stats()["recordings"], fast.stats()["hits"]) == (2, 10)


def test_two_entries_behind_a_break_know_one_cached_property():
    """Each guards a property that it does not keep alive: that is no finalizer of it."""

    class A:
        @functools.cached_property
        def size(self):
            return [1]

    def f(a, x):
        op()
        return a.size, x is None

    op = ctypes.pythonapi.Py_IsInitialized  # has no row
    fast = engine_compile(f)
    for x in (None, 1, None, 1):
        assert fast(A(), x) == ([1], x is None)
    stats = fast.stats()
    assert stats["hits"] == 2 and stats["breaks"] == {"opaque-call": 2}, stats
