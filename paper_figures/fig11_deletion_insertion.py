"""Deletion and insertion against I-GOS' blurred picture (I-GOS paper, Tables 1 and 2, Fig. 3 and 4), on our networks.

The paper shows VGG19 and ResNet50, 5,000 pictures and methods with gradients; here are black-box methods at 500
evaluations, maps of 28 x 28 cells, on MobileNetV2 and SqueezeNet 1.1. "mask" and "igos" get their rows as soon as
`legstat.compare` knows them. Read from ``benchmarks/results/masking.json`` (`benchmarks/study_masking.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from paper_style import BLUE, ORANGE, figure, save

CLAIM = "Every black-box map but a random one inserts more than it deletes, by areas; a random map does not."
STUDY = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "masking.json"
PRINTED = {
    "VGG19": {"Mask": (0.1056, 0.5335), "I-GOS": (0.0899, 0.5701)},
    "ResNet50": {"Mask": (0.1151, 0.5559), "I-GOS": (0.1059, 0.5986)},
}
"""I-GOS, Tables 1 and 2 at 28 x 28: deletion, insertion. Their RISE (224 x 224): .1082, .5139 and .1196, .5637."""


def compute(path: Path = STUDY, seed: int = 0) -> dict[str, Any]:
    """The stored areas and mean curves."""
    del seed  # read, not drawn
    found = json.loads(path.read_text(encoding="utf-8"))
    numbers = {
        f"{row['network']}, {row['method']}: {row['measure']}": row["mean"]
        for row in found["rows"]
        if row["measure"] in ("deletion", "insertion")
    }
    pictures = {row["network"]: row["pictures"] for row in found["rows"]}
    return {"curves": found["curves"], "pictures": pictures, "numbers": numbers}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    for name, methods in data["curves"].items():
        for method in methods:
            gain = data["numbers"][f"{name}, {method}: insertion"] - data["numbers"][f"{name}, {method}: deletion"]
            if (gain > 0.1) != (method != "random"):
                raise AssertionError(f"fig11: {name}, {method}: insertion minus deletion is {gain:.3f}")


def plot(data: dict[str, Any], path: Path) -> None:
    """A row for each network, a column for each method: deletion and insertion curves."""
    columns = max(len(methods) for methods in data["curves"].values())
    drawn = figure(1.6 * columns, 1.9 * len(data["curves"]))
    axes = np.atleast_2d(drawn.subplots(len(data["curves"]), columns, sharex=True, sharey=True))
    for row, (name, methods) in zip(axes, data["curves"].items(), strict=True):
        for ax, (method, curves) in zip(row, methods.items(), strict=False):
            for what, colour in (("deletion", ORANGE), ("insertion", BLUE)):
                area = data["numbers"][f"{name}, {method}: {what}"]
                scores = curves[what]
                ax.plot(np.linspace(0.0, 1.0, len(scores)), scores, color=colour, lw=1.3, label=f"{what} {area:.3f}")
            ax.set_title(method, fontsize=8)
            ax.legend(frameon=False, fontsize=5.5)
            ax.tick_params(labelsize=6)
        row[0].set_ylabel(f"{name}\n{data['pictures'][name]} pictures", fontsize=7)
    axes[-1, 0].set_xlabel("share of the cells", fontsize=7)
    save(drawn, path)
