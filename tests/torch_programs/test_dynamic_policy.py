"""Which sizes and numbers become symbols, what users can say about it, and what they are told."""

from __future__ import annotations

import warnings

import pytest

import magpy

torch = pytest.importorskip("torch")


def scaled(x, n=2):
    return (x * n).sum(0) + x.shape[0]


def ones(*shape):
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


def check(fast, fn, *calls):
    """Each call as eager has it; how many recordings there were."""
    for args in calls:
        assert torch.equal(fast(*args), fn(*args))
    return magpy.stats(fast)["recordings"]


def compiled(fn=scaled, **options):
    return magpy.compile(fn, backend="eager", **options)


SIZES = [(ones(n, 3),) for n in (4, 6, 9, 5, 4, 6)]
NUMBERS = [(ones(4, 3), n) for n in (0, 1, 2, 5, -3, 0)]


@pytest.mark.parametrize(
    ("calls", "place"), [(SIZES, "x.shape[0]"), (NUMBERS, "n")], ids=["size", "int"]
)
def test_one_more_recording_for_what_changes(calls, place):
    fast = compiled()
    assert check(fast, scaled, *calls) == 2
    stats = magpy.stats(fast)
    assert stats["dynamic"] == [place]
    assert stats["fallbacks"] == 0
    magpy.reset()
    assert magpy.stats(fast)["dynamic"] == []
    assert check(fast, scaled, *calls) == 2


def test_all_that_changes_at_once_becomes_dynamic_at_once():
    fast = compiled()
    calls = [(ones(4 + k, 3 + k), 2.0 + k) for k in range(6)]
    assert check(fast, scaled, *calls) == 2
    assert magpy.stats(fast)["dynamic"] == ["x.shape[0]", "x.shape[1]", "n"]


def test_another_type_is_another_case():
    fast = compiled()
    calls = [(ones(4, 3), n) for n in (2, 2.5, True, 3, 3.5, 4)]
    assert check(fast, scaled, *calls) <= 5
    assert set(magpy.stats(fast)["dynamic"]) <= {"n"}


@pytest.mark.parametrize("small", [0, 1])
def test_sizes_of_zero_and_one_are_cases_of_their_own(small):
    fast = compiled()
    before = check(fast, scaled, *SIZES)
    assert check(fast, scaled, (ones(small, 3),)) == before + 1
    assert check(fast, scaled, (ones(small, 3),), *SIZES) == before + 1


def test_a_size_that_was_one_is_dynamic_when_it_is_another():
    fast = compiled()
    calls = [(ones(n, 3),) for n in (1, 2, 3, 4, 1, 7)]
    assert check(fast, scaled, *calls) == 2
    assert magpy.stats(fast)["dynamic"] == ["x.shape[0]"]


def test_strides_that_do_not_follow_from_the_sizes_are_dynamic_too():
    def fn(x):
        return torch.cat([x, x[:, :1]], dim=1) * 2

    fast = compiled(fn)
    calls = [
        (ones(2, m, 3)[:, :n],) for n, m in ((5, 8), (6, 6), (7, 9), (8, 8), (5, 7))
    ]
    assert check(fast, fn, *calls) == 2
    assert magpy.stats(fast)["dynamic"] == ["x.shape[1]", "x.stride(0)"]


def test_what_is_learned_is_not_hidden_by_nearer_recordings_that_teach_nothing():
    def fn(x, cache):
        return cache.sum(1) * x.shape[0] + len(x) if len(x) > 1 else cache * 2 + x[0]

    fast = compiled(fn)
    one, many = ones(1), ones(4)
    # (Of two recordings the first is nearer: only x is another one, which is 1 now.)
    assert check(fast, fn, (many, ones(2, 3)), (one, ones(2, 3))) == 2
    calls = [(one, ones(2, n)) for n in (4, 5, 6)]
    assert check(fast, fn, *calls) == 3


def test_true_is_dynamic_from_the_first_call_on():
    fast = compiled(dynamic=True)
    assert (
        check(fast, scaled, *SIZES, *NUMBERS) <= 2
    )  # with the default of n, and with n
    assert magpy.stats(fast)["hits"] >= 9


def test_true_leaves_state_to_what_is_learned():
    class Rate:
        def __init__(self):
            self.rate = 0.5

        def __call__(self, x):
            return x * self.rate

    fn = Rate()
    fast = compiled(fn, dynamic=True)
    assert check(fast, fn, (ones(3),), (ones(4),), (ones(5),)) == 1
    for k in range(4):
        fn.rate = k / 8
        check(fast, fn, (ones(5),))
    assert magpy.stats(fast)["recordings"] == 2


def test_false_is_one_recording_for_each_value():
    fast = compiled(dynamic=False)
    assert check(fast, scaled, *SIZES) == 4
    assert magpy.stats(fast)["dynamic"] == []


@pytest.mark.parametrize(
    "mark", ["mark_dynamic", "maybe_mark_dynamic", "mark_unbacked"]
)
@pytest.mark.parametrize("dynamic", [None, False])
def test_marks_count_from_the_first_call_on(mark, dynamic):
    fast = compiled(dynamic=dynamic)
    calls = [(ones(n, 3),) for n in (4, 6, 9)]
    for (x,) in calls:
        getattr(torch._dynamo.decorators, mark)(x, 0)
    assert check(fast, scaled, *calls) == 1


def test_what_is_marked_as_static_stays_so():
    fast = compiled(dynamic=True)
    calls = [(ones(n, 3),) for n in (4, 6, 9)]
    for (x,) in calls:
        torch._dynamo.mark_static(x, 0)
    assert check(fast, scaled, *calls) == 3


def unrolled(x):
    total = x[0]
    for k in range(x.shape[0]):
        total = total + x[k]
    return total


LOOP = unrolled.__code__.co_firstlineno + 2


def test_a_mark_that_cannot_be_kept_is_told_with_its_line():
    fast = compiled(unrolled)
    x = ones(4, 3)
    torch._dynamo.mark_dynamic(x, 0)
    with pytest.warns(
        magpy.MagpyWarning, match=r"x\.shape\[0\] is marked as dynamic"
    ) as seen:
        check(fast, unrolled, (x,), (x,))
    assert len(seen) == 1
    assert f"{__file__}:{LOOP}" in str(seen[0].message)


@pytest.mark.parametrize("marked", [True, False])
def test_of_other_marks_nothing_is_said(marked):
    fast = compiled(unrolled)
    calls = [(ones(n, 3),) for n in (4, 6)]
    if marked:
        for (x,) in calls:
            torch._dynamo.maybe_mark_dynamic(x, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", magpy.MagpyWarning)
        check(fast, unrolled, *calls, *calls)


def test_back_off_names_what_needs_the_value():
    fast = compiled(unrolled)
    with pytest.warns(
        magpy.MagpyWarning, match=r"x\.shape\[0\] is another one"
    ) as seen:
        check(fast, unrolled, *[(ones(n, 3),) for n in range(2, 20)])
    assert f"{__file__}:{LOOP}" in str(seen[0].message)


def test_numbers_do_not_start_a_back_off():
    """Thirty shapes that come in any order: no call is skipped."""
    fast = compiled()
    shapes = [(4 + k * 7 % 30, 3 + k * 11 % 30) for k in range(30)]
    calls = [(ones(*shape), k / 4) for k, shape in enumerate(shapes)]
    assert check(fast, scaled, *calls) == 2
    assert magpy.stats(fast)["reasons"] == {}


def test_a_backend_without_symbols_gets_each_value():
    with pytest.warns(magpy.MagpyWarning, match="takes no sizes that vary"):
        fast = magpy.compile(scaled, backend="torchscript", dynamic=True)
    assert check(fast, scaled, *SIZES) == 4
    assert magpy.stats(fast)["dynamic"] == []


def test_explain_tells_what_became_dynamic():
    fast = compiled()
    check(fast, scaled, *SIZES)
    (entry,) = [e for e in fast.entries() if any("*" in line for line in e["guards"])]
    assert any(line.startswith("x: f32[*, 3] cpu") for line in entry["guards"])


class Layers:
    """C code asks its `__iter__`, and could go on to the whole model."""

    def __init__(self, n):
        self.modules = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(n))
        self.rows = 0

    def __call__(self, x):
        self.rows = len(x)  # (from now on objects from outside may hold a symbol)
        for _, layer in enumerate(self.modules):
            x = layer(x)
        return x + self.rows


def test_a_large_model_behind_an_iterator_keeps_sizes_open():
    model = Layers(200).__call__
    f = magpy.compile(model, backend="eager", dynamic=True)
    with torch.no_grad():
        for rows in (2, 2, 3, 5, 4, 7):
            x = torch.randn(rows, 4)
            assert torch.equal(f(x), model(x))
    assert magpy.stats(f)["recordings"] == 1


def test_a_long_chain_is_walked_without_recursion():
    class Pair:
        def __init__(self, chain):
            self.chain = chain

        def __iter__(self):
            return iter([self.chain])

    def f(x, n, seen, pair):
        seen["n"] = n + 1
        for _ in enumerate(pair):
            pass
        return x * n

    chain = None
    for _ in range(100_000):
        chain = [chain]
    seen, x = {}, torch.ones(2)
    g = magpy.compile(f, backend="eager", dynamic=True)
    for n in (3, 3, 4, 5):
        assert torch.equal(g(x, n, seen, Pair(chain)), x * n)
        assert seen == {"n": n + 1}
    while chain is not None:  # (its own end would be deep, too)
        chain = chain[0]


def test_a_list_of_many_lengths_has_a_recording_for_each():
    def mean(xs):
        return torch.stack(xs).sum(0) / len(xs)

    fast = magpy.compile(mean, backend="eager")
    calls = [([ones(4) + k for k in range(1 + i)],) for i in range(24)]
    assert check(fast, mean, *calls, *calls) == 24
    stats = magpy.stats(fast)
    assert stats["hits"] == 24
    assert stats["fallbacks"] == 0


def test_a_list_that_grows_without_end_is_given_up():
    def total(x, log):
        for n in log:
            x = x + n
        return x

    fast = magpy.compile(total, backend="eager")
    log = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(80):
            log.append(1.0)
            assert torch.equal(fast(ones(2), log), total(ones(2), log)), i
    assert magpy.stats(fast)["recordings"] < 60
