"""The compiled function: arguments, entries, back-off, limits, events, life and death.

Plain Python programs only; the engine must not need torch for any of this.
"""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import itertools
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

engine = pytest.importorskip("magpy._engine")
if not engine.available()[0]:
    pytest.skip(f"engine off: {engine.available()[1]}", allow_module_level=True)

CompiledFunction = engine.CompiledFunction


class Events(list[tuple[str, dict[str, Any]]]):
    def __call__(self, kind: str, info: dict[str, Any]) -> None:
        self.append((kind, info))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [info for name, info in self if name == kind]


def check_sums(compiled: Any) -> dict[str, Any]:
    """Every call is accounted for, every fallback has a reason and a place."""
    stats = compiled.stats()
    assert sum(stats["reasons"].values()) == stats["fallbacks"]
    assert sum(place["count"] for place in stats["places"]) == stats["fallbacks"]
    assert stats["hits"] + stats["fallbacks"] <= stats["calls"]
    return stats


# -- arguments -------------------------------------------------------------------------


def everything(a, b=2, *args, c=3, **kw):
    return [a, b, args, c, kw]


def two(a, b):
    return [a, b]


def strict(a, /, b=5, *, k, d=7):
    return [a, b, k, d]


def open_ended(*args, **a):
    return [args, a]


def same_name(x, /, **rest):
    return [x, rest]


def many(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t=9):  # noqa: E741
    return (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t)


FITTING = [
    (everything, (1,), {}),
    (everything, (1, 5), {}),
    (everything, (1, 5, 6, 7), {}),
    (everything, (1,), {"c": 9}),
    (everything, (1,), {"z": 9, "y": 8}),
    (everything, (), {"a": 1, "b": 3, "q": 3}),
    (everything, (1, 2, 3), {"c": 5, "w": 1.5}),
    (two, (1, 2), {}),
    (two, (1,), {"b": 2}),
    (two, (), {"b": 2, "a": 1}),
    (strict, (1,), {"k": 2}),
    (strict, (1, 3), {"k": 2, "d": 0}),
    (strict, (1,), {"k": 2, "b": 3}),
    (open_ended, (), {}),
    (open_ended, (1, 2), {"a": 3, "args": 4}),
    (same_name, (1,), {"x": 3, "rest": 4}),
    (many, tuple(range(19)), {}),
    (many, tuple(range(20)), {}),
    (many, tuple(range(10)), dict.fromkeys("klmnopqrs", 1)),
]

NOT_FITTING = [
    (two, (1,), {}),
    (two, (1, 2, 3), {}),
    (two, (1, 2), {"b": 3}),
    (two, (1, 2), {"c": 3}),
    (strict, (1,), {}),
    (strict, (), {"a": 1, "k": 2}),
    (strict, (1, 2, 3), {"k": 1}),
    (everything, (), {}),
    (everything, (1,), {"a": 2}),
]


def check_recorded(compiled: Any, call: Callable[[Any], Any], want: Any) -> None:
    """One recording, then hits, all with the same answer."""
    for _ in range(4):
        got = call(compiled)
        assert got == want
        assert type(got) is type(want)
    stats = check_sums(compiled)
    assert (stats["calls"], stats["recordings"], stats["hits"]) == (4, 1, 3), stats


@pytest.mark.parametrize(("fn", "args", "kwargs"), FITTING)
def test_arguments_are_bound_as_cpython_binds_them(fn, args, kwargs):
    want = fn(*args, **kwargs)
    compiled = CompiledFunction(fn)
    check_recorded(compiled, lambda f: f(*args, **kwargs), want)
    other = tuple(arg + 1000 for arg in args)
    assert compiled(*other, **kwargs) == fn(*other, **kwargs)
    other_kwargs = {key: value + 1000 for key, value in kwargs.items()}
    assert compiled(*args, **other_kwargs) == fn(*args, **other_kwargs)


@pytest.mark.parametrize(("fn", "args", "kwargs"), FITTING)
def test_arguments_behind_a_partial_and_a_method(fn, args, kwargs):
    want = fn(*args, **kwargs)
    partial = functools.partial(fn, *args[:1], **kwargs)
    check_recorded(CompiledFunction(partial), lambda f: f(*args[1:]), want)
    if args:
        method = types.MethodType(fn, args[0])
        check_recorded(CompiledFunction(method), lambda f: f(*args[1:], **kwargs), want)


@pytest.mark.parametrize(("fn", "args", "kwargs"), NOT_FITTING)
def test_arguments_that_do_not_fit_raise_the_original_error(fn, args, kwargs):
    with pytest.raises(TypeError) as want:
        fn(*args, **kwargs)
    compiled = CompiledFunction(fn)
    for _ in range(5):
        with pytest.raises(TypeError) as got:
            compiled(*args, **kwargs)
        assert str(got.value) == str(want.value)
    assert check_sums(compiled)["reasons"] == {"arguments": 5}


def test_rest_arguments_are_new_objects_at_every_hit():
    def fn(*args, **kw):
        kw["seen"] = len(args)
        return kw

    compiled = CompiledFunction(fn)
    answers = [compiled(1, 2, a=3) for _ in range(4)]
    assert answers == [{"a": 3, "seen": 2}] * 4
    assert len(set(map(id, answers))) == 4


def test_keywords_over_a_partial_win():
    compiled = CompiledFunction(functools.partial(everything, b=4, z=1))
    for _ in range(2):
        assert compiled(1) == [1, 4, (), 3, {"z": 1}]
        assert compiled(1, z=2, b=5, q=1) == [1, 5, (), 3, {"z": 2, "q": 1}]
    assert check_sums(compiled)["hits"] == 2


def test_partial_whose_state_is_replaced():
    partial = functools.partial(two, 1)
    compiled = CompiledFunction(partial)
    assert compiled(2) == compiled(2) == [1, 2]
    partial.__setstate__((two, (7,), {}, {}))
    assert compiled(2) == [7, 2]
    partial.__setstate__((everything, (7,), {}, {}))
    assert compiled(2) == [7, 2, (), 3, {}]


def test_defaults_and_code_are_those_of_the_call():
    def fn(a, b=1, *, c=2):
        return [a, b, c]

    def other(a, b=1, *, c=2):
        return (c, b, a)

    compiled = CompiledFunction(fn)
    assert compiled(0) == compiled(0) == [0, 1, 2]
    fn.__defaults__ = (5,)
    assert compiled(0) == compiled(0) == [0, 5, 2]
    fn.__kwdefaults__ = {"c": 6}
    assert compiled(0) == compiled(0) == [0, 5, 6]
    fn.__kwdefaults__["c"] = 7
    assert compiled(0) == compiled(0) == [0, 5, 7]
    fn.__code__ = other.__code__
    assert compiled(0) == compiled(0) == (7, 5, 0)
    fn.__kwdefaults__ = None
    with pytest.raises(TypeError, match="'c'"):
        compiled(0)


# -- what can be compiled --------------------------------------------------------------


class Adder:
    def __init__(self, n):
        self.n = n

    def __call__(self, x):
        return [self.n, x]


@pytest.mark.parametrize(
    "fn", [len, int, 3, functools.partial(len), "".join], ids=lambda o: type(o).__name__
)
def test_callables_without_a_python_function_are_refused(fn):
    with pytest.raises(TypeError, match="magpy.compile takes a Python function"):
        CompiledFunction(fn)


@pytest.mark.parametrize("wrong", [{"max_entries": 0}, {"max_instructions": 0}])
def test_limits_must_be_positive(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        CompiledFunction(two, **wrong)


def test_instance_with_a_python_call(monkeypatch):
    compiled = CompiledFunction(Adder(3))
    check_recorded(compiled, lambda f: f(1), [3, 1])
    monkeypatch.setattr(Adder, "__call__", lambda self, x: "other")
    assert compiled(1) == "other"


def test_compiled_twice_wraps_the_original():
    inner = CompiledFunction(two)
    outer = CompiledFunction(inner)
    check_recorded(outer, lambda f: f(1, 2), [1, 2])
    assert inner.stats()["calls"] == 0


def test_binds_like_what_it_wraps():
    class Thing:
        @CompiledFunction
        def method(self, x):
            "Documented."
            return [self.n, x]

        n = 5
        static = staticmethod(CompiledFunction(two))

    thing = Thing()
    Thing.bound = CompiledFunction(Adder(1).__call__)
    assert thing.method(1) == Thing.method(thing, 1) == thing.method(1) == [5, 1]
    assert Thing.__dict__["method"].stats()["recordings"] == 1
    assert thing.static(1, 2) == [1, 2]
    assert thing.bound(2) == thing.bound(2) == [1, 2]
    assert thing.method.__self__ is thing
    assert str(inspect.signature(thing.method)) == "(x)"


# -- attributes ------------------------------------------------------------------------


@CompiledFunction
def at_module_level(x: int) -> int:
    """Documented."""
    return x


def test_looks_like_the_wrapped_function():
    compiled, fn = at_module_level, at_module_level.__wrapped__
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__code__"):
        assert getattr(compiled, name) == getattr(fn, name)
    assert inspect.signature(compiled) == inspect.signature(fn)
    assert "at_module_level" in repr(compiled)
    assert "CompiledFunction" in repr(CompiledFunction)
    with pytest.raises(AttributeError, match="missing"):
        _ = compiled.missing
    assert pickle.loads(pickle.dumps(compiled)) is compiled
    assert copy.copy(compiled) is copy.deepcopy(compiled) is compiled
    assert weakref.ref(compiled)() is compiled
    assert len({compiled, compiled}) == 1


def test_attributes_are_those_of_the_wrapped_function():
    def two(a, b):
        return [a, b]

    compiled = CompiledFunction(two)
    compiled.color = "red"
    compiled.__name__ = "renamed"
    assert (two.color, two.__name__) == ("red", "renamed")
    assert compiled.__name__ == "renamed"
    assert vars(compiled) is vars(two)
    del compiled.color
    assert not hasattr(two, "color")
    functools.update_wrapper(compiled, everything)
    assert two.__name__ == compiled.__name__ == "everything"
    assert (compiled.__wrapped__, two.__wrapped__) == (two, everything)
    assert compiled(1, 2) == [1, 2]


# -- off -------------------------------------------------------------------------------


def test_switched_off_calls_the_original():
    compiled = CompiledFunction(two)
    compiled.disabled = True
    assert compiled(1, 2) == compiled(1, 2) == [1, 2]
    compiled.disabled = False
    engine._set_enabled(False)
    try:
        assert compiled(1, 2) == compiled(1, 2) == [1, 2]
    finally:
        engine._set_enabled(True)
    assert compiled.stats()["calls"] == 0
    assert compiled(1, 2) == compiled(1, 2) == [1, 2]
    assert compiled.stats()["hits"] == 1


def test_called_while_another_records_is_part_of_that_recording():
    inner = CompiledFunction(two)

    def fn(a):
        return inner(a, 1)

    outer = CompiledFunction(fn)
    check_recorded(outer, lambda f: f(3), [3, 1])
    assert inner.stats()["calls"] == 0


def test_recursion():
    def fn(n):
        return 1 if n == 0 else n * compiled(n - 1)

    compiled = CompiledFunction(fn)
    assert [compiled(5) for _ in range(3)] == [120] * 3
    stats = check_sums(compiled)
    assert (stats["calls"], stats["recordings"], stats["hits"]) == (3, 1, 2)


# -- recordings that fail --------------------------------------------------------------


def noisy(x):
    sys.getswitchinterval()
    return x


def test_failing_recordings_back_off_and_name_the_place():
    events = Events()
    compiled = CompiledFunction(noisy, on_event=events, segments=False)
    for _ in range(100):
        assert compiled(1) == 1
    stats = check_sums(compiled)
    assert stats["hits"] == 0
    assert stats["fallbacks"] == 100
    assert 3 <= stats["recordings"] <= 6  # 3, skip 16, 1, skip 32, 1, ...
    assert len(stats["reasons"]) == 1
    (place,) = stats["places"]
    assert place["file"] == __file__
    first = noisy.__code__.co_firstlineno
    assert place["line"] == first + 1
    aborts = events.of("abort")
    assert len(aborts) == stats["recordings"]
    known = {row["slug"]: row for row in engine.reasons()}
    for info in aborts:
        assert info["reason"] in stats["reasons"]
        assert info["hint"] == known[info["reason"]]["hint"]


def test_breaks_name_the_place():
    events = Events()
    compiled = CompiledFunction(noisy, on_event=events)
    for _ in range(100):
        assert compiled(1) == 1
    stats = check_sums(compiled)
    assert (stats["hits"], stats["recordings"], stats["fallbacks"]) == (99, 1, 0)
    assert (stats["graph_breaks"], stats["breaks"]) == (1, {"side-effect": 1})
    (place,) = stats["places"]
    assert (place["file"], place["breaks"]) == (__file__, 1)
    assert place["line"] == noisy.__code__.co_firstlineno + 1
    assert not events.of("abort")
    (info,) = events.of("break")
    assert (info["reason"], info["line"]) == ("side-effect", place["line"])
    known = {row["slug"]: row for row in engine.reasons()}
    assert info["hint"] == known["side-effect"]["hint"]


def test_places_do_not_grow_without_bound():
    def fn(depth):
        if depth:
            return fn(depth - 1)
        raise ValueError(depth)

    compiled = CompiledFunction(fn)
    for depth in range(300):
        with pytest.raises(ValueError):
            compiled(depth)
    assert len(check_sums(compiled)["places"]) < 200


def test_exceptions_are_the_programs_own():
    def fn(x):
        raise KeyError(x)

    events = Events()
    compiled = CompiledFunction(fn, on_event=events)
    for _ in range(6):
        with pytest.raises(KeyError) as caught:
            compiled(7)
        assert caught.value.args == (7,)
        assert caught.value.__context__ is None
    stats = check_sums(compiled)
    assert stats["fallbacks"] == 6
    assert stats["recordings"] == 3


def test_fullgraph_raises_what_on_abort_makes():
    class Unsupported(Exception):
        pass

    def on_abort(info):
        return Unsupported(info["reason"], info["line"])

    compiled = CompiledFunction(noisy, fullgraph=True, on_abort=on_abort)
    for _ in range(6):  # never backs off
        with pytest.raises(Unsupported):
            compiled(1)
    assert compiled.stats()["recordings"] == 6

    def raising(x):
        raise KeyError(x)

    compiled = CompiledFunction(raising, fullgraph=True, on_abort=on_abort)
    with pytest.raises(KeyError):
        compiled(1)
    compiled = CompiledFunction(two, fullgraph=True, on_abort=on_abort)
    assert compiled(1, 2) == compiled(1, 2) == [1, 2]
    with pytest.raises(TypeError, match="on_abort"):
        CompiledFunction(two, fullgraph=True)


@pytest.mark.parametrize(
    ("answer", "error"),
    [(lambda info: 3, TypeError), (lambda info: 1 / 0, ArithmeticError)],
)
def test_fullgraph_with_a_broken_on_abort(answer, error):
    compiled = CompiledFunction(noisy, fullgraph=True, on_abort=answer)
    with pytest.raises(error):
        compiled(1)


def test_a_judge_that_raises_leaks_nothing():
    class Judge:
        def save(self):
            raise ZeroDivisionError

    def program(x):
        return x

    compiled = CompiledFunction(
        program, fullgraph=True, on_abort=RuntimeError, judge=Judge()
    )
    counts = []
    for _ in range(4):
        with pytest.raises(ZeroDivisionError):
            compiled(1)
        counts.append((sys.getrefcount(program), sys.getrefcount(program.__code__)))
    assert len(set(counts)) == 1


# -- misses and limits -----------------------------------------------------------------


def test_a_changing_argument_backs_off():
    events = Events()
    compiled = CompiledFunction(two, on_event=events, numbers=0)
    for i in range(1000):
        assert compiled(i, 2) == [i, 2]
    stats = check_sums(compiled)
    assert stats["recordings"] < 20
    assert stats["reasons"] == {"backoff: a": 1000 - stats["recordings"]}
    records = events.of("record")
    assert len(records) == stats["recordings"]
    assert {entry["id"] for entry in compiled.entries()} == {
        info["entry"] for info in records
    }
    miss = events.of("miss")[0]
    assert miss["source"] == "a"
    assert "a" in miss["guard"]
    assert miss["difference"] == "1"  # what was found, the guard says what was expected


def test_a_first_hit_ends_the_back_off():
    compiled = CompiledFunction(two, numbers=0)
    for i in range(100):
        compiled(i, 2)
    before = compiled.stats()["recordings"]
    compiled(0, 2)
    for i in range(1000, 1004):
        compiled(i, 2)
    assert compiled.stats()["recordings"] == before + 4


def test_limit_keeps_entries_in_use_and_replaces_old_ones():
    compiled = CompiledFunction(two, max_entries=2, numbers=0)
    for a in (1, 1, 2, 2, 3, 3):
        assert compiled(a, 1) == [a, 1]
    stats = check_sums(compiled)
    assert stats["recordings"] == 2
    assert stats["reasons"] == {"entry-limit": 2}
    for _ in range(20):
        compiled(2, 1)
    assert compiled(3, 1) == [3, 1]  # the entry of 1 is old by now
    assert compiled.stats()["recordings"] == 3
    assert len(compiled.entries()) == 2
    hits = compiled.stats()["hits"]
    compiled(3, 1)
    compiled(2, 1)
    assert compiled.stats()["hits"] == hits + 2


def test_many_entries():
    compiled = CompiledFunction(two, numbers=0)
    for _ in range(12):
        for a in range(30):
            assert compiled(a, 1) == [a, 1]
    stats = check_sums(compiled)
    assert stats["recordings"] == 30
    assert len(compiled.entries()) == 30


@pytest.mark.parametrize("segments", [False, True])
def test_too_long_runs_are_not_recorded(segments):
    def fn(n):
        total = 0
        for i in range(n):
            total += i
        return total

    compiled = CompiledFunction(fn, max_instructions=200, segments=segments)
    assert compiled(1000) == compiled(1000) == sum(range(1000))
    assert check_sums(compiled)["reasons"] == {"recording-limit": 2}
    assert compiled(2) == compiled(2) == 1
    assert compiled.stats()["hits"] == 1
    assert compiled.stats()["graph_breaks"] == 0


# -- entries and events ----------------------------------------------------------------


def test_entries_describe_what_was_recorded():
    compiled = CompiledFunction(two)
    compiled(1, "x")
    compiled(1, "x")
    (entry,) = compiled.entries()
    assert entry["state"] == "ready"
    assert entry["hits"] == 1
    assert entry["instructions"] > 0
    assert entry["graph"] is None
    assert entry["callable"] is None
    assert entry["inputs"] == []
    assert any("a == 1" in line for line in entry["guards"])
    assert entry["effects"]
    assert all(isinstance(line, str) for line in entry["effects"] + entry["ambient"])
    compiled.reset()
    assert compiled.entries() == []
    assert compiled.stats()["calls"] == 0
    assert compiled(1, "x") == [1, "x"]


def test_errors_of_the_listener_do_not_reach_the_program(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda info: seen.append(info.exc_value))

    def listener(kind, info):
        raise ValueError(kind)

    compiled = CompiledFunction(two, on_event=listener)
    assert compiled(1, 2) == compiled(1, 2) == [1, 2]
    assert compiled(2, 2) == [2, 2]
    assert [str(error) for error in seen] == ["record", "miss", "dynamic", "record"]


def test_interrupt_in_the_listener_reaches_the_program():
    def listener(kind, info):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CompiledFunction(two, on_event=listener)(1, 2)


def test_reset_while_an_event_is_told():
    def listener(kind, info):
        compiled.reset()

    compiled = CompiledFunction(two, on_event=listener)
    for i in range(40):
        assert compiled(i % 3, 2) == [i % 3, 2]
    compiled = CompiledFunction(noisy, on_event=listener)
    for _ in range(40):
        assert compiled(1) == 1


def test_listener_may_call_what_is_compiled():
    answers = []
    numbers = iter(range(5))

    def listener(kind, info):
        number = next(numbers, None)
        if number is not None:
            answers.append(compiled(number, 2))

    compiled = CompiledFunction(two, on_event=listener)
    assert compiled(7, 2) == [7, 2]
    assert sorted(answers) == [[i, 2] for i in range(5)]


# -- threads, life and death -----------------------------------------------------------


def test_threads_share_a_compiled_function():
    compiled = CompiledFunction(two, max_entries=4)
    wrong = []

    def work(seed):
        for i in range(400):
            a = (i * seed) % 6
            if compiled(a, seed % 2) != [a, seed % 2]:
                wrong.append((a, seed))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 5)]
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(old)
    assert wrong == []
    assert check_sums(compiled)["calls"] == 1600


class Payload:
    pass


def used_once():
    """Weak references to a compiled function that has an entry, and to its closure."""
    payload = Payload()

    def fn(x):
        return [payload, x]

    compiled = CompiledFunction(fn, on_event=lambda *info: payload)
    assert compiled(1) == compiled(1) == [payload, 1]
    return fn, compiled, payload


def test_dies_with_its_last_reference():
    fn, compiled, payload = used_once()
    dead = [weakref.ref(payload), weakref.ref(compiled), weakref.ref(fn)]
    fn = compiled = payload = None
    assert [ref() for ref in dead] == [None, None, None]


def test_cycles_through_it_are_collected():
    fn, compiled, payload = used_once()
    fn.compiled = compiled.itself = payload.compiled = compiled
    compiled(payload)
    compiled(payload)
    dead = [weakref.ref(payload), weakref.ref(compiled), weakref.ref(fn)]
    fn = compiled = payload = None
    gc.collect()
    assert [ref() for ref in dead] == [None, None, None]


def churn():
    compiled = CompiledFunction(two, max_entries=2, on_event=Events())
    for i in range(12):
        assert compiled(i % 4, "b") == [i % 4, "b"]
    with pytest.raises(TypeError):
        compiled(1)
    compiled.entries()
    compiled.stats()
    partial = CompiledFunction(functools.partial(everything, b=4, z=1))
    assert partial(1, q=2) == partial(1, q=2)
    compiled = CompiledFunction(noisy)
    for _ in range(6):
        compiled(1)


def test_no_blocks_are_lost():
    """Free lists of the interpreter grow now and then; a leak would grow every time."""

    def blocks():
        gc.collect()
        gc.collect()  # what the first one's finalizers let go of
        return sys.getallocatedblocks()

    seen = []
    for _ in range(6):
        for _ in range(100):
            churn()
        seen.append(blocks())
    growth = [after - before for before, after in itertools.pairwise(seen)]
    assert min(growth) < 50, growth


# -- the module ------------------------------------------------------------------------


def test_tables():
    reasons = engine.reasons()
    assert {"slug", "what", "hint", "kind"} == set(reasons[0])
    assert len({row["slug"] for row in reasons}) == len(reasons)
    kinds = {"user", "unsupported", "fundamental", "limit", "bug"}
    assert {row["kind"] for row in reasons} <= kinds
    assert all(row["hint"] for row in reasons)
    assert {"TYPE_IS", "LOAD_ARG"} <= {row["id"] for row in engine.guard_kinds()}
    assert {"RETURN"} <= {row["id"] for row in engine.effect_kinds()}
    assert {"PARTIAL_FUNC"} <= {row["id"] for row in engine.field_kinds()}
    assert engine.available() == (True, None)
    assert engine.tensor_path() in ("shim", "getters", "off")


def test_kinds_of_entries_that_hit():
    compiled = CompiledFunction(lambda x: [x])
    assert engine.entry_kinds(compiled) == ({}, {})
    compiled(1)
    assert engine.entry_kinds(compiled) == ({}, {})
    compiled(1)
    guards, effects = engine.entry_kinds(compiled)
    assert guards["LOAD_ARG"] == guards["EQUALS"] == 1
    assert effects == {"CONST": 1, "LIST": 1, "RETURN": 1}
    with pytest.raises(TypeError, match="CompiledFunction"):
        engine.entry_kinds(len)


def test_setup_takes_keywords_only():
    with pytest.raises(TypeError, match="keyword"):
        engine.setup_torch({})


def test_value():
    value = engine.Value(3)
    assert (value.index, repr(value)) == (3, "%3")
    assert value == engine.Value(3) != engine.Value(4)
    assert value != 3
    assert hash(value) == hash(engine.Value(3))
    assert pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(AttributeError):
        value.index = 4
    with pytest.raises(ValueError):
        engine.Value(-1)
