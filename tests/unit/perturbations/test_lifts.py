"""From cells to pixels: against torch's interpolation, the adjoint's definition; levels stay levels."""

from __future__ import annotations

import numpy as np
import pytest

from legstat.perturbations.lifts import Lift, check_mask_shape

LIFTS = {
    "bilinear": Lift.bilinear((5, 4), (16, 12)),
    "corners": Lift.bilinear((5, 4), (16, 12), corners=True),
    "repeated": Lift.repeated((5, 4), (16, 12)),
    "gaussian": Lift.gaussian((5, 4), (16, 12), 40.0),
    "blurred": Lift.repeated((5, 4), (16, 12)).blurred(30.0),
    "a cell a pixel": Lift.bilinear((16, 12), (16, 12)),
}


@pytest.mark.parametrize("name", LIFTS)
def test_levels_stay_levels_and_constants_stay_constant(name, rng):
    lift = LIFTS[name]
    lifted = lift.up(rng.integers(0, 2, (3, *lift.shape)).astype(float))
    assert lifted.min() >= 0.0
    assert lifted.max() <= 1.0 + 1e-12  # a mean of ones, summed in double precision
    np.testing.assert_allclose(lift.up(np.ones(lift.shape)), 1.0, rtol=1e-12, err_msg="weights sum to 1")


@pytest.mark.parametrize("name", LIFTS)
def test_down_is_the_adjoint_of_up(name, rng):
    lift = LIFTS[name]
    mask, pixels = rng.standard_normal(lift.shape), rng.standard_normal(lift.size)
    np.testing.assert_allclose(
        np.sum(lift.up(mask) * pixels), np.sum(mask * lift.down(pixels)), rtol=1e-10, err_msg="<up m, g> = <m, down g>"
    )


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("shape", [(5, 4), (1, 3), (7, 12)])
def test_bilinear_is_torchs(corners, shape, rng):
    torch = pytest.importorskip("torch", reason="the reference is torch's interpolation")
    mask = rng.random(shape)
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(mask)[None, None], (16, 12), mode="bilinear", align_corners=corners
    )[0, 0].numpy()
    np.testing.assert_allclose(
        Lift.bilinear(shape, (16, 12), corners=corners).up(mask), reference, atol=1e-12, rtol=0.0, err_msg="rounding"
    )


def test_repeated_is_the_grids_lift_also_where_cells_differ_in_size(rng):
    from legstat.designs.grid import Grid

    mask = rng.random((3, 5))
    np.testing.assert_array_equal(Lift.repeated((3, 5), (8, 13)).up(mask), Grid((3, 5)).lift(mask, 8, 13))


def test_a_mask_larger_than_the_picture_is_refused():
    with pytest.raises(ValueError, match=r"`shape` must be at most \(8, 8\).*a cell a pixel"):
        check_mask_shape("mask", (9, 8), (8, 8))
