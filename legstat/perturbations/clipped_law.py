"""Mean and covariance of the realised z, in closed form.

A law whose z stay where nothing is clipped is its own realised law. Elsewhere the closed form is that of Gaussian laws:
clipping makes the realised z of cell i a piecewise linear function phi_i of the normal z_i. Two such functions of
jointly Gaussian variables with standard deviations s_i, s_j and correlation rho_ij have, by Mehler's formula,

    Cov(phi_i(z_i), phi_j(z_j)) = sum_{k >= 1} rho_ij^k c_ik c_jk,    c_ik = E[phi_i(s_i u) He_k(u)] / sqrt(k!),

u standard normal, He_k the Hermite polynomials. The coefficients of a piecewise linear function are finite sums over
its knots, so the covariance S_r that stands in the moment vectors is known without drawing anything.

Where each z_i takes two values alone, -b and b, any function of it is affine on these: phi_i(z_i) = m_i + a_i z_i with
a_i = (phi_i(b) - phi_i(-b)) / (2 b), and S_r = diag(a) Sigma diag(a), exactly.
"""

from __future__ import annotations

import numpy as np
import scipy

from legstat._core.errors import invalid
from legstat._core.typing import FloatArray
from legstat.designs.dense import DENSE_LIMIT
from legstat.designs.design import Design
from legstat.perturbations.cell_map import CellMap


def clips(design: Design, cell_map: CellMap) -> bool:
    """Whether z is changed on the way; ValueError where what that leaves has moments that are not known."""
    if design.bound is not None and cell_map.keeps(design.bound):
        return False
    if not (design.gaussian or design.two_valued):
        valid = "Gaussian or of two values where z is clipped"
        remedy = "Lower the scale, or move `at` of Blend towards 0.5."
        raise ValueError(invalid("query", "design", design, valid, remedy))
    return True


class ClippedLaw:
    """Law of one observation's realised z: the design itself, or the design seen through a `CellMap`.

    Parameters
    ----------
    design : Design
        Law of z.
    cell_map : CellMap or None
        The map to the realised z; None where nothing is clipped. For antithetic pairs pass its `odd_part`.
    planes : int
        Independent planes of an observation.

    Raises
    ------
    ValueError
        If z is clipped and its law is neither Gaussian (`Design.gaussian`) nor of two values (`Design.two_valued`):
        nothing else has such a closed form.

    Attributes
    ----------
    mean : ndarray of shape (planes, p)
        E z_r.

    Notes
    -----
    Up to `DENSE_LIMIT` cells the covariance is formed in full, with the series cut where its remainder is below 1e-14,
    or after 200 terms: correlations beyond .85 leave more (about 3e-11 at .95 and 3e-6 at .999).
    Beyond, it is kept as a sparse matrix plus a rank-one one, which neglects correlations of order 1 / p^2 between
    cells that are not neighbours.

    Examples
    --------
    >>> from legstat import Blend, StructuredGaussian
    >>> design = StructuredGaussian(grid=(4, 4), scale=0.25)
    >>> law = ClippedLaw(design, Blend().cell_map(np.zeros((1, 8, 8)), design.grid, "shared", 0), planes=1)
    >>> bool(law.covariance(np.ones((1, 16))).sum() < design.covariance(np.ones(16)).sum())
    True
    """

    # densities far out and powers of small correlations round to 0: right, whatever the caller has made an error
    @np.errstate(under="ignore")
    def __init__(self, design: Design, cell_map: CellMap | None, planes: int) -> None:
        self._design, self._cell_map = design, cell_map
        self._planes: list[_Plane] | None = None
        self.mean = np.zeros((planes, design.grid.n_cells))
        if cell_map is not None and clips(design, cell_map):
            if design.two_valued and design.bound is not None:
                ends = cell_map(np.multiply.outer([-design.bound, design.bound], np.ones_like(self.mean)))
                self.mean = ends.mean(axis=0)
                self._planes = [_AffinePlane(design, row) for row in (ends[1] - ends[0]) / (2.0 * design.bound)]
                return
            sd = np.sqrt(design.variances)
            stats = [_HermiteSeries(cell_map, plane, sd) for plane in range(len(cell_map.knots))]
            self.mean = np.stack([s.mean for s in stats])
            dense = design.grid.n_cells <= DENSE_LIMIT or design.sparse_parts is None
            self._planes = [_DensePlane(design, s) if dense else _SparsePlane(design, s) for s in stats]

    def __reduce__(self) -> tuple[type[ClippedLaw], tuple[Design, CellMap | None, int]]:
        # worked out again from what it was made of: its matrices are large, and factors of sparse ones do not pickle
        return ClippedLaw, (self._design, self._cell_map, len(self.mean))

    @property
    def clipped(self) -> bool:
        """Whether the realised z differs from z."""
        return self._planes is not None

    @np.errstate(under="ignore")
    def covariance(self, v: FloatArray) -> FloatArray:
        """S_r v for v of shape (..., planes, p)."""
        if self._planes is None:
            return self._design.covariance(v)
        return np.stack([plane.covariance(v[..., i, :]) for i, plane in enumerate(self._planes)], axis=-2)

    @np.errstate(under="ignore")
    def solve(self, v: FloatArray) -> FloatArray:
        """S_r^{-1} v for v of shape (..., planes, p)."""
        if self._planes is None:
            return self._design.solve(v)
        return np.stack([plane.solve(v[..., i, :]) for i, plane in enumerate(self._planes)], axis=-2)

    def matrix(self) -> FloatArray:
        """S_r as a dense matrix of shape (planes p, planes p)."""
        planes, p = self.mean.shape
        full = np.zeros((planes * p, planes * p))
        for i in range(planes):
            basis = np.zeros((p, planes, p))
            basis[:, i] = np.eye(p)
            full[i * p : (i + 1) * p, i * p : (i + 1) * p] = self.covariance(basis)[:, i]
        return full


class _HermiteSeries:
    """Moments and normalised Hermite coefficients of the maps of one plane, phi_i(s_i u)."""

    def __init__(self, cell_map: CellMap, plane: int, sd: FloatArray) -> None:
        # a knot at 0 splits the line: tails are then integrated from either side, without cancellation
        raw = cell_map.knots[plane]
        knots = np.sort(np.concatenate([raw, np.zeros((len(raw), 1))], axis=1), axis=1)
        single = CellMap(cell_map.knots[plane : plane + 1], cell_map.values[plane : plane + 1])
        values = single(knots.T[:, None, :])[:, 0, :].T
        self.sd = sd
        self._u = knots / sd[:, None]
        length = np.diff(self._u, axis=1)
        # slope in u; segments of no length (two pixels of one value) weigh nothing
        self._slope = np.divide(np.diff(values, axis=1), length, out=np.zeros_like(length), where=length > 0)
        at_zero = single(np.zeros((1, 1, len(raw))))[0, 0]
        density = np.exp(-0.5 * self._u**2) / np.sqrt(2.0 * np.pi)
        right = self._u[:, 1:] > 0  # segment lies right of 0: weigh by 1 - Phi, else by Phi
        upper, lower = scipy.special.ndtr(-self._u), scipy.special.ndtr(self._u)

        def over_segments(antiderivative_upper: FloatArray, antiderivative_lower: FloatArray) -> FloatArray:
            return np.where(right, np.diff(antiderivative_upper, axis=1), -np.diff(antiderivative_lower, axis=1))

        u = self._u
        zeroth = over_segments(u * upper - density, u * lower + density)
        first = over_segments(0.5 * (u**2 * upper + lower - u * density), 0.5 * (u**2 * lower - lower + u * density))
        # E phi = phi(0) + int_0^inf phi' (1 - Phi) - int_-inf^0 phi' Phi, and likewise for (phi - E phi)^2
        self.mean = at_zero + np.sum(self._slope * zeroth, axis=1)
        start = values[:, :-1] - self.mean[:, None] - self._slope * u[:, :-1]
        self.variance = (at_zero - self.mean) ** 2 + np.sum(
            2.0 * self._slope * (start * zeroth + self._slope * first), axis=1
        )
        self._density = density

    def coefficients(self, n_terms: int) -> FloatArray:
        """c_ik for k = 1 .. n_terms, shape (n_terms, p)."""
        u, density = self._u, self._density
        c = np.empty((n_terms, len(u)))
        c[0] = np.sum(self._slope * np.diff(scipy.special.ndtr(u), axis=1), axis=1)
        previous, current = np.zeros_like(u), density  # He_{k-2} / sqrt((k-2)!) times the density
        for k in range(2, n_terms + 1):
            c[k - 1] = -np.sum(self._slope * np.diff(current, axis=1), axis=1) / np.sqrt(k * (k - 1.0))
            order = k - 2
            previous, current = current, (u * current - np.sqrt(order) * previous) / np.sqrt(order + 1.0)
        return c


def _n_terms(largest_correlation: float) -> int:
    """Terms after which rho^k is below 1e-14, at most 200 (the coefficients themselves fall like k^{-5/4})."""
    if largest_correlation <= 1e-14:
        return 1
    if largest_correlation >= 1.0:
        return 200
    return int(np.clip(np.ceil(np.log(1e-14) / np.log(largest_correlation)), 1, 200))


class _AffinePlane:
    """a_i z_i in every cell."""

    def __init__(self, design: Design, slopes: FloatArray) -> None:
        self._design, self._slopes = design, slopes

    def covariance(self, v: FloatArray) -> FloatArray:
        return self._slopes * self._design.covariance(self._slopes * v)

    def solve(self, v: FloatArray) -> FloatArray:
        return np.asarray(self._design.solve(v / self._slopes) / self._slopes, dtype=np.float64)


class _DensePlane:
    def __init__(self, design: Design, series: _HermiteSeries) -> None:
        correlation = design.covariance_matrix() / np.outer(series.sd, series.sd)
        np.fill_diagonal(correlation, 0.0)
        terms = _n_terms(float(np.abs(correlation).max(initial=0.0)))
        c = series.coefficients(terms)
        matrix, power = np.zeros_like(correlation), np.ones_like(correlation)
        for k in range(terms):
            power *= correlation
            # pairs have no even terms; a zero row is skipped, not multiplied
            if c[k].any():
                matrix += power * np.outer(c[k], c[k])
        np.fill_diagonal(matrix, series.variance)
        self._matrix = matrix
        self._factor = scipy.linalg.cho_factor(matrix, lower=True)

    def covariance(self, v: FloatArray) -> FloatArray:
        return np.asarray(v @ self._matrix, dtype=np.float64)

    def solve(self, v: FloatArray) -> FloatArray:
        solved = scipy.linalg.cho_solve(self._factor, v.reshape(-1, v.shape[-1]).T)
        return np.asarray(solved.T.reshape(v.shape), dtype=np.float64)


class _SparsePlane:
    def __init__(self, design: Design, series: _HermiteSeries) -> None:
        from scipy.sparse.linalg import splu  # slow to load

        parts = design.sparse_parts
        if parts is None:
            raise TypeError(f"{type(design).__name__} has no sparse covariance")
        sparse, rank_one = parts
        pattern = scipy.sparse.coo_array(sparse)
        i, j = pattern.coords
        off = i != j
        i, j = i[off], j[off]
        sd = series.sd
        rho = (pattern.data[off] + rank_one[i] * rank_one[j]) / (sd[i] * sd[j])
        terms = _n_terms(float(np.abs(rho).max(initial=0.0)))
        c = series.coefficients(terms)
        entry = np.zeros_like(rho)
        power = np.ones_like(rho)
        for k in range(terms):
            power *= rho
            entry += power * c[k][i] * c[k][j]
        self._w = c[0] * rank_one / sd
        n = len(sd)
        rows = np.concatenate([i, np.arange(n)])
        columns = np.concatenate([j, np.arange(n)])
        data = np.concatenate([entry - self._w[i] * self._w[j], series.variance - self._w**2])
        self._sparse = scipy.sparse.csc_array((data, (rows, columns)), shape=(n, n))
        self._lu = splu(self._sparse)
        self._lu_w = self._lu.solve(self._w)

    def covariance(self, v: FloatArray) -> FloatArray:
        flat = v.reshape(-1, v.shape[-1])
        product = (self._sparse @ flat.T).T + np.outer(flat @ self._w, self._w)
        return np.asarray(product.reshape(v.shape), dtype=np.float64)

    def solve(self, v: FloatArray) -> FloatArray:
        flat = v.reshape(-1, v.shape[-1])
        solved = self._lu.solve(np.ascontiguousarray(flat.T)).T
        correction = (solved @ self._w) / (1.0 + self._w @ self._lu_w)
        return np.asarray((solved - np.outer(correction, self._lu_w)).reshape(v.shape), dtype=np.float64)


_Plane = _AffinePlane | _DensePlane | _SparsePlane
