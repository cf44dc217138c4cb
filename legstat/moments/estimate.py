"""From responses to the moment vector b: the four estimates of E[y z] that math stands on.

All kinds have the same estimand: with S the covariance of the observation's realised z, gamma = S^{-1} Cov(z, y). They
differ in how much of the noise they keep (see `estimate_moments`). What leaves this module is always b = Sigma
gamma-hat in the metric of the nominal design, so LEG (Sigma^{-1} b) and LEG-TV need not know whether anything was
clipped.
"""

from __future__ import annotations

from typing import get_args

import numpy as np

from legstat._core.conventions import MomentKind
from legstat._core.errors import invalid
from legstat._core.typing import JSON
from legstat.designs.design import Design
from legstat.moments.averages import average
from legstat.moments.crossfit import crossfit
from legstat.moments.moments import Moments
from legstat.moments.regression import adaptive, least_squares, shrunken
from legstat.moments.units import Units

ROUNDING = 1e3 * float(np.finfo(np.float64).eps)
"""Error of an estimate for want of digits, as a share of its largest entry, generously."""
ADAPTIVE_LIMIT = 2500
"""Unknowns up to which "adaptive" is a default: its decompositions, three for each fold, take a minute beyond."""
CROSSFIT_MINIMUM = 8
"""Observations that "crossfit" needs."""
COV_TYPES: dict[str, tuple[str, ...]] = {
    "printed": ("sandwich",),
    "centred": ("sandwich",),
    "regression": ("none",),
    "adaptive": ("none",),
    "crossfit": ("crossfit",),
    "least_squares": ("HC0", "HC1", "HC2", "HC3"),
}
"""The estimates of variance that each kind of moments has, its default last."""


def estimate_moments(
    streams: tuple[Units, ...],
    design: Design,
    kind: MomentKind,
    *,
    shrinkage: float = 1.0,
    leave_out: tuple[int, int] | None = None,
    source: JSON | None = None,
    cov_type: str | None = None,
) -> Moments:
    r"""The moment vector of a sample, by one of six estimates of the same gamma.

    An observation is a draw, or a pair if antithetic. With :math:`S` the covariance of its realised z (pairs: of its
    odd part), known in closed form,

    - ``"printed"``: :math:`b = \frac1n\sum y_i z_i`, y = f - f(base) not centred (LEG eq. 4). Keeps the noise of the
      mean shift.
    - ``"centred"``: the same with y centred.
    - ``"regression"``: :math:`(Z^T Z / n + a S) g = (1 + a) b`, then :math:`S g`. Biased towards 0 where n is below
      some 20 p; no valid intervals.
    - ``"adaptive"``: ridge regression on a prior that is smooth on the grid and wide where the sample finds signal
      (`legstat.moments.ridge.adaptive_ridge`), with the weight that minimises generalised cross-validation. Biased
      likewise; the smallest error for maps (docs/studies/query_efficiency.md).
    - ``"crossfit"``: :math:`b = \frac1n\sum (S g_{-i} + (y_i - g_{-i}^T z_i) z_i)` with the pilot :math:`g_{-i}` from
      all other observations. Unbiased for any pilot; carries variances. The pilot is the ridge map, on a prior that is
      smooth on the grid (`Design.smooth_pilot`), whose penalty minimises generalised cross-validation, so that all of
      them follow from one decomposition; beyond `DENSE_LIMIT` unknowns, where no p x p matrix is formed, it comes from
      the other half: S^{-1} b shrunk by its estimated signal share.
    - ``"least_squares"``: the regression with a = 0, where there are more observations than unknowns. Carries
      variances that need no known covariance, HC0 to HC3.

    Parameters
    ----------
    streams : tuple of Units
        One for each stream of the sample.
    design : Design
        The nominal design: the returned b is Sigma gamma-hat in its metric.
    kind : {"printed", "centred", "regression", "adaptive", "crossfit", "least_squares"}
        The estimate.
    shrinkage : float, default 1.0
        a > 0 of "regression"; larger is closer to "centred".
    leave_out : pair of int, optional
        (fold, folds) to leave out.
    source : dict, optional
        Passed on to the result.
    cov_type : {"HC0", "HC1", "HC2", "HC3"}, optional
        Variance of "least_squares", HC3 unless given. The other kinds have one each: "sandwich" with the known
        covariance of z for "printed" and "centred", "crossfit" for "crossfit".

    Returns
    -------
    Moments
        With variances for all kinds but the shrunken ones, "regression" and "adaptive".

    Raises
    ------
    ValueError
        If the kind is unknown, the shrinkage not positive, the observations (or pairs) too few, or the p x p matrix of
        "regression" or "adaptive" too large (the text names "crossfit", which needs none).

    Notes
    -----
    Costs O(n p) for "printed" and "centred", O(n p^2 + p^3) for the others. What folds share with the sample (draws in
    the pilot's coordinates, the Gram matrix, some 20 p^2 bytes) is kept with the sample's observations: at 28 x 28 and
    2,000 evaluations a fold of "crossfit" takes 0.05 s of one core, one of "adaptive" 0.1 s.

    Variances of "crossfit": with the pilot's prior N(0, P^{-1} / a), an observation moves the estimate to first order
    along S^{-1} (S + a P) (Z^T Z / n + a P)^{-1} z_u by its residual from the map of the others; one factor for all
    cells makes the trace that of S^{-1} z_u times these residuals, which is unbiased for any pilot.
    """
    where = "QuerySample.moments"
    if kind not in get_args(MomentKind):
        raise ValueError(invalid(where, "kind", kind, "one of " + ", ".join(map(repr, get_args(MomentKind)))))
    if not (np.isfinite(shrinkage) and shrinkage > 0):
        raise ValueError(invalid(where, "shrinkage", shrinkage, "a finite number > 0"))
    used = COV_TYPES[kind][-1] if cov_type is None else cov_type
    if used not in COV_TYPES[kind]:
        valid = " or ".join(map(repr, COV_TYPES[kind])) + f" for {kind!r} moments"
        raise ValueError(invalid(where, "cov_type", cov_type, valid))
    if leave_out is not None and not (leave_out[1] >= 2 and 0 <= leave_out[0] < leave_out[1]):
        raise ValueError(invalid(where, "leave_out", leave_out, "(fold, folds) with folds >= 2 and 0 <= fold < folds"))
    fewest = min(u.n for u in streams)
    needed = CROSSFIT_MINIMUM if kind == "crossfit" else 2
    if fewest < needed:
        remedy = "Raise n_queries" + (', or use kind="centred".' if kind == "crossfit" else ".")
        raise ValueError(
            invalid(
                where, "sample", f"{fewest} {streams[0].called} a channel", f"of at least {needed} for {kind!r}", remedy
            )
        )
    gammas, spreads, influences = [], [], []
    for units in streams:
        if kind == "regression":
            estimate = shrunken(units, shrinkage, leave_out)
        elif kind == "adaptive":
            estimate = adaptive(units, design.grid, leave_out)
        elif kind == "crossfit":
            estimate = crossfit(units, design, leave_out)
        elif kind == "least_squares":
            estimate = least_squares(units, used, leave_out)
        else:
            estimate = average(units, kind == "centred", leave_out)
        gamma, influence, spread = estimate
        gammas.append(gamma)
        spreads.append(spread)
        if influence is not None:
            influences.append(influence)
    p = design.grid.n_cells
    # an exactly linear response leaves residuals of rounding alone, which say nothing of the rounding in gamma
    floors = [np.square(ROUNDING * np.abs(g).max()) for g in gammas]
    variances = [np.maximum(s[0], f).reshape(-1, p) for s, f in zip(spreads, floors, strict=True) if s is not None]
    dfs = [s[1].reshape(-1, p) for s in spreads if s is not None]
    return Moments(
        b=design.covariance(np.concatenate([g.reshape(-1, p) for g in gammas])),
        design=design,
        n=fewest,
        kind=kind,
        variances=np.concatenate(variances) if variances else None,
        df=np.concatenate(dfs) if dfs else None,
        source=source or {},
        cov_type=used,
        influence=None if leave_out else tuple(influences),
    )
