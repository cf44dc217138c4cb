"""Which law of z: standard errors of LEG's boxes and cells against the number of evaluations, law by law.

LEG under another law is another estimand; its units are the same, score per unit of mask level. Theorem 1's kappa
prefers the structured law, whose smallest eigenvalue over range(D) is the largest: it bounds the noise of the worst
direction, checkerboards. What is summed over a box are smooth directions, which that law hardly moves.

Standard errors are those of cross-fitted moments, whose intervals cover (docs/studies/coverage.md). They were measured
on two networks by ``benchmarks/study_laws.py`` and are read from its results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from paper_style import BLUE, GREEN, GREY, ORANGE, figure, save

CLAIM = (
    "At 2,000 evaluations the sum over a 7 x 7 box has a standard error four times smaller under multi-scale blocks "
    "than under the structured law, which Theorem 1's kappa prefers by a factor of 8; single cells have a larger one."
)
STORED = Path(__file__).parents[1] / "benchmarks" / "results" / "laws.json"
SIZES = ("7 x 7", "4 x 4", "cells")
LAWS = {
    "structured": ("structured, scale .25", BLUE, "o"),
    "cells": ("cells on or off", GREY, "s"),
    "gaussian -1": ("smooth Gaussian, power -1", GREEN, "^"),
    "binary -1": ("smooth, on or off, power -1", GREEN, "v"),
    "blocks": ("blocks 1, 2, 4, 7", ORANGE, "o"),
    "smooth lift": ("the same, smooth lift", ORANGE, "D"),
}
DASHED = ("binary -1", "smooth lift")


def compute(seed: int = 0) -> dict[str, Any]:
    """Geometric means over pictures of the median standard errors, for each law, size and number of evaluations."""
    rows = json.loads(STORED.read_text(encoding="utf-8"))["errors"]
    # pictures on which every law was measured
    seen = [{(r["network"], r["picture"]) for r in rows if r["law"] == law} for law in LAWS]
    common = sorted(set.intersection(*seen))
    errors: dict[str, dict[str, list[list[float]]]] = {law: {} for law in LAWS}
    for law in LAWS:
        for size in SIZES:
            counts = sorted({r["pairs"] for r in rows if r["law"] == law})
            for pairs in counts:
                logs = [
                    np.log(r[size][0])
                    for r in rows
                    if r["law"] == law and r["pairs"] == pairs and (r["network"], r["picture"]) in common
                ]
                errors[law].setdefault(size, []).append([2.0 * pairs + 2.0, float(np.exp(np.mean(logs)))])
    last = {law: {size: errors[law][size][-1][1] for size in SIZES} for law in LAWS}
    numbers = {f"{size}: structured over blocks": last["structured"][size] / last["blocks"][size] for size in SIZES}
    return {"numbers": numbers, "errors": errors, "pictures": len(common)}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    numbers, errors = data["numbers"], data["errors"]
    if not errors["structured"]["cells"][-1][0] == errors["blocks"]["cells"][-1][0] == 2000:
        raise AssertionError("fig14: the two laws were not measured at 2,000 evaluations")
    if not numbers["7 x 7: structured over blocks"] > 4.0:
        raise AssertionError(f"fig14: boxes of 7 x 7 are {numbers['7 x 7: structured over blocks']:.1f} times as good")
    if not numbers["cells: structured over blocks"] < 1.0:
        raise AssertionError("fig14: single cells are better under blocks too")
    for law, by_size in errors.items():
        for size, points in by_size.items():
            n, se = np.log(np.array(points)).T
            slope = float(np.polyfit(n, se, 1)[0])
            # the pilot improves with n, which adds to the rate of the root
            if not -0.85 < slope < -0.35:
                raise AssertionError(f"fig14: errors of {law}, {size}, fall with exponent {slope:.2f}")


def plot(data: dict[str, Any], path: Path) -> None:
    """One panel for each size, one line for each law."""
    drawn = figure(10.5, 4.2)
    axes = drawn.subplots(1, 3)
    titles = {"7 x 7": "(a) sum over 7 x 7 cells", "4 x 4": "(b) sum over 4 x 4 cells", "cells": "(c) single cells"}
    for ax, size in zip(axes, SIZES, strict=True):
        for law, (label, colour, marker) in LAWS.items():
            n, se = np.array(data["errors"][law][size]).T
            ax.plot(n, se, "--" if law in DASHED else "-", marker=marker, ms=5, lw=1.2, color=colour, label=label)
        guide = np.array([250.0, 2000.0])
        height = 1.3 * max(points[0][1] for points in (by_size[size] for by_size in data["errors"].values()))
        ax.plot(guide, height * (guide / 250.0) ** -0.5, ":", color="black", lw=1, label=r"$n^{-1/2}$")
        ax.set(title=titles[size], xscale="log", yscale="log", xlabel="evaluations n")
        low, high = ax.get_ylim()
        ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if low < tick < high]
        ax.minorticks_off()
        ax.set_xticks([250, 700, 2000], ["250", "700", "2,000"])
        ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.title.set_fontsize(10)
        ax.grid(True, which="major", lw=0.3, color="#cccccc")
    axes[0].set_ylabel("standard error, log-odds per mask level")
    drawn.legend(*axes[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=4, loc="outside lower center")
    save(drawn, path)
