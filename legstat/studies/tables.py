"""The summary of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from legstat.studies.slopes import GROUPS

if TYPE_CHECKING:
    import pandas as pd
    from statsmodels.iolib.summary import Summary

    from legstat.studies.results import Measure, StudyResults


def study_summary(results: StudyResults, measure: Measure) -> Summary:
    """Slopes, where a factor varies, and cells.

    Parameters
    ----------
    results : StudyResults
        The study.
    measure : {"error_up_to_mean", "error"}
        Which error.

    Returns
    -------
    Summary
        Two tables and their notes.
    """
    from statsmodels.iolib.summary import Summary
    from statsmodels.iolib.table import SimpleTable
    from statsmodels.iolib.tableformatting import fmt_params

    summary, cells = Summary(), results.cells(measure)
    frame = results.frame
    varying = any(
        group[column].nunique() > 1 for _, group in frame.groupby(GROUPS) for column in ("n", "p", "sparsity")
    )
    if varying:
        slopes = results.slopes(measure)
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
        "proof, printed: Theorem 1's exponents for the norm, logarithms left out; bound: slope of the proof's bound.",
        f"{int(cells['replicates'].iloc[0])} replicates of each cell; mse_std_error is their Monte Carlo error.",
    ]
    summary.add_extra_txt([f"[{i}] {text}" for i, text in enumerate(notes, start=1)])
    return summary


def _varying(frame: pd.DataFrame, names: list[str]) -> list[str]:
    """Columns that tell the rows apart; the first one in any case."""
    return [name for i, name in enumerate(names) if i == 0 or frame[name].nunique(dropna=False) > 1]


def _texts(frame: pd.DataFrame) -> list[list[str]]:
    return [[_text(value) for value in row] for row in frame.itertuples(index=False)]


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return "-" if np.isnan(value) else f"{value:.4g}"
    return str(value)
