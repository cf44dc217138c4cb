"""Ridge regression on a Gaussian prior whose weight the sample chooses, and a prior that learns where the signal is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from legstat._core.frozen import Portable
from legstat._core.typing import FloatArray
from legstat.designs.grid import Grid
from legstat.moments.cosines import Cosines
from legstat.moments.tridiagonal import Tridiagonal

ROUNDS = 2
"""How often the map's own energy is put into the prior; more gained nothing (docs/studies/query_efficiency.md)."""
WIDTH = 1.5
"""Standard deviation, in cells, of the window that the energy is averaged with."""
FLOOR = 0.05
"""Energy that every cell is granted, as a share of the mean: no cell is ruled out."""
SMOOTHNESS = 0.05
"""Added to the eigenvalues of D^T D: constants are penalised too."""
PENALTIES = np.geomspace(1e-4, 30.0, 45)
"""Candidate penalties, in units of the mean eigenvalue of the Gram matrix on the prior."""


SMALL = 256
"""Unknowns up to which a regression takes one eigendecomposition, some milliseconds; beyond, a tridiagonal form."""


def least_gcv(
    inner: FloatArray, c: FloatArray, yy: float, n: int, penalties: FloatArray, *, or_nothing: bool,
    most_leverage: float = 1.0,
) -> tuple[FloatArray, float]:  # fmt: skip
    r"""Coefficients and penalty of `gcv_ridge` in the prior's own coordinates, for many unknowns.

    .. math:: x = (A + \lambda I)^{-1} c, \qquad
              \mathrm{RSS} / n = \overline{y^2} - c^T x - \lambda x^T x, \qquad
              \mathrm{tr} H = q - \lambda\, \mathrm{tr} (A + \lambda I)^{-1}

    Parameters
    ----------
    inner : ndarray of shape (q, q)
        A = F^T G F.
    c : ndarray of shape (q,)
        F^T b.
    yy, n, penalties, or_nothing, most_leverage
        As for `gcv_ridge`.

    Returns
    -------
    x : ndarray of shape (q,)
        The map is F x.
    penalty : float
        lambda; infinity for the map 0.

    Notes
    -----
    Costs a reduction to tridiagonal form, a quarter of an eigendecomposition, and O(q) for each candidate.
    """
    tridiagonal = Tridiagonal.of(inner)
    rotated = tridiagonal.rotated(c)
    best, chosen, penalty = (yy if or_nothing else np.inf), np.zeros_like(c), np.inf
    for candidate in penalties:
        x, trace = tridiagonal.shifted(float(candidate), rotated)
        rss = yy - float(rotated @ x) - candidate * float(x @ x)
        leverage = (len(c) - candidate * trace) / n
        score = rss / (1.0 - leverage) ** 2 if leverage < most_leverage else np.inf
        if score < best:
            best, chosen, penalty = score, x, float(candidate)
    return tridiagonal.back(chosen), penalty


def gcv_ridge(
    b: FloatArray,
    gram: FloatArray,
    yy: float,
    n: int,
    factor: FloatArray,
    penalties: FloatArray,
    *,
    or_nothing: bool,
    most_leverage: float = 1.0,
) -> tuple[FloatArray, FloatArray, float]:
    r"""Ridge map on the prior N(0, F F^T), with the penalty that minimises generalised cross-validation.

    .. math:: \hat g = F (F^T G F + \lambda I)^{-1} F^T b, \qquad
              \mathrm{GCV}(\lambda) = \frac{\mathrm{RSS}(\lambda) / n}{(1 - \mathrm{tr} H_\lambda / n)^2}

    (Golub, Heath and Wahba 1979), all penalties from one decomposition of F^T G F.

    Parameters
    ----------
    b : ndarray of shape (q,)
        Mean of y z.
    gram : ndarray of shape (q, q)
        G, the mean of z z^T.
    yy : float
        Mean of y^2.
    n : int
        Number of observations.
    factor : ndarray of shape (q, q)
        F.
    penalties : ndarray of shape (k,)
        Candidates for lambda.
    or_nothing : bool
        Whether the map 0 is a candidate too.
    most_leverage : float, default 1
        Candidates with as high a mean leverage tr H / n, or a higher one, are passed over.

    Returns
    -------
    gamma : ndarray of shape (q,)
        The map.
    hat : ndarray of shape (q, q)
        (G + lambda (F F^T)^{-1})^{-1} / n: z^T hat z are the leverages. 0 for the map 0.
    penalty : float
        lambda; infinity for the map 0.

    Notes
    -----
    Costs O(q^3), once.
    """
    inner = factor.T @ gram @ factor
    eigenvalues, vectors = scipy.linalg.eigh((inner + inner.T) / 2.0)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    u = vectors.T @ (factor.T @ b)
    best, chosen, penalty = (yy, np.zeros_like(u), np.inf) if or_nothing else (np.inf, np.zeros_like(u), np.inf)
    for candidate in penalties:
        inverse = 1.0 / (eigenvalues + candidate)
        rss = yy - float(np.sum(u**2 * inverse * (2.0 - eigenvalues * inverse)))
        leverage = float(np.sum(eigenvalues * inverse)) / n
        score = rss / (1.0 - leverage) ** 2 if leverage < most_leverage else np.inf
        if score < best:
            best, chosen, penalty = score, inverse, float(candidate)
    back = np.asarray(factor @ vectors, dtype=np.float64)
    return back @ (chosen * u), (back * (chosen / n)) @ back.T, penalty


@dataclass(frozen=True, eq=False)
class RidgeMap(Portable):
    """A ridge map and the matrix of its leverages.

    Attributes
    ----------
    gamma : ndarray of shape (q,)
        The map.
    hat_of : callable
        Makes `hat`, which folds of a sample do without.
    """

    gamma: FloatArray
    hat_of: Callable[[], FloatArray]

    @cached_property
    def hat(self) -> FloatArray:
        """(G + lambda (F F^T)^{-1})^{-1} / n, shape (q, q): z^T hat z are the leverages. 0 for the map 0."""
        return self.hat_of()

    def __repr__(self) -> str:
        return f"<RidgeMap of {self.gamma.size} unknowns>"


def adaptive_ridge(b: FloatArray, gram: FloatArray, yy: float, n: int, grid: Grid, planes: int) -> RidgeMap:
    r"""Ridge on a prior that is smooth on the grid and wide where the sample finds signal.

    The prior of each plane is

    .. math:: \gamma \sim N\left(0,\; W^{1/2} (D^T D + \epsilon I)^{-1/2} W^{1/2}\right),

    W diagonal: at first I, then the local mean of the map's own squares (a Gaussian window), plus a floor, so that
    cells around which nothing was found are shrunken more than those on the object. The weight of the prior is chosen
    anew each time by generalised cross-validation: empirical Bayes with one scale and one local energy.

    Parameters
    ----------
    b, gram, yy, n
        As for `gcv_ridge`, q = planes p.
    grid : Grid
        The cells.
    planes : int
        Planes of z.

    Returns
    -------
    RidgeMap
        The map: shrunken, by more where the signal is weak. Its `hat` is that of the last prior.

    Notes
    -----
    Costs O(q^3), three times. D is that of the free boundary, whichever the design has.
    """
    fit = _dense_fit(grid, planes) if len(b) <= SMALL else _spectral_fit(grid, planes)
    found = fit(np.ones_like(b), b, gram, yy, n)
    for _ in range(ROUNDS):
        maps = np.square(found.gamma).reshape(planes, *grid.shape)
        energy = scipy.ndimage.gaussian_filter(maps, (0.0, WIDTH, WIDTH), mode="nearest").reshape(-1)
        if not energy.any():
            break
        found = fit(np.sqrt(energy + FLOOR * energy.mean()), b, gram, yy, n)
    return found


_Fit = Callable[[FloatArray, FloatArray, FloatArray, float, int], RidgeMap]
"""From W^{1/2}, b, G, the mean of y^2 and n to the map."""


def _dense_fit(grid: Grid, planes: int) -> _Fit:
    smooth = Grid(grid.shape).apply_spectrum(lambda e: (e + SMOOTHNESS) ** -0.25, np.eye(grid.n_cells))
    plain = scipy.linalg.block_diag(*[smooth] * planes)

    def fit(width: FloatArray, b: FloatArray, gram: FloatArray, yy: float, n: int) -> RidgeMap:
        factor = width[:, None] * plain
        unit = float(np.einsum("ij,ij->", factor, gram @ factor)) / len(b)  # the mean eigenvalue of F^T G F
        if unit == 0.0:
            return RidgeMap(np.zeros_like(b), lambda: np.zeros_like(gram))
        gamma, hat, _ = gcv_ridge(b, gram, yy, n, factor, unit * PENALTIES, or_nothing=False)
        return RidgeMap(gamma, lambda: hat)

    return fit


def _spectral_fit(grid: Grid, planes: int) -> _Fit:
    """The same in cosines, where the smooth prior is diagonal: F = W^{1/2} C (e + epsilon)^{-1/4}."""
    cosines = Cosines(grid.shape, planes)
    smooth = (cosines.eigenvalues + SMOOTHNESS) ** -0.25

    def fit(width: FloatArray, b: FloatArray, gram: FloatArray, yy: float, n: int) -> RidgeMap:
        inner = smooth[:, None] * cosines.of_matrix(width[:, None] * gram * width) * smooth
        unit = float(np.trace(inner)) / len(b)
        if unit == 0.0:
            return RidgeMap(np.zeros_like(b), lambda: np.zeros_like(gram))
        x, penalty = least_gcv(inner, smooth * cosines.of(width * b), yy, n, unit * PENALTIES, or_nothing=False)

        def hat() -> FloatArray:
            factor = scipy.linalg.cholesky(inner + penalty * np.eye(len(b)), lower=True)
            half, _ = scipy.linalg.lapack.dtrtri(factor, lower=1)
            inverse = half.T @ half / n
            return width[:, None] * cosines.back(cosines.back(smooth[:, None] * inverse * smooth).T) * width

        return RidgeMap(width * cosines.back(smooth * x), hat)

    return fit
