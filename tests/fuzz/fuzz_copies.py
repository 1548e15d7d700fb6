"""What a random program's caller does with copies of compiled objects.

In the world that is compiled, `through` compiles what it gets, copies that, changes the
original, and calls both; in the other world the same happens to the object itself.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

active = False  # is the world in which this runs compiled?


def _in_place(made: Any) -> Any:
    """A deep copy of a model whose `forward` was compiled in place."""
    import magpy

    before = made.__dict__.get("forward")
    if active:
        made.forward = magpy.compile(made.forward, backend="eager")
        made(*made.given)
    try:
        return copy.deepcopy(made)
    finally:
        made.__dict__.pop("forward", None)
        if before is not None:
            made.forward = before


HOW: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda made: pickle.loads(pickle.dumps(made)),
    "twice": lambda made: copy.deepcopy(copy.deepcopy(made)),
}


def through(obj: Any, how: str, *args: Any) -> list[Any]:
    """Call a model, a copy of it, and both after the weights of each have changed."""
    import torch

    import magpy

    made = magpy.compile(obj, backend="eager") if active else obj
    seen = [made(*args) for _ in range(3)]
    if how == "in place":
        obj.given = args
        other = _in_place(obj)
        del obj.given, other.given
    else:
        other = HOW[how](made)
    for changed in (made, other):
        with torch.no_grad():
            for p in changed.parameters():
                p.add_(1)
        changed.mark = how
        seen += [other(*args), made(*args), getattr(made, "mark", None)]
        seen += [getattr(other, "mark", None), getattr(obj, "mark", None)]
    del other.mark
    seen += [other is made, sorted(vars(obj))]
    obj.__dict__.pop("mark", None)
    return seen
