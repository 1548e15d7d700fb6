"""Random programs as text, from the tables: `make(seed, number)` is always the same one.

Weights are the constants below; those of features and productions stand in the tables.
"""

from __future__ import annotations

import ast
import functools
import random
import warnings
from dataclasses import dataclass

from fuzz_branches import BRANCH_FEATURES
from fuzz_breaks import (
    BREAK_FEATURES,
    BREAK_HEAD,
    TORCH_BREAK_FEATURES,
    TORCH_BREAK_HEAD,
)
from fuzz_calls import CALL_FEATURES
from fuzz_containers import CONTAINER_FEATURES
from fuzz_numbers import (
    CORE_PLACES,
    NUMBER_FEATURES,
    SIZED_CALLS,
    SIZED_CORE,
    SIZED_FEATURES,
    SIZED_HEAD,
    TORCH_PLACES,
    VARIED_CALLS,
    VARIED_TENSOR_CALLS,
    fill_numbers,
)
from fuzz_objects import OBJECT_FEATURES
from fuzz_tables import CORE, HOLE, REFUSED, Feature
from fuzz_torch import TORCH_CALLS, TORCH_CORE, TORCH_FEATURES, TORCH_HEAD, TORCH_WRAPS
from fuzz_values import VALUE_FEATURES

FEATURES = OBJECT_FEATURES + CONTAINER_FEATURES + CALL_FEATURES + VALUE_FEATURES

TENSOR_SHARE = 0.15  # of programs
# Of programs: sizes or numbers are others in each call.  Of those with tensors, this part has
# tensors of other sizes.
VARIED_SHARE = 0.4
SIZED_SHARE = 0.7
SAME_SHARE = 0.2  # of the calls of such a program: the numbers of the call before
VARIED_FEATURE_SHARE = 0.8  # of these programs: features that compute with numbers
BLOCK_SHARE = 0.3  # of statements, while there is depth left
# Scripts that build the state anew before every call, so that programs that count
# something can hit, too.
RESET_SHARE = 0.7
TENSOR_RESET_SHARE = 0.9
CORE_SHARE = 0.4  # of productions that the core and a feature both have
REFUSED_SHARE = 0.1  # of draws of a production that makes a run break: others go again
BREAK_SHARE = 0.5  # of programs that have features made to break (fuzz_breaks.py)
VARIED_BREAK_SHARE = 0.4  # of these, where numbers vary
BREAK_REFUSED_SHARE = 0.5  # the same as REFUSED_SHARE, there

#: Do programs with tensors have branches on them (`--control-flow`)?
control_flow = False

Step = tuple[str, str]  # "call" and arguments, or "change" and a statement

HEAD = """\
import abc, bisect, collections, collections.abc, contextlib, contextvars, copy
import dataclasses, enum, functools, heapq, itertools, math, operator, threading, types, typing
import datetime, re, struct, sys, threading, warnings, weakref
"""
CALLS = [
    "1", "1", "2, 0", "0, b=True", "1, 2, 3, c=0", "xs", "n1, 2", "[1, 2]", "1.0",
    "True", "'s'", "d, xs", "b=0, a=3", "xs, xs", "0", "-1, n2", "(1, 2)", "None",
]  # fmt: skip
CAUGHT = """
def safe(*args, **kw):
    try:
        return body(*args, **kw)
    except Exception as e:
        return type(e), e.args
"""
WRAPS = [
    *[CAUGHT + "f = safe\n"] * 12,
    "f = body\n",
    "def f(*args, **kw):\n    return body(*args, **kw)\n",
    CAUGHT + "f = lambda *args, **kw: (safe(*args, **kw), g)\n",
    CAUGHT + "f = (lambda inner: lambda *a, **k: [inner(*a, **k)])(safe)\n",
    CAUGHT + "class Runner:\n    last = 0\n    def run(self, *args, **kw):\n"
    "        self.last = g\n        return self, safe(*args, **kw)\nf = Runner().run\n",
]  # fmt: skip


@dataclass(frozen=True)
class Program:
    """A source whose function `f` is compiled, and what callers do with it."""

    source: str
    steps: tuple[Step, ...]
    torch: bool = False
    varied: bool = False  # numbers or sizes are others in each call

    def __str__(self) -> str:
        marks = {"call": ">>>", "change": "!!!"}
        script = "\n".join(f"{marks[kind]} {text}".strip() for kind, text in self.steps)
        return f"{self.source.strip()}\n{script}\n"


def parse(text: str) -> Program:
    """Read back what `str` of a program wrote."""
    kinds = {">>>": "call", "!!!": "change"}
    source, steps = [], []
    for line in text.splitlines():
        if line[:3] in kinds:
            steps.append((kinds[line[:3]], line[3:].strip()))
        else:
            source.append(line)
    joined = "\n".join(source)
    return Program(joined + "\n", tuple(steps), "import torch" in joined)


class Maker:
    """Draws text from the productions of some features."""

    def __init__(self, draw: random.Random, core: Feature, chosen: list[Feature]):
        self.draw = draw
        self.core = core
        self.chosen = chosen
        breaks = set(map(id, BREAK_FEATURES + TORCH_BREAK_FEATURES))
        self.breaks = any(id(feature) in breaks for feature in chosen)
        self.refused = BREAK_REFUSED_SHARE if self.breaks else REFUSED_SHARE

    def pick(self, kind: str) -> str:
        """Return a production: the core's, or one of a feature that has the kind."""
        pools = [p for f in self.chosen if (p := f.of(kind))]
        if not pools or (self.core.of(kind) and self.draw.random() < CORE_SHARE):
            pools = [self.core.of(kind)]
        while True:
            form = self.draw.choice(self.draw.choice(pools))
            if not form.startswith(REFUSED):
                return form
            if self.draw.random() < self.refused:
                return form.removeprefix(REFUSED)

    def leaf(self, kind: str) -> str:
        """Return a production without holes; the last resort are fixed names."""
        for _ in range(8):
            form = self.pick(kind)
            if not HOLE.search(form):
                return form
        return self.LEAVES[kind]

    LEAVES = {
        "I": "1", "B": "True", "S": "'a'", "L": "l", "V": "xs", "N": "n1", "D": "d",
        "K": "'a'", "T": "()", "O": "o", "F": "helper", "C": "Node", "X": "x", "M": "m1",
    }  # fmt: skip

    def expression(self, kind: str, depth: int) -> str:
        form = self.leaf(kind) if depth <= 0 else self.pick(kind)
        return self.fill(form, depth - 1)

    def fill(self, form: str, depth: int) -> str:
        return HOLE.sub(lambda m: self.expression(m[1], depth), form)

    def simple(self, indent: str) -> list[str]:
        form = self.fill(self.pick("-"), self.draw.choice([0, 1, 1, 2]))
        return [indent + part for part in form.split("; ")]

    def block(self, depth: int, indent: str, most: int = 3) -> list[str]:
        lines: list[str] = []
        for _ in range(self.draw.randint(1, most)):
            lines += self.statement(depth, indent)
        return lines

    def statement(self, depth: int, indent: str) -> list[str]:
        if depth == 0 or self.draw.random() > BLOCK_SHARE:
            return self.simple(indent)
        body = self.block(depth - 1, indent + "    ", 2)
        return self.draw.choice(self.BLOCKS)(self, depth, indent, body)

    def headed(self, depth: int, indent: str, body: list[str]) -> list[str]:
        head = indent + self.fill(self.pick("H"), 1)
        if head.lstrip().startswith("while"):
            body = [*body, indent + "    i += 1"] if " i " in head else body
        if not head.lstrip().startswith("if") or self.draw.random() < 0.5:
            return [head, *body]
        other = self.block(depth - 1, indent + "    ", 2)
        return [head, *body, indent + "else:", *other]

    def loop(self, depth: int, indent: str, body: list[str]) -> list[str]:
        k = f"k{depth}"  # nested loops must not share their counters
        inner = indent + "    "
        stop = self.draw.choice(["break", "continue", "pass"])
        return [
            f"{indent}{k} = 0",
            f"{indent}while {k} < 2 and ({self.expression('B', 1)}):",
            f"{inner}{k} += 1", *body,
            f"{inner}if {self.expression('B', 0)}:", f"{inner}    {stop}",
        ]  # fmt: skip

    def caught(self, depth: int, indent: str, body: list[str]) -> list[str]:
        inner = indent + "    "
        which = self.draw.choice(
            ["(LookupError, AttributeError)", "Exception", "Exception", "KeyError"]
        )
        lines = [f"{indent}try:", *body, f"{indent}except {which} as e:"]
        lines += [f"{inner}log.append(type(e).__name__)"]
        if self.draw.random() < 0.5:
            lines += self.block(depth - 1, inner, 2)
        if self.draw.random() < 0.2:
            lines += [f"{indent}else:", *self.block(0, inner, 1)]
        return lines

    def final(self, depth: int, indent: str, body: list[str]) -> list[str]:
        other = self.block(0, indent + "    ", 1)
        return [f"{indent}try:", *body, f"{indent}finally:", *other]

    def leave(self, depth: int, indent: str, body: list[str]) -> list[str]:
        result = self.expression("R", 2)
        return [
            f"{indent}if {self.expression('B', 1)}:", *body,
            f"{indent}    return {result}",
        ]  # fmt: skip

    def local(self, depth: int, indent: str, body: list[str]) -> list[str]:
        """A function of its own, with cells shared with its maker."""
        inner = indent + "    "
        tensors = self.core is TORCH_CORE
        names = self.draw.choice(["i, o", "i"] if tensors else ["i, l", "i, o", "n, s"])
        return [
            f"{indent}def inner{depth}(x=1):", f"{inner}nonlocal {names}", *body,
            f"{inner}return i, x",
            self.draw.choice([f"{indent}o = inner{depth}({self.expression('I', 0)})",
                              f"{indent}out.append(inner{depth})"]),
        ]  # fmt: skip

    BLOCKS = [headed, headed, headed, loop, caught, caught, final, leave, local]


@functools.cache
def _resets(state: str) -> str:
    """The plain assignments of a feature's state; `name: object = value` stays."""
    kept = []
    for node in ast.parse(state).body:
        text = ast.unparse(node)
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)):
            if "ContextVar(" not in text:
                kept.append(text)
    return "; ".join(kept)


def _choose(draw: random.Random, table: list[Feature], most: int) -> list[Feature]:
    count = draw.randint(1, most)
    weights = [f.weight for f in table]
    chosen: list[Feature] = []
    for feature in draw.choices(table, weights, k=count):
        if feature not in chosen:
            chosen.append(feature)
    return chosen


def _choose_breaks(draw: random.Random, table: list[Feature]) -> list[Feature]:
    """Mostly none; else the first of the table, and often some of the others."""
    if draw.random() > BREAK_SHARE:
        return []
    others = _choose(draw, table[1:], 2) if len(table) > 1 else []
    return [table[0], *others]


def _script(draw: random.Random, maker: Maker, calls: list[str]) -> list[Step]:
    arguments = draw.choice(calls)
    resets = [_resets(f.state) for f in (maker.core, *maker.chosen)]
    reset = ("change", "; ".join(filter(None, resets)))
    share = TENSOR_RESET_SHARE if maker.core is TORCH_CORE else RESET_SHARE
    always = draw.random() < share
    once = [reset] if always else []
    steps: list[Step] = [("call", arguments), *once, ("call", arguments)]
    steps += [*once, ("call", arguments)]
    for _ in range(draw.randint(1, 3)):
        changes = [
            ("change", maker.fill(maker.pick("!"), 1))
            for _ in range(draw.choice([1, 1, 2]))
        ]
        if draw.random() < 0.2:
            arguments = draw.choice(calls)
        for _ in range(draw.randint(2, 3)):
            steps += [*once, *changes, ("call", arguments)]
            if not always:
                changes = []
        if draw.random() < 0.3:
            steps += [reset, ("call", arguments)]
    if sum(kind == "call" for kind, _ in steps) < 5:
        steps += [*once, ("call", arguments)]
    return steps


def _varied_script(
    draw: random.Random, maker: Maker, calls: list[str], places: list[str], sizes: str
) -> list[Step]:
    """Calls with other numbers in each: `sizes` first, then the state, then its numbers."""
    places = places + [form for f in (maker.core, *maker.chosen) for form in f.of("%")]
    vary = draw.sample(places, draw.randint(0 if sizes else 1, 3))
    arguments = draw.choice(calls)
    resets = "; ".join(
        filter(None, [_resets(f.state) for f in (maker.core, *maker.chosen)])
    )
    always = draw.random() < RESET_SHARE
    fixed = draw.random() < 0.3  # what the caller changes besides, from some call on
    steps: list[Step] = []
    filled: list[Step] = []
    for number in range(draw.randint(7, 10)):
        if number == 0 or draw.random() >= SAME_SHARE:
            texts = [fill_numbers(draw, text) for text in vary]
            before = (
                [fill_numbers(draw, sizes)] if sizes and (always or number == 0) else []
            )
            first = [resets] if always or number == 0 else []
            filled = [("change", text) for text in (*before, *first, *texts)]
            filled += [("call", fill_numbers(draw, arguments))]
        if number == 5 and fixed:
            steps += [("change", maker.fill(maker.pick("!"), 1))]
        steps += filled
    return steps


def _plain(draw: random.Random) -> Program:
    varied = draw.random() < VARIED_SHARE
    breaks = _choose_breaks(draw, BREAK_FEATURES)
    chosen = breaks + _choose(draw, FEATURES, 3)
    if varied and draw.random() < VARIED_FEATURE_SHARE:
        others = chosen if draw.random() < VARIED_BREAK_SHARE else chosen[len(breaks) :]
        chosen = _choose(draw, NUMBER_FEATURES, 2) + others[: draw.randint(0, 2)]
    maker = Maker(draw, CORE, chosen)
    names = sorted({n for f in (CORE, *chosen) for n in f.of("G")})
    body = maker.block(2, "    ") + maker.block(1, "    ")
    result = maker.fill("i, l, @I, @O, n, s, o, out, fns", 1)
    start = ["i, l, n, s, o, out, fns = a, [b], n1, 'abc', None, [], []"]
    if draw.random() < 0.9:
        start += ["del log[:-1]"]
    wrap = draw.choice(WRAPS)
    if any(call in line for line in body for call in ("print(", "stdout.")):
        wrap = draw.choice(["f = body\n", wrap])  # a `try` around it keeps it eager
    source = [
        HEAD + BREAK_HEAD * maker.breaks, CORE.state, *(f.state for f in chosen),
        "def body(a, b=1, *args, c=2):", f"    global {', '.join(names)}",
        *("    " + line for line in start), *body, f"    return {result}",
        wrap,
    ]  # fmt: skip
    if varied:
        steps = _varied_script(draw, maker, VARIED_CALLS, CORE_PLACES, "")
    else:
        steps = _script(draw, maker, CALLS)
    return Program("\n".join(source), tuple(steps), varied=varied)


def _tensor(draw: random.Random) -> Program:
    varied = draw.random() < VARIED_SHARE
    if varied and draw.random() < SIZED_SHARE:
        return _sized(draw)
    breaks = _choose_breaks(draw, TORCH_BREAK_FEATURES)
    chosen = breaks + _choose(draw, TORCH_FEATURES, 2)
    if control_flow:
        chosen = BRANCH_FEATURES + chosen[: draw.randint(0, 1)]
    maker = Maker(draw, TORCH_CORE, chosen)
    names = sorted({n for f in (TORCH_CORE, *chosen) for n in f.of("G")})
    body = maker.block(1, "    ")
    result = maker.fill("t, x, y, out, i, @X", 1)
    source = [
        TORCH_HEAD + TORCH_BREAK_HEAD * maker.breaks, TORCH_CORE.state,
        *(f.state for f in chosen),
        "def body(x, y=None):", f"    global {', '.join(names)}",
        "    y = w if y is None else y", "    t, out, i, u, o = x * 1, [], 1, y, None",
        "    del log[:-1]", *body, f"    return {result}", draw.choice(TORCH_WRAPS),
    ]  # fmt: skip
    if varied:
        calls = VARIED_TENSOR_CALLS
        steps = _varied_script(draw, maker, calls, TORCH_PLACES, "")
    else:
        steps = _script(draw, maker, TORCH_CALLS)
    return Program("\n".join(source), tuple(steps), True, varied)


def _sized(draw: random.Random) -> Program:
    breaks = []
    if draw.random() < VARIED_BREAK_SHARE:
        breaks = _choose_breaks(draw, TORCH_BREAK_FEATURES[:1])
    chosen = breaks + _choose(draw, SIZED_FEATURES, 2)
    maker = Maker(draw, SIZED_CORE, chosen)
    names = sorted({n for f in (SIZED_CORE, *chosen) for n in f.of("G")})
    body = maker.block(1, "    ") + maker.block(1, "    ", 2)
    result = maker.fill("t, x, out, i, @X", 1)
    source = [
        SIZED_HEAD + TORCH_BREAK_HEAD * maker.breaks, SIZED_CORE.state,
        *(f.state for f in chosen),
        "def body(x, y=None):", f"    global {', '.join(names)}",
        "    y = w if y is None else y", "    t, out, i, u = x * 1, [], 1, y",
        "    del log[:-1]", *body, f"    return {result}", draw.choice(TORCH_WRAPS),
    ]  # fmt: skip
    sizes = draw.choice(["rows = #d", "cols = #d", "rows, cols = #d, #d"])
    steps = _varied_script(draw, maker, SIZED_CALLS, [], sizes)
    return Program("\n".join(source), tuple(steps), True, True)


def draw_program(draw: random.Random, tensors: bool) -> Program:
    """Draw programs until one compiles."""
    make_one = _tensor if tensors else _plain
    while True:
        program = make_one(draw)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(program.source, "<program>", "exec")
        except SyntaxError:  # a quote in a quote, say
            continue
        return program


def make(seed: int, number: int, tensors: bool = True) -> Program:
    """Program `number` of a seed; without torch no tensor programs are drawn."""
    draw = random.Random(f"{seed}:{number}")
    return draw_program(draw, tensors and draw.random() < TENSOR_SHARE)
