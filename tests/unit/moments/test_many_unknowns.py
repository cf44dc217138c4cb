"""The way of more than 256 unknowns, against the eigendecompositions and inverses of fewer, and against scipy."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy

import legstat as ls
from legstat.designs.design import Design
from legstat.designs.grid import Grid
from legstat.moments import crossfit, ridge, sums
from legstat.moments.cosines import Cosines
from legstat.moments.ridge import gcv_ridge, least_gcv
from legstat.moments.tridiagonal import Tridiagonal
from tests.helpers import naive_D

SIDES = (17, 16)  # 272 unknowns


def test_the_tridiagonal_form_solves_and_traces(rng: np.random.Generator) -> None:
    z = rng.normal(size=(9, 12))
    matrix, right = z.T @ z, rng.normal(size=12)  # of rank 9
    form = Tridiagonal.of(matrix)
    np.testing.assert_allclose(form.back(form.rotated(right)), right, rtol=0, atol=1e-14)
    for shift in (1e-3, 1.0, 1e3):
        x, trace = form.shifted(shift, form.rotated(right))
        inverse = np.linalg.inv(matrix + shift * np.eye(12))
        # a condition of up to 1e5 on 12 unknowns
        np.testing.assert_allclose(form.back(x), inverse @ right, rtol=0, atol=1e-10 * np.abs(inverse).max())
        np.testing.assert_allclose(trace, np.trace(inverse), rtol=1e-10)
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        form.shifted(-1.0, right)


@pytest.mark.parametrize("planes", [1, 3])
def test_cosines_are_scipys(planes: int, rng: np.random.Generator) -> None:
    cosines, v = Cosines((4, 5), planes), rng.normal(size=(7, planes * 20))
    theirs = scipy.fft.dctn(v.reshape(7, planes, 4, 5), norm="ortho", axes=(-2, -1)).reshape(7, -1)
    np.testing.assert_allclose(cosines.of(v), theirs, rtol=0, atol=1e-14)
    np.testing.assert_allclose(cosines.back(theirs), v, rtol=0, atol=1e-14)
    D = naive_D(4, 5, "free")
    laplacian = np.kron(np.eye(planes), D.T @ D)
    np.testing.assert_allclose(cosines.of_matrix(laplacian), np.diag(cosines.eigenvalues), rtol=0, atol=1e-13)


@pytest.mark.parametrize("or_nothing", [False, True])
@pytest.mark.parametrize("n", [12, 60])
def test_the_same_penalty_and_map_as_by_eigenvalues(or_nothing: bool, n: int, rng: np.random.Generator) -> None:
    for _ in range(10):
        z = rng.normal(size=(n, 20))
        y = rng.choice([0.0, 0.3]) * z @ rng.normal(size=20) + rng.normal(size=n)
        factor = rng.normal(size=(20, 20))
        b, gram, yy = z.T @ y / n, z.T @ z / n, float(y @ y) / n
        penalties = np.geomspace(1e-2, 1e4, 40)
        gamma, _, penalty = gcv_ridge(b, gram, yy, n, factor, penalties, or_nothing=or_nothing, most_leverage=0.65)
        x, same = least_gcv(
            factor.T @ gram @ factor, factor.T @ b, yy, n, penalties, or_nothing=or_nothing, most_leverage=0.65
        )
        assert same == penalty
        # two orders of solving systems with a condition of up to 1e4
        np.testing.assert_allclose(factor @ x, gamma, rtol=0, atol=1e-9 * (np.abs(gamma).max() or 1.0))


def sampled(design: Design, n: int, antithetic: bool) -> ls.QuerySample:
    truth = np.zeros(SIDES)
    truth[4:9, 3:9] = 1.0
    f, noise = ls.simulate.linear(truth), np.random.default_rng(5)
    return ls.query(
        lambda x: f(x) + 2.0 * noise.standard_normal(len(x)),
        np.full((1, *SIDES), 0.5),
        design,
        n_queries=2 + n,
        perturbation=ls.Blend("black"),
        antithetic=antithetic,
        rng=3,
        progress=False,
    )


LAWS = {
    "structured, clipped": lambda: ls.StructuredGaussian(SIDES, 0.25),
    "blocks": lambda: ls.MultiscaleBlocks(SIDES),
    "isotropic": lambda: ls.IsotropicGaussian(SIDES, 0.2),
}


@pytest.mark.parametrize("antithetic", [True, False], ids=["pairs", "draws"])
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("kind", ["crossfit", "adaptive"])
def test_the_same_moments_as_by_inverses(
    kind: ls.MomentKind, law: str, antithetic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = sampled(LAWS[law](), 400 if antithetic else 330, antithetic)  # 200 pairs, fewer than unknowns, or more

    def estimates() -> list[np.ndarray]:
        whole = sample.moments(kind)
        assert whole.influence is not None
        found = [whole.b, whole.influence[0].matrix, whole.influence[0].hat, whole.influence[0].means]
        if whole.variances is not None:
            found += [whole.variances, whole.df]
        return found + [sample.moments(kind, leave_out=(fold, 5)).b for fold in (0, 3)]

    fast = estimates()
    for module, name in ((crossfit, "SMALL"), (ridge, "SMALL"), (sums, "SUBTRACTED")):
        monkeypatch.setattr(module, name, 10_000)
    # gamma is S^{-1} times these, and penalties down to 1e-4 of the mean eigenvalue leave conditions of 1e6 and more
    for one, other in zip(fast, estimates(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9 * np.abs(other).max())


def test_a_sample_carries_none_of_it() -> None:
    sample = sampled(ls.MultiscaleBlocks(SIDES), 60, True)
    before = len(pickle.dumps(sample))
    sample.moments("crossfit", leave_out=(0, 5))
    assert len(pickle.dumps(sample)) == before


def test_two_planes_and_a_score_that_never_moved() -> None:
    z = np.random.default_rng(0).normal(size=(50, 2 * 272))
    for y in (np.zeros(50), z[:, 0]):
        found = ridge.adaptive_ridge(z.T @ y / 50, z.T @ z / 50, float(y @ y) / 50, 50, Grid(SIDES), 2)
        assert np.isfinite(found.hat).all()
        assert found.gamma.any() == y.any()
        # nothing is known of the second plane but its floor
        assert np.abs(found.gamma[272:]).max() <= np.abs(found.gamma[:272]).max()
