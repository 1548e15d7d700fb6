"""What is around a CUDA graph, with a stand-in for the GPU that runs the kernels again."""

from __future__ import annotations

import signal
import threading
import warnings

import pytest
import torch

import magpy
from magpy.backends.cuda_graphs import MAX_CAPTURES, Graphed, Uncapturable, trains


class Replayed:
    """Captures by remembering the inputs, replays by running on them again.

    Results stay in memory of their own, which each replay overwrites: the way of a GPU.
    """

    def __init__(self, why: str = ""):
        self.lock = threading.Lock()
        self.why = why
        self.captures = self.replays = 0
        self.taken = False

    def is_taken(self):
        return self.taken

    def enter(self):
        pass

    def capture(self, run, inputs):
        if self.why:
            raise Uncapturable(self.why)
        self.captures += 1
        before = [x.clone() for x in inputs]
        outputs = run(list(inputs))
        for x, old in zip(inputs, before, strict=True):
            x.copy_(old)  # a capture runs nothing

        def replay():
            self.replays += 1
            again = run(list(inputs))
            for out, value in zip(outputs, again, strict=True):
                if isinstance(out, torch.Tensor) and all(out is not x for x in inputs):
                    out.copy_(value)

        return replay, outputs


WEIGHT = torch.arange(3.0)


def linear(inputs):
    x, w = inputs
    inputs.clear()  # a backend may
    return (x * w,)


def test_results_are_never_overwritten():
    device = Replayed()
    graphed = Graphed(linear, (), device, "test")
    kept = [graphed([torch.full((3,), float(i)), WEIGHT])[0] for i in range(100)]
    for i, y in enumerate(kept):
        assert y.tolist() == [0.0, float(i), 2.0 * i]
    assert device.replays == 99
    assert device.captures == 1  # the weight stays, the input moves from the beginning


def test_a_graph_that_runs_without_one_may_call_another():
    device = Replayed("no capture")
    inner = Graphed(linear, (), device, "inner")

    def run(inputs):
        assert not device.lock.locked()
        return inner(inputs)

    outer = Graphed(run, (), device, "outer")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = [outer([torch.ones(3), WEIGHT])[0].tolist() for _ in range(4)]
    assert got == [WEIGHT.tolist()] * 4


def test_what_a_signal_raises_in_a_capture_is_the_programs():
    def alarm(signum, frame):
        raise TimeoutError("the program's")

    class Interrupted(Replayed):
        def capture(self, run, inputs):
            signal.raise_signal(signal.SIGINT)
            return super().capture(run, inputs)

    graphed = Graphed(linear, (), Interrupted(), "test")
    graphed([torch.ones(3), WEIGHT])
    before = signal.signal(signal.SIGINT, alarm)
    try:
        with pytest.raises(TimeoutError):
            graphed([torch.ones(3), WEIGHT])
    finally:
        signal.signal(signal.SIGINT, before)
    assert graphed.refusal == ""


def test_an_input_that_moves_later_is_copied_from_then_on():
    device = Replayed()
    graphed = Graphed(linear, (), device, "test")
    x = torch.ones(3)
    weights = [WEIGHT] * 4 + [WEIGHT + 1] * 3
    got = [graphed([x, w])[0].tolist() for w in weights]
    assert got == [w.tolist() for w in weights]
    assert device.captures == 2
    graphed([x, WEIGHT + 2])
    assert device.captures == 2


def test_what_is_changed_in_place_is_seen():
    graphed = Graphed(linear, (), Replayed(), "test")
    x, w = torch.ones(3), torch.ones(3)
    for i in range(5):
        w.add_(1)
        assert graphed([x, w])[0].tolist() == [i + 2.0] * 3


def add_to(inputs):
    cache, x = inputs
    cache.add_(x)
    return cache * 2, cache


@pytest.mark.parametrize("moves", [False, True])
def test_written_inputs(moves):
    graphed = Graphed(add_to, (0,), Replayed(), "test")
    cache, total = torch.zeros(2), 0.0
    for i in range(6):
        x = torch.full((2,), float(i))
        before = cache.clone() if moves else cache
        version = before._version
        doubled, same = graphed([before, x])
        total += i
        assert same is before
        assert before._version > version
        assert before.tolist() == [total, total]
        assert doubled.tolist() == [2 * total] * 2
        cache = before


def views(inputs):
    (x,) = inputs
    y = x + 1
    return y[0], y, y[1], 3, y


def test_results_that_share_memory_do_so_in_their_copies():
    graphed = Graphed(views, (), Replayed(), "test")
    for i in range(4):
        first, y, second, number, same = graphed([torch.full((2, 2), float(i))])
        assert same is y and number == 3
        y.zero_()
        assert first.tolist() == second.tolist() == [0.0, 0.0]
        first.fill_(7)
        assert y.tolist() == [[7.0, 7.0], [0.0, 0.0]]


def test_layouts_of_results():
    graphed = Graphed(lambda inputs: (inputs[0].t() + 1,), (), Replayed(), "test")
    for _ in range(4):
        x = torch.arange(6.0).reshape(2, 3)
        (y,) = graphed([x])
        assert y.stride() == (x.t() + 1).stride()
        assert torch.equal(y, x.t() + 1)


def test_each_size_has_its_capture_up_to_a_limit():
    device = Replayed()
    graphed = Graphed(lambda inputs: (inputs[0] * 2,), (), device, "test")
    for _ in range(3):
        for n in range(1, MAX_CAPTURES + 4):
            assert graphed([torch.ones(n)])[0].tolist() == [2.0] * n
    assert device.captures == MAX_CAPTURES


def told(graphed, inputs):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [graphed(list(inputs))[0].tolist() for _ in range(4)]
    return results, [str(w.message) for w in caught]


@pytest.mark.parametrize(
    ("run", "device", "why"),
    [
        (lambda inputs: (inputs[0] * 2,), Replayed("no luck"), "no luck"),
        (lambda inputs: (inputs[0][:1],), Replayed(), "a result is a view of an input"),
    ],
)
def test_what_cannot_be_captured_runs_and_is_told_once(run, device, why):
    x = torch.ones(2)
    graphed = Graphed(run, (), device, "test")
    results, texts = told(graphed, [x])
    assert results == [run([x])[0].tolist()] * 4
    assert len(texts) == 1 and why in texts[0] and "no-cuda-graph" in texts[0]
    assert device.replays == 0


def test_an_input_whose_elements_share_memory():
    graphed = Graphed(lambda inputs: (inputs[0] + 1,), (), Replayed(), "test")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(3):
            x = torch.full((1,), float(i)).expand(3)
            assert graphed([x])[0].tolist() == [i + 1.0] * 3
    assert len(caught) <= 1


def test_a_capture_around_us_takes_the_run_itself():
    device = Replayed()
    graphed = Graphed(linear, (), device, "test")
    device.taken = True
    for _ in range(3):
        assert graphed([torch.ones(3), WEIGHT])[0].tolist() == [0.0, 1.0, 2.0]
    assert device.captures == device.replays == 0


def test_training():
    x = torch.ones(1, requires_grad=True)
    assert trains([x]) and not trains([x.detach()])
    with torch.no_grad():
        assert not trains([x])


def test_options():
    with pytest.raises(ValueError, match="has no options"):
        magpy.compile(linear, backend="cudagraphs", options={"a": 1})
