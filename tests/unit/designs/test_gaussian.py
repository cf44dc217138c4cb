"""The laws of z against dense covariances, and their counter-based draws."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat._core.conventions import get_conventions
from legstat.designs.blocks import BLOCK
from legstat.designs.by_name import DESIGNS, design_from_parameters
from legstat.designs.design import Design
from legstat.designs.general import GaussianDesign
from legstat.designs.isotropic import IsotropicGaussian
from legstat.designs.structured import StructuredGaussian
from tests.helpers import naive_D, naive_sigma, z_limit

SHAPES = [(1, 1), (1, 6), (5, 1), (2, 2), (3, 4), (7, 5), (12, 12)]


def wishart(p: int, seed: int = 3) -> np.ndarray:
    """A positive-definite matrix of no structure."""
    draws = np.random.default_rng(seed).standard_normal((4 * p + 4, p))
    return draws.T @ draws / len(draws)


def cases() -> list[Any]:
    listed = []
    for shape in SHAPES:
        p = shape[0] * shape[1]
        for boundary in ("free", "zero"):
            sigma = naive_sigma(naive_D(*shape, boundary), 0.3)
            design = StructuredGaussian(shape, 0.3, boundary=boundary)
            listed.append(pytest.param(design, sigma, id=f"structured {shape} {boundary}"))
        listed.append(pytest.param(IsotropicGaussian(shape, 0.2), 0.04 * np.eye(p), id=f"isotropic {shape}"))
        general = GaussianDesign(wishart(p), shape, 0.5)
        listed.append(pytest.param(general, 0.25 * wishart(p), id=f"general {shape}"))
    return listed


CASES = cases()


@pytest.mark.parametrize(("design", "sigma"), CASES)
def test_covariance_and_its_inverse(design: Design, sigma: np.ndarray, rng: np.random.Generator) -> None:
    # transforms of up to 144 numbers of size 1 against dense algebra; the inverse is measured against its own size
    size = np.abs(np.linalg.inv(sigma)).max()
    for batch in ((), (4,), (2, 3)):
        v = rng.standard_normal((*batch, len(sigma)))
        np.testing.assert_allclose(design.covariance(v), v @ sigma, rtol=0, atol=1e-10)
        np.testing.assert_allclose(design.solve(v) / size, v @ np.linalg.inv(sigma) / size, rtol=0, atol=1e-10)
    np.testing.assert_allclose(design.covariance_matrix(), sigma, rtol=0, atol=1e-10)
    np.testing.assert_allclose(design.variances, np.diag(sigma), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("design", "sigma"), CASES)
def test_root(design: Design, sigma: np.ndarray, rng: np.random.Generator) -> None:
    R = design.root(np.eye(len(sigma))).T
    np.testing.assert_allclose(R @ R.T, sigma, rtol=0, atol=1e-10)  # as above
    v = rng.standard_normal((2, 3, len(sigma)))
    np.testing.assert_allclose(design.root(v), v @ R.T, rtol=0, atol=1e-10)
    if isinstance(design, IsotropicGaussian) or (
        isinstance(design, StructuredGaussian) and design.grid.boundary == "free"
    ):
        np.testing.assert_allclose(R, R.T, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("design", "sigma"), CASES)
def test_sampler_has_exactly_this_covariance(design: Design, sigma: np.ndarray) -> None:
    A = design.from_normals(np.eye(design.n_normals))  # z = A^T e
    assert A.shape == (design.n_normals, len(sigma))
    np.testing.assert_allclose(A.T @ A, sigma, rtol=0, atol=1e-12)  # sums of at most a few hundred products
    assert design.from_normals(np.zeros((3, design.n_normals))).shape == (3, len(sigma))


@pytest.mark.parametrize(("design", "sigma"), CASES)
def test_sparse_parts(design: Design, sigma: np.ndarray) -> None:
    parts = design.sparse_parts
    if isinstance(design, GaussianDesign):
        assert parts is None
        return
    assert parts is not None
    sparse, rank_one = parts
    np.testing.assert_allclose(sparse.toarray() + np.outer(rank_one, rank_one), sigma, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("design", "sigma"), CASES)
def test_constant_eigenvalue(design: Design, sigma: np.ndarray) -> None:
    image = sigma @ np.ones(len(sigma))
    if design.constant_eigenvalue is None:
        proportional = np.ptp(image) < 1e-10
        assert not proportional or design.grid.boundary == "zero"
    else:
        np.testing.assert_allclose(image, design.constant_eigenvalue, rtol=1e-9)
        assert design.grid.boundary == "free"


def test_general_design_with_constant_rows_keeps_the_mean() -> None:
    sigma = naive_sigma(naive_D(3, 4), 1.0)
    assert GaussianDesign(sigma, (3, 4), 0.5).constant_eigenvalue == pytest.approx(0.25, rel=1e-12)
    assert GaussianDesign(sigma, (3, 4), 0.5, boundary="zero").constant_eigenvalue is None


def test_facts_about_28_x_28() -> None:
    free, zero = StructuredGaussian((28, 28), 1.0), StructuredGaussian((28, 28), 1.0, boundary="zero")
    # measured on the authors' code: constant diagonal when padded, 2 to 4 else
    assert zero.variances.round(4).min() == zero.variances.round(4).max() == 4.0013
    assert (free.variances.min().round(3), free.variances.max().round(3)) == (2.001, 4.001)
    assert free.variances.mean() == pytest.approx(3.858, abs=5e-4)
    one = np.full(784, 1 / 28)
    assert one @ free.covariance(one) == pytest.approx(1.0, abs=1e-12)
    assert one @ zero.covariance(one) == pytest.approx(1 + 4 / 28, abs=1e-12)


def test_restricted_eigenvalue_is_sigma_squared(rng: np.random.Generator) -> None:
    # eq. 6: for Delta = D v the numerator Delta^T D^{+T} Sigma D^+ Delta is sigma^2 ||Delta||^2
    design = StructuredGaussian((5, 4), 0.3)
    delta = design.grid.difference(rng.standard_normal((6, 20)))
    back = design.grid.pinv(delta)
    quotient = np.sum(back * design.covariance(back), axis=1) / np.sum(delta**2, axis=1)
    np.testing.assert_allclose(quotient, 0.09, rtol=1e-12)  # two transforms of 20 numbers


# ---------------------------------------------------------------- draws

SOME: list[Design] = [
    StructuredGaussian((3, 4), 0.3),
    StructuredGaussian((2, 3), 0.3, boundary="zero"),
    IsotropicGaussian((3, 3), 0.2),
    GaussianDesign(wishart(6), (2, 3), 0.5),
]


@pytest.mark.parametrize("design", SOME, ids=repr)
def test_covariance_of_draws(design: Design) -> None:
    """Each entry of the sample covariance within the limit that all keep with probability 1 - 1e-6."""
    z = np.concatenate([design.draw((11, 22), 0, j).reshape(BLOCK, -1) for j in range(600)])
    n, sigma = len(z), design.covariance_matrix()
    p = len(sigma)
    sd = np.sqrt((np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2) / n)
    limit = z_limit(1e-6, p * (p + 1) // 2)
    assert (np.abs(z.T @ z / n - sigma) / sd).max() < limit
    assert (np.abs(z.mean(axis=0)) / np.sqrt(np.diag(sigma) / n)).max() < z_limit(1e-6, p)
    # normal tails: E z^4 = 3 var^2, with variance 96 var^4
    fourth = np.mean(z**4, axis=0) / np.diag(sigma) ** 2
    assert np.abs(fourth - 3).max() < z_limit(1e-6, p) * np.sqrt(96 / n)
    # blocks are independent of each other
    lag = (z[:-BLOCK] * z[BLOCK:]).mean(axis=0) / np.diag(sigma)
    assert np.abs(lag).max() < z_limit(1e-6, p) / np.sqrt(n - BLOCK)


def test_covariance_of_the_planes_of_a_joint_draw() -> None:
    design = StructuredGaussian((2, 3), 0.3, channels="joint")
    z = np.concatenate([design.draw((1, 2), 0, j, planes=3).reshape(BLOCK, -1) for j in range(600)])
    sigma = np.kron(np.eye(3), design.covariance_matrix())
    sd = np.sqrt((np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2) / len(z))
    assert (np.abs(z.T @ z / len(z) - sigma) / sd).max() < z_limit(1e-6, 18 * 19 // 2)


@pytest.mark.parametrize("design", SOME, ids=repr)
def test_a_block_does_not_depend_on_what_was_drawn_before(design: Design) -> None:
    first = design.draw((3, 4), 0, 7)
    for other in (0, 6, 8, 10**12):
        design.draw((3, 4), 0, other)
    design.draw((3, 4), 1, 7, planes=2)
    assert first.shape == (BLOCK, 1, *design.grid.shape)
    np.testing.assert_array_equal(design.draw((3, 4), 0, 7), first)
    np.testing.assert_array_equal(design.replace().draw((3, 4), 0, 7), first)


def test_streams_keys_and_blocks_differ() -> None:
    design = StructuredGaussian((3, 4), 1.0)
    places = [((3, 4), 0, 0), ((3, 5), 0, 0), ((4, 4), 0, 0), ((4, 3), 0, 0), ((3, 4), 1, 0), ((3, 4), 0, 1),
              ((3, 4), 1, 1), ((3, 4), 2**63, 0), ((3, 4), 0, 2**63), ((2**64 - 1, 4), 0, 0)]  # fmt: skip
    draws = [design.draw(key, stream, block).ravel() for key, stream, block in places]
    for i, one in enumerate(draws):
        for other in draws[:i]:
            assert not np.isin(one, other).any()


def test_blocks_do_not_run_into_each_other() -> None:
    # the longest block of use (224 x 224 cells, 3 planes) consumes far less than the counter between two streams
    bits = np.random.Philox(key=np.array([1, 2], dtype=np.uint64), counter=np.array([0, 0, 0, 5], dtype=np.uint64))
    np.random.Generator(bits).standard_normal(BLOCK * 3 * 1000)
    np.testing.assert_array_equal(bits.state["state"]["counter"][1:], [0, 0, 5])


def test_boundary_and_scale_of_draws() -> None:
    one, two = StructuredGaussian((3, 4), 1.0), StructuredGaussian((3, 4), 0.5)
    np.testing.assert_array_equal(two.draw((1, 1), 0, 0), 0.5 * one.draw((1, 1), 0, 0))


# ---------------------------------------------------------------- arguments and identity


@pytest.mark.parametrize("scale", [0, -0.1, np.nan, np.inf, "0.02", None, [0.02], 1j])
@pytest.mark.parametrize("kind", [StructuredGaussian, IsotropicGaussian])
def test_bad_scale(kind: Any, scale: Any) -> None:
    with pytest.raises(ValueError, match=rf"legstat.{kind.__name__}: `scale` must be a finite number > 0.*0.02"):
        kind((3, 3), scale)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"grid": (3, 0)}, "grid"), ({"channels": "rgb"}, "channels"), ({"boundary": "periodic"}, "boundary")],
)
def test_bad_arguments(change: dict[str, Any], named: str) -> None:
    for kind in (StructuredGaussian, IsotropicGaussian):
        with pytest.raises(ValueError, match=f"`{named}` must be"):
            kind(**{"grid": (3, 3), "scale": 0.1, **change})


@pytest.mark.parametrize(
    ("matrix", "named"),
    [
        (np.eye(3), r"shape \(3, 3\)"),
        (np.full((4, 4), np.nan), "finite: False"),
        (np.triu(np.ones((4, 4))), "asymmetry 1"),
        (np.ones((4, 4)), "smallest eigenvalue"),
        (-np.eye(4), "smallest eigenvalue -1"),
    ],
)
def test_bad_covariance(matrix: np.ndarray, named: str) -> None:
    with pytest.raises(ValueError, match=rf"`covariance` must be .*{named}"):
        GaussianDesign(matrix, (2, 2))


def test_equality_is_of_parameters() -> None:
    assert StructuredGaussian((3, 4), 0.1) == StructuredGaussian((3, 4), 0.1, channels="shared")
    assert StructuredGaussian((3, 4), 0.1) != StructuredGaussian((3, 4), 0.2)
    assert StructuredGaussian((3, 4), 0.1) != StructuredGaussian((4, 3), 0.1)
    assert StructuredGaussian((3, 4), 0.1) != StructuredGaussian((3, 4), 0.1, boundary="zero")
    assert StructuredGaussian((3, 4), 0.1) != IsotropicGaussian((3, 4), 0.1)
    assert GaussianDesign(np.eye(4), (2, 2)) == GaussianDesign(np.eye(4), (2, 2))
    assert GaussianDesign(np.eye(4), (2, 2)) != GaussianDesign(2 * np.eye(4), (2, 2))
    distinct = {StructuredGaussian((3, 4)), StructuredGaussian((3, 4), 0.02), StructuredGaussian((3, 4), 0.1)}
    assert len(distinct | {GaussianDesign(np.eye(4), (2, 2)), GaussianDesign(np.eye(4), (2, 2))}) == 3
    negative = np.array([[1.0, -0.0], [-0.0, 1.0]])  # equal to the identity, not in its bytes
    assert hash(GaussianDesign(negative, (1, 2))) == hash(GaussianDesign(np.eye(2), (1, 2)))


@pytest.mark.parametrize("design", SOME, ids=repr)
def test_parameters_make_the_same_design(design: Design) -> None:
    again = design_from_parameters(type(design).__name__, design.parameters())
    assert again == design
    np.testing.assert_array_equal(again.draw((1, 2), 0, 0), design.draw((1, 2), 0, 0))
    assert DESIGNS[type(design).__name__] is type(design)
    assert design.replace(scale=2 * design.scale).scale == 2 * design.scale


def test_repr_shows_no_array() -> None:
    assert repr(GaussianDesign(np.eye(4), (2, 2))) == (
        "GaussianDesign(covariance=array, grid=(2, 2), scale=1.0, channels='shared', boundary='free')"
    )


def test_covariance_given_is_copied_and_locked() -> None:
    matrix = np.eye(4)
    design = GaussianDesign(matrix, (2, 2))
    matrix[0, 0] = 9.0
    assert design.matrix[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        design.matrix[0, 0] = 2.0


@pytest.mark.parametrize("design", SOME, ids=repr)
def test_a_design_never_changes(design: Design) -> None:
    before = design.draw((1, 2), 0, 0)
    for name in (*design.parameters(), "matrix", "anything"):
        with pytest.raises(AttributeError, match=f"`{name}` cannot be changed"):
            setattr(design, name, 5)
        with pytest.raises(AttributeError, match=f"`{name}` cannot be changed"):
            delattr(design, name)
    with pytest.raises(AttributeError):
        design.grid.shape = (1, 1)  # type: ignore[misc]
    for array in (design.variances, design.grid.eigenvalues, *design.grid.edges, design.grid.D.data):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    np.testing.assert_array_equal(design.draw((1, 2), 0, 0), before)


@pytest.mark.parametrize("copied", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("design", SOME, ids=repr)
def test_a_design_pickles_as_what_it_was_made_of(design: Design, copied: Any) -> None:
    design.solve(design.variances), design.grid.D
    again = copied(design)
    assert (again, hash(again), repr(again)) == (design, hash(design), repr(design))
    assert "variances" not in vars(again)
    np.testing.assert_array_equal(again.draw((1, 2), 0, 0), design.draw((1, 2), 0, 0))
    with pytest.raises(ValueError, match="read-only"):
        again.variances[0] = 0.0


def test_what_was_left_open_stays_open() -> None:
    open_ = StructuredGaussian((3, 4), 0.1)
    for one in (copy.copy(open_), open_.replace(scale=0.2)):
        filled = one.with_conventions(get_conventions("upstream"))
        assert (filled.grid.boundary, filled.channels) == ("zero", "separate")
    named = copy.copy(open_.replace(boundary="free"))
    with pytest.raises(ValueError, match="`boundary` must be 'zero'"):
        named.with_conventions(get_conventions("upstream"))


def test_under_conventions() -> None:
    open_ = StructuredGaussian((3, 4), 0.1)
    assert open_.with_conventions(get_conventions("default")) is open_
    for name, boundary in (("paper", "free"), ("upstream", "zero")):
        filled = open_.with_conventions(get_conventions(name))
        assert (filled.grid.boundary, filled.channels) == (boundary, "separate")
        assert filled.with_conventions(get_conventions(name)) == filled
    with pytest.raises(ValueError, match=r"`boundary` must be 'zero', which conventions=\"upstream\" implies"):
        StructuredGaussian((3, 4), boundary="free").with_conventions(get_conventions("upstream"))


@pytest.mark.parametrize("design", [ls.StructuredGaussian, ls.IsotropicGaussian])
@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"scale": True}, "scale"),
        ({"scale": np.True_}, "scale"),
        ({"boundary": ""}, "boundary"),
        ({"channels": ""}, "channels"),
    ],
)
def test_what_only_looks_like_a_value_is_refused(design, arguments, named):
    with pytest.raises(ValueError, match=f"`{named}` must be"):
        design(grid=(4, 4), **arguments)
