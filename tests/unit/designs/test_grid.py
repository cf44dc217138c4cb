"""The differencing operator and its spectral calculus against dense matrices built by loops and by SVD."""

from __future__ import annotations

import numpy as np
import pytest

from legstat.designs.grid import OUTSIDE, Grid, parse_shape
from tests.helpers import naive_D, pinv

SHAPES = [(1, 1), (1, 2), (1, 7), (5, 1), (2, 2), (3, 4), (4, 3), (2, 9), (7, 5), (12, 12)]
BOUNDARIES = ["free", "zero"]
EVERY = [(shape, boundary) for shape in SHAPES for boundary in BOUNDARIES]

# dense SVD, and a pair of transforms of a few hundred numbers of size 1 whose smallest eigenvalue is above 0.03
ATOL = 1e-10


@pytest.fixture(params=EVERY, ids=lambda p: f"{p[0][0]}x{p[0][1]} {p[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[Grid, np.ndarray]:
    """A grid and its dense D."""
    shape, boundary = request.param
    return Grid(shape, boundary), naive_D(*shape, boundary)


def test_D_is_the_matrix_written_by_loops(pair: tuple[Grid, np.ndarray]) -> None:
    grid, D = pair
    assert grid.D.shape == D.shape == (grid.n_edges, grid.n_cells)
    np.testing.assert_array_equal(grid.D.toarray(), D)


def test_edges_name_the_ends_of_each_row(pair: tuple[Grid, np.ndarray]) -> None:
    grid, D = pair
    for row, tail, head in zip(D, *grid.edges, strict=True):
        assert row.sum() == (tail != OUTSIDE) * -1 + (head != OUTSIDE)
        assert tail == OUTSIDE or row[tail] == -1
        assert head == OUTSIDE or row[head] == 1


def test_differences_and_divergence(pair: tuple[Grid, np.ndarray], rng: np.random.Generator) -> None:
    grid, D = pair
    for batch in ((), (3,), (2, 3)):
        v, e = rng.standard_normal((*batch, grid.n_cells)), rng.standard_normal((*batch, grid.n_edges))
        # sums of at most five numbers of size 1
        np.testing.assert_allclose(grid.difference(v), v @ D.T, rtol=0, atol=1e-14)
        np.testing.assert_allclose(grid.divergence(e), e @ D, rtol=0, atol=1e-14)


def test_spectrum(pair: tuple[Grid, np.ndarray], rng: np.random.Generator) -> None:
    grid, D = pair
    laplacian = D.T @ D
    np.testing.assert_allclose(np.sort(grid.eigenvalues.ravel()), np.linalg.eigvalsh(laplacian), rtol=0, atol=ATOL)
    eigenvalues, vectors = np.linalg.eigh(laplacian)
    v = rng.standard_normal((2, grid.n_cells))
    for function in (lambda e: e, np.cos, lambda e: np.exp(-e) + e**2):
        dense = vectors @ np.diag(function(eigenvalues)) @ vectors.T
        np.testing.assert_allclose(grid.apply_spectrum(function, v), v @ dense, rtol=0, atol=ATOL)


def test_smallest_eigenvalues_keep_their_digits() -> None:
    grid = Grid((1, 4096))
    # 4 sin^2(x) to full relative precision, where 2 - 2 cos(2x) has lost nine digits
    expected = 4 * np.sin(np.pi * np.arange(1, 4) / 8192) ** 2
    np.testing.assert_allclose(grid.eigenvalues[0, 1:4], expected, rtol=1e-15)
    assert grid.eigenvalues[0, 1] == pytest.approx((np.pi / 4096) ** 2, rel=1e-6)  # second term of the series


def test_pseudo_inverses(pair: tuple[Grid, np.ndarray], rng: np.random.Generator) -> None:
    grid, D = pair
    v, e = rng.standard_normal((2, 3, grid.n_cells)), rng.standard_normal((2, 3, grid.n_edges))
    np.testing.assert_allclose(grid.laplacian_pinv(v), v @ np.linalg.pinv(D.T @ D), rtol=0, atol=ATOL)
    np.testing.assert_allclose(grid.pinv(e), e @ pinv(D).T, rtol=0, atol=ATOL)
    np.testing.assert_allclose(grid.pinv_transpose(v), v @ pinv(D), rtol=0, atol=ATOL)


def test_pinv_times_D_is_a_projector(pair: tuple[Grid, np.ndarray]) -> None:
    grid, _ = pair
    p = grid.n_cells
    off_constants = np.eye(p) - (np.ones((p, p)) / p if grid.boundary == "free" else 0.0)
    np.testing.assert_allclose(grid.pinv(grid.difference(np.eye(p))), off_constants, rtol=0, atol=ATOL)


def test_dense_svd(pair: tuple[Grid, np.ndarray]) -> None:
    grid, D = pair
    u, s, v = grid.dense_svd()
    np.testing.assert_allclose(u @ np.diag(s) @ v.T, D, rtol=0, atol=ATOL)
    zero = int(np.sum(s < 1e-10))
    assert zero == (1 if grid.boundary == "free" and len(s) == grid.n_cells else 0)


def test_counts_of_the_paper_and_of_the_authors_code() -> None:
    assert Grid((28, 28)).D.shape == (1512, 784)
    assert Grid((28, 28), "zero").D.shape == (1624, 784)
    # 729 directions of the edges that no g reaches (the paper's count is one too few)
    assert 1512 - 783 == 28 * 28 - 28 - 28 + 1
    eigenvalues = np.sort(Grid((28, 28)).eigenvalues.ravel())
    assert (eigenvalues[0], round(eigenvalues[1], 5), round(eigenvalues[-1], 3)) == (0.0, 0.01258, 7.975)


# ---------------------------------------------------------------- cells and pixels


@pytest.mark.parametrize(("shape", "size"), [((1, 1), (3, 2)), ((2, 3), (4, 9)), ((3, 2), (3, 2)), ((2, 2), (6, 2))])
def test_lift_and_cell_means(shape: tuple[int, int], size: tuple[int, int], rng: np.random.Generator) -> None:
    grid, (height, width) = Grid(shape), size
    z = rng.standard_normal((2, 3, *shape))
    lifted = grid.lift(z, height, width)
    assert lifted.shape == (2, 3, height, width)
    for i in range(height):
        for j in range(width):
            cell = z[..., i * shape[0] // height, j * shape[1] // width]
            np.testing.assert_array_equal(lifted[..., i, j], cell)
    pixels = rng.standard_normal((2, height, width))
    means = np.zeros((2, *shape))
    for i in range(height):
        for j in range(width):
            share = shape[0] * shape[1] / (height * width)
            means[:, i * shape[0] // height, j * shape[1] // width] += share * pixels[:, i, j]
    # sums of at most nine numbers of size 1
    np.testing.assert_allclose(grid.cell_means(pixels), means, rtol=0, atol=1e-14)
    np.testing.assert_allclose(grid.cell_means(lifted), z, rtol=0, atol=1e-14)


def test_lift_keeps_the_type() -> None:
    assert Grid((2, 2)).lift(np.zeros((2, 2), dtype=np.float32), 4, 4).dtype == np.float32


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize("shape", [(0, 3), (3, -1), (2.5, 3), (3,), (3, 3, 3), 28, "28", None, (np.nan, 2), ("2", "2")])
def test_bad_shape(shape: object) -> None:
    with pytest.raises(ValueError, match=r"legstat.Grid: `grid` must be two integers >= 1.*such as \(28, 28\)"):
        Grid(shape)  # type: ignore[arg-type]


def test_bad_boundary() -> None:
    with pytest.raises(ValueError, match=r"`boundary` must be .*Got 'periodic'"):
        Grid((3, 3), "periodic")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 3), [2, 3], (np.int64(2), 3)])
def test_shapes_that_are_pairs_of_whole_numbers(shape: object) -> None:
    parsed = parse_shape("Grid", shape)
    assert parsed == (2, 3)
    assert all(type(n) is int for n in parsed)


def test_grids_compare_by_value() -> None:
    assert Grid((2, 3)) == Grid((2, 3))
    assert Grid((2, 3)) != Grid((2, 3), "zero")
    assert len({Grid((2, 3)), Grid((2, 3)), Grid((3, 2))}) == 2
