"""Rules of the whole tree: how long files are, how commits are named.

    python tools/lint_tree.py

Commits are checked before they are pushed: those that the upstream branch lacks, or the
last one where there is no upstream.  Without git there is nothing to check.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sources import ROOT

MAX_LINES = 900
SUFFIXES = {".c", ".h", ".def", ".py", ".pyi"}
FOLDERS = ("engine", "src", "experiments", "tests", "tools")
MAX_SUBJECT = 65
PART = re.compile(r"[\w./+-]+(, [\w./+-]+)*: \S|Revert \"")


def source_files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (p for p in (root / folder).rglob("*") if p.suffix in SUFFIXES)


def check_lengths(root: Path) -> Iterator[str]:
    for path in sorted(source_files(root)):
        name = path.relative_to(root).as_posix()
        lines = path.read_text(encoding="utf-8").count("\n")
        if lines > MAX_LINES:
            yield f"{name}: {lines} lines, {MAX_LINES} are allowed: split it by subject"


def check_subject(subject: str) -> Iterator[str]:
    if len(subject) > MAX_SUBJECT:
        yield f"{len(subject)} characters, {MAX_SUBJECT} are allowed: {subject}"
    if not PART.match(subject):
        yield f"no part in front (`guard: ...`): {subject}"


def new_subjects(root: Path) -> list[str]:
    for commits in (["@{upstream}..HEAD"], ["-1", "HEAD"]):
        command = [
            "git",
            "-C",
            str(root),
            "log",
            "--no-merges",
            "--format=%s",
            *commits,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError:
            return []
        if done.returncode == 0:
            return done.stdout.splitlines()
    return []


def main() -> int:
    found = [*check_lengths(ROOT)]
    for subject in new_subjects(ROOT):
        found += check_subject(subject)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
