"""Count references: the leak tests that need no torch, under a debug build of CPython.

    python tools/refleak.py [pytest arguments]

A debug build keeps sys.gettotalrefcount(); Debian's python3-dbg package has one.  Without
any there is nothing to do, and that is said.  pytest is borrowed from the interpreter
that runs this file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sources import ROOT
from test_pythons import SUPPORTED, ask, borrow_pytest

NAMES = ["python3.11-dbg", "python3.12-dbg", "python3.11d", "python3.12d"]
TESTS = [f"tests/leak/test_{name}.py" for name in ("rounds", "cycles", "leak_engine")]


def find_debug_python() -> Path | None:
    for name in NAMES:
        path = shutil.which(name)
        answer = ask(Path(path)) if path is not None else None
        if path is None or answer is None or answer[4] != "True" or answer[5] != "True":
            continue
        if ".".join(answer[1:4]).startswith(SUPPORTED):
            return Path(path)
    return None


def main(arguments: list[str]) -> int:
    python = find_debug_python()
    if python is None:
        print("== no debug build of CPython here (Debian: python3-dbg): not counted")
        return 0
    print(f"== every reference, under {python}", flush=True)
    with tempfile.TemporaryDirectory(prefix="magpy-") as folder:
        site = Path(folder) / "site"
        borrow_pytest(site)
        build = [sys.executable, str(ROOT / "tools" / "build_engine.py"), folder]
        if subprocess.run([*build, "--python", str(python)]).returncode != 0:
            return 1
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([folder, str(site)]))
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [str(python), "-X", "faulthandler", "-m", "pytest", "-q"]
        command += ["-p", "no:cacheprovider", *TESTS, *arguments]
        return subprocess.run(command, env=env, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
