"""What guard programs may not do, what they need not look at again, and their texts."""

from __future__ import annotations

import collections
import gc
import sys
import threading
import types
import weakref

import pytest
from guard_program import (
    ABSENT,
    Program,
    Slotted,
    attr_classes,
    closed,
    eng,
    hostile,
    loading,
    rows,
    with_test,
)

# -- Versions --------------------------------------------------------------------------


def test_unchanged_dict_needs_no_look_up():
    p = Program("d")
    p.load("LOAD_KEY", 0, "a")
    p.load("LOAD_KEY", 0, "b")
    p.test("NO_KEY", 0, "z").test("KEYS", 0, ("a", "b"))
    d = {"a": object(), "b": object()}
    assert p(d)
    assert p.unchanged == [False]
    assert p(d)
    assert p.unchanged == [True]
    assert eng.guard_regs(p.p, (d,))[1:] == list(d.values())
    d["b"] = v = object()
    assert p.value(d) is v
    assert p.unchanged == [False]
    assert p.value(d) is v
    assert p.unchanged == [True]
    d["z"] = 1
    assert not p(d)
    assert not p(d)
    del d["z"]
    assert p(d)


def test_unchanged_dict_settles_only_what_cannot_change():
    class A:
        pass

    class B:
        pass

    class Module(types.ModuleType):
        pass

    inner = [1]
    d = {"n": 3, "t": (1, inner), "o": A(), "m": types.ModuleType("m"), "e": {}}
    p = Program("d")
    n, t, o, m, e = (p.load("LOAD_KEY", 0, key) for key in d)
    p.test("TYPE_IS", n, int).test("EQUALS", n, 3).test("TYPE_IS", t, tuple)
    item = p.load("LOAD_ITEM", t, n=1)
    p.test("LEN", t, n=2).test("TYPE_IS", item, list).test("LEN", item, n=1)
    p.test("TYPE_IS", o, A).test("TYPE_IS", m, types.ModuleType).test("LEN", 0, n=5)
    p.test("TYPE_IS", e, dict).test("NO_KEY", e, "k").test("NOT_SAME", e, b=item)
    for _ in range(3):
        assert eng.guard_regs(p.p, (d,)) == [d, *d.values(), inner]
    assert p.unchanged == [True, True]

    def misses(change, undo):
        change()
        assert not p(d)
        assert not p(d)
        undo()
        assert p(d)
        assert p(d)
        assert p.unchanged == [True, True]

    misses(lambda: inner.append(2), inner.pop)
    obj, module = d["o"], d["m"]
    misses(lambda: setattr(obj, "__class__", B), lambda: setattr(obj, "__class__", A))
    misses(
        lambda: setattr(module, "__class__", Module),
        lambda: setattr(module, "__class__", types.ModuleType),
    )
    misses(lambda: d["e"].update(k=1), d["e"].clear)
    misses(lambda: d.update(x=1), lambda: d.pop("x"))
    misses(lambda: d.update(n=True), lambda: d.update(n=3))
    misses(lambda: d.update(t=(1, inner, 2)), lambda: d.update(t=(1, inner)))
    misses(lambda: d.update(e=inner), lambda: d.update(e={}))


def test_order_of_an_ordered_dict_is_never_settled():
    p = Program("d")
    p.load("LOAD_KEY", 0, "a")
    p.test("KEYS", 0, ("a", "b"))
    d = collections.OrderedDict(a=1, b=2)
    assert p(d)
    assert p(d)
    d.move_to_end("a")
    assert not p(d)
    d.move_to_end("b")
    assert p(d)


def test_failed_check_leaves_nothing_to_trust():
    p = Program("d", "flag")
    p.load("LOAD_KEY", 0, "a")
    p.test("IS", 1, True)
    a, b = {"a": "in a"}, {"a": "in b"}
    assert eng.guard_regs(p.p, (a, True))[2] == "in a"
    assert not p(b, False)  # looked up in b, then missed
    assert eng.guard_regs(p.p, (a, True))[2] == "in a"
    assert p.unchanged == [False]
    assert eng.guard_regs(p.p, (b, True))[2] == "in b"
    a["a"] = "new"
    assert not p(a, False)
    assert eng.guard_regs(p.p, (a, True))[2] == "new"
    assert not p(a, False)  # missed with nothing looked up
    assert eng.guard_regs(p.p, (a, True))[2] == "new"
    assert p.unchanged == [True]


def test_one_dict_in_two_registers():
    p = Program("c", "d")
    p.load("LOAD_KEY", 0, "a")
    p.load("LOAD_KEY", 1, "b")
    p.test("NO_KEY", 1, "c").test("HAS_KEY", 0, "b")
    d = {"a": 1, "b": 2}
    assert p(d, d)
    assert p(d, d)
    assert p.unchanged == [True, True]
    d["b"] = 3
    assert eng.guard_regs(p.p, (d, d))[2:] == [1, 3]
    other = {"a": 4, "b": 5}
    assert eng.guard_regs(p.p, (other, d))[2:] == [4, 3]
    assert eng.guard_regs(p.p, (d, other))[2:] == [1, 5]
    d["c"] = 1
    assert not p(d, d)
    assert p(d, other)


def test_set_and_dict_in_one_register():
    p = Program("x").test("HAS_KEY", 0, "a").test("NO_KEY", 0, "b")
    d = {"a": 1}
    for _ in range(3):
        assert p(d)
        assert p({"a"})
        assert not p({"a", "b"})
        assert not p({"a": 1, "b": 1})
    d["b"] = 1
    assert p({"a"})
    assert not p(d)


def test_reused_address():
    p = loading("LOAD_KEY", "a")
    for i in range(200):
        assert p.value({"a": i + 1000}) == i + 1000


def test_instance_attributes():
    class C:
        pass

    p = Program("o")
    p.load("LOAD_DICT", 0)
    p.load("LOAD_KEY", 1, "x")
    o = C()
    o.x = 1
    assert p.value(o) == 1
    assert p.value(o) == 1
    # From 3.13 on stores to the object do not count, so that its dict is read again.
    assert p.unchanged == [sys.version_info < (3, 13)]
    for i in range(100):  # specialised stores count too
        o.x = i + 500
        assert p.value(o) == i + 500
    o.__dict__ = {"x": "other"}
    assert p.value(o) == "other"
    del o.x
    assert not p(o)


def test_type_with_strange_keys():
    ran = []

    class Key:
        def __hash__(self):
            return hash("x")

        def __eq__(self, other):
            ran.append(1)
            return False

    C = type("C", (), {Key(): 1})
    ran.clear()
    p = Program().test("TYPE_ATTR", -1, (C, "x", ABSENT))
    assert not p()
    assert not ran
    assert Program().test("TYPE_ATTR", -1, (C, "other", ABSENT))()


# -- The rule: no user code, no references, no collection ----------------------------


def test_no_user_code_in_checks():
    cls, ran = hostile()
    box, box_ran = hostile(dict)
    seq, seq_ran = hostile(list)
    o, d, s = cls(), box(a=1), seq([1, 2])
    object.__setattr__(o, "x", 1)
    cases = [
        (with_test("TYPE_IS", cls), o, True),
        (with_test("TYPE_IS", int), o, False),
        (with_test("IS", o), o, True),
        (with_test("EQUALS", 5), o, False),
        (with_test("EQUALS", (5,)), (o,), False),
        (with_test("LEN", n=1), d, True),
        (with_test("NONEMPTY"), s, True),
        (with_test("NONEMPTY"), o, False),
        (with_test("KEYS", ("a",)), d, True),
        (with_test("HAS_KEY", "a"), d, True),
        (with_test("NO_KEY", "b"), d, True),
        (loading("LOAD_KEY", "a"), d, True),
        (loading("LOAD_KEY", "b"), d, False),
        (loading("LOAD_ITEM", n=1), s, True),
        (loading("LOAD_DICT"), o, True),
        (with_test("NO_DICT", "y"), o, True),
        (with_test("NO_DICT", "x"), o, False),
        (loading("LOAD_DEQUE"), o, False),
        (loading("LOAD_CELL"), o, False),
        (loading("LOAD_FIELD", n=0), o, False),
        (with_test("SET_EQUALS", (1,)), o, False),
    ]
    for p, value, want in cases:
        assert p(value) is want
        p.miss(value)
        assert p.text is not None
    assert not ran
    assert not box_ran
    assert not seq_ran


def test_metaclass_is_not_asked():
    def boom(*args):
        raise AssertionError

    Meta = type("Meta", (type,), {"__getattribute__": boom, "__instancecheck__": boom})
    C = Meta("C", (), {"x": 1})
    assert Program().test("TYPE_ATTR", -1, (C, "x", 1))()
    assert with_test("TYPE_IS", C)(type.__call__(C))


def test_no_collection_in_checks():
    class C:
        pass

    started = []
    p = loading("LOAD_DICT")
    assert p(C())
    objects = [(C(),) for _ in range(2000)]  # each check makes an instance dict
    check, program = eng.guard_check, p.p
    threshold, was_enabled = gc.get_threshold(), gc.isenabled()
    gc.enable()
    gc.callbacks.append(lambda phase, info: started.append(phase))
    try:
        gc.set_threshold(1)
        started.clear()
        for args in objects:
            check(program, args)
        # The loop itself allocates hardly anything.
        assert len(started) < 20
        assert gc.isenabled()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.pop()
        if not was_enabled:
            gc.disable()
    gc.disable()
    try:
        assert p(C())
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_reference_counts():
    class C:
        pass

    class D(collections.deque):
        pass

    o = C()
    key, value = "some key" + str(len("x")), object()
    o.x = value
    d, q = {key: value, 5: value}, D([value])
    p = Program("o", "d", "q")
    r = p.load("LOAD_DICT", 0)
    p.load("LOAD_KEY", r, "x")
    p.load("LOAD_KEY", 1, key)
    p.load("LOAD_KEY", 1, 5)
    p.load("LOAD_DEQUE", 2, n=0)
    p.test("KEYS", 1, (key, 5))
    p.test("TYPE_ATTR", -1, (C, "zz", ABSENT)).test("NO_DICT", 0, "zz")
    p.test("HAS_KEY", 1, 5).test("TYPE_IS", 0, C)
    watched = (o, key, value, d, q, C, o.__dict__)
    args = (o, d, q)
    assert p(*args)
    before = [sys.getrefcount(w) for w in watched]
    for _ in range(1000):
        assert eng.guard_check(p.p, args)
        assert not eng.guard_check(p.p, (o, {key: 1}, q))
    assert [sys.getrefcount(w) for w in watched] == before


def test_programs_own_their_constants_only():
    class C:
        pass

    o, const = C(), C()
    refs = [weakref.ref(x) for x in (o, const)]
    p = Program("x")
    p.const(const)
    p.test("NOT_SAME", 0, b=1)
    assert p(o)
    del o
    assert refs[0]() is None
    assert const in eng.guard_referents(p.p)
    del const
    assert refs[1]() is not None
    del p
    assert refs[1]() is None


def test_recursion_limit_makes_a_miss():
    p = with_test("EQUALS", (2**70, "s"))
    q = with_test("NO_KEY", 2**70)

    def down(n):
        if n:
            return down(n - 1)
        return p((2**70, "s")), q({2**70 + 0: 1, "s": 2})

    limit = sys.getrecursionlimit()
    for n in range(limit - 120, limit, 1):
        try:
            assert down(n) == (True, False)
        except RecursionError:
            break


def test_threads():
    p = Program("d")
    p.load("LOAD_KEY", 0, "a")
    p.test("NO_KEY", 0, "b")
    bad = []

    def work(i):
        mine = {"a": i}
        for _ in range(3000):
            if p.value(mine) != i:
                bad.append(i)

    p.p
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad


# -- Building --------------------------------------------------------------------------


def test_wrong_rows_are_refused():
    with pytest.raises(SystemError):
        eng.guard_new([("LOAD_ITEM", 0, -1, 0)])  # no register 0
    with pytest.raises(SystemError):
        eng.guard_new([("LOAD_ARG", -1, -1, 0, "x"), ("SAME", 0, 1, 0)])
    with pytest.raises(SystemError):
        eng.guard_new([("LOAD_ARG", -1, -1, 0, "x"), ("TENSOR", 0, -1, 0)])
    for row in [
        ("LOAD_ARG", -1, -1, -1, "x"),
        ("LOAD_FIELD", 0, -1, 99),
        ("TYPE_IS", 0, -1, 0, 5),
        ("KEYS", 0, -1, 0, ["a"]),
        ("TYPE_ATTR", -1, -1, 0, (1, "x", 2)),
        ("TYPE_ATTR", -1, -1, 0, (int, 1, 2)),
        ("TYPE_SPECIALS", -1, -1, 0, (int, ("x",), ())),
        ("TYPE_SPECIALS", -1, -1, 0, (int, (1,), (2,))),
        ("FUNCTION", -1, -1, 0, (1, 2, 3, 4, 5)),
        ("IMPORTED", -1, -1, 0, (1, 2)),
        ("NO_DICT", 0, -1, 0, 1),
    ]:
        with pytest.raises(TypeError):
            eng.guard_new([("LOAD_ARG", -1, -1, 0, "x"), row])


def test_long_programs():
    p = Program("x")
    reg = 0
    for _ in range(5000):
        reg = p.load("LOAD_ITEM", reg, n=0)
    deep = v = []
    for _ in range(4999):
        deep = [deep]
    assert p.value([deep]) is v
    assert p.source(reg) == "x" + "[0]" * 5000
    assert not p([])
    assert p.failed == 1
    while deep:  # take it apart without recursion
        deep = deep.pop()


# -- Texts -----------------------------------------------------------------------------


def test_sources():
    p = Program("self")
    d = p.load("LOAD_DICT", 0)
    layers = p.load("LOAD_KEY", p.load("LOAD_KEY", d, "_modules"), "layers")
    third = p.load(
        "LOAD_KEY",
        p.load("LOAD_KEY", p.load("LOAD_DICT", layers), "_modules"),
        "3",
    )
    parts = p.load("LOAD_KEY", p.load("LOAD_DICT", third), "_parameters")
    weight = p.load("LOAD_KEY", parts, "weight")
    item = p.load("LOAD_ITEM", p.load("LOAD_KEY", d, "xs"), n=-1)
    dotted = p.load("LOAD_KEY", d, "not an identifier")
    key = p.load("LOAD_KEY", item, 5)
    slot = p.load("LOAD_SLOT", key, Slotted.a)
    field = p.load("LOAD_FIELD", slot, n=rows("guard/fields.def").index("METHOD_FUNC"))
    cell = p.load("LOAD_CELL", field)
    module = p.load("LOAD_DICT", p.const(sys))
    flags = p.load("LOAD_KEY", module, "flags")
    here = p.load("LOAD_KEY", p.const(globals()), "eng")
    func = p.load("LOAD_DICT", p.const(closed))
    assert p.source(d) == "self.__dict__"
    assert p.source(layers) == "self.layers"
    assert p.source(third) == "self.layers[3]"
    assert p.source(parts) == "self.layers[3]._parameters"
    assert p.source(weight) == "self.layers[3].weight"
    assert p.source(item) == "self.xs[-1]"
    assert p.source(dotted) == "self.__dict__['not an identifier']"
    assert p.source(cell) == "self.xs[-1][5].a.__func__.cell_contents"
    assert p.source(flags) == "sys.flags"
    assert p.source(here) == f"{__name__}.eng"
    assert p.source(func) == "guard_program.closed.__dict__"


def test_lines():
    A, _, _, D = attr_classes()
    p = Program("x", "y")
    d = p.load("LOAD_DICT", 0)
    p.test("TYPE_IS", 0, collections.OrderedDict).test("TYPE_IS", 1, Slotted)
    p.test("IS", 0, None).test("EQUALS", 1, (1, "a", slice(0, None))).test(
        "IS", 0, closed
    )
    p.test("SAME", 0, b=1).test("NOT_SAME", 0, b=1).test("LEN", 0, n=3)
    p.test("NONEMPTY", 0).test("KEYS", d, ("a", 1)).test("HAS_KEY", d, "a")
    p.test("NO_KEY", d, "b").test("SET_EQUALS", 0, ("b", "a"))
    p.test("SLOT_EMPTY", 0, Slotted.a).test("CELL_EMPTY", 0).test("NO_DICT", 0, "k")
    p.test("TYPE_ATTR", -1, (A, "n", 5)).test("TYPE_ATTR", -1, (int, "n", ABSENT))
    p.test("SUPER_ATTR", -1, (dict, int, "n", len))
    p.test("FUNCTION", -1, (closed, closed.__code__, None, None, None))
    p.test("IMPORTED", -1, ("sys", sys))
    p.test("EQUALS", 0, "x" * 200).test("EQUALS", 0, 10**5000)
    name = Slotted.__module__
    assert p.text == [
        "type(x) is collections.OrderedDict",
        f"type(y) is {name}.Slotted",
        "x is None",
        "y == (1, 'a', slice(0, None, None))",
        f"x is {name}.closed",
        "x is y",
        "x is not y",
        "len(x) == 3",
        "bool(x)",
        "list(x.__dict__) == ['a', 1]",
        "'a' in x.__dict__",
        "'b' not in x.__dict__",
        "tuple(x) == ('b', 'a')",
        "x.a is unset",
        "x is an empty cell",
        "x has no __dict__ entry 'k'",
        f"{name}.attr_classes.<locals>.A.n is 5",
        "int.n is absent",
        "super(int, dict).n is len",
        f"{name}.closed has its code, defaults and closure",
        "sys.modules['sys'] is sys",
        "x == '" + "x" * 76 + "...",
        "x == <int>",
    ]
    assert eng.guard_line(p.p, 2) == "x.__dict__ exists"
    with pytest.raises(SystemError):
        eng.guard_line(p.p, 999)
    with pytest.raises(SystemError):
        p.source(999)


def test_misses():
    assert with_test("TYPE_IS", int).miss("s") == "type(x) is int; found: str"
    assert with_test("EQUALS", 3).miss(4) == "x == 3; found: 4"
    assert with_test("EQUALS", 3).miss([4]) == "x == 3; found: list"
    assert with_test("LEN", n=3).miss([4]) == "len(x) == 3; found: 1"
    assert with_test("LEN", n=3).miss(4) == "len(x) == 3; found: int"
    assert with_test("NONEMPTY").miss([]) == "bool(x)"
    assert loading("LOAD_KEY", "a").miss({}) == "x['a'] exists"
    assert with_test("EQUALS", 3).miss(3) is None
    assert with_test("EQUALS", 3).miss(("a",) * 99).endswith("...")
