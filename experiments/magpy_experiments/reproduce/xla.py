"""A backend for both front ends: graphs in ATen, computed by XLA through JAX.

AOTAutograd makes a graph functional and splits off its gradient; each ATen operation is a
JAX function of torchax's table; JAX compiles the whole once (per sizes, if sizes change).
Tensors cross by DLPack, which shares their memory.

R: JAX takes arrays for immutable and torch does not.  Results are always memory of their
own (`copy` at the end of the program), what is computed on the CPU is waited for, and on
a GPU both streams wait for each other, so that no write of torch's is seen too early or
too late.  An array is kept for an input that comes again only if it shares the memory of
that input: writes to it are seen whoever makes them, and a replaced one has another
address.

It stands here and not in the product: JAX draws other random numbers, and XLA's rounding
is its own.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from magpy_experiments.reproduce import xla_table
from magpy_experiments.reproduce.xla_table import Unfit, dtype_of

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule, Node


def convert(
    gm: GraphModule, inputs: Sequence[Any], told: list[str] | None = None
) -> Callable[..., Any]:
    """Return what computes a graph by XLA; a backend as TorchDynamo takes them.

    Args:
        gm: it answers a tuple or list of tensors.
        inputs: of a call.
        told: takes why a gradient, or sizes that come later, are left to torch.

    Raises:
        Unfit: JAX cannot compute the graph.
        ImportError: packages are missing.
    """
    from torch._dynamo.backends.common import aot_autograd
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils._python_dispatch import _disable_current_modes

    xla_table.jax()
    notes = [] if told is None else told

    def forward(graph: GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
        with _disable_current_modes():  # AOTAutograd's tensors without numbers
            return _Compiled(graph, notes).boxed()

    def backward(graph: GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
        try:
            return forward(graph, examples)
        except Unfit as error:
            return _as_it_is(graph, notes, f"of the gradient, {error}")

    make = aot_autograd(
        fw_compiler=forward,
        inference_compiler=forward,
        bw_compiler=backward,
        decompositions=xla_table.decompositions(),
    )
    with sdpa_kernel(SDPBackend.MATH):  # fused attention is for XLA to choose
        made: Callable[..., Any] = make(gm, inputs)
    return made


def _as_it_is(graph: GraphModule, notes: list[str], why: str) -> Callable[..., Any]:
    from torch._functorch.aot_autograd import make_boxed_func

    notes.append(f"the graph runs as it is: {why}")
    made: Callable[..., Any] = make_boxed_func(graph.forward)
    return made


# -- a graph as a function of arrays ---------------------------------------------------


class _Program:
    """The operations of a graph, on arrays of JAX.

    Args:
        graph: in ATen, functional.
        device: of torch, where all of it is.

    Raises:
        Unfit: there is an operation that JAX does not have.
    """

    def __init__(self, graph: GraphModule, device: torch.device) -> None:
        self._graph = graph
        self._device = device
        nodes = list(graph.graph.nodes)
        for node in nodes:
            if node.op == "call_function":
                xla_table.check(node.target)
            elif node.op not in ("placeholder", "get_attr", "output"):
                raise Unfit(f"an operation {node.op}")
        self.placeholders = [node for node in nodes if node.op == "placeholder"]
        self.results = list(nodes[-1].args[0])

    def __call__(self, *inputs: Any) -> list[Any]:
        """Run it; an input is an array, or a number."""
        values: dict[Node, Any] = dict(zip(self.placeholders, inputs, strict=True))
        for node in self._graph.graph.nodes:
            if node.op == "get_attr":
                values[node] = self._constant(node.target)
            elif node.op == "call_function":
                values[node] = _as_eager(_apply(node, values), node)
        return [values[each] if each in values else each for each in self.results]

    def _constant(self, name: str) -> Any:
        import torch

        value = operator.attrgetter(name)(self._graph)
        if not isinstance(value, torch.Tensor):
            raise Unfit("a graph in the graph")
        return xla_table.jax().numpy.asarray(value.detach().cpu().numpy())


def _apply(node: Node, values: dict[Node, Any]) -> Any:
    """Call the operation of a node, given the values of those before it."""
    from torch.fx import Node

    def known(arg: Any) -> Any:
        if isinstance(arg, Node):
            return values[arg]
        if isinstance(arg, (list, tuple)):  # some write to lists of arguments
            each = map(known, arg)
            return list(each) if isinstance(arg, list) else tuple(each)
        return arg

    kwargs = {name: known(arg) for name, arg in node.kwargs.items()}
    function = xla_table.function_of(node.target)
    return function(*map(known, node.args), **kwargs)


def _as_eager(result: Any, node: Node) -> Any:
    """Return a result with the dtype that torch gives it; its shape must be torch's."""
    import torch

    value = node.meta.get("val")
    if isinstance(value, (tuple, list)):
        pairs = zip(result, value, strict=False)
        return type(value)(_as(x, y) for x, y in pairs)
    if isinstance(value, torch.Tensor):
        return _as(result, value)
    return result


def _as(x: Any, value: torch.Tensor) -> Any:
    if x is None or value is None:
        return x
    x = xla_table.jax().numpy.asarray(x, dtype=dtype_of(value.dtype))
    if _is_static(value) and x.shape != tuple(value.shape):
        raise Unfit(f"a shape is {x.shape}, not {tuple(value.shape)}")
    return x


def _is_static(value: torch.Tensor) -> bool:
    return all(type(size) is int for size in value.shape)


# -- where numbers lie in memory -------------------------------------------------------


class _Layout:
    """How the elements of a tensor lie in memory: those of JAX are dense and in order.

    Attributes:
        order: dimensions from the one with the widest steps on, None if that is 0, 1, ...
        back: what undoes the order.
        repeated: dimensions all of whose elements are one.
        strides: if there are gaps between elements, else None.
        shape: of the tensor, if it has gaps or is repeated.

    Args:
        value: a tensor of the example.
    """

    def __init__(self, value: torch.Tensor) -> None:
        shape = [_number(size) for size in value.shape]
        strides = [_number(stride) for stride in value.stride()]
        dimensions = range(len(shape))
        self.repeated = [at for at in dimensions if shape[at] > 1 and not strides[at]]
        order = sorted(dimensions, key=lambda at: -strides[at])
        self.order = None if order == sorted(order) else tuple(order)
        self.back = tuple(sorted(dimensions, key=order.__getitem__))
        step, last, dense = 1, 0, True
        self.overlaps = False
        for at in reversed(order):
            if shape[at] != 1 and at not in self.repeated:
                dense &= strides[at] == step
                self.overlaps |= strides[at] <= last
                last += (shape[at] - 1) * strides[at]
                step *= shape[at]
        if 0 in shape or value.is_contiguous():
            self.order, self.repeated, self.overlaps, dense = None, [], False, True
        self.strides = None if dense else strides
        self.shape = shape

    def check_result(self, value: torch.Tensor) -> None:
        """Can what JAX answers be laid out so?

        Raises:
            Unfit: it cannot.
        """
        plain = self.strides is None and not self.repeated
        if self.overlaps or not (plain or _is_static(value)):
            raise Unfit("a result whose elements share memory")

    def lay_out(self, y: torch.Tensor) -> torch.Tensor:
        """Return a result of JAX as eager would have it in memory."""
        import torch

        if self.order is not None:
            y = y.permute(self.back)
        if self.strides is not None:
            room = torch.empty_strided(
                y.shape, self.strides, dtype=y.dtype, device=y.device
            )
            y = room.copy_(y)
        return y.expand(self.shape) if self.repeated else y


def _number(size: Any) -> int:
    return size if type(size) is int else int(size.node.hint)


# -- compiled --------------------------------------------------------------------------


class _Kept:
    """The array of an input that comes again."""

    __slots__ = ("address", "array", "tensor")

    def __init__(self) -> None:
        self.tensor: Any = None  # a weak reference
        self.array: Any = None
        self.address = 0

    def forget(self, reference: Any) -> None:
        """The tensor is gone, so that its memory must not be held."""
        if reference is self.tensor:
            self.array = None


class _Compiled:
    """A graph that XLA has compiled, called with tensors.

    Args:
        graph: in ATen, functional, with an example of each value.
        notes: takes why it runs as it is.

    Raises:
        Unfit: JAX cannot compute it.
    """

    def __init__(self, graph: GraphModule, notes: list[str]) -> None:
        self._graph, self._notes = graph, notes
        values = [node.meta.get("val") for node in graph.graph.nodes]
        self._where = _only_device(values)
        self._program = _Program(graph, self._where)
        self._device = _device(self._where)
        self._of_sizes = _of_sizes(self._program, graph)
        inputs = [node.meta["val"] for node in self._program.placeholders]
        self._layouts = [_Layout(x) if _is_tensor(x) else None for x in inputs]
        results = [_example(node) for node in self._program.results]
        self._results = [_Layout(x) if _is_tensor(x) else None for x in results]
        for layout, result in zip(self._results, results, strict=True):
            if layout is not None:
                layout.check_result(result)
        self._kept = [_Kept() for _ in inputs]
        self._made: dict[Any, Callable[..., Any]] = {}
        self._fixed = all(_is_tensor(x) and _is_static(x) for x in inputs)
        if self._fixed:
            shapes = [(tuple(x.shape), x.dtype) for x in inputs]
            self._made[None] = self._lower(shapes)

    def boxed(self) -> Callable[..., Any]:
        """Return what takes a list of inputs, and empties it."""
        from torch._functorch.aot_autograd import make_boxed_func

        run: Callable[..., Any] = make_boxed_func(self._run)
        return run

    def _run(self, *args: Any) -> Any:
        key = None
        if not self._fixed:
            key = tuple((tuple(x.shape), x.dtype) if _is_tensor(x) else x for x in args)
        made = self._made.get(key)
        if made is None:
            try:
                made = self._lower(key)
            except Unfit as error:
                self._notes.append(f"the graph runs as it is: {error}")
                made = self._graph.forward
            self._made[key] = made
        return made(*args)

    def _lower(self, key: Any) -> Callable[..., Any]:
        """Compile for these shapes and numbers."""
        jax = xla_table.jax()
        numbers = {at: x for at, x in enumerate(key) if type(x) is not tuple}

        def program(token: Any, *arrays: Any) -> tuple[Any, ...]:
            rest, given = iter(arrays), []
            for at, layout in enumerate(self._layouts):
                if at in numbers:
                    given.append(numbers[at])
                    continue
                x = next(rest)
                if layout is not None and layout.order is not None:
                    x = jax.numpy.transpose(x, layout.back)
                given.append(x)
            results = []
            for x, layout in zip(self._program(*given), self._results, strict=True):
                if layout is not None:
                    for axis in layout.repeated:
                        x = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
                    if layout.order is not None:
                        x = jax.numpy.transpose(x, layout.order)
                    results.append(jax.numpy.copy(x))
            return tuple(results)

        place = jax.sharding.SingleDeviceSharding(self._device)
        shapes = [jax.ShapeDtypeStruct((1,), "float32", sharding=place)]
        for each, layout in zip(key, self._layouts, strict=True):
            if type(each) is tuple:
                shape, dtype = each
                if layout is not None and layout.order is not None:
                    shape = [shape[at] for at in layout.order]
                shapes.append(
                    jax.ShapeDtypeStruct(shape, dtype_of(dtype), sharding=place)
                )
        try:
            with jax.enable_x64(True), _precision():
                jitted = jax.jit(program, keep_unused=True)
                executable = jitted.lower(*shapes).compile()
        except Unfit:
            raise
        except Exception as error:
            text = str(error).strip().partition("\n")[0]
            raise Unfit(f"JAX raises {type(error).__name__}: {text[:200]}") from error
        return self._caller(executable, numbers)

    def _caller(self, executable: Any, numbers: dict[int, Any]) -> Callable[..., Any]:
        import torch

        jax = xla_table.jax()
        enable_x64, wait = jax.enable_x64, jax.block_until_ready
        token = torch.zeros(1, device=self._where)
        token_array = jax.dlpack.from_dlpack(token)
        on_cpu = self._where.type == "cpu"
        places = [at for at in range(len(self._kept)) if at not in numbers]

        def call(*args: torch.Tensor) -> list[Any]:
            with enable_x64(True):
                # A new array makes XLA wait for what torch has begun.
                first = token_array if on_cpu else jax.dlpack.from_dlpack(token)
                arrays = [self._array(at, args[at]) for at in places]
                made = executable(first, *arrays)
                if on_cpu:
                    wait(made)
                return self._tensors(made, args)

        return call

    def _array(self, at: int, x: torch.Tensor) -> Any:
        """Return the array that shares the memory of an input, or has a copy."""
        kept = self._kept[at]
        again = kept.tensor is not None and kept.tensor() is x
        if again and kept.array is not None and kept.address == x.data_ptr():
            return kept.array
        array, shares = self._convert(at, x)
        kept.array = None
        if again:
            if shares:
                kept.address, kept.array = x.data_ptr(), array
        else:
            kept.tensor = weakref.ref(x, kept.forget)
        return array

    def _convert(self, at: int, x: torch.Tensor) -> tuple[Any, bool]:
        jax, layout = xla_table.jax(), self._layouts[at]
        y = x.detach()
        if y.device != self._where:
            y = y.to(self._where)
        if layout is not None and layout.order is not None:
            y = y.permute(layout.order)
        y = y.contiguous().resolve_conj().resolve_neg()
        array = jax.dlpack.from_dlpack(y)
        shares = bool(y.numel()) and y.data_ptr() == x.data_ptr()
        return array, shares and array.unsafe_buffer_pointer() == y.data_ptr()

    def _tensors(self, arrays: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        import torch

        rest = iter(arrays)
        results: list[Any] = []
        for node, layout in zip(self._program.results, self._results, strict=True):
            if layout is None:
                results.append(self._number(node, args))
                continue
            results.append(layout.lay_out(torch.from_dlpack(next(rest))))
        return results

    def _number(self, node: Any, args: Sequence[Any]) -> Any:
        """Return a result that is no tensor: a size, or None."""
        if node is None or isinstance(node, (int, float, bool)):
            return node
        known: dict[Any, Any] = dict(zip(self._program.placeholders, args, strict=True))
        for each in self._of_sizes:
            known[each] = _apply(each, known)
        return known[node]


def _of_sizes(program: _Program, graph: GraphModule) -> list[Node]:
    """Return the operations on sizes that need no arrays.

    Raises:
        Unfit: a result is a size that needs one.
    """
    known, found = {*program.placeholders}, []
    for node in graph.graph.nodes:
        if node.op == "call_function" and _is_number(_example(node)):
            if known.issuperset(node.all_input_nodes):
                known.add(node)
                found.append(node)
    for node in program.results:
        if _is_number(_example(node)) and node not in known:
            raise Unfit("a result that is a number")
    return found


def _is_number(x: Any) -> bool:
    import torch

    return isinstance(x, (int, float, torch.SymInt, torch.SymFloat, torch.SymBool))


def _is_tensor(x: Any) -> bool:
    import torch

    return isinstance(x, torch.Tensor)


def _example(node: Any) -> Any:
    return getattr(node, "meta", {}).get("val")


def _only_device(values: Sequence[Any]) -> torch.device:
    """Return where all tensors of a graph are; numbers may be on the CPU."""
    import torch

    found = {x.device for x in values if _is_tensor(x)}
    if len(found) > 1:
        found = {x.device for x in values if _is_tensor(x) and x.ndim}
    if len(found) > 1:
        raise Unfit("tensors on several devices")
    return found.pop() if found else torch.device("cpu")


def _device(where: torch.device) -> Any:
    jax = xla_table.jax()
    try:
        return jax.devices(where.type)[where.index or 0]
    except RuntimeError as error:
        command = xla_table.missing("cuda") if where.type == "cuda" else ""
        raise ImportError(command or str(error)) from error


def _precision() -> Any:
    """Return the context in which products are as exact as torch's."""
    import torch

    exact = not torch.backends.cuda.matmul.allow_tf32
    return xla_table.jax().default_matmul_precision("highest" if exact else "default")
