"""Verify mode: silent on right entries, finds holes that are planted in wrong ones.

For every kind of guard and effect there is a program in which that kind is necessary.
The engine leaves the kind out of one recording; the next call, recorded as it should be,
must find that.  A guard program has a change of state, too: with the kind left out, the
entry answers for the changed state, and the wrong answer itself must be found.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib.util
import io
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("magpy._engine_testing")

from magpy import _engine
from magpy._engine import CompiledFunction
from oracle import cases

HAS_TORCH = importlib.util.find_spec("torch") is not None
SPACE: dict[str, Any] = {"__name__": "program"}


class Reports:
    """Notes divergences; asks for no exception unless it is told to."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.error: BaseException | None = None

    def report(self, info: dict[str, Any]) -> BaseException | None:
        self.found.append(info)
        return self.error

    @property
    def parts(self) -> list[str]:
        return [info["part"] for info in self.found]


def verified(fn: Any, every: int = 1, **options: Any) -> tuple[Any, Reports]:
    """Compile with the bare engine and verify."""
    reports = Reports()
    compiled = CompiledFunction(fn, **options)
    compiled.set_verify(every, reports)
    return compiled, reports


def counts(compiled: Any) -> dict[str, int]:
    names = ("calls", "hits", "recordings", "verified", "diverged", "fallbacks")
    return {name: compiled.stats()[name] for name in names}


# -- Planted holes ---------------------------------------------------------------------

GUARDS = """
=== LOAD_CONST
S = 1
def f(): return S
!!! S = 2

=== LOAD_ARG
A = [1]
def f(x): return x
>>> A
!!! A = [2]

=== LOAD_ITEM
L = [[1]]
def f(x): return x[0]
>>> L
!!! L[0] = [2]

=== LOAD_KEY
D = {"a": [1]}
def f(x): return x["a"]
>>> D
!!! D["a"] = [2]

=== LOAD_DICT
class C: pass
o = C()
o.x = 1
def f(o): return o.x
>>> o
!!! o = C(); o.x = 2

=== LOAD_SLOT
class C:
    __slots__ = "x"
o = C()
o.x = [1]
def f(o): return o.x
>>> o
!!! o.x = [2]

=== LOAD_CELL
def outer():
    value = [1]
    def f(): return value
    def change():
        nonlocal value
        value = [2]
    return f, change
f, change = outer()
!!! change()

=== LOAD_FIELD
class C:
    def __init__(self, x): self.x = x
    def m(self): return self.x
m = C(1).m
def f(m): return m.__self__
>>> m
!!! m = C(2).m

=== LOAD_DEQUE
from collections import deque
d = deque([[1], [2]])
def f(d): return d[0]
>>> d
!!! d[0] = [3]

=== LOAD_NEXT
d = [[1], [2]]
def f(it):
    for x in it: return x
>>> iter(d)
!!! d[0] = [3]

=== LOAD_CONTEXT
from contextvars import ContextVar
V = ContextVar("V", default=[1])
def f(): return V.get()
!!! V.set([2])

=== TYPE_IS
class A: pass
class B: pass
o = A()
def f(o): return isinstance(o, A)
>>> o
!!! o = B()

=== IS
x = None
def f(x): return 1 if x is None else 2
>>> x
!!! x = True

=== EQUALS
x = 1
def f(x): return x + 1
>>> x
!!! x = 2

=== SAME
p = q = [1]
def f(a, b): return a is b
>>> p, q
!!! q = [1]

=== NOT_SAME
p = [1]
q = [1]
def f(a, b): return a is b
>>> p, q
!!! q = p

=== LEN
L = [1, 2]
def f(x): return len(x)
>>> L
!!! L.append(3)

=== ROOM
import functools
@functools.lru_cache(2)
def c(n): return n
def f(x): return c(1)
>>> c.cache_clear()

=== NONEMPTY
L = [1, 2]
def f(x): return "some" if x else "none"
>>> L
!!! L.clear()

=== ITEMS_LEFT
d = []
def f(it):
    for x in it: pass
>>> iter(d)
!!! d.append(1)

=== MAXLEN
from collections import deque
d = deque([1], 2)
def f(d): return d.maxlen
>>> d
!!! d = deque([1], 3)

=== KEYS
D = {"a": [1]}
def f(x): return list(x)
>>> D
!!! D["b"] = [2]

=== HAS_KEY
D = {"a": 1}
def f(x): return "a" in x
>>> D
!!! del D["a"]

=== NO_KEY
D = {}
def f(x): return "a" in x
>>> D
!!! D["a"] = 1

=== SET_EQUALS
D = {1, 2}
def f(x): return sorted(x)
>>> D
!!! D.add(3)

=== TENSOR
import torch
x = torch.ones(2)
def f(x): return x.shape[0]
>>> x
!!! x = torch.ones(3)

=== APART
import torch
x = torch.ones(2)
y = torch.ones(2)
def f(x, y): return x.add_(1), y + 1
>>> x, y

=== SLOT_EMPTY
class C:
    __slots__ = "x"
o = C()
def f(o): return hasattr(o, "x")
>>> o
!!! o.x = 1

=== CELL_EMPTY
def outer():
    def f():
        try:
            return value
        except NameError:
            return "unset"
    def change():
        nonlocal value
        value = 1
    if False:
        value = None
    return f, change
f, change = outer()
!!! change()

=== NO_DICT
import torch
x = torch.ones(2)
def f(x): return x.dim()
>>> x

=== TYPE_ATTR
class C:
    x = 1
o = C()
def f(o): return o.x
>>> o
!!! C.x = 2

=== TYPE_SPECIALS
class C:
    def __len__(self): return 1
xs = [C()]
def f(): return list(map(len, xs))
!!! C.__len__ = lambda self: 2

=== SUPER_ATTR
class A:
    x = 1
class B(A):
    def m(self): return super().x
o = B()
def f(o): return o.m()
>>> o
!!! A.x = 2

=== FUNCTION
def g(): return 1
def f(): return g()
!!! g.__code__ = (lambda: 2).__code__

=== IMPORTED
import sys
import types
one = sys.modules["verify_imported"] = types.ModuleType("verify_imported")
one.x = 1
two = types.ModuleType("verify_imported")
two.x = 2
def f():
    import verify_imported
    return verify_imported.x
!!! sys.modules["verify_imported"] = two

=== CONTEXT_UNSET
from contextvars import ContextVar
V = ContextVar("V")
def f(): return V.get(1)
!!! V.set(2)

=== HANDLING
import sys
def f(): return sys.exc_info()[0]

=== ABC_TOKEN
import abc
class A(abc.ABC): pass
class C: pass
def f(x): return isinstance(x, A)
>>> C()
!!! A.register(C)

=== BYTES
b = bytearray(b"ab")
def f(x): return x[0]
>>> b
!!! b[0] = 99

=== ARRAY
import numpy as np
a = np.zeros(2)
def f(x): return float(x[0])
>>> a
!!! a[0] = 9

=== FILE
import io
def f(x): print("a", file=x)
>>> io.StringIO()

=== LEAF
import torch
x = torch.ones(2, requires_grad=True)
def f(x): return x.is_leaf
>>> x
!!! x = torch.ones(2, requires_grad=True) * 1
"""

EFFECTS = """
=== CONST
def f(): return 1

=== TUPLE
def f(x): return x, x
>>> [1]

=== STRUCT
from collections import namedtuple
P = namedtuple("P", "a b")
def f(x): return P(x, x)
>>> [1]

=== LIST
def f(x): return [x]
>>> [1]

=== DICT
def f(x): return {"x": x}
>>> [1]

=== SET
class C: pass
def f(x): return {x}
>>> C()

=== FROZENSET
class C: pass
def f(x): return frozenset([x])
>>> C()

=== SLICE
def f(x): return slice(x, None)
>>> [1]

=== CELL
def f(x): return lambda: x
>>> [1]

=== METHOD
class C:
    def m(self): pass
def f(o): return o.m
>>> C()

=== WEAKREF
import weakref
class C: pass
o = C()
def f(o): return weakref.ref(o)
>>> o

=== BOUND
def f(x): return x.append
>>> []

=== PARTIAL
from functools import partial
def f(x): return partial(print, x)
>>> [1]

=== EXCEPTION
def f(x): return ValueError(x)
>>> [1]

=== SCALAR
class N(int): pass
def f(x): return N(x)
>>> 1

=== BYTEARRAY
def f(x): return bytearray(x)
>>> b"a"

=== ARRAY
import numpy as np
def f(x): return np.zeros(x)
>>> 2

=== ARRAY_VIEW
import numpy as np
def f(x): return np.zeros(x)[1:]
>>> 2

=== PROXY
from types import MappingProxyType
def f(x): return MappingProxyType(x)
>>> {}

=== ITERATOR
def f(x): return iter(x)
>>> [1]

=== ITER_CALL
def f(x): return enumerate(x)
>>> [1]

=== FUNCTION
def f(): return lambda: 1

=== INSTANCE
class C: pass
def f(): return C()

=== DICT_LIKE
from collections import OrderedDict
def f(x): return OrderedDict(a=x)
>>> [1]

=== LIST_LIKE
from collections import deque
def f(x): return deque([x])
>>> [1]

=== FILL_LIST
def f():
    x = []
    x.append(x)
    return x

=== FILL_DICT
def f():
    x = {}
    x["x"] = x
    return x

=== FILL_ATTRS
class C: pass
def f():
    o = C()
    o.x = 1
    return o

=== FILL_SLOT
class C:
    __slots__ = "x"
def f():
    o = C()
    o.x = 1
    return o

=== FILL_CELL
def f():
    def g(): return g
    return g

=== DICT_SET
def f(x): x["a"] = 1
>>> {}

=== DICT_DEL
def f(x): del x["a"]
>>> {"a": 1}

=== ATTRS_SET
class C: pass
def f(x): x.a = 1
>>> C()

=== ATTRS_DEL
class C:
    def __init__(self): self.a = 1
def f(x): del x.a
>>> C()

=== SLOT_SET
class C:
    __slots__ = "a"
def f(x): x.a = 1
>>> C()

=== SLOT_DEL
class C:
    __slots__ = "a"
    def __init__(self): self.a = 1
def f(x): del x.a
>>> C()

=== CELL_SET
def outer():
    value = 1
    def f():
        nonlocal value
        value = 2
    return f
f = outer()

=== CELL_DEL
def outer():
    value = 1
    def f():
        nonlocal value
        value = 1
        del value
    return f
f = outer()

=== TYPE_SET
class C: pass
def f(): C.x = 1

=== TYPE_DEL
class C: pass
def make():
    C.x = 1
    return 0
def f(x): del C.x
>>> make()

=== LIST_APPEND
def f(x): x.append(1)
>>> []

=== LIST_ASSIGN
def f(x): x.sort()
>>> [2, 1]

=== SET_ASSIGN
def f(x): x.add(1)
>>> set()

=== DICT_ASSIGN
def f(x): x.clear()
>>> {"a": 1}

=== DEQUE_ASSIGN
from collections import deque
def f(x): x.append(1)
>>> deque()

=== DEQUE_ITEMS
from collections import deque
def f(x): x[0] = 2
>>> deque([1])

=== BYTES_ASSIGN
def f(x): x.append(1)
>>> bytearray()

=== ADVANCE
def f(it):
    for x in it: return
>>> iter([[1], [2]])

=== CACHED_HIT
import functools
c = functools.lru_cache(abs)
c(1)
def f(x): return c(x)
>>> 1

=== CACHED_MISS
import functools
@functools.lru_cache
def c(n): return [n]
def f(x): return c(1)
>>> c.cache_clear()

=== CACHED_FILL
import functools
@functools.lru_cache(None)
def c(n): return [n]
def f(x): return c(1)
>>> c.cache_clear()

=== WRITE
import io
def f(x): print("a", file=x)
>>> io.StringIO()

=== FLUSH
import io
def f(x): x.flush()
>>> io.TextIOWrapper(io.BytesIO())

=== WARN
import warnings
def f(x): warnings.warn(x)
>>> "text"

=== FILTERS
import warnings
def f(x):
    with warnings.catch_warnings(): return x
>>> 1

=== RETURN
def f(x): return x
>>> [1]
"""


# Where the case stands in the compiled function: `op` is a C function without a row, so
# that the call breaks before it and goes on behind it.
WHERE = {
    "whole": "",
    "before a break": """
import ctypes
op = ctypes.pythonapi.Py_IsInitialized
def broken(*args):
    result = f(*args)
    op()
    return result
""",
    "behind a break": """
import ctypes
op = ctypes.pythonapi.Py_IsInitialized
def broken(*args):
    op()
    return f(*args)
""",
}


class Program:
    """A case in a namespace of its own, compiled and verified."""

    def __init__(self, case: Any, where: str = "whole") -> None:
        if "import torch" in case.source:
            pytest.importorskip("torch")
            from magpy import _setup

            _setup.status()
        self.case = case
        self.space = dict(SPACE)
        exec(case.source + WHERE[where], self.space)
        self.fn = self.space["broken" if WHERE[where] else "f"]
        self.reports = Reports()
        self.compiled = self.make()

    def make(self) -> Any:
        if "import torch" in self.case.source:
            import magpy
            from magpy.verify import Verifier

            compiled = magpy.compile(self.fn, backend="eager")
            verifier = Verifier("f", exact=True, raises=False)
            verifier.report = self.reports.report  # type: ignore[method-assign]
            compiled.set_verify(1, verifier)
            return compiled
        compiled = CompiledFunction(self.fn)
        compiled.set_verify(1, self.reports)
        return compiled

    def call(self) -> None:
        args = eval(f"[{self.case.calls[0]}]", self.space)
        with contextlib.redirect_stderr(io.StringIO()):  # pytest's has a __del__
            self.compiled(*args)

    def change(self) -> None:
        for statement, _ in self.case.changes:
            exec(statement, self.space)


@pytest.fixture
def plant() -> Iterator[Any]:
    if not hasattr(_engine, "_plant"):
        pytest.skip("the engine was built without MP_TESTING")

    def none() -> None:
        _engine._plant("guard", None)
        _engine._plant("effect", None)

    yield _engine._plant
    none()


GUARD_CASES = {case.name: case for case in cases(GUARDS)}
EFFECT_CASES = {case.name: case for case in cases(EFFECTS)}


places = pytest.mark.parametrize("where", WHERE)


def test_every_kind_has_a_program():
    assert set(GUARD_CASES) == {row["id"] for row in _engine.guard_kinds()}
    assert set(EFFECT_CASES) == {row["id"] for row in _engine.effect_kinds()}


@pytest.mark.usefixtures("own_warnings")
@places
@pytest.mark.parametrize(
    "case", [*GUARD_CASES.values(), *EFFECT_CASES.values()], ids=str
)
def test_nothing_is_found_where_nothing_is_planted(case, where):
    program = Program(case, where)
    program.call()
    program.call()
    program.change()
    program.call()
    program.call()
    assert program.reports.found == []
    assert program.compiled.stats()["verified"] >= 2


@places
@pytest.mark.parametrize("case", GUARD_CASES.values(), ids=str)
def test_a_missing_guard_is_found(case, where, plant):
    if case.name == "SAME":
        pytest.skip("two names of one object: only a wrong answer tells")
    program = Program(case, where)
    plant("guard", case.name)
    program.call()
    plant("guard", None)
    assert program.reports.found == []
    program.call()
    assert program.reports.parts == ["guard"]
    states = [entry["state"] for entry in program.compiled.entries()]
    assert states.count("diverged") == 1


@places
@pytest.mark.parametrize(
    "case", [case for case in GUARD_CASES.values() if case.changes], ids=str
)
def test_a_wrong_answer_is_found(case, where, plant):
    program = Program(case, where)
    plant("guard", case.name)
    program.call()
    program.change()
    program.call()
    assert program.compiled.stats()["recordings"] == 1, "the guard was not necessary"
    assert len(program.reports.found) == 1


@pytest.mark.usefixtures("own_warnings")
@places
@pytest.mark.parametrize("case", EFFECT_CASES.values(), ids=str)
def test_a_missing_effect_is_found(case, where, plant):
    program = Program(case, where)
    plant("effect", case.name)
    program.call()
    plant("effect", None)
    program.call()
    assert program.reports.parts == ["effect"]


def test_plant_knows_its_kinds(plant):
    with pytest.raises(ValueError, match="no kind NOTHING"):
        plant("guard", "NOTHING")
    with pytest.raises(ValueError, match="no family"):
        plant("nothing", "EQUALS")


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
    assert len(compiled.entries()) == 9  # it was pinned until it had changed often
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
