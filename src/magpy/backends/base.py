"""What a backend is: the types that backends, their registry and sessions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from magpy.shapes.world import Live

#: What a backend answers: the callable, and whether it takes one list of inputs (which
#: it may clear) instead of the inputs themselves.
Executable = tuple[Callable[..., Any], bool]


class Refused(Exception):
    """A backend of ours says that a graph is none for it: it runs as recorded."""


@dataclass(frozen=True)
class Settings:
    """How the user asked for a graph to be compiled."""

    mode: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def key(self, backend: Any) -> Any:
        """Return what a backend is told apart by: with these settings, it and they."""
        return backend, self.mode, dict(self.options)

    def allow_no_options(self, backend: str) -> None:
        """Raise a ValueError that names the options, if there are some."""
        if self.options:
            names = ", ".join(map(repr, self.options))
            raise ValueError(f"backend {backend!r} has no options, got {names}")


@dataclass(frozen=True)
class Backend:
    """A named way to compile graphs.

    Attributes:
        name: as shown to users; decides nothing, a user's function may have any name.
        compile: ``(graph_module, live_inputs, mutated_positions, live) -> Executable``;
            the last is the world of symbols for what varies, None if nothing does.
        checked: is what it makes compared with the recorded operations?  Not if it is the
            program's own: that would see more runs than calls.
        draws_alike: are the random numbers that it draws those of the program?
        exact: do its results agree bit by bit with those of the program?
        as_recorded: does it run the recorded operations themselves, one after the other?
            Then there is nothing to keep from it or to simplify for it, and an exception
            tells how far a run has come.
        cuda_graphs: are its graphs for inference to be replayed from CUDA graphs?
        dynamic: does it take graphs with symbols for sizes and numbers?
        branches: does it take graphs with ``torch.cond`` for branches of the program?
        key: what else makes the same of the same graph (:mod:`magpy.reuse`): a tree of
            plain values, and of objects that count as themselves; None: nothing does.
    """

    name: str
    compile: Callable[
        [GraphModule, Sequence[Any], Sequence[int], Live | None], Executable
    ]
    checked: bool = False
    draws_alike: bool = False
    exact: bool = False
    as_recorded: bool = False
    cuda_graphs: bool = False
    dynamic: bool = True
    branches: bool = False
    key: Any = None
