"""How many queries, by a pilot sample or a noise level: for intervals of a given width, for a test's power."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import scipy

from legstat._core.checks import check_flag, check_level, check_positive, check_within
from legstat._core.errors import InferenceUnavailableError, invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.designs.design import Design
from legstat.inference.contrasts import Box, region_weights
from legstat.inference.covariance import SEED, Covariance
from legstat.inference.intervals import (
    MINIMUM_JOINT_UNITS,
    MINIMUM_UNITS,
    bonferroni_quantile,
    check_units,
    max_t_draws,
    normal_quantile,
)
from legstat.inference.needed import missing_one, units_of
from legstat.samples.budget import Budget
from legstat.samples.sample import QuerySample

_MOST_UNITS = 10**15


def solve_half_width(
    pilot: QuerySample | None = None,
    *,
    half_width: float | None = None,
    n_queries: int | None = None,
    level: float | None = None,
    noise: float | None = None,
    design: Design | None = None,
    simultaneous: bool = False,
    antithetic: bool = True,
    rng: Any = SEED,
) -> float:
    """Queries, half-width or level of LEG's intervals, exactly one of the three being None.

    Parameters
    ----------
    pilot : QuerySample, optional
        A sample of the experiment: its standard errors are scaled by root n.
    half_width : float, optional
        Of the widest interval over all cells and channels, in units of gamma.
    n_queries : int, optional
        Model evaluations, f(x0) and the base point included.
    level : float, optional
        Coverage of each interval, or of all.
    noise : float, optional
        Instead of a pilot: standard deviation of what the linear map does not explain of an observation's response
        (pairs: of (f(z) - f(-z)) / 2).
    design : Design, optional
        With `noise`: the design.
    simultaneous : bool, default False
        Whether the intervals shall hold for all cells at once: max-t from a pilot, Bonferroni from a noise level.
    antithetic : bool, default True
        With `noise`: whether observations are pairs. A pilot knows its own.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of the bootstrap's multipliers.

    Returns
    -------
    float
        The argument that was None.

    Raises
    ------
    ValueError
        If not exactly one is None, one is out of range, or not exactly one of pilot and noise is given.
    TypeError
        If the pilot is no sample.
    InferenceUnavailableError
        If the pilot has fewer observations than intervals are offered from.

    Notes
    -----
    Never fewer queries than pay for the observations from which the intervals are offered. Normal quantiles. The
    pilot's own residuals stand for those of the larger sample, whose cross-fitted map is better: with few observations
    for each unknown the answer is on the safe side.

    Examples
    --------
    >>> from legstat import StructuredGaussian
    >>> design = StructuredGaussian(grid=(8, 8), scale=0.05)
    >>> n = solve_half_width(half_width=0.2, level=0.95, noise=0.01, design=design)
    >>> bool(solve_half_width(n_queries=int(n), level=0.95, noise=0.01, design=design) <= 0.2)
    True
    """
    where, simultaneous = "solve_half_width", check_flag("solve_half_width", "simultaneous", simultaneous)
    missing = missing_one(where, {"half_width": half_width, "n_queries": n_queries, "level": level})
    deviations, covariance, budget = _deviations(where, pilot, noise, design, antithetic)
    widest = float(deviations.max())
    if missing != "half_width":
        check_positive(where, "half_width", half_width)
    least = _offered_from(pilot, simultaneous)
    units = least if n_queries is None else units_of(where, budget, n_queries, least)
    maxima = np.empty(0)
    if simultaneous and covariance is not None:
        maxima = max_t_draws(covariance, np.sqrt(covariance.variances), rng=rng)

    def quantile(x: float) -> float:
        if not simultaneous:
            return normal_quantile(x)
        return float(np.quantile(maxima, x)) if maxima.size else bonferroni_quantile(x, deviations.size)

    if missing == "level":
        reach = cast("float", half_width) * np.sqrt(units) / widest
        if not simultaneous:
            return float(1.0 - 2.0 * scipy.stats.norm.sf(reach))
        if maxima.size:
            return float((maxima <= reach).mean())
        return float(max(0.0, 1.0 - 2.0 * deviations.size * scipy.stats.norm.sf(reach)))
    c = quantile(check_level(where, "level", level))
    if missing == "half_width":
        return c * widest / float(np.sqrt(units))
    return float(budget.queries(max(least, (c * widest / cast("float", half_width)) ** 2)))


def solve_power(
    pilot: QuerySample | None = None,
    *,
    region: AnyArray | Box,
    contrast: float | None = None,
    n_queries: int | None = None,
    alpha: float | None = None,
    power: float | None = None,
    noise: float | None = None,
    design: Design | None = None,
    antithetic: bool = True,
) -> float:
    """Contrast, queries, level or power of the test that a region's mean is 0, exactly one of the four being None.

    Parameters
    ----------
    pilot : QuerySample, optional
        A sample of the experiment.
    region : ndarray of shape (p1, p2) or tuple of four int
        A mask or a box (see `LEGResults.region`), named in advance.
    contrast : float, optional
        The mean of gamma over the region that shall be seen.
    n_queries : int, optional
        Model evaluations.
    alpha : float, optional
        Level of the two-sided test.
    power : float, optional
        Probability to reject.
    noise, design, antithetic : optional
        Instead of a pilot; see `solve_half_width`.

    Returns
    -------
    float
        The argument that was None (a contrast > 0).

    Raises
    ------
    ValueError
        If not exactly one is None, an argument is out of range, or the region is several.
    TypeError
        If the pilot is no sample.
    InferenceUnavailableError
        If the pilot has fewer observations than tests are offered from.

    Notes
    -----
    Never fewer queries than pay for the observations from which the test is offered.
    The two-sided z-test of statsmodels' ``NormalIndPower`` with one sample (``ratio=0``): its effect size is the
    contrast over the standard error times root n, its observations are the sample's.
    With several channels, the least favourable one.

    Examples
    --------
    >>> from legstat import StructuredGaussian
    >>> known = {"region": (2, 4, 2, 4), "alpha": 0.05, "noise": 0.01, "design": StructuredGaussian((8, 8), scale=0.05)}
    >>> need = solve_power(contrast=0.1, power=0.8, **known)
    >>> solve_power(contrast=0.1, n_queries=int(need), **known) >= 0.8
    True
    """
    where = "solve_power"
    given = {"contrast": contrast, "n_queries": n_queries, "alpha": alpha, "power": power}
    missing = missing_one(where, given)
    for name in ("alpha", "power"):
        if given[name] is not None:
            check_level(where, name, given[name])
    law = pilot.design if isinstance(pilot, QuerySample) else design
    deviation = np.nan
    budget = Budget()
    if law is not None:
        labels, weights = region_weights(where, region, law.grid.shape, "mean")
        if len(labels) != 1:
            raise ValueError(invalid(where, "region", f"{len(labels)} regions", "one region"))
        deviations, _, budget = _deviations(where, pilot, noise, design, antithetic, weights)
        deviation = float(deviations.max())
    else:
        _deviations(where, pilot, noise, design, antithetic)
    if contrast is not None and check_within(where, "contrast", contrast, -np.inf) == 0:
        raise ValueError(invalid(where, "contrast", contrast, "a finite number other than 0"))

    def reached(effect: float, units: float, a: float) -> float:
        c, shift = scipy.stats.norm.isf(a / 2.0), abs(effect) * np.sqrt(units) / deviation
        return float(scipy.stats.norm.sf(c - shift) + scipy.stats.norm.cdf(-c - shift))

    units = 1.0 if n_queries is None else float(units_of(where, budget, n_queries, MINIMUM_UNITS))
    if missing == "power":
        return reached(cast("float", contrast), units, cast("float", alpha))
    target = cast("float", power)
    if alpha is not None and target <= alpha:
        raise ValueError(invalid(where, "power", power, f"above alpha = {alpha}, which no effect at all reaches"))
    if missing == "contrast":
        a = cast("float", alpha)
        return _root(lambda x: reached(x, units, a) - target, deviation / np.sqrt(units))
    if missing == "alpha":
        effect = cast("float", contrast)
        return float(scipy.optimize.brentq(lambda a: reached(effect, units, a) - target, 1e-15, target, xtol=1e-15))
    a, effect = cast("float", alpha), cast("float", contrast)
    found = _root(lambda n: reached(effect, n, a) - target, (deviation / effect) ** 2)
    return float(budget.queries(max(float(MINIMUM_UNITS), found)))


def detectable_contrast(std_errors: FloatArray, *, alpha: float = 0.05, power: float = 0.8) -> FloatArray:
    """The contrasts that a two-sided z-test at level `alpha` sees with probability `power`, by standard error.

    The other tail is left out: it takes part in a millionth of the power at the usual levels.
    """
    quantiles = scipy.stats.norm.isf(alpha / 2.0) + scipy.stats.norm.ppf(power)
    return np.asarray(quantiles * std_errors, dtype=np.float64)


def _offered_from(pilot: QuerySample | None, simultaneous: bool) -> int:
    """Observations from which the intervals are offered; without a pilot, of cross-fitted moments."""
    crossfit = pilot is None or pilot.conventions == "default"
    return MINIMUM_JOINT_UNITS if simultaneous and crossfit else MINIMUM_UNITS


def _deviations(
    where: str,
    pilot: QuerySample | None,
    noise: float | None,
    design: Design | None,
    antithetic: bool,
    weights: FloatArray | None = None,
) -> tuple[FloatArray, Covariance | None, Budget]:
    """Root n times the standard error of each cell, or of each channel's contrast; the covariance; the budget."""
    if (pilot is None) == (noise is None):
        raise ValueError(invalid(where, "pilot, noise", (pilot, noise), "exactly one of the two"))
    if pilot is not None:
        given: object = pilot
        if not isinstance(given, QuerySample):
            remedy = "Moments alone do not tell their noise: pass noise= and design=."
            raise TypeError(invalid(where, "pilot", type(given).__name__, "a QuerySample", remedy))
        check_units(f"{where}, of its pilot", min(pilot.n_units))
        moments = pilot.moments("crossfit" if pilot.conventions == "default" else None)
        if moments.variances is None or moments.influence is None:
            raise InferenceUnavailableError(f"legstat.{where}: {moments.kind} moments carry no variance.")
        covariance = Covariance(pilot.units, moments.influence)
        budget = pilot.budget
        if weights is None:
            return np.sqrt(moments.variances.ravel() * moments.n), covariance, budget
        rows = len(moments.b)
        contrasts = np.asarray(np.kron(np.eye(rows), weights), dtype=np.float64)
        return np.sqrt(np.diag(covariance.of(contrasts)[0]) * moments.n), covariance, budget
    if design is None:
        raise ValueError(invalid(where, "design", design, "the design, with a noise level"))
    check_positive(where, "noise", noise)
    check_flag(where, "antithetic", antithetic)
    if weights is None:
        p = design.grid.n_cells
        # row by row in blocks, so that no p x p matrix is held
        blocks = [(i, min(i + 256, p)) for i in range(0, p, 256)]
        precision = np.concatenate([np.diagonal(design.solve(np.eye(b - a, p, k=a))[:, a:b]) for a, b in blocks])
    else:
        precision = np.einsum("ij,ij->i", weights, design.solve(weights))
    return cast("float", noise) * np.sqrt(precision), None, Budget(antithetic)


def _root(function: Callable[[float], float], start: float) -> float:
    """The root of an increasing function on (0, infinity), searched outwards from `start`."""
    low = high = start
    while function(low) > 0 and low > 1e-300:
        low /= 4.0
    while function(high) < 0 and high < _MOST_UNITS * max(start, 1.0):
        high *= 4.0
    return float(scipy.optimize.brentq(function, low, high, xtol=1e-300, rtol=1e-14))
