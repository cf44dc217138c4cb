"""Responses of known gamma: their values, and that their LEG is what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import legstat as ls
from tests.helpers import z_limit

GAMMA = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])


def cell_means(images: np.ndarray) -> np.ndarray:
    """Mean of each of the 2 x 3 cells over its pixels and channels, by loops."""
    n, channels, height, width = images.shape
    means = np.zeros((n, 2, 3))
    for i in range(height):
        for j in range(width):
            means[:, i * 2 // height, j * 3 // width] += images[:, :, i, j].sum(axis=1)
    return means * 6 / (channels * height * width)


@pytest.mark.parametrize("size", [(1, 2, 3), (3, 4, 6), (2, 6, 3)])
def test_values(size: tuple[int, int, int], rng: np.random.Generator) -> None:
    images = rng.uniform(0, 1, (5, *size))
    flat = (cell_means(images) * GAMMA).sum(axis=(1, 2))
    # sums of a few dozen products
    np.testing.assert_allclose(ls.simulate.linear(GAMMA, offset=0.7)(images), 0.7 + flat, rtol=0, atol=1e-13)
    quadratic = ls.simulate.quadratic(GAMMA, 0.4, offset=0.7)(images)
    np.testing.assert_allclose(quadratic, 0.7 + flat + 0.4 * flat**2, rtol=0, atol=1e-13)


def test_linear_is_its_own_leg_for_every_design_and_perturbation() -> None:
    image = np.random.default_rng(0).uniform(0, 1, (3, 4, 6))
    for design in (ls.StructuredGaussian((2, 3), 0.3), ls.IsotropicGaussian((2, 3), 0.3)):
        for clip in (True, False):
            for antithetic in (True, False):
                sample = ls.query(
                    ls.simulate.linear(GAMMA), image, design, 60, perturbation=ls.Additive(clip=clip),
                    antithetic=antithetic, rng=0, progress=False,
                )  # fmt: skip
                gamma = sample.moments("least_squares").gamma[0]
                # a noiseless least-squares problem of six unknowns
                np.testing.assert_allclose(gamma, GAMMA.ravel(), rtol=0, atol=1e-10)


def test_quadratic_has_the_leg_and_the_mean_shift_that_it_names() -> None:
    """By Monte Carlo with the known covariance: within the limits that all keep with probability 1 - 1e-6."""
    image, design = np.random.default_rng(0).uniform(0, 1, (1, 2, 3)), ls.StructuredGaussian((2, 3), 0.2)
    f = ls.simulate.quadratic(GAMMA, 0.4)
    sample = ls.query(
        f, image, design, 20001, perturbation=ls.Additive(clip=False), antithetic=False, rng=1, progress=False
    )
    result = ls.LEG(sample, moments="centred").fit()
    level = 1 + 0.8 * float((cell_means(image[None]) * GAMMA).sum())
    assert np.abs((result.params - level * GAMMA.ravel()) / result.std_errors).max() < z_limit(1e-6, 6)
    shift = 0.4 * float(GAMMA.ravel() @ design.covariance(GAMMA.ravel()))
    error = sample.responses.std() / np.sqrt(20000)
    assert abs(sample.mean_shift - shift) / error < z_limit(1e-6)


@pytest.mark.parametrize("gamma", [np.zeros(4), np.full((2, 2), np.nan), np.zeros((1, 2, 2))])
def test_bad_gamma(gamma: Any) -> None:
    with pytest.raises(ValueError, match=r"legstat.simulate: `gamma` must be a finite array of shape \(p1, p2\)"):
        ls.simulate.linear(gamma)


def test_gamma_is_copied() -> None:
    gamma = GAMMA.copy()
    f = ls.simulate.linear(gamma)
    gamma[:] = 0
    assert f(np.ones((1, 1, 2, 3)))[0] == pytest.approx(GAMMA.sum(), abs=1e-14)
