"""Games of which every coalition's value is known, and the exact shares of the players."""

from __future__ import annotations

import numpy as np
import scipy

from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, FloatArray, IntArray


def shapley(values: AnyArray) -> FloatArray:
    r"""Exact Shapley values of a game whose coalitions have all been evaluated (Shapley, 1953).

    .. math:: \phi_i = \sum_{S \not\ni i} \frac{|S|!\,(d - |S| - 1)!}{d!}\,(v(S \cup \{i\}) - v(S))

    Parameters
    ----------
    values : ndarray of shape (2^d,)
        v(S) for every coalition; player i is a member where bit i of the row's number is 1.

    Returns
    -------
    ndarray of shape (d,)
        Shares that add up to v(all) - v(none).

    Raises
    ------
    ValueError
        The number of values is no power of 2 above 1, or they are not finite.

    Notes
    -----
    d passes over the values: 14 players take milliseconds.

    Examples
    --------
    >>> shapley([0.0, 1.0, 2.0, 5.0])
    array([2., 3.])
    """
    v, d = _checked("shapley", values)
    sizes = _sizes(d)
    # 1 / (d binom(d - 1, s)) is the chance that exactly these s players come before i in a random order
    weights = np.asarray(1.0 / (d * scipy.special.binom(d - 1, np.arange(d))), dtype=np.float64)
    return _weighted(v, d, weights[np.minimum(sizes, d - 1)])


def banzhaf(values: AnyArray) -> FloatArray:
    r"""Exact Banzhaf values of a game whose coalitions have all been evaluated (Banzhaf, 1965).

    .. math:: \beta_i = 2^{1 - d} \sum_{S \not\ni i} (v(S \cup \{i\}) - v(S))

    They are the coefficients of the best linear fit of v over all coalitions at equal weights, hence the LEG of a score
    in which each part is on or off with probability 1/2 (Hammer and Holzman, 1992).

    Parameters
    ----------
    values : ndarray of shape (2^d,)
        As for `shapley`.

    Returns
    -------
    ndarray of shape (d,)
        One for each player.

    Raises
    ------
    ValueError
        The number of values is no power of 2 above 1, or they are not finite.

    Examples
    --------
    >>> banzhaf([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    array([0.25, 0.25, 0.25])
    """
    v, d = _checked("banzhaf", values)
    return _weighted(v, d, np.full(len(v), 0.5 ** (d - 1)))


def _weighted(v: FloatArray, d: int, weights: FloatArray) -> FloatArray:
    """Sum over coalitions S without i of weights[S] (v(S + i) - v(S)), for each i."""
    found = np.empty(d)
    for i in range(d):
        # bit i splits the table in halves: without, with
        without, joined = np.moveaxis(v.reshape(-1, 2, 2**i), 1, 0)
        found[i] = float(np.sum(weights.reshape(-1, 2, 2**i)[:, 0] * (joined - without)))
    return found


def _sizes(d: int) -> IntArray:
    sizes = np.zeros(1, dtype=np.int64)
    for _ in range(d):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes


def _checked(where: str, values: AnyArray) -> tuple[FloatArray, int]:
    v = np.asarray(values, dtype=np.float64)
    d = v.size.bit_length() - 1
    if v.ndim != 1 or d < 1 or v.size != 1 << d:
        raise ValueError(invalid(where, "values", f"shape {v.shape}", "2^d values of d players, d >= 1"))
    if not np.isfinite(v).all():
        raise ValueError(invalid(where, "values", "NaN or infinity", "finite"))
    return v, d
