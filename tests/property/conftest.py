"""Hypothesis times the garbage collector with a Python callback, which can then run in
the middle of a recording and end it.  Collect between calls, not during them."""

import gc

import pytest


@pytest.fixture(autouse=True, scope="package")
def collect_between_calls():
    before = list(gc.callbacks)
    gc.disable()
    yield
    gc.enable()
    gc.callbacks[:] = before
