"""Tensors in arguments, closures, generators, compiled callees, exceptions, modules."""

import pytest

pytest.importorskip("torch")

from torch_worlds import check_torch

from oracle import cases

CASES = cases(r"""
=== callbacks_of_c_objects
import copy, json, re
P = re.compile("a")
class A:
    def __init__(self, x):
        self.x = x
copy.copy(A(1))
def f(x):
    a = A(x)
    return (
        P.sub(lambda m: m.group() + str(x.dim()), "banana"), copy.copy(a).x + 1,
        json.dumps({"x": x}, default=lambda t: list(t.shape)),
        max(reversed([[1], [2]])), [y + 1 for y in reversed([x, x * 2])],
    )
>>> t(3)
>>> t(2, 3)

=== decorated_constructor
import functools
def logged(f):
    @functools.wraps(f)
    def inner(*args, **kwargs):
        return f(*args, **kwargs)
    return inner
class A:
    @logged
    def __init__(self, x, scale=2):
        self.x = x * scale
def f(x):
    return A(x), A(x, scale=3).x
>>> t(3)

=== kwargs
def g(x, *rest, scale=1.0, **kw):
    return x * scale + sum(rest) + kw.get("bias", 0), sorted(kw)
def f(*args, **kw):
    return g(*args, **kw)
>>> t(3)
>>> t(3), t(3), t(3), scale=2.0
>>> t(3), bias=t(3), other=1

=== default_arguments
base = fixed(3)
def f(x, w=base, *, b=[fixed(3)]):
    return x * w + b[0]
>>> t(3)
>>> t(3), t(3)
!!! base.add_(1)
!!! f.__kwdefaults__["b"][0] = fixed(3) * 2

=== closure | eager
def make():
    w = fixed(3)
    n = 0
    def f(x):
        nonlocal n, w
        n += 1
        w = w + x
        return w * n
    return f
f = make()
def outer(x):
    return f(x)
f2 = f
>>> t(3)

=== global_counter | eager
n = 0
def f(x):
    global n
    n += 1
    return x * n
>>> t(3)

=== global_tensor_replaced
w = fixed(3)
def f(x):
    global w
    w = w * 0.5 + x
    return w
>>> t(3)
!!! w = torch.zeros(3)
!!! w = torch.zeros(3, dtype=torch.float64)

=== generator_function
def pieces(x):
    for i in range(3):
        yield x[i] * i
def f(x):
    return torch.stack(list(pieces(x))), [p.sum() for p in pieces(x)], dict(enumerate(pieces(x)))
>>> t(3, 2)

=== generator_with_state
def pieces(x):
    y = yield x * 2
    while y is not None:
        y = yield y + x
def f(x):
    g = pieces(x)
    a = next(g)
    b = g.send(x)
    g.close()
    return a, b
>>> t(3)

=== yield_from
def inner(x):
    yield x
    yield x * 2
    return x * 3
def outer(x):
    last = yield from inner(x)
    yield last
def f(x):
    return list(outer(x))
>>> t(3)

=== functions_made
def f(x):
    y = x * 2
    def g(z, k=y):
        return z + y + k
    return g, g(x), (lambda: y)
>>> t(3)

=== partials
import functools
def g(a, b, c=1):
    return a * b + c
half = functools.partial(g, c=2)
lin = functools.partial(F.linear, bias=fixed(2))
def f(x, w):
    h = functools.partial(g, x)
    return half(x, x), h(x, c=x), lin(x, w)
>>> t(3), t(2, 3)
!!! half.keywords["c"] = 5
!!! lin = functools.partial(F.linear, bias=None)

=== recursion
def f(x, n=3):
    return x if n == 0 else f(x * 2, n - 1) + n
>>> t(3)
>>> t(3), 1

=== compiled_callee
import magpy
@magpy.compile(backend="eager")
def g(x, n=1):
    return x * n, [x]
m = magpy.compile(nn.Linear(3, 3), backend="eager")
def f(x):
    a, b = g(x, n=2)
    return a + g(x)[0], b, m(x)
>>> t(3)
!!! f = f

=== compiled_recursion
import magpy
def fact(x, n):
    return x if n <= 1 else g(x * n, n - 1)
g = magpy.compile(fact, backend="eager")
def f(x):
    return g(x, 4), fact(x, 3)
>>> t(3)

=== compiled_through_c
import magpy
@magpy.compile(backend="eager")
def g(x):
    return x * 2
def f(xs):
    return list(map(lambda x: g(x), xs)), [g(x) for x in xs]
>>> [t(3), t(3)]

=== exception_caught
def g(x, n):
    if n > 1:
        raise ValueError(n, x)
    return x * n
def f(x, n):
    try:
        return g(x, n)
    except ValueError as e:
        return e.args[1] * 2, str(e.args[0])
    finally:
        x = None
>>> t(3), 1
>>> t(3), 2

=== exception_leaves | eager
def f(x, n):
    y = x + 1
    if n > 1:
        raise ValueError("no", n)
    return y
>>> t(3), 2
>>> t(3), 1

=== exception_of_operation | eager
def f(x, y):
    try:
        return x + y
    except RuntimeError as e:
        return str(e)[:20], x
>>> t(3), t(2)
>>> t(3), t(3)

=== index_error_as_end
def f(xs):
    i = 0
    out = []
    while True:
        try:
            out.append(xs[i] * 2)
        except IndexError:
            break
        i += 1
    return out
>>> [t(3), t(3)]
>>> [t(3)]

=== user_context_manager
log = []
class Timer:
    def __enter__(self):
        log.append("in")
        return self
    def __exit__(self, *exc):
        log.append("out")
        return False
def f(x):
    with Timer():
        y = x * 2
    return y
>>> t(3)
!!! log.clear()

=== contextlib_manager
import contextlib
@contextlib.contextmanager
def scaled(x):
    yield x * 2
def f(x):
    with scaled(x) as y, contextlib.nullcontext(), contextlib.suppress(KeyError):
        z = y + 1
    return z
>>> t(3)

=== warnings_in_program
import warnings
def f(x):
    if x.dim() > 5:
        warnings.warn("big")
    return x * 2
>>> t(3)

=== exception_with_tensor_caught
class Stop(Exception):
    pass
def g(x):
    raise Stop(x * 2)
def f(x):
    try:
        g(x)
    except Stop as e:
        return e.args[0] + 1
>>> t(3)

=== module_made_and_returned
class M(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.n = 3
        self.inner = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Flatten())
    def forward(self, x):
        return self.inner(x) * self.n
def f(x):
    m = M()
    return m, m(x)
>>> t(2, 3)

=== buffers_replaced_in_forward
class M(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(3))
        self.register_buffer("later", None)
    def forward(self, x):
        self.total = self.total + x
        self.later = x + 1
        y = self.total * self.later
        self.later = None
        self.register_buffer("made", x * 2)
        y = y + self.made
        del self.made
        self.register_buffer("kept", x * 3, persistent=False)
        return y
m = M()
def f(x):
    return m(x)
>>> t(3)

=== module_attributes_in_forward
class M(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.items = torch.nn.ModuleList([torch.nn.ReLU(), torch.nn.Tanh()])
        self.cache = None
    def forward(self, x):
        self.cache = x + 1
        self.extra = torch.nn.Tanh()
        self.items[0] = self.extra
        self.seen = {"k": self.cache, "l": [x]}
        return self.extra(x)
m = M()
def f(x):
    return m(x)
>>> t(3)

=== parameter_made | eager
def f(x):
    p = torch.nn.Parameter(x * 2)
    return p * 2
>>> t(3)

=== parameters_swapped | eager
class M(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(3))
        self.v = torch.nn.Parameter(torch.zeros(3))
    def forward(self, x):
        self.w, self.v = self.v, self.w
        return x * self.w
m = M()
def f(x):
    return m(x)
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_functions(case):
    check_torch(case)
