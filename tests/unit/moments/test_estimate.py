"""The four moment vectors against their definitions written out on the sample's own draws and responses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

import legstat as ls
import legstat.moments.crossfit
import legstat.moments.regression
import legstat.moments.units
from legstat._core.conventions import MomentKind
from legstat.moments.estimate import estimate_moments
from legstat.moments.moments import Moments
from tests.helpers import (
    naive_contributions,
    naive_df,
    naive_gamma,
    naive_halves,
    naive_leg,
    naive_penalty,
    naive_variances,
    smooth,
    z_limit,
)

IMAGE = np.random.default_rng(1).uniform(0.0, 1.0, (2, 4, 6))
GRID = (2, 3)
KINDS = ["printed", "centred", "regression", "adaptive", "crossfit", "least_squares"]
ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "pairs": {},
    "pairs, no clipping": {"perturbation": ls.Additive(clip=False)},
    "draws": {"antithetic": False},
    "draws, no clipping": {"antithetic": False, "perturbation": ls.Additive(clip=False)},
    "separate pairs": {"channels": "separate"},
    "separate draws": {"channels": "separate", "antithetic": False},
    "joint pairs": {"channels": "joint"},
    "joint draws": {"channels": "joint", "antithetic": False},
    "blend pairs": {"perturbation": ls.Blend("mean", at=0.3)},
    "blend draws": {"perturbation": ls.Blend("mean", at=0.3), "antithetic": False},
    "isotropic draws": {"design": ls.IsotropicGaussian(GRID, 0.3), "antithetic": False},
    "zero boundary pairs": {"design": ls.StructuredGaussian(GRID, 0.3, boundary="zero")},
    "paper": {"conventions": "paper"},
    "upstream": {"conventions": "upstream"},
}


def take(arrangement: str = "pairs", n_queries: int = 180, seed: int = 3, f: Any = smooth) -> ls.QuerySample:
    given = dict(ARRANGEMENTS[arrangement])
    channels = given.pop("channels", None)
    design = given.pop("design", None) or ls.StructuredGaussian(GRID, 0.3, channels=channels)
    return ls.query(f, IMAGE, design, n_queries, rng=seed, progress=False, **given)


def naive_units(sample: ls.QuerySample) -> list[tuple[np.ndarray, np.ndarray]]:
    """(z, y) of each stream's units from the public draws and responses alone."""
    z, y = sample.draws(), sample.responses
    per = 2 if sample.antithetic else 1
    listed, start = [], 0
    for stream in range(sample.n_channels):
        stop = start + per * sample.n_units[stream]
        rows = z[start:stop, stream : stream + 1] if sample.n_channels > 1 else z[start:stop]
        flat, scores = rows.reshape(stop - start, -1), y[start:stop]
        start = stop
        if sample.antithetic:
            listed.append(((flat[0::2] - flat[1::2]) / 2, (scores[0::2] - scores[1::2]) / 2))
        else:
            listed.append((flat, scores - sample.f_base))
    return listed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_against_the_definition(arrangement: str, kind: Any) -> None:
    sample = take(arrangement)
    moments = sample.moments(kind, shrinkage=0.7)
    sigma = sample.design.covariance_matrix()
    gammas, variances, dfs = [], [], []
    for (z, y), units in zip(naive_units(sample), sample.units, strict=True):
        S, mean = units.law.matrix(), units.law.mean.ravel()  # tested against quadrature by themselves
        gammas.append(naive_gamma(kind, z, y, S, mean=mean, paired=sample.antithetic, shrinkage=0.7).reshape(-1, 6))
        contributions = naive_contributions(kind, z - mean, y, S, sample.antithetic)
        variances.append(naive_variances(contributions).reshape(-1, 6))
        dfs.append(naive_df(contributions).reshape(-1, 6))
    gamma = np.concatenate(gammas)
    # dense inverses of well-conditioned matrices of six or twelve unknowns
    np.testing.assert_allclose(moments.gamma, gamma, rtol=0, atol=1e-11)
    np.testing.assert_allclose(moments.b, gamma @ sigma, rtol=0, atol=1e-12)
    assert moments.n == min(sample.n_units)
    assert moments.kind == kind
    assert (moments.variances is None) == (kind in ("regression", "adaptive"))
    if kind in ("printed", "centred", "crossfit"):
        np.testing.assert_allclose(moments.variances, np.concatenate(variances), rtol=1e-9)  # as above
        np.testing.assert_allclose(moments.df, np.concatenate(dfs), rtol=1e-8, atol=0)  # fourth powers of the same


def test_printed_is_equation_4(rng: np.random.Generator) -> None:
    sample = take("paper", 301)
    sigma = sample.design.covariance_matrix()
    leg = sample.moments("printed").gamma
    for channel, (z, y) in enumerate(naive_units(sample)):
        np.testing.assert_allclose(leg[channel], naive_leg(z, y, sigma), rtol=0, atol=1e-11)  # dense inverse


def test_default_kind_is_that_of_leg() -> None:
    assert take().moments().kind == "crossfit"
    assert take("paper").moments().kind == "printed"


@pytest.mark.parametrize("cov_type", ["HC0", "HC1", "HC2", "HC3"])
@pytest.mark.parametrize("arrangement", ["pairs", "draws", "joint draws"])
def test_least_squares_is_that_of_statsmodels(arrangement: str, cov_type: str) -> None:
    sample = take(arrangement)
    ((z, y),) = naive_units(sample)
    moments = sample.moments("least_squares", cov_type=cov_type)
    X = z if sample.antithetic else sm.add_constant(z)  # pairs have no constant: their y is odd
    fitted = sm.OLS(y, X).fit(cov_type=cov_type)
    drop = 0 if sample.antithetic else 1
    # a linear solve of six or twelve unknowns by Cholesky, there by a pseudo-inverse
    np.testing.assert_allclose(moments.gamma.ravel(), fitted.params[drop:], rtol=0, atol=1e-11)
    assert moments.variances is not None
    np.testing.assert_allclose(np.sqrt(moments.variances.ravel()), fitted.bse[drop:], rtol=1e-9)
    # degrees of freedom 2 n / (kurtosis - 1) of what each unit adds to the variance, about the expectation 0
    hat = np.einsum("ij,ji->i", X, np.linalg.pinv(X))
    power = {"HC2": 0.5, "HC3": 1.0}.get(cov_type, 0.0)
    added = (np.linalg.pinv(X) * (fitted.resid / (1 - hat) ** power))[drop:]
    kurtosis = np.mean(added**4, axis=1) / np.mean(added**2, axis=1) ** 2
    # fourth powers of solves as above
    np.testing.assert_allclose(moments.df.ravel(), 2 * len(y) / (kurtosis - 1), rtol=1e-8, atol=0)


def test_least_squares_needs_more_units_than_unknowns() -> None:
    with pytest.raises(
        ValueError,
        match=r"6 pairs a channel.*of more than 6 pairs.*crossfit|more than 6 pairs.*Got '6",
    ):
        take("pairs", 14).moments("least_squares")


@pytest.mark.parametrize(
    ("kind", "cov_type"), [("printed", "HC3"), ("crossfit", "sandwich"), ("least_squares", "none")]
)
def test_cov_type_of_another_kind(kind: Any, cov_type: str) -> None:
    with pytest.raises(ValueError, match=f"`cov_type` must be .* for '{kind}' moments"):
        take().moments(kind, cov_type=cov_type)


def test_regression_limits() -> None:
    sample = take("draws", 400)
    ((z, y),) = naive_units(sample)
    ols = np.linalg.lstsq(z - z.mean(axis=0), y - y.mean(), rcond=None)[0]
    # a -> 0 is least squares, a -> infinity is "centred" but for its n, not n - 1 (both divide by n here)
    np.testing.assert_allclose(sample.moments("regression", shrinkage=1e-9).gamma[0], ols, rtol=0, atol=1e-8)
    centred = sample.moments("regression", shrinkage=1e9).gamma[0]
    zc, yc = z - z.mean(axis=0), y - y.mean()
    S = sample.units[0].law.matrix()
    np.testing.assert_allclose(centred, np.linalg.solve(S, zc.T @ yc / len(y)), rtol=0, atol=1e-8)


def test_without_responses_that_move_everything_is_zero() -> None:
    with pytest.warns(ls.ConstantScoreWarning):
        sample = take("draws", f=lambda x: np.full(len(x), 3.0))
    for kind in KINDS:
        moments = sample.moments(kind)  # type: ignore[arg-type]
        assert np.abs(moments.b).max() < 1e-16
        assert moments.variances is None or moments.variances.max() < 1e-30


# ---------------------------------------------------------------- leaving out, streaming, large grids


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrangement", ["pairs, no clipping", "draws, no clipping"])
@pytest.mark.parametrize("fold", [(0, 5), (3, 5), (1, 2)])
def test_leaving_out_a_fold_is_having_the_others_alone(arrangement: str, kind: Any, fold: tuple[int, int]) -> None:
    sample = take(arrangement)
    per = 2 if sample.antithetic else 1
    kept = (np.arange(len(sample.responses)) // per) % fold[1] != fold[0]
    part = ls.QuerySample.from_arrays(
        sample.draws()[kept],
        sample.responses[kept],
        sample.design,
        f_x0=sample.f_x0,
        antithetic=sample.antithetic,
    )
    left, alone = sample.moments(kind, leave_out=fold), part.moments(kind)
    np.testing.assert_allclose(left.b, alone.b, rtol=0, atol=1e-14)  # the same sums, in other chunks
    if left.variances is not None:
        np.testing.assert_allclose(left.variances, alone.variances, rtol=1e-10)


@pytest.mark.parametrize("fold", [(5, 5), (-1, 5), (0, 1), (0, 0)])
def test_impossible_fold(fold: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"`leave_out` must be \(fold, folds\) with folds >= 2"):
        take().moments("printed", leave_out=fold)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrangement", ["pairs", "separate draws", "joint pairs"])
def test_drawing_again_gives_the_bits_of_keeping(arrangement: str, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    n_queries, left = 4500, (2, 5)  # more than one chunk of 32 blocks
    kept = take(arrangement, n_queries)
    one, one_left = kept.moments(kind), kept.moments(kind, leave_out=left)
    assert kept.units[0]._kept is not None
    monkeypatch.setattr(legstat.moments.units, "_KEEP_BYTES", 0)
    streamed = take(arrangement, n_queries)
    two, two_left = streamed.moments(kind), streamed.moments(kind, leave_out=left)
    assert streamed.units[0]._kept is None
    np.testing.assert_array_equal(one.b, two.b)
    np.testing.assert_array_equal(one_left.b, two_left.b)
    if kind not in ("regression", "adaptive"):
        np.testing.assert_array_equal(one.variances, two.variances)


@pytest.mark.parametrize("arrangement", ["pairs", "draws", "joint pairs"])
def test_crossfit_without_a_matrix(arrangement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = take(arrangement)
    for module in (legstat.moments.regression, legstat.moments.crossfit):
        monkeypatch.setattr(module, "DENSE_LIMIT", 2)
    ((z, y),) = naive_units(sample)
    law = sample.units[0].law
    gamma, moved = naive_halves(z - law.mean.ravel(), y, law.matrix(), sample.antithetic)
    moments = sample.moments("crossfit")
    np.testing.assert_allclose(moments.gamma.ravel(), gamma, rtol=0, atol=1e-11)  # dense inverses
    assert moments.variances is not None
    assert moments.df is not None
    variances = np.sum(moved**2, axis=0)
    np.testing.assert_allclose(moments.variances.ravel(), variances, rtol=1e-9, atol=0)  # as above
    df = 2 * variances**2 / (np.sum(moved**4, axis=0) - variances**2 / len(y))
    np.testing.assert_allclose(moments.df.ravel(), df, rtol=1e-8, atol=0)  # fourth powers of the same
    assert moments.influence is not None
    for rows in moments.influence[0].rows(sample.units[0]):  # the same units' moves, dealt out to the halves in turn
        halves = np.concatenate([rows[0::2], rows[1::2]])
        np.testing.assert_allclose(halves, moved, rtol=0, atol=1e-11)  # as above
    with pytest.raises(ValueError, match=r'`kind` must be at most 2 unknowns.*kind="crossfit"'):
        sample.moments("regression")
    with pytest.raises(ValueError, match=r'`kind` must be at most 2 unknowns.*kind="crossfit"'):
        sample.moments("adaptive")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arrangement", ["pairs", "draws"])
@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_scores_times_a_factor(arrangement: str, kind: Any, factor: float) -> None:
    """Nothing is added to a sum or bounded by a number in units of the score; a power of two makes no rounding."""
    moments = take(arrangement).moments(kind)
    scaled = take(arrangement, f=lambda images: factor * smooth(images)).moments(kind)
    np.testing.assert_array_equal(scaled.b, factor * moments.b)
    if moments.variances is not None:
        np.testing.assert_array_equal(scaled.variances, factor**2 * moments.variances)
        np.testing.assert_array_equal(scaled.df, moments.df)


# ---------------------------------------------------------------- unbiasedness


@pytest.mark.parametrize("dense", [True, False], ids=["ridge pilot", "shrunken pilot"])
@pytest.mark.parametrize("arrangement", ["draws, no clipping", "pairs, no clipping", "blend draws"])
def test_crossfit_is_unbiased(arrangement: str, dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean over 250 small samples within the limit that all cells keep with probability 1 - 1e-6."""
    if not dense:
        monkeypatch.setattr(legstat.moments.crossfit, "DENSE_LIMIT", 2)
    truth = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
    # a linear part that the estimator must find, and a curved one that is noise to it and lies in its way
    f = ls.simulate.quadratic(truth, 0.3) if arrangement != "blend draws" else None
    if f is None:
        # in deletion coordinates a response to the mask level: linear in the realised z, plus an even part
        weights = truth / 6
        contrast = IMAGE - IMAGE.mean(axis=(1, 2), keepdims=True)

        def response(images: np.ndarray) -> np.ndarray:
            m = ((images - IMAGE + contrast) / contrast).mean(axis=1).reshape(len(images), 2, 2, 3, 2).mean(axis=(2, 4))
            linear = ((m - 0.3) * weights).sum(axis=(1, 2))
            return 6 * linear + 4 * linear**2

    estimates = []
    for seed in range(250):
        sample = take(arrangement, 42, seed, f or response)
        estimates.append(sample.moments("crossfit").gamma[0])
    draws = np.array(estimates)
    if f is not None:
        level = 1 + 2 * 0.3 * float(f.gamma.ravel() @ IMAGE.mean(axis=0).reshape(2, 2, 3, 2).mean(axis=(1, 3)).ravel())
        expected = level * truth.ravel()  # Stein's identity
    else:
        # the best linear predictor in the realised z, from one huge sample by least squares
        big = take(arrangement, 200_001, 77, response)
        z, y = big.draws().reshape(-1, 6), big.responses
        expected = np.linalg.lstsq(z - z.mean(axis=0), y - y.mean(), rcond=None)[0]
    error = (draws.mean(axis=0) - expected) / (draws.std(axis=0, ddof=1) / np.sqrt(len(draws)))
    assert np.abs(error).max() < z_limit(1e-6, 6)


def test_regression_is_biased_towards_zero() -> None:
    """As documented: the reason why it carries no intervals."""
    truth = np.ones((2, 3))
    noisy = ls.simulate.quadratic(truth, 2.0)
    estimates = np.array([take("draws, no clipping", 16, s, noisy).moments("regression").gamma[0] for s in range(300)])
    level = 1 + 4.0 * IMAGE.mean(axis=0).reshape(2, 2, 3, 2).mean(axis=(1, 3)).sum()
    assert (estimates.mean(axis=0) < 0.97 * level).all()


# ---------------------------------------------------------------- variances


def test_variance_of_the_printed_estimate_in_closed_form() -> None:
    """For a linear f, Var(Sigma^{-1} z z^T g) = (g^T Sigma g) Sigma^{-1} + g g^T (Isserlis), divided by n."""
    truth, design = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]), ls.StructuredGaussian(GRID, 0.3)
    f, sigma = ls.simulate.linear(truth), design.covariance_matrix()
    g = truth.ravel()
    exact = (g @ sigma @ g) * np.diag(np.linalg.inv(sigma)) + g**2
    n, estimated, gammas = 50, [], []
    for seed in range(400):
        moments = take("draws, no clipping", n + 1, seed, f).moments("printed")
        assert moments.variances is not None
        estimated.append(moments.variances[0])
        gammas.append(moments.gamma[0])
    mean, spread = np.mean(estimated, axis=0), np.std(estimated, axis=0) / np.sqrt(400)
    # the estimator divides by n - 1 and is unbiased: six cells within the limit of false alarm 1e-6
    assert np.abs((mean - exact / n) / spread).max() < z_limit(1e-6, 6)
    # and so are the estimates themselves, with a variance of relative standard error below 10 % (heavy tails)
    np.testing.assert_allclose(np.var(gammas, axis=0), exact / n, rtol=0.4)


@pytest.mark.parametrize("arrangement", ["pairs", "draws", "separate pairs", "joint draws", "blend pairs"])
def test_variances_against_those_over_repeated_samples(arrangement: str) -> None:
    """Mean of the estimated variances over that of 150 estimates, all cells together, within 5 standard errors."""
    samples = [take(arrangement, 301, seed) for seed in range(150)]
    kinds: tuple[MomentKind, ...] = ("printed", "centred", "crossfit")
    for kind in kinds:
        moments = [s.moments(kind) for s in samples]
        actual = np.var([m.gamma.ravel() for m in moments], axis=0, ddof=1)
        estimated = np.mean([m.variances.ravel() for m in moments if m.variances is not None], axis=0)
        ratio = np.mean(estimated / actual)
        # a variance over 150 samples has a relative standard error of 12 %, the mean over the 6 to 12 cells of some 7 %
        assert ratio == pytest.approx(1.0, abs=0.35), kind


def test_variances_against_the_bootstrap() -> None:
    sample = take("draws", 401)
    ((z, y),) = naive_units(sample)
    law = sample.units[0].law
    rng = np.random.default_rng(0)
    for kind in ("printed", "centred"):
        replicates = []
        for _ in range(2000):
            rows = rng.integers(0, len(y), len(y))
            replicates.append(naive_gamma(kind, z[rows], y[rows], law.matrix(), mean=law.mean.ravel()))
        variances = sample.moments(kind).variances  # type: ignore[arg-type]
        assert variances is not None
        # a bootstrap variance of 2,000 replicates has a relative standard error of 3 %
        np.testing.assert_allclose(variances[0], np.var(replicates, axis=0), rtol=0.15)


def test_noiseless_linear_response_leaves_crossfit_no_variance() -> None:
    sample = take("pairs", 400, f=ls.simulate.linear(np.ones(GRID)))
    moments = sample.moments("crossfit")
    assert moments.variances is not None
    np.testing.assert_allclose(moments.gamma, 1.0, rtol=0, atol=2e-3)  # a ridge penalty of 1e-3 is left in the pilot
    assert moments.variances.max() < 1e-6


def test_pairs_cancel_an_even_response() -> None:
    even = ls.simulate.quadratic(np.ones(GRID), 1.0, offset=0.0)
    # around the point where the linear part is 0 the response is even
    f = lambda x: even(x - IMAGE)  # noqa: E731
    sample = take("pairs, no clipping", 200, f=lambda x: f(x) - ls.simulate.linear(np.ones(GRID))(x - IMAGE))
    for kind in KINDS:
        assert np.abs(sample.moments(kind).gamma).max() < 1e-12  # type: ignore[arg-type]  # rounding of f alone


# ---------------------------------------------------------------- arguments


def test_unknown_kind() -> None:
    with pytest.raises(
        ValueError, match=r"`kind` must be one of 'printed', 'centred', 'regression', 'adaptive', .*Got 'ols'"
    ):
        take().moments("ols")  # type: ignore[arg-type]


@pytest.mark.parametrize("shrinkage", [0.0, -1.0, np.nan, np.inf])
def test_bad_shrinkage(shrinkage: float) -> None:
    with pytest.raises(ValueError, match="`shrinkage` must be a finite number > 0"):
        take().moments("regression", shrinkage=shrinkage)


@pytest.mark.parametrize(
    ("kind", "n_queries", "needed"), [("crossfit", 15, 8), ("printed", 3, 2), ("regression", 3, 2)]
)
def test_too_few_units(kind: Any, n_queries: int, needed: int) -> None:
    sample = take("pairs", n_queries)
    with pytest.raises(ValueError, match=rf"{(n_queries - 1) // 2} pairs a channel.*|of at least {needed}") as caught:
        sample.moments(kind)
    assert f"of at least {needed} for '{kind}'" in str(caught.value)
    assert "Raise n_queries" in str(caught.value)


def test_stopped_run_without_units_has_no_moments() -> None:
    def stop(images: np.ndarray) -> np.ndarray:
        if len(images) > 1:
            raise RuntimeError("stopped")
        return smooth(images)

    with pytest.raises(ls.QueryError) as caught:
        take("joint pairs", 100, f=stop)
    sample = caught.value.sample
    assert sample.n_units == (0,)
    assert sample.draws().shape == (0, 2, 2, 3)
    assert sample.responses.shape == (0,)
    with pytest.raises(ValueError, match="0 pairs a channel"):
        sample.moments("printed")


@pytest.mark.parametrize(
    ("change", "named"),
    [({"b": np.zeros(5)}, "b"), ({"b": np.full(6, np.nan)}, "b"), ({"b": np.zeros(0)}, "b"), ({"n": 0}, "n")],
)
def test_bad_moments(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"legstat.Moments: `{named}` must be"):
        Moments(**{"b": np.zeros(6), "design": ls.StructuredGaussian(GRID), "n": 10, **change})


def test_moments_are_locked_copies() -> None:
    b = np.arange(12.0)
    moments = Moments(b=b, design=ls.StructuredGaussian(GRID), n=10)
    b[0] = 9.0
    assert moments.b.shape == (2, 6)
    assert moments.b[0, 0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        moments.b[0, 0] = 1.0
    assert moments.kind == "given"
    assert moments.source == {}


def test_estimate_moments_over_streams_of_different_length() -> None:
    # a stopped run may be a block ahead in one channel: each is divided by its own n
    whole = take("separate draws", 3001)
    short = take("separate draws", 2001)
    streams = (whole.units[0], short.units[1])
    moments = estimate_moments(streams, whole.design, "centred")
    np.testing.assert_array_equal(moments.b[0], whole.moments("centred").b[0])
    np.testing.assert_array_equal(moments.b[1], short.moments("centred").b[1])
    assert moments.n == 1000


def test_pilot_is_zero_where_nothing_is_gained(rng: np.random.Generator) -> None:
    z, y = rng.standard_normal((40, 6)), rng.standard_normal(40)
    y -= z @ np.linalg.lstsq(z, y, rcond=None)[0]
    assert naive_penalty(z, y, np.eye(6), paired=False) is None
    sample = ls.QuerySample.from_arrays(z.reshape(40, 2, 3), y, ls.IsotropicGaussian(GRID, 1.0))
    np.testing.assert_allclose(
        sample.moments("crossfit").gamma[0], naive_gamma("crossfit", z, y, np.eye(6)), rtol=0, atol=1e-12
    )
