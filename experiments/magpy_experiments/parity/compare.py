"""Two object graphs, eager's and a compiler's: the first difference, in words.

Values, types, structure, and identity: what is one object on one side must be one object
on the other.  Modules are compared by their attributes, so hidden state is found, too.
"""

from __future__ import annotations

import math
import types
from collections import deque
from typing import Any

import numpy
import torch

#: Compared by ``==``; of everything else only the type and what it holds is compared.
_PLAIN = (
    bool, int, complex, str, bytes, type(None), type(Ellipsis), range, slice,
    torch.dtype, torch.device, torch.layout, torch.memory_format, numpy.generic,
)  # fmt: skip
_OPAQUE = (
    type, types.FunctionType, types.BuiltinFunctionType, types.MethodType,
    types.ModuleType, types.GeneratorType,
)  # fmt: skip

#: Attributes that compilers leave behind.
_IGNORED = ("_magpy", "_dynamo", "_is_torch_compile", "_compiled_call_impl")

_MAX_DEPTH = 60

#: Largest relative and absolute difference, where bits need not be equal.
_TOLERANCES = {torch.float16: 1e-2, torch.bfloat16: 2e-2}
_TOLERANCE = 1e-3


class Comparison:
    """Compares pairs of objects, and remembers which objects belong together.

    Args:
        exact: numbers must be equal (NaN equals NaN), and so must strides; else they
            may be a little apart.
        identity: objects must correspond one to one.
    """

    def __init__(self, *, exact: bool = True, identity: bool = True) -> None:
        self._exact = exact
        self._identity = identity
        self._seen: set[tuple[int, int]] = set()
        self._partner: dict[int, int] = {}  # of eager's object
        self._eager: dict[int, int] = {}  # the other way round
        self._kept: list[Any] = []  # so that no id is used twice

    def difference(
        self, expected: Any, actual: Any, path: str = "result", depth: int = 0
    ) -> str:
        """Return the first difference between two objects, or "".

        Args:
            expected: eager's object.
            actual: the other one.
            path: what to call it.
            depth: how deep in the first pair it was found.
        """
        if isinstance(expected, float) and isinstance(actual, float):
            return (
                "" if self._close(expected, actual) else _values(path, expected, actual)
            )
        if isinstance(expected, numpy.ndarray) and expected.shape == ():
            expected = expected[()]
        if type(expected) is not type(actual):
            return f"{path}: type {_type(actual)} instead of {_type(expected)}"
        if isinstance(expected, _PLAIN):
            return "" if expected == actual else _values(path, expected, actual)
        if isinstance(expected, _OPAQUE) or depth > _MAX_DEPTH:
            return ""
        if not isinstance(expected, (tuple, frozenset)):  # copies of those are as good
            if (id(expected), id(actual)) in self._seen:
                return ""
            if not self._note(expected, actual) and self._identity:
                return f"{path}: not the same object as in eager mode"
        if isinstance(expected, torch.Tensor):
            return self._tensor(expected, actual, path)
        if isinstance(expected, numpy.ndarray):
            return self._array(expected, actual, path)
        return self._inside(expected, actual, path, depth + 1)

    def _note(self, expected: Any, actual: Any) -> bool:
        """Note that two objects belong together; False if one has another partner."""
        self._seen.add((id(expected), id(actual)))
        self._kept += (expected, actual)
        partner = self._partner.setdefault(id(expected), id(actual))
        return self._eager.setdefault(id(actual), id(expected)) == id(
            expected
        ) and partner == id(actual)

    def _inside(self, expected: Any, actual: Any, path: str, depth: int) -> str:
        text = ""
        if isinstance(expected, dict):
            text = self._sequence([*expected], [*actual], f"keys of {path}", depth)
            for (key, left), right in zip(
                expected.items(), actual.values() if not text else (), strict=False
            ):
                text = self.difference(left, right, f"{path}[{key!r:.40}]", depth)
                if text:
                    return text
        elif isinstance(expected, (list, tuple, deque)):
            text = self._sequence(expected, actual, path, depth)
        elif isinstance(expected, (set, frozenset)):
            text = self._set(expected, actual, path)
        return text or self._attributes(expected, actual, path, depth)

    def _sequence(self, expected: Any, actual: Any, path: str, depth: int) -> str:
        if len(expected) != len(actual):
            return f"{path}: {len(actual)} items instead of {len(expected)}"
        for i, (left, right) in enumerate(zip(expected, actual, strict=True)):
            text = self.difference(left, right, f"{path}[{i}]", depth)
            if text:
                return text
        return ""

    def _set(self, expected: Any, actual: Any, path: str) -> str:
        if len(expected) != len(actual):
            return f"{path}: {len(actual)} items instead of {len(expected)}"
        if all(isinstance(item, _PLAIN) for item in expected) and expected != actual:
            return _values(path, expected, actual)
        return ""

    def _attributes(self, expected: Any, actual: Any, path: str, depth: int) -> str:
        left = _attributes_of(expected)
        right = _attributes_of(actual)
        if left.keys() != right.keys():
            names = ", ".join(sorted(map(str, left.keys() ^ right.keys())))
            return f"{path}: has only on one side: {names:.100}"
        for name, value in left.items():
            text = self.difference(value, right[name], f"{path}.{name}", depth)
            if text:
                return text
        return ""

    # -- numbers -----------------------------------------------------------------------

    def _close(self, expected: float, actual: float) -> bool:
        if expected == actual or (math.isnan(expected) and math.isnan(actual)):
            return True
        return not self._exact and math.isclose(
            expected, actual, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE
        )

    def _array(self, expected: Any, actual: Any, path: str) -> str:
        if expected.dtype != actual.dtype or expected.shape != actual.shape:
            return (
                f"{path}: {actual.dtype}{list(actual.shape)} instead of "
                f"{expected.dtype}{list(expected.shape)}"
            )
        if expected.dtype.kind not in "biufc":
            return ""
        left, right = torch.from_numpy(expected.copy()), torch.from_numpy(actual.copy())
        return self._numbers(left, right, path)

    def _tensor(self, expected: Any, actual: Any, path: str) -> str:
        for name in ("shape", "dtype", "device", "layout", "requires_grad"):
            left, right = getattr(expected, name), getattr(actual, name)
            if left != right:
                return f"{path}: {name} {_text(right)} instead of {_text(left)}"
        if expected.device.type == "meta":
            return ""
        left, right = expected.detach(), actual.detach()
        if left.layout != torch.strided:
            left, right = left.to_dense(), right.to_dense()
        elif self._exact and left.numel() > 0 and left.stride() != right.stride():
            return f"{path}: stride {right.stride()} instead of {left.stride()}"
        if left.is_quantized:
            left, right = left.int_repr(), right.int_repr()
        return self._numbers(left, right, path)

    def _numbers(self, left: torch.Tensor, right: torch.Tensor, path: str) -> str:
        if torch.equal(left, right):
            return ""
        if not (left.is_floating_point() or left.is_complex()):
            count = int((left != right).sum())
            return f"{path}: {count} of {left.numel()} values differ"
        both_nan = left.isnan() & right.isnan()
        if self._exact:
            same = (left == right) | both_nan
        else:
            limit = _TOLERANCES.get(left.dtype, _TOLERANCE)
            same = torch.isclose(left, right, limit, limit) | both_nan
        if bool(same.all()):
            return ""
        apart = float((left - right).abs().double()[~same].max())
        count = int((~same).sum())
        return f"{path}: {count} of {left.numel()} values differ, by up to {apart:.3g}"


def _attributes_of(obj: Any) -> dict[str, Any]:
    try:
        found = vars(obj)
    except TypeError:
        return {}
    if isinstance(obj, torch.Tensor):
        return {}
    return {k: v for k, v in found.items() if not str(k).startswith(_IGNORED)}


def _type(obj: Any) -> str:
    return type(obj).__qualname__


def _text(value: Any) -> str:
    return str(list(value)) if isinstance(value, torch.Size) else str(value)


def _values(path: str, expected: Any, actual: Any) -> str:
    return f"{path}: {actual!r:.60} instead of {expected!r:.60}"
