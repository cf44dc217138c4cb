"""The eight real models, as their users have them, against the measured accuracies of the data folder."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from legstat.cli import app
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.onnx.opening import onnx_response
from legstat.responses.onnx.response import OnnxResponse

CIFAR = Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616))


def open_model(data_dir: Path, name: str, preprocessing: Preprocessing | str, **more: object) -> OnnxResponse:
    return onnx_response(data_dir / "models" / f"{name}.onnx", preprocessing=preprocessing, **more)


def listed(data_dir: Path, table: str, folder: str) -> list[tuple[Path, int]]:
    """Pictures and their labels, as a table of the data folder has them."""
    with (data_dir / "labels" / table).open(newline="") as stream:
        return [(data_dir / "images" / folder / row["file"], int(row["label"])) for row in csv.DictReader(stream)]


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> list[tuple[Path, int]]:
    return listed(data_dir, "imagenet_samples.csv", "samples")


@pytest.fixture(scope="module")
def boxed(data_dir: Path) -> list[tuple[Path, int]]:
    return listed(data_dir, "imagenet_val_boxed.csv", "boxed")


def digits(data_dir: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first test digits as levels (n, 28, 28), and what they are."""
    with gzip.open(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz") as stream:
        images = np.frombuffer(stream.read(16 + n * 784), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(data_dir / "mnist" / "t10k-labels-idx1-ubyte.gz") as stream:
        return images, np.frombuffer(stream.read(8 + n), np.uint8, offset=8)


def top(f: OnnxResponse, images: np.ndarray) -> np.ndarray:
    """First choices."""
    settled, _ = f.bind(images[0])
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
    assert other.bind(images[0])[0].describe()["probability_x0"] != f.bind(images[0])[0].describe()["probability_x0"]


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
    levels, labels = digits(data_dir, 2000)
    images = levels[:, None] / 255.0
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


# -- as their users run them -------------------------------------------------------------------------------------------

ROTTWEILER = "images/samples/n02106550_Rottweiler.JPEG"
CASES = {
    "mobilenet_v2_1.0_224": ("tf", ROTTWEILER, 234),
    "squeezenet1.1": ("caffe", ROTTWEILER, 234),
    "SqueezeNet_fp16": ("caffe", ROTTWEILER, 234),
    "mnist_cntk": ("raw", "digit", 7),
    "leg_mnist_cnn": ("tf", "digit", 7),
    "mnist_kw_robust": ("unit", "digit", 7),
    "cifar10_resnet20": ("unit", "cifar", 6),
    "cifar10_resnet_4b_robust": ("cifar.toml", "cifar", 6),
}
"""Preprocessing that the user states, picture, and what is on it."""


def command(data_dir: Path, folder: Path, name: str, *more: object) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``legstat explain`` with a small budget."""
    _, what, _ = CASES[name]
    picture = data_dir / what
    if what == "digit":
        picture = folder / "digit.png"
        Image.fromarray(digits(data_dir, 1)[0][0]).save(picture)
    elif what == "cifar":
        picture = folder / "cifar.png"
        with np.load(data_dir / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
            Image.fromarray(file["images"][0]).save(picture)
    arguments = [picture, "--model", data_dir / "models" / f"{name}.onnx", "--n-queries", 40, "--grid", "4x4"]
    done = CliRunner().invoke(app, ["explain", *map(str, [*arguments, "--out", folder / "out", *more])])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("name", CASES)
def test_every_model_through_the_command_line(data_dir: Path, tmp_path: Path, name: str) -> None:
    preprocessing, what, label = CASES[name]
    if preprocessing == "cifar.toml":
        preprocessing = str(tmp_path / "cifar.toml")
        Path(preprocessing).write_text("mean = [0.4914, 0.4822, 0.4465]\nstd = [0.2471, 0.2435, 0.2616]\n", "utf-8")
    more = ["--labels", data_dir / "labels" / "imagenet_class_index.json"] if what == ROTTWEILER else []
    code, said, wrong = command(data_dir, tmp_path, name, "--preprocessing", preprocessing, *more)
    assert (code, wrong) == (0, "")
    about = json.loads((tmp_path / "out" / "record.json").read_text(encoding="utf-8"))["response"]
    assert about["target"] == label
    assert about["output_kind"] == "logits"  # the softmax inside one of them is read before it
    assert f"First choices at the picture: {label}" in said
    assert ("Rottweiler" in said) == (what == ROTTWEILER)
    if name == "mnist_cntk":  # what is assumed without a word is said, with what to pass
        code, _, wrong = command(data_dir, tmp_path, name)
        assert code == 0
        assert "no --preprocessing: the network is taken to want [0, 1]" in wrong


def test_what_the_user_has_to_give_is_said(data_dir: Path, tmp_path: Path) -> None:
    for name, more, remedy in [
        ("leg_mnist_cnn", ("--preprocessing", "imagenet"), "'unit', 'raw' and 'tf' fit any"),
        ("mnist_cntk", ("--target", "seven"), "Pass `labels=`"),
        ("squeezenet1.1", ("--preprocessing", "vgg"), "one of the presets"),
        ("cifar10_resnet20", ("--grid", "33x5"), "a grid of at most 32 x 32 cells"),
    ]:
        code, _, wrong = command(data_dir, tmp_path, name, *more)
        assert code == 2
        assert remedy in wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preprocessing", "of_boxed", "of_samples"),
    [("mobilenet_v2_1.0_224", "tf", 0.735, 0.85), ("squeezenet1.1", "caffe", 0.618, None)],
)
def test_accuracy_on_the_pictures_of_the_data_folder(
    data_dir: Path,
    samples: list[tuple[Path, int]],
    boxed: list[tuple[Path, int]],
    name: str,
    preprocessing: str,
    of_boxed: float,
    of_samples: float | None,
) -> None:
    f = open_model(data_dir, name, preprocessing)
    for pictures, measured in ((boxed, of_boxed), (samples, of_samples)):
        if measured is not None:
            hits = top(f, np.stack([f.load_image(file) for file, _ in pictures])) == [label for _, label in pictures]
            # one picture of tolerance: a close decision may turn with the resize filter's version
            assert hits.mean() == pytest.approx(measured, abs=1.5 / len(pictures))


@pytest.mark.slow
def test_float16_squeezenet_decides_as_the_float32_one(data_dir: Path, samples: list[tuple[Path, int]]) -> None:
    wide, half = (open_model(data_dir, name, "caffe") for name in ("squeezenet1.1", "SqueezeNet_fp16"))
    images = np.stack([wide.load_image(file) for file, _ in samples[:40]])
    assert np.array_equal(top(wide, images), top(half, images))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "preprocessing", "accuracy"),
    [("mnist_cntk", "raw", 0.989), ("leg_mnist_cnn", "tf", 0.990), ("mnist_kw_robust", "unit", 0.982)],
)
def test_accuracy_on_all_test_digits(data_dir: Path, name: str, preprocessing: str, accuracy: float) -> None:
    levels, labels = digits(data_dir, 10_000)
    found = top(open_model(data_dir, name, preprocessing), levels[:, None] / 255.0)
    assert (found == labels).mean() == pytest.approx(accuracy, abs=0.0005)  # the table has three decimals
