"""LEG-TV against eq. 5 as printed: a dense linear program handed to scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat.designs.design import Design
from legstat.estimators.programs import program_for, restore_mean
from legstat.solvers import FlowProgram
from tests.helpers import naive_D, naive_legtv, naive_sigma, pinv, smooth, tv_residual

IMAGE = np.random.default_rng(1).uniform(0.05, 0.95, (3, 4, 6))
RATIOS = (0.0, 0.03, 0.2, 0.6, 0.95, 1.0)


def banded(p: int) -> np.ndarray:
    """A covariance that treats constants like nothing special."""
    return np.diag(np.linspace(1.0, 2.0, p)) + 0.4 * np.eye(p, k=1) + 0.4 * np.eye(p, k=-1)


def designs(shape: tuple[int, int]) -> list[Design]:
    p = shape[0] * shape[1]
    listed: list[Design] = []
    for boundary in ("free", "zero"):
        listed += [
            ls.StructuredGaussian(shape, 0.3, boundary=boundary),  # type: ignore[arg-type]
            ls.IsotropicGaussian(shape, 0.2, boundary=boundary),  # type: ignore[arg-type]
            ls.GaussianDesign(banded(p), shape, 0.2, boundary=boundary),  # type: ignore[arg-type]
        ]
    return listed


CASES = [(shape, k) for shape in [(1, 1), (1, 5), (4, 1), (2, 2), (3, 4), (5, 4), (8, 7)] for k in range(6)]


def dense(design: Design) -> tuple[np.ndarray, np.ndarray]:
    """D and Sigma, written by loops where the paper defines them."""
    D = naive_D(*design.grid.shape, design.grid.boundary)
    if isinstance(design, ls.StructuredGaussian):
        return D, naive_sigma(D, design.scale)
    if isinstance(design, ls.IsotropicGaussian):
        return D, design.scale**2 * np.eye(D.shape[1])
    return D, design.scale**2 * banded(D.shape[1])


@pytest.mark.parametrize(("shape", "which"), CASES)
def test_objective_and_constraint(shape: tuple[int, int], which: int) -> None:
    design = designs(shape)[which]
    D, sigma = dense(design)
    rng = np.random.default_rng(10 * shape[0] + which)
    smooth_map = np.cumsum(np.cumsum(rng.standard_normal(shape), axis=0), axis=1).ravel()
    b = sigma @ smooth_map + 0.1 * np.sqrt(np.diag(sigma)) * rng.standard_normal(len(sigma))
    estimator = ls.LEGTV(ls.Moments(b=b, design=design, n=100))
    size = float(np.abs(D @ np.linalg.solve(sigma, b)).sum()) or 1.0
    for ratio in RATIOS:
        result = estimator.fit(L_ratio=ratio)
        L = ratio * estimator.L_max
        objective, _ = naive_legtv(D, sigma, b, L)
        mine = np.abs(D @ result.params).sum()
        # both solvers stop at 1e-7 of the data's size; near L_max the optimum itself is close to 0
        assert mine == pytest.approx(objective, rel=1e-7, abs=1e-7 * size)
        # rounding of the dense transform, relative to the size of the constraint
        assert tv_residual(D, sigma, b, result.params) <= L + 1e-9 * np.abs(pinv(D).T @ b).max(initial=0.0)
        assert result.certificate.passed
        assert result.certificate.gap <= 1e-8
        assert pytest.approx(L, rel=1e-15) == result.L


@pytest.mark.parametrize(("shape", "which"), [case for case in CASES if case[0] != (8, 7)])
def test_L_max_is_the_smallest_L_with_a_constant_solution(shape: tuple[int, int], which: int) -> None:
    design = designs(shape)[which]
    D, sigma = dense(design)
    b = np.random.default_rng(which).standard_normal(len(sigma))
    estimator = ls.LEGTV(ls.Moments(b=b, design=design, n=100))
    L_max = estimator.L_max
    if not len(D):
        assert L_max == 0
        return
    assert naive_legtv(D, sigma, b, 1.001 * L_max)[0] < 1e-6
    if design.constant_eigenvalue is not None or design.grid.boundary == "zero":
        # LEG 5.3, with the infinity norm
        assert pytest.approx(np.abs(pinv(D).T @ b).max(), rel=1e-9) == L_max
    if L_max > 1e-12:
        assert naive_legtv(D, sigma, b, 0.99 * L_max)[0] > 1e-4 * L_max
    above = estimator.fit(L=1.5 * L_max + 1e-3)
    # constant, or 0 where the rim is compared with 0
    assert np.ptp(above.params) <= 1e-9 * (1 + np.abs(above.params).max())
    if design.grid.boundary == "zero":
        assert np.abs(above.params).max() == 0
    assert above.n_regions == 1


@pytest.mark.parametrize("which", [0, 1])
def test_mean_left_open_is_estimated_by_itself(which: int) -> None:
    """Where Sigma 1 = lambda 1 the mean is 1^T b / (p lambda) at every L: mean of LEG, and of the estimand."""
    design = designs((3, 4))[which]
    _, sigma = dense(design)
    b = np.random.default_rng(0).standard_normal(12)
    leg = np.linalg.solve(sigma, b)
    for ratio in (0.0, 0.3, 1.0):
        result = ls.LEGTV(ls.Moments(b=b, design=design, n=9)).fit(L_ratio=ratio)
        assert result.params.mean() == pytest.approx(leg.mean(), rel=1e-10)  # dense solve
    constant = ls.LEGTV(ls.Moments(b=b, design=design, n=9)).fit(L=1e6)
    np.testing.assert_allclose(constant.params, leg.mean(), rtol=1e-10)


@pytest.mark.parametrize("which", range(6))
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 4), (8, 7)])
def test_L_zero_is_leg(shape: tuple[int, int], which: int) -> None:
    design = designs(shape)[which]
    D, sigma = dense(design)
    b = np.random.default_rng(which).standard_normal(len(sigma))
    result = ls.LEGTV(ls.Moments(b=b, design=design, n=9)).fit(L=0.0)
    leg = np.linalg.solve(sigma, b)
    if which == 2 and shape != (1, 1):
        # a general Sigma leaves one direction open at L = 0: eq. 5 takes the smallest variation along it
        assert tv_residual(D, sigma, b, result.params) <= 1e-9 * np.abs(leg).max()
        assert np.abs(D @ result.params).sum() <= np.abs(D @ leg).sum() + 1e-9
    else:
        # a dense solve on one side; an engine's vertex, exact to rounding, on the other
        np.testing.assert_allclose(result.params, leg, rtol=0, atol=1e-8 * np.abs(leg).max())


def test_restore_mean_moves_nothing_but_the_mean(rng: np.random.Generator) -> None:
    g, b = rng.standard_normal(12), rng.standard_normal(12)
    for which in range(6):
        design = designs((3, 4))[which]
        moved = restore_mean(design, g, b)
        if design.constant_eigenvalue is None:
            np.testing.assert_array_equal(moved, g)
        else:
            assert np.ptp(moved - g) < 1e-14


def test_structured_free_design_is_a_flow_on_the_grid() -> None:
    program, unit = program_for(ls.StructuredGaussian((3, 4), 0.3), np.arange(12.0))
    assert isinstance(program, FlowProgram)
    assert program.grid_shape == (3, 4)
    assert unit == pytest.approx(0.09)
    assert not isinstance(program_for(ls.IsotropicGaussian((3, 4), 0.3), np.arange(12.0))[0], FlowProgram)


# ---------------------------------------------------------------- channels


def take(n_queries: int = 241, seed: int = 3, f: Any = smooth, **given: Any) -> ls.QuerySample:
    design = ls.StructuredGaussian((2, 3), 0.2, channels=given.pop("channels", None))
    return ls.query(f, IMAGE, design, n_queries, rng=seed, progress=False, **given)


@pytest.mark.parametrize("engine", ["cvxpy", "highs", "auto"])
@pytest.mark.parametrize(
    "given",
    [{}, {"channels": "separate"}, {"channels": "joint"}, {"conventions": "paper"}, {"conventions": "upstream"}],
    ids=str,
)
def test_each_channel_is_a_program_of_its_own(given: dict[str, Any], engine: str) -> None:
    sample = take(**given)
    D, sigma = dense(sample.design)
    estimator = ls.LEGTV(sample)
    result = estimator.fit(L_ratio=0.3, engine=engine)
    b = sample.moments("printed" if "conventions" in given else "adaptive").b
    largest = np.array([np.abs(pinv(D).T @ row).max() for row in b])
    np.testing.assert_allclose(result.L_max_per_row, largest, rtol=1e-10)  # dense pseudo-inverse
    assert estimator.L_max == result.L_max
    # a ratio is of each channel's own L_max under the paper's and the authors' conventions, of the largest else
    radii = 0.3 * (largest if "conventions" in given else np.full(len(b), largest.max()))
    np.testing.assert_allclose(result.L_per_row, radii, rtol=1e-10)
    for row, g, L in zip(b, result.channel_maps, radii, strict=True):
        objective, _ = naive_legtv(D, sigma, row, L)
        assert np.abs(D @ g.ravel()).sum() == pytest.approx(objective, rel=1e-7, abs=1e-9)  # scipy's HiGHS
        assert tv_residual(D, sigma, row, g.ravel()) <= L * (1 + 1e-9)
    assert len(result.certificates) == len(b)
    assert result.L_ratio == pytest.approx(0.3, rel=1e-12)


def test_engines_give_the_same_map() -> None:
    pytest.importorskip("pylmcf", reason="the network engine needs the extra `fast`")
    sample = take()
    maps = [ls.LEGTV(sample).fit(L_ratio=0.2, engine=e).params for e in ("cvxpy", "highs", "network", "auto")]
    for other in maps[1:]:
        # the closest optimum is unique; its own error bound is 1e-6 of the data's size at worst
        np.testing.assert_allclose(other, maps[0], rtol=0, atol=1e-6 * np.abs(maps[0]).max())


# ---------------------------------------------------------------- path and choice of L


def test_path_is_the_single_fits() -> None:
    estimator = ls.LEGTV(take())
    path = estimator.fit_path(n_Ls=7, L_ratio_min=0.05, progress=False)
    np.testing.assert_allclose(path.Ls, estimator.L_max * np.geomspace(1, 0.05, 7), rtol=1e-12)
    assert (len(path), path.params.shape) == (7, (6, 7))
    for column, result in enumerate(path):
        alone = estimator.fit(result.L)
        # unique selection: a warm start must not show beyond its error bound
        np.testing.assert_allclose(result.params, alone.params, rtol=0, atol=1e-6 * np.abs(alone.params).max())
        np.testing.assert_array_equal(path.params[:, column], result.params)
        assert result.certificate.passed
    assert path[-1] is list(path)[-1]
    assert [r.L for r in path[1:3]] == list(path.Ls[1:3])
    assert repr(path) == f"<LEGTVPath 7 solutions, L from {path.Ls[0]:.4g} to {path.Ls[-1]:.4g}>"


def test_given_Ls_are_put_in_descending_order() -> None:
    estimator = ls.LEGTV(take())
    Ls = [0.2 * estimator.L_max, 2 * estimator.L_max, 0.0]
    path = estimator.fit_path(Ls, progress=False)
    assert list(path.Ls) == sorted(Ls, reverse=True)
    np.testing.assert_allclose(path[-1].params, ls.LEG(take(), moments="adaptive").fit().params, rtol=1e-9)
    assert path[0].n_regions == 1
    one = estimator.fit_path(n_Ls=1, L_ratio_min=0.4, progress=False)
    assert one[0].L_ratio == pytest.approx(0.4)


@pytest.mark.parametrize("conventions", ["default", "paper"])
def test_heldout_refits_without_each_fold(conventions: Any) -> None:
    sample = take(conventions=conventions, f=ls.simulate.quadratic(np.array([[4.0, 0, 0], [4.0, 0, 0]]), 0.2))
    estimator = ls.LEGTV(sample)
    path = estimator.fit_path(n_Ls=4, progress=False)
    kind = "adaptive" if conventions == "default" else "printed"
    errors, totals = np.zeros(4), 0.0
    for k in range(5):
        part = ls.LEGTV(sample.moments(kind, leave_out=(k, 5)))  # type: ignore[arg-type]
        for channel, units in enumerate(sample.units):
            z, y = (np.concatenate(parts) for parts in zip(*units.rows((k, 5), only=True), strict=True))
            rest = np.concatenate([scores for _, scores in units.rows((k, 5))])
            y = y - (0.0 if units.paired else rest.mean())
            totals += y @ y
            for i, result in enumerate(path):
                row = ls.Moments(b=part._moments.b[channel], design=sample.design, n=9)
                g = ls.LEGTV(row).fit(result.L_per_row[channel]).params
                errors[i] += np.sum((y - (z - units.law.mean.ravel()) @ g) ** 2)
    np.testing.assert_allclose(path.heldout.r2, 1 - errors / totals, rtol=0, atol=1e-6)  # selections' error bound
    best = path.select("heldout")
    assert best.L == path.Ls[np.argmax(path.heldout.r2)]
    assert best.r2_heldout == path.heldout.r2.max()
    # a single fit measures itself in the same way
    assert estimator.fit(path[2].L).r2_heldout == pytest.approx(path.heldout.r2[2], abs=1e-6) or conventions == "paper"


def test_one_standard_error_takes_a_larger_L() -> None:
    path = ls.LEGTV(take(1001)).fit_path(progress=False)
    best, sparse = path.select("heldout"), path.select("simplest")
    found = path.heldout
    k, chosen = int(np.argmax(found.r2)), list(path.Ls).index(sparse.L)
    assert sparse.L >= best.L
    assert sparse.r2_heldout == found.r2[chosen] >= found.r2[k] - found.loss_errors[k]
    assert (found.r2[:chosen] < found.r2[k] - found.loss_errors[k]).all()
    assert sparse.n_regions <= best.n_regions
    assert ls.LEGTV(take(1001)).fit("simplest").L == sparse.L


@pytest.mark.parametrize("antithetic", [True, False])
def test_loss_errors_are_those_of_the_observations(antithetic: bool) -> None:
    """Against the losses one by one, refitted without each fold."""
    sample = take(401, antithetic=antithetic)
    path = ls.LEGTV(sample).fit_path(n_Ls=6, progress=False)
    (units,) = sample.units
    losses, total = np.empty((0, 6)), 0.0
    for fold in range(5):
        part = ls.LEGTV(sample.moments("adaptive", leave_out=(fold, 5)))
        maps = np.stack([part.fit(L).params for L in path.Ls])
        mean = 0.0 if units.paired else np.concatenate([y for _, y in units.rows((fold, 5))]).mean()
        for z, y in units.rows((fold, 5), only=True):
            losses = np.vstack([losses, np.square((y - mean)[:, None] - (z - units.law.mean.ravel()) @ maps.T)])
            total += float(np.square(y - mean).sum())
    expected = losses.std(axis=0, ddof=1) * np.sqrt(len(losses)) / total
    # the maps of a path and of single solves agree within the selections' error bound
    np.testing.assert_allclose(path.heldout.loss_errors, expected, rtol=1e-4, atol=0)


def test_select_by_L() -> None:
    estimator = ls.LEGTV(take())
    path = estimator.fit_path(n_Ls=3, progress=False)
    L = 0.37 * estimator.L_max
    np.testing.assert_array_equal(path.select(L=L).params, estimator.fit(L).params)
    np.testing.assert_array_equal(path.select(L_ratio=0.37).params, estimator.fit(L_ratio=0.37).params)
    theory = path.select("theory", probability=0.9)
    assert estimator.L_theory(probability=0.9) == theory.L
    assert theory.n_regions == 1  # "often too conservative": far beyond L_max here


@pytest.mark.parametrize(
    "given", [{}, {"L": "bic"}, {"L": "heldout", "n_regions": 3}, {"L": 0.1, "L_ratio": 0.1}], ids=str
)
def test_select_takes_exactly_one(given: dict[str, Any]) -> None:
    path = ls.LEGTV(take()).fit_path(n_Ls=2, progress=False)
    with pytest.raises(ValueError, match=r"`L, L_ratio, n_regions` must be exactly one|`L` must be a number or one of"):
        path.select(**given)


def test_moments_alone_have_no_heldout() -> None:
    path = ls.LEGTV(take().moments("regression")).fit_path(n_Ls=3, progress=False)
    with pytest.raises(ValueError, match="`data` must be a QuerySample"):
        path.select("heldout")
    assert path[1].r2_heldout is None
    assert path.select(L_ratio=0.2).r2_heldout is None


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize("given", [{}, {"L": 0.1, "L_ratio": 0.1}])
def test_exactly_one_of_L_and_L_ratio(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="`L, L_ratio, n_regions` must be exactly one"):
        ls.LEGTV(take()).fit(**given)


@pytest.mark.parametrize("L", [-0.1, np.nan, np.inf])
def test_bad_L(L: float) -> None:
    estimator = ls.LEGTV(take())
    with pytest.raises(ValueError, match=r"`L` must be a finite number >= 0\. Got .*pass `L_ratio=`"):
        estimator.fit(L)
    with pytest.raises(ValueError, match="`L` must be a finite number >= 0"):
        estimator.fit_path([0.1, L])


@pytest.mark.parametrize("ratio", [-0.1, 1.1, 10, np.nan])
def test_bad_ratio(ratio: float) -> None:
    with pytest.raises(ValueError, match=r"`L_ratio` must be a number within \[0, 1\]\. Got .*pass `L=`"):
        ls.LEGTV(take()).fit(L_ratio=ratio)


@pytest.mark.parametrize("given", [{"n_Ls": 0}, {"L_ratio_min": 0.0}, {"L_ratio_min": 1.5}])
def test_bad_path(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"`n_Ls` must be a whole number >= 1|`L_ratio_min` must be"):
        ls.LEGTV(take()).fit_path(**given)


def test_empty_path() -> None:
    with pytest.raises(ValueError, match="`Ls` must be at least one L"):
        ls.LEGTV(take()).fit_path([])


def test_unknown_engine_and_selection() -> None:
    with pytest.raises(ValueError, match="`engine` must be one of"):
        ls.LEGTV(take()).fit(L_ratio=0.2, engine="mosek")
    with pytest.raises(ValueError, match="`selection` must be one of"):
        ls.LEGTV(take()).fit(L_ratio=0.2, selection="first")


@pytest.mark.parametrize("score", ["logit", "log_odds"])
def test_theorem_is_refused_for_unbounded_scores(score: str) -> None:
    moments = ls.Moments(b=np.ones(6), design=ls.StructuredGaussian((2, 3)), n=9, source={"response": {"score": score}})
    with pytest.raises(ValueError, match=f"`score` must be bounded by 1.* Got '{score}'.*probability"):
        ls.LEGTV(moments).L_theory()


def test_conventions_choose_the_moments() -> None:
    sample = take(conventions="paper")
    assert ls.LEGTV(sample).fit(L_ratio=0.3).moments.kind == "printed"
    with pytest.raises(ValueError, match="`moments` must be 'printed' under"):
        ls.LEGTV(sample, moments="regression")
    assert ls.LEGTV(take()).fit(L_ratio=0.3).moments.kind == "adaptive"


def test_zero_moments_give_a_zero_map() -> None:
    for design in designs((3, 4)):
        result = ls.LEGTV(ls.Moments(b=np.zeros(12), design=design, n=9)).fit(L_ratio=0.5)
        assert not result.params.any()
        assert (result.L, result.L_max, result.L_ratio, result.n_regions) == (0.0, 0.0, 0.0, 1)
        assert result.certificate.passed


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_units_of_the_score_do_not_matter(size: float) -> None:
    design = ls.StructuredGaussian((4, 4), 0.3)
    b = np.random.default_rng(0).standard_normal(16)
    one, other = (ls.LEGTV(ls.Moments(b=k * b, design=design, n=9)).fit(L_ratio=0.2) for k in (1.0, size))
    np.testing.assert_allclose(other.params / size, one.params, rtol=0, atol=1e-6 * np.abs(one.params).max())


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
@pytest.mark.parametrize("L", [0.0, 1e-3])
def test_a_constant_that_fits_the_data_is_the_answer(shape: tuple[int, int], L: float) -> None:
    # one edge, two unknowns: some constant always meets the constraint exactly, and L_max is 0, not its rounding
    for seed in range(10):
        rng = np.random.default_rng(seed)
        root = rng.standard_normal((2, 2))
        design = ls.GaussianDesign(root @ root.T + 0.1 * np.eye(2), shape)
        result = ls.LEGTV(ls.Moments(b=rng.standard_normal(2), design=design, n=100)).fit(L=L)
        assert result.certificate.passed
        assert result.L_max == 0.0
        np.testing.assert_allclose(np.ptp(result.params), 0.0, rtol=0, atol=1e-12)  # rounding of one solve


def test_the_theorems_L_is_refused_where_the_noise_outgrows_it() -> None:
    """L has no sigma in it: at scale 20 the set of eq. 5 missed gamma in every second sample and more."""
    design = ls.StructuredGaussian(grid=(6, 6), scale=20.0)
    with pytest.raises(ValueError, match=r"`design.scale` must be small enough.*bootstrap"):
        ls.LEGTV(ls.Moments(b=np.ones(36), design=design, n=100)).L_theory()
