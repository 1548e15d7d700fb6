"""Every single allocation fails once, in each thing that can be done with a compiled
function: make it, record, hit, miss, tell of a miss, describe, forget, free.

Never a crash.  Either the call answers as eager does, or it raises MemoryError; then a
hit has changed nothing, a recording is where eager would be, and later calls are right.
"""

import os
import sys

import pytest
from crash_runner import run, scripts

pytest.importorskip("_testcapi")
EVERY = os.environ.get("MAGPY_TEST_EVERY", "1")  # sanitizers are slow

DRIVER = r"""
import gc, weakref
from _testcapi import remove_mem_hooks, set_nomemory

events = []
def listen(kind, info):
    events.append(kind)

def reasons():
    fast = compiled(f)
    fast(make())
    return fast.stats()["reasons"]

def attempt(call, first, last):
    "Run call() with allocations first..last failing: what came of it?"
    set_nomemory(first, last)
    try:
        try:
            value = call()
        finally:
            remove_mem_hooks()
    except MemoryError:
        return "MemoryError", None
    return "value", value

def check(fast, world, twin, where):
    want = f(twin)
    assert fast(world) == want, where
    assert text(world) == text(twin), (*where, text(world), text(twin))

def change_twice(world, twin):
    change(world)
    change(twin)

def prepared(warm, changed, how, where):
    "A compiled function after `warm` calls, its world, and the same world for eager."
    world, twin, fast = make(), make(), compiled(f, **how)
    for _ in range(warm):
        check(fast, world, twin, where)
    if changed:
        change_twice(world, twin)
    return fast, world, twin

def allocations(probe):
    "How many does the probe ask for?  Bisection on the first of all that fail."
    want, low, high = probe(1 << 20), 0, 8
    while probe(high) != want:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if probe(middle) == want else (middle + 1, high)
    return low + 8  # an allocation whose failure nobody notices may come last

def phase(name, warm, last, changed=False, how={}):
    "Each allocation of one call, in a new world; `warm` calls come before."
    def probe(n):
        fast, world, twin = prepared(warm, changed, how, (name, n))
        kind, _ = attempt(lambda: fast(world), n, 0)
        return kind, fast.stats()["reasons"]
    count, errors = allocations(probe), 0
    for first in range(0, count, EVERY):
        where = name, first, last
        fast, world, twin = prepared(warm, changed, how, where)
        before, was = text(world), fast.stats()
        kind, value = attempt(lambda: fast(world), first, last and first + last)
        if kind == "value":
            assert value == f(twin), (*where, value)
            assert text(world) == text(twin), (*where, text(world), text(twin))
        else:
            errors += 1
            # What stands before a break has happened, as in eager.
            if all(was[k] == fast.stats()[k] for k in ("recordings", "partial_hits")):
                assert text(world) == before, (*where, before, text(world))
            world, twin = make(), make()
        for _ in range(3):
            check(fast, world, twin, where)
        change_twice(world, twin)
        for _ in range(3):
            check(fast, world, twin, where)
        fast.entries(), fast.stats()
    print(name, "of", count, "allocations", errors, "raised", file=sys.stderr)
    return errors

def act(name, last, do):
    "Each allocation of something else than a call; the function works on after it."
    def probe(n):
        fast, world, twin = prepared(2, True, {}, (name, n))
        return attempt(lambda: do(fast), n, 0)[0]
    count, errors = allocations(probe), 0
    for first in range(0, count, EVERY):
        where = name, first, last
        fast, world, twin = prepared(2, False, {}, where)
        errors += attempt(lambda: do(fast), first, last and first + last)[0] != "value"
        for _ in range(3):
            check(fast, world, twin, where)
    print(name, "of", count, "allocations", errors, "raised", file=sys.stderr)

def freed(last):
    "It is freed, with all it holds, whatever fails then."
    for first in range(40):
        mine = []
        def told(kind, info, mine=mine): pass
        fast, world, _ = prepared(2, False, {"on_event": told}, ("free", first, last))
        change(world)
        fast(world)
        mine.append(fast)  # the collector has to do it
        seen, held = weakref.ref(fast), [fast]
        del fast, told, mine
        attempt(held.clear, first, last and first + last)
        gc.collect()
        assert seen() is None, (first, last)
"""

PROGRAMS = scripts(r"""
=== attributes_and_lists
class Net:
    def __init__(self):
        self.n, self.seen, self.table = 1, [1.5], {"a": 1, "b": [2]}
def f(net):
    net.total = net.n + 1000
    net.seen[1:] = [net.n * 1.5]
    net.table["b"] = [net.n, net.seen][:1]
    net.table.pop("a", None)
    return {"o": (net.seen, [net.n, "x" * 3])}
make = Net
def change(net):
    net.n += 1000
def text(net):
    return repr((vars(net), net.seen, net.table))

=== classes
class Point:
    kind = "p"
    __slots__ = ("x", "y", "__dict__")
    def __init__(self, x):
        self.x, self.y, self.z = x, [x], {x}
    def __eq__(self, other):
        return (self.x, self.y, self.z) == (other.x, other.y, other.z)
def f(world):
    world[0].y = [world[0].x]
    p = Point(world[0].x)
    world[1].add(7)
    world[2] = tuple(sorted(map(abs, [3, -2])))
    return p, [v * 2 for v in world[2]], f"{p.x}!"
def make():
    return [Point(3), {1, 2}, None]
def change(world):
    world[0].x += 1000
def text(world):
    return repr((world[0].x, world[0].y, world[0].z, world[1:]))

=== closures
def f(world):
    def later(k=world[0]):
        return k, world[0]
    world[1] = [later(), (lambda: world[0])()]
    return later.__name__, [later() for _ in range(2)]
def make():
    return [[3], None]
def change(world):
    world[0] = [world[0]]
def text(world):
    return repr(world)

=== exceptions_and_generators
def gen(items):
    for item in items:
        yield item, [item]
def f(world):
    try:
        world["missing"]
    except KeyError as error:
        world["seen"] = error.args
    with_default = world.get("none", 3)
    try:
        return dict(gen(world["items"])), with_default
    finally:
        world["last"] = list(gen(world["items"]))
def make():
    return {"items": ("a", "b")}
def change(world):
    world["items"] += ("c",)
def text(world):
    return repr(world)

=== broken
import time
def add(world, x):
    world.append(x + len(world))
    return [time.time() > x, x]
def f(world):
    made = {"k": add(world, 0)}
    return [time.time() > 0, world[0], [3], made]
def make():
    return [1]
def change(world):
    world[0] += 1
text = repr

=== cached
import functools
@functools.lru_cache
def bounded(n=0, k=0):
    return [n, k]
@functools.lru_cache(None)
def unbounded(n):
    return [n]
def f(world):
    return [world[0], unbounded(world[0]), bounded(1), bounded(k=[3][0])]
def make():
    unbounded.cache_clear()
    bounded.cache_clear()
    return [1]
def change(world):
    world[0] += 1
text = repr

=== refused
nan = float("nan")
def f(world):
    world.append(1)
    return [nan in [nan, 1], world[0], [3]]
def make():
    return [1]
def change(world):
    world[0] += 1
text = repr

=== long_arguments
class Box:
    def __init__(self):
        self.at = [i * 1000 for i in range(40)]
def f(box, *rest, key=(1, [2]), **more):
    a, b, *others = box.at
    box.rest = [rest, more, key[1]]
    return a, b, others, {**more, "n": len(rest)}
make = Box
def change(box):
    box.at.append(1)
def text(box):
    return repr(vars(box))

=== inheritance_and_properties
class Base:
    scale = 2000
    def __init__(self):
        self._n, self.log = 1, []
    @property
    def n(self):
        self.log.append(self._n)
        return self._n * self.scale
    @n.setter
    def n(self, value):
        self._n = value
    def go(self, *, by=1):
        return [self.n + by]
class Child(Base):
    def go(self, *, by=1):
        out = super().go(by=by + 1000)
        self.n = self._n + 1
        return out
    def __getattr__(self, name):
        return name, self._n
def f(o):
    return o.go(by=3), o.absent, isinstance(o, Base), type(o).__name__
make = Child
def change(o):
    o._n = 5000
def text(o):
    return repr(vars(o))

=== slots_cells_and_globals
counter = [0]
class S:
    __slots__ = ("a", "b")
def make():
    n = [10**9]
    def bump():
        nonlocal n
        n = [n[0] + 1]
        return n
    s = S()
    s.a = bump
    return s
def f(s):
    global seen
    out = s.a()
    s.b = {"out": out}
    seen = [out[0]]
    del seen
    return out
def change(s):
    if hasattr(s, "b"):
        del s.b
    s.a()
def text(s):
    return repr((s.a.__closure__[0].cell_contents, getattr(s, "b", None)))

=== cycles_and_deques
import collections
class Node:
    def __init__(self, v):
        self.v, self.next = v, None
def f(world):
    a, b = Node(world["v"]), Node([world["v"]])
    a.next, b.next = b, a
    world["node"] = a
    world["d"].append((a.v, 1.5))
    world["d"].extend([world["v"]])
    ring = [1]
    ring.append(ring)
    return len(ring), collections.OrderedDict(a=[world["v"]])
def make():
    return {"v": 10**6, "d": collections.deque([1], maxlen=9)}
def change(world):
    world["v"] += 1
def text(world):
    node = world.get("node")
    seen = (node.v, node.next.v, node.next.next is node) if node else None
    return repr((world["v"], world["d"], seen))

=== comparisons_and_hashes
class K:
    def __init__(self, v):
        self.v = v
    def __eq__(self, other):
        return isinstance(other, K) and self.v == other.v
    def __hash__(self):
        return hash(self.v)
    def __lt__(self, other):
        return self.v < other.v
def f(world):
    keys = [K((i * 7) % 5 + 1000) for i in range(5)]
    table = {k.v: k for k in keys}
    world["s"] = {3, 2, 1} | set(world["t"])
    return sorted(keys)[0].v, K(1001) in keys, max(keys).v, sum(table) + world["n"]
def make():
    return {"t": (1, 9), "n": 5}
def change(world):
    world["n"] += 1000
def text(world):
    return repr(sorted(world.items()))

=== context_managers_and_with
import contextlib, contextvars
var = contextvars.ContextVar("var", default=7)
class Held:
    def __init__(self, world):
        self.world = world
    def __enter__(self):
        self.world["depth"] += 1
        return self
    def __exit__(self, kind, error, trace):
        self.world["depth"] -= 1
        self.world["kind"] = kind
        return kind is ValueError
def f(world):
    with Held(world) as h:
        got = [var.get(), world["depth"]]
        raise ValueError("x" * 4)
    return got, world["depth"], var.get()
def make():
    return {"depth": 1000}
def change(world):
    world["depth"] += 1
text = repr

=== warnings_hidden_and_shown
import warnings
def f(world):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("hidden")
    warnings.warn(f"shown {world[0]}")
    return [world[0]]
def make():
    warnings.filters[:] = []  # a with that had no memory did not set them back
    return [1]
def change(world):
    world[0] += 1000
text = repr

=== strings_and_formats
def f(world):
    words = [w.upper() for w in world["text"].split()]
    world["joined"] = ", ".join(sorted(words))
    return f"{len(words):>4}|{world['n']!r}", "%s-%d" % ("a", world["n"]), {w: len(w) for w in words}
def make():
    return {"text": "some words of it", "n": 3000}
def change(world):
    world["text"] += " more"
text = repr

=== dataclasses_and_tuples
import collections, dataclasses
Pair = collections.namedtuple("Pair", "a b")
@dataclasses.dataclass
class D:
    x: int
    items: list = dataclasses.field(default_factory=list)
def f(world):
    d = D(world[0].x + 1000)
    d.items += [Pair(1, [d.x])]
    world[0].items = d.items
    world[1:] = [dataclasses.replace(d, x=3)]
    a, (b, c) = 1, d.items[0]
    return d, a, b, c
def make():
    return [D(5)]
def change(world):
    world[0].x += 1
def text(world):
    return repr(world)

=== recursion_and_callbacks
import functools
def depth(n):
    return [n] + depth(n - 1) if n else []
def negative(v):
    return -v
def add(a, b):
    return a + b
def f(world):
    world["order"] = sorted(world["items"], key=negative)
    total = functools.reduce(add, world["items"])
    part = functools.partial(depth, 3)
    return part(), total, list(map(str, world["items"])), any(map(negative, world["items"]))
def make():
    return {"items": [1000, 3000, 2000]}
def change(world):
    world["items"] = [*world["items"], 4000]
text = repr

=== compiled_inside
inner = compiled(lambda o: [o["n"]])
def f(world):
    world["got"] = inner(world)
    return world["got"] + [2.5]
def make():
    return {"n": 12345}
def change(world):
    world["n"] += 1
text = repr

=== a_method
class Model:
    def __init__(self):
        self.layers = [lambda v: v + 1000, lambda v: v * 2.5]
        self.last, self.training = None, True
    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        self.last = (x, {"k": [x]})
        return self.last
def f(world):
    return world["m"](world["x"])
def make():
    return {"m": Model(), "x": 1}
def change(world):
    world["x"] += 1
def text(world):
    return repr((world["x"], world["m"].last))
""")

LOOP = """
f(make())  # what it makes once
for last in (1, 0):
    assert phase("record", 0, last)
    phase("first hit", 1, last)
    phase("hit", 2, last)
    phase("miss", 2, last, True)
    phase("told miss", 2, last, True, {"on_event": listen})
    act("make", last, lambda fast: compiled(f))
    act("describe", last, lambda fast: (fast.entries(), fast.stats(), repr(fast)))
    act("forget", last, lambda fast: fast.reset())
    freed(last)
assert ("miss" in events) == HITS, reasons()
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_crash_memory(name):
    if hasattr(sys, "gettotalrefcount"):
        pytest.skip("debug builds of CPython assert that they have memory")
    if name == "closures" and sys.version_info >= (3, 12):
        pytest.skip("3.12.1 itself crashes when it has no memory for a function")
    if name == "warnings_hidden_and_shown" and sys.version_info >= (3, 13):
        pytest.skip("3.13.0 itself crashes in warn() when it has no memory")
    known = f"EVERY, HITS = {EVERY}, {name != 'refused'}\n"
    run(name, known + DRIVER + PROGRAMS[name] + LOOP)
