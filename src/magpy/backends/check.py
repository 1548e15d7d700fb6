"""Compare a compiled graph with the recorded operations, once, when it is compiled.

Compilers have faults of their own: a write through a view that is lost, an offset that is
ignored, strides that are others, a result that is no leaf.  Both run on copies of the
inputs.  Only what differs grossly counts: rounding is the compiler's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from magpy.backends.base import Executable
    from magpy.graph import Spec

_LOOSE = 0.05  # of the largest number
_COPIED = 1 << 28  # bytes of inputs that are copied although nothing tells of a write
_META = ("shape", "dtype", "device", "layout", "requires_grad", "is_leaf")


def difference(
    spec: Spec,
    recorded: Callable[..., Any],
    compiled: Executable,
    inputs: Sequence[Any],
    draws_alike: bool = False,
) -> str:
    """Return in what the two differ for these inputs; "" if in nothing.

    Both begin with the same random states, and leave others; with `draws_alike` those
    must be the same, too, as must be what was drawn.

    Nothing is said of graphs that raise, or whose operations are somebody's own code.
    """
    if not all(map(_is_torchs_own, _targets(spec))):
        return ""
    notes = spec[3]
    written = notes.get("mutated", ())
    run, boxed = compiled
    try:
        ours = _copies(inputs, written)
        theirs = _copies(inputs, written)
        states = _random_states()
        wanted = recorded(*theirs)
        states_after = _random_states()
    except Exception:
        return ""
    for generator, state in states:
        generator.set_state(state)
    try:
        got = run(list(ours)) if boxed else run(*ours)
    except Exception as error:
        return f"it raises {type(error).__name__}"
    if len(got) != len(wanted):
        return "the number of results"
    if draws_alike and not all(
        (generator.get_state() == state).all() for generator, state in states_after
    ):
        return "how often it draws a random number"
    any_values = _with_any_values(spec, draws_alike)
    for at, (left, right) in enumerate(zip(got, wanted, strict=True)):
        what = _different(left, right, spec[2][at] not in any_values)
        if what:
            return f"{what} of result {at}"
    ours, theirs = list(filter(_is_tensor, ours)), list(filter(_is_tensor, theirs))
    if _sharing([*ours, *got]) != _sharing([*theirs, *wanted]):
        return "which results share memory"
    if _objects([*ours, *got]) != _objects([*theirs, *wanted]):
        return "which results are one tensor"
    for at, (left, right) in enumerate(zip(ours, theirs, strict=True)):
        what = "" if left is right else _different(left, right, not any_values)
        if what:
            return f"{what} of input {at}"
    return ""


def _is_tensor(x: Any) -> bool:
    import torch

    return isinstance(x, torch.Tensor)


def _random_states() -> list[tuple[torch.Generator, torch.Tensor]]:
    from magpy._transaction import generators

    return [(generator, generator.get_state()) for generator in generators()]


def _has_any_values(op: Any, draws_alike: bool) -> bool:
    """Is what it answers random, or memory that nobody has set?"""
    from magpy._effects import effects_of
    from magpy._transaction import draws

    return (draws(op) and not draws_alike) or effects_of(op[0]).undefined


def _with_any_values(spec: Spec, draws_alike: bool) -> set[int]:
    """Return the numbers of the values that two runs need not have in common."""
    from magpy._effects import effects_of

    found: set[int] = set()
    for op in spec[0]:
        target, args, kwargs, result = op
        given = set(_numbers((args, kwargs)))
        if _has_any_values(op, draws_alike) or not found.isdisjoint(given):
            writes = effects_of(target).writes
            written = given if writes else _numbers(kwargs.get("out"))
            # What shares memory with it is not known, unless it had any values before.
            if not found.issuperset(written):
                return {*range(spec[1]), *spec[2]}
            found.update(_numbers(result))
    return found


def _numbers(value: Any) -> Iterator[int]:
    """Walk through the numbers of the values in arguments or a result of an operation."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, slice):
        yield from _numbers((value.start, value.stop, value.step))
    elif type(value).__name__ == "Value":
        yield value.index


def _targets(spec: Spec) -> Iterator[Any]:
    return (target for target, *_ in spec[0])


def _is_torchs_own(target: Any) -> bool:
    """Is running it once more nobody's business?"""
    import torch

    if isinstance(target, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        name = getattr(target, "_qualified_op_name", None) or target.name()
        return str(name).startswith(("aten::", "prims::"))
    home = getattr(target, "__module__", None) or ""
    return not (isinstance(target, torch._library.custom_ops.CustomOpDef)) and (
        isinstance(target, str)
        or home.partition(".")[0] in ("torch", "_operator", "operator", "builtins", "")
    )


def _copies(inputs: Sequence[Any], written: Sequence[int]) -> list[Any]:
    """Return the inputs, with memory of their own for those that are written to.

    Not all operations tell of their writes, so others get it, too, if they are small.
    """
    import torch

    copies = list(inputs)
    left = _COPIED
    for at, x in enumerate(inputs):
        if not isinstance(x, torch.Tensor):
            continue
        left -= x.untyped_storage().nbytes()
        if at not in written and (left < 0 or isinstance(x, torch.nn.Parameter)):
            continue
        with torch.no_grad():
            room = x.untyped_storage().clone()
            copy = torch.empty(0, dtype=x.dtype, device=x.device)
            copy.set_(room, x.storage_offset(), x.shape, x.stride())
        copies[at] = copy.requires_grad_(x.requires_grad)
    return copies


def _different(ours: Any, theirs: Any, values: bool) -> str:
    import torch

    if type(ours) is not type(theirs):
        return "the type"
    if not isinstance(theirs, torch.Tensor):
        return ""
    for name in _META:
        if getattr(ours, name) != getattr(theirs, name):
            return f"the {name}"
    if theirs.layout is torch.strided and theirs.numel() > 1:
        if _strides(ours) != _strides(theirs):
            return "the strides"
    return "the numbers" if values and _is_far(ours, theirs) else ""


def _strides(x: torch.Tensor) -> list[int]:
    return [
        stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1
    ]


def _is_far(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    import torch

    if theirs.layout is not torch.strided or not theirs.numel() or theirs.is_meta:
        return False
    with torch.no_grad():
        a, b = ours.detach(), theirs.detach()
        if not (b.is_floating_point() or b.is_complex()):
            return bool((a != b).double().mean() > _LOOSE)
        known = torch.isfinite(b)
        if bool((torch.isfinite(a) != known).double().mean() > _LOOSE):
            return True
        known &= torch.isfinite(a)
        if not bool(known.any()):
            return False
        a, b = a[known].to(torch.complex128), b[known].to(torch.complex128)
        return bool((a - b).abs().max() > _LOOSE * (b.abs().max() + 1e-3))


def _objects(tensors: Sequence[Any]) -> list[int]:
    """Return for each tensor the place of the first one that is the same object."""
    first: dict[int, int] = {}
    return [first.setdefault(id(x), at) for at, x in enumerate(tensors)]


def _sharing(tensors: Sequence[Any]) -> list[int]:
    """Return for each tensor the place of the first one with its memory."""
    import torch

    first: dict[int, int] = {}
    found = []
    for at, x in enumerate(tensors):
        storage = x.untyped_storage() if x.layout is torch.strided else None
        key = storage._cdata if storage is not None and storage.nbytes() else -1 - at
        found.append(first.setdefault(key, at))
    return found
