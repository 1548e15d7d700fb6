"""What `_effects.py` says of operations against what they do.

Public callables are run with whatever arguments they take: those that move the random
generator must be known to draw, those that change an argument to write it, and those that
raise for other values of the same kind to raise.  In a process of its own, because some
combinations of arguments are hostile.
"""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F

from magpy import _effects, _torch_table
from magpy._transaction import draws, may_raise


def effects(target):
    return _effects.effects_of(target)


def engine_text(name):
    from pathlib import Path

    return (Path(__file__).parents[2] / "engine" / name).read_text()


def test_bits_are_those_of_the_engine():
    text = engine_text("objects/operators.h")
    assert f"MP_OP_RANDOM = {_effects.RANDOM}," in text
    assert f"MP_OP_RAISES = {_effects.RAISES}," in text


def test_numbers_of_transactions_are_those_of_the_engine():
    from magpy import _transaction

    text = engine_text("call/cache.h")
    for name, flag in (
        ("SAVES", _transaction.SAVES),
        ("INPUTS", _transaction.TAKES_INPUTS),
        ("RAISES", _transaction.MAY_RAISE),
        ("CHANGES", _transaction.CHANGES),
        ("CAUGHT", _transaction.CAUGHT),
    ):
        assert f"MP_UNDO_{name} = {flag}," in text
    limit = f"UNDO_BYTES = {_transaction.LIMIT >> 20} << 20;"
    assert limit in engine_text("graph/writes.c")


def test_tags_tell_what_draws():
    """Every operator with the tag, by whichever callable programs reach it."""
    table, missing = _torch_table.build(), []
    for callable_ in table:
        name = getattr(callable_, "__name__", None)
        if not isinstance(name, str) or isinstance(callable_, type):
            continue
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
            try:
                found = torch._C._get_operation_overload(
                    schema.name, schema.overload_name
                )
            except RuntimeError:
                continue
            if found and torch.Tag.nondeterministic_seeded in found[2]:
                named = effects(callable_)
                if not named.draws and isinstance(
                    callable_, (type(torch.add), type(torch.Tensor.add))
                ):
                    missing.append(name)
    assert missing == []


def test_schemas_tell_what_is_written():
    wrong = []
    for name, method in vars(torch._C.TensorBase).items():
        if not isinstance(method, type(torch._C.TensorBase.add_)):
            continue
        if name.endswith("_") and not name.endswith("__") and "requires" not in name:
            operators = torch._C._jit_get_schemas_for_operator(f"aten::{name}")
            if operators and not any(
                (0, "self") in w.arguments for w in effects(method).writes
            ):
                wrong.append(name)
    assert wrong == []


NEVER_DRAW = [
    (torch.dropout, (0, 0.5, False), {}),
    (F.dropout, (0, 0.5, False), {}),
    (F.dropout, (0,), {"p": 0}),
    (F.dropout, (0, 0.0), {}),
    (F.rrelu, (0,), {}),
    (F.scaled_dot_product_attention, (0, 0, 0), {}),
    (F.scaled_dot_product_attention, (0, 0, 0, None, 0.0), {}),
    (F.alpha_dropout, (0,), {"training": False}),
    ("dropout_of_nothing", (), {}),
]


@pytest.mark.parametrize(("target", "args", "kwargs"), NEVER_DRAW[:-1])
def test_some_arguments_keep_from_drawing(target, args, kwargs):
    assert not draws((target, args, kwargs, None))


@pytest.mark.parametrize(
    ("target", "args", "kwargs"),
    [
        (torch.dropout, (0, 0.5, True), {}),
        (F.dropout, (0,), {}),
        (F.dropout, (0, 1.0), {}),
        (F.rrelu, (0,), {"training": True}),
        (F.scaled_dot_product_attention, (0, 0, 0), {"dropout_p": 0.1}),
        (torch.bernoulli, (0, 0.0), {}),
        (torch.lstm, (0,), {}),
        (torch.svd_lowrank, (0,), {}),
        ("normal_", (0,), {}),
        ("no_such_method", (0,), {}),
    ],
)
def test_what_draws(target, args, kwargs):
    assert draws((target, args, kwargs, None))


def test_what_may_raise_follows_from_arguments():
    import operator

    index, remainder = operator.getitem, operator.mod
    tensor = object()
    assert not may_raise((index, (tensor, (slice(1, None), None, ..., 3)), {}, None))
    assert may_raise((index, (tensor, (slice(1, None), tensor)), {}, None))
    assert may_raise((index, (tensor, [1, 2]), {}, None))
    assert not may_raise((remainder, (tensor, 2), {}, None))
    assert may_raise((remainder, (tensor, 0), {}, None))
    assert may_raise((remainder, (tensor, tensor), {}, None))
    assert not may_raise(("div", (tensor, tensor), {}, None))
    assert may_raise(("div", (tensor, tensor), {"rounding_mode": "floor"}, None))
    assert may_raise((lambda x: x, (tensor,), {}, None))


def test_nothing_of_the_program_is_kept():
    import gc
    import weakref

    tensor = torch.ones(3)
    seen = weakref.ref(tensor)
    effects(tensor.add_)
    scripted = torch.jit.script(_twice)
    script = weakref.ref(scripted)
    assert effects(scripted).raises
    del tensor, scripted
    gc.collect()
    assert seen() is None
    assert script() is None or torch.jit._state._try_get_jit_cached_function(_twice)


def _twice(x):
    return x * 2


SWEEP = """
import faulthandler, itertools, operator, sys, types, warnings
import torch, torch.nn.functional as F
from magpy import _effects, _torch_table
from magpy._torch_table import OpFlag
from magpy._transaction import draws, may_raise
faulthandler.enable()
warnings.simplefilter("ignore")
torch.manual_seed(0)

def kinds(value):
    f = lambda *s: torch.full(s, float(value))
    i = lambda *s: torch.full(s, int(min(max(value, -9), 9)) if value == value else 1)
    return {
        "f": f(4, 4), "v": f(4), "b": f(2, 4, 4), "c": f(1, 2, 4, 4),
        "i": i(4), "j": i(4, 4), "m": f(4, 4) > 0, "s": [f(4, 4), f(4, 4)],
        "1": 1, "2": 2, "h": 0.5, "z": (2, 2), "t": True,
    }

SHAPES = [
    "f", "v", "b", "c", "i", "j", "ff", "vv", "fv", "bb", "ii", "jj", "if", "ji", "fi",
    "fj", "f1", "f2", "fh", "i1", "j2", "b1", "c2", "fm", "mf", "mff", "fff", "vvv", "ffh",
    "f1i", "f1j", "f1if", "j1j", "f1jf", "fji", "s", "ss", "s1", "sh", "z", "2", "hz",
    "vv1", "fz", "ffv", "bbb", "cff", "fvv", "bvv", "ft", "f1t", "fht", "ffff", "f22",
]
BAD = [0.0, -1.0, 1.0, 7.0, 1e30, float("nan"), float("inf")]

def bits(value):
    if isinstance(value, list):
        return [bits(v) for v in value]
    if not isinstance(value, torch.Tensor) or not value.numel():
        return None
    return value.contiguous().view(torch.uint8).numpy().tobytes()

def run(target, pattern, value):
    pool = kinds(value)
    args = [[t.clone() for t in a] if isinstance(a, list)
            else a.clone() if isinstance(a, torch.Tensor) else a
            for a in (pool[p] for p in pattern)]
    before = [bits(a) for a in args]
    state = torch.get_rng_state()
    error = None
    try:
        target(*args)
    except Exception as e:
        error = e
    moved = not torch.equal(state, torch.get_rng_state())
    written = {at for at, a in enumerate(args) if bits(a) != before[at]}
    return args, error, moved, written

table = _torch_table.build()
problems, ran = [], 0
names = {}
spaces = (torch, F, torch.linalg, torch.special, torch.fft, torch.Tensor, torch.nn.init)
for space in spaces:
    for name in dir(space):
        names.setdefault(id(getattr(space, name)), (name, getattr(space, name)))
for name, target in names.values():
    try:
        flags = OpFlag(table.get(target, 0))
    except TypeError:
        continue
    if not flags & OpFlag.CALL or flags & OpFlag.REFUSE or isinstance(target, type):
        continue
    if name.startswith("_") and not name.startswith("__"):
        continue
    if name in ("eigvals", "linalg_eigvals"):
        continue  # a matrix of NaN kills the process
    if isinstance(target, types.GetSetDescriptorType):
        continue
    for pattern in SHAPES:
        good = run(target, pattern, 0.5)
        if good[1] is not None and run(target, pattern, 1.0)[1] is not None:
            continue
        ran += 1
        says = _effects.effects_of(target)
        told = {at for write in says.writes for at, _ in write.arguments}
        for value in (0.5,) if says.raises and says.draws else (0.5, *BAD):
            args, error, moved, written = run(target, pattern, value)
            op = (target, tuple(args), {}, None)
            if error is None and moved and not draws(op):
                problems.append(f"{name}({pattern}) draws")
            if error is None and not written <= told:
                problems.append(f"{name}({pattern}) writes")
            if error is not None and not may_raise(op):
                problems.append(f"{name}({pattern}) raises for {value}: {str(error)[:70]}")
print("\\nran:", ran)
for problem in dict.fromkeys(problems):
    print("wrong:", problem)
"""


def test_sweep():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SWEEP)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()  # libraries of linear algebra print, too
    assert [line for line in lines if line.startswith("wrong:")] == []
    assert int(next(line for line in lines if line.startswith("ran:"))[4:]) > 5000
