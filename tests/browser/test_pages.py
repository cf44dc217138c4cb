"""The tool that looks at built pages sees what is cut off, faint, missing, or asked of another machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tools.check_pages import looked_at

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright (extra test)")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install Debian's, or name one by CHROMIUM")

PAGE = """<!doctype html><html><head><style>
html {{ background: white; color: black }} html[data-theme=dark] {{ background: black; color: white }}
{style}</style></head><body><article style="max-width: 60em">{body}</article></body></html>"""
WIDE = '<table><tr><td style="min-width: 900px">wide</td></tr></table>'


@pytest.mark.parametrize(
    ("style", "body", "told"),
    [
        ("", "<p>A page.</p>", []),
        ("", f'<div style="overflow: auto">{WIDE}</div>', []),  # scrolls by itself
        ("", WIDE, ["400 pixels, light: 9", "400 pixels, light: table wide", "800 pixels, dark: table wide"]),
        ("article { overflow: hidden }", WIDE, ["800 pixels, light: table wide: cut off"]),
        ("html[data-theme=dark] p { color: #333 }", "<p>faint</p>", ["1400 pixels, dark: p faint: contrast 1."]),
        ("p { opacity: 0 }", "<p style='color: #eee'>not to be seen</p>", []),
        ("", '<img src="nothing.png">', ["nothing.png is not there"]),
        ("", '<img src="http://127.0.0.1:9/a.png">', ["asks for http://127.0.0.1:9/a.png"]),
    ],
)
def test_what_is_wrong_with_a_page_is_told(tmp_path: Path, style: str, body: str, told: list[str]) -> None:
    (tmp_path / "page.html").write_text(PAGE.format(style=style, body=body), encoding="utf-8")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM)
        wrong = list(looked_at(browser, tmp_path, tmp_path / "shots" if not told else None))
        browser.close()
    assert all(any(one in line for line in wrong) for one in told), wrong
    assert bool(wrong) == bool(told), wrong
    assert len(list(tmp_path.glob("shots/*.png"))) == (0 if told else 6)
