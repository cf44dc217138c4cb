"""The gallery of examples: their order, and pages among their figures."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

ORDER = (
    "first_map",
    "bands_and_fdr",
    "regions",
    "boxes",
    "path_in_L",
    "laws",
    "until",
    "deletion_insertion",
    "mask_and_igos",
    "sanity_checks",
    "own_axes",
    "audit_page",
)


class InOrder:
    """Examples in the order above; one that is not in it is an error."""

    def __init__(self, folder: str) -> None:
        pass  # sphinx-gallery hands the folder over

    def __call__(self, file: str) -> int:
        """The place of a script."""
        return ORDER.index(Path(file).stem)


def scrape(block: tuple[str, str, int], names: dict[str, Any], config: dict[str, Any]) -> str:
    """Show the pages that a block of an example bound to a name, as reStructuredText; figures are sphinx-gallery's."""
    seen: list[Path] = names.setdefault("seen", [])  # sphinx-gallery hands the same dictionary over for a whole script
    new = [v for v in names["example_globals"].values() if isinstance(v, Path) and v not in seen]
    seen += new
    return "".join(map(_page, new))


def _page(value: Path) -> str:
    """A page in a frame that holds all of it: nothing beside this page has to be there."""
    if not (value.suffix == ".html" and value.is_file()):
        return ""
    source = html.escape(value.read_text(encoding="utf-8"), quote=True).replace("\n", "&#10;")
    return f'\n\n.. raw:: html\n\n    <iframe class="page" title="{value.name}" srcdoc="{source}"></iframe>\n\n'
