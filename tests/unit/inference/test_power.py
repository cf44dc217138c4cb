"""Sample sizes: each question inverts the others, and the z-test's power is statsmodels'."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.power import NormalIndPower

import legstat as ls
from legstat.inference.bounds import error_bound

DESIGN = ls.StructuredGaussian(grid=(6, 5), scale=0.2)
REGION = (1, 3, 2, 4)


def pilot(**options: object) -> ls.QuerySample:
    gamma = np.zeros((6, 5))
    gamma[1:3, 2:4] = 2.0
    return ls.query(ls.simulate.logistic(gamma), np.full((1, 6, 5), 0.5), DESIGN, n_queries=801, rng=0, **options)


def deviation(sample: ls.QuerySample | None) -> float:
    """Standard error of the region's mean times root n."""
    if sample is None:
        w = np.zeros((6, 5))
        w[1:3, 2:4] = 0.25
        return 0.1 * float(np.sqrt(w.ravel() @ np.linalg.solve(DESIGN.covariance_matrix(), w.ravel())))
    return float(ls.LEG(sample).fit().region(REGION).std_errors[0]) * np.sqrt(sample.n_units[0])


@pytest.mark.parametrize("from_pilot", [True, False])
@pytest.mark.parametrize("alpha", [0.05, 0.001])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.99])
def test_power_is_statsmodels(from_pilot: bool, alpha: float, power: float) -> None:
    sample = pilot() if from_pilot else None
    given = {"pilot": sample} if from_pilot else {"noise": 0.1, "design": DESIGN}
    sd = deviation(sample)
    contrast = 0.07 * sd  # statsmodels' root finder leaves its domain where a handful of units is enough
    reference = NormalIndPower(ddof=0)
    units = reference.solve_power(contrast / sd, nobs1=None, alpha=alpha, power=power, ratio=0)
    n = ls.solve_power(region=REGION, contrast=contrast, alpha=alpha, power=power, **given)
    assert n == 1 + 2 * int(np.ceil(units - 1e-6))
    known = reference.power(contrast / sd, (n - 1) / 2, alpha, ratio=0)
    found = ls.solve_power(region=REGION, contrast=contrast, n_queries=int(n), alpha=alpha, **given)
    # both are two normal tail probabilities
    np.testing.assert_allclose(found, known, rtol=1e-8, atol=0)
    smallest = ls.solve_power(region=REGION, n_queries=int(n), alpha=alpha, power=power, **given)
    # through statsmodels' power, since its own root finder stops at 1e-6
    back = reference.power(smallest / sd, (n - 1) / 2, alpha, ratio=0)
    np.testing.assert_allclose(back, power, rtol=1e-8, atol=0)
    level = ls.solve_power(region=REGION, contrast=contrast, n_queries=int(n), power=power, **given)
    np.testing.assert_allclose(reference.power(contrast / sd, (n - 1) / 2, level, ratio=0), power, rtol=1e-8, atol=0)


def test_power_of_a_very_strict_test() -> None:
    """The search goes as far as the answer lies from where it starts."""
    alpha, power, contrast = 1e-30, 1 - 1e-12, 0.01 * deviation(None)
    n = ls.solve_power(
        region=REGION, contrast=contrast, alpha=alpha, power=power, noise=0.1, design=DESIGN, antithetic=False
    )
    # the other tail's probability is nothing here
    units = ((scipy.stats.norm.isf(alpha / 2) + scipy.stats.norm.isf(1e-12)) / 0.01) ** 2
    # 1 - 1e-12 is known to 1e-4 of the 1e-12
    np.testing.assert_allclose(n - 1, units, rtol=1e-4, atol=1)


@pytest.mark.parametrize("form", ["proof", "printed"])
@pytest.mark.parametrize("L", ["theorem", "structured"])
def test_theorem_questions_invert_each_other(L: str, form: str) -> None:
    law = {"grid": (6, 5), "scale": 0.2, "L": L, "form": form}
    n = ls.solve_queries(error=0.8, sparsity=9, probability=0.9, **law)
    assert n == int(n)
    reached = ls.solve_queries(n_queries=int(n), sparsity=9, probability=0.9, **law)
    np.testing.assert_allclose(
        reached, error_bound(DESIGN, 9, int(n) - 1, probability=0.9, L=L, form=form), rtol=1e-9, atol=0
    )
    assert reached <= 0.8 < ls.solve_queries(n_queries=int(n) - 1, sparsity=9, probability=0.9, **law)
    assert ls.solve_queries(error=0.8, n_queries=int(n), probability=0.9, **law) == 9
    np.testing.assert_allclose(ls.solve_queries(error=reached, n_queries=int(n), sparsity=9, **law), 0.9, rtol=1e-6)


def test_pairs_and_channels_cost_their_queries() -> None:
    law = {"error": 0.8, "sparsity": 9, "probability": 0.9, "grid": (6, 5), "scale": 0.2}
    single = ls.solve_queries(**law)
    assert ls.solve_queries(**law, antithetic=True) == 1 + 2 * (single - 1)
    assert ls.solve_queries(**law, channels="separate", n_channels=3) == 1 + 3 * (single - 1)


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("from_pilot", [True, False])
def test_half_width_questions_invert_each_other(simultaneous: bool, from_pilot: bool) -> None:
    given = {"pilot": pilot()} if from_pilot else {"noise": 0.1, "design": DESIGN}
    given["simultaneous"] = simultaneous
    n = ls.solve_half_width(half_width=0.003, level=0.9, **given)
    width = ls.solve_half_width(n_queries=int(n), level=0.9, **given)
    assert width <= 0.003
    assert 0.003 < ls.solve_half_width(n_queries=int(n) - 2, level=0.9, **given)
    level = ls.solve_half_width(half_width=width, n_queries=int(n), **given)
    np.testing.assert_allclose(level, 0.9, rtol=0, atol=1e-3)  # a quantile of 2,000 draws lies between two of them


@pytest.mark.parametrize("simultaneous", [False, True])
def test_a_noise_level_gives_the_width_of_the_precision_matrix(simultaneous: bool) -> None:
    """On more cells than one block of rows that are solved at once."""
    design = ls.StructuredGaussian(grid=(2, 150), scale=0.2)
    precision = np.diag(np.linalg.inv(design.covariance_matrix()))
    # odds that one of 300 normal errors, or a given one, lies beyond c
    c = scipy.stats.norm.isf((1 - 0.9) / 2 / (300 if simultaneous else 1))
    width = ls.solve_half_width(
        n_queries=2001, level=0.9, noise=0.1, design=design, antithetic=False, simultaneous=simultaneous
    )
    # the inverse of a matrix of condition 1e4
    np.testing.assert_allclose(width, c * 0.1 * np.sqrt(precision.max() / 2000), rtol=1e-9, atol=0)


def test_a_pilot_predicts_the_width_of_a_larger_sample() -> None:
    small = pilot()
    n = 8001
    predicted = ls.solve_half_width(small, n_queries=n, level=0.95)
    large = ls.LEG(ls.query(ls.simulate.logistic(_gamma()), small.image, DESIGN, n_queries=n, rng=1)).fit()
    widest = float(np.ptp(large.conf_int(level=0.95), axis=1).max()) / 2
    # on the safe side, since the larger sample's pilot maps are better, but not by more than half
    assert widest <= predicted * 1.05
    assert predicted <= 1.5 * widest


def _gamma() -> np.ndarray:
    gamma = np.zeros((6, 5))
    gamma[1:3, 2:4] = 2.0
    return gamma


@pytest.mark.parametrize("call", [
    lambda: ls.solve_queries(grid=(4, 4), scale=0.1),
    lambda: ls.solve_queries(error=1.0, n_queries=10, sparsity=3, probability=0.9, grid=(4, 4), scale=0.1),
    lambda: ls.solve_queries(error=-1.0, sparsity=3, probability=0.9, grid=(4, 4), scale=0.1),
    lambda: ls.solve_queries(error=1.0, sparsity=99, probability=0.9, grid=(4, 4), scale=0.1),
    lambda: ls.solve_queries(error=1.0, sparsity=3, probability=1.0, grid=(4, 4), scale=0.1),
    lambda: ls.solve_queries(error=1e-9, n_queries=10, probability=0.9, grid=(4, 4), scale=0.1),
    lambda: ls.solve_queries(error=1e-9, n_queries=10, sparsity=3, grid=(4, 4), scale=0.1),
    lambda: ls.solve_half_width(half_width=0.1, level=0.9),
    lambda: ls.solve_half_width(half_width=0.1, level=0.9, noise=0.1),
    lambda: ls.solve_half_width(half_width=0.1, level=0.9, noise=-0.1, design=DESIGN),
    lambda: ls.solve_half_width(half_width=0.1, level=1.5, noise=0.1, design=DESIGN),
    lambda: ls.solve_half_width(half_width=float("nan"), level=0.5, noise=0.1, design=DESIGN),
    lambda: ls.solve_half_width(n_queries=2, level=0.5, noise=0.1, design=DESIGN),
    lambda: ls.solve_half_width(n_queries=200, level=0.5, noise=0.1, design=DESIGN),
    lambda: ls.solve_half_width(n_queries=float("nan"), level=0.5, noise=0.1, design=DESIGN),
    lambda: ls.solve_half_width(half_width="narrow", level=0.5, noise=0.1, design=DESIGN),
    lambda: ls.solve_queries(error=1.0, sparsity=2.5, probability=0.9, grid=(4, 4), scale=0.1),
    lambda: ls.solve_queries(error=1.0, sparsity=3, probability=0.9, grid=(4, 4), scale=0.1, design="white"),
    lambda: ls.solve_queries(error=1.0, sparsity=3, probability=0.9, grid=(4, 4), scale=0.1, channels="bgr"),
    lambda: ls.solve_queries(error=1.0, sparsity=3, probability=0.9, grid=(4, 4), scale=0.1, L="bootstrap"),
    lambda: ls.solve_power(region=REGION, contrast=1.0, alpha=0.05, power=0.01, noise=0.1, design=DESIGN),
    lambda: ls.solve_power(region=REGION, contrast=0.0, alpha=0.05, power=0.8, noise=0.1, design=DESIGN),
    lambda: ls.solve_power(region=(0, 9, 0, 9), contrast=1.0, alpha=0.05, power=0.8, noise=0.1, design=DESIGN),
])  # fmt: skip
def test_bad_input(call: object) -> None:
    with pytest.raises((TypeError, ValueError), match="must be"):
        call()


def test_the_answer_is_never_below_what_intervals_are_offered_from() -> None:
    sample = pilot()
    assert ls.solve_half_width(sample, half_width=100.0, level=0.9) == 1 + 2 * 100
    assert ls.solve_half_width(sample, half_width=100.0, level=0.9, simultaneous=True) == 1 + 2 * 300
    assert ls.solve_power(sample, region=REGION, contrast=100.0, alpha=0.05, power=0.8) == 1 + 2 * 100


def test_pilots_that_tell_too_little() -> None:
    sample = ls.query(ls.simulate.linear(_gamma()), np.full((1, 6, 5), 0.5), DESIGN, n_queries=101, rng=0)
    with pytest.raises(ls.InferenceUnavailableError, match="pilot: 50 observations"):
        ls.solve_half_width(sample, half_width=0.1, level=0.9)
    with pytest.raises(TypeError, match="noise= and design="):
        ls.solve_power(sample.moments("centred"), region=REGION, contrast=0.1, alpha=0.05, power=0.8)
