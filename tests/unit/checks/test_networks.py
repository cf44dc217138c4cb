"""Checks of a network: fed rightly, alike alone and in company, and again."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import legstat as ls
from legstat import checks
from legstat.data import digits_model_path, load_digit

DIGITS = [load_digit(i) for i in range(24)]
IMAGES, LABELS = [image for image, _ in DIGITS], [int(label) for _, label in DIGITS]


def digits(rule: ls.Preprocessing | str = "unit") -> ls.OnnxResponse:
    return ls.onnx_response(digits_model_path(), preprocessing=rule)


def test_a_network_that_is_fed_rightly_passes() -> None:
    found = checks.preprocessing(digits(), IMAGES, LABELS)
    assert found.status == "passed"
    assert found.value == np.mean([digits().bind(x)[0].describe()["top_x0"][0][0] == y for x, y in DIGITS])
    # rules: as given, scale 255 (raw is the same), tf; one evaluation of each picture for each, one to settle
    assert found.evaluations == 1 + 24 * len(found.details["top_1"])
    assert len(found.details["top_1"]) == 3


def test_a_wrong_scale_is_noticed() -> None:
    wrong = ls.Preprocessing(scale=1 / 255)
    found = checks.preprocessing(digits(wrong), IMAGES, LABELS)
    assert found.status == "failed"
    top = found.details["top_1"]
    assert top["as given"] < 0.5 < top["unit"]
    assert "100%" in found.meaning


def test_wrong_labels_are_noticed() -> None:
    found = checks.preprocessing(digits(), IMAGES, [(label + 1) % 10 for label in LABELS])
    assert found.status == "failed"


@pytest.mark.parametrize(("n", "labels"), [(5, LABELS[:5]), (24, None)])
def test_without_enough_labels_nothing_is_claimed(n: int, labels: list[int] | None) -> None:
    found = checks.preprocessing(digits(), IMAGES[:n], labels)
    assert found.status == "not_applicable"
    assert found.evaluations > 0
    assert "8 pictures or more" in found.meaning  # and how that is done
    assert "--truth" in found.meaning


def test_a_plain_function_has_no_preprocessing() -> None:
    assert checks.preprocessing(ls.simulate.linear(np.eye(8)), IMAGES, LABELS).status == "not_applicable"


def test_labels_by_name_and_labels_that_are_none() -> None:
    names = [f"digit {i}" for i in range(10)]
    named = ls.onnx_response(digits_model_path(), preprocessing="unit", labels=names)
    assert checks.preprocessing(named, IMAGES, [names[i] for i in LABELS]).status == "passed"
    with pytest.raises(ValueError, match="`labels` must be indices from 0 to 9"):
        checks.preprocessing(digits(), IMAGES, ["four"] * 24)
    with pytest.raises(ValueError, match="one for each of 24 pictures"):
        checks.preprocessing(digits(), IMAGES, [1])


def test_company() -> None:
    found = checks.batch_independence(digits(), IMAGES[0])
    assert found.status == "passed"
    assert checks.batch_independence(digits().with_batch_size(1), IMAGES[0]).status == "not_applicable"
    assert checks.batch_independence(lambda x: x.mean(axis=(1, 2, 3)), IMAGES[0]).value == 0.0

    def crowd(x: np.ndarray) -> np.ndarray:
        return x.mean(axis=(1, 2, 3)) - x.mean()

    assert checks.batch_independence(crowd, IMAGES[0]).status == "failed"


def test_company_of_a_network_with_batch_statistics() -> None:
    torch = pytest.importorskip("torch", reason="modules are torch's")

    class Crowd(torch.nn.Module):
        def forward(self, x):  # torch's own convention
            return x.flatten(1)[:, :10] - x.mean()

    f = ls.torch_response(Crowd(), output_kind="logits", preprocessing="unit")
    found = checks.batch_independence(f, IMAGES[0])
    assert found.status == "failed"
    assert found.value is not None
    assert found.value > 0.01


def test_repetition() -> None:
    assert checks.determinism(digits(), IMAGES[0]).status == "passed"
    noise = np.random.default_rng(0)
    found = checks.determinism(lambda x: noise.standard_normal(len(x)), IMAGES[0], repeats=4)
    assert found.status == "failed"
    assert found.evaluations == 5


def test_evaluations_are_counted() -> None:
    asked = []

    def f(x: np.ndarray) -> np.ndarray:
        asked.append(len(x))
        return x.mean(axis=(1, 2, 3))

    for check in (checks.batch_independence, checks.determinism):
        asked.clear()
        assert check(f, IMAGES[0]).evaluations == sum(asked)


# ------------------------------------------------------------------------------------------------- on real networks


def imagenet(data_dir: Path) -> tuple[list[Path], list[int]]:
    rows = csv.DictReader((data_dir / "labels" / "imagenet_samples.csv").read_text(encoding="utf-8").splitlines())
    table = {row["file"]: int(row["label"]) for row in rows}
    files = sorted((data_dir / "images" / "samples").iterdir())[1:48:2]  # odd positions: nothing was tuned on them
    return files, [table[file.name] for file in files]


def cifar(data_dir: Path) -> tuple[list[np.ndarray], list[int]]:
    with np.load(data_dir / "images" / "cifar10_lossless_from_vnnlib.npz") as file:
        images, labels = file["images"], file["labels"]
    return [image.transpose(2, 0, 1) / 255.0 for image in images], [int(label) for label in labels]


RIGHT: dict[str, tuple[str | ls.Preprocessing, Callable[[Path], tuple[list, list[int]]]]] = {
    "mobilenet_v2_1.0_224": ("tf", imagenet),
    "squeezenet1.1": ("caffe", imagenet),
    "cifar10_resnet20": ("unit", cifar),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_real_networks_rightly_and_wrongly_fed(data_dir: Path, name: str) -> None:
    rule, source = RIGHT[name]
    pictures, labels = source(data_dir)
    f = ls.onnx_response(data_dir / "models" / f"{name}.onnx", preprocessing=rule)
    right = checks.preprocessing(f, pictures, labels)
    assert right.status == "passed", right.details
    mine = f.preprocessing
    for wrong in (
        mine.from_dict({**mine.to_dict(), "channel_order": "RGB" if mine.channel_order == "BGR" else "BGR"}),
        mine.from_dict({**mine.to_dict(), "scale": 1.0 if mine.scale == 255 else 255.0}),
    ):
        found = checks.preprocessing(f.with_preprocessing(wrong), pictures, labels)
        assert found.status == "failed", (wrong, found.details)
