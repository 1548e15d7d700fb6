"""Breaks below operators and tests of objects that hold tensors."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases("""
import ctypes, torch
op = ctypes.pythonapi.Py_IsInitialized

=== operators_and_tests
class A:
    def __init__(self, t): self.t = t
    def __add__(self, o):
        y = self.t * 2
        op()
        return A(y + o)
    def __bool__(self):
        y = self.t.sum()
        op()
        return bool(y > 0)
    def __lt__(self, o):
        y = self.t + o
        op()
        return y * 2
def f(t):
    a = A(t) + t
    return a.t, (1 if a else 2), a < t, a.t.cos()
>>> torch.ones(3)
>>> -torch.ones(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_follows_a_method(case):
    check_torch(case, whole=False)
