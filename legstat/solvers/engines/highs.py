"""HiGHS called directly: dual simplex on the curl form, presolve off, one thread, the basis kept along L.

Two habits of HiGHS are guarded here. Its time limit counts over all runs of one object, so the time already used is
added to each budget. Its sparse row call (`getReducedRowSparse`) writes beyond its buffer, so nothing here uses it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

from legstat._core.errors import invalid
from legstat._core.typing import JSON, BoolArray, FloatArray
from legstat.solvers.engines.engine import INFINITY, Raw, no_answer, split_bounds
from legstat.solvers.programs.flow import FlowProgram
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.programs.graph import Columns, as_rows, spanning_forest, times
from legstat.solvers.programs.scale import power_of_two

_SIMPLEX = {"solver": "simplex", "simplex_strategy": 1, "presolve": "off"}
# the second attempt: HiGHS' own choice of presolve, and a hundred times its tolerances
_CAREFUL = {"solver": "simplex", "simplex_strategy": 1,
            "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}  # fmt: skip
# a lifted program with covariances: HiGHS' scaling of it makes the simplex four times slower and less exact
_UNSCALED = {**_SIMPLEX, "simplex_scale_strategy": 0}
_UNSCALED_CAREFUL = {**_CAREFUL, "presolve": "off", "simplex_scale_strategy": 0}
# the interior point without crossover: its own default tolerance 1e-8 is our limit for the gap, so ask for more
_INTERIOR = {"solver": "ipx", "run_crossover": "off", "ipm_optimality_tolerance": 1e-11}
_WATCHED_COLUMNS = 5000  # a smaller program is solved in some 10 ms: Ctrl-C may wait, the callback's cost may not
_NO_COST = 1e-7  # of reduced costs, where costs are about 1: HiGHS' own tolerance
_REFINEMENTS = 2  # an ill-conditioned basis leaves objective and dual value 1e-8 apart without them
_INTERIOR_UNKNOWNS = 200  # with more of them the interior point is faster than the simplex


Bounds = tuple[FloatArray, FloatArray]


class _Model:
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
        lp = highspy.HighsLp()
        lp.num_row_, lp.num_col_ = matrix.shape
        lp.col_cost_, (lp.col_lower_, lp.col_upper_), (lp.row_lower_, lp.row_upper_) = cost, columns, rows
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
        self.highs.passModel(lp)
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

    def start_at(self, columns: BoolArray, rows: BoolArray) -> None:
        """Begin with these columns and rows basic, others at their lower bound or, without one, at 0."""
        import highspy

        state = highspy.HighsBasisStatus
        low = self.highs.getLp().col_lower_
        basis = highspy.HighsBasis()
        basis.col_status = [
            state.kBasic if basic else state.kLower if np.isfinite(bound) else state.kZero
            for basic, bound in zip(columns, low, strict=True)
        ]
        basis.row_status = [state.kBasic if basic else state.kLower for basic in rows]
        basis.valid = True
        self.highs.setBasis(basis)

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


class HighsFlow:
    """A flow program in HiGHS.

    A single solve of the curl form uses the sign that |c_e| >= L settles (one column for such an edge, two for the
    others); with `keep` all 2 m columns stay, so that only bounds move with L and the basis carries over. Without
    faces the node form D g = h+ - h- is solved.

    Parameters
    ----------
    program : FlowProgram
    options : dict, optional
        HiGHS options by name, over ours.
    keep : bool
        Prepare for many L.
    """

    name = "highs"

    def __init__(self, program: FlowProgram, options: JSON | None = None, keep: bool = False) -> None:
        self.program, self.options, self.keep = program, dict(options or {}), keep
        if self.options:
            _Model(self.options)  # an option that HiGHS refuses shows here
        # a vertex is exact up to rounding; what other methods give is not a vertex
        self._precision = 1e-11 if self.options.get("solver", "simplex") == "simplex" else 1e-7
        self._kept: _Model | None = None

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        """Solve at `unit_L` (see `Engine`)."""
        if cold:
            self._kept = None
        method = {**(_CAREFUL if cold else _SIMPLEX), **self.options}
        if self.program.curl is None:
            return self._node_form(unit_L, time_limit, method)
        if self.keep:
            return self._all_columns(unit_L, time_limit, method)
        return self._settled_signs(unit_L, time_limit, method)

    def _all_columns(self, unit_L: float, time_limit: float | None, method: JSON) -> Raw:
        m, w = self.program.n_edges, self.program.unit_weights
        plus_low, plus_high, minus_low, minus_high = split_bounds(self.program.unit_centre, unit_L)
        low, high = np.concatenate([plus_low, minus_low]), np.concatenate([plus_high, minus_high])
        if self._kept is None:
            curl = _curl_of(self.program)
            self._kept = _Model(method)
            balance = np.zeros(curl.shape[0])
            both = _beside(curl, curl, -1.0)
            self._kept.load(np.concatenate([w, w]), both, (low, high), (balance, balance))
        else:
            self._kept.highs.changeColsBounds(2 * m, np.arange(2 * m, dtype=np.int32), low, high)
        return self._answer(self._kept, time_limit, lambda x: x[:m] - x[m:])

    def _settled_signs(self, unit_L: float, time_limit: float | None, method: JSON) -> Raw:
        c, w, curl = self.program.unit_centre, self.program.unit_weights, _curl_of(self.program)
        m, size = c.size, np.abs(c)
        open_sign = np.flatnonzero(size < unit_L)
        sign = np.where(c < 0, -1.0, 1.0)
        sign[open_sign] = 1.0
        low = np.where(size < unit_L, 0.0, size - unit_L)
        high = np.where(size < unit_L, c, size) + unit_L
        first = curl.copy()
        first.data *= np.repeat(sign, np.diff(curl.indptr))
        second = curl[:, open_sign]
        model = _Model(method)
        balance = np.zeros(curl.shape[0])
        columns = np.concatenate([low, np.zeros(open_sign.size)]), np.concatenate([high, unit_L - c[open_sign]])
        model.load(np.concatenate([w, w[open_sign]]), _beside(first, second, -1.0), columns, (balance, balance))

        def edges(x: FloatArray) -> FloatArray:
            h = sign * x[:m]
            h[open_sign] -= x[m:]
            return h

        return self._answer(model, time_limit, edges)

    def _node_form(self, unit_L: float, time_limit: float | None, method: JSON) -> Raw:
        program = self.program
        m, p, w = program.n_edges, program.n_nodes, program.unit_weights
        plus_low, plus_high, minus_low, minus_high = split_bounds(program.unit_centre, unit_L)
        low = np.concatenate([np.full(p, -INFINITY), plus_low, minus_low])
        high = np.concatenate([np.full(p, INFINITY), plus_high, minus_high])
        if self._kept is None:
            eye = scipy.sparse.eye_array(m, format="csc")
            matrix = scipy.sparse.hstack([program.incidence, -eye, eye], format="csc")
            self._kept = _Model(method)
            self._kept.load(np.concatenate([np.zeros(p), w, w]), matrix, (low, high), (np.zeros(m), np.zeros(m)))
        else:
            self._kept.highs.changeColsBounds(low.size, np.arange(low.size, dtype=np.int32), low, high)
        return self._answer(self._kept, time_limit, lambda x: x[p : p + m] - x[p + m :])

    def _answer(self, model: _Model, time_limit: float | None, edges: Callable[[FloatArray], FloatArray]) -> Raw:
        outcome, message, iterations = model.run(time_limit)
        x, dual = model.solution()
        if x.size == 0 or outcome == "infeasible":
            return no_answer(outcome, message)
        curl = self.program.curl
        flow = -dual if curl is None else times(curl.T, dual)
        return Raw(edges(x), flow, np.empty(0), outcome, message, iterations, self._precision)


class HighsGeneral:
    """A general program in HiGHS: rows D g = h+ - h-, the extra equations, and the constraint as row bounds.

    With more than 200 unknowns a dense program, and a single solve of a lifted one, go to the interior-point method
    without crossover (half a second and less for a lifted one of 784 unknowns, seconds for a dense one, where the
    simplex takes twice and six times as long); everything else goes to the dual simplex, which keeps its basis. The
    simplex of a wide program tells where its vertex is the only optimum: no reduced cost is 0, but for the constants of
    u, which nothing else sees.
    """

    name = "highs"

    def __init__(self, program: GeneralProgram, options: JSON | None = None, keep: bool = False) -> None:
        self.program, self.options = program, dict(options or {})
        large = program.n_nodes > _INTERIOR_UNKNOWNS
        self._interior = large and (program.kind == "dense" or (program.kind == "lifted" and not keep))
        if self.options:
            _Model(self.options)  # an option that HiGHS refuses shows here
        self._kept: _Model | None = None
        self._wide = program.kind == "wide"
        self._hidden = program.hidden if self._wide else 0

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        """Solve at `unit_L` (see `Engine`)."""
        program, form = self.program, self.program.form
        m, p, extras = program.n_edges, program.n_nodes, form.equality.shape[0]
        row_low = np.concatenate([np.zeros(m), form.right, form.centre - unit_L])
        row_high = np.concatenate([np.zeros(m), form.right, form.centre + unit_L])
        if self._kept is None or cold:
            # a second, cold attempt of the interior-point method adds the crossover, which ends in an exact vertex
            interior = {**_INTERIOR, "run_crossover": "on" if cold else "off"}
            simplex = (_UNSCALED_CAREFUL if cold else _UNSCALED) if self._wide else _CAREFUL if cold else _SIMPLEX
            self._kept = _Model({**(interior if self._interior else simplex), **self.options})
            self._load(self._kept, row_low, row_high)
            if self._wide and not self._interior:
                self._kept.start_at(*_flat_basis(program))
        else:
            rows = np.arange(m + extras, row_low.size, dtype=np.int32)
            self._kept.highs.changeRowsBounds(rows.size, rows, row_low[rows], row_high[rows])
        outcome, message, iterations = self._kept.run(time_limit)
        x, dual = self._kept.solution()
        if x.size == 0 or outcome == "infeasible":
            return no_answer(outcome, message)
        if self._wide and outcome == "solved" and not (self._interior or self.options):
            x, dual = self._kept.refined(x, dual, (row_low, row_high))
        unique = self._wide and not self.options and self._kept.free_directions() <= self._hidden
        return Raw(x[:p], -dual[:m], dual[m + extras :], outcome, message, iterations, 1e-9, unique)

    def _load(self, model: _Model, row_low: FloatArray, row_high: FloatArray) -> None:
        program, form = self.program, self.program.form
        m, n = program.n_edges, form.box.shape[1]
        difference = scipy.sparse.hstack([program.difference, scipy.sparse.csr_array((m, n - program.n_nodes))])
        eye = scipy.sparse.eye_array(m)
        rows: Any = [[difference, -eye, eye], [form.equality, None, None], [as_rows(form.box), None, None]]
        matrix: Any = scipy.sparse.block_array(rows, format="csc")
        cost = np.concatenate([np.zeros(n), program.unit_weights, program.unit_weights])
        low = np.concatenate([np.full(n, -INFINITY), np.zeros(2 * m)])
        model.load(cost, matrix, (low, np.full(low.size, INFINITY)), (row_low, row_high))


def _flat_basis(program: GeneralProgram) -> tuple[BoolArray, BoolArray]:
    """Basic columns and rows of a lifted program at L_max: g flat, u from the equations, all multipliers 0.

    It is dual feasible at every L, and primal feasible but for the edges where |D u| is beyond L. A forest of edges
    holds g flat; where no edge ties a tree to a boundary, its root stays at 0, in g and in u.
    """
    m, p = program.n_edges, program.n_nodes
    forest, roots = spanning_forest(program.difference)
    extras = program.form.box.shape[1] - p
    columns = np.concatenate([np.ones(p + extras, dtype=bool), np.zeros(2 * m, dtype=bool)])
    columns[roots] = columns[p + roots] = False
    rows = np.concatenate([~forest, np.zeros(program.form.equality.shape[0], dtype=bool), np.ones(m, dtype=bool)])
    return columns, rows


def _curl_of(program: FlowProgram) -> Columns:
    if program.curl is None:
        raise AssertionError("the curl form was asked for without faces")
    return program.curl


def _beside(left: Columns, right: Columns, sign: float) -> Columns:
    """[left, sign * right] without the detour over coordinate format."""
    data = np.concatenate([left.data, sign * right.data])
    starts = np.concatenate([left.indptr, right.indptr[1:] + left.indptr[-1]])
    shape = (left.shape[0], left.shape[1] + right.shape[1])
    return scipy.sparse.csc_array((data, np.concatenate([left.indices, right.indices]), starts), shape=shape)
