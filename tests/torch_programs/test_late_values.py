"""Numbers that are read from tensors and not decided on: they belong to the graph."""

import gc
import math
import sys
import weakref
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

# Each of these is one graph, without a break.
WHOLE = cases(r"""
import math, operator
class Log:
    def __init__(self):
        self.history, self.metrics, self.total = [], {}, 0.0
log = Log()

=== shape_of_a_part
def f(x, n):
    y = x[:n.item()]
    return y.shape, y * 2, len(y)
>>> t(5), torch.tensor(2)
>>> t(5), torch.tensor(3)

=== returned
def f(x):
    y = x * 2
    return y, y.sum().item()
>>> t(3)

=== alone
def f(x):
    return x.item()
>>> t(1)
>>> t(1)[0]

=== every_conversion
def f(x):
    s = x.sum()
    return float(s), int(s), bool(s), complex(s), s.item()
>>> t(3)
>>> torch.zeros(3)

=== every_dtype
def f(*xs):
    return [x.item() for x in xs], [(x + x).item() for x in xs]
>>> *[torch.tensor(1, dtype=d) for d in (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64)],
>>> *[torch.tensor(0, dtype=d) for d in (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64)],

=== small_ints
def f(x):
    return x.item(), x.item() + 1
>>> torch.tensor(5)
>>> torch.tensor(-5)
>>> torch.tensor(2 ** 62)

=== bools_are_the_singletons
def f(x):
    log.last = (x > 0).item()
    return {"any": bool((x > 0).any()), "all": (x > 0).all().item()}, not (x > 0).item()
>>> torch.tensor(1.0)
>>> torch.tensor(-1.0)

=== attributes
def f(x):
    log.last = x.mean().item()
    log.total += x.sum().item()
    return x + 1
>>> t(3)

=== appended
def f(x):
    log.history.append(float(x.sum()))
    return x + 1
>>> t(3)
!!! log.history.clear()

=== metrics
metrics = {"loss": 0.0, "n": 0}
def f(x, name):
    metrics[name] += x.sum().item()
    metrics["n"] += int(x.sum() > 0)
    return x
>>> t(3), "loss"

=== containers
def f(x):
    n = x.sum().item()
    return {"n": n, "t": (n, [n, {"m": n}])}, [n] * 2
>>> t(3)

=== arithmetic
def f(x):
    a, b = x[0].item(), x[1].item()
    return a + b, a - 1, 2 * b, a / 3, -a, abs(b), a ** 2, +a, a // 2, a % 7, a < b, a == a, a != b
>>> t(2)

=== integers
def f(x):
    a, b = x[0].item(), x[1].item()
    return a + b, a // 3, a % 5, a << 2, a >> 1, a & b, a | b, a ^ b, ~a, a ** 3, a / 4, float(a), bool(b), complex(a)
>>> torch.tensor([7, -3])
>>> torch.tensor([2 ** 62, 0])

=== powers
def f(x):
    step, base = x[0].item(), x[1].item()
    bias = 1 - 0.9 ** step
    return bias, (1 - 0.999 ** step) ** 0.5, 2 ** step, pow(0.5, step), operator.pow(base, step), x / bias
>>> torch.tensor([1.0, 2.0])
>>> torch.tensor([2.5, 0.0])
>>> torch.tensor([math.inf, math.nan])

=== functions
def f(x):
    a = x.abs().sum().item()
    return max(a, 1e-8), min(a, 1.0, 2.0), math.sqrt(a), math.log(a + 1), round(a), round(a, 2), int(a), math.floor(a)
>>> t(3)
>>> t(3) * 100

=== functions_in_place
def f(x):
    a, b = x[0].item(), x[1].item()
    c = operator.iadd(a, b), operator.imul(a, 2), operator.isub(3, b), operator.ipow(a, 2), operator.iand(a, b)
    return c, a, b, operator.or_(a, 8), pow(a, 3), operator.xor(a, b)
>>> torch.tensor([7, 3])
>>> torch.tensor([5, -2])

=== read_before_a_write
def f(x):
    y = x * 1
    a = y.sum().item()
    y.add_(1)
    b = y.sum().item()
    y.view(-1)[0] = 7
    return a, b, y[0].item(), y
>>> t(3)

=== read_of_an_argument_before_a_write
def f(x):
    a = x[0].item()
    x.mul_(2)
    return a, x[0].item()
>>> t(3)

=== an_alias_is_written
def f(x):
    y = x.clone()
    v = y[1]
    a = v.item()
    y.zero_()
    return a, v.item()
>>> t(3)

=== gradients
w = torch.ones(3, requires_grad=True)
def f(x):
    loss = (x * w).sum()
    log.history.append(loss.item())
    return loss, loss.detach().item()
>>> t(3)

=== of_a_parameter
w = torch.nn.Parameter(torch.ones(()))
def f(x):
    return x * 2, w.item()
>>> t(3)
!!! w.data.fill_(3.0)

=== under_no_grad
w = torch.ones(3, requires_grad=True)
def f(x):
    with torch.no_grad():
        return (x * w).sum().item()
>>> t(3)

=== inference
def f(x):
    with torch.inference_mode():
        return x.sum().item(), x * 2
>>> t(3)

=== two_frames
def loss_of(x):
    y = x.pow(2).sum()
    return y, y.item()
def f(x):
    y, n = loss_of(x)
    return y + 1, n, loss_of(y)[1]
>>> t(3)

=== a_class
class Meter:
    def __init__(self):
        self.sum, self.count = 0.0, 0
    def update(self, v, n=1):
        self.sum += v * n
        self.count += n
    @property
    def last(self):
        return self.sum
meter = Meter()
def f(x):
    meter.update(x.mean().item(), 2)
    new = Meter()
    new.update(x.sum().item())
    return new.sum, new.count, meter.sum
>>> t(3)

=== defaults_and_keywords
def f(x):
    n = x.sum().item()
    def g(a=n, *, b=n):
        return a, b
    return g(), g(1, b=n)
>>> t(3)

=== type_questions
def f(x):
    n = x.sum().item()
    return n is None, n is not None, isinstance(n, float), n == None, n != "a", [n, 1] if n is not None else 0
>>> t(3)

=== many
def f(x):
    return [v.item() for v in x.unbind()]
>>> t(100)

=== unpacked_and_passed_on
def f(x):
    pair = (x.sum().item(), x.mean().item())
    a, b = pair
    c, *d = [a, b, a]
    return (lambda *args, **kw: (args, kw))(*pair, k=a), c, d
>>> t(3)

=== inside_try
def f(x):
    try:
        n = x.sum().item() * 2
    except ValueError:
        n = None
    finally:
        log.total = 1.0
    return n
>>> t(3)

=== with_a_number_that_varies
def f(x, n):
    return x.sum().item() * n + n, n
>>> t(3), 3
>>> t(3), 4
>>> t(3), 5

=== with_sizes_that_vary
def f(x):
    return x.sum().item() / x.shape[0], x.shape[0], (x * 2).mean().item() * len(x)
>>> t(3)
>>> t(4)
>>> t(5)

=== generator
def f(x):
    def g():
        yield x.sum().item()
        yield x.mean().item()
    return [v for v in g()], [v.item() for v in x]
>>> t(3)
""")

# They go back into the graph.
FED_BACK = cases(r"""
=== scale
def f(x):
    scale = max(x.abs().max().item(), 1e-8)
    return (x / scale * 127).round().clamp(-128, 127) * scale
>>> t(5)
>>> t(5)

=== divided
def f(x):
    n = (x * 2).sum()
    return x / n.item(), x * float(x.min()), torch.add(x, x, alpha=x[0].item())
>>> t(5)

=== full
def f(x):
    return torch.full((3,), x.sum().item()), torch.full_like(x, x.max().item())
>>> t(5)

=== slices
def f(x, n):
    return x[:n.item()], x[n.item():].sum(), x[n.item()]
>>> t(5), torch.tensor(2)
>>> t(5), torch.tensor(3)
>>> t(5), torch.tensor(0)

=== sizes
def f(x):
    return torch.zeros(int((x > 0).sum())) + 1
>>> t(5)
>>> t(5)

=== written
def f(x):
    y = x.clone()
    y[0] = x.sum().item()
    y.add_(x.max().item())
    y.clamp_(max=x[0].item())
    return y, y.sum().item()
>>> t(5)

=== and_returned
def f(x):
    n = x.max().item()
    y = x * n
    return y, n, y.sum().item() + n
>>> t(5)

=== training
w = torch.ones(5, requires_grad=True)
def f(x):
    return (x * w / (x * w).detach().abs().max().item()).sum()
>>> t(5)

=== autograd_function
class Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, low, high):
        ctx.scale = scale = max((high - low) / 255, 1e-8)
        return x.clone().add_(-low).div_(scale).round_().mul_(scale).add_(low)
    @staticmethod
    def backward(ctx, g):
        return g * ctx.scale, None, None
w = torch.ones(5, requires_grad=True)
def f(x):
    y = Quantize.apply(x * w, float(x.min()), float(x.max()))
    return y, y.shape, y.sum().item()
>>> t(5)

=== integer_operands
def f(x):
    n = x.sum().item()
    return x + n, x // 2 * n, x.float() * n
>>> torch.tensor([1, 2, 3])
>>> torch.tensor([-1, -2, 3])
""")

# A value is needed: these break there, and each part is right.
BROKEN = cases(r"""
class Log:
    history = []
log = Log()

=== decided | eager
def f(x):
    n = x.sum().item()
    y = x * 2
    return y + 1 if n > 0 else y - 1, n
>>> torch.ones(3)
>>> -torch.ones(3)

=== decided_later | eager
def f(x):
    n = x.sum().item()
    log.history.append(n)
    flag = n > 0 and n < 2
    y = x * 2
    if flag:
        y = y + n
    return y, flag, n
>>> torch.ones(3)
>>> torch.ones(3) / 3
>>> -torch.ones(3)

=== counted | eager
def f(x, n):
    out = []
    for i in range(n.item()):
        out.append(x * i)
    return out, n.item()
>>> t(3), torch.tensor(2)
>>> t(3), torch.tensor(3)

=== key | eager
def f(x, n):
    k = n.item()
    return {k: x}, {1: "a", 2: "b"}[k], [1, 2, 3][k]
>>> t(3), torch.tensor(2)
>>> t(3), torch.tensor(1)

=== consumed_by_c | eager
def f(x):
    ns = [v.item() for v in x]
    return sorted(ns), sum(ns), max(ns), any(n > 0 for n in ns), ns.index(ns[1])
>>> t(3)
>>> t(3)

=== c_code_that_moves | eager
import collections
def f(x):
    def g():
        yield x.sum().item()
        yield x.mean().item()
    a, b = g()
    d = collections.deque([1.0], maxlen=2)
    d.append(a)
    return d, collections.OrderedDict(a=b)
>>> t(3)

=== identity | eager
def f(x):
    a, b = (x > 0).item(), x.item()
    return a is True, b is b, hash(b), a in (True,), b in [b]
>>> torch.tensor(1.0)
>>> torch.tensor(-1.0)

=== own_bool | eager
class P:
    def __init__(self, t):
        self.t = t
    def __bool__(self):
        return bool(self.t > 0)
    def __index__(self):
        return int(self.t)
def f(x):
    return [1, 2][P(x)], 1 if P(x) else 2, bool(P(x))
>>> torch.tensor(1.0)
>>> torch.tensor(0.0)

=== decided_in_a_forward | eager
class Clip(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, n):
        return x * n if n > 0 else x.clone()
    @staticmethod
    def backward(ctx, g):
        return g, None
class Answers(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, n):
        return x * 2, n * 2
    @staticmethod
    def backward(ctx, g, h):
        return g, None
def f(x):
    n = x.sum().item()
    return Clip.apply(x, n), Answers.apply(x, n)
>>> torch.ones(3)
>>> -torch.ones(3)

=== bool_operand | eager
def f(x):
    return x * (x > 0).any().item(), (x > 0).all().item() & True
>>> t(3)
>>> torch.ones(3)

=== functions_of_bools | eager
import operator
def f(x, y):
    a, b = x.item(), y.item()
    return a, operator.xor(a, b), operator.ior(a, b), operator.and_(True, b)
>>> torch.tensor(True), torch.tensor(False)
>>> torch.tensor(False), torch.tensor(True)
>>> torch.tensor(True), torch.tensor(True)

=== powers_of_another_type | eager
import operator
def f(x):
    n = x.item()
    power = pow(2, n)
    return type(power), isinstance(operator.ipow(2, n), int), power
>>> torch.tensor(2)
>>> torch.tensor(2)
>>> torch.tensor(-2)

=== text_of_bools | eager
def f(x):
    flags = [(x > 0).item(), bool(x < 0)]
    return str(flags), flags, flags == [True, False], tuple(flags)
>>> torch.tensor(1.0)
>>> torch.tensor(-1.0)
""")

# The read, or what is computed, raises; handlers see what they see in eager.
RAISING = cases(r"""
class Log:
    def __init__(self):
        self.history = []
log = Log()

=== complex_root | eager
def f(x):
    root = pow(x.item(), 0.5)
    return type(root), root
>>> torch.tensor(4.0)
>>> torch.tensor(4.0)
>>> torch.tensor(-4.0)

=== division | eager
def f(x):
    log.history.append("begun")
    return 1 / x.sum().item(), x
>>> torch.ones(3)
>>> torch.ones(3)
>>> torch.zeros(3)
>>> torch.ones(3)

=== handled | eager
def f(x):
    x.add_(1)
    try:
        n = 1 / x.sum().item()
    except ZeroDivisionError:
        log.history.append("zero")
        n = 0.0
    return n
>>> torch.ones(3)
>>> torch.ones(3)
>>> -torch.ones(3)
>>> torch.ones(3)

=== of_nan | eager
def f(x):
    return int(x.sum()), x * 2
>>> torch.ones(3)
>>> torch.ones(3)
>>> torch.full((3,), float("nan"))
>>> torch.full((3,), float("inf"))

=== more_than_one | eager
def f(x):
    return x.item()
>>> torch.ones(3)
>>> torch.ones(1)

=== of_a_meta_tensor | eager
def f(x):
    return x.item()
>>> torch.ones(1, device="meta")
>>> torch.ones(1)

=== unused | eager
def f(x):
    n = 1 / x.sum().item()
    return x * 2
>>> torch.ones(3)
>>> torch.ones(3)
>>> torch.zeros(3)

=== index_out_of_range | eager
def f(x, n):
    return x[n.item()]
>>> t(3), torch.tensor(1)
>>> t(3), torch.tensor(2)
>>> t(3), torch.tensor(3)

=== selection_with_two | eager
def f(x):
    return x[x > 0].item()
>>> torch.tensor([1.0, -1.0])
>>> torch.tensor([-1.0, 2.0])
>>> torch.tensor([1.0, 1.0])
""")


@pytest.mark.parametrize("case", [*WHOLE, *FED_BACK], ids=str)
def test_one_graph(case):
    pair = check_torch(case)
    stats = pair.stats()
    assert stats["graph_breaks"] == 0, stats["places"]
    assert not stats["reasons"]


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_breaks_where_it_is_needed(case):
    pair = check_torch(case)
    assert pair.stats()["graph_breaks"] > 0


@pytest.mark.parametrize("case", RAISING, ids=str)
def test_raises_as_eager_does(case):
    check_torch(case)


def test_a_power_that_is_complex_for_other_values():
    def f(x, n):
        return x + 1, (1 - 0.5 ** n.item()) ** 0.5

    fast = magpy.compile(f, backend="eager")
    for n in (1.0, 2.0, 3.0, -1.0, 2.0):
        if n < 0:
            with pytest.warns(magpy.MagpyWarning, match="graph-raised"):
                got = fast(torch.ones(2), torch.tensor(n))[1]
        else:
            got = fast(torch.ones(2), torch.tensor(n))[1]
        want = f(torch.ones(2), torch.tensor(n))[1]
        assert type(want) is type(got) and want == got
    assert magpy.stats(fast)["hits"] == 3


def test_a_late_value_alone_is_a_hit():
    fast = magpy.compile(lambda x: x.item(), backend="eager", fullgraph=True)
    assert [fast(torch.tensor(float(i))) for i in range(4)] == [0.0, 1.0, 2.0, 3.0]
    assert magpy.stats(fast)["hits"] == 3


def test_results_are_the_singletons_and_cached_ints():
    def f(x):
        return x.item(), (x > 0).item()

    fast = magpy.compile(f, backend="eager", fullgraph=True)
    for _ in range(3):
        n, flag = fast(torch.tensor(5))
        assert n is 5 and flag is True  # noqa: F632
    assert fast(torch.tensor(-1))[1] is False


def test_a_recording_hands_out_what_eager_does():
    kept = []

    def f(x):
        flag = bool(x > 0)
        kept.append(flag)
        return {"flag": flag, "n": (x > 0).item()}

    fast = magpy.compile(f, backend="eager")
    first = fast(torch.tensor(1.0))
    assert first["flag"] is True and first["n"] is True and kept == [True]
    assert kept[0] is True


def test_boxes_leave_the_program_at_an_abort():
    seen = []

    def f(x):
        flags = [(x > 0).item()] * 5000
        many = [[flag] for flag in flags]
        seen.append(many)
        return eval("many")  # nothing is recorded of a call that ends here

    fast = magpy.compile(f, backend="eager")
    for value in (1.0, -1.0, 1.0):
        many = fast(torch.tensor(value))
        assert all(one[0] is (value > 0) for one in many)


def test_nothing_stays_alive():
    class Box:
        pass

    def f(x, box):
        box.n = x.sum().item()
        return x * 2, box.n + 1

    fast = magpy.compile(f, backend="eager")
    box = Box()
    alive = weakref.ref(box)
    for _ in range(4):
        x = torch.ones(3)
        weak = weakref.ref(x)
        assert fast(x, box)[1] == 4.0
        del x
        assert weak() is None
    del box
    gc.collect()
    assert alive() is None


def test_text_of_the_effects():
    def f(x):
        return math.sqrt(x.sum().item())

    fast = magpy.compile(f, backend="eager")
    for _ in range(2):
        assert fast(torch.ones(4)) == 2.0
    assert fast.entries()[0]["effects"] == ["return graph[0]"]


def test_what_compilers_get(monkeypatch):
    """Tensor operations, and the reads that tensors depend on; copies of what is read."""
    given = []

    def backend(module, inputs):
        given.append([str(node.target) for node in module.graph.nodes])
        return module.forward

    def f(x):
        y = x * 2
        loss = y.sum()
        history.append(loss.item() + 1)
        y.add_(1)
        return y / max(float(y.max()), 1e-8), y.sum().item(), loss

    history = []
    fast = magpy.compile(f, backend=backend)
    for i in range(3):
        x = torch.full((3,), float(i + 1))
        y, n, loss = fast(x)
        assert torch.equal(y, torch.ones(3))
        assert n == 3 * (2 * i + 3) and loss.item() == 6 * (i + 1)
    assert history == [7.0, 13.0, 19.0]
    (targets,) = given
    assert targets.count("item") == 1 and targets.count("clone") == 2
    assert magpy.stats(fast)["hits"] == 2


def test_a_tensor_is_read_before_and_after_a_write():
    def f(x):
        y = x * 2
        a = y[0].item(), y[0]
        v = y[1]
        b = v.item()
        y.zero_()
        return a[0], b, v.item(), v.item() + 1

    fast = magpy.compile(f, backend=lambda module, inputs: module.forward)
    for i in range(3):
        n = 2.0 * i
        assert fast(torch.full((2,), float(i))) == (n, n, 0.0, 1.0)


def test_nothing_is_compiled_for_reads_alone():
    def backend(module, inputs):
        raise AssertionError("there is no graph")

    fast = magpy.compile(lambda x: (x.item(), float(x) + 1), backend=backend)
    for i in range(3):
        assert fast(torch.tensor(float(i))) == (float(i), i + 1.0)
    assert magpy.stats(fast)["hits"] == 2


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


def lists(tensors):
    return list(map(torch.Tensor.tolist, tensors))


def lists_or_not(tensors):
    try:
        return lists([*tensors, 3])
    except TypeError:
        return None


# The recording ends below the frame: C code reads a value, reads one and raises; too many frames.
@pytest.mark.parametrize(
    "below",
    [lambda x: lists([x]), lambda x: lists_or_not([x]), lambda x: deep(3000)],
    ids=["read", "raised", "deep"],
)
def test_a_recording_that_ends_below_leaves_bools_behind(below):
    def f(flag, x):
        read = flag.item()
        kept = [x.item()]
        below(x)
        return read is True, not read, kept

    fast = magpy.compile(f, backend="eager")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        for _ in range(4):
            answer = fast(torch.tensor(True), torch.tensor(1.5))
            assert answer == (True, False, [1.5])
    finally:
        sys.setrecursionlimit(limit)


def test_a_callback_that_ends_the_recording_leaves_bools_to_c_code() -> None:
    def f(x: torch.Tensor) -> Any:
        b = (x.sum() > 0).item()

        def ends(n: Any) -> Any:
            exec("pass")
            return n

        xs = [0, 0, 0]
        xs[:] = (ends(n) for n in (b, b, b))
        return list(map(ends, [b, b])), xs

    fast = magpy.compile(f, backend="eager")
    for sign in (1.0, 1.0, -1.0, 1.0):
        for values in fast(torch.full((2,), sign)):
            assert all(value is (sign > 0) for value in values)
