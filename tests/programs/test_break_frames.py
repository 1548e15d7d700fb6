"""What calls that break leave behind them: frames, tracebacks, threads, lifetimes."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import traceback
import weakref

import pytest

from oracle import engine_compile

# A C function that nobody has a row for; it answers 1.
HEAD = "import ctypes\nop = ctypes.pythonapi.Py_IsInitialized\n"


def world(source):
    space = {"__name__": "program"}
    exec(compile(HEAD + source, "<breaks>", "exec", dont_inherit=True), space)
    return space


def hit(fast, *args):
    """Call until a call is a hit: its result."""
    for _ in range(4):
        before = fast.stats()["hits"]
        result = fast(*args)
        if fast.stats()["hits"] > before:
            return result
    raise AssertionError(f"no hit: {fast.stats()}")


LOOP = """
def f(n):
    out = []
    for i in range(n):
        out.append(op())
        out.append("x")
    return out
"""


@pytest.mark.not_under_verify("counts segments")
def test_a_loop_makes_a_handful_of_segments():
    for numbers, breaks in ((0, 3), (2, 2)):
        fast = engine_compile(world(LOOP)["f"], numbers=numbers)
        assert hit(fast, 1000) == [1, "x"] * 1000
        assert len(fast.entries()) <= 10
        assert fast.stats()["fallbacks"] == 0
        # The call, and the iterator: its numbers change, and soon are no shared objects.
        # Where they are symbols, that is the same entry.
        assert fast.stats()["graph_breaks"] == breaks


def test_a_loop_of_breaks_uses_no_stack():
    """Each turn begins with no frame of the call on the stack."""
    fast = engine_compile(world(LOOP)["f"])
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(traceback.extract_stack()) + 60)
    try:
        assert hit(fast, 3000) == [1, "x"] * 3000
    finally:
        sys.setrecursionlimit(limit)


STACK = """
import sys, traceback
def g(x):
    y = [x]
    names = sys._getframe(0).f_code.co_name, sys._getframe(1).f_lineno
    op()
    return names, [(s.name, s.lineno) for s in traceback.extract_stack()[-2:]]
def f(x):
    op()
    return g(x)
"""


def test_frames_are_the_programs_own():
    space = world(STACK)
    fast = engine_compile(space["f"])
    want = space["f"](1)
    for _ in range(4):
        assert fast(1) == want
    assert fast.stats()["hits"] == 3


RAISES = """
import array
def g(x):
    y = [x]
    return array.array("?", y)
def f(x):
    op()
    z = g(x)
    return z
"""


def test_traceback_is_the_programs_own():
    space = world(RAISES)
    fast = engine_compile(space["f"])

    def lines(fn):
        with pytest.raises(ValueError) as caught:
            fn(1)
        tb = traceback.extract_tb(caught.value.__traceback__)
        return [(s.name, s.lineno) for s in tb if s.filename == "<breaks>"]

    want = lines(space["f"])
    assert [lines(fast) for _ in range(4)] == [want] * 4
    assert fast.stats()["hits"] > 0


FREES = """
class Node: pass
def f(ref):
    n = Node()
    refs.append(ref(n))
    op()
    alive = refs[-1]() is not None
    n = None
    op()
    return alive, refs[-1]() is None
refs = []
"""


def test_what_frames_let_go_of_dies():
    fast = engine_compile(world(FREES)["f"])
    for _ in range(4):
        assert fast(weakref.ref) == (True, True)


KEEPS = """
class L(list): pass
def bound(refs, ref):
    out = L()
    refs.append(ref(out))
    add = out.append
    out = 3
    for i in range(3):
        add(op())
        add([i])
def closure(refs, ref):
    o = L()
    refs.append(ref(o))
    def inner(): return o
    op()
    return len(inner()), op(), len([inner])
"""


@pytest.mark.parametrize("name", ["bound", "closure"])
def test_entries_keep_nothing_of_a_call(name):
    """A guard on an object of one call holds it, and never holds again."""
    fast = engine_compile(world(KEEPS)[name])
    for _ in range(5):
        refs = []
        fast(refs, weakref.ref)
        assert [ref() for ref in refs] == [None]
    assert fast.stats()["hits"] == 4
    assert len(fast.entries()) <= 4


def test_no_leaks():
    space = world(LOOP)
    fast = engine_compile(space["f"])

    class Count:
        pass

    def many(n):
        for _ in range(n):
            fast(20)

    many(10)
    gc.collect()
    before = (
        len(gc.get_objects()),
        sys.gettotalrefcount() if hasattr(sys, "gettotalrefcount") else 0,
    )
    many(200)
    gc.collect()
    assert len(gc.get_objects()) <= before[0] + 5


def test_threads():
    space = world(LOOP)
    fast = engine_compile(space["f"])
    failed = []

    def work(n):
        for _ in range(60):
            if fast(n) != [1, "x"] * n:
                failed.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 5, 9, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


RESET = """
def f(n):
    out = []
    for i in range(n):
        out.append(op())
        if i == 2:
            hook()
    return out
"""


def test_reset_inside_a_break():
    space = world(RESET)
    space["hook"] = lambda: None
    fast = engine_compile(space["f"])
    hit(fast, 6)
    space["hook"] = fast.reset
    for _ in range(5):
        assert fast(6) == [1] * 6


def test_calls_itself_in_a_break():
    space = world("""
def f(n):
    x = op()
    l = [n, sorted([n], key=lambda k: again(n - 1) and 0)] if n else [x]
    return l, op()
""")
    fast = engine_compile(space["f"])
    space["again"] = fast
    want = None
    for _ in range(5):
        got = fast(3)
        assert want is None or got == want
        want = got


COUNTS = """
class Net:
    def __init__(self):
        self.steps, self.scale = 0, {"k": 1.0}
    def __call__(self, x):
        out = [x]
        self.steps += 1
        if self.steps % 3 == 0:
            out.append("third")
        self.scale["k"] *= 0.5
        out.append(self.scale["k"] + x)
        return out
def f(net, x):
    return net(x), net
"""


def test_a_number_that_keeps_changing_is_not_guarded():
    eager, fast = world(COUNTS), world(COUNTS)
    compiled = engine_compile(fast["f"], numbers=0)
    nets = eager["Net"](), fast["Net"]()
    for _ in range(20):
        want, got = eager["f"](nets[0], 1), compiled(nets[1], 1)
        assert got[0] == want[0] and vars(nets[0]) == vars(nets[1])
    counted = compiled.stats()
    assert counted["hits"] >= 13 and counted["recordings"] <= 7, counted
    assert set(counted["breaks"]) == {"changing-number"}


def test_a_number_that_keeps_changing_becomes_a_symbol():
    eager, fast = world(COUNTS), world(COUNTS)
    compiled = engine_compile(fast["f"])
    nets = eager["Net"](), fast["Net"]()
    for _ in range(20):
        want, got = eager["f"](nets[0], 1), compiled(nets[1], 1)
        assert got[0] == want[0] and vars(nets[0]) == vars(nets[1])
    counted = compiled.stats()
    assert counted["hits"] >= 17 and counted["recordings"] <= 3, counted
    assert not counted["breaks"]


DIES = """
import sys, weakref
class Node: pass
def f(way):
    n = Node()
    ref = weakref.ref(n)
    op()
    n.me = [1]
    if way:
        op()
    else:
        sys.settrace(None)  # ends the recording
    n = None
    return ref() is None
"""


@pytest.mark.parametrize("way", [0, 1])
def test_what_an_ended_segment_saw_dies(way):
    fast = engine_compile(world(DIES)["f"])
    assert [fast(way) for _ in range(5)] == [True] * 5


NO_WEAKREFS = """
import weakref
def f(base, value):
    class Scalar(base): pass
    class Node: pass
    s, n = Scalar(value), Node()
    op()
    s.node = n
    ref = weakref.ref(n)
    op()
    s = n = None
    return ref() is None
"""


@pytest.mark.parametrize(
    ("base", "value"), [(int, 5), (str, "a"), (bytes, b"a"), (float, 0.5)]
)
def test_scalars_of_a_class_of_the_call_die(base, value):
    """A guard would know them by what they are, and keep them alive."""
    fast = engine_compile(world(NO_WEAKREFS)["f"])
    assert [fast(base, value) for _ in range(5)] == [True] * 5


SHARED = """
class Box: pair = (1, 0)
def f(box):
    x = (1, 0)
    op()
    y = (1, 0)
    return box.pair, x is box.pair, y, [x]
"""


def test_constants_of_code_stay_themselves():
    space = world(SHARED)
    fast, box = engine_compile(space["f"]), space["Box"]()
    want = [v is box.pair for v in space["f"](box)]
    assert [[v is box.pair for v in fast(box)] for _ in range(4)] == [want] * 4
    assert fast.stats()["hits"] == 3


def test_entries_say_where_they_begin():
    fast = engine_compile(world(LOOP)["f"])
    hit(fast, 3)
    places = [entry.get("resumes") for entry in fast.entries()]
    assert places[0] is None and len(places) > 1
    assert all(file == "<breaks>" and 4 <= line <= 9 for file, line in places[1:])


def test_defaults_that_come_from_before_a_break():
    numbers = iter(range(1000, 2000))
    count = ctypes.PYFUNCTYPE(ctypes.c_int)(lambda: next(numbers))

    def f():
        def inner(x=count(), *, y=count()):
            return x, y

        return inner(), inner.__defaults__, inner.__kwdefaults__

    compiled = engine_compile(f)
    for i in range(1000, 1040, 2):
        assert compiled() == ((i, i + 1), (i,), {"y": i + 1})


ANNOTATED = """
class Hints:
    def __iter__(self):
        yield hint()

hints = Hints()

def f():
    def inner(x: hint(), *rest: *hints): ...

    first, last = inner.__annotations__.values()
    return first[0], last[0], first is last, last
"""


def test_annotations_that_come_from_before_a_break():
    """A dict is made of the tuple when somebody asks for it."""
    numbers = iter(range(1000))
    hint = ctypes.PYFUNCTYPE(ctypes.py_object)(lambda: [next(numbers)])
    scope = {"hint": hint}
    exec(compile(ANNOTATED, "<annotated>", "exec", dont_inherit=True), scope)
    compiled = engine_compile(scope["f"])
    for i in range(0, 40, 2):
        assert compiled() == (i, i + 1, False, [i + 1])
