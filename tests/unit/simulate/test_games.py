"""Shares of players against closed forms, orders written out, and what the methods of a comparison estimate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import legstat as ls
from legstat.comparison.methods.regressions import lime_weights, weighted_ridge


def members(d: int) -> np.ndarray:
    return ((np.arange(2**d)[:, None] >> np.arange(d)) & 1).astype(np.float64)


def test_players_that_add_up_have_their_own_values():
    own = np.array([1.0, -2.0, 0.5, 3.0])
    v = 7.0 + members(4) @ own
    np.testing.assert_allclose(ls.simulate.shapley(v), own, rtol=1e-13)
    np.testing.assert_allclose(ls.simulate.banzhaf(v), own, rtol=1e-13)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_game_that_needs_all_of_some_players(size):
    """Unanimity: Shapley shares equally, Banzhaf is the chance that all the others are there."""
    v = members(5)[:, :size].all(axis=1).astype(float)
    np.testing.assert_allclose(ls.simulate.shapley(v), [1 / size] * size + [0] * (5 - size), atol=1e-15)
    np.testing.assert_allclose(ls.simulate.banzhaf(v), [0.5 ** (size - 1)] * size + [0] * (5 - size), atol=1e-15)


def test_shapley_values_are_means_over_all_orders():
    v = np.random.default_rng(0).standard_normal(2**5)
    slow = np.zeros(5)
    for order in itertools.permutations(range(5)):
        coalition = 0
        for player in order:
            slow[player] += v[coalition | 1 << player] - v[coalition]
            coalition |= 1 << player
    np.testing.assert_allclose(ls.simulate.shapley(v), slow / 120, rtol=1e-12)
    assert ls.simulate.shapley(v).sum() == pytest.approx(v[-1] - v[0], rel=1e-12)


def test_banzhaf_values_are_the_best_linear_fit():
    v = np.random.default_rng(1).standard_normal(2**6)
    x = np.column_stack([np.ones(2**6), members(6)])
    np.testing.assert_allclose(ls.simulate.banzhaf(v), np.linalg.lstsq(x, v, rcond=None)[0][1:], rtol=1e-11)


def test_banzhaf_values_are_leg_on_all_draws_of_nine_cells():
    """Moments of every on/off picture of 3 x 3 cells: what LEG estimates under the law of independent halves."""
    image, cells = np.random.default_rng(2).random((1, 6, 6)), members(9)

    def f(pictures):
        parts = pictures.reshape(-1, 3, 2, 3, 2).mean(axis=(2, 4)).reshape(-1, 9)
        return np.tanh(parts @ np.arange(9.0) / 9) + parts[:, 0] * parts[:, 4]

    v = f(image * cells.reshape(-1, 1, 3, 3).repeat(2, axis=2).repeat(2, axis=3))
    sample = ls.QuerySample.from_arrays(
        (cells - 0.5).reshape(-1, 1, 3, 3), v, ls.IsotropicGaussian(grid=(3, 3), scale=0.5)
    )
    found = ls.LEG(sample.moments("centred")).fit().saliency
    # 1 / n in the moments, 1 / (n - 1) where a mean was taken away
    np.testing.assert_allclose(found.ravel(), ls.simulate.banzhaf(v), rtol=3e-3)


def test_limes_regression_on_equal_weights_is_banzhaf():
    v = np.random.default_rng(3).standard_normal(2**9)
    found = weighted_ridge(members(9), v, np.ones(2**9), 0.0)
    np.testing.assert_allclose(found, ls.simulate.banzhaf(v), rtol=1e-10, atol=1e-12)
    weighted = weighted_ridge(members(9), v, lime_weights(members(9)), 0.0)
    assert np.abs(weighted - ls.simulate.banzhaf(v)).max() > 0.01  # another estimand


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of matplotlib, when shap is loaded
def test_kernelshap_of_all_coalitions_is_exact():
    shap = pytest.importorskip("shap")
    v = np.random.default_rng(4).standard_normal(2**6)

    def value(shown):
        return v[(np.asarray(shown) > 0.5) @ (1 << np.arange(6))]

    explainer = shap.KernelExplainer(value, np.zeros((1, 6)))
    found = explainer.shap_values(np.ones((1, 6)), nsamples=2**6, silent=True, l1_reg=False)
    np.testing.assert_allclose(np.asarray(found).ravel(), ls.simulate.shapley(v), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("function", [ls.simulate.shapley, ls.simulate.banzhaf])
@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0, 3.0], np.ones((2, 2)), [0.0, np.nan]])
def test_no_table_of_a_game(function, values):
    with pytest.raises(ValueError, match="`values`"):
        function(values)
