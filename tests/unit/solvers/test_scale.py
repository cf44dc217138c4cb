"""Programs of any size: the same answer times a factor, or a refusal; and numpy set to raise changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse

from legstat.solvers import FlowProgram, GeneralProgram, exact_path, solve
from legstat.solvers.programs.graph import grid_edges
from tests.lp_bank import FLOWS, GENERALS, padded_difference
from tests.unit.solvers.test_engines import FLOW_ENGINES

SHAPE = (4, 5)
GAUSS = np.random.default_rng(1).standard_normal(20)
D = padded_difference(SHAPE)
INNER = D[: grid_edges(SHAPE)[0].size]
WEIGHTS = np.random.default_rng(5).uniform(0.2, 3.0, D.shape[0])
PINV_T, INNER_PINV_T = np.linalg.pinv(D).T, np.linalg.pinv(INNER).T
DRAWS = np.random.default_rng(3).standard_normal((60, 20))


def _grid(data: float, matrix: float, weight: float) -> FlowProgram:
    return FlowProgram.from_potential(SHAPE, data * GAUSS, weight * WEIGHTS[: len(INNER)])


def _nodes(data: float, matrix: float, weight: float) -> FlowProgram:
    program = _grid(data, matrix, weight)
    return FlowProgram(program.tail, program.head, program.n_nodes, program.centre, program.weights)


def _dense(data: float, matrix: float, weight: float) -> GeneralProgram:
    A = INNER_PINV_T @ (matrix * (DRAWS.T @ DRAWS) / 60)
    return GeneralProgram.dense(INNER, A, data * (INNER_PINV_T @ GAUSS), weight * WEIGHTS[: len(INNER)])


def _lifted(data: float, matrix: float, weight: float) -> GeneralProgram:
    sigma = matrix * sparse.diags_array(np.linspace(1.0, 2.0, 20))
    return GeneralProgram.lifted(INNER.T @ INNER, INNER, sigma, data * GAUSS, weight * WEIGHTS[: len(INNER)])


def _zero(data: float, matrix: float, weight: float) -> GeneralProgram:
    return GeneralProgram.zero_boundary(
        sparse.csr_array(D), data * (PINV_T @ GAUSS), PINV_T @ np.ones(20), weight * WEIGHTS
    )


Make = Callable[[float, float, float], FlowProgram | GeneralProgram]
PROGRAMS: dict[str, tuple[Make, tuple[str, ...]]] = {
    "grid": (_grid, FLOW_ENGINES),
    "nodes": (_nodes, FLOW_ENGINES),
    "dense": (_dense, ("highs", "cvxpy")),
    "lifted": (_lifted, ("highs", "cvxpy")),
    "zero": (_zero, ("highs", "cvxpy")),
}
SCALES = [1e-200, 1e-15, 1e100, 1e200]


def _same(make: Make, engines: tuple[str, ...], data: float, matrix: float, weight: float) -> None:
    base, program = make(1.0, 1.0, 1.0), make(data, matrix, weight)
    g_unit = data / matrix
    for engine in engines:
        for selection in ("vertex", "closest", "interior"):
            one = solve(base, 0.3 * base.L_max, engine=engine, selection=selection)
            other = solve(program, 0.3 * program.L_max, engine=engine, selection=selection)
            assert other.ok
            assert other.selection == selection
            # the certificate's gap; the slope is a sum of multipliers, known to the same
            assert other.objective / g_unit / weight == pytest.approx(one.objective, rel=1e-8)
            assert other.slope * matrix / weight == pytest.approx(one.slope, rel=1e-7)
            if selection == "closest":
                # unique, and the promise of the default is 1e-6 of the data
                np.testing.assert_allclose(other.g / g_unit, one.g, rtol=0, atol=1e-6 * base.objective_unit)
                assert other.face_width / g_unit == pytest.approx(one.face_width, abs=1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_data_of_any_size(name: str, scale: float) -> None:
    _same(*PROGRAMS[name], scale, 1.0, 1.0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_weights_of_any_size(name: str, scale: float) -> None:
    _same(*PROGRAMS[name], 1.0, 1.0, scale)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["dense", "lifted"])
def test_matrices_of_any_size(name: str, scale: float) -> None:
    _same(*PROGRAMS[name], 1.0, scale, 1.0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_exact_paths_of_any_size(name: str, scale: float) -> None:
    make, _ = PROGRAMS[name]
    base, program = make(1.0, 1.0, 1.0), make(scale, 1.0, 1.0)
    path, expected = (exact_path(p, 0.3 * p.L_max) for p in (program, base))
    assert path.complete
    assert len(path) == len(expected)
    # breakpoints are found to the path's tolerance
    np.testing.assert_allclose(path.knots / scale, expected.knots, rtol=1e-6)
    assert path.value(0.5 * program.L_max) / scale == pytest.approx(expected.value(0.5 * base.L_max), rel=1e-8)


@pytest.mark.parametrize("name", PROGRAMS)
def test_sizes_whose_products_are_no_numbers_are_refused(name: str) -> None:
    make, _ = PROGRAMS[name]
    for data, weight in ((1e-300, 1.0), (1e300, 1.0), (1e200, 1e200), (1e-200, 1e-200)):
        with pytest.raises(ValueError, match="must be 0 or between 1e-280 and 1e280"):
            make(data, 1.0, weight)
    assert not solve(make(0.0, 1.0, 1e-200), 0.0).objective


@pytest.mark.parametrize("name", [*FLOWS, *GENERALS])
def test_numpy_set_to_raise(name: str) -> None:
    with np.errstate(all="raise"):
        program = FLOWS[name]() if name in FLOWS else GENERALS[name]()[0]
        engines = FLOW_ENGINES if name in FLOWS else ("highs", "cvxpy")
        for engine in engines:
            assert solve(program, 0.3 * program.L_max, engine=engine).ok


def test_numpy_set_to_raise_where_numbers_vanish() -> None:
    # products of the smallest entries are 0 in float64
    u = 10.0 ** -np.linspace(0.0, 300.0, 30)
    with np.errstate(all="raise"):
        program = FlowProgram.from_potential((5, 6), u)
        for engine in FLOW_ENGINES:
            solution = solve(program, 0.3 * program.L_max, engine=engine)
            assert solution.ok
            assert solution.face_width >= 0.0
        path = exact_path(program, 0.3 * program.L_max)
        assert path.at(0.5 * program.L_max).ok
