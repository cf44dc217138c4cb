"""The report of an audit: pages, their JSON with its schema, and the digests of everything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from legstat._core.digests import file_sha256
from legstat._core.files import json_text, write_text
from legstat._core.typing import JSON
from legstat.report.colours import map_unit
from legstat.report.pages.document import card_of, document_of
from legstat.report.pages.picture import PicturePage
from legstat.report.pages.rendering import FILES, render
from legstat.report.pages.sums import write_sums
from legstat.report.pages.together import together
from legstat.report.shown import ShownFindings, ShownRun

ONE_FILE, FOLDER, DATA, SCHEMA = "report.html", "report", "report.json", "report.schema.json"
MOST = 50
"""Pictures up to which a report is one file; beyond, pictures on one page of it."""
_SECTIONS = {
    "summary": "Summary",
    "pictures": "Pictures",
    "checks": "Checks",
    "provenance": "Provenance",
    "limits": "Limits",
    "words": "Words",
}
_PAGES = {"index.html": ("summary", "pictures", "sign"), "checks.html": ("checks",),
          "provenance.html": ("provenance", "limits"), "words.html": ("words",)}  # fmt: skip
"""Pages of a report of several, and what each holds; the pictures come besides."""


def write_report(run: ShownRun, findings: ShownFindings | None = None) -> list[Path]:
    """Write the report of a run into its folder: pages, report.json, its schema, SHA256SUMS.

    One file, report.html, up to 50 pictures; beyond, report/index.html with a page for each 50. An earlier report is
    replaced. No page holds an address outside.

    Parameters
    ----------
    run : ShownRun
        The run, finished or not: what is missing is said.
    findings : ShownFindings, optional
        What pictures say together.

    Returns
    -------
    list of Path
        The page to open, then report.json, report.schema.json, SHA256SUMS.

    Notes
    -----
    Pictures are read once, fifty at a time; some 5 kB of each are kept. No model is evaluated.
    """
    home = run.folder
    several = len(run.names) > MOST
    unit = map_unit(str(run.plan.get("model", {}).get("score", "log_odds")), _operator(run.plan))
    _remove_old(home)
    cards: list[JSON] = []
    entries: list[str] = []
    pages: list[PicturePage] = []
    for number, names in enumerate(_chunks(run.names), start=1):
        pages = [PicturePage.of(run.picture(name)) for name in names]
        place = f"pictures-{number:03}.html" if several else ""
        first = len(cards) + 1
        cards += [card_of(page, f"{place}#picture-{first + i}") for i, page in enumerate(pages)]
        entries += [json_text(page.entry) for page in pages]
        if several:
            title = f"Pictures {first} to {len(cards)}"
            _write(home / FOLDER / place, title, ("maps",), several, pages=pages, first=first, unit=unit)
    digests = {name: file_sha256(home / name) for name in ("plan.toml", "run.json") if (home / name).is_file()}
    document = document_of(run, cards, digests, findings)
    listed = ",\n".join(entries)
    write_text(home / DATA, f'{json_text(document)[:-1]},\n"pictures": [\n{listed}\n]}}\n')
    shutil.copyfile(FILES / SCHEMA, home / SCHEMA)
    digests[DATA] = file_sha256(home / DATA)
    values: JSON = {
        "document": document | {"digests": digests},
        "cards": cards,
        "unit": unit,
        "together": None if findings is None else together(findings),
    }
    if several:
        for name, sections in _PAGES.items():
            _write(home / FOLDER / name, document["title"], sections, several, **values)
    else:
        sections = ("summary", "pictures", "maps", "checks", "provenance", "limits", "words", "sign")
        _write(home / ONE_FILE, document["title"], sections, several, pages=pages, first=1, **values)
    opened = home / FOLDER / "index.html" if several else home / ONE_FILE
    return [opened, home / DATA, home / SCHEMA, write_sums(home, run.files())]


def _write(path: Path, title: str, sections: Sequence[str], several: bool, **values: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    page_of = {section: page for page, held in _PAGES.items() for section in held}
    links = [(f"{page_of[name] if several else ''}#{name}", label) for name, label in _SECTIONS.items()]
    write_text(path, render("report.html", title=title, sections=sections, links=links, **values))


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + MOST] for start in range(0, len(names), MOST))


def _operator(plan: JSON) -> str:
    return "Additive" if plan.get("query", {}).get("operator") == "additive" else "Blend"


def _remove_old(home: Path) -> None:
    """An earlier report's pages: it may have had more of them."""
    (home / ONE_FILE).unlink(missing_ok=True)
    for page in (home / FOLDER).glob("*.html"):
        page.unlink()
