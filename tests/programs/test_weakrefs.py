"""Weak references whose object the run lets go of: others may hold it, or not.

Each program is called in every world of HOLDERS in turn, so that a recording of one is
asked to answer in the others."""

from __future__ import annotations

import weakref
from typing import Any

import pytest

from oracle import engine_compile

HEAD = """
import operator, os, weakref
class Obj:
    def __init__(self, v): self.v = v
    def meth(self): return self.v
kept = Obj(9)
table, keys, members = (
    weakref.WeakValueDictionary(), weakref.WeakKeyDictionary(), weakref.WeakSet()
)
def anew():
    global ob, bound, items, hold, ref
    ref = hold = None
    ob, bound, items, hold, ref = Obj(0), Obj(5).meth, [Obj(6)], Obj(7), weakref.ref(kept)
def f():
    global ob, bound, items, hold
"""

HOLDERS = (
    "pass",
    "ref = weakref.ref(ob)",
    "ref = weakref.ref(bound.__self__)",
    "ref = weakref.ref(items[0])",
    "ref = weakref.ref(hold)",
    "hold = [ob]; ref = weakref.ref(ob)",
    "hold = ob.meth; ref = weakref.ref(ob); ob = 1",
    "items = [ob]; ref = weakref.ref(ob); ob = 0",
    "bound = hold; ref = weakref.ref(hold)",
)

PROGRAMS = {
    "name": "ob = Obj(1); return ref().v",
    "method": "bound = ob.meth; ob = Obj(1); return ref().v",
    "item": "items[0] = Obj(1); return ref().v",
    "pop": "items.pop(); return ref().v",
    "clear": "items.clear(); return ref() is None",
    "asked_twice": "x = ref().v; hold = None; return x, ref() is None",
    "held_by_a_name": "x = ob; hold = None; return ref() is x, ref() is None",
    "held_by_an_item": "x = items[0]; hold = None; return ref() is x, ref() is None",
    "item_replaced": "x = items[0].v; items[0] = 0; return x, ref() is None",
    "list_replaced": "x = items[0].v; items = 0; return x, ref() is None",
    "new_reference": "r = weakref.ref(ob); ob = Obj(1); return r() is None",
    "unbound_call": "hold = None; return weakref.ref.__call__(ref) is None",
    "called_by_c": "hold = None; return operator.call(ref) is None",
    "compared": "r = weakref.ref(kept); hold = None; return ref == r",
    "weak_method": "m = weakref.WeakMethod(ob.meth); ob = 0; return m() is None",
    "weak_values": "table['a'] = hold or kept; hold = None; return len(table)",
    "weak_keys": "keys[hold or kept] = 1; hold = None; return len(keys)",
    "weak_set": "members.add(hold or kept); hold = None; return len(members)",
    "local_behind_a_break": (
        "p = hold; hold = None; os.urandom(1); p = None; return ref() is None"
    ),
    "local_deleted": "p = hold; hold = None; os.urandom(1); del p; return ref() is None",
    "iterator_behind_a_break": (
        "p = iter([hold]); hold = None; os.urandom(1)\n"
        "    for q in p: q = 0\n"
        "    return ref() is None"
    ),
}


def answer(fn: Any) -> Any:
    try:
        return fn()
    except (AttributeError, TypeError, IndexError) as error:
        return str(error)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_the_run_lets_go_of(program: str) -> None:
    eager: dict[str, Any] = {}
    fast: dict[str, Any] = {}
    for space in (eager, fast):
        exec(HEAD + "    " + PROGRAMS[program], space)
    compiled = engine_compile(fast["f"])
    for _ in range(4):
        for holder in HOLDERS:
            for space in (eager, fast):
                space["anew"]()
                exec(holder, space)
            expected = answer(eager["f"])
            assert answer(compiled) == expected, holder


def test_a_weak_reference_is_read_before_anything_is_let_go_of() -> None:
    space: dict[str, Any] = {}
    exec(HEAD + "    hold = ref().v; return hold", space)
    space["anew"]()
    compiled = engine_compile(space["f"])
    assert [compiled() for _ in range(4)] == [9] * 4
    assert compiled.stats()["hits"] >= 2


def test_what_is_held_anyway_is_asked() -> None:
    """By a name that was read, and that the run does not write to."""
    space: dict[str, Any] = {}
    exec(HEAD + "    x = ob.v; hold = x; return x, ref().v", space)
    space["anew"]()
    space["ref"] = weakref.ref(space["ob"])
    compiled = engine_compile(space["f"])
    assert [compiled() for _ in range(4)] == [(0, 0)] * 4
    assert compiled.stats()["breaks"] == {}
    assert compiled.stats()["hits"] >= 2
