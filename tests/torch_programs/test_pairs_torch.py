"""Two objects of one type of torch or numpy, used alike: told apart, or refused.

As `tests/programs/test_pairs.py`, with objects that need torch.
"""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import magpy

numpy = pytest.importorskip("numpy")


class Holder(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def compiled(f):
    return magpy.compile(f, backend="eager")


def linear(seed):
    torch.manual_seed(seed)
    return nn.Linear(2, 2)


PAIRS = {
    "compiled functions": lambda: [compiled(lambda x, k=k: x + k) for k in (1, 100)],
    "compiled modules": lambda: [compiled(linear(k)) for k in (1, 2)],
    "submodules": lambda: [Holder(compiled(linear(k))) for k in (1, 2)],
    "sequences": lambda: [
        nn.Sequential(compiled(linear(k)), nn.ReLU()) for k in (1, 2)
    ],
    "partials": lambda: [
        functools.partial(compiled(lambda x, k=k: x * k)) for k in (2, 3)
    ],
    "static methods": lambda: [staticmethod(lambda x, k=k: x * k) for k in (2, 3)],
    "disabled": lambda: [magpy.disable(lambda x, k=k: x * k) for k in (2, 3)],
    "modules": lambda: [nn.ReLU(), nn.Tanh()],
    "scripted modules": lambda: [torch.jit.script(m) for m in (nn.ReLU(), nn.Tanh())],
    "functions": lambda: [torch.sin, torch.cos],
    "overloads": lambda: [torch.ops.aten.sin.default, torch.ops.aten.cos.default],
    "packets": lambda: [torch.ops.aten.sin, torch.ops.aten.cos],
    "bound methods": lambda: [torch.ones(2).add, torch.ones(2).mul(5).add],
    "ufuncs": lambda: [numpy.add, numpy.multiply],
    "reductions": lambda: [numpy.add.reduce, numpy.multiply.reduce],
    "numpy functions": lambda: [numpy.sum, numpy.prod],
    "ufuncs of Python": lambda: [
        numpy.frompyfunc(lambda v, k=k: v * k, 1, 1) for k in (2, 3)
    ],
    "vectorized": lambda: [numpy.vectorize(lambda v, k=k: v * k) for k in (2, 3)],
    "polynomials": lambda: [numpy.poly1d([1, k]) for k in (2, 3)],
    "dtypes": lambda: [torch.float32, torch.float64],
    "limits": lambda: [torch.finfo(torch.float32), torch.finfo(torch.float64)],
    "dtypes of numpy": lambda: [numpy.dtype("f4"), numpy.dtype("f8")],
    "scalars of numpy": lambda: [numpy.float32(1), numpy.float32(2)],
    "dates of numpy": lambda: [numpy.datetime64(f"202{k}-01-01") for k in (1, 2)],
    "records of numpy": lambda: [f(1, "i4,f4")[0] for f in (numpy.zeros, numpy.ones)],
    "flat iterators": lambda: [numpy.array([k, k]).flat for k in (1, 2)],
    "flags": lambda: [numpy.ones(2).flags, numpy.ones((2, 2)).T.flags],
    "random states": lambda: [numpy.random.RandomState(k) for k in (1, 2)],
    "random generators": lambda: [numpy.random.default_rng(k) for k in (1, 2)],
    "generators": lambda: [torch.Generator().manual_seed(k) for k in (1, 2)],
    "storages": lambda: [torch.ones(k).untyped_storage() for k in (1, 2)],
    "sizes": lambda: [torch.Size([1, 2]), torch.Size([2, 1])],
    "named results": lambda: [(torch.ones(2, 2) * k).max(0) for k in (1, 2)],
}

USES = {
    "call": lambda x, o: o(x),
    "call of two": lambda x, o: o(2.0, 3.0),
    "call of a list": lambda x, o: o([3.0, 4.0]),
    "item": lambda x, o: o[0],
    "attributes": lambda x, o: (o.eps, o.max),
    "size": lambda x, o: o.itemsize,
    "text": lambda x, o: str(o),
    "dtype": lambda x, o: torch.ones(1, dtype=o),
    "number": lambda x, o: float(o),
    "layout": lambda x, o: o.c_contiguous,
    "draw": lambda x, o: o.random(2).tolist(),
    "draws": lambda x, o: o.randint(1000),
    "tensor": lambda x, o: torch.rand(2, generator=o),
    "bytes": lambda x, o: o.nbytes(),
    "values": lambda x, o: o.values,
    "elements": lambda x, o: o.numel(),
    "length": lambda x, o: len(o),
    "list": lambda x, o: list(o),
    "in a list": lambda x, o: [o][0](x),
    "mapped": lambda x, o: list(map(o, [x, x])),
    "computes": lambda x, o: o + 1,
}


def outcome(f, *args):
    try:
        return repr(f(*args))
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("kind", PAIRS)
def test_pairs(kind):
    x = torch.tensor([-1.0, 2.0])
    wrong = []
    for name, use in USES.items():
        plain, watched = PAIRS[kind](), PAIRS[kind]()
        fast = compiled(use)
        for which in (0, 0, 0, 1, 1, 0):
            expected = outcome(use, x, plain[which])
            got = outcome(fast, x, watched[which])
            if expected != got and "0x" not in expected:
                wrong.append((name, which, expected, got))
    assert wrong == []
