"""The exact path: breakpoints, interpolation, early stops; against a parametric simplex written for the test."""

from __future__ import annotations

import numpy as np
import pytest

from legstat._core.errors import SolverError
from legstat.solvers import ExactPath, FlowProgram, exact_path, session, solve
from legstat.solvers.engines.engine import INFINITY, Raw, split_bounds
from legstat.solvers.engines.highs import HighsFlow, _beside, _curl_of
from legstat.solvers.engines.highs_model import SIMPLEX, Model
from tests.lp_bank import FLOWS, GENERALS, regions
from tests.unit.solvers.test_engines import FLOW_ENGINES


def parametric_simplex(program: FlowProgram, L_min: float) -> list[tuple[float, float]]:
    """(L, V) at every change of basis or of a bound's slope from L_max down, by pivots on HiGHS' basis.

    At a given basis x moves linearly in L until a basic variable meets a (moving) bound; just below that radius HiGHS
    repairs the basis.
    """
    c, m, curl = program.unit_centre, program.n_edges, _curl_of(program)
    A = _beside(curl, curl, -1.0)
    model = Model({**SIMPLEX, "primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-9})
    start, stop = float(np.abs(c).max()), L_min / program.scale

    def bounds(L: float) -> tuple[np.ndarray, np.ndarray]:
        plus_low, plus_high, minus_low, minus_high = split_bounds(c, L)
        return np.concatenate([plus_low, minus_low]), np.concatenate([plus_high, minus_high])

    def falling(L: float) -> tuple[np.ndarray, np.ndarray]:
        """Change of the bounds per unit by which L falls."""
        low = np.concatenate([(c >= L).astype(float), (-c >= L).astype(float)])
        high = -np.concatenate([(c > -L).astype(float), (c < L).astype(float)])
        return low, high

    balance = np.zeros(A.shape[0])
    model.load(np.ones(2 * m), A, bounds(start), (balance, balance))
    model.run(None)
    x, L, knots = model.solution()[0], start, [(start, 0.0)]
    kinks = [k for k in np.sort(np.abs(c))[::-1] if stop < k < start] + [stop]
    columns = np.arange(2 * m, dtype=np.int32)
    while L > stop:
        basic = np.asarray(model.highs.getBasicVariables()[1])
        structural = basic >= 0
        low, high = bounds(L)
        fall_low, fall_high = falling(L)
        move = np.where(np.abs(x - low) <= np.abs(x - high), fall_low, fall_high)
        move[basic[structural]] = 0.0
        in_basis = np.asarray(model.highs.getBasisSolve(-(A @ move))[1])
        move[basic[structural]] = in_basis[structural]
        step = INFINITY if np.abs(in_basis[~structural]).max(initial=0.0) <= 1e-9 else 0.0
        index = basic[structural]
        for room, speed in ((x - low, fall_low - move), (high - x, move - fall_high)):
            closing = speed[index] > 1e-9
            step = min(step, (np.maximum(room[index], 0.0)[closing] / speed[index][closing]).min(initial=INFINITY))
        kink = next(k for k in kinks if k < L)
        if step >= L - kink:
            x, L = x + move * (L - kink), kink
        else:
            knots.append((L - step, float((x + move * step).sum())))
            L = max(L - step - 1e-8 * start, stop)
            model.highs.changeColsBounds(2 * m, columns, *bounds(L))
            model.run(None)
            x = model.solution()[0]
        knots.append((L, float(x.sum())))
    return [(a * program.scale, b * program.scale) for a, b in knots]


@pytest.mark.parametrize("shape", [(6, 6), (10, 7), (14, 14)])
def test_against_parametric_simplex(shape: tuple[int, int]) -> None:
    program = FlowProgram.from_potential(shape, regions(shape))
    L_min = 0.1 * program.L_max
    path = exact_path(program, L_min)
    reference = np.array(parametric_simplex(program, L_min))
    mine = np.array([path.value(min(L, program.L_max)) for L in reference[:, 0]])
    # the parametric simplex steps 1e-8 L_max past each breakpoint; slopes are at most a few hundred
    np.testing.assert_allclose(mine, reference[:, 1], rtol=0, atol=1e-6 * program.L_max)
    # its points are a superset of the knots of V, up to the same 1e-8
    for knot in path.knots:
        assert np.abs(reference[:, 0] - knot).min() <= 1e-6 * program.L_max


@pytest.mark.parametrize("engine", FLOW_ENGINES)
@pytest.mark.parametrize("name", ["regions 12 x 12", "5 x 7", "whole numbers (ties)", "mask", "3 x 3 x 3", "one peak"])
def test_interpolation_is_optimal(name: str, engine: str) -> None:
    program = FLOWS[name]()
    path = exact_path(program, 0.05 * program.L_max, engine=engine)
    assert path.complete
    assert path.error <= 1e-9
    assert all(s.ok for s in path.solutions)
    assert (np.diff(path.knots) < 0).all()
    # V is convex: slopes grow in size as L falls
    assert (np.diff(path.slopes) < 0).all()
    rng = np.random.default_rng(0)
    for L in rng.uniform(0.05, 1.1, 15) * program.L_max:
        there = path.at(L)
        assert there.ok
        truth = solve(program, L, selection="vertex").objective
        # the stated error of the path, on the floor of 1e-3 L_max
        assert abs(there.objective - truth) <= 2e-9 * max(truth, 1e-3 * program.objective_unit)
        if program.L_max > L:
            assert path.value(L) == pytest.approx(there.objective, rel=1e-9, abs=1e-12 * program.L_max)


def test_slopes_are_whole_numbers() -> None:
    program = FlowProgram.from_potential((12, 12), regions((12, 12)))
    path = exact_path(program, 0.1 * program.L_max)
    raw = np.diff(path.values) / np.diff(path.knots)
    # differences of V known to 1e-12 over intervals down to 1e-6
    np.testing.assert_allclose(raw, path.slopes, rtol=0, atol=1e-4)
    # between two knots the slope is the multiplier that a solve there reports
    for k in (0, len(path) // 2, len(path) - 2):
        middle = 0.5 * (path.knots[k] + path.knots[k + 1])
        assert solve(program, middle).slope == pytest.approx(path.slopes[k], abs=1e-9)


def test_weighted_and_general_paths() -> None:
    for program in (FLOWS["weighted"](), GENERALS["isotropic"]()[0], GENERALS["zero boundary"]()[0]):
        path = exact_path(program, 0.2 * program.L_max)
        assert path.complete
        for ratio in (0.25, 0.5, 0.77):
            there = path.at(ratio * program.L_max)
            assert there.ok
            truth = solve(program, ratio * program.L_max, selection="vertex").objective
            # the stated error of the path
            assert abs(there.objective - truth) <= 2e-9 * max(truth, 1e-3 * program.objective_unit)


def test_early_stop_is_bounded_by_its_error() -> None:
    program = FlowProgram.from_potential((12, 12), regions((12, 12)))
    full = exact_path(program, 0.05 * program.L_max)
    short = exact_path(program, 0.05 * program.L_max, max_solves=12)
    assert short.n_solves == 12
    assert not short.complete
    assert 1e-6 < short.error < 1
    rough = exact_path(program, 0.05 * program.L_max, tol=1e-2)
    assert rough.complete
    assert rough.n_solves < full.n_solves / 3
    for path in (short, rough):
        for L in np.linspace(0.05, 0.999, 40) * program.L_max:
            excess = path.value(L) - full.value(L)
            assert excess >= -1e-9 * program.objective_unit
            assert excess <= path.error * max(full.value(L), 1e-3 * program.objective_unit) * (1 + 1e-6)
            # a stopped path still gives feasible solutions
            assert short.at(L).certificate.primal_residual <= 1e-8


def test_selection_at_the_knots() -> None:
    program = FlowProgram.from_potential((8, 8), regions((8, 8)))
    path = exact_path(program, 0.2 * program.L_max, selection="closest")
    for solution in path.solutions[1:-1:3]:
        direct = solve(program, solution.L, selection="closest")
        # a breakpoint is known to rounding, and the face changes there: compare objective and distance, not g
        assert solution.objective == pytest.approx(direct.objective, rel=1e-9)
        assert solution.selection == "closest"


def test_outside_the_path() -> None:
    program = FLOWS["5 x 7"]()
    path = exact_path(program, 0.3 * program.L_max)
    with pytest.raises(ValueError, match="at least L_min"):
        path.at(0.2 * program.L_max)
    assert not path.at(2 * program.L_max).g.any()
    assert path.at(program.L_max) is path.solutions[0]
    for bad in (
        {"L_min": program.L_max},
        {"L_min": -1.0},
        {"L_min": 0.1, "tol": -1.0},
        {"L_min": 0.1, "max_solves": 1},
    ):
        with pytest.raises(ValueError, match="must be"):
            exact_path(program, **bad)  # type: ignore[arg-type]


class _StopsAfter:
    name = "highs"

    def __init__(self, program: FlowProgram, error: type[BaseException], left: int) -> None:
        self.inner, self.error, self.left = HighsFlow(program), error, left

    def run(self, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.inner.run(unit_L, time_limit=time_limit, cold=cold)


def test_ctrl_c_returns_what_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    program = FlowProgram.from_potential((12, 12), regions((12, 12)))
    full = exact_path(program, 0.1 * program.L_max, engine="highs")
    calls: list[tuple[int, float]] = []
    monkeypatch.setitem(session.REGISTRY, "highs", lambda p, o, k: _StopsAfter(p, KeyboardInterrupt, 9))
    path = exact_path(program, 0.1 * program.L_max, engine="highs", progress=lambda n, e: calls.append((n, e)))
    assert isinstance(path, ExactPath)
    assert not path.complete
    assert path.n_solves == 10  # L_max needs no engine
    assert [n for n, _ in calls] == list(range(3, 11))
    assert calls[-1][1] == path.error
    for L in np.linspace(0.11, 0.99, 20) * program.L_max:
        excess = path.value(L) - full.value(L)
        assert excess <= path.error * max(full.value(L), 1e-3 * program.objective_unit) * (1 + 1e-6)


def test_a_failing_engine_ends_the_path_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    program = FLOWS["regions 12 x 12"]()
    monkeypatch.setitem(session.REGISTRY, "highs", lambda p, o, k: _StopsAfter(p, MemoryError, 1))
    # the first attempt of each solve makes a new engine, which works once: every other solve is rescued, so let none be
    monkeypatch.setitem(session.REGISTRY, "highs", lambda p, o, k: _StopsAfter(p, MemoryError, 0))
    with pytest.raises(SolverError, match="MemoryError"):
        exact_path(program, 0.1 * program.L_max, engine="highs")
