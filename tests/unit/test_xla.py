"""The backend that computes graphs by XLA, through JAX."""

from __future__ import annotations

import gc
import weakref

import pytest

torch = pytest.importorskip("torch")

import magpy  # noqa: E402
from magpy_experiments.reproduce import xla, xla_table  # noqa: E402

if xla_table.missing("cpu"):
    pytest.skip(xla_table.missing("cpu"), allow_module_level=True)


def compiled(front, function, told=None, **options):
    """Compile it; what does not fit is an error."""

    def backend(gm, inputs):
        return xla.convert(gm, inputs, told)

    if front == "magpy":
        return magpy.compile(function, backend=backend, fullgraph=True, **options)
    torch._dynamo.reset()
    return torch.compile(function, backend=backend, fullgraph=True, **options)


def check(front, function, make, calls=4, grad=False):
    """Call it with new arguments each time: results and arguments are eager's."""
    fast = compiled(front, function)
    with torch.set_grad_enabled(grad):
        for seed in range(calls):
            ours, theirs = ([*map(torch.clone, make(seed))] for _ in range(2))
            got, want = fast(*ours), function(*theirs)
            same([got, ours], [want, theirs])
    if front == "magpy":
        assert magpy.stats(fast)["hits"] == calls - 1
    return fast


def same(got, want):
    torch.testing.assert_close(got, want)
    for x, y in zip(leaves(got), leaves(want), strict=True):
        assert [*steps(x)] == [*steps(y)]


def steps(x):
    return (step for step, size in zip(x.stride(), x.shape, strict=True) if size > 1)


def leaves(tree):
    for each in tree:
        if isinstance(each, (list, tuple)):
            yield from leaves(each)
        else:
            yield each


def floats(*shape):
    return lambda seed: [
        torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    ]


PROGRAMS = {
    "integers": lambda x: ((x * 3).long() // 2, (x * 9).int() % 4, (x > 0).sum()),
    "wide integers": lambda x: (x.long() + (1 << 40)) * 3,
    "promotion": lambda x: (x.long() / 2, x * torch.arange(4), x.half() + 1, x > 0),
    "means": lambda x: (x.mean(), x.var(dim=0), x.std(), x.argmax(-1), x.sort()),
    "the input itself": lambda x: (x, x.clone(), x.contiguous(), x * 1),
    "views of the input": lambda x: (x.t(), x[1:], x.view(-1), x.expand(2, 3, 4)),
    "one value twice": lambda x: (x + 1, (x + 1).clone(), x + 1),
    "a constant": lambda x: (torch.zeros(3), torch.arange(3), torch.tensor(2.5) + x),
    "transposed": lambda x: ((x + 1).t(), (x * 2).t()[1:2], (x * 3)[:, 1:3]),
    "repeated": lambda x: (x.sum().expand(5), (x[:, :1] + 1).expand(3, 4)),
    "no elements": lambda x: (x[:0] + 1, x[:, :0].sum(1)),
    "writes": lambda x: (x.add_(1), x[0].mul_(2), x.sum())[1:],
    "pieces": lambda x: ((x + 1).split(2, 1), torch.cat([x, x])[::2], x.chunk(3)),
    "slots": lambda x: (x.new_zeros(3, 4).index_put_((torch.tensor([1]),), x[0]), x[1]),
    "softmax": lambda x: (x.softmax(-1), torch.nn.functional.gelu(x), x.norm()),
}  # fmt: skip


@pytest.mark.parametrize("front", ["magpy", "dynamo"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_results_are_eagers(front, name):
    check(front, PROGRAMS[name], floats(3, 4))


def test_results_have_memory_of_their_own():
    fast = compiled("magpy", lambda x: (x.clone(), x + 0, (x + 0).clone()))
    x, kept = torch.ones(64), []
    with torch.no_grad():
        for call in range(5):
            kept += [(call, each) for each in fast(x)]
            for _, each in kept[-3:]:
                each.add_(call)
    assert x.tolist() == [1.0] * 64
    assert all((each == 1 + call).all() for call, each in kept)
    assert len({each.data_ptr() for _, each in kept}) == len(kept)


@pytest.fixture
def converted(monkeypatch):
    """The places of inputs that were converted, call by call."""
    seen = []
    real = xla._Compiled._convert

    def convert(self, at, x):
        array, shares = real(self, at, x)
        seen.append(tuple(x.shape))
        return array, shares

    monkeypatch.setattr(xla._Compiled, "_convert", convert)
    return seen


def test_weights_are_converted_once(converted):
    layer = torch.nn.Linear(16, 32)
    fast = compiled("magpy", layer)

    def call(expected):
        x = torch.randn(2, 16)
        del converted[:]
        torch.testing.assert_close(fast(x), layer(x))
        assert sorted(converted) == expected

    with torch.no_grad():
        fast(torch.randn(2, 16))  # recorded
        call([(2, 16), (32,), (32, 16)])
        call([(2, 16), (32,), (32, 16)])
        call([(2, 16)])
        layer.weight.mul_(2)
        call([(2, 16)])
        layer.weight.data.add_(1)  # what no version tells of
        call([(2, 16)])
        layer.weight.data = torch.randn(32, 16)
        call([(2, 16), (32, 16)])
        layer.bias = torch.nn.Parameter(torch.randn(32))
        fast(torch.randn(2, 16))
        call([(2, 16), (32,)])
        call([(2, 16)])


def test_what_does_not_lie_as_jax_wants_is_copied_each_time(converted):
    room = torch.randn(65)
    weight = room[1:]  # not where JAX can use it
    fast = compiled("magpy", lambda x: x * weight)
    with torch.no_grad():
        for step in range(5):
            room.add_(step)
            torch.testing.assert_close(fast(torch.ones(64)), weight * 1)
    assert converted.count((64,)) == 8


def test_transposed_weights_share_memory(converted):
    weight = torch.randn(32, 16).t()
    fast = compiled("magpy", lambda x: x @ weight)
    with torch.no_grad():
        for step in range(5):
            weight.add_(step)
            x = torch.randn(2, 16)
            torch.testing.assert_close(fast(x), x @ weight, atol=1e-4, rtol=1e-4)
    assert converted.count((16, 32)) == 2


def test_weights_can_die():
    layer = torch.nn.Linear(4, 4)
    fast = compiled("magpy", layer)
    given = []
    with torch.no_grad():
        for _ in range(2):
            x = torch.ones(2, 4)
            given.append(weakref.ref(x.untyped_storage()))
            for _ in range(3):
                fast(x)
    del x
    assert [ref() for ref in given] == [None, None]
    weight = weakref.ref(layer.weight.untyped_storage())
    del layer, fast
    gc.collect()
    assert weight() is None


@pytest.mark.parametrize("front", ["magpy", "dynamo"])
def test_sizes_change(front, monkeypatch):
    lowered = []
    real = xla._Compiled._lower

    def lower(self, key):
        lowered.append(key)
        return real(self, key)

    monkeypatch.setattr(xla._Compiled, "_lower", lower)
    layer = torch.nn.Linear(4, 4)

    def program(x):
        return layer(x).view(x.shape[0] * 2, 2), x.shape[0] + 1

    fast = compiled(front, program, dynamic=True)
    with torch.no_grad():
        for size in (5, 2, 3, 4, 2, 3, 4):
            x = torch.randn(size, 4)
            torch.testing.assert_close(fast(x), program(x))
    assert len(lowered) == (3 if front == "magpy" else 4)


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.project = torch.nn.Linear(8, 24)
        self.norm = torch.nn.LayerNorm(8)

    def forward(self, x):
        q, k, v = (
            each.unflatten(-1, (2, 4)).transpose(1, 2)
            for each in self.project(self.norm(x)).chunk(3, -1)
        )
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return torch.nn.functional.gelu(y.transpose(1, 2).flatten(2))


class Convolution(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = torch.nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2)
        self.norm = torch.nn.BatchNorm2d(4)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        x = torch.nn.functional.max_pool2d(x, 3, 1, 1)
        x = torch.nn.functional.avg_pool2d(self.second(x), 2)
        x = torch.nn.functional.interpolate(x, scale_factor=2)
        return torch.nn.functional.adaptive_avg_pool2d(x, (2, 3)), x.amax()


MODULES = {Attention: (2, 5, 8), Convolution: (2, 3, 8, 8)}


@pytest.mark.parametrize("front", ["magpy", "dynamo"])
@pytest.mark.parametrize("kind", MODULES)
def test_steps_of_training(front, kind):
    torch.manual_seed(0)
    ours, theirs = kind(), kind()
    theirs.load_state_dict(ours.state_dict())
    told = []
    fast = compiled(front, ours, told)
    models = {fast: ours, theirs: theirs}
    steps = [torch.optim.SGD(each.parameters(), lr=0.1) for each in models.values()]
    for _ in range(4):
        x = torch.randn(MODULES[kind])
        for call, step in zip(models, steps, strict=True):
            step.zero_grad()
            results = call(x)
            results = results if isinstance(results, tuple) else (results,)
            sum(each.square().mean() for each in results).backward()
            step.step()
        for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(left.grad, right.grad, atol=1e-4, rtol=1e-4)
        for left, right in zip(ours.buffers(), theirs.buffers(), strict=True):
            torch.testing.assert_close(left, right, atol=1e-4, rtol=1e-4)
    assert told == []
    if front == "magpy":
        assert magpy.stats(fast)["hits"] == 3


@torch.library.custom_op("magpy_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x):
    return torch.empty_like(x)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        (lambda x: x + torch.rand(4), "JAX draws other random numbers"),
        (lambda x: torch.nn.functional.dropout(x), "JAX draws other random numbers"),
        (lambda x: (x + 1).as_strided((3, 2), (1, 1)), "elements share memory"),
        (lambda x: torch.ops.magpy_tests.twice(x), "torchax does not have"),
    ],
)
def test_what_does_not_fit_says_why(program, why):
    told = []

    def backend(gm, inputs):
        try:
            return xla.convert(gm, inputs)
        except xla_table.Unfit as error:
            told.append(str(error))
            return gm.forward

    torch._dynamo.reset()
    fast = torch.compile(program, backend=backend)
    with torch.no_grad():
        assert fast(torch.ones(4)).shape == program(torch.ones(4)).shape
    assert len(told) == 1
    assert why in told[0]


def test_nothing_else_changes():
    import jax

    fast = compiled("magpy", lambda x: x + 1)
    for _ in range(3):
        fast(torch.ones(2))
    assert not jax.config.jax_enable_x64
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch._C._get_privateuse1_backend_name() == "privateuseone"
