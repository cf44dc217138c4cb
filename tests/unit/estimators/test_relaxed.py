"""Relaxed maps: the levels against least squares on the regions by hand, for every law; what is kept of the program."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import legstat as ls
from legstat.designs.by_name import LAWS, law_named
from legstat.estimators import relaxed
from legstat.estimators.relaxed import refitted

LABELS = np.array([[0, 0, 1, 1, 1, 1]] * 2 + [[0, 0, 2, 2, 3, 3]] * 3 + [[4] * 6])


def truth() -> np.ndarray:
    gamma = np.zeros((8, 8))
    gamma[2:5, 3:6] = 1.5
    return gamma


@pytest.fixture(scope="module")
def sample() -> ls.QuerySample:
    f = ls.simulate.logistic(truth(), offset=-2.0)
    design = ls.MultiscaleBlocks(grid=(8, 8))
    return ls.query(f, np.full((1, 8, 8), 0.5), design, 1201, rng=0, progress=False)


@pytest.mark.parametrize("law", LAWS)
def test_levels_are_the_least_squares_ones_under_every_law(law):
    design = law_named(law, (6, 6))
    gamma = np.random.default_rng(0).standard_normal(36)
    found = refitted(design, design.covariance(gamma), LABELS.ravel())
    # by whitening: the columns of L^T R fitted to L^T gamma, Sigma = L L^T; condition below 1e3
    root = np.linalg.cholesky(design.covariance_matrix()).T
    R = np.eye(5)[LABELS.ravel()]
    levels = np.linalg.lstsq(root @ R, root @ gamma, rcond=None)[0]
    np.testing.assert_allclose(found, R @ levels, rtol=1e-10, atol=1e-12)


def test_many_cells_go_by_conjugate_gradients_to_the_same_levels(monkeypatch):
    design = ls.MultiscaleBlocks(grid=(6, 6))
    b = design.covariance(np.random.default_rng(1).standard_normal(36))
    direct = refitted(design, b, LABELS.ravel())
    monkeypatch.setattr(relaxed, "DENSE_LIMIT", 10)
    # a relative residual of 1e-12 at a condition below 100
    np.testing.assert_allclose(refitted(design, b, LABELS.ravel()), direct, rtol=1e-9, atol=1e-12)


def test_the_ends_of_the_path(sample):
    estimator = ls.LEGTV(sample, relaxed=True)
    b, design = sample.moments("adaptive").b, sample.design
    flat = estimator.fit(L_ratio=1.0)
    ones = np.ones(64)
    np.testing.assert_allclose(flat.params, b.sum() / (ones @ design.covariance(ones)), rtol=1e-9)
    # every cell a region: LEG of these moments, by another solve of a system of condition below 100
    np.testing.assert_allclose(refitted(design, b[0], np.arange(64)), design.solve(b)[0], rtol=1e-9, atol=1e-12)


def test_the_program_is_that_of_the_penalised_map(sample):
    plain, relaxed_ = (ls.LEGTV(sample, relaxed=flag).fit(L_ratio=0.1) for flag in (False, True))
    assert relaxed_.relaxed
    assert not plain.relaxed
    np.testing.assert_array_equal(relaxed_.solution, plain.params)
    np.testing.assert_array_equal(relaxed_.regions, plain.regions)
    assert relaxed_.certificate == plain.certificate
    assert relaxed_.face_width == plain.face_width
    np.testing.assert_array_equal(plain.relax().params, relaxed_.params)
    np.testing.assert_array_equal(relaxed_.relax().params, relaxed_.params)
    # nothing is shrunken: the levels lie further apart
    assert np.ptp(relaxed_.params) > np.ptp(plain.params)
    assert len(np.unique(relaxed_.params.round(12))) == relaxed_.n_regions


def test_heldout_r2_is_that_of_refitted_levels(sample):
    estimator = ls.LEGTV(sample, relaxed=True)
    path = estimator.fit_path(n_Ls=6)
    by_hand = []
    for fold in range(5):
        part = ls.LEGTV(sample.moments("adaptive", leave_out=(fold, 5)), relaxed=True)
        by_hand.append([part.fit(float(L)).params for L in path.Ls])
    z, f = sample.draws().reshape(-1, 2, 64)[:, 0], sample.responses.reshape(-1, 2)
    odd = (f[:, 0] - f[:, 1]) / 2
    turn = np.arange(len(odd)) % 5
    errors = [
        sum(np.sum((odd[turn == k] - z[turn == k] @ by_hand[k][j]) ** 2) for k in range(5)) for j in range(len(path))
    ]
    # observations are dealt to the folds in turn; sums of a few hundred squares
    np.testing.assert_allclose(path.heldout.r2, 1 - np.array(errors) / np.sum(odd**2), rtol=1e-6, atol=1e-8)
    chosen = path.select("heldout")
    assert chosen.relaxed
    assert chosen.r2_heldout == path.heldout.r2[path.heldout.best]


def test_fewer_regions_at_no_loss(sample):
    plain, relaxed_ = (ls.LEGTV(sample, relaxed=flag).fit_path() for flag in (False, True))
    a, b = plain.select("simplest"), relaxed_.select("simplest")
    assert b.n_regions < a.n_regions
    assert b.r2_heldout > a.r2_heldout - 0.02


@pytest.mark.parametrize("flag", [False, True])
def test_readable_is_the_best_of_few_regions(sample, flag, monkeypatch):
    from legstat.estimators import path as module

    path = ls.LEGTV(sample, relaxed=flag).fit_path(progress=False)
    counts, r2 = [result.n_regions for result in path], path.heldout.r2
    assert max(counts) <= 60
    assert path.select("readable").L == path.select("heldout").L
    monkeypatch.setattr(module, "READABLE", 16)
    few = [k for k, count in enumerate(counts) if count <= 16]
    best = max(few, key=lambda k: r2[k])
    assert r2.max() > r2[best] > r2[0]  # neither the rule of the best nor that of the fewest
    chosen = path.select("readable")
    assert (chosen.L, chosen.r2_heldout) == (path.Ls[best], r2[best])
    np.testing.assert_array_equal(chosen.params, path[best].params)
    # where no map has so few, the one of the fewest
    deep = ls.LEGTV(sample, relaxed=flag).fit_path(path.Ls[-3:], progress=False)
    assert min(counts[-3:]) > 16
    assert deep.select("readable").L == path.Ls[-3 + int(np.argmin(counts[-3:]))]


def test_readable_counts_regions_a_channel(monkeypatch):
    from legstat.estimators import path as module

    monkeypatch.setattr(module, "READABLE", 8)
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.1, channels="separate")
    weights = np.random.default_rng(3).standard_normal((3, 4, 4))
    f, image = lambda x: np.tensordot(x, weights, 3), np.full((3, 4, 4), 0.5)
    sample = ls.query(f, image, design, 901, rng=0, progress=False)
    assert 8 < ls.LEGTV(sample).fit("readable").n_regions <= 3 * 8


def test_saved_and_loaded(sample, tmp_path):
    found = ls.LEGTV(sample, relaxed=True).fit(L_ratio=0.1)
    found.save(tmp_path / "tv.npz")
    again = ls.LEGTVResults.load(tmp_path / "tv.npz")
    assert again.relaxed
    np.testing.assert_array_equal(again.solution, found.solution)
    np.testing.assert_array_equal(again.regions, found.regions)
    assert again.face_width == found.face_width
    assert "relaxed" in repr(again)
    assert "solution" in {field.name for field in dataclasses.fields(again)}


def test_each_channel_on_its_own():
    design = ls.StructuredGaussian(grid=(4, 4), scale=0.1, channels="separate")
    weights = np.random.default_rng(3).standard_normal((3, 4, 4))
    sample = ls.query(
        lambda x: np.tensordot(x, weights, 3), np.full((3, 4, 4), 0.5), design, 901, rng=0, progress=False
    )
    found = ls.LEGTV(sample, relaxed=True).fit(L_ratio=0.2)
    parts = zip(found.moments.b, found.params.reshape(3, 16), found.regions.reshape(3, 16), strict=True)
    for b, params, labels in parts:
        np.testing.assert_allclose(params, refitted(design, b, labels), rtol=1e-12, atol=1e-12)
