"""Work out the sizes of results, by rules or on fake tensors."""

from __future__ import annotations

import bisect
import functools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch._subclasses import FakeTensor

from magpy import graph
from magpy.shapes import values
from magpy.shapes.rules import Book
from magpy.shapes.terms import UntranslatableError
from magpy.shapes.world import Layout, World

# Code of these packages may run on fakes; the program's may not.
_PACKAGES = ("torch", "_operator", "operator", "builtins", "math")
# They change what a tensor is without being its result.
_RESTATE = frozenset({"resize_", "resize_as_", "set_"})
# They change the sizes of their first operand, which is their result.
RESHAPE = frozenset(
    "squeeze_ unsqueeze_ transpose_ t_ swapaxes_ swapdims_ as_strided_".split()
)


class Known(NamedTuple):
    """What fakes are made of, of a tensor that may die while the run goes on."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype
    layout: torch.layout
    device: torch.device

    @staticmethod
    def of(live: torch.Tensor) -> Known:
        """Look at a tensor."""
        strides = tuple(live.stride())
        return Known(live.shape, strides, live.dtype, live.layout, live.device)

    def size(self) -> tuple[int, ...]:
        """Return the sizes."""
        return self.shape

    def stride(self) -> tuple[int, ...]:
        """Return the strides."""
        return self.strides


class Tracker:
    """Sizes of results of a graph that is being recorded.

    Attributes:
        book: sizes by rules; those that had none, from the fakes.
    """

    def __init__(self, fakes: Run | None = None) -> None:
        self.book = Book()
        self.fakes = fakes or Run(World())
        self._inputs: dict[int, tuple[Known, Layout | None]] = {}
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._definers: dict[int, list[int]] = {}  # of a Value: operations, in order
        self._done: set[int] = set()  # on fakes
        self._failed: dict[int, Exception] = {}
        self._writes: list[
            int
        ] = []  # operations that may have changed what tensors hold

    def input(self, index: int, live: Known, layout: Layout | None) -> None:
        """Take an input, which comes before all operations that use it."""
        self._inputs[index] = live, layout
        if layout is None:
            self.book.input(index, live.shape, ())
        else:
            self.book.input(index, layout.sizes, layout.dims)

    def number(self, index: int, row: tuple[Any, ...]) -> None:
        """Take a number."""
        self._rows[index] = row
        self.book.define(index, row)

    def op(self, ops: Sequence[Any], at: int) -> None:
        """Take an operation, with what a rule says of it."""
        target, args, kwargs, result = ops[at]
        _check(target)
        defined = [result.index] if graph.is_value(result) else list(values_in(result))
        self.book.op(target, args, kwargs, result)
        if not defined:
            self._writes.append(at)
        if type(target) is str and target in RESHAPE:  # its result is not a new Value
            defined += values_in(args[:1])
            self.book.sizes.pop(args[0].index, None)
        for index in defined:
            self._definers.setdefault(index, []).append(at)

    def run(self, ops: Sequence[Any], wanted: Sequence[int]) -> None:
        """Run on fakes what leads to some Values, and note their sizes."""
        world = self.fakes.world
        with world.entered():
            self.lead_to(ops, wanted)
        for index in wanted:
            x = self.fakes.values[index]
            if isinstance(x, torch.Tensor):
                self.book.take(index, list(map(world.term, x.size())))

    def lead_to(self, ops: Sequence[Any], wanted: Sequence[int]) -> None:
        """Run the operations that Values need, in order, each once."""
        needed: set[int] = set()
        seen = set(wanted)
        todo = list(wanted)
        while todo:
            for at in self._definers.get(todo.pop(), ()):
                if at in needed or at in self._done:
                    continue
                needed.add(at)
                for index in values_in(ops[at][1:]):
                    if index not in seen:
                        seen.add(index)
                        todo.append(index)
        for index in seen:
            self._fake_input(index)
        for at in sorted(needed):
            for k in numbers_in(ops[at][1:3]):
                self._fake_number(k)
            # What a fake remembers of a tensor's values holds until the next write.
            self.fakes.world.mode.epoch = bisect.bisect(self._writes, at)
            if at in self._failed:
                raise self._failed[at]
            try:
                self.fakes.op(*ops[at])
            except Exception as error:
                self._failed[at] = error
                raise
            self._done.add(at)

    def need(self, numbers: Iterable[int]) -> None:
        """Define numbers for an operation that is not among those of the run yet."""
        for k in numbers:
            self._fake_number(k)

    def _fake_input(self, index: int) -> None:
        if index in self._inputs and index not in self.fakes.values:
            live, layout = self._inputs[index]
            self.fakes.values[index] = self.fakes.world.fake(live, layout, index)

    def _fake_number(self, index: int) -> None:
        """Define a number and those that it is made of."""
        if index in self.fakes.numbers:
            return
        name, *operands = row = self._rows[index]
        value = operands[-1] if name in ("VALUE", "INPUT") else None
        if name in ("SIZE", "STRIDE", "OFFSET"):
            self._fake_input(operands[0])
        elif value is None and name not in ("INT", "FLOAT"):
            for at in operands:
                self._fake_number(at)
        self.fakes.number(index, row, value)


class Run:
    """Runs recorded operations on fakes, in order.

    An operation on fakes costs a millisecond, and models repeat themselves: the same
    operation on the same fakes has the same fakes as results.  So one fake may stand for
    many Values, and R: nothing may change what a fake is.

    Attributes:
        values: what the Values are, by index.
        numbers: what the Numbers are.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.values: dict[int, Any] = {}
        self.numbers: dict[int, Any] = {}
        self._results: dict[Any, tuple[Any, Any]] = {}  # with what must stay alive
        self._alike: dict[Any, torch.Tensor] = {}
        self._state = 0  # another one when modes may have changed

    def number(self, index: int, row: tuple[Any, ...], value: float | None) -> None:
        """Define a number by its row; `value` is that of one that is given."""
        name, *operands = row
        if name in ("INT", "FLOAT"):
            self.numbers[index] = operands[0]
        elif value is not None:
            self.numbers[index] = self.world.number(value, index)
        elif name == "SIZE":
            self.numbers[index] = self.values[operands[0]].size(operands[1])
        elif name == "STRIDE":
            self.numbers[index] = self.values[operands[0]].stride(operands[1])
        elif name == "OFFSET":
            self.numbers[index] = self.values[operands[0]].storage_offset()
        else:
            args = [self.numbers[at] for at in operands]
            self.numbers[index] = graph.arithmetic(name)(*args)

    def op(self, target: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Run one operation."""
        _check(target)
        if type(target) is str and target in RESHAPE:
            self._own(args[0])
            self._bind(result, self._call(target, args, kwargs))
            return
        tensors: list[torch.Tensor] = []
        key: Any = None
        known = None
        try:
            key = (self._state, target, self._key([args, kwargs], tensors))
            known = self._results.get(key)
        except TypeError:  # a constant that has no hash
            key = None
        if known is not None:
            self._bind(result, known[0])
            return
        got = self._call(target, args, kwargs)
        if not tensors and not any(values_in(result)):
            self._state += 1
        elif key is not None and self._is_repeatable(got):
            got = self._unified(got)
            self._results[key] = got, tensors
        self._bind(result, got)

    def _unified(self, got: Any) -> Any:
        """Return the first fakes that are like these."""
        if isinstance(got, (tuple, list)):
            return [self._unified(item) for item in got]
        if type(got) is not FakeTensor:
            return got
        expr = self.world.expr
        kind = got.dtype, got.device, got.layout, got.is_conj(), got.is_neg()
        numbers = (*got.size(), *got.stride(), got.storage_offset())
        return self._alike.setdefault((*kind, *map(expr, numbers)), got)

    def _call(self, target: Any, args: Any, kwargs: Any) -> Any:
        got: Any = None
        for call in graph.as_called(target, args, kwargs):
            target, args, kwargs = call
            if not is_torchs(target):
                raise NotImplementedError(f"{target} is not torch's")
            args = [got if arg is graph.PREVIOUS else self._of(arg) for arg in args]
            kwargs = {key: self._of(arg) for key, arg in kwargs.items()}
            args, kwargs = values.plain(target, args, kwargs)
            if type(target) is str and target not in values.MAKERS:
                got = getattr(args[0], target)(*args[1:], **kwargs)
            else:
                got = symbolic(target)(*args, **kwargs)
        return got

    def _own(self, leaf: Any) -> None:
        """Give a Value a fake of its own."""
        x = self.values[leaf.index]
        sizes, strides = x.size(), x.stride()
        self.values[leaf.index] = torch.empty_strided(
            sizes, strides, dtype=x.dtype, device=x.device
        )

    def _key(self, obj: Any, tensors: list[torch.Tensor]) -> Any:
        """Return what an argument tree comes to; equal ones give equal results."""
        kind = type(obj)
        if graph.is_value(obj):
            x = self.values[obj.index]
            tensors.append(x)
            return ("value", id(x))
        if graph.is_number(obj):
            return ("number", obj.index)
        if isinstance(obj, (tuple, list)):
            return (kind, *[self._key(item, tensors) for item in obj])
        if kind is dict:
            parts = [(name, self._key(item, tensors)) for name, item in obj.items()]
            return (kind, *parts)
        if kind is slice:
            parts = [self._key(p, tensors) for p in (obj.start, obj.stop, obj.step)]
            return (kind, *parts)
        if kind is float:
            return (kind, repr(obj))
        return (kind, obj)

    def _is_repeatable(self, got: Any) -> bool:
        """Is nothing of it known only when the graph has run?"""
        if isinstance(got, torch.Tensor):
            return all(map(self.world.is_known, (*got.size(), *got.stride())))
        if isinstance(got, (tuple, list)):
            return all(map(self._is_repeatable, got))
        return got is None

    def _of(self, obj: Any) -> Any:
        kind = type(obj)
        if graph.is_value(obj):
            return self.values[obj.index]
        if graph.is_number(obj):
            return self.numbers[obj.index]
        if kind is tuple or kind is torch.Size:
            return tuple([self._of(item) for item in obj])
        if kind is list:
            return [self._of(item) for item in obj]
        if kind is dict:
            return {key: self._of(value) for key, value in obj.items()}
        if kind is slice:
            parts = (obj.start, obj.stop, obj.step)
            return slice(*[self._of(part) for part in parts])
        if isinstance(obj, tuple) and hasattr(kind, "_fields"):
            return tuple.__new__(kind, [self._of(item) for item in obj])
        return obj

    def _bind(self, tree: Any, got: Any) -> None:
        if graph.is_value(tree):
            self.values[tree.index] = got
        elif isinstance(tree, (tuple, list)):
            if len(tree) != len(got):
                raise NotImplementedError("another number of results")
            for part, item in zip(tree, got, strict=True):
                self._bind(part, item)
        elif isinstance(tree, dict):
            for key, part in tree.items():
                self._bind(part, got[key])


def _check(target: Any) -> None:
    if target is setattr or target in _RESTATE:
        raise NotImplementedError(f"{target} changes what a tensor is")


def is_torchs(target: Any) -> bool:
    """Is it an operation of torch's, or one with a kernel for fakes?"""
    if isinstance(target, str):
        return True
    owner = getattr(target, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
        return False
    if isinstance(target, torch.jit.ScriptFunction):
        return False
    module = str(getattr(target, "__module__", None) or "torch")
    return module.partition(".")[0] in _PACKAGES


def symbolic(target: Any) -> Any:
    """Return what stands for a function where tensors are fakes and numbers symbols."""
    known = isinstance(target, (*_PYTHONS, str)) or target in _KERNELS
    return _STAND_INS.get(target, target) if known else target


def _converter(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: convert(x.item() if isinstance(x, torch.Tensor) else x)


def _chooser(choose: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda *numbers: functools.reduce(choose, numbers)


def _grouped_mm(
    a: torch.Tensor,
    b: torch.Tensor,
    *,
    offs: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    out_dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Return a fake of the result; torch's own takes bfloat16 only and pads no rows."""
    if a.size(-1) != b.size(-2):
        raise ValueError("sizes that differ")
    sizes = [a.size(-2), b.size(-1)]
    groups = [x.size(0) for x in (a, b) if x.dim() == 3]
    if len(groups) == 2 or (not groups and offs is not None):
        sizes.insert(0, groups[0] if groups else offs.size(0))  # type: ignore[union-attr]
    if any(other != groups[0] for other in groups[1:]):
        raise ValueError("sizes that differ")
    dtype = out_dtype or a.dtype
    unit = 16 // dtype.itemsize
    row = (sizes[-1] + unit - 1) // unit * unit
    strides = [row, 1] if len(sizes) == 2 else [sizes[1] * row, row, 1]
    return torch.empty_strided(sizes, strides, dtype=dtype, device=a.device)


_KERNELS: dict[Any, Callable[..., Any]] = {
    getattr(owner, name): _grouped_mm
    for owner, name in (
        (torch.nn.functional, "grouped_mm"),
        (torch, "_grouped_mm"),
    )
    if hasattr(owner, name)
}
_PYTHONS = (type, type(max))
_SYMBOLIC: dict[Any, Callable[..., Any]] = {
    int: _converter(torch.sym_int),
    float: _converter(torch.sym_float),
    max: _chooser(torch.sym_max),
    min: _chooser(torch.sym_min),
    math.pow: operator.pow,
    **{
        getattr(math, name): getattr(torch, f"_sym_{name}")
        for name in "sqrt sin cos tan asin acos atan sinh cosh tanh".split()
        if hasattr(torch, f"_sym_{name}")
    },
}


_STAND_INS: dict[Any, Callable[..., Any]] = {
    **_SYMBOLIC,
    **_KERNELS,
    **values.MAKERS,
}


def values_in(tree: Any) -> Iterator[int]:
    """Walk through the Values of a tree, by index."""
    return _leaves(tree, graph.is_value)


def numbers_in(tree: Any) -> Iterator[int]:
    """Walk through the Numbers of a tree, by index."""
    return _leaves(tree, graph.is_number)


def _leaves(tree: Any, wanted: Any) -> Iterator[int]:
    if wanted(tree):
        yield tree.index
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            yield from _leaves(item, wanted)
    elif isinstance(tree, dict):
        yield from _leaves(list(tree.values()), wanted)
    elif type(tree) is slice:
        yield from _leaves((tree.start, tree.stop, tree.step), wanted)


def reason(error: BaseException) -> str:
    """Word why there is no proof."""
    if isinstance(error, UntranslatableError):
        return f"torch has a condition that guards cannot tell: {error}"
    text = str(error).strip().splitlines()
    return f"its shapes raise {type(error).__name__}: {text[0] if text else ''}"
