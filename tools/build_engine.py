"""Build both extension modules for one interpreter with a plain C compiler.

    python tools/build_engine.py OUT [--python PYTHON] [--cflags FLAGS] [--full]

OUT/magpy gets the modules; with --full also links to the package's Python files and to
the experiments, else it is a namespace package that needs no torch.  Used where meson is
not at hand or not wanted: other interpreters, sanitizers.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sources import ROOT, listed_sources

WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wwrite-strings",
    "-Wno-unused-parameter",
]
TORCH_FREE = {"compare.py", "_apart.py"}  # what the tests compare objects with
QUESTION = (
    "import sysconfig as s; print(s.get_paths()['include']);"
    "print(s.get_config_var('EXT_SUFFIX'))"
)


def ask(python: str) -> tuple[str, str]:
    """Return the include directory and the extension suffix of an interpreter."""
    done = subprocess.run(
        [python, "-c", QUESTION], capture_output=True, text=True, check=True
    )
    include, suffix = done.stdout.split()
    return include, suffix


def build(out: Path, python: str, cflags: list[str], full: bool) -> None:
    """Compile and link; raises CalledProcessError with the compiler's text on stderr."""
    include, suffix = ask(python)
    cc = shlex.split(os.environ.get("CC", "cc"))
    package = out / "magpy"
    objects = out / "objects"
    package.mkdir(parents=True, exist_ok=True)
    objects.mkdir(exist_ok=True)
    flags = [
        "-std=c11",
        "-fPIC",
        "-fvisibility=hidden",
        "-DMP_TESTING",
        *WARNINGS,
        *cflags,
    ]

    def compile_one(source: Path) -> Path:
        target = objects / (str(source.relative_to(ROOT)).replace("/", "_") + ".o")
        command = [
            *cc,
            *flags,
            f"-I{ROOT / 'engine'}",
            f"-I{include}",
            "-c",
            str(source),
            "-o",
            str(target),
        ]
        subprocess.run(command, check=True)
        return target

    sources = listed_sources()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        built = dict(zip(sources, pool.map(compile_one, sources), strict=True))
    testing = [o for s, o in built.items() if s.parent.name == "testing"]
    module = built[ROOT / "engine" / "module.c"]
    common = [o for o in built.values() if o not in testing and o != module]
    for name, own in (("_engine", [module]), ("_engine_testing", testing)):
        target = package / f"{name}{suffix}"
        command = [*cc, "-shared", *cflags, *map(str, own + common), "-ldl"]
        subprocess.run([*command, "-o", str(target)], check=True)
    link_package(package, full)


def link_package(package: Path, full: bool) -> None:
    """Make Python files of the package appear beside the modules."""
    for path in (ROOT / "src" / "magpy").iterdir():
        link = package / path.name
        if path.name == "__pycache__" or not (full or path.name in TORCH_FREE):
            continue
        if not link.exists():
            link.symlink_to(path)
    if not full:
        return
    experiments = package.parent / "magpy_experiments"
    if not experiments.exists():
        experiments.symlink_to(ROOT / "experiments" / "magpy_experiments")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--cflags", default="-O1 -g -UNDEBUG")
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    try:
        build(args.out, args.python, shlex.split(args.cflags), args.full)
    except subprocess.CalledProcessError as error:
        print(f"failed: {shlex.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
