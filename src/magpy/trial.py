"""What the engine asks when it tries a run that is told that a compiler is at work.

See ``engine/call/trial.h``: the trial's result must be that of the real call, which is told
what eager tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from magpy.compare import Comparison
from magpy.verify import CLOSE

#: Tensors agree within the tolerance of their dtype, and all else must be equal.
_RULES = replace(CLOSE, memory=True, autograd=True, known_only=True, outside=True)

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

    def agree(
        self,
        ours: object,
        theirs: object,
        given: tuple[Any, ...],
        writes: tuple[tuple[Any, Any, Any], ...] = (),
    ) -> str | None:
        """Return where two results differ, or what was written; None if they agree.

        Tensors agree within the tolerance of their dtype, all else must be equal, and
        what is one object or shares memory in one result does so in the other, with
        what was given (the callable and its arguments), too.  Gradients agree as well, or
        cannot be asked for.

        Args:
            ours: the result of the trial.
            theirs: that of the real call.
            given: what both could reach.
            writes: names or keys that the trial has set, with its values and the real ones.
        """
        import torch

        from magpy import _trial_gradients
        from magpy._engine import raised_by_signal

        tensors: list[Any] = []
        try:
            with torch._C.DisableTorchFunctionSubclass():
                comparison = Comparison(_RULES)
                for known in (getattr(given[0], "__self__", None), *given):
                    _know(comparison, known, _GIVEN, tensors)
                found = comparison.difference(theirs, ours)
                for key, wrote, now in writes:
                    path = f"what is written to {key!r}"
                    found = found or comparison.difference(now, wrote, path)
                pairs = [(b, a) for a, b in comparison.tensors]
                if found or not any(b.requires_grad for b, _ in pairs):
                    return found
                return _trial_gradients.difference(pairs, tensors)
        except Exception as error:  # a tensor without values, an object that refuses
            if raised_by_signal(error):
                raise
            return f"result: {type(error).__name__} while it was compared"


def _know(comparison: Comparison, given: Any, deep: int, tensors: list[Any]) -> None:
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
        tensors.append(given)
        if given.layout is torch.strided:
            comparison.pair_memory(given, given)
    comparison.pair(given, given)
    for part in inside if deep else ():
        _know(comparison, part, deep - 1, tensors)
