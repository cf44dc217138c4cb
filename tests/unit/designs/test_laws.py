"""Laws that are not normal: exact covariances against sums over blocks and against draws, and what they refuse."""

from __future__ import annotations

import itertools
import pickle
import re
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.designs import multiscale
from legstat.designs.blocks import BLOCK
from legstat.designs.by_name import design_from_parameters
from legstat.designs.design import Design
from tests.helpers import z_limit


def enumerated(shape: tuple[int, int], scales: tuple[int, ...], weights: tuple[float, ...]) -> np.ndarray:
    """Probability that two cells lie in one block, by going through every side, offset and cell."""
    cells = list(itertools.product(range(shape[0]), range(shape[1])))
    together = np.zeros((len(cells), len(cells)))
    for s, weight in zip(scales, weights, strict=True):
        for down, across in itertools.product(range(s), range(s)):
            block = [((r + down) // s, (c + across) // s) for r, c in cells]
            together += weight / s**2 * np.array([[one == other for other in block] for one in block])
    return together


def cases() -> list[Any]:
    listed = []
    for shape, scales, weights in (
        ((5, 6), (1, 2, 4), (0.25, 0.25, 0.5)),
        ((4, 4), (2, 3), (0.5, 0.5)),
        ((1, 7), (1, 7), (0.1, 0.9)),
        ((6, 3), (1,), (1.0,)),
        ((3, 5), (5, 1), (0.75, 0.25)),
    ):
        blocks = enumerated(shape, scales, weights)
        for levels, share in ((None, 0.0), ((0.2, 0.8), 0.12)):  # 4 Var of a uniform level on [.2, .8]
            sigma = 0.3**2 * (share + (1 - share) * blocks)
            design = ls.MultiscaleBlocks(shape, scales, weights, levels, scale=0.3)
            listed.append(pytest.param(design, sigma, id=f"blocks {scales} on {shape}, levels {levels}"))
    listed.append(pytest.param(ls.BernoulliCells((3, 4), 0.4), 0.16 * np.eye(12), id="cells"))
    return listed


CASES = cases()


@pytest.mark.parametrize(("design", "sigma"), CASES)
def test_covariance_is_that_of_the_blocks(design: Design, sigma: np.ndarray, rng: np.random.Generator) -> None:
    np.testing.assert_allclose(design.covariance_matrix(), sigma, rtol=0, atol=1e-15)  # numbers of size 0.1
    for batch in ((), (4,), (2, 3)):
        v = rng.standard_normal((*batch, len(sigma)))
        np.testing.assert_allclose(design.covariance(v), v @ sigma, rtol=0, atol=1e-14)  # sums of at most 30
        np.testing.assert_allclose(design.covariance(design.solve(v)), v, rtol=0, atol=1e-11)  # condition below 1e4
    np.testing.assert_allclose(design.variances, np.diag(sigma), rtol=1e-15)
    parts = design.sparse_parts
    assert parts is not None
    np.testing.assert_allclose(parts[0].toarray() + np.outer(parts[1], parts[1]), sigma, rtol=0, atol=1e-15)
    values = np.linalg.eigvalsh(sigma)
    assert design.condition_number == pytest.approx(values[-1] / values[0], rel=1e-9)
    image = sigma.sum(axis=1)
    if design.constant_eigenvalue is None:
        assert np.ptp(image) > 1e-3
    else:
        np.testing.assert_allclose(image, design.constant_eigenvalue, rtol=1e-12)


@pytest.mark.parametrize(("design", "sigma"), CASES)
def test_draws_have_this_covariance_and_lie_at_the_bound(design: Design, sigma: np.ndarray) -> None:
    """Each entry within the limit that all keep with probability 1 - 1e-6; products of two are +-scale^2 exactly."""
    z = np.concatenate([design.draw((5, 6), 0, j).reshape(BLOCK, -1) for j in range(400)])
    assert design.bound is not None
    np.testing.assert_array_equal(np.unique(z), [-design.bound, design.bound])
    n, p = z.shape
    sd = np.sqrt(np.maximum(design.bound**4 - sigma**2, 0.0) / n)  # 0 on the diagonal, but for rounding
    off = sd > 1e-9
    assert (np.abs(z.T @ z / n - sigma)[off] / sd[off]).max() < z_limit(1e-6, p * (p + 1) // 2)
    assert np.abs(z.mean(axis=0)).max() < z_limit(1e-6, p) * design.bound / np.sqrt(n)
    # z and -z have one law: third moments vanish
    third = np.einsum("ni,nj,nk->ijk", z[:2000], z[:2000], z[:2000]) / 2000
    assert np.abs(third).max() < z_limit(1e-6, p**3) * design.bound**3 / np.sqrt(2000)


def test_draws_are_blocks_of_the_sides_asked_for() -> None:
    design = ls.MultiscaleBlocks((12, 15), scales=(3, 5), weights=(0.25, 0.75), scale=1.0)
    found = []
    for j in range(40):
        for z in design.draw((1, 2), 0, j)[:, 0]:
            edges = [np.flatnonzero((np.diff(z, axis=axis) != 0).any(axis=1 - axis)) + 1 for axis in (0, 1)]
            sides = [s for s in (3, 5) if all(len(set(where % s)) <= 1 for where in edges)]
            assert sides
            found += sides if len(sides) == 1 else []
    share = found.count(5) / len(found)
    assert abs(share - 0.75) < z_limit(1e-6, 1) * np.sqrt(0.75 * 0.25 / len(found)) + 0.02  # a few fit both


def test_levels_differ_from_draw_to_draw() -> None:
    plain, levelled = (ls.MultiscaleBlocks((20, 20), scales=(1,), levels=v) for v in (None, (0.1, 0.9)))
    spread = [np.std(design.draw((1, 2), 0, 0).mean(axis=(1, 2, 3))) for design in (plain, levelled)]
    # sd of a draw's mean: .5 / 20 of independent cells, and .8 / sqrt(12) of a uniform level beside it
    assert spread[0] < 0.04
    assert spread[1] == pytest.approx(0.8 / np.sqrt(12), rel=0.4)  # of 32 draws


def test_one_draw_takes_a_fixed_number_of_uniform_numbers() -> None:
    design = ls.MultiscaleBlocks((4, 5), scales=(1, 3))
    whole = design.sample(np.random.default_rng(3), 6)
    np.testing.assert_array_equal(design.sample(np.random.default_rng(3), 2), whole[:2])


def test_the_inverse_of_many_cells_takes_no_matrix(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    for levels in (None, (0.2, 0.8)):
        design = ls.MultiscaleBlocks((11, 14), levels=levels)
        v = rng.standard_normal((3, 154))
        dense = design.solve(v)
        with monkeypatch.context() as patched:
            patched.setattr(multiscale, "DENSE_LIMIT", 100)
            found = design.solve(v)
        assert not np.array_equal(found, dense)
        np.testing.assert_allclose(found, dense, rtol=0, atol=1e-9)  # condition 60, residual 1e-12 of 154 numbers


def test_what_is_known_of_28_x_28() -> None:
    values = np.linalg.eigvalsh(ls.MultiscaleBlocks((28, 28)).covariance_matrix())
    np.testing.assert_allclose(values[[0, -1]], [0.063, 4.1], rtol=0.02)  # to the two digits noted
    assert ls.MultiscaleBlocks((28, 28), (2, 4, 7)).condition_number == pytest.approx(1.6e4, rel=0.05)
    assert ls.MultiscaleBlocks((3, 6)).scales == (1, 2, 4)
    assert ls.MultiscaleBlocks((1, 1)).scales == (1,)


@pytest.mark.parametrize(
    "design",
    [
        ls.MultiscaleBlocks((6, 7), (1, 5), (0.25, 0.75), (0.3, 0.7), scale=0.2, channels="joint", boundary="zero"),
        ls.BernoulliCells((3, 4), 0.3),
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
        assert hash(again) == hash(design)
        np.testing.assert_array_equal(again.draw((1, 2), 0, 3), design.draw((1, 2), 0, 3))
    assert design.replace(scale=0.1) != design


@pytest.mark.parametrize(
    ("arguments", "error", "named"),
    [
        ({"scales": (1, 7)}, ValueError, "`scales` must be a whole number from 1 to 6. Got 7. Sides in cells"),
        ({"scales": (0, 2)}, ValueError, "`scales`"),
        ({"scales": (1.5,)}, TypeError, "`scales`"),
        ({"scales": ()}, TypeError, "`scales`"),
        ({"scales": "12"}, TypeError, "`scales`"),
        ({"scales": 4}, TypeError, "`scales`"),
        ({"scales": (2, 2)}, ValueError, "different whole numbers"),
        (
            {"weights": (0.5, 0.2, 0.2)},
            ValueError,
            "3 numbers > 0 that sum to 1, one for each of the scales. Got '(0.5, 0.2, 0.2), of sum 0.9'. Divide",
        ),
        ({"weights": (0.5, 0.5)}, ValueError, "3 numbers > 0"),
        ({"weights": (0.5, 0.5, 0.0)}, ValueError, "Leave out a scale"),
        ({"weights": (0.5, 0.75, -0.25)}, ValueError, "`weights` must be"),
        ({"weights": 1.0}, ValueError, "`weights` must be"),
        ({"levels": (0.0, 1.0)}, ValueError, "`levels` must be (a, b) with 0 < a < b < 1"),
        ({"levels": (0.2, 1.2)}, ValueError, "`levels`"),
        ({"levels": (0.2, 0.7)}, ValueError, "mean 0"),
        ({"levels": (0.8, 0.2)}, ValueError, "`levels`"),
        ({"levels": 0.5}, ValueError, "`levels`"),
        ({"scale": 0.0}, ValueError, "`scale`"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], named: str) -> None:
    with pytest.raises(error, match=rf"legstat.MultiscaleBlocks: .*{re.escape(named)}"):
        ls.MultiscaleBlocks((6, 5), **{"scales": (1, 2, 4), **arguments})


def test_a_singular_law_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiscale, "WORST_CONDITION", 1e3)
    with pytest.raises(ValueError, match=r"`scales` .*condition number at most .* Got .*\(4, 7\): singular.*side 1"):
        ls.MultiscaleBlocks((28, 28), (4, 7))
    ls.MultiscaleBlocks((28, 28), (1, 4, 7))
