"""Shared set-up: import paths, what this machine lacks, and hypothesis profiles."""

from __future__ import annotations

import collections
import gc
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent, HERE / "fuzz"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# The experiments of this checkout, here and in the processes that tests start.
EXPERIMENTS = str(HERE.parent / "experiments")
sys.path.insert(0, EXPERIMENTS)
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (EXPERIMENTS, os.environ.get("PYTHONPATH")))
)


def pytest_addoption(parser: Any) -> None:
    parser.addoption(
        "--verify", action="store_true", help="verify every hit against the real call"
    )
    parser.addoption(
        "--backend", help="of programs with tensors: inductor, aot_eager (not bitwise)"
    )
    parser.addoption(
        "--every", type=int, default=1, help="take each so many-th test of a file"
    )


def pytest_configure(config: Any) -> None:
    config.addinivalue_line(
        "markers", "not_under_verify(reason): it is about hits, which --verify records"
    )
    if config.getoption("--verify"):
        os.environ["MAGPY_VERIFY"] = "1"  # before anything imports magpy or the oracle
    if config.getoption("--backend"):
        os.environ["MAGPY_TEST_BACKEND"] = config.getoption("--backend")


#: Programs that see more of a compiler than its results, and why.
ONLY_EAGER = {
    "test_warned.py": "a compiler changes the filters of warnings and puts them back",
    "[half_inside]": "the dtype behind a parameter changes before the backward pass",
}


def _sample(config: Any, items: list[Any], every: int) -> None:
    """Leave each `every`-th test of a file, the first one always."""
    seen: collections.Counter[str] = collections.Counter()
    kept, left = [], []
    for item in items:
        file = str(item.path)
        (left if seen[file] % every else kept).append(item)
        seen[file] += 1
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    if config.getoption("--every") > 1:
        _sample(config, items, config.getoption("--every"))
    if config.getoption("--verify"):
        for item in items:
            for mark in item.iter_markers("not_under_verify"):
                item.add_marker(pytest.mark.skip(reason=mark.args[0]))
    if config.getoption("--backend") in (None, "eager"):
        return
    for item in items:
        for place, why in ONLY_EAGER.items():
            if place in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(autouse=True)
def nothing_diverges(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Under ``--verify`` a divergence fails the test, whatever it compares itself."""
    if not request.config.getoption("--verify") or "verify" in request.path.name:
        yield
        return
    from magpy.verify import Verifier

    reports: list[Any] = []
    report = Verifier.report

    def note(self: Verifier, info: Any) -> Any:
        reports.append(info)
        return report(self, info)

    monkeypatch.setattr(Verifier, "report", note)
    yield
    assert not reports


@pytest.fixture
def own_warnings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Warnings as they are outside pytest, which keeps a log: no filters, no hooks."""
    for found in gc.get_objects():
        if type(found) is types.FunctionType and found.__module__ == "warnings":
            if found.__name__ == "_showwarnmsg_impl":
                monkeypatch.setattr(warnings, "_showwarnmsg_impl", found)
    monkeypatch.setattr(warnings, "showwarning", warnings._showwarning_orig)  # type: ignore[attr-defined]
    monkeypatch.setattr(warnings, "filters", [])
    yield
    warnings._filters_mutated()  # type: ignore[attr-defined]


# The engine's own tests run on any CPython; those of models need torch.
collect_ignore: list[str] = []
if importlib.util.find_spec("torch") is None:
    collect_ignore += [
        "models",
        "programs/test_tensors.py",
        "property/test_property_tensors.py",
        "leak/test_leak_tensors.py",
    ]
if importlib.util.find_spec("transformers") is None:
    collect_ignore += ["models/test_transformers.py"]
if importlib.util.find_spec("hypothesis") is None:
    collect_ignore += ["property"]
else:
    from hypothesis import HealthCheck, settings
    from hypothesis.configuration import set_hypothesis_home_dir

    set_hypothesis_home_dir(HERE.parent / "build" / "hypothesis")
    settings.register_profile(
        "ci",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=int(os.environ.get("MAGPY_TEST_EXAMPLES", "400")),
        suppress_health_check=list(HealthCheck),
    )
    settings.register_profile(
        "search",
        parent=settings.get_profile("ci"),
        derandomize=False,
        print_blob=True,
    )
    settings.load_profile(os.environ.get("MAGPY_TEST_PROFILE", "ci"))
