"""How each observation moves an estimate, and the variances that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from legstat._core.typing import FloatArray
from legstat.moments.units import Units


@dataclass(frozen=True, eq=False)
class Influence:
    r"""How each observation of one stream moves its estimate.

    To first order :math:`\hat\gamma - \gamma = \sum_u \phi_u` with uncorrelated :math:`\phi_u` of mean 0, so that
    :math:`\sum_u \phi_u \phi_u^T` estimates the covariance of :math:`\hat\gamma`. Here

    .. math:: \phi_u = w_k \left(A (z_u - c)\, r_u (1 - h_u)^{-d} - m_k\right), \quad
              r_u = a y_u - s_k - (z_u - c)^T g_k, \quad h_u = h_0 + (z_u - c_0)^T H (z_u - c_0),

    where k = u modulo K is the part of the observations that u was dealt to.

    Attributes
    ----------
    centre : ndarray of shape (q,)
        c.
    maps, means : ndarray of shape (K, q)
        g_k, what had been fitted when the residual was taken, and m_k.
    shifts, weights : ndarray of shape (K,)
        s_k and w_k.
    matrix : ndarray of shape (q, q) or None
        A; None for the inverse covariance of the observations' law, which is applied without being formed.
    gain, power, base : float
        a, d and h_0.
    hat : ndarray of shape (q, q) or None
        H; None for no leverage.
    hat_centre : ndarray of shape (q,) or None
        c_0; None for c.
    """

    centre: FloatArray
    maps: FloatArray
    means: FloatArray
    shifts: FloatArray
    weights: FloatArray
    matrix: FloatArray | None = None
    gain: float = 1.0
    power: float = 0.0
    base: float = 0.0
    hat: FloatArray | None = None
    hat_centre: FloatArray | None = None

    def rows(self, units: Units) -> Iterator[FloatArray]:
        """phi_u of shape (k, q), chunk by chunk in the order of the observations that the estimate was made of."""
        start = 0
        for z, y in units.rows():
            part = (start + np.arange(len(y))) % len(self.shifts)
            start += len(y)
            rows = z - self.centre
            phi = units.solve(rows) if self.matrix is None else rows @ self.matrix
            fitted = np.take_along_axis(rows @ self.maps.T, part[:, None], axis=1)[:, 0]
            residual = self.gain * y - self.shifts[part] - fitted
            if self.hat is not None and self.power:
                spread = rows if self.hat_centre is None else z - self.hat_centre
                residual /= (1.0 - self.base - np.einsum("ij,ij->i", spread @ self.hat, spread)) ** self.power
            phi *= residual[:, None]
            phi -= self.means[part]
            phi *= self.weights[part][:, None]
            yield phi

    def spread(self, units: Units) -> tuple[FloatArray, FloatArray]:
        """Diagonal of the estimated covariance and its degrees of freedom, shapes (q,), in O(q) memory."""
        sums = PowerSums(self.centre.size)
        for phi in self.rows(units):
            sums.add(phi)
        return sums.square, degrees_of_freedom(sums.square, sums.fourth, units.n)


class PowerSums:
    """Sums of the first four powers of each observation's contribution, for variances and what these are worth.

    Parameters
    ----------
    size : int
        Entries of a contribution.
    """

    def __init__(self, size: int) -> None:
        self.total, self.square, self.cube, self.fourth = np.zeros((4, size))

    def add(self, rows: FloatArray) -> None:
        """Add a chunk of contributions of shape (k, size)."""
        squares = rows * rows
        self.total += rows.sum(axis=0)
        self.square += squares.sum(axis=0)
        self.cube += np.einsum("ij,ij->j", squares, rows)
        self.fourth += np.einsum("ij,ij->j", squares, squares)

    def about_mean(self, n: float) -> tuple[FloatArray, FloatArray]:
        """Sums of the second and fourth powers about the mean of n contributions."""
        mean = self.total / n
        second = self.square - n * mean**2
        fourth = self.fourth - 4.0 * mean * self.cube + 6.0 * mean**2 * self.square - 3.0 * n * mean**4
        return np.maximum(second, 0.0), np.maximum(fourth, 0.0)


def degrees_of_freedom(second: FloatArray, fourth: FloatArray, n: float) -> FloatArray:
    r"""Satterthwaite's degrees of freedom of variances estimated by :math:`\sum \phi_u^2`.

    :math:`2 (\sum \phi^2)^2 / (\sum \phi^4 - (\sum \phi^2)^2 / n)`: a contribution is a product of z and a residual,
    whose fourth moment makes n of them worth about n / 4 normal ones.

    Parameters
    ----------
    second, fourth : ndarray
        Sums of second and fourth powers of contributions of mean 0.
    n : float
        Their number.

    Returns
    -------
    ndarray
        Between 1 and n - 1.
    """
    noise = fourth - second**2 / n
    df = np.full(np.shape(second), n - 1.0)
    np.divide(2.0 * second**2, noise, out=df, where=noise > 0)
    return np.asarray(np.clip(df, 1.0, max(n - 1.0, 1.0)), dtype=np.float64)


Spread = tuple[FloatArray, FloatArray]
Estimate = tuple[FloatArray, Influence | None, Spread | None]
"""gamma-hat, how the observations moved it (not asked of a fold's), its variances with their degrees of freedom."""
