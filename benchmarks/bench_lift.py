"""Eq. 5 under the block law: the lifted program and its path against the dense program that it stands for.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_lift.py [--quick]        (--quick leaves out the dense solve at 28 x 28)
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from bench_lp import clock
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.estimators.programs import program_for
from legstat.solvers import GeneralProgram, Solution, solve, solve_path


def moments(design: ls.MultiscaleBlocks) -> FloatArray:
    """b of a map of three rectangles from 1,000 pairs, with a residual of standard deviation 0.6."""
    p1, p2 = design.grid.shape
    rows, columns = np.indices((p1, p2)) / np.array([p1, p2]).reshape(2, 1, 1)
    g = 0.05 * ((rows > 0.28) & (rows < 0.55) & (columns > 0.3) & (columns < 0.65))
    g = g + 0.1 * ((rows > 0.14) & (rows < 0.28) & (columns > 0.4) & (columns < 0.57))
    g = g - 0.05 * ((rows > 0.7) & (rows < 0.86) & (columns > 0.1) & (columns < 0.28))
    noise = np.linalg.cholesky(design.covariance_matrix()) @ np.random.default_rng(0).standard_normal(p1 * p2)
    return np.asarray(design.covariance(g.ravel()) + noise * 0.6 / np.sqrt(1000))


def dense(design: ls.MultiscaleBlocks, b: FloatArray) -> GeneralProgram:
    """The same program with the dense matrix D^{+T} Sigma."""
    grid = design.grid
    matrix = grid.pinv_transpose(design.covariance_matrix()).T
    return GeneralProgram.dense(grid.D, matrix, grid.pinv_transpose(b))


def told(name: str, side: int, timed: tuple[float, float, Any]) -> dict[str, Any]:
    """One row of the table."""
    wall, cpu, found = timed
    path: list[Solution] = found if isinstance(found, list) else [found]
    return {
        "grid": f"{side} x {side}",
        "what": name,
        "wall s": wall,
        "cpu s": cpu,
        "worst gap": max(s.certificate.gap for s in path),
        "attempts": sum(len(s.stats["attempts"]) for s in path),
        "pivots": sum(s.stats["iterations"] for s in path),
    }


def measured(side: int, with_dense: bool) -> list[dict[str, Any]]:
    """The table's rows of one grid."""
    design = ls.MultiscaleBlocks(grid=(side, side))
    b = moments(design)
    program, _ = program_for(design, b)
    solve(program, 0.9 * program.L_max)  # what is loaded and factorised once

    def path(end: float) -> tuple[float, float, Any]:
        return clock(lambda: solve_path(program, program.L_max * np.geomspace(1.0, end, 20)), 1)

    rows = [told(f"lifted, 20 L to {end} L_max", side, path(end)) for end in (0.05, 0.005)]
    for ratio in (0.3, 0.05):
        one = clock(lambda x=ratio: solve(program, x * program.L_max), 1)
        rows.append(told(f"lifted, one L at {ratio} L_max", side, one))
    if with_dense:
        full = dense(design, b)
        rows.append(told("dense, one L at 0.3 L_max", side, clock(lambda: solve(full, 0.3 * full.L_max), 1)))
    for row in rows:
        row["cpu / path to 0.05"] = row["cpu s"] / rows[0]["cpu s"]
    return rows


def main() -> None:
    """Measure, print, save."""
    save("lift", [*measured(14, True), *measured(28, "--quick" not in sys.argv)])


if __name__ == "__main__":
    main()
