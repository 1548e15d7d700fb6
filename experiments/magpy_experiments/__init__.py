"""What is done with MagPy to show, measure and check it; no part of the product.

The commands in :mod:`magpy_experiments.cli` are those of ``python -m magpy`` that hand
over to this package: ``demo``, ``bench``, ``parity``, ``conformance``, ``reproduce``.
"""

from __future__ import annotations

__version__ = "0.1.0"
