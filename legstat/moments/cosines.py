"""The cosines in which a grid's D^T D is diagonal, for stacks of vectors and for matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from legstat._core.frozen import Portable
from legstat._core.typing import FloatArray
from legstat.designs.grid import Grid


@dataclass(frozen=True, eq=False)
class Cosines(Portable):
    r"""C with :math:`D^T D = C\,\mathrm{diag}(e)\,C^T`, D that of the free boundary, in each plane of z.

    C is a product of two small matrices, one for each side of the grid; multiplied by those, a stack of vectors is
    transformed some twice as fast as by fast transforms of so short sides.

    Attributes
    ----------
    shape : tuple of int
        Sides of the grid.
    planes : int
        Planes of z.
    """

    shape: tuple[int, int]
    planes: int

    @cached_property
    def eigenvalues(self) -> FloatArray:
        """e, shape (planes p,)."""
        return np.tile(Grid(self.shape).eigenvalues.ravel(), self.planes)

    @cached_property
    def _sides(self) -> tuple[FloatArray, FloatArray]:
        down, across = (scipy.fft.dct(np.eye(side), norm="ortho", axis=0) for side in self.shape)
        return down, across

    def of(self, v: FloatArray) -> FloatArray:
        """C^T v, along the last axis."""
        down, across = self._sides
        return self._both(down, across.T, v)

    def back(self, v: FloatArray) -> FloatArray:
        """C v, along the last axis."""
        down, across = self._sides
        return self._both(down.T, across, v)

    def of_matrix(self, matrix: FloatArray) -> FloatArray:
        """C^T M C of a symmetric M."""
        return self.of(self.of(matrix).T)

    def _both(self, left: FloatArray, right: FloatArray, v: FloatArray) -> FloatArray:
        rows = v.reshape(-1, self.shape[1]) @ right
        return np.asarray(np.matmul(left, rows.reshape(-1, *self.shape)), dtype=np.float64).reshape(v.shape)

    def __repr__(self) -> str:
        return f"<Cosines {self.planes} of {self.shape[0]}x{self.shape[1]}>"
