"""The ONNX networks of LEGSTAT_DATA as torch modules: the same outputs; and counterfactuals of the robust ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import legstat as ls

pytest.importorskip("torch", reason="exact gradients are torch's")
pytest.importorskip("onnxruntime", reason="the reference is ONNX Runtime")
from tests.helpers_torch import OnnxModule

CIFAR = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2471, 0.2435, 0.2616]}
NETWORKS = {
    "mnist_kw_robust": ("unit", (1, 28, 28), "logits"),
    "leg_mnist_cnn": ({"mean": 0.5, "std": 0.5}, (1, 28, 28), "logits"),
    "cifar10_resnet20": ("unit", (3, 32, 32), "logits"),
    "cifar10_resnet_4b_robust": (CIFAR, (3, 32, 32), None),
    "squeezenet1.1": ("caffe", (3, 224, 224), "logits"),
    "mobilenet_v2_1.0_224": ("tf", (3, 224, 224), "logits"),
}


def as_torch(data: Path, name: str, **options) -> ls.TorchResponse:
    rule, _, output = NETWORKS[name]
    module = OnnxModule(data / "models" / f"{name}.onnx", output)
    return ls.torch_response(module, preprocessing=rule, output_kind="logits", **options)


def as_onnx(data: Path, name: str, **options) -> ls.OnnxResponse:
    return ls.onnx_response(data / "models" / f"{name}.onnx", preprocessing=NETWORKS[name][0], **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_module_that_follows_the_graph_has_its_outputs(name, data_dir):
    image = np.random.default_rng(0).random(NETWORKS[name][1])
    ours, theirs = (
        f.bind(image)[0].class_outputs(image[None].astype(np.float32))
        for f in (as_torch(data_dir, name), as_onnx(data_dir, name))
    )
    # single precision, sums in another order
    np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=1e-5 * max(1.0, float(np.abs(theirs).max())))


def digits(data: Path, n: int) -> list[tuple[np.ndarray, int]]:
    names = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    raw = [np.frombuffer(gzip.decompress((data / "mnist" / name).read_bytes()), np.uint8) for name in names]
    pictures, labels = raw[0][16:].reshape(-1, 1, 28, 28), raw[1][8:]
    return [(pictures[i] / 255.0, int(labels[i])) for i in range(n)]


def cifar(data: Path, n: int) -> list[tuple[np.ndarray, int]]:
    with np.load(data / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
        pictures, labels = file["images"].transpose(0, 3, 1, 2) / 255.0, file["labels"]
    return [(pictures[i], int(labels[i])) for i in range(n)]


ROBUST = {"mnist_kw_robust": (digits, 60.0), "cifar10_resnet_4b_robust": (cifar, 60.0)}
"""Pictures, and a radius of the l1 ball: .08 of the greatest change that MNIST pictures could have, .02 of CIFAR's."""


@pytest.mark.slow
@pytest.mark.parametrize("ball", ["l1", "l2"])
@pytest.mark.parametrize("name", ROBUST)
def test_counterfactuals_of_robust_networks_reach_the_target_within_the_ball(name, ball, data_dir):
    read, radius = ROBUST[name]
    epsilon = radius if ball == "l1" else radius / np.sqrt(np.prod(NETWORKS[name][1]))
    raised, queried, flipped = [], [], 0
    for image, label in read(data_dir, 4):
        target = (label + 1) % 10
        exact = ls.baselines.l1q(as_torch(data_dir, name, target=target), image, epsilon=epsilon, q=0.9, ball=ball)
        assert exact.trace[f"norm_{ball}"].max() <= epsilon * (1.0 + 1e-12)
        raised.append(exact.source["score"] - exact.source["f_x0"])
        shifted = (image + exact.solution)[None].astype(np.float32)
        flipped += int(as_torch(data_dir, name).bind(image)[0].top_classes(shifted)[0] == target)
        how = {"gradient": "queries", "n_queries": 2000, "rng": 0}
        found = ls.baselines.l1q(
            as_onnx(data_dir, name, target=target), image, epsilon=epsilon, q=0.9, ball=ball, **how
        )
        assert found.n_queries <= 2000
        queried.append(found.source["score"] - found.source["f_x0"])
    print(name, ball, "exact", np.round(raised, 2), "flipped", flipped, "queries", np.round(queried, 2))  # noqa: T201
    assert min(raised) > 0.0
    assert np.mean(queried) > 0.0
