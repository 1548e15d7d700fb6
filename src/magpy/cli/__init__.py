"""Subcommands of ``python -m magpy``, one module each.

A module has ``prepare_parser(parser)`` and ``run(args) -> exit code``; the first line
of its docstring is its help.  Results go to stdout, everything else to stderr.
"""
