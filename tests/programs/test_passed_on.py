"""Containers that the run only passes on: nobody asks what they hold, so they may grow."""

from __future__ import annotations

import collections
import functools
import types
from collections.abc import Callable

import pytest

import magpy


class Holds:
    def __init__(self, v: object) -> None:
        self.v = v


class Makes:
    def __new__(cls, v: object) -> object:
        made = object.__new__(cls)
        made.v = v
        return made


class HoldsList(list):
    def __init__(self, v: object) -> None:
        self.v = v


class HoldsDict(dict):
    def __init__(self, v: object) -> None:
        self.v = v


class Error(Exception):
    pass


class ErrorWithInit(Exception):
    def __init__(self, v: object) -> None:
        super().__init__()
        self.v = v


class Meta(type):
    def __call__(cls, v: object) -> int:
        return 1


class OfMeta(metaclass=Meta):
    pass


Named = collections.namedtuple("Named", "v")


def answer(*args: object) -> int:
    return 1


PASSES: dict[str, Callable[[object], object]] = {
    "init": Holds,
    "new": Makes,
    "list_with_init": HoldsList,
    "dict_with_init": HoldsDict,
    "exception": Error,
    "exception_with_init": ErrorWithInit,
    "exception_in_c": ValueError,
    "metaclass": OfMeta,
    "namedtuple": Named,
    "namespace": lambda v: types.SimpleNamespace(a=v),
    "partial": lambda v: functools.partial(answer, v),
    "partial_called": lambda v: functools.partial(answer, v)(),
    "bound": lambda v: types.MethodType(answer, v),
    "bound_called": lambda v: types.MethodType(answer, v)(),
    "isinstance": lambda v: isinstance(v, list),
    "isinstance_of_several": lambda v: isinstance(v, (int, (str, bytes))),
    "isinstance_of_union": lambda v: isinstance(v, int | str),
    "issubclass": lambda v: issubclass(type(v), list),
    "callable": lambda v: callable(v),
    "append": lambda v: [].append(v),
    "insert": lambda v: [].insert(0, v),
    "deque": lambda v: collections.deque().append(v),
    "deque_left": lambda v: collections.deque().appendleft(v),
    "setdefault": lambda v: {}.setdefault(1, v),
    "default": lambda v: ({}.get(1, v), {}.pop(1, v), getattr(1, "zz", v)),
    "dict": lambda v: dict(a=v),
    "ordered_dict": lambda v: collections.OrderedDict(a=v),
    "default_dict": lambda v: collections.defaultdict(list, a=v),
    "update": lambda v: {}.update(a=v),
    "extend": lambda v: [].extend([v]),
    "add": lambda v: ([v] + [v], (v,) + (v,)),
    "multiply": lambda v: ([v] * 2, (v,) * 2),
    "unpacked": lambda v: [*[v], *(v,)],
}


@pytest.mark.parametrize("kind", [list, dict, set])
@pytest.mark.parametrize("name", PASSES)
def test_passed_on(name: str, kind: type) -> None:
    use = PASSES[name]

    def f(v: object) -> int:
        use(v)
        return 1

    fast, v = magpy.compile(f, backend="eager"), kind()
    for _ in range(10):
        assert fast(v) == 1
        if kind is list:
            v.append(1)
        elif kind is set:
            v.add(len(v))
        else:
            v[len(v)] = 1
    assert magpy.stats(fast)["hits"] == 9


ASKS: dict[str, Callable[[object], object]] = {
    "list": list,
    "list_class": lambda v: list.__len__(type("L", (list,), {})(v)),
    "tuple_class": lambda v: len(type("T", (tuple,), {})(v)),
    "extend": lambda v: len([0] + [*v]),
    "items": lambda v: ([] + v, v * 2),
    "dict": lambda v: len(dict.fromkeys(v)),
}


@pytest.mark.parametrize("name", ASKS)
def test_asked(name: str) -> None:
    use = ASKS[name]

    def f(v: object) -> object:
        return use(v)

    fast, v = magpy.compile(f, backend="eager"), [1]
    for k in range(6):
        assert repr(fast(v)) == repr(use(v))
        if k % 2:
            v.append(k)
