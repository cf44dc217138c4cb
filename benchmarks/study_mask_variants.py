"""The mask with and without what regularises it, and the game of preservation (mask paper, Fig. 5; supplement, Fig. 9).

The digits of the package, masks of a cell a pixel, black as baseline, 100 iterations of Adam: our defaults; without
penalties and jitter; with our defaults in the preservation game. Of each: both areas, the roughness of the mask (mean
difference of neighbours over the mask's range), and the normalised score under the mask when black, the mean colour
and noise take what is hidden.

Run: PYTHONPATH=. python benchmarks/study_mask_variants.py [pictures]
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from pictures import in_bytes, small
from timing import RESULTS, save

import legstat as ls
from legstat.baselines import mask
from legstat.comparison.asking import Asking

VARIANTS: dict[str, dict[str, Any]] = {
    "deletion": {},
    "without penalties": {"l1": 0.0, "tv": 0.0, "jitter": 1, "start": "random"},
    "preservation": {"game": "preservation"},
}
PERTURBATIONS: tuple[Any, ...] = ("black", "mean", "noise")


def main(pictures: int = 24) -> None:
    """Run and save."""
    asked, exact, images = small("digits", pictures)
    rows: list[dict[str, Any]] = []
    maps = {}
    for seed, (picture, (image, _)) in enumerate(images.items()):
        bound, _ = asked.bind(image)
        for variant, changes in VARIANTS.items():
            found = mask(exact, image, rng=seed, iterations=100, shape=(8, 8), baseline="black", **changes)
            kept = found.mask
            steps = np.concatenate([np.abs(np.diff(kept, axis=axis)).ravel() for axis in (0, 1)])
            row = {"picture": picture, "variant": variant, "roughness": float(steps.mean() / max(np.ptp(kept), 1e-12))}
            for perturbation in PERTURBATIONS:
                asking = Asking("study_mask_variants", bound.as_probability(), image, 3, perturbation)
                under, everything = asking.scores(np.stack([kept, np.zeros_like(kept)]))
                row[perturbation] = float((under - everything) / (asking.f_x0 - everything))
            for curve in (ls.metrics.deletion, ls.metrics.insertion):
                row[curve.__name__] = curve(bound, image, found.saliency, baseline="black", rng=seed).area
            rows.append(row)
            maps[f"{picture} {variant}"] = in_bytes(kept)
    save("mask_variants", rows)
    np.savez_compressed(RESULTS / "mask_variants.npz", **maps)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
