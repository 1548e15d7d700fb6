"""Recording must take time in proportion to what is recorded."""

import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from oracle import engine_compile

STATE = SimpleNamespace()


def callbacks(n):
    with ExitStack() as stack:
        for _ in range(n):
            stack.callback(int)


def appended_objects(n):
    for i in range(n):
        STATE.items.append([i])


def keys_written_twice(n):
    for _ in range(2):
        for i in range(n):
            STATE.table[i] = i


def popped_externals(n):
    while STATE.objects:
        STATE.objects.pop()


def replaced_externals(n):
    for key in list(STATE.named):
        STATE.named[key] = None


def new_objects(n):
    found = []
    for i in range(n):
        found.append(SimpleNamespace(x=i))
    return sum(o.x for o in found)


SHAPES = (
    callbacks,
    appended_objects,
    keys_written_twice,
    popped_externals,
    replaced_externals,
    new_objects,
)


def seconds(shape, n):
    STATE.items, STATE.table = [], {}
    STATE.objects = [[i] for i in range(n)]
    STATE.named = {str(i): [i] for i in range(n)}
    fast = engine_compile(shape)
    start = time.process_time()
    fast(n)
    spent = time.process_time() - start
    assert fast.stats()["recordings"] == 1
    assert not fast.stats()["reasons"], fast.stats()["places"]
    return spent


@pytest.mark.parametrize("shape", SHAPES, ids=lambda f: f.__name__)
def test_recording_is_linear(shape):
    """Eight times the work takes far less than the 64 times of a quadratic part."""
    ratios = []
    for _ in range(3):
        ratios.append(seconds(shape, 4000) / seconds(shape, 500))
        if ratios[-1] < 24:
            return
    pytest.fail(f"grows by {ratios}")
