"""What a puzzled user is told: why recorded again, why a break, was it a hit?"""

import inspect
import logging
import pickle

import pytest
import torch

import magpy
from magpy import places
from magpy.config import config

SCALE = 2.0
SHIFT = 1


def line_of(function, text):
    """The number of the line of `function` that holds `text`."""
    source, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(source) if text in line)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(3, 3)
        self.flag = True

    def forward(self, x):
        y = self.lin(x) * SCALE
        if self.flag:
            y = y + 1
        return y


@pytest.fixture(autouse=True)
def fresh():
    globals().update(SCALE=2.0, SHIFT=1)
    yield
    globals().update(SCALE=2.0, SHIFT=1)


def again(compiled, *args):
    """The only reason why this call is recorded again."""
    with magpy.watch(compiled) as seen:
        compiled(*args)
    assert not seen.hit
    (reason,) = seen.recompiles
    return reason


# -- why recorded again ----------------------------------------------------------------


def test_the_nearest_entry_is_blamed():
    net = Net()
    fast, x = magpy.compile(net, backend="eager"), torch.ones(2, 3)
    fast(x)
    net.flag = False
    first = again(fast, x)
    assert (first.entry, first.source, first.found) == (1, "self.flag", "False")
    # Entry 2 differs in the flag and in SCALE, entry 1 in SCALE alone.
    net.flag = True
    globals()["SCALE"] = 5.0
    second = again(fast, x)
    assert second.entry == 1
    assert second.guard.endswith(".SCALE == 2.0")
    assert second.found == "5.0"


def test_the_line_that_needed_the_guard():
    net = Net()
    fast, x = magpy.compile(net, backend="eager"), torch.ones(2, 3)
    fast(x)
    net.flag = False
    reason = again(fast, x)
    where = (__file__, line_of(Net.forward, "if self.flag"), "forward")
    assert reason.where == where
    assert "if self.flag:" in str(reason)
    # What torch's own code needs is told at the line that calls it.
    net.lin.register_forward_hook(lambda *args: None)
    reason = again(fast, x)
    assert reason.where == (__file__, line_of(Net.forward, "self.lin(x)"), "forward")
    assert not reason.stack[-1][0].endswith("test_answers.py")


def test_a_line_in_a_callee_comes_with_its_callers():
    def scaled(x):
        return x * SCALE

    def f(x):
        return scaled(x) + 1

    fast, x = magpy.compile(f, backend="eager"), torch.ones(2)
    fast(x)
    globals()["SCALE"] = 3.0
    reason = again(fast, x)
    assert [frame[2] for frame in reason.stack] == ["f", "scaled"]
    assert reason.stack[0][1] == line_of(f, "scaled(x) + 1")


def test_all_numbers_that_changed_are_told_with_both_values(caplog):
    def f(x):
        return x * SCALE + SHIFT

    fast, x = magpy.compile(f, backend="eager"), torch.ones(2)
    with config.patch(logs="recompiles"), caplog.at_level(logging.INFO):
        fast(x)
        globals().update(SCALE=0.5, SHIFT=7)
        fast(x)
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "SCALE, which was 2.0 and is 0.5" in text
    assert "SHIFT, which was 1 and is 7" in text


def test_an_argument_is_needed_by_no_line():
    fast = magpy.compile(lambda x: x + 1, backend="eager", dynamic=False)
    fast(torch.ones(2))
    reason = again(fast, torch.ones(2, dtype=torch.float64))
    assert reason.source == "x"
    assert "float64" in reason.found or "f64" in reason.found


# -- why a break -----------------------------------------------------------------------


def read(x):
    if x.sum() > 0:
        return x
    return -x


class Reads(torch.nn.Module):
    def forward(self, x):
        return read(x * 2)


class Outer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Sequential(Reads())

    def forward(self, x):
        return self.inner(x)


def test_a_break_has_the_whole_stack():
    net = Outer()
    explained = magpy.explain(net)(torch.ones(2))
    (reason,) = explained.breaks
    mine = [frame[1:] for frame in reason.stack if frame[0] == __file__]
    lines = [
        line_of(Outer.forward, "self.inner(x)"),
        line_of(Reads.forward, "read(x"),
        line_of(read, "if x.sum"),
    ]
    assert mine == list(zip(lines, ["forward", "forward", "read"], strict=True))
    assert (reason.file, reason.line) == (__file__, lines[-1])
    text = str(reason)
    assert text.index("return read(x * 2)") < text.index("if x.sum() > 0:")
    assert "of the library" in text
    assert "module.py" not in text
    copy = pickle.loads(pickle.dumps(reason))
    assert (copy.stack, str(copy)) == (reason.stack, text)


def test_fullgraph_raises_with_the_stack():
    fast = magpy.compile(lambda x: read(x), backend="eager", fullgraph=True)
    with pytest.raises(magpy.Unsupported) as caught:
        fast(torch.ones(2))
    assert [frame[2] for frame in caught.value.stack] == ["<lambda>", "read"]


def test_library_frames():
    assert places.is_library(torch.nn.Module.__call__.__code__.co_filename)
    assert places.is_library(logging.__file__)
    assert places.is_library("<frozen importlib._bootstrap>")
    assert not places.is_library(pytest.__file__)
    assert not places.is_library(__file__)


# -- was it a hit? ---------------------------------------------------------------------


def test_watch():
    fast, x = magpy.compile(Net(), backend="eager"), torch.ones(2, 3)
    other = magpy.compile(lambda x: x + 1, backend="eager")
    with magpy.watch() as seen:
        fast(x)
        assert (seen.calls, seen.recordings, seen.hit) == (1, 1, False)
        fast(x)
        assert (seen.calls, seen.hits) == (2, 1)
    with magpy.watch(fast) as seen:
        other(x)
        fast(x)
    assert (seen.hit, seen.calls) == (True, 1)
    other(x)
    fast(x)
    assert (seen.hit, seen.calls) == (True, 1)  # it tells of the block
    assert str(seen).startswith("hit: 1 calls, 1 hits")
    with magpy.watch(fast) as seen:
        pass
    assert not seen.hit


def test_watch_sees_breaks_and_objects_made_inside():
    with magpy.watch() as seen:
        fast = magpy.compile(Reads(), backend="eager")
        fast(torch.ones(2))
    assert seen.recordings > 0
    assert [reason.reason for reason in seen.breaks] == ["host-read"]


def test_watch_takes_compiled_objects_only():
    with pytest.raises(TypeError, match=r"does not come from magpy\.compile"):
        magpy.watch(torch.sin)


# -- which guard comes from which line -------------------------------------------------


def test_guards_have_lines():
    (run,) = magpy.explain(Net())(torch.ones(2, 3)).segments
    lines = dict(zip(run.guards, run.guard_lines, strict=True))
    assert lines["self.flag is True"] == (
        f"test_answers.py:{line_of(Net.forward, 'if self.flag')}"
    )
    weight = next(guard for guard in lines if guard.startswith("self.lin.weight: "))
    assert lines[weight] == f"test_answers.py:{line_of(Net.forward, 'self.lin(x)')}"
