"""The mask paper's experiments on pictures with boxes: Fig. 1 to 4 and 6 to 8, Tables 1 and 2; I-GOS' Table 6.

SqueezeNet 1.1, the ILSVRC pictures with boxes that it gets right, and two pictures that the paper interrogates (trailer
truck, chocolate sauce). Maps of 28 x 28 cells: mask (100 iterations of the paper's 300), gradient, guided
backpropagation, Grad-CAM, occlusion (stride 16), beside RISE and LEG-TV of 500 evaluations, a centre and a random map.
Of each map: the smallest box whose blurring suppresses the class; boxes by three rules of threshold; whether its
largest value lies in a box. Of the mask: the probability under three perturbations, and of binary masks cut from it.

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_boxed.py; a run that is stopped goes on.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from pictures import DATA, in_bytes, network, torch_network
from study_masked_pictures import LAYERS
from timing import RESULTS, machine

import legstat as ls
from legstat._core.files import json_text, json_value, write_text
from legstat.baselines import mask
from legstat.comparison.asking import Asking
from legstat.comparison.by_name import METHODS
from legstat.comparison.measures import told_apart
from legstat.comparison.methods.gradients import GradCamMap, GradientMap, GuidedBackpropMap
from legstat.comparison.methods.masks import Occlusion
from legstat.gradients.lifts import Lift
from legstat.metrics.localisation import Box

NAME, QUERIES, SIDE = "squeezenet1.1", 500, 28
FILE, MAPS = RESULTS / "boxed.json", RESULTS / "boxed_maps.npz"
INTERROGATED = ("n04467665_trailer_truck", "n07836838_chocolate_sauce")
SUPPRESSIONS = (0.8, 0.9, 0.95, 0.99)
PERTURBATIONS = ("blur", "mean", "noise")
CUTS = np.round(np.arange(0.0, 1.0, 0.05), 2)
ALPHAS = {"value": CUTS, "energy": CUTS, "mean": np.round(np.arange(0.0, 10.5, 0.5), 1)}
"""Thresholds that the paper tries (section 5.6)."""


def pictures(f: ls.Response) -> Iterator[tuple[str, Any, list[Box]]]:
    """Name, picture, and its boxes in pixels of the crop."""
    with (DATA / "labels" / "imagenet_val_boxed.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    for row in rows:
        image = f.load_image(DATA / "images" / "boxed" / row["file"])
        if f.bind(image)[0].describe()["target"] == int(row["label"]):
            yield Path(row["file"]).stem, image, boxes_in_crop(row)
    for stem in INTERROGATED:
        yield stem, f.load_image(DATA / "images" / "samples" / f"{stem}.JPEG"), []


def boxes_in_crop(row: dict[str, str]) -> list[Box]:
    """Boxes of the original picture in the crop of 224 pixels whose short side was 256."""
    width, height = int(row["width"]), int(row["height"])
    scale = 256.0 / min(width, height)
    left, upper = (width * scale - 224.0) / 2.0, (height * scale - 224.0) / 2.0
    found = []
    for text in row["boxes_x0_y0_x1_y1"].split(";"):
        x0, y0, x1, y1 = (float(number) * scale for number in text.split())
        moved = np.clip([x0 - left, y0 - upper, x1 - left, y1 - upper], 0.0, 224.0)
        if moved[0] < moved[2] and moved[1] < moved[3]:
            found.append((float(moved[0]), float(moved[1]), float(moved[2]), float(moved[3])))
    return found


def under_masks(bound: ls.Response, image: Any, solution: Any) -> dict[str, Any]:
    """Probabilities under the learned mask, and under binary ones cut from it, smoothed (sections 4.1 and 5.2)."""
    chance = bound.as_probability()
    smooth = scipy.ndimage.gaussian_filter(1.0 - solution, 1.0, mode="nearest")
    smooth /= max(float(smooth.max()), 1e-12)
    binary = np.stack([np.where(smooth >= cut, 0.0, 1.0) for cut in CUTS])
    found: dict[str, Any] = {}
    for perturbation in PERTURBATIONS:
        asking = Asking("study_boxed", chance, image, 100, perturbation)  # type: ignore[arg-type]  # names of baselines
        scores = asking.scores(np.concatenate([solution[None], np.zeros_like(solution[None]), binary]))
        found[perturbation] = {"masked": scores[0], "all": scores[1], "cut": scores[2:].tolist()}
    return {"p at x0": asking.f_x0, "perturbed": found}


def boxed_by(bound: ls.Response, image: Any, saliency: Any, boxes: list[Box]) -> dict[str, Any]:
    """The smallest suppressing boxes; overlap by rule and threshold; the pointing game."""
    row: dict[str, Any] = {"smallest": {}}
    for suppression in SUPPRESSIONS:
        found = ls.metrics.smallest_box(bound, image, saliency, suppression=suppression)
        row["smallest"][f"{suppression:g}"] = [found.area, found.censored, found.box]
    if boxes:
        heat = Lift.bilinear((SIDE, SIDE), (224, 224)).up(saliency)
        row["overlap"] = {
            rule: [round(ls.metrics.localisation(heat, boxes, rule=rule, alpha=alpha).overlap, 4) for alpha in alphas]
            for rule, alphas in ALPHAS.items()
        }
        row["pointing"] = ls.metrics.pointing(heat, boxes, tolerance=15.0)
    return row


def main() -> None:
    """Run what is missing, save after each picture."""
    asked, (module, exact) = network(NAME, threads=1), torch_network(NAME)
    kept: dict[str, Any] = json_value(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {"pictures": {}}
    maps = dict(np.load(MAPS)) if MAPS.is_file() else {}
    methods = [*(METHODS[one]() for one in ("legtv", "rise", "centre", "random")), Occlusion(stride=16)]
    methods += [GradientMap(), GuidedBackpropMap(), GradCamMap(layer=module.layer(LAYERS[NAME]))]
    for seed, (name, image, boxes) in enumerate(pictures(asked)):
        if name in kept["pictures"]:
            continue
        bound, _ = asked.bind(image)
        learned = mask(exact, image, rng=seed, iterations=100)
        made = {"mask": learned.saliency}
        for method in methods:
            response = exact if hasattr(method, "check_response") else bound
            saliency = method(response, image, QUERIES, np.random.default_rng(seed)).saliency
            made[method.name] = told_apart(saliency, np.random.default_rng(seed))  # Grad-CAM may be 0 everywhere
        kept["pictures"][name] = {
            "target": bound.describe()["target"],
            "boxes": boxes,
            **under_masks(bound, image, learned.mask),
            "maps": {one: boxed_by(bound, image, saliency, boxes) for one, saliency in made.items()},
        }
        maps |= {f"{name} {one}": in_bytes(saliency) for one, saliency in (made | {"solution": learned.mask}).items()}
        kept |= {"network": NAME, "n_queries": QUERIES, "machine": machine()}
        write_text(FILE, json_text(kept) + "\n")
        np.savez_compressed(MAPS, **maps)
        print(
            seed,
            name,
            {one: row["smallest"]["0.9"][0] for one, row in kept["pictures"][name]["maps"].items()},
            flush=True,
        )


if __name__ == "__main__":
    main()
