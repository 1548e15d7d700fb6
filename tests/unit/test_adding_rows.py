"""A row added to each table: the diffs of docs/internals/adding-a-row.md are built."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("magpy._engine")
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "internals" / "adding-a-row.md"
PARTS = ["engine", "src", "tools", "experiments", "meson.build"]
DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^--- (.+)\n", re.MULTILINE)

if not (ROOT / "meson.build").exists() or shutil.which("cc") is None:
    pytest.skip("needs the sources and a C compiler", allow_module_level=True)

# What the new rows do.  Each answer is a key of what it prints.
USES = """
import dis, json
import magpy
from magpy import _engine, _engine_testing as testing

answers = {}

def recorded(f, *args):
    compiled = _engine.CompiledFunction(f)
    wanted = f(*args)
    assert [compiled(*args) for _ in range(3)] == [wanted] * 3
    stats = compiled.stats()
    return [stats[name] for name in ("recordings", "fallbacks", "hits")]

def calls(code):
    return dis.stack_effect(code) + 1

answers["builtin class"] = _engine.effect_class(dis.stack_effect)
answers["builtin"] = recorded(calls, dis.opmap["POP_TOP"])

program = testing.guard_new([("LOAD_ARG", -1, -1, 0, "x"), ("EVEN", 0, -1, 0)])
answers["guard"] = [testing.guard_check(program, (x,)) for x in (4, 5, -2, 4.0, True)]
answers["guard text"] = testing.guard_text(program)

replay = testing.replay_new(1, 0, [])
pair = testing.replay_emit(replay, ("TWICE", 0, -1, ()))
testing.replay_emit(replay, ("RETURN", pair, -1, ()))
answers["effect"] = testing.replay_run(replay, ("a",), (), 1)

def idles(x):
    while True:
        if x:
            break
    return x

answers["idle code"] = any(i.opname == "NOP" for i in dis.get_instructions(idles))
answers["opcode"] = recorded(idles, 3)

try:
    import torch
except ImportError:
    torch = None
if torch is not None:
    from magpy import _torch_table as table

    flags = table.OpFlag(table.build()[torch.trapezoid])
    answers["torch"] = flags == table.OpFlag.HOST_READ
print(json.dumps(answers))
"""


def diffs() -> dict[str, list[list[str]]]:
    """The hunks of each file: a file is named before each of its hunks."""
    found: dict[str, list[list[str]]] = {}
    for diff in DIFF.findall(PAGE.read_text(encoding="utf-8")):
        _, *parts = FILE.split(diff)
        for name, hunk in zip(parts[::2], parts[1::2], strict=True):
            found.setdefault(name, []).append(hunk.splitlines())
    return found


def apply(path: Path, hunk: list[str]) -> None:
    """Replace the lines that a hunk keeps or takes away, which must stand there once."""
    old = "".join(f"{line[1:]}\n" for line in hunk if line[:1] != "+")
    new = "".join(f"{line[1:]}\n" for line in hunk if line[:1] != "-")
    text = path.read_text(encoding="utf-8")
    assert f"\n{text}".count(f"\n{old}") == 1, (path.name, old)
    path.write_text(f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:], encoding="utf-8")


def test_the_page_shows_each_table() -> None:
    assert set(diffs()) >= {
        "engine/objects/builtins.def",
        "engine/objects/rules.def",
        "engine/guard/guards.def",
        "engine/effect/effects.def",
        "engine/compat/opcodes.def",
        "src/magpy/_torch_table/names.py",
    }


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    copy = tmp_path_factory.mktemp("copy")
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(ROOT / part, copy / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, copy / part)
    for name, hunks in diffs().items():
        for hunk in hunks:
            apply(copy / name, hunk)
    build = [sys.executable, str(copy / "tools" / "build_engine.py"), str(copy / "out")]
    options = ["--full", "--cflags", "-O0 -UNDEBUG -Werror"]
    done = subprocess.run(build + options, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        [sys.executable, "-c", USES],
        env={**os.environ, "PYTHONPATH": str(copy / "out")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_builtin(answers: dict[str, Any]) -> None:
    assert answers["builtin class"] == "pure"
    assert answers["builtin"] == [1, 0, 2]


def test_a_guard_kind(answers: dict[str, Any]) -> None:
    assert answers["guard"] == [True, False, True, False, False]
    assert answers["guard text"] == ["x is even"]


def test_an_effect_kind(answers: dict[str, Any]) -> None:
    assert answers["effect"] == ["a", "a"]


def test_an_opcode(answers: dict[str, Any]) -> None:
    assert answers["idle code"]
    assert answers["opcode"] == [1, 0, 2]


def test_a_torch_operator(answers: dict[str, Any]) -> None:
    if "torch" not in answers:
        pytest.skip("needs torch")
    assert answers["torch"]
