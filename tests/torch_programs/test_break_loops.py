"""A loop that breaks goes on in segments that are used again, whatever it iterates over."""

from __future__ import annotations

import pytest

import magpy

torch = pytest.importorskip("torch")

SETUP = """
import itertools, torch

def read(x):
    return x - 1 if x.sum().item() > 1e9 else x

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        for i in range(9):
            self.add_module(f"m{i}", torch.nn.Identity())

net = Net()
"""

# What the loop goes through; `ls` is a list of nine floats.
HEADS = {
    "list": "for l in ls:",
    "enumerate": "for i, l in enumerate(ls):",
    "zip": "for k, l in zip('abcdefghi', ls):",
    "items": "for k, l in {str(l): l for l in ls}.items():",
    "values": "for l in {str(l): l for l in ls}.values():",
    "nested pairs": "for i, (k, l) in enumerate({str(l): l for l in ls}.items()):",
    "starred": "for k, *_, l in ((str(l), l, l) for l in ls):",
    "map": "for l in map(lambda l: l + 1, ls):",
    "filter": "for l in filter(None, ls):",
    "reversed": "for l in reversed(ls):",
    "chain": "for l in itertools.chain(ls[:4], ls[4:]):",
    "islice": "for l in itertools.islice(ls, 1, None):",
    "generator": "for l in (l for l in ls):",
    "pairs of a generator": "for k, l in ((str(l), l) for l in ls):",
    "set": "for l in {*ls}:",
    "iter with a sentinel": "for l in iter(iter(ls).__next__, 1e9):",
    "rows": "for l in torch.tensor(ls):",
    "rows that were hit": "for (l,) in (torch.tensor(ls) > 0).nonzero():",
    "numbered rows": "for i, l in enumerate(torch.tensor(ls).unbind()):",
    "named children": "for l, (k, m) in zip(ls, net.named_children()):",
    "children": "for l, m in zip(ls, net.children()):",
}
BODIES = {
    "before": "x = x + l; x = read(x)",
    "behind": "x = read(x); x = x + l",
    "around": "x = x + l; x = read(x); x = x * 2",
}


def world(text):
    names: dict = {"__name__": "loops"}
    exec(compile(text, "loops.py", "exec"), names)
    return names


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("head", HEADS)
def test_segments_are_used_again(head, body):
    text = f"{SETUP}\ndef f(x, ls):\n    {HEADS[head]}\n        {BODIES[body]}\n    return x\n"
    eager, fast = world(text), world(text)
    compiled = magpy.compile(fast["f"], backend="eager")
    ls = [float(i + 1) for i in range(9)]
    for turn in range(8):
        x = torch.arange(3.0) + turn
        assert torch.equal(compiled(x, list(ls)), eager["f"](x, list(ls)))
    counted = magpy.stats(compiled)
    assert counted["graphs"] <= 6, counted
    assert counted["hits"] >= 5, counted
    more = [*ls, 2.5, 3.5]
    x = torch.ones(3)
    for _ in range(3):
        assert torch.equal(compiled(x, list(more)), eager["f"](x, list(more)))
    assert magpy.stats(compiled)["graphs"] <= 9, magpy.stats(compiled)


@pytest.mark.parametrize("body", BODIES)
def test_texts_of_a_list_that_change_are_left_to_the_interpreter(body):
    """Such a list is gone through inside a segment, which guards the texts at first."""
    text = f"{SETUP}\ndef f(x, rows):\n    for k, l in rows:\n        {BODIES[body]}\n    return x\n"
    eager, fast = world(text), world(text)
    compiled = magpy.compile(fast["f"], backend="eager")
    for n in (30, 30, 30, 31):
        x, rows = torch.ones(3), [(f"row {i}", i + 0.5) for i in range(n)]
        assert torch.equal(compiled(x, list(rows)), eager["f"](x, list(rows)))
    counted = magpy.stats(compiled)
    assert counted["graphs"] <= 14, counted
    assert "changing-number" in counted["breaks"], counted
