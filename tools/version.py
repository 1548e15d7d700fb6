#!/usr/bin/env python3
"""Print the version: src/magpy/__init__.py states it, and nothing else does.

meson.build runs this file, and meson-python asks meson.
"""

import re
from pathlib import Path

PLACE = Path(__file__).resolve().parents[1] / "src" / "magpy" / "__init__.py"


def version() -> str:
    (found,) = re.findall(
        r'^__version__ = "(.+)"$', PLACE.read_text(encoding="utf-8"), re.MULTILINE
    )
    return str(found)


if __name__ == "__main__":
    print(version())
