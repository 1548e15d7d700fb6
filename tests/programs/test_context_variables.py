"""Context variables that a run sets, sets back, leaves set; tokens that outlive it."""

from __future__ import annotations

import contextvars

import pytest

from oracle import cases, check, engine_compile

HEAD = """
import contextvars, ctypes
V = contextvars.ContextVar("V", default=0)
W = contextvars.ContextVar("W")
seen = []
op = ctypes.pythonapi.Py_IsInitialized
"""

PROGRAMS = """
=== stays_set
def f(k):
    V.set([k])
    seen.append(V.get())
!!! seen.append(V.get())
>>> 1
!!! seen.append(V.get())
>>> 2
!!! V.set(5)

=== the_token_lies_where_another_object_did
class A:
    def m(self): return 1
class B(A):
    def m(self): return super().m()
b = B()
def f(k):
    for _ in range(3):
        b.m()
    tokens = [W.set([k]), V.set([k])]
    b.m()
    return tokens
!!! t = f(3); V.reset(t[1]); W.reset(t[0])
>>> 1

=== the_token_is_returned
def f(k):
    return V.set(k)
>>> 1
!!! t = f(3); seen.append((V.get(), t.old_value, t.var is V)); V.reset(t)
>>> 2

=== the_used_token_is_kept
def f(k):
    t = V.set(k)
    V.reset(t)
    seen.append(t)
    return V.get()
!!! seen.clear()
>>> 1
!!! t = seen.pop(); seen.append((t.old_value, t.var is V))
>>> 1

=== nested_sets
def f(k):
    s = V.set(1)
    t = V.set(k)
    a = V.get()
    V.reset(t)
    b = V.get()
    V.reset(s)
    return a, b, V.get()
>>> 5
!!! V.set(3)

=== a_token_from_outside
def f(t):
    V.reset(t)
    return V.get()
>>> V.set(1)
!!! V.set(3)
>>> V.set(2)

=== a_token_from_outside_of_an_unset_variable
def f(t):
    W.reset(t)
    return W.get(None)
>>> W.set(1)
!!! W.set([])
>>> W.set(2)

=== what_was_held_is_let_go
import weakref
class C: pass
def f(k):
    V.set(k)
    return None
!!! V.set(C()); r = weakref.ref(V.get()); f(1); seen.append(r() is None)
>>> 1
!!! V.set(C()); r = weakref.ref(V.get()); f(1); seen.append(r() is None)

=== raises_behind_the_set
def f(k):
    V.set(k)
    return 1 // k
>>> 1
>>> 2
!!! seen.append(V.get())
=== set_back_past_another | eager
def f(k):
    s = V.set(1)
    t = V.set(k)
    V.reset(s)
    return V.get(), t.old_value
>>> 5
!!! V.set(3)

=== set_twice
def f(k):
    V.set(1)
    V.set(k)
    return V.get()
>>> 5
!!! seen.append(V.get()); V.set(8)
>>> 6
!!! seen.append(V.get())

=== set_three_times_and_back_once
def f(k):
    V.set([k])
    V.set(1)
    t = V.set(2)
    V.reset(t)
    V.set(3)
    return V.get()
>>> 5
!!! seen.append(V.get()); V.set(8)
>>> 6
!!! seen.append(V.get())

=== set_twice_and_the_first_token_stays | eager
def f(k):
    t = V.set(1)
    V.set(2)
    return t
!!! t = f(3); V.reset(t); seen.append(V.get())
>>> 1

=== set_twice_and_the_last_token_stays | eager
def f(k):
    V.set(1)
    return V.set(2)
!!! t = f(3); seen.append(t.old_value); V.reset(t); seen.append(V.get())
>>> 1
"""

# With a break: an operation without a row, `old_value`, an exception of reset().
BROKEN = """
=== set_back
def f(k):
    t = V.set(k)
    try:
        seen.append(V.get() + 1)
    finally:
        V.reset(t)
    return V.get(), t.old_value, t.var is V
>>> 1
>>> 2
!!! V.set(9)

=== set_back_behind_a_break
def f(k):
    t = V.set([k])
    try:
        op()
        V.get().append(2)
    finally:
        V.reset(t)
    op()
    return V.get()
>>> 1
>>> 2
!!! V.set("x")
>>> 3

=== set_in_a_caller_of_the_break
def inner(k):
    op()
    return V.get()
def f(k):
    t = V.set(k)
    try:
        return inner(k)
    finally:
        V.reset(t)
>>> 1
!!! V.set(7)
>>> 2

=== a_used_token
def f(t):
    try:
        V.reset(t)
    except RuntimeError as e:
        return type(e), V.get()
>>> (lambda t: (V.reset(t), t)[1])(V.set(1))
>>> V.set(1)

=== another_variables_token
def f(t):
    try:
        V.reset(t)
    except ValueError as e:
        return type(e), V.get()
>>> W.set(1)
>>> V.set(1)

=== two_variables
def f(k):
    a = V.set(k)
    b = W.set([k])
    seen.append((V.get(), W.get()))
    V.reset(a)
    return b.old_value is contextvars.Token.MISSING, b.var is W
>>> 1
!!! W.set(None)
>>> 2

=== set_with_wrong_arguments
def f(k):
    try:
        return V.set(*k)
    except TypeError as e:
        return str(e), V.get()
>>> ()
>>> (1, 2)

=== set_with_a_keyword
def f(k):
    try:
        return V.set(value=k)
    except TypeError as e:
        return str(e), V.get()
>>> 1
>>> 2

=== a_new_variable
def f(k):
    new = contextvars.ContextVar("new")
    new.set(k)
    return new.get()
>>> 1
"""


@pytest.mark.parametrize("case", cases(HEAD + PROGRAMS), ids=str)
def test_contexts(case):
    check(case)


@pytest.mark.parametrize("case", cases(HEAD + BROKEN), ids=str)
def test_breaks(case):
    check(case, whole=False)


def test_hits_set_and_set_back():
    var = contextvars.ContextVar("var", default=0)

    def keep(k):
        return var.set(k)

    def back(token):
        var.reset(token)

    fast, undo = engine_compile(keep), engine_compile(back)
    for k in [1, 2] * 4:
        token = fast(k)
        assert var.get() == k
        undo(token)
        assert var.get() == 0
    assert fast.stats()["hits"] == 6 and undo.stats()["hits"] == 7


def test_a_context_of_its_own():
    var = contextvars.ContextVar("var", default=0)
    fast = engine_compile(lambda k: var.set(k))
    for k in range(2):
        for _ in range(3):
            contextvars.copy_context().run(fast, k)
    assert var.get() == 0
    assert fast.stats()["hits"] == 4


class Four:
    """As large as a token."""

    __slots__ = ("a", "b", "c", "d")

    def __new__(cls, a):
        self = object.__new__(cls)
        self.a = self.b = self.c = self.d = a
        return self


def test_an_object_is_made_where_a_token_has_died():
    var = contextvars.ContextVar("var", default=0)

    def put(x):
        var.set(x)

    def f(x):
        put([x])
        made = [Four(x), Four(x), Four(x), Four(x)]
        return [type(each) for each in made], made, var.get()

    fast = engine_compile(f)
    for _ in range(4):
        var.set([0])
        kinds, made, value = fast(1)
        assert kinds == [type(each) for each in made] == [Four] * 4
        assert [each.a for each in made] == value * 4 == [1] * 4
    assert fast.stats()["hits"] >= 2
