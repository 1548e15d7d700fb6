"""Garbage of others: what the collector runs is no part of the recorded run."""

import contextlib
import gc
import weakref

import pytest

from oracle import VERIFY, engine_compile, reasons, whole_hits

# Each makes a cycle that dies with `died` in the log and `o.n` one more.
KINDS = {
    "del": """
        class C:
            def __del__(self):
                died()
        return C()""",
    "del_of_a_bound_method": """
        class C:
            __del__ = types.MethodType(died, object())
        return C()""",
    "del_in_c": """
        class C:
            __del__ = functools.partial(operator.call, died)
        return C()""",
    "callback_of_a_weak_reference": """
        class C:
            pass
        c = C()
        kept.append(weakref.ref(c, lambda r: died()))
        return c""",
    "callback_in_c": """
        class C:
            pass
        c = C()
        kept.append(weakref.ref(c, functools.partial(operator.call, died)))
        return c""",
    "finalize": """
        class C:
            pass
        c = C()
        weakref.finalize(c, died)
        return c""",
    "weak_dictionary": """
        class C:
            pass
        class D(weakref.WeakValueDictionary):
            pass
        c, d = C(), D()
        d["k"] = c
        kept.append((d, weakref.ref(c, lambda r: died())))
        return c""",
    "generator": """
        def g():
            me = yield
            try:
                yield
            finally:
                died()
        c = g()
        next(c)
        c.send(c)
        return None""",
    "generator_of_a_manager": """
        @contextlib.contextmanager
        def manager():
            me = yield
            try:
                yield me
            finally:
                died()
        class C:
            pass
        c = C()
        c.m = manager()
        c.m.__enter__()
        c.m.gen.send(c)
        return c""",
    "coroutine": """
        async def g(me):
            try:
                await me.waits
            finally:
                died()
        class C:
            pass
        class Waits:
            def __await__(self):
                yield
        c = C()
        c.waits = Waits()
        c.g = g(c)
        c.g.send(None)
        return c""",
    "file": """
        class F(io.StringIO):
            def close(self):
                if not self.closed:
                    died()
                super().close()
        return F()""",
    "instance_that_comes_back": """
        class C:
            def __del__(self):
                died()
                kept.append(self)
        return C()""",
}  # fmt: skip

SOURCE = """
import contextlib, functools, io, operator, types, weakref
class O:
    pass
o, log, kept = O(), [], []
o.n, o.items, o.names = 0, [], {}
def died(*args):
    log.append("died")
    o.n += 1
    o.items.append(1)
    o.names[len(o.names)] = 1
    o.last = [o]
def make():
    KIND
def garbage():
    c = make()
    if c is not None:
        c.me = c
def f(x):
    before = o.n, len(o.items), list(o.names), hasattr(o, "last")
    made = [[i, {i: i}] for i in range(200)]  # more than CPython keeps to use again
    cycle = [x]
    cycle.append(cycle)
    o.mark = x
    o.own = made[0]
    del cycle
    after = o.n, len(o.items), list(o.names), hasattr(o, "last")
    return before, after, made[x], o.own is made[0]
"""


def space_of(kind):
    lines = KINDS[kind].strip("\n").splitlines()
    body = "\n".join(line[4:] for line in lines).strip()
    space = {"__name__": "program"}
    exec(SOURCE.replace("KIND", body), space)
    return space


@contextlib.contextmanager
def collector(threshold=1):
    """Garbage that was there before is no concern of the test."""
    before = gc.get_threshold()
    gc.collect()
    gc.disable()
    try:
        yield lambda: (gc.set_threshold(threshold), gc.enable())
    finally:
        gc.set_threshold(*before)
        gc.enable()


def right(answer):
    before, after, item, own = answer
    n = before[0]
    assert before == after == (n, n, list(range(n)), n > 0)
    assert (item, own) == ([2, {2: 2}], True)
    return n


@pytest.mark.parametrize("kind", KINDS)
def test_is_no_part_of_the_run(kind):
    space = space_of(kind)
    fast = engine_compile(space["f"])
    o, log = space["o"], space["log"]
    engine_compile(lambda: 1)()  # the engine has made what it needs
    with collector(45) as starts:
        space["garbage"]()
        starts()
        space["f"](2)
        gc.disable()
        assert log == ["died"], "in eager it dies in the middle, or before"
        for turn in range(1, 5):
            space["garbage"]()
            starts()
            answer = fast(2)
            gc.disable()
            assert right(answer) in (turn, turn + 1)  # it may die before the run begins
            assert log == ["died"] * (turn + 1), "it dies when the run has ended"
            assert o.n == turn + 1
            assert o.mark == 2
        for _ in range(2):  # as it is now
            assert right(fast(2)) == 5
    assert fast.stats()["reasons"] == fast.stats()["breaks"] == {}
    assert fast.stats()["recordings"] == 5
    assert whole_hits(fast) + fast.stats()["verified"] * VERIFY >= 1


@pytest.mark.parametrize("threshold", [1, 2, 3, 5, 7, 20, 50])
def test_any_threshold(threshold):
    space = space_of("del")
    fast = engine_compile(space["f"])
    with collector(threshold) as starts:
        for _ in range(20):
            space["garbage"]()
        starts()
        answer = fast(2)
        gc.disable()
    right(answer)
    assert reasons(fast) == set()


def test_the_collector_is_as_the_program_left_it():
    def f(x, act):
        y = [x]
        act()
        return [y, x], gc.isenabled()

    def raises():
        raise ValueError

    was = gc.isenabled()
    try:
        for start in (True, False):
            for act, then in (
                (gc.disable, False), (gc.enable, True), (lambda: None, start),
                (gc.isenabled, start), (gc.collect, start), (raises, start),
            ):  # fmt: skip
                fast = engine_compile(f)
                for _ in range(4):
                    (gc.enable if start else gc.disable)()
                    try:
                        answer = fast(1, act)
                    except ValueError:
                        assert act is raises
                    else:
                        assert answer == ([[1], 1], then)
                    assert gc.isenabled() == then
    finally:
        (gc.enable if was else gc.disable)()


def test_code_that_collects():
    """gc.collect() in the run: what it runs is in a gap."""
    space = space_of("del")
    exec(
        "import gc\n"
        "def f(x):\n"
        "    before = o.n, len(o.items)\n"
        "    gc.collect()\n"
        "    return before, (o.n, len(o.items)), [x]\n",
        space,
    )
    fast = engine_compile(space["f"])
    with collector():
        for turn in range(6):
            if turn < 4:
                space["garbage"]()
            now = min(turn + 1, 4)
            before = min(turn, 4)
            assert fast(3) == ((before, before), (now, now), [3])


def test_finalizers_of_the_run_itself():
    """What the run drops dies in it; what a cycle of the run holds, behind it."""
    log = []

    class C:
        pass

    def f(x):
        c = C()
        c.r = weakref.ref(c)
        r = c.r
        alive = r() is not None
        del c
        return alive, x

    fast = engine_compile(f)
    for _ in range(3):
        assert fast(log) == (True, log)


def test_much_garbage_is_collected():
    """A long run is no reason to keep everything."""
    seen = []

    def callback(phase, info):
        seen.append(info["generation"])

    def f(n):
        made = []
        for i in range(n):
            x = [i]
            x.append(x)
            if i % 2:
                made.append(x)
        return len(made)

    fast = engine_compile(f)
    with collector(700) as starts:
        starts()
        gc.callbacks.append(callback)
        try:
            assert fast(150_000) == 75_000
        finally:
            gc.callbacks.remove(callback)
    assert seen.count(2) >= 2  # begin and end
    assert reasons(fast) == set()
