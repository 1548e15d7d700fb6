"""Show versions, whether the engine is on, which backends work, and every knob.

Each backend compiles a tiny program, whose results are compared with eager's; that takes
a few seconds.  Paste the output into bug reports.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import magpy
from magpy import _setup

_PACKAGES = ("torch", "triton", "numpy", "transformers")


def prepare_parser(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--no-check", action="store_true", help="do not try the backends"
    )


def collect(check: bool = True) -> dict[str, Any]:
    """Return everything as plain data.

    Args:
        check: try every backend.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reason is part of the answer
        state = _setup.status()
    return {
        "magpy": magpy.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "engine": "on" if state.enabled else "off",
        "reason": state.reason,
        "tensor_path": _tensor_path(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "devices": _devices(),
        "backends": _backends() if check and state.enabled else {},
        "config": magpy.config.to_dict(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _tensor_path() -> str:
    try:
        path = getattr(_setup.engine(), "tensor_path", None)
    except ImportError:
        return "off"
    return str(path()) if path is not None else "unknown"


def _backends() -> dict[str, str]:
    """Return "ok" or what is wrong, for each backend that can be named."""
    if _version("torch") is None:
        return {}
    from magpy.cli import selfcheck

    return {
        name if mode is None else f"{name}, {mode}": selfcheck.check(name, mode)
        for name, mode in selfcheck.candidates()
    }


def _devices() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def run(args: argparse.Namespace) -> int:
    """Print the report; always succeeds."""
    data = collect(check=not args.no_check)
    if args.json:
        print(json.dumps(data, indent=2))
        return 0
    for key in ("magpy", "python", "implementation", "platform"):
        print(f"{key:<16}{data[key]}")
    reason = f" ({data['reason']})" if data["reason"] else ""
    print(f"{'engine':<16}{data['engine']}{reason}")
    print(f"{'tensor path':<16}{data['tensor_path']}")
    for name, number in data["packages"].items():
        print(f"{name:<16}{number or 'not installed'}")
    print(f"{'devices':<16}{', '.join(data['devices']) or 'cpu'}")
    if data["backends"]:
        print("backends")
    for name, verdict in data["backends"].items():
        print(f"  {name:<26}{verdict}")
    print("knobs")
    for name, knob in magpy.config.knobs().items():
        value = data["config"][name]
        mark = "" if value == knob.default else "  (changed)"
        print(f"  {knob.env:<26}{value!r}{mark}")
        print(f"    {knob.doc}")
    return 0
