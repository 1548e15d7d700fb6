"""What the engine asks when it tries a run that is told that a compiler is at work.

See ``engine/trial.h``: the trial's result must be that of the real call, which is told
what eager tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: Types whose values are all that there is to them.
_PLAIN = (int, float, complex, bool, str, bytes, range, slice)

#: Deeper nestings of results are not compared, and so do not agree.
_DEEP = 32


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

    def agree(self, ours: object, theirs: object) -> str | None:
        """Return where two results differ, None if they agree.

        Tensors agree within the tolerance of their dtype, all else must be equal.
        """
        return _difference(ours, theirs, "result", _DEEP)


def _difference(ours: Any, theirs: Any, path: str, deep: int) -> str | None:
    import torch

    if ours is theirs:
        return None
    kind = type(ours)
    if kind is not type(theirs):
        return f"{path}: {kind.__name__} instead of {type(theirs).__name__}"
    if isinstance(ours, torch.Tensor):
        return _tensor_difference(ours, theirs, path)
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
    elif not hasattr(ours, "__dict__"):
        return f"{path}: a {kind.__name__} that cannot be compared"
    own, other = (getattr(v, "__dict__", {}) for v in (ours, theirs))
    if list(own) != list(other):
        return f"{path}: other attributes"
    parts += [(f".{k}", own[k], other[k]) for k in own]
    for part, a, b in parts:
        found = _difference(a, b, path + part, deep - 1)
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
