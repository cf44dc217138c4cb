"""The grid of cells on which saliency is estimated, and its differencing operator D.

Cells are numbered in C order (row, column). Edges join neighbouring cells: first the horizontal ones, row by row, then
the vertical ones; the difference along an edge is (right or lower end) - (left or upper end). With the zero boundary
the cells of the rim also have edges to an outside of value 0 (left, right, top, bottom rim, in this order).

D^T D is a Laplacian with a known basis, so every operator that LEG needs costs one pair of fast transforms: the
2-D DCT-II for the free boundary (the paper), the 2-D DST-I for the zero boundary (the authors' code).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np
import scipy

from legstat._core.conventions import Boundary
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray, IntArray
from legstat._core.values import read_only
from legstat.designs.tiling import Tiling

OUTSIDE = -1
"""Number of the cell of value 0 beyond the rim, in `Grid.edges` with the zero boundary."""


@dataclass(frozen=True)
class Grid:
    """A p1 x p2 grid of cells with its differencing operator D (LEG paper, Definition 2).

    Parameters
    ----------
    shape : tuple of int
        (p1, p2), rows and columns of cells; p = p1 p2 cells.
    boundary : {"free", "zero"}
        "free" (the paper): an edge for each pair of neighbours, m = 2 p1 p2 - p1 - p2 edges, D constant = 0.
        "zero" (the authors' code pads D): the rim is also compared with 0, m = 2 p1 p2 + p1 + p2 edges, and D has
        full column rank.

    Raises
    ------
    ValueError
        If a side is below 1 or the boundary is neither of the two.

    Notes
    -----
    Methods take arrays whose last axis runs over cells (p) or edges (m); leading axes are a batch. The transforms
    cost O(p log p) each; `dense_svd` costs O(m p^2) and is the reference for tests and for Fig. 3 of the paper.

    Examples
    --------
    >>> grid = Grid((28, 28))
    >>> grid.n_cells, grid.n_edges
    (784, 1512)
    >>> grid.D.shape
    (1512, 784)
    """

    shape: tuple[int, int]
    boundary: Boundary = "free"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", parse_shape("Grid", self.shape))
        if self.boundary not in get_args(Boundary):
            raise ValueError(invalid("Grid", "boundary", self.boundary, '"free" (the paper) or "zero"'))

    def __reduce__(self) -> tuple[type[Grid], tuple[tuple[int, int], Boundary]]:
        return Grid, (self.shape, self.boundary)  # what is cached is computed again

    @property
    def n_cells(self) -> int:
        """Number of cells p = p1 p2."""
        return self.shape[0] * self.shape[1]

    @property
    def n_edges(self) -> int:
        """Number of edges m, rows of D."""
        p1, p2 = self.shape
        sign = -1 if self.boundary == "free" else 1
        return 2 * p1 * p2 + sign * (p1 + p2)

    @cached_property
    def edges(self) -> tuple[IntArray, IntArray]:
        """Cells at the -1 end and at the +1 end of each edge, two arrays of shape (m,); `OUTSIDE` beyond the rim."""
        cell = np.arange(self.n_cells, dtype=np.int64).reshape(self.shape)
        tail = [cell[:, :-1].ravel(), cell[:-1, :].ravel()]
        head = [cell[:, 1:].ravel(), cell[1:, :].ravel()]
        if self.boundary == "zero":
            left, right, top, bottom = cell[:, 0], cell[:, -1], cell[0], cell[-1]
            tail += [np.full_like(left, OUTSIDE), right, np.full_like(top, OUTSIDE), bottom]
            head += [left, np.full_like(right, OUTSIDE), top, np.full_like(bottom, OUTSIDE)]
        return read_only(np.concatenate(tail)), read_only(np.concatenate(head))

    @cached_property
    def D(self) -> scipy.sparse.csr_array:
        """Differencing matrix of Definition 2, sparse of shape (m, p), entries -1 and +1."""
        tail, head = self.edges
        edge = np.arange(self.n_edges)
        row = np.concatenate([edge[tail != OUTSIDE], edge[head != OUTSIDE]])
        column = np.concatenate([tail[tail != OUTSIDE], head[head != OUTSIDE]])
        value = np.concatenate([-np.ones(np.sum(tail != OUTSIDE)), np.ones(np.sum(head != OUTSIDE))])
        matrix = scipy.sparse.csr_array((value, (row, column)), shape=(self.n_edges, self.n_cells))
        for part in (matrix.data, matrix.indices, matrix.indptr):
            read_only(part)
        return matrix

    @cached_property
    def eigenvalues(self) -> FloatArray:
        """Eigenvalues of D^T D in the order of the transform's coefficients, shape (p1, p2).

        Free boundary: (2 - 2 cos(pi i / p1)) + (2 - 2 cos(pi j / p2)), i, j from 0; zero boundary:
        (2 - 2 cos(pi i / (p1 + 1))) + (2 - 2 cos(pi j / (p2 + 1))), i, j from 1.
        """

        def side(n: int) -> FloatArray:
            # 2 - 2 cos(t) = 4 sin^2(t / 2), without cancellation at small t
            angle = np.arange(n) / n if self.boundary == "free" else np.arange(1, n + 1) / (n + 1)
            return np.asarray(4.0 * np.sin(np.pi * angle / 2.0) ** 2, dtype=np.float64)

        return read_only(side(self.shape[0])[:, None] + side(self.shape[1])[None, :])

    def apply_spectrum(self, function: Callable[[FloatArray], FloatArray], v: FloatArray) -> FloatArray:
        """Apply h(D^T D) to cell vectors: transform, multiply by h(eigenvalues), transform back.

        Parameters
        ----------
        function : callable
            h, from eigenvalues (p1, p2) to multipliers (p1, p2). With the free boundary the eigenvalue at [0, 0] is 0
            and belongs to the constant vector.
        v : ndarray of shape (..., p)
            Cell vectors.

        Returns
        -------
        ndarray of shape (..., p)
            h(D^T D) v. Costs O(p log p) for each vector.

        Examples
        --------
        >>> grid = Grid((3, 4))
        >>> v = np.arange(12.0)
        >>> np.allclose(grid.apply_spectrum(lambda e: e, v), grid.D.T @ (grid.D @ v))
        True
        """
        plane = v.reshape(*v.shape[:-1], *self.shape)
        multiplier = function(self.eigenvalues)
        if self.boundary == "free":
            spectrum = scipy.fft.dctn(plane, type=2, norm="ortho", axes=(-2, -1)) * multiplier
            result = scipy.fft.idctn(spectrum, type=2, norm="ortho", axes=(-2, -1))
        else:
            spectrum = scipy.fft.dstn(plane, type=1, norm="ortho", axes=(-2, -1)) * multiplier
            result = scipy.fft.idstn(spectrum, type=1, norm="ortho", axes=(-2, -1))
        return np.asarray(result, dtype=np.float64).reshape(v.shape)

    def laplacian_pinv(self, v: FloatArray) -> FloatArray:
        """(D^T D)^+ v for cell vectors, shape (..., p) to (..., p), in O(p log p).

        With the free boundary the mean of `v` is projected out and the result has mean 0; with the zero boundary it
        is the inverse.
        """

        def reciprocal(eigenvalues: FloatArray) -> FloatArray:
            result = np.zeros_like(eigenvalues)
            np.divide(1.0, eigenvalues, out=result, where=eigenvalues > 0)
            return result

        return self.apply_spectrum(reciprocal, v)

    def difference(self, v: FloatArray) -> FloatArray:
        """D v: differences along the edges of cell vectors, shape (..., p) to (..., m), in O(p)."""
        plane = v.reshape(*v.shape[:-1], *self.shape)
        flat = (*v.shape[:-1], -1)
        parts = [
            (plane[..., :, 1:] - plane[..., :, :-1]).reshape(flat),
            (plane[..., 1:, :] - plane[..., :-1, :]).reshape(flat),
        ]
        if self.boundary == "zero":
            parts += [plane[..., :, 0], -plane[..., :, -1], plane[..., 0, :], -plane[..., -1, :]]
        return np.concatenate(parts, axis=-1)

    def divergence(self, e: FloatArray) -> FloatArray:
        """D^T e: from edge vectors (..., m) to cell vectors (..., p), in O(p)."""
        p1, p2 = self.shape
        nh, nv = p1 * (p2 - 1), (p1 - 1) * p2
        batch = e.shape[:-1]
        plane = np.zeros((*batch, p1, p2), dtype=np.float64)
        across = e[..., :nh].reshape(*batch, p1, p2 - 1)
        down = e[..., nh : nh + nv].reshape(*batch, p1 - 1, p2)
        plane[..., :, 1:] += across
        plane[..., :, :-1] -= across
        plane[..., 1:, :] += down
        plane[..., :-1, :] -= down
        if self.boundary == "zero":
            rim = e[..., nh + nv :]
            plane[..., :, 0] += rim[..., :p1]
            plane[..., :, -1] -= rim[..., p1 : 2 * p1]
            plane[..., 0, :] += rim[..., 2 * p1 : 2 * p1 + p2]
            plane[..., -1, :] -= rim[..., 2 * p1 + p2 :]
        return plane.reshape(*batch, self.n_cells)

    def pinv(self, e: FloatArray) -> FloatArray:
        """D^+ e = (D^T D)^+ D^T e: from edge vectors (..., m) to cell vectors (..., p), in O(p log p)."""
        return self.laplacian_pinv(self.divergence(e))

    def pinv_transpose(self, v: FloatArray) -> FloatArray:
        """D^{+T} v = D (D^T D)^+ v: from cell vectors (..., p) to edge vectors (..., m), in O(p log p)."""
        return self.difference(self.laplacian_pinv(v))

    def dense_svd(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Reference SVD D = U Theta V^T by LAPACK.

        Returns
        -------
        U : ndarray of shape (m, r), singular_values : ndarray of shape (r,), V : ndarray of shape (p, r)
            r = min(m, p). Costs O(m p^2): minutes beyond some 60 x 60 cells.
        """
        u, s, vt = np.linalg.svd(self.D.toarray(), full_matrices=False)
        return u, s, vt.T

    def tiling(self, height: int, width: int) -> Tiling:
        """How a picture of that size is cut into the grid's cells.

        Raises
        ------
        ValueError
            If a side has more cells than pixels.
        """
        if height < self.shape[0] or width < self.shape[1]:
            valid = f"a grid of at most {height} x {width} cells for a picture of that many pixels"
            raise ValueError(invalid("Grid.tiling", "grid", self.shape, valid))
        return Tiling.of(self.shape, height, width)

    def lift(self, z: AnyArray, height: int, width: int) -> AnyArray:
        """Lift cell values (..., p1, p2) to pixels (..., height, width): every pixel takes its cell's value."""
        down, across = self.tiling(height, width).repeats
        return np.repeat(np.repeat(z, down, axis=-2), across, axis=-1)

    def cell_means(self, pixels: FloatArray) -> FloatArray:
        """Means over the pixels of each cell: (..., height, width) to (..., p1, p2); it undoes `lift`."""
        tiling = self.tiling(*pixels.shape[-2:])
        if tiling.even:
            h, w = tiling.size
            cells = pixels.reshape(*pixels.shape[:-2], self.shape[0], h, self.shape[1], w)
            return np.asarray(cells.mean(axis=(-3, -1)), dtype=np.float64)
        sums = pixels
        for axis, sizes in ((-2, tiling.heights), (-1, tiling.widths)):
            sums = np.add.reduceat(sums, np.cumsum(sizes) - sizes, axis=axis)
        return np.asarray(sums / np.outer(tiling.heights, tiling.widths), dtype=np.float64)


def parse_shape(where: str, shape: object) -> tuple[int, int]:
    """(p1, p2) from a pair of integers >= 1, else ValueError naming `where`."""
    sides = tuple(shape) if isinstance(shape, Sequence) else ()
    if len(sides) != 2 or not all(isinstance(n, int | np.integer) and n >= 1 for n in sides):
        raise ValueError(
            invalid(where, "grid", shape, "two integers >= 1, rows and columns of cells, such as (28, 28)")
        )
    return int(sides[0]), int(sides[1])
