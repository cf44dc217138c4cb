"""Configuration of the documentation: Markdown pages (MyST) and numpydoc docstrings; nothing is fetched."""

from __future__ import annotations

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

import legstat

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

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
    "sphinx.ext.intersphinx",
    "sphinx-mathjax-offline",  # MathJax from the pages themselves: they are read without a network
    "sphinx_gallery.gen_gallery",
    "sphinx_copybutton",
    "from_results",  # in _ext: pages drawn from stored results
    "notebooks",  # in _ext: tutorials as notebooks
]
exclude_patterns = ["_build", "examples", "inventories"]
nitpicky = True  # every name that is referred to is on a page here, or in an inventory
nitpick_ignore_regex = [("py:class", "integer -- .*")]  # Python's own words in what is inherited from Sequence

# Inventories of the names that docstrings refer to, written down here: nothing is fetched. Version 1 of the format is
# plain text: a name, its kind, and the page below the address that is named first.
intersphinx_mapping = {
    project: (address, f"inventories/{project}.txt")
    for project, address in {
        "python": "https://docs.python.org/3/",
        "numpy": "https://numpy.org/doc/stable/",
        "pandas": "https://pandas.pydata.org/docs/",
        "matplotlib": "https://matplotlib.org/stable/",
        "statsmodels": "https://www.statsmodels.org/stable/",
        "torch": "https://docs.pytorch.org/docs/stable/",
    }.items()
}

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "examples.InOrder",
    "image_scrapers": ("examples.scrape", "matplotlib"),
    "thumbnail_size": (480, 300),
    "capture_repr": (),  # what is to be seen is printed
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("legstat",),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
}

# what is copied of a block is what is typed: without prompts, without what is printed
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. |\.\.\.$|\$ ", True
copybutton_line_continuation_character, copybutton_here_doc_delimiter = "\\", "EOT"

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's Parameters section has them, with shapes and units
toc_object_entries_show_parents = "hide"  # the contents list members under their class
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # words that are no names below
numpydoc_xref_aliases = {name: f"legstat.{name}" for name in legstat.__all__} | {
    name: f":py:obj:`{name} <{full}>`"
    for name, full in {
        "array_like": "numpy.typing.ArrayLike",
        "iterable": "collections.abc.Iterable",
        "sequence": "collections.abc.Sequence",
        "Axes": "matplotlib.axes.Axes",
        "DataFrame": "pandas.DataFrame",
        "Generator": "numpy.random.Generator",
        "Path": "pathlib.Path",
        "Summary": "statsmodels.iolib.summary.Summary",
        **{
            line.split()[0]: line.split()[0]
            for inventory in (HERE / "inventories").glob("*.txt")
            for line in inventory.read_text(encoding="utf-8").splitlines()[3:]
        },
    }.items()
}

html_theme = "pydata_sphinx_theme"
html_title = "legstat"
html_domain_indices = False  # the reference is by names, not by modules
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
