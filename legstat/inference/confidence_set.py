r"""The radius L of LEG-TV as a quantile of the noise in its constraint.

Eq. 5 of the LEG paper bounds :math:`\|D^{+T}(b - \Sigma g)\|_\infty` by L, and its theory rests on gamma being in that
set. It is whenever L is at least :math:`\|D^{+T}(b - E b)\|_\infty` and E b = Sigma gamma.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from legstat._core.checks import check_level
from legstat._core.typing import FloatArray
from legstat.designs.design import Design
from legstat.inference.covariance import SEED, Covariance
from legstat.inference.intervals import N_DRAWS


def noise_draws(covariance: Covariance, design: Design, *, n_draws: int = N_DRAWS, rng: Any = SEED) -> FloatArray:
    r"""Multiplier bootstrap draws of :math:`\|D^{+T}(b - E b)\|_\infty`, the largest over all channels.

    Parameters
    ----------
    covariance : Covariance
        Of gamma-hat = Sigma^{-1} b.
    design : Design
        Gives D and Sigma.
    n_draws : int, default 2000
        Number of draws.
    rng : None, int, Generator or anything `numpy.random.default_rng` takes
        Source of the multipliers.

    Returns
    -------
    ndarray of shape (n_draws,)
        In the units of L: score times units of z.
    """
    p = design.grid.n_cells

    def supremum(draws: FloatArray) -> FloatArray:
        b = design.covariance(draws.reshape(len(draws), -1, p))
        # one channel at a time: the edges are twice as many as the cells
        largest = [np.abs(design.grid.pinv_transpose(b[:, c])).max(axis=1, initial=0.0) for c in range(b.shape[1])]
        return np.asarray(np.max(largest, axis=0), dtype=np.float64)

    return np.concatenate(list(covariance.draws(n_draws, rng, supremum)))


def bootstrap_L(
    covariance: Covariance, design: Design, *, level: float = 0.95, n_draws: int = N_DRAWS, rng: Any = SEED
) -> float:
    """The `level` quantile of `noise_draws`: the L with which eq. 5's set holds E[gamma-hat] with that probability.

    Parameters
    ----------
    covariance : Covariance
        Of gamma-hat.
    design : Design
        Gives D and Sigma.
    level : float, default 0.95
        Probability of the set.
    n_draws, rng : optional
        As for `noise_draws`.

    Returns
    -------
    float
        L.
    """
    checked = check_level("LEGTV.L_bootstrap", "level", level)
    return float(np.quantile(noise_draws(covariance, design, n_draws=n_draws, rng=rng), checked))
