"""The LEG paper's own law, whose covariance is the grid's Laplacian plus a constant."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy

from legstat._core.conventions import Boundary, Channels
from legstat._core.typing import FloatArray
from legstat._core.values import read_only
from legstat.designs.gaussian import GaussianLaw


class StructuredGaussian(GaussianLaw):
    """The Haar-like Gaussian design of LEG 5.2: Sigma = sigma^2 (V Theta^2 V^T + 1 1^T / p), D = U Theta V^T.

    V Theta^2 V^T is D^T D, the grid's Laplacian: Sigma is sparse plus rank one, and z = sigma (D^T e + 1 xi / sqrt(p))
    with m + 1 standard normals (e, xi) has exactly this covariance. No decomposition is ever computed.

    Parameters
    ----------
    grid : tuple of int
        (p1, p2) cells.
    scale : float, default 0.02
        sigma. One cell's standard deviation is up to 2 sigma (between sqrt(2) sigma in a corner and 2 sigma inside).
    channels : {"shared", "separate", "joint"}, optional
        See `Design`; "shared" unless conventions say otherwise.
    boundary : {"free", "zero"}, optional
        "free" (the paper) unless conventions say otherwise; "zero" is the authors' padded D.

    Raises
    ------
    ValueError
        If the grid, the scale, the channels or the boundary is out of range.

    Notes
    -----
    A draw costs m + 1 normals and O(p) additions; `covariance` is O(p), `solve` and `root` O(p log p).
    kappa of Assumption 1 is sigma^2, for every sparsity set.

    Examples
    --------
    >>> design = StructuredGaussian(grid=(28, 28), scale=0.02)
    >>> design
    StructuredGaussian(grid=(28, 28), scale=0.02, channels='shared', boundary='free')
    >>> design.n_normals
    1513
    """

    smooth_pilot = False

    def __init__(
        self,
        grid: tuple[int, int],
        scale: float = 0.02,
        *,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)

    @property
    def n_normals(self) -> int:
        """Standard normals of one draw: m + 1."""
        return self.grid.n_edges + 1

    @property
    def constant_eigenvalue(self) -> float | None:
        """sigma^2 with the free boundary; the zero boundary couples the mean to the rest."""
        return self.scale**2 if self.grid.boundary == "free" else None

    @property
    def spectrum(self) -> FloatArray | None:
        """sigma^2 times the eigenvalues of D^T D, and sigma^2 for the constants; None with the zero boundary."""
        if self.grid.boundary != "free":
            return None
        eigenvalues = self.grid.eigenvalues.copy()
        eigenvalues[0, 0] = 1.0
        return np.asarray(self.scale**2 * eigenvalues)

    def from_normals(self, normals: FloatArray) -> FloatArray:
        """z = sigma (D^T e + 1 xi / sqrt(p)) for normals (e, xi) of shape (k, m + 1)."""
        z = self.grid.divergence(normals[:, :-1])
        z += normals[:, -1:] / np.sqrt(self.grid.n_cells)
        z *= self.scale
        return z

    @property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """sigma^2 D^T D and sigma 1 / sqrt(p)."""
        laplacian = scipy.sparse.csr_array(self.scale**2 * (self.grid.D.T @ self.grid.D))
        return laplacian, np.full(self.grid.n_cells, self.scale / np.sqrt(self.grid.n_cells))

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v in O(p)."""
        laplacian = self.grid.divergence(self.grid.difference(v))
        return np.asarray(self.scale**2 * (laplacian + v.mean(axis=-1, keepdims=True)), dtype=np.float64)

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v in O(p log p), by Sherman-Morrison with the zero boundary."""
        grid = self.grid
        if grid.boundary == "free":
            w = grid.laplacian_pinv(v) + v.mean(axis=-1, keepdims=True)
        else:
            q = self._laplacian_inverse_of_one
            w = grid.laplacian_pinv(v)
            w = w - q * (w.mean(axis=-1, keepdims=True) / (1.0 + q.mean()))
        return np.asarray(w / self.scale**2, dtype=np.float64)

    def root(self, v: FloatArray) -> FloatArray:
        """R v with R R^T = Sigma in O(p log p); symmetric with the free boundary.

        With the zero boundary R = sigma A^{1/2} (I + c w w^T), A = D^T D, where w is the unit vector along
        A^{-1/2} 1 and c makes the rank-one part come out as 1 1^T / p.
        """
        grid = self.grid
        if grid.boundary == "free":
            rooted = grid.apply_spectrum(np.sqrt, v) + v.mean(axis=-1, keepdims=True)
            return np.asarray(self.scale * rooted, dtype=np.float64)
        w = grid.apply_spectrum(lambda e: 1.0 / np.sqrt(e), np.full(grid.n_cells, 1.0 / np.sqrt(grid.n_cells)))
        norm2 = float(w @ w)
        w = w / np.sqrt(norm2)
        lifted = v + (np.sqrt(1.0 + norm2) - 1.0) * (v @ w)[..., None] * w
        return self.scale * grid.apply_spectrum(np.sqrt, lifted)

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Sigma in O(p): sigma^2 (degree + 1 / p)."""
        tail, head = self.grid.edges
        ends = np.concatenate([tail, head])
        degree = np.bincount(ends[ends >= 0], minlength=self.grid.n_cells)
        return read_only(np.asarray(self.scale**2 * (degree + 1.0 / self.grid.n_cells), dtype=np.float64))

    @cached_property
    def _laplacian_inverse_of_one(self) -> FloatArray:
        return read_only(self.grid.laplacian_pinv(np.ones(self.grid.n_cells)))
