"""Moments "regression", "adaptive" and "least_squares": linear regressions of y on z, with and without a penalty."""

from __future__ import annotations

import numpy as np
import scipy

from legstat._core.errors import invalid
from legstat.designs.dense import DENSE_LIMIT
from legstat.designs.grid import Grid
from legstat.moments.influence import Estimate, Influence
from legstat.moments.ridge import adaptive_ridge
from legstat.moments.sums import summed
from legstat.moments.units import Units


def check_dense(where: str, name: str, kind: str, n_unknowns: int) -> None:
    """ValueError where there are too many unknowns for a kind of moments that needs a p x p matrix."""
    if kind in ("regression", "adaptive", "least_squares") and n_unknowns > DENSE_LIMIT:
        text = f"at most {DENSE_LIMIT} unknowns with a p x p matrix"
        raise ValueError(invalid(where, name, kind, text, f'Got {n_unknowns}; use {name}="crossfit".'))


def shrunken(units: Units, shrinkage: float, leave_out: tuple[int, int] | None) -> Estimate:
    """Moments "regression": a ridge whose penalty is a share of the known covariance."""
    check_dense("QuerySample.moments", "kind", "regression", units.n_unknowns)
    (sums,) = summed(units, leave_out, gram=True)
    b, gram, _ = sums.centred(units.paired)
    law = units.law.matrix()
    factor = scipy.linalg.cho_factor(gram + shrinkage * law)
    gamma = np.asarray(scipy.linalg.cho_solve(factor, (1.0 + shrinkage) * b), dtype=np.float64)
    centre, mean_y, base = sums.centre(units.paired)
    inverse = np.asarray(scipy.linalg.cho_solve(factor, np.eye(len(b))), dtype=np.float64) / sums.n
    # what leaving an observation out does: z_u ((1 + a) y_u - z_u^T g) - a S g solved with n (gram + a S), residuals
    # those of the fit without the observation
    influence = Influence(
        centre=centre,
        maps=gamma[None],
        means=(shrinkage * inverse @ (law @ gamma))[None],
        shifts=np.array([(1.0 + shrinkage) * mean_y]),
        weights=np.ones(1),
        matrix=inverse,
        hat=inverse,
        gain=1.0 + shrinkage,
        power=1.0,
        base=base,
    )
    return gamma, influence, None


def adaptive(units: Units, grid: Grid, leave_out: tuple[int, int] | None) -> Estimate:
    """Moments "adaptive": a ridge on the prior that `adaptive_ridge` learns."""
    check_dense("QuerySample.moments", "kind", "adaptive", units.n_unknowns)
    (sums,) = summed(units, leave_out, gram=True)
    b, gram, yy = sums.centred(units.paired)
    found = adaptive_ridge(b, gram, yy, sums.n, grid, len(units.law.mean))
    if leave_out is not None:  # a fold's map is only used to predict
        return found.gamma, None, None
    centre, mean_y, base = sums.centre(units.paired)
    # as for "regression", given the prior that the sample chose
    influence = Influence(
        centre=centre,
        maps=found.gamma[None],
        means=(found.hat @ (b - gram @ found.gamma))[None],
        shifts=np.array([mean_y]),
        weights=np.ones(1),
        matrix=found.hat,
        hat=found.hat,
        power=1.0,
        base=base,
    )
    return found.gamma, influence, None


def least_squares(units: Units, cov_type: str, leave_out: tuple[int, int] | None) -> Estimate:
    """Moments "least_squares", with the variance that is asked for."""
    check_dense("QuerySample.moments", "kind", "least_squares", units.n_unknowns)
    (sums,) = summed(units, leave_out, gram=True)
    b, gram, _ = sums.centred(units.paired)
    unknowns = units.n_unknowns + (0 if units.paired else 1)
    if sums.n <= unknowns:
        valid = f"of more than {unknowns} {units.called} a channel for 'least_squares'"
        remedy = 'Raise n_queries, or use kind="crossfit", which has no such limit.'
        raise ValueError(invalid("QuerySample.moments", "sample", f"{sums.n} {units.called} a channel", valid, remedy))
    try:
        factor = scipy.linalg.cho_factor(gram)
    except np.linalg.LinAlgError:
        text = "with z that vary in every cell and are not linearly dependent"
        raise ValueError(invalid("QuerySample.moments", "sample", "a singular Z^T Z", text)) from None
    gamma = np.asarray(scipy.linalg.cho_solve(factor, b), dtype=np.float64)
    centre, mean_y, base = sums.centre(units.paired)
    inverse = np.asarray(scipy.linalg.cho_solve(factor, np.eye(len(b))), dtype=np.float64) / sums.n
    influence = Influence(
        centre=centre,
        maps=gamma[None],
        means=np.zeros((1, gamma.size)),
        shifts=np.array([mean_y]),
        weights=np.array([np.sqrt(sums.n / (sums.n - unknowns)) if cov_type == "HC1" else 1.0]),
        matrix=inverse,
        hat=inverse,
        power={"HC2": 0.5, "HC3": 1.0}.get(cov_type, 0.0),
        base=base,
    )
    # a fold's variances would go unread: its maps are only used to predict
    return gamma, influence, None if leave_out else influence.spread(units)
