"""The LEG paper's Fig. 5 and 6: the 10 % of a picture that maps call most salient, masked.

The pictures that the paper names (golden retriever, gibbon, howler monkey); maps of 28 x 28 cells by the methods of its
Table 1, 500 counted evaluations each, Grad-CAM of the last convolutions. Each map is masked by the paper's four ways,
noise three times.

Run: LEGSTAT_DATA=... PYTHONPATH=. python benchmarks/study_masked_pictures.py [METHOD ...]; the stored rows of methods
that are not named stay.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
from pictures import DATA, NETWORKS, network, torch_network
from timing import RESULTS, save

import legstat as ls
from legstat.comparison.by_name import METHODS
from legstat.comparison.method import Method
from legstat.comparison.methods.gradients import GradCamMap
from legstat.metrics.masked import ranked

PICTURES = ("n02099601_golden_retriever", "n02483362_gibbon", "n02492660_howler_monkey")
LAYERS = {"mobilenet_v2_1.0_224": "clip271", "squeezenet1.1": "concat111"}
"""Tensors that Grad-CAM is of: the last convolutions' features."""
NAMES = ("leg", "legtv", "rise", "lime_superpixels", "kernelshap", "c_shapley", "random")
MASKINGS = ("distance", "black", "mean", "noise")
QUERIES, MASKED, SEED = 500, 0.1, 0


def main(*only: str) -> None:
    """Make the maps, mask them, save what came of it."""
    rows: list[dict[str, Any]] = []
    for name, layer in LAYERS.items():
        asked, (module, torch_response) = network(name), torch_network(name)
        methods: list[Method] = [*(METHODS[one]() for one in NAMES), GradCamMap(layer=module.layer(layer))]
        for picture in PICTURES:
            image = asked.load_image(DATA / "images" / "samples" / f"{picture}.JPEG")
            bound, _ = asked.bind(image)
            for method in methods:
                if only and method.name not in only:
                    continue
                response = torch_response if method.name == "gradcam" else bound
                made = method(response, image, QUERIES, np.random.default_rng(SEED))
                curves = {
                    masking: ls.metrics.masking_curve(
                        bound, image, made.saliency, masking=masking, fractions=[0.0, MASKED], repeats=3
                    )
                    for masking in MASKINGS
                }
                # the order that the curves have masked in, ties as their seed ranked them
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ls.LegstatWarning)  # of constant maps: the curves tell
                    order, tied = ranked("masking_curve", made.saliency, 0)
                rows.append(
                    {
                        "network": name,
                        "picture": picture,
                        "method": method.name,
                        "spent": made.n_queries,
                        "p at x0": float(curves["black"].probabilities[0]),
                        **{masking: float(curve.probabilities[-1]) for masking, curve in curves.items()},
                        "first cells": order[: round(MASKED * made.saliency.size)].tolist(),
                        "tied": tied,
                    }
                )
                print(name, picture, method.name, rows[-1]["black"], flush=True)
    file = RESULTS / "masked_pictures.json"
    if only and file.is_file():
        rows = [row for row in json.loads(file.read_text())["rows"] if row["method"] not in only] + rows
    save("masked_pictures", rows, networks=list(NETWORKS), n_queries=QUERIES, masked=MASKED)


if __name__ == "__main__":
    main(*sys.argv[1:])
