"""What a call returns and leaves behind: kinds, nesting, identity, cycles, aliases."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== constants
def f():
    return 1, 1.5, -0.0, "s", b"b", None, True, ..., 2j, 10**30, float("nan")

=== nested_new
def f(x):
    return [x, (x, {"k": [x, {x}]}), frozenset([x]), slice(x, None)]
>>> 1

=== shared_new_object
def f():
    a = [1]
    return a, a, {"k": a}, [a, [1]]

=== new_object_every_call
def f():
    return [1, {}]
>>>
>>>

=== cycle_list
def f():
    a = [1]
    a.append(a)
    return a

=== cycle_dict_and_object
class Node:
    pass
def f():
    a, b = Node(), Node()
    a.next, b.next = b, a
    d = {"a": a}
    a.owner = d
    return d, b

=== cycle_through_tuple
def f():
    a = []
    t = (a, 1)
    a.append(t)
    return t

=== argument_inside_output
def f(x, d):
    return [x, x, {"d": d}], d["k"]
>>> [1], {"k": [2]}

=== piece_of_argument
def f(d):
    return d["a"][1], d["a"]
>>> {"a": [0, [5]]}

=== global_returned
table = {"a": [1]}
def f():
    return table, table["a"]
!!! table = {"a": [2]}

=== no_return
def f(xs):
    xs.append(1)
>>> []

=== slice_and_range
def f(a, b):
    return slice(a, b), range(a, b), slice(None, b, 2)
>>> 1, 5

=== set_of_new
def f(a):
    s = {a, a + 1}
    s.add("x")
    return s, frozenset(s), s
>>> 1

=== set_order_of_deletes
def f():
    s = set(range(20))
    for i in range(0, 20, 3):
        s.discard(i)
    return list(s), s

=== namedtuple
from collections import namedtuple
P = namedtuple("P", "x y", defaults=[7])
def f(a):
    p = P(a, [a])
    q = p._replace(x=5)
    return p, q, p.x, q.y is p.y, P(1), p._asdict(), P._make([1, 2])
>>> 3

=== typing_namedtuple
from typing import NamedTuple
class P(NamedTuple):
    x: int
    y: list = None
    def total(self):
        return self.x * 2
def f(a):
    p = P(a)
    x, y = p
    return p, p.total(), x, y
>>> 3

=== tuple_subclass
class T(tuple):
    def __new__(cls, *items):
        return super().__new__(cls, items)
def f(a):
    t = T(a, [a])
    t.extra = 1
    return t, t[0], len(t)
>>> 1

=== dataclass
from dataclasses import dataclass, field
@dataclass
class D:
    a: int
    b: list = field(default_factory=list)
    c: int = 3
def f(x):
    d = D(x)
    d.b.append(x)
    e = D(1, [2], c=4)
    return d, e, d == D(x, [x]), d.c
>>> 5
!!! D.c = 9

=== dataclass_frozen_slots
from dataclasses import dataclass, replace
@dataclass(frozen=True, slots=True)
class D:
    a: int
    b: tuple = ()
def f(x):
    d = D(x)
    return d, replace(d, b=(x,)), d.a
>>> 5

=== dataclass_post_init
from dataclasses import dataclass, field, fields, asdict
log = []
@dataclass
class D:
    a: int
    twice: int = field(init=False)
    def __post_init__(self):
        self.twice = self.a * 2
        log.append(self.a)
def f(x):
    d = D(x)
    return d, [g.name for g in fields(d)]
>>> 5

=== model_output_style
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import Any
class Output(OrderedDict):
    def __post_init__(self):
        for fld in fields(self):
            v = getattr(self, fld.name)
            if v is not None:
                self[fld.name] = v
    def __getitem__(self, k):
        if isinstance(k, str):
            return dict(self.items())[k]
        return self.to_tuple()[k]
    def __setattr__(self, name, value):
        if name in self.keys() and value is not None:
            super().__setitem__(name, value)
        super().__setattr__(name, value)
    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)
    def to_tuple(self):
        return tuple(self[k] for k in self.keys())
@dataclass
class BaseOutput(Output):
    last: Any = None
    hidden: Any = None
    attn: Any = None
def f(x):
    o = BaseOutput(last=[x], attn=(x,))
    return o, o[0], o["attn"], o.hidden
>>> 1

=== user_instance
class C:
    def __init__(self, a):
        self.a = a
        self.b = [a]
        self.me = self
def f(x):
    c = C(x)
    c.late = c.b
    return c, c.b
>>> 1

=== instance_with_new
class C:
    made = 0
    def __new__(cls, a):
        o = super().__new__(cls)
        o.raw = a
        return o
    def __init__(self, a):
        self.a = a + 1
def f(x):
    return C(x)
>>> 1

=== instance_constructor_runs_once
log = []
class C:
    def __init__(self, a):
        log.append(a)
def f(x):
    return C(x), len([1])
>>> 1

=== instance_singleton
class C:
    only = None
    def __new__(cls):
        if cls.only is None:
            cls.only = super().__new__(cls)
        return cls.only
def f():
    return C(), C() is C()
!!! C.only = None

=== instance_setattr_not_rerun
log = []
class C:
    def __setattr__(self, k, v):
        log.append(k)
        object.__setattr__(self, k, v)
def f(x):
    c = C()
    c.a = x
    return c
>>> [1]

=== exception_instance_returned
def f(x):
    e = ValueError("bad", x)
    return e, e.args
>>> 1

=== a_dict_that_its_own_setitem_fills
from collections import OrderedDict
class O(OrderedDict):
    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)
    def __setattr__(self, key, value):
        super().__setitem__(key, value)
        super().__setattr__(key, value)
class P(O):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.last = n
n = 3
def f(x):
    return O(a=x, b=n), O({'c': x}, d=2), P({'e': [x]}, g=1), P().last
>>> 1
>>> 2
!!! n = 4
!!! O.__setitem__ = lambda self, key, value: OrderedDict.__setitem__(self, key, (value,))
!!! del O.__setitem__

=== container_subclasses
from collections import OrderedDict, defaultdict, deque
class L(list):
    pass
class D(dict):
    pass
class S(set):
    pass
class O(OrderedDict):
    pass
def f(x):
    a = L([x])
    a.tag = "t"
    d = D(k=x)
    d.tag = a
    return (
        a, d, S([x]), O(z=x, a=1), defaultdict(list, k=[x]), deque([x], 3)
    )
>>> 1

=== str_int_subclasses
class S(str):
    pass
class I(int):
    pass
def f(x):
    s = S("a")
    s.tag = x
    return s, I(x)
>>> 5

=== enum_returned
import enum
class E(enum.Enum):
    A = 1
    B = 2
class F(enum.Flag):
    X = 1
    Y = 2
def f(n):
    return E(n), E.A, E["B"], F.X, [e.name for e in E]
>>> 1
>>> 2

=== enum_flag_combined
import enum
class F(enum.Flag):
    X = 1
    Y = 2
def f():
    v = F.X | F.Y
    return v, F.X in v, v & F.X

=== bound_method_returned
class C:
    def m(self):
        return self
c = C()
def f(o):
    return o.m, c.m, C.m
>>> C()

=== builtin_method_of_new_object
def f(x):
    a = [x]
    g = a.append
    g(5)
    return a
>>> 1

=== builtin_method_returned
def f(x):
    return [x].append, {}.get, len
>>> 1

=== partial_used
import functools
def g(a, b, c=0):
    return a, b, c
def f(x):
    p = functools.partial(g, x, c=[x])
    return p(2), p.func, p.args
>>> 1

=== partial_returned
import functools
def g(a, b, c=0):
    return a, b, c
def f(x):
    return functools.partial(g, x, c=[x])
>>> 1

=== function_returned_with_defaults
def f(x):
    def g(a, b=x, *, c=[x]):
        "doc"
        return a, b, c
    g.tag = x
    return g, g(0)
>>> 1

=== lambda_returned
def f(x):
    return lambda y: (x, y)
>>> [1]

=== function_with_annotations
def f(x):
    def g(a: int, b: "str" = "z") -> list:
        return [a]
    return g, g.__annotations__
>>> 1

=== class_returned
class C:
    pass
def f():
    return C, int, type(None), list

=== class_made_inside | eager
def f(x):
    class C:
        n = x
        def m(self):
            return self.n
    return C().m(), C
>>> 1

=== module_returned
import math
def f():
    return math

=== generator_returned | eager
def f(n):
    return (i for i in range(n))
>>> 3

=== iterator_returned | eager
def f(xs):
    return iter(xs), enumerate(xs), zip(xs, xs), map(str, xs)
>>> [1, 2]

=== compiled_generator_function | eager
def f(n):
    for i in range(n):
        yield i
>>> 3

=== dict_views_returned | eager
def f(d):
    return d.keys(), d.items()
>>> {"a": 1}

=== same_tuple_twice
def f(x):
    t = (x, [x])
    return t, t, (t, t)
>>> 1

=== tuple_of_argument_kept
t = (1, [2])
def f(a):
    return a, t, a is t, (a, t)
>>> t
>>> (1, [2])

=== empty_containers
def f():
    return [], {}, (), set(), frozenset(), "", b""

=== deep_nesting
def f(n):
    x = []
    for i in range(n):
        x = [x, i]
    return x
>>> 60

=== wide_output
def f(n):
    return {f"k{i}": [i] for i in range(n)}
>>> 300

=== output_of_many_cells
def f(n):
    fs = []
    for i in range(n):
        def g(i=i):
            return i, fs
        fs.append(g)
    return fs
>>> 4

=== new_object_stored_in_two_places
class C:
    pass
c = C()
d = {}
def f(x):
    new = [x]
    c.a = new
    d["k"] = new
    return new
>>> 1

=== new_object_replaces_old
class C:
    def __init__(self, n):
        self.n = n
holder = [C(0)]
def f(n):
    old = holder[0]
    holder[0] = C(n)
    return old, holder[0]
>>> 1

=== swap
xs = [[1], [2]]
def f():
    xs[0], xs[1] = xs[1], xs[0]
    return xs[0]
>>>
>>>

=== linked_list_pushed
class Node:
    def __init__(self, v, rest):
        self.v = v
        self.rest = rest
head = None
def f(v):
    global head
    head = Node(v, None)
    return head
>>> 1

=== alias_write_one_read_other
def f(a, b):
    a.append(1)
    return len(b)
x = []
>>> [1], [1]
>>> (y := [1]), y

=== alias_appears_later
class C:
    def __init__(self, n):
        self.n = n
a, b = C(1), C(1)
def f():
    a.n = 5
    n = b.n
    a.n = 1
    return n
!!! b = a
!!! b = C(1)

=== alias_appears_in_list
xs = [[1], [1]]
def f():
    xs[0].append(2)
    n = len(xs[1])
    xs[0].pop()
    return n
!!! xs[1] = xs[0]
!!! xs[1] = [1]

=== alias_disappears
a = [1]
b = a
def f():
    a.append(2)
    n = len(b)
    a.pop()
    return n
!!! b = [1]
!!! b = a

=== alias_argument_and_global
g = [1]
def f(a):
    a.append(2)
    n = len(g)
    a.pop()
    return n, a is g
>>> g
>>> [1]

=== alias_argument_twice_in_output
def f(a, b):
    return a, b, [a, b]
x = [1]
>>> x, x
>>> [1], [1]

=== alias_two_paths_one_object
class C:
    pass
root = C()
root.left = C()
root.right = root.left
root.left.n = 1
def f(v):
    root.left.n = v
    return root.right.n
>>> 2
!!! root.right = C(); root.right.n = 77
!!! root.right = root.left

=== alias_object_and_its_dict
class C:
    pass
o = C()
o.n = 1
d = o.__dict__
def f(v):
    d["n"] = v
    a = o.n
    o.n = a + 1
    return a, d["n"]
>>> 5
??? d = {"n": 0}

=== alias_module_and_globals
import types
m = types.ModuleType("m")
d = m.__dict__
def f(v):
    m.n = v
    return d["n"]
>>> 5

=== alias_global_dict_and_name
n = 1
def f(v):
    global n
    globals()["n"] = v
    a = n
    n = a + 1
    return a, globals()["n"]
>>> 5

=== alias_class_attr_and_instance
class C:
    xs = [1]
o = C()
def f():
    o.xs.append(2)
    n = len(C.xs)
    C.xs.pop()
    return n
??? o.xs = [1]
!!! del o.xs; C.xs[:] = [1]

=== alias_key_object
class K:
    pass
k = K()
j = k
d = {k: 1}
def f():
    d[k] = 5
    return d.get(j, "none")
!!! j = K()

=== alias_bound_method_self
class C:
    def __init__(self):
        self.n = 0
    def bump(self, v):
        self.n = v
c = C()
bump = c.bump
def f(v):
    bump(v)
    return c.n
>>> 3
!!! c = C()

=== argument_mutated_and_returned_part
def f(d):
    d["new"] = d.pop("old")
    return d["new"]
>>> {"old": [1], "z": 2}

=== mutated_after_stored
box = {}
def f(x):
    a = [x]
    box["a"] = a
    a.append(2)
    return box["a"]
>>> 1

=== stored_and_then_removed
box = {}
def f(x):
    a = [x]
    box["a"] = a
    b = box.pop("a")
    return a is b, box
>>> 1

=== copy_of_argument
import copy
def f(x):
    a = copy.copy(x)
    a.append(1)
    return a, x
>>> [[0]]

=== shared_default_not_copied
def g(acc=[]):
    acc.append(1)
    return acc
def f():
    r = g()
    n = len(r)
    r.clear()
    return n

=== finalizer_order | eager
log = []
class D:
    def __del__(self):
        log.append("freed")
def f():
    d = D()
    d = None
    log.append("after")
    e = [D()]
    e.clear()
    log.append("end")

=== finalizer_of_replaced_value | eager
log = []
class D:
    def __init__(self, n):
        self.n = n
    def __del__(self):
        log.append(self.n)
class H:
    pass
h = H()
h.d = D(0)
def f(n):
    h.d = D(n)
    log.append("stored")
>>> 1
>>> 2

=== weakref_of_argument | eager
import weakref
class C:
    pass
def f(o):
    r = weakref.ref(o)
    return r() is o
>>> C()

=== repr_of_object
class C:
    def __repr__(self):
        return "C!"
def f(c):
    return repr(c), str(c), f"{c!r}"
>>> C()

=== repr_inside_list | eager
class C:
    def __repr__(self):
        return "C!"
def f(c):
    return repr([c]), str({"k": c}), f"{[c]}"
>>> C()
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs(case):
    check(case)
