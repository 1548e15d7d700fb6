"""Every row of guard/guards.def: hit and miss."""

from __future__ import annotations

import abc
import collections
import functools
import io
import struct
import sys
import threading
import types
import weakref

import pytest
from guard_program import (
    ABSENT,
    FIELDS,
    Program,
    Slotted,
    attr_classes,
    eng,
    loading,
    needs_torch,
    rows,
    with_test,
)
from guard_threads import context_unset, handling, load_context, load_local, token

# -- Loads ---------------------------------------------------------------------------


def load_const():
    p = Program()
    marker = object()
    p.const(marker)
    assert p.value() is marker
    p = Program("x")
    p.test("SAME", 0, b=p.const(marker))
    assert p(marker)
    assert not p(object())


def load_arg():
    p = Program("x", "y")
    assert eng.guard_regs(p.p, ("a", "b")) == ["a", "b"]


def load_item():
    class Items(list):
        def __getitem__(self, i):
            raise AssertionError

    a, b = object(), object()
    for make in (list, tuple, Items, collections.namedtuple("N", "x y")._make):
        assert loading("LOAD_ITEM", n=0).value(make([a, b])) is a
        assert loading("LOAD_ITEM", n=-1).value(make([a, b])) is b
        assert not loading("LOAD_ITEM", n=2)(make([a, b]))
        assert not loading("LOAD_ITEM", n=-3)(make([a, b]))
    assert not loading("LOAD_ITEM", n=0)({0: a})


def load_key():
    p = loading("LOAD_KEY", "k")
    v = object()
    assert p.value({"j": 1, "k": v}) is v
    assert not p({"j": 1})
    assert p.failed == 1
    assert not p(["k"])


def load_dict():
    class C:
        pass

    class Slots:
        __slots__ = ()

    p = loading("LOAD_DICT")
    o = C()
    o.x = 1
    assert p.value(o) is o.__dict__
    assert p.value(sys) is sys.__dict__
    assert loading("LOAD_DICT", n=1).value(load_dict) is load_dict.__dict__
    assert p.value(C)["__module__"] == __name__
    assert p.value(int)["__doc__"] == int.__doc__
    assert not p(Slots())
    assert not p(1)
    late = ValueError(1)  # its __reduce__ shows a dict
    assert not p(late)
    assert late.__reduce__() == (ValueError, (1,))
    assert loading("LOAD_DICT", n=1).value(late) == {}
    assert late.__reduce__() == (ValueError, (1,), {})
    assert p(late)
    fresh = C()  # its dict is made by the check
    fresh.a = 2
    assert p.value(fresh) == {"a": 2}
    assert p.value(fresh) is fresh.__dict__


def load_slot():
    p = loading("LOAD_SLOT", Slotted.a)
    s = Slotted()
    assert not p(s)
    s.a = v = object()
    assert p.value(s) is v
    assert not p(object())
    with pytest.raises(TypeError):
        loading("LOAD_SLOT", Slotted.__init__)(s)


def load_cell():
    p = loading("LOAD_CELL")
    v = object()
    assert p.value(types.CellType(v)) is v
    assert not p(types.CellType())
    assert not p(v)


def load_field():
    assert set(FIELDS) == set(rows("guard/fields.def"))


def load_deque():
    class Queue(collections.deque):
        def __getitem__(self, i):
            raise AssertionError

    for make in (collections.deque, Queue):
        d = make(["a", "b"])
        assert loading("LOAD_DEQUE", n=0).value(d) == "a"
        assert loading("LOAD_DEQUE", n=-1).value(d) == "b"
        assert not loading("LOAD_DEQUE", n=2)(d)
    assert not loading("LOAD_DEQUE", n=0)(["a"])


def iterators(items):
    """Iterators over the items, and over the same with one taken before."""
    numbers = range(3, 3 + len(items))
    for make in (
        lambda: iter(items),
        lambda: iter(tuple(items)),
        lambda: iter(dict(zip(items, items, strict=True))),
        lambda: iter(dict(zip(numbers, items, strict=True)).values()),
    ):
        yield make(), items
        it = make()
        next(it)
        yield it, items[1:]
    yield iter(numbers), list(numbers)


def load_next():
    for it, left in iterators(["a", "b", "c"]):
        for n, item in enumerate(left):
            assert loading("LOAD_NEXT", n=n).value(it) == item
        assert not loading("LOAD_NEXT", n=len(left))(it)
        assert list(it) == left  # nothing was advanced
        assert not loading("LOAD_NEXT", n=0)(it)
    changed = {"a": 1, "b": 2}
    it = iter(changed)
    changed["c"] = 3
    assert not loading("LOAD_NEXT", n=0)(it)
    assert not loading("LOAD_NEXT", n=0)(iter(range(1000, 1002)))
    assert not loading("LOAD_NEXT", n=0)(zip([1], strict=True))
    assert not loading("LOAD_NEXT", n=0)(["a"])


def items_left():
    for it, left in iterators(["a", "b", "c"]):
        for n in range(5):
            assert with_test("ITEMS_LEFT", n=n)(it) is (n == len(left))
        assert list(it) == left
        assert with_test("ITEMS_LEFT", n=0)(it)
    assert not with_test("ITEMS_LEFT", n=0)([])
    assert not with_test("ITEMS_LEFT", n=0)(zip(strict=True))


# -- Tests ---------------------------------------------------------------------------


def type_is():
    p = with_test("TYPE_IS", int)
    assert p(1)
    assert not p(True)
    assert not p("x")
    assert p.failed == 1


def is_():
    o = []
    p = with_test("IS", o)
    assert p(o)
    assert not p([])
    assert with_test("IS", None)(None)


def equals():
    same = [
        (10**30, 10**30),
        ("a" * 3, "".join(["a"] * 3)),
        ("é", "xé"[1:]),
        (b"ab", bytes([97, 98])),
        (1.5, 3.0 / 2),
        (float("nan"), float("nan")),
        (1j, complex(0, 1)),
        ((1, (2.0, "s")), (1, (2.0, "s"))),
        (slice(1, None, 2), slice(1, None, 2)),
        (range(3), range(3)),
        (None, None),
        (..., ...),
        (NotImplemented, NotImplemented),
        (True, True),
    ]
    differ = [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (0j, -0j),
        (complex(0, 0.0), complex(0, -0.0)),
        ("a", "b"),
        ("a", "ab"),
        ("é", "e"),
        ("a", b"a"),
        (10**30, 10**30 + 1),
        ((1, 2), (1, 2, 3)),
        ((1, 2), (1, 2.0)),
        ((0.0,), (-0.0,)),
        ((1, 2), [1, 2]),
        (slice(1), slice(1.0)),
        (range(0, 3, 2), range(0, 4, 2)),
        (False, 0),
        (None, False),
        (len, print),
    ]
    for want, value in same:
        assert with_test("EQUALS", want)(value), (want, value)
    for want, value in differ:
        assert not with_test("EQUALS", want)(value), (want, value)
        assert not with_test("EQUALS", value)(want) if type(value) is not list else True
    deep = ()
    for _ in range(100):
        deep = (deep,)
    for bad in ([1], {1: 2}, ([],), deep, slice([]), collections.deque()):
        with pytest.raises(TypeError):
            with_test("EQUALS", bad)(1)


def same():
    p = Program("x", "y").test("SAME", 0, b=1)
    o = []
    assert p(o, o)
    assert not p([], [])


def not_same():
    p = Program("x", "y").test("NOT_SAME", 0, b=1)
    o = []
    assert not p(o, o)
    assert p([], [])


SIZED = [
    list,
    tuple,
    set,
    frozenset,
    collections.deque,
    dict.fromkeys,
    collections.OrderedDict.fromkeys,
    "".join,
]


def len_():
    p = with_test("LEN", n=2)
    for make in SIZED:
        assert p(make(["a", "b"])), make
        assert not p(make(["a"])), make
        assert not p(make([])), make
    assert not p(1)


def nonempty():
    p = with_test("NONEMPTY")
    for make in SIZED:
        assert p(make(["a", "b"])), make
        assert not p(make([])), make
    assert not p(1)


def maxlen():
    bounded, free = with_test("MAXLEN", n=2), with_test("MAXLEN", n=-1)
    deque = collections.deque
    assert bounded(deque([1], 2))
    assert not bounded(deque([1], 3))
    assert not bounded(deque([1]))
    assert not bounded([1])
    assert free(deque([1]))
    assert not free(deque([1], 0))


def keys():
    p = with_test("KEYS", ("a", 1, None))
    assert p({"a": 0, 1: 0, None: 0})
    assert not p({"a": 0, None: 0, 1: 0})
    assert not p({"a": 0, 1: 0})
    assert not p({"a": 0, 1: 0, None: 0, 2: 0})
    assert not p({"a": 0, True: 0, None: 0})
    assert not p(["a", 1, None])
    assert with_test("KEYS", ())({})
    assert not with_test("KEYS", ())({1: 1})
    o = object()
    assert with_test("KEYS", (o, len))({o: 1, len: 2})
    assert not with_test("KEYS", (o,))({object(): 1})


def has_key():
    p = with_test("HAS_KEY", "a")
    assert p({"a": 1})
    assert not p({"b": 1})
    assert p({"b": 1, 2: 3, "a": 1})
    assert p({"a"})
    assert not p({"b"})
    assert p(frozenset(["a", 1]))
    assert not p(["a"])


def no_key():
    p = with_test("NO_KEY", "a")
    assert not p({"a": 1})
    assert p({"b": 1})
    assert not p({"b": 1, 2: 3, "a": 1})
    assert not p({"a"})
    assert p({"b"})
    assert not p(frozenset(["a", 1]))
    assert not p(["b"])


def set_equals():
    want = {3, 5}  # in a copy, too: the order of texts that collide depends on the seed
    p = with_test("SET_EQUALS", tuple(want))
    assert p({*want})
    assert p(frozenset(want))
    assert not with_test("SET_EQUALS", tuple(want)[::-1])(want)
    assert not p({3})
    assert not p({3, 6})
    assert not p({3, 5, 6})
    assert not p([3, 5])
    p = with_test("SET_EQUALS", (1, 2))
    assert p({2, 1})
    assert not p({True, 2})
    assert not p({1.0, 2})
    want = {1, 0.0, "s", (1, 2)}
    p = with_test("SET_EQUALS", tuple(want), n=1)  # the hash of "s" may make it odd
    assert p(want)
    assert not p({"s", 1, -0.0, (1, 2)})
    assert not p({"s", True, 0.0, (1, 2)})
    assert not p({"s", 1, 0.0, (1, 2.0)})
    with pytest.raises(TypeError):
        with_test("SET_EQUALS", {1})({1})


def tensor():
    import torch

    eng.tensor_init()
    p = with_test("TENSOR", torch.zeros(2, 3))
    assert p(torch.ones(2, 3))
    assert not p(torch.ones(3, 2))
    assert not p(1)
    assert p.text[0].startswith("x: f32[2, 3]")
    assert p.miss(torch.ones(3, 2)).startswith("x: f32[2, 3]")
    assert "found: " in p.miss(torch.ones(3, 2))


def apart():
    import torch

    eng.tensor_init()
    p = Program("x", "y").test("APART", -1, struct.pack("2i", 0, 1), n=1)
    t = torch.zeros(8)
    assert p(t, torch.zeros(8))
    assert not p(t, t)
    assert not p(t, t[3:])
    assert p(t[:4], t[4:])
    assert not p(t[:5], t[4:])
    assert not p(t[4:], t[:5])
    data = torch.zeros(4).numpy()
    assert not p(torch.from_numpy(data), data[1:])
    assert p(torch.from_numpy(data), data.copy()) and p(t, data[:0])
    many = Program("x", "y", "z").test("APART", -1, struct.pack("3i", 1, 0, 2), n=1)
    assert many(t[:4], t[4:], t[:4])  # the first and the last are only read
    assert not many(t[:4], t[3:], t[:2])


def alone():
    import torch

    eng.tensor_init()
    p = Program("x", "y").test("ALONE", -1, struct.pack("2i", 0, 1), n=1)
    t = torch.zeros(8, dtype=torch.float64)
    assert p(t, torch.zeros(8)) and p(t[2:], torch.zeros(8)[1:])
    assert not p(t, t)
    for other in (t[3:], t.view(torch.int16)[5:], t.view(2, 4)[1], t.unfold(0, 2, 2)):
        assert not p(t, other) and not p(other, t) and not p(t[:2], other)
    none = torch.zeros(0, 3)
    assert p(t, none) and p(none, t) and p(none, torch.zeros(0, 3))
    assert not p(none, none) and not p(none, none.t()) and not p(t, t[:0])
    meta = torch.zeros(2, device="meta")
    assert p(meta, torch.zeros(2, device="meta")) and not p(meta, meta[1:])


def abc_token():
    class Some(abc.ABC):
        pass

    p = Program().test("ABC_TOKEN", -1, abc.get_cache_token())
    assert p()
    Some.register(int)
    assert not p()


def subclasses():
    base = type("Base", (), {})
    first = type("First", (base,), {})
    p = Program().test("SUBCLASSES", -1, (base, (weakref.ref(first),)))
    assert p() and not Program().test("SUBCLASSES", -1, (base, ()))()
    second = type("Second", (base,), {})
    assert second and not p()


def set_layout():
    def shrunk(size):
        members = set(range(size))
        members -= set(range(2, size))
        return members

    for want in ({1, 2}, set(range(40)), {"a", (1, 2), 3.5}, {8, 16, 24} - {8}, set()):
        layout = eng.set_layout(want)
        p = with_test("SET_LAYOUT", layout)
        assert p(want) and p(want | set()) == (eng.set_layout(want | set()) == layout)
        assert not p(want | {77}) and not p(None) and not p(list(want))
    p = with_test("SET_LAYOUT", eng.set_layout({0, 1}))
    assert p({1, 0}) and p(frozenset({0, 1}))
    used = {0, 1, 2}
    used.discard(2)  # a dummy
    assert not p(used) and not p(shrunk(30)) and not p({0, 2}) and not p({"a", "b"})
    popped = {0, 1, 2}
    popped.pop()
    popped.add(0)
    assert not with_test("SET_LAYOUT", eng.set_layout({0, 1, 2}))(popped)
    for text in (b"", b"x" * 31, b"x" * 32, eng.set_layout({1})[:-1], b"\xff" * 200):
        assert not with_test("SET_LAYOUT", text)({1})


def bytes_of():
    class Mine(bytearray):
        pass

    p = with_test("BYTES", b"ab")
    data = bytearray(b"ab")
    assert p(data)
    view = memoryview(data)
    assert not p(data)  # somebody else may write to it
    view.release()
    assert p(data)
    data[0] = 0
    for other in (data, bytearray(b"abc"), b"ab", Mine(b"ab"), "ab", None):
        assert not p(other)


def array_of_numpy():
    np = pytest.importorskip("numpy")

    class Mine(np.ndarray):
        pass

    held = np.arange(6.0).reshape(2, 3)
    p = with_test("ARRAY", held.copy())
    assert p(held) and p(held.copy()) and p(np.arange(7.0)[1:].reshape(2, 3) - 1)
    for other in (held + 1, held.T, held.astype("f4"), held.reshape(3, 2), held.ravel(),
                  held.astype(">f8"), np.asfortranarray(held), held.view(Mine),
                  held.astype(object), np.array(["a"]), held.tolist(), None):  # fmt: skip
        assert not p(other)
    zero = with_test("ARRAY", np.zeros(2))
    assert zero(np.zeros(2)) and not zero(np.array([0.0, -0.0]))
    held.setflags(write=False)
    assert not p(held)
    nan = with_test("ARRAY", np.array([np.nan]))
    assert nan(np.array([np.nan]))


def file_of_c():
    class Loud(io.StringIO):
        def write(self, text):
            raise AssertionError("write ran")

    class Quiet(io.TextIOWrapper):
        name = "quiet"

    class Shut(io.StringIO):
        @property
        def closed(self):
            raise AssertionError("closed ran")

    class Asked(io.StringIO):
        def __getattr__(self, name):
            raise AssertionError("__getattr__ ran")

    class Raw(io.RawIOBase):
        def writable(self):
            return True

    p = with_test("FILE", "ascii")
    shadowed = io.StringIO()
    shadowed.write = print
    detached = io.TextIOWrapper(io.BytesIO())
    detached.detach()
    closed = io.StringIO()
    closed.close()
    assert p(io.StringIO()) and p(io.TextIOWrapper(io.BytesIO(), "ascii"))
    assert p(Quiet(io.BufferedWriter(io.BytesIO()), "utf-8"))
    for other in (Loud(), Shut(), Asked(), shadowed, detached, closed, 1, None):
        assert not p(other)
    for below in (Raw(), io.BufferedWriter(Raw()), io.BufferedReader(io.BytesIO())):
        assert not p(io.TextIOWrapper(below))
    p = with_test("FILE", "utf-8")
    assert p(io.StringIO()) and p(io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert not p(io.TextIOWrapper(io.BytesIO(), "ascii"))


def leaf():
    import torch

    eng.tensor_init()
    w = torch.ones(2, requires_grad=True)
    yes, no = with_test("LEAF", True), with_test("LEAF", False)
    for tensor in (w, torch.ones(2), torch.nn.Parameter(w), w.detach()):
        assert yes(tensor) and not no(tensor)
    assert no(w * 2) and not yes(w * 2)
    base = torch.ones(2)
    view = base[:1]
    base.mul_(w)
    assert not yes(view)
    assert not yes(1) and not no(None)


def slot_empty():
    p = with_test("SLOT_EMPTY", Slotted.a)
    s = Slotted()
    assert p(s)
    s.a = 1
    assert not p(s)
    assert not p(1)


def cell_empty():
    p = with_test("CELL_EMPTY")
    assert p(types.CellType())
    assert not p(types.CellType(1))
    assert not p(1)


def no_dict():
    class C:
        pass

    p = with_test("NO_DICT", "a")
    o = C()
    assert p(o)
    assert p(1)
    assert p(Slotted())
    o.b = 1
    assert p(o)
    o.a = 1
    assert not p(o)
    del o.a
    assert p(o)
    p = Program("x", "y").test("NO_DICT", 0, "a", b=1)
    assert p(o, {})
    assert p(Slotted(), {})
    assert not p(o, o.__dict__)
    assert p.text[-1:] == ["x has no __dict__ entry 'a', nor is y its __dict__"]


def type_attr():
    A, B, C, D = attr_classes()
    p = Program().test("TYPE_ATTR", -1, (D, "x", C.x))
    old = C.x
    for _ in range(3):
        assert p()
    C.y = 1
    for _ in range(3):
        assert p()
    B.x = 5
    for _ in range(3):
        assert not p()
    del B.x
    assert p()
    assert p()
    C.x = object()
    assert not p()
    C.x = old
    assert p()
    absent = Program().test("TYPE_ATTR", -1, (D, "z", ABSENT))
    assert absent()
    assert absent()
    A.z = 1
    assert not absent()
    assert not absent()
    del A.z
    assert absent()
    plain = Program().test("TYPE_ATTR", -1, (int, "bit_count", int.bit_count))
    assert plain()
    assert plain()
    assert not Program().test("TYPE_ATTR", -1, (int, "bit_count", ABSENT))()
    D.__bases__ = (B,)
    assert not p()


def type_specials():
    A, B, C, D = attr_classes()
    old = C.x
    p = Program().test("TYPE_SPECIALS", -1, (D, ("x", "__len__"), (C.x, ABSENT)))
    for _ in range(3):
        assert p()
    C.y = 1
    for _ in range(3):
        assert p()
    B.__len__ = len
    for _ in range(3):
        assert not p()
    del B.__len__
    assert p()
    C.x = object()
    assert not p()
    C.x = old
    assert p()
    assert Program().test("TYPE_SPECIALS", -1, (D, (), ()))()
    D.__bases__ = (B,)
    assert not p()


def super_attr():
    A, B, C, D = attr_classes()
    p = Program().test("SUPER_ATTR", -1, (D, B, "x", C.x))
    old = C.x
    assert p()
    assert p()
    D.x = B.x = 1  # not looked at
    assert p()
    assert p()
    C.x = 2
    assert not p()
    assert not p()
    C.x = old
    assert p()
    q = Program().test("SUPER_ATTR", -1, (D, C, "x", A.x))
    assert q()
    assert q()
    assert not Program().test("SUPER_ATTR", -1, (A, D, "x", ABSENT))()
    r = Program().test("SUPER_ATTR", -1, (D, A, "x", ABSENT))
    assert r()
    assert r()
    s = Program().test("SUPER_ATTR", -1, (D, A, "__init__", object.__init__))
    assert s()
    assert s()


def function():
    def f(a=1, *, b=2):
        return outer

    def g(a, b):
        return f

    outer = 1

    def row():
        return (f, f.__code__, f.__defaults__, f.__kwdefaults__, f.__closure__)

    p = Program().test("FUNCTION", -1, row())
    assert p()
    old = f.__defaults__
    f.__defaults__ = (3,)
    assert not p()
    f.__defaults__ = old
    assert p()
    f.__kwdefaults__ = {"b": 3}
    assert not p()
    p = Program().test("FUNCTION", -1, row())
    assert p()
    f.__code__ = g.__code__
    assert not p()

    def none():
        pass

    q = Program().test("FUNCTION", -1, (none, none.__code__, None, None, None))
    assert q()
    none.__defaults__ = ()
    assert not q()


def room():
    bounded, unbounded = functools.lru_cache(3)(abs), functools.lru_cache(None)(abs)
    for cache in (bounded, unbounded):
        cache(1)
        assert with_test("ROOM", n=2)(cache)
    assert not with_test("ROOM", n=3)(bounded)
    assert with_test("ROOM", n=3)(unbounded)
    assert not with_test("ROOM", n=1)(functools.lru_cache(0)(abs))
    assert not with_test("ROOM", n=1)(functools.partial(abs))
    assert bounded.cache_info()[:2] == (0, 1)


def unlocked():
    lock = threading.RLock()
    p = with_test("UNLOCKED")
    assert p(lock)
    with lock:
        assert p(lock)  # its owner does not wait
        answers = []
        thread = threading.Thread(target=lambda: answers.append(bool(p(lock))))
        thread.start()
        thread.join()
        assert answers == [False]
    assert p(lock)
    assert not p(threading.Lock())
    assert not p(1)


def imported():
    module = types.ModuleType("magpy_test_module")
    p = Program().test("IMPORTED", -1, ("magpy_test_module", module))
    assert not p()
    sys.modules["magpy_test_module"] = module
    try:
        assert p()
        assert p()
        sys.modules["magpy_test_module"] = sys
        assert not p()
    finally:
        del sys.modules["magpy_test_module"]


def holds():
    p = Program("x", "y")
    x, y = p.number("VALUE", 0), p.number("VALUE", 1)
    total = p.number("ADD", x, y)
    p.holds("EQ", total, p.number(5))
    assert p(2, 3)
    assert p(-1, 6)
    assert not p(2, 4)
    assert not p(2, True)
    assert not p(2.0, 3.0)
    assert not p(2**63, 0)
    assert p.values((2, 3), total, x) == [5, 2]
    assert p.values((2, 4), total) is None
    # It is computed once, and what a later test needs on top of it.
    p.holds("LT", x, y)
    assert p(2, 3)
    assert not p(3, 2)
    assert p.failed == 3


def computed():
    p = Program("x", "y")
    quotient = p.number("FLOORDIV", p.number("VALUE", 0), p.number("VALUE", 1))
    assert p.values((7, 2), quotient) == [3]
    assert not p(7, 0)  # nothing asks for the quotient, but the program would raise
    assert not p(-(2**63), -1)
    assert p(-(2**63), 1)
    assert p.failed == -1


GUARDS = {
    "LOAD_CONST": load_const,
    "LOAD_ARG": load_arg,
    "LOAD_ITEM": load_item,
    "LOAD_KEY": load_key,
    "LOAD_DICT": load_dict,
    "LOAD_LOCAL": load_local,
    "LOAD_SLOT": load_slot,
    "LOAD_CELL": load_cell,
    "LOAD_FIELD": load_field,
    "LOAD_DEQUE": load_deque,
    "LOAD_NEXT": load_next,
    "LOAD_CONTEXT": load_context,
    "TYPE_IS": type_is,
    "IS": is_,
    "EQUALS": equals,
    "SAME": same,
    "NOT_SAME": not_same,
    "LEN": len_,
    "ITEMS_LEFT": items_left,
    "MAXLEN": maxlen,
    "ROOM": room,
    "UNLOCKED": unlocked,
    "NONEMPTY": nonempty,
    "KEYS": keys,
    "HAS_KEY": has_key,
    "NO_KEY": no_key,
    "SET_EQUALS": set_equals,
    "SET_LAYOUT": set_layout,
    "TENSOR": tensor,
    "APART": apart,
    "ALONE": alone,
    "SLOT_EMPTY": slot_empty,
    "CELL_EMPTY": cell_empty,
    "NO_DICT": no_dict,
    "TYPE_ATTR": type_attr,
    "TYPE_SPECIALS": type_specials,
    "SUPER_ATTR": super_attr,
    "SUBCLASSES": subclasses,
    "FUNCTION": function,
    "IMPORTED": imported,
    "CONTEXT_UNSET": context_unset,
    "TOKEN": token,
    "HANDLING": handling,
    "ABC_TOKEN": abc_token,
    "BYTES": bytes_of,
    "ARRAY": array_of_numpy,
    "FILE": file_of_c,
    "HOLDS": holds,
    "COMPUTED": computed,
    "LEAF": leaf,
}


def test_every_guard_row_has_a_test():
    assert list(GUARDS) == rows("guard/guards.def")


@pytest.mark.parametrize(
    "row", [r for r in GUARDS if r not in ("TENSOR", "APART", "ALONE", "LEAF")]
)
def test_guard(row):
    GUARDS[row]()


@needs_torch
@pytest.mark.parametrize("row", ["TENSOR", "APART", "ALONE", "LEAF"])
def test_guard_of_tensors(row):
    GUARDS[row]()
