"""Tutorials as notebooks to download: text and blocks of each page as cells, written before the pages are read."""

from __future__ import annotations

import doctest
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.run_pages import BLOCK, commands

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGES = ("getting_started", "how_many_queries", "tutorials/statistician", "tutorials/researcher", "tutorials/auditor")
SHOW_ALL = '%config InteractiveShell.ast_node_interactivity = "all"  # every value is shown, as on the page'


def notebook_of(text: str) -> dict[str, Any]:
    """A page's text as cells of markdown, and its blocks that run as cells of code (format 4.5 of Jupyter)."""
    cells, at = [], 0
    for found in BLOCK.finditer(text):
        source = code_of(*found.groups())
        if source:
            cells += [("markdown", plain(text[at : found.start()])), ("code", source)]
            at = found.end()
    cells.append(("markdown", plain(text[at:])))
    if any(kind == "code" and not source.startswith("%%bash") for kind, source in cells):
        cells.insert(1, ("code", SHOW_ALL))
    return {
        "cells": [_cell(number, *one) for number, one in enumerate(one for one in cells if one[1])],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, kind: str, source: str) -> dict[str, Any]:
    more = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": source, **more}


def code_of(language: str, code: str) -> str:
    """What a reader would type; nothing for blocks that are shown alone."""
    if language == "python" and ">>>" in code:
        return "".join(example.source for example in doctest.DocTestParser().get_examples(code)).rstrip()
    if language == "console":
        return "%%bash\n" + "".join(command for command, _ in commands(code)).rstrip()
    return ""


def plain(text: str) -> str:
    """Markdown for notebooks: no roles of Sphinx, no links within the pages, no pictures, which the code makes."""
    for pattern, instead in (
        (r"^:::.*?^:::$", ""),
        (r"^\(\w[\w-]*\)=$", ""),
        (r"^!\[.*?\]\(.*?\)$", ""),
        (r"\{[\w:]+\}`~?([^`<]*?)(?:\s*<[^>]*>)?`", r"`\1`"),
        (r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1"),
    ):
        text = re.sub(pattern, instead, text, flags=re.MULTILINE | re.DOTALL)
    return text.strip()


def write(app: Sphinx) -> None:
    """The notebooks, where the pages link to."""
    folder = Path(app.srcdir) / "_build" / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        text = (Path(app.srcdir) / f"{page}.md").read_text(encoding="utf-8")
        file = folder / f"{Path(page).name}.ipynb"
        file.write_text(json.dumps(notebook_of(text), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", write)
