"""The relaxed map: levels refitted on the regions that a penalised map found."""

from __future__ import annotations

import numpy as np
import scipy

from legstat._core.checks import check_flag
from legstat._core.conventions import Conventions, clash
from legstat._core.errors import SolverError
from legstat._core.typing import FloatArray, IntArray
from legstat.designs.dense import DENSE_LIMIT
from legstat.designs.design import Design


def check_relaxed(where: str, relaxed: object, rules: Conventions) -> bool:
    """Whether levels are refitted; an error for what is no flag, or contradicts the conventions."""
    wanted = check_flag(where, "relaxed", relaxed)
    if wanted and rules.name != "default":
        raise clash(where, "relaxed", True, rules, False)
    return wanted


def refitted(design: Design, b: FloatArray, labels: IntArray) -> FloatArray:
    r"""The best map that is constant on given regions.

    .. math:: \hat g = R (R^T \Sigma R)^{-1} R^T b = \arg\min_{g = R a}\; g^T \Sigma g - 2 b^T g,

    R the regions' indicators: among the maps that are constant on them the one whose linear prediction has the least
    squared error under the law of z, given the moment vector b.

    Parameters
    ----------
    design : Design
        Law of z, hence Sigma.
    b : ndarray of shape (p,)
        Moment vector of one channel.
    labels : ndarray of int, shape (p,)
        Region of each cell, any numbers.

    Returns
    -------
    ndarray of shape (p,)
        The map.

    Raises
    ------
    SolverError
        If conjugate gradients, which solve beyond 4,096 cells, do not get there.

    Notes
    -----
    Costs k products with Sigma and O(k^3) for k regions; beyond 4,096 cells one product with Sigma an iteration.

    Examples
    --------
    >>> from legstat import IsotropicGaussian
    >>> refitted(IsotropicGaussian(grid=(1, 4), scale=1.0), np.array([1.0, 3.0, 5.0, 9.0]), np.array([0, 0, 1, 1]))
    array([2., 2., 7., 7.])
    """
    _, region = np.unique(labels, return_inverse=True)
    lengths = np.sqrt(np.bincount(region))  # columns of length 1: R^T Sigma R is no worse conditioned than Sigma
    k = len(lengths)

    def sums(v: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(region, v) / lengths, dtype=np.float64)

    if len(region) <= DENSE_LIMIT:
        columns = (region == np.arange(k)[:, None]) / lengths[:, None]
        inner = np.asarray(columns @ design.covariance(columns).T, dtype=np.float64)
        levels = np.linalg.solve(inner, sums(b))
    else:
        product = scipy.sparse.linalg.LinearOperator(
            (k, k), lambda a: sums(design.covariance((np.ravel(a) / lengths)[region])), dtype=np.float64
        )
        levels, fault = scipy.sparse.linalg.cg(product, sums(b), rtol=1e-12, maxiter=10_000)
        if fault:
            text = f"legstat.LEGTV: the levels of {k} regions were not found by conjugate gradients. Use relaxed=False."
            raise SolverError(text)
    return np.asarray((levels / lengths)[region], dtype=np.float64)
