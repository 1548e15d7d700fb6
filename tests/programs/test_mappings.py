"""Dicts, sets and what extends them: whose methods run, which hashes, in which order."""

from __future__ import annotations

import pytest

from oracle import cases, check

CASES = cases("""
=== sets_take_hashes_over | eager
class Key(int):
    count = 0
    def __hash__(self):
        Key.count += 1
        return int.__hash__(self)
def f(kind):
    d = dict.fromkeys(map(Key, range(5)))
    before = Key.count
    s = kind(d)
    set().difference(d)
    dict.fromkeys(s)
    return Key.count - before, len(s)
>>> set
>>> frozenset

=== disjoint_stops_early
n = 0
def g():
    global n
    for i in (1, 2, 3):
        n += 1
        yield i
def f():
    global n
    n = 0
    found = {2, 4}.isdisjoint(g()), n
    return found, {7}.isdisjoint(g()), n

=== length_hints | eager
import operator
def f():
    found = []
    for c in ({1, 2, 3}, {1: 2, 3: 4}, {1: 2}.values(), [1, 2], (), {}):
        it = iter(c)
        found.append(operator.length_hint(it))
        next(it, None)
        found.append(it.__length_hint__())
    return found

=== subclass_of_set_adds
class Odd(set):
    def add(self, item):
        return super().add(item + 1)
def f(x):
    s = Odd([1, 2])
    s.add(x)
    s.update([7])
    return s == {1, 2, 4, 7}, sorted(s), type(s | {9}).__name__, type(s.copy()).__name__
>>> 3

=== which_type_sets_answer_with
class S(set):
    pass
class F(frozenset):
    pass
def f():
    a, b, c, d = {1, 2}, frozenset([2, 3]), S([3, 4]), F([4, 1])
    pairs = [(x, y) for x in (a, b, c, d) for y in (a, b, c, d)]
    return [(type(op(x, y)).__name__, sorted(op(x, y))) for x, y in pairs
            for op in (lambda x, y: x & y, lambda x, y: x | y,
                       lambda x, y: x - y, lambda x, y: x ^ y)]

=== compares_sets
def f(p, q, r):
    return [p < q, p <= p, r < p, r <= q, p > r, p >= q, p == frozenset(p), p != list(p),
            p.issubset(q), p.issuperset("a"), r.isdisjoint(q)]
>>> set("abc"), set("bef"), frozenset("ab")

=== errors_of_sets
def f():
    found = []
    for g in (lambda: {1} - [1], lambda: {1}.issubset(1), lambda: {1}.issubset([[]]),
              lambda: {1}.copy(1), lambda: {[]}, lambda: {1}.remove(2),
              lambda: set().pop()):
        try:
            found.append(g())
        except (TypeError, KeyError) as error:
            found.append((type(error).__name__, str(error)))
    return found

=== set_in_a_set | eager
def f(s, t):
    return s in t, frozenset(s) in t, {frozenset(s)} == t
>>> {1, 2}, {frozenset([1, 2])}
>>> {1}, {frozenset([1, 2])}

=== members_by_identity
import math
s = {math.sin, "hello", len}
def f():
    return len in s, abs in s, "hello" in s, math.sin in s
!!! s.remove(len)
!!! s.add(abs)

=== sets_item_itself
class D(dict):
    def __setitem__(self, key, value):
        super().__setitem__(key, value + 1)
def f(x):
    d = D(x=x)
    d["y"] = 10
    d.update(z=1)
    d.setdefault("w", 5)
    d |= {"v": 2}
    return d, type(d.copy()).__name__, type(d | {}).__name__
>>> 3

=== keys_of_its_own | eager
class D(dict):
    def keys(self):
        return ["bar", "foo"]
    def __iter__(self):
        return iter(["only"])
    def __getitem__(self, key):
        return ("got", key)
def show(**kw):
    return kw
def f():
    d = D(foo=1, bar=2)
    e = {}
    e.update(d)
    return list(d), d["x"], dict(d), e, show(**d), {**d}, list(d.items())

=== mapping_without_a_class | eager
class M:
    def __init__(self, x):
        self.keys = lambda: ["a", "b"]
        self.x = x
    def __getitem__(self, key):
        return key * self.x
def show(**kw):
    return kw
def f(x):
    d = {"a": 0}
    d.update(M(x), c=1)
    return dict(M(x), z=3), d, show(**M(x))
>>> 2

=== updates_from_a_proxy
import types
def f(d):
    e = {"a": 1}
    e.update(types.MappingProxyType(d))
    return e, {**types.MappingProxyType(d)}, types.MappingProxyType(d) | {"c": 3}
>>> {"a": 5, "b": 6}

=== errors_of_updates
def f():
    found = []
    for g in (lambda: {}.update([(1, 2, 3)]), lambda: {}.update({}, {}),
              lambda: {}.update(),
              lambda: {}.update([1]), lambda: dict([("a", 1)], a=2), lambda: {}.popitem(),
              lambda: {[]: 1}, lambda: {}.fromkeys(3)):
        try:
            found.append(g())
        except (TypeError, ValueError, KeyError) as error:
            found.append((type(error).__name__, str(error)))
    return found

=== new_without_init
class D(dict):
    def __init__(self, *args):
        raise AssertionError
def f(kind):
    d = dict.__new__(kind)
    d["x"] = 1
    if kind is D:
        d.attr = 3
    return d, type(d).__name__, dict(vars(d)) if kind is D else None
>>> dict
>>> D

=== order_of_keys
d = {2: 4, 3: 5}
def f(x):
    for k, v in d.items():
        x = x * k + v
    return x
>>> 1
!!! d[2] = d.pop(2)
!!! d[3] = 6

=== moves_to_an_end | eager
from collections import OrderedDict
class D(OrderedDict):
    def keys(self):
        return super().keys()
def f(kind):
    d = kind([(2, 4), (3, 5), (4, 6)])
    d.move_to_end(2)
    d.move_to_end(4, last=False)
    found = list(d.values()), list(d.keys()), d.popitem(last=False)
    return found, d == kind(d), list(reversed(d))
>>> OrderedDict
>>> D

=== pops_and_sets_again
def f(d):
    d["c"] = d["a"] + d.pop("b")
    d.setdefault("e", []).append(1)
    return d, d.popitem()
>>> {"a": 1, "b": 2}

=== views_are_sets
def f(d, e):
    k, i = d.keys(), d.items()
    return [sorted(k & e), sorted(k | e), sorted(k - e.keys()), sorted(k ^ e),
            k == set(d), k.isdisjoint(e), sorted(i & e.items()), ("a", 1) in i,
            1 in d.values(), len(k), list(reversed(d.keys()))]
>>> {"a": 1, "b": 2}, {"b": 2, "c": 3}

=== comparison_that_raises | eager
class Bad:
    def __eq__(self, other):
        raise LookupError("no")
    __hash__ = object.__hash__
def f():
    try:
        return {1: Bad()} == {1: Bad()}
    except LookupError as error:
        return str(error)

=== own_dict
class C:
    def __init__(self):
        self.a, self.b = 3, 5
def f(x):
    o = C()
    del o.a
    n = len(o.__dict__)
    o.__dict__["z"] = x
    o.c = 7
    return n, "a" in o.__dict__, o.__dict__.get("a", 9), o.z, list(vars(o))
>>> 4

=== attribute_access_of_items | eager
class Dot(dict):
    __getattr__ = dict.get
    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__
config = Dot(a=1, b=2)
def f(x):
    d = Dot(config)
    d.c = x
    del d.a
    return config.a, config.none, d, d.c
>>> 3
!!! config.a = 5

=== missing_keys
from collections import defaultdict
class D(dict):
    def __missing__(self, key):
        return ("missing", key)
def f(x):
    d, e = D(a=1), defaultdict(list, a=[0])
    e[x].append(1)
    return d[x], d.get(x), x in d, e, e["a"]
>>> "a"
>>> "b"

=== user_dicts | eager
from collections import ChainMap, UserDict
class U(UserDict):
    def __setitem__(self, key, value):
        self.data[key] = [value]
def f(x):
    u = U(a=x)
    u.update(b=2)
    c = ChainMap({"a": 1}, u)
    return u.data, c["b"], sorted(c), u | {"z": 1}
>>> 1

=== weak_keys
import weakref
class K:
    pass
a, b = K(), K()
states = weakref.WeakKeyDictionary({a: 2})
def f():
    return a in states, b in states, states.get(b, 7), len(states)
!!! states[b] = 3
!!! del states[a]

=== weak_keys_that_are_equal_or_die | eager
import gc, weakref
class Equal:
    def __init__(self, n): self.n = n
    def __hash__(self): return 1
    def __eq__(self, other): return self.n == other.n
class K:
    n = 0
    def __hash__(self): return 1
    __eq__ = object.__eq__
a, b, k = Equal(1), Equal(2), K()
states = weakref.WeakKeyDictionary({a: 2, b: 3})
def f():
    return states[a], states.get(b), k in states
!!! b.n = 1
!!! states[k] = 5
!!! b.n = 2; del states[a]; states[a] = 7

=== weak_keys_of_the_run
import weakref
class K:
    pass
a = K()
states = weakref.WeakKeyDictionary({a: 2})
refs = {weakref.ref(a): 4}
def f(x):
    return refs[weakref.ref(a)], refs.get(weakref.ref(K))
>>> 1
!!! refs[weakref.ref(K)] = 5
!!! a = K(); refs[weakref.ref(a)] = 6

=== attributes_that_are_keys
class Config(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__
class Given(dict):
    __getattr__ = dict.get
    __setattr__ = dict.__setitem__
    def __setitem__(self, key, value): raise TypeError(key)
c, g = Config(a=1, b=[2]), Given(a=1)
def f(x):
    c.x = x
    g.x = c.a
    c.b.append(x)
    made = Config(k=x)
    made.z = 3
    del made.k
    try:
        c.missing
    except (AttributeError, KeyError) as error:
        return str(error), g.missing, made, list(c), list(c.items())
>>> 1
!!! c.a = 5
!!! c.__dict__["a"] = 6
!!! Config.a = 7
!!! del Config.a; c.__dict__.clear(); Config.__getattr__ = lambda self, name: [name]
!!! Config.__setattr__ = object.__setattr__

=== equal_keys_of_other_types
def f(d, key):
    d[key] = "new"
    return d, list(d), d.get(1.0), d.get(True)
>>> {1: "one", "k": 2}, True
>>> {1: "one", "k": 2}, 1.0

=== changed_while_it_is_walked
def f(d):
    try:
        for k in d:
            d[k + "x"] = 1
    except RuntimeError as error:
        return str(error), d
>>> {"a": 1}

=== comprehension_order
def f(items):
    d = {k: v for k, v in items}
    return d, {v: k for k, v in d.items()}, list(d | {"z": 0, "a": 5}), "q" in {*d}
>>> [("a", 1), ("b", 2), ("a", 3)]
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_programs(case):
    check(case)
