"""Proofs by words (engine/guard/words.c): what is proved, and that each word is needed."""

from __future__ import annotations

import collections
import functools
import sys
import types

import pytest
from guard_program import ABSENT, FIELDS, Program, Slotted, eng, needs_torch
from test_guard import GUARDS

if not hasattr(eng, "words_plant"):
    pytest.skip("built without MP_TESTING", allow_module_level=True)


@pytest.fixture
def by_words():
    eng.guard_words(True)
    yield
    eng.words_plant(None)
    eng.guard_words(False)


@pytest.mark.usefixtures("by_words")
@pytest.mark.parametrize("row", GUARDS)
def test_guards_hold_and_fail_the_same_by_words(row):
    """Each check of these is made again and again, until it is a proof's."""
    if row == "LOAD_LOCAL" and sys.version_info >= (3, 13):
        pytest.skip("where 3.13 keeps what threads have for themselves is not known")
    if row in ("TENSOR", "APART", "ALONE", "LEAF"):
        pytest.importorskip("torch")
        if not hasattr(eng, "tensor_init"):
            pytest.skip("needs torch")
    if row == "LOAD_DICT":
        pytest.skip("it counts the dicts that checks have made")
    GUARDS[row]()


# -- One program for each kind of word: (program, arguments, change) --------------------


class Plain:
    def m(self):
        return 1


class Sub(Plain):
    pass


class Name:
    """Of a class of its own each time."""


def make_dict():
    d = {"a": object(), "b": 1}
    p = Program()
    p.load("LOAD_KEY", p.const(d), "a")
    return p, (), lambda: d.update(a=object())


def make_has_key():
    d = {"a": 1}
    p = Program()
    p.test("HAS_KEY", p.const(d), "a")
    return p, (), lambda: d.pop("a")


def make_no_key():
    d = {"a": 1}
    p = Program()
    p.test("NO_KEY", p.const(d), "b")
    return p, (), lambda: d.update(b=1)


def make_keys():
    d = {"a": 1, "b": 2}
    p = Program()
    p.test("KEYS", p.const(d), ("a", "b"))
    return p, (), lambda: d.update(a=d.pop("a"))


def make_type():
    o = Plain()
    p = Program()
    p.test("TYPE_IS", p.const(o), Plain)
    return p, (), lambda: setattr(o, "__class__", Sub)


def make_len():
    xs = [1, 2]
    p = Program()
    p.test("LEN", p.const(xs), n=2)
    return p, (), lambda: xs.append(3)


def make_nonempty():
    xs = {1}
    p = Program()
    p.test("NONEMPTY", p.const(xs))
    return p, (), xs.clear


def make_set_equals():
    xs = {"a", "b"}
    p = Program()
    p.test("SET_EQUALS", p.const(xs), tuple(xs), n=1)

    def change():
        xs.remove("a")
        xs.add("c")

    return p, (), change


def make_set_layout():
    xs = {1, 2, 9}
    p = Program()
    p.test("SET_LAYOUT", p.const(xs), eng.set_layout(xs))
    return p, (), lambda: xs.remove(9)


def make_item():
    xs = [object(), object()]
    p = Program()
    p.load("LOAD_ITEM", p.const(xs), n=1)
    return p, (), lambda: xs.__setitem__(1, object())


def make_own_dict():
    o = Plain()
    o.x = 1
    p = Program()
    r = p.const(o)
    p.test("TYPE_IS", r, Plain)
    p.load("LOAD_DICT", r)
    return p, (), lambda: setattr(o, "__dict__", {"x": 1})


def make_slot():
    o = Slotted()
    o.a = object()
    p = Program()
    r = p.const(o)
    p.test("TYPE_IS", r, Slotted)
    p.load("LOAD_SLOT", r, Slotted.a)
    return p, (), lambda: setattr(o, "a", object())


def make_slot_empty():
    o = Slotted()
    p = Program()
    r = p.const(o)
    p.test("TYPE_IS", r, Slotted)
    p.test("SLOT_EMPTY", r, Slotted.a)
    return p, (), lambda: setattr(o, "a", 1)


def make_cell():
    cell = types.CellType(object())
    p = Program()
    p.load("LOAD_CELL", p.const(cell))
    return p, (), lambda: setattr(cell, "cell_contents", object())


def make_cell_empty():
    cell = types.CellType()
    p = Program()
    p.test("CELL_EMPTY", p.const(cell))
    return p, (), lambda: setattr(cell, "cell_contents", 1)


def make_field():
    def f(x=1):
        return x

    p = Program()
    p.load("LOAD_FIELD", p.const(f), n=list(FIELDS).index("FUNC_DEFAULTS"))
    return p, (), lambda: setattr(f, "__defaults__", (2,))


def make_no_dict():
    o = Plain()
    p = Program()
    r = p.const(o)
    p.test("TYPE_IS", r, Plain)
    p.test("NO_DICT", r, "m")
    return p, (), lambda: setattr(o, "m", 1)


def make_type_attr(kind="TYPE_ATTR"):
    class Base:
        m = object()

    class Derived(Base):
        pass

    p = Program()
    if kind == "TYPE_SPECIALS":
        p.test(kind, -1, (Derived, ("m",), (Base.m,)))
    elif kind == "SUPER_ATTR":
        p.test(kind, -1, (Derived, Derived, "m", Base.m))
    else:
        p.test(kind, -1, (Derived, "m", Base.m))
    return p, (), lambda: setattr(Base, "m", object())


def make_function(called=False):
    def f(x=1):
        return x

    f()
    p = Program()
    p.test("FUNCTION", -1, (f, f.__code__, f.__defaults__, None, None))
    return p, (), lambda: setattr(f, "__code__", (lambda x=1: 2).__code__)


def make_function_with_version():
    def f(x=1):
        return x

    def calls():
        for _ in range(100):
            f()

    calls()  # specialised calls give it a version
    p = Program()
    p.test("FUNCTION", -1, (f, f.__code__, f.__defaults__, None, None))
    return p, (), lambda: setattr(f, "__defaults__", (2,))


def make_imported():
    p = Program()
    name = "a_module_of_test_words"
    p.test("IMPORTED", -1, (name, ABSENT))
    sys.modules.pop(name, None)
    return p, (), lambda: sys.modules.__setitem__(name, types.ModuleType(name))


CASES = {
    "LOAD_KEY": make_dict,
    "HAS_KEY": make_has_key,
    "NO_KEY": make_no_key,
    "KEYS": make_keys,
    "TYPE_IS": make_type,
    "LEN": make_len,
    "NONEMPTY": make_nonempty,
    "SET_EQUALS": make_set_equals,
    "SET_LAYOUT": make_set_layout,
    "LOAD_ITEM": make_item,
    "LOAD_DICT": make_own_dict,
    "LOAD_SLOT": make_slot,
    "SLOT_EMPTY": make_slot_empty,
    "LOAD_CELL": make_cell,
    "CELL_EMPTY": make_cell_empty,
    "LOAD_FIELD": make_field,
    "NO_DICT": make_no_dict,
    "TYPE_ATTR": make_type_attr,
    "TYPE_SPECIALS": functools.partial(make_type_attr, "TYPE_SPECIALS"),
    "SUPER_ATTR": functools.partial(make_type_attr, "SUPER_ATTR"),
    "FUNCTION": make_function,
    "FUNCTION with a version": make_function_with_version,
    "IMPORTED": make_imported,
}

#: Kinds that loads give another object for, and do not fail.
LOADS = {"LOAD_KEY", "LOAD_ITEM", "LOAD_DICT", "LOAD_SLOT", "LOAD_CELL", "LOAD_FIELD"}


@pytest.fixture(autouse=True)
def no_module():
    yield
    sys.modules.pop("a_module_of_test_words", None)


def found(program, args):
    regs = eng.guard_regs(program.p, args)
    return regs if regs is None else [id(r) for r in regs]


@pytest.mark.usefixtures("by_words")
@pytest.mark.parametrize("name", CASES)
def test_a_change_is_noticed(name):
    program, args, change = CASES[name]()
    before = found(program, args)
    words, _, steps, _ = eng.guard_proof(program.p)
    assert before is not None
    assert words > 0
    assert steps == 0
    for _ in range(1000):
        assert eng.guard_check(program.p, args)
    change()
    after = found(program, args)
    assert after != before
    assert (after is not None) == (name in LOADS)


@pytest.mark.usefixtures("by_words")
@pytest.mark.parametrize("name", CASES)
def test_each_word_is_needed(name):
    """Without it the proof holds for what a check refuses, or finds otherwise."""
    program, args, change = CASES[name]()
    eng.words_plant(name.split()[0])
    assert eng.guard_check(program.p, args)
    wrong = eng.words_wrong()
    change()
    assert eng.guard_check(program.p, args)
    assert eng.words_wrong() > wrong


@needs_torch
@pytest.mark.usefixtures("by_words")
@pytest.mark.parametrize("planted", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda t: setattr(t, "data", t.data.double()),
        lambda t: t.requires_grad_(not t.requires_grad),
        lambda t: setattr(t, "data", t.data.new_ones(2, 4)),
        lambda t: setattr(t, "data", t.data.t()),
        lambda t: setattr(t, "data", t.data.unsqueeze(0)),
        lambda t: setattr(t, "__class__", Special()),
    ],
    ids=["dtype", "grad", "size", "strides", "rank", "class"],
)
@pytest.mark.parametrize("grad", [False, True])
def test_each_word_of_a_tensor(change, planted, grad):
    import torch

    eng.tensor_init()
    holder = [torch.ones(2, 3).requires_grad_(grad)]
    if grad:
        holder[0] = torch.nn.Parameter(holder[0].detach())
    p = Program()
    p.test("TENSOR", p.load("LOAD_ITEM", p.const(holder), n=0), holder[0])
    eng.words_plant("TENSOR" if planted else None)
    assert p()
    _, tensors, steps, _ = eng.guard_proof(p.p)
    assert steps == 0
    assert tensors == (not planted)
    wrong = eng.words_wrong()
    try:
        change(holder[0])
    except RuntimeError:
        pytest.skip("torch does not allow it")
    if planted:
        assert p()
        assert eng.words_wrong() > wrong
    else:
        assert not p()


def Special():
    import torch

    return type("Special", (torch.nn.Parameter,), {})


@pytest.mark.usefixtures("by_words")
def test_an_object_at_the_address_of_another():
    """A scalar in a slot is known by value: another may come to stand there."""
    o = Slotted()
    o.a = float("1.5")
    p = Program("o")
    p.test("TYPE_IS", 0, Slotted)
    r = p.load("LOAD_SLOT", 0, Slotted.a)
    p.test("EQUALS", r, 1.5)
    assert p(o)
    for i in range(50):
        o.a = None
        o.a = float(f"{i}.5")  # where the old one was
        assert p(o) == (i == 1)


@pytest.mark.usefixtures("by_words")
def test_arguments_at_the_address_of_others():
    p = Program("o")
    p.test("TYPE_IS", 0, Plain)
    d = p.load("LOAD_DICT", 0)
    p.test("EQUALS", p.load("LOAD_KEY", d, "x"), 1)

    def make(x, cls=Plain):
        o = cls()
        o.x = x
        return o

    for _ in range(4):
        assert p(make(1))
    for i in range(50):
        assert p(make(i)) == (i == 1)
        assert not p(make(1, Sub))


@pytest.mark.usefixtures("by_words")
def test_a_dict_that_changes_all_the_time_is_looked_into():
    state = {"n": 0, "flag": 1}
    other = {"k": object()}
    p = Program()
    s, o = p.const(state), p.const(other)
    p.test("EQUALS", p.load("LOAD_KEY", s, "flag"), 1)
    p.load("LOAD_KEY", o, "k")
    for i in range(20):
        state["n"] = i
        assert p()
    *_, made = eng.guard_proof(p.p)
    for i in range(100):
        state["n"] = i
        assert p()
    words, _, steps, later = eng.guard_proof(p.p)
    assert later == made
    assert words == 1
    assert steps >= 1
    state["flag"] = 2
    assert not p()
    state["flag"] = 1
    assert p()
    other.clear()
    assert not p()


@pytest.mark.usefixtures("by_words")
def test_a_list_that_was_made_shorter():
    xs = [object() for _ in range(100)]
    p = Program()
    p.load("LOAD_ITEM", p.const(xs), n=90)
    assert p()
    del xs[5:]
    assert not p()


@pytest.mark.usefixtures("by_words")
def test_what_changes_under_another_name():
    """The chain is compared from its root: parents first."""
    inner = collections.OrderedDict(a={"b": {"c": object()}})
    outer = {"inner": inner}
    p = Program()
    r = p.load("LOAD_KEY", p.const(outer), "inner")
    for key in "abc":
        r = p.load("LOAD_KEY", r, key)
    assert p()
    c = p.value()
    outer["inner"] = dict(inner)
    assert p.value() is c
    outer["inner"] = {"a": {"b": {"c": 1}}}
    assert p.value() == 1
    del inner
    outer["inner"] = {"a": {"b": {}}}
    assert not p()
    outer.clear()
    assert not p()
