"""Theorem 1's constants and bounds against dense linear algebra and what they claim."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.linalg

import legstat as ls
from legstat.designs.grid import Grid
from legstat.inference.bounds import C_d, C_p, error_bound, kappa
from legstat.inference.theory import norm_pinv, structured_L, theorem_L
from tests.helpers import naive_D


def general(shape: tuple[int, int], seed: int = 0) -> ls.GaussianDesign:
    p = shape[0] * shape[1]
    a = np.random.default_rng(seed).standard_normal((p, p))
    return ls.GaussianDesign(a @ a.T / p + 0.1 * np.eye(p), grid=shape)


@pytest.mark.parametrize("boundary", ["free", "zero"])
@pytest.mark.parametrize("shape", [(1, 2), (3, 5), (6, 6), (8, 3)])
def test_constants(shape: tuple[int, int], boundary: str) -> None:
    s = np.linalg.svd(naive_D(*shape, boundary), compute_uv=False)
    grid = Grid(shape, boundary)
    np.testing.assert_allclose(C_d(grid), s[s > 1e-9].min(), rtol=1e-10, atol=0)  # dense SVD
    np.testing.assert_allclose(C_p(grid), 4 * np.sqrt(2 * norm_pinv(grid)), rtol=1e-14, atol=0)
    if boundary == "free":
        np.testing.assert_allclose(C_d(grid), 2 * np.sin(np.pi / (2 * max(shape))), rtol=1e-12, atol=0)


@pytest.mark.parametrize("boundary", ["free", "zero"])
@pytest.mark.parametrize("name", ["structured", "isotropic", "general"])
def test_kappa_is_the_smallest_quotient(name: str, boundary: str) -> None:
    shape = (3, 4)
    design = {
        "structured": lambda: ls.StructuredGaussian(grid=shape, scale=0.3, boundary=boundary),
        "isotropic": lambda: ls.IsotropicGaussian(grid=shape, scale=0.3, boundary=boundary),
        "general": lambda: general(shape).replace(boundary=boundary),
    }[name]()
    D = naive_D(*shape, boundary)
    basis = scipy.linalg.null_space(np.ones((1, 12))) if boundary == "free" else np.eye(12)
    values = scipy.linalg.eigh(
        basis.T @ design.covariance_matrix() @ basis, basis.T @ D.T @ D @ basis, eigvals_only=True
    )
    found = kappa(design)
    assert found.lower <= values[0] * (1 + 1e-9)
    np.testing.assert_allclose(found.upper, values[0], rtol=1e-8, atol=0)  # generalised eigenproblem of size 12
    if name == "general":
        np.testing.assert_allclose(found.lower, values[0], rtol=1e-6, atol=0)
    for s in (2, 4, 9):
        restricted = kappa(design, s, n_tries=200)
        assert found.lower <= restricted.lower * (1 + 1e-12) <= restricted.upper * (1 + 1e-9)


def test_kappa_of_the_structured_design_is_exact() -> None:
    found = kappa(ls.StructuredGaussian(grid=(28, 28), scale=0.02), 40)
    assert found.exact
    assert found.lower == 0.02**2


def test_isotropic_bound_of_the_notes() -> None:
    # at least sigma^2 / lambda_max(D^T D) > sigma^2 / 8; one interior cell alone has 4 jumps
    found = kappa(ls.IsotropicGaussian(grid=(9, 9), scale=1.0), 4, n_tries=300)
    assert found.lower > 1 / 8
    assert found.upper <= (1 - 1 / 81) / 4 + 1e-12


def test_upper_kappa_is_met_within_the_restriction() -> None:
    """No map with its jumps in s edges has a smaller quotient than the lower bound, by brute force over 0/1 maps."""
    design, D = general((2, 3)), naive_D(2, 3)
    S = design.covariance_matrix()
    for s in (2, 3, 5):
        best = np.inf
        for bits in itertools.product([0.0, 1.0], repeat=6):
            v = np.array(bits) - np.mean(bits)
            jumps = D @ v
            if 0 < np.count_nonzero(jumps) <= s:
                best = min(best, v @ S @ v / (jumps @ jumps))
        found = kappa(design, s, n_tries=500)
        assert found.lower <= best * (1 + 1e-9)
        assert found.upper <= best * (1 + 1e-9)  # two rectangles reach every 0/1 map of this grid


def test_bound_printed_and_proved() -> None:
    design = ls.StructuredGaussian(grid=(28, 28), scale=0.5)
    s, n = 40, 6000
    printed = C_p(design.grid) / C_d(design.grid) / 0.25 * np.sqrt(s * np.log(784 / 0.05) / n)
    np.testing.assert_allclose(error_bound(design, s, n), printed, rtol=1e-12, atol=0)
    np.testing.assert_allclose(error_bound(design, s, n, form="printed"), np.sqrt(printed), rtol=1e-12, atol=0)
    sharper = error_bound(design, s, n, L="structured")
    expected = printed * structured_L(design.grid, 0.5, n) / theorem_L(design.grid, n)
    np.testing.assert_allclose(sharper, expected, rtol=1e-12, atol=0)
    # the rate: 4 n halves the norm as proved, and only its square as printed
    np.testing.assert_allclose(error_bound(design, s, 4 * n), printed / 2, rtol=1e-12, atol=0)


def test_the_bound_holds() -> None:
    """LEG-TV at L is within 4 L sqrt(s) / (kappa C_d) of gamma, up to the mean, wherever gamma is in the set."""
    gamma = ls.simulate.piecewise_constant((5, 5), 8, rng=1)
    f, image = ls.simulate.logistic(gamma), np.full((1, 5, 5), 0.5)
    design = ls.StructuredGaussian(grid=(5, 5), scale=0.3)
    truth = f.leg(image, design)[0]
    for seed in range(5):
        sample = ls.query(f, image, design, 1001, perturbation=ls.Additive(clip=False), rng=seed)
        estimator = ls.LEGTV(sample, moments="crossfit")
        L = estimator.L_bootstrap(level=0.99, n_draws=500)
        residual = design.grid.pinv_transpose(sample.moments("crossfit").b[0] - design.covariance(truth))
        if np.abs(residual).max() <= L:  # 99 times in 100
            error = estimator.fit(L).params - truth
            norm = np.linalg.norm(error - error.mean())
            assert norm <= error_bound(design, 8, sample.n_units[0], L=L)


@pytest.mark.parametrize(
    "call",
    [
        lambda d: kappa(d, 0),
        lambda d: kappa(d, 10_000),
        lambda d: error_bound(d, -1, 10),
        lambda d: error_bound(d, 3, 0),
        lambda d: error_bound(d, 3, 10, probability=1.0),
        lambda d: error_bound(d, 3, 10, L=-1.0),
        lambda d: error_bound(d, 3, 10, L=float("nan")),
        lambda d: error_bound(d, 3, 10, form="squared"),
        lambda d: error_bound(d, 3, 10, L="structured"),
        lambda d: C_d(Grid((1, 1))),
    ],
)
def test_bad_input(call: object) -> None:
    with pytest.raises((TypeError, ValueError), match="must be"):
        call(ls.IsotropicGaussian(grid=(4, 4), scale=1.0))


def test_the_theorems_L_is_refused_without_a_bound() -> None:
    z = np.random.default_rng(0).standard_normal((200, 3, 3))
    sample = ls.QuerySample.from_arrays(z, z[:, 1, 1], ls.IsotropicGaussian(grid=(3, 3), scale=1.0))
    sample.response["score"] = "log_odds"
    with pytest.raises(ValueError, match="bounded by 1"):
        ls.LEGTV(sample).fit_path(n_Ls=2, progress=False).select("theory")
    sample.response.update(score="custom", bounded=False)
    with pytest.raises(ValueError, match="bootstrap"):
        ls.LEGTV(sample).L_theory()


def test_kappa_of_the_structured_design_with_the_zero_boundary_is_at_least_its_variance() -> None:
    design = ls.StructuredGaussian((4, 3), 0.5, boundary="zero")
    assert kappa(design, 5, n_tries=50).lower == 0.25
    assert kappa(design).upper >= 0.25


def test_kappa_of_the_isotropic_design_is_its_variance_over_the_largest_eigenvalue() -> None:
    D = naive_D(4, 3)
    lower = kappa(ls.IsotropicGaussian((4, 3), 0.5), 5, n_tries=50).lower
    np.testing.assert_allclose(lower, 0.25 / np.linalg.eigvalsh(D.T @ D)[-1], rtol=1e-12, atol=0)  # 12 unknowns
