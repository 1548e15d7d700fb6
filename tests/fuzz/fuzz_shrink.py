"""Make a failing program small: fewer steps, fewer statements, smaller expressions.

Each try runs in a child of its own, so programs that crash or hang shrink as well.
"""

from __future__ import annotations

import ast
import copy
import dataclasses
import os
import time
from collections.abc import Callable, Iterator

import fuzz_run
from fuzz_maker import Program, Step

Steps = tuple[Step, ...]


def verdict(program: Program) -> str:
    """Run in a child: "equal", "differs", or "signal N" of what killed it."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            code = 2 if fuzz_run.run(program).difference else 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return {0: "equal", 2: "differs"}.get(os.WEXITSTATUS(status), "broken")


def _bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody", "handlers"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                yield body


def _inner(statement: ast.stmt) -> list[ast.stmt]:
    found: list[ast.stmt] = []
    for name in ("body", "orelse", "finalbody"):
        part = getattr(statement, name, None)
        if isinstance(part, list):
            found += part
    return found


def _text(tree: ast.Module) -> str | None:
    """The source of a tree, None if it is none any more."""
    try:
        text = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
        ast.parse(text)
    except (ValueError, AttributeError, TypeError, SyntaxError, IndexError):
        return None
    return text


def _fewer_statements(source: str, good: Callable[[str], bool]) -> str:
    """Take out runs of statements, long runs first; or put a block for its statement."""
    for size in (16, 8, 4, 2, 1, 0):  # 0: the block instead
        at = 0
        while True:
            tree = ast.parse(source)
            places = [
                (n, k) for n, b in enumerate(_bodies(tree)) for k in range(len(b))
            ]
            if at >= len(places):
                break
            number, k = places[-1 - at]
            body = list(_bodies(tree))[number]
            at += 1
            inner = _inner(body[k]) if size == 0 else []
            if size == 0 and not inner:
                continue
            first = max(0, k + 1 - size) if size else k
            body[first : k + 1] = inner
            if not body:
                body.append(ast.Pass())
            text = _text(tree)
            if text is not None and len(text) < len(source) and good(text):
                source = text
                at = max(0, at - 1)
    return source


def _expressions(tree: ast.AST) -> list[tuple[ast.AST, str, int | None]]:
    places: list[tuple[ast.AST, str, int | None]] = []
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                places.append((node, name, None))
            elif isinstance(value, list):
                places += [
                    (node, name, i)
                    for i, item in enumerate(value)
                    if isinstance(item, (ast.expr, ast.keyword, ast.alias))
                ]
    return places


def _put(tree: ast.AST, at: int, value: ast.expr | None) -> bool:
    node, name, index = _expressions(tree)[at]
    if index is None:
        if value is None:
            return False
        setattr(node, name, value)
    elif value is None:
        del getattr(node, name)[index]
    else:
        getattr(node, name)[index] = value
    return True


_SHRINKABLE = (
    ast.Call, ast.BinOp, ast.IfExp, ast.BoolOp, ast.Compare, ast.ListComp, ast.JoinedStr,
    ast.GeneratorExp, ast.Lambda, ast.UnaryOp, ast.Tuple, ast.List, ast.Dict,
)  # fmt: skip


def _choices(old: ast.AST, listed: bool) -> list[ast.expr | None]:
    """What may stand in place of an expression; None: nothing, in a list."""
    choices: list[ast.expr | None] = [None] if listed else []
    if isinstance(old, _SHRINKABLE):
        choices.append(ast.Constant(1))
        choices += [n for n in ast.iter_child_nodes(old) if isinstance(n, ast.expr)]
    return choices


def _smaller_expressions(source: str, good: Callable[[str], bool]) -> str:
    at = 0
    while at < len(_expressions(ast.parse(source))):
        tree = ast.parse(source)
        node, name, index = _expressions(tree)[at]
        old = getattr(node, name) if index is None else getattr(node, name)[index]
        at += 1
        for choice in _choices(old, index is not None):
            trial = copy.deepcopy(tree)
            if not _put(trial, at - 1, copy.deepcopy(choice)):
                continue
            text = _text(trial)
            if text is not None and len(text) < len(source) and good(text):
                source = text
                at -= 1
                break
    return source


def _step_trials(steps: Steps) -> Iterator[Steps]:
    size = len(steps) // 2
    while size:
        for at in range(0, len(steps), size):
            yield steps[:at] + steps[at + size :]
        size //= 2
    for at, (kind, text) in enumerate(steps):
        parts = text.split("; ")
        for k in range(len(parts) if kind == "change" and len(parts) > 1 else 0):
            less = "; ".join(parts[:k] + parts[k + 1 :])
            yield (*steps[:at], (kind, less), *steps[at + 1 :])


def _fewer_steps(steps: Steps, good: Callable[[Steps], bool]) -> Steps:
    while (less := next(filter(good, _step_trials(steps)), None)) is not None:
        steps = less
    return steps


def shrink(
    program: Program,
    seconds: float = 120,
    judge: Callable[[Program], str] = verdict,
) -> Program:
    """Return the smallest program found in that time whose verdict is the same."""
    wanted = judge(program)
    end = time.monotonic() + seconds

    def good(trial: Program) -> bool:
        return time.monotonic() < end and judge(trial) == wanted

    size = -1
    while wanted not in ("equal", "broken") and len(str(program)) != size:
        size = len(str(program))
        steps = _fewer_steps(
            program.steps, lambda s: good(dataclasses.replace(program, steps=s))
        )
        program = dataclasses.replace(program, steps=steps)
        for smaller in (_fewer_statements, _smaller_expressions):
            source = smaller(
                program.source, lambda s: good(dataclasses.replace(program, source=s))
            )
            program = dataclasses.replace(program, source=source)
    return program
