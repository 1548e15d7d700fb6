"""Backend ``inductor``: PyTorch's own compiler, entered without TorchDynamo.

``compile_fx`` answers a callable that wraps Inductor's generated code in several layers
of Python which, for a plain inference graph, do nothing: they restore input mutations
and output aliases (there are none), switch grad mode off (no input asks for gradients)
and so on.  Where AOTAutograd's own description of the graph proves that, the generated
code is called directly, with a list.  Everywhere else the callable is used as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from magpy import seal
from magpy.backends import cuda_graphs
from magpy.backends.base import Backend, Executable, Refused, Settings
from magpy.config import config, nearest

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

    from magpy.shapes.world import Live

_GRAPHED_MODES = ("reduce-overhead", "max-autotune")
MODES = (
    "default",
    "reduce-overhead",
    "max-autotune",
    "max-autotune-no-cudagraphs",
    "lite",  # torch >= 2.13
)


def make(settings: Settings) -> Backend:
    """Return the backend for a mode and options.

    Raises:
        ValueError: unknown mode or option; the message lists the valid ones.
        TypeError: an option of the wrong type.
    """
    if settings.mode is not None and settings.mode not in _modes_of_torch(settings):
        raise ValueError(
            f"unknown mode {settings.mode!r}; valid are {', '.join(MODES)}."
            f"{nearest(settings.mode, MODES)}"
        )
    options = _checked_options(settings.options)
    draws_alike = bool(options.get("fallback_random"))

    def compile_graph(
        gm: GraphModule,
        inputs: Sequence[Any],
        mutated: Sequence[int],
        live: Live | None = None,
    ) -> Executable:
        from torch._inductor import list_mode_options

        if draws_alike and _draws_in_vain(gm):
            raise Refused("the order of its random numbers may be another")
        patches = dict(list_mode_options(settings.mode) if settings.mode else {})
        if _has_graphs_inside(gm):
            # Convolutions would give them channels last, which they do not expect.
            patches["layout_optimization"] = False
        patches.update(options)
        if not config.size_asserts:
            patches.setdefault("size_asserts", False)
        if patches.get("triton.cudagraphs") and not cuda_graphs.trains(inputs):
            patches["triton.cudagraphs"] = False  # ours: see cuda_graphs.py
        return _compile(gm, list(inputs), patches, live)

    return Backend(
        "inductor",
        compile_graph,
        checked=True,
        draws_alike=draws_alike,
        key=settings.key("inductor"),
        cuda_graphs=_wants_cuda_graphs(settings.mode, options),
    )


def _modes_of_torch(settings: Settings) -> Sequence[str]:
    """Return the modes; torch is asked only for one that it may lack."""
    if settings.mode in MODES[:-1]:
        return MODES
    from torch._inductor import list_mode_options

    return [mode for mode in MODES if mode in list_mode_options()]


def _has_graphs_inside(gm: GraphModule) -> bool:
    """Is there an operator that is given graphs, as ``torch.cond`` is?"""
    import torch

    graphs: list[Any] = [m.graph for m in gm.modules() if hasattr(m, "graph")]
    kind = torch._ops.HigherOrderOperator
    return any(isinstance(n.target, kind) for graph in graphs for n in graph.nodes)


def _draws_in_vain(gm: GraphModule) -> bool:
    """Does it draw random numbers twice or more, once for nothing?

    Inductor orders what draws by its results; where nobody uses one, it loses the order
    of what comes before and after.
    """
    from magpy._effects import effects_of
    from magpy._transaction import draws

    called = [n for n in gm.graph.nodes if n.op in ("call_function", "call_method")]
    drawing = [n for n in called if draws((n.target, n.args, n.kwargs, None))]
    if len(drawing) < 2:
        return False
    used = {n for n in gm.graph.nodes if n.op == "placeholder"}
    used.update(next(iter(reversed(gm.graph.nodes))).all_input_nodes)
    for node in reversed(called):
        writes = "out" in node.kwargs or effects_of(node.target).writes
        if node in used or (writes and used.intersection(node.all_input_nodes)):
            used.add(node)
            used.update(node.all_input_nodes)
    return not used.issuperset(drawing)


def _wants_cuda_graphs(mode: str | None, options: Mapping[str, Any]) -> bool:
    named = options.get("triton.cudagraphs")
    return bool(mode in _GRAPHED_MODES if named is None else named)


def _checked_options(options: Any) -> dict[str, Any]:
    """Check names and types of Inductor options and normalise their names."""
    if not options:
        return {}
    from typing import get_origin

    import torch._inductor.config

    inductor_config: Any = torch._inductor.config
    known = inductor_config.get_config_copy()
    checked: dict[str, Any] = {}
    for key, value in options.items():
        name = str(key).replace("-", "_")
        if name not in known:
            raise ValueError(
                f"unknown option {key!r} of backend 'inductor'."
                f"{nearest(name, list(known))} "
                "See torch._inductor.list_options() for all of them."
            )
        expected = inductor_config.get_type(name)
        if get_origin(expected) is None and not isinstance(value, expected):
            raise TypeError(
                f"option {key!r} of backend 'inductor' must be "
                f"{getattr(expected, '__name__', expected)}, "
                f"not {type(value).__name__}: {value!r}"
            )
        checked[name] = value
    return checked


@dataclass
class _Capture:
    """Remembers what ``compile_fx`` compiled, or found in AOTAutograd's cache."""

    inner: Callable[..., Any]
    codes: list[Any] = field(default_factory=list)
    inference: bool = True
    found: list[Any] = field(default_factory=list)  # in the cache
    meta: Any = None

    def __call__(self, gm: Any, example_inputs: Any, **kwargs: Any) -> Any:
        code = self.inner(gm, example_inputs, **kwargs)
        self.codes.append(code)
        if not kwargs.get("is_inference", False):
            self.inference = False
        return code

    def take_found(self, meta: Any) -> Any:
        """Take what the cache had, if it had it; return AOTAutograd's description."""
        if self.codes or meta is not None:
            return meta
        self.codes = self.found
        return self.meta


_captures: list[tuple[int, _Capture]] = []
_captures_lock = threading.Lock()


@contextmanager
def _watching(capture: _Capture) -> Iterator[None]:
    """Let a capture see what AOTAutograd's cache answers in this thread.

    That calls no inner compiler.  Both methods are called as they are otherwise.
    """
    from torch._functorch._aot_autograd.runtime_wrappers import RuntimeWrapper
    from torch._inductor.output_code import CompiledFxGraph

    def here() -> list[_Capture]:
        now = threading.get_ident()
        return [each for thread, each in _captures if thread == now]

    def post_compile(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = loaded(self, *args, **kwargs)
        for each in here():
            each.found.append(self)
        return result

    def wrap(self: Any, *args: Any, **kwargs: Any) -> Any:
        for each in here():
            each.meta = kwargs.get("runtime_metadata")
            each.inference = each.inference and not self.trace_joint
        return wrapped(self, *args, **kwargs)

    entry = threading.get_ident(), capture
    with _captures_lock:
        loaded, wrapped = CompiledFxGraph.post_compile, RuntimeWrapper.post_compile
        if not _captures:
            CompiledFxGraph.post_compile = post_compile
            RuntimeWrapper.post_compile = wrap
            _originals[:] = loaded, wrapped
        _captures.append(entry)
    try:
        yield
    finally:
        with _captures_lock:
            _captures.remove(entry)
            if not _captures:
                CompiledFxGraph.post_compile = _originals[0]
                RuntimeWrapper.post_compile = _originals[1]


_originals: list[Any] = []


def _compile(
    gm: GraphModule, inputs: list[Any], patches: dict[str, Any], live: Live | None
) -> Executable:
    from torch._functorch import config as functorch_config
    from torch._inductor.compile_fx import compile_fx, compile_fx_inner

    from magpy import lookups
    from magpy.backends import examples
    from magpy.shapes.world import unmarked

    n_inputs, n_outputs = len(inputs), _count_outputs(gm)
    capture = _Capture(compile_fx_inner)
    looping = seal.mode_of(gm) if live is None else None
    mode = live.mode if live is not None else looping or seal.static_mode()
    digest = lookups.digest(gm) if live is None and looping is None else ""
    # The key of AOTAutograd's cache is the graph with the names of torch's functions, not
    # what these come to.
    cache = {} if digest else {"enable_autograd_cache": False}
    if live is not None:
        cache |= live.CONFIG
    with (
        seal.tracing(mode) as context,
        functorch_config.patch(cache),
        _tagged(digest),
        _watching(capture),
    ):
        if live is not None:
            pairs = [live.example(x, i) for i, x in enumerate(inputs)]
            inputs = [fake for _, fake in pairs]
        else:
            examples.annotate(gm, inputs)
            inputs = [_fake(mode, x) for x in inputs]
        wrapped: Any = compile_fx(
            gm, inputs, inner_compile=capture, config_patches=patches
        )
    meta = capture.take_found(context.fw_metadata)
    if patches.get("triton.cudagraphs"):
        _tell_ungraphed(capture.codes)
    direct = _direct(capture, meta, n_inputs, n_outputs)
    if config.inductor_direct and direct is not None:
        return direct, True
    if looping is not None:
        return (lambda *given: unmarked(wrapped(*given), given)), False
    return wrapped, False


def _fake(mode: Any, x: Any) -> Any:
    """Return what stands for an input: keys of caches hold what is known of it."""
    import torch

    return mode.from_tensor(x, static_shapes=True) if isinstance(x, torch.Tensor) else x


@contextmanager
def _tagged(digest: str) -> Iterator[None]:
    """Make what the graph depends on a part of the keys of torch's caches."""
    import torch.compiler.config as compiler_config

    settings: Any = compiler_config
    tag = f"{settings.cache_key_tag}:magpy:{digest}"
    with settings.patch(cache_key_tag=tag) if digest else nullcontext():
        yield


def _tell_ungraphed(codes: Sequence[Any]) -> None:
    """Warn if CUDA graphs were asked for and Inductor says why there are none."""
    for code in codes:
        why = getattr(code, "disabled_cudagraphs_reason", None)
        if why:
            cuda_graphs.tell("inductor", str(why).rstrip(": "))
            return


def _count_outputs(gm: GraphModule) -> int:
    output = next(node for node in reversed(gm.graph.nodes) if node.op == "output")
    results: Any = output.args[0]
    return len(results)


def _direct(
    capture: _Capture, meta: Any, n_inputs: int, n_outputs: int
) -> Callable[[list[torch.Tensor]], Any] | None:
    """Return the generated code's entry point if nothing around it is needed."""
    import torch
    from torch._inductor.output_code import CompiledFxGraph

    if meta is None or not capture.inference or len(capture.codes) != 1:
        return None
    code = capture.codes[0]
    if type(code) is not CompiledFxGraph or torch._C._is_any_autocast_enabled():
        return None
    try:
        legal = _nothing_around(meta, n_inputs, n_outputs)
    except AttributeError:  # another torch describes graphs in other words
        legal = False
    return _owned_entry(code) if legal else None


def _owned_entry(code: Any) -> Callable[[list[torch.Tensor]], Any] | None:
    """The generated code's entry point, which lives as long as the code needs to.

    Code in partitions (CUDA graphs) loses them when its ``CompiledFxGraph`` dies.
    """
    entry: Callable[[list[torch.Tensor]], Any] | None = code.current_callable
    if entry is None or getattr(code, "compiled_fn_runner", None) is None:
        return entry
    owned = partial(entry)  # C code, and it takes attributes
    owned.code = code  # type: ignore[attr-defined]
    return owned


def _nothing_around(meta: Any, n_inputs: int, n_outputs: int) -> bool:
    """Does AOTAutograd's description leave nothing to do around the code?"""
    plain = all(
        type(each).__name__ == "PlainTensorMeta"
        for each in (*meta.subclass_inp_meta, *meta.subclass_fw_graph_out_meta)
    )
    return bool(
        plain
        and len(meta.input_info) == n_inputs
        and meta.num_outputs == n_outputs
        and meta.num_outputs_aliased == 0
        and meta.num_intermediate_bases == 0
        and meta.num_mutated_inp_runtime_indices == 0
        # Written inside the code, but their version counters are bumped outside.
        and not meta.mutated_graph_handled_indices_seen_by_autograd
        and meta.grad_enabled_mutation is None
        and not meta.tokens
        and not meta.is_rng_op_functionalized
        and not getattr(meta, "num_graphsafe_rng_states", 0)
    )
