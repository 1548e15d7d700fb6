"""TorchDynamo's own tests in two worlds: what is planted in them is found."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

import torch

from magpy.__main__ import main
from magpy_experiments.conformance import dynamo
from magpy_experiments.conformance.cpython import ConformanceError
from magpy_experiments.conformance.describe import describe, error_text

PLANTED = """
import ctypes, random, sys, time, unittest
import torch, torch._dynamo.test_case, torch._dynamo.testing
from torch._dynamo.testing import a_helper_of_another_version
from torch._dynamo.utils import same

OURS = "magpy" in sys.argv

class Good(torch._dynamo.test_case.TestCase):
    def test_same(self):
        def fn(x):
            return x + 1
        x = torch.randn(3)
        self.assertEqual(torch.compile(fn, backend="eager", fullgraph=True)(x), fn(x))

    def test_decorated(self):
        @torch.compile(backend="inductor", dynamic=True)
        def fn(x, *, k):
            return x.sin() * k
        self.assertTrue(same(fn(torch.ones(2), k=2), torch.ones(2).sin() * 2))

    def test_module(self):
        m = torch.nn.Linear(2, 2)
        o = torch._dynamo.optimize("eager")(m)
        self.assertIsInstance(o, torch.nn.Module)
        self.assertEqual(o(torch.ones(1, 2)), m(torch.ones(1, 2)))
        self.assertEqual(len(list(o.parameters())), 2)

    def test_copies(self):
        import copy
        o = torch.compile(torch.nn.Linear(2, 2), backend="eager")
        for p in (copy.copy(o), copy.deepcopy(o), copy.deepcopy([o])[0]):
            self.assertEqual(p(torch.ones(1, 2)), o(torch.ones(1, 2)))

    def test_counts(self):
        count = torch._dynamo.testing.CompileCounter()
        fn = torch.compile(lambda x: x * 2, backend=count)
        fn(torch.ones(2))
        self.assertEqual(count.frame_count, 1)
        self.assertEqual(fn(torch.ones(2)), torch.full((2,), 2.0))

    def test_refused(self):
        fn = torch.compile(lambda x: print(x), fullgraph=True)
        with self.assertRaises(torch._dynamo.exc.Unsupported):
            fn(torch.ones(1))

    def test_raises(self):
        fn = torch.compile(lambda x: x[5])
        self.assertRaises(IndexError, lambda: fn(torch.ones(1)))

    def test_export(self):
        graph, guards = torch._dynamo.export(lambda x: x + 1)(torch.ones(1))
        self.assertEqual(graph(torch.zeros(1)), torch.ones(1))

    def test_state(self):
        calls = []
        fn = torch.compile(lambda x: calls.append(1) or x + len(calls))
        self.assertEqual(fn(torch.zeros(1)), torch.ones(1))
        self.assertEqual(calls, [1])

    def test_unordered(self):
        fn = torch.compile(lambda x: (x, id(x) % 2 or time.time()))
        fn(torch.ones(1))

class Other(torch._dynamo.test_case.TestCase):
    def test_compiles_nothing(self):
        self.assertEqual(1, 1)

    @unittest.skip("no GPU")
    def test_skipped(self):
        raise AssertionError

    @a_helper_of_another_version
    def test_needs_a_helper(self):
        raise AssertionError

    def test_raises_before(self):
        torch.no_such_function

class Bad(torch._dynamo.test_case.TestCase):
    def test_another_result(self):
        fn = torch.compile(lambda x: x + OURS)
        self.assertEqual(fn(torch.ones(2)), torch.ones(2))

    def test_hidden_by_an_internal_assertion(self):
        fn = torch.compile(lambda x: x + OURS)
        self.assertEqual(1, 2)
        self.assertEqual(fn(torch.ones(2)), torch.ones(2))

    def test_result_that_nobody_asserts(self):
        torch.compile(lambda x: x + OURS)(torch.ones(2))

    def test_write_to_an_argument(self):
        xs = [torch.ones(2)]
        torch.compile(lambda xs: xs.append(OURS))(xs)

    def test_another_object(self):
        torch.compile(lambda x: x.clone() if OURS else x)(torch.ones(1))

    def test_raises_with_us(self):
        torch.compile(lambda x: x if not OURS else x[7])(torch.ones(1))

    def test_only_the_second_call(self):
        fn = torch.compile(lambda x, n=[]: n.append(1) or x + (OURS and len(n) > 1))
        self.assertEqual(fn(torch.ones(1)), torch.ones(1))

    def test_crashes(self):
        if OURS:
            ctypes.string_at(0)
        torch.compile(lambda x: x)(1)

    def test_hangs(self):
        if OURS:
            time.sleep(60)
        torch.compile(lambda x: x)(1)
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkout")
    folder = root / "test" / "dynamo"
    folder.mkdir(parents=True)
    (folder / "test_misc.py").write_text(PLANTED)
    (folder / "test_sets.py").write_text("raise ValueError('no')\n")
    return root


@pytest.fixture(scope="module")
def report(checkout):
    folder = dynamo.find_tests(checkout)
    return dynamo.check_module("test_misc", folder, timeout=25)


@pytest.fixture(scope="module")
def found(report):
    assert report.error == ""
    return {case.name.partition(".")[2]: case for case in report.cases}


def test_outcomes(found):
    assert {name: case.status for name, case in found.items()} == {
        "test_same": "same",
        "test_decorated": "same",
        "test_module": "same",
        "test_copies": "same",
        "test_counts": "internal",
        "test_refused": "internal",
        "test_raises": "same",
        "test_export": "same",
        "test_state": "internal",  # three calls in the second pass
        "test_unordered": "same",
        "test_compiles_nothing": "not run",
        "test_skipped": "not run",
        "test_needs_a_helper": "not run",
        "test_raises_before": "not run",
        "test_another_result": "different",
        "test_hidden_by_an_internal_assertion": "different",
        "test_result_that_nobody_asserts": "different",
        "test_write_to_an_argument": "different",
        "test_another_object": "different",
        "test_raises_with_us": "different",
        "test_only_the_second_call": "different",
        "test_crashes": "crash",
        "test_hangs": "hang",
    }


def test_what_is_told(report, found):
    assert found["test_same"].recorded and found["test_same"].hits == 2
    assert found["test_module"].recorded and found["test_module"].hits == 2
    assert "assertEqual" in found["test_counts"].detail
    assert "no_such_function" in found["test_raises_before"].detail
    assert found["test_skipped"].detail == "no GPU"
    assert "a_helper_of_another_version" in found["test_needs_a_helper"].detail
    assert found["test_compiles_nothing"].detail == "compiles nothing: pass"
    assert "IndexError" in found["test_raises_with_us"].detail
    detail = found["test_hidden_by_an_internal_assertion"].detail
    assert "eager: call" in detail and "magpy: call" in detail
    assert "Segmentation fault" in found["test_crashes"].detail
    assert "test_hangs" in found["test_hangs"].detail
    assert len(report.bad) == 9
    assert report.called == 17


def test_command(checkout, report, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(dynamo, "check_module", lambda *_, **__: report)
    path = tmp_path / "out.json"
    arguments = ["conformance", "--torch", str(checkout), "--json", str(path)]
    assert main([*arguments, "test_misc"]) == 1
    out = capsys.readouterr().out
    assert "internal" in out and "Bad.test_another_result: different" in out
    (module,) = json.loads(path.read_text())["modules"]
    assert (module["same"], module["different"], module["not run"]) == (7, 7, 4)


def test_no_checkout(tmp_path, capsys):
    with pytest.raises(ConformanceError, match="there are no tests"):
        dynamo.find_tests(tmp_path)
    assert main(["conformance", "--torch", str(tmp_path)]) == 1
    assert "there are no tests" in capsys.readouterr().err


def test_modules_of_a_checkout(checkout):
    folder = dynamo.find_tests(checkout)
    assert dynamo.modules_of(folder) == ["test_misc", "test_sets"]
    missing = dynamo.check_module("test_dicts", folder)
    assert missing.error == "there is no test_dicts.py"
    broken = dynamo.check_module("test_sets", folder)
    assert broken.error == "ValueError: no"


# -- texts of values -------------------------------------------------------------------


class Plain:
    def __init__(self, value):
        self.value = value

    def __repr__(self):
        raise AssertionError("runs code")


def test_text_tells_values_and_sharing():
    x = torch.tensor([1.0, 2.0])
    assert describe(x) == describe(torch.tensor([1.0, 2.0]))
    assert describe((x, x)) != describe((x, x.clone()))
    assert describe((x, x[:1])) != describe((x, x[:1].clone()))
    assert describe(torch.zeros(9)) != describe(torch.full((9,), -0.0))
    assert describe(torch.ones(2)) != describe(torch.ones(2, requires_grad=True))
    assert describe(torch.ones(2, 2)) != describe(torch.ones(2, 2).t())
    one = [1]
    assert describe([one, one]) != describe([one, [1]])
    assert describe({1: 2, 3: 4}) != describe({3: 4, 1: 2})
    assert describe({"b", "a"}) == describe({"a", "b"})
    assert describe(1) != describe(True) != describe(1.0)
    assert describe("at 0x7f12") == describe("at 0x7f34")


def test_text_of_objects_runs_none_of_their_code():
    assert describe(Plain(1)) != describe(Plain(2))
    cycle = Plain(1)
    cycle.value = cycle
    assert "#0" in describe(cycle)
    assert describe(iter([1])) == "#0 list_iterator"
    lazy = (n for n in [1])
    describe(lazy)
    assert list(lazy) == [1]


def test_long_texts_differ_too():
    assert describe(list(range(390))) != describe([*range(389), -1])
    assert len(describe(list(range(10_000)))) < 500


def test_text_of_an_exception():
    assert error_text(KeyError(1)) == "KeyError: 1"
    assert error_text(ValueError("at 0x7f12")) == "ValueError: at 0x"
