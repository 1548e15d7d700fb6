"""Machine instructions of a hit and of a recording, counted by callgrind.

    python tools/count_instructions.py [PACKAGES...]

PACKAGES: folders that hold `magpy`, such as the OUT of tools/build_engine.py (--cflags "-O3
-DNDEBUG"); without one, the installed package.  Only what runs below the engine's entry is
counted, in runs of two lengths, so that neither the start of the interpreter nor the first
calls matter.  Needs valgrind, but no torch: build without --full.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys

PROGRAM = """
import sys
from functools import reduce
from operator import add
from gc import get_threshold as opaque
from magpy import _engine
from magpy._engine import CompiledFunction

class Box:
    pass

box = Box()
box.a, box.items, box.names = 1, [1, 2, 3], {"k": 2}
K = 5

def hits(x, box):
    box.last = x
    return [x, box.a + K, len(box.items), box.names["k"]]

def breaks(x, box):
    y = box.a + K
    opaque()
    box.last = y
    return [x, y, len(box.items), box.names["k"]]

def records(x, box):
    xs, d = box.items, box.names
    a = sorted(xs) + list(map(abs, xs))
    d["k"] = d.get("k", 0) + len(a)
    e = dict(d)
    e.pop("k")
    e.update(q=3)
    text = "{} {}".format(x, max(xs))
    z = reduce(add, xs, add(x, isinstance(x, int)))
    return a, e, text, z, tuple(reversed(xs)), any(xs), set(xs)

def turns(x, box):
    return TURNS[x]

TURNS = {str(i): i for i in range(30)}
which, count = sys.argv[1], int(sys.argv[2])
function = {"hits": hits, "breaks": breaks, "records": records, "turns": turns}[which]
arguments = list(TURNS) if which == "turns" else [1]
compiled = CompiledFunction(function, max_entries=50)
getattr(_engine, "_words_check", bool)(False)  # a check of each proof is no part of a hit
for argument in arguments:
    for _ in range(4):
        compiled(argument, box)
for i in range(count):
    if which == "records":
        compiled = CompiledFunction(function)
        box.names["k"] = 2
    compiled(arguments[i % len(arguments)], box)
"""
COUNTS = {"hits": 1000, "turns": 600, "breaks": 500, "records": 60}
COLLECTED = re.compile(r"Collected : (\d+)")


def collected(package: str | None, which: str, calls: int) -> int:
    """Count the instructions of a whole run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command.append("--toggle-collect=mp_dispatch_call")
    env = {**os.environ, "PYTHONHASHSEED": "0", "LD_PRELOAD": ""}
    command.append(sys.executable)
    if package is not None:
        env["PYTHONPATH"] = package
        command.append(
            "-S"
        )  # an installed package would go before a folder without one
    command += ["-c", PROGRAM, which, str(calls)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    found = COLLECTED.search(done.stderr)
    if done.returncode != 0 or found is None:
        sys.exit(done.stderr)
    return int(found[1])


def count(package: str | None, which: str) -> float:
    """Instructions of one call."""
    more, few = (collected(package, which, n * COUNTS[which]) for n in (2, 1))
    return (more - few) / COUNTS[which]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="*", default=[None])
    for package in parser.parse_args().packages:
        for which in COUNTS:
            print(f"{package or 'magpy'}  {which}: {count(package, which):,.0f} each")


if __name__ == "__main__":
    main()
