"""Laws whose covariance is a power of the grid's Laplacian: from rough to smooth, normal or on and off."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy

from legstat._core.checks import check_within
from legstat._core.conventions import Boundary, Channels
from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.designs.dense import DENSE_LIMIT, cholesky_solve
from legstat.designs.design import Design
from legstat.designs.gaussian import GaussianLaw
from legstat.designs.grid import Grid
from legstat.designs.multiscale import WORST_CONDITION

FLOOR = 0.05
"""epsilon of the powers below 0, unless given: constants then vary some 20 times as much as differences of size 1."""


class SpectralGaussian(GaussianLaw):
    r"""Normal z whose variance along each cosine of the grid is a power of its roughness.

    .. math:: \Sigma = \sigma^2\, V h(\Theta^2) V^T, \qquad h(\lambda) \propto (\lambda + \epsilon)^q,

    :math:`V \Theta^2 V^T = D^T D`, with the mean of h over the p directions 1: sigma is the root mean square of the
    cells' standard deviations whatever the power. q = 1 is the structured law of the LEG paper, q = 0 the isotropic
    one; below 0 smooth directions are moved most, which is what networks respond to. Where epsilon is 0 the constants,
    whose roughness is 0, count as of roughness 1: the paper's :math:`1 1^T / p`.

    Parameters
    ----------
    grid : tuple of int
        (p1, p2) cells.
    power : float, default -1.0
        q, from -4 to 4.
    floor : float, optional
        epsilon >= 0, by which powers below 0 are kept finite; 0.05 for these and 0 for others unless given.
    scale : float, default 0.25
        sigma. ``StructuredGaussian(grid, s)`` is the law of power 1 and scale s times the root of
        (trace of D^T D + 1) / p, 1.96 s at 28 x 28.
    channels, boundary : optional
        See `StructuredGaussian`; the boundary matters to LEG-TV's differencing operator only, not to the law.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the directions' variances so different that Sigma is singular to working
        precision.

    Notes
    -----
    Draws, products and solves cost one pair of cosine transforms, O(p log p). kappa of Assumption 1 is
    :math:`\sigma^2 \min_\lambda h(\lambda) / \lambda` with the free boundary. Normal z have no bound: with `Blend` they
    are clipped, and the estimand is that of the realised z.

    Examples
    --------
    >>> smooth = SpectralGaussian(grid=(28, 28))
    >>> np.allclose(smooth.variances.mean(), 0.25**2), smooth.condition_number > 100
    (True, True)
    >>> rough = SpectralGaussian(grid=(28, 28), power=1)
    >>> np.allclose(rough.spectrum[1, 1] / rough.spectrum[0, 0], rough.grid.eigenvalues[1, 1])
    True
    """

    power: float
    floor: float

    def __init__(
        self,
        grid: tuple[int, int],
        power: float = -1.0,
        floor: float | None = None,
        *,
        scale: float = 0.25,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)
        self._keep(**_checked("SpectralGaussian", self.grid, power, floor))

    @property
    def label(self) -> str:
        """The class and its power."""
        return f"{type(self).__name__}, power {self.power:g}"

    @property
    def n_normals(self) -> int:
        """Standard normals of one draw: p."""
        return self.grid.n_cells

    @cached_property
    def _directions(self) -> FloatArray:
        """The variance along each cosine, shape (p1, p2)."""
        return read_only(self.scale**2 * _shares(self.grid, self.power, self.floor))

    @property
    def spectrum(self) -> FloatArray | None:
        """sigma^2 h; None with the zero boundary, whose basis is another."""
        return self._directions if self.grid.boundary == "free" else None

    @property
    def constant_eigenvalue(self) -> float | None:
        """sigma^2 h(0) with the free boundary."""
        return float(self._directions[0, 0]) if self.grid.boundary == "free" else None

    @property
    def sparse_parts(self) -> tuple[scipy.sparse.csr_array, FloatArray] | None:
        """D^T D + epsilon I and the constants' share for power 1, the identity for power 0; None for other powers."""
        p, free = self.grid.n_cells, Grid(self.grid.shape)
        if self.power not in (0.0, 1.0):
            return None
        rough = free.D.T @ free.D if self.power == 1.0 else scipy.sparse.csr_array((p, p))
        own = self.floor if self.power == 1.0 else 1.0
        unit = self.scale**2 / float(_powers(free.eigenvalues, self.power, self.floor).mean())
        constants = unit if self.power == 1.0 and self.floor == 0.0 else 0.0
        return scipy.sparse.csr_array(unit * (rough + own * scipy.sparse.eye_array(p))), np.full(
            p, np.sqrt(constants / p)
        )

    def from_normals(self, normals: FloatArray) -> FloatArray:
        """z = Sigma^{1/2} e."""
        return self.root(normals)

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v in O(p log p)."""
        return Grid(self.grid.shape).apply_spectrum(lambda _: self._directions, v)

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v in O(p log p)."""
        return Grid(self.grid.shape).apply_spectrum(lambda _: 1.0 / self._directions, v)

    def root(self, v: FloatArray) -> FloatArray:
        """Sigma^{1/2} v in O(p log p); symmetric."""
        return Grid(self.grid.shape).apply_spectrum(lambda _: np.sqrt(self._directions), v)

    def parameters(self) -> JSON:
        """Constructor arguments."""
        return {"grid": self.grid.shape, "power": self.power, "floor": self.floor, **super().parameters()}


class SpectralBinary(Design):
    r"""The sign of a `SpectralGaussian`: on/off masks whose borders follow no blocks.

    :math:`z_i = \sigma\, \mathrm{sign}(u_i)`, u normal with the correlations :math:`\rho` of the spectral law. Then, by
    the arcsine law, exactly

    .. math:: \Sigma_{ij} = \sigma^2 \frac2\pi \arcsin \rho_{ij}.

    Parameters
    ----------
    grid : tuple of int
        (p1, p2), at most 4,096 cells: Sigma is dense.
    power, floor : float, optional
        Of u, as for `SpectralGaussian`.
    scale : float, default 0.5
        sigma, half the distance between on and off.
    channels, boundary : optional
        See `StructuredGaussian`; the boundary matters to LEG-TV's differencing operator only, not to the law.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range, or the grid has more cells than p x p matrices are formed for.

    Notes
    -----
    A draw costs one pair of cosine transforms; the first product or solve O(p^2) or one Cholesky factorisation, O(p^3),
    each further one O(p^2).

    Examples
    --------
    >>> design = SpectralBinary(grid=(6, 6))
    >>> np.unique(design.draw((1, 2), 0, 0)), design.bound
    (array([-0.5,  0.5]), 0.5)
    """

    two_valued = True

    power: float
    floor: float

    def __init__(
        self,
        grid: tuple[int, int],
        power: float = -1.0,
        floor: float | None = None,
        *,
        scale: float = 0.5,
        channels: Channels | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        super().__init__(grid, scale, channels, boundary)
        if self.grid.n_cells > DENSE_LIMIT:
            remedy = "MultiscaleBlocks has no such limit."
            raise ValueError(invalid("SpectralBinary", "grid", grid, f"of at most {DENSE_LIMIT} cells", remedy))
        self._keep(**_checked("SpectralBinary", self.grid, power, floor))

    @property
    def label(self) -> str:
        """The class and its power."""
        return f"{type(self).__name__}, power {self.power:g}"

    @property
    def bound(self) -> float:
        """sigma."""
        return self.scale

    @cached_property
    def variances(self) -> FloatArray:
        """Diagonal of Sigma: sigma^2 in every cell."""
        return read_only(np.full(self.grid.n_cells, self.scale**2))

    def covariance(self, v: FloatArray) -> FloatArray:
        """Sigma v in O(p^2)."""
        return np.asarray(v @ self._matrix, dtype=np.float64)

    def solve(self, v: FloatArray) -> FloatArray:
        """Sigma^{-1} v in O(p^2)."""
        return cholesky_solve(self._cholesky, v)

    def sample(self, generator: np.random.Generator, n: int) -> FloatArray:
        """So many draws, shape (n, p), each from p standard normals."""
        return np.where(self._field.sample(generator, n) > 0.0, self.scale, -self.scale)

    def parameters(self) -> JSON:
        """Constructor arguments."""
        return {"grid": self.grid.shape, "power": self.power, "floor": self.floor, **super().parameters()}

    @cached_property
    def _field(self) -> SpectralGaussian:
        return SpectralGaussian(self.grid.shape, self.power, self.floor, scale=1.0)

    @cached_property
    def _matrix(self) -> FloatArray:
        sigma = self._field.covariance_matrix()
        sd = np.sqrt(np.diag(sigma))
        correlation = np.clip(sigma / np.outer(sd, sd), -1.0, 1.0)  # but for rounding it is within
        np.fill_diagonal(correlation, 1.0)
        matrix = self.scale**2 * 2.0 / np.pi * np.arcsin(correlation)
        return read_only(np.asarray((matrix + matrix.T) / 2.0, dtype=np.float64))

    @cached_property
    def _cholesky(self) -> FloatArray:
        return read_only(np.asarray(np.linalg.cholesky(self._matrix), dtype=np.float64))


def _powers(eigenvalues: FloatArray, power: float, floor: float) -> FloatArray:
    """(lambda + epsilon)^q, where a roughness of 0 in all counts as 1."""
    roughness = eigenvalues + floor
    return np.asarray(np.where(roughness > 0, roughness, 1.0) ** power, dtype=np.float64)


def _shares(grid: Grid, power: float, floor: float) -> FloatArray:
    powers = _powers(Grid(grid.shape).eigenvalues, power, floor)
    return np.asarray(powers / powers.mean(), dtype=np.float64)


def _checked(where: str, grid: Grid, power: float, floor: float | None) -> JSON:
    power = check_within(where, "power", power, -4.0, 4.0, remedy="1 is the structured law, 0 isotropic, -1 smooth.")
    remedy = "0.05 is usual for powers below 0."
    floor = (FLOOR if power < 0 else 0.0) if floor is None else check_within(where, "floor", floor, remedy=remedy)
    shares = _shares(grid, power, floor)
    if shares.max() > WORST_CONDITION * shares.min():
        got = f"{power} with floor {floor}: singular to working precision, condition {shares.max() / shares.min():.1e}"
        valid = f"such that Sigma can be inverted (condition number at most {WORST_CONDITION:.0e})"
        raise ValueError(invalid(where, "power", got, valid, "Raise the floor, or take a power closer to 0."))
    return {"power": power, "floor": floor}
