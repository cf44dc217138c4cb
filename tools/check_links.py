"""Check that every link inside the built pages leads somewhere: ``python tools/check_links.py docs/_build/html``.

Pages, files and anchors of all links and pictures that stay within the folder; and the links of the README and of other
texts of the repository to files in it, with their anchors. Links to elsewhere are `make links`' business, which needs a
network.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ("*.md", "benchmarks/*.md", "tests/golden/*.md")
"""What is read as it lies in the repository, not as a page."""


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what leads somewhere, and what can be led to."""
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append(value)
            elif value and (name == "id" or (tag == "a" and name == "name")):
                self.anchors.add(value)


@cache
def page(path: Path) -> Page:
    """What stands in a page."""
    found = Page()
    found.feed(path.read_text(encoding="utf-8"))
    return found


def broken_in_pages(folder: Path) -> list[str]:
    """Links of built pages that lead nowhere."""
    wrong = []
    # what the theme brings along in _static are templates, no pages
    for path in sorted(path for path in folder.rglob("*.html") if "_static" not in path.parts):
        for link in page(path).links:
            target, anchor = _inside(path, link)
            if target is None:
                continue
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                wrong.append(f"{path.relative_to(folder)}: {link}: no such file")
            elif anchor and target.suffix == ".html" and anchor not in page(target).anchors:
                wrong.append(f"{path.relative_to(folder)}: {link}: no such anchor")
    return wrong


def broken_in_texts(root: Path = ROOT) -> list[str]:
    """Links of Markdown files to files of the repository that are not there, or to headings they do not have."""
    wrong = []
    for path in sorted(found for pattern in TEXTS for found in root.glob(pattern)):
        for link in links_of(path.read_text(encoding="utf-8")):
            target, anchor = _inside(path, link)
            if target is None:
                continue
            if not target.exists():
                wrong.append(f"{path.relative_to(root)}: {link}: no such file")
            elif anchor and target.suffix == ".md" and anchor not in headings_of(target.read_text(encoding="utf-8")):
                wrong.append(f"{path.relative_to(root)}: {link}: no such heading")
    return wrong


def links_of(text: str) -> list[str]:
    """Targets of the links and pictures of a Markdown text, code left out."""
    prose = re.sub(r"^```.*?^```|^ {4}.*?$|`[^`\n]+`", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", prose)


def headings_of(text: str) -> set[str]:
    """Anchors that its headings and labels make."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


def _inside(path: Path, link: str) -> tuple[Path | None, str]:
    """File and anchor of a link that stays here; None for others."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or link.startswith(("javascript:", "data:")):
        return None, ""
    target = path if not parts.path else path.parent / unquote(parts.path)
    return target, unquote(parts.fragment)


def main() -> int:
    """Print what is broken; the exit code is 1 where something is."""
    folders = [Path(argument) for argument in sys.argv[1:]]
    wrong = [*broken_in_texts(), *(line for folder in folders for line in broken_in_pages(folder))]
    print("\n".join(wrong) or "every link inside leads somewhere")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
