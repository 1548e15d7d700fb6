"""Every callable that Python code can reach has an effect class (objects/builtins.def)."""

from __future__ import annotations

import importlib
import itertools
import re
import types
from collections.abc import Iterator
from typing import Any

import pytest

eng = pytest.importorskip("magpy._engine_testing")
pytest.importorskip("magpy._engine")

from magpy import _engine  # noqa: E402

MODULES = """
_collections_abc abc array ast asyncio atexit base64 binascii bisect builtins calendar
cmath codecs collections collections.abc contextlib contextvars copy copyreg csv ctypes
dataclasses datetime decimal dis enum errno faulthandler fnmatch fractions functools gc
glob graphlib hashlib heapq html inspect io itertools json keyword linecache locale
logging marshal math mmap numbers operator os pathlib pickle platform pprint queue
random re reprlib secrets select shutil signal socket statistics string struct
subprocess sys tempfile textwrap threading time tokenize traceback types typing
unicodedata uuid warnings weakref zlib zoneinfo
""".split()
METHODS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.BuiltinFunctionType,
)


def import_or_skip(name: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        pytest.skip(f"this CPython has no {name}")


def reachable(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield what can be called in a module, and the C methods of its types."""
    for name, value in list(vars(module).items()):
        if callable(value):
            yield name, value
        if isinstance(value, type):
            for method, found in list(vars(value).items()):
                if isinstance(found, METHODS):
                    yield f"{name}.{method}", found


@pytest.mark.parametrize("name", MODULES)
def test_has_class(name):
    module = import_or_skip(name)
    known = {row["class"] for row in _engine.effect_rules()}
    known |= {"python", "torch", "numpy"}
    classes = {path: _engine.effect_class(f) for path, f in reachable(module)}
    assert [path for path, found in classes.items() if found not in known] == []


def test_methods_of_numpy_are_known():
    numpy = pytest.importorskip("numpy")
    assert _engine.effect_class(numpy.add) == "numpy"
    assert _engine.effect_class(numpy.concatenate) == "numpy"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("len", "reads"),
        ("math.sqrt", "pure"),
        ("operator.add", "operator"),
        ("str.join", "value"),
        ("', '.join", "value"),
        ("int.from_bytes", "value"),
        ("bool.__and__", "value"),
        ("int.__add__", "value"),
        ("(1).__add__", "calls"),
        ("tuple.index", "pure"),
        ("list.append", "writes"),
        ("[].append", "writes"),
        ("dict.__or__", "own"),
        ("list", "moves"),
        ("ValueError", "moves"),
        ("iter", "calls"),
        ("re.compile('a').match", "value"),
        ("datetime.date.today", "hidden"),
        ("datetime.date.isoformat", "value"),
        ("random.random", "hidden"),
        ("random.choice", "python"),
        ("time.time", "hidden"),
        ("os.getpid", "hidden"),
        ("os.fspath", "pure"),
        ("gc.collect", "hidden"),
        ("sys.getsizeof", "hidden"),
        ("print", "writes"),
        ("open", "effect"),
        ("io.StringIO", "effect"),
        ("eval", "calls"),
        ("array.array", "opaque"),
        ("json.dumps", "python"),
        ("collections.ChainMap", "python"),
        ("collections.Counter().update", "python"),
        ("functools.partial(len)", "calls"),
        ("functools.lru_cache(len)", "calls"),
        ("3", "unlisted"),
    ],
)
def test_class_of(expression, expected):
    names = "array collections datetime functools gc io json math operator os random re"
    space = {name: importlib.import_module(name) for name in names.split()}
    space |= {name: importlib.import_module(name) for name in ("sys", "time")}
    assert _engine.effect_class(eval(expression, space)) == expected


def test_rows_and_rules_fit():
    rules = {row["rule"]: row for row in _engine.effect_rules()}
    rows = _engine.effect_rows()
    assert {row["rule"] for row in rows} == rules.keys()
    places = [(row["owner"], row["name"]) for row in rows]
    assert len(set(places)) == len(places)


def test_every_row_names_something():
    """A row of a module or type that exists is for one of its names, on some CPython."""
    newer = {"batched", "_sha2", "_path_splitroot_ex", "_sha256", "_sha512"}
    newer |= {"__buffer__", "__release_buffer__", "framelocalsproxy"}
    missing = []
    for row in _engine.effect_rows():
        owner, name = row["owner"], row["name"]
        try:
            place = importlib.import_module(owner)
        except ImportError:
            module, _, last = owner.rpartition(".")
            try:
                place = getattr(importlib.import_module(module or owner), last, None)
            except ImportError:
                continue  # a module of another platform or version
        if place is None:
            missing.append(owner)
        elif name != "*" and not hasattr(place, name):
            missing.append(f"{owner}.{name}")
    assert [m for m in missing if m.rpartition(".")[2] not in newer] == []


def arguments(probe: Any) -> Iterator[tuple[tuple, dict]]:
    """Ways to give a callable to a function."""
    others = (1, "a", [1, 2], [(1,)], {1: 2})
    yield (probe,), {}
    yield (), {"key": probe}
    for x in others:
        yield (probe, x), {}
        yield (x, probe), {}
        yield (x,), {"key": probe}
        for y in others:
            yield (probe, x, y), {}
            yield (x, probe, y), {}
            yield (x, y, probe), {}
            yield (x, y), {"key": probe}


SELVES = ([1, 2], {1: 2}, {1}, "a", b"a", 1, 1.5, (1, 2), re.compile("a"))


def is_called_by(function: Any) -> bool:
    calls: list[tuple] = []

    def probe(*args: Any) -> int:
        calls.append(args)
        return 1

    owner = getattr(function, "__objclass__", None)
    selves = [(x,) for x in SELVES if owner and isinstance(x, owner)] if owner else [()]
    for first in selves:
        for args, names in arguments(probe):
            try:
                result = function(*first, *args, **names)
                if hasattr(result, "__next__"):
                    list(itertools.islice(result, 3))
            except Exception:  # wrong arguments
                continue
    return bool(calls)


@pytest.mark.parametrize(
    "name",
    "bisect builtins collections functools heapq itertools math operator re".split(),
)
def test_callers_are_marked(name):
    looks = {"pure", "moves", "reads", "writes", "operator", "value", "own"}
    found = {
        path
        for path, f in reachable(import_or_skip(name))
        if _engine.effect_class(f) in looks
        and is_called_by(f)
        and not eng.calls_back(f)
    }
    assert found == set()
