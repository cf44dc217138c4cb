"""Gradients from queries: unbiased, with errors that cover, counted, and the same bits in any batch."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.gradients.estimated import EstimatedGradients
from legstat.gradients.families import Masked, Shifted
from legstat.gradients.gradient import Asked
from legstat.perturbations.lifts import Lift

SHAPE = (4, 4)
SLOPES = np.random.default_rng(5).standard_normal(SHAPE)
IMAGE, BLACK = np.ones((1, 8, 8)), np.zeros((1, 1, 8, 8))
FAMILY = Masked(IMAGE[None], BLACK, Lift.repeated(SHAPE, (8, 8)))
"""On a white picture over a black one a mask's levels are the cells' means: gradients have closed forms."""


def quadratic() -> ls.Response:
    return ls.as_response(ls.simulate.quadratic(SLOPES, 0.2))


def truth(middle: np.ndarray) -> np.ndarray:
    return (1.0 + 0.4 * np.sum(SLOPES * middle)) * SLOPES


def source(pairs: int, seed: int, response=None, **options) -> EstimatedGradients:
    black_box = Asked("mask", response or quadratic(), IMAGE)
    design = options.pop("design", ls.IsotropicGaussian(SHAPE, 0.1))
    return EstimatedGradients(black_box, design, pairs, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("earlier", ["ignore", "pilot"])
def test_unbiased_with_errors_that_cover(earlier):
    """300 repetitions of 40 pairs: the mean within its error, and 95 % intervals that hold the truth."""
    point = np.full((1, *SHAPE), 0.6)
    exact, found, inside = truth(point[0]), [], []
    for seed in range(300):
        one = source(40, seed, earlier=earlier)
        if earlier == "pilot":  # something to have a pilot from
            one.mean_gradient(FAMILY, point, np.ones(1))
        estimate = one.mean_gradient(FAMILY, point, np.ones(1))
        found.append(estimate.gradient)
        inside.append(np.abs(estimate.gradient - exact) <= 2.023 * estimate.std_errors)  # Student, 39 degrees
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(300)
    assert np.abs((mean - exact) / error).max() < 4.0  # 16 cells: beyond 4 once in 1,000 such tests
    # heavy tails of a pair's share, shared draws among cells: two points below and three above nominal
    assert 0.93 <= np.mean(inside) <= 0.98


def test_a_pilot_makes_it_more_precise_and_does_not_pull():
    point = np.full((1, *SHAPE), 0.6)
    plain, aided = source(60, 0), source(60, 0, earlier="pilot", keep=1.0)
    for _ in range(6):
        last = [one.mean_gradient(FAMILY, point, np.ones(1)) for one in (plain, aided)]
    assert np.mean(last[1].std_errors) < 0.3 * np.mean(last[0].std_errors)


def test_weighted_points_give_the_weighted_sum():
    points, weights = np.stack([np.full(SHAPE, t) for t in (0.3, 0.5, 0.7)]), np.array([0.1, 0.3, 0.5])
    exact = sum(w * truth(p) for w, p in zip(weights, points, strict=True))
    estimate = source(6000, 1).mean_gradient(FAMILY, points, weights)
    assert np.abs((estimate.gradient - exact) / estimate.std_errors).max() < 4.0


def test_pooled_is_close_where_plain_is_noise():
    """Fewer pairs than cells in each call, a smooth truth: what pooling is for."""
    rows, columns = np.indices((12, 12)) / 11.0
    smooth = np.exp(-8.0 * ((rows - 0.4) ** 2 + (columns - 0.6) ** 2))
    response = ls.as_response(ls.simulate.linear(smooth))
    image = np.ones((1, 24, 24))
    family = Masked(image[None], np.zeros((1, 1, 24, 24)), Lift.repeated((12, 12), (24, 24)))
    errors = {}
    for earlier in ("ignore", "pool"):
        one = EstimatedGradients(
            Asked("mask", response, image), ls.StructuredGaussian((12, 12), 0.1), 20, np.random.default_rng(0),
            earlier=earlier,
        )  # fmt: skip
        for _ in range(5):
            estimate = one.mean_gradient(family, np.full((1, 12, 12), 0.5), np.ones(1))
        errors[earlier] = np.linalg.norm(estimate.gradient - smooth) / np.linalg.norm(smooth)
        assert estimate.std_errors.shape == (12, 12)
    assert errors["pool"] < 0.6
    assert errors["ignore"] > 1.0


def test_a_shift_of_pixels_is_estimated_on_cells_and_shared_among_their_pixels():
    image = np.full((3, 8, 8), 0.5)
    slopes = np.random.default_rng(3).standard_normal((3, 8, 8))
    response = ls.as_response(lambda x: np.einsum("nchw,chw->n", x, slopes))
    design = ls.IsotropicGaussian(SHAPE, 0.1)
    one = EstimatedGradients(Asked("l1q", response, image), design, 8000, np.random.default_rng(0))
    estimate = one.mean_gradient(Shifted(image, design.grid), np.zeros((1, 3, 8, 8)), np.ones(1))
    exact = design.grid.lift(design.grid.cell_means(slopes), 8, 8)
    assert np.abs((estimate.gradient - exact) / estimate.std_errors).max() < 4.5  # 48 cells


def test_it_is_counted_and_the_batch_changes_no_bit():
    found = []
    weights = np.repeat(SLOPES.ravel(), 4)
    for size in (1, 7, 64):
        # each picture's sum by itself: a product of matrices may round otherwise for more rows
        response = ls.as_response(lambda x: (x.reshape(len(x), -1) * weights).sum(axis=1)).with_batch_size(size)
        one = source(25, 3, response, earlier="pool")
        one.mean_gradient(FAMILY, np.full((1, *SHAPE), 0.5), np.ones(1))
        found.append(one.mean_gradient(FAMILY, np.full((1, *SHAPE), 0.4), np.ones(1)).gradient)
        assert one.asked.spent == 1 + 2 * 2 * 25
        assert (one.asked.ledger.x0, one.asked.ledger.perturbed, one.asked.ledger.unused) == (1, 100, 0)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"half_range": 0.0}, "`half_range` must be a finite number > 0"),
        ({"earlier": "use"}, "`earlier` must be one of 'ignore', 'pilot', 'pool'"),
        ({"keep": 1.5}, "`keep` must be strictly between 0 and 1"),
        ({"pairs": 1}, "`pairs` must be a whole number >= 2.*Raise n_queries"),
    ],
)
def test_bad_arguments(options, text):
    with pytest.raises(ValueError, match=text):
        source(options.pop("pairs", 10), 0, **options)
