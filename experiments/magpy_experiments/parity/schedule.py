"""Files to servers, and answers to a file of results; what is there is not run again."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from magpy.errors import MagpyError
from magpy_experiments.parity.results import Project, Settings, project_name

Tell = Callable[[Project], None]

#: What must be the same in all results of one file.
_KEY = ("compiler", "backend", "device", "grad", "torch", "timeout", "memory")


class ParityError(MagpyError):
    """The command cannot be carried out: no checkout, results of another run."""


def find_files(root: Path) -> list[Path]:
    """Return the files of a checkout, or of its folder ``generated``.

    Raises:
        ParityError: there are none.
    """
    for folder in (root / "generated", root):
        files = sorted(folder.resolve().glob("test_*.py"))
        if files:
            return files
    raise ParityError(
        f"{root} is no checkout of ParityBench: it has no generated/test_*.py"
    )


def select(
    files: Sequence[Path], *, only: str = "", sample: int = 0, limit: int = 0
) -> list[Path]:
    """Return some of the files.

    Args:
        files: all of them.
        only: part of a project's name.
        sample: how many, evenly spread; 0 for all.
        limit: how many at most, the first ones; 0 for all.
    """
    chosen = [file for file in files if only in project_name(file.name)]
    if sample and sample < len(chosen):
        step = len(chosen) / sample
        chosen = [chosen[int(i * step)] for i in range(sample)]
    return chosen[:limit] if limit else chosen


# -- the file of results ---------------------------------------------------------------


class Results:
    """A file with one JSON line per project, below a line about the run.

    Args:
        path: the file; made, with its folders, if it is not there.
        run: what was run and how.
        fresh: forget what is in it.

    Raises:
        ParityError: it holds results of other settings.
    """

    def __init__(self, path: Path, run: dict[str, Any], *, fresh: bool = False) -> None:
        self.path = path
        self.run = run
        self.projects: dict[str, Project] = {}
        self._lock = threading.Lock()
        if fresh or not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"run": run}) + "\n", encoding="utf-8")
            return
        old, self.projects = read(path)
        other = [key for key in _KEY if old.get(key) != run.get(key)]
        if other:
            key = other[0]
            raise ParityError(
                f"{path} has results with {key} {old.get(key)!r}, not {run.get(key)!r}; "
                "pass --fresh to run all again, or another --results"
            )
        _drop_partial_line(path)

    def add(self, project: Project) -> None:
        """Append a project's results."""
        with self._lock:
            self.projects[project.name] = project
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(project.to_json()) + "\n")


def read(path: Path) -> tuple[dict[str, Any], dict[str, Project]]:
    """Return what a file of results says about its run, and its projects by name.

    Raises:
        ParityError: it is no such file.
    """
    run: dict[str, Any] = {}
    projects: dict[str, Project] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if not line.endswith("\n"):
                break  # cut short by the end of the command
            data = json.loads(line)
            if "run" in data:
                run = data["run"]
            else:
                project = Project.from_json(data)
                projects[project.name] = project
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ParityError(f"{path} is no file of results: {error}") from None
    return run, projects


def _drop_partial_line(path: Path) -> None:
    data = path.read_bytes()
    if not data.endswith(b"\n"):
        path.write_bytes(data[: data.rfind(b"\n") + 1])


# -- running ---------------------------------------------------------------------------


class _Link:
    """A server process, seen from the command."""

    def __init__(self, settings: Settings) -> None:
        command = [sys.executable, "-m", "magpy_experiments.parity.server"]
        self.process = subprocess.Popen(
            [*command, json.dumps(asdict(settings))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(settings.device),
            text=True,
            start_new_session=True,  # Ctrl-C reaches the command only
        )
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            words = (self.process.communicate()[1] or "").strip().splitlines()
            raise ParityError(f"the server did not start: {' '.join(words[-1:])}")
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        assert self.process.stderr is not None
        for _ in self.process.stderr:
            pass

    def ask(self, file: Path) -> Project | None:
        """Run a file; None if the server died of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"path": str(file)}) + "\n")
            self.process.stdin.flush()
            return Project.from_json(json.loads(self.process.stdout.readline()))
        except (OSError, ValueError):
            return None

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def run_all(
    files: Sequence[Path],
    settings: Settings,
    results: Results,
    *,
    jobs: int,
    tell: Tell,
) -> None:
    """Run the files that have no results yet.

    Args:
        files: which.
        settings: how.
        results: where they go.
        jobs: how many at a time.
        tell: told about every project.

    Raises:
        ParityError: a server does not start.
    """
    todo: queue.SimpleQueue[Path] = queue.SimpleQueue()
    count = 0
    for file in sorted(files, key=_size, reverse=True):  # no long one at the end
        if project_name(file.name) not in results.projects:
            todo.put(file)
            count += 1
    links: list[_Link] = []
    failures: list[ParityError] = []
    stopped = threading.Event()

    def work() -> None:
        link: _Link | None = None
        try:
            while not stopped.is_set():
                file = todo.get_nowait()
                if link is None:
                    link = _Link(settings)
                    links.append(link)
                project = link.ask(file)
                if stopped.is_set():
                    return
                if project is None:
                    link = None
                    project = Project(project_name(file.name), error="the server died")
                results.add(project)
                tell(project)
        except queue.Empty:
            pass
        except ParityError as error:
            failures.append(error)
        finally:
            if link is not None:
                link.stop()

    threads = [threading.Thread(target=work) for _ in range(min(jobs, count))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        stopped.set()
        for link in links:
            link.stop()
        raise
    if failures:
        raise failures[0]


def _size(file: Path) -> int:
    return file.stat().st_size


def _environment(device: str) -> dict[str, str]:
    paths = os.pathsep.join(os.path.abspath(entry or os.curdir) for entry in sys.path)
    # Modules that ask for CUDA do so on a CPU run, too: not there is not there.
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {}
    return {
        **os.environ,
        **hidden,
        "PYTHONPATH": paths,
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # asking for it must not start CUDA
        "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1",
    }
