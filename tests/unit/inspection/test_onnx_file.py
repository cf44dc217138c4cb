"""What `inspect_model` says of files whose facts are known."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from legstat.inspection.onnx_file import inspect_model
from tests.helpers_onnx import linear_model, one_picture_model, save


def test_the_facts_of_a_known_file(tmp_path: Path) -> None:
    model = linear_model(tmp_path / "m.onnx", tails=("probs",), batch=1, opset=11)
    report = inspect_model(model.path, seconds=0.05)
    assert report.file == "m.onnx"
    assert report.sha256 == hashlib.sha256(model.path.read_bytes()).hexdigest()
    assert report.n_bytes == model.path.stat().st_size
    assert report.n_parameters == 48 * 5 + 5
    assert report.opset == 11
    assert report.inputs == ("image float32 [1, 3, 4, 4]",)
    assert report.outputs == ("probs float32 [1, 5]",)
    about = report.response
    assert (about["n_classes"], about["output"], about["output_kind"]) == (5, "z", "logits")
    assert about["batch"] == "fixed at 1, freed by changing the graph"
    assert report.repeat_difference == 0.0
    assert report.batch_difference <= 1e-5
    assert sum(report.placement.values()) >= 1
    assert report.providers["CPUExecutionProvider"].startswith("runs ")
    assert report.best_batch_size in report.timings
    assert report.presets == ()  # random pixels judge no preset
    text = str(report)
    for piece in (report.sha256, "245 parameters", "read from 'z' as logits", "no preprocessing was given", "best "):
        assert piece in text
    assert json.loads(json.dumps(report.to_dict()))["n_parameters"] == 245


def test_nothing_is_tried_with_more_pictures_at_once_than_asked_for(tmp_path: Path) -> None:
    path = one_picture_model(tmp_path / "m.onnx")
    stopped = inspect_model(path, seconds=0.01)
    assert not stopped.response
    assert "Pass batch_size=1 (--batch-size 1)" in stopped.problems[0]
    report = inspect_model(path, batch_size=1, seconds=0.01)
    assert report.response["n_classes"] == 5
    assert report.batch_difference is None
    assert set(report.timings) == {1}
    linear = linear_model(tmp_path / "l.onnx").path
    assert set(inspect_model(linear, batch_size=3, seconds=0.01).timings) <= {1, 2}
    assert "`batch_size` must be" in inspect_model(linear, batch_size=0).problems[0]


def test_presets_are_compared_on_a_picture(tmp_path: Path, rng: np.random.Generator) -> None:
    model = linear_model(tmp_path / "m.onnx", scale=0.01)
    image = rng.random((3, 4, 4))
    report = inspect_model(model.path, image=image, preprocessing="tf", labels=list("abcde"), seconds=0)
    assert not any("no preprocessing" in text for text in report.problems)
    found = {name: (top, label, chance) for name, top, label, chance in report.presets}
    assert set(found) == {"imagenet", "caffe", "tf", "unit", "raw"}
    z = model.logits((2 * image - 1)[None])[0]
    top, label, chance = found["tf"]
    assert (top, label) == (int(z.argmax()), "abcde"[int(z.argmax())])
    assert chance == pytest.approx(np.exp(z.max()) / np.exp(z).sum(), rel=1e-5)  # float32 sums of 48 terms


def test_a_preprocessing_of_ones_own_stands_beside_the_presets(tmp_path: Path, rng: np.random.Generator) -> None:
    model = linear_model(tmp_path / "m.onnx", scale=0.1)
    image = rng.random((3, 4, 4))
    report = inspect_model(model.path, image=image, preprocessing={"mean": 0.25}, seconds=0)
    name, top, *_ = report.presets[0]
    assert name == "as given"
    assert top == int(model.logits((image - 0.25)[None]).argmax())


def test_grey_networks_get_the_presets_that_fit(tmp_path: Path) -> None:
    model = linear_model(tmp_path / "m.onnx", shape=(1, 4, 4))
    report = inspect_model(model.path, image=np.full((1, 4, 4), 0.5), seconds=0)
    assert [name for name, *_ in report.presets] == ["tf", "unit", "raw"]


def test_what_stops_a_run_is_reported_not_raised(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["image"], ["a"]), helper.make_node("Neg", ["a"], ["b"])],
        "several",
        [value("image", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [value("a", TensorProto.FLOAT, ["N", 48]), value("b", TensorProto.FLOAT, ["N", 48])],
    )
    report = inspect_model(save(graph, tmp_path / "m.onnx"), seconds=0)
    assert report.response == {}
    assert "several unrelated outputs" in report.problems[0]
    assert "problem " in str(report)
    named = inspect_model(tmp_path / "m.onnx", output="b", output_kind="logits", seconds=0)
    assert named.response["output"] == "b"


def test_softmax_twice_is_a_problem(tmp_path: Path) -> None:
    report = inspect_model(linear_model(tmp_path / "m.onnx", tails=("twice",)).path, seconds=0)
    assert any("applied 2 times" in text for text in report.problems)


def test_randomness_inside_the_graph_shows(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("RandomNormalLike", ["flat"], ["noise"], scale=0.01),
        helper.make_node("Add", ["flat", "noise"], ["logits"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "noisy",
        [value("image", TensorProto.FLOAT, ["N", 3, 4, 4])],
        [value("logits", TensorProto.FLOAT, ["N", 48])],
    )
    report = inspect_model(save(graph, tmp_path / "m.onnx"), output_kind="logits", seconds=0)
    assert not any("in company" in text for text in report.problems)  # it is noise, whatever the batch
    assert 1e-3 < report.repeat_difference < 0.2
    assert "differences of up to" in str(report)


def test_files_that_cannot_be_read_raise(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"legstat.inspect_model: `path` must be an existing ONNX file"):
        inspect_model(tmp_path / "none.onnx")
    onnx.save(onnx.ModelProto(), str(tmp_path / "empty.onnx"))
    with pytest.raises(ValueError, match=r"`path` must be an ONNX model with a graph"):
        inspect_model(tmp_path / "empty.onnx")


def test_real_presets_are_told_apart(data_dir: Path) -> None:
    picture = data_dir / "images" / "samples" / "n02106550_Rottweiler.JPEG"
    report = inspect_model(data_dir / "models" / "SqueezeNet_fp16.onnx", image=picture, seconds=0)
    assert max(report.presets, key=lambda found: found[3])[:2] == ("caffe", 234)
