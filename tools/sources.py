"""What the build files list, for the tools and tests that need the same lists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def listed_sources() -> list[Path]:
    """Return every .c file that meson.build names."""
    text = (ROOT / "meson.build").read_text(encoding="utf-8")
    return [ROOT / name for name in re.findall(r"'(engine/[\w/]+\.c)'", text)]


def existing_sources() -> list[Path]:
    """Return every .c file of the engine on disk."""
    return sorted((ROOT / "engine").rglob("*.c"))
