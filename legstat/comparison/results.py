"""What `compare` found: a row for each method, budget, picture and metric, and what the rows say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_level
from legstat._core.errors import invalid
from legstat._core.files import json_text, json_value, write_text
from legstat._core.notebooks import Rich
from legstat._core.typing import JSON, FloatArray
from legstat.comparison.by_name import MEASURES
from legstat.comparison.figures import Figures
from legstat.comparison.outcome import Outcome
from legstat.comparison.statistics import mean_ranks, paired_differences, pseudo_values

if TYPE_CHECKING:
    import pandas as pd

    from legstat.comparison.tables import SummaryTable

HIGH_IS_GOOD = {name: measure().high_is_good for name, measure in MEASURES.items()}
"""The metrics that are known by name, and whether large values are good."""


@dataclass(frozen=True, eq=False)
class Comparison(Rich, Figures):
    """Several methods before one black box, at equal numbers of counted evaluations.

    Attributes
    ----------
    rows : list of dict
        ``method``, ``n_queries`` (the budget), ``spent`` (evaluations that the map stands on), ``cached`` (those of
        them that a cache answered), ``picture``, ``target`` and ``target_label`` (the class that is explained),
        ``probability`` (its at x0), ``grid`` (of the map), ``tied`` (cells that share their value with another one:
        the seed ranks them), ``metric``, ``value``, ``censored``, ``asked`` (evaluations of that metric).
    dropped : dict
        Pictures that were left out, with the reason.
    outcomes : list of Outcome
        The maps and their curves, for figures: ``method``, ``n_queries``, ``picture``, ``saliency``, ``curves``.
    pictures : dict
        Of every picture, dropped ones too: ``target``, ``target_label``, ``probability``, ``score``, ``first_choice``,
        ``label`` (the true class, where given) and ``right`` (None without a label).
    high_is_good : dict
        Of every metric, whether large values are good.

    Examples
    --------
    >>> rows = [
    ...     {"method": m, "n_queries": 500, "spent": 500, "picture": f"{i}", "metric": "insertion", "value": v + i / 10,
    ...      "censored": False}
    ...     for m, v in (("a", 0.5), ("b", 0.3)) for i in range(3)
    ... ]
    >>> Comparison(rows).summary()["mean"].round(3).tolist()
    [0.6, 0.4]
    """

    rows: Sequence[JSON] = field(repr=False)
    dropped: dict[str, str] = field(default_factory=dict)
    outcomes: Sequence[Outcome] = field(default=(), repr=False)
    pictures: dict[str, JSON] = field(default_factory=dict, repr=False)
    high_is_good: Mapping[str, bool] = field(default_factory=lambda: dict(HIGH_IS_GOOD), repr=False)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a data frame."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))

    def summary(self, *, level: float = 0.95) -> SummaryTable:
        """Mean of each method, budget and metric, with its standard error, interval and mean rank.

        Parameters
        ----------
        level : float, default 0.95
            Of each interval by itself.

        Returns
        -------
        SummaryTable
            A data frame that prints as a table for each metric:
            ``metric``, ``n_queries``, ``method``, ``mean``, ``std_error``, ``low``, ``high``, ``rank``,
            ``rank_std_error``, ``censored`` (share of pictures), ``spent`` (mean), ``pictures``. Means of a metric with
            censored values, such as key sizes, are restricted means by Kaplan and Meier, up to the largest value that
            every method was tried at.
        """
        from legstat.comparison.tables import SummaryTable

        share = check_level("Comparison.summary", "level", level)
        rows, index = [], self._index()
        for metric, budget, methods, values in self._tables():
            n = values.shape[1]
            errors = values.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(methods), np.nan)
            width = scipy.stats.t.ppf(0.5 + share / 2.0, max(n - 1, 1)) * errors
            ranks, rank_errors = mean_ranks(values, high_is_good=self.high_is_good[metric])
            for i, method in enumerate(methods):
                mine = index[metric, budget, method].values()
                rows.append(
                    {
                        "metric": metric,
                        "n_queries": budget,
                        "method": method,
                        "mean": values[i].mean(),
                        "std_error": errors[i],
                        "low": values[i].mean() - width[i],
                        "high": values[i].mean() + width[i],
                        "rank": ranks[i],
                        "rank_std_error": rank_errors[i],
                        "censored": float(np.mean([row["censored"] for row in mine])),
                        "spent": float(np.mean([row["spent"] for row in mine])),
                        "pictures": n,
                    }
                )
        found = SummaryTable(rows)
        found.attrs = {"level": share, "dropped": len(self.dropped), "high_is_good": dict(self.high_is_good)}
        return found

    def ranks(self) -> pd.DataFrame:
        """Mean rank of each method over the pictures, for each metric and budget; 1 is best.

        Returns
        -------
        pandas.DataFrame
            ``metric``, ``n_queries``, ``method``, ``rank`` (ties share their mean rank), ``std_error`` (bootstrap over
            pictures), ``first`` (share of pictures at which no method is better), in the order of the ranks.
        """
        import pandas as pd

        rows: list[JSON] = []
        for metric, budget, methods, values in self._tables():
            good = self.high_is_good[metric]
            ranks, errors = mean_ranks(values, high_is_good=good)
            best = values.max(axis=0) if good else values.min(axis=0)
            first = (values == best).mean(axis=1)
            rows += [
                {
                    "metric": metric,
                    "n_queries": budget,
                    "method": methods[i],
                    "rank": ranks[i],
                    "std_error": errors[i],
                    "first": first[i],
                }
                for i in np.argsort(ranks, kind="stable")
            ]
        return pd.DataFrame(rows)

    def evaluations(self) -> pd.DataFrame:
        """What was asked of the black box in all, for each method and budget.

        Returns
        -------
        pandas.DataFrame
            ``method``, ``n_queries``, ``maps``, ``spent`` (evaluations that the maps stand on), ``cached`` (those of
            them that a cache answered, and were not made), ``metrics`` (evaluations of the metrics, beside these).
        """
        import pandas as pd

        totals: dict[tuple[str, int], JSON] = {}
        seen: set[tuple[str, int, str]] = set()
        for row in self.rows:
            method, budget, map_ = row["method"], row["n_queries"], (row["method"], row["n_queries"], row["picture"])
            empty = {"method": method, "n_queries": budget, "maps": 0, "spent": 0, "cached": 0, "metrics": 0}
            total = totals.setdefault((method, budget), empty)
            total["metrics"] += row.get("asked", 0)
            if map_ not in seen:
                seen.add(map_)
                total["maps"] += 1
                total["spent"] += row["spent"]
                total["cached"] += row.get("cached", 0)
        return pd.DataFrame(list(totals.values()))

    def differences(self, against: str, *, at: int | None = None, level: float = 0.95) -> pd.DataFrame:
        """Paired differences of every method and budget to one of them, with simultaneous intervals.

        Parameters
        ----------
        against : str
            Name of the method that others are compared with.
        at : int, optional
            Its budget; by default each method's own, so that equal budgets are compared.
        level : float, default 0.95
            Of all intervals of one metric together.

        Returns
        -------
        pandas.DataFrame
            ``metric``, ``method``, ``n_queries``, ``difference`` (that method minus `against`), ``std_error``,
            ``low``, ``high``, ``pvalue`` (adjusted), ``better`` (True, False, or None where the interval holds 0).

        Raises
        ------
        ValueError
            No such method or budget, or fewer than two pictures.
        """
        import pandas as pd

        where = "Comparison.differences"
        share = check_level(where, "level", level)
        tables = {(metric, budget): (methods, values) for metric, budget, methods, values in self._tables()}
        check_choice(where, "against", against, sorted({row["method"] for row in self.rows}))
        rows = []
        for metric in dict.fromkeys(metric for metric, _ in tables):
            labels: list[tuple[str, int]] = []
            differences: list[FloatArray] = []
            for (name, budget), (methods, values) in tables.items():
                reference = tables.get((metric, budget if at is None else at))
                if name != metric:
                    continue
                if reference is None or against not in reference[0]:
                    raise ValueError(invalid(where, "at", at, f"a budget that {against!r} was run with"))
                base = reference[1][reference[0].index(against)]
                for method, mine in zip(methods, values, strict=True):
                    if (method, budget) != (against, budget if at is None else at):
                        labels.append((method, budget))
                        differences.append(mine - base)
            if not differences:
                continue
            if len(differences[0]) < 2:
                raise ValueError(invalid(where, "pictures", len(differences[0]), "at least 2 for a standard error"))
            found = paired_differences(np.array(differences), share)
            for i, (method, budget) in enumerate(labels):
                sign = 1.0 if self.high_is_good[metric] else -1.0
                certain = found.low[i] > 0.0 or found.high[i] < 0.0
                rows.append(
                    {
                        "metric": metric,
                        "method": method,
                        "n_queries": budget,
                        "difference": found.means[i],
                        "std_error": found.std_errors[i],
                        "low": found.low[i],
                        "high": found.high[i],
                        "pvalue": found.pvalues[i],
                        "better": bool(sign * found.means[i] > 0.0) if certain else None,
                    }
                )
        return pd.DataFrame(rows)

    def save(self, path: str | Path) -> None:
        """Write rows, maps and curves as JSON."""
        about = {
            "legstat": "Comparison",
            "schema": 1,
            "rows": list(self.rows),
            "dropped": self.dropped,
            "outcomes": [one.to_dict() for one in self.outcomes],
            "pictures": self.pictures,
            "high_is_good": dict(self.high_is_good),
        }
        write_text(path, json_text(about) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            If it is something else.
        """
        about = json_value(Path(path).read_text(encoding="utf-8"))
        if not isinstance(about, dict) or about.get("legstat") != "Comparison" or about.get("schema") != 1:
            raise ValueError(invalid("Comparison.load", "path", str(path), "a file that Comparison.save wrote"))
        outcomes = [Outcome.from_dict(one) for one in about.get("outcomes", [])]
        known = {**HIGH_IS_GOOD, **about.get("high_is_good", {})}
        return cls(about["rows"], about["dropped"], outcomes, about.get("pictures", {}), known)

    def __repr__(self) -> str:
        sizes = [len({row[name] for row in self.rows}) for name in ("method", "n_queries", "picture", "metric")]
        return "<Comparison: methods {}, budgets {}, pictures {}, metrics {}>".format(*sizes)

    def _index(self) -> dict[tuple[str, int, str], dict[str, JSON]]:
        """Rows by (metric, budget, method), then by picture."""
        index: dict[tuple[str, int, str], dict[str, JSON]] = {}
        for row in self.rows:
            index.setdefault((row["metric"], row["n_queries"], row["method"]), {})[row["picture"]] = row
        return index

    def _tables(self) -> list[tuple[str, int, list[str], FloatArray]]:
        """(metric, budget, methods, values of shape (methods, pictures)), pictures in one order everywhere."""
        pictures = list(dict.fromkeys(row["picture"] for row in self.rows))
        index, tables = self._index(), []
        for metric in dict.fromkeys(row["metric"] for row in self.rows):
            hidden = [row["value"] for row in self.rows if row["metric"] == metric and row["censored"]]
            for budget in sorted({row["n_queries"] for row in self.rows}):
                methods = list(dict.fromkeys(row["method"] for row in self.rows if row["n_queries"] == budget))
                values = []
                for method in methods:
                    mine = index[metric, budget, method]
                    raw = np.array([mine[picture]["value"] for picture in pictures])
                    censored = np.array([mine[picture]["censored"] for picture in pictures], dtype=bool)
                    values.append(pseudo_values(raw, censored, min(hidden)) if hidden else raw)
                tables.append((metric, budget, methods, np.array(values)))
        return tables
