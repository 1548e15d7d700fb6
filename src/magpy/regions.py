"""Operations of a graph that have graphs inside: ``torch.cond``, ``while_loop``, ``map``.

The engine asks :func:`plan` when the program is about to call such an operator, lets the
call happen, and then records each Python body once, on copies of what it is given
(``engine/graph/region.c``).  :meth:`Call.finish` makes the :class:`Region` that stands in
the log: a callable that takes tensors only, so that whoever reads a spec sees an ordinary
operation.

A body is a spec of its own.  Tensors that it uses without being given them are *lifted*:
they become operands of the operator, behind those of the call.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch._guards import TracingContext
from torch.utils import _pytree as pytree
from torch.utils.checkpoint import checkpoint, noop_context_fn

from magpy import _engine, graph
from magpy.flow import branch_shape as branch_shape
from magpy.flow import is_tested as is_tested
from magpy.flow import raising_arms as raising_arms
from magpy.late import expect as expect

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from magpy.graph import Spec

#: parameters, operations and results of a body, as the engine has recorded them
Body = tuple[list[Any], list[Any], Any]


_FUNCTION: Any = torch.autograd.Function


class RefusedError(Exception):
    """The call cannot be an operation of the graph; the text says why."""


class Region(graph.WithBodies):
    """An operator with graphs inside, called with tensors only.

    Two are equal if they compute the same.
    """

    def __init__(
        self,
        kind: str,
        specs: Sequence[Spec],
        counts: tuple[int, ...],
        tree: Any,
        options: Mapping[str, Any] | None = None,
    ):
        self.kind = self.__name__ = kind
        self.options = dict(options or {})
        self.specs = list(specs)
        self.tree = tree  # a result of the last body
        self.counts = counts  # how many tensors each group of operands has
        inner = [
            op[0].depth for spec in specs for op in spec[0] if graph.is_region(op[0])
        ]
        self.depth: int = 1 + max(inner, default=0)
        self._modules: list[GraphModule] | None = None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Region)
            and (self.kind, self.counts) == (other.kind, other.counts)
            and self.options == other.options
            and self.specs == other.specs
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.counts))

    def __repr__(self) -> str:
        return f"<{self.kind} of {[len(spec[0]) for spec in self.specs]} operations>"

    def modules(self) -> list[GraphModule]:
        """Return a module for each body."""
        if self._modules is None:
            self._modules = [
                graph.build(spec, name=f"{self.kind}_body") for spec in self.specs
            ]
            for spec, module in zip(self.specs, self._modules, strict=True):
                module.grads = spec[3].get("grads", ())
                module.written = spec[3].get("written", ())
        return self._modules

    def operator(self) -> Callable[..., Any]:
        """Return the operator of torch."""
        ops: Any = torch.ops.higher_order
        found: dict[str, Callable[..., Any]] = {
            "cond": ops.cond,
            "while_loop": ops.while_loop,
            "map": ops.map_impl,
            "scan": ops.scan,
            "checkpoint": checkpointed,
            "branch": branch,
            "choice": choose,
        }
        return found[self.kind]

    def arguments(self, bodies: Sequence[Any], given: Sequence[Any]) -> tuple[Any, ...]:
        """Return the arguments of the operator, from the bodies and the operands."""
        groups, at = [], 0
        for count in self.counts:
            groups.append(tuple(given[at : at + count]))
            at += count
        rest = tuple(given[at:])
        if self.kind in ("cond", "branch", "choice"):
            return (given[0], *bodies, (*groups[1], *rest))
        if self.kind == "while_loop":
            return (*bodies, groups[0], rest)
        if self.kind == "checkpoint":
            return (*bodies, self.counts[0], self.options, *given)
        if self.kind == "map":
            return (*bodies, list(groups[0]), [*groups[1], *rest])
        return (*bodies, list(groups[0]), list(groups[1]), rest)

    def __call__(self, *given: Any) -> Any:
        found = self.operator()(*self.arguments(self.modules(), given))
        leaves = pytree.tree_leaves(found)
        return leaves if self.kind == "while_loop" else _shaped(self.tree, iter(leaves))


class Call:
    """A call of such an operator that the program is about to make.

    Attributes:
        values: the tensors that it is given.
        bodies: the callables that are recorded.
    """

    def __init__(
        self,
        kind: str,
        groups: Sequence[Sequence[Any]],
        bodies: Sequence[Callable[..., Any]],
        given: Callable[[list[Any]], list[tuple[Any, ...]]],
        options: Mapping[str, Any] | None = None,
    ):
        self.kind = kind
        self.options = options
        self.counts = tuple(map(len, groups))
        self.values = tuple([value for group in groups for value in group])
        self.bodies = tuple(bodies)
        self._given = given
        if any(type(value) is not torch.Tensor for value in self.values) and any(
            type(value) not in (torch.Tensor, torch.nn.Parameter)
            for value in self.values
        ):
            raise RefusedError("an operand that is no plain tensor")

    def sample(self, k: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return arguments for body `k`, and the new tensors among them in order."""
        fresh = [_copy(value) for value in self.values]
        args = self._given(fresh)[k]
        leaves = pytree.tree_leaves(args)
        return args, tuple([x for x in leaves if isinstance(x, torch.Tensor)])

    def finish(self, leaves: tuple[Any, ...], bodies: Sequence[Body]) -> Any:
        """Return the operation and its operands; a text if it cannot be one.

        Args:
            leaves: of `values`, in the log.
            bodies: what was recorded.
        """
        try:
            return self._finish(leaves, bodies)
        except RefusedError as error:
            return str(error)

    def _finish(self, leaves: tuple[Any, ...], bodies: Sequence[Body]) -> Any:
        _check_operations(bodies)
        lifted = _lifted(bodies)
        specs = [spec_of(params, ops, outs, lifted) for params, ops, outs in bodies]
        _check_outputs(self.kind, bodies)
        if self.kind == "while_loop":  # its condition is a tensor, not a tuple
            specs[0][3]["bare"] = True
        tree = _shaped(bodies[-1][2], None)
        region = Region(self.kind, specs, self.counts, tree, self.options)
        return region, (*leaves, *lifted)


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the same kind and content, which nobody else has."""
    with torch.no_grad():
        fresh = torch.empty_strided(
            tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device
        )
        fresh.copy_(tensor)
    return fresh.requires_grad_(tensor.requires_grad)


# -- Bodies ----------------------------------------------------------------------------


def values_in(tree: Any) -> Iterator[Any]:
    """Yield the Values of a tree, in order."""
    if graph.is_value(tree):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            yield from values_in(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from values_in(item)
    elif isinstance(tree, slice):
        yield from values_in((tree.start, tree.stop, tree.step))


def _lifted(bodies: Iterable[Body]) -> list[Any]:
    """Return the Values that bodies use and neither are given nor make."""
    found: dict[int, Any] = {}
    for params, ops, outputs in bodies:
        own = {value.index for value in params}
        for _, args, kwargs, result in ops:
            for value in values_in((args, kwargs)):
                if value.index not in own:
                    found[value.index] = value
            own.update(value.index for value in values_in(result))
        for value in values_in(outputs):
            if value.index not in own:
                found[value.index] = value
    return list(found.values())


def spec_of(
    params: Sequence[Any],
    ops: Sequence[Any],
    outputs: Any,
    lifted: Sequence[Any] = (),
) -> Spec:
    """Return the spec of a body, whose Values are numbered on their own.

    Raises:
        RefusedError: it cannot stand by itself.
    """
    numbers: dict[int, int] = {}
    inputs = [*params, *lifted]
    for value in inputs:
        numbers[value.index] = len(numbers)
    n_inputs = len(inputs)
    if len(numbers) != n_inputs:
        raise RefusedError("a tensor that is given twice")
    plain = []
    for target, args, kwargs, result in ops:
        args, kwargs = _renumbered(args, numbers), _renumbered(kwargs, numbers)
        for value in values_in(result):
            numbers[value.index] = len(numbers)
        plain.append((target, args, kwargs, _renumbered(result, numbers)))
    outs = tuple([numbers[value.index] for value in values_in(outputs)])
    return plain, n_inputs, outs, {}


def _renumbered(tree: Any, numbers: dict[int, int]) -> Any:
    if graph.is_value(tree):
        return type(tree)(numbers[tree.index])
    if graph.is_number(tree):
        raise RefusedError("a number that varies")
    if isinstance(tree, tuple):
        items = [_renumbered(item, numbers) for item in tree]
        kind = type(tree)
        # (a torch.Size, or what torch returns, is a tuple to whoever reads a graph)
        named = hasattr(kind, "_fields")
        return tuple.__new__(kind, items) if named else tuple(items)
    if isinstance(tree, list):
        return [_renumbered(item, numbers) for item in tree]
    if isinstance(tree, dict):
        return {key: _renumbered(item, numbers) for key, item in tree.items()}
    if isinstance(tree, slice):
        start, stop, step = _renumbered((tree.start, tree.stop, tree.step), numbers)
        return slice(start, stop, step)
    return tree


def _check_operations(bodies: Iterable[Body]) -> None:
    from magpy import _torch_table

    for _, ops, _ in bodies:
        for target, *_ in graph.operations((ops, 0, (), {})):
            owner = getattr(target, "__self__", None)
            if _torch_table.sets_state(target):
                raise RefusedError("a mode of torch is set in a body")
            if isinstance(owner, type) and issubclass(owner, _FUNCTION):
                raise RefusedError(f"{owner.__name__}.apply in a body")


def _check_outputs(kind: str, bodies: Sequence[Body]) -> None:
    """Refuse results of which a graph could not hand out the same."""
    counted = []
    for _params, ops, outputs in bodies:
        made = {v.index for *_, result in ops for v in values_in(result)}
        found = list(values_in(outputs))
        if len(found) != _leaves(outputs):
            raise RefusedError("a result that is no tensor")
        if any(value.index not in made for value in found):
            raise RefusedError("a result that the body did not make")
        if len({value.index for value in found}) != len(found):
            raise RefusedError("a result that is there twice")
        counted.append(len(found))
    if kind == "cond" and counted[0] != counted[1]:
        raise RefusedError("results of different shapes")


def _shaped(tree: Any, leaves: Iterator[Any] | None) -> Any:
    """Return a tree of the same shape with these leaves."""
    if isinstance(tree, (tuple, list)):
        return type(tree)([_shaped(item, leaves) for item in tree])
    return None if leaves is None else next(leaves)


def _leaves(tree: Any) -> int:
    if isinstance(tree, (tuple, list)):
        return sum(map(_leaves, tree))
    return 1


# -- Calls of the program --------------------------------------------------------------


def plan(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | str:
    """Return what is to be recorded of a call; a text if nothing can be."""
    try:
        return _KINDS[target.__name__](*args, **kwargs)
    except RefusedError as error:
        return str(error)
    except Exception as error:  # the call will raise one of its own
        return f"arguments that are refused ({type(error).__name__})"


def _plain(tree: Any) -> list[Any]:
    """Return the leaves of a tree of tuples and lists."""
    found: list[Any] = []
    if isinstance(tree, torch.Tensor):
        return [tree]
    if type(tree) not in (tuple, list):
        raise RefusedError(f"an operand that is a {type(tree).__name__}")
    for item in tree:
        found += _plain(item)
    return found


def _filled(tree: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(tree, torch.Tensor):
        return next(leaves)
    return type(tree)([_filled(item, leaves) for item in tree])


def _cond(
    pred: Any,
    true_fn: Callable[..., Any],
    false_fn: Callable[..., Any],
    operands: Any = (),
) -> Call:
    def given(fresh: list[Any]) -> list[tuple[Any, ...]]:
        args = tuple(_filled(operands, iter(fresh[1:])))
        return [args, args]

    if not isinstance(pred, torch.Tensor):
        raise RefusedError("a condition that is no tensor")
    return Call("cond", [[pred], _plain(operands)], [true_fn, false_fn], given)


def _while_loop(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], carried_inputs: Any
) -> Call:
    def given(fresh: list[Any]) -> list[tuple[Any, ...]]:
        args = tuple(_filled(carried_inputs, iter(fresh)))
        return [args, args]

    return Call("while_loop", [_plain(carried_inputs)], [cond_fn, body_fn], given)


def _map(f: Callable[..., Any], xs: Any, *args: Any) -> Call:
    flat = _plain(xs)

    def given(fresh: list[Any]) -> list[tuple[Any, ...]]:
        rows = [_copy(x.detach()[0]).requires_grad_(x.requires_grad) for x in fresh]
        slices = _filled(xs, iter(rows[: len(flat)]))
        return [(slices, *_filled(args, iter(fresh[len(flat) :])))]

    return Call("map", [flat, _plain(args)], [f], given)


def _scan(
    combine_fn: Callable[..., Any],
    init: Any,
    xs: Any,
    *,
    dim: int = 0,
    reverse: bool = False,
) -> Call:
    if dim != 0 or reverse:
        raise RefusedError("another dimension or direction")
    starts, flat = _plain(init), _plain(xs)

    def given(fresh: list[Any]) -> list[tuple[Any, ...]]:
        rows = [
            _copy(x.detach()[0]).requires_grad_(x.requires_grad)
            for x in fresh[len(starts) :]
        ]
        return [(_filled(init, iter(fresh[: len(starts)])), _filled(xs, iter(rows)))]

    return Call("scan", [starts, flat], [combine_fn], given)


#: What may be in a tree of arguments besides tensors.
_CONSTANTS = (type(None), bool, int, float, str)


@functools.cache
def _rebound_cells(code: types.CodeType) -> frozenset[str]:
    """Return the variables for inner functions that code assigns itself."""
    names = [i.argval for i in dis.get_instructions(code) if i.opname == "STORE_DEREF"]
    return frozenset(names).intersection(code.co_cellvars)


def _is_rebound(function: Any) -> bool:
    """May the frames that are running give a variable of a function another value?

    It runs again in the backward pass: ``checkpoint(lambda x: layer(x), x)`` in a loop
    over layers uses the last one there.
    """
    while isinstance(function, functools.partial):
        function = function.func
    frame: types.FrameType | None = sys._getframe(1)
    free = getattr(getattr(function, "__code__", None), "co_freevars", ())
    while free and frame is not None:
        if not _rebound_cells(frame.f_code).isdisjoint(free):
            return True
        frame = frame.f_back
    return False


def _checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool,
    context_fn: Any = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
) -> Call:
    if use_reentrant or debug or context_fn is not noop_context_fn:
        raise RefusedError("options of checkpoint")
    leaves, tree = pytree.tree_flatten(args)
    at = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    if any(type(x) not in _CONSTANTS for i, x in enumerate(leaves) if i not in at):
        raise RefusedError("an argument that is neither a tensor nor a constant")

    def given(fresh: list[Any]) -> list[tuple[Any, ...]]:
        full = list(leaves)
        for i, value in zip(at, fresh, strict=True):
            full[i] = value
        return [tuple(pytree.tree_unflatten(full, tree))]

    if _is_rebound(function):
        raise RefusedError("a function whose variables change before it runs again")
    options = {
        "determinism_check": determinism_check,
        "early_stop": early_stop,
        "preserve_rng_state": preserve_rng_state,
    }
    return Call("checkpoint", [[leaves[i] for i in at]], [function], given, options)


def checkpointed(
    body: GraphModule, count: int, options: Mapping[str, Any], *given: Any
) -> Any:
    """Run a body whose intermediate results are computed again in the backward pass.

    Args:
        body: takes what the program has given, then what its function has used besides.
        count: how many tensors the program has given.
        options: of ``checkpoint``.
        given: the tensors.
    """
    if TracingContext.try_get() is not None:  # a compiler's partitioner decides
        return torch.ops.higher_order.tag_activation_checkpoint(body, *given)
    used = given[count:]

    def run(*args: Any) -> Any:
        return body(*args, *used)

    return checkpoint(run, *given[:count], use_reentrant=False, **options)


_KINDS: dict[str, Callable[..., Call]] = {
    "checkpoint": _checkpoint,
    "cond": _cond,
    "while_loop": _while_loop,
    "map": _map,
    "scan": _scan,
}


def begin_aside() -> Callable[[], bool]:
    """Return what takes back what a body does that the program has not asked for.

    It puts the random generators back.  The answer is whether there were any warnings.
    """
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    speak = begin_hush()

    def end() -> bool:
        heard = speak()
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        return heard

    return end


def begin_hush() -> Callable[[], bool]:
    """Ignore warnings; return what ends that, and tells whether there were any.

    Those of other threads are not ignored, and the registries do not learn of the others:
    the filter comes first, and nobody is told that the list has changed.  Torch does not
    note either which of its warnings it has given.
    """
    ears, always = _engine._ears(), torch.is_warn_always_enabled()
    filters: list[Any] = warnings.filters  # type: ignore[assignment]
    quiet = ("ignore", ears, Warning, None, 0)
    filters.insert(0, quiet)
    torch.set_warn_always(True)

    def end() -> bool:
        torch.set_warn_always(always)
        now: list[Any] = warnings.filters  # type: ignore[assignment]
        for each in (filters, now):
            if quiet in each:
                each.remove(quiet)
        return bool(ears.heard())

    return end


_REVERSED: type = type(reversed([]))
_ITERATORS = frozenset(
    {type(iter([])), type(iter(())), type(iter(range(0))), _REVERSED}
)
#: Holders of an iterator below another one, when it is asked for them.
_BELOW = 3


def copied_iterator(iterator: Any) -> Any:
    """Return an iterator that gives what another one will give; None if there is none.

    It goes over the same object.  Iterators below it are copied, too, unless somebody else
    has them.
    """
    kind = type(iterator)
    if kind not in _ITERATORS and kind not in (enumerate, zip):
        return None
    _, args, *state = iterator.__reduce__()
    if kind is enumerate:
        # (held by the iterator, by the arguments, and by the call)
        inner = sys.getrefcount(args[0]) <= _BELOW and copied_iterator(args[0])
        return enumerate(inner, args[1]) if inner else None
    if kind is zip:
        # (held by the tuple and by the call; a variable counts on some versions)
        if any(sys.getrefcount(args[i]) > _BELOW - 1 for i in range(len(args))):
            return None
        found = [copied_iterator(each) for each in args]
        return None if None in found else zip(*found, strict=bool(state))
    copy: Any = reversed(args[0]) if kind is _REVERSED else iter(args[0])
    if state and state[0] is not None:  # (3.12: the rest of a range has none)
        copy.__setstate__(state[0])
    return copy


def kept(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return what :func:`undo` needs to put the content of a tensor back."""
    with torch.no_grad():
        return tensor, tensor.detach().clone(), tensor._version


def undo(log: list[tuple[torch.Tensor, torch.Tensor, int]]) -> None:
    """Put back what tensors held, the last first; nobody sees that they were written."""
    for tensor, content, version in reversed(log):
        with torch.no_grad():
            tensor.detach().copy_(content)
        torch._C._autograd._unsafe_set_version_counter((tensor,), (version,))


def look_alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Can no code tell the tensors apart but by their values?"""
    return (
        type(a) is type(b) is torch.Tensor
        and (a.dtype, a.device, a.layout, a.requires_grad)
        == (b.dtype, b.device, b.layout, b.requires_grad)
        and a.layout is torch.strided
        and (a.shape, a.stride(), a.storage_offset())
        == (b.shape, b.stride(), b.storage_offset())
        and torch._C._dispatch_keys(a) == torch._C._dispatch_keys(b)
        and not vars(a)
        and not vars(b)
    )


def run_body(body: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call a body; this frame is watched like one of the program."""
    return body(*args)


def operators() -> list[Any]:
    """Return the functions of torch that :func:`plan` knows."""
    from torch._higher_order_ops import map as map_module
    from torch._higher_order_ops import scan, while_loop

    mapped = getattr(map_module, "map", map_module)
    return [torch.cond, while_loop, mapped, scan]


# -- Branches of the program -----------------------------------------------------------


def branch(
    condition: Any, right: Any, wrong: Any, operands: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Run one of two graphs; while a compiler traces, ``torch.cond`` of them.

    What the arms hand on unchanged is copied there, since ``torch.cond`` takes no result
    that is an operand; nobody else has it (``engine/graph/branch.c``).
    """
    if not _is_traced((condition, *operands)):
        chosen = right if condition else wrong
        found: tuple[Any, ...] = chosen(*operands)
        return found

    written: tuple[int, ...] = right.written

    def copied(arm: Any) -> Callable[..., tuple[Any, ...]]:
        def run(*given: Any) -> tuple[Any, ...]:
            own = [x.clone() if k in written else x for k, x in enumerate(given)]
            results = [
                result.clone() if any(result is x for x in own) else result
                for result in arm(*own)
            ]
            return (*results, *[own[k] for k in written])

        return run

    ops: Any = torch.ops.higher_order
    results = ops.cond(
        condition.reshape(()) != 0, copied(right), copied(wrong), operands
    )
    grads = right.grads
    results, after = results[: len(grads)], results[len(grads) :]
    for k, content in zip(written, after, strict=True):
        operands[k].copy_(content)
    return tuple(
        [
            result if asks else result.detach()
            for result, asks in zip(results, grads, strict=True)
        ]
    )


def choose(
    condition: Any, right: Any, wrong: Any, operands: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Run one of two graphs of pieces (:mod:`magpy.pieces`)."""
    found: tuple[Any, ...] = (right if condition else wrong).forward(*operands)
    return found


def _is_traced(values: Iterable[Any]) -> bool:
    from torch._subclasses import FakeTensor
    from torch._subclasses.functional_tensor import FunctionalTensor
    from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

    return bool(_get_current_dispatch_mode_stack()) or any(
        isinstance(value, (FakeTensor, FunctionalTensor)) for value in values
    )


def join(
    leaves: tuple[Any, ...],
    arms: Sequence[tuple[list[Any], Any]],
    grads: Sequence[bool],
    written: Sequence[Any] | None,
) -> Any:
    """Return the operation that stands for a branch, and its operands.

    Args:
        leaves: the condition.
        arms: operations and results of the one for True, and of the other.
        grads: which results require gradients.
        written: operands that an arm writes to.
    """
    bodies: list[Body] = [([], ops, outs) for ops, outs in arms]
    try:
        _check_operations(bodies)
        lifted = _lifted(bodies)
        specs = [spec_of(*body, lifted) for body in bodies]
    except RefusedError as error:
        return str(error)
    specs[0][3]["grads"] = tuple(grads)
    changed = {value.index for value in written or ()}
    specs[0][3]["written"] = tuple(
        [k for k, value in enumerate(lifted) if value.index in changed]
    )
    region = Region("branch", specs, (1, 0), _shaped(bodies[0][2], None))
    return region, (*leaves, *lifted)
