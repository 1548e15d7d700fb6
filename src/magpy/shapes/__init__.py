"""Sizes and numbers that vary between the calls of one graph.

- :mod:`magpy.shapes.terms`: expressions over numbers, as engine and Python exchange them;
- :mod:`magpy.shapes.world`: a ``ShapeEnv`` and fake tensors with symbols for what varies,
  and the guards that torch wants in return;
- :mod:`magpy.shapes.proof`: runs a recorded graph on fakes: what must hold so that it is
  the graph for other numbers, too;
- :mod:`magpy.shapes.recorder`: sizes of results, while a run is being recorded.

The rules are in docs/internals/shapes.md.
"""

from __future__ import annotations

from magpy.shapes.terms import Term

__all__ = ["Term"]
