"""Figures and tables: what is measured, what is kept, and what is said of failures."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from magpy.__main__ import main
from magpy_experiments.models import MODELS
from magpy_experiments.reproduce import check, figures, runner, systems
from magpy_experiments.reproduce.plan import FIGURES, KINDS, Cell, Settings
from magpy_experiments.reproduce.results import ReproduceError, Results

QUICK = Settings(small=True, rounds=3, budget=1.0, threads=1)
ABOUT = {"settings": {}, "packages": {}, "python": "3", "processor": "p", "devices": []}


# -- what is measured ------------------------------------------------------------------


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_figures_name_what_there_is(figure):
    cells = list(figure.cells())
    assert figure.kind in KINDS
    assert len({cell.key for cell in cells}) == len(cells)
    assert {cell.model for cell in cells} <= set(MODELS)
    assert {cell.system for cell in cells} <= set(systems.NAMES)


def test_figures_can_be_narrowed():
    figure = FIGURES["fig15"].narrowed(["bert"], ["eager", "magpy-eager"], [16])
    assert [cell.key for cell in figure.cells()] == [
        "end-to-end/bert/eager/bs16",
        "end-to-end/bert/magpy-eager/bs16",
    ]


def test_the_first_figure_is_part_of_the_second():
    keys = {cell.key for cell in FIGURES["fig15"].cells()}
    assert {cell.key for cell in FIGURES["fig1"].cells()} <= keys


def test_missing_systems_say_what_to_do(monkeypatch):
    monkeypatch.setattr(systems, "_has", lambda module: False)
    assert "pip install torch==" in systems.unavailable("lazytensor", "cuda")
    text = systems.unavailable("dynamo-onnxruntime", "cpu")
    assert text == "pip install onnx onnxscript onnxruntime"
    text = systems.unavailable("magpy-tensorrt", "cuda")
    assert text == "pip install torch-tensorrt"
    assert "--device cuda" in systems.unavailable("magpy-cudagraphs", "cpu")
    for system in ("eager", "magpy-inductor", "script", "export", "dynamo-torchscript"):
        assert systems.unavailable(system, "cpu") == ""


def test_titles():
    titles = [systems.title(name) for name in systems.NAMES]
    assert len(set(titles)) == len(titles)
    assert systems.title("magpy-inductor") == "MagPy-Inductor"
    assert systems.title("export-strict") == "torch.export (strict)"


# -- one measurement -------------------------------------------------------------------


@pytest.fixture
def protocol():
    torch = pytest.importorskip("torch")
    from magpy import config
    from magpy_experiments.reproduce import protocol

    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    logger = logging.getLogger("magpy.breaks")
    logs, handlers, propagate = config.logs, logger.handlers[:], logger.propagate
    with torch.random.fork_rng(devices=[]):
        yield protocol
    logger.handlers[:], logger.propagate, config.logs = handlers, propagate, logs
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = tf32


@pytest.mark.parametrize(
    ("kind", "system", "vary"),
    [
        ("end-to-end", "eager", ""),
        ("end-to-end", "magpy-eager", ""),
        ("end-to-end", "trace", ""),
        ("control", "magpy-eager", ""),
        ("dynamic", "magpy-eager", "batch"),
        ("graphs", "magpy-eager", ""),
        ("graphs", "dynamo-eager", ""),
    ],
)
def test_measured(protocol, kind, system, vary):
    measured = protocol.measure(
        Cell(kind, "lstm", system, 2, vary), QUICK, lambda: None
    )
    assert measured["status"] == "ok", measured
    if kind == "graphs":
        assert measured["graphs"] == 1
        return
    assert 0 < measured["system"]["low"] <= measured["system"]["median"]
    assert measured["eager"]["count"] == measured["system"]["count"] >= 3
    assert all(seconds > 0 for seconds in measured["first"])
    if system == "magpy-eager":
        assert measured["stats"]["hits"] > 3
    json.dumps(measured)


@pytest.mark.parametrize("system", ["eager", "magpy-eager", "dynamo-eager"])
def test_a_step_of_training_is_measured(protocol, system):
    torch = pytest.importorskip("torch")
    if system == "dynamo-eager":
        torch._dynamo.reset()
    measured = protocol.measure(Cell("training", "gnn", system, 2), QUICK, lambda: None)
    assert measured["status"] == "ok", measured
    assert measured["eager"]["count"] == measured["system"]["count"] >= 3
    if system == "magpy-eager":
        assert measured["stats"]["hits"] > 3


@pytest.mark.parametrize("planted", ["gradient", "parameter"])
def test_wrong_steps_are_noticed(protocol, monkeypatch, planted):
    def broken(call, module):
        def wrong(*args):
            result = call(*args)
            weight = module.last.weight
            if planted == "parameter":  # which the step then does not set right
                weight.data.add_(0.1)
                return result
            return result + 0 * weight.sum() + (weight - weight.detach()).sum()

        return wrong

    _plant(protocol, monkeypatch, broken)
    measured = protocol.measure(
        Cell("training", "gnn", "eager", 2), QUICK, lambda: None
    )
    assert measured["status"] == "wrong"


def _plant(protocol, monkeypatch, broken):
    real = protocol.systems.prepare

    def prepare(system, module, args, kwargs, **more):
        prepared = real(system, module, args, kwargs, **more)
        return replace(prepared, call=broken(prepared.call, module))

    monkeypatch.setattr(protocol.systems, "prepare", prepare)


def test_wrong_numbers_are_noticed(protocol, monkeypatch):
    def broken(call, module):
        calls = []

        def wrong(x):
            calls.append(x)
            return call(x) + (0.1 if len(calls) > 2 else 0)  # not in the first ones

        return wrong

    _plant(protocol, monkeypatch, broken)
    measured = protocol.measure(
        Cell("end-to-end", "lstm", "eager"), QUICK, lambda: None
    )
    assert measured["status"] == "wrong"
    assert "values differ" in measured["reason"]
    assert "system" not in measured


def test_lost_state_is_noticed(protocol, monkeypatch):
    """Results are right, but the module does not keep what it keeps in eager mode."""

    def broken(call, module):
        def forgetful(x):
            result = call(x)
            module.disp1 = None
            return result

        return forgetful

    _plant(protocol, monkeypatch, broken)
    measured = protocol.measure(
        Cell("end-to-end", "monodepth", "eager"), QUICK, lambda: None
    )
    assert measured["status"] == "differs"
    assert "disp1" in measured["reason"]
    assert measured["system"]["count"] >= 3


def test_calls_that_are_never_hits_are_no_result(protocol, monkeypatch):
    real = protocol.systems.prepare

    def prepare(*args, **more):
        stats = {"hits": 0, "reasons": {"backend-failed": 3}}
        return replace(real(*args, **more), stats=lambda: stats)

    monkeypatch.setattr(protocol.systems, "prepare", prepare)
    measured = protocol.measure(
        Cell("end-to-end", "lstm", "magpy-eager"), QUICK, lambda: None
    )
    assert measured["status"] == "error"
    assert measured["reason"] == "no hits: {'backend-failed': 3}"


def test_graphs_that_no_backend_takes_are_told(protocol):
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def forward(self, x):
            return torch.tensor(1.0) + x

    prepared = protocol.systems.prepare("magpy-torchscript", Net(), (), {})
    with torch.no_grad():
        for _ in range(3):
            prepared.call(torch.ones(2))
    (why,) = prepared.stats()["as recorded"]
    assert why.startswith("the graph runs as recorded")
    assert "torch.tensor results are registered as constants" in why


@pytest.mark.parametrize("front", systems.FRONTS)
def test_tracing_writes_nothing(protocol, front):
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):
        def forward(self, x):
            return x.add_(1) * 2

    prepared = protocol.systems.prepare(f"{front}-torchscript", Net(), (), {})
    with torch.no_grad():
        for _ in range(3):
            x = torch.zeros(2)
            assert prepared.call(x).tolist() == [2.0, 2.0]
            assert x.tolist() == [1.0, 1.0]
    assert prepared.stats()["as recorded"] == []


def test_spy_sees_graphs_and_time(protocol):
    torch = pytest.importorskip("torch")
    from torch._inductor import compile_fx

    import magpy
    from magpy.backends import registry

    spy = protocol.Spy()
    before = compile_fx.compile_fx, registry._OWN["inductor"]
    ran = []
    registry._OWN["inductor"] = registry._OWN["eager"]
    try:
        with spy.watching("magpy"), torch.no_grad():
            compiled = magpy.compile(lambda x: x + 1, backend="inductor")
            for _ in range(2):
                compiled(torch.ones(2))
            spy.looks = True
            compiled(torch.ones(2))
            spy.looks = False
            compiled(torch.ones(2))
            ran = [graph() for graph in spy.runs]
    finally:
        registry._OWN["inductor"] = before[1]
    assert [out[0].tolist() for out in ran] == [[2.0, 2.0]]
    assert compile_fx.compile_fx is before[0]


def test_sizes_change():
    pytest.importorskip("torch")
    from magpy_experiments.reproduce.protocol import sizes_of

    first, sizes = sizes_of("batch", small=False)
    assert first == {"batch": 5}
    assert [each["batch"] for each in sizes] == list(range(2, 17))
    first, sizes = sizes_of("sequence", small=False)
    assert first == {"batch": 8, "length": 80}
    assert [each["length"] for each in sizes] == list(range(32, 257, 16))


# -- front ends, and the original ------------------------------------------------------


@pytest.mark.parametrize("system", ["magpy-eager", "dynamo-eager"])
def test_costs_of_front_ends(protocol, system):
    torch = pytest.importorskip("torch")
    torch._dynamo.reset()
    measured = protocol.measure(Cell("front", "lstm", system), QUICK, lambda: None)
    assert measured["status"] == "ok", measured
    assert measured["graphs"] == 1
    assert 0 < measured["overhead"]["median"] < measured["system"]["median"]
    assert measured["capture"] > 0
    assert measured["backend"] < 0.1
    figure = FIGURES["original"].narrowed(["resnet"], [system])
    tables = figures.tables(figure, {Cell("front", "resnet", system).key: measured})
    assert [table.rows[0][1] for table in tables][-1] == "1"


_FRONTEND = {
    "config.py": """
        CONFIG = {}
        def set_config(name, value): CONFIG[name] = value
    """,
    "compile.py": """
        import torch
        from .config import CONFIG
        def compile(module):
            made = []
            def call(x):
                if not made:
                    graph = torch.fx.GraphModule(module, torch.fx.Graph())
                    graph.forward = module.forward
                    made.append(CONFIG["backend"](graph, [x]))
                return made[0](x) + PLUS
            return call
    """,
}


@pytest.mark.parametrize(
    ("plus", "status"), [("0", "ok"), ("0.1", "wrong"), ("wat", "error")]
)
def test_the_original_has_a_process(protocol, monkeypatch, tmp_path, plus, status):
    """With a stand-in for it, which is no compiler, in this Python."""
    import sys
    import textwrap

    from magpy_experiments.reproduce import original

    folder = tmp_path / "frontend"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name, text in _FRONTEND.items():
        (folder / name).write_text(textwrap.dedent(text).replace("PLUS", plus))
    for name in ("REPRODUCE_ORIGINAL", "REPRODUCE_ORIGINAL_PYTHON"):
        monkeypatch.setenv(name, "")
    words = "--original DIR --original-python PYTHON"
    assert words in systems.unavailable("original-eager", "cpu")
    original.announce(tmp_path, Path(sys.executable))
    assert "setup.py build_ext" in systems.unavailable("original-eager", "cpu")
    (folder / "c_api.so").touch()
    assert systems.unavailable("original-eager", "cpu") == ""
    assert systems.unavailable("original-eager", "cuda")
    cell = Cell("front", "lstm", "original-eager")
    measured = protocol.measure(cell, QUICK, lambda: None)
    assert measured["status"] == status, measured
    if status == "ok":
        assert measured["graphs"] == 1
        assert measured["versions"]["python"] == sys.version.split()[0]


# -- processes -------------------------------------------------------------------------


def die(cell, settings, answer, log, ready, go):
    Path(log).write_text("Fatal Python error: planted\n  more\n")
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(cell, settings, answer, log, ready, go):
    time.sleep(60)


def say(cell, settings, answer, log, ready, go):
    ready.set()
    go.wait()
    begin = time.monotonic()
    time.sleep(0.2)
    times = [begin, time.monotonic()]
    Path(answer).write_text(json.dumps({"status": "ok", "times": times}))


def say_or_die(cell, *rest):
    (die if cell.system == "script" else say)(cell, *rest)


@pytest.mark.parametrize(
    ("live", "timeout", "status", "reason"),
    [
        (die, 60, "crash", "SIGSEGV: Fatal Python error: planted"),
        (hang, 0.5, "timeout", "more than 0.5 s"),
        (say, 60, "ok", None),
    ],
)
def test_processes_may_die(live, timeout, status, reason):
    context = multiprocessing.get_context("spawn")
    cell = Cell("control", "lstm", "eager")
    (measured,) = runner.run_together(context, [cell], QUICK, timeout, live)
    assert measured["status"] == status
    assert measured.get("reason") == reason


def say_or_hang(cell, *rest):
    (hang if cell.system == "script" else say)(cell, *rest)


def test_a_cell_that_hangs_takes_no_time_from_others():
    context = multiprocessing.get_context("spawn")
    cells = [Cell("control", "lstm", name) for name in ("script", "eager", "trace")]
    found = runner.run_together(context, cells, QUICK, 15, say_or_hang)
    assert [measured["status"] for measured in found] == ["timeout", "ok", "ok"]


def test_cells_get_ready_together_and_are_timed_alone():
    context = multiprocessing.get_context("spawn")
    cells = [Cell("control", "lstm", name) for name in ("eager", "script", "trace")]
    found = runner.run_together(context, cells, QUICK, 60, say_or_die)
    assert [measured["status"] for measured in found] == ["ok", "crash", "ok"]
    assert [measured["together"] for measured in found] == [3, 3, 3]
    assert found[0]["times"][1] < found[2]["times"][0]


def test_what_is_there_is_not_measured_again(tmp_path, monkeypatch):
    results = Results(tmp_path, ABOUT)
    runs = []

    def run_together(context, cells, settings, timeout):
        runs.extend(cell.key for cell in cells)
        return [{"status": "timeout", "reason": "t"} for _ in cells]

    monkeypatch.setattr(runner, "run_together", run_together)
    cells = [Cell("control", "lstm", name) for name in ("eager", "magpy-eager")] * 2
    cells.append(Cell("control", "lstm", "magpy-cudagraphs"))
    told = []

    def tell(cell, measured, new):
        told.append((measured["status"], new))

    for again in (False, False, True):
        runner.run_cells(cells, QUICK, results, timeout=1, again=again, tell=tell)
    assert len(runs) == 4
    assert told[:3] == [("timeout", True)] * 2 + [("unavailable", True)]
    assert told[3:6] == [("timeout", False)] * 2 + [("unavailable", False)]


# -- results ---------------------------------------------------------------------------


def test_results_go_on(tmp_path):
    Results(tmp_path, ABOUT).add("a", {"status": "ok"})
    again = Results(tmp_path, ABOUT)
    again.add("b", {"status": "ok"})
    again.add("a", {"status": "wrong"})
    with open(again.path, "a") as file:
        file.write('{"key": "c", "stat')  # the command was killed here
    cells = Results(tmp_path, ABOUT).cells
    assert {key: cell["status"] for key, cell in cells.items()} == {
        "a": "wrong",
        "b": "ok",
    }
    assert Results(tmp_path, ABOUT, fresh=True).cells == {}


def test_results_of_another_machine(tmp_path):
    Results(tmp_path, ABOUT).add("a", {"status": "ok"})
    with pytest.raises(ReproduceError, match="other processor: 'p', not 'q'"):
        Results(tmp_path, {**ABOUT, "processor": "q"})
    with pytest.raises(ReproduceError, match="no results in"):
        Results(tmp_path / "nowhere", None)


# -- tables and pictures ---------------------------------------------------------------


def timed(system, eager=1.0, **more):
    one = {"low": 0.0, "high": 0.0, "count": 3}
    return {
        "status": "ok",
        "reason": "",
        "system": {"median": system, **one},
        "eager": {"median": eager, **one},
        **more,
    }


def key(model, system, batch=1):
    return Cell("end-to-end", model, system, batch).key


@pytest.fixture
def cells():
    return {
        key("bert", "eager"): timed(1.0),
        key("bert", "dynamo-inductor"): timed(0.5),
        key("bert", "magpy-inductor"): timed(0.25),
        key("resnet", "eager"): timed(1.0),
        key("resnet", "dynamo-inductor"): {"status": "crash", "reason": "SIGSEGV"},
        key("resnet", "magpy-inductor"): {**timed(0.5), "status": "differs",
                                          "reason": "module.x: lost"},
    }  # fmt: skip


SYSTEMS = ["eager", "dynamo-inductor", "magpy-inductor"]


def test_table(cells):
    figure = FIGURES["fig15"].narrowed(["bert", "resnet"], SYSTEMS, [1])
    (table,) = figures.tables(figure, cells)
    assert table.head == ["", "bert", "resnet", "geometric mean"]
    assert table.rows == [
        ["eager", "1e+03 (1.00)", "1e+03 (1.00)", "1.00 of 2"],
        ["TorchDynamo-Inductor", "500 (2.00)", "crash [1]", "2.00 of 1"],
        ["MagPy-Inductor", "250 (4.00)", "500 (2.00) [2]", "2.83 of 2"],
        ["MagPy : TorchDynamo, Inductor", "2.00", "", "2.00 of 1"],
    ]
    assert table.notes == ["SIGSEGV", "numbers are eager's, but module.x: lost"]
    lines = table.markdown().splitlines()
    assert len({len(line) for line in lines[2:8]}) == 1


def test_table_of_parts():
    figure = FIGURES["fig16"].narrowed(["bert"])
    cell = timed(
        0.002,
        first=[0.5, 1.5, 0.1],
        **{
            "first run": {"eager run": 0.1, "recording": 0.2, "backend": 1.0},
            "cached run": {"graphs": 0.0015, "guards": 0.0003, "inputs": 0.0002},
        },
    )
    found = {Cell("parts", "bert", "magpy-inductor").key: cell}
    first, cached = figures.tables(figure, found)
    assert first.rows[0][1:] == ["100 ms", "200 ms", "", "", "1 s", "2 s"]
    assert cached.rows[0][1:] == ["1.5 ms", "300 us", "200 us", "", "", "2 ms"]


def test_notes_on_graphs_that_run_as_recorded(cells):
    figure = FIGURES["fig15"].narrowed(["bert"], SYSTEMS, [1])
    cells[key("bert", "magpy-inductor")]["stats"] = {"as recorded": ["why"]}
    (table,) = figures.tables(figure, cells)
    assert table.rows[2][1] == "250 (4.00) [1]"
    assert table.notes == ["why"]


def test_onnx_runtime():
    torch = pytest.importorskip("torch")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import magpy
    from magpy_experiments.reproduce.onnx import convert

    weight = torch.randn(4, 4)

    def program(x):
        y = x @ weight
        return y.relu(), y

    compiled = magpy.compile(program, backend=convert, fullgraph=True)
    with torch.no_grad():
        for step in range(4):
            weight.mul_(step + 1)
            x = torch.randn(3, 4)
            torch.testing.assert_close(compiled(x), program(x))
    assert magpy.stats(compiled)["hits"] == 3


def written(tmp_path, cells):
    results = Results(tmp_path, ABOUT)
    for name, measured in cells.items():
        results.add(name, measured)
    from magpy_experiments.cli.reproduce import _write

    _write(FIGURES["fig15"], results, plots=True)
    return Results(tmp_path, None)


def test_check(tmp_path, cells):
    pytest.importorskip("matplotlib")
    results = written(tmp_path, cells)
    chosen = [FIGURES["fig15"], FIGURES["fig1"]]
    assert list(check.differences(results, chosen)) == []
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"cells.jsonl", "fig15.json", "fig15.md", "fig15.png", "fig15.svg"}
    data = json.loads((tmp_path / "fig15.json").read_text())
    assert data["about"] == ABOUT
    assert set(data["cells"]) == set(cells)
    results.add(key("bert", "eager"), timed(0.9))
    found = list(check.differences(results, chosen))
    assert [line.partition(": ")[2] for line in found] == [
        "not the table of these results",
        "not drawn from these results",
        "not drawn from these results",
    ]


def test_check_of_pages(tmp_path, cells):
    results = Results(tmp_path / "results", ABOUT)
    for name, measured in cells.items():
        results.add(name, measured)
    figure = check.written(results, FIGURES["fig15"])
    page = tmp_path / "page.md"
    head = "# Page\n\n<!-- reproduced: results fig15 -->\n\n"
    table = figures.text(figure, results.cells)
    page.write_text(f"{head}{table}\n<!-- end -->\n")
    assert list(check.pages(tmp_path, [page])) == []
    page.write_text(f"{head}{table.replace('250', '249')}\n<!-- end -->\n")
    assert list(check.pages(tmp_path, [page])) == [
        f"{page}: the table fig15 is not that of results"
    ]


def test_every_kind_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from magpy_experiments.reproduce import plots

    parts = {
        "first run": {"eager run": 0.1, "capture": 0.2},
        "cached run": {"graphs": 0.1},
    }
    for whole in FIGURES.values():
        figure = whole.narrowed(whole.models[:2], whole.systems[:4])
        cells = {
            cell.key: timed(0.1, graphs=3, first=[1.0, 1.0], **parts)
            for cell in figure.cells()
        }
        cells[next(figure.cells()).key] = {"status": "error", "reason": "r"}
        if figure.kind == "graphs":
            for cell in cells.values():
                cell.pop("system", None)
        drawn = plots.draw(figure, cells, tmp_path / figure.name)
        assert [path.suffix for path in drawn] == [".png", ".svg"]
        assert all(path.stat().st_size > 5000 for path in drawn)
        assert plots.draw(figure, {}, tmp_path / "nothing") == []


# -- the command -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["fig1", "--models", "brt"], "no model 'brt'. Did you mean 'bert'"),
        (["fig1", "--systems", "magpy-induct"], "Did you mean 'magpy-inductor'"),
        (["fig1", "--bs", "x"], "--bs takes numbers"),
        (["fig1", "--timeout", "0"], "must be positive"),
        (["table3"], "pytorch-jit-paritybench"),
    ],
)
def test_usage(args, words, capsys, tmp_path):
    assert main(["reproduce", *args, "--results", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


def test_command(tmp_path, capsys):
    pytest.importorskip("torch")
    args = [
        "fig18", "--models", "lstm", "--systems", "eager,magpy-eager,lazytensor",
        "--bs", "1", "--small", "--rounds", "3", "--threads", "1", "--no-plots",
        "--results", str(tmp_path),
    ]  # fmt: skip
    assert main(["reproduce", *args]) == 0
    captured = capsys.readouterr()
    assert "| MagPy-eager " in captured.out
    assert captured.err.count("...") == 3
    results = Results(tmp_path / "cpu-small", None)
    assert results.about["settings"]["seed"]
    assert results.about["packages"]["torch"]
    assert [c["status"] for c in results.cells.values()][:2] == ["ok", "ok"]
    assert main(["reproduce", *args]) == 0
    assert "..." not in capsys.readouterr().err  # nothing is measured again
    assert main(["reproduce", *args, "--check"]) == 0


def test_pages_show_the_results_that_they_name():
    root = Path(__file__).resolve().parents[2]
    files = [root / "README.md", *sorted(root.glob("docs/**/*.md"))]
    assert any("<!-- reproduced: docs/" in file.read_text("utf-8") for file in files)
    assert list(check.pages(root, files)) == []
