"""The programs behind the tables of docs/limits.md.

Each claim is a row of a table, with the programs that show it.  tools/gen_docs.py runs
the programs and writes the reasons that MagPy counted into the page.  It fails if a program
that shows a limit is recorded as a whole, or if a program of the last table is not.
"""

from __future__ import annotations

import contextlib
import io
import linecache
import textwrap
import warnings
from dataclasses import dataclass
from typing import Any

SETUP = """
import collections, ctypes, decimal, functools, itertools, operator, os, pickle, random
import sys, tempfile, threading, time, warnings, weakref
import numpy as np
import torch
import torch.nn.functional as F
from torch._higher_order_ops import scan
from torch.utils.checkpoint import checkpoint

class Kept:
    scale = 2
    def __init__(self):
        self.calls = 0
    def __repr__(self):
        return "kept"

class Key:
    def __hash__(self):
        return 5
    def __eq__(self, other):
        return self is other

class Reads(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        kept.calls = 1
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g * 2

class Doubles(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):
        return g * 2

class Outer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return Doubles.apply(x)
    @staticmethod
    def backward(ctx, g):
        return g * 2

class Own(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return super().__torch_function__(func, types, args, kwargs)

class Named:
    def __init__(self, n):
        self.n = n

class Deleted:
    def __del__(self):
        pass

Point = collections.namedtuple("Point", "x y")
kept = Kept()
array = np.arange(3.0)
grads = torch.ones(3, requires_grad=True)
inner = grads * 2
weight = torch.ones(3)
given = (n for n in range(1000))
shelf = {}
lock = threading.Lock()
sparse = torch.eye(2).to_sparse()
nested = torch.nested.nested_tensor([torch.ones(1), torch.ones(2)])
quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8)
scripted = torch.jit.script(torch.nn.Linear(3, 3))
compiled_by_torch = torch.compile(torch.sin, backend="eager")
ufunc = np.frompyfunc(abs, 1, 1)
ints = (ctypes.c_int * 3)(1, 2, 3)
cached = functools.lru_cache(lambda n: n)
cached(1)
"""


@dataclass(frozen=True)
class Claim:
    """One line of a table, and programs: bodies of a function of a tensor `x`."""

    text: str
    programs: tuple[str, ...]
    grad: bool = False
    calls: int = 3


def claim(text: str, *programs: str, grad: bool = False, calls: int = 3) -> Claim:
    return Claim(text, programs, grad, calls)


LIMITS: dict[str, list[Claim]] = {
    "values": [
        claim(
            "`if x.sum() > 0:`, `if len(x[mask]):`, `while err > eps:`",
            "if x.sum() > 0:\n    x = x + 1\nreturn x",
            "return x * 2 if len(x[x > 0]) else x",
            "return x[x > 0].shape == x.shape",
            "while x.sum() < 10:\n    x = x + 1\nreturn x",
        ),
        claim(
            "`range(t.item())`, `d[t.item()]`, `t.tolist()`, `t.numpy()`, `l[t]`, "
            "`torch.equal`",
            "return [x for _ in range(int(x.sum()))]",
            "return {1.0: 1}.get(x.sum().item())",
            "return (x + 1).tolist()",
            "return (x + 1).numpy()",
            "return [4, 5][(x.sum() > 0).long()]",
            "return torch.equal(x, x + 1)",
        ),
        claim(
            "`for row in x[mask]`, `x[mask].split(2)`: as many parts as there is data",
            "return [v + 1 for v in x[x > 0]]",
            "return list(x.nonzero())",
            "return x[x > 0].split(2)",
        ),
        claim(
            "what is another for 0 or 1 rows: `x[mask].squeeze().ndim`",
            "return x[x > 0].squeeze().ndim",
            "y = torch.stack([x, x])[:, x > 0].T\nreturn y.contiguous() is y",
        ),
    ],
    "effects": [
        claim("`open`", "open(os.devnull).close()\nreturn x + 1"),
        claim(
            "a text of a tensor that is looked into, or shows `grad_fn`; `print` where "
            "`except` may end its exception",
            "y = x * grads\nprint(y)\nreturn y",
            "s = str(x.sum())\nreturn s[0], x + 1",
            "try:\n    print('a')\nexcept ValueError:\n    pass\nreturn x + 1",
            grad=True,
        ),
        claim("`time.time()`", "return time.time(), x + 1"),
        claim(
            "`random.random()`, `numpy.random`",
            "return x * random.random()",
            "return x * np.random.rand()",
        ),
        claim("locks", "with lock:\n    return x + 1"),
        claim(
            "`pickle`, `decimal`, most C libraries",
            "return pickle.dumps(1), x + 1",
            "return decimal.Decimal(1) + 1, x + 1",
        ),
        claim(
            "`warnings.warn` that raises, or inside `catch_warnings(record=True)`",
            "with warnings.catch_warnings(record=True):\n"
            "    warnings.warn('a')\nreturn x + 1",
        ),
        claim(
            "`torch.manual_seed`, reading the state of a random number generator",
            "torch.manual_seed(1)\nreturn x + 1",
            "return torch.get_rng_state(), x + 1",
        ),
        claim(
            "`torch.set_default_dtype`, backend flags",
            "torch.set_default_dtype(torch.float32)\nreturn x + 1",
            "torch.backends.cudnn.benchmark = False\nreturn x + 1",
        ),
        claim(
            "`eval` without dicts",
            "y = x + 1\nreturn eval('y')",
        ),
        claim(
            "`except*` that catches something",
            "try:\n    raise ValueError\nexcept* ValueError:\n    pass\nreturn x + 1",
        ),
        claim(
            "a class that the run made, or an object of one, outlives the call",
            "class New:\n    pass\nreturn New, x + 1",
            "class New:\n    pass\nreturn New(), x + 1",
        ),
        claim("a generator from outside is advanced", "next(given)\nreturn x + 1"),
        claim(
            "a file from outside is read",
            "shelf.setdefault('file', open(os.devnull))\n"
            "return shelf['file'].read(), x + 1",
        ),
    ],
    "torch": [
        claim(
            "subclasses of Tensor with a `__torch_function__` or `__torch_dispatch__` of "
            "the program, but for one with `__tensor_flatten__`",
            "return x.as_subclass(Own) + 1",
        ),
        claim(
            "sparse, nested, quantised tensors: writes, how many elements there are, "
            "scales",
            "sparse.mul_(2)\nreturn x",
            "return x.to_sparse().values().shape[0], x",
            "return quantised.q_scale(), x",
        ),
        claim(
            "`y.grad` and `y.__dict__` of a new tensor; `x._version`",
            "return (x + 1).grad, x + 1",
            "return x._version, x + 1",
            "return (x + 1).__dict__",
        ),
        claim(
            "`x.grad_fn` of an input where it is not None; more than the name of a new "
            "node",
            "return inner.grad_fn",
            "return (x * grads).grad_fn.next_functions, x",
            grad=True,
        ),
        claim(
            "`backward`, `torch.autograd.grad` inside the run; a hook on a tensor that is "
            "written later, `retain_grad` of an input",
            "(x * grads).sum().backward()\nreturn x + 1",
            "return torch.autograd.grad((x * grads).sum(), grads)",
            "y = x * grads\ny.register_hook(print)\ny.add_(1)\nreturn y",
            "inner.retain_grad()\nreturn inner + x",
            grad=True,
        ),
        claim(
            "`checkpoint(use_reentrant=True)`, while gradients are on",
            "return checkpoint(torch.sin, x * grads, use_reentrant=True)",
            grad=True,
        ),
        claim(
            "`torch.autograd.Function` whose `forward` writes Python state, while "
            "gradients are on",
            "return Reads.apply(x)",
            grad=True,
        ),
        claim("scripted modules", "return scripted(x)"),
        claim(
            "`torch.jit.trace`; `torch.cond` and its like in the cases that "
            "[control_flow.md](control_flow.md) names",
            "return torch.jit.trace(torch.sin, x)(x)",
            "mode = torch.no_grad\n"
            "def body(a):\n    with mode():\n        return a * 2\n"
            "return torch.cond(x.sum() > 0, body, torch.cos, (x,))",
            "def one(d):\n    return d['a'] * 2\ndef two(d):\n    return d['a'] + 1\n"
            "return torch.cond(x.sum() > 0, one, two, ({'a': x},))",
            "def step(c, v):\n    return c + v, c * v\n"
            "return scan(step, torch.zeros(()), x, reverse=True)[1]",
        ),
        claim("functions compiled by `torch.compile`", "return compiled_by_torch(x)"),
        claim(
            "`torch.from_numpy` of an array from outside",
            "return torch.from_numpy(array) + 1",
        ),
        claim(
            "`torch.autograd.Function` inside the `forward` of another one, while "
            "gradients are on",
            "return Outer.apply(x)",
            grad=True,
        ),
        claim(
            "a dispatch or function mode of the program, anomaly mode",
            "with torch.autograd.set_detect_anomaly(True):\n    return x + 1",
        ),
        claim(
            "an operation that raises and is caught by the program",
            "try:\n    return x @ torch.ones(5)\nexcept RuntimeError:\n    return x + 1",
        ),
    ],
    "objects": [
        claim(
            "other iterators than those of list, tuple, range, str, dict",
            "return itertools.chain([x + 1])",
            "return reversed([x + 1])",
        ),
        claim("generators", "return (v for v in [x + 1])"),
        claim("files", "return open(os.devnull), x + 1"),
        claim("instances of classes with `__del__`", "return Deleted(), x + 1"),
        claim(
            "keys of dicts and sets with their own `__hash__` or `__eq__` in Python, "
            "unless the very key is in the dict",
            "made = {}\nmade[Key()] = x + 1\nreturn made",
        ),
        claim(
            "`cache_info` and `cache_clear` of a `functools.lru_cache` object",
            "return cached.cache_info(), x + 1",
            "cached.cache_clear()\nreturn x + 1",
        ),
        claim("items of `ctypes` arrays", "return ints[0], x + 1"),
        claim("a `ufunc` that `np.frompyfunc` made", "return ufunc(1), x + 1"),
        claim(
            "a special method that is a C callable of its own",
            "class C:\n    __neg__ = functools.partial(operator.add, 1, 2)\n"
            "return -C(), x + 1",
        ),
        claim(
            "a class with code of its own as a callback of C code",
            "return list(map(Named, [1])), x + 1",
        ),
        claim(
            "an exception that was raised",
            "try:\n    raise ValueError\nexcept ValueError as e:\n    return e, x + 1",
        ),
        claim(
            "`id` of an object that the run made, as a result",
            "return id(object()), x + 1",
        ),
    ],
}
# What must be recorded as a whole: its second and third call are hits.
RECORDED: list[Claim] = [
    claim("`sum` over a generator of tensors", "return sum(v * 2 for v in (x, x + 1))"),
    claim(
        "indexing by a mask, and how many rows it has, if Python need not know that",
        "y = x[x > 0]\nreturn y, y.shape, torch.zeros(len(y) + 1)",
        "a, b = torch.stack([x, x])[:, x > 0].unbind(0)\nreturn a * b, a.ndim",
    ),
    claim(
        "`t.item()`, `float(t)`, `bool(t)` and arithmetic on them, as long as nothing is "
        "decided on the value, or it follows from constants; `assert t.all()`",
        "assert (x > -10).all()\nreturn x + 1",
        "if (x != x).any():\n    raise ValueError('nan')\nreturn x + 1",
        "return x * (torch.tensor(3) + 1).item()",
        "kept.loss = x.sum().item()\nreturn x / max(float(x.max()), 1e-8), kept.loss * 2",
    ),
    claim("`dropout`, `torch.rand`", "return F.dropout(x) + torch.rand(3)"),
    claim(
        "`torch.no_grad()` and `torch.autocast` inside",
        "with torch.no_grad():\n    y = x * 2\n"
        "with torch.autocast('cpu'):\n    return y + 1",
    ),
    claim(
        'texts of numbers and tensors (`f"step {i}: {loss:.3f}"`), returned, kept, '
        "printed, warned of",
        "print(f'step {1}: {x.sum():.3f}', x)\nreturn '%s' % x.sum().item(), str(x)",
        "warnings.warn(f'loss {x.sum():.2f}')\nprint('step')\nreturn x + 1",
    ),
    claim(
        "in-place operations on inputs and module state",
        "x.add_(1)\nweight.mul_(2)\nreturn x",
    ),
    claim(
        "`torch.autograd.Function`, with gradients; hooks on tensors, and `retain_grad`",
        "return Doubles.apply(x * grads)",
        "y = x * grads\ny.register_hook(lambda g: g * 2)\nreturn y.sum()",
        "y = x * grads\ny.retain_grad()\nreturn y.sum(), y",
        grad=True,
    ),
    claim(
        "`exec` and `eval` of a constant text with dicts",
        "return eval('a + 1', {'a': 1}), x + 1",
    ),
    claim(
        "class statements, if the class stays inside (no `__subclasses__` after hits)",
        "class New:\n    n = 2\nreturn x * New.n",
    ),
    claim(
        "named tuples, dataclasses, instances, closures as results",
        "return Point(x + 1, [kept]), lambda: 1",
    ),
    claim(
        "arrays of numpy that the run made", "return x * float(np.arange(3.0).sum())"
    ),
    claim(
        "raising, and catching what Python code raised",
        "try:\n    raise ValueError\nexcept ValueError:\n    return x + 1",
    ),
]


def make(program: str) -> tuple[Any, Any]:
    """Return the program as a function, and a maker of its argument."""
    import torch

    code = SETUP + "\ndef f(x):\n" + textwrap.indent(program, "    ") + "\n"
    file = "limits.py"
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    space: dict[str, Any] = {"__name__": "limits"}
    exec(compile(code, file, "exec", dont_inherit=True), space)
    return space["f"], lambda: torch.arange(1.0, 4.0)


def run(claim: Claim, program: str) -> tuple[set[str], int]:
    """Return the reasons for breaks and eager calls, and the hits without breaks."""
    import torch

    import magpy

    magpy.reset()
    torch.manual_seed(0)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        torch.set_grad_enabled(claim.grad),
    ):
        warnings.simplefilter("ignore")
        f, argument = make(program)
        fast = magpy.compile(f, backend="eager")
        for _ in range(claim.calls):
            fast(argument())
    stats = magpy.stats(fast)
    reasons = {*stats["breaks"], *stats["reasons"]}
    return reasons, stats["hits"] - stats["partial_hits"]


def is_wrong(name: str, reasons: set[str], hits: int, claim: Claim) -> bool:
    if name == "recorded":
        return bool(reasons) or hits != claim.calls - 1
    return not reasons or hits > 0


def table(name: str) -> str:
    """Return the table `name` of docs/limits.md as the programs show it."""
    claims = RECORDED if name == "recorded" else LIMITS[name]
    lines = ["| program |", "| --- |"]
    if name != "recorded":
        lines = ["| program | reason |", "| --- | --- |"]
    for claim in claims:
        found: set[str] = set()
        for program in claim.programs:
            reasons, hits = run(claim, program)
            if is_wrong(name, reasons, hits, claim):
                raise SystemExit(
                    f"limits.md says of {claim.text!r} what {program!r} does not show: "
                    f"{sorted(reasons)}, {hits} hits"
                )
            found |= reasons
        text = ", ".join(f"`{reason}`" for reason in sorted(found))
        lines.append(f"| {claim.text} | {text} |" if text else f"| {claim.text} |")
    return "\n".join(lines) + "\n"
