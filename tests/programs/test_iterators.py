"""Iterators of C types that outlive the run: where they stand, and what they go on with."""

from __future__ import annotations

import pytest

from oracle import cases, check

CASES = cases("""
=== iterators_over_a_deque_notice
from collections import deque
d, seen = deque([1]), []
it = iter(d)
def look():
    global it
    try:
        seen.append(next(it))
    except RuntimeError as error:
        seen.append(str(error))
    it = iter(d)
def f():
    d.insert(0, 1)
    d.pop()
!!! look()
!!! look()

=== iterators_over_a_deque_go_on
from collections import deque
d, seen = deque([1, 2]), []
it = iter(d)
def f():
    d[0] = 1
!!! seen.append(next(it))
!!! seen.append(next(it))

=== given_iterators
def f(it):
    out = []
    for x in it:
        out.append(x)
        if len(out) == 2:
            return out, it
    return out
items, more = [[1], [2], [3]], {4: [5], 6: [7]}
>>> iter(items)
>>> iter(tuple(items))
>>> iter(more)
>>> iter(more.values())
>>> iter(range(3))
>>> iter(range(253, 256))
>>> iter([])
!!! items.pop(); more[8] = [9]
!!! items.pop(); more.pop(4)

=== of_sequences
def f(l, t, s):
    a, b, c, d, e = iter(l), iter(t), iter(s), iter(range(2, 9, 3)), iter("a\u20ac")
    for it in (a, b, c, d, e):
        next(it)
    return a, b, c, d, e, iter(l), iter(())
>>> [1, 2, 3], (1, 2), "abc"
>>> [[1], 2], (1,), "x"

=== exhausted
def f(l):
    its = [iter(l), iter(()), iter(range(2)), iter("ab"), iter("\u20ac")]
    for it in its:
        for _ in it:
            pass
    return its
>>> [1, 2]
>>> []

=== goes_on_with_the_same_list
class Box: pass
box = Box()
xs = [1, 2, 3]
def f():
    box.it = iter(xs)
    next(box.it)
    return box.it
def g():
    xs.append(9)
    return list(box.it)
>>>
!!! xs.append(4)
!!! xs.append(g())

=== of_a_list_that_grows_in_the_run
xs = [1]
def f():
    del xs[1:]
    xs.append(2)
    xs.append(3)
    it = iter(xs)
    return next(it), next(it), it
>>>

=== calls
def twice(x): return x * 2
def f(l):
    e, z = enumerate(l, 5), zip(l, "abc")
    m, k = map(twice, l), filter(None, l)
    next(e), next(z), next(m)
    return e, z, m, k, zip(), map(twice, iter(l), l)
>>> [1, 2, 3]
>>> [4]

=== one_iterator_in_two_places
def f(l):
    it = iter(l)
    z = zip(it, it)
    next(z)
    return it, z, [it]
>>> [1, 2, 3, 4]

=== reaches_itself
def f():
    l = [1, 2]
    it = iter(l)
    next(it)
    l.append(l)
    return l, it
>>>

=== list_that_holds_its_iterator | eager
def f():
    l = [1, 2]
    it = iter(l)
    l.append(it)
    return l
>>>

=== other_iterators | eager
def f(d, l):
    return iter(d), iter(d.items()), reversed(l), iter({1}), zip(l, strict=True)
>>> {1: 2}, [1]

=== in_a_closure
def f(l):
    it = iter(l)
    next(it)
    def more():
        return next(it, None)
    return more
>>> [1, 2, 3]
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_iterators(case):
    check(case)
