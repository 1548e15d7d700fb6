"""Planted damage: the check of the recorder's invariants (invariants.def) names it.

A check that fails stops the process, so each invariant is broken in a child.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("magpy._engine_testing")

from magpy import _engine

HAS_TORCH = importlib.util.find_spec("torch") is not None

# Each part has what some invariant is about: writes of all kinds, a local without a value,
# a function that calls itself, new objects on the stack.
PLAIN = """
from magpy._engine import CompiledFunction as compile

class Box:
    pass

STATE, ITEMS, OLD, BOX = {"k": [1]}, [1, 2], [3, 1], Box()
BOX.items = [5]

def inner(n):
    if n == 0:
        return 0
    later = inner(n - 1)
    return later + len([n])

def f(n):
    STATE["k"] = [n]
    ITEMS.append(n)
    OLD[0] = n
    return inner(3) + BOX.items[0], STATE

ARGUMENT = 2
"""

TENSORS = """
import torch, magpy

def compile(f):
    return magpy.compile(f, backend="eager")

def f(x):
    y = x + 1
    z = y * 2
    return z, [y]

ARGUMENT = torch.ones(2)
"""

APART = TENSORS.replace("y * 2", "x * 2")

RUN = """
import sys
if sys.argv[1] != "NONE":
    from magpy import _engine
    _engine._plant_invariant(sys.argv[1])
print(compile(f)(ARGUMENT))
"""

PROGRAMS = {
    PLAIN: """
        SLOTS SEEN NODE_KIND NODE_FOUND NODE_REGISTER NODE_GUARDED NODE_PINNED
        NODE_CHILDREN NODE_RELEASED LOOSE GUARD_ORDER
        WRITE_NODE WRITE_PLACE WRITE_NEWEST WRITE_APPEND WRITE_CONTENT WRITE_LETS_GO
        FRAME_ROOT FRAME_CODE FRAME_PENDING FRAME_NEST FRAME_DEPTH FRAME_VALUES
        FRAME_UNREAD FRAME_OWNER FRAME_SKIP LOG_PENDING ARRAYS COUNTS PLAN_SOURCE
    """,
    TENSORS: """
        LOG_ENTRY LOG_ORDER LOG_LEAF LOG_INPUT LOG_WRITTEN LOG_VERSION
        PLAN_INPUT PLAN_VALUE
    """,
    APART: "LOG_RESULT",
}
CASES = {name: text for text, names in PROGRAMS.items() for name in names.split()}


def run(program: str, planted: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program + RUN, planted],
        env={**os.environ, "MP_TRACE_CHECK": "full"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_each_invariant_is_broken_here() -> None:
    assert set(CASES) == {row["id"] for row in _engine.invariants()}


def test_an_unknown_invariant_cannot_be_planted() -> None:
    if not hasattr(_engine, "_plant_invariant"):
        pytest.skip("the engine was built without MP_TESTING")
    with pytest.raises(ValueError, match="no invariant NONSENSE"):
        _engine._plant_invariant("NONSENSE")


@pytest.mark.parametrize("planted", ["NONE", *CASES])
def test_broken_invariant_is_named(planted: str) -> None:
    program = CASES.get(planted, PLAIN)
    if not hasattr(_engine, "_plant_invariant"):
        pytest.skip("the engine was built without MP_TESTING")
    if program is not PLAIN and not HAS_TORCH:
        pytest.skip("needs torch")
    if planted == "FRAME_DEPTH" and sys.version_info >= (3, 12):
        pytest.skip("this interpreter does not tell how deep its stack is")
    done = run(program, planted)
    if planted == "NONE":
        assert (done.returncode, done.stdout) == (0, "(8, {'k': [2]})\n"), done.stderr
        return
    assert done.returncode == -signal.SIGABRT, done.stdout + done.stderr
    assert f"invariant {planted} of the recorder's" in done.stderr
