"""Verify mode: silent on right entries, finds holes that are planted in wrong ones.

For every kind of guard and effect there is a program in which that kind is necessary.
The engine leaves the kind out of one recording; the next call, recorded as it should be,
must find that.  A guard program has a change of state, too: with the kind left out, the
entry answers for the changed state, and the wrong answer itself must be found.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import pytest

pytest.importorskip("magpy._engine_testing")

from verify_program import SPACE, Reports

from magpy import _engine
from magpy._engine import CompiledFunction
from oracle import cases

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

=== LOAD_LOCAL
import threading
o = threading.local()
o.x = 1
def f(o): return o.x
>>> o
!!! o = threading.local(); o.x = 2

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

=== HOLDS
x = 5
def f(x): return "big" if x > 2 else "small"
>>> x
!!! x = 1

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

=== UNLOCKED
import logging
log = logging.Logger("planted")
def f(x): return log.isEnabledFor(10)
>>> log._cache.clear()

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

=== SET_LAYOUT
def made(size):
    new = set(range(size)) | {1, 2}
    new -= set(range(size)) - {1, 2}
    return new
size = 0
def f(x):
    x.add(8)
    return list(x)
>>> made(size)
!!! size = 40

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

=== ALONE
import torch
x = torch.ones(2)
y = torch.ones(2)
def f(x, y):
    x.requires_grad_()
    grads = y.requires_grad
    x.requires_grad_(False)
    return grads
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

=== TOKEN
from contextvars import ContextVar
V = ContextVar("V")
def f(t):
    V.reset(t)
    return V.get(5)
>>> V.set(1)
!!! V.set(7)

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

=== SUBCLASSES
class A: pass
class B(A): pass
def f(): return len(A.__subclasses__())
!!! class C(A): pass

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

=== CONTEXT_SET
from contextvars import ContextVar
V = ContextVar("V", default=0)
def f(): V.set(1)

=== TOKEN
from contextvars import ContextVar
V = ContextVar("V", default=0)
def f():
    t = V.set(1)
    V.reset(t)
    return t

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

=== MEMO_SET
import logging
class Manager:
    disable = 0
def made():
    logger = logging.Logger("l", 20)
    logger.manager = Manager
    return logger
def f(x): x.isEnabledFor(10)
>>> made()

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
def f(x): x.update(n for n in (1, 2))
>>> set()

=== SET_CHANGE
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

=== CONTEXT_RESET
from contextvars import ContextVar
V = ContextVar("V", default=0)
def f(x): V.reset(x)
>>> V.set(1)

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
        always = 3 if self.case.name == "HOLDS" else 0  # numbers of arguments vary
        compiled = CompiledFunction(self.fn, numbers=always)
        compiled.set_verify(1, self.reports)
        return compiled

    def call(self) -> None:
        args = eval(f"[{self.case.calls[0]}]", self.space)
        with contextlib.redirect_stderr(io.StringIO()):  # pytest's has a __del__
            self.compiled(*args)

    def change(self) -> None:
        for statement, _ in self.case.changes:
            exec(statement, self.space)


GUARD_CASES = {case.name: case for case in cases(GUARDS)}
EFFECT_CASES = {case.name: case for case in cases(EFFECTS)}


places = pytest.mark.parametrize("where", WHERE)

#: Not made by a recording: the first check appends it.
MADE_LATER = {"COMPUTED"}

#: Of texts that a graph reads from tensors, and of autograd: test_late_texts.py and
#: test_hooks.py in tests/torch_programs.
OF_TENSORS = {"WRITE_TEXT", "WARN_TEXT", "GRAD_FN", "HOOK"}


def test_every_kind_has_a_program():
    kinds = {row["id"] for row in _engine.guard_kinds()}
    assert set(GUARD_CASES) == kinds - MADE_LATER
    effects = {row["id"] for row in _engine.effect_kinds()}
    assert set(EFFECT_CASES) == effects - OF_TENSORS


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
