"""Levels interpolated between the cells' centres: pictures, what stays as it was, and the estimand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.data import digits_model_path, load_digit
from legstat.designs.grid import Grid
from legstat.perturbations.lifts import Lift
from legstat.perturbations.operators import PERTURBATIONS, Perturbation
from tests.helpers import naive_pictures

SMOOTH: list[Perturbation] = [
    ls.Blend("mean", at=0.4, lift="smooth"),
    ls.Additive(clip=False, lift="smooth"),
    ls.Additive(clip=False, quantise=True, lift="smooth"),
]


@pytest.mark.parametrize("size", [(2, 3), (6, 9), (7, 11), (12, 6)])
@pytest.mark.parametrize("operator", SMOOTH, ids=repr)
def test_pixel_by_pixel(operator: Any, size: tuple[int, int], rng: np.random.Generator) -> None:
    image, z = rng.random((3, *size)), 0.6 * rng.standard_normal((4, 1, 2, 3))
    z[0] = 0.0
    if isinstance(operator, ls.Blend):
        rules = {"baseline": operator.baseline_picture(image), "at": operator.at}
    else:
        rules = {"clip": operator.clip, "quantise": False}
    expected = naive_pictures(image, z, smooth=True, **rules)
    pictures = operator.composer(image, Grid((2, 3)), np.dtype(np.float64))(z)
    # the formula's roundings; truncation takes up to a grey level away
    grey = 1 / 255 if "quantise" in operator.parameters() and operator.quantise else 0.0
    np.testing.assert_allclose(pictures, expected, rtol=0, atol=grey + 4e-15)
    if isinstance(operator, ls.Additive) and not operator.quantise:
        np.testing.assert_array_equal(pictures[0], image)  # z = 0 is x0 to the bit


def test_equal_levels_stay_equal_to_the_bit(rng: np.random.Generator) -> None:
    image = rng.random((3, 13, 11)).astype(np.float32).astype(np.float64)
    z = np.full((1, 1, 4, 3), 0.3)
    cells, smooth = (
        ls.Blend("black", lift=lift).composer(image, Grid((4, 3)), np.dtype(np.float32))(z)
        for lift in ("cells", "smooth")
    )
    np.testing.assert_array_equal(cells, smooth)


def test_what_was_saved_before_there_was_a_choice_is_as_it_was() -> None:
    assert ls.Blend("mean").parameters() == {"baseline": "mean", "at": 0.5, "blur_sigma": None}
    assert ls.Additive().parameters() == {"clip": True, "quantise": False}
    one, other = ls.Blend("mean"), ls.Blend("mean", lift="smooth")
    assert one != other
    assert other != one
    assert one == ls.Blend("mean", lift="cells")
    assert len({one, other, ls.Blend("mean", lift="cells")}) == 2
    assert other.replace(at=0.4) == ls.Blend("mean", at=0.4, lift="smooth")
    for operator in SMOOTH:
        assert PERTURBATIONS[type(operator).__name__](**operator.parameters()) == operator
        assert repr(operator).endswith("lift='smooth')")


@pytest.mark.parametrize("operator", [SMOOTH[0], SMOOTH[1]], ids=repr)
def test_the_estimand_is_about_levels_at_centres(operator: Any, rng: np.random.Generator) -> None:
    """A score linear in pixels: gamma is the adjoint of the lift, whatever clipping did to the levels."""
    image, weights = rng.random((1, 8, 12)), rng.standard_normal((8, 12))
    design = ls.MultiscaleBlocks(grid=(4, 4), scale=0.5)  # beyond [0, 1] around .4: some levels are clipped
    contrast = image[0] - operator.baseline_picture(image)[0] if isinstance(operator, ls.Blend) else 1.0
    gamma = Lift.bilinear((4, 4), (8, 12)).down(weights * contrast)

    def score(x: np.ndarray) -> np.ndarray:
        return np.asarray((x[:, 0] * weights).sum(axis=(1, 2)))

    sample = ls.query(score, image, design, 302, perturbation=operator, rng=0, progress=False)
    fitted = sample.moments("least_squares").gamma.reshape(4, 4)
    np.testing.assert_allclose(fitted, gamma, rtol=0, atol=1e-10)  # exactly linear in the realised z


def test_a_run_is_saved_resumed_and_verified(tmp_path: Any) -> None:
    f, image = ls.onnx_response(digits_model_path(), preprocessing="unit"), load_digit(0)[0]
    operator = ls.Blend("black", lift="smooth")
    found = ls.explain(f, image, perturbation=operator, n_queries=202, rng=0, progress=False)
    files = found.save(tmp_path)
    assert ls.verify(files[-1], progress=False).passed
    assert "lift='smooth'" in str(found.summary())
    design = ls.MultiscaleBlocks(grid=(7, 7))
    given: dict[str, Any] = {"perturbation": operator, "progress": False}
    whole = ls.query(f, image, design, 102, rng=0, **given)
    whole.save(tmp_path / "sample.npz")
    loaded = ls.QuerySample.load(tmp_path / "sample.npz")
    assert loaded.perturbation == operator
    np.testing.assert_array_equal(loaded.draws(), whole.draws())
    longer = ls.query(f, image, design, 202, resume=loaded, **given)
    np.testing.assert_array_equal(longer.responses, ls.query(f, image, design, 202, rng=0, **given).responses)
    other = ls.query(f, image, design, 102, rng=0, perturbation=ls.Blend("black"), progress=False)
    assert not np.array_equal(other.responses, whole.responses)
