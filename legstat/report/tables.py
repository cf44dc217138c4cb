"""statsmodels' summary with every text from outside escaped, which it does not do. The one file that loads it here."""

from __future__ import annotations

import copy
import html
from collections.abc import Callable, Sequence

from statsmodels.iolib.summary import Summary
from statsmodels.iolib.table import SimpleTable
from statsmodels.iolib.tableformatting import fmt_params

_TEXT = {**fmt_params, "colsep": "   ", "table_dec_below": "="}
"""statsmodels drops the last line of every table but the last when it joins them: it must be a rule."""
_LATEX_CELL = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
"""What statsmodels leaves as it is in the cells of a table; of notes it leaves the rest too."""
_LATEX = str.maketrans(_LATEX_CELL | {mark: f"\\{mark}" for mark in "#$%&_"})
_CELLS = str.maketrans(_LATEX_CELL)


class EscapedSummary(Summary):
    """Tables and notes, with ``as_text``, ``as_html``, ``as_latex`` and ``as_csv``; printed, they are plain text."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tables: list[SimpleTable] = []
        self.extra_txt: str | None = None

    def as_html(self) -> str:
        """The tables in HTML; labels and names of files and models cannot be markup."""
        return str(_changed(self, html.escape, html.escape).as_html())

    def as_latex(self) -> str:
        """The tables in LaTeX; labels and names of files and models cannot be commands."""
        return str(_changed(self, lambda text: text.translate(_CELLS), lambda text: text.translate(_LATEX)).as_latex())


def summary_of(
    title: str,
    facts: Sequence[tuple[str, str, str, str]],
    tables: Sequence[tuple[str, list[str], list[list[str]]]],
    notes: Sequence[str],
) -> EscapedSummary:
    """A summary of facts in two columns, then tables, then notes.

    Parameters
    ----------
    title : str
        Above the facts.
    facts : sequence of four str
        Name and value, name and value.
    tables : sequence of (heading, header, rows)
        What follows.
    notes : sequence of str
        Numbered below the tables.

    Returns
    -------
    EscapedSummary
        The summary.
    """
    summary = EscapedSummary()
    summary.tables.append(SimpleTable(facts, title=title, txt_fmt={**_TEXT, "data_aligns": "lrlr"}))
    for heading, header, rows in tables:
        # for LaTeX statsmodels joins the tables and knows the widths of as many columns as the narrowest one has
        filling = [""] * (4 - len(header))
        cells = [[*row, *filling] for row in rows]
        summary.tables.append(
            SimpleTable(cells, headers=[*header, *filling], title=heading or None, txt_fmt=fmt_params)
        )
    if notes:
        summary.extra_txt = "\n".join(f"[{i}] {text}" for i, text in enumerate(notes, start=1))
    return summary


def _changed(summary: Summary, cell: Callable[[str], str], note: Callable[[str], str]) -> Summary:
    changed = Summary()
    changed.tables = copy.deepcopy(summary.tables)
    for table in changed.tables:
        table.title = None if table.title is None else note(table.title)
        for one in (one for row in table for one in row):
            one.data = cell(str(one.data))
    changed.extra_txt = None if summary.extra_txt is None else note(summary.extra_txt)
    return changed
