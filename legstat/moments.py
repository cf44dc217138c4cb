"""From responses to the moment vector b: the four estimates of E[y z] that math stands on.

All kinds have the same estimand: with S the covariance of the unit's realised z, gamma = S^{-1} Cov(z, y). They differ
in how much of the noise they keep (see `estimate_moments`). What leaves this module is always b = Sigma gamma-hat in
the metric of the nominal design, so LEG (Sigma^{-1} b) and LEG-TV need not know whether anything was clipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

import numpy as np
import scipy.linalg

from legstat._typing import JSON, FloatArray
from legstat.conventions import MomentKind
from legstat.designs import Design
from legstat.errors import invalid
from legstat.realised import DENSE_LIMIT
from legstat.units import Influence, PowerSums, Sums, Units, degrees_of_freedom

_ROUNDING = 1e3 * float(np.finfo(np.float64).eps)
CROSSFIT_MINIMUM = 8
"""Units that "crossfit" needs."""
COV_TYPES: dict[str, tuple[str, ...]] = {
    "printed": ("sandwich",),
    "centred": ("sandwich",),
    "regression": ("none",),
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
        Degrees of freedom of these variances (`legstat.units.degrees_of_freedom`).
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
        if not isinstance(n, int | np.integer) or n < 1:
            raise ValueError(invalid("Moments", "n", n, "a whole number of draws >= 1"))
        b = b.reshape(-1, p)
        b.flags.writeable = False
        object.__setattr__(self, "b", b)
        if self.variances is not None:
            variances = np.array(self.variances, dtype=np.float64)
            if variances.size != b.size or not (np.isfinite(variances).all() and (variances >= 0).all()):
                valid = f"finite, >= 0, one for each of the {b.size} entries of LEG"
                raise ValueError(invalid("Moments", "variances", self.variances, valid))
            variances = variances.reshape(b.shape)
            variances.flags.writeable = False
            object.__setattr__(self, "variances", variances)

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
    r"""The moment vector of a sample, by one of five estimates of the same gamma.

    With :math:`S` the covariance of a unit's realised z (pairs: of its odd part), known in closed form,

    - ``"printed"``: :math:`b = \frac1n\sum y_i z_i`, y = f - f(base) not centred (LEG eq. 4). Keeps the noise of the
      mean shift.
    - ``"centred"``: the same with y centred.
    - ``"regression"``: :math:`(Z^T Z / n + a S) g = (1 + a) b`, then :math:`S g`. Biased towards 0 where n is below
      some 20 p; the smallest error for maps, no valid intervals.
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
    kind : {"printed", "centred", "regression", "crossfit", "least_squares"}
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
        With variances for all kinds but "regression".

    Raises
    ------
    ValueError
        If the kind is unknown, the shrinkage not positive, the units too few, or the p x p matrix of "regression" too
        large (the text names "crossfit", which needs none).

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
        elif kind == "crossfit":
            gamma, influence, spread = _crossfit(units, leave_out)
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
    floors = [np.square(_ROUNDING * np.abs(g).max()) for g in gammas]
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


def _sums(units: Units, leave_out: tuple[int, int] | None, *, parts: int = 1, gram: bool = False) -> list[Sums]:
    """Sums over the units, dealt out to `parts` in turn."""
    sums = [Sums.zeros(units.n_unknowns, gram) for _ in range(parts)]
    start = 0
    for z, y in units.rows(leave_out):
        turn = (start + np.arange(len(y))) % parts
        for part, one in enumerate(sums):
            one.add(z[turn == part], y[turn == part]) if parts > 1 else one.add(z, y)
        start += len(y)
    return sums


_Spread = tuple[FloatArray, FloatArray]
_Estimate = tuple[FloatArray, Influence, _Spread | None]
"""gamma-hat, how the units moved it, its variances with their degrees of freedom."""


def _plain(units: Units, centre: bool, leave_out: tuple[int, int] | None) -> _Estimate:
    (sums,) = _sums(units, leave_out)
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


def _regression(units: Units, shrinkage: float, leave_out: tuple[int, int] | None) -> _Estimate:
    _check_dense(units, "regression")
    (sums,) = _sums(units, leave_out, gram=True)
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


def _least_squares(units: Units, cov_type: str, leave_out: tuple[int, int] | None) -> tuple[FloatArray, Influence]:
    _check_dense(units, "least_squares")
    (sums,) = _sums(units, leave_out, gram=True)
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


def _crossfit(units: Units, leave_out: tuple[int, int] | None) -> _Estimate:
    """Each unit's pilot is the ridge map of all the others; all of them follow from one decomposition."""
    if units.n_unknowns > DENSE_LIMIT:
        return _crossfit_halves(units, leave_out)
    (sums,) = _sums(units, leave_out, gram=True)
    pilot, hat = _ridge_pilot(units, sums)
    mu, n = units.law.mean.ravel(), float(sums.n)
    centre, mean_y, base = sums.centre(units.paired)
    shift = mean_y - float(pilot @ (centre - mu)) if not units.paired else 0.0
    drift, product = np.zeros(units.n_unknowns), np.zeros(units.n_unknowns)
    plain, swayed = PowerSums(units.n_unknowns), PowerSums(units.n_unknowns)
    for z, y in units.rows(leave_out):
        rows, spread = z - mu, z - centre
        moved = spread @ hat
        # the residual that u has from the map of the others
        residual = (y - shift - rows @ pilot) / (1.0 - base - np.einsum("ij,ij->i", moved, spread))
        product += residual @ rows
        drift += residual @ moved  # leaving u out moves the pilot by minus this
        if leave_out is None:
            plain.add(units.solve(rows) * residual[:, None])
            swayed.add(moved * residual[:, None])
    total = units.solve(product)
    gamma = pilot + (total - drift) / n
    weights = np.array([1.0 / np.sqrt(n * (n - 1.0))])
    if leave_out is not None:
        return gamma, Influence(mu, pilot[None], total[None] / n, np.array([shift]), weights), None
    level, shape = plain.about_mean(n), swayed.about_mean(n)
    if not shape[0].any():  # no pilot: the estimate is that of centred moments
        free = Influence(
            centre=mu,
            maps=pilot[None],
            means=total[None] / n,
            shifts=np.array([shift]),
            weights=weights,
            power=1.0,
            base=base,
            hat=hat,
            hat_centre=centre,
        )
        return gamma, free, (level[0] / (n * (n - 1.0)), degrees_of_freedom(*level, n))
    # With its pilot the estimate follows the drawn z's own covariance, as least squares does: to first order u moves it
    # along H z_u. Where the draws determine a cell badly, that says so; S^{-1} z_u would say the opposite, and bands
    # covered 2 to 6 % too little. The level over all cells is that of S^{-1} z_u, whose expectation is right.
    ratio = float(level[0].sum() / shape[0].sum())
    influence = Influence(
        centre=centre,
        maps=pilot[None],
        means=np.sqrt(ratio) * drift[None] / n,
        shifts=np.array([mean_y]),
        weights=weights,
        matrix=np.sqrt(ratio) * hat,
        power=1.0,
        base=base,
        hat=hat,
    )
    return gamma, influence, (ratio * shape[0] / (n * (n - 1.0)), degrees_of_freedom(*shape, n))


def _crossfit_halves(units: Units, leave_out: tuple[int, int] | None) -> _Estimate:
    halves = _sums(units, leave_out, parts=2)
    # the pilot for a half comes from the other half
    pilots = np.stack([_shrunken_pilot(units, halves[1]), _shrunken_pilot(units, halves[0])])
    mu = units.law.mean.ravel()
    shifts = np.array(
        [0.0 if units.paired else (h.y - g @ (h.z - h.n * mu)) / h.n for h, g in zip(halves, pilots, strict=True)]
    )
    powers, products = [PowerSums(units.n_unknowns), PowerSums(units.n_unknowns)], np.zeros_like(pilots)
    start = 0
    for z, y in units.rows(leave_out):
        turn = (start + np.arange(len(y))) % 2
        for half in range(2):
            rows = z[turn == half] - mu
            residual = y[turn == half] - rows @ pilots[half] - shifts[half]
            products[half] += residual @ rows
            if leave_out is None:  # as above
                powers[half].add(units.solve(rows) * residual[:, None])
        start += len(y)
    n = np.array([[h.n] for h in halves], dtype=np.float64)
    lost = 0.0 if units.paired else 1.0  # the mean of the residuals was estimated from the same half
    total = units.solve(products)
    step = total / (n - lost)
    weight = n / n.sum()
    moved = Influence(
        centre=mu,
        maps=pilots,
        means=total / n,
        shifts=shifts,
        weights=(weight / np.sqrt(n * (n - 1.0)))[:, 0],
    )
    gamma = np.sum(weight * (pilots + step), axis=0)
    if leave_out is not None:
        return gamma, moved, None
    central = [s.about_mean(h.n) for s, h in zip(powers, halves, strict=True)]
    scale = moved.weights[:, None] ** 2
    second = np.sum(scale * np.stack([c[0] for c in central]), axis=0)
    fourth = np.sum(scale**2 * np.stack([c[1] for c in central]), axis=0)
    return gamma, moved, (second, degrees_of_freedom(second, fourth, float(n.sum())))


def _ridge_pilot(units: Units, sums: Sums) -> tuple[FloatArray, FloatArray]:
    """Ridge where S is the identity, penalty by generalised cross-validation; 0 where that gains nothing.

    With it the matrix H of its leverages (z_u - centre)^T H (z_u - centre).
    """
    b, gram, yy = sums.centred(units.paired)
    factor = np.linalg.cholesky(units.law.matrix())
    half = scipy.linalg.solve_triangular(factor, gram, lower=True)
    whitened = scipy.linalg.solve_triangular(factor, half.T, lower=True)
    eigenvalues, vectors = scipy.linalg.eigh((whitened + whitened.T) / 2.0)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    u = vectors.T @ scipy.linalg.solve_triangular(factor, b, lower=True)
    best, chosen, least = np.inf, np.zeros_like(u), yy
    for penalty in np.geomspace(1e-3, 1e3, 25):
        inverse = 1.0 / (eigenvalues + penalty)
        rss = yy - float(np.sum(u**2 * inverse * (2.0 - eigenvalues * inverse)))
        leverage = float(np.sum(eigenvalues * inverse)) / sums.n
        score = rss / (1.0 - leverage) ** 2 if leverage < 1.0 else np.inf
        if score < min(best, least):
            best, chosen = score, inverse
    back = np.asarray(scipy.linalg.solve_triangular(factor, vectors, lower=True, trans="T"), dtype=np.float64)
    return back @ (chosen * u), (back * (chosen / sums.n)) @ back.T


def _shrunken_pilot(units: Units, sums: Sums) -> FloatArray:
    """c S^{-1} b with c = share of ||S^{-1/2} b||^2 that is not noise, the best multiple in expectation."""
    b, _, yy = sums.centred(units.paired)
    g = units.solve(b)
    length = float(b @ g)
    noise = units.n_unknowns * max(yy, 0.0) / sums.n
    return g * (max(0.0, 1.0 - noise / length) if length > 0 else 0.0)
