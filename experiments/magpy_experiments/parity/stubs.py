"""Stand-ins for packages that a project imports and that are not installed.

While a file is being imported its stubs allow anything: attributes, calls, subclasses,
decorators.  Afterwards a call raises, because what a module computed with a stand-in
would say nothing about a compiler.
"""

from __future__ import annotations

import abc
import functools
import importlib.abc
import importlib.machinery
import re
import sys
import types
import unittest
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HELPERS = "_paritybench_helpers"

#: Parts of torch that may import a stub: they only hand on what a package offers.
_HANDED_ON = ("torch.utils.tensorboard",)

_importing = False


class StubError(RuntimeError):
    """A package that is not installed was used, not only imported."""


def _check_use(name: str) -> None:
    if not _importing:
        raise StubError(f"{name} is not installed")


class StubClass(abc.ABCMeta):
    """Type of everything that a stub package has."""

    def __new__(mcs, name: str, bases: Any, namespace: Any, **_: Any) -> Any:
        return super().__new__(mcs, name, bases, namespace)

    def __init__(cls, name: str, bases: Any, namespace: Any, **_: Any) -> None:
        super().__init__(name, bases, namespace)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _make(f"{cls.__qualname__}.{name}")

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        _check_use(cls._own_name())
        if len(args) == 1 and not kwargs and _is_definition(args[0]):
            return args[0]  # as a decorator
        return _make(f"{cls.__qualname__}()")

    def _own_name(cls) -> str:
        """Return the stub that a class is, or derives from."""
        own = (base for base in cls.__mro__ if "_is_stub" in vars(base))
        return next(own, cls).__qualname__

    def __getitem__(cls, key: Any) -> Any:
        return cls

    def __iter__(cls) -> Iterator[Any]:
        return iter(())

    def __len__(cls) -> int:
        return 0

    def __bool__(cls) -> bool:
        return True

    def __contains__(cls, item: Any) -> bool:
        return False

    def __enter__(cls) -> Any:
        return cls

    def __exit__(cls, *_: Any) -> None:
        return None

    def __or__(cls, other: Any) -> Any:
        return cls

    def __lt__(cls, other: Any) -> bool:
        return False

    __le__ = __gt__ = __ge__ = __lt__
    __ror__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __or__
    __rmul__ = __truediv__ = __rtruediv__ = __matmul__ = __mod__ = __or__


class Stub(metaclass=StubClass):
    """Base of every class that a stub package has."""


def _is_definition(obj: object) -> bool:
    return isinstance(obj, (type, types.FunctionType)) and not isinstance(
        obj, StubClass
    )


@functools.cache
def _make(name: str) -> Any:
    module = name.partition(".")[0]
    made = StubClass(
        name.rpartition(".")[2], (Stub,), {"__module__": module, "_is_stub": True}
    )
    type.__setattr__(made, "__qualname__", name)
    return made


class StubModule(types.ModuleType):
    """A package of which nothing is known."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return _make(f"{self.__name__}.{name}")


class StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Last resort of the import system, for files of the checkout only.

    Args:
        root: folder of the files whose imports it answers.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for what nobody else found."""
        if not _importing or not self._is_asked_for(name):
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def _is_asked_for(self, name: str) -> bool:
        parent = sys.modules.get(name.rpartition(".")[0])
        if parent is not None and not isinstance(parent, StubModule):
            return False  # a real package that lacks it
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None:
            file = frame.f_code.co_filename
            module = frame.f_globals.get("__name__") or ""
            if file.startswith(self._root) or module.startswith(_HANDED_ON):
                return True
            if not module.startswith("importlib") and file != __file__:
                return False
            frame = frame.f_back
        return False

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Return the stub."""
        module = StubModule(spec.name)
        module.__version__ = "999.0"  # type: ignore[attr-defined]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Nothing to do."""


@contextmanager
def importing() -> Iterator[None]:
    """Let stubs be found and used for the time of a ``with`` block."""
    global _importing
    _importing = True
    try:
        yield
    finally:
        _importing = False


# -- the module of helpers that every file imports -------------------------------------


def make_helpers() -> types.ModuleType:
    """Return a module with what the files import from the checkout's helpers.

    The checkout's own one imports TorchDynamo, which changes what is measured.
    """
    import torch

    class Config(dict[Any, Any]):
        """A dict whose keys are attributes."""

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return self[name]

    class Block(torch.nn.ReLU):
        """A layer that keeps the shape of its input."""

        expansion = 1

    def layer(
        in_features: Any = None, out_features: Any = None, *_: Any, **kw: Any
    ) -> Any:
        if in_features and out_features:
            return torch.nn.Linear(in_features, out_features, **kw)
        return Block()

    def fails_compile() -> Callable[[Any], Any]:
        return lambda test: test

    module = types.ModuleType(HELPERS)
    vars(module).update(
        _mock_config=Config,
        _mock_layer=layer,
        _fails_compile=fails_compile,
        _paritybench_base=unittest.TestCase,
        patch_functional=_join_functional,
    )
    return module


@functools.cache
def _join_functional() -> None:
    """Many files import torch.functional and torch.nn.functional under one name."""
    import torch

    def lower(module: types.ModuleType) -> dict[str, Any]:
        return {k: v for k, v in vars(module).items() if re.match("[a-z]", k)}

    one, other = lower(torch.functional), lower(torch.nn.functional)
    vars(torch.functional).update({**other, **one})
    vars(torch.nn.functional).update({**one, **other})
