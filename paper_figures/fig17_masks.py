"""Learned masks: what they hide, under which perturbations, and the smallest boxes (mask paper, Fig. 1 to 4, 6 to 8).

The paper has GoogLeNet and 5,000 pictures of ImageNet; here is SqueezeNet 1.1 on pictures with boxes, where
``benchmarks/results/boxed_squeezenet1.1.json`` is stored, and the package's own network on digits. Both come of

    LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_boxed.py [squeezenet1.1|digits]

Photographs are not in the repository: without LEGSTAT_DATA a grey field stands for each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle
from paper_style import BLUE, GREEN, GREY, LABELS, ORANGE, bare, figure, save, show_picture
from photographs import photograph
from stored import maps_of, study

from legstat.comparison.statistics import pseudo_values
from legstat.data import load_digit

CLAIM = (
    "The learned mask suppresses the class under perturbations that it was not learned with, and so do binary masks "
    "cut from it; its smallest suppressing boxes are smaller than a random map's."
)
NETWORKS = ("digits", "squeezenet1.1")
CUTS = np.arange(0.0, 1.0, 0.05)
SUPPRESSIONS = ("0.8", "0.9", "0.95", "0.99")
COLOURS = {
    "mask": ORANGE,
    "legtv": GREEN,
    "rise": BLUE,
    "gradient": "C4",
    "occlusion": "C5",
    "random": GREY,
    "centre": "k",
}
COLOURS |= {"guided_backprop": "C8", "gradcam": "C9"}


def compute(seed: int = 0) -> dict[str, Any]:
    """Normalised scores under the masks, restricted means of the smallest boxes, by network."""
    del seed  # read, not drawn
    data: dict[str, Any] = {"numbers": {}, "networks": {}}
    for network in NETWORKS:
        try:
            found = study(f"boxed_{network}")["pictures"]
        except FileNotFoundError:
            continue
        data["networks"][network] = found
        for perturbation in next(iter(found.values()))["perturbed"]:
            scores = np.array([_normalised(one, perturbation) for one in found.values()])
            for cut, mean in zip(("learned", *(f"{cut:.2f}" for cut in CUTS)), scores.mean(axis=0), strict=True):
                if cut in ("learned", "0.20", "0.60"):
                    data["numbers"][f"{network}, {perturbation}: {cut}"] = float(mean)
            data[f"{network}, {perturbation}"] = scores
        for method in next(iter(found.values()))["maps"]:
            for suppression in SUPPRESSIONS:
                areas = np.array(
                    [one["maps"][method]["smallest"][suppression][:2] for one in found.values()], dtype=float
                )
                values = pseudo_values(areas[:, 0], areas[:, 1].astype(bool), 1.0)
                data["numbers"][f"{network}, {method}: box, {suppression}"] = float(values.mean())
                error = float(values.std(ddof=1) / np.sqrt(len(values)))
                data["numbers"][f"{network}, {method}: box, {suppression}, std_error"] = error
    return data


def _normalised(one: dict[str, Any], perturbation: str) -> list[float]:
    """(p - p_all) / (p_x0 - p_all): 1 at x0, 0 where all is perturbed; under the mask, then under each binary one."""
    part = one["perturbed"][perturbation]
    return [(p - part["all"]) / (one["p at x0"] - part["all"]) for p in (part["masked"], *part["cut"])]


def check(data: dict[str, Any]) -> None:
    """Raise AssertionError unless the claim holds."""
    found = data["numbers"]
    for network, pictures in data["networks"].items():
        for perturbation in next(iter(pictures.values()))["perturbed"]:
            for cut in ("learned", "0.20"):
                if found[f"{network}, {perturbation}: {cut}"] > 0.5:
                    raise AssertionError(
                        f"fig17: {network}, {perturbation}: {found[f'{network}, {perturbation}: {cut}']:.2f}"
                    )
        for suppression in SUPPRESSIONS:
            mask, chance = (found[f"{network}, {one}: box, {suppression}"] for one in ("mask", "random"))
            if mask >= chance:
                raise AssertionError(
                    f"fig17: {network}, {suppression}: boxes of {mask:.2f}, of a random map {chance:.2f}"
                )


def plot(data: dict[str, Any], path: Path) -> None:
    """For each network: pictures with every map and its smallest box; scores by cut; areas by suppression."""
    drawn = figure(11.5, 4.4 * len(data["networks"]))
    for part, (network, found) in zip(
        np.atleast_1d(drawn.subfigures(len(data["networks"]), 1)), data["networks"].items(), strict=True
    ):
        above, below = part.subfigures(2, 1, height_ratios=[2.2, 2.0])
        maps, methods = maps_of(f"boxed_{network}"), [*next(iter(found.values()))["maps"]]
        # of photographs, also one that the paper interrogates (the last ones)
        names = [next(iter(found)), list(found)[-2]] if network != "digits" else list(found)[1:3]
        for line, name in zip(above.subplots(2, 1 + len(methods)), names, strict=True):
            picture = load_digit(int(name.split()[-1]))[0] if network == "digits" else photograph(name)
            show_picture(line[0], picture, f"{network.split('1.1')[0]}\np = {found[name]['p at x0']:.2f}")
            for x0, y0, x1, y1 in found[name]["boxes"]:
                line[0].add_patch(Rectangle((x0, y0), x1 - x0 - 1, y1 - y0 - 1, fill=False, ec="lime", lw=1.2))
            for ax, method in zip(line[1:], methods, strict=True):
                ax.imshow(maps[f"{name} {method}"], cmap="inferno", interpolation="nearest")
                area, censored, box = found[name]["maps"][method]["smallest"]["0.9"]
                bare(ax, f"{LABELS.get(method, method)}\n{'none' if censored else f'{area:.2f}'}")
                if box is not None:
                    x0, y0, x1, y1 = box
                    ax.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, ec="cyan", lw=1.0))
        left, right = below.subplots(1, 2)
        for perturbation, colour in zip(next(iter(found.values()))["perturbed"], (ORANGE, BLUE, GREY), strict=True):
            scores = data[f"{network}, {perturbation}"]
            left.plot(CUTS, scores[:, 1:].mean(axis=0), color=colour, lw=1.4, label=perturbation)
            left.axhline(scores[:, 0].mean(), color=colour, lw=0.8, ls=":")
        left.set_xlabel("threshold of the smoothed mask (dotted: the mask itself)", fontsize=7)
        left.set_ylabel("normalised score", fontsize=7)
        left.set_title(f"{network}, {len(found)} pictures", fontsize=8)
        for i, method in enumerate(methods):
            numbers = [data["numbers"][f"{network}, {method}: box, {one}"] for one in SUPPRESSIONS]
            errors = [data["numbers"][f"{network}, {method}: box, {one}, std_error"] for one in SUPPRESSIONS]
            place = np.arange(4) + 0.05 * (i - len(methods) / 2)
            about = {"color": COLOURS[method], "label": LABELS.get(method, method)}
            right.errorbar(place, numbers, errors, fmt="o-", ms=3, lw=0.9, **about)
        right.set_xticks(range(4), SUPPRESSIONS)
        right.set_xlabel("suppression", fontsize=7)
        right.set_ylabel("area of the smallest box", fontsize=7)
        left.legend(frameon=False, fontsize=6, ncols=2)
        right.legend(frameon=False, fontsize=6, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        for ax in (left, right):
            ax.tick_params(labelsize=6)
    save(drawn, path)
