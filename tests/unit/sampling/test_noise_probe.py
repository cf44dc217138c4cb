"""The probe of the network's own noise: one budget with the run, and its share of the standard errors."""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from tests.helpers import Counting, smooth

SHAPE = (3, 4)
IMAGE = np.full((1, *SHAPE), 0.5)
DESIGN = ls.StructuredGaussian(SHAPE, scale=0.3)
STILL = ls.Additive(clip=False)
TAU = 0.2


def test_one_budget_for_probe_and_run() -> None:
    f = Counting(smooth)
    image = np.full((3, *SHAPE), 0.5)
    probe = ls.noise_probe(f, image, DESIGN, n_inputs=4, repeats=5, rng=0)
    assert f.count == probe.ledger.spent == 21
    sample = ls.query(f, image, DESIGN, 200, beforehand=probe.ledger.spent, rng=1, progress=False)
    assert f.count == sample.ledger.spent == 200  # 21, f(x0), 89 pairs
    assert sample.n_units == (89,)
    assert (sample.ledger.beforehand, sample.ledger.unused) == (21, 0)
    further = ls.query(f, image, DESIGN, 300, resume=sample, progress=False)
    assert f.count == further.ledger.spent == 300
    assert further.ledger.beforehand == 21


@pytest.mark.parametrize(("beforehand", "error"), [(-1, ValueError), (200, ValueError), (1.5, TypeError),
                                                   (True, TypeError)])  # fmt: skip
def test_budgets_that_cannot_be_right(beforehand: object, error: type[Exception]) -> None:
    f = Counting(smooth)
    with pytest.raises(error, match=r"legstat\.query"):
        ls.query(f, np.full((3, *SHAPE), 0.5), DESIGN, 200, beforehand=beforehand, rng=1)  # type: ignore[arg-type]
    assert f.count == 0


def test_noise_enters_the_standard_errors_once() -> None:
    """Squared standard errors with noise are those without, plus what the probe says; and that is the noise's spread.

    The same draws with fresh noise in each of 200 runs of 400 pairs: an estimate of a variance is good to 10 %, their
    mean over 12 cells (of which neighbours are correlated) to some 4 %.
    """
    still = ls.simulate.quadratic(np.linspace(-1.0, 1.0, 12).reshape(SHAPE), 0.7)
    noise = np.random.default_rng(8)

    def curved(images: np.ndarray) -> np.ndarray:
        return still(images) + np.sin(3.0 * still(images))

    def noisy(images: np.ndarray) -> np.ndarray:
        return curved(images) + TAU * noise.standard_normal(len(images))

    def fit(f: object) -> ls.LEGResults:
        sample = ls.query(f, IMAGE, DESIGN, 801, perturbation=STILL, rng=5, progress=False)  # type: ignore[arg-type]
        moments = sample.moments()
        return ls.LEGResults(moments=moments, params=moments.gamma.ravel(), sample=sample)

    clean, runs = fit(curved), [fit(noisy) for _ in range(200)]
    probe = ls.noise_probe(noisy, IMAGE, DESIGN, perturbation=STILL, n_inputs=10, repeats=200, rng=0)
    np.testing.assert_allclose(probe.variance, TAU**2, rtol=0.15)  # 2000 evaluations: 3 % standard error
    share = probe.std_errors(runs[0].sample)  # type: ignore[arg-type]
    reported = np.mean([r.std_errors**2 for r in runs], axis=0)
    # a known tau in place of the probe's estimate, so that only the standard errors are judged
    exact = share**2 * TAU**2 / probe.variance
    np.testing.assert_allclose(np.mean(reported / (clean.std_errors**2 + exact)), 1.0, rtol=0.1)
    assert (reported > clean.std_errors**2).all()
    spread = np.var([r.params for r in runs], axis=0, ddof=1)
    np.testing.assert_allclose(np.mean(spread / exact), 1.0, rtol=0.2)
