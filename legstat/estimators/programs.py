"""The linear program behind LEG-TV at one moment vector, and the mean that it leaves open."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from legstat._core.typing import FloatArray
from legstat.designs.design import Design
from legstat.designs.structured import StructuredGaussian
from legstat.solvers import FlowProgram, GeneralProgram

Program = FlowProgram | GeneralProgram


def program_for(design: Design, b: FloatArray, like: Program | None = None) -> tuple[Program, float]:
    """Eq. 5 in the sparse form that the design allows, and the unit of the program's L: L of eq. 5 = unit times it.

    Parameters
    ----------
    design : Design
        Law of z.
    b : ndarray of shape (p,)
        Moment vector.
    like : FlowProgram or GeneralProgram, optional
        A program of the same design, with which what does not depend on b is shared.

    Returns
    -------
    program : FlowProgram or GeneralProgram
        With L in its own unit.
    unit : float
        The L of eq. 5 that its L = 1 stands for.
    """
    grid = design.grid
    if isinstance(like, GeneralProgram) and like.lift is not None:
        return like.with_moments(b), 1.0
    if isinstance(design, StructuredGaussian):
        variance = design.scale**2
        if grid.boundary == "free":
            return FlowProgram.from_potential(grid.shape, grid.laplacian_pinv(b) / variance), variance
        column = grid.pinv_transpose(np.ones(grid.n_cells))
        return GeneralProgram.zero_boundary(grid.D, grid.pinv_transpose(b) / variance, column), variance
    parts = design.sparse_parts
    if parts is not None:
        sigma, common = parts
        shared = common if common.any() else None
        return GeneralProgram.lifted(grid.D.T @ grid.D, grid.D, sigma, b, common=shared), 1.0
    dense: Callable[[FloatArray], FloatArray] = lambda v: grid.pinv_transpose(design.covariance(v)).T  # noqa: E731
    return GeneralProgram.dense(grid.D, dense(np.eye(grid.n_cells)), grid.pinv_transpose(b)), 1.0


def restore_mean(design: Design, g: FloatArray, b: FloatArray) -> FloatArray:
    """g with the mean that eq. 5 leaves open, 1^T b / (p lambda_1), where Sigma 1 = lambda_1 1; else g as it is."""
    eigenvalue = design.constant_eigenvalue
    return g if eigenvalue is None else g - g.mean() + b.mean() / eigenvalue
