"""One program with its engines: attempts in order, each verified, then the selection on the optimal face."""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from legstat._core.errors import BackendUnavailableError, LegstatWarning, SolverError, invalid
from legstat._core.typing import JSON, FloatArray
from legstat._core.values import read_only
from legstat.solvers.engines.cuts import FEWEST_UNKNOWNS, CutsGeneral
from legstat.solvers.engines.cvxpy_engine import CvxpyFlow, CvxpyGeneral
from legstat.solvers.engines.engine import Engine, Raw, no_answer
from legstat.solvers.engines.highs import HighsFlow, HighsGeneral
from legstat.solvers.engines.network import NetworkFlow
from legstat.solvers.optimum.certificate import (
    Certificate,
    balanced,
    flow_certificate,
    general_certificate,
    slope_of_flow,
)
from legstat.solvers.optimum.face import flattened, regions_of_face
from legstat.solvers.optimum.general_selection import general_face, selected_general
from legstat.solvers.optimum.selection import analytic_centre, closest
from legstat.solvers.programs.flow import FlowProgram
from legstat.solvers.programs.general import GeneralProgram
from legstat.solvers.solution import Program, Solution, Status, objective_of

ENGINES = ("auto", "network", "cuts", "highs", "cvxpy")

_OUTCOMES = {"time_limit": Status.TIME_LIMIT, "infeasible": Status.INFEASIBLE, "failed": Status.FAILED}
_NOTICE_SECONDS = 60.0  # a general program that will take longer says so before it starts
_FINISHED_FLAT = 1e-10  # an edge that the selection brings this near to 0, with max|c| about 1, is flat

EngineFactory = Callable[[Program, JSON | None, bool], Engine]


def _network(program: Program, options: JSON | None, keep: bool) -> Engine:
    if isinstance(program, GeneralProgram):
        remedy = "Only flow programs (the structured design with free boundary) are network flows."
        raise ValueError(invalid("solve", "engine", "network", "'highs', 'cvxpy' or 'auto' here", remedy))
    if options:
        raise ValueError(invalid("solve", "options", options, "None with engine='network'", "It has no options."))
    return NetworkFlow(program)


def _cuts(program: Program, options: JSON | None, keep: bool) -> Engine:
    if not isinstance(program, GeneralProgram) or not CutsGeneral.fits(program):
        valid = "'highs', 'cvxpy' or 'auto' here"
        remedy = f"It takes cells with covariances, more than {FEWEST_UNKNOWNS} of them, on a grid with free boundary."
        raise ValueError(invalid("solve", "engine", "cuts", valid, remedy))
    if options:
        raise ValueError(invalid("solve", "options", options, "None with engine='cuts'", "It has no options."))
    return CutsGeneral(program)


def _highs(program: Program, options: JSON | None, keep: bool) -> Engine:
    if isinstance(program, FlowProgram):
        return HighsFlow(program, options, keep)
    return HighsGeneral(program, options, keep)


def _cvxpy(program: Program, options: JSON | None, keep: bool) -> Engine:
    return CvxpyFlow(program, options) if isinstance(program, FlowProgram) else CvxpyGeneral(program, options)


REGISTRY: dict[str, EngineFactory] = {"network": _network, "cuts": _cuts, "highs": _highs, "cvxpy": _cvxpy}
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
    ahead : sequence of float, optional
        Those L, where they are known.
    """

    def __init__(
        self,
        program: Program,
        engine: str,
        selection: str,
        options: JSON | None,
        keep: bool,
        ahead: Sequence[float] = (),
    ) -> None:
        self.program, self.selection, self.options, self.keep = program, selection, options, keep
        self._ahead = np.array(ahead, dtype=np.float64)
        self._engines: dict[str, Engine] = {}
        if isinstance(program, GeneralProgram) and program.seconds > _NOTICE_SECONDS:
            text = f"A {program.kind.replace('_', ' ')} program with {program.n_nodes} unknowns takes about"
            cost = f"{program.seconds / 60:.0f} minutes and {program.gigabytes:.1f} GB per L"
            remedy = "A coarser grid, or the structured design with free boundary, takes seconds."
            warnings.warn(f"{text} {cost}. {remedy}", LegstatWarning, stacklevel=3)
        if engine != "auto":
            self.order: list[str] = [engine]
            self._engine(engine)  # a missing package or an engine that does not apply shows before anything is solved
            return
        if options:
            raise ValueError(invalid("solve", "options", options, "None with engine='auto'",
                                     "Options belong to an engine: name it (engine='highs' or 'cvxpy')."))  # fmt: skip
        self.order = ["highs"]
        if isinstance(program, GeneralProgram) and CutsGeneral.fits(program):
            self.order = ["cuts", "highs"]
        elif isinstance(program, FlowProgram) and importlib.util.find_spec("pylmcf") is not None:
            self.order = ["network", "highs"]

    def solve(self, L: float, time_limit: float | None, on_failure: str) -> Solution:
        """The certified solution at L, or the best there is (see `legstat.solvers.solve`)."""
        started = time.perf_counter()
        closed = self._closed_form(L)
        if closed is not None:
            return closed
        best: Solution | None = None
        fallen: Solution | None = None
        attempts: list[str] = []
        for name in self.order:
            for cold in (False, True):
                left = None if time_limit is None else time_limit - (time.perf_counter() - started)
                if left is not None and left <= 0:
                    continue
                if left is not None and name == "cuts" and name != self.order[-1]:
                    left = 0.5 * left  # where it finds no end, there is time for the whole program
                raw = self._attempt(name, L, left, cold)
                attempts.append(f"{name}{', cold' if cold else ''}: {raw.outcome}, {raw.message}")
                stats: JSON = {"seconds": 0.0, "iterations": raw.iterations, "attempts": list(attempts)}
                found = self._verified(raw, L, name, stats)
                found.stats["seconds"] = time.perf_counter() - started
                if found.ok:
                    if found.selection == self.selection:
                        return found
                    fallen = fallen or found
                    break  # its start from scratch has the same face: the next engine may tell it better
                if best is None or found.certificate.gap < best.certificate.gap:
                    best = found
                if found.status is Status.INFEASIBLE:
                    break
        if fallen is not None:
            self._warn_fallen(fallen)
            return fallen
        if best is None:
            raise SolverError(f"No engine could start within the time limit of {time_limit} s.")
        if on_failure == "return":
            return best
        text = f"No certified solution at L = {L:.6g} (relative gap {best.certificate.gap:.2g}): {best.status.value}."
        remedy = "Raise the time limit, take another engine, or look at the solution in `.solution`."
        raise SolverError(f"{text} Tried: {'; '.join(attempts)}. {remedy}", best)

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            engine = REGISTRY[name](self.program, self.options, self.keep)
            if isinstance(engine, CutsGeneral):
                engine.expect(self._ahead / self.program.scale)
            self._engines[name] = engine
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
        stats: JSON = {"seconds": 0.0, "iterations": 0, "attempts": []}
        return replace(self._without_dual(g, L, "closed form", stats, None), selection=self.selection)

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

    def _verified_flow(
        self, program: FlowProgram, raw: Raw, L: float, name: str, stats: JSON, failure: Status | None
    ) -> Solution:
        flow = balanced(program, raw.flow)
        g = flattened(program, program.integrate(raw.primal), raw.primal, max(1e-12, 1e-2 * raw.precision))
        found = self._flow_solution(program, g, flow, L, name, stats, failure, raw.precision)
        return self._selected(found)

    def _verified_general(
        self, program: GeneralProgram, raw: Raw, L: float, name: str, stats: JSON, failure: Status | None
    ) -> Solution:
        y = raw.multipliers * (program.weight_scale * program.g_scale / program.scale)
        g = program.without_free_constants(raw.primal) * program.g_scale
        flow = raw.flow * program.weight_scale
        found = self._general_solution(program, g, flow, y, L, name, stats, failure, raw.precision)
        # one optimum is what every selection names
        return replace(found, selection=self.selection) if raw.unique and found.ok else self._selected(found)

    def selected(self, found: Solution) -> Solution:
        """The point of the solution's optimal face that this session's selection names.

        Where it cannot be had with a certificate, the engine's own certified point is returned with a warning, and its
        `selection` says "vertex".
        """
        chosen = self._selected(found)
        if chosen.ok and chosen.selection != self.selection:
            self._warn_fallen(chosen)
        return chosen

    def _warn_fallen(self, found: Solution) -> None:
        text = f"selection={self.selection!r} is not available at L = {found.L:.6g}: {found.stats['fallen']}"
        warnings.warn(f"{text}. The engine's own optimum is returned.", LegstatWarning, stacklevel=3)

    def _selected(self, found: Solution) -> Solution:
        """As `selected`, with the reason in `stats` in place of a warning."""
        if self.selection == "vertex" or not found.ok or found.engine == "closed form":
            return replace(found, selection=self.selection)
        try:
            if isinstance(self.program, GeneralProgram):
                chosen = self._selected_general(self.program, found)
            else:
                chosen = self._selected_flow(self.program, found)
            reason = "its certificate fails"
        except (SolverError, np.linalg.LinAlgError) as error:
            chosen, reason = None, str(error)
        if chosen is not None and chosen.ok:
            return chosen
        found.stats["fallen"] = reason
        return found

    def _selected_flow(self, program: FlowProgram, found: Solution) -> Solution:
        g, flow, unit_L = found.g / program.scale, found.flow / program.weight_scale, found.L / program.scale
        regions = regions_of_face(program, g, flow, unit_L, found.precision)
        chosen = closest(regions) if self.selection == "closest" else analytic_centre(regions)
        moved = g + chosen.x[regions.label]
        g = flattened(program, moved, program.differences(moved), max(_FINISHED_FLAT, found.precision))
        stats = {**found.stats, "selection_steps": chosen.steps}
        out = self._flow_solution(
            program, program.centred(g), flow, found.L, found.engine, stats, None, found.precision
        )
        return replace(out, selection=self.selection, selection_error=chosen.error * program.scale)

    def _selected_general(self, program: GeneralProgram, found: Solution) -> Solution:
        face = general_face(program, found.flow, found.multipliers, found.L)
        g = selected_general(program, face, centre=self.selection == "interior")
        y, stats = found.multipliers, found.stats
        out = self._general_solution(program, g, found.flow, y, found.L, found.engine, stats, None, found.precision)
        return replace(out, selection=self.selection)

    def checked(self, g: FloatArray, L: float, dual: Solution) -> Solution:
        """A given g at L, certified by the dual side of another solution; engine "interpolation"."""
        program, stats = self.program, {"seconds": 0.0, "iterations": 0, "attempts": []}
        if isinstance(program, FlowProgram):
            return self._flow_solution(program, g / program.scale, dual.flow / program.weight_scale, L, "interpolation",
                                       stats, None, dual.precision)  # fmt: skip
        return self._general_solution(program, g, dual.flow, dual.multipliers, L, "interpolation", stats, None,
                                      dual.precision)  # fmt: skip

    def _without_dual(self, g: FloatArray, L: float, engine: str, stats: JSON, failure: Status | None) -> Solution:
        program, flow = self.program, np.zeros(self.program.n_edges)
        if isinstance(program, FlowProgram):
            return self._flow_solution(program, g / program.scale, flow, L, engine, stats, failure, 0.0)
        return self._general_solution(program, g, flow, np.zeros(program.target.size), L, engine, stats, failure, 0.0)

    def _flow_solution(
        self, program: FlowProgram, g: FloatArray, flow: FloatArray, L: float, engine: str, stats: JSON,
        failure: Status | None, precision: float
    ) -> Solution:  # fmt: skip
        """From g and flow in the program's own units."""
        unit_L = L / program.scale
        certificate = flow_certificate(program, g, flow, unit_L)
        slope = slope_of_flow(program, flow, unit_L) * program.weight_scale
        return self._solution(g * program.scale, flow * program.weight_scale, np.empty(0), certificate, slope, L,
                              engine, stats, failure, precision)  # fmt: skip

    def _general_solution(
        self, program: GeneralProgram, g: FloatArray, flow: FloatArray, y: FloatArray, L: float, engine: str,
        stats: JSON, failure: Status | None, precision: float
    ) -> Solution:  # fmt: skip
        """From g and multipliers in real units."""
        certificate = general_certificate(program, g, flow, y, L)
        slope = -float(np.abs(y).sum())
        return self._solution(g, flow, y, certificate, slope, L, engine, stats, failure, precision)

    def _solution(
        self, g: FloatArray, flow: FloatArray, y: FloatArray, certificate: Certificate, slope: float, L: float,
        engine: str, stats: JSON, failure: Status | None, precision: float
    ) -> Solution:  # fmt: skip
        status = Status.CERTIFIED if certificate.passed else failure or Status.UNCERTIFIED
        g, flow, y = (
            read_only(np.array(x, dtype=np.float64)) for x in (g, flow, y)
        )  # copies: engines go on with theirs
        return Solution(
            program=self.program, g=g, L=L, objective=objective_of(self.program, g), certificate=certificate,
            status=status, engine=engine, selection="vertex", flow=flow,
            slope=slope if status.ok else float("nan"), precision=precision, multipliers=y, stats=stats,
        )  # fmt: skip
