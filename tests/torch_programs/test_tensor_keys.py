"""Dicts whose keys are tensors, as the state of optimizers."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
import collections
p, q = fixed(3), fixed(3) + 1
box = {"p": p, "q": q}

=== state_of_two
state = {p: {"step": 1.0}, q: {"step": 2.0}}
def f(x):
    own = state[box["p"]]
    own["last"] = x * own["step"]
    return own["last"] + 1, box["q"] in state, state.get(box["q"])["step"]
>>> t(3)
!!! state[p]["step"] = 5.0
!!! state[q] = {"step": 7.0}
!!! state["text"] = 1
!!! box["p"], box["q"] = q, p
??? del state[p]

=== state_is_made
state = collections.defaultdict(dict)
def f(x):
    own = state[box["p"]]
    if not own:
        own["mean"] = torch.zeros_like(box["p"])
        own["calls"] = 0
    own["mean"].mul_(0.5).add_(x)
    return own["mean"] * 1
>>> t(3)
??? state.clear()
??? box["p"] = q

=== key_is_written
state = {}
def f(x):
    if box["p"] not in state:
        state[box["p"]] = {}
    state[box["p"]]["x"] = x * 2
    return len(state)
>>> t(3)
??? state.clear()
!!! state[q] = 1
??? del state[p]

=== all_items
state = {p: 1.0, q: 2.0}
def f(x):
    total = x
    for key, value in state.items():
        total = total + key * value
    return total, list(state.values())
>>> t(3)
??? state[p] = 3.0
??? del state[q]
??? state[fixed(3) * 2] = 1.0

=== new_tensor_is_no_key
state = {p: 1.0}
def f(x):
    y = x * 2
    return y in state, state.get(y, 5.0), p in state
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES)
def test_tensors_as_keys(case):
    check_torch(case)
