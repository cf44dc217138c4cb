"""Checks of one picture's estimates: none of them spends an evaluation."""

from __future__ import annotations

import numpy as np

from legstat._core.checks import check_level, check_positive
from legstat._core.typing import AnyArray, FloatArray
from legstat.checks.result import CheckResult
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.results import Results
from legstat.inference.contrasts import Box
from legstat.inference.power import detectable_contrast
from legstat.samples.sample import QuerySample
from legstat.sampling.watch import movement

_DOUBLE = ("callable", "arrays")
"""Responses whose scores are not rounded to single precision on their way."""


def score_moves(sample: QuerySample) -> CheckResult:
    """Whether the score moves by more than its own rounding.

    Parameters
    ----------
    sample : QuerySample
        What was queried.

    Returns
    -------
    CheckResult
        Value: largest minus smallest score, in units of what single precision resolves (double, of plain functions).

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> sample = ls.query(ls.simulate.linear(np.eye(4)), np.full((1, 4, 4), 0.5), design, n_queries=101, rng=0)
    >>> ls.checks.score_moves(sample).status
    'passed'
    """
    dtype = np.float64 if sample.response.get("kind") in _DOUBLE else np.float32
    if sample.responses.size < 2:
        return _nothing("score_moves", "above 4", "There are fewer than two responses.")
    value = movement(sample, np.dtype(dtype))
    passed = value > 4.0
    meaning = (
        "The score moves by more than its rounding."
        if passed
        else "The score does not move: a map of it is zero or rounding noise. A saturated softmax does that; so does a "
        "scale that is too small."
    )
    details = {"sd": float(sample.responses.std()), "f_x0": sample.f_x0}
    return CheckResult("score_moves", "passed" if passed else "failed", value, "above 4", meaning, details)


def predicts(result: Results) -> CheckResult:
    """Whether the map predicts the score on observations that it has not seen: out-of-sample R^2 above 0.

    Parameters
    ----------
    result : LEGResults or LEGTVResults
        The map; LEG-TV as `LEGTVPath.select` gives it by the rules "readable", "simplest" and "heldout", which measure
        its R^2.

    Returns
    -------
    CheckResult
        Value: R^2. Not applicable where none was measured.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> sample = ls.query(ls.simulate.linear(np.eye(4)), np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)
    >>> ls.checks.predicts(ls.LEG(sample).fit()).status
    'passed'
    """
    r2 = result.r2_heldout
    kind = "LEG-TV" if isinstance(result, LEGTVResults) else "LEG"
    if r2 is None:
        return _nothing("predicts", "above 0", f"No out-of-sample R^2 of {kind} was measured.", map=kind)
    passed, odd = r2 > 0.0, "odd " if result.moments.source.get("antithetic") else ""
    meaning = (
        f"{kind} explains {r2:.0%} of the score's {odd}variation on observations that it has not seen."
        if passed
        else f"{kind} predicts the score no better than its mean does: more queries, or larger cells, are needed."
    )
    return CheckResult("predicts", "passed" if passed else "failed", r2, "above 0", meaning, {"map": kind})


def certified(result: LEGTVResults) -> CheckResult:
    """Whether the map is proven to solve its linear program.

    Parameters
    ----------
    result : LEGTVResults
        LEG-TV.

    Returns
    -------
    CheckResult
        Value: the relative gap between objective and proven bound.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> sample = ls.query(ls.simulate.linear(np.eye(4)), np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)
    >>> ls.checks.certified(ls.LEGTV(sample).fit(L_ratio=0.1)).status
    'passed'
    """
    proof = result.certificate
    passed = all(one.passed for one in result.certificates)
    meaning = (
        "The map solves its linear program: objective and proven lower bound agree, and nothing is violated."
        if passed
        else "It is not proven that the map solves its linear program: another engine, or more time, may help."
    )
    details = {"primal_residual": proof.primal_residual, "dual_residual": proof.dual_residual, "L": result.L}
    return CheckResult("certified", "passed" if passed else "failed", proof.gap, "at most 1e-08", meaning, details)


def mean_shift(result: Results) -> CheckResult:
    r"""What a shift of the mean score costs the moments: :math:`1 + (E y)^2 / \mathrm{var}(y)` times the evaluations.

    Printed moments pay that factor, centred ones and pairs do not. The details say how much of the score's variance is
    even in z, which no linear map can explain.

    Parameters
    ----------
    result : LEGResults or LEGTVResults
        The map, for its moments and the facts about its sample.

    Returns
    -------
    CheckResult
        Value: the factor. Fails above 2 for printed moments without pairs.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> sample = ls.query(ls.simulate.linear(np.eye(4)), np.full((1, 4, 4), 0.5), design, n_queries=201, rng=0)
    >>> ls.checks.mean_shift(ls.LEG(sample).fit()).status
    'passed'
    """
    about, valid = result.moments.source, "at most 2 where moments are printed and not of pairs"
    if not np.isfinite(about.get("mean_shift", np.nan)) or not about["sd"] > 0.0:
        return _nothing("mean_shift", valid, "The responses are not known, or never moved.")
    shift, sd = float(about["mean_shift"]), float(about["sd"])
    factor = 1.0 + (shift / sd) ** 2
    feels = result.moments.kind == "printed" and not about["antithetic"]
    passed = not feels or factor <= 2.0
    meaning = f"Perturbed pictures score {shift:.3g} from the unperturbed one on average" + (
        ", for which printed moments pay in evaluations: take pairs, or centred moments."
        if not passed
        else ", which costs these moments " + ("little." if feels else "nothing.")
    )
    details = {"mean_shift": shift, "sd": sd, "moments": result.moments.kind, "antithetic": about["antithetic"]}
    return CheckResult("mean_shift", "passed" if passed else "failed", factor, valid, meaning, details)


def enough_queries(
    leg: LEGResults,
    *,
    contrast: float | None = None,
    region: AnyArray | Box | None = None,
    alpha: float = 0.05,
    power: float = 0.8,
) -> CheckResult:
    """Whether the contrast that is asked for would have been seen: the minimum detectable one at this many queries.

    Parameters
    ----------
    leg : LEGResults
        LEG with its sample.
    contrast : float, optional
        The mean of gamma over a region that the picture is asked for, in the score's units per unit of z. Without one
        the check does not apply, and the details say what would be detected.
    region : ndarray of shape (p1, p2) or tuple of four int, optional
        As for `LEGResults.region`, named in advance; by default the least favourable of 4 x 4 equal parts of the grid.
    alpha, power : float
        Level of the two-sided test, and the probability with which it shall see the contrast.

    Returns
    -------
    CheckResult
        Value: the minimum detectable contrast.

    Raises
    ------
    ValueError
        A contrast, level or power out of range.

    Notes
    -----
    Costs no evaluation. `legstat.solve_power` plans by the same rule.

    Examples
    --------
    >>> import numpy as np, legstat as ls
    >>> design = ls.StructuredGaussian(grid=(4, 4), scale=0.05)
    >>> sample = ls.query(ls.simulate.logistic(np.eye(4)), np.full((1, 4, 4), 0.5), design, n_queries=401, rng=0)
    >>> ls.checks.enough_queries(ls.LEG(sample).fit(), contrast=0.5).status
    'passed'
    """
    where, name = "checks.enough_queries", "enough_queries"
    check_level(where, "alpha", alpha)
    check_level(where, "power", power)
    asked = None if contrast is None else check_positive(where, "contrast", abs(contrast))
    valid = "at most the contrast asked for" if asked is None else f"at most {asked:g}"
    if not leg.has_intervals or leg.sample is None:
        return _nothing(name, valid, "There are no standard errors: another kind of moments, or too few queries.")
    parts = leg.region(_parts(leg.grid_shape) if region is None else region)
    errors = np.sqrt(np.diagonal(parts.covariance))
    found = detectable_contrast(errors, alpha=alpha, power=power)
    worst = int(np.argmax(found))
    cell = detectable_contrast(leg.std_errors, alpha=alpha, power=power)
    details = {
        "region": parts.labels[worst],
        "detectable": [float(value) for value in found],
        "detectable_cell": float(np.median(cell)),
        "alpha": alpha,
        "power": power,
    }
    value = float(found[worst])
    seen = f"a mean of {value:.3g} over {parts.labels[worst]} would be seen with probability {power:g}"
    if asked is None:
        result = _nothing(name, valid, f"No contrast was asked for; {seen}.", **details)
        return CheckResult(name, result.status, value, valid, result.meaning, details)
    passed = value <= asked
    needed = int(np.ceil(leg.sample.ledger.n_queries * (value / asked) ** 2))
    meaning = f"At this many queries {seen}" + ("." if passed else f"; about {needed:,} queries are needed.")
    return CheckResult(name, "passed" if passed else "failed", value, valid, meaning, {**details, "needed": needed})


def _parts(shape: tuple[int, int]) -> FloatArray:
    """Labels of 4 x 4 equal parts of a grid, of fewer where it has fewer cells."""
    rows, columns = (np.arange(size) * min(size, 4) // size for size in shape)
    labels: FloatArray = np.add.outer(rows * min(shape[1], 4), columns)
    return labels


def _nothing(name: str, valid: str, meaning: str, **details: object) -> CheckResult:
    return CheckResult(name, "not_applicable", None, valid, meaning, details)
