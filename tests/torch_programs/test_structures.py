"""Tensors in containers and objects."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== nested_containers
def f(d):
    a, (b, c) = d["x"], d["y"]
    return {"sum": a + b, "parts": [a, (b, {"c": c * 2})], "same": d["y"]}
>>> {"x": t(3), "y": [t(3), t(3)]}
>>> {"x": t(3), "y": (t(3), t(3))}

=== getters_of_operator
import operator
class A:
    def __init__(self, x):
        self.x = x
        self.n = 1
first, x_of = operator.itemgetter(0), operator.attrgetter("x")
relu, shape = operator.methodcaller("relu"), operator.attrgetter("shape")
key = operator.itemgetter("k")
def f(x):
    a = A(x * 2)
    return (
        first(x), first([x, 1]), key({"k": x}), x_of(a), relu(x), shape(x),
        operator.itemgetter(0, 1)([x, x + 1]), operator.attrgetter("x.shape")(a),
        sorted([a, A(x)], key=operator.attrgetter("n"))[0] is a,
    )
>>> t(3)
>>> t(2, 3)
!!! first = operator.itemgetter(1)

=== same_tensor_in_containers
def f(xs):
    return [x * 2 for x in xs], xs[0] is xs[1], list(xs)
>>> [t(3), t(3)]
>>> [t(3)] * 2

=== dataclass
from dataclasses import dataclass, field
@dataclass
class Batch:
    x: torch.Tensor
    mask: torch.Tensor = None
    extra: list = field(default_factory=list)
def f(b):
    y = b.x * 2 if b.mask is None else b.x * b.mask
    b.extra.append(y)
    return Batch(y, b.mask, [b.x])
>>> Batch(t(3))
>>> Batch(t(3), t(3))

=== frozen_dataclass
from dataclasses import dataclass, replace
@dataclass(frozen=True)
class P:
    x: torch.Tensor
    n: int = 1
def f(p):
    return replace(p, x=p.x * p.n), P(p.x, n=p.n + 1)
>>> P(t(3))
>>> P(t(3), 3)

=== namedtuple
from typing import NamedTuple
import collections
class R(NamedTuple):
    x: torch.Tensor
    n: int = 2
Q = collections.namedtuple("Q", "a b")
def f(r):
    return R(r.x * r.n), Q(r.x, r.n)._replace(b=r.x + 1), r._asdict()
>>> R(t(3))
>>> R(t(3), 5)

=== struct_sequences
def f(x):
    m = x.max(0)
    s = torch.sort(x, 1)
    v, i = torch.topk(x, 2)
    return m, s, s.values, m.indices, v, i, torch.linalg.qr(x), torch.std_mean(x)
>>> t(4, 3)

=== tuple_of_views
def f(x):
    a, b = x.chunk(2)
    return x.split(1), torch.unbind(x, 1), (a, b), torch.meshgrid(a[0], b[0], indexing="ij")
>>> t(4, 3)

=== sum_of_list
def f(xs):
    return sum(xs), sum([x * 2 for x in xs]), sum(xs[1:], xs[0])
>>> [t(3), t(3), t(3)]
>>> [t(3)] * 3

=== sum_of_generator
def f(xs):
    return sum(x * 2 for x in xs), sum((x.mean() for x in xs), torch.tensor(1.0))
>>> [t(3), t(3), t(3)]
>>> [t(3)] * 2

=== sum_of_generator_of_inputs
w = [fixed(3), fixed(3)]
def f(x):
    return x + sum(p for p in w)
>>> t(3)
!!! w.append(fixed(3))
!!! w[0] = w[1]

=== sum_of_writing_generator | eager
def g(xs):
    for x in xs:
        x.add_(1)
        yield x
def f(xs):
    return sum(g(xs))
>>> [t(3), t(3)]
>>> [t(3)] * 2

=== sum_of_writing_generator_later | eager
def g(x):
    for _ in range(3):
        yield x
        x.add_(1)
def f(x):
    return sum(g(x))
>>> t(3)

=== sum_of_numbers_in_generator
def f(xs):
    return sum(x.numel() for x in xs) * xs[0], sum(len(x) for x in xs)
>>> [t(3), t(2)]

=== sum_of_values
def f(x):
    d = {"a": x, "b": x * 2}
    return sum(d.values())
>>> t(3)

=== nested_sums
def f(xss):
    return sum(sum(x for x in xs) for xs in xss)
>>> [[t(3), t(3)], [t(3)]]

=== sum_of_objects | eager
class V:
    def __init__(self, t):
        self.t = t
    def __add__(self, other):
        return V(self.t + other.t)
    def __radd__(self, other):
        return V(self.t + other)
def f(xs):
    return sum(V(x) for x in xs).t
>>> [t(3), t(3)]

=== reduce_lambda
import functools
def f(xs):
    return functools.reduce(lambda a, b: a * b, xs), functools.reduce(torch.Tensor.add, xs) if 0 else 0
>>> [t(3), t(3), t(3)]

=== reduce_operator | eager
import functools, operator
def f(xs):
    return functools.reduce(operator.add, xs)
>>> [t(3), t(3), t(3)]

=== zip_enumerate_map
def f(xs, ys):
    out = []
    for i, (x, y) in enumerate(zip(xs, ys)):
        out.append(x * y + i)
    for x in map(lambda v: v * 2, xs):
        out.append(x)
    for x in reversed(xs):
        out.append(x)
    return out, list(zip(xs, ys)), dict(zip("ab", xs)), list(map(lambda a, b: a - b, xs, ys))
>>> [t(3), t(3)], [t(3), t(3)]
>>> [t(3), t(3)], [t(3)]

=== zip_tensors
def f(x, y):
    return [a * b for a, b in zip(x, y)], list(enumerate(x)), [*x]
>>> t(2, 3), t(2, 3)

=== chunks_by_comprehension
def f(x):
    q, k, v = (p.view(2, -1) for p in x.chunk(3))
    return q @ k.t() @ v
>>> t(6, 2)

=== star_of_generator
def g(a, b, c=0):
    return a * b + c
def f(xs):
    return g(*(x * 2 for x in xs)), g(*map(lambda x: x + 1, xs)), g(*[x for x in xs])
>>> [t(3), t(3)]

=== star_of_generator_operation | eager
def f(xs):
    return torch.add(*(x * 2 for x in xs))
>>> [t(3), t(3)]

=== cat_of_attribute
class C: pass
c = C()
c.xs = [fixed(2), fixed(3)]
def f(x):
    return torch.cat([x, *c.xs]), torch.cat(c.xs)
>>> t(3)
!!! c.xs.append(fixed(1))
!!! c.xs = (fixed(1), fixed(2))
!!! c.xs = [fixed(1)] * 3

=== size_arithmetic
def f(x):
    s = x.size()
    b, *rest = s
    return x.view(s[0] * s[1], -1), s[1:] + (2,), torch.Size([b]) + s, x.new_zeros(s[::-1]), s.numel(), rest, x.shape == (2, 3, 4)
>>> t(2, 3, 4)
>>> t(3, 3, 4)

=== shape_in_strings
def f(x):
    return {f"s{x.shape[0]}_{x.dtype}": x}, "%s" % (tuple(x.shape),), str(x.shape), repr(x.dtype)
>>> t(2, 3)
>>> t(3, 3)

=== tensors_as_keys | eager
def f(x, y):
    d = {x: 1}
    d[y] = 2
    return d[x] + d[y] * x, x in d
>>> t(3), t(3)

=== identity_of_tensors
def f(a, b, c):
    return a is b, a is not c, [a, b].index if 0 else 1, a is a.contiguous(), (a * 2) is a
>>> *[t(3)] * 2, t(3)
>>> t(3), *[t(3)] * 2

=== dict_of_tensors_changes
state = {"a": fixed(3)}
def f(x):
    state["b"] = x
    state["a"] = state["a"] + x
    state.setdefault("c", x * 2)
    old = state.pop("d", None)
    return {k: v * 2 for k, v in state.items()}, old
>>> t(3)
!!! state["d"] = fixed(3)
!!! state.clear(); state["a"] = fixed(3)

=== ordered_default_dicts
import collections
def f(xs):
    d = collections.defaultdict(list)
    for i, x in enumerate(xs):
        d[i % 2].append(x * i)
    o = collections.OrderedDict((str(i), x) for i, x in enumerate(xs))
    o.move_to_end("0")
    q = collections.deque(xs, maxlen=2)
    q.append(xs[0] + 1)
    return d, o, q
>>> [t(3), t(3), t(3)]

=== object_with_tensors
class Stack:
    def __init__(self):
        self.items = []
        self.top = None
    def push(self, x):
        self.items.append(x)
        self.top = x
        return self
    def __len__(self):
        return len(self.items)
    def __getitem__(self, i):
        return self.items[i]
    def __iter__(self):
        return iter(self.items)
def f(x):
    s = Stack().push(x).push(x * 2)
    return s, s[0] + s[-1], [i + 1 for i in s], len(s)
>>> t(3)

=== slots_and_properties
class P:
    __slots__ = ("x", "_y")
    def __init__(self, x):
        self.x = x
        self._y = None
    @property
    def y(self):
        if self._y is None:
            self._y = self.x * 2
        return self._y
p = P(fixed(3))
def f(x):
    q = P(x)
    return q.y + q.y, p.y + x, q, p.y is p.y
>>> t(3)
!!! p.x = fixed(3) * 3
!!! p._y = None

=== cyclic_result
class N: pass
def f(x):
    a, b = N(), N()
    a.x, a.next = x * 2, b
    b.x, b.next = x, a
    l = [a]
    l.append(l)
    return a, l
>>> t(3)

=== deleted_and_rebound
def f(x):
    y = x * 2
    del x
    x = y + 1
    y = None
    return x
>>> t(3)

=== many_activations
def f(x):
    for i in range(300):
        l = [x, i]
        x = l[0] + 1
        d = {"x": x}
        del l
        x = d["x"] * 1
    return x
>>> t(3)

=== address_reuse
class A:
    __slots__ = ("a", "b", "c", "d", "e", "f")
def f(x):
    out = []
    for i in range(100):
        a = A()
        a.a = i
        del a
        y = x + i
        s = (i,) * 6
        del s
        out.append(y * 2)
        f = lambda: y
        del f
        out[-1] = out[-1] + torch.ones(3)
    return out[:5]
>>> t(3)

=== walrus_and_match
def f(x, how):
    match how:
        case {"k": k, **rest}:
            y = x * k
        case [a, b]:
            y = x * a + b
        case "neg":
            y = -x
        case _:
            y = x
    return (z := y + 1), z * 2
>>> t(3), {"k": 2, "z": 1}
>>> t(3), [2, t(3)]
>>> t(3), "neg"
>>> t(3), None

=== sort_of_items
def f(x):
    d = {"b": x, "a": x * 2}
    return [v for k, v in sorted(d.items())], sorted(d), max(d), sorted(d.keys())
>>> t(3)

=== itertools_of_tensors
import itertools
def f(xs, ys):
    return list(itertools.chain(xs, ys)), [a * b for a, b in itertools.product(xs, ys)], list(itertools.islice(xs, 1)), list(itertools.zip_longest(xs, ys)), [a + b for a, b in itertools.pairwise(xs)]
>>> [t(3), t(3)], [t(3)]

=== list_operations
def f(xs):
    ys = xs + [xs[0] * 2]
    ys *= 2
    ys.extend(x + 1 for x in xs)
    ys.insert(0, xs[-1])
    ys[1:2] = []
    ys.reverse()
    return ys, ys[::2], xs.copy(), len(ys)
>>> [t(3), t(3)]

=== list_argument_written
def f(xs):
    xs.append(xs[0] * 2)
    xs[0] = xs[1]
    xs.reverse()
    return xs
>>> [t(3), t(3)]
>>> [t(3)] * 2

=== operator_module_writes
import operator
d = {}
def f(x, l):
    operator.setitem(d, "x", x)
    operator.setitem(l, 0, x)
    l = operator.iadd(l, [x * 2])
    operator.delitem(l, 1)
    operator.iadd(x, 1)
    operator.setitem(x, 0, 5)
    return l
>>> t(3), [1, 2]
!!! d.clear()

=== bound_append_in_map
def f(xs):
    out = []
    for _ in map(out.append, xs):
        pass
    return out
>>> [t(3), t(3)]

=== bound_append_of_input | eager
def f(xs, out):
    for _ in map(out.append, xs):
        pass
    return out
>>> [t(3), t(3)], []

=== type_checks
def f(x):
    return isinstance(x, torch.Tensor), torch.is_tensor(x), type(x) is torch.Tensor, isinstance(x, (list, nn.Parameter)), hasattr(x, "foo"), callable(x), x.__class__
>>> t(3)
>>> nn.Parameter(t(3))

=== tensor_attributes | eager
def f(x):
    x.tag = 1
    return x.tag, x
>>> t(3)

=== tensor_with_attribute
w = fixed(3)
w.tag = 2
def f(x):
    return x * w.tag + getattr(x, "tag", 0)
>>> t(3)
!!! w.tag = 3

=== string_dispatch
table = {"relu": torch.relu, "tanh": torch.tanh, "gelu": F.gelu, "id": lambda x: x}
def f(x, name):
    return table[name](x), getattr(torch, "neg")(x), getattr(x, "add")(1), getattr(F, "silu")(x)
>>> t(3), "relu"
>>> t(3), "gelu"
>>> t(3), "id"
!!! table["relu"] = torch.sigmoid

=== copy_of_structures
import copy
def f(xs):
    ys = copy.copy(xs)
    ys.append(xs[0] * 2)
    return ys, xs
>>> [t(3)]

=== aten_operators
def f(x):
    a = torch.ops.aten.add.Tensor(x, 1)
    b = torch.ops.aten.mul(x, 2)
    torch.ops.aten.add_.Tensor(b, 1)
    return a, b, torch.ops.aten.sum.dim_IntList(x, [0])
>>> t(3)

=== einsum_and_friends
def f(x, y):
    return torch.einsum("ij,jk->ik", x, y), torch.tensordot(x, y, 1), torch.broadcast_tensors(x, y), torch.cartesian_prod(x[0], y[0]), torch.block_diag(x, y), F.pad(x, (1, 1)), torch.stft(x[0].repeat(4), 4, return_complex=True) if 0 else 0
>>> t(3, 3), t(3, 3)

=== tensor_in_new_objects
import functools, types
def f(x):
    y = x * 2
    n = types.SimpleNamespace(a=y, b=x)
    n.c = n.a
    n.me = n
    return n, functools.partial(torch.add, y, x), ValueError("m", y), types.MappingProxyType({"y": y})
>>> t(3)

=== tensor_methods_bound
def f(x):
    y = x * 2
    return y.add, x.add, y.add(1)
>>> t(3)

=== tensors_as_new_keys
def f(x):
    y = x * 2
    return {y: 1, x: [y]}, {x}
>>> t(3)

=== sizes_returned
def f(x):
    y = x * 2
    return y.shape, torch.Size([1, 2]), torch.Size((3,)), y
>>> t(2, 3)

=== numpy_of_sizes
import numpy as np
def f(x):
    n = int(np.prod(x.shape))
    h = np.sqrt(x.shape[0])
    return x.reshape(n) * h, float(np.log2(n)), x * np.float32(0.5), np.arange(3).sum() * x
>>> t(4, 2)

=== list_that_holds_itself | eager
def f(x):
    xs = [x]
    xs.append(xs)
    return torch.stack(xs)
>>> t(3)

=== index_that_holds_itself | eager
def f(x):
    at = [0]
    at.append(at)
    return x[at]
>>> t(3)

=== new_tensor_of_a_list_that_holds_itself | eager
def f(x):
    xs = [1.0]
    xs.append(xs)
    return x.new_tensor(xs)
>>> t(3)

=== list_nested_too_deeply | eager
def f(x):
    xs = [x]
    for _ in range(3000):
        xs = [xs]
    return torch.stack(xs)
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_structures(case):
    check_torch(case)
