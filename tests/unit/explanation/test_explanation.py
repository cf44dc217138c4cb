"""`explain` composes the public calls and nothing more; its defaults; what it refuses before anything is spent."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.explanation.defaults import choose_L
from legstat.explanation.inputs import experiment_for
from legstat.record import FILES
from legstat.sampling.defaults import default_grid
from tests import helpers


def truth(rows: int = 6, columns: int = 6) -> np.ndarray:
    gamma = np.zeros((rows, columns))
    gamma[1:3, 3:5] = 1.0
    return gamma


def grey(side: int = 6) -> np.ndarray:
    return np.full((1, side, side), 0.5)


def picture() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 0.9, (1, 6, 6))


class Counting:
    """A response that counts the pictures it was handed."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.seen += len(images)
        return images.mean(axis=(1, 2, 3))


@pytest.mark.parametrize(("side", "cells"), [(224, 28), (8, 8), (28, 28), (32, 16), (299, 23), (3, 3), (1, 1)])
def test_default_grid_is_the_finest_divisor_up_to_28(side, cells):
    assert default_grid(side, side) == (cells, cells)


def test_default_grid_treats_sides_apart():
    assert default_grid(32, 48) == (16, 24)


@pytest.mark.parametrize(("side", "cells"), [(227, 26), (29, 15), (2 * 113, 26), (331, 28), (1009, 28)])
def test_default_grid_cuts_what_it_cannot_divide_as_finely(side, cells):
    assert default_grid(side, side) == (cells, cells)
    sizes = [len(part) for part in np.array_split(np.arange(side), cells)]
    assert max(sizes) == -(-side // 28)  # no grid of 28 cells or fewer has smaller largest cells
    assert default_grid(side, 224) == (cells, 28)


def test_same_numbers_as_the_calls_it_composes():
    f = ls.simulate.linear(truth())
    found = ls.explain(f, grey(), perturbation=ls.Additive(), n_queries=301, rng=7)
    design = ls.StructuredGaussian(grid=(6, 6), scale=0.02)
    sample = ls.query(f, grey(), design, 301, perturbation=ls.Additive(), rng=7)
    path = ls.LEGTV(sample, relaxed=True).fit_path()
    assert np.array_equal(found.sample.responses, sample.responses)
    assert np.array_equal(found.leg.params, ls.LEG(sample).fit().params)
    assert np.array_equal(found.path.params, path.params)
    assert found.tv.L == path.select("readable").L
    assert found.seed == 7


@pytest.mark.parametrize(
    ("conventions", "perturbation", "law", "scale", "ratio"),
    [
        (None, ls.Blend("blur", at=0.5), ls.MultiscaleBlocks, 0.5, None),
        ("paper", ls.Additive(clip=False), ls.StructuredGaussian, 0.02, 0.1),
        ("upstream", ls.Additive(clip=False, quantise=True), ls.StructuredGaussian, 0.02, 0.1),
    ],
)
def test_defaults_follow_the_conventions(conventions, perturbation, law, scale, ratio):
    picture = np.random.default_rng(0).random((3, 12, 12))
    found = ls.explain(Counting(), picture, grid=(6, 6), n_queries=400, conventions=conventions, rng=0)
    assert found.sample.perturbation == perturbation
    assert type(found.sample.design) is law
    assert found.sample.design.scale == scale
    assert found.tv.relaxed == (conventions is None)
    if ratio is None:
        assert found.choice == {"L": "readable"}
    else:
        # the ratio is taken in each channel by itself; two roundings apart at most
        assert np.allclose(found.tv.L_per_row, ratio * found.tv.L_max_per_row, rtol=1e-14, atol=0.0)


def test_additive_perturbation_gets_the_papers_scale():
    found = ls.explain(ls.simulate.linear(truth()), grey(), perturbation=ls.Additive(), n_queries=100, rng=0)
    assert found.sample.design == ls.StructuredGaussian(grid=(6, 6), scale=0.02)


@pytest.mark.parametrize(
    ("arguments", "queries"),
    [
        ({}, 2000),
        ({"perturbation": ls.Additive()}, 6000),
        ({"conventions": "paper"}, 6000),
        ({"law": "structured"}, 6000),
        ({"n_queries": 300}, 300),
    ],
)
def test_the_default_budget_is_that_of_the_law(arguments, queries):
    experiment = experiment_for(ls.as_response(Counting()), grey(), **arguments)
    assert experiment.n_queries == queries


def test_levels_are_refitted_unless_told_not_to():
    f = ls.simulate.linear(truth())
    plain, refit = (ls.explain(f, picture(), n_queries=200, rng=0, relaxed=flag) for flag in (False, None))
    assert not plain.tv.relaxed
    assert refit.tv.relaxed
    assert np.array_equal(plain.path.params, np.stack([r.solution for r in refit.path], axis=1))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"grid": (13, 5)}, "`grid` must be a grid of at most 12 x 12 cells"),
        ({"n_queries": 20}, "`n_queries` must be at least 21"),
        ({"n_queries": 5, "L_ratio": 0.1}, "`n_queries` must be at least 17"),
        ({"L": "best"}, "`L` must be a number or one of 'readable', 'simplest', 'heldout', 'bootstrap', 'theory'"),
        ({"L": "bootstrap"}, "`n_queries` must be at least 201"),
        ({"L": -1.0}, "`L` must be"),
        ({"L": float("nan")}, "`L` must be"),
        ({"L_ratio": 1.5}, r"`L_ratio` must be a number within \[0, 1\]"),
        ({"L": 0.1, "L_ratio": 0.1}, "`L, L_ratio, n_regions` must be exactly one"),
        ({"L": 0.1, "n_regions": 3}, "`L, L_ratio, n_regions` must be exactly one"),
        ({"design": ls.StructuredGaussian((6, 6)), "grid": (6, 6)}, "`grid` must be left out with `design`"),
        ({"design": ls.StructuredGaussian((6, 6)), "scale": 0.1}, "`scale` must be left out with `design`"),
        ({"scale": -1.0}, "`scale` must be"),
        ({"scale": 0.0}, "`scale` must be"),
        ({"conventions": "theirs"}, "`conventions` must be one of"),
        ({"conventions": "paper"}, "perturbation"),
        ({"conventions": "paper", "perturbation": None, "relaxed": True}, "`relaxed` must be False"),
    ],
)
def test_refuses_before_anything_is_spent(arguments, text):
    f = Counting()
    picture = np.full((1, 12, 12), 0.5)
    with pytest.raises(ValueError, match=text):
        ls.explain(f, picture, **{"perturbation": ls.Additive(), "n_queries": 100, **arguments})
    assert f.seen == 0


@pytest.mark.parametrize("arguments", [{"L": True}, {"L_ratio": True}, {"n_regions": True}, {"n_queries": True}])
def test_booleans_are_no_numbers(arguments):
    f = Counting()
    with pytest.raises(TypeError, match=r"`(L|L_ratio|n_regions|n_queries)` must be"):
        ls.explain(f, np.full((1, 12, 12), 0.5), **arguments)
    assert f.seen == 0


def test_channels_last_is_refused():
    f = Counting()
    with pytest.raises(ValueError, match=r"channels first. Got \(28, 28, 3\).*image.transpose\(2, 0, 1\)"):
        ls.explain(f, np.full((28, 28, 3), 0.5))
    assert f.seen == 0


def test_a_design_means_the_same_to_explain_and_to_query():
    design = ls.StructuredGaussian(grid=(3, 3), scale=0.05)
    f = ls.simulate.linear(truth())
    found = ls.explain(f, grey(), design=design, n_queries=61, rng=2)
    sample = ls.query(f, grey(), design, 61, rng=2)
    assert found.sample.perturbation == sample.perturbation == ls.Additive()
    assert np.array_equal(found.sample.responses, sample.responses)


def test_moments_are_those_of_both_estimates():
    f = ls.simulate.logistic(3.0 * truth(), offset=-1.0)
    found = ls.explain(f, picture(), n_queries=300, rng=1, moments="centred", L_ratio=0.2)
    assert np.array_equal(found.leg.params, ls.LEG(found.sample, moments="centred").fit().params)
    assert np.array_equal(
        found.tv.params, ls.LEGTV(found.sample, moments="centred", relaxed=True).fit(L_ratio=0.2).params
    )


def test_goes_on_from_what_was_paid_for():
    f = helpers.Counting(ls.simulate.logistic(3.0 * truth(), offset=-1.0), raise_at=150)
    given = {"n_queries": 301, "scale": 0.3, "L_ratio": 0.2}
    with pytest.raises(ls.QueryError) as caught:
        ls.explain(f, picture(), rng=5, **given)
    found = ls.explain(f, picture(), resume=caught.value.sample, **given)
    again = ls.explain(helpers.Counting(f.f), picture(), rng=5, **given)
    assert np.array_equal(found.sample.responses, again.sample.responses)
    assert np.array_equal(found.tv.params, again.tv.params)
    for name, value in (("scale", 0.2), ("grid", (3, 3))):
        with pytest.raises(ValueError, match=f"`{name}` must be .*as in the resumed sample"):
            ls.explain(f, picture(), resume=caught.value.sample, **{name: value})


@pytest.mark.parametrize("how", [{"L": "bootstrap"}, {"L": 0.01}, {"L_ratio": 0.3}, {"n_regions": 4}])
def test_L_is_chosen_as_the_path_chooses_it(how):
    f = ls.simulate.logistic(3.0 * truth(), offset=-1.0)
    found = ls.explain(f, picture(), n_queries=502, rng=1, **how)
    assert found.choice == how
    assert found.tv.L == ls.LEGTV(found.sample).fit_path().select(**how).L


def test_picture_of_the_wrong_rank_is_refused():
    with pytest.raises(ValueError, match="Channels come first"):
        ls.explain(Counting(), np.full((12, 12), 0.5))


def test_smallest_budget_named_in_the_error_suffices():
    found = ls.explain(ls.simulate.linear(truth()), grey(), perturbation=ls.Additive(), n_queries=21, rng=0)
    assert found.sample.ledger.spent == 21


@pytest.mark.parametrize(("L", "L_ratio", "rule"),
    [(None, None, {"L": "readable"}), ("theory", None, {"L": "theory"}), (2, None, {"L": 2.0}),
     (None, 0.3, {"L_ratio": 0.3})],
)  # fmt: skip
def test_rule(L, L_ratio, rule):
    assert choose_L(L, L_ratio, None, "default") == rule


def test_save_writes_everything_and_everything_loads(tmp_path):
    image, _ = load_digit(3)
    picture = tmp_path / "digit.png"
    Image.fromarray(np.round(image[0] * 255).astype(np.uint8)).save(picture)
    f = ls.onnx_response(digits_model_path())
    found = ls.explain(f, picture, perturbation=ls.Blend("mean"), n_queries=150, rng=1)
    written = found.save(tmp_path / "a" / "b", path_points=3)
    assert [file.name for file in written] == list(FILES)
    assert all(file.stat().st_size > 0 for file in written)
    home = tmp_path / "a" / "b"
    assert np.array_equal(ls.LEGResults.load(home / "leg.npz").params, found.leg.params)
    assert np.array_equal(ls.LEGTVResults.load(home / "legtv.npz").params, found.tv.params)
    assert np.array_equal(ls.QuerySample.load(home / "sample.npz").responses, found.sample.responses)
    record = json.loads((home / "record.json").read_text(encoding="utf-8"))
    assert record["inputs"]["picture"]["file"] == "digit.png"
    assert record["inputs"]["model"]["file"] == digits_model_path().name
    text = (home / "summary.txt").read_text(encoding="utf-8")
    assert "LEG-TV, strongest cells" in text
    assert "Conventions:" in text  # the last row of the first table


def test_summary_keeps_every_row_of_the_experiment():
    found = ls.explain(ls.simulate.linear(truth()), grey(), perturbation=ls.Additive(), n_queries=100, rng=0)
    text = found.summary().as_text()
    for row in ("Model:", "f(x0):", "Mean shift:", "Scale (sigma):", "L_max:", "Regions:", "Certificate:", "Queries:",
                "Conventions:"):  # fmt: skip
        assert row in text


def test_explanation_of_a_sample_spends_nothing():
    f = Counting()
    design = ls.StructuredGaussian(grid=(6, 6), scale=0.1)
    sample = ls.query(f, np.full((1, 12, 12), 0.5), design, 100, rng=0)
    spent = f.seen
    found = ls.Explanation.of(sample, L_ratio=0.2)
    assert f.seen == spent
    assert found.tv.L == ls.LEGTV(sample).fit(L_ratio=0.2).L
