"""Tracers, recursion, generators, exceptions and finalizers around recordings."""

import sys

import pytest
from crash_runner import run, scripts

SCRIPTS = scripts(r"""
=== recursion_limit_is_the_users
def down(n):
    return 1 + down(n + 1)
def f(n):
    depth = 0
    def go():
        nonlocal depth
        depth += 1
        go()
    try:
        go()
    except RecursionError as error:
        return depth, str(error)
def g(n):
    return down(n)
assert outcome(compiled(g), 0)[:2] == outcome(g, 0)[:2]
eager = f(0)
fast = compiled(f)
got = [fast(0) for _ in range(4)]
assert all(abs(d - eager[0]) <= 3 and text == eager[1] for d, text in got), (got, eager)
fast = compiled(g)
for i in range(4):
    assert outcome(fast, 0)[:2] == outcome(g, 0)[:2]
assert compiled(lambda x: [x])(1) == [1]

=== recursion_at_every_distance_from_the_limit
def helper(x):
    return {"v": sorted([x, -x], key=abs)}
def f(x):
    return [helper(x), str(x)]
def at(depth, fn):
    return at(depth - 1, fn) if depth else outcome(fn, 3)
for limit in range(60):
    fast = compiled(f)
    depth = sys.getrecursionlimit() - 70 + limit
    first = outcome(at, depth, fast)
    again = outcome(at, depth, fast)
    for kind, *rest in (first, again):
        if kind == "value" and rest[0][0] == "value":
            assert rest[0] == ("value", f(3)), rest
        else:
            assert "RecursionError" in repr(rest), rest
    assert fast(3) == f(3) == fast(3)

=== deep_recursion_with_a_high_limit
sys.setrecursionlimit(100_000)
def count(n):
    return 1 + count(n - 1) if n else 0
def f(n):
    return [count(n)]
fast = compiled(f)
assert [fast(n) for n in (30_000, 30_000, 10, 10)] == [[30_000], [30_000], [10], [10]]
class Deep:
    def __init__(self, inner):
        self.inner = inner
    def __getattr__(self, name):
        return getattr(self.inner, name)
deep = Deep(None)
for _ in range(300):
    deep = Deep(deep)
fast = compiled(lambda d: outcome(lambda: d.missing)[:2])
assert [fast(deep)[0] for _ in range(3)] == ["error"] * 3

=== compiled_recursion
def f(n):
    return [n] + fast(n - 1) if n else []
fast = compiled(f)
for n in (50, 50, 20, 400, 400):
    assert fast(n) == list(range(n, 0, -1))
for i in range(3):
    assert outcome(fast, 10**9)[1] is RecursionError
assert fast(5) == [5, 4, 3, 2, 1]

=== deep_and_cyclic_data
import copy
def nested(n, kind):
    o = None
    for _ in range(n):
        o = kind(o)
    return o
def make(x):
    o = x
    for _ in range(20_000):
        o = [o]
    return o
def same(x):
    return [x, x]
def reads(x):
    n = 0
    while x:
        n, x = n + 1, x[0]
    return n
def size(x):
    return [len(str(type(x))), repr, isinstance(x, list), bool(x)]
cyclic = []
cyclic.append(cyclic)
loop = {}
loop["self"] = (loop, [loop])
values = [nested(50_000, lambda o: [o]), nested(50_000, lambda o: (o,)), cyclic, loop]
values.append(nested(50_000, lambda o: {"k": o}))
for fn in (same, size):
    for v in values:
        fast = compiled(fn)
        for _ in range(3):
            got = fast(v)
            assert fn is size or got[0] is v
            fast.entries()
fast = compiled(reads)
assert [fast(values[0]) for _ in range(3)] == [50_000] * 3
fast = compiled(make)
for _ in range(3):
    assert reads(fast(())) == 20_000
for fn in (sum, max, min, sorted, str, repr, len, all, any, set, tuple, list, dict):
    def call(v, fn=fn):
        return len(str(type(fn(v))))
    for i, v in enumerate(values):
        if fn not in (str, repr, max, min) or i in (2, 3):
            assert outcome(compiled(call), v)[:2] == outcome(call, v)[:2], fn
def compares(v, w):
    return outcome(lambda: v == w)[:2]
assert compiled(compares)(cyclic, [cyclic]) == compares(cyclic, [cyclic])
del values, v
sys.setrecursionlimit(10**6)

=== tuple_of_constants_nested_in_code
source = "x"
for _ in range(80):
    source = f"({source},)"
space = {"x": 1}
exec(f"def f(x):\n    return {source}", space)
fast = compiled(space["f"])
assert [fast(1), fast(1), fast(2)] == [space["f"](1), space["f"](1), space["f"](2)]

=== generators_left_suspended
import gc
def count(n):
    try:
        for i in range(n):
            got = yield i
            if got:
                yield got
    finally:
        closed.append(n)
closed, kept = [], []
def leave(n):
    it = count(n)
    kept.append(it)
    return next(it), next(it)
def drop(n):
    it = count(n)
    return next(it)
def resume(it):
    return next(it, None)
def delegate(n):
    yield from count(n)
def through(n):
    it = delegate(n)
    kept.append(it)
    return next(it), it.send("x"), next(it)
for _ in range(3):
    assert compiled(leave)(4) == (0, 1)
    assert compiled(drop)(4) == 0
    assert compiled(through)(4) == (0, "x", 1)
fast_leave, fast_through, fast_resume = map(compiled, (leave, through, resume))
for _ in range(3):
    fast_leave(5), fast_through(5)
for it in kept:
    before = fast_resume(it), fast_resume(it), fast_resume(it)
    assert None not in before[:1]
for it in kept[::2]:
    assert list(it) is not None
for it in kept[1::2]:
    assert outcome(it.throw, KeyError("k"))[0] == "error"
kept.clear()
gc.collect()
assert len(closed) >= 15
def inside(n):
    def go():
        yield n
        yield from (i for i in range(n))
    return [*go()], sum(go()), dict(zip(go(), go()))
fast = compiled(inside)
assert [fast(4) for _ in range(3)] == [inside(4)] * 3

=== generator_resumed_in_another_thread
import threading
def count():
    for i in range(1000):
        yield i
it = count()
def f(n):
    return [next(it) for _ in range(n)]
seen = []
def work():
    for _ in range(20):
        try:
            seen.extend(compiled(f)(3))
        except ValueError:
            pass
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
assert sorted(seen) == list(range(len(seen)))

=== coroutines_and_async_generators
import asyncio
async def inner(x):
    await asyncio.sleep(0)
    return x + 1
async def outer(x):
    return [await inner(x) async for _ in ticks(2)]
async def ticks(n):
    for i in range(n):
        yield i
def runs(x):
    return asyncio.run(outer(x))
fast = compiled(runs)
assert [fast(1) for _ in range(3)] == [[2, 2]] * 3
fast = compiled(outer)
assert [asyncio.run(fast(1)) for _ in range(3)] == [[2, 2]] * 3
async def concurrent():
    sync = compiled(lambda x: [x, x])
    async def one(i):
        await asyncio.sleep(0)
        return sync(i)
    return await asyncio.gather(*[one(i % 3) for i in range(30)])
assert asyncio.run(concurrent()) == [[i % 3] * 2 for i in range(30)]

=== tracers_before_and_during
import contextlib
log = []
def tracer(frame, event, arg):
    log.append((frame.f_code.co_name, event, frame.f_lineno))
    return tracer
def profiler(frame, event, arg):
    log.append((frame.f_code.co_name, event))
def helper(x):
    y = x + 1
    return y
def f(x):
    y = helper(x)
    return [y, helper(y)]
def installs(x, switch):
    y = helper(x)
    switch(tracer if switch is sys.settrace else profiler)
    z = helper(y)
    switch(None)
    return [y, z]
def leaves_on(x, switch):
    switch(tracer if switch is sys.settrace else profiler)
    return [helper(x)]
def events(fn, *args):
    log.clear()
    value = fn(*args)
    return value, list(log)
for switch, hook in ((sys.settrace, tracer), (sys.setprofile, profiler)):
    switch(hook)
    want = events(f, 1)
    got = [events(compiled(f), 1) for _ in range(3)]
    switch(None)
    assert got == [want] * 3, (switch, got, want)
    fast = compiled(f)
    fast(1)
    switch(hook)
    assert fast(1) == f(1)
    switch(None)
    want = events(installs, 1, switch)
    for _ in range(3):
        got = events(compiled(installs), 1, switch)
        assert got == want, (switch, got, want)
    get = sys.gettrace if switch is sys.settrace else sys.getprofile
    fast = compiled(leaves_on)
    for _ in range(3):
        assert fast(1, switch) == [2]
        assert get() is hook
        switch(None)
    assert get() is None
    assert compiled(f)(1) == f(1)
def looks(x):
    return sys.gettrace(), sys.getprofile(), x
fast = compiled(looks)
assert [fast(1) for _ in range(3)] == [(None, None, 1)] * 3

=== tracer_that_raises_and_jumps
def jumper(frame, event, arg):
    if frame.f_code.co_name == "jumps" and event == "line" and frame.f_lineno == first + 2:
        frame.f_lineno = first + 4
    return jumper
def jumps(x):
    y = 1
    y = 2
    y = 3
    return [x, y]
first = jumps.__code__.co_firstlineno
def raiser(frame, event, arg):
    if frame.f_code.co_name == "jumps":
        raise KeyError("tracer")
    return raiser
def f(x):
    return jumps(x)
for hook in (jumper, raiser):
    seen = []
    for fn in (f, compiled(f), compiled(f)):
        sys.settrace(hook)
        seen.append(outcome(fn, 1)[:2])
        sys.settrace(None)
    assert seen == seen[:1] * 3, seen

=== pdb_inside
import io, pdb
def f(x):
    y = x + 1
    debugger = pdb.Pdb(stdin=io.StringIO("p y\nnext\nstep\nup\ndown\nc\n"),
                       stdout=io.StringIO(), nosigint=True, readrc=False)
    debugger.set_trace()
    z = y * 2
    return [z]
for _ in range(3):
    fast = compiled(f)
    assert [fast(1), fast(1)] == [[4], [4]]
    sys.settrace(None)

=== trace_module_counts_lines
import trace
__file__ = "program.py"
def f(x):
    total = 0
    for i in range(3):
        total += i * x
    return [total]
fast = compiled(f)
fast(2)
tracer = trace.Trace(count=1, trace=0)
assert tracer.runfunc(fast, 2) == [6]
assert tracer.runfunc(compiled(f), 2) == [6]
assert tracer.results().counts

=== frames_are_looked_at
import inspect, traceback
def who():
    frame = sys._getframe(1)
    return frame.f_code.co_name, frame.f_lineno, sorted(frame.f_locals), frame.f_lasti >= 0
def f(x):
    y = x + 1
    names = who()
    stack = [s.function for s in inspect.stack(0)][:2]
    frame = sys._getframe()
    frame.f_trace_opcodes = frame.f_trace_opcodes
    kept.append(frame)
    return names, stack, locals()["y"], [s.name for s in traceback.extract_stack()][-1]
kept = []
seen = []
for fn in (f, compiled(f), compiled(f), compiled(f)):
    seen.append(fn(1))
assert seen == seen[:1] * 4, seen
for frame in kept:
    assert frame.f_trace_lines is True and frame.f_trace_opcodes is False
    assert frame.f_locals["y"] == 2
    frame.clear()

=== exceptions_have_the_tracebacks_of_eager
import traceback
class Guard:
    def __enter__(self):
        return self
    def __exit__(self, *error):
        return False
def boom(x):
    if x > 2:
        raise ValueError("boom")
    return 1 // x
def middle(x):
    with Guard():
        try:
            return boom(x)
        finally:
            x = 5
def generates(x):
    yield x
    yield middle(x)
def chains(x):
    try:
        middle(x)
    except ZeroDivisionError as error:
        raise KeyError(x) from error
def groups(x):
    try:
        raise ExceptionGroup("g", [ValueError(x), KeyError(x)])
    except* ValueError:
        middle(x)
def f(x):
    return middle(x)
def g(x):
    return [v for v in generates(x)]
def h(x):
    return chains(x)
def k(x):
    return max([x], key=middle)
def lines(fn, x):
    try:
        return fn(x)
    except BaseException as error:
        chain = []
        while error is not None:
            tb = [(s.name, s.lineno) for s in traceback.extract_tb(error.__traceback__)]
            chain.append((type(error), str(error), tb[1:]))
            error = error.__cause__ or error.__context__
        return chain
for fn in (f, g, h, k, groups):
    fast = compiled(fn)
    for x in (0, 3, 0, 1, 1, 1, 0, 3):
        if fn is not fast:
            assert lines(fast, x) == lines(fn, x), (fn, x)

=== compiled_call_from_finalizers
import gc, weakref
log = []
def remember(x):
    log.append(x)
    return [x]
fast = compiled(remember)
class Noisy:
    def __init__(self, n):
        self.n = n
    def __del__(self):
        fast(self.n)
def f(n):
    a = Noisy(n)
    b = [Noisy(n + 1)]
    del a
    return [n]
def g(n):
    o = Noisy(n)
    o.me = o
    o = None
    gc.collect()
    return [n]
want = []
for fn in (f, g, f):
    log.clear()
    fn(3)
    want.append(list(log))
    for _ in range(3):
        log.clear()
        assert compiled(fn)(3) == [3]
        assert log == want[-1], (fn, log, want)
class Target:
    pass
def h(n):
    t = Target()
    r = weakref.ref(t, lambda r: fast(n))
    t = None
    return r() is None
for _ in range(3):
    log.clear()
    assert compiled(h)(7) is True
    assert log == [7]

=== collector_at_every_allocation
import gc
class Noise:
    def __init__(self):
        self.me = self
    def __del__(self):
        global died
        died += 1
        sorted([{i: [i]} for i in range(3)], key=len)
def again(phase, info):
    if phase == "stop" and info["generation"] == 0:
        Noise()
class Net:
    def __init__(self):
        self.n, self.items, self.table = 1, [1, 2], {"a": 1}
    def step(self, x):
        self.last = [x, {self.n}]
        return x + self.n
def f(net, x):
    def late(k=x):
        return k, [k]
    try:
        net.table["missing"]
    except KeyError as error:
        net.items[1:] = [error.args, (x, [x])]
    seen = {k: [v] for k, v in zip("abc", map(net.step, range(3)))}
    return seen, late(), sorted(net.items[0:1]), [v for v in seen.values()]
died, gone, hits = 0, Net(), 0
gc.callbacks.append(again)
gc.set_threshold(1, 5, 50)
for i in range(10):
    fast, ours, theirs = compiled(f), Net(), Net()
    for x in (1, 1, 2, 1, 1):
        assert fast(ours, x) == f(theirs, x)
        assert vars(ours) == vars(theirs)
    hits += fast.stats()["hits"]
    places = [p["detail"] for p in fast.stats()["places"] if p["count"]]
    assert set(places) <= {"something dies: Noise.__del__"}, fast.stats()
    assert gc.isenabled()
gc.set_threshold(700, 10, 10)
gc.callbacks.clear()
assert died > 0 and hits > 0

=== compiled_function_deletes_itself
def f(x):
    global fast
    fast = None
    return [x]
for _ in range(3):
    fast = compiled(f)
    assert fast(1) == [1]
def g(x):
    fast.reset()
    return [x, len(fast.entries())]
fast = compiled(g)
assert [fast(1) for _ in range(4)] == [[1, 0]] * 4
class Evil:
    def __eq__(self, other):
        fast.reset()
        return True
    __hash__ = None
def h(x):
    return x == 1, x
fast = compiled(h)
evil = Evil()
assert [fast(evil) for _ in range(4)] == [(True, evil)] * 4
def listener(kind, info):
    fast.reset()
fast = compiled(h, on_event=listener)
assert [fast(i % 3) for i in range(9)] == [h(i % 3) for i in range(9)]

=== code_changes_while_it_runs
def a(x):
    return [x, "a"]
def b(x):
    return [x, "b"]
def f(x):
    a.__code__ = b.__code__
    return a(x)
old = a.__code__
fast = compiled(f)
for _ in range(4):
    a.__code__ = old
    assert fast(1) == [1, "b"]
def g(x):
    g.__code__ = b.__code__
    return [x, "g"]
old = g.__code__
fast = compiled(g)
for _ in range(3):
    assert fast(1) == [1, "g"] and fast(1) == [1, "b"]
    g.__code__ = old
def d(x, y=1, *, z=2):
    d.__defaults__ = (y + 1,)
    d.__kwdefaults__ = {"z": z + 1}
    return [x, y, z]
fast = compiled(d)
assert [fast(0) for _ in range(4)] == [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]]
class A:
    def go(self):
        return "A"
class B:
    def go(self):
        return "B"
def switch(o):
    first = o.go()
    o.__class__ = B
    return first, o.go()
fast = compiled(switch)
assert [fast(A()) for _ in range(4)] == [("A", "B")] * 4

=== strange_names_and_sizes
def f(x):
    return inner(x)
def inner(x):
    return [x]
inner.__qualname__ = f.__qualname__ = "\ud800"
inner.__name__ = "\ud801"
fast = compiled(f)
assert [fast(1) for _ in range(3)] == [[1]] * 3
fast.entries(), repr(fast), fast.stats()
space = {"__name__": "\ud802"}
names = ", ".join(f"a{i}" for i in range(400))
exec(f"def many({names}): return a0, a399, [{names}]", space)
many = space["many"]
fast = compiled(many)
assert [fast(*range(400)) for _ in range(3)] == [many(*range(400))] * 3
def star(*args, **kwargs):
    return many(*args), len(kwargs)
fast = compiled(star)
extra = {f"k{i}": i for i in range(300)}
extra["\ud803"] = 1
assert [fast(*range(400), **extra) for _ in range(3)] == [star(*range(400), **extra)] * 3
lines = "\n".join(f"    x = x + {i} if x else {i}" for i in range(3000))
exec(f"def long(x):\n{lines}\n    return [x]", space)
fast = compiled(space["long"])
assert [fast(1) for _ in range(3)] == [space["long"](1)] * 3
exec("def wide(x):\n    return [" + ", ".join(f"(x, {i}.5)" for i in range(3000)) + "]", space)
fast = compiled(space["wide"])
assert [fast(1) for _ in range(3)] == [space["wide"](1)] * 3
bad = type("Bad", (), {"\ud805": 1, "go": lambda self: getattr(self, "\ud805")})
bad.__qualname__ = "\ud804"
fast = compiled(lambda o: [o.go(), o])
o = bad()
assert [fast(o) for _ in range(3)] == [[1, o]] * 3
fast.entries(), fast.stats()

=== hostile_arguments
class Raises:
    def __getattribute__(self, name):
        raise KeyError(name)
    def __eq__(self, other):
        raise KeyError("eq")
    def __hash__(self):
        raise KeyError("hash")
    def __bool__(self):
        raise KeyError("bool")
    def __len__(self):
        raise KeyError("len")
    def __repr__(self):
        raise KeyError("repr")
class Lies:
    __class__ = property(lambda self: int)
    def __len__(self):
        return -1
    def __bool__(self):
        return 3
    def __iter__(self):
        return 1
    def __index__(self):
        return "x"
    def __hash__(self):
        return "h"
class Meta(type):
    def __instancecheck__(cls, o):
        raise KeyError("instance")
    def __getattribute__(cls, name):
        if name == "go":
            raise KeyError("meta")
        return super().__getattribute__(name)
    def __hash__(cls):
        raise KeyError("meta hash")
class Made(metaclass=Meta):
    pass
class Text(str):
    def __eq__(self, other):
        raise KeyError("text")
    __hash__ = str.__hash__
class Rows(list):
    def __iter__(self):
        raise KeyError("rows")
    def __len__(self):
        raise KeyError("rows len")
    def __getitem__(self, i):
        raise KeyError("rows item")
class Table(dict):
    def __getitem__(self, k):
        raise KeyError("table")
    def keys(self):
        raise KeyError("table keys")
    def __missing__(self, k):
        self.clear()
        return "missing"
class Slots:
    __slots__ = ("a", "b")
def dead():
    import weakref
    class T: pass
    t = T()
    return weakref.proxy(t)
values = [Raises(), Lies(), Made(), Made, Text("k"), Rows([1]), Table(k=1), Slots(), dead(),
          {Text("k"): 1}, [Raises()], (Lies(),), 10**400, -0.0, float("nan"), "\ud800", b"",
          range(10, 20), slice(Raises(), None), NotImplemented, ..., sys, compiled,
          memoryview(b"ab"), iter([1]), (i for i in [1]), lambda: 0, type, object]
programs = [
    lambda v: v == 1, lambda v: 1 == v, lambda v: bool(v), lambda v: len(v), lambda v: [*v],
    lambda v: {v: 1}, lambda v: {**v}, lambda v: v[0], lambda v: v["k"], lambda v: v.a,
    lambda v: v.go, lambda v: isinstance(1, v), lambda v: isinstance(v, int), lambda v: v(1),
    lambda v: -v, lambda v: v + 1, lambda v: 1 + v, lambda v: f"{v}", lambda v: v in [1],
    lambda v: 1 in v, lambda v: "k" in v, lambda v: {"k": 1}[v], lambda v: [1, 2][v],
    lambda v: [1, 2][v:], lambda v: v if v else None, lambda v: setattr(v, "a", 1),
    lambda v: v.__class__, lambda v: hash(v), lambda v: sorted([v, v]), lambda v: {v, 1},
    lambda v: (lambda *a, **k: a)(*v), lambda v: (lambda **k: k)(**v), lambda v: str(v),
    lambda v: max(v), lambda v: next(v), lambda v: super(v), lambda v: type(v).__name__,
    lambda v: getattr(v, "k", 1), lambda v: hasattr(v, v), lambda v: getattr(v, v),
    lambda v: v.__dict__, lambda v: v is v, lambda v: dict(v), lambda v: set(v),
    lambda v: int(v), lambda v: "%s" % v, lambda v: "a".join(v), lambda v: range(v),
    lambda v: zip(v, v), lambda v: map(v, [1]), lambda v: [x for x in zip(v, v)],
    lambda v: list(map(v, [1])), lambda v: v.append(1), lambda v: v.update({}),
    lambda v: object.__new__(v), lambda v: type(v)(), lambda v: v.__init__(), lambda v: v[0:1],
]
def kind(result):
    if result[0] == "value":
        return "value", type(result[1])
    return result[:2]
for i, program in enumerate(programs):
    fast = compiled(program)
    for n, value in enumerate(values):
        want = kind(outcome(program, value))
        for _ in range(3):
            got = kind(outcome(fast, value))
            ended = type(value).__name__ in ("list_iterator", "generator")
            assert got == want or ended, (i, n, type(value), got, want)
    fast.entries(), fast.stats()
""")


@pytest.mark.parametrize("name", SCRIPTS)
def test_crash_frames(name):
    run(name, SCRIPTS[name])


MONITORING = scripts(r"""
=== other_tools
log = []
M, E = sys.monitoring, sys.monitoring.events
def helper(x):
    y = x + 1
    return y
def f(x):
    y = helper(x)
    return [y, helper(y)]
M.use_tool_id(0, "debugger")
M.use_tool_id(1, "coverage")
M.register_callback(0, E.INSTRUCTION, lambda code, at: log.append(at))
M.register_callback(1, E.LINE, lambda code, line: log.append(line) or M.DISABLE)
M.set_local_events(0, helper.__code__, E.INSTRUCTION)
M.set_events(1, E.LINE)
f(1)
want = len([at for at in log])
for _ in range(3):
    fast = compiled(f)
    log.clear()
    assert fast(1) == [2, 3]
    assert log, "the other tool is told nothing"
    M.restart_events()
    assert fast(1) == [2, 3]
M.set_events(1, 0)
M.set_local_events(0, helper.__code__, 0)

=== all_ids_taken
for i in range(6):
    sys.monitoring.use_tool_id(i, "x")
fast = compiled(lambda x: [x])
assert [fast(1) for _ in range(3)] == [[1]] * 3
assert fast.stats()["reasons"]
for i in range(6):
    sys.monitoring.free_tool_id(i)
fast.reset()
assert [fast(1) for _ in range(3)] == [[1]] * 3
assert fast.stats()["hits"] == 2

=== our_id_is_stolen
M = sys.monitoring
def f(x):
    for i in range(6):
        if M.get_tool(i) == "magpy":
            M.free_tool_id(i)
            M.use_tool_id(i, "thief")
            M.register_callback(i, M.events.INSTRUCTION, lambda code, at: None)
    return [x]
fast = compiled(f)
for _ in range(3):
    assert fast(1) == [1]
g = compiled(lambda x: [x])
assert [g(1) for _ in range(3)] == [[1]] * 3

=== recording_inside_a_monitoring_callback
M, E = sys.monitoring, sys.monitoring.events
inner = compiled(lambda x: [x])
def on_line(code, line):
    assert inner(1) == [1]
M.use_tool_id(0, "x")
M.register_callback(0, E.LINE, on_line)
def f(x):
    y = x
    return [y]
M.set_local_events(0, f.__code__, E.LINE)
fast = compiled(f)
assert [fast(1) for _ in range(3)] == [[1]] * 3
""")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
@pytest.mark.parametrize("name", MONITORING)
def test_crash_monitoring(name):
    run(name, MONITORING[name])
