"""Fields and keys that guard programs load and test: every row of guard/fields.def."""

from __future__ import annotations

import collections
import enum
import functools
import sys

import pytest
from guard_program import (
    FIELDS,
    eng,
    loading,
    rows,
    with_test,
)


@pytest.mark.parametrize("row", rows("guard/fields.def"))
def test_field(row):
    p = loading("LOAD_FIELD", n=rows("guard/fields.def").index(row))
    for owner, want in FIELDS[row]:
        got = p.value(owner)
        assert got == want
        assert type(got) is type(want)
    if row != "TYPE":
        assert not p(1)
        assert not p([])
    if row in ("TYPE_NAME", "TYPE_QUALNAME"):
        assert not p(int)  # no object to load


def test_field_of_subclasses():
    class Partial(functools.partial):
        pass

    class Prop(property):
        pass

    at = rows("guard/fields.def").index
    assert loading("LOAD_FIELD", n=at("PARTIAL_FUNC")).value(Partial(len)) is len
    assert loading("LOAD_FIELD", n=at("PROP_GET")).value(Prop(len)) is len


# -- Constant types --------------------------------------------------------------------


def test_registered_types():
    class Size(tuple):
        pass

    eng.guard_register(Size)
    p = with_test("EQUALS", Size((1, 2)))
    assert p(Size((1, 2)))
    assert not p((1, 2))
    assert not p(Size((1, 2.0)))
    with pytest.raises(TypeError):
        with_test("EQUALS", Size(([],)))(1)


def test_numpy_scalars():
    np = pytest.importorskip("numpy")
    eng.guard_register(np.generic)
    for a, b, equal in [
        (np.float32(1), np.float32(1), True),
        (np.float32(1), np.float64(1), False),
        (np.float64(0.0), np.float64(-0.0), False),
        (np.float64("nan"), np.float64("nan"), True),
        (np.int64(5), np.int64(5), True),
        (np.int64(5), 5, False),
        (np.datetime64(0, "D"), np.datetime64(0, "Y"), False),
        (np.datetime64(0, "D"), np.datetime64(0, "D"), True),
        (np.str_("ab"), np.str_("ab"), True),
        (np.str_("ab"), np.str_("ac"), False),
        (np.bytes_(b"ab"), np.bytes_(b"ab"), True),
        (np.complex128(1j), np.complex128(1j), True),
    ]:
        assert with_test("EQUALS", a)(b) is equal, (a, b)
    assert with_test("HAS_KEY", np.int64(5))({np.int64(5): 1, 7: 1})


# -- Keys ------------------------------------------------------------------------------


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "key",
    [
        "s",
        7,
        10**20,
        1.5,
        True,
        None,
        b"b",
        (1, "a", (None,)),
        int,
        len,
        test_field,
        sys,
    ]
    + [Color.RED, Number.ONE, ..., 2j, range(3)],
    ids=str,
)
def test_keys_are_found(key):
    for other in ({}, {"x": 1}, {3: 1, "x": 2, (9,): 3, Color.BLUE: 4}):
        p, q = with_test("HAS_KEY", key), with_test("NO_KEY", key)
        r = loading("LOAD_KEY", key)
        assert q(other)
        assert not p(other)
        assert not r(other)
        v = object()
        full = other | {key: v}
        assert p(full)
        assert not q(full)
        assert r.value(full) is v
        assert p(set(full))
        assert not q(set(full))
        assert q(set(other))
        assert not p(set(other))


def test_keys_that_are_equal_across_types():
    v = object()
    for key, stored in [
        (1, True),
        (1.0, 1),
        (True, 1.0),
        (1, Number.ONE),
        ((1,), (1.0,)),
    ]:
        assert loading("LOAD_KEY", key).value({"a": 0, stored: v}) is v
        assert not with_test("NO_KEY", key)({stored})

    class Text(str):
        pass

    assert loading("LOAD_KEY", "a").value({Text("a"): v}) is v
    assert with_test("NO_KEY", b"a")({"a": 1, 1: 2})


def test_user_keys_are_never_asked():
    ran = []

    class Key:
        def __init__(self, value):
            self.value = value

        def __hash__(self):
            ran.append("hash")
            return hash(self.value)

        def __eq__(self, other):
            ran.append("eq")
            return True

    for key in ("a", 5, (1, 2), Color.RED):
        collides = {Key(key): 1}
        ran.clear()
        for kind in ("HAS_KEY", "NO_KEY"):
            assert not with_test(kind, key)(collides)
            assert not with_test(kind, key)(set(collides))
        assert not loading("LOAD_KEY", key)(collides)
        assert not ran or ran == ["hash"] * len(ran)  # set(dict) may not even hash
    far = {Key(2**40): 1, "a": 5}
    ran.clear()
    assert loading("LOAD_KEY", "a").value(far) == 5
    assert with_test("NO_KEY", "b")(far)
    assert with_test("HAS_KEY", "a")(far)
    assert not ran
    # Such a key is found where it is itself, unless another one has its hash.
    key = Key(1)
    itself, both = {key: 3, "a": 5}, {1: 1, key: 3}
    ran.clear()
    assert loading("LOAD_KEY", key).value(itself) == 3
    assert with_test("HAS_KEY", key)(itself)
    assert not loading("LOAD_KEY", key)(both)
    for kind in ("HAS_KEY", "NO_KEY"):
        for odd in (Key(1), (1, Key(1))):
            assert not with_test(kind, odd)({})
            assert not with_test(kind, odd)(itself)
    assert not ran


# -- OrderedDict -----------------------------------------------------------------------


def test_ordered_dict_order():
    od = collections.OrderedDict(a=1, b=2, c=3)
    p = with_test("KEYS", ("a", "b", "c"))
    assert p(od)
    assert p(od)
    od.move_to_end("a")  # changes neither the dict's order nor its version
    assert list(dict.keys(od)) == ["a", "b", "c"]
    assert not p(od)
    q = with_test("KEYS", ("b", "c", "a"))
    assert q(od)
    assert q(od)
    od.move_to_end("a", last=False)
    assert p(od)
    assert not q(od)
    od.clear()
    assert with_test("KEYS", ())(od)
    assert not p(od)
    od["x"] = 1
    assert with_test("KEYS", ("x",))(od)
    dict.__setitem__(od, "raw", 1)  # not in the order: matches neither reading
    assert not with_test("KEYS", ("x", "raw"))(od)
    assert not with_test("KEYS", ("x",))(od)

    class Sub(collections.OrderedDict):
        def __iter__(self):
            raise AssertionError

    assert with_test("KEYS", ("k",))(Sub(k=1))
