"""From the engine's operator log to a ``torch.fx.GraphModule``.

A spec is the tuple ``(ops, n_inputs, outputs, notes)`` of ``engine/plan/plan.h``.  Values
are numbered: the first `n_inputs` are the placeholders, each op defines the Values of
its result tree.  One pass, in program order; the graph always returns a tuple.

A Value that an op returns again (``x.add_(1)`` returns x) is bound to the newer node:
the objects are the same, and the graph keeps the order of reads and writes.

A Number leaf stands for an int or float that is another one in other calls.  What it is
made of stands in ``notes["numbers"]``, see :mod:`magpy.shapes`; the nodes for that come
before all operations, which may change the sizes of a tensor.
"""

from __future__ import annotations

import builtins
import keyword
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from magpy import origins

if TYPE_CHECKING:
    from torch.fx import Graph, GraphModule, Node

#: ops, number of inputs, indices of the outputs, notes
Spec = tuple[list[tuple[Any, Any, Any, Any]], int, tuple[int, ...], dict[str, Any]]

_NOT_IDENTIFIER = re.compile(r"\W+")
# What generated code refers to by name; an argument called so would hide it.
_RESERVED = frozenset(
    {*dir(builtins), *keyword.kwlist, "self", "torch", "device", "inf", "nan"}
)
_PLAIN = frozenset(
    {type(None), bool, int, float, str, bytes, type(Ellipsis), type(NotImplemented)}
)
_NUMBER = "magpy_operation"  # of a node: its position in the spec
_OF_TENSORS = {"SIZE": "size", "STRIDE": "stride", "OFFSET": "storage_offset"}
_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "ADD": operator.add,
    "SUB": operator.sub,
    "MUL": operator.mul,
    "FLOORDIV": operator.floordiv,
    "MOD": operator.mod,
    "NEG": operator.neg,
    "POS": operator.pos,
}
_KEYS = (int, slice, type(None), type(...))  # of views
_TORCH_PLAIN = ("dtype", "device", "layout", "memory_format")


def placeholder_name(source: str) -> str:
    """Turn a source text, ``self.layers[0].weight``, into a Python name.

    Returns:
        ``self_layers_0_weight``; never empty, never starting with a digit.
    """
    name = _NOT_IDENTIFIER.sub("_", source).strip("_")
    return name if name and not name[0].isdigit() else f"arg_{name}".rstrip("_")


def input_name(source: str) -> str:
    """Return the name of an input as TorchDynamo makes it.

    Returns:
        ``l_self_layers_0_weight_``, in lower case as all names of FX are.
    """
    return f"l_{placeholder_name(source)}_".lower()


#: What most leaves are that stand for nothing; names of such types are slow to read.
_LITERAL = frozenset(
    {int, float, bool, str, tuple, list, dict, slice, type(None), type(...)}
)


def is_value(obj: object) -> bool:
    """Does it stand for a tensor in a spec?"""
    kind = type(obj)
    return (
        kind not in _LITERAL
        and kind.__name__ == "Value"
        and isinstance(getattr(obj, "index", None), int)
    )


def is_number(obj: object) -> bool:
    """Does it stand for a number that varies?"""
    kind = type(obj)
    return (
        kind not in _LITERAL
        and kind.__name__ == "Number"
        and isinstance(getattr(obj, "index", None), int)
    )


class Builder:
    """Builds one graph; use :func:`build`."""

    def __init__(self, value_type: type | None, notes: Mapping[str, Any]) -> None:
        import torch
        from torch import fx

        self.graph: Graph = fx.Graph()
        self.attributes: dict[str, Any] = {}
        self.nodes: dict[int, Node] = {}
        self.numbers: dict[int, Any] = {}  # nodes, or constants
        self._value_type = value_type
        self._origins = origins.of(notes)
        self._plain = _PLAIN | {getattr(torch, name) for name in _TORCH_PLAIN}
        self._size = torch.Size
        self._legacy = type(torch.FloatTensor)
        self._mark = fx.node.has_side_effect
        self._attribute_nodes: dict[int, Node] = {}
        # By address; the spec keeps every target alive while the graph is built.
        self._targets: dict[int, Callable[..., Any]] = {}
        self._taken = set(_RESERVED)

    # -- arguments -------------------------------------------------------------------

    def argument(self, obj: Any) -> Any:
        """Map an argument tree: Values become nodes, odd constants attributes."""
        kind = type(obj)
        if kind in self._plain:
            return obj
        if kind is self._legacy:  # x.type(torch.FloatTensor): FX takes no classes
            return f"{obj.__module__}.{obj.__name__}"
        if kind is self._value_type or (self._value_type is None and is_value(obj)):
            return self.nodes[obj.index]
        if kind is tuple or kind is self._size:
            return tuple([self.argument(item) for item in obj])
        if kind is list:
            return [self.argument(item) for item in obj]
        if kind is dict:
            return {key: self.argument(value) for key, value in obj.items()}
        if kind is slice:
            return slice(
                self.argument(obj.start),
                self.argument(obj.stop),
                self.argument(obj.step),
            )
        if isinstance(obj, tuple) and hasattr(kind, "_fields"):
            return tuple.__new__(kind, [self.argument(item) for item in obj])
        if is_number(obj):
            return self.numbers[obj.index]
        return self._constant(obj)

    def _constant(self, obj: Any) -> Node:
        """Hold a constant that has no source text as an attribute of the module."""
        node = self._attribute_nodes.get(id(obj))
        if node is None:
            name = f"_constant_{len(self.attributes)}"
            self.attributes[name] = obj
            node = self.graph.create_node("get_attr", name)
            self._attribute_nodes[id(obj)] = node
        return node

    # -- results ---------------------------------------------------------------------

    def bind(self, tree: Any, node: Node) -> bool:
        """Bind the Values of a result tree to `node` or items of it.

        Returns:
            True if the tree holds a Value.
        """
        kind = type(tree)
        if kind is self._value_type or (self._value_type is None and is_value(tree)):
            self.nodes[tree.index] = node
            return True
        if isinstance(tree, (tuple, list)):
            pairs = list(enumerate(tree))
        elif isinstance(tree, dict):
            pairs = list(tree.items())
        else:
            return False
        found = False
        for key, item in pairs:
            if self._holds_value(item):
                self.bind(item, self._item(node, key))
                found = True
        return found

    def _holds_value(self, tree: Any) -> bool:
        if isinstance(tree, (tuple, list)):
            return any(self._holds_value(item) for item in tree)
        if isinstance(tree, dict):
            return any(self._holds_value(item) for item in tree.values())
        kind = type(tree)
        return kind is self._value_type or (self._value_type is None and is_value(tree))

    def _item(self, node: Node, key: Any) -> Node:
        return self.graph.create_node("call_function", operator.getitem, (node, key))

    # -- names -----------------------------------------------------------------------

    def target(self, target: Callable[..., Any]) -> Callable[..., Any]:
        """Return `target`, or a function around it that source code can name."""
        known = self._targets.get(id(target))
        if known is None:
            path = _qualified_name(target)
            known = target if path is not None else _wrapped(target)
            self._targets[id(target)] = known
            self._taken.add((path or _qualified_name(known) or "").replace(".", "_"))
        return known

    def targets(self) -> Iterable[Callable[..., Any]]:
        """Return the callables of the graph, as it calls them."""
        return self._targets.values()

    def placeholder(self, index: int, source: str) -> None:
        """Append an input; every callable must have been seen before."""
        # FX writes names of values in lower case: `self_B` and `self_b` are one there.
        stem = name = input_name(source)
        number = 0
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        self._taken.add(name)
        node = self.graph.placeholder(name)
        if node.target != node.name:  # slow; else `a_1 = a` may read another's value
            node.target = node.name
        node.meta["magpy_source"] = source
        self.nodes[index] = node

    def results(self, places: Mapping[int, int]) -> None:
        """Append an input that is a sequence, of which Values are items."""
        sequence = self.graph.placeholder("results")
        for index, at in places.items():
            self.nodes[index] = self._item(sequence, at)

    # -- numbers ---------------------------------------------------------------------

    def number(self, index: int, row: tuple[Any, ...], float_tensors: bool) -> None:
        """Append what computes a number of the graph.

        Args:
            index: of the number.
            row: what it is made of, see :mod:`magpy.shapes`.
            float_tensors: floats come as tensors, as in TorchDynamo's graphs.
        """
        name, *operands = row
        if name in ("INT", "FLOAT"):
            self.numbers[index] = operands[0]
        elif name == "INPUT":
            node = self.nodes[operands[0]]
            if float_tensors and type(operands[1]) is float:
                node = self.graph.create_node("call_method", "item", (node,))
            self.numbers[index] = node
        elif name in _OF_TENSORS:
            args = (self.nodes[operands[0]], *operands[1:])
            self.numbers[index] = self.graph.create_node(
                "call_method", _OF_TENSORS[name], args
            )
        else:
            args = tuple([self.numbers[at] for at in operands])
            self.numbers[index] = self.graph.create_node(
                "call_function", arithmetic(name), args
            )

    # -- ops -------------------------------------------------------------------------

    def op(self, target: Any, args: Any, kwargs: Any, result: Any, number: int) -> None:
        """Append one operation, the one of that number in the spec."""
        previous: Any = None
        meta = self._meta(number)
        for call in as_called(target, args, kwargs):
            target, args, kwargs = call
            mapped = tuple(
                [previous if arg is PREVIOUS else self.argument(arg) for arg in args]
            )
            named = {k: self.argument(v) for k, v in kwargs.items()} if kwargs else None
            if is_region(target):
                node, result = self._region(target, mapped), _flat(result)
            elif type(target) is str:
                node = self.graph.create_node("call_method", target, mapped, named)
            else:
                target = self.target(target)
                node = self.graph.create_node("call_function", target, mapped, named)
            node.meta.update(meta)
            previous = node
        if not self.bind(result, node) and node.op == "call_function":
            self._mark(target)

    def _meta(self, number: int) -> dict[str, Any]:
        """Return what the nodes of an operation say of it."""
        meta: dict[str, Any] = {_NUMBER: number}
        row = -1 if self._origins is None else self._origins.row(number)
        if self._origins is not None and row >= 0:
            meta["stack_trace"] = self._origins.text(row)
            if modules := self._origins.modules(row):
                meta["nn_module_stack"] = modules
        return meta

    def _region(self, region: Any, given: tuple[Any, ...]) -> Node:
        """Append an operator with graphs inside, which answers with a flat tuple."""
        bodies = []
        for body in region.modules():
            name = f"{region.kind}_body_{len(self.attributes)}"
            self.attributes[name] = body
            bodies.append(self.graph.create_node("get_attr", name))
        args = region.arguments(bodies, given)
        return self.graph.create_node("call_function", region.operator(), args)


class WithBodies:
    """Base class of operators with graphs inside (:mod:`magpy.regions`)."""

    specs: list[Spec]


def is_region(target: object) -> bool:
    """Is it an operator with graphs inside?"""
    return isinstance(target, WithBodies)


def operations(spec: Spec) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Yield the operations of a graph and of the graphs inside it."""
    for op in spec[0]:
        yield op
        if is_region(op[0]):
            for inner in op[0].specs:
                yield from operations(inner)


def _flat(tree: Any) -> tuple[Any, ...]:
    if not isinstance(tree, (tuple, list)):
        return (tree,)
    return tuple([leaf for item in tree for leaf in _flat(item)])


def arithmetic(name: str) -> Callable[..., Any]:
    """Return what computes an operation of the graph on numbers."""
    import torch

    if name in ("MIN", "MAX"):  # as torch has them for symbols; plain ones for ints
        chosen: Any = torch.sym_min if name == "MIN" else torch.sym_max
        return cast("Callable[..., Any]", chosen)
    return _ARITHMETIC[name]


Call = tuple[Any, Any, Any]

#: stands for the result of the call before, in what `as_called` returns
PREVIOUS = object()


def as_called(target: Any, args: Any, kwargs: Any) -> list[Call]:
    """Return the calls that the graph makes for a recorded one."""
    import torch

    if isinstance(target, type):
        target, args, kwargs = _modern(target, args, kwargs)
    elif target is setattr:
        target = set_state
    elif target in (operator.getitem, operator.setitem):
        return _indexed(target, args, kwargs)
    if args and is_array(args[0]):
        target, kwargs = _over_copy(target, kwargs)
    if target == "new" and len(args) == 2 and type(args[1]) is torch.Size:
        args = (args[0], *args[1])  # a tuple would be its data, not its size
    return [(target, args, kwargs)]


def _indexed(target: Any, args: Any, kwargs: Any) -> list[Call]:
    """Select with numbers that vary by an operation that takes symbols.

    ``x[:, n]`` is ``x[:, :].select(1, n)``; what is set is set in that view.
    """
    import torch

    key = args[1] if type(args[1]) is tuple else (args[1],)
    plain = all(is_number(k) or type(k) in _KEYS for k in key)
    if not plain or not any(map(is_number, key)):
        return [(target, args, kwargs)]
    rest = tuple([slice(None) if is_number(k) else k for k in key])
    calls: list[Call] = []
    base = args[0]
    if any(k != slice(None) for k in rest):
        calls, base = [(operator.getitem, (base, rest), {})], PREVIOUS
    for dim, number in reversed(_selected(key)):
        calls.append((torch.select, (base, dim, number), {}))
        base = PREVIOUS
    if target is operator.setitem:
        calls.append((target, (base, ..., args[2]), kwargs))
    return calls


def _selected(key: tuple[Any, ...]) -> list[tuple[int, Any]]:
    """Return the numbers in an index, with the dimensions that they are to select.

    Behind an ellipsis those are counted from the end.  To be selected from the last to
    the first: then none moves another one.
    """
    middle = key.index(...) if ... in key else len(key)
    found = []
    for parts, back in ((key[:middle], False), (key[:middle:-1], True)):
        dim = -1 if back else 0
        here = []
        for part in parts:
            if is_number(part):
                here.append((dim, part))
            if type(part) is not int:
                dim += -1 if back else 1
        found += here
    return found


def set_state(tensor: Any, name: str, value: Any) -> None:
    """Set what is behind an attribute of a tensor, whatever its class does before."""
    object.__setattr__(tensor, name, value)


def is_array(obj: object) -> bool:
    """Is it an array of numpy?"""
    return type(obj).__module__ == "numpy" and type(obj).__name__ == "ndarray"


def _over_copy(target: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return what makes the same tensor over memory of its own.

    The array is the graph's: what the program does with the tensor of one call must not
    be seen by the next.
    """
    import torch

    if target is torch.from_numpy:
        return torch.tensor, {"device": "cpu"}
    return (torch.tensor if target is torch.as_tensor else target), kwargs


def _modern(target: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
    """Return what stands for a call of a legacy constructor, which compilers know less.

    ``Variable(x)`` is ``x.detach()``; ``torch.FloatTensor([1, 2])`` is ``torch.tensor``
    and ``torch.FloatTensor(2, 3)`` is ``torch.empty`` of its dtype on its device.
    """
    import torch

    if kwargs:
        return target, args, kwargs
    if target is torch.autograd.Variable:
        return ("detach", args, {}) if len(args) == 1 else (target, args, {})
    sizes = args[0] if len(args) == 1 and type(args[0]) is torch.Size else args
    if target is torch.Tensor:
        options = {"dtype": torch.get_default_dtype(), "device": "cpu"}
    elif getattr(target, "is_sparse", True):
        return target, args, {}
    else:
        device = "cuda" if target.is_cuda else "cpu"
        options = {"dtype": target.dtype, "device": device}
    if len(args) == 1 and (type(args[0]) in (list, tuple) or is_array(args[0])):
        return torch.tensor, args, options
    if args and all(type(size) is int or is_number(size) for size in sizes):
        return torch.empty, (tuple(sizes),), options
    return target, args, {}


def _qualified_name(target: Callable[..., Any]) -> str | None:
    """Return the name that FX writes for `target`, None if it does not reach it.

    FX writes a torch function as a dotted path and anything else as a global.
    """
    from torch.fx.node import _get_qualified_name

    name = getattr(target, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        return None
    try:
        path: str = _get_qualified_name(target)
    except (RuntimeError, AttributeError):
        return None
    if not path.startswith("torch."):
        return path
    import torch

    found: Any = torch
    for part in path.split(".")[1:]:
        found = getattr(found, part, None)
    return path if found is target else None


class _Names:
    """A module's place in generated code: the names used there lead where they did.

    What the program puts in the place of a function later is not what it called.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _bind_names(module: GraphModule, targets: Iterable[Any]) -> None:
    """Make generated code call `targets` themselves, not what their names lead to."""
    import torch

    code: Any = type(module).forward
    if code.__globals__.get("torch") is not torch:
        return
    root = code.__globals__["torch"] = _Names(torch)
    for target in targets:
        path = _qualified_name(target) or ""
        first, *parts = path.split(".")
        if first != "torch" or not parts:
            continue
        place = root
        for part in parts[:-1]:
            inner = vars(place).get(part)
            if type(inner) is not _Names:
                inner = vars(place)[part] = _Names(getattr(place._module, part))
            place = inner
        vars(place)[parts[-1]] = target


def _scripted(target: Any) -> Callable[..., Any]:
    """Return what runs a scripted function, for a compiler operation by operation.

    A function that has run twice has kernels on a GPU, fused by its executor, which want
    the memory of their arguments; fake tensors have none.  While a compiler works
    (seal.sealed), its graph is interpreted instead.
    """
    import torch

    arguments = target.schema.arguments
    defaults = {each.name: each.default_value for each in arguments}
    kinds = {each.name: str(each.type) for each in arguments}

    def call(*args: Any, **kwargs: Any) -> Any:
        if torch._C._get_graph_executor_optimize():
            return target(*args, **kwargs)
        names = dict(zip(defaults, args, strict=False))
        given = {**defaults, **names, **kwargs}
        values = [float(x) if kinds[n] == "float" else x for n, x in given.items()]
        return torch._C._jit_interpret_graph(target.inlined_graph, tuple(values))

    return call


def _wrapped(target: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function around `target` that generated code can name."""
    import torch

    if isinstance(target, torch.jit.ScriptFunction):
        call = _scripted(target)
    else:

        def call(*args: Any, **kwargs: Any) -> Any:
            return target(*args, **kwargs)

    name = getattr(target, "__name__", None) or type(target).__name__
    call.__name__ = call.__qualname__ = placeholder_name(name)
    call.__module__ = __name__
    return call


def build(
    spec: Spec,
    *,
    name: str = "magpy",
    value_type: type | None = None,
    float_tensors: bool = False,
) -> GraphModule:
    """Build the graph module of a recorded run.

    Args:
        spec: see the module's docstring.
        name: class name of the module, shown when it is printed.
        value_type: exact type of the Value leaves; None recognises them by name.
        float_tensors: inputs that are floats come as tensors without dimensions.

    Returns:
        A module that takes the inputs in order and returns a tuple of tensors.

    Raises:
        KeyError: the spec uses a Value that nothing defined.
    """
    import torch
    from torch import fx

    ops, n_inputs, outputs, notes = spec
    builder = Builder(value_type, notes)
    names = notes.get("input_names", ())
    for target, *_ in ops:
        if type(target) is not str and not is_region(target):
            builder.target(target)
    for index in range(n_inputs):
        source = names[index] if index < len(names) else f"input_{index}"
        builder.placeholder(index, source)
    rows = notes.get("numbers") or {}
    for index in sorted(rows):
        builder.number(index, rows[index], float_tensors)
    for number, (target, args, kwargs, result) in enumerate(ops):
        builder.op(target, args, kwargs, result, number)
    results: Any = tuple([builder.nodes[index] for index in outputs])
    builder.graph.output(results[0] if notes.get("bare") else results)
    root = torch.nn.Module()
    for key, value in builder.attributes.items():
        setattr(root, key, value)
    module = fx.GraphModule(root, builder.graph, class_name=placeholder_name(name))
    _bind_names(module, builder.targets())
    return module


def build_behind(
    spec: Spec,
    inputs: Sequence[int],
    results: Mapping[int, int],
    rows: Mapping[int, Any],
    value_type: type | None,
) -> GraphModule:
    """Build what is computed behind a compiled graph, see :mod:`magpy.late`.

    Args:
        spec: operations, and the Values to answer with.
        inputs: the Values of the run's inputs that it takes, one after another; behind
            them, in one sequence, the results of the compiled graph.
        results: which of these a Value is.
        rows: what the numbers that it needs are made of.
        value_type: exact type of the Value leaves; None recognises them by name.
    """
    import torch
    from torch import fx

    ops, _, outputs, notes = spec
    builder = Builder(value_type, {})
    names = notes.get("input_names", ())
    for target, *_ in ops:
        if type(target) is not str:
            builder.target(target)
    for index in inputs:
        builder.placeholder(index, names[index] if index < len(names) else "input")
    builder.results(results)
    for index, row in rows.items():
        builder.number(index, row, float_tensors=False)
    for number, (target, args, kwargs, result) in enumerate(ops):
        builder.op(target, args, kwargs, result, number)
    builder.graph.output(tuple([builder.nodes[index] for index in outputs]))
    module = fx.GraphModule(torch.nn.Module(), builder.graph, class_name="behind")
    _bind_names(module, builder.targets())
    return module


def operations_of_lines(module: GraphModule) -> dict[int, int]:
    """Return which operation of the spec stands in which line of the module's code."""
    nodes = list(module.graph.nodes)
    first = module.forward.__code__.co_firstlineno
    # FX counts lines from the head of the function; an older one does not tell.
    lines: dict[int, int | None] = getattr(module, "_lineno_map", None) or {}
    return {
        first + line: nodes[at].meta[_NUMBER]
        for line, at in lines.items()
        if at is not None and _NUMBER in nodes[at].meta
    }
