"""The oracle of every test: a program run eager beside the same program compiled.

A program lives in two *worlds* that were built alike and share no mutable state.  Each
step (a call, or a change of state by the caller) is made in both.  After a call the
oracle describes what Python can reach in each world (results so far, arguments, state)
as text in which every mutable object has a number, and compares the two texts.  Equal
texts mean equal values, types, order of keys, exceptions and side effects, and the same
sharing of objects between outputs, inputs and state.

Describing runs no code of the program: it reads types, instance dicts and slots through
`object` and `type`.  torch is only looked at when the program has imported it.
"""

from __future__ import annotations

import _random
import array
import builtins
import collections
import difflib
import enum
import functools
import gc
import io
import itertools
import linecache
import math
import operator
import os
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

SCALARS = (
    bool, int, float, complex, str, bytes,
    type(None), type(...), type(NotImplemented), range,
)  # fmt: skip
MAX_RECORDINGS = 3  # of one call pattern, until it is stable
VERIFY = os.environ.get("MAGPY_VERIFY", "0") != "0"  # hits prove themselves (--verify)
BACKEND = os.environ.get("MAGPY_TEST_BACKEND", "eager")  # of programs with tensors
COMPILED_TOLERANCE = 5e-3  # what is wrong is further off
TOLERANCE = None if BACKEND == "eager" else COMPILED_TOLERANCE  # None: bitwise
HALF_TOLERANCE = 10  # times that of other numbers
_EMPTY = ([], (), {}, {}.values(), {}.items(), set(), "", range(0), reversed([]))
ITERATORS = {type(iter(empty)) for empty in _EMPTY} | {
    zip, map, filter, enumerate, types.GeneratorType,
}  # fmt: skip
NAMED = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
TORCH_PLAIN = {
    ("torch", name) for name in ("Size", "dtype", "device", "layout", "memory_format")
}
CLASS_NOISE = {
    "__dict__", "__weakref__", "__doc__", "__module__", "__static_attributes__",
    "__firstlineno__", "__abstractmethods__", "_abc_impl", "__annotations__",
    "_autograd_function_id",  # a number that torch counts up
}  # fmt: skip


def _scalar_text(value: Any) -> str:
    if type(value) is float:
        if math.isnan(value):
            return "float nan"
        return "float " + value.hex()
    if type(value) is complex:
        return f"complex({_scalar_text(value.real)}, {_scalar_text(value.imag)})"
    return f"{type(value).__name__} {value!r}"


def _is_plain(value: Any) -> bool:
    """Immutable through and through: its identity says nothing."""
    kind = type(value)
    if kind in SCALARS or (kind.__module__, kind.__name__) in TORCH_PLAIN:
        return True
    if kind.__name__ == "Size" and kind.__module__ == "torch":
        return True
    return kind in (tuple, frozenset) and all(map(_is_plain, value))


def _is_imported(value: Any) -> bool:
    is_module = issubclass(type(value), types.ModuleType)
    return is_module and sys.modules.get(value.__name__) is value


def hidden_state(value: Any, kind: type) -> Any:
    """What an object of C holds besides items and attributes; None: nothing known."""
    if issubclass(kind, array.array):
        return value.typecode, value.tobytes()
    if issubclass(kind, _random.Random):
        return hash(_random.Random.getstate(value))
    if kind is io.StringIO and not value.closed:
        return value.getvalue(), value.tell()
    return repr(value) if kind is itertools.count else None


CACHE = type(functools.lru_cache(abs))


def cache_entries(value: Any) -> list[Any]:
    """Keys and answers in turn, those first that are thrown away first; the counters."""
    info = CACHE.cache_info(value)
    inside = gc.get_referents(value)[1:]  # key, answer and a class for each link
    if info.maxsize is None:
        table = next(o for o in inside if type(o) is dict)
        pairs = [part for entry in table.items() for part in entry]
    else:
        pairs = [o for i, o in enumerate(inside[: 3 * info.currsize]) if i % 3 < 2]
    return [tuple(info), *pairs]


def _home(thing: Any) -> str | None:
    """'module.qualname' of a class or function that a real module holds."""
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    found: Any = module
    for part in thing.__qualname__.split("."):
        found = getattr(found, "__dict__", {}).get(part)
        if isinstance(found, (staticmethod, classmethod)):
            found = found.__func__
    return f"{thing.__module__}.{thing.__qualname__}" if found is thing else None


class Description:
    """Text of an object graph, breadth first from the roots, one line per object."""

    def __init__(self, exact: bool = True, verbose: bool = False) -> None:
        self.exact = exact
        self.verbose = verbose
        self.numbers: dict[int, int] = {}
        self.storages: dict[int, int] = {}
        self.queue: collections.deque[Any] = collections.deque()
        self.kept: list[Any] = []
        self.tensors: list[Any] = []
        self.lines: list[str] = []

    def add(self, label: str, root: Any) -> None:
        self.lines.append(f"{label} = {self.ref(root)}")
        while self.queue:
            value = self.queue.popleft()
            number = self.numbers[id(value)]
            self.lines.append(f"  #{number} {self.body(value)}")

    def ref(self, value: Any) -> str:
        kind = type(value)
        if kind in SCALARS:
            return _scalar_text(value)
        if (kind.__module__, kind.__name__) in TORCH_PLAIN:
            return f"{kind.__name__} {value}"
        if _is_plain(value):
            items = map(self.ref, value)
            if kind is frozenset:
                items = sorted(items)
            return f"{kind.__name__}({', '.join(items)})"
        if _is_imported(value):
            return f"module {value.__name__}"
        if value is builtins.__dict__:
            return "the builtins"
        if issubclass(kind, (type, types.FunctionType)):
            home = _home(value)
            if home:
                return home
        if kind.__module__ == "torch" and kind.__name__ == "device":
            return f"device {value}"  # torch makes a new one whenever it is asked
        if kind is types.CodeType:
            return f"code {value.co_qualname}:{value.co_firstlineno}"
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.numbers)
            self.kept.append(value)
            self.queue.append(value)
        return f"#{self.numbers[id(value)]}"

    def pairs(self, items: Iterable[tuple[Any, Any]]) -> str:
        return ", ".join(f"{self.ref(k)}: {self.ref(v)}" for k, v in items)

    def items(self, items: Iterable[Any]) -> str:
        return ", ".join(map(self.ref, items))

    def members(self, items: Iterable[Any]) -> str:
        """Elements of a set: plain and known ones first, in an order of their own."""
        known = [v for v in items if _is_plain(v) or id(v) in self.numbers]
        fresh = [v for v in items if not _is_plain(v) and id(v) not in self.numbers]
        fresh.sort(key=_sort_key)
        return ", ".join(sorted(map(self.ref, known)) + list(map(self.ref, fresh)))

    def body(self, value: Any) -> str:
        kind = type(value)
        special = self.special(value, kind)
        if special is not None:
            return special
        text = f"{self.ref(kind)}"
        for base, show in self.CONTENT:
            if issubclass(kind, base):
                text += show(self, base, value)
        attributes = _attributes(value)
        if attributes:
            text += f" .{{{self.pairs(attributes)}}}"
        return text

    def sequence(self, base: type, value: Any) -> str:
        tail = f" maxlen={value.maxlen}" if base is collections.deque else ""
        return f" [{self.items(base.__iter__(value))}]{tail}"

    def mapping(self, base: type, value: Any) -> str:
        ordered = issubclass(type(value), collections.OrderedDict)
        keys = (collections.OrderedDict if ordered else dict).__iter__(value)
        return f" {{{self.pairs((k, dict.__getitem__(value, k)) for k in keys)}}}"

    def default(self, base: type, value: Any) -> str:
        return f" default={self.ref(value.default_factory)}"

    def set_(self, base: type, value: Any) -> str:
        return f" {{{self.members(list(base.__iter__(value)))}}}"

    def scalar(self, base: type, value: Any) -> str:
        return f" {base.__repr__(value)}"

    def exception(self, base: type, error: BaseException) -> str:
        return (
            f" args={self.ref(error.args)} cause={self.ref(error.__cause__)}"
            f" context={self.ref(error.__context__)} {error.__suppress_context__}"
        )

    CONTENT = (
        (list, sequence), (tuple, sequence), (collections.deque, sequence),
        (dict, mapping), (collections.defaultdict, default),
        (set, set_), (frozenset, set_),
        (int, scalar), (float, scalar), (complex, scalar), (str, scalar),
        (bytes, scalar), (BaseException, exception),
    )  # fmt: skip

    def special(self, value: Any, kind: type) -> str | None:
        """Kinds whose content is neither items nor attributes."""
        if issubclass(kind, types.ModuleType):
            return f"module {value.__name__} {{{self.pairs(vars(value).items())}}}"
        if kind is types.FunctionType:
            return self.function(value)
        if issubclass(kind, type):
            return self.class_(value)
        if kind is types.MethodType:
            return f"method {self.ref(value.__func__)} of {self.ref(value.__self__)}"
        if kind is types.BuiltinFunctionType:
            owner = value.__self__
            return f"builtin {value.__qualname__} of {self.ref(owner)}"
        if kind is types.CellType:
            try:
                return f"cell {self.ref(value.cell_contents)}"
            except ValueError:
                return "cell, empty"
        if kind is functools.partial:
            return f"partial {self.ref((value.func, value.args, value.keywords))}"
        if kind is CACHE:
            attributes = self.pairs(_attributes(value))
            return f"cache [{self.items(cache_entries(value))}] .{{{attributes}}}"
        if kind in (staticmethod, classmethod):
            return f"{kind.__name__} {self.ref(value.__func__)}"
        if kind is property:
            return f"property {self.ref((value.fget, value.fset, value.fdel))}"
        if kind is slice:
            return f"slice({self.items((value.start, value.stop, value.step))})"
        if kind in NAMED:
            return f"{kind.__name__} {value.__qualname__}"
        if kind in ITERATORS:
            return f"{kind.__name__}, {operator.length_hint(value, -1)} left"
        if issubclass(kind, weakref.ref):
            return f"weakref to {self.ref(value())}"
        if issubclass(kind, enum.Enum):
            return f"{self.ref(kind)}.{value._name_}"
        inside = hidden_state(value, kind)
        if inside is not None:
            return f"{self.ref(kind)} {inside!r}"
        return self.torch_special(value, kind)

    def function(self, f: types.FunctionType) -> str:
        parts = (f.__defaults__, f.__kwdefaults__, f.__closure__, f.__dict__ or None)
        return f"function {f.__qualname__} {self.ref(f.__code__)} ({self.items(parts)})"

    def class_(self, cls: type) -> str:
        own = type.__getattribute__(cls, "__dict__")
        shown = [
            (name, value)
            for name, value in own.items()
            if name not in CLASS_NOISE and type(value) not in NAMED
        ]
        bases = self.items(cls.__bases__)
        return f"class {cls.__qualname__}({bases}) {{{self.pairs(shown)}}}"

    def torch_special(self, value: Any, kind: type) -> str | None:
        torch = sys.modules.get("torch")
        if torch is None:
            return None
        if issubclass(kind, torch.Tensor):
            return self.tensor(torch, value)
        numpy = sys.modules.get("numpy")
        if numpy is not None and issubclass(kind, (numpy.ndarray, numpy.generic)):
            return (
                f"{kind.__name__} {value.dtype} {value.shape} {value.tobytes().hex()}"
            )
        if kind is torch.Generator:
            return "generator"
        return None

    def tensor(self, torch: Any, t: Any) -> str:
        with torch.no_grad():
            if t.layout is not torch.strided:
                return f"{type(t).__name__} {t.layout} of {self.ref(t.to_dense())}"
            storage = t.untyped_storage()
            shared = self.storages.setdefault(storage.data_ptr(), len(self.storages))
            if not storage.nbytes():
                shared = -1
            self.tensors.append(t)
            text = (
                f"{type(t).__name__} {t.dtype} {tuple(t.shape)} {t.stride()} {t.device}"
                f" grad={t.requires_grad} memory={shared}+{t.storage_offset()}"
            )
            if self.exact:
                plain = t.detach().resolve_conj().resolve_neg()
                raw = plain.contiguous().view(-1).view(torch.uint8)
                data = raw.numpy().tobytes()
                text += f" {hash(data):x}"
            if self.verbose:
                text += f" {t.detach().flatten()[:4].tolist()}"
        if t.is_leaf and t.grad is not None:
            text += f" .grad={self.ref(t.grad)}"
        if t.__dict__:
            text += f" .{{{self.pairs(t.__dict__.items())}}}"
        return text


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """Instance dict and slots, read without running the program's code."""
    found: list[tuple[str, Any]] = []
    for name, member in _slots(type(value)):
        try:
            found.append((name, member.__get__(value)))
        except AttributeError:
            continue
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = {}
    return found + list(own.items())


@functools.lru_cache(maxsize=256)
def _slots(cls: type) -> list[tuple[str, Any]]:
    return [
        (name, member)
        for base in cls.__mro__
        if base not in _BUILT_IN
        for name, member in type.__getattribute__(base, "__dict__").items()
        if type(member) is types.MemberDescriptorType
    ]


def _sort_key(value: Any) -> tuple[str, str]:
    plain = [(n, _scalar_text(v)) for n, v in _attributes(value) if type(v) in SCALARS]
    return type(value).__qualname__, str(plain)


_BUILT_IN = {
    cls for cls in vars(sys.modules["builtins"]).values() if isinstance(cls, type)
} | {collections.deque, collections.OrderedDict, collections.defaultdict}


# -- Worlds and steps -----------------------------------------------------------------


@dataclass
class World:
    fn: Callable[..., Any]
    state: Any = None  # whatever the program can reach and the test wants compared
    view: Callable[[Any], Any] = lambda state: state  # the part of it to describe
    seen: list[Any] = field(default_factory=list)  # results and arguments so far

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict) -> None:
        try:
            outcome = ("returned", fn(*args, **kwargs))
        except Exception as error:
            outcome = ("raised", _without_tracebacks(error))
        self.seen.append((outcome, args, kwargs))

    def describe(self, exact: bool, verbose: bool = False) -> Description:
        description = Description(exact, verbose)
        for number, record in enumerate(self.seen):
            description.add(f"call {number}", list(record))
        description.add("state", self.view(self.state))
        return description


def _without_tracebacks(error: BaseException) -> BaseException:
    """A kept traceback would keep every frame's objects alive."""
    link: BaseException | None = error
    visited = set()
    while link is not None and id(link) not in visited:
        visited.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class Pair:
    """The same program eager and compiled; every step compares them.

    build()  makes a World; called twice, it must build two that are alike
    wrap(fn) compiles; stats(compiled) answers with the counters
    keep     how many calls stay described: sharing between the results of several
             calls is seen only while they are
    whole    hits must answer whole calls: no run may break
    """

    def __init__(
        self,
        build: Callable[[], World],
        wrap: Callable[[Callable[..., Any]], Any],
        stats: Callable[[Any], dict[str, Any]],
        keep: int = 6,
        tolerance: float | None = None,
        whole: bool = True,
    ) -> None:
        self.eager = build()
        self.fast = build()
        self.compiled = wrap(self.fast.fn)
        self.stats = lambda: stats(self.compiled)
        self.keep = keep
        self.tolerance = tolerance
        self.whole = whole
        self.steps: list[str] = []

    def change(self, label: str, action: Callable[[World], Any]) -> None:
        self.steps.append(f"change: {label}")
        action(self.eager)
        action(self.fast)

    def call(
        self, label: str, inputs: Callable[[World], tuple[tuple[Any, ...], dict]]
    ) -> bool:
        """One call in each world; was the compiled one a hit?"""
        self.steps.append(f"call: {label}")
        before = self.stats()
        for world, fn in ((self.eager, self.eager.fn), (self.fast, self.compiled)):
            world.call(fn, *inputs(world))
            del world.seen[: -self.keep]
        after = self.stats()
        self.compare()
        assert not after.get("diverged"), f"verify mode\n{self.history()}"
        assert after["calls"] == before["calls"] + 1, f"calls not counted: {after}"
        hit = after["hits"] - before["hits"]
        if VERIFY:  # data may end the second recording where it did not end the first
            hit = max(hit, after.get("verified", 0) - before.get("verified", 0))
        assert hit in (0, 1), f"{hit} hits counted for one call"
        self.steps[-1] += " (hit)" if hit else ""
        return bool(hit)

    def compare(self) -> None:
        exact = self.tolerance is None
        ours, theirs = self.fast.describe(exact), self.eager.describe(exact)
        if ours.lines != theirs.lines:
            ours, theirs = (w.describe(exact, True) for w in (self.fast, self.eager))
            text = "\n".join(
                difflib.unified_diff(theirs.lines, ours.lines, "eager", "compiled", n=1)
            )
            raise AssertionError(f"differs from eager\n{self.history()}\n{text[:6000]}")
        if not exact:
            for a, b in zip(ours.tensors, theirs.tensors, strict=True):
                self.close(a, b)

    def close(self, ours: Any, theirs: Any) -> None:
        torch = sys.modules["torch"]
        half = theirs.dtype in (torch.float16, torch.bfloat16)
        limit = self.tolerance * (HALF_TOLERANCE if half else 1)
        try:
            with torch._C.DisableTorchFunctionSubclass():
                plain = [t.detach().as_subclass(torch.Tensor) for t in (ours, theirs)]
                torch.testing.assert_close(
                    *plain, rtol=limit, atol=limit, equal_nan=True
                )
        except AssertionError as error:
            text = f"compiled {ours}\neager {theirs}\n{error}"
            raise AssertionError(f"not close\n{self.history()}\n{text}") from None

    def stable(
        self,
        calls: Sequence[tuple[str, Callable[[World], tuple[tuple[Any, ...], dict]]]],
        hits: int = 2,
    ) -> None:
        """Passes over `calls` until `hits` in a row hit; few may record before that."""
        recording = hit = 0
        broken = 0
        while hit < hits:
            broken = broken if hit else self.stats()["partial_hits"]
            if all([self.call(label, inputs) for label, inputs in calls]):
                hit += 1
                continue
            hit = 0
            recording += 1
            assert recording <= MAX_RECORDINGS, f"not stable\n{self.history()}"
        if self.whole:
            assert self.stats()["partial_hits"] == broken, f"broken\n{self.history()}"

    def history(self) -> str:
        return "\n".join([*self.steps, f"stats: {self.stats()}"])


# -- Programs as text -----------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A program of a text table; see `cases`."""

    name: str
    source: str
    calls: tuple[str, ...]
    changes: tuple[tuple[str, bool], ...] = ()  # statement, is a hit required after it?
    hit: bool = True
    target: str = "f"

    def __str__(self) -> str:
        return self.name

    def build(self) -> World:
        """Run the program in a namespace of its own."""
        file = f"<program {self.name}>"
        lines = self.source.splitlines(keepends=True)
        linecache.cache[file] = (len(self.source), None, lines, file)
        space: dict[str, Any] = {"__name__": "program"}
        exec(_compiled(self.source, file), space)
        return World(eval(self.target, space), space)


@functools.lru_cache(maxsize=16)
def _compiled(source: str, file: str) -> types.CodeType:
    return compile(source, file, "exec", dont_inherit=True)  # both worlds share it


def _pack(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def evaluated(text: str) -> Callable[[World], tuple[tuple[Any, ...], dict]]:
    def evaluate(world: World) -> tuple[tuple[Any, ...], dict]:
        return eval(f"pack({text})", world.state, {"pack": _pack})

    return evaluate


def executed(statement: str) -> Callable[[World], Any]:
    return lambda world: exec(statement, world.state)


def cases(table: str) -> list[Case]:
    """Parse a table of programs.

    === name         starts a program; its function `f` is compiled, and must hit
    === name | of x  the expression x is compiled instead
    === name | eager a hit is not required
    >>> arguments    a call; evaluated anew for each one
    !!! statement    the caller changes state; all calls run again
    ??? statement    the same, but a hit is not required after it
    """
    found = []
    for block in re.split(r"^=== ", table, flags=re.MULTILINE)[1:]:
        head, *lines = block.splitlines()
        name, *flags = head.split(" | ")
        calls, changes, source = [], [], []
        for line in lines:
            mark, rest = line[:3], line[3:].strip()
            if mark == ">>>":
                calls.append(rest)
            elif mark in ("!!!", "???"):
                changes.append((rest, mark == "!!!"))
            else:
                source.append(line)
        found.append(
            Case(
                name,
                "\n".join(source).strip() + "\n",
                tuple(calls or [""]),
                tuple(changes),
                hit="eager" not in flags,
                target=next((x[3:] for x in flags if x.startswith("of ")), "f"),
            )
        )
    assert len({case.name for case in found}) == len(found), "two programs, one name"
    return found


class Reports:
    """A verifier for programs without tensors: divergences end the test."""

    def report(self, info: dict[str, Any]) -> Exception:
        return AssertionError(f"verify mode: {info}")

    def raised(self, notes: object) -> bool:
        return False


def engine_compile(fn: Callable[..., Any], **options: Any) -> Any:
    """Compile with the bare engine: no torch, no graphs."""
    from magpy._engine import CompiledFunction

    compiled = CompiledFunction(fn, **options)
    if VERIFY:
        compiled.set_verify(1, Reports())
    return compiled


def torch_compile(fn: Callable[..., Any], **options: Any) -> Any:
    """Compile with the backend of this test run (``--backend``).

    Inductor is asked for eager's random numbers and roundings.
    """
    import magpy

    if BACKEND == "inductor":
        options["options"] = {"fallback_random": True, "emulate_precision_casts": True}
    return magpy.compile(fn, backend=BACKEND, **options)


def reasons(compiled: Any) -> set[str]:
    """Why calls were not recorded, as a whole or up to a break."""
    counted = compiled.stats()
    return {*counted["breaks"], *counted["reasons"]}


def whole_hits(compiled: Any) -> int:
    """Hits that answered a whole call."""
    counted = compiled.stats()
    return counted["hits"] - counted["partial_hits"]


def check(
    case: Case,
    wrap: Callable[[Callable[..., Any]], Any] = engine_compile,
    stats: Callable[[Any], dict[str, Any]] = lambda compiled: compiled.stats(),
    whole: bool = True,
    tolerance: float | None = None,
) -> Pair:
    """Run a case: until stable, two hits, then each change and again."""
    pair = Pair(case.build, wrap, stats, whole=whole, tolerance=tolerance)
    calls = [(text, evaluated(text)) for text in case.calls]

    def round_of_calls(hit: bool, hits: int) -> None:
        if hit:
            return pair.stable(calls, hits)
        for _ in range(3):
            for label, inputs in calls:
                pair.call(label, inputs)

    round_of_calls(case.hit, 2)
    for statement, hit in case.changes:
        pair.change(statement, executed(statement))
        round_of_calls(case.hit and hit, 1)
    return pair
