"""Areas of masks of several resolutions (I-GOS paper, Tables 1 and 2, Fig. 3 to 5) and what they take (Table 3).

Read from ``benchmarks/results/resolutions.json``, which

    LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_resolutions.py NETWORK --pictures N

makes: sixteen digits of the package on its own network, and one photograph before MobileNetV2. Its maps
stand below the curves, as Fig. 3 to 5 have them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from paper_style import BLUE, GREEN, GREY, LABELS, ORANGE, bare, figure, save, show_picture
from photographs import photograph
from stored import averages, maps_of, study

CLAIM = (
    "On digits, at a cell a pixel and at 4 x 4, mask and I-GOS delete faster and insert earlier than a random map; "
    "at a cell a pixel I-GOS inserts earlier than the mask, which deletes faster. The paper has I-GOS ahead in both."
)
PRINTED = {  # deletion, insertion of ResNet50 at 224, 112, 28, 14 and 7 cells a side (Table 2)
    "mask": ((0.0468, 0.4962), (0.0746, 0.5090), (0.1151, 0.5559), (0.1557, 0.5959), (0.2259, 0.6003)),
    "igos": ((0.0420, 0.5846), (0.0704, 0.5943), (0.1059, 0.5986), (0.1387, 0.6387), (0.1607, 0.6632)),
}
COLOURS = {"mask": ORANGE, "igos": BLUE, "legtv": GREEN, "random": GREY}


def compute(seed: int = 0) -> dict[str, Any]:
    """Mean areas of each network, side and method; the rows of the first photographs."""
    del seed  # read, not drawn
    rows = study("resolutions")["rows"]
    return {
        "numbers": averages(rows, ("network", "side", "method"), ("deletion", "insertion")),
        "pictures": {
            name: len({r["picture"] for r in rows if r["network"] == name}) for name in {r["network"] for r in rows}
        },
        "seconds": averages(rows, ("network", "side", "method"), ("seconds",)),
        "shown": [row for row in rows if "deletion curve" in row],
    }


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""

    def areas(side: int, method: str) -> tuple[float, float]:
        found = data["numbers"]
        return found[f"digits, {side}, {method}: deletion"], found[f"digits, {side}, {method}: insertion"]

    for side in (8, 4):
        (low, high), chance = zip(areas(side, "mask"), areas(side, "igos"), strict=True), areas(side, "random")
        if max(low) >= chance[0] or min(high) <= chance[1]:
            raise AssertionError(f"tab02: {side} cells a side: {low}, {high} beside {chance} of a random map")
    mask, igos = areas(8, "mask"), areas(8, "igos")
    if igos[1] <= mask[1] or igos[0] <= mask[0]:
        raise AssertionError(f"tab02: mask {mask}, I-GOS {igos}")


def plot(data: dict[str, Any], path: Path) -> None:
    """Areas against cells a side, a column for each network; a photograph with its finest maps and their curves."""
    names = sorted(data["pictures"])
    shown = [
        row for row in data["shown"] if row["method"] != "random" and (row["side"] >= 28 or row["method"] == "gradcam")
    ]
    lines = {name: [row for row in shown if row["network"] == name] for name in names}
    lines = {name: rows for name, rows in lines.items() if rows}
    width = 2 * max([len(names) + 1, *(len(rows) for rows in lines.values())])
    drawn = figure(max(0.8 * width, 9.0), 2.6 + 2.9 * len(lines))
    top, *rest = np.atleast_1d(drawn.subfigures(1 + len(lines), 1, height_ratios=[2.6, *[2.9] * len(lines)]))
    for ax, name in zip(top.subplots(1, len(names) + 1), [*names, "ResNet50, printed"], strict=True):
        for method, colour in COLOURS.items():
            for what, style in (("deletion", "--"), ("insertion", "-")):
                sides, areas = _points(data["numbers"], name, method, what)
                if sides:
                    label = LABELS.get(method, method) if style == "-" else None
                    ax.plot(np.log2(sides), areas, style, color=colour, marker="o", ms=3, lw=1.2, label=label)
                    ax.set_xticks(np.log2(sides), sides)
        count = data["pictures"].get(name, 0)
        pictures = f", {count} picture{'s' * (count > 1)}" if count else ""
        ax.set_title(f"{name}{pictures}\ninsertion (solid), deletion (dashed)", fontsize=7)
        ax.set_xlabel("cells a side", fontsize=7)
        ax.tick_params(labelsize=6)
        ax.legend(frameon=False, fontsize=6)
    for part, (name, rows) in zip(rest, lines.items(), strict=True):
        maps, axes = maps_of(f"resolutions_{name}"), part.subplots(2, 1 + len(rows))
        show_picture(axes[0, 0], photograph(rows[0]["picture"]), name)
        axes[1, 0].axis("off")
        for (above, below), row in zip(axes.T[1:], rows, strict=True):
            above.imshow(maps[f"{name} {row['method']} {row['side']}"], cmap="inferno", interpolation="nearest")
            bare(above, f"{LABELS.get(row['method'], row['method'])}, {row['side']}")
            for what, colour in (("deletion", ORANGE), ("insertion", BLUE)):
                below.plot(np.linspace(0, 1, len(row[f"{what} curve"])), row[f"{what} curve"], color=colour, lw=1.2)
            below.set_title(f"{row['deletion']:.2f}, {row['insertion']:.2f}", fontsize=7)
            below.set_ylim(0, 1.02)
            below.tick_params(labelsize=5)
    save(drawn, path)


def _points(numbers: dict[str, float], name: str, method: str, what: str) -> tuple[list[int], list[float]]:
    """Sides and areas of a method; the printed ones where the name is not that of a network of ours."""
    if name.endswith("printed"):
        areas = [pair[what == "insertion"] for pair in PRINTED.get(method, ())]
        return [224, 112, 28, 14, 7][: len(areas)], areas
    sides = sorted(
        int(key.split(", ")[1]) for key in numbers if key.startswith(f"{name}, ") and key.endswith(f" {method}: {what}")
    )
    return sides, [numbers[f"{name}, {side}, {method}: {what}"] for side in sides]
