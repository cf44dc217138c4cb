"""Many cells tested at once: control of the false discovery rate and of the familywise error rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy

from legstat._core.checks import check_level
from legstat._core.errors import invalid
from legstat._core.frozen import Portable
from legstat._core.notebooks import Rich
from legstat._core.typing import BoolArray, FloatArray
from legstat._core.values import read_only
from legstat.inference.covariance import SEED
from legstat.inference.intervals import N_DRAWS, DrawSource, normal_equivalents, studentised

if TYPE_CHECKING:
    import pandas as pd

METHODS = {"fdr": ("BH", "BY"), "fwer": ("step-down", "max-t", "Holm", "Bonferroni")}
"""Methods by the rate they control, the default first."""
CORRECTIONS = {"BH": "fdr_bh", "BY": "fdr_by", "Holm": "holm", "Bonferroni": "bonferroni"}


@dataclass(frozen=True, kw_only=True, eq=False)
class MultipleTest(Rich, Portable):
    """Which parameters differ from 0, with control over all of them together.

    Attributes
    ----------
    reject : ndarray of bool, shape (Q,)
        Whether each parameter is declared different from 0.
    pvalues, pvalues_adjusted : ndarray of shape (Q,)
        Two-sided p-values by themselves, and adjusted: rejected at rate q exactly where they are <= q. Familywise ones
        have half of the degrees of freedom that single intervals have, as bands do.
    estimates : ndarray of shape (Q,)
        The parameters, for the sign of what was found.
    rate : {"fdr", "fwer"}
        What is controlled: the expected share of false ones among the rejected, or the probability of any false one.
    level : float
        At which level.
    method : str
        How.
    grid_shape : tuple of int
        (p1, p2), or (1, Q) where the hypotheses are not cells.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.zeros((4, 4)); gamma[1:3, 1:3] = 2.0
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.2)
    >>> sample = ls.query(ls.simulate.logistic(gamma), np.full((1, 4, 4), 0.5), design, n_queries=1201, rng=0)
    >>> found = ls.LEG(sample).fit().test(fwer=0.05)
    >>> bool(found.significant[0, 1:3, 1:3].all())
    True
    """

    reject: BoolArray
    pvalues: FloatArray
    pvalues_adjusted: FloatArray
    estimates: FloatArray
    rate: str
    level: float
    method: str
    grid_shape: tuple[int, int]

    def __post_init__(self) -> None:
        for name in ("reject", "pvalues", "pvalues_adjusted", "estimates"):
            object.__setattr__(self, name, read_only(np.array(getattr(self, name))))

    @property
    def n_rejected(self) -> int:
        """Number of significant parameters."""
        return int(self.reject.sum())

    @property
    def significant(self) -> BoolArray:
        """The map of significant cells, shape (P, p1, p2)."""
        return self.reject.reshape(-1, *self.grid_shape)

    @property
    def signs(self) -> FloatArray:
        """Sign of the estimate where significant, 0 elsewhere, shape (P, p1, p2)."""
        return np.where(self.reject, np.sign(self.estimates), 0.0).reshape(-1, *self.grid_shape)

    def to_frame(self) -> pd.DataFrame:
        """One row a hypothesis: channel, row, column, estimate, p-values, decision."""
        import pandas as pd

        index = np.indices(self.significant.shape).reshape(3, -1)
        return pd.DataFrame(
            {
                "channel": index[0],
                "row": index[1],
                "column": index[2],
                "estimate": self.estimates,
                "pvalue": self.pvalues,
                "pvalue_adjusted": self.pvalues_adjusted,
                "reject": self.reject,
            }
        )

    def __repr__(self) -> str:
        found = f"{self.n_rejected} of {self.reject.size} significant"
        return f"<MultipleTest {found}, {self.rate.upper()} <= {self.level:g} by {self.method}>"


def rate_and_method(where: str, fdr: float | None, fwer: float | None, method: str | None) -> tuple[str, float, str]:
    """The rate to control, its level and the method; ValueError where they do not go together."""
    if (fdr is None) == (fwer is None):
        raise ValueError(invalid(where, "fdr, fwer", (fdr, fwer), "exactly one of the two", "fdr=0.1 is usual."))
    rate, level = ("fdr", fdr) if fdr is not None else ("fwer", fwer)
    checked = check_level(where, rate, level)
    chosen = METHODS[rate][0] if method is None else str(method)
    known = {m.lower(): m for m in METHODS[rate]}
    if chosen.lower() not in known:
        raise ValueError(invalid(where, "method", method, "one of " + ", ".join(METHODS[rate]) + f" with {rate}="))
    return rate, checked, known[chosen.lower()]


def multiple_test(
    estimates: FloatArray,
    std_errors: FloatArray,
    pvalues: FloatArray,
    rate_level_method: tuple[str, float, str],
    grid_shape: tuple[int, int],
    *,
    covariance: Callable[[], DrawSource] | None = None,
    n_draws: int = N_DRAWS,
    rng: Any = SEED,
) -> MultipleTest:
    """Test each parameter against 0 with control over all.

    Parameters
    ----------
    estimates, std_errors, pvalues : ndarray of shape (Q,)
        Of the parameters by themselves.
    rate_level_method : tuple of str, float, str
        As `rate_and_method` returns them.
    grid_shape : tuple of int
        Shape of the map.
    covariance : callable, optional
        Gives the covariance; asked only by "max-t" and "step-down", which need it.
    n_draws, rng : optional
        Of their multiplier bootstrap.

    Returns
    -------
    MultipleTest
        The decisions.

    Notes
    -----
    BH (Benjamini and Hochberg, 1995) controls the FDR under independence and positive dependence; BY (Benjamini and
    Yekutieli, 2001) under any. Holm and Bonferroni control the FWER under any dependence; max-t and its step-down
    version (Westfall and Young, 1993; Romano and Wolf, 2005) use the estimated dependence and find more.
    BH, BY, Holm and Bonferroni are statsmodels' `multipletests`.
    """
    rate, level, method = rate_level_method
    if method in CORRECTIONS:
        adjusted = corrected(pvalues, method)
    else:
        if covariance is None:
            raise ValueError(invalid("multiple_test", "method", method, "Holm or Bonferroni without a covariance"))
        adjusted = _max_t_pvalues(
            normal_equivalents(pvalues), std_errors, covariance(), method == "step-down", n_draws, rng
        )
    return MultipleTest(
        reject=adjusted <= level,
        pvalues=pvalues,
        pvalues_adjusted=adjusted,
        estimates=estimates,
        rate=rate,
        level=level,
        method=method,
        grid_shape=grid_shape,
    )


def corrected(pvalues: FloatArray, method: str) -> FloatArray:
    """p-values adjusted by one of `CORRECTIONS`; NaN stays NaN, and does not count."""
    from statsmodels.stats.multitest import multipletests

    adjusted = np.full(pvalues.shape, np.nan)
    known = ~np.isnan(pvalues)
    if known.any():
        adjusted[known] = multipletests(pvalues[known], method=CORRECTIONS[method])[1]
    return adjusted


def _max_t_pvalues(
    t: FloatArray, std_errors: FloatArray, covariance: DrawSource, step_down: bool, n_draws: int, rng: Any
) -> FloatArray:
    """Adjusted p-values (1 + #{draws' maximum >= t_j}) / (1 + draws), the maximum over all or over those not larger."""
    order = np.argsort(t, kind="stable")  # ascending: the running maximum is then over those not larger
    exceed = np.zeros(t.size)
    for batch in covariance.draws(n_draws, rng):
        scaled = studentised(batch, std_errors)
        if step_down:
            exceed[order] += (np.maximum.accumulate(scaled[:, order], axis=1) >= t[order]).sum(axis=0)
        else:
            exceed += (scaled.max(axis=1)[:, None] >= t).sum(axis=0)
    adjusted = (1.0 + exceed) / (1.0 + n_draws)
    if step_down:
        # a smaller statistic never has the smaller adjusted p-value
        adjusted[order] = np.maximum.accumulate(adjusted[order][::-1])[::-1]
    # draws of an estimate without error would find nothing beyond it
    return np.maximum(np.minimum(adjusted, 1.0), 2.0 * scipy.stats.norm.sf(t))
