"""What a study found: a frame of replicates, and what follows from it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast, get_args

import numpy as np

from legstat._core.errors import invalid
from legstat._core.files import json_text, json_value, write_text
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.typing import JSON, FloatArray
from legstat.designs.by_name import law_named
from legstat.inference.bounds import BoundForm, error_bound
from legstat.studies.slopes import GROUPS, Covariance, slopes_of

if TYPE_CHECKING:
    import pandas as pd
    from statsmodels.iolib.summary import Summary

Measure = Literal["error_up_to_mean", "error"]
FACTORS = ["response", "design", "scale", "sigma", "grid", "p", "sparsity", "antithetic", "n_queries", "n", "estimator"]
MEASURED = ["error", "error_up_to_mean", "truth_norm", "truth_norm_up_to_mean"]
"""Columns that every row has, beside its factors and `replicate`."""
OPTIONAL = [
    "exact_mse",
    "exact_mse_up_to_mean",
    "reference_mse",
    "reference_mse_up_to_mean",
    "L",
    "L_ratio",
    "feasible",
    "regions",
]
"""Columns that are NaN where they mean nothing."""
_MARK = "# legstat.StudyResults "


@dataclass(frozen=True, eq=False)
class StudyResults(Rich, Portable):
    """Results of a `SampleSizeStudy`.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each replicate and estimator.
    settings : dict
        The study, in plain values.

    Notes
    -----
    Columns of the frame: the factors (`n` counts observations, `n_queries` evaluations; `sigma` is the design's own
    where `scale` is the factor); `replicate`; `error` = ||gamma-hat - gamma||, `error_up_to_mean` the same less the
    mean error, as in Theorem 1, and the truth's norms; `exact_mse` where `leg_mse` has a closed form; `reference_mse`,
    the reference's own error for a subject; of LEG-TV `L`, `L_ratio`, `regions`, and `feasible`, whether gamma
    satisfies the constraint at that L.

    Examples
    --------
    >>> from legstat.studies import SampleSizeStudy
    >>> study = SampleSizeStudy((101, 401), grid=(4, 4), sparsity=6, estimators="leg/centred", replicates=6, offset=0.0)
    >>> results = study.run()
    >>> results
    <StudyResults 12 rows: 2 cells x 1 estimators x 6 replicates>
    >>> results.slopes()[["term", "exponent", "closed_form"]].round(2).values.tolist()[0][2]
    -0.5
    """

    table: pd.DataFrame
    settings: JSON

    @classmethod
    def of(cls, rows: list[JSON], settings: JSON) -> Self:
        """Results from rows of plain values; what a row lacks is NaN."""
        import pandas as pd

        frame = pd.DataFrame(rows, columns=[*FACTORS, "replicate", *MEASURED, *OPTIONAL])
        # NaN where there is no value, and one type a column, so that a file reads back equal
        types = dict.fromkeys(["sparsity", *OPTIONAL], "float64")
        return cls(frame.astype(types), cast("JSON", json.loads(json.dumps(settings))))

    @property
    def frame(self) -> pd.DataFrame:
        """The rows; a copy."""
        return self.table.copy()

    def cells(self, measure: Measure = "error_up_to_mean") -> pd.DataFrame:
        """One row for each cell and estimator: mean squared error beside closed form and bound.

        Parameters
        ----------
        measure : {"error_up_to_mean", "error"}, default "error_up_to_mean"
            Which error.

        Returns
        -------
        pandas.DataFrame
            The factors and `replicates`; `mse` with its Monte Carlo `mse_std_error`, less `reference_mse`, which stands
            beside it; `rmse`, its root; `exact_mse`, the mean closed form; `bound` and `bound_printed`, Theorem 1 on
            the norm with its own L (as its proof gives it, and as printed) for LEG-TV where the score is bounded; the
            share of samples in which gamma was `feasible`, and the median `L_ratio`.
        """
        suffix = self._suffix(measure)
        frame = self.table
        squares = frame.assign(square=frame[measure] ** 2 - frame[f"reference_mse{suffix}"].fillna(0.0))
        grouped = squares.groupby(FACTORS, sort=False, dropna=False, observed=True)
        found = grouped.agg(
            replicates=("square", "size"),
            mse=("square", "mean"),
            mse_std_error=("square", "sem"),
            exact_mse=(f"exact_mse{suffix}", "mean"),
            reference_mse=(f"reference_mse{suffix}", "mean"),
            feasible=("feasible", "mean"),
            L_ratio=("L_ratio", "median"),
        ).reset_index()
        found.insert(len(FACTORS) + 1, "rmse", np.sqrt(found["mse"].clip(lower=0.0)))
        for name, form in (("bound", "proof"), ("bound_printed", "printed")):
            legtv = found["estimator"].str.startswith("legtv")
            found[name] = np.where(legtv, self._bounds(found, cast("BoundForm", form)), np.nan)
        return found

    def slopes(
        self, measure: Measure = "error_up_to_mean", *, cov_type: Covariance = "cluster", level: float = 0.95
    ) -> pd.DataFrame:
        r"""Exponents of the error: slopes of its logarithm on log n, log p and log s, by statsmodels' OLS.

        .. math:: \log \|\hat\gamma - \gamma\| = a + \beta_n \log n + \beta_p \log p + \beta_s \log s + \text{noise}

        for each estimator, response, design, scale and pairing, over those of n, p and s that vary. Where n varies too,
        :math:`-\beta_p / \beta_n` and :math:`-\beta_s / \beta_n` say how n has to grow with p and s for the same error.

        Parameters
        ----------
        measure : {"error_up_to_mean", "error"}, default "error_up_to_mean"
            Which error.
        cov_type : {"cluster", "HC0", "HC1", "HC2", "HC3"}, default "cluster"
            Covariance of the slopes. "cluster": rows with one truth (grid, s and replicate) vary together.
        level : float, default 0.95
            Of the intervals, Student's; by the delta method for ratios.

        Returns
        -------
        pandas.DataFrame
            For each group and term: `exponent`, `std_error`, `low`, `high`; of LEG-TV `proof` and `printed`, Theorem
            1's exponents for the norm as its proof and as the paper give them, and `bound`, the slope of the proof's
            bound (logarithms included) over the same cells; of LEG `closed_form`, the slope of the root of the exact
            mean squared error; `n_obs`. The ratios are left out where n has no effect that is clear of 0.

        Raises
        ------
        ValueError
            If nothing varies, an error is 0, or the level or covariance cannot be.

        Notes
        -----
        One power law for a whole group. Where the rate changes with n (a bias that stays, say), look at `cells`.
        """
        suffix = self._suffix(measure)
        frame = self.table.assign(bound=self._bounds(self.table, "proof"), closed_form=self.table[f"exact_mse{suffix}"])
        return slopes_of(frame, measure, cov_type, level)

    def summary(self, measure: Measure = "error_up_to_mean") -> Summary:
        """Slopes and cells as tables in the manner of statsmodels, with ``as_text``, ``as_html`` and ``as_latex``.

        Parameters
        ----------
        measure : {"error_up_to_mean", "error"}, default "error_up_to_mean"
            Which error.

        Returns
        -------
        statsmodels.iolib.summary.Summary
            What to print.
        """
        from statsmodels.iolib.summary import Summary
        from statsmodels.iolib.table import SimpleTable
        from statsmodels.iolib.tableformatting import fmt_params

        summary, cells = Summary(), self.cells(measure)
        frame = self.frame
        varying = any(
            group[column].nunique() > 1 for _, group in frame.groupby(GROUPS) for column in ("n", "p", "sparsity")
        )
        if varying:
            slopes = self.slopes(measure)
            columns = ["term", "exponent", "std_error", "low", "high", "proof", "printed", "bound", "closed_form"]
            names = [*_varying(slopes, GROUPS), *columns]
            summary.tables.append(
                SimpleTable(_texts(slopes[names]), headers=names, title="Exponents of the error", txt_fmt=fmt_params)
            )
        wanted = ["rmse", "mse", "mse_std_error", "exact_mse", "reference_mse", "bound", "feasible", "L_ratio"]
        measured = [name for name in wanted if cells[name].notna().any() and (cells[name] != 0.0).any()]
        factors = ["estimator", "response", "design", "scale", "antithetic", "grid", "sparsity", "n"]
        names = [*_varying(cells, factors), *measured]
        summary.tables.append(
            SimpleTable(_texts(cells[names]), headers=names, title=f"Cells: {measure}", txt_fmt=fmt_params)
        )
        notes = [
            "proof, printed: Theorem 1's exponents for the norm, without logs; bound: slope of the proof's bound.",
            f"{int(cells['replicates'].iloc[0])} replicates of each cell; mse_std_error is their Monte Carlo error.",
        ]
        summary.add_extra_txt([f"[{i}] {text}" for i, text in enumerate(notes, start=1)])
        return summary

    def save(self, path: str | Path) -> None:
        """Write the frame as CSV; its first line, a comment that starts with #, holds the settings as JSON.

        Parameters
        ----------
        path : str or Path
            File to write. ``pandas.read_csv(path, comment="#")`` reads it too; numbers keep every bit.
        """
        head = _MARK + json_text(self.settings, sort_keys=True) + "\n"
        write_text(path, head + self.table.to_csv(index=False, lineterminator="\n"))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Parameters
        ----------
        path : str or Path
            The file.

        Returns
        -------
        StudyResults
            Equal to the one that was saved, to the bit.

        Raises
        ------
        ValueError
            If the file is something else.
        """
        with Path(path).open(encoding="utf-8", newline="") as file:
            head = file.readline()
            if not head.startswith(_MARK):
                raise ValueError(
                    f"legstat.StudyResults.load: {str(path)!r} is not a file that StudyResults.save wrote."
                )
            rows = [{name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(file)]
        return cls.of(rows, json_value(head.removeprefix(_MARK)))

    def __repr__(self) -> str:
        frame = self.table
        cells = len(frame[FACTORS[:-1]].drop_duplicates())
        counts = (
            f"{cells} cells x {frame['estimator'].nunique()} estimators x {frame['replicate'].nunique()} replicates"
        )
        return f"<StudyResults {len(frame)} rows: {counts}>"

    def _suffix(self, measure: str) -> str:
        if measure not in get_args(Measure):
            raise ValueError(invalid("StudyResults", "measure", measure, '"error_up_to_mean" or "error"'))
        return "_up_to_mean" if measure == "error_up_to_mean" else ""

    def _bounds(self, frame: pd.DataFrame, form: BoundForm) -> FloatArray:
        """Theorem 1's bound on the norm for each row of factors, NaN where the score is not known to be bounded."""
        return np.array([self._bound(tuple(row), form) for row in frame[_BOUND_FACTORS].itertuples(index=False)])

    def _bound(self, factors: tuple[Any, ...], form: BoundForm) -> float:
        known = self._known_bounds
        if (factors, form) not in known:
            response, design, sigma, grid, sparsity, n = factors
            value = float("nan")
            if response in ("probit", "logistic") and not self.settings["noise"]:
                shape = cast("tuple[int, int]", tuple(map(int, grid.split("x"))))
                value = error_bound(law_named(design, shape, sigma), int(sparsity), int(n), form=form)
            known[factors, form] = value
        return known[factors, form]

    @cached_property
    def _known_bounds(self) -> dict[tuple[tuple[Any, ...], str], float]:
        return {}


def _value(name: str, text: str) -> str | bool | int | float:
    """What a field of the file stands for; Python reads back every bit of a float, which not every parser does."""
    if name in ("response", "design", "grid", "estimator"):
        return text
    if name == "antithetic":
        return text == "True"
    if name in ("p", "n", "n_queries", "replicate"):
        return int(text)
    return float(text or "nan")


def _varying(frame: pd.DataFrame, names: list[str]) -> list[str]:
    """Columns that tell the rows apart; the first one in any case."""
    return [name for i, name in enumerate(names) if i == 0 or frame[name].nunique(dropna=False) > 1]


def _texts(frame: pd.DataFrame) -> list[list[str]]:
    return [[_text(value) for value in row] for row in frame.itertuples(index=False)]


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "-" if np.isnan(value) else f"{value:.4g}"
    return str(value)


_BOUND_FACTORS = ["response", "design", "sigma", "grid", "sparsity", "n"]
