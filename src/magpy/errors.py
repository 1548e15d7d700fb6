"""Exceptions of MagPy, and how its messages about user code are worded."""

from __future__ import annotations

import linecache


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
) -> str:
    """Word a message: what happened, where in user code, hint, reason id."""
    parts = [what]
    if file:
        parts.append(f'  File "{file}", line {line}')
        source = linecache.getline(file, line).strip()
        if source:
            parts.append(f"    {source}")
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
    ) -> None:
        super().__init__(describe(what, reason=reason, file=file, line=line, hint=hint))
        self.what = what
        self.reason = reason
        self.file = file
        self.line = line
        self.source_line = linecache.getline(file, line).strip() if file else ""
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return _unsupported, (self.what, self.reason, self.file, self.line, self.hint)


def _unsupported(
    what: str, reason: str, file: str | None, line: int, hint: str
) -> Unsupported:
    return Unsupported(what, reason=reason, file=file, line=line, hint=hint)


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
