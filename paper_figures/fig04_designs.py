"""LEG paper, section 5.2: samples of the structured and of the isotropic design, at equal trace.

"Samples drawn from this distribution will have sharp contrasts at certain locations." How much sharper is known
exactly: half the mean squared difference of two cells at lag h is Sigma_ii - Sigma_ij averaged over the grid. At equal
trace the structured design has (lag 1) about 1.3 times the squared jumps of the isotropic one, and the constant of
Assumption 1, which Theorem 1 divides by, is about twice as large.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paper_style import BLUE, ORANGE, figure, save, show_map

import legstat as ls

CLAIM = (
    "At equal trace the structured design has sharper contrasts between neighbouring cells (1.3 times the mean squared "
    "jump at 28 x 28, neighbours being negatively correlated) and twice the constant kappa of Assumption 1."
)
LAGS = 6
Array = NDArray[np.float64]


def exact_variogram(covariance: Array, side: int) -> Array:
    """Mean over pairs of cells in one row, or one column, at lag 0 .. LAGS of half the squared difference."""
    c = covariance.reshape(side, side, side, side)
    values = [0.0]
    rows = np.arange(side)
    for lag in range(1, LAGS + 1):
        near, far = rows[:-lag], rows[lag:]
        a, b = np.meshgrid(rows, near, indexing="ij")
        _, d = np.meshgrid(rows, far, indexing="ij")
        across = (c[a, b, a, b] + c[a, d, a, d]) / 2.0 - c[a, b, a, d]
        down = (c[b, a, b, a] + c[d, a, d, a]) / 2.0 - c[b, a, d, a]
        values.append(float((across.mean() + down.mean()) / 2.0))
    return np.array(values)


def sample_variogram(z: Array) -> Array:
    """The same from draws of shape (n, side, side)."""
    values = [0.0]
    for lag in range(1, LAGS + 1):
        across = np.mean((z[:, :, lag:] - z[:, :, :-lag]) ** 2)
        down = np.mean((z[:, lag:] - z[:, :-lag]) ** 2)
        values.append(float(across + down) / 4.0)
    return np.array(values)


def compute(n_draws: int = 4000, side: int = 28, scale: float = 0.02, seed: int = 0) -> dict[str, Any]:
    """Draws of both designs, their variograms and jumps beside the exact ones, and the two kappas."""
    structured = ls.StructuredGaussian(grid=(side, side), scale=scale)
    per_cell = float(structured.variances.mean())
    isotropic = ls.IsotropicGaussian(grid=(side, side), scale=float(np.sqrt(per_cell)))
    data: dict[str, Any] = {}
    jumps = {}
    for stream, (name, design) in enumerate({"structured": structured, "isotropic": isotropic}.items()):
        z = np.concatenate([design.draw((seed, stream), 0, block)[:, 0] for block in range(n_draws // 32 + 1)])[
            :n_draws
        ]
        exact = exact_variogram(design.covariance_matrix(), side)
        differences = design.grid.difference(z.reshape(len(z), -1))
        jumps[name] = float(np.mean(differences**2))
        data[name] = {
            "draws": z[:2].copy(),
            "exact": exact,
            "sampled": sample_variogram(z),
            "sharp": float(np.mean(np.abs(differences) > 3.0 * np.sqrt(per_cell))),
        }
    largest = float(structured.grid.eigenvalues.max())
    # tr((D^T D)^2) / m: the mean over edges of Var(z_i - z_j) in units of sigma^2
    exact_jump = scale**2 * float(np.sum(structured.grid.eigenvalues**2)) / structured.grid.n_edges
    data["numbers"] = {
        "variance_per_cell_over_scale_squared": per_cell / scale**2,
        "jump_ratio_exact": exact_jump / (2.0 * per_cell),
        "jump_ratio_sampled": jumps["structured"] / jumps["isotropic"],
        "neighbour_correlation": float(1.0 - data["structured"]["exact"][1] / data["structured"]["exact"][LAGS]),
        "kappa_ratio": scale**2 / (per_cell / largest),
    }
    return data


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    numbers = data["numbers"]
    for name in ("structured", "isotropic"):
        # entries are means over hundreds of thousands of squares: 5 % is many standard errors even at the tests' size
        if not np.allclose(data[name]["sampled"], data[name]["exact"], rtol=0.05, atol=0):
            raise AssertionError(f"fig04: the variogram of {name} draws is not that of Sigma")
    if (
        not 1.2 < numbers["jump_ratio_exact"] < 1.4
        or abs(numbers["jump_ratio_sampled"] / numbers["jump_ratio_exact"] - 1) > 0.03
    ):
        raise AssertionError(
            f"fig04: jumps are {numbers['jump_ratio_sampled']:.3f} times those of the isotropic design"
        )
    if not numbers["neighbour_correlation"] < -0.2:
        raise AssertionError("fig04: neighbours are not negatively correlated")
    if not 1.8 < numbers["kappa_ratio"] < 2.2:
        raise AssertionError(f"fig04: kappa ratio is {numbers['kappa_ratio']:.2f}, not about 2")
    if not data["structured"]["sharp"] > 1.5 * data["isotropic"]["sharp"]:
        raise AssertionError("fig04: jumps beyond three standard deviations are not clearly more frequent")


def plot(data: dict[str, Any], path: Path) -> None:
    """Two draws of each design on one colour scale, and the variograms."""
    drawn = figure(10.5, 2.7)
    axes = drawn.subplots(1, 5, width_ratios=[1, 1, 1, 1, 1.5])
    largest = max(float(np.abs(data[name]["draws"]).max()) for name in ("structured", "isotropic"))
    for k, name in enumerate(("structured", "isotropic")):
        for i in range(2):
            image = show_map(axes[2 * k + i], data[name]["draws"][i], f"{name}, draw {i + 1}")
            image.set_clim(-largest, largest)
    ax = axes[4]
    for name, colour in (("structured", BLUE), ("isotropic", ORANGE)):
        lags, per_cell = np.arange(1, LAGS + 1), data["isotropic"]["exact"][1]
        ax.plot(lags, data[name]["exact"][1:] / per_cell, color=colour, lw=1, label=f"{name}, exact")
        marker = "o" if name == "structured" else "x"
        ax.plot(lags, data[name]["sampled"][1:] / per_cell, marker, color=colour, ms=5, label=f"{name}, draws")
    ax.set(xlabel="lag in cells", title="half mean squared difference\nover the variance of a cell", ylim=(0.0, 1.4))
    ax.title.set_fontsize(8)
    ax.legend(frameon=False, fontsize=7, loc="lower right")
    save(drawn, path)
