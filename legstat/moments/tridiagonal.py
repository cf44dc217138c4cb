"""A symmetric matrix in tridiagonal form: for any shift, a solve and the trace of the inverse in O(q)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from legstat._core.frozen import Portable
from legstat._core.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Tridiagonal(Portable):
    r"""A = Q T Q^T with T tridiagonal and Q orthogonal, kept as reflections.

    A quarter of the cost of an eigendecomposition, and all that a ridge regression needs in order to compare penalties:
    in T each of them costs O(q).

    Attributes
    ----------
    diagonal, off : ndarray of shape (q,), (q - 1,)
        T.
    reflectors, sizes : ndarray of shape (q - 1, q - 1), (q - 1,)
        Q as LAPACK's products of reflections.
    """

    diagonal: FloatArray
    off: FloatArray
    reflectors: FloatArray
    sizes: FloatArray

    @classmethod
    def of(cls, matrix: FloatArray) -> Tridiagonal:
        """That of a symmetric matrix, whose lower triangle is read; O(q^3)."""
        # the transpose of a symmetric array in C order is itself in Fortran's order: nothing is copied but once
        packed, diagonal, off, sizes, info = scipy.linalg.lapack.dsytrd(matrix.T, lower=1, lwork=64 * len(matrix))
        if info:
            raise np.linalg.LinAlgError(f"LAPACK's dsytrd failed ({info})")
        return cls(diagonal, off, np.asfortranarray(packed[1:, :-1]), sizes)

    def __repr__(self) -> str:
        return f"<Tridiagonal of {self.diagonal.size} unknowns>"

    def rotated(self, v: FloatArray) -> FloatArray:
        """Q^T v."""
        return self._reflected(v, "T")

    def back(self, v: FloatArray) -> FloatArray:
        """Q v."""
        return self._reflected(v, "N")

    def _reflected(self, v: FloatArray, how: str) -> FloatArray:
        moved, _, info = scipy.linalg.lapack.dormqr("L", how, self.reflectors, self.sizes, v[1:, None], 64)
        if info:
            raise np.linalg.LinAlgError(f"LAPACK's dormqr failed ({info})")
        return np.concatenate([v[:1], moved[:, 0]])

    def shifted(self, shift: float, v: FloatArray) -> tuple[FloatArray, float]:
        """(T + shift I)^{-1} v and the trace of (T + shift I)^{-1}; LinAlgError unless T + shift I is positive."""
        lapack = scipy.linalg.lapack
        pivots, lower, info = lapack.dpttrf(self.diagonal + shift, self.off)
        if info:
            raise np.linalg.LinAlgError(f"not positive definite with {shift} on its diagonal")
        solved, _ = lapack.dpttrs(pivots, lower, v)
        # with T + shift I = L D L^T the inverse's diagonal obeys x_i = 1 / d_i + l_i^2 x_{i + 1}
        band = np.ones((2, pivots.size))
        band[0, 1:] = -np.square(lower)
        diagonal, _ = lapack.dtbtrs(band, 1.0 / pivots, uplo="U", diag="U")
        return solved, float(diagonal.sum())
