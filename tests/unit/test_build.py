"""The build files forget nothing, and the C code keeps its own rules."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "magpy"
EXPERIMENTS = ROOT / "experiments"


def test_c_rules() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "lint_c.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, "\n" + done.stdout + done.stderr


def lint_tree() -> Any:
    path = ROOT / "tools" / "lint_tree.py"
    spec = importlib.util.spec_from_file_location("lint_tree", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def test_no_file_is_too_long() -> None:
    assert [*lint_tree().check_lengths(ROOT)] == []


def test_a_long_file_breaks_a_rule(tmp_path: Path) -> None:
    for name, lines in (("long.py", 901), ("full.c", 900), ("long.txt", 901)):
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / name).write_text("\n" * lines, encoding="utf-8")
    found = [*lint_tree().check_lengths(tmp_path)]
    assert [line.partition(":")[0] for line in found] == ["tests/long.py"]


@pytest.mark.parametrize(
    ("subject", "faults"),
    [
        ("guard: ask for less", 0),
        ("Bug: record: a break lost a local", 0),
        ("guard: " + "x" * 58, 0),
        ("guard: " + "x" * 59, 1),
        ("Ask for less", 1),
        ("Ask for less " + "x" * 60, 2),
    ],
)
def test_subjects_of_commits(subject: str, faults: int) -> None:
    assert len([*lint_tree().check_subject(subject)]) == faults


def test_subjects_are_looked_at_before_they_are_pushed(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True)

    if shutil.which("git") is None:
        pytest.skip("needs git")
    tree = lint_tree()
    assert tree.new_subjects(tmp_path / "nowhere") == []
    git("init", "-q", "-b", "main")
    git("commit", "-q", "--allow-empty", "-m", "first")
    git("commit", "-q", "--allow-empty", "-m", "second")
    assert tree.new_subjects(tmp_path) == ["second"]
    git("checkout", "-q", "-b", "work", "--track")
    assert tree.new_subjects(tmp_path) == []
    git("commit", "-q", "--allow-empty", "-m", "third")
    git("commit", "-q", "--allow-empty", "-m", "fourth")
    assert tree.new_subjects(tmp_path) == ["fourth", "third"]


@pytest.mark.parametrize(
    "line",
    [
        'strcmp(Py_TYPE(o)->tp_name, "zip") == 0',
        'strncmp(callee_name(o), "numpy.", 6) == 0',
        "strcmp(who, names[i]) == 0",
        'PyUnicode_CompareWithASCIIString(f->func_name,\n    "sorted") == 0',
        'mp_name_is(code->co_name, "forward")',
    ],
)
def test_recognising_by_name_breaks_a_rule(tmp_path: Path, line: str) -> None:
    planted = tmp_path / "planted.c"
    lint = [sys.executable, str(ROOT / "tools" / "lint_c.py"), str(planted)]
    code = "/* Planted. */\nstatic bool\nis_it(PyObject *o)\n{\n    return %s;%s\n}\n"
    for reason, expected in (("", 1), ("  // mp-ok: planted", 0)):
        planted.write_text(code % (line, reason), encoding="utf-8")
        done = subprocess.run(lint, capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stdout
        assert ("types.def" in done.stdout) == bool(expected)


def test_names_of_attributes_may_be_compared(tmp_path: Path) -> None:
    planted = tmp_path / "planted.c"
    planted.write_text(
        "/* Planted. */\nstatic bool\nis_it(PyObject *name)\n{\n"
        '    return mp_name_is(name, "__name__");\n}\n',
        encoding="utf-8",
    )
    lint = [sys.executable, str(ROOT / "tools" / "lint_c.py"), str(planted)]
    assert subprocess.run(lint, check=False).returncode == 0


@pytest.mark.parametrize(
    "part",
    [
        "*(PyObject **)((char *)o + sizeof(PyObject))",
        "*(PyObject **)(o + 1)",
        "((struct { PyObject_HEAD PyObject *part; } *)o)->part",
    ],
)
def test_a_private_layout_breaks_a_rule(tmp_path: Path, part: str) -> None:
    planted = tmp_path / "planted.c"
    planted.write_text(
        "/* Planted. */\nstatic PyObject *\npart(PyObject *o)\n{\n"
        f"    return {part};\n}}\n",
        encoding="utf-8",
    )
    lint = [sys.executable, str(ROOT / "tools" / "lint_c.py"), str(planted)]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "engine/compat/" in done.stdout


@pytest.mark.parametrize(("bit", "expected"), [(0, 1), (1, 0)])
def test_two_flags_of_one_bit_break_a_rule(
    tmp_path: Path, bit: int, expected: int
) -> None:
    planted = tmp_path / "planted.h"
    planted.write_text(
        "/* Planted. */\nenum flags {\n    ONE = 1 << 0,  // one\n"
        f"    OTHER = 1 << {bit},\n}};\nenum others {{ LAST = 1 << 0, }};\n",
        encoding="utf-8",
    )
    lint = [sys.executable, str(ROOT / "tools" / "lint_c.py"), str(planted)]
    done = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stdout


def test_meson_lists_every_source() -> None:
    text = (ROOT / "meson.build").read_text(encoding="utf-8")
    listed = re.findall(r"'(engine/[\w/]+\.c)'", text)
    assert len(listed) == len(set(listed))
    on_disk = {str(p.relative_to(ROOT)) for p in (ROOT / "engine").rglob("*.c")}
    assert set(listed) == on_disk


def test_every_python_file_is_installed() -> None:
    spec = importlib.util.find_spec("magpy")
    assert spec is not None
    if spec.origin is None:
        pytest.skip("this magpy is a folder with the engine only")
    installed = Path(spec.origin).parent
    names = {
        path.relative_to(PACKAGE)
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".pyi", ".typed")
    }
    missing = sorted(str(n) for n in names if not (installed / n).exists())
    assert missing == []
    if installed == PACKAGE:
        return
    stale = [
        str(n)
        for n in names
        if (installed / n).read_bytes() != (PACKAGE / n).read_bytes()
    ]
    assert stale == [], "installed files differ: run make"


def test_one_file_states_the_version() -> None:
    package = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" in project["project"]["dynamic"]
    meson = (ROOT / "meson.build").read_text(encoding="utf-8")
    assert "version: run_command('tools/version.py'" in meson
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in cited
    other = tomllib.loads((EXPERIMENTS / "pyproject.toml").read_text("utf-8"))
    assert other["project"]["version"] == version
    assert f"magpy-torch=={version}" in other["project"]["dependencies"]
    meson = (EXPERIMENTS / "meson.build").read_text(encoding="utf-8")
    assert f"version: '{version}'" in meson
    package = (EXPERIMENTS / "magpy_experiments/__init__.py").read_text("utf-8")
    assert f'__version__ = "{version}"' in package


@pytest.mark.parametrize("name", ["dev.txt", "docs.txt"])
def test_requirements_are_pinned(name: str) -> None:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    names = [pin.split("==")[0].lower() for pin in pins]
    assert len(names) == len(set(names))
