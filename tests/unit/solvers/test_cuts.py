"""The engine of few regions against HiGHS on the whole program, and its parts against their definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from legstat.solvers import GeneralProgram, exact_path, solve, solve_path
from legstat.solvers.engines import cuts, splitting
from legstat.solvers.engines.cuts import CutsGeneral
from legstat.solvers.engines.engine import Raw, no_answer
from legstat.solvers.optimum.piece import piece_of
from legstat.solvers.programs.graph import grid_edges, incidence
from legstat.solvers.programs.routing import route
from tests.lp_bank import blocks, check_uniqueness, isotropic, zero_boundary

SHAPE = (15, 16)  # more unknowns than the engine takes at least


def test_objective_is_that_of_the_whole_program() -> None:
    program = blocks(SHAPE)[0]
    Ls = program.L_max * np.array([0.9, 0.5, 0.2, 0.05, 0.01])
    found, whole = (solve_path(program, Ls, engine=engine) for engine in ("cuts", "highs"))
    for one, other in zip(found, whole, strict=True):
        assert (one.engine, one.ok, len(one.stats["attempts"])) == ("cuts", True, 1)
        np.testing.assert_allclose(one.objective, other.objective, rtol=1e-8)  # what both certificates allow
        np.testing.assert_allclose(one.g, other.g, rtol=0, atol=1e-7 * np.ptp(other.g))  # unique, to HiGHS' tolerance


@pytest.mark.parametrize("few", [0, 10**6])
def test_guesses_and_last_L_lead_to_the_same(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    program = blocks(SHAPE, common=0.3)[0]
    monkeypatch.setattr(cuts, "_FEW_REGIONS", few)
    Ls = program.L_max * np.geomspace(0.9, 0.01, 6)
    path = solve_path(program, Ls, engine="cuts")
    assert all(s.ok for s in path)
    whole = [s.objective for s in solve_path(program, Ls, engine="highs")]
    np.testing.assert_allclose([s.objective for s in path], whole, rtol=1e-8)


def test_weights() -> None:
    plain = blocks(SHAPE)[0]
    lift = plain.lift
    assert lift is not None
    D = plain.difference
    rng = np.random.default_rng(2)
    weights = rng.uniform(0.5, 2.0, D.shape[0])
    sigma = lift.product(np.eye(D.shape[1]))
    program = GeneralProgram.lifted(D.T @ D, D, sigma, lift.product(rng.standard_normal(D.shape[1])), weights)
    L = 0.2 * program.L_max
    found, whole = (solve(program, L, engine=engine) for engine in ("cuts", "highs"))
    np.testing.assert_allclose(found.objective, whole.objective, rtol=1e-8)


def test_what_is_called_unique_is() -> None:
    program = blocks(SHAPE)[0]
    check_uniqueness(CutsGeneral(program), program, (0.6, 0.2, 0.05))


def test_ties_are_not_called_unique() -> None:
    program = blocks(SHAPE)[0]
    assert program.lift is not None
    board = program.with_moments(program.lift.product(np.indices(SHAPE).sum(axis=0).ravel() % 2.0))
    L = 0.1 * board.L_max
    assert not CutsGeneral(board).run(L / board.scale, time_limit=None, cold=False).unique
    found, whole = (solve(board, L, engine=engine) for engine in ("cuts", "highs"))
    assert found.face_width > 0.1 * np.ptp(found.g)
    # A g of the selection is unique; its quadratic program ends within 1e-12 of its objective, so 1e-6 of its argument
    one, other = program.forward(found.g), program.forward(whole.g)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6 * np.abs(board.target).max())


@pytest.mark.parametrize("ratio", [0.0, 1e-300, 1e-12])
def test_next_to_no_room(ratio: float) -> None:
    program = blocks(SHAPE)[0]
    found = solve(program, ratio * program.L_max)
    assert (found.ok, found.engine) == (True, "cuts")
    lift = program.lift
    assert lift is not None
    whole = np.linalg.solve(lift.product(np.eye(program.n_nodes)), program.difference.T @ program.target)
    # D^T A = S but for constants, which the shortest total variation settles
    assert found.objective <= np.abs(program.difference @ whole).sum() * (1 + 1e-8)
    np.testing.assert_allclose(program.forward(found.g), program.target, rtol=0, atol=1e-8 * program.L_max)


def test_a_time_limit_stops_it() -> None:
    program = blocks(SHAPE)[0]
    raw = CutsGeneral(program).run(0.01 * program.L_max / program.scale, time_limit=1e-9, cold=False)
    assert raw.outcome == "time_limit"


def test_half_of_the_time_is_left_for_the_whole_program(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def run(self: CutsGeneral, unit_L: float, *, time_limit: float | None, cold: bool) -> Raw:
        given.append(time_limit)
        return no_answer("time_limit", "time limit")

    monkeypatch.setattr(CutsGeneral, "run", run)
    program = blocks(SHAPE)[0]
    found = solve(program, 0.5 * program.L_max, time_limit=100.0)
    assert (found.ok, found.engine) == (True, "highs")
    assert given[0] <= 50.0
    given.clear()
    assert not solve(program, 0.5 * program.L_max, engine="cuts", time_limit=100.0, on_failure="return").ok
    assert given[0] > 90.0  # nothing follows that needs it


def test_an_engine_that_finds_no_end_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "_MOST_ROUNDS", 1)
    program = blocks(SHAPE)[0]
    found = solve(program, 0.1 * program.L_max)
    assert found.ok
    assert found.engine == "highs"
    assert "no optimum after 1 rounds" in found.stats["attempts"][0]


@pytest.mark.parametrize("made", [blocks, isotropic, zero_boundary])
def test_programs_of_another_kind(made: Callable[[], Any]) -> None:
    program = made()[0]
    with pytest.raises(ValueError, match=r"`engine` must be 'highs'.*Got 'cuts'"):
        solve(program, 0.5 * program.L_max, engine="cuts")
    assert solve(program, 0.5 * program.L_max).engine == "highs"


def test_options_are_refused() -> None:
    program = blocks(SHAPE)[0]
    with pytest.raises(ValueError, match="options"):
        solve(program, 0.5 * program.L_max, engine="cuts", options={"presolve": "on"})


def test_guesses_are_near() -> None:
    program = blocks(SHAPE)[0]
    L = 0.02 * program.L_max
    guess = splitting.guesses(program, np.array([L / program.scale]))[0]
    found = solve(program, L, engine="highs")
    edges = grid_edges(SHAPE)
    flat = np.abs(found.differences) < 1e-9 * np.ptp(found.g)
    assert np.mean((guess.g[edges[0]] == guess.g[edges[1]]) == flat) > 0.9
    joined = guess.parts[edges[0]] == guess.parts[edges[1]]
    assert np.mean(flat[joined]) > 0.98  # what is near to a jump is left apart
    jump = found.differences
    assert (np.abs(guess.z) <= 1.0).all()
    assert np.mean(np.sign(jump[~flat]) * guess.z[~flat] > 0.95) > 0.9
    active = np.sign(found.multipliers) * (np.abs(found.multipliers) > 1e-9 * np.abs(found.multipliers).max())
    assert np.mean(active[guess.rows] == guess.signs) > 0.7  # some are at their bound for no reason


def test_with_moments_is_the_program_made_anew() -> None:
    plain, A, _ = blocks(common=0.3)
    D, lift = plain.difference, plain.lift
    assert lift is not None
    rng = np.random.default_rng(5)
    b, weights, sigma = (
        rng.standard_normal(A.shape[1]),
        rng.uniform(0.5, 2.0, D.shape[0]),
        lift.product(np.eye(A.shape[1])),
    )
    program, anew = (GeneralProgram.lifted(D.T @ D, D, sigma, moments, weights) for moments in (np.zeros(b.size), b))
    other = program.with_moments(b)
    np.testing.assert_allclose(other.target, anew.target, rtol=0, atol=1e-13 * np.abs(anew.target).max())
    L = 0.2 * anew.L_max
    np.testing.assert_allclose(solve(other, L).objective, solve(anew, L).objective, rtol=1e-8)
    rows = np.array([3, 1, 3])
    np.testing.assert_allclose(other.rows(rows), A[rows], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="with_moments"):
        program.with_moments(b[1:])


def test_a_routing_meets_demands_within_capacities() -> None:
    tail, head = grid_edges((6, 7))
    rng = np.random.default_rng(1)
    forward, backward = rng.uniform(0.5, 1.0, (2, tail.size))
    D = incidence(tail, head, 42)
    demand = D.T @ rng.uniform(-0.5 * backward, 0.5 * forward)
    routed = route(tail, head, backward, forward, demand, np.zeros(42, dtype=np.int64))
    assert routed.complete
    assert (-backward <= routed.flow).all()
    assert (routed.flow <= forward).all()
    np.testing.assert_allclose(D.T @ routed.flow, demand, rtol=0, atol=1e-6)  # 2^-29 of their sum, by 42 nodes


def test_a_cut_says_why_there_is_none() -> None:
    tail, head = grid_edges((6, 7))
    demand = np.full(42, -6.0 / 36)
    demand[[8, 9, 10, 15, 16, 17]] = 1.0  # six cells with ten edges around
    for capacity, possible in ((0.8, True), (0.5, False)):
        limits = np.full(tail.size, capacity)
        routed = route(tail, head, limits, limits, demand, np.zeros(42, dtype=np.int64))
        assert routed.complete is possible
        if possible:
            continue
        for side, sign in ((routed.sources, -1.0), (routed.sinks, 1.0)):
            across = side[tail] != side[head]
            assert sign * demand[side].sum() > capacity * across.sum()


def test_a_piece_is_optimal_from_end_to_end() -> None:
    program = blocks((6, 6))[0]
    L = 0.3 * program.L_max
    found = solve(program, L)
    piece = piece_of(program, found.g, found.multipliers, L)
    assert piece is not None
    assert piece.low < L < piece.high
    for at in (piece.low, 0.5 * (piece.low + piece.high), piece.high):
        np.testing.assert_allclose(solve(program, at).g, found.g + (at - L) * piece.slope, rtol=0, atol=1e-8)
    width = piece.high - piece.low
    for beyond in (piece.low - 0.1 * width, piece.high + 0.1 * width):
        straight = found.g + (beyond - L) * piece.slope
        other = solve(program, beyond)
        assert np.abs(other.g - straight).max() > 1e-4 * np.abs(other.g).max()  # another row or region came in


def test_exact_path_by_pieces_and_by_tangents(monkeypatch: pytest.MonkeyPatch) -> None:
    program = blocks((6, 6))[0]
    fast = exact_path(program, 0.1 * program.L_max)
    monkeypatch.setattr("legstat.solvers.path.piece_of", lambda *_: None)
    slow = exact_path(program, 0.1 * program.L_max)
    assert max(fast.error, slow.error) <= 1e-9
    assert fast.n_solves < 0.7 * slow.n_solves
    for L in np.random.default_rng(0).uniform(0.1, 1.0, 20) * program.L_max:
        cold = solve(program, L).objective
        np.testing.assert_allclose([fast.value(L), slow.value(L)], cold, rtol=1e-8)
        assert fast.at(L).ok
