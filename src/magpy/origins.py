"""Where the nodes of a graph came from: lines of the program, and modules.

The engine keeps code objects and positions in them (``engine/plan/sites.h``); lines and
texts are made here, when a graph is built, and once for each position.
"""

from __future__ import annotations

import bisect
import weakref
from collections.abc import Mapping, Sequence
from types import CodeType
from typing import Any

from magpy.places import Frame, is_library, short, source_line

#: of `self`: source text, class
Owner = tuple[str, "weakref.ref[type]"]
#: code objects; rows as of mp_site_row; row of each operation; owners by register
Note = tuple[Sequence[CodeType], bytes | None, bytes, Mapping[int, Owner]]

_ROW = 4  # code, code unit, row of the caller, register of `self`


class Origins:
    """Reads ``notes["sites"]`` of a spec."""

    def __init__(self, note: Note) -> None:
        self._codes, rows, of_ops, self._owners = note
        self._rows = memoryview(rows or b"").cast("i")
        self._of_ops = memoryview(of_ops).cast("i")
        self._lines: dict[int, tuple[list[int], list[int]]] = {}
        self._texts: dict[int, str] = {}
        self._modules: dict[int, dict[str, tuple[str, str]]] = {}

    def row(self, operation: int) -> int:
        """Return the row of an operation, -1 if it is not known."""
        return self._of_ops[operation] if operation < len(self._of_ops) else -1

    def frame(self, row: int) -> Frame:
        """Return file, line and function of a row."""
        code = self._codes[self._rows[_ROW * row]]
        line = self._line(self._rows[_ROW * row], self._rows[_ROW * row + 1])
        return code.co_filename, line, code.co_name

    def stack(self, row: int) -> tuple[Frame, ...]:
        """Return a row and its callers, the outermost first."""
        found = []
        while row >= 0:
            found.append(self.frame(row))
            row = self._rows[_ROW * row + 2]
        return tuple(reversed(found))

    def short(self, operation: int) -> str:
        """Return ``model.py:12``, the user's line of an operation; "" if not known."""
        return short(self.stack(self.row(operation)))

    def _line(self, number: int, unit: int) -> int:
        table = self._lines.get(number)
        if table is None:
            ranges = [r for r in self._codes[number].co_lines() if r[2] is not None]
            table = [r[0] for r in ranges], [r[2] or 0 for r in ranges]
            self._lines[number] = table
        at = bisect.bisect_right(table[0], 2 * unit) - 1
        return table[1][at] if at >= 0 else 0

    def _unknown(self, row: int, known: Mapping[int, object]) -> list[int]:
        """Return a row and its callers down to one that is known, the outermost first."""
        found = []
        while row >= 0 and row not in known:
            found.append(row)
            row = self._rows[_ROW * row + 2]
        return found[::-1]

    def text(self, row: int) -> str:
        """Return the user's lines of a row, as a traceback words them."""
        for at in self._unknown(row, self._texts):
            file, line, function = self.frame(at)
            text = self._texts.get(self._rows[_ROW * at + 2], "")
            if not is_library(file):
                text += f'  File "{file}", line {line}, in {function}\n'
                if source := source_line(file, line):
                    text += f"    {source}\n"
            self._texts[at] = text
        return self._texts.get(row, "")

    def modules(self, row: int) -> dict[str, tuple[str, str]]:
        """Return the modules whose methods run there, as ``nn_module_stack`` has them.

        Classes by name, as torch.export has them: a graph must not keep them alive.
        """
        for at in self._unknown(row, self._modules):
            inside = self._modules.get(self._rows[_ROW * at + 2], {})
            owner = self._owners.get(self._rows[_ROW * at + 3])
            if owner is not None and (kind := _module_class(owner[1]())):
                inside = {**inside, "L__" + _identifier(owner[0]): (owner[0], kind)}
            self._modules[at] = inside
        return dict(self._modules.get(row, {}))


def _module_class(kind: type | None) -> str:
    """Return the name of a class of modules, "" for others."""
    import torch

    if kind is None or not issubclass(kind, torch.nn.Module):
        return ""
    return f"{kind.__module__}.{kind.__qualname__}"


def _identifier(path: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in path).strip("_")


def of(notes: Mapping[str, Any]) -> Origins | None:
    """Return where a spec's operations came from, None if that is not kept."""
    note = notes.get("sites")
    return Origins(note) if note is not None else None
