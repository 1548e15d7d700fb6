"""The original's tests under this engine: what is planted in them is found."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from magpy.__main__ import main
from magpy_experiments.conformance import original
from magpy_experiments.conformance.cpython import ConformanceError
from magpy_experiments.conformance.original_world import assert_equal

PLANTED = """
from frontend.compile import compile, reset
from frontend.utils import SetConfig, add_force_graph_break, enable_dyn_shape
from frontend.c_api import get_next_frame_id
from common.checker import run_and_check, run_and_check_cache, ALL_MISS, HIT, MISS
import os, sys, time
import torch

OURS = "magpy" in sys.argv

def double(x):
    return x * 2

def test_same(caplog):
    reset()
    add_force_graph_break(get_next_frame_id(), 3)
    compiled = compile(torch.nn.Linear(2, 2).cuda())
    x = torch.ones(1, 2, device="cuda")
    run_and_check(compiled, [MISS, MISS], 1, caplog, compiled(x).detach(), x)
    run_and_check(compiled, [HIT], 1, caplog, compiled(x).detach(), x)

def test_sizes(caplog):
    with enable_dyn_shape(), SetConfig({"backend": "eager"}):
        compiled = compile(double)
        for n, log in ((5, ALL_MISS), (6, HIT)):
            run_and_check(compiled, [log], 1, caplog, torch.ones(n) * 2, torch.ones(n))

def test_never_hits(caplog):
    compiled = compile(lambda x: (x * 2, time.time()))
    run_and_check_cache(compiled, [MISS], 1, caplog, torch.ones(2))
    run_and_check_cache(compiled, [HIT], 1, caplog, torch.ones(3, 4))

def test_wrong(caplog):
    compiled = compile(double)
    expected = torch.ones(2) * (3 if OURS else 2)
    run_and_check(compiled, [MISS], 1, caplog, expected, torch.ones(2))

def test_fails_in_eager(caplog):
    run_and_check(compile(double), [MISS], 1, caplog, 1, torch.ones(2))

def test_dies(caplog):
    if OURS:
        os.abort()
"""


def folder(tmp_path, source=PLANTED):
    (tmp_path / "test" / "common").mkdir(parents=True)
    (tmp_path / "test" / "common" / "checker.py").write_text("raise SystemError")
    (tmp_path / "test" / "test_planted.py").write_text(source)
    (tmp_path / "test" / "test_int_cache.py").write_text("raise SystemError")
    return tmp_path


def test_planted(tmp_path, capsys):
    root = folder(tmp_path)
    out = tmp_path / "out.json"
    assert main(["conformance", "--original", str(root), "--json", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "call 2 is no hit" in printed
    (module,) = json.loads(out.read_text())["modules"]
    cases = {case["name"]: case for case in module["details"]}
    assert {name: case["status"] for name, case in cases.items()} == {
        "test_same": "same",
        "test_sizes": "same",
        "test_never_hits": "fewer hits",
        "test_wrong": "different",
        "test_fails_in_eager": "not run",
        "test_dies": "crash",
    }
    assert cases["test_same"]["hits"] >= 1
    assert "AssertionError" in cases["test_wrong"]["detail"]
    assert (module["fewer hits"], module["different"], module["crash"]) == (1, 1, 1)


def test_what_cannot_run(tmp_path):
    with pytest.raises(ConformanceError, match="no tests of the original"):
        original.find_tests(tmp_path)
    root = original.find_tests(folder(tmp_path, "import no_such_module"))
    assert original.modules_of(root) == ["test_planted"]
    assert "no_such_module" in original.check_module("test_planted", root).error
    assert "there is no" in original.check_module("test_other", root).error
    both = ["conformance", "--original", str(root), "--torch", str(root)]
    assert main(both) == 2


def test_comparison():
    import torch

    assert_equal([1, {"a": 2.0}, (torch.ones(2),)], [1, {"a": 2.0}, (torch.ones(2),)])
    for one, other in [
        (1, 1.0),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        (1.0, 1.1),
        (torch.ones(2), torch.zeros(2)),
        ((1,), [1]),
    ]:
        with pytest.raises(AssertionError):
            assert_equal(one, other)
