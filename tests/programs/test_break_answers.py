"""Breaks below operators, tests, loops and built-in functions that run a method."""

from __future__ import annotations

import pytest

from oracle import cases, check, engine_compile

# `op` is a C function that nobody has a row for; it answers 1.
HEAD = """
import ctypes, weakref
op = ctypes.pythonapi.Py_IsInitialized
"""

CASES = cases(
    HEAD
    + """
class Other: pass

=== operators
class A:
    def __init__(self, x): self.x = x
    def __add__(self, o): y = [self.x]; op(); return y, o
    def __radd__(self, o): y = [self.x]; op(); return o, y
    def __iadd__(self, o): op(); self.x = [self.x, o]; return self
    def __pow__(self, o): op(); return self, o
    def __matmul__(self, o): op(); return [o]
    __rmul__ = __radd__
def f(x):
    a = A([x])
    b = a
    b += 1
    return [a + 1, 1 + a, a + a, a ** 2, a @ a, 3 * a, b is a, a.x, "s" * a]
>>> 1
>>> 2

=== the_other_operand_is_asked
class A:
    def __sub__(self, o): op(); return NotImplemented
    def __isub__(self, o): op(); return NotImplemented
    def __lt__(self, o): op(); return NotImplemented
    def __eq__(self, o): op(); return NotImplemented
class B:
    def __rsub__(self, o): op(); return "B", type(o).__name__
    def __gt__(self, o): op(); return [1]
    def __eq__(self, o): op(); return NotImplemented
def f(x):
    a, b = A(), B()
    c = a
    c -= b
    return [x], a - b, c, a < b, a == b, b == a, a == 1, 1 == a
>>> 1

=== nobody_answers
class A:
    def __sub__(self, o): op(); return NotImplemented
    def __rsub__(self, o): op(); return NotImplemented
    def __isub__(self, o): op(); return NotImplemented
    def __pow__(self, o): op(); return NotImplemented
    def __ipow__(self, o): op(); return NotImplemented
    def __lt__(self, o): op(); return NotImplemented
def f(x):
    out = [x]
    for g in GS:
        try:
            g(A())
        except TypeError as e:
            out.append(e.args)
    return out
def isub(a): a -= 1
def ipow(a): a **= 1
GS = (lambda a: a - 1, lambda a: 1 - a, lambda a: a - A(), isub, ipow, lambda a: a ** 1,
      lambda a: a < 1, lambda a: a < A())
>>> 1

=== a_subclass_on_the_right_goes_first
class A:
    def __add__(self, o): op(); return "A"
    def __radd__(self, o): op(); return "rA"
    def __lt__(self, o): op(); return "lt"
class B(A):
    def __radd__(self, o): op(); return NotImplemented
    def __gt__(self, o): op(); return NotImplemented
def f(x):
    return [x], A() + B(), A() < B(), B() + A()
>>> 1

=== sequences_on_the_left
class A:
    def __radd__(self, o): op(); return NotImplemented
    def __rmul__(self, o): op(); return NotImplemented
class L(list):
    def __add__(self, o): op(); return NotImplemented
    def __iadd__(self, o): op(); return NotImplemented
def f(x):
    out = [x]
    for g in (lambda: [1] + A(), lambda: "a" + A(), lambda: [1] * A(), lambda: 2 * A()):
        try:
            g()
        except TypeError as e:
            out.append(e.args)
    a = L([1])
    a += [2]
    return out, L([1]) + [2], a
>>> 1

=== truth
class A:
    def __init__(self, t): self.t = t
    def __bool__(self): y = self.t; op(); return y
class S:
    def __init__(self, n): self.n = n
    def __len__(self): y = self.n; op(); return y
def f(x, t):
    a, s = A(t), S(int(t))
    out = [x, not a, not s, 1 if a else 2, 1 if s else 2, bool(a), bool(s), len(s)]
    out.append([a or 3, a and 4, s or 5, s and 6])
    while not a:
        a.t = True
        out.append(a)
    out.append([i for i in range(3) if s])
    return out
>>> 1, True
>>> 2, False

=== wrong_answers
class A:
    def __init__(self, what): self.what = what
    def __bool__(self): op(); return self.what
    def __iter__(self): op(); return self.what
    def __contains__(self, o): op(); return self.what
class S:
    def __init__(self, what): self.what = what
    def __len__(self): op(); return self.what
def f(x, what):
    out = [x]
    for g in (lambda: not A(what), lambda: bool(A(what)), lambda: 1 if S(what) else 2,
              lambda: len(S(what)), lambda: [i for i in A(what)], lambda: iter(A(what)),
              lambda: 1 in A(what), lambda: 1 not in A(what)):
        try:
            out.append(g())
        except (TypeError, ValueError, OverflowError) as e:
            out.append((type(e), e.args))
    return out
>>> 1, 1
>>> 1, "a"
>>> 1, -1
>>> 1, 1 << 80
>>> 1, True
>>> 1, []

=== membership
class A:
    def __init__(self, x): self.x = x
    def __contains__(self, o):
        y = [self.x]
        op()
        return y[0] == o
def f(x):
    a = A(x)
    return [x], 1 in a, 1 not in a, (2 in a and "yes")
>>> 1
>>> 2

=== loops
class It:
    def __init__(self, n): self.n = n
    def __iter__(self):
        op()
        return self
    def __next__(self):
        op()
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        return [self.n]
def f(n):
    out = []
    for y in It(n):
        out.append(y)
        if y == [7]:
            break
    else:
        out.append("end")
    it = It(2)
    out.append((next(it), next(iter(it))))
    try:
        next(it)
    except StopIteration as e:
        out.append(e.args)
    return out, [y for y in It(2)]
>>> 3
>>> 9

=== a_loop_that_raises
class It:
    def __iter__(self): return self
    def __next__(self):
        op()
        raise KeyError("next")
def f(x):
    try:
        for y in It():
            pass
    except KeyError as e:
        return [x], e.args
>>> 1

=== methods_that_raise
class A:
    def __add__(self, o): op(); raise ValueError("add")
    def __lt__(self, o): op(); raise ValueError("lt")
    def __bool__(self): op(); raise ValueError("bool")
    def __contains__(self, o): op(); raise ValueError("in")
    def __len__(self): op(); raise ValueError("len")
    def __abs__(self): op(); raise ValueError("abs")
def f(x):
    out = [x]
    for g in (lambda a: a + 1, lambda a: a < 1, lambda a: not a, lambda a: 1 in a,
              len, abs):
        try:
            g(A())
        except ValueError as e:
            out.append(e.args)
    return out
>>> 1

=== numbers_among_the_operands
class A:
    def __add__(self, o):
        y = [o]
        op()
        return y
    def __radd__(self, o):
        y = [o]
        op()
        return y
def f(n):
    a, out = A(), []
    for i in range(n):
        out.append(a + i)
        out.append((i, 2) + () if i > 5 else i + a)
    return out
>>> 4
>>> 8

=== numbers_that_a_later_method_reads
class A:
    def __iadd__(self, o):
        y = [1]
        op()
        y.append(2)
        return NotImplemented
    def __add__(self, o):
        z = self if o > 100 else [o]
        return z
def f(n):
    out = []
    for i in range(n):
        a = A()
        a += i
        out.append(a)
    return out
>>> 4
>>> 8

=== operands_die_when_they_die
class A:
    def __add__(self, o):
        op()
        r = weakref.ref(o)
        del o
        return r() is not None, r
    def __bool__(self):
        op()
        return False
class It:
    def __init__(self): self.n = 2
    def __iter__(self): return self
    def __next__(self):
        op()
        self.n -= 1
        if not self.n: raise StopIteration
        REFS.append(weakref.ref(self))
        return 1
REFS = []
def f(x):
    alive, r = A() + A()
    for y in It():
        pass
    b = weakref.ref(A() or (c := A()))
    return x, alive, r() is None, REFS.pop()() is None, b() is None
>>> 1
"""
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_follows_a_method(case):
    check(case, whole=False)


CLASS = """
class A:
    def meth(self, *args):
        y = [len(args)]
        op()
        return RESULT
    __add__ = __rsub__ = __imul__ = __lt__ = __ge__ = __eq__ = __bool__ = meth
    __contains__ = __iter__ = __abs__ = __len__ = meth
    __hash__ = None
def f(x):
    a = A()
    y = [x]
    z = EXPRESSION
    return y, z
"""
ANSWERS = {
    "a + x": "y",
    "x - a": "y",
    "a < x": "y",
    "x <= a": "y",
    "a == x": "y",
    "not a": "True",
    "1 if a else 2": "False",
    "a or 3": "True",
    "a and 3": "True",
    "bool(a)": "True",
    "x in a": "y",
    "x not in a": "True",
    "len(a)": "3",
    "abs(a)": "y",
    "iter(a)": "iter(y)",
    "[v for v in a]": "iter(y)",
}


@pytest.mark.not_under_verify("counts segments")
@pytest.mark.parametrize("expression", ANSWERS)
def test_the_break_stays_in_the_method(expression):
    text = CLASS.replace("EXPRESSION", expression).replace(
        "RESULT", ANSWERS[expression]
    )
    space: dict = {}
    exec(compile(HEAD + text, "<answers>", "exec"), space)
    fast = engine_compile(space["f"])
    want = repr(space["f"](1)).split(" at ")[0]
    for _ in range(3):
        assert repr(fast(1)).split(" at ")[0] == want
    stats = fast.stats()
    line = (HEAD + text).split("\n").index("        op()") + 1
    assert [(p["file"], p["line"]) for p in stats["places"]] == [("<answers>", line)]
    assert (stats["graph_breaks"], stats["recordings"], stats["partial_hits"]) == (
        1,
        1,
        2,
    )


def test_the_frames_that_a_method_sees():
    """A method that runs in rebuilt frames sees the frame of the operator."""
    space: dict = {}
    text = (
        HEAD
        + "import sys\n"
        + (
            "class A:\n"
            "    def __add__(self, o):\n"
            "        op()\n"
            "        here = sys._getframe(0)\n"
            "        return here.f_code.co_name, here.f_back.f_code.co_name\n"
            "def f(x): return [x], A() + x\n"
        )
    )
    exec(compile(text, "<answers>", "exec"), space)
    fast = engine_compile(space["f"])
    for _ in range(3):
        assert fast(1) == ([1], ("__add__", "f"))
