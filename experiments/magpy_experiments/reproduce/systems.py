"""Front ends and backends by one interface.

A system is a front end and, behind a hyphen, its backend: ``magpy-inductor``.  Each makes
of a module something that is called as the module is; nothing else is asked of it, and
none is treated otherwise than the others.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

FRONTS = ("magpy", "dynamo")
BACKENDS = (
    "eager", "aot_eager", "inductor", "reduce-overhead", "cudagraphs", "torchscript",
    "onnxruntime", "tensorrt", "xla",
)  # fmt: skip
#: Those that have no backend to choose.
WHOLE = ("eager", "script", "trace", "export", "export-strict", "lazytensor")
#: The original MagPy, in a Python of its own.
ORIGINAL = ("original-eager", "original-inductor")
NAMES = (
    *WHOLE,
    *ORIGINAL,
    *(f"{front}-{backend}" for front in FRONTS for backend in BACKENDS),
)

_TITLES = {
    "eager": "eager",
    "script": "TorchScript (script)",
    "trace": "TorchScript (trace)",
    "export": "torch.export",
    "export-strict": "torch.export (strict)",
    "lazytensor": "LazyTensor",
    "original-eager": "the original-eager",
    "original-inductor": "the original-Inductor",
    "magpy": "MagPy",
    "dynamo": "TorchDynamo",
    "inductor": "Inductor",
    "reduce-overhead": "Inductor+CUDA graphs",
    "cudagraphs": "CUDA graphs",
    "torchscript": "TorchScript",
    "onnxruntime": "ONNX Runtime",
    "tensorrt": "TensorRT",
    "xla": "XLA",
    "aot_eager": "AOT eager",
}


def title(system: str) -> str:
    """Return how tables and plots call a system."""
    front, _, backend = system.partition("-")
    if system in _TITLES or front not in FRONTS:
        return _TITLES.get(system, system)
    return f"{_TITLES[front]}-{_TITLES.get(backend, backend)}"


def parts(system: str) -> tuple[str, str]:
    """Return front end and backend; the backend of those without one is ""."""
    front, _, backend = system.partition("-")
    return (front, backend) if front in FRONTS else (system, "")


def unavailable(system: str, device: str) -> str:
    """Return why a system cannot run here and what to do about it, or ""."""
    _, backend = parts(system)
    if device != "cuda" and backend in ("reduce-overhead", "cudagraphs", "tensorrt"):
        return "only on a GPU: --device cuda"
    if system in ORIGINAL:
        from magpy_experiments.reproduce import original

        return original.unavailable(device)
    if system == "lazytensor":
        return "" if _has("torch_xla") else _no_torch_xla()
    if backend == "xla":
        from magpy_experiments.reproduce import xla_table

        return xla_table.missing(device)
    needed = _PACKAGES.get(backend, ())
    missing = [name for name, module in needed if not _has(module)]
    if missing:
        return f"pip install {' '.join(missing)}"
    if backend == "onnxruntime" and device == "cuda":
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            return "pip install onnxruntime-gpu"
    return ""


#: What to install, and the module by which it is known to be there.
_PACKAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "onnxruntime": (
        ("onnx", "onnx"),
        ("onnxscript", "onnxscript"),
        ("onnxruntime", "onnxruntime"),
    ),
    "tensorrt": (("torch-tensorrt", "torch_tensorrt"),),
}


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _no_torch_xla() -> str:
    try:
        torch = version("torch").partition("+")[0]
    except PackageNotFoundError:
        torch = "?"
    return (
        f"torch_xla has no release for torch {torch}, the last one is for 2.9: "
        "pip install torch==2.9.0 torch_xla==2.9.0"
    )


@dataclass
class Prepared:
    """What a system has made of a module.

    Attributes:
        call: takes the arguments of the module.
        stats: counters of the front end, asked when all is measured.
    """

    call: Callable[..., Any]
    stats: Callable[[], dict[str, Any]] = dict


def prepare(
    system: str,
    module: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    dynamic: bool | None = None,
    backend: Callable[..., Any] | None = None,
    control_flow: bool | None = None,
) -> Prepared:
    """Let a system compile a module.

    Args:
        system: one of NAMES.
        module: to be compiled, in eval mode.
        args: an example of a call, which systems that trace run.
        kwargs: likewise.
        dynamic: sizes will change from call to call.
        backend: takes the place of the named one.
        control_flow: of ``magpy.compile``; the others have nothing like it.

    Raises:
        Exception: whatever the system raises.
    """
    import torch

    front, name = parts(system)
    if front == "magpy":
        return _magpy(module, backend or name, dynamic, control_flow)
    if front == "dynamo":
        return _dynamo(module, backend or name, dynamic)
    if system == "script":
        return Prepared(torch.jit.script(module))
    if system == "trace":
        traced = torch.jit.trace(
            module,
            example_inputs=args or None,
            example_kwarg_inputs=kwargs or None,
            check_trace=False,
            strict=False,
        )
        return Prepared(traced)
    if front == "export":
        strict = system == "export-strict"
        exported = torch.export.export(module, args, kwargs, strict=strict).module()
        return Prepared(exported)
    if system == "lazytensor":
        raise NotImplementedError("torch_xla is there, but nothing here drives it")
    return Prepared(module)


def _magpy(
    module: Any, backend: Any, dynamic: bool | None, control_flow: bool | None
) -> Prepared:
    import magpy

    options: dict[str, Any] = {"control_flow": control_flow}
    if backend == "reduce-overhead":
        backend, options["mode"] = "inductor", "reduce-overhead"
    kept = _Recorded.listen()
    backend = _foreign(backend, kept.texts, ours=True)
    compiled = magpy.compile(module, backend=backend, dynamic=dynamic, **options)

    def stats() -> dict[str, Any]:
        counted = magpy.stats(compiled)
        return {
            "graphs": counted["graphs"],
            "breaks": counted["graph_breaks"],
            "hits": counted["hits"],
            "partial_hits": counted["partial_hits"],
            "recordings": counted["recordings"],
            "reasons": {**counted["breaks"], **counted["reasons"]},
            "seconds": counted["seconds"],
            "as recorded": sorted(set(kept.texts)),
        }

    return Prepared(compiled, stats)


class _Recorded(logging.Handler):
    """Keeps why graphs are not the backend's, but run as they were recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    @classmethod
    def listen(cls) -> _Recorded:
        from magpy.config import config

        config.logs = "breaks"
        logger, handler = logging.getLogger("magpy.breaks"), cls()
        logger.handlers[:] = [handler]
        logger.propagate = False
        return handler

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "the graph runs as recorded" in text:
            self.texts.append(text.partition("\n")[0].partition(": ")[2])


def _dynamo(module: Any, backend: Any, dynamic: bool | None) -> Prepared:
    import torch
    import torch._dynamo.utils as utils

    options: dict[str, Any] = {}
    if backend == "reduce-overhead":
        backend, options["mode"] = "inductor", "reduce-overhead"
    utils.counters.clear()
    torch._dynamo.config.cache_size_limit = 64  # as many as MagPy keeps
    told: list[str] = []
    backend = _foreign(backend, told, ours=False)
    compiled = torch.compile(module, backend=backend, dynamic=dynamic, **options)

    def stats() -> dict[str, Any]:
        counters = utils.counters
        reasons = {
            str(text).partition("\n")[0][:100]: count
            for text, count in counters["graph_break"].items()
        }
        return {
            "graphs": counters["stats"].get("unique_graphs", 0),
            "breaks": sum(counters["graph_break"].values()),
            "reasons": reasons,
            "as recorded": sorted(set(told)),
        }

    return Prepared(compiled, stats)


def _foreign(backend: Any, told: list[str], *, ours: bool) -> Any:
    """Return the backend by the name that it has in torch, or as a function.

    Args:
        backend: a name of BACKENDS, or a function.
        told: takes why graphs run as they are.
        ours: for MagPy, which has some of them itself.
    """
    if not isinstance(backend, str):
        return backend
    if backend == "torchscript" and not ours:
        from magpy.backends.base import Refused
        from magpy.backends.torchscript import trace

        def traced(gm: Any, inputs: Any) -> Callable[..., Any]:
            return trace(gm, _copies(inputs))

        return _or_as_it_is(traced, Refused, told)
    if backend == "onnxruntime":
        from magpy_experiments.reproduce.onnx import Unfit, convert

        return _or_as_it_is(convert, Unfit, told)
    if backend == "xla":
        from magpy_experiments.reproduce import xla, xla_table

        def through_jax(gm: Any, inputs: Any) -> Callable[..., Any]:
            return xla.convert(gm, inputs, told)

        return _or_as_it_is(through_jax, xla_table.Unfit, told)
    if backend == "tensorrt":
        import torch_tensorrt  # noqa: F401  # registers itself

        return "torch_tensorrt"
    return backend


def _copies(inputs: Any) -> list[Any]:
    """Tracing runs the graph, which may write to its inputs."""
    import torch

    return [
        x.detach().clone().requires_grad_(x.requires_grad)
        if isinstance(x, torch.Tensor)
        else x
        for x in inputs
    ]


def _or_as_it_is(
    backend: Callable[..., Any], refusal: type[Exception], told: list[str]
) -> Callable[..., Any]:
    """Return a backend that runs graphs as they are which it cannot have."""

    def compile_graph(gm: Any, inputs: Any) -> Callable[..., Any]:
        try:
            made: Callable[..., Any] = backend(gm, inputs)
        except refusal as error:
            told.append(f"the graph runs as it is: {error}")
            made = gm.forward
        return made

    return compile_graph
