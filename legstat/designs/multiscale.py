"""Blocks of several sizes, switched on or off."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, reduce

import numpy as np
import scipy

from legstat._core.checks import check_count, is_number
from legstat._core.conventions import Boundary, Channels
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.designs.dense import DENSE_LIMIT, cholesky_solve
from legstat.designs.design import Design
from legstat.designs.grid import Grid

SCALES = (1, 2, 4, 7)
"""Sides of the blocks, in cells, of those that fit the grid."""
WORST_CONDITION = 1e10
"""Beyond it Sigma^{-1} b keeps fewer than six digits."""
_WHERE = "MultiscaleBlocks"


class MultiscaleBlocks(Design):
    r"""Square blocks on or off, their side drawn anew for each z: a law that moves the smooth directions most.

    For each draw a side s is drawn from `scales` with `weights`, and an offset uniformly from :math:`\{0..s-1\}^2`;
    the plane is cut into blocks of s x s cells at that offset, and each block is on (:math:`z_i = \sigma`) or off
    (:math:`-\sigma`) with probability 1/2. E z = 0, z and -z (the complement) have one law, and

    .. math:: \Sigma_{ij} = \sigma^2 \left(v + (1 - v) \sum_s \pi_s
              \left(1 - |\Delta r| / s\right)_+ \left(1 - |\Delta c| / s\right)_+\right),

    :math:`(\Delta r, \Delta c)` the distance from cell i to j in rows and columns: exact and stationary. v is 0, or
    :math:`(b - a)^2 / 3` with levels (a, b).

    Parameters
    ----------
    grid : tuple of int
        (p1, p2) cells.
    scales : sequence of int, optional
        Sides s of the blocks, in cells; those of 1, 2, 4 and 7 that are no longer than the grid unless given.
    weights : sequence of float, optional
        Probabilities :math:`\pi_s` of the sides, in the order of `scales`; equal unless given.
    levels : tuple of float, optional
        (a, b) with a + b = 1: for each draw the probability with which its blocks are on is uniform on [a, b], so that
        masks differ in how much they hide. 1/2 in every draw unless given.
    scale : float, default 0.5
        sigma: the standard deviation of every cell, which is half the distance between on and off. 0.5, in mask
        levels, goes from nothing to the whole with ``Blend(at=0.5)``; at another `at` take min(at, 1 - at).
    channels, boundary : optional
        See `StructuredGaussian`; the boundary matters to LEG-TV's differencing operator only.

    Raises
    ------
    TypeError, ValueError
        If the scales are no different whole numbers from 1 to the grid's longer side, the weights are not positive or
        do not sum to 1, the levels are not a < b inside (0, 1) with a + b = 1, or Sigma is singular to working
        precision (large blocks alone: the remedy is a small weight on side 1).

    Notes
    -----
    A draw costs p + 4 uniform numbers. `covariance` costs O(p (p1 + p2)) for each scale, `solve` one Cholesky
    factorisation, O(p^3), and O(p^2) for each vector; beyond 4,096 cells preconditioned conjugate gradients.
    Sigma is always positive definite. With side 1 among the scales its condition is modest (65 at 28 x 28); without
    it rough directions are hardly moved, Sigma^{-1} multiplies their noise (`condition_number`: 2e4 to 2e5 there), and
    LEG's errors say so; shrunken moments ("adaptive") do not mind.

    Examples
    --------
    >>> design = MultiscaleBlocks(grid=(28, 28))
    >>> design.scales, design.bound, round(design.condition_number)
    ((1, 2, 4, 7), 0.5, 65)
    >>> float(design.covariance_matrix()[0, 1])  # (1/4) (0 + 1/2 + 3/4 + 6/7) / 4
    0.13169642857142858
    """

    two_valued = True

    scales: tuple[int, ...]
    weights: tuple[float, ...]
    levels: tuple[float, float] | None

    def __init__(
        self,
        grid: tuple[int, int],
        scales: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        levels: tuple[float, float] | None = None,
        *,
        scale: float = 0.5,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)
        sides = _check_scales(scales, max(self.grid.shape))
        self._keep(
            scales=sides,
            weights=_check_weights(weights, len(sides)),
            levels=_check_levels(levels),
        )
        worst = self._condition_bound
        if worst > WORST_CONDITION:
            valid = f"such that Sigma can be inverted (condition number at most {WORST_CONDITION:.0e})"
            got = f"{sides}: singular to working precision, condition number up to {worst:.1e}"
            remedy = f"Add side 1 with a small weight: scales={(1, *sides)}, weights=(0.1, ...)."
            raise ValueError(invalid(_WHERE, "scales", got, valid, remedy))

    @property
    def label(self) -> str:
        """The class and the sides of its blocks, with their percentages where these differ."""
        even = len(set(self.weights)) == 1
        sides = (f"{s}" if even else f"{s} ({w:.0%})" for s, w in zip(self.scales, self.weights, strict=True))
        return f"MultiscaleBlocks {', '.join(sides)}" + (
            f"; {self.levels[0]:g}-{self.levels[1]:g}" if self.levels else ""
        )

    @property
    def bound(self) -> float:
        """sigma."""
        return self.scale

    @property
    def constant_eigenvalue(self) -> float | None:
        """None unless all blocks are single cells: blocks at the rim are cut, Sigma 1 is smaller there."""
        if self.scales != (1,) or self.grid.boundary != "free":
            return None
        share = self._common_share
        return self.scale**2 * (1.0 - share + share * self.grid.n_cells)

    @property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """The blocks' part, (2 s - 1)^2 entries a row for the largest s, and sigma sqrt(v) 1."""
        share, p = self._common_share, self.grid.n_cells
        products = (
            pi * scipy.sparse.kron(scipy.sparse.csr_array(down), scipy.sparse.csr_array(across), format="csr")
            for pi, down, across in zip(self.weights, *self._overlaps, strict=True)
        )
        blocks = scipy.sparse.csr_array(reduce(lambda a, b: a + b, products))
        return self.scale**2 * (1.0 - share) * blocks, np.full(p, self.scale * math.sqrt(share))

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Sigma: sigma^2 in every cell."""
        return read_only(np.full(self.grid.n_cells, self.scale**2))

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v, each scale's part as a product of small matrices from the left and from the right."""
        share, plane = self._common_share, v.reshape(-1, *self.grid.shape)
        total = share * np.ones_like(plane) * plane.sum(axis=(1, 2), keepdims=True) if share else np.zeros_like(plane)
        for pi, down, across in zip(self.weights, *self._overlaps, strict=True):
            total += (1.0 - share) * pi * (down @ plane @ across)
        return np.asarray(self.scale**2 * total.reshape(v.shape), dtype=np.float64)

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v; to a relative residual of 1e-12 where it is found by conjugate gradients."""
        if self.grid.n_cells <= DENSE_LIMIT:
            return cholesky_solve(self._cholesky, v)

        def operator(of: Callable[[FloatArray], FloatArray]) -> scipy.sparse.linalg.LinearOperator:
            return scipy.sparse.linalg.LinearOperator(
                (v.size, v.size), lambda x: of(x.reshape(v.shape)).ravel(), dtype=np.float64
            )

        product, rough = operator(self.covariance), operator(self._nearly_solved)
        solved, fault = scipy.sparse.linalg.cg(product, v.ravel(), rtol=1e-12, maxiter=10_000, M=rough)
        if fault:
            raise ValueError(
                invalid(_WHERE, "scales", self.scales, "such that Sigma can be inverted", "Add side 1 to the scales.")
            )
        return np.asarray(solved.reshape(v.shape), dtype=np.float64)

    def sample(self, generator: np.random.Generator, n: int) -> FloatArray:
        """So many draws, shape (n, p): four uniform numbers for side, offset and level, then one for each block."""
        p1, p2 = self.grid.shape
        numbers = generator.random((n, 4 + p1 * p2))
        # the last sum of weights is 1 but for rounding: what lies beyond belongs to the last side
        which = np.searchsorted(np.cumsum(self.weights)[:-1], numbers[:, 0], side="right")
        side = np.array(self.scales)[which]
        low, high = self.levels or (0.5, 0.5)
        level = low + (high - low) * numbers[:, 3]
        on = numbers[:, 4:].reshape(n, p1, p2) < level[:, None, None]
        # a cell's block: no offset makes more blocks than there are cells
        first = (numbers[:, 1:3] * side[:, None]).astype(np.int64)
        row = (first[:, :1] + np.arange(p1)) // side[:, None]
        column = (first[:, 1:] + np.arange(p2)) // side[:, None]
        lit = on[np.arange(n)[:, None, None], row[:, :, None], column[:, None, :]]
        return np.where(lit, self.scale, -self.scale).reshape(n, -1)

    def parameters(self) -> JSON:
        """Constructor arguments."""
        own = {"scales": self.scales, "weights": self.weights, "levels": self.levels}
        return {"grid": self.grid.shape, **own, **super().parameters()}

    @property
    def _common_share(self) -> float:
        """v: how much of a cell's variance all cells share, that of the level of the draw."""
        return 0.0 if self.levels is None else (self.levels[1] - self.levels[0]) ** 2 / 3.0

    @cached_property
    def _overlaps(self) -> tuple[list[FloatArray], list[FloatArray]]:
        """(1 - |d| / s)_+ between rows and between columns, for each side s."""

        def of(n: int, side: int) -> FloatArray:
            distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
            return read_only(np.asarray(np.maximum(1.0 - distance / side, 0.0), dtype=np.float64))

        p1, p2 = self.grid.shape
        return [of(p1, s) for s in self.scales], [of(p2, s) for s in self.scales]

    @cached_property
    def _condition_bound(self) -> float:
        """Above the condition number: each scale's part is a Kronecker product of which the ends are known."""
        low = high = 0.0
        for pi, down, across in zip(self.weights, *self._overlaps, strict=True):
            ends = [np.linalg.eigvalsh(one)[[0, -1]] for one in (down, across)]
            low, high = low + pi * float(ends[0][0] * ends[1][0]), high + pi * float(ends[0][1] * ends[1][1])
        share = self._common_share
        return ((1.0 - share) * high + share * self.grid.n_cells) / max((1.0 - share) * low, 1e-300)

    @cached_property
    def _cholesky(self) -> FloatArray:
        return read_only(np.asarray(np.linalg.cholesky(self.covariance_matrix()), dtype=np.float64))

    def _nearly_solved(self, v: FloatArray) -> FloatArray:
        """The inverse but for the rim: that of Sigma's diagonal in the cosine basis, which nearly diagonalises it."""
        return Grid(self.grid.shape).apply_spectrum(lambda _: 1.0 / self._diagonal, v)

    @cached_property
    def _diagonal(self) -> FloatArray:
        """Variances along the cosine basis, shape (p1, p2): of each scale the product of its factors' own."""

        def of(overlap: FloatArray) -> FloatArray:
            return np.asarray(np.diag(scipy.fft.dctn(overlap, type=2, norm="ortho")))

        parts = [pi * np.outer(of(a), of(b)) for pi, a, b in zip(self.weights, *self._overlaps, strict=True)]
        diagonal = (1.0 - self._common_share) * np.sum(parts, axis=0)
        diagonal[0, 0] += self._common_share * self.grid.n_cells
        return read_only(np.asarray(self.scale**2 * diagonal, dtype=np.float64))


def _check_scales(scales: object, longest: int) -> tuple[int, ...]:
    usual = tuple(side for side in SCALES if side <= longest)
    if scales is None:
        return usual
    remedy = f"Sides in cells, such as {usual}."
    valid = f"one or more different whole numbers from 1 to {longest}, the grid's longer side"
    given = _listed(scales)
    if not given:
        raise TypeError(invalid(_WHERE, "scales", scales, valid, remedy))
    sides = tuple(check_count(_WHERE, "scales", side, 1, longest, remedy=remedy) for side in given)
    if len(set(sides)) != len(sides):
        raise ValueError(invalid(_WHERE, "scales", sides, valid, remedy))
    return sides


def _check_weights(weights: object, n: int) -> tuple[float, ...]:
    if weights is None:
        return (1.0 / n,) * n
    given = tuple(float(w) if is_number(w) else math.nan for w in _listed(weights))
    valid = f"{n} numbers > 0 that sum to 1, one for each of the scales"
    if len(given) != n or not all(w > 0 and math.isfinite(w) for w in given):
        raise ValueError(invalid(_WHERE, "weights", weights, valid, "Leave out a scale that is never to be drawn."))
    total = math.fsum(given)
    if abs(total - 1.0) > 1e-9:
        raise ValueError(invalid(_WHERE, "weights", f"{given}, of sum {total:g}", valid, "Divide them by their sum."))
    return given


def _check_levels(levels: object) -> tuple[float, float] | None:
    if levels is None:
        return None
    given = tuple(float(level) if is_number(level) else math.nan for level in _listed(levels))
    if len(given) == 2 and 0.0 < given[0] < given[1] < 1.0 and abs(sum(given) - 1.0) <= 1e-9:
        return given[0], given[1]
    valid = "(a, b) with 0 < a < b < 1 and a + b = 1, so that z has mean 0"
    raise ValueError(
        invalid(_WHERE, "levels", levels, valid, "(0.2, 0.8) is usual; leave it out for 1/2 in all draws.")
    )


def _listed(several: object) -> tuple[object, ...]:
    return tuple(several) if isinstance(several, Sequence | np.ndarray) and not isinstance(several, str | bytes) else ()
