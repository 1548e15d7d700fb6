"""Random tensor programs: outputs, in-place effects and aliases equal to eager."""

from __future__ import annotations

import gc
from collections import Counter

from hypothesis import given, note, settings
from hypothesis import strategies as st

import magpy
from oracle import TOLERANCE, Case, Pair, evaluated, executed, torch_compile

PRELUDE = """
import torch
import torch.nn.functional as F
class Holder:
    def __init__(self, t):
        self.t = t
        self.k = 1
def fixed(start):
    return torch.arange(start, start + 6, dtype=torch.float32).reshape(2, 3) / 4
w, v = fixed(0), fixed(3)
h = Holder(fixed(1))
ts = [fixed(2), fixed(-2)]
d = {"t": fixed(5)}
scale = 2
def mix(a, b, alpha=1):
    return torch.add(a, b, alpha=alpha) * 0.5
"""
# All of shape (2, 3).
SOURCES = ["x", "y", "t", "w", "v", "h.t", "ts[0]", "ts[-1]", "d['t']"]
FORMS = [
    "$T + $T", "$T - $T", "$T * $T", "$T * scale", "$T / 3", "-$T", "$T.relu()",
    "torch.tanh($T)", "F.gelu($T)", "torch.maximum($T, $T)", "mix($T, $T)",
    "mix($T, $T, alpha=h.k)", "$T.t().contiguous().t()", "torch.stack([$T, $T])[0]",
    "torch.cat([$T, $T])[:2]", "$T.sum(0, keepdim=True).expand(2, 3)", "$T.clone()",
    "$T.view(3, 2).reshape(2, 3)", "sum(ts)", "torch.where($T > 0, $T, $T)",
    "$T[:, :1] + $T", "$T.softmax(-1)", "$T.detach()", "$T.to(torch.float64).float()",
    "torch.zeros_like($T) + $T.shape[0]", "torch.ones($T.size())", "$T.flip(0)",
    "$T @ ($T.t() @ $T)",
]  # fmt: skip
LINES = [
    "t = $E", "t = $T", "h.t = $E", "h.t = $T", "ts[0] = $E", "ts.append($E)",
    "ts[:] = ts[-2:]", "d['t'] = $E", "d['u'] = $T", "$T.add_($T)", "$T.mul_(0.5)",
    "t += $T", "$T[0] = 1.0", "$T[:, 1].add_(1)", "$T.copy_($T)", "h.k = 2",
    "t = t[:2].clone()", "scale = scale % 3 + 1", "ts.reverse()", "x, y = y, x",
    "w = $E", "t, u = $T.chunk(1, 0)[0], $T", "t = [e * 2 for e in ts][0]",
    "d.pop('u', None)", "out.append($T)", "out.append($E)", "out.append($T.shape)",
    "t = t.contiguous()", "u = $T.view(-1); u[0] = 5", "t = F.dropout($T, 0.5, False)",
    "t.relu_()", "t = torch.add($T, $T, out=torch.empty(2, 3))",
]  # fmt: skip
HEADS = [
    "if x.shape[0] == 2:", "if scale > 1:", "for _ in range(2):", "for t in ts[:3]:",
    "with torch.no_grad():", "if x is y:", "if 'u' in d:", "if h.t is ts[0]:",
    "if t.is_contiguous():", "if x.dtype == torch.float32:", "if h.k == 1:",
]  # fmt: skip
CHANGES = [
    "w.add_(1)", "w = fixed(9)", "h.t = fixed(7)", "h.t = w", "ts.append(w)",
    "ts.reverse()", "scale = 5", "scale = 1.5", "h.k = 3", "d['t'] = h.t",
    "d.pop('u', None)", "v = w", "v = fixed(3)", "w = fixed(0).t().contiguous().t()",
    "h = Holder(fixed(4))", "ts = [fixed(0), fixed(1)]", "ts = [w, w]",
]  # fmt: skip
CALLS = [
    "fixed(0), fixed(1)",
    "*[fixed(0)] * 2",
    "fixed(2), w",
    "fixed(1).t().contiguous().t(), v",
]

counts: Counter[str] = Counter()


@st.composite
def tensor_programs(draw):
    def tensor():
        return draw(st.sampled_from(SOURCES))

    def fill(text):
        parts = text.replace("$E", draw(st.sampled_from(FORMS))).split("$T")
        return "".join(
            part if n == 0 else tensor() + part for n, part in enumerate(parts)
        )

    body = []
    for _ in range(draw(st.integers(2, 6))):
        if draw(st.integers(0, 3)) == 0:
            body.append("    " + draw(st.sampled_from(HEADS)))
            body.append("        " + fill(draw(st.sampled_from(LINES))))
        body.append("    " + fill(draw(st.sampled_from(LINES))))
    source = "\n".join(
        [
            PRELUDE,
            "def f(x, y):",
            "    global scale, w",
            "    t, out = x * 1, []",
            "    del ts[3:]",
            *body,
            f"    return t, x, out, {fill('$E')}",
            "",
        ]
    )
    call = draw(st.sampled_from(CALLS))
    script = [("call", call)] * 3
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=3)):
        script += [("change", change), ("call", call), ("call", call)]
    return Case("drawn", source, (call,), hit=False), script


@settings(max_examples=max(settings().max_examples // 6, 20))
@given(tensor_programs())
def test_equal_to_eager(drawn):
    case, script = drawn
    gc.collect(1)
    note(case.source)
    pair = Pair(case.build, torch_compile, magpy.stats, keep=3, tolerance=TOLERANCE)
    for kind, text in script:
        if kind == "change":
            pair.change(text, executed(text))
        else:
            counts["calls"] += 1
            counts["hits"] += pair.call(text, evaluated(text))


def test_that_hits_were_tested():
    assert counts["hits"] > counts["calls"] // 10, counts
