"""Every single allocation fails once, in a recording, a first hit and a hit.

Never a crash.  Either the call answers as eager does, or it raises MemoryError; then a
hit has changed nothing, a recording is where eager would be, and later calls are right.
"""

import sys

import pytest
from crash_runner import run, scripts

pytest.importorskip("_testcapi")

DRIVER = r"""
import _testcapi
from _testcapi import remove_mem_hooks, set_nomemory

def attempt(call, world, first, last):
    "Run call(world) with allocations first..last failing; was one asked for?"
    set_nomemory(first, last)
    try:
        try:
            value = call(world)
        finally:
            remove_mem_hooks()
    except MemoryError:
        return "MemoryError", None
    return "value", value

def allocations(make, warm):
    "How many allocations does the call make?  Bisection on the first that fails."
    def run(n):
        world = make()
        fast = compiled(f)
        for _ in range(warm):
            fast(world)
        kind, _ = attempt(fast, world, n, 0)
        return kind, fast.stats()["reasons"]
    want, low, high = run(1 << 20), 0, 8
    while run(high) != want:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if run(middle) == want else (middle + 1, high)
    return low

def check(fast, world, twin, where):
    want = f(twin)
    assert fast(world) == want, where
    assert text(world) == text(twin), (*where, text(world), text(twin))

def phase(name, make, warm, exact, last):
    "Each allocation of one call, in a new world; `warm` calls come before."
    count, errors = allocations(make, warm), 0
    for first in range(count + 2):
        where = name, first, last
        world, twin, fast = make(), make(), compiled(f)
        for _ in range(warm):
            check(fast, world, twin, where)
        before = text(world)
        kind, value = attempt(fast, world, first, last and first + last)
        if kind == "value":
            assert value == f(twin), (*where, value)
            assert text(world) == text(twin), (*where, text(world), text(twin))
        else:
            errors += 1
            assert not exact or text(world) == before, (*where, before, text(world))
            world, twin = make(), make()
        for _ in range(3):
            check(fast, world, twin, where)
        fast.entries(), fast.stats()
    print(name, "of", count, "allocations", errors, "raised", file=sys.stderr)
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
def text(world):
    return repr(world)
""")

LOOP = """
for last in (1, 0):
    phase("record", make, 0, False, last)
    phase("first hit", make, 1, True, last)
    phase("hit", make, 2, True, last)
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_crash_memory(name):
    if hasattr(sys, "gettotalrefcount"):
        pytest.skip("debug builds of CPython assert that they have memory")
    if name == "closures" and sys.version_info >= (3, 12):
        pytest.skip("3.12.1 itself crashes when it has no memory for a function")
    run(name, DRIVER + PROGRAMS[name] + LOOP)
