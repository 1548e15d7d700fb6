"""ParityBench: classes of cases, crashes and hangs, going on, tables, stubs, comparing."""

from __future__ import annotations

import collections
import dataclasses
import importlib.util
import json
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy
import pytest
import torch

import magpy
from magpy.__main__ import main
from magpy.compare import Comparison
from magpy_experiments.parity import report, schedule, stubs
from magpy_experiments.parity.case import CLOSE, EXACT
from magpy_experiments.parity.results import Case, Project, Reason
from magpy_experiments.parity.server import Progress
from magpy_experiments.parity.summary import Summary, populate

HEAD = """
import ctypes, os, random, sys, time
import numpy as np
import torch
from _paritybench_helpers import _mock_config, _mock_layer, patch_functional
patch_functional()

def ones():
    return [torch.ones(2)], {}

def rows(*classes):
    return [(c, lambda: ([], {}), ones, True) for c in classes]

class Fine(torch.nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.layer = _mock_layer(2, 2)
        self.weight = torch.nn.Parameter(torch.empty(2))

    def forward(self, x):
        return self.layer(x) * self.weight
"""

FILES = {
    "fine": """
import nothing_like_this.parts as parts, matplotlib_is_not_here
from nothing_like_this import Base, decorate

class Derived(Base):
    limit = parts.LIMIT

@decorate
def double(x):
    return x * 2

@parts.also(1, name="x")
class Double(torch.nn.Module):
    def forward(self, x, by):
        return {"by": by.factor, "x": double(x)}

class NoForward(torch.nn.Module):
    pass

class NeedsIt(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.part = parts.Part()

class NeedsItToo(torch.nn.Module):
    def forward(self, x):
        return parts.compute(x)

TESTCASES = [
    *rows(Fine),
    (Double, lambda: ([], {}), lambda: ([torch.ones(2)], {"by": _mock_config(factor=2)}),
     False),
    *rows(NoForward, NeedsItToo),
    (Fine, lambda: ([], {"config": _mock_config()}), ones, True),
]
""",
    "graphs": """
class Broken(torch.nn.Module):
    def forward(self, x):
        x = x + 1
        if x.sum() > 0:
            x = x * 2
        return x

class Changing(torch.nn.Module):
    n = 0

    def forward(self, x):
        self.n += 1
        return x + self.n if self.n % 2 else {self.n: x}

class Draws(torch.nn.Module):
    def forward(self, x):
        return x * (2 if random.random() < 2 else 3)

class DrawsToo(torch.nn.Module):
    def forward(self, x):
        return x * (2 if np.random.rand() < 2 else 3)

TESTCASES = rows(Fine, Broken, Changing, Draws, DrawsToo)
""",
    "random": """
class Random(torch.nn.Module):
    def forward(self, x):
        return x + int.from_bytes(os.urandom(4), "little")

class Seeded(torch.nn.Module):
    def forward(self, x):
        return x + torch.rand(2)

TESTCASES = rows(Seeded, Random)
""",
    "seeded": """
class Seeded(torch.nn.Module):
    def forward(self, x):
        return x + torch.rand(2)

TESTCASES = rows(Seeded)
""",
    "raising": """
class Raises(torch.nn.Module):
    def forward(self, x):
        return x @ torch.ones(7)

class Exits(torch.nn.Module):
    def forward(self, x):
        raise SystemExit(3)

TESTCASES = [(Fine, lambda: ([1, 2, 3], {}), ones, True), *rows(Raises, Exits)]
""",
    "broken": "raise ValueError('no such thing')",
    "empty": "",
    "eagercrash": """
class Aborts(torch.nn.Module):
    def forward(self, x):
        os.abort()

class Sleeps(torch.nn.Module):
    def forward(self, x):
        time.sleep(100)

TESTCASES = rows(Aborts, Fine, Sleeps, Fine)
""",
    # What is wrong here is so only while a compiler looks.
    "bad": """
class Base(torch.nn.Module):
    def forward(self, x):
        if torch.compiler.is_compiling():
            self.act(x)
        return x + 1

class Dies(Base):
    def act(self, x):
        ctypes.string_at(0)

class Leaves(Base):
    def act(self, x):
        os._exit(0)

class Loops(Base):
    def act(self, x):
        while True:
            pass

class Differs(Base):
    def act(self, x):
        x.add_(1)

class Keeps(Base):
    def act(self, x):
        self.seen = x

class Raises(Base):
    def act(self, x):
        raise KeyError("only here")

TESTCASES = rows(Fine, Dies, Leaves, Loops, Differs, Keeps, Raises, Fine)
""",
}

EXPECTED = {
    "fine": ["ok one graph", "ok one graph", "failed ", "ok one graph"],
    "graphs": ["ok one graph", "ok several graphs"] * 2 + ["ok several graphs"],
    "random": ["ok one graph", "random"],
    "seeded": ["ok one graph"],
    "raising": ["failed ", "failed ", "failed "],
    "broken": [],
    "empty": [],
    "eagercrash": ["failed ", "ok one graph", "failed ", "ok one graph"],
    "bad": [
        "ok one graph", "ok crash", "ok crash", "ok timeout", "ok wrong", "ok wrong",
        "ok error", "ok one graph",
    ],
}  # fmt: skip


def make_checkout(folder, names=tuple(FILES)):
    (folder / "generated").mkdir()
    for name in names:
        file = folder / "generated" / f"test_{name}.py"
        file.write_text(HEAD + FILES[name])
    # Whatever the checkout has of this name is not imported.
    (folder / "generated" / "_paritybench_helpers.py").write_text("1 / 0")
    return folder


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A checkout, and the results of a run of all of it."""
    folder = make_checkout(tmp_path_factory.mktemp("checkout"))
    args = ["parity", "--root", str(folder), "--results", str(folder / "results")]
    args += ["--timeout", "10", "--jobs", "2"]
    path = folder / "summary.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAGPY_IS_COMPILING", "True")  # "bad" is wrong only then
        assert main([*args, "--json", str(path)]) == 1
    return args, folder, json.loads(path.read_text())


def results(folder, run="magpy-eager-cpu"):
    return schedule.read(folder / "results" / f"{run}.jsonl")[1]


def classes(project):
    """What eager mode and the compiler make of each case; the latter if it must."""
    return [
        "random" if case.eager == "random" else f"{case.eager} {case.status}"
        for case in project.cases
    ]


def test_classes_of_cases(ran):
    _, folder, _ = ran
    found = results(folder)
    assert {name: classes(found[name]) for name in found} == EXPECTED


def test_details_of_cases(ran):
    _, folder, _ = ran
    found = results(folder)
    assert found["broken"].error == "ValueError: no such thing"
    assert found["empty"].error == ""
    _, broken, changing, draws, draws_too = found["graphs"].cases
    assert (broken.breaks, broken.dynamic, broken.calls) == (1, True, 3)
    (reason,) = broken.reasons
    assert (reason.kind, reason.id) == ("break", "host-read")
    assert reason.place.endswith("test_graphs.py:26")
    assert not changing.reasons  # numbers that change are symbols
    assert not changing.dynamic
    assert not broken.draws
    assert draws.draws
    assert draws_too.draws
    assert "arguments" in found["raising"].cases[0].detail
    assert found["raising"].cases[2].detail == "SystemExit: 3"
    crash, _, hang, _ = found["eagercrash"].cases
    assert crash.detail == "crash in eager mode"
    assert hang.detail == "timeout in eager mode"
    needs = found["fine"].cases[2]
    assert needs.index == 3  # NoForward is no case
    assert needs.detail == "StubError: nothing_like_this.parts.compute is not installed"


def test_details_of_failures(ran):
    _, folder, _ = ran
    _, dies, leaves, loops, differs, keeps, raises, _ = results(folder)["bad"].cases
    assert dies.detail.startswith("killed by SIGSEGV\n")
    assert "test_bad.py" in dies.detail  # where
    assert leaves.detail == "exit status 0"
    assert loops.detail.startswith("took too long\n")
    assert "in act" in loops.detail
    assert differs.detail.startswith("call 1: arguments[0][0]: 2 of 2 values differ")
    assert keeps.detail == "call 1: module: has only on one side: seen"
    assert raises.detail == "call 1: KeyError: KeyError('only here')"


def test_summary(ran):
    _, _, data = ran
    assert data["runs"]["magpy"]["torch"] == torch.__version__
    population = data["population"]
    assert population["failed"] == {"broken": "ValueError: no such thing"}
    assert population["untested"] == ["empty", "raising"]
    assert population["tested"] == 6
    assert list(population["random"]) == ["random"]
    assert population["host_read"] == ["graphs"]
    found = data["compilers"]["magpy"]
    assert found["class_of"]["bad"] == "crash"
    assert found["projects"]["static"] == {
        "total": 5, "one graph": 3, "several graphs": 1, "crash": 1,
    }  # fmt: skip
    assert found["projects"]["static, no host reads"]["total"] == 4
    assert population["draws"] == ["graphs"]
    assert sum(found["cases"].values()) == 21
    assert found["reasons"][0]["projects"]
    assert any(
        line.startswith("wrong: bad [4] Differs: call 1") for line in found["bad"]
    )


def test_nothing_is_run_twice(ran, monkeypatch, capsys, tmp_path):
    args, folder, data = ran

    def no_server(settings):
        raise AssertionError("a server was started")

    monkeypatch.setattr(schedule, "_Link", no_server)
    again = tmp_path / "again.json"
    assert main([*args, "--json", str(again)]) == 1
    assert json.loads(again.read_text())["compilers"] == data["compilers"]
    out = capsys.readouterr().out
    assert "9 projects: 1 do not load, 2 have no case" in out
    paper = next(line for line in out.splitlines() if "in the paper" in line)
    assert paper.split()[-5:] == ["1191", "1112", "79", "6.6", "%"]
    assert "break host-read: bool(tensor)" in out
    assert "crash: bad [1] Dies: call" not in out  # a crash has no call of its own
    assert "crash: bad [1] Dies: killed by SIGSEGV\n    Fatal Python error" in out
    assert "1  load: ValueError: no such thing" in out
    assert main(["parity", "--report", *args[3:]]) == 1
    assert capsys.readouterr().out == out


def test_going_on_after_a_stop(tmp_path):
    folder = make_checkout(tmp_path, ["fine", "seeded", "empty"])
    args = ["parity", "--root", str(folder), "--results", str(folder / "results")]
    assert main([*args, "--only", "fine"]) == 0
    path = folder / "results" / "magpy-eager-cpu.jsonl"
    with path.open("a") as file:
        file.write('{"name": "seeded", "cas')  # cut short by a kill
    assert main(args) == 0
    run, fine, *others = map(json.loads, path.read_text().splitlines())
    assert run["run"]["compiler"] == "magpy"
    assert fine["name"] == "fine"
    assert sorted(line["name"] for line in others) == ["empty", "seeded"]


@pytest.mark.parametrize("compiler", ["dynamo", "torchscript", "eager"])
def test_other_compilers(ran, compiler):
    args, folder, _ = ran
    main([*args, "--compiler", compiler, "--only", "graphs"])
    found = results(folder, f"{compiler}-eager-cpu")["graphs"]
    fine, broken, changing, *_ = found.cases
    assert fine.status == ("eager" if compiler == "eager" else "one graph")
    assert found.error == ""
    if compiler == "dynamo":
        assert broken.status == "several graphs"
        assert (broken.breaks, broken.dynamic) == (1, True)
        assert broken.reasons[0].place.endswith("test_graphs.py:26")
        assert broken.graphs == 2
    if compiler == "torchscript":
        assert broken.status == "one graph"
        assert changing.status == "error"


def test_nothing_goes_on_without_the_command(tmp_path):
    folder = make_checkout(tmp_path, ["eagercrash"])
    command = [sys.executable, "-m", "magpy", "parity", "--root", str(folder)]
    command += ["--results", str(folder / "results")]
    process = subprocess.Popen(command)
    try:
        servers = wait_for(lambda: children(process.pid))
        asleep = wait_for(lambda: children(servers[0]))
    finally:
        process.kill()
        process.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in servers + asleep))


def children(pid):
    try:
        threads = Path(f"/proc/{pid}/task").iterdir()
        text = " ".join((thread / "children").read_text() for thread in threads)
    except FileNotFoundError:  # it, or one of them, has just ended
        return []
    return [int(word) for word in text.split()]


def is_alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_for(condition):
    for _ in range(200):
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError("it does not happen")


def test_a_child_that_dies_between_cases():
    progress = Progress(Project("x"))
    progress.start()
    progress.note({"begin": 0, "name": "A"})
    progress.note({"compiling": "ok"})
    progress.note({"case": asdict(Case(0, "A", "ok", "one graph"))})
    assert progress.note_end("crash", "why")
    assert progress.next == 1
    assert [(c.status, c.detail) for c in progress.project.cases] == [("crash", "why")]
    progress.start()  # does not even load the file any more
    assert not progress.note_end("crash", "again")
    assert progress.project.error == "crash: again"


def test_a_child_that_is_interrupted():
    progress = Progress(Project("x"))
    progress.start()
    progress.note({"begin": 0, "name": "A"})
    progress.note({"compiling": "ok"})
    progress.note({"error": "KeyboardInterrupt"})
    assert progress.note_end("crash", "exit status 0")
    (case,) = progress.project.cases
    assert (case.status, case.detail) == ("error", "KeyboardInterrupt")


def test_no_cuda(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # for the server's process
    folder = make_checkout(tmp_path, ["empty"])
    args = ["--root", str(folder), "--results", str(folder), "--device", "cuda"]
    assert main(["parity", *args]) == 1
    assert "torch finds no CUDA device" in capsys.readouterr().err


# -- reports ---------------------------------------------------------------------------


def make_run(**projects):
    """A run from lists of statuses; "!" before one: random, "?": dynamic, "-": failed."""
    run = {}
    for name, statuses in projects.items():
        run[name] = Project(name)
        for index, status in enumerate(statuses):
            eager = {"!": "random", "-": "failed"}.get(status[0], "ok")
            case = Case(
                index, "M", eager, status.lstrip("!?-"), dynamic=status[0] == "?"
            )
            if case.status == "several graphs":
                case.breaks = 2
                case.reasons = [Reason("break", "x", "y", "f.py", 3)]
            run[name].cases.append(case)
    return run


ONE, SEVERAL = "one graph", "several graphs"


def test_comparing_compilers(tmp_path):
    runs = {
        "magpy": make_run(
            a=[ONE, ONE], b=[SEVERAL, ONE], c=["!wrong"], d=["-"], e=[ONE]
        ),
        "dynamo": make_run(a=["?" + SEVERAL, "-"], b=[ONE, "eager"], c=[ONE], d=[ONE]),
    }
    runs["magpy"]["b"].cases[1].draws = True
    population = populate(runs)
    assert population.untested == ["d"]
    assert population.counted == {"a": {0}, "b": {0, 1}, "c": {0}}
    assert (set(population.random), population.host) == ({"c"}, {"a"})
    sets = population.sets({"b"})
    assert sets == {
        "all": ["a", "b", "c"],
        "static": ["a", "b"],
        "static, no host reads": ["b"],
        "static, no host reads or draws": [],
        "static, without --exclude": ["a"],
    }
    summaries = {k: Summary(run, population.counted) for k, run in runs.items()}
    lines = report.format_projects(summaries, sets).splitlines()
    cells = {line[:35].strip(): line[35:].split() for line in lines}
    assert cells["magpy, static"] == [*"21100000", "1", "50.0", "%"]
    assert cells["dynamo, static, in the paper"] == ["1191", "919", "272", "22.8", "%"]
    assert cells["magpy, all"][6] == "1"  # wrong
    table = report.format_cases(summaries, sets["static"]).splitlines()
    assert table[1].split()[-1] == "0.667"
    (reason,) = summaries["magpy"].reasons(sets["static"])
    assert (reason.cases, reason.projects, reason.example) == (1, {"b"}, "f.py:3")
    assert summaries["magpy"].failed
    assert not summaries["dynamo"].failed


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    from magpy_experiments.parity import plot

    runs = {
        "magpy": make_run(a=[ONE], b=[SEVERAL]),
        "eager": make_run(a=["eager"], b=["!eager"]),
    }
    population = populate(runs)
    summaries = {k: Summary(run, population.counted) for k, run in runs.items()}
    plot.draw(tmp_path / "x.svg", summaries, population.sets())
    assert "<svg" in (tmp_path / "x.svg").read_text()


def test_plot_without_matplotlib(ran, monkeypatch, capsys):
    args, folder, _ = ran
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main([*args, "--report", "--plot", str(folder / "x.svg")]) == 1
    assert "pip install matplotlib" in capsys.readouterr().err


def test_excluded_projects(ran, tmp_path, capsys):
    args, *_ = ran
    path = tmp_path / "names"
    path.write_text("bad\n./generated/test_graphs.py\n\n")
    assert main([*args, "--report", "--exclude", str(path)]) == 1
    line = next(
        line
        for line in capsys.readouterr().out.splitlines()
        if "without --exclude" in line
    )
    assert line.split()[-3:] == ["0", "0.0", "%"]


# -- usage -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--compiler", "magpie"], "no compiler 'magpie'"),
        (["--jobs", "0"], "must be positive"),
        (["--sample", "-1"], "must not be negative"),
        ([], "--root is needed"),
    ],
)
def test_wrong_usage(args, words, capsys):
    assert main(["parity", *args]) == 2
    assert words in capsys.readouterr().err


def test_no_checkout(tmp_path, capsys):
    assert main(["parity", "--root", str(tmp_path)]) == 1
    assert "is no checkout of ParityBench" in capsys.readouterr().err


def test_results_of_other_settings(ran, capsys):
    args, *_ = ran
    assert main([*args, "--grad"]) == 1
    assert "has results with grad False, not True" in capsys.readouterr().err


def test_a_file_of_something_else(tmp_path):
    path = tmp_path / "x"
    path.write_text("{}\n")
    with pytest.raises(magpy.MagpyError, match="is no file of results"):
        schedule.read(path)


def test_selecting_files(tmp_path):
    files = [tmp_path / f"test_{name}.py" for name in ("aa", "ab", "ba", "bb")]
    assert schedule.select(files) == files
    assert schedule.select(files, only="a", sample=2) == [files[0], files[1]]
    assert schedule.select(files, sample=2) == [files[0], files[2]]
    assert schedule.select(files, limit=1) == files[:1]


def test_magpy_server_does_not_import_dynamo():
    code = (
        "import sys, magpy_experiments.parity.server as s\n"
        "s.Server(s.Settings('magpy', 'eager', 'cpu', False, 1.0, 0.0), 0).warm()\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


# -- stubs -----------------------------------------------------------------------------


@pytest.fixture
def stub():
    with stubs.importing():
        yield stubs.StubModule("pack")


def test_stubs_while_importing(stub):
    class Both(stub.Base, torch.nn.Module, flag=stub.flag):
        x: stub.Type[int]

    class Abstract(collections.abc.Sized, stub.Other):
        def __len__(self):
            return 1

    def function():
        pass

    assert stub.decorator(function) is function
    assert stub.decorator(1, x=2)(function) is function
    assert stub.a.b.c is stub.a.b.c
    assert not isinstance(1, stub.Type)
    assert [*stub.items] == []
    assert not (stub.version < 3)
    with stub.context as value:
        assert value is stub.context
    with pytest.raises(AttributeError):
        stub.__path_of_it__


def test_stubs_afterwards():
    module = stubs.StubModule("pack")

    class Derived(module.Base):
        pass

    for use in (module.function, Derived, module.part.inner):
        with pytest.raises(stubs.StubError, match=r"^pack\.\S+ is not installed"):
            use(1)


def test_only_files_of_the_checkout_get_stubs(tmp_path, monkeypatch):
    finder = stubs.StubFinder(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    code = compile("import not_there_at_all.part", str(tmp_path / "x.py"), "exec")
    with stubs.importing():
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("not_there_at_all")
        with pytest.raises(ModuleNotFoundError):
            exec(compile("import json.nothing", str(tmp_path / "x.py"), "exec"), {})
        exec(code, {})
    assert isinstance(sys.modules.pop("not_there_at_all.part"), stubs.StubModule)
    assert sys.modules.pop("not_there_at_all").__spec__ is not None
    with pytest.raises(ModuleNotFoundError):
        exec(code, {})


# -- comparing -------------------------------------------------------------------------


class Holder:
    def __init__(self, value):
        self.value = value


NAN = float("nan")
DIFFERENT = [
    (1, True), (1, 1.0), (1.0, 1.5), ("a", "b"), ([1], [1, 2]), ([1], (1,)), ({1}, {2}),
    ({1: 2, 3: 4}, {3: 4, 1: 2}), (Holder(1), Holder(2)), (None, 0),
    (torch.ones(2), torch.ones(3)), (torch.ones(2), torch.ones(2).double()),
    (torch.ones(2), torch.tensor([1.0, 1.0 + 1e-6])), (torch.ones(2), [1.0, 1.0]),
    (torch.tensor([1.0, NAN]), torch.tensor([1.0, 2.0])),
    (torch.ones(2, 3), torch.ones(3, 2).t()), (torch.tensor([1]), torch.tensor([2])),
    (torch.ones(1), torch.nn.Parameter(torch.ones(1))),
    (torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)),
    (numpy.ones(2), numpy.zeros(2)), (numpy.ones(2), numpy.ones(2, "f")),
    (collections.Counter("a"), {"a": 1}), (collections.deque([1]), collections.deque([2])),
]  # fmt: skip
EQUAL = [
    (NAN, NAN), (torch.tensor([NAN, 1.0]), torch.tensor([NAN, 1.0])),
    (Holder([1, {2}]), Holder([1, {2}])), (torch.nn.ReLU(), torch.nn.ReLU()),
    (numpy.array([NAN]), numpy.array([NAN])), (numpy.float32(1), numpy.float32(1)),
    (torch.eye(2).to_sparse(), torch.eye(2).to_sparse()), (print, len),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different(left, right):
    assert Comparison(EXACT).difference(left, right, "x").startswith("x")


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_equal(left, right):
    assert Comparison(EXACT).difference(left, right) is None


def test_close_is_enough_where_bits_need_not_be_equal():
    left, right = torch.ones(2, 3), torch.ones(3, 2).t() + 1e-5
    assert Comparison(CLOSE).difference([left, 1.0], [right, 1.0001]) is None
    assert "differ, by up to 1" in Comparison(CLOSE).difference(left, left + 1)


def test_identity():
    x, y, z = torch.ones(1), torch.ones(1), torch.ones(1)
    assert Comparison(EXACT).difference([x, x], [y, y]) is None
    words = "result[1]: not the same object as in eager mode"
    assert Comparison(EXACT).difference([x, x], [y, z]) == words
    assert Comparison(EXACT).difference([x, y], [z, z]) == words
    free = dataclasses.replace(EXACT, copies=(object,))
    assert Comparison(free).difference([x, x], [y, z]) is None


def test_cycles():
    left, right = [1], [1]
    left.append(left)
    right.append(right)
    assert Comparison(EXACT).difference(left, right) is None
    right[0] = 2
    assert Comparison(EXACT).difference(left, right) == "result[0]: 2 instead of 1"
