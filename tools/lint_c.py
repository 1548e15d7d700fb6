"""Rules of the engine's C code that no compiler checks.

    python tools/lint_c.py [FILE...]

A line that breaks a rule on purpose says `// mp-ok: reason`.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sources import ROOT, existing_sources, listed_sources

ENGINE = ROOT / "engine"
COMPAT = ENGINE / "compat"
MAX_MEDIAN_FUNCTION = 20

# What only compat/ may know.
VERSION_WORDS = re.compile(
    r"\b(PY_VERSION_HEX|Py_BUILD_CORE\w*|pycore_\w+|_Py(?!Weakref_)[A-Z_]\w+)\b|->tp_dict\b"
)
BANNED = {
    "PyDict_GetItem": "swallows errors; use PyDict_GetItemWithError",
    "PyDict_GetItemString": "swallows errors",
    "PyObject_HasAttr": "swallows errors",
    "PyObject_HasAttrString": "swallows errors",
    "PyErr_Clear": "loses what a signal raised; use mp_err_drop",
    "PyErr_Print": "prints; raise, or PyErr_WriteUnraisable",
    "PyModule_AddObject": "steals only on success; use PyModule_AddObjectRef",
    "abort": "never stop the user's process",
    "exit": "never stop the user's process",
    "printf": "the engine does not print",
    "sprintf": "has no bound; use PyOS_snprintf",
    "strcpy": "has no bound",
    "strcat": "has no bound",
}
BANNED_CALL = re.compile(r"\b(" + "|".join(BANNED) + r")\s*\(")
# R: types and functions are recognised by address (objects/types.h); types.c finds them.
NAME_OWNER = ENGINE / "objects" / "types.c"
COMPARES_TEXT = re.compile(r"\bstr(?:n|case|ncase)?cmp\s*\(")
# What these compare is the text of the engine's own tables, if it is not in NAMES.
OWN_TEXTS = {"ambient_find.c", "plant.c", "text.c"}
COMPARES_NAME = re.compile(
    r"\b(?:PyUnicode_\w*Compare\w*|mp_name_is|_PyUnicode_Equal\w*)\s*\("
)
NAMES = re.compile(
    r"\b(?:tp_name|ht_name|ht_qualname|ml_name|d_name|m_module|m_name|func_name"
    r"|func_qualname|func_module|co_name|co_qualname|mp_type_name|mp_callee_name"
    r"|mp_module_name|module)\b|\b(?:who|callee|type)_?name\b"
)
ENUM = re.compile(r"\benum\b[^{};]*\{([^}]*)\}")
FLAG = re.compile(r"\b(\w+)\s*=\s*1\s*<<\s*(\d+)\s*,")
PRIVATE_LAYOUT = re.compile(
    r"\+ sizeof\(PyObject\)|\(PyObject \*\*\)\(\*?\w+ \+ \d+\)|\bPyObject_(?:VAR_)?HEAD\b"
)
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
ROW = re.compile(r"^([A-Z]+)\((\w+)", re.MULTILINE)
# The identifier that a row of each table makes.
PREFIX = {
    "aborts.def": ("MP_AB_",),
    "effects.def": ("MP_E_",),
    "fields.def": ("MP_F_",),
    "names.def": ("MP_NAME(", "MP_NAME_"),
    "guards.def": ("MP_G_",),
    "opcodes.def": ("MP_OP_", "SAME("),
    "types.def": ("MP_K_", "MP_MODULE_"),
}
STATIC_FUNCTION = re.compile(
    r"^static (?:inline )?[\w *]+\n(\w+)\([^;]*?\)\n\{\n(.*?)^\}",
    re.MULTILINE | re.DOTALL,
)
FUNCTION = re.compile(r"^\w+\([^;{}]*?\)\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)


def without_comments(text: str) -> str:
    """Blank comments and strings, keep the lines."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
    return re.sub(pattern, blank, text, flags=re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def check_lines(path: Path, text: str) -> Iterator[str]:
    code = without_comments(text).split("\n")
    for number, (line, bare) in enumerate(zip(text.split("\n"), code, strict=True), 1):
        where = f"{name_of(path)}:{number}"
        if "mp-ok:" in line:
            continue
        if not path.is_relative_to(COMPAT) and (found := VERSION_WORDS.search(bare)):
            yield f"{where}: {found.group()} belongs into engine/compat/"
        if not path.is_relative_to(COMPAT) and PRIVATE_LAYOUT.search(bare):
            yield f"{where}: a private layout belongs into engine/compat/"
        if found := BANNED_CALL.search(bare):
            yield f"{where}: {found.group(1)}: {BANNED[found.group(1)]}"
        if found := UNFINISHED.search(line):
            yield f"{where}: {found.group()}: finish it or say nothing"
        if re.match(r"\s*#\s*if 0\b", bare):
            yield f"{where}: dead code"
        if "\t" in line or line != line.rstrip():
            yield f"{where}: tab or white space at the end"


def call_at(text: str, start: int) -> str:
    """The call whose opening bracket is at or behind start."""
    depth = 0
    for i in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0 and text[i] == ")":
            return text[start : i + 1]
    return text[start:]


def check_names(path: Path, text: str) -> Iterator[str]:
    """No type, function or module is told by its name."""
    if path == NAME_OWNER:
        return
    lines, bare = text.split("\n"), without_comments(text)
    for compares in (COMPARES_TEXT, COMPARES_NAME):
        for match in compares.finditer(bare):
            number = bare.count("\n", 0, match.start())
            call = call_at(bare, match.start())
            own = path.name in OWN_TEXTS or path.parent.name == "testing"
            known = (compares is COMPARES_NAME or own) and not NAMES.search(call)
            last = number + call.count("\n")
            if known or any(
                "mp-ok:" in line for line in lines[max(number - 1, 0) : last + 2]
            ):
                continue
            yield (
                f"{name_of(path)}:{number + 1}: {match.group().rstrip('( ')} on a name: "
                "recognise by address (objects/types.def), or say `mp-ok: reason`"
            )


def check_flags(path: Path, text: str) -> Iterator[str]:
    """No two flags of an enum are the same bit."""
    for match in ENUM.finditer(without_comments(text)):
        owners: dict[str, str] = {}
        for flag, bit in FLAG.findall(match.group(1)):
            if owners.setdefault(bit, flag) != flag:
                yield f"{name_of(path)}: {owners[bit]} and {flag} are the same bit"


def check_file(path: Path, text: str) -> Iterator[str]:
    if not text.startswith("/*"):
        yield f"{name_of(path)}: no header comment"
    if not text.endswith("\n"):
        yield f"{name_of(path)}: no newline at the end"
    lengths = sorted(len(body.splitlines()) for body in FUNCTION.findall(text))
    few = 5  # functions, whose median says nothing
    if len(lengths) >= few and lengths[len(lengths) // 2] > MAX_MEDIAN_FUNCTION:
        yield f"{name_of(path)}: median function of {lengths[len(lengths) // 2]} lines"


def check_tables(texts: dict[Path, str]) -> Iterator[str]:
    """Every row of a table is used by name outside its table."""
    code = "\n".join(t for p, t in texts.items() if p.suffix != ".def")
    words = set(re.findall(r"\bMP_NAME\(\w+|\bMP_\w+|SAME\(\w+|\b[A-Z]\w+", code))
    for path, text in texts.items():
        prefixes = PREFIX.get(path.name)
        if prefixes is None:
            continue
        names = [row[1] for row in ROW.findall(without_comments(text))]
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{name_of(path)}: {name} stands there twice"
            if not any(p + name in words for p in prefixes):
                yield f"{name_of(path)}: {name} is used nowhere"


def check_statics(texts: dict[Path, str]) -> Iterator[str]:
    """Static functions have names of their own, so that a backtrace is unambiguous."""
    places: dict[str, set[Path]] = {}
    for path, text in texts.items():
        if path.suffix == ".c":
            for match in STATIC_FUNCTION.finditer(text):
                places.setdefault(match.group(1), set()).add(path)
    for name, paths in sorted(places.items()):
        if len(paths) > 1:
            yield f"static {name} in " + ", ".join(sorted(map(name_of, paths)))


def check_sources() -> Iterator[str]:
    """meson.build names exactly the files that exist."""
    listed, existing = set(listed_sources()), set(existing_sources())
    for path in sorted(existing - listed):
        yield f"meson.build: {name_of(path)} is not listed"
    for path in sorted(listed - existing):
        yield f"meson.build: {name_of(path)} does not exist"


def lint(paths: list[Path]) -> list[str]:
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    found: list[str] = []
    for path, text in texts.items():
        found += check_lines(path, text)
        found += check_names(path, text)
        found += check_flags(path, text)
        found += check_file(path, text)
    return found


def lint_all() -> list[str]:
    suffixes = (".c", ".h", ".def")
    paths = sorted(p for p in ENGINE.rglob("*") if p.suffix in suffixes)
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    found = lint(paths)
    found += check_tables(texts)
    found += check_statics(texts)
    found += check_sources()
    return found


def main(arguments: list[str]) -> int:
    paths = [Path(a).resolve() for a in arguments]
    found = lint(paths) if paths else lint_all()
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
