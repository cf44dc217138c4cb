"""The placebo: how many cells are called significant where signs flipped at random leave nothing to find."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from legstat._core.checks import check_count, check_level, check_rng
from legstat._core.errors import InferenceUnavailableError
from legstat._core.typing import FloatArray
from legstat.checks.result import CheckResult
from legstat.estimators.leg_results import LEGResults
from legstat.samples.sample import QuerySample
from legstat.samples.segments import Segment


def placebo_sample(sample: QuerySample, *, rng: Any = None) -> QuerySample:
    r"""The sample with the sign of each observation's response flipped by a fair coin.

    Of a pair the two responses change places, so that its odd part changes its sign; a draw's response is mirrored at
    the mean of its stream. z and the sizes of the responses stay, and their law given these has :math:`\gamma = 0`.

    Parameters
    ----------
    sample : QuerySample
        What was queried.
    rng : int or anything `numpy.random.default_rng` takes
        The coins.

    Returns
    -------
    QuerySample
        A sample for `LEG`; it costs no evaluation.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> sample = ls.query(ls.simulate.linear(np.eye(4)), np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)
    >>> fake = ls.checks.placebo_sample(sample, rng=0)
    >>> bool(np.array_equal(np.sort(fake.responses), np.sort(sample.responses)))
    True
    """
    generator = check_rng("checks.placebo_sample", rng)
    means = [
        np.concatenate([s.responses.ravel() for s in sample.segments if s.channel == c] or [np.zeros(1)]).mean()
        for c in range(sample.n_channels)
    ]
    flipped = [_flipped(segment, float(means[segment.channel]), generator) for segment in sample.segments]
    return dataclasses.replace(sample, segments=tuple(flipped))


def placebo(sample: QuerySample, *, n_placebos: int = 20, alpha: float = 0.05, rng: Any = None) -> CheckResult:
    """Whether LEG calls as many cells significant as it says where there is nothing to find.

    LEG is refitted on `n_placebos` samples of `placebo_sample`, by the moments of the sample's conventions. Where its
    intervals hold on this picture, the share of cells whose two-sided p-value is at most `alpha` is `alpha` or less.

    Parameters
    ----------
    sample : QuerySample
        What was queried.
    n_placebos : int, default 20
        Refits, at least 2; each costs the moments of the sample once.
    alpha : float, default 0.05
        Nominal level of a cell.
    rng : int or anything `numpy.random.default_rng` takes
        The coins.

    Returns
    -------
    CheckResult
        Value: the share. Fails where it is above `alpha` by more than two Monte Carlo errors (cells of one placebo are
        dependent: the error comes from the spread between placebos). Not applicable without standard errors.

    Raises
    ------
    ValueError
        Arguments out of range.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> sample = ls.query(ls.simulate.logistic(np.eye(4)), np.full((1, 4, 4), 0.5), design, n_queries=401, rng=0)
    >>> ls.checks.placebo(sample, rng=0).status
    'passed'
    """
    where = "checks.placebo"
    check_count(where, "n_placebos", n_placebos, 2)
    check_level(where, "alpha", alpha)
    generator = check_rng(where, rng)
    valid = f"at most {alpha:g} and two Monte Carlo errors"
    try:
        shares = np.array([_share(placebo_sample(sample, rng=generator), alpha) for _ in range(n_placebos)])
    except InferenceUnavailableError as error:
        return CheckResult("placebo", "not_applicable", None, valid, f"No p-values: {error}")
    share, error_of = float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(n_placebos))
    passed = share <= alpha + 2.0 * error_of
    meaning = f"With signs flipped at random {share:.1%} of the cells are called significant at {alpha:.0%}" + (
        "." if passed else ": standard errors are too small on this picture, its p-values are not to be believed."
    )
    details = {"alpha": alpha, "monte_carlo_error": error_of, "n_placebos": n_placebos, "largest": float(shares.max())}
    return CheckResult("placebo", "passed" if passed else "failed", share, valid, meaning, details)


def _flipped(segment: Segment, mean: float, rng: np.random.Generator) -> Segment:
    coins = rng.random(len(segment.responses)) < 0.5
    responses = segment.responses.copy()
    if responses.shape[1] == 2:
        responses[coins] = responses[coins, ::-1]
    else:
        responses[coins] = 2.0 * mean - responses[coins]
    return dataclasses.replace(segment, responses=responses)


def _share(sample: QuerySample, alpha: float) -> float:
    moments = sample.moments()
    pvalues: FloatArray = LEGResults(moments=moments, params=moments.gamma.ravel()).pvalues
    return float((pvalues <= alpha).mean())
