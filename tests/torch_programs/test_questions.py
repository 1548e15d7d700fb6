"""What torch answers about any object follows from its class and attributes: programs in
which these change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
magpy = pytest.importorskip("magpy")

from torch.overrides import (  # noqa: E402
    has_torch_function,
    has_torch_function_unary,
    has_torch_function_variadic,
    is_tensor_like,
)


def override(
    cls: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None
) -> str:
    return "override"


class Names:
    """The classes of one test, and what is asked about."""

    def __init__(self) -> None:
        class Plain:
            pass

        class Other:
            pass

        class Asked:
            on = False

            def __getattr__(self, name: str) -> Any:
                if name == "__torch_function__" and type(self).on:
                    return 1
                raise AttributeError(name)

        self.Plain: Any = Plain
        self.Other: Any = Other
        self.Asked: Any = Asked
        self.a: Any = Plain()
        self.b: Any = Asked()


def steps(n: Names) -> Any:
    """Changes one after the other, with their names."""
    yield "as made"
    n.Plain.__torch_function__ = classmethod(override)
    yield "the class overrides"
    del n.Plain.__torch_function__
    yield "the class does not any more"
    n.a.__torch_function__ = 1
    yield "the instance overrides"
    del n.a.__torch_function__
    yield "nor that"
    n.Asked.on = True
    yield "__getattr__ answers"
    n.Asked.on = False
    yield "no more"
    n.Plain.__name__, n.Plain.__qualname__, n.Plain.__module__ = "N", "Q", "M"
    yield "other names"
    n.a.__qualname__ = "own"
    yield "a name of its own"
    n.a.__class__ = n.Other
    yield "another class"


t = torch.ones(2)
# What is asked, and whether that is recorded whole.
QUESTIONS: dict[str, tuple[Callable[[Any, Any], Any], bool]] = {
    "tuple": (lambda a, b: has_torch_function((a, b, t)), True),
    "list": (lambda a, b: has_torch_function([a, b]), True),
    "unary": (lambda a, b: [has_torch_function_unary(x) for x in (a, b)], True),
    "variadic": (lambda a, b: has_torch_function_variadic(t, a, b), True),
    "class": (lambda a, b: has_torch_function((type(a), type(b))), True),
    "new": (lambda a, b: has_torch_function((type(a)(),)), True),
    "like": (lambda a, b: (is_tensor_like(a), is_tensor_like(b)), True),
    "like_new": (lambda a, b: is_tensor_like(type(a)()), True),
    "name": (lambda a, b: torch.typename(a), True),
    "name_of_class": (lambda a, b: torch.typename(type(a)), True),
    "name_of_tensor": (lambda a, b: torch.typename(t), True),
    "is_tensor": (lambda a, b: (torch.is_tensor(a), torch.is_tensor(t)), True),
    "is_storage": (lambda a, b: (torch.is_storage(a), torch.is_storage(t)), True),
    "annotate": (lambda a, b: torch.jit.annotate(int, a) is a, True),
    "isinstance": (lambda a, b: isinstance(a, torch.Tensor), True),
    "numel": (lambda a, b: torch.numel(a), False),
    "is_complex": (lambda a, b: torch.is_complex(a), False),
    "result_type": (lambda a, b: torch.result_type(t, a), False),
    "sym_not": (lambda a, b: torch.sym_not(a), False),
}


@pytest.mark.parametrize(("ask", "whole"), QUESTIONS.values(), ids=QUESTIONS)
def test_questions(ask: Callable[[Any, Any], Any], whole: bool) -> None:
    fast = magpy.compile(ask, backend="eager")

    def answer(fn: Callable[[Any, Any], Any]) -> Any:
        try:
            return fn(n.a, n.b)
        except TypeError as error:
            return str(error)

    n = Names()
    for name in steps(n):
        for _ in range(3):
            assert answer(fast) == answer(ask), name
    counted = magpy.stats(fast)
    assert (counted["hits"] - counted["partial_hits"] > 10) == whole
