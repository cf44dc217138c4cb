"""The eight real models, as their users have them, against the measured accuracies of the data folder."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from legstat.responses import OnnxResponse, Preprocessing, onnx_response

CIFAR = Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616))


def open_model(data_dir: Path, name: str, preprocessing: Preprocessing | str, **more: object) -> OnnxResponse:
    return onnx_response(data_dir / "models" / f"{name}.onnx", preprocessing=preprocessing, **more)


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> list[tuple[Path, int]]:
    with (data_dir / "labels" / "imagenet_samples.csv").open(newline="") as stream:
        return [(data_dir / "images" / "samples" / row["file"], int(row["label"])) for row in csv.DictReader(stream)]


def top(f: OnnxResponse, images: np.ndarray) -> np.ndarray:
    """First choices."""
    settled, _ = f.anchor(images[0])
    return settled.class_probabilities(images.astype(np.float32)).argmax(axis=1)


@pytest.mark.parametrize(
    ("name", "preprocessing", "least", "most"),
    [("mobilenet_v2_1.0_224", "tf", 17, 20), ("squeezenet1.1", "caffe", 15, 19), ("SqueezeNet_fp16", "caffe", 15, 19)],
)
def test_imagenet_networks(
    data_dir: Path, samples: list[tuple[Path, int]], name: str, preprocessing: str, least: int, most: int
) -> None:
    labels = data_dir / "labels" / "imagenet_class_index.json"
    f = open_model(data_dir, name, preprocessing, labels=labels)
    images = np.stack([f.load_image(file) for file, _ in samples[:20]])
    hits = int((top(f, images) == [label for _, label in samples[:20]]).sum())
    # 85 % measured over all 60 for MobileNet; the first 20 are binomial around that
    assert least <= hits <= most
    # the wrong channel order is worse: the preset is not without effect
    other = open_model(
        data_dir, name, {"preset": preprocessing, "channel_order": "BGR" if preprocessing == "tf" else "RGB"}
    )
    assert (
        other.anchor(images[0])[0].describe()["probability_x0"] != f.anchor(images[0])[0].describe()["probability_x0"]
    )


def test_float16_and_float32_squeezenet_agree(data_dir: Path, samples: list[tuple[Path, int]]) -> None:
    wide = open_model(data_dir, "squeezenet1.1", "caffe", target=207)
    half = open_model(data_dir, "SqueezeNet_fp16", "caffe", target=207)
    images = np.stack([wide.load_image(file) for file, _ in samples[:4]]).astype(np.float32)
    # float16 input and weights: relative rounding of 5e-4 on levels of up to 150, some 0.01 in the log-odds
    assert half(images) == pytest.approx(wide(images), abs=0.05)
    about = half.describe()
    assert about["batch"] == "fixed at 1, freed by changing the graph"
    assert about["output_inside_graph"]
    assert about["output_widened"]


@pytest.mark.parametrize(
    ("name", "preprocessing", "accuracy"),
    [("mnist_cntk", "raw", 0.989), ("leg_mnist_cnn", "tf", 0.990), ("mnist_kw_robust", "unit", 0.982)],
)
def test_digit_networks(data_dir: Path, name: str, preprocessing: str, accuracy: float) -> None:
    with gzip.open(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        images = np.frombuffer(stream.read(16 + 2000 * 784), np.uint8, offset=16).reshape(-1, 1, 28, 28) / 255.0
    with gzip.open(data_dir / "mnist" / "t10k-labels-idx1-ubyte.gz") as stream:
        labels = np.frombuffer(stream.read(8 + 2000), np.uint8, offset=8)
    f = open_model(data_dir, name, preprocessing)
    assert f.input_shape == (1, 28, 28)
    # the first 2,000 of the 10,000 that the figure is over: they are the harder ones by up to 1 %
    assert (top(f, images) == labels).mean() == pytest.approx(accuracy, abs=0.012)


@pytest.mark.parametrize(
    ("name", "preprocessing", "correct"),
    [("cifar10_resnet20", "unit", 61), ("cifar10_resnet_4b_robust", CIFAR, 61)],
)
def test_cifar_networks(data_dir: Path, name: str, preprocessing: Preprocessing | str, correct: int) -> None:
    with np.load(data_dir / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
        images, labels = file["images"].transpose(0, 3, 1, 2) / 255.0, file["labels"]
    hits = int((top(open_model(data_dir, name, preprocessing), images) == labels).sum())
    assert hits == correct


def test_bits_do_not_depend_on_batch_size_or_threads(data_dir: Path, samples: list[tuple[Path, int]]) -> None:
    for name, preprocessing in (("mobilenet_v2_1.0_224", "tf"), ("squeezenet1.1", "caffe")):
        f = open_model(data_dir, name, preprocessing, target=207)
        images = np.stack([f.load_image(file) for file, _ in samples[:5]]).astype(np.float32)
        for batch_size, threads in ((1, 1), (2, 2), (5, 1)):
            other = open_model(data_dir, name, preprocessing, target=207, batch_size=batch_size, threads=threads)
            assert np.array_equal(other(images), f(images))
