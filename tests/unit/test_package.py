"""What is installed, and which module of it imports which."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "src" / "magpy"
EXPERIMENTS = ROOT / "experiments" / "magpy_experiments"


# -- Imports ---------------------------------------------------------------------------


def modules_of(package: Path) -> dict[str, Path]:
    """The modules of a package, by name; of those in C the stubs."""
    found = {}
    for path in package.rglob("*.py*"):
        if path.suffix not in (".py", ".pyi"):
            continue
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


def layers() -> list[list[str]]:
    """The layers of docs/internals/package.md: files and folders, the top first."""
    page = (ROOT / "docs/internals/package.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| ")]
    return [re.findall(r"`([^`]+)`", row[2]) for row in rows[2:]]


def test_imports_go_down_the_layers() -> None:
    order = layers()

    def layer(path: Path) -> int:
        name = path.relative_to(PRODUCT).as_posix()
        places = [name, name.partition("/")[0] + "/"]
        (found,) = [i for i, row in enumerate(order) if set(row) & set(places)]
        return found

    modules = modules_of(PRODUCT)
    upward = [
        f"{name} imports {other}"
        for name, others in arcs(PRODUCT).items()
        for other in others
        if layer(modules[other]) < layer(modules[name])
    ]
    assert len(order) == 7
    assert upward == []


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


# -- Wheels ----------------------------------------------------------------------------

PROGRAM = """
import sys
import torch
import magpy

assert magpy.__file__.startswith(sys.prefix), magpy.__file__

def program(x, y):
    return (x @ y).relu() + 1

compiled = magpy.compile(program, backend="eager", fullgraph=True)
x = torch.randn(3, 3)
for _ in range(3):
    assert torch.equal(compiled(x, x), program(x, x))
assert magpy.stats(compiled)["hits"] == 2
assert "1 graph" in str(magpy.explain(program)(x, x))
magpy.list_backends()
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
STUB = """
__version__ = "2.13.0"

class nn:
    class Module:
        pass
"""
WITHOUT_TORCH = """
import sys, warnings
import magpy

assert magpy.__file__.startswith(sys.prefix), magpy.__file__

def program(numbers):
    return sum(n * n for n in numbers)

with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    compiled = magpy.compile(program)
    for _ in range(3):
        assert compiled([1, 2, 3]) == 14
print(*(each.message for each in heard))
print(magpy.stats(compiled)["hits"])
"""
UNWANTED = {"magpy_experiments", "matplotlib", "rich", "transformers", "hypothesis"}


def plain_environment() -> dict[str, str]:
    """Without what steers this Python, and without a sanitizer that is loaded into it."""
    steering = ("PYTHON", "MAGPY", "LD_PRELOAD")
    return {k: v for k, v in os.environ.items() if not k.startswith(steering)}


def wheel_of(source: Path, build: Path, *options: str) -> Path:
    """Build a wheel with what is installed here; build folders are kept for the next."""
    build.mkdir(parents=True, exist_ok=True)
    out = build / "wheel"
    for old in out.glob("*.whl"):
        old.unlink()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--no-build-isolation"]
    command += [f"-Cbuild-dir={build}", *options, "-w", str(out), str(source)]
    subprocess.run(command, check=True, env={**plain_environment(), "PATH": path})
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The product as `pip install .` gets it, but quickly compiled."""
    if importlib.util.find_spec("mesonpy") is None:
        pytest.skip("needs meson-python")
    quick = ("-Csetup-args=-Dbuildtype=plain", "-Csetup-args=-Dc_args=-O0")
    return wheel_of(ROOT, ROOT / "build" / "product", *quick)


def files_in(wheel: Path) -> set[str]:
    names = zipfile.ZipFile(wheel).namelist()
    return {name for name in names if ".dist-info/" not in name}


def sources_of(package: Path) -> set[str]:
    return {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.suffix in (".py", ".pyi", ".typed")
    }


def test_the_product_is_installed_alone(wheel: Path) -> None:
    rest = files_in(wheel) - sources_of(PRODUCT)
    assert sources_of(PRODUCT) <= files_in(wheel)
    assert len(rest) == 1
    assert re.fullmatch(r"magpy/_engine\.[\w.-]+\.so", rest.pop())


def test_the_experiments_have_a_wheel_of_their_own() -> None:
    pytest.importorskip("mesonpy")
    made = wheel_of(EXPERIMENTS.parent, ROOT / "build" / "beside")
    assert files_in(made) == sources_of(EXPERIMENTS)


def needed_by(name: str) -> dict[str, Distribution]:
    """A distribution and all that it needs, as far as it is installed."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        name = waiting.pop()
        try:
            made = distribution(name)
        except PackageNotFoundError:  # for another system
            continue
        if found.setdefault(made.metadata["Name"], made) is made:
            needs = [need for need in made.requires or [] if "extra ==" not in need]
            waiting += [re.match(r"[\w.-]+", need)[0] for need in needs]  # type: ignore[index]
    return found


def empty_environment(folder: Path) -> tuple[Path, Path]:
    """A new environment without anything: its Python and its site-packages."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    return folder / "bin" / "python", site


def install(python: Path, wheel: Path) -> None:
    """As users do, but from nowhere else: what it needs must be there."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    command += ["--python", str(python), "install", "--quiet", "--no-index"]
    subprocess.run([*command, str(wheel)], check=True, env=plain_environment())


def lay_stub(site: Path, body: str) -> None:
    """A distribution `torch` with this as its only module."""
    (site / "torch.py").write_text(body)
    about = site / "torch-2.13.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n"
    )
    (about / "RECORD").write_text("torch.py,,\n")
    (about / "INSTALLER").write_text("test\n")


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the product, torch, and what torch needs."""
    pytest.importorskip("torch")
    python, site = empty_environment(tmp_path_factory.mktemp("bare"))
    zipfile.ZipFile(wheel).extractall(site)
    for made in needed_by("torch").values():
        for top in {file.parts[0] for file in made.files or ()}:
            original = Path(str(made.locate_file(top)))
            if top not in ("..", "__pycache__") and original.suffix != ".pth":
                if not (site / top).exists():
                    (site / top).symlink_to(original)
    return python


def told(wheel: Path) -> Message:
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    return message_from_string(archive.read(name).decode())


def test_what_a_wheel_says_of_itself(wheel: Path) -> None:
    about = told(wheel)
    assert about["Name"] == "magpy-torch"
    assert about["Version"] == build_tool("version").version()
    needs = about.get_all("Requires-Dist", [])
    assert [need for need in needs if "extra" not in need] == ["torch>=2.11"]
    extras = {"experiments", "demo", "xla", "onnx", "dev"}
    assert set(about.get_all("Provides-Extra", [])) == extras
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    links = dict(each.split(", ") for each in about.get_all("Project-URL", []))
    assert all(link.startswith("https://") for link in links.values())
    assert links


def test_wheels_are_made_for_what_is_classified() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    settings = tomllib.loads(text)
    said = re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', text)
    made = settings["tool"]["cibuildwheel"]["build"]
    assert said
    assert made == [f"cp3{minor}-manylinux_*" for minor in said]


def test_beside_a_stub_of_torch_all_runs_eager(wheel: Path, tmp_path: Path) -> None:
    python, site = empty_environment(tmp_path / "stub")
    lay_stub(site, STUB)
    install(python, wheel)
    done = run(python, "-c", WITHOUT_TORCH)
    assert done.returncode == 0, done.stderr
    warning, hits = done.stdout.splitlines()
    assert "MagPy is off and everything runs eager: torch cannot be used" in warning
    assert hits == "0"
    assert run(python, "-m", "magpy", "--version").returncode == 0


def test_torch_is_needed(wheel: Path, tmp_path: Path) -> None:
    python, _ = empty_environment(tmp_path / "empty")
    with pytest.raises(subprocess.CalledProcessError):
        install(python, wheel)


def test_examples_run_with_what_is_installed(bare: Path) -> None:
    """All in one process: importing torch takes longer than they do."""
    examples = sorted(map(str, (ROOT / "examples").glob("*.py")))
    assert len(examples) >= 5
    program = "import runpy, sys\nfor path in sys.argv[1:]:\n"
    program += "    print(path)\n    runpy.run_path(path, run_name='__main__')"
    done = run(bare, "-c", program, *examples)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((\w+\.py)\)", page)
    assert sorted(links) == [Path(path).name for path in examples]


# -- The build backend -----------------------------------------------------------------


def build_tool(name: str) -> Any:
    """A module of tools/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOKS = [
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "get_requires_for_build_editable",
    "build_sdist",
    "build_wheel",
    "build_editable",
]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("version", "threads", "words"),
    [
        ((3, 10), 0, "magpy needs CPython 3.11 to 3.14; this is 3.10."),
        ((3, 15), 0, "magpy needs CPython 3.11 to 3.14; this is 3.15."),
        (
            (3, 13),
            1,
            "magpy needs a CPython with the GIL; this is a free-threaded build of 3.13.",
        ),
    ],
    ids=["older", "newer", "free-threaded"],
)
def test_one_line_refuses_an_interpreter(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    hook: str,
    version: tuple[int, int],
    threads: int,
    words: str,
) -> None:
    backend = build_tool("build_backend")
    fake = SimpleNamespace(
        implementation=sys.implementation, version_info=version, stderr=sys.stderr
    )
    monkeypatch.setattr(backend, "sys", fake)
    options = {"Py_GIL_DISABLED": threads}
    monkeypatch.setattr(backend.sysconfig, "get_config_var", options.get)
    args = [] if hook.startswith("get") else [str(tmp_path)]
    with pytest.raises(SystemExit):
        getattr(backend, hook)(*args)
    assert capfd.readouterr().err.split("\n") == ["", f"error: {words}", "", ""]


def test_editable_installs_use_the_sources(
    monkeypatch: pytest.MonkeyPatch, wheel: Path, tmp_path: Path
) -> None:
    backend = build_tool("build_backend")
    sources = tmp_path / "src"
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(PRODUCT, sources / "magpy", ignore=ignored)
    monkeypatch.setattr(backend, "SOURCES", sources)
    made = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as whole:
        backend.make_editable(whole, made)
    assert files_in(made) == {"__editable__.magpy.pth"}
    python, site = empty_environment(tmp_path / "editable")
    lay_stub(site, STUB)
    install(python, made)
    with (sources / "magpy" / "__init__.py").open("a") as file:
        file.write("CHANGED = True\n")
    program = "import magpy, magpy._engine as c; print(magpy.CHANGED, c.__file__)"
    done = run(python, "-c", program)
    assert done.returncode == 0, done.stderr
    changed, where = done.stdout.split()
    assert changed == "True"
    assert Path(where).parent == sources / "magpy"


def test_a_source_archive_has_all_that_a_build_needs(tmp_path: Path) -> None:
    pytest.importorskip("mesonpy")
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a checkout")
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ["PATH"]])
    program = "import sys, build_backend as b; b.build_sdist(sys.argv[1])"
    env = {**plain_environment(), "PATH": path, "PYTHONPATH": str(ROOT / "tools")}
    command = [sys.executable, "-c", program, str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT, env=env, capture_output=True)
    (archive,) = tmp_path.glob("magpy_torch-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.glob("magpy_torch-*/")
    # Every file that meson.build names must be there for this.
    meson = ["meson", "setup", str(tmp_path / "build"), str(tree)]
    subprocess.run(meson, check=True, env=env, capture_output=True)
    for name in ("PKG-INFO", "README.md", "LICENSE", "tools/build_backend.py"):
        assert (tree / name).is_file()
    assert (tree / "engine/compat/opcodes.def").is_file()


def run(python: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-W", "ignore", *args]
    env = plain_environment()
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_the_product_works_with_torch_alone(bare: Path) -> None:
    for name in UNWANTED:
        assert run(bare, "-c", f"import {name}").returncode == 1
    done = run(bare, "-c", PROGRAM)
    assert done.returncode == 0, done.stderr
    assert not UNWANTED & set(done.stdout.split())


def test_the_commands_of_the_product_work_with_torch_alone(
    bare: Path, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text("def f(x):\n    return x + 1\n")
    assert run(bare, "-m", "magpy", "--help").returncode == 0
    assert run(bare, "-m", "magpy", "env", "--no-check").returncode == 0
    done = run(bare, "-m", "magpy", "explain", f"{program}:f", "--args", "(1,)")
    assert done.returncode == 0, done.stderr
    for command in ("demo", "bench", "parity", "conformance"):
        done = run(bare, "-m", "magpy", command, "--anything")
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.endswith(": pip install ./experiments\n")
