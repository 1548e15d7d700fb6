"""Lists that are extended: appends of known items, whatever the length of the list."""

import pytest

from magpy._engine import CompiledFunction
from oracle import cases, check

CASES = cases(r"""
=== extended
l, m = [3, 1], [[4], 5]
class L(list): pass
own = L([1])
def f(x):
    l.extend([x, (x, 7)])
    l.extend(m)
    own.extend((x, m[0]))
    alias = l
    alias += [8]
    alias += ()
    l.append(l[-1])
    return l[-1], l[-2], l[-3] is m[-1], alias is l
>>> 5
!!! l.clear()
!!! m[0].append(6)
!!! m.append(9)
!!! own.append(2)

=== extended_by_itself_and_then_read
l = [3, 1]
def f(x):
    l.extend([x])
    l.extend(l)
    l.extend(v for v in (x, 2))
    del l[3:]
    return len(l), l.count(x)
>>> 5
!!! l[0] = 4

=== extended_and_read
m = [2]
def f(l, x):
    l.extend(m)
    n = len(l)
    l += [x] * 3
    l.extend(l[:1])
    return n, l[1:], l, 2 in l
>>> [3, 1], 5
>>> [], 5
!!! m[0] = 7
!!! m.append(4)

=== extended_by_an_override | eager
class L(list):
    def __iadd__(self, more):
        self.append(len(more))
        return self
l = kept = L([1])
def f(x):
    global l
    l += [x, x]
    return l is kept, l[-1]
>>> 5
!!! l.append(3)

=== extended_by_another_operator | eager
class L(list):
    def __add__(self, more):
        return [len(more)]
l = L([1])
def f(x):
    kept = l
    kept += [x, x]
    return kept
>>> 5
!!! l.append(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_extended(case):
    check(case)


def test_lists_of_any_length_are_extended():
    kept, more = [], [1, 2]

    def f(x):
        kept.extend([x, x + 1])
        alias = kept
        alias += (x, x)
        kept.extend(more)
        return kept[-3]

    fast = CompiledFunction(f)
    for i in range(8):
        assert fast(7) == 7
        if i == 4:
            more[0] = 5
    assert kept == ([7, 8, 7, 7, 1, 2] * 5 + [7, 8, 7, 7, 5, 2] * 3)
    stats = fast.stats()
    assert stats["recordings"] == 2 and stats["hits"] == 6
