"""Calls that take turns: a hint leads to the entry, the guards still decide."""

import pytest

torch = pytest.importorskip("torch")

import magpy  # noqa: E402

SCALE = 1


def scaled(x, *rest, by=None):
    y = x * SCALE
    return (y, by, len(rest)) if rest else (y, by)


def calls_of(kind):
    return {
        "sizes": [((torch.ones(n + 2),), {}) for n in range(20)],
        "ranks": [((torch.ones((2,) * n),), {}) for n in range(1, 9)],
        "strides": [
            ((torch.ones(4, 4)[:, ::2],), {}),
            ((torch.ones(4, 2),), {}),
            ((torch.ones(2, 4).t(),), {}),
        ],
        "dtypes": [
            ((torch.ones(3, dtype=d),), {})
            for d in (torch.int32, torch.int64, torch.float32, torch.float64)
        ],
        "texts": [((torch.ones(2),), {"by": str(n)}) for n in range(20)],
        "others": [
            ((torch.ones(2),), {"by": by})
            for by in (None, True, False, "a", b"a", 1.5, (1, 2), (1, 2, 3))
        ],
        "items": [((torch.ones(2), *range(n)), {}) for n in range(9)],
        "types": [((x,), {}) for x in (torch.ones(2), 2, 2.0, True)],
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["sizes", "ranks", "strides", "dtypes", "texts", "others", "items", "types"],
)
def test_turns(kind):
    calls = calls_of(kind)
    fast = magpy.compile(scaled, backend="eager", dynamic=False)
    for args, kwargs in calls:
        for _ in range(3):
            fast(*args, **kwargs)
    before = magpy.stats(fast)
    turns = [*calls, *calls, *reversed(calls), *calls[::2], *calls]
    for args, kwargs in turns:
        mine, plain = fast(*args, **kwargs), scaled(*args, **kwargs)
        assert mine[1:] == plain[1:]
        if isinstance(plain[0], torch.Tensor):
            assert torch.equal(mine[0], plain[0])
            assert mine[0].dtype == plain[0].dtype
        else:
            assert mine[0] == plain[0]
            assert type(mine[0]) is type(plain[0])
    after = magpy.stats(fast)
    assert after["recordings"] == before["recordings"]
    assert after["hits"] - before["hits"] == len(turns)


def test_the_hinted_entry_may_fail(monkeypatch):
    """Arguments alike, another global: the guards send the call to the other entry."""
    fast = magpy.compile(scaled, backend="eager", dynamic=False)
    xs = [torch.ones(n) for n in (2, 3, 4)]
    for scale in (1, 2, 1, 2, 3, 2, 1):
        monkeypatch.setitem(globals(), "SCALE", scale)
        for x in (*xs, *xs):
            assert torch.equal(fast(x)[0], x * scale)
    assert magpy.stats(fast)["recordings"] <= 9


def test_entries_come_and_go():
    """More kinds of calls than entries: hints to what has gone do no harm."""
    fast = magpy.compile(scaled, backend="eager", dynamic=False, recompile_limit=3)
    xs = [torch.ones(n + 2) for n in range(6)]
    for _ in range(5):
        for x in (*xs, *xs[:2], *xs[3:5]):
            assert torch.equal(fast(x)[0], x)
            assert torch.equal(fast(x)[0], x)


def test_a_caller_that_resizes():
    """The very tensor, with other sizes each time."""
    fast = magpy.compile(scaled, backend="eager", dynamic=False)
    x = torch.ones(6)
    for _ in range(4):
        for n in (6, 2, 3, 5):
            x.resize_(n)
            assert torch.equal(fast(x)[0], x)
            assert torch.equal(fast(x)[0], x)
