"""Another class's map: whether a map speaks of its class, or would be there for any."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from legstat._core.checks import check_level, check_rng, check_type
from legstat._core.typing import JSON, FloatArray
from legstat.checks.again import asked_again
from legstat.checks.likeness import resemblance
from legstat.checks.result import CheckResult
from legstat.estimators.leg import moment_kind
from legstat.metrics.faithfulness import rank_correlation
from legstat.responses.base import Response
from legstat.responses.network.response import NetworkResponse
from legstat.samples.sample import QuerySample
from legstat.samples.splitting import split_sample

_PARTS = 4
"""Of each class's sample: 4 and 4 maps can be dealt in 35 ways, the fewest that can be significant at 0.05."""


def other_target(
    f: Response,
    sample: QuerySample,
    *,
    target: int | str | None = None,
    alpha: float = 0.05,
    rng: Any = None,
    progress: bool = False,
) -> CheckResult:
    """Whether the map of another class differs by more than repeated draws do.

    The sample and one of the other class, of as many evaluations, are cut into four parts with draws of their own. Each
    part has a map (LEG on LEG-TV's moments). The statistic is the mean rank correlation of two maps of one class, less
    that of two maps of different classes; under the null that the classes have one map, all 35 ways to deal the eight
    maps into two fours are alike, which gives its exact p-value.

    Parameters
    ----------
    f : NetworkResponse
        The network, asked for the sample's target.
    sample : QuerySample
        Of the picture.
    target : int or str, optional
        The other class; by default the runner-up at x0 (the first choice, where the sample's target is another).
    alpha : float, default 0.05
        Level.
    rng : int or anything `numpy.random.default_rng` takes
        Source of the other class's draws.
    progress : bool, default False
        Show the bar of the query.

    Returns
    -------
    CheckResult
        Value: the p-value. Fails where the maps of the two classes are as alike as those of one. Not applicable where
        two parts of the sample do not resemble each other, for two-class scores, and for what has no classes.

    Notes
    -----
    Costs as many evaluations as the sample.

    Examples
    --------
    >>> import legstat as ls
    >>> from legstat.data import digits_model_path, load_digit
    >>> f, design = ls.onnx_response(digits_model_path()), ls.MultiscaleBlocks(grid=(8, 8))
    >>> sample = ls.query(f, load_digit(0)[0], design, perturbation=ls.Blend("blur", at=0.5), n_queries=2000, rng=0)
    >>> ls.checks.other_target(f, sample, rng=0).status
    'passed'
    """
    where, name, valid = "checks.other_target", "other_target", f"at most {alpha:g}"
    check_level(where, "alpha", alpha)
    check_type(where, "sample", sample, QuerySample, "of the picture, such as `explanation.sample`")
    generator = check_rng(where, rng)
    if target is not None and isinstance(f, NetworkResponse):
        f.rescored(f.score_name, target)  # an unknown one is told before anything is evaluated
    if not isinstance(f, NetworkResponse) or isinstance(sample.response.get("target"), list | None):
        return CheckResult(name, "not_applicable", None, valid, "The score is not that of one class among several.")
    settled, _ = f.bind(sample.image)
    first = [index for index, _, _ in settled.describe()["top_x0"]]
    mine = sample.response["target"]
    chosen = target if target is not None else next((k for k in first if k != mine), None)
    if chosen is None:
        return CheckResult(name, "not_applicable", None, valid, "There is no other class.")
    asked = settled.rescored(settled.score_name, chosen)
    other = asked_again(asked, sample, sample.ledger.n_queries, generator, progress=progress)
    details: JSON = {
        "target": mine,
        "other": other.response.get("target"),
        "evaluations": 1 + settled.trials + other.ledger.spent,
    }
    try:
        maps = [*_quarters(sample), *_quarters(other)]
    except ValueError:
        meaning = "There are too few observations to cut the sample into four."
        return CheckResult(name, "not_applicable", None, valid, meaning, details)
    itself = resemblance(maps[0] + maps[1], maps[2] + maps[3], rng=generator)
    details |= {"itself": itself.values["spearman"], "itself_pvalue": itself.pvalues["spearman"]}
    if not itself.pvalues["spearman"] <= alpha:
        meaning = "Two halves of the sample do not have the same map: too few evaluations to tell classes apart."
        return CheckResult(name, "not_applicable", None, valid, meaning, details)
    alike = np.array([[rank_correlation(a, b) for b in maps] for a in maps])
    alike = np.nan_to_num(alike)  # a constant map is like none
    dealt = [_statistic(alike, {0, *three}) for three in combinations(range(1, 2 * _PARTS), _PARTS - 1)]
    observed = _statistic(alike, set(range(_PARTS)))
    pvalue = float(np.mean([value >= observed - 1e-12 for value in dealt]))
    own = alike[:_PARTS, :_PARTS][np.triu_indices(_PARTS, 1)].mean()
    details |= {"within": float(own), "between": float(alike[:_PARTS, _PARTS:].mean()), "difference": observed}
    passed = pvalue <= alpha
    meaning = (
        f"Class {details['other']} has another map: parts of one class correlate by {details['within']:.2f}, of "
        f"different classes by {details['between']:.2f}."
        if passed
        else f"Class {details['other']} has the same map as far as can be told: it need not speak of the class."
    )
    return CheckResult(name, "passed" if passed else "failed", pvalue, valid, meaning, details)


def _quarters(sample: QuerySample) -> list[FloatArray]:
    """LEG on LEG-TV's moments for four parts of a sample."""
    parts = [part for half in split_sample(sample) for part in split_sample(half)]
    unknowns = sample.planes * sample.design.grid.n_cells
    maps = []
    for part in parts:
        kind = moment_kind("checks.other_target", None, part.convention_set, "legtv_moments", unknowns)
        gamma = part.moments(kind).gamma.reshape(-1, *sample.design.grid.shape)
        maps.append(gamma[0] if len(gamma) == 1 else np.abs(gamma).sum(axis=0))
    return maps


def _statistic(alike: FloatArray, first: set[int]) -> float:
    """Mean agreement within the two groups, less that between them."""
    same = np.array([i in first for i in range(len(alike))])
    within = np.equal.outer(same, same) & ~np.eye(len(alike), dtype=bool)
    return float(alike[within].mean() - alike[~np.equal.outer(same, same)].mean())
