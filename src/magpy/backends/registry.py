"""Find a backend by name: our own first, then the ones that TorchDynamo knows."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, NamedTuple

from magpy import notices, seal
from magpy.backends import cuda_graphs, dynamo, eager, inductor, torchscript
from magpy.backends.base import Backend, Executable, Settings
from magpy.config import nearest
from magpy.errors import BackendError, describe

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from magpy.shapes.world import Live

_GROUP = "torch_dynamo_backends"
# Names that torch registers; used only for messages while torch._dynamo is not loaded.
_TORCH_NAMES = ("aot_eager", "openxla", "tvm")
# Those that run torch's own kernels, which draw what they draw in eager.
_DRAW_ALIKE = ("aot_eager", "aot_eager_decomp_partition")


class _Own(NamedTuple):
    """A backend of ours, and the modes that it has."""

    make: Callable[[Settings], Backend]
    modes: tuple[str, ...]


_OWN = {
    "cudagraphs": _Own(cuda_graphs.make, ()),
    "eager": _Own(eager.make, ()),
    "inductor": _Own(inductor.make, inductor.MODES),
    "torchscript": _Own(torchscript.make, ()),
}


def list_backends() -> list[str]:
    """Return the names that ``magpy.compile(backend=...)`` accepts."""
    return sorted({*_OWN, *_torch_backends()} - {dynamo.NAME})


def resolve(backend: object, settings: Settings) -> Backend:
    """Return the backend that the user named or passed.

    Raises:
        TypeError: neither a name nor a callable.
        ValueError: unknown name, or a mode or option that the backend does not have.
    """
    if isinstance(backend, str):
        return _by_name(backend, settings)
    if callable(backend):
        name = getattr(backend, "__name__", type(backend).__name__)
        return _foreign(name, backend, settings)
    raise TypeError(
        f"backend must be a name or a callable (graph_module, example_inputs) -> "
        f"callable, not {type(backend).__name__}"
    )


def _by_name(name: str, settings: Settings) -> Backend:
    if name in _OWN:
        return _OWN[name].make(settings)
    if name == dynamo.NAME:
        raise ValueError(
            "MagPy captures the graph; backend names what compiles it.  Leave it out, or "
            f"choose one of {', '.join(list_backends())}"
        )
    known = _entry_point_names() | set(_TORCH_NAMES)
    if name not in known and name not in _torch_backends(debug=True):
        names = list_backends()
        raise ValueError(
            f"unknown backend {name!r}; valid are {', '.join(names)}."
            f"{nearest(name, names)}"
        )
    return _foreign(name, None, settings)


def modes(name: str) -> tuple[str, ...]:
    """Return the modes that a backend is known to have."""
    return _OWN[name].modes if name in _OWN else ()


def mode_is_unused(backend: object, settings: Settings) -> bool:
    """Is there a mode, and can it be told by now that the backend has none?

    Args:
        backend: a name or a callable.
        settings: what the user asked for.
    """
    if settings.mode in (None, "default"):
        return False
    if isinstance(backend, str):
        own = backend in _OWN or backend in _TORCH_NAMES
        return own and not modes(backend)
    try:
        parameters = inspect.signature(backend).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False  # it cannot say what it takes
    kinds = {each.kind for each in parameters.values()}
    return "mode" not in parameters and inspect.Parameter.VAR_KEYWORD not in kinds


def no_mode_text(backend: object, settings: Settings) -> str:
    """Word the warning."""
    name = backend if isinstance(backend, str) else getattr(backend, "__name__", "")
    return describe(
        f"backend {name or type(backend).__name__!r} has no modes: "
        f"mode={settings.mode!r} does nothing",
        reason="no-modes",
        hint='leave mode out, or use backend="inductor"',
    )


def _foreign(
    name: str, function: Callable[..., Any] | None, settings: Settings
) -> Backend:
    """Wrap a backend of the TorchDynamo contract; look it up at the first compile."""
    kwargs: dict[str, Any] = {}
    if settings.mode is not None and not mode_is_unused(function or name, settings):
        kwargs["mode"] = settings.mode
    if settings.options:
        kwargs["options"] = dict(settings.options)

    def compile_graph(
        gm: GraphModule,
        inputs: Sequence[Any],
        mutated: Sequence[int],
        live: Live | None = None,
    ) -> Executable:
        from magpy.backends import examples

        chosen = function
        if chosen is None:
            from torch._dynamo.backends.registry import lookup_backend

            chosen = lookup_backend(name)
            if "mode" in kwargs and mode_is_unused(chosen, settings):
                del kwargs["mode"]
                notices.warn(no_mode_text(name, settings))
        given = _examples(inputs, mutated)
        if live is None:
            examples.annotate(gm, inputs)
            mode = seal.mode_of(gm)
            with seal.tracing(mode):
                result = chosen(gm, given, **kwargs)
            if mode is not None and callable(result):
                result = _unmarked(result)
        else:
            with seal.tracing(live.mode), live.configured():
                pairs = [live.example(x, i) for i, x in enumerate(given)]
                examples.annotate(gm, [fake for _, fake in pairs], live)
                result = chosen(gm, [example for example, _ in pairs], **kwargs)
        if not callable(result):
            raise BackendError(
                f"backend {name!r} must return a callable, not {type(result).__name__}"
            )
        return result, False

    named = function is None
    alike = named and name in _DRAW_ALIKE
    key = settings.key(name if function is None else function)
    return Backend(
        name,
        compile_graph,
        checked=named,
        draws_alike=alike,
        branches=alike or not named,
        key=key,
    )


def _unmarked(run: Any) -> Any:
    """Return a compiled graph whose results are tensors like any."""
    from magpy.shapes.world import unmarked

    return lambda *inputs: unmarked(run(*inputs), inputs)


def _examples(inputs: Sequence[Any], mutated: Sequence[int]) -> list[Any]:
    """Return inputs that a backend may run the graph on.

    Inputs that the graph writes are cloned: some backends run the graph once while
    they compile it, and the user's tensors must be written once per call.
    """
    examples = list(inputs)
    for index in mutated:
        original = examples[index]
        copy = original.detach().clone()
        examples[index] = copy.requires_grad_(original.requires_grad)
    return examples


def _entry_point_names() -> set[str]:
    return {point.name for point in entry_points(group=_GROUP)}


def _torch_backends(debug: bool = False) -> list[str]:
    """Return the backends of TorchDynamo; without torch there are none."""
    if "torch" not in sys.modules:
        try:
            import torch  # noqa: F401
        except ImportError:
            return []
    from torch._dynamo.backends.registry import list_backends as of_torch

    names: list[str] = of_torch(()) if debug else of_torch()
    return names
