"""Configuration of the documentation: Markdown pages (MyST) and numpydoc docstrings; nothing is fetched."""

from __future__ import annotations

from importlib.metadata import version as installed_version

project = "legstat"
author = "the legstat developers"
copyright = author  # Sphinx prescribes the name
version = release = installed_version("legstat")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build"]
nitpicky = False  # without inventories of numpy and scipy, their types cannot be resolved

myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters section has them, with shapes and units
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "legstat"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
