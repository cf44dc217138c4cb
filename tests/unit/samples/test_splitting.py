"""Sample splitting, L by bootstrap, the noise probe."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.designs.blocks import BLOCK
from legstat.inference.confidence_set import noise_draws
from legstat.inference.covariance import Covariance
from tests.helpers import Counting, naive_D, pinv, smooth

SHAPE = (5, 5)
IMAGE = np.full((3, 10, 10), 0.5)


def gamma() -> np.ndarray:
    truth = np.zeros(SHAPE)
    truth[1:3, 1:3] = 2.0
    return truth


def sample(n: int = 1601, channels: str = "shared", **options: object) -> ls.QuerySample:
    design = ls.StructuredGaussian(grid=SHAPE, scale=0.2, channels=channels)
    return ls.query(ls.simulate.logistic(gamma()), IMAGE, design, n_queries=n, rng=0, **options)


@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_split_parts_are_the_sample_again(channels: str, share: float) -> None:
    whole = sample(channels=channels)
    first, second = ls.split_sample(whole, share)
    together = first.merge(second)
    assert together.n_units == whole.n_units
    assert together.ledger.spent == whole.ledger.spent
    for got, expected in zip(together.units, whole.units, strict=True):
        for i in range(2):
            np.testing.assert_array_equal(
                np.concatenate([c[i] for c in got.rows()]), np.concatenate([c[i] for c in expected.rows()])
            )
    draws = [np.concatenate([z for z, _ in part.units[0].rows()]) for part in (first, second)]
    assert not (draws[0][:, None] == draws[1][None]).all(axis=-1).any()  # no draw in both
    assert abs(first.n_units[0] / whole.n_units[0] - share) <= 16.01 / whole.n_units[0]  # half a block


def test_split_of_merged_and_given_samples() -> None:
    design = ls.StructuredGaussian(grid=SHAPE, scale=0.2)
    f = ls.simulate.logistic(gamma())
    runs = [ls.query(f, IMAGE, design, n_queries=301, rng=seed) for seed in range(3)]
    merged = runs[0].merge(*runs[1:])
    first, second = ls.split_sample(merged)
    assert first.n_units[0] + second.n_units[0] == merged.n_units[0]
    np.testing.assert_allclose(  # sums in another order
        first.merge(second).moments("centred").b, merged.moments("centred").b, rtol=1e-12, atol=1e-15
    )
    rng = np.random.default_rng(0)
    design = ls.IsotropicGaussian(SHAPE, 1.0)
    z, y = rng.standard_normal((50, *SHAPE)), rng.standard_normal(50)
    first, second = ls.split_sample(ls.QuerySample.from_arrays(z, y, design), 0.4)
    assert (first.n_units, second.n_units) == ((20,), (30,))
    np.testing.assert_array_equal(second.draws()[:, 0], z[20:])
    z, y = np.stack([z, -z], axis=1).reshape(-1, *SHAPE), rng.standard_normal(100)
    first, second = ls.split_sample(ls.QuerySample.from_arrays(z, y, design, antithetic=True), 0.4)
    assert (first.n_units, second.n_units) == ((20,), (30,))
    np.testing.assert_array_equal(second.draws()[:, 0], z[40:])


def stopped(at: int, **options: object) -> ls.QuerySample:
    """What a run leaves whose response fails at evaluation number `at`."""
    design = ls.StructuredGaussian(grid=SHAPE, scale=0.2, channels=options.pop("channels", "shared"))
    with pytest.raises(ls.QueryError) as caught:
        ls.query(Counting(smooth, nan_at=at), IMAGE, design, n_queries=801, rng=0, batch_size=7, **options)
    assert caught.value.sample is not None
    return caught.value.sample


@pytest.mark.parametrize("channels", ["shared", "separate"])
def test_parts_of_a_stopped_run_go_on_as_the_run_would(channels: str) -> None:
    """What is pending belongs to the draws after the last whole pair, so it goes with the second part."""
    partial, f = stopped(430, channels=channels), Counting(smooth)
    design = ls.StructuredGaussian(grid=SHAPE, scale=0.2, channels=channels)
    whole = ls.query(f, IMAGE, design, n_queries=801, rng=0)
    assert any(segment.pending.size for segment in partial.segments)
    for first in ls.split_sample(partial):
        more = ls.query(Counting(smooth), IMAGE, design, n_queries=first.ledger.perturbed + 220, resume=first)
        for mine, all_ in zip(more.segments, whole.segments, strict=True):
            start = BLOCK * mine.first_block
            expected = all_.responses[start : start + len(mine.responses)]
            np.testing.assert_array_equal(mine.responses[: len(expected)], expected)
            assert len(expected)
    ledgers = [part.ledger for part in ls.split_sample(partial)]
    assert sum(ledger.perturbed for ledger in ledgers) == partial.ledger.perturbed
    assert sum(ledger.spent for ledger in ledgers) == partial.ledger.spent
    assert_array_of_same_pending(ls.split_sample(partial)[1], partial)


def assert_array_of_same_pending(part: ls.QuerySample, whole: ls.QuerySample) -> None:
    for mine, theirs in zip(part.segments, whole.segments, strict=True):
        np.testing.assert_array_equal(mine.pending, theirs.pending)


def test_parts_of_a_run_from_the_cache_cost_nothing_below_nothing(tmp_path) -> None:
    design = ls.StructuredGaussian(grid=SHAPE, scale=0.2)
    for _ in range(2):
        served = ls.query(ls.simulate.linear(gamma()), IMAGE, design, n_queries=401, rng=0, cache=tmp_path)
    assert (served.ledger.perturbed, served.ledger.cached) == (0, 401)
    first, second = ls.split_sample(served)
    assert (first.ledger.perturbed, second.ledger.perturbed) == (0, 0)
    assert (first.ledger.cached, second.ledger.cached) == (401 - second.responses.size, second.responses.size)
    assert first.ledger.unused == second.ledger.unused == 0


def test_split_refuses() -> None:
    with pytest.raises((TypeError, ValueError), match="strictly between"):
        ls.split_sample(sample(), True)
    with pytest.raises(ValueError, match="strictly between"):
        ls.split_sample(sample(), 1.0)
    with pytest.raises(ValueError, match="more pairs"):
        ls.split_sample(sample(61))


@pytest.mark.parametrize("channels", ["shared", "separate"])
def test_regions_are_tested_on_the_other_part(channels: str) -> None:
    data = sample(4201, channels)
    found = ls.region_inference(data, L_ratio=0.4)
    first, second = ls.split_sample(data)
    np.testing.assert_array_equal(found.selection.params, ls.LEGTV(first).fit(L_ratio=0.4).params)
    np.testing.assert_array_equal(found.estimation.params, ls.LEG(second).fit().params)
    for i in range(found.n_regions):
        inside = found.labels.ravel() == i
        np.testing.assert_allclose(  # one mean
            found.contrasts.estimates[i], found.estimation.params[inside].mean(), rtol=1e-10, atol=1e-12
        )
        assert np.ptp(found.selection.params[inside]) <= 1e-6 * np.ptp(found.selection.params)
    assert found.to_frame()["cells"].sum() == (found.labels >= 0).sum()
    hot = found.labels[0, 1, 1]
    assert found.test(fwer=0.05).reject[hot]
    assert (np.diff(found.conf_int(simultaneous=True)) > np.diff(found.conf_int())).all()


def test_region_inference_refuses() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        ls.region_inference(sample(), L=0.1, L_ratio=0.1)
    with pytest.raises(ValueError, match="some region"):
        ls.region_inference(sample(), L=0.0, smallest=20)
    with pytest.raises(ls.InferenceUnavailableError, match="below 100"):
        ls.region_inference(sample(301), L_ratio=0.5).conf_int()
    with pytest.raises(ls.InferenceUnavailableError, match="region_inference"):
        ls.LEGTV(sample()).fit(L_ratio=0.5).conf_int()


def test_regions_rule() -> None:
    assert ls.region_inference(sample(), L="bootstrap").selection.L > 0


@pytest.mark.parametrize("kind", ["centred", "crossfit", "least_squares", "regression"])
def test_bootstrap_L_is_the_quantile_of_dense_noise(kind: str) -> None:
    data = sample(2001)
    moments = data.moments(kind)
    covariance = Covariance(data.units, moments.influence)
    draws = noise_draws(covariance, data.design, n_draws=8000, rng=1)
    # the same law, drawn from the dense covariance of D^{+T} b
    T = pinv(naive_D(*SHAPE)).T @ data.design.covariance_matrix()
    root = np.linalg.cholesky(covariance.matrix())
    normal = np.random.default_rng(2).standard_normal((8000, 25))
    dense = np.abs(normal @ (T @ root).T).max(axis=1)
    for level in (0.5, 0.9, 0.95):  # quantiles of 8,000 draws: some 1 % of noise each
        np.testing.assert_allclose(np.quantile(draws, level), np.quantile(dense, level), rtol=0.04, atol=0)
    estimator = ls.LEGTV(data, moments=kind)
    chosen = estimator.fit_path(n_Ls=2, progress=False).select("bootstrap", level=0.9, rng=1)
    np.testing.assert_allclose(chosen.L, estimator.L_bootstrap(level=0.9, rng=1), rtol=1e-12, atol=0)
    if kind != "regression":
        np.testing.assert_allclose(chosen.L, np.quantile(dense, 0.9), rtol=0.06, atol=0)  # 2,000 draws


@pytest.mark.parametrize("kind", ["regression", "adaptive"])
def test_bootstrap_L_of_shrunken_moments_reaches_the_unbiased_set(kind: str) -> None:
    """Every g in the set of the crossfit moments is in that of the shrunken ones, and one is on its rim."""
    data = sample(401)
    apart = pinv(naive_D(*SHAPE)).T @ (data.moments(kind).b - data.moments("crossfit").b)[0]
    inner = ls.LEGTV(data, moments="crossfit").L_bootstrap(level=0.9, rng=1)
    # the pseudo-inverse of 25 cells is exact to some 1e-14
    L = ls.LEGTV(data, moments=kind).L_bootstrap(level=0.9, rng=1)
    np.testing.assert_allclose(L, inner + np.abs(apart).max(), rtol=1e-9, atol=0)
    assert L > 1.001 * inner


def test_bootstrap_L_refuses() -> None:
    data = sample()
    with pytest.raises(ValueError, match="strictly between"):
        ls.LEGTV(data).L_bootstrap(level=1.0)
    with pytest.raises(ls.InferenceUnavailableError, match="needs the responses"):
        ls.LEGTV(data.moments("centred")).L_bootstrap()
    with pytest.raises(ls.InferenceUnavailableError, match="below 100"):
        ls.LEGTV(sample(101)).L_bootstrap()


def test_a_deterministic_response_has_no_noise() -> None:
    calls = []

    def f(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return ls.simulate.logistic(gamma())(images)

    probe = ls.noise_probe(f, IMAGE, ls.StructuredGaussian(grid=SHAPE), n_inputs=4, repeats=3, rng=0)
    assert probe.deterministic
    assert probe.variance == 0
    assert sum(calls) == probe.ledger.spent == 13
    assert np.ptp(probe.scores[:, 0]) > 0


@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
@pytest.mark.parametrize("antithetic", [False, True])
def test_probe_measures_the_noise_and_what_it_costs(channels: str, antithetic: bool) -> None:
    noise = np.random.default_rng(1)

    def f(images: np.ndarray) -> np.ndarray:
        return 0.3 * noise.standard_normal(len(images))

    design = ls.StructuredGaussian(grid=SHAPE, scale=0.2, channels=channels)
    probe = ls.noise_probe(f, IMAGE, design, n_inputs=20, repeats=100, rng=0)
    # 1,980 degrees of freedom: 3.2 % a standard error
    np.testing.assert_allclose(probe.variance, 0.09, rtol=0.13, atol=0)
    data = ls.query(f, IMAGE, design, n_queries=4001, antithetic=antithetic, rng=0)
    # nothing but this noise is in the response: all of the standard errors is the probe's part
    ratio = ls.LEG(data, moments="centred").fit().std_errors / probe.std_errors(data)
    np.testing.assert_allclose(np.median(ratio), 1.0, rtol=0.1, atol=0)


def test_probe_refuses() -> None:
    with pytest.raises(ValueError, match="repeats"):
        ls.noise_probe(ls.simulate.linear(gamma()), IMAGE, ls.StructuredGaussian(grid=SHAPE), repeats=1)
