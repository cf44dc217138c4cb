"""LEG paper, Fig. 1: the linearly estimated gradient of a function of one pixel.

The score is a smooth step with a fine ripple, f(x) = 0.1 + 0.8 Phi((x - c) / w) + r sin(k x). For z ~ N(0, sigma^2)
Lemma 1 and Stein's identity give the LEG in closed form,

    gamma = E f'(x0 + z) = 0.8 phi((x0 - c) / v) / v + r k cos(k x0) exp(-k^2 sigma^2 / 2),   v^2 = w^2 + sigma^2,

which quadrature of eq. 3 and a run of `legstat.query` on a 1 x 1 grid are held against.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from paper_style import BLUE, GREEN, GREY, ORANGE, figure, save

import legstat as ls

CLAIM = (
    "Where f is highly varying the gradient is noise (here of the wrong sign) and LEG follows the trend of f over the "
    "neighbourhood that F covers; a larger variance takes in a larger neighbourhood; gamma -> f'(x0) as it vanishes."
)
CENTRE, WIDTH, RIPPLE, FREQUENCY = 0.6, 0.12, 0.03, 80.0
X0 = 0.51
SMALL, LARGE = 0.05, 0.25
Array = NDArray[np.float64]


def score(x: Array) -> Array:
    """f at pixel values x."""
    step = scipy.stats.norm.cdf((x - CENTRE) / WIDTH)
    return np.asarray(0.1 + 0.8 * step + RIPPLE * np.sin(FREQUENCY * x))


def gamma_closed_form(sigma: Array) -> Array:
    """The LEG at X0 for F = N(0, sigma^2); the gradient at sigma = 0."""
    spread = np.sqrt(WIDTH**2 + sigma**2)
    step = 0.8 * scipy.stats.norm.pdf((X0 - CENTRE) / spread) / spread
    ripple = RIPPLE * FREQUENCY * np.cos(FREQUENCY * X0) * np.exp(-0.5 * (FREQUENCY * sigma) ** 2)
    return np.asarray(step + ripple)


def gamma_quadrature(sigma: float) -> float:
    """Eq. 3, Sigma^{-1} E[(f(x0 + z) - f(x0)) z], by the trapezoidal rule (spectrally accurate for a Gaussian)."""
    u = np.linspace(-9.0, 9.0, 20001)
    weights = scipy.stats.norm.pdf(u) * (u[1] - u[0])
    z = sigma * u
    moment = weights @ ((score(X0 + z) - score(np.array(X0))) * z)
    return float(moment / sigma**2)


def compute(n_queries: int = 4001, seed: int = 0) -> dict[str, Any]:
    """Gradient, LEG in closed form, by quadrature, and estimated by `legstat.query` on a 1 x 1 grid."""
    sigmas = np.array([0.01, 0.02, SMALL, 0.1, 0.15, LARGE])
    estimates, low, high = [], [], []
    for i, sigma in enumerate(sigmas):
        design = ls.IsotropicGaussian(grid=(1, 1), scale=float(sigma))
        # not clipped: the closed form is that of the whole line
        sample = ls.query(
            lambda pictures: score(pictures[:, 0, 0, 0]),
            np.full((1, 1, 1), X0),
            design,
            n_queries,
            perturbation=ls.Additive(clip=False),
            rng=[seed, i],
            progress=False,
        )
        result = ls.LEG(sample).fit()
        estimates.append(result.params[0])
        bounds = result.conf_int(level=0.999)[0]
        low.append(bounds[0])
        high.append(bounds[1])
    exact = gamma_closed_form(sigmas)
    numbers = {
        "gradient": float(gamma_closed_form(np.array(0.0))),
        "gamma_small_sigma": float(gamma_closed_form(np.array(SMALL))),
        "gamma_large_sigma": float(gamma_closed_form(np.array(LARGE))),
    }
    return {
        "numbers": numbers,
        "sigmas": sigmas,
        "exact": exact,
        "quadrature": np.array([gamma_quadrature(float(s)) for s in sigmas]),
        "estimates": np.array(estimates),
        "low": np.array(low),
        "high": np.array(high),
    }


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    numbers = data["numbers"]
    _require(
        numbers["gradient"] < 0 < numbers["gamma_small_sigma"], "the gradient has the wrong sign, LEG the right one"
    )
    _require(
        numbers["gamma_large_sigma"] < 0.8 * numbers["gamma_small_sigma"], "a larger variance sees the plateaus too"
    )
    near = gamma_closed_form(np.array(1e-4))
    _require(abs(float(near) - numbers["gradient"]) < 1e-3, "gamma -> f'(x0) as sigma -> 0")
    _require(
        np.allclose(data["quadrature"], data["exact"], rtol=0, atol=1e-9),
        "quadrature of eq. 3 agrees with the closed form",
    )
    inside = (data["low"] <= data["exact"]) & (data["exact"] <= data["high"])
    _require(bool(inside.all()), "the 99.9 % intervals of LEG hold the exact gamma at every sigma")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"fig01: not so: {what}")


def plot(data: dict[str, Any], path: Path) -> None:
    """Draw both panels of the paper and, as a third, gamma against sigma."""
    drawn = figure(10.5, 3.2)
    axes = drawn.subplots(1, 3)
    numbers = data["numbers"]
    x = np.linspace(0.0, 1.0, 1001)
    f0 = float(score(np.array(X0)))
    panels = [
        (
            axes[0],
            "(a) gradient and LEG",
            [(0.0, numbers["gradient"], GREY, "gradient"), (SMALL, numbers["gamma_small_sigma"], BLUE, "LEG")],
        ),
        (
            axes[1],
            "(b) LEG for two variances",
            [(SMALL, numbers["gamma_small_sigma"], BLUE, "LEG"), (LARGE, numbers["gamma_large_sigma"], ORANGE, "LEG")],
        ),
    ]
    for ax, title, lines in panels:
        ax.plot(x, score(x), color="black", lw=1, label="f")
        for sigma, slope, colour, name in lines:
            half = 2.0 * sigma if sigma else 0.1
            reach = np.clip(np.array([X0 - half, X0 + half]), 0.0, 1.0)
            label = name + (rf", $\sigma$ = {sigma:g}" if sigma else "")
            ax.plot(reach, f0 + slope * (reach - X0), color=colour, lw=2, label=label)
        ax.plot([X0], [f0], "o", color="black", ms=4)
        ax.set(title=title, xlabel="pixel value x", ylabel="score f(x)", ylim=(0.0, 1.0))
        ax.legend(frameon=False, fontsize=7, loc="upper left")
    curve = np.geomspace(0.004, 0.3, 300)
    ax = axes[2]
    ax.plot(curve, gamma_closed_form(curve), color="black", lw=1, label=r"$\gamma$, closed form")
    errors = np.abs(np.stack([data["low"], data["high"]]) - data["estimates"])
    ax.errorbar(
        data["sigmas"], data["estimates"], errors, fmt="o", ms=4, color=GREEN, label="LEG(sample), 99.9 % interval"
    )
    ax.axhline(numbers["gradient"], color=GREY, ls="--", lw=1, label="gradient f'(x0)")
    ax.set(title=r"(c) $\gamma$ against $\sigma$", xlabel=r"$\sigma$ of F", ylabel=r"$\gamma$", xscale="log")
    ax.legend(frameon=False, fontsize=7, loc="lower right", bbox_to_anchor=(1.0, 0.12))
    save(drawn, path)
