"""Ridge with the penalty by generalised cross-validation, and the prior that learns where the signal is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

import legstat as ls
from legstat.designs.grid import Grid
from legstat.moments.crossfit import ridge_pilot
from legstat.moments.ridge import adaptive_ridge, gcv_ridge
from legstat.moments.sums import summed
from tests.helpers import naive_D


def moments_of(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, int]:
    return z.T @ y / len(y), z.T @ z / len(y), float(np.mean(y**2)), len(y)


@pytest.fixture
def noisy(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    z = rng.normal(size=(60, 12)) * np.linspace(0.5, 2.0, 12)
    return z, z @ np.linspace(-1, 1, 12) + rng.normal(size=60)


def test_the_map_is_scikit_learns(noisy: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    z, y = noisy
    factor = rng.normal(size=(12, 12))
    for penalty in (0.01, 1.0, 30.0):
        gamma, hat, used = gcv_ridge(*moments_of(z, y), factor, np.array([penalty]), or_nothing=False)
        theirs = Ridge(alpha=penalty * len(y), fit_intercept=False, solver="cholesky").fit(z @ factor, y)
        # two orders of solving a well-conditioned system of twelve unknowns
        np.testing.assert_allclose(gamma, factor @ theirs.coef_, rtol=1e-8)
        assert used == penalty
        inverse = np.linalg.inv(z.T @ z + penalty * len(y) * np.linalg.inv(factor @ factor.T))
        np.testing.assert_allclose(hat, inverse, rtol=0, atol=1e-8 * np.abs(inverse).max())


def test_the_penalty_minimises_gcv(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    z, y = noisy
    n = len(y)

    def gcv(penalty: float) -> float:
        H = z @ np.linalg.solve(z.T @ z / n + penalty * np.eye(12), z.T) / n
        return float(np.mean((y - H @ y) ** 2) / (1 - np.trace(H) / n) ** 2)

    candidates = np.geomspace(1e-3, 1e3, 31)
    *_, used = gcv_ridge(*moments_of(z, y), np.eye(12), candidates, or_nothing=True)
    assert used == min(candidates, key=gcv)


def test_noise_alone_leaves_nothing_where_that_is_allowed(rng: np.random.Generator) -> None:
    z = rng.normal(size=(4000, 5))
    y = rng.normal(size=4000)
    y -= z @ np.linalg.lstsq(z, y, rcond=None)[0]  # no linear part at all
    gamma, hat, penalty = gcv_ridge(*moments_of(z, y), np.eye(5), np.array([0.1, 1.0]), or_nothing=True)
    assert not gamma.any()
    assert not hat.any()
    assert penalty == np.inf
    assert gcv_ridge(*moments_of(z, y), np.eye(5), np.array([0.1, 1.0]), or_nothing=False)[2] == 1.0


def test_a_score_that_never_moved() -> None:
    z = np.random.default_rng(0).normal(size=(30, 12))
    for rows, y in ((z, np.zeros(30)), (np.zeros_like(z), np.zeros(30))):
        found = adaptive_ridge(*moments_of(rows, y), Grid((3, 4)), 1)
        assert not found.gamma.any()
        assert np.isfinite(found.hat).all()


def test_fewer_units_than_unknowns(rng: np.random.Generator) -> None:
    z = rng.normal(size=(20, 36))
    truth = np.zeros((6, 6))
    truth[1:4, 2:5] = 1.0
    gamma = adaptive_ridge(*moments_of(z, z @ truth.ravel()), Grid((6, 6)), 1).gamma
    assert np.corrcoef(gamma, truth.ravel())[0, 1] > 0.5  # 20 equations for 36 unknowns: the prior does the rest


def test_units_of_y_and_z_do_not_matter(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    z, y = noisy
    one = adaptive_ridge(*moments_of(z, y), Grid((3, 4)), 1).gamma
    other = adaptive_ridge(*moments_of(1e-3 * z, 50.0 * y), Grid((3, 4)), 1).gamma
    np.testing.assert_allclose(other, 5e4 * one, rtol=1e-9)  # powers of ten round


def test_planes_are_smoothed_apart(rng: np.random.Generator) -> None:
    """A signal in one plane does not widen the prior of the other: there the map is shrunken as hard as can be."""
    z = rng.normal(size=(400, 72))
    truth = np.zeros(72)
    truth[:36] = 1.0
    gamma = adaptive_ridge(*moments_of(z, z @ truth + 2.0 * rng.normal(size=400)), Grid((6, 6)), 2).gamma
    # the floor leaves the empty plane 5 % of the mean energy: its noise is far below least squares' 2 / sqrt(328) = .11
    assert np.sqrt(np.mean(gamma[36:] ** 2)) < 0.05
    assert np.abs(gamma[:36].mean() - 1.0) < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_nearer_to_a_local_truth_than_regression_and_crossfit(seed: int) -> None:
    """The gain on a 12 x 12 map with one bright patch: measured at 0.35 to 0.5 of the other kinds' squared error."""
    truth = np.zeros((12, 12))
    truth[3:7, 5:9] = 1.0
    f = ls.simulate.linear(truth)
    noise = np.random.default_rng(100 + seed)

    def noisy_f(images: np.ndarray) -> np.ndarray:
        return f(images) + 0.2 * noise.normal(size=len(images))

    design = ls.StructuredGaussian((12, 12), 0.1)
    sample = ls.query(noisy_f, np.full((1, 12, 12), 0.5), design, 601, rng=seed, progress=False)
    error = {
        kind: np.sum((sample.moments(kind).gamma.ravel() - truth.ravel()) ** 2)
        for kind in ("regression", "crossfit", "adaptive")
    }
    assert error["adaptive"] < 0.8 * min(error["regression"], error["crossfit"])


def test_candidates_of_too_high_a_leverage_are_passed_over(noisy: tuple[np.ndarray, np.ndarray]) -> None:
    z, y = noisy
    candidates = np.geomspace(1e-3, 1e3, 31)

    def leverage(penalty: float) -> float:
        return float(np.trace(z @ np.linalg.solve(z.T @ z / len(y) + penalty * np.eye(12), z.T))) / len(y) ** 2

    *_, free = gcv_ridge(*moments_of(z, y), np.eye(12), candidates, or_nothing=True)
    allowed = 0.5 * leverage(free)
    _, hat, held = gcv_ridge(*moments_of(z, y), np.eye(12), candidates, or_nothing=True, most_leverage=allowed)
    # GCV has one minimum here: of those allowed the smallest penalty is the best
    assert held == min(c for c in candidates if leverage(c) < allowed)
    assert float(np.einsum("ij,ij->", z @ hat, z)) / len(y) < allowed


def test_adaptive_by_its_definition(rng: np.random.Generator) -> None:
    shape, n = (4, 5), 70
    z = rng.normal(size=(n, 20))
    y = z @ np.repeat([0.0, 1.0, 0.0, 0.5], 5) + rng.normal(size=n)
    D = naive_D(*shape, "free")
    values, vectors = np.linalg.eigh(D.T @ D)
    smooth = vectors @ np.diag((values + 0.05) ** -0.25) @ vectors.T

    def fit(factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        design = z @ factor
        gram = design.T @ design / n
        best = (np.inf, np.empty(0), np.empty(0))
        for candidate in np.geomspace(1e-4, 30.0, 45) * np.trace(gram) / 20:
            inverse = np.linalg.inv(gram + candidate * np.eye(20))
            H = design @ inverse @ design.T / n
            score = np.mean((y - H @ y) ** 2) / (1 - np.trace(H) / n) ** 2
            if score < best[0]:
                best = (score, factor @ inverse @ design.T @ y / n, factor @ inverse @ factor.T / n)
        return best[1], best[2]

    gamma, hat = fit(smooth)
    for _ in range(2):
        # a Gaussian window with a standard deviation of 1.5 cells, cut at four of them, edge values repeated
        weights = np.exp(-0.5 * (np.arange(-6, 7) / 1.5) ** 2)
        weights /= weights.sum()
        energy = gamma.reshape(shape) ** 2
        for axis, size in enumerate(shape):
            window = np.zeros((size, size))
            for here in range(size):
                for step, weight in zip(range(-6, 7), weights, strict=True):
                    window[here, min(max(here + step, 0), size - 1)] += weight
            energy = np.moveaxis(np.tensordot(window, energy, axes=(1, axis)), 0, axis)
        gamma, hat = fit(np.diag(np.sqrt(energy.ravel() + 0.05 * energy.mean())) @ smooth)
    found = adaptive_ridge(*moments_of(z, y), Grid(shape), 1)
    # the same numbers by inverses in place of decompositions
    np.testing.assert_allclose(found.gamma, gamma, rtol=0, atol=1e-9 * np.abs(gamma).max())
    np.testing.assert_allclose(found.hat, hat, rtol=0, atol=1e-9 * np.abs(hat).max())


def test_the_pilot_of_crossfit_by_its_definition(rng: np.random.Generator) -> None:
    n, held = 25, 0
    for _ in range(6):
        z = 0.3 * rng.normal(size=(n, 20))
        y = z @ rng.normal(size=20) + 0.05 * rng.normal(size=n)
        sample = ls.QuerySample.from_arrays(z.reshape(n, 4, 5), y, ls.IsotropicGaussian((4, 5), 0.3))
        (sums,) = summed(sample.units[0], None, gram=True)
        pilot, _ = ridge_pilot(sample.units[0], sums)
        zc, yc = z - z.mean(axis=0), y - y.mean()
        scores = {}
        for candidate in np.geomspace(1e-3, 1e3, 25):
            # the law of z is 0.09 I: whitened, the penalty is on 0.3 times the map
            inverse = np.linalg.inv(zc.T @ zc / n + candidate * 0.09 * np.eye(20))
            H = zc @ inverse @ zc.T / n
            score = np.mean((yc - H @ yc) ** 2) / (1 - np.trace(H) / n) ** 2
            scores[score] = np.trace(H) / n, inverse @ zc.T @ yc / n
        held += scores[min(scores)][0] >= 0.65  # a pilot that the bound on the mean leverage takes away
        best = min(score for score, (leverage, _) in scores.items() if leverage < 0.65)
        np.testing.assert_allclose(pilot, scores[best][1], rtol=0, atol=1e-9 * np.abs(pilot).max())
    assert held > 0
