"""The point of the optimal face that LEG-TV reports: what is in use against what might be.

"closest", a quadratic program with box constraints on differences: Clarabel (in use) against the interior-point method
of `interior_point.py`. "interior", a sum of logarithms: Newton's method (in use) against Clarabel's exponential cones.
Matrices are built within the time of each but the last. Error: for "closest" the certified bound on the largest error
of an edge over the widest interval of the face; for "interior" the largest imbalance of a region over the largest term.
Processor seconds are the best of the repeats.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_selection.py [--quick]        (--quick leaves out 56 x 56)
"""

from __future__ import annotations

import sys
from typing import Any

import clarabel
import interior_point
import numpy as np
from bench_lp import clock, instance
from scipy import sparse
from timing import save

from legstat._core.typing import FloatArray
from legstat.solvers import FlowProgram, solve
from legstat.solvers.optimum.face import Regions, regions_of_face
from legstat.solvers.optimum.selection import _unknowns, analytic_centre, closest
from legstat.solvers.programs.graph import incidence


def centre_by_cones(regions: Regions) -> Any:
    """max sum_k log (d_k - low_k) + log (high_k - d_k) by Clarabel, ready to be solved."""
    D = incidence(regions.tail, regions.head, regions.n_regions).tocsc()[:, _unknowns(regions)]
    k = regions.tail.size
    # one exponential cone a bound: (s, 1, slack) with exp(s) <= slack
    A = sparse.lil_array((6 * k, D.shape[1] + 2 * k))
    A[np.arange(2 * k) * 3, D.shape[1] + np.arange(2 * k)] = -1.0
    both = sparse.vstack([-D, D]).tocoo()
    A[both.row * 3 + 2, both.col] = both.data
    b = np.tile([0.0, 1.0, 0.0], 2 * k)
    b[2::3] = np.concatenate([-regions.low, regions.high])
    q = np.concatenate([np.zeros(D.shape[1]), -np.ones(2 * k)])
    P, cones, rows = sparse.csc_matrix((q.size, q.size)), [clarabel.ExponentialConeT()] * (2 * k), sparse.csc_matrix(A)
    settings = clarabel.DefaultSettings.default()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-13
    return lambda: D @ np.array(clarabel.DefaultSolver(P, q, rows, b, cones, settings).solve().x)[: D.shape[1]]


def off_centre(regions: Regions, d: FloatArray) -> float:
    """Largest imbalance D^T (1 / (high - d) - 1 / (d - low)) of a region, over the largest term."""
    above, below = 1.0 / (regions.high - d), 1.0 / (d - regions.low)
    size = float(np.abs(np.concatenate([above, below])).max())
    return float(np.abs(regions.divergence(above - below)).max()) / size


def measured(p: int, ratio: float, repeats: int) -> list[dict[str, Any]]:
    """Both selections at L = ratio L_max, each by two methods."""
    program = FlowProgram.from_potential((p, p), instance(p))
    s = solve(program, ratio * program.L_max, engine="highs", selection="vertex")
    regions = regions_of_face(program, s.g / program.scale, s.flow, s.L / program.scale, s.precision)
    widest = float((regions.high - regions.low).max())
    _, used, near = clock(lambda: closest(regions), repeats)
    _, other, rival = clock(lambda: interior_point.closest(regions), repeats)
    _, newton, centre = clock(lambda: analytic_centre(regions), repeats)
    _, cones, d = clock(centre_by_cones(regions), repeats)
    here = [regions.differences(x) for x in (near.x, rival.x, centre.x)]
    rows: list[dict[str, Any]] = []
    for name, times, errors, apart in (
        ("closest", (used, other), (near.error / widest, rival.error / widest), here[0] - here[1]),
        ("interior", (newton, cones), (off_centre(regions, here[2]), off_centre(regions, d)), here[2] - d),
    ):
        rows.append({"grid": f"{p} x {p}", "L/L_max": ratio, "selection": name, "regions": regions.n_regions,
                     "edges": regions.tail.size, "in use, cpu s": times[0], "rival, cpu s": times[1],
                     "rival/in use": times[1] / times[0], "error": errors[0], "rival's error": errors[1],
                     "distance": float(np.abs(apart).max()) / widest})  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, save."""
    grids = (8, 28) if "--quick" in sys.argv else (8, 28, 56)
    rows = [row for p in grids for ratio in (0.5, 0.2, 0.05) for row in measured(p, ratio, 200 // p)]
    save("selection", rows, clarabel=clarabel.__version__)


if __name__ == "__main__":
    main()
