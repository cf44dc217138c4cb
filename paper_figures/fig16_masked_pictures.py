"""What is left of pictures when the 10 % that maps call most salient are masked (LEG paper, Fig. 5 and 6).

The paper shows VGG19; here are MobileNetV2 and SqueezeNet 1.1, maps of 500 evaluations (the paper: 10,000 a channel),
and beside each picture the probability that is left. Read from ``benchmarks/results/masked_pictures.json``, which

    LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_masked_pictures.py

makes. Of cells of equal value those are masked that a seed puts first; they are not drawn. The photographs are not in
the repository: without LEGSTAT_DATA a grey field stands for each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from paper_style import LABELS, figure, save, show_picture
from photographs import photograph
from stored import averages, study

CLAIM = (
    "Masking the 10 % that LEG and LEG-TV call most salient takes over half of the probability in the mean under each "
    "of the four maskings. So does masking as many cells at random, and under black nothing does more."
)
MASKINGS = {"distance": "Distance-100", "black": "Black-out", "mean": "Mean", "noise": "Noise"}
CELLS = 28


def compute(seed: int = 0) -> dict[str, Any]:
    """The rows, and mean probabilities by network and method."""
    del seed  # read, not drawn
    rows = study("masked_pictures")["rows"]
    numbers = averages(rows, ("network", "method"), ("p at x0", *MASKINGS))
    numbers |= averages(rows, ("method",), ("p at x0", *MASKINGS))
    return {"numbers": numbers, "rows": rows}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    found = data["numbers"]
    for method in ("leg", "legtv", "random"):
        for masking in MASKINGS:
            if found[f"{method}: {masking}"] >= 0.5 * found[f"{method}: p at x0"]:
                raise AssertionError(f"fig16: {masking}: {method} leaves {found[f'{method}: {masking}']:.3f}")
    others = [value for key, value in found.items() if key.endswith(": black") and key.count(",") == 0]
    if found["random: black"] > min(others):
        raise AssertionError("fig16: a map disturbs more than a random one under black")


def ranked(cells: list[int]) -> list[int]:
    """The cells before a tail in the order of memory: that of cells of equal value, which the map does not rank."""
    tail = 1
    while tail < len(cells) and cells[-tail - 1] < cells[-tail]:
        tail += 1
    return cells[:-tail] if tail >= 10 else cells


def masked(picture: Any, cells: list[int], masking: str) -> Any:
    """The picture with those cells masked; Distance-100 darkens them, as their saliency is positive."""
    gone = np.zeros(CELLS * CELLS)
    gone[cells] = 1.0
    side = picture.shape[-1] // CELLS
    where = np.kron(gone.reshape(CELLS, CELLS), np.ones((side, side)))[None]
    hidden = {
        "distance": np.clip(picture - 100 / 255, 0.0, 1.0),
        "black": np.zeros_like(picture),
        "mean": np.broadcast_to(picture.mean(axis=(1, 2), keepdims=True), picture.shape),
        "noise": np.random.default_rng(0).random(picture.shape),
    }[masking]
    return np.where(where > 0.0, hidden, picture)


def plot(data: dict[str, Any], path: Path) -> None:
    """First LEG-TV's cells under the four maskings; then those of every method, blackened; a row for each picture."""
    rows = data["rows"]
    networks = list(dict.fromkeys(row["network"] for row in rows))
    pictures = list(dict.fromkeys(row["picture"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    drawn = figure(1.25 * (1 + len(methods)), 1.55 * (1 + len(pictures) * len(networks)))
    first, second = drawn.subfigures(2, 1, height_ratios=[1, len(pictures) * len(networks)])
    axes = first.subplots(1, 1 + len(MASKINGS))
    # the map of LEG-TV that ranks the most cells
    legtv = max((row for row in rows if row["method"] == "legtv"), key=lambda row: len(ranked(row["first cells"])))
    picture = photograph(legtv["picture"])
    show_picture(axes[0], picture, f"LEG-TV, {legtv['network']}\np = {legtv['p at x0']:.2f}")
    for ax, (masking, title) in zip(axes[1:], MASKINGS.items(), strict=True):
        show_picture(ax, masked(picture, legtv["first cells"], masking), f"{title}\np = {legtv[masking]:.2f}")
    grid = second.subplots(len(pictures) * len(networks), 1 + len(methods), squeeze=False)
    for line, (network, name) in zip(grid, [(n, p) for n in networks for p in pictures], strict=True):
        picture = photograph(name)
        mine = {row["method"]: row for row in rows if (row["network"], row["picture"]) == (network, name)}
        show_picture(line[0], picture, f"p = {mine[methods[0]]['p at x0']:.2f}")
        line[0].set_ylabel(network.split("_1.0")[0], fontsize=6)
        for ax, method in zip(line[1:], methods, strict=True):
            row = mine[method]
            cells, title = ranked(row["first cells"]), f"{LABELS.get(method, method)}\np = {row['black']:.2f}"
            if len(cells) < len(row["first cells"]):
                title += f", {len(row['first cells']) - len(cells)} tied"
            show_picture(ax, masked(picture, cells, "black"), title)
    save(drawn, path)
