"""Compiled ``nn.Module``: another face of the same module.

A :class:`CompiledModule` has the original's ``__dict__`` as its own, so parameters,
buffers, submodules, hooks, the training flag and whatever else the module keeps are the
same objects under both.  Methods and attributes of the class come from the original, so
overridden ones are honoured; a method that answers the original (``.train()``,
``.to()``) answers the compiled module instead.  Only a call is different.

Calls: ``__call__`` is a descriptor in C over a slot that holds the engine's compiled
function.  No Python frame lies between the two.  Tracers (FX, TorchDynamo, export) look
for ``__call__`` and ``forward`` on the class; there they find functions that call the
original.

Libraries ask ``isinstance(model, TheirModel)``: ``__class__`` is that of the original, so
the answer is that for the original.  What knows the modules of ``torch.compile`` finds
``_orig_mod`` as there.  Lightning's Trainer compiles the steps of a module only if that is
an ``OptimizedModule``; a compiled ``LightningModule`` is both (`_Face`).
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch.nn

from magpy import _setup

_OWN = (
    "_magpy_original",
    "_magpy_options",
    "_magpy_forward",
    "_magpy_call",
    "_magpy_face",
)

# Modules, and the class in them whose instances a trainer compiles step by step.
_TRAINED = (
    ("lightning.pytorch", "LightningModule"),
    ("pytorch_lightning", "LightningModule"),
)


class _Unheard:
    """Stands before bases that are not to hear of a subclass."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        pass


class _Face(type):
    """A class that is there for ``isinstance``: all `kinds` are among its bases.

    No base has a say in it, as it would in a class statement.
    """

    def mro(cls) -> list[type]:
        bases = [base for kind in vars(cls)["kinds"] for base in kind.__mro__]
        shared = {base: None for base in reversed(bases)}  # the last of each
        return [cls, _Unheard, *reversed(shared)]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return vars(cls)["kinds"][0](*args, **kwargs)


def _face_of(kind: type) -> type:
    """Return what ``__class__`` of a compiled `kind` is."""
    dynamo = sys.modules.get("torch._dynamo.eval_frame")
    if dynamo is None:
        return kind
    for home, name in _TRAINED:
        trained = getattr(sys.modules.get(home), name, None)
        if isinstance(trained, type) and issubclass(kind, trained):
            namespace = {
                "kinds": (kind, dynamo.OptimizedModule),
                "__module__": kind.__module__,
                "__qualname__": kind.__qualname__,
                "__slots__": (),
            }
            return _Face(kind.__name__, (), namespace)
    return kind


class _FromOriginal:
    """Class attribute that reads from the original module's side."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return getattr(torch.nn.Module, self._name)
        value = getattr(obj._magpy_original, self._name)
        return _answering(obj, value) if inspect.ismethod(value) else value

    def __set__(self, obj: Any, value: object) -> None:
        setattr(obj._magpy_original, self._name, value)

    def __delete__(self, obj: Any) -> None:
        delattr(obj._magpy_original, self._name)


def _answering(compiled: CompiledModule, method: Any) -> Any:
    """Return `method`, with the compiled module in place of the original as answer."""
    original = compiled._magpy_original
    if method.__self__ is not original:
        return method

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        return compiled if result is original else result

    call.__func__ = method.__func__  # type: ignore[attr-defined]  # dynamo looks at it
    return call


class _Forward:
    """``forward``: compiled on an instance; on its class what tracers look for there."""

    def __init__(self, traced: Callable[..., Any] | None = None) -> None:
        self._traced = traced

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self if self._traced is None else self._traced
        original = obj._magpy_original.forward
        known, compiled = obj._magpy_forward
        if known != original:  # bound methods are equal, not identical
            compiled = obj._magpy_options.compile(original)
            object.__setattr__(obj, "_magpy_forward", (original, compiled))
        return compiled

    def __set__(self, obj: Any, value: object) -> None:
        obj._magpy_original.forward = value

    def __delete__(self, obj: Any) -> None:
        del obj._magpy_original.forward


def _traced_call(self: Any, *args: Any, **kwargs: Any) -> Any:
    return self._magpy_original(*args, **kwargs)


def _traced_forward(kind: type) -> Callable[..., Any]:
    """Return a function like ``kind.forward`` for compiled modules: FX traces it."""

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        original = self._magpy_original
        return type(original).forward(original, *args, **kwargs)

    found = getattr(kind, "forward", None)
    return functools.wraps(found)(forward) if inspect.isfunction(found) else forward


class CompiledModule(torch.nn.Module):
    """A module whose calls are recorded and replayed; see the module's docstring.

    Made by :func:`magpy.compile`; not meant to be constructed by hand.
    """

    __slots__ = _OWN
    _magpy_original: torch.nn.Module
    _magpy_options: Any
    _magpy_forward: tuple[Any, Any]  # the original's forward, and it compiled
    _magpy_call: Any  # the engine's compiled function
    _magpy_face: tuple[type, type]  # the original's class, and what stands for it
    forward = _Forward()

    def __init__(
        self, original: torch.nn.Module, compiled: Any, options: object
    ) -> None:
        # nn.Module.__init__ would fill the shared __dict__ with fresh state.
        put = object.__setattr__
        put(self, "_magpy_original", original)
        put(self, "_magpy_options", options)
        put(self, "_magpy_forward", (None, None))
        put(self, "_magpy_call", compiled)
        kind = type(original)
        put(self, "_magpy_face", (kind, _face_of(kind)))
        put(self, "__dict__", original.__dict__)

    @property  # type: ignore[misc]  # it is set by __setattr__
    def __class__(self) -> Any:
        kind = type(self._magpy_original)
        known, face = self._magpy_face
        return face if known is kind else kind  # it has become another one

    @property
    def _orig_mod(self) -> torch.nn.Module:
        return self._magpy_original

    def dynamo_ctx(self, function: Any) -> Any:
        """Compile a method of the module with the same options."""
        return self._magpy_options.compile(function)

    def __getattr__(self, name: str) -> Any:
        if name in _OWN:  # half-made object
            raise AttributeError(name)
        value = getattr(self._magpy_original, name)
        return _answering(self, value) if inspect.ismethod(value) else value

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_orig_mod":  # what took it out puts it back, or another one in
            self._become(value)
        else:
            setattr(self._magpy_original, name, value)

    def _become(self, original: torch.nn.Module) -> None:
        if original is not self._magpy_original:
            twin = self._magpy_options.compile(original)
            CompiledModule.__init__(
                self, original, twin._magpy_call, self._magpy_options
            )
            # (`__class__` is a property here, and `object` has the real one)
            object.__dict__["__class__"].__set__(self, type(twin))

    def __delattr__(self, name: str) -> None:
        delattr(self._magpy_original, name)

    def __dir__(self) -> list[str]:
        return sorted({*dir(self._magpy_original), *_OWN})

    def __repr__(self) -> str:
        return repr(self._magpy_original)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _rebuild, (self._magpy_original, self._magpy_options)

    def __copy__(self) -> CompiledModule:
        return _rebuild(copy.copy(self._magpy_original), self._magpy_options)

    def __deepcopy__(self, memo: dict[int, Any]) -> CompiledModule:
        twin = copy.deepcopy(self._magpy_original, memo)
        known = memo.get(id(self))  # made on the way, if it can be reached from itself
        return _rebuild(twin, self._magpy_options) if known is None else known

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self._magpy_original.forward)


def _forwarded_names() -> list[str]:
    own = set(vars(CompiledModule))
    return [
        name
        for name in vars(torch.nn.Module)
        if not (name.startswith("__") and name.endswith("__")) and name not in own
    ]


for _name in _forwarded_names():
    setattr(CompiledModule, _name, _FromOriginal(_name))


class _CallSlot:
    """The engine's CallSlot where there is no engine."""

    def __init__(self, member: Any, function: Any) -> None:
        self._member = member
        self._function = function

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        return self._function if obj is None else self._member.__get__(obj, owner)


def _call_descriptor() -> Any:
    try:
        make = _setup.engine().CallSlot
    except (ImportError, AttributeError):
        make = _CallSlot
    return make(CompiledModule.__dict__["_magpy_call"], _traced_call)


CompiledModule.__call__ = _call_descriptor()


def _forward_special(name: str) -> Callable[..., Any]:
    def method(self: CompiledModule, *args: Any) -> Any:
        original = self._magpy_original
        result = getattr(type(original), name)(original, *args)
        return self if result is original else result

    method.__name__ = name
    method.__qualname__ = f"CompiledModule.{name}"
    return method


# Python looks these up on the type, so they exist only where the original has them.
_SPECIAL = (
    "__len__",
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__iter__",
    "__contains__",
    "__reversed__",
    "__add__",
    "__iadd__",
    "__bool__",
    "__enter__",
    "__exit__",
)


# By class of the original.  A class of ours goes with the last module of it, and neither
# keeps the other class alive.
_classes: weakref.WeakKeyDictionary[type, weakref.ref[type[CompiledModule]]] = (
    weakref.WeakKeyDictionary()
)


def _class_for(kind: type) -> type[CompiledModule]:
    found = _classes.get(kind)
    known = None if found is None else found()
    if known is not None:
        return known
    special = [name for name in _SPECIAL if hasattr(kind, name)]
    namespace: dict[str, Any] = {name: _forward_special(name) for name in special}
    namespace["__slots__"] = ()
    namespace["__module__"] = __name__
    namespace["forward"] = _Forward(_traced_forward(kind))
    made = type("CompiledModule", (CompiledModule,), namespace)
    _classes[kind] = weakref.ref(made)
    return made


def wrap(original: torch.nn.Module, compiled: Any, options: object) -> CompiledModule:
    """Return the compiled face of `original`.

    Args:
        original: the module; it stays usable and shares all its state.
        compiled: compiled function over the module.
        options: what compiles it again after unpickling or copying, by its method
            ``compile(model)``.
    """
    return _class_for(type(original))(original, compiled, options)


def _rebuild(original: torch.nn.Module, options: Any) -> CompiledModule:
    module: CompiledModule = options.compile(original)
    return module


def unwrap(module: object) -> Any:
    """Return the original of a compiled module; anything else as it is."""
    if isinstance(module, CompiledModule):
        return module._magpy_original
    return module


def compiled_function(module: CompiledModule) -> Any:
    """Return the engine object that a call of `module` reaches."""
    return module._magpy_call
