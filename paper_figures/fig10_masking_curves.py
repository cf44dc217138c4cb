"""Log-odds ratio against the share masked (LEG paper, Fig. 4), on networks and at a size that run on two cores.

The paper shows VGG19 and 500 pictures; here are MobileNetV2 and SqueezeNet 1.1 on a few, maps of 500 evaluations. The
curves are read from ``benchmarks/results/masking.json``, which

    LEGSTAT_DATA=... python benchmarks/study_masking.py FOLDER

makes. Solid: the mean of the pictures' log-odds ratios, as section 6.2 defines them. Dashed: the log-odds ratio of the
mean probability, which is what the authors' code draws.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from paper_style import figure, save

CLAIM = (
    "At 2 % masked most maps' log-odds have fallen further than a random map's, whatever masks; at 10 % a random map "
    "is ahead of most under Distance-100, black and noise: what is scattered disturbs the network most."
)
STUDY = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "masking.json"
MASKINGS = ("distance", "black", "mean", "noise")
TITLES = {"distance": "Distance-100", "black": "Black-out", "mean": "Mean", "noise": "Noise"}
EARLY, LATE = 0.02, 0.1


def compute(path: Path = STUDY, seed: int = 0) -> dict[str, Any]:
    """The stored curves, and their values at 2 and at 10 % masked."""
    del seed  # read, not drawn
    found = json.loads(path.read_text(encoding="utf-8"))
    fractions = found["fractions"]
    numbers = {
        f"{name}, {masking}, {method}: {way} at {share:g}": curves[masking][way][fractions.index(share)]
        for name, methods in found["curves"].items()
        for method, curves in methods.items()
        for masking in MASKINGS
        for way in ("mean", "upstream")
        for share in (EARLY, LATE)
    }
    pictures = {row["network"]: row["pictures"] for row in found["rows"]}
    return {"curves": found["curves"], "fractions": fractions, "pictures": pictures, "numbers": numbers}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    numbers = data["numbers"]
    for name, methods in data["curves"].items():
        others = [method for method in methods if method != "random"]
        for masking in MASKINGS:
            early, late = (
                [
                    numbers[f"{name}, {masking}, {one}: mean at {share:g}"]
                    < numbers[f"{name}, {masking}, random: mean at {share:g}"]
                    for one in others
                ]
                for share in (EARLY, LATE)
            )
            if sum(early) <= len(early) / 2:
                raise AssertionError(
                    f"fig10: {name}, {masking}: only {sum(early)} maps are ahead of a random one at 2 %"
                )
            if masking != "mean" and sum(late) > len(late) / 2:
                raise AssertionError(f"fig10: {name}, {masking}: {sum(late)} maps are ahead of a random one at 10 %")


def plot(data: dict[str, Any], path: Path) -> None:
    """A row for each network, a column for each masking, a colour for each method."""
    drawn = figure(11.0, 2.9 * len(data["curves"]))
    axes = np.atleast_2d(drawn.subplots(len(data["curves"]), len(MASKINGS), sharex=True))
    for row, (name, methods) in zip(axes, data["curves"].items(), strict=True):
        for ax, masking in zip(row, MASKINGS, strict=True):
            for i, (method, curves) in enumerate(methods.items()):
                colour = "black" if method == "random" else f"C{i}"
                ax.plot(data["fractions"], curves[masking]["mean"], color=colour, lw=1.4, label=method)
                ax.plot(data["fractions"], curves[masking]["upstream"], color=colour, lw=0.9, ls="--")
            ax.set_title(TITLES[masking], fontsize=8)
            ax.tick_params(labelsize=7)
        row[0].set_ylabel(f"{name}\n{data['pictures'][name]} pictures: log-odds ratio", fontsize=7)
    axes[-1, 0].set_xlabel("share masked", fontsize=7)
    drawn.legend(
        *axes[0, 0].get_legend_handles_labels(), fontsize=7, frameon=False, ncols=8, loc="outside lower center"
    )
    save(drawn, path)
