"""Every newer law goes the whole way: query, resume, merge, file, estimates, record, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.designs.by_name import name_of
from legstat.designs.design import Design
from legstat.explanation.inputs import experiment_for

GRID = (8, 8)
LAWS: dict[str, Design] = {
    "blocks": ls.MultiscaleBlocks(GRID),
    "levels": ls.MultiscaleBlocks(GRID, (1, 2, 4), (0.2, 0.4, 0.4), (0.2, 0.8)),
    "cells": ls.BernoulliCells(GRID),
    "smooth": ls.SpectralGaussian(GRID),
    "on/off": ls.SpectralBinary(GRID, -0.5),
}


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return load_digit(0)[0]


def asked(design: Design, picture: np.ndarray, n: int, **given: Any) -> ls.QuerySample:
    response = ls.onnx_response(digits_model_path())
    blend = ls.Blend("black", at=0.5)
    return ls.query(response, picture, design, n_queries=n, perturbation=blend, progress=False, **given)


@pytest.mark.parametrize("design", LAWS.values(), ids=LAWS)
def test_a_sample_of_every_law(design: Design, picture: np.ndarray, tmp_path: Path) -> None:
    whole = asked(design, picture, 402, rng=1)
    assert whole.n_units == (200,)
    # the realised z of an on/off law are its levels, never clipped
    if design.bound is not None:
        np.testing.assert_array_equal(np.unique(whole.draws()), [-0.5, 0.5])
        np.testing.assert_array_equal(whole.draws()[0::2], -whole.draws()[1::2])
        assert not whole.units[0].law.clipped
    # a run that went on is the run that was made at once, and so is a file
    resumed = asked(design, picture, 402, resume=asked(design, picture, 152, rng=1))
    whole.save(tmp_path / "sample.npz")
    loaded = ls.QuerySample.load(tmp_path / "sample.npz")
    for other in (resumed, loaded):
        assert other.design == design
        np.testing.assert_array_equal(other.responses, whole.responses)
        np.testing.assert_array_equal(other.draws(), whole.draws())
        np.testing.assert_array_equal(other.moments("crossfit").b, whole.moments("crossfit").b)
    both = whole.merge(asked(design, picture, 102, rng=2))
    assert both.n_units == (250,)
    leg, tv = ls.LEG(both).fit(), ls.LEGTV(both).fit(L_ratio=0.1)
    assert np.isfinite(leg.conf_int()).all()
    assert tv.certificate.gap < 1e-6
    tv.save(tmp_path / "tv.npz")
    np.testing.assert_array_equal(ls.LEGTVResults.load(tmp_path / "tv.npz").params, tv.params)


@pytest.mark.parametrize("name", ["blocks", "smooth", "on/off"])
def test_a_record_of_a_law_is_verified(name: str, picture: np.ndarray, tmp_path: Path) -> None:
    response = ls.onnx_response(digits_model_path())
    blend = ls.Blend("black", at=0.5)
    found = ls.explain(
        response, picture, design=LAWS[name], perturbation=blend, n_queries=202, L_ratio=0.1, rng=0, progress=False
    )
    found.save(tmp_path)
    told = ls.verify(tmp_path / "record.json", progress=False)
    assert told.passed, told


class Thirds(ls.BernoulliCells):
    """Three values: nothing is known of these once they are clipped."""

    two_valued = False

    def sample(self, generator: np.random.Generator, n: int) -> np.ndarray:
        return self.scale * generator.integers(-1, 2, (n, self.grid.n_cells)) * np.sqrt(1.5)


def test_other_laws_are_refused_before_a_query_where_they_would_be_clipped(picture: np.ndarray) -> None:
    asked_for: list[int] = []
    with pytest.raises(ValueError, match=r"`design` must be Gaussian or of two values .*Lower the scale"):
        ls.query(
            lambda x: asked_for.append(len(x)) or np.zeros(len(x)),  # type: ignore[func-returns-value]
            picture,
            Thirds(GRID, 0.5),
            n_queries=100,
            perturbation=ls.Blend("black", at=0.3),
            rng=0,
        )
    assert not asked_for


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("perturbation", [ls.Blend("black", at=0.7), ls.Additive()], ids=repr)
def test_a_clipped_on_off_law_is_known_exactly(antithetic: bool, perturbation: Any, rng: np.random.Generator) -> None:
    """A score that is linear in the realised z, from its own moments: least squares and "crossfit" find the map."""
    gamma = rng.standard_normal((4, 5))
    image = rng.uniform(0.05, 0.95, (1, 8, 10)) if isinstance(perturbation, ls.Additive) else np.full((1, 8, 10), 1.0)
    design = ls.MultiscaleBlocks((4, 5), scale=0.4)
    sample = ls.query(
        ls.simulate.linear(gamma),
        image,
        design,
        n_queries=4002,
        perturbation=perturbation,
        antithetic=antithetic,
        rng=1,
        progress=False,
    )
    law = sample.units[0].law
    assert law.clipped
    z = np.concatenate([rows for rows, _ in sample.units[0].rows()])
    # against the draws, within the limit that all entries keep with probability 1 - 1e-6
    sd = 0.16 / np.sqrt(len(z))
    assert np.abs(z.mean(axis=0) - law.mean).max() < 6 * 0.4 / np.sqrt(len(z))
    assert np.abs(np.cov(z.T, bias=True) - law.matrix()).max() < 6 * sd
    v = rng.standard_normal((3, 1, 20))
    np.testing.assert_allclose(law.covariance(law.solve(v)), v, rtol=0, atol=1e-10)
    np.testing.assert_allclose(v.reshape(3, 20) @ law.matrix(), law.covariance(v).reshape(3, 20), rtol=0, atol=1e-14)
    np.testing.assert_allclose(sample.moments("least_squares").gamma.ravel(), gamma.ravel(), rtol=0, atol=1e-8)
    leg = ls.LEG(sample).fit()
    assert (np.abs(leg.params - gamma.ravel()) < 5 * leg.std_errors + 1e-3).all()


def test_given_draws_are_known_again(rng: np.random.Generator) -> None:
    design = LAWS["blocks"]
    z = np.concatenate([design.draw((1, 2), 0, block) for block in range(20)])
    y = z.sum(axis=(1, 2, 3))
    sample = ls.QuerySample.from_arrays(z, y, design)
    np.testing.assert_allclose(sample.moments("least_squares").gamma, 1.0, rtol=1e-8)
    with pytest.raises(ValueError, match="drawn from `design`"):
        ls.QuerySample.from_arrays(rng.permuted(z.reshape(len(z), -1), axis=1).reshape(z.shape), y, design)


def test_a_summary_names_the_law(picture: np.ndarray) -> None:
    assert LAWS["levels"].label == "MultiscaleBlocks 1 (20%), 2 (40%), 4 (40%); 0.2-0.8"
    assert LAWS["cells"].label == "BernoulliCells"
    assert LAWS["on/off"].label == "SpectralBinary, power -0.5"
    assert "MultiscaleBlocks 1, 2, 4, 7" in str(ls.LEG(asked(LAWS["blocks"], picture, 102, rng=0)).fit().summary())


def test_a_resumed_run_keeps_its_law(picture: np.ndarray) -> None:
    sample = asked(LAWS["blocks"], picture, 102, rng=0)
    response = ls.onnx_response(digits_model_path())
    assert experiment_for(response, picture, resume=sample, law="blocks", n_queries=202).design == LAWS["blocks"]
    with pytest.raises(ValueError, match=r"`law` must be blocks, as in the resumed sample.*'cells'"):
        experiment_for(response, picture, resume=sample, law="cells", n_queries=202)


@pytest.mark.parametrize(("law", "at", "scale"), [("blocks", 0.5, 0.5), ("cells", 0.8, 0.2), ("smooth", 0.5, 0.25)])
def test_a_law_by_name_has_the_scale_that_is_not_clipped(
    law: Any, at: float, scale: float, picture: np.ndarray
) -> None:
    response = ls.onnx_response(digits_model_path())
    made = experiment_for(
        response, picture, law=law, perturbation=ls.Blend("black", at=at), n_queries=202, rng=0
    ).design
    assert made.scale == pytest.approx(scale)
    assert name_of(made) == law
    assert made.grid.shape == (8, 8)


def test_channels_of_their_own(rng: np.random.Generator) -> None:
    gamma = rng.standard_normal((4, 5))
    for channels, planes in (("joint", 3), ("separate", 1)):
        design = ls.MultiscaleBlocks((4, 5), scale=0.2, channels=channels)  # type: ignore[arg-type]
        sample = ls.query(
            ls.simulate.linear(gamma), np.full((3, 4, 5), 0.5), design, n_queries=1801, rng=0, progress=False
        )
        assert sample.planes == planes
        # cell means are over the three channels
        np.testing.assert_allclose(
            sample.moments("least_squares").gamma, np.tile(gamma.ravel() / 3, (3, 1)), rtol=0, atol=1e-9
        )
        assert np.isfinite(ls.LEG(sample).fit().std_errors).all()
