"""The mask paper's Fig. 1 to 4 and 6 to 8 and Tables 1 and 2, I-GOS' Table 6: masks under other perturbations, boxes.

SqueezeNet 1.1, the ILSVRC pictures with boxes that it gets right, and two pictures that the paper interrogates (trailer
truck, chocolate sauce); or the digits of the package, which have no boxes and are hidden by black. Maps of 28 x 28 (8 x
8) cells: mask (100 iterations of the paper's 300), gradient, occlusion, on SqueezeNet guided backpropagation and
Grad-CAM, beside RISE and LEG-TV of 500 evaluations, a centre and a random map. Of each map: the smallest box whose
deletion suppresses the class; boxes by three rules of threshold; whether its largest value lies in a box. Of the mask:
the probability under three perturbations, and of binary masks cut from it.

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_boxed.py [squeezenet1.1|digits] [pictures]; a run that is
stopped goes on.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from pictures import DATA, in_bytes, network, small, small_network, torch_network
from study_masked_pictures import LAYERS
from timing import RESULTS, machine

import legstat as ls
from legstat._core.files import json_text, json_value, write_text
from legstat.baselines import mask
from legstat.comparison.asking import Asking
from legstat.comparison.by_name import METHODS
from legstat.comparison.measure import told_apart
from legstat.comparison.methods.gradients import GradCamMap, GradientMap, GuidedBackpropMap
from legstat.comparison.methods.masks import Occlusion, Rise
from legstat.metrics.localisation import Box
from legstat.perturbations.lifts import Lift

QUERIES = 500
PERTURBATIONS = {"squeezenet1.1": ("blur", "mean", "noise"), "digits": ("black", "mean", "noise")}
"""What pictures are perturbed by; the first is what masks are made with, and boxes filled."""
INTERROGATED = ("n04467665_trailer_truck", "n07836838_chocolate_sauce")
SUPPRESSIONS = (0.8, 0.9, 0.95, 0.99)
CUTS = np.round(np.arange(0.0, 1.0, 0.05), 2)
ALPHAS = {"value": CUTS, "energy": CUTS, "mean": np.round(np.arange(0.0, 10.5, 0.5), 1)}
"""Thresholds that the paper tries (section 5.6)."""


def digits(f: ls.Response) -> Iterator[tuple[str, Any, list[Box]]]:
    """The first 24 that the network gets right; no boxes."""
    yield from ((one, picture, []) for one, (picture, _) in small("digits", 24)[2].items())


def photographs(f: ls.Response) -> Iterator[tuple[str, Any, list[Box]]]:
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


def under_masks(bound: ls.Response, image: Any, solution: Any, perturbations: Sequence[Any]) -> dict[str, Any]:
    """Probabilities under the learned mask, and under binary ones cut from it, smoothed (sections 4.1 and 5.2)."""
    chance = bound.as_probability()
    smooth = scipy.ndimage.gaussian_filter(1.0 - solution, 1.0, mode="nearest")
    smooth /= max(float(smooth.max()), 1e-12)
    binary = np.stack([np.where(smooth >= cut, 0.0, 1.0) for cut in CUTS])
    found: dict[str, Any] = {}
    for perturbation in perturbations:
        asking = Asking("study_boxed", chance, image, 100, perturbation)
        scores = asking.scores(np.concatenate([solution[None], np.zeros_like(solution[None]), binary]))
        found[perturbation] = {"masked": scores[0], "all": scores[1], "cut": scores[2:].tolist()}
    return {"p at x0": asking.f_x0, "perturbed": found}


def boxed_by(bound: ls.Response, image: Any, saliency: Any, boxes: list[Box], hidden: Any) -> dict[str, Any]:
    """The smallest suppressing boxes; overlap by rule and threshold; the pointing game."""
    row: dict[str, Any] = {"smallest": {}}
    for suppression in SUPPRESSIONS:
        found = ls.metrics.smallest_box(bound, image, saliency, suppression=suppression, baseline=hidden)
        row["smallest"][f"{suppression:g}"] = [found.area, found.censored, found.box]
    if boxes:
        heat = Lift.bilinear(saliency.shape, (224, 224)).up(saliency)
        if heat.max() <= 0.0:  # log-odds of masked pictures, a distance: no zero of its own to count from
            heat = heat - heat.min()
        row["overlap"] = {
            rule: [round(ls.metrics.localisation(heat, boxes, rule=rule, alpha=alpha).overlap, 4) for alpha in alphas]
            for rule, alphas in ALPHAS.items()
        }
        row["pointing"] = ls.metrics.pointing(heat, boxes, tolerance=15.0)
    return row


def rivals(name: str, layer: str | None) -> list[Any]:
    """What the mask is beside; those that only look are the same for every picture."""
    hidden = PERTURBATIONS[name][0]
    found: list[Any] = [METHODS[one]() for one in ("legtv", "centre", "random")]
    patch = {"stride": 16} if name != "digits" else {"patch": 84, "stride": 28, "baseline": hidden}
    found += [Rise(baseline=hidden), Occlusion(**patch), GradientMap()]
    return found if layer is None else [*found, GuidedBackpropMap(), GradCamMap(layer=layer)]


def main(name: str = "squeezenet1.1", most: str = "1000") -> None:
    """Run what is missing of the first pictures and the interrogated ones, save after each."""
    file, arrays = RESULTS / f"boxed_{name}.json", RESULTS / f"boxed_{name}.npz"
    kept: dict[str, Any] = json_value(file.read_text(encoding="utf-8")) if file.is_file() else {"pictures": {}}
    maps = dict(np.load(arrays)) if arrays.is_file() else {}
    if name == "digits":
        asked, exact = small_network(name)
        given, methods = digits, rivals(name, None)
    else:
        asked, (module, exact) = network(name, threads=1), torch_network(name)
        given, methods = photographs, rivals(name, module.layer(LAYERS[name]))
    hidden: Any = PERTURBATIONS[name][0]
    for seed, (picture, image, boxes) in enumerate(given(asked)):
        if picture in kept["pictures"] or (seed >= int(most) and picture not in INTERROGATED):
            continue
        bound, _ = asked.bind(image)
        learned = mask(exact, image, rng=seed, iterations=100, baseline=hidden)
        made = {"mask": learned.saliency}
        for method in methods:
            response = exact if hasattr(method, "check_response") else bound
            saliency = method(response, image, QUERIES, np.random.default_rng(seed)).saliency
            made[method.name] = told_apart(saliency, np.random.default_rng(seed))  # Grad-CAM may be 0 everywhere
        kept["pictures"][picture] = {
            "target": bound.describe()["target"],
            "boxes": boxes,
            **under_masks(bound, image, learned.mask, PERTURBATIONS[name]),
            "maps": {one: boxed_by(bound, image, saliency, boxes, hidden) for one, saliency in made.items()},
        }
        maps |= {f"{picture} {one}": in_bytes(saliency) for one, saliency in made.items()}
        kept |= {"network": name, "n_queries": QUERIES, "machine": machine()}
        write_text(file, json_text(kept) + "\n")
        np.savez_compressed(arrays, **maps)
        smallest = {one: row["smallest"]["0.9"][0] for one, row in kept["pictures"][picture]["maps"].items()}
        print(seed, picture, smallest, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
