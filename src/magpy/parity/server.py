"""A process that has imported torch and a compiler, and forks a child for each file.

It reads one request per line, runs the file and answers with one line, both JSON.  The
child tells on a pipe what it does, so that one which dies or takes too long says which
case it was; another child then goes on behind that case.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn

from magpy.parity.compilers import Compiler, make
from magpy.parity.results import Case, Project, Settings, project_name

_PR_SET_PDEATHSIG = 1
_FILE_LIMIT = 1 << 28  # bytes that a child may write into one file
#: Imported by most projects; where they are installed, one import must do.
_OFTEN = ("matplotlib", "pandas", "scipy", "sklearn", "torchvision")

_TAIL = 1 << 14  # bytes of stderr that are looked at
_TAIL_LINES = 14
_PATIENCE = 5.0  # seconds from the end of a child's messages to its own end


class _Running:
    """What the messages of a child have said so far."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.next = 0  # case that was begun last, plus one
        self.current: Case | None = None
        self.compiling = False
        self.done = False

    def note(self, message: dict[str, Any]) -> None:
        if "begin" in message:
            self.next = message["begin"] + 1
            self.current = Case(message["begin"], message["name"])
            self.compiling = False
        elif "compiling" in message and self.current is not None:
            self.compiling = True
            self.current.eager = message["compiling"]
        elif "case" in message:
            self.current = None
            if message["case"] is not None:
                self.project.cases.append(Case.from_json(message["case"]))
        elif "error" in message:
            self.project.error = message["error"]
        self.done = self.done or "done" in message

    def note_end(self, end: str, detail: str) -> bool:
        """The child ended in some other way; is there a case to go on with?"""
        case = self.current
        if case is None:
            self.project.error = self.project.error or f"{end}: {detail}"
            return False
        case.detail = f"{end} in eager mode" if not self.compiling else detail
        if self.compiling:
            case.status = "timeout" if end == "timeout" else "crash"
        self.project.cases.append(case)
        self.current = None
        return True


class Server:
    """Runs files, one at a time.

    Args:
        settings: how.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._compiler = make(settings.compiler, settings.backend)
        self._child = 0

    def warm(self) -> None:
        """Import what children need; computes nothing."""
        import torch

        import magpy.parity.case  # noqa: F401

        torch.set_num_threads(1)
        for name in _OFTEN:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self._compiler.warm()
        gc.collect()
        gc.freeze()

    def run(self, path: Path) -> Project:
        """Run the cases of a file, in as many children as it takes."""
        start = time.monotonic()
        running = _Running(Project(project_name(path.name)))
        with tempfile.TemporaryDirectory(prefix="magpy-parity-") as folder:
            while not running.done:
                end, detail = self._run_child(path, folder, running)
                if end and not running.note_end(end, detail):
                    break
        running.project.seconds = round(time.monotonic() - start, 3)
        return running.project

    def _run_child(self, path: Path, folder: str, running: _Running) -> tuple[str, str]:
        reader, writer = os.pipe()
        with tempfile.TemporaryFile() as errors:
            self._child = os.fork()
            if self._child == 0:
                os.close(reader)
                _live(self._compiler, self._settings, path, folder, running.next, writer,
                      errors)  # fmt: skip
            os.close(writer)
            try:
                intime = self._listen(reader, running)
                if not intime:
                    self._kill(signal.SIGABRT)  # faulthandler shows where it is
                status = self._wait(0.0 if running.done else _PATIENCE)
            finally:
                os.close(reader)
            if running.done:
                return "", ""
            if not intime:
                words = f"took longer than {self._settings.timeout:g} s"
                return "timeout", f"{words}\n{_tail(errors)}"
            return "crash", f"{_status_text(status)}\n{_tail(errors)}".strip()

    def _listen(self, reader: int, running: _Running) -> bool:
        """Note what the child says until it is silent; False if for too long."""
        rest = b""
        deadline = time.monotonic() + self._settings.timeout
        while not running.done:
            wait = deadline - time.monotonic()
            if wait <= 0 or not select.select([reader], [], [], wait)[0]:
                return False
            data = os.read(reader, 1 << 16)
            if not data:
                return True
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                running.note(message)
                if "case" in message or "begin" in message:
                    deadline = time.monotonic() + self._settings.timeout
        return True

    def _kill(self, number: int) -> None:
        if self._child:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child, number)

    def _wait(self, patience: float) -> int:
        """Return the child's status; it is killed when patience is over."""
        deadline = time.monotonic() + patience
        ended, status = os.waitpid(self._child, os.WNOHANG)
        while not ended and time.monotonic() < deadline:
            time.sleep(0.01)
            ended, status = os.waitpid(self._child, os.WNOHANG)
        self._kill(signal.SIGKILL)  # and what it has started
        if not ended:
            _, status = os.waitpid(self._child, 0)
        self._child = 0
        return status

    def stop(self, *_: object) -> None:
        """End the child and this process."""
        self._kill(signal.SIGKILL)
        os._exit(1)


# -- the child -------------------------------------------------------------------------


def _live(
    compiler: Compiler,
    settings: Settings,
    path: Path,
    folder: str,
    first: int,
    writer: int,
    errors: IO[bytes],
) -> NoReturn:
    """Be the child: run the cases of a file from `first` on, and end."""
    pipe = os.fdopen(writer, "w", encoding="utf-8")

    def tell(**message: Any) -> None:
        pipe.write(json.dumps(message) + "\n")
        pipe.flush()

    try:
        _isolate(settings, folder, errors)
        _run_cases(compiler, settings, path, first, tell)
        tell(done=True)
    except BaseException as error:
        tell(error=f"{type(error).__name__}: {error}"[:300], done=True)
    os._exit(0)


def _isolate(settings: Settings, folder: str, errors: IO[bytes]) -> None:
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for source, target in ((nothing, 0), (nothing, 1), (errors.fileno(), 2)):
        os.dup2(source, target)
    faulthandler.enable(2)
    os.chdir(folder)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_LIMIT, _FILE_LIMIT))
    if settings.memory and settings.device == "cpu":  # CUDA maps far more than it uses
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + int(settings.memory * (1 << 30))
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _run_cases(
    compiler: Compiler, settings: Settings, path: Path, first: int, tell: Any
) -> None:
    from magpy.parity import case

    entries = case.load(path)
    for index, entry in enumerate(entries[first:], first):
        tell(begin=index, name=entry[0].__name__)
        bench = case.Bench(
            compiler,
            settings.device,
            grad=settings.grad,
            tell=lambda state: tell(compiling=state),
        )
        done = bench.run(index, entry)
        tell(case=asdict(done) if done is not None else None)
        del bench, done
        gc.collect()


def _status_text(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    return f"killed by {signal.Signals(-code).name}"


def _tail(errors: IO[bytes]) -> str:
    """Return what faulthandler wrote about the innermost calls, or the last lines."""
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _TAIL))
    text = errors.read().decode("utf-8", "replace").partition("\nExtension modules")[0]
    _, found, dump = text.rpartition("Fatal Python error")
    if not found:
        return "\n".join(text.splitlines()[-_TAIL_LINES:])
    return "\n".join((found + dump).splitlines()[:_TAIL_LINES])


# -- the process -----------------------------------------------------------------------


def _requests() -> Iterator[Path]:
    for line in sys.stdin:
        yield Path(json.loads(line)["path"])


def main() -> int:
    """Serve until stdin ends; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m magpy.parity.server")
    parser.add_argument("settings", help="fields of Settings, as JSON")
    settings = Settings(**json.loads(parser.parse_args().settings))
    server = Server(settings)
    signal.signal(signal.SIGTERM, server.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command sends SIGTERM
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints must not get between the answers
    server.warm()
    print(json.dumps({"ready": os.getpid()}), file=answers, flush=True)
    for path in _requests():
        print(json.dumps(server.run(path).to_json()), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
