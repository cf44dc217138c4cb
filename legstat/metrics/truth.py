"""Is the map where the cause is known to be? Precision, share of mass and earth mover's distance to a true mask."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import scipy

from legstat._core.checks import check_choice
from legstat._core.errors import invalid
from legstat._core.typing import AnyArray, BoolArray, FloatArray
from legstat.metrics.masked import check_map, ranked

Sign = Literal["positive", "absolute"]


def precision(saliency: AnyArray, truth: AnyArray, *, sign: Sign = "positive", rng: object = 0) -> float:
    """Share of the k most important cells that are true, k the number of true cells (XAI-TRIS, section 2.4).

    Parameters
    ----------
    saliency : ndarray of shape (p1, p2)
        The map.
    truth : ndarray of bool of shape (p1, p2)
        The cells that are known to matter.
    sign : {"positive", "absolute"}, default "positive"
        "positive": high values are important. "absolute": values far from 0 are, whatever their sign, as in XAI-TRIS.
    rng : int or anything `numpy.random.default_rng` takes, default 0
        Of ties.

    Returns
    -------
    float
        In [0, 1]; chance is the share of cells that are true.

    Raises
    ------
    ValueError
        Map and truth of different shapes, or a truth without true cells, or without others.

    Examples
    --------
    >>> precision([[0.9, 0.2], [-3.0, 0.1]], [[True, False], [True, False]])
    0.5
    >>> precision([[0.9, 0.2], [-3.0, 0.1]], [[True, False], [True, False]], sign="absolute")
    1.0
    """
    where = "precision"
    values, true = _checked(where, saliency, truth, sign)
    order, _ = ranked(where, np.abs(values) if sign == "absolute" else values, rng)
    return float(true.ravel()[order[: int(true.sum())]].mean())


def mass_inside(saliency: AnyArray, truth: AnyArray, *, sign: Sign = "positive") -> float:
    """Share of a map's mass that lies on true cells.

    Parameters
    ----------
    saliency, truth : as for `precision`
        Map and true cells.
    sign : {"positive", "absolute"}, default "positive"
        "positive": negative values count as 0. "absolute": as their absolute value.

    Returns
    -------
    float
        In [0, 1]; a constant map has the share of cells that are true.

    Raises
    ------
    ValueError
        As for `precision`, and for a map without mass.

    Examples
    --------
    >>> mass_inside([[3.0, 1.0], [-4.0, 0.0]], [[True, False], [True, False]])
    0.75
    """
    values, true = _checked("mass_inside", saliency, truth, sign)
    mass = _mass("mass_inside", values, sign)
    return float(mass[true].sum())


def earth_mover(saliency: AnyArray, truth: AnyArray, *, sign: Sign = "positive") -> float:
    r"""Earth mover's distance between a map's mass and equal mass on the true cells (XAI-TRIS, section 2.4).

    .. math:: \min_{\pi \ge 0} \frac{1}{\delta} \sum_{ij} \pi_{ij} \|r_i - r_j\| \quad\text{with}\quad
              \sum_j \pi_{ij} = a_i,\ \sum_i \pi_{ij} = b_j

    a the map and b the truth, each of sum 1, r the cells' places and :math:`\delta` the diagonal from cell to cell.

    Parameters
    ----------
    saliency, truth, sign : as for `mass_inside`
        Map and true cells.

    Returns
    -------
    float
        In [0, 1], 0 for the truth itself; XAI-TRIS reports 1 minus this.

    Raises
    ------
    ValueError
        As for `mass_inside`.

    Notes
    -----
    A linear program with a variable for each pair of a cell with mass and a true cell: milliseconds at 8 x 8, seconds
    at 28 x 28 with 80 true cells.

    Examples
    --------
    >>> earth_mover([[1.0, 0.0, 0.0]], [[False, True, False]])
    0.5
    """
    values, true = _checked("earth_mover", saliency, truth, sign)
    mass = _mass("earth_mover", values, sign)
    sources, targets = np.argwhere(mass > 0.0), np.argwhere(true)
    n, k = len(sources), len(targets)
    leaving = scipy.sparse.kron(scipy.sparse.eye_array(n), np.ones((1, k)))
    arriving = scipy.sparse.kron(np.ones((1, n)), scipy.sparse.eye_array(k))
    # the last sum follows from the others: left in, rounding could make the program infeasible
    sums = scipy.sparse.vstack([leaving, arriving], format="csr")[:-1]
    wanted = np.concatenate([mass[mass > 0.0], np.full(k - 1, 1.0 / k)])
    equal = scipy.optimize.LinearConstraint(sums, wanted, wanted)
    found = scipy.optimize.milp(scipy.spatial.distance.cdist(sources, targets).ravel(), constraints=equal)
    if found.x is None:
        raise ArithmeticError(f"legstat.earth_mover: the transport problem was not solved: {found.message}")
    return float(found.fun / np.hypot(values.shape[0] - 1, values.shape[1] - 1))


def _mass(where: str, values: FloatArray, sign: str) -> FloatArray:
    mass = np.abs(values) if sign == "absolute" else np.maximum(values, 0.0)
    if not mass.any():
        raise ValueError(invalid(where, "saliency", "no mass", f"a map with {sign} values that are not 0"))
    return np.asarray(mass / mass.sum(), dtype=np.float64)


def _checked(where: str, saliency: AnyArray, truth: AnyArray, sign: Sign) -> tuple[FloatArray, BoolArray]:
    values, true = check_map(where, saliency), np.asarray(truth)
    check_choice(where, "sign", sign, get_args(Sign))
    if true.dtype.kind != "b" or true.shape != values.shape:
        got = f"{true.dtype} of shape {true.shape}"
        raise ValueError(invalid(where, "truth", got, f"bool, of the map's shape {values.shape}"))
    if not true.any() or true.all():
        raise ValueError(invalid(where, "truth", f"{int(true.sum())} of {true.size} cells", "some cells, not all"))
    return values, true
