"""Gaussian laws of any covariance."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy

from legstat._core.conventions import Boundary, Channels
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat.designs.dense import cholesky_solve
from legstat.designs.gaussian import GaussianLaw


class GaussianDesign(GaussianLaw):
    """Any positive-definite covariance of the cells.

    Parameters
    ----------
    covariance : ndarray of shape (p, p)
        Symmetric positive definite, in squared units of the perturbed quantity; multiplied by ``scale**2``.
    grid : tuple of int
        (p1, p2) with p1 p2 = p.
    scale : float, default 1.0
        Multiplier of the standard deviations.
    channels, boundary : optional
        See `StructuredGaussian`.

    Raises
    ------
    ValueError
        If the matrix is not p x p, not finite, not symmetric or not positive definite.

    Notes
    -----
    Costs one Cholesky factorisation, O(p^3), and O(p^2) for each draw and product.

    Examples
    --------
    >>> covariance = 0.01 * (np.eye(4) + 0.5)
    >>> design = GaussianDesign(covariance, grid=(2, 2))
    >>> np.allclose(design.solve(design.covariance(np.arange(4.0))), np.arange(4.0))
    True
    """

    smooth_pilot = False

    matrix: FloatArray
    _cholesky: FloatArray

    def __init__(
        self,
        covariance: FloatArray,
        grid: tuple[int, int],
        scale: float = 1.0,
        *,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)
        p = self.grid.n_cells
        matrix = np.array(covariance, dtype=np.float64)
        if matrix.shape != (p, p) or not np.isfinite(matrix).all():
            got = f"shape {matrix.shape}, finite: {bool(np.isfinite(matrix).all())}"
            raise ValueError(invalid("GaussianDesign", "covariance", got, f"a finite matrix of shape ({p}, {p})"))
        asymmetry = float(np.abs(matrix - matrix.T).max())
        if asymmetry > 1e-10 * np.abs(matrix).max():
            raise ValueError(
                invalid(
                    "GaussianDesign", "covariance", f"asymmetry {asymmetry:.3g}", "symmetric", "Pass (S + S.T) / 2."
                )
            )
        matrix = (matrix + matrix.T) / 2.0
        try:
            self._keep(matrix=matrix, _cholesky=self.scale * np.linalg.cholesky(matrix))
        except np.linalg.LinAlgError:
            smallest = float(np.linalg.eigvalsh(matrix)[0])
            message = invalid(
                "GaussianDesign",
                "covariance",
                f"smallest eigenvalue {smallest:.3g}",
                "positive definite",
                "LEG divides by every direction's variance; add a ridge to directions that are never perturbed.",
            )
            raise ValueError(message) from None

    @property
    def n_normals(self) -> int:
        """Standard normals of one draw: p."""
        return self.grid.n_cells

    @cached_property
    def constant_eigenvalue(self) -> float | None:
        """lambda_1 where the matrix happens to have 1 as an eigenvector and the boundary is free."""
        rows = self.scale**2 * self.matrix.sum(axis=1)
        constant = np.ptp(rows) <= 1e-12 * np.abs(rows).max()
        return float(rows.mean()) if constant and self.grid.boundary == "free" else None

    @cached_property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """The matrix as a sparse one and 0, where at least half of its entries are 0."""
        p = self.grid.n_cells
        if 2 * np.count_nonzero(self.matrix) > p * p:
            return None
        return scipy.sparse.csr_array(self.scale**2 * self.matrix), np.zeros(p)

    def from_normals(self, normals: FloatArray) -> FloatArray:
        """z = R e with the Cholesky factor R of Sigma."""
        return np.asarray(normals @ self._cholesky.T, dtype=np.float64)

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v in O(p^2)."""
        return np.asarray(self.scale**2 * (v @ self.matrix), dtype=np.float64)

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v in O(p^2)."""
        return cholesky_solve(self._cholesky, v)

    def root(self, v: FloatArray) -> FloatArray:
        """R v with the lower Cholesky factor R."""
        return np.asarray(v @ self._cholesky.T, dtype=np.float64)

    def parameters(self) -> JSON:
        """Constructor arguments; the covariance as an array."""
        return {"covariance": self.matrix, **super().parameters()}
