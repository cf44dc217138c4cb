r"""The optimal face of a general program: the point nearest to the data, and how wide it is.

With one dual solution (z, y) the face is: (D g)_e = 0 where |z_e| < w_e, the sign of z_e elsewhere; the residual
a - A g on its bound where y_j is not 0, within it elsewhere. Cells joined by flat edges form regions; the equations
leave few directions on them, usually none, and those are searched by small quadratic or linear programs.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from legstat._core.errors import SolverError
from legstat._core.typing import BoolArray, FloatArray
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.programs.graph import Sparse, as_rows, joined, times

_TOLERANCE = 1e-7  # of multipliers, relative to their largest: an interior-point engine knows them to about 1e-9
_RANK = 1e-9  # of the equations, relative to their largest pivot
LARGEST = 30_000_000
"""Entries of the dense matrix A on the regions beyond which the face is not searched (240 MB)."""


@dataclass(frozen=True)
class GeneralFace:
    """x = start + directions t on the regions, with |residual - moves t| <= radius and signs t + signs_start >= 0.

    All in units of `scale` (residual, radius) and `g_scale` (x).

    Attributes
    ----------
    regions : sparse array, shape (p, R)
        Indicator columns; those tied to a boundary of zeros by a flat edge are left out.
    start : ndarray of float, shape (R,)
    directions : ndarray of float, shape (R, q)
        Orthonormal; q = 0 where the optimum is unique.
    residual, moves : ndarray of float, shapes (r,), (r, q)
        Of the rows whose bound is not active.
    radius : float
    signs_start, signs : ndarray of float, shapes (s,), (s, q)
        Edges between regions, oriented so that they must not be negative.
    """

    regions: Sparse
    start: FloatArray
    directions: FloatArray
    residual: FloatArray
    moves: FloatArray
    radius: float
    signs_start: FloatArray
    signs: FloatArray


def general_face(program: GeneralProgram, flow: FloatArray, y: FloatArray, L: float) -> GeneralFace:
    """The optimal face from optimal multipliers of D g and of the constraint, in real units.

    Raises
    ------
    SolverError
        Where there are too many regions.
    """
    w = program.unit_weights * program.weight_scale
    flat: BoolArray = np.abs(flow) < w * (1 - _TOLERANCE)
    regions = _regions(program, flat)
    count = regions.shape[1]
    if count * program.target.size > LARGEST:
        raise SolverError(f"{count} regions make too large a problem; take selection='vertex'")
    indicators: FloatArray = regions.toarray()
    columns = np.empty((program.target.size, count))
    for k, column in enumerate(indicators.T):
        columns[:, k] = program.forward(column) * (program.g_scale / program.scale)
    target, radius = program.target / program.scale, L / program.scale
    active = np.abs(y) > _TOLERANCE * np.abs(y).max(initial=0.0)
    # free constants are fixed by mean 0, as everywhere
    means = times(regions.T, program.free_constants).T
    equations = np.vstack([columns[active], means])
    wanted = np.concatenate([target[active] - np.sign(y[active]) * radius, np.zeros(means.shape[0])])
    start, directions = _solutions(equations, wanted)
    signs: Any = scipy.sparse.diags_array(np.sign(flow[~flat])) @ program.difference[~flat] @ regions
    rest = columns[~active]
    return GeneralFace(regions, start, directions, target[~active] - rest @ start, rest @ directions, radius,
                       times(signs, start), times(signs, directions))  # fmt: skip


def _solutions(equations: FloatArray, wanted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The shortest solution of consistent equations and an orthonormal basis of their null space, by pivoted QR."""
    if not equations.size:
        return np.zeros(equations.shape[1]), np.eye(equations.shape[1])
    q, r, order = scipy.linalg.qr(equations.T, pivoting=True)
    size = np.abs(np.diag(r))
    rank = int((size > _RANK * size[0]).sum())
    inner = scipy.linalg.solve_triangular(r[:rank, :rank], wanted[order[:rank]], trans="T")
    return np.asarray(q[:, :rank] @ inner), np.asarray(q[:, rank:])


def _regions(program: GeneralProgram, flat: BoolArray) -> Sparse:
    rows: Any = program.difference[flat]
    count, label = joined(rows.T @ rows)
    p = program.n_nodes
    indicator: Any = scipy.sparse.csr_array((np.ones(p), (np.arange(p), label)), shape=(p, count))
    tied = times(abs(rows @ indicator).T, np.ones(rows.shape[0])) > 0
    return as_rows(indicator.tocsc()[:, ~tied])


def selected_general(program: GeneralProgram, face: GeneralFace, centre: bool) -> FloatArray:
    """The g of the face nearest to the data in least squares, or with `centre` an interior one, in real units.

    Raises
    ------
    SolverError
        Where the quadratic program finds no solution.
    """
    x = face.start
    if face.directions.shape[1]:
        x = x + face.directions @ _quadratic(face, centre)
    return program.without_free_constants(times(face.regions, x) * program.g_scale)


def _quadratic(face: GeneralFace, centre: bool) -> FloatArray:
    import cvxpy

    cp: Any = cvxpy  # its annotations cover a part of its names only
    t = cp.Variable(face.directions.shape[1])
    residual = face.residual - face.moves @ t
    moving = np.abs(face.signs).max(axis=1, initial=0.0) > _RANK
    constraints = [cp.abs(residual) <= face.radius, face.signs[moving] @ t + face.signs_start[moving] >= 0]
    problem = cp.Problem(cp.Minimize(0 if centre else cp.sum_squares(residual)), constraints)
    tight = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-12}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "may be inaccurate", overflows: the status below decides, in our words
            problem.solve(solver="CLARABEL", warm_start=False, **tight)
    except cp.SolverError as error:
        raise SolverError(f"the quadratic program failed: {error}") from error
    if t.value is None or problem.status != cp.OPTIMAL:
        raise SolverError(f"the quadratic program is {problem.status}")
    return np.asarray(t.value, dtype=np.float64)


def widest_range_general(program: GeneralProgram, face: GeneralFace) -> float:
    """Largest range of one entry of D g over the face, in real units: two small linear programs per moving edge."""
    if face.directions.shape[1] == 0:
        return 0.0
    edges = np.unique(np.round(times(program.difference @ face.regions, face.directions), 12), axis=0)
    edges = edges[np.abs(edges).max(axis=1) > _RANK]
    rows = np.vstack([face.moves, -face.moves, -face.signs])
    limits = np.concatenate([face.radius + face.residual, face.radius - face.residual, face.signs_start])
    moving = np.abs(rows).max(axis=1) > _RANK
    free = [(None, None)] * rows.shape[1]
    widest = 0.0
    for edge in edges:
        ends: list[Any] = [
            scipy.optimize.linprog(s * edge, rows[moving], limits[moving], bounds=free, method="highs-ds")
            for s in (1.0, -1.0)
        ]
        if any(end.status != 0 for end in ends):
            return float("nan")
        widest = max(widest, -float(ends[0].fun + ends[1].fun))
    return widest * program.g_scale
