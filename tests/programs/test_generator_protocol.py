"""What is sent and thrown into generators, what they return, leave open, and hand on."""

from __future__ import annotations

import pytest

from oracle import cases, check

CASES = cases("""
=== sends_what_it_is_given
def pairs():
    got = yield
    while True:
        got = yield got * 2
def f(x):
    g = pairs()
    next(g)
    return [g.send(x), g.send(x + 1)]
>>> 3

=== send_through_a_delegation
def inner():
    a = yield 10
    b = yield a + 1
    return b * 100
def outer():
    total = yield from inner()
    yield total
def f(x):
    g = outer()
    return [g.send(None), g.send(x), g.send(x + 2)]
>>> 7

=== what_a_delegation_returns
def leaf(x):
    yield x
    return x + 1
def middle(x):
    r = yield from leaf(x)
    return r * 2
def top(x):
    r = yield from middle(x)
    yield r
    r = yield from [x, x]
    yield r
def f(x):
    return list(top(x))
>>> 4

=== first_value_sent_is_not_none
def one():
    yield 1
def f(x):
    try:
        one().send(x)
    except TypeError as error:
        return str(error)
>>> 5

=== throws_and_goes_on | eager
log = []
def g():
    while True:
        try:
            yield len(log)
        except ValueError as error:
            log.append(str(error))
def f(x):
    it = g()
    next(it)
    return [it.throw(ValueError), it.throw(ValueError(x))]
>>> "xyz"

=== throws_into_a_finally | eager
log = []
def g():
    try:
        try:
            yield 1
        except ValueError:
            yield 2
        finally:
            log.append("inner")
    except ValueError:
        log.append("outer")
        yield 4
    finally:
        log.append("last")
def f(x):
    it = g()
    next(it)
    return it.throw(ValueError) + x
>>> 1

=== throws_what_is_not_caught
log = []
def g():
    try:
        yield 1
    except ValueError:
        yield 2
    finally:
        log.append("finally")
def f():
    it = g()
    next(it)
    try:
        it.throw(KeyError(3))
    except KeyError as error:
        return error.args, list(it)

=== throws_before_it_began
def g():
    yield 1
def f(x):
    it = g()
    try:
        it.throw(ValueError(x))
    except ValueError as error:
        return error.args, next(it, "ended")
>>> 7

=== throws_and_raises_another_from_it
def g():
    try:
        yield 1
    except ValueError as error:
        raise RuntimeError("other") from error
def f():
    it = g()
    next(it)
    try:
        it.throw(ValueError("first"))
    except RuntimeError as error:
        return str(error), str(error.__cause__), type(error.__context__).__name__

=== return_in_finally_wins
def g():
    try:
        yield 1
    except ValueError:
        return 2
    finally:
        return 3
def f():
    it = g()
    next(it)
    try:
        it.throw(ValueError)
    except StopIteration as error:
        return error.value

=== throws_what_is_no_exception
def g():
    yield 1
    yield 2
def f(x):
    it = g()
    next(it)
    try:
        it.throw(x)
    except TypeError as error:
        return str(error), next(it, "ended")
>>> 0
>>> list

=== closes_once
log = []
def g():
    try:
        log.append("begin")
        yield 1
        yield 2
    finally:
        log.append("end")
def f():
    it = g()
    return next(it), it.close(), it.close(), next(it, "ended")

=== closes_what_has_not_begun
log = []
def g():
    log.append("never")
    yield 1
def f():
    it = g()
    it.close()
    return list(it)

=== closes_a_delegation
log = []
def inner():
    try:
        yield 1
        yield 2
    finally:
        log.append("inner")
def outer():
    try:
        yield from inner()
    finally:
        log.append("outer")
def f():
    it = outer()
    next(it)
    it.close()
    log.append("closed")

=== catches_generator_exit
log = []
def g():
    try:
        yield 1
    except GeneratorExit:
        log.append("exit")
        return "unseen"
    finally:
        log.append("finally")
def f():
    log.clear()
    it = g()
    next(it)
    it.close()
    return len(log)

=== generator_exit_is_no_exception
log = []
def g():
    try:
        yield 1
    except Exception:
        log.append("exception")
    finally:
        log.append("finally")
def f():
    it = g()
    next(it)
    it.close()

=== ignores_generator_exit | eager
def g():
    try:
        yield 1
    except GeneratorExit:
        yield 2
def f():
    it = g()
    next(it)
    try:
        it.close()
    except RuntimeError as error:
        return str(error)

=== raises_while_it_is_closed
def g():
    try:
        yield 1
    except GeneratorExit:
        raise TypeError("no") from None
def f():
    it = g()
    next(it)
    try:
        it.close()
    except TypeError as error:
        return str(error)

=== left_open | eager
log = []
def g(x):
    try:
        yield x
        yield x
    finally:
        log.append(x)
def f(x):
    it = g(x)
    next(it)
    return x
>>> 1

=== left_open_with_an_object_of_its_own | eager
def g(seen):
    class Own:
        pass
    own = Own()
    own.seen = seen
    try:
        yield 1
    finally:
        own.seen.append(2)
def f():
    seen = []
    it = g(seen)
    next(it)
    return seen

=== stop_iteration_in_the_body
def g():
    yield 1
    raise StopIteration("boom")
def f():
    it = g()
    next(it)
    try:
        next(it)
    except RuntimeError as error:
        found = str(error), type(error.__cause__).__name__
    try:
        raise
    except RuntimeError as error:
        return found, str(error)

=== stop_iteration_of_an_inner_next
def inner():
    yield 1
def g():
    it = inner()
    while True:
        yield next(it)
def f():
    it = g()
    next(it)
    try:
        return next(it)
    except RuntimeError as error:
        return str(error)

=== asks_what_it_contains
seen = []
def g():
    seen.append(1)
    yield 1
    seen.append(2)
    yield 2
def f(x):
    seen.clear()
    it = g()
    return x in it, len(seen), 2 in it, next(it, "ended"), 3 in g()
>>> 1
>>> 2

=== runs_while_it_runs
def f():
    def g():
        yield next(me)
    me = g()
    try:
        next(me)
    except ValueError as error:
        return str(error)

=== raise_in_the_middle_of_it
def g():
    try:
        yield 1
        try:
            yield 2
            1 // 0
        except ZeroDivisionError:
            yield 4
            raise
        yield 7
    except ArithmeticError:
        yield 8
    yield 9
    try:
        x = 12
    finally:
        yield 10
    yield 11
def f():
    return list(g())

=== a_tree_in_order
class Tree:
    def __init__(self, label, left, right):
        self.label, self.left, self.right = label, left, right
    def __iter__(self):
        return in_order(self)
def tree(items):
    if not items:
        return []
    i = len(items) // 2
    return Tree(items[i], tree(items[:i]), tree(items[i + 1:]))
def in_order(t):
    if t:
        yield from in_order(t.left)
        yield t.label
        yield from in_order(t.right)
def f(text):
    return "".join(tree(text))
>>> "ABCDEFG"

=== assigns_what_is_sent
def g(d):
    d[(yield "a")] = d[(yield "b")] = 27
def f():
    data = [1, 2]
    it = g(data)
    found = [it.send(None), it.send(0), list(data)]
    try:
        it.send(1)
    except StopIteration:
        return found, data

=== extends_with_what_it_changes
from collections import deque
def f(n):
    y = [1]
    y.extend(y[-1] + z for z in range(n))
    d = deque([1])
    d.extendleft(d[0] + z for z in range(n))
    return y, d
>>> 3

=== zips_with_one_without_end
def g(x):
    while True:
        yield x
        x += 1
def f(x):
    it = g(x)
    pairs = list(zip(range(3), it))
    return pairs, next(it), dict(zip("ab", it)), next(it)
>>> 5

=== delegates_to_an_iterator_with_methods | eager
class Inner:
    def __init__(self):
        self.log = []
        self.n = 0
    def __iter__(self):
        return self
    def __next__(self):
        self.n += 1
        return self.n
    def send(self, value):
        self.log.append(("send", value))
        return value
    def throw(self, kind, value=None, trace=None):
        self.log.append(("throw", str(kind)))
        raise StopIteration("result")
    def close(self):
        self.log.append("close")
def outer(it):
    r = yield from it
    yield r
def f():
    a, b = Inner(), Inner()
    g, h = outer(a), outer(b)
    found = [next(g), g.send(5), g.throw(ValueError("v")), next(h), h.close()]
    return found, a.log, b.log

=== returned_half_way | eager
def g(x):
    n = 0
    yield x + n
    n += 1
    yield x + n
def f(x):
    it = g(x)
    next(it)
    return it, x
>>> 1

=== given_half_way | eager
def g():
    yield from "abcdefghijklmnopqrstuvwxyz"
def make():
    it = g()
    next(it)
    return it
def f(it, x):
    return x, next(it), it
>>> make(), 1

=== writes_of_a_generator_that_stays | eager
count = 0
kept = []
def g():
    global count
    for j in range(5):
        count += 1
        yield j
def f():
    it = g()
    next(it)
    kept.append(it)
    return count
!!! count = 10

=== long_tee
import itertools
def f(n):
    a, b = itertools.tee(iter(range(n)))
    return sum(a), next(b)
>>> 3000
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_programs(case):
    check(case)
