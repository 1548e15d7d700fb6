"""No folder of the engine includes or calls what stands above it (tools/lint_layers.py)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = """# Internals

## Folders of the engine

| folder | what lives there |
| --- | --- |
| `engine/low/` | the ground |
| `engine/left/`, `engine/right/` | two that call each other |
| `engine/high/` | the roof |

## Files

| `engine/high/` | another table |
"""
#: A tree that keeps the order.
GOOD = {
    "engine.h": "typedef int mp_rc;\n",
    "low/low.h": "int mp_low(void);\n#define MP_LOW 1\nextern int mp_state;\n",
    "low/low.c": '#include "low/low.h"\n\nint mp_state = MP_LOW;\n\n'
    "int\nmp_low(void)\n{\n}\n",
    "left/left.h": "int mp_left(int);\n",
    "left/left.c": '#include "left/left.h"\n#include "right/right.h"\n'
    "int\nmp_left(int n)\n{\n    return mp_right(n);\n}\n",
    "right/right.h": "int mp_right(int);\n",
    "right/right.c": '#include "left/left.h"\n\n'
    "int\nmp_right(int n)\n{\n    return n ? mp_left(n) : 0;\n}\n",
    "high/high.h": "typedef struct {\n    int a;\n} mp_high;\nint mp_top(mp_high *h);\n",
    "high/high.c": '#include "high/high.h"\n#include "low/low.h"\n'
    "static int\nhidden(void)\n{\n    return mp_low();\n}\n\n"
    "int\nmp_top(mp_high *h)\n{\n    return h->a + hidden();\n}\n",
    "module.c": '#include "high/high.h"\n\nstatic mp_high all;\n'
    "static int (*top)(mp_high *) = mp_top;\n",
}
#: What is changed, and what the linter says of it.
PLANTED = {
    "include": ("low/low.c", '#include "high/high.h"\n', "include (upward)"),
    "call": (
        "low/low.c",
        "int mp_top(void *);\nint x(void)\n{ return mp_top(0); }\n",
        "mp_top",
    ),
    "pointer": ("left/left.c", "int (*f)(void *) = mp_top;\n", "mp_top (upward)"),
    "variable": ("high/high.c", "int mp_flag = 1;\n", None),
    "useless": (
        "high/high.c",
        '#include "right/right.h"\n',
        "nothing of right/right.h",
    ),
    "unshared": (
        "low/low.h",
        "int mp_lonely(void);\n",
        None,  # (declared, but defined nowhere: the linker's business)
    ),
    "comment": ("low/low.c", "// as mp_top does\n", None),
    "string": ("low/low.c", 'const char *s = "mp_top";\n', None),
}


def layers() -> Any:
    spec = importlib.util.spec_from_file_location(
        "lint_layers", ROOT / "tools" / "lint_layers.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return module


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in GOOD.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_the_engine_keeps_the_order() -> None:
    tool = layers()
    assert tool.lint(tool.ENGINE, tool.PAGE.read_text(encoding="utf-8")) == []
    assert len(tool.ALLOWED) <= 5


def test_a_good_tree(tree: Path) -> None:
    tool = layers()
    assert tool.levels(PAGE) == {"low": 0, "left": 1, "right": 1, "high": 2}
    assert tool.lint(tree, PAGE) == []
    text = tool.figures(tree, PAGE)
    assert "4 folders" in text
    assert "0 of them upward" in text
    assert "circles of 2 files" in text


@pytest.mark.parametrize("name", PLANTED)
def test_planted(tree: Path, name: str) -> None:
    file, added, expected = PLANTED[name]
    path = tree / file
    path.write_text(path.read_text(encoding="utf-8") + added, encoding="utf-8")
    found = layers().lint(tree, PAGE)
    assert (
        (found == []) if expected is None else any(expected in line for line in found)
    )


def test_a_folder_without_a_row(tree: Path) -> None:
    (tree / "cellar").mkdir()
    page = PAGE.replace("| `engine/high/` | the roof |\n", "")
    assert layers().lint(tree, page) == [
        "engine/cellar/ has no row in README.md",
        "engine/high/ has no row in README.md",
    ]
    (tree / "cellar").rmdir()
    lost = PAGE.replace("engine/low/", "engine/lower/")
    assert "README.md: engine/lower/ does not exist" in layers().lint(tree, lost)
