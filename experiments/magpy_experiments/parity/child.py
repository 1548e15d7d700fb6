"""The forked process that runs a project's cases and tells on a pipe how far it is."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import os
import resource
import signal
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn

from magpy_experiments.parity import case
from magpy_experiments.parity.compilers import Compiler
from magpy_experiments.parity.results import Settings

_PR_SET_PDEATHSIG = 1
_FILE_LIMIT = 1 << 28  # bytes that a child may write into one file


def live(
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
        tell(error=case.describe(error))
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
