"""Perturbed pictures and realised z against loops over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legstat._core.conventions import get_conventions
from legstat.designs.grid import Grid
from legstat.perturbations.operators import PERTURBATIONS, Additive, Blend, Perturbation
from tests.helpers import naive_pictures, naive_realised

GRID = Grid((2, 3))
SIZES = [(2, 3), (4, 6), (6, 3)]


def picture(channels: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """A picture with black, white, equal and ordinary pixels."""
    image = np.random.default_rng(seed).uniform(0, 1, (channels, *size))
    image.flat[::5], image.flat[1::7] = 0.0, 1.0
    image.flat[2::6] = 0.5
    return image


def perturbations(planes: int, seed: int = 1) -> np.ndarray:
    """z from within one grey level to far beyond the range, and 0."""
    z = np.random.default_rng(seed).standard_normal((9, planes, *GRID.shape))
    z *= np.array([0, 1e-3, 0.1, 0.1, 0.3, 0.3, 1, 1, 5])[:, None, None, None]
    return z


def arrangement(channels: str, count: int) -> tuple[int, list[int | None]]:
    """Planes of z, and the channels that are perturbed by themselves."""
    if channels == "joint":
        return count, [None]
    return 1, [None] if channels == "shared" else list(range(count))


OPERATORS = [Additive(), Additive(clip=False), Additive(clip=False, quantise=True)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
@pytest.mark.parametrize("operator", OPERATORS, ids=repr)
def test_additive_pixel_by_pixel(operator: Additive, channels: str, count: int, size: tuple[int, int]) -> None:
    image = picture(count, size)
    planes, alone = arrangement(channels, count)
    z = perturbations(planes)
    for channel in alone:
        expected = naive_pictures(image, z, channel=channel, clip=operator.clip, quantise=operator.quantise)
        pictures = operator.composer(image, GRID, np.dtype(np.float64))(z, channel)
        np.testing.assert_allclose(pictures, expected, rtol=0, atol=1e-15)  # one addition of the same two numbers
        if operator.quantise:
            continue  # the realised z ignores the rounding, as the authors' code does: next test
        realised = naive_realised(image, expected, GRID.shape, channels=channels, channel=channel or 0)
        cell_map = operator.cell_map(image, GRID, channels, channel or 0)
        flat = z.reshape(len(z), planes, -1)
        mapped = flat if cell_map is None else cell_map(flat)
        # sums of the differences of up to 24 pixels
        np.testing.assert_allclose(mapped, realised.reshape(mapped.shape), rtol=0, atol=2e-15)
        assert (cell_map is None) == (not operator.clip)


def test_quantise_truncates_as_the_authors_code() -> None:
    image = picture(3, (4, 6))
    z = perturbations(1)
    unrounded = naive_pictures(image, z)
    expected = (unrounded * 255.0).astype(int) / 255.0
    pictures = Additive(clip=False, quantise=True).composer(image, GRID, np.dtype(np.float64))(z)
    np.testing.assert_array_equal(pictures, expected)
    assert pictures.min() < 0 < 1 < pictures.max()  # and nothing is clipped
    assert (pictures == 0).sum() > ((unrounded >= 0) & (unrounded < 1 / 255)).sum()  # both sides of 0 go to 0
    assert Additive(clip=False, quantise=True).cell_map(image, GRID, "shared", 0) is None


def test_truncation_loses_half_a_level_on_average(rng: np.random.Generator) -> None:
    # measured on the authors' code: mean shift -0.500 level, standard deviation 0.289
    image = np.full((1, 2, 3), 0.5)
    z = rng.normal(0, 0.05, (20000, 1, *GRID.shape))
    pictures = Additive(clip=False, quantise=True).composer(image, GRID, np.dtype(np.float64))(z)
    error = 255 * (pictures - (image + z)).ravel()
    # 120,000 values of standard deviation 0.289: limits are 5 Monte Carlo standard errors
    assert error.mean() == pytest.approx(-0.5, abs=5 * 0.289 / np.sqrt(error.size))
    assert error.std() == pytest.approx(1 / np.sqrt(12), abs=0.003)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_grey_levels_survive_truncation(dtype: Any) -> None:
    # a channel that is not perturbed passes unchanged through /255, *255 and truncation, in either precision
    image = np.broadcast_to((np.arange(256) / 255).reshape(1, 16, 16), (3, 16, 16))
    composer = Additive(clip=False, quantise=True).composer(image, Grid((2, 2)), np.dtype(dtype))
    pictures = composer(np.full((1, 1, 2, 2), 0.3), 1)
    assert pictures.dtype == dtype
    for channel in (0, 2):
        np.testing.assert_array_equal(np.rint(255 * pictures[0, channel]).ravel(), np.arange(256))
        assert np.abs(255 * pictures[0, channel].ravel() - np.arange(256)).max() < 1e-4


BASELINES: list[Any] = ["blur", "mean", "black", "noise", "array"]


@pytest.mark.parametrize("at", [0.5, 0.2])
@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("size", SIZES)
def test_blend_pixel_by_pixel(baseline: Any, at: float, size: tuple[int, int]) -> None:
    image = picture(3, size)
    blend = Blend(picture(3, size, seed=9) if baseline == "array" else baseline, at)
    z = perturbations(1)
    expected = naive_pictures(image, z, baseline=blend.baseline_picture(image), at=at)
    pictures = blend.composer(image, GRID, np.dtype(np.float64))(z)
    np.testing.assert_allclose(pictures, expected, rtol=0, atol=1e-15)  # two products and a sum of numbers below 1
    mask = np.clip(at + z, 0, 1)
    cell_map = blend.cell_map(image, GRID, "shared", 0)
    assert cell_map is not None
    # interpolation between two knots
    np.testing.assert_allclose(cell_map(z.reshape(9, 1, -1)), (mask - at).reshape(9, 1, -1), rtol=0, atol=1e-15)


@pytest.mark.parametrize("operator", [Additive(), Additive(clip=False), Blend("mean")], ids=repr)
def test_single_precision_is_single_precision(operator: Perturbation) -> None:
    image, z = picture(3, (4, 6)), perturbations(1)
    exact = operator.composer(image, GRID, np.dtype(np.float64))(z)
    single = operator.composer(image, GRID, np.dtype(np.float32))(z)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, rtol=1e-6, atol=1e-6)  # float32 has 1.2e-7 of relative precision


def test_composers_leave_image_and_z_alone() -> None:
    image, z = picture(3, (4, 6)), perturbations(1)
    for operator in (*OPERATORS, Blend("black")):
        before, z_before = image.copy(), z.copy()
        pictures = operator.composer(image, GRID, np.dtype(np.float64))(z)
        pictures[:] = 9.0
        np.testing.assert_array_equal(image, before)
        np.testing.assert_array_equal(z, z_before)


# ---------------------------------------------------------------- the map from z to the realised z


@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
def test_odd_part_is_what_a_pair_realises(channels: str) -> None:
    image = picture(3, (4, 6))
    planes, alone = arrangement(channels, 3)
    z = perturbations(planes).reshape(9, planes, -1)
    for operator in (Additive(), Blend(at=0.3)):
        if channels != "shared" and isinstance(operator, Blend):
            continue
        for channel in alone:
            cell_map = operator.cell_map(image, GRID, channels, channel or 0)
            assert cell_map is not None
            expected = (cell_map(z) - cell_map(-z)) / 2
            # interpolation in the merged knots
            np.testing.assert_allclose(cell_map.odd_part()(z), expected, rtol=0, atol=2e-15)


def test_cell_map_is_monotone_and_never_steeper_than_one() -> None:
    cell_map = Additive().cell_map(picture(3, (4, 6)), GRID, "joint", 0)
    assert cell_map is not None
    z = np.broadcast_to(np.linspace(-1.5, 1.5, 401)[:, None, None], (401, 3, 6))
    slope = np.diff(cell_map(z), axis=0) / np.diff(z, axis=0)
    assert slope.min() >= -1e-12  # rounding of differences of 0.0075
    assert slope.max() <= 1 + 1e-12


# ---------------------------------------------------------------- baselines


def test_blur_is_a_gaussian_of_ten_pixels_on_a_short_side_of_224() -> None:
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1, (2, 56, 70))
    sigma = 10 * 56 / 224
    radius = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(image, ((0, 0), (radius, radius), (radius, radius)), mode="symmetric")
    rows = np.stack([padded[:, k : k + 56] for k in range(2 * radius + 1)], axis=-1) @ kernel
    expected = np.stack([rows[:, :, k : k + 70] for k in range(2 * radius + 1)], axis=-1) @ kernel
    np.testing.assert_allclose(Blend().baseline_picture(image), expected, rtol=0, atol=1e-13)  # sums of 441 products
    given = Blend("blur", blur_sigma=3.0).baseline_picture(image)
    assert given.std() < expected.std() < image.std()


def test_plain_baselines() -> None:
    image = picture(3, (4, 6))
    mean = Blend("mean").baseline_picture(image)
    for channel in range(3):
        assert np.ptp(mean[channel]) == 0
        assert mean[channel, 0, 0] == pytest.approx(image[channel].mean(), abs=1e-15)
    assert not Blend("black").baseline_picture(image).any()
    given = picture(3, (4, 6), seed=4)
    np.testing.assert_array_equal(Blend(given).baseline_picture(image), given)


def test_noise_baseline_is_the_same_for_everybody() -> None:
    image = np.full((3, 64, 64), 0.5)
    one = Blend("noise").baseline_picture(image)
    np.testing.assert_array_equal(one, Blend("noise").baseline_picture(image))
    assert 0 <= one.min()
    assert one.max() <= 1
    # 12,288 normals of standard deviation 0.2, clipped 2.5 of these away: 5 Monte Carlo standard errors
    assert one.mean() == pytest.approx(0.5, abs=5 * 0.2 / np.sqrt(one.size))
    assert one.std() == pytest.approx(0.2, abs=0.01)


# ---------------------------------------------------------------- arguments and identity


def test_clip_and_quantise_together_are_no_convention() -> None:
    with pytest.raises(ValueError, match=r"`quantise` must be False with clip=True\. Got True\. Use Additive\(clip=F"):
        Additive(clip=True, quantise=True)


@pytest.mark.parametrize("at", [0.0, 1.0, -0.2, 2, np.nan, np.inf])
def test_bad_mask_level(at: float) -> None:
    with pytest.raises(ValueError, match=r"legstat.Blend: `at` must be strictly between 0 and 1\. Got .*0\.5"):
        Blend(at=at)


@pytest.mark.parametrize("sigma", [0.0, -3.0, np.nan, np.inf])
def test_bad_blur(sigma: float) -> None:
    with pytest.raises(ValueError, match="`blur_sigma` must be a finite number > 0, in pixels"):
        Blend(blur_sigma=sigma)


def test_unknown_baseline() -> None:
    with pytest.raises(ValueError, match="`baseline` must be one of 'blur', 'mean', 'black', 'noise' or an array"):
        Blend("white")  # type: ignore[arg-type]


@pytest.mark.parametrize("baseline", [np.full((3, 4, 6), np.nan), np.full((3, 4, 6), 1.1), np.full((3, 4, 6), -0.1)])
def test_baseline_values(baseline: np.ndarray) -> None:
    with pytest.raises(ValueError, match="`baseline` must be finite, within"):
        Blend(baseline).check(picture(3, (4, 6)), GRID, "shared")


def test_equality_and_repr() -> None:
    assert Additive() == Additive(clip=True)
    assert Additive() != Additive(clip=False)
    assert Additive() != Blend()
    assert Blend("mean", 0.3) == Blend("mean", at=0.3)
    assert Blend("mean", 0.3) != Blend("mean", 0.4)
    given = np.zeros((1, 2, 3))
    assert Blend(given) == Blend(given.copy())
    assert Blend(given) != Blend(given + 1)
    assert Blend(given) != Blend("black")
    assert repr(Blend(given)) == "Blend(baseline=array, at=0.5, blur_sigma=None)"
    assert repr(Additive(clip=False, quantise=True)) == "Additive(clip=False, quantise=True)"
    assert hash(Blend(given)) == hash(Blend(given.copy()))


@pytest.mark.parametrize("operator", [*OPERATORS, Blend("mean", 0.3, blur_sigma=2.0)], ids=repr)
def test_parameters_make_the_same_operator(operator: Perturbation) -> None:
    assert PERTURBATIONS[type(operator).__name__](**operator.parameters()) == operator


def test_under_conventions() -> None:
    for operator in (*OPERATORS, Blend()):
        assert operator.with_conventions(get_conventions("default")) is operator
    assert Additive(clip=False).with_conventions(get_conventions("paper")) == Additive(clip=False)
    for operator in (Additive(), Additive(clip=False, quantise=True), Blend()):
        with pytest.raises(ValueError, match=r"`perturbation` must be Additive\(clip=False, quantise=False\), which"):
            operator.with_conventions(get_conventions("paper"))
    for operator in (Additive(), Additive(clip=False), Blend()):
        with pytest.raises(ValueError, match=r"`perturbation` must be Additive\(clip=False, quantise=True\), which"):
            operator.with_conventions(get_conventions("upstream"))
