"""Machine instructions of calls: what the time of a busy machine does not tell."""

import importlib.util
import os
import pathlib
import shutil
import sys

import pytest

engine = pytest.importorskip("magpy._engine")

ROOT = pathlib.Path(__file__).parents[2]
# With assertions, -O1: 3,300 and 2,290.
LIMITS = {"hits": 4_500, "turns": 3_300}


@pytest.fixture(scope="module")
def count():
    if shutil.which("valgrind") is None:
        pytest.skip("needs valgrind")
    if sys.version_info[:2] != (3, 11) or "asan" in os.environ.get("LD_PRELOAD", ""):
        pytest.skip("the limits are those of another interpreter")
    path = ROOT / "tools" / "count_instructions.py"
    spec = importlib.util.spec_from_file_location("count_instructions", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.count


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The engine alone, which needs no torch."""
    folder = tmp_path_factory.mktemp("engine") / "magpy"
    folder.mkdir()
    library = pathlib.Path(engine.__file__)
    (folder / library.name).symlink_to(library.resolve())
    return str(folder.parent)


@pytest.mark.parametrize("which", LIMITS)
def test_instructions(which, count, package):
    assert 500 < count(package, which) < LIMITS[which]
