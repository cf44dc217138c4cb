r"""The point of a general program's optimal face that is nearest to the data: min ||a - A g||_2 over the face.

With one dual solution (z, y) the face is: (D g)_e = 0 where |z_e| < w_e, the sign of z_e elsewhere; the residual on its
bound where y_j is not 0, within it elsewhere. Cells joined by flat edges form regions; on them the face is often a
single point, which a rank shows, and otherwise a small quadratic program.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg, sparse

from legstat._typing import FloatArray
from legstat.errors import SolverError
from legstat.solvers.general_program import GeneralProgram
from legstat.solvers.graph import Sparse, as_rows, joined, times

_TOLERANCE = 1e-7  # of multipliers, relative to their largest: an interior-point engine knows them to about 1e-9
LARGEST = 30_000_000
"""Entries of the dense matrix A on the regions beyond which the selection is not computed (240 MB)."""


def closest_general(
    program: GeneralProgram, g: FloatArray, flow: FloatArray, y: FloatArray, L: float, centre: bool
) -> FloatArray:
    """The point of the face nearest to the data, or with `centre` an interior one, in real units.

    Parameters
    ----------
    program : GeneralProgram
    g : ndarray of float, shape (p,)
        An optimal point.
    flow, y : ndarray of float
        Optimal multipliers of D g and of the constraint.
    L : float
    centre : bool
        Any interior point of the face, as an interior-point method finds it, in place of the nearest one.

    Returns
    -------
    ndarray of float, shape (p,)

    Raises
    ------
    SolverError
        Where there are too many regions, or the quadratic program finds no solution.
    """
    w = program.unit_weights * program.weight_scale
    flat = np.abs(flow) < w * (1 - _TOLERANCE)
    regions = _regions(program, flat)
    if regions.shape[1] * program.target.size > LARGEST:
        raise SolverError(f"{regions.shape[1]} regions are too many for selection='closest'; take selection='vertex'.")
    if regions.shape[1] == 0:
        return np.zeros_like(g)
    scale = program.scale
    indicators: FloatArray = regions.toarray()
    columns = np.column_stack([program.forward(column) for column in indicators.T]) * (program.g_scale / scale)
    target, radius = program.target / scale, L / scale
    active = np.abs(y) > _TOLERANCE * np.abs(y).max(initial=0.0)
    edge = np.sign(y[active]) * radius
    fixed, wanted = columns[active], target[active] - edge
    signs: Any = sparse.diags_array(np.sign(flow[~flat])) @ program.difference[~flat] @ regions
    signs = signs[np.diff(signs.indptr) > 0]
    # a constant that nothing determines stays out
    free = np.linalg.norm(columns, axis=0) > 1e-9 * np.abs(columns).max()
    if free.any() and np.linalg.matrix_rank(fixed[:, free], tol=1e-9 * np.abs(columns).max()) == free.sum():
        x = np.zeros(free.size)
        x[free] = linalg.lstsq(fixed[:, free], wanted)[0]
    else:
        x = _quadratic(columns, target, radius, active, wanted, signs, centre)
    return program.without_free_constants(times(regions, x) * program.g_scale)


def _regions(program: GeneralProgram, flat: Any) -> Sparse:
    """Indicator columns of the regions (p x R); those tied to a boundary of zeros by a flat edge are left out."""
    rows: Any = program.difference[flat]
    count, label = joined(rows.T @ rows)
    p = program.n_nodes
    indicator: Any = sparse.csr_array((np.ones(p), (np.arange(p), label)), shape=(p, count))
    tied = times(abs(rows @ indicator).T, np.ones(rows.shape[0])) > 0
    return as_rows(indicator.tocsc()[:, ~tied])


def _quadratic(columns: FloatArray, target: FloatArray, radius: float, active: Any, wanted: FloatArray, signs: Any,
               centre: bool) -> FloatArray:  # fmt: skip
    import cvxpy

    cp: Any = cvxpy  # its annotations cover a part of its names only
    x = cp.Variable(columns.shape[1])
    residual = target - columns @ x
    # opposite inequalities of a face without interior stall an interior-point method: the active rows are equations
    constraints = [columns[active] @ x == wanted, cp.abs(residual[np.flatnonzero(~active)]) <= radius]
    if signs.shape[0]:
        constraints.append(signs.tocsc() @ x >= 0)
    problem = cp.Problem(cp.Minimize(0 if centre else cp.sum_squares(residual)), constraints)
    tight = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-12}
    try:
        problem.solve(solver="CLARABEL", warm_start=False, **tight)
    except cp.SolverError as error:
        raise SolverError(f"selection='closest' failed: {error}") from error
    if x.value is None:
        raise SolverError(f"selection='closest' failed: {problem.status}")
    return np.asarray(x.value, dtype=np.float64)
