"""Intervals: pointwise, and bands that hold for all cells at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import scipy

from legstat._core.errors import InferenceUnavailableError
from legstat._core.typing import FloatArray
from legstat.inference.covariance import SEED

MINIMUM_UNITS = 100
"""Observations from which intervals and tests are offered."""
MINIMUM_JOINT_UNITS = 300
"""Observations from which cross-fitted estimates offer bands and FWER tests: the tails of many t need more."""
HC0_UNITS_PER_UNKNOWN = 40
"""HC0 takes residuals for errors, which shrinks them by n / (n - unknowns): observations an unknown that it needs."""
HC_JOINT_UNITS_PER_UNKNOWN = 20
"""Observations an unknown from which HC1 and HC2 offer bands and familywise tests: below, at 6 say,
they were 0.5 to 1.5 % short."""
N_DRAWS = 2000
"""Multiplier draws: the 95 % quantile of the maximum is then known to within 0.5 % of probability."""


class DrawSource(Protocol):
    """What draws the joint law of the estimates' errors: `Covariance` or `Contrasts`."""

    def draws(self, n_draws: int, rng: Any = ..., /) -> Iterable[FloatArray]:
        """Batches of draws of shape (b, Q)."""


def check_units(where: str, n: int) -> None:
    """InferenceUnavailableError where intervals and tests would not hold their level."""
    if n < MINIMUM_UNITS:
        raise InferenceUnavailableError(
            f"legstat.{where}: {n} observations a channel (draws, or pairs if antithetic) are too few: below "
            f"{MINIMUM_UNITS} the intervals were measured to cover less than they say. Raise n_queries; "
            "`std_errors` are there without it."
        )


def check_kind(where: str, cov_type: str, n: int, unknowns: int, joint: bool) -> None:
    """InferenceUnavailableError where an estimate of variance was measured to cover less than it says.

    Parameters
    ----------
    where : str
        Call to name in the error.
    cov_type : str
        Which estimate.
    n : int
        Observations behind each stream.
    unknowns : int
        Unknowns of a stream.
    joint : bool
        Whether many parameters are to hold at once.
    """
    check_units(where, n)
    if cov_type == "HC0" and n < HC0_UNITS_PER_UNKNOWN * unknowns:
        raise InferenceUnavailableError(
            f"legstat.{where}: intervals by HC0 cover too little below {HC0_UNITS_PER_UNKNOWN} observations an unknown "
            f"(here {n} for {unknowns}). Use cov_type='HC2' or 'HC3'; HC0's std_errors are there for comparison."
        )
    if joint and cov_type == "crossfit" and n < MINIMUM_JOINT_UNITS:
        raise InferenceUnavailableError(
            f"legstat.{where}: cross-fitted estimates hold for all cells at once from {MINIMUM_JOINT_UNITS} "
            f"observations (here {n}). Raise n_queries, or use LEG(sample).fit(cov_type='sandwich'), or 'HC3' with "
            "more observations than cells."
        )
    if joint and cov_type in ("HC1", "HC2") and n < HC_JOINT_UNITS_PER_UNKNOWN * unknowns:
        raise InferenceUnavailableError(
            f"legstat.{where}: bands and familywise tests by {cov_type} hold from {HC_JOINT_UNITS_PER_UNKNOWN} "
            f"observations an unknown (here {n} for {unknowns}). Use cov_type='HC3', or conf_int(simultaneous=False)."
        )


def joint_quantile(maxima: FloatArray, level: float) -> float:
    """The normal quantile of bands whose largest |t| has the draws `maxima`: never below that of one interval."""
    return max(normal_quantile(level), float(np.quantile(maxima, level)))


def sequential_df(df: FloatArray) -> FloatArray:
    """Degrees of freedom of standard errors at an n that was chosen by widths: a third of those at a given n.

    A run that stops when its widths are small enough stops early where its standard errors came out small. Where that
    is worst (the target at what an analysis would see on average) and contributions are products of two normals, 95 %
    intervals miss in 5.6 % with the full df, in 5.1 % with a half, in 5.0 % with a third, at 128 to 3000 observations;
    90 % intervals need the third too (``python -m tests.statistical.sequential --model``).
    """
    return df / 3.0


def joint_df(df: FloatArray) -> FloatArray:
    """Degrees of freedom where several cells speak together: a half.

    Bands rest on the worst parameter. Where contributions have heavy tails (what a map leaves over of a saturating
    score: a few large residuals), it is the one whose standard error, and whose fourth moments, came out too small.
    With all df 95 % bands covered 85 to 94 % of clipped logistic and cubic truths at 100 to 640 observations, with a
    half 92 to 97 %; where there are hundreds of df it changes next to nothing (docs/studies/coverage.md). A mean over a
    region meets the same tails where the score bends along that region, with all df and with a half:
    ``python -m tests.statistical.sequential --fixed --replicates 400``.
    """
    return df / 2.0


def contrast_df(matrix: FloatArray, df: FloatArray) -> FloatArray:
    """Degrees of freedom of contrasts (rows of `matrix`) one by one: `joint_df` where a row has several cells in it."""
    return np.where(np.count_nonzero(matrix, axis=1) > 1, joint_df(df), df)


def normal_quantile(level: float) -> float:
    """c with P(|Z| <= c) = level for a standard normal Z."""
    return float(scipy.stats.norm.isf((1.0 - level) / 2.0))


def t_quantiles(normal: float, df: FloatArray) -> FloatArray:
    """Quantiles of t with as much probability beyond them as a standard normal has beyond `normal`."""
    return np.asarray(scipy.stats.t.isf(scipy.stats.norm.sf(normal), df), dtype=np.float64)


def two_sided_pvalues(t: FloatArray, df: FloatArray) -> FloatArray:
    """P(|T| >= |t|) for T of Student's law with `df` degrees of freedom."""
    return np.asarray(2.0 * scipy.stats.t.sf(np.abs(t), df), dtype=np.float64)


def normal_equivalents(pvalues: FloatArray) -> FloatArray:
    """|z| of which a standard normal has that two-sided p-value: statistics of different df on one scale."""
    return np.asarray(scipy.stats.norm.isf(np.maximum(pvalues, 1e-300) / 2.0), dtype=np.float64)


def symmetric(estimates: FloatArray, half_widths: FloatArray) -> FloatArray:
    """Intervals estimate -/+ half width, shape (Q, 2)."""
    return np.stack([estimates - half_widths, estimates + half_widths], axis=1)


def bonferroni_quantile(level: float, size: int) -> float:
    """c with P(any |Z_j| > c) <= 1 - level over `size` standard normals, whatever their dependence."""
    return float(scipy.stats.norm.isf((1.0 - level) / (2.0 * size)))


def max_t_draws(source: DrawSource, std_errors: FloatArray, n_draws: int = N_DRAWS, rng: Any = SEED) -> FloatArray:
    r"""Draws of the largest |error| / standard error.

    From a `Covariance` :math:`\max_j |\sum_u e_u \phi_{uj}| / se_j`, the Gaussian multiplier bootstrap.

    Their quantile is the critical value of bands that cover all parameters at once (Chernozhukov, Chetverikov and
    Kato, 2013: valid for many more parameters than observations, where every single interval is).

    Parameters
    ----------
    source : Covariance or Contrasts
        Draws the joint law of the estimates' errors.
    std_errors : ndarray of shape (Q,)
        Their standard errors; parameters with 0 are left out.
    n_draws : int, default 2000
        Number of draws.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of the multipliers.

    Returns
    -------
    ndarray of shape (n_draws,)
        The maxima. O(n_draws Q) time for each observation, at most 64 MiB at once.
    """
    return np.concatenate([studentised(batch, std_errors).max(axis=1) for batch in source.draws(n_draws, rng)])


def studentised(draws: FloatArray, std_errors: FloatArray) -> FloatArray:
    """|draws| / std_errors, 0 where the standard error is."""
    scaled = np.zeros_like(draws)
    np.divide(np.abs(draws), std_errors, out=scaled, where=std_errors > 0)
    return scaled


def absolute_sum_intervals(bands: FloatArray) -> FloatArray:
    r"""Intervals for :math:`\sum_c |\gamma_c|` from intervals that hold for all channels c at once.

    Parameters
    ----------
    bands : ndarray of shape (channels, cells, 2)
        Simultaneous intervals.

    Returns
    -------
    ndarray of shape (cells, 2)
        Sums of the smallest and of the largest |gamma_c| inside each interval. They cover wherever the bands do: at
        least at the bands' level. (The sum itself is not normal: |.| folds at 0, where its estimate is biased upwards.)

    Examples
    --------
    >>> absolute_sum_intervals(np.array([[[-1.0, 2.0]], [[3.0, 4.0]]]))
    array([[3., 6.]])
    """
    low, high = bands[..., 0], bands[..., 1]
    nearest = np.maximum(0.0, np.maximum(low, -high))
    farthest = np.maximum(np.abs(low), np.abs(high))
    return np.stack([nearest.sum(axis=0), farthest.sum(axis=0)], axis=1)
