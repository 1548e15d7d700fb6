"""Runs that are tried again, told that a compiler is at work: no trace, or whole graphs."""

import functools
import gc
import os
import warnings

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import Case, cases, reasons, whole_hits

# What happens when it is told that a compiler is at work: nobody may notice.  `log` is state.
ACTS = {
    "appends": "log.append(1)",
    "sets": "o.seen = x",
    "sets_what_is_there": "o.old = x",
    "deletes": "del o.old",
    "sets_global": "globals().__setitem__('n', 2)",
    "inplace": "x.add_(1)",
    "inplace_through_a_view": "x.view(-1)[:1].add_(1)",
    "inplace_item": "x[0] = 5.0",
    "inplace_out": "torch.add(x, 1, out=x)",
    "inplace_argument": "F.relu(x, inplace=True)",
    "requires_grad": "x.requires_grad_()",
    "draws": "torch.rand(3); torch.ones(1).item()",
    "draws_and_differs": "return torch.rand(3)",
    "differs": "return x * 2 + 1",
    "other_type": "return [x * 2]",
    "sets_a_context_variable": "var.set(var.get() + 1); raise KeyError",
    "prints": "print('no'); sys.stderr.flush()",
    "leaves": "import os; os._exit(3)",
    "exits": "sys.exit(3)",
    "opaque": "time.sleep(0)",
    "raises": "raise KeyError('only here')",
    "loops": "while True: pass",
    "nested": "deep(5)",
    "handlers": """
        try:
            log.extend([1])
        except BaseException:
            log.append('handler')
        finally:
            log.append('finally')""",
    "with": """
        with guarded():
            log.append(1)""",
    "suspended": """
        g = guarded_generator()
        next(g)
        log.append(1)""",
    "suspended_inside": """
        g = outer_generator()
        next(g)
        log.append(1)""",
    "suspended_at_the_end": "return x * 2, guarded_generator().__iter__()",
    "ends_suspended": """
        o.old = guarded_generator()
        next(o.old)""",
    "in_a_mode": """
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
            log.append(1)""",
    "in_inference_mode": """
        with torch.inference_mode():
            log.append(1)""",
    "in_c_code": "sorted([3, 1, 2], key=write)",
    "in_an_operator": "torch.ones(1) + Writes()",
    "in_map": "list(map(write, [1]))",
    "in_getattr": "hasattr(Getter(), 'name')",
    "in_truth": "bool(Writes())",
    "in_init": "Writes(1)",
    "in_a_generator": "sum(write(v) for v in [1, 2])",
    "in_hash": "{Writes(): 1}",
    "context_variable": "var.set(3)",
    "iterator": "next(it)",
    "locked": "lock.acquire(); log.append(1)",
    "warns": "warnings.warn('no')",
    "recurses": "return g(x, m)",
}  # fmt: skip

PROGRAM = """
import contextlib, contextvars, sys, threading, time, warnings
log, n, it = [], 1, iter([1, 2, 3, 4, 5, 6, 7, 8, 9])
var, lock = contextvars.ContextVar("var", default=0), threading.RLock()
class O:
    pass
o = O()
o.old = None
def write(v):
    try:
        log.append(v)
    except BaseException:
        log.append("handler")
    finally:
        log.append("finally")
    return v
def deep(k):
    try:
        return deep(k - 1) if k else write(1)
    finally:
        log.append(k)
class Writes:
    def __init__(self, v=None):
        if v is not None:
            write(v)
    def __bool__(self):
        return bool(write(1))
    def __hash__(self):
        return write(1)
    def __radd__(self, other):
        return write(1)
class Getter:
    def __getattr__(self, name):
        write(1)
        raise AttributeError(name)
@contextlib.contextmanager
def guarded():
    try:
        yield 1
    finally:
        log.append("closed")
def guarded_generator():
    try:
        yield 1
    finally:
        log.append("closed")
def outer_generator():
    try:
        yield from guarded_generator()
    finally:
        log.append("closed outside")
def g(x, m):
    if torch.compiler.is_compiling():
        ACT
    elif bool(m.all()):
        return x * 2
    return x * 2
def f(x, m):
    return g(x, m), len(log), n, torch.is_grad_enabled(), var.get()
"""


@pytest.mark.parametrize("act", ACTS)
def test_no_trace(act):
    program = PROGRAM.replace("ACT", ACTS[act].strip())
    calls = ("t(3), fixed(3) < 9", "t(3), fixed(3) > 9")
    assert gc.isenabled()
    check_torch(Case(act, program, calls, (("n = 3", False),), hit=False))
    assert gc.isenabled()


def test_a_warning_that_is_ignored_leaves_no_trace():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test_no_trace("warns")


CASES = cases(r"""
=== mask
def f(x, m):
    if not torch.compiler.is_compiling() and m.all():
        return x * 2
    return torch.where(m, x, 0) * 2
>>> t(3), torch.ones(3, dtype=torch.bool)
!!! n = 2

=== mask_in_a_library | of m
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.l, self.n, self.drop = nn.Linear(3, 3), 2, nn.Dropout(0.5)
    def forward(self, x, m=None):
        y = self.drop(self.l(x))
        if m is not None and not compiling() and m.all():
            m = None
        return {"y": y * self.n, "z": y if m is None else y.masked_fill(~m, 0)}
def compiling():
    return torch.compiler.is_compiling()
m = M()
>>> t(3), torch.ones(3, dtype=torch.bool)
>>> t(3)
!!! m.n = 3
!!! m.eval()
!!! m.l.weight.data.mul_(2)
!!! m.double().float()

=== set_for_the_time_of_the_call
class Var:
    value = None
    def __init__(self):
        self.value, self.on = None, False
    def set(self, value):
        if torch.compiler.is_compiling():
            self.value = value
            self.on = True
    def reset(self):
        self.value = None
        self.on = False
var = Var()
def f(x, m):
    var.set({"x": x})
    try:
        if not torch.compiler.is_compiling() and m.all():
            return x * 2
        return x * 2 if var.value is None else var.value["x"] * 2
    finally:
        var.reset()
>>> t(3), torch.ones(3, dtype=torch.bool)

=== writes
class Cache:
    def __init__(self):
        self.keys, self.seen, self.rows = torch.zeros(1, 3), 0, {0: None}
cache = Cache()
def f(x, m):
    if not torch.compiler.is_compiling() and m.all():
        pass
    cache.keys = torch.cat([cache.keys, x[None]])
    cache.seen += 1
    cache.rows[0] = cache.rows[1] = x * 2
    cache.last = {"x": [x, cache.keys]}
    return cache.keys.sum(0), cache
>>> t(3), torch.ones(3, dtype=torch.bool)
!!! cache.seen = 7
!!! del cache.last
!!! cache.rows.clear(); cache.rows[0] = 1
!!! cache.keys = torch.ones(2, 3)

=== changes_the_dict_of_its_keywords
def f(x, **kw):
    flag = kw.pop("flag", 3)
    kw["more"] = flag
    if not torch.compiler.is_compiling() and kw["m"].all():
        return x * 2 + flag + len(kw)
    return torch.where(kw["m"], x, 0) * 2 + flag + len(kw)
>>> t(3), m=torch.ones(3, dtype=torch.bool), flag=2
>>> t(3), m=torch.ones(3, dtype=torch.bool)

=== generators
def pairs(x):
    for i in range(3):
        try:
            yield x * i
        finally:
            pass
def f(x, m):
    if not torch.compiler.is_compiling() and m.all():
        return x * 1
    for y in pairs(x):
        if y.dim() == 1 and len(y) == 3:
            z = y
    return z * 0.5
>>> t(3), torch.ones(3, dtype=torch.bool)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_whole(case):
    check_torch(case)


def masked(x, m):
    if not torch.compiler.is_compiling() and m.all():
        return x * 2
    return torch.where(m, x, 0) * 2


ALL = torch.ones(3, dtype=torch.bool)


def test_a_trial_that_writes_leaves_no_trace_and_is_judged_by_what_it_writes():
    class State:
        pass

    def f(x, m):
        told = torch.compiler.is_compiling()
        if not told and m.all():
            pass
        state.same = x.sum()
        state.other = 1.0 if told and state.differs else 2.0
        return x * 2

    state, x = State(), torch.randn(3)
    state.differs = True
    fast = magpy.compile(f, backend="eager")
    for _ in range(6):
        fast(x, ALL)
        assert list(vars(state)) == ["differs", "same", "other"]
        assert state.other == 2.0
    assert magpy.stats(fast)["reasons"] == {"host-read": 1, "is_compiling-differs": 2}
    assert not any(entry["is_compiling"] for entry in fast.entries())
    state.differs = False
    magpy.reset()
    for _ in range(4):
        fast(x, ALL)
    assert fast.entries()[0]["is_compiling"]
    assert state.other == 2.0
    assert torch.equal(state.same, x.sum())


@pytest.mark.parametrize("hidden", [False, True], ids=["itself", "in_a_list"])
def test_a_trial_lets_go_of_nothing_that_runs_code_as_it_dies(hidden):
    class Loud:
        def __del__(self):
            died.append(1)

    class State:
        pass

    def f(x, m):
        if not torch.compiler.is_compiling() and m.all():
            pass
        state.loud = None
        return x * 2 + len(died)

    for compiled in (False, True):
        died, state = [], State()
        run = magpy.compile(f, backend="eager") if compiled else f
        found = []
        for _ in range(4):
            state.loud = [Loud()] if hidden else Loud()
            found.append(run(torch.zeros(1), ALL).item())
        assert found == [1.0, 2.0, 3.0, 4.0]


def test_generators_of_a_trial_are_closed_without_a_word(capfd):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    x = torch.ones(2, 2)
    log: list[int] = []

    def f(x):
        for _name, layer in model.named_children():
            x = layer(x)
            if x.sum() > 1000 or torch.compiler.is_compiling():
                log.append(1)
                open(os.devnull).close()
        return x

    fast = magpy.compile(f, backend="eager")
    for _ in range(6):
        assert torch.equal(fast(x), f(x))
    assert magpy.stats(fast)["hits"] >= 3
    assert log == []
    assert "Exception ignored" not in capfd.readouterr().err


def test_recordings_that_broke_go_when_a_trial_is_whole():
    state = {"differs": True}

    def f(x, m):
        y = masked(x, m)
        return y + 1 if torch.compiler.is_compiling() and state["differs"] else y

    fast = magpy.compile(f, backend="eager")
    fast(torch.randn(3), ALL)
    fast(torch.randn(3), ALL)
    assert magpy.stats(fast)["graphs"] == 2
    state["differs"] = False
    fast(torch.randn(2, 3), ALL)
    assert magpy.stats(fast)["graphs"] == 1
    assert [entry["is_compiling"] for entry in fast.entries()] == [True]


def test_trials_are_whole_and_told():
    fast = magpy.compile(masked, backend="eager")
    x = torch.randn(3)
    for _ in range(4):
        assert torch.equal(fast(x, ALL), masked(x, ALL))
    assert whole_hits(fast) == 3
    assert magpy.stats(fast)["graph_breaks"] == magpy.stats(fast)["fallbacks"] == 0
    assert fast.entries()[0]["is_compiling"]
    # Another shape: one recording, and the entry answers.
    x, m = torch.randn(2, 3), torch.ones(2, 3, dtype=torch.bool)
    for _ in range(2):
        assert torch.equal(fast(x, m), masked(x, m))
    assert whole_hits(fast) == 4
    assert sum(magpy.stats(fast)["reasons"].values()) == 0


def test_fullgraph():
    whole = magpy.compile(masked, backend="eager", fullgraph=True)
    for _ in range(3):
        torch.manual_seed(0)
        x = torch.randn(3)
        state = torch.get_rng_state()
        assert torch.equal(whole(x, ALL), x * 2)
        assert torch.equal(state, torch.get_rng_state())
    assert whole_hits(whole) == 2

    def other(x, m):
        return x if torch.compiler.is_compiling() or m.all() else x + 1

    def wrong(x, m):
        return x + 1 if torch.compiler.is_compiling() else x * 2 if m.all() else x

    assert torch.equal(magpy.compile(other, fullgraph=True, backend="eager")(x, ALL), x)
    with pytest.raises(magpy.Unsupported) as caught:
        magpy.compile(wrong, fullgraph=True, backend="eager")(x, ALL)
    assert caught.value.reason == "host-read"


def test_differs_is_counted():
    def f(x, m):
        return x + 1 if torch.compiler.is_compiling() else x * 2 if m.all() else x

    fast = magpy.compile(f, backend="eager")
    x = torch.randn(3)
    for _ in range(6):
        assert torch.equal(fast(x, ALL), x * 2)
    assert magpy.stats(fast)["reasons"] == {"host-read": 1, "is_compiling-differs": 1}
    assert "is_compiling-differs" in reasons(fast)
    assert whole_hits(fast) == 0
    for k in range(2, 9):  # every call misses: the trials end
        y = torch.randn(k, 3)
        assert torch.equal(fast(y, ALL), y * 2)
    assert magpy.stats(fast)["reasons"]["is_compiling-differs"] == 3


class Named:
    def __init__(self, value):
        self.value = value


class Odd(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        with torch._C.DisableTorchFunctionSubclass():
            if func is torch.Tensor.untyped_storage:
                raise KeyError("no storage")
            return func(*args, **(kwargs or {}))


def test_a_comparison_that_fails_is_no_failure():
    def f(x, m):
        if torch.compiler.is_compiling():
            return memoryview(b"1"), x * 2
        return (memoryview(b"1"), x * 2) if m.all() else None

    fast = magpy.compile(f, backend="eager")
    for kind in (torch.Tensor, Odd):
        for _ in range(4):
            x = torch.randn(3).as_subclass(kind)
            assert torch.equal(fast(x, ALL)[1], x * 2)


class Numbers(set):
    pass


#: What is answered where a compiler is at work, and what eager answers.
DIFFERENT = {
    "one_object": ("[x * 2] * 2", "[x * 2, x * 2]"),
    "one_memory": ("(y := x * 2, y.detach())", "(x * 2, (x * 2).detach())"),
    "two_objects": ("[x * 2, x * 2]", "[x * 2] * 2"),
    "argument": ("torch.where(m, x, 0)", "x"),
    "memory_of_an_argument": ("x.clone()", "x.view(-1)"),
    "function": ("(lambda: 1)", "(lambda: 2)"),
    "partial": ("functools.partial(int, 1)", "functools.partial(int, 2)"),
    "set": ("Numbers([1])", "Numbers([2])"),
    "attribute": ("Named(1)", "Named(2)"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_results_that_only_look_alike(case):
    told, real = DIFFERENT[case]
    space = {**globals(), "functools": functools}
    program = f"""
def f(x, m):
    if torch.compiler.is_compiling():
        return {told}
    return {real} if m.all() else None
"""
    exec(program, space)
    fast = magpy.compile(space["f"], backend="eager")
    for _ in range(6):
        fast(torch.randn(3), ALL)
    assert "is_compiling-differs" in reasons(fast)
    assert whole_hits(fast) == 0


class Doubles(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        calls.append(1)
        return g * 2


calls = []
WEIGHT = torch.nn.Parameter(torch.randn(3))
OTHER = torch.nn.Parameter(torch.randn(3))

#: (told, real, kept): results with the same numbers.
GRADIENTS = {
    "same": ("torch.where(m, x, 0) * WEIGHT", "x * WEIGHT", True),
    "several": ("x * WEIGHT, (x.exp(), OTHER + x)", "x * WEIGHT, (x.exp(), OTHER + x)", True),
    "argument": ("torch.where(m, y, 0) * 2", "y * 2", True),
    "argument_itself": ("(y, x)", "(y, x)", True),
    "of_an_argument": ("y.detach() * WEIGHT", "y * WEIGHT", False),
    "detached": ("x * WEIGHT + OTHER.detach()", "x * WEIGHT + OTHER", False),
    "of_another": ("x * WEIGHT + OTHER * 0", "x * WEIGHT", False),
    "other_gradient": ("WEIGHT + (WEIGHT - WEIGHT.detach())", "WEIGHT * 1", False),
    "only_one_requires": ("x * WEIGHT.detach()", "x * WEIGHT", False),
    "python": ("WEIGHT * 2", "Doubles.apply(WEIGHT)", False),
    "python_both": ("Doubles.apply(WEIGHT)", "Doubles.apply(WEIGHT)", False),
    "saved": ("WEIGHT.exp()", "saved(WEIGHT)", False),
    "no_leaf": ("x * 2", "x * 2", True),
}  # fmt: skip


def saved(x):
    def unpack(t):
        calls.append(2)
        return t

    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, unpack):
        return x.exp()


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients_are_compared(case):
    """Gradients that differ, or cannot be asked for unseen, are no agreement."""
    told, real, kept = GRADIENTS[case]
    space = dict(globals())
    program = f"""
def f(x, y, m):
    if torch.compiler.is_compiling():
        return {told}
    return {real} if m.all() else None
"""
    exec(program, space)
    f, before = space["f"], torch.nn.Parameter(torch.randn(3))
    fast = magpy.compile(f, backend="eager")
    calls.clear()
    fast(torch.randn(3), before.tanh(), ALL), f(torch.randn(3), before.tanh(), ALL)
    for _ in range(6):
        x, y, grads = torch.randn(3), before.tanh(), []
        for g in (fast, f):
            leaves = [WEIGHT, OTHER, before]
            outs = torch.utils._pytree.tree_leaves(g(x, y, ALL))
            state = torch.get_rng_state()
            assert not calls
            outs = [t for t in outs if t.requires_grad]
            total = sum((t.sin() * t).sum() for t in outs) if outs else before.sum()
            grads.append(
                torch.autograd.grad(total, leaves, retain_graph=True, allow_unused=True)
            )
            assert torch.equal(state, torch.get_rng_state())
            calls.clear()
        for a, b in zip(*grads, strict=True):
            assert (a is None) == (b is None)
            assert a is None or torch.allclose(a, b)
    assert all(p.grad is None for p in (WEIGHT, OTHER, before))
    assert any(e["is_compiling"] for e in fast.entries()) == kept
    assert ("is_compiling-differs" in reasons(fast)) != kept


def test_a_hook_of_a_parameter_is_not_called():
    def f(x, m):
        return x * WEIGHT if torch.compiler.is_compiling() or m.all() else None

    seen = []
    handle = WEIGHT.register_hook(lambda g: seen.append(1))
    fast = magpy.compile(f, backend="eager")
    for _ in range(5):
        fast(torch.randn(3), ALL)
    handle.remove()
    assert not seen
    assert not any(e["is_compiling"] for e in fast.entries())


def test_no_trials_when_told_what_to_say():
    for answer in (True, False):
        with magpy.config.patch(is_compiling=answer):
            fast = magpy.compile(masked, backend="eager")
            for _ in range(4):
                fast(torch.randn(3), ALL)
        assert not any(e["is_compiling"] for e in fast.entries())
        assert whole_hits(fast) == 3 * answer


def test_torch_itself_is_not_told():
    """A trial answers False to torch's own modules, whose numbers change."""
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = torch.nn.TransformerEncoder(layer, 2).eval().requires_grad_(False)
    full = torch.zeros(2, 5, dtype=torch.bool)

    def f(x, pad):
        return masked(model(x, src_key_padding_mask=pad), ~pad[0, 0])

    fast = magpy.compile(f, backend="eager")
    padded = full.clone()
    padded[1, 3:] = True
    for pad in (full, full, full, padded, padded, full, padded):
        x = torch.randn(2, 5, 8)
        assert torch.equal(fast(x, pad), f(x, pad))


def test_slow_entries_go():
    def f(x, m):
        if torch.compiler.is_compiling():
            for _ in range(500):
                x = x + 0
            return x * 2
        return x * 2 if m.all() else x

    fast = magpy.compile(f, backend="eager")
    for _ in range(12):
        x = torch.randn(3)
        assert torch.equal(fast(x, ALL), x * 2)
    assert not any(e["is_compiling"] for e in fast.entries())


def test_entries_that_are_only_slower_go():
    """Many times as long as eager, which no kept entry may take, on a busy machine either."""

    def f(x, m):
        if torch.compiler.is_compiling():
            for _ in range(8):
                x = x + 0
            return x * 2
        return x * 2 if m.all() else x

    x = torch.randn(1 << 20)
    for _ in range(10):  # (the one call that they are compared with may be slow, too)
        fast = magpy.compile(f, backend="eager")
        for _ in range(10):
            assert torch.equal(fast(x, ALL), x * 2)
        if not any(e["is_compiling"] for e in fast.entries()):
            return
    raise AssertionError("a slower entry is kept")
