"""The programs of tests/programs under signals, tracers, profilers and the collector.

One interpreter per kind of stress, each with programs of its own; MAGPY_TEST_EVERY=1 runs
all of them under each.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).with_name("stress_runner.py")
EVERY = int(os.environ.get("MAGPY_TEST_EVERY", "8"))
KINDS = [
    "signal", "compiled", "reset", "trace", "profile", "look", "collect", "garbage",
    "settrace", "setprofile", "cProfile",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_crash_stress(kind):
    command = [sys.executable, "-X", "faulthandler", str(RUNNER), kind, str(EVERY)]
    done = subprocess.run(
        [*command, str(KINDS.index(kind) % EVERY)],
        capture_output=True,
        text=True,
        timeout=600,
        env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),
    )
    report = f"exit {done.returncode}\n{done.stdout}{done.stderr[-6000:]}"
    assert done.returncode == 0 and done.stdout.split()[-1:] == ["ok"], report
