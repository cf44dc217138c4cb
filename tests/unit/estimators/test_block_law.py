"""LEG-TV under the block law, from the query to a record that verifies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import legstat as ls
from legstat.data import digits_model_path, load_digit
from tests.helpers import naive_D, naive_legtv, tv_residual

GRID = (6, 6)


@pytest.fixture(scope="module")
def sample() -> ls.QuerySample:
    gamma = np.zeros(GRID)
    gamma[1:4, 2:5] = 1.0
    gamma[5, 0] = -0.5
    f = ls.simulate.logistic(gamma, offset=-2.0)
    blend = ls.Blend("black")
    return ls.query(f, np.ones((1, 12, 12)), ls.MultiscaleBlocks(grid=GRID), 1001, perturbation=blend, rng=0)


def test_path_against_the_dense_program(sample: ls.QuerySample) -> None:
    estimator = ls.LEGTV(sample)
    path = estimator.fit_path(n_Ls=6, progress=False)
    b, design = sample.moments("adaptive").b[0], sample.design
    D, sigma = naive_D(*GRID), design.covariance_matrix()
    for result in path:
        assert result.certificate.passed
        objective, _ = naive_legtv(D, sigma, b, result.L)
        unit = np.abs(design.solve(b)).max()
        np.testing.assert_allclose(np.abs(D @ result.params).sum(), objective, rtol=1e-7, atol=1e-9 * unit)
        assert tv_residual(D, sigma, b, result.params) <= result.L * (1 + 1e-7)
    assert path[0].n_regions == 1
    # the map of few regions holds the object: a map of more parts would be noise
    chosen = path.select("simplest")
    assert chosen.n_regions <= path.select("heldout").n_regions <= 36
    assert {(row, column) for row, column, *_ in chosen.strongest(9)} == {(i, j) for i in (1, 2, 3) for j in (2, 3, 4)}


def test_the_set_of_the_bootstrap_holds_a_flatter_map(sample: ls.QuerySample) -> None:
    estimator = ls.LEGTV(sample, moments="crossfit")
    found = estimator.fit("bootstrap")
    assert found.certificate.passed
    D = naive_D(*GRID)
    flat, leg = np.abs(D @ found.params).sum(), np.abs(D @ ls.LEG(sample).fit().params).sum()
    assert 0 < flat < leg


def test_levels_of_blocks_are_one_more_number(sample: ls.QuerySample) -> None:
    design = ls.MultiscaleBlocks(grid=GRID, levels=(0.2, 0.8))
    b = design.covariance(np.linspace(0.0, 1.0, 36) ** 2)
    moments = ls.Moments(b=b, design=design, n=100)
    found = ls.LEGTV(moments).fit(L_ratio=0.1)
    assert found.certificate.passed
    objective, _ = naive_legtv(naive_D(*GRID), design.covariance_matrix(), b, found.L)
    np.testing.assert_allclose(np.abs(naive_D(*GRID) @ found.params).sum(), objective, rtol=1e-7)


def test_a_record_of_the_block_law_verifies(tmp_path: Path) -> None:
    image, _ = load_digit(5)
    picture = tmp_path / "digit.png"
    Image.fromarray(np.round(image[0] * 255).astype(np.uint8)).save(picture)
    f = ls.onnx_response(digits_model_path())
    design = ls.MultiscaleBlocks(grid=(8, 8), scales=(1, 2, 4))
    found = ls.explain(f, picture, design=design, perturbation=ls.Blend("black"), n_queries=301, rng=0, progress=False)
    assert found.choice == {"L": "readable"}
    assert all(result.certificate.passed for result in found.path)
    found.save(tmp_path / "out")
    loaded = ls.LEGTVResults.load(tmp_path / "out" / "legtv.npz")
    np.testing.assert_array_equal(loaded.params, found.tv.params)
    assert loaded.moments.design == design
    outcome = ls.verify(tmp_path / "out" / "record.json", model=digits_model_path(), picture=picture, progress=False)
    assert outcome.passed, outcome.as_text()
