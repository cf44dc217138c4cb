"""The gallery of examples: their order, and pictures of what sphinx-gallery does not look for."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

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
    """Save the figures and pages that a block of an example bound to a name, as reStructuredText.

    legstat draws on figures of its own, outside pyplot; a user keeps them under a name, and so do the examples. Comes
    before sphinx-gallery's own scraper, which saves and closes those of pyplot.
    """
    seen: list[Any] = names.setdefault("seen", [])  # sphinx-gallery hands the same dictionary over for a whole script
    several = [
        v.flat if isinstance(v, np.ndarray) and v.dtype == object else [v] for v in names["example_globals"].values()
    ]
    values = [v for one in several for v in one if isinstance(v, Axes | Figure | Path)]
    found = list({id(v): v for v in map(_whole, values)}.values())
    new = [v for v in found if not any(v is other for other in seen)]
    seen += new
    known = [pyplot.figure(number) for number in pyplot.get_fignums()]
    own = [v for v in new if isinstance(v, Figure) and not any(v is other for other in known)]
    return _figures(own, names, config) + "".join(map(_page, new))


def _whole(value: Any) -> Any:
    return value.get_figure(root=True) if isinstance(value, Axes) else value


def _figures(figures: list[Figure], names: dict[str, Any], config: dict[str, Any]) -> str:
    paths = []
    for figure in figures:
        path = next(names["image_path_iterator"])
        figure.savefig(path, dpi=130)
        paths.append(path)
    return figure_rst(paths, config["src_dir"]) if paths else ""


def _page(value: Any) -> str:
    """A page in a frame that holds all of it: nothing beside this page has to be there."""
    if not (isinstance(value, Path) and value.suffix == ".html" and value.is_file()):
        return ""
    source = html.escape(value.read_text(encoding="utf-8"), quote=True).replace("\n", "&#10;")
    return f'\n\n.. raw:: html\n\n    <iframe class="page" title="{value.name}" srcdoc="{source}"></iframe>\n\n'
