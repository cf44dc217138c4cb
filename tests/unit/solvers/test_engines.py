"""Every engine on the bank: certificates, objectives, and what happens when an engine fails."""

from __future__ import annotations

import _thread
import ast
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import highspy
import numpy as np
import pytest

import legstat.solvers
from legstat._core.errors import BackendUnavailableError, LegstatWarning, SolverError
from legstat.solvers import FlowProgram, GeneralProgram, Status, session, solve, solve_path
from legstat.solvers.engines import highs_model
from legstat.solvers.engines.engine import Raw, no_answer
from legstat.solvers.engines.highs import HighsFlow
from legstat.solvers.engines.network import NetworkFlow
from tests.lp_bank import FLOWS, GENERALS, RATIOS, regions

try:
    import pylmcf  # noqa: F401

    FLOW_ENGINES = ("network", "highs", "cvxpy")
except ImportError:
    FLOW_ENGINES = ("highs", "cvxpy")
needs_pylmcf = pytest.mark.skipif("network" not in FLOW_ENGINES, reason="pylmcf (extra 'fast') is not installed")


@pytest.mark.parametrize("name", FLOWS)
def test_engines_agree_on_flows(name: str) -> None:
    program = FLOWS[name]()
    for ratio in RATIOS:
        solved = [solve(program, ratio * program.L_max, engine=e, selection="vertex") for e in FLOW_ENGINES]
        for solution in solved:
            assert solution.ok
            assert len(solution.stats["attempts"]) <= 1
            # the engines' promise: 1e-9 relative; near L_max the objective tends to 0, so L_max 1e-3 is the floor
            floor = max(solved[0].objective, 1e-3 * program.objective_unit)
            assert abs(solution.objective - solved[0].objective) <= 1e-9 * floor


@pytest.mark.parametrize("name", GENERALS)
def test_engines_agree_on_general_programs(name: str) -> None:
    program = GENERALS[name]()[0]
    for ratio in RATIOS:
        solved = [solve(program, ratio * program.L_max, engine=e, selection="vertex") for e in ("highs", "cvxpy")]
        assert all(s.ok for s in solved)
        floor = max(solved[0].objective, 1e-3 * program.objective_unit)
        assert abs(solved[1].objective - solved[0].objective) <= 1e-9 * floor


@pytest.mark.parametrize("name", ["5 x 7", "regions 12 x 12", "weighted", "mask", "3 x 3 x 3", "whole numbers (ties)"])
@pytest.mark.parametrize("engine", FLOW_ENGINES)
def test_warm_path_equals_single_solves(name: str, engine: str) -> None:
    program = FLOWS[name]()
    Ls = program.L_max * np.geomspace(1.1, 0.02, 25)
    warm = solve_path(program, Ls, engine=engine, selection="vertex")
    cold = [solve(program, L, engine="highs", selection="vertex") for L in Ls]
    assert all(s.ok for s in warm)
    # 1e-9 of the objective, the engines' promise, above a floor for the smallest values
    np.testing.assert_allclose(
        [s.objective for s in warm], [s.objective for s in cold], rtol=1e-9, atol=1e-12 * program.objective_unit
    )


@pytest.mark.parametrize("solver", ["CLARABEL", "SCIPY"])
def test_other_cvxpy_solvers(solver: str) -> None:
    program = FLOWS["regions 12 x 12"]()
    L = 0.3 * program.L_max
    solution = solve(program, L, engine="cvxpy", options={"solver": solver}, selection="vertex")
    assert solution.ok
    # an interior-point objective within our certificate's gap
    assert solution.objective == pytest.approx(solve(program, L, selection="vertex").objective, rel=1e-8)


def test_highs_methods_by_option() -> None:
    program = FLOWS["regions 12 x 12"]()
    L = 0.3 * program.L_max
    expected = solve(program, L, selection="vertex").objective
    for options in ({"solver": "ipx"}, {"simplex_strategy": 4}, {"presolve": "on"}):
        # the certificate's gap
        assert solve(program, L, engine="highs", options=options).objective == pytest.approx(expected, rel=1e-8)
    with pytest.raises(ValueError, match=r"options\['nonsense'\]"):
        solve(program, L, engine="highs", options={"nonsense": 1})
    with pytest.raises(ValueError, match="Options belong to an engine"):
        solve(program, L, options={"threads": 1})


@needs_pylmcf
def test_network_rounding_is_as_stated() -> None:
    program = FLOWS["regions 12 x 12"]()
    engine = NetworkFlow(program)
    assert engine.bits == 40
    solution = solve(program, 0.3 * program.L_max, engine="network", selection="vertex")
    # L and each end of an edge are rounded to 2^-40 of a scale that is at most L_max
    assert solution.certificate.primal_residual <= 4 * 2.0**-40


@needs_pylmcf
def test_network_refuses_what_is_no_flow() -> None:
    program = GENERALS["zero boundary"]()[0]
    with pytest.raises(ValueError, match="network flows"):
        solve(program, 0.1, engine="network")
    assert solve(program, 0.5 * program.L_max).engine == "highs"


def test_missing_pylmcf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylmcf", None)
    program = FLOWS["5 x 7"]()
    with pytest.raises(BackendUnavailableError, match=r"legstat\[fast\]"):
        solve(program, 0.1, engine="network")
    assert solve(program, 0.5 * program.L_max).engine == "highs"


class _Liar:
    """Solves, then shifts an answer in a way that keeps it a difference field."""

    name = "network"

    def __init__(self, program: FlowProgram, how: str) -> None:
        self.program, self.how, self.inner = program, how, HighsFlow(program)

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        raw = self.inner.run(unit_L, time_limit=time_limit, cold=cold)
        if self.how == "primal":
            bump = np.zeros(self.program.n_nodes)
            bump[3] = 1e-3
            return Raw(raw.primal + self.program.differences(bump), raw.flow, raw.multipliers, "solved", "Optimal")
        if self.how == "dual":
            return Raw(raw.primal, 0.5 * raw.flow, raw.multipliers, "solved", "Optimal")
        if self.how == "nan":
            return Raw(np.full_like(raw.primal, np.nan), raw.flow, raw.multipliers, "solved", "Optimal")
        if self.how == "empty":
            return no_answer("failed", "no memory")
        raise MemoryError("died")


@pytest.mark.parametrize("how", ["primal", "dual", "nan", "empty", "died"])
def test_a_wrong_answer_never_passes(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = FLOWS["regions 12 x 12"]()
    L = 0.3 * program.L_max
    truth = solve(program, L, engine="highs").objective
    monkeypatch.setitem(session.REGISTRY, "network", lambda program, options, keep: _Liar(program, how))
    with pytest.raises(SolverError, match="network, cold") as caught:
        solve(program, L, engine="network")
    assert not caught.value.solution.ok
    assert solve(program, L, engine="network", on_failure="return").status in (Status.UNCERTIFIED, Status.FAILED)
    monkeypatch.setattr(session.importlib.util, "find_spec", lambda name: object())
    rescued = solve(program, L)
    assert rescued.ok
    assert rescued.engine == "highs"
    assert len(rescued.stats["attempts"]) == 3
    # same engine in the end: rounding of two selections
    assert rescued.objective == pytest.approx(truth, rel=1e-12)


def test_time_limit_is_an_error_that_carries_the_best_answer() -> None:
    program = FlowProgram.from_potential((70, 70), regions((70, 70)))
    started = time.perf_counter()
    with pytest.raises(SolverError, match="time limit") as caught:
        solve(program, 0.1 * program.L_max, engine="highs", time_limit=1e-3)
    assert time.perf_counter() - started < 30
    assert caught.value.solution is None or caught.value.solution.status is Status.TIME_LIMIT


def test_time_limit_is_per_solve_although_highs_counts_over_runs() -> None:
    program = FLOWS["regions 12 x 12"]()
    engine = HighsFlow(program, keep=True)
    engine.run(0.5, time_limit=60.0, cold=False)
    model = engine._kept
    assert model is not None
    used = 0.0
    for unit_L in (0.4, 0.3, 0.2):
        used = model.highs.getRunTime()
        engine.run(unit_L, time_limit=60.0, cold=False)
        assert model.highs.getOptionValue("time_limit")[1] >= used + 60.0
    assert used > 0


def test_ctrl_c_stops_a_large_solve(monkeypatch: pytest.MonkeyPatch) -> None:
    program = FlowProgram.from_potential((224, 224), regions((224, 224)))
    original, interrupted = highs_model.Model._run_watched, []

    def interrupted_while_running(model: highs_model.Model) -> None:
        interrupted.append(model)
        threading.Timer(0.5, _thread.interrupt_main).start()
        original(model)

    monkeypatch.setattr(highs_model.Model, "_run_watched", interrupted_while_running)
    with pytest.raises(KeyboardInterrupt):
        # the primal simplex needs about a minute here
        solve(program, 0.1 * program.L_max, engine="highs", selection="vertex", options={"simplex_strategy": 4})
    # it was the interrupt that ended HiGHS, not an answer: true on a busy machine too, where seconds say nothing
    (model,) = interrupted
    assert model.highs.getModelStatus() == highspy.HighsModelStatus.kInterrupt


def test_an_engine_that_died_is_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    program = FLOWS["5 x 7"]()
    built: list[int] = []

    def factory(program: FlowProgram, options: object, keep: bool) -> object:
        built.append(1)
        return _Liar(program, "died") if len(built) == 1 else HighsFlow(program)

    monkeypatch.setitem(session.REGISTRY, "highs", factory)
    solution = solve(program, 0.5 * program.L_max, engine="highs")
    assert solution.ok
    assert len(built) == len(solution.stats["attempts"]) == 2


class _Interrupted:
    """Works twice, then Ctrl-C."""

    name = "highs"

    def __init__(self, program: FlowProgram) -> None:
        self.inner, self.left = HighsFlow(program), 2

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.inner.run(unit_L, time_limit=time_limit, cold=cold)


def test_an_interrupted_path_carries_what_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    program = FLOWS["5 x 7"]()
    monkeypatch.setitem(session.REGISTRY, "highs", lambda program, options, keep: _Interrupted(program))
    with pytest.raises(legstat.solvers.PathInterrupted) as caught:
        solve_path(program, program.L_max * np.array([0.8, 0.6, 0.4, 0.2]), engine="highs")
    assert [s.ok for s in caught.value.solutions] == [True, True]


def test_traps_stay_out_of_the_sources() -> None:
    for path in Path(legstat.solvers.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("getReducedRowSparse", "set_warm_repair")
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                assert not any(name.split(".")[0] == "ortools" for name in names)
    # ortools and highspy cannot live in one process; importing the solvers loads no solver at all
    code = (
        "import sys, legstat.solvers as s; print(sorted({'ortools', 'cvxpy', 'highspy', 'pylmcf'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_solution_repr_is_short() -> None:
    program = FLOWS["5 x 7"]()
    text = repr(solve(program, 0.5 * program.L_max))
    assert text.startswith("Solution(L=")
    assert "certified" in text
    assert len(text) < 160


def test_certificate_is_scale_free() -> None:
    base: dict[float, Any] = {}
    for size in (1e-12, 1.0, 1e12):
        program = FlowProgram.from_potential((8, 8), size * regions((8, 8)))
        base[size] = solve(program, 0.3 * program.L_max)
    for size, solution in base.items():
        assert solution.ok
        # data scaled by a number that is no power of two: one rounding per entry
        np.testing.assert_allclose(solution.g / size, base[1.0].g, rtol=0, atol=1e-9)


def test_a_costly_program_says_so_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    program = GENERALS["empirical"]()[0]
    monkeypatch.setattr(session, "_NOTICE_SECONDS", 0.0)
    with pytest.warns(LegstatWarning, match=r"dense program with 20 unknowns takes about 0 minutes and 0.0 GB"):
        solve(program, 0.5 * program.L_max)
    # the law behind it: 5 s at 28 x 28, about three hours at 112 x 112
    assert program.seconds == pytest.approx(5.0 * (20 / 784) ** 3, rel=1e-12)
    monkeypatch.setattr(GeneralProgram, "seconds", 660.0)
    monkeypatch.setattr(GeneralProgram, "gigabytes", 3.21)
    with pytest.warns(LegstatWarning, match="takes about 11 minutes and 3.2 GB"):
        solve(program, 0.5 * program.L_max)
