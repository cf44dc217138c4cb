"""LEG: eq. 4 on dense matrices, its inputs, its r2_heldout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.estimators.heldout import heldout_r2, r2_on
from tests.helpers import naive_D, naive_leg, naive_sigma, smooth

IMAGE = np.random.default_rng(1).uniform(0.05, 0.95, (3, 4, 6))
GRID = (2, 3)


def take(n_queries: int = 181, seed: int = 3, f: Any = smooth, **given: Any) -> ls.QuerySample:
    design = given.pop("design", None) or ls.StructuredGaussian(GRID, 0.2, channels=given.pop("channels", None))
    return ls.query(f, IMAGE, design, n_queries, rng=seed, progress=False, **given)


@pytest.mark.parametrize("conventions", ["paper", "upstream"])
def test_equation_4_on_dense_matrices(conventions: Any) -> None:
    sample = take(conventions=conventions)
    boundary = "free" if conventions == "paper" else "zero"
    sigma = naive_sigma(naive_D(*GRID, boundary), 0.2)
    result = ls.LEG(sample).fit()
    z, y = sample.draws().reshape(180, 3, 6), sample.responses - sample.f_x0
    for channel in range(3):
        rows = slice(60 * channel, 60 * channel + 60)
        expected = naive_leg(z[rows, channel], y[rows], sigma)
        np.testing.assert_allclose(result.channel_maps[channel].ravel(), expected, rtol=0, atol=1e-11)  # dense inverse
    assert result.moments.kind == "printed"
    assert result.n == 60


@pytest.mark.parametrize("boundary", ["free", "zero"])
def test_from_moments_alone(boundary: Any, rng: np.random.Generator) -> None:
    sigma, b = naive_sigma(naive_D(*GRID, boundary), 0.2), rng.standard_normal((3, 6))
    moments = ls.Moments(b=b, design=ls.StructuredGaussian(GRID, 0.2, boundary=boundary), n=77)
    result = ls.LEG(moments).fit()
    np.testing.assert_allclose(result.params, (b @ np.linalg.inv(sigma)).ravel(), rtol=1e-10)  # dense inverse
    assert result.n == 77
    assert result.r2_heldout is None
    assert result.image is None
    with pytest.raises(ls.InferenceUnavailableError, match="given"):
        result.conf_int()
    with pytest.raises(ValueError, match="`moments` must be left out with a Moments"):
        ls.LEG(moments, moments="printed")


def test_given_variances_are_used(rng: np.random.Generator) -> None:
    variances = rng.uniform(1, 2, (1, 6))
    moments = ls.Moments(b=np.zeros(6), design=ls.StructuredGaussian(GRID), n=9, kind="printed", variances=variances)
    np.testing.assert_allclose(ls.LEG(moments).fit().std_errors, np.sqrt(variances[0]), rtol=1e-15)


@pytest.mark.parametrize("kind", ["printed", "centred", "regression", "adaptive", "crossfit", "least_squares"])
def test_kinds(kind: Any) -> None:
    sample = take()
    result = ls.LEG(sample, moments=kind).fit()
    np.testing.assert_array_equal(result.params, sample.moments(kind).gamma.ravel())
    assert result.moments.kind == kind


def test_defaults_follow_the_conventions() -> None:
    assert ls.LEG(take()).fit().moments.kind == "crossfit"
    for conventions in ("paper", "upstream"):
        sample = take(conventions=conventions)
        assert ls.LEG(sample).fit().moments.kind == "printed"
        with pytest.raises(ValueError, match=f"`moments` must be 'printed' under conventions='{conventions}'"):
            ls.LEG(sample, moments="crossfit")


@pytest.mark.parametrize("data", [np.zeros((2, 3)), None, "sample.npz"])
def test_other_data(data: Any) -> None:
    with pytest.raises(TypeError, match="`data` must be a QuerySample or a Moments"):
        ls.LEG(data)


# ---------------------------------------------------------------- r2_heldout


@pytest.mark.parametrize("antithetic", [True, False])
def test_fidelity_is_the_r2_of_folds_left_out(antithetic: bool) -> None:
    sample = take(antithetic=antithetic, perturbation=ls.Additive(clip=False))
    z, y = sample.draws().reshape(-1, 6), sample.responses - sample.f_base
    if antithetic:
        z, y = (z[0::2] - z[1::2]) / 2, (y[0::2] - y[1::2]) / 2
    fold, error, total = np.arange(len(y)) % 5, 0.0, 0.0
    for k in range(5):
        g = sample.moments("crossfit", leave_out=(k, 5)).gamma[0]
        level = 0.0 if antithetic else y[fold != k].mean()
        here = fold == k
        error += np.sum((y[here] - level - z[here] @ g) ** 2)
        total += np.sum((y[here] - level) ** 2)
    # the same sums in other chunks
    assert ls.LEG(sample).fit().r2_heldout == pytest.approx(1 - error / total, abs=1e-12)


@pytest.mark.parametrize("channels", ["separate", "joint"])
def test_fidelity_over_channels(channels: Any) -> None:
    # f is linear in every channel: the linear map explains all that there is
    weights = np.random.default_rng(0).standard_normal((3, 4, 6))
    sample = take(601, f=lambda x: (x * weights).sum(axis=(1, 2, 3)), channels=channels, design=None,
                  perturbation=ls.Additive(clip=False))  # fmt: skip
    z = sample.draws().reshape(len(sample.responses), -1)
    lifted = weights.reshape(3, 2, 2, 3, 2).sum(axis=(2, 4)).ravel()
    np.testing.assert_allclose(sample.responses - sample.f_x0, z @ lifted, rtol=0, atol=1e-11)
    result = ls.LEG(sample, moments="least_squares").fit()
    np.testing.assert_allclose(result.params, lifted, rtol=0, atol=1e-9)  # noiseless least squares
    assert result.r2_heldout == pytest.approx(1.0, abs=1e-12)


def test_fidelity_of_pure_noise_is_not_positive() -> None:
    calls = np.random.default_rng(0)
    # a response without any structure: nothing can be predicted, and a fitted map only makes it worse
    sample = take(401, f=lambda x: calls.standard_normal(len(x)))
    r2_heldout = ls.LEG(sample).fit().r2_heldout
    assert r2_heldout is not None
    assert r2_heldout < 0.05


def test_no_fidelity_for_a_handful_of_units() -> None:
    assert ls.LEG(take(2 * 19 + 1)).fit().r2_heldout is None
    assert ls.LEG(take(2 * 20 + 1)).fit().r2_heldout is not None


def test_r2_on_fresh_draws_agrees_with_the_folds() -> None:
    f = ls.simulate.quadratic(np.ones(GRID), 0.8)
    one, two = take(2001, 3, f, antithetic=False), take(2001, 4, f, antithetic=False)
    result = ls.LEG(one).fit()
    fresh = r2_on(two, result.params.reshape(1, -1))
    assert result.r2_heldout is not None
    # both are means over 2,000 draws; R^2 near 0.9 has a standard error of about 0.006
    assert result.r2_heldout == pytest.approx(fresh, abs=0.03)
    # the best map explains what the closed form says: var(l) (1 + 2 c l0)^2 against + 2 c^2 var(l)^2, if unclipped
    assert 0.8 < fresh < 1.0


@pytest.mark.parametrize("folds", [1, 0, 60])
def test_impossible_folds(folds: int) -> None:
    sample = take()
    with pytest.raises(ValueError, match="`folds` must be a whole number from 2 to 45"):
        heldout_r2(sample, lambda fold: sample.moments("printed", leave_out=fold).gamma[None], folds)


def test_heldout_of_several_models_at_once() -> None:
    sample = take()

    def fit(fold: tuple[int, int]) -> np.ndarray:
        g = sample.moments("crossfit", leave_out=fold).gamma
        return np.stack([g, 0 * g])

    found = heldout_r2(sample, fit)
    assert found.r2[0] == pytest.approx(ls.LEG(sample).fit().r2_heldout, abs=1e-14)
    assert found.r2[1] == pytest.approx(
        0.0, abs=1e-12
    )  # the zero map predicts as well as the mean, pairs having mean 0
    assert found.std_errors.shape == (2,)
    assert found.std_errors[0] > 0
