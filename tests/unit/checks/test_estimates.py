"""Checks of one picture's estimates: each passes where it should, and fails where it should."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import legstat as ls
from legstat import checks
from legstat.solvers import Certificate

IMAGE = np.full((1, 6, 6), 0.5)
GAMMA = np.zeros((6, 6))
GAMMA[2:4, 2:4] = 1.0
DESIGN = ls.StructuredGaussian(grid=(6, 6), scale=0.05)


@pytest.fixture(scope="module")
def sample() -> ls.QuerySample:
    return ls.query(ls.simulate.logistic(GAMMA), IMAGE, DESIGN, n_queries=601, rng=0)


@pytest.fixture(scope="module")
def leg(sample: ls.QuerySample) -> ls.LEGResults:
    return ls.LEG(sample).fit()


def test_a_score_that_moves_and_one_that_is_rounding(sample: ls.QuerySample) -> None:
    assert checks.score_moves(sample).status == "passed"
    rng = np.random.default_rng(0)
    # 3 units in the last place of 1.0, as a float32 network would give them
    stuck = dataclasses.replace(
        sample,
        segments=tuple(
            dataclasses.replace(s, responses=1.0 + 3 * np.finfo(np.float32).eps * rng.random(s.responses.shape))
            for s in sample.segments
        ),
        f_base=1.0,
        response={**sample.response, "kind": "onnx"},
    )
    found = checks.score_moves(stuck)
    assert found.status == "failed"
    assert found.value is not None
    assert found.value < 4
    # the same numbers of a function in double precision do move
    assert checks.score_moves(dataclasses.replace(stuck, response={"kind": "callable"})).status == "passed"


def test_the_warning_of_query_and_the_check_agree() -> None:
    with pytest.warns(ls.ConstantScoreWarning):
        flat = ls.query(lambda x: np.full(len(x), 0.25), IMAGE, DESIGN, n_queries=101, rng=0)
    assert checks.score_moves(flat).status == "failed"


def test_a_map_that_predicts_and_one_of_noise(leg: ls.LEGResults) -> None:
    found = checks.predicts(leg)
    assert (found.status, found.value) == ("passed", leg.r2_heldout)
    noise = np.random.default_rng(0)
    nothing = ls.query(lambda x: noise.standard_normal(len(x)), IMAGE, DESIGN, n_queries=601, rng=0)
    assert checks.predicts(ls.LEG(nothing).fit()).status == "failed"
    given = ls.LEG(ls.Moments(b=leg.moments.b, design=DESIGN, n=300)).fit()
    assert checks.predicts(given).status == "not_applicable"


def test_a_certificate_that_fails(sample: ls.QuerySample) -> None:
    tv = ls.LEGTV(sample).fit(L_ratio=0.3)
    assert checks.certified(tv).status == "passed"
    broken = dataclasses.replace(tv.certificate, gap=1e-3)
    assert isinstance(broken, Certificate)
    found = checks.certified(dataclasses.replace(tv, certificates=(broken,)))
    assert (found.status, found.value) == ("failed", 1e-3)


def test_a_mean_shift_costs_printed_moments_alone() -> None:
    def shifted(images: np.ndarray) -> np.ndarray:
        moved = images.reshape(len(images), -1) - 0.5
        return moved @ GAMMA.ravel() + 5.0 * (np.abs(moved).max(axis=1) > 0)

    def result(**settings: object) -> ls.LEGResults:
        drawn = ls.query(shifted, IMAGE, DESIGN, n_queries=401, rng=0, **settings)  # type: ignore[arg-type]
        return ls.LEG(drawn, moments="printed").fit()

    paired, single = result(antithetic=True), result(antithetic=False)
    assert checks.mean_shift(paired).status == "passed"
    found = checks.mean_shift(single)
    assert found.status == "failed"
    # the factor of eq. 4's moments by its definition
    y = single.sample.responses - single.sample.f_base
    assert found.value == pytest.approx(1 + y.mean() ** 2 / y.var(), rel=1e-9)


def test_the_detectable_contrast_is_the_one_that_is_planned_with(sample: ls.QuerySample, leg: ls.LEGResults) -> None:
    box = (2, 4, 2, 4)
    found = checks.enough_queries(leg, contrast=1.0, region=box)
    n = sample.n_units[0] * 2 + 1
    planned = ls.solve_power(sample, region=box, n_queries=n, alpha=0.05, power=0.8)
    # two ways to the same standard error; the other tail is left out of one of them
    assert found.value == pytest.approx(planned, rel=1e-5)
    assert found.status == ("passed" if planned <= 1.0 else "failed")
    few = checks.enough_queries(leg, contrast=found.value / 10, region=box)
    assert few.status == "failed"
    assert few.details["needed"] == pytest.approx(100 * sample.ledger.n_queries, rel=0.01)
    asked = checks.enough_queries(leg)
    assert asked.status == "not_applicable"
    assert len(asked.details["detectable"]) == 16
    assert found.details["detectable_cell"] > 0


def test_the_default_regions_are_equal_parts() -> None:
    from legstat.checks.estimates import _parts

    labels = _parts((28, 28))
    assert np.unique(labels, return_counts=True)[1].tolist() == [49] * 16
    assert len(np.unique(_parts((3, 8)))) == 12


@pytest.mark.parametrize("antithetic", [True, False])
def test_a_placebo_keeps_sizes_and_loses_the_map(sample: ls.QuerySample, antithetic: bool) -> None:
    drawn = ls.query(ls.simulate.logistic(GAMMA), IMAGE, DESIGN, n_queries=601, antithetic=antithetic, rng=0)
    fake = checks.placebo_sample(drawn, rng=1)
    np.testing.assert_array_equal(fake.draws(), drawn.draws())
    if antithetic:
        old, new = (s.responses.reshape(-1, 2) for s in (drawn, fake))
        np.testing.assert_array_equal(np.sort(old, axis=1), np.sort(new, axis=1))
        swapped = (old != new).any(axis=1).mean()
    else:
        old, new = (s.responses - drawn.responses.mean() for s in (drawn, fake))
        np.testing.assert_allclose(np.abs(old), np.abs(new), rtol=1e-9, atol=1e-12)  # mirrored at the mean
        swapped = (np.abs(old - new) > 1e-12).mean()
    assert 0.4 < swapped < 0.6
    assert ls.LEG(drawn).fit().r2_heldout > 0.3
    assert ls.LEG(fake).fit().r2_heldout < 0.05
    assert np.array_equal(checks.placebo_sample(drawn, rng=1).responses, fake.responses)


def test_a_placebo_fails_where_errors_are_too_small(sample: ls.QuerySample, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.placebo(sample, rng=0).status == "passed"
    real = ls.Moments.gamma.fget
    monkeypatch.setattr(ls.Moments, "gamma", property(lambda self: 1.5 * real(self)))  # errors two thirds of the truth
    found = checks.placebo(sample, rng=0)
    assert found.status == "failed"
    assert found.value is not None
    assert found.value == pytest.approx(0.19, abs=0.05)  # P(|t| > 1.96 / 1.5)


def test_without_standard_errors_there_is_no_placebo() -> None:
    paper = ls.query(ls.simulate.linear(GAMMA), IMAGE, DESIGN, n_queries=61, rng=0)
    found = checks.placebo(paper, rng=0)  # 30 pairs: no intervals are offered
    assert found.status == "not_applicable"
    assert "too few" in found.meaning


@pytest.mark.slow
def test_the_placebo_calls_as_many_cells_significant_as_it_says() -> None:
    # responses without any structure that is known: logistic, heavy-tailed and constant ones, with and without pairs
    rng = np.random.default_rng(0)
    shares = []
    for i in range(40):
        f = ls.simulate.logistic(3.0 * GAMMA * rng.normal(size=GAMMA.shape))
        drawn = ls.query(f, IMAGE, DESIGN, n_queries=401, antithetic=bool(i % 2), rng=i)
        shares.append(checks.placebo(drawn, n_placebos=10, rng=i).value)
    error = np.std(shares, ddof=1) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - 0.05) < 3 * error + 0.005
