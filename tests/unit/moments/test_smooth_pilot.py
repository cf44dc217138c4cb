"""The pilot of laws that move smooth directions most: what it is, how it moves the estimate, and what it gains."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.designs.design import Design
from legstat.moments.crossfit import ridge_pilot, smooth_pilot
from legstat.moments.sums import summed
from tests.helpers import naive_D

GRID = (6, 5)
GAMMA = np.zeros(GRID)
GAMMA[1:4, 1:4] = 1.0


def sampled(design: Design, n: int, noise: float = 1.0, antithetic: bool = True, rng: int = 0) -> ls.QuerySample:
    generator = np.random.default_rng(rng + 100)
    f = ls.simulate.linear(GAMMA)
    return ls.query(
        lambda x: f(x) + noise * generator.standard_normal(len(x)),
        np.full((1, *GRID), 0.5),
        design,
        n_queries=2 + n,
        perturbation=ls.Blend("black"),
        antithetic=antithetic,
        rng=rng,
        progress=False,
    )


@pytest.mark.parametrize("antithetic", [True, False])
def test_it_is_the_ridge_map_on_a_smooth_prior(antithetic: bool) -> None:
    sample = sampled(ls.MultiscaleBlocks(GRID), 400, antithetic=antithetic)
    units = sample.units[0]
    (sums,) = summed(units, None, gram=True)
    pilot, hat, _ = smooth_pilot(units, sums, sample.design.grid)
    z, y = (np.concatenate(part) for part in zip(*units.rows(), strict=True))
    if not antithetic:
        z, y = z - z.mean(axis=0), y - y.mean()
    penalty = naive_D(*GRID).T @ naive_D(*GRID) + 0.05 * np.eye(30)
    # the normal equations hold for one multiple of the penalty
    right = z.T @ y - z.T @ z @ pilot
    weight = (right @ (penalty @ pilot)) / np.sum((penalty @ pilot) ** 2)
    np.testing.assert_allclose(right, weight * (penalty @ pilot), rtol=0, atol=1e-9 * np.abs(z.T @ y).max())
    # the leverages are those of this ridge regression
    np.testing.assert_allclose(hat, np.linalg.inv(z.T @ z + weight * penalty), rtol=0, atol=1e-11)


def test_it_never_nearly_interpolates() -> None:
    """34 noiseless pairs for 30 unknowns: cross-validation would interpolate, and coverage falls beyond .65."""
    sample = sampled(ls.MultiscaleBlocks(GRID), 68, noise=0.0)
    units = sample.units[0]
    (sums,) = summed(units, None, gram=True)
    z, y = (np.concatenate(part) for part in zip(*units.rows(), strict=True))
    penalty = naive_D(*GRID).T @ naive_D(*GRID) + 0.05 * np.eye(30)
    scores, shares = [], []
    for weight in np.geomspace(1e-6, 1e6, 121):
        fitted = z @ np.linalg.inv(z.T @ z + weight * penalty) @ z.T
        shares.append(np.trace(fitted) / len(y))
        scores.append(np.mean((y - fitted @ y) ** 2) / (1.0 - shares[-1]) ** 2)
    assert shares[int(np.argmin(scores))] > 0.75  # what the rule without the bound would take
    _, hat, _ = smooth_pilot(units, sums, sample.design.grid)
    assert 0.4 < np.einsum("ij,jk,ik->", z, hat, z) / len(y) < 0.65


def test_an_observation_moves_the_estimate_along_its_influence() -> None:
    """Derivatives of the estimate by single scores, against the influence and against the pilot's matrix alone."""
    design = ls.MultiscaleBlocks(GRID)
    sample = sampled(design, 2000)
    moments = sample.moments("crossfit")
    assert moments.influence is not None
    (influence,) = moments.influence
    z = np.concatenate([rows for rows, _ in sample.units[0].rows()])
    (sums,) = summed(sample.units[0], None, gram=True)
    _, hat, moves = smooth_pilot(sample.units[0], sums, design.grid)
    errors: dict[str, list[float]] = {"influence": [], "pilot": []}
    for u in range(0, 1000, 100):
        moved = sample.responses.copy()
        step = 1e-4  # too small for another penalty to be chosen
        moved[2 * u] += step
        moved[2 * u + 1] -= step
        again = ls.QuerySample.from_arrays(sample.draws(), moved, design, antithetic=True).moments("crossfit")
        slope = (again.gamma - moments.gamma).ravel() / step
        for name, matrix in (("influence", moves), ("pilot", hat)):
            along = z[u] @ matrix
            errors[name].append(float(np.linalg.norm(slope - along) / np.linalg.norm(slope)))
        np.testing.assert_allclose(influence.matrix / np.abs(influence.matrix).max(), moves / np.abs(moves).max())  # type: ignore[operator, type-var]
    # to first order: leverages of 30 unknowns in 1000 pairs are 0.03
    assert max(errors["influence"]) < 0.15
    assert min(errors["pilot"]) > 2 * max(errors["influence"])


@pytest.mark.slow
def test_variances_are_those_of_the_estimate() -> None:
    """The mean of the estimated variances against the variance over 300 samples, within 4 standard errors of it."""
    design = ls.MultiscaleBlocks(GRID, scales=(1, 2, 4))
    found = [sampled(design, 300, noise=2.0, rng=seed).moments("crossfit") for seed in range(300)]
    gammas = np.stack([m.gamma.ravel() for m in found])
    claimed = np.stack([m.variances.ravel() for m in found if m.variances is not None]).mean(axis=0)
    ratio = claimed.mean() / gammas.var(axis=0, ddof=1).mean()
    assert abs(ratio - 1.0) < 4.0 * np.sqrt(2.0 / (300 * 10))  # as of ten independent cells of the thirty
    # the estimate is unbiased: the truth in mask levels is half of gamma
    gap = np.abs(gammas.mean(axis=0) - 0.5 * GAMMA.ravel()) / (gammas.std(axis=0) / np.sqrt(300))
    assert gap.max() < 4.5


def test_it_narrows_the_intervals_of_a_smooth_map() -> None:
    sample = sampled(ls.MultiscaleBlocks(GRID), 120, noise=0.2)
    units = sample.units[0]
    (sums,) = summed(units, None, gram=True)
    z, y = (np.concatenate(part) for part in zip(*units.rows(), strict=True))

    def left(pilot: np.ndarray, hat: np.ndarray) -> float:
        return float(np.mean(((y - z @ pilot) / (1.0 - np.einsum("ij,jk,ik->i", z, hat, z))) ** 2))

    smooth = smooth_pilot(units, sums, sample.design.grid)
    assert left(smooth[0], smooth[1]) < 0.9 * left(*ridge_pilot(units, sums))


def test_the_gaussian_laws_keep_their_own() -> None:
    assert not ls.StructuredGaussian(GRID).smooth_pilot
    assert not ls.IsotropicGaussian(GRID).smooth_pilot
    assert not ls.GaussianDesign(np.eye(30), GRID).smooth_pilot
    assert ls.MultiscaleBlocks(GRID).smooth_pilot
