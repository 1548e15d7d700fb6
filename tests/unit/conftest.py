"""Fixtures of several files."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def plant() -> Iterator[Any]:
    """Leave kinds of guards and effects out of what is recorded next."""
    _engine = pytest.importorskip("magpy._engine")
    if not hasattr(_engine, "_plant"):
        pytest.skip("the engine was built without MP_TESTING")

    def none() -> None:
        _engine._plant("guard", None)
        _engine._plant("effect", None)

    yield _engine._plant
    none()
