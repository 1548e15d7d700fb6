"""What is kept: a file with one JSON line per cell, below a line about the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import magpy
from magpy.errors import MagpyError

if TYPE_CHECKING:
    from magpy_experiments.reproduce.plan import Settings

PACKAGES = (
    "torch", "numpy", "triton", "transformers", "torch_xla", "torch-tensorrt", "onnx",
    "onnxruntime", "onnxscript", "jax",
)  # fmt: skip
#: What may differ between cells of one file: nothing of this.
_ALIKE = ("settings", "packages", "python", "processor", "devices")


class ReproduceError(MagpyError):
    """The command cannot be carried out."""


def environment(settings: Settings) -> dict[str, Any]:
    """Return versions, hardware and how it is measured."""
    import torch

    return {
        "settings": asdict(settings),
        "magpy": magpy.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: number for name in PACKAGES if (number := _version(name))},
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "devices": _devices(settings.device),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """The commit of the checkout that this file lies in, "" elsewhere."""
    where = Path(__file__).resolve().parent
    command = ["git", "-C", str(where), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _devices(device: str) -> list[str]:
    """Names of the GPUs, asked for in another process: this one will fork."""
    if device != "cuda":
        return []
    code = (
        "import torch; print(*(f'{torch.cuda.get_device_name(i)}, CUDA "
        "{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}' "
        "for i in range(torch.cuda.device_count())), sep='\\n')"
    )
    import sys

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip().splitlines()


class Results:
    """The cells of one machine and size.

    Args:
        folder: where all of it lies.
        about: the machine and the settings; None: only read what is there.
        fresh: forget what is there.

    Raises:
        ReproduceError: there is something of another machine or other settings.
    """

    def __init__(
        self, folder: Path, about: dict[str, Any] | None, *, fresh: bool = False
    ) -> None:
        self.folder = folder
        self.path = folder / "cells.jsonl"
        self.cells: dict[str, dict[str, Any]] = {}
        self.about: dict[str, Any] = about or {}
        if about is None or (self.path.exists() and not fresh):
            self._read()
        if about is None:
            return
        other = [key for key in _ALIKE if self.about.get(key) != about.get(key)]
        if other:
            key = other[0]
            raise ReproduceError(
                f"{self.path} has results with other {key}: {self.about.get(key)!r}, not "
                f"{about.get(key)!r}; pass --fresh, or another --results"
            )
        if not self.cells:
            folder.mkdir(parents=True, exist_ok=True)
            line = json.dumps({"about": about})
            self.path.write_text(line + "\n", encoding="utf-8")

    def _read(self) -> None:
        try:
            text = self.path.read_text(encoding="utf-8")
            for line in text.splitlines(keepends=True):
                if not line.endswith("\n"):  # cut short by the end of the command
                    self.path.write_text(text[: text.rfind("\n") + 1], "utf-8")
                    break
                data = json.loads(line)
                if "about" in data:
                    self.about = data["about"]
                else:
                    self.cells[data["key"]] = data
        except (OSError, ValueError, KeyError) as error:
            raise ReproduceError(f"no results in {self.path}: {error}") from None

    def add(self, key: str, measured: Mapping[str, Any]) -> None:
        """Keep what came of a cell; a later one with its key takes its place."""
        self.cells[key] = {"key": key, **measured, "commit": _commit()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(self.cells[key]) + "\n")
