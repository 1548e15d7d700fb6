"""Arrays of numpy that the run makes: read, written, given to torch, returned."""

import functools
import itertools
import operator
import re
import warnings
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("numpy")

import numpy as np
import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

ROOT = Path(__file__).parents[2]

CASES = cases(r"""
=== constant_matrix
import numpy as np
def f(x):
    b = x.size(0)
    eye = torch.from_numpy(np.array([1, 0, 0, 0, 1, 0, 0, 0, 1]).astype(np.float32))
    return x + eye.view(1, 9).repeat(b, 1).view(-1, 3, 3)
>>> t(2, 3, 3)
>>> t(4, 3, 3)

=== identity_flattened
import numpy as np
def f(x):
    return x @ torch.from_numpy(np.eye(3).flatten().astype(np.float32)).view(3, 3)
>>> t(2, 3)

=== anchors
import numpy as np
def shift(shape, stride, anchors):
    x = (np.arange(0, shape[1]) + 0.5) * stride
    y = (np.arange(0, shape[0]) + 0.5) * stride
    x, y = np.meshgrid(x, y)
    shifts = np.vstack((x.ravel(), y.ravel(), x.ravel(), y.ravel())).transpose()
    a, k = anchors.shape[0], shifts.shape[0]
    out = anchors.reshape((1, a, 4)) + shifts.reshape((1, k, 4)).transpose((1, 0, 2))
    return out.reshape((k * a, 4))
def anchors(base):
    ratios, scales = np.array([0.5, 1, 2]), np.array([1, 2 ** 0.5])
    out = np.zeros((len(ratios) * len(scales), 4))
    out[:, 2:] = base * np.tile(scales, (2, len(ratios))).T
    areas = out[:, 2] * out[:, 3]
    out[:, 2] = np.sqrt(areas / np.repeat(ratios, len(scales)))
    out[:, 3] = out[:, 2] * np.repeat(ratios, len(scales))
    out[:, 0::2] -= np.tile(out[:, 2] * 0.5, (2, 1)).T
    out[:, 1::2] -= np.tile(out[:, 3] * 0.5, (2, 1)).T
    return out
def f(image):
    size = np.array(image.shape[2:])
    sizes = [(size + 2 ** k - 1) // 2 ** k for k in (1, 2)]
    out = np.zeros((0, 4)).astype(np.float32)
    for i, s in enumerate(sizes):
        out = np.append(out, shift(s, 2 ** (i + 1), anchors(4)), axis=0)
    return torch.from_numpy(np.expand_dims(out, axis=0).astype(np.float32)), image * 2
>>> t(1, 1, 6, 8)
>>> t(1, 1, 4, 4)

=== methods_and_operators
import numpy as np
def f(x):
    a = np.linspace(0, 1, 6).reshape(2, 3)
    b = a.astype("f4").copy()
    b[0, 1] = 5
    b[:, 0] += 1
    b *= 2
    b[b > 4] = 4
    rows = [r.sum() for r in b]
    n = b.size + b.ndim + len(b) + int(b.argmax()) + a.shape[1]
    return x * b.tolist()[0][1] + float(b.max()) + n, float(rows[0]), b[1, 2].item(), b.dtype.name
>>> t(3)

=== iterated_then_given
import numpy as np
def f(x):
    a = np.arange(3.)
    total = 0.0
    for v in a:
        total += float(v)
    a.flat[1] = 7
    return x + torch.from_numpy(a) * total, float(sum(np.ones(3)))
>>> t(3)

=== constructors
import numpy as np
def f(x):
    a = np.arange(6.).reshape(2, 3)
    s = np.ones((2, 2), "f4")
    return (torch.tensor(a), torch.tensor(a.T), torch.tensor(a[:, ::2]), torch.as_tensor(np.eye(2)),
            torch.as_tensor(np.eye(2), dtype=torch.float16), torch.Tensor(np.arange(3)),
            torch.FloatTensor(s), torch.LongTensor(np.array([1, 2])), torch.tensor(np.array(3)),
            torch.tensor(a, requires_grad=True),
            torch.tensor(np.zeros((0, 3))), torch.from_numpy(np.array(2.5)), torch.tensor(a > 2), x + 1)
>>> t(3)

=== indices
import numpy as np
def f(x):
    y = x.clone()
    i, m = np.array([0, 2]), np.array([True, False, True])
    y[m] = 0
    y[:, i] += 1
    return x[i], x[m], x[:, i], x[i, np.array([1, 1])], y, x.new_tensor(i), x[np.array(1)], x[i.astype("i4")]
>>> t(3, 4)

=== functions_as_objects
import numpy as np
ops, dtype = {"op": np.add}, np.dtype("f4")
def f(x):
    a = np.arange(3).astype(dtype)
    n = ops["op"](2, 5) + int(np.add.reduce(a)) + int(np.maximum.accumulate(a)[1])
    return x * n, np.zeros(2, dtype), a.dtype == dtype, np.arange(2).dtype.name, a.dtype
>>> t(3)
!!! ops["op"] = np.multiply
!!! dtype = np.dtype("f8")

=== layouts
import numpy as np
def f(x):
    a = np.arange(6.).reshape(2, 3)
    return (torch.from_numpy(a.T.copy()), torch.from_numpy(np.asfortranarray(a + 1)),
            torch.from_numpy(np.expand_dims(np.arange(3), 0)), torch.from_numpy(np.arange(4)[None, :, None]),
            torch.from_numpy(np.float32(np.mgrid[0:2, 0:2].T)), x + 1)
>>> t(3)

=== written_through_the_tensor
import numpy as np
def f(x):
    k = torch.from_numpy(np.zeros(3, "f4"))
    k += x
    k[0] = 9
    return k, x
>>> t(3)
>>> t(3)

=== grad_modes
import numpy as np
def f(x):
    with torch.no_grad():
        k = torch.from_numpy(np.ones(3, "f4"))
    with torch.inference_mode():
        i = torch.from_numpy(np.ones(3, "f4"))
    w = torch.tensor(np.ones(3), requires_grad=True)
    return k * x, k.requires_grad, i, (w * x).sum()
>>> t(3).requires_grad_()

=== returned
import numpy as np
class S:
    pass
state = S()
def f(x):
    a = np.arange(6.).reshape(2, 3)
    b = np.ones(2, "f4")
    state.b = b
    return {"a": a, "again": [b, b]}, np.asfortranarray(a * 2), np.array(3), np.zeros((0, 2)), x + 1
>>> t(3)

=== returned_pieces
import numpy as np
def f(x):
    return np.meshgrid(np.arange(2), np.arange(3)), np.arange(6).reshape(2, 3), np.eye(2).T, x + 1
>>> t(3)

=== memory_seen_twice
import numpy as np
def f(x):
    a, b = np.arange(6.), np.arange(6)[::-1]
    return a, a[1:3], a.reshape(2, 3)[::-1, None], b[2:], np.broadcast_to(np.ones(2), (2, 2)), x + 1
>>> t(3)

=== views_over_a_break | eager
import numpy as np
def f(x):
    a = np.arange(6.)
    b, c = a[1:4], np.arange(4.)[::2]
    k = x.sum().item()
    b[0] = k
    c += k
    return x * float(a[1]), a, b, float(c.base.sum())
>>> torch.ones(3)
>>> torch.full((3,), 2.0)

=== array_after_the_tensor | eager
import numpy as np
def f(x):
    a = np.zeros(3, "f4")
    k = torch.from_numpy(a)
    k += x
    return x * float(a[0]), a.sum()
>>> t(3)
>>> t(3)

=== array_written_after_the_tensor | eager
import numpy as np
def f(x):
    a = np.zeros(3, "f4")
    v = a[1:]
    k = torch.as_tensor(a)
    v[0] = 3
    np.copyto(v[1:], 5)
    return x + k
>>> t(3)

=== iterator_over_the_memory | eager
import numpy as np
def f(x):
    a, b, c, d = np.zeros(3, "f4"), np.zeros(3, "f4"), np.zeros(3, "f4"), np.zeros(3, "f4")
    i, g, m, z = iter(a), b.flat, memoryview(c), zip(d, d)
    for k in (torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(c), torch.from_numpy(d)):
        k += x
    return x * float(next(i)), float(g[1]), m[1], next(z)[1]
>>> t(3)
>>> t(3)

=== tensors_in_arrays | eager
import numpy as np
def f(x):
    a = np.zeros(3)
    a[0] = x.sum()
    a[1:] = x[:2]
    b = a.flat
    b[2] = x[0]
    c = np.zeros(3)
    c.flat = x
    c.real[1:] = x[1:]
    x = x + float(c[0])
    return x + float(a.sum()) + float(np.arange(9.)[x.argmax()]), np.arange(5)[x.argmax():]
>>> t(3)
>>> t(3)

=== memory_of_a_constant_tensor | eager
import numpy as np
def f(x):
    k = torch.tensor(3.0)
    a = np.asarray(k)
    k.add_(x.sum())
    return x + float(a), np.array([torch.tensor(2.0)])
>>> t(3)
>>> t(3)

=== tensor_as_an_index_of_others | eager
def f(x):
    return "abc"[x.argmax()], range(5)[x.argmax()], bytearray(b"abc")[x.argmax()]
>>> torch.tensor([1.0, 2.0, 3.0])
>>> torch.tensor([3.0, 2.0, 1.0])

=== over_a_break | eager
import numpy as np
def f(x):
    a, b = np.arange(3.), np.ones(3)
    torch._C._get_tracing_state()
    k = x.sum().item()
    a[0] = k
    return x * float(a[0]), b
>>> torch.ones(3)
>>> torch.full((3,), 2.0)

=== generators_of_numpy | eager
import numpy as np
def f(x):
    np.random.seed(0)
    return x + np.random.rand(), np.random.RandomState(3).rand(), np.random.default_rng(1).random()
>>> t(3)

=== both_kept | eager
import numpy as np
class S:
    pass
s = S()
def f(x):
    s.a = np.zeros(3, "f4")
    s.t = torch.from_numpy(s.a)
    s.t += x
    return s.a.sum()
>>> t(3)
>>> t(3)

=== of_objects | eager
import numpy as np
def f(x):
    a = np.array([{}, None], dtype=object)
    return len(a), np.array(["a"]), np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), x + 1
>>> t(3)
""")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_arrays(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lists of arrays, memory that is read-only
        check_torch(case)


def reasons(f, *args):
    compiled = magpy.compile(f, backend="eager")
    for _ in range(3):
        compiled(*args)
    stats = magpy.stats(compiled)
    return {place["detail"] for place in stats["places"]}, stats


def test_a_hit_gives_new_memory():
    def f(x):
        a = np.arange(3.0)
        return torch.from_numpy(np.ones(2)), torch.Tensor(np.ones(2, "f")), a, a, x + 1

    g = magpy.compile(f, backend="eager")
    x = torch.ones(2)
    g(x)
    for _ in range(2):
        k, m, a, again, _ = g(x)
        assert a is again and a.flags.owndata and a.flags.writeable
        assert (k.sum(), m.sum(), a.sum()) == (2, 2, 3)
        k += 1
        m += 1
        a += 1
    assert magpy.stats(g)["hits"] == 2


def test_views_share_memory_as_they_did():
    def f(x):
        a = np.arange(4.0)
        b, c = a[1:], a[::-2]
        c.flags.writeable = False
        return a, b, c, b.reshape(3, 1), np.arange(2)[None], x + 1

    g = magpy.compile(f, backend="eager")
    x = torch.ones(2)
    g(x)
    for _ in range(2):
        a, b, c, d, e, _ = g(x)
        a[3] = 7
        assert (b[2], c[0], d[2, 0]) == (7, 7, 7)
        assert b.base is a and c.base is a and d.base is a
        assert c.strides == (-16,) and not c.flags.writeable and e.base.shape == (2,)
    assert magpy.stats(g)["hits"] == 2


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda x: np.save("/nowhere/x", np.ones(1)) or x + 1, "numpy.save"),
        (lambda x: (np.fromfile("/dev/null"), x + 1)[1], "numpy.fromfile"),
        (lambda x: (np.ones(1).tofile("/dev/null"), x + 1)[1], "numpy.ndarray.tofile"),
        (lambda x: (str(np.datetime64("now")), x + 1)[1], "numpy.datetime64"),
        (lambda x: (np.array("now", "M8[s]"), x + 1)[1], "a date of numpy may be today's"),
        (lambda x: (str(np.ones(2)), x + 1)[1], "text of a numpy.ndarray"),
        (lambda x: (np.array2string(np.ones(2)), x + 1)[1], "numpy.array2string"),
        (lambda x: (np.random.RandomState(1), x + 1)[1], "numpy.random.mtrand.RandomState"),
        (lambda x: x + torch.from_numpy(np.arange(6.0)[::2]), "a numpy.ndarray that is part of something else"),
        (lambda x: x + torch.from_numpy(np.frombuffer(bytes(24))), "a numpy.ndarray that is part of something else"),
        (lambda x: (np.frombuffer(bytes(24)), x + 1), "a new numpy.ndarray of this dtype or memory"),
    ],
)  # fmt: skip
def test_what_no_guard_sees_is_refused(f, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found, stats = reasons(f, torch.ones(3))
        except OSError:
            return
    assert reason in found, stats


def test_a_warning_is_shown_each_time():
    def f(x):
        return x + np.log(np.zeros(3)).size

    g = magpy.compile(f, backend="eager")
    for _ in range(4):
        with pytest.warns(RuntimeWarning, match="divide by zero"):
            g(torch.ones(3))


EXTERNAL = cases(r"""
=== attribute_read | of m
import numpy as np
class M(nn.Module):
    def __init__(self):
        super().__init__()
        self.ratios = np.array([0.5, 1, 2])
        self.big = np.zeros((300, 300))
        self.names = np.array(["a"])
    def forward(self, x):
        r = self.ratios
        n = len(r) + r.shape[0] + r.ndim
        rows = [float(v) for v in r]
        k = torch.from_numpy(np.tile(r, (2, 1)).T * n)
        return x + k, torch.tensor(r), r.sum().item(), float(r[1]), rows, r[1:] * 2, (r > 1).any(), 2 in r
m = M()
>>> t(3, 2)
!!! m.ratios = np.array([0.5, 1, 2])
!!! m.ratios[1] = 7
!!! m.ratios = m.ratios.astype("f4")
!!! m.ratios = m.ratios[::-1].copy()
!!! m.ratios = np.arange(6.).reshape(2, 3)[1:].reshape(3)
!!! m.ratios = np.array([1, 2, 3])
!!! m.ratios.setflags(write=False)

=== argument_read
import numpy as np
def f(x, a):
    return x * float(a[0]) + a.size, np.stack([a, a]), a is a, np.asarray(a)
>>> t(3), np.array([1.0, 2.0])
>>> t(3), np.array([1.0, 2.0, 3.0])
>>> t(3), np.array([3, 4])

=== kept_by_the_run
import numpy as np
cache = {}
def f(x):
    if "grid" not in cache:
        cache["grid"] = np.linspace(0, 1, 3)
    return x + torch.tensor(cache["grid"]), cache["grid"]
>>> t(3)
!!! cache.clear()

=== written_by_the_run | eager
import numpy as np
a, b, c, d = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
def f(x):
    global b
    s = x + float(a.sum()) + b.sum() + c.sum() + d.sum()
    a[0] += 1
    b += 1
    c[1:].fill(float(c[1]) + 2)
    np.add(d, 1, out=d)
    return s
>>> t(3)
>>> t(3)

=== sorted_by_the_run | eager
import numpy as np
a = np.array([3., 1., 2.])
def f(x):
    s = float(a[0])
    a.sort()
    return x + s + float(a[0])
>>> t(3)
!!! a[:] = [5, 4, 3]

=== shared_with_a_tensor | eager
import numpy as np
a = np.zeros(3, "f4")
k = torch.from_numpy(a)
def f(x):
    s = float(a[0])
    k.add_(x)
    return x + s, a.sum()
>>> t(3)
>>> t(3)

=== given_to_torch | eager
import numpy as np
a = np.zeros(3, "f4")
def f(x):
    k, m, n = torch.from_numpy(a), torch.as_tensor(a[1:]), torch.from_numpy(a.reshape(3, 1))
    k[0] += 1
    n[1] += x[0]
    return x + k, m, a.sum()
>>> t(3)
>>> t(3)

=== of_a_tensors_memory | eager
import numpy as np
w = torch.zeros(3)
a = w.numpy()
def f(x):
    s = float(a[0])
    w.add_(x)
    return x + s + float(a[1])
>>> t(3)
>>> t(3)

=== base_of_a_view | eager
import numpy as np
big = np.arange(9.)
a = big[2:5]
def f(x):
    return x + float(a[1:].base[0]) + float(a[0]), a.base is big, a.flags.owndata
>>> t(3)
!!! big[0] = 5

=== large | eager
import numpy as np
a, s = np.zeros((300, 300)), np.array(["a", "b"])
def f(x):
    return x + float(a[0, 0]) + a.shape[0], s[0], a[::2].sum()
>>> t(3)
!!! a[0, 0] = 3

=== written_input_beside
import numpy as np
a = np.ones(3, "f4")
w = torch.zeros(3)
def f(x):
    w.add_(1)
    return x + w + float(a[1])
>>> t(3)
??? w = torch.from_numpy(a)
""")


@pytest.mark.parametrize("case", EXTERNAL, ids=lambda case: case.name)
def test_external_arrays(case):
    check_torch(case)


SMALL = np.int8(127), np.int8(1)


@pytest.mark.parametrize("first", ["ignore", "default", "always"])
@pytest.mark.parametrize(
    ("f", "args"),
    [
        (lambda a, b: a + b, SMALL),
        (lambda a, b: a + 1, SMALL),
        (lambda a, b: 1 + a, SMALL),
        (lambda a, b: np.int8(127) + np.int8(1), SMALL),
        (lambda a, b: -a, (np.int8(-128), 0)),
        (lambda a, b: abs(a), (np.int8(-128), 0)),
        (lambda a, b: a // b, (np.int8(1), np.int8(0))),
        (lambda a, b: divmod(a, b), (np.int8(-128), np.int8(-1))),
        (lambda a, b: sum([a, b]), SMALL),
        (lambda a, b: list(map(operator.add, [a], [b])), SMALL),
        (lambda a, b: functools.reduce(operator.add, [a, b]), SMALL),
        (lambda a, b: list(itertools.accumulate([a, b])), SMALL),
        (lambda a, b: a.__add__(b), SMALL),
        (lambda a, b: np.array([a]) // np.array([b]), (np.int8(1), np.int8(0))),
        (lambda a, b: a.astype(np.float32), (np.complex64(1j), 0)),
        (lambda a, b: np.array([a]).astype(np.float32), (np.complex64(1j), 0)),
        (lambda a, b: np.zeros(1).__setitem__(0, np.array(a)), (np.complex64(1j), 0)),
        (lambda a, b: float(a), (np.complex64(1j), 0)),
        (lambda a, b: np.mean(np.zeros(0)), (0, 0)),
        (lambda a, b: np.array([a]).std(ddof=1), (1.5, 0)),
        (lambda a, b: np.polyfit(np.ones(2), np.array([a, 2.0]), 2), (1.5, 0)),
    ],
)
def test_warnings_of_numpy_that_flags_do_not_tell(f, args, first):
    """Whatever the filters were when the run was recorded."""

    def seen(g):
        with warnings.catch_warnings(record=True) as log:
            warnings.simplefilter(mode)
            try:
                return repr(g(*args)), [str(w.message) for w in log]
            except (Warning, TypeError) as error:
                return repr(error), len(log)

    f.__globals__.pop("__warningregistry__", None)
    g = magpy.compile(f, backend="eager")
    for mode in [first] * 3 + ["always", "ignore", "default", "error", first]:
        assert seen(g) == seen(f)


def test_a_warning_that_was_shown_once_is_shown_by_a_hit_when_eager_shows_it():
    space = {"np": np, "SMALL": SMALL}
    exec("def f(a, b):\n    return a + b", space)
    twin = {"np": np, "SMALL": SMALL}
    exec("def f(a, b):\n    return a + b", twin)
    g = magpy.compile(space["f"], backend="eager")
    with warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("default")
        for _ in range(4):
            shown = []
            for call in (g, twin["f"]):
                del log[:]
                for _ in range(3):
                    call(*SMALL)
                shown.append([str(w.message) for w in log])
            assert shown[0] == shown[1]
            warnings.simplefilter("default")  # registries are emptied


def test_filters_do_not_matter_to_what_does_not_compute():
    def f(x, scale):
        return x * 2, scale

    g = magpy.compile(f, backend="eager")
    g(torch.ones(2), np.float32(2))
    assert not any("warnings.filters" in guard for guard in g.entries()[0]["guards"])


def test_the_table_is_of_numpy():
    """Every function of the table exists, and answers the same twice where it answers."""
    text = (ROOT / "engine/objects/numpy.def").read_text()
    rows = re.findall(r'NUMPY_PURE\("([\w.]+)",\s*((?:"[^"]*"\s*)+)\)', text)
    owners = dict(rows)
    assert {
        "numpy",
        "numpy.linalg",
        "numpy.fft",
        "numpy.ndarray",
        "numpy.ufunc",
    } <= set(owners)
    if np.__version__.startswith("2.4."):
        for owner, names in rows:
            found = eval(owner, {"numpy": np})
            for name in "".join(re.findall(r'"([^"]*)"', names)).split():
                assert hasattr(found, name), (owner, name)
    names = "".join(re.findall(r'"([^"]*)"', owners["numpy"])).split()
    arguments = [(), (3,), ([1.5, 2.0],), ([1, 2], [3, 4]), ([[1.0, 2.0], [3.0, 5.0]],)]
    for name in names:
        for args in arguments:
            if name not in ("empty", "empty_like"):
                assert answer(getattr(np, name), args) == answer(
                    getattr(np, name), args
                )


def answer(function, args):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return re.sub(r" at 0x\w+", "", repr(function(*args)))
        except Exception as error:
            return repr(error)
