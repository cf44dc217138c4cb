"""mask and I-GOS, with exact gradients and with queries alone, against a random and a centre map on a real network.

Protocol: MobileNetV2, 28 x 28 cells, probability of the first choice along 28 steps of 28 cells, blurred picture for
both curves. The mask takes 100 iterations of Adam (paper: 300). Exact gradients are those of the ONNX graph followed
with torch; maps from queries and all curves are ONNX Runtime's. Settings were searched on three other pictures.

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_baselines.py [pictures] [queries]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from pictures import DATA, classified, network
from timing import save

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.baselines import BaselineResult, igos, mask
from legstat.comparison.methods.controls import CentreMap, RandomMap
from tests.helpers_torch import OnnxModule

NAME, SHAPE, STEPS = "mobilenet_v2_1.0_224", (28, 28), 28
SEARCHED = ("n01704323", "n02389026", "n02879718")
"""Pictures that settings were searched on."""


def areas(response: ls.Response, image: FloatArray, saliency: FloatArray) -> tuple[float, float]:
    """Areas under the insertion and the deletion curve."""
    return tuple(  # type: ignore[return-value]
        curve(response, image, saliency, steps=STEPS).area for curve in (ls.metrics.insertion, ls.metrics.deletion)
    )


def main(pictures: int = 6, queries: int = 2000) -> None:
    """Run the study, print its table, and save it."""
    module = OnnxModule(DATA / "models" / f"{NAME}.onnx", "logits")
    settings = ls.TorchSettings(channels_last=True)
    torch_network = ls.torch_response(
        module, preprocessing="tf", output_kind="logits", input_shape=(3, 224, 224), settings=settings
    )
    onnx_network = network(NAME)
    runs: dict[str, Callable[[FloatArray], FloatArray | BaselineResult]] = {
        "random": lambda image: RandomMap(SHAPE)(onnx_network, image, 0, 0).saliency,
        "centre": lambda image: CentreMap(SHAPE)(onnx_network, image, 0, 0).saliency,
        "igos, exact": lambda image: igos(torch_network, image, rng=0),
        "mask, exact": lambda image: mask(torch_network, image, rng=0, iterations=100),
        f"igos, {queries} queries": lambda image: igos(
            onnx_network, image, gradient="queries", n_queries=queries, rng=0
        ),
        f"mask, {queries} queries": lambda image: mask(
            onnx_network, image, gradient="queries", n_queries=queries, rng=0
        ),
    }
    found = [one for one in classified(NAME, pictures + len(SEARCHED)) if not one[0].startswith(SEARCHED)][:pictures]
    rows = []
    for name, run in runs.items():
        for picture, image in found:
            bound, _ = onnx_network.bind(image)
            start = time.process_time()
            made = run(image)
            seconds = time.process_time() - start
            saliency = made.saliency if isinstance(made, BaselineResult) else made
            insertion, deletion = areas(bound, image, saliency)
            spent = made.n_queries if isinstance(made, BaselineResult) else 0
            tied = made.tied if isinstance(made, BaselineResult) else 0
            rows.append({"picture": picture, "map": name, "insertion": insertion, "deletion": deletion,
                         "spent": spent, "tied": tied, "seconds": seconds})  # fmt: skip
            print(f"{picture} {name}: {insertion:.3f} {deletion:.3f} {insertion - deletion:.3f}", flush=True)
    save("study_baselines", rows)
    print("\n| map | insertion | deletion | difference | against centre (se) | evaluations | seconds |")
    print("|---|---|---|---|---|---|---|")
    centre = _differences(rows, "centre")
    for name in runs:
        own, mine = [row for row in rows if row["map"] == name], _differences(rows, name)
        paired = mine - centre
        error = paired.std(ddof=1) / np.sqrt(len(paired))
        means = [np.mean([row[key] for row in own]) for key in ("insertion", "deletion", "spent", "seconds")]
        print(
            f"| {name} | {means[0]:.3f} | {means[1]:.3f} | {mine.mean():.3f} | {paired.mean():+.3f} ({error:.3f}) | "
            f"{means[2]:.0f} | {means[3]:.0f} |"
        )


def _differences(rows: list[dict[str, object]], name: str) -> FloatArray:
    return np.array([row["insertion"] - row["deletion"] for row in rows if row["map"] == name])  # type: ignore[operator]


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
