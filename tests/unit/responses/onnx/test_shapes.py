"""Graphs and modules whose shapes are not what they seem: no batch axis, sizes open in name only, links as files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from legstat.inspection.onnx_file import inspect_model
from legstat.responses.network.preprocessing import Preprocessing
from legstat.responses.onnx.opening import onnx_response
from tests.helpers_onnx import linear_model, open_size_model, save

SHAPE = (3, 4, 4)
RNG = np.random.default_rng(7)
X0 = RNG.random(SHAPE)
W = RNG.normal(size=(48, 1)).astype(np.float32)
TRUTH = float((X0.astype(np.float32).reshape(-1) @ W)[0])


def test_a_binary_graph_that_drops_its_axes_gives_one_score(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "W"], ["z"]),
        helper.make_node("Squeeze", ["z"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "squeezed",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["M"])],
        [numpy_helper.from_array(W, "W")],
    )
    f, value = onnx_response(save(graph, tmp_path / "m.onnx"), score="logit").bind(X0)
    assert value == pytest.approx(TRUTH, rel=1e-5)
    assert f(np.stack([X0, X0, X0]).astype(np.float32)) == pytest.approx([value] * 3, rel=1e-6)


@pytest.mark.parametrize("devices", ["cpu", ["cpu", "cpu"]])
def test_a_binary_module_that_drops_its_axes_gives_one_score(devices: object) -> None:
    torch = pytest.importorskip("torch", reason="the module is a torch module")
    from legstat.responses.torch.opening import torch_response

    class Squeezed(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.flatten(1) @ torch.from_numpy(W)).squeeze()

    f, value = torch_response(Squeezed(), score="logit", output_kind="sigmoid_logits", device=devices).bind(X0)
    assert value == pytest.approx(TRUTH, rel=1e-5)
    assert f(np.stack([X0, X0, X0]).astype(np.float32)) == pytest.approx([value] * 3, rel=1e-6)


def test_a_size_that_only_the_layers_know_is_asked_for(tmp_path: Path) -> None:
    path = open_size_model(tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"`image` must be of the size that the network was made.*size = \[rows, col"):
        onnx_response(path).bind(RNG.random((3, 8, 8)))
    onnx_response(path).bind(X0)
    problems = inspect_model(path, seconds=0).problems
    assert len(problems) == 1
    assert "224 x 224 pixels" in problems[0]
    assert inspect_model(path, preprocessing=Preprocessing(size=(4, 4)), seconds=0).response["n_classes"] == 5


def test_two_classes_of_one_output_have_no_difference(tmp_path: Path) -> None:
    path = linear_model(tmp_path / "m.onnx", classes=1).path
    with pytest.raises(ValueError, match=r"`score` must be 'probability', .* for a network of one output"):
        onnx_response(path, score="difference", target=(0, 1))


def test_a_download_caches_links_are_followed_and_no_path_out_of_the_folder(tmp_path: Path) -> None:
    blobs, shown = tmp_path / "blobs", tmp_path / "snapshot"
    blobs.mkdir()
    shown.mkdir()
    model = linear_model(tmp_path / "m.onnx")
    proto = onnx.load(model.path)
    onnx.save(proto, tmp_path / "e.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    (tmp_path / "e.onnx").rename(blobs / "aa")
    (tmp_path / "weights").rename(blobs / "bb")
    os.symlink(blobs / "aa", shown / "m.onnx")
    os.symlink(blobs / "bb", shown / "weights")
    f, g = onnx_response(shown / "m.onnx", target=0), onnx_response(model.path, target=0)
    images = X0[None].astype(np.float32)
    assert f(images) == pytest.approx(g(images), rel=1e-6)
    (shown / "weights").unlink()
    os.symlink(model.path, shown / "weights")  # a link to neither folder
    with pytest.raises(ValueError, match="external data lie in its own folder"):
        onnx_response(shown / "m.onnx", target=0)
