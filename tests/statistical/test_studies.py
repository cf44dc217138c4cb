"""The mean squared error of LEG: closed form, brute force and `SampleSizeStudy` agree.

Monte Carlo bounds are 4.5 standard errors: a sound build fails one comparison with probability 7e-6, and there are some
30 of them. Seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest

import legstat as ls
from legstat.studies import SampleSizeStudy, leg_mse

SDS = 4.5
GRID = (3, 4)
PICTURE = np.zeros((1, *GRID))
GAMMA = np.array([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, -0.5], [0.0, 0.0, 0.0, -0.5]])
RESPONSES = {
    "linear": ls.simulate.linear(GAMMA),
    "quadratic": ls.simulate.quadratic(GAMMA, 0.7),
    "probit": ls.simulate.probit(GAMMA, offset=0.5),
    "logistic": ls.simulate.logistic(GAMMA, offset=-1.0),
}
DESIGNS = {
    "structured": ls.StructuredGaussian(grid=GRID, scale=0.5),
    "isotropic": ls.IsotropicGaussian(grid=GRID, scale=0.8),
}


def brute_force(name, design, n, centred, antithetic, noise, rng, repeats=6000):
    """Squared errors of Sigma^{-1} b from draws by a Cholesky factor, without a line of the package's estimators."""
    sigma = design.covariance_matrix()
    factor, inverse = np.linalg.cholesky(sigma), np.linalg.inv(sigma)
    f = RESPONSES[name]
    truth = f.leg(PICTURE, design).ravel()
    at_x0 = float(f(PICTURE[None])[0])
    errors = np.empty((repeats, truth.size))
    for repeat in range(repeats):
        z = rng.standard_normal((n, truth.size)) @ factor.T
        y = f(z.reshape(n, 1, *GRID)) - at_x0 + noise * rng.standard_normal(n)
        if antithetic:
            y = (y - (f(-z.reshape(n, 1, *GRID)) - at_x0 + noise * rng.standard_normal(n))) / 2.0
        if centred:
            y = y - y.mean()
        errors[repeat] = inverse @ (y @ z / n) - truth
    return (errors**2).sum(axis=1), ((errors - errors.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)


@pytest.mark.parametrize(
    ("name", "design", "n", "centred", "antithetic", "noise"),
    [
        ("linear", "structured", 5, False, False, 0.6),
        ("linear", "isotropic", 5, True, False, 0.6),
        ("quadratic", "structured", 8, False, False, 0.0),
        ("quadratic", "structured", 4, True, False, 0.3),
        ("probit", "isotropic", 6, False, True, 0.2),
        ("logistic", "structured", 6, True, False, 0.0),
    ],
)
def test_closed_form_is_what_brute_force_finds(name, design, n, centred, antithetic, noise, rng):
    found = brute_force(name, DESIGNS[design], n, centred, antithetic, noise, rng)
    moments = "centred" if centred else "printed"
    for squares, up_to_mean in zip(found, (False, True), strict=True):
        exact = leg_mse(
            RESPONSES[name],
            PICTURE,
            DESIGNS[design],
            n,
            moments=moments,
            antithetic=antithetic,
            noise=noise,
            up_to_mean=up_to_mean,
        )
        error = squares.std(ddof=1) / np.sqrt(len(squares))
        assert abs(squares.mean() - exact) < SDS * error
        # and the comparison is sharp enough to see a term that is missing
        assert error < 0.05 * exact


def test_linear_response_is_isserlis_formula():
    design, tau, n = DESIGNS["structured"], 0.4, 50
    sigma = design.covariance_matrix()
    g = GAMMA.ravel()
    v, trace = g @ sigma @ g, np.trace(np.linalg.inv(sigma))
    exact = leg_mse(RESPONSES["linear"], PICTURE, design, n, noise=tau)
    # rounding of quadrature and of a solve by fast transforms
    assert np.isclose(exact, (g @ g + (v + tau**2) * trace) / n, rtol=1e-11, atol=0)
    pairs = leg_mse(RESPONSES["linear"], PICTURE, design, n, noise=tau, antithetic=True)
    assert np.isclose(pairs, (g @ g + (v + tau**2 / 2) * trace) / n, rtol=1e-11, atol=0)


def test_picture_of_larger_pixels_and_channels_is_the_same():
    design = DESIGNS["structured"]
    large = np.full((3, 9, 8), 0.25)
    small = np.full((1, *GRID), 0.25)
    both = [leg_mse(RESPONSES["quadratic"], x, design, 20) for x in (large, small)]
    assert np.isclose(*both, rtol=1e-11, atol=0)  # rounding of cell means
    assert not np.isclose(both[0], leg_mse(RESPONSES["quadratic"], PICTURE, design, 20), rtol=0.01, atol=0)


@pytest.fixture(scope="module")
def linear_study():
    study = SampleSizeStudy(
        (51, 201, 801),
        grid=(5, 5),
        sparsity=10,
        design=("structured", "isotropic"),
        scale=0.4,
        estimators=("leg/printed", "leg/centred"),
        response="linear",
        antithetic=(False, True),
        noise=0.5,
        offset=0.0,
        replicates=60,
        seed=3,
    )
    return study.run(progress=False)


@pytest.mark.parametrize("measure", ["error", "error_up_to_mean"])
def test_study_of_a_linear_response_has_the_exact_error(linear_study, measure):
    exact = "exact_mse" if measure == "error" else "exact_mse_up_to_mean"
    frame = linear_study.frame
    # the truths vary from replicate to replicate, and the exact value with them: compare replicate by replicate
    gaps = (frame[measure] ** 2 / frame[exact] - 1.0).groupby([frame["design"], frame["n"], frame["estimator"]])
    assert gaps.ngroups == 24
    assert (gaps.mean().abs() < SDS * gaps.sem()).all()
    assert (gaps.sem() < 0.15).all()


def test_rate_in_n_is_one_half(linear_study):
    slopes = linear_study.slopes("error", level=1 - 1e-5)
    rates = slopes[slopes["term"] == "log n"]
    assert len(rates) == 8
    # centred moments: terms of order 1 / n^2 change the slope by 0.01 at n = 25
    assert np.allclose(rates["closed_form"], -0.5, rtol=0, atol=0.02)
    assert ((rates["low"] < rates["closed_form"]) & (rates["closed_form"] < rates["high"])).all()
    assert ((rates["low"] > -0.6) & (rates["high"] < -0.4)).all()


def test_noise_that_is_left_out_is_seen(linear_study):
    """The comparison above fails where the closed form lacks the noise of the evaluations."""
    frame, design = linear_study.frame, ls.StructuredGaussian(grid=(5, 5), scale=0.4)
    mine = frame[(frame["estimator"] == "leg/printed") & ~frame["antithetic"] & (frame["design"] == "structured")]
    missing = 0.5**2 * np.trace(np.linalg.inv(design.covariance_matrix())) / mine["n"]
    gaps = mine["error"] ** 2 / (mine["exact_mse"] - missing) - 1.0
    assert gaps.mean() > SDS * gaps.sem()
