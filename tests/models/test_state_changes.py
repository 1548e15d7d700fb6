"""Changes of state between hits: each is noticed by the next call, after few hits and many.

A hit compares words of memory and looks at nothing else (engine/guard/words.c), so every
way to change what a model is made of must change one of them.
"""

from __future__ import annotations

import random
import types
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import magpy  # noqa: E402

SCALE = 1.5


def scale(x: Any, by: float = 2.0, *, add: float = 0.5) -> Any:
    return x * by + add


class Part(nn.Module):
    bias_of_class = 0.25

    def shift(self, x: Any) -> Any:
        return x + self.bias_of_class


class Block(Part):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(n)
        self.linear = nn.Linear(n, n)
        self.act = nn.GELU()
        self.flag = True
        self.factor = 0.5
        self.options = {"twice": False, "by": [1.0, 2.0]}
        self.register_buffer("offset", torch.ones(n))

    def forward(self, x: Any) -> Any:
        y = self.act(self.linear(self.norm(x)))
        if self.flag:
            y = y * self.factor
        if self.options["twice"]:
            y = y + y
        y = y * self.options["by"][1]
        return self.shift(x + y + self.offset.sum())


class Model(nn.Module):
    def __init__(self, n: int = 4, depth: int = 3) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(n) for _ in range(depth))
        self.extra = [Block(n)]
        self.head = nn.Sequential(nn.Linear(n, n), nn.ReLU())
        self.fn = scale

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x)
        for block in self.extra:
            x = block(x)
        return self.fn(self.head(x)) * SCALE


Change = Callable[[Any, random.Random], None]
CHANGES: dict[str, Change] = {}


def change(function: Change) -> Change:
    CHANGES[function.__name__] = function
    return function


def block_of(m: Any, r: random.Random) -> Any:
    return r.choice([*m.blocks, *m.extra])


def number(r: random.Random) -> float:
    return r.randrange(1, 1000) / 256


@change
def parameter_replaced(m: Any, r: random.Random) -> None:
    linear = block_of(m, r).linear
    linear.weight = nn.Parameter(linear.weight.detach() * number(r))


@change
def parameter_requires_no_grad(m: Any, r: random.Random) -> None:
    p = r.choice(list(m.parameters()))
    p.requires_grad_(not p.requires_grad)


@change
def data_swapped(m: Any, r: random.Random) -> None:
    p = r.choice(list(m.parameters()))
    p.data = p.data * number(r)


@change
def data_transposed(m: Any, r: random.Random) -> None:
    p = block_of(m, r).linear.weight
    p.data = p.data.t()


@change
def written_in_place(m: Any, r: random.Random) -> None:
    with torch.no_grad():
        r.choice(list(m.parameters())).mul_(number(r))


@change
def half_and_back(m: Any, r: random.Random) -> None:
    (m.double if next(m.parameters()).dtype == torch.float32 else m.float)()


@change
def part_of_another_dtype(m: Any, r: random.Random) -> None:
    b = block_of(m, r)
    b.offset.data = b.offset.data.to(
        torch.float32 if b.offset.dtype != torch.float32 else torch.float64
    )


@change
def flag_flipped(m: Any, r: random.Random) -> None:
    b = block_of(m, r)
    b.flag = not b.flag


@change
def training_flipped(m: Any, r: random.Random) -> None:
    m.train(not m.training)


@change
def number_changed(m: Any, r: random.Random) -> None:
    block_of(m, r).factor = number(r)


@change
def option_changed(m: Any, r: random.Random) -> None:
    o = block_of(m, r).options
    o["twice"] = not o["twice"]


@change
def item_changed(m: Any, r: random.Random) -> None:
    block_of(m, r).options["by"][1] = number(r)


@change
def options_replaced(m: Any, r: random.Random) -> None:
    b = block_of(m, r)
    b.options = {**b.options, "by": [0.0, number(r)]}


@change
def hook_added(m: Any, r: random.Random) -> None:
    by = number(r)
    block_of(m, r).linear.register_forward_hook(lambda mod, args, out: out * by)


@change
def pre_hook_added(m: Any, r: random.Random) -> None:
    by = number(r)
    block_of(m, r).register_forward_pre_hook(lambda mod, args: (args[0] * by,))


@change
def hooks_removed(m: Any, r: random.Random) -> None:
    for module in m.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()


@change
def submodule_swapped(m: Any, r: random.Random) -> None:
    b = block_of(m, r)
    b.linear = nn.Linear(4, 4, dtype=b.linear.weight.dtype)


@change
def activation_swapped(m: Any, r: random.Random) -> None:
    block_of(m, r).act = r.choice([nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.GELU()])


@change
def blocks_swapped(m: Any, r: random.Random) -> None:
    i, k = r.sample(range(len(m.blocks)), 2)
    m.blocks[i], m.blocks[k] = m.blocks[k], m.blocks[i]


@change
def block_appended(m: Any, r: random.Random) -> None:
    if len(m.blocks) < 5:
        m.blocks.append(Block(4).to(m.head[0].weight.dtype))


@change
def block_removed(m: Any, r: random.Random) -> None:
    if len(m.blocks) > 2:
        del m.blocks[r.randrange(len(m.blocks))]


@change
def list_changed(m: Any, r: random.Random) -> None:
    if len(m.extra) < 3:
        m.extra.append(m.extra[0])
    else:
        m.extra.pop()


@change
def list_replaced(m: Any, r: random.Random) -> None:
    m.extra = list(reversed(m.extra))[:1]


@change
def dict_replaced(m: Any, r: random.Random) -> None:
    b = block_of(m, r)
    b.__dict__ = {**b.__dict__, "factor": number(r)}


@change
def dict_updated(m: Any, r: random.Random) -> None:
    vars(block_of(m, r)).update(factor=number(r))


@change
def parameters_replaced_at_once(m: Any, r: random.Random) -> None:
    linear = block_of(m, r).linear
    linear._parameters = {
        k: nn.Parameter(v.detach() * number(r)) for k, v in linear._parameters.items()
    }


@change
def class_patched(m: Any, r: random.Random) -> None:
    Block.bias_of_class = number(r)


@change
def base_class_patched(m: Any, r: random.Random) -> None:
    if "bias_of_class" in vars(Block):
        del Block.bias_of_class
    Part.bias_of_class = number(r)


@change
def method_patched(m: Any, r: random.Random) -> None:
    by = number(r)

    def shift(self: Any, x: Any) -> Any:
        return x + self.bias_of_class * by

    Part.shift = shift  # type: ignore[method-assign]


@change
def method_of_instance(m: Any, r: random.Random) -> None:
    by = number(r)
    block_of(m, r).shift = lambda x: x - by


@change
def class_set(m: Any, r: random.Random) -> None:
    b = block_of(m, r)
    b.__class__ = type("Other", (Block,), {"bias_of_class": number(r)})


@change
def bases_set(m: Any, r: random.Random) -> None:
    by = number(r)
    for b in m.blocks:
        if type(b) is not Block:
            new = type("Base", (Block,), {"bias_of_class": by})
            if "bias_of_class" in vars(type(b)):
                del type(b).bias_of_class
            type(b).__bases__ = (new,)


@change
def code_replaced(m: Any, r: random.Random) -> None:
    by = number(r)
    source = f"def scale(x, by=2.0, *, add=0.5): return x * by - add * {by}"
    space: dict[str, Any] = {}
    exec(source, space)
    m.fn.__code__ = space["scale"].__code__


@change
def defaults_replaced(m: Any, r: random.Random) -> None:
    m.fn.__defaults__ = (number(r),)


@change
def keyword_defaults_replaced(m: Any, r: random.Random) -> None:
    m.fn.__kwdefaults__ = {"add": number(r)}


@change
def keyword_default_changed(m: Any, r: random.Random) -> None:
    m.fn.__kwdefaults__["add"] = number(r)


@change
def function_replaced(m: Any, r: random.Random) -> None:
    f = m.fn
    m.fn = types.FunctionType(
        f.__code__, globals(), "scale", (number(r),), f.__closure__
    )
    m.fn.__kwdefaults__ = {"add": number(r)}


@change
def global_rebound(m: Any, r: random.Random) -> None:
    globals()["SCALE"] = number(r)


@change
def buffer_resized(m: Any, r: random.Random) -> None:
    block_of(m, r).offset.resize_(r.randrange(1, 6)).fill_(number(r))


@change
def buffer_replaced(m: Any, r: random.Random) -> None:
    b = block_of(m, r)
    b.offset = b.offset.new_full((r.randrange(1, 6),), number(r))


@change
def buffer_in_other_strides(m: Any, r: random.Random) -> None:
    b = block_of(m, r)
    n = b.offset.numel()
    b.offset.data = b.offset.data.new_full((2 * n,), number(r))[::2]


@change
def tied(m: Any, r: random.Random) -> None:
    a, b = r.sample(list(m.blocks), 2)
    a.linear.weight = b.linear.weight


@pytest.fixture(autouse=True)
def kept() -> Any:
    names = [(Part, "shift", Part.shift), (Part, "bias_of_class", 0.25)]
    defaults, code = (scale.__defaults__, scale.__kwdefaults__), scale.__code__
    yield
    for owner, name, value in names:
        setattr(owner, name, value)
    if "bias_of_class" in vars(Block):
        del Block.bias_of_class
    scale.__defaults__, scale.__kwdefaults__ = defaults
    scale.__code__ = code
    globals()["SCALE"] = 1.5


def same(compiled: Any, model: Any, x: Any, grad: bool) -> None:
    got, want = compiled(x), model(x)
    assert torch.equal(got, want)
    assert got.dtype == want.dtype
    assert got.requires_grad == want.requires_grad
    if grad and want.requires_grad:
        leaves = [p for p in model.parameters() if p.requires_grad]
        for a, b in zip(
            torch.autograd.grad(got.sum(), leaves, allow_unused=True),
            torch.autograd.grad(want.sum(), leaves, allow_unused=True),
            strict=True,
        ):
            assert (a is None) == (b is None)
            assert a is None or torch.equal(a, b)


def attempt(model: Any, x: Any) -> bool:
    """Does eager take the model as it is?"""
    try:
        model(x)
    except (RuntimeError, TypeError):
        return False
    return True


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_random_changes(seed: int, grad: bool) -> None:
    """Two hundred changes: ten of each seed, with gradients and without."""
    r = random.Random(seed)
    torch.manual_seed(seed)
    model = Model()
    compiled = magpy.compile(model, backend="eager", dynamic=False)
    done = 0
    with torch.set_grad_enabled(grad):
        for _ in range(40):
            name = r.choice(list(CHANGES))
            CHANGES[name](model, r)
            x = torch.randn(2, 4).to(model.head[0].weight.dtype)
            if not attempt(model, x):
                continue
            done += 1
            for _ in range(r.choice([1, 3, 6])):
                same(compiled, model, x, grad)
            if done == 10:
                break
    assert done >= 8


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_after_a_thousand_hits(name: str) -> None:
    r = random.Random(5)
    torch.manual_seed(1)
    model = Model()
    compiled = magpy.compile(model, backend="eager", dynamic=False)
    if name in ("bases_set",):
        class_set(model, r)
        model.blocks[0].__class__ = type("Mine", (Block,), {})
    x = torch.randn(2, 4)
    with torch.no_grad():
        for _ in range(4):
            compiled(x)
        before = magpy.stats(compiled)["hits"]
        for _ in range(1000):
            compiled(x)
        assert magpy.stats(compiled)["hits"] == before + 1000
        CHANGES[name](model, r)
        x = x.to(model.head[0].weight.dtype)
        if not attempt(model, x):
            return
        for _ in range(4):
            same(compiled, model, x, False)
