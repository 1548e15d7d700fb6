"""Give compiled training graphs the gradients that autograd gives.

AOTAutograd makes a node of autograd for each training graph, a class named
``CompiledFunction``.  What such a node does not do as autograd does is mended here:

- a gradient through an output that nobody used is undefined, not zero: what is reached
  through such outputs alone keeps ``.grad`` None;
- a second pass through other results works, although the first has freed what the node
  had saved;
- a gradient of the gradient exists.  Where the backward pass is recorded itself
  (``create_graph=True``), or runs under ``vmap``, the recorded operations run again, on
  the inputs of the call, and autograd differentiates those;
- the backward pass is compiled sealed off the program, like the graph itself.

Some training graphs it gets wrong or cannot do at all; they run as recorded
(:func:`refuses`): AOTAutograd saves a written input for the backward pass, and finds there
what was written; random numbers cannot be drawn twice.

R: a node keeps no tensor that could come to hold the node: autograd's references are
invisible to the collector.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from magpy import seal

if TYPE_CHECKING:
    from magpy.graph import Spec

_NODE_CLASS, _NODE_HOME = "CompiledFunction", "torch._functorch."
_DEVICES = ("cpu", "cuda")
# From then on so many of the calls had a recorded backward pass that computing the graph
# twice costs more than compiling it saves.
_RECORDED_PASSES, _SHARE = 2, 4

_watchers: list[tuple[int, list[type]]] = []
_watchers_lock = threading.Lock()


def _note_class(cls: type, /, **kwargs: Any) -> None:
    """Stand in for ``__init_subclass__`` of autograd functions while one is watched."""
    object.__init_subclass__(**kwargs)
    if cls.__name__ == _NODE_CLASS and cls.__module__.startswith(_NODE_HOME):
        for thread, found in _watchers:
            if thread == threading.get_ident():
                found.append(cls)
                # What a pass saves, inputs among it, is left as it is: no notes of sizes.
                meta = getattr(cls, "metadata", None)
                getattr(meta, "dynamic_saved_tensors_idxs", {}).clear()


@contextmanager
def node_classes() -> Iterator[list[type]]:
    """Collect the classes of nodes that AOTAutograd makes in this thread."""
    import torch

    base: Any = torch.autograd.Function
    found: list[type] = []
    watcher = (threading.get_ident(), found)
    with _watchers_lock:
        if not _watchers:
            base.__init_subclass__ = classmethod(_note_class)
        _watchers.append(watcher)
    try:
        yield found
    finally:
        with _watchers_lock:
            _watchers[:] = [each for each in _watchers if each is not watcher]
            if not _watchers:
                del base.__init_subclass__


def refuses(spec: Spec, inputs: Sequence[Any]) -> str:
    """Return why no compiler may have this training graph, "" if one may.

    Args:
        spec: the recorded operations.
        inputs: what they are compiled for.
    """
    import torch

    from magpy._transaction import draws
    from magpy.policy import enables_grad

    asking = [x for x in inputs if isinstance(x, torch.Tensor) and x.requires_grad]
    if not asking or not enables_grad(spec):
        return ""
    if any(target is torch._C._InferenceMode for target, *_ in spec[0]):
        return "gradients go through a graph that turns inference mode on"
    names = spec[3].get("input_names", ())
    for i in spec[3].get("mutated", ()):
        if inputs[i].requires_grad or entry_matters(spec, i):
            name = names[i] if i < len(names) else f"input {i}"
            return f"gradients go through a graph that writes to {name}"
    # A plain leaf that asks for gradients is what gradient penalties are made of.
    if any(map(draws, spec[0])) and any(
        type(x) is torch.Tensor and x.is_leaf for x in asking
    ):
        return "it draws random numbers, and an input asks for gradients"
    return ""


def adopt(
    classes: Sequence[type],
    compiled: Callable[..., Any],
    spec: Spec,
    replay: Callable[[], Callable[..., Any]],
) -> Callable[..., Any]:
    """Return the compiled graph with the gradients of autograd.

    Args:
        classes: the nodes' classes that compiling it has made.
        compiled: takes the graph's inputs.
        spec: the recorded operations.
        replay: makes what runs them one by one.
    """
    if len(classes) != 1:
        return compiled
    if classes[0].metadata.mutated_inp_runtime_indices:  # type: ignore[attr-defined]
        return replay()
    return TrainingGraph(classes[0], compiled, spec, replay).call


class TrainingGraph:
    """One compiled graph that autograd goes back through; see the module's docstring."""

    def __init__(
        self,
        cls: Any,
        compiled: Callable[..., Any],
        spec: Spec,
        replay: Callable[[], Callable[..., Any]],
    ) -> None:
        from magpy._transaction import draws

        _, self.n_inputs, outputs, notes = spec
        self.run = compiled
        self.notes = notes
        self._cls = cls
        self._replay_maker = replay
        self._replay: Callable[..., Any] | None = None
        self._written = frozenset(notes.get("mutated", ()))
        rows = (notes.get("numbers") or {}).values()
        #: inputs that come as tensors to the node, and as floats to the recorded graph
        self._floats = frozenset(
            row[1] for row in rows if row[0] == "INPUT" and type(row[2]) is float
        )
        self._draws = any(map(draws, spec[0]))
        self._modes = _autocast_now()
        self._calls = self._recorded_passes = 0
        # For each result: the inputs that autograd reaches, the nodes that save tensors.
        self._reach: list[frozenset[int]] | None = None
        self._savers: list[frozenset[int]] | None = None
        self._has_saved: bool | None = None
        self._forward, self._backward = cls.forward, cls.backward
        self._boxed = getattr(cls, "boxed_grads_call", False)
        cls.forward = staticmethod(self._forward_pass)
        cls.backward = staticmethod(self._backward_pass)

    def call(self, *inputs: Any) -> Any:
        """Run the graph."""
        return self.run(*inputs)

    # -- forward ---------------------------------------------------------------------

    def _forward_pass(self, ctx: Any, *args: Any) -> Any:
        self._calls += 1
        kept = self._keep(args) if len(args) == self.n_inputs else None
        outputs = self._forward(ctx, *args)
        ctx.set_materialize_grads(False)
        ctx.magpy_kept, ctx.magpy_used = kept, None
        return outputs

    def _keep(self, args: Sequence[Any]) -> list[tuple[Any, Any, int]]:
        """Return what a second run needs: value with history, memory, its version."""
        import torch

        kept: list[tuple[Any, Any, int]] = []
        for i, x in enumerate(args):
            if not isinstance(x, torch.Tensor):
                kept.append((x, None, 0))
            elif i in self._floats:
                kept.append((x.item(), None, 0))
            elif i in self._written:  # what it held at first is of no matter
                kept.append((x.detach(), None, 0))
            elif not x.requires_grad:
                memory = x.detach()
                kept.append((memory, memory, memory._version))
            elif x.is_leaf:
                kept.append((x, x, x._version))
            else:
                with torch.enable_grad():  # the history, but not the tensor that has it
                    alias = torch.ops.aten._unsafe_view(x, x.shape)
                memory = x.detach()
                kept.append((alias, memory, memory._version))
        return kept

    # -- backward --------------------------------------------------------------------

    def _backward_pass(self, ctx: Any, *given: Any) -> Any:
        import torch

        grads: list[Any] = given[0] if self._boxed else list(given)
        missing = tuple([i for i, grad in enumerate(grads) if grad is None])
        if len(missing) == len(grads):
            return (None,) * len(ctx.needs_input_grad)
        recorded = torch.is_grad_enabled()
        if recorded:
            self._note_recorded_pass()
        if recorded or self._refuses(grads) or self._passes_again(ctx, missing, grads):
            answer = self._again(ctx, grads)
            if answer is not None:
                return answer
        unreached = self._unreached(ctx, missing, len(grads)) if missing else ()
        for i in missing:
            grads[i] = _zeros(ctx._input_metadata[i])
        if not (recorded or missing or not self._saves(ctx) or _keeps_graph()):
            ctx.magpy_kept = None  # nothing is left to go back through
        if self._cls.compiled_bw is None:
            with seal.sealed():
                answer = self._compiled_backward(ctx, grads)
        else:
            answer = self._compiled_backward(ctx, grads)
        if not unreached:
            return answer
        return tuple([None if i in unreached else g for i, g in enumerate(answer)])

    def _compiled_backward(self, ctx: Any, grads: list[Any]) -> Any:
        return (
            self._backward(ctx, grads) if self._boxed else self._backward(ctx, *grads)
        )

    def _refuses(self, grads: Sequence[Any]) -> bool:
        """Would the compiled backward pass raise or be wrong where autograd is right?"""
        import torch

        meta = self._cls.metadata
        return bool(
            torch._C._functorch.peek_interpreter_stack() is not None
            or torch.autograd.forward_ad._current_level >= 0
            or any(not _is_plain(grad) for grad in grads)
            or (
                meta.deterministic is False
                and torch.are_deterministic_algorithms_enabled()
            )
            or (
                self._cls.compiled_bw is not None
                and getattr(meta, "bw_donated_idxs", None)
                and _keeps_graph()
            )
        )

    def _saves(self, ctx: Any) -> bool:
        """Do the nodes need tensors that a backward pass frees?"""
        if self._has_saved is None:
            self._has_saved = bool(ctx.saved_tensors)
        return self._has_saved

    def _passes_again(self, ctx: Any, missing: Sequence[int], grads: Any) -> bool:
        """Is what this node saved gone, but not what the nodes of autograd had saved?

        An earlier pass went through other results, or through nodes that save nothing.
        """
        used: frozenset[int] | None = ctx.magpy_used
        now = frozenset(range(len(grads))) - frozenset(missing)
        if not _keeps_graph():
            ctx.magpy_used = now | (used or frozenset())
        if used is None or ctx.magpy_kept is None:
            return False
        self._look(ctx)
        if self._savers is None or len(self._savers) != len(grads):
            return False
        gone: frozenset[Any] = frozenset().union(*(self._savers[i] for i in used))
        return not any(self._savers[i] & gone for i in now)

    def _note_recorded_pass(self) -> None:
        """Leave the compiled graph where it is of no use."""
        self._recorded_passes += 1
        often = self._recorded_passes >= _RECORDED_PASSES and (
            self._recorded_passes * _SHARE >= self._calls
        )
        if self._draws or often:
            self.run = self._recorded()

    def _recorded(self) -> Callable[..., Any]:
        if self._replay is None:
            self._replay = self._replay_maker()
        return self._replay

    def _again(self, ctx: Any, grads: Sequence[Any]) -> tuple[Any, ...] | None:
        """Differentiate the recorded operations themselves; None: not possible."""
        import torch

        kept = ctx.magpy_kept
        if kept is None or self._draws or not _is_current(kept):
            return None
        create_graph = torch.is_grad_enabled()
        aliases, outputs = self._second_run(kept)
        if len(outputs) != len(grads):
            return None
        ends = [
            (out, grad)
            for out, grad in zip(outputs, grads, strict=True)
            if grad is not None and out is not None and out.requires_grad
        ]
        wanted = [
            i
            for i, needed in enumerate(ctx.needs_input_grad)
            if needed and aliases[i].requires_grad
        ]
        answer: list[Any] = [None] * len(ctx.needs_input_grad)
        if ends and wanted:
            found = torch.autograd.grad(
                [out for out, _ in ends],
                [aliases[i] for i in wanted],
                [grad for _, grad in ends],
                create_graph=create_graph,
                allow_unused=True,
            )
            for i, grad in zip(wanted, found, strict=True):
                answer[i] = grad
        return tuple(answer)

    def _second_run(self, kept: Sequence[tuple[Any, Any, int]]) -> tuple[Any, Any]:
        """Run the recorded operations on copies of the inputs, with their histories.

        Returns:
            The copies, before anything was written to them, and what the node answers:
            outputs, and the bases of those that are views.
        """
        import torch

        meta = self._cls.metadata
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            for mode in self._modes:
                stack.enter_context(torch.autocast(**mode))
            aliases = [
                x.view_as(x) if isinstance(x, torch.Tensor) else x for x, _, _ in kept
            ]
            inputs = [
                a.clone() if i in self._written else a for i, a in enumerate(aliases)
            ]
            results = self._recorded()(*inputs)
        outputs = list(results)
        bases = meta.num_intermediate_bases
        if bases:
            found: list[Any] = [None] * bases
            for info, result in zip(meta.output_info, results, strict=True):
                index = info.base_idx
                if "intermediate" in info.output_type.name and index is not None:
                    if info.output_type.name.endswith("base_is_user_output"):
                        continue
                    found[index] = result if result._base is None else result._base
            outputs += found
        return aliases, outputs

    # -- undefined gradients ---------------------------------------------------------

    def _unreached(
        self, ctx: Any, missing: Sequence[int], n_outputs: int
    ) -> frozenset[int]:
        """Return the inputs that autograd would not reach through the other outputs."""
        self._look(ctx)
        if self._reach is None or len(self._reach) != n_outputs:
            return frozenset()
        reached: frozenset[int] = frozenset().union(
            *(nodes for i, nodes in enumerate(self._reach) if i not in missing)
        )
        return frozenset(range(self.n_inputs)) - reached

    def _look(self, ctx: Any) -> None:
        """Find out, once, where autograd gets to from each result."""
        if self._reach is not None or ctx.magpy_kept is None:
            return
        with seal.sealed():
            aliases, outputs = self._second_run(ctx.magpy_kept)
        made = [getattr(a, "grad_fn", None) for a in aliases]  # numbers have none
        starts = {node: i for i, node in enumerate(made) if node is not None}
        seen = [_reached_from(out, starts) for out in outputs]
        places: dict[Any, int] = {}
        self._reach = [
            frozenset(starts[n] for n in nodes if n in starts) for nodes in seen
        ]
        self._savers = [
            frozenset(places.setdefault(n, len(places)) for n in nodes if _saves(n))
            for nodes in seen
        ]


def _reached_from(output: Any, starts: Any) -> set[Any]:
    """Return the nodes of autograd's graph below a result, down to those of inputs."""
    todo = [output.grad_fn] if output is not None and output.grad_fn is not None else []
    seen = set(todo)
    while todo:
        node = todo.pop()
        if node in starts:
            continue
        for follower, _ in node.next_functions:
            if follower is not None and follower not in seen:
                seen.add(follower)
                todo.append(follower)
    return seen


def _saves(node: Any) -> bool:
    """Has the node tensors that it frees after a backward pass?"""
    return any(name.startswith("_raw_saved_") for name in dir(node))


def _is_plain(grad: Any) -> bool:
    """Is it a tensor that compiled code knows, or None?"""
    import torch

    return grad is None or (
        type(grad) is torch.Tensor
        and not torch._C._functorch.is_legacy_batchedtensor(grad)
    )


def _keeps_graph() -> bool:
    import torch

    return bool(torch._C._autograd._get_current_graph_task_keep_graph())


def _is_current(kept: Sequence[tuple[Any, Any, int]]) -> bool:
    """Is the memory as it was when the graph had run?"""
    return all(m is None or m._version == version for _, m, version in kept)


def _zeros(meta: Any) -> Any:
    """Return zeros for an output that has no gradient; None if it can have none."""
    import torch

    try:
        return torch.zeros(meta.shape, dtype=meta.dtype, device=meta.device)
    except RuntimeError:  # not a tensor
        return None


def _autocast_now() -> list[dict[str, Any]]:
    import torch

    return [
        {
            "device_type": device,
            "enabled": torch.is_autocast_enabled(device),
            "dtype": torch.get_autocast_dtype(device),
            "cache_enabled": torch.is_autocast_cache_enabled(),
        }
        for device in _DEVICES
        if device == "cpu" or torch.cuda.is_available()
    ]


_UPDATES = frozenset({"iadd", "isub", "imul", "itruediv", "setitem"})


def entry_matters(spec: Spec, index: int) -> bool:
    """Can a result depend on what a written input held at first?

    Statistics of batch norm in training, and counters, are only written.
    """
    ops, _, outputs, _ = spec
    if index in outputs:
        return True
    for target, args, kwargs, result in ops:
        places = [
            _is_value_of(arg, index) for arg in _leaves([*args, *kwargs.values()])
        ]
        if not any(places):
            continue
        absorbs = result is None and places[0] and sum(places) == 1
        if not (absorbs and _updates_first(target)) and not _keeps_statistics(
            target, args, kwargs, index
        ):
            return True
    return False


def _updates_first(target: Any) -> bool:
    """Does it write to its first argument, and to nothing else?"""
    if isinstance(target, str):
        return target.endswith("_") and not target.endswith("__")
    return target in {getattr(operator, name) for name in _UPDATES}


def _keeps_statistics(target: Any, args: Any, kwargs: Any, index: int) -> bool:
    """Is it batch norm in training, and the input its statistics?"""
    import torch

    if target is torch.nn.functional.batch_norm:
        names = ("input", "running_mean", "running_var", "weight", "bias", "training")
    elif target is torch.batch_norm:
        names = ("input", "weight", "bias", "running_mean", "running_var", "training")
    else:
        return False
    given = dict(zip(names, args, strict=False)) | kwargs
    places = {name for name, arg in given.items() if _is_value_of(arg, index)}
    return given.get("training") is True and places <= {"running_mean", "running_var"}


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, (list, tuple)):
        for item in tree:
            yield from _leaves(item)
    elif isinstance(tree, dict):
        yield from _leaves(list(tree.values()))
    else:
        yield tree


def _value_index(obj: Any) -> int | None:
    index = getattr(obj, "index", None)
    return index if type(obj).__name__ == "Value" and isinstance(index, int) else None


def _is_value_of(obj: Any, index: int) -> bool:
    return _value_index(obj) == index
