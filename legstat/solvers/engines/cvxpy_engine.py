r"""The readable reference: the program as it is written down, handed to any solver that cvxpy knows.

The flow program in its curl form: variables :math:`h^+, h^- \ge 0` on the edges, their bounds cvxpy parameters (so a
path compiles once: disciplined parametrised programming), and one row per face,

.. math:: \min w^T (h^+ + h^-) \quad\text{s.t.}\quad C (h^+ - h^-) = 0, \;
          c - L \le h^+ - h^- \le c + L .
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from legstat._core.errors import invalid
from legstat._core.typing import JSON, FloatArray
from legstat.solvers.engines.engine import Raw, no_answer, split_bounds
from legstat.solvers.programs.flow import FlowProgram
from legstat.solvers.programs.general import GeneralProgram

_TIME_LIMIT_KEYWORD = {"CLARABEL": "time_limit", "SCS": "time_limit_secs", "OSQP": "time_limit", "HIGHS": "time_limit"}


def _cvxpy() -> Any:
    """The module, imported late and read as Any: its annotations cover a part of its names only."""
    import cvxpy

    return cvxpy


class CvxpyFlow:
    """A flow program compiled by cvxpy once, solved for many L.

    Parameters
    ----------
    program : FlowProgram
    options : dict, optional
        ``{"solver": "HIGHS"}`` (default) or any installed cvxpy solver by name; everything else is passed to it. For
        HiGHS the options go to HiGHS itself (`solver` then is spelled ``"highs_solver"``: "simplex", "ipx", ...).
    """

    name = "cvxpy"

    def __init__(self, program: FlowProgram, options: JSON | None = None) -> None:
        cp = _cvxpy()
        self.program = program
        self.solver, self.options = solver_of(options)
        m = program.n_edges
        self._bounds = [cp.Parameter(m) for _ in range(4)]
        plus = cp.Variable(m, bounds=[self._bounds[0], self._bounds[1]])
        minus = cp.Variable(m, bounds=[self._bounds[2], self._bounds[3]])
        w = program.unit_weights
        self._plus, self._minus = plus, minus
        curl = program.curl
        if curl is None:
            g = cp.Variable(program.n_nodes)
            self._constraints = [program.incidence @ g == plus - minus]
        else:
            self._constraints = [curl.tocsc() @ (plus - minus) == 0] if curl.shape[0] else []
        self.problem = cp.Problem(cp.Minimize(w @ plus + w @ minus), self._constraints)

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        """Solve at `unit_L` (see `Engine`); every solve is cold, cvxpy's warm start slows HiGHS down."""
        for parameter, value in zip(self._bounds, split_bounds(self.program.unit_centre, unit_L), strict=True):
            parameter.value = value
        failure = solve_problem(self.problem, self.solver, self.options, time_limit, cold)
        if failure is not None:
            return failure
        h = _value(self._plus.value) - _value(self._minus.value)
        return Raw(h, self._flow(), np.empty(0), "solved", str(self.problem.status), iterations(self.problem),
                   precision(self.solver, self.options))  # fmt: skip

    def _flow(self) -> FloatArray:
        if not self._constraints:
            return np.zeros(self.program.n_edges)
        dual = _value(self._constraints[0].dual_value)
        curl = self.program.curl
        return dual if curl is None else np.asarray(-(curl.T @ dual))


class CvxpyGeneral:
    """A general program compiled by cvxpy once, solved for many L; `options` as for `CvxpyFlow`."""

    name = "cvxpy"

    def __init__(self, program: GeneralProgram, options: JSON | None = None) -> None:
        cp = _cvxpy()
        self.program = program
        self.solver, self.options = solver_of(options)
        m = program.n_edges
        self._L = cp.Parameter(nonneg=True)
        self._v = cp.Variable(program.form.box.shape[1])
        plus, minus = cp.Variable(m, nonneg=True), cp.Variable(m, nonneg=True)
        with np.errstate(invalid="ignore"):  # cvxpy propagates infinite bounds through the matrices: 0 * inf
            self._build(plus, minus)

    def _build(self, plus: Any, minus: Any) -> None:
        cp = _cvxpy()
        program, form, p = self.program, self.program.form, self.program.n_nodes
        self._edges = program.difference.tocsc() @ self._v[:p] == plus - minus
        residual = form.centre - form.box @ self._v
        self._above, self._below = residual <= self._L, -residual <= self._L
        constraints = [self._edges, self._above, self._below]
        if form.right.size:
            constraints.append(form.equality.tocsc() @ self._v == form.right)
        w = program.unit_weights
        self.problem = cp.Problem(cp.Minimize(w @ plus + w @ minus), constraints)

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        """Solve at `unit_L` (see `Engine`)."""
        self._L.value = unit_L
        failure = solve_problem(self.problem, self.solver, self.options, time_limit, cold)
        if failure is not None:
            return failure
        g = _value(self._v.value)[: self.program.n_nodes]
        multipliers = _value(self._above.dual_value) - _value(self._below.dual_value)
        flow = _value(self._edges.dual_value)
        return Raw(g, flow, multipliers, "solved", str(self.problem.status), iterations(self.problem),
                   precision(self.solver, self.options))  # fmt: skip


def solver_of(options: JSON | None) -> tuple[str, JSON]:
    """Name of the cvxpy solver and the options meant for it.

    Raises
    ------
    ValueError
        Where cvxpy does not have that solver installed.
    """
    cp = _cvxpy()
    rest = dict(options or {})
    solver = str(rest.pop("solver", "HIGHS")).upper()
    installed = cp.installed_solvers()
    if solver not in installed:
        raise ValueError(invalid("solve", "options['solver']", solver, f"one of {sorted(installed)}",
                                 "Install the solver you name, or leave it out for HiGHS."))  # fmt: skip
    return solver, rest


def solve_problem(problem: Any, solver: str, options: JSON, time_limit: float | None, cold: bool) -> Raw | None:
    """Solve a cvxpy problem; None where it has values now, otherwise the reason there are none."""
    cp = _cvxpy()
    keywords = _keywords(solver, options, time_limit, cold)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "may be inaccurate": our certificate decides that
            problem.solve(solver=solver, warm_start=False, **keywords)
    except cp.SolverError as error:
        return no_answer("failed", str(error))
    if problem.status in ("infeasible", "infeasible_inaccurate"):
        return no_answer("infeasible", str(problem.status))
    if problem.variables()[0].value is None:
        timed_out = time_limit is not None and "limit" in str(problem.status)
        return no_answer("time_limit" if timed_out else "failed", str(problem.status))
    return None


def _keywords(solver: str, options: JSON, time_limit: float | None, cold: bool) -> JSON:
    if time_limit is not None and solver not in _TIME_LIMIT_KEYWORD:
        raise ValueError(invalid("solve", "time_limit", time_limit, f"None with cvxpy's {solver}",
                                 "legstat knows no name for its time limit; set the solver's own option."))  # fmt: skip
    limit = {} if time_limit is None else {_TIME_LIMIT_KEYWORD[solver]: float(time_limit)}
    if solver != "HIGHS":
        return {**limit, **options}
    careful = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9} if cold else {}
    own = {"threads": 1, **careful, **limit, **options}
    if "highs_solver" in own:
        own["solver"] = own.pop("highs_solver")
    return {"highs_options": own}


def iterations(problem: Any) -> int:
    """Iterations the solver reports, 0 where it reports none."""
    count = getattr(problem.solver_stats, "num_iters", None)
    return int(count) if isinstance(count, int | float) else 0


def precision(solver: str, options: JSON) -> float:
    """To which a solver's vectors can be trusted: HiGHS' simplex ends on a vertex, the others near one."""
    vertex = solver == "HIGHS" and options.get("highs_solver", "simplex") in ("simplex", "choose")
    return 1e-10 if vertex else 1e-7


def _value(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64).reshape(-1)
