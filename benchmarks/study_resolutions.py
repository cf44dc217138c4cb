"""I-GOS' Tables 1 to 3 and Fig. 3 to 5: areas and seconds of masks of 224, 112, 28, 14 and 7 cells a side.

mask (100 iterations of the paper's 300) and I-GOS (8 of its 15, 10 points of its 20) with exact gradients and our
weights; integrated gradients and RISE where the paper has them, at a cell a pixel; Grad-CAM at the layer's own size;
beside them LEG-TV and a random map. What is hidden is blurred by 10 pixels of 224 for all, in maps and areas (I-GOS:
by 50), and areas are those at each map's own resolution. On MobileNetV2 and SqueezeNet a few pictures of the
comparison; on the network that comes with the package the first digits that it gets right, with 8, 4 and 2 cells a
side, hidden by black: a blur in that proportion hides nothing of them.

Run: [LEGSTAT_DATA=...] PYTHONPATH=. python benchmarks/study_resolutions.py NETWORK [--pictures 4]; a run that is
stopped goes on with the maps that are missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from pictures import NETWORKS, in_bytes, network, small, torch_network
from study_comparison import chosen
from study_masked_pictures import LAYERS
from timing import RESULTS, machine

import legstat as ls
from legstat._core.files import json_text, json_value, write_text
from legstat.baselines import igos, mask
from legstat.comparison.methods.controls import RandomMap
from legstat.comparison.methods.gradients import GradCamMap, IntegratedGradientsMap
from legstat.comparison.methods.masks import Rise
from legstat.comparison.methods.own import LegTvMap

FILE = RESULTS / "resolutions.json"
SIDES = dict.fromkeys(NETWORKS, (224, 112, 28, 14, 7)) | {"digits": (8, 4, 2)}
BASELINES = dict.fromkeys(NETWORKS, "blur") | {"digits": "black"}
QUERIES, FINEST = 1000, 28
"""Evaluations of maps that only ask, and cells a side that LEG-TV is tried with at most."""


def maps(name: str, asked: ls.Response, exact: ls.Response, layer: str | None) -> Iterator[tuple[str, int, Any]]:
    """Method, side, and what makes the map of a picture and a seed."""
    hidden: Any = BASELINES[name]
    for side in SIDES[name]:
        shape, how = (side, side), {"shape": (side, side), "baseline": hidden}
        yield "mask", side, lambda x, seed, how=how: mask(exact, x, rng=seed, iterations=100, **how)
        yield "igos", side, lambda x, seed, how=how: igos(exact, x, rng=seed, iterations=8, **how)
        yield "random", side, partial(_asking, RandomMap(shape), asked)
        if side == SIDES[name][0]:
            yield "rise", side, partial(_asking, Rise(shape, baseline=hidden), asked)
            yield "integrated_gradients", side, partial(_asking, IntegratedGradientsMap(shape, steps=50), exact)
        if side <= FINEST:
            yield "legtv", side, partial(_asking, LegTvMap(shape), asked)
    if layer is not None:
        side = 7 if name.startswith("mobile") else 14
        yield "gradcam", side, partial(_asking, GradCamMap((side, side), layer=layer), exact)


def _asking(method: Any, response: ls.Response, image: Any, seed: int) -> Any:
    return method(response, image, QUERIES, np.random.default_rng(seed))


def measured(bound: ls.Response, image: Any, make: Any, seed: int, hidden: Any) -> tuple[dict[str, Any], Any]:
    """Areas, seconds, evaluations, and the map."""
    start = time.process_time()
    made = make(image, seed)
    row: dict[str, Any] = {"seconds": time.process_time() - start, "n_queries": made.n_queries}
    for curve in (ls.metrics.deletion, ls.metrics.insertion):
        found = curve(bound, image, made.saliency, baseline=hidden, rng=seed)
        row[found.kind], row[f"{found.kind} curve"] = found.area, [round(float(p), 4) for p in found.scores]
    return row, made.saliency


def main() -> None:
    """Run what is missing, save after each map."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=SIDES)
    parser.add_argument("--pictures", type=int, default=4)
    options = parser.parse_args()
    name = options.network
    kept: dict[str, Any] = json_value(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {"rows": []}
    layer = None
    if name == "digits":
        asked, exact, given = small(name, options.pictures)
        pictures = {one: picture for one, (picture, _) in given.items()}
    else:
        asked, (module, exact) = network(name, threads=1), torch_network(name)
        pictures, layer = chosen(name, "cpu", options.pictures), module.layer(LAYERS[name])
    keys = ("network", "picture", "method", "side")
    done = {tuple(row[key] for key in keys) for row in kept["rows"]}
    arrays = RESULTS / f"resolutions_{name}.npz"
    for seed, (picture, image) in enumerate(pictures.items()):
        bound, _ = asked.bind(image)
        for method, side, make in maps(name, bound, exact, layer):
            if (name, picture, method, side) in done:
                continue
            row, saliency = measured(bound, image, make, seed, BASELINES[name])
            print(picture, method, side, {key: round(value, 3) for key, value in row.items() if "curve" not in key})
            if seed or name == "digits":
                del row["deletion curve"], row["insertion curve"]
            else:
                shown = dict(np.load(arrays)) if arrays.is_file() else {}
                np.savez_compressed(arrays, **shown, **{f"{name} {method} {side}": in_bytes(saliency)})
            kept["rows"].append(dict(zip(keys, (name, picture, method, side), strict=True)) | row)
            kept[f"machine, {name}"] = machine()
            write_text(FILE, json_text(kept) + "\n")


if __name__ == "__main__":
    main()
