"""What pip calls to build the product: meson-python, with two things of our own.

An interpreter that cannot have the engine is refused in one line, before anything runs
that would fail on it with pages of text.

An editable install works for `pip install -e .` as it stands.  meson-python's own rebuilds
at each import, with programs of the environment that pip made for the build, which is gone
by then.  Ours puts the compiled module beside the sources: Python files are used as they
are, and changed C files ask for another `pip install -e .`.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src"
LOWEST, BEYOND = (3, 11), (3, 15)


def refusal() -> str:
    """Why this interpreter cannot have the engine; "" if it can."""
    name, version = sys.implementation.name, sys.version_info[:2]
    asked = "CPython {}.{} to {}.{}".format(*LOWEST, BEYOND[0], BEYOND[1] - 1)
    if name != "cpython":
        return f"magpy needs {asked}; this is {name}."
    if not LOWEST <= version < BEYOND:
        return f"magpy needs {asked}; this is {version[0]}.{version[1]}."
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return (
            "magpy needs a CPython with the GIL; this is a free-threaded build of "
            f"{version[0]}.{version[1]}."
        )
    return ""


def checked() -> Any:
    """meson-python, on an interpreter that can have the engine."""
    reason = refusal()
    if reason:
        print(f"\nerror: {reason}\n", file=sys.stderr)
        raise SystemExit(1)
    import mesonpy

    return mesonpy


def get_requires_for_build_sdist(config_settings: Any = None) -> Any:
    return checked().get_requires_for_build_sdist(config_settings)


def get_requires_for_build_wheel(config_settings: Any = None) -> Any:
    return checked().get_requires_for_build_wheel(config_settings)


get_requires_for_build_editable = get_requires_for_build_wheel


def build_sdist(sdist_directory: str, config_settings: Any = None) -> Any:
    return checked().build_sdist(sdist_directory, config_settings)


def build_wheel(
    wheel_directory: str,
    config_settings: Any = None,
    metadata_directory: str | None = None,
) -> Any:
    return checked().build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: Any = None,
    metadata_directory: str | None = None,
) -> Any:
    settings = {"build-dir": f"build/editable-{sys.implementation.cache_tag}"}
    settings.update(config_settings or {})
    with tempfile.TemporaryDirectory() as folder:
        name = build_wheel(folder, settings)
        with zipfile.ZipFile(Path(folder) / name) as whole:
            make_editable(whole, Path(wheel_directory) / name)
    return name


def make_editable(whole: zipfile.ZipFile, target: Path) -> None:
    """Of a wheel: its modules in C beside the sources, and a wheel that points there."""
    files = {}
    for name in whole.namelist():
        if ".dist-info/" in name:
            files[name] = whole.read(name)
        elif name.endswith(".so"):
            module = SOURCES / name
            module.unlink(missing_ok=True)  # it may be loaded somewhere
            module.write_bytes(whole.read(name))
    files["__editable__.magpy.pth"] = f"{SOURCES}\n".encode()
    (record,) = (name for name in files if name.endswith("/RECORD"))
    files[record] = "".join(
        f"{name},{digest(data)},{len(data)}\n" if name != record else f"{name},,\n"
        for name, data in files.items()
    ).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)


def digest(data: bytes) -> str:
    """As a wheel's RECORD writes it (PEP 376)."""
    hashed = hashlib.sha256(data).digest()
    return "sha256=" + base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
