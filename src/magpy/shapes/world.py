"""Symbols of torch's for the numbers of a run, and the guards that they come to.

A world has its own ``ShapeEnv``.  Nothing in it is assumed but what a guard says: equal
sizes get different symbols until an operation needs them to be equal (no duck shapes),
and sizes 0 and 1 are constants of the recording, so a symbol of a size is at least 2.
(Where the user wants these to vary, too, the first range of a symbol is a guard that is
not known already.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch._dispatch.python import enable_python_dispatcher
from torch._guards import Source
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import (
    DimDynamic,
    ShapeEnv,
    StatelessSymbolicContext,
)

from magpy import seal
from magpy.shapes import floats
from magpy.shapes.terms import Term, conditions, from_sympy, pin

Run = Callable[..., Any]

_SMALLEST = 2  # of a size that is a symbol
_LOGGERS = "torch._subclasses.fake_tensor", "torch.fx.experimental.symbolic_shapes"
# What AOTAutograd notes at results; torch 2.11 takes the name of the user's own marks.
_NOTE, _MARK = "_dynamo_propagated_dynamic_indices", "_dynamo_weak_dynamic_indices"
_FIXED, _FREE = -1, -2  # MP_STRIDE_FIXED, MP_STRIDE_FREE of engine/torch/tensor.h


@dataclass(frozen=True)
class Place(Source):
    """Where a symbol comes from; torch only wants to print it, and to tell two apart."""

    term: Term

    @property
    def _name_template(self) -> str:
        return f"number{self.term}"

    @cached_property
    def name(self) -> str:
        """Text of the place."""
        return self._name_template


@dataclass(frozen=True)
class Layout:
    """What a tensor was while the run was recorded.

    Attributes:
        dims: those of its sizes that are symbols.
        sizes, strides, offset: its metadata.
        links: for each stride: FIXED, FREE, or the dimension whose size times whose stride
            it is, as the engine's guard checks them; empty: not known.
    """

    dims: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    links: tuple[int, ...] = ()

    def value(self, term: Any) -> int:
        """Return the value of a SIZE, STRIDE or OFFSET."""
        name, _, *index = term
        if name == "OFFSET":
            return self.offset
        return (self.sizes if name == "SIZE" else self.strides)[int(index[0])]


def unmarked(results: Any, inputs: Sequence[Any]) -> Any:
    """Take away what AOTAutograd notes at results: which sizes were symbols."""
    for result in results:
        if hasattr(result, _NOTE):
            delattr(result, _NOTE)
        if hasattr(result, _MARK) and not any(result is x for x in inputs):
            delattr(result, _MARK)
    return results


def forget() -> None:
    """Empty torch's tables of what all ``ShapeEnv`` have answered.

    Some have no limit, and each row keeps its ``ShapeEnv`` alive, with all of its symbols.
    """
    for method in vars(ShapeEnv).values():
        clear = getattr(method, "cache_clear", None)
        if clear is not None:
            clear()


class _Env(ShapeEnv):
    """Torch's symbols, without the lines of user code that asked for them.

    To find such a line torch imports its compilers.  That takes seconds, and a library
    among them registers with an ABC, which ends all recordings that asked one.
    """

    def _get_user_frame(self) -> None:
        return None

    def _is_python_assert(self) -> bool:
        return False  # (asked of that line; no operation is called in an assert here)


class World:
    """Symbols, fake tensors over them, guards.

    Args:
        unbacked: may there be sizes that are known only when the graph has run?
    """

    def __init__(self, unbacked: bool = True) -> None:
        self._unbacked = unbacked
        #: of symbols of sympy
        self.terms: dict[Any, Term] = {}
        self._own: list[Term] = []  # guards that no operation has asked for
        self._alike: dict[Any, torch.Tensor] = {}  # fakes of inputs that do not vary

    @cached_property
    def env(self) -> Any:
        """Torch's symbols.  Most recordings need none: rules answer."""
        return _Env(
            duck_shape=False,
            allow_scalar_outputs=self._unbacked,
            allow_dynamic_output_shape_ops=self._unbacked,
        )

    @cached_property
    def mode(self) -> FakeTensorMode:
        """What makes the fakes."""
        mode = FakeTensorMode(shape_env=self.env, allow_non_fake_inputs=True)
        # torch's cache is one for all modes, and keeps the symbols of each for good.
        mode.cache_enabled = False
        return mode

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let operations run on fakes, as torch's compilers do it.

        One that fails is no error of anybody's.
        """
        with seal.quiet(*_LOGGERS), self.mode, enable_python_dispatcher():
            yield

    @contextmanager
    def aside(self) -> Iterator[None]:
        """The same for a run whose symbols of data are nobody's afterwards."""
        with self.entered(), self.env.ignore_fresh_unbacked_symbols():
            yield
        self.mode.epoch += 1

    # -- symbols ---------------------------------------------------------------------

    def integer(self, value: int, term: Term) -> Any:
        """Return a symbolic int that may be any int."""
        env, place = self.env, Place(term)
        symbol = env.create_unspecified_symbol(value, place, DimDynamic.DYNAMIC)
        self.terms[symbol] = term
        return env.create_symintnode(symbol, hint=value, source=place)

    def floating(self, value: float, term: Term) -> Any:
        """Return a symbolic float; value is a finite one."""
        env, place = self.env, Place(term)
        symbol = env.create_unspecified_symbol(value, place, DimDynamic.DYNAMIC)
        self.terms[symbol] = term
        return env.create_symfloatnode(symbol, hint=value, source=place)

    def number(self, value: float, term: Term) -> Any:
        """Return a symbol for an exact int or float; a constant where torch has none."""
        if type(value) is int:
            return self.integer(value, term)
        if not math.isfinite(value):
            self._own.append(("SAME", term, ("FLOAT", value)))
            return value
        return self.floating(value, term)

    def size(self, value: int, term: Term) -> Any:
        """Return a symbol for a size of a tensor."""
        if value < _SMALLEST:  # the user's wish, else it would be a constant
            return self.integer(value, term)
        env, place = self.env, Place(term)
        symbol = env.create_symbol(value, place, DimDynamic.DYNAMIC)
        self.terms[symbol] = term
        return env.create_symintnode(symbol, hint=value, source=place)

    def sizes(self, layout: Layout, i: int) -> list[Any]:
        """Return the sizes of graph input `i`."""
        return [
            self.size(size, ("SIZE", i, d)) if d in layout.dims else size
            for d, size in enumerate(layout.sizes)
        ]

    def strides(self, layout: Layout, sizes: Sequence[Any], i: int) -> list[Any]:
        """Return its strides: products of sizes where they are that."""
        if layout.links:
            return [self._linked(layout, sizes, i, d) for d in range(len(sizes))]
        return self._found(layout, sizes, i)

    def _linked(self, layout: Layout, sizes: Sequence[Any], i: int, d: int) -> Any:
        link = layout.links[d]
        if link == _FREE:
            return self.integer(layout.strides[d], ("STRIDE", i, d))
        if link == _FIXED:
            return layout.strides[d]
        return sizes[link] * self._linked(layout, sizes, i, link)

    def _found(self, layout: Layout, sizes: Sequence[Any], i: int) -> list[Any]:
        """Return strides that nobody has told of; they are guarded.

        In the order of the strides, each may be the extent of what lies within it.
        """
        strides: list[Any] = list(layout.strides)
        extents: dict[int, Any] = {}
        for stride, back in sorted((s, -d) for d, s in enumerate(layout.strides)):
            d = -back
            if stride in extents:
                strides[d] = extents[stride]
            extent = sizes[d] * strides[d]
            if not isinstance(extent, int):
                extents.setdefault(layout.sizes[d] * stride, extent)
        for d, stride in enumerate(strides):
            if not isinstance(stride, int) or stride in extents:  # else a constant
                self._own.append(("EQ", ("STRIDE", i, d), self.term(stride)))
        return strides

    def term(self, number: Any) -> Term:
        """Return the term of a symbolic or plain int."""
        expr = self.expr(number)
        return ("INT", number) if expr is number else from_sympy(expr, self.terms)

    def is_known(self, number: Any) -> bool:
        """Can a symbolic or plain int be told before the graph has run?"""
        expr = self.expr(number)
        return expr is number or all(s in self.terms for s in expr.free_symbols)

    @staticmethod
    def expr(number: Any) -> Any:
        """Return the expression of a symbolic int; a plain one is its own."""
        return getattr(getattr(number, "node", None), "expr", number)

    # -- tensors ---------------------------------------------------------------------

    def fake(self, live: Any, layout: Layout | None, i: int) -> torch.Tensor:
        """Return a fake of graph input `i`, as it was while the run was recorded.

        No gradients: what has them has the same shapes.  Inputs that are alike get the
        same fake.
        """
        if live.layout is not torch.strided:
            raise NotImplementedError(f"a tensor of layout {live.layout}")
        kind = live.dtype, live.device
        if layout is not None:
            sizes = self.sizes(layout, i)
            return self._strided(sizes, self.strides(layout, sizes, i), *kind)
        key = live.size(), live.stride(), *kind
        if key not in self._alike:
            self._alike[key] = self._strided(*key)
        return self._alike[key]

    def _strided(
        self, sizes: Any, strides: Any, dtype: torch.dtype, device: torch.device
    ) -> torch.Tensor:
        with self.mode:
            return torch.empty_strided(sizes, strides, dtype=dtype, device=device)

    # -- guards ----------------------------------------------------------------------

    def guards(self) -> list[Term]:
        """Return what must hold; translated now.

        Raises:
            UntranslatableError: one is no term.
        """
        found = list(self._own)
        for guard in self.env.guards:
            found += conditions(guard.expr, self.terms)
        for symbol, term in self.terms.items():
            found += self._range(symbol, term)
        return list(dict.fromkeys(found))

    def _range(self, symbol: Any, term: Term) -> Iterator[Term]:
        """Guard the range that torch assumes: at first, or because a check did not fail."""
        bounds = self.env.var_to_range.get(symbol)
        if bounds is None or not bounds.is_int:
            return
        if bounds.lower.is_Integer:
            yield ("LE", ("INT", int(bounds.lower)), term)
        if bounds.upper.is_Integer and bounds.upper < (1 << 62):
            yield ("LE", term, ("INT", int(bounds.upper)))


class Live(World):
    """The world of a compiler: fakes of the tensors that the graph is compiled for.

    Args:
        dims: the sizes that are symbols, by graph input.
        numbers: the inputs that are symbols: which number of the run each one is.
        kinds: the inputs that are numbers: int or float.
        unbacked: may there be sizes that are known only when the graph has run?
    """

    def __init__(
        self,
        dims: Mapping[int, tuple[int, ...]],
        numbers: Mapping[int, int],
        kinds: Mapping[int, type],
        unbacked: bool = False,
    ) -> None:
        super().__init__(unbacked=unbacked)
        self.dims = dims
        self.numbers = numbers
        self.kinds = kinds

    #: Backward passes are compiled with the graph: their guards belong to it.
    CONFIG: ClassVar[dict[str, Any]] = {"force_non_lazy_backward_lowering": True}

    def configured(self) -> Any:
        """Return the context in which AOTAutograd must work."""
        from torch._functorch import config

        return config.patch(self.CONFIG)

    def adapted(self, made: tuple[Run, bool], trains: bool) -> tuple[Run, bool]:
        """Return what a compiler has made (`Executable`), for floats as they are.

        Its results are tensors like any: AOTAutograd notes at them which of their sizes
        were symbols.

        Args:
            made: that.
            trains: autograd may keep inputs of the graph.
        """
        run, boxed = made
        indices = [i for i, kind in self.kinds.items() if kind is float]

        def call_boxed(inputs: list[Any]) -> Any:
            for i in indices:
                inputs[i] = floats.made(inputs[i])
            return run(inputs)

        def call(*inputs: Any) -> Any:
            given = list(inputs)
            for i in indices:
                given[i] = floats.made(given[i])
            return unmarked(run(*given), inputs)

        if boxed and indices:
            return (call_boxed if trains else floats.Reused(run, indices)), boxed
        if boxed:
            return run, boxed
        return call, boxed

    def example(self, x: Any, i: int) -> tuple[Any, Any]:
        """Return what stands for input `i`: for backends that run the graph, and a fake.

        Floats become tensors, as in the graphs of TorchDynamo, of which AOTAutograd makes
        arithmetic on tensors.
        """
        if not isinstance(x, torch.Tensor):
            if type(x) is not int:
                return self._float_tensor(x, i)
            number = self.integer(x, self.numbers[i]) if i in self.numbers else x
            return number, number
        dims = self.dims.get(i)
        return x, self._dynamic(x, dims, i) if dims else self._static(x)

    def _static(self, x: torch.Tensor) -> torch.Tensor:
        return self.mode.from_tensor(x, static_shapes=True)

    def _dynamic(self, x: torch.Tensor, dims: tuple[int, ...], i: int) -> torch.Tensor:
        kinds = [
            DimDynamic.DYNAMIC if d in dims else DimDynamic.STATIC
            for d in range(x.dim())
        ]
        context: Any = StatelessSymbolicContext(
            dynamic_sizes=kinds, constraint_sizes=[None] * x.dim()
        )
        place: Any = Place(("TENSOR", i))
        fake = self.mode.from_tensor(x, source=place, symbolic_context=context)
        self._learn(i)
        for d in range(x.dim()):
            term = self.term(fake.stride(d))
            if term != ("STRIDE", i, d):
                self._own.append(("EQ", ("STRIDE", i, d), term))
            if d in dims and isinstance(fake.size(d), int):  # 0 or 1
                self._own.append(pin(("SIZE", i, d), x.size(d)))
        return fake

    def _learn(self, i: int) -> None:
        """Take the symbols that torch has made for a tensor."""
        for symbol, sources in self.env.var_to_sources.items():
            if symbol in self.terms or not sources:
                continue
            name = sources[0].prop.name
            name = "OFFSET" if name == "STORAGE_OFFSET" else name
            index = () if name == "OFFSET" else (sources[0].idx,)
            self.terms[symbol] = (name, i, *index)

    def _float_tensor(self, value: float, i: int) -> tuple[Any, Any]:
        from torch._dynamo.source import FloatTensorSource

        live = torch.tensor(value, dtype=torch.float64, device="cpu")
        number = self.numbers.get(i)
        if number is None:
            return live, self._static(live)
        place: Any = Place(number)
        context: Any = StatelessSymbolicContext(dynamic_sizes=[], constraint_sizes=[])
        fake: Any = self.mode.from_tensor(
            live, source=FloatTensorSource(place), symbolic_context=context
        )
        memo = fake.item_memo
        if memo is None:
            self._own.append(("SAME", number, ("FLOAT", value)))
        else:
            self.terms[memo.node.expr] = number
        return live, fake
