"""What `make asan` does around the sanitizers: look for them, sample, find reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import sanitize  # noqa: E402

OVERFLOW = "==12==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x60\n"
UNDEFINED = "engine/bind.c:7:3: runtime error: shift exponent 64 is too large\n"
NOTE = "==12==WARNING: AddressSanitizer failed to allocate 0xffffffffff bytes\n"


@pytest.mark.parametrize(("short", "status"), [(True, 0), (False, 1)])
def test_a_compiler_without_them(monkeypatch, tmp_path, capsys, short, status):
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\necho "${1#-print-file-name=}"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    given = [str(tmp_path / "out"), *(["--short"] if short else [])]
    assert sanitize.main(given) == status
    assert "not run" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_reports_are_found_and_notes_are_none(tmp_path, capsys):
    for name, text in {
        "asan.1": NOTE,
        "asan.2": OVERFLOW,
        "ubsan.3": UNDEFINED,
    }.items():
        (tmp_path / name).write_text(text)
    assert sanitize.print_reports(tmp_path) == 2
    shown = capsys.readouterr().out
    assert OVERFLOW in shown
    assert UNDEFINED in shown
    assert NOTE not in shown


def test_parts_exist_and_a_short_run_takes_samples():
    for name, command in sanitize.commands(True, []).items():
        assert "--every" in command or "tests.fuzz" in command, name
        for word in command:
            if word.startswith("tests/"):
                assert (ROOT / word).exists()
    for place in (*sanitize.LEFT_OUT, *sanitize.LEFT_OUT_SHORT):
        file, _, test = place.partition("::")
        found = [path.read_text() for path in ROOT.glob(file + "*")]
        assert any(test.partition("[")[0] in text for text in found), place
    own = sanitize.commands(False, ["tests/leak", "-k", "name"])
    assert [each[-3:] for each in own.values()] == [["tests/leak", "-k", "name"]]


def test_a_sample_is_each_so_many_th_test_of_a_file(tmp_path):
    for name in ("test_a", "test_b"):
        text = (
            "import pytest\n@pytest.mark.parametrize('i', range(7))\ndef test(i): ...\n"
        )
        (tmp_path / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "--every", "3"]
    command += ["-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command += ["-c", "/dev/null", "--confcutdir", str(ROOT / "tests")]
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    done = subprocess.run(
        [*command, str(tmp_path)], capture_output=True, text=True, check=False
    )
    kept = [line for line in done.stdout.splitlines() if "::" in line]
    wanted = [
        f"{file}.py::test[{i}]" for file in ("test_a", "test_b") for i in (0, 3, 6)
    ]
    assert kept == wanted, done.stdout + done.stderr
