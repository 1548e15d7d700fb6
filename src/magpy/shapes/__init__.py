"""Sizes and numbers that vary between the calls of one graph.

- :mod:`magpy.shapes.terms`: expressions over numbers, as engine and Python exchange them;
- :mod:`magpy.shapes.world`: a ``ShapeEnv`` and fake tensors with symbols for what varies,
  and the guards that torch wants in return;
- :mod:`magpy.shapes.proof`: runs a recorded graph on fakes: what must hold so that it is
  the graph for other numbers, too;
- :mod:`magpy.shapes.floats`: floats as compilers take them;
- :mod:`magpy.shapes.recorder`: sizes of results, while a run is being recorded.

The rules are in docs/internals/shapes.md.
"""

from __future__ import annotations

import functools

from magpy.shapes.terms import Term

__all__ = ["Term", "prepare"]


@functools.cache
def prepare() -> None:
    """Import what a proof needs, and what torch imports only when it works.

    R: before a run with symbols is recorded.  Imports register classes with abstract ones,
    and what a recording has read of those would be no longer true when it is compiled.
    Takes seconds, in a process that has not loaded TorchDynamo.
    """
    try:
        import torch
    except ImportError:
        return  # then there are no graphs
    from magpy import seal
    from magpy.shapes import case, recorder  # noqa: F401
    from magpy.shapes.world import Layout, World

    with seal.sealed():
        world = World()
        x = world.fake(torch.empty(2, 3), Layout((0,), (2, 3), (3, 1)), 0)
        with world.entered():
            x.relu().view(-1)
