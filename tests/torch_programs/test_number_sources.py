"""Each place that a number comes from, each thing that is done with it: one recording more.

A program reads a number `v` from a source and does something with it.  It is called with up to
a hundred values: at most two recordings, no break, no eager call, and everything as in eager
mode.  What pins a number is in `docs/dynamic.md`.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import io
import math
import operator
import sys
import typing
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional

import magpy
from magpy.compare import Comparison

pytestmark = pytest.mark.not_under_verify("counts recordings")

_STATE = """
class Box:
    def __init__(self):
        self.v = 0
    @property
    def prop(self):
        return self.v
    def method(self):
        return self.v
class Slots:
    __slots__ = ("v",)
@dataclasses.dataclass
class Data:
    v: object
Pair = collections.namedtuple("Pair", "v w")
class Typed(typing.NamedTuple):
    v: object
    w: int = 2
def identity(v, w=0):
    return v
class Made:
    def __new__(cls, v):
        self = super().__new__(cls)
        self.v = v
        return self
class Module(nn.Module):
    v = 0
box, slots, module, holder, out = Box(), Slots(), Module(), Box(), Box()
d, xs, deque = {"v": 0, "k": "a"}, [0, 1], collections.deque([0, 1])
V, log = 0, []
fixed = torch.arange(600.0).reshape(300, 2)
def maker():
    v = 0
    def get():
        return v
    def put(x):
        nonlocal v
        v = x
    return get, put
get, put = maker()
"""


class Source(NamedTuple):
    """Parameters of the program, what reads `v`, and what makes the arguments of a call."""

    parameters: str
    body: str
    given: str


SOURCES = {
    "argument": Source("v", "", "(val,)"),
    "star": Source("*a", "v = a[0]", "(val,)"),
    "keywords": Source("**k", "v = k['v']", "{'v': val}"),
    "list_argument": Source("l", "v = l[0]", "([val],)"),
    "tuple_argument": Source("l", "v, w = l", "((val, 1),)"),
    "dict_argument": Source("k", "v = k.get('v')", "({'v': val},)"),
    "popped_key": Source("k", "v = k.pop('v')", "({'v': val},)"),
    "popped_item": Source("l", "v = l.pop()", "([val],)"),
    "data": Source("q", "v = q.v", "(Data(val),)"),
    "pair": Source("q", "v = q.v", "(Pair(val, 0),)"),
    "new_pair": Source("n", "v = Pair(n, 1).v", "(val,)"),
    "new_pair_made": Source("n", "v = Pair._make([n, 1])[0]", "(val,)"),
    "new_pair_replaced": Source("n", "v = Pair(1, n)._replace(v=n)[0]", "(val,)"),
    "new_typed_pair": Source("n", "v, w = Typed(n)", "(val,)"),
    "new_object": Source("n", "v = Made(n).v", "(val,)"),
    "partial": Source("p", "v = p()", "(functools.partial(identity, val),)"),
    "partial_keyword": Source("p", "v = p()", "(functools.partial(identity, v=val),)"),
    "partial_inside": Source(
        "p", "v = p()", "(functools.partial(functools.partial(identity, val), w=1),)"
    ),
    "zip_of_tuples": Source("l", "v = [z for y, z in zip(l, l)][0]", "((val, 1),)"),
    "enumerate_of_a_tuple": Source(
        "l", "v = [z for i, z in enumerate(l)][0]", "((val, 1),)"
    ),
    "part_of_a_tuple": Source("l", "v = l[:1][0]", "((val, 1),)"),
    "attribute": Source("", "v = box.v", "setattr(box, 'v', val) or ()"),
    "property": Source("", "v = box.prop", "setattr(box, 'v', val) or ()"),
    "method": Source("", "v = box.method()", "setattr(box, 'v', val) or ()"),
    "attrgetter": Source(
        "", "v = operator.attrgetter('v')(box)", "setattr(box, 'v', val) or ()"
    ),
    "slot": Source("", "v = slots.v", "setattr(slots, 'v', val) or ()"),
    "module": Source("", "v = module.v", "setattr(module, 'v', val) or ()"),
    "global": Source("", "v = V", "globals().update(V=val) or ()"),
    "cell": Source("", "v = get()", "put(val) or ()"),
    "item": Source("", "v = xs[0]", "xs.__setitem__(0, val) or ()"),
    "last_item": Source("", "v = xs[-1]", "xs.__setitem__(1, val) or ()"),
    "key": Source("", "v = d['v']", "d.update(v=val) or ()"),
    "slice": Source("", "v = xs[:1][0]", "xs.__setitem__(0, val) or ()"),
    "copy": Source("", "v = list(xs)[0]", "xs.__setitem__(0, val) or ()"),
    "tuple": Source("", "v = tuple(xs)[0]", "xs.__setitem__(0, val) or ()"),
    "dict_copy": Source("", "v = dict(d)['v']", "d.update(v=val) or ()"),
    "values": Source("", "v = list(d.values())[0]", "d.update(v=val) or ()"),
    "items": Source("", "v = [b for a, b in d.items()][0]", "d.update(v=val) or ()"),
    "loop": Source("", "for v in xs: break", "xs.__setitem__(0, val) or ()"),
    "comprehension": Source(
        "", "v = [z for z in xs][0]", "xs.__setitem__(0, val) or ()"
    ),
    "loop_of_a_tuple": Source("l", "v = [z for z in l][0]", "((val, 1),)"),
    "enumerate": Source(
        "", "v = [z for i, z in enumerate(xs)][0]", "xs.__setitem__(0, val) or ()"
    ),
    "zip": Source(
        "", "v = [z for y, z in zip(xs, xs)][0]", "xs.__setitem__(0, val) or ()"
    ),
    "reversed": Source("", "v = [*reversed(xs)][1]", "xs.__setitem__(0, val) or ()"),
    "deque": Source("", "v = deque[0]", "deque.__setitem__(0, val) or ()"),
    "deque_popped": Source(
        "",
        "v = deque.popleft(); deque.appendleft(v)",
        "deque.__setitem__(0, val) or ()",
    ),
    "count_of_an_attribute": Source(
        "", "box.v += 1; v = box.v", "setattr(box, 'v', val) or ()"
    ),
    "count_of_an_item": Source(
        "", "xs[0] += 1; v = xs[0]", "xs.__setitem__(0, val) or ()"
    ),
    "count_of_a_key": Source("", "d['v'] += 1; v = d['v']", "d.update(v=val) or ()"),
    "sum_of_a_generator": Source(
        "", "v = sum(n for n in xs)", "xs.__setitem__(0, val) or ()"
    ),
    "largest_of_a_generator": Source(
        "", "v = max(n for n in xs)", "xs.__setitem__(0, val) or ()"
    ),
    "sorted": Source("", "v = sorted(xs)[1]", "xs.__setitem__(0, val) or ()"),
    "sum": Source("", "v = sum(xs)", "xs.__setitem__(0, val) or ()"),
    "largest": Source("", "v = max(xs[0], 1)", "xs.__setitem__(0, val) or ()"),
    "nested": Source(
        "",
        "v = holder.v['a'][0].v",
        "setattr(holder, 'v', {'a': [Data(val)]}) or ()",
    ),
}
SIZES = {
    "size": Source("s", "v = s.shape[0]", "(torch.ones(val, 2),)"),
    "size_method": Source("s", "v = s.size(-1)", "(torch.ones(2, val),)"),
    "size_unpacked": Source("s", "_, v = s.shape", "(torch.ones(2, val),)"),
    "len_of_a_tensor": Source("s", "v = len(s)", "(torch.ones(val, 2),)"),
    "numel": Source("s", "v = s.numel()", "(torch.ones(val),)"),
    "in_a_list": Source("l", "v = l[0].shape[0]", "([torch.ones(val, 2)],)"),
    "in_a_dict": Source("l", "v = l['k'].shape[0]", "({'k': torch.ones(val, 2)},)"),
    "in_an_object": Source(
        "", "v = holder.v.shape[0]", "setattr(holder, 'v', torch.ones(val, 2)) or ()"
    ),
    "result": Source("s", "v = torch.cat([s, s]).shape[0]", "(torch.ones(val, 2),)"),
    "stride": Source("s", "v = s.stride(0)", "(torch.ones(3, val),)"),
    "stride_of_a_result": Source("s", "v = (s * 2).stride(0)", "(torch.ones(3, val),)"),
    "stride_of_a_view": Source("s", "v = s.t().stride()[1]", "(torch.ones(3, val),)"),
    "stride_of_a_copy": Source(
        "s", "v = s.t().contiguous().stride(0)", "(torch.ones(val, 3),)"
    ),
    "dense_result": Source(
        "s",
        "v = s.shape[0] if (s * 2).is_contiguous() else 7",
        "(torch.ones(val, 3),)",
    ),
    "view_that_is_not_dense": Source(
        "s", "v = 7 if s.t().is_contiguous() else s.shape[0]", "(torch.ones(val, 3),)"
    ),
    "len": Source("l", "v = len(l)", "([1] * val,)"),
    "len_of_a_deque": Source("l", "v = len(l)", "(collections.deque([1] * val),)"),
    "numel_of_a_size": Source("s", "v = s.shape.numel()", "(torch.ones(val),)"),
    "numel_of_some_sizes": Source(
        "s", "v = s.shape[1:].numel()", "(torch.ones(2, val),)"
    ),
    "product_of_sizes": Source("s", "v = math.prod(s.shape)", "(torch.ones(val),)"),
    "product_of_some_sizes": Source(
        "s", "v = math.prod(s.shape[1:])", "(torch.ones(2, val),)"
    ),
    "longest": Source(
        "l", "v = max(x.shape[0] for x in l)", "([torch.ones(val), torch.ones(3)],)"
    ),
    "sum_of_lengths": Source(
        "l", "v = sum(x.size(0) for x in l)", "([torch.ones(val), torch.ones(3)],)"
    ),
    "len_of_a_dict": Source("l", "v = len(l)", "(dict.fromkeys(range(val)),)"),
}
#: with each source
ANY = ["(v, [v], {'a': v + 1})", "fixed * v", "setattr(out, 'v', v)"]
#: with an argument; `;` is between two
INTS = """
v + 1; 1 - v; v * 2; v // 3; v % 3; v / 3; v ** 2; v ** 0.5; -v; abs(v); ~v; v << 1; v & 3
min(v, 500); max(v, 5); max(v, 2.5); min(900.5, v, 1000); divmod(v, 4); round(v); int(v / 2); float(v)
sum([v, 1]); sum((v, 1)); sum([v, 1], 3); sum([1, 2], v); sum([v, 0.5]); sum([v, 1], start=0.5); sum(n for n in (v, 2))
max(n for n in [v, 9]); min((n for n in [v, 900.5]), default=1); max([v], default=3)
min([v]); math.prod([v, 2], start=3); math.prod(n for n in (v, 2)); math.prod([v, 0.5]); sorted([900, v, 1])[0]
sorted([900, 1, v]); v.bit_length(); 1 << (v - 1).bit_length(); math.isnan(v); math.isfinite(v) and not math.isinf(v)
Pair(v, 1); Typed(v, w=v + 1); Pair(v, 1)._replace(w=2)._asdict(); Pair(1, v)[::-1]; functools.partial(pow, v)
 math.prod([v, 2]); max([v, 5]); math.sqrt(v); math.gcd(v, 6); math.log(v, 2)
v > 1000; 0 < v < 1000; v in (1000, 2000); not v; v is None; isinstance(v, int); operator.add(v, 1)
operator.index(v) + 1; Data(v); slice(0, v); log.append(v); xs.append(v) or xs.pop(); d.update(o=v)
f"{v}"; str(v); "%d" % v; "{}".format(v); f"step {v}: {v / 3:.3f}"; print(v); print(f"at {v}", v + 1)
log.append(f"{v:04d}"); setattr(out, "v", str(v)); ", ".join([str(v), "b"]); "a" + str(v); str([v, (v,)])
fixed[:v]; fixed[v:]; fixed[v]; fixed[v, 0]; fixed[-v:]; fixed.narrow(0, 0, v); fixed[:v].view(v, 2)
fixed[0].expand(v, 2); fixed[:v].reshape(2 * v); torch.arange(v); torch.arange(1, v + 1, 2); torch.zeros(v)
torch.ones([v, 2]); torch.full((v,), 1.5); torch.full((2,), v); torch.eye(v); torch.linspace(0, 1, v)
fixed + v; fixed / v; v - fixed; fixed > v; fixed.clamp(max=v); torch.add(fixed, fixed, alpha=v)
torch.tensor(v); torch.tensor([v, 1]); torch.tensor([[v], [2]]); torch.tensor((v, v / 2)); fixed.new_tensor([v])
torch.tensor(v, dtype=torch.float32); torch.as_tensor([v]); torch.scalar_tensor(v); torch.where(fixed > 1, v, 0.0)
fixed.roll(v, 0); fixed[0].repeat(v); F.pad(fixed, (0, v)); torch.ones(2, v) @ torch.ones(v, 3)
torch.tril(torch.ones(v, v)); fixed[torch.arange(v)]; torch.split(fixed, [v, 300 - v]); torch.ones(v).cumsum(0)
"""
FLOATS = """
v + 1; v * 2; v // 3; v % 3; 2 ** v; -v; abs(v); min(v, 50.0); max(0, v); min(v, 99); round(v, 2); int(v)
sum([v, 0.5]); sum([v, 1], 2.5); sum([0.1, v, 0.7]); sum(n for n in (v, 0.1)); math.prod([v, v, 3]); max(n for n in [v, 0.5])
math.isnan(v); math.isfinite(v); math.isinf(v); v.is_integer(); sorted([1000.0, v, -1]); Pair(v, 1)
v > 1000; isinstance(v, float); max([v, 0.25]); math.exp(-v); math.cos(math.pi * v); math.floor(v)
f"{v}"; f"{v:.3f}"; "%.2f" % v; print(f"rate {v:.2e}"); log.append(f"{v:.1%}"); Data(v)
fixed * v; fixed ** v; fixed.add(fixed, alpha=v); torch.lerp(fixed, fixed + 1, v); F.leaky_relu(fixed - 3, v)
torch.tensor(v); torch.tensor([v, 2 * v]); torch.full_like(fixed, v); fixed.masked_fill(fixed > 3, v)
F.dropout(fixed, v / 200, True); F.layer_norm(fixed, (2,), eps=v); F.normalize(fixed, eps=v + 1e-3)
F.batch_norm(fixed, torch.zeros(2), torch.ones(2), eps=v); F.huber_loss(fixed, fixed + 1, delta=v)
F.scaled_dot_product_attention(fixed[None, :9], fixed[None, :9], fixed[None, :9], scale=v)
F.smooth_l1_loss(fixed, fixed + 1, beta=v); torch.nan_to_num(fixed, nan=v); torch.isclose(fixed, fixed, rtol=v)
F.cross_entropy(fixed, torch.zeros(300, dtype=torch.long), label_smoothing=v / 200); fixed.clone().lerp_(fixed, v)
torch.quantile(fixed, v / 200); torch.empty(3).uniform_(0, v); fixed.bernoulli(v / 200); torch.normal(0.0, v, (3,))
"""


def _rows(text: str) -> list[str]:
    return [
        op.strip() for line in text.split("\n") for op in line.split(";") if op.strip()
    ]


def _world(source: Source, op: str) -> dict[str, Any]:
    known = {"math": math, "operator": operator, "torch": torch, "nn": nn}
    space: dict[str, Any] = {**known, "F": functional, "collections": collections}
    space["dataclasses"] = dataclasses
    space["functools"], space["typing"] = functools, typing
    body = source.body or "pass"
    exec(f"{_STATE}\ndef f({source.parameters}):\n    {body}\n    return {op}\n", space)
    return space


def _call(space: dict[str, Any], f: Any, source: Source, value: Any) -> Any:
    given = eval(source.given, space, {"val": value})
    printed = io.StringIO()
    torch.manual_seed(0)
    with contextlib.redirect_stdout(printed):
        result = f(**given) if type(given) is dict else f(*given)
    state = [space[name] for name in ("xs", "d", "deque", "log")]
    return result, printed.getvalue(), state, vars(space["out"]), vars(space["box"])


def _sweep(source: Source, op: str, values: list[Any]) -> None:
    theirs, ours = _world(source, op), _world(source, op)
    fast = magpy.compile(ours["f"], backend="eager")
    for value in values:
        expected = _call(theirs, theirs["f"], source, value)
        got = _call(ours, fast, source, value)
        assert Comparison().difference(expected, got) is None, value
        ours["log"].clear()
        theirs["log"].clear()
    stats = magpy.stats(fast)
    assert stats["recordings"] <= 2, stats
    assert stats["hits"] >= len(values) - 2
    assert not stats["breaks"]


INT_VALUES = [*range(6, 106)]
FLOAT_VALUES = [0.3 + k / 7 for k in range(100)]
#: values of sources that are read in many ways
SOME = 25
#: sources that decide on floats, or add them up
DECIDE = {"sum", "sum_of_a_generator", "largest", "largest_of_a_generator", "sorted"}


@pytest.mark.parametrize("op", ANY)
@pytest.mark.parametrize(
    "source", [*SOURCES.values(), *SIZES.values()], ids=[*SOURCES, *SIZES]
)
def test_ints_from(source: Source, op: str) -> None:
    _sweep(source, op, INT_VALUES)


@pytest.mark.parametrize("op", ANY[:2])
@pytest.mark.parametrize("name", sorted({*SOURCES} - DECIDE))
def test_floats_from(name: str, op: str) -> None:
    _sweep(SOURCES[name], op, FLOAT_VALUES[:SOME])


@pytest.mark.parametrize("op", _rows(INTS))
def test_what_is_done_with_ints(op: str) -> None:
    _sweep(SOURCES["argument"], op, INT_VALUES[:SOME])


@pytest.mark.parametrize("op", _rows(FLOATS))
def test_what_is_done_with_floats(op: str) -> None:
    _sweep(SOURCES["argument"], op, FLOAT_VALUES[:SOME])


LOOKS = ["len(f'{v}')", "f'{v}' == '7'", "{f'{v}': 1}", "getattr(box, f'v{v}', v)"]


@pytest.mark.parametrize("op", LOOKS)
def test_a_text_that_is_looked_at_pins_what_it_shows(op: str) -> None:
    source = SOURCES["argument"]
    theirs, ours = _world(source, op), _world(source, op)
    fast = magpy.compile(ours["f"], backend="eager")
    for value in [7, 8, 9, 8, 9, 7, 8, 9]:
        expected = _call(theirs, theirs["f"], source, value)
        assert (
            Comparison().difference(expected, _call(ours, fast, source, value)) is None
        )
    assert magpy.stats(fast)["hits"] == 5
    assert not magpy.stats(fast)["breaks"]


def test_a_list_holds_the_very_numbers_when_a_call_has_ended() -> None:
    xs = [7, 300, 2.5, 7]
    d = {"a": 5, "b": 1.5}

    def f() -> Any:
        total = sum(xs)
        return total, [n + 1 for n in xs], [*d.values()], xs[1:], d.copy()

    fast = magpy.compile(f, backend="eager")
    for n in range(2, 8):
        held = [n, 300 + n, n / 8, n]
        xs[:], d["a"] = held, n
        assert fast() == f()
        assert all(a is b for a, b in zip(xs, held, strict=True))
        assert d["a"] is n


def test_a_list_that_a_loop_changes() -> None:
    def f(xs: list[Any]) -> Any:
        for i, n in enumerate(xs):
            xs[i] = n * 2
        for n in xs:
            if n > 1000:
                break
            if len(xs) < 5:
                xs.append(n + 1)
        return xs

    fast = magpy.compile(f, backend="eager")
    for n in range(3, 20):
        ours, theirs = [n, n / 2, 3], [n, n / 2, 3]
        assert fast(ours) is ours
        assert f(theirs) == ours
        assert [*map(type, theirs)] == [*map(type, ours)]
    assert magpy.stats(fast)["recordings"] == 2


def test_a_sort_that_is_broken_in_its_key_leaves_the_numbers() -> None:
    broken: list[bool] = []

    def f(x: Any, xs: list[Any]) -> Any:
        def key(n: Any) -> Any:
            if broken and n == broken[1]:
                exec("pass")
            return -n

        total = 0
        for n in xs:
            total += n
        xs.sort(key=key)
        return x * total

    fast = magpy.compile(f, backend="eager")
    for n, breaks in [(3, []), (4, []), (5, [True, 6]), (300, []), (7, [True, 7])]:
        broken[:] = breaks
        held = [n, n + 1, n / 2]
        xs = list(held)
        assert torch.equal(fast(torch.ones(2), xs), f(torch.ones(2), list(held)))
        assert all(a is b for a, b in zip(xs, sorted(held, key=lambda k: -k)))


def test_attributes_of_new_tensors_hold_the_very_numbers() -> None:
    def f(x: Any, v: Any) -> Any:
        y, gone = x * v, x + v
        y.v, gone.v = v, v
        del gone
        return y

    fast = magpy.compile(f, backend="eager")
    for n in [3, 4, 5, 300, 301]:
        assert fast(torch.ones(2), n).v is n


@pytest.mark.parametrize(
    "make", [list, collections.deque, lambda items: dict(enumerate(items))]
)
def test_many_containers_hold_the_very_numbers(make: Any) -> None:
    def f(x: Any, groups: list[Any]) -> Any:
        last = 0
        for group in groups:
            for n in group.values() if type(group) is dict else group:
                last = n
        return x * last

    fast = magpy.compile(f, backend="eager")
    for n in [3, 4]:
        held = [[n + k % 250] for k in range(4200)]
        groups = [make(own) for own in held]
        fast(torch.ones(2), groups)
        assert all(g[0] is own[0] for g, own in zip(groups, held, strict=True))


#: values in an order that takes each decision both ways, and edges of floats
EDGES: list[Any] = [3, 4, -4, 0, 7, 3.5, -0.0, 0.0, 1e300, math.inf, math.nan, -7.25]
FOLDS = """
sum([v, w]); sum([v, 1, w]); sum([v, w], 2); sum([v, w], 0.5); sum(n for n in [v, w]); sum((n for n in [v]), w)
min([v, w]); max([v, w, 2]); max(n for n in [v, w]); min((n for n in [v, w]), default=0); sorted([v, w, 3])
sorted([v, w]); sorted([1, v, 2, w]); math.prod([v, w]); math.prod([v, 2], start=w); math.prod(n for n in [v, w])
math.isnan(v), math.isinf(w); math.isfinite(v + w); max([v]), min(n for n in [w])
"""


@pytest.mark.parametrize("op", _rows(FOLDS))
def test_folds_decide_as_the_functions_do(op: str) -> None:
    source = Source("v, w", "", "val")
    theirs, ours = _world(source, op), _world(source, op)
    fast = magpy.compile(ours["f"], backend="eager")
    for v in EDGES:
        for w in [2, v, -v, 2.5, math.nan]:
            for _ in range(2):
                expected = _call(theirs, theirs["f"], source, (v, w))
                got = _call(ours, fast, source, (v, w))
                assert Comparison().difference(expected, got) is None, (v, w)
    assert magpy.stats(fast)["hits"] > 0


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="sum() compensates there")
def test_a_sum_of_floats_is_one_recording() -> None:
    def f(x: Any, xs: list[float]) -> Any:
        return x + sum(xs), sum(xs) / len(xs), sum(n * n for n in xs)

    fast = magpy.compile(f, backend="eager")
    for k in range(20):
        xs = [k / 7 + n / 3 for n in range(6)]
        assert torch.equal(fast(torch.ones(2), xs)[0], f(torch.ones(2), xs)[0])
        assert fast(torch.ones(2), xs)[1:] == f(torch.ones(2), xs)[1:]
    assert magpy.stats(fast)["recordings"] == 2


def test_what_a_generator_returns_is_no_summand() -> None:
    def numbers(n: int) -> Any:
        yield n
        yield n + 1
        return 1000

    def tensors(x: Any) -> Any:
        yield x
        yield x * 2
        return 1000

    def f(x: Any, n: int) -> Any:
        return sum(tensors(x)) + sum(numbers(n)), max(numbers(n)), min(numbers(n))

    fast = magpy.compile(f, backend="eager")
    for n in range(2, 9):
        ours, theirs = fast(torch.ones(2), n), f(torch.ones(2), n)
        assert torch.equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]
    assert magpy.stats(fast)["recordings"] == 2


def test_a_generator_of_numbers_and_tensors() -> None:
    def f(x: Any, n: int) -> Any:
        return sum(k for k in [n, 1, x, n]), sum((k for k in [x, n]), n)

    fast = magpy.compile(f, backend="eager")
    for n in [2, 3, 4, 3, 4, 2, 2, 3]:
        for ours, theirs in zip(
            fast(torch.ones(2), n), f(torch.ones(2), n), strict=True
        ):
            assert torch.equal(ours, theirs)
    assert magpy.stats(fast)["hits"] >= 4


def test_a_partial_keeps_the_very_numbers() -> None:
    def g(a: Any, x: Any, *, k: Any) -> Any:
        return x * a + k

    def f(x: Any, p: Any) -> Any:
        return p(x), p.args, p.keywords

    fast = magpy.compile(f, backend="eager")
    for n in range(3, 9):
        p = functools.partial(g, n, k=n / 2)
        held = (p.args[0], p.keywords["k"])
        ours, theirs = fast(torch.ones(2), p), f(torch.ones(2), p)
        assert torch.equal(ours[0], theirs[0])
        assert ours[1] is p.args
        assert p.args[0] is held[0]
        assert p.keywords["k"] is held[1]
    assert magpy.stats(fast)["recordings"] == 2


def test_a_break_below_a_tuple_leaves_the_numbers() -> None:
    def f(x: Any, pair: Any) -> Any:
        total = 0
        for _, n in zip("ab", pair):
            total += n
            if n == 6:
                exec("pass")
        return x * total, pair

    fast = magpy.compile(f, backend="eager")
    for n in [3, 4, 5, 6, 300, 6]:
        pair = (n, n / 2)
        held = list(pair)
        ours = fast(torch.ones(2), pair)
        assert torch.equal(ours[0], f(torch.ones(2), pair)[0])
        assert ours[1] is pair
        assert all(a is b for a, b in zip(pair, held, strict=True))
