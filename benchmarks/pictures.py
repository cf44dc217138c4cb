"""Real networks and pictures for the studies: read from the folder that LEGSTAT_DATA names, never copied."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import legstat as ls
from legstat._core.typing import FloatArray
from legstat.data import digits_model_path, load_digit

if TYPE_CHECKING:
    from tests.helpers_torch import OnnxModule

DATA = Path(os.environ.get("LEGSTAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
Labelled = tuple[FloatArray, int]
FIRST = "n02099601"  # the golden retriever of the LEG paper's Fig. 2
NETWORKS = {"mobilenet_v2_1.0_224": "tf", "squeezenet1.1": "caffe"}


def network(name: str, score: str = "log_odds", threads: int | None = None) -> ls.Response:
    """The network with target "top"."""
    return ls.onnx_response(
        DATA / "models" / f"{name}.onnx", preprocessing=NETWORKS[name], score=score, threads=threads
    )


def torch_network(name: str, score: str = "log_odds") -> tuple[OnnxModule, ls.Response]:
    """The same network followed with torch, for gradients: the module, and the response with target "top"."""
    from tests.helpers_torch import OnnxModule

    module = OnnxModule(DATA / "models" / f"{name}.onnx", "logits")
    settings = ls.TorchSettings(channels_last=True)
    return module, ls.torch_response(
        module,
        preprocessing=NETWORKS[name],
        output_kind="logits",
        input_shape=(3, 224, 224),
        score=score,
        settings=settings,
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


SMALL: dict[str, dict[str, Any]] = {
    "digits": {"preprocessing": "unit", "input_shape": (1, 8, 8)},
    "cifar10_resnet20": {"preprocessing": "unit", "input_shape": (3, 32, 32)},
    "cifar10_resnet_4b_robust": {
        "preprocessing": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2471, 0.2435, 0.2616]},
        "input_shape": (3, 32, 32),
    },
}
"""Networks for small pictures: the one that comes with the package, and CIFAR's."""


def small_network(name: str, target: Any = "top", score: str = "log_odds") -> tuple[ls.Response, ls.Response]:
    """A small network by ONNX Runtime, and with torch for gradients."""
    from tests.helpers_torch import OnnxModule

    path = digits_model_path() if name == "digits" else DATA / "models" / f"{name}.onnx"
    module, how = OnnxModule(path, "logits" if name == "cifar10_resnet20" else None), SMALL[name]
    asked = ls.onnx_response(path, threads=1, target=target, score=score, preprocessing=how["preprocessing"])
    return asked, ls.torch_response(module, output_kind="logits", target=target, score=score, **how)


def small(name: str, count: int, *, right: bool = True) -> tuple[ls.Response, ls.Response, dict[str, Labelled]]:
    """Both responses, and the first pictures that the network gets right, or wrong, with their labels."""
    asked, exact = small_network(name)
    found: dict[str, Labelled] = {}
    for number, (picture, label) in enumerate(labelled(name)):
        if (asked.bind(picture)[0].describe()["target"] == label) == right:
            found[f"{name} {number}"] = picture, label
        if len(found) == count:
            break
    return asked, exact, found


def labelled(name: str) -> Iterator[Labelled]:
    """The pictures of a small network's data, with their labels."""
    if name == "digits":
        yield from (load_digit(i) for i in range(397))
        return
    with np.load(DATA / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
        pictures, labels = file["images"].transpose(0, 3, 1, 2) / 255.0, file["labels"]
    yield from zip(pictures, map(int, labels), strict=True)


def in_bytes(saliency: FloatArray) -> NDArray[np.uint8]:
    """A map in 256 steps between its least and its largest value: what figures need of it."""
    low, span = saliency.min(), np.ptp(saliency) or 1.0
    return np.round(255.0 * (saliency - low) / span).astype(np.uint8)
