"""Verified calls: what runs once, which hits are verified, what reports do, breaks."""

from __future__ import annotations

import array
import ctypes
import gc
import sys
import threading
import weakref
from typing import Any

import pytest

pytest.importorskip("magpy._engine_testing")

from verify_program import Reports, counts, verified

from magpy import _engine
from magpy._engine import CompiledFunction

# -- The call --------------------------------------------------------------------------


def test_the_program_runs_once():
    log = []

    def fn(x):
        log.append(x)
        return [x]

    compiled, reports = verified(fn)
    results = [compiled(1) for _ in range(4)]
    assert log == [1, 1, 1, 1]
    assert results == [[1]] * 4
    assert len({id(result) for result in results}) == 4
    assert reports.found == []
    assert counts(compiled) == {
        "calls": 4, "hits": 3, "recordings": 1,
        "verified": 3, "diverged": 0, "fallbacks": 0,
    }  # fmt: skip


def test_only_every_third_hit_is_verified():
    compiled, _ = verified(lambda x: x, every=3)
    for _ in range(10):
        compiled(1)
    assert counts(compiled)["hits"] == 9
    assert counts(compiled)["verified"] == 3
    compiled.set_verify(0)
    for _ in range(10):
        compiled(1)
    assert counts(compiled)["verified"] == 3


def test_set_verify_checks_its_arguments():
    compiled, _ = verified(lambda x: x)
    with pytest.raises(ValueError, match="at least 0"):
        compiled.set_verify(-1)
    with pytest.raises(TypeError):
        compiled.set_verify("1")


def test_a_report_raises_after_the_call(plant):
    log = []

    def fn(x):
        log.append(x)
        return x + 1

    compiled, reports = verified(fn)
    plant("guard", "EQUALS")
    assert compiled(1) == 2
    reports.error = KeyError("diverged")
    with pytest.raises(KeyError, match="diverged"):
        compiled(2)
    assert log == [1, 2]
    assert compiled(3) == 4
    assert counts(compiled)["fallbacks"] == 1
    assert compiled.stats()["reasons"] == {"diverged": 1}


def test_the_programs_exception_wins(plant, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)

    def fn(x):
        return 10 // x

    compiled, reports = verified(fn)
    plant("guard", "EQUALS")
    assert compiled(1) == 10
    reports.error = KeyError("diverged")
    with pytest.raises(ZeroDivisionError):
        compiled(0)
    assert reports.parts == ["exception"]
    assert len(unraisable) == 1
    assert counts(compiled)["diverged"] == 1
    assert compiled(5) == 2


def test_a_second_recording_that_aborts_is_counted_and_proves_nothing(plant):
    def fn(x):
        if x:
            sys.getrefcount(x)
        return x

    compiled, reports = verified(fn, segments=False)
    plant("guard", "IS")
    assert compiled(False) is False
    assert compiled(True) is True
    assert reports.found == []
    stats = compiled.stats()
    assert (stats["calls"], stats["hits"], stats["fallbacks"]) == (2, 0, 1)
    assert stats["verified"] == 1
    assert sum(stats["reasons"].values()) == 1


def of_missing(error, other):
    other.y = 1
    return hasattr(error, "x"), getattr(error, "y", 0)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("names", [[], ["z"]])
def test_an_object_that_has_a_dict_by_now_is_no_difference(first, names):
    class Error(Exception):
        pass

    class Other:
        pass

    def make(has_dict):
        error = Error()
        if has_dict:
            error.__dict__.update(dict.fromkeys(names))
        return error, Other()

    compiled, reports = verified(of_missing)
    for has_dict in (first, not first, first, not first):
        for _ in range(2):
            assert compiled(*make(has_dict)) == (False, 0)
    assert reports.found == []
    assert counts(compiled)["verified"] >= 4
    assert counts(compiled)["diverged"] == 0


def test_such_a_dict_beside_one_whose_other_names_are_written():
    def fn(error, names):
        names["y"] = 1
        return hasattr(error, "x")

    compiled, reports = verified(fn)
    error = Exception()
    assert compiled(error, {}) is False
    error.z = 1  # type: ignore[attr-defined]
    assert compiled(error, {}) is False
    assert reports.found == []
    assert counts(compiled)["verified"] == 1


def test_a_name_that_such_a_dict_has_is_found(plant):
    compiled, reports = verified(lambda error: hasattr(error, "x"))
    error = Exception()
    plant("guard", "NO_DICT")
    assert compiled(error) is False
    plant("guard", None)
    error.y = 1  # type: ignore[attr-defined]
    assert compiled(error) is False
    assert reports.parts == ["guard"]


# -- Calls that break ------------------------------------------------------------------

op = ctypes.pythonapi.Py_IsInitialized  # a C function that has no row; it answers 1


def states(compiled: Any) -> list[str]:
    return [entry["state"] for entry in compiled.entries()]


def test_a_broken_call_is_verified_segment_by_segment():
    log = []

    def fn(x):
        log.append(("a", x))
        op()
        log.append(("b", x))
        op()
        return [x]

    compiled, reports = verified(fn)
    results = [compiled(1) for _ in range(5)]
    assert log == [("a", 1), ("b", 1)] * 5
    assert results == [[1]] * 5
    assert len({id(result) for result in results}) == 5
    assert reports.found == []
    assert counts(compiled) == {
        "calls": 5, "hits": 4, "recordings": 1,
        "verified": 4, "diverged": 0, "fallbacks": 0,
    }  # fmt: skip
    assert states(compiled) == ["ready"] * 3
    assert [entry["hits"] for entry in compiled.entries()] == [4] * 3


def test_frames_of_a_verified_call_are_not_left():
    def fn(x):
        frames.append(sys._getframe())
        op()
        frames.append(sys._getframe())
        return x

    frames: list[Any] = []
    compiled, reports = verified(fn)
    for _ in range(4):
        compiled(1)
        assert frames[0] is frames[1]
        frames.clear()
    assert reports.found == []


@pytest.mark.parametrize("every", [1, 3])
def test_a_loop_of_breaks(every):
    def fn(n):
        out, total = [], 0
        for i in range(n):
            total += op()
            out.append((i, total))
        return out

    compiled, reports = verified(fn, every)
    for n in (3, 40, 700, 5, 0, 40):
        for _ in range(3):
            assert compiled(n) == [(i, i + 1) for i in range(n)]
    assert reports.found == []
    stats = counts(compiled)
    assert stats["calls"] == stats["hits"] + stats["recordings"]
    assert stats["verified"] == stats["hits"] // every
    assert len(compiled.entries()) < 20


@pytest.mark.parametrize("every", [0, 1])
def test_numbers_that_a_gap_has_made(every):
    numbers = iter(range(1000, 2000))
    count = ctypes.PYFUNCTYPE(ctypes.c_int)(lambda: next(numbers))

    def fn(log):
        number = count()
        log.append("a")
        op()
        log.append("b")
        op()
        return [log, number]

    compiled, reports = verified(fn, every)
    for i in range(12):
        assert compiled([]) == [["a", "b"], 1000 + i]
    assert reports.found == []
    assert len(compiled.entries()) == 5  # it was pinned until it had changed
    assert counts(compiled)["verified"] == 11 * every


def test_a_hole_behind_a_break(plant):
    def fn(x):
        op()
        log.append(x)
        state["y"] = state["x"] + 1
        op()
        log.append(x)
        return state["x"]

    log: list[Any] = []
    state = {"x": 1, "y": 0}
    x: list[Any] = []
    compiled, reports = verified(fn)
    plant("guard", "EQUALS")
    assert compiled(x) == 1
    plant("guard", None)
    state["x"] = 5
    assert compiled(x) == 5
    assert state == {"x": 5, "y": 6}
    assert log == [x] * 4
    assert reports.parts == ["guard"]
    assert "['x']" in reports.found[0]["source"]
    assert sorted(states(compiled)) == ["diverged", "ready", "ready"]
    for value in (7, 8):  # the wrong entry still answers, in eager
        state["x"] = value
        assert compiled(x) == value
    assert counts(compiled)["diverged"] == 1
    assert len(compiled.entries()) == 3


def test_a_report_behind_a_break_raises_after_the_call(plant):
    def fn(x):
        op()
        log.append(x)
        op()
        log.append("end")

    log: list[Any] = []
    compiled, reports = verified(fn)
    plant("effect", "LIST_APPEND")
    compiled(1)
    plant("effect", None)
    reports.error = KeyError("diverged")
    log.clear()
    with pytest.raises(KeyError, match="diverged"):
        compiled(1)
    assert log == [1, "end"]
    assert reports.parts == ["effect"]


@pytest.mark.parametrize("kind", ["EQUALS", "IS"])
def test_a_break_at_another_place(plant, kind):
    one, other = (True, False) if kind == "IS" else (1, 2)

    def fn(x):
        if x == one:
            op()
            return "one"
        op()
        return "other"

    compiled, reports = verified(fn)
    plant("guard", kind)
    assert compiled(one) == "one"
    plant("guard", None)
    assert compiled(other) == "other"
    assert reports.parts == ["guard"]
    assert compiled(one) == "one"
    assert counts(compiled)["fallbacks"] == 1


def break_or_break(x):
    if x == 1:
        op()
        return "one"
    op()
    return "other"


def break_or_return(x):
    if x == 1:
        op()
        return "one"
    return "other"


@pytest.mark.parametrize("fn", [break_or_break, break_or_return])
def test_a_way_that_no_guard_explains(plant, fn):
    compiled, reports = verified(fn)
    plant("guard", "EQUALS")  # in both recordings, like a read that nobody noticed
    assert compiled(1) == "one"
    assert compiled(2) == "other"
    assert reports.parts == ["break"]
    assert reports.found[0]["found"].startswith(f"a break at {__file__}:")
    returns = reports.found[0]["expected"] == "the call returns"
    assert returns == (fn is break_or_return)
    assert compiled(1) == "one"
    assert counts(compiled)["fallbacks"] == 1


def test_exceptions_of_a_gap_are_the_programs_own():
    def fn(kind):
        log.append(kind)
        made = array.array(kind, [1])
        log.append(made.typecode)
        return kind

    log: list[Any] = []
    compiled, reports = verified(fn)
    for _ in range(3):
        assert compiled("i") == "i"
    for _ in range(3):
        with pytest.raises(ValueError, match="bad typecode"):
            compiled("?")
    assert compiled("i") == "i"
    assert log == ["i"] * 6 + ["?"] * 3 + ["i"] * 2
    assert reports.found == []
    stats = counts(compiled)
    assert stats["calls"] == stats["hits"] + stats["recordings"]


def test_exceptions_behind_the_last_segment():
    def fn(x):
        op()
        log.append(x)
        op()
        return 10 // x

    log: list[Any] = []
    compiled, reports = verified(fn)
    for x in (1, 2, 0, 1, 0, 5):
        if x:
            assert compiled(x) == 10 // x
            continue
        with pytest.raises(ZeroDivisionError):
            compiled(x)
    assert log == [1, 2, 0, 1, 0, 5]
    assert reports.found == []


def test_an_exception_in_a_segment_behind_a_break(plant):
    def fn(x):
        op()
        log.append(x)
        if not state["x"]:
            raise ValueError(x)
        return x

    log: list[Any] = []
    state = {"x": True}
    compiled, reports = verified(fn)
    plant("guard", "IS")
    compiled(1)
    plant("guard", None)
    state["x"] = False
    with pytest.raises(ValueError, match="1"):
        compiled(1)
    assert reports.parts == ["exception"]
    assert log == [1, 1]


def test_an_interrupt_of_the_verifier_comes_after_the_call():
    class Interrupted(Reports):
        def report(self, info):
            raise KeyboardInterrupt

    def fn(x):
        op()
        log.append(x)
        return x

    log: list[Any] = []
    compiled = CompiledFunction(fn)
    compiled.set_verify(1, Interrupted())
    _engine._plant("effect", "LIST_APPEND")
    try:
        compiled(1)
    finally:
        _engine._plant("effect", None)
    with pytest.raises(KeyboardInterrupt):
        compiled(1)
    assert log == [1, 1]


def test_reset_in_a_gap():
    def fn(x):
        log.append(x)
        reset()
        log.append(x)
        op()
        return x

    compiled: Any = None
    reset = ctypes.PYFUNCTYPE(ctypes.py_object)(lambda: compiled.reset())
    log: list[Any] = []
    compiled, reports = verified(fn)
    for _ in range(5):
        assert compiled(1) == 1
    assert log == [1] * 10
    assert reports.found == []


def test_objects_die_as_in_eager_behind_breaks():
    class C:
        pass

    def fn():
        c = C()
        op()
        box.append(weakref.ref(c))
        c = None
        op()
        return box[-1]() is None

    box: list[Any] = []
    compiled, reports = verified(fn)
    for _ in range(5):
        assert compiled() is True
    assert reports.found == []


# -- Surroundings ----------------------------------------------------------------------


def test_reset_and_recursion_inside_a_verified_call():
    calls = []

    def hook(x):
        calls.append(x)
        compiled.reset()
        return compiled(x - 1) if x else 0

    def fn(x):
        return hook(x)

    compiled, reports = verified(fn)
    for _ in range(4):
        assert compiled(2) == 0
    assert calls == [2, 1, 0] * 4
    assert reports.found == []


def test_two_names_of_one_object_are_no_divergence():
    compiled, reports = verified(lambda a, b: [a, b])
    x = [1]
    compiled([1], [1])
    for _ in range(2):
        result = compiled(x, x)
        assert result[0] is result[1] is x
    assert reports.found == []
    assert counts(compiled)["recordings"] == 1


def test_two_names_of_one_object_are_one_in_what_they_hold():
    class C:
        pass

    one, two = C(), C()
    one.x, two.y = [1], [2]
    one.child, two.child = C(), C()
    one.child.x, two.child.y = 3, 4
    both = C()
    both.x, both.y, both.child = [5], [6], C()
    both.child.x, both.child.y = 3, 4

    def fn(a, b):
        return a.x, b.y, a.child.x, b.child.y

    compiled, reports = verified(fn)
    assert compiled(one, two) == ([1], [2], 3, 4)
    for _ in range(2):
        assert compiled(both, both) == ([5], [6], 3, 4)
    assert reports.found == []
    assert counts(compiled)["recordings"] == 1


def test_an_empty_tuple_where_another_one_was():
    compiled, reports = verified(lambda x: [x])
    assert [compiled(x) for x in ((1,), (2, 3), (), ())] == [
        [(1,)],
        [(2, 3)],
        [()],
        [()],
    ]
    assert reports.found == []
    assert counts(compiled)["recordings"] == 1


def test_members_of_sets_may_come_in_another_order():
    class C:
        pass

    compiled, reports = verified(lambda: {C() for _ in range(5)})
    for _ in range(10):
        assert len(compiled()) == 5
    assert reports.found == []
    assert counts(compiled)["verified"] == 9


def test_objects_die_as_in_eager():
    class C:
        pass

    class Box:
        pass

    box = Box()

    def fn():
        box.value = C()
        return len(alive)

    compiled, reports = verified(fn)
    alive: list[int] = []
    for _ in range(4):
        compiled()
        gc.collect()
        assert sum(type(o) is C for o in gc.get_objects()) == 1
    assert reports.found == []


def test_threads_verify_at_once():
    state = threading.local()

    def fn(x):
        return {"x": x, "list": [x, x]}

    compiled, reports = verified(fn)
    wrong = []

    def work(number):
        state.number = number
        for _ in range(200):
            if compiled(number) != {"x": number, "list": [number, number]}:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert reports.found == []
    assert counts(compiled)["diverged"] == 0
    assert counts(compiled)["verified"] > 0


def test_a_verifier_is_seen_by_the_collector():
    compiled, reports = verified(lambda x: x)
    reports.owner = compiled  # type: ignore[attr-defined]
    gone = weakref.ref(reports)
    del compiled, reports
    gc.collect()
    assert gone() is None
