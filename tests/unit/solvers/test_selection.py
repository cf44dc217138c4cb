"""Which optimum: uniqueness of the selections, the face against linear programs, the range of an edge."""

from __future__ import annotations

import warnings

import cvxpy as cp
import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import linprog

import legstat as ls
from legstat._core.errors import LegstatWarning
from legstat.solvers import FlowProgram, GeneralProgram, solve, solve_path
from legstat.solvers.optimum.face import Regions, regions_of_face
from legstat.solvers.optimum.selection import analytic_centre, closest, error_bound
from legstat.solvers.programs.graph import grid_edges, incidence
from tests.lp_bank import FLOWS, GENERALS, RATIOS, regions
from tests.unit.solvers.test_engines import FLOW_ENGINES


@pytest.mark.parametrize("selection", ["closest", "interior"])
@pytest.mark.parametrize("name", FLOWS)
def test_selection_does_not_depend_on_the_engine(name: str, selection: str) -> None:
    program = FLOWS[name]()
    for ratio in RATIOS:
        solved = [solve(program, ratio * program.L_max, engine=e, selection=selection) for e in FLOW_ENGINES]
        for solution in solved:
            assert solution.ok
            # the promise of the default: 1e-6 relative to the data
            np.testing.assert_allclose(solution.g, solved[0].g, rtol=0, atol=1e-6 * program.L_max)


@pytest.mark.parametrize("name", GENERALS)
def test_selection_of_general_programs_does_not_depend_on_the_engine(name: str) -> None:
    program = GENERALS[name]()[0]
    for ratio in RATIOS:
        one, other = (solve(program, ratio * program.L_max, engine=e) for e in ("highs", "cvxpy"))
        assert one.ok
        assert other.ok
        np.testing.assert_allclose(one.g, other.g, rtol=0, atol=1e-6 * program.g_scale)


def _nearest_by_qp(program: FlowProgram, L: float, value: float) -> np.ndarray:
    """min ||D g - c||^2 over {|D g - c| <= L, objective <= value}: the definition, by a general-purpose solver."""
    g = cp.Variable(program.n_nodes)
    h = program.incidence.tocsc() @ g
    weights = np.ones(program.n_edges) if program.weights is None else program.weights
    limits = [cp.abs(h - program.centre) <= L, weights @ cp.abs(h) <= value * (1 + 1e-9)]
    cp.Problem(cp.Minimize(cp.sum_squares(h - program.centre)), limits).solve(
        solver="CLARABEL", warm_start=False, tol_gap_abs=1e-11, tol_gap_rel=1e-11
    )
    return program.differences(g.value)


@pytest.mark.parametrize("name", ["2 x 2", "5 x 7", "regions 12 x 12", "weighted", "mask", "3 x 3 x 3", "plane"])
def test_closest_is_the_nearest_optimal_point(name: str) -> None:
    program = FLOWS[name]()
    for ratio in (0.1, 0.4, 0.8):
        L = ratio * program.L_max
        solution = solve(program, L)
        truth = _nearest_by_qp(program, L, solution.objective)
        # the definition relaxes the objective by 1e-9, which moves the nearest point by up to its square root
        np.testing.assert_allclose(solution.differences, truth, rtol=0, atol=3e-4 * program.L_max)
        mine = ((solution.differences - program.centre) ** 2).sum()
        assert mine <= ((truth - program.centre) ** 2).sum() * (1 + 1e-6)


def test_closest_is_at_least_as_near_as_vertex_and_centre() -> None:
    program = FlowProgram.from_potential((20, 20), regions((20, 20)))
    L = 0.2 * program.L_max
    distance = {
        s: float(((solve(program, L, selection=s).differences - program.centre) ** 2).sum())
        for s in ("closest", "vertex", "interior")
    }
    assert distance["closest"] < distance["vertex"]
    assert distance["closest"] < distance["interior"]


def _regions(low: list[float], high: list[float], target: list[float]) -> Regions:
    """Three regions in a triangle: d = (x1 - x0, x2 - x1, x2 - x0)."""
    ends = np.array([0, 1, 0]), np.array([1, 2, 2])
    return Regions(np.arange(3), 3, *ends, *(np.array(v, dtype=float) for v in (low, high, target)), np.ones(3))


def test_closest_on_a_triangle_by_hand() -> None:
    # without bounds that bind: least squares, a third of the mismatch 4 - 1 - 0 = 3 goes to each edge
    wide = closest(_regions([-9, -9, -9], [9, 9, 9], [1, 0, 4]))
    np.testing.assert_allclose(np.diff(wide.x), [2.0, 1.0], rtol=0, atol=1e-9)  # of an interior-point method
    # d0 <= 1 binds; what is left of the mismatch is shared by the other two
    bound = closest(_regions([-9, -9, -9], [1, 9, 9], [1, 0, 4]))
    np.testing.assert_allclose(np.diff(bound.x), [1.0, 1.5], rtol=0, atol=1e-9)
    # the bound that the result claims for itself holds, and is of use
    assert abs(np.diff(bound.x) - [1.0, 1.5]).max() <= bound.error <= 1e-5
    # the same at another size
    small = closest(_regions([-9e-9, -9e-9, -9e-9], [1e-9, 9e-9, 9e-9], [1e-9, 0, 4e-9]))
    np.testing.assert_allclose(np.diff(small.x), [1e-9, 1.5e-9], rtol=1e-6)


def test_the_error_bound_holds_for_any_point_and_multipliers() -> None:
    regions = _regions([-9, -9, -9], [1, 9, 9], [1, 0, 4])
    truth = np.array([1.0, 1.5, 2.5])
    for d in ([1.0, 1.4, 2.4], [0.5, 1.5, 2.0], [0.0, 0.0, 0.0], [1.1, 1.5, 2.6]):
        for y in ([0.0, 0.0, 0.0], [1.5, 0.0, 0.0], [-1.0, 0.0, 2.0]):
            assert np.abs(np.array(d) - truth).max() <= error_bound(regions, np.array(d), np.array(y))
    # by hand, one edge with t = 4 and d <= 1: two regions each out of balance by r, at most |d - 4| apart
    edge = Regions(
        np.arange(2), 2, *(np.array([v]) for v in (0, 1)), *(np.array([float(v)]) for v in (-9, 1, 4)), np.ones(1)
    )
    for d, y, bound in (
        (1.0, 3.0, 0.0),
        (0.0, 0.0, 8.0),
        (0.5, 3.0, np.sqrt(2 * (1.5 + 3.5))),
        (1.5, 3.0, np.sqrt(8.0) + 0.5),
    ):
        assert error_bound(edge, np.array([d]), np.array([y])) == pytest.approx(bound, rel=1e-12)
    # the multiplier of d0 <= 1 is what the others pull with
    assert error_bound(regions, truth, np.array([1.5, 0.0, 0.0])) <= 1e-7


def test_interior_is_the_analytic_centre() -> None:
    middle = analytic_centre(_regions([-1, -1, -9e9], [3, 5, 9e9], [0, 0, 0])).x
    np.testing.assert_allclose(np.diff(middle), [1.0, 2.0], rtol=0, atol=1e-8)  # middles, where nothing else counts
    program = FlowProgram.from_potential((12, 12), regions((12, 12)))
    s = solve(program, 0.2 * program.L_max, selection="interior")
    face = regions_of_face(program, s.g / program.scale, s.flow, s.L / program.scale, 1e-10)
    # the interior point found again is 0 here, strictly inside all bounds that are not fixed
    assert (face.low < 0).all()
    assert (face.high > 0).all()
    pull = 1.0 / face.high + 1.0 / face.low
    assert np.abs(face.divergence(pull)).max() <= 1e-6 * np.abs(pull).max()


@pytest.mark.parametrize("ratio", [1e-4, 1e-7])
def test_closest_at_tiny_L(ratio: float) -> None:
    program = FlowProgram.from_potential((8, 8), regions((8, 8)))
    for engine in FLOW_ENGINES:
        solution = solve(program, ratio * program.L_max, engine=engine)
        assert solution.ok
        assert solution.selection == "closest"
        assert np.abs(solution.differences - program.centre).max() <= ratio * program.L_max * (1 + 1e-4)


def test_selection_error_bounds_the_distance() -> None:
    program = FlowProgram.from_potential((16, 16), regions((16, 16)))
    solution = solve(program, 0.2 * program.L_max)
    assert 0 < solution.selection_error < 1e-5 * program.L_max


def test_flat_regions_are_exactly_flat() -> None:
    program = FlowProgram.from_potential((16, 16), regions((16, 16)))
    for selection in ("closest", "vertex", "interior"):
        h = np.abs(solve(program, 0.3 * program.L_max, selection=selection).differences)
        assert not ((h > 0) & (h < 1e-9 * program.L_max)).any()
        assert (h == 0).sum() > 0.2 * h.size


@pytest.mark.parametrize("name", ["2 x 2", "5 x 7", "whole numbers (ties)", "mask", "weighted", "1 x 6", "3 x 3 x 3"])
def test_nonuniqueness_is_the_largest_range_of_an_edge(name: str) -> None:
    program = FLOWS[name]()
    L = 0.3 * program.L_max
    solution = solve(program, L)
    D, m, p = program.incidence.toarray(), program.n_edges, program.n_nodes
    w = np.ones(m) if program.weights is None else program.weights
    eye = np.eye(m)
    rows = np.vstack([np.hstack([D, -eye]), np.hstack([-D, -eye]), np.hstack([np.zeros((1, p)), w[None, :]])])
    limits = np.append(np.zeros(2 * m), solution.objective * (1 + 1e-11))
    boxed = np.vstack([np.hstack([D, 0 * eye]), np.hstack([-D, 0 * eye])])
    rows = np.vstack([rows, boxed])
    limits = np.concatenate([limits, program.centre + L, L - program.centre])
    bounds = [(None, None)] * p + [(0, None)] * m
    widest = 0.0
    for edge in range(m):
        cost = np.append(D[edge], np.zeros(m))
        ends = [linprog(s * cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs-ds").fun for s in (1, -1)]
        widest = max(widest, -sum(ends))
    # the linear programs allow the objective 1e-11 and HiGHS' tolerance of 1e-7
    assert solution.face_width == pytest.approx(widest, abs=1e-5 * program.L_max)


def test_nonuniqueness_does_not_depend_on_the_selection() -> None:
    program = FlowProgram.from_potential((12, 12), regions((12, 12)))
    ranges = [solve(program, 0.2 * program.L_max, selection=s).face_width for s in ("vertex", "closest", "interior")]
    assert ranges[0] > 0.01 * program.L_max
    # each starts from another point of the face, known to 1e-10
    np.testing.assert_allclose(ranges, ranges[0], rtol=0, atol=1e-8 * program.L_max)
    assert solve(program, 0.0).face_width == 0.0
    assert solve(program, program.L_max).face_width == pytest.approx(0.0, abs=1e-12)


def test_the_face_is_found_whatever_point_describes_it() -> None:
    program = FlowProgram.from_potential((12, 12), regions((12, 12)))
    L = 0.2 * program.L_max
    labels = []
    for selection in ("vertex", "interior"):
        s = solve(program, L, selection=selection)
        found = regions_of_face(program, s.g / program.scale, s.flow, L / program.scale, 1e-10)
        labels.append(found.n_regions)
    assert labels[0] == labels[1]


@pytest.mark.parametrize("name", GENERALS)
def test_nonuniqueness_of_general_programs(name: str) -> None:
    program, A, a = GENERALS[name]()
    L = 0.15 * program.L_max
    solution = solve(program, L)
    D = program.difference.toarray()
    (m, p), unit, size = D.shape, program.scale / program.g_scale, program.scale
    eye, none = np.eye(m), np.zeros((a.size, m))
    blocks = ((D, -eye), (-D, -eye), (-A / unit, none), (A / unit, none), (np.zeros((1, p)), np.ones((1, m))))
    rows = np.vstack([np.hstack(pair) for pair in blocks])
    value = solution.objective / program.g_scale * (1 + 1e-10)
    limits = np.concatenate([np.zeros(2 * m), (L - a) / size, (L + a) / size, [value]])
    bounds = [(None, None)] * p + [(0, None)] * m
    widest = 0.0
    for edge in D:
        cost = np.append(edge, np.zeros(m))
        ends = [linprog(s * cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs-ds").fun for s in (1, -1)]
        widest = max(widest, -sum(ends))
    # the linear programs allow the objective 1e-10 and HiGHS' tolerance of 1e-7, times the condition of A
    assert solution.face_width / program.g_scale == pytest.approx(widest, abs=1e-4)


def test_nonunique_general_program() -> None:
    # two equal steps, of which the constraint on the sum asks for one
    D = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])
    program = GeneralProgram.dense(D, np.array([[-1.0, 0.0, 1.0]]), np.array([3.0]))
    solution = solve(program, 1.0)
    assert solution.objective == pytest.approx(2.0, rel=1e-9)
    assert solution.face_width == pytest.approx(2.0, rel=1e-9)


def test_a_selection_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    program = GENERALS["isotropic"]()[0]
    monkeypatch.setattr("legstat.solvers.optimum.general_selection.LARGEST", 10)
    with pytest.warns(LegstatWarning, match="too large"):
        solution = solve(program, 0.3 * program.L_max)
    assert solution.ok
    assert solution.selection == "vertex"


def test_interior_point_answers_of_a_larger_program_are_selected_like_vertices() -> None:
    shape = (16, 16)
    D = incidence(*grid_edges(shape), 256)
    b = D.T @ (D @ regions(shape))
    program = GeneralProgram.lifted(D.T @ D, D, sparse.eye_array(256), b)
    for ratio in (0.3, 0.1):
        L = ratio * program.L_max
        one = solve(program, L)  # interior point, since a single solve
        (other,) = solve_path(program, [L])  # simplex
        assert one.ok
        assert other.ok
        np.testing.assert_allclose(one.g, other.g, rtol=0, atol=1e-6 * program.g_scale)


def test_no_words_of_the_solver_reach_the_user_at_tiny_L(rng):
    # below 1e-8 L_max all optimal maps fit alike, and the quadratic program that picks one is told so by its solver
    sample = ls.query(ls.simulate.linear(rng.normal(size=(6, 6))), np.full((1, 6, 6), 0.5),
                      ls.IsotropicGaussian((6, 6), 0.1), 201, rng=0, progress=False)  # fmt: skip
    for ratio in (1e-9, 1e-10):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = ls.LEGTV(sample).fit(L_ratio=ratio, selection="closest")
        assert found.certificate.passed
        assert {warning.category for warning in said} == {LegstatWarning}
        assert "selection='closest' is not available at L =" in str(said[0].message)


@pytest.mark.parametrize("high", [0.25, 1e-3, 1e6])
def test_data_on_the_end_of_an_interval(high: float) -> None:
    # the bound is active and its multiplier 0, where Clarabel's regularisation ends it 1e-3 of the interval away
    one = np.zeros(1, dtype=np.int64)
    for low, target in ((0.0, 1e-17), (0.0, 0.0), (-high, -high)):
        ends, at = (np.array([v]) for v in (low, high)), np.array([target])
        regions = Regions(np.arange(2), 2, one, one + 1, *ends, at, np.array([4.0]))
        found = closest(regions)
        error = np.abs(regions.differences(found.x) - np.clip(target, low, high)).max()
        assert error <= found.error <= 1e-5 * high
