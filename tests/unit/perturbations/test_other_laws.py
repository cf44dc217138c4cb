"""A law that is not Gaussian goes the whole way where nothing is clipped, and is refused where something is."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.designs.design import Design
from legstat.perturbations.clipped_law import ClippedLaw


class Signs(Design):
    """Each cell +-scale with probability 1/2: the on/off masks of RISE and LIME about 1/2."""

    @property
    def bound(self) -> float:
        return self.scale

    def covariance(self, v: FloatArray) -> FloatArray:
        return self.scale**2 * v

    def solve(self, v: FloatArray) -> FloatArray:
        return v / self.scale**2

    def sample(self, generator: np.random.Generator, n: int) -> FloatArray:
        return self.scale * (2.0 * generator.integers(0, 2, (n, self.grid.n_cells)) - 1.0)


IMAGE = np.random.default_rng(0).uniform(0.2, 0.8, (1, 9, 9))
GAMMA = np.arange(9.0).reshape(3, 3)


def contrast(x: np.ndarray) -> np.ndarray:
    """Linear in the mask: the contrast that every cell keeps of its picture against the mean."""
    share = (x - IMAGE.mean()) * (IMAGE - IMAGE.mean()) / (IMAGE - IMAGE.mean()) ** 2
    return (share.reshape(-1, 3, 3, 3, 3).mean(axis=(2, 4)) * GAMMA).sum(axis=(1, 2))


def test_signs_about_the_middle_give_the_linear_map_exactly() -> None:
    design = Signs((3, 3), 0.5)
    sample = ls.query(
        contrast, IMAGE, design, perturbation=ls.Blend("mean", at=0.5), n_queries=402, rng=0, progress=False
    )
    assert set(np.unique(sample.draws())) == {-0.5, 0.5}
    assert not sample.units[0].law.clipped
    for kind in ("regression", "least_squares", "crossfit"):
        fitted = sample.moments(kind, shrinkage=1e-9).gamma.reshape(3, 3)  # type: ignore[arg-type]
        # an exactly linear score leaves the rounding; the pilot's smallest penalty is 1e-3 of it
        np.testing.assert_allclose(fitted, GAMMA, rtol=0, atol=1e-2 if kind == "crossfit" else 1e-6)
    given = ls.QuerySample.from_arrays(sample.draws(), sample.responses, design, antithetic=True)
    np.testing.assert_allclose(given.moments("least_squares").gamma.reshape(3, 3), GAMMA, rtol=0, atol=1e-6)  # as above
    with pytest.raises(ValueError, match="drawn from `design`"):
        ls.QuerySample.from_arrays(2 * sample.draws(), sample.responses, design, antithetic=True)


@pytest.mark.parametrize(("scale", "at", "clipped"), [(0.5, 0.5, False), (0.3, 0.3, False), (0.3, 0.2, True)])
def test_only_what_reaches_beyond_the_range_is_clipped(scale: float, at: float, clipped: bool) -> None:
    design = Signs((3, 3), scale)
    for operator in (ls.Blend("mean", at=at), ls.Additive()):
        image = np.full((1, 9, 9), at)
        cell_map = operator.cell_map(image, design.grid, "shared", 0)
        assert cell_map is not None
        assert cell_map.keeps(scale) == (not clipped)
        if clipped:
            with pytest.raises(ValueError, match="`design` must be Gaussian or of two values"):
                ClippedLaw(design, cell_map, planes=1)
        else:
            assert not ClippedLaw(design, cell_map, planes=1).clipped


def test_laws_say_what_they_are() -> None:
    assert ls.StructuredGaussian((2, 2)).gaussian
    assert not Signs((2, 2), 0.5).gaussian
    assert ls.IsotropicGaussian((2, 2)).bound is None
