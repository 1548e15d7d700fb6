"""Where in the program something came from: frames, whose lines they are, and texts.

A frame is ``(file, line, function)``; a stack has the outermost one first.  Frames of the
*library* (Python's own, torch's, MagPy's) stand between what the user wrote and what
happened; messages leave them out, all but the last one of a stack.
"""

from __future__ import annotations

import functools
import linecache
import os
import sysconfig
from collections.abc import Iterable, Sequence

Frame = tuple[str, int, str]

_HERE = os.path.dirname(__file__)


@functools.cache
def _library() -> tuple[str, ...]:
    """Return what file names of the library begin with."""
    paths = sysconfig.get_paths()
    site = {paths["purelib"], paths["platlib"]}
    torch = [os.path.join(path, "torch") for path in site]
    return tuple(os.path.join(path, "") for path in (_HERE, *torch))


@functools.cache
def _standard() -> tuple[str, str]:
    """Return what file names of Python's own library begin with, and which do not."""
    paths = sysconfig.get_paths()
    return os.path.join(paths["stdlib"], ""), os.path.join(paths["purelib"], "")


@functools.lru_cache(maxsize=4096)
def is_library(file: str) -> bool:
    """Is it a file of Python, torch or MagPy?"""
    standard, packages = _standard()
    if file.startswith("<frozen ") or file.startswith(_library()):
        return True
    return file.startswith(standard) and not file.startswith(packages)


def users(stack: Sequence[Frame]) -> Frame | None:
    """Return the innermost frame of the user's, None if there is none."""
    for frame in reversed(stack):
        if not is_library(frame[0]):
            return frame
    return None


def short(stack: Sequence[Frame]) -> str:
    """Return ``model.py:12``, the user's line; "" if it is not known."""
    frame = users(stack)
    return f"{os.path.basename(frame[0])}:{frame[1]}" if frame is not None else ""


def source_line(file: str, line: int) -> str:
    """Return the text of a line, without spaces around it; "" if it is not known."""
    try:
        return linecache.getline(file, line).strip()
    except ValueError:  # no file can have that name
        return ""


def lines(stack: Sequence[Frame]) -> list[str]:
    """Return a stack as a traceback shows it, without frames of the library inside."""
    found: list[str] = []
    hidden = 0
    for at, (file, line, function) in enumerate(stack):
        if at < len(stack) - 1 and is_library(file):
            hidden += 1
            continue
        if hidden and found:
            frames = "frame" if hidden == 1 else "frames"
            found.append(f"  ... {hidden} {frames} of the library")
        hidden = 0
        where = f", in {function}" if len(stack) > 1 else ""
        found.append(f'  File "{file}", line {line}{where}')
        if source := source_line(file, line):
            found.append(f"    {source}")
    return found


def frames(rows: Iterable[Sequence[object]] | None) -> tuple[Frame, ...]:
    """Return a stack as the engine gives it; () if it gives none."""
    return tuple((str(f), int(str(n)), str(name)) for f, n, name in rows or ())


def stack_of(row: int, rows: Sequence[tuple[str, int, str, int]]) -> tuple[Frame, ...]:
    """Return the stack of a row of the engine's: (file, line, function, caller)."""
    found: list[Frame] = []
    while row >= 0:
        file, line, function, row = rows[row]
        found.append((file, line, function))
    return tuple(reversed(found))
