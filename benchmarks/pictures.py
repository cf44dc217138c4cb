"""Real networks and pictures for the studies: read from the folder that LEGSTAT_DATA names, never copied."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import legstat as ls
from legstat._core.typing import FloatArray

DATA = Path(os.environ.get("LEGSTAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
FIRST = "n02099601"  # the golden retriever of the LEG paper's Fig. 2
NETWORKS = {"mobilenet_v2_1.0_224": "tf", "squeezenet1.1": "caffe"}


def network(name: str, score: str = "log_odds", threads: int | None = None) -> ls.Response:
    """The network with target "top"."""
    return ls.onnx_response(
        DATA / "models" / f"{name}.onnx", preprocessing=NETWORKS[name], score=score, threads=threads
    )


def classified(name: str, count: int, least: float = 0.3) -> list[tuple[str, FloatArray]]:
    """The golden retriever and the first pictures of images/samples classified correctly with p > `least`."""
    f = network(name, score="probability")
    with (DATA / "labels" / "imagenet_samples.csv").open() as file:
        rows = list(csv.DictReader(file))
    rows.sort(key=lambda row: not row["file"].startswith(FIRST))
    found: list[tuple[str, FloatArray]] = []
    for row in rows:
        image = f.load_image(DATA / "images" / "samples" / row["file"])
        settled, p = f.bind(image)
        if settled.describe()["target"] == int(row["label"]) and p > least:
            found.append((Path(row["file"]).stem, image))
        if len(found) == count:
            break
    return found
