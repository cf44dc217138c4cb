"""The program types: what they accept, their closed forms, and the reference engine against an independent LP."""

from __future__ import annotations

import numpy as np
import pytest

from legstat._core.errors import SolverError
from legstat.solvers import FlowProgram, GeneralProgram, Status, solve, solve_path
from legstat.solvers.optimum.certificate import Certificate, flow_certificate, general_certificate, slope_of_flow
from legstat.solvers.programs import graph
from tests.lp_bank import FLOWS, GENERALS, RATIOS, node_form_value


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 1), (2, 2), (3, 5), (6, 4)])
def test_faces_span_all_cycles(shape: tuple[int, int]) -> None:
    program = FlowProgram.from_potential(shape, np.zeros(shape[0] * shape[1]))
    curl = program.curl
    assert curl is not None
    assert abs(curl @ program.incidence).sum() == 0
    cycles = program.n_edges - program.n_nodes + 1
    assert curl.shape == (cycles, program.n_edges)
    assert cycles == 0 or np.linalg.matrix_rank(curl.toarray()) == cycles


def test_masked_faces_span_all_cycles() -> None:
    program = FLOWS["mask"]()
    curl = program.curl
    assert curl is not None
    assert abs(curl @ program.incidence).sum() == 0
    cycles = program.n_edges - program.n_nodes + program.pieces[0]
    assert program.pieces[0] == 2
    assert np.linalg.matrix_rank(curl.toarray()) == cycles == curl.shape[0]


@pytest.mark.parametrize("name", ["5 x 7", "mask", "3 x 3 x 3"])
def test_poisson_is_the_pseudo_inverse(name: str) -> None:
    program = FLOWS[name]()
    dense = program.incidence.toarray()
    right = np.random.default_rng(0).standard_normal(program.n_nodes)
    # rounding of an eigendecomposition of a well conditioned small matrix
    np.testing.assert_allclose(program.poisson(right), np.linalg.pinv(dense.T @ dense) @ right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FLOWS)
def test_flow_objective_against_dense_lp(name: str) -> None:
    program = FLOWS[name]()
    dense = program.incidence.toarray()
    for ratio in RATIOS:
        L = ratio * program.L_max
        solution = solve(program, L, engine="cvxpy", selection="vertex")
        assert solution.ok
        assert solution.certificate.gap <= 1e-8
        truth = node_form_value(dense, dense, program.centre, L, program.weights) if program.n_edges else 0.0
        # HiGHS' own tolerance of 1e-7 on the dense form, relative to the size of the data
        assert solution.objective == pytest.approx(truth, rel=1e-7, abs=1e-7 * program.L_max)


@pytest.mark.parametrize("name", GENERALS)
def test_general_objective_against_dense_lp(name: str) -> None:
    program, A, a = GENERALS[name]()
    for ratio in RATIOS:
        L = ratio * program.L_max
        solution = solve(program, L, engine="cvxpy", selection="vertex")
        assert solution.ok
        truth = node_form_value(program.difference.toarray(), A, a, L)
        # HiGHS' own tolerance of 1e-7 on the dense form, relative to the size of the data
        assert solution.objective == pytest.approx(truth, rel=1e-7, abs=1e-7 * program.g_scale)


@pytest.mark.parametrize("name", GENERALS)
def test_general_L_max_is_the_edge_of_zero(name: str) -> None:
    program, A, a = GENERALS[name]()
    D = program.difference.toarray()
    size = program.g_scale
    assert node_form_value(D, A, a, 1.0001 * program.L_max) < 1e-7 * size
    assert node_form_value(D, A, a, 0.99 * program.L_max) > 1e-5 * size


def test_closed_forms() -> None:
    program = FLOWS["5 x 7"]()
    nothing = solve(program, program.L_max)
    assert nothing.ok
    assert not nothing.g.any()
    data = solve(program, 0.0)
    # DCT rounding only
    np.testing.assert_allclose(data.g, program.potential, rtol=0, atol=1e-13)


def test_results_are_read_only_and_means_zero() -> None:
    program = FLOWS["mask"]()
    solution = solve(program, 0.3 * program.L_max)
    for array in (solution.g, solution.flow, solution.differences, program.centre, program.tail):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    count, label = program.pieces
    # mean of a few dozen numbers of size 1
    np.testing.assert_allclose(np.bincount(label, solution.g, count), 0.0, rtol=0, atol=1e-12)
    assert not solution.mean_determined


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"L": -1.0}, "`L` must be a finite number >= 0. Got -1.0"),
        ({"L": float("nan")}, "`L` must be"),
        ({"L": float("inf")}, "`L` must be"),
        ({"L": 0.1, "engine": "mosek"}, "`engine` must be one of"),
        ({"L": 0.1, "selection": "nearest"}, "`selection` must be one of"),
        ({"L": 0.1, "on_failure": "ignore"}, "`on_failure` must be one of"),
        ({"L": 0.1, "time_limit": 0.0}, "`time_limit` must be"),
        ({"L": 0.1, "engine": "cvxpy", "options": {"solver": "NOPE"}}, "must be one of"),
    ],
)
def test_bad_arguments(arguments: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        solve(FLOWS["5 x 7"](), **arguments)  # type: ignore[arg-type]


def test_bad_programs() -> None:
    with pytest.raises(ValueError, match="field of differences"):
        FlowProgram.grid((2, 2), [1.0, 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="finite everywhere"):
        FlowProgram.grid((1, 2), [np.nan])
    with pytest.raises(ValueError, match="finite positive"):
        FlowProgram.grid((1, 3), [1.0, 0.0], weights=[1.0, 0.0])
    with pytest.raises(ValueError, match="rectangle"):
        FlowProgram(*graph.grid_edges((2, 3)), 6, np.zeros(7), None, (3, 2))
    with pytest.raises(ValueError, match="two different nodes"):
        FlowProgram(np.array([0]), np.array([0]), 2, np.zeros(1))
    with pytest.raises(ValueError, match="of size 4"):
        FlowProgram.from_potential((2, 2), np.zeros(3))
    with pytest.raises(ValueError, match="difference operator"):
        GeneralProgram.dense(np.ones((1, 3)), np.eye(3), np.zeros(3))
    D = graph.incidence(*graph.grid_edges((1, 2)), 2)
    with pytest.raises(ValueError, match="symmetric"):
        GeneralProgram.lifted(D.T @ D, D, np.array([[1.0, 0.5], [0.0, 1.0]]), np.zeros(2))


def test_path_is_descending_and_reports_progress() -> None:
    program = FLOWS["5 x 7"]()
    seen: list[tuple[int, int]] = []
    path = solve_path(program, [0.1, 0.5, 0.3], engine="cvxpy", progress=lambda done, total: seen.append((done, total)))
    assert [s.L for s in path] == [0.5, 0.3, 0.1]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert all(s.ok for s in path)


def test_infeasible_dense_program_says_so() -> None:
    D = np.array([[-1.0, 1.0]])
    program = GeneralProgram.dense(D, np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1.0, -1.0]))
    with pytest.raises(SolverError, match="no g satisfies"):
        solve(program, 0.5)
    assert solve(program, 0.5, on_failure="return").status is Status.INFEASIBLE


def test_each_part_of_the_certificate_counts() -> None:
    # c = (1, 1) on a line: at L = 0.5 the optimum is h = (0.5, 0.5); on a line the only circulation is 0
    program = FlowProgram.from_potential((1, 3), np.array([0.0, 1.0, 2.0]))
    right = flow_certificate(program, np.array([0.0, 0.5, 1.0]), np.zeros(2), 0.5)
    assert right.passed
    assert (right.gap, right.primal_residual, right.dual_value) == (0.0, 0.0, 1.0)
    infeasible = flow_certificate(program, np.array([0.0, 0.2, 1.0]), np.zeros(2), 0.5)
    assert infeasible.gap <= 1e-15
    # |0.8 - 1| is fine, |0.2 - 1| exceeds 0.5 by 0.3
    assert infeasible.primal_residual == pytest.approx(0.3, rel=1e-12)
    assert not infeasible.passed
    suboptimal = flow_certificate(program, np.array([0.0, 0.6, 1.2]), np.zeros(2), 0.5)
    assert suboptimal.gap == pytest.approx(0.2 / 1.2, rel=1e-12)
    assert not suboptimal.passed
    unbalanced = flow_certificate(program, np.array([0.0, 0.5, 1.0]), np.array([0.1, 0.0]), 0.5)
    assert unbalanced.dual_residual == pytest.approx(0.1, rel=1e-12)
    assert not unbalanced.passed


def _edge_by_edge(program: FlowProgram, g: np.ndarray, f: np.ndarray, L: float) -> dict[str, float]:
    """The certificate's numbers in the program's own units, by loops over edges and nodes."""
    c, w = program.centre / program.scale, program.weights / program.weight_scale
    objective = dual = violation = apart = 0.0
    imbalance = np.zeros(program.n_nodes)
    for e, (a, b) in enumerate(zip(program.tail, program.head, strict=True)):
        h = g[b] - g[a]
        candidates = np.append(np.linspace(c[e] - L, c[e] + L, 3), [0.0] if abs(c[e]) <= L else [])
        least = min(w[e] * abs(x) - f[e] * x for x in candidates)  # linear between these
        objective, dual = objective + w[e] * abs(h), dual + least
        violation = max(violation, abs(h - c[e]) - L)
        apart = max(apart, w[e] * abs(h) - f[e] * h - least)
        imbalance[b] += f[e]
        imbalance[a] -= f[e]
    largest, heaviest = np.abs(c).max(), w.max()
    hidden = float(np.abs(imbalance * g).sum())
    return {
        "primal_residual": violation / max(largest, L),
        "dual_residual": float(np.abs(imbalance).max() / heaviest),
        "dual_value": dual * program.scale * program.weight_scale,
        "gap": (abs(objective - dual) + hidden) / max(objective, 1e-3 * largest * heaviest),
        "complementarity": apart / (largest * heaviest),
    }


@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_certificate_edge_by_edge(size: float) -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.2, 3.0, graph.grid_edges((4, 5))[0].size)
    program = FlowProgram.from_potential((4, 5), 7.0 * rng.standard_normal(20), weights)
    unit_L = 0.4 * program.L_max / program.scale
    for _ in range(5):
        # the smaller g has an objective below the floor of the gap
        g, flow = size * rng.standard_normal(20), 0.3 * rng.standard_normal(program.n_edges)
        found = flow_certificate(program, g, flow, unit_L)
        for name, value in _edge_by_edge(program, g, flow, unit_L).items():
            # sums of 31 numbers in another order
            assert getattr(found, name) == pytest.approx(value, rel=1e-12), name


def test_certificates_of_general_programs_know_no_unit() -> None:
    rng = np.random.default_rng(2)
    D = graph.incidence(*graph.grid_edges((3, 4)), 12).toarray()
    A, a, w = rng.standard_normal((9, 12)), rng.standard_normal(9), rng.uniform(0.2, 0.9, len(D))
    g, z, y = rng.standard_normal(12), 0.5 * rng.standard_normal(len(D)), rng.standard_normal(9)
    for size in (0.1, 1.0):  # with a small g the gap is measured by its floor
        found = []
        for weight in (1.0, 2.0**-30):
            program = GeneralProgram.dense(D, A, a, weight * w)
            found.append(general_certificate(program, 1e-4 * size * g, weight * z, weight * y, 0.3))
        for name in ("primal_residual", "dual_residual", "gap", "complementarity"):
            # a power of two rounds nothing
            assert getattr(found[1], name) == getattr(found[0], name), name
        # the residuals by their definition
        assert found[0].dual_residual == pytest.approx(
            np.abs(D.T @ np.clip(z, -w, w) - A.T @ y).max() / w.max(), rel=1e-12
        )
        expected = (np.abs(a - A @ g * 1e-4 * size).max() - 0.3) / max(program.L_max, 0.3)
        assert found[0].primal_residual == pytest.approx(expected, rel=1e-12)


def _row_by_row(
    D: np.ndarray, A: np.ndarray, a: np.ndarray, w: np.ndarray, L: float, g: np.ndarray, z: np.ndarray, y: np.ndarray
) -> dict[str, float]:
    """What a certificate is to say of g, z and y, by loops over the rows of D and of A; of the gap the numerator."""
    objective = dual = edges = rows = 0.0
    for row, weight, one in zip(D, w, z, strict=True):
        h = float(row @ g)
        objective += weight * abs(h)
        edges = max(edges, weight * abs(h) - float(np.clip(one, -weight, weight)) * h)
    for row, target, one in zip(A, a, y, strict=True):
        dual += target * one - L * abs(one)
        rows = max(rows, L * abs(one) - one * (target - row @ g))
    hidden = sum(abs(float(D[:, i] @ np.clip(z, -w, w) - A[:, i] @ y) * g[i]) for i in range(len(g)))
    gap = abs(objective - dual) + hidden
    return {"dual_value": dual, "edges": edges, "rows": rows, "gap": gap, "objective": objective}


@pytest.mark.parametrize("decides", ["edges", "rows"])
def test_certificate_of_a_general_program_row_by_row(decides: str) -> None:
    rng = np.random.default_rng(5)
    D = graph.incidence(*graph.grid_edges((3, 4)), 12).toarray()
    A, a, w = rng.standard_normal((9, 12)), rng.standard_normal(9), rng.uniform(0.2, 3.0, len(D))
    program, L = GeneralProgram.dense(D, A, a, w), 0.3
    unit = program.g_scale * w.max()
    for _ in range(5):
        # without multipliers the rows are slack, whatever the residuals; with many, they outweigh the edges
        y = (0.01 if decides == "edges" else 100.0) * rng.standard_normal(9)
        g, z = rng.standard_normal(12), rng.standard_normal(len(D))
        found, truth = general_certificate(program, g, z, y, L), _row_by_row(D, A, a, w, L, g, z, y)
        assert truth[decides] == max(truth["edges"], truth["rows"]) > 0
        # sums of some 30 numbers in another order
        assert found.complementarity == pytest.approx(truth[decides] / unit, rel=1e-12)
        assert found.dual_value == pytest.approx(truth["dual_value"], rel=1e-12)
        assert found.gap == pytest.approx(truth["gap"] / max(truth["objective"], 1e-3 * unit), rel=1e-12)


def test_what_passes() -> None:
    parts = {"primal_residual": 1e-8, "dual_residual": 1e-8, "gap": 1e-8}
    assert Certificate(dual_value=1.0, complementarity=1.0, **parts).passed
    for name in parts:
        assert not Certificate(dual_value=1.0, complementarity=0.0, **{**parts, name: 1.01e-8}).passed
        assert not Certificate(dual_value=1.0, complementarity=0.0, **{**parts, name: float("nan")}).passed


def test_slope_is_the_derivative_of_the_dual_value() -> None:
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.2, 3.0, graph.grid_edges((5, 6))[0].size)
    program = FlowProgram.from_potential((5, 6), rng.standard_normal(30), weights)
    flow = 2.0 * rng.standard_normal(program.n_edges)
    for L in rng.uniform(0.1, 2.0, 20):
        step = 1e-6
        values = [flow_certificate(program, np.zeros(30), flow, L + s).dual_value for s in (step, -step)]
        unit = program.scale * program.weight_scale
        # a difference quotient of a piecewise linear function, away from its kinks
        assert slope_of_flow(program, flow, L) == pytest.approx((values[0] - values[1]) / (2 * step * unit), abs=1e-7)


def _unbalanced_line() -> tuple[FlowProgram, np.ndarray, np.ndarray]:
    """A line whose flow gains 1e-8 at each node up to its middle and loses it again, and a g it makes look optimal.

    On a line h = L is optimal for c = 1 and L = 0.5. The flow raises each edge's own minimum to the objective of the h
    that is larger by 2e-7 on average.
    """
    m = 200
    program = FlowProgram.from_potential((1, m + 1), np.arange(m + 1.0))
    flow = -9e-9 * np.minimum(np.arange(m) + 1, m - np.arange(m))
    h = 0.5 * (1.0 - flow)
    return program, program.integrate(h), flow


def test_what_an_unbalanced_dual_hides_counts() -> None:
    program, g, flow = _unbalanced_line()
    dense, c, L = program.incidence.toarray(), program.centre, 0.5
    value, truth = float(np.abs(dense @ g).sum()), node_form_value(dense, dense, c, L)
    # what is wrong, by the definition: the objective exceeds the optimum by 4.5e-7, far beyond the tolerance
    assert value / truth - 1.0 == pytest.approx(4.545e-7, rel=1e-3)
    ends = [min(abs(h) - f * h for h in (a, b)) for f, a, b in zip(flow, c - L, c + L, strict=True)]
    # what an engine might show: a dual value that equals the objective, conservation within 1e-8
    assert abs(value - sum(ends)) <= 1e-12 * value
    assert np.abs(dense.T @ flow).max() <= 1e-8
    found = flow_certificate(program, g, flow, L)
    assert found.primal_residual == 0.0
    assert found.dual_residual <= 1e-8
    # the gap that a person would work out: |objective - dual| + sum over the nodes of |imbalance| |g|
    gap = abs(value - sum(ends)) + sum(abs(dense[:, k] @ flow) * abs(g[k]) for k in range(len(g)))
    assert found.gap == pytest.approx(gap / value, rel=1e-6)
    assert found.gap > value / truth - 1.0
    assert not found.passed


def test_what_unbalanced_multipliers_of_a_general_program_hide_counts() -> None:
    line, g, flow = _unbalanced_line()
    dense, L = line.incidence.toarray(), 0.5
    # the same program with the constraint as its matrix: multipliers y of the bounds, z = 1 of the differences
    program = GeneralProgram.dense(dense, dense, line.centre)
    z, y = np.ones(line.n_edges), 1.0 - flow
    value = float(np.abs(dense @ g).sum())
    dual = float(line.centre @ y - L * np.abs(y).sum())
    assert abs(value - dual) <= 1e-12 * value
    found = general_certificate(program, g, z, y, L)
    assert found.dual_residual <= 1e-8
    gap = abs(value - dual) + float(np.abs(dense.T @ z - dense.T @ y) @ np.abs(g))
    assert found.gap == pytest.approx(gap / value, rel=1e-6)
    assert found.gap > 4.5e-7
    assert not found.passed


def test_slope_at_ties() -> None:
    # a square whose edges reach 0 exactly at L: the subgradient must lie between the slopes on both sides
    for u in ([0.0, 1.0, 1.0, 3.0], [0.0, 1.0, 2.0, 2.0], [0.0, 2.0, 2.0, 1.0], [3.0, 0.0, 1.0, 1.0]):
        program = FlowProgram.from_potential((2, 2), np.array(u))
        for L in (0.5, 1.0, 1.5, 2.0):
            at = solve(program, L, selection="vertex")
            for other in np.linspace(0.0, 3.0, 25):
                bound = at.objective + at.slope * (other - L)
                assert solve(program, other, selection="vertex").objective >= bound - 1e-9
