"""Terms: expressions over the numbers of a recorded run.

A term is plain data, so that engine and Python can exchange it::

    7                      number 7 of the run
    ("INT", 3)             a constant; ("FLOAT", 0.5) one, too
    ("SIZE", 0, 1)         size 1 of graph input 0; STRIDE alike, ("OFFSET", 0)
    ("ADD", 7, ("INT", 3)) an operation of engine/number/numbers.def

A guard is a term that must not be zero.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

Term = int | tuple[Any, ...]

#: terms that are no operations
LEAVES = ("INT", "FLOAT", "SIZE", "STRIDE", "OFFSET")

_INT64 = 1 << 63

#: what an operation computes, on numbers of Python
OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "ADD": operator.add,
    "SUB": operator.sub,
    "MUL": operator.mul,
    "FLOORDIV": operator.floordiv,
    "MOD": operator.mod,
    "TRUEDIV": operator.truediv,
    "POW": operator.pow,
    "NEG": operator.neg,
    "POS": operator.pos,
    "ABS": abs,
    "LSHIFT": operator.lshift,
    "RSHIFT": operator.rshift,
    "AND": operator.and_,
    "OR": operator.or_,
    "MIN": min,
    "MAX": max,
    "ROUND": round,
    "TO_INT": int,
    "TO_FLOAT": float,
    "FLOOR": math.floor,
    "CEIL": math.ceil,
    "TRUNC": math.trunc,
    "LT": lambda a, b: int(a < b),
    "LE": lambda a, b: int(a <= b),
    "EQ": lambda a, b: int(a == b),
    "NE": lambda a, b: int(a != b),
    "GT": lambda a, b: int(a > b),
    "GE": lambda a, b: int(a >= b),
    "NOT": lambda a: int(not a),
    "SAME": lambda a, b: int(repr(a) == repr(b)),
}


class UntranslatableError(Exception):
    """A condition of torch's that is no term."""


def pin(term: Term, value: float) -> Term:
    """Return the guard that a number is what it is now."""
    return ("SAME" if isinstance(value, float) else "EQ", term, constant(value))


def constant(value: int | float) -> Term:
    """Return the term of a constant."""
    if isinstance(value, float):
        return ("FLOAT", value)
    if not -_INT64 <= value < _INT64:
        raise UntranslatableError(f"{value} does not fit into 64 bits")
    return ("INT", int(value))


def evaluate(term: Term, leaf: Callable[[Term], Any]) -> Any:
    """Compute a term.

    Args:
        term: what to compute.
        leaf: the value of a number, or of a SIZE, STRIDE or OFFSET.
    """
    if isinstance(term, int):
        return leaf(term)
    name, *operands = term
    if name in ("INT", "FLOAT"):
        return operands[0]
    if name in LEAVES:
        return leaf(term)
    return OPERATIONS[name](*[evaluate(each, leaf) for each in operands])


# -- From sympy ------------------------------------------------------------------------


def conditions(expr: Any, symbols: Mapping[Any, Term]) -> list[Term]:
    """Translate a condition of a ``ShapeEnv`` to guards that together mean the same."""
    import sympy

    if expr == sympy.true:
        return []
    if isinstance(expr, sympy.And):
        return [each for arg in expr.args for each in conditions(arg, symbols)]
    return [from_sympy(expr, symbols)]


def from_sympy(expr: Any, symbols: Mapping[Any, Term]) -> Term:
    """Translate an expression of sympy and of torch's own functions.

    Args:
        expr: the expression.
        symbols: the terms of its symbols.

    Raises:
        UntranslatableError: it has parts that are no numbers of ours.
    """
    import sympy

    if isinstance(expr, sympy.Symbol):
        if expr not in symbols:
            raise UntranslatableError(f"{expr} is known only when the graph has run")
        return symbols[expr]
    if isinstance(expr, sympy.Integer):
        return constant(int(expr))
    if isinstance(expr, sympy.Float):
        return constant(float(expr))
    if isinstance(expr, sympy.Add):
        return _sum(expr, symbols)
    name = type(expr).__name__
    if isinstance(expr, sympy.Pow):
        name = "Pow"
    translate = _TRANSLATIONS.get(name)
    if translate is None:
        raise UntranslatableError(f"{name} in {expr}")
    return translate(*[from_sympy(arg, symbols) for arg in expr.args])


def _sum(expr: Any, symbols: Mapping[Any, Term]) -> Term:
    """``a - b`` is ``a + -1*b`` to sympy, and a constant stands first."""
    plus: list[Any] = []
    minus: list[Any] = []
    for arg in (*expr.args[1:], expr.args[0]):
        negative = arg.could_extract_minus_sign()
        (minus if negative else plus).append(-arg if negative else arg)
    terms = [from_sympy(arg, symbols) for arg in plus]
    term = _fold("ADD")(*terms) if terms else ("INT", 0)
    for arg in minus:
        term = ("SUB", term, from_sympy(arg, symbols))
    return term


def _fold(name: str) -> Callable[..., Term]:
    def fold(*terms: Term) -> Term:
        first, *rest = terms
        for term in rest:
            first = (name, first, term)
        return first

    return fold


def _named(name: str) -> Callable[..., Term]:
    def make(*terms: Term) -> Term:
        return (name, *terms)

    return make


def _power(base: Term, exponent: Term) -> Term:
    """Of sympy: only small powers of integers, as products; overflow is a miss then."""
    if isinstance(exponent, tuple) and exponent[0] == "INT" and 1 <= exponent[1] <= 8:
        return _fold("MUL")(*[base] * exponent[1])
    raise UntranslatableError("a power that is no small constant")


def _where(condition: Term, yes: Term, no: Term) -> Term:
    other = ("MUL", ("NOT", condition), no)
    return ("ADD", ("MUL", ("NE", condition, ("INT", 0)), yes), other)


_TRANSLATIONS: Mapping[str, Callable[..., Term]] = {
    "Mul": _fold("MUL"),
    "Pow": _power,
    "PowByNatural": _power,
    "Max": _fold("MAX"),
    "Min": _fold("MIN"),
    "And": _fold("AND"),
    "Or": _fold("OR"),
    "Not": _named("NOT"),
    "Equality": _named("EQ"),
    "Unequality": _named("NE"),
    "StrictLessThan": _named("LT"),
    "LessThan": _named("LE"),
    "StrictGreaterThan": _named("GT"),
    "GreaterThan": _named("GE"),
    "Abs": _named("ABS"),
    "FloorDiv": _named("FLOORDIV"),
    "CleanDiv": _named("FLOORDIV"),
    "CeilDiv": lambda a, b: ("NEG", ("FLOORDIV", ("NEG", a), b)),
    "Mod": _named("MOD"),
    "PythonMod": _named("MOD"),
    "ModularIndexing": lambda a, b, c: ("MOD", ("FLOORDIV", a, b), c),
    "LShift": _named("LSHIFT"),
    "RShift": _named("RSHIFT"),
    "Where": _where,
    "Identity": lambda a: a,
    "IntTrueDiv": _named("TRUEDIV"),
    "FloatTrueDiv": _named("TRUEDIV"),
    "ToFloat": _named("TO_FLOAT"),
    "FloorToInt": _named("FLOOR"),
    "CeilToInt": _named("CEIL"),
    "TruncToInt": _named("TRUNC"),
    "RoundToInt": _named("ROUND"),
}
