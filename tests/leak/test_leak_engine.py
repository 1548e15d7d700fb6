"""Recording, hitting, missing and deleting leave nothing behind (no torch needed).

Three measures: weak references to the program's own objects, the number of objects that
the collector knows, and the interpreter's count of allocated blocks.  A leak of one
object or block per cycle shows as a slope; warm-up and caches do not.
"""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from oracle import engine_compile

SOURCE = """
class Layer:
    def __init__(self, n):
        self.n = n
        self.seen = []
    def __call__(self, x):
        self.seen[:] = [x]
        return [x + self.n, {"layer": self}]
class Net:
    def __init__(self):
        self.layers = [Layer(1), Layer(2)]
        self.table = {"k": 1}
    def forward(self, x):
        try:
            x = x + self.table["missing"]
        except KeyError:
            pass
        for layer in self.layers:
            x = layer(x)[0]
        self.table["last"] = [x]
        def closure(y=x):
            return x + y
        return x, closure, [v for v in self.table], sorted(map(abs, [x, -x]))
def raises(net):
    net.table["before"] = 1
    raise ValueError(net)
def opaque(net):
    import re
    return re.compile("a+").match("aaa"), net
def free(net):
    return net.forward(1)
"""


def namespace() -> dict:
    space: dict = {"__name__": "program"}
    exec(compile(SOURCE, "<leak>", "exec", dont_inherit=True), space)
    return space


def blocks_per_cycle(cycle, cycles: int = 60) -> float:
    """Growth of allocated blocks per cycle: the least of three runs after warm-up."""
    growth = []
    for _ in range(4):
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(cycles):
            cycle()
        gc.collect()
        growth.append((sys.getallocatedblocks() - before) / cycles)
    return min(growth[1:])


def record_hit_delete(space):
    net = space["Net"]()
    compiled = engine_compile(net.forward)
    for _ in range(3):
        compiled(1)
    del compiled


def miss_every_time(space, compiled):
    net = space["Net"]()
    net.layers.append(space["Layer"](3))
    compiled(net)
    compiled.reset()


def abort(space):
    net = space["Net"]()
    compiled = engine_compile(space["opaque"])
    for _ in range(3):
        compiled(net)


def raise_through(space):
    net = space["Net"]()
    compiled = engine_compile(space["raises"])
    for _ in range(3):
        with pytest.raises(ValueError, match="Net"):
            compiled(net)


def guard_failures(space, compiled, net):
    for value in (1, 2, 1.5, True, "x"):
        net.table["k"] = value
        net.layers[0].n = 1 if value != "x" else 7
        compiled(net)
    net.layers = [space["Layer"](1), space["Layer"](2)]
    compiled(net)
    compiled.reset()


def bad_arguments(compiled):
    for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"zzz": 1})):
        with pytest.raises(TypeError):
            compiled(*args, **kwargs)


def describe_entries(compiled, net):
    compiled(net)
    compiled.stats()
    compiled.entries()


def cycles() -> dict:
    space = namespace()
    net = space["Net"]()
    return {
        "record_hit_delete": lambda: record_hit_delete(space),
        "miss": lambda c=engine_compile(space["free"]): miss_every_time(space, c),
        "hit": lambda c=engine_compile(space["free"]): c(net),
        "abort": lambda: abort(space),
        "raise": lambda: raise_through(space),
        "guards": lambda c=engine_compile(space["free"]): guard_failures(space, c, net),
        "arguments": lambda c=engine_compile(space["free"]): bad_arguments(c),
        "texts": lambda c=engine_compile(space["free"]): describe_entries(c, net),
        "compile_only": lambda: engine_compile(net.forward),
    }


@pytest.mark.parametrize("name", cycles())
def test_no_growth(name):
    growth = blocks_per_cycle(cycles()[name])
    assert growth < 0.5, f"{growth} blocks per cycle"


@pytest.mark.parametrize("name", cycles())
def test_no_collectable_garbage_grows(name):
    """What a cycle leaves to the collector is collected."""
    cycle = cycles()[name]
    for _ in range(20):
        cycle()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(20):
        cycle()
    gc.collect()
    assert len(gc.get_objects()) - before < 10


def test_deleted_model_is_freed_with_its_compiled_method():
    space = namespace()
    net = space["Net"]()
    seen = [weakref.ref(net), *map(weakref.ref, net.layers)]
    compiled = engine_compile(net.forward)
    for _ in range(3):
        compiled(1)
    del net, compiled
    gc.collect()
    assert [r() for r in seen] == [None] * 3


def test_arguments_are_not_kept():
    """An entry survives, what it was recorded with does not."""
    space = namespace()
    compiled = engine_compile(space["free"])
    net = space["Net"]()
    seen = [weakref.ref(net), *map(weakref.ref, net.layers)]
    for _ in range(3):
        compiled(net)
    del net
    gc.collect()
    assert [r() for r in seen] == [None] * 3
    assert compiled(space["Net"]())[0] == 4


def test_results_are_not_kept():
    space: dict = {}
    exec("class C: pass\ndef f():\n    c = C()\n    c.me = [c]\n    return c\n", space)
    compiled = engine_compile(space["f"])
    seen = [weakref.ref(compiled()) for _ in range(4)]
    gc.collect()
    assert [r() for r in seen] == [None] * 4


def test_compiled_function_in_a_cycle_with_its_owner():
    space = namespace()
    net = space["Net"]()
    net.fast = engine_compile(net.forward)
    for _ in range(3):
        net.fast(1)
    seen = weakref.ref(net)
    del net
    gc.collect()
    assert seen() is None


def test_function_and_globals_are_freed():
    space = namespace()
    compiled = engine_compile(space["free"])
    net = space["Net"]()
    for _ in range(3):
        compiled(net)
    seen = weakref.ref(space["free"])
    del compiled, net
    space.clear()
    gc.collect()
    assert seen() is None


def test_objects_die_when_eager_frees_them():
    """While recording, each object is freed at the instruction that frees it in eager.

    The callback of the weak references is a C method, so no Python code runs and the
    recording goes on: `marks` sees at once what has died.
    """
    source = """
class C:
    pass
def f(held, dead, marks):
    marks.append(len(dead))
    held.pop()
    marks.append(len(dead))
    held[0] = None
    marks.append(len(dead))
    held.clear()
    marks.append(len(dead))
    return marks
"""
    space: dict = {}
    exec(compile(source, "<free>", "exec", dont_inherit=True), space)

    def run(fn):
        dead: list = []
        held = [space["C"](), [space["C"]()], space["C"]()]
        watched = [held[0], held[1][0], held[2]]
        refs = [weakref.ref(c, dead.append) for c in watched]
        del watched
        return fn(held, dead, []), len(refs)

    assert run(engine_compile(space["f"])) == run(space["f"]) == ([0, 1, 2, 3], 3)


def test_locals_die_when_eager_frees_them():
    source = """
log = []
class C:
    def __init__(self, n):
        self.n = n
    def __del__(self):
        log.append(self.n)
def g(c):
    return c.n + 1
def f():
    a = C(1)
    b = [C(2), C(3)]
    n = g(C(4))
    log.append("made")
    a = None
    log.append("one")
    b.pop()
    log.append("three")
    del b
    log.append("two")
    for i in range(2):
        c = C(10 + i)
    log.append("loop")
    return n
"""
    eager: dict = {}
    fast: dict = {}
    for space in (eager, fast):
        exec(compile(source, "<locals>", "exec", dont_inherit=True), space)
    eager["f"]()
    engine_compile(fast["f"])()
    assert fast["log"] == eager["log"]
