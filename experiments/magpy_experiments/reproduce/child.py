"""The process of one measurement; forked from one that has imported what all need."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import magpy
from magpy_experiments.reproduce import protocol
from magpy_experiments.reproduce.plan import Cell, Settings

_PR_SET_PDEATHSIG = 1


def preload() -> None:
    """Import what takes long; nothing of it starts a thread or the GPU."""
    try:
        import transformers.models.align.modeling_align
        import transformers.models.bart.modeling_bart
        import transformers.models.deberta.modeling_deberta
        import transformers.models.longformer.modeling_longformer  # noqa: F401
    except ImportError:
        pass


def live(
    cell: Cell, settings: Settings, answer: str, log: str, ready: Any, go: Any
) -> None:
    """Be the process: measure, and write what came of it to a file.

    Args:
        cell: what to measure.
        settings: how.
        answer: the file to write to; it appears when all is done.
        log: takes what is printed.
        ready: set when it wants to be timed.
        go: when that is set, nothing else runs.
    """
    os.setsid()  # so that whatever it starts can be stopped with it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    faulthandler.enable(2)
    warnings.simplefilter("ignore", DeprecationWarning)
    magpy.config.check_compiled = True
    waited = 0.0

    def wait() -> None:
        nonlocal waited
        begin = time.perf_counter()
        ready.set()
        go.wait()
        waited += time.perf_counter() - begin

    start = time.perf_counter()
    measured: dict[str, Any]
    try:
        measured = protocol.measure(cell, settings, wait)
    except BaseException as error:
        import traceback

        traceback.print_exc()
        measured = {"status": "error", "reason": describe(error)}
    measured["wall"] = round(time.perf_counter() - start - waited, 2)
    Path(f"{answer}.new").write_text(json.dumps(measured), encoding="utf-8")
    os.rename(f"{answer}.new", answer)
    os._exit(0)  # no threads of compilers are waited for


def describe(error: BaseException) -> str:
    """Return type and text of an exception in one line."""
    text = " ".join(str(error).partition("\n\nSet TORCHDYNAMO")[0].split())
    name = type(error).__name__
    return f"{name}: {text[:240]}" if text else name


if __name__ != "__main__":
    preload()
