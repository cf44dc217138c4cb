"""Masks without regularisation, and the game of preservation (mask paper, Fig. 5; its supplement, Fig. 9).

Read from ``benchmarks/results/mask_variants.json``, which

    PYTHONPATH=. python benchmarks/study_mask_variants.py 16

makes: digits of the package, masks of a cell a pixel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from paper_style import bare, figure, save, show_picture
from stored import averages, maps_of, study

from legstat.data import load_digit

CLAIM = (
    "Without penalties the mask suppresses the class as well, but is rough and inserts later; the preservation game's "
    "mask keeps the class under perturbations that it was not learned with, inserts earlier and deletes later."
)
VARIANTS = ("deletion", "without penalties", "preservation")
VALUES = ("deletion", "insertion", "roughness", "black", "mean", "noise")


def compute(seed: int = 0) -> dict[str, Any]:
    """Means over the digits."""
    del seed  # read, not drawn
    rows = study("mask_variants")["rows"]
    return {"numbers": averages(rows, ("variant",), VALUES), "pictures": len({row["picture"] for row in rows})}


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    found = data["numbers"]
    plain, rough, kept = ({value: found[f"{variant}: {value}"] for value in VALUES} for variant in VARIANTS)
    if (
        rough["black"] > 0.1
        or rough["roughness"] < 2.0 * plain["roughness"]
        or rough["insertion"] >= plain["insertion"]
    ):
        raise AssertionError(f"fig18: without penalties {rough}, with them {plain}")
    if min(kept["mean"], kept["noise"]) < 0.7:
        raise AssertionError(f"fig18: preserved under mean and noise: {kept['mean']:.2f}, {kept['noise']:.2f}")
    if kept["insertion"] <= plain["insertion"] or kept["deletion"] <= plain["deletion"]:
        raise AssertionError(f"fig18: preservation {kept}, deletion {plain}")


def plot(data: dict[str, Any], path: Path) -> None:
    """Six digits with their three masks, white where the picture is kept."""
    maps = maps_of("mask_variants")
    names = list(dict.fromkeys(key.rsplit(" ", 1)[0] for key in maps if key.endswith(" deletion")))[:6]
    drawn = figure(1.3 * len(names), 5.6)
    for j, (name, line) in enumerate(zip(names, drawn.subplots(4, len(names)).T, strict=True)):
        show_picture(line[0], load_digit(int(name.split()[-1]))[0])
        for ax, variant in zip(line[1:], VARIANTS, strict=True):
            ax.imshow(maps[f"{name} {variant}"], cmap="gray", interpolation="nearest")
            areas = [data["numbers"][f"{variant}: {value}"] for value in ("deletion", "insertion")]
            bare(ax, "" if j else f"{variant}\n{areas[0]:.2f}, {areas[1]:.2f}")
    drawn.suptitle("masks (white: kept) of three objectives; their mean deletion and insertion", fontsize=8)
    save(drawn, path)
