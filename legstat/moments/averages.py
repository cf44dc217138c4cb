"""Moments "printed" and "centred": the mean of y z, and what its terms vary by."""

from __future__ import annotations

import numpy as np

from legstat.moments.influence import Estimate, Influence, PowerSums, degrees_of_freedom
from legstat.moments.sums import summed
from legstat.moments.units import Units


def average(units: Units, centre: bool, leave_out: tuple[int, int] | None) -> Estimate:
    """The mean of y z, with y centred or (`centre` False) as printed in the paper."""
    (sums,) = summed(units, leave_out)
    mu, n = units.law.mean.ravel(), sums.n
    shift = sums.y / n if centre and not units.paired else 0.0
    # z is centred about its known mean; with y centred too this is the sample covariance about any centre
    b = (sums.zy - mu * sums.y - shift * (sums.z - n * mu)) / n
    gamma = units.solve(b)
    powers = PowerSums(mu.size)
    influence = Influence(
        centre=mu,
        maps=np.zeros((1, mu.size)),
        means=gamma[None],
        shifts=np.array([shift]),
        weights=np.array([1.0 / np.sqrt(n * (n - 1.0))]),
    )
    if leave_out is not None:  # a fold's map is only used to predict: its spread would go unread
        return gamma, influence, None
    for z, y in units.rows():
        powers.add(units.solve(z - mu) * (y - shift)[:, None])
    second, fourth = powers.about_mean(n)
    return gamma, influence, (second / (n * (n - 1.0)), degrees_of_freedom(second, fourth, n))
