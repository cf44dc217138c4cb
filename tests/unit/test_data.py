"""The shipped classifier is what its description says, and its pictures are scikit-learn's."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime
import pytest
from sklearn.datasets import load_digits

from legstat.data import digits_info, digits_model_path, load_digit


@pytest.fixture(scope="module")
def held_out() -> tuple[np.ndarray, np.ndarray]:
    digits = [load_digit(k) for k in range(digits_info()["n_heldout"])]
    return np.stack([image for image, _ in digits]), np.array([label for _, label in digits])


def logits(images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(digits_model_path(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input": images.astype(np.float32)})[0]


def test_accuracy_is_the_one_written_down(held_out):
    images, labels = held_out
    # a share of 397 pictures: equal unless another build rounds a near tie the other way, which is then worth knowing
    assert (logits(images).argmax(1) == labels).mean() == digits_info()["accuracy_heldout"]


def test_accuracy_on_the_training_part(held_out):
    pictures, labels = load_digits(return_X_y=True)
    with np.load(digits_model_path().with_name("digits_heldout.npz"), allow_pickle=False) as file:
        rest = np.setdiff1d(np.arange(len(labels)), file["indices"])
    info = digits_info()
    assert len(rest) == info["n_train"]
    correct = logits(pictures[rest].reshape(-1, 1, 8, 8) / 16).argmax(1) == labels[rest]
    assert correct.mean() == info["accuracy_train"]


def test_held_out_pictures_are_scikit_learns(held_out):
    images, labels = held_out
    pictures, truth = load_digits(return_X_y=True)
    with np.load(digits_model_path().with_name("digits_heldout.npz"), allow_pickle=False) as file:
        indices = file["indices"]
    assert len(np.unique(indices)) == len(indices)
    np.testing.assert_array_equal(images.reshape(-1, 64) * 16, pictures[indices])
    np.testing.assert_array_equal(labels, truth[indices])


def test_files_are_small_and_unchanged():
    files = {name: digits_model_path().with_name(name).read_bytes() for name in digits_info()["sha256"]}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in files.items()} == digits_info()["sha256"]
    assert sum(map(len, files.values())) < 100_000  # the package may ship 500 kB; it needs a tenth of it


def test_network_takes_any_batch_without_changing_its_answer(held_out):
    images, _ = held_out
    single = np.concatenate([logits(image[None]) for image in images[:5]])
    # float32 arithmetic of one convolution layer after the other; a batch may be summed in another order
    np.testing.assert_allclose(single, logits(images[:5]), rtol=1e-5, atol=1e-5)


def test_graph_is_free_of_preprocessing():
    graph = onnx.load(digits_model_path()).graph
    assert [node.op_type for node in graph.node] == ["Conv", "Relu", "Conv", "Relu", "MaxPool", "Flatten", "Gemm"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert [output.name for output in graph.output] == ["logits"]


def test_load_digit_counts_from_the_end():
    np.testing.assert_array_equal(load_digit(-1)[0], load_digit(396)[0])


@pytest.mark.parametrize(
    ("index", "error"), [(397, ValueError), (-398, ValueError), (1.5, TypeError), ("3", TypeError)]
)
def test_load_digit_names_the_bad_index(index, error):
    with pytest.raises(error, match=r"`index` must be a whole number from 0 to 396\. Got"):
        load_digit(index)
