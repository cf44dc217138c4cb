"""Probit and logistic responses against numerical Stein identities; sparse truths."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.designs.grid import Grid

GAMMA = np.array([[2.0, -1.0], [0.5, 0.0]])


@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
@pytest.mark.parametrize("make", [ls.simulate.probit, ls.simulate.logistic])
def test_leg_is_the_regression_on_many_draws(make: object, channels: str) -> None:
    f, image = make(GAMMA, offset=-0.4), np.random.default_rng(0).uniform(size=(2, 4, 4))
    design = ls.StructuredGaussian(grid=(2, 2), scale=0.8, channels=channels)
    exact = f.leg(image, design)
    sample = ls.query(f, image, design, 60_001, perturbation=ls.Additive(clip=False), rng=1, progress=False)
    fitted = ls.LEG(sample, moments="least_squares").fit()
    z = (fitted.params - exact.ravel()) / fitted.std_errors
    assert np.abs(z).max() < 4.5  # at most 8 normal deviations: 5e-5


def test_quadratic_leg_is_its_slope() -> None:
    f, image = ls.simulate.quadratic(GAMMA, 0.5), np.full((1, 2, 2), 0.3)
    slope = 1 + 2 * 0.5 * 0.3 * GAMMA.sum()
    design = ls.IsotropicGaussian(grid=(2, 2))
    np.testing.assert_allclose(f.leg(image, design), slope * GAMMA.reshape(1, 4), rtol=1e-14, atol=0)


def test_leg_beyond_normal_laws() -> None:
    """A quadratic of symmetric z has the LEG of its slope; a link has no closed form there."""
    gamma, design = np.arange(6.0).reshape(2, 3), ls.MultiscaleBlocks((2, 3), scale=0.3)
    f = ls.simulate.quadratic(gamma, 0.5)
    z = np.concatenate([design.draw((1, 2), 0, j).reshape(-1, 6) for j in range(2000)])
    y = f(np.full((1, 1, 2, 3), 0.2) + z.reshape(-1, 1, 2, 3))
    found = design.solve((y - y.mean()) @ z / len(z))
    expected = f.leg(np.full((1, 2, 3), 0.2), design)[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=6 * y.std() / np.sqrt(0.004 * len(z)))
    for link in (ls.simulate.logistic, ls.simulate.probit):
        with pytest.raises(ValueError, match=r"`design` must be normal where there is a link.*large sample"):
            link(gamma).leg(np.zeros((1, 2, 3)), design)


def test_leg_refuses() -> None:
    with pytest.raises(ValueError, match="grid"):
        ls.simulate.probit(GAMMA).leg(np.zeros((1, 4, 4)), ls.StructuredGaussian(grid=(4, 4)))
    curved = ls.simulate.SimulatedResponse(GAMMA, curvature=1.0, link="probit")
    with pytest.raises(ValueError, match="curvature"):
        curved.leg(np.zeros((1, 2, 2)), ls.StructuredGaussian(grid=(2, 2)))
    with pytest.raises(ValueError, match="link"):
        ls.simulate.SimulatedResponse(GAMMA, link="cloglog")


@pytest.mark.parametrize(
    ("shape", "s"), [((6, 6), 2), ((6, 6), 7), ((8, 8), 24), ((10, 7), 40), ((1, 9), 3), ((4, 4), 0)]
)
def test_piecewise_constant_has_its_sparsity(shape: tuple[int, int], s: int) -> None:
    gamma = ls.simulate.piecewise_constant(shape, s, rng=3)
    assert np.count_nonzero(Grid(shape).difference(gamma.ravel())) == s
    assert np.abs(gamma).max() == (1.0 if s else 0.0)
    np.testing.assert_array_equal(gamma, ls.simulate.piecewise_constant(shape, s, rng=3))


@pytest.mark.parametrize("s", [1, 25, -1])
def test_piecewise_constant_refuses(s: int) -> None:
    with pytest.raises(ValueError, match="sparsity"):
        ls.simulate.piecewise_constant((4, 4), s, rng=0)
