"""What is known of tensors whose sizes depend on data, before the data is there.

The operations that lead to a tensor run on fakes.  A size that depends on data is an
unbacked symbol there; what has none in it holds for whatever the data is.

Torch's functions for fakes take such a size to be neither 0 nor 1 where they must decide
(``squeeze``, strides, broadcasting), and take what they need for granted: after ``a + b``
two sizes are one.  So nothing is believed until it was tried.  An operation runs on copies
with symbols of their own, of which nothing else hears, and then with plain numbers in
their place, 0 and 1 among them.  A size that is not as the symbols said is one of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from magpy import graph
from magpy._torch_table import names
from magpy.shapes.sizes import RESHAPE, Run, values_in
from magpy.shapes.terms import Term
from magpy.shapes.world import World

#: What stands in for a size that depends on data.
_TRIED = 0, 1, 3
#: As many such sizes are tried in all combinations.
_MOST = 2

# Their kernels raise for sizes that neither fakes nor compiled code mind: max of nothing.
_NEED_ROWS = names.words(
    """
    max min amax amin argmax argmin aminmax median nanmedian mode kthvalue topk quantile
    nanquantile msort argsort sort cummax cummin logcumsumexp max_pool1d max_pool2d
    adaptive_max_pool1d adaptive_max_pool2d fractional_max_pool2d
    """
)
_REAL = 1 << 16  # numbers in a tensor that is made to see whether they do

# Their fakes remember how much was selected of a tensor, so it must be this very one.
_SELECT = names.DYNAMIC | names.words(
    "where repeat_interleave one_hot getitem __getitem__ setitem __setitem__ item"
)


class DataError(NotImplementedError):
    """What was asked depends on data."""


@dataclass
class Made:
    """A result, as expressions over the symbols of the copies."""

    sizes: list[Any]
    strides: list[Any]
    offset: Any
    dtype: torch.dtype
    device: torch.device


@dataclass
class Outcome:
    """What an operation answers, for all data.

    Attributes:
        tree: its results: `Made`, expressions of numbers, constants.
        symbols: those of the copies, in the order of the operands' symbols.
        own: those that each run of the operation has anew.
        mixed: whether a result shares memory with an operand depends on data.
        partial: it raises where no selection has any row, or each has one, or three.
    """

    tree: Any
    symbols: list[Any]
    own: set[Any] = field(default_factory=set)
    mixed: bool = False
    partial: bool = False


class Tried(Run):
    """A run on fakes that tries what the fakes say of sizes that depend on data.

    Attributes:
        mixed: operations whose results share memory with operands or not, by data.
        partial: operations that raise for some numbers of rows.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.mixed: list[str] = []
        self.partial: list[str] = []
        self._own_fakes: set[int] = set()
        self._outcomes: dict[Any, Outcome] = {}

    def op(self, target: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Run one operation."""
        if type(target) is str and target in RESHAPE and self._open(args):
            raise DataError(f"{target} of a tensor whose sizes depend on data")
        super().op(target, args, kwargs, result)

    def _call(self, target: Any, args: Any, kwargs: Any) -> Any:
        if _name(target) in _SELECT:
            for index in values_in([args, kwargs]):
                self._single_out(index)
        symbols = self._open([args, kwargs])
        if not symbols:
            return super()._call(target, args, kwargs)
        key = self._pattern(target, args, kwargs, symbols)
        found = self._outcomes.get(key)
        if found is None:
            found = self._outcomes[key] = self._outcome(target, args, kwargs, symbols)
        self.mixed += [_name(target)] * found.mixed
        self.partial += [_name(target)] * found.partial
        chosen: dict[Any, Any] = dict(zip(found.symbols, symbols, strict=True))
        chosen |= {s: self._new_symbol() for s in found.own}
        return self._built(found.tree, chosen)

    def _single_out(self, index: int) -> None:
        """Let no other Value have the fake of this one."""
        x = self.values[index]
        if index in self._own_fakes or not isinstance(x, torch.Tensor):
            return
        self._own_fakes.add(index)
        self.values[index] = torch.empty_strided(
            x.size(), x.stride(), dtype=x.dtype, device=x.device
        )

    # -- Sizes that depend on data -----------------------------------------------------

    def _free(self, number: Any) -> list[Any]:
        """Return the symbols of a number, or an expression, that depend on data.

        A float is a value: what would decide a shape by it raises.
        """
        if isinstance(number, torch.SymFloat):
            return []
        symbols = getattr(self.world.expr(number), "free_symbols", ())
        return [s for s in symbols if s not in self.world.terms]

    def is_open(self, x: torch.Tensor) -> bool:
        """Does its metadata depend on data?"""
        return any(map(self._free, _numbers(x)))

    def _open(self, tree: Any) -> list[Any]:
        """Return the symbols of the Values in a tree that depend on data."""
        found: dict[Any, None] = {}
        for index in values_in(tree):
            x = self.values[index]
            for number in _numbers(x) if isinstance(x, torch.Tensor) else (x,):
                found.update(dict.fromkeys(self._free(number)))
        return sorted(found, key=str)

    def told(self, index: int) -> tuple[tuple[Term | None, ...], bool]:
        """Return the sizes of a Value, None for each that depends on data; is that none?"""
        x, world = self.values[index], self.world
        sizes = [world.term(n) if world.is_known(n) else None for n in x.size()]
        return tuple(sizes), not self.is_open(x)

    # -- Copies ------------------------------------------------------------------------

    def _new_symbol(self) -> Any:
        from torch.fx.experimental import symbolic_shapes

        number = self.world.env.create_unbacked_symint()
        symbolic_shapes._constrain_range_for_size(number)
        return number.node.expr

    def _put(self, chosen: Mapping[Any, Any], number: Any) -> Any:
        """Return a number, or an expression, with symbols replaced: a number."""
        expr = self.world.expr(number)
        if not hasattr(expr, "xreplace"):
            return expr
        expr = expr.xreplace(chosen)
        if isinstance(expr, int) or expr.is_Integer:
            return int(expr)
        return self.world.env.create_symintnode(expr, hint=None)

    def _with(self, chosen: Mapping[Any, Any], x: Any) -> Any:
        """Return a fake or a number like `x` with symbols replaced."""
        if not isinstance(x, torch.Tensor):
            if isinstance(x, torch.SymBool):
                raise DataError("a truth that depends on data")
            return self._put(chosen, x) if self._free(x) else x
        if not self.is_open(x):
            return x
        sizes = [self._put(chosen, n) for n in x.size()]
        strides = [self._put(chosen, n) for n in x.stride()]
        if any(isinstance(n, int) and n < 0 for n in sizes):
            raise DataError("no such sizes")
        return torch.empty_strided(sizes, strides, dtype=x.dtype, device=x.device)

    def _inner(self, chosen: Mapping[Any, Any], tree: Any) -> Run:
        """Return a run with such operands."""
        inner = Run(self.world)
        inner.numbers = self.numbers
        for index in values_in(tree):
            inner.values[index] = self._with(chosen, self.values[index])
        return inner

    def _built(self, tree: Any, chosen: Mapping[Any, Any]) -> Any:
        """Return results of an outcome."""
        if isinstance(tree, Made):
            sizes = [self._put(chosen, n) for n in tree.sizes]
            strides = [self._put(chosen, n) for n in tree.strides]
            return torch.empty_strided(
                sizes, strides, dtype=tree.dtype, device=tree.device
            )
        if isinstance(tree, list):
            return [self._built(item, chosen) for item in tree]
        return self._put(chosen, tree)

    def _pattern(self, target: Any, args: Any, kwargs: Any, symbols: list[Any]) -> Any:
        """Return what decides the outcome, with the symbols numbered."""
        import sympy

        numbered = {s: sympy.Symbol(f"n{i}") for i, s in enumerate(symbols)}

        def text(number: Any) -> str:
            expr = self.world.expr(number)
            return str(expr.xreplace(numbered) if hasattr(expr, "xreplace") else expr)

        def of(obj: Any) -> Any:
            if graph.is_value(obj):
                x = self.values[obj.index]
                if not isinstance(x, torch.Tensor):
                    return ("number", text(x))
                return ("value", x.dim(), *map(text, _numbers(x)), x.dtype, x.device)
            if isinstance(obj, (tuple, list)):
                return (type(obj), *map(of, obj))
            if isinstance(obj, dict):
                return (dict, *[(name, of(item)) for name, item in obj.items()])
            if isinstance(obj, slice):
                return (slice, of(obj.start), of(obj.stop), of(obj.step))
            return (type(obj), obj.index if graph.is_number(obj) else repr(obj))

        return (self._state, _name(target), repr(target), of(args), of(kwargs))

    # -- Trying ------------------------------------------------------------------------

    def _outcome(
        self, target: Any, args: Any, kwargs: Any, symbols: list[Any]
    ) -> Outcome:
        """Run an operation on copies with symbols, and then with numbers in their place."""
        copies = [self._new_symbol() for _ in symbols]
        inner = self._inner(dict(zip(symbols, copies, strict=True)), [args, kwargs])
        got = inner._call(target, args, kwargs)
        found = Outcome(self._tree(got), copies)
        results = list(_tensors(got))
        shared = _shared(results, inner)
        for values in _choices(len(symbols)):
            chosen = dict(zip(symbols, values, strict=True))
            tried = self._tried(chosen, target, args, kwargs)
            if tried is None:
                found.partial = found.partial or len(set(values)) == 1
            else:
                chosen = dict(zip(copies, values, strict=True))
                self._compare(found, chosen, tried[0], _name(target))
                found.mixed = found.mixed or _shared(*tried) != shared
        known = {*copies, *self.world.terms}
        for made in _made(found.tree):
            for n in (*made.sizes, *made.strides):
                found.own |= set(getattr(n, "free_symbols", ())) - known
        return found

    def _tree(self, got: Any) -> Any:
        expr = self.world.expr
        if isinstance(got, torch.Tensor):
            sizes, strides = list(map(expr, got.size())), list(map(expr, got.stride()))
            offset = expr(got.storage_offset())
            return Made(sizes, strides, offset, got.dtype, got.device)
        if isinstance(got, (tuple, list)):
            return [self._tree(item) for item in got]
        return expr(got)

    def _tried(
        self, chosen: Mapping[Any, Any], target: Any, args: Any, kwargs: Any
    ) -> tuple[list[torch.Tensor], Run] | None:
        """Return the results for these numbers, and the run; None: it would raise."""
        from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

        try:
            inner = self._inner(chosen, [args, kwargs])
            if _name(target) in _NEED_ROWS and _raises(inner, target, args, kwargs):
                return None
            return list(_tensors(inner._call(target, args, kwargs))), inner
        except GuardOnDataDependentSymNode:
            raise
        except (DataError, RuntimeError, IndexError, ValueError, TypeError):
            return None

    def _compare(
        self,
        found: Outcome,
        chosen: Mapping[Any, Any],
        tried: Sequence[torch.Tensor],
        name: str,
    ) -> None:
        made = list(_made(found.tree))
        if [len(x.sizes) for x in made] != [x.dim() for x in tried]:
            raise DataError(f"what {name} answers with depends on data")
        for x, y in zip(made, tried, strict=True):
            wrong = [
                d for d, n in enumerate(x.sizes) if self._differs(n, y.size(d), chosen)
            ]
            if wrong:
                self._loosen(x, wrong, name)
            elif not any(map(self._free, x.sizes)):
                for d, n in enumerate(x.strides):
                    if self._differs(n, y.stride(d), chosen):
                        raise DataError(f"the strides of {name} depend on data")

    def _differs(self, expr: Any, number: Any, chosen: Mapping[Any, Any]) -> bool:
        if hasattr(expr, "xreplace"):
            expr = expr.xreplace(chosen)
        if self._free(expr):
            return False  # the operation itself has looked at data
        return bool(expr - self.world.expr(number) != 0)

    def _loosen(self, x: Made, dims: Sequence[int], name: str) -> None:
        """These sizes are not what the symbols said: they depend on data in another way."""
        if any(not self._free(x.sizes[d]) for d in dims):
            raise DataError(f"a size of {name} depends on data")
        dense = torch.empty([self._put({}, n) for n in x.sizes]).stride()
        if [self.world.expr(n) for n in dense] != x.strides:
            raise DataError(f"the layout of {name} depends on data")
        for d in dims:
            x.sizes[d] = self._new_symbol()
        dense = torch.empty([self._put({}, n) for n in x.sizes]).stride()
        x.strides = [self.world.expr(n) for n in dense]

    # -- Operations that have not run yet ----------------------------------------------

    def parts(self, target: Any, args: Any, kwargs: Any) -> int:
        """Return how many tensors an operation answers with."""
        got = self._call(target, args, kwargs)
        if not isinstance(got, (tuple, list)):
            raise DataError(f"{_name(target)} answers with no sequence")
        return len(got)

    def keeps(self, target: Any, args: Any, kwargs: Any) -> bool:
        """Does an operation answer with its first operand itself?

        Raises:
            DataError: that depends on data.
        """
        symbols = self._open([args, kwargs])
        copies = tuple(self._new_symbol() for _ in symbols)
        answers = set()
        for values in (copies, *_choices(len(symbols))):
            chosen = dict(zip(symbols, values, strict=True))
            inner = self._inner(chosen, [args, kwargs])
            got = inner._call(target, args, kwargs)
            answers.add(got is inner.values[args[0].index])
        if len(answers) > 1:
            raise DataError(f"what {_name(target)} answers with depends on data")
        return answers.pop()


def unfit(run: Tried, ops: Sequence[Any]) -> str:
    """Return why no compiler may have operations whose sizes depend on data.

    It decides now what may be another way for other data: compilers take a size to be
    neither 0 nor 1, and do not raise where the kernels would.

    Args:
        run: knows the inputs.
        ops: the operations.

    Returns:
        "" if one may.

    Raises:
        Exception: the fakes do.
    """
    for op in ops:
        run.op(*op)
        run.world.mode.epoch += not any(True for _ in values_in(op[3]))
    if run.partial:
        return f"{run.partial[0]} raises for some numbers of rows"
    if run.mixed:
        return f"it depends on data whether {run.mixed[0]} makes a copy"
    return ""


def _name(target: Any) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", "")


def _tensors(tree: Any) -> Iterator[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            yield from _tensors(item)


def _made(tree: Any) -> Iterator[Made]:
    if isinstance(tree, Made):
        yield tree
    elif isinstance(tree, list):
        for item in tree:
            yield from _made(item)


def _numbers(x: torch.Tensor) -> tuple[Any, ...]:
    return (*x.size(), *x.stride(), x.storage_offset())


def _shared(results: Sequence[torch.Tensor], run: Run) -> list[bool]:
    """Return which results share memory with an operand."""
    operands = {
        x.untyped_storage()._cdata
        for x in run.values.values()
        if isinstance(x, torch.Tensor)
    }
    return [x.untyped_storage()._cdata in operands for x in results]


def _raises(run: Run, target: Any, args: Any, kwargs: Any) -> bool:
    """Does an operation raise for tensors of these sizes?  Yes on doubt."""
    from torch._dispatch.python import no_python_dispatcher
    from torch._subclasses.fake_tensor import unset_fake_temporarily

    real = Run(run.world)
    real.numbers = run.numbers
    with unset_fake_temporarily(), no_python_dispatcher():
        for index, x in run.values.items():
            if isinstance(x, torch.Tensor):
                sizes = [n for n in x.size() if isinstance(n, int)]
                if len(sizes) != x.dim() or math.prod(sizes) > _REAL:
                    return True
                x = torch.zeros(sizes, dtype=x.dtype)
            real.values[index] = x
        try:
            real._call(target, args, kwargs)
        except (RuntimeError, IndexError, ValueError):
            return True
    return False


def _choices(count: int) -> Sequence[tuple[int, ...]]:
    """Return numbers to try in place of so many symbols."""
    if count <= _MOST:
        return list(itertools.product(_TRIED, repeat=count))
    usual = _TRIED[-1]
    found = [(n,) * count for n in _TRIED]
    for i in range(count):
        found += [
            tuple(n if i == j else usual for j in range(count)) for n in _TRIED[:-1]
        ]
    return found
