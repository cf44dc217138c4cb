"""Configuration of the documentation: Markdown pages (MyST) and numpydoc docstrings; nothing is fetched."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version

from sphinx.application import Sphinx

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
    "sphinx-mathjax-offline",  # MathJax from the pages themselves: they are read without a network
]
exclude_patterns = ["_build"]
nitpicky = False  # without inventories of numpy and scipy, their types cannot be resolved

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters section has them, with shapes and units
toc_object_entries_show_parents = "hide"  # the contents list members under their class
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "legstat"
html_theme_options = {"show_toc_level": 1, "navigation_with_keys": False, "header_links_before_dropdown": 5}
html_static_path, html_css_files = ["_static"], ["legstat.css"]
html_sidebars = {"**": ["sidebar-nav-bs"], "index": []}  # a left column lists the section's pages


def escape_bars(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Docstrings write absolute values as |y|, which reStructuredText takes for a substitution: escape those bars.

    Left alone are formulas (a role or an indented directive), literals and examples.
    """
    directive: int | None = None  # indentation of the math directive that the line is in
    for i, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if directive is not None and line.strip() and indent <= directive:
            directive = None
        if line.lstrip().startswith(".. math::"):
            directive = indent
        if directive is None and not line.lstrip().startswith((">>>", "...")):
            pieces = re.split(r"(`[^`]*`)", line)
            lines[i] = "".join(p if p.startswith("`") else p.replace("|", r"\|") for p in pieces)


def setup(app: Sphinx) -> None:
    """Runs the hook after numpydoc's, which makes reStructuredText of the docstring's sections."""
    app.connect("autodoc-process-docstring", escape_bars, priority=900)
