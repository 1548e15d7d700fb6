"""Guard programs as the tests write them.

A program is written as rows; `p.arg()`, `p.load()` and `p.test()` hand out registers.
"""

from __future__ import annotations

import contextvars
import functools
import gc
import importlib.util
import re
import sys
import types
import weakref
from pathlib import Path

import pytest

eng = pytest.importorskip("magpy._engine_testing")
if not hasattr(eng, "guard_new"):
    pytest.skip("built without the guard tests", allow_module_level=True)

ENGINE = Path(__file__).parents[2] / "engine"
ABSENT = eng.guard_absent()
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or not hasattr(eng, "tensor_init"),
    reason="needs torch",
)


class Program:
    def __init__(self, *names):
        self.rows = []
        self.regs = 0
        self.numbers = {}
        self.built = None
        for i, name in enumerate(names):
            self.load("LOAD_ARG", -1, name, n=i)

    def load(self, kind, a=-1, *obj, n=0):
        self.rows.append((kind, a, -1, n, *obj))
        self.built = None
        self.regs += 1
        return self.regs - 1

    def const(self, obj):
        return self.load("LOAD_CONST", -1, obj)

    def test(self, kind, a=-1, *obj, b=-1, n=0):
        self.rows.append((kind, a, b, n, *obj))
        self.built = None
        return self

    def number(self, what, a=-1, b=-1, n=0):
        """Its index; what: a row of number/numbers.def, or a constant."""
        key = (what, type(what), a, b, n)
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers)
            self.rows.append(("NUMBER", a, b, n, what))
            self.built = None
        return self.numbers[key]

    def holds(self, what, a=-1, b=-1):
        return self.test("HOLDS", n=self.number(what, a, b))

    def values(self, args, *numbers):
        return eng.guard_numbers(self.p, args, numbers)

    @property
    def p(self):
        if self.built is None:
            self.built = eng.guard_new(self.rows)
        return self.built

    def __call__(self, *args):
        return eng.guard_check(self.p, args)

    def value(self, *args):
        regs = eng.guard_regs(self.p, args)
        return regs if regs is None else regs[-1]

    def miss(self, *args):
        return eng.guard_miss(self.p, args)

    @property
    def failed(self):
        return eng.guard_failed(self.p)

    @property
    def unchanged(self):
        return eng.guard_unchanged(self.p)

    @property
    def text(self):
        return eng.guard_text(self.p)

    def source(self, reg):
        return eng.guard_source(self.p, reg)


def loading(kind, *obj, n=0):
    p = Program("x")
    p.load(kind, 0, *obj, n=n)
    return p


def with_test(kind, *obj, n=0):
    return Program("x").test(kind, 0, *obj, n=n)


def hostile(*bases):
    """A class any of whose special methods fails the test when it runs."""

    def boom(*args, **kwargs):
        ran.append(1)
        raise AssertionError("user code ran in a check")

    ran = []
    names = (
        "__eq__ __ne__ __hash__ __len__ __bool__ __iter__ __getitem__ __contains__ "
        "__getattribute__ __getattr__ __repr__ __str__ __index__ __missing__ keys "
        "__instancecheck__ __subclasscheck__"
    ).split()
    return type("Hostile", bases, dict.fromkeys(names, boom)), ran


def rows(name):
    """Ids of a .def file in order."""
    text = (ENGINE / name).read_text()
    return re.findall(r"^(?:GUARD|FIELD)\((\w+),", text, re.M)


class Slotted:
    __slots__ = ("a", "b")


def attr_classes():
    class A:
        x = object()

    class B(A):
        pass

    class C(A):
        x = object()

    class D(B, C):
        pass

    return A, B, C, D


# -- Fields --------------------------------------------------------------------------


class Meth:
    def m(self):
        "doc"

    @staticmethod
    def s():
        pass

    @classmethod
    def c(cls):
        pass

    def number(self, what, a=-1, b=-1, n=0):
        """Its index; what: a row of number/numbers.def, or a constant."""
        key = (what, type(what), a, b, n)
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers)
            self.rows.append(("NUMBER", a, b, n, what))
            self.built = None
        return self.numbers[key]

    def holds(self, what, a=-1, b=-1):
        return self.test("HOLDS", n=self.number(what, a, b))

    def values(self, args, *numbers):
        return eng.guard_numbers(self.p, args, numbers)

    @property
    def p(self):
        pass

    @p.setter
    def p(self, value):
        pass


def closed(a=1, *, b=2):
    "doc"
    return Meth


def with_closure():
    cell = 1
    return lambda: cell


meth = Meth()


def annotated(a: int) -> str: ...


def cache_and_table(size):
    cache = functools.lru_cache(size)(abs)
    cache(-2)
    return cache, next(o for o in gc.get_referents(cache) if type(o) is dict)


cache, table = cache_and_table(None)
link = cache_and_table(4)[1][-2]


def twice_set():
    var = contextvars.ContextVar("var")
    var.set(1)
    return var.set(2)


FIELDS = {
    "METHOD_FUNC": [(meth.m, Meth.m)],
    "METHOD_SELF": [(meth.m, meth), ([].append, []), (len, len.__self__)],
    "FUNC_CLOSURE": [(f := with_closure(), f.__closure__), (closed, None)],
    "FUNC_DEFAULTS": [(closed, closed.__defaults__), (f, None)],
    "FUNC_KWDEFAULTS": [(closed, closed.__kwdefaults__), (f, None)],
    "FUNC_CODE": [(closed, closed.__code__)],
    "FUNC_GLOBALS": [(closed, globals())],
    "FUNC_DICT": [(closed, closed.__dict__)],
    "STATIC_FUNC": [
        (Meth.__dict__["s"], Meth.s),
        (Meth.__dict__["c"], Meth.__dict__["c"].__func__),
    ],
    "PROP_GET": [(Meth.p, Meth.p.fget)],
    "PROP_SET": [(Meth.p, Meth.p.fset), (property(len), None)],
    "PROP_DEL": [(property(None, None, len), len), (property(len), None)],
    "TYPE": [(meth, Meth), (1, int)],
    "PARTIAL_FUNC": [(functools.partial(len, 1), len)],
    "PARTIAL_ARGS": [(functools.partial(len, 1), (1,))],
    "PARTIAL_KW": [(functools.partial(len, x=1), {"x": 1})],
    "SLICE_START": [(slice(1, 2, 3), 1), (slice(2), None)],
    "SLICE_STOP": [(slice(1, 2, 3), 2)],
    "SLICE_STEP": [(slice(1, 2, 3), 3)],
    "FUNC_NAME": [(closed, "closed")],
    "FUNC_QUALNAME": [(Meth.m, "Meth.m")],
    "FUNC_DOC": [(Meth.m, "doc"), (with_closure, None)],
    "FUNC_ANNOTATE": [(closed, getattr(closed, "__annotate__", None))],
    "FUNC_ANNOTATIONS": [(annotated, annotated.__annotations__)],
    "FUNC_MODULE": [(closed, __name__)],
    "FUNC_TYPE_PARAMS": [(closed, ())] if sys.version_info >= (3, 12) else [],
    "WEAKREF": [(weakref.ref(Meth), Meth)],
    "TYPE_NAME": [(Meth, "Meth")],
    "TYPE_MRO": [(Meth, Meth.__mro__)],
    "TYPE_QUALNAME": [(Meth, "Meth")],
    "CACHED_TABLE": [(cache, table)],
    "CACHED_ANSWER": [(link, 2)],
    "TOKEN_OLD": [(twice_set(), 1)],
    "GRAD": [],  # needs torch: test_grad.py does
    "COMPILED": [],  # this copy of the engine compiles nothing: test_pairs.py does
    "PROXY_MAP": [(types.MappingProxyType(d := {1: 2}), d)],
}
