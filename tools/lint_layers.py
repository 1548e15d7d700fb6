"""The engine's folders stand in an order: none includes or calls what stands above it.

    python tools/lint_layers.py            what breaks the order; what no file needs
    python tools/lint_layers.py --figures  folders, files, calls between files, circles

The order stands once, in docs/internals/README.md: the table of folders, from the ground
up.  Folders in one row may call each other.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lint_c import without_comments
from sources import ROOT

ENGINE = ROOT / "engine"
PAGE = ROOT / "docs" / "internals" / "README.md"
ROW = re.compile(r"^\| ((?:`engine/\w+/`(?:, )?)+) \|", re.MULTILINE)
#: CPython's own headers stand behind it.
PRIVATE = ENGINE / "compat" / "private.h"
INCLUDE = re.compile(r'^#\s*include "([\w./]+)"', re.MULTILINE)
#: A function that other files see.  Its name begins a line, after the line of its type.
FUNCTION = re.compile(r"^(?!static\b|#)\w[\w *]*\n(\w+)\(", re.MULTILINE)
VARIABLE = re.compile(
    r"^(?!static\b|extern\b|typedef\b)\w[\w *]*?\b(mp_\w+)(?:\[\w*\])? = ", re.MULTILINE
)
#: What a header declares: functions, types, constants, macros, variables.
DECLARED = (
    re.compile(r"\b(mp_\w+)\s*\("),
    re.compile(r"^\s*#\s*define (\w+)", re.MULTILINE),
    re.compile(r"^(?:\}|typedef [^;{]*?\b)\s*(\w+);", re.MULTILINE),
    re.compile(r"\bstruct (\w+)\s*\{"),
    re.compile(r"\b((?:MP|RULE)_\w+)\b"),
    re.compile(r"^extern [^;]*?\b(\w+)(?:\[\w*\])?;", re.MULTILINE),
    re.compile(r"^static inline [\w *]+\n(\w+)\(", re.MULTILINE),
)
#: Calls upward that stay, each with its reason; no more than five.
ALLOWED: dict[tuple[str, str], str] = {}


class Arc(NamedTuple):
    """One file needs something of another."""

    source: Path
    target: Path
    names: tuple[str, ...]  # empty: an include

    def __str__(self) -> str:
        what = ", ".join(self.names) or "include"
        source, target = ("/".join(p.parts[-2:]) for p in (self.source, self.target))
        return f"{source} -> {target}: {what}"


def levels(page: str) -> dict[str, int]:
    """Height of each folder."""
    page = page.split("## Folders", 1)[1].split("\n## ", 1)[0]
    rows = [re.findall(r"engine/(\w+)/", row) for row in ROW.findall(page)]
    return {name: height for height, row in enumerate(rows) for name in row}


def read_sources(engine: Path) -> dict[Path, str]:
    paths = sorted(p for p in engine.rglob("*") if p.suffix in (".c", ".h"))
    return {p: p.read_text(encoding="utf-8") for p in paths}


def includes(engine: Path, texts: dict[Path, str]) -> Iterator[Arc]:
    for path, text in texts.items():
        for name in INCLUDE.findall(text):
            yield Arc(path, engine / name, ())


def calls(texts: dict[Path, str]) -> Iterator[Arc]:
    """Arcs between .c files, by the names of functions and variables."""
    bare = {p: without_comments(t) for p, t in texts.items() if p.suffix == ".c"}
    owner = {
        name: path
        for path, text in bare.items()
        for pattern in (FUNCTION, VARIABLE)
        for name in pattern.findall(text)
    }
    for path, text in bare.items():
        used: dict[Path, set[str]] = {}
        for word in set(re.findall(r"\b\w+\b", text)):
            if owner.get(word, path) != path:
                used.setdefault(owner[word], set()).add(word)
        for target, names in used.items():
            yield Arc(path, target, tuple(sorted(names)))


def upward(engine: Path, arcs: list[Arc], height: dict[str, int]) -> list[Arc]:
    """Arcs against the order.  Files beside the folders (module.c) stand above all."""

    def level(path: Path) -> int:
        above = len(height)
        return height[path.parent.name] if path.parent != engine else above

    return [
        arc
        for arc in arcs
        if arc.target != engine / "engine.h" and level(arc.source) < level(arc.target)
    ]


def circles(arcs: list[Arc]) -> list[list[Path]]:
    """Files that call each other, directly or not: strongly connected components."""
    after: dict[Path, set[Path]] = {}
    for arc in arcs:
        after.setdefault(arc.source, set()).add(arc.target)
        after.setdefault(arc.target, set())
    reached: dict[Path, set[Path]] = {}
    for start in after:
        seen: set[Path] = set()
        todo = [start]
        while todo:
            for path in after[todo.pop()] - seen:
                seen.add(path)
                todo.append(path)
        reached[start] = seen
    groups = {
        frozenset(b for b in reached[a] if a in reached[b])
        for a in after
        if a in reached[a]
    }
    return sorted((sorted(g) for g in groups if len(g) > 1), key=len, reverse=True)


def floors(arcs: list[Arc]) -> int:
    """Longest way down through files, each circle counted as one floor."""
    group: dict[Path, Path] = {}
    for circle in circles(arcs):
        group.update(dict.fromkeys(circle, circle[0]))
    below: dict[Path, set[Path]] = {}
    for arc in arcs:
        a, b = group.get(arc.source, arc.source), group.get(arc.target, arc.target)
        below.setdefault(a, set())
        below.setdefault(b, set())
        if a != b:
            below[a].add(b)
    height: dict[Path, int] = {}

    def of(path: Path) -> int:
        if path not in height:
            height[path] = 1 + max(map(of, below[path]), default=0)
        return height[path]

    return max(map(of, below), default=0)


def lint(engine: Path, page: str) -> list[str]:
    height = levels(page)
    folders = {p.name for p in engine.iterdir() if p.is_dir()}
    lost, unknown = sorted(height.keys() - folders), sorted(folders - height.keys())
    found = [f"engine/{name}/ has no row in {PAGE.name}" for name in unknown]
    found += [f"{PAGE.name}: engine/{name}/ does not exist" for name in lost]
    if found:
        return found
    texts = read_sources(engine)
    for arc in upward(engine, [*includes(engine, texts), *calls(texts)], height):
        source = str(arc.source.relative_to(engine))
        names = [n for n in arc.names if (source, n) not in ALLOWED]
        if names or not arc.names:
            found.append(f"{arc._replace(names=tuple(names))} (upward)")
    return [*found, *useless(engine, texts), *unshared(engine, texts)]


def declared(engine: Path, header: Path, texts: dict[Path, str]) -> set[str]:
    """Names of a header, with those that the tables in it make."""
    text = texts[header]
    bare = without_comments(text)
    names = {name for pattern in DECLARED for name in pattern.findall(bare)}
    for macro, columns, prefix, column in re.findall(
        r"^#\s*define (\w+)\(([^)]*)\)(?:[^\n]|\\\n)*?\b(\w+)##(\w+)", text, re.M
    ):
        skipped = r"\w+,\s*" * columns.replace(" ", "").split(",").index(column)
        for table in re.findall(r'#include "([\w/]+\.def)"', text):
            rows = (engine / table).read_text(encoding="utf-8")
            names |= {
                prefix + row
                for row in re.findall(rf"^{macro}\({skipped}(\w+)", rows, re.M)
            }
    return names


def useless(engine: Path, texts: dict[Path, str]) -> Iterator[str]:
    """Includes of headers of which a .c file uses nothing itself."""
    names = {p: declared(engine, p, texts) for p in texts if p.suffix == ".h"}
    for path, text in texts.items():
        if path.suffix != ".c":
            continue
        words = set(re.findall(r"\w+", INCLUDE.sub("", without_comments(text))))
        for name in INCLUDE.findall(text):
            header = engine / name
            own = header in (path.with_suffix(".h"), engine / "engine.h", PRIVATE)
            if header.suffix == ".h" and not own and not names[header] & words:
                yield f"{path.relative_to(engine)}: nothing of {name} is used"


def unshared(engine: Path, texts: dict[Path, str]) -> Iterator[str]:
    """Functions that a header declares, and no file but their own uses."""
    tables = {p: p.read_text(encoding="utf-8") for p in engine.rglob("*.def")}
    bare = {p: without_comments(t) for p, t in {**texts, **tables}.items()}
    words = {p: Counter(re.findall(r"\w+", t)) for p, t in bare.items()}
    for path, text in bare.items():
        for name in FUNCTION.findall(text) if path.suffix == ".c" else ():
            mentions = {p: w[name] for p, w in words.items() if w[name] and p != path}
            # (A macro or an inline function of a header may use it for others.)
            if list(mentions.values()) == [1] and next(iter(mentions)).suffix == ".h":
                yield f"{path.relative_to(engine)}: {name} is used nowhere else: static"


def figures(engine: Path, page: str) -> str:
    height = levels(page)
    arcs = list(calls(read_sources(engine)))
    up = upward(engine, arcs, height)
    sizes = [len(c) for c in circles(arcs)]
    return (
        f"{len(height)} folders, {len({a.source for a in arcs})} files, "
        f"{len(arcs)} pairs of files that call, {len(up)} of them upward, "
        f"{floors(arcs)} floors, circles of {', '.join(map(str, sizes)) or 'none'} files"
    )


def main(arguments: list[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    if arguments == ["--figures"]:
        print(figures(ENGINE, page))
        return 0
    found = lint(ENGINE, page)
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
