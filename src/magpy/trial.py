"""What the engine asks when it tries a run that is told that a compiler is at work.

See ``engine/call/trial.h``: the trial's result must be that of the real call, which is told
what eager tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Types whose values are all that there is to them.
_PLAIN = (int, float, complex, bool, str, bytes, range, slice)

#: Deeper nestings of results are not compared, and so do not agree.
_DEEP = 32

#: So deep is looked for what both calls were given.
_GIVEN = 4


class Judge:
    """Keeps random states, and compares results."""

    def save(self) -> Callable[[], None]:
        """Return what puts torch's random generators back."""
        import torch

        cpu = torch.get_rng_state()
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None

        def restore() -> None:
            torch.set_rng_state(cpu)
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)

        return restore

    def restore(self, state: Callable[[], None]) -> None:
        """Put the generators back."""
        state()

    def agree(self, ours: object, theirs: object, given: tuple[Any, ...]) -> str | None:
        """Return where two results differ, None if they agree.

        Tensors agree within the tolerance of their dtype, all else must be equal, and
        what is one object or shares memory in one result does so in the other, with
        what was given (the callable and its arguments), too.  Gradients agree as well, or
        cannot be asked for.
        """
        import torch

        from magpy._engine import raised_by_signal

        try:
            with torch._C.DisableTorchFunctionSubclass():
                twins = _Twins()
                twins.know(getattr(given[0], "__self__", None), _GIVEN)
                for argument in given:
                    twins.know(argument, _GIVEN)
                found = _difference(ours, theirs, "result", _DEEP, twins)
                return found or twins.gradients()
        except Exception as error:  # a tensor without values, an object that refuses
            if raised_by_signal(error):
                raise
            return f"result: {type(error).__name__} while it was compared"


class _Twins:
    """Which objects, and which memory of tensors, stand for which in the other result."""

    def __init__(self) -> None:
        self._ours: dict[Any, Any] = {}
        self._theirs: dict[Any, Any] = {}
        self._given: list[Any] = []
        #: tensors of both results
        self.tensors: list[tuple[Any, Any]] = []

    def pair(self, ours: Any, theirs: Any) -> bool:
        """Is this pairing at one with those before?"""
        forth = self._ours.setdefault(ours, theirs)
        back = self._theirs.setdefault(theirs, ours)
        return bool(forth == theirs and back == ours)

    def know(self, given: Any, deep: int) -> None:
        """Pair what was there before the calls with itself."""
        import torch

        inside: list[Any] = []
        if isinstance(given, (list, tuple)):
            inside = list(given)
        elif isinstance(given, dict):
            inside = list(given.values())
        elif isinstance(given, torch.nn.Module):
            # (Its own methods may do anything.)
            for name in ("_parameters", "_buffers", "_modules"):
                inside += given.__dict__.get(name, {}).values()
        elif isinstance(given, torch.Tensor):
            self._given.append(given)
            self.pair_memory(given, given)
        if not isinstance(given, _PLAIN):
            self.pair(id(given), id(given))
        for part in inside if deep else ():
            self.know(part, deep - 1)

    def pair_memory(self, ours: Any, theirs: Any) -> bool:
        """Pair what two tensors show; memory of no bytes has no address."""
        if "strided" not in str(ours.layout) or "strided" not in str(theirs.layout):
            return True
        a, b = ours.untyped_storage().data_ptr(), theirs.untyped_storage().data_ptr()
        return (a == 0) == (b == 0) and (
            a == 0 or self.pair(("memory", a), ("memory", b))
        )

    def gradients(self) -> str | None:
        """Return in what the gradients of the results differ."""
        if not any(ours.requires_grad for ours, _ in self.tensors):
            return None
        from magpy import _trial_gradients

        return _trial_gradients.difference(self.tensors, self._given)


def _has_only_attributes(kind: type) -> bool:
    """Is the ``__dict__`` all that there is to its instances?  No slots, nothing of C."""
    words = (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ != 0)
    word = tuple.__itemsize__
    return (
        kind.__dictoffset__ != 0
        and kind.__itemsize__ == 0
        and kind.__basicsize__ <= object.__basicsize__ + words * word
    )


def _difference(
    ours: Any, theirs: Any, path: str, deep: int, twins: _Twins
) -> str | None:
    import torch

    kind = type(ours)
    if kind is not type(theirs):
        return f"{path}: {kind.__name__} instead of {type(theirs).__name__}"
    if kind not in _PLAIN and not twins.pair(id(ours), id(theirs)):
        return f"{path}: shared in one result only"
    if isinstance(ours, torch.Tensor):
        if not twins.pair_memory(ours, theirs):
            return f"{path}: memory that is shared in one result only"
        twins.tensors.append((ours, theirs))
        return _tensor_difference(ours, theirs, path)
    if ours is theirs:
        return None
    if deep == 0:
        return f"{path}: nested too deeply"
    parts: list[tuple[str, Any, Any]] = []
    if issubclass(kind, (tuple, list)):
        if len(ours) != len(theirs):
            return f"{path}: {len(ours)} items instead of {len(theirs)}"
        parts += [
            (f"[{i}]", a, b)
            for i, (a, b) in enumerate(
                zip(kind.__iter__(ours), kind.__iter__(theirs), strict=True)
            )
        ]
    elif issubclass(kind, dict):
        a, b = list(dict.keys(ours)), list(dict.keys(theirs))
        if a != b:
            return f"{path}: other keys"
        parts += [
            (f"[{k!r}]", dict.__getitem__(ours, k), dict.__getitem__(theirs, k))
            for k in a
        ]
    elif kind in (*_PLAIN, torch.device, torch.finfo, torch.iinfo):
        same = ours == theirs or (ours != ours and theirs != theirs)
        return None if same else f"{path}: other value"
    elif not _has_only_attributes(kind):
        return f"{path}: a {kind.__name__} that cannot be compared"
    own, other = (getattr(v, "__dict__", {}) for v in (ours, theirs))
    if list(own) != list(other):
        return f"{path}: other attributes"
    parts += [(f".{k}", own[k], other[k]) for k in own]
    for part, a, b in parts:
        found = _difference(a, b, path + part, deep - 1, twins)
        if found:
            return found
    return None


def _tensor_difference(ours: Any, theirs: Any, path: str) -> str | None:
    from magpy.verify import same_values

    for name in ("dtype", "device", "shape", "layout", "requires_grad"):
        a, b = getattr(ours, name), getattr(theirs, name)
        if a != b:
            return f"{path}: {name} is {a} instead of {b}"
    import torch

    if theirs.device.type == "meta":
        return None
    with torch.no_grad():
        return None if same_values(ours, theirs, False) else f"{path}: other values"
