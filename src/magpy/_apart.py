"""What objects consist of: facts that must be equal, and parts that must be alike.

Taking an object apart runs no code of the program: items, attributes and slots are read
through the built-in types.
"""

from __future__ import annotations

import _random
import array
import builtins
import collections
import datetime
import decimal
import enum
import functools
import gc
import io
import itertools
import operator
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

#: An index, ".name", or a key in a tuple of its own.
Label: TypeAlias = Any
Pairs: TypeAlias = list[tuple[Label, Any]]
#: What must be equal, by name, and what must be alike.
Parts: TypeAlias = tuple[tuple[tuple[str, Any], ...], Pairs]

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}", re.IGNORECASE)
SINGLE = frozenset({bool, int, str, bytes, type(None), type(...), type(NotImplemented)})
SCALARS = SINGLE | {float, complex, range}
_TORCH_PLAIN = frozenset({
    "Size", "dtype", "device", "layout", "memory_format", "finfo", "iinfo",
})  # fmt: skip
_NAMED = (
    types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType,
    types.GetSetDescriptorType, types.MemberDescriptorType,
)  # fmt: skip
#: What a class has without anybody's doing.
_CLASS_NOISE = frozenset({
    "__dict__", "__weakref__", "__doc__", "__module__", "__static_attributes__",
    "__firstlineno__", "__abstractmethods__", "_abc_impl", "__annotations__",
    "_autograd_function_id",  # a number that torch counts up
})  # fmt: skip
#: Objects of C that say with `__reduce__` what they hold.
_REDUCED = {
    datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone,
    decimal.Decimal, itertools.count, operator.itemgetter, operator.attrgetter,
    operator.methodcaller,
}  # fmt: skip
_EMPTY: tuple[Any, ...] = (
    [], (), {}, {}.values(), {}.items(), set(), "", range(0), reversed([]),
)  # fmt: skip
_ITERATORS = {type(iter(empty)) for empty in _EMPTY} | {
    zip, map, filter, enumerate, types.GeneratorType,
}  # fmt: skip


class Apart:
    """Takes objects apart; one serves a comparison, and forgets with it.

    Args:
        addresses: texts with other addresses in them are other texts.
        ignored: how names of attributes begin that are left out.
    """

    def __init__(self, addresses: bool = True, ignored: tuple[str, ...] = ()) -> None:
        self._addresses = addresses
        self._ignored = ignored
        self._layouts: dict[type, _Layout] = {}

    def plain(self, value: Any) -> Any:
        """Return what tells one immutable value from others; None if it is none."""
        kind = type(value)
        if kind is str and not self._addresses:
            return kind, _ADDRESS.sub("0x", value)
        if kind in SINGLE:
            return kind, value
        if kind is float:
            return kind, "nan" if value != value else value.hex()
        if kind is complex:
            return kind, self.plain(value.real), self.plain(value.imag)
        if kind is range or is_torch_plain(kind):
            return kind, str(value)
        if kind is tuple or kind is frozenset:
            inside = [self.plain(item) for item in value]
            return None if None in inside else (kind, kind(inside))
        return None

    def parts(self, value: Any) -> Parts:
        """Return what an object consists of."""
        kind = type(value)
        special = _SPECIAL.get(kind)
        if special is not None:
            return special(value)
        facts: tuple[tuple[str, Any], ...] = ()
        inside: Pairs = []
        if issubclass(kind, types.ModuleType):
            return ((("module", value.__name__),), _items(vars(value)))
        if issubclass(kind, type):
            return _class(value)
        if issubclass(kind, weakref.ref):
            return (), [("()", weakref.ref.__call__(value))]
        if issubclass(kind, enum.Enum):
            return (("name", object.__getattribute__(value, "_name_")),), []
        torch = sys.modules.get("torch")
        if torch is not None and kind is torch.Generator:
            return (("state", value.get_state().numpy().tobytes()),), []
        if issubclass(kind, (set, frozenset)):
            base: Any = set if issubclass(kind, set) else frozenset
            plain = map(self.plain, base.__iter__(value))
            seen = frozenset(p for p in plain if p is not None)
            facts, inside = (("items", base.__len__(value)), ("members", seen)), []
        else:
            for base, content in _CONTENT:
                if issubclass(kind, base):
                    facts, inside = content(value)
                    break
        return facts, inside + self.attributes(value, kind)

    def attributes(self, value: Any, kind: type) -> Pairs:
        """Slots and the instance's dict, read without running the program's code."""
        layout = self._layouts.get(kind)
        if layout is None:
            layout = self._layouts[kind] = _Layout.of(kind)
        found: Pairs = []
        for name, member in layout.slots:
            try:
                found.append((f".{name}", member.__get__(value)))
            except AttributeError:
                continue
        own = layout.own(value) if layout.own is not None else None
        for name, held in dict.items(own) if own is not None else ():
            if type(name) is not str:
                found += [(".__dict__", name), (".__dict__", held)]
            elif not name.startswith(self._ignored):
                found.append((f".{name}", held))
        return found

    def members(self, value: Any) -> list[Any]:
        """Members of a set that have an identity."""
        base: Any = set if issubclass(type(value), set) else frozenset
        return [m for m in base.__iter__(value) if self.plain(m) is None]


# -- kinds of objects ------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """Where instances of a class keep their attributes."""

    slots: tuple[tuple[str, Any], ...]
    own: Callable[[Any], Any] | None  # the instance's dict

    @classmethod
    def of(cls, kind: type) -> _Layout:
        slots: list[tuple[str, Any]] = []
        own = None
        for base in type.__dict__["__mro__"].__get__(kind):
            members = type.__dict__["__dict__"].__get__(base)
            # Members of other types of C show how they work, and not what they hold.
            if "__slots__" in members or issubclass(base, BaseException):
                slots += [
                    (name, member)
                    for name, member in members.items()
                    if type(member) is types.MemberDescriptorType
                ]
            getter = members.get("__dict__")
            if own is None and type(getter) in (
                types.GetSetDescriptorType,
                types.MemberDescriptorType,
            ):
                own = getter.__get__
        return cls(tuple(slots), own)


def is_seen_whole(kind: type) -> bool:
    """Do items and attributes show all that there is to an instance?

    Else there are slots, or something of C.
    """
    if (
        issubclass(kind, (list, tuple, dict, set, frozenset, bytearray))
        or kind is slice
    ):
        return True
    words = (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ != 0)
    return (
        kind.__dictoffset__ != 0
        and kind.__itemsize__ == 0
        and kind.__basicsize__ <= object.__basicsize__ + words * tuple.__itemsize__
    )


def is_landmark(value: Any, kind: type) -> bool:
    """Is it found in a module that is imported, and so the same in both graphs?"""
    if kind is dict:
        return value is builtins.__dict__
    if issubclass(kind, types.ModuleType):
        return sys.modules.get(value.__name__) is value
    if kind is types.FunctionType or issubclass(kind, type):
        look = object if kind is types.FunctionType else type
        found: Any = look.__getattribute__(value, "__module__")
        found = sys.modules.get(found) if type(found) is str else None
        if found is None:
            return False
        for part in look.__getattribute__(value, "__qualname__").split("."):
            if not issubclass(type(found), (type, types.ModuleType)):
                return False
            found = vars(found).get(part)
            if type(found) in (staticmethod, classmethod):
                found = found.__func__
        return found is value
    return False


def is_torch_plain(kind: type) -> bool:
    """Is it a type of torch whose values have no identity?"""
    return kind.__module__ == "torch" and kind.__name__ in _TORCH_PLAIN


def _items(mapping: Mapping[Any, Any]) -> Pairs:
    """Keys in order, and then values."""
    return [
        *((".keys()", key) for key in mapping),
        *(((key,), value) for key, value in mapping.items()),
    ]


def _base(value: Any, bases: tuple[Any, ...]) -> Any:
    """Return the first of some classes that a value is an instance of."""
    return next(base for base in bases if issubclass(type(value), base))


def _sequence(value: Any) -> Parts:
    base = _base(value, (list, tuple, collections.deque))
    items = list(enumerate(base.__iter__(value)))
    if base is collections.deque:
        most = base.__dict__["maxlen"].__get__(value)
        return (("items", len(items)), ("maxlen", most)), items
    return (("items", len(items)),), items


def _mapping(value: Any) -> Parts:
    base = _base(value, (collections.OrderedDict, collections.defaultdict, dict))
    items = list(
        base.items(value) if base is not collections.defaultdict else dict.items(value)
    )
    inside: Pairs = [(".keys()", key) for key, _ in items]
    inside += [((key,), held) for key, held in items]
    if base is collections.defaultdict:
        factory = base.__dict__["default_factory"].__get__(value)
        inside.append((".default_factory", factory))
    return (("items", len(items)),), inside


def _error(value: BaseException) -> Parts:
    inside = [
        (f".{name}", BaseException.__dict__[name].__get__(value))
        for name in ("args", "__cause__", "__context__")
    ]
    return (), inside


def _partial(value: Any) -> Parts:
    names = ("func", "args", "keywords")
    return (), [(f".{n}", functools.partial.__dict__[n].__get__(value)) for n in names]


def _raw(*bases: Any) -> Callable[[Any], Parts]:
    """Subclasses of types whose text says all."""

    def content(value: Any) -> Parts:
        return (("value", _base(value, bases).__repr__(value)),), []

    return content


def _file(value: io.StringIO) -> Parts:
    if value.closed:
        return (("closed", True),), []
    text, at = io.StringIO.getvalue(value), io.StringIO.tell(value)
    return (("text", text), ("position", at)), []


_CONTENT: tuple[tuple[Any, Callable[[Any], Parts]], ...] = (
    ((list, tuple, collections.deque), _sequence),
    (dict, _mapping),
    (
        (int, float, complex, str, bytes, bytearray),
        _raw(int, float, complex, str, bytes, bytearray),
    ),
    (BaseException, _error),
    (functools.partial, _partial),
    (array.array, lambda v: ((("code", v.typecode), ("bytes", v.tobytes())), [])),
    (_random.Random, lambda v: ((("state", _random.Random.getstate(v)),), [])),
    (io.StringIO, _file),
)


def _function(f: types.FunctionType) -> Parts:
    facts = (("name", f.__qualname__),)
    parts = ("__code__", "__defaults__", "__kwdefaults__", "__closure__")
    own = f.__dict__ or None
    return facts, [*((f".{n}", getattr(f, n)) for n in parts), (".__dict__", own)]


def _class(cls: type) -> Parts:
    own = type.__dict__["__dict__"].__get__(cls)
    shown: Pairs = [
        (f".{name}", value)
        for name, value in own.items()
        if name not in _CLASS_NOISE and type(value) not in _NAMED
    ]
    names = tuple(name for name, _ in shown)
    facts = (("name", cls.__qualname__), ("attributes", names))
    return facts, [*shown, (".__bases__", cls.__bases__)]


def _cell(value: types.CellType) -> Parts:
    try:
        return (("empty", False),), [(".cell_contents", value.cell_contents)]
    except ValueError:
        return (("empty", True),), []


_CACHE: Any = type(functools.lru_cache(abs))


def _cache(value: Any) -> Parts:
    """Keys and answers in turn, those first that are thrown away first; the counters."""
    info = _CACHE.cache_info(value)
    inside = gc.get_referents(value)[1:]  # key, answer and a class for each link
    if info.maxsize is None:
        table = next(o for o in inside if type(o) is dict)
        held = [part for entry in table.items() for part in entry]
    else:
        held = [o for i, o in enumerate(inside[: 3 * info.currsize]) if i % 3 < 2]
    own = _CACHE.__dict__["__dict__"].__get__(value)
    return (("cache_info()", tuple(info)),), [*_labeled("", held), (".__dict__", own)]


def _labeled(label: str, values: Iterable[Any]) -> Pairs:
    return [(label, value) for value in values]


def _fields(*names: str) -> Callable[[Any], Parts]:
    def parts(value: Any) -> Parts:
        return (), [(f".{name}", getattr(value, name)) for name in names]

    return parts


_SPECIAL: dict[type, Callable[[Any], Parts]] = {
    types.FunctionType: _function,
    types.CellType: _cell,
    types.MethodType: _fields("__func__", "__self__"),
    types.BuiltinFunctionType: lambda v: (
        (("name", v.__qualname__),),
        [(".__self__", v.__self__)],
    ),
    staticmethod: _fields("__func__"),
    classmethod: _fields("__func__"),
    property: _fields("fget", "fset", "fdel"),
    slice: _fields("start", "stop", "step"),
    types.CodeType: lambda v: (
        (("name", v.co_qualname), ("line", v.co_firstlineno)),
        [],
    ),
    _CACHE: _cache,
}
_SPECIAL |= {kind: lambda v: ((("name", v.__qualname__),), []) for kind in _NAMED}
_SPECIAL |= {
    kind: lambda v: ((("items left", operator.length_hint(v, -1)),), [])
    for kind in _ITERATORS
}
_SPECIAL |= {
    kind: lambda v: ((), [(".__reduce__()", v.__reduce__())]) for kind in _REDUCED
}
