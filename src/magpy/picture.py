"""A recorded graph as an inline SVG: inputs above, operations below what they need."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import Any

_MOST = 150  # operations; a larger picture helps nobody
_WIDTH, _HEIGHT, _GAP = 132, 22, 26  # of a box, in pixels; between rows
_LETTERS = 18
_STYLE = (
    "font:11px monospace",
    "fill:#eef;stroke:#88a",
    "fill:#fff;stroke:#666",
    "fill:#efe;stroke:#6a6",
)


def _leaves(tree: Any) -> Iterator[int]:
    """Yield the indices of the Values in a tree of arguments or results."""
    from magpy.graph import is_value

    if isinstance(tree, (tuple, list)):
        for item in tree:
            yield from _leaves(item)
    elif isinstance(tree, dict):
        yield from _leaves(list(tree.values()))
    elif isinstance(tree, slice):
        yield from _leaves((tree.start, tree.stop, tree.step))
    elif is_value(tree):
        yield tree.index


class _Layout:
    """Boxes in rows, each below all that it needs."""

    def __init__(self) -> None:
        self.rows: list[int] = []  # boxes so far, by row
        self.boxes: list[tuple[int, int, str, str, int]] = []  # row, column, text, ...
        self.edges: list[tuple[int, int]] = []
        self.made_by: dict[int, int] = {}  # Value -> its box

    def add(self, text: str, title: str, style: int, needs: Sequence[int]) -> int:
        """Add a box below those of these Values; return its number."""
        sources = {self.made_by[value] for value in needs if value in self.made_by}
        row = 1 + max((self.boxes[at][0] for at in sources), default=-1)
        self.rows += [0] * (row + 1 - len(self.rows))
        number = len(self.boxes)
        self.boxes.append((row, self.rows[row], text, title, style))
        self.rows[row] += 1
        self.edges += [(at, number) for at in sorted(sources)]
        return number

    def place(self, number: int) -> tuple[int, int]:
        row, column = self.boxes[number][:2]
        return column * (_WIDTH + 12) + 4, row * (_HEIGHT + _GAP) + 4


def svg(spec: Any, names: Sequence[str], titles: Sequence[str]) -> str:
    """Draw a recorded graph.

    Args:
        spec: see :mod:`magpy.graph`.
        names: of its operations.
        titles: what a box says when the pointer stands on it, the line of the user.
    """
    ops, n_inputs, outputs, notes = spec
    layout = _Layout()
    used = set(_leaves([op[1:3] for op in ops[:_MOST]]))
    sources = notes.get("input_names", ())
    for index in sorted(used & set(range(n_inputs))):
        source = sources[index] if index < len(sources) else f"input {index}"
        layout.made_by[index] = layout.add(source, source, 1, ())
    for at, (_, args, kwargs, result) in enumerate(ops[:_MOST]):
        made = set(_leaves(result))
        style = 3 if made & set(outputs) else 2
        title = titles[at] if at < len(titles) else ""
        box = layout.add(names[at], title, style, list(_leaves([args, kwargs])))
        layout.made_by.update(dict.fromkeys(made, box))
    return _drawn(layout, len(ops) - _MOST)


def _drawn(layout: _Layout, left_out: int) -> str:
    width = max(layout.rows, default=1) * (_WIDTH + 12) + 8
    height = len(layout.rows) * (_HEIGHT + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' style="{_STYLE[0]}" role="img">'
    ]
    for source, target in layout.edges:
        (x1, y1), (x2, y2) = layout.place(source), layout.place(target)
        ends = f'x1="{x1 + _WIDTH // 2}" y1="{y1 + _HEIGHT}" x2="{x2 + _WIDTH // 2}"'
        parts.append(f'<line {ends} y2="{y2}" stroke="#aaa"/>')
    for number, (_, _, text, title, style) in enumerate(layout.boxes):
        x, y = layout.place(number)
        short = text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"
        parts.append(
            f"<g><title>{html.escape(title or text)}</title>"
            f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4"'
            f' style="{_STYLE[style]}"/>'
            f'<text x="{x + 6}" y="{y + 15}">{html.escape(short)}</text></g>'
        )
    parts.append("</svg>")
    if left_out > 0:
        parts.append(f"<p>... {left_out} more operations</p>")
    return "".join(parts)
