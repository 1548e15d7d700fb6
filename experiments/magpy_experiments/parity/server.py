"""A process that has imported torch and a compiler, and forks a child for each file.

It reads one request per line, runs the file and answers with one line, both JSON.  The
child tells on a pipe what it does, so that one which dies or takes too long says which
case it was; another child then goes on behind that case.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from magpy_experiments.parity import child
from magpy_experiments.parity.compilers import make
from magpy_experiments.parity.results import Case, Project, Settings, project_name

#: Imported by most projects; where they are installed, one import must do.
_OFTEN = ("matplotlib", "pandas", "scipy", "sklearn", "torchvision")

_TAIL = 1 << 14  # bytes of stderr that are looked at
_TAIL_LINES = 14
#: The compiled part makes at most ten calls, five of them eager; the eager part four.
_CALLS_RATIO = 4.0

_PATIENCE = 5.0  # seconds from the end of a child's messages to its own end


class Progress:
    """What the messages of a project's children have said so far.

    Args:
        project: filled with what they say.

    Attributes:
        next: the case to go on with.
        done: the last case is over.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.next = 0
        self.done = False
        self._current: Case | None = None  # begun, and not over
        self._compiling = False
        self._begun = False  # the present child has begun a case
        self._raised = ""  # what ended it

    def start(self) -> None:
        """A child was started."""
        self._begun = False
        self._raised = ""

    def note(self, message: dict[str, Any]) -> None:
        """A child said something."""
        if "begin" in message:
            self.next = message["begin"] + 1
            self._current = Case(message["begin"], message["name"])
            self._compiling, self._begun = False, True
        elif "compiling" in message and self._current is not None:
            self._compiling = True
            self._current.eager = message["compiling"]
        elif "case" in message:
            self._current = None
            if message["case"] is not None:
                self.project.cases.append(Case.from_json(message["case"]))
        elif "error" in message:
            self._raised = message["error"]
        self.done = self.done or "done" in message

    def note_end(self, end: str, detail: str) -> bool:
        """The child did not end by itself; can another one go on behind that case?

        Args:
            end: "timeout" or "crash".
            detail: more about it.
        """
        if not self._begun:
            self.project.error = self._raised or f"{end}: {detail}"
            return False
        if self._raised:
            end, detail = "error", self._raised
        case = self._current
        if case is not None:
            self.project.cases.append(case)
        elif self.project.cases:  # while it was cleaned up
            case = self.project.cases[-1]
            self._compiling = case.runs
        self._current = None
        if case is not None and self._compiling:
            case.status, case.detail = end, detail
        elif case is not None:
            case.detail = f"{end} in eager mode"
        return True


class Server:
    """Runs files, one at a time.

    Args:
        settings: how.
        requests: file descriptor that nothing can be read from while a file runs, but
            that the command is gone.
    """

    def __init__(self, settings: Settings, requests: int) -> None:
        self._settings = settings
        self._requests = requests
        self._compiler = make(settings.compiler, settings.backend)
        self._child = 0

    def warm(self) -> None:
        """Import what children need; computes nothing."""
        import torch

        torch.set_num_threads(1)
        for name in _OFTEN:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        if self._settings.device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("torch finds no CUDA device")
        self._compiler.warm()
        if torch.cuda.is_initialized():
            raise RuntimeError("CUDA was started, children could not use it")
        gc.collect()
        gc.freeze()

    def run(self, path: Path) -> Project:
        """Run the cases of a file, in as many children as it takes."""
        start = time.monotonic()
        progress = Progress(Project(project_name(path.name)))
        with tempfile.TemporaryDirectory(prefix="magpy-parity-") as folder:
            while not progress.done:
                end, detail = self._run_child(path, folder, progress)
                if end and not progress.note_end(end, detail):
                    break
        progress.project.seconds = round(time.monotonic() - start, 3)
        return progress.project

    def _run_child(
        self, path: Path, folder: str, progress: Progress
    ) -> tuple[str, str]:
        progress.start()
        reader, writer = os.pipe()
        with tempfile.TemporaryFile() as errors:
            self._child = os.fork()
            if self._child == 0:
                os.close(reader)
                child.live(self._compiler, self._settings, path, folder, progress.next,
                           writer, errors)  # fmt: skip
            os.close(writer)
            with contextlib.suppress(OSError):  # the child does so, too
                os.setpgid(self._child, self._child)
            try:
                intime = self._listen(reader, progress)
                if not intime:
                    self._kill(signal.SIGABRT)  # faulthandler shows where it is
                status = self._wait(0.0 if progress.done else _PATIENCE)
            finally:
                os.close(reader)
            if progress.done:
                return "", ""
            if not intime:
                return "timeout", f"took too long\n{_tail(errors)}"
            return "crash", f"{_status_text(status)}\n{_tail(errors)}".strip()

    def _listen(self, reader: int, progress: Progress) -> bool:
        """Note what the child says until it is silent; False if for too long."""
        rest = b""
        timeout = self._settings.timeout
        start = time.monotonic()  # of loading the file, or of the present case
        deadline = start + timeout
        while not progress.done:
            wait = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([reader, self._requests], [], [], wait)
            if self._requests in ready:  # no request is due: the command is gone
                self.stop()
            if not ready:
                return False
            data = os.read(reader, 1 << 16)
            if not data:
                return True
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                progress.note(message)
                now = time.monotonic()
                if "begin" in message:
                    start, deadline = now, now + timeout
                elif "compiling" in message:
                    deadline = now + timeout + _CALLS_RATIO * (now - start)
                elif "case" in message:
                    deadline = now + timeout
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
    parser = argparse.ArgumentParser(prog="python -m magpy_experiments.parity.server")
    parser.add_argument("settings", help="fields of Settings, as JSON")
    settings = Settings(**json.loads(parser.parse_args().settings))
    server = Server(settings, sys.stdin.fileno())
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
