"""Write the pages that follow from code, and the output of the examples in the docs.

    python tools/gen_docs.py [--check]

docs/env_vars.md comes from magpy.config; docs/reasons.md, docs/effect_classes.md and
docs/internals/invariants.md come from the tables of the engine and of the package.  In
every page, a line `<!-- run -->` before a block of Python says that the block of text
behind it is what the Python prints; `<!-- run on -->`, that it goes on where the last
such block of the page ended.  The table behind a line `<!-- claims: NAME -->` is
what the programs of tools/limits.py show.  Both need torch.  With --check nothing is
written, and what is out of date is named.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import linecache
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import limits
from sources import ROOT

DOCS = ROOT / "docs"
NOTE = "<!-- Made by tools/gen_docs.py: do not edit. -->\n"
EXAMPLE = re.compile(
    r"^<!-- run(?P<on> on)? -->\n"
    r"```python\n(?P<code>.*?)^```\n\n```text\n(?P<output>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
CLAIMS = re.compile(r"^<!-- claims: (\w+) -->\n\n(?:\|.*\n)*", re.MULTILINE)
# What differs between Python and torch versions and says nothing.
NOISE = re.compile(
    r"\d+(?= instructions)|\d+(?= more$)|(?<=ambient \()\d+", re.MULTILINE
)

# Why eager answers although the run itself was not refused: slug -> what to do.
DISPATCH_HINTS = {
    "arguments": "nothing: the call raises the function's own TypeError",
    "other-callable": "compile the Python function that it calls",
    "entry-limit": "raise magpy.config.max_entries, or compile a part that varies less",
    "compiling": "nothing: later calls find the graph compiled",
    "compile-failed": "read the warning; MAGPY_VERBOSE_ERRORS=1 shows all of it",
    "graph-raised": "nothing if eager mode raises, too; otherwise please report it",
    "stance": "nothing: it is what was asked for",
    "diverged": "please report the program with the text of the report",
    "is_compiling-differs": "nothing: the call keeps the answer of eager mode, False",
    "backoff": "keep the named value out of the compiled function, or make it constant",
}
# The same for decisions of the Python package, before there is an engine object.
PACKAGE_REASONS = {
    "config": (
        "`magpy.config.enabled` is off",
        "switch it on before you compile",
    ),
    "engine-off": (
        "the engine does not support this CPython, torch or build",
        "`python -m magpy env` says why",
    ),
    "backend-failed": (
        "the backend raised an exception while it compiled (name in warnings; counted "
        "as `compile-failed`)",
        "MAGPY_LOGS=graph and MAGPY_VERBOSE_ERRORS=1 show everything",
    ),
    "bare-result": (
        "the callable that the backend returned gives a tensor instead of a tuple of "
        "one (a warning; the tensor is used)",
        "return a tuple or a list from the callable",
    ),
    "no-cuda-graph": (
        "the graph runs without CUDA graphs, although the mode or the backend asks for "
        "them (a warning)",
        "the warning contains the reason",
    ),
    "no-modes": (
        "`mode=` was given for a backend without modes (a warning)",
        "leave `mode` out",
    ),
}

# New objects that a program may return or store: what they are, and an example.
LAYOUTS_SETUP = """
import array, collections, dataclasses, datetime, functools, operator, types, weakref

class C:
    def m(self):
        return self

class Slots:
    __slots__ = ("a",)

class Own:
    def __hash__(self):
        return 5
    def __eq__(self, other):
        return self is other

class Text(str):
    pass

class Error(Exception):
    pass

Point = collections.namedtuple("Point", "x y")
Data = dataclasses.make_dataclass("Data", ["a"], frozen=True)
kept = C()

def raised():
    try:
        raise Error(1)
    except Error as error:
        return error

def cycle():
    inner = []
    outer = (inner, 1)
    inner.append(outer)
    return outer

def beside():
    made = C()
    made.a = 1
    return made, vars(made)

def keyed():
    made = {}
    made[Own()] = 1
    return made
"""
LAYOUTS = {
    "`tuple`, `list`, `dict`, `set`, `frozenset`, `slice`": "({1: [2]}, {3}, slice(4))",
    "subclasses of these, with their attributes": "collections.Counter('a')",
    "`OrderedDict`, `defaultdict`, `deque`": "collections.deque([1], 3)",
    "named tuples": "Point(1, [2])",
    "instances of classes in Python, dataclasses": "C(), Data(1)",
    "instances with `__slots__`": "Slots()",
    "subclasses of `str`, `bytes`, `int`, `float`, `complex`": "Text('a')",
    "`types.SimpleNamespace`": "types.SimpleNamespace(a=[1])",
    "`bytearray`": "bytearray(b'ab')",
    "functions, closures, lambdas": "(lambda a=[1]: a)",
    "bound methods": "kept.m",
    "bound methods of C types": "[1].append, kept.__eq__",
    "`functools.partial`": "functools.partial(print, [1])",
    "`types.MappingProxyType`": "types.MappingProxyType({1: [2]})",
    "weak references to objects that stay alive": "weakref.ref(kept)",
    "exceptions that were not raised": "ValueError([1]), Error(1)",
    "exceptions that were raised (they have a traceback)": "raised()",
    "exceptions with C members (`OSError`, `StopIteration`, ...)": "OSError(2, 'no')",
    "objects that contain themselves, at any depth": "cycle()",
    "an object beside its own `__dict__`": "beside()",
    "keys with their own `__hash__` in Python": "keyed()",
    "weak references with a callback": "weakref.ref(kept, print)",
    "views of dicts": "{1: 2}.keys()",
    "iterators of list, tuple, range and str": "iter([1])",
    "`enumerate`, `zip`, `map`, `filter`": "enumerate([1])",
    "iterators of dicts": "iter({1: 2})",
    "other iterators": "reversed([1])",
    "generators": "(x for x in [1])",
    "`property`, `staticmethod`, `classmethod`": "property(len)",
    "`operator.itemgetter`, `attrgetter`, `methodcaller`": "operator.itemgetter(1)",
    "generic aliases": "types.GenericAlias(list, (int,))",
    "`array.array`": "array.array('i', [1])",
    "`datetime` objects": "datetime.timedelta(days=1)",
}


# -- Pages -----------------------------------------------------------------------------


def env_vars_page() -> str:
    """One row per knob, one per log artifact."""
    from magpy.config import config
    from magpy.logs import ARTIFACTS

    lines = [
        NOTE,
        "# Settings",
        "",
        "Every setting is a knob of `magpy.config` and an environment variable, which",
        "is read when `magpy` is imported. A bad value is ignored, with a warning",
        "that lists the valid ones. `magpy.config.patch(...)` sets knobs for a `with`",
        "block, and `python -m magpy env` shows all values.",
        "",
        "| variable | knob | type | default | what it does |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, knob in config.knobs().items():
        kind = knob.type.__name__
        kind += f" >= {knob.minimum}" if knob.minimum is not None else ""
        if knob.choices:
            kind = ", ".join(f"`{value!r}`" for value in knob.choices)
        lines.append(
            f"| `{knob.env}` | `{name}` | {kind} | `{knob.default!r}` | {knob.doc} |"
        )
    lines += [
        "",
        "`max_entries` and `max_instructions` are read when a function is compiled;",
        "later changes do not affect it.",
        "",
        "## Logs",
        "",
        '`MAGPY_LOGS="guards,+graph,-breaks"`: a name switches a log on, `+` with',
        "more detail, `-` off; `all` means every log. Each log is a logger of",
        "Python's `logging`, `magpy.<name>`.",
        "",
        "| log | content |",
        "| --- | --- |",
    ]
    lines += [f"| `{name}` | {text} |" for name, text in ARTIFACTS.items()]
    return "\n".join(lines) + "\n"


def dispatch_reasons() -> dict[str, str]:
    """Slug and meaning of each `mp_fallback`, from engine/call/stats.h and call/stats.c."""
    header = (ROOT / "engine" / "call" / "stats.h").read_text(encoding="utf-8")
    source = (ROOT / "engine" / "call" / "stats.c").read_text(encoding="utf-8")
    meanings = dict(re.findall(r"^    (MP_FB_\w+), +// (.+)$", header, re.MULTILINE))
    slugs = dict(re.findall(r'\[(MP_FB_\w+)\] = "([\w-]+)"', source))
    if not meanings or meanings.keys() != slugs.keys():
        raise SystemExit("gen_docs: stats.h and stats.c do not list the same fallbacks")
    found = {slugs[name]: meaning for name, meaning in meanings.items()}
    found["backoff"] = (
        "one guard failed in many calls in a row, so the next calls are not recorded; "
        "`backoff: x` names the value that it checks"
    )
    return found


def reasons_page() -> str:
    """Every reason that can stand in ``magpy.stats(f)["reasons"]``."""
    from magpy import _engine

    lines = [
        NOTE,
        "# Why a call broke or stayed eager",
        "",
        '`magpy.stats(f)["breaks"]` counts graph breaks under the ids below,',
        '`["reasons"]` counts calls that ran in eager mode as a whole; `["places"]`',
        "adds detail, file and line. `fullgraph=True` raises `magpy.Unsupported` with",
        "an id of the first table.",
        "",
        "## An instruction that cannot be recorded",
        "",
        "The graph ends before the instruction, CPython executes it, and the next",
        "graph begins after it. If no break is possible there, the whole call runs in",
        "eager mode. Kinds:",
        "",
        "- *fundamental*: no graph can hold it;",
        "- *unsupported*: MagPy has no rule for it yet;",
        "- *user*: the program asked for it;",
        "- *limit*: a bound was reached, or another tool is in the way;",
        "- *bug*: a defect of MagPy.",
        "",
        "| id | kind | what happened | what to do |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{r['slug']}` | {r['kind']} | {r['what']} | {r['hint']} |"
        for r in _engine.reasons()
    ]
    lines += [
        "",
        "After repeated failures at one place MagPy does not record the next calls;",
        "they are counted under the same id.",
        "",
        "## A call for which no recording was made or used",
        "",
    ]
    lines += ["| id | what happened | what to do |", "| --- | --- | --- |"]
    known = dispatch_reasons()
    if known.keys() != DISPATCH_HINTS.keys():
        odd = known.keys() ^ DISPATCH_HINTS.keys()
        raise SystemExit(f"gen_docs: no hint for {sorted(odd)}")
    lines += [f"| `{s}` | {what} | {DISPATCH_HINTS[s]} |" for s, what in known.items()]
    lines += ["", "## Nothing is compiled, and warnings about a backend", ""]
    lines += ["| id | what happened | what to do |", "| --- | --- | --- |"]
    lines += [f"| `{s}` | {w} | {h} |" for s, (w, h) in PACKAGE_REASONS.items()]
    return "\n".join(lines) + "\n"


def opcodes_page() -> str:
    """What every instruction reads."""
    from magpy import _engine

    lines = [
        NOTE,
        "# What instructions read",
        "",
        "The identity and the type of operands are guarded when the operands are",
        "loaded. This table says what each instruction reads beyond that, and which",
        "function guards it. The second column comes from",
        "`engine/compat/opcodes.def`; the handlers are in `engine/python/instr.c` and",
        "the files that it calls.",
        "",
        "| instruction | reads |",
        "| --- | --- |",
    ]
    lines += [f"| `{row['name']}` | {row['reads']} |" for row in _engine.opcodes()]
    return "\n".join(lines) + "\n"


PARTS = {
    "graph": "The reference graph (`engine/trace/refgraph.h`)",
    "guards": "The guard program (`engine/guard/guard.h`)",
    "journal": "The journal of writes (`engine/read/write.c`)",
    "frames": "Watched frames (`mp_shadow` in `engine/trace/trace.h`)",
    "log": "The operator log (`engine/graph/oplog.c`)",
    "counts": "Lists that belong together, and counters",
    "plan": "The finished plan (`engine/plan/plan.h`), before its guards are weakened",
}


INVARIANTS = """
Conditions that hold after each instruction while a segment is recorded. The texts come
from `engine/trace/invariants.def`. In builds with assertions `mp_trace_check` in
`engine/trace/check.c` checks what an instruction has added at once, and the whole
segment from time to time (less often the longer it gets) and at its end. A condition
that does not hold is a bug of the engine: the process stops and names the invariant,
before wrong guards or effects result.

With `MP_TRACE_CHECK=full` everything is checked after each instruction, as in `make
asan` and `make fuzz`; `MP_TRACE_CHECK=off` switches the checks off. Test builds without
assertions check only if the variable is set; release builds do not contain the checks.
`tests/unit/test_invariants.py` violates each invariant (`engine/trace/plant.c`) and
expects the report.

A new invariant is a row of `engine/trace/invariants.def`, a check, and a way to violate
it.
"""


def invariants_page() -> str:
    from magpy import _engine

    rows = _engine.invariants()
    lines = ["# Invariants", "", NOTE, INVARIANTS.strip()]
    for part, title in PARTS.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| invariant | what must hold |",
            "| --- | --- |",
        ]
        lines += [
            f"| `{row['id']}` | {row['text']} |" for row in rows if row["part"] == part
        ]
    return "\n".join(lines) + "\n"


def effect_classes_page() -> str:
    """Every rule for C code, and the rows by module or type."""
    from magpy import _engine

    rules = _engine.effect_rules()
    lines = [
        NOTE,
        "# What C code does",
        "",
        "MagPy watches Python code while it records, but cannot watch C code. So",
        "`engine/objects/builtins.def` gives each C function a rule, and",
        "`engine/objects/rules.def` says what the rule means: what the function",
        "reads, writes and returns. A C function without a row is refused",
        "(`opaque-call`). `magpy._engine.effect_class(f)` returns the class of any",
        "callable: a class of the table, `python` (its frames are watched), `torch`",
        "(an operation, or a row of torch's table), or `numpy` (pure for constants",
        "and for arrays that the call itself made).",
        "",
        "| rule | class | what such a function does, and how it is recorded |",
        "| --- | --- | --- |",
    ]
    lines += [f"| `{r['rule']}` | {r['class']} | {r['text']} |" for r in rules]
    whole: dict[str, list[str]] = {}
    owners: dict[str, dict[str, list[str]]] = {}
    for row in _engine.effect_rows():
        if row["name"] == "*":
            whole.setdefault(row["rule"], []).append(f"`{row['owner']}`")
        else:
            names = owners.setdefault(row["owner"], {}).setdefault(row["rule"], [])
            names.append(f"`{row['name']}`")
    lines += [
        "",
        "## Whole modules and types",
        "",
        "The rule holds for all functions of a module and all methods of a type,",
        "except for those with a row of their own below.",
        "",
    ]
    lines += [f"- `{rule}`: {', '.join(sorted(whole[rule]))}" for rule in sorted(whole)]
    lines += ["", "## One by one", ""]
    for owner in sorted(owners):
        rules_of = sorted(owners[owner].items())
        texts = [f"`{rule}` {', '.join(sorted(names))}" for rule, names in rules_of]
        lines.append(f"- **{owner}**: {'; '.join(texts)}")
    return "\n".join(lines) + "\n"


def try_layout(example: str) -> str:
    """Return "yes", or why a call that returns the example's objects breaks or is eager."""
    from magpy import _engine

    space: dict[str, Any] = {"__name__": "example"}
    exec(compile(LAYOUTS_SETUP, "example.py", "exec", dont_inherit=True), space)
    fast = _engine.CompiledFunction(eval(f"lambda: ({example})", space))
    fast()
    fast()
    stats = fast.stats()
    if stats["hits"] == 1 and stats["partial_hits"] == 0:
        return "yes"
    place = stats["places"][0]
    return f"no, `{place['reason']}`: {place['detail']}"


def outputs_page() -> str:
    """Each kind of new object, with what happens when a call returns one."""
    lines = [
        NOTE,
        "# What a call can return or store",
        "",
        "A call can always return or store constants, tensors, and objects that",
        "existed before the call. A hit rebuilds new objects from their C layout:",
        "constructors, `__post_init__` and setters do not run again. Identity,",
        "sharing and order are as in eager mode. `tools/gen_docs.py` ran each",
        "example; the last column is the result. For *no* it gives the reason for",
        "which the call breaks or stays eager.",
        "",
        "| new object | example | rebuilt |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {w} | `{e}` | {try_layout(e)} |" for w, e in LAYOUTS.items()]
    return "\n".join(lines) + "\n"


# -- Examples --------------------------------------------------------------------------


def run_example(code: str, space: dict[str, Any] | None = None) -> str:
    """Return what `code` prints as a module `example`, or as more code of `space`."""
    import torch

    import magpy

    space = {} if space is None else space
    file = "example.py"
    before: list[str] = []
    if space:
        before = linecache.getlines(file)
    else:
        magpy.reset()
        torch.manual_seed(0)
        space["__name__"] = "example"
    lines = before + code.splitlines(keepends=True)
    linecache.cache[file] = (sum(map(len, lines)), None, lines, file)
    code = "\n" * len(before) + code  # so that line numbers are those of `lines`
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), torch.no_grad():
        exec(compile(code, file, "exec", dont_inherit=True), space)
    return printed.getvalue()


def with_outputs(
    text: str, run: Callable[[str, dict[str, Any]], str] = run_example
) -> str:
    """Return a page with the output of its examples brought up to date."""
    space: dict[str, Any] = {}

    def renewed(match: re.Match[str]) -> str:
        nonlocal space
        if match["on"] is None:
            space = {}
        output = run(match["code"], space)
        if NOISE.sub("N", output) == NOISE.sub("N", match["output"]):
            return match.group()
        start = match.start()
        head = match.group()[: match.start("output") - start]
        return f"{head}{output}```"

    return EXAMPLE.sub(renewed, text)


def with_claims(text: str) -> str:
    """Return a page with its tables of claims, each shown by a program."""
    return CLAIMS.sub(
        lambda m: f"<!-- claims: {m[1]} -->\n\n{limits.table(m[1])}", text
    )


# -- All of it -------------------------------------------------------------------------


def pages_with_examples() -> list[Path]:
    return sorted([ROOT / "README.md", *DOCS.rglob("*.md")])


def renewed_pages() -> dict[Path, str]:
    """Return every page as it should be."""
    pages = {
        DOCS / "env_vars.md": env_vars_page(),
        DOCS / "reasons.md": reasons_page(),
        DOCS / "effect_classes.md": effect_classes_page(),
        DOCS / "internals" / "opcodes.md": opcodes_page(),
        DOCS / "internals" / "invariants.md": invariants_page(),
        DOCS / "outputs.md": outputs_page(),
    }
    if importlib.util.find_spec("torch") is None:
        return pages
    for path in pages_with_examples():
        if path not in pages:
            pages[path] = with_claims(with_outputs(path.read_text(encoding="utf-8")))
    return pages


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    stale = 0
    for path, text in renewed_pages().items():
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if text == before:
            continue
        stale += 1
        print(f"{path.relative_to(ROOT)}: {'out of date' if args.check else 'written'}")
        if not args.check:
            path.write_text(text, encoding="utf-8")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
