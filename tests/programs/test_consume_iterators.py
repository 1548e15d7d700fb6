"""Iterators of C over containers: every change of an inner object is seen."""

import pytest

from oracle import cases, check

CASES = cases(r"""
import functools
import itertools
import operator

=== iterators_at_the_address_of_another_tuple
def f(text):
    parts, other = text.split("."), ([text],)
    other = None
    return tuple(map(int, parts)), list(zip(parts, range(3)))
>>> "1.2.3"
>>> "2.13.0"

=== chain_from
class S: pass
S.x = [[1, 2], [3]]
xs = S()
xs.n = [[1, 2], [3]]
def f():
    return list(itertools.chain.from_iterable(xs.n))
!!! xs.n[0].append(5)
!!! xs.n[1][0] = 7

=== chain_star
n = [[1, 2], [3]]
def f():
    return list(itertools.chain(*n))
!!! n[0].append(5)
!!! n[1][0] = 7

=== starmap
n = [[1, 2], [3, 4]]
def g(a, b):
    return a + b
def f():
    return list(itertools.starmap(g, n))
!!! n[0][1] = 5
??? n[0].append(5)

=== starmap_c
n = [[1, 2], [3, 4]]
def f():
    return list(itertools.starmap(operator.add, n)), list(itertools.starmap(pow, n))
!!! n[0][1] = 5

=== zip_star
rows = [[1, 2], [3, 4]]
def f():
    return list(zip(*rows)), [a + b for a, b in zip(*rows)]
!!! rows[0][1] = 5
!!! rows[0].append(5)
!!! rows[1].append(5)

=== map_star
rows = [[1, 2], [3, 4]]
def g(a, b):
    return a + b
def f():
    return list(map(g, *rows))
!!! rows[0][1] = 5

=== map_c_star
rows = [[1, 2], [3, 4]]
def f():
    return list(map(operator.add, *rows))
!!! rows[0][1] = 5

=== product_star
rows = [[1, 2], [3, 4]]
def f():
    return list(itertools.product(*rows)), list(itertools.permutations(rows[0]))
!!! rows[0][1] = 5

=== sum_gen_lists
rows = [[1, 2], [3, 4]]
def f():
    return sum((r for r in rows), [])
!!! rows[0][1] = 5
!!! rows[0].append(4)

=== sum_map_lists
rows = [[1, 2], [3, 4]]
def f():
    return sum(map(len, rows))
!!! rows[0].append(4)

=== sum_iter_lists | eager
rows = [[1, 2], [3, 4]]
def f():
    return sum(iter(rows), [])
!!! rows[0].append(4)

=== list_map_len
rows = [[1, 2], [1, 1]]
def f():
    return list(map(len, rows))
!!! rows[0].append(0)

=== list_map_sum | eager
rows = [[1, 2], [1, 1]]
def f():
    return (
        list(map(sum, rows)), [*map(tuple, rows)], list(map(list, rows)),
        list(map(sorted, rows)),
    )
!!! rows[0].append(0)
!!! rows[0][0] = 9

=== list_map_iter | eager
rows = [[1, 2], [1, 1]]
def f():
    return list(map(len, iter(rows)))
!!! rows[0].append(0)

=== map_len_of_values
rows = {"a": [1, 2], "b": [1, 1]}
def f():
    return list(map(len, rows.values())), max(map(len, rows.values()))
!!! rows["a"].append(0)

=== map_tuple_enumerate
rows = [[1, 2], [1, 1]]
def f():
    return list(map(tuple, (r for r in rows)))
!!! rows[0].append(0)

=== filter_none
flags = [[], [0]]
def f():
    return len(list(filter(None, flags)))
!!! flags[0].append(1)

=== filter_none_iter | eager
flags = [[], [0]]
def f():
    return len(list(filter(None, iter(flags))))
!!! flags[0].append(1)

=== zip_rows_loop
rows = [[1, 2], [3, 4]]
def f():
    return [r[0] for r, q in zip(rows, rows)]
!!! rows[0][0] = 9

=== enumerate_rows
rows = [[1, 2], [3, 4]]
def f():
    return [(i, a) for i, (a, b) in enumerate(rows)]
!!! rows[0][0] = 9
!!! rows[0][1] = 9

=== for_unpack_items
d = {"a": [1, 2], "b": [2, 3]}
def f():
    return [(k, x) for k, (x, y) in d.items()]
!!! d["a"][0] = 9

=== groupby
rows = [[1, 2], [1, 2], [3, 3]]
def f():
    return [(k, len(list(g))) for k, g in itertools.groupby(rows)]
!!! rows[0][0] = 9

=== groupby_iter | eager
rows = [[1, 2], [1, 2], [3, 3]]
def f():
    return [(list(k), len(list(g))) for k, g in itertools.groupby(iter(rows))]
!!! rows[0][0] = 9

=== accumulate
rows = [[1, 2], [1, 2], [3, 3]]
def f():
    return list(itertools.accumulate(rows))[-1]
!!! rows[0][0] = 9

=== accumulate_iter | eager
rows = [[1, 2], [1, 2], [3, 3]]
def f():
    return list(itertools.accumulate(iter(rows)))[-1]
!!! rows[0][0] = 9

=== reduce_iter | eager
rows = [[1, 2], [1, 2], [3, 3]]
def f():
    return (
        functools.reduce(operator.add, iter(rows)),
        functools.reduce(operator.concat, reversed(rows)),
    )
!!! rows[0][0] = 9

=== islice_chain | eager
rows = [[1, 2], [1, 2], [3, 3]]
def f():
    return list(itertools.chain.from_iterable(itertools.islice(rows, 2)))
!!! rows[0][0] = 9

=== chain_from_iter | eager
rows = [[1, 2], [1, 2], [3, 3]]
def f():
    return (
        list(itertools.chain.from_iterable(iter(rows))),
        list(itertools.chain.from_iterable(reversed(rows))),
    )
!!! rows[0][0] = 9

=== chain_from_values
rows = {"a": [1, 2], "b": [1, 2]}
def f():
    return list(itertools.chain.from_iterable(rows.values()))
!!! rows["a"][0] = 9

=== chain_from_gen
rows = {"a": [1, 2], "b": [1, 2]}
def f():
    return list(itertools.chain.from_iterable(v for v in rows.values()))
!!! rows["a"][0] = 9

=== chain_from_map | eager
rows = {"a": [1, 2], "b": [1, 2]}
def f():
    return list(itertools.chain.from_iterable(map(rows.get, ["a", "b"])))
!!! rows["a"][0] = 9

=== fresh_tuple_from
rows = [[1], [2]]
def f():
    q = list(rows)
    return list(itertools.chain.from_iterable(q)), sum(q, [])
!!! rows[0][0] = 9

=== fresh_zip
rows = [[1], [2]]
def f():
    q = [r for r in rows]
    return list(zip(*q))
!!! rows[0][0] = 9

=== list_of_external_iter_protocol | eager
rows = [[1], [2]]
class It:
    def __iter__(self):
        return iter(rows)
def f():
    return sum(It(), []), list(map(len, It()))
!!! rows[0].append(9)

=== cycle | eager
xs = [[1], [3]]
def f():
    return list(itertools.chain.from_iterable(itertools.islice(itertools.cycle(xs), 4)))
!!! xs[0].append(4)

=== iter_sentinel
xs = [[1], [3]]
def f():
    it = iter(xs)
    return list(iter(lambda: next(it), [3]))[0][0]
!!! xs[0][0] = 4

=== zip_longest_repeat
xs = [[1, 2], [3]]
def f():
    return (
        list(itertools.zip_longest(*xs, fillvalue=0)),
        list(itertools.chain.from_iterable(itertools.repeat(xs[0], 2))),
    )
!!! xs[0][0] = 4

=== pairwise
xs = [[1], [3]]
def f():
    return (
        [a + b for a, b in itertools.pairwise(xs)],
        list(itertools.starmap(operator_add, itertools.pairwise(xs))),
    )
def operator_add(a, b):
    return a + b
!!! xs[0][0] = 4

=== compress | eager
xs = [[], [3]]
def f():
    return list(itertools.compress("ab", xs)), list(itertools.compress("ab", iter(xs)))
!!! xs[0].append(4)

=== filterfalse_takewhile
xs = [[1], [3]]
def f():
    return (
        len(list(itertools.filterfalse(None, xs))),
        len(list(itertools.takewhile(bool, xs))),
    )
!!! xs[0].clear()

=== takewhile_len | eager
xs = [[1], [3]]
def f():
    return len(list(itertools.takewhile(len, iter(xs))))
!!! xs[0].clear()
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_consume(case):
    check(case)
