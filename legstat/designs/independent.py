"""Laws whose cells do not know of each other: Sigma = sigma^2 I."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy

from legstat._core.typing import FloatArray
from legstat._core.values import read_only
from legstat.designs.design import Design


class IndependentCells(Design):
    """A design of uncorrelated cells of one variance, sigma^2."""

    @property
    def constant_eigenvalue(self) -> float | None:
        """sigma^2 with the free boundary."""
        return self.scale**2 if self.grid.boundary == "free" else None

    @property
    def spectrum(self) -> FloatArray | None:
        """sigma^2 in every direction, in any basis."""
        return np.full(self.grid.shape, self.scale**2)

    @property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """sigma^2 I and 0."""
        p = self.grid.n_cells
        return scipy.sparse.csr_array(self.scale**2 * scipy.sparse.eye_array(p)), np.zeros(p)

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v = sigma^2 v."""
        return self.scale**2 * v

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v = v / sigma^2."""
        return v / self.scale**2

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Sigma: sigma^2 in every cell."""
        return read_only(np.full(self.grid.n_cells, self.scale**2))
