"""What is installed, and which module of it imports which."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "src" / "magpy"
EXPERIMENTS = ROOT / "experiments" / "magpy_experiments"


# -- Imports ---------------------------------------------------------------------------


def modules_of(package: Path) -> dict[str, Path]:
    """The modules of a package, by name."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """What a module imports as (module, name in it), types and in functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((each.name, "") for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by the full name"
            yield from ((node.module or "", each.name) for each in node.names)


def arcs(package: Path) -> dict[str, set[str]]:
    """Which module of a package imports which others of it."""
    modules, found = modules_of(package), {}
    for name, path in modules.items():
        targets = {
            f"{m}.{n}" if f"{m}.{n}" in modules else m for m, n in imported(path)
        }
        found[name] = (targets & set(modules)) - {name}
    return found


def circle(package: Path) -> list[str]:
    try:
        graphlib.TopologicalSorter(arcs(package)).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.parametrize("package", [PRODUCT, EXPERIMENTS], ids=lambda p: p.name)
def test_no_circle_of_imports(package: Path) -> None:
    assert len(arcs(package)) > 10
    assert circle(package) == []


@pytest.mark.parametrize(
    "line",
    [
        "import package.b",
        "from package import b",
        "from package.b import f",
        "def f():\n    from package.b import f",
        "if TYPE_CHECKING:\n    from package.b import f",
    ],
)
def test_circles_are_found(tmp_path: Path, line: str) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("from package.a import f\n")
    (package / "a.py").write_text(f"{line}\n")
    (package / "b.py").write_text("import os\n")
    assert circle(package) == []
    (package / "b.py").write_text("from package import a\n")
    assert sorted(set(circle(package))) == ["package.a", "package.b"]


def test_the_product_imports_nothing_of_the_experiments() -> None:
    for name, path in modules_of(PRODUCT).items():
        roots = {module.partition(".")[0] for module, _ in imported(path)}
        assert not roots & {"magpy_experiments", "tests", "tools"}, name
