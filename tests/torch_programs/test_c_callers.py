"""Torch operations that C code calls: map, reduce, accumulate, sum, partial."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== map_relu
def f(xs):
    return list(map(torch.relu, xs))
>>> [t(3), t(3)]
>>> [t(3), t(3), t(2)]

=== map_relu_tuple
def f(xs):
    a = tuple(map(torch.sigmoid, xs)); b, c = map(torch.neg, xs)
    return a, b, c, [*map(torch.exp, xs)], [y + 1 for y in map(torch.relu, xs)]
>>> [t(3), t(3)]

=== map_two
import operator
def f(xs, ys):
    return (
        list(map(torch.add, xs, ys)), list(map(operator.mul, xs, ys)),
        [a for a in map(operator.add, xs, ys)],
    )
>>> [t(3), t(3)], (t(3), t(3))

=== map_method
def f(xs):
    return list(map(torch.Tensor.relu, xs)), list(map(torch.Tensor.sum, xs))
>>> [t(3), t(3)]

=== map_bound
def f(xs, w):
    return list(map(w.add, xs)), list(map(w.__mul__, xs))
>>> [t(3), t(3)], t(3)

=== map_layer
layer = nn.Linear(3, 2)
def f(xs):
    return list(map(layer, xs))
>>> [t(3), t(3)]
!!! layer.bias.data.zero_()

=== map_F_python | eager
def f(xs):
    return list(map(F.relu, xs)), [y for y in map(F.softplus, xs)]
>>> [t(3), t(3)]

=== reduce_add
import functools, operator
def f(xs):
    return functools.reduce(operator.add, xs), functools.reduce(operator.mul, xs)
>>> [t(3), t(3)]

=== reduce_torch
import functools
def f(xs):
    return (
        functools.reduce(torch.add, xs),
        functools.reduce(torch.maximum, xs, torch.zeros(3)),
    )
>>> [t(3), t(3), t(3)]

=== reduce_iter
import functools, operator
def f(xs):
    return (
        functools.reduce(operator.add, iter(xs)),
        functools.reduce(operator.add, (x * 2 for x in xs)),
    )
>>> [t(3), t(3), t(3)]

=== reduce_python
import functools
def f(xs):
    return functools.reduce(lambda a, b: torch.relu(a) + b, xs)
>>> [t(3), t(3), t(3)]

=== accumulate
import itertools, operator
def f(xs):
    return (
        list(itertools.accumulate(xs)), list(itertools.accumulate(xs, operator.mul)),
        list(itertools.accumulate(xs, torch.maximum)),
    )
>>> [t(3), t(3), t(3)]

=== accumulate_gen
import itertools
def f(xs):
    return list(itertools.accumulate(x * 2 for x in xs))
>>> [t(3), t(3), t(3)]

=== sum_iter
def f(xs):
    return sum(iter(xs)), sum(map(torch.relu, xs)), sum(reversed(xs))
>>> [t(3), t(3), t(3)]

=== sum_map_lambda
def f(xs):
    return sum(map(lambda x: x * 2, xs)), sum(x.sum() for x in xs)
>>> [t(3), t(3), t(3)]

=== sum_zip
def f(xs, ys):
    return sum(map(torch.mul, xs, ys)), sum(a * b for a, b in zip(xs, ys))
>>> [t(3), t(3), t(3)], [t(3), t(3), t(3)]

=== partial_linear
import functools
w = t(2, 3)
lin = functools.partial(F.linear, weight=w)
def f(x):
    return lin(x), functools.partial(torch.add, alpha=2)(x, x)
>>> t(3)

=== map_partial
import functools
w = t(2, 3)
def f(xs):
    return (
        list(map(functools.partial(torch.add, alpha=2, other=w), xs)),
        list(map(functools.partial(F.linear, weight=w), [x[0] for x in xs])),
    )
>>> [t(2, 3), t(2, 3)]

=== methodcaller | eager
import operator
def f(x):
    return (
        operator.methodcaller("relu")(x),
        operator.methodcaller("sum", 0, keepdim=True)(x),
    )
>>> t(2, 3)

=== map_methodcaller | eager
import operator
def f(xs):
    return list(map(operator.methodcaller("relu"), xs))
>>> [t(2, 3), t(2, 3)]

=== itemgetter | eager
import operator
def f(x, xs):
    return (
        operator.itemgetter(0)(x), operator.itemgetter(1)(xs),
        operator.itemgetter(0, 1)(x), list(map(operator.itemgetter(0), xs)),
    )
>>> t(2, 3), [t(2, 3), t(2, 3)]

=== attrgetter | eager
import operator
def f(x):
    return operator.attrgetter("T")(x), operator.attrgetter("shape")(x)
>>> t(2, 3)

=== starmap
import itertools
def f(xs):
    return (
        list(itertools.starmap(torch.add, zip(xs, xs))),
        list(itertools.starmap(torch.mul, [(x, 2) for x in xs])),
    )
>>> [t(2, 3), t(2, 3)]

=== sorted_key | eager
def f(xs):
    return (
        sorted(xs, key=len),
        max(xs, key=lambda x: x.shape[0]), sorted(xs, key=torch.numel),
    )
>>> [t(2, 3), t(1, 3)]

=== map_len | eager
def f(xs):
    return (
        list(map(len, xs)), list(map(torch.numel, xs)),
        list(map(torch.is_tensor, xs)),
    )
>>> [t(2, 3), t(1, 3)]

=== max_tensors | eager
def f(xs):
    return max(xs), sorted(xs)[0]
>>> [t(1), t(1)]

=== map_inplace
def f(xs):
    return list(map(torch.Tensor.relu_, xs)), [x + 1 for x in xs]
>>> [t(2, 3), t(1, 3)]

=== map_inplace_external
xs = [t(2, 3), t(1, 3)]
def f():
    for _ in map(torch.Tensor.neg_, xs): pass
    return xs[0] + 1
>>>

=== map_random
def f(xs):
    return (
        list(map(torch.rand_like, xs)),
        list(map(torch.dropout, xs, [0.5, 0.5], [True, True])),
    )
>>> [t(2, 3), t(1, 3)]

=== map_item | eager
def f(xs):
    return list(map(torch.Tensor.item, xs)), list(map(float, xs))
>>> [t(1), t(1)]

=== map_raises | eager
def f(xs):
    try:
        return list(map(torch.add, xs, [t(3), t(4)]))
    except RuntimeError as e:
        return "bad", torch.relu(xs[0])
>>> [t(3), t(3)]

=== map_zeros
def f(n):
    return list(map(torch.zeros, range(n))), list(map(torch.tensor, [1.0, 2.0]))
>>> 3

=== map_grad
w = torch.nn.Parameter(t(3))
def f(xs):
    return sum(map(torch.mul, xs, [w, w])).sum()
>>> [t(3), t(3)]

=== visible
import functools
def g(x):
    return (
        torch.overrides.has_torch_function((x,)),
        torch._C._len_torch_function_stack(),
    )
import torch.overrides
def f(xs):
    ys = []
    for x, y in zip(map(torch.relu, xs), map(g, xs)):
        ys.append((x, y))
    return ys
>>> [t(3), t(3)]

=== visible_c
def f(xs):
    return (
        list(map(torch.overrides.is_tensor_like, xs)),
        [torch._C._len_torch_function_stack() for _ in map(torch.relu, xs)],
    )
import torch.overrides
>>> [t(3), t(3)]

=== map_lazy_mix
def g(xs):
    for x in xs:
        yield torch.relu(x)
def f(xs):
    return list(map(torch.add, g(xs), xs)), list(zip(map(torch.neg, g(xs)), g(xs)))
>>> [t(3), t(3)]

=== map_unfinished
def f(xs):
    it = map(torch.relu, xs)
    a = next(it)
    xs[1].add_(1)
    return a, next(it), next(it, None)
>>> [t(3), t(3)]

=== map_returned | eager
def f(xs):
    return map(torch.relu, xs)
>>> [t(3), t(3)]

=== stack_map
def f(xs):
    return (
        torch.stack(list(map(torch.relu, xs))), torch.cat([*map(torch.relu, xs)]),
        torch.stack(tuple(map(torch.neg, xs))),
    )
>>> [t(3), t(3)]

=== dict_map
def f(d):
    return (
        dict(zip(d, map(torch.relu, d.values()))),
        dict(map(lambda kv: (kv[0], kv[1] * 2), d.items())),
    )
>>> {"a": t(3), "b": t(2)}

=== any_map | eager
def f(xs):
    return (
        any(map(torch.is_floating_point, xs)),
        all(map(torch.Tensor.is_contiguous, xs)),
    )
>>> [t(3), t(3)]

=== filter_torch | eager
def f(xs):
    return list(filter(torch.is_tensor, xs)), list(filter(torch.is_floating_point, xs))
>>> [t(3), t(3)]

=== map_split
def f(xs):
    return (
        [a for p in map(torch.unbind, xs) for a in p],
        [p for p in map(torch.chunk, xs, [2, 2])],
    )
>>> [t(2, 3), t(2, 3)]

=== sum_lists_of_tensors
def f(xs):
    return sum([xs, xs], []), sum(((x, x) for x in xs), ())
>>> [t(2, 3), t(2, 3)]

=== torch_from_map
def f(xs):
    return torch.stack(list(map(lambda x: x.relu(), xs)))
>>> [t(2, 3), t(2, 3)]

=== map_chain
import itertools
def f(xs):
    return (
        list(itertools.chain(map(torch.relu, xs), map(torch.neg, xs))),
        list(itertools.chain.from_iterable([map(torch.relu, xs), xs])),
    )
>>> [t(2, 3), t(2, 3)]

=== len_after
def probe():
    return torch._C._len_torch_function_stack()
def f(xs):
    try:
        list(map(torch.relu, xs + ["a"]))
    except TypeError as e:
        return 1, torch.is_tensor(xs[0])
    return 2
>>> [t(3), t(3)]

=== raises_out | eager
def f(xs):
    return (
        list(map(torch.add, xs, [t_ for t_ in xs[::-1]] + ["a"])),
        list(map(torch.relu, [xs[0], 3])),
    )
>>> [t(3), t(3)]

=== visible_after_abort | eager
seen = []
def g(x):
    seen.append(torch._C._len_torch_function_stack())
    return 1
def f(xs):
    return (
        [a for a in zip(map(torch.Tensor.item, xs), map(g, xs))],
        list(zip(map(torch.relu, xs), map(g, xs))),
    )
>>> [t(1), t(1)]

=== item_iadd | eager
def f(xs):
    a = []
    a += map(torch.Tensor.item, xs)
    return a
>>> [t(1), t(1)]

=== numel_iadd | eager
def f(xs):
    a = []
    a += map(torch.Tensor.numel, xs)
    a[:] = map(torch.Tensor.dim, xs)
    a.extend(map(torch.numel, xs))
    return a
>>> [t(1), t(1)]
>>> [t(2), t(1)]

=== item_slice | eager
def f(xs):
    a = [1]
    a[:] = map(torch.Tensor.item, xs)
    return a
>>> [t(1), t(1)]

=== item_in | eager
def f(xs):
    return 3.0 in map(torch.Tensor.item, xs), 3.0 in map(torch.sum, xs)
>>> [t(1), t(1)]

=== item_np | eager
import numpy as np
def f(xs):
    return np.fromiter(map(torch.Tensor.item, xs), float).sum()
>>> [t(1), t(1)]

=== item_np2 | eager
import numpy as np
def f(xs):
    return np.array(list(map(float, xs))), np.array([*map(torch.Tensor.item, xs)])
>>> [t(1), t(1)]

=== item_update | eager
def f(xs):
    d = {}
    d.update(zip("ab", map(torch.Tensor.item, xs)))
    return d
>>> [t(1), t(1)]

=== item_tuple_new | eager
class T(tuple):
    def __new__(cls, it): return super().__new__(cls, it)
def f(xs):
    return T(map(torch.Tensor.item, xs)), tuple.__new__(T, map(torch.Tensor.item, xs))
>>> [t(1), t(1)]

=== item_star | eager
def g(*a): return a
def f(xs):
    return g(*map(torch.Tensor.item, xs))
>>> [t(1), t(1)]

=== item_join | eager
def f(xs):
    return (
        ",".join(map(str, map(torch.Tensor.item, xs))), bytes(map(int, xs)),
        max(map(torch.Tensor.item, xs)), sorted(map(torch.Tensor.item, xs)),
    )
>>> [torch.ones(1), torch.ones(1) * 2]
>>> [torch.ones(1), torch.ones(1) * 3]

=== item_sorted_key | eager
def f(xs):
    return [x * 2 for x in sorted(xs, key=torch.Tensor.item)], max(xs, key=torch.sum)
>>> [t(1), t(1)]
>>> [t(1), t(1)]

=== item_set | eager
def f(xs):
    return (
        len(set(map(torch.Tensor.item, xs))),
        dict.fromkeys(map(torch.Tensor.item, xs)), frozenset(map(int, xs)),
        [*{*map(float, xs)}],
    )
>>> [torch.ones(1), torch.ones(1) * 2]
>>> [torch.ones(1), torch.ones(1)]

=== bool_any | eager
def f(xs):
    return (
        any(map(torch.any, xs)), all(map(torch.all, xs)), list(filter(torch.any, xs)),
        any(map(torch.gt, xs, [0, 0])),
    )
>>> [t(1), t(1)]
>>> [-torch.ones(1), -torch.ones(1)]

=== itercall | eager
def f(xs):
    it = iter(xs)
    return (
        next(map(torch.Tensor.item, xs)), next(iter(map(float, xs))),
    )
>>> [t(1), t(1)]

=== unpack_item | eager
def f(xs):
    a, *b = map(torch.Tensor.item, xs)
    return a, b
>>> [t(1), t(1)]

=== map_has | eager
def f(xs):
    return (
        list(map(torch.overrides.is_tensor_like, xs)),
        [r for r in map(torch._C._has_torch_function_unary, xs)],
        list(map(torch._C._has_torch_function, [xs])),
    )
import torch.overrides
>>> [t(3), t(3)]

=== map_grad_enabled | eager
def f(xs):
    return (
        torch.is_grad_enabled(), list(map(torch._C._set_grad_enabled, [False])),
        torch.is_grad_enabled(), list(map(torch._C._set_grad_enabled, [True])),
    )
>>> [t(3), t(3)]

=== map_rand
def f(n):
    return list(map(torch.rand, n)), list(map(torch.randn_like, map(torch.zeros, n)))
>>> [2, 3]

=== map_manual_seed | eager
def f(n):
    list(map(torch.manual_seed, n)); return torch.rand(2)
>>> [2, 3]

=== map_compiled | eager
import magpy
g = magpy.compile(lambda x: torch.relu(x) + 1, backend="eager")
def f(xs):
    return list(map(g, xs)), list(map(torch.neg, map(g, xs)))
>>> [t(3), t(3)]

=== in_try | eager
def f(xs):
    try:
        r = list(map(torch.Tensor.add_, xs, [1, "q"]))
    except TypeError:
        r = 3
    return r
>>> [t(3), t(3)]

=== generator_inside
def f(xs):
    return list(map(torch.add, (x * 2 for x in xs), (torch.relu(x) for x in xs)))
>>> [t(3), t(3)]

=== nonzero | eager
def f(xs):
    return list(map(torch.nonzero, xs)), [len(v) for v in map(torch.nonzero, xs)]
>>> [torch.ones(3), torch.zeros(3)]
>>> [torch.zeros(3), torch.ones(3)]

=== nonzero_len | eager
def f(xs):
    return (
        list(map(len, map(torch.nonzero, xs))),
        list(map(torch.numel, map(torch.nonzero, xs))),
    )
>>> [torch.ones(3), torch.zeros(3)]
>>> [torch.zeros(3), torch.ones(3)]

=== monkey
import operator
def f(xs):
    return list(map(torch.relu, xs)), list(map(operator.add, xs, xs))
>>> [t(3), t(3)]

=== requires
w = nn.Parameter(torch.ones(3))
def f(xs):
    with torch.no_grad():
        a = list(map(torch.mul, xs, [w, w]))
    return a, list(map(torch.mul, xs, [w, w]))
>>> [t(3), t(3)]

=== ext_partial | eager
import functools
p = functools.partial(torch.add, alpha=2)
def f(xs):
    return list(map(p, xs, xs))
>>> [t(3), t(3)]
!!! p.keywords["alpha"] = 5

=== fresh_partial
import functools
K = {"alpha": 2}
def f(xs):
    return list(map(functools.partial(torch.add, **K), xs, xs))
>>> [t(3), t(3)]
!!! K["alpha"] = 5

=== const_lists
sizes = [[2, 3], [4]]
def f():
    return list(map(torch.zeros, sizes)), list(map(torch.tensor, sizes))
!!! sizes[0][0] = 5

=== const_lists2
import itertools
sizes = [[2, 3], [4, 5]]
def f():
    return (
        list(itertools.starmap(torch.zeros, sizes)),
        list(map(torch.full, sizes, [1., 2.])),
    )
!!! sizes[0][0] = 5

=== const_lists3
sizes = {"a": [2, 3], "b": [4, 5]}
def f(xs):
    return (
        list(map(torch.reshape, xs, sizes.values())),
        list(map(torch.Tensor.reshape, xs, iter(list(sizes.values())))),
    )
>>> [t(6), t(20)]
!!! sizes["a"][:] = [3, 2]

=== gc_mid | eager
import gc
def g(x):
    gc.collect()
    return x
def f(xs):
    return list(map(torch.add, map(g, xs), map(torch.relu, xs)))
>>> [t(6), t(6)]

=== reduce_cat
import functools
def f(xs):
    return (
        functools.reduce(lambda a, b: torch.cat([a, b]), xs),
        functools.reduce(torch.Tensor.add_, xs[1:], xs[0].clone()),
    )
>>> [t(6), t(6)]

=== item_size | eager
def f(xs):
    return (
        torch.Size(map(int, map(torch.Tensor.item, xs))),
        torch.Size(map(torch.Tensor.__int__, xs)),
    )
>>> [torch.ones(1), torch.ones(1) * 2]
>>> [torch.ones(1), torch.ones(1) * 3]

=== item_mod | eager
def f(xs):
    return (
        "%s %s" % (*map(torch.Tensor.item, xs),),
        f"{list(map(torch.Tensor.item, xs))}",
    )
>>> [torch.ones(1), torch.ones(1) * 2]
>>> [torch.ones(1), torch.ones(1) * 3]

=== item_setattr | eager
class C: pass
def f(xs):
    c = C()
    c.a, c.b = map(torch.Tensor.item, xs)
    return c.a
>>> [torch.ones(1), torch.ones(1) * 2]
>>> [torch.ones(1) * 4, torch.ones(1) * 3]

=== item_ext_list | eager
out = []
def f(xs):
    out.extend(map(torch.Tensor.item, xs)); out[0:1] = map(torch.Tensor.item, xs)
    return len(out)
>>> [torch.ones(1), torch.ones(1) * 2]

=== relu_ext_list
out = []
def f(xs):
    out.clear(); out.extend(map(torch.relu, xs)); out[0:1] = map(torch.neg, xs)
    return len(out)
>>> [torch.ones(1), torch.ones(1) * 2]

=== deque_map
import collections
def f(xs):
    return (
        collections.deque(map(torch.relu, xs), 1),
        collections.OrderedDict(zip("ab", map(torch.relu, xs))),
    )
>>> [torch.ones(1), torch.ones(1) * 2]

=== map_numel_mode | eager
def f(xs):
    ys = list(map(torch.relu, xs))
    return (
        ys, xs[0].shape, xs[0].numel(), len(xs[0]), xs[0].T, xs[0].dtype,
        xs[0].is_leaf, ys[0].requires_grad, isinstance(ys[0], torch.Tensor),
        ys[0].data.shape, ys[1].grad,
    )
>>> [torch.ones(1, 2), torch.ones(1) * 2]

=== map_module
l = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
def f(xs):
    return (
        list(map(l, map(torch.neg, xs))),
        torch.stack(list(map(torch.relu, l.parameters()))[:1]),
    )
>>> [torch.ones(1, 2), torch.ones(1, 2) * 2]
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_c_callers(case):
    check_torch(case)
