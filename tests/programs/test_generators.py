"""Context managers and generators."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== user_context
log = []
class Ctx:
    def __init__(self, name):
        self.name = name
    def __enter__(self):
        log.append("enter " + self.name)
        return self
    def __exit__(self, kind, value, tb):
        log.append("exit")
        return False
def f(x):
    with Ctx("a") as a, Ctx("b") as b:
        y = x + 1
    return y, a.name, b
>>> 1

=== user_context_swallows
class Swallow:
    def __init__(self):
        self.seen = None
    def __exit__(self, kind, value, tb):
        self.seen = kind and (kind.__name__, value.args)
        return kind is KeyError
    def __enter__(self):
        return self
def f(d):
    with Swallow() as s:
        d["k"]
        s.ok = True
    return s
>>> {}
>>> {"k": 1}

=== user_context_lets_out | eager
class Ctx:
    def __enter__(self):
        pass
    def __exit__(self, *a):
        return False
def f():
    with Ctx():
        raise KeyError("k")

=== user_context_restores_state
level = 0
class Set:
    def __init__(self, n):
        self.n = n
    def __enter__(self):
        global level
        self.old, level = level, self.n
    def __exit__(self, *a):
        global level
        level = self.old
def f(n):
    with Set(n):
        a = level
        with Set(n + 1):
            b = level
    return a, b, level
>>> 3
!!! level = 8

=== contextmanager
import contextlib
log = []
@contextlib.contextmanager
def ctx(n):
    log.append("in")
    try:
        yield n + 1
    finally:
        log.append("out")
def f(n):
    with ctx(n) as m:
        r = m * 2
    return r
>>> 1

=== contextmanager_swallows
import contextlib
@contextlib.contextmanager
def ignore():
    try:
        yield
    except KeyError:
        pass
def f(d):
    r = "none"
    with ignore():
        r = d["k"]
    return r
>>> {}
>>> {"k": 1}

=== contextlib_helpers
import contextlib
def f(d):
    with contextlib.suppress(KeyError):
        d["k"]
    with contextlib.nullcontext(5) as n:
        r = n
    return r
>>> {}
>>> {"k": 1}

=== exit_stack
import contextlib
log = []
@contextlib.contextmanager
def ctx(n):
    log.append(n)
    yield n
    log.append(-n)
def f(n):
    with contextlib.ExitStack() as stack:
        return [stack.enter_context(ctx(i)) for i in range(1, n)]
>>> 3

=== context_decorator
import contextlib
class Timer(contextlib.ContextDecorator):
    n = 0
    def __enter__(self):
        Timer.n = 1
        return self
    def __exit__(self, *a):
        Timer.n = 0
@Timer()
def g(x):
    return x + Timer.n
def f(x):
    return g(x)
>>> 1

=== generator_consumed
def gen(n):
    for i in range(n):
        yield i * i
def f(n):
    return list(gen(n)), sum(gen(n)), [x for x in gen(n)], max(gen(n)), tuple(gen(n))
>>> 4

=== generator_partially_consumed
def gen():
    yield 1
    yield 2
    yield 3
def f():
    g = gen()
    a = next(g)
    for b in g:
        break
    return a, b

=== generator_with_state
log = []
def gen(n):
    log.append("start")
    for i in range(n):
        yield i
    log.append("end")
def f(n):
    total = 0
    for x in gen(n):
        total += x
    return total
>>> 3

=== generator_send
def gen():
    x = yield 1
    while x:
        x = yield x * 2
def f(n):
    g = gen()
    a = next(g)
    b = g.send(n)
    c = g.send(n + 1)
    return a, b, c
>>> 5

=== generator_close_and_throw
log = []
def gen():
    try:
        yield 1
        yield 2
    except ValueError as e:
        yield e.args
    finally:
        log.append("closed")
def f():
    g = gen()
    a = next(g)
    b = g.throw(ValueError("x"))
    g.close()
    h = gen()
    next(h)
    h.close()
    return a, b

=== generator_return_value
def inner():
    yield 1
    return "done"
def outer():
    r = yield from inner()
    yield r
def f():
    return list(outer())

=== yield_from_list
def gen(xs):
    yield 0
    yield from xs
    yield from range(2)
def f(xs):
    return list(gen(xs))
>>> [5, 6]

=== generators_zipped
def a(n):
    for i in range(n):
        yield i
def f(n):
    return list(zip(a(n), a(n + 1))), dict(zip("ab", a(2)))
>>> 3

=== recursive_generator
def walk(t):
    if isinstance(t, list):
        for x in t:
            yield from walk(x)
    else:
        yield t
def f(t):
    return list(walk(t))
>>> [1, [2, [3]], []]
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_generators(case):
    check(case)
