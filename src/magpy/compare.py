"""Two object graphs, compared: the first difference, in words.

Verify mode and trials ask it, and so do the tests and the experiments, which run a
program eager and compiled.  The two graphs are taken apart in step (`_apart.py`): values,
types, order of keys, attributes, what objects of C hold, the numbers of tensors.  What is
one object in one graph must be one object in the other, and tensors that share memory must
do so in both.

Comparing runs no code of the program.  torch and numpy are looked at only where the program
has imported them.
"""

from __future__ import annotations

import enum
import math
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from magpy._apart import (
    SCALARS,
    SINGLE,
    Apart,
    Pairs,
    is_landmark,
    is_seen_whole,
    is_torch_plain,
)

if TYPE_CHECKING:
    import torch


class Numbers(enum.Enum):
    """How near the numbers of tensors and arrays must be."""

    BITS = "the same bits"
    EQUAL = "the same bits, but any NaN is as good as another"
    CLOSE = "within a tolerance, if they are not whole"
    ANY = "any"


@dataclass(frozen=True)
class Rules:
    """What counts as a difference.

    Attributes:
        numbers: how near numbers in tensors and arrays must be.
        tolerance: relative and absolute, for ``Numbers.CLOSE``.
        tolerances: of other dtypes than most, by name.
        floats: Python's floats may be as far apart, too.
        strides: tensors have the same strides.
        memory: tensors share memory in both graphs or in neither.
        offsets: they begin at the same place of it.
        autograd: ``requires_grad`` and ``grad`` are the same.
        addresses: texts have the same addresses in them.
        copies: for these types a copy is as good as the object.
        opaque: of these types only the type is compared.
        ignored: how names of attributes begin that are left out.
        known_only: an object whose content cannot be seen is a difference.
        outside: an object that is in both was there before, and is not looked into.
    """

    numbers: Numbers = Numbers.BITS
    tolerance: float = 0.0
    tolerances: Mapping[str, float] = field(default_factory=dict)
    floats: bool = False
    strides: bool = True
    memory: bool = True
    offsets: bool = True
    autograd: bool = True
    addresses: bool = True
    copies: tuple[type, ...] = ()
    opaque: tuple[type, ...] = ()
    ignored: tuple[str, ...] = ()
    known_only: bool = False
    outside: bool = False

    def limit(self, dtype: object) -> float:
        """Return the tolerance of a dtype of torch."""
        return self.tolerances.get(str(dtype).removeprefix("torch."), self.tolerance)


#: How an object was reached: the way to what holds it, and its label there.
Way: TypeAlias = Any


class Comparison:
    """Compares pairs of objects, and remembers which objects belong together.

    Args:
        rules: what counts as a difference.

    Attributes:
        tensors: those that were met, in pairs.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self._ours: dict[int, Any] = {}  # by the address of their counterpart
        self._theirs: dict[int, Any] = {}
        self.tensors: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._memory: dict[int, int] = {}
        self._memory_back: dict[int, int] = {}
        self._apart = Apart(self.rules.addresses, self.rules.ignored)
        self._sets: list[tuple[list[Any], list[Any], Way]] = []
        self._stack: list[tuple[Any, Any, Way]] = []

    def difference(self, theirs: Any, ours: Any, path: str = "result") -> str | None:
        """Return the first difference between two objects, or None.

        Args:
            theirs: what it should be: eager's.
            ours: what it is.
            path: what to call it.
        """
        stack = self._stack
        stack.append((theirs, ours, (None, path)))
        while stack or self._sets:
            if not stack:
                found = self._pair_members(*(where := self._sets.pop()))
                way = where[2]
            else:
                a, b, way = stack.pop()
                found = self._one(a, b, way)
            if found is not None:
                stack.clear()
                self._sets.clear()
                return f"{_path(way)}: {found}"
        return None

    def pair(self, theirs: Any, ours: Any) -> bool:
        """Note that two objects belong together; False if one has another partner."""
        known, other = self._ours.get(id(theirs)), self._theirs.get(id(ours))
        good = (known is None or known is ours) and (other is None or other is theirs)
        self._ours[id(theirs)], self._theirs[id(ours)] = ours, theirs
        return good

    def pair_memory(self, theirs: torch.Tensor, ours: torch.Tensor) -> bool:
        """Note the same of the memory of two tensors that are strided."""
        a, b = theirs.untyped_storage(), ours.untyped_storage()
        if not a.nbytes() or not b.nbytes():  # no memory has no address
            return bool(a.nbytes() == b.nbytes())
        here: int = a.data_ptr()
        there: int = b.data_ptr()
        forth = self._memory.setdefault(here, there) == there
        return forth and self._memory_back.setdefault(there, here) == here

    # -- one pair of objects -----------------------------------------------------------

    def _one(self, a: Any, b: Any, way: Way) -> str | None:
        kind = type(a)
        if kind in SCALARS:
            return self._scalar(a, b)
        if self._ours.get(id(a)) is b and self._theirs.get(id(b)) is a:
            return None
        if issubclass(kind, self.rules.opaque):
            return None if kind is type(b) else _types(kind, type(b))
        if is_landmark(a, kind) or is_landmark(b, type(b)):
            return None if a is b else f"{_name(b)} instead of {_name(a)}"
        if kind is not type(b):  # (a program that ran twice has two classes)
            if any(is_landmark(k, type(k)) for k in (kind, type(b))):
                return _types(kind, type(b))
            self._stack.append((kind, type(b), (way, ".__class__")))
        if is_torch_plain(kind):
            return None if a == b and kind is type(b) else _values(a, b)
        if not self.pair(a, b) and not self._may_be_copied(a, kind):
            return "not the same object as in eager mode"
        torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
        if torch is not None and issubclass(kind, torch.Tensor):
            if not issubclass(type(b), torch.Tensor):
                return _types(kind, type(b))
            return self._whole_tensor(a, b, way)
        if numpy is not None and issubclass(kind, (numpy.ndarray, numpy.generic)):
            return self._array(a, b, way)
        if self.rules.outside and a is b:
            return None
        if self.rules.known_only and a is not b and not is_seen_whole(kind):
            return f"a {kind.__name__} that cannot be compared"
        return self._inside(a, b, way)

    def _scalar(self, a: Any, b: Any) -> str | None:
        kind = type(a)
        if kind is not type(b):
            return _types(kind, type(b))
        if kind in SINGLE and a == b:
            return None
        limit = self.rules.tolerance
        if kind is float and self.rules.floats:
            if math.isclose(a, b, rel_tol=limit, abs_tol=limit):
                return None
        return None if self._apart.plain(a) == self._apart.plain(b) else _values(a, b)

    def _may_be_copied(self, value: Any, kind: type) -> bool:
        return (
            issubclass(kind, self.rules.copies) or self._apart.plain(value) is not None
        )

    def _inside(self, a: Any, b: Any, way: Way) -> str | None:
        facts, inside = self._apart.parts(a)
        other_facts, others = self._apart.parts(b)
        if facts != other_facts:
            return _facts(facts, other_facts)
        found = _labels(inside, others)
        if found is not None:
            return found
        for (label, left), (_, right) in zip(
            reversed(inside), reversed(others), strict=True
        ):
            self._stack.append((left, right, (way, label)))
        if issubclass(type(a), (set, frozenset)):
            members = [self._apart.members(v) for v in (a, b)]
            if any(members):
                self._sets.append((*members, way))
        return None

    def _pair_members(self, left: list[Any], right: list[Any], way: Way) -> str | None:
        """Pair members of two sets, when all that is known of them is known.

        Members that were met elsewhere have partners.  The others are paired in an order
        that follows from their types and plain attributes.
        """
        partners = {id(m) for m in right}
        fresh = []
        for member in left:
            known = self._ours.get(id(member))
            if known is None:
                fresh.append(member)
            elif id(known) in partners:
                partners.remove(id(known))
            else:
                return "other members"
        others = [m for m in right if id(m) in partners]
        if len(fresh) != len(others):
            return f"{len(right)} members instead of {len(left)}"
        fresh.sort(key=self._order)
        others.sort(key=self._order)
        self._stack += [
            (a, b, (way, ".pop()")) for a, b in zip(fresh, others, strict=True)
        ]
        return None

    def _order(self, value: Any) -> tuple[str, str]:
        plain = [
            (n, self._apart.plain(v))
            for n, v in self._apart.attributes(value, type(value))
        ]
        return type(value).__qualname__, str([p for p in plain if p[1] is not None])

    # -- tensors and arrays ------------------------------------------------------------

    def _whole_tensor(self, theirs: Any, ours: Any, way: Way) -> str | None:
        """Numbers and metadata; what hangs on a tensor comes later."""
        import torch

        self.tensors.append((theirs, ours))
        with torch._C.DisableTorchFunctionSubclass():
            found = self.tensor(theirs, ours)
            if self.rules.autograd:
                a, b = (t.grad if t.is_leaf else None for t in (theirs, ours))
                self._stack.append((a, b, (way, ".grad")))
        left, right = (self._apart.attributes(t, type(t)) for t in (theirs, ours))
        found = found or _labels(left, right)
        if found is not None:
            return found
        for (label, a), (_, b) in zip(left, right, strict=True):
            self._stack.append((a, b, (way, label)))
        return None

    def _steps(self, t: torch.Tensor) -> tuple[int, ...]:
        """Strides that count; a compiler chooses those of single items as it likes."""
        steps: tuple[int, ...] = t.stride()
        if self.rules.numbers is not Numbers.CLOSE:
            return steps
        pairs = zip(steps, t.shape, strict=True)
        return tuple(stride if size != 1 else 0 for stride, size in pairs)

    def tensor(
        self, theirs: torch.Tensor, ours: torch.Tensor, numbers: Numbers | None = None
    ) -> str | None:
        """Return the first difference of two tensors alone.

        Args:
            theirs: eager's.
            ours: the other one.
            numbers: instead of that of the rules.
        """
        import torch

        names = ("dtype", "device", "shape", "layout")
        for name in (*names, "requires_grad") if self.rules.autograd else names:
            a, b = getattr(theirs, name), getattr(ours, name)
            if a != b:
                return f"{name} is {_shown(b)} instead of {_shown(a)}"
        if hasattr(type(theirs), "__tensor_flatten__"):
            return None  # no memory of its own: what it is made of is compared
        if theirs.layout is torch.strided:
            if self.rules.strides and self._steps(theirs) != self._steps(ours):
                return f"strides are {ours.stride()} instead of {theirs.stride()}"
            if self.rules.memory and not self.pair_memory(theirs, ours):
                return "other tensors share its memory"
            offset, other = theirs.storage_offset(), ours.storage_offset()
            if self.rules.offsets and offset != other:
                return f"begins at {other} of its memory instead of {offset}"
        numbers = numbers or self.rules.numbers
        if theirs is ours or theirs.device.type == "meta" or numbers is Numbers.ANY:
            return None
        with torch.no_grad():
            return self.values(theirs, ours, numbers)

    def values(
        self, theirs: torch.Tensor, ours: torch.Tensor, numbers: Numbers | None = None
    ) -> str | None:
        """Return how the numbers of two tensors differ that are alike otherwise."""
        import torch

        numbers = numbers or self.rules.numbers
        a, b = _dense(theirs), _dense(ours)
        if not a.numel() or torch.equal(_bytes(a), _bytes(b)):
            return None
        whole = not (a.is_floating_point() or a.is_complex())
        if whole or numbers is Numbers.BITS:
            same = a == b
        elif numbers is Numbers.EQUAL:
            nan = a.isnan() & b.isnan()
            if torch.equal(_bytes(a[~nan]), _bytes(b[~nan])):
                return None
            same = (a == b) | nan
        else:
            limit = self.rules.limit(a.dtype)
            same = torch.isclose(a, b, rtol=limit, atol=limit, equal_nan=True)
            if bool(same.all()):
                return None
        count = int((~same).sum())
        if not count:
            return "numbers differ in their bits"
        text = f"{count} of {a.numel()} values differ"
        if whole:
            return text
        wide = torch.complex128 if a.is_complex() else torch.float64
        apart = float((a.to(wide) - b.to(wide)).abs()[~same].max())
        return f"{text}, by up to {apart:.3g}"

    def _array(self, theirs: Any, ours: Any, way: Way) -> str | None:
        """Arrays and scalars of numpy; what a subclass adds is in its dict."""
        plain = sys.modules["numpy"].ndarray
        if isinstance(theirs, plain) and type(theirs) is not plain:
            left, right = (getattr(v, "__dict__", None) for v in (theirs, ours))
            self._stack.append((left, right, (way, ".__dict__")))
            theirs, ours = (plain.view(v, plain) for v in (theirs, ours))
        for name in ("dtype", "shape"):
            a, b = getattr(theirs, name), getattr(ours, name)
            if a != b:
                return f"{name} is {b} instead of {a}"
        if theirs.dtype.hasobject:
            items = zip(theirs.ravel().tolist(), ours.ravel().tolist(), strict=True)
            self._stack += [(a, b, (way, i)) for i, (a, b) in enumerate(items)]
            return None
        if theirs.tobytes() == ours.tobytes():
            return None
        torch = sys.modules.get("torch")
        if torch is None or theirs.dtype.kind not in "iufc":
            return "other numbers"
        try:
            left, right = (torch.tensor(array) for array in (theirs, ours))
        except TypeError:  # a dtype that torch does not have
            return "other numbers"
        return self.values(left, right)


# -- numbers and words -----------------------------------------------------------------


def _dense(t: torch.Tensor) -> torch.Tensor:
    import torch

    t = t.detach()
    if t.layout is not torch.strided:
        t = t.to_dense()
    return t.int_repr() if t.is_quantized else t.resolve_conj().resolve_neg()


def _bytes(t: torch.Tensor) -> torch.Tensor:
    import torch

    return t.contiguous().view(-1).view(torch.uint8)


def _path(way: Way) -> str:
    parts: list[str] = []
    while way is not None:
        way, label = way
        if type(label) is tuple:
            key = label[0]
            label = f"[{key!r:.40}]" if type(key) in SCALARS else "[...]"
        parts.append(f"[{label}]" if type(label) is int else label)
    return "".join(reversed(parts))


def _name(value: Any) -> str:
    kind = type(value)
    named = kind is types.FunctionType or issubclass(kind, (type, types.ModuleType))
    if not named:
        return f"a {kind.__qualname__}"
    return str(
        value.__name__ if issubclass(kind, types.ModuleType) else value.__qualname__
    )


def _types(theirs: type, ours: type) -> str:
    return f"type {ours.__qualname__} instead of {theirs.__qualname__}"


def _shown(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _values(theirs: Any, ours: Any) -> str:
    return f"{ours!r:.60} instead of {theirs!r:.60}"


def _labels(theirs: Pairs, ours: Pairs) -> str | None:
    """Return how the names of attributes differ, which count with their order."""
    left, right = ([k for k, _ in pairs if type(k) is str] for pairs in (theirs, ours))
    if left == right and len(theirs) == len(ours):
        return None
    if only := sorted(name.removeprefix(".") for name in {*left} ^ {*right}):
        return f"has only on one side: {', '.join(only):.100}"
    return (
        f"other attributes, or another order: {right!r:.100} instead of {left!r:.100}"
    )


def _facts(
    theirs: tuple[tuple[str, Any], ...], ours: tuple[tuple[str, Any], ...]
) -> str:
    for (name, a), (other, b) in zip(theirs, ours, strict=False):
        if (name, a) == (other, b):
            continue
        if name != other:
            break
        if name == "members":
            return f"members {sorted(map(str, b - a))} instead of {sorted(map(str, a - b))}"
        return f"{name}: {b!r:.100} instead of {a!r:.100}"
    return f"{ours!r:.100} instead of {theirs!r:.100}"
