"""Merging of regions: against refitting every pair by brute force, and the choice of their number by held-out draws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import legstat as ls
from legstat.designs.by_name import LAWS, law_named
from legstat.designs.grid import Grid
from legstat.estimators.merging import Merging
from legstat.estimators.relaxed import refitted

LABELS = np.array([[0, 0, 1, 1, 1, 1]] * 2 + [[0, 0, 2, 2, 3, 3]] * 3 + [[4] * 6])


def loss(design: ls.Design, gamma: np.ndarray, labels: np.ndarray) -> float:
    """Squared error under the law of z of the best map on these regions, by the brute force of `refitted`."""
    away = gamma - refitted(design, design.covariance(gamma), labels)
    return float(away @ design.covariance(away))


@pytest.mark.parametrize("law", LAWS)
def test_each_merge_is_the_cheapest_of_all(law):
    design = law_named(law, (6, 6))
    gamma = np.random.default_rng(0).standard_normal(36)
    found = Merging.of(design, design.covariance(gamma)[None], LABELS[None])
    tail, head = Grid((6, 6)).edges
    assert (found.most, found.fewest) == (5, 1)
    for count in (5, 4, 3, 2):
        labels, fewer = found.labels(count).ravel(), found.labels(count - 1).ravel()
        assert labels.max() + 1 == count
        neighbours = {(a, b) for a, b in zip(labels[tail], labels[head], strict=True) if a != b}
        losses = [loss(design, gamma, np.where(labels == b, a, labels)) for a, b in neighbours]
        # the same five-by-five systems by other routes
        np.testing.assert_allclose(loss(design, gamma, fewer), min(losses), rtol=1e-9)
        level = refitted(design, design.covariance(gamma), fewer)
        np.testing.assert_allclose(found.maps([count - 1])[0], level, rtol=1e-9, atol=1e-12)


def test_channels_are_merged_together_but_never_with_each_other():
    design = ls.IsotropicGaussian(grid=(1, 4), scale=1.0)
    gamma = np.array([[0.0, 1.0, 1.1, 3.0], [5.0, 5.0, 5.01, 5.0]])
    found = Merging.of(design, gamma, np.arange(8).reshape(2, 1, 4))
    assert found.fewest == 2
    np.testing.assert_allclose(found.maps([2])[0], np.repeat(gamma.mean(axis=1), 4), rtol=1e-12)
    assert found.labels(2).tolist() == [[[0] * 4], [[1] * 4]]
    # the second channel is flat but for .01: it goes first
    assert found.labels(5).tolist() == [[[0, 1, 2, 3]], [[4, 4, 4, 4]]]


@pytest.fixture(scope="module")
def sample() -> ls.QuerySample:
    gamma = np.zeros((8, 8))
    gamma[2:5, 3:6], gamma[6:, :3] = 1.5, -1.0
    f = ls.simulate.logistic(gamma, offset=-1.0)
    design = ls.MultiscaleBlocks(grid=(8, 8))
    return ls.query(f, np.full((1, 8, 8), 0.5), design, 1201, rng=0, progress=False)


def test_merged_results_keep_the_program_and_coarsen_the_regions(sample):
    found = ls.LEGTV(sample, relaxed=True).fit(L_ratio=0.05)
    merged = found.merge(4)
    assert merged.n_regions == 4
    assert merged.relaxed
    np.testing.assert_array_equal(merged.solution, found.solution)
    assert merged.certificate == found.certificate
    assert merged.face_width == found.face_width
    for number in range(found.n_regions):
        assert len(np.unique(merged.regions[found.regions == number])) == 1
    np.testing.assert_array_equal(found.merge(found.n_regions).params.round(9), found.params.round(9))
    # from the map of eq. 5 to the same: its levels are refitted on the way
    np.testing.assert_array_equal(ls.LEGTV(sample).fit(L_ratio=0.05).merge(4).params, merged.params)
    assert merged.merge(2).n_regions == 2


def test_saved_and_loaded(sample, tmp_path):
    found = ls.LEGTV(sample, relaxed=True).fit(L_ratio=0.05).merge(4)
    found.save(tmp_path / "tv.npz")
    again = ls.LEGTVResults.load(tmp_path / "tv.npz")
    np.testing.assert_array_equal(again.regions, found.regions)
    assert (again.n_regions, again.relaxed) == (4, True)


def test_simplest_merges_as_far_as_held_out_draws_do_not_mind(sample):
    estimator = ls.LEGTV(sample, relaxed=True)
    path = estimator.fit_path(n_Ls=8)
    chosen = path.select("simplest")
    start = path[path.heldout.simplest]
    assert chosen.L == start.L
    counts = list(range(1, start.n_regions + 1))
    by_hand = []
    for fold in range(5):
        part = ls.LEGTV(sample.moments("adaptive", leave_out=(fold, 5)), relaxed=True).fit(start.L)
        by_hand.append([part.merge(min(count, part.n_regions)).params for count in counts])
    z, f = sample.draws().reshape(-1, 2, 64)[:, 0], sample.responses.reshape(-1, 2)
    odd, turn = (f[:, 0] - f[:, 1]) / 2, np.arange(len(f)) % 5
    squares = [
        np.concatenate([(odd[turn == k] - z[turn == k] @ by_hand[k][j]) ** 2 for k in range(5)])
        for j in range(len(counts))
    ]
    r2 = 1 - np.array([s.sum() for s in squares]) / np.sum(odd**2)
    # the last is the start itself
    assert r2[-1] == pytest.approx(path.heldout.r2[path.heldout.simplest], rel=1e-6)
    assert chosen.n_regions == counts[int(np.flatnonzero(r2 >= r2[-1] - 1e-12)[0])]
    assert chosen.r2_heldout == pytest.approx(r2[chosen.n_regions - 1], rel=1e-6)
    assert 3 <= chosen.n_regions < start.n_regions


def test_what_has_too_many_regions_is_not_merged(sample, monkeypatch):
    from legstat.estimators import legtv_results, path

    found = ls.LEGTV(sample, relaxed=True).fit_path(n_Ls=6)
    start = found[found.heldout.simplest]
    for module in (legtv_results, path):
        monkeypatch.setattr(module, "MOST_REGIONS", start.n_regions - 1)
    assert found.select("simplest").n_regions == start.n_regions
    with pytest.raises(ValueError, match=r"`n_regions` must be of a map of at most"):
        start.merge(2)


def test_numbers_of_regions_descend_by_one(sample):
    found = ls.LEGTV(sample).fit(L_ratio=0.02).merging
    sizes = [found.labels(count).max() + 1 for count in range(found.most, found.fewest - 1, -1)]
    assert all(a - b == 1 for a, b in pairwise(sizes))
    # past the start there is nothing finer
    np.testing.assert_array_equal(found.maps([found.most + 5]), found.maps([found.most]))
