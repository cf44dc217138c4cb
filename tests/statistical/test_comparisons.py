"""A comparison's statistics keep what they promise; the whole table is docs/studies/comparison.md.

Every bound is 4 Monte Carlo standard errors from the level: a sound build fails one of some twenty with probability
6e-4. Seeds are fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from legstat.comparison.statistics import Paired
from tests.statistical import comparisons
from tests.statistical.comparisons import LEVEL, censored, ranks, rates

WELL_BEHAVED = ("normal", "areas", "signs")


def slack(samples: int) -> float:
    return 4.0 * float(np.sqrt(LEVEL * (1.0 - LEVEL) / samples))


def check(row: dict[str, Any], *, short: float = 0.0) -> None:
    """Simultaneous coverage and the familywise error, with and without true differences."""
    room = slack(row["samples"]) + short
    assert row["cover"] > LEVEL - room
    assert row["fwer"] < 1.0 - LEVEL + room
    assert row["fwer partial"] < 1.0 - LEVEL + room


def test_paired_intervals_cover_and_tests_keep_their_level():
    row = rates("areas", 20, 100)
    check(row)
    assert row["cover"] < 1.0  # nor are they endless


@pytest.mark.slow
@pytest.mark.parametrize("law", WELL_BEHAVED)
@pytest.mark.parametrize("n", [10, 20, 50])
def test_paired_intervals_cover_everywhere(law, n):
    # the statistic is Student's only for normal numbers: what the table has short is a point or two
    check(rates(law, n, 800, seed=1), short=0.015)


@pytest.mark.slow
def test_few_pictures_with_a_long_tail_are_known_to_fall_short():
    few, many = (rates("skewed", n, 800, seed=1) for n in (10, 50))
    assert few["cover"] < 0.9
    check(many, short=0.05)


def test_unadjusted_intervals_are_seen(monkeypatch):
    """The check of coverage goes red where each interval has its own level only."""

    def alone(differences: np.ndarray, level: float) -> Paired:
        found = comparisons_paired(differences[:1], level)
        errors = differences.std(axis=1, ddof=1) / np.sqrt(found.n)
        bound = float((found.high - found.means)[0] / found.std_errors[0])
        means = differences.mean(axis=1)
        pvalues = np.array([comparisons_paired(one[None], level).pvalues[0] for one in differences])
        return Paired(means, errors, means - bound * errors, means + bound * errors, pvalues, found.n)

    comparisons_paired = comparisons.paired_differences
    monkeypatch.setattr(comparisons, "paired_differences", alone)
    row = rates("normal", 20, 40)
    with pytest.raises(AssertionError):
        check(row)


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 50])
def test_censored_differences_are_unbiased_and_cover_where_plain_ones_are_and_do_not(n):
    row = censored(n, 150, seed=1)
    assert 0.1 < row["censored below tau"] < 0.3
    assert abs(row["pseudo-values: bias"]) < 4.0 * row["pseudo-values: error of that"]
    assert abs(row["plain: bias"]) > 4.0 * row["plain: error of that"] or n < 50
    assert row["counted as 1: bias"] > 4.0 * row["counted as 1: error of that"]
    assert row["pseudo-values: cover"] > LEVEL - slack(150)
    assert row["counted as 1: cover"] < 0.9


def test_ranks_know_their_error():
    # the bootstrap over n pictures has sqrt((n - 1) / n) of the spread: 2.5 % at 20; the ratio's own error is some 4 %
    assert ranks(20, 60)["ratio"] == pytest.approx(1.0, abs=0.15)
