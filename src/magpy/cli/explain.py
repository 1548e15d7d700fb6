"""Show what MagPy makes of a function: graphs, guards, effects, reasons of breaks.

FILE.py:FUNC names a function or module instance.  Its arguments come from --args, a
Python expression that gives a tuple, evaluated in the file's namespace, or from the
file's function example_inputs().
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import magpy
from magpy.config import nearest
from magpy.explain import Explanation


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("target", metavar="FILE.py:FUNC", help="what to explain")
    parser.add_argument(
        "--args", metavar="EXPR", help="tuple of arguments, for example '(x, 3)'"
    )
    parser.add_argument(
        "--all", action="store_true", help="show every guard, not an excerpt"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


class _Usage(Exception):
    """The command line cannot be followed."""


def _load(target: str) -> tuple[Any, dict[str, Any]]:
    path, separator, name = target.rpartition(":")
    if not separator or not path:
        raise _Usage(f"{target!r} is not of the form FILE.py:FUNC")
    if not Path(path).is_file():
        raise _Usage(f"there is no file {path!r}")
    sys.path.insert(0, str(Path(path).resolve().parent))
    namespace = runpy.run_path(path)
    found: Any = namespace.get(name.partition(".")[0])
    if found is None:
        names = [key for key, value in namespace.items() if callable(value)]
        raise _Usage(f"{path} has no {name!r}.{nearest(name, names)}")
    for part in name.split(".")[1:]:
        if not hasattr(found, part):
            raise _Usage(f"{path} has no {name!r}.{nearest(part, dir(found))}")
        found = getattr(found, part)
    return found, namespace


def _arguments(text: str | None, namespace: dict[str, Any]) -> tuple[Any, ...]:
    if text is not None:
        try:
            value = eval(text, namespace)
        except Exception as error:
            raise _Usage(f"--args {text!r}: {type(error).__name__}: {error}") from error
    elif callable(namespace.get("example_inputs")):
        value = namespace["example_inputs"]()  # (what it raises is the user's)
    else:
        return ()
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def run(args: argparse.Namespace) -> int:
    """Print the explanation.

    Returns:
        0 if the program was recorded, 1 if it stays eager, 2 for a wrong usage.
    """
    try:
        function, namespace = _load(args.target)
        inputs = _arguments(args.args, namespace)
        explained = _explainer(function, args.target)
    except _Usage as error:
        print(f"magpy explain: {error}", file=sys.stderr)
        return 2
    except (Exception, SystemExit) as error:  # of the user's file
        print(
            f"magpy explain: {args.target} fails while it is loaded:", file=sys.stderr
        )
        print(_told(error), file=sys.stderr)
        return 2
    try:
        explanation = explained(*inputs)
    except (Exception, SystemExit) as error:
        print(f"magpy explain: the call of {args.target} fails:", file=sys.stderr)
        print(_told(error), file=sys.stderr)
        return 1
    if args.json:
        print(explanation.to_json())
    else:
        print(explanation.format(limit=None) if args.all else explanation)
    return 0 if explanation.segments and not explanation.breaks else 1


def _explainer(function: Any, target: str) -> Callable[..., Explanation]:
    try:
        return magpy.explain(function)
    except TypeError as error:
        raise _Usage(f"{target}: {error}") from error


def _told(error: BaseException) -> str:
    """Return the traceback of an exception, without frames that are ours."""
    told = traceback.TracebackException.from_exception(error)
    told.stack = traceback.StackSummary.from_list(
        [frame for frame in told.stack if not _is_ours(frame.filename)]
    )
    told.__cause__ = told.__context__ = None
    return "".join(told.format()).rstrip()


def _is_ours(file: str) -> bool:
    here = os.path.join(os.path.dirname(magpy.__file__), "")
    return file.startswith(here) or file in (runpy.__file__, "<frozen runpy>")
