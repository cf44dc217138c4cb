r"""Which point of the optimal face: nearest to the data ("closest") or its analytic centre ("interior").

Both are unique, so neither depends on the engine that found the face. On the regions of the face, with d = x_head -
x_tail, "closest" is the strictly convex quadratic program

.. math:: \min_x \tfrac12 \sum_k n_k (d_k - t_k)^2 \quad\text{s.t.}\quad low_k \le d_k \le high_k,

which Clarabel solves: at 8 x 8 to 56 x 56 cells in 0.4 to 0.9 of the time of an interior-point method of ours with a
finish on the active set, and the error that its multipliers prove was 6 to 30 times smaller. "interior" maximises
:math:`\sum_k \log (d_k - low_k) + \log (high_k - d_k)`, by Newton's method: as exponential cones the same program took
Clarabel 1.1 times as long at 8 x 8, up to 12 times at 56 x 56, and twice it stopped far from the centre
(`benchmarks/bench_selection.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from legstat._core.errors import SolverError
from legstat._core.typing import FloatArray, IntArray
from legstat.solvers.optimum.face import Regions
from legstat.solvers.programs.graph import components, times
from legstat.solvers.programs.scale import power_of_two

_TOLERANCE = 1e-13  # asked of Clarabel; near rounding it may say that it fell short, and `error` tells by how much
_POOR = 1e-4  # of the widest interval, proved error: solved once more
_STEPS = 80  # of Newton's method: 8 to 15 are usual
_TO_BOUNDARY = 0.995


@dataclass(frozen=True)
class Selected:
    """x on the regions; a bound on the largest error of an edge (closest); steps of the interior-point method."""

    x: FloatArray
    error: float
    steps: int


def closest(regions: Regions) -> Selected:
    """The x whose edges are nearest to the data, in the sense of least squares over all edges.

    Raises
    ------
    SolverError
        Where Clarabel gives no numbers.
    """
    if regions.tail.size == 0:
        return Selected(np.zeros(regions.n_regions), 0.0, 0)
    import clarabel

    cl: Any = clarabel  # not annotated

    kept = _unknowns(regions)
    n = regions.count
    unit = power_of_two(float((regions.high - regions.low).max()))  # Clarabel's tolerances are absolute too
    bounds = np.concatenate([regions.high, -regions.low]) / unit
    settings = cl.DefaultSettings.default()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = _TOLERANCE
    upper, rows = _upper_laplacian(regions, kept, n), _bounded(regions, kept)
    linear = -times(rows.T, np.concatenate([n * regions.target, np.zeros(n.size)])) / unit
    cones = [cl.NonnegativeConeT(bounds.size)]

    def attempt() -> Selected:
        found = cl.DefaultSolver(upper, linear, rows, bounds, cones, settings).solve()
        x, push = np.zeros(regions.n_regions), unit * np.array(found.z)
        x[kept] = unit * np.array(found.x)
        if not (np.isfinite(x).all() and np.isfinite(push).all()):
            raise SolverError(f"the quadratic program is {found.status}")
        error = error_bound(regions, regions.differences(x), push[: n.size] - push[n.size :])
        return Selected(x, error, int(found.iterations))

    first = attempt()
    if first.error <= _POOR * unit:
        return first
    # Clarabel's regularisation ends it early where multipliers of active bounds vanish; positive definite, the matrix
    # does not need it
    settings.static_regularization_enable = False
    return min(first, attempt(), key=lambda found: found.error)


def error_bound(regions: Regions, d: FloatArray, y: FloatArray) -> float:
    """Bound on max_k |d_k - d*_k|, d* the closest, from multipliers y of the bounds (y > 0 at the upper one).

    sqrt(2 gap), as the objective is strongly convex with modulus 1, plus what d violates.
    """
    n, t = regions.count, regions.target
    inside = np.minimum(np.maximum(d, regions.low), regions.high)
    slack = np.where(y > 0, y * (regions.high - d), y * (regions.low - d))
    unbalanced = regions.divergence(n * (d - t) + y)
    hidden = float(np.abs(unbalanced).sum() * np.abs(d - t).max())
    return float(np.sqrt(2.0 * (np.abs(slack).sum() + hidden)) + np.abs(d - inside).max())


def analytic_centre(regions: Regions) -> Selected:
    """The x in the middle of the face.

    Newton's method on: slack times multiplier = level at each bound, multipliers in balance at each region. The known
    point x = 0 may lie on bounds, so the slacks are unknowns of their own, which reach d - low and high - d on the way.
    """
    from scipy.sparse.linalg import splu  # slow to load

    if regions.tail.size == 0:
        return Selected(np.zeros(regions.n_regions), 0.0, 0)
    low, high, width = regions.low, regions.high, regions.high - regions.low
    kept, size = _unknowns(regions), float(width.max())
    level = size**2
    x = np.zeros(regions.n_regions)
    below, above = np.maximum(-low, 0.1 * width), np.maximum(high, 0.1 * width)
    up, down = level / below, level / above
    step = 0
    while step < _STEPS:
        d = regions.differences(x)
        off_low, off_high, unbalanced = d - low - below, high - d - above, regions.divergence(down - up)
        products = np.concatenate([below * up, above * down]) / level
        residuals = np.abs(np.concatenate([off_low, off_high])).max() / size
        if residuals <= 1e-13 and np.abs(products - 1.0).max() <= 1e-10 and np.abs(unbalanced).max() <= 1e-10 * size:
            break
        lift = (level - up * off_low) / below - up
        press = (level - down * off_high) / above - down
        weighted = _laplacian(regions, kept, up / below + down / above)
        try:
            # symmetric and diagonally dominant: no pivoting
            factor = splu(weighted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
                          options={"SymmetricMode": True})  # fmt: skip
        except RuntimeError:  # weights beyond rounding: the point reached is as good as this method gets
            break
        move = np.zeros_like(x)
        move[kept] = factor.solve((regions.divergence(lift - press) - unbalanced)[kept])
        change = regions.differences(move)
        steps = change + off_low, off_high - change
        turns = (level - up * steps[0]) / below - up, (level - down * steps[1]) / above - down
        length = _longest((below, steps[0]), (above, steps[1]), (up, turns[0]), (down, turns[1]))
        x = x + length * move
        below, above = below + length * steps[0], above + length * steps[1]
        up, down = up + length * turns[0], down + length * turns[1]
        step += 1
    return Selected(x, 0.0, step)


def _longest(*pairs: tuple[FloatArray, FloatArray]) -> float:
    """Part of the step, at most 1, that keeps all values positive."""
    ratios = [float((-value[change < 0] / change[change < 0]).min(initial=np.inf)) for value, change in pairs]
    return min(1.0, _TO_BOUNDARY * min(ratios))


def _unknowns(regions: Regions) -> IntArray:
    """The regions but one of each component: x is 0 there, since only differences count."""
    _, label = components(regions.tail, regions.head, regions.n_regions)
    _, roots = np.unique(label, return_index=True)
    return np.setdiff1d(np.arange(regions.n_regions), roots)


def _places(regions: Regions, kept: IntArray) -> tuple[IntArray, IntArray]:
    """Unknown at the tail and at the head of each edge, -1 for a region that is none."""
    place = np.full(regions.n_regions, -1)
    place[kept] = np.arange(kept.size)
    return place[regions.tail], place[regions.head]


def _columns(entries: FloatArray, rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> Any:
    """Different entries by columns, without the detour over coordinate format, which takes as long as the solve."""
    order = np.argsort(columns * np.int64(shape[0]) + rows)
    starts = np.searchsorted(columns[order], np.arange(shape[1] + 1))
    return scipy.sparse.csc_matrix((entries[order], rows[order], starts), shape=shape)


def _bounded(regions: Regions, kept: IntArray) -> Any:
    """D and -D, D x[kept] = d, one above the other."""
    a, b = _places(regions, kept)
    k, (at_tail, at_head) = a.size, (np.flatnonzero(a >= 0), np.flatnonzero(b >= 0))
    signs = np.repeat([-1.0, 1.0], [at_tail.size, at_head.size])
    rows, columns = np.concatenate([at_tail, at_head]), np.concatenate([a[at_tail], b[at_head]])
    return _columns(
        np.concatenate([signs, -signs]), np.concatenate([rows, rows + k]), np.tile(columns, 2), (2 * k, kept.size)
    )


def _upper_laplacian(regions: Regions, kept: IntArray, weight: FloatArray) -> Any:
    """The upper triangle of D^T diag(weight) D."""
    n, (a, b) = regions.n_regions, _places(regions, kept)
    inner = (a >= 0) & (b >= 0)
    diagonal = (np.bincount(regions.tail, weight, n) + np.bincount(regions.head, weight, n))[kept]
    own = np.arange(kept.size)
    rows = np.concatenate([own, np.minimum(a, b)[inner]])
    columns = np.concatenate([own, np.maximum(a, b)[inner]])
    return _columns(np.concatenate([diagonal, -weight[inner]]), rows, columns, (kept.size, kept.size))


def _laplacian(regions: Regions, kept: IntArray, weight: FloatArray) -> Any:
    """D^T diag(weight) D by columns."""
    upper = _upper_laplacian(regions, kept, weight)
    return (upper + scipy.sparse.triu(upper, 1).T).tocsc()
