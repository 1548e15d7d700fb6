"""What is measured: each compiler, and what it says about the calls it was given.

A compiler is asked for a compiled form of a module, which is then called until
:meth:`Compiler.enough`; :meth:`Compiler.outcome` says what became of the calls.  Their
results are compared elsewhere, in the same way for all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from magpy_experiments.parity.results import Reason

#: Reasons that stand for data: a Python value or a shape follows from a tensor's values.
_MAGPY_DYNAMIC = ("host-read", "dynamic-shape")
_DYNAMO_DYNAMIC = (
    "data-dependent", "data dependent", "tensor.item", "capture_scalar_outputs",
    "capture_dynamic_output_shape_ops", "dynamic shape operator", "dynamic slicing",
    "generic_jump tensorvariable",
)  # fmt: skip


@dataclass
class Outcome:
    """What a compiler did with the calls of one module; fields as in Case."""

    status: str
    graphs: int = 0
    breaks: int = 0
    dynamic: bool = False
    reasons: list[Reason] = field(default_factory=list)


class Compiler:
    """Base of all; compiles nothing.

    Args:
        backend: what compiles the graphs.

    Attributes:
        calls: how often a compiled module is called at most.
        exact: results have the bits of eager's.
        identity: objects of the program stay the objects they are.
    """

    calls = 2
    exact = True
    identity = True

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def warm(self) -> None:
        """Import and set up what every child needs; no tensor work."""

    def compile(self, module: torch.nn.Module) -> Callable[..., Any]:
        """Return the compiled form of `module`."""
        call: Callable[..., Any] = module
        return call

    def retry(self) -> bool:
        """After an exception: shall all be done again, with less asked for?"""
        return False

    def enough(self) -> bool:
        """Has the compiled form been called often enough?"""
        return False

    def outcome(self) -> Outcome:
        """Return what became of the calls."""
        return Outcome("eager")

    def state(self, module: torch.nn.Module, compiled: bool) -> Any:
        """Return what is compared of a module's state after a call.

        Args:
            module: the module.
            compiled: it is the one that was compiled, and not eager's.
        """
        return module


class Magpy(Compiler):
    """MagPy: the first calls record, then there are hits."""

    calls = 8

    def __init__(self, backend: str) -> None:
        from magpy import backends

        super().__init__(backend)
        self.exact = backends.resolve(backend, backends.Settings()).exact
        self._compiled: Any = None
        self._misses = _Misses()

    def warm(self) -> None:
        from magpy import _setup
        from magpy.config import config

        config.logs = "recompiles"
        logger = logging.getLogger("magpy.recompiles")
        logger.addHandler(self._misses)
        logger.propagate = False
        state = _setup.status()
        if not state.enabled:
            raise RuntimeError(f"MagPy is off: {state.reason}")

    def compile(self, module: torch.nn.Module) -> Callable[..., Any]:
        import magpy

        self._misses.last = ""
        self._compiled = magpy.compile(module, backend=self.backend)
        call: Callable[..., Any] = self._compiled
        return call

    def enough(self) -> bool:
        import magpy

        return bool(magpy.stats(self._compiled)["hits"] >= 2)

    def outcome(self) -> Outcome:
        import magpy

        stats = magpy.stats(self._compiled)
        if stats["hits"] > stats["partial_hits"]:  # whatever the first calls needed
            return Outcome("one graph", graphs=stats["graphs"])
        reasons = list(_magpy_reasons(stats))
        status = "several graphs" if stats["hits"] else "eager"
        if not stats["hits"] and not stats["fallbacks"]:
            reasons.append(Reason("fallback", "no-hit", self._misses.last))
        return Outcome(
            status,
            graphs=stats["graphs"],
            breaks=stats["graph_breaks"],
            dynamic=any(reason.id in _MAGPY_DYNAMIC for reason in reasons),
            reasons=reasons,
        )


class _Misses(logging.Handler):
    """Keeps why the latest recording was made."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage().partition(": ")[2]


def _magpy_reasons(stats: Mapping[str, Any]) -> Iterator[Reason]:
    for place in stats.get("places", ()):
        kind = "fallback" if place["count"] else "break"
        yield Reason(
            kind,
            place["reason"],
            place["detail"] or "",
            place["file"] or "",
            place["line"],
        )


class Dynamo(Compiler):
    """TorchDynamo: asked for one whole graph first, then for what it can do."""

    calls = 3

    def __init__(self, backend: str) -> None:
        super().__init__(backend)
        self.exact = backend == "eager"
        self._whole = True

    def warm(self) -> None:
        import torch._dynamo

        if self.backend == "inductor":
            import torch._inductor.compile_fx
            import torch._inductor.config

            torch._inductor.config.compile_threads = 1

    def compile(self, module: torch.nn.Module) -> Callable[..., Any]:
        import torch._dynamo.utils as utils

        torch._dynamo.reset()
        utils.counters.clear()
        compiled: Callable[..., Any] = torch.compile(
            module, backend=self.backend, fullgraph=self._whole
        )
        return compiled

    def retry(self) -> bool:
        again, self._whole = self._whole, False
        return again

    def outcome(self) -> Outcome:
        import torch._dynamo.utils as utils

        whole, self._whole = self._whole, True
        graphs = utils.counters["stats"]["unique_graphs"]
        if whole:
            return Outcome("one graph", graphs=graphs)
        reasons = list(_dynamo_reasons(utils))
        return Outcome(
            "several graphs" if graphs else "eager",
            graphs=graphs,
            breaks=len({reason.place or reason.detail for reason in reasons}),
            dynamic=any(_is_dynamic(f"{r.id} {r.detail}") for r in reasons),
            reasons=reasons,
        )


def _is_dynamic(text: str) -> bool:
    return any(word in text.lower() for word in _DYNAMO_DYNAMIC)


def _dynamo_reasons(utils: Any) -> Iterator[Reason]:
    known = set()
    for item in utils.graph_break_reasons:
        if item.graph_break:
            own = [f for f in item.user_stack if "/torch/_dynamo/" not in f.filename]
            place = own[-1] if own else None
            known.add(item.reason)
            yield _dynamo_reason("break", item.reason, place)
    for text in utils.counters["graph_break"]:
        if text not in known:
            yield _dynamo_reason("fallback", text, None)


def _dynamo_reason(kind: str, text: str, place: Any) -> Reason:
    first, _, rest = text.partition("\n")
    file, line = (place.filename, place.lineno) if place is not None else ("", 0)
    return Reason(kind, first.strip()[:100], " ".join(rest.split())[:200], file, line)


class TorchScript(Compiler):
    """``torch.jit.script``: one graph or an error."""

    calls = 3
    exact = False
    identity = False

    def __init__(self, backend: str) -> None:
        super().__init__(backend)
        self._compiled: Any = None

    def compile(self, module: torch.nn.Module) -> Callable[..., Any]:
        _forget_scripts()
        self._compiled = torch.jit.script(module)
        call: Callable[..., Any] = self._compiled
        return call

    def outcome(self) -> Outcome:
        return Outcome("one graph", graphs=1)

    def state(self, module: torch.nn.Module, compiled: bool) -> Any:
        return dict((self._compiled if compiled else module).state_dict())


def _forget_scripts() -> None:
    """A class that could not be scripted would be an error wherever it is used again."""
    torch._C._jit_clear_class_registry()
    torch.jit._state._clear_class_state()
    recursive = torch.jit._recursive
    recursive.concrete_type_store = recursive.ConcreteTypeStore()


def make(name: str, backend: str) -> Compiler:
    """Return a compiler by name."""
    kinds = {"magpy": Magpy, "dynamo": Dynamo, "torchscript": TorchScript}
    return kinds.get(name, Compiler)(backend)
