"""Results are frozen values: every attribute, maps, frames, files, and what they refuse to say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import legstat as ls
from legstat.estimators.leg_results import LEGResults
from legstat.estimators.legtv_results import LEGTVResults
from legstat.estimators.results import Results
from tests.helpers import naive_D, smooth

IMAGE = np.random.default_rng(1).uniform(0.05, 0.95, (3, 4, 6))
GRID = (2, 3)
ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "default": {},
    "draws": {"antithetic": False},
    "separate": {"channels": "separate"},
    "joint": {"channels": "joint"},
    "blend": {"perturbation": ls.Blend("mean", at=0.4)},
    "paper": {"conventions": "paper"},
    "upstream": {"conventions": "upstream"},
    "general": {"design": ls.GaussianDesign(np.diag(np.arange(1.0, 7.0)), GRID, 0.1)},
    "few": {"n_queries": 60},
}


def take(arrangement: str = "default", **more: Any) -> ls.QuerySample:
    given = {
        "n_queries": 302 * (3 if arrangement in ("separate", "paper", "upstream") else 1),
        **ARRANGEMENTS[arrangement],
        **more,
    }
    channels = given.pop("channels", None)
    design = given.pop("design", None) or ls.StructuredGaussian(GRID, 0.3, channels=channels)
    return ls.query(smooth, IMAGE, design, given.pop("n_queries"), rng=3, progress=False, **given)


def every_result(arrangement: str) -> list[Results]:
    sample = take(arrangement)
    results: list[Results] = [ls.LEGTV(sample).fit(L_ratio=0.2), ls.LEG(sample).fit()]
    if arrangement == "default":
        results += [ls.LEG(sample, moments="regression").fit(), *ls.LEGTV(sample).fit_path(n_Ls=3, progress=False)]
    return results


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_every_attribute(arrangement: str) -> None:
    """Whatever a result offers can be asked of it, or refuses with a reason; it never warns and never is NaN."""
    for result in every_result(arrangement):
        for name in dir(result):
            if name.startswith("_"):
                continue
            refused = {"std_errors", "tstats", "covariance"} if result.moments.variances is None else set()
            if not getattr(result, "has_intervals", True):
                refused |= {"pvalues"}
            if name in refused:
                with pytest.raises(ls.InferenceUnavailableError, match=r"^legstat\."):
                    getattr(result, name)
                continue
            value = getattr(result, name)
            if isinstance(value, np.ndarray):
                assert np.isfinite(value).all() or name == "df", name
        assert result.params.shape == (len(result.channel_maps) * 6,)
        assert (result.grid_shape, result.saliency.shape, result.heatmap.shape) == (GRID, GRID, (4, 6))
        assert result.strongest(3)[0][2] == result.saliency.ravel()[np.argmax(np.abs(result.saliency))]


@pytest.mark.parametrize("arrangement", ["default", "upstream"])
def test_frozen_and_read_only(arrangement: str) -> None:
    for result in every_result(arrangement):
        for field in dataclasses.fields(result):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(result, field.name, None)
        for array in (
            result.params,
            result.channel_maps,
            result.saliency,
            result.heatmap,
            result.moments.b,
            result.image,
        ):
            assert array is not None
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0.0
        if result.moments.variances is not None:
            with pytest.raises(ValueError, match="read-only"):
                result.moments.variances[...] = 0.0


def test_no_reference_to_the_response() -> None:
    class Heavy:
        fingerprint = "heavy"

        def __call__(self, images: np.ndarray) -> np.ndarray:
            return smooth(images)

    import gc
    import weakref

    f = Heavy()
    alive = weakref.ref(f)
    sample = ls.query(f, IMAGE, ls.StructuredGaussian(GRID, 0.3), 101, rng=0, progress=False)
    results = [ls.LEG(sample).fit(), ls.LEGTV(sample).fit(L_ratio=0.3)]
    del f
    gc.collect()
    assert alive() is None
    assert results[0].params.size


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_saved_and_loaded(arrangement: str, tmp_path: Path) -> None:
    for k, result in enumerate(every_result(arrangement)):
        path = tmp_path / f"{k}.result"
        result.save(path)
        again = type(result).load(path)
        for name in ("params", "saliency", "heatmap", "channel_maps"):
            np.testing.assert_array_equal(getattr(again, name), getattr(result, name))
        for name in ("r2_heldout", "n", "grid_shape"):
            assert getattr(again, name) == getattr(result, name)
        assert again.moments.design == result.moments.design
        for name in ("kind", "n", "source", "cov_type"):
            assert getattr(again.moments, name) == getattr(result.moments, name)
        np.testing.assert_array_equal(again.moments.b, result.moments.b)
        assert str(again.summary()) == str(result.summary())
        assert repr(again) == repr(result)
        pd.testing.assert_frame_equal(again.to_frame(), result.to_frame())
        if isinstance(result, LEGTVResults):
            for name in ("L", "L_max", "L_ratio", "n_regions", "certificates", "engine", "selection"):
                assert getattr(again, name) == getattr(result, name)
        elif result.has_intervals:  # type: ignore[attr-defined]
            np.testing.assert_array_equal(again.conf_int(), result.conf_int())
        with pytest.raises(ValueError, match="read-only"):
            again.params[0] = 1.0


def test_loading_another_kind(tmp_path: Path) -> None:
    ls.LEG(take()).fit().save(tmp_path / "leg.npz")
    take().save(tmp_path / "sample.npz")
    with pytest.raises(ValueError, match=r"legstat\.LEGTVResults\.load: .* holds a 'LEGResults'"):
        LEGTVResults.load(tmp_path / "leg.npz")
    with pytest.raises(ValueError, match="holds a 'QuerySample'"):
        LEGResults.load(tmp_path / "sample.npz")


def test_result_without_a_picture(tmp_path: Path) -> None:
    result = ls.LEG(take().moments("crossfit")).fit()
    assert result.image is None
    assert result.r2_heldout is None
    with pytest.raises(ValueError, match=r"`image` must be a picture.*`saliency` holds the map"):
        _ = result.heatmap
    result.save(tmp_path / "r.npz")
    assert LEGResults.load(tmp_path / "r.npz").image is None


# ---------------------------------------------------------------- maps and tables


def test_saliency_of_channels() -> None:
    joint = ls.LEG(take("joint")).fit()
    np.testing.assert_allclose(joint.saliency, np.abs(joint.channel_maps).sum(axis=0), rtol=1e-15)
    single = ls.LEG(take()).fit()
    np.testing.assert_array_equal(single.saliency, single.params.reshape(GRID))
    assert single.saliency.min() < 0  # signed


def test_strongest_cells() -> None:
    params = np.array([1.0, -3.0, 2.0, 3.0, 0.0, -2.0])
    result = LEGResults(moments=ls.Moments(b=params, design=ls.StructuredGaussian(GRID), n=9), params=params)
    assert result.strongest(4) == [(0, 1, -3.0), (1, 0, 3.0), (0, 2, 2.0), (1, 2, -2.0)]
    assert len(result.strongest(99)) == 6


def test_frame() -> None:
    for arrangement, planes in (("default", 1), ("separate", 3)):
        result = ls.LEG(take(arrangement)).fit()
        frame = result.to_frame()
        assert len(frame) == 6 * planes
        assert list(frame.columns[:4]) == ["channel", "row", "column", "estimate"]
        for _, row in frame.iterrows():
            where = int(row["channel"]), int(row["row"]), int(row["column"])
            assert row["estimate"] == result.channel_maps[where]
        np.testing.assert_array_equal(frame["std_error"], result.std_errors)
        np.testing.assert_array_equal(frame[["conf_low", "conf_high"]], result.conf_int())
        np.testing.assert_array_equal(frame["pvalue"], result.pvalues)
    assert list(ls.LEGTV(take()).fit(L_ratio=0.2).to_frame().columns) == ["channel", "row", "column", "estimate"]
    assert "std_error" not in ls.LEG(take(), moments="regression").fit().to_frame()


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (4, 5), (6, 4)])
def test_regions_by_flood_fill(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape[0])
    for planes in (1, 2):
        values = rng.integers(0, 2, (planes, *shape)).astype(float)
        count = 0
        for plane in values:
            todo = {(i, j) for i in range(shape[0]) for j in range(shape[1])}
            while todo:
                count, front = count + 1, [todo.pop()]
                while front:
                    i, j = front.pop()
                    for cell in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                        if cell in todo and plane[cell] == plane[i, j]:
                            todo.remove(cell)
                            front.append(cell)
        design = ls.StructuredGaussian(shape, boundary="zero", channels="joint")
        certificate = ls.LEGTV(take()).fit(L_ratio=1.0).certificate
        result = LEGTVResults(
            params=values.ravel(), moments=ls.Moments(b=values, design=design, n=9), L_per_row=np.ones(planes),
            L_max_per_row=np.ones(planes), certificates=(certificate,), engine="none", selection="closest",
        )  # fmt: skip
        assert result.n_regions == count


def test_regions_ignore_rounding_alone() -> None:
    result = ls.LEGTV(take()).fit(L_ratio=0.5)
    jumps = np.abs(naive_D(*GRID) @ result.params)
    size = np.ptp(result.params)
    # nothing lies between rounding and a true jump, so the tolerance decides nothing
    assert not ((jumps > 1e-9 * size) & (jumps < 1e-4 * size)).any()


# ---------------------------------------------------------------- intervals


def test_intervals_are_centred_and_widen_with_the_level() -> None:
    result = ls.LEG(take("draws", n_queries=2001)).fit()
    widths = []
    for level in (0.5, 0.9, 0.95, 0.999):
        low, high = result.conf_int(level=level).T
        np.testing.assert_allclose((low + high) / 2, result.params, rtol=0, atol=1e-12)
        normal = scipy.stats.norm.ppf(0.5 + level / 2) * result.std_errors
        # Student's quantile on many degrees of freedom: a little wider than the normal one
        assert (high - low >= 2 * normal * (1 - 1e-12)).all()
        assert (high - low <= 2 * normal * 1.1).all()
        widths.append(high - low)
    assert (np.diff(widths, axis=0) > 0).all()
    np.testing.assert_allclose(result.tstats, result.params / result.std_errors, rtol=1e-14)
    # a p-value below 5 % and an interval without 0 are one thing
    low, high = result.conf_int(level=0.95).T
    np.testing.assert_array_equal(result.pvalues < 0.05, (low > 0) | (high < 0))


@pytest.mark.parametrize("level", [0.0, 1.0, 95, -0.5, np.nan])
def test_bad_level(level: float) -> None:
    with pytest.raises(ValueError, match="`level` must be strictly between 0 and 1"):
        ls.LEG(take()).fit().conf_int(level=level)


def test_shrunken_moments_refuse_intervals() -> None:
    result = ls.LEG(take(), moments="regression").fit()
    for ask in (lambda: result.std_errors, result.conf_int, lambda: result.pvalues, lambda: result.tstats):
        with pytest.raises(ls.InferenceUnavailableError, match=r"shrink.*crossfit"):
            ask()


def test_given_moments_refuse_intervals() -> None:
    result = ls.LEG(ls.Moments(b=np.ones(6), design=ls.StructuredGaussian(GRID), n=9)).fit()
    with pytest.raises(ls.InferenceUnavailableError, match="without responses carry no variance"):
        result.conf_int()


def test_few_units_refuse_intervals_but_not_standard_errors() -> None:
    result = ls.LEG(take("few")).fit()
    assert (result.std_errors > 0).all()
    assert list(result.to_frame().columns) == ["channel", "row", "column", "estimate"]
    for ask in (result.conf_int, lambda: result.pvalues):
        with pytest.raises(ls.InferenceUnavailableError, match=r"29 observations a channel.* too few.*Raise n_queries"):
            ask()


def test_legtv_refuses_intervals_and_names_what_is_valid() -> None:
    result = ls.LEGTV(take()).fit(L_ratio=0.2)
    for ask in (lambda: result.conf_int(), lambda: result.conf_int(level=0.9, simultaneous=True)):
        with pytest.raises(ls.InferenceUnavailableError, match=r"biased by its penalty.*LEG\(sample\)\.fit\(\)"):
            ask()


@pytest.mark.parametrize(
    "variances", [np.ones(5), np.ones((2, 6)), np.full(6, -1.0), np.full(6, np.nan)], ids=lambda v: str(v.shape)
)
def test_variances_that_do_not_fit(variances: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"legstat\.Moments: `variances` must be"):
        ls.Moments(b=np.ones(6), design=ls.StructuredGaussian(GRID), n=9, variances=variances)


# ---------------------------------------------------------------- texts of one line


def test_reprs() -> None:
    assert repr(ls.LEG(take()).fit()) == "<LEGResults 2x3 n=150 moments=crossfit>"
    result = ls.LEGTV(take()).fit(L_ratio=0.2)
    assert repr(result).startswith(f"<LEGTVResults 2x3 L={result.L:.3g} (0.2 L_max) optimal gap=")
    assert repr(result).endswith(" n=150>")
    failed = dataclasses.replace(result.certificate, gap=1.0)
    assert "NOT certified" in repr(dataclasses.replace(result, certificates=(failed,)))


def test_worst_certificate_is_shown() -> None:
    result = ls.LEGTV(take("separate")).fit(L_ratio=0.2)
    assert result.certificate.gap == max(c.gap for c in result.certificates)
    worse = dataclasses.replace(result.certificates[1], gap=0.5)
    changed = dataclasses.replace(result, certificates=(result.certificates[0], worse, result.certificates[2]))
    assert changed.certificate is worse
