"""Errors by which a compiler says that a graph is none for it.

A result whose shape depends on numbers, an operation that it knows nothing about: that is
no failure, the graph then runs as recorded.
"""

from __future__ import annotations

# The text is all that tells these from other errors.
_TEXTS = {
    "encountered a mutation on a view chain": "it writes through a chain of views",
    "There was no fake impl registered": "an operator has no fake implementation",
    "attempting to assign a gradient": "an input has a gradient of another kind",
}


def reason_in(error: BaseException | None) -> str:
    """Return what the compiler refused, "" if it just failed."""
    from torch._subclasses import fake_tensor

    kinds = (
        fake_tensor.DynamicOutputShapeException,
        fake_tensor.DataDependentOutputException,
        fake_tensor.UnsupportedOperatorException,
    )
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, kinds):
            return f"no compiler knows the shape or value of {error.func}"
        if isinstance(error, RuntimeError):
            for text, why in _TEXTS.items():
                if text in str(error):
                    return why
        error = error.__cause__ or error.__context__
    return ""
