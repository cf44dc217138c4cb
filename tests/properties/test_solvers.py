"""Laws that hold for every program: symmetries, scales, monotonicity in L, duality."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from legstat.solvers import FlowProgram, GeneralProgram, solve
from legstat.solvers.engines import cuts
from legstat.solvers.optimum.certificate import flow_certificate
from legstat.solvers.programs.graph import grid_edges, incidence
from legstat.solvers.session import Session

SETTINGS = settings(max_examples=40, deadline=None)


@st.composite
def potentials(draw: st.DrawFn) -> np.ndarray:
    """Small maps of whole numbers, halves or arbitrary floats: many ties, many degenerate faces."""
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    kind = draw(st.sampled_from(["ties", "floats", "mixed"]))
    if kind == "ties":
        return draw(arrays(float, shape, elements=st.integers(-3, 3).map(float)))
    if kind == "floats":
        return draw(arrays(float, shape, elements=st.floats(-1, 1, width=32)))
    return draw(arrays(float, shape, elements=st.sampled_from([0.0, 1e-9, 1e-3, 0.5, 1.0, 1e3])))


ratios = st.floats(0.001, 1.2)


@SETTINGS
@given(potentials(), ratios)
def test_solved_and_certified(u: np.ndarray, ratio: float) -> None:
    program = FlowProgram.from_potential(u.shape, u)
    L = ratio * program.L_max
    solution = solve(program, L)
    assert solution.ok
    h = solution.differences
    # the constraint, to the certificate's tolerance
    assert np.abs(h - program.centre).max(initial=0.0) <= L + 1e-8 * program.L_max
    # zero is feasible only from L_max on; any shrinkage of the data is an upper bound
    shrunk = (1 - min(ratio, 1.0)) * np.abs(program.centre).sum()
    assert solution.objective <= shrunk + 1e-8 * program.L_max


@SETTINGS
@given(potentials(), ratios, st.sampled_from([1e-9, -1.0, -3.0, 1e9]))
def test_scale_and_sign(u: np.ndarray, ratio: float, factor: float) -> None:
    one, other = FlowProgram.from_potential(u.shape, u), FlowProgram.from_potential(u.shape, factor * u)
    a, b = solve(one, ratio * one.L_max), solve(other, ratio * other.L_max)
    # the closest optimum is unique, so it scales with the data; selection_error bounds its own rounding
    errors = a.selection_error + b.selection_error / abs(factor)
    np.testing.assert_allclose(b.g / factor, a.g, rtol=0, atol=1e-6 * one.L_max + errors)


@SETTINGS
@given(potentials(), ratios)
def test_transposition_and_reflection(u: np.ndarray, ratio: float) -> None:
    program = FlowProgram.from_potential(u.shape, u)
    found = solve(program, ratio * program.L_max)
    g = found.g.reshape(u.shape)
    for moved, back in ((u.T, lambda x: x.T), (u[::-1], lambda x: x[::-1]), (u[:, ::-1], lambda x: x[:, ::-1])):
        other = FlowProgram.from_potential(moved.shape, np.ascontiguousarray(moved))
        there = solve(other, ratio * program.L_max)
        # each is within its own proved error of the closest optimum, which is unique
        assert max(found.selection_error, there.selection_error) <= 1e-4 * program.L_max
        atol = 1e-6 * program.L_max + found.selection_error + there.selection_error
        np.testing.assert_allclose(back(there.g.reshape(moved.shape)), g, rtol=0, atol=atol)


@SETTINGS
@given(potentials(), st.floats(0.01, 0.5), st.floats(0.5, 1.0))
def test_value_is_decreasing_and_convex(u: np.ndarray, low: float, high: float) -> None:
    program = FlowProgram.from_potential(u.shape, u)
    at = [solve(program, x * program.L_max, selection="vertex") for x in (low, 0.5 * (low + high), high)]
    tiny = 1e-9 * program.objective_unit * max(program.n_edges, 1)
    assert at[0].objective >= at[1].objective - tiny >= at[2].objective - 2 * tiny
    assert at[1].objective <= 0.5 * (at[0].objective + at[2].objective) + tiny
    # a subgradient lies below
    for s in at:
        for t in at:
            assert t.objective >= s.objective + s.slope * (t.L - s.L) - tiny


@SETTINGS
@given(potentials(), st.data())
def test_slope_is_a_subgradient_where_an_edge_reaches_zero(u: np.ndarray, data: st.DataObject) -> None:
    program = FlowProgram.from_potential(u.shape, u)
    kinks = np.unique(np.abs(program.centre))
    kinks = kinks[kinks > 0]
    if kinks.size == 0:
        return
    tiny = 1e-9 * program.objective_unit * program.n_edges
    at = solve(program, float(data.draw(st.sampled_from(list(kinks)))), selection="vertex")
    for factor in (0.5, 0.99, 1.01, 1.5):
        other = solve(program, factor * at.L, selection="vertex")
        assert other.objective >= at.objective + at.slope * (other.L - at.L) - tiny


@SETTINGS
@given(potentials(), ratios, st.integers(0, 2**32 - 1))
def test_any_circulation_is_a_lower_bound(u: np.ndarray, ratio: float, seed: int) -> None:
    program = FlowProgram.from_potential(u.shape, u)
    L = ratio * program.L_max
    solution = solve(program, L)
    rng = np.random.default_rng(seed)
    curl = program.curl
    assert curl is not None
    flow = curl.T @ rng.normal(size=curl.shape[0])
    other = flow_certificate(program, solution.g / program.scale, np.asarray(flow), L / program.scale)
    assert other.dual_value <= solution.objective + 1e-9 * program.objective_unit * max(program.n_edges, 1)


@SETTINGS
@given(potentials(), ratios)
def test_equal_weights_change_nothing(u: np.ndarray, ratio: float) -> None:
    plain = FlowProgram.from_potential(u.shape, u)
    weighted = FlowProgram.from_potential(u.shape, u, np.full(plain.n_edges, 2.5))
    a, b = (solve(p, ratio * plain.L_max) for p in (plain, weighted))
    np.testing.assert_allclose(b.g, a.g, rtol=0, atol=1e-6 * plain.L_max)
    # whole-number scaling of the weights to 40 bits
    np.testing.assert_allclose(b.objective, 2.5 * a.objective, rtol=1e-8, atol=1e-8 * plain.L_max)


@SETTINGS
@given(potentials(), ratios)
def test_a_full_mask_is_the_rectangle(u: np.ndarray, ratio: float) -> None:
    rectangle = FlowProgram.from_potential(u.shape, u)
    masked = FlowProgram.from_mask(np.ones(u.shape, dtype=bool), u)
    a, b = (solve(p, ratio * rectangle.L_max) for p in (rectangle, masked))
    np.testing.assert_allclose(b.g, a.g, rtol=0, atol=1e-6 * rectangle.L_max)


@st.composite
def lifted(draw: st.DrawFn) -> GeneralProgram:
    """Small programs of overlapping blocks, with ties or without, with unequal weights or without, at any scale."""
    shape = (draw(st.integers(2, 7)), draw(st.integers(2, 7)))
    p = shape[0] * shape[1]
    tail, head = grid_edges(shape)
    D = incidence(tail, head, p)
    down, across = (np.abs(np.subtract.outer(np.arange(n), np.arange(n))) for n in shape)
    sigma = sum(np.kron(np.clip(1 - down / s, 0, None), np.clip(1 - across / s, 0, None)) for s in (1, 3)) / 2
    levels = st.integers(-2, 2).map(float) if draw(st.booleans()) else st.floats(-1, 1, width=32)
    g = draw(arrays(float, p, elements=levels))
    b = (sigma @ g if draw(st.booleans()) else g) * draw(st.sampled_from([1.0, 1e-6, 1e6]))
    weights = draw(arrays(float, tail.size, elements=st.floats(0.125, 8, width=32))) if draw(st.booleans()) else None
    common = np.full(p, 0.25) if draw(st.booleans()) else None
    return GeneralProgram.lifted(D.T @ D, D, csr_array(sigma), b, weights, common=common)


@SETTINGS
@given(lifted(), st.lists(st.sampled_from([1.2, 1.0, 0.9, 0.5, 0.2, 0.05, 1e-3, 1e-6, 0.0]), min_size=1, max_size=4))
def test_few_regions_reach_the_optimum_of_the_whole_program(program: GeneralProgram, order: list[float]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "FEWEST_UNKNOWNS", 0)
        assume(cuts.CutsGeneral.fits(program))  # not where symmetry hides the mean
        session = Session(program, "cuts", "vertex", None, keep=True)  # each L starts from the one before, in any order
        found = [session.solve(ratio * program.L_max, None, "raise") for ratio in order]
    for ratio, one in zip(order, found, strict=True):
        whole = solve(program, ratio * program.L_max, engine="highs", selection="vertex", on_failure="return")
        assert one.ok
        if not whole.ok:  # HiGHS' tolerance, where the data span many magnitudes
            continue
        # both certificates allow a gap of 1e-8
        np.testing.assert_allclose(one.objective, whole.objective, rtol=2e-8, atol=2e-11 * program.objective_unit)
