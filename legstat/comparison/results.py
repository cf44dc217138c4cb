"""What `compare` found: a row for each method, budget, picture and metric, and what the rows say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_level
from legstat._core.errors import invalid
from legstat._core.files import json_text, json_value, write_text
from legstat._core.typing import JSON, FloatArray
from legstat.comparison.outcome import Outcome
from legstat.comparison.statistics import mean_ranks, paired_differences, pseudo_values

if TYPE_CHECKING:
    import pandas as pd

HIGH_IS_GOOD = {"deletion": False, "insertion": True, "insertion_minus_deletion": True, "key_size": False}
"""The metrics, and whether large values are good."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several methods before one black box, at equal numbers of counted evaluations.

    Attributes
    ----------
    rows : list of dict
        ``method``, ``n_queries`` (the budget), ``spent`` (evaluations of the map), ``picture``, ``metric``, ``value``,
        ``censored``.
    dropped : dict
        Pictures that were left out, with the reason.
    outcomes : list of Outcome
        The maps and their curves, for figures: ``method``, ``n_queries``, ``picture``, ``saliency``, ``curves``.

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

    def to_frame(self) -> pd.DataFrame:
        """The rows as a data frame."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))

    def summary(self, *, level: float = 0.95) -> pd.DataFrame:
        """Mean of each method, budget and metric, with its standard error, interval and mean rank.

        Parameters
        ----------
        level : float, default 0.95
            Of each interval by itself.

        Returns
        -------
        pandas.DataFrame
            ``metric``, ``n_queries``, ``method``, ``mean``, ``std_error``, ``low``, ``high``, ``rank``,
            ``rank_std_error``, ``censored`` (share of pictures), ``spent`` (mean). Means of key sizes are restricted
            means by Kaplan and Meier, up to the largest share that every method was tried at.
        """
        import pandas as pd

        share = check_level("Comparison.summary", "level", level)
        rows = []
        for metric, budget, methods, values in self._tables():
            n = values.shape[1]
            errors = values.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(methods), np.nan)
            width = scipy.stats.t.ppf(0.5 + share / 2.0, max(n - 1, 1)) * errors
            ranks, rank_errors = mean_ranks(values, high_is_good=HIGH_IS_GOOD[metric])
            for i, method in enumerate(methods):
                mine = self._of(metric, budget, method)
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
        return pd.DataFrame(rows)

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
                sign = 1.0 if HIGH_IS_GOOD[metric] else -1.0
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
            "outcomes": [one.to_json() for one in self.outcomes],
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
        outcomes = [Outcome.from_json(one) for one in about.get("outcomes", [])]
        return cls(about["rows"], about["dropped"], outcomes)

    def __repr__(self) -> str:
        sizes = [len({row[name] for row in self.rows}) for name in ("method", "n_queries", "picture", "metric")]
        return "<Comparison: methods {}, budgets {}, pictures {}, metrics {}>".format(*sizes)

    def _of(self, metric: str, budget: int, method: str) -> list[JSON]:
        wanted = {"metric": metric, "n_queries": budget, "method": method}
        return [row for row in self.rows if all(row[name] == value for name, value in wanted.items())]

    def _tables(self) -> list[tuple[str, int, list[str], FloatArray]]:
        """(metric, budget, methods, values of shape (methods, pictures)), pictures in one order everywhere."""
        pictures = list(dict.fromkeys(row["picture"] for row in self.rows))
        tables = []
        for metric in dict.fromkeys(row["metric"] for row in self.rows):
            until = min((row["value"] for row in self.rows if row["metric"] == metric and row["censored"]), default=1.0)
            for budget in sorted({row["n_queries"] for row in self.rows}):
                methods = list(dict.fromkeys(row["method"] for row in self.rows if row["n_queries"] == budget))
                values = []
                for method in methods:
                    mine = {row["picture"]: row for row in self._of(metric, budget, method)}
                    raw = np.array([mine[picture]["value"] for picture in pictures])
                    hidden = np.array([mine[picture]["censored"] for picture in pictures], dtype=bool)
                    values.append(pseudo_values(raw, hidden, until) if metric == "key_size" else raw)
                tables.append((metric, budget, methods, np.array(values)))
        return tables
