"""The documentation is true: names and links exist, examples run, pages are renewed."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("magpy._engine")

ROOT = Path(__file__).resolve().parents[2]
INTERNALS = ROOT / "docs" / "internals"
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / n for n in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    ]
)
# Where a file that a page names without its folder may be.
FOLDERS = [
    ROOT / name
    for name in (
        ".", "engine", "src/magpy",
        "src/magpy/backends", "experiments/magpy_experiments",
        "experiments/magpy_experiments/conformance", "tests", "tests/unit",
        "tests/programs", "tests/torch_programs", "tests/property", "tests/crash",
        "tests/leak", "tests/fuzz", "docs/internals",
    )
]  # fmt: skip
FOLDERS += [path for path in sorted((ROOT / "engine").iterdir()) if path.is_dir()]
CODE = re.compile(r"```.*?^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w./-]+\.(?:c|h|def|py|pyi|md|build|toml|txt)|[\w./-]+/")
NAME = re.compile(r"[A-Za-z_]\w*")
# Names of the interpreter and of torch that pages may use in passing.
FOREIGN = re.compile(r"_?Py[A-Z_]\w*|__\w+__|[a-z]+")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def words() -> set[str]:
    """Every identifier of the tree's code."""
    found: set[str] = set()
    for folder in ("engine", "src", "experiments", "tests", "tools"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".c", ".h", ".def", ".py", ".pyi"):
                if path != Path(__file__):
                    found.update(NAME.findall(path.read_text(encoding="utf-8")))
    return found


def exists(name: str) -> bool:
    return any((folder / name).exists() for folder in FOLDERS)


def unknown(text: str, words: set[str]) -> list[str]:
    """Files and names in backticks that are nowhere."""
    missing = []
    for quoted in QUOTED.findall(CODE.sub("", text)):
        if FILE.fullmatch(quoted):
            if not exists(quoted):
                missing.append(quoted)
            continue
        name = quoted.removesuffix("()").split(".")[-1]
        dotted = re.fullmatch(r"[\w.]+(\(\))?", quoted) is not None
        if dotted and NAME.fullmatch(name) and not FOREIGN.fullmatch(name):
            if name not in words:
                missing.append(quoted)
    return missing


def test_the_check_itself() -> None:
    text = (
        "`engine/nowhere.c` `mp_no_such` `NO_SUCH()` `guard/guard.c` `mp_load` `x + y`"
    )
    assert unknown(text, {"mp_load"}) == ["engine/nowhere.c", "mp_no_such", "NO_SUCH()"]


# ambient.md lists names of torch: test_ambient.py looks for them there.
@pytest.mark.parametrize(
    "page",
    sorted(set(INTERNALS.glob("*.md")) - {INTERNALS / "ambient.md"}),
    ids=relative,
)
def test_named_files_and_functions_exist(page: Path, words: set[str]) -> None:
    assert unknown(page.read_text(encoding="utf-8"), words) == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_resolve(page: Path) -> None:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_pages_are_short(page: Path) -> None:
    limit = 150 if page.name == "README.md" and page.parent == ROOT else 200
    if page.name != "CHANGELOG.md":
        assert page.read_text(encoding="utf-8").count("\n") <= limit


def cases_of_tests() -> dict[str, str]:
    """Text of each test file by its name, which only one file has."""
    files = list((ROOT / "tests").rglob("test_*.py"))
    assert len({path.name for path in files}) == len(files)
    return {path.name: path.read_text(encoding="utf-8") for path in files}


def missing_cases(text: str, tests: dict[str, str]) -> list[str]:
    """`test_file.py::case` in backticks without such a program or test."""
    named = re.findall(r"`(test_\w+\.py)::(\w+)`", text)
    return [
        f"{file}::{case}"
        for file, case in named
        if not re.search(
            rf"^(=== {case}( \||$)|def {case}\()", tests.get(file, ""), re.M
        )
    ]


def test_the_check_of_cases_itself() -> None:
    tests = {"test_a.py": "=== one\n=== two | eager\ndef test_three():\n# four\n"}
    names = [f"`test_a.py::{n}`" for n in ("one", "two", "test_three", "four", "on")]
    text = " ".join([*names, "`test_b.py::one`"])
    assert missing_cases(text, tests) == [
        "test_a.py::four", "test_a.py::on", "test_b.py::one",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["soundness.md", "soundness-list.md"])
def test_named_cases_exist(name: str) -> None:
    text = (INTERNALS / name).read_text(encoding="utf-8")
    assert missing_cases(text, cases_of_tests()) == []
    rows = re.findall(r"^\| (?!---|item|rule)(.*) \|$", text, re.M)
    if name == "soundness-list.md":
        assert [row for row in rows if "::" not in row] == []


def test_index_lists_every_page() -> None:
    index = (INTERNALS / "README.md").read_text(encoding="utf-8")
    others = {p.name for p in INTERNALS.glob("*.md")} - {"README.md"}
    assert {name for name in others if f"({name})" not in index} == set()


def test_questions_lead_to_the_function() -> None:
    """Each file in the table of questions has the functions that stand behind it."""
    page = (INTERNALS / "README.md").read_text(encoding="utf-8")
    table = page.split("## Where is ...?", 1)[1].split("\n\n", 2)[1]
    found = 0
    for row in table.splitlines()[2:]:
        for part in row.split("|")[2].split(";"):
            file, _, functions = part.partition(":")
            names = re.findall(r"`(\w+)`", functions)
            path = ROOT / file.strip(" `")
            for name in names:
                assert re.search(
                    rf"^{name}\(", path.read_text(encoding="utf-8"), re.MULTILINE
                ), f"{row}: {name} is not in {path}"
            found += len(names)
    assert found > 20


def run_python(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_pages_are_up_to_date() -> None:
    """`python tools/gen_docs.py` renews them."""
    if importlib.util.find_spec("magpy.config") is None:
        pytest.skip("this magpy is a folder with the engine only")
    run_python(str(ROOT / "tools" / "gen_docs.py"), "--check")


def test_a_claim_that_is_not_true_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import limits

    says = limits.claim("adding", "return x + 1")
    monkeypatch.setitem(limits.LIMITS, "planted", [says])
    with pytest.raises(SystemExit, match="does not show"):
        limits.table("planted")
    reads = limits.claim("a read", "return torch.equal(x, x)")
    monkeypatch.setattr(limits, "RECORDED", [reads])
    with pytest.raises(SystemExit, match="does not show"):
        limits.table("recorded")


def test_quick_start_runs(tmp_path: Path) -> None:
    """As it stands but for the backend: `make demo` shows inductor."""
    pytest.importorskip("torch")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    assert code.count("magpy.compile(model)") == 1
    script = tmp_path / "quick_start.py"
    script.write_text(
        code.replace("magpy.compile(model)", 'magpy.compile(model, backend="eager")'),
        encoding="utf-8",
    )
    run_python(str(script))
