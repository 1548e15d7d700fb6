"""Gradients of compiled training graphs: those of autograd, None and second ones included.

Most tests take the backend ``aot_eager``, which makes the nodes that Inductor makes, and
needs no C++ compiler.
"""

from __future__ import annotations

import shutil
import sys
import threading

import pytest
import torch
from torch import nn

import magpy
from magpy.backends import gradients

BACKENDS = [
    "aot_eager",
    pytest.param(
        "inductor",
        marks=pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler"),
    ),
]


def same(left, right):
    if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
        return left is right
    return left.shape == right.shape and torch.allclose(
        left, right, rtol=1e-4, atol=1e-5
    )


def compare(make, step, backend="aot_eager", rounds=5):
    """Run `step(callable, module, number)` beside eager, and compare what it returns."""
    plain, module = make(), make()
    module.load_state_dict(plain.state_dict())
    compiled = magpy.compile(module, backend=backend)
    for number in range(rounds):
        wanted, got = step(plain, plain, number), step(compiled, module, number)
        for place, (left, right) in enumerate(zip(wanted, got, strict=True)):
            assert same(left, right), (number, place, left, right)
    return magpy.stats(compiled), compiled


def start(module, number, ask=True):
    for parameter in module.parameters():
        parameter.grad = None
    torch.manual_seed(number)
    return torch.randn(5, 4, requires_grad=ask)


def state(module, *more):
    grads = [p.grad if p.grad is None else p.grad.clone() for p in module.parameters()]
    return [*grads, *(b.clone() for b in module.buffers()), *more]


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.one, self.two = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        h = torch.tanh(self.body(x))
        views = (h.view(-1), x.view(-1))
        return self.one(h), self.two(h), h > 0, *views, self.one(h.detach())


USES = [(0,), (1,), (0, 1), (3,), (4,), (5,), (4, 5), (0, 3), (1, 4)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_unused_outputs_lead_to_keeps_none(backend):
    def step(f, module, number):
        x = start(module, number)
        out = f(x)
        used = USES[number % len(USES)]
        sum((out[i] * (i + 1)).sum() for i in used).backward()
        return state(module, x.grad)

    stats, _ = compare(Heads, step, backend, 2 * len(USES))
    assert stats["hits"] == 2 * len(USES) - 1


def test_adamw_leaves_an_unused_head_alone():
    def make():
        torch.manual_seed(0)
        return Heads()

    def step(f, module, number):
        x = start(module, number, ask=False)
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=0.1)
        f(x)[0].sum().backward()
        optimizer.step()
        return [p.detach().clone() for p in module.parameters()]

    compare(make, step)


def test_second_derivatives_of_used_outputs():
    def step(f, module, number):
        x = start(module, number)
        out = f(x)
        loss = sum((out[i] * (i + 1)).sin().sum() for i in USES[number % len(USES)])
        leaves = [x, *module.parameters()]
        grads = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
        penalty = sum((g**2).sum() for g in grads if g is not None)
        seconds = torch.autograd.grad(penalty, leaves, allow_unused=True)
        return [*grads, *seconds]

    compare(Heads, step, rounds=len(USES) + 2)


def critic():
    layers = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)
    return nn.Sequential(*layers)


def penalty(f, module, number):
    x = start(module, number)
    out = f(x).sum()
    (grad,) = torch.autograd.grad(out, x, create_graph=True)
    (out + (grad.norm() - 1) ** 2).backward()
    return state(module, x.grad)


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradient_penalty(backend):
    stats, _ = compare(critic, penalty, backend)
    assert stats["hits"] == 4


def test_gradient_penalty_now_and_then():
    """A hit whose gradient was compiled is followed by one that is differentiated."""

    def step(f, module, number):
        if number % 3 == 2:
            return penalty(f, module, number)
        x = start(module, number)
        f(x).sum().backward()
        return state(module, x.grad)

    compare(critic, step, rounds=8)


def test_gradients_with_respect_to_what_inputs_come_from():
    def step(f, module, number):
        x = start(module, number)
        first = x * 2
        second = first.exp()
        out = f(first + 0 * second).sum() + (second * x).sum()
        (near,) = torch.autograd.grad(out, first, create_graph=True)
        (far,) = torch.autograd.grad(out, x, create_graph=True)
        (near.pow(2).sum() + far.pow(2).sum()).backward()
        return state(module, x.grad, near, far)

    compare(critic, step)


def test_one_input_made_of_another():
    class Both(nn.Module):
        def forward(self, a, b):
            return (a * b).sin()

    def step(f, module, number):
        x = start(module, number)
        y = x * 3
        (grad,) = torch.autograd.grad(f(x, y).sum(), x, create_graph=True)
        grad.pow(2).sum().backward()
        return [grad, x.grad]

    compare(Both, step)


class Cubes(nn.Module):
    def forward(self, x):
        return (x.sin() * x**3).sum()


def test_functional_and_func_transforms():
    one = torch.ones(4)

    def step(f, module, number):
        x = torch.arange(4.0) + number
        a, t = torch.autograd.functional, torch.func
        return [
            a.hessian(f, x),
            a.hessian(f, x, vectorize=True),
            a.hessian(f, x, outer_jacobian_strategy="forward-mode", vectorize=True),
            a.jacobian(f, x, create_graph=True),
            a.hvp(f, x, one)[1],
            a.vhp(f, x, one)[1],
            a.jvp(f, x, one)[1],
            a.vjp(f, x)[1],
            t.grad(f)(x),
            t.hessian(f)(x),
            t.jvp(f, (x,), (one,))[1],
            t.vjp(f, x)[1](torch.tensor(2.0))[0],
            t.vmap(f)(x.expand(3, 4)),
            t.jacfwd(f)(x),
            t.jacrev(t.grad(f))(x),
            t.linearize(f, x)[1](one),
            f(x),
        ]

    compare(Cubes, step, rounds=4)


def test_forward_mode_around_calls_and_backward_passes():
    from torch.autograd import forward_ad

    def step(f, module, number):
        x = start(module, number)
        out = f(x)
        with forward_ad.dual_level():
            seed = forward_ad.make_dual(torch.ones(()), torch.full((), 0.5))
            (grad,) = torch.autograd.grad(out, x, seed, retain_graph=True)
            tangent = forward_ad.unpack_dual(grad).tangent
            dual = forward_ad.make_dual(x.detach(), torch.ones_like(x))
            inside = forward_ad.unpack_dual(f(dual)).tangent
        return [grad, tangent, inside, torch.autograd.grad(out, x)[0]]

    compare(Cubes, step)


def test_batched_gradients():
    def step(f, module, number):
        x = start(module, number)
        out = f(x)
        seeds = torch.eye(5).reshape(5, 5, 1)
        (rows,) = torch.autograd.grad(out, x, seeds, is_grads_batched=True)
        return [rows]

    compare(lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)), step)


def test_retained_graphs():
    def step(f, module, number):
        x = start(module, number)
        out = f(x).sum()
        for _ in range(number % 3):
            out.backward(retain_graph=True)
        out.backward()
        return state(module, x.grad)

    compare(critic, step, rounds=7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_results_are_differentiated_one_by_one(backend):
    """One node answers for all of them; those that share nothing do not disturb."""

    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            y = self.one(x)
            return y.tanh(), self.two(x).exp(), y.sigmoid(), x + 1

    def step(f, module, number):
        x = start(module, number)
        outcomes = []
        results = f(x)
        for i in [(0, 1), (1, 0, 3), (0, 2), (3, 3), (1, 1), (3, 0, 3, 1)][number % 6]:
            try:
                results[i].sum().backward()
                outcomes.append(None)
            except RuntimeError as error:
                outcomes.append("a second time" in str(error))
        return state(module, x.grad, *outcomes)

    compare(Apart, step, backend, rounds=13)


def test_deterministic_backward():
    def step(f, module, number):
        x = start(module, number)
        out = f(x).sum()
        torch.use_deterministic_algorithms(number % 2 == 1)
        try:
            out.backward()
        finally:
            torch.use_deterministic_algorithms(False)
        return state(module, x.grad)

    compare(critic, step)


def test_autocast_around_the_call_alone():
    def step(f, module, number):
        x = start(module, number)
        with torch.autocast("cpu", torch.bfloat16):
            out = f(x)
        (grad,) = torch.autograd.grad(out.sum(), x, create_graph=True)
        grad.float().pow(2).sum().backward()
        return [grad.dtype, *state(module)]

    compare(lambda: nn.Sequential(nn.Linear(4, 3), nn.Sigmoid()), step)


class Codebook(nn.Module):
    """Written after it was read: AOTAutograd finds the new numbers in the backward pass."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("book", torch.ones(4))

    def forward(self, x):
        y = torch.sin(self.layer(x) * self.book.clone())
        self.book.mul_(0.5).add_(y.detach().mean(0))
        return y.sum()


def test_written_inputs_that_gradients_need():
    def step(f, module, number):
        x = start(module, number)
        f(x).backward()
        return state(module, x.grad)

    stats, _ = compare(Codebook, step)
    assert stats["hits"] == 4


def test_a_second_derivative_of_random_numbers_comes_from_the_recorded_operations():
    def make():
        return nn.Sequential(
            nn.Linear(4, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 1)
        )

    stats, _ = compare(make, penalty)
    assert stats["hits"] == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_tensors_can_be_swapped_after_hits(backend):
    module = nn.Linear(3, 3)
    compiled = magpy.compile(module, backend=backend)
    x = torch.ones(2, 3)
    for _ in range(3):
        compiled(x).sum().backward()
    module.weight.grad = None
    torch.utils.swap_tensors(module.weight, nn.Parameter(torch.eye(3)))
    assert torch.allclose(compiled(x), module(x))


def test_modules_can_be_moved_by_swapping():
    module = nn.Linear(3, 3)
    compiled = magpy.compile(module, backend="aot_eager")
    for _ in range(3):
        compiled(torch.ones(2, 3)).sum().backward()
    module.zero_grad()
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        module.double()
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)
    assert compiled(torch.ones(2, 3, dtype=torch.double)).dtype is torch.double


@pytest.mark.parametrize("backend", BACKENDS)
def test_compiling_the_backward_pass_leaves_the_process_alone(backend):
    torch.manual_seed(0)
    module = nn.Linear(2, 2)
    compiled = magpy.compile(module, backend=backend)
    limit = sys.getrecursionlimit()
    for number in range(4):
        random_state = torch.get_rng_state()
        compiled(torch.ones(1, 2)).sum().backward()
        assert sys.getrecursionlimit() == limit
        assert torch.equal(random_state, torch.get_rng_state())
        stats = magpy.stats(compiled)
        assert (stats["recordings"], stats["hits"]) == (1, number)


def test_nodes_hold_nothing_that_holds_them():
    import gc
    import weakref

    def f(x, y):
        return x + y.sin()

    compiled = magpy.compile(f, backend="aot_eager")
    w = torch.ones(3, requires_grad=True)
    for _ in range(4):
        total, hidden = torch.zeros(3), w * 2
        out, other = compiled(total, w), compiled(hidden, w)
        total += out
        hidden += other
        refs = [weakref.ref(total), weakref.ref(hidden)]
        gc.disable()
        try:
            del total, hidden, out, other
            assert [ref() for ref in refs] == [None, None]
        finally:
            gc.enable()


def test_watching_for_classes_leaves_other_threads_alone():
    base = torch.autograd.Function
    assert "__init_subclass__" not in base.__dict__

    def other():
        type("CompiledFunction", (base,), {"__module__": "torch._functorch.x"})

    with gradients.node_classes() as outer, gradients.node_classes() as inner:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert not outer
        mine = type("CompiledFunction", (base,), {"__module__": "torch._functorch.x"})
        type("Other", (base,), {})
    assert outer == inner == [mine]
    assert "__init_subclass__" not in base.__dict__
