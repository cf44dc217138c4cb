"""I-GOS without total variation, noise or line search, and its loss beside the mask's (I-GOS paper, Tables 4 and 5).

Read from ``benchmarks/results/igos_ablation_digits.json``, which

    PYTHONPATH=. python benchmarks/study_igos_ablation.py digits 24

makes: 24 digits, the network of the package, the paper's conventions with exact gradients.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from paper_style import BLUE, GREY, ORANGE, figure, save
from stored import averages, study

CLAIM = (
    "As in the paper: without total variation insertion is lower (at a cell a pixel by over three standard errors) and "
    "deletion no higher; with a fixed step deletion is higher; and I-GOS ends at a lower loss than the mask for both "
    "smaller weights."
)
PRINTED = {
    "224": {
        "igos": (0.0336, 0.5246),
        "no total variation": (0.0308, 0.3712),
        "no noise": (0.0559, 0.4194),
        "fixed step": (0.0393, 0.5024),
    },
    "28": {
        "igos": (0.0899, 0.5701),
        "no total variation": (0.0841, 0.5181),
        "no noise": (0.0872, 0.5634),
        "fixed step": (0.0906, 0.5403),
    },
}
"""Table 4, VGG19: deletion, insertion."""
LOSSES = {"0.01": (0.2241, 0.3349), "0.1": (0.3739, 0.4857), "1.0": (0.6098, 0.6794)}
"""Table 5, VGG19, by lambda_1: loss of I-GOS and of the mask."""


def compute(seed: int = 0) -> dict[str, Any]:
    """Means over the digits, and the standard errors of paired differences to the whole method."""
    del seed  # read, not drawn
    rows = study("igos_ablation_digits")["rows"]
    four, five = ([row for row in rows if row["table"] == table] for table in (4, 5))
    numbers = averages(four, ("side", "method"), ("deletion", "insertion"))
    numbers |= averages(five, ("l1", "method"), ("loss", "deletion", "insertion"))
    for side in ("8", "4"):
        for method in PRINTED["28"]:
            for what in ("deletion", "insertion"):
                one, whole = (
                    np.array([row[what] for row in four if str(row["side"]) == side and row["method"] == name])
                    for name in (method, "igos")
                )
                if method != "igos":
                    numbers[f"{side}, {method}: {what}, std_error"] = float(
                        (one - whole).std(ddof=1) / np.sqrt(len(one))
                    )
    return {"numbers": numbers, "pictures": len({row["picture"] for row in rows})}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    found = data["numbers"]
    for side in ("8", "4"):
        lost = found[f"{side}, igos: insertion"] - found[f"{side}, no total variation: insertion"]
        least = 3.0 if side == "8" else 0.0  # in standard errors
        if lost <= least * found[f"{side}, no total variation: insertion, std_error"]:
            raise AssertionError(f"tab03: {side} cells a side: without total variation insertion is {lost:.3f} lower")
        if found[f"{side}, no total variation: deletion"] > found[f"{side}, igos: deletion"]:
            raise AssertionError(f"tab03: {side} cells a side: without total variation deletion is higher")
        if found[f"{side}, fixed step: deletion"] <= found[f"{side}, igos: deletion"]:
            raise AssertionError(f"tab03: {side} cells a side: with a fixed step deletion is not higher")
    for l1 in ("0.01", "0.1"):
        if found[f"{l1}, igos: loss"] >= found[f"{l1}, mask: loss"]:
            raise AssertionError(f"tab03: lambda_1 = {l1}: I-GOS does not end at a lower loss")


def plot(data: dict[str, Any], path: Path) -> None:
    """Deletion and insertion of each variant, ours and printed; losses by weight."""
    found = data["numbers"]
    drawn = figure(10.5, 3.0)
    axes = drawn.subplots(1, 3, width_ratios=[1, 1, 0.8])
    for ax, ours, printed in zip(axes, ("8", "4"), ("224", "28"), strict=False):
        for i, method in enumerate(PRINTED[printed]):
            for j, (what, colour) in enumerate((("deletion", ORANGE), ("insertion", BLUE))):
                error = found.get(f"{ours}, {method}: {what}, std_error", 0.0)
                ax.bar(
                    i + 0.4 * j - 0.2,
                    found[f"{ours}, {method}: {what}"],
                    0.36,
                    color=colour,
                    yerr=error,
                    label=None if i else what,
                )
                ax.plot([i + 0.4 * j - 0.2], [PRINTED[printed][method][j]], "k_", ms=11)
        ax.set_xticks(range(4), [*PRINTED[printed]], fontsize=6)
        ax.set_title(
            f"{data['pictures']} digits, {ours} x {ours} cells (bars);\nprinted, VGG19, {printed} x {printed} (lines)",
            fontsize=8,
        )
        ax.legend(frameon=False, fontsize=6)
        ax.tick_params(labelsize=6)
    for j, (method, colour) in enumerate((("igos", BLUE), ("mask", GREY))):
        place = np.arange(3) + 0.4 * j - 0.2
        axes[2].bar(place, [found[f"{l1}, {method}: loss"] for l1 in LOSSES], 0.36, color=colour, label=method)
        axes[2].plot(place, [pair[j] for pair in LOSSES.values()], "k_", ms=11)
    axes[2].set_xticks(range(3), [f"{l1} / {20 * float(l1):g}" for l1 in LOSSES], fontsize=6)
    axes[2].set_title("loss at 4 x 4 cells, by l1 / tv", fontsize=8)
    axes[2].legend(frameon=False, fontsize=6)
    axes[2].tick_params(labelsize=6)
    save(drawn, path)
