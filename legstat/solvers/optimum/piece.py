r"""The piece of the path on which a vertex lies: there g is affine in L, and one dual solution proves every point.

With R the regions' indicators and S the active rows, at whose bounds the residual has the signs s, the levels obey

.. math:: A_S R\, x = a_S - L s, \qquad \frac{dx}{dL} = -(A_S R)^{-1} s,

until another row meets its bound or two regions meet: the step of the parametric dual simplex.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from legstat._core.typing import FloatArray
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.programs.graph import joined, times

_FLAT = 1e-9  # of the range of g: no jump
_ACTIVE = 1e-9  # of the largest multiplier: not active
_STILL = 1e-9  # a rate of this size is rounding


@dataclass(frozen=True)
class Piece:
    """From `low` to `high` the optimum is g(L) = g + (L - L_0) slope, around the L_0 that it was made for.

    Attributes
    ----------
    low, high : float
        Where the next row or region comes in.
    slope : ndarray of float, shape (p,)
        dg / dL.
    """

    low: float
    high: float
    slope: FloatArray


def piece_of(program: GeneralProgram, g: FloatArray, multipliers: FloatArray, L: float) -> Piece | None:
    """The piece of a lifted program's vertex, in real units; None where regions and active rows do not determine it.

    O(k^3) for k regions.
    """
    if program.lift is None or not program.mean_determined:
        return None
    jumps = times(program.difference, g)
    flat = np.abs(jumps) <= _FLAT * float(np.ptp(g))
    links = program.difference[flat]
    count, region = joined(links.T @ links)
    active = np.flatnonzero(np.abs(multipliers) > _ACTIVE * np.abs(multipliers).max(initial=0.0))
    if active.size != count:
        return None
    sums = np.zeros((count, count))
    np.add.at(sums.T, region, program.rows(active).T)
    try:
        levels = scipy.linalg.solve(sums, -np.sign(multipliers[active]))
    except np.linalg.LinAlgError:
        return None
    slope = np.asarray(levels[region], dtype=np.float64)
    residual, turn = program.target - program.forward(g), -program.forward(slope)
    inner = np.ones(residual.size, dtype=bool)
    inner[active] = False
    steady = np.sign(jumps[~flat])
    # each entry of `room` stays >= 0 while the change in L times its `rate` does not exceed it
    room = np.concatenate([L - residual[inner], L + residual[inner], steady * jumps[~flat]])
    bends = -steady * times(program.difference, slope)[~flat]
    bends[np.abs(bends) <= _STILL * np.abs(slope).max(initial=0.0)] = 0.0
    rows = np.concatenate([turn[inner] - 1.0, -turn[inner] - 1.0])
    rows[np.abs(rows) <= _STILL] = 0.0  # rows that say the same as an active one
    room, rate = np.maximum(room, 0.0), np.concatenate([rows, bends])
    down, up = rate < 0.0, rate > 0.0
    low = L + float((room[down] / rate[down]).max(initial=-L))
    return Piece(max(low, 0.0), L + float((room[up] / rate[up]).min(initial=np.inf)), slope)
