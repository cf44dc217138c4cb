"""Powers of the grid's Laplacian, normal and as signs, against dense decompositions and against draws."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.designs.blocks import BLOCK
from legstat.designs.by_name import design_from_parameters
from legstat.designs.design import Design
from legstat.inference.bounds import kappa
from tests.helpers import naive_D, z_limit

POWERS = [(1.0, None), (1.0, 0.3), (0.0, None), (-0.5, None), (-1.0, None), (-1.0, 0.5), (2.0, None), (-2.0, 0.0)]


def naive(shape: tuple[int, int], power: float, floor: float | None) -> np.ndarray:
    """(D^T D + epsilon)^q by an eigendecomposition, of trace p; constants as of roughness 1 where epsilon is 0."""
    values, vectors = np.linalg.eigh(naive_D(*shape).T @ naive_D(*shape))
    epsilon = (0.05 if power < 0 else 0.0) if floor is None else floor
    rough = np.where(values + epsilon < 1e-9, 1.0, values + epsilon) ** power
    return (vectors * (rough / rough.mean())) @ vectors.T


@pytest.mark.parametrize(("power", "floor"), POWERS)
@pytest.mark.parametrize("shape", [(4, 5), (1, 6), (1, 1)])
def test_the_law_of_a_power(
    shape: tuple[int, int], power: float, floor: float | None, rng: np.random.Generator
) -> None:
    sigma = 0.3**2 * naive(shape, power, floor)
    design, p = ls.SpectralGaussian(shape, power, floor, scale=0.3), len(sigma)
    v = rng.standard_normal((2, 3, p))
    np.testing.assert_allclose(design.covariance(v), v @ sigma, rtol=0, atol=1e-12)  # transforms of 20 numbers
    np.testing.assert_allclose(design.covariance(design.solve(v)), v, rtol=0, atol=1e-11)  # condition below 1e4
    root = design.root(np.eye(p))
    np.testing.assert_allclose(root @ root.T, sigma, rtol=0, atol=1e-13)
    drawn = design.from_normals(np.eye(p))
    np.testing.assert_allclose(drawn.T @ drawn, sigma, rtol=0, atol=1e-13)
    assert design.variances.mean() == pytest.approx(0.09, rel=1e-12)
    np.testing.assert_allclose(sigma.sum(axis=1), design.constant_eigenvalue, rtol=1e-10)
    values = np.linalg.eigvalsh(sigma)
    assert design.condition_number == pytest.approx(values[-1] / values[0], rel=1e-9)
    parts = design.sparse_parts
    assert (parts is None) == (power not in (0.0, 1.0))
    if parts is not None:
        np.testing.assert_allclose(parts[0].toarray() + np.outer(parts[1], parts[1]), sigma, rtol=0, atol=1e-14)


def test_known_laws_are_powers() -> None:
    grid = (6, 7)
    structured = ls.StructuredGaussian(grid, 0.2)
    unit = np.sqrt(structured.variances.mean())
    power_one = ls.SpectralGaussian(grid, 1, scale=unit).covariance_matrix()
    np.testing.assert_allclose(power_one, structured.covariance_matrix(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        ls.SpectralGaussian(grid, 0, scale=0.2).covariance_matrix(), 0.04 * np.eye(42), atol=1e-15
    )
    assert structured.condition_number == pytest.approx(structured.spectrum.max() / structured.spectrum.min())  # type: ignore[union-attr]


@pytest.mark.parametrize("boundary", ["free", "zero"])
@pytest.mark.parametrize("power", [1.0, 0.0, -1.0])
def test_kappa_of_a_power(power: float, boundary: Any) -> None:
    design = ls.SpectralGaussian((4, 5), power, scale=0.5, boundary=boundary)
    D = naive_D(4, 5, boundary)
    back = np.linalg.pinv(D)
    pencil = np.linalg.eigvalsh(back.T @ design.covariance_matrix() @ back)
    expected = pencil[-np.linalg.matrix_rank(D) :].min()
    assert kappa(design).lower == pytest.approx(expected, rel=1e-6)  # less a bound on rounding where it is computed


@pytest.mark.parametrize("power", [1.0, 0.0, -1.0])
def test_signs_have_the_arcsine_covariance(power: float) -> None:
    design = ls.SpectralBinary((3, 5), power, scale=0.4)
    z = np.concatenate([design.draw((7, 8), 0, j).reshape(BLOCK, -1) for j in range(500)])
    np.testing.assert_array_equal(np.unique(z), [-0.4, 0.4])
    n, sigma = len(z), design.covariance_matrix()
    sd = np.sqrt(np.maximum(0.4**4 - sigma**2, 0.0) / n)
    off = sd > 1e-9
    assert (np.abs(z.T @ z / n - sigma)[off] / sd[off]).max() < z_limit(1e-6, 15 * 8)
    np.testing.assert_allclose(np.diag(sigma), design.variances, rtol=1e-14)
    v = np.random.default_rng(0).standard_normal((2, 15))
    np.testing.assert_allclose(design.covariance(design.solve(v)), v, rtol=0, atol=1e-11)
    assert np.linalg.eigvalsh(sigma)[0] > 0


@pytest.mark.parametrize(
    "design",
    [
        ls.SpectralGaussian((3, 4), -0.5, 0.1, scale=0.2, channels="joint", boundary="zero"),
        ls.SpectralBinary((3, 4), -1, boundary="zero"),
    ],
    ids=repr,
)
def test_a_law_is_a_value(design: Design) -> None:
    for again in (
        design_from_parameters(type(design).__name__, design.parameters()),
        pickle.loads(pickle.dumps(design)),
        design.replace(),
    ):
        assert again == design
        np.testing.assert_array_equal(again.draw((1, 2), 0, 3), design.draw((1, 2), 0, 3))


@pytest.mark.parametrize(
    ("call", "error", "named"),
    [
        (lambda: ls.SpectralGaussian((4, 4), 5), ValueError, "`power` must be a number within [-4, 4]"),
        (lambda: ls.SpectralGaussian((4, 4), "smooth"), TypeError, "`power`"),  # type: ignore[arg-type]
        (lambda: ls.SpectralGaussian((4, 4), -1, -0.1), ValueError, "`floor`"),
        (lambda: ls.SpectralGaussian((4, 4), -4, 1e-9), ValueError, "singular to working precision"),
        (lambda: ls.SpectralBinary((4, 4), -1, np.nan), ValueError, "`floor`"),
        (lambda: ls.SpectralBinary((65, 64)), ValueError, "at most 4096 cells. Got (65, 64). MultiscaleBlocks"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=re.escape(named)):
        call()
