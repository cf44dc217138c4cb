"""Every page runs as it stands: what its blocks print is what it shows."""

from __future__ import annotations

import codeop
import importlib
import re
from pathlib import Path

import pytest
from matplotlib import pyplot

from tools.run_pages import blocks, commands, work_through

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if list(blocks(page.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_as_it_stands(page, tmp_path, monkeypatch):
    if "onnx" in page.read_text(encoding="utf-8"):
        pytest.importorskip("onnxruntime", reason="the page explains an ONNX file")
    if "xarray" in page.read_text(encoding="utf-8"):
        pytest.importorskip("xarray", reason="the page shows the extra xarray")
    monkeypatch.chdir(tmp_path)
    wrong = work_through(page)
    pyplot.close("all")  # what the page shows its reader
    assert not wrong, "\n".join(wrong)


def test_what_is_not_as_shown_is_told(tmp_path, monkeypatch):
    """A number, a word, a line too many, an error, a failed command; and nothing where all is right."""
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    text = (
        "```python\n>>> print('mean 0.123 of', 12, 'rows')\nmean 0.123 of 12 rows\n```\n"
        "```console\n$ echo 'a 1.50 s' > a.txt\n$ cat \\\n  a.txt\na 1.49 s\n```\n"
    )
    page.write_text(text, encoding="utf-8")
    assert work_through(page) == []
    for old, new, wrong in (
        ("\nmean 0.123", "\nmean 0.122", 0),  # within one of the last digit
        ("\nmean 0.123", "\nmean 0.121", 1),
        ("of 12 rows", "of 13 rows", 1),
        ("of 12 rows", "of 12 lines", 1),
        ("rows')", "rows\\nand more')", 1),
        ("print('mean", "print(1 / 0, 'mean", 1),
        ("$ cat", "$ cat nothing.txt", 1),
        ("a 1.49 s", "a 1.48 s", 1),
        ("> a.txt", "> b.txt", 1),
    ):
        assert text.count(old) == 1
        page.write_text(text.replace(old, new), encoding="utf-8")
        (tmp_path / "a.txt").unlink(missing_ok=True)
        assert len(work_through(page)) == wrong, new


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_blocks_can_be_pasted_into_an_interpreter(page):
    """Line by line: a body ends with a line of its own (`...`), as Python's prompt wants it."""
    for language, code, line in blocks(page.read_text(encoding="utf-8")):
        typed = [text[4:] for text in code.splitlines() if text.startswith((">>>", "..."))]
        unfinished: list[str] = []
        for text in [*typed, ""] if language == "python" else ():
            unfinished.append(text)
            try:
                if codeop.compile_command("\n".join(unfinished), symbol="single"):
                    unfinished = []
            except SyntaxError:
                pytest.fail(f"{page.name}, block of line {line}: {text!r} cannot be pasted here")


def test_notebooks_hold_what_the_pages_run(monkeypatch):
    """All code of a page that is to be downloaded, in its order, and nothing that only Sphinx reads."""
    monkeypatch.syspath_prepend(DOCS / "_ext")
    notebooks = importlib.import_module("notebooks")
    for name in notebooks.PAGES:
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        assert f"_build/notebooks/{name.split('/')[-1]}.ipynb>`" in text
        cells = notebooks.notebook_of(text)["cells"]
        code = [
            cell["source"] for cell in cells if cell["cell_type"] == "code" and cell["source"] != notebooks.SHOW_ALL
        ]
        typed = [
            "".join(text[4:] + "\n" for text in lines.splitlines() if text.startswith((">>>", "...")))
            if language == "python"
            else "%%bash\n" + "".join(command for command, _ in commands(lines))
            for language, lines, _ in blocks(text)
        ]
        assert [one.split() for one in code] == [one.split() for one in typed]
        prose = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
        assert not re.search(r"\{\w+\}`|\]\((?!http)|^:::|^```(?:python\n>>>|console)", prose, re.MULTILINE)
