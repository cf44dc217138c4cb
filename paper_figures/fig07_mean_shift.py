"""What the mean shift costs: error of LEG against |E y| / sd(y), for the moments that keep it and those that do not.

f(x0 + z) = f(x0) + gamma^T z - c ||z||^2: x0 is a peak, and perturbations lower the score. By Stein's identity the LEG
is gamma whatever c is, but y has the mean -c t, t = tr Sigma, and the variance v + 2 c^2 q, v = gamma^T Sigma gamma,
q = tr Sigma^2. With u = ||gamma||^2 and w = tr Sigma^{-1}, moments of Gaussian quadratic forms give, for n draws,

    n MSE(printed) = u + (v + c^2 (t^2 + 2 q)) w + c^2 (4 t p + 8 t),
    n MSE(centred) = u + (v + 2 c^2 q) w + 8 c^2 t           (terms of order 1 / n left out),
    n MSE(pairs)   = 2 (u + v w)                             (n / 2 pairs: the even part is gone, for twice the price).

So printed moments need about 1 + (E y)^2 / var(y) times the evaluations of centred ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paper_style import BLUE, GREEN, ORANGE, figure, save

import legstat as ls
from legstat.studies import SampleSizeStudy, Subject

CLAIM = (
    "Printed moments need 1 + (E y)^2 / var(y) times the evaluations of centred ones for the same error, as the closed "
    "form has it; pairs do not feel the mean shift at all."
)
SIDE, SCALE = 10, 0.05
Array = NDArray[np.float64]
RUNS = {
    "printed": ("leg/printed", False, ORANGE, "o", "printed (eq. 4)"),
    "centred": ("leg/centred", False, BLUE, "s", "centred"),
    "pairs": ("leg/centred", True, GREEN, "D", "pairs"),
}


@dataclass(frozen=True)
class Peak:
    """f(x) = gamma^T (x - x0) - c ||x - x0||^2 on one pixel a cell, x0 grey."""

    gamma: Array
    curvature: float

    def __call__(self, images: Array) -> Array:
        """Scores of pictures (n, 1, p1, p2)."""
        z = images.reshape(len(images), -1) - 0.5
        return np.asarray(z @ self.gamma - self.curvature * np.sum(z**2, axis=1))


def truth() -> Array:
    """gamma: piecewise constant with s = 20."""
    return ls.simulate.piecewise_constant((SIDE, SIDE), 20, rng=1).ravel()


def constants() -> dict[str, float]:
    """v, t, q, u, w and p of the docstring."""
    design, gamma = ls.StructuredGaussian(grid=(SIDE, SIDE), scale=SCALE), truth()
    sigma = design.covariance_matrix()
    return {
        "v": float(gamma @ sigma @ gamma),
        "t": float(np.trace(sigma)),
        "q": float(np.sum(sigma**2)),
        "u": float(gamma @ gamma),
        "w": float(np.trace(np.linalg.inv(sigma))),
        "p": float(len(gamma)),
    }


def curvature_of(shift: Array) -> Array:
    """c at which |E y| / sd(y) is that: it stays below t / sqrt(2 q)."""
    k = constants()
    return np.asarray(shift * np.sqrt(k["v"] / (k["t"] ** 2 - 2.0 * shift**2 * k["q"])))


def mse(curvature: Array) -> dict[str, Array]:
    """n times the mean squared errors of the docstring."""
    k, c2 = constants(), np.asarray(curvature) ** 2
    v, t, q, u, w, p = (k[name] for name in "vtquwp")
    return {
        "printed": u + (v + c2 * (t**2 + 2 * q)) * w + c2 * (4 * t * p + 8 * t),
        "centred": u + (v + 2 * c2 * q) * w + 8 * c2 * t,
        "pairs": 2 * (u + v * w) + 0 * c2,
    }


def studies(
    seed: int = 0, shifts: tuple[float, ...] = (0.1, 0.3, 0.6, 1.0, 1.7, 3.0, 5.0), n: int = 1000, replicates: int = 40
) -> dict[str, SampleSizeStudy]:
    """One study for each mean shift: its response is a black box whose gamma is known."""
    found = {}
    for shift in shifts:
        peak = Peak(truth(), float(curvature_of(np.array(shift))))
        gamma, image = truth().reshape(SIDE, SIDE), np.full((1, SIDE, SIDE), 0.5)
        subject = Subject(peak, image, gamma=gamma, perturbation=ls.Additive(clip=False), name=f"shift {shift:g}")
        found[f"fig07_{shift:g}"] = SampleSizeStudy(
            n + 1,
            grid=(SIDE, SIDE),
            scale=SCALE,
            estimators=("leg/printed", "leg/centred"),
            response=subject,
            antithetic=(False, True),
            replicates=replicates,
            seed=seed,
        )
    return found


def compute(seed: int = 0, **size: Any) -> dict[str, Any]:
    """Mean squared errors times n of each kind of moments, with Monte Carlo errors, at each mean shift."""
    shifts, n, rows, mean_shift = [], 0, [], []
    for name, study in studies(seed, **size).items():
        shifts.append(float(name.removeprefix("fig07_")))
        n = study.n_queries[0] - 1
        cells = study.run(progress=False).cells("error").set_index(["estimator", "antithetic"])
        rows.append([[cells.loc[(e, a), "mse"], cells.loc[(e, a), "mse_std_error"]] for e, a, *_ in RUNS.values()])
        sample = ls.query(
            study.subject.f,
            study.subject.image,
            study.cells[0].law,
            4001,
            perturbation=study.subject.perturbation,
            antithetic=False,
            rng=seed,
            progress=False,
        )
        mean_shift.append(float(abs(sample.responses.mean()) / sample.responses.std()))
    measured = n * np.array(rows)
    exact = mse(curvature_of(np.array(shifts)))
    ratio = measured[:, 0, 0] / measured[:, 1, 0]
    numbers = {
        f"evaluations printed over centred at {shift:g}": float(r) for shift, r in zip(shifts, ratio, strict=True)
    }
    numbers["1 + shift^2 at the largest"] = 1.0 + shifts[-1] ** 2
    return {
        "numbers": numbers,
        "shifts": np.array(shifts),
        "mean_shift": np.array(mean_shift),
        "n": n,
        "measured": measured[:, :, 0],
        "std_error": measured[:, :, 1],
        "exact": {name: np.asarray(values) for name, values in exact.items()},
        "ratio": ratio,
    }


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    names = list(RUNS)
    _require(
        np.allclose(data["mean_shift"], data["shifts"], rtol=0.06, atol=0.06),  # 4,000 draws
        "the responses have the mean shift they were made for",
    )
    for name in ("printed", "centred", "pairs"):
        i = names.index(name)
        # terms of order 1 / n of centred moments: below 2 / n of the whole
        gap = np.abs(data["measured"][:, i] - data["exact"][name]) - 2.0 / data["n"] * data["exact"][name]
        _require(bool(np.all(gap < 4.5 * data["std_error"][:, i])), f"{name}: the error is that of the closed form")
    rule = data["exact"]["printed"] / data["exact"]["centred"] / (1.0 + data["shifts"] ** 2)
    _require(bool(np.all((rule > 0.85) & (rule < 1.15))), "the price is 1 + shift^2")
    pairs = data["measured"][:, names.index("pairs")]
    _require(bool(pairs.max() < 1.5 * pairs.min()), "pairs do not feel the mean shift")
    printed = data["measured"][:, names.index("printed")]
    _require(bool(printed[-1] > 5.0 * printed[0]), "printed moments do")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"fig07: not so: {what}")


def plot(data: dict[str, Any], path: Path) -> None:
    """Error against the mean shift, and the evaluations that printed moments take more."""
    drawn = figure(9.5, 3.9)
    axes = drawn.subplots(1, 2)
    low, high = float(data["shifts"].min()), float(data["shifts"].max())
    fine = np.geomspace(low, high, 100)
    exact, size = mse(curvature_of(fine)), np.sqrt(constants()["u"])
    for i, (name, (_, _, colour, marker, label)) in enumerate(RUNS.items()):
        values = np.sqrt(data["measured"][:, i] / data["n"]) / size
        errors = data["std_error"][:, i] / data["n"] / size**2 / (2.0 * values)
        axes[0].errorbar(data["shifts"], values, 2 * errors, fmt=marker, ms=5, color=colour, label=label, lw=1)
        axes[0].plot(fine, np.sqrt(exact[name] / data["n"]) / size, color=colour, lw=1)
    axes[0].plot([], [], color="black", lw=1, label="closed forms")
    axes[0].set(
        title=f"(a) error of LEG from {data['n']} evaluations",
        ylabel=r"error $\|\hat\gamma - \gamma\| \,/\, \|\gamma\|$ (root mean square)",
        yscale="log",
    )
    axes[1].plot(data["shifts"], data["ratio"], "o", color=ORANGE, ms=5, label="printed over centred, measured")
    axes[1].plot(fine, exact["printed"] / exact["centred"], color=ORANGE, lw=1, label="closed form")
    axes[1].plot(fine, 1.0 + fine**2, color="black", lw=1, ls=":", label=r"$1 + (\mathrm{E}\,y)^2 / \mathrm{var}(y)$")
    axes[1].set(title="(b) evaluations for the same error", ylabel="factor", yscale="log")
    axes[0].set_yticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
    axes[1].set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    for ax in axes:
        ax.set(xlabel=r"mean shift $|\mathrm{E}\,y| \,/\, \mathrm{sd}(y)$", xscale="log")
        ax.minorticks_off()
        ax.set_xticks([0.1, 0.3, 1, 3], ["0.1", "0.3", "1", "3"])
        ax.title.set_fontsize(10)
        ax.grid(True, lw=0.3, color="#cccccc")
        ax.legend(frameon=False, fontsize=8, loc="upper left")
    save(drawn, path)
