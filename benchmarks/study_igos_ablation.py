"""I-GOS' Tables 4 and 5 on small networks: without total variation, noise, line search; the loss beside the mask's.

The paper's conventions (probability, 15 iterations of 20 points; the mask 300 of Adam) on the digits of the package,
masks of 8 and 4 cells a side and black as baseline, or on a CIFAR network, of 32 and 8 cells and the blur of 10 pixels
of 224; each the first pictures that the network gets right. The loss is one for both methods: the mean distance of the
mask from 1 and the mean anisotropic total variation (beta = 2) with the paper's weights, plus the probability under the
mask without jitter or noise.

Run: [LEGSTAT_DATA=...] PYTHONPATH=. python benchmarks/study_igos_ablation.py [digits|cifar10_resnet20] [pictures]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from pictures import small
from timing import save

import legstat as ls
from legstat.baselines import BaselineResult, igos, mask
from legstat.baselines.penalties import Penalty
from legstat.metrics.references import reference_picture
from legstat.perturbations.lifts import Lift

VARIANTS: dict[str, dict[str, Any]] = {
    "igos": {},
    "no total variation": {"tv": 0.0},
    "no noise": {"noise": 0.0},
    "fixed step": {"fixed_step": 1.0},
}
WEIGHTS = ((0.01, 0.2), (0.1, 2.0), (1.0, 20.0))
SIZES = {"digits": ((8, 4), "black"), "cifar10_resnet20": ((32, 8), "blur")}
"""Cells a side, and what is hidden by."""


def areas(bound: ls.Response, image: Any, found: BaselineResult, hidden: Any, seed: int) -> dict[str, float]:
    """Both areas."""
    return {
        curve.__name__: curve(bound, image, found.saliency, baseline=hidden, rng=seed).area
        for curve in (ls.metrics.deletion, ls.metrics.insertion)
    }


def loss(bound: ls.Response, image: Any, found: BaselineResult, hidden: Any, l1: float, tv: float) -> float:
    """The objective of eq. 9 at a mask."""
    chance = bound.as_probability()
    lift = Lift.bilinear((found.mask.shape[0], found.mask.shape[1]), (image.shape[1], image.shape[2]))
    kept = lift.up(found.mask)
    reference = reference_picture("loss", hidden, image, bound)
    seen = float(chance((kept * image + (1.0 - kept) * reference)[None].astype(np.float32))[0])
    return seen + sum(Penalty(l1, tv, 2.0, isotropic=False, mean=True).terms(found.mask).values())


def main(name: str = "digits", pictures: str = "24") -> None:
    """Run and save."""
    asked, exact, images = small(name, int(pictures))
    (fine, coarse), hidden = SIZES[name]
    rows: list[dict[str, Any]] = []
    for seed, (picture, (image, _)) in enumerate(images.items()):
        bound, _ = asked.bind(image)
        for side in (fine, coarse):
            how: dict[str, Any] = {"shape": (side, side), "rng": seed, "baseline": hidden, "conventions": "paper"}
            for variant, changes in VARIANTS.items():
                found = igos(exact, image, **how, **changes)
                rows.append({"table": 4, "picture": picture, "side": side, "method": variant})
                rows[-1] |= areas(bound, image, found, hidden, seed)
        for l1, tv in WEIGHTS:
            masks = {
                "igos": igos(exact, image, **how, l1=l1, tv=tv),
                # the code that most people run has the means of I-GOS; its weights as asked
                "mask": mask(exact, image, **how | {"conventions": "torch"}, l1=l1, tv=tv, beta=2.0, iterations=300),
            }
            for method, found in masks.items():
                rows.append({"table": 5, "picture": picture, "side": coarse, "method": method, "l1": l1, "tv": tv})
                rows[-1] |= areas(bound, image, found, hidden, seed) | {
                    "loss": loss(bound, image, found, hidden, l1, tv)
                }
        print(picture, flush=True)
    save(f"igos_ablation_{name}", rows, pictures=len(images))


if __name__ == "__main__":
    main(*sys.argv[1:])
