"""Nothing switches MagPy off for good: each program runs in a process of its own."""

import subprocess
import sys
import textwrap

import pytest

pytest.importorskip("torch")
engine = pytest.importorskip("magpy._engine")
if not engine.available()[0]:
    pytest.skip(f"engine off: {engine.available()[1]}", allow_module_level=True)

START = """
import os, signal, sys, threading, time, warnings
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
warnings.simplefilter("error")
import magpy

def hits(fn, *args):
    before = magpy.stats(fn)["hits"]
    for _ in range(3):
        fn(*args)
    return magpy.stats(fn)["hits"] - before
"""

PROFILED = """
import torch
x = torch.ones(2)
{begin}
f = magpy.compile(lambda a: a + 1, backend="eager")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for _ in range(20):
        f(x)
counted = magpy.stats(f)
{end}
g = magpy.compile(lambda a: a + 2, backend="eager")
f(x)
print(counted["reasons"], hits(f, x), hits(g, x))
"""

PROFILERS = {
    "cProfile": (
        "import cProfile; p = cProfile.Profile(); p.enable()",
        "p.disable()",
    ),
    "setprofile": ("sys.setprofile(lambda *a: None)", "sys.setprofile(None)"),
    "debugger": (
        "def trace(*a): return trace\nsys.settrace(trace)",
        "sys.settrace(None)",
    ),
}


def run(program, **env):
    import os

    result = subprocess.run(
        [sys.executable, "-c", START + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="3.12 watches beside a profiler"
)
@pytest.mark.parametrize("profiler", PROFILERS)
def test_a_profiler_is_asked_about_at_every_call(profiler):
    begin, end = PROFILERS[profiler]
    assert run(PROFILED.format(begin=begin, end=end)) == "{'watcher': 20} 3 2"


def test_a_refused_mode_does_not_pause_what_follows():
    program = """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    x = torch.ones(2)
    f = magpy.compile(lambda a: a + 1, backend="eager")
    with Mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(20):
            f(x)
    counted = magpy.stats(f)
    f(x)
    print(counted["reasons"], hits(f, x))
    """
    assert run(program) == "{'ambient': 20} 3"


def test_an_interrupt_waits_for_the_import_of_torch():
    program = """
    class CtrlC:
        def find_spec(self, name, *rest):
            if name == "torch":
                os.kill(os.getpid(), signal.SIGINT)

    sys.meta_path.insert(0, CtrlC())
    try:
        magpy.compile(lambda x: x, backend="eager")
        print("not interrupted")
    except KeyboardInterrupt:
        print("interrupted", "torch" in sys.modules)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    import torch
    print(hits(magpy.compile(lambda x: (x + 1).relu(), backend="eager"), torch.ones(2)))
    """
    assert run(program) == "interrupted True\n2"


def test_an_error_while_torch_is_taught_is_no_verdict():
    program = """
    import torch
    from magpy import _torch_table, _setup
    build, engine = _torch_table.build, _setup.engine()
    x = torch.ones(2)

    def interrupted():
        raise KeyboardInterrupt
    def fails():
        raise RuntimeError("no luck")

    _torch_table.build = interrupted
    try:
        magpy.compile(lambda a: a + 1)
    except KeyboardInterrupt:
        print("interrupted")
    _torch_table.build = fails
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        f = magpy.compile(lambda a: a + 1, backend="eager")
    print("RuntimeError: no luck" in str(caught[0].message), hits(f, x))
    _torch_table.build = build
    print(hits(magpy.compile(lambda a: a + 1, backend="eager"), x), hits(f, x))
    print(magpy.stats(f)["reasons"])
    """
    assert run(program).splitlines() == [
        "interrupted",
        "True 0",
        "2 2",
        "{'engine-off': 3}",
    ]


def test_switched_on_again():
    program = """
    import torch
    x = torch.ones(2)
    f = magpy.compile(lambda a: a + 1, backend="eager")
    m = magpy.compile(torch.nn.Linear(2, 2), backend="eager")
    print(hits(f, x), hits(m, x), magpy.stats(f)["reasons"])
    with magpy.config.patch(enabled=True):
        print(hits(f, x), hits(m, x))
    print(hits(f, x))
    """
    lines = ["0 0 {'config': 3}", "2 2", "0"]
    assert run(program, MAGPY_ENABLED="0").splitlines() == lines


def test_torch_that_comes_later():
    program = """
    sys.modules["torch"] = None
    f = magpy.compile(lambda a: a + 1, backend="eager")
    print(hits(f, 1))
    del sys.modules["torch"]
    import torch
    g = magpy.compile(lambda a: a + 1, backend="eager")
    print(hits(g, torch.ones(2)), hits(f, torch.ones(2)))
    """
    assert run(program).splitlines() == ["2", "2 2"]


STATS = """
import torch
for target in (len, lambda x: x, torch.sin, torch.nn.ReLU()):
    f = magpy.compile(target, backend="eager")
    print(*sorted(magpy.stats(f)))
"""
KEYS = (
    "breaks calls diverged dynamic fallbacks graph_breaks graphs hits partial_hits places "
    "reasons recordings reused seconds verified"
)


@pytest.mark.parametrize("enabled", "01")
def test_stats_have_all_keys(enabled):
    assert run(STATS, MAGPY_ENABLED=enabled).splitlines() == [KEYS] * 4
