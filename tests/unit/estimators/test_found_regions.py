"""Regions of an explanation: sums by hand from the half that did not choose them, order, files, when there are none."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.estimators.found_regions import can_be_tested, find_regions
from legstat.estimators.regions import inference_on
from legstat.samples.splitting import split_sample


def truth() -> np.ndarray:
    gamma = np.zeros((8, 8))
    gamma[1:4, 2:5], gamma[6:, :3] = 1.5, -1.0
    return gamma


def drawn(n_queries: int = 1601, rng: int = 0, conventions: str | None = None) -> ls.QuerySample:
    f = ls.simulate.logistic(truth(), offset=-1.0)
    design = ls.MultiscaleBlocks(grid=(8, 8)) if conventions is None else ls.StructuredGaussian(grid=(8, 8), scale=0.1)
    picture = np.full((1, 8, 8), 0.5)
    return ls.query(f, picture, design, n_queries, rng=rng, conventions=conventions, progress=False)


@pytest.fixture(scope="module")
def sample() -> ls.QuerySample:
    return drawn()


@pytest.fixture(scope="module")
def regions(sample) -> ls.Regions:
    return find_regions(sample, {"L": "simplest"}, relaxed=True)


def test_sums_are_those_of_leg_on_the_other_half(sample, regions):
    finding, testing = split_sample(sample, 0.5)
    assert (regions.n_finding, regions.n_testing) == (finding.n_units[0], testing.n_units[0])
    leg = ls.LEG(testing).fit()
    for number in range(regions.n_regions):
        own = regions.labels[0] == number
        by_hand = leg.region(own, aggregate="sum")
        # the same sums of at most 64 terms in another order
        np.testing.assert_allclose(regions.sums.estimates[number], by_hand.estimates[0], rtol=1e-10)
        np.testing.assert_allclose(regions.sums.std_errors[number], by_hand.std_errors[0], rtol=1e-8)
        assert regions.cells[number] == own.sum()
    chosen = ls.LEGTV(finding, relaxed=True).fit("simplest")
    assert regions.L == chosen.L
    for number in range(regions.n_regions):
        assert len(np.unique(chosen.regions[regions.labels == number])) == 1


def test_they_are_adjusted_for_each_other_and_the_strongest_come_first(regions):
    test = regions.sums.test(fwer=0.05, method="max-t")
    # by 2,000 draws of their own: standard errors of .011 at most, and they differ
    np.testing.assert_allclose(regions.pvalues_adjusted, test.pvalues_adjusted, rtol=0.0, atol=0.05)
    assert (np.diff(regions.pvalues_adjusted) >= 0).all()
    assert regions.n_found == regions.found.sum() >= 2
    assert regions.found[: regions.n_found].all()
    low, high = regions.conf_int().T
    np.testing.assert_array_equal((low > 0) | (high < 0), regions.found)
    assert set(np.unique(regions.found_labels)) <= {-1, *range(regions.n_found)}


def test_it_finds_what_is_there(regions):
    number = regions.labels[0, 2, 3]
    other = regions.labels[0, 7, 1]
    assert regions.found[[number, other]].all()
    assert regions.signs[number] == 1
    assert regions.signs[other] == -1
    low, high = regions.conf_int()[number]
    alone = regions.conf_int(simultaneous=False)[number]
    assert low < alone[0] < regions.sums.estimates[number] < alone[1] < high


def test_frame(regions):
    frame = regions.to_frame()
    assert len(frame) == regions.n_found
    assert list(frame.index) == list(range(regions.n_found))
    for number, row in frame.iterrows():
        assert regions.labels[tuple(row[["channel", "row", "column"]].astype(int))] == number
        assert row["conf_low"] < row["sum"] < row["conf_high"]
        assert row["sign"] == np.sign(row["sum"])
    every = regions.to_frame(every=True)
    assert len(every) == regions.n_regions
    assert every["found"].sum() == regions.n_found


def test_saved_and_loaded(regions, tmp_path):
    regions.save(tmp_path / "regions.npz")
    again = ls.Regions.load(tmp_path / "regions.npz")
    assert repr(again) == repr(regions)
    np.testing.assert_array_equal(again.labels, regions.labels)
    np.testing.assert_array_equal(again.conf_int(), regions.conf_int())
    assert again.to_frame(every=True).equals(regions.to_frame(every=True))
    with pytest.raises(ValueError, match="Regions"):
        ls.Regions.load(__file__)


def test_the_smallest_map_of_all_has_a_region():
    f = ls.simulate.linear(np.array([[1.0, -1.0]]), offset=0.3)
    design = ls.BernoulliCells(grid=(1, 2))
    sample = ls.query(f, np.full((1, 1, 2), 0.5), design, 1501, rng=0, progress=False)
    found = find_regions(sample, {"L": 0.0}, relaxed=False)  # two single cells
    assert found.n_regions == found.n_found == 2
    assert sorted(found.signs.tolist()) == [-1, 1]


@pytest.mark.parametrize(("n_queries", "there"), [(1201, True), (1150, False), (300, False)])
def test_from_how_many_on_they_are_there(n_queries, there):
    assert can_be_tested(drawn(n_queries)) == there


def test_other_conventions_have_none():
    assert not can_be_tested(drawn(2001, conventions="paper"))


def test_regions_of_one_channel_each():
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.2, channels="separate")
    weights = np.zeros((3, 4, 4))
    weights[1, :2, :2] = 1.0
    noise = np.random.default_rng(1)

    def f(x: np.ndarray) -> np.ndarray:
        return np.tensordot(x, weights, 3) + 0.01 * noise.standard_normal(len(x))

    sample = ls.query(f, np.full((3, 4, 4), 0.5), design, 3901, rng=0, progress=False)
    found = find_regions(sample, {"L_ratio": 0.3}, relaxed=True)
    assert found.labels[1, 0, 0] == 0
    assert found.to_frame().iloc[0]["channel"] == 1


@pytest.mark.slow
def test_familywise_error_and_coverage():
    """400 samples with nothing but noise: the shares of samples with any false region, and of bands that miss 0."""
    wrong, missed = [], []
    for seed in range(400):
        noise = np.random.default_rng([seed, 1])
        f = ls.as_response(lambda x, noise=noise: noise.standard_normal(len(x)))
        design = ls.MultiscaleBlocks(grid=(6, 6))
        sample = ls.query(f, np.full((1, 6, 6), 0.5), design, 1201, rng=seed, progress=False)
        found = find_regions(sample, {"L_ratio": 0.3}, relaxed=True)
        ends = found.conf_int()
        wrong.append(found.n_found > 0)
        missed.append(bool(((ends[:, 0] > 0) | (ends[:, 1] < 0)).any()))
    # standard error .011 at .05: three of them
    assert np.mean(wrong) < 0.085
    assert np.mean(missed) < 0.085


def test_levels_and_levels_alone(sample):
    finding, testing = split_sample(sample, 0.5)
    inference = inference_on(ls.LEG(testing).fit(), ls.LEGTV(finding).fit(L_ratio=0.3), 2)
    strict, loose = (ls.Regions.of(inference, fwer=level) for level in (1e-6, 0.2))
    assert strict.n_found <= loose.n_found
    with pytest.raises(ValueError, match="`fwer`"):
        ls.Regions.of(inference, fwer=1.5)
