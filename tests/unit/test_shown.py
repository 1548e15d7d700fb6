"""How answers are shown: in a terminal, in Jupyter, as JSON, as a page, in torch's logs."""

import io
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

import magpy

SCALE = 2.0


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(3, 3)

    def forward(self, x):
        y = self.lin(x)
        return y * SCALE


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def explained():
    return magpy.explain(Net())(torch.ones(2, 3))


class Balanced(HTMLParser):
    """Every tag is closed, in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta", "line", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        if tag not in ("line", "rect"):
            assert self.open.pop() == tag


# -- Explanation -----------------------------------------------------------------------


def test_colour_only_in_a_terminal(explained, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    plain = explained.format()
    monkeypatch.setattr(sys, "stdout", Terminal())
    coloured = str(explained)
    assert "\x1b[1m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert str(explained) == plain
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert str(explained) == repr(explained) == plain


def test_lines_stand_behind_operations(explained):
    text = explained.format(limit=None)
    (run,) = explained.segments
    first = Net.forward.__code__.co_firstlineno
    places = [f"test_shown.py:{first + 1}", f"test_shown.py:{first + 2}"]
    assert run.op_lines == places
    assert f"    linear  # {places[0]}" in text
    assert f"    mul  # {places[1]}" in text


def test_json(explained):
    data = json.loads(explained.to_json())
    assert data["runs"][0]["ops"] == ["linear", "mul"]
    assert len(data["runs"][0]["guard_lines"]) == len(data["runs"][0]["guards"])
    assert data["stats"]["calls"] == 2


def test_html_has_the_picture(explained):
    page = Balanced(explained._repr_html_())
    assert {"details", "summary", "svg", "rect", "line"} <= page.seen
    picture = explained.segments[0].picture()
    # Three inputs, two operations; the first takes all inputs, the second the first.
    assert (picture.count("<rect"), picture.count("<line")) == (5, 4)


def test_html_escapes_what_the_user_wrote():
    state = {"<b>&": torch.ones(1)}
    shown = magpy.explain(lambda: state["<b>&"] + 1)()._repr_html_()
    assert "&lt;b&gt;&amp;" in shown
    assert "<b>" not in shown


def test_a_run_without_operations_has_no_picture():
    shown = magpy.explain(lambda x: x)(1)
    assert shown.segments[0].picture() == ""
    Balanced(shown._repr_html_())


def test_names_of_torchdynamo(explained):
    assert explained.graph_count == len(explained.graphs) == 1
    assert explained.op_count == 2
    assert explained.ops_per_graph == [["linear", "mul"]]
    assert explained.out_guards
    assert set(explained.compile_times) >= {"record", "compile"}
    assert (explained.graph_break_count, explained.break_reasons) == (0, [])


# -- nodes -----------------------------------------------------------------------------


def test_nodes_say_where_they_came_from():
    seen = []

    def backend(gm, inputs):
        seen.extend(gm.graph.nodes)
        return gm.forward

    fast = magpy.compile(Net(), backend=backend)
    for _ in range(2):
        fast(torch.ones(2, 3))
    names = [node.name for node in seen if node.op == "placeholder"]
    assert names == ["l_args_0_", "l_self_lin_weight_", "l_self_lin_bias_"]
    linear, mul = [node for node in seen if node.op == "call_function"]
    first = Net.forward.__code__.co_firstlineno
    assert linear.stack_trace.count("File ") == 1
    assert f'"{__file__}", line {first + 1}, in forward' in linear.stack_trace
    assert "return y * SCALE" in mul.stack_trace
    assert list(linear.meta["nn_module_stack"].values()) == [
        ("self", f"{__name__}.Net"),
        ("self.lin", "torch.nn.modules.linear.Linear"),
    ]
    assert list(mul.meta["nn_module_stack"]) == ["L__self"]
    assert linear.meta["val"].shape == linear.meta["example_value"].shape == (2, 3)


def test_a_deep_stack_needs_no_recursion():
    def deep(x, n):
        return deep(x, n - 1) if n else x + 1

    (run,) = magpy.explain(deep)(torch.ones(1), 400).segments
    limit = sys.getrecursionlimit()
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    try:
        sys.setrecursionlimit(depth + 200)
        (node,) = [n for n in run.graph().graph.nodes if n.op == "call_function"]
    finally:
        sys.setrecursionlimit(limit)
    assert node.stack_trace.count("in deep") == 401


# -- MAGPY_TRACE, TORCH_LOGS, TORCH_TRACE ----------------------------------------------

PROGRAM = """
import torch, magpy
SCALE = 2.0
def inner(x):
    if x.sum() > 0:
        return x
    return -x
def f(x):
    return inner(x * SCALE) + 1
fast = magpy.compile(f, backend="eager", name="<f>")
x = torch.ones(3)
fast(x), fast(x)
SCALE = 3.0
fast(x), fast(x)
"""


def run(tmp_path, **env):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def report(*arguments):
    command = [sys.executable, "-m", "magpy", "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_trace_and_report(tmp_path):
    folder = tmp_path / "trace"
    assert run(tmp_path, MAGPY_TRACE=str(folder)) == ""
    (file,) = folder.glob("magpy-*.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    kinds = [record["kind"] for record in records]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert {"run", "compile", "recompile", "break"} <= set(kinds)
    assert records[-1]["stats"]["calls"] == 4
    file.write_text(file.read_text() + '{"kind": "run", "cut off')
    done = report(folder)
    assert (done.returncode, done.stderr) == (0, "")
    text = Path(done.stdout.strip()).read_text()
    page = Balanced(text)
    assert {"table", "svg", "details"} <= page.seen
    assert "&lt;f&gt;: recorded again because of" in text
    assert "<f>" not in text
    assert "host-read" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_report_without_records(tmp_path):
    done = report(tmp_path)
    assert done.returncode == 2
    assert "MAGPY_TRACE=" in done.stderr


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(tmp_path):
    (tmp_path / "file").write_text("")
    told = run(tmp_path, MAGPY_TRACE=str(tmp_path / "file" / "trace"))
    assert "nothing is traced" in told


def test_torch_logs(tmp_path):
    told = run(tmp_path, TORCH_LOGS="graph_code,recompiles,graph_breaks,guards")
    assert '[__graph_code]     def forward(self, l_x_: "f32[3][1]cpu"' in told
    assert "program.py:9 in f, code: return inner(x * SCALE) + 1" in told
    assert "[__recompiles] <f>: recorded again because of __main__.SCALE" in told
    assert "[__graph_breaks] <f>: Python asked for the value of a tensor" in told
    assert "[__guards]   __main__.SCALE == 2.0" in told
    assert "[effects]" not in told


def test_torch_logs_of_our_own_name(tmp_path):
    told = run(tmp_path, TORCH_LOGS="magpy")
    assert "[effects] <f>, entry 1:" in told
    assert "[recompiles] <f>: recorded again" in told
    assert run(tmp_path) == ""


def test_torch_trace(tmp_path):
    run(tmp_path, TORCH_TRACE=str(tmp_path / "trace"))
    (file,) = (tmp_path / "trace").glob("*.log")
    lines = [line for line in file.read_text().splitlines() if line.startswith("V")]
    records = [json.loads(line[line.index("{") :]) for line in lines]
    graphs = [each for each in records if "dynamo_output_graph" in each]
    assert graphs[0]["dynamo_output_graph"]["sizes"] == {"l_x_": ["3"]}
    assert {"frame_id", "frame_compile_id", "has_payload"} <= set(graphs[0])
    assert len({each["frame_compile_id"] for each in graphs}) == len(graphs)
    artifacts = {each["artifact"]["name"] for each in records if "artifact" in each}
    assert artifacts >= {
        "recompile_reasons",
        "dynamo_graph_break_reason",
        "magpy_guards",
    }
    names = [each.get("artifact", {}).get("name") for each in records]
    again = records[names.index("recompile_reasons")]
    assert again["frame_compile_id"] > graphs[0]["frame_compile_id"]


def test_counters():
    from torch._dynamo.utils import counters

    counters.clear()
    fast = magpy.compile(Net(), backend="eager")
    for _ in range(3):
        fast(torch.ones(2, 3))
    assert counters["stats"] == {"unique_graphs": 1, "calls_captured": 2}
    assert counters["frames"] == {"total": 1, "ok": 1}
    counters.clear()


ODD = r"""
import torch, magpy

SCALE = {"\ud800<b>": 2}
def f(x):
    y = x * SCALE["\ud800<b>"]
    print(end="")
    return y + 1
code = f.__code__.replace(co_name="\ud800", co_filename="/x\ud800.py")
f.__code__ = code
fast = magpy.compile(f, backend="eager", name="\ud800")
for SCALE["\ud800<b>"] in (2, 2, 3, 3):
    assert fast(torch.ones(3))[0] == SCALE["\ud800<b>"] + 1
print(magpy.stats(fast)["hits"])
magpy.explain(f)(torch.ones(3))._repr_html_()
"""


def test_names_that_have_no_encoding(tmp_path):
    names = ("MAGPY_TRACE", "TORCH_TRACE")
    folders = {name: str(tmp_path / name) for name in names}
    logs = {"TORCH_LOGS": "magpy,graph_code,recompiles,graph_breaks,guards"}
    found = subprocess.run(
        [sys.executable, "-c", ODD],
        env={**os.environ, **folders, **logs},
        capture_output=True,
        text=True,
    )
    assert found.stdout.split() == ["2"], found.stderr
    assert "UnicodeEncodeError" not in found.stderr
    done = report(folders["MAGPY_TRACE"])
    assert (done.returncode, done.stderr) == (0, "")


def test_a_disk_that_is_full_ends_the_trace(tmp_path):
    (tmp_path / f"magpy-{os.getpid()}.jsonl").symlink_to("/dev/full")
    with pytest.warns(magpy.MagpyWarning, match="nothing is traced"):
        magpy.config.trace = str(tmp_path)
    magpy.config.trace = ""


def test_a_fork_has_a_trace_of_its_own(tmp_path):
    with magpy.config.patch(trace=str(tmp_path)):
        child = os.fork()
        if child == 0:
            magpy.compile(Net(), backend="eager")(torch.ones(2, 3))
            os._exit(0)
        os.waitpid(child, 0)
        files = {file.name for file in tmp_path.iterdir()}
        assert files == {f"magpy-{pid}.jsonl" for pid in (os.getpid(), child)}
