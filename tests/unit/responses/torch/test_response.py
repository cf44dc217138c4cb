"""Torch modules as responses, against the formulas and against ONNX files of the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from legstat._core.errors import LegstatWarning
from legstat.responses.network.response import NetworkResponse
from legstat.responses.onnx.opening import onnx_response
from legstat.responses.torch.opening import torch_response
from tests.helpers_onnx import linear_model, softmax

torch = pytest.importorskip("torch")

FLAT = (3, 4, 4)


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.random((7, *FLAT)).astype(np.float32)


def linear(weights: np.ndarray, bias: np.ndarray, *after: object) -> object:
    """The module whose logits are images.reshape(n, -1) @ weights + bias."""
    layer = torch.nn.utils.skip_init(torch.nn.Linear, *weights.shape)  # no draw from torch's global generator
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights.T))
        layer.bias.copy_(torch.from_numpy(bias))
    return torch.nn.Sequential(torch.nn.Flatten(), layer, *after)


@pytest.mark.parametrize("preprocessing", ["imagenet", "caffe", "tf", "unit", "raw"])
@pytest.mark.parametrize(
    ("score", "target"), [("log_odds", 1), ("probability", 2), ("logit", 0), ("difference", (3, 4))]
)
def test_torch_and_onnx_of_the_same_weights_agree(
    tmp_path: Path, images: np.ndarray, preprocessing: str, score: str, target: object
) -> None:
    model = linear_model(tmp_path / "m.onnx", scale=0.01)
    by_onnx = onnx_response(model.path, target=target, score=score, preprocessing=preprocessing)
    by_torch = torch_response(
        linear(model.weights, model.bias),
        target=target,
        score=score,
        preprocessing=preprocessing,
        input_shape=FLAT,
        batch_size=3,
    )
    by_torch, value = by_torch.bind(images[0])
    # two float32 matrix products of 48 terms in different orders
    assert by_torch(images) == pytest.approx(by_onnx(images), rel=1e-5, abs=1e-5)
    # not to the bit: torch's product of one row and of three are different kernels
    assert value == pytest.approx(by_torch(images)[0], rel=1e-5, abs=1e-5)
    assert by_torch.describe()["output_kind_source"] == "values"


@pytest.mark.parametrize(
    ("after", "kind"),
    [
        ([], "logits"),
        ([torch.nn.Softmax(dim=1)], "probabilities"),
        ([torch.nn.LogSoftmax(dim=1)], "log_probabilities"),
    ],
)
def test_the_kind_of_output_is_told_by_its_values(
    images: np.ndarray, rng: np.random.Generator, after: list[object], kind: str
) -> None:
    weights, bias = rng.normal(size=(48, 5)).astype(np.float32), np.zeros(5, dtype=np.float32)
    f = torch_response(linear(weights, bias, *after), target=2)
    with pytest.raises(ValueError, match=r"must be settled before images are scored"):
        f(images)
    f, _ = f.bind(images[0])
    z = images.reshape(7, -1).astype(np.float64) @ weights
    truth = z[:, 2] - np.log(np.exp(np.delete(z, 2, axis=1)).sum(1))
    # probabilities of some 1e-5 with float32's relative rounding
    assert f(images) == pytest.approx(truth, rel=1e-4, abs=1e-5)
    assert f.describe()["output_kind"] == kind
    assert f.describe()["output_kind_ground"].startswith("at x0 the outputs")
    json.dumps(f.describe(), allow_nan=False)
    again = torch_response(linear(weights, bias, *after), target=2).resolved(f.describe())
    assert np.array_equal(again(images), f(images))


def test_a_stated_kind_that_the_values_contradict_is_an_error(images: np.ndarray, rng: np.random.Generator) -> None:
    module = linear(rng.normal(size=(48, 5)), np.zeros(5))
    with pytest.raises(ValueError, match=r"`output_kind` must be what the outputs at x0 are. Got 'probabilities'"):
        torch_response(module, output_kind="probabilities").bind(images[0])
    f, _ = torch_response(module, output_kind="sigmoid_logits", target=0).bind(images[0])
    assert np.array_equal(f(images), f.rescored("logit")(images))


def test_one_output_within_0_and_1_has_to_be_stated(images: np.ndarray) -> None:
    module = linear(np.full((48, 1), 0.01), np.zeros(1))
    with pytest.raises(ValueError, match=r"lies within \[0, 1\].*output_kind='sigmoid_logits'"):
        torch_response(module).bind(images[0])
    f, _ = torch_response(module, output_kind="probabilities").bind(images[0])
    p = images.reshape(7, -1).sum(1).astype(np.float64) * 0.01
    assert f(images) == pytest.approx(np.log(p / (1 - p)), rel=1e-4, abs=1e-6)
    assert f.describe()["output_kind"] == "sigmoid_probabilities"


def test_softmax_twice_is_suspected_by_its_band(images: np.ndarray, rng: np.random.Generator) -> None:
    module = linear(rng.normal(size=(48, 5)), np.zeros(5), torch.nn.Softmax(dim=1), torch.nn.Softmax(dim=1))
    with pytest.warns(LegstatWarning, match="softmax may have been applied twice"):
        f, _ = torch_response(module).bind(images[0])
    assert "twice" in f.describe()["remark"]


def test_the_module_runs_in_evaluation_mode_without_gradients(images: np.ndarray, rng: np.random.Generator) -> None:
    module = torch.nn.Sequential(
        torch.nn.BatchNorm2d(3), linear(rng.normal(size=(48, 5)), np.zeros(5)), torch.nn.Dropout(0.5)
    )
    module.train()
    f, _ = torch_response(module).bind(images[0])
    first = f(images)
    module.train()  # someone goes on training it
    assert np.array_equal(f(images), first)
    assert module[0].num_batches_tracked == 0
    assert all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize(
    ("wrap", "output"),
    [
        (lambda z: {"logits": z, "features": z * 2}, None),
        (lambda z: {"scores": z}, "scores"),
        (lambda z: (z * 2, z), 1),
        (lambda z: type("Output", (), {"logits": z})(), None),
        (lambda z: [z, z], lambda made: made[0]),
    ],
)
def test_outputs_that_are_no_tensor_are_picked_from(images: np.ndarray, wrap: object, output: object) -> None:
    class Wrapped(torch.nn.Module):
        def forward(self, x: object) -> object:
            return wrap(x.flatten(1))

    f, _ = torch_response(Wrapped(), output=output, target=3, score="logit", output_kind="logits").bind(images[0])
    assert f(images) == pytest.approx(images.reshape(7, -1)[:, 3], rel=1e-7)
    with pytest.raises(ValueError, match=r"`output` must be what picks one tensor"):
        torch_response(Wrapped(), output="nothing").bind(images[0])


def test_sigmoids_of_a_module_are_asked_about(images: np.ndarray, rng: np.random.Generator) -> None:
    weights = rng.normal(size=(48, 5))
    module = linear(weights, np.zeros(5), torch.nn.Sigmoid())
    with pytest.raises(ValueError, match=r"`output_kind` must be given .*within \[0, 1\] and sum to .*each class"):
        torch_response(module, target=1, score="probability").bind(images[0])
    _, value = torch_response(module, target=1, output_kind="sigmoid_probabilities").bind(images[0])
    # the log-odds of a sigmoid are its logit; a float32 probability of .999 holds 1e-4 of it
    assert value == pytest.approx((images[0].reshape(-1) @ weights)[1], rel=1e-3)
    with pytest.raises(ValueError, match=r"of real numbers, one per class. Got .*int64"):
        torch_response(_Choice(linear(weights, np.zeros(5))), target=1).bind(images[0])


class _Choice(torch.nn.Module):
    """A module that answers with the number of a class."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).argmax(1)


def test_half_precision_modules_are_fed_their_type(images: np.ndarray, rng: np.random.Generator) -> None:
    weights = rng.normal(size=(48, 5))
    for dtype, tolerance in ((torch.bfloat16, 0.3), (torch.float64, 1e-6)):
        f, _ = torch_response(linear(weights, np.zeros(5)).to(dtype), target=1, score="logit").bind(images[0])
        # bfloat16 has 8 bits, in sums of order 10; the images are float32
        assert f(images) == pytest.approx(images.reshape(7, -1) @ weights[:, 1], abs=tolerance)


def test_fingerprints_follow_the_weights(images: np.ndarray, rng: np.random.Generator) -> None:
    weights = rng.normal(size=(48, 5))
    a, b = (torch_response(linear(weights, np.zeros(5)), target=1) for _ in range(2))
    c = torch_response(linear(weights + 1e-3, np.zeros(5)), target=1)
    assert a.model_sha256 == b.model_sha256 != c.model_sha256


@pytest.mark.usefixtures("bare_bind")
def test_out_of_memory_halves_the_batch(images: np.ndarray) -> None:
    class Small(torch.nn.Module):
        def forward(self, x: object) -> object:
            if len(x) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return x.flatten(1)

    f: NetworkResponse = torch_response(Small(), target=0, score="logit", output_kind="logits", batch_size=7)
    f, _ = f.bind(images[0])
    with pytest.warns(LegstatWarning, match="a batch of 7 did not fit .* going on with 3"):
        scores = f(images)
    assert np.array_equal(scores, images.reshape(7, -1)[:, 0])


def test_wrong_output_shape_is_named(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"one number per class and image.*Got \(1, 3, 4, 4\)"):
        torch_response(torch.nn.Identity()).bind(images[0])

    class First(torch.nn.Module):
        def forward(self, x: object) -> object:
            return x.flatten(1)[:1]

    with pytest.raises(ValueError, match=r"1 for this network. Got 7. It takes one.*of 7 rows, one per image"):
        torch_response(First(), target=0, batch_size=7, output_kind="logits").bind(images[0])


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match=r"`module` must be a torch.nn.Module"):
        torch_response(softmax)
    with pytest.raises(ValueError, match=r"`device` must be a device that this torch can use"):
        torch_response(torch.nn.Flatten(), device="quantum")
