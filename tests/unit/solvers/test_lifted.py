"""The lifted form of eq. 5 against the dense program that it stands for, and what its engine says of uniqueness."""

from __future__ import annotations

from typing import Any

import cvxpy
import highspy
import numpy as np
import pytest

from legstat.solvers import GeneralProgram, solve, solve_path
from legstat.solvers.engines.highs import HighsGeneral
from legstat.solvers.programs.graph import as_rows, spanning_forest
from tests.lp_bank import FLOWS, banded, blocks, check_uniqueness, padded_difference

cp: Any = cvxpy
MADE = {"blocks": blocks, "common part": lambda: blocks(common=0.3), "wide grid": lambda: blocks((3, 9), seed=4)}


@pytest.mark.parametrize("solver", ["CLARABEL", "HIGHS"])
@pytest.mark.parametrize("name", MADE)
def test_dense_program(name: str, solver: str) -> None:
    program, A, a = MADE[name]()
    assert program.kind == "wide"
    D = program.difference.toarray()
    for ratio in (0.5, 0.1, 0.02):
        L = ratio * program.L_max
        g = cp.Variable(A.shape[1])
        dense = cp.Problem(cp.Minimize(cp.norm1(D @ g)), [cp.norm_inf(a - A @ g) <= L])
        with np.errstate(invalid="ignore"):  # cvxpy propagates infinite bounds through the matrices: 0 * inf
            dense.solve(solver=solver)
        found = solve(program, L)
        assert found.ok
        # the interior-point method ends at 1e-8 of the objective
        np.testing.assert_allclose(found.objective, dense.value, rtol=1e-7, atol=0)
        assert np.abs(a - A @ found.g).max() <= L + 1e-7 * program.L_max
        np.testing.assert_allclose(np.abs(D @ found.g).sum(), found.objective, rtol=1e-12)


def test_applications_are_those_of_the_dense_matrix() -> None:
    program, A, _ = blocks(common=0.3)
    rng = np.random.default_rng(0)
    g, y = rng.standard_normal(A.shape[1]), rng.standard_normal(A.shape[0])
    np.testing.assert_allclose(program.forward(g), A @ g, rtol=0, atol=1e-12)  # entries of about 1
    np.testing.assert_allclose(program.adjoint(y), A.T @ y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MADE)
def test_a_path_is_certified_at_the_first_attempt(name: str) -> None:
    program = MADE[name]()[0]
    path = solve_path(program, program.L_max * np.geomspace(1.0, 0.005, 20))
    assert [len(s.stats["attempts"]) for s in path] == [0] + [1] * 19
    assert max(s.certificate.gap for s in path) <= 1e-8
    values = [s.objective for s in path]
    assert values == sorted(values)


@pytest.mark.parametrize("name", MADE)
def test_what_is_called_unique_is(name: str) -> None:
    program = MADE[name]()[0]
    check_uniqueness(HighsGeneral(program, None, True), program, (0.7, 0.3, 0.1, 0.02))


def test_ties_are_not_called_unique() -> None:
    # two cells apart from a third, whose noise does not matter: the jump may stand at either edge
    program = GeneralProgram.lifted(*_three_cells())
    raw = HighsGeneral(program, None, True).run(0.5 * program.L_max / program.scale, time_limit=None, cold=False)
    assert not raw.unique
    assert solve(program, 0.5 * program.L_max).face_width > 0.1


def _three_cells() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    D = np.array([[-1.0, 1.0, 0.0], [0.0, -1.0, 1.0]])
    sigma = np.eye(3) + 0.5 * np.eye(3)[:, ::-1] * np.array([1.0, 0.0, 1.0])
    return D.T @ D, D, sigma, sigma @ np.array([0.0, 0.5, 1.0])


def test_selection_of_a_unique_optimum_is_the_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    program = blocks()[0]
    L = 0.1 * program.L_max
    fast = solve(program, L)
    monkeypatch.setattr("legstat.solvers.engines.highs_model.Model.free_directions", lambda self: 99)
    slow = solve(program, L)
    np.testing.assert_allclose(fast.g, slow.g, rtol=0, atol=1e-8 * np.ptp(slow.g))  # HiGHS' tolerance


@pytest.mark.parametrize("common", [np.ones(3), np.ones((4, 2)), [np.nan] * 30])
def test_a_common_part_that_does_not_fit(common: Any) -> None:
    program = banded()[0]
    D = program.difference
    with pytest.raises(ValueError, match=r"GeneralProgram\.lifted.*common"):
        GeneralProgram.lifted(D.T @ D, D, np.eye(30), np.zeros(30), common=common)


@pytest.mark.parametrize("kind", ["grid", "padded", "mask", "parallel"])
def test_spanning_forest(kind: str) -> None:
    if kind == "padded":
        D = padded_difference((3, 4))
    elif kind == "parallel":
        D = np.array([[-1.0, 1.0, 0.0], [1.0, -1.0, 0.0], [0.0, -1.0, 1.0]])
    else:
        D = FLOWS["mask" if kind == "mask" else "5 x 7"]().incidence.toarray()
    chosen, roots = spanning_forest(as_rows(D))
    rank = np.linalg.matrix_rank(D)
    assert chosen.sum() == rank == np.linalg.matrix_rank(D[chosen])
    others = np.delete(D[chosen], roots, axis=1)
    assert others.shape == (rank, rank)
    assert np.linalg.matrix_rank(others) == rank


def test_the_path_starts_near_its_first_optimum() -> None:
    program = blocks((12, 12))[0]
    L = 0.9 * program.L_max / program.scale
    engine = HighsGeneral(program, None, True)
    near = engine.run(L, time_limit=None, cold=False)
    afresh = HighsGeneral(program, {"simplex_scale_strategy": 0}, True)
    afresh._wide = False  # as HiGHS would begin
    far = afresh.run(L, time_limit=None, cold=False)
    np.testing.assert_allclose(np.ptp(near.primal), np.ptp(far.primal), rtol=1e-6)  # both optimal
    assert near.iterations < far.iterations / 2


@pytest.mark.parametrize("name", MADE)
def test_refinement_restores_what_the_basis_says(name: str) -> None:
    program = MADE[name]()[0]
    engine = HighsGeneral(program, None, True)
    engine.run(0.1 * program.L_max / program.scale, time_limit=None, cold=False)
    model = engine._kept
    assert model is not None
    x, y = model.solution()
    basis, lp = model.highs.getBasis(), model.highs.getLp()
    moving = np.array([status == highspy.HighsBasisStatus.kBasic for status in basis.col_status])
    rng = np.random.default_rng(0)
    spoilt = x + 1e-7 * moving * rng.standard_normal(x.size)
    rows = (np.array(lp.row_lower_), np.array(lp.row_upper_))
    better, multipliers = model.refined(spoilt, y + 1e-7 * rng.standard_normal(y.size), rows)
    np.testing.assert_allclose(better, x, rtol=0, atol=1e-12)  # of size 1: rounding of a solve
    np.testing.assert_allclose(multipliers, y, rtol=0, atol=1e-11)
