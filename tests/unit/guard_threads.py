"""Guards on what threads keep to themselves, for `test_guard.py`."""

from __future__ import annotations

import contextvars
import threading

from guard_program import Program, loading


def load_local():
    o = threading.local()
    p = loading("LOAD_LOCAL")
    assert p.value(o) is o.__dict__
    found: list[bool] = []
    other = threading.Thread(target=lambda: found.append(p(o)))
    other.start()
    other.join()
    assert found == [False]  # there it has none yet
    assert not p([])


def load_context():
    var = contextvars.ContextVar("var")
    p = Program()
    p.load("LOAD_CONTEXT", -1, var)
    assert not p()
    token = var.set("value")
    assert p.value() == "value"
    var.reset(token)
    assert not p()
    assert p.source(0) == "ContextVar.get()"


def context_unset():
    var = contextvars.ContextVar("var")
    p = Program().test("CONTEXT_UNSET", -1, var)
    assert p()
    token = var.set(None)
    assert not p()
    var.reset(token)
    assert p()


def token():
    var, other = contextvars.ContextVar("var"), contextvars.ContextVar("other")
    p = Program("x").test("TOKEN", 0, var, n=1)
    first = var.set(1)
    second = var.set(2)
    assert p(second) and not p(first) and not p(1) and not p(other.set(1))
    assert contextvars.copy_context().run(lambda: not p(second))
    var.reset(second)
    assert not p(second)
    p = Program("x").test("TOKEN", 0, var, n=0)
    assert p(first)
    var.reset(first)
    assert not p(first)


def handling():
    outside = Program().test("HANDLING", -1, False)
    inside = Program().test("HANDLING", -1, True)
    assert outside()
    assert not inside()
    try:
        raise ValueError
    except ValueError:
        assert inside()
        assert not outside()
    assert outside()
