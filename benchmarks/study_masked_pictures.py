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
from timing import RESULTS, machine

import legstat as ls
from legstat._core.files import json_text, write_text
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
    """Make the maps, mask them, save what came of each picture."""
    file = RESULTS / "masked_pictures.json"
    kept: list[dict[str, Any]] = json.loads(file.read_text())["rows"] if file.is_file() else []
    for name, layer in LAYERS.items():
        asked, (module, torch_response) = network(name, threads=1), torch_network(name)
        methods: list[Method] = [*(METHODS[one]() for one in NAMES), GradCamMap(layer=module.layer(layer))]
        for picture in PICTURES:
            image = asked.load_image(DATA / "images" / "samples" / f"{picture}.JPEG")
            bound, _ = asked.bind(image)
            made = {}
            for method in methods:
                if not only or method.name in only:
                    response = torch_response if method.name == "gradcam" else bound
                    saliency = method(response, image, QUERIES, np.random.default_rng(SEED))
                    made[method.name] = {"network": name, "picture": picture, **masked_by(bound, image, saliency)}
            about = {(row["network"], row["picture"], row["method"]): row for row in kept}
            about |= {(name, picture, method): row | {"method": method} for method, row in made.items()}
            order = [(n, p, m.name) for n in LAYERS for p in PICTURES for m in methods]
            kept = [about[key] for key in order if key in about]
            facts = {"networks": list(NETWORKS), "n_queries": QUERIES, "masked": MASKED, "machine": machine()}
            write_text(file, json_text({**facts, "rows": kept}) + "\n")
            print(name, picture, {method: round(row["black"], 3) for method, row in made.items()}, flush=True)


def masked_by(bound: ls.Response, image: Any, made: Any) -> dict[str, Any]:
    """What the maskings leave, and the cells that a map puts first."""
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
    return {
        "spent": made.n_queries,
        "p at x0": float(curves["black"].probabilities[0]),
        **{masking: float(curve.probabilities[-1]) for masking, curve in curves.items()},
        "first cells": order[: round(MASKED * made.saliency.size)].tolist(),
        "tied": tied,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
