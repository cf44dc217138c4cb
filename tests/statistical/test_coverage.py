"""Intervals cover what they say and tests keep their error rates; the whole table is docs/studies/coverage.md.

Every bound here is 4 Monte Carlo standard errors: a sound build fails one comparison with probability 6e-5 (two-sided),
and the default run makes some 150 of them: 1 % of seeds. Seeds are fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.statistical import network, regions, sets
from tests.statistical.coverage import Experiment, experiments, further, laws, run
from tests.statistical.coverage_table import CONSERVATIVE, deviations, monte_carlo, nominal

SMALL = [
    Experiment("logistic", "structured", "additive", True, 320),
    Experiment("linear", "isotropic", "clipped", False, 320),
    Experiment("null", "general", "blend", True, 320),
    # as many units as unknowns, where a pilot left to itself nearly interpolates and intervals covered 91 %
    Experiment("logistic", "structured", "clipped", True, 100, (10, 10), kinds=("crossfit",)),
]


def check(rows: list[dict[str, Any]], sds: float) -> list[str]:
    """What falls short among the numbers that the package offers, and what covers too much beyond some asymptotics."""
    wrong = []
    for short, metric, row in deviations(rows):
        target = nominal(metric)
        error = monte_carlo(row, metric, target)
        free = metric.startswith("pointwise") and row["variance"] not in CONSERVATIVE
        # 0.5 % short and 1 % over is what 100 units leave to asymptotics
        if short * error > sds * error + 0.005 or (free and -short * error > sds * error + 0.01):
            wrong.append(f"{row['variance']} {metric}: {row[metric]} (Monte Carlo error {error:.4f})")
    return wrong


@pytest.mark.parametrize("experiment", SMALL, ids=lambda e: e.name)
def test_coverage(experiment: Experiment) -> None:
    wrong = check(run(experiment, 60), 4.0)
    assert not wrong, "\n".join(wrong)


def test_the_check_sees_too_narrow_intervals() -> None:
    """HC0 at 6 units an unknown covers 91 to 93 % (which is why it is refused there)."""
    rows = run(Experiment("linear", "structured", "additive", True, 100, kinds=("HC0",)), 150)
    assert not deviations(rows)  # refused: nothing that the package offers
    assert check([{**row, "variance": "HC1"} for row in rows], 3.0)  # as if it were


def test_the_check_sees_too_many_false_ones() -> None:
    (row,) = run(Experiment("null", "structured", "additive", True, 320, kinds=("centred",)), 40)
    assert check([{**row, "fdr_bh": 0.9, "wald_4": 0.6}], 4.0)


NEWER = [pytest.param(law, marks=pytest.mark.slow) for law in regions.LAWS if law != "structured"]


@pytest.mark.parametrize("law", ["structured", *NEWER])
def test_a_network_s_regions_with_few_units_an_unknown(law: str) -> None:
    shares = network.coverage(160, 60, law)
    errors = np.sqrt(0.95 * 0.05 / (60 * np.array([8.0, 1.0, 1.0, 1.0])))  # neighbouring cells are not independent
    assert (shares >= 0.95 - 4.0 * errors - 0.005).all()
    assert shares[0] <= 0.95 + 4.0 * errors[0]


@pytest.mark.parametrize("design", ["structured", pytest.param("general", marks=pytest.mark.slow), "blocks"])
def test_sets_hold_gamma(design: str) -> None:
    for row in sets.run(design, True, 300, 50):
        for level in sets.LEVELS:
            error = float(np.sqrt(level * (1 - level) / 50))
            assert row[f"bootstrap_{level:g}"] >= level - 4.0 * error - 0.02  # as `check`; a quantile of 1,000 draws
            assert row[f"theorem_{level:g}"] == 1.0  # at this scale far too large


@pytest.mark.parametrize("law", [None, *NEWER])
def test_regions_on_draws_of_their_own(law: str | None) -> None:
    other, same = regions.run("null", 640, 60, law=law)
    error = float(np.sqrt(0.05 * 0.95 / 60))
    assert other["fwer"] <= 0.05 + 4.0 * error
    assert other["region_0.95"] >= 0.95 - 4.0 * error / 2.0  # several regions in each sample
    assert same["samples"] == other["samples"]


@pytest.mark.slow
@pytest.mark.parametrize("law", regions.LAWS)
def test_regions_of_a_bent_score_under_each_law(law: str) -> None:
    other, _ = regions.run("logistic", 640, 60, law=law)
    error = float(np.sqrt(0.05 * 0.95 / 60))
    # a sample has several regions; bands over them hold all at once
    assert other["region_0.95"] >= 0.95 - 4.0 * error / 2.0
    assert other["all_0.95"] >= 0.95 - 4.0 * error


@pytest.mark.slow
@pytest.mark.parametrize("experiment", experiments((320,)), ids=lambda e: e.name)
def test_coverage_everywhere(experiment: Experiment) -> None:
    wrong = check(run(experiment, 100), 4.0)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [e for e in further() if e.response != "cubic"], ids=lambda e: e.name)
def test_coverage_elsewhere(experiment: Experiment) -> None:
    wrong = check(run(experiment, 100), 4.0)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", [e for e in laws() if e.units == 400], ids=lambda e: e.name)
def test_coverage_under_the_newer_laws(experiment: Experiment) -> None:
    wrong = check(run(experiment, 60), 4.0)
    assert not wrong, "\n".join(wrong)
