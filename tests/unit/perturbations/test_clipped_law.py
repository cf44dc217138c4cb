"""Mean and covariance of the realised z against numerical integration, Monte Carlo and limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

import legstat.perturbations.clipped_law
from legstat.designs.design import Design
from legstat.designs.general import GaussianDesign
from legstat.designs.grid import Grid
from legstat.designs.isotropic import IsotropicGaussian
from legstat.designs.structured import StructuredGaussian
from legstat.perturbations.cell_map import CellMap
from legstat.perturbations.clipped_law import ClippedLaw
from legstat.perturbations.operators import Additive, Blend
from tests.helpers import z_limit

Function = Callable[[np.ndarray], np.ndarray]


def composite(breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [-9, 9], in pieces that end at the breaks and are no longer than 1/2."""
    ends = np.unique(np.concatenate([np.arange(-9, 9.25, 0.5), breaks[np.abs(breaks) < 9]]))
    x, w = np.polynomial.legendre.leggauss(12)
    half = np.diff(ends)[:, None] / 2
    nodes = (ends[:-1, None] + half) + half * x
    return nodes.ravel(), (half * w).ravel()


def normal(u: np.ndarray) -> np.ndarray:
    return np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi)


def quadrature_covariance(
    phi: list[Function], kinks: list[np.ndarray], sigma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of phi_i(z_i), z ~ N(0, sigma), by integration over one and two normals."""
    p, sd = len(sigma), np.sqrt(np.diag(sigma))
    mean, cov = np.empty(p), np.empty((p, p))
    grids = [composite(kinks[i] / sd[i]) for i in range(p)]
    for i, (u, w) in enumerate(grids):
        values = phi[i](sd[i] * u)
        mean[i] = np.sum(w * normal(u) * values)
        cov[i, i] = np.sum(w * normal(u) * (values - mean[i]) ** 2)
    for i in range(p):
        for j in range(i):
            rho = sigma[i, j] / (sd[i] * sd[j])
            (u, wu), (v, wv) = grids[i], grids[j]
            exponent = (u[:, None] ** 2 - 2 * rho * u[:, None] * v + v**2) / (2 * (1 - rho**2))
            density = np.exp(-exponent) / (2 * np.pi * np.sqrt(1 - rho**2))
            left, right = wu * (phi[i](sd[i] * u) - mean[i]), wv * (phi[j](sd[j] * v) - mean[j])
            cov[i, j] = cov[j, i] = left @ density @ right
    return mean, cov


def clipped_mean(pixels: np.ndarray) -> tuple[Function, np.ndarray]:
    """Realised z of one cell under clipping, and its kinks."""
    return (
        lambda z: np.mean([np.clip(x + z, 0, 1) - x for x in pixels], axis=0),
        np.concatenate([-pixels, 1 - pixels]),
    )


def blended(at: float) -> tuple[Function, np.ndarray]:
    return lambda z: np.clip(at + z, 0, 1) - at, np.array([-at, 1 - at])


def odd(function: Function) -> Function:
    return lambda z: (function(z) - function(-z)) / 2


def cells_of(image: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """Pixels of all channels, cell by cell."""
    h, w = grid.tiling(*image.shape[-2:]).size
    return [image[:, i * h : (i + 1) * h, j * w : (j + 1) * w].ravel() for i in range(grid.shape[0])
            for j in range(grid.shape[1])]  # fmt: skip


IMAGE = np.random.default_rng(2).uniform(0, 1, (2, 4, 6))
IMAGE[:, :2, :2] = 0.0  # a black cell
IMAGE[:, :2, 2:4] = 1.0  # a white cell
IMAGE[:, 2:, :2] = 0.25  # a cell of one grey

DESIGNS: list[Design] = [
    StructuredGaussian((2, 3), 0.25),
    StructuredGaussian((2, 3), 0.6),
    StructuredGaussian((2, 3), 0.02, boundary="zero"),
    IsotropicGaussian((2, 3), 0.3),
    GaussianDesign(0.75 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6))), (2, 3), 0.4),
]


@pytest.mark.parametrize("paired", [False, True], ids=["draws", "pairs"])
@pytest.mark.parametrize("kind", ["additive", "blend"])
@pytest.mark.parametrize("design", DESIGNS, ids=repr)
def test_against_quadrature(design: Design, kind: str, paired: bool) -> None:
    if kind == "additive":
        cell_map = Additive().cell_map(IMAGE, design.grid, "shared", 0)
        parts = [clipped_mean(pixels) for pixels in cells_of(IMAGE, design.grid)]
    else:
        cell_map = Blend("mean", at=0.3).cell_map(IMAGE, design.grid, "shared", 0)
        parts = [blended(0.3)] * 6
    assert cell_map is not None
    functions, kinks = [f for f, _ in parts], [k for _, k in parts]
    if paired:
        cell_map = cell_map.odd_part()
        functions, kinks = [odd(f) for f in functions], [np.concatenate([k, -k]) for k in kinks]
    law = ClippedLaw(design, cell_map, planes=1)
    mean, cov = quadrature_covariance(functions, kinks, design.covariance_matrix())
    # quadrature of 12 nodes on pieces of length 1/2 is exact to rounding; entries are below 1
    np.testing.assert_allclose(law.mean[0], mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(law.matrix(), cov, rtol=0, atol=1e-10)
    scale = np.sqrt(np.outer(np.diag(cov), np.diag(cov)))
    np.testing.assert_allclose(law.matrix() / scale, cov / scale, rtol=0, atol=1e-8)
    assert law.clipped


@pytest.mark.parametrize(("rho", "atol"), [(0.5, 1e-14), (0.85, 1e-14), (0.95, 1e-10), (0.99, 1e-6), (0.999, 1e-5)])
def test_strong_correlation_against_quadrature(rho: float, atol: float) -> None:
    """Beyond |rho| = 0.85 the series is cut at 200 terms; variances are about 0.1 here, so that even then the error is
    far below what a sample can show."""
    at, scale = 0.4, 0.5
    design = GaussianDesign(np.array([[1.0, rho], [rho, 1.0]]), (1, 2), scale)
    law = ClippedLaw(design, Blend(at=at).cell_map(np.zeros((1, 1, 2)), design.grid, "shared", 0), 1)
    # E clip(at + z_2) given z_1 by the normal distribution function, then one integral
    u, w = composite(np.array([-at, 1 - at]) / scale)
    m, s = at + scale * rho * u, scale * np.sqrt(1 - rho**2)
    low, high = (0 - m) / s, (1 - m) / s
    inner = m * (norm.cdf(high) - norm.cdf(low)) + s * (norm.pdf(low) - norm.pdf(high)) + norm.sf(high)
    outer = np.clip(at + scale * u, 0, 1)
    density = w * norm.pdf(u)
    covariance = np.sum(density * outer * inner) - np.sum(density * outer) ** 2
    assert law.matrix()[0, 1] == pytest.approx(covariance, abs=atol, rel=0)


def test_half_normal_in_closed_form() -> None:
    # a black pixel: max(z, 0), or z / 2 as the odd part of a pair; white likewise
    design = StructuredGaussian((1, 2), 0.02)
    image = np.array([[[0.0, 1.0]]])
    cell_map = Additive().cell_map(image, design.grid, "shared", 0)
    assert cell_map is not None
    law, sd = ClippedLaw(design, cell_map, 1), np.sqrt(1.5) * 0.02
    # the clip at the other end is 40 standard deviations away
    np.testing.assert_allclose(law.mean[0], np.array([1, -1]) * sd / np.sqrt(2 * np.pi), rtol=1e-12)
    np.testing.assert_allclose(np.diag(law.matrix()), sd**2 * (0.5 - 0.5 / np.pi), rtol=1e-12)
    pairs = ClippedLaw(design, cell_map.odd_part(), 1)
    np.testing.assert_allclose(pairs.matrix(), design.covariance_matrix() / 4, rtol=1e-12)


@pytest.mark.parametrize("paired", [False, True], ids=["draws", "pairs"])
@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
def test_against_monte_carlo(channels: str, paired: bool) -> None:
    """Each moment within the limit that all keep with probability 1 - 1e-6."""
    design = StructuredGaussian((2, 3), 0.4)
    planes = 2 if channels == "joint" else 1
    cell_map = Additive().cell_map(IMAGE, design.grid, channels, 1)
    assert cell_map is not None
    law = ClippedLaw(design, cell_map.odd_part() if paired else cell_map, planes)
    z = np.concatenate([design.draw((5, 6), 0, j, planes) for j in range(1000)]).reshape(-1, planes, 6)
    realised = (cell_map(z) - cell_map(-z)) / 2 if paired else cell_map(z)
    flat = realised.reshape(len(z), -1) - law.mean.ravel()
    q = flat.shape[1]
    products = flat[:, :, None] * flat[:, None, :]
    error = (products.mean(axis=0) - law.matrix()) / (products.std(axis=0) / np.sqrt(len(z)))
    assert np.abs(error).max() < z_limit(1e-6, q * (q + 1) // 2)
    if not paired:
        assert np.abs(flat.mean(axis=0) / (flat.std(axis=0) / np.sqrt(len(z)))).max() < z_limit(1e-6, q)
    else:
        np.testing.assert_allclose(law.mean, 0, atol=1e-15)  # odd functions


@pytest.mark.parametrize("design", DESIGNS, ids=repr)
def test_without_clipping_it_is_the_design(design: Design, rng: np.random.Generator) -> None:
    v = rng.standard_normal((3, 1, 6))
    law = ClippedLaw(design, None, planes=1)
    assert not law.clipped
    np.testing.assert_array_equal(law.covariance(v), design.covariance(v))
    np.testing.assert_array_equal(law.solve(v), design.solve(v))
    assert not law.mean.any()
    # clipping so far out that nothing reaches it: the identity seen through the series
    knots = np.broadcast_to(np.array([-40.0, 0.1, 40.0]), (1, 6, 3))
    far = ClippedLaw(design, CellMap(knots, knots), planes=1)
    np.testing.assert_allclose(far.matrix(), design.covariance_matrix(), rtol=0, atol=1e-14)  # sums over three knots
    np.testing.assert_allclose(far.mean, 0, atol=1e-15)


@pytest.mark.parametrize("channels", ["shared", "joint"])
def test_solve_and_matrix(channels: str, rng: np.random.Generator) -> None:
    design = StructuredGaussian((2, 3), 0.3)
    planes = 2 if channels == "joint" else 1
    law = ClippedLaw(design, Additive().cell_map(IMAGE, design.grid, channels, 0), planes)
    matrix, v = law.matrix(), rng.standard_normal((4, planes, 6))
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-16)
    assert np.linalg.eigvalsh(matrix)[0] > 0
    # six unknowns, condition number some hundreds
    np.testing.assert_allclose(law.covariance(v).reshape(4, -1), v.reshape(4, -1) @ matrix, rtol=0, atol=1e-14)
    np.testing.assert_allclose(law.solve(law.covariance(v)), v, rtol=0, atol=1e-10)
    for i in range(planes):
        for j in range(i):
            assert not matrix[i * 6 : (i + 1) * 6, j * 6 : (j + 1) * 6].any()  # planes are independent


def test_clipping_shrinks_every_variance() -> None:
    design = StructuredGaussian((2, 3), 0.3)
    law = ClippedLaw(design, Additive().cell_map(IMAGE, design.grid, "shared", 0), 1)
    assert (np.diag(law.matrix()) < design.variances).all()


@pytest.mark.parametrize(
    "design",
    [StructuredGaussian((9, 8), 0.3), StructuredGaussian((9, 8), 0.3, boundary="zero"), IsotropicGaussian((9, 8), 0.3)],
    ids=repr,
)
def test_sparse_form_is_the_dense_one_up_to_1_over_p_squared(
    design: Design, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    image = rng.uniform(0, 1, (3, 9, 8))
    cell_map = Additive().cell_map(image, design.grid, "shared", 0)
    dense = ClippedLaw(design, cell_map, 1)
    monkeypatch.setattr(legstat.perturbations.clipped_law, "DENSE_LIMIT", 10)
    sparse = ClippedLaw(design, cell_map, 1)
    p, v = 72, rng.standard_normal((5, 1, 72))
    unit = np.diag(dense.matrix()).max()
    off = np.abs(dense.matrix() - sparse.matrix()) / unit
    neighbours = np.abs(design.grid.D.T @ design.grid.D).toarray() > 0
    assert off[neighbours].max() < 1e-14  # the same series for these entries
    assert off.max() < 1 / p**2
    np.testing.assert_array_equal(sparse.mean, dense.mean)
    np.testing.assert_allclose(sparse.covariance(v)[:, 0], v[:, 0] @ sparse.matrix(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(sparse.solve(sparse.covariance(v)), v, rtol=0, atol=1e-10)  # one sparse factorisation


def test_sparse_form_beyond_the_limit_needs_sparse_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legstat.perturbations.clipped_law, "DENSE_LIMIT", 2)
    design = DESIGNS[-1]
    law = ClippedLaw(design, Blend().cell_map(IMAGE, design.grid, "shared", 0), 1)
    assert law.matrix()[0, 5] != 0  # dense all the same: a full covariance has no sparse form
