"""`solve` and `solve_path`: an engine's answer, verified, or an error that carries the best answer there is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np

from legstat._typing import FloatArray
from legstat.errors import SolverError, invalid
from legstat.solvers.certificate import Certificate, balanced, flow_certificate, general_certificate
from legstat.solvers.cvxpy_engine import CvxpyFlow, CvxpyGeneral
from legstat.solvers.engine import Engine, Raw
from legstat.solvers.general_program import GeneralProgram
from legstat.solvers.graph import read_only
from legstat.solvers.linear_program import FlowProgram

Program = FlowProgram | GeneralProgram
ENGINES = ("auto", "cvxpy")
SELECTIONS = ("closest", "vertex", "interior")


class Status(Enum):
    """How a solve ended; the value is the message for people."""

    CERTIFIED = "optimal: our own certificate passes"
    UNCERTIFIED = "the engine's answer fails our certificate"
    TIME_LIMIT = "stopped at the time limit"
    INTERRUPTED = "interrupted"
    INFEASIBLE = "no g satisfies the constraint at this L"
    FAILED = "the engine gave no answer"

    @property
    def ok(self) -> bool:
        """True only for a certified optimum."""
        return self is Status.CERTIFIED


@dataclass(frozen=True, eq=False)
class Solution:
    """A solution of a program at one L, with its certificate.

    Attributes
    ----------
    program : FlowProgram or GeneralProgram
    g : ndarray of float, shape (p,)
        Mean 0 in every component whose mean the program leaves open (see `mean_determined`).
    L : float
    objective : float
        sum_e w_e |(D g)_e|.
    certificate : Certificate
    status : Status
    engine, selection : str
        What produced it; "closed form" where no engine was needed.
    flow : ndarray of float, shape (m,)
        The dual solution: a circulation on the edges, in units of the weights.
    stats : dict
        Seconds, iterations, the engine's message, the attempts made.
    """

    program: Program
    g: FloatArray
    L: float
    objective: float
    certificate: Certificate
    status: Status
    engine: str
    selection: str
    flow: FloatArray
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True only where our own certificate passes (relative gap <= 1e-8)."""
        return self.status.ok

    @cached_property
    def differences(self) -> FloatArray:
        """h = D g, shape (m,)."""
        return read_only(differences_of(self.program, self.g))

    @property
    def mean_determined(self) -> bool:
        """False where the program leaves the mean of g open (it is then 0)."""
        return self.program.mean_determined


def solve(
    program: Program,
    L: float,
    *,
    engine: str = "auto",
    selection: str = "closest",
    time_limit: float | None = None,
    options: dict[str, Any] | None = None,
    on_failure: str = "raise",
) -> Solution:
    """Solve the program at one L and verify the answer.

    Parameters
    ----------
    program : FlowProgram or GeneralProgram
    L : float
        Radius of the constraint, >= 0.
    engine : {"auto", "cvxpy"}
    selection : {"closest", "vertex", "interior"}
    time_limit : float, optional
        Seconds for the engine.
    options : dict, optional
        Passed to the engine.
    on_failure : {"raise", "return"}
        Without a certified solution: raise `SolverError` (it carries the best one), or return it with its status.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        Where an argument is outside its range.
    SolverError
        Where no attempt passes the certificate and ``on_failure="raise"``.

    Examples
    --------
    >>> import numpy as np
    >>> from legstat.solvers import FlowProgram, solve
    >>> solution = solve(FlowProgram.from_potential((1, 3), np.array([0.0, 0.0, 3.0])), L=1.0, engine="cvxpy")
    >>> solution.ok, solution.objective
    (True, 2.0)
    """
    check_arguments("solve", engine, selection, on_failure, time_limit)
    return _Solver(program, engine, selection, options).at(check_L("solve", L), time_limit, on_failure)


def solve_path(
    program: Program,
    Ls: Iterable[float],
    *,
    engine: str = "auto",
    selection: str = "closest",
    time_limit: float | None = None,
    options: dict[str, Any] | None = None,
    on_failure: str = "raise",
    progress: Callable[[int, int], None] | None = None,
) -> list[Solution]:
    """Solve at every L of a descending sequence, each solve starting from the one before.

    Parameters
    ----------
    program, engine, selection, options, on_failure
        As for `solve`.
    Ls : iterable of float
        Values of L; they are solved in descending order and returned in it.
    time_limit : float, optional
        Seconds per L.
    progress : callable, optional
        Called as ``progress(done, total)`` after each L.

    Returns
    -------
    list of Solution, L descending
    """
    check_arguments("solve_path", engine, selection, on_failure, time_limit)
    radii = sorted((check_L("solve_path", L, "Ls") for L in Ls), reverse=True)
    solver = _Solver(program, engine, selection, options)
    solutions = []
    for done, L in enumerate(radii, start=1):
        solutions.append(solver.at(L, time_limit, on_failure))
        if progress is not None:
            progress(done, len(radii))
    return solutions


def check_arguments(where: str, engine: str, selection: str, on_failure: str, time_limit: float | None) -> None:
    """Refuse unknown names and an impossible time limit before anything is solved."""
    for name, value, known in (("engine", engine, ENGINES), ("selection", selection, SELECTIONS),
                               ("on_failure", on_failure, ("raise", "return"))):  # fmt: skip
        if value not in known:
            raise ValueError(invalid(where, name, value, f"one of {list(known)}"))
    if time_limit is not None and not time_limit > 0:
        raise ValueError(invalid(where, "time_limit", time_limit, "a positive number of seconds, or None"))


def check_L(where: str, L: float, name: str = "L") -> float:
    """L as a float, or an error."""
    if isinstance(L, bool) or not isinstance(L, int | float | np.number):
        raise TypeError(invalid(where, name, L, "a finite number >= 0"))
    if not (math.isfinite(L) and L >= 0):
        raise ValueError(invalid(where, name, L, "a finite number >= 0"))
    return float(L)


class _Solver:
    """One program with its engines, kept alive from one L to the next."""

    def __init__(self, program: Program, engine: str, selection: str, options: dict[str, Any] | None) -> None:
        self.program, self.selection, self.options = program, selection, options
        self.order: Sequence[str] = ("cvxpy",) if engine == "auto" else (engine,)
        self._engines: dict[str, Engine] = {}

    def at(self, L: float, time_limit: float | None, on_failure: str) -> Solution:
        started = time.perf_counter()
        closed = self._closed_form(L)
        if closed is not None:
            return closed
        best: Solution | None = None
        attempts: list[str] = []
        for name in self.order:
            for cold in (False, True):
                engine = self._engine(name)
                raw = engine.run(L / self.program.scale, time_limit=time_limit, interior=self.selection == "interior",
                                 cold=cold)  # fmt: skip
                attempts.append(f"{name}{' (cold)' if cold else ''}: {raw.outcome}, {raw.message}")
                stats = {"seconds": time.perf_counter() - started, "iterations": raw.iterations, "attempts": attempts}
                found = self._verified(raw, L, name, stats)
                if found.ok:
                    return found
                if best is None or found.certificate.gap < best.certificate.gap:
                    best = found
        assert best is not None
        if on_failure == "return":
            return best
        raise SolverError(f"No certified solution at L = {L:.6g}: {best.status.value}. Tried " + "; ".join(attempts), best)

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            program = self.program
            flow = isinstance(program, FlowProgram)
            self._engines[name] = CvxpyFlow(program, self.options) if flow else CvxpyGeneral(program, self.options)
        return self._engines[name]

    def _closed_form(self, L: float) -> Solution | None:
        program = self.program
        if L >= program.L_max:
            g = np.zeros(program.n_nodes) if isinstance(program, FlowProgram) else program.at_zero[1]
        elif L == 0 and isinstance(program, FlowProgram):
            g = program.potential
        else:
            return None
        stats: dict[str, Any] = {"seconds": 0.0, "iterations": 0, "attempts": []}
        return self._without_answer(g, L, "closed form", stats, None)

    def _verified(self, raw: Raw, L: float, name: str, stats: dict[str, Any]) -> Solution:
        program = self.program
        failure = {"solved": None, "time_limit": Status.TIME_LIMIT, "interrupted": Status.INTERRUPTED,
                   "infeasible": Status.INFEASIBLE}.get(raw.outcome, Status.FAILED)  # fmt: skip
        vectors = (raw.primal, raw.flow, raw.multipliers)
        if (raw.primal.size == 0 and program.n_nodes) or not all(np.isfinite(v).all() for v in vectors):
            # the data themselves are feasible for a flow: something to look at, never certified
            g = program.potential if isinstance(program, FlowProgram) else program.at_zero[1]
            return self._without_answer(g, L, name, stats, failure or Status.FAILED)
        if isinstance(program, FlowProgram):
            flow = balanced(program, raw.flow)
            unit_g = program.integrate(raw.primal)
            certificate = flow_certificate(program, unit_g, flow, L / program.scale)
            return self._solution(unit_g * program.scale, flow, certificate, L, name, stats, failure)
        g = program.without_free_constants(raw.primal) * program.g_scale
        y = raw.multipliers * (program.weight_scale * program.g_scale / program.scale)
        certificate = general_certificate(program, g, raw.flow * program.weight_scale, y, L)
        return self._solution(g, raw.flow, certificate, L, name, stats, failure)

    def _without_answer(self, g: FloatArray, L: float, engine: str, stats: dict[str, Any], failure: Status | None) -> Solution:
        program = self.program
        flow = np.zeros(program.n_edges)
        if isinstance(program, FlowProgram):
            certificate = flow_certificate(program, g / program.scale, flow, L / program.scale)
        else:
            certificate = general_certificate(program, g, flow, np.zeros(program.target.size), L)
        return self._solution(g, flow, certificate, L, engine, stats, failure)

    def _solution(self, g: FloatArray, flow: FloatArray, certificate: Certificate, L: float, engine: str,
                  stats: dict[str, Any], failure: Status | None) -> Solution:  # fmt: skip
        program = self.program
        status = Status.CERTIFIED if certificate.passed else failure or Status.UNCERTIFIED
        weights = program.unit_weights * program.weight_scale
        objective = float((weights * np.abs(differences_of(program, g))).sum())
        return Solution(program, read_only(g), L, objective, certificate, status, engine, self.selection,
                        read_only(flow * program.weight_scale), stats)  # fmt: skip


def differences_of(program: Program, g: FloatArray) -> FloatArray:
    """D g."""
    return np.asarray((program.incidence if isinstance(program, FlowProgram) else program.difference) @ g)
