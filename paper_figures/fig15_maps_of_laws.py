"""Which law of z: maps of one picture under each law, at equal numbers of evaluations.

The same moments ("adaptive") for all, 702 evaluations each; beside each law how far maps from two disjoint halves of
its evaluations agree (Pearson's correlation over cells), which needs no truth. Maps are stored by
``benchmarks/study_laws.py``; pictures of the data set are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from paper_style import figure, save, show_map

CLAIM = (
    "Which law gives maps that repeat themselves depends on network and picture: before MobileNetV2 halves agree far "
    "better under blocks than under the structured law; before SqueezeNet blocks with sharp edges do worst here, the "
    "same blocks under a smooth lift do not."
)
STORED = Path(__file__).parent / "results" / "laws.npz"
LAWS = {
    "structured": "structured",
    "cells": "cells on/off",
    "gaussian -1": "smooth Gaussian",
    "binary -1": "smooth, on/off",
    "levels": "blocks, levels .2-.8",
    "smooth lift": "blocks, smooth lift",
    "blocks": "blocks 1, 2, 4, 7",
}


def compute(seed: int = 0) -> dict[str, Any]:
    """Maps and agreements."""
    with np.load(STORED) as file:
        stored = {name: file[name].astype(np.float64) for name in file.files}
    subjects = list(dict.fromkeys(name.rpartition("|")[0] for name in stored))
    maps = {law: np.stack([stored[f"{subject}|{law}"] for subject in subjects]) for law in LAWS}
    agreements = {
        law: [float(np.corrcoef(one[1].ravel(), one[2].ravel())[0, 1]) for one in values]
        for law, values in maps.items()
    }
    numbers = {f"{law}, {i + 1}": agreements[law][i] for law in LAWS for i in range(len(subjects))}
    drawn = {f"maps {law}": values for law, values in maps.items()}
    return {"numbers": numbers, "subjects": subjects, "agreements": agreements, **drawn}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    agreements = data["agreements"]
    first, second = ({law: values[i] for law, values in agreements.items()} for i in (0, 1))
    if not first["blocks"] > first["structured"] + 0.3:
        raise AssertionError(f"fig15: blocks agree by {first['blocks']:.2f}, structured by {first['structured']:.2f}")
    if not second["smooth lift"] > second["blocks"] + 0.2:
        raise AssertionError(f"fig15: blocks agree by {second['blocks']:.2f}, smooth ones {second['smooth lift']:.2f}")


def plot(data: dict[str, Any], path: Path) -> None:
    """A row for each picture, a column for each law."""
    subjects = data["subjects"]
    drawn = figure(11.0, 1.95 * len(subjects))
    axes = np.atleast_2d(drawn.subplots(len(subjects), len(LAWS)))
    for i, subject in enumerate(subjects):
        network, name = subject.split("|")
        for ax, (law, label) in zip(axes[i], LAWS.items(), strict=True):
            show_map(ax, data[f"maps {law}"][i][0], f"{label}\nhalves agree {data['agreements'][law][i]:.2f}")
        short = {"mobilenet_v2_1.0_224": "MobileNetV2", "squeezenet1.1": "SqueezeNet"}[network]
        axes[i, 0].set_ylabel(f"{short}\n{' '.join(name.split('_')[1:])}", fontsize=8)
    save(drawn, path)
