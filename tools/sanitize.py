"""Run tests and random programs under AddressSanitizer and UBSan (`make asan`).

    python tools/sanitize.py OUT [--short] [pytest arguments]

OUT gets the engine, built with assertions.  Python and torch are not built with the
sanitizers, so their runtime is loaded first: it sees what the engine does, and what
anybody does to memory through malloc; Python's own allocator is off, so that includes
objects.  Leaks are the business of `make refleak`: an interpreter does not free everything
at its end.

Each part runs in a process of its own, as many at a time as there are processors.  Reports
go to files in OUT/reports, since a test may catch the output of what it starts: any report
fails the run, and is printed.  --short takes each so many-th test and few random programs,
and is left out where gcc has no such runtime.  With pytest arguments only pytest runs.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from build_engine import build
from sources import ROOT

CFLAGS = "-O1 -g -UNDEBUG -fno-omit-frame-pointer -fsanitize=address,undefined"
RUNTIMES = ("libasan.so", "libubsan.so")
# What a report of theirs contains; a note of an allocation too large is none.
REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:")
OPTIONS = {
    # Some tests ask for more memory than there is.
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


@dataclass(frozen=True)
class Part:
    """Tests that one process runs."""

    name: str
    tests: tuple[str, ...]
    every: int  # a short run takes each so many-th test


# The longest first.
PARTS = (
    Part("programs with tensors", ("tests/torch_programs",), 12),
    Part("crashes and leaks", ("tests/crash", "tests/leak"), 8),
    Part("programs", ("tests/programs", "tests/fuzz", "tests/test_oracle.py"), 8),
    Part("units", ("tests/unit",), 10),
)
PROGRAMS, SHORT_PROGRAMS = 1000, 100
# Tests that would tell of the sanitizer, not of the engine.
LEFT_OUT = {
    "tests/unit/test_recording_cost.py": "how long something takes",
    "tests/unit/test_package.py": "builds wheels",
    "tests/unit/test_conformance": "starts processes that take minutes",
    "tests/unit/test_parity": "likewise",
    "tests/torch_programs/test_trials.py::test_gradients_are_compared[same]": (
        "which of two runs is the quicker one"
    ),
    "tests/leak/test_arguments_die.py::test_an_address_that_is_used_again": (
        "freed memory is kept for a while, to see who uses it"
    ),
}
LEFT_OUT_SHORT = {"tests/crash/test_crash_stress.py": "takes many programs"}


def runtimes(cc: list[str]) -> list[str]:
    """Return the sanitizers' runtime libraries, [] if this compiler has none."""
    found = []
    for name in RUNTIMES:
        asked = [*cc, f"-print-file-name={name}"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        path = Path(done.stdout.strip())
        if not path.is_absolute() or not path.exists():
            return []
        found.append(str(path))
    return found


def environment(out: Path, libraries: list[str]) -> dict[str, str]:
    """Return the environment of a part."""
    env = dict(os.environ, PYTHONMALLOC="malloc", PYTHONDONTWRITEBYTECODE="1")
    env["LD_PRELOAD"] = " ".join(libraries)
    env["PYTHONPATH"] = os.pathsep.join([str(out.resolve()), str(ROOT)])
    env["MAGPY_TEST_EVERY"] = "8"
    env["MP_TRACE_CHECK"] = "full"
    for variable, options in OPTIONS.items():
        reports = out.resolve() / "reports" / variable.partition("_")[0].lower()
        env[variable] = f"{options}:log_path={reports}"
    return env


def commands(short: bool, arguments: list[str]) -> dict[str, list[str]]:
    """Return what to run, by name."""
    python = [sys.executable, "-X", "faulthandler", "-m"]
    pytest = [*python, "pytest", "-q", "-p", "no:cacheprovider"]
    if arguments:
        return {"pytest": [*pytest, *arguments]}
    found = {}
    for part in PARTS:
        sample = ["--every", str(part.every)] if short else []
        places = [*LEFT_OUT, *(LEFT_OUT_SHORT if short else ())]
        left_out = [f"--deselect={place}" for place in places]
        found[part.name] = [*pytest, *sample, *left_out, *part.tests]
    fuzz = [*python, "tests.fuzz", "--seed", "0", "--shrink", "0"]
    found["random programs"] = [*fuzz, "-n", str(SHORT_PROGRAMS if short else PROGRAMS)]
    return found


def run(name: str, command: list[str], env: dict[str, str]) -> bool:
    """Run one part and print what it printed at once."""
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=env,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    head = f"== {name}: exit {done.returncode}, {time.monotonic() - start:.0f} s"
    print(f"{head}\n{done.stdout[-20000:]}", flush=True)
    return done.returncode == 0


def print_reports(folder: Path) -> int:
    """Print the sanitizers' reports; return how many there are."""
    count = 0
    for path in sorted(folder.iterdir()):
        text = path.read_text(encoding="utf-8", errors="replace")
        if REPORT.search(text):
            count += 1
            print(f"== {path}\n{text[:6000]}")
    return count


def main(arguments: list[str]) -> int:
    """Build, run, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--short", action="store_true")
    args, rest = parser.parse_known_args(arguments)
    cc = shlex.split(os.environ.get("CC", "cc"))
    libraries = runtimes(cc)
    if not libraries:
        print(f"== no libasan for {shlex.join(cc)} (Debian: libgcc-12-dev): not run")
        return 0 if args.short else 1
    build(args.out, sys.executable, shlex.split(CFLAGS), full=True)
    reports = args.out / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    env = environment(args.out, libraries)
    found = commands(args.short, rest)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        ended = [pool.submit(run, name, each, env) for name, each in found.items()]
    failed = sum(not each.result() for each in ended)
    count = print_reports(reports)
    print(f"== sanitizers: {count} reports, {failed} of {len(found)} parts failed")
    return 1 if failed or count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
