"""Comparing test cases plain and compiled, and what is made of crashes and hangs."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import unittest

import pytest

import magpy
from magpy.__main__ import main
from magpy_experiments.cli import conformance as command
from magpy_experiments.conformance import cpython

FAKE = """
import ctypes, os, sys, time, unittest

def setUpModule():
    global ready
    ready = True

def tearDownModule():
    global ready
    ready = False

class Good(unittest.TestCase):
    def setUp(self):
        self.items = [1, 2]

    def test_same(self):
        self.assertTrue(ready)
        self.items.append(3)
        self.assertEqual(self.items, [1, 2, 3])

    def test_fails_alike(self):
        self.assertEqual(self.items, [])

    def test_raises_alike(self):
        raise KeyError(1)

    def test_breaks(self):
        self.assertTrue(dir(1))

    @unittest.skip("never")
    def test_skipped(self):
        raise AssertionError

    def test_subtests(self):
        for i in range(3):
            with self.subTest(i=i):
                self.assertNotEqual(i, 1)

class Bad(unittest.TestCase):
    compiled = property(lambda self: "Compiled" in type(type(self).__dict__.get(
        self._testMethodName)).__name__)

    def test_differs(self):
        self.assertFalse(self.compiled)

    def test_leaves_traces(self):
        self.assertFalse(getattr(Bad, "left", False))
        if self.compiled:
            Bad.left = True
            Bad.test_differs.keep = 1

    def test_crashes(self):
        if self.compiled:
            ctypes.string_at(0)

    def test_exits(self):
        if self.compiled:
            os._exit(0)

    def test_hangs(self):
        if self.compiled:
            time.sleep(60)

    counter = 0

    def test_unstable(self):
        Bad.counter += 1
        self.assertEqual(Bad.counter, 1)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    (tmp_path / "conformance_fake.py").write_text(FAKE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "conformance_fake"


@pytest.fixture(scope="module")
def fake_report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fake")
    (folder / "conformance_fake.py").write_text(FAKE)
    sys.path.insert(0, str(folder))
    try:
        seen = []
        report = cpython.check_module(
            "conformance_fake",
            timeout=4,
            progress=lambda done, total: seen.append((done, total)),
        )
    finally:
        sys.path.remove(str(folder))
    assert seen[-1][1] == 12
    return report


def by_name(report):
    return {case.name.rpartition(".")[2]: case for case in report.cases}


def test_outcomes_of_a_module(fake_report):
    cases = by_name(fake_report)
    assert fake_report.error == ""
    assert {name: case.status for name, case in cases.items()} == {
        "test_same": "same",
        "test_fails_alike": "same",
        "test_raises_alike": "same",
        "test_breaks": "same",
        "test_skipped": "same",
        "test_subtests": "same",
        "test_differs": "different",
        "test_leaves_traces": "different",
        "test_crashes": "crash",
        "test_exits": "crash",
        "test_hangs": "hang",
        "test_unstable": "unstable",
    }
    assert cases["test_fails_alike"].plain == "fail AssertionError"
    assert cases["test_raises_alike"].plain == "error KeyError"
    assert cases["test_skipped"].plain == "skip"
    assert cases["test_subtests"].plain == "subtest AssertionError"
    assert len(fake_report.bad) == 5


def test_details_of_what_went_wrong(fake_report):
    cases = by_name(fake_report)
    assert "assertFalse(self.compiled)" in cases["test_differs"].detail
    assert "Segmentation fault" in cases["test_crashes"].detail
    assert "exit status 0" in cases["test_exits"].detail
    assert "test_hangs" in cases["test_hangs"].detail


def test_recorded_and_reasons(fake_report):
    cases = by_name(fake_report)
    assert cases["test_same"].recorded
    assert cases["test_same"].hits == cpython.RUNS - 1
    assert cases["test_breaks"].recorded
    assert cases["test_breaks"].hits == cpython.RUNS - 1
    assert not cases["test_skipped"].called
    assert not cases["test_raises_alike"].recorded
    assert cases["test_raises_alike"].reason == "raised"
    assert "KeyError" in cases["test_raises_alike"].detail
    assert fake_report.reasons()["raised"] >= 1
    assert 0 < fake_report.recorded < fake_report.called < len(fake_report.cases)


def test_a_case_that_stays_eager(fake):
    case = importlib.import_module(fake).Good("test_breaks")
    with magpy.config.patch(segments=False):
        line = cpython._check(case, fake, cpython.RUNS)
    assert line["called"] and not line["recorded"] and line["hits"] == 0
    assert (line["status"], line["reason"]) == ("same", "opaque-call")
    assert "builtins.dir" in line["detail"]


def test_excluded_cases_do_not_run(fake, monkeypatch):
    case = importlib.import_module(fake).Good("test_fails_alike")
    key = "conformance_fake.Good.test_fails_alike"
    monkeypatch.setitem(cpython.EXCLUDED, key, "for a reason")
    line = cpython._check(case, fake, cpython.RUNS)
    assert (line["status"], line["detail"]) == ("excluded", "for a reason")
    assert not line["called"]


def test_the_class_is_as_before():
    class Base(unittest.TestCase):
        def test(self):
            assert isinstance(self, unittest.TestCase)

    class Case(Base):
        pass

    original = Base.test
    assert cpython.check_case(Case, "test").status == "same"
    assert "test" not in vars(Case)
    assert cpython.check_case(Base, "test").recorded
    assert Base.test is original


def test_a_module_that_cannot_be_imported(tmp_path, monkeypatch):
    (tmp_path / "conformance_broken.py").write_text("raise ValueError('no')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    report = cpython.check_module("conformance_broken")
    assert report.error == "ValueError: no"
    assert report.cases == []


def test_no_such_module():
    with pytest.raises(
        magpy.MagpyError, match="there is no test module 'test_nothing'"
    ):
        cpython.full_name("test_nothing")


def test_interpreter_without_tests(monkeypatch, capsys):
    find = importlib.util.find_spec

    def find_none(name):
        return None if name.startswith("test.") else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", find_none)
    assert main(["conformance", "test_dict"]) == 1
    assert "no `test` package" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--jobs=0", "--runs=0", "--timeout=0"])
def test_wrong_usage(flag, capsys):
    assert main(["conformance", flag]) == 2
    assert "must be positive" in capsys.readouterr().err


def test_command_on_a_real_module(tmp_path, capsys):
    if importlib.util.find_spec("test.test_raise") is None:
        pytest.skip("this interpreter comes without its tests")
    path = tmp_path / "out.json"
    assert main(["conformance", "test_raise", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("module")
    assert "test_raise" in out
    data = json.loads(path.read_text())
    (module,) = data["modules"]
    assert module["cases"] == module["same"] > 30
    assert module["recorded"] > module["cases"] // 2
    assert module["hits"] > 0
    assert {case["status"] for case in module["details"]} == {"same"}


def test_command_reports_what_differs(fake_report, monkeypatch, capsys):
    monkeypatch.setattr(command, "full_name", lambda module: module)
    monkeypatch.setattr(command, "check_module", lambda *_, **__: fake_report)
    assert main(["conformance", "conformance_fake", "other"]) == 1
    out = capsys.readouterr().out
    assert "conformance_fake Bad.test_differs: different\n  plain: pass\n" in out
    assert "compiled: 3 x fail AssertionError" in out
    assert "Bad.test_unstable: unstable: plain runs disagree" in out
    assert "\ntotal" in out
