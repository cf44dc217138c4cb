"""Precision, mass and earth mover's distance to a true mask: exact cases, and other libraries' numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats

import legstat as ls
from legstat._core.errors import LegstatWarning

TRUTH = np.zeros((8, 8), dtype=bool)
TRUTH[1:4, 1], TRUTH[2, 2] = True, True


def test_the_truth_itself_is_perfect():
    exact = TRUTH.astype(float)
    assert ls.metrics.precision(exact, TRUTH) == 1.0
    assert ls.metrics.mass_inside(exact, TRUTH) == 1.0
    assert ls.metrics.earth_mover(exact, TRUTH) == pytest.approx(0.0, abs=1e-12)
    turned = -exact
    assert ls.metrics.precision(turned, TRUTH) == 0.0
    assert ls.metrics.precision(turned, TRUTH, sign="absolute") == 1.0
    assert ls.metrics.earth_mover(turned, TRUTH, sign="absolute") == pytest.approx(0.0, abs=1e-12)


def test_known_distances():
    corner, opposite = np.zeros((4, 7)), np.zeros((4, 7), dtype=bool)
    corner[0, 0], opposite[3, 6] = 5.0, True
    assert ls.metrics.earth_mover(corner, opposite) == pytest.approx(1.0)
    # half of the mass has to go 3 cells down, the other half is there
    corner[3, 0], opposite[3, 0], opposite[3, 6] = 5.0, True, False
    assert ls.metrics.earth_mover(corner, opposite) == pytest.approx(1.5 / np.hypot(3, 6))


def test_distances_are_scipys():
    rng = np.random.default_rng(0)
    cells = np.argwhere(np.ones((5, 6)))
    for _ in range(5):
        values, truth = rng.standard_normal((5, 6)), rng.random((5, 6)) < 0.3
        for sign, mass in (("positive", np.maximum(values, 0)), ("absolute", np.abs(values))):
            slow = scipy.stats.wasserstein_distance_nd(cells, cells, mass.ravel(), truth.ravel().astype(float))
            # two linear programs solved to 1e-7
            assert ls.metrics.earth_mover(values, truth, sign=sign) == pytest.approx(slow / np.hypot(4, 5), abs=1e-7)


def test_distances_are_those_of_the_best_pairing():
    """Equal masses on four cells each: the best of the 24 pairings."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        a, b = (rng.choice(25, 4, replace=False) for _ in range(2))
        values, truth = np.zeros(25), np.zeros(25, dtype=bool)
        values[a], truth[b] = 2.0, True
        pairings = itertools.permutations(b)
        best = min(np.hypot(a // 5 - np.array(p) // 5, a % 5 - np.array(p) % 5).mean() for p in pairings)
        found = ls.metrics.earth_mover(values.reshape(5, 5), truth.reshape(5, 5))
        assert found == pytest.approx(best / np.hypot(4, 4), abs=1e-9)


def test_precision_and_mass_are_those_of_loops():
    values = np.random.default_rng(2).standard_normal((8, 8))
    highest = sorted(((v, i) for i, v in enumerate(values.ravel())), reverse=True)[:4]
    assert ls.metrics.precision(values, TRUTH) == sum(TRUTH.ravel()[i] for _, i in highest) / 4
    furthest = sorted(((abs(v), i) for i, v in enumerate(values.ravel())), reverse=True)[:4]
    assert ls.metrics.precision(values, TRUTH, sign="absolute") == sum(TRUTH.ravel()[i] for _, i in furthest) / 4
    positive = [(v, t) for v, t in zip(values.ravel(), TRUTH.ravel(), strict=True) if v > 0]
    assert ls.metrics.mass_inside(values, TRUTH) == pytest.approx(
        sum(v for v, t in positive if t) / sum(v for v, _ in positive)
    )


def test_ties_are_broken_at_random():
    """A constant map has the precision of chance, over seeds."""
    with pytest.warns(LegstatWarning, match="constant"):
        found = [ls.metrics.precision(np.ones((8, 8)), TRUTH, rng=i) for i in range(400)]
    assert np.mean(found) == pytest.approx(4 / 64, abs=4 * np.std(found) / 20)
    assert ls.metrics.mass_inside(np.ones((8, 8)), TRUTH) == 4 / 64


@pytest.mark.parametrize("metric", [ls.metrics.precision, ls.metrics.mass_inside, ls.metrics.earth_mover])
@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"saliency": np.ones((4, 4))}, "`truth`"),
        ({"truth": TRUTH.astype(int)}, "`truth`"),
        ({"truth": np.zeros((8, 8), dtype=bool)}, "`truth`"),
        ({"truth": np.ones((8, 8), dtype=bool)}, "`truth`"),
        ({"saliency": np.full((8, 8), np.nan)}, "`saliency`"),
        ({"sign": "both"}, "`sign`"),
    ],
)
def test_bad_input(metric, changed, text):
    given = {"saliency": np.arange(64.0).reshape(8, 8), "truth": TRUTH, **changed}
    with pytest.raises(ValueError, match=text):
        metric(given.pop("saliency"), given.pop("truth"), **given)


@pytest.mark.parametrize("metric", [ls.metrics.mass_inside, ls.metrics.earth_mover])
def test_a_map_without_mass(metric):
    with pytest.raises(ValueError, match="no mass"):
        metric(-np.ones((8, 8)), TRUTH)
