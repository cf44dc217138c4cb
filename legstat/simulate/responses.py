"""Responses whose gamma is known exactly: the truths that estimators are tested on."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_rng
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray
from legstat.designs.design import Design
from legstat.designs.grid import Grid, parse_shape

Link = Literal["identity", "probit", "logistic"]


class SimulatedResponse:
    """A response on cell means, f(x) = link(offset + l + curvature l^2), l = <gamma, cell means of x>.

    Parameters
    ----------
    gamma : ndarray of shape (p1, p2)
        Coefficient of each cell's mean over its pixels and channels.
    curvature : float
        Weight of the square of the linear part.
    offset : float
        Constant.
    link : {"identity", "probit", "logistic"}, default "identity"
        Normal or logistic distribution function around the rest.

    Notes
    -----
    Works on pictures of any size of at least a pixel a cell, as ``f(images) -> (n,)``.

    Examples
    --------
    >>> f = SimulatedResponse(np.ones((2, 2)), offset=1.0)
    >>> f(np.full((2, 1, 4, 4), 0.25))
    array([2., 2.])
    """

    def __init__(self, gamma: FloatArray, curvature: float = 0.0, offset: float = 0.0, link: Link = "identity") -> None:
        self.gamma = np.array(gamma, dtype=np.float64)
        if self.gamma.ndim != 2 or not np.isfinite(self.gamma).all():
            raise ValueError(invalid("simulate", "gamma", self.gamma.shape, "a finite array of shape (p1, p2)"))
        if link not in get_args(Link):
            raise ValueError(invalid("simulate", "link", link, "one of " + ", ".join(map(repr, get_args(Link)))))
        self.curvature, self.offset, self.link = float(curvature), float(offset), link
        self._grid = Grid(parse_shape("simulate", self.gamma.shape))

    def __call__(self, images: AnyArray) -> FloatArray:
        """Scores of pictures (n, C, H, W)."""
        linear = self._linear(images)
        score = self.offset + linear + self.curvature * linear**2
        if self.link == "probit":
            score = scipy.special.ndtr(score)
        elif self.link == "logistic":
            score = scipy.special.expit(score)
        return np.asarray(score, dtype=np.float64)

    def leg(self, image: AnyArray, design: Design) -> FloatArray:
        r"""The exact LEG around a picture, for perturbations that are added and not clipped.

        Where z is normal, by Stein's identity :math:`\Sigma^{-1} E[f(x_0 + z) z] = E[\nabla f(x_0 + z)]`: the expected
        slope of the link times gamma. The slope depends on one Gaussian variable, the linear part; its mean is a closed
        form for the identity and probit links and a Gauss-Hermite sum for the logistic one. The identity link needs no
        more than that z and -z have one law, as they have for every design.

        Parameters
        ----------
        image : ndarray of shape (C, H, W)
            x0.
        design : Design
            Law of z, with its channels.

        Returns
        -------
        ndarray of shape (P, p)
            The estimand: one row, or one for each channel that has unknowns of its own.

        Raises
        ------
        ValueError
            If the design's grid is not gamma's, or there is no closed form: a link with curvature, or with z that are
            not normal.

        Examples
        --------
        >>> from legstat import StructuredGaussian
        >>> f = probit(np.ones((2, 2)))
        >>> f.leg(np.zeros((1, 2, 2)), StructuredGaussian(grid=(2, 2), scale=1.0)).round(4)
        array([[0.1784, 0.1784, 0.1784, 0.1784]])
        """
        if design.grid.shape != self.gamma.shape:
            valid = f"on gamma's grid {self.gamma.shape}"
            raise ValueError(invalid("SimulatedResponse.leg", "design.grid", design.grid.shape, valid))
        if self.link != "identity" and self.curvature:
            remedy = "Simulate the estimand from a large sample instead."
            raise ValueError(invalid("SimulatedResponse.leg", "curvature", self.curvature, "0 with a link", remedy))
        if self.link != "identity" and not design.gaussian:
            valid, remedy = "normal where there is a link", "Simulate the estimand from a large sample instead."
            raise ValueError(invalid("SimulatedResponse.leg", "design", design, valid, remedy))
        channels = len(image)
        start, flat = float(self._linear(image[None])[0]), self.gamma.ravel()
        variance = float(flat @ design.covariance(flat))
        if design.channels == "separate":
            variance /= channels**2
        elif design.channels == "joint":
            variance /= channels
        if self.link == "probit":
            total = np.sqrt(1.0 + variance)
            slope = float(scipy.stats.norm.pdf((self.offset + start) / total) / total)
        elif self.link == "logistic":
            nodes, weights = np.polynomial.hermite_e.hermegauss(150)
            p = scipy.special.expit(self.offset + start + np.sqrt(variance) * nodes)
            slope = float(weights @ (p * (1.0 - p)) / weights.sum())
        else:
            slope = 1.0 + 2.0 * self.curvature * start
        rows = 1 if design.channels == "shared" else channels
        return np.tile(slope * flat / rows, (rows, 1))

    def _linear(self, images: AnyArray) -> FloatArray:
        means = self._grid.cell_means(np.asarray(images, dtype=np.float64)).mean(axis=1)
        return np.asarray(means.reshape(len(means), -1) @ self.gamma.ravel(), dtype=np.float64)


def linear(gamma: FloatArray, *, offset: float = 0.0) -> SimulatedResponse:
    """f(x) = offset + <gamma, cell means>: gamma is the LEG for every design and perturbation of shared channels.

    (With ``lift="smooth"`` it is not: a level then spreads over the means of several cells.)

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


def probit(gamma: FloatArray, *, offset: float = 0.0) -> SimulatedResponse:
    """f(x) = Phi(offset + <gamma, cell means>), Phi the normal distribution function: a bounded, saturating score.

    Parameters
    ----------
    gamma : ndarray of shape (p1, p2)
        Direction; the LEG is a multiple of it (`SimulatedResponse.leg`).
    offset : float, default 0.0
        Constant.

    Returns
    -------
    SimulatedResponse
        The response.

    Examples
    --------
    >>> float(probit(np.zeros((2, 2)))(np.zeros((1, 3, 4, 4)))[0])
    0.5
    """
    return SimulatedResponse(gamma, offset=offset, link="probit")


def logistic(gamma: FloatArray, *, offset: float = 0.0) -> SimulatedResponse:
    """f(x) = 1 / (1 + exp(-offset - <gamma, cell means>)): the probability that a two-class network would return.

    Parameters
    ----------
    gamma : ndarray of shape (p1, p2)
        Direction; the LEG is a multiple of it (`SimulatedResponse.leg`).
    offset : float, default 0.0
        Constant.

    Returns
    -------
    SimulatedResponse
        The response.

    Examples
    --------
    >>> float(logistic(np.zeros((2, 2)))(np.zeros((1, 3, 4, 4)))[0])
    0.5
    """
    return SimulatedResponse(gamma, offset=offset, link="logistic")


def piecewise_constant(grid: tuple[int, int], sparsity: int, *, rng: Any = None, attempts: int = 2000) -> FloatArray:
    """A random map that is constant on regions, with exactly `sparsity` non-zero differences D gamma.

    Parameters
    ----------
    grid : tuple of int
        (p1, p2).
    sparsity : int
        s, the number of pairs of neighbours that differ.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of the rectangles and their levels.
    attempts : int, default 2000
        Rectangles to try before giving up.

    Returns
    -------
    ndarray of shape (p1, p2)
        Rectangles of random place, size and level (1 to 2, either sign) on 0, scaled to a largest absolute value of 1.

    Raises
    ------
    ValueError
        If no such map was found: s = 1 does not exist on a grid of two dimensions, nor s above the number of edges.

    Examples
    --------
    >>> gamma = piecewise_constant((6, 6), 12, rng=0)
    >>> int(np.count_nonzero(Grid((6, 6)).difference(gamma.ravel())))
    12
    """
    shape = Grid(parse_shape("simulate.piecewise_constant", grid))
    generator = check_rng("simulate.piecewise_constant", rng)
    gamma, have = np.zeros(shape.shape), 0
    for attempt in range(attempts):
        if have == sparsity:
            return gamma / max(float(np.abs(gamma).max()), 1e-300)
        if attempt % 100 == 99:  # the last few differences may not fit beside the rectangles chosen so far
            gamma, have = np.zeros(shape.shape), 0
        rows, columns = (np.sort(generator.choice(n + 1, 2, replace=False)) for n in shape.shape)
        trial = gamma.copy()
        level = generator.uniform(1.0, 2.0) * generator.choice([-1.0, 1.0])
        trial[rows[0] : rows[1], columns[0] : columns[1]] += level
        count = int(np.count_nonzero(shape.difference(trial.ravel())))
        if have < count <= sparsity:
            gamma, have = trial, count
    remedy = "Try another s, or more `attempts`."
    valid = f"a number of differing neighbours that some map on {shape.shape} has"
    raise ValueError(invalid("simulate.piecewise_constant", "sparsity", sparsity, valid, remedy))
