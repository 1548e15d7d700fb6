"""Code made of texts, frames as objects, what classes show of themselves."""

import pytest

from oracle import cases, check

CASES = cases(r"""
=== exec_defines_a_function
def f(k):
    names = {}
    exec("def g(x):\n    return x + k\n", {"k": k}, names)
    return names["g"](3)
>>> 1
>>> 2

=== exec_reads_globals
SCALE = 2
def f(x):
    names = {"x": x}
    exec("y = x * SCALE + len(str(x))", globals(), names)
    return names["y"]
>>> 4
!!! SCALE = 5
!!! def len(o): return 100

=== exec_writes_globals
def f(x):
    exec("global seen\nseen = x * 2", globals(), {"x": x})
    return seen
>>> 1
>>> 7

=== exec_fills_builtins
space = {}
def f(x):
    exec("q = 5", space)
    return sorted(space)
>>> 1
!!! space = {"a": 1}
!!! space = {"__builtins__": {}}

=== exec_raises
def f(x):
    try:
        exec("y = x / 0", {"x": x})
    except ZeroDivisionError as e:
        return str(e), e.__traceback__.tb_next.tb_lineno
>>> 1

=== eval_of_constant_text
LIMIT = 3
def f(x):
    return eval(" x < LIMIT", globals(), {"x": x})
>>> 2
!!! LIMIT = 1

=== compile_and_exec
def f(x):
    code = compile("r = x + 1", "<text>", "exec")
    names = {"x": x}
    exec(code, names)
    return names["r"], code.co_filename, eval(compile("x", "", mode="eval"), names)
>>> 1

=== compile_syntax_error
def f(x):
    try:
        compile("x = = 1", "<text>", "exec")
    except SyntaxError as e:
        return e.lineno, e.filename, type(e).__name__
>>> 1

=== code_of_text_is_new | eager
def f(x):
    names = {}
    exec("def g(x):\n    return x\n", {}, names)
    return names["g"]
>>> 1

=== compiled_code_is_new | eager
def f(x):
    return compile("1", "", "eval")
>>> 1

=== exec_in_own_locals | eager
def f(x):
    exec("x = 5")
    return x
>>> 1

=== class_in_a_text
def f(x):
    names = {}
    exec("class C:\n    a = 1\n    def m(self): return self.a + k", {"k": x}, names)
    return names["C"]().m()
>>> 1

=== dataclass_in_the_run
from dataclasses import dataclass, field
def f(x):
    @dataclass(order=True)
    class P:
        "A text of its own: inspect need not write one."
        x: int
        y: list = field(default_factory=list)
    p = P(x)
    p.y.append(x)
    return p.x, p.y, p == P(x, [x]), p < P(x + 1)
>>> 1

=== locals_of_a_function
def make(a):
    def f(x):
        b = [x]
        return sorted(locals().items(), key=repr), a
    def change():
        nonlocal a
        a += 1
    return f, change
f, change = make(3)
>>> 1
!!! change()

=== locals_are_a_snapshot
def f(x):
    names = locals()
    x = 7
    again = locals()
    return names["x"], again is names, vars() is names
>>> 1

=== globals_of_a_frame
import sys
X = 1
def f(x):
    def inner():
        return sys._getframe(1).f_globals["X"], sys._getframe().f_code.co_name
    return inner(), sys._getframe().f_globals["X"]
>>> 1
!!! X = 2

=== globals_of_a_traceback
X = 1
def f(x):
    try:
        1 / 0
    except ZeroDivisionError as e:
        return e.__traceback__.tb_frame.f_globals["X"]
>>> 1
!!! X = 2

=== locals_of_the_caller | eager
def g():
    try:
        1 / 0
    except ZeroDivisionError as e:
        return sorted(e.__traceback__.tb_frame.f_back.f_locals)
def f(x):
    return g()
>>> 1

=== ids_of_new_objects_are_not_folded | eager
def f(x):
    a = [x]
    return id(a) + 0 == id(a), f"{id(a)}" == str(id(a)), -id(a) < 0
>>> 1

=== ids_as_keys
def f(x):
    a, b = [x], [x]
    memo = {id(a): 1}
    return memo.get(id(b)), memo[id(a)], id(a) == id(b)
>>> 1

=== text_of_a_class
class C:
    pass
def f(x):
    return f"{C}", repr(C), "%s" % C, str([C]), "{}".format(C)
>>> 1
!!! C.__qualname__ = "D"
!!! C.__module__ = "m"

=== text_and_truth_by_a_metaclass
class M(type):
    pass
class C(metaclass=M):
    pass
def f(x):
    return f"{C}", "yes" if C else "no"
>>> 1
!!! M.__bool__ = lambda cls: False
!!! M.__repr__ = lambda cls: "M!"
!!! M.__len__ = lambda cls: 0

=== dict_of_a_class
class B:
    b = 1
class C(B):
    a = 1
def f(x):
    d = C.__dict__
    return d["a"], d.get("b"), "z" in d, sorted(k for k in vars(C) if k[0] != "_")
>>> 1
!!! C.a = 2
!!! C.b = 3
!!! C.z = 4
!!! del C.b

=== annotations_of_a_class
class C:
    a: int
class D:
    pass
def f(x):
    return sorted(C.__annotations__), C.__text_signature__
>>> 1
!!! C.__annotations__["b"] = str

=== bases_change
class A:
    def m(self): return "A"
class B:
    def m(self): return "B"
class C(A):
    def n(self): return super().m()
class D(C):
    pass
d = D()
def f(x):
    class New(C):
        pass
    match d:
        case B():
            found = "B"
        case _:
            found = "other"
    return (
        isinstance(d, A), isinstance(d, (B, int)), issubclass(D, B), d.n(), found,
        [c.__name__ for c in D.__mro__], [c.__name__ for c in C.mro()],
        C.__bases__[0].__name__, [isinstance(v, A) for v in (d, x)],
        issubclass(New, A), New().m(), list(map(lambda v: isinstance(v, B), [d])),
    )
>>> 1
!!! C.__bases__ = (B,)
!!! C.__bases__ = (B, A)
!!! C.__bases__ = (A,)

=== bases_of_an_exception_change
class E1(Exception):
    pass
class E2(Exception):
    pass
class E(E1):
    pass
def f(x):
    try:
        raise E(x)
    except E1:
        return 1
    except E2:
        return 2
>>> 1
!!! E.__bases__ = (E2,)

=== bases_decide_who_adds
class A:
    def __add__(self, other): return "add"
class Base:
    pass
class B(Base):
    def __radd__(self, other): return "radd"
a, b = A(), B()
def f(x):
    return a + b
>>> 1
!!! B.__bases__ = (A,)

=== proxy_of_a_new_object
import weakref
class Node:
    size = 3
    def __len__(self): return self.size
    def next(self): return self.link.size
def f(x):
    a, b = Node(), Node()
    a.link = weakref.proxy(b)
    a.link.size = x
    p = weakref.proxy(a)
    found = a.next(), b.size, p.next(), isinstance(p, Node), hasattr(p, "zip")
    del b
    try:
        a.link.size
    except ReferenceError:
        return found
>>> 4
!!! Node.size = 7
!!! def next(self): return "other"
!!! Node.next = next
!!! Node.zip = 1

=== proxy_of_an_external_object | eager
import weakref
class Node:
    pass
n = Node()
n.a = 1
def f(x):
    return weakref.proxy(n).a
>>> 4

=== text_of_a_proxy | eager
import weakref
class Node:
    pass
def f(x):
    n = Node()
    return len(repr(weakref.proxy(n)))
>>> 4

=== slot_of_a_changed_list
class L(list):
    __slots__ = ("a", "b")
l = L([1])
l.a = 0
l.b = 5
def f(x):
    l.a = x
    l.clear()
    l.append(l.b)
    return l.a, list(l)
>>> 1
>>> 2
!!! l.b = 6
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_texts(case):
    check(case)
