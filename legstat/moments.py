"""From responses to the moment vector b: the four estimates of E[y z] that math stands on.

All kinds have the same estimand: with S the covariance of the unit's realised z, gamma = S^{-1} Cov(z, y). They differ
in how much of the noise they keep (see `estimate_moments`). What leaves this module is always b = Sigma gamma-hat in
the metric of the nominal design, so LEG (Sigma^{-1} b) and LEG-TV need not know whether anything was clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

import numpy as np
import scipy.linalg

from legstat._typing import JSON, FloatArray
from legstat.conventions import MomentKind
from legstat.designs import Design
from legstat.errors import invalid
from legstat.realised import DENSE_LIMIT, RealisedLaw

_KEEP_BYTES = 512 * 2**20  # realised draws below this size are kept between passes, else drawn again
_CROSSFIT_MINIMUM = 8


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
    source : dict
        Facts about the experiment (`QuerySample.summary_header`), empty for given moments.

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
    source: JSON = field(default_factory=dict)

    def __post_init__(self) -> None:
        p = self.design.grid.n_cells
        b = np.array(self.b, dtype=np.float64)
        if b.size == 0 or b.size % p or not np.isfinite(b).all():
            got = f"shape {b.shape}, finite: {bool(np.isfinite(b).all())}"
            raise ValueError(invalid("Moments", "b", got, f"finite, with a multiple of p = {p} entries"))
        if self.n < 1:
            raise ValueError(invalid("Moments", "n", self.n, "a number of draws >= 1"))
        b = b.reshape(-1, p)
        b.flags.writeable = False
        object.__setattr__(self, "b", b)

    @property
    def gamma(self) -> FloatArray:
        """LEG, eq. 4: Sigma^{-1} b, shape (P, p)."""
        return self.design.solve(self.b)


@dataclass(frozen=True, eq=False)
class Units:
    """The statistical units of one stream, ready to be passed over more than once.

    Attributes
    ----------
    law : RealisedLaw
        Law of one unit's z.
    chunks : callable
        Gives an iterator over (z of shape (k, planes, p), y of shape (k,)), always in the same chunks.
    n : int
        Number of units.
    paired : bool
        Whether a unit is an antithetic pair: y is then an odd part with mean 0 and is never centred.
    """

    law: RealisedLaw
    chunks: Callable[[], Iterator[tuple[FloatArray, FloatArray]]]
    n: int
    paired: bool

    @property
    def n_unknowns(self) -> int:
        """Entries of z: planes p."""
        return self.law.mean.size

    @cached_property
    def _kept(self) -> list[tuple[FloatArray, FloatArray]] | None:
        return list(self.chunks()) if 8 * self.n * self.n_unknowns <= _KEEP_BYTES else None

    def rows(
        self, leave_out: tuple[int, int] | None = None, *, only: bool = False
    ) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Chunks of flat (z of shape (k, planes p), y), without one fold or (`only`) of that fold alone."""
        start = 0
        for z, y in self.chunks() if self._kept is None else self._kept:
            flat = z.reshape(len(z), -1)
            if leave_out is None:
                yield flat, y
            else:
                fold, folds = leave_out
                inside = (start + np.arange(len(y))) % folds == fold
                keep = inside if only else ~inside
                yield flat[keep], y[keep]
            start += len(y)


@dataclass
class _Sums:
    """First and second moments of units, added up chunk by chunk in their fixed order."""

    n: int
    y: float
    yy: float
    z: FloatArray
    zy: FloatArray
    zz: FloatArray  # of shape (0, 0) where it is not kept

    @classmethod
    def zeros(cls, q: int, gram: bool) -> _Sums:
        return cls(0, 0.0, 0.0, np.zeros(q), np.zeros(q), np.zeros((q, q) if gram else (0, 0)))

    def add(self, z: FloatArray, y: FloatArray) -> None:
        self.n += len(y)
        self.y += float(y.sum())
        self.yy += float(y @ y)
        self.z += z.sum(axis=0)
        self.zy += y @ z
        if self.zz.size:
            self.zz += z.T @ z

    def centred(self, paired: bool) -> tuple[FloatArray, FloatArray, float]:
        """Mean of z y, of z z^T and of y^2, about the sample means unless the units are pairs."""
        zy, yy = self.zy / self.n, self.yy / self.n
        zz = self.zz / self.n
        if paired:
            return zy, zz, yy
        z, y = self.z / self.n, self.y / self.n
        return zy - z * y, zz - np.outer(z, z) if zz.size else zz, yy - y * y


def estimate_moments(
    streams: tuple[Units, ...],
    design: Design,
    kind: MomentKind,
    *,
    shrinkage: float = 1.0,
    leave_out: tuple[int, int] | None = None,
    source: JSON | None = None,
) -> Moments:
    r"""The moment vector of a sample, by one of four estimates of the same gamma.

    With :math:`S` the covariance of a unit's realised z (pairs: of its odd part), known in closed form,

    - ``"printed"``: :math:`b = \frac1n\sum y_i z_i`, y = f - f(base) not centred (LEG eq. 4). Keeps the noise of the
      mean shift.
    - ``"centred"``: the same with y centred.
    - ``"regression"``: :math:`(Z^T Z / n + a S) g = (1 + a) b`, then :math:`S g`. Biased towards 0 where n is below
      some 20 p; the smallest error for maps, no valid intervals.
    - ``"crossfit"``: :math:`b = S g_0 + \frac1n\sum (y_i - g_0^T z_i) z_i` with the pilot :math:`g_0` from the other
      half of the units, both ways. Unbiased for any pilot; carries variances. The pilot is the ridge map in
      whitened coordinates whose penalty minimises generalised cross-validation; beyond `DENSE_LIMIT` unknowns, where no
      p x p matrix is formed, it is S^{-1} b shrunk by its estimated signal share.

    Parameters
    ----------
    streams : tuple of Units
        One for each stream of the sample.
    design : Design
        The nominal design: the returned b is Sigma gamma-hat in its metric.
    kind : {"printed", "centred", "regression", "crossfit"}
        The estimate.
    shrinkage : float, default 1.0
        a > 0 of "regression"; larger is closer to "centred".
    leave_out : pair of int, optional
        (fold, folds) to leave out.
    source : dict, optional
        Passed on to the result.

    Returns
    -------
    Moments
        With variances for "printed", "centred" and "crossfit".

    Raises
    ------
    ValueError
        If the kind is unknown, the shrinkage not positive, the units too few, or the p x p matrix of "regression" too
        large (the text names "crossfit", which needs none).

    Notes
    -----
    Costs O(n p) for "printed" and "centred", O(n p^2 + p^3) for the others.
    """
    where = "QuerySample.moments"
    if kind not in get_args(MomentKind):
        raise ValueError(invalid(where, "kind", kind, "one of " + ", ".join(map(repr, get_args(MomentKind)))))
    if not (np.isfinite(shrinkage) and shrinkage > 0):
        raise ValueError(invalid(where, "shrinkage", shrinkage, "a finite number > 0"))
    fewest = min(u.n for u in streams)
    needed = _CROSSFIT_MINIMUM if kind == "crossfit" else 2
    if fewest < needed:
        remedy = "Raise n_queries" + (', or use kind="centred".' if kind == "crossfit" else ".")
        raise ValueError(
            invalid(where, "sample", f"{fewest} units a channel", f"of at least {needed} for {kind!r}", remedy)
        )
    gammas, variances = [], []
    for units in streams:
        if kind == "regression":
            gamma, variance = _regression(units, shrinkage, leave_out), None
        elif kind == "crossfit":
            gamma, variance = _crossfit(units, leave_out)
        else:
            gamma, variance = _plain(units, kind == "centred", leave_out)
        gammas.append(gamma)
        variances.append(variance)
    p = design.grid.n_cells
    known = [v.reshape(-1, p) for v in variances if v is not None]
    return Moments(
        b=design.covariance(np.concatenate([g.reshape(-1, p) for g in gammas])),
        design=design,
        n=fewest,
        kind=kind,
        variances=np.concatenate(known) if known else None,
        source=source or {},
    )


def _solve(units: Units, v: FloatArray) -> FloatArray:
    """S^{-1} v for flat v of shape (..., planes p)."""
    return units.law.solve(v.reshape(*v.shape[:-1], *units.law.mean.shape)).reshape(v.shape)


def _sums(units: Units, leave_out: tuple[int, int] | None, *, parts: int = 1, gram: bool = False) -> list[_Sums]:
    """Sums over the units, dealt out to `parts` in turn."""
    sums = [_Sums.zeros(units.n_unknowns, gram) for _ in range(parts)]
    start = 0
    for z, y in units.rows(leave_out):
        turn = (start + np.arange(len(y))) % parts
        for part, one in enumerate(sums):
            one.add(z[turn == part], y[turn == part]) if parts > 1 else one.add(z, y)
        start += len(y)
    return sums


def _plain(units: Units, centre: bool, leave_out: tuple[int, int] | None) -> tuple[FloatArray, FloatArray]:
    (sums,) = _sums(units, leave_out)
    mu = units.law.mean.ravel()
    shift = sums.y / sums.n if centre and not units.paired else 0.0
    # z is centred about its known mean; with y centred too this is the sample covariance about any centre
    b = (sums.zy - mu * sums.y - shift * (sums.z - sums.n * mu)) / sums.n
    gamma = _solve(units, b)
    square = np.zeros_like(gamma)
    for z, y in units.rows(leave_out):
        square += np.square(_solve(units, z - mu) * (y - shift)[:, None]).sum(axis=0)
    return gamma, np.maximum(square / sums.n - gamma**2, 0.0) / (sums.n - 1)


def _regression(units: Units, shrinkage: float, leave_out: tuple[int, int] | None) -> FloatArray:
    if units.n_unknowns > DENSE_LIMIT:
        text = f"at most {DENSE_LIMIT} unknowns with a p x p matrix"
        raise ValueError(
            invalid("QuerySample.moments", "kind", "regression", text, f'Got {units.n_unknowns}; use kind="crossfit".')
        )
    (sums,) = _sums(units, leave_out, gram=True)
    b, gram, _ = sums.centred(units.paired)
    matrix = gram + shrinkage * units.law.matrix()
    return np.asarray(scipy.linalg.solve(matrix, (1.0 + shrinkage) * b, assume_a="pos"), dtype=np.float64)


def _crossfit(units: Units, leave_out: tuple[int, int] | None) -> tuple[FloatArray, FloatArray]:
    dense = units.n_unknowns <= DENSE_LIMIT
    halves = _sums(units, leave_out, parts=2, gram=dense)
    pilot = _ridge_pilot if dense else _shrunken_pilot
    # the pilot for a half comes from the other half
    pilots = [pilot(units, halves[1]), pilot(units, halves[0])]
    mu = units.law.mean.ravel()
    shifts = [0.0 if units.paired else (h.y - g @ (h.z - h.n * mu)) / h.n for h, g in zip(halves, pilots, strict=True)]
    total, square = np.zeros((2, units.n_unknowns)), np.zeros((2, units.n_unknowns))
    start = 0
    for z, y in units.rows(leave_out):
        turn = (start + np.arange(len(y))) % 2
        for half in range(2):
            rows = z[turn == half] - mu
            residual = y[turn == half] - rows @ pilots[half] - shifts[half]
            influence = _solve(units, rows) * residual[:, None]
            total[half] += influence.sum(axis=0)
            square[half] += np.square(influence).sum(axis=0)
        start += len(y)
    n = np.array([[h.n] for h in halves], dtype=np.float64)
    lost = 0.0 if units.paired else 1.0  # the mean of the residuals was estimated from the same half
    step = total / (n - lost)
    variance = np.maximum(square / n - (total / n) ** 2, 0.0) / (n - 1.0)
    weight = n / n.sum()
    return np.sum(weight * (np.stack(pilots) + step), axis=0), np.sum(weight**2 * variance, axis=0)


def _ridge_pilot(units: Units, sums: _Sums) -> FloatArray:
    """Ridge where S is the identity, penalty by generalised cross-validation; 0 where that gains nothing."""
    b, gram, yy = sums.centred(units.paired)
    factor = np.linalg.cholesky(units.law.matrix())
    half = scipy.linalg.solve_triangular(factor, gram, lower=True)
    whitened = scipy.linalg.solve_triangular(factor, half.T, lower=True)
    eigenvalues, vectors = scipy.linalg.eigh((whitened + whitened.T) / 2.0)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    u = vectors.T @ scipy.linalg.solve_triangular(factor, b, lower=True)
    best, coefficients, least = np.inf, np.zeros_like(u), yy
    for penalty in np.geomspace(1e-3, 1e3, 25):
        inverse = 1.0 / (eigenvalues + penalty)
        rss = yy - float(np.sum(u**2 * inverse * (2.0 - eigenvalues * inverse)))
        leverage = float(np.sum(eigenvalues * inverse)) / sums.n
        score = rss / (1.0 - leverage) ** 2 if leverage < 1.0 else np.inf
        if score < min(best, least):
            best, coefficients = score, u * inverse
    return np.asarray(
        scipy.linalg.solve_triangular(factor, vectors @ coefficients, lower=True, trans="T"), dtype=np.float64
    )


def _shrunken_pilot(units: Units, sums: _Sums) -> FloatArray:
    """c S^{-1} b with c = share of ||S^{-1/2} b||^2 that is not noise, the best multiple in expectation."""
    b, _, yy = sums.centred(units.paired)
    g = _solve(units, b)
    length = float(b @ g)
    noise = units.n_unknowns * max(yy, 0.0) / sums.n
    return g * (max(0.0, 1.0 - noise / length) if length > 0 else 0.0)
