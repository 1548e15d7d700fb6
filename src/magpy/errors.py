"""Exceptions of MagPy, and how its messages about user code are worded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from magpy.places import Frame, lines, source_line, users


class MagpyError(RuntimeError):
    """Base class of everything that MagPy itself raises, as for torch.compile."""


class MagpyWarning(RuntimeWarning, UserWarning):
    """MagPy does less than it was asked for: what, why, and what to do about it."""


def describe(
    what: str,
    *,
    reason: str,
    file: str | None = None,
    line: int = 0,
    hint: str = "",
    stack: Sequence[Frame] = (),
) -> str:
    """Word a message: what happened, where in user code, hint, reason id."""
    parts = [what]
    if stack or file:
        parts += lines(stack or [(file or "", line, "")])
    if hint:
        parts.append(f"  Hint: {hint}")
    parts.append(f"  reason: {reason}")
    return "\n".join(parts)


class Unsupported(MagpyError):
    """A run could not be recorded as one graph, and ``fullgraph=True`` asked for it.

    Attributes:
        reason: stable id, as counted in ``magpy.stats(f)["reasons"]``.
        file: file of the user's line, or None if unknown.
        line: line number there, 0 if unknown.
        stack: ``(file, line, function)`` of the frames from the compiled function down
            to that line, as far as they are known.
        source_line: text of that line, "" if unknown.
        hint: what to change, "" if nothing can be.
    """

    def __init__(
        self,
        what: str,
        *,
        reason: str,
        file: str | None = None,
        line: int = 0,
        hint: str = "",
        stack: Sequence[Frame] = (),
    ) -> None:
        where: dict[str, Any] = {"file": file, "line": line, "stack": stack}
        super().__init__(describe(what, reason=reason, hint=hint, **where))
        self.what = what
        self.reason = reason
        self.file = file
        self.line = line
        self.stack = tuple(stack)
        self.source_line = source_line(file, line) if file else ""
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        where = self.file, self.line, self.hint, self.stack
        return _unsupported, (self.what, self.reason, *where)


def _unsupported(
    what: str,
    reason: str,
    file: str | None,
    line: int,
    hint: str,
    stack: Sequence[Frame],
) -> Unsupported:
    where: dict[str, Any] = {"file": file, "line": line, "stack": stack}
    return Unsupported(what, reason=reason, hint=hint, **where)


@dataclass(frozen=True)
class Recompile:
    """Why a call was recorded again: what the nearest recording needs; prints well.

    Attributes:
        name: the compiled object.
        entry: id of the nearest recorded run, as in ``fast.entries()``.
        source: the part of the program's state that is to blame.
        guard: what that run needs, with the value that it had.
        found: what is there now; "" if it cannot be told.
        stack: ``(file, line, function)`` from the compiled function down to the line that
            needed the guard.
    """

    name: str
    entry: int
    source: str
    guard: str
    found: str
    stack: tuple[Frame, ...]

    @property
    def where(self) -> Frame | None:
        """The innermost line of the user's that needed the guard."""
        return users(self.stack)

    def __str__(self) -> str:
        found = f" (found: {self.found})" if self.found else ""
        text = (
            f"{self.name}: recorded again because of {self.source}: "
            f"entry {self.entry} needs {self.guard}{found}"
        )
        where = self.where
        return "\n".join([text, *lines([where])]) if where is not None else text


class VerifyError(MagpyError):
    """Verify mode found that a hit would have been wrong.

    Attributes:
        name: the compiled object.
        entry: id of the recorded run, as in ``fast.entries()``.
        part: "guard", "break", "effect", "graph" or "exception".
        source: what the real call read without a guard, "" for other parts.
        expected: what the real call did.
        found: what the hit would have done.
        file: file of the compiled function.
        line: its first line there.
    """

    def __init__(
        self,
        name: str,
        *,
        entry: int,
        part: str,
        source: str,
        expected: str,
        found: str,
        file: str,
        line: int,
    ) -> None:
        if part == "guard":
            what = f"the real call needs {found}, for which entry {entry} has no guard"
        else:
            what = (
                f"entry {entry} is wrong ({part}): real call: {expected}; hit: {found}"
            )
        super().__init__(
            describe(
                f"{name}: {what}",
                reason="diverged",
                file=file,
                line=line,
                hint="the entry runs eager from now on; please report the program",
            )
        )
        self.name = name
        self.entry = entry
        self.part = part
        self.source = source
        self.expected = expected
        self.found = found
        self.file = file
        self.line = line


class BackendError(MagpyError):
    """A backend failed to compile a graph; ``__cause__`` is its own exception."""
