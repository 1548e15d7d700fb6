"""Steps of optimizers, compiled, and what stands around them in a training loop."""

import copy

import pytest

torch = pytest.importorskip("torch")

from torch.autograd.profiler import record_function  # noqa: E402

import magpy  # noqa: E402

OPTIMIZERS = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "adam_foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adam_of_tensor": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01)),
    "amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "adafactor": lambda p: torch.optim.Adafactor(p),
}


class World:
    """A model and its optimizer."""

    def __init__(self, make, schedule=None):
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(
            torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
        )
        self.optimizer = make(self.model.parameters())
        self.schedule = schedule and schedule(self.optimizer)
        self.step = self.optimizer.step

    def turn(self, i):
        torch.manual_seed(i)
        self.model(torch.randn(3, 4)).square().sum().backward()
        self.step()
        if self.schedule is not None:
            self.schedule.step()
        self.optimizer.zero_grad()

    def state(self):
        found = self.optimizer.state_dict()["state"]
        kept = [(k, v) for row in found.values() for k, v in row.items()]
        return [*enumerate(self.model.parameters()), *kept]


def same(a, b):
    for (name, want), (_, got) in zip(a.state(), b.state(), strict=True):
        assert type(want) is type(got), name
        assert torch.equal(want, got) if torch.is_tensor(want) else want == got, name


def test_a_step_after_torch_compile_was_used():
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))
    test_a_step_is_one_graph("adamw")  # TorchDynamo keeps off its _init_group


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_one_graph(name):
    eager, fast = World(OPTIMIZERS[name]), World(OPTIMIZERS[name])
    fast.step = magpy.compile(fast.optimizer.step, backend="eager")
    for i in range(10):
        if i == 6:  # the caller changes what a step reads
            for world in (eager, fast):
                world.optimizer.param_groups[0]["weight_decay"] = 0.5
        if i == 8:
            for world in (eager, fast):
                world.optimizer.state.clear()
        for world in (eager, fast):
            world.turn(i)
        same(eager, fast)
    stats = magpy.stats(fast.step)
    assert stats["graph_breaks"] == stats["fallbacks"] == 0, stats["places"]
    assert stats["hits"] >= 6


def test_a_schedule_is_a_symbol():
    def schedule(optimizer):
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)

    eager, fast = [World(OPTIMIZERS["adamw"], schedule) for _ in range(2)]
    fast.step = magpy.compile(fast.optimizer.step, backend="eager")
    for i in range(12):
        eager.turn(i)
        fast.turn(i)
        same(eager, fast)
    stats = magpy.stats(fast.step)
    assert stats["graph_breaks"] == stats["fallbacks"] == 0, stats["places"]
    assert stats["recordings"] <= 4


def test_a_whole_training_step():
    def train(world, x):
        loss = world.model(x).square().sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(world.model.parameters(), 1.0)
        world.step()
        world.optimizer.zero_grad()
        return loss.detach()

    eager, fast = [World(OPTIMIZERS["sgd"]) for _ in range(2)]
    step = magpy.compile(train, backend="eager")
    for i in range(6):
        torch.manual_seed(i)
        x = torch.randn(3, 4)
        assert torch.equal(train(eager, x), step(fast, x))
        same(eager, fast)
    stats = magpy.stats(step)
    assert stats["fallbacks"] == 0 and stats["hits"] == 5
    # backward() and zero_grad(), which torch marks for its own compiler
    assert stats["graph_breaks"] == 2, stats["places"]


def test_a_label_lasts_across_a_break():
    @record_function("all")
    def f(x, kept):
        with record_function("part") as label:
            y = x + 1
            if y.sum() > 0:  # a break
                y = y * 2
            kept.append(type(label.record))
        return y + 1

    fast = magpy.compile(f, backend="eager")
    for value in (1.0, 2.0, -3.0, 4.0, -5.0):
        want, got = [], []
        x = torch.full((3,), value)
        assert torch.equal(f(x, want), fast(x, got)) and want == got
    stats = magpy.stats(fast)
    assert stats["fallbacks"] == 0 and stats["hits"] == 4
    assert set(stats["breaks"]) == {"host-read"}
    with torch.profiler.profile() as profile:  # a hit below a profiler
        assert torch.equal(f(x, []), fast(x, []))
    assert any(event.key == "part" for event in profile.key_averages())
    assert torch.equal(f(x, []), fast(x, []))


def test_groups_of_tensors():
    def f(xs):
        found = torch.utils._foreach_utils._group_tensors_by_device_and_dtype([xs, xs])
        for (device, dtype), ((a, b), where) in found.items():
            torch._foreach_add_(a, 1)
            yield device, dtype, [x * 2 for x in b], where

    def collect(xs):
        return list(f(xs))

    fast = magpy.compile(collect, backend="eager")
    for kinds in ("ffd", "ffd", "ffd", "fdd", "fdd", "dff", "ffd"):
        made = [
            torch.ones(i + 1, dtype=torch.float64 if kind == "d" else torch.float32)
            for i, kind in enumerate(kinds)
        ]
        given = copy.deepcopy(made)
        want, got = collect(made), fast(given)
        assert str(want) == str(got) and str(made) == str(given)
    stats = magpy.stats(fast)
    assert stats["graph_breaks"] == stats["fallbacks"] == 0 and stats["hits"] == 4


def test_functions_that_are_bound_by_hand():
    class Owner:
        scale = 2

        def method(self, x):
            return x * self.scale

    def f(owner, x):
        bound = Owner.method.__get__(owner, Owner)
        return bound(x), bound, Owner.method.__get__(None, Owner) is Owner.method

    fast = magpy.compile(f, backend="eager")
    owner, x = Owner(), torch.ones(2)
    for scale in (2, 2, 2, 3, 3):
        owner.scale = scale
        (a, bound, plain), (b, got, also) = f(owner, x), fast(owner, x)
        assert torch.equal(a, b) and bound == got and plain is also is True
    assert magpy.stats(fast)["graph_breaks"] == 0


def test_gradients_of_a_scaled_loss():
    def unscale(grads, found, scale):
        torch._amp_foreach_non_finite_check_and_unscale_(grads, found, scale)
        return found * 2, grads[0] + 1

    fast = magpy.compile(unscale, backend="eager")
    for value in (1.0, 2.0, float("inf"), 3.0):
        worlds = []
        for run in (unscale, fast):
            grads = [torch.full((3,), value), torch.ones(2)]
            found = torch.zeros(1)
            made = run(grads, found, torch.tensor(0.5))
            worlds.append([*made, *grads, found])
        for want, got in zip(*worlds, strict=True):
            assert torch.equal(want, got)
    stats = magpy.stats(fast)
    assert stats["graph_breaks"] == stats["fallbacks"] == 0 and stats["hits"] == 3


def test_a_scaler_around_a_step():
    def train(world, scaler, x):
        loss = scaler.scale(world.model(x).square().sum())
        loss.backward()
        scaler.step(world.optimizer)
        scaler.update()
        world.optimizer.zero_grad()
        return loss.detach()

    runs = []
    for compiled in (False, True):
        world, found = World(OPTIMIZERS["sgd"]), []
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        step = magpy.compile(train, backend="eager") if compiled else train
        for i in range(7):
            torch.manual_seed(i)
            x = torch.full((3, 4), 1e30) if i == 4 else torch.randn(3, 4)
            found += [step(world, scaler, x), scaler.get_scale()]
        runs.append((found, world))
    (want, eager), (got, fast) = runs
    assert all(
        torch.equal(a, b) if torch.is_tensor(a) else a == b
        for a, b in zip(want, got, strict=True)
    )
    same(eager, fast)
    stats = magpy.stats(step)
    assert stats["fallbacks"] == 0 and stats["hits"] >= 4
