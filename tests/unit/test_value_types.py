"""Methods of value types are pure, and what cannot be changed is not guarded.

Each method that the rows call a value's is called with many arguments, in two processes
that differ in all that a process can be told: the answers are the same, and the object and
the arguments are what they were."""

from __future__ import annotations

import copy
import datetime
import gc
import importlib.util
import itertools
import json
import operator
import os
import random
import re
import struct
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("magpy._engine")

from magpy import _engine

HAVE_TORCH = importlib.util.find_spec("torch") is not None
HAVE_NUMPY = importlib.util.find_spec("numpy") is not None
PURE = ("value", "eval", "moves", "numpy", "torch", "unlisted")
# (NaN hashes by address: the rule HASH refuses it.)
LEFT_OUT = (
    "__hash__",
    "__new__",
    "__init_subclass__",
    "__subclasshook__",
    "__sizeof__",
    "__dir__",
)
DESCRIPTORS = (types.MethodDescriptorType, types.WrapperDescriptorType)

DAY = datetime.date(2024, 2, 29)
NOON = datetime.time(12, 30, tzinfo=datetime.UTC)
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, 7)
HOUR = datetime.timedelta(hours=1, microseconds=3)
ZONE = datetime.timezone(HOUR, "zone")


def samples() -> list[Any]:
    """Objects of each such type."""
    found: list[Any] = [
        "", "a b\tÄß", "12", "{0!r:>4} {x}", b"", b"a b\xff12", 0, -7, 300, 0.0, -2.5,
        float("nan"), float("inf"), True, 2 + 3j, None, ..., NotImplemented,
        (), (1, "a", (2.5,)), frozenset(), frozenset({1}), range(0), range(5, 1, -2),
        list[int], int | None, operator.itemgetter(0), operator.attrgetter("real"),
        re.compile(r"(?P<x>\w)\s?"), re.compile(rb"\w"), struct.Struct("<hq"),
        DAY, NOON, MOMENT, HOUR, ZONE,
    ]  # fmt: skip
    if HAVE_TORCH:
        import torch

        found += [
            torch.float16, torch.int64, torch.complex64, torch.strided,
            torch.channels_last, torch.device("cpu"), torch.device("cuda", 1),
            torch.Size([2, 3]), torch.Size([]), torch.per_tensor_affine,
            torch.finfo(torch.float32), torch.iinfo(torch.int8),
        ]  # fmt: skip
    if HAVE_NUMPY:
        import numpy as np

        found += [
            np.float32(2.5), np.float64("nan"), np.int8(-3), np.uint64(2**63), np.bool_(1),
            np.complex64(1 + 2j), np.str_("a 1"), np.bytes_(b"a 1"), np.float16(0.1),
            np.dtype("<i4"), np.dtype([("a", "f8"), ("b", "S3")]), np.dtype(">u2"),
        ]  # fmt: skip
    return found


ARGUMENTS: list[Any] = [
    0, 3, -1, 2.5, "a", "utf-8", "", b"a", True, None, (), (1,), [b"a", "a"], ["a"],
    {"x": 1}, {97: "b"}, int, float, range(2), DAY, MOMENT, HOUR, ZONE, 2j, "d", ">i8",
    slice(0, 1), frozenset({1}), {"a", "b"},
]  # fmt: skip


PAIRED: list[Any] = [0, 3, 2.5, "a", "utf-8", b"a", None, DAY]


def methods(value: Any) -> Iterator[tuple[str, Any]]:
    for owner in type(value).__mro__[:-1]:
        for name, method in list(vars(owner).items()):
            if name in LEFT_OUT or getattr(type(value), name, None) is not method:
                continue  # (date.replace(datetime) shows memory that nobody has set)
            kind = _engine.effect_class(method)
            if kind in PURE and isinstance(method, DESCRIPTORS):
                yield f"{owner.__module__}.{owner.__qualname__}.{name}", method


def text(value: Any) -> str:
    """What it is; an address is none of it."""
    if isinstance(value, (types.BuiltinFunctionType, types.MethodType)):
        return f"{type(value).__name__} {value.__qualname__}"
    if hasattr(type(value), "__next__"):
        return f"{type(value).__name__} {[text(item) for item in value]}"
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__} {sorted(map(text, value))}"
    shown = re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return f"{type(value).__name__} {shown}"


def outcome(method: Any, args: tuple[Any, ...]) -> str:
    try:
        return text(method(*args))
    except Exception as error:
        return f"! {type(error).__name__} {error}"


def sweep() -> dict[str, str]:
    """The outcome of each call."""
    found: dict[str, str] = {}
    for i, value in enumerate(samples()):
        before = text(value)
        for name, method in methods(value):
            pairs = itertools.product(PAIRED, PAIRED)
            for args in [(), *((a,) for a in ARGUMENTS), *pairs]:
                given = copy.deepcopy(args)
                said = outcome(method, (value, *given))
                key = f"{i} {name} {args!r}"
                assert text(given) == text(args), f"{key} changed its arguments"
                assert text(value) == before, f"{key} changed its object"
                assert outcome(method, (value, *given)) == said, f"{key} has answers"
                found[key] = said
    return found


def change_the_process() -> None:
    """All that a program may set and no method of a value may ask."""
    random.seed(5)
    gc.disable()
    sys.setrecursionlimit(3000)
    sys.setswitchinterval(0.1)
    os.umask(0)
    if HAVE_NUMPY:
        import numpy as np

        np.random.seed(5)
        np.setbufsize(16)
    if HAVE_TORCH:
        import torch

        torch.manual_seed(5)
        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        torch.set_printoptions(precision=2)


def answers(changed: bool, tmp_path: Path) -> dict[str, str]:
    env = dict(os.environ, PYTHONHASHSEED="0", TZ="Asia/Tokyo" if changed else "UTC")
    env.update({"LC_ALL": "C", "HOME": "/", "LINES": "7"} if changed else {})
    run = subprocess.run(
        [sys.executable, __file__, *(["changed"] if changed else [])],
        env=env, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


def test_methods_of_values_are_pure(tmp_path: Path) -> None:
    one, other = answers(False, tmp_path), answers(True, tmp_path)
    assert len(one) > 100_000
    assert one.keys() == other.keys()
    assert {key: (one[key], other[key]) for key in one if one[key] != other[key]} == {}


def subclasses(tp: type) -> Iterator[type]:
    yield tp
    for sub in type.__subclasses__(tp):
        if tp is not type or sub is not tp:
            yield from subclasses(sub)


IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def test_types_without_guards_cannot_be_changed() -> None:
    if HAVE_TORCH:
        import torch  # noqa: F401
    count = 0
    for tp in set(subclasses(object)):
        if tp.__name__ == "Union" and tp.__module__ == "_ctypes":
            continue  # its metaclass lets it be changed, and CPython's caches do not notice
        if tp.__flags__ & HEAP and not tp.__flags__ & IMMUTABLE:
            continue
        count += 1
        for change in (
            lambda tp: setattr(tp, "magpy", 1),
            lambda tp: setattr(tp, "__init__", 1),
            lambda tp: setattr(tp, "__bases__", (object,)),
            lambda tp: delattr(tp, "__doc__"),
            lambda tp: vars(tp).update(magpy=1),
        ):
            with pytest.raises((TypeError, AttributeError)):
                change(tp)
    assert count > 200


if __name__ == "__main__":
    if "changed" in sys.argv:
        change_the_process()
    json.dump(sweep(), sys.stdout)
