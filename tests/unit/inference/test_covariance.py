"""Covariances, intervals and tests of LEG against statsmodels, dense linear algebra and naive re-implementations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from statsmodels.stats import multivariate
from statsmodels.stats.multitest import multipletests

import legstat as ls
from legstat.inference.covariance import Covariance
from legstat.inference.intervals import absolute_sum_intervals
from legstat.inference.multiplicity import MultipleTest
from legstat.moments.influence import degrees_of_freedom

SHAPE = (4, 3)
GAMMA = np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 1.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0]])


def sample(antithetic: bool = False, units: int = 400, seed: int = 0, **design: object) -> ls.QuerySample:
    law = ls.StructuredGaussian(grid=SHAPE, scale=0.3, **design)
    channels = 2 if design else 1
    return ls.query(
        ls.simulate.logistic(2.0 * GAMMA, offset=-2.0),
        np.full((channels, *SHAPE), 0.5),
        law,
        n_queries=1 + units * (2 if antithetic else 1) * (channels if design.get("channels") == "separate" else 1),
        antithetic=antithetic,
        rng=seed,
    )


def flat(data: ls.QuerySample, stream: int = 0) -> tuple[np.ndarray, np.ndarray]:
    z, y = zip(*data.units[stream].rows(), strict=True)
    return np.concatenate(z), np.concatenate(y)


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("cov_type", ["HC0", "HC1", "HC2", "HC3"])
def test_least_squares_is_statsmodels_ols(cov_type: str, antithetic: bool) -> None:
    data = sample(antithetic)
    z, y = flat(data)
    reference = sm.OLS(y, z if antithetic else sm.add_constant(z)).fit(cov_type=cov_type)
    first = 0 if antithetic else 1  # pairs have no constant: their mean is 0
    fitted = ls.LEG(data).fit(cov_type=cov_type, use_t=False)
    # rtol: both solve well-conditioned normal equations in float64
    np.testing.assert_allclose(fitted.params, reference.params[first:], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(fitted.std_errors, reference.bse[first:], rtol=1e-9, atol=0)
    np.testing.assert_allclose(fitted.cov_params(), reference.cov_params()[first:, first:], rtol=1e-7, atol=1e-9)
    if cov_type != "HC0":  # whose intervals need more units than these
        np.testing.assert_allclose(fitted.pvalues, reference.pvalues[first:], rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(fitted.conf_int(level=0.9), reference.conf_int(0.1)[first:], rtol=1e-8, atol=1e-9)
        R = np.eye(12)[3:6]
        wald = fitted.wald_test(R)
        restriction = np.hstack([np.zeros((3, first)), R])
        known = reference.wald_test(restriction, use_f=False, scalar=True)
        np.testing.assert_allclose(wald.statistic, known.statistic, rtol=1e-8, atol=0)
        np.testing.assert_allclose(wald.pvalue, known.pvalue, rtol=1e-6, atol=1e-12)


def test_least_squares_needs_more_units_than_unknowns() -> None:
    with pytest.raises(ValueError, match="more than 13 observations"):
        ls.LEG(sample(units=12)).fit(cov_type="HC3")


@pytest.mark.parametrize("antithetic", [False, True])
def test_crossfit_is_the_naive_leave_one_out(antithetic: bool) -> None:
    """gamma-hat = mean of g_{-u} + S^{-1} z_u (y_u - fitted by the others), each pilot solved by itself."""
    from legstat.moments.crossfit import ridge_pilot
    from legstat.moments.sums import summed

    data = sample(antithetic, units=60)
    z, y = flat(data)
    (sums,) = summed(data.units[0], None, gram=True)
    _, hat = ridge_pilot(data.units[0], sums)
    S, mu = data.units[0].law.matrix(), data.units[0].law.mean.ravel()
    centred = z if antithetic else z - z.mean(axis=0)
    penalty = np.linalg.inv(hat) - centred.T @ centred
    parts = []
    for u in range(len(y)):
        rest = np.arange(len(y)) != u
        zr, yr = z[rest], y[rest]
        c, m = (0.0, 0.0) if antithetic else (zr.mean(axis=0), yr.mean())
        g = np.linalg.solve((zr - c).T @ (zr - c) + penalty, (zr - c).T @ (yr - m))
        left = y[u] - m - (z[u] - c) @ g
        parts.append((g, np.linalg.solve(S, z[u] - mu) * left, left))
    naive = np.mean([g + psi for g, psi, _ in parts], axis=0)
    moments = data.moments("crossfit")
    np.testing.assert_allclose(moments.gamma[0], naive, rtol=1e-9, atol=1e-10)
    # variances: each unit moves the estimate along H z_u, with the level that S^{-1} z_u has over all cells
    psi = np.array([p for _, p, _ in parts])
    moved = centred @ hat * np.array([r for _, _, r in parts])[:, None]
    shape = moved.var(axis=0, ddof=1)
    level = psi.var(axis=0, ddof=1).sum() / shape.sum()
    np.testing.assert_allclose(moments.variances[0], level * shape / len(psi), rtol=1e-8, atol=0)


@pytest.mark.parametrize("kind", ["printed", "centred", "crossfit", "least_squares"])
@pytest.mark.parametrize("channels", ["shared", "separate", "joint"])
def test_full_matrix_and_contrasts_agree_with_the_diagonal(kind: str, channels: str) -> None:
    data = sample(units=150, channels=channels)
    fitted = ls.LEG(data, moments=kind).fit()
    V = fitted.cov_params()
    np.testing.assert_allclose(np.diag(V), fitted.std_errors**2, rtol=1e-9, atol=0)
    assert np.linalg.eigvalsh(V)[0] > 0
    C = np.random.default_rng(1).standard_normal((3, fitted.params.size))
    contrasts = fitted.contrasts(C)
    np.testing.assert_allclose(contrasts.covariance, C @ V @ C.T, rtol=1e-9, atol=0)
    if channels == "separate":  # drawn independently
        assert not V[:12, 12:].any()
    # a cell's degrees of freedom are the same whether it is asked for as a cell or as a contrast
    alone = fitted.contrasts(np.eye(fitted.params.size)).df
    # but for the bound n - 1, with n there the units of all streams
    np.testing.assert_allclose(np.minimum(alone, 149), fitted.df, rtol=1e-9, atol=0)
    # Satterthwaite: 2 over the squared coefficient of variation of a sum of the streams' own variances
    moments, first, noise = data.moments(kind), 0, np.zeros(3)
    for influence, units in zip(moments.influence, data.units, strict=True):
        moved = np.concatenate(list(influence.rows(units)))
        phi = moved @ C[:, first : first + moved.shape[1]].T
        first += moved.shape[1]
        noise += len(phi) * (phi**2).var(axis=0)
    df = 2 * np.diag(C @ V @ C.T) ** 2 / noise
    # fourth powers; a half, since each contrast has several cells in it
    np.testing.assert_allclose(contrasts.df, df / 2, rtol=1e-8, atol=0)
    np.testing.assert_allclose(contrasts.joint_df, df / 2, rtol=1e-8, atol=0)


def test_degrees_of_freedom() -> None:
    rng = np.random.default_rng(0)
    normal = rng.standard_normal((200_000, 1))
    product = normal * rng.standard_normal((200_000, 1))
    for phi, kurtosis in ((normal, 3.0), (product, 9.0)):
        df = degrees_of_freedom((phi**2).sum(axis=0), (phi**4).sum(axis=0), len(phi))
        # 2 n / (kurtosis - 1); rtol: the fourth moment of 200,000 draws
        np.testing.assert_allclose(df, 2 * len(phi) / (kurtosis - 1), rtol=0.1, atol=0)


def test_intervals_and_pvalues_are_students() -> None:
    fitted = ls.LEG(sample()).fit()
    df = fitted.df
    assert ((df >= 1) & (df < 400)).all()
    low, high = fitted.conf_int(level=0.9).T
    half = scipy.stats.t.ppf(0.95, df) * fitted.std_errors
    np.testing.assert_allclose(high - low, 2 * half, rtol=1e-10, atol=0)
    np.testing.assert_allclose(fitted.pvalues, 2 * scipy.stats.t.sf(np.abs(fitted.tstats), df), rtol=1e-12, atol=0)
    np.testing.assert_array_equal((low > 0) | (high < 0), fitted.pvalues < 0.1)


def test_multiplier_draws_have_the_estimated_covariance_and_the_seed() -> None:
    data = sample()
    covariance = Covariance(data.units, data.moments("crossfit").influence)
    draws = np.concatenate(list(covariance.draws(20_000, rng=3)))
    V = covariance.matrix()
    scale = np.sqrt(np.diag(V))
    # 20,000 draws know a correlation to 0.007 (one standard error); 5 of them over 66 entries
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(scale, scale), V / np.outer(scale, scale), rtol=0, atol=0.035)
    again = np.concatenate(list(covariance.draws(20_000, rng=3)))
    np.testing.assert_array_equal(draws, again)


def test_bands_lie_between_pointwise_and_bonferroni() -> None:
    fitted = ls.LEG(sample()).fit()
    widths = [
        np.ptp(fitted.conf_int(level=0.95, simultaneous=simultaneous, method=method), axis=1)
        for simultaneous, method in ((False, "max-t"), (True, "max-t"), (True, "bonferroni"))
    ]
    assert (widths[0] < widths[1]).all()
    assert (widths[1] < 1.02 * widths[2]).all()  # the bootstrap's own noise
    np.testing.assert_array_equal(
        fitted.conf_int(level=0.95, simultaneous=True), fitted.conf_int(level=0.95, simultaneous=True)
    )


@pytest.mark.parametrize(
    ("rate", "method", "name"),
    [
        ("fdr", "BH", "fdr_bh"),
        ("fdr", "BY", "fdr_by"),
        ("fwer", "Holm", "holm"),
        ("fwer", "bonferroni", "bonferroni"),
    ],
)
def test_multiplicity_is_statsmodels(rate: str, method: str, name: str) -> None:
    fitted = ls.LEG(sample()).fit()
    found = fitted.test(**{rate: 0.1}, method=method)
    # familywise, as bands: half of the degrees of freedom that one interval has
    df = fitted.df / 2 if rate == "fwer" else fitted.df
    pvalues = 2 * scipy.stats.t.sf(np.abs(fitted.tstats), df)
    np.testing.assert_allclose(found.pvalues, pvalues, rtol=1e-12, atol=0)
    reject, adjusted, *_ = multipletests(pvalues, alpha=0.1, method=name)
    np.testing.assert_array_equal(found.reject, reject)
    np.testing.assert_allclose(found.pvalues_adjusted, adjusted, rtol=1e-12, atol=0)
    assert found.significant.shape == (1, *SHAPE)
    assert found.n_rejected == reject.sum() == found.to_frame()["reject"].sum()


def test_step_down_is_the_naive_algorithm() -> None:
    fitted = ls.LEG(sample()).fit()
    pvalues = 2 * scipy.stats.t.sf(np.abs(fitted.tstats), fitted.df / 2)
    z = scipy.stats.norm.isf(pvalues / 2)
    draws = np.abs(np.concatenate(list(fitted.covariance.draws(500, rng=1)))) / fitted.std_errors
    order, worst = np.argsort(-z), 0.0
    naive = np.empty_like(z)
    for rank, j in enumerate(order):  # largest first: compare with the maximum over what has not been tested yet
        p = (1 + (draws[:, order[rank:]].max(axis=1) >= z[j]).sum()) / 501
        worst = naive[j] = max(worst, p, 0.0)
    naive = np.maximum(naive, pvalues)
    found = fitted.test(fwer=0.05, n_draws=500, rng=1)
    np.testing.assert_allclose(found.pvalues_adjusted, naive, rtol=1e-9, atol=0)
    single = fitted.test(fwer=0.05, method="max-t", n_draws=500, rng=1)
    assert (found.pvalues_adjusted <= single.pvalues_adjusted + 1e-12).all()


def test_regions_are_contrasts() -> None:
    fitted = ls.LEG(sample()).fit()
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:3, 1:2] = True
    box = fitted.region((1, 3, 1, 2))
    weights = mask.ravel() / 2
    np.testing.assert_allclose(box.estimates, [weights @ fitted.params], rtol=1e-12, atol=0)
    np.testing.assert_allclose(box.covariance, [[weights @ fitted.cov_params() @ weights]], rtol=1e-9, atol=0)
    np.testing.assert_array_equal(fitted.region(mask).estimates, box.estimates)
    labels = np.where(mask, 1, 0)
    both = fitted.region(labels, aggregate="sum")
    np.testing.assert_allclose(both.estimates.sum(), fitted.params.sum(), rtol=1e-12, atol=1e-12)
    difference = fitted.compare_regions(mask, ~mask)
    np.testing.assert_allclose(
        difference.estimates, fitted.region(labels).estimates[1:] - fitted.region(labels).estimates[:1], rtol=1e-10
    )
    assert box.to_frame().shape == (1, 6)


def test_regions_of_several_channels() -> None:
    fitted = ls.LEG(sample(units=150, channels="joint")).fit()
    each = fitted.region((0, 2, 0, 2))
    assert each.labels == ("rows 0:2, columns 0:2, channel 0", "rows 0:2, columns 0:2, channel 1")
    np.testing.assert_allclose(fitted.region((0, 2, 0, 2), channel="sum").estimates, [each.estimates.sum()], rtol=1e-12)
    np.testing.assert_array_equal(fitted.region((0, 2, 0, 2), channel=1).estimates, each.estimates[1:])
    bands = fitted.saliency_conf_int(level=0.95)
    inside = (bands[:, 0] <= fitted.saliency.ravel()) & (fitted.saliency.ravel() <= bands[:, 1])
    assert inside.all()
    assert (bands[:, 0] >= 0).all()


def test_absolute_sums_cover_whatever_the_bands_cover() -> None:
    rng = np.random.default_rng(0)
    low = rng.normal(size=(3, 200))
    bands = np.stack([low, low + rng.exponential(size=low.shape)], axis=-1)
    truth = rng.uniform(bands[..., 0], bands[..., 1])
    sums = absolute_sum_intervals(bands)
    total = np.abs(truth).sum(axis=0)
    assert ((sums[:, 0] <= total + 1e-12) & (total <= sums[:, 1] + 1e-12)).all()


def test_wald_test_of_one_contrast_is_its_t_test() -> None:
    fitted = ls.LEG(sample()).fit()
    for j in (0, 4):
        np.testing.assert_allclose(fitted.wald_test(np.eye(12)[j]).pvalue, fitted.pvalues[j], rtol=1e-8, atol=1e-14)
    vague = ls.Contrasts(labels=("a", "b"), estimates=np.ones(2), covariance=np.eye(2), df=np.array([50.0, 2.0]), n=120)
    with pytest.raises(ls.InferenceUnavailableError, match="degrees of freedom"):
        vague.wald_test()


@pytest.mark.parametrize("k", [2, 3, 5])
def test_wald_test_of_normal_data_is_hotellings(k: int) -> None:
    """Statistic and F scaling against T^2 of a multivariate mean, where Hotelling's law is exact."""
    rng, n = np.random.default_rng(k), 12
    x = rng.standard_normal((n, k)) @ rng.standard_normal((k, k)) + 0.3
    mean, spread = x.mean(axis=0), np.cov(x, rowvar=False).reshape(k, k) / n
    told = ls.Contrasts(labels=tuple("abcde"[:k]), estimates=mean, covariance=spread, df=np.full(k, n - 1.0), n=120)
    found = told.wald_test(0.1)
    square = (mean - 0.1) @ np.linalg.solve(spread, mean - 0.1)
    # the textbook's: (n - k) / (k (n - 1)) T^2 is F(k, n - k); solves and tails of sums of 12 numbers
    np.testing.assert_allclose(found.statistic, square, rtol=1e-9, atol=0)
    assert (found.df, found.df_denom) == (k, n - k)
    reference = multivariate.test_mvmean(x, mean_null=np.full(k, 0.1))
    np.testing.assert_allclose(found.pvalue, reference.pvalue, rtol=1e-9, atol=0)


@pytest.mark.parametrize("call", [
    lambda r: r.conf_int(level=0.0), lambda r: r.conf_int(level=1.0), lambda r: r.conf_int(level=float("nan")),
    lambda r: r.conf_int(level=95),
    lambda r: r.conf_int(method="bootstrap"), lambda r: r.test(), lambda r: r.test(fdr=0.1, fwer=0.1),
    lambda r: r.test(fdr=0.1, method="Holm"), lambda r: r.test(fwer=2.0), lambda r: r.contrasts(np.ones(5)),
    lambda r: r.contrasts(np.full(12, np.nan)), lambda r: r.region((0, 9, 0, 1)), lambda r: r.region((2, 2, 0, 1)),
    lambda r: r.region(np.zeros(SHAPE, dtype=bool)), lambda r: r.region(np.zeros((2, 2), dtype=bool)),
    lambda r: r.region(np.ones(SHAPE)), lambda r: r.region((0, 1, 0, 1), channel=4),
    lambda r: r.wald_test(np.ones((2, 12))), lambda r: r.wald_test(np.eye(12)[:2], np.zeros(3)),
    lambda r: r.wald_test(np.zeros((1, 12))),
])  # fmt: skip
def test_bad_input_names_what_is_possible(call: object) -> None:
    fitted = ls.LEG(sample()).fit()
    with pytest.raises(ValueError, match="must be"):
        call(fitted)


def test_refusals_name_what_is_possible() -> None:
    data = sample()
    shrunken = ls.LEG(data, moments="regression").fit()
    with pytest.raises(ls.InferenceUnavailableError, match="shrink"):
        shrunken.conf_int()
    with pytest.raises(ls.InferenceUnavailableError, match="shrink"):
        ls.LEG(data, moments="regression").fit(cov_type="HC3")
    with pytest.raises(ls.InferenceUnavailableError, match="below 100"):
        ls.LEG(sample(units=90)).fit().conf_int()
    assert ls.LEG(sample(units=90)).fit().std_errors.shape == (12,)
    with pytest.raises(ls.InferenceUnavailableError, match="from 300 observations"):
        ls.LEG(sample(units=200)).fit().test(fwer=0.05)
    with pytest.raises(ls.InferenceUnavailableError, match="HC2"):
        ls.LEG(data).fit(cov_type="HC0").conf_int()
    with pytest.raises(ValueError, match="HC0"):
        ls.LEG(data).fit(cov_type="nonrobust")
    with pytest.raises(ValueError, match="'sandwich' for 'printed'"):
        ls.LEG(data, moments="printed").fit(cov_type="HC3")
    given = ls.LEG(ls.Moments(b=np.ones(12), design=data.design, n=500)).fit()
    with pytest.raises(ls.InferenceUnavailableError, match="without responses"):
        given.conf_int()


def test_a_saved_result_keeps_pointwise_inference(tmp_path: object) -> None:
    fitted = ls.LEG(sample()).fit()
    fitted.save(tmp_path / "leg.npz")
    loaded = ls.LEGResults.load(tmp_path / "leg.npz")
    np.testing.assert_array_equal(loaded.conf_int(), fitted.conf_int())
    np.testing.assert_array_equal(loaded.test(fdr=0.1).reject, fitted.test(fdr=0.1).reject)
    np.testing.assert_array_equal(
        loaded.conf_int(level=0.9, simultaneous=True, method="bonferroni"),
        fitted.conf_int(level=0.9, simultaneous=True, method="bonferroni"),
    )
    with pytest.raises(ls.InferenceUnavailableError, match="bonferroni"):
        loaded.conf_int(level=0.9, simultaneous=True)
    with pytest.raises(ls.InferenceUnavailableError, match="Fit again"):
        loaded.cov_params()


def test_a_result_does_not_keep_the_draws() -> None:
    fitted = ls.LEG(sample()).fit()
    fitted.conf_int(level=0.9, simultaneous=True)
    assert fitted.moments.influence is None
    assert all("_kept" not in vars(u) or u._kept is None for u in fitted.covariance._units)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda leg: leg.conf_int(level=95), "level` must be strictly between 0 and 1. Got 95"),
        (lambda leg: leg.conf_int(level=float("nan")), "level` must be strictly between 0 and 1"),
        (lambda leg: leg.conf_int(level="0.95"), "level` must be strictly between 0 and 1"),
        (lambda leg: leg.conf_int(level=0.9, simultaneous=True, n_draws=2.5), "n_draws` must be a whole number"),
        (lambda leg: leg.test(fdr=2.0), "0.1 is usual"),
        (lambda leg: leg.test(fdr=0.1, method=3), "one of BH, BY"),
        (lambda leg: leg.wald_test(np.ones((2, 12))), "linearly independent contrasts"),
        (lambda leg: leg.wald_test(np.zeros((1, 12))), "linearly independent contrasts"),
        (lambda leg: leg.wald_test("x1 = 0"), "`C` must be numbers of shape"),
        (lambda leg: leg.wald_test(np.eye(12)[:1], "a"), "`r` must be a number"),
        (lambda leg: leg.wald_test(np.eye(12)[:1], np.nan), "`r` must be finite"),
        (lambda leg: leg.contrasts(np.full(12, np.nan)), "`C` must be finite"),
        (lambda leg: leg.contrasts([[1, 2], [3]]), "`C` must be numbers of shape"),
        (lambda leg: leg.region((0, 1, 2)), "four whole numbers"),
        (lambda leg: leg.region((0.5, 2, 0, 2)), "four whole numbers"),
        (lambda leg: leg.region((0, 9, 0, 2)), "inside the grid"),
        (lambda leg: ls.split_sample(leg.moments), "a QuerySample"),
        (lambda leg: ls.region_inference(leg.moments), "a QuerySample"),
        (lambda leg: ls.split_sample(leg.sample, "half"), "`share` must be strictly between"),
        (lambda leg: ls.Moments(b=np.zeros(12), design=leg.moments.design, n=np.nan), "`n` must be a whole number"),
        (lambda leg: ls.Moments(b=np.zeros(12) * 1j, design=leg.moments.design, n=9), "`b` must be real numbers"),
        (lambda leg: ls.Moments(b=np.zeros(12), design=None, n=9), "`design` must be a Design"),
    ],
)
def test_bad_input_is_named(call: object, names: str) -> None:
    with pytest.raises((ValueError, TypeError), match=names):
        call(ls.LEG(sample()).fit())


def test_moments_alone_say_what_they_lack() -> None:
    data = sample()
    given = ls.LEG(ls.Moments(b=data.moments("centred").b, design=data.design, n=400)).fit()
    for call in (given.conf_int, given.cov_params, lambda: given.test(fdr=0.1), lambda: given.region((0, 1, 0, 1))):
        with pytest.raises(ls.InferenceUnavailableError, match="variances="):
            call()
    variances = data.moments("centred").variances
    told = ls.LEG(ls.Moments(b=given.moments.b, design=data.design, n=400, variances=variances)).fit()
    assert told.conf_int().shape == (12, 2)
    with pytest.raises(ls.InferenceUnavailableError, match="method='bonferroni'"):
        told.conf_int(simultaneous=True)


@pytest.mark.parametrize("name", ["std_errors", "pvalues", "tstats", "test", "region", "wald_test", "cov_params"])
def test_legtv_says_why_it_has_no_inference(name: str) -> None:
    fitted = ls.LEGTV(sample()).fit(L_ratio=0.5)
    with pytest.raises(ls.InferenceUnavailableError, match=f"region_inference.*So there is no `{name}`"):
        getattr(fitted, name)
    assert not hasattr(fitted, name)
    with pytest.raises(AttributeError, match="no attribute 'tests'"):
        fitted.tests  # noqa: B018


def test_a_response_without_error_has_intervals_of_rounding() -> None:
    """Pairs of a quadratic response are exactly linear: least squares leaves nothing, and must not claim 1e-17."""
    f, design = ls.simulate.quadratic(GAMMA, 1.0), ls.StructuredGaussian(grid=SHAPE, scale=0.3)
    still, image = ls.Additive(clip=False), np.full((1, *SHAPE), 0.5)
    fitted = ls.LEG(ls.query(f, image, design, n_queries=801, perturbation=still, rng=0)).fit(cov_type="HC3")
    truth = f.leg(image, design)[0]
    for low, high in (
        fitted.conf_int(level=0.9).T,
        fitted.conf_int(level=0.9, simultaneous=True).T,
        fitted.contrasts(np.eye(12)).conf_int(level=0.9).T,
    ):
        assert ((low <= truth) & (truth <= high)).all()
        assert (high - low < 1e-10).all()
    low, high = fitted.region((0, 2, 0, 2)).conf_int()[0]
    assert low <= truth.reshape(SHAPE)[:2, :2].mean() <= high
    assert fitted.wald_test(np.eye(12)[:3], truth[:3]).pvalue > 0.5
    np.testing.assert_allclose(np.diag(fitted.cov_params()), fitted.std_errors**2, rtol=1e-9, atol=0)


@pytest.mark.parametrize("cov_type", ["HC1", "HC2"])
def test_bands_of_least_squares_need_more_units_or_hc3(cov_type: str) -> None:
    few, many = sample(units=200), sample(units=240)
    with pytest.raises(ls.InferenceUnavailableError, match="HC3"):
        ls.LEG(few).fit(cov_type=cov_type).conf_int(simultaneous=True)
    with pytest.raises(ls.InferenceUnavailableError, match="HC3"):
        ls.LEG(few).fit(cov_type=cov_type).test(fwer=0.05)
    assert ls.LEG(many).fit(cov_type=cov_type).conf_int(simultaneous=True).shape == (12, 2)
    assert ls.LEG(few).fit(cov_type="HC3").conf_int(simultaneous=True).shape == (12, 2)


def test_the_map_of_signs() -> None:
    found = MultipleTest(
        reject=np.array([True, False, True, True, False, False]),
        pvalues=np.full(6, 0.5),
        pvalues_adjusted=np.full(6, 0.5),
        estimates=np.array([2.0, -3.0, -0.5, 0.0, 1.0, 4.0]),
        rate="fwer",
        level=0.05,
        method="step_down",
        grid_shape=(2, 3),
    )
    np.testing.assert_array_equal(found.signs, [[[1.0, 0.0, -1.0], [0.0, 0.0, 0.0]]])
