"""Run the engine's own tests, which need no torch, on every CPython of this machine.

    python tools/test_pythons.py [pytest arguments]

Interpreters are looked for on PATH, in ~/.pyenv/versions and in /usr/bin.  Each gets its
own build; pytest is borrowed from the interpreter that runs this file.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from sources import ROOT

# Pure Python, so any interpreter can import them.
BORROWED = ["pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py"]
SUPPORTED = ("3.11.", "3.12.", "3.13.")
TORCH_FREE = 'importorskip("magpy._engine_testing")'
QUESTION = """
import os, sys, sysconfig
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
print(sys.implementation.name, *sys.version_info[:3], os.path.exists(header),
      hasattr(sys, "gettotalrefcount"), os.path.realpath(sys.executable))
"""


def ask(python: Path) -> list[str] | None:
    try:
        done = subprocess.run(
            [python, "-c", QUESTION], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.split() if done.returncode == 0 else None


def candidates() -> list[Path]:
    folders = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"))
    folders.append(Path("/usr/bin"))
    names = ["python3", *(f"python3.{minor}" for minor in range(11, 16))]
    return [f / n for f in folders for n in names if (f / n).exists()]


def find_pythons() -> dict[str, Path]:
    """Return one interpreter per (version, debug or not), named for the reader."""
    found: dict[str, Path] = {}
    for path in candidates():
        answer = ask(path)
        if answer is None or answer[0] != "cpython" or answer[4] != "True":
            continue
        version = tuple(map(int, answer[1:4]))
        if version[:2] < (3, 11):
            continue
        name = ".".join(map(str, version)) + ("-debug" if answer[5] == "True" else "")
        found.setdefault(name, Path(answer[6]))
    return found


def borrow_pytest(folder: Path) -> None:
    """Link pytest's packages into a folder that can stand on sys.path."""
    folder.mkdir()
    for name in BORROWED:
        try:
            file = importlib.import_module(name).__file__
        except ImportError:
            continue
        assert file is not None
        path = Path(file)
        if path.name == "__init__.py":
            path = path.parent
        (folder / path.name).symlink_to(path)


def test_files(supported: bool) -> list[str]:
    """All tests without torch; where the engine is off, those of its refusal only."""
    unit = ROOT / "tests" / "unit"
    if not supported:
        return [str(unit / "test_compat.py"), str(unit / "test_watch.py")]
    texts = {p: p.read_text(encoding="utf-8") for p in sorted(unit.glob("*.py"))}
    helpers = [
        f"from {path.stem} import"
        for path, text in texts.items()
        if TORCH_FREE in text and not path.name.startswith("test_")
    ]
    free = [
        path
        for path, text in texts.items()
        if path.name.startswith("test_")
        and any(mark in text for mark in (TORCH_FREE, *helpers))
    ]
    whole = [ROOT / "tests" / "test_oracle.py", ROOT / "tests" / "programs"]
    return [str(path) for path in free + whole]


def run_one(name: str, python: Path, pytest: Path, arguments: list[str]) -> bool:
    print(f"== CPython {name} ({python})", flush=True)
    with tempfile.TemporaryDirectory(prefix="magpy-") as folder:
        build = [sys.executable, str(ROOT / "tools" / "build_engine.py"), folder]
        build += ["--python", str(python)]
        if subprocess.run(build).returncode != 0:
            return False
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([folder, str(pytest)]))
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [str(python), "-X", "faulthandler", "-m", "pytest", "-q", "-rf"]
        supported = name.startswith(SUPPORTED)
        command += ["-p", "no:cacheprovider", *test_files(supported), *arguments]
        imports = "from magpy import _engine"
        for step in ([str(python), "-c", imports], command):
            if subprocess.run(step, env=env, cwd=ROOT).returncode != 0:
                return False
    return True


def main(arguments: list[str]) -> int:
    pythons = find_pythons()
    if shutil.which("cc") is None and "CC" not in os.environ:
        print("no C compiler: install one or set CC", file=sys.stderr)
        return 2
    failed = []
    with tempfile.TemporaryDirectory(prefix="magpy-pytest-") as folder:
        pytest = Path(folder) / "site"
        borrow_pytest(pytest)
        for name, python in sorted(pythons.items()):
            if not run_one(name, python, pytest, arguments):
                failed.append(name)
    print(f"== passed on {len(pythons) - len(failed)} of {len(pythons)} interpreters")
    if failed:
        print("== failed: " + ", ".join(failed))
    return 1 if failed or not pythons else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
