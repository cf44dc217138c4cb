"""Draws of each law of z side by side, and the table of their spectra, for docs/laws.md.

    python tools/draw_laws.py

writes docs/_static/laws.png and prints the table.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

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
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "_static" / "laws.png"


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


def table() -> list[str]:
    """Markdown: ends of the spectrum, condition and kappa of Assumption 1."""
    lines = ["| law | smallest | largest | condition | kappa |", "|---|---|---|---|---|"]
    for name, design in LAWS.items():
        values = np.linalg.eigvalsh(design.covariance_matrix())
        ends = f"{values[0]:.2g} | {values[-1]:.2g} | {values[-1] / values[0]:.2g}"
        lines.append(f"| {name} | {ends} | {kappa(design).lower:.2g} |")
    return lines


if __name__ == "__main__":
    draw(PICTURE)
    print("\n".join(table()))
