"""Recording must take time in proportion to what is recorded."""

import time
from contextlib import ExitStack
from itertools import groupby
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


def filtered_in_a_loop(n):
    total = 0
    for item in filter(lambda v: v[0] > 1, [[i] for i in range(n)]):
        total += item[0]
    return total


def groups_in_a_loop(n):
    total = 0
    for key, _ in groupby([[i] for i in range(n)], key=lambda v: v[0]):
        total += key
    return total


SHAPES = (
    callbacks,
    appended_objects,
    keys_written_twice,
    popped_externals,
    replaced_externals,
    new_objects,
    filtered_in_a_loop,
    groups_in_a_loop,
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


def same_items_again(n):
    """The C code of groupby reads what is left of the list at each step."""
    total = 0
    for _, group in groupby([(i, i) for i in range(n)], key=len):
        for first, _ in group:
            total += first
    return total


def test_recordings_that_read_the_same_again_and_again_end():
    fast = engine_compile(same_items_again)
    assert fast(40) == fast(40) == same_items_again(40)
    assert fast.stats()["hits"] == 1
    assert fast(20_000) == same_items_again(20_000)
    assert fast.stats()["reasons"] == {"recording-limit": 1}
