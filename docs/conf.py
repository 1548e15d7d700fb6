"""The site of these pages: ``make docs``.  See docs/internals/testing.md."""

from __future__ import annotations

import magpy

project = "MagPy"
author = "MagPy developers"
release = version = magpy.__version__
copyright = author

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"

myst_enable_extensions = ["colon_fence"]
exclude_patterns = ["results/*/*"]  # data of experiments, which pages show

myst_heading_anchors = 3  # links to headings, as on code hosts

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
nitpicky = False

html_theme = "furo"
html_title = f"MagPy {release}"
