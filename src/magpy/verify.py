"""Verify mode: hits prove themselves against the real call; see docs/verify.md.

The engine decides which hit is verified, makes the real call, and compares guards and
effects (``engine/verify/verify.c``).  What needs torch is done here: the graph runs dry, on
clones of what it writes and with random states put back, and its tensors are compared
with those of the real call.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from magpy import logs, notices
from magpy.compare import Comparison, Numbers, Rules
from magpy.errors import VerifyError

if TYPE_CHECKING:
    import torch

    from magpy.graph import Spec

# Results of a backend that is not bitwise; two runs may use memory at other places.
CLOSE = Rules(
    numbers=Numbers.CLOSE,
    tolerance=2e-2,
    tolerances={
        **dict.fromkeys(("float64", "complex128"), 1e-7),
        **dict.fromkeys(("float32", "complex64"), 1e-4),
    },
    strides=False,
    memory=False,
    offsets=False,
    autograd=False,
)
_EXACT = replace(CLOSE, numbers=Numbers.EQUAL, strides=True, memory=True)


@dataclass
class DryRun:
    """What a graph did when it ran dry.

    Attributes:
        error: what it raised, or None.
        outputs: its results, without their autograd history.
        grads: which of them required gradients, and then which written inputs do.
        written: position of each written input, its clone, and the live tensor, weak:
            it dies when it does in eager.
        random: it drew random numbers.
        empty: it made tensors that it need not have filled.
    """

    error: Exception | None = None
    outputs: list[torch.Tensor] = field(default_factory=list)
    grads: list[bool] = field(default_factory=list)
    written: list[tuple[int, torch.Tensor, weakref.ref[torch.Tensor]]] = field(
        default_factory=list
    )
    random: bool = False
    empty: bool = False


class Verifier:
    """What the engine asks while it verifies one compiled object.

    Args:
        name: how messages call the object.
        exact: results must agree bit by bit, as those of backend "eager" do.
        raises: a divergence raises :class:`magpy.VerifyError` instead of a warning.
    """

    def __init__(self, name: str, *, exact: bool, raises: bool) -> None:
        self.name = name
        self.exact = exact
        self.raises = raises
        self._warned = False

    # -- called by the engine --------------------------------------------------------

    def run(
        self,
        spec: Spec,
        call: Callable[..., Any],
        boxed: bool,
        inputs: Sequence[torch.Tensor],
    ) -> DryRun:
        """Run a graph such that nothing but its answer is left of it."""
        from magpy import seal
        from magpy._engine import raised_by_signal

        dry = DryRun(empty=_makes_empty(spec[0]))
        arguments = list(inputs)
        clones = _cloned(inputs, spec[3].get("mutated", ()))
        dry.written = [(at, c, weakref.ref(inputs[at])) for at, c in clones.items()]
        for at, clone in clones.items():
            arguments[at] = clone
        with seal.sealed(), _generators_kept(spec[0]):
            before = _random_states()
            try:
                answer = call(arguments) if boxed else call(*arguments)
            except Exception as error:
                if raised_by_signal(error):
                    raise
                dry.error = error.with_traceback(None)
                return dry
            dry.random = before != _random_states()
        _forget_history(dry, answer)
        return dry

    def forget(self, messages: Iterable[Any]) -> None:
        """Let warnings of a dry run, which nobody has seen, be given again."""
        from magpy._transaction import forget

        for message in messages:
            forget(message)

    def raised(self, dry: DryRun) -> bool:
        """Did the graph raise?"""
        return dry.error is not None

    def compare(
        self, dry: DryRun, outputs: Sequence[torch.Tensor], spec: Spec | None
    ) -> str | None:
        """Return the first difference between the dry run and the real call."""
        if dry.error is not None:
            return f"the graph raised {type(dry.error).__name__}: {dry.error}"
        written = {at for at, _, _ in dry.written}
        now = set(spec[3].get("mutated", ())) if spec is not None else set()
        if now - written:
            return f"the real call writes inputs {sorted(now - written)}, too"
        if len(outputs) != len(dry.outputs):
            return f"{len(dry.outputs)} tensors instead of {len(outputs)}"
        comparison = Comparison(_EXACT if self.exact else CLOSE)
        found: str | None
        for i, (ours, theirs) in enumerate(zip(dry.outputs, outputs, strict=True)):
            if dry.grads[i] != _requires_grad(theirs):
                return f"output {i}: requires_grad is {dry.grads[i]}"
            found = self._difference(comparison, ours, theirs, dry)
            if found:
                return f"output {i}: {found}"
        for i, (at, clone, weak) in enumerate(dry.written):
            live = weak()
            if live is None:
                continue
            found = self._difference(comparison, clone, live, dry)
            if dry.grads[len(outputs) + i] != live.requires_grad:
                found = found or f"requires_grad is {not live.requires_grad}"
            if found:
                return f"written input {at}: {found}"
        return None

    def report(self, info: Mapping[str, Any]) -> VerifyError | None:
        """Tell the user about a divergence; an exception is raised by the engine."""
        error = VerifyError(self.name, **info)
        logs.write("verify", str(error))
        if self.raises:
            return error
        if not self._warned:
            self._warned = True
            notices.warn(str(error))
        return None

    # -- comparing -------------------------------------------------------------------

    def _difference(
        self,
        comparison: Comparison,
        ours: torch.Tensor,
        theirs: torch.Tensor,
        dry: DryRun,
    ) -> str | None:
        import torch

        if not isinstance(theirs, torch.Tensor):
            return self._number_difference(ours, theirs, dry)
        numbers = None
        if self.exact and theirs.device.type != "cpu":  # kernels need not repeat bits
            if not torch.are_deterministic_algorithms_enabled():
                numbers = Numbers.CLOSE
        if dry.empty or (dry.random and not self.exact):
            numbers = Numbers.ANY
        return comparison.tensor(theirs, ours, numbers)

    def _number_difference(self, ours: Any, theirs: Any, dry: DryRun) -> str | None:
        """Compare what the graph has read from its tensors."""
        if type(ours) is not type(theirs):
            return f"{type(ours).__name__} instead of {type(theirs).__name__}"
        if dry.empty or (dry.random and not self.exact):
            return None
        same = ours == theirs or (ours != ours and theirs != theirs)
        if not same and not self.exact and type(ours) in (float, complex):
            scale = max(abs(ours), abs(theirs), 1e-3)
            same = abs(ours - theirs) <= CLOSE.tolerance * scale
        return None if same else f"{ours!r} instead of {theirs!r}"


# -- the dry run -----------------------------------------------------------------------


def _forget_history(dry: DryRun, answer: Iterable[torch.Tensor]) -> None:
    """Keep values only: the activations of the dry run are free before the real one."""
    import torch

    outputs = list(answer)
    with torch.no_grad():
        written = [clone for _, clone, _ in dry.written]
        dry.grads = [_requires_grad(t) for t in (*outputs, *written)]
        dry.outputs = [
            t.detach() if isinstance(t, torch.Tensor) else t for t in outputs
        ]
        dry.written = [(at, clone.detach(), live) for at, clone, live in dry.written]


def _requires_grad(result: Any) -> bool:
    """Of a tensor; a late value has no gradient."""
    return bool(getattr(result, "requires_grad", False))


def _cloned(
    inputs: Sequence[torch.Tensor], positions: Iterable[int]
) -> dict[int, torch.Tensor]:
    """Clone some of the inputs; those that share memory share it in the clone."""
    import torch

    storages: dict[int, torch.UntypedStorage] = {}
    clones = {}
    for at in positions:
        t = inputs[at]
        with torch.inference_mode(t.is_inference()), torch.no_grad():
            clone = _plain_clone(t, storages)
            if t.requires_grad and t.is_leaf:
                clone.requires_grad_()
        if t.requires_grad and not t.is_leaf:
            with torch.inference_mode(False), torch.enable_grad():
                leaf = clone.requires_grad_()
                clone = torch.empty_strided(
                    t.size(), t.stride(), dtype=t.dtype, device=t.device
                ).copy_(leaf)
        if type(t) is torch.nn.Parameter:
            clone = torch.nn.Parameter(clone.detach(), t.requires_grad)
        clones[at] = clone
    return clones


def _plain_clone(
    t: torch.Tensor, storages: dict[int, torch.UntypedStorage]
) -> torch.Tensor:
    """Clone the whole storage once, and view it as `t` does."""
    import torch

    if t.layout is not torch.strided or t.is_conj() or t.is_neg():
        return t.detach().clone()
    storage = t.untyped_storage()
    if storage._cdata not in storages:
        storages[storage._cdata] = storage.clone()
    clone = torch.empty(0, dtype=t.dtype, device=t.device)
    return clone.set_(
        storages[storage._cdata], t.storage_offset(), t.size(), t.stride()
    )


def _random_states() -> list[bytes]:
    import torch

    states = [torch.get_rng_state()]
    if torch.cuda.is_initialized():
        states += torch.cuda.get_rng_state_all()
    return [state.numpy().tobytes() for state in states]


@contextmanager
def _generators_kept(ops: Iterable[tuple[Any, ...]]) -> Iterator[None]:
    """Put back the generators that the operations name."""
    import torch

    found: dict[int, torch.Generator] = {}

    def visit(tree: Any) -> None:
        if isinstance(tree, torch.Generator):
            found[id(tree)] = tree
        elif isinstance(tree, (tuple, list)):
            for item in tree:
                visit(item)
        elif isinstance(tree, dict):
            visit(tuple(tree.values()))

    for _, args, kwargs, _ in ops:
        visit((args, kwargs))
    states = [(generator, generator.get_state()) for generator in found.values()]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


def _makes_empty(ops: Iterable[tuple[Any, ...]]) -> bool:
    names = (t if type(t) is str else getattr(t, "__name__", "") for t, *_ in ops)
    return any("empty" in name or "resize_" in name for name in names)
