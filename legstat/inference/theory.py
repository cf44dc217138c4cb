r"""The quantities of Theorem 1 of the LEG paper, in closed form where one exists.

Theorem 1 takes :math:`L = \sqrt{2 \|D^+\|_1 \log(p_1 p_2 / \epsilon) / n}` for a score bounded by 1. That L has no
sigma in it, while :math:`D^{+T} b` scales with sigma^2: at small sigma it exceeds L_max and the estimate is 0. Under
the structured design :math:`D^{+T} z` has entries of variance at most sigma^2: `structured_L` is in the right units.
"""

from __future__ import annotations

import numpy as np

from legstat._core.checks import check_level, check_positive
from legstat.designs.design import Design
from legstat.designs.grid import Grid
from legstat.designs.structured import StructuredGaussian


def norm_pinv(grid: Grid) -> float:
    r""":math:`\|D^+\|_1`, the largest absolute column sum of D^+.

    Parameters
    ----------
    grid : Grid
        With the free boundary this is max(h(p1), h(p2)), h(n) = n / 2 for even n and (n^2 - 1) / (2 n) for odd n; with
        the zero boundary it is computed column by column, in O(m p log p).

    Returns
    -------
    float
        14 at 28 x 28, free boundary.

    Examples
    --------
    >>> norm_pinv(Grid((28, 28)))
    14.0
    """
    if grid.boundary == "free":
        return max(n / 2 if n % 2 == 0 else (n * n - 1) / (2 * n) for n in grid.shape)
    largest = 0.0
    for start in range(0, grid.n_edges, 512):
        columns = np.eye(min(512, grid.n_edges - start), grid.n_edges, k=start)
        largest = max(largest, float(np.abs(grid.pinv(columns)).sum(axis=1).max()))
    return largest


def theorem_L(grid: Grid, n: int, *, probability: float = 0.95) -> float:
    r"""L of Theorem 1 as printed: sqrt(2 ||D^+||_1 log(p1 p2 / eps) / n), eps = 1 - probability.

    Parameters
    ----------
    grid : Grid
        The grid of cells.
    n : int
        Independent draws.
    probability : float, default 0.95
        Probability of the high-confidence set, 1 - eps.

    Returns
    -------
    float
        L, for a score bounded by 1 in absolute value.

    Raises
    ------
    ValueError
        If the probability is not inside (0, 1), or n no number > 0.

    Examples
    --------
    >>> round(theorem_L(Grid((28, 28)), n=2000), 3)
    0.368
    """
    epsilon = _epsilon("theorem_L", n, probability)
    return float(np.sqrt(2.0 * norm_pinv(grid) * np.log(grid.n_cells / epsilon) / n))


def structured_L(grid: Grid, scale: float, n: int, *, probability: float = 0.95, bound: float = 1.0) -> float:
    r"""L in the units of the structured design: sigma B sqrt(2 log(2 m / eps) / n).

    Parameters
    ----------
    grid : Grid
        The grid of cells.
    scale : float
        sigma of the structured design.
    n : int
        Independent draws.
    probability : float, default 0.95
        1 - eps.
    bound : float, default 1.0
        B with |y| <= B.

    Returns
    -------
    float
        L, smaller than the theorem's by a factor of about sigma / sqrt(||D^+||_1).

    Raises
    ------
    ValueError
        If the probability is not inside (0, 1), or n, scale or bound no number > 0.

    Examples
    --------
    >>> round(structured_L(Grid((28, 28)), scale=0.02, n=2000), 5)
    0.0021
    """
    epsilon = _epsilon("structured_L", n, probability)
    check_positive("structured_L", "scale", scale)
    check_positive("structured_L", "bound", bound)
    return float(scale * bound * np.sqrt(2.0 * np.log(2.0 * grid.n_edges / epsilon) / n))


def edge_variance(design: Design) -> float:
    r"""The largest variance of an entry of :math:`D^{+T} z`, in whose units L of eq. 5 is.

    Parameters
    ----------
    design : Design
        The law of z.

    Returns
    -------
    float
        At most sigma^2 for the structured design, for which that bound is returned; else the largest diagonal entry of
        :math:`D^{+T} \Sigma D^+`, row by row in O(m p log p) beside m products with Sigma.

    Examples
    --------
    >>> from legstat import IsotropicGaussian
    >>> round(edge_variance(IsotropicGaussian((1, 2), 1.0)), 6)  # z_2 - z_1 halved
    0.5
    """
    grid = design.grid
    if isinstance(design, StructuredGaussian):
        return design.scale**2
    largest = 0.0
    for start in range(0, grid.n_edges, 512):
        rows = grid.pinv(np.eye(min(512, grid.n_edges - start), grid.n_edges, k=start))
        largest = max(largest, float(np.einsum("ij,ij->i", rows, design.covariance(rows)).max()))
    return largest


def _epsilon(where: str, n: int, probability: float) -> float:
    epsilon = 1.0 - check_level(where, "probability", probability)
    check_positive(where, "n", n)
    return epsilon
