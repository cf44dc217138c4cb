"""Which class a target names, and when it might be two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legstat.data import digits_model_path, load_digit
from legstat.responses.network.labels import find_class, read_labels
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.onnx.opening import onnx_response, reopen_onnx

DIGITS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "0")


@pytest.mark.parametrize(("target", "index"), [(7, 7), ("index:7", 7), ("label:7", 6), ("label:0", 9)])
def test_labels_that_are_numbers_have_a_spelling(target: int | str, index: int) -> None:
    assert find_class("f", target, DIGITS, 10) == index


def test_digits_with_two_readings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"index 7 \(target='index:7'\) or the label of class 6 \(.*'label:7'"):
        find_class("f", "7", DIGITS, 10)
    with pytest.raises(ValueError, match=r"`target` must be unambiguous. Got ' 0'"):
        find_class("f", " 0", DIGITS, 10)


def test_digits_with_one_reading_are_taken() -> None:
    assert find_class("f", "7", tuple("0123456789"), 10) == 7  # both readings are one class
    assert find_class("f", "3", ("a", "b", "c", "d"), 4) == 3
    assert find_class("f", "9", ("a", "9"), 2) == 1  # no class has that index
    assert find_class("f", "3", None, None) == 3
    with pytest.raises(ValueError, match="one of the 2 labels"):
        find_class("f", "²", ("a", "b"), 2)


def test_a_class_called_top_is_no_first_choice() -> None:
    names = [*"abcdefghi", "Top"]
    with pytest.raises(ValueError, match=r"choice \(target='index:top'\) or the label of class 9 \(.*'label:top'"):
        onnx_response(digits_model_path(), labels=names)
    image, _ = load_digit(0)
    first, _ = onnx_response(digits_model_path()).bind(image)
    meant, _ = onnx_response(digits_model_path(), labels=names, target="index:top").bind(image)
    assert meant.target == first.target
    assert onnx_response(digits_model_path(), labels=names, target="label:top").target == 9
    assert onnx_response(digits_model_path(), labels=names, target=("a", "label:top"), score="difference").target == (
        0,
        9,
    )


@pytest.mark.parametrize("name", ["labels.txt", "labels.json"])
def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('["cat", "dog"]' if name.endswith("json") else "cat\ndog\n", encoding="utf-8-sig")
    assert read_labels("f", path) == ("cat", "dog")


def test_a_byte_order_mark_is_no_part_of_a_rule(tmp_path: Path) -> None:
    path = tmp_path / "rule.toml"
    path.write_text("scale = 255.0\n", encoding="utf-8-sig")
    assert Preprocessing.from_toml(path).scale == 255.0


def test_several_classes_have_the_sum_of_their_probabilities() -> None:
    image = np.random.default_rng(0).random((1, 8, 8))
    names = [*"abcdefghij"]
    whole, _ = onnx_response(digits_model_path(), labels=names, score="probability", target=0).bind(image)
    chances = np.array([whole.rescored("probability", k)(image[None].astype(np.float32))[0] for k in range(10)])
    order = np.argsort(-chances)
    settled, value = onnx_response(digits_model_path(), labels=names, score="probability", target="top:3").bind(image)
    assert settled.target == tuple(order[:3])
    assert settled.describe()["target_label"] == " + ".join(names[k] for k in order[:3])
    np.testing.assert_allclose(value, chances[order[:3]].sum(), rtol=1e-12)
    again = onnx_response(digits_model_path(), labels=names, score="probability", target="top:3")
    assert again.resolved(settled.describe()).target == settled.target
    reopened = reopen_onnx(settled.describe(), digits_model_path(), labels=names)
    assert reopened.resolved(settled.describe()).fingerprint == settled.fingerprint
    pair, both = onnx_response(digits_model_path(), labels=names, score="probability", target=("c", 7)).bind(image)
    np.testing.assert_allclose(both, chances[2] + chances[7], rtol=1e-12)
    assert pair.bounded


@pytest.mark.parametrize(
    ("target", "score", "text"),
    [
        ("top:10", "probability", r"'top:1' to 'top:9' of 10 classes.*Got 'top:10'.*always have probability 1"),
        ("top:0", "probability", r"`target` must be 'top:1'"),
        ("top:3", "log_odds", r"one class for score='log_odds'.*p_a \+ p_b score='probability'"),
        ((3, 3), "probability", r"one class or several different ones"),
        ((), "probability", r"one class or several different ones"),
        ((1, 10), "probability", r"class index in 0\.\.9"),
    ],
)
def test_several_classes_that_cannot_be(target: object, score: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        onnx_response(digits_model_path(), score=score, target=target)  # type: ignore[arg-type]


def test_a_difference_has_no_probability_of_its_own() -> None:
    response = onnx_response(digits_model_path(), score="difference", target=(3, 4))
    with pytest.raises(ValueError, match=r"`target` must be given for score='probability'"):
        response.as_probability()
