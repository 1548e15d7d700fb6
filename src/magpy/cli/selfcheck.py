"""Does a backend work here?  It compiles a tiny program, and eager is asked, too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from magpy.backends.registry import list_backends, modes

_ROUNDS = 4  # recorded, compiled, and again: CUDA graphs are captured late


def candidates() -> Iterator[tuple[str, str | None]]:
    """Return each backend that can be named, and each mode of Inductor on a GPU."""
    import torch

    for name in list_backends():
        yield name, None
        if torch.cuda.is_available():
            yield from ((name, mode) for mode in modes(name) if mode != "default")


def check(backend: Any, mode: str | None = None) -> str:
    """Return "ok", or why its graphs cannot be used, in its own words."""
    import torch

    import magpy

    def program(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return (x @ w).relu() + 1

    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, w = (torch.linspace(-1, 1, 16, device=device).reshape(4, 4) for _ in range(2))
    right = program(x, w)
    compiled = magpy.compile(program, backend=backend, mode=mode, fullgraph=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with torch.no_grad():
                results = [compiled(x, w).clone() for _ in range(_ROUNDS)]
        except Exception as error:  # whatever it is, it is the answer
            cause = error.__cause__ or error
            text = f"{type(cause).__name__}: {cause}".strip()
            return text.splitlines()[0]
    counted = magpy.stats(compiled)
    if counted["hits"] < _ROUNDS - 1:
        said = [str(each.message).splitlines()[0] for each in caught]
        return said[-1] if said else f"graphs are not used: {counted['reasons']}"
    if not all(torch.allclose(each, right, atol=1e-5) for each in results):
        return "wrong: its results are not eager's"
    return "ok"
