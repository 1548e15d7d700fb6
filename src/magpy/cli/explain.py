"""Show what MagPy makes of a function: graphs, guards, effects, reasons of breaks.

FILE.py:FUNC names a function or module instance.  Its arguments come from --args, a
Python expression that gives a tuple, evaluated in the file's namespace, or from the
file's function example_inputs().
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path
from typing import Any

import magpy
from magpy.config import nearest


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("target", metavar="FILE.py:FUNC", help="what to explain")
    parser.add_argument(
        "--args", metavar="EXPR", help="tuple of arguments, for example '(x, 3)'"
    )
    parser.add_argument(
        "--all", action="store_true", help="show every guard, not an excerpt"
    )


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
        value = namespace["example_inputs"]()
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
    except _Usage as error:
        print(f"magpy explain: {error}", file=sys.stderr)
        return 2
    explanation = magpy.explain(function)(*inputs)
    print(explanation.format(limit=None) if args.all else explanation)
    return 0 if explanation.segments and not explanation.breaks else 1
