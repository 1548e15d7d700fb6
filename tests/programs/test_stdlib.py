"""The standard library as programs use it, C objects that call back among them."""

import pytest

from oracle import cases, check, engine_compile

CASES = cases(r"""
=== re_match_of_every_method
import re
P = re.compile(r"(?P<a>\w)(\d)?")
def f(s):
    m = P.match(s)
    if not m:
        return None
    return (
        m.group(), m.group(1, 2), m.groups(), m.span(), m.start("a"), m.end(1),
        m.groupdict(), m[1], m["a"], m.string, m.re is P, m.pos, m.endpos, m.lastindex,
        m.lastgroup, m.regs, m.expand(r"\1-"), P.sub(r"<\1>", s), P.subn(r"\g<a>", s),
    )
>>> "a1"
>>> "-"
!!! P = re.compile(r"(?P<a>\d)(.)")

=== re_functions
import re
word = r"\w+"
def f(s):
    return (
        re.match(word, s) is not None, re.findall(word, s), re.sub(r"\s", "_", s),
        re.split(",", s), re.fullmatch(word, s) is None, re.escape(s),
        [m.span() for m in re.finditer("a", s)], re.sub(r"(\w)", r"\1\1", s),
    )
>>> "a b,c"
!!! word = r"[a-b]"

=== re_callback
import re
P = re.compile("a")
k = "x"
class Up:
    end = "!"
    def up(self, m):
        return m.group().upper() + self.end
    def __call__(self, m):
        return self.end
up = Up()
def f(s):
    return (
        P.sub(lambda m: m.group() + k, s), re.sub("b", lambda m: k.upper(), s),
        P.sub(up.up, s), P.subn(up, s), P.sub(repl=lambda m: k, string=s),
    )
>>> "banana"
!!! k = "y"
!!! up.end = "?"
!!! Up.up = lambda self, m: "new"

=== re_callback_writes
import re
P = re.compile("a")
counts = {}
def f(s):
    seen = []
    r = P.sub(lambda m: str(seen.append(m.start())), s)
    counts[s] = P.sub(lambda m: str(len(seen)), s)
    return r, seen
>>> "banana"
>>> "an"

=== re_callback_keeps_matches
import re
P = re.compile(r"\w")
def f(s):
    kept = []
    P.sub(lambda m: kept.append(m) or "", s)
    return [m.group() for m in kept], [m.start() for m in kept]
>>> "abc"

=== re_template_of_a_str_subclass | eager
import re
class S(str):
    pass
def f(s):
    return re.sub("a", S(r"\g<0>x"), s)
>>> "banana"

=== string_template
import string
T = string.Template("$a and ${b} $$")
d = {"a": 1, "b": 2}
def f():
    return T.substitute(d), T.safe_substitute(a=3)
!!! d["a"] = 5
!!! T = string.Template("$b")

=== json_dumps
import json
d = {"a": [1, 2.5, None, True], "b": {"c": "x"}, "e": (1, "ü")}
def f():
    return (
        json.dumps(d), json.dumps([1, "a"]), json.dumps(d, indent=2, sort_keys=True),
        json.dumps(d, separators=(",", ":"), ensure_ascii=False), json.dumps("s"),
    )
!!! d["b"]["c"] = 3
!!! d["a"].append(1)
!!! d["z"] = {}

=== json_dumps_subclasses
import collections, enum, json
class I(enum.IntEnum):
    A = 1
class D(dict):
    pass
class L(list):
    pass
class S(str):
    pass
d = D(a=L([I.A, S("s")]))
o = collections.OrderedDict(a=1)
def f():
    return json.dumps(d), json.dumps(o), json.dumps(collections.Counter("ab"))
!!! d["a"].append(2)
!!! o["b"] = 3
!!! o.move_to_end("a")
??? D.items = lambda self: [("own", 1)]

=== json_dumps_default
import json
class A:
    n = 1
a = A()
class E(json.JSONEncoder):
    def default(self, o):
        return {"n": o.n, "more": more}
more = [1]
def f():
    return json.dumps({"a": a}, default=lambda o: [o.n, more]), json.dumps([a], cls=E)
!!! A.n = 2
!!! a.n = 7
!!! more.append(2)
!!! E.default = lambda self, o: "own"

=== json_dumps_default_of_c | eager
import json
class A:
    def __str__(self):
        return str(n)
n = 1
def f():
    return json.dumps([A()], default=str)
!!! n = 2

=== json_dumps_raises
import json
x = [1]
def f():
    try:
        return json.dumps({"x": x, "s": {1}})
    except TypeError as e:
        return str(e)
!!! x.append(2)

=== json_loads
import json
def f(s):
    try:
        return json.loads(s)
    except ValueError as e:
        return str(e)
>>> '{"a": [1, 2, {"b": null}], "c": 1.5, "d": [[]]}'
>>> '[]'
>>> '[1, '

=== json_loads_is_new
import json
def f(s):
    d = json.loads(s)
    d["a"].append(1)
    d["b"] = d["a"]
    return d
>>> '{"a": []}'

=== json_loads_constants | eager
import json
def f(s):
    return repr(json.loads(s))
>>> '[NaN, 1]'
!!! json.decoder._CONSTANTS["NaN"] = 5
!!! json.decoder._CONSTANTS["NaN"] = float("nan")

=== json_loads_hooks
import json
k = 2
class H:
    def __init__(self):
        self.seen = 0
    def hook(self, d):
        return sorted(d), len(d) + k
h = H()
def f(s):
    return (
        json.loads(s, object_hook=lambda d: len(d) + k),
        json.loads(s, object_pairs_hook=lambda p: [k, p]),
        json.loads(s, parse_int=lambda t: t + str(k)),
    )
>>> '{"a": {"b": 1}, "c": {}}'
!!! k = 5

=== json_loads_hook_method | eager
import json
class H:
    k = 1
    def hook(self, d):
        return len(d) + self.k
h = H()
def f(s):
    return json.loads(s, object_hook=h.hook)
>>> '{"a": {"b": 1}, "c": {}}'
!!! h.k = 5

=== itemgetters
import operator
g = operator.itemgetter(1, 0)
one = operator.itemgetter("a")
part = operator.itemgetter(slice(0, 1))
xs = [[3, 4], [1, 2]]
d = {"a": [1]}
class C:
    n = 3
    def __getitem__(self, k):
        return k, self.n
c = C()
def f():
    return (
        g(xs[0]), sorted(xs, key=operator.itemgetter(1)), list(map(g, xs)), one(d),
        one(c), part(xs), operator.itemgetter(0)("xy"), one(d) is d["a"],
    )
!!! xs[0][1] = 0
!!! d["a"] = [2]
!!! c.n = 4
!!! g = operator.itemgetter(0, 0)
!!! C.__getitem__ = lambda self, k: "own"

=== itemgetter_raises
import operator
g = operator.itemgetter("a")
d = {}
def f():
    try:
        return g(d)
    except KeyError:
        return "absent"
!!! d["a"] = 1

=== attrgetters
import operator
class A:
    k = "class"
    def __init__(self, n):
        self.n = n
        self.b = self
    @property
    def p(self):
        return self.n + 1
a = A(3)
g = operator.attrgetter("n", "b.n", "b.b.k")
def f():
    return g(a), operator.attrgetter("b")(a) is a, operator.attrgetter("p")(a)
!!! a.n = 4
!!! a.k = "own"
!!! a.b = A(9)
!!! A.p = 5
!!! g = operator.attrgetter("k")

=== attrgetter_raises
import operator
class A:
    pass
a = A()
def f():
    try:
        return operator.attrgetter("x")(a)
    except AttributeError:
        return "absent"
!!! a.x = 1
!!! del a.x
!!! A.x = 2
!!! del A.x
!!! A.__getattr__ = lambda self, n: n

=== attrgetter_as_a_key
import operator
class A:
    def __init__(self, n):
        self.n = n
class S:
    __slots__ = ("n",)
    def __init__(self, n):
        self.n = n
class P:
    def __init__(self, n):
        self.m = n
    @property
    def n(self):
        return -self.m
xs = [A(3), A(1), A([0])]
del xs[2]
key = operator.attrgetter("n")
slots = [S(2), S(1)]
props = [P(1), P(2)]
def f():
    return (
        [x.n for x in sorted(xs, key=operator.attrgetter("n"))], max(xs, key=key).n,
        min(slots, key=key).n, [p.m for p in sorted(props, key=key)],
    )
!!! xs[0].n = 0
!!! xs.append(A(2))
!!! slots[0].n = -1
!!! props[0].m = 7

=== attrgetter_as_a_lazy_key | eager
import operator
class A:
    def __init__(self, n):
        self.n = n
xs = [A(3), A(1)]
def f():
    return list(map(operator.attrgetter("n"), xs))
!!! xs[0].n = 0

=== methodcallers
import operator
g = operator.methodcaller("upper")
h = operator.methodcaller("get", "a", 0)
class A:
    n = 1
    def get(self, *a):
        return self.n, a
a = A()
d = {"a": 1}
def f(s):
    return g(s), h(d), h(a), operator.methodcaller("append", s)([])
>>> "abc"
!!! d["a"] = 2
!!! a.n = 4
!!! A.get = lambda self, *a: "own"
!!! g = operator.methodcaller("title")

=== methodcaller_hidden_by_the_instance | eager
import operator
class A:
    def get(self):
        return 1
a = A()
def f():
    return operator.methodcaller("get")(a)
!!! a.get = lambda: 2

=== cmp_to_key
import functools
xs = [[3], [1], [2]]
sign = 1
def f():
    key = functools.cmp_to_key(lambda a, b: sign * (a[0] - b[0]))
    return sorted(xs, key=key), max(xs, key=key)
!!! sign = -1
!!! xs[0][0] = 0

=== iterators_over_nested_containers
import collections
xs = [[1, 2], [3]]
d = {"a": [5], "b": [4]}
q = collections.deque([[2], [1]])
def f():
    return (
        list(iter(xs)), list(reversed(xs)), sorted(iter(xs)), max(reversed(xs)),
        any(iter(xs)), sorted(zip(xs, xs)), max(enumerate(xs)), list(map(sum, xs)),
        sorted(d.values()), max(zip(d.values(), xs)), sorted(iter(q)),
        max(zip(reversed(xs), d.items())),
    )
!!! xs[0][0] = 9
!!! xs.append([7])
!!! d["b"][0] = 6
!!! q[0][0] = 0

=== iterators_in_itertools
import itertools
xs = [[1, 2], [3]]
def f():
    return (
        sorted(itertools.chain(xs, [[0]])), max(itertools.islice(xs, 2)),
        max(itertools.product(xs, xs)), max(itertools.zip_longest(xs, [1])),
        sorted(itertools.combinations(xs, 2)), [0, 3] in itertools.pairwise(xs),
    )
!!! xs[0][0] = 9
!!! xs[1].append(4)

=== ids_of_new_objects_within_the_run
def f():
    x, own = [], {}
    own[id(x)] = [1]
    own[id(x)].append(2)
    return own[id(x)], id(x) in own, len(own)

=== ids_of_new_objects_that_leave | eager
def f(a):
    x = []
    d = {id(x): a}
    return len(d), [k == id(x) for k in d], list(d.values())
>>> 1

=== items_that_come_later
import itertools, operator
xs = [[1], [2]]
ext = [5]
first = operator.itemgetter(0)
def f():
    ys, zs = list(xs), list(xs)
    getters, lengths = map(first, ys), zip(enumerate(map(len, ys)), ys)
    groups, kept = itertools.groupby(ys, len), filter(None, ys)
    walk = map(sum, zs)
    ys.append(ext)
    out = []
    for n in walk:
        out.append(n)
        if len(zs) < 3:
            zs.append(ext)
    a = next(kept)
    return out, [k for k, g in groups], list(lengths), len(list(kept)), a, list(getters)
!!! ext[0] = 6
!!! ext.append(7)
!!! xs[0][0] = 8

=== hash_of_nested_constants
t = ((1, "a"), (2.5, None, (3, frozenset([4]))))
def f():
    return (
        hash(t) == hash(((1, "a"), (2.5, None, (3, frozenset([4]))))),
        hash(frozenset([1, (2,)])) == hash(frozenset([(2,), 1])),
    )
!!! t = ((1,),)

=== cached_functions_of_tuples
import functools
@functools.lru_cache(None)
def g(shape, flag=False):
    return shape[0] * 2 + flag
shape = (1, (2, 3))
def f():
    return g(shape), g((4,), flag=True), g(shape=shape)
!!! shape = (5,)

=== cached_functions_of_objects | eager
import functools
class A:
    def __init__(self, n):
        self.n = n
a = A(1)
@functools.lru_cache(None)
def g(x=None):
    return x.n
def f():
    return g(x=a)
!!! a = A(2)

=== aliases
from typing import Optional
class A:
    t = list[int]
    u = int | None
    o = Optional[int]
def f():
    new = dict[str, int]
    return (
        A.t.__origin__, A.t.__args__, A.u.__args__, A.o.__args__, new.__args__,
        A.t == list[int], new.__origin__, (int | str).__args__,
    )
!!! A.t = dict[str, int]
!!! A.u = int | str

=== read_only_views
import enum, types
d = {"a": [1]}
v = types.MappingProxyType(d)
class E(enum.Enum):
    A = 1
    B = 2
def f():
    return (
        v.get("a"), v.get("z", 3), list(v.items()), list(v.keys()), list(v.values()),
        "a" in v, v["a"] is d["a"], len(v), v.copy(), {**v}, list(E.__members__.items()),
        E.__members__.get("A"),
    )
!!! d["a"].append(2)
!!! d["z"] = 5
!!! del d["a"]; d["a"] = 0

=== mappings_in_python
import collections
class U(collections.UserDict):
    def __setitem__(self, k, v):
        super().__setitem__(k, v * 2)
u = U(a=1)
class M:
    def keys(self):
        return list(names)
    def __getitem__(self, k):
        return k + "!"
names = ["x"]
m = M()
def f(n):
    v = U({"b": n})
    d = {}
    d.update(m)
    return dict(u), dict(v), dict(m), d, collections.OrderedDict(m), v | {"l": 1}
>>> 4
!!! u["a"] = 7
!!! names.append("y")
!!! M.keys = lambda self: ["own"]

=== keys_appear_later
class P:
    def __iter__(self):
        return iter([("a", 1)])
    def __getitem__(self, k):
        return k
p = P()
def f():
    return dict(p)
!!! P.keys = lambda self: ["k"]
!!! del P.keys
!!! p.keys = lambda: ["own"]

=== user_list
import collections
u = collections.UserList([1, 2])
def f(n):
    v = collections.UserList([n])
    v.append(3)
    v.extend(u)
    return u[0], v, len(u), u + v, n in u, v.index(3), sorted(u), u == [1, 2], u[0:1]
>>> 4
!!! u.append(4)

=== slot_that_is_empty
class A:
    __slots__ = ("x",)
    def __getattr__(self, n):
        return n + tail
tail = "!"
a = A()
a.x = 1
def f():
    return a.x, getattr(a, "x", 2)
!!! del a.x
!!! tail = "?"
!!! a.x = 2

=== hashes_of_texts
import hashlib
def f(s):
    h = hashlib.sha256(s)
    h.update(b"more")
    return hashlib.md5(s).hexdigest(), h.hexdigest(), h.digest_size, h.copy().digest()
>>> b"a"
>>> b"b"

=== hash_object_of_a_global | eager
import hashlib
h = hashlib.sha256()
def f():
    h.update(b"x")
    return h.hexdigest()

=== merged
import heapq
xs = [1, 4]
def f(n):
    return list(heapq.merge(xs, [2, n])), list(map(iter, [xs]))[0].__next__()
>>> 4
!!! xs[0] = 3

=== copies
import copy
class A:
    def __init__(self, x):
        self.x = x
a = A([1])
copy.copy(a)
s = {"a": [1, {"b": (1, [2])}], "d": "text"}
def f(n):
    new = A([n])
    b, c = copy.copy(a), copy.deepcopy(a)
    e = copy.copy(new), copy.deepcopy(new)
    deep, flat = copy.deepcopy(s), copy.copy(s)
    return b, c, b.x is a.x, c.x is a.x, e, new, deep, flat, flat["a"] is s["a"]
>>> 3
!!! a.x.append(3)
!!! a.y = 4
!!! s["a"].append(3)

=== decorated_constructors
import functools
calls = 0
def count(f):
    @functools.wraps(f)
    def inner(*args, **kwargs):
        global calls
        calls += 1
        return f(*args, **kwargs)
    return inner
class A:
    @count
    def __init__(self, n):
        self.n = n + tail
    @count
    def __add__(self, other):
        return self.n + other
    @count
    def __radd__(self, other):
        return other - self.n
class B:
    @count
    def __set_name__(self, owner, name):
        self.name = name
tail = 1
def f(n):
    global calls
    calls = 0
    class C:
        b = B()
    a, b = A(n), A(n=n)
    return a + 1, 1 + a, b, C.b.name
>>> 3
??? tail = 2
??? A.__init__ = lambda self, n: setattr(self, "n", n)

=== index_in_python
class I:
    def __init__(self, n):
        self.n = n
    def __index__(self):
        return self.n
i = I(1)
xs = [5, 6, 7]
def f():
    return xs[i], (1, 2)[i], [xs, 0][i]
!!! i.n = 0
!!! xs[1] = 4
!!! I.__index__ = lambda self: 1
!!! i.n = 9; xs[0] = 0

=== copy_of_a_set | eager
import copy
s = [{1, 2}]
def f():
    return copy.deepcopy(s), copy.copy(s[0])
!!! s[0].add(3)

=== copy_of_own_state
import copy
class A:
    pass
a = A()
a.x = [1]
copy.copy(a)
def f():
    return copy.copy(a)
!!! a.x = 2
??? A.__getstate__ = lambda self: {"q": 1}
??? A.__reduce__ = lambda self: (A, ())

=== copy_of_own_state_of_an_instance
import copy
class A:
    pass
a = A()
a.x = [1]
copy.copy(a)
def f():
    return copy.copy(a)
??? a.__getstate__ = lambda: {"q": 1}

=== copy_of_nothing
import copy
class A:
    pass
a = A()
copy.copy(a)
a.__dict__
def f():
    return copy.copy(a)
??? a.x = 1

=== copy_of_slots | eager
import copy
class A:
    __slots__ = ("x",)
a = A()
a.x = 1
def f():
    return copy.copy(a)
!!! a.x = 2

=== copy_that_asks_the_class_first | eager
import copy
class A:
    def __init__(self):
        self.x = 1
a = A()
def f():
    return copy.copy(a)
!!! a.x = 2
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_like_eager(case):
    check(case)


def test_id_of_a_new_object_in_an_old_dict():
    """It is another number in each call: no effect can write it."""
    d = {}

    def f():
        x = []
        d[id(x)] = x

    fast = engine_compile(f)
    for count in range(1, 5):
        fast()
        assert len(d) == count
    assert all(key == id(x) for key, x in d.items())
    assert fast.stats()["hits"] == 0
