"""Surrogates keep the spectrum and lose the place; p-values hold their level where maps have nothing in common."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from legstat.checks import resemblance, surrogates


def smooth(n: int, seed: int, shape: tuple[int, int] = (14, 14), width: float = 1.5) -> np.ndarray:
    """White noise seen through a Gaussian window: maps as smooth as each other, with nothing in common."""
    noise = np.random.default_rng(seed).standard_normal((n, *shape))
    return scipy.ndimage.gaussian_filter(noise, (0, width, width), mode="wrap")


@pytest.mark.parametrize("shape", [(8, 8), (7, 10), (9, 9)])
def test_surrogates_keep_the_spectrum(shape: tuple[int, int]) -> None:
    given = smooth(1, 0, shape)[0] + 3.0
    made = surrogates(given, 5, rng=0)
    assert made.shape == (5, *shape)
    want = np.abs(np.fft.fft2(given))
    np.testing.assert_allclose(np.abs(np.fft.fft2(made)), np.broadcast_to(want, made.shape), rtol=0, atol=1e-9)
    np.testing.assert_allclose(made.mean(axis=(1, 2)), given.mean(), rtol=1e-12)
    # where something is does not stay: their mean over many is flat
    many = surrogates(given, 4000, rng=1)
    assert np.abs(many.mean(axis=0) - given.mean()).max() < 5 * given.std() / np.sqrt(4000)


def test_a_map_resembles_itself_and_not_another() -> None:
    one, two = smooth(2, 3)
    found = resemblance(one, one + 0.3 * two, rng=0)
    assert max(found.pvalues.values()) <= 0.01
    assert resemblance(one, two, rng=0).pvalues["spearman"] > 0.05
    # the opposite is not alike
    assert resemblance(one, -one, rng=0).pvalues["spearman"] == 1.0


def test_a_constant_map_resembles_nothing() -> None:
    (one,) = smooth(1, 0)
    found = resemblance(one, np.zeros_like(one), rng=0)
    assert found.pvalues == {"spearman": 1.0}


def test_small_grids_and_no_scikit_image_leave_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    small = smooth(2, 1, (5, 5))
    assert set(resemblance(*small, rng=0).values) == {"spearman"}
    large = smooth(2, 1)
    assert set(resemblance(*large, rng=0).values) == {"spearman", "spearman_abs", "ssim", "hog"}
    from legstat._core.errors import BackendUnavailableError

    def missing(a: object, b: object) -> None:
        raise BackendUnavailableError("scikit-image", "compare", "Structural similarity of maps")

    monkeypatch.setattr("legstat.checks.likeness.agreement", missing)
    assert set(resemblance(*large, rng=0).values) == {"spearman"}


def test_the_same_seed_gives_the_same_pvalues() -> None:
    one, two = smooth(2, 5)
    assert resemblance(one, two, rng=7) == resemblance(one, two, rng=7)


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_false_alarms_are_at_the_level(width: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from legstat.metrics.faithfulness import rank_correlation

    # ranks alone: the others take twenty times as long
    monkeypatch.setattr("legstat.checks.likeness._measures", lambda a, b: {"spearman": rank_correlation(a, b)})
    maps = smooth(400, 11, width=width)
    alarms = [
        resemblance(a, b, n_surrogates=39, rng=i).pvalues["spearman"] <= 0.05
        for i, (a, b) in enumerate(zip(maps[::2], maps[1::2], strict=True))
    ]
    # 200 trials at 0.05: a standard error of 0.015; white noise smoothed as little as 0.5 cells is nearly white
    assert abs(np.mean(alarms) - 0.05) < 3 * 0.0154
