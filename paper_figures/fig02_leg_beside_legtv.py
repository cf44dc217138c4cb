"""LEG paper, Fig. 2: LEG beside LEG-TV, under the paper's conventions and under the defaults.

MobileNetV2 and the paper's two subjects, a golden retriever and an ice cream, on 28 x 28 cells. Their maps are read
from ``results/fig02.npz``, which

    LEGSTAT_DATA=... python paper_figures/fig02_leg_beside_legtv.py

makes; the photographs are not in the repository: without LEGSTAT_DATA a grey field stands for each. The same of two
digits and the network that comes with the package, on 8 x 8 cells: ``compute(source="digits")``. Each column spends the
same number of evaluations of the log-odds score:

- paper: one channel at a time, printed moments, L = 0.1 L_max, absolute values summed over channels;
- default: pairs, all channels together, crossfit (LEG) and regression moments (LEG-TV), L by held-out R^2;
- deletion: the same with `Blend`, which moves cells between the picture and its blur.

R^2 is that of the signed linear map for the odd part of the score on units it was not fitted to. The paper's three
channel maps predict what a shift shared by the channels does by their sum; they are measured on the default's pairs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from make import read, write
from numpy.typing import NDArray
from paper_style import figure, save, show_map, show_picture
from photographs import data_folder, photograph

import legstat as ls
from legstat.data import digits_model_path, load_digit

CLAIM = (
    "LEG-TV has fewer regions than LEG and less total variation than LEG of the same moments; and the defaults predict "
    "the score's response better than the paper's estimator does at the same number of evaluations."
)
SUBJECTS = ("n02099601_golden_retriever", "n07614500_ice_cream")
DIGITS = (0, 11)
STORED = Path(__file__).resolve().parent / "results" / "fig02.npz"
Array = NDArray[np.float64]


def subjects(source: str) -> list[tuple[str, Any, Array, tuple[int, int], float]]:
    """(name, response, picture, grid, scale of the additive design) of each row."""
    folder = data_folder()
    rows = []
    if source == "imagenet":
        if folder is None:
            raise FileNotFoundError("fig02: no real data here; set LEGSTAT_DATA or ask for source='digits'")
        for name in SUBJECTS:
            f = ls.onnx_response(folder / "models" / "mobilenet_v2_1.0_224.onnx", preprocessing="tf", score="log_odds")
            picture = f.load_image(folder / "images" / "samples" / f"{name}.JPEG")
            rows.append((name.split("_", 1)[1].replace("_", " "), f, picture, (28, 28), 0.02))
    else:
        for index in DIGITS:
            picture, label = load_digit(index)
            f = ls.onnx_response(digits_model_path(), score="log_odds")
            rows.append((f"digit {label}", f, picture, (8, 8), 0.05))
    return rows


def compute(n_queries: int = 6001, seed: int = 0, source: str = "auto") -> dict[str, Any]:
    """Three settings for each picture: `source` is "imagenet", "digits", or "auto" (what is stored of the first)."""
    if source == "auto":
        _, data = read(STORED)
        for row, stem in zip(data["rows"], SUBJECTS, strict=True):
            row["picture"] = photograph(stem)
        return data
    rows, numbers = [], {}
    for k, (name, f, picture, grid, scale) in enumerate(subjects(source)):
        design = ls.StructuredGaussian(grid=grid, scale=scale)
        blend = ls.StructuredGaussian(grid=grid, scale=0.25)
        paper = ls.query(f, picture, design, n_queries, conventions="paper", rng=[seed, k, 0], progress=False)
        default = ls.query(f, picture, design, n_queries, rng=[seed, k, 1], progress=False)
        deletion = ls.query(
            f, picture, blend, n_queries, perturbation=ls.Blend("blur", at=0.5), rng=[seed, k, 2], progress=False
        )
        settings = {
            "paper": (ls.LEG(paper).fit(), ls.LEGTV(paper).fit(L_ratio=0.1)),
            "default": _fit(default),
            "deletion": _fit(deletion),
        }
        row: dict[str, Any] = {"name": name, "picture": picture, "maps": {}}
        for setting, results in settings.items():
            for method, result in zip(("leg", "legtv"), results, strict=True):
                r2 = (
                    result.r2_heldout
                    if setting != "paper"
                    else r2_of_odd_part(default, result.channel_maps.sum(axis=0))
                )
                row["maps"][f"{setting} {method}"] = {
                    "saliency": np.asarray(result.saliency),
                    "r2": r2,
                    # of LEG: on LEG-TV's moments, so that the two differ by the penalty alone
                    "variation": total_variation(results[1], leg=method == "leg"),
                    "regions": getattr(result, "n_regions", result.params.size),
                    "cells": int(result.params.size),
                    "signed": len(result.channel_maps) == 1,
                }
                numbers[f"{name}: {setting} {method} r2"] = r2
        rows.append(row)
    return {"numbers": numbers, "rows": rows, "source": source, "n_queries": n_queries}


def _fit(sample: ls.QuerySample) -> tuple[ls.LEGResults, ls.LEGTVResults]:
    # the simplest map whose held-out R^2 is within one standard error of the best
    path = ls.LEGTV(sample).fit_path(n_Ls=12, progress=False)
    return ls.LEG(sample).fit(), path.select("simplest")


def r2_of_odd_part(sample: ls.QuerySample, gamma: Array) -> float:
    """R^2 of a map (p1, p2) for (f(z) - f(-z)) / 2 over the pairs of a sample that it was not fitted to."""
    y = (sample.responses[0::2] - sample.responses[1::2]) / 2.0
    z = sample.draws()
    odd = (z[0::2] - z[1::2]).reshape(len(y), -1) / 2.0
    return float(1.0 - np.sum((y - odd @ gamma.ravel()) ** 2) / np.sum(y**2))


def total_variation(result: ls.LEGTVResults, *, leg: bool) -> float:
    """||D g||_1 over the channels that were estimated by themselves, of LEG-TV or of LEG on the same moments."""
    grid = result.moments.design.grid
    g = result.moments.gamma if leg else result.channel_maps.reshape(-1, grid.n_cells)
    return float(np.abs(grid.difference(g)).sum())


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds for every picture."""
    for row in data["rows"]:
        maps, name = row["maps"], row["name"]
        for setting in ("paper", "default", "deletion"):
            leg, tv = maps[f"{setting} leg"], maps[f"{setting} legtv"]
            if not (tv["variation"] < leg["variation"] and tv["regions"] < leg["cells"]):
                raise AssertionError(f"fig02: {name}, {setting}: LEG-TV is not simpler than LEG")
        for method in ("leg", "legtv"):
            ours, printed = maps[f"default {method}"]["r2"], maps[f"paper {method}"]["r2"]
            if not ours > printed:
                raise AssertionError(f"fig02: {name}: {method} R^2 {ours:.3f} by default, {printed:.3f} as printed")


def plot(data: dict[str, Any], path: Path) -> None:
    """One row a picture; each map on its own colour scale, signed ones blue to red."""
    rows = data["rows"]
    columns = list(rows[0]["maps"])
    drawn = figure(1.6 * (1 + len(columns)), 1.95 * len(rows))
    axes = drawn.subplots(len(rows), 1 + len(columns))
    for i, row in enumerate(rows):
        show_picture(axes[i, 0], row["picture"], row["name"])
        for j, column in enumerate(columns, start=1):
            one = row["maps"][column]
            setting, method = column.split()
            title = f"{setting}: {'LEG-TV' if method == 'legtv' else 'LEG'}\n$R^2$ = {one['r2']:.2f}"
            if method == "legtv":
                title += f", {one['regions']} regions"
            show_map(axes[i, j], one["saliency"], title, signed=one["signed"])
    save(drawn, path)


if __name__ == "__main__":
    found = compute(source="imagenet")
    for subject in found["rows"]:
        del subject["picture"]
    write(STORED, "", found)
