"""C code that takes containers of tuples apart: what is inside cannot change."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== chain_star_tuples
import itertools
n = [(1, 2,), (3,)]
def f():
    return list(itertools.chain(*n))
!!! n[1] = n[1][:0] + (7,) + n[1][0+1:]

=== dict_of_lists_tuples
n = [("a", 2,), ("b", 3,)]
def f():
    return dict(n)
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]
!!! n[0] = n[0][:0] + ("c",) + n[0][0+1:]

=== dict_of_lists_kw_tuples
n = [("a", 2,), ("b", 3,)]
def f():
    return dict(n, z=3)
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== dict_update_lists_tuples
n = [("a", 2,), ("b", 3,)]
def f():
    d = {}
    d.update(n)
    return d
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== dict_update_external_tuples
n = [("a", 2,), ("b", 3,)]
d = {}
def f():
    d.update(n)
    return dict(d)
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== dict_ior_lists_tuples
n = [("a", 2,), ("b", 3,)]
def f():
    d = {}
    d |= n
    return d
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== ordered_of_lists_tuples
from collections import OrderedDict, defaultdict
n = [("a", 2,), ("b", 3,)]
def f():
    return OrderedDict(n), defaultdict(list, n)
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== defaultdict_of_lists_tuples
from collections import OrderedDict, defaultdict
n = [("a", 2,), ("b", 3,)]
def f():
    return defaultdict(list, n)
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== subclass_dict_of_lists_tuples
class D(dict): pass
n = [("a", 2,), ("b", 3,)]
def f():
    return D(n)
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== userdict_init_tuples
class D(dict):
    def __init__(self, *a):
        super().__init__(*a)
n = [("a", 2,), ("b", 3,)]
def f():
    return D(n)
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== dict_comp_pairs_tuples
n = [("a", 2,), ("b", 3,)]
def f():
    return {k: v for k, v in n}
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== starmap_tuples
import itertools
n = [(1, 2,), (3, 4,)]
def g(a, b):
    return a + b
def f():
    return list(itertools.starmap(g, n))
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== starmap_c_tuples
import itertools, operator
n = [(1, 2,), (3, 4,)]
def f():
    return list(itertools.starmap(operator.add, n)), list(itertools.starmap(pow, n))
!!! n[0] = n[0][:1] + (5,) + n[0][1+1:]

=== zip_star_tuples
rows = [(1, 2,), (3, 4,)]
def f():
    return list(zip(*rows)), [a + b for a, b in zip(*rows)]
!!! rows[0] = rows[0][:1] + (5,) + rows[0][1+1:]

=== map_star_tuples
rows = [(1, 2,), (3, 4,)]
def g(a, b):
    return a + b
def f():
    return list(map(g, *rows))
!!! rows[0] = rows[0][:1] + (5,) + rows[0][1+1:]

=== map_c_star_tuples
rows = [(1, 2,), (3, 4,)]
import operator
def f():
    return list(map(operator.add, *rows))
!!! rows[0] = rows[0][:1] + (5,) + rows[0][1+1:]

=== product_star_tuples
rows = [(1, 2,), (3, 4,)]
import itertools
def f():
    return list(itertools.product(*rows)), list(itertools.permutations(rows[0]))
!!! rows[0] = rows[0][:1] + (5,) + rows[0][1+1:]

=== sum_lists_tuples | eager
rows = [(1, 2,), (3, 4,)]
def f():
    return sum(rows, [])
!!! rows[0] = rows[0][:1] + (5,) + rows[0][1+1:]

=== sum_gen_lists_tuples | eager
rows = [(1, 2,), (3, 4,)]
def f():
    return sum((r for r in rows), [])
!!! rows[0] = rows[0][:1] + (5,) + rows[0][1+1:]

=== sorted_pairs_tuples
rows = [(1, 2,), (1, 1,)]
def f():
    return sorted(rows)
!!! rows[0] = rows[0][:1] + (0,) + rows[0][1+1:]

=== sorted_iter_tuples | eager
rows = [(1, 2,), (1, 1,)]
def f():
    return [list(r) for r in sorted(iter(rows))]
!!! rows[0] = rows[0][:1] + (0,) + rows[0][1+1:]

=== max_pairs_tuples
rows = [(1, 2,), (1, 1,)]
def f():
    return max(rows), min(rows), max(*rows), max(rows[0], rows[1])
!!! rows[0] = rows[0][:1] + (0,) + rows[0][1+1:]

=== max_zip_tuples | eager
a = [(1, 2,), (1, 1,)]
def f():
    return max(zip(a, a)) is a, max(zip([1, 1], a))
!!! a[0] = a[0][:1] + (0,) + a[0][1+1:]

=== max_enumerate_tuples
a = [(1, 2,), (1, 1,)]
def f():
    return max((x, i) for i, x in enumerate(a))
!!! a[0] = a[0][:1] + (0,) + a[0][1+1:]

=== list_map_sum_tuples | eager
rows = [(1, 2,), (1, 1,)]
def f():
    return (
        list(map(sum, rows)), [*map(tuple, rows)], list(map(list, rows)),
        list(map(sorted, rows)),
    )
!!! rows[0] = rows[0][:0] + (9,) + rows[0][0+1:]

=== join_names_tuples
class S: pass
s = S(); s.names = ["a", "b"]
def f():
    return (
        ", ".join(s.names), ",".join(iter(s.names)), ",".join(x for x in s.names),
        ",".join(map(str, s.names)),
    )
!!! s.names[0] = "z"

=== join_nested_tuples | eager
names = [("a",), ("b",)]
def f():
    return [",".join(n) for n in names], list(map(",".join, names))
!!! names[0] = names[0][:0] + ("z",) + names[0][0+1:]

=== join_map_str_tuples
names = [("a",), ("b",)]
def f():
    return ",".join(map(str, names))
!!! names[0] = names[0][:0] + ("z",) + names[0][0+1:]

=== deepcopy_tuples | eager
import copy
cfg = {"x": [1, {2}], "y": 3}
def f():
    return copy.deepcopy(cfg)
!!! cfg["x"][0] = 5

=== copycopy_tuples
import copy
cfg = {"x": [1, {2}], "y": 3}
def f():
    c = copy.copy(cfg)
    return c["x"] is cfg["x"], len(c["x"])
!!! cfg["x"] = [5]

=== contains_iter_tuples | eager
n = [(1,), (2,)]
def f(x):
    return x in iter(n)
>>> [1]
!!! n[0] = n[0][:0] + (5,) + n[0][0+1:]

=== zip_rows_loop_tuples
rows = [(1, 2,), (3, 4,)]
def f():
    return [r[0] for r, q in zip(rows, rows)]
!!! rows[0] = rows[0][:0] + (9,) + rows[0][0+1:]

=== enumerate_rows_tuples
rows = [(1, 2,), (3, 4,)]
def f():
    return [(i, a) for i, (a, b) in enumerate(rows)]
!!! rows[0] = rows[0][:0] + (9,) + rows[0][0+1:]
!!! rows[0] = rows[0][:1] + (9,) + rows[0][1+1:]

=== dict_from_zip_tuples
rows = [("a", "b",), (1, 2,)]
def f():
    return dict(zip(*rows)), dict(zip(rows[0], rows[1]))
!!! rows[0] = rows[0][:0] + ("z",) + rows[0][0+1:]

=== dict_from_map_tuples
rows = [("a", 1,), ("b", 2,)]
def f():
    return dict(map(tuple, rows))
!!! rows[0] = rows[0][:0] + ("z",) + rows[0][0+1:]

=== dict_from_iter_tuples | eager
rows = [("a", 1,), ("b", 2,)]
def f():
    return dict(iter(rows))
!!! rows[0] = rows[0][:0] + ("z",) + rows[0][0+1:]

=== dict_from_gen_tuples
rows = [("a", 1,), ("b", 2,)]
def f():
    return dict(r for r in rows)
!!! rows[0] = rows[0][:0] + ("z",) + rows[0][0+1:]

=== counter_tuples
from collections import Counter
rows = [("a", "b",), ("b",)]
def f():
    return [Counter(r) for r in rows], Counter(map(len, rows))
!!! rows[0] = rows[0][:0] + ("z",) + rows[0][0+1:]

=== fresh_list_of_external_tuples
rows = [("a", 1,), ("b", 2,)]
def f():
    return dict([rows[0], rows[1]])
!!! rows[0] = rows[0][:1] + (9,) + rows[0][1+1:]

=== fresh_tuple_from_tuples | eager
import itertools
rows = [(1,), (2,)]
def f():
    q = list(rows)
    return list(itertools.chain.from_iterable(q)), sum(q, [])
!!! rows[0] = rows[0][:0] + (9,) + rows[0][0+1:]

=== fresh_zip_tuples
rows = [(1,), (2,)]
def f():
    q = [r for r in rows]
    return list(zip(*q))
!!! rows[0] = rows[0][:0] + (9,) + rows[0][0+1:]

=== itemgetter_nested_tuples
import operator
rows = [(1, 2,), (3, 4,)]
def f():
    g = operator.itemgetter(0)
    return (
        g(rows), g(rows[0]), list(map(g, rows)),
        sorted(rows, key=operator.itemgetter(1)),
    )
!!! rows[0] = rows[0][:0] + (9,) + rows[0][0+1:]
!!! rows[0] = rows[0][:1] + (19,) + rows[0][1+1:]

=== unpack_star_tuples
rows = [(1, 2,), (3, 4,)]
def g(*a):
    return len(a), a[0][0]
def f():
    return g(*rows), g(*map(list, rows)), [*rows[0], *rows[1]], {*rows[0]}
!!! rows[0] = rows[0][:0] + (9,) + rows[0][0+1:]

=== math_fns_tuples
import math
xs = [(1.0, 2.0,), (3.0, 4.0,)]
def f():
    return math.fsum(xs[0]), math.prod(xs[1]), math.dist(*xs), math.hypot(*xs[0])
!!! xs[0] = xs[0][:0] + (9.0,) + xs[0][0+1:]

=== cmp_to_key_tuples | eager
import functools
xs = [(2,), (1,)]
def cmp(a, b):
    return a[0] - b[0]
def f():
    return [x[0] for x in sorted(xs, key=functools.cmp_to_key(cmp))]
!!! xs[0] = xs[0][:0] + (0,) + xs[0][0+1:]

=== heapq_nested_tuples | eager
import heapq
xs = [(2, 1,), (1, 1,)]
def f():
    return heapq.nsmallest(1, xs)[0][0], heapq.nlargest(1, xs, key=lambda v: v[0])[0][0]
!!! xs[0] = xs[0][:0] + (0,) + xs[0][0+1:]

=== bisect_nested_tuples | eager
import bisect
xs = [(1,), (3,)]
def f():
    return bisect.bisect(xs, [2])
!!! xs[1] = xs[1][:0] + (1,) + xs[1][0+1:]

=== iter_sentinel_tuples
xs = [(1,), (3,)]
def f():
    it = iter(xs)
    return list(iter(lambda: next(it), [3]))[0][0]
!!! xs[0] = xs[0][:0] + (4,) + xs[0][0+1:]

=== zip_longest_repeat_tuples
import itertools
xs = [(1, 2,), (3,)]
def f():
    return (
        list(itertools.zip_longest(*xs, fillvalue=0)),
        list(itertools.chain.from_iterable(itertools.repeat(xs[0], 2))),
    )
!!! xs[0] = xs[0][:0] + (4,) + xs[0][0+1:]

=== pairwise_tuples
import itertools
xs = [(1,), (3,)]
def f():
    return (
        [a + b for a, b in itertools.pairwise(xs)],
        list(itertools.starmap(operator_add, itertools.pairwise(xs))),
    )
def operator_add(a, b):
    return a + b
!!! xs[0] = xs[0][:0] + (4,) + xs[0][0+1:]

=== max_default_gen_tuples | eager
xs = [(1,), (3, 4,)]
def f():
    return max((x for x in xs), default=None)[0], max(iter(xs))[0]
!!! xs[0] = xs[0][:0] + (7,) + xs[0][0+1:]

=== set_from_tuples
rows = [(1, (2, 3)), (4, 5)]
def f():
    return (
        set(rows) == {(1, (2, 3)), (4, 5)}, (1, (2, 3)) in {*rows},
        frozenset(rows) == {(4, 5), (1, (2, 3))},
    )
!!! rows[0] = (1, (2, 9))

=== dict_keys_tuples
rows = [(1, (2, 3)), (4, 5)]
def f():
    d = dict(zip(rows, "ab"))
    e = {k: 1 for k in rows}
    g = dict.fromkeys(rows, 3)
    h = {rows[0]: 1}
    i = {}
    i[rows[0]] = 2
    return [x.get((1, (2, 3))) for x in (d, e, g, h, i)]
!!! rows[0] = (1, (2, 9))

=== dict_keys_each1
rows = [(1, (2, 3)), (4, 5)]
def f():
    return dict(zip(rows, "ab")).get((1, (2, 3)))
!!! rows[0] = (1, (2, 9))

=== dict_keys_each2
rows = [(1, (2, 3)), (4, 5)]
def f():
    return {k: 1 for k in rows}.get((1, (2, 3)))
!!! rows[0] = (1, (2, 9))

=== dict_keys_each3
rows = [(1, (2, 3)), (4, 5)]
def f():
    return dict.fromkeys(rows, 3).get((1, (2, 3)))
!!! rows[0] = (1, (2, 9))

=== dict_keys_each4
rows = [(1, (2, 3)), (4, 5)]
def f():
    i = {}; i[rows[0]] = 2; i.setdefault(rows[1], 3)
    return i.get((1, (2, 3))), i.get((4, 5)), i.pop((4, 5), 0)
!!! rows[0] = (1, (2, 9))
!!! rows[1] = (4, 6)

=== dict_keys_each5
rows = [((1, (2, 3)), 1), ((4, 5), 2)]
def f():
    return dict(rows).get((1, (2, 3)))
!!! rows[0] = ((1, (2, 9)), 1)

=== set_add_tuple
rows = [(1, (2, 3)), (4, 5)]
def f():
    s = set()
    s.add(rows[0])
    s.update(rows)
    t = set()
    t |= {rows[1]}
    t.update([rows[0]])
    return (1, (2, 3)) in s, (4, 5) in t, (1, (2, 3)) in t
!!! rows[0] = (1, (2, 9))

=== set_of_iter_tuples | eager
rows = [(1, (2, 3)), (4, 5)]
def f():
    return (
        (1, (2, 3)) in set(iter(rows)), (1, (2, 3)) in {*reversed(rows)},
        len(set(r for r in rows)),
    )
!!! rows[0] = (4, 5)

=== set_len_tuples
rows = [(1, 2), (4, 5)]
def f():
    return len(set(r for r in rows)), len({r for r in rows})
!!! rows[0] = (4, 5)

=== set_len_map
rows = [(1, 2), (4, 5)]
def g(r): return r
def f():
    return (
        len(set(map(g, rows))), len(frozenset(filter(g, rows))),
        len(dict.fromkeys(map(g, rows))),
    )
!!! rows[0] = (4, 5)

=== frozenset_in_tuple | eager
import collections
rows = [(1, frozenset([1])), (4, 5)]
def f():
    return (
        (1, frozenset([1])) in set(rows),
        collections.Counter(rows)[(1, frozenset([1]))],
    )
!!! rows[0] = (1, frozenset([3]))

=== map_get_key_tuple | eager
rows = [(1, 2), (4, 5)]
def f():
    d = {(1, 2): "x"}
    return list(map(d.get, rows)), list(map(d.__contains__, rows))
!!! rows[0] = (4, 5)

=== lru | eager
import functools
@functools.lru_cache
def g(r): return len(r)
rows = [(1, 2), (4, 5)]
def f():
    return g(rows[0])
!!! rows[0] = (4, 5, 6)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_consume(case):
    check(case)
