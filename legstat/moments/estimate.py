"""From responses to the moment vector b: the four estimates of E[y z] that math stands on.

All kinds have the same estimand: with S the covariance of the unit's realised z, gamma = S^{-1} Cov(z, y). They differ
in how much of the noise they keep (see `estimate_moments`). What leaves this module is always b = Sigma gamma-hat in
the metric of the nominal design, so LEG (Sigma^{-1} b) and LEG-TV need not know whether anything was clipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
from typing import get_args

import numpy as np
import scipy.linalg

from legstat._core.conventions import MomentKind
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.designs.design import Design
from legstat.designs.grid import Grid
from legstat.moments.crossfit import crossfit
from legstat.moments.ridge import adaptive_ridge
from legstat.moments.units import Estimate, Influence, PowerSums, Units, degrees_of_freedom, summed
from legstat.perturbations.clipped_law import DENSE_LIMIT

ROUNDING = 1e3 * float(np.finfo(np.float64).eps)
"""Error of an estimate for want of digits, as a share of its largest entry, generously."""
ADAPTIVE_LIMIT = 2500
"""Unknowns up to which "adaptive" is a default: its decompositions, three for each fold, take a minute beyond."""
CROSSFIT_MINIMUM = 8
"""Units that "crossfit" needs."""
COV_TYPES: dict[str, tuple[str, ...]] = {
    "printed": ("sandwich",),
    "centred": ("sandwich",),
    "regression": ("none",),
    "adaptive": ("none",),
    "crossfit": ("crossfit",),
    "least_squares": ("HC0", "HC1", "HC2", "HC3"),
}
"""The estimates of variance that each kind of moments has, its default last."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """A moment vector with what is needed to use it; all that those who may share no responses must hand over.

    Attributes
    ----------
    b : ndarray of shape (P, p)
        Estimate of Sigma gamma, one row for each channel that was perturbed by itself, one in all where they share z.
        Units: score times units of z.
    design : Design
        Law of z, hence Sigma.
    n : int
        Statistical units behind each row: draws, or pairs if antithetic.
    kind : str
        How b was estimated; "given" for a vector that came from elsewhere.
    variances : ndarray of shape (P, p) or None
        Estimated variance of each entry of LEG = Sigma^{-1} b, where the kind has one that is valid.
    df : ndarray of shape (P, p) or None
        Degrees of freedom of these variances (`legstat.moments.units.degrees_of_freedom`).
    source : dict
        Facts about the experiment (`QuerySample.summary_header`), empty for given moments.
    cov_type : str
        Which estimate of variance stands behind `variances`, "none" without one.
    influence : tuple of Influence or None
        How each unit moved the estimate, stream by stream: with the sample's units it gives covariances, contrasts and
        the multiplier bootstrap. Not saved with results.

    Examples
    --------
    >>> from legstat import LEG, Moments, StructuredGaussian
    >>> design = StructuredGaussian(grid=(4, 4), scale=0.1)
    >>> b = design.covariance(np.linspace(-1, 1, 16))
    >>> np.allclose(LEG(Moments(b=b, design=design, n=1000)).fit().params, np.linspace(-1, 1, 16))
    True
    """

    b: FloatArray
    design: Design
    n: int
    kind: str = "given"
    variances: FloatArray | None = None
    df: FloatArray | None = None
    source: JSON = field(default_factory=dict)
    cov_type: str = "none"
    influence: tuple[Influence, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.design, Design):
            raise TypeError(invalid("Moments", "design", type(self.design).__name__, "a Design: the law of z"))
        p = self.design.grid.n_cells
        if np.iscomplexobj(self.b) or np.asarray(self.b).dtype.kind not in "biuf":
            raise TypeError(invalid("Moments", "b", self.b, "real numbers"))
        b = np.array(self.b, dtype=np.float64)
        if b.size == 0 or b.size % p or not np.isfinite(b).all():
            got = f"shape {b.shape}, finite: {bool(np.isfinite(b).all())}"
            raise ValueError(invalid("Moments", "b", got, f"finite, with a multiple of p = {p} entries"))
        n: object = self.n
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
            raise ValueError(invalid("Moments", "n", n, "a whole number of draws >= 1"))
        object.__setattr__(self, "b", read_only(b.reshape(-1, p)))
        for name, given in (("variances", self.variances), ("df", self.df)):
            if given is None:
                continue
            array = np.array(given, dtype=np.float64)
            if array.size != b.size or not (np.isfinite(array).all() and (array >= 0).all()):
                valid = f"finite, >= 0, one for each of the {b.size} entries of LEG"
                raise ValueError(invalid("Moments", name, given, valid))
            object.__setattr__(self, name, read_only(array.reshape(self.b.shape)))

    def __reduce__(self) -> tuple[partial[Moments], tuple[()]]:
        # made again by the constructor, which locks its arrays
        return partial(Moments, **{f.name: getattr(self, f.name) for f in fields(self)}), ()

    def __repr__(self) -> str:
        shape = "x".join(map(str, (*self.b.shape[:1], *self.design.grid.shape)[len(self.b) == 1 :]))
        return f"<Moments {shape} n={self.n} kind={self.kind} cov_type={self.cov_type}>"

    @property
    def gamma(self) -> FloatArray:
        """LEG, eq. 4: Sigma^{-1} b, shape (P, p)."""
        return self.design.solve(self.b)


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

    With :math:`S` the covariance of a unit's realised z (pairs: of its odd part), known in closed form,

    - ``"printed"``: :math:`b = \frac1n\sum y_i z_i`, y = f - f(base) not centred (LEG eq. 4). Keeps the noise of the
      mean shift.
    - ``"centred"``: the same with y centred.
    - ``"regression"``: :math:`(Z^T Z / n + a S) g = (1 + a) b`, then :math:`S g`. Biased towards 0 where n is below
      some 20 p; no valid intervals.
    - ``"adaptive"``: ridge regression on a prior that is smooth on the grid and wide where the sample finds signal
      (`legstat.moments.ridge.adaptive_ridge`), with the weight that minimises generalised cross-validation. Biased
      likewise; the smallest error for maps (docs/studies/query_efficiency.md).
    - ``"crossfit"``: :math:`b = \frac1n\sum (S g_{-i} + (y_i - g_{-i}^T z_i) z_i)` with the pilot :math:`g_{-i}` from
      all other units. Unbiased for any pilot; carries variances. The pilot is the ridge map in whitened coordinates
      whose penalty minimises generalised cross-validation, so that all of them follow from one decomposition; beyond
      `DENSE_LIMIT` unknowns, where no p x p matrix is formed, it comes from the other half of the units: S^{-1} b
      shrunk by its estimated signal share.
    - ``"least_squares"``: the regression with a = 0, where there are more units than unknowns. Carries variances that
      need no known covariance, HC0 to HC3.

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
        If the kind is unknown, the shrinkage not positive, the units too few, or the p x p matrix of "regression" or
        "adaptive" too large (the text names "crossfit", which needs none).

    Notes
    -----
    Costs O(n p) for "printed" and "centred", O(n p^2 + p^3) for the others.

    Variances of "crossfit": a unit moves the estimate along (Z^T Z / n + a S)^{-1} z_u, a the pilot's penalty, by its
    residual from the map of the others; one factor for all cells makes the trace that of S^{-1} z_u times these
    residuals, which is unbiased for any pilot.
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
            invalid(where, "sample", f"{fewest} units a channel", f"of at least {needed} for {kind!r}", remedy)
        )
    gammas, spreads, influences = [], [], []
    for units in streams:
        if kind == "regression":
            gamma, influence, spread = _regression(units, shrinkage, leave_out)
        elif kind == "adaptive":
            gamma, influence, spread = _adaptive(units, design.grid, leave_out)
        elif kind == "crossfit":
            gamma, influence, spread = crossfit(units, leave_out)
        elif kind == "least_squares":
            gamma, influence = _least_squares(units, used, leave_out)
            # a fold's variances would go unread: its maps are only used to predict
            spread = None if leave_out else influence.spread(units)
        else:
            gamma, influence, spread = _plain(units, kind == "centred", leave_out)
        gammas.append(gamma)
        spreads.append(spread)
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


def _plain(units: Units, centre: bool, leave_out: tuple[int, int] | None) -> Estimate:
    (sums,) = summed(units, leave_out)
    mu, n = units.law.mean.ravel(), sums.n
    shift = sums.y / n if centre and not units.paired else 0.0
    # z is centred about its known mean; with y centred too this is the sample covariance about any centre
    b = (sums.zy - mu * sums.y - shift * (sums.z - n * mu)) / n
    gamma = units.solve(b)
    powers = PowerSums(mu.size)
    influence = Influence(
        centre=mu,
        maps=np.zeros((1, mu.size)),
        means=gamma[None],
        shifts=np.array([shift]),
        weights=np.array([1.0 / np.sqrt(n * (n - 1.0))]),
    )
    if leave_out is not None:  # a fold's map is only used to predict: its spread would go unread
        return gamma, influence, None
    for z, y in units.rows():
        powers.add(units.solve(z - mu) * (y - shift)[:, None])
    second, fourth = powers.about_mean(n)
    return gamma, influence, (second / (n * (n - 1.0)), degrees_of_freedom(second, fourth, n))


def _check_dense(units: Units, kind: str) -> None:
    if units.n_unknowns > DENSE_LIMIT:
        text = f"at most {DENSE_LIMIT} unknowns with a p x p matrix"
        raise ValueError(
            invalid("QuerySample.moments", "kind", kind, text, f'Got {units.n_unknowns}; use kind="crossfit".')
        )


def _regression(units: Units, shrinkage: float, leave_out: tuple[int, int] | None) -> Estimate:
    _check_dense(units, "regression")
    (sums,) = summed(units, leave_out, gram=True)
    b, gram, _ = sums.centred(units.paired)
    law = units.law.matrix()
    factor = scipy.linalg.cho_factor(gram + shrinkage * law)
    gamma = np.asarray(scipy.linalg.cho_solve(factor, (1.0 + shrinkage) * b), dtype=np.float64)
    centre, mean_y, base = sums.centre(units.paired)
    inverse = np.asarray(scipy.linalg.cho_solve(factor, np.eye(len(b))), dtype=np.float64) / sums.n
    # what leaving a unit out does: z_u ((1 + a) y_u - z_u^T g) - a S g solved with n (gram + a S), residuals those
    # of the fit without the unit
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


def _adaptive(units: Units, grid: Grid, leave_out: tuple[int, int] | None) -> Estimate:
    _check_dense(units, "adaptive")
    (sums,) = summed(units, leave_out, gram=True)
    b, gram, yy = sums.centred(units.paired)
    gamma, hat = adaptive_ridge(b, gram, yy, sums.n, grid, len(units.law.mean))
    centre, mean_y, base = sums.centre(units.paired)
    # as for "regression", given the prior that the sample chose
    influence = Influence(
        centre=centre,
        maps=gamma[None],
        means=(hat @ (b - gram @ gamma))[None],
        shifts=np.array([mean_y]),
        weights=np.ones(1),
        matrix=hat,
        hat=hat,
        power=1.0,
        base=base,
    )
    return gamma, influence, None


def _least_squares(units: Units, cov_type: str, leave_out: tuple[int, int] | None) -> tuple[FloatArray, Influence]:
    _check_dense(units, "least_squares")
    (sums,) = summed(units, leave_out, gram=True)
    b, gram, _ = sums.centred(units.paired)
    unknowns = units.n_unknowns + (0 if units.paired else 1)
    if sums.n <= unknowns:
        valid = f"of more than {unknowns} units a channel for 'least_squares'"
        remedy = 'Raise n_queries, or use kind="crossfit", which has no such limit.'
        raise ValueError(invalid("QuerySample.moments", "sample", f"{sums.n} units a channel", valid, remedy))
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
    return gamma, influence
