"""One program with its engines: attempts in order, each verified, then the selection on the optimal face."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

import numpy as np

from legstat._typing import JSON, FloatArray
from legstat.errors import BackendUnavailableError, SolverError, invalid
from legstat.solvers.certificate import Certificate, balanced, flow_certificate, general_certificate
from legstat.solvers.cvxpy_engine import CvxpyFlow, CvxpyGeneral
from legstat.solvers.engine import Engine, Raw, no_answer
from legstat.solvers.face import flattened, regions_of_face
from legstat.solvers.general_program import GeneralProgram
from legstat.solvers.general_selection import closest_general
from legstat.solvers.graph import read_only
from legstat.solvers.highs import HighsFlow, HighsGeneral
from legstat.solvers.linear_program import FlowProgram
from legstat.solvers.network import NetworkFlow
from legstat.solvers.selection import analytic_centre, closest
from legstat.solvers.solution import Program, Solution, Status, objective_of

ENGINES = ("auto", "network", "highs", "cvxpy")

_OUTCOMES = {"time_limit": Status.TIME_LIMIT, "infeasible": Status.INFEASIBLE, "failed": Status.FAILED}
_FINISHED_FLAT = 1e-10  # an edge that the selection brings this near to 0, with max|c| about 1, is flat

EngineFactory = Callable[[Program, JSON | None, bool], Engine]


def _network(program: Program, options: JSON | None, keep: bool) -> Engine:
    if isinstance(program, GeneralProgram):
        remedy = "Only flow programs (the structured design with free boundary) are network flows."
        raise ValueError(invalid("solve", "engine", "network", "'highs', 'cvxpy' or 'auto' here", remedy))
    if options:
        raise ValueError(invalid("solve", "options", options, "None with engine='network'", "It has no options."))
    return NetworkFlow(program)


def _highs(program: Program, options: JSON | None, keep: bool) -> Engine:
    return HighsFlow(program, options, keep) if isinstance(program, FlowProgram) else HighsGeneral(program, options)


def _cvxpy(program: Program, options: JSON | None, keep: bool) -> Engine:
    return CvxpyFlow(program, options) if isinstance(program, FlowProgram) else CvxpyGeneral(program, options)


REGISTRY: dict[str, EngineFactory] = {"network": _network, "highs": _highs, "cvxpy": _cvxpy}
"""Engines by name; a test replaces one to see that a wrong answer is caught."""


class Session:
    """Solves one program for any number of L; engines live as long as the session.

    Parameters
    ----------
    program : FlowProgram or GeneralProgram
    engine, selection : str
    options : dict, optional
    keep : bool
        True where many L follow, so that engines prepare for it.
    """

    def __init__(self, program: Program, engine: str, selection: str, options: JSON | None, keep: bool) -> None:
        self.program, self.selection, self.options, self.keep = program, selection, options, keep
        self._engines: dict[str, Engine] = {}
        if engine != "auto":
            self.order: list[str] = [engine]
            self._engine(engine)  # a missing package or an engine that does not apply shows before anything is solved
            return
        if options:
            raise ValueError(invalid("solve", "options", options, "None with engine='auto'",
                                     "Options belong to an engine: name it (engine='highs' or 'cvxpy')."))  # fmt: skip
        fast = isinstance(program, FlowProgram) and importlib.util.find_spec("pylmcf") is not None
        self.order = ["network", "highs"] if fast else ["highs"]

    def solve(self, L: float, time_limit: float | None, on_failure: str) -> Solution:
        """The certified solution at L, or the best there is (see `legstat.solvers.solve`)."""
        started = time.perf_counter()
        closed = self._closed_form(L)
        if closed is not None:
            return closed
        best: Solution | None = None
        attempts: list[str] = []
        for name in self.order:
            for cold in (False, True):
                left = None if time_limit is None else time_limit - (time.perf_counter() - started)
                if left is not None and left <= 0:
                    continue
                raw = self._attempt(name, L, left, cold)
                attempts.append(f"{name}{', cold' if cold else ''}: {raw.outcome}, {raw.message}")
                stats: JSON = {"seconds": 0.0, "iterations": raw.iterations, "attempts": list(attempts)}
                found = self._verified(raw, L, name, stats)
                stats["seconds"] = time.perf_counter() - started
                if found.ok:
                    return found
                if best is None or found.certificate.gap < best.certificate.gap:
                    best = found
                if found.status is Status.INFEASIBLE:
                    break
        if best is None:
            raise SolverError(f"No engine could start within the time limit of {time_limit} s.")
        if on_failure == "return":
            return best
        raise SolverError(f"No certified solution at L = {L:.6g} (relative gap {best.certificate.gap:.2g}): "
                          f"{best.status.value}. Tried: {'; '.join(attempts)}. Raise the time limit, take another "
                          "engine, or pass on_failure='return' to look at the solution in `.solution`.", best)  # fmt: skip

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            self._engines[name] = REGISTRY[name](self.program, self.options, self.keep)
        return self._engines[name]

    def _attempt(self, name: str, L: float, time_limit: float | None, cold: bool) -> Raw:
        try:
            return self._engine(name).run(L / self.program.scale, time_limit=time_limit, cold=cold)
        except BackendUnavailableError as error:  # found by "auto", yet not importable
            return no_answer("failed", str(error))
        except Exception as error:  # whatever an engine dies of, the next attempt may do better
            self._engines.pop(name, None)
            return no_answer("failed", f"{type(error).__name__}: {error}")

    def _closed_form(self, L: float) -> Solution | None:
        program = self.program
        if program.L_max <= L:
            if isinstance(program, FlowProgram):
                g = np.zeros(program.n_nodes)
            else:
                g = program.constant_at(L) if self.selection == "closest" else program.at_zero[1]
        elif L == 0 and isinstance(program, FlowProgram):
            g = program.potential
        else:
            return None
        return self._without_dual(g, L, "closed form", {"seconds": 0.0, "iterations": 0, "attempts": []}, None)

    def _verified(self, raw: Raw, L: float, name: str, stats: JSON) -> Solution:
        program = self.program
        failure = _OUTCOMES.get(raw.outcome)
        vectors = (raw.primal, raw.flow, raw.multipliers)
        if raw.primal.size == 0 or not all(np.isfinite(v).all() for v in vectors):
            # for a flow the data themselves are feasible: something to look at, never certified
            g = program.potential if isinstance(program, FlowProgram) else program.at_zero[1]
            return self._without_dual(g, L, name, stats, failure or Status.FAILED)
        if isinstance(program, FlowProgram):
            return self._verified_flow(program, raw, L, name, stats, failure)
        return self._verified_general(program, raw, L, name, stats, failure)

    def _verified_flow(self, program: FlowProgram, raw: Raw, L: float, name: str, stats: JSON,
                       failure: Status | None) -> Solution:  # fmt: skip
        flow, unit_L = balanced(program, raw.flow), L / program.scale
        g = flattened(program, program.integrate(raw.primal), raw.primal, max(1e-12, 1e-2 * raw.precision))
        certificate = flow_certificate(program, g, flow, unit_L)
        error = 0.0
        if self.selection != "vertex" and certificate.passed:
            regions = regions_of_face(program, g, flow, unit_L, raw.precision)
            chosen = closest(regions) if self.selection == "closest" else analytic_centre(regions)
            moved = g + chosen.x[regions.label]
            g = flattened(program, moved, program.differences(moved), max(_FINISHED_FLAT, raw.precision))
            g = program.centred(g)
            certificate, error = flow_certificate(program, g, flow, unit_L), chosen.error * program.scale
            stats["selection_steps"] = chosen.steps
        return self._solution(g * program.scale, flow, certificate, L, name, stats, failure, error, raw.precision)

    def _verified_general(self, program: GeneralProgram, raw: Raw, L: float, name: str, stats: JSON,
                          failure: Status | None) -> Solution:  # fmt: skip
        y = raw.multipliers * (program.weight_scale * program.g_scale / program.scale)
        flow = raw.flow * program.weight_scale
        g = program.without_free_constants(raw.primal) * program.g_scale
        certificate = general_certificate(program, g, flow, y, L)
        if self.selection != "vertex" and certificate.passed:
            g = closest_general(program, g, flow, y, L, centre=self.selection == "interior")
            certificate = general_certificate(program, g, flow, y, L)
        return self._solution(g, raw.flow, certificate, L, name, stats, failure, 0.0, raw.precision)

    def _without_dual(self, g: FloatArray, L: float, engine: str, stats: JSON,
                      failure: Status | None) -> Solution:  # fmt: skip
        program, flow = self.program, np.zeros(self.program.n_edges)
        if isinstance(program, FlowProgram):
            certificate = flow_certificate(program, g / program.scale, flow, L / program.scale)
        else:
            certificate = general_certificate(program, g, flow, np.zeros(program.target.size), L)
        return self._solution(g, flow, certificate, L, engine, stats, failure, 0.0, 0.0)

    def _solution(self, g: FloatArray, flow: FloatArray, certificate: Certificate, L: float, engine: str, stats: JSON,
                  failure: Status | None, error: float, precision: float) -> Solution:  # fmt: skip
        program = self.program
        status = Status.CERTIFIED if certificate.passed else failure or Status.UNCERTIFIED
        return Solution(program, read_only(g), L, objective_of(program, g), certificate, status, engine,
                        self.selection, read_only(flow * program.weight_scale), error, precision, stats)  # fmt: skip
