"""Run a backend so that the program around it cannot notice.

A backend is Python code that draws random numbers, changes modes and is itself a
target of TorchDynamo; the call that it is compiled for must see none of that.
"""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_DEVICES = ("cpu", "cuda")


@contextmanager
def sealed() -> Iterator[None]:
    """Restore random states, modes and defaults after the block."""
    import torch

    from magpy import levels

    cuda = torch.cuda.is_initialized()
    python_state = random.getstate()
    numpy_random = getattr(sys.modules.get("numpy"), "random", None)
    numpy_state = numpy_random.get_state() if numpy_random is not None else None
    cpu_state = torch.get_rng_state()
    cuda_states = torch.cuda.get_rng_state_all() if cuda else []
    grad = torch.is_grad_enabled()
    dtype = torch.get_default_dtype()
    autocast = [
        (d, torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in _DEVICES
    ]
    cache = torch.is_autocast_cache_enabled()
    recursion = sys.getrecursionlimit()  # Inductor raises it
    # Fused kernels of scripted functions want memory, which fake tensors lack.
    optimize = torch._C._get_graph_executor_optimize()
    keys = _dispatch_keys()
    try:
        torch._C._set_graph_executor_optimize(False)
        with levels.kept(), _without_hooks(), _kept_modes():
            yield
    finally:
        _restore_dispatch_keys(keys)
        random.setstate(python_state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)
        torch.set_rng_state(cpu_state)
        if cuda:
            torch.cuda.set_rng_state_all(cuda_states)
        torch.set_grad_enabled(grad)
        torch.set_default_dtype(dtype)
        for device, enabled, kind in autocast:
            torch.set_autocast_enabled(device, enabled)
            torch.set_autocast_dtype(device, kind)
        torch.set_autocast_cache_enabled(cache)
        sys.setrecursionlimit(recursion)
        torch._C._set_graph_executor_optimize(optimize)


@contextmanager
def _without_hooks() -> Iterator[None]:
    """Take default hooks for saved tensors off: they count what the program saves."""
    import torch

    hooks: Any = torch._C._autograd
    taken = []
    while (top := hooks._top_saved_tensors_default_hooks(True)) is not None:
        taken.append(top)
        hooks._pop_saved_tensors_default_hooks()
    try:
        yield
    finally:
        for pack, unpack in reversed(taken):
            hooks._push_saved_tensors_default_hooks(pack, unpack)


@contextmanager
def _kept_modes() -> Iterator[None]:
    """Put torch-function modes back: a compiler may stop inside of a block."""
    import torch

    space = torch._C
    before = [
        space._get_function_stack_at(at)
        for at in range(space._len_torch_function_stack())
    ]
    try:
        yield
    finally:
        while space._len_torch_function_stack():
            space._pop_torch_function_stack()
        for mode in before:
            space._push_on_torch_function_stack(mode)


def _dispatch_keys() -> tuple[Any, Any]:
    import torch

    return (
        torch._C._dispatch_tls_local_include_set(),
        torch._C._dispatch_tls_local_exclude_set(),
    )


def _restore_dispatch_keys(before: tuple[Any, Any]) -> None:
    """Put back what a compiler that was interrupted has left to this thread."""
    import torch

    setters = (
        torch._C._dispatch_tls_set_dispatch_key_included,
        torch._C._dispatch_tls_set_dispatch_key_excluded,
    )
    for old, new, setter in zip(before, _dispatch_keys(), setters, strict=True):
        if old == new:
            continue
        for key in torch._C.DispatchKey.__members__.values():
            if old.has(key) != new.has(key):
                setter(key, old.has(key))


@contextmanager
def tracing(mode: Any = None) -> Iterator[Any]:
    """Give a compiler the context that it finds under TorchDynamo.

    Args:
        mode: makes the fake tensors; one without symbols by default.

    R: nothing that outlives the compile may hold weak references to the tensors of the
    program, which forbid ``torch.utils.swap_tensors``.
    """
    from torch._guards import TracingContext
    from torch._guards import tracing as of_torch
    from torch._subclasses import FakeTensorMode

    mode = mode or FakeTensorMode(allow_non_fake_inputs=True)
    context = TracingContext(mode)
    try:
        with of_torch(context):
            yield context
    finally:
        context.tensor_to_context.clear()
        describer = mode.fake_tensor_converter.meta_converter.describer
        describer.lookup_tensor.clear()
        describer.lookup_storage.clear()


def mode_of(gm: Any) -> Any:
    """Return a mode for a graph with a ``while_loop``, else None.

    That makes symbols of its own while it is traced; sizes of inputs stay numbers, and
    what asks for values is refused as without such a mode.
    """
    import torch

    loop = torch.ops.higher_order.while_loop
    graphs = [inner.graph for inner in gm.modules() if hasattr(inner, "graph")]
    if not any(node.target is loop for graph in graphs for node in graph.nodes):
        return None
    return static_mode()


def static_mode() -> Any:
    """Return a mode that has an environment for symbols, and makes none of inputs.

    Inductor's caches ask for one; without it they are passed by.
    """
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    env = ShapeEnv(allow_scalar_outputs=False, allow_dynamic_output_shape_ops=False)
    return FakeTensorMode(shape_env=env, static_shapes=True, allow_non_fake_inputs=True)


@contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Drop what loggers of torch's say in this thread: it is not about the program."""
    thread = threading.get_ident()

    def is_of_others(record: logging.LogRecord) -> bool:
        return record.thread != thread

    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(is_of_others)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_of_others)


def tell_dynamo() -> bool:
    """Let TorchDynamo trace calls of compiled functions as calls of their originals.

    Returns:
        False if it is still being imported.
    """
    from magpy._engine import CompiledFunction

    dynamo = sys.modules["torch._dynamo"]
    substitute = getattr(dynamo, "substitute_in_graph", None)
    if substitute is None:
        return False

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    slot = CompiledFunction.__call__
    substitute(slot, skip_signature_check=True)(call)
    return True


def without_dynamo(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` such that TorchDynamo leaves its frames alone.

    TorchDynamo takes seconds to import and can only be active if something else has
    imported it.
    """
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is None:
        return function
    wrapped: Callable[..., Any] = dynamo.disable(function)
    return wrapped
