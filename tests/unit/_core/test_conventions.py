"""`conventions="upstream"` follows the authors' code item by item, "paper" the paper's text; clashes are errors."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import legstat as ls
from legstat._core.conventions import get_conventions
from tests.helpers import Counting, naive_bilinear, naive_D, naive_legtv, naive_pictures, naive_sigma, pinv, smooth

IMAGE = np.random.default_rng(1).integers(0, 256, (3, 8, 12)) / 255  # a real picture: whole grey levels
GRID = (4, 6)
SIGMA = 0.02


def take(conventions: Any, n_queries: int = 1 + 3 * 200, f: Any = smooth, **given: Any) -> ls.QuerySample:
    design = ls.StructuredGaussian(GRID, SIGMA)
    return ls.query(f, IMAGE, design, n_queries, conventions=conventions, rng=0, progress=False, **given)


@pytest.fixture(scope="module")
def upstream() -> ls.QuerySample:
    return take("upstream")


@pytest.fixture(scope="module")
def paper() -> ls.QuerySample:
    return take("paper")


# ---------------------------------------------------------------- the authors' code, item by item


def test_item_1_D_is_padded_and_of_full_rank(upstream: ls.QuerySample) -> None:
    D = upstream.design.grid.D.toarray()
    np.testing.assert_array_equal(D, naive_D(*GRID, "zero"))
    single = np.abs(D).sum(axis=1) == 1
    assert single.sum() == 2 * (4 + 6)  # one-ended rows
    assert np.linalg.matrix_rank(D) == 24
    # -1 at the right and bottom rim here, +1 there: the signs of one-ended rows do not enter ||D g||_1 or D^T D
    np.testing.assert_allclose(upstream.design.covariance_matrix(), naive_sigma(D, SIGMA), rtol=0, atol=1e-12)


def test_item_1_the_padding_shrinks_the_rim_and_identifies_the_mean(upstream: ls.QuerySample) -> None:
    assert upstream.design.constant_eigenvalue is None
    assert not ls.LEGTV(upstream).fit(L_ratio=1.0).params.any()


def test_items_2_and_3_variance_of_a_cell(upstream: ls.QuerySample) -> None:
    np.testing.assert_allclose(np.sqrt(upstream.design.variances), np.sqrt(4 + 1 / 24) * SIGMA, rtol=1e-12)
    one = np.ones(24) / np.sqrt(24)
    big = ls.StructuredGaussian((28, 28), 1.0, boundary="zero")
    ones = np.full(784, 1 / 28)
    assert ones @ big.covariance(ones) == pytest.approx(1.1429, abs=5e-5)
    assert one @ upstream.design.covariance(one) > SIGMA**2


def test_item_6_one_channel_at_a_time_its_own_share_of_the_budget() -> None:
    seen: list[np.ndarray] = []

    def f(images: np.ndarray) -> np.ndarray:
        seen.append(images.copy())
        return smooth(images)

    counter = Counting(f)
    sample = take("upstream", 1 + 3 * 40 + 2, counter)
    assert counter.count == 121
    assert sample.n_units == (40, 40, 40)
    np.testing.assert_array_equal(seen[0], IMAGE[None])  # f(x0) once, shared, not rounded
    pictures = np.concatenate(seen[1:])
    changed = [np.abs(pictures[:, c] - IMAGE[c]).max(axis=(1, 2)) > 1e-12 for c in range(3)]
    assert (np.sum(changed, axis=0) == 1).all()
    assert [int(c.sum()) for c in changed] == [40, 40, 40]
    # the other channels pass through /255, *255 and truncation unchanged
    z = sample.draws()
    assert ((z != 0).any(axis=(2, 3)).sum(axis=1) == 1).all()


def test_item_7_mean_of_absolute_values(upstream: ls.QuerySample) -> None:
    for result in (ls.LEG(upstream).fit(), ls.LEGTV(upstream).fit(L_ratio=0.3)):
        np.testing.assert_allclose(result.saliency, np.abs(result.channel_maps).mean(axis=0), rtol=1e-15)


def test_item_7_one_channel_keeps_its_sign() -> None:
    for conventions in ("paper", "upstream"):
        sample = ls.query(smooth, IMAGE[:1], ls.StructuredGaussian(GRID, SIGMA), 101, conventions=conventions, rng=0,
                          progress=False)  # fmt: skip
        result = ls.LEG(sample).fit()
        np.testing.assert_array_equal(result.saliency.ravel(), result.params)
        assert result.saliency.min() < 0 < result.saliency.max()


def test_item_8_bilinear_map(upstream: ls.QuerySample) -> None:
    for result in (ls.LEG(upstream).fit(), ls.LEGTV(upstream).fit(L_ratio=0.3)):
        expected = naive_bilinear(result.saliency, 8, 12)
        np.testing.assert_allclose(result.heatmap, expected, rtol=0, atol=1e-12 * expected.max())


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 1), (3, 5)), ((1, 4), (1, 8)), ((1, 4), (6, 12)), ((3, 3), (3, 9)), ((28, 28), (224, 224))]
)
def test_item_8_bilinear_map_of_any_shape(shape: tuple[int, int], size: tuple[int, int]) -> None:
    params = np.random.default_rng(0).standard_normal(shape[0] * shape[1])
    moments = ls.Moments(b=params, design=ls.IsotropicGaussian(shape, 1.0, boundary="zero"), n=9,
                         source={"conventions": "upstream"})  # fmt: skip
    result = ls.LEGResults(moments=moments, params=params, image=np.zeros((3, *size)))
    # weights of cv2.resize; sums of four products of numbers of size 1
    np.testing.assert_allclose(result.heatmap, naive_bilinear(params.reshape(shape), *size), rtol=0, atol=1e-12)


def test_item_9_truncation_no_clipping_and_the_unrounded_z() -> None:
    seen: list[np.ndarray] = []

    def f(images: np.ndarray) -> np.ndarray:
        seen.append(images.copy())
        return smooth(images)

    sample = ls.query(f, IMAGE, ls.StructuredGaussian(GRID, 0.3), 1 + 3 * 20, conventions="upstream", rng=0,
                      progress=False)  # fmt: skip
    z = sample.draws()
    pictures = np.concatenate(seen[1:])
    expected = np.concatenate([
        ((naive_pictures(IMAGE, z[rows, c : c + 1], channel=c) * 255.0).astype(int)) / 255.0
        for c, rows in enumerate(slice(20 * k, 20 * k + 20) for k in range(3))
    ])  # fmt: skip
    np.testing.assert_array_equal(pictures, expected)
    assert pictures.min() < 0
    assert pictures.max() > 1
    assert np.abs(255 * z - np.rint(255 * z)).max() > 0.4  # z itself keeps its fractions
    assert not any(u.law.clipped for u in sample.units)


def test_item_10_known_covariance_and_uncentred_scores(upstream: ls.QuerySample) -> None:
    sigma = naive_sigma(naive_D(*GRID, "zero"), SIGMA)
    result = ls.LEG(upstream).fit()
    z, y = upstream.draws(), upstream.responses - smooth(IMAGE[None])[0]
    for channel in range(3):
        rows = slice(200 * channel, 200 * channel + 200)
        b = np.mean(y[rows, None] * z[rows, channel].reshape(200, -1), axis=0)
        expected = np.linalg.inv(sigma) @ b
        # the authors invert a dense matrix of condition number some dozens
        np.testing.assert_allclose(
            result.channel_maps[channel].ravel(), expected, rtol=0, atol=1e-9 * np.abs(expected).max()
        )


def test_item_5_threshold_is_a_ratio_of_each_channels_own_maximum(upstream: ls.QuerySample) -> None:
    D = naive_D(*GRID, "zero")
    sigma, b = naive_sigma(D, SIGMA), upstream.moments("printed").b
    ref = np.array([np.abs(pinv(D).T @ row).max() for row in b])
    result = ls.LEGTV(upstream).fit(L_ratio=0.3)
    np.testing.assert_allclose(result.L_per_row, 0.3 * ref, rtol=1e-9)  # dense pseudo-inverse
    for row, g, L in zip(b, result.channel_maps, result.L_per_row, strict=True):
        objective, _ = naive_legtv(D, sigma, row, L)
        assert np.abs(D @ g.ravel()).sum() == pytest.approx(objective, rel=1e-7, abs=1e-12)  # scipy's HiGHS


def test_item_11_no_pairs(upstream: ls.QuerySample, paper: ls.QuerySample) -> None:
    assert not upstream.antithetic
    assert not paper.antithetic


# ---------------------------------------------------------------- the paper


def test_paper_sums_absolute_values_on_the_free_grid(paper: ls.QuerySample) -> None:
    result = ls.LEG(paper).fit()
    np.testing.assert_allclose(result.saliency, np.abs(result.channel_maps).sum(axis=0), rtol=1e-15)
    np.testing.assert_array_equal(result.heatmap, np.kron(result.saliency, np.ones((2, 2))))
    np.testing.assert_array_equal(paper.design.grid.D.toarray(), naive_D(*GRID))
    assert paper.perturbation == ls.Additive(clip=False)


def test_paper_and_upstream_differ_where_they_should(paper: ls.QuerySample, upstream: ls.QuerySample) -> None:
    one, two = get_conventions("paper"), get_conventions("upstream")
    differing = {f.name for f in dataclasses.fields(one) if getattr(one, f.name) != getattr(two, f.name)}
    assert differing == {"name", "boundary", "quantise", "aggregation", "resize"}
    assert not np.allclose(ls.LEG(paper).fit().saliency, ls.LEG(upstream).fit().saliency)


# ---------------------------------------------------------------- inheritance and clashes


@pytest.mark.parametrize("conventions", ["default", "paper", "upstream"])
def test_estimators_inherit_from_the_sample(conventions: Any, tmp_path: Any) -> None:
    sample, rules = take(conventions), get_conventions(conventions)
    leg, tv = ls.LEG(sample).fit(), ls.LEGTV(sample).fit(L_ratio=0.2)
    assert (leg.moments.kind, tv.moments.kind) == (rules.leg_moments, rules.legtv_moments)
    for result in (leg, tv):
        assert result.moments.source["conventions"] == conventions
        result.save(tmp_path / "r.npz")
        again = type(result).load(tmp_path / "r.npz")
        np.testing.assert_array_equal(again.saliency, result.saliency)
        np.testing.assert_array_equal(again.heatmap, result.heatmap)


@pytest.mark.parametrize("conventions", ["paper", "upstream"])
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"antithetic": True}, "antithetic"),
        ({"perturbation": ls.Additive(clip=True)}, "perturbation"),
        ({"perturbation": ls.Blend()}, "perturbation"),
    ],
)
def test_explicit_arguments_that_clash(conventions: Any, given: dict[str, Any], named: str) -> None:
    f = Counting(smooth)
    with pytest.raises(
        ValueError, match=rf"`{named}` must be .*conventions=.{conventions}. implies.*Leave `{named}` out"
    ):
        take(conventions, f=f, **given)
    assert f.count == 0


@pytest.mark.parametrize("conventions", ["paper", "upstream"])
def test_explicit_arguments_that_agree(conventions: Any) -> None:
    rules = get_conventions(conventions)
    design = ls.StructuredGaussian(GRID, SIGMA, channels="separate", boundary=rules.boundary)
    explicit = ls.query(smooth, IMAGE, design, 601, conventions=conventions, antithetic=False, rng=0, progress=False,
                        perturbation=ls.Additive(clip=False, quantise=rules.quantise))  # fmt: skip
    np.testing.assert_array_equal(explicit.responses, take(conventions).responses)
    assert explicit.design == take(conventions).design


def test_default_takes_any_combination() -> None:
    design = ls.StructuredGaussian(GRID, SIGMA, channels="separate", boundary="zero")
    sample = ls.query(smooth, IMAGE, design, 601, antithetic=False, perturbation=ls.Additive(clip=False, quantise=True),
                      rng=0, progress=False)  # fmt: skip
    # everything that matters to LEG's numbers spelled out: the authors' estimate by hand
    np.testing.assert_array_equal(sample.responses, take("upstream").responses)
    np.testing.assert_array_equal(ls.LEG(sample, moments="printed").fit().params, ls.LEG(take("upstream")).fit().params)


def test_unknown_set() -> None:
    with pytest.raises(ValueError, match=r"legstat.query: `conventions` must be one of 'default', 'paper', 'upstream'"):
        get_conventions("authors")
