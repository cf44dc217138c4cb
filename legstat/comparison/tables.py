"""A comparison's summary: a data frame that prints as a table for each metric."""

from __future__ import annotations

import pandas as pd  # noqa: TID253  # only `Comparison.summary` loads this module

from legstat.report.summary import printable
from legstat.report.tables import EscapedSummary, summary_of

_COLUMNS = ("mean", "std_error", "low", "high", "rank", "rank_std_error")


class SummaryTable(pd.DataFrame):
    """The rows of `Comparison.summary`; ``print`` shows them metric by metric, in the order of the mean ranks.

    Examples
    --------
    >>> numbers = {"mean": [0.5], "std_error": 0.1, "low": 0.3, "high": 0.7, "rank": 1.0, "rank_std_error": 0.0}
    >>> row = {"metric": "insertion", "n_queries": 500, "method": "leg", **numbers, "censored": 0.0, "pictures": 9}
    >>> "insertion" in str(SummaryTable(row))
    True
    """

    def tables(self) -> EscapedSummary:
        """The tables, with ``as_text``, ``as_html`` and ``as_latex``."""
        level = self.attrs.get("level", 0.95)
        methods, budgets = self["method"].unique(), sorted(self["n_queries"].unique())
        pictures = f"{int(self['pictures'].iloc[0])}" if len(self) else "0"
        facts = [
            ("Methods", str(len(methods)), "Pictures", pictures),
            ("Budgets", ", ".join(map(str, budgets)), "Dropped", str(self.attrs.get("dropped", 0))),
        ]
        tables, notes = [], [f"Low and high: {100 * level:g} % interval of each mean by itself. Rank 1 is best."]
        for metric, rows in self.groupby("metric", sort=False):
            censored = bool((rows["censored"] > 0.0).any())
            good = self.attrs.get("high_is_good", {}).get(metric)
            title = f"{metric}" if good is None else f"{metric}: {'high' if good else 'low'} is good"
            header = ["method", "n_queries", *(name.replace("_", " ") for name in _COLUMNS)]
            cells = [
                [
                    printable(str(row["method"])),
                    str(row["n_queries"]),
                    *(f"{row[name]:.4g}" for name in _COLUMNS),
                    *([f"{100 * row['censored']:.3g} %"] if censored else []),
                ]
                for _, row in rows.sort_values(["n_queries", "rank"], kind="stable").iterrows()
            ]
            tables.append((title, [*header, "censored"] if censored else header, cells))
            if censored:
                notes.append(f"{metric}: restricted means by Kaplan and Meier, since some values are only bounds.")
        return summary_of("Comparison at equal numbers of evaluations", facts, tables, notes)

    def as_text(self) -> str:
        """The tables as text."""
        return str(self.tables())

    def __str__(self) -> str:
        return self.as_text()
