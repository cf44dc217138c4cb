"""Plain functions as responses: shapes, errors, fingerprints."""

from __future__ import annotations

import math
import subprocess
import sys
import threading

import numpy as np
import pytest

from legstat._core.digests import value_sha256
from legstat.responses.base import Response
from legstat.responses.function import as_response


def mean_of(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2, 3))


class Scaled:
    """A callable object with state."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.factor * mean_of(images)


def test_a_function_is_evaluated_and_anchored() -> None:
    f = as_response(mean_of)
    image = np.full((3, 2, 2), 0.5)
    same, value = f.bind(image)
    assert same is f
    assert value == 0.5
    assert f.dtype == np.float64
    assert f.bounded is None
    assert f.describe()["name"] == "mean_of"
    assert as_response(f) is f
    assert f.with_batch_size(3).batch_size == 3


@pytest.mark.parametrize("made", [np.ones(3), np.ones((3, 1)), [1, 1, 1], np.ones(3, dtype=bool)])
def test_scores_become_float64_vectors(made: object) -> None:
    scores = as_response(lambda images: made)(np.zeros((3, 1, 2, 2)))
    assert scores.dtype == np.float64
    assert scores.shape == (3,)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (np.ones((3, 10)), r"`scores` must be of shape \(3,\).*Got \(3, 10\).*scores\[:, target\]"),
        (np.ones(2), r"`scores` must be of shape \(3,\).*Got \(2,\)"),
        (1.0, r"`scores` must be of shape \(3,\).*Got \(\)"),
        (np.ones(3) * 1j, r"`scores` must be real numbers"),
        ([None] * 3, r"`scores` must be real numbers"),
    ],
)
def test_wrong_scores_are_named(made: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_response(lambda images: made, name="f")(np.zeros((3, 1, 2, 2)))


def test_a_number_for_one_picture_is_its_score() -> None:
    f = as_response(lambda images: images.mean(axis=(1, 2, 3)).squeeze())
    assert f.bind(np.full((1, 2, 2), 0.25))[1] == 0.25
    assert f(np.zeros((2, 1, 2, 2))).shape == (2,)


def test_a_response_of_a_function_that_has_changed_is_another_one() -> None:
    scaled = Scaled(1.0)
    f = as_response(scaled, batch_size=7, name="mine")
    assert as_response(f) is f
    scaled.factor = 2.0
    now = as_response(f)
    assert now.fingerprint == as_response(Scaled(2.0)).fingerprint != f.fingerprint
    assert (now.batch_size, now.describe()["name"]) == (7, "mine")


def test_a_function_that_refers_to_what_comes_later_is_taken() -> None:
    def f(images: np.ndarray) -> np.ndarray:
        return later(images)

    early = as_response(f)
    assert early.describe()["fingerprint_gaps"] == [f"{f.__qualname__}: later, which is not defined yet"]

    def later(images: np.ndarray) -> np.ndarray:
        return mean_of(images)

    assert early.bind(np.full((1, 2, 2), 0.25))[1] == 0.25
    assert as_response(early).describe()["fingerprint_complete"]


def test_nan_is_handed_on() -> None:
    scores = as_response(lambda images: np.array([1.0, np.nan]))(np.zeros((2, 1, 2, 2)))
    assert np.isnan(scores[1])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"`f` must be callable"):
        as_response("model.onnx")
    with pytest.raises(ValueError, match=r"`batch_size` must be a whole number >= 1. Got 0"):
        as_response(mean_of, batch_size=0)
    with pytest.raises(TypeError, match=r"`batch_size` must be a whole number >= 1. Got 2.5"):
        as_response(mean_of, batch_size=2.5)


class Sized(Response):
    """A response of a fixed input size."""

    input_shape = (3, 4, None)
    fingerprint = "0"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing may be evaluated on a wrong image")

    def describe(self) -> dict[str, object]:
        return {"fingerprint": self.fingerprint}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4)), r"must be an array of shape \(C, H, W\)"),
        (np.zeros((1, 4, 9)), r"\(3, 4, any\).*wrong: channels.*load_image"),
        (np.zeros((3, 5, 9)), r"wrong: rows"),
        (np.zeros((4, 9, 3)), r"wrong: channels.*transpose\(2, 0, 1\)"),
        (np.full((3, 4, 2), np.nan), r"must be finite. Got 'NaN or infinity'"),
    ],
)
def test_a_wrong_image_is_refused_before_anything_is_evaluated(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sized().check_image(image)


def test_fingerprints_tell_functions_apart_and_agree_on_equal_ones() -> None:
    def made(factor: float) -> object:
        return lambda images: factor * mean_of(images)

    prints = [
        as_response(f).fingerprint
        for f in (mean_of, made(2.0), made(3.0), Scaled(2.0), Scaled(3.0), Scaled(2.0).__call__)
    ]
    assert len(set(prints)) == len(prints)
    assert as_response(made(2.0)).fingerprint == prints[1]
    assert as_response(Scaled(2.0)).fingerprint == prints[3]
    assert as_response(Scaled(2.0)).describe()["fingerprint_complete"]
    compiled = as_response(np.frompyfunc(math.sin, 1, 1))
    assert compiled.describe()["kind"] == "callable"


def test_a_function_s_own_fingerprint_is_taken() -> None:
    scaled = Scaled(2.0)
    scaled.fingerprint = "ab12"
    assert as_response(scaled).fingerprint == "ab12"


def test_resolved_takes_its_own_description_only() -> None:
    f = as_response(mean_of)
    assert f.resolved(f.describe()) is f
    with pytest.raises(ValueError, match=r"`description` must be the description of this response"):
        as_response(Scaled(1.0)).resolved(f.describe())
    # who knows that it is the same function says so
    vouched = Scaled(1.0)
    vouched.fingerprint = f.fingerprint
    assert as_response(vouched).resolved(f.describe()).fingerprint == f.fingerprint


def test_digests_are_the_same_in_another_process() -> None:
    code = (
        "import numpy as np; from legstat._core.digests import value_sha256; "
        "print(value_sha256({'b': [1, 2.5, 'x'], 'a': np.arange(6.0).reshape(2, 3)}, {3, 1, 2})[0])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = value_sha256({"a": np.arange(6.0).reshape(2, 3), "b": [1, 2.5, "x"]}, {1, 2, 3})[0]
    assert run.stdout.strip() == here


def test_digests_see_types_shapes_and_order() -> None:
    values = [
        1,
        1.0,
        True,
        "1",
        b"1",
        [1],
        (1,),
        [1, [2]],
        [[1], 2],
        np.ones(4),
        np.ones((2, 2)),
        np.ones(4, np.float32),
    ]
    assert len({value_sha256(value)[0] for value in values}) == len(values)
    assert not value_sha256(threading.Lock())[1]
    assert value_sha256([threading.Lock(), 1])[0] != value_sha256([threading.Lock(), 2])[0]
