"""Looks that the figures share: one font size, one pair of colour maps, panels without ticks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

BLUE, ORANGE, GREEN, GREY = "#2463a8", "#d1661c", "#2c8a4b", "#707070"

LABELS = {
    "mask": "mask",
    "igos": "I-GOS",
    "leg": "LEG",
    "legtv": "LEG-TV",
    "rise": "RISE",
    "lime_superpixels": "LIME",
    "kernelshap": "KernelSHAP",
    "c_shapley": "C-Shapley",
    "guided_backprop": "guided backprop",
    "gradcam": "Grad-CAM",
    "integrated_gradients": "integrated gr.",
}
"""Names of methods as figures write them; those that are missing are written as they are."""


def figure(width: float, height: float) -> Figure:
    """A figure with constrained layout that no global state knows of."""
    return Figure(figsize=(width, height), layout="constrained")


def show_map(ax: Axes, values: NDArray[np.float64], title: str = "", *, signed: bool = True) -> AxesImage:
    """One map on its own scale: signed maps are symmetric about 0, absolute ones start there."""
    largest = float(np.abs(values).max()) or 1.0
    colours, low = ("RdBu_r", -largest) if signed else ("inferno", 0.0)
    drawn = ax.imshow(values, cmap=colours, vmin=low, vmax=largest, interpolation="nearest")
    bare(ax, title)
    return drawn


def show_picture(ax: Axes, picture: NDArray[np.float64], title: str = "") -> None:
    """A picture (C, H, W) in [0, 1]; one channel is drawn in grey."""
    ax.imshow(picture.transpose(1, 2, 0).squeeze(), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    bare(ax, title)


def bare(ax: Axes, title: str) -> None:
    """A title and a frame, nothing else."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_title(title, fontsize=8)


def save(drawn: Figure, path: Path) -> None:
    """Write the figure; the clock is kept out of the file."""
    drawn.savefig(path, dpi=130, metadata={"Software": None})
