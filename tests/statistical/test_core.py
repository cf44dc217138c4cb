"""Repeated experiments: intervals cover, estimates converge at the rate they should, better moments need fewer queries.

Every bound is the nominal value plus a multiple of the Monte Carlo standard error that sound code exceeds with a
probability below 1e-5 for each assertion (4.4 standard errors), plus a named allowance for what is only asymptotic.
Seeds are fixed, so a test that passes once passes always.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.estimators.heldout import r2_on

SE = 4.4  # two-sided false alarm of 1e-5

GRID = (3, 4)
_rng = np.random.default_rng(0)
IMAGE = _rng.uniform(0, 1, (2, 6, 8))
IMAGE[:, :2, :2], IMAGE[:, 2:4, 2:6] = 0.02, 0.97  # dark and bright cells: half of what is added to them is clipped
GAMMA = np.zeros(GRID)
GAMMA[0:2, 1:3] = [[1.0, 0.5], [-1.0, 2.0]]
TEXTURE = _rng.standard_normal(IMAGE.shape) / np.sqrt(IMAGE.size)


def linear_part(images: np.ndarray) -> np.ndarray:
    return ls.simulate.linear(GAMMA)(images) - 1.0


RESPONSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    # strongly curved: the mean shift is as large as the linear part
    "quadratic": lambda x: linear_part(x) + 1.5 * linear_part(x) ** 2,
    # saturating, and seeing single pixels instead of cells
    "saturating": lambda x: np.tanh(8 * (x * TEXTURE).sum(axis=(1, 2, 3))) + 0.5 * np.sin(9 * x.mean(axis=(1, 2, 3))),
    # linear but for a fast ripple that no linear map explains: noise of a deterministic network
    "linear and ripple": lambda x: linear_part(x) + 0.3 * np.sin(40 * (x * TEXTURE).sum(axis=(1, 2, 3))),
}
PERTURBATIONS: dict[str, Any] = {
    "additive": ls.Additive(clip=False),
    "clipped": ls.Additive(),
    "blend": ls.Blend("mean", at=0.4),
}


def experiment(response: str, perturbation: str, antithetic: bool, n: int, seed: int) -> ls.QuerySample:
    """n units of that arrangement."""
    n_queries = (2 if perturbation == "blend" else 1) + n * (2 if antithetic else 1)
    return ls.query(
        RESPONSES[response], IMAGE, ls.StructuredGaussian(GRID, 0.2), n_queries, antithetic=antithetic,
        perturbation=PERTURBATIONS[perturbation], rng=seed, progress=False,
    )  # fmt: skip


@cache
def truth(response: str, perturbation: str, antithetic: bool) -> np.ndarray:
    """The estimand by least squares on 60,000 units: its own error widens intervals at n = 200 by less than 0.2 %."""
    if response == "quadratic" and perturbation == "additive":
        level = float(linear_part(IMAGE[None])[0])
        return (1 + 3.0 * level) * GAMMA.ravel()  # Stein's identity, exactly
    parts = [experiment(response, perturbation, antithetic, 20_000, 10**6 + k) for k in range(3)]
    return np.mean([s.moments("least_squares").gamma[0] for s in parts], axis=0)


def coverage(
    response: str, perturbation: str, antithetic: bool, *, n: int, runs: int, kinds: tuple[Any, ...] = ("crossfit",)
) -> dict[str, tuple[float, float]]:
    """By kind, the share of cells and runs whose 95 % interval holds the truth, and its standard error over runs."""
    gamma, hits = truth(response, perturbation, antithetic), []
    for seed in range(runs):
        sample = experiment(response, perturbation, antithetic, n, seed)
        bounds = [ls.LEG(sample.moments(kind)).fit().conf_int(level=0.95).T for kind in kinds]
        hits.append([np.mean((low <= gamma) & (gamma <= high)) for low, high in bounds])
    columns = zip(kinds, np.transpose(hits), strict=True)
    return {kind: (float(np.mean(inside)), float(np.std(inside) / np.sqrt(runs))) for kind, inside in columns}


QUICK = [("quadratic", "additive", False), ("quadratic", "blend", True), ("linear and ripple", "clipped", False)]
ALL = [(r, p, a) for r in RESPONSES for p in PERTURBATIONS for a in (False, True)]


@pytest.mark.parametrize(("response", "perturbation", "antithetic"), QUICK)
def test_intervals_cover(response: str, perturbation: str, antithetic: bool) -> None:
    share, error = coverage(response, perturbation, antithetic, n=200, runs=200)["crossfit"]
    # 0.01 is what 200 units for 12 cells leave to asymptotics
    assert share == pytest.approx(0.95, abs=SE * error + 0.01)


def test_intervals_of_all_moments_cover() -> None:
    kinds = ("crossfit", "printed", "centred", "least_squares")
    for kind, (share, error) in coverage("saturating", "clipped", True, n=200, runs=200, kinds=kinds).items():
        # HC3 is conservative at 17 units per unknown: it may cover more
        assert share >= 0.95 - SE * error - 0.01, kind
        assert share <= 0.95 + SE * error + (0.03 if kind == "least_squares" else 0.01), kind


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 200, 800])
@pytest.mark.parametrize(("response", "perturbation", "antithetic"), ALL)
def test_intervals_cover_everywhere(response: str, perturbation: str, antithetic: bool, n: int) -> None:
    share, error = coverage(response, perturbation, antithetic, n=n, runs=600)["crossfit"]
    allowance = {100: 0.015, 200: 0.01, 800: 0.005}[n]
    assert share == pytest.approx(0.95, abs=SE * error + allowance)


@pytest.mark.slow
@pytest.mark.parametrize("channels", ["separate", "joint"])
def test_intervals_cover_in_every_channel(channels: Any) -> None:
    design = ls.StructuredGaussian(GRID, 0.2, channels=channels)

    def take(n: int, seed: int) -> ls.QuerySample:
        n_queries = 1 + 2 * n * (2 if channels == "separate" else 1)
        return ls.query(RESPONSES["saturating"], IMAGE, design, n_queries, rng=seed, progress=False)

    parts = [take(20_000, 10**6 + k).moments("least_squares").gamma for k in range(3)]
    gamma, hits = np.mean(parts, axis=0).ravel(), []
    for seed in range(500):
        low, high = ls.LEG(take(200, seed).moments("crossfit")).fit().conf_int().T
        hits.append(np.mean((low <= gamma) & (gamma <= high)))
    error = np.std(hits) / np.sqrt(500)
    assert np.mean(hits) == pytest.approx(0.95, abs=SE * error + 0.01)


# ---------------------------------------------------------------- rates and gains


def rmse(estimate: Callable[[int], np.ndarray], target: np.ndarray, runs: int) -> float:
    return float(np.sqrt(np.mean([np.sum((estimate(seed) - target) ** 2) for seed in range(runs)])))


@pytest.mark.parametrize("kind", ["printed", "crossfit"])
def test_error_of_leg_falls_with_the_root_of_n(kind: Any) -> None:
    """Four times the units, half the error: the ratio over 100 runs has a relative standard error of about 3 %."""
    target = truth("quadratic", "additive", False)

    def error(n: int) -> float:
        return rmse(
            lambda seed: experiment("quadratic", "additive", False, n, seed).moments(kind).gamma[0], target, 100
        )

    assert error(250) / error(1000) == pytest.approx(2.0, rel=SE * 0.035 + 0.05)


def test_better_moments_need_fewer_queries() -> None:
    """At the same number of evaluations, for a response with a large mean shift: centring, pairs and cross-fitting each
    have a smaller error than the estimate as printed."""
    target = truth("quadratic", "additive", False)

    def error(kind: Any, antithetic: bool) -> float:
        n = 200 if antithetic else 400
        return rmse(
            lambda seed: experiment("quadratic", "additive", antithetic, n, seed).moments(kind).gamma[0], target, 60
        )

    printed = error("printed", False)
    # the differences are several times their Monte Carlo error of some 6 %
    assert error("centred", False) < 0.95 * printed
    assert error("crossfit", False) < 0.8 * printed
    assert error("crossfit", True) < 0.8 * printed


@pytest.mark.slow
def test_legtv_beats_leg_on_a_piecewise_constant_truth_and_converges() -> None:
    grid = (10, 10)
    gamma = np.zeros(grid)
    gamma[2:6, 3:7] = 1.0
    design, image = ls.StructuredGaussian(grid, 0.1), np.full((1, 10, 10), 0.5)

    def f(images: np.ndarray) -> np.ndarray:
        linear = ls.simulate.linear(gamma)(images) - 8.0
        # 100 cells at n = 150 to 2,400: the ripple is noise to the linear map
        return linear + 2.0 * np.sin(300 * images[:, 0].reshape(len(images), -1) @ np.cos(np.arange(100.0)))

    def errors(n: int) -> np.ndarray:
        found = []
        for seed in range(12):
            sample = ls.query(f, image, design, 1 + 2 * n, rng=seed, progress=False)
            leg, tv = ls.LEG(sample).fit(), ls.LEGTV(sample).fit_path(progress=False).select("heldout")
            found.append([np.linalg.norm(r.params - gamma.ravel()) for r in (leg, tv)])
        return np.mean(found, axis=0)

    few, many = errors(150), errors(2400)
    assert few[1] < 0.7 * few[0]
    assert many[1] < 0.8 * many[0]
    assert many[1] < 0.5 * few[1]


@pytest.mark.slow
def test_fidelity_is_that_of_fresh_draws() -> None:
    """The K-fold R^2 is that of a fit to 4/5 of the units: on average a little below, never above, a fresh sample's."""
    differences = []
    for seed in range(60):
        sample = experiment("saturating", "clipped", True, 200, seed)
        result, fresh = ls.LEG(sample).fit(), experiment("saturating", "clipped", True, 2000, 10**5 + seed)
        assert result.r2_heldout is not None
        differences.append(result.r2_heldout - r2_on(fresh, result.params.reshape(1, -1)))
    error = np.std(differences) / np.sqrt(60)
    assert np.mean(differences) <= SE * error
    assert np.mean(differences) >= -SE * error - 0.05  # a fifth fewer units at 17 units per unknown
