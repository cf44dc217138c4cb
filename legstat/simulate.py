"""Responses whose gamma is known exactly: the truths that estimators are tested on."""

from __future__ import annotations

import numpy as np

from legstat._typing import AnyArray, FloatArray
from legstat.errors import invalid
from legstat.grids import Grid, parse_shape


class SimulatedResponse:
    """A response on cell means, f(x) = link(offset + <gamma, cell means of x>) plus optional curvature.

    Parameters
    ----------
    gamma : ndarray of shape (p1, p2)
        Coefficient of each cell's mean over its pixels and channels.
    curvature : float
        Weight of the square of the linear part.
    offset : float
        Constant.

    Notes
    -----
    Works on pictures of any size that the grid divides, as ``f(images) -> (n,)``.
    """

    def __init__(self, gamma: FloatArray, curvature: float = 0.0, offset: float = 0.0) -> None:
        self.gamma = np.array(gamma, dtype=np.float64)
        if self.gamma.ndim != 2 or not np.isfinite(self.gamma).all():
            raise ValueError(invalid("simulate", "gamma", self.gamma.shape, "a finite array of shape (p1, p2)"))
        self.curvature, self.offset = float(curvature), float(offset)
        self._grid = Grid(parse_shape("simulate", self.gamma.shape))

    def __call__(self, images: AnyArray) -> FloatArray:
        """Scores of pictures (n, C, H, W)."""
        means = self._grid.cell_means(np.asarray(images, dtype=np.float64)).mean(axis=1)
        linear = means.reshape(len(means), -1) @ self.gamma.ravel()
        return np.asarray(self.offset + linear + self.curvature * linear**2, dtype=np.float64)


def linear(gamma: FloatArray, *, offset: float = 0.0) -> SimulatedResponse:
    """f(x) = offset + <gamma, cell means>: gamma is the LEG for every design and perturbation of shared channels.

    Parameters
    ----------
    gamma : ndarray of shape (p1, p2)
        The truth.
    offset : float, default 0.0
        Constant.

    Returns
    -------
    SimulatedResponse
        The response.

    Examples
    --------
    >>> float(linear(np.ones((2, 2)))(np.full((1, 3, 4, 4), 0.5))[0])
    2.0
    """
    return SimulatedResponse(gamma, offset=offset)


def quadratic(gamma: FloatArray, curvature: float, *, offset: float = 0.0) -> SimulatedResponse:
    """f(x) = offset + l + curvature l^2 with l = <gamma, cell means>.

    Around x0 an unclipped centred Gaussian design has the exact LEG (1 + 2 curvature l(x0)) gamma, by Stein's identity,
    and the mean shift curvature gamma^T Sigma gamma, which the printed estimator pays for.

    Parameters
    ----------
    gamma : ndarray of shape (p1, p2)
        Direction.
    curvature : float
        Weight of the square.
    offset : float, default 0.0
        Constant.

    Returns
    -------
    SimulatedResponse
        The response.

    Examples
    --------
    >>> float(quadratic(np.ones((2, 2)), 1.0)(np.full((1, 3, 4, 4), 0.5))[0])
    6.0
    """
    return SimulatedResponse(gamma, curvature=curvature, offset=offset)
