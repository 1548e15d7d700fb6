"""Nothing keeps tensors or models alive, while recording or after."""

from __future__ import annotations

import gc
import linecache
import logging
import os
import subprocess
import sys
import tracemalloc
import weakref

import pytest
import torch
from torch import nn
from torch.fx.experimental.symbolic_shapes import ShapeEnv

import magpy
from magpy._engine import CompiledFunction


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.register_buffer("seen", torch.zeros(4))
        self.last = None

    def forward(self, x):
        kept = []
        for layer in self.layers:
            x = torch.relu(layer(x))
            kept.append(x)
        self.last = x
        self.seen.add_(x.detach().sum(0))
        return {"out": x, "kept": kept}


# Each records three times; a tenth of what a cycle without torch is given.
CYCLES = int(os.environ.get("MAGPY_TEST_CYCLES", "400")) // 10


def compiled_net():
    net = Net().eval()
    return net, magpy.compile(net, backend="eager")


def live_tensors() -> int:
    gc.collect()
    return sum(issubclass(type(o), torch.Tensor) for o in gc.get_objects())


def counts() -> tuple[int, int]:
    """Live tensors and objects, without what torch keeps of every graph.

    torch.fx keeps its source lines, methods of ShapeEnv their last 256 arguments.
    """
    linecache.clearcache()
    for method in vars(ShapeEnv).values():
        getattr(method, "cache_clear", bool)()
    return live_tensors(), len(gc.get_objects())


@pytest.mark.parametrize("grad", [False, True])
def test_deleted_model_is_freed(grad):
    with torch.set_grad_enabled(grad):
        net, fast = compiled_net()
        for _ in range(4):
            fast(torch.randn(2, 4))
    seen = [weakref.ref(net), *map(weakref.ref, net.parameters())]
    seen += [weakref.ref(net.seen), weakref.ref(net.layers[0])]
    del net, fast
    gc.collect()
    assert [r() for r in seen] == [None] * len(seen)


def test_inputs_and_results_are_not_kept():
    _net, fast = compiled_net()
    seen = []
    with torch.no_grad():
        for _ in range(4):
            x = torch.randn(2, 4)
            result = fast(x)
            seen += [weakref.ref(x), *map(weakref.ref, result["kept"][:2])]
    del x, result
    gc.collect()
    assert [r() for r in seen] == [None] * len(seen)


def test_no_tensors_pile_up(monkeypatch):
    # What torch logs of symbols, pytest keeps.
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)

    def cycle():
        net, fast = compiled_net()
        with torch.no_grad():
            fast(torch.randn(2, 4))
            fast(torch.randn(2, 4))
            fast(torch.randn(3, 4))
            net.layers[0] = nn.Linear(4, 4)
            fast(torch.randn(2, 4))

    for _ in range(3):
        cycle()
    before = counts()
    for _ in range(CYCLES):
        cycle()
    after = counts()
    assert after[0] <= before[0]
    assert after[1] < before[1] + CYCLES


class Sized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, n, pair):
        a, b = pair
        y = self.layer(x).reshape(x.shape[0] * 2, -1)
        z = torch.cat([torch.zeros(x.size(0) + a), torch.ones(n % 3)])
        return y * b, z, min(n, a, 9), [x.shape[0] - n]


def live_environments() -> int:
    gc.collect()
    return sum(type(o).__name__ == "ShapeEnv" for o in gc.get_objects())


def sized_calls(fn, times):
    for i in range(times):
        fn(torch.ones(2 + i % 37, 4), 2 + i % 29, (5 + i % 13, 0.5 + i % 7))


def test_recordings_with_symbols_are_freed():
    def cycle():
        net = Sized().eval()
        fast = magpy.compile(net, backend="eager")
        with torch.no_grad():
            sized_calls(fast, 6)
        assert magpy.stats(fast)["hits"] >= 3
        return weakref.ref(net)

    before = live_environments()
    seen = [cycle() for _ in range(3)]
    for _ in range(5):
        seen.append(cycle())
    assert live_environments() <= before
    assert [r() for r in seen] == [None] * len(seen)


def test_hits_with_numbers_leave_nothing():
    fast = magpy.compile(Sized().eval(), backend="eager")
    with torch.no_grad():
        sized_calls(fast, 200)
        before = counts(), sys.getallocatedblocks()
        sized_calls(fast, 2000)
        after = counts(), sys.getallocatedblocks()
    assert magpy.stats(fast)["hits"] > 2190
    assert after[0][0] <= before[0][0]
    assert after[0][1] < before[0][1] + 50
    assert after[1] < before[1] + 500


def test_replaced_parameter_is_freed():
    net, fast = compiled_net()
    with torch.no_grad():
        for _ in range(3):
            fast(torch.randn(2, 4))
        seen = weakref.ref(net.layers[0].weight)
        net.layers[0].weight = nn.Parameter(torch.randn(4, 4))
        for _ in range(3):
            fast(torch.randn(2, 4))
    gc.collect()
    assert seen() is None


def test_failed_calls_keep_nothing():
    _net, fast = compiled_net()
    seen = []
    for _ in range(3):
        x = torch.randn(2, 5)
        seen.append(weakref.ref(x))
        with pytest.raises(RuntimeError):
            fast(x)
        del x
    gc.collect()
    assert [r() for r in seen] == [None] * 3


def test_deleting_frees_graphs():
    graphs = []

    def backend(gm, inputs):
        graphs.append(weakref.ref(gm))
        return gm.forward

    net = Net().eval()
    fast = magpy.compile(net, backend=backend)
    with torch.no_grad():
        for _ in range(3):
            fast(torch.randn(2, 4))
    assert graphs
    del fast
    gc.collect()
    assert [g() for g in graphs] == [None] * len(graphs)


def test_backward_frees_the_autograd_graph():
    net, fast = compiled_net()
    for _ in range(4):
        x = torch.randn(2, 4, requires_grad=True)
        loss = fast(x)["out"].sum()
        loss.backward()
        net.last = None
        seen = weakref.ref(x)
        del x, loss
        gc.collect()
        assert seen() is None


PEAK = """
import resource, sys, torch, magpy
torch.set_num_threads(1)
N = 4 * 2**20
def f(x):
    for i in range(24):
        x = x + i
        x = torch.relu(x)
    return x.sum()
def wrap():
    return magpy.compile(f, backend="eager") if sys.argv[1] == "magpy" else f
fn, x = wrap(), torch.zeros(N)
wrap()(x[:4])  # what the first call of all imports and allocates
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.no_grad():
    fn(x)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def peak_mib(how: str) -> int:
    """Growth of peak memory over one call; the program makes 48 tensors of 16 MiB."""
    # Large blocks go back to the system when freed, so that the peak counts live tensors
    # and not how small allocations lie between them.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1048576"}
    done = subprocess.run(
        [sys.executable, "-c", PEAK, how],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return int(done.stdout.split()[-1])


def test_recording_frees_activations_as_eager_does():
    eager, recorded = peak_mib("eager"), peak_mib("magpy")
    assert recorded < eager + 40, f"eager {eager} MiB, recording {recorded} MiB"


def test_class_of_a_compiled_module_dies_at_once():
    """The first collection finds it, as it does in eager."""

    def make():
        inner = nn.Linear(2, 2)

        class Outer(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, x):
                return self.inner(x)

        compiled = magpy.compile(Outer(), backend="eager")
        for _ in range(3):
            compiled(torch.ones(1, 2))
        return weakref.ref(Outer), weakref.ref(inner)

    seen = make()
    gc.collect()
    assert [r() for r in seen] == [None] * 2


def test_what_a_hit_keeps_behind_a_break_is_freed():
    """Room for many references is made twice when their graph is compiled."""
    many = [torch.ones(1) for _ in range(61)]

    def step(x):
        float(x)
        return torch.stack(many)

    def cycle() -> None:
        fast = CompiledFunction(step, compiler=lambda graph, inputs: (stack, False))
        for _ in range(3):
            fast(torch.ones(1))
        assert fast.stats()["hits"] == 2

    def stack(*tensors):
        return (torch.stack(tensors),)

    def blocks() -> int:
        gc.collect()
        size = len(many) * tuple.__itemsize__
        return sum(trace.size == size for trace in tracemalloc.take_snapshot().traces)

    magpy.compile(step, backend="eager")(torch.ones(1))  # torch is set up
    cycle()
    tracemalloc.start()
    before = blocks()
    for _ in range(20):
        cycle()
    grown = blocks() - before
    tracemalloc.stop()
    assert grown < 10
