"""Every C function of the library, called with arguments that it does not expect.

The recorder looks at the arguments of a call before the call is made, so it meets what
the function is going to refuse: too few, too many, of another type.
"""

import pytest
from crash_runner import run

SOURCE = r"""
import builtins, collections, contextvars, copy, functools, itertools, math, operator
import random, re, types, weakref
SKIP = {
    "input", "breakpoint", "exit", "quit", "open", "exec", "eval", "compile", "print",
    "help", "copyright", "credits", "license", "__import__", "__build_class__",
    "__init_subclass__", "__class_getitem__", "count", "cycle", "repeat", "factorial",
    "perm", "comb", "__pow__", "__rpow__", "pow", "__lshift__", "__rlshift__", "lshift",
    "ilshift", "ipow", "finalize", "__mul__", "__imul__", "__rmul__", "mul", "imul",
}
TYPES = [
    list, dict, set, frozenset, tuple, str, int, float, bytes, object, type, slice, range,
    complex, bool, super, property, staticmethod, classmethod, BaseException,
    collections.deque, collections.OrderedDict, collections.defaultdict,
    types.FunctionType, types.MethodType, types.MappingProxyType, functools.partial,
    contextvars.ContextVar, weakref.ref, type(iter([])), type(i for i in []),
]
class A:
    def __init__(self):
        self.x = 1
class Text(str):
    pass
def one(*a):
    return 1
def values():
    return [
        1, "k", None, [1, 2], {"k": 1}, (1,), {1}, 2.5, A(), A, len, one, range(3),
        iter([1, 2]), collections.deque([1]), slice(1), collections.OrderedDict(a=1),
        frozenset({1}), contextvars.ContextVar("c"), Text("x"), [[1], [2]], True,
    ]
functions = {}
for owner in (builtins, itertools, functools, operator, math, collections, weakref, copy):
    for name, f in vars(owner).items():
        bad = isinstance(f, type) and issubclass(f, BaseException)
        if callable(f) and name not in SKIP and not bad:
            functions[f"{owner.__name__}.{name}"] = f
for owner in TYPES:
    for name, f in vars(owner).items():
        if name not in SKIP and callable(getattr(owner, name, None)):
            f = f if callable(f) else getattr(owner, name)
            functions[f"{owner.__name__}.{name}"] = f
def kind(result):
    return result[0], type(result[1]) if result[0] == "value" else result[1]
def texts(args):
    found = [re.sub(r"0x[0-9a-f]+|\d{9,}", "@", repr(a)) for a in args]
    sets = set, frozenset  # ordered by address
    return [sorted(t) if isinstance(a, sets) else t for a, t in zip(args, found)]
r, n, count = random.Random(SEED), len(values()), 0
for name, f in sorted(functions.items()):
    def call(*a, **k):
        return f(*a, **k)
    for size in (0, 1, 1, 2, 2, 2, 3, 3):
        chosen = [r.randrange(n) for _ in range(size)]
        named = r.choice([{}, {}, {}, {"key": None}, {"default": 1}, {"x": 1}])
        fast = compiled(call)
        for _ in range(3):
            ours, theirs = values(), values()
            a, b = [ours[i] for i in chosen], [theirs[i] for i in chosen]
            want = kind(outcome(call, *b, **named))
            got = kind(outcome(fast, *a, **named))
            where = name, chosen, named
            assert got == want, (*where, got, want)
            assert texts(a) == texts(b), (*where, texts(a), texts(b))
            count += 1
assert count > 10_000, count
print("ok", flush=True)
import os
os._exit(0)  # weakref.finalize and the like have been given nonsense to run
"""


@pytest.mark.parametrize("seed", range(3))
def test_crash_calls(seed):
    run(f"calls {seed}", SOURCE.replace("SEED", str(seed)), "-W", "ignore")
