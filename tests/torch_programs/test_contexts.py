"""Contexts of autograd functions, given to a compiled function from outside.

Below a recorded `apply` a hit makes the context anew; here it is the program's, and what
the function tells it must be told at each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
magpy = pytest.importorskip("magpy")

from torch.autograd import Function  # noqa: E402
from torch.autograd.function import FunctionCtx  # noqa: E402

Make = Callable[[Callable[..., Any]], Callable[..., Any]]


def keep(fn: Callable[..., Any]) -> Callable[..., Any]:
    return fn


def saves(wrap: Make) -> Any:
    @wrap
    def body(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x, x * 2)
        return x * 2

    class G(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return body(ctx, x)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            x, y = ctx.saved_tensors
            return grad * x + y

    return G.apply


def keeps(wrap: Make) -> Any:
    @wrap
    def body(ctx: Any, x: Any) -> Any:
        ctx.k, ctx.x, ctx.items = 3, x, [1, x]
        return x * 2

    class G(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return body(ctx, x.detach())

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * ctx.k * ctx.x * len(ctx.items)

    return G.apply


def dirties(wrap: Make) -> Any:
    @wrap
    def body(ctx: Any, x: Any) -> Any:
        x.add_(1)
        ctx.mark_dirty(x)
        return x

    class G(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return body(ctx, x)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * 5

    return lambda x: G.apply(x * 1)


def marks(wrap: Make) -> Any:
    @wrap
    def body(ctx: Any, x: Any) -> Any:
        y, z = x * 2, x * 3
        ctx.mark_non_differentiable(z)
        return y, z

    class G(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return body(ctx, x)

        @staticmethod
        def backward(ctx: Any, grad: Any, other: Any) -> Any:
            return grad * 5

    return G.apply


def materializes(wrap: Make) -> Any:
    @wrap
    def body(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    class G(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return body(ctx, x)

        @staticmethod
        def backward(ctx: Any, grad: Any, other: Any) -> Any:
            return grad * (7 if other is None else 2)

    return lambda x: G.apply(x)[0]


def reads(wrap: Make) -> Any:
    @wrap
    def body(ctx: Any, grad: Any) -> Any:
        (x,) = ctx.saved_tensors
        return grad * x * int(ctx.needs_input_grad[0])

    class G(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return body(ctx, grad)

    return G.apply


def sets_up(wrap: Make) -> Any:
    @wrap
    def body(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(output)
        ctx.k = 4

    class G(Function):
        @staticmethod
        def forward(x: Any) -> Any:
            return x * 2

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            body(ctx, inputs, output)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad * x * ctx.k

    return G.apply


def in_another(wrap: Make) -> Any:
    """The context of an outer call, told of inside an inner, recorded one."""

    class Inner(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * 3

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad * x

    @wrap
    def body(ctx: Any, x: Any) -> Any:
        with torch.enable_grad():
            y = Inner.apply(x)
        ctx.save_for_backward(y.detach())
        return y.detach()

    class G(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return body(ctx, x)

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * ctx.saved_tensors[0]

    return G.apply


def calls(run: Callable[[Any], Any]) -> list[Any]:
    found = []
    for i in range(4):
        x = (torch.arange(4.0) + i).requires_grad_()
        result = run(x)
        results = result if isinstance(result, tuple) else (result,)
        sum(y.sum() for y in results if y.requires_grad).backward()
        grads = [y.requires_grad for y in results]
        found.append(([y.tolist() for y in results], grads, x.grad.tolist()))
    return found


PROGRAMS = [saves, keeps, dirties, marks, materializes, reads, sets_up, in_another]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_contexts(program: Callable[[Make], Any]) -> None:
    fast: list[Any] = []

    def compiled(fn: Callable[..., Any]) -> Callable[..., Any]:
        fast.append(magpy.compile(fn, backend="eager"))
        result: Callable[..., Any] = fast[-1]
        return result

    assert calls(program(compiled)) == calls(program(keep))
    assert magpy.stats(fast[0])["hits"] == 3


class Own(FunctionCtx):
    """A context that no autograd function made: an object like any other."""


def test_contexts_of_the_program() -> None:
    given = Own()

    def f(x: Any) -> Any:
        new = Own()
        new.save_for_backward(x * 2)
        new.mark_dirty(x)
        given.save_for_backward(x, x * 3)
        given.set_materialize_grads(False)
        Own.mark_non_differentiable(given, x)
        return new

    fast = magpy.compile(f, backend="eager")
    for i in range(4):
        x = torch.ones(2) * i
        told = []
        for run in (f, fast):
            vars(given).clear()
            new = run(x)
            told.append(repr((vars(new), vars(given))))
        assert told[0] == told[1]
        assert given.to_save[0] is x
    assert magpy.stats(fast)["hits"] == 3
