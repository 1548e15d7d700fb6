"""The public verbs: compile, disable, reset, stats, verify, explain, list_backends."""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MethodType
from typing import Any, TypeVar, overload

from magpy import _setup, notices, tracing
from magpy._eager import EagerFunction
from magpy._session import Session
from magpy.backends import (
    Settings,
    list_backends,
    mode_is_unused,
    no_mode_text,
    resolve,
)
from magpy.config import INT_MAX, config
from magpy.counters import Stats, in_order, summed
from magpy.errors import Unsupported
from magpy.explain import Explanation
from magpy.explain import run as _explain
from magpy.trial import Judge
from magpy.verify import Verifier

F = TypeVar("F", bound=Callable[..., Any])

__all__ = [
    "compile",
    "compile_with",
    "disable",
    "explain",
    "list_backends",
    "reset",
    "stats",
    "verify",
]

# Every live compiled function and the Python half of it.
_sessions: weakref.WeakKeyDictionary[Any, Session | None] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Options:
    """The arguments of one :func:`compile` call, checked; pickles with a module."""

    fullgraph: bool = False
    backend: Any = "inductor"
    mode: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    dynamic: bool | None = None
    recompile_limit: int | None = None
    control_flow: bool | None = None

    def compile(self, model: Any) -> Any:
        """Compile another model with the same options."""
        return compile_with(model, self)

    def __copy__(self) -> Options:
        return self

    def __deepcopy__(self, memo: object) -> Options:
        return self  # a copied module is compiled by the same backend object


@overload
def compile(
    model: F,
    *,
    fullgraph: bool = ...,
    dynamic: bool | None = ...,
    backend: str | Callable[..., Any] | None = ...,
    mode: str | None = ...,
    options: Mapping[str, Any] | None = ...,
    name: str | None = ...,
    disable: bool = ...,
    recompile_limit: int | None = ...,
    isolate_recompiles: bool = ...,
    shapes_spec: None = ...,
    control_flow: bool | None = ...,
) -> F: ...
@overload
def compile(
    model: None = None,
    *,
    fullgraph: bool = ...,
    dynamic: bool | None = ...,
    backend: str | Callable[..., Any] | None = ...,
    mode: str | None = ...,
    options: Mapping[str, Any] | None = ...,
    name: str | None = ...,
    disable: bool = ...,
    recompile_limit: int | None = ...,
    isolate_recompiles: bool = ...,
    shapes_spec: None = ...,
    control_flow: bool | None = ...,
) -> Callable[[F], F]: ...
def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: Mapping[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: None = None,
    control_flow: bool | None = None,
) -> Any:
    """Make a PyTorch function or module faster without changing what it does.

    The first call runs the program as usual and records it.  A later call that finds
    everything unchanged that the recorded call read runs one compiled graph.

    Args:
        model: function, bound method or ``nn.Module`` instance; leave it out to use
            ``compile`` as a decorator with arguments.  Something compiled already is
            compiled anew, with these options.
        fullgraph: raise :class:`magpy.Unsupported` if a call cannot become one graph,
            instead of breaking it.
        dynamic: which sizes and numbers may change without a new recording.  None: those
            that have been seen to change; True: also all that come with the arguments,
            from the first call on; False: none but sizes marked by
            ``torch._dynamo.mark_dynamic``.
        backend: one of ``magpy.list_backends()``, or a callable
            ``(graph_module, example_inputs) -> callable``; None: the default of
            ``torch.compiler.set_default_backend``, which is ``"inductor"`` at first.
        mode: mode of the backend, ``"reduce-overhead"`` for example.
        options: options of the backend; not together with `mode`.
        name: the name in messages; default: the qualified name of `model`.
        disable: return `model` as it is.
        recompile_limit: how many recordings this object keeps; None:
            ``magpy.config.max_entries``.
        isolate_recompiles: True or False; every compiled object has recordings of its
            own anyway.
        shapes_spec: must be None; mark sizes with ``torch._dynamo.mark_dynamic``.
        control_flow: make branches on tensors operations of the graph, see
            ``docs/control_flow.md``; None: as ``magpy.config.control_flow`` says.

    Returns:
        For a module, a module that shares all its state with `model`; otherwise a
        callable with the attributes of `model`.

    Raises:
        TypeError: an argument of the wrong type.
        ValueError: an unknown backend, mode or option; the message names valid ones.  A
            limit below 1; any `shapes_spec`.
        Unsupported: `fullgraph` was asked for, but MagPy is off in this process.
    """
    _check_flags(
        fullgraph=fullgraph, disable=disable, isolate_recompiles=isolate_recompiles
    )
    _check_dynamic(dynamic)
    _check_strings(mode=mode, name=name)
    _check_options(options)
    _check_limit(recompile_limit)
    if shapes_spec is not None:
        raise ValueError(
            "shapes_spec is not supported; mark the sizes that vary with "
            "torch._dynamo.mark_dynamic(x, 0), or pass dynamic=True"
        )
    if mode is not None and options:
        raise ValueError("pass either mode or options, not both")
    backend = _default_backend() if backend is None else backend
    given = _without_guard_filter(options or {})
    if control_flow is not None and not isinstance(control_flow, bool):
        raise TypeError(f"control_flow must be a bool or None, not {control_flow!r}")
    checked = Options(
        fullgraph, backend, mode, given, name, dynamic, recompile_limit, control_flow
    )
    settings = Settings(mode, checked.options)
    resolved = resolve(backend, settings)  # raises for wrong ones
    if dynamic and not resolved.dynamic:
        notices.warn(
            f"backend {resolved.name!r} takes no sizes that vary: "
            "dynamic=True has no effect"
        )
    if mode_is_unused(backend, settings):
        notices.warn(no_mode_text(backend, settings))
    if model is None:
        return functools.partial(_decorate, options=checked, disable=disable)
    return _decorate(model, options=checked, disable=disable)


def _decorate(model: Any, *, options: Options, disable: bool) -> Any:
    if isinstance(model, (staticmethod, classmethod)):  # as what it is, in a class body
        inner = _decorate(model.__func__, options=options, disable=disable)
        return model if disable else type(model)(inner)
    _check_model(model)
    return model if disable else compile_with(model, options)


def compile_with(model: Any, options: Options) -> Any:
    """Compile `model` with checked options; see :func:`compile`."""
    model = _original(model)
    backend = resolve(options.backend, Settings(options.mode, options.options))
    label = options.name or _label(model)
    session = Session(label, backend, fullgraph=options.fullgraph, options=options)
    if not _is_module(model):
        return _function(model, session)
    from magpy import module

    return module.wrap(model, _function(model, session), options)


def _numbers(session: Session) -> int:
    """Which numbers become symbols: mp_dynamic_mode in engine/guard/place.h."""
    if not session.backend.dynamic:
        return 0
    if session.options.dynamic:  # the first recording has symbols
        from magpy import shapes

        shapes.prepare()
    return {False: 1, None: 2, True: 3}[session.options.dynamic]


def _function(target: Callable[..., Any], session: Session) -> Any:
    """Return the compiled function over `target`, or an eager stand-in."""
    off = _why_off()
    if off is not None:
        reason, words = off
        if session.fullgraph and reason != "config":
            raise Unsupported(
                f"{session.name}: fullgraph=True, but MagPy is off: {words}",
                reason=reason,
            )
        again = functools.partial(_once_on, target, session)
        eager = EagerFunction(target, reason, again, session.on_copy)
        return _register(eager, session)
    return _register(_engine_function(target, session), session)


def _once_on(target: Callable[..., Any], session: Session) -> Any:
    """Return the compiled function if MagPy is on by now, else None."""
    if not _setup.is_on() or _why_off() is not None:
        return None
    return _engine_function(target, session)


def _engine_function(target: Callable[..., Any], session: Session) -> Any:
    engine = _setup.engine()
    make = functools.partial(
        engine.CompiledFunction,
        compiler=session.compile,
        on_event=session.on_event,
        on_abort=session.on_abort,
        on_copy=session.on_copy,
        fullgraph=session.fullgraph,
        max_entries=session.options.recompile_limit or config.max_entries,
        max_instructions=config.max_instructions,
        segments=config.segments,
        wrapped=target,
        judge=Judge() if _setup.torch_version() else None,
        numbers=_numbers(session),
        control_flow={None: -1, False: 0, True: 1}[session.options.control_flow],
    )
    try:
        compiled = make(_calling(target) if _is_operator(target) else target)
    except TypeError:  # ends in no Python function: torch.sin, a partial of it, ...
        compiled = make(_calling(target))
    session.attach(compiled, engine.Value)
    if config.verify_every:
        _verify(compiled, session, config.verify_every, raises=False)
    return compiled


def _calling(target: Callable[..., Any]) -> Callable[..., Any]:
    """Return a Python function that calls `target`: there is one frame to watch."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return target(*args, **kwargs)

    return call


def _why_off() -> tuple[str, str] | None:
    if not config.enabled:
        return "config", "magpy.config.enabled is False"
    if _torch_compiles_nothing():
        return "config", "torch._dynamo.config.disable, or TORCH_COMPILE_DISABLE=1"
    state = _setup.status()
    return None if state.enabled else ("engine-off", state.reason)


def _torch_compiles_nothing() -> bool:
    """Has the user switched torch.compile off?  That is meant for MagPy, too."""
    dynamo = sys.modules.get("torch._dynamo.config")
    if dynamo is not None:
        return bool(dynamo.disable)
    return os.environ.get("TORCH_COMPILE_DISABLE", "0") == "1"


def _default_backend() -> Any:
    """Return what ``torch.compiler.set_default_backend`` was given."""
    registry = sys.modules.get("torch._dynamo.backends.registry")
    get = getattr(registry, "get_default_backend", None)  # torch >= 2.13
    return "inductor" if get is None else get()


def _register(compiled: Any, session: Session | None) -> Any:
    _sessions[compiled] = session
    return compiled


tracing.prepare(lambda: [each for each in list(_sessions.values()) if each is not None])


# -- the other verbs -------------------------------------------------------------------


@overload
def disable(fn: F, *, recursive: bool = ...) -> F: ...
@overload
def disable(fn: None = None, *, recursive: bool = ...) -> Callable[[F], F]: ...
def disable(fn: Any = None, *, recursive: bool = True) -> Any:
    """Mark a function so that graphs end before its calls; works as a decorator.

    Args:
        fn: Python function; a bound method, a module (its ``forward``) or another
            object (its ``__call__``) is marked for this object alone.
        recursive: must be True; what the function calls is not recorded either.

    Returns:
        `fn` itself.

    Raises:
        TypeError: `fn` is not callable or cannot carry a mark.
        ValueError: ``recursive=False``, which is not supported.
    """
    if not recursive:
        raise ValueError("recursive=False is not supported; leave it out")
    if fn is None:
        return disable
    if not callable(fn):
        raise TypeError(f"magpy.disable needs a callable, not {type(fn).__name__}")
    target = _original(fn)
    if isinstance(target, FunctionType):
        target._magpy_disable = True  # type: ignore[attr-defined]
        return fn
    if not isinstance(target, MethodType):
        target = target.forward if _is_module(target) else target.__call__
    owner, function = getattr(target, "__self__", None), _marked(target)
    if isinstance(function, FunctionType) and (
        owner is None or isinstance(owner, type)
    ):
        function._magpy_disable = True  # type: ignore[attr-defined]
    elif isinstance(function, FunctionType) and hasattr(owner, "__dict__"):
        marks = vars(owner).get("_magpy_disable", ())
        vars(owner)["_magpy_disable"] = (*marks, function)
    else:
        raise TypeError(
            f"magpy.disable cannot mark {_label(fn)}; wrap it in a Python function"
        )
    return fn


def _marked(target: Any) -> Any:
    """Return the function that carries the mark for a call of `target`."""
    function = getattr(target, "__func__", target)
    return function.__wrapped__ if _is_compiled(function) else function


def reset() -> None:
    """Forget every recorded run and compiled graph of all live compiled objects."""
    for compiled, session in list(_sessions.items()):
        compiled.reset()
        if session is not None:
            session.dynamic.clear()


def stats(compiled: Any = None) -> Stats:
    """Return the counters of a compiled function or module.

    Args:
        compiled: comes from :func:`compile`; None: the sums over all that are alive.

    Returns:
        calls, hits, recordings, graphs, reused (graphs that were compiled for an
        equal one), graph_breaks (places where what is recorded breaks now; `breaks`
        counts all that happened), fallbacks (calls that ran eager), partial_hits (hits
        of calls that break), verified, diverged; reasons and places (of the fallbacks),
        breaks, seconds (spent by phase), dynamic (places of sizes and numbers that have
        changed, and are symbols since).

    Raises:
        TypeError: `compiled` does not come from :func:`compile`.
    """
    if compiled is None:
        return summed([_stats(each) for each in list(_sessions)])
    return _stats(_compiled_function(compiled))


def compiled_functions(compiled: Any = None) -> list[Any]:
    """Return the engine's object of something compiled; None: all that are alive."""
    return list(_sessions) if compiled is None else [_compiled_function(compiled)]


def session_of(compiled: Any) -> Session | None:
    """Return the Python half of something compiled.

    Raises:
        TypeError: `compiled` does not come from :func:`compile`.
    """
    return _sessions[_compiled_function(compiled)]


def _stats(function: Any) -> Stats:
    session = _sessions.get(function)
    return in_order(function.stats(), [] if session is None else list(session.dynamic))


def verify(compiled: F, *, every: int = 1, raise_on_divergence: bool = True) -> F:
    """Verify hits of a compiled function or module against the real call.

    A verified call runs the program itself, once, and answers with its result; what
    the hit would have done is worked out beside it and compared.

    Args:
        compiled: comes from :func:`compile`.
        every: verify one of so many hits; 0 switches verifying off.
        raise_on_divergence: raise :class:`magpy.VerifyError` after a call whose hit
            would have been wrong, instead of warning once.

    Returns:
        `compiled` itself.

    Raises:
        TypeError: `compiled` does not come from :func:`compile`, or an argument has
            the wrong type.
        ValueError: `every` is negative.
    """
    _check_flags(raise_on_divergence=raise_on_divergence)
    if type(every) is not int:
        raise TypeError(f"every must be an int, not {type(every).__name__}: {every!r}")
    if not 0 <= every <= INT_MAX:
        raise ValueError(f"every must be between 0 and {INT_MAX}, got {every}")
    function = _compiled_function(compiled)
    session = _sessions[function]
    if session is not None:
        _verify(function, session, every, raises=raise_on_divergence)
    return compiled


def _verify(compiled: Any, session: Session, every: int, *, raises: bool) -> None:
    verifier = None
    if every:
        exact = session.backend.exact
        verifier = Verifier(session.name, exact=exact, raises=raises)
    compiled.set_verify(every, verifier)


def _follow_verify() -> None:
    for compiled, session in list(_sessions.items()):
        if session is not None:
            _verify(compiled, session, config.verify_every, raises=False)


config.on_change("verify_every", _follow_verify)


def explain(fn: Any) -> Callable[..., Explanation]:
    """Say what MagPy makes of a program: ``print(magpy.explain(f)(*args))``.

    The program runs for real, a few times.

    Args:
        fn: what one would pass to :func:`compile`, or something compiled.

    Returns:
        A function that takes the arguments of a call and returns an
        :class:`~magpy.explain.Explanation`.
    """
    _check_model(fn)
    original = _original(fn)

    @functools.wraps(original, updated=())
    def call(*args: Any, **kwargs: Any) -> Explanation:
        compiled = compile_with(original, Options(backend="eager"))
        function = _compiled_function(compiled)

        def snapshot() -> tuple[Stats, list[Any], list[Unsupported]]:
            session = _sessions[function]
            breaks = list(session.breaks) if session is not None else []
            return stats(compiled), function.entries(), breaks

        return _explain(compiled, snapshot, _label(original), args, kwargs)

    return call


# -- checks and look-ups ---------------------------------------------------------------


def _check_flags(**flags: object) -> None:
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(
                f"{name} must be True or False, not {type(value).__name__}: {value!r}"
            )


def _check_dynamic(dynamic: object) -> None:
    if dynamic is not None and not isinstance(dynamic, bool):
        raise TypeError(
            f"dynamic must be None, True or False, not {type(dynamic).__name__}: "
            f"{dynamic!r}"
        )


def _check_strings(**texts: object) -> None:
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise TypeError(f"{name} must be a string, not {type(value).__name__}")


def _check_options(options: object) -> None:
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a dict, not {type(options).__name__}")


def _check_limit(limit: object) -> None:
    if limit is None:
        return
    if type(limit) is not int:
        raise TypeError(
            f"recompile_limit must be an int or None, not {type(limit).__name__}: "
            f"{limit!r}"
        )
    if not 1 <= limit <= INT_MAX:
        raise ValueError(
            f"recompile_limit must be between 1 and {INT_MAX}, got {limit}"
        )


def _without_guard_filter(options: Mapping[str, Any]) -> dict[str, Any]:
    """Take out the option that is for the guards of TorchDynamo."""
    given = dict(options)
    if given.pop("guard_filter_fn", None) is not None:
        notices.warn(
            "option guard_filter_fn does nothing: MagPy keeps all guards, each stands "
            "for something that the run read; a check takes microseconds"
        )
    return given


def _check_model(model: object) -> None:
    if isinstance(model, type):
        raise TypeError(
            f"{model.__qualname__} is a class; pass an instance, "
            f"magpy.compile({model.__name__}(...)), or one of its functions"
        )
    if not callable(model):
        raise TypeError(
            "magpy.compile needs a function, a bound method or an nn.Module, "
            f"not {type(model).__name__}: {model!r:.80}"
        )


def _is_module(obj: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(obj, torch.nn.Module)


def _is_operator(obj: object) -> bool:
    """Is it an operator object of torch, whose ``__call__`` is not worth watching?"""
    ops = sys.modules.get("torch._ops")
    return ops is not None and isinstance(
        obj, (ops.OpOverload, ops.OpOverloadPacket, ops.HigherOrderOperator)
    )


def _is_compiled(obj: object) -> bool:
    try:
        return obj in _sessions
    except TypeError:  # cannot be weakly referenced or hashed
        return False


def _original(model: Any) -> Any:
    """Return what `model` was compiled from, or `model`."""
    if isinstance(model, (staticmethod, classmethod)):
        model = model.__func__
    if _is_module(model):
        from magpy.module import unwrap

        return unwrap(model)
    if _is_compiled(model):
        return model.__wrapped__
    function = getattr(model, "__func__", None)  # method of a compiled function
    if function is not None and _is_compiled(function):
        return function.__wrapped__.__get__(model.__self__)
    return model


def _compiled_function(compiled: Any) -> Any:
    if _is_module(compiled):
        from magpy.module import CompiledModule, compiled_function

        if isinstance(compiled, CompiledModule):
            return compiled_function(compiled)
    for candidate in (compiled, getattr(compiled, "__func__", None)):
        if _is_compiled(candidate):
            return candidate
    raise TypeError(f"{_label(compiled)} does not come from magpy.compile")


def _label(obj: Any) -> str:
    name = getattr(obj, "__qualname__", None)
    return name if isinstance(name, str) else type(obj).__qualname__
