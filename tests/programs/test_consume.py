"""C code that takes containers apart: every change of an inner object is seen."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== dict_of_lists
n = [["a", 2], ["b", 3]]
def f():
    return dict(n)
!!! n[0][1] = 5
!!! n[0][0] = "c"

=== dict_of_lists_kw
n = [["a", 2], ["b", 3]]
def f():
    return dict(n, z=3)
!!! n[0][1] = 5

=== dict_update_lists
n = [["a", 2], ["b", 3]]
def f():
    d = {}
    d.update(n)
    return d
!!! n[0][1] = 5

=== dict_update_external
n = [["a", 2], ["b", 3]]
d = {}
def f():
    d.update(n)
    return dict(d)
!!! n[0][1] = 5

=== dict_ior_lists
n = [["a", 2], ["b", 3]]
def f():
    d = {}
    d |= n
    return d
!!! n[0][1] = 5

=== ordered_of_lists
from collections import OrderedDict, defaultdict
n = [["a", 2], ["b", 3]]
def f():
    return OrderedDict(n), defaultdict(list, n)
!!! n[0][1] = 5

=== defaultdict_of_lists
from collections import OrderedDict, defaultdict
n = [["a", 2], ["b", 3]]
def f():
    return defaultdict(list, n)
!!! n[0][1] = 5

=== subclass_dict_of_lists
class D(dict): pass
n = [["a", 2], ["b", 3]]
def f():
    return D(n)
!!! n[0][1] = 5

=== userdict_init
class D(dict):
    def __init__(self, *a):
        super().__init__(*a)
n = [["a", 2], ["b", 3]]
def f():
    return D(n)
!!! n[0][1] = 5

=== dict_comp_pairs
n = [["a", 2], ["b", 3]]
def f():
    return {k: v for k, v in n}
!!! n[0][1] = 5

=== sum_lists
rows = [[1, 2], [3, 4]]
def f():
    return sum(rows, [])
!!! rows[0][1] = 5
!!! rows[0].append(4)

=== sum_values_lists
rows = {"a": [1, 2], "b": [3, 4]}
def f():
    return sum(rows.values(), [])
!!! rows["a"].append(4)

=== sum_reversed | eager
rows = [[1, 2], [3, 4]]
def f():
    return sum(reversed(rows), [])
!!! rows[0].append(4)

=== sorted_pairs
rows = [[1, 2], [1, 1]]
def f():
    return sorted(rows)
!!! rows[0][1] = 0

=== sorted_iter | eager
rows = [[1, 2], [1, 1]]
def f():
    return [list(r) for r in sorted(iter(rows))]
!!! rows[0][1] = 0

=== max_pairs
rows = [[1, 2], [1, 1]]
def f():
    return max(rows), min(rows), max(*rows), max(rows[0], rows[1])
!!! rows[0][1] = 0

=== max_zip | eager
a = [[1, 2], [1, 1]]
def f():
    return max(zip(a, a)) is a, max(zip([1, 1], a))
!!! a[0][1] = 0

=== max_enumerate
a = [[1, 2], [1, 1]]
def f():
    return max((x, i) for i, x in enumerate(a))
!!! a[0][1] = 0

=== set_union_star
a = [{1, 2}, {3}]
def f():
    return sorted(set().union(*a)), set.union(*a)
!!! a[0].add(9)

=== set_union_lists
a = [[1, 2], [3]]
def f():
    return sorted(set().union(*a))
!!! a[0].append(9)

=== set_of_tuples
a = [(1, [2]), (3,)]
def f():
    return set(map(len, a))
!!! a.append((1, 2, 3))

=== set_update
a = [[1, 2], [3]]
def f():
    s = set()
    s.update(*a)
    return sorted(s)
!!! a[0].append(9)

=== list_extend
a = [[1, 2], [3]]
def f():
    s = []
    for r in a:
        s.extend(r)
    s += a[0]
    s[0:0] = a[1]
    return s
!!! a[0].append(9)
!!! a[1].append(9)

=== list_extend_iter
a = [[1, 2], [3]]
def f():
    s = []
    s.extend(iter(a[0]))
    s.extend(reversed(a[1]))
    s.extend(x for x in a[0])
    return s
!!! a[0].append(9)
!!! a[1].append(9)

=== join_names
class S: pass
s = S(); s.names = ["a", "b"]
def f():
    return (
        ", ".join(s.names), ",".join(iter(s.names)), ",".join(x for x in s.names),
        ",".join(map(str, s.names)),
    )
!!! s.names[0] = "z"
!!! s.names.append("y")

=== join_nested | eager
names = [["a"], ["b"]]
def f():
    return [",".join(n) for n in names], list(map(",".join, names))
!!! names[0][0] = "z"
!!! names[0].append("y")

=== join_map_str
names = [["a"], ["b"]]
def f():
    return ",".join(map(str, names))
!!! names[0][0] = "z"
!!! names[0].append("y")

=== mod_format
l = [[1], {"a": [2]}]
def f():
    return "%s" % (l,), "%r %s" % (l[0], l[1])
!!! l[0][0] = 5
!!! l[1]["a"][0] = 7

=== mod_format_dict
l = {"x": [1], "y": 3}
def f():
    return "%(x)s" % l
!!! l["x"][0] = 5

=== mod_format_direct
l = [[1], {"a": [2]}]
def f():
    return "%s" % l
!!! l[0][0] = 5

=== fstring
l = {"x": [1], "y": 3}
def f():
    return f"{l}", f"{l!r}", repr(l), str(l), format(l), ascii(l)
!!! l["x"][0] = 5

=== str_format
cfg = {"x": [1], "y": 3}
def f():
    return (
        "{x} {y}".format(**cfg), "{0}".format(cfg), "{0[x]}".format(cfg),
        "{x}".format_map(cfg),
    )
!!! cfg["x"][0] = 5

=== str_format_attr | eager
class C: pass
c = C(); c.x = [1]
def f():
    return "{0.x}".format(c)
!!! c.x[0] = 5
!!! c.x = 7

=== deepcopy | eager
import copy
cfg = {"x": [1, {2}], "y": 3}
def f():
    return copy.deepcopy(cfg)
!!! cfg["x"][0] = 5
!!! cfg["x"][1].add(5)

=== copycopy
import copy
cfg = {"x": [1, {2}], "y": 3}
def f():
    c = copy.copy(cfg)
    return c["x"] is cfg["x"], len(c["x"])
!!! cfg["x"].append(5)
!!! cfg["x"] = [5]

=== any_flags
class S: pass
s = S(); s.flags = [0, 0]
def f():
    return any(s.flags), all(s.flags)
!!! s.flags[0] = 1

=== any_lists | eager
flags = [[], []]
def f():
    return (
        any(flags), all(flags), any(iter(flags)), any(map(bool, flags)),
        list(filter(None, flags)),
    )
!!! flags[0].append(1)

=== any_iter | eager
flags = [[], []]
def f():
    return any(iter(flags))
!!! flags[0].append(1)

=== any_map_bool
flags = [[], []]
def f():
    return any(map(bool, flags))
!!! flags[0].append(1)

=== contains_nested
n = [[1], [2]]
def f(x):
    return x in n, n.index([2]), n.count([1]), [1] in n
>>> [1]
!!! n[0][0] = 5
??? n[1][0] = 5

=== contains_tuple
n = ([1], [2])
def f(x):
    return x in n
>>> [1]
!!! n[0][0] = 5

=== contains_values
n = {"a": [1]}
def f(x):
    return x in n.values(), ("a", x) in n.items()
>>> [1]
!!! n["a"][0] = 5

=== contains_iter | eager
n = [[1], [2]]
def f(x):
    return x in iter(n)
>>> [1]
!!! n[0][0] = 5

=== list_eq
a = [[1], [2]]
b = [[1], [2]]
def f():
    return a == b, a != b, a < b, a <= b
!!! a[0][0] = 5
!!! b[0][0] = 5

=== dict_eq
a = {"x": [1]}
b = {"x": [1]}
def f():
    return a == b, a.items() == b.items()
!!! a["x"][0] = 5

=== tuple_cmp
a = ([1], 2)
b = ([1], 3)
def f():
    return a < b, (1, a) < (1, b)
!!! a[0][0] = 5

=== hash_tuple | eager
class S: pass
s = S(); s.t = (1, (2, "a"))
def f():
    return hash(s.t) == hash((1, (2, "a"))), s.t in {(1, (2, "a"))}
!!! s.t = (1, (3, "a"))

=== hash_tuple_as_key
class S: pass
s = S(); s.t = (1, (2, "a"))
d = {(1, (2, "a")): 3}
def f():
    return d.get(s.t), d.get((s.t[0], s.t[1]))
!!! s.t = (1, (3, "a"))

=== dict_from_zip
rows = [["a", "b"], [1, 2]]
def f():
    return dict(zip(*rows)), dict(zip(rows[0], rows[1]))
!!! rows[0][0] = "z"

=== dict_from_map
rows = [["a", 1], ["b", 2]]
def f():
    return dict(map(tuple, rows))
!!! rows[0][0] = "z"

=== dict_from_iter | eager
rows = [["a", 1], ["b", 2]]
def f():
    return dict(iter(rows))
!!! rows[0][0] = "z"

=== dict_from_gen
rows = [["a", 1], ["b", 2]]
def f():
    return dict(r for r in rows)
!!! rows[0][0] = "z"

=== counter
from collections import Counter
rows = [["a", "b"], ["b"]]
def f():
    return [Counter(r) for r in rows], Counter(map(len, rows))
!!! rows[0][0] = "z"
!!! rows[0].append("z")

=== fresh_list_of_external
rows = [["a", 1], ["b", 2]]
def f():
    return dict([rows[0], rows[1]])
!!! rows[0][1] = 9

=== bytes_join
parts = [[1, 2], [3]]
def f():
    return [bytes(p) for p in parts], bytes(parts[0]), list(map(bytes, parts))
!!! parts[0][0] = 9

=== itemgetter_nested
import operator
rows = [[1, 2], [3, 4]]
def f():
    g = operator.itemgetter(0)
    return (
        g(rows), g(rows[0]), list(map(g, rows)),
        sorted(rows, key=operator.itemgetter(1)),
    )
!!! rows[0][0] = 9
!!! rows[0][1] = 19

=== attrgetter | eager
import operator
class C: pass
c = C(); c.x = C(); c.x.y = [1]
def f():
    return operator.attrgetter("x.y")(c)[0], operator.attrgetter("x")(c) is c.x
!!! c.x.y[0] = 9
!!! c.x.y = [7]
!!! c.x = C(); c.x.y = [1]

=== attrgetter_map | eager
import operator
class C: pass
def mk(n):
    c = C(); c.n = n; return c
cs = [mk(1), mk(2)]
def f():
    return (
        list(map(operator.attrgetter("n"), cs)),
        max(cs, key=operator.attrgetter("n")).n,
    )
!!! cs[0].n = 9

=== methodcaller | eager
import operator
rows = [["b", "a"], ["c"]]
def f():
    return (
        operator.methodcaller("index", "a")(rows[0]),
        list(map(operator.methodcaller("count", "a"), rows)),
    )
!!! rows[0].insert(0, "a")

=== unpack_star
rows = [[1, 2], [3, 4]]
def g(*a):
    return len(a), a[0][0]
def f():
    return g(*rows), g(*map(list, rows)), [*rows[0], *rows[1]], {*rows[0]}
!!! rows[0][0] = 9

=== kwargs_star
rows = {"a": [1]}
def g(**k):
    return k["a"][0]
def f():
    return g(**rows), {**rows}["a"][0]
!!! rows["a"][0] = 9

=== str_methods
s = {"p": ["ab", "cd"], "t": [("a", "b")]}
def f():
    return (
        "abx".startswith(tuple(s["p"])),
        "ab".translate(str.maketrans({"a": s["p"][1]})), "x".join(s["p"]),
    )
!!! s["p"][0] = "zz"
!!! s["p"][1] = "zz"

=== math_fns
import math
xs = [[1.0, 2.0], [3.0, 4.0]]
def f():
    return math.fsum(xs[0]), math.prod(xs[1]), math.dist(*xs), math.hypot(*xs[0])
!!! xs[0][0] = 9.0

=== cmp_to_key | eager
import functools
xs = [[2], [1]]
def cmp(a, b):
    return a[0] - b[0]
def f():
    return [x[0] for x in sorted(xs, key=functools.cmp_to_key(cmp))]
!!! xs[0][0] = 0

=== heapq_nested | eager
import heapq
xs = [[2, 1], [1, 1]]
def f():
    return heapq.nsmallest(1, xs)[0][0], heapq.nlargest(1, xs, key=lambda v: v[0])[0][0]
!!! xs[0][0] = 0

=== bisect_nested
import bisect
xs = [[1], [3]]
def f():
    return bisect.bisect(xs, [2])
!!! xs[1][0] = 1

=== deque_of_lists
import collections, itertools
xs = [[1], [3]]
def f():
    d = collections.deque(xs)
    return list(itertools.chain.from_iterable(d)), sum(d, []), list(map(len, d))
!!! xs[0].append(4)

=== deque_ext
import collections, itertools
xs = collections.deque([[1], [3]])
def f():
    return list(itertools.chain.from_iterable(xs)), list(map(len, xs))
!!! xs[0].append(4)

=== max_key_len
xs = [[1], [3, 4]]
def f():
    return max(xs, key=len)[0], min(xs, key=sum)[0], sorted(xs, key=len)[0][0]
!!! xs[0].extend([1, 1])

=== max_default_gen | eager
xs = [[1], [3, 4]]
def f():
    return max((x for x in xs), default=None)[0], max(iter(xs))[0]
!!! xs[0][0] = 7
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_consume(case):
    check(case)
