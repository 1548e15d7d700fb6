"""Texts of numbers and tensors of the graph: returned, kept, printed, warned of, logged."""

import sys

import pytest

pytest.importorskip("torch")

import torch
from torch_worlds import check_torch

import magpy
from oracle import cases

# Each of these is one graph, without a break.
WHOLE = cases(r"""
class Log:
    def __init__(self):
        self.lines = []
log = Log()

=== formatted
def f(x, i):
    return f"step {i}: {x.sum():.3f}", f"{x.sum().item()}", f"{x.mean().item()=:>{10}.{2}f}"
>>> t(3), 1
>>> t(3), 2
>>> t(3), 3

=== converted
def f(x):
    n = x.sum().item()
    return f"{n!s}|{n!r}|{n!a}|{n!r:>30}", f"{x!r:<40}|", f"{x}", str(x), repr(x), format(x)
>>> t(3)

=== functions
def f(x):
    n = x.sum().item()
    return str(n), repr(n), ascii(n), format(n), format(n, ".2e"), format(x.sum(), ".2f"), str(str(n))
>>> t(3)

=== old_style
def f(x):
    return "%s %.3f %r" % (x.sum().item(), x.mean(), x), "%s" % x.sum(), "%5.1f" % x.sum().item(), "%d%%" % (x[0] * 100)
>>> t(3)

=== named_and_templates
def f(x):
    n = x.sum().item()
    return "%(a).2f %(b)s" % {"a": n, "b": [n]}, "{} {:.2f} {}".format(1, x.sum(), n), "{0} {0!r}".format(x)
>>> t(3)

=== joined
def f(x):
    a, b = f"{x.sum():.2f}", str(x.mean().item())
    return a + b, a + "!", "<" + a, ", ".join([a, "b", b]), f"{a}{b}" + "".join((a, b))
>>> t(3)

=== containers
def f(x):
    n = x.sum().item()
    return str([n, (x, "a")]), f"{ {'k': n, 'l': [n, None, True]} }", repr((n,))
>>> t(3)

=== kept
def f(x):
    log.lines.append(f"{x.sum():.1f}")
    log.last = str(x.mean().item())
    return {"text": log.last, "size": x.shape[0]}
>>> t(3)
!!! log.lines.clear()

=== every_dtype
def f(*xs):
    return [f"{x.item()} {x.item()!r:>9}" for x in xs], [f"{x}" for x in xs], [str(x + x) for x in xs]
>>> *[torch.tensor(1, dtype=d) for d in (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64)],
>>> *[torch.tensor(0, dtype=d) for d in (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64)],

=== extreme_values
def f(x):
    return str(x), [f"{v:.3g}" for v in x], str([v.item() for v in x])
>>> torch.tensor([float("nan"), float("inf"), -0.0, 1e-30])
>>> torch.tensor([1e30, -float("inf"), 1.0, 0.0])

=== before_a_write
def f(x):
    y = x * 1
    a, b = str(y), f"{y[0]:.2f}"
    y.add_(1)
    return a, b, str(y), y
>>> t(3)

=== of_a_view_that_is_written
def f(x):
    y = x.clone()
    v = y[1:]
    a = repr(v)
    y.zero_()
    return a, repr(v)
>>> t(3)

=== loss_with_gradients
w = torch.ones(3, requires_grad=True)
def f(x):
    loss = (x * w).sum()
    log.last = f"{loss:.3f} {loss.item()} {loss.detach()}"
    return loss
>>> t(3)

=== sizes_that_vary
def f(x):
    return f"{x.shape[0]} rows: {x.sum():.2f} {len(x)}"
>>> t(3)
>>> t(4)
>>> t(5)

=== in_callees_and_loops
def line(i, n):
    return f"{i}: {n:.2f}"
def f(x):
    return [line(i, v.item()) for i, v in enumerate(x)]
>>> t(3)

=== empty_parts
def f(x):
    n = x.sum().item()
    return "" + f"{n}" + "", f"{''}{n}{''}", "%s" % f"{n}"
>>> t(3)
""")

# A value is needed: these break there, and each part is right.
BROKEN = cases(r"""
=== printed_to_a_file_in_python | eager
class Lines:
    def __init__(self):
        self.lines = []
    def write(self, text):
        self.lines.append(text)
file = Lines()
def f(x):
    n = x.sum().item()
    print("n", n, [n], str(n), file=file)
    return x + 1
>>> t(3)
>>> t(3)

=== looked_at | eager
def f(x):
    s = f"{x.sum().item():.1f}"
    return len(s), s == "1.0", s[0], s.strip("-"), {s: 1}, "1" in s, hash(s), s.encode()
>>> torch.ones(1)
>>> -torch.ones(1)

=== grad_fn_is_shown | eager
w = torch.ones(3, requires_grad=True)
def f(x):
    return str(x * w), repr(w), f"{(x * w).sum()}"
>>> t(3)

=== parameters | eager
p = nn.Parameter(torch.ones(2), requires_grad=False)
def f(x):
    return str(p), x * 2
>>> t(2)

=== own_formats | eager
class P:
    def __init__(self, t):
        self.t = t
    def __repr__(self):
        return f"P({self.t.sum().item():.1f})"
    def __format__(self, spec):
        return str(self.t.sum().item()) + spec
def f(x):
    return f"{P(x)}", f"{P(x)!r}", str(P(x)), f"{P(x):abc}", "%s" % P(x)
>>> t(3)
>>> t(3)

=== fields_of_a_template | eager
def f(x):
    return "{.shape} {[0]}".format(x, x), "{:.1f}".format(x.sum())
>>> t(3)

=== one_character | eager
def f(x):
    s = f"{x.item()}"
    return s, s is f"{x.item()}", s + ""
>>> torch.tensor(1)
>>> torch.tensor(2)

=== print_options | eager
def f(x):
    torch.set_printoptions(precision=2)
    a = str(x / 3)
    torch.set_printoptions(profile="default")
    return a, str(x / 3)
>>> t(3)
""")

RAISING = cases(r"""
=== wrong_format | eager
def f(x):
    return x + 1, f"{x.sum().item():d}"
>>> t(3)
>>> t(3)

=== wrong_format_of_a_tensor | eager
def f(x):
    return f"{x:.2f}"
>>> t(3)
>>> t(1)
>>> torch.tensor(1.0)

=== handled | eager
def f(x):
    try:
        return "%d" % x.sum()
    except (ValueError, OverflowError) as e:
        return str(e)
>>> torch.ones(3)
>>> torch.ones(3)
>>> torch.tensor([float("nan")])
>>> torch.tensor([float("inf")])
""")


@pytest.mark.parametrize("case", WHOLE, ids=str)
def test_one_graph(case):
    pair = check_torch(case)
    stats = pair.stats()
    assert stats["graph_breaks"] == 0, stats["places"]
    assert not stats["reasons"]


@pytest.mark.parametrize("case", [*BROKEN, *RAISING], ids=str)
def test_as_eager_does(case):
    check_torch(case)


def written(fn, x, path):
    """What the call writes to stdout and stderr, which are one file."""
    kept = sys.stdout, sys.stderr
    with open(path, "w", encoding="utf-8") as file:
        sys.stdout = sys.stderr = file
        try:
            result = fn(x)
        finally:
            sys.stdout, sys.stderr = kept
    with open(path, encoding="utf-8") as file:
        return file.read(), str(result)


PRINTS = {
    "f-string": "print(f'step 1: {x.sum():.3f}')",
    "arguments": "print('loss', x.sum().item(), x, [x.mean().item()], sep='|')",
    "order": "print(x); print('const'); print(x.sum().item(), flush=True); print(end='.')",
    "written later": "y = x.clone(); print(y); y.add_(1); print(y.sum())",
    "write": "sys.stdout.write(f'{x.sum():.2f}'); sys.stderr.write('e')",
    "not ASCII": "print(f'Σ = {x.sum():.1f}')",
    "warning": "warnings.warn(f'loss {x.sum():.3f}')",
    "warnings and prints": "warnings.warn('a'); print(x.sum()); warnings.warn(RuntimeWarning('%s' % x.mean()))",
    "a loop": "for i, v in enumerate(x): print(i, v.item())",
    "no gradients are shown": "print(f'{(x * w).sum():.2f}', (x * w).sum().item())",
}


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("what", PRINTS)
@pytest.mark.usefixtures("own_warnings")
def test_texts_are_written_in_order(what, backend, tmp_path):
    names: dict = {"__name__": "prints"}
    source = (
        "import sys, torch, warnings\nw = torch.ones(3, requires_grad=True)\n"
        f"def f(x):\n    {PRINTS[what]}\n    return x + 1\n"
    )
    exec(compile(source, "prints.py", "exec"), names)
    import warnings

    warnings.simplefilter("always")
    fast = magpy.compile(names["f"], backend=backend)
    for turn in range(5):
        x = torch.arange(3.0) + turn
        want = written(names["f"], x, tmp_path / "want")
        assert written(fast, x, tmp_path / "got") == want
    counted = magpy.stats(fast)
    assert counted["graph_breaks"] == 0, counted["places"]
    assert counted["hits"] >= 3


def test_nothing_is_written_when_a_text_cannot_be_made(tmp_path):
    def f(x):
        print("begun")
        print(f"{1 / x.sum().item():.2f}")
        return x

    def tried(x):
        try:
            return f(x)
        except ZeroDivisionError as error:
            return str(error)

    def tried_fast(x):
        try:
            return fast(x)
        except ZeroDivisionError as error:
            return str(error)

    fast = magpy.compile(f, backend="eager")
    for x in (torch.ones(2), torch.ones(2) * 2, torch.zeros(2), torch.ones(2)):
        want = written(tried, x, tmp_path / "want")
        assert written(tried_fast, x, tmp_path / "got") == want
    assert magpy.stats(fast)["hits"] >= 2


def test_a_filter_that_asks_for_the_text_ends_the_graph(own_warnings, tmp_path):
    import warnings

    warnings.simplefilter("always")
    warnings.filterwarnings("ignore", message="loss 3")

    def f(x):
        warnings.warn(f"loss {x.sum():.0f}", stacklevel=1)
        return x + 1

    fast = magpy.compile(f, backend="eager")
    for turn in range(4):
        x = torch.ones(3) * (turn % 2 + 1)
        want = written(f, x, tmp_path / "want")
        assert written(fast, x, tmp_path / "got") == want
    assert magpy.stats(fast)["graph_breaks"] > 0
