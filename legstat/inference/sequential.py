"""The judge of a query run that stops by itself: when it is analysed, what is seen, what its intervals cost.

A run may stop because of its widths only if the intervals after it still cover. Here interim analyses are few and
fixed in advance, see no estimate, and intervals afterwards have fewer degrees of freedom (`sequential_df`), which makes
up for the standard errors that were selected for being small.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np

from legstat._core.conventions import Conventions
from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.designs.blocks import BLOCK
from legstat.inference.contrasts import Contrasts, region_weights
from legstat.inference.covariance import contrast_matrix, covariance_of
from legstat.inference.intervals import (
    MINIMUM_JOINT_UNITS,
    MINIMUM_UNITS,
    check_kind,
    contrast_df,
    joint_df,
    joint_quantile,
    max_t_draws,
    normal_quantile,
    sequential_df,
    t_quantiles,
)
from legstat.moments.estimate import estimate_moments
from legstat.samples.sample import QuerySample
from legstat.samples.stopping import HalfWidth

GROWTH = Fraction(5, 4)
"""Observations at an interim analysis over those at the one before, then rounded up to whole blocks."""


def first_analysis(rule: HalfWidth, rules: Conventions) -> int:
    """Observations at the first interim analysis: whole blocks, as many as the rule's intervals are offered from.

    Parameters
    ----------
    rule : HalfWidth
        What is to be reached.
    rules : Conventions
        Of the experiment; its moments for LEG decide what bands need.

    Returns
    -------
    int
        128, or 320 for bands of cross-fitted estimates.
    """
    joint = rule.simultaneous and rules.leg_moments == "crossfit"
    return -(-(MINIMUM_JOINT_UNITS if joint else MINIMUM_UNITS) // BLOCK) * BLOCK


def analysis_sizes(first: int, most: int) -> tuple[int, ...]:
    """Observations at each interim analysis: from `first`, a quarter more each time in whole blocks, and the ceiling.

    Parameters
    ----------
    first, most : int
        Observations (draws, or pairs) at the first analysis, and those that the budget allows.

    Returns
    -------
    tuple of int
        Ascending; a larger ceiling only adds to them, its own last one apart.

    Examples
    --------
    >>> analysis_sizes(128, 500)
    (128, 160, 224, 288, 384, 480, 500)
    """
    sizes, units = [], first
    while units < most:
        sizes.append(units)
        units = -(-math.ceil(GROWTH * units) // BLOCK) * BLOCK
    return (*sizes, most)


def rule_contrasts(rule: HalfWidth, shape: tuple[int, int], n_params: int) -> FloatArray | None:
    """The rule's contrasts as a matrix: regions as their means in each channel, None where the rule is about cells.

    Parameters
    ----------
    rule : HalfWidth
        The rule.
    shape : tuple of int
        (p1, p2) of the grid.
    n_params : int
        P p.

    Returns
    -------
    ndarray of shape (k, P p) or None
        One row each.

    Raises
    ------
    ValueError
        Where regions or contrasts do not fit the grid and the channels, or a contrast has no weight.
    """
    if rule.region is not None:
        _, weights = region_weights("HalfWidth", rule.region, shape, "mean")
        return np.asarray(np.kron(np.eye(n_params // weights.shape[1]), weights), dtype=np.float64)
    if rule.contrasts is None:
        return None
    matrix = contrast_matrix("HalfWidth", "contrasts", rule.contrasts, n_params)
    if not matrix.any(axis=1).all():
        raise ValueError(invalid("HalfWidth", "contrasts", "a row of zeros", "with a weight in each row"))
    return matrix


def widest_half_width(sample: QuerySample, rule: HalfWidth) -> float:
    """Half-width of the widest of the rule's intervals: of cells that of ``LEG(sample).fit().conf_int()``.

    Parameters
    ----------
    sample : QuerySample
        What has been evaluated.
    rule : HalfWidth
        Level, simultaneity, cells or regions.

    Returns
    -------
    float
        In units of gamma.

    Notes
    -----
    Costs the moments once (O(n p^2 + p^3) cross-fitted) and, for bands, 2000 multiplier draws (O(2000 n p)). Holds no
    draws beyond one chunk.
    """
    # what an analysis draws again is not kept: a run's memory is to depend on the grid, not on how long it goes on
    units = tuple(dataclasses.replace(one, keep=False) for one in sample.units)
    moments = estimate_moments(units, sample.design, sample.convention_set.leg_moments)
    covariance = covariance_of(moments, units, "query")
    cells = sample.design.grid.n_cells
    unknowns = covariance.size if sample.design.channels == "joint" else cells
    matrix = rule_contrasts(rule, sample.design.grid.shape, covariance.size)
    if matrix is None:
        check_kind("query", moments.cov_type, moments.n, unknowns, rule.simultaneous)
        errors = np.sqrt(covariance.variances if moments.variances is None else moments.variances.ravel())
        df = np.full(errors.size, np.inf) if moments.df is None else moments.df.ravel()
        quantile = normal_quantile(rule.level)
        if rule.simultaneous:
            quantile = joint_quantile(max_t_draws(covariance, errors), rule.level)
        return float((t_quantiles(quantile, sequential_df(df)) * errors).max())
    variances, df = covariance.of(matrix)
    found = Contrasts(
        labels=tuple(map(str, range(len(matrix)))),
        estimates=np.zeros(len(matrix)),
        covariance=variances,
        df=contrast_df(matrix, sequential_df(df)),
        joint_df=joint_df(sequential_df(df)),
        n=moments.n,
        cov_type=moments.cov_type,
        unknowns=unknowns,
    )
    return float(found.conf_int(level=rule.level, simultaneous=rule.simultaneous)[:, 1].max())
