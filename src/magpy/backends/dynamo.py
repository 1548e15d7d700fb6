"""What ``torch.compile(model, backend="magpy")`` finds: a sentence that says what to do.

TorchDynamo would have captured the graph by then, with its own breaks and guards, and
nothing of what MagPy does would be left to do.
"""

from __future__ import annotations

from typing import Any, NoReturn

#: Its name among the backends of TorchDynamo (an entry point of the package).
NAME = "magpy"


def magpy(gm: Any, example_inputs: Any, **kwargs: Any) -> NoReturn:
    """Refuse a graph that TorchDynamo has captured.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(
        "MagPy is no backend but takes the place of torch.compile: write "
        'magpy.compile(model) for torch.compile(model, backend="magpy"), and '
        "model.forward = magpy.compile(model.forward) for "
        'model.compile(backend="magpy")'
    )
