"""Contrasts are offered where the cells' own inference is: one rule for maps, regions and contrasts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import legstat as ls
from legstat.inference.intervals import MINIMUM_JOINT_UNITS, MINIMUM_UNITS, normal_quantile

SHAPE = (3, 4)
IMAGE = np.full((1, *SHAPE), 0.5)
HALVES = np.repeat([[0], [1], [1]], 4, axis=1)


def fitted(units: int, cov_type: str | None = None) -> ls.LEGResults:
    gamma = np.zeros(SHAPE)
    gamma[1, 1:3] = 2.0
    f, design = ls.simulate.logistic(gamma, offset=-1.0), ls.StructuredGaussian(SHAPE, scale=0.3)
    noise = np.random.default_rng(4)

    def noisy(images: np.ndarray) -> np.ndarray:
        return f(images) + 0.1 * noise.standard_normal(len(images))

    return ls.LEG(ls.query(noisy, IMAGE, design, 1 + 2 * units, rng=2, progress=False)).fit(cov_type)


JOINT: dict[str, tuple[Callable[[ls.LEGResults], object], Callable[[ls.LEGResults], object]]] = {
    "bands": (lambda r: r.conf_int(simultaneous=True), lambda r: r.region(HALVES).conf_int(simultaneous=True)),
    "fwer": (lambda r: r.test(fwer=0.05), lambda r: r.region(HALVES).test(fwer=0.05)),
    "fwer by Holm": (
        lambda r: r.test(fwer=0.05, method="Holm"),
        lambda r: r.region(HALVES).test(fwer=0.05, method="Holm"),
    ),
}


@pytest.mark.parametrize("name", JOINT)
@pytest.mark.parametrize("units", [MINIMUM_UNITS, MINIMUM_JOINT_UNITS - 1])
def test_joint_inference_needs_the_same_units_for_contrasts_as_for_the_map(name: str, units: int) -> None:
    for call in JOINT[name]:
        with pytest.raises(ls.InferenceUnavailableError, match=f"from {MINIMUM_JOINT_UNITS} observations"):
            call(fitted(units))
        call(fitted(MINIMUM_JOINT_UNITS))
        call(fitted(units, "sandwich"))  # only cross-fitted estimates need more


def test_what_each_contrast_says_by_itself_needs_no_more() -> None:
    regions = fitted(MINIMUM_UNITS).region(HALVES)
    regions.conf_int()
    regions.test(fdr=0.1)
    assert regions.pvalues.shape == (2,)
    few = fitted(MINIMUM_UNITS - 1).region(HALVES)
    for call in (few.conf_int, few.wald_test, lambda: few.pvalues, lambda: few.test(fdr=0.1)):
        with pytest.raises(ls.InferenceUnavailableError, match=f"below {MINIMUM_UNITS}"):
            call()


def test_one_contrast_is_never_joint() -> None:
    one = fitted(MINIMUM_UNITS).region((1, 2, 1, 3))
    np.testing.assert_array_equal(one.conf_int(simultaneous=True), one.conf_int())
    one.test(fwer=0.05)


@pytest.mark.parametrize("call", [lambda c: c.conf_int(), lambda c: c.pvalues, lambda c: c.wald_test()])
def test_hc0_is_refused_for_contrasts_as_for_cells(call: Callable[[ls.Contrasts], object]) -> None:
    result = fitted(200, "HC0")
    with pytest.raises(ls.InferenceUnavailableError, match="HC0"):
        result.conf_int()
    with pytest.raises(ls.InferenceUnavailableError, match="HC0"):
        call(result.region(HALVES))
    call(fitted(200, "HC3").region(HALVES))


def test_bands_of_contrasts_are_never_narrower_than_their_intervals() -> None:
    """Even where few draws put the quantile of the largest |t| too low."""
    regions = fitted(MINIMUM_JOINT_UNITS).region(HALVES)
    single = np.diff(regions.conf_int(level=0.95))
    for draws in range(1, 12):
        assert (np.diff(regions.conf_int(level=0.95, simultaneous=True, n_draws=draws)) >= single * (1 - 1e-12)).all()
    assert (np.diff(regions.conf_int(level=0.95, simultaneous=True)) > 1.02 * single).all()
    assert normal_quantile(0.95) < 2


def test_draws_have_the_covariance_of_the_contrasts() -> None:
    """Bands of contrasts rest on it: also where the contrasts are of different sizes, or depend on each other."""
    root = np.array([[1e-3, 0.0], [2e-3, 1e-3], [3e-3, 1e-3], [0.0, 40.0]])  # the third row is the sum of the others
    covariance = root @ root.T
    regions = ls.Contrasts(
        labels=("a", "b", "a + b", "c"), estimates=np.zeros(4), covariance=covariance, df=np.full(4, np.inf), n=1000
    )
    (draws,) = regions.draws(40_000, rng=0)
    scale = np.sqrt(np.diag(covariance))
    found = draws.T @ draws / len(draws) / np.outer(scale, scale)
    # an entry of the empirical correlation matrix has standard error at most sqrt(2 / 40000) = 0.007
    np.testing.assert_allclose(found, covariance / np.outer(scale, scale), rtol=0, atol=0.035)
    np.testing.assert_allclose(draws[:, 2], draws[:, 0] + draws[:, 1], rtol=0, atol=1e-12 * 40)
