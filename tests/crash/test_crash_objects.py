"""Objects and classes that are not what their shape says: descriptors of other classes,
iteration that runs code, finalizers that take the compiled function away."""

import pytest
from crash_runner import run, scripts

SCRIPTS = scripts(r"""
=== descriptor_of_another_class
class A:
    __slots__ = tuple("abcdefghijklmnopqrstuvwxyz")
class B:
    z = A.z
class C:
    __slots__ = ("q",)
    z = A.z
class Meta(type):
    z = A.z
class D(metaclass=Meta):
    pass
def read(o):
    try:
        return o.z
    except TypeError:
        return "no"
def write(o):
    try:
        o.z = 3
    except TypeError:
        return "no"
def delete(o):
    try:
        del o.z
    except TypeError:
        return "no"
for fn in read, write, delete:
    for o in B(), C(), D:
        fast = compiled(fn)
        for _ in range(4):
            assert fast(o) == "no", (fn, o)
        assert fast.stats()["hits"] or o is D, fast.stats()
def made(n):
    o = B()
    o.q = [n]
    return o
fast = compiled(made)
for n in 1, 2, 2, 2:
    assert vars(fast(n)) == {"q": [n]}
assert fast.stats()["hits"]

=== getter_of_another_class
class A:
    pass
class B:
    f = types.FunctionType.__dict__["__code__"]
    g = property.__dict__["fget"]
    h = types.MethodType.__dict__["__func__"]
    k = slice.__dict__["start"]
    d = A.__dict__["__dict__"]
    c = type.__dict__["__mro__"]
    m = type.__dict__["__dictoffset__"]
def read(o):
    got = []
    for name in "fghkdcm":
        try:
            got.append(getattr(o, name))
        except TypeError:
            got.append("no")
    return got
fast = compiled(read)
for _ in range(4):
    assert fast(B()) == ["no"] * 7
assert fast.stats()["hits"]

=== tuple_field_of_another_class
import collections
P = collections.namedtuple("P", "a b c")
class A:
    x = P.__dict__["c"]
class S(tuple):
    x = P.__dict__["c"]
def read(o):
    try:
        return o.x
    except (TypeError, IndexError) as e:
        return str(e)
for args in [A(), A(), A()], [S([1]), S([1]), S([1, 2, 3]), S([1]), S([1, 2, 3])]:
    fast = compiled(read)
    for a in args:
        assert fast(a) == read(a), a
    assert fast.stats()["hits"]
class cached_tuplegetter:
    def __get__(self, o, t):
        return 7
    def __reduce__(self):
        raise SystemExit("nobody may ask")
class D:
    x = cached_tuplegetter()
fast = compiled(read)
assert [fast(D()) for _ in range(3)] == [7, 7, 7]

=== iteration_that_runs_code
import collections
log = []
def iterates(base):
    class Loud(base):
        def __iter__(self):
            log.append(base.__name__)
            return super().__iter__()
    return Loud
def make():
    bases = collections.OrderedDict, dict, set, frozenset, list, tuple, collections.deque
    return [iterates(b)([(1, 2), (3, 4)]) for b in bases]
def total(o):
    return sum(1 for _ in o)
fns = [
    len, bool, list, sorted, tuple, max, repr, dict.fromkeys, total,
    lambda o: o == o, lambda o: (1, 2) in o, lambda o: [*o], lambda o: list(o.values()),
    lambda o: o.copy() and 1, lambda o: o.pop(), lambda o: o.update({3: 4}),
    lambda o: o.add(3), lambda o: o.append(5), lambda o: o | o and 1,
]
for fn in fns:
    def call(o):
        return fn(o)
    for i in range(len(make())):
        fast, mine, other = compiled(call), make()[i], make()[i]
        for _ in range(3):
            log.clear()
            want, seen = outcome(call, mine), log[:]
            log.clear()
            got = outcome(fast, other)
            assert repr(got) == repr(want) and log == seen, (fn, i, got, want, log, seen)

=== finalizer_resets_and_drops
holder, log = {}, []
def world():
    return types.SimpleNamespace(slot=None, items=[], d={})
here, there = world(), world()
class Bomb:
    def __init__(self, name):
        self.name = name
    def __del__(self):
        log.append(self.name)
        f = holder.get("fast")
        if f is None:
            return
        f.reset()
        f.disabled = not f.disabled
        f.disabled = False
        if self.name == "drop":
            holder.pop("fast", None)
        if self.name == "calls":
            f(there, 1)
def g(w, n):
    w.slot = [n]
    w.items[:] = [n]
    w.d["k"] = n
    w.d = {"k": [n]}
    return [n, w.d]
for name in "reset", "drop", "calls":
    log.clear()
    for i in range(12):
        here.slot, here.items, here.d = Bomb(name), [Bomb(name)], {"k": Bomb(name)}
        fn = holder.setdefault("fast", compiled(g))
        assert fn(here, i) == [i, {"k": [i]}]
        del fn
    assert len(log) == 36
    holder.clear()

=== program_resets_in_the_middle
def f(w):
    w.n += 1
    w.cb()
    w.m = [w.n]
    return w.m
class World:
    n = depth = 0
def look():
    fast.entries(), fast.stats()
def again():
    World.depth += 1
    if World.depth == 1:
        w = World()
        w.cb = look
        fast(w)
acts = [lambda: fast.reset(), lambda: fast.set_verify(0), look, again]
for act in acts:
    fast = compiled(f)
    for i in range(5):
        World.depth = 0
        w = World()
        w.cb = act
        assert fast(w) == [1] == w.m

=== verifier_takes_the_function_away
import gc
holder = {}
class Report:
    def run(self, *a):
        holder["fast"].set_verify(1, None)
    def compare(self, *a): return None
    def raised(self, *a): return False
    def report(self, info):
        fast = holder.pop("fast", None)
        if fast is not None:
            fast.reset()
            fast.set_verify(0)
        del fast
        gc.collect()
class Evil(Report):
    def compare(self, *a): raise KeyboardInterrupt
    def raised(self, *a): raise ValueError
    def report(self, info): return 5
class Object:
    pass
state = [0]
def f(o):
    o.t = state[0]
    return [o.t]
for verifier in Report(), Evil(), None, object(), 5:
    for _ in range(3):
        fast = holder["fast"] = compiled(f)
        for i in range(6):
            fast.set_verify(1, verifier)
            state[0] = i // 3
            assert fast(Object()) == [i // 3]
for every in -1, 2**40, "a", None:
    assert outcome(fast.set_verify, every)[0] == "error"

=== classes_of_hostile_metaclasses
log = []
class Meta(type):
    def __new__(m, name, bases, names, **k):
        log.append(name)
        return super().__new__(m, name, bases, names)
    def mro(cls):
        log.append("mro")
        return super().mro()
    def __prepare__(name, bases, **k):
        log.append("prepare")
        return {}
class Base(metaclass=Meta):
    def __init_subclass__(cls, **k):
        log.append("subclass")
class Named:
    def __set_name__(self, owner, name):
        log.append((name, owner.__name__))
def statement(n):
    class C(Base, k=n):
        d = Named()
        def go(self):
            return n
    return C().go()
def slots(n):
    return type("X", (), {"__slots__": ["a", "b"]}).__name__
def conflict(n):
    class C(Meta, Base):
        pass
def by_type(n):
    return type.__new__(Meta, "Y", (), {"q": n}).q
def no_instance(n):
    class C:
        def __new__(cls):
            return 3
    return C(), type(C)("Z", (), {}).__name__
def base_is_number(n):
    class C(5):
        pass
def built_of_nothing(n):
    return __build_class__(1, 2)
def names_are_number(n):
    return type("a", (), 5)
def name_is_number(n):
    return type("a", (), {1: 2}).__name__
def bases_are_list(n):
    return type("a", [], {})
def bad_name(n):
    return type("a\0b", (), {})
def meta_is_function(n):
    class A(metaclass=lambda *a: a):
        pass
    return A[0]
fns = [
    statement, slots, conflict, by_type, no_instance, base_is_number, built_of_nothing,
    names_are_number, name_is_number, bases_are_list, bad_name, meta_is_function,
]
for fn in fns:
    fast = compiled(fn)
    for i in 3, 3, 3, 4, 4:
        log.clear()
        want, seen = outcome(fn, i), log[:]
        log.clear()
        got = outcome(fast, i)
        assert got == want and log == seen, (fn, got, want, log, seen)

=== wrappers_of_nothing
S, C = staticmethod.__new__(staticmethod), classmethod.__new__(classmethod)
P, U = property.__new__(property), super.__new__(super)
class A:
    s, c, p, u = S, C, P, U
class New:
    __new__ = S
class Init:
    __init__ = S
class Item:
    __class_getitem__ = C
class Hooks:
    __getattr__ = S
    __setattr__ = S
class All:
    __getattribute__ = S
class Special:
    __bool__ = __iter__ = __next__ = __call__ = __getitem__ = __eq__ = __enter__ = S
    __len__ = __contains__ = __hash__ = __exit__ = __add__ = __repr__ = __index__ = C
class Base:
    __init_subclass__ = C
class Named:
    __set_name__ = S
metas = []
for name, value in ("__call__", S), ("__prepare__", C), ("__new__", S), ("mro", C):
    metas.append(type("Meta", (type,), {name: value}))
def make(meta):
    class X(metaclass=meta):
        pass
    return X
def derive():
    class X(Base):
        pass
def name():
    class X:
        q = Named()
def enter(o):
    with o:
        pass
def put(o):
    o.p = 1
a, b = A(), Special()
fns = [
    lambda: A.s, lambda: A().s, lambda: A.s(), lambda: a.s(1), lambda: A.c(), lambda: a.c,
    lambda: a.p, lambda: put(a), lambda: a.u, lambda: A.u, lambda: U.x, lambda: New(),
    lambda: U.__class__, lambda: Init(), lambda: Item[1], lambda: Hooks().q, derive, name,
    lambda: put(Hooks()), lambda: All().q, lambda: bool(b), lambda: len(b), lambda: [*b],
    lambda: next(b), lambda: b(), lambda: b[1], lambda: 1 in b, lambda: b == b,
    lambda: hash(b), lambda: {b: 1}, lambda: enter(b), lambda: b + 1, lambda: str(b),
    lambda: f"{b}", lambda: [1][b], lambda: S.__func__, lambda: P.fget,
    lambda: P.__get__(3), lambda: isinstance(3, S), lambda: make(metas[0])(),
    lambda: make(metas[1]), lambda: make(metas[2]), lambda: make(metas[3]),
    lambda: super(A, A()).s,
]
if sys.version_info >= (3, 13):  # it crashes itself
    fns = [fn for fn in fns if not {"a", "u"} <= {*fn.__code__.co_names}]
for fn in fns:
    fast = compiled(fn)
    for _ in range(3):
        assert outcome(fn)[0] == outcome(fast)[0], fn.__code__.co_firstlineno
""")


@pytest.mark.parametrize("name", SCRIPTS)
def test_crash_objects(name):
    run(name, SCRIPTS[name])
