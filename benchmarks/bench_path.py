"""The LEG-TV path: warm grids of L against one dense solve, the exact path, and growth with the grid.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_path.py [--quick]        (--quick leaves out the sizes above 56)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_lp import Row, clock, dense_parts, dense_solve, growth, instance, plot
from timing import show, write

from legstat.solvers import FlowProgram, exact_path, solve, solve_path


def against_dense() -> list[Row]:
    """28 x 28: 50 values of L and the exact path, beside one dense solve of each kind."""
    p = 28
    u = instance(p)
    D, M, _ = dense_parts(p)
    program = FlowProgram.from_potential((p, p), u)
    c, L = np.array(program.centre), 0.3 * program.L_max
    Ls = program.L_max * np.geomspace(0.95, 0.05, 50)
    highs = {"solver": "HIGHS", "highs_options": {"threads": 1}, "warm_start": False}
    rows: list[Row] = []

    def add(name: str, repeats: int, call: Callable[[], Any]) -> Any:
        wall, cpu, value = clock(call, repeats)
        rows.append({"28 x 28": name, "wall s": wall, "cpu s": cpu, "note": ""})
        return value

    add("one dense solve, Clarabel", 1, lambda: dense_solve(D, M, c, L))
    add("one dense solve, HiGHS", 3, lambda: dense_solve(D, M, c, L, **highs))
    for engine in ("network", "highs", "cvxpy"):
        for selection in ("vertex", "closest"):
            add(f"50 L, {engine}, {selection}", 3,
                lambda e=engine, s=selection: solve_path(
                    FlowProgram.from_potential((p, p), u), Ls, engine=e, selection=s))  # fmt: skip
    add("50 L one by one (cold), highs, vertex", 3,
        lambda: [solve(program, x, engine="highs", selection="vertex") for x in Ls])  # fmt: skip
    for engine in ("network", "highs"):
        for ratio in (0.3, 0.1, 0.02):
            found = add(f"exact path to {ratio} L_max, {engine}", 1,
                        lambda e=engine, r=ratio: exact_path(program, r * program.L_max, engine=e))  # fmt: skip
            rows[-1]["note"] = f"{len(found)} knots, {found.n_solves} solves, error {found.error:.1e}"
    for row in rows:
        row["Clarabel/this, cpu"] = rows[0]["cpu s"] / row["cpu s"]
        row["dense HiGHS/this, cpu"] = rows[1]["cpu s"] / row["cpu s"]
        row["dense HiGHS/this, wall"] = rows[1]["wall s"] / row["wall s"]
    return rows


def sizes(grids: tuple[int, ...]) -> list[Row]:
    """20 values of L from 0.95 to 0.1 L_max."""
    rows: list[Row] = []
    for p in grids:
        u = instance(p)
        for engine, selection in (("network", "vertex"), ("network", "closest"), ("highs", "vertex")):
            program = FlowProgram.from_potential((p, p), u)
            Ls = program.L_max * np.geomspace(0.95, 0.1, 20)
            wall, cpu, path = clock(lambda pr=program, x=Ls, e=engine, s=selection: solve_path(
                pr, x, engine=e, selection=s), 3 if p <= 56 else 1)  # fmt: skip
            rows.append({"grid": p, "unknowns": p * p, "L/L_max": "20 L", "engine": engine, "selection": selection,
                         "wall s": wall, "cpu s": cpu, "worst gap": max(s.certificate.gap for s in path)})  # fmt: skip
    return rows


def banded(grids: tuple[int, ...]) -> list[Row]:
    """The path to 0.1 L_max with a certified error of 1e-3 instead of every breakpoint."""
    rows: list[Row] = []
    for p in grids:
        program = FlowProgram.from_potential((p, p), instance(p))
        wall, cpu, path = clock(lambda pr=program: exact_path(pr, 0.1 * pr.L_max, tol=1e-3, engine="network"), 1)
        rows.append({"grid": p, "solves": path.n_solves, "knots": len(path), "certified error": path.error,
                     "wall s": wall, "cpu s": cpu})  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, save."""
    before = os.getloadavg()
    solve(FlowProgram.from_potential((4, 4), instance(4)), 0.1)
    dense = against_dense()
    show(dense, "Paths at 28 x 28")
    grids = (28, 56) if "--quick" in sys.argv else (28, 56, 112, 224)
    by_size = sizes(grids)
    show(by_size, "20 values of L by size")
    exponents = growth(by_size)
    show(exponents, "Growth")
    bands = banded(grids)
    show(bands, "Path with a certified error of 1e-3")
    write("path", {"load before": before, "load after": os.getloadavg(), "against_dense": dense,
                   "sizes": by_size, "growth": exponents, "banded": bands})  # fmt: skip
    plot(by_size, "path_sizes.png", "20 values of L, 0.95 to 0.1 L_max")


if __name__ == "__main__":
    main()
