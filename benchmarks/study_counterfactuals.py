"""l1-q's Fig. 1 to 3 on an adversarially trained CIFAR network: saliency, errors explained, concepts drawn from noise.

Fig. 1: gradients of `cifar10_resnet20` and of `cifar10_resnet_4b_robust`, and how far they follow the picture's edges.
Fig. 2: pictures that the robust network gets wrong, moved towards the class it chose and towards the true one, 30 steps
in the l2 ball and in that of l1-q. Fig. 3: noise moved towards classes in both balls. Radii are the paper's in the same
change per entry (12 and 35 of 3 x 224 x 224), l1's by its rule from l2's; q = .975 moves 2.5 % of the entries a step.

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_counterfactuals.py
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pictures import in_bytes, small, small_network
from timing import RESULTS, save

import legstat as ls
from legstat.comparison.methods.controls import EdgeMap
from legstat.comparison.methods.gradients import GradientMap
from legstat.metrics.faithfulness import rank_correlation

PLAIN, ROBUST = "cifar10_resnet20", "cifar10_resnet_4b_robust"
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ENTRIES = 3 * 32 * 32
ERROR, CONCEPT = (radius * np.sqrt(ENTRIES / (3 * 224 * 224)) for radius in (12.0, 35.0))
CONCEPTS = (0, 1, 7, 8)


def first_choice(picture: Any) -> int:
    """Of the robust network."""
    return int(small_network(ROBUST)[0].bind(picture)[0].describe()["target"])


def towards(image: Any, target: int, ball: str, radius: float) -> tuple[dict[str, Any], Any]:
    """What moving a picture towards a class in a ball does to its probability, and the shift."""
    asked, exact = small_network(ROBUST, target, "probability")
    epsilon = radius if ball == "l2" else radius * np.sqrt(ENTRIES)
    found = ls.baselines.l1q(exact, image, epsilon=epsilon, ball=ball, q=0.975, iterations=30)
    before, after = (asked.bind(one)[1] for one in (image, found.picture))
    row = {
        "ball": ball,
        "target": target,
        "before": before,
        "after": after,
        "first choice": first_choice(found.picture),
    }
    # how much of the change the most changed tenth of the entries holds: 0.1 where all change alike
    size = np.sort(np.abs(found.solution), axis=None)[::-1]
    return row | {"held by a tenth": float(size[: size.size // 10].sum() / size.sum())}, found.solution


def main() -> None:
    """Make all three, save numbers and what figures show."""
    rows: list[dict[str, Any]] = []
    shown: dict[str, Any] = {}
    _, _, wrong = small(ROBUST, 6, right=False)
    for name, (image, label) in wrong.items():
        chosen = first_choice(image)
        for kind, target in (("prediction", chosen), ("label", label)):
            for ball in ("l2", "l1"):
                row, shift = towards(image, target, ball, ERROR)
                rows.append({"figure": 2, "picture": name, "label": label, "chosen": chosen, "kind": kind, **row})
                shown[f"2 {name} {kind} {ball}"] = np.round(np.clip(127.5 + 5 * 127.5 * shift, 0, 255)).astype(np.uint8)
    rng = np.random.default_rng(0)
    for target in CONCEPTS:
        noise = rng.standard_normal((3, 32, 32))
        noise = (noise - noise.min()) / np.ptp(noise)
        for ball in ("l2", "l1"):
            row, shift = towards(noise, target, ball, CONCEPT)
            rows.append({"figure": 3, "picture": "noise", **row})
            shown[f"3 {NAMES[target]} {ball}"] = np.round(255 * np.clip(noise + shift, 0, 1)).astype(np.uint8)
    for name, (image, _) in small(ROBUST, 12)[2].items():
        edges = EdgeMap((32, 32))(small_network(ROBUST)[0], image, 0, 0).saliency
        for network in (PLAIN, ROBUST):
            saliency = GradientMap((32, 32))(small_network(network)[1], image, 2, 0).saliency
            agreement = rank_correlation(saliency, edges)
            rows.append({"figure": 1, "picture": name, "network": network, "rank correlation with edges": agreement})
            shown[f"1 {name} {network}"] = in_bytes(saliency)
    save("counterfactuals", rows)
    np.savez_compressed(RESULTS / "counterfactuals.npz", **shown)


if __name__ == "__main__":
    main()
