"""One HiGHS object: a model with its options, budget, basis and interruption.

Two habits of HiGHS are guarded here. Its time limit counts over all runs of one object, so the time already used is
added to each budget. Its sparse row call (`getReducedRowSparse`) writes beyond its buffer, so nothing here uses it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import JSON, BoolArray, FloatArray
from legstat.solvers.engines.engine import INFINITY
from legstat.solvers.programs.graph import Columns, times
from legstat.solvers.programs.scale import power_of_two

SIMPLEX = {"solver": "simplex", "simplex_strategy": 1, "presolve": "off"}
"""Dual simplex, as it is."""
_WATCHED_COLUMNS = 5000  # a smaller program is solved in some 10 ms: Ctrl-C may wait, the callback's cost may not
_NO_COST = 1e-7  # of reduced costs, where costs are about 1: HiGHS' own tolerance
_REFINEMENTS = 2  # an ill-conditioned basis leaves objective and dual value 1e-8 apart without them

Bounds = tuple[FloatArray, FloatArray]


class Model:
    """One HiGHS object with a model, its options, budget and interruption."""

    def __init__(self, options: JSON) -> None:
        import highspy

        self.highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        self.highs.silent()
        for name, value in {"threads": 1, **options}.items():
            if self.highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
                raise ValueError(invalid("solve", f"options[{name!r}]", value, "an option that HiGHS accepts",
                                         "See the list of options in the documentation of HiGHS."))  # fmt: skip
        self._stop = threading.Event()
        self._watched = False

    def load(self, cost: FloatArray, matrix: Columns, columns: Bounds, rows: Bounds) -> None:
        """Pass a model: min cost x, columns and rows within their bounds."""
        import highspy

        self._cost, self._matrix = cost, matrix
        n_rows, n_columns = matrix.shape
        by_columns, smallest = int(highspy.MatrixFormat.kColwise), int(highspy.ObjSense.kMinimize)
        # arrays, not a `HighsLp`, whose attributes take each number by itself
        self.highs.passModel(
            n_columns, n_rows, matrix.nnz, by_columns, smallest, 0.0, cost, *columns, *rows,
            matrix.indptr, matrix.indices, matrix.data, np.zeros(n_columns, dtype=np.int32),
        )  # fmt: skip
        if matrix.shape[1] > _WATCHED_COLUMNS and not self._watched:
            self._watched = True
            for callback in (self.highs.cbSimplexInterrupt, self.highs.cbIpmInterrupt):
                callback.subscribe(self._on_iteration)

    def _on_iteration(self, event: Any) -> None:
        if self._stop.is_set():
            event.interrupt()

    def run(self, time_limit: float | None) -> tuple[str, str, int]:
        """Run within the budget: outcome, HiGHS' words, iterations. Ctrl-C stops a large solve and is raised."""
        import highspy

        budget = INFINITY if time_limit is None else self.highs.getRunTime() + time_limit
        self.highs.setOptionValue("time_limit", budget)
        if self._watched and threading.current_thread() is threading.main_thread():
            self._run_watched()
        else:
            self.highs.run()
        status, info = self.highs.getModelStatus(), self.highs.getInfo()
        count = max(info.simplex_iteration_count, 0) + max(info.ipm_iteration_count, 0)
        known = highspy.HighsModelStatus
        outcomes = {known.kOptimal: "solved", known.kUnknown: "solved", known.kTimeLimit: "time_limit"}
        outcomes |= {known.kInfeasible: "infeasible", known.kUnboundedOrInfeasible: "infeasible"}
        outcome = outcomes.get(status, "failed")
        return outcome, str(self.highs.modelStatusToString(status)), int(count)

    def _run_watched(self) -> None:
        # the main thread waits in Python, where Ctrl-C is heard; HiGHS itself holds no interpreter lock
        self._stop.clear()
        # an event of our own tells the end: an interrupted `join` of Python 3.11 takes a running thread for a dead one
        done = threading.Event()

        def work() -> None:
            try:
                self.highs.run()
            finally:
                done.set()

        worker = threading.Thread(target=work, daemon=True)
        try:
            worker.start()
            while not done.wait(0.05):
                pass
        except KeyboardInterrupt:
            self._stop.set()
            while not done.is_set():  # HiGHS must have ended before its memory goes; a second Ctrl-C changes nothing
                with contextlib.suppress(KeyboardInterrupt):
                    done.wait(0.05)
            raise

    def solution(self) -> tuple[FloatArray, FloatArray]:
        """Column values and row duals."""
        found = self.highs.getSolution()
        return np.array(found.col_value), np.array(found.row_dual)

    def refined(self, x: FloatArray, y: FloatArray, rows: Bounds) -> tuple[FloatArray, FloatArray]:
        """Column values and row duals after two steps of iterative refinement by HiGHS' own factors of the basis B.

        Basic columns have A x at the bounds of the rows that are not basic, and B^T y = c.
        """
        _, basic = self.highs.getBasicVariables()
        which = np.asarray(basic)
        structural = which >= 0
        chosen, free_rows = which[structural], -1 - which[~structural]
        columns = self._matrix[:, chosen]
        x, y = x.copy(), y.copy()
        for _ in range(_REFINEMENTS):
            reached = times(self._matrix, x)
            short = np.where(reached - rows[0] < rows[1] - reached, rows[0], rows[1]) - reached
            short[free_rows] = 0.0
            x[chosen] += _scaled(self.highs.getBasisSolve, short)[structural]
            residual = np.empty(which.size)
            residual[structural] = self._cost[chosen] - times(columns.T, y)
            residual[~structural] = -y[free_rows]
            y += _scaled(self.highs.getBasisTransposeSolve, residual)
        return x, y

    def start_at(self, columns: BoolArray, rows: BoolArray, upper: BoolArray | None = None) -> None:
        """Begin with these columns and rows basic, others at their lower bound or, without one, at 0.

        Columns in `upper` are at their upper bound instead, and rows without a lower bound too.
        """
        import highspy

        state, lp = highspy.HighsBasisStatus, self.highs.getLp()
        names = np.array([state.kBasic, state.kUpper, state.kLower, state.kZero], dtype=object)

        def states(basic: BoolArray, high: BoolArray, low: Any, otherwise: int) -> list[Any]:
            return list(names[np.where(basic, 0, np.where(high, 1, np.where(np.isfinite(low), 2, otherwise)))])

        basis = highspy.HighsBasis()
        basis.col_status = states(columns, np.zeros_like(columns) if upper is None else upper, lp.col_lower_, 3)
        basis.row_status = states(rows, np.zeros_like(rows), lp.row_lower_, 1)
        basis.valid, basis.alien = True, False  # of the right size: HiGHS need not factorise it to see
        self.highs.setBasis(basis)

    def add_columns(self, cost: FloatArray, columns: FloatArray) -> None:
        """Add columns, dense and one in a row of the array, of variables >= 0."""
        count, k = columns.shape
        starts, index = np.arange(0, columns.size, k, dtype=np.int32), np.tile(np.arange(k, dtype=np.int32), count)
        self.highs.addCols(
            count, cost, np.zeros(count), np.full(count, INFINITY), columns.size, starts, index, columns.ravel()
        )

    def free_directions(self) -> int:
        """How many columns and inequality rows could move from the vertex at no cost: an upper bound on how many do."""
        found, lp = self.highs.getSolution(), self.highs.getLp()
        _, basic = self.highs.getBasicVariables()
        which = np.asarray(basic)
        states = np.zeros(lp.num_col_ + lp.num_row_, dtype=bool)
        states[np.where(which >= 0, which, lp.num_col_ - 1 - which)] = True
        costs = np.abs(np.concatenate([found.col_dual, found.row_dual]))
        low, high = (
            np.concatenate([a, b]) for a, b in ((lp.col_lower_, lp.row_lower_), (lp.col_upper_, lp.row_upper_))
        )
        return int(np.count_nonzero(~states & (costs < _NO_COST) & (low < high)))


def _scaled(solve: Callable[[FloatArray], Any], right: FloatArray) -> FloatArray:
    """A solve with a right-hand side of size 1: HiGHS takes entries below 1e-14 for 0."""
    size = power_of_two(float(np.abs(right).max(initial=0.0)))
    _, step = solve(right / size)
    return size * np.asarray(step, dtype=np.float64)
