"""The command line: what is printed where, and exit codes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

import magpy
from magpy.__main__ import COMMANDS, EXPERIMENTS, main
from magpy_experiments import measure

PROGRAM = """
def f(x, y=1):
    return x + y

def example_inputs():
    return (1, 2)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def test_help_needs_no_torch():
    code = (
        "import sys, magpy.__main__ as m; m.make_parser(); "
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize("command", [*COMMANDS, *EXPERIMENTS])
def test_help_of_commands(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: magpy " + command)


def test_every_experiment_is_known_to_the_command_line():
    folder = Path(importlib.import_module("magpy_experiments.cli").__file__).parent
    assert {path.stem for path in folder.glob("[a-z]*.py")} == set(EXPERIMENTS)


@pytest.mark.parametrize("args", [[], ["--help"], ["--root", "here", "more"]])
@pytest.mark.parametrize("command", EXPERIMENTS)
def test_absent_experiments_say_how_to_get_them(command, args, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "magpy_experiments", None)
    assert main([command, *args]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"magpy: {command}: ")
    assert captured.err.endswith(": pip install ./experiments\n")


def test_without_experiments_the_rest_works(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "magpy_experiments", None)
    assert main(["env", "--no-check"]) == 0
    with pytest.raises(SystemExit) as caught:
        main(["env", "--nonsense"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_version_and_usage(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"magpy {magpy.__version__}\n"
    with pytest.raises(SystemExit) as caught:
        main(["nonsense"])
    assert caught.value.code == 2


def test_env(capsys):
    assert main(["env", "--no-check"]) == 0
    text = capsys.readouterr().out
    assert "engine" in text
    assert "MAGPY_MAX_ENTRIES" in text


def test_env_json(capsys):
    assert main(["env", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["magpy"] == magpy.__version__
    assert data["engine"] in ("on", "off")
    assert data["config"]["max_entries"] == 64
    if data["engine"] == "on" and data["packages"]["torch"]:
        assert set(data["backends"]) >= set(magpy.list_backends())
        assert data["backends"]["eager"] == "ok"
        if importlib.util.find_spec("torch_xla") is None:
            assert data["backends"]["openxla"].startswith("ImportError: ")


@pytest.mark.filterwarnings("ignore:MagPy is off")
@pytest.mark.parametrize("extra", [[], ["--args", "(3, 4)"], ["--args", "5", "--all"]])
def test_explain(program, capsys, extra):
    code = main(["explain", f"{program}:f", *extra])
    assert code in (0, 1)  # 1: the engine is off here
    assert capsys.readouterr().out.startswith("f: ")


@pytest.mark.parametrize(
    ("target", "args", "words"),
    [
        ("program.py", [], "not of the form FILE.py:FUNC"),
        ("nowhere.py:f", [], "there is no file"),
        ("program.py:exampel_inputs", [], "Did you mean 'example_inputs'"),
        ("program.py:f.nothing", [], "has no 'f.nothing'"),
        ("program.py:f", ["--args", "1/0"], "ZeroDivisionError"),
    ],
)
def test_explain_usage_errors(program, monkeypatch, capsys, target, args, words):
    monkeypatch.chdir(program.parent)
    assert main(["explain", target, *args]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err


def test_durations():
    texts = [measure.duration(s) for s in (1.234e-6, 0.0123, 2.0)]
    assert texts == ["1.23 us", "12.3 ms", "2 s"]


def test_interleaved_takes_turns():
    order = []
    functions = {name: lambda name=name: order.append(name) for name in "ab"}
    times = measure.interleaved(functions, "cpu", rounds=2, inner=2)
    assert order == list("aabbaabb")
    assert set(times) == {"a", "b"}


def test_steps_go_to_stderr(capsys):
    with measure.step("working"):
        pass
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "working" in captured.err


def test_models_run():
    torch = pytest.importorskip("torch")
    from magpy_experiments.workloads import WORKLOADS, first_tensor

    for name in ("resnet18", "add"):
        model, inputs = WORKLOADS[name]("cpu")
        assert not model.training
        with torch.no_grad():
            assert first_tensor(model(*inputs)).isfinite().all()


EXPLAINED = """
def raises(x):
    raise ValueError("mine")
class C: pass
number = 3
"""


@pytest.mark.parametrize(
    ("source", "arguments", "code", "told"),
    [
        (EXPLAINED, ["raises", "--args", "1"], 1, "ValueError: mine"),
        (EXPLAINED, ["raises", "--args", "1, 2"], 1, "takes 1 positional argument"),
        (EXPLAINED, ["C"], 2, "C is a class"),
        (EXPLAINED, ["number"], 2, "not int: 3"),
        ("raise RuntimeError('at import')", ["f"], 2, "RuntimeError: at import"),
        ("def f(:", ["f"], 2, "SyntaxError"),
        ("import sys; sys.exit(3)", ["f"], 2, "SystemExit: 3"),
        ("def f(x): 0\ndef example_inputs(): 1 / 0", ["f"], 2, "ZeroDivisionError"),
    ],
)
def test_explain_never_ends_in_a_traceback_of_ours(
    tmp_path, source, arguments, code, told
):
    file = tmp_path / "mine.py"
    file.write_text(source)
    name, *more = arguments
    command = [sys.executable, "-m", "magpy", "explain", f"{file}:{name}", *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert told in done.stderr
    assert "magpy/cli" not in done.stderr
    assert "runpy" not in done.stderr
