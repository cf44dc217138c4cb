"""HiGHS called directly: dual simplex on the curl form, presolve off, one thread, the basis kept along L."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy

from legstat._core.typing import JSON, BoolArray, FloatArray
from legstat.solvers.engines.engine import INFINITY, Raw, no_answer, split_bounds
from legstat.solvers.engines.highs_model import SIMPLEX, Model
from legstat.solvers.programs.flow import FlowProgram
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.programs.graph import Columns, as_rows, spanning_forest, times

# the second attempt: HiGHS' own choice of presolve, and a hundred times its tolerances
_CAREFUL = {"solver": "simplex", "simplex_strategy": 1,
            "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}  # fmt: skip
# a lifted program with covariances: HiGHS' scaling of it makes the simplex four times slower and less exact
_UNSCALED = {**SIMPLEX, "simplex_scale_strategy": 0}
_UNSCALED_CAREFUL = {**_CAREFUL, "presolve": "off", "simplex_scale_strategy": 0}
# the interior point without crossover: its own default tolerance 1e-8 is our limit for the gap, so ask for more
_INTERIOR = {"solver": "ipx", "run_crossover": "off", "ipm_optimality_tolerance": 1e-11}
_INTERIOR_UNKNOWNS = 200  # with more of them the interior point is faster than the simplex


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
            Model(self.options)  # an option that HiGHS refuses shows here
        # a vertex is exact up to rounding; what other methods give is not a vertex
        self._precision = 1e-11 if self.options.get("solver", "simplex") == "simplex" else 1e-7
        self._kept: Model | None = None

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        """Solve at `unit_L` (see `Engine`)."""
        if cold:
            self._kept = None
        method = {**(_CAREFUL if cold else SIMPLEX), **self.options}
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
            self._kept = Model(method)
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
        model = Model(method)
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
            self._kept = Model(method)
            self._kept.load(np.concatenate([np.zeros(p), w, w]), matrix, (low, high), (np.zeros(m), np.zeros(m)))
        else:
            self._kept.highs.changeColsBounds(low.size, np.arange(low.size, dtype=np.int32), low, high)
        return self._answer(self._kept, time_limit, lambda x: x[p : p + m] - x[p + m :])

    def _answer(self, model: Model, time_limit: float | None, edges: Callable[[FloatArray], FloatArray]) -> Raw:
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
            Model(self.options)  # an option that HiGHS refuses shows here
        self._kept: Model | None = None
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
            simplex = (_UNSCALED_CAREFUL if cold else _UNSCALED) if self._wide else _CAREFUL if cold else SIMPLEX
            self._kept = Model({**(interior if self._interior else simplex), **self.options})
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

    def _load(self, model: Model, row_low: FloatArray, row_high: FloatArray) -> None:
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
