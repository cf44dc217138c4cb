"""Exponents of the error in n, p and s: least squares on logarithms, beside those of Theorem 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_choice, check_level
from legstat._core.errors import invalid
from legstat._core.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

Covariance = Literal["cluster", "HC0", "HC1", "HC2", "HC3"]
GROUPS = ["estimator", "response", "design", "scale", "antithetic"]
TERMS = {"n": "n", "p": "p", "s": "sparsity"}
THEOREM = {
    "log n": (-0.5, -0.25),
    "log p": (0.75, 0.125),
    "log s": (0.5, 0.25),
    "n by p": (1.5, 0.5),
    "n by s": (1.0, 1.0),
}
"""(proof, printed) exponents of the norm, and of n for the same error, logarithms left out.

With the norm and C_p / C_d ~ p^{3/4} on square grids: n^{-1/2} s^{1/2} p^{3/4}. As printed, the square of the norm has
this right-hand side and C_d counts as constant: n^{-1/4} s^{1/4} p^{1/8}, which is the paper's n = O(s p^{1/2}).
"""
WHERE = "StudyResults.slopes"


def slopes_of(frame: pd.DataFrame, measure: str, cov_type: Covariance, level: float) -> pd.DataFrame:
    """Slopes of log `measure` for each group of rows; see `StudyResults.slopes`.

    Parameters
    ----------
    frame : DataFrame
        Rows of a study, with columns `bound` and `closed_form` (a squared error) beside them.
    measure : str
        Column of errors.
    cov_type : {"cluster", "HC0", "HC1", "HC2", "HC3"}
        Covariance of the slopes.
    level : float
        Of the intervals.

    Returns
    -------
    DataFrame
        A row for each group and term.
    """
    import pandas as pd

    check_choice(WHERE, "cov_type", cov_type, get_args(Covariance))
    level = check_level(WHERE, "level", level)
    if not (frame[measure] > 0).all():
        remedy = "An exactly linear response without noise leaves least squares no error: add noise, or a link."
        raise ValueError(invalid(WHERE, measure, 0.0, "> 0 in every row", remedy))
    rows: list[dict[str, Any]] = []
    for key, group in frame.groupby(GROUPS, sort=False, dropna=False):
        names = [name for name, column in TERMS.items() if group[column].nunique() > 1]
        if names:
            labels = dict(zip(GROUPS, key, strict=True))
            rows += [{**labels, **row} for row in _group_slopes(group, names, measure, cov_type, level)]
    if not rows:
        raise ValueError(invalid(WHERE, "n, p, s", "one value of each", "of two values at least for one of them"))
    return pd.DataFrame(rows)


def _group_slopes(
    group: pd.DataFrame, names: list[str], measure: str, cov_type: Covariance, level: float
) -> list[dict[str, Any]]:
    from statsmodels.regression.linear_model import OLS

    x = _design(group, names)
    if np.linalg.matrix_rank(x) < x.shape[1]:
        text = f"not proportional to each other ({', '.join(names)} vary together)"
        raise ValueError(invalid(WHERE, "factors", names, text, "Let them vary one by one, or crossed."))
    y = np.log(group[measure].to_numpy(dtype=np.float64))
    options: dict[str, Any] = {}
    if cov_type == "cluster":
        options["cov_kwds"] = {
            "groups": group.groupby(["grid", "sparsity", "replicate"], dropna=False).ngroup().to_numpy()
        }
    fitted = OLS(y, x).fit(cov_type=cov_type, use_t=True, **options)
    beta, covariance = np.asarray(fitted.params), np.asarray(fitted.cov_params())
    # statsmodels uses clusters - 1 degrees of freedom for "cluster" where it is asked for t
    df = float(fitted.df_resid_inference) if cov_type == "cluster" else float(fitted.df_resid)
    quantile = float(scipy.stats.t.ppf(0.5 + level / 2.0, df))
    legtv = str(group["estimator"].iloc[0]).startswith("legtv")
    bound = _least_squares(x, group["bound"]) if legtv else None
    closed = None if legtv else _least_squares(x, np.sqrt(group["closed_form"]))
    found = []
    terms: list[tuple[str, FloatArray, int | None]] = []
    terms += [(f"log {name}", _unit(i, len(beta)), None) for i, name in enumerate(names, start=1)]
    of_n = 1 + names.index("n") if "n" in names else None
    # what n has to do for the same error is no number where n does nothing: its slope must be clear of 0
    if of_n is not None and beta[of_n] + quantile * np.sqrt(max(covariance[of_n, of_n], 0.0)) < -1e-9:
        others = [(i, name) for i, name in enumerate(names, start=1) if name != "n"]
        terms += [(f"n by {name}", _unit(i, len(beta)), of_n) for i, name in others]
    for term, weights, at in terms:
        value, gradient = _ratio(beta, weights, at)
        error = float(np.sqrt(max(gradient @ covariance @ gradient, 0.0)))
        proof, printed = THEOREM[term] if legtv else (np.nan, np.nan)
        found.append(
            {
                "term": term,
                "exponent": value,
                "std_error": error,
                "low": value - quantile * error,
                "high": value + quantile * error,
                "proof": proof,
                "printed": printed,
                "bound": np.nan if bound is None else _ratio(bound, weights, at)[0],
                "closed_form": np.nan if closed is None else _ratio(closed, weights, at)[0],
                "n_obs": len(y),
            }
        )
    return found


def _design(group: pd.DataFrame, names: list[str]) -> FloatArray:
    columns = [np.log(group[TERMS[name]].to_numpy(dtype=np.float64)) for name in names]
    return np.column_stack([np.ones(len(group)), *columns])


def _least_squares(x: FloatArray, values: pd.Series[float]) -> FloatArray | None:
    """Coefficients of log values on x; None where there are no values."""
    known = values.to_numpy(dtype=np.float64)
    if not (known > 0).all():
        return None
    return np.asarray(np.linalg.lstsq(x, np.log(known), rcond=None)[0], dtype=np.float64)


def _unit(i: int, size: int) -> FloatArray:
    return np.asarray(np.arange(size) == i, dtype=np.float64)


def _ratio(beta: FloatArray, weights: FloatArray, at: int | None) -> tuple[float, FloatArray]:
    """A coefficient, or minus its ratio to the one of log n, with the gradient of that."""
    value = float(weights @ beta)
    if at is None:
        return value, weights
    ratio = -value / float(beta[at])
    return ratio, (-weights - ratio * _unit(at, len(beta))) / beta[at]
