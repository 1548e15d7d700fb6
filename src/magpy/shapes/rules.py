"""Sizes of the results of common operations, as terms, without fake tensors.

An operation on fakes costs a thousand times as much.  A rule may guess: of two sizes that
an operation needs to be equal it takes one, and it goes by what the numbers are now.  The
proof looks at each size that a recording has used.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

from magpy import graph
from magpy.shapes.terms import LEAVES, Term, evaluate

Sizes = tuple[Term, ...]
Rule = Callable[..., Any]

ONE: Term = ("INT", 1)
ZERO: Term = ("INT", 0)


class Unknown(Exception):
    """There is no rule, or not for these arguments."""


# -- Arithmetic on terms ---------------------------------------------------------------


def _int(term: Term) -> int | None:
    return term[1] if isinstance(term, tuple) and term[0] == "INT" else None


def add(a: Term, b: Term) -> Term:
    """Return the sum, with constants last and in one."""
    x, y = _int(a), _int(b)
    if x is not None and y is not None:
        return ("INT", x + y)
    if x is not None:
        return add(b, a)
    if y is None:
        return ("ADD", a, b)
    if isinstance(a, tuple) and a[0] in ("ADD", "SUB") and _int(a[2]) is not None:
        inner = a[2][1] if a[0] == "ADD" else -a[2][1]
        return add(a[1], ("INT", inner + y))
    if y == 0:
        return a
    return ("ADD", a, b) if y > 0 else ("SUB", a, ("INT", -y))


def sub(a: Term, b: Term) -> Term:
    """Return the difference."""
    y = _int(b)
    if y is not None:
        return add(a, ("INT", -y))
    if a == b:
        return ZERO
    if isinstance(a, tuple) and a[0] == "ADD" and b in a[1:]:  # what was added
        rest: Term = a[1] if a[2] == b else a[2]
        return rest
    return ("SUB", a, b)


def mul(a: Term, b: Term) -> Term:
    """Return the product, with a constant first."""
    x, y = _int(a), _int(b)
    if x is not None and y is not None:
        return ("INT", x * y)
    if y is not None:
        return mul(b, a)
    if x == 1:
        return b
    return ("MUL", a, b)


def div(a: Term, b: Term) -> Term:
    """Return the quotient, rounded down."""
    x, y = _int(a), _int(b)
    if x is not None and y:
        return ("INT", x // y)
    return a if y == 1 else ("FLOORDIV", a, b)


def product(terms: Sequence[Term]) -> Term:
    """Return the product of all."""
    return functools.reduce(mul, terms, ONE)


def _factors(terms: Sequence[Term]) -> tuple[int, list[Term]]:
    """Return the factors of a product: a constant, and what else there is."""
    constant, rest = 1, []
    todo = list(terms)
    while todo:
        term = todo.pop(0)
        value = _int(term)
        if value is not None:
            constant *= value
        elif isinstance(term, tuple) and term[0] == "MUL":
            todo[:0] = term[1:]
        else:
            rest.append(term)
    return constant, rest


def quotient(b: Book, over: Sequence[Term], under: Sequence[Term]) -> Term:
    """Return the exact quotient of two products; of terms that are equal now."""
    constant, rest = _factors(over)
    divisor, others = _factors(under)
    for term in others:
        at = rest.index(term) if term in rest else _equal(b, rest, term)
        del rest[at]
    if not divisor or constant % divisor:
        raise Unknown
    return product([("INT", constant // divisor), *rest])


def _equal(b: Book, terms: Sequence[Term], term: Term) -> int:
    """Return which term has the same value as another one."""
    values, wanted = [b.value(t) for t in terms], b.value(term)
    if wanted not in values:
        raise Unknown
    return values.index(wanted)


# -- What rules ask --------------------------------------------------------------------


class Book:
    """Sizes of Values, and numbers, of one recording."""

    def __init__(self) -> None:
        self.sizes: dict[int, Sizes] = {}
        self.numbers: dict[int, Term] = {}  # by what they are made of
        self._values: dict[Term, int] = {}

    def define(self, index: int, row: tuple[Any, ...]) -> None:
        """Take the row of a number."""
        name, *operands = row
        if name in ("VALUE", "INPUT"):
            if type(operands[-1]) is int:  # there are no sizes of floats
                self.numbers[index], self._values[index] = index, operands[-1]
        elif name in ("SIZE", "STRIDE", "OFFSET"):
            self.numbers[index] = row
        elif name == "INT":
            self.numbers[index] = row
        else:
            if all(at in self.numbers for at in operands):
                self.numbers[index] = self._expanded(row)

    def input(self, index: int, sizes: Sequence[int], dims: Sequence[int]) -> None:
        """Take an input: its sizes, and those of them that vary."""
        terms: list[Term] = []
        for d, n in enumerate(sizes):
            if d in dims:
                self._values["SIZE", index, d] = n
                terms.append(("SIZE", index, d))
            else:
                terms.append(("INT", n))
        self.sizes[index] = tuple(terms)

    def take(self, index: int, sizes: Sequence[Term]) -> None:
        """Take the sizes of a Value from elsewhere."""
        self.sizes[index] = tuple(map(self._expanded, sizes))

    def _expanded(self, term: Term) -> Term:
        """Return a term with numbers replaced by what they are made of."""
        if isinstance(term, int):
            return self.numbers.get(term, term)
        name, *operands = term
        if name in LEAVES:
            return term
        terms = [self._expanded(each) for each in operands]
        combine = _ARITHMETIC.get(name)
        return combine(*terms) if combine else (name, *terms)

    def value(self, term: Term) -> int:
        """Return what a term is now."""

        def leaf(term: Term) -> int:
            if term not in self._values:
                raise Unknown
            return self._values[term]

        return int(evaluate(term, leaf))

    def shape(self, x: Any) -> Sizes:
        """Return the sizes of an operand; a number has none."""
        if graph.is_value(x):
            found = self.sizes.get(x.index)
            if found is None:
                raise Unknown
            return found
        if graph.is_number(x) or isinstance(x, (int, float, complex)):
            return ()
        raise Unknown

    def number(self, x: Any) -> Term:
        """Return the term of an int."""
        if type(x) is int:
            return ("INT", x)
        if graph.is_number(x) and x.index in self.numbers:
            return self.numbers[x.index]
        raise Unknown

    def list(self, args: Sequence[Any]) -> list[Term]:
        """Return sizes that are given one by one, or as one sequence."""
        if len(args) == 1 and isinstance(args[0], (tuple, list)):
            args = args[0]
        return [self.number(x) for x in args]

    def op(self, target: Any, args: Any, kwargs: Any, result: Any) -> bool:
        """Note the sizes of the results of one operation; False: unknown."""
        rule = rules().get(target) if "out" not in kwargs else None
        try:
            found = None if rule is None else rule(self, *args, **kwargs)
            return self._note(result, found)
        except (Unknown, TypeError, IndexError, ValueError, ArithmeticError):
            return self._note(result, None)

    def _note(self, tree: Any, found: Any) -> bool:
        if graph.is_value(tree):
            if isinstance(found, tuple):
                self.sizes[tree.index] = found
                return True
            self.sizes.pop(tree.index, None)
            return False
        if not isinstance(tree, (tuple, list)):
            return True
        known = isinstance(found, list) and len(found) == len(tree)
        parts = found if known and found is not None else [None] * len(tree)
        return all([self._note(t, f) for t, f in zip(tree, parts, strict=True)])


_ARITHMETIC: dict[str, Callable[..., Term]] = {
    "ADD": add,
    "SUB": sub,
    "MUL": mul,
    "FLOORDIV": div,
    "POS": lambda a: a,
}


# -- Rules -----------------------------------------------------------------------------


def _same(b: Book, x: Any, *_: Any, **__: Any) -> Sizes:
    return b.shape(x)


def _like_second(b: Book, _: Any, y: Any) -> Sizes:
    return b.shape(y)


def _wider(a: Term, b: Term) -> Term:
    if a == b or b == ONE:
        return a
    if a == ONE or _int(b) is not None:
        return b
    return a


def broadcast(*shapes: Sizes) -> Sizes:
    """Return the sizes of what is computed element by element."""
    longest = max(shapes, key=len)
    sizes = list(longest)
    for shape in shapes:
        if shape is not longest:
            for d in range(1, len(shape) + 1):
                sizes[-d] = _wider(sizes[-d], shape[-d])
    return tuple(sizes)


def _pointwise(count: int) -> Rule:
    def rule(b: Book, *args: Any, **kwargs: Any) -> Sizes:
        tensors = [*args[:count], *[kwargs[k] for k in ("other",) if k in kwargs]]
        return broadcast(*[b.shape(x) for x in tensors if x is not None])

    return rule


def _linear(b: Book, x: Any, weight: Any, *_: Any, **__: Any) -> Sizes:
    return (*b.shape(x)[:-1], *b.shape(weight)[:-1])


def _matmul(b: Book, x: Any, y: Any, **_: Any) -> Sizes:
    left, right = b.shape(x), b.shape(y)
    if not left or not right:
        raise Unknown
    if len(right) == 1:
        return left[:-1]
    if len(left) == 1:
        return (*right[:-2], right[-1])
    return (*broadcast(left[:-2], right[:-2]), left[-2], right[-1])


def _addmm(b: Book, _: Any, x: Any, y: Any, **__: Any) -> Sizes:
    return _matmul(b, x, y)


def _outer(b: Book, x: Any, y: Any) -> Sizes:
    return (*b.shape(x), *b.shape(y))


def _einsum(b: Book, equation: str, *tensors: Any) -> Sizes:
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    given, arrow, wanted = equation.replace(" ", "").partition("->")
    names = given.split(",")
    if not arrow or "." in equation or len(names) != len(tensors):
        raise Unknown
    known: dict[str, Term] = {}
    for letters, x in zip(names, tensors, strict=True):
        for letter, size in zip(letters, b.shape(x), strict=True):
            known[letter] = _wider(known.get(letter, ONE), size)
    return tuple([known[letter] for letter in wanted])


def _attention(b: Book, q: Any, k: Any, v: Any, *_: Any, **__: Any) -> Sizes:
    return (*b.shape(q)[:-1], b.shape(v)[-1])


def _transpose(b: Book, x: Any, dim0: int, dim1: int) -> Sizes:
    sizes = list(b.shape(x))
    sizes[dim0], sizes[dim1] = sizes[dim1], sizes[dim0]
    return tuple(sizes)


def _t(b: Book, x: Any) -> Sizes:
    return b.shape(x)[::-1]


def _permute(b: Book, x: Any, *dims: Any) -> Sizes:
    sizes = b.shape(x)
    if len(dims) == 1 and isinstance(dims[0], (tuple, list)):
        dims = tuple(dims[0])
    return tuple([sizes[d] for d in dims])


def _unsqueeze(b: Book, x: Any, dim: int) -> Sizes:
    sizes = list(b.shape(x))
    sizes.insert(dim if dim >= 0 else len(sizes) + 1 + dim, ONE)
    return tuple(sizes)


def _squeeze(b: Book, x: Any, dim: int) -> Sizes:
    sizes = list(b.shape(x))
    if sizes[dim] == ONE:
        del sizes[dim]
    return tuple(sizes)


def _reshape(b: Book, x: Any, *wanted: Any) -> Sizes:
    sizes, terms = b.shape(x), b.list(wanted)
    if ("INT", -1) in terms:
        at = terms.index(("INT", -1))
        terms[at] = quotient(b, sizes, terms[:at] + terms[at + 1 :])
    return tuple(terms)


def _flatten(b: Book, x: Any, start_dim: int = 0, end_dim: int = -1) -> Sizes:
    sizes = b.shape(x)
    n = len(sizes)
    first, last = start_dim % n, end_dim % n
    return (*sizes[:first], product(sizes[first : last + 1]), *sizes[last + 1 :])


def _unflatten(b: Book, x: Any, dim: int, wanted: Any) -> Sizes:
    sizes = b.shape(x)
    at, terms = dim % len(sizes), b.list([wanted])
    if ("INT", -1) in terms:
        i = terms.index(("INT", -1))
        terms[i] = quotient(b, [sizes[at]], terms[:i] + terms[i + 1 :])
    return (*sizes[:at], *terms, *sizes[at + 1 :])


def _expand(b: Book, x: Any, *wanted: Any) -> Sizes:
    sizes, terms = b.shape(x), b.list(wanted)
    for d in range(1, len(sizes) + 1):
        if terms[-d] == ("INT", -1):
            terms[-d] = sizes[-d]
    return tuple(terms)


def _repeat(b: Book, x: Any, *times: Any) -> Sizes:
    sizes, terms = list(b.shape(x)), b.list(times)
    sizes[:0] = [ONE] * (len(terms) - len(sizes))
    return tuple([mul(n, k) for n, k in zip(sizes, terms, strict=True)])


def _cat(b: Book, tensors: Any, dim: int = 0) -> Sizes:
    shapes = [b.shape(x) for x in tensors]
    shapes = [s for s in shapes if s != (ZERO,)] or shapes  # the old empty tensor
    sizes = list(shapes[0])
    sizes[dim] = functools.reduce(add, [s[dim] for s in shapes])
    return tuple(sizes)


def _stack(b: Book, tensors: Any, dim: int = 0) -> Sizes:
    sizes = list(b.shape(tensors[0]))
    at = dim if dim >= 0 else len(sizes) + 1 + dim
    sizes.insert(at, ("INT", len(tensors)))
    return tuple(sizes)


def _with(sizes: Sizes, dim: int, size: Term) -> Sizes:
    changed = list(sizes)
    changed[dim] = size
    return tuple(changed)


def _pieces(b: Book, x: Any, dim: int, size: int) -> list[Sizes]:
    """Of a dimension that does not vary."""
    sizes = b.shape(x)
    whole = _int(sizes[dim])
    if whole is None or not whole or not size:
        raise Unknown
    ends = range(0, whole, size)
    return [_with(sizes, dim, ("INT", min(size, whole - at))) for at in ends]


def _chunk(b: Book, x: Any, chunks: int, dim: int = 0) -> list[Sizes]:
    whole = _int(b.shape(x)[dim])
    if whole is None:
        raise Unknown
    return _pieces(b, x, dim, -(-whole // chunks))


def _split(b: Book, x: Any, split: Any, dim: int = 0) -> list[Sizes]:
    if type(split) is int:
        return _pieces(b, x, dim, split)
    return [_with(b.shape(x), dim, size) for size in b.list([split])]


def _unbind(b: Book, x: Any, dim: int = 0) -> list[Sizes]:
    sizes = b.shape(x)
    count = _int(sizes[dim])
    if count is None:
        raise Unknown
    at = dim % len(sizes)
    return [(*sizes[:at], *sizes[at + 1 :])] * count


def _narrow(b: Book, x: Any, dim: int, start: Any, length: Any) -> Sizes:
    return _with(b.shape(x), dim, b.number(length))


def _select(b: Book, x: Any, dim: int, index: Any) -> Sizes:
    sizes = b.shape(x)
    at = dim % len(sizes)
    return (*sizes[:at], *sizes[at + 1 :])


def _end(b: Book, part: Any, size: Term, default: Term) -> Term:
    """Return where a slice begins or ends."""
    if part is None:
        return default
    term = b.number(part)
    if term == size:
        return size
    now, whole = b.value(term), b.value(size)
    if now < 0:
        term, now = add(size, term), now + whole
    if now <= 0:
        return ZERO
    return size if now >= whole else term


def _sliced(b: Book, part: slice, size: Term) -> Term:
    if part == slice(None):
        return size
    if part.step not in (None, 1):
        whole, parts = _int(size), (part.start, part.stop, part.step)
        if whole is None or any(graph.is_number(p) for p in parts):
            raise Unknown
        return ("INT", len(range(*part.indices(whole))))
    start, stop = _end(b, part.start, size, ZERO), _end(b, part.stop, size, size)
    length = sub(stop, start)
    return length if b.value(length) > 0 else ZERO


def _getitem(b: Book, x: Any, key: Any) -> Sizes:
    sizes = list(b.shape(x))
    key = key if type(key) is tuple else (key,)
    if any(graph.is_value(k) for k in key):
        return _gathered(b, sizes, key)
    taken = sum(type(k) is not type(...) and k is not None for k in key)
    if ... not in key:
        key = (*key, ...)
    found: list[Term] = []
    for part in key:
        if part is None:
            found.append(ONE)
        elif part is ...:
            rest = len(sizes) - taken
            found += sizes[:rest]
            sizes = sizes[rest:]
        elif type(part) is slice:
            found.append(_sliced(b, part, sizes.pop(0)))
            taken -= 1
        else:
            b.number(part)
            sizes.pop(0)
            taken -= 1
    return tuple(found)


def _gathered(b: Book, sizes: list[Term], key: tuple[Any, ...]) -> Sizes:
    """One tensor of positions, behind whole dimensions."""
    *before, last = key
    if any(k != slice(None) for k in before) or not graph.is_value(last):
        raise Unknown
    at = len(before)
    # A mask of booleans selects: those have a shape that nobody knows.
    return (*sizes[:at], *b.shape(last), *sizes[at + 1 :])


def _embedding(b: Book, indices: Any, weight: Any, *_: Any, **__: Any) -> Sizes:
    return (*b.shape(indices), *b.shape(weight)[1:])


def _torch_embedding(b: Book, weight: Any, indices: Any, *_: Any, **__: Any) -> Sizes:
    return _embedding(b, indices, weight)


def _index_select(b: Book, x: Any, dim: int, index: Any) -> Sizes:
    (count,) = b.shape(index)
    return _with(b.shape(x), dim, count)


def _gather(b: Book, x: Any, dim: int, index: Any, **_: Any) -> Sizes:
    return b.shape(index)


def _reduced(b: Book, x: Any, dim: Any, keepdim: bool) -> Sizes:
    sizes = b.shape(x)
    if dim is None:
        return (ONE,) * len(sizes) if keepdim else ()
    dims = dim if isinstance(dim, (tuple, list)) else [dim]
    gone = {d % len(sizes) for d in dims}
    if keepdim:
        return tuple([ONE if d in gone else n for d, n in enumerate(sizes)])
    return tuple([n for d, n in enumerate(sizes) if d not in gone])


def _reduce(b: Book, x: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Sizes:
    return _reduced(b, x, dim, keepdim)


def _extreme(b: Book, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    if dim is None:
        return ()
    if graph.is_value(dim):
        return broadcast(b.shape(x), b.shape(dim))
    return [_reduced(b, x, dim, keepdim)] * 2


def _norm(
    b: Book, x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, **_: Any
) -> Sizes:
    return _reduced(b, x, dim, keepdim)


def _sort(b: Book, x: Any, *_: Any, **__: Any) -> list[Sizes]:
    return [b.shape(x)] * 2


def _topk(b: Book, x: Any, k: Any, dim: int = -1, *_: Any, **__: Any) -> list[Sizes]:
    return [_with(b.shape(x), dim, b.number(k))] * 2


def _factory(b: Book, *sizes: Any, size: Any = (), **_: Any) -> Sizes:
    return tuple(b.list(sizes or [size]))


def _full(b: Book, size: Any, *_: Any, **__: Any) -> Sizes:
    return tuple(b.list([size]))


def _new(b: Book, _: Any, *sizes: Any, size: Any = (), **__: Any) -> Sizes:
    return tuple(b.list(sizes or [size]))


def _new_full(b: Book, _: Any, size: Any, *__: Any, **___: Any) -> Sizes:
    return tuple(b.list([size]))


def _arange(b: Book, *bounds: Any, **kwargs: Any) -> Sizes:
    if kwargs.keys() & {"start", "end", "step"}:
        raise Unknown
    terms = [b.number(x) for x in bounds]
    if len(terms) == 1:
        return (terms[0],)
    if len(terms) == 2:
        return (sub(terms[1], terms[0]),)
    whole = [_int(term) for term in terms]
    if None in whole:
        raise Unknown
    return (("INT", len(range(*[n for n in whole if n is not None]))),)


def _pad(b: Book, x: Any, pad: Any, *_: Any, **__: Any) -> Sizes:
    sizes = list(b.shape(x))
    amounts = b.list([pad])
    for i in range(0, len(amounts), 2):
        d = -1 - i // 2
        sizes[d] = add(sizes[d], add(amounts[i], amounts[i + 1]))
    return tuple(sizes)


def _each(b: Book, value: Any, n: int) -> list[Term]:
    terms = b.list([value]) if isinstance(value, (tuple, list)) else [b.number(value)]
    return terms * n if len(terms) == 1 else terms


def _windows(
    size: Term, kernel: Term, stride: Term, padding: Term, dilation: Term
) -> Term:
    covered = add(mul(dilation, sub(kernel, ONE)), ONE)
    room = sub(add(size, mul(("INT", 2), padding)), covered)
    return add(div(room, stride), ONE)


def _conv(n: int) -> Rule:
    def rule(
        b: Book,
        x: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: Any = 1,
    ) -> Sizes:
        sizes, kernel = b.shape(x), b.shape(weight)
        if len(sizes) != n + 2:
            raise Unknown
        rows = zip(
            sizes[2:],
            kernel[2:],
            *[_each(b, each, n) for each in (stride, padding, dilation)],
            strict=True,
        )
        return (sizes[0], kernel[0], *[_windows(*row) for row in rows])

    return rule


def _pool(n: int, names: tuple[str, ...]) -> Rule:
    def rule(b: Book, x: Any, kernel_size: Any, *more: Any, **kwargs: Any) -> Sizes:
        given = dict(zip(names, more, strict=len(more) > len(names)))
        given |= kwargs
        if given.get("ceil_mode"):
            raise Unknown
        sizes = b.shape(x)
        rows = zip(
            sizes[-n:],
            _each(b, kernel_size, n),
            _each(b, given.get("stride") or kernel_size, n),
            _each(b, given.get("padding", 0), n),
            _each(b, given.get("dilation", 1), n),
            strict=True,
        )
        return (*sizes[:-n], *[_windows(*row) for row in rows])

    return rule


def _adaptive(n: int) -> Rule:
    def rule(b: Book, x: Any, output_size: Any, *_: Any) -> Sizes:
        return (*b.shape(x)[:-n], *_each(b, output_size, n))

    return rule


# -- The table -------------------------------------------------------------------------

_MAX_POOL = ("stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVG_POOL = ("stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_BY_NAME: dict[Rule, str] = {
    _same: """
        relu relu_ gelu silu sigmoid tanh hardtanh hardswish leaky_relu elu selu celu mish
        softplus logsigmoid relu6 dropout softmax log_softmax layer_norm rms_norm
        group_norm batch_norm instance_norm normalize alpha_dropout feature_dropout
        abs neg exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh
        erf erfc sqrt rsqrt square reciprocal sign floor ceil round trunc frac
        logical_not bitwise_not isnan isinf isfinite nan_to_num clip clamp clamp_min
        clamp_max cumsum cumprod flip roll tril triu sigmoid_ tanh_ exp_ neg_ sqrt_
        contiguous clone detach alias to type float half double bfloat16 int long short
        bool cpu cuda requires_grad_ detach_ add_ sub_ mul_ div_ pow_ clamp_ copy_ fill_
        zero_ masked_fill_ scatter_ scatter_add_ index_copy_ index_add_ index_fill_
        index_put_ uniform_ normal_ bernoulli_ scatter scatter_add index_copy index_add
        index_fill argsort zeros_like ones_like empty_like full_like rand_like randn_like
        conj real type_as softmin positive angle
        __iadd__ __isub__ __imul__ __itruediv__
    """,
    _pointwise(2): """
        add sub subtract mul multiply div divide true_divide floor_divide remainder fmod
        pow float_power eq ne lt le gt ge maximum minimum fmax fmin atan2 logical_and
        logical_or logical_xor bitwise_and bitwise_or bitwise_xor masked_fill
        __add__ __radd__ __sub__ __rsub__ __mul__ __rmul__ __truediv__ __rtruediv__
        __pow__ __rpow__ __and__ __or__ __xor__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__
        __mod__ __floordiv__ rsub
    """,
    _pointwise(3): "where lerp addcmul addcdiv",
    _linear: "linear",
    _matmul: "matmul mm bmm mv dot __matmul__",
    _addmm: "addmm baddbmm addmv",
    _outer: "outer ger",
    _einsum: "einsum",
    _attention: "scaled_dot_product_attention",
    _transpose: "transpose swapaxes swapdims",
    _t: "t",
    _permute: "permute",
    _unsqueeze: "unsqueeze",
    _squeeze: "squeeze",
    _reshape: "view reshape",
    _like_second: "view_as reshape_as expand_as",
    _flatten: "flatten",
    _unflatten: "unflatten",
    _expand: "expand broadcast_to",
    _repeat: "repeat",
    _cat: "cat concat concatenate",
    _stack: "stack",
    _chunk: "chunk",
    _split: "split",
    _unbind: "unbind",
    _narrow: "narrow",
    _select: "select",
    _index_select: "index_select",
    _gather: "gather take_along_dim",
    _reduce: "sum mean prod any all amax amin argmax argmin logsumexp",
    _extreme: "max min",
    _norm: "norm",
    _sort: "sort",
    _topk: "topk",
    _factory: "zeros ones empty rand randn",
    _full: "full",
    _new: "new_zeros new_ones new_empty",
    _new_full: "new_full",
    _arange: "arange",
    _pad: "pad",
    _conv(1): "conv1d",
    _conv(2): "conv2d",
    _conv(3): "conv3d",
    _pool(1, _MAX_POOL): "max_pool1d",
    _pool(2, _MAX_POOL): "max_pool2d",
    _pool(1, _AVG_POOL): "avg_pool1d",
    _pool(2, _AVG_POOL): "avg_pool2d",
    _adaptive(1): "adaptive_avg_pool1d",
    _adaptive(2): "adaptive_avg_pool2d",
    _getitem: "__getitem__",
}
# Names of module operator that mean something else there, or to be looked up there.
_OPERATORS: dict[Rule, str] = {
    _pointwise(2): """
        add sub mul truediv floordiv mod pow and_ or_ xor eq ne lt le gt ge
    """,
    _same: "neg pos invert abs iadd isub imul itruediv ifloordiv imod ipow iand ior ixor",
    _matmul: "matmul",
    _getitem: "getitem",
}


@functools.cache
def rules() -> dict[Any, Rule]:
    """Return the rules: by callable, and by name for methods of tensors."""
    functional = torch.nn.functional
    homes = (torch, functional, torch._C._nn, torch._C._VariableFunctions)
    table: dict[Any, Rule] = {}
    for rule, names in _BY_NAME.items():
        for name in names.split():
            if hasattr(torch.Tensor, name):
                table[name] = rule
            for home in homes:
                function = getattr(home, name, None)
                if function is not None:
                    table.setdefault(function, rule)
    for rule, names in _OPERATORS.items():
        for name in names.split():
            table[getattr(operator, name)] = rule
    table[functional.embedding] = _embedding
    table[torch.embedding] = _torch_embedding
    return table
