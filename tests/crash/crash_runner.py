"""Run a program that may kill the interpreter in an interpreter of its own.

A script must end with exit code 0 and print "ok" last.  It has no torch: the engine is
imported past the package.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

PRELUDE = """
import faulthandler, sys, types
faulthandler.enable()
package = types.ModuleType("magpy")
package.__path__ = [sys.argv[1]]
sys.modules["magpy"] = package
from magpy._engine import CompiledFunction as compiled
def outcome(fn, *args, **kwargs):
    "What a call came to, comparable."
    try:
        return "value", fn(*args, **kwargs)
    except BaseException as error:
        return "error", type(error), str(error)
"""


def engine_folder() -> str:
    """Find the built extension without importing the package."""
    spec = importlib.util.find_spec("magpy")
    assert spec is not None, "the engine is not built"
    for folder in spec.submodule_search_locations or ():
        if any(Path(folder).glob("_engine.*.so")):
            return str(folder)
    raise AssertionError("the engine is not built")


def scripts(table: str) -> dict[str, str]:
    """Parse blocks that start with `=== name`."""
    found = {}
    for block in re.split(r"^=== ", table, flags=re.MULTILINE)[1:]:
        name, source = block.split("\n", 1)
        assert name not in found, f"two scripts named {name}"
        found[name.strip()] = source
    return found


def run(
    name: str, source: str, *options: str, status: int = 0, timeout: float = 240
) -> str:
    """Run a script; return what it wrote to stderr."""
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    program = textwrap.dedent(PRELUDE) + source + '\nprint("ok")\n'
    done = subprocess.run(
        [sys.executable, *options, "-c", program, engine_folder()],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=env,
    )
    report = f"{name}: exit {done.returncode}\n{done.stdout}{done.stderr[-6000:]}"
    assert done.returncode == status, report
    if status == 0:
        assert done.stdout.split()[-1:] == ["ok"], report
    assert "Fatal Python error" not in done.stderr, report
    return done.stderr
