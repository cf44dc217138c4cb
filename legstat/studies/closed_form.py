"""The mean squared error of LEG in closed form, for responses that depend on z through one linear form."""

from __future__ import annotations

from typing import Literal

import numpy as np

from legstat._core.checks import check_choice, check_count, check_flag, check_within
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray
from legstat.designs.design import Design
from legstat.simulate import SimulatedResponse

_NODES = 200


def leg_mse(
    response: SimulatedResponse,
    image: AnyArray,
    design: Design,
    n: int,
    *,
    moments: Literal["printed", "centred"] = "printed",
    antithetic: bool = False,
    noise: float = 0.0,
    up_to_mean: bool = False,
) -> float:
    r"""E||gamma-hat - gamma||^2 of LEG with plain moments, exact for unclipped additive perturbations.

    With :math:`w = \Sigma^{-1/2} z`, :math:`l = \gamma_0^T z \sim N(0, v)`, :math:`\ell = l / \sqrt v`, u the unit
    vector along :math:`\Sigma^{1/2}\gamma_0` and r = y plus the noise, :math:`w = u\ell + w_\perp` with independent
    parts, so

    .. math:: E[r^2 w w^T] = E[r^2] I + (E[r^2\ell^2] - E[r^2])\, u u^T, \qquad
        n\,\mathrm{MSE} = E[r^2]\, \mathrm{tr}\,\Sigma^{-1}
        + \frac{\|\gamma_0\|^2}{v} \left(E[r^2\ell^2] - E[r^2] - E[r\ell]^2\right).

    For a linear response this is Isserlis' formula, :math:`(\|\gamma\|^2 + (\gamma^T\Sigma\gamma + \tau^2)
    \mathrm{tr}\,\Sigma^{-1}) / n` for noise of variance :math:`\tau^2`.

    Parameters
    ----------
    response : SimulatedResponse
        f, a function of <gamma_0, cell means>.
    image : ndarray of shape (C, H, W)
        x0.
    design : Design
        Law of z, shared by the channels.
    n : int
        Observations: draws, or pairs if antithetic.
    moments : {"printed", "centred"}, default "printed"
        Which estimate of b. Pairs are centred by construction: both are the same there.
    antithetic : bool, default False
        Whether observations are pairs: r is then the odd part of y.
    noise : float, default 0.0
        Standard deviation of the noise of one evaluation other than f(x0).
    up_to_mean : bool, default False
        The error of gamma-hat less its mean, which is what Theorem 1 bounds; needs Sigma 1 proportional to 1.

    Returns
    -------
    float
        The mean squared error, in squared units of gamma.

    Raises
    ------
    ValueError
        If the channels do not share z, the moments have no closed form, or the mean does not decouple.

    Notes
    -----
    Expectations over l by Gauss-Hermite quadrature with 200 nodes, exact for linear and quadratic responses.
    Centred moments subtract the mean of y over the same draws: the terms of order 1 / n^2 are included.

    Examples
    --------
    >>> import legstat as ls
    >>> gamma = np.ones((1, 1))
    >>> mse = leg_mse(ls.simulate.linear(gamma), np.zeros((1, 1, 1)), ls.IsotropicGaussian((1, 1), 0.5), n=100)
    >>> round(mse, 12)
    0.02
    """
    where = "studies.leg_mse"
    if design.channels != "shared":
        raise ValueError(invalid(where, "design.channels", design.channels, '"shared"'))
    remedy = "The others depend on the noise of their pilots."
    check_choice(where, "moments", moments, ("printed", "centred"), remedy=remedy)
    if check_flag(where, "up_to_mean", up_to_mean) and design.constant_eigenvalue is None:
        raise ValueError(invalid(where, "up_to_mean", True, "False for a design whose Sigma 1 is no multiple of 1"))
    n = check_count(where, "n", n)
    noise = check_within(where, "noise", noise)
    antithetic = check_flag(where, "antithetic", antithetic)
    grid, gamma = design.grid, response.gamma.ravel()
    precision = float(np.trace(design.solve(np.eye(grid.n_cells))))
    length = float(gamma @ gamma)
    if up_to_mean and design.constant_eigenvalue is not None:
        precision -= 1.0 / design.constant_eigenvalue
        length -= float(gamma.sum()) ** 2 / grid.n_cells
    v = float(gamma @ design.covariance(gamma))
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    picture = np.asarray(image, dtype=np.float64)
    if v > 0:
        # along gamma_0 the linear form takes every value that it can take
        cells = np.outer(np.sqrt(v) * nodes, gamma / float(gamma @ gamma)).reshape(-1, *grid.shape)
        lifted = np.stack([grid.lift(one, *picture.shape[-2:]) for one in cells])
        y = response(picture + lifted[:, None]) - response(picture[None])
    else:
        y = np.zeros_like(nodes)
    variance = noise**2
    if antithetic:
        y, variance = (y - y[::-1]) / 2.0, variance / 2.0  # the nodes are symmetric about 0
    centred = moments == "centred" and not antithetic
    if centred:
        y = y - weights @ y
    second = float(weights @ y**2) + variance
    fourth = float(weights @ (y * nodes) ** 2) + variance
    slope = float(weights @ (y * nodes))
    shape = length / v if v > 0 else 0.0
    spread = second * precision + shape * (fourth - second - slope**2)
    if not centred:
        return spread / n
    return ((n - 1.0) ** 2 * spread + (n - 1.0) * (second * precision + shape * slope**2)) / n**3 + (
        shape * slope**2 / n**2
    )
