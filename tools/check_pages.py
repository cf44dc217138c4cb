"""Look at the built pages in a browser: ``python tools/check_pages.py docs/_build/html [--shots DIR]``.

Every page at 400, 800 and 1,400 pixels width, light and dark: nothing is wider than the window or cut off at the edge
of its column, every picture is there, text stands out from its ground, and nothing is asked of another machine. And the
search finds a word. --shots keeps a picture of each page.

The browser is the one named by CHROMIUM, else the machine's chromium; without one, or without playwright, this says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTHS, THEMES = (400, 800, 1400), ("light", "dark")
CONTRAST = 4.5
"""WCAG 2.2, 1.4.3, level AA; of headings and other large text 3."""
LOOK = """
least => {
  const wrong = [], width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width)
    wrong.push(`${document.documentElement.scrollWidth} pixels wide`);
  const named = (element) => {
    const about = element.textContent.trim() || element.src || element.className;
    return `${element.tagName.toLowerCase()} ${about.replace(/\\s+/g, ' ').slice(0, 60)}`;
  };
  const article = document.querySelector('article') || document.body, style = (e) => getComputedStyle(e);
  const edge = article.getBoundingClientRect().right + 1;
  // what scrolls by itself is not cut off
  const scrolls = (e) => e !== article && (['auto', 'scroll'].includes(style(e).overflowX) || scrolls(e.parentElement));
  const parts = article.querySelectorAll('img, table, pre, p, dl, dt, code, em, iframe, mjx-container, h1, h2, h3');
  const cut = [...parts].filter((element) => element.getBoundingClientRect().right > edge && !scrolls(element));
  for (const element of cut)
    if (!cut.includes(element.parentElement?.closest('dl'))) wrong.push(`${named(element)}: cut off`);
  for (const image of document.images)
    if (image.complete && !image.naturalWidth) wrong.push(`${named(image)}: ${image.src} is not there`);
  const rgba = (text) => {
    const found = text.match(/[\\d.]+/g).map(Number), scale = text.startsWith('color(') ? 255 : 1;
    return [...found.slice(0, 3).map((one) => one * scale), found[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]).concat(1);
  const ground = (e) => {
    const own = e ? rgba(style(e).backgroundColor) : [255, 255, 255, 1];
    return own[3] === 1 ? own : over(own, ground(e.parentElement));
  };
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const part = c[i] / 255;
    return sum + weight * (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  }, 0.05);
  const seen = new Set(), texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode()); ) {
    const e = text.parentElement, shown = e.checkVisibility({visibilityProperty: true, opacityProperty: true});
    if (!shown || !text.textContent.trim() || e.closest('script, style, noscript, mjx-container, svg')) continue;
    const below = ground(e), key = style(e).color + below + (parseFloat(style(e).fontSize) >= 24);
    if (seen.has(key)) continue;
    seen.add(key);
    const [a, b] = [light(over(rgba(style(e).color), below)), light(below)].sort((x, y) => y - x);
    if (a / b < (parseFloat(style(e).fontSize) >= 24 ? 3 : least))
      wrong.push(`${named(e)}: contrast ${(a / b).toFixed(1)}`);
  }
  return wrong;
}
"""


def looked_at(browser: Any, folder: Path, shots: Path | None) -> Iterator[str]:
    """What is wrong with each page, at each width and in each theme."""
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for file in sorted(file for file in folder.rglob("*.html") if "_static" not in file.parts):
        name = file.relative_to(folder)
        page.goto(file.as_uri())
        page.add_style_tag(content="* { transition: none !important }")  # colours are there at once
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            for theme in THEMES:
                page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
                for wrong in page.evaluate(LOOK, CONTRAST):
                    yield f"{name}, {width} pixels, {theme}: {wrong}"
                if shots is not None:
                    place = shots / f"{'-'.join(name.with_suffix('').parts)}-{width}-{theme}.png"
                    page.screenshot(path=place, full_page=True)
    page.close()
    for url in sorted({url for url in asked if not url.startswith(("file:", "data:", "blob:"))}):
        yield f"asks for {url}"


def searched(browser: Any, folder: Path) -> Iterator[str]:
    """Whether the search finds a word, from files alone."""
    page = browser.new_page()
    page.goto(f"{(folder / 'search.html').as_uri()}?q=bands")
    try:
        page.locator("#search-results li a").first.wait_for(timeout=10_000)
    except Exception as error:  # playwright's own, whose class is not at hand without it
        yield f"search.html: finds no 'bands': {error}"
    page.close()


def main() -> int:
    """Print what is wrong; the exit code is 1 where something is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shots", type=Path, help="leave a picture of each page in this folder")
    asked = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("pages are not looked at: no Chromium, or no playwright")
        return 0
    if asked.shots is not None:
        asked.shots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium)
        folder = asked.folder.resolve()
        wrong = [*looked_at(browser, folder, asked.shots), *searched(browser, folder)]
        browser.close()
    print("\n".join(wrong) or "every page fits, light and dark, and the search finds")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
