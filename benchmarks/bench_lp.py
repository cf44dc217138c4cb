"""One LEG-TV linear program: our engines against the paper's dense formulation, and their growth with the grid.

Tables: (1) 28 x 28 against the dense formulation in cvxpy's default solver (Clarabel) and in HiGHS, (2) sizes up to
224 x 224, (3) other covariances and masks. Each figure is the best of its repeats, in wall and in processor seconds,
with the model built from the potential each time. The load of a shared machine inflates wall times of long
runs more than of short ones, so ratios are given for both clocks.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_lp.py [--quick]        (--quick: sizes up to 56, one L)
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from timing import RESULTS, show, write

from legstat.solvers import FlowProgram, GeneralProgram, Solution, solve
from legstat.solvers.programs.graph import grid_edges, incidence

Row = dict[str, Any]


def instance(p: int, seed: int = 0) -> np.ndarray:
    """u of a piecewise constant map on 12 cells plus (D^T D)^+ D^T (white noise of 0.15 on the edges)."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, p, 12), rng.uniform(0, p, 12)
    rows, columns = np.meshgrid(np.arange(p), np.arange(p), indexing="ij")
    cell = ((rows.ravel()[:, None] - x) ** 2 + (columns.ravel()[:, None] - y) ** 2).argmin(axis=1)
    truth = 0.5 * rng.integers(0, 4, 12)[cell]
    empty = FlowProgram.from_potential((p, p), np.zeros(p * p))
    return truth - truth.mean() + empty.integrate(0.15 * rng.standard_normal(empty.n_edges))


def clock(call: Callable[[], Any], repeats: int) -> tuple[float, float, Any]:
    """Best wall seconds, best processor seconds, and the last value."""
    wall = cpu = float("inf")
    value = None
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        value = call()
        wall, cpu = min(wall, time.perf_counter() - start), min(cpu, time.process_time() - used)
    return wall, cpu, value


def dense_parts(p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """D, D^{+T} Sigma and D^{+T} of the structured design (sigma = 1), all dense: the paper's formulation."""
    D = incidence(*grid_edges((p, p)), p * p).toarray()
    pinv_t = np.linalg.pinv(D).T
    return D, pinv_t @ (D.T @ D + np.ones((p * p, p * p)) / (p * p)), pinv_t


def dense_solve(D: np.ndarray, M: np.ndarray, c: np.ndarray, L: float, **options: Any) -> float:
    """Eq. 5 as printed: min ||D g||_1 subject to ||c - M g||_inf <= L with dense D and M, model build included."""
    import cvxpy as cp

    g = cp.Variable(D.shape[1])
    with np.errstate(invalid="ignore"):  # cvxpy multiplies infinite bounds by the zeros of D
        problem = cp.Problem(cp.Minimize(cp.norm1(D @ g)), [cp.norm_inf(c - M @ g) <= L])
        problem.solve(**options)
    return float(problem.value)


def against_dense(ratio: float) -> list[Row]:
    """28 x 28, L = ratio L_max."""
    p = 28
    u = instance(p)
    D, M, _ = dense_parts(p)
    program = FlowProgram.from_potential((p, p), u)
    c, L = np.array(program.centre), ratio * program.L_max
    zeroed = np.where(np.abs(M) < 1e-12, 0.0, M)
    highs = {"solver": "HIGHS", "highs_options": {"threads": 1}, "warm_start": False}
    contenders: list[tuple[str, int, Callable[[], Any]]] = [
        ("dense, Clarabel (cvxpy's default)", 1, lambda: dense_solve(D, M, c, L)),
        ("dense, HiGHS", 3, lambda: dense_solve(D, M, c, L, **highs)),
        ("dense, HiGHS, entries below 1e-12 set to 0", 3, lambda: dense_solve(D, zeroed, c, L, **highs)),
    ]
    for engine in ("cvxpy", "highs", "network"):
        for selection in ("vertex", "closest"):

            def ours(engine: str = engine, selection: str = selection) -> Solution:
                return solve(FlowProgram.from_potential((p, p), u), L, engine=engine, selection=selection)

            ours()
            contenders.append((f"{engine}, {selection}", 25, ours))
    rows: list[Row] = []
    for name, repeats, call in contenders:
        wall, cpu, value = clock(call, repeats)
        objective = value.objective if isinstance(value, Solution) else value
        gap = value.certificate.gap if isinstance(value, Solution) else float("nan")
        row = {"28 x 28": name, "L/L_max": ratio, "wall s": wall, "cpu s": cpu, "objective": f"{objective:.9f}"}
        row |= {"Clarabel/this, wall": 0.0, "cpu": 0.0, "dense HiGHS/this, wall": 0.0, "our gap": gap}
        rows.append(row)
    for row in rows:
        row["Clarabel/this, wall"], row["cpu"] = rows[0]["wall s"] / row["wall s"], rows[0]["cpu s"] / row["cpu s"]
        row["dense HiGHS/this, wall"] = rows[1]["wall s"] / row["wall s"]
    return rows


def sizes(grids: tuple[int, ...]) -> list[Row]:
    """One solve per size, engine and selection."""
    rows: list[Row] = []
    for p in grids:
        u = instance(p)
        for ratio in (0.3, 0.1):
            for engine, selection in (("network", "vertex"), ("network", "closest"), ("highs", "vertex"),
                                      ("highs", "closest"), ("cvxpy", "vertex")):  # fmt: skip
                if engine == "cvxpy" and p > 112:
                    continue

                def ours(p: int = p, u: np.ndarray = u, ratio: float = ratio, engine: str = engine,
                         selection: str = selection) -> Solution:  # fmt: skip
                    program = FlowProgram.from_potential((p, p), u)
                    return solve(program, ratio * program.L_max, engine=engine, selection=selection)

                wall, cpu, value = clock(ours, 5 if p <= 56 else 2)
                rows.append({"grid": p, "unknowns": p * p, "L/L_max": ratio, "engine": engine, "selection": selection,
                             "wall s": wall, "cpu s": cpu, "objective": f"{value.objective:.9f}",
                             "gap": value.certificate.gap})  # fmt: skip
    return rows


def growth(rows: list[Row]) -> list[Row]:
    """Exponent of the processor time in the number of unknowns, by least squares on the logarithms."""
    out: list[Row] = []
    for key in sorted({(r["engine"], r["selection"], r["L/L_max"]) for r in rows}):
        mine = [r for r in rows if (r["engine"], r["selection"], r["L/L_max"]) == key]
        slope = np.polyfit(np.log([r["unknowns"] for r in mine]), np.log([r["cpu s"] for r in mine]), 1)[0]
        out.append({"engine": key[0], "selection": key[1], "L/L_max": key[2], "time grows like p^": float(slope)})
    return out


def others(p: int = 28) -> list[Row]:
    """Covariances that are no network flow, and a mask."""
    u, cells = instance(p), p * p
    D, _, pinv_t = dense_parts(p)
    rng = np.random.default_rng(1)
    draws = rng.standard_normal((6000, D.shape[0])) @ D + rng.standard_normal((6000, 1)) / p
    empirical = draws.T @ draws / 6000
    b = D.T @ (D @ u)
    laplacian = sparse.csr_array(D.T @ D)
    disc = np.hypot(*(np.indices((p, p)) - p / 2)) < 0.45 * p
    region = FlowProgram.from_mask(disc, u)
    programs: list[tuple[str, Any, tuple[str, ...]]] = [
        ("isotropic, lifted", GeneralProgram.lifted(laplacian, D, sparse.eye_array(cells), b), ("highs",)),
        ("empirical Sigma of 6,000 draws, dense", GeneralProgram.dense(D, pinv_t @ empirical, pinv_t @ b), ("highs",)),
        ("mask (disc), faces", region, ("network", "highs")),
        ("mask (disc), node form",
         FlowProgram(region.tail, region.head, region.n_nodes, region.centre), ("network", "highs")),
    ]  # fmt: skip
    rows: list[Row] = []
    for name, program, engines in programs:
        for engine in engines:
            for selection in ("vertex", "closest"):
                wall, cpu, value = clock(
                    lambda pr=program, e=engine, s=selection: solve(pr, 0.3 * pr.L_max, engine=e, selection=s),
                    1 if "empirical" in name else 3,
                )
                rows.append({"28 x 28": name, "engine": engine, "selection": selection, "wall s": wall, "cpu s": cpu,
                             "gap": value.certificate.gap, "attempts": len(value.stats["attempts"])})  # fmt: skip
    return rows


def plot(rows: list[Row], path: str, title: str) -> None:
    """Processor seconds against the number of unknowns, logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for key in sorted({(r["engine"], r["selection"], r["L/L_max"]) for r in rows}, key=str):
        mine = [r for r in rows if (r["engine"], r["selection"], r["L/L_max"]) == key]
        axes.loglog([r["unknowns"] for r in mine], [r["cpu s"] for r in mine], "o-", label=", ".join(map(str, key)))
    axes.set(xlabel="unknowns", ylabel="processor seconds", title=title)
    axes.legend(fontsize=7)
    figure.savefig(RESULTS / path, dpi=120)


def main() -> None:
    """Measure, print, save."""
    quick = "--quick" in sys.argv
    before = os.getloadavg()
    solve(FlowProgram.from_potential((4, 4), instance(4)), 0.1)  # imports are not what is measured
    dense = [row for ratio in ((0.3,) if quick else (0.3, 0.1)) for row in against_dense(ratio)]
    show(dense, "Against the dense formulation")
    other = others()
    show(other, "Other covariances and regions, L = 0.3 L_max")
    single = sizes((28, 56) if quick else (28, 56, 112, 224))
    show(single, "Single solve by size")
    exponents = growth(single)
    show(exponents, "Growth")
    write("lp", {"load before": before, "load after": os.getloadavg(), "against_dense": dense,
                 "others": other, "sizes": single, "growth": exponents})  # fmt: skip
    plot(single, "lp_sizes.png", "one solve, model build included")


if __name__ == "__main__":
    main()
