"""Draws of each law of z side by side, their spectra, and the table of these, for docs/laws.md.

    python tools/draw_laws.py

writes docs/_static/laws.png and laws_spectrum.png and prints the table.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import scipy

import legstat as ls
from legstat.inference.bounds import kappa

GRID = (28, 28)
LAWS: dict[str, ls.Design] = {
    "StructuredGaussian, scale 0.25": ls.StructuredGaussian(GRID, 0.25),
    "IsotropicGaussian, scale 0.5": ls.IsotropicGaussian(GRID, 0.5),
    "SpectralGaussian, power -1": ls.SpectralGaussian(GRID, scale=0.5),
    "BernoulliCells": ls.BernoulliCells(GRID),
    "SpectralBinary, power -1": ls.SpectralBinary(GRID),
    "MultiscaleBlocks, 1, 2, 4, 7": ls.MultiscaleBlocks(GRID),
    "MultiscaleBlocks, 2, 4, 7": ls.MultiscaleBlocks(GRID, (2, 4, 7)),
    "MultiscaleBlocks, 4, 7, 14": ls.MultiscaleBlocks(GRID, (4, 7, 14)),
    "MultiscaleBlocks, levels 0.2 to 0.8": ls.MultiscaleBlocks(GRID, levels=(0.2, 0.8)),
}
DRAWS = 6
STATIC = Path(__file__).resolve().parents[1] / "docs" / "_static"
LINES = {
    "StructuredGaussian, scale 0.25": ("#2463a8", "-"),
    "BernoulliCells": ("#707070", "-"),
    "SpectralGaussian, power -1": ("#2c8a4b", "-"),
    "SpectralBinary, power -1": ("#2c8a4b", "--"),
    "MultiscaleBlocks, 1, 2, 4, 7": ("#d1661c", "-"),
    "MultiscaleBlocks, 2, 4, 7": ("#d1661c", ":"),
}
"""Colours of the laws in the figure of spectra."""


def draw(path: Path) -> None:
    """Mask levels 1/2 + z, as `Blend` shows them: white is the picture, black the baseline."""
    figure, axes = plt.subplots(len(LAWS), DRAWS, figsize=(7.0, 1.15 * len(LAWS)))
    for row, (name, design) in zip(axes, LAWS.items(), strict=True):
        for axis, z in zip(row, design.draw((1, 2), 0, 0)[:, 0], strict=False):
            axis.imshow(np.clip(0.5 + z, 0.0, 1.0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_axis_off()
        row[0].set_title(name, loc="left", fontsize=8, pad=2)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=72)


def spectra(path: Path) -> None:
    """Variance of z along each cosine of the grid against how often it changes sign, averaged over directions."""
    cosines = scipy.fft.dct(np.eye(GRID[0]), axis=0, norm="ortho")
    basis = np.kron(cosines, cosines)
    rows, columns = np.indices(GRID)
    # cells from one change of sign to the next, of the faster of the two directions
    turns = np.maximum(rows, columns)
    figure, axis = plt.subplots(figsize=(7.6, 3.4), layout="constrained")
    for name, (colour, style) in LINES.items():
        along = np.einsum("ij,jk,ik->i", basis, LAWS[name].covariance_matrix(), basis, optimize=True).reshape(GRID)
        counts = np.arange(1, GRID[0])  # constants left out: they never change sign
        means = [float(along[turns == k].mean()) for k in counts]
        axis.plot(GRID[0] / counts, means, style, color=colour, lw=1.4, label=name)
    axis.set(xscale="log", yscale="log", xlabel="width of a half wave, in cells", ylabel="variance of z along it")
    axis.set_xticks([1, 2, 4, 7, 14, 28], ["1", "2", "4", "7", "14", "28"])
    axis.minorticks_off()
    axis.grid(True, lw=0.3, color="#cccccc")
    axis.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path, dpi=100)


def table() -> list[str]:
    """Markdown: ends of the spectrum, condition and kappa of Assumption 1."""
    lines = ["| law | smallest | largest | condition | kappa |", "|---|---|---|---|---|"]
    for name, design in LAWS.items():
        values = np.linalg.eigvalsh(design.covariance_matrix())
        ends = f"{values[0]:.2g} | {values[-1]:.2g} | {values[-1] / values[0]:.2g}"
        lines.append(f"| {name} | {ends} | {kappa(design).lower:.2g} |")
    return lines


if __name__ == "__main__":
    draw(STATIC / "laws.png")
    spectra(STATIC / "laws_spectrum.png")
    print("\n".join(table()))
