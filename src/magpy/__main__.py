"""Entry point of ``python -m magpy`` and of the ``magpy`` script."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any

import magpy

COMMANDS = ("explain", "report", "env")
#: Commands of the package that stands beside this one.
EXPERIMENTS = ("demo", "bench", "parity", "conformance", "reproduce")
_ABSENT = (
    "it belongs to the package magpy-experiments, which is not installed; "
    "in a checkout of MagPy: pip install ./experiments"
)


def _module(name: str) -> Any:
    """Return the module of a subcommand, None if its package is not installed."""
    if name in COMMANDS:
        return importlib.import_module(f"magpy.cli.{name}")
    if importlib.util.find_spec("magpy_experiments") is None:
        return None
    return importlib.import_module(f"magpy_experiments.cli.{name}")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = argparse.ArgumentParser(
        prog="magpy",
        description="A just-in-time front end for PyTorch that watches real Python.",
        epilog="exit codes: 0 success, 1 the command found a problem, 2 wrong usage",
    )
    parser.add_argument(
        "--version", action="version", version=f"magpy {magpy.__version__}"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in (*COMMANDS, *EXPERIMENTS):
        module = _module(name)
        if module is None:
            sub = commands.add_parser(name, help="not installed", add_help=False)
            sub.set_defaults(run=_not_installed)
            continue
        doc = (module.__doc__ or "").strip()
        sub = commands.add_parser(
            name,
            help=doc.splitlines()[0],
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.prepare_parser(sub)
        sub.set_defaults(run=module.run)
    return parser


def _not_installed(args: argparse.Namespace) -> int:
    raise magpy.MagpyError(f"{args.command}: {_ABSENT}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code."""
    parser = make_parser()
    args, unknown = parser.parse_known_args(argv)
    if unknown and args.run is not _not_installed:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, head for example, has seen enough
        sys.stdout = open(os.devnull, "w")  # nothing is left to flush at exit
        return 1
    except magpy.MagpyError as error:
        print(f"magpy: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
