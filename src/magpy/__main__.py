"""Entry point of ``python -m magpy`` and of the ``magpy`` script."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

import magpy

COMMANDS = ("demo", "explain", "bench", "parity", "conformance", "env")


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
    for name in COMMANDS:
        module = importlib.import_module(f"magpy.cli.{name}")
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code."""
    args = make_parser().parse_args(argv)
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
