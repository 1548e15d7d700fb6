"""Subcommands of ``python -m magpy`` that belong to this package, one module each.

They are built like those in :mod:`magpy.cli`.
"""
