"""Pictures that the grid does not divide: 13 x 11 pixels in 4 x 3 cells, by loops over what numpy.array_split cuts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.designs.grid import Grid
from legstat.designs.tiling import Tiling
from legstat.perturbations.clipped_law import ClippedLaw
from legstat.perturbations.operators import Additive, Blend, Perturbation
from legstat.perturbations.recipe import Room
from tests.helpers import naive_D, naive_sigma, z_limit

GRID, SIZE = Grid((4, 3)), (13, 11)
SPLIT = [np.array_split(np.arange(n), cells) for n, cells in zip(SIZE, GRID.shape, strict=True)]
OPERATORS = [Additive(), Additive(clip=False), Additive(clip=False, quantise=True), Blend("blur"), Blend("noise", 0.2)]


def picture(channels: int) -> np.ndarray:
    """A picture with black, white, equal and ordinary pixels."""
    image = np.random.default_rng(channels).uniform(0, 1, (channels, *SIZE))
    image.flat[::5], image.flat[1::7], image.flat[2::6] = 0.0, 1.0, 0.5
    return image


def naive_lift(z: np.ndarray) -> np.ndarray:
    lifted = np.empty((*z.shape[:-2], *SIZE))
    for i, rows in enumerate(SPLIT[0]):
        for j, columns in enumerate(SPLIT[1]):
            for r in rows:
                for c in columns:
                    lifted[..., r, c] = z[..., i, j]
    return lifted


def naive_means(pixels: np.ndarray) -> np.ndarray:
    """Sum over each cell's pixels by their own number."""
    means = np.empty((*pixels.shape[:-2], *GRID.shape))
    for i, rows in enumerate(SPLIT[0]):
        for j, columns in enumerate(SPLIT[1]):
            total = sum(pixels[..., r, c] for r in rows for c in columns)
            means[..., i, j] = total / (len(rows) * len(columns))
    return means


def naive_phi(operator: Any, image: np.ndarray, z: np.ndarray, channel: int | None) -> np.ndarray:
    lifted = naive_lift(z)
    if isinstance(operator, Blend):
        m = np.clip(operator.at + lifted, 0, 1)
        return image * m + operator.baseline_picture(image) * (1 - m)
    if channel is not None:
        alone = np.zeros((len(z), *image.shape))
        alone[:, channel] = lifted[:, 0]
        lifted = alone
    made = image + lifted
    if operator.clip:
        made = np.clip(made, 0, 1)
    return np.trunc(255 * made) / 255 if operator.quantise else made


def test_cuts_as_array_split() -> None:
    for pixels in range(1, 40):
        for cells in range(1, pixels + 1):
            sizes = [len(part) for part in np.array_split(np.arange(pixels), cells)]
            tiling = Tiling.of((cells, 1), pixels, 3)
            assert tiling.heights.tolist() == sizes
            assert tiling.even == (pixels % cells == 0)
            assert Tiling.of((1, cells), 3, pixels).column_of.tolist() == np.repeat(range(cells), sizes).tolist()


def test_lift_and_cell_means(rng: np.random.Generator) -> None:
    z, pixels = rng.standard_normal((2, 3, *GRID.shape)), rng.standard_normal((2, 3, *SIZE))
    np.testing.assert_array_equal(GRID.lift(z, *SIZE), naive_lift(z))
    # sums of at most 16 numbers of size 1
    np.testing.assert_allclose(GRID.cell_means(pixels), naive_means(pixels), rtol=0, atol=1e-14)
    np.testing.assert_allclose(GRID.cell_means(naive_lift(z)), z, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [(3, 11), (13, 2)])
def test_more_cells_than_pixels_are_refused(size: tuple[int, int]) -> None:
    for call in (
        lambda: GRID.lift(np.zeros(GRID.shape), *size),
        lambda: GRID.cell_means(np.zeros(size)),
        lambda: Additive().check(np.zeros((1, *size)), GRID, "shared"),
    ):
        with pytest.raises(ValueError, match=rf"`grid` must be a grid of at most {size[0]} x {size[1]} cells"):
            call()


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_pictures_and_realised_z(operator: Perturbation, channels: str, count: int) -> None:
    if isinstance(operator, Blend) and channels != "shared":
        return  # a mask level has no channels
    image, planes = picture(count), count if channels == "joint" else 1
    z = np.random.default_rng(1).standard_normal((6, planes, *GRID.shape))
    z *= np.array([0, 1e-3, 0.1, 0.3, 1, 5])[:, None, None, None]
    channel = count - 1 if channels == "separate" else None
    expected = naive_phi(operator, image, z, channel)
    for room in (None, Room()):
        composer = operator.recipe(image, GRID, np.dtype(np.float64)).composer(room=room)
        for _ in range(2):
            # two products and a sum of numbers below 6; truncation may fall to either side of a level
            atol = 1 / 254 if getattr(operator, "quantise", False) else 1e-14
            np.testing.assert_allclose(composer(z, channel), expected, rtol=0, atol=atol)
    cell_map = operator.cell_map(image, GRID, channels, channel or 0)
    flat = z.reshape(6, planes, -1)
    if isinstance(operator, Blend):
        realised = np.clip(operator.at + z, 0, 1) - operator.at
    elif operator.parameters()["quantise"]:
        realised = z  # it ignores the rounding, as the authors' code does
    else:
        moved = naive_means(expected - image)  # (n, C, p1, p2)
        realised = {"shared": moved.mean(axis=1, keepdims=True), "joint": moved, "separate": moved[:, count - 1 :]}[
            channels
        ]
    mapped = flat if cell_map is None else cell_map(flat)
    # sums over up to 48 pixels
    np.testing.assert_allclose(mapped, realised.reshape(mapped.shape), rtol=0, atol=5e-15)
    if cell_map is not None:
        both = (cell_map(flat) - cell_map(-flat)) / 2
        np.testing.assert_allclose(cell_map.odd_part()(flat), both, rtol=0, atol=5e-15)


@pytest.mark.parametrize("paired", [False, True], ids=["draws", "pairs"])
@pytest.mark.parametrize("operator", [Additive(), Blend("mean", at=0.3)], ids=repr)
def test_clipped_law_against_monte_carlo(operator: Any, paired: bool) -> None:
    """Mean and covariance of what really happened to the pixels, within the limits of false alarm 1e-6."""
    image, n = picture(2), 40_000
    sigma = naive_sigma(naive_D(*GRID.shape), 0.25)
    z = np.random.default_rng(7).multivariate_normal(np.zeros(12), sigma, n).reshape(n, 1, *GRID.shape)

    def realised(z: np.ndarray) -> np.ndarray:
        if isinstance(operator, Blend):
            return (np.clip(operator.at + z, 0, 1) - operator.at).reshape(n, -1)
        found = np.zeros((n, *GRID.shape))
        for i, rows in enumerate(SPLIT[0]):
            for j, columns in enumerate(SPLIT[1]):
                pixels = image[:, rows][:, :, columns].ravel()
                found[:, i, j] = np.mean([np.clip(x + z[:, 0, i, j], 0, 1) - x for x in pixels], axis=0)
        return found.reshape(n, -1)

    drawn = (realised(z) - realised(-z)) / 2 if paired else realised(z)
    cell_map = operator.cell_map(image, GRID, "shared", 0)
    law = ClippedLaw(ls.StructuredGaussian(GRID.shape, 0.25), cell_map.odd_part() if paired else cell_map, planes=1)
    centred = drawn - law.mean[0]
    assert (np.abs(centred.mean(axis=0)) / (drawn.std(axis=0) / np.sqrt(n))).max() < z_limit(1e-6, 12)
    products = centred[:, :, None] * centred[:, None, :]
    error = (products.mean(axis=0) - law.matrix()) / (products.std(axis=0) / np.sqrt(n))
    assert np.abs(error).max() < z_limit(1e-6, 78)


@pytest.mark.parametrize("operator", [Additive(), Additive(clip=False), Blend("black", at=0.5)], ids=repr)
def test_a_linear_score_gives_its_weights_back(operator: Perturbation) -> None:
    """The whole way: the weights with which a score adds up what happened to the cells are its gamma."""
    image, gamma = picture(1), np.arange(12.0).reshape(4, 3) - 4.0
    contrast = np.where(image > 0, image, 1.0)

    def score(x: np.ndarray) -> np.ndarray:
        share = np.where(image > 0, x, 0.5) / contrast if isinstance(operator, Blend) else x  # blend with black: m x0
        return (naive_means(share[:, 0]) * gamma).sum(axis=(1, 2))

    design = ls.StructuredGaussian(GRID.shape, 0.2)
    sample = ls.query(score, image, design, perturbation=operator, n_queries=202, rng=0, progress=False)
    fitted = sample.moments("least_squares").gamma.reshape(4, 3)
    share = np.ones((4, 3))
    if isinstance(operator, Blend):
        share = naive_means((image[0] > 0).astype(float))  # black pixels do not move
    np.testing.assert_allclose(fitted, gamma * share, rtol=0, atol=1e-10)  # exactly linear in the realised z
    result = ls.LEG(sample).fit()
    np.testing.assert_array_equal(result.heatmap, naive_lift(result.saliency))
