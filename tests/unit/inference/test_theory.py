"""Theorem 1's quantities against dense linear algebra and the numbers measured on the authors' code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.designs.grid import Grid
from legstat.estimators.radius import check_theory
from legstat.inference.theory import edge_variance, norm_pinv, structured_L, theorem_L
from tests.helpers import naive_D, pinv


@pytest.mark.parametrize("boundary", ["free", "zero"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 7), (6, 1), (2, 2), (3, 5), (5, 4), (7, 7), (8, 3), (12, 12)])
def test_norm_of_the_pseudo_inverse(shape: tuple[int, int], boundary: str) -> None:
    dense = np.abs(pinv(naive_D(*shape, boundary))).sum(axis=0).max(initial=0.0)
    assert norm_pinv(Grid(shape, boundary)) == pytest.approx(dense, abs=1e-10)  # dense SVD


def test_norm_beyond_one_chunk_of_columns() -> None:
    grid = Grid((20, 15), "zero")  # 635 edges, computed 512 at a time
    assert norm_pinv(grid) == pytest.approx(np.abs(pinv(grid.D.toarray())).sum(axis=0).max(), abs=1e-10)


def test_numbers_of_the_paper_at_28_x_28() -> None:
    assert (norm_pinv(Grid((14, 14))), norm_pinv(Grid((28, 28)))) == (7.0, 14.0)
    assert norm_pinv(Grid((7, 7))) == pytest.approx(24 / 7)
    assert [round(theorem_L(Grid((28, 28)), n), 3) for n in (2000, 6000, 10000)] == [0.368, 0.212, 0.164]


def test_theorem_L_as_printed() -> None:
    # L = sqrt(2 ||D^+||_1 log(p1 p2 / eps) / n)
    expected = np.sqrt(2 * 14 * np.log(784 / 0.1) / 500)
    assert theorem_L(Grid((28, 28)), 500, probability=0.9) == pytest.approx(expected, rel=1e-12)


def test_structured_L_holds_with_its_probability() -> None:
    """||D^{+T}(b - E b)||_inf exceeds it in at most 5 % of samples: a bound, so far fewer of 300 do."""
    design = ls.StructuredGaussian((4, 4), 0.2)
    f = ls.as_response(lambda images: np.tanh(40 * (images.mean(axis=(1, 2, 3)) - 0.5)))
    n, image = 50, np.full((1, 4, 4), 0.5)
    L = structured_L(design.grid, 0.2, n)
    assert pytest.approx(0.2 * np.sqrt(2 * np.log(2 * 24 / 0.05) / 50), rel=1e-12) == L
    off = []
    for seed in range(300):
        sample = ls.query(f, image, design, n + 1, perturbation=ls.Additive(clip=False), antithetic=False, rng=seed,
                          progress=False)  # fmt: skip
        off.append(design.grid.pinv_transpose(sample.moments("printed").b[0]))
    # E b is proportional to 1 here, which D^{+T} takes to 0
    exceed = np.mean(np.abs(off).max(axis=1) > L)
    assert exceed <= 0.05
    assert np.abs(off).max() > 0.4 * L  # and it is no vacuous bound


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 95, np.nan])
def test_bad_probability(probability: float) -> None:
    for call in (
        lambda: theorem_L(Grid((3, 3)), 10, probability=probability),
        lambda: structured_L(Grid((3, 3)), 1, 10, probability=probability),
    ):
        with pytest.raises(ValueError, match="`probability` must be strictly between 0 and 1"):
            call()


def test_bad_n() -> None:
    for call in (lambda: theorem_L(Grid((3, 3)), 0), lambda: structured_L(Grid((3, 3)), 1.0, -1)):
        with pytest.raises(ValueError, match="`n` must be a finite number > 0"):
            call()


@pytest.mark.parametrize("boundary", ["free", "zero"])
@pytest.mark.parametrize("law", ["isotropic", "blocks", "levels", "smooth"])
def test_edge_variance_is_that_of_the_noise_in_the_constraint(law: str, boundary: Any) -> None:
    design = {
        "isotropic": lambda: ls.IsotropicGaussian((3, 5), 0.7, boundary=boundary),
        "blocks": lambda: ls.MultiscaleBlocks((3, 5), boundary=boundary),
        "levels": lambda: ls.MultiscaleBlocks((3, 5), (1, 2), levels=(0.2, 0.8), boundary=boundary),
        "smooth": lambda: ls.SpectralGaussian((3, 5), boundary=boundary),
    }[law]()
    back = np.linalg.pinv(naive_D(3, 5, boundary))
    expected = np.diag(back.T @ design.covariance_matrix() @ back).max()
    assert edge_variance(design) == pytest.approx(expected, rel=1e-10)


def test_theorem_1_is_refused_where_its_l_is_below_the_noise_of_any_law() -> None:
    small, large = (ls.MultiscaleBlocks((4, 4), scale=scale) for scale in (0.5, 50.0))
    check_theory("explain", "probability", None, small)
    with pytest.raises(ValueError, match=r"`design.scale` must be small enough.*bootstrap"):
        check_theory("explain", "probability", None, large)
