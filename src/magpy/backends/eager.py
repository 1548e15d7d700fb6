"""Backend ``eager``: run the recorded operations as they are.

The same torch functions are called with the same arguments in the same order, so
results are bitwise those of the original program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from magpy.backends.base import Backend, Executable, Settings

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from magpy.shapes.world import Live


def make(settings: Settings) -> Backend:
    """Return the backend; a mode means nothing here (compile says so).

    Raises:
        ValueError: options were given, the backend has none.
    """
    settings.allow_no_options("eager")
    return Backend(
        "eager", _compile, exact=True, as_recorded=True, key=settings.key("eager")
    )


def _compile(
    gm: GraphModule,
    inputs: Sequence[Any],
    mutated: Sequence[int],
    live: Live | None = None,
) -> Executable:
    # The bound method, not the module: nn.Module.__call__ looks for hooks first.
    return gm.forward, False
