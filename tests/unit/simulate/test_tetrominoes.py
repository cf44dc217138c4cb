"""Pictures of known cause: classes, places of the signal, share of it, and what does not matter."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

import legstat as ls
from legstat.simulate.tetrominoes import Background, Scenario

T = np.array([[1, 0], [1, 1], [1, 0]], dtype=bool)
L = np.array([[1, 0], [1, 0], [1, 1]], dtype=bool)
BOTH = np.zeros((8, 8), dtype=bool)
BOTH[1:4, 1:3], BOTH[4:7, 5:7] = T, L


@pytest.mark.parametrize("scenario", get_args(Scenario))
@pytest.mark.parametrize("background", get_args(Background))
def test_pictures(scenario, background):
    found = ls.simulate.tetrominoes(scenario, background, 40, rng=0)
    assert found.images.shape == (40, 1, 8, 8)
    assert np.abs(2 * found.images - 1).max() == 1.0
    assert found.labels.sum() == 20
    again = ls.simulate.tetrominoes(scenario, background, 40, rng=0)
    assert np.array_equal(found.images, again.images)
    assert not np.array_equal(found.images, ls.simulate.tetrominoes(scenario, background, 40, rng=1).images)
    if scenario != "rigid":
        assert (found.truths == BOTH).all()


@pytest.mark.parametrize("scenario", ["linear", "xor", "rigid"])
def test_all_signal_is_the_tetrominoes(scenario):
    """At alpha = 1 nothing else is there: the signal is where the truth says, and it tells the class."""
    found = ls.simulate.tetrominoes(scenario, "white", 60, alpha=1.0, rng=3)
    x = np.round(2 * found.images[:, 0] - 1, 12)
    assert set(np.unique(x)) <= {-1.0, 0.0, 1.0}
    assert (x[~found.truths] == 0.0).all()
    for picture, label, truth in zip(x, found.labels, found.truths, strict=True):
        if scenario == "linear":
            assert np.array_equal(
                picture != 0,
                np.where(np.indices((8, 8))[0] < 4, BOTH, False) if label == 0 else BOTH & (np.indices((8, 8))[0] >= 4),
            )
        elif scenario == "xor":
            assert (picture[1, 1] * picture[4, 5] > 0) == (label == 0)
            assert (np.abs(picture[BOTH]) == 1.0).all()
        else:
            rows, columns = np.nonzero(truth)
            part = truth[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            turned = [np.rot90((T, L)[label], k) for k in range(4)]
            assert any(part.shape == one.shape and (part == one).all() for one in turned)
            assert np.array_equal(picture == 1.0, truth)


def test_rigid_pictures_turn_and_move_everywhere():
    truths = ls.simulate.tetrominoes("rigid", "white", 600, rng=0).truths
    assert truths.any(axis=0).all()
    assert (truths.sum(axis=(1, 2)) == 4).all()


def test_the_signals_share_is_alpha():
    """Mean of the pictures with a T minus mean of those with an L: alpha over the norms of signal and background."""
    found = ls.simulate.tetrominoes("linear", "white", 20_000, rng=0)
    x = 2 * found.images[:, 0] - 1
    mean = x[found.labels == 0].mean(axis=0) - x[found.labels == 1].mean(axis=0)
    sd = x[:, ~BOTH].std()
    # per picture the signal has norm 2, the background sqrt(64) sd: their ratio is (alpha / 1) / ((1 - alpha) / 4)
    np.testing.assert_allclose(mean[1:4, 1:3][T] / sd, 0.18 / 0.82 * 4, rtol=0.1)
    np.testing.assert_allclose(mean[4:7, 5:7][L] / sd, -0.18 / 0.82 * 4, rtol=0.1)
    assert np.abs(mean[~BOTH] / sd).max() < 6 * np.sqrt(4 / 20_000)


def test_multiplied_pictures_have_less_variance_at_their_tetromino():
    found = ls.simulate.tetrominoes("multiplicative", "white", 20_000, rng=0)
    x = 2 * found.images[:, 0] - 1
    ratio = x[found.labels == 0].std(axis=0) / x[found.labels == 1].std(axis=0)
    np.testing.assert_allclose(ratio[1:4, 1:3][T], 0.3, rtol=0.05)
    np.testing.assert_allclose(ratio[4:7, 5:7][L], 1 / 0.3, rtol=0.05)
    np.testing.assert_allclose(ratio[~BOTH], 1.0, rtol=0.05)


def test_correlated_backgrounds_are():
    def neighbours(background):
        x = ls.simulate.tetrominoes("rigid", background, 400, alpha=0.0, rng=0).images[:, 0]
        return np.corrcoef(x[:, :, :-1].ravel(), x[:, :, 1:].ravel())[0, 1]

    assert abs(neighbours("white") - 0.0) < 0.03
    assert neighbours("correlated") > 0.9


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"scenario": "tee"}, "`scenario`"),
        ({"background": "grey"}, "`background`"),
        ({"n": 1}, "`n`"),
        ({"alpha": 1.5}, "`alpha`"),
        ({"rng": "seed"}, "`rng`"),
    ],
)
def test_bad_input(changed, text):
    given = {"scenario": "xor", "background": "white", "n": 4, **changed}
    with pytest.raises((ValueError, TypeError), match=text):
        ls.simulate.tetrominoes(given.pop("scenario"), given.pop("background"), given.pop("n"), **given)
