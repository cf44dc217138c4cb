"""Seconds that the report of a run takes to be written, to open in a browser, to be searched and to be paged through.

A reader waits for what is measured: the page shows its first picture of the gallery, the search has left one picture,
the page of the last picture shows its maps. Chromium from the machine, no network; the median of five openings, each in
a new context.

Run: python benchmarks/bench_report.py RUN [browser executable]        (RUN: the folder of an audit)
"""

from __future__ import annotations

import shutil
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright
from timing import save

from legstat.audit import AuditRun
from legstat.report.pages import write_report

REPEATS = 5


def main(folder: str, executable: str | None = None) -> None:
    """Measure and save the table."""
    run = AuditRun.open(Path(folder))
    start = time.perf_counter()
    index = write_report(run)[0]
    written = time.perf_counter() - start
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable or shutil.which("chromium"))
        times = [opened(browser, index) for _ in range(REPEATS)]
        browser.close()
    opens, search, page = (statistics.median(column) for column in zip(*times, strict=True))
    rows = [{"pictures": len(run), "written_s": written, "opens_s": opens, "search_s": search, "page_s": page}]
    save("report", rows, run=Path(folder).name)


def opened(browser: Browser, index: Path) -> tuple[float, float, float]:
    """Seconds until the gallery stands, until a search has its picture, until that picture's maps stand."""
    context = browser.new_context()
    page = context.new_page()
    start = time.perf_counter()
    page.goto(index.as_uri())
    cards = page.locator("#pictures li[data-text]")
    shown = page.locator("#pictures li[data-text]:visible")
    shown.first.locator("img").wait_for()
    opens = time.perf_counter() - start

    last = cards.last
    name = (last.locator("a").text_content() or "").strip()
    start = time.perf_counter()
    page.locator("#pictures").get_by_label("Search").fill(name)
    expect(shown).to_have_count(1)
    search = time.perf_counter() - start

    start = time.perf_counter()
    last.locator("a").click()
    page.locator("section.picture .stack").last.wait_for()
    turned = time.perf_counter() - start
    context.close()
    return opens, search, turned


if __name__ == "__main__":
    main(*sys.argv[1:])
