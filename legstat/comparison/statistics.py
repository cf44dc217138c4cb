"""What a comparison's numbers say: means, paired differences with simultaneous intervals, censored sizes, ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from legstat._core.typing import BoolArray, FloatArray

_DRAWS = 20_000
_SEED = 0


@dataclass(frozen=True, eq=False)
class Paired:
    """Mean differences of several methods to one, picture by picture.

    Attributes
    ----------
    means, std_errors : ndarray of shape (k,)
        Of each method's differences over the pictures.
    low, high : ndarray of shape (k,)
        Intervals that cover all k mean differences at once with the level.
    pvalues : ndarray of shape (k,)
        Adjusted for the k tests: the chance of so large a largest studentised difference where there is none.
    n : int
        Pictures.

    Examples
    --------
    >>> found = paired_differences(np.array([[0.1, 0.3, 0.2, 0.2]]), level=0.95)
    >>> found.means.round(2), found.n
    (array([0.2]), 4)
    """

    means: FloatArray
    std_errors: FloatArray
    low: FloatArray
    high: FloatArray
    pvalues: FloatArray
    n: int


def paired_differences(differences: FloatArray, level: float) -> Paired:
    r"""Simultaneous intervals of the means of correlated differences.

    The largest of :math:`|t_j|` is drawn from the multivariate Student law with the differences' own correlations and
    n - 1 degrees of freedom; its quantile replaces that of a single t.

    Parameters
    ----------
    differences : ndarray of shape (k, n)
        Of k methods on the same n pictures, n >= 2.
    level : float
        Of all intervals together.

    Returns
    -------
    Paired
        Means, standard errors, intervals and adjusted p-values.
    """
    n = differences.shape[1]
    means = differences.mean(axis=1)
    errors = differences.std(axis=1, ddof=1) / np.sqrt(n)
    moving = errors > 0.0
    largest = _largest_t(differences[moving], n) if moving.any() else np.zeros(1)
    bound = float(np.quantile(largest, level))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(moving, np.abs(means) / errors, np.where(means == 0.0, 0.0, np.inf))
    pvalues = np.array([(np.sum(largest >= one) + 1.0) / (len(largest) + 1.0) for one in t])
    return Paired(means, errors, means - bound * errors, means + bound * errors, pvalues, n)


def _largest_t(differences: FloatArray, n: int) -> FloatArray:
    rng = np.random.default_rng(_SEED)
    correlation = np.atleast_2d(np.corrcoef(differences))
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    z = rng.standard_normal((_DRAWS, len(differences))) @ root.T
    scale = np.sqrt(rng.chisquare(n - 1, _DRAWS) / (n - 1))
    return np.asarray(np.abs(z).max(axis=1) / scale, dtype=np.float64)


def restricted_mean(sizes: FloatArray, censored: BoolArray, until: float) -> float:
    r"""Mean of min(T, tau) of sizes T of which some are only known to be larger: the area below Kaplan-Meier's curve.

    Parameters
    ----------
    sizes : ndarray of shape (n,)
        T, or where `censored` what it is larger than.
    censored : ndarray of shape (n,)
        Which are.
    until : float
        tau: not above the largest size that was tried, or the curve says nothing there.

    Returns
    -------
    float
        In units of the sizes.

    Examples
    --------
    >>> restricted_mean(np.array([0.2, 0.4, 0.6]), np.array([False, False, False]), 1.0)
    0.4
    """
    from statsmodels.duration.survfunc import SurvfuncRight

    if censored.all():
        return float(until)
    curve = SurvfuncRight(sizes, (~censored).astype(int))
    inside = curve.surv_times < until
    times = np.concatenate([[0.0], curve.surv_times[inside], [until]])
    levels = np.concatenate([[1.0], curve.surv_prob[inside]])
    return float(np.sum(levels * np.diff(times)))


def pseudo_values(sizes: FloatArray, censored: BoolArray, until: float) -> FloatArray:
    r"""What each picture adds to the restricted mean: :math:`n \hat\mu - (n - 1) \hat\mu_{-i}` (Andersen et al., 2003).

    Without censoring these are min(T_i, tau); with it they stand for them, so that censored sizes can be averaged,
    paired and tested like others.

    Parameters
    ----------
    sizes, censored, until : as for `restricted_mean`
        The sizes.

    Returns
    -------
    ndarray of shape (n,)
        Their mean is the restricted mean.

    Examples
    --------
    >>> pseudo_values(np.array([0.25, 0.5]), np.array([False, False]), 1.0)
    array([0.25, 0.5 ])
    """
    n = len(sizes)
    whole = restricted_mean(sizes, censored, until)
    if n == 1:
        return np.array([whole])
    rest = np.ones(n, dtype=bool)
    values = np.empty(n)
    for i in range(n):
        rest[i] = False
        values[i] = n * whole - (n - 1) * restricted_mean(sizes[rest], censored[rest], until)
        rest[i] = True
    return values


def mean_ranks(values: FloatArray, *, high_is_good: bool, draws: int = 2000) -> tuple[FloatArray, FloatArray]:
    """Mean rank of each method over pictures (1 is best), with its bootstrap standard error over pictures.

    Parameters
    ----------
    values : ndarray of shape (k, n)
        Of k methods on n pictures.
    high_is_good : bool
        Whether large values rank first.
    draws : int, default 2000
        Bootstrap samples of pictures.

    Returns
    -------
    ranks, std_errors : ndarray of shape (k,)
        Ties share their mean rank.

    Examples
    --------
    >>> mean_ranks(np.array([[0.9, 0.8], [0.1, 0.2]]), high_is_good=True)[0]
    array([1., 2.])
    """
    ranks = scipy.stats.rankdata(-values if high_is_good else values, axis=0)
    n = values.shape[1]
    chosen = np.random.default_rng(_SEED).integers(0, n, (draws, n))
    return ranks.mean(axis=1), ranks[:, chosen].mean(axis=2).std(axis=1, ddof=1)
