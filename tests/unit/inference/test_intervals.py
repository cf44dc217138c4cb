"""Small laws that intervals and tests are made of, each against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

import legstat as ls
from legstat.inference.contrasts import region_weights
from legstat.inference.covariance import Covariance
from legstat.inference.intervals import (
    absolute_sum_intervals,
    bonferroni_quantile,
    contrast_df,
    joint_df,
    max_t_draws,
    normal_equivalents,
    normal_quantile,
    studentised,
    t_quantiles,
    two_sided_pvalues,
)

DF = np.array([3.0, 40.0])


def test_quantiles_and_p_values() -> None:
    # tabulated: 1.959964 and 1.644854 of the normal law, 3.182446 and 2.021075 of Student's with 3 and 40
    assert normal_quantile(0.95) == pytest.approx(1.959963984540054, rel=1e-12)
    assert normal_quantile(0.9) == pytest.approx(1.6448536269514722, rel=1e-12)
    t = t_quantiles(normal_quantile(0.95), DF)
    np.testing.assert_allclose(t, [3.182446, 2.021075], rtol=1e-6)
    np.testing.assert_allclose(two_sided_pvalues(t, DF), 0.05, rtol=1e-10)
    np.testing.assert_allclose(two_sided_pvalues(-t, DF), 0.05, rtol=1e-10)
    np.testing.assert_allclose(normal_equivalents(np.array([0.05, 0.1])), [1.959963984540054, 1.6448536269514722])
    assert np.isfinite(normal_equivalents(np.array([0.0]))).all()
    assert bonferroni_quantile(0.95, 1) == pytest.approx(normal_quantile(0.95), rel=1e-12)
    # 5 % over ten: half a percent each, a quarter on each side
    assert bonferroni_quantile(0.95, 10) == pytest.approx(scipy.stats.norm.ppf(0.9975), rel=1e-12)


def test_degrees_of_freedom_of_several_cells_are_halved() -> None:
    np.testing.assert_array_equal(joint_df(DF), [1.5, 20.0])
    matrix = np.array([[0.0, 2.0, 0.0], [0.5, 0.5, 0.0]])
    np.testing.assert_array_equal(contrast_df(matrix, np.array([40.0, 40.0])), [40.0, 20.0])


def test_studentised_leaves_exact_parameters_out() -> None:
    scaled = studentised(np.array([[-2.0, 3.0]]), np.array([4.0, 0.0]))
    np.testing.assert_array_equal(scaled, [[0.5, 0.0]])


def test_sums_of_absolute_values() -> None:
    bands = np.array([[[-1.0, 2.0], [-4.0, -3.0]], [[3.0, 4.0], [-1.0, 5.0]]])
    # cell 0: |a| in [0, 2], |b| in [3, 4]; cell 1: [3, 4] and [0, 5]
    np.testing.assert_array_equal(absolute_sum_intervals(bands), [[3.0, 6.0], [3.0, 9.0]])


def test_draws_have_a_seed_of_their_own() -> None:
    z = np.random.default_rng(0).standard_normal((200, 3, 3))
    y = z[:, 1, 1] + 0.1 * np.random.default_rng(1).standard_normal(200)
    sample = ls.QuerySample.from_arrays(z, y, ls.IsotropicGaussian(grid=(3, 3), scale=1.0))
    moments = sample.moments("crossfit")
    covariance = Covariance(sample.units, moments.influence)
    (default,), (given,) = (list(covariance.draws(5, *seed)) for seed in ((), (0,)))
    # an interval is a function of the sample: the seed is part of what a record promises
    np.testing.assert_array_equal(default, given)
    assert default.shape == (5, 9)
    std_errors = np.sqrt(covariance.variances)
    np.testing.assert_array_equal(max_t_draws(covariance, std_errors, 5), np.abs(given / std_errors).max(axis=1))
    assert max_t_draws(covariance, std_errors).shape == (2000,)


def test_regions_of_a_grid() -> None:
    labels, weights = region_weights("here", (1, 2, 0, 3), (2, 3), "sum")
    np.testing.assert_array_equal(weights, [[0, 0, 0, 1, 1, 1]])
    assert labels == ("rows 1:2, columns 0:3",)
    labels, weights = region_weights("here", np.array([[-1, 0, 0], [2, 2, 2]]), (2, 3), "mean")
    assert labels == ("region 0", "region 2")
    np.testing.assert_allclose(weights, [[0, 0.5, 0.5, 0, 0, 0], [0, 0, 0, 1 / 3, 1 / 3, 1 / 3]], rtol=1e-15)
    for box in ((0, 0, 0, 3), (1, 3, 0, 3), (0, 2, 0, 4), (-1, 2, 0, 3), (0, 2, 3, 3)):
        with pytest.raises(ValueError, match="a box with cells"):
            region_weights("here", box, (2, 3), "mean")
    for empty in (np.zeros((2, 3), dtype=bool), np.full((2, 3), -1)):
        with pytest.raises(ValueError, match="at least one cell"):
            region_weights("here", empty, (2, 3), "mean")
