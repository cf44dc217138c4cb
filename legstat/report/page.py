"""A page that needs nothing beside it: the panel inside, the summary below."""

from __future__ import annotations

import base64
import html
from pathlib import Path
from typing import TYPE_CHECKING

from legstat._core.files import write_text

if TYPE_CHECKING:
    from statsmodels.iolib.summary import Summary

_PANEL = '<img alt="The picture and its maps" src="data:image/png;base64,{}">'
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; margin: 1em 0; font-size: 0.9em; }}
caption {{ text-align: left; font-weight: bold; padding: 0.5em 0; }}
th, td {{ padding: 0.2em 0.8em; border-bottom: 1px solid #ddd; text-align: right; }}
th:first-child, td:first-child {{ text-align: left; }}
</style>
</head>
<body>
<h1>{title}</h1>
{panel}
{summary}
</body>
</html>
"""


def save_page(
    summary: Summary, panel: str | Path | None, path: str | Path, *, title: str = "Explanation by legstat"
) -> None:
    """Write summary and panel as one HTML file without links.

    Parameters
    ----------
    summary : statsmodels Summary
        The tables.
    panel : str or Path or None
        PNG file to show above them, where there is one.
    path : str or Path
        File to write.
    title : str, optional
        Heading.
    """
    shown = "" if panel is None else _PANEL.format(base64.b64encode(Path(panel).read_bytes()).decode("ascii"))
    write_text(path, _PAGE.format(title=html.escape(title), panel=shown, summary=summary.as_html()))
